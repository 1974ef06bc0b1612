"""Backends: the default one, and one that is a file of the tests and a row."""

import io
from typing import ClassVar

import pytest
from conformance import Conformance
from documents import Checkpoint
from toy import ToyBackend

import zodiax_io
from zodiax_io._arrays import backends


@pytest.fixture(scope="module", autouse=True)
def toy():
    """The row of the toy backend."""
    backends.BACKENDS.append(ToyBackend)
    yield
    backends.BACKENDS.remove(ToyBackend)


class TestEqx(Conformance):
    """The default backend."""

    backend = "eqx"
    maps = True


class TestToy(Conformance):
    """The toy backend, which keeps the defaults of the protocol."""

    backend: ClassVar = {"name": "toy", "level": 3}
    maps = False


@pytest.mark.parametrize(
    "backend, message",
    [
        ("npz", """`backend` is one of "eqx", "toy", not 'npz'."""),
        (3, """`backend` is one of "eqx", "toy", not 3."""),
        ({}, """`backend` is one of "eqx", "toy", not {}."""),
        ({"name": "toy", "x": 1}, "The backend 'toy' has no option 'x'."),
        (
            {"name": "toy", "level": 11},
            "The backend 'toy' does not take these options: `level` is a number from "
            "0 to 9.",
        ),
    ],
)
def test_backends_that_there_are_not(backend, message):
    """The error says which there are, or which option is wrong."""
    with pytest.raises(zodiax_io.ArgumentError) as caught:
        zodiax_io.serialise(io.BytesIO(), [1], backend=backend)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "stored, message",
    [
        (
            {"name": "later"},
            "The file holds arrays of the backend 'later', which this release of "
            "zodiax_io does not have. Upgrade zodiax_io to read it.",
        ),
        (
            {"name": "eqx", "shuffle": True},
            "The file holds arrays of the backend 'eqx', which, in this release of "
            "zodiax_io, has no option 'shuffle'. Upgrade zodiax_io to read it.",
        ),
    ],
)
def test_a_file_of_a_later_backend(stored, message):
    """It is called newer, not damaged."""
    checkpoint = Checkpoint.of([1.5])
    checkpoint.document["backend"] = stored
    with pytest.raises(zodiax_io.NewerFormatError) as caught:
        checkpoint.load()
    assert str(caught.value) == message


def test_a_companion_that_another_backend_claims():
    """The ends of a file say who wrote it; a document that says otherwise is damage."""
    checkpoint = Checkpoint.of([1.5])
    checkpoint.document["backend"] = {"name": "toy", "level": 1}
    with pytest.raises(
        zodiax_io.CorruptFileError, match="of the backend 'eqx', but its structure"
    ):
        checkpoint.load()
