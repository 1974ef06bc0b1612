"""What every test run needs before zodiax_io is imported."""

import os
import sys

# Bit for bit comparisons need one platform, and two workers would fight over the
# memory of one GPU. Set JAX_PLATFORMS to test on another.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# pytest-xdist already keeps the cores busy: an XLA thread pool in each worker only
# makes the workers wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import types

import hypothesis
import pytest
import typechecks

# Checks the annotations of every function of zodiax_io, at each call.
# ZODIAX_IO_TYPECHECK=0 leaves it out: for fuzzing and timing, where it costs most.
TYPE_CHECKS = os.environ.get("ZODIAX_IO_TYPECHECK", "1") != "0"
if TYPE_CHECKS:
    if "zodiax_io" in sys.modules:
        raise RuntimeError(
            "zodiax_io was imported before tests/conftest.py could switch on its "
            "type checks. Set ZODIAX_IO_TYPECHECK=0 to test without them."
        )
    # All modules but a few: their calls take whatever a user passes, and say
    # themselves, in errors that are tested, what is wrong with it.
    unchecked = {
        "zodiax_io",
        *(f"zodiax_io._api.{name}" for name in "load save convert integrity".split()),
        *(f"zodiax_io._api.{name}" for name in "names structure".split()),
        "zodiax_io._look.summary",
        "zodiax_io._look.diff",
    }
    typechecks.install(["zodiax_io"], unchecked)
    from zodiax_io import _errors

    # The checks are frames between those of the package.
    _errors.skipped_files.append("<@beartype(")

# The same examples in every run, few enough for a machine with two cores, and nothing
# written beside the checkout: a test says the same twice. No deadlines: the first
# example compiles, the next takes microseconds.
hypothesis.settings.register_profile(
    "fixed", deadline=None, derandomize=True, max_examples=25, database=None
)
# New examples in every run, for `python -m tests.roam`. What they find becomes an
# `@example` of its test, so that the fixed run has it too.
hypothesis.settings.register_profile(
    "roam", deadline=None, max_examples=200, database=None, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


class Outcomes:
    """What random input led to: some of it must be accepted, and some refused."""

    def __init__(self):
        self.accepted = self.refused = 0

    def of(self, call, *arguments, **options):
        """Call it, and let it refuse its arguments by an error of zodiax_io only."""
        from zodiax_io import ZodiaxIOError

        try:
            call(*arguments, **options)
        except ZodiaxIOError:
            self.refused += 1
        else:
            self.accepted += 1


@pytest.fixture
def outcomes():
    """Counts outcomes; a test proves nothing if all its random input is refused."""
    counted = Outcomes()
    yield counted
    assert counted.accepted, "all that the test tried was refused"
    assert counted.refused, "nothing that the test tried was refused"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A package of one's own, whose modules are written, and written anew, as one goes.

    What it says of its classes is forgotten after the test.
    """
    from zodiax_io._evolution import upgrades
    from zodiax_io._trust import renames

    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(renames, "_renamed", {})
    monkeypatch.setattr(upgrades, "rules", {})

    def write(module, text):
        path = (tmp_path / "code").joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        made = types.ModuleType(module)
        made.__file__ = str(path)
        monkeypatch.setitem(sys.modules, module, made)
        exec(compile(text, path, "exec"), made.__dict__)  # noqa: S102
        return made

    return write


@pytest.fixture
def use_sizes():
    """Sets the sizes from which the default backend reads and writes in another way."""
    from zodiax_io._arrays.backends import BACKENDS
    from zodiax_io._arrays.sizes import Sizes

    before = BACKENDS[0]

    def use(**sizes):
        BACKENDS[0] = type("Sized", (before,), {"sizes": Sizes(**sizes)})

    yield use
    BACKENDS[0] = before
