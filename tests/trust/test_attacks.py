"""Hostile files: whatever a stranger writes, loading it ends in one of our errors.

The quick form of `python -m tests.attacks`, `… .mutate` and `… .fuzz`.
"""

import itertools
import random

import pytest
from attacks import fuzz, mutate, samples
from attacks.files import ATTACKS
from attacks.watch import Watched

# An attack of thousands of files is loaded in full by `nox -s fuzz` only.
FILES = 120
CHANGES = 300


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A watched process in a folder full of bait."""
    with Watched(tmp_path_factory.mktemp("attacks")) as process:
        yield process


@pytest.fixture(scope="module")
def honest(watched):
    """Honest files, as the process saved them."""
    return watched.samples()


def some(files, number):
    """As many files as there is time for, the same ones each time."""
    everything = list(files)
    if len(everything) <= FILES:
        return everything
    return random.Random(number).sample(everything, FILES)


def check(report, label):
    assert not report.faults(), f"{label}\n{report.outcome}: {report.text}"


@pytest.mark.xdist_group("attacks")
@pytest.mark.parametrize("number", ATTACKS)
def test_attack(watched, tmp_path, number):
    """A numbered attack runs nothing, and ends in an error or a harmless object."""
    attack = ATTACKS[number]
    for file, trusted, label in some(attack.files(tmp_path), number):
        report = watched.load(file, trusted, call=attack.call)
        check(report, label)
        if attack.harmless is None:
            assert report.outcome != "loaded", label


def test_honest_files_load_without_a_word(watched, honest):
    """What is watched for does not happen with honest files."""
    assert len(honest) >= len(samples.TREES) - 1  # flows need a newer flowjax
    for name, data in honest.items():
        report = mutate.load(watched, name, data)
        check(report, name)
        assert report.outcome == "loaded", f"{name}: {report.text}"


def test_strings_of_honest_files_become_hostile(watched, honest):
    """No string of a document, key or value, brings anything hostile within reach."""
    stream = mutate.mutations(honest, random.Random(2026))
    for number, (told, data) in enumerate(itertools.islice(stream, CHANGES)):
        check(mutate.load(watched, told, data, number), told)


def test_damaged_files(watched, honest):
    """Changed bytes neither crash nor hang the process, nor fill its memory."""
    stream = fuzz.mutations(honest, random.Random(2026))
    for number, (told, data) in enumerate(itertools.islice(stream, CHANGES)):
        check(mutate.load(watched, told, data, number), told)


def test_the_watch_sees_what_it_should(watched):
    """A name that the reader trusts by mistake is seen to be imported."""
    node = {"node_type": "leaf", "kind": "function", "type": "planted:run"}
    from attacks.files import file_of

    report = watched.load(file_of(node), ("planted",))
    assert any(event.startswith("import") for event in report.events)
    assert report.ran == ["x"]
