"""Data flows one way: what each module may import, and what none of them does."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zodiax_io

PACKAGE = Path(zodiax_io.__file__).parent

# Each imports from those below it only. A room is a folder, or one file.
ROOMS = """
    __main__ _cli __init__ _api _look _tree _evolution _files _structure _kinds _trust
    _arrays _progress _jax _interpreter _errors
""".split()
RANK = {name: -rank for rank, name in enumerate(ROOMS)}

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


def test_every_module_has_a_room():
    """No module stands outside of the rooms, and the list names no other."""
    assert {module_of(path) for path in FILES} == set(RANK)


def test_tests_lie_in_folders_called_as_the_rooms():
    """What proves a room is found by its name; what concerns all lies above them."""
    tests = Path(__file__).parent
    folders = {path.parent for path in tests.rglob("test_*.py")}
    rooms = {tests / name.removeprefix("_") for name in ROOMS}
    assert folders - rooms == {tests, tests / "benchmarks"}
    assert not list((tests / "helpers").glob("test_*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_from_below(path):
    """A module imports from the rooms below its own, and from within its own."""
    own = module_of(path)
    wrong = [
        name
        for name in imports_of(path)
        if name != own and RANK.get(name, 1) >= RANK[own]
    ]
    assert wrong == []


def test_no_two_files_import_each_other():
    """Within a room, too, files can be read in an order."""
    graph = {
        module_name(path): set(imported_files(path))
        for path in FILES
        if path.name != "__init__.py"
    }
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_no_two_test_files_have_one_name():
    """They are imported by their names alone, whatever folder they are in."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_no_file_is_too_long_to_be_read():
    """A file that grows beyond this holds two things."""
    lines = {path: len(path.read_text(encoding="utf8").splitlines()) for path in FILES}
    assert {path.name: count for path, count in lines.items() if count > 600} == {}


def module_name(path):
    return ".".join(("zodiax_io", *path.relative_to(PACKAGE).with_suffix("").parts))


def imported_files(path):
    """The files of ours that a file imports, or takes a name from."""
    names = {module_name(path) for path in FILES}
    within = module_name(path).split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*within[: len(within) - node.level + 1]]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield whole if whole in names else ".".join(base)


def test_the_page_lists_the_rooms():
    """docs/architecture.md has the rooms in their order."""
    page = Path(__file__).parents[1] / "docs" / "architecture.md"
    rows = re.findall(r"^\| `(_\w+)` \|", page.read_text(encoding="utf8"), re.MULTILINE)
    folders = {face.parent.name for face in PACKAGE.glob("*/__init__.py")}
    assert rows == [name for name in ROOMS if name in folders]


def test_each_room_says_what_is_in_it():
    """The face of a room is short, and names every file of the room."""
    for face in PACKAGE.glob("*/__init__.py"):
        text = face.read_text(encoding="utf8")
        assert len(text.splitlines()) <= 40, face
        files = {path.stem for path in face.parent.iterdir() if path.suffix == ".py"}
        files |= {path.parent.name for path in face.parent.glob("*/__init__.py")}
        named = set(re.findall(r"`(\w+)`", text))
        assert files - {"__init__"} <= named, face


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


def names_of_kinds():
    """The names of the kinds that files have, and of nodes that are of no kind."""
    from zodiax_io._kinds.lookup import KINDS

    return {kind.name for kind in KINDS} | {"same", "probe", "unknown"}


def gives_a_kind(node):
    """Whether an expression is the name of a kind: `kind.name`, or `node["kind"]`."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "kind"
    if isinstance(node, ast.Call):
        got = isinstance(node.func, ast.Attribute) and node.func.attr == "get"
        first = node.args[0] if node.args else None
        if got and isinstance(first, ast.Constant) and first.value == "kind":
            return True
        of_text = isinstance(node.func, ast.Name) and node.func.id == "str"
        return of_text and any(map(gives_a_kind, node.args))
    if isinstance(node, ast.Attribute):
        owner = ast.unparse(node.value).rpartition(".")[2]
        return (node.attr, owner) in {
            *(("name", "kind"), ("name", "row")),
            *(("kind", "item"), ("kind", "origin"), ("kind", "_origin")),
        }
    return False


def kept_in_variables(tree):
    """The variables that hold the name of a kind, perhaps one of several in a line."""
    held = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            values = getattr(node.value, "elts", [node.value])
            for target in node.targets:
                targets = getattr(target, "elts", [target])
                pairs = zip(targets, values, strict=False)
                held |= {
                    name.id
                    for name, value in pairs
                    if isinstance(name, ast.Name) and gives_a_kind(value)
                }
    return held


def texts_in(nodes):
    return {
        part.value
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and type(part.value) is str
    }


def lines_with_kinds(tree):
    """The lines where a kind is known by its name."""
    names, held = names_of_kinds(), kept_in_variables(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = [
                side
                for side in sides
                if gives_a_kind(side)
                or (isinstance(side, ast.Name) and side.id in held)
            ]
            others = [side for side in sides if side not in asked]
            if asked and texts_in(others) - {"."}:
                yield node.lineno
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
            parts = node.keys if isinstance(node, ast.Dict) else node.elts
            texts = [part.value for part in parts if isinstance(part, ast.Constant)]
            if len(texts) == len(parts) >= 2 and set(texts) <= names:
                yield node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "split":
            words = " ".join(texts_in([node.value])).split()
            if len(words) >= 2 and set(words) <= names:
                yield node.lineno


# The reader of old files writes nodes, and gives them their kinds.
@pytest.mark.parametrize(
    "path",
    [path for path in FILES if not {"_kinds", "legacy"} & {*path.parts}],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_kind_is_known_by_its_row_alone(path):
    """No other room compares the name of a kind with a text, or lists some kinds."""
    assert list(lines_with_kinds(ast.parse(path.read_text(encoding="utf8")))) == []


@pytest.mark.parametrize(
    "text",
    [
        'node["kind"] == "jax"',
        'node.get("kind") != "same"',
        'str(node["kind"]) in ("jax", "else")',
        'node["kind"] in {"jax": 1}',
        'kind.name == "module"',
        'item.kind == "key"',
        'kind = node["kind"]\nif kind == "none": pass',
        'kind, value = str(node["kind"]), None\nif kind == "none": pass',
        'PLAIN = "none bool int".split()',
        'SETS = frozenset({"set", "frozenset"})',
        'WORDS = {"none": "None", "class": "the class"}',
    ],
)
def test_a_test_of_a_kind_is_found(text):
    """The test above sees each way in which a module could know a kind by its name."""
    assert list(lines_with_kinds(ast.parse(text)))


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
