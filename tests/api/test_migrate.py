"""Proposals for files that the code has left behind, and the command for them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from documents import Checkpoint, container, leaf
from equality import differences

import zodiax_io
from zodiax_io import deserialise, migration, serialise
from zodiax_io._cli import main

NONE = leaf("none")
HEAD = "import equinox as eqx\nfrom typing import Any\n"
OLD = HEAD + (
    "class Refractor(eqx.Module):\n    bend_radius: Any\n    colour: str\n"
    "class Pupil(eqx.Module):\n    mask: Any\n    edge: Any\n"
    "class Sensor(eqx.Module):\n    noise: Any\n"
    "def bend(x): return x\n"
)
NEW = HEAD + (
    "class ThickRefractor(eqx.Module):\n    bend_radii: Any\n    gain: float = 1.0\n"
    "class Pupil(eqx.Module):\n    size: Any\n    weights: Any\n"
    "class Sensor(eqx.Module):\n    noise: Any\n"
    "def bend(x): return x\n"
)


@pytest.fixture
def left_behind(lab, tmp_path):
    """A folder of files, and the module whose classes were theirs once."""
    old = lab("oldlab", OLD)
    tree = {
        "lens": old.Refractor(jnp.ones(3), "red"),
        "pupil": old.Pupil(jnp.ones((4, 4)), jnp.ones(2)),
        "sensor": old.Sensor(0.5),
        "f": old.bend,
    }
    (tmp_path / "runs" / "one").mkdir(parents=True)
    serialise(tmp_path / "runs" / "a", tree, metadata={"epoch": 3})
    serialise(
        tmp_path / "runs" / "one" / "b.eqx", [old.Refractor(jnp.zeros(3), "blue")]
    )
    serialise(tmp_path / "runs" / "plain", {"a": jnp.ones(2)})
    (tmp_path / "runs" / "notes.txt").write_text("nothing of ours")
    Path(sys.modules.pop("oldlab").__file__).unlink()
    new = lab("newlab", NEW)
    like = {
        "lens": new.ThickRefractor(jnp.ones(3)),
        "pupil": new.Pupil(jnp.ones(2), jnp.ones((4, 4))),
    }
    expected = like | {"sensor": new.Sensor(0.5), "f": new.bend}
    return tmp_path / "runs", like, expected


@pytest.mark.filterwarnings("ignore::zodiax_io.ClassChangedWarning")
def test_the_lines_load_the_files(left_behind):
    """Names by likeness and place; fields by name, and by shape where it is known."""
    folder, like, expected = left_behind
    found = migration(folder, like=like)
    exec(found.lines)  # noqa: S102
    assert differences(expected, deserialise(folder / "a")) == []
    assert 'renamed("oldlab", "newlab")' in found.lines
    assert 'renamed("oldlab:Refractor", "newlab:ThickRefractor")' in found.lines
    assert 'fields["weights"] = fields.pop("mask")' in found.lines
    assert "`gain` is new, and gets its default" in found.lines
    again = migration(folder, like=like)
    assert "oldlab" not in again.lines


WITHOUT_A_MODEL = """
import newlab, zodiax_io
lines = zodiax_io.migration(["a.zdx", "one"]).lines
print(lines)
exec(lines)
try:
    zodiax_io.deserialise("a")
except zodiax_io.ClassChangedError as error:
    print(error)
"""


def test_without_a_model(left_behind):
    """A field that no name matches is left to the user, and no file loads without it.

    In a process of its own: every imported class is a candidate, also those that other
    tests have imported.
    """
    folder, _, _ = left_behind
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_MODEL],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder.parent / "code")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 'fields["bend_radii"] = fields.pop("bend_radius")' in done.stdout, done
    assert "`size` is new: give it a value, such as by" in done.stdout
    assert "`model['pupil']` have changed since they were saved" in done.stdout
    assert "only the class has `size`" in done.stdout


def test_the_report(left_behind):
    """Each file, with what does not match in it."""
    folder, _, _ = left_behind
    found = migration(folder)
    files = {Path(file).name: lines for file, lines in found.mismatches.items()}
    assert set(files) == {"a.zdx", "b.eqx", "plain.zdx"}
    assert files["plain.zdx"] == []
    text = "`oldlab:Refractor` at `model[0]` needs `oldlab`, which is neither imported"
    assert files["b.eqx"][0].startswith(text)
    assert str(found).startswith("3 files, 2 of them with mismatches.\n")
    assert str(found).endswith(found.lines)


def test_what_matches(tmp_path):
    """Nothing to say."""
    serialise(tmp_path / "m", {"a": jnp.ones(2)})
    found = migration(tmp_path / "m.zdx")
    assert found.lines == ""
    assert str(found) == "1 files, 0 of them with mismatches."


def test_a_damaged_file(tmp_path):
    """It is reported, and the others are looked at."""
    serialise(tmp_path / "m", {"a": jnp.ones(2)})
    (tmp_path / "n.zdx").write_bytes(b"no file of ours")
    (wrong, right) = sorted(migration(tmp_path).mismatches.items(), reverse=True)
    assert "cannot be read: " in wrong[1][0]
    assert right[1] == []


@pytest.mark.filterwarnings("ignore::zodiax_io.ClassChangedWarning")
def test_the_command(left_behind, tmp_path, capsys, monkeypatch):
    """Proposals on one day, the files saved again on another; a dry run before."""
    folder, _, expected = left_behind
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "models.py").write_text(
        "import jax.numpy as jnp\nimport newlab\n"
        "def make():\n    return {'lens': newlab.ThickRefractor(jnp.ones(3)),\n"
        "            'pupil': newlab.Pupil(jnp.ones(2), jnp.ones((4, 4)))}\n"
    )
    arguments = ["migrate", str(folder), "--like", "models:make"]
    assert main.main(arguments) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("# 3 files, 2 of them with mismatches.\n# ")
    script = tmp_path / "lines.py"
    script.write_text(printed)
    before = (folder / "a.zdx").read_bytes()
    apply = ["migrate", str(folder), "--with", str(script)]
    assert main.main([*apply, "--dry-run"]) == 0
    assert (folder / "a.zdx").read_bytes() == before
    assert "a.zdx: would be saved again" in capsys.readouterr().out
    assert main.main(apply) == 0
    printed = capsys.readouterr()
    assert "a.zdx: saved again" in printed.out
    assert "plain.zdx: as it was" in printed.out
    assert "set to their defaults: `gain`" in printed.err
    zodiax_io._trust.renames._renamed.clear()
    zodiax_io._evolution.upgrades.rules.clear()
    assert differences(expected, deserialise(folder / "a", strict=True)) == []
    assert zodiax_io.read_metadata(folder / "a") == {"epoch": 3}
    assert not (folder / "one" / "b.zdx").exists()
    assert main.main(["migrate", str(folder)]) == 0


@pytest.mark.parametrize(
    "arguments",
    [["--like", "nowhere:make"], ["--like", "math:nothing"], ["--with", "nowhere.py"]],
)
def test_arguments_of_the_command(tmp_path, capsys, arguments):
    """One line says what is wrong with them."""
    serialise(tmp_path / "m", 1)
    assert main.main(["migrate", str(tmp_path), *arguments]) == 2
    assert capsys.readouterr().err.startswith("zodiax-io: ")


def test_a_file_that_fails(left_behind, capsys, tmp_path):
    """The others are saved all the same, and the status tells."""
    folder, _, _ = left_behind
    (tmp_path / "lines.py").write_text("")
    assert (
        main.main(["migrate", str(folder), "--with", str(tmp_path / "lines.py")]) == 2
    )
    printed = capsys.readouterr()
    assert "a.zdx: failed" in printed.out
    assert "plain.zdx: as it was" in printed.out
    assert "oldlab" in printed.err


def test_names_of_a_file_are_no_code(lab, tmp_path):
    """Whatever is in a name stays within quotes."""
    lab(
        "ownlab",
        HEAD + "class Refractor(eqx.Module):\n    bend_radius: Any\n    order: Any\n",
    )
    field = 'r"+str(open("planted","w"))+"\n'
    one = container("module", {field: NONE, "order": NONE}, type="ownlab:Refractor")
    two = container(
        "module", {"bend_radius": NONE}, type='ownlab:Refractor2", "a"); x("'
    )
    for number, node in enumerate((one, two)):
        checkpoint = Checkpoint.of(1)
        checkpoint.tree = node
        (tmp_path / f"{number}.eqx").write_bytes(checkpoint.companion())
    lines = migration(tmp_path).lines
    assert f"fields.pop({field!r})" in lines
    assert "x(" not in lines
    calls = [n for n in ast.walk(ast.parse(lines)) if isinstance(n, ast.Call)]
    assert {ast.unparse(call.func) for call in calls} == {
        "fields.pop",
        "zodiax_io.upgraded",
    }


@pytest.mark.parametrize("key", ["absent", "beside", "static"])
@pytest.mark.parametrize("value", [[[1]], [{}], 3])
def test_hostile_files(lab, tmp_path, key, value):
    """They are reported like any other."""
    lab("ownlab", HEAD + "class Refractor(eqx.Module):\n    bend_radius: Any\n")
    checkpoint = Checkpoint.of(1)
    checkpoint.tree = container("module", {"x": NONE}, type="ownlab:Refractor") | {
        key: value
    }
    (tmp_path / "m.eqx").write_bytes(checkpoint.companion())
    assert migration(tmp_path).mismatches


def test_files_of_several_ages(lab, tmp_path):
    """Each is matched with the lines for its own fields, and nothing gets lost."""
    runs = tmp_path / "runs"
    text = HEAD + "class Refractor(eqx.Module):\n"
    first = lab("lab", text + "    focal: Any\n    colour: str\n")
    serialise(runs.parent / "1", first.Refractor(1.0, "red"))
    second = lab("lab", text + "    focal: Any\n    color: str\n")
    serialise(runs.parent / "2", second.Refractor(2.0, "blue"))
    lab("lab", text + "    focal_length: Any\n    color: str = 'none'\n")
    found = migration([runs.parent / "1.zdx", runs.parent / "2.zdx"])
    assert [len(lines) for lines in found.mismatches.values()] == [1, 1]
    exec(found.lines)  # noqa: S102
    for name, focal, color in (("1", 1.0, "red"), ("2", 2.0, "blue")):
        loaded = deserialise(runs.parent / name, strict=True)
        assert (loaded.focal_length, loaded.color) == (focal, color)


def test_nothing_is_saved_over_what_would_be_lost(lab, tmp_path, capsys):
    """A field that nobody has spoken of stays in its file."""
    text = HEAD + "class Refractor(eqx.Module):\n    bend_radius: Any\n"
    old = lab("lab", text + "    colour: str\n")
    serialise(tmp_path / "m", old.Refractor(1.0, "red"))
    lab("lab", text)
    (tmp_path / "lines.py").write_text("")
    before = (tmp_path / "m.eqx").read_bytes()
    command = ["migrate", str(tmp_path / "m.zdx"), "--with", str(tmp_path / "lines.py")]
    assert main.main(command) == 2
    assert "not loaded: `colour`" in capsys.readouterr().err
    assert (tmp_path / "m.eqx").read_bytes() == before


def test_values_that_an_upgrade_changes(lab, tmp_path, capsys):
    """The structure is the same, and the file is saved again."""
    text = HEAD + "class Refractor(eqx.Module):\n    bend_radius: Any\n"
    serialise(tmp_path / "m", lab("lab", text).Refractor(jnp.ones(2)))
    lines = (
        "import lab, zodiax_io\nzodiax_io.upgraded(lab.Refractor, "
        "lambda f: {'bend_radius': f['bend_radius'] * 2}, fields=['bend_radius'])\n"
    )
    new = lab("lab", text + "    gain: float = 1.0\n")
    (tmp_path / "lines.py").write_text(lines)
    command = ["migrate", str(tmp_path / "m.zdx"), "--with", str(tmp_path / "lines.py")]
    assert main.main(command) == 0
    assert "saved again" in capsys.readouterr().out
    zodiax_io._evolution.upgrades.rules.clear()
    assert (
        differences(new.Refractor(jnp.ones(2) * 2), deserialise(tmp_path / "m")) == []
    )


def test_modules_of_a_trusted_package_are_searched(tmp_path, monkeypatch):
    """What moved may be in a module that nobody has imported yet."""
    package = tmp_path / "movedlab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "elements.py").write_text(
        HEAD + "class Refractor(eqx.Module):\n    bend_radius: Any\n"
    )
    (package / "broken.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint = Checkpoint.of(1)
    checkpoint.tree = container(
        "module", {"bend_radius": NONE}, type="movedlab.old:Refractor"
    )
    (tmp_path / "m.eqx").write_bytes(checkpoint.companion())
    found = migration(tmp_path / "m.eqx", trusted=["movedlab"])
    new = "movedlab.elements:Refractor"
    assert f'zodiax_io.renamed("movedlab.old:Refractor", "{new}")' in found.lines


@pytest.mark.parametrize("options", [[], ["--with", "lines.py"]])
def test_a_file_that_is_not_there(tmp_path, monkeypatch, capsys, options):
    """The command says so and fails, as the others do, and runs no lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.py").write_text("raise AssertionError")
    assert main.main(["migrate", "nope", *options]) == 2
    assert capsys.readouterr().err == "zodiax-io: There is no file or folder nope.\n"
