"""Data flows one way: what each module may import, and what none of them does."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zodiax_io

PACKAGE = Path(zodiax_io.__file__).parent

# A module imports from rows below its own only; those of one row know nothing of each
# other. A package counts as one module.
LAYERS = [
    {"_errors", "_jax"},
    {"_arrays", "_progress", "_trust"},
    {"_kinds"},
    {"_structure"},
    {"_evolution", "_files"},
    {"_tree"},
    {"_look"},
    {"_api"},
    {"__init__"},
    {"_cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    """Every module of ours that a file imports, at the top or within a function."""
    within = ["zodiax_io", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found += [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = within[: len(within) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            found += [[*base, alias.name] for alias in node.names]
    return [name[1] for name in found if name[0] == "zodiax_io" and len(name) > 1]


def test_every_module_has_a_layer():
    """No module stands outside of the table, and the table names no other."""
    assert {module_of(path) for path in FILES} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_from_below(path):
    """A module imports from lower layers, and a package from within itself."""
    own = module_of(path)
    wrong = [
        name
        for name in imports_of(path)
        if name != own and RANK.get(name, len(LAYERS)) >= RANK[own]
    ]
    assert wrong == []


def test_imports_are_found(tmp_path, monkeypatch):
    """The test above sees imports of every spelling."""
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    file = tmp_path / "_room" / "module.py"
    file.parent.mkdir()
    file.write_text(
        "import os, zodiax_io._one\n"
        "from .. import _two\n"
        "from .._three.part import name\n"
        "def function():\n"
        "    from zodiax_io._four import name\n"
        "    from . import beside\n"
        "    from .part import name\n"
    )
    expected = ["_one", "_two", "_three", "_four", "_room", "_room"]
    assert sorted(imports_of(file)) == sorted(expected)


FORBIDDEN = {
    "pickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "runpy",
    "code",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_runs_no_text(path):
    """No pickle, no `eval`, `exec`, `compile` or `__import__` anywhere."""
    wrong = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            wrong += [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            wrong += [node.module] if node.module.split(".")[0] in FORBIDDEN else []
        elif isinstance(node, ast.Name):
            wrong += (
                [node.id]
                if node.id in {"eval", "exec", "compile", "__import__"}
                else []
            )
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            wrong.append("allow_pickle")
    assert wrong == []


OPTIONAL = "optax zodiax dLux diffrax lineax optimistix flowjax scipy pandas matplotlib"


def test_import_brings_no_optional_package():
    """`import zodiax_io` imports what it depends on and nothing else."""
    code = (
        "import sys, jax, equinox; before = set(sys.modules)\n"
        "import zodiax_io\n"
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    new = set(done.stdout.split()) - sys.stdlib_module_names
    assert not new & set(OPTIONAL.split())
    known = {"zodiax_io", "msgpack", "xxhash", "numpy", "ml_dtypes", "jax", "jaxlib"}
    known |= {"equinox", "jaxtyping", "packaging"}
    assert {name for name in new if not name.startswith("_")} <= known


def test_import_touches_no_device():
    """`import zodiax_io` leaves the choice of platform to the program."""
    code = (
        "import jax, equinox\n"
        "from jax._src import xla_bridge\n"
        "before = len(xla_bridge._backends)\n"
        "import zodiax_io\n"
        "print(before, len(xla_bridge._backends))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = done.stdout.split()
    assert after == before


def test_public_names_are_documented():
    """Every public name has a docstring."""
    public = [name for name in dir(zodiax_io) if not name.startswith("_")]
    assert "serialise" in public and "deserialise" in public
    assert [name for name in public if not getattr(zodiax_io, name).__doc__] == []


def test_public_names_are_ours():
    """A name is public because it is listed, not because the module imports it."""
    assert zodiax_io.serialise  # after the first use, all public names are there
    public = {name for name in vars(zodiax_io) if not name.startswith("_")}
    assert public == set(zodiax_io.__all__)
    assert public == {name for name in dir(zodiax_io) if not name.startswith("_")}
