"""A lack of memory, or of depth, is a problem of the process and of nothing else."""

import ast
import functools
import os
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zodiax_io
from zodiax_io import deserialise, serialise

PACKAGE = Path(zodiax_io.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Handlers -----------------------------------------------------------------------------

ALL = {"Exception", "BaseException", "ZodiaxIOError"}  # each catches a lack of memory
# Those that draw no conclusion from the error: they pass it on, or show its text.
HARMLESS = {
    ("_arrays/threads.py", "run"): "raised by `result`, as it is",
    ("_arrays/threads.py", "_start"): "works without a further thread",
    ("_look/summary.py", "read_pictures"): "no picture, in a notebook",
    ("_api/migrate.py", "migration"): "its text is listed, and the others looked at",
    ("_api/migrate.py", "rewritten"): "its text is listed, and the others saved again",
    ("_cli/main.py", "main"): "its text is printed",
    ("_cli/find.py", "_find"): "its text is printed",
    ("_cli/integrity.py", "_verify"): "its text is printed",
    ("_cli/migrate.py", "_convert"): "its text is printed",
}


def names_in(node):
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def careless(source):
    """The functions with a handler of nearly all errors that takes limits as well."""
    found = []

    def look(node, function):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.Try):
            passed = False
            for handler in node.handlers:
                caught = names_in(handler.type) if handler.type else ALL
                body = ast.Module(handler.body, [])
                again = [s for s in handler.body if isinstance(s, ast.Raise)]
                raises = any(one.exc is None for one in again)
                asks = raises or "process_error" in names_in(body)
                if caught & ALL and not passed and not asks:
                    found.append(function)
                passed = passed or (raises and bool(caught & {"LIMITS", "MemoryError"}))
        for child in ast.iter_child_nodes(node):
            look(child, function)

    look(ast.parse(source), "")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_handler_takes_a_limit_for_something_else(file):
    """A handler that catches any error lets those of memory and depth pass."""
    name = file.relative_to(PACKAGE).as_posix()
    found = {(name, one) for one in careless(file.read_text(encoding="utf8"))}
    assert found - HARMLESS.keys() == set()
    assert {known for known in HARMLESS if known[0] == name} <= found


@pytest.mark.parametrize(
    ("handlers", "expected"),
    [
        ("except Exception: pass", ["f"]),
        ("except: pass", ["f"]),
        ("except (ValueError, ZodiaxIOError) as e: print(e)", ["f"]),
        ("except Exception as e: raise ValueError from e", ["f"]),
        ("except LIMITS: raise\n except Exception: pass", []),
        ("except MemoryError: raise\n except Exception: pass", []),
        ("except MemoryError: pass\n except Exception: pass", ["f"]),
        ("except Exception as e: raise process_error(e)", []),
        ("except ValueError: pass", []),
        ("except BaseException: raise", []),
    ],
)
def test_careless_handlers_are_found(handlers, expected):
    """The test above sees handlers of every spelling."""
    assert careless(f"def f():\n try: g()\n {handlers}") == expected


# Calls --------------------------------------------------------------------------------


def half():
    return 0.5


class Lens(eqx.Module):
    radius: float
    coating: jax.Array
    tilt: float = eqx.field(default_factory=half)

    def __check_init__(self):
        assert self.radius > 0


class Grating(eqx.Module):
    lines: float


def from_pitch(fields):
    return {"lines": 1 / fields["pitch"]}


@jax.tree_util.register_pytree_node_class
class Stack:
    def __init__(self, first, last):
        self.first, self.last = first, last

    def tree_flatten(self):
        return (self.first, self.last), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


def tree():
    return {
        "lens": Lens(2.0, jnp.arange(3.0)),
        "stack": Stack(jnp.ones(2), [np.zeros(2), "text"]),
        "treedef": jax.tree.structure([Stack(1, 2)]),
        "key": jax.random.key(1),
        "number": np.float32(3),
        "function": jnp.tanh,
    }


def calls(folder):
    """One call of each public function, by name; each can be made again."""
    path, again, model = folder / "model.zdx", folder / "again.zdx", tree()
    serialise(path, model, metadata={"epoch": 1}, durable=False)
    old = zodiax_io.build_structure([Grating(3.0)])
    (node,) = old["node"]
    node["node"] = {"pitch": node["node"]["lines"]}
    zodiax_io.upgraded(Grating, from_pitch, fields=["pitch"])
    bare = zodiax_io.build_structure([Lens(2.0, jnp.arange(3.0))])
    del bare["node"][0]["node"]["tilt"]
    gone = zodiax_io.build_structure([Stack(1, 2), Lens(2.0, jnp.ones(2))])
    for node in gone["node"]:
        node["type"] = "nowhere.optics:Lens"

    trusting = functools.partial(zodiax_io.load_structure, trusted=[__name__])
    return {
        "serialise": lambda: serialise(again, model, durable=False),
        "deserialise": lambda: deserialise(path, trusted=[__name__]),
        "like": lambda: deserialise(path, like=model, trusted=[__name__]),
        "only": lambda: deserialise(path, only="lens", trusted=[__name__]),
        "lazy": lambda: deserialise(path, lazy=True, trusted=[__name__]),
        "skip": lambda: deserialise(path, damaged="skip", trusted=[__name__]),
        "metadata": lambda: zodiax_io.read_metadata(path),
        "structure": lambda: zodiax_io.build_structure(model),
        "upgrade": lambda: trusting(old),
        "default": lambda: trusting(bare),
        "opaque": lambda: trusting(gone, unknown="opaque"),
        "diff": lambda: zodiax_io.diff(path, model).changes,
        "summarise": lambda: zodiax_io.summarise(path, values=True).root,
        "verify": lambda: zodiax_io.verify(path),
        "repair": lambda: zodiax_io.repair(path),
        "convert": lambda: zodiax_io.convert(path, again),
        "names": lambda: zodiax_io.names(path),
        "untrusted": lambda: zodiax_io.untrusted(path),
    }


# A sample of the functions; ZODIAX_IO_EXHAUSTIVE=1 takes all, in minutes.
EVERY = 1 if os.environ.get("ZODIAX_IO_EXHAUSTIVE") == "1" else 8
NAMES = [
    *("serialise", "deserialise", "like", "only", "lazy", "skip", "metadata"),
    *("structure", "upgrade", "default", "opaque", "diff", "summarise", "verify"),
    *("repair", "convert", "names", "untrusted"),
]
OURS = (str(PACKAGE), __file__)
# A generator expression that is left before its end is entered once more, to close it.
NOT_TRIED = {"<genexpr>", "<lambda>"}


def watched(call, watch):
    """Make a call, and show `watch` the code of each function that is entered."""

    def note(frame, event, _):
        code = frame.f_code
        ours = code.co_filename.startswith(OURS) and "_errors" not in code.co_filename
        if event == "call" and ours and code.co_name not in NOT_TRIED:
            watch(code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        return call()
    finally:
        sys.setprofile(before)


def outcome(call, code, error):
    """The error that a call ends in if one function fails when it is entered."""

    def fail(entered):
        if entered is code:
            sys.setprofile(None)
            raise error

    try:
        return watched(call, fail)
    except Exception as found:
        return found


# A file that was opened when the limit was reached is closed with its object.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::zodiax_io.ZodiaxIOWarning")
@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        *((name, MemoryError, zodiax_io.ResourceError) for name in NAMES),
        *(
            (name, RecursionError, zodiax_io.RecursionLimitError)
            for name in ("serialise", "like", "upgrade", "opaque", "diff")
        ),
    ],
)
def test_a_limit_is_reported_as_one(tmp_path, name, error, expected):
    """Wherever memory or depth runs out, the error names that and blames no file."""
    made = calls(tmp_path)
    assert made.keys() == set(NAMES)
    call = made[name]
    call()  # what is done once in a process
    entered = {}
    watched(call, entered.setdefault)
    assert len(entered) > 30
    for code in list(entered)[::EVERY]:
        found = outcome(call, code, error)
        assert type(found) is expected, (code, found)
