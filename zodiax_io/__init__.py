"""Keep whole JAX models: save a pytree with one call, load it back with another."""

import sys as _sys
import typing as _typing

__version__ = "0.1.0"

if _typing.TYPE_CHECKING:
    from ._api.public import *  # noqa: F403
else:
    # Type checkers see the names alone: to them, a `__getattr__` would have any name.

    def __getattr__(name: str) -> _typing.Any:
        """All that is public, when the first of it is used: an import costs nothing."""
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if _sys.meta_path is None:
            raise ImportError(
                f"Cannot use `zodiax_io.{name}`: Python is shutting down, and can no "
                "longer import modules. Save earlier, or in a function registered with "
                "`atexit.register`."
            )
        import gc
        import importlib

        # Without garbage collection: it would scan all objects of JAX, which takes
        # longer than the import itself, and find nothing.
        collecting = gc.isenabled()
        try:
            try:
                gc.disable()
                # First, so that what others import is looked for in libraries first.
                importlib.import_module(f"{__name__}._trust.libraries")
                # As a statement, this would ask the package for `_api` first.
                _api = importlib.import_module(f"{__name__}._api.public")
            finally:
                if collecting:
                    gc.enable()
        finally:  # an interrupt may have cut the inner one short
            if collecting:
                gc.enable()
        here = globals()
        here["__all__"] = _api.__all__
        for public in _api.__all__:
            here.setdefault(public, getattr(_api, public))
        if name not in here:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return here[name]

    def __dir__() -> list[str]:
        """All public names, also those that are not imported yet."""
        return sorted(
            {n for n in globals() if n.startswith("__")} | set(__getattr__("__all__"))
        )
