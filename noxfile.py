"""One session for each promise: `nox -s tests`, or `nox -l` for the list."""

import os
import pathlib
import random
import shutil
import zipfile

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "docs", "tests"]

PYTHONS = ["3.11", "3.12", "3.13"]
ROOT = pathlib.Path(__file__).parent


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Every test passes on each supported Python with the newest dependencies."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


# Only uv can install the lowest versions; only Python 3.11 has wheels for them all.
@nox.session(python="3.11", venv_backend="uv")
def minimum(session: nox.Session) -> None:
    """Every test passes with the lowest versions that pyproject.toml states."""
    session.install("--resolution=lowest-direct", "-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def bare(session: nox.Session) -> None:
    """zodiax_io needs only its dependencies; tests that need more are skipped."""
    session.install("-e", ".[bare]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def dist(session: nox.Session) -> None:
    """What would be published is whole: installed by pip, it passes its own tests."""
    session.install(".[dist]")
    folder = pathlib.Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    session.run("python", "-m", "build", "--outdir", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    session.run("python", "-m", "twine", "check", "--strict", str(wheel), str(sdist))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    if {name.partition("/")[0].partition("-")[0] for name in names} != {"zodiax_io"}:
        session.error("The wheel holds more than zodiax_io.")
    needed = ["zodiax_io/py.typed", "zodiax_io/_trust/functions.txt"]
    for name in (*needed, f"{_info(wheel)}/licenses/LICENSE"):
        if name not in names:
            session.error(f"The wheel lacks {name}.")

    shutil.unpack_archive(sdist, folder, filter="data")
    tests = folder / sdist.name.removesuffix(".tar.gz")
    shutil.rmtree(tests / "zodiax_io")  # so that the wheel's is tested
    session.run("python", "-m", "venv", str(folder / "venv"))
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def run(program: str, *arguments: str) -> None:
        session.run(str(scripts / program), *arguments, external=True)

    with session.chdir(tests):
        run("python", "-m", "pip", "install", "--quiet", str(wheel))
        run("python", "-m", "zodiax_io", "--version")
        run("zodiax-io", "--version")
        run("python", "-m", "pip", "install", "--quiet", f"{wheel}[progress,show]")
        run("python", "-c", "import rich, tqdm")
        run("python", "-m", "pip", "install", "--quiet", f"{wheel}[test]")
        run("python", "-m", "pytest", *session.posargs)


def _info(wheel: pathlib.Path) -> str:
    return "-".join(wheel.name.split("-")[:2]) + ".dist-info"


@nox.session
def downstream(session: nox.Session) -> None:
    """Objects of real packages come back in another process (`-- optax` for one)."""
    session.install("-e", ".[downstream]")
    session.run("python", "-m", "tests.downstream", *session.posargs)


@nox.session
def functions(session: nox.Session) -> None:
    """What new packages change in the table of functions (`-- jax.numpy` for one)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.trust.functions", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """The code keeps the rules of pyproject.toml and is formatted by ruff."""
    session.install(".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """The annotations of zodiax_io hold under pyright's strict mode."""
    session.install("-e", ".[types]")
    session.run("pyright", "--warnings", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation builds without a warning and without the network."""
    session.install("-e", ".[docs]")
    output = ROOT / "docs" / "_build" / "html"
    shutil.rmtree(output.parent, ignore_errors=True)
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", str(output))
    session.log(f"Open {output / 'index.html'}")


@nox.session
def alone(session: nox.Session) -> None:
    """Each test file passes by itself, and all tests pass in a random order."""
    session.install("-e", ".[test]", "pytest-random-order>=1.1")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.parent.name == "benchmarks":
            continue  # timings, for `nox -s speed`
        session.run("python", "-m", "pytest", "-n=0", "-q", str(path))
    seed = session.posargs[0] if session.posargs else str(random.randrange(10**6))
    order = ("--random-order-bucket=global", f"--random-order-seed={seed}")
    session.run("python", "-m", "pytest", "-q", *order)


@nox.session
def fuzz(session: nox.Session) -> None:
    """No hostile file does harm, and no random example breaks a property.

    For 300 seconds each, or as many as `-- --seconds N` says.
    """
    session.install("-e", ".[test]")
    env = {"ZODIAX_IO_TYPECHECK": "0"}
    session.run("python", "-m", "tests.attacks", env=env)
    options = session.posargs or ["--seconds", "300"]
    for what in ("attacks.mutate", "attacks.fuzz", "roam"):
        session.run("python", "-m", f"tests.{what}", *options, env=env)


@nox.session
def crash(session: nox.Session) -> None:
    """Killed savers cost nothing, and every flipped bit is found or without effect."""
    session.install("-e", ".[test]")
    env = {"ZODIAX_IO_TYPECHECK": "0", "ZODIAX_IO_EXHAUSTIVE": "1"}
    options = session.posargs or ["--seconds", "300"]
    session.run("python", "-m", "tests.crashes.killer", *options, env=env)
    tests = ("tests/files/test_crashes.py", "tests/files/test_damage.py")
    session.run("python", "-m", "pytest", *tests, env=env)


@nox.session
def notebooks(session: nox.Session) -> None:
    """Every notebook runs from top to bottom (`-- --inplace` keeps the outputs)."""
    paths = sorted(str(path) for path in (ROOT / "notebooks").glob("*.ipynb"))
    if not paths:
        session.skip("There are no notebooks.")
    session.install("-e", ".[test,notebooks]")
    session.run("jupyter", "execute", *session.posargs, *paths)


@nox.session
def speed(session: nox.Session) -> None:
    """The speed of this commit, to be set beside that of another."""
    session.install("-e", ".[test,benchmarks]")
    session.run(
        "python",
        "-m",
        "pytest",
        "-n=0",
        "tests/benchmarks",
        *session.posargs,
        env={"ZODIAX_IO_TYPECHECK": "0"},
    )


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The speed that the documentation states can be measured again, beside others."""
    session.install("-e", ".[test,benchmarks]")
    session.run("python", "-m", "tests.benchmarks.compare", *session.posargs)
