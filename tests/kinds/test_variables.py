"""Functions in variables of the user's modules load as they were, or raise an error."""

import functools
import io
import os
import subprocess
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import zodiax_io
from zodiax_io._kinds import fingerprints

NETS = """
import functools
import equinox as eqx, jax, numpy as np

class Scale:
    def __init__(self, n):
        self.n = n

def make(n):
    def act(x):
        return x * n
    return act

def make_sharing(n):  # its variable is shared, so that no file holds what it makes
    def act(x):
        return x * n
    def change(value):
        nonlocal n
        n = value
    return act

def scaled(n):
    def decorate(function):
        @functools.wraps(function)
        def inner(x):
            return function(x) * n
        return inner
    return decorate

def make_by_object(n):
    scale = Scale(np.float32(n))
    def act(x):
        return x * float(scale.n)
    return act

def one(x):
    return x

@scaled(1)
def decorated(x):
    return x

@jax.jit
def jitted(x):
    return 1 * x

def plain(x):
    return x

def _ways(n):
    def local(x, n=n):
        return x * n
    return {
        "closure": make(n),
        "sharing": make_sharing(n),
        "by_object": make_by_object(n),
        "of_jit": jax.jit(make(n)),
        "of_jit_sharing": jax.jit(make_sharing(n)),
        "of_filter_jit": eqx.filter_jit(make(n)),
        "of_vmap": jax.vmap(make(n)),
        "of_grad": jax.grad(make_sharing(float(n))),
        "cached": functools.cache(make_sharing(n)),
        "wrapped": scaled(n)(one),
        "of_default": local,
    }

globals().update(_ways(1))
lambda_ = lambda x: x * 1

def configure(n):
    globals().update(_ways(n))
    globals()["decorated"] = scaled(n)(plain)
    decorated.__qualname__ = decorated.__name__ = "decorated"
    globals()["lambda_"] = (lambda x: x * 3) if n == 3 else (lambda x: x * 1)

rebound, rebound_jit = make(1), jax.jit(make(1))

def act(x):
    return x

def configure_globals(n):
    global rebound, rebound_jit, act, jitted
    rebound, rebound_jit = make(n), jax.jit(make(n))
    if n == 3:
        def act(x):
            return x * 3
        @jax.jit
        def jitted(x):
            return x * 3
"""
RUN = """
import sys; sys.path.insert(0, sys.argv[1])
import nets, zodiax_io
what, configured, folder = sys.argv[2:]
if configured == "yes":
    nets.configure(3)
    nets.configure_globals(3)
for name in NAMES:
    path = f"{folder}/{name}.zdx"
    if what == "save":
        try:
            zodiax_io.serialise(path, [getattr(nets, name)])
        except zodiax_io.SerialisationError:
            print(name, "refused")
        continue
    try:
        found = float(zodiax_io.deserialise(path)[0](10.0))
    except zodiax_io.ClassChangedError as error:
        found = "changed"
    except FileNotFoundError:
        found = "absent"
    print(name, found)
"""
NAMES = (
    *("closure", "sharing", "by_object", "of_jit", "of_jit_sharing", "of_filter_jit"),
    *("of_grad", "cached", "wrapped", "of_default", "lambda_", "decorated"),
    *("rebound", "rebound_jit", "act", "jitted"),
)


def _run(tmp_path: Any, what: str, configured: str) -> dict[str, str]:
    names = f"NAMES = {NAMES!r}"
    done = subprocess.run(
        [sys.executable, "-c", names + RUN, tmp_path, what, configured, tmp_path],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def test_a_variable_that_holds_another_function_is_an_error(nets):
    """A file saved after a variable changed never loads its function of before."""
    assert _run(nets, "save", "yes") == {}
    found = _run(nets, "load", "no")
    assert {n for n, f in found.items() if f == "absent"} == set()
    right = {n: "3.0" if n == "of_grad" else "30.0" for n in NAMES}
    assert all(f in (right[n], "changed") for n, f in found.items()), found
    # Where `global` tells that a variable changes, what it holds is kept instead.
    assert {n: found[n] for n in ("rebound", "rebound_jit")} == {
        "rebound": "30.0",
        "rebound_jit": "30.0",
    }
    found = _run(nets, "load", "yes")
    assert found == right


def test_a_variable_that_no_one_changes_comes_back(nets):
    """By its name, in any process; after a change elsewhere in the module as well."""
    assert _run(nets, "save", "no") == {}
    edited = NETS.replace("def one(x):\n    return x", "def one(x):\n    return 2 * x")
    edited = edited.replace(
        "def decorated(x):\n    return x", "def decorated(x): return 5*x"
    )
    (nets / "nets.py").write_text("# a comment\n" + edited)
    right = {n: "1.0" if n == "of_grad" else "10.0" for n in NAMES}
    # These are functions with a name, and may be edited.
    assert _run(nets, "load", "no") == right | {"wrapped": "20.0", "decorated": "50.0"}


variable = lambda x: x  # noqa: E731


def test_the_error_names_the_variable_and_says_what_to_do(monkeypatch):
    """It says where in the tree the function is, too."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"f": variable})
    monkeypatch.setattr(sys.modules[__name__], "variable", lambda x: 2 * x)
    with pytest.raises(zodiax_io.ClassChangedError) as caught:
        zodiax_io.deserialise(io.BytesIO(file.getvalue()))
    assert str(caught.value) == (
        "The file: `model['f']` is the function in the variable "
        "`test_variables:variable`, which has changed since it was saved, or cannot be "
        "compared under another release of Python. Load the file where the variable "
        "has the function of that time, or write the function by `def` at the top "
        "level of a module and save again."
    )


FORMS: list[tuple[Any, str]] = [
    (None, "('NoneType', None)"),
    (300, "('int', '12c')"),
    ("é", "('str', 'é')"),
    (0.0, f"('float', {bytes(16)!r})"),
    ((1, True), repr(("tuple", ["('int', '1')", "('bool', True)"]))),
    ({2, 1}, repr(("set", ["('int', '1')", "('int', '2')"]))),
    ({"a": 1}, repr([("('str', 'a')", "('int', '1')")])),
    (np.float32(3), "('float32', (), '53bd3a362893b919c2a11153e188f9b4')"),
    (jnp.sin, "'jax.numpy:sin'"),
]


@pytest.mark.parametrize(("value", "text"), FORMS, ids=[text for _, text in FORMS])
def test_the_form_of_fingerprints_never_changes(value, text):
    """Files hold digests of these texts, so that another form would fail to load."""
    assert fingerprints._FunctionTexts(lambda code: None).of(value) == text


def test_a_fingerprint_takes_no_more_than_its_limits():
    """Texts escape those inside them: a value nested deeply has no fingerprint."""
    deep: Any = 1
    for _ in range(30):
        deep = (deep,)
    assert fingerprints.fingerprint(functools.partial(jnp.sin, deep)) is None
    assert fingerprints.fingerprint(functools.partial(jnp.sin, (((1,),),))) is not None


def test_a_function_that_contains_itself_has_a_fingerprint():
    """The text refers to the object that is described already."""
    cell: list[Any] = []
    cell.append(cell)
    text = fingerprints._FunctionTexts(lambda code: None).of(cell)
    assert text == repr(("list", ["above 0"]))
