"""What a load imports, in which order, and what it says where an import fails."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import pytest
from documents import Checkpoint, container, leaf, load_node, named

import zodiax_io
from zodiax_io import UntrustedError, register_kind
from zodiax_io._trust import checks, finding, names, roles
from zodiax_io._trust.judge import Judge

NONE = leaf("none")


def module(name):
    """A Module without fields."""
    return container("module", {}, type=name)


def lst(*nodes):
    return container("list", list(nodes))


def refused(node, **options):
    with pytest.raises(UntrustedError) as caught:
        load_node(node, **options)
    return caught.value


def judged(node, **options):
    """What `names` says of each name of a file."""
    checkpoint = Checkpoint.of(None)
    checkpoint.tree = node
    found = zodiax_io.names(io.BytesIO(checkpoint.companion()), **options)
    return {verdict.name: verdict for verdict in found}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages, and how to write a module into it."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def write(name, text=""):
        path = folder.joinpath(*name.split("."))
        if path.is_dir():
            path /= "__init__"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in {"jaxdf", "quadax", "imported_lab", "spread_lab"}:
            del sys.modules[name]


# Modules that define names which their source does not spell.
FILLED = [
    "setattr(module, chr(77), int)",
    "locals()[chr(77)] = int",
    "vars()[chr(77)] = int",
    "def __getattr__(name): return int",
]
MODULE = "import equinox as eqx\nclass M(eqx.Module):\n    pass\n"


@pytest.fixture
def field(site):
    """A package of the field with modules of all sorts, none of them imported."""
    for name in (
        "jaxdf",
        "jaxdf.layers",
        "jaxdf._private",
        "jaxdf._inner",
        "jaxdf.cli",
    ):
        (site(name + ".x") if name == "jaxdf" else site(name, MODULE))
    site("jaxdf.__init__", "from ._inner import M as M\n")
    site("jaxdf.layers.deep", MODULE)
    site("jaxdf.layers.__init__", "")
    for part in ("tests.models", "conftest", "__main__", "test_layers", "setup"):
        site(f"jaxdf.{part}", "raise AssertionError\nclass M: pass\n")
    site("jaxdf.tests.__init__", "raise AssertionError\n")
    for n, text in enumerate(FILLED):
        site(f"jaxdf.filled_{n}", f"raise AssertionError\n{text}\n")
    site("jaxdf.tools", "raise AssertionError\nprint('no class')\n")
    return site


# Known packages -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jaxdf:M", "jaxdf._inner:M", "jaxdf.layers.deep:M"])
def test_modules_of_a_known_package_are_imported(field, name):
    """A file opens without an import by hand, and `names` has said so."""
    verdict = judged(module(name))[name]
    assert verdict.status == "trusted"
    assert verdict.reason.startswith("will be checked once `jaxdf")
    assert "jaxdf" not in sys.modules
    assert type(load_node(module(name))).__name__ == "M"


@pytest.mark.parametrize(
    ("name", "reason", "trust"),
    [
        ("jaxdf.tests.models:M", "is not imported: trust it, or write", "jaxdf"),
        ("jaxdf.conftest:M", "is not imported: trust it, or write", "jaxdf"),
        ("jaxdf.test_layers:M", "is not imported: trust it, or write", "jaxdf"),
        ("jaxdf.cli:M", "is not imported: trust it, or write", "jaxdf"),
        ("jaxdf.setup:M", "is not imported: trust it, or write", "jaxdf"),
        *(
            (f"jaxdf.filled_{n}:M", "is not imported: trust it, or write", "jaxdf")
            for n in range(len(FILLED))
        ),
        ("jaxdf.__main__:M", "is not a valid name", None),
        ("jaxdf.tools:M", "does not exist here: `jaxdf.tools` has no `M`", None),
        ("jaxdf.layers:Gone", "does not exist here: `jaxdf.layers` has no", None),
        ("jaxdf.gone.deep:M", "does not exist here: `jaxdf` has no module", None),
        ("jaxdf.layers.gone:M", "`jaxdf.layers` has no module `gone`", None),
    ],
)
def test_other_modules_of_a_known_package_are_not(field, name, reason, trust):
    """Tests, programs, and modules that do not mention the name stay away."""
    verdict = judged(module(name))[name]
    (refusal,) = refused(module(name)).refusals
    assert (verdict.reason, verdict.trust) == (refusal.reason, refusal.trust)
    assert reason in refusal.reason
    assert refusal.trust == trust
    assert "jaxdf" not in sys.modules


def test_a_private_module_is_not_imported_by_itself(field):
    """Only the public package above it is; if that does not import it, nobody does."""
    error = refused(module("jaxdf._private:M"))
    assert "is not imported: trust it, or write `import jaxdf._private`" in str(error)
    assert error.trusted == ("jaxdf",)
    assert "jaxdf" in sys.modules
    assert "jaxdf._private" not in sys.modules
    load_node(module("jaxdf._private:M"), trusted=["jaxdf"])


@pytest.mark.parametrize("imported_before", [False, True])
def test_a_private_module_may_come_with_a_public_one(field, imported_before):
    """It makes no difference whether the package itself was imported before."""
    field("jaxdf.games", "from ._private import M\nclass State(M):\n    pass\n")
    if imported_before:
        importlib.import_module("jaxdf")
    tree = lst(module("jaxdf._private:M"), module("jaxdf.games:State"))
    assert {verdict.status for verdict in judged(tree).values()} == {"trusted"}
    assert "jaxdf.games" not in sys.modules
    assert [type(x).__name__ for x in load_node(tree)] == ["M", "State"]


@pytest.mark.parametrize("options", [{}, {"trusted": ["imported_lab"]}])
def test_nothing_is_imported_beside_a_refused_name(field, options):
    """One refused name keeps all else away; the message says what was not judged."""
    field("imported_lab", MODULE)
    tree = [module("jaxdf.layers.deep:M"), named("os:system")]
    tree += [module("imported_lab:M")] * bool(options)
    error = refused(lst(*tree), **options)
    assert [refusal.name for refusal in error.refusals] == ["os:system"]
    assert not {"jaxdf", "imported_lab"} & set(sys.modules)
    modules = "`jaxdf.layers.deep`" + ", `imported_lab`" * bool(options)
    assert str(error) == (
        "The file refers to names that are missing or not trusted:\n"
        "  `os:system` at `model[1]` belongs to Python's standard library, which no "
        "file may use.\n"
        'To look at the file without them, pass `unknown="opaque"`.\n'
        f"Names in modules that are not imported yet were not checked: {modules}."
    )


PARTS = """
    import collections, jax, equinox as eqx

    def f(x):
        return x

    class M(eqx.Module):
        def method(self):
            return self

    class Pair(collections.namedtuple("Pair", "a")):
        pass

    @jax.tree_util.register_pytree_node_class
    class Node:
        def tree_flatten(self):
            return (), None

        @classmethod
        def tree_unflatten(cls, aux, children):
            return cls()

    constant = object()
"""
ROLES = {name: role for name, role in vars(roles).items() if type(role) is roles.Role}
# Pairs that fit, but that no save writes.
FORGED = {("UNFLATTENED", "Pair"), ("FUNCTION", "constant")}


@pytest.mark.parametrize("trusted", [(), ("jaxdf",), ("jaxdf.parts:f",)])
@pytest.mark.parametrize("qualname", ["f", "M", "M.method", "Pair", "Node", "constant"])
def test_what_is_refused_before_an_import_is_refused_after_it(field, qualname, trusted):
    """The role and the package are enough to know; the reason is the same as well."""
    field("jaxdf.parts", PARTS)
    uses = {
        key: roles.Use(f"jaxdf.parts:{qualname}", lambda: "model", role)
        for key, role in ROLES.items()
    }
    before = {key: Judge(trusted).verdicts([use])[0] for key, use in uses.items()}
    assert "jaxdf" not in sys.modules
    importlib.import_module("jaxdf.parts")
    found = names.lookup("jaxdf.parts", qualname)
    for key, use in uses.items():
        (after,) = Judge(trusted).verdicts([use])
        fits = use.role.accepts(found) and (key, qualname) not in FORGED
        if fits and before[key].status != "trusted":
            assert after == before[key]


@pytest.mark.parametrize("qualname", ["f", "M", "Pair"])
def test_a_file_says_of_a_function_what_names_say(field, qualname):
    """A function needs trust whatever its module defines, and nothing is imported."""
    field("jaxdf.parts", PARTS)
    tree = lst(module("jaxdf.layers.deep:M"), named(f"jaxdf.parts:{qualname}"))
    (verdict,) = [v for v in judged(tree).values() if v.status != "trusted"]
    error = refused(tree)
    assert error.refusals == (verdict,)
    assert (verdict.reason, verdict.trust) == ("is not trusted", "jaxdf")
    assert "jaxdf" not in sys.modules


def test_a_class_in_the_table_is_not_refused_before_its_import(field, monkeypatch):
    """A class whose unflatten function was read opens in a fresh process."""
    field("jaxdf.parts", PARTS)
    monkeypatch.setitem(checks.CLASSES, "jaxdf.parts", ("Node",))
    use = roles.Use("jaxdf.parts:Node", lambda: "model", roles.UNFLATTENED)
    assert Judge().verdicts([use])[0].status == "trusted"
    importlib.import_module("jaxdf.parts")
    assert Judge().verdicts([use])[0].status == "trusted"


def test_every_function_of_a_package_is_refused_the_first_time(field):
    """Trust in the package is asked for once, in one line, and is enough."""
    field("jaxdf.parts", "def f(x):\n    return x\ndef g(x):\n    return x\n")
    tree = lst(named("jaxdf.parts:f"), named("jaxdf.parts:g"))
    error = refused(tree)
    assert str(error) == (
        "The file refers to names that are missing or not trusted:\n"
        "  `jaxdf.parts:f` at `model[0]` is not trusted.\n"
        "    The same applies to `jaxdf.parts:g` at `model[1]`.\n"
        'If you trust this file, pass `trusted=["jaxdf"]`.\n'
        'To look at the file without them, pass `unknown="opaque"`.'
    )
    first, second = load_node(tree, trusted=error.trusted)
    assert (first.__name__, second.__name__) == ("f", "g")


def test_a_library_called_examples_is_imported(site, monkeypatch):
    """`quax.examples` is part of the library; elsewhere examples are programs."""
    monkeypatch.setattr(finding, "LIBRARIES", frozenset({"jaxdf.examples"}))
    for name in ("jaxdf.examples", "jaxdf.layers.examples", "jaxdf.examples.tests"):
        site(f"{name}.x")
        site(f"{name}.__init__", MODULE)
    for name in ("jaxdf", "jaxdf.layers"):
        site(f"{name}.__init__")
    assert refused(module("jaxdf.layers.examples:M")).trusted == ("jaxdf",)
    assert refused(module("jaxdf.examples.tests:M")).trusted == ("jaxdf",)
    assert "jaxdf" not in sys.modules
    load_node(module("jaxdf.examples:M"))


def test_opaque_imports_known_packages_only(field):
    """Without trust, a package that is not in the table is not imported for a look."""
    field("imported_lab", "raise AssertionError\nclass M: pass\n")
    tree = lst(module("jaxdf:M"), module("imported_lab:M"), named("os:system"))
    known, other, function = load_node(tree, unknown="opaque")
    assert type(known).__name__ == "M"
    assert type(other) is zodiax_io.Opaque
    assert type(function) is zodiax_io.Placeholder
    assert "imported_lab" not in sys.modules


def test_one_reason_of_a_package_is_one_line():
    """What holds for many classes of a package is said once."""
    names = [f"no_such_lab.part{n}:C{n}" for n in range(12)]
    error = refused(lst(*map(module, names)))
    assert len(error.refusals) == 12
    assert str(error) == (
        "The file refers to names that are missing or not trusted:\n"
        f"  `{names[0]}` at `model[0]` needs `no_such_lab`, which is neither imported "
        "nor installed; if it was renamed, pass `renames=`.\n"
        "    The same applies to "
        + ", ".join(f"`{names[n]}` at `model[{n}]`" for n in range(1, 9))
        + ", 3 more.\n"
        'To look at the file without them, pass `unknown="opaque"`.'
    )


def test_every_reason_comes_at_once(site):
    """A function that is neither imported nor may be called says both."""
    site("imported_lab", "def f(x):\n    pass\n")
    children = {"func": named("imported_lab:f"), "args": container("tuple", [NONE])}
    children["keywords"] = container("dict", [], keys=[])
    error = refused(container("partial", children))
    assert [refusal.reason for refusal in error.refusals] == [
        "is not imported: trust it, or write `import imported_lab` first if it is your "
        "own, and would be called with arguments that the file chooses"
    ]
    assert error.trusted == ("imported_lab",)
    importlib.import_module("imported_lab")
    error = refused(container("partial", children))
    assert [refusal.reason for refusal in error.refusals] == [
        "is not trusted, and would be called with arguments that the file chooses"
    ]
    assert error.trusted == ("imported_lab",)


# Imports that fail --------------------------------------------------------------------


def test_a_failed_import_is_tried_again(site):
    """The refusal says why it failed, on one line; mended, the file loads."""
    site("imported_lab", "class M: pass\nraise RuntimeError('no \\x1b[31mdata\\nmore')")
    error = refused(module("imported_lab:M"), trusted=["imported_lab"])
    assert (
        "  `imported_lab:M` at `model` needs `imported_lab`, which cannot be imported "
        "(RuntimeError: no \\x1b[31mdata)."
    ) in str(error).splitlines()
    site("imported_lab", f"# mended\n{MODULE}")
    assert type(load_node(module("imported_lab:M"), trusted="imported_lab"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; del sys.modules[__name__]", "KeyError: 'imported_lab'"),
        ("import not_there_at_all", "No module named 'not_there_at_all'"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "(E)"),
        ("raise ValueError('x' * 10**6)", "xxx…)"),
    ],
)
def test_why_an_import_failed(site, text, why):
    """Whatever happens in an import ends in a refusal that tells it, in few words."""
    site("imported_lab", text)
    error = refused(named("imported_lab:f"), trusted=["imported_lab"])
    assert why in str(error)
    assert len(str(error)) < 1000


def test_no_memory_for_an_import_is_no_refusal(site):
    """It is neither the file's fault nor the package's."""
    site("imported_lab", "raise MemoryError")
    with pytest.raises((MemoryError, zodiax_io.ZodiaxIOError)) as caught:
        load_node(named("imported_lab:f"), trusted=["imported_lab"])
    assert not isinstance(caught.value, UntrustedError)


# Folders ------------------------------------------------------------------------------


def test_the_working_folder_adds_nothing_to_a_namespace_package(
    site, tmp_path, monkeypatch
):
    """A trusted package without `__init__` is that of the library, imported or not."""
    site("spread_lab.good", MODULE)
    planted = tmp_path / "work" / "spread_lab"
    planted.mkdir(parents=True)
    (planted / "evil.py").write_text("class M: pass\nraise AssertionError\n")
    (planted / "good.py").write_text("class M: pass\nraise AssertionError\n")
    monkeypatch.chdir(planted.parent)
    monkeypatch.syspath_prepend("")
    trusted = ["spread_lab"]
    error = refused(module("spread_lab.evil:M"), trusted=trusted)
    assert "cannot be imported (it is not in a library folder)" in str(error)
    load_node(module("spread_lab.good:M"), trusted=trusted)
    for name in ("spread_lab", "spread_lab.good"):
        del sys.modules[name]
    importlib.import_module("spread_lab")  # by the user, with both folders
    for name in ("good", "evil"):
        error = refused(module(f"spread_lab.{name}:M"), trusted=trusted)
        assert "cannot be imported (it is not in a library folder)" in str(error)


def test_own_package_of_the_working_folder_is_imported(tmp_path, monkeypatch):
    """What is trusted by name, and is in no library, is the user's to trust."""
    (tmp_path / "imported_lab").mkdir()
    (tmp_path / "imported_lab" / "inner.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert refused(module("imported_lab.inner:M")).trusted == ("imported_lab",)
    load_node(module("imported_lab.inner:M"), trusted=["imported_lab"])
    for name in ("imported_lab.inner", "imported_lab"):
        del sys.modules[name]


def test_loads_in_threads_leave_the_search_path_alone(site, tmp_path, monkeypatch):
    """While packages are imported for files, others find their own modules."""
    for name in ("jaxdf", "quadax"):
        wait = "import imports_of_test\nimports_of_test.reached()\n"
        site(name, wait + MODULE)
    work = tmp_path / "work"
    work.mkdir()
    (work / "own_of_test.py").write_text("x = 1\n")
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend("")
    started = threading.Barrier(3)
    go_on = threading.Event()

    def reached():
        started.wait(60)
        go_on.wait(60)

    hooks = types.ModuleType("imports_of_test")
    hooks.reached = reached
    monkeypatch.setitem(sys.modules, "imports_of_test", hooks)
    before = list(sys.path)
    names = ("jaxdf:M", "quadax:M")
    loads = [threading.Thread(target=load_node, args=(module(n),)) for n in names]
    for thread in loads:
        thread.start()
    started.wait(60)
    try:
        assert importlib.import_module("own_of_test").x == 1
        assert sys.path == before
    finally:
        go_on.set()
        for thread in loads:
            thread.join()
    assert sys.path == before
    assert {"jaxdf", "quadax"} <= set(sys.modules)
    del sys.modules["own_of_test"]


# Identity -----------------------------------------------------------------------------


def test_kinds_of_one_class_name_have_verdicts_of_their_own(monkeypatch):
    """A class that one kind accepts does not reach the `decode` of its namesake."""
    got = []
    for home in ("one_of_test", "two_of_test"):
        made = types.ModuleType(home)
        made.Thing = type("Thing", (), {"__module__": home})
        monkeypatch.setitem(sys.modules, home, made)
        zodiax_io.register(made.Thing)

        def decode(cls, tree, home=home):
            got.append((home, cls.__module__))
            return cls()

        register_kind(f"{home}.thing", made.Thing, lambda thing: 1, decode)
    one = leaf("int", value=1)
    right = container("one_of_test.thing", [one], type="one_of_test:Thing")
    wrong = container("two_of_test.thing", [one], type="one_of_test:Thing")
    for tree in (wrong, lst(right, wrong), lst(wrong, right)):
        with contextlib.suppress(UntrustedError):
            load_node(tree, unknown="opaque")
        error = refused(tree)
        reasons = [refusal.reason for refusal in error.refusals]
        assert reasons == ["is not `two_of_test.Thing`"]
    assert all(home == of for home, of in got)
    load_node(right)
    assert got[-1] == ("one_of_test", "one_of_test")


def test_classes_that_claim_to_be_equal_have_kinds_of_their_own():
    """Kinds are found by the identity of a class, whatever its metaclass says."""

    class Equal(type):
        def __eq__(cls, other):
            return True

        def __hash__(cls):
            return hash(dict)

    class Impostor(metaclass=Equal):
        pass

    assert zodiax_io.build_structure({"a": 1})["kind"] == "dict"
    with pytest.raises(zodiax_io.SerialisationError):
        zodiax_io.build_structure(Impostor())


def test_trust_by_the_name_in_the_file_holds_where_it_has_another_now(monkeypatch):
    """`trusted` takes a name as the file spells it, renamed or not."""
    made = types.ModuleType("moved_of_test")
    made.__file__ = "/site-packages/moved_of_test.py"
    exec("def f(x):\n    pass\n", made.__dict__)  # noqa: S102
    monkeypatch.setitem(sys.modules, "moved_of_test", made)
    renames = {"gone_of_test:f": "moved_of_test:f"}
    node = named("gone_of_test:f")
    refused(node, renames=renames)
    assert load_node(node, renames=renames, trusted=["gone_of_test:f"]) is made.f


# Fresh processes ----------------------------------------------------------------------

FRESH = {
    "diffrax": "[diffrax.ODETerm(eqx.nn.MLP(1, 1, 2, 1, key=key)), diffrax.Tsit5(), "
    "diffrax.PIDController(1e-3, 1e-6)]",
    "flowjax": "flows.masked_autoregressive_flow(key, "
    "base_dist=distributions.Normal(jnp.zeros(2)))",
    "optax": "optax.adam(1e-3).init(jnp.ones(2))",
    "lineax": "lineax.MatrixLinearOperator(jnp.eye(2))",
    "optimistix": "optimistix.BFGS(1e-3, 1e-3)",
    "interpax": "interpax.Interpolator1D(jnp.arange(4.0), jnp.arange(4.0))",
    "dLux": "dLux.CircularAperture(1.0)",
}


@pytest.mark.parametrize("package", FRESH)
def test_a_known_package_opens_in_a_fresh_process(package, tmp_path):
    """Where nothing of it is imported, `names` says it will load, and it does."""
    pytest.importorskip(package)
    save = f"""
        import equinox as eqx, jax, jax.numpy as jnp, zodiax_io, {package}
        if {package!r} == "flowjax":
            from flowjax import distributions, flows
        key = jax.random.key(0)
        zodiax_io.serialise("model.zdx", {FRESH[package]})
    """
    load = f"""
        import sys, zodiax_io
        verdicts = zodiax_io.names("model.zdx")
        assert {package!r} not in sys.modules
        assert {{v.status for v in verdicts}} == {{"trusted"}}, verdicts
        zodiax_io.deserialise("model.zdx")
        assert {package!r} in sys.modules
    """
    root = Path(zodiax_io.__file__).parents[1]
    for code in (save, load):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
