"""Scripts and modules of one's own: saved by one process, loaded by another."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import zodiax_io

ROOT = Path(zodiax_io.__file__).parents[1]


@pytest.fixture
def run(tmp_path):
    """Run a script in a folder of its own: what it printed, and its error."""

    def run(name, text, *options):
        (tmp_path / name).write_text(textwrap.dedent(text))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [sys.executable, *options, name],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        return done.stdout, done.stderr

    return run


TRAIN = """
    import enum
    import equinox as eqx
    import jax.numpy as jnp
    import zodiax_io

    class Mode(enum.Enum):
        FAST = 1

    UNSET = object()

    class Lens(eqx.Module):
        focal: jnp.ndarray
        act: object
        mode: Mode = eqx.field(static=True, default=Mode.FAST)
        mask: object = UNSET

    def activation(x):
        return 2 * x

    if __name__ == "__main__":
        zodiax_io.serialise("lens.zdx", Lens(jnp.arange(3.0), activation))
"""


@pytest.mark.parametrize(
    "imports",
    ["from train import Lens, Mode, activation, UNSET", "import train"],
)
def test_what_a_script_saved_another_loads(run, imports):
    """Classes of the script that saved are found where they are imported from it."""
    assert run("train.py", TRAIN) == ("", "")
    script = f"""
        import zodiax_io
        {imports}
        import train
        lens = zodiax_io.deserialise("lens.zdx")
        print(type(lens) is train.Lens, lens.act is train.activation)
        print(lens.mode is train.Mode.FAST, lens.mask is train.UNSET, lens.focal.sum())
        zodiax_io.serialise("again.zdx", lens)
        print({{v.name.partition(":")[0] for v in zodiax_io.names("again.zdx")}})
    """
    out, err = run("evaluate.py", script)
    assert err == ""
    assert out.splitlines() == ["True True", "True True 3.0", "{'train'}"]


def test_script_that_is_not_imported_is_named(run):
    """The error says which import is missing."""
    run("train.py", TRAIN)
    out, err = run("load.py", "import zodiax_io\nzodiax_io.deserialise('lens.zdx')")
    assert out == ""
    assert "UntrustedError" in err
    assert "write `from train import Lens`" in err


def test_main_module_of_a_package(run, tmp_path):
    """`python -m` has a name to come back by, too."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "train.py").write_text(textwrap.dedent(TRAIN))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "nets.train"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    out, err = run(
        "evaluate.py",
        """
        import nets.train, zodiax_io
        print(type(zodiax_io.deserialise("lens.zdx")) is nets.train.Lens)
        """,
    )
    assert (out, err) == ("True\n", "")


def test_functions_in_variables_of_a_script_are_refused(run):
    """What a loop calls `f` is another function in the next turn.

    Where a function of the script made it, that leads to it.
    """
    out, err = run(
        "loop.py",
        """
        import jax
        import zodiax_io

        def make(n):
            return lambda x: x**n

        for f in [lambda x: x, jax.jit(lambda x: x), make(2), make(3)]:
            try:
                zodiax_io.serialise("f.zdx", f)
                print("saved")
            except zodiax_io.SerialisationError:
                print("refused")

        def g(x):
            return x

        alias = g
        zodiax_io.serialise("f.zdx", [alias, jax.jit(g)])
        print(zodiax_io.deserialise("f.zdx")[0] is g)
        """,
    )
    assert (out.splitlines(), err) == (["refused"] * 2 + ["saved"] * 2 + ["True"], "")


def test_local_functions_of_a_script_in_another_process(run):
    """What a method of a script makes is there in the next run, and if it is imported.

    After an edit it is an error.
    """
    text = """
        import equinox as eqx
        import zodiax_io

        class Model(eqx.Module):
            power: object
            twice: object

            def __init__(self, n):
                self.twice = lambda x: x + x
                self.power = lambda x: x**n

        if __name__ == "__main__":
            SAVE
            loaded = zodiax_io.deserialise("m.zdx")
            print(loaded.twice(3), loaded.power(3))
        """
    save = 'zodiax_io.serialise("m.zdx", Model(2))'
    assert run("a.py", text.replace("SAVE", save)) == ("6 9\n", "")
    text = text.replace("SAVE", "")
    assert run("a.py", text) == ("6 9\n", "")
    imports = """
        import a, zodiax_io
        print(zodiax_io.deserialise("m.zdx").power(3))
        """
    assert run("b.py", imports) == ("9\n", "")
    _, err = run("a.py", text.replace("x + x", "x + 1"))
    assert "ClassChangedError: m.eqx: `model.twice` is the local function" in err


def test_variables_of_a_script_that_change_their_class(run):
    """A stateless object by the name of a variable is one of its class, or an error."""
    out, err = run(
        "change.py",
        """
        import zodiax_io

        class A: pass
        class B: pass

        for i, thing in enumerate([A(), B()]):
            zodiax_io.serialise(f"{i}.zdx", thing)
        try:
            print(type(zodiax_io.deserialise("0.zdx")).__name__)
        except zodiax_io.CorruptFileError as error:
            print("another class" in str(error))
        print(zodiax_io.deserialise("1.zdx") is thing)
        """,
    )
    assert (out.splitlines(), err) == (["True", "True"], "")


def test_a_class_that_was_defined_again(run):
    """As when a cell of a notebook is run again: the error says so."""
    out, _ = run(
        "again.py",
        """
        import equinox as eqx
        import zodiax_io

        class Lens(eqx.Module):
            pass

        old = Lens()

        class Lens(eqx.Module):
            pass

        try:
            zodiax_io.serialise("old.zdx", old)
        except zodiax_io.SerialisationError as error:
            print(error)
        """,
    )
    assert "it was defined again since this was made" in out


def test_worker_processes_save(run):
    """In a worker the script is called otherwise, and its classes are the same."""
    out, err = run(
        "workers.py",
        """
        import multiprocessing
        import equinox as eqx
        import zodiax_io

        class Lens(eqx.Module):
            focal: float = 2.0

        def work(i):
            zodiax_io.serialise(f"{i}.zdx", Lens(float(i)))

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.map(work, [3])
            print(zodiax_io.deserialise("3.zdx"))
        """,
    )
    assert (out, err) == ("Lens(focal=3.0)\n", "")


OPEN_AND_SAVE = """
    import zodiax_io
    tree = zodiax_io.deserialise("lens.zdx", unknown="opaque")
    zodiax_io.serialise("again.zdx", tree)
    print(tree.focal.sum(), type(tree).__name__)
"""


def test_opening_without_the_script_keeps_its_name(run, tmp_path):
    """Saved again elsewhere, a file of a script is the same to the byte, and loads."""
    run("train.py", TRAIN)
    out, err = run("open.py", OPEN_AND_SAVE)
    assert (out, err) == ("3.0 Opaque\n", "")
    for suffix in (".zdx", ".eqx"):
        again = (tmp_path / f"again{suffix}").read_bytes()
        assert again == (tmp_path / f"lens{suffix}").read_bytes()
    out, err = run(
        "evaluate.py",
        """
        import train, zodiax_io
        print(type(zodiax_io.deserialise("again.zdx")) is train.Lens)
        """,
    )
    assert (out, err) == ("True\n", "")


def test_functions_of_a_script_keep_its_name(run, tmp_path):
    """A file with functions only, and one with the script's names in its metadata."""
    text = TRAIN.replace(
        "Lens(jnp.arange(3.0), activation))", "[activation], metadata=Mode.FAST)"
    )
    run("train.py", text)
    out, err = run(
        "open.py",
        """
        import zodiax_io
        tree = zodiax_io.deserialise("lens.zdx", unknown="opaque")
        note = zodiax_io.read_metadata("lens.zdx", unknown="opaque")
        zodiax_io.serialise("again.zdx", tree, metadata=note)
        """,
    )
    assert (out, err) == ("", "")
    again = (tmp_path / "again.zdx").read_bytes()
    assert again == (tmp_path / "lens.zdx").read_bytes()


@pytest.mark.parametrize("own", ["Own(tree)", "[tree, Own(1)]"])
def test_objects_of_two_scripts_in_one_file(run, own):
    """Each is found in its own script, whichever of them saved the file."""
    run("train.py", TRAIN)
    out, err = run(
        "second.py",
        f"""
        import equinox as eqx
        import zodiax_io

        class Own(eqx.Module):
            inside: object

        if __name__ == "__main__":
            tree = zodiax_io.deserialise("lens.zdx", unknown="opaque")
            zodiax_io.serialise("both.zdx", {own})
        """,
    )
    assert (out, err) == ("", "")
    out, err = run(
        "evaluate.py",
        """
        import jax, train, second, zodiax_io
        both = zodiax_io.deserialise("both.zdx")
        lens = both.inside if type(both) is second.Own else both[0]
        print(type(lens) is train.Lens, lens.act is train.activation)
        """,
    )
    assert (out, err) == ("True True\n", "")


def test_objects_of_two_scripts_kept_by_a_third(run):
    """So is each of what a process keeps without either of the scripts."""
    run("first.py", TRAIN.replace("lens.zdx", "1.zdx"))
    run("second.py", TRAIN.replace("lens.zdx", "2.zdx"))
    out, err = run(
        "third.py",
        """
        import zodiax_io
        both = [
            zodiax_io.deserialise(f"{n}.zdx", unknown="opaque") for n in (2, 1)
        ]
        zodiax_io.serialise("both.zdx", both)
        """,
    )
    assert (out, err) == ("", "")
    out, err = run(
        "evaluate.py",
        """
        import first, second, zodiax_io
        two, one = zodiax_io.deserialise("both.zdx")
        print(type(one) is first.Lens, type(two) is second.Lens)
        """,
    )
    assert (out, err) == ("True True\n", "")


def test_the_difference_of_two_scripts_is_named(run):
    """Of two files with the same content, the scripts are what differs."""
    for name in ("first", "second"):
        run(f"{name}.py", TRAIN.replace("lens.zdx", f"{name}.zdx"))
    out, err = run(
        "compare.py",
        "import zodiax_io\nprint(zodiax_io.diff('first.zdx', 'second.zdx'))",
    )
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "~ model: first:Lens -> second:Lens"
    assert "~ model.act: first:activation -> second:activation" in lines
    assert "other bytes" not in out
