"""What users read when something goes wrong."""

import builtins
import inspect
import io
import linecache
import os
import sys
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from documents import Checkpoint, container, leaf, load_node, named

import zodiax_io
from zodiax_io import _errors, deserialise, load_structure, serialise

ERRORS = {
    "ArgumentError": ValueError,
    "ClassChangedError": TypeError,
    "CorruptFileError": ValueError,
    "MissingFileError": FileNotFoundError,
    "MissingPackageError": ImportError,
    "NotAFileError": IsADirectoryError,
    "PlaceholderError": NotImplementedError,
    "ReadError": OSError,
    "RecursionLimitError": RecursionError,
    "ResourceError": MemoryError,
    "SaveError": OSError,
    "SerialisationError": TypeError,
    "NewerFormatError": ValueError,
    "SettingsError": RuntimeError,
    "UnknownFormatError": ValueError,
    "UntrustedError": ValueError,
    "VersionMismatchError": RuntimeError,
    "ZodiaxIOError": Exception,
}
WARNINGS = {
    "ClassChangedWarning": UserWarning,
    "DamagedWarning": UserWarning,
    "MixedPairWarning": UserWarning,
    "OldFileWarning": UserWarning,
    "PartialLoadWarning": UserWarning,
    "PlaceholderWarning": UserWarning,
    "VersionMismatchWarning": UserWarning,
    "ZodiaxIOWarning": UserWarning,
}
CLASSES = [
    cls
    for _, cls in inspect.getmembers(_errors, inspect.isclass)
    if issubclass(cls, BaseException) and cls.__module__ == _errors.__name__
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_class_has_the_base_and_the_builtin(cls):
    """Each error and warning is of our family, and the builtin one would catch."""
    expected = (ERRORS | WARNINGS)[cls.__name__]
    assert expected.__module__ == builtins.__name__
    assert issubclass(cls, expected)
    family = _errors.ZodiaxIOWarning if cls.__name__ in WARNINGS else None
    assert issubclass(cls, family or _errors.ZodiaxIOError)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_class_is_public(cls):
    """Each can be caught by its public name."""
    assert getattr(zodiax_io, cls.__name__) is cls
    assert cls.__doc__


def test_tables_are_complete():
    """Every class of the module is in the tables above."""
    assert {cls.__name__ for cls in CLASSES} == ERRORS.keys() | WARNINGS.keys()


# Saving -------------------------------------------------------------------------------


class Handle:
    def __init__(self):
        self.number = 3

    def __getstate__(self):
        return {}


def refusal(tree, **options):
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        serialise(io.BytesIO(), tree, **options)
    return caught.value


def test_object_without_a_kind():
    """An object that no kind keeps is named with its path and what to do."""
    error = refusal({"lens": [Handle()]})
    assert str(error) == (
        f"Cannot serialise a `{__name__}.Handle` at `model['lens'][0]`. Its "
        "class defines `__getstate__`: it may be more than its attributes. Keep its "
        "parts, and make it again from them; or register a kind for it with "
        "`zodiax_io.register_kind`."
    )
    assert error.path == "model['lens'][0]"


NAMELESS = [lambda x: x]  # made by no function


def test_lambda():
    """A lambda is named with the line it was written at."""
    error = refusal({"f": NAMELESS[0]})
    line = NAMELESS[0].__code__.co_firstlineno
    assert str(error) == (
        "Cannot serialise a `builtins.function` at `model['f']`. It has no name to "
        f"be found by (written at {__file__}:{line}): it is a lambda, a local "
        "function or a wrapper. Write it by `def` at the top level of a module, give "
        'it a name by `zodiax_io.register(function, alias="package.module:name")`, or '
        'keep its source text only by `functions="warn"`.'
    )


def test_local_class():
    """A class defined inside a function cannot be found again."""

    class Local(eqx.Module):
        pass

    error = refusal([Local()])
    assert str(error) == (
        f"Cannot serialise a `{__name__}.test_local_class.<locals>.Local` at "
        "`model[0]`. `test_local_class.<locals>.Local` is defined inside a function, "
        "where no load finds it. Define it at the top level of a module, or name it "
        'by `zodiax_io.register(obj, alias="package.module:Name")`.'
    )


def test_tracer():
    """A tracer has no values yet."""
    messages = []

    @jax.jit
    def f(x):
        messages.append(str(refusal(x)))
        return x

    f(jnp.ones(2))
    assert messages[0].endswith(
        "at `model`. It is a tracer: its values do not exist yet. Save outside of "
        "`jax.jit`, `jax.grad` and `jax.vmap`."
    )


def test_deleted_array():
    """A donated array has no values any more."""
    array = jnp.ones(2)
    array.delete()
    assert str(refusal(array)).endswith(
        "at `model`. Its buffer has been deleted or donated. Save it before passing it "
        "to a function that donates its arguments."
    )


def test_object_array():
    """An array of Python objects is refused by its dtype."""
    assert str(refusal([np.array([{}, {}])])) == (
        "Cannot serialise a `numpy.ndarray` at `model[0]`. Its dtype object refers to "
        "Python objects. Keep a numeric array, or lists of plain values, instead."
    )


def test_cycle():
    """A tree that contains itself is refused where it does."""
    tree = {"a": []}
    tree["a"].append(tree)
    assert str(refusal(tree)) == (
        "Cannot serialise `model['a'][0]`: it contains itself. JAX cannot flatten a "
        "cycle either; break it, for example by an index."
    )


def test_deep_tree():
    """A tree nested too deeply is refused, with advice."""
    tree = []
    for _ in range(600):
        tree = [tree]
    message = str(refusal(tree))
    assert message.startswith("Cannot serialise `model[0][0]")
    assert message.endswith(
        "the tree is nested more than 500 levels deep, and JAX itself fails soon "
        "after. Keep long chains as a list instead."
    )


def test_subclass_of_a_container():
    """A tuple with more than its items, which no file may build, is refused."""
    assert str(refusal(os.stat("."))).endswith(
        "at `model`. It may be more than the contents of a `tuple` and its attributes. "
        "Convert it to a plain `tuple`; or register a kind for it with "
        "`zodiax_io.register_kind`."
    )


def test_names_are_escaped():
    """What a user or a file wrote cannot play tricks on the terminal."""
    error = refusal({"\x1b[31mred": Handle()})
    assert "\x1b" not in str(error)


def test_long_names_are_cut():
    """A long name does not bury the message."""
    error = refusal({"a" * 10_000: Handle()})
    assert len(str(error)) < 500


# Arguments ----------------------------------------------------------------------------

ARGUMENTS = {
    "backend": (
        lambda file: serialise(file, 1, backend="hdf5"),
        "`backend` is one of \"eqx\", not 'hdf5'.",
    ),
    "functions": (
        lambda file: serialise(file, 1, functions="drop"),
        '`functions` is "error" or "warn", not \'drop\'.',
    ),
    "versions": (
        lambda file: deserialise(file, versions="maybe"),
        '`versions` is "warn", "error" or "ignore", not \'maybe\'.',
    ),
    "trusted text": (
        lambda file: deserialise(file, trusted=["my lab"]),
        '`trusted` takes names of packages such as "mylab", classes and functions, '
        "not 'my lab'.",
    ),
    "trusted everything": (
        lambda file: deserialise(file, trusted=["*"]),
        '`trusted` takes names of packages such as "mylab", classes and functions, '
        "not '*'.",
    ),
    "trusted number": (
        lambda file: deserialise(file, trusted=[3]),
        '`trusted` takes names of packages such as "mylab", classes and functions, '
        "not a int.",
    ),
}


@pytest.mark.parametrize(("call", "message"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_argument(call, message):
    """A wrong argument is named, with the values it may have."""
    file = io.BytesIO()
    with pytest.raises(zodiax_io.ArgumentError) as caught:
        call(file)
    assert str(caught.value) == message
    assert file.getvalue() == b""


@pytest.mark.parametrize("trusted", [3, {"mylab": True}, [None]])
def test_trusted_is_a_list(trusted):
    """`trusted` that is no list is an error of ours."""
    with pytest.raises(zodiax_io.ArgumentError):
        deserialise(io.BytesIO(), trusted=trusted)


# Loading ------------------------------------------------------------------------------


class Lens(eqx.Module):
    radius: float
    name: str = eqx.field(static=True)


def test_changed_fields():
    """A class whose fields changed is named with both sides."""
    checkpoint = Checkpoint.of([Lens(1.0, "a")])
    node = checkpoint.tree["node"][0]
    del node["node"]["radius"]
    node["absent"] = ["depth"]
    with pytest.raises(zodiax_io.ClassChangedError) as caught:
        checkpoint.load()
    assert str(caught.value) == (
        f"The file: the fields of `{__name__}:Lens` at `model[0]` have changed since "
        "they were saved: only the class has `radius`; only the file has `depth`. A "
        "new field without a default must be made from the saved fields. Write an "
        "upgrade next to the class, and load again:\n\n"
        "    def upgrade(fields):\n"
        '        fields["radius"] = fields.pop("depth")\n'
        "        return fields\n    \n"
        '    zodiax_io.upgraded(Lens, upgrade, fields=["depth"])'
    )


def test_wide_arrays_need_wide_settings():
    """A 64-bit JAX array is not narrowed in silence."""
    jax.config.update("jax_enable_x64", True)
    try:
        checkpoint = Checkpoint.of({"a": jnp.ones(2), "b": jnp.arange(2)})
    finally:
        jax.config.update("jax_enable_x64", False)
    with pytest.raises(zodiax_io.SettingsError) as caught:
        checkpoint.load()
    assert str(caught.value) == (
        "The file holds 64-bit JAX arrays (float64 at `model['a']` and 1 more), which "
        "JAX would narrow to 32 bits as it is set here. Call "
        '`jax.config.update("jax_enable_x64", True)` before loading.'
    )


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64", "complex128"])
def test_every_wide_dtype_needs_wide_settings(dtype):
    """Not one of the four 64-bit dtypes is narrowed in silence."""
    jax.config.update("jax_enable_x64", True)
    try:
        checkpoint = Checkpoint.of(jnp.ones(2, dtype))
        assert checkpoint.load().dtype == dtype
    finally:
        jax.config.update("jax_enable_x64", False)
    with pytest.raises(zodiax_io.SettingsError):
        checkpoint.load()


def test_refused_names():
    """Refused names come together, with path, reason and what to pass."""
    with pytest.raises(zodiax_io.UntrustedError) as caught:
        load_node(container("list", [named("os:system"), named("hypothesis:given")]))
    assert str(caught.value) == (
        "The file refers to names that are missing or not trusted:\n"
        "  `os:system` at `model[0]` belongs to Python's standard library, which no "
        "file may use.\n"
        "  `hypothesis:given` at `model[1]` is not trusted.\n"
        'For the names that need trust, pass `trusted=["hypothesis"]`.\n'
        'To look at the file without them, pass `unknown="opaque"`.'
    )
    assert [refusal.path for refusal in caught.value.refusals] == [
        "model[0]",
        "model[1]",
    ]
    assert caught.value.trusted == ("hypothesis",)


def test_a_package_that_is_missing():
    """No trust helps: it may be installed, or be called otherwise now."""
    with pytest.raises(zodiax_io.UntrustedError) as caught:
        load_node(named("no_such_lab.optics:f"))
    assert str(caught.value) == (
        "The file refers to names that are missing or not trusted:\n"
        "  `no_such_lab.optics:f` at `model` needs `no_such_lab`, which is neither "
        "imported nor installed; if it was renamed, pass `renames=`.\n"
        'To look at the file without them, pass `unknown="opaque"`.'
    )
    assert caught.value.trusted == ()


def test_refused_names_that_trust_would_help():
    """Where trust is enough, the message says what to pass."""
    with pytest.raises(zodiax_io.UntrustedError) as caught:
        load_node(named("hypothesis:given"))
    assert str(caught.value).endswith(
        '\nIf you trust this file, pass `trusted=["hypothesis"]`.'
        '\nTo look at the file without them, pass `unknown="opaque"`.'
    )


def test_refused_names_of_a_structure():
    """`load_structure` refuses in the same words."""
    with pytest.raises(zodiax_io.UntrustedError) as caught:
        load_structure(named("os:system"))
    assert str(caught.value) == (
        "The structure refers to names that are missing or not trusted:\n"
        "  `os:system` at `model` belongs to Python's standard library, which no file "
        "may use.\n"
        'To look at the file without them, pass `unknown="opaque"`.'
    )


def test_unknown_kind():
    """A kind of a later release says so."""
    with pytest.raises(zodiax_io.UnknownFormatError) as caught:
        load_node(leaf("hologram"))
    assert str(caught.value) == (
        "`model` is of the kind `hologram`, which this release of zodiax_io does not "
        "know. Upgrade zodiax_io."
    )


def test_unknown_backend():
    """A backend of a later release says so."""
    checkpoint = Checkpoint.of(1)
    checkpoint.document["backend"] = {"name": "zarr"}
    with pytest.raises(zodiax_io.UnknownFormatError) as caught:
        checkpoint.load()
    assert str(caught.value) == (
        "The file holds arrays of the backend 'zarr', which this release of "
        "zodiax_io does not have. Upgrade zodiax_io to read it."
    )


def test_array_that_does_not_fit_its_record():
    """Expected and found shapes are told apart by their path."""
    checkpoint = Checkpoint.of({"weight": np.zeros((2, 3))})
    checkpoint.tree["node"]["weight"]["shape"] = [3, 2]
    with pytest.raises(zodiax_io.CorruptFileError) as caught:
        checkpoint.load()
    assert str(caught.value) == (
        "The file: the array at `model['weight']` cannot be read: its record holds "
        "another shape or dtype."
    )


def test_fill_that_fits_nowhere():
    """`fill` names the places there are."""
    with pytest.raises(zodiax_io.ArgumentError) as caught:
        load_node(leaf("none"), fill={"model.f": abs})
    assert str(caught.value) == (
        "`fill` has a function for `model.f`, where no placeholder is. "
        "Paths of placeholders: none."
    )


def test_placeholder_says_how_to_fill_it():
    """Calling a function that could not be saved says how to put it back."""

    def window(x):
        return x

    window.__doc__ = "Not as it was written, so that its place is not its own."
    file = io.BytesIO()
    with pytest.warns(zodiax_io.PlaceholderWarning) as warned:
        serialise(file, [window], functions="warn")
    name = f"{window.__qualname__}"
    assert str(warned[0].message) == (
        "Functions that cannot be found again by name were replaced by placeholders. "
        "When loading, pass them to `deserialise(path, fill={…})`:\n"
        f"  `model[0]`: {name}"
    )
    file.seek(0)
    (placeholder,) = deserialise(file)
    with pytest.raises(zodiax_io.PlaceholderError) as caught:
        placeholder(1.0)
    assert str(caught.value) == (
        f"The function `{name}` at `model[0]` could not be saved, so there is nothing "
        'to call. Put it back by `zodiax_io.deserialise(path, fill={"model[0]": '
        "function})`. Its source was:\n    def window(x):\n        return x"
    )
    file.seek(0)
    assert deserialise(file, fill={"model[0]": window}) == [window]


def test_every_path_in_a_message_is_the_key_to_fill():
    """A path of a dictionary, as warnings print it, is what `fill` takes."""
    file = io.BytesIO()

    def local(x):
        return x

    local.__doc__ = "Not as it was written, so that its place is not its own."
    with pytest.warns(zodiax_io.PlaceholderWarning):
        serialise(file, {"a": {"b c": local}, 3: local}, functions="warn")
    file.seek(0)
    tree = deserialise(file)
    assert tree["a"]["b c"].path == "model['a']['b c']"
    file.seek(0)
    filled = deserialise(file, fill={tree["a"]["b c"].path: abs})
    assert filled["a"]["b c"] is abs


# Warnings -----------------------------------------------------------------------------


def old_checkpoint():
    checkpoint = Checkpoint.of(1)
    checkpoint.document["versions"]["jax"] = "0.0.1"
    return io.BytesIO(checkpoint.companion())


def mixed_pair(folder):
    serialise(folder / "model", 1)
    serialise(folder / "other", 2)
    (folder / "other.eqx").replace(folder / "model.eqx")
    return folder / "model"


def place_of(call):
    """Where the only warning of a call points to, and where the call stands."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert len(caught) == 1
    return caught[0].filename, caught[0].lineno


def test_version_warning_points_at_the_call():
    """The warning about versions shows the line that loads."""
    file = old_checkpoint()
    line = inspect.currentframe().f_lineno + 1
    assert place_of(lambda: deserialise(file)) == (__file__, line)


def test_mixed_pair_warning_points_at_the_call(tmp_path):
    """The warning about a mixed pair shows the line that loads."""
    path = mixed_pair(tmp_path)
    line = inspect.currentframe().f_lineno + 1
    assert place_of(lambda: deserialise(path)) == (__file__, line)
    line = inspect.currentframe().f_lineno + 1
    assert place_of(lambda: zodiax_io.read_metadata(path)) == (__file__, line)


def test_placeholder_warning_points_at_the_call():
    """The warning about placeholders shows the line that saves."""
    line = inspect.currentframe().f_lineno + 2
    place = place_of(
        lambda: serialise(io.BytesIO(), NAMELESS[0], functions="warn"),
    )
    assert place == (__file__, line)


@pytest.mark.parametrize("which", ["versions", "pair"])
def test_warning_in_a_notebook_points_at_the_cell(tmp_path, which):
    """In a notebook the warning shows the line of the cell."""
    path = old_checkpoint() if which == "versions" else mixed_pair(tmp_path)
    cell = "# a cell\n\nmodel = zodiax_io.deserialise(path)\n"
    name = "/tmp/ipykernel_1/123.py"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    space = {"__name__": "__main__", "zodiax_io": zodiax_io, "path": path}
    code = compile(cell, name, "exec")
    try:
        assert place_of(lambda: exec(code, space)) == (name, 3)  # noqa: S102
    finally:
        del linecache.cache[name]


def test_warning_comes_once_for_each_line():
    """Python's default filter shows the warning of one line once, not for ever."""
    data = old_checkpoint().getvalue()
    registry = sys.modules[__name__].__dict__.setdefault("__warningregistry__", {})
    registry.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            deserialise(io.BytesIO(data))
    assert len(caught) == 1
