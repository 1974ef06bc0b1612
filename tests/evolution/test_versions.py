"""The packages that a file records, and what is said when they differ."""

import importlib.metadata
import io
import json
import os
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
from jax.extend.random import define_prng_impl

import zodiax_io
from zodiax_io import (
    ArgumentError,
    VersionMismatchError,
    VersionMismatchWarning,
    deserialise,
)
from zodiax_io._evolution import packages

ALWAYS = {"python", "zodiax_io", "jax", "jaxlib", "equinox", "numpy"}


def recorded(tree):
    return Checkpoint.of(tree).document["versions"]


@pytest.fixture
def fresh():
    """Look every package up anew, before and after."""

    def clear():
        for name in ("_distribution", "_version", "_tables_of"):
            getattr(packages, name).cache_clear()

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
    real, fakes = packages._installed, {}

    def find(name):
        return fakes[name] if name in fakes else real(name)

    monkeypatch.setattr(packages, "_installed", find)

    def add(name, version=None, origin=None):
        fakes[name] = None if version is None else Distribution(name, version, origin)
        for function in (packages._distribution, packages._version):
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
    settings = Checkpoint.of(1).document["settings"]
    assert settings == {
        "jax_enable_x64": False,
        "jax_default_prng_impl": "threefry2x32",
        "jax_threefry_partitionable": True,
        "jax_random_seed_offset": 0,
        "jax_high_dynamic_range_gumbel": False,
        "jax_default_matmul_precision": None,
        "jax_allow_f16_reductions": True,
        **{n: settings[n] for n in ("jax_explicit_x64_dtypes",) if n in settings},
        "jax_numpy_dtype_promotion": "standard",
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
    """Its distribution may have another name; the folder of the checkout tells it."""
    path = tmp_path / "src" / file
    path.parent.mkdir(parents=True)
    path.write_text("def f(x):\n    return x\n")
    monkeypatch.syspath_prepend(tmp_path / "src")
    for name in {module, module.partition(".")[0]}:
        monkeypatch.setitem(sys.modules, name, None)  # absent again after the test
        del sys.modules[name]
    function = importlib.import_module(module).f
    assert set(recorded([function])) == ALWAYS
    mine = Distribution("somebodys-lab", "3.0", editable(tmp_path))
    monkeypatch.setattr(importlib.metadata, "distributions", lambda **_: iter([mine]))
    packages._tables_of.cache_clear()
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
    assert packages.script() == {}


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


@pytest.mark.parametrize(
    "head",
    [
        "ref: ../../secret",
        "ref: refs/../../../secret",
        "ref: refs/heads/../../../secret",
        "ref: /etc/passwd",
        "ref: refs/heads/linked",
        "ref: refs/linked/secret",
        "ref: refs/heads/fifo",
        "ref: refs/heads/.hidden",
        "ref: refs//heads/main",
        "ref: refs/heads/words",
        "words of a secret",
        "f" * 100,
        "\x1b[31m" + COMMIT,
        "",
    ],
)
def test_a_checkout_tells_nothing_but_its_commit(install, tmp_path, head):
    """What is no commit, and what lies outside of the `.git` folder, is not told."""
    git = tmp_path / "checkout" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(head + "\n")
    secret = tmp_path / "secret"
    secret.write_text("0123456789ab" * 3)
    (git / "refs" / "heads" / "words").write_text("words of a secret")
    (git / "refs" / "heads" / ".hidden").write_text(COMMIT)
    (git / "refs" / "heads" / "linked").symlink_to(secret)
    (git / "refs" / "linked").symlink_to(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(git / "refs" / "heads" / "fifo")
    install("optax", "1.0", editable(git.parent))
    assert recorded([optax.l2_loss])["optax"] == "1.0"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("name", ["HEAD", "packed-refs"])
def test_a_checkout_with_a_pipe_does_not_hang(install, tmp_path, name):
    """A pipe or a device is no file to read."""
    git = tmp_path / ".git"
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / name).unlink(missing_ok=True)
    os.mkfifo(git / name)
    install("optax", "1.0", editable(tmp_path))
    assert recorded([optax.l2_loss])["optax"] == "1.0"


@pytest.fixture
def library(tmp_path, monkeypatch, fresh):
    """A library folder in which this test may install."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return folder


@pytest.mark.parametrize(
    ("metadata", "here"),
    [
        (b"Name: lens\nVersion: 1.2\n", "1.2"),
        (b"Metadata-Version: 2.1\nVERSION : 1.2\nName: lens\n\nVersion: 3\n", "1.2"),
        (b"Name: lens\nVersion: \xff\n", "unknown"),
        (b"Name: lens\n\nVersion: 1.2\n", "unknown"),
        (b"", "unknown"),
        (None, "unknown"),
    ],
)
def test_metadata_that_cannot_be_read(library, metadata, here):
    """A package whose metadata cannot be understood is of an unknown version."""
    info = library / "lens-1.2.dist-info"
    info.mkdir()
    if metadata is None and hasattr(os, "mkfifo"):
        os.mkfifo(info / "METADATA")
    elif metadata is not None:
        (info / "METADATA").write_bytes(metadata)
    with pytest.raises(VersionMismatchError) as caught:
        load({"lens": "0.9"}, versions="error")
    (found,) = caught.value.differences
    assert found.here == here
    assert found.kind == ("newer" if here == "1.2" else "other")


def test_packages_of_the_working_folder_are_not_looked_up(tmp_path, monkeypatch, fresh):
    """A stranger's folder may hold metadata of any package."""
    info = tmp_path / "lens-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: lens\nVersion: 1.2\n")
    (info / "RECORD").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    assert importlib.metadata.version("lens") == "1.2"
    with pytest.raises(VersionMismatchError) as caught:
        load({"lens": "1.2"}, versions="error")
    assert caught.value.differences[0].here is None


def test_a_package_under_another_name(library):
    """The distribution of a package is told by what it has installed."""
    info = library / "lens_makers-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: lens-makers\nVersion: 1.2\n")
    (info / "RECORD").write_text("lens_of_test/__init__.py,,\nlens_tool.py,,\n")
    for name in ("lens_of_test", "lens_tool"):
        assert packages.recorded_version({"Lens.Makers": "1"}, name) == (
            "Lens.Makers",
            "1",
        )
    assert packages.recorded_version({"lens-makers": "1"}, "nowhere_of_test") is None


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
        ("1.0.dev1", "1.0.dev2", "newer"),
        ("1.0rc1", "1.0", "newer"),
        ("1.0", "1.0rc1", "older"),
        ("1.0.post1", "1.0", "older"),
        ("1.0.dev9", "1.0a1", "newer"),
        ("1!1.0", "2.0", "older"),
        ("0.9 (commit aaaaaaaaaaaa)", "1.0rc1", "newer"),
        ("1.0rc1 (commit aaaaaaaaaaaa)", "1.0", "newer"),
        ("2.0+cpu", "2.0+cu121", "other"),
        ("2.0+cpu", "2.0", "other"),
        ("1.0-final-of-mine", "1.1", "newer"),
        ("2.0-final-of-mine", "1.1", "older"),
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


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "version", ["9" * 100_000, "1" + ".0" * 50_000, "1." * 50_000, "1a" * 50_000]
)
def test_hostile_versions_take_no_time(install, version, n):
    """Numbers of any length are not made of what a file says."""
    install("somepackage", "1.0")
    with pytest.raises(VersionMismatchError):
        load({"somepackage": version * n}, versions="error")
    packages.is_before(version * n, "1.0")


SETTINGS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 3,
    "jax_high_dynamic_range_gumbel": True,
    "jax_default_matmul_precision": "highest",
    "jax_allow_f16_reductions": False,
    "jax_numpy_dtype_promotion": "strict",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_differs(name, tmp_path):
    """Each setting that changes the meaning of saved state is compared, as versions."""
    before, other = packages.settings()[name], SETTINGS[name]
    jax.config.update(name, other)
    try:
        zodiax_io.serialise(tmp_path / "m.zdx", 7)
        assert deserialise(tmp_path / "m.zdx", versions="error") == 7
    finally:
        jax.config.update(name, before)
    text = (
        "m.eqx was written with settings of JAX that differ from those here:\n"
        f"  {name}: {other} in the file, {before} here (setting)\n"
        "Change a setting before JAX is first used: "
        f'`jax.config.update("{name}", {other!r})`.'
    )
    with pytest.raises(VersionMismatchError) as caught:
        deserialise(tmp_path / "m.zdx", versions="error")
    assert str(caught.value) == text
    (found,) = caught.value.differences
    assert (found.package, found.file, found.here) == (name, str(other), str(before))
    with pytest.warns(VersionMismatchWarning) as warned:
        assert deserialise(tmp_path / "m.zdx") == 7
    advice = 'To load without this warning, pass `versions="ignore"`.'
    assert str(warned[0].message) == f"{text}\n{advice}"
    assert deserialise(tmp_path / "m.zdx", versions="ignore") == 7
    summary = zodiax_io.summarise(tmp_path / "m.zdx")
    assert summary.settings[name] == summary.as_dict()["settings"][name] == other
    assert f"{name} {other} ({before} here)" in str(summary)
    zodiax_io.serialise(tmp_path / "n.zdx", 7)
    changed = zodiax_io.diff(tmp_path / "m.zdx", tmp_path / "n.zdx")
    assert str(changed) == f"  {name}: {other} -> {before}"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"jax_enable_x64": False, "jax_default_prng_impl": "threefry2x32"},
        {"jax_unheard_of": True, "jax_platforms": "nowhere"},
        {"jax_threefry_partitionable": [1], "jax_enable_x64": {}},
    ],
)
def test_a_file_that_tells_fewer_settings(settings):
    """What a file does not tell, as files of older releases, is not compared."""
    checkpoint = Checkpoint.of(7)
    checkpoint.document["settings"] = settings
    assert checkpoint.load(versions="error") == 7


def test_a_setting_that_jax_has_no_more(monkeypatch):
    """It is told, since nothing here works as it did there."""
    names = (*packages._SETTINGS, "jax_gone")
    monkeypatch.setattr(packages, "_SETTINGS", names)
    checkpoint = Checkpoint.of(7)
    checkpoint.document["settings"]["jax_gone"] = "on\x1b[31m"
    with pytest.raises(VersionMismatchError) as caught:
        checkpoint.load(versions="error")
    lines = str(caught.value).splitlines()
    assert lines[1] == "  jax_gone: on\\x1b[31m in the file, no such setting here"


def test_same_versions_say_nothing():
    """Where nothing differs, nothing is said."""
    assert load(recorded(1), versions="error") == 7


FILE = {
    "zeta": "1.0",
    "newer": "1.0",
    "older": "1.5",
    "gone": "1.0",
    "alpha": "1.0",
    "changed": "1.0+one",
}
LINES = (
    "The file was written with packages that differ from those here:\n"
    "  gone: 1.0 in the file, not installed here\n"
    "  older: 1.5 in the file, 1.4 here (older)\n"
    "  changed: 1.0+one in the file, 1.0+two here (other)\n"
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
        "changed": "1.0+two",
    }.items():
        install(name, version)


def test_differences_are_listed_worst_first(differing):
    """One warning lists them all: missing, older, other, newer."""
    with pytest.warns(VersionMismatchWarning) as caught:
        assert load(FILE) == 7
    assert len(caught) == 1
    assert str(caught[0].message) == (
        LINES + '\nTo load without this warning, pass `versions="ignore"`.'
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
    with pytest.raises(zodiax_io.CorruptFileError, match="has an invalid name"):
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


# Random keys --------------------------------------------------------------------------


def generator(name):
    """A generator that is not JAX's, under any name."""
    return define_prng_impl(
        key_shape=(2,),
        seed=lambda seed: jnp.zeros(2, "uint32"),
        split=lambda key, shape: jnp.zeros((*shape, 2), "uint32"),
        random_bits=lambda key, width, shape: jnp.zeros(shape, "uint32"),
        fold_in=lambda key, data: key,
        name=name,
        tag="mine",
    )


@pytest.mark.parametrize("name", ["mine", "threefry2x32", "rbg"])
@pytest.mark.parametrize(
    "tree_of",
    [
        lambda key: {"a": key},
        lambda key: {"a": key.dtype},
        lambda key: {"a": jax.ShapeDtypeStruct((), key.dtype)},
    ],
    ids=["key", "dtype", "struct"],
)
def test_a_key_of_another_generator_is_refused(name, tree_of):
    """Its name may lead to another generator, which gives other numbers."""
    key = jax.random.key(0, impl=generator(name))
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), tree_of(key))
    assert caught.value.path == "model['a']"
    assert str(caught.value).endswith(
        "at `model['a']`. Its random keys are not of a generator of JAX (threefry2x32, "
        "rbg, unsafe_rbg), so they may give other numbers elsewhere. Keep "
        "`jax.random.key_data(key)` instead, and after loading use "
        "`jax.random.wrap_key_data(data, impl=...)`."
    )
