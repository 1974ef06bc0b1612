"""Text of a file never steers a terminal, however it is shown."""

import contextlib
import datetime as dt
import functools
import io
import pathlib
import types
import unicodedata
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from documents import Checkpoint, container, leaf, named
from examples import EXAMPLES
from jaxtyping import Array, Float

import zodiax_io
from zodiax_io import _errors
from zodiax_io._cli import main

# Escape, CSI, bell, carriage return, lines of other sorts, bidirectional overrides and
# isolates, what has no width.
HOSTILE = "x\x1b[31m\x9b2J\x07\r\n\u2028\u202e\u2066\u200by"


def steering(text):
    """What of a text would not be printed as it is, except for the end of a line."""
    return [
        hex(ord(character))
        for character in text
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        and character != "\n"
    ]


NODES = {
    "function": named(f"lab:{HOSTILE}"),
    "missing function": named("lab_of_nobody:f"),
    "kind": leaf(HOSTILE),
    "module": container("module", {HOSTILE: leaf("str", value=HOSTILE)})
    | {"type": f"{HOSTILE}:Lens"},
    "fields": container("module", {HOSTILE: leaf("int", value=1)})
    | {"type": "equinox.nn:Linear", "static": [HOSTILE]},
    "text": leaf("str", value=HOSTILE),
    "placeholder": leaf("placeholder", value=[HOSTILE, HOSTILE, HOSTILE]),
    "member": leaf("enum", type="lab:Colour", value=HOSTILE),
    "key": container("dict", [leaf("int", value=1)])
    | {"keys": [leaf("str", value=HOSTILE)]},
    "dtype": leaf("numpy", dtype=HOSTILE, shape=[1], record=0),
    "field": leaf(
        "numpy",
        dtype={
            "names": [HOSTILE],
            "formats": ["float32"],
            "offsets": [0],
            "itemsize": 4,
            "aligned": False,
        },
        shape=[3],
        record=0,
    ),
    "generator": leaf("key", impl=HOSTILE, dtype="uint32", shape=[2], record=0),
    "scalar": leaf(
        "scalar", dtype="str", value=f"{HOSTILE}\ud800".encode("utf8", "surrogatepass")
    ),
    "scalar type": leaf("scalar_type", value=HOSTILE),
    "decimal": leaf("decimal", value=HOSTILE),
    "path": leaf("path", value=HOSTILE),
    "more": leaf("int", value=1) | {HOSTILE: HOSTILE},
    "node type": {"node_type": HOSTILE, "kind": "int", "value": 1},
}

CALLS = {
    "deserialise": zodiax_io.deserialise,
    "opaque": lambda file: zodiax_io.deserialise(file, unknown="opaque"),
    "trusted": lambda file: zodiax_io.deserialise(file, trusted=["lab"]),
    "error": lambda file: zodiax_io.deserialise(file, versions="error"),
    "like": lambda file: zodiax_io.deserialise(file, like={"w": jnp.ones(3), "z": 1}),
    "only": lambda file: zodiax_io.deserialise(file, only="nothing"),
    "metadata": lambda file: zodiax_io.read_metadata(file, unknown="opaque"),
    "names": zodiax_io.names,
    "untrusted": zodiax_io.untrusted,
    "summarise": lambda file: zodiax_io.summarise(file, values=True),
    "show": zodiax_io.show,
    "diff": lambda file: zodiax_io.diff(file, {"w": 1}),
    "verify": zodiax_io.verify,
    "migration": zodiax_io.migration,
}
COMMANDS = (
    "show FILE --values",
    "show FILE --json",
    "show FILE --textconv",
    "names FILE",
    "diff FILE FILE --json",
    "find FOLDER",
    "find FOLDER --json",
    "verify FILE",
    "migrate FILE",
)


def texts_of(call):
    """All that a call prints, returns, raises or warns, as text."""
    out = io.StringIO()
    found = []
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        warnings.simplefilter("always")
        try:
            result = call()
        except zodiax_io.ZodiaxIOError as error:
            found += [str(error), *getattr(error, "__notes__", [])]
            for name in ("differences", "refusals", "changes"):
                for fact in getattr(error, name, ()):
                    found += [repr(fact), str(fact)]
        else:
            found += [repr(result), str(jax.tree.structure(result))]
            for part in result if isinstance(result, list) else []:
                if not isinstance(part, str):  # which is the text itself
                    found.append(str(part))
            if isinstance(result, zodiax_io.Summary):
                found += [str(result), result._repr_html_()]
            if isinstance(result, dict):
                found += refusals_of(result.get("z"))
    return [*found, *(str(warning.message) for warning in caught), out.getvalue()]


def refusals_of(odd):
    """What is said when an object without code is called."""
    try:
        if isinstance(odd, (zodiax_io.Opaque, zodiax_io.Placeholder)):
            odd()
    except zodiax_io.PlaceholderError as error:
        return [str(error)]
    return []


@pytest.mark.parametrize("in_metadata", [False, True], ids=["tree", "metadata"])
@pytest.mark.parametrize("name", NODES)
def test_text_of_a_file_is_escaped(name, in_metadata, tmp_path):
    """No function and no command lets a control or format character through."""
    checkpoint = Checkpoint.of({"w": jnp.ones(3)}, metadata={"note": 1})
    document = checkpoint.document
    document["versions"]["numpy"] = HOSTILE
    document["settings"] |= {"jax_default_matmul_precision": HOSTILE, "script": HOSTILE}
    if in_metadata:
        document["metadata"] = container("list", [NODES[name]])
    else:
        checkpoint.tree["node"]["z"] = NODES[name]
    file = tmp_path / "m.eqx"
    file.write_bytes(checkpoint.companion())
    wrong = {}
    for call, function in CALLS.items():
        for text in texts_of(lambda function=function: function(file)):
            if steering(text):
                wrong[call] = ascii(text)[:200]
    for command in COMMANDS:
        words = command.replace("FILE", str(file)).replace("FOLDER", str(tmp_path))
        for text in texts_of(lambda words=words: main.main(words.split())):
            if steering(text):
                wrong[command] = ascii(text)[:200]
    assert wrong == {}


def places(structure):
    """Where text is in a structure: the map or list that holds it, and the key."""
    waiting = [structure]
    while waiting:
        held = waiting.pop()
        items = held.items() if isinstance(held, dict) else enumerate(held)
        for key, value in [*items]:
            if isinstance(value, str):
                yield held, key
            elif isinstance(value, (dict, list)):
                waiting.append(value)


def variants(obj):
    """Structures of an object, each with one hostile text or name of a child."""
    count = sum(1 for _ in places(zodiax_io.build_structure(obj)))
    for i in range(count):
        structure = zodiax_io.build_structure(obj)
        held, key = list(places(structure))[i]
        held[key] = HOSTILE
        yield structure
    for i in range(len(children_of(zodiax_io.build_structure(obj)))):
        structure = zodiax_io.build_structure(obj)
        children, name = children_of(structure)[i]
        children[HOSTILE] = children.pop(name)
        yield structure


def children_of(structure):
    found, waiting = [], [structure]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if node.get("kind") not in ("dict", "ordereddict", "mappingproxy"):
                below = node.get("node")
                found += [(below, name) for name in below or () if below is not None]
            waiting += [x for x in node.values() if isinstance(x, (dict, list))]
    return [(below, name) for below, name in found if isinstance(below, dict)]


def printed(obj):
    """What Python prints of an object, and of what it wraps, by itself."""
    yield repr(obj).replace("\n\t", "\n")  # as SciPy prints a sparse array
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "tzinfo"):
        yield str(getattr(obj, name, ""))


LOADED = [
    *((name, examples[0]) for name, examples in EXAMPLES.items() if examples),
    ("zone", dt.datetime(2024, 7, 1, tzinfo=dt.timezone(dt.timedelta(1 / 24), "CEST"))),
    ("wrapper", eqx.filter_vmap(jnp.sin)),
    ("wrappers", eqx.filter_jit(eqx.filter_vmap(jnp.sin))),
    ("attributes", functools.partial(jnp.sin, x=1)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "obj"), LOADED, ids=[name for name, _ in LOADED])
def test_no_text_of_a_file_becomes_a_name(name, obj):
    """What loads of a file with a hostile text prints it escaped, or does not load."""
    for structure in variants(obj):
        try:
            loaded = zodiax_io.load_structure(structure)
        except zodiax_io.ZodiaxIOError:
            continue
        if not isinstance(loaded, (str, np.str_, pathlib.PurePath)):
            assert [t for t in printed(loaded) if steering(t)] == []


TOLD = ["flowjax", "scale", "make.<locals>.scale", "Its text,\n\tof lines."]


@pytest.mark.parametrize("i", range(4))
@pytest.mark.parametrize("text", [HOSTILE, 3, ["x"]], ids=["hostile", "int", "list"])
def test_a_local_function_bears_no_such_text(i, text):
    """What `functools.wraps` has left on a function of a package is looked at."""
    structure = zodiax_io.build_structure(jax.nn.initializers.normal(0.1))
    structure["value"]["told"] = TOLD
    assert zodiax_io.load_structure(structure).__qualname__ == TOLD[2]
    structure["value"]["told"] = [*TOLD[:i], text, *TOLD[i + 1 :]]
    with pytest.raises(zodiax_io.CorruptFileError, match="is not printable"):
        zodiax_io.load_structure(structure)


@pytest.mark.parametrize("name", ["__name__", "__qualname__", "__module__", "__doc__"])
def test_a_wrapper_bears_no_such_text(name):
    """What a wrapper of Equinox bears of its own is looked at, on both sides."""
    wrapper = eqx.filter_vmap(jnp.sin)
    object.__setattr__(wrapper, name, HOSTILE)
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(wrapper)
    assert f"Its '{name}' is not text that can be printed." in str(caught.value)
    object.__setattr__(wrapper, name, "plain")
    structure = zodiax_io.build_structure(wrapper)
    assert getattr(zodiax_io.load_structure(structure), name) == "plain"
    structure["node"][name]["value"] = HOSTILE
    with pytest.raises(zodiax_io.CorruptFileError, match="that can be printed"):
        zodiax_io.load_structure(structure)


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (types.SimpleNamespace(**{HOSTILE: 1}), "whose name is not printable text"),
        (dt.timezone(dt.timedelta(1 / 24), HOSTILE), "zone cannot be printed"),
        (Float[Array, "n\x1dm"], "more than names between spaces"),
    ],
    ids=["namespace", "zone", "dimensions"],
)
def test_a_name_that_cannot_be_printed_is_refused(odd, told):
    """What no load would take is not saved."""
    with pytest.raises(zodiax_io.SerialisationError, match=told):
        zodiax_io.build_structure([odd])


def test_lines_stay_lines():
    """Text of several lines keeps them, and nothing else that moves the cursor."""
    text = _errors.shown_lines("a\n\x1b[2J\r\nb")
    assert text == "a\n\\x1b[2J\\r\nb"


@pytest.mark.parametrize("source", ["lambda x:\n    x", HOSTILE])
def test_a_placeholder_shows_its_source(source):
    """The lines of the source are lines of the error; the rest is escaped."""
    odd = zodiax_io.Placeholder(HOSTILE, source, HOSTILE)
    with pytest.raises(zodiax_io.PlaceholderError) as caught:
        odd()
    assert not steering(str(caught.value) + repr(odd))
    assert str(caught.value).endswith(f":\n{_errors.shown_lines(source)}")
