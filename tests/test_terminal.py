"""Text of a file never steers a terminal, however it is shown."""

import contextlib
import io
import unicodedata
import warnings

import jax
import jax.numpy as jnp
import pytest
from documents import Checkpoint, container, leaf, named

import zodiax_io
from zodiax_io import _cli, _errors

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
        for text in texts_of(lambda words=words: _cli.main(words.split())):
            if steering(text):
                wrong[command] = ascii(text)[:200]
    assert wrong == {}


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
