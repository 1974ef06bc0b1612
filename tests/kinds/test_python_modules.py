"""Modules as values: the namespace with which a class computes."""

import importlib
import math
import os
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import pytest
from equality import survives
from hypothesis import given, strategies as st

import zodiax_io
from zodiax_io._trust import homes
from zodiax_io._trust.table import FRAMEWORKS, MODULES, PACKAGES


class Wave(eqx.Module):
    """A class that computes with any namespace for arrays."""

    phase: jax.Array
    xp: types.ModuleType = eqx.field(static=True)

    def __call__(self, x):
        return self.xp.sin(x + self.phase)


NAMESPACES = [jnp, np, jax.nn, jnp.linalg, np.linalg, jax.scipy.special, jax.lax, math]


@pytest.mark.parametrize("module", NAMESPACES, ids=lambda module: module.__name__)
def test_a_namespace_comes_back_as_the_module_itself(module):
    """In a static field or among the leaves, by the name that imports it."""
    loaded = survives({"static": Wave(jnp.ones(2), module), "leaf": module})
    assert loaded["static"].xp is loaded["leaf"] is module
    assert zodiax_io.build_structure(module)["type"] == module.__name__


@given(st.permutations(NAMESPACES), st.integers(0, 5))
def test_namespaces_lie_anywhere(modules, count):
    """Any number of them, in any order, at any place; each is the same module again."""
    tree = [{"xp": module, "beside": (module, 1.0)} for module in modules[:count]]
    loaded = survives(tree)
    assert [item["xp"] for item in loaded] == modules[:count]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user, which is imported."""
    (tmp_path / "own_namespace.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("own_namespace")
    sys.modules.pop("own_namespace", None)


def test_a_module_of_the_user_is_kept(own):
    """Its functions are the user's own code, which the user has imported."""
    assert survives(Wave(jnp.ones(2), own)).xp is own


def test_a_module_that_is_not_imported_is_named(own, tmp_path):
    """Only an import could tell what is in it."""
    zodiax_io.serialise(tmp_path / "wave", {"xp": own})
    del sys.modules["own_namespace"]
    with pytest.raises(zodiax_io.UntrustedError) as raised:
        zodiax_io.deserialise(tmp_path / "wave")
    assert str(raised.value) == (
        "wave.eqx refers to names that are missing or not trusted:\n"
        "  `own_namespace` at `model['xp']` is not imported: trust it, or write "
        "`import own_namespace` first if it is your own.\n"
        'If you trust this file, pass `trusted=["own_namespace"]`.\n'
        'To look at the file without them, pass `unknown="opaque"`.'
    )
    loaded = zodiax_io.deserialise(tmp_path / "wave", trusted=["own_namespace"])
    assert loaded["xp"] is sys.modules["own_namespace"]


def test_a_module_that_moved_is_renamed(own, tmp_path):
    """As for classes and functions, the new name is declared."""
    structure = zodiax_io.build_structure(own) | {"type": "old_namespace"}
    loaded = zodiax_io.load_structure(
        structure, renames={"old_namespace": "own_namespace"}
    )
    assert loaded is own


def test_names_lists_modules(tmp_path):
    """`names` says of a module what a load would say."""
    zodiax_io.serialise(tmp_path / "wave", Wave(jnp.ones(2), jnp))
    found = {verdict.name: verdict for verdict in zodiax_io.names(tmp_path / "wave")}
    assert found["jax.numpy"].status == "trusted"
    assert found["jax.numpy"].role == "a module of Python"
    assert found["jax.numpy"].path == "model.xp"


# What no file may name ----------------------------------------------------------------


def node(module):
    return {"node_type": "leaf", "kind": "python_module", "type": module}


REFUSED = """
    os subprocess builtins sys shutil importlib pickle socket ctypes posix io pathlib
    zodiax_io zodiax_io._trust.names numpy.ctypeslib numpy.testing jax.experimental
    jax._src.numpy.lax_numpy equinox.internal scipy scipy.io scipy.datasets operator
    __main__ __mp_main__ os.path jax.numpy.os a.__main__ nowhere.to_be_found
""".split()


@pytest.mark.parametrize("module", REFUSED)
@pytest.mark.parametrize("trusted", [(), ("numpy", "jax", "scipy", "os")])
def test_a_module_that_no_file_may_name(module, trusted):
    """Python's library, the running script, private and unknown modules are refused."""
    before = set(sys.modules)
    with pytest.raises(zodiax_io.UntrustedError):
        zodiax_io.load_structure(node(module), trusted=trusted)
    assert not {"scipy.io", "scipy.datasets"} & (set(sys.modules) - before)


@pytest.mark.parametrize("name", ["jax.numpy:sin", "os:system", "jax.numpy:", ":", ""])
def test_a_name_that_is_not_of_a_module(name):
    """A module has no qualified name, and a function is no module."""
    with pytest.raises(zodiax_io.ZodiaxIOError):
        zodiax_io.load_structure(node(name))


@pytest.mark.parametrize("kind", ["function", "class", "module", "singleton"])
def test_a_module_in_the_place_of_something_else(kind):
    """Only this kind may name a module."""
    leaf = node("jax.numpy") | {"kind": kind}
    if kind == "module":
        leaf |= {"node_type": "container", "node": {}}
    with pytest.raises(zodiax_io.UntrustedError) as raised:
        zodiax_io.load_structure(leaf)
    assert "is not a valid name" in str(raised.value)


def test_a_module_under_the_name_of_another_package(own, monkeypatch):
    """An entry of `sys.modules` for another module gives a file nothing."""
    monkeypatch.setitem(sys.modules, "own_namespace.system", os)
    with pytest.raises(zodiax_io.UntrustedError) as raised:
        zodiax_io.load_structure(node("own_namespace.system"))
    assert "only imported there" in str(raised.value)


class Lazy(types.ModuleType):
    """A module that runs code when it is read."""

    def __getattr__(self, name):
        raise AssertionError(name)


def test_a_module_of_a_class_of_its_own_is_refused(own, monkeypatch):
    """Reading it may run code, on a save and on a load."""
    lazy = Lazy("own_namespace.lazy")
    monkeypatch.setitem(sys.modules, "own_namespace.lazy", lazy)
    with pytest.raises(zodiax_io.SerialisationError):
        zodiax_io.build_structure(lazy)
    with pytest.raises(zodiax_io.UntrustedError):
        zodiax_io.load_structure(node("own_namespace.lazy"))


@pytest.mark.parametrize(
    "module", [sys.modules["__main__"], types.ModuleType("nowhere")], ids=str
)
def test_a_module_that_no_import_finds(module):
    """The script that runs is another one in the next process."""
    with pytest.raises(zodiax_io.SerialisationError) as raised:
        zodiax_io.build_structure(module)
    assert str(raised.value) == (
        "Cannot serialise a `builtins.module` at `model`. It is a module that no "
        "`import` finds again: the running script, or one that is not in `sys.modules` "
        "under its own name. Keep a module that can be imported, or the functions that "
        "are needed of it."
    )


def test_a_module_of_the_standard_library_is_refused_when_saved():
    """With the way to allow it."""
    with pytest.raises(zodiax_io.SerialisationError) as raised:
        zodiax_io.build_structure({"os": os})
    assert str(raised.value) == (
        "Cannot serialise a `builtins.module` at `model['os']`. `os` belongs to "
        "Python's standard library, which no file may use, so no file could be loaded. "
        "If it does no harm when a file asks for it, pass it to `zodiax_io.register` "
        "where you save and where you load."
    )


def test_a_registered_module_is_kept(monkeypatch):
    """The program has allowed it."""
    from zodiax_io._trust import names

    monkeypatch.setattr(names, "_registered", {})
    monkeypatch.setattr(names, "_registered_names", {})
    zodiax_io.register(np.testing)
    assert survives({"xp": np.testing})["xp"] is np.testing


def test_the_table_has_public_modules_of_known_packages():
    """None of it is private, and none may be installed by anybody under a free name."""
    packages = {module.partition(".")[0] for module in MODULES}
    assert not [module for module in MODULES if not homes.is_public(module)]
    known = PACKAGES | FRAMEWORKS | {"array_api_compat", "array_api_strict"}
    assert packages - known == {"math", "cmath"}


def test_a_module_among_bound_arguments_is_judged(own):
    """A partial may hand on the module with what the file has beside it."""
    structure = zodiax_io.build_structure(eqx.Partial(jnp.add, own, 1.0))
    with pytest.raises(zodiax_io.UntrustedError):
        zodiax_io.load_structure(structure)
