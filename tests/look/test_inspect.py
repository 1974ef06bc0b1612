"""Looking without loading: what a file names, from Python and from the command line."""

import functools
import importlib.metadata
import io
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from documents import Checkpoint, container, leaf, named

import zodiax_io
from zodiax_io._cli.main import main


class Mirror(eqx.Module):
    """A class of one's own."""

    radius: float


def shout(loud, x):
    """A function of one's own, which a file may not choose arguments for."""
    return x


def saved(tree, **options):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree, **options)
    file.seek(0)
    return file


def hostile(*nodes):
    """A file that nobody saved."""
    checkpoint = Checkpoint.of(0)
    checkpoint.records = b""
    checkpoint.document["records"] = []
    checkpoint.tree = container("list", list(nodes))
    return io.BytesIO(checkpoint.companion())


def test_every_name_has_a_verdict():
    """Names of classes and functions, fields and metadata, with path and reason."""
    file = saved([Mirror(1.0), jax.nn.relu], metadata={"loss": jnp.sum})
    found = {v.name: (v.path, v.status, v.reason) for v in zodiax_io.names(file)}
    table = "is in the table of names that any file may use"
    assert found == {
        f"{__name__}:Mirror": ("model[0]", "trusted", "is your own code"),
        "jax.nn:relu": ("model[1]", "trusted", table),
        "jax.numpy:sum": ("metadata['loss']", "trusted", table),
    }


def test_a_name_is_told_once_for_each_role():
    """The first place of a name stands for all of its kind."""
    file = saved([Mirror(1.0), Mirror(2.0), Mirror])
    found = [(v.name, v.path, v.role) for v in zodiax_io.names(file)]
    assert found == [
        (f"{__name__}:Mirror", "model[0]", "an equinox Module class"),
        (f"{__name__}:Mirror", "model[2]", "a class (as a value)"),
    ]


STATUS = {
    "os:system": ("refused", "standard library", None),
    "numpy:load": ("refused", "not among the functions", None),
    "zodiax_io:serialise": ("refused", "zodiax_io itself", None),
    "not_there.layers:f": ("missing", "neither imported nor installed", None),
    "seen_lab.x:f": ("missing", "write `import seen_lab.x`", "seen_lab"),
    "jax.nn:not_there": ("missing", "has no `not_there`", None),
    "hypothesis:given": ("refused", "is not trusted", "hypothesis"),
    "a b": ("refused", "is not a valid name", None),
}


@pytest.mark.parametrize("name", STATUS)
def test_what_stands_in_the_way(name, tmp_path, monkeypatch):
    """Each verdict says why, and whether trust would help."""
    import hypothesis  # noqa: F401

    (tmp_path / "seen_lab.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    (verdict,) = zodiax_io.untrusted(hostile(named(name), leaf("none")))
    status, reason, trust = STATUS[name]
    assert (verdict.status, verdict.trust) == (status, trust)
    assert reason in verdict.reason
    with pytest.raises(zodiax_io.UntrustedError) as caught:
        zodiax_io.deserialise(hostile(named(name)))
    assert [v.reason for v in caught.value.refusals] == [verdict.reason]


def test_verdicts_are_those_of_loading_with_the_same_trust():
    """What `untrusted` says to trust is what makes the file load."""
    file = saved(functools.partial(shout, 1))
    (verdict,) = zodiax_io.untrusted(file)
    file.seek(0)
    assert zodiax_io.untrusted(file, trusted=[verdict.trust]) == []
    file.seek(0)
    assert zodiax_io.deserialise(file, trusted=[verdict.trust]).func is shout


def test_looking_imports_nothing(tmp_path):
    """A known package that is not imported is told of, and stays away."""
    path = tmp_path / "state.zdx"
    path.with_suffix(".eqx").write_bytes(
        hostile(named("distrax:Normal", "class"), named("brax:x")).getvalue()
    )
    code = f"""
import sys, zodiax_io
before = set(sys.modules)
for verdict in zodiax_io.names({str(path)!r}, trusted=["brax"]):
    print(verdict.status, verdict.reason)
assert not {{"distrax", "brax"}} & set(sys.modules)
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, check=True, capture_output=True, text=True, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[1] == "missing needs the package `brax`, which is not installed"


def test_a_damaged_file_is_an_error():
    """Looking checks the document as loading does."""
    data = bytearray(saved([1]).getvalue())
    data[-60] ^= 1
    with pytest.raises(zodiax_io.CorruptFileError):
        zodiax_io.names(io.BytesIO(bytes(data)))


# The command line ---------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    """A file with one name that needs trust."""
    path = tmp_path / "model.zdx"
    zodiax_io.serialise(path, [jax.nn.relu, functools.partial(shout, 1)])
    return path


def test_names_are_listed(path, capsys):
    """One line for each name, and what to pass."""
    assert main(["names", str(path)]) == 1
    first, second, advice = capsys.readouterr().out.splitlines()
    assert first.startswith("trusted  jax.nn:relu")
    assert second.startswith(f"refused  {__name__}:shout")
    assert "model[1].func: would be called with arguments" in second
    assert advice.endswith(f'`trusted=["{__name__}"]`.')


def test_trust_is_tried_out(path, capsys):
    """`--trusted` asks what trust would change."""
    assert main(["names", str(path), "--trusted", __name__]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["trusted", "trusted"]


def test_a_hostile_name_does_not_reach_the_terminal(tmp_path, capsys):
    """Escape sequences of a file are shown, not sent."""
    path = tmp_path / "x.eqx"
    path.write_bytes(hostile(named("\x1b[31mos:system")).getvalue())
    assert main(["names", str(path)]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_an_error_is_a_line_and_a_status(tmp_path, capsys):
    """What fails ends in a message without a traceback."""
    assert main(["names", str(tmp_path / "no.zdx")]) == 2
    assert capsys.readouterr().err.startswith("zodiax-io: There is no file")


def test_wrong_arguments(capsys):
    """Argparse says how the command is used."""
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "usage: zodiax-io" in capsys.readouterr().err


def test_the_command_is_installed():
    """`zodiax-io` is an entry point, and `python -m zodiax_io` the same."""
    (script,) = importlib.metadata.entry_points(
        group="console_scripts", name="zodiax-io"
    )
    assert script.load() is main
    run = [sys.executable, "-m", "zodiax_io", "--version"]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == zodiax_io.__version__
