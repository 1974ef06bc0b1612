"""The type checks of a test run are on, and leave out no more than they must."""

import sys

import pytest
import typechecks
from beartype.roar import BeartypeCallHintViolation
from conftest import TYPE_CHECKS

from zodiax_io._trust import names

pytestmark = pytest.mark.skipif(not TYPE_CHECKS, reason="ZODIAX_IO_TYPECHECK=0")


def test_functions_check_their_arguments():
    """A call with another type than the annotation has is an error."""
    assert names.top_level_package("jax.numpy") == "jax"
    with pytest.raises(BeartypeCallHintViolation, match="module=3"):
        names.top_level_package(3)


def test_methods_and_inner_functions_check_too(tmp_path, monkeypatch):
    """Whatever is written with `def`, wherever; a decorator sees the checked one."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "thing.py").write_text(
        "from __future__ import annotations\n"
        "from typing import Any, NamedTuple\n"
        "class Pair(NamedTuple):\n"
        "    first: Any\n"
        "class Lens:\n"
        "    def focus(self, by: int) -> Lens: return self\n"
        "    @classmethod\n"
        "    def of(cls, width: int) -> Lens: return cls()\n"
        "def outer():\n"
        "    def inner(x: int) -> str: return str(x)\n"
        "    return inner\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    typechecks.install(["some.thing"])
    from some import thing

    lens = thing.Lens.of(2)
    assert lens.focus(1) is lens
    assert thing.outer()(1) == "1"
    assert thing.Pair("a").first == "a"
    for call in (lens.focus, thing.Lens.of, thing.outer()):
        with pytest.raises(BeartypeCallHintViolation):
            call("a")
