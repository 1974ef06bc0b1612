"""A watched process: it loads files, and tells what each of them did.

`Watched` is the side of the tests, `main` that of the process. They talk by frames of
JSON and bytes over pipes. Nothing forks: one process serves thousands of files.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HEAD = struct.Struct("<II")
MEMORY = 2 << 30  # what a load may take beyond what the process has, at most
SECONDS = 20
ROOT = Path(__file__).parents[2]


@dataclass
class Report:
    """What one file did.

    Attributes
    ----------
    outcome : str
        ``"loaded"``, the name of an error, ``"hung"`` or ``"crashed"``.
    ours : bool
        Whether the error is one of zodiax_io, or there was none.
    events : list of str
        What Python's audit saw that no load should do.
    ran : list of str
        Traps that were sprung.
    reached : list of str
        Hostile objects within what was loaded.
    seconds, growth : float
        Time taken, and memory beyond what there was before, in MiB.
    """

    outcome: str
    ours: bool = True
    events: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    seconds: float = 0.0
    growth: float = 0.0
    text: str = ""

    def faults(self) -> list[str]:
        """What breaks the promise; empty for a file that did no harm."""
        found = [f"event {event}" for event in self.events]
        found += [f"ran {what}" for what in self.ran]
        found += [f"reached {what}" for what in self.reached]
        if not self.ours:
            found.append(f"foreign {self.outcome}: {self.text}")
        if self.growth > 1024:
            found.append(f"memory {self.growth:.0f} MiB")
        if self.seconds > SECONDS:
            found.append(f"time {self.seconds:.0f} s")
        return found


# The side of the tests ----------------------------------------------------------------


class Watched:
    """A watched process, started anew when a file brings it down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        plant(folder)

    def samples(self) -> dict[str, bytes]:
        """The honest files, as the process itself saved them."""
        names = json.loads(self._ask({"do": "samples"}, b""))
        return {n: self._ask({"do": "sample", "name": n}, b"") for n in names}

    def load(
        self, file: bytes | Path, trusted: tuple[str, ...] = (), **options: Any
    ) -> Report:
        """Load the bytes of a companion, or the pair of a path."""
        asked = {"do": "load", "trusted": list(trusted), **options}
        body = b""
        if isinstance(file, bytes):
            body = file
        else:
            asked["path"] = str(file)
        try:
            return Report(**json.loads(self._ask(asked, body)))
        except TimeoutError:
            self.close(kill=True)
            return Report("hung", ours=False)
        except EOFError:
            self.close(kill=True)
            log = (self.folder / "stderr").read_text(errors="replace")
            return Report("crashed", ours=False, text=log[-2000:])

    def close(self, kill: bool = False) -> None:
        """End the process."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "stderr", "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", "attacks.watch"],
                cwd=self.folder,
                env=os.environ
                | {
                    "PYTHONPATH": os.pathsep.join(
                        map(str, (ROOT / "tests", ROOT / "tests" / "helpers", ROOT))
                    ),
                    "JAX_PLATFORMS": "cpu",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def _ask(self, asked: dict[str, Any], body: bytes) -> bytes:
        limit = 1.5 * SECONDS
        if self._process is None:
            self._process = self._start()
            limit = 300.0
        assert self._process.stdin is not None and self._process.stdout is not None
        text = json.dumps(asked).encode()
        try:
            self._process.stdin.write(_HEAD.pack(len(text), len(body)) + text + body)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        end = time.monotonic() + limit
        (length,) = struct.unpack("<I", self._exactly(4, end))
        return self._exactly(length, end)

    def _exactly(self, length: int, end: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        data = bytearray()
        while len(data) < length:
            left = end - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(descriptor, length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


def temporary() -> Any:
    """A working folder for a run by hand."""
    return tempfile.TemporaryDirectory(prefix="attacks")


# Modules that lie in the working folder, beside a user's script: importing one is harm.
PLANTED = """
    antigravity blackjax brax evosax gpjax haiku jax_cosmo numpyro planted planted_zone
    tinygp
""".split()

LIBRARY = """
import dataclasses
import equinox as eqx
from attacks.lab import note

class Finalised(eqx.Module):
    x: object = None
    def __del__(self):
        note("Finalised.__del__")

class Hashed(eqx.Module):
    x: object = None
    def __hash__(self):
        note("Hashed.__hash__")
        return 0

class Delegating(eqx.Module):
    x: object = None
    def __getattr__(self, name):
        note("Delegating.__getattr__")
        raise AttributeError(name)

@dataclasses.dataclass
class Record:
    x: object = None

def function(*args):
    note("somelab.function")
"""


def plant(folder: Path) -> None:
    """Fill a working folder with what an attacker may have put there."""
    for name in PLANTED:
        (folder / f"{name}.py").write_text("from attacks.lab import note\nnote('x')\n")
    zones = folder / "tzdata" / "zoneinfo" / "Mars"
    zones.mkdir(parents=True, exist_ok=True)
    for place in (zones, *zones.parents[:2]):
        (place / "__init__.py").write_text("from attacks.lab import note\nnote('tz')\n")
    (zones / "Phobos").write_bytes(b"TZif2" + b"\0" * 39)
    library = folder / "site-packages" / "somelab"
    library.mkdir(parents=True, exist_ok=True)
    (library / "__init__.py").write_text(LIBRARY)
    (folder / "lazy_module.py").write_text("from attacks.lab import note\nnote('lz')\n")
    (folder / "secret").write_text("secret")


# The side of the process --------------------------------------------------------------


def main() -> None:
    """Answer until the other side goes."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a file makes Python print must not mix with the answers
    sys.path.insert(0, os.getcwd())
    server = _Server()
    while head := sys.stdin.buffer.read(_HEAD.size):
        lengths = _HEAD.unpack(head)
        asked = json.loads(sys.stdin.buffer.read(lengths[0]))
        answer = server.answer(asked, sys.stdin.buffer.read(lengths[1]))
        out.write(struct.pack("<I", len(answer)) + answer)
        out.flush()


class Hung(BaseException):
    """The alarm rang."""


def _ring(signum: int, frame: Any) -> None:
    raise Hung


class _Server:
    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._watching = False
        self._seen: list[str] = []
        self._given: set[str] = set()
        self._prepare()

    def answer(self, asked: dict[str, Any], body: bytes) -> bytes:
        if asked["do"] == "samples":
            return json.dumps(list(self._files)).encode()
        if asked["do"] == "sample":
            return self._files[asked["name"]]
        return json.dumps(self._load(asked, body)).encode()

    def _prepare(self) -> None:
        import zodiax_io

        from . import lab, samples

        sys.path.append(str(Path.cwd() / "site-packages"))
        import somelab  # noqa: F401  # pyright: ignore[reportMissingImports]

        self._lab = lab
        self._trust = samples.TRUST
        _strange_modules()
        warnings.simplefilter("ignore")
        self._files = samples.samples()
        for _ in range(2):  # whatever is imported or compiled late, is now
            for name, data in self._files.items():
                with contextlib.suppress(zodiax_io.ZodiaxIOError):
                    zodiax_io.deserialise(
                        io.BytesIO(data), trusted=self._trust.get(name, ())
                    )
                with contextlib.suppress(zodiax_io.ZodiaxIOError):
                    zodiax_io.read_metadata(io.BytesIO(data))
                Path("warm.zdx").write_bytes(data)
                with contextlib.suppress(zodiax_io.ZodiaxIOError):
                    zodiax_io.deserialise("warm.zdx")
        Path("warm.zdx").unlink()
        with contextlib.suppress(zodiax_io.ZodiaxIOError):
            zodiax_io.deserialise(io.BytesIO(b""))
        lab.RAN.clear()
        self._hostile = _hostile()
        self._allowed = _allowed()
        signal.signal(signal.SIGALRM, _ring)
        sys.addaudithook(self._hook)
        gc.collect()
        limit = _status("VmSize") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        told = _judged(event, args, self._given)
        if told is not None:
            self._watching = False
            self._seen.append(f"{event} {told}"[:300])
            self._watching = True

    def _load(self, asked: dict[str, Any], body: bytes) -> dict[str, Any]:
        import zodiax_io

        source: Any = io.BytesIO(body)
        self._given = set()
        if "path" in asked:
            source = asked["path"]
            for suffix in ("", ".zdx", ".eqx"):
                for path in (source + suffix, Path(source).with_suffix(suffix)):
                    self._given |= {str(path), os.path.realpath(path)}
        call, options = asked.get("call", "deserialise"), {"trusted": asked["trusted"]}
        if call == "skip":
            call, options = "deserialise", {**options, "damaged": "skip"}
        elif call == "verify":
            options = {}
        load = _every_extra if call == "extras" else getattr(zodiax_io, call)
        self._seen, ran = [], self._lab.RAN
        ran.clear()
        loaded: Any = None
        outcome, ours, text = "loaded", True, ""
        before = _reset_peak()
        start = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        self._watching = True
        try:
            loaded = load(source, **options)
        except zodiax_io.ZodiaxIOError as error:
            outcome, text = type(error).__name__, str(error)
            del error
        except Hung:
            outcome, ours = "hung", False
        except BaseException as error:
            outcome, ours, text = type(error).__name__, False, repr(error)[:500]
            self._watching = False
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            if place is not None:
                code = place.tb_frame.f_code
                text += f" in {code.co_filename}:{place.tb_lineno}"
            del error, place
        finally:
            self._watching = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.monotonic() - start
        growth = (_status("VmHWM") - before) / 2**20
        reached = []
        if outcome == "loaded":
            reached = sorted(set(_reach(loaded, self._hostile, self._allowed)))
        self._watching = True
        del loaded
        self._watching = False
        for name in PLANTED:
            if sys.modules.pop(name, None) is not None:
                self._seen.append(f"imported {name}")
        return vars(
            Report(
                outcome,
                ours,
                _condensed(self._seen),
                list(dict.fromkeys(ran)),
                reached,
                seconds,
                growth,
                text[:1000],
            )
        )


def _every_extra(source: Any, trusted: Any) -> list[Any]:
    """All extras of a file, each read by itself."""
    import zodiax_io
    from zodiax_io._api.load import read_extra

    found: list[Any] = []
    data = source.read()
    for name in zodiax_io.summarise(io.BytesIO(data)).extras:
        found.append(read_extra(io.BytesIO(data), name, trusted=trusted))
    return found


def _condensed(seen: list[str]) -> list[str]:
    """An import alone, without the thousand things that it does."""
    found = list(dict.fromkeys(seen))
    imports = [event for event in found if event.startswith("import")]
    if not imports:
        return found
    reading = ("open", "compile", "exec", "marshal", "import ")
    rest = [event for event in found if not event.startswith(reading)]
    return [imports[0], *(event for event in rest if event not in imports)]


def _status(name: str) -> int:
    """A line of what Linux says of the process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return 0


def _reset_peak() -> int:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmHWM")


_NEVER = (
    "exec",
    "compile",
    "import",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
    "os.utime",
    "os.putenv",
    "os.unsetenv",
    "os.chdir",
    "os.startfile",
    "socket.",
    "ctypes.",
    "pickle.find_class",
    "marshal.",
    "shutil.",
    "tempfile.",
    "sys.settrace",
    "sys.setprofile",
    "sys.addaudithook",
    "code.__new__",
    "builtins.input",
    "builtins.breakpoint",
    "webbrowser.",
    "urllib.",
    "mmap.",
    "signal.",
)


_CHECKOUT = Path(__file__).resolve().parents[2]


def _judged(event: str, args: tuple[Any, ...], given: set[str]) -> str | None:
    """What to tell of an event, or None for what a load may do."""
    if event == "open":
        path, mode, flags = args
        if type(path) is int:
            return None
        path = os.fsdecode(path)
        writes = type(flags) is int and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        metadata = any(part.endswith("-info") for part in Path(path).parts)
        # The commit of the checkout that is tested belongs to its version.
        metadata |= Path(path).is_relative_to(_CHECKOUT / ".git")
        # Tracebacks quote the source of what is loaded; the finder looks for a zip.
        source = path in _sources() or path in sys.path
        if not writes and (path in given or metadata or source):
            return None
        return f"{path} {mode} {flags}"
    if event == "function.__new__":
        file = args[0].co_filename
        return None if "site-packages" in Path(file).parts else f"code of {file}"
    if event.startswith(_NEVER):
        if event == "exec":
            return str(args[0])[:200]
        if event in ("import", "compile"):
            return ascii(args[0])[:200]
        return ascii(args)[:200]
    return None


def _sources() -> set[str]:
    found = set()
    for module in list(sys.modules.values()):
        if type(module) is types.ModuleType:
            found.add(module.__dict__.get("__file__"))
    return found


def _strange_modules() -> None:
    """Modules that run code when they are looked at."""
    import importlib.util

    from .lab import note

    spec = importlib.util.find_spec("lazy_module")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    sys.modules["lazy_module"] = lazy
    spec.loader.exec_module(lazy)

    asking: Any = types.ModuleType("getattr_module")
    asking.__getattr__ = lambda name: note(f"getattr_module.{name}")
    sys.modules["getattr_module"] = asking

    class Sly(types.ModuleType):
        @property
        def __dict__(self) -> Any:
            note("Sly.__dict__")
            return {"run": print}

        def __getattribute__(self, name: str) -> Any:
            note(f"Sly.{name}")
            return types.ModuleType.__getattribute__(self, name)

    sys.modules["sly_module"] = Sly("sly_module")

    class Trap:
        def __getattribute__(self, name: str) -> Any:
            if name not in ("__spec__", "__class__"):  # `warnings` and `typing` ask
                note(f"Trap.{name}")
            raise AttributeError(name)

    sys.modules["trap_module"] = Trap()  # type: ignore[assignment]


# What a file must not bring within reach ----------------------------------------------


def _hostile() -> dict[int, str]:
    import builtins
    import importlib
    import operator
    import pickle
    import shutil

    import equinox as eqx
    import jax
    import jax.experimental
    import jax.numpy as jnp
    import numpy as np

    found = {
        "os": (os, "system popen execv fork remove rename"),
        "builtins": (builtins, "eval exec getattr setattr __import__ open compile"),
        "subprocess": (subprocess, "Popen run call check_output"),
        "functools": (functools, "reduce"),
        "operator": (operator, "attrgetter methodcaller"),
        "importlib": (importlib, "import_module reload"),
        "pickle": (pickle, "loads load"),
        "shutil": (shutil, "rmtree"),
        "sys": (sys, "exit settrace setrecursionlimit"),
        "jax.numpy": (jnp, "load save savez fromfile"),
        "numpy": (np, "load save savez savetxt loadtxt genfromtxt fromfile memmap"),
        "jax": (jax, "pure_callback clear_caches"),
        "jax.debug": (jax.debug, "breakpoint callback print"),
        "jax.experimental": (jax.experimental, "io_callback"),
        "equinox": (eqx, "tree_deserialise_leaves tree_serialise_leaves"),
    }
    return {
        id(getattr(module, name)): f"{label}:{name}"
        for label, (module, names) in found.items()
        for name in names.split()
        if hasattr(module, name)
    }


def _allowed() -> set[int]:
    """The project's own table: what every file may name."""
    from zodiax_io._trust import table as _table

    found = set()
    for table in (_table.FUNCTIONS, _table.VALUES):
        for module, names in table.items():
            space = getattr(sys.modules.get(module), "__dict__", {})
            found |= {id(space[name]) for name in names if name in space}
    return found


# Within the closures of JAX's own wrappers, which hold JAX's own machinery, too.
_FOLLOWED = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, type),
    *(functools.partial, tuple, list, dict),
)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)


def _reach(  # noqa: C901 - one loop over every way into an object, each by its type
    loaded: Any, hostile: dict[int, str], allowed: set[int]
) -> Iterator[str]:
    """Hostile objects in a tree, found without asking any object anything."""
    import jax.tree_util as jtu

    known: dict[int, Any] = {}
    waiting: list[tuple[Any, bool]] = [(loaded, True)]
    while waiting and len(known) < 200_000:
        obj, near = waiting.pop()
        cls = type(obj)
        if cls in _PLAIN or id(obj) in known:
            continue
        if not near and not issubclass(cls, _FOLLOWED):
            continue
        known[id(obj)] = obj
        if id(obj) in hostile:
            yield hostile[id(obj)]
            continue
        if near and id(obj) not in allowed:
            yield from _stranger(obj)
        if issubclass(cls, (list, tuple, set, frozenset)):
            waiting += [(item, near) for item in list(obj)]
        elif issubclass(cls, (dict, types.MappingProxyType)):
            waiting += [(item, near) for pair in list(obj.items()) for item in pair]
            waiting.append((getattr(obj, "default_factory", None), near))
        elif cls.__name__ == "deque" and cls.__module__ == "collections":
            waiting += [(item, near) for item in obj]
        elif issubclass(cls, functools.partial):
            func = functools.partial.__dict__["func"].__get__(obj)
            args = functools.partial.__dict__["args"].__get__(obj)
            keywords = functools.partial.__dict__["keywords"].__get__(obj)
            waiting += [(func, near), (args, near), (keywords, near)]
        elif cls is types.MethodType:
            waiting += [(obj.__self__, near), (obj.__func__, False)]
            yield from _stranger(obj.__func__)
        elif cls is types.FunctionType:
            own = _package(obj.__globals__.get("__name__")) in ("attacks", "__main__")
            if id(obj) not in allowed and not own:
                cells = [_cell(cell) for cell in obj.__closure__ or ()]
                waiting += [(cell, False) for cell in cells]
                waiting += [(obj.__defaults__, False), (obj.__kwdefaults__, False)]
        elif cls is jtu.PyTreeDef:
            stack = [obj]
            while stack:
                treedef = stack.pop()
                waiting.append((treedef.node_data(), near))
                stack += treedef.children()
        elif issubclass(cls, (type, types.ModuleType)):
            continue
        for name in ("__args__", "__origin__", "__metadata__"):
            if cls.__module__ in ("typing", "types"):
                waiting.append((getattr(obj, name, None), near))
        with contextlib.suppress(AttributeError, TypeError):
            held = object.__getattribute__(obj, "__dict__")
            if type(held) is dict:
                deeper = near and cls is not types.FunctionType
                waiting += [(value, deeper) for value in held.values()]
        if not near or cls.__module__ == "typing":
            continue
        for base in type.__dict__["__mro__"].__get__(cls):
            for member in type.__dict__["__dict__"].__get__(base).values():
                if type(member) is types.MemberDescriptorType and not issubclass(
                    cls, (types.FunctionType, functools.partial)
                ):
                    with contextlib.suppress(AttributeError, TypeError):
                        waiting.append((member.__get__(obj, cls), near))


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _package(module: Any) -> str:
    return module.partition(".")[0] if type(module) is str else ""


def _stranger(obj: Any) -> Iterator[str]:
    """A function of the standard library or of zodiax_io: no file may name one."""
    if type(obj) is types.ModuleType:
        yield f"module {obj.__name__}"
    if type(obj) is types.FunctionType:
        home = _package(obj.__globals__.get("__name__"))
    elif type(obj) is types.BuiltinFunctionType:
        home = _package(obj.__module__)
        if home == "" or home == "builtins":
            home = "builtins"
    else:
        return
    if home == "dataclasses" and obj.__name__ == "__repr__":
        return  # `jax.jit` of a dataclass copies what `dataclasses` generated
    if home == "zodiax_io" and obj.__qualname__.startswith("Placeholder."):
        return  # the one class of its own that a file may hold
    never = home == "zodiax_io" or home in sys.stdlib_module_names
    if never and home != "__main__":
        yield f"{home}:{obj.__qualname__}"


if __name__ == "__main__":
    main()
