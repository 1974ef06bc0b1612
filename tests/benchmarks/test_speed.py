"""Our own speed, for comparing one commit with another: `nox -s speed`."""

import os

import jax.random as jr
import pytest

import zodiax_io

from .workloads import WORKLOADS, arrays_of, size_of

pytest.importorskip("pytest_benchmark")
pytestmark = pytest.mark.skipif(
    os.environ.get("ZODIAX_IO_TYPECHECK", "1") != "0",
    reason="the type checks would be timed: set ZODIAX_IO_TYPECHECK=0",
)

TREES = {
    "TINY": lambda: WORKLOADS["TINY"](1.0),
    "MANY_SMALL": lambda: WORKLOADS["MANY_SMALL"](1.0),
    "64 MiB": lambda: {"array": jr.normal(jr.key(0), (1 << 24,))},
}


@pytest.fixture(scope="module", params=TREES)
def tree(request):
    return TREES[request.param]()


@pytest.mark.parametrize("durable", [False, True], ids=["fast", "durable"])
def test_save(benchmark, tmp_path, tree, durable):
    """How long it takes to save beside, and then over, what is there."""
    benchmark(zodiax_io.serialise, tmp_path / "tree.zdx", tree, durable=durable)


@pytest.mark.parametrize("verify", [True, False], ids=["verified", "unverified"])
def test_load(benchmark, tmp_path, tree, verify):
    """How long it takes to load from the page cache."""
    zodiax_io.serialise(tmp_path / "tree.zdx", tree, durable=False)
    found = benchmark(zodiax_io.deserialise, tmp_path / "tree.zdx", verify=verify)
    assert len(arrays_of(found)) == len(arrays_of(tree))
    assert size_of(found) == size_of(tree)
