"""What is imported and opened while a file is handled: libraries, and the file."""

import importlib
import json
import os
import subprocess
import sys
import textwrap

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from documents import Checkpoint

from zodiax_io._trust import libraries

# Folders ------------------------------------------------------------------------------


def test_the_libraries_of_this_interpreter():
    """The standard library and what is installed are libraries, the tests are not."""
    path = libraries.search_path()
    assert os.path.dirname(os.__file__) in path
    assert libraries.is_library_file(json.__file__)
    assert libraries.is_library_file(np.__file__)
    assert not libraries.is_library_file(__file__)
    assert not libraries.is_library_folder(os.path.dirname(__file__))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on `sys.path`, into which a package was installed (`pip --target`)."""
    libraries._is_library.cache_clear()
    place = tmp_path / "place"
    (place / "lens-1.0.dist-info").mkdir(parents=True)
    (place / "lens-1.0.dist-info" / "RECORD").write_text("lens_of_test.py,,\n")
    (place / "lens_of_test.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(str(place))
    yield place
    for name in ("lens_of_test", "asks_of_test"):
        sys.modules.pop(name, None)


def test_a_folder_with_a_record_is_a_library(folder):
    """As pip --target, PEX and bundlers leave it, whatever the folder is called."""
    assert libraries.is_library_folder(str(folder))
    assert libraries.is_library_file(str(folder / "lens_of_test.py"))
    assert libraries.find_in_libraries("lens_of_test").origin == str(
        folder / "lens_of_test.py"
    )


def test_the_working_folder_is_no_library(folder, monkeypatch):
    """Nor does a `RECORD` make it one: a stranger may have put it there."""
    monkeypatch.chdir(folder)
    assert not libraries.is_library_folder(str(folder))
    assert not libraries.is_library_folder("")
    assert libraries.find_in_libraries("lens_of_test") is None
    assert libraries.find_anywhere("lens_of_test") is not None


def test_a_name_does_not_make_the_working_folder_a_library(tmp_path, monkeypatch):
    """A stranger's archive may hold a folder called `site-packages`."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    assert libraries.is_library_folder(str(folder))
    monkeypatch.chdir(folder)
    assert not libraries.is_library_folder(str(folder))


def test_a_missing_working_folder(tmp_path, monkeypatch):
    """A working folder that was removed is no reason to fail."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert libraries.find_in_libraries("json") is not None


# Imports ------------------------------------------------------------------------------


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A module in the working folder, which Python searches first."""
    (tmp_path / "planted_module.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    yield "planted_module"
    sys.modules.pop("planted_module", None)


def test_a_library_is_not_imported_from_the_working_folder(planted):
    """`import_library` finds what is installed, and nothing else."""
    with pytest.raises(ModuleNotFoundError, match="No module named 'planted_module'"):
        libraries.import_library(planted)
    assert libraries.import_library("json") is json


def test_a_library_may_ask_for_what_is_not_there(folder):
    """Many look for optional packages by `importlib.util.find_spec`: there are none."""
    (folder / "asks_of_test.py").write_text(
        "from importlib.util import find_spec\n"
        "found = [find_spec(name) for name in ('absent_of_test', 'json')]\n"
    )
    found = libraries.import_library("asks_of_test").found
    assert found[0] is None and found[1].name == "json"


def test_what_the_caller_trusts_is_imported_from_anywhere(planted):
    """`import_anywhere` is an import as in the user's own code."""
    assert libraries.import_anywhere(planted).x == 1


def test_what_is_imported_already_is_used(planted):
    """What the user has imported from the working folder is the user's choice."""
    module = importlib.import_module(planted)
    assert libraries.import_library(planted) is module


def test_a_library_on_behalf_of_the_user_imports_from_anywhere(planted):
    """The guard has no say where this package is not involved."""
    assert importlib.util.find_spec(planted) is not None
    assert importlib.import_module(planted).x == 1


def test_metadata_is_looked_for_in_libraries_only(planted, tmp_path, monkeypatch):
    """A library that asks for versions and plugins finds none in the working folder."""
    info = tmp_path / "numpy-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: numpy\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[planted]\nx = planted_module\n")
    (tmp_path / "asks_of_test.py").write_text(
        "import importlib.metadata as m\n"
        "version = m.version('numpy')\n"
        "plugins = list(m.entry_points(group='planted'))\n"
    )
    try:
        seen = libraries.import_anywhere("asks_of_test")
        assert (seen.version, len(seen.plugins)) == ("0.1", 1)
        del sys.modules["asks_of_test"]
        monkeypatch.setattr(libraries, "_is_code_of_library", lambda file: True)
        monkeypatch.setattr(libraries, "find_in_libraries", libraries.find_anywhere)
        seen = libraries.import_library("asks_of_test")
        assert (seen.version, len(seen.plugins)) == (np.__version__, 0)
    finally:
        sys.modules.pop("asks_of_test", None)


def test_a_namespace_package_stays_in_its_folders(folder, tmp_path, monkeypatch):
    """Its other half in the working folder is not seen, however `sys.path` changes."""
    for place in (folder, tmp_path / "here"):
        (place / "space_of_test").mkdir(parents=True)
        (place / "space_of_test" / f"of_{place.name}.py").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    space = libraries.import_library("space_of_test")
    sys.path.append(str(tmp_path))
    try:
        assert list(space.__path__) == [str(folder / "space_of_test")]
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("space_of_test.of_here")
    finally:
        sys.modules.pop("space_of_test")


def run(code, folder, *, timeout=300):
    """A script of its own, at home in a folder; its output."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Every module that Python has, and those of libraries, would run if it were found.
NAMES = sorted(
    {n for n in sys.stdlib_module_names if n.isidentifier()}
    | {n for n in sys.modules if "." not in n and n.isidentifier()}
    | set("treescope tqdm rich IPython ipywidgets notebook_tqdm pandas scipy".split())
    | set("tzdata optax lineax diffrax jax_plugins jax_cuda12_plugin torch".split())
    | set("cloudpickle typeguard beartype colorama sitecustomize matplotlib".split())
)

EVERYTHING = """
    import sys, os, io, contextlib

    import jax, equinox, zodiax_io  # by the user, in a folder of the user's
    folder, mode = os.getcwd(), {mode!r}
    os.chdir("work")
    sys.path.insert(0, "")
    if mode == "used":
        zodiax_io.serialise
        from zodiax_io._cli import main as _cli
    here = os.path.realpath(".")
    checkpoints = {{os.path.join(here, n) for n in ("m.zdx", "m.eqx", "other.eqx")}}
    seen, active = [], [True]

    def hook(event, args):
        if event == "open" and active and isinstance(args[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(args[0]))
            if path.startswith(here) and path not in checkpoints | {{here}}:
                seen.append(path)

    sys.addaudithook(hook)
    calls = {{
        "summarise": lambda: zodiax_io.summarise("m.zdx", values=True),
        "html": lambda: zodiax_io.summarise("m.zdx")._repr_html_(),
        "deserialise": lambda: zodiax_io.deserialise("m.zdx"),
        "versions": lambda: zodiax_io.deserialise("m.eqx", versions="error"),
        "opaque": lambda: zodiax_io.deserialise("other.eqx", unknown="opaque"),
        "opaque again": lambda: str(
            zodiax_io.deserialise("other.eqx", unknown="opaque")),
        "refused": lambda: zodiax_io.deserialise("other.eqx"),
        "lazy": lambda: zodiax_io.deserialise("m.zdx", lazy=True),
        "progress": lambda: zodiax_io.deserialise("m.zdx", progress=True),
        "names": lambda: zodiax_io.names("other.eqx"),
        "untrusted": lambda: zodiax_io.untrusted("other.eqx"),
        "verify": lambda: zodiax_io.verify("m.zdx"),
        "diff": lambda: str(zodiax_io.diff("m.zdx", "other.eqx", atol=1e-3)),
        "metadata": lambda: zodiax_io.read_metadata("m.zdx"),
        "show": lambda: zodiax_io.show("m.zdx", values=True),
        "page": lambda: zodiax_io.show("m.zdx", html=folder + "/page.html"),
        "save": lambda: zodiax_io.serialise(folder + "/again", [jax.numpy.ones(3)]),
        "convert": lambda: zodiax_io.convert("m.zdx", folder + "/converted.eqx"),
    }}
    for name, call in calls.items():
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                call()
            except zodiax_io.ZodiaxIOError as error:
                pass
    from zodiax_io._cli import main as _cli
    for words in ("show m.zdx --values", "show m.zdx --json", "names other.eqx",
                  "diff m.zdx other.eqx", "find .", "verify m.zdx"):
        with contextlib.redirect_stdout(io.StringIO()):
            _cli.main(words.split())
    active.clear()
    print(*sorted(set(seen)), *[n for n in os.listdir(folder) if n.startswith("ran")])
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["used", "not used"])
def test_nothing_beside_a_file_is_imported_or_opened(tmp_path, mode):
    """Whatever is done with a stranger's file, modules and metadata beside it are not.

    The whole package may be loaded before, or at the first call in that folder.
    """
    work = tmp_path / "work"
    work.mkdir()
    tree = {"w": jnp.ones((9, 9)), "key": jr.key(0), "n": np.arange(3.0), "s": "x"}
    checkpoint = Checkpoint.of(tree, metadata={"note": 1})
    checkpoint.document["versions"] |= {"planted": "2", "treescope": "0.1", "rich": "9"}
    (work / "m.eqx").write_bytes(checkpoint.companion())
    (work / "m.zdx").write_bytes(checkpoint.structure())
    other = Checkpoint.of({"w": jnp.ones(3)})
    names = ["planted:f", "optax:adam", "lineax:LU", "html:escape", "tqdm:tqdm"]
    for number, name in enumerate(names):
        node = {"node_type": "leaf", "kind": "function", "type": name}
        other.tree["node"][f"f{number}"] = node
    (work / "other.eqx").write_bytes(other.companion())
    for number, name in enumerate(NAMES):
        code = f"open({str(tmp_path / f'ran-{name}')!r}, 'w').close()\n"
        if number % 2:
            (work / f"{name}.py").write_text(code)
        else:
            (work / name).mkdir()
            (work / name / "__init__.py").write_text(code)
    for name in ("planted", "treescope", "rich", "numpy", "optax", "jax"):
        info = work / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text("")
        (info / "direct_url.json").write_text("{}")
        plugins = f"[jax_plugins]\nx = {name}\n"
        (info / "entry_points.txt").write_text(plugins)
    assert run(EVERYTHING.format(mode=mode), tmp_path).split() == []
