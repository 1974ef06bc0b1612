"""The documentation is true: its code runs, its tables are those of the code."""

import doctest
import inspect
import io
import json
import os
import pathlib
import re
import runpy
import subprocess
import sys
import types
from contextlib import redirect_stdout

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import reader

import zodiax_io

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *DOCS.rglob("*.md"))
    if not {"_build", "_notebooks"} & set(path.relative_to(ROOT).parts)
)
# A block of code, whether it is marked as not to be run, and the output that follows.
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+ -->\n)?```python\n(?P<code>.*?)\n```\n"
    r"(?:\n```text\n(?P<output>.*?\n)```)?",
    re.DOTALL,
)
OUTPUT = doctest.OutputChecker()
LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module as a user would write it: importable, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("docs_page")
    module.__file__ = str(tmp_path / "docs_page.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.syspath_prepend(tmp_path)  # as a script's own folder is
    # Subprocesses that a page starts find zodiax_io as this one does.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return module


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_code_runs_and_prints_what_the_page_says(page, module):
    """Each Python block of a page runs after those before it."""
    text = (ROOT / page).read_text(encoding="utf8")
    if "\nimport optax\n" in text:
        pytest.importorskip("optax")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python")
    for block in blocks:
        if block["skip"]:
            continue
        line = text.count("\n", 0, block.start("code"))
        source = "\n" * line + block["code"] + "\n"
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(source, page, "exec"), module.__dict__)  # noqa: S102
        if block["output"] is not None:
            assert OUTPUT.check_output(block["output"], printed.getvalue(), LENIENT), (
                f"{page}:{line + 1} prints:\n{printed.getvalue()}"
            )


@pytest.mark.parametrize("name", zodiax_io.__all__)
def test_the_examples_of_a_docstring_run(name, module):
    """The example in the docstring of a public name gives what it says."""
    obj = getattr(zodiax_io, name)
    for test in doctest.DocTestFinder(recurse=False).find(obj, name, module=False):
        test.globs = module.__dict__
        report = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=LENIENT)
        assert runner.run(test, out=report.write).failed == 0, report.getvalue()


def test_every_public_function_has_an_example():
    """A function that a user calls shows how in its docstring."""
    public = [getattr(zodiax_io, name) for name in zodiax_io.__all__]
    functions = [f for f in public if inspect.isfunction(f)]
    assert [f.__name__ for f in functions if ">>> " not in (f.__doc__ or "")] == []


def test_the_example_keeps_a_model(tmp_path):
    """The README's example loads in a new process, and finds the same bits."""
    pytest.importorskip("dLux")
    run = subprocess.run(
        [sys.executable, str(DOCS / "examples" / "keep_a_model.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("the same") == 4


def test_the_page_of_kinds_is_up_to_date():
    """docs/kinds.md is what docs/write_kinds.py writes."""
    page = runpy.run_path(str(DOCS / "write_kinds.py"))["page"]()
    written = (DOCS / "kinds.md").read_text(encoding="utf8")
    assert written == page, "Run `python docs/write_kinds.py`."


def test_the_rules_of_trust_are_up_to_date():
    """docs/security.md has the tables that docs/write_rules.py writes."""
    page = runpy.run_path(str(DOCS / "write_rules.py"))["page"]()
    written = (DOCS / "security.md").read_text(encoding="utf8")
    assert written == page, "Run `python docs/write_rules.py`."


def test_the_page_of_errors_names_every_error_and_its_builtin():
    """docs/guides/errors.md lists each exception and warning that users can meet."""
    page = (DOCS / "guides" / "errors.md").read_text(encoding="utf8")
    base, warning = zodiax_io.ZodiaxIOError, zodiax_io.ZodiaxIOWarning
    for name, cls in vars(zodiax_io).items():
        if not inspect.isclass(cls) or cls in (base, warning):
            continue
        if issubclass(cls, base):
            assert f"| `{name}` | `{cls.__bases__[-1].__name__}` |" in page
        elif issubclass(cls, warning):
            assert f"| `{name}` |" in page


def test_the_format_page_names_every_kind():
    """docs/format.md says what the node of each kind holds."""
    from zodiax_io._kinds.lookup import KINDS

    page = (DOCS / "format.md").read_text(encoding="utf8")
    section = page.partition("## Kinds and their values")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    described = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    # No file holds what is opaque, but what that stands for.
    kept = {k.name for k in KINDS if k.keeps and "." not in k.name} - {"opaque"}
    assert described == kept


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")))
def test_a_notebook_is_stored_with_its_outputs(path):
    """The documentation shows what a notebook gave when it last ran from the top."""
    notebook = json.loads(path.read_text(encoding="utf8"))
    assert notebook["metadata"]["language_info"]["name"] == "python"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    kinds = [out["output_type"] for cell in code for out in cell["outputs"]]
    assert kinds and "error" not in kinds


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")))
def test_a_notebook_shows_nothing_of_the_machine_that_ran_it(path):
    """What is stored of a notebook names no folder of one computer."""
    notebook = json.loads(path.read_text(encoding="utf8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [out for cell in code for out in cell["outputs"]]
    for output in outputs:
        output.get("data", {}).pop("image/png", None)
    shown = json.dumps(outputs)
    places = re.findall(r"/(?:tmp|home|root|Users|var|opt|usr)/[^\s\"]*", shown)
    assert places == []


# The specification of the format ------------------------------------------------------


def _tree() -> dict:
    deep: list = [jnp.arange(2)]
    for _ in range(120):
        deep = [deep]
    shared = np.arange(3.0)
    return {
        "weights": jnp.arange(6, dtype=jnp.float32).reshape(2, 3),
        "half": jnp.array([1.5, -2.0], jnp.bfloat16),
        "eighth": jnp.array([1.5], jnp.float8_e4m3fn),
        "key": jr.key(7),
        "large": np.arange(20_000.0),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "twice": [shared, shared],
        "numbers": {1: True, (2, 3): -(2**70), "z": 1 + 2j},
        "function": jax.nn.relu,
        "deep": deep,
        "utf8": np.array([("a", 1)], [("näme", "U1"), ("数", "i4")]),
    }


def test_a_reader_written_from_the_format_page_reads_our_files(tmp_path):
    """`reader.py`, which knows NumPy, msgpack and xxhash only, reads a file."""
    tree = _tree()
    zodiax_io.serialise(tmp_path / "model.zdx", tree, metadata={"notes": np.ones(2)})

    document, arrays = reader.read((tmp_path / "model.eqx").read_bytes())
    found = reader.plain(document["tree"], arrays)
    notes = reader.plain(document["metadata"], arrays)

    np.testing.assert_array_equal(found["weights"], tree["weights"])
    assert found["half"].tobytes() == np.asarray(tree["half"]).tobytes()
    assert found["eighth"].tobytes() == np.asarray(tree["eighth"]).tobytes()
    np.testing.assert_array_equal(found["key"], jr.key_data(tree["key"]))
    np.testing.assert_array_equal(found["large"], tree["large"])
    np.testing.assert_array_equal(found["fortran"], tree["fortran"])
    assert found["twice"][0] is found["twice"][1]
    assert dict((str(key), value) for key, value in found["numbers"]) == {
        "1": True,
        "[2, 3]": (-(2**70)).to_bytes(9, "little", signed=True),
        "z": [1.0, 2.0],
    }
    assert found["function"] == "jax.nn:relu"
    deep = found["deep"]
    for _ in range(120):
        (deep,) = deep
    np.testing.assert_array_equal(deep[0], [0, 1])
    assert found["utf8"].tobytes() == tree["utf8"].tobytes()
    np.testing.assert_array_equal(notes["notes"], np.ones(2))


def test_the_structure_file_is_the_copy_in_the_companion(tmp_path):
    """Both files of a pair hold the same structure."""
    zodiax_io.serialise(tmp_path / "model.zdx", {"weights": jnp.ones(3)})
    document, _ = reader.read((tmp_path / "model.eqx").read_bytes())
    assert reader.read_structure((tmp_path / "model.zdx").read_bytes()) == document


def test_the_reader_needs_neither_zodiax_io_nor_jax(tmp_path):
    """The reader is what its docstring says: no zodiax_io, no JAX, 80 lines at most."""
    zodiax_io.serialise(tmp_path / "model.zdx", {"weights": jnp.ones(3)})
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'helpers')!r}); "
        "import reader; "
        "reader.read(open('model.eqx', 'rb').read()); "
        "assert not {'jax', 'zodiax_io'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert len(inspect.getsource(reader).splitlines()) <= 80
