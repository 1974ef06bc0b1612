"""The packages that a file records, and what is said when they differ."""

import importlib.metadata
import io
import json
import platform
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clients import optax
from documents import Checkpoint

import zodiax_io
from zodiax_io import (
    ArgumentError,
    VersionMismatchError,
    VersionMismatchWarning,
    _environment,
    deserialise,
)

ALWAYS = {"python", "zodiax_io", "jax", "jaxlib", "equinox", "numpy"}


def recorded(tree):
    return Checkpoint.of(tree).document["versions"]


@pytest.fixture
def fresh():
    """Look every package up anew, before and after."""

    def clear():
        for function in (_environment._distribution, _environment._version):
            function.cache_clear()

    clear()
    yield
    clear()


class Distribution(importlib.metadata.Distribution):
    """A package that is installed only for this test."""

    def __init__(self, name, version, origin=None):
        self._texts = {"METADATA": f"Name: {name}\nVersion: {version}\n"}
        if origin is not None:
            self._texts["direct_url.json"] = origin

    def read_text(self, filename):
        return self._texts.get(filename)

    def locate_file(self, path):
        return path


@pytest.fixture
def install(monkeypatch, fresh):
    """Install distributions, or remove them, for one test."""
    real, fakes = importlib.metadata.distribution, {}

    def find(name):
        if name in fakes:
            if fakes[name] is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return fakes[name]
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", find)

    def add(name, version=None, origin=None):
        fakes[name] = None if version is None else Distribution(name, version, origin)
        for function in (_environment._distribution, _environment._version):
            function.cache_clear()

    return add


# Recording ----------------------------------------------------------------------------


def test_foundations_are_always_recorded(install):
    """Python, zodiax_io, jax, jaxlib, equinox and numpy stand in every file."""
    install("zodiax_io", zodiax_io.__version__)
    versions = recorded(1)
    assert set(versions) == ALWAYS
    assert versions["python"] == platform.python_version()
    assert versions["jax"] == jax.__version__
    assert versions["equinox"] == eqx.__version__
    assert versions["numpy"] == np.__version__
    assert versions["zodiax_io"] == zodiax_io.__version__


def test_own_version_is_recorded_from_a_bare_checkout(install):
    """The version of zodiax_io is recorded also where it is not installed."""
    install("zodiax_io")
    assert recorded(1)["zodiax_io"].startswith(zodiax_io.__version__)


def test_packages_of_the_tree_are_recorded():
    """A package is recorded when the tree names something of it, and only then."""
    assert "optax" not in recorded({"w": jnp.ones(2)})
    state = optax.adam(1e-3).init({"w": jnp.ones(2)})
    assert recorded(state)["optax"] == importlib.metadata.version("optax")


def test_packages_of_static_fields_are_recorded():
    """Functions and classes in static fields count."""
    tree = [eqx.nn.Lambda(optax.l2_loss)]
    assert "optax" in recorded(tree)


def test_packages_of_the_metadata_are_recorded():
    """What the metadata names counts too."""
    checkpoint = Checkpoint.of(1, metadata=[optax.l2_loss])
    assert "optax" in checkpoint.document["versions"]


def test_the_standard_library_and_scripts_have_no_version():
    """What belongs to Python, or to no package, is recorded by Python's version."""
    import math

    versions = recorded([math.sin, own_function])
    assert set(versions) <= ALWAYS


def own_function(x):
    return x


def test_settings_of_jax_are_recorded():
    """The settings that change values stand in the file."""
    assert Checkpoint.of(1).document["settings"] == {
        "jax_enable_x64": False,
        "jax_default_prng_impl": "threefry2x32",
    }


# Checkouts ----------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_package_from_a_repository_carries_its_commit(install):
    """A package that pip installed from git is recorded with its commit."""
    origin = {"url": "https://x/y.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
    install("optax", "1.0.dev0", json.dumps(origin))
    assert recorded([optax.l2_loss])["optax"] == "1.0.dev0 (commit 0123456789ab)"


def editable(folder):
    return json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})


def test_editable_package_carries_the_commit_of_its_checkout(install, tmp_path):
    """A package installed with `pip install -e` is recorded with its commit."""
    git = tmp_path / "my checkout" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text(COMMIT + "\n")
    install("optax", "1.0", editable(git.parent))
    assert recorded([optax.l2_loss])["optax"] == "1.0 (commit 0123456789ab)"


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("flat_lab.py", "flat_lab"),
        ("full_lab/__init__.py", "full_lab"),
        ("space_lab/part.py", "space_lab.part"),
    ],
)
def test_a_module_of_ones_own_is_found_by_its_folder(
    install, tmp_path, monkeypatch, file, module
):
    """Its distribution may have another name; asking all that are installed is slow."""

    def slow():
        raise AssertionError("every installed package is looked through")

    monkeypatch.setattr(importlib.metadata, "packages_distributions", slow)
    path = tmp_path / "src" / file
    path.parent.mkdir(parents=True)
    path.write_text("def f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path / "src")
    function = importlib.import_module(module).f
    assert set(recorded([function])) == ALWAYS
    mine = Distribution("somebodys-lab", "3.0", editable(tmp_path))
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: iter([mine]))
    install("somebodys-lab", "3.0", editable(tmp_path))
    assert recorded([function])["somebodys-lab"] == "3.0"


@pytest.mark.parametrize(
    "spec",
    [None, "text", types.SimpleNamespace(), types.SimpleNamespace(has_location=True)]
    + [types.SimpleNamespace(has_location=True, origin=o) for o in (None, 5, "\0")],
)
def test_modules_that_are_none(monkeypatch, fresh, spec):
    """What stands in for a module may say anything of itself."""
    module = types.ModuleType("made_by_hand")
    module.__spec__ = spec
    exec("def f(x):\n    return x", module.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    assert set(recorded([module.f])) == ALWAYS
    main = types.ModuleType("__main__")
    main.__spec__, main.__file__ = spec, 5
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert _environment.script() == {}


def test_editable_package_with_packed_references(install, tmp_path):
    """The commit is found where git keeps references packed."""
    git = tmp_path / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(
        f"# pack-refs\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n"
    )
    install("optax", "1.0", editable(tmp_path))
    assert recorded([optax.l2_loss])["optax"] == "1.0 (commit 0123456789ab)"


def test_editable_package_on_a_detached_head(install, tmp_path):
    """The commit is found where no branch is checked out."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(COMMIT + "\n")
    install("optax", "1.0", editable(tmp_path))
    assert recorded([optax.l2_loss])["optax"] == "1.0 (commit 0123456789ab)"


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"url": 3}',
        '{"vcs_info": {}}',
        '{"vcs_info": 3}',
        '{"url": "file:///no/such/folder", "dir_info": {"editable": true}}',
        '{"url": "file:///tmp", "dir_info": {}}',
        '{"url": "https://x/y.whl", "archive_info": {}}',
    ],
)
def test_package_of_unclear_origin_has_its_version(install, origin):
    """Where no commit can be told, the version alone is recorded."""
    install("optax", "1.0", origin)
    assert recorded([optax.l2_loss])["optax"] == "1.0"


# Comparing ----------------------------------------------------------------------------


def load(written, **options):
    checkpoint = Checkpoint.of(7)
    checkpoint.document["versions"] = written
    return deserialise(io.BytesIO(checkpoint.companion()), **options)


def difference(then, install, now):
    install("somepackage", now)
    with pytest.raises(VersionMismatchError) as caught:
        load({"somepackage": then}, versions="error")
    (found,) = caught.value.differences
    assert (found.package, found.file, found.here) == ("somepackage", then, now)
    return found.kind


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        ("1.0", None, "missing"),
        ("1.2", "1.1", "older"),
        ("1.10", "1.9", "older"),
        ("1.9", "1.10", "newer"),
        ("1.2", "1.2.1", "newer"),
        ("2.0", "10.0", "newer"),
        ("1.0", "1.0.0", "other"),
        ("1.0", "1.0 (commit 0123456789ab)", "other"),
        ("1.0 (commit aaaaaaaaaaaa)", "1.0 (commit bbbbbbbbbbbb)", "other"),
        ("1.0.dev1", "1.0.dev2", "other"),
        ("unknown", "1.0", "newer"),
    ],
)
def test_difference(install, then, now, kind):
    """A package is missing, older, newer, or otherwise not the same."""
    if now is not None and "commit" in now:
        version, _, commit = now.partition(" (commit ")
        origin = json.dumps({"vcs_info": {"commit_id": commit.rstrip(")")}})
        install("somepackage", version, origin)
        with pytest.raises(VersionMismatchError) as caught:
            load({"somepackage": then}, versions="error")
        (found,) = caught.value.differences
        assert (found.here, found.kind) == (now, kind)
    else:
        assert difference(then, install, now) == kind


def test_same_versions_say_nothing():
    """Where nothing differs, nothing is said."""
    assert load(recorded(1), versions="error") == 7


FILE = {
    "zeta": "1.0",
    "newer": "1.0",
    "older": "1.5",
    "gone": "1.0",
    "alpha": "1.0",
    "changed": "1.0.dev1",
}
LINES = (
    "The file was written with other packages than those here:\n"
    "  gone: 1.0 in the file, not installed here\n"
    "  older: 1.5 in the file, 1.4 here (older)\n"
    "  changed: 1.0.dev1 in the file, 1.0.dev2 here (other)\n"
    "  alpha: 1.0 in the file, 2.0 here (newer)\n"
    "  newer: 1.0 in the file, 1.1 here (newer)"
)


@pytest.fixture
def differing(install):
    """Packages that differ in every way from those of `FILE`."""
    for name, version in {
        "zeta": "1.0",
        "newer": "1.1",
        "older": "1.4",
        "gone": None,
        "alpha": "2.0",
        "changed": "1.0.dev2",
    }.items():
        install(name, version)


def test_differences_are_listed_worst_first(differing):
    """One warning lists them all: missing, older, other, newer."""
    with pytest.warns(VersionMismatchWarning) as caught:
        assert load(FILE) == 7
    assert len(caught) == 1
    assert str(caught[0].message) == (
        LINES + '\nPass `versions="ignore"` if that is well.'
    )


def test_differences_as_an_error(differing):
    """`versions="error"` raises the same list, and keeps it as data."""
    with pytest.raises(VersionMismatchError) as caught:
        load(FILE, versions="error")
    assert str(caught.value) == LINES
    assert [d.kind for d in caught.value.differences] == [
        "missing",
        "older",
        "other",
        "newer",
        "newer",
    ]


def test_differences_ignored(differing):
    """`versions="ignore"` says nothing."""
    assert load(FILE, versions="ignore") == 7


def test_wrong_choice_is_refused():
    """There is no fourth way."""
    with pytest.raises(ArgumentError):
        load({}, versions="never")


def test_metadata_is_read_without_a_word(differing):
    """`read_metadata` does not compare packages."""
    checkpoint = Checkpoint.of(1, metadata="notes")
    checkpoint.document["versions"] = FILE
    file = io.BytesIO(checkpoint.companion())
    assert zodiax_io.read_metadata(file) == "notes"


@pytest.mark.parametrize(
    "name", ["", " ", "a\0b", "../x", "x" * 10_000, "\x1b[31m", "python ", "ü", "a/b"]
)
def test_what_is_no_name_of_a_package(name):
    """No name is looked for among the installed packages that cannot be one's."""
    with pytest.raises(zodiax_io.CorruptFileError, match="the name of a package"):
        load({name: "1.0"}, versions="ignore")


def test_too_many_packages():
    """Each is looked for, so their number is bounded."""
    with pytest.raises(zodiax_io.CorruptFileError, match="more than 1000"):
        load({f"p{n}": "1" for n in range(1001)}, versions="ignore")


@pytest.mark.parametrize(
    "version", ["", "x", "9" * 5000, "1..2", "\n\n", "1.0\x1b[31m", "1.²"]
)
def test_any_version_of_a_package(version):
    """Whatever a file calls a version, it is one that differs."""
    with pytest.raises(VersionMismatchError) as caught:
        load({"numpy": version}, versions="error")
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000
