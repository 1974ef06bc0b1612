"""A glob means the same wherever one is given."""

import json
import shutil
import subprocess
from importlib import resources

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, strategies as some

import zodiax_io
from zodiax_io import ArgumentError, diff, summarise
from zodiax_io._structure.globs import start_of_texts, steps_of_text
from zodiax_io._structure.nodes import Structure
from zodiax_io._structure.paths import path_text
from zodiax_io._structure.selection import select

NAMES = st.sampled_from(["a", "b", "ab", "bias", "model", "0", "*", "x y", "'"])
TREES = st.recursive(
    st.integers(0, 9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, (list, dict)))
STEPS = st.sampled_from(
    ["a", "*", "**", "b*", "?", "0", "model", "bias", "['*']", "['a']", "[0]", "[*]"]
)


def glob_of(steps):
    """The steps of a glob, with dots between names."""
    text = "".join(step if step.startswith("[") else f".{step}" for step in steps)
    return text.removeprefix(".")


def fitting(tree, glob):
    """The paths that a search finds."""
    return [item.path for item in summarise(tree).found(glob)]


def more(tree):
    """The same tree with other numbers."""
    if isinstance(tree, dict):
        return {key: more(child) for key, child in tree.items()}
    return [more(child) for child in tree] if isinstance(tree, list) else tree + 10


def is_below(path, above):
    return path.startswith(above) and path[len(above) : len(above) + 1] in ("", "[")


@given(TREES, some.lists(STEPS, min_size=1, max_size=4))
@example({"a": {"b": 1}, "b": 2}, ["*", "b"])
@example({"model": {"a": 1}}, ["*", "a"])
@example([[1], 2], ["**", "[0]"])
def test_all_who_take_a_glob_agree(tree, steps):
    """`only=`, a search and `diff(ignore=)` mean the same nodes."""
    glob = glob_of(steps)
    found = fitting(tree, glob)
    changed = {change.path for change in diff(tree, more(tree)).changes}
    left = {change.path for change in diff(tree, more(tree), ignore=[glob]).changes}
    assert changed - left == {
        path for path in changed if any(is_below(path, one) for one in found)
    }
    structure = Structure.parse(zodiax_io.build_structure(tree))
    try:
        places = select(structure, [glob], "The file").places
    except ArgumentError as error:
        assert found == [] or "means several nodes" in str(error)
        return
    chosen = {path_text(path) for path, _ in places}
    assert chosen <= set(found)
    assert all(any(is_below(path, one) for one in chosen) for path in found)


@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("**.bias", ["model['layers'][0]['bias']", "model['bias']"]),
        ("*.bias", ["model['bias']"]),
        ("layers.*.bias", ["model['layers'][0]['bias']"]),
        ("model.layers[*].b*", ["model['layers'][0]['bias']"]),
        ("b?as", ["model['bias']"]),
        ("['bias']", ["model['bias']"]),
        ("['b*']", []),
        ("layers[0]", ["model['layers'][0]"]),
    ],
)
def test_what_globs_mean(glob, paths):
    """`*` stays within one step, `**` is any number, quotes mean a key as it is."""
    assert fitting({"layers": [{"bias": 1}], "bias": 2}, glob) == paths


def test_a_glob_within_a_part():
    """The path of the part counts, with the root and without."""
    summary = summarise({"layers": [{"bias": 1}]}, "layers[0]")
    for glob in ("layers[0].bias", "model.layers[0].bias", "**.bias"):
        assert [item.path for item in summary.found(glob)] == [
            "model['layers'][0]['bias']"
        ]
    assert summary.found("bias") == []


@pytest.mark.parametrize("glob", ["a..b", "[", "a[", "a]", ""])
def test_globs_that_are_not_paths(glob):
    """They are refused, with the name of the argument."""
    for name, call in {
        "pattern": lambda: summarise([1]).found(glob),
        "ignore": lambda: diff([1], [1], ignore=[glob]),
        "at": lambda: summarise([1], glob),
    }.items():
        with pytest.raises(ArgumentError, match=f"^`{name}` has "):
            call()


def test_one_path_is_not_a_glob():
    """A part is one node, so that no other is shown in its place."""
    with pytest.raises(ArgumentError) as caught:
        summarise([[1], [2]], "[*]")
    assert str(caught.value) == "`at` is one path, not a glob: '[*]'."


CASES = st.tuples(
    st.lists(STEPS, min_size=1, max_size=5).map(glob_of),
    st.lists(st.sampled_from(["['a']", "['b']", "[0]", ".a", ".bias", ".model"])).map(
        lambda steps: "model" + "".join(steps)
    ),
)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_page_agrees():
    """The search of a page, which is JavaScript, finds what Python finds."""
    cases: list[tuple[str, str]] = []

    @given(st.lists(CASES, min_size=20))
    def gather(some_cases):
        cases.extend(some_cases)

    gather()
    code = resources.files("zodiax_io._look").joinpath("page.js").read_text()
    start = code.index("  function stepsOf")
    program = (
        code[start : code.index("  function fits(")]
        + """
        const cases = JSON.parse(require("fs").readFileSync(0));
        const fits = ([glob, path]) => globFitsPath(stepsOf(glob), stepsOf(path));
        console.log(JSON.stringify(cases.map(fits)));
        """
    )
    run = subprocess.run(
        ["node", "-e", program],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == [in_python(*case) for case in cases]


def in_python(glob, path):
    position = start_of_texts([glob], "model", "glob")
    for step in steps_of_text(path)[1:]:
        position = position.after(step)
    return bool(position.ends)
