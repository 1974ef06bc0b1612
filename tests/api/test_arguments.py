"""Public functions that get a value of another type than a parameter takes."""

import inspect
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import pytest

import zodiax_io
from zodiax_io import ZodiaxIOError


class Lens(eqx.Module):
    """A class with a field."""

    radius: float


class Odd:
    """An object that no parameter takes."""

    def __repr__(self):
        """A text of its own."""
        return "<odd>"


ODD = {
    "a number": 3,
    "a fraction": 1.5,
    "True": True,
    "None": None,
    "text": "x y",
    "an ending": "10XB",
    "bytes": b"x",
    "a list": [],
    "a list of None": [None],
    "a list of numbers": [3],
    "a dict": {},
    "a dict of numbers": {3: 4},
    "a dict of text": {"a": "b"},
    "a class": Odd,
    "an object": Odd(),
    "an array": jnp.ones(2),
    "nan": float("nan"),
    "a set": {3},
}
# Never a wrong one: a tree of the user's may be anything.
ANY = {"tree", "a", "b", "path_or_tree", "like", "metadata", "obj"}


def saved(folder):
    """The paths of a few files in a folder, and what some calls get."""
    zodiax_io.serialise(folder / "m.zdx", {"a": Lens(2.0), "b": jnp.ones(2)})
    structure = zodiax_io.build_structure([Lens(2.0)])
    structure["node"][0]["type"] = "gone:Lens"
    opaque = zodiax_io.load_structure(structure, unknown="opaque")[0]
    return {
        "path": folder / "m.zdx",
        "target": folder / "new.zdx",
        "structure": zodiax_io.build_structure([1.5]),
        "summary": zodiax_io.summarise(folder / "m.zdx"),
        "opaque": opaque,
    }


CALLS = {
    "serialise": lambda x: (zodiax_io.serialise, [x["target"], [1.5]]),
    "deserialise": lambda x: (zodiax_io.deserialise, [x["path"]]),
    "read_metadata": lambda x: (zodiax_io.read_metadata, [x["path"]]),
    "summarise": lambda x: (zodiax_io.summarise, [x["path"]]),
    "show": lambda x: (zodiax_io.show, [x["path"]]),
    "diff": lambda x: (zodiax_io.diff, [x["path"], x["path"]]),
    "assert_same": lambda x: (zodiax_io.assert_same, [x["path"], x["path"]]),
    "convert": lambda x: (zodiax_io.convert, [x["path"], x["target"]]),
    "names": lambda x: (zodiax_io.names, [x["path"]]),
    "untrusted": lambda x: (zodiax_io.untrusted, [x["path"]]),
    "verify": lambda x: (zodiax_io.verify, [x["path"]]),
    "repair": lambda x: (zodiax_io.repair, [x["path"]]),
    "migration": lambda x: (zodiax_io.migration, [x["path"]]),
    "build_structure": lambda x: (zodiax_io.build_structure, [[1.5]]),
    "load_structure": lambda x: (zodiax_io.load_structure, [x["structure"]]),
    "register": lambda x: (zodiax_io.register, [Lens]),
    "renamed": lambda x: (zodiax_io.renamed, ["gone:Lens", Lens]),
    "upgraded": lambda x: (zodiax_io.upgraded, [Lens, dict]),
    "register_kind": lambda x: (
        zodiax_io.register_kind,
        ["test.odd", Odd, lambda odd: [], lambda cls, tree: cls()],
    ),
    "Summary.found": lambda x: (x["summary"].found, []),
    "Opaque.become": lambda x: (x["opaque"].become, [Lens]),
}


def foreign_errors(name, folder):
    """The errors of others that odd values for each parameter of a function raise."""
    function, given = CALLS[name](saved(folder))
    parameters = inspect.signature(function).parameters
    found = []
    for parameter in parameters.keys() - ANY:
        for label, value in ODD.items():
            if parameter == "progress" and callable(value):
                continue  # called, as it says
            arguments = dict(zip(parameters, given, strict=False)) | {parameter: value}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    function(**arguments)
            except ZodiaxIOError:
                pass
            except Exception as error:
                found.append(f"{parameter}={label}: {error!r}")
    return found


def test_every_public_function_is_in_the_table():
    """A new one gets its row."""
    functions = {
        name
        for name in zodiax_io.__all__
        if inspect.isfunction(inspect.unwrap(getattr(zodiax_io, name)))
    }
    assert functions == {name for name in CALLS if "." not in name}


@pytest.fixture(scope="module")
def found_elsewhere(tmp_path_factory):
    """What a process without the type checks of the tests finds, by function."""
    done = subprocess.run(
        [sys.executable, __file__],
        cwd=tmp_path_factory.mktemp("arguments"),
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", CALLS)
def test_a_value_of_another_type(name, found_elsewhere):
    """Each parameter in turn: accepted, or refused by an error of this package."""
    assert found_elsewhere[name] == []


WRONG = {
    "a path in a file": (
        lambda x: zodiax_io.summarise(x["path"], 3),
        "`at` is text, not 3.",
    ),
    "values": (
        lambda x: zodiax_io.summarise(x["path"], values=3),
        "`values` is True or False, not 3.",
    ),
    "depth": (
        lambda x: zodiax_io.show(x["path"], depth="all"),
        "`depth` is a number from 0 on, not 'all'.",
    ),
    "a target": (
        lambda x: zodiax_io.convert(x["path"], 3),
        "Expected a path or a binary file open for writing, got a `int`.",
    ),
    "a size": (
        lambda x: x["summary"].found(larger="10XB"),
        "`larger` is a number from 0 on, not '10XB'.",
    ),
    "a dtype": (
        lambda x: x["summary"].found(dtype=3),
        "`dtype` is text, not 3.",
    ),
    "a tolerance": (
        lambda x: zodiax_io.diff([1], [1], atol="x"),
        "`atol` is a number from 0 on, not 'x'.",
    ),
    "a glob": (
        lambda x: zodiax_io.diff([1], [1], ignore="a.b"),
        "`ignore` is a list of globs, such as ['a.b'].",
    ),
    "globs": (
        lambda x: zodiax_io.diff([1], [1], ignore=3),
        '`ignore` is a list of globs, such as ["**.bias"], not 3.',
    ),
    "fields": (
        lambda x: zodiax_io.upgraded(Lens, dict, fields=[3]),
        '`fields` is a list of names, such as ["radius"], not [3].',
    ),
    "a class": (
        lambda x: zodiax_io.register_kind("a.b", 3, dict, dict),
        "`cls` is a class, not 3.",
    ),
    "encode": (
        lambda x: zodiax_io.register_kind("a.b", Odd, 3, dict),
        "`encode` is a function, not 3.",
    ),
    "decode": (
        lambda x: zodiax_io.register_kind("a.b", Odd, dict, None),
        "`decode` is a function, not None.",
    ),
    "an old name": (
        lambda x: zodiax_io.renamed([], Lens),
        "`old` must be a string, not [].",
    ),
}


def messages(folder):
    """The messages of the wrong calls, by name."""
    found = {}
    for name, (call, _) in WRONG.items():
        try:
            call(saved(folder))
            found[name] = "accepted"
        except zodiax_io.ArgumentError as error:
            found[name] = str(error)
    return found


@pytest.mark.parametrize("name", WRONG)
def test_the_message_about_a_wrong_argument(name, found_elsewhere):
    """It names the argument, says what it may be, and shows what it is."""
    assert found_elsewhere["messages"][name] == WRONG[name][1]


if __name__ == "__main__":
    told = {"messages": messages(Path.cwd())}
    told |= {name: foreign_errors(name, Path.cwd()) for name in CALLS}
    print(json.dumps(told))
