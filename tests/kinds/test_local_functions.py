"""Local functions and lambdas of the user's code: kept by their place and a digest."""

import functools
import itertools
import re
import sys
import textwrap
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zodiax_io

SOURCE = """
    import equinox as eqx
    import jax.numpy as jnp


    class Tied(eqx.Module):
        where: object
        get: object
        scale: object

        def __init__(self, k=2.0):
            self.where = lambda p: p[1] + 1
            self.get = lambda p: p[0] + 2

            def scale(x: float, *, by=10, offset: int = 3) -> float:
                return k * x * by + offset
            self.scale = scale


    def make(first="a"):
        def outer(x):
            return (lambda y: (first, x, y, x in {1, 2, 3}))
        return outer


    def count():
        n = 0
        def up():
            nonlocal n
            n += 1
            return n
        return up
    def both():
        n = 0
        def up():
            nonlocal n
            n += 1
        def read():
            return n
        return up, read
    def unset(given):
        if given:
            n = 1
        return lambda: n
"""
_names = itertools.count()


@pytest.fixture
def folder(request, tmp_path):
    """The folder of the module: the user's, or that of installed packages."""
    return tmp_path / getattr(request, "param", "own")


@pytest.fixture
def module(folder, monkeypatch):
    """Write and import a module of the user, and import it again after an edit."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    name = f"own_functions_{next(_names)}"

    def module(*edits: tuple[str, str]) -> Any:
        text = textwrap.dedent(SOURCE)
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (folder / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return __import__(name)

    yield module
    sys.modules.pop(name, None)


def test_local_functions_come_back(module, tmp_path):
    """Lambdas of a method come back with variables, defaults and annotations."""
    made = module().Tied(3.0)
    zodiax_io.serialise(tmp_path / "m.zdx", made)
    loaded = zodiax_io.deserialise(tmp_path / "m.zdx")
    assert loaded.where.__code__ is made.where.__code__
    assert loaded.get.__code__ is made.get.__code__
    assert loaded.scale(2.0) == made.scale(2.0) == 63.0
    for name in ("__kwdefaults__", "__annotations__", "__qualname__", "__module__"):
        assert getattr(loaded.scale, name) == getattr(made.scale, name)


def test_functions_within_local_functions_come_back(module, tmp_path):
    """Any depth will do; text in its variables asks for trust, as in a partial."""
    own = module()
    zodiax_io.serialise(tmp_path / "m.zdx", [own.make()(1)])
    with pytest.raises(zodiax_io.UntrustedError, match="arguments that the file"):
        zodiax_io.deserialise(tmp_path / "m.zdx")
    [loaded] = zodiax_io.deserialise(tmp_path / "m.zdx", trusted=[own.__name__])
    assert loaded(5) == ("a", 1, 5, True)


HARMLESS = {
    "nothing": (),
    "the line": (("import jax.numpy as jnp", "import jax.numpy as jnp\n\n# moved"),),
    "another function before": (
        ("        self.where =", "        _ = lambda p: p[9]\n        self.where ="),
    ),
    "a comment": (("p[1] + 1", "p[1] + 1  # comment"),),
    "a default, which the file holds": (("by=10", "by=11"),),
    "the order": (
        (
            "self.where = lambda p: p[1] + 1\n        self.get = lambda p: p[0] + 2",
            "self.get = lambda p: p[0] + 2\n        self.where = lambda p: p[1] + 1",
        ),
    ),
}


@pytest.mark.parametrize("release", ["same", "other"])
@pytest.mark.parametrize("what", HARMLESS)
def test_edits_elsewhere_leave_a_local_function_what_it_was(
    module, tmp_path, monkeypatch, what, release
):
    """Functions are found where they went to, also by another release of Python."""
    from zodiax_io._kinds import closures, digests

    monkeypatch.setattr(digests, "_STARTED", float("inf"))
    zodiax_io.serialise(tmp_path / "m.zdx", module().Tied(3.0))
    if release == "other":
        monkeypatch.setattr(closures, "python", lambda: "another")
    module(*HARMLESS[what])
    loaded = zodiax_io.deserialise(tmp_path / "m.zdx")
    assert (loaded.where([0, 1]), loaded.get([0, 1])) == (2, 2)
    assert loaded.scale(2.0) == 63.0


EDITS = {
    "a constant": ("p[1] + 1", "p[1] + 4"),
    "an operator": ("p[1] + 1", "p[1] - 1"),
    "the body": ("p[1] + 1", "p[1] + p[0]"),
    "a name": ("p[1] + 1", "q[1] + 1"),
    "a parameter": ("lambda p: p[1] + 1", "lambda p, q: p[1] + 1"),
    "gone": ("lambda p: p[1] + 1", "jnp.sin"),
    "into another": ("p[1] + 1", "p[0] + 2"),
}


@pytest.mark.parametrize("release", ["same", "other"])
@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_an_error(module, tmp_path, monkeypatch, what, release):
    """Another function is never taken for the one that was saved."""
    from zodiax_io._kinds import closures, digests

    monkeypatch.setattr(digests, "_STARTED", float("inf"))
    path = tmp_path / "m.zdx"
    zodiax_io.serialise(path, module().Tied())
    module(EDITS[what])
    if release == "other":
        monkeypatch.setattr(closures, "python", lambda: "another")
    with pytest.raises(zodiax_io.ClassChangedError) as caught:
        zodiax_io.deserialise(path)
    assert str(caught.value) == (
        "m.eqx: `model.where` is the local function "
        "`Tied.__init__.<locals>.<lambda>`, which was edited since it was saved. Load "
        "the file with the source of that time, or write the function by `def` at the "
        "top level of a module and save again."
    )


@pytest.mark.parametrize("lost", ["when saving", "when loading"])
def test_another_python_needs_the_source(module, tmp_path, monkeypatch, lost):
    """Bytecode of another release cannot be compared: without source, an error."""
    from zodiax_io._kinds import closures, digests

    path = tmp_path / "m.zdx"
    # A source that changed after the start may not be what runs.
    monkeypatch.setattr(digests, "_STARTED", 0.0 if lost == "when saving" else 1e18)
    zodiax_io.serialise(path, module().Tied())
    monkeypatch.setattr(digests, "_STARTED", 1e18 if lost == "when saving" else 0.0)
    zodiax_io.deserialise(path)  # by its bytecode
    monkeypatch.setattr(closures, "python", lambda: "another")
    with pytest.raises(zodiax_io.ClassChangedError) as caught:
        zodiax_io.deserialise(path)
    assert str(caught.value) == (
        "m.eqx: `model.where` is the local function "
        "`Tied.__init__.<locals>.<lambda>`, which was saved by another release of "
        "Python, and its source cannot be compared. Load it with the Python that saved "
        "it, or write it by `def` at the top level of a module and save again."
    )


def test_another_patch_level_needs_no_source(module, tmp_path, monkeypatch):
    """Bytecode that is equal under one set of instructions is the same function."""
    from zodiax_io._kinds import closures, digests

    path = tmp_path / "m.zdx"
    monkeypatch.setattr(digests, "_STARTED", 0.0)
    made = module().Tied()
    zodiax_io.serialise(path, made)
    tag, _, optimised = digests.python().split(" ")
    monkeypatch.setattr(closures, "python", lambda: f"{tag} 0 {optimised}")
    assert zodiax_io.deserialise(path).where.__code__ is made.where.__code__
    monkeypatch.setattr(closures, "python", lambda: f"{tag} 0 {optimised}1")
    with pytest.raises(zodiax_io.ClassChangedError, match="another release of Python"):
        zodiax_io.deserialise(path)


ANYWHERE = pytest.mark.parametrize(
    "folder", ["own", "site-packages"], indirect=True, ids=["own", "installed"]
)


@ANYWHERE
def test_variables_that_functions_share_and_assign_are_refused(module):
    """A counter would count by itself after a load, the user's or a package's."""
    for function in module().both():
        with pytest.raises(zodiax_io.SerialisationError, match="no name to be found"):
            zodiax_io.build_structure([function])


def test_a_variable_that_ones_own_function_assigns_is_refused(module):
    """A loop may make several that share it."""
    with pytest.raises(zodiax_io.SerialisationError, match="no name to be found by"):
        zodiax_io.build_structure([module().count()])


@pytest.mark.parametrize("folder", ["site-packages"], indirect=True)
def test_a_package_may_assign_a_variable_of_one_function(module, tmp_path):
    """Schedules of optax convert what they were given."""
    made = module()
    count = made.count()
    assert count() == 1
    zodiax_io.serialise(tmp_path / "m.zdx", count)
    loaded = zodiax_io.deserialise(tmp_path / "m.zdx", trusted=[made.__name__])
    assert (loaded(), count()) == (2, 2)


@ANYWHERE
def test_a_variable_without_a_value_has_none(module, tmp_path):
    """A variable that only some calls assign."""
    made = module()
    zodiax_io.serialise(tmp_path / "m.zdx", [made.unset(False), made.unset(True)])
    one, other = zodiax_io.deserialise(tmp_path / "m.zdx", trusted=[made.__name__])
    assert other() == 1
    with pytest.raises(NameError):
        one()


@ANYWHERE
def test_annotations_come_back(module, tmp_path):
    """Those of an installed package's local functions do, too."""
    made = module()
    zodiax_io.serialise(tmp_path / "m.zdx", made.Tied(3.0).scale)
    loaded = zodiax_io.deserialise(tmp_path / "m.zdx", trusted=[made.__name__])
    assert loaded.__annotations__ == {"x": float, "offset": int, "return": float}


def test_a_function_whose_maker_has_gone_is_refused(module):
    """Where the maker is another function now, nothing leads to what it made."""
    made = module().Tied().where
    module()
    edited = module(("p[1] + 1", "p[1] + 5"))
    assert edited.Tied().where.__code__ != made.__code__
    with pytest.raises(zodiax_io.SerialisationError, match="no name to be found by"):
        zodiax_io.build_structure([made])


RECURSIVE = """


    import functools
    import jax


    def direct():
        def f(n):
            return n if n == 0 else f(n - 1)
        return f


    def mutual():
        def even(n):
            return n == 0 or odd(n - 1)
        def odd(n):
            return n != 0 and even(n - 1)
        return even


    def jitted():
        @jax.jit
        def f(n):
            return f(n)
        return f


    def filtered():
        @eqx.filter_jit
        def f(n):
            return f(n)
        return f


    def partly():
        def f(n):
            return g(n)
        g = functools.partial(f, 1)
        return f


    def in_a_dict():
        table = {}
        def f(n):
            return table["f"](n)
        table["f"] = f
        return f


    def in_a_module():
        def f(n):
            return layer(n)
        layer = eqx.nn.Lambda(f)
        return f
"""
MAKERS = {
    "direct": "direct.<locals>.f",
    "mutual": "mutual.<locals>.even",
    "jitted": "jitted.<locals>.f",
    "filtered": "filtered.<locals>.f",
    "partly": "partly.<locals>.f",
    "in_a_dict": "in_a_dict.<locals>.f",
    "in_a_module": "in_a_module.<locals>.f",
}


@pytest.mark.parametrize("maker", MAKERS)
def test_recursive_functions(module, tmp_path, maker):
    """One that contains itself is refused with advice, or leaves a placeholder."""
    own = module(("def count():", textwrap.dedent(RECURSIVE) + "\n\ndef count():"))
    function = getattr(own, maker)()
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(tmp_path / "m", [function, 1.0])
    assert str(caught.value).partition("`. ")[2] == (
        f"The local function `{MAKERS[maker]}` refers to itself, as recursive "
        "functions do, so that it would contain itself. Write it by `def` at the "
        'top level of a module, or keep its source text only by `functions="warn"`.'
    )
    with pytest.warns(zodiax_io.PlaceholderWarning, match=MAKERS[maker]) as caught:
        zodiax_io.serialise(tmp_path / "m", [function, 1.0], functions="warn")
    (path,) = re.findall(r"`(model.*)`: ", str(caught[0].message))
    assert zodiax_io.deserialise(tmp_path / "m")[1] == 1.0
    loaded = zodiax_io.deserialise(tmp_path / "m", fill={path: abs})
    assert loaded[0](-3) == 3


def test_two_functions_that_call_each_other_leave_two_placeholders(module, tmp_path):
    """Both are in the tree, and one failure does not stand in the way of the other."""
    own = module(("def count():", textwrap.dedent(RECURSIVE) + "\n\ndef count():"))
    even = own.mutual()
    (odd,) = (cell.cell_contents for cell in even.__closure__)
    with pytest.warns(zodiax_io.PlaceholderWarning):
        zodiax_io.serialise(tmp_path / "m", [even, odd, even], functions="warn")
    loaded = zodiax_io.deserialise(tmp_path / "m")
    assert [type(one) for one in loaded] == 3 * [zodiax_io.Placeholder]


def test_jitted_functions_that_jax_cannot_refer_to():
    """A file with one would crash jaxlib, so that neither side takes it."""
    with pytest.raises(zodiax_io.SerialisationError, match="has no weak references"):
        zodiax_io.build_structure(jax.jit(np.sin))
    structure = zodiax_io.build_structure(jax.jit(jnp.sin))
    structure["node"]["function"]["type"] = "numpy:sin"
    with pytest.raises(zodiax_io.CorruptFileError, match="has no weak references"):
        zodiax_io.load_structure(structure)


# Its module is nowhere, so that it has no place.
NAMELESS = types.FunctionType((lambda x: x).__code__, {"__name__": "made_up"})
WRAPPERS = {
    "jit": jax.jit,
    "filter_jit": eqx.filter_jit,
    "vmap": jax.vmap,
    "filter_vmap": eqx.filter_vmap,
    "grad": jax.grad,
    "filter_grad": eqx.filter_grad,
    "checkpoint": jax.checkpoint,
    "partial": lambda function: functools.partial(function, 2.0),
    "jit of vmap": lambda function: jax.jit(jax.vmap(function)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_placeholders_within_wrappers_load(tmp_path, name):
    """A file with `functions="warn"` loads, and says when called what is missing."""
    path = tmp_path / "m.zdx"
    with pytest.warns(zodiax_io.PlaceholderWarning) as caught:
        zodiax_io.serialise(path, [WRAPPERS[name](NAMELESS), 1.5], functions="warn")
    (place,) = re.findall(r"`(model.*)`: ", str(caught[0].message))
    for file in (path, tmp_path / "again.zdx"):
        loaded, number = zodiax_io.deserialise(file)
        assert number == 1.5
        with pytest.raises(zodiax_io.PlaceholderError, match="could not be saved"):
            loaded(jnp.ones(3))
        zodiax_io.serialise(tmp_path / "again.zdx", [loaded, number])
    zodiax_io.deserialise(path, fill={place: jnp.sin})


def test_a_local_function_is_shown_by_its_place(module):
    """Not by the class whose method made it."""
    own = module()
    shown = zodiax_io.summarise(own.Tied(3.0))
    where = f"{own.__name__}:Tied.__init__.<locals>.<lambda>"
    assert [item.type for item in shown.root.items[:2]] == [where, where]
    assert [item.path for item in shown.found(cls="Tied")] == ["model"]
