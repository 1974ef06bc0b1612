"""A function that an object may call with what the file put beside it needs trust."""

import importlib
import io
import sys
import textwrap

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import pytest
from documents import Checkpoint, container, leaf, load_node, named
from hypothesis import given

import zodiax_io
from zodiax_io import UntrustedError

# What a known package and an unknown one may have. Installed packages are not needed.
LIBRARY = """
    import dataclasses, typing
    from collections.abc import Callable
    import equinox as eqx

    class Lazy(eqx.Module):
        call: Callable
        given: tuple[typing.Any, ...] = ()

        def unwrap(self):
            return self.call(*self.given)

    class Jacobian(eqx.Module):
        function: Callable
        x: typing.Optional[eqx.Module]

        def at(self):
            return self.function(self.x)

    class Plain(eqx.Module):
        function: typing.Optional[Callable] = None

    @dataclasses.dataclass
    class Record:
        function: "Callable"
        x: "str"

    class Pair(typing.NamedTuple):
        function: object
        x: object
"""
PACKAGE = "quaxed"  # one of the field


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    """The package, as pip installs it, imported."""
    folder = tmp_path_factory.mktemp("lib") / "site-packages"
    folder.mkdir()
    (folder / f"{PACKAGE}.py").write_text(textwrap.dedent(LIBRARY))
    assert PACKAGE not in sys.modules
    sys.path.append(str(folder))
    module = importlib.import_module(PACKAGE)
    yield module
    sys.path.remove(str(folder))
    del sys.modules[PACKAGE]


def clean_up(*folders):
    """A function of one's own that no file may choose arguments for."""
    raise AssertionError(folders)


class Sweeper(eqx.Module):
    """A callable of one's own."""

    force: float = 1.0

    def __call__(self, folder):
        """Never called here."""
        raise AssertionError(folder)

    def sweep(self, folder):
        """Never called here."""
        raise AssertionError(folder)


class Own(eqx.Module):
    """A class of one's own, whose code calls what it holds as it was meant to be."""

    function: object
    x: object = None


class Named(eqx.Module):
    """A Module with text, and a method that is kept with it."""

    name: str

    def sweep(self):
        """Never called here."""
        raise AssertionError(self.name)


OWN = f"{__name__}:clean_up"
TEXT = leaf("str", value="/home")
NUMBER = leaf("float", value=1.0)
FUNCTION = named(OWN)
NONE = leaf("none")


def of(name, **children):
    kind = {"Record": "dataclass", "Pair": "namedtuple"}.get(name, "module")
    return container(kind, children, type=f"{PACKAGE}:{name}")


def tup(*nodes):
    return container("tuple", list(nodes))


def lst(*nodes):
    return container("list", list(nodes))


def partial(function, *args):
    children = {"func": function, "args": tup(*args)}
    children["keywords"] = container("dict", [], keys=[])
    return container("partial", children)


def refused(node, **options):
    with pytest.raises(UntrustedError) as caught:
        load_node(node, **options)
    return {(r.name, r.reason) for r in caught.value.refusals}


REASON = "would be called with arguments that the file chooses"
SWEEPER = container("module", {"force": NUMBER}, type=f"{__name__}:Sweeper")
METHOD = container("method", {"self": SWEEPER}, value="sweep")

BINDING = {
    "arguments of any kind": of("Lazy", call=FUNCTION, given=tup(TEXT)),
    "numbers as such": of("Lazy", call=FUNCTION, given=tup(NUMBER)),
    "text where something else belongs": of("Jacobian", function=FUNCTION, x=TEXT),
    "the function where text belongs": of("Jacobian", function=TEXT, x=FUNCTION),
    "a dataclass": of("Record", function=FUNCTION, x=TEXT),
    "a namedtuple": of("Pair", function=FUNCTION, x=TEXT),
    "containers between": of("Jacobian", function=lst(tup(FUNCTION)), x=lst(TEXT)),
    "one object in another": of(
        "Plain",
        function=lst(of("Plain", function=FUNCTION), of("Plain", function=NONE), TEXT),
    ),
    "a path": of(
        "Jacobian",
        function=FUNCTION,
        x=leaf("path", value="/home", flavour="PurePosixPath"),
    ),
    "bytes": of("Jacobian", function=FUNCTION, x=leaf("bytes", value=b"/home")),
    "a partial": of("Jacobian", function=partial(FUNCTION), x=TEXT),
    "a jitted function": of(
        "Jacobian", function=container("jit", {"function": FUNCTION}, value={}), x=TEXT
    ),
    "within a layer": of(
        "Jacobian",
        function=container("module", {"fn": FUNCTION}, type="equinox.nn:Lambda"),
        x=TEXT,
    ),
    "shared weights of Equinox": container(
        "module",
        {"pytree": TEXT, "where": FUNCTION, "get": FUNCTION},
        type="equinox.nn:Shared",
    ),
}


@pytest.mark.parametrize("node", BINDING.values(), ids=BINDING.keys())
def test_own_function_beside_data_needs_trust(node):
    """An object that may call a function with what it holds binds its arguments."""
    assert refused(node) == {(OWN, REASON)}
    for trusted in ([__name__], [clean_up], [OWN]):
        load_node(node, trusted=trusted)


@pytest.mark.parametrize(
    "node",
    [
        of("Lazy", call=SWEEPER, given=tup(TEXT)),
        of("Lazy", call=lst(SWEEPER), given=tup(NUMBER)),
        of("Jacobian", function=SWEEPER, x=TEXT),
        of("Jacobian", function=METHOD, x=TEXT),
    ],
    ids=["called", "in a list", "with text", "method"],
)
def test_own_callable_object_needs_trust(node):
    """So does an object of one's own where a function is declared, and its methods."""
    assert refused(node) == {(f"{__name__}:Sweeper", REASON)}
    load_node(node, trusted=[Sweeper])


def test_a_reference_is_followed():
    """A list with a function, or data, counts wherever it is referred to."""
    function = {**lst(FUNCTION), "id": 0}
    data = {**lst(TEXT), "id": 1}

    def same(number):
        return leaf("same", value=number)

    jacobian = of("Jacobian", function=same(0), x=same(1))
    for tree in (lst(function, data, jacobian), lst(data, jacobian, function)):
        assert refused(tree) == {(OWN, REASON)}


NEST = st.recursive(
    st.just(lambda node: node),
    lambda inner: st.builds(
        lambda make, within, beside: lambda node: make(within(node), beside),
        st.sampled_from(
            [
                lambda node, _: lst(node),
                lambda node, _: tup(NONE, node),
                lambda node, beside: lst(beside, node),
                lambda node, _: container("dict", [node], keys=[TEXT]),
                lambda node, _: of("Plain", function=node),
                lambda node, _: container(
                    "module", {"fn": node}, type="equinox.nn:Lambda"
                ),
            ]
        ),
        inner,
        st.sampled_from([NUMBER, NONE]),
    ),
    max_leaves=5,
)


@given(around_function=NEST, around_data=NEST, around=NEST)
def test_wherever_function_and_data_lie(around_function, around_data, around):
    """However deep both lie in an object of another's class, and that in others."""
    inner = of("Jacobian", function=around_function(FUNCTION), x=around_data(lst(TEXT)))
    assert refused(around(inner)) == {(OWN, REASON)}


# What needs no trust ------------------------------------------------------------------


def loads(tree):
    Checkpoint.of(tree).load()


def test_models_of_own_functions_need_no_trust(library):
    """Layers call activations with their inputs, and one's own classes as they will."""
    key = jax.random.key(0)
    mlp = eqx.nn.MLP("scalar", "scalar", 2, 1, activation=clean_up, key=key)
    conv = eqx.nn.Conv2d(1, 1, 3, padding_mode="ZEROS", key=key)
    loads(mlp)
    loads(eqx.nn.Sequential([conv, eqx.nn.Lambda(clean_up), eqx.nn.Lambda(Sweeper())]))
    loads(Own(clean_up, "/home"))
    loads(Named("/home").sweep)
    loads([clean_up, "/home", {"path": "/home"}])
    loads(library.Plain(clean_up))
    loads(library.Plain(mlp))
    loads(library.Jacobian(clean_up, jnp.ones(2)))
    loads(library.Jacobian(clean_up, {"name of a leaf": jnp.ones(2), "n": 3}))
    loads(library.Jacobian(jnp.exp, Own(clean_up, "/home")))
    loads(library.Lazy(clean_up))
    loads(library.Lazy(jnp.exp, (jnp.ones(2), "text")))
    loads(library.Record(jnp.exp, "text"))


def test_flows_need_no_trust():
    """Flows wrap functions of JAX and of their own packages with arguments."""
    flows = pytest.importorskip("flowjax.flows")
    distributions = pytest.importorskip("flowjax.distributions")
    paramax = pytest.importorskip("paramax")
    flow = flows.masked_autoregressive_flow(
        jax.random.key(0),
        base_dist=distributions.Normal(jnp.zeros(2)),
        nn_activation=clean_up,
    )
    loads(flow)
    loads(paramax.Parameterize(jnp.exp, jnp.ones(2)))
    checkpoint = Checkpoint.of(paramax.Parameterize(clean_up, jnp.ones(2)))
    with pytest.raises(UntrustedError, match=REASON):
        checkpoint.load()


def test_names_say_the_same_as_a_load():
    """`names` knows of it, too, with what to trust."""
    (_, verdict) = zodiax_io.names(
        io.BytesIO(Checkpoint.of([Own(clean_up)]).companion())
    )
    assert verdict.status == "trusted"
    checkpoint = Checkpoint.of(None)
    checkpoint.tree = BINDING["a dataclass"]
    found = zodiax_io.names(io.BytesIO(checkpoint.companion()))
    assert [(v.name, v.status, v.trust) for v in found if v.status != "trusted"] == [
        (OWN, "refused", __name__)
    ]


# Functions that a partial hands on ----------------------------------------------------

MAP = leaf("function", type="jax.tree:map")


def handing_on(function, *given, called=MAP):
    children = {"func": called, "args": tup(*given), "keywords": container("dict", [])}
    children["keywords"]["keys"] = []
    if function is not None:
        children["args"] = tup(function, *given)
    return container("partial", children)


@pytest.mark.parametrize(
    "data", [TEXT, NUMBER, lst(tup(TEXT))], ids=["text", "a number", "nested"]
)
@given(around=NEST)
def test_a_function_beside_bound_data_needs_trust(data, around):
    """`partial(jax.tree.map, clean_up, "/home")` calls `clean_up("/home")`."""
    node = handing_on(around(FUNCTION), data)
    assert (OWN, REASON) in refused(node)


def test_a_function_beside_data_of_an_outer_partial_needs_trust():
    """The outer partial adds its arguments to those of the inner one."""
    inner = handing_on(FUNCTION)
    assert refused(handing_on(None, TEXT, called=inner)) == {(OWN, REASON)}


def test_a_function_without_data_beside_it_needs_no_trust():
    """It is called with the inputs of the partial's calls only."""
    for node in (
        handing_on(FUNCTION),
        lst(handing_on(FUNCTION), handing_on(None, TEXT)),
    ):
        load_node(node)
