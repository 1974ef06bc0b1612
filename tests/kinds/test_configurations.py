"""Configurations of ml_collections and OmegaConf, exact or refused."""

import dataclasses
import enum
import io
from pathlib import Path

import pytest
from documents import Checkpoint, checkpoint_of
from equality import differences, survives
from hypothesis import given, strategies as st

import zodiax_io

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.from_regex("[a-z]{1,6}", fullmatch=True).filter(
    lambda name: name not in {"keys", "items", "values", "get", "copy", "update", "is"}
)


def refusal(tree):
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), tree)
    return str(caught.value)


# ml_collections -----------------------------------------------------------------------


@given(
    st.recursive(
        PLAIN | st.lists(st.integers(), max_size=3) | st.tuples(st.integers()),
        lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    ).filter(lambda x: type(x) is dict),
    st.booleans(),
    st.booleans(),
)
def test_a_config_dict_is_kept(tree, locked, type_safe):
    """Values, order, nesting and flags come back, of a frozen one as well."""
    collections = pytest.importorskip("ml_collections")
    config = collections.ConfigDict(tree, type_safe=type_safe)
    if locked:
        config.lock()
    assert differences(config, survives(config)) == []
    loaded = survives(collections.FrozenConfigDict(tree, type_safe=type_safe))
    assert type(loaded) is collections.FrozenConfigDict


def test_references_of_a_config_dict_stay_lazy_and_shared():
    """A change of one field changes those that refer to it, after a load as before."""
    collections = pytest.importorskip("ml_collections")
    config = collections.ConfigDict({"rate": 2.0, "steps": 3})
    config.same = config.get_ref("rate")
    config.total = config.get_ref("rate") * config.get_ref("steps") + 1
    config.later = collections.config_dict.placeholder(int)
    config.needed = collections.config_dict.required_placeholder(str)
    loaded = survives(config)
    for each in (config, loaded):
        each.rate = 5.0
        assert (each.same, each.total, each.later) == (5.0, 16.0, None)
        with pytest.raises(collections.config_dict.RequiredValueError):
            _ = each.needed
    with pytest.raises(TypeError):
        loaded.rate = "fast"


def test_a_function_of_a_reference_needs_trust():
    """A reference calls its functions with values of the file, when it is read."""
    collections = pytest.importorskip("ml_collections")
    reference = collections.FieldReference("/home")
    config = collections.ConfigDict({"a": reference, "b": reference + "/x"})
    checkpoint = Checkpoint.of(config)
    found = [v for v in _names(checkpoint) if v.name == "operator:add"]
    assert [verdict.status for verdict in found] == ["trusted"]
    swapped = _replaced(checkpoint.tree, "operator:add", "test_configurations:launch")
    with pytest.raises(zodiax_io.UntrustedError, match="arguments that the file"):
        checkpoint_of(swapped).load()


def launch(value, other):
    """A function of the user that no file may choose arguments for."""
    raise AssertionError(value, other)


def _names(checkpoint):
    return zodiax_io.names(io.BytesIO(checkpoint.companion()))


def _replaced(node, old, new):
    if isinstance(node, dict):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, old, new) for value in node]
    return new if node == old else node


@pytest.mark.parametrize("package", ["dm_env", "jumanji"])
def test_specifications_of_environments_are_kept(package):
    """Their `__reduce__` keeps the attributes, and nothing else."""
    specs = pytest.importorskip(f"{package}.specs")
    made = [specs.Array((2,), float, "a"), specs.BoundedArray((2,), float, 0.0, 1.0)]
    survives([*made, specs.DiscreteArray(3)])


def test_an_immutable_dictionary_is_kept_without_its_hash():
    """The hash that it caches is valid in one process only."""
    made = pytest.importorskip("immutabledict").immutabledict(a=1, b=(2,))
    hash(made)
    loaded = zodiax_io.load_structure(zodiax_io.build_structure([made]))[0]
    assert loaded == made
    assert loaded._hash is None


# OmegaConf ----------------------------------------------------------------------------


class Colour(enum.Enum):
    """An option."""

    RED = 1


@dataclasses.dataclass
class Optimiser:
    """A part of a structured configuration."""

    rate: float = 0.1
    colour: Colour = Colour.RED
    layers: list[int] = dataclasses.field(default_factory=lambda: [2, 3])
    limits: dict[str, float] = dataclasses.field(default_factory=lambda: {"low": 0.5})


@dataclasses.dataclass
class Run:
    """A structured configuration."""

    optimiser: Optimiser = dataclasses.field(default_factory=Optimiser)
    seed: int | None = None
    size: int | str = 3
    folder: Path = Path("out")


@given(
    st.recursive(
        PLAIN.filter(lambda x: not isinstance(x, str) or "$" not in x),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(NAMES | st.integers() | st.booleans(), inner, max_size=3)
        ),
    ).filter(lambda x: type(x) in (dict, list)),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, True, False]),
)
def test_a_configuration_is_kept(tree, readonly, struct):
    """Values, nesting and flags come back, and each node knows the one around it."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create(tree)
    omegaconf.OmegaConf.set_readonly(config, readonly)
    omegaconf.OmegaConf.set_struct(config, struct)
    loaded = survives(config)
    assert repr(loaded) == repr(config)
    assert [type(node) for node in _nodes(loaded)] == [
        type(node) for node in _nodes(config)
    ]
    for node in _nodes(loaded):
        content = node.__dict__.get("_content")
        children = content.values() if isinstance(content, dict) else content or ()
        assert all(child._get_parent() is node for child in children)


def _nodes(node):
    yield node
    content = node.__dict__.get("_content")
    for child in content.values() if isinstance(content, dict) else content or ():
        yield from _nodes(child)


def test_interpolations_are_resolved_after_a_load_as_before():
    """They are kept as they are written, and refer to other nodes."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create(
        {"a": 1, "b": "${a}", "c": {"d": "${..a}", "e": "x${.d}"}, "f": "???"}
    )
    loaded = survives({"first": config, "again": config})
    assert loaded["first"] is loaded["again"]
    for each in (config, loaded["first"]):
        each.a = 7
        assert (each.b, each.c.d, each.c.e) == (7, 7, "x7")
        assert omegaconf.OmegaConf.is_missing(each, "f")


def test_a_structured_configuration_checks_its_types():
    """It knows the dataclass, and refuses a value of another type after a load."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.structured(Run(seed=4))
    loaded = survives(config)
    assert omegaconf.OmegaConf.to_object(loaded) == Run(seed=4)
    assert loaded == config
    for value in ("fast", [1]):
        with pytest.raises(omegaconf.errors.ValidationError):
            loaded.optimiser.rate = value
    with pytest.raises(omegaconf.errors.ConfigAttributeError):
        loaded.gone = 1


def test_a_part_of_a_configuration_is_refused_with_lines_that_work():
    """Its interpolations may need the whole; a copy stands by itself."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create({"a": {"b": 1}, "c": "${a.b}"})
    assert refusal(config.a) == (
        "Cannot serialise a `omegaconf.dictconfig.DictConfig` at `model`. It is a part "
        "of a larger configuration. Keep the whole, and take the part from it after "
        "loading; or a copy by itself, `OmegaConf.create(x)`."
    )
    assert survives(omegaconf.OmegaConf.create({"a": {"b": 1}})).a == {"b": 1}
    assert survives(omegaconf.OmegaConf.create(config.a)) == {"b": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda node: node.__setitem__("node", node["node"][:3]),
        lambda node: node["node"][0].__setitem__(
            "value", "omegaconf.omegaconf:OmegaConf"
        ),
        lambda node: node["node"][0].__setitem__("value", "omegaconf.nodes:ValueNode"),
        lambda node: node["node"][0].__setitem__("value", "posix:system"),
        lambda node: node["node"].__setitem__(1, _dict_of("_parent")),
        lambda node: node["node"].__setitem__(1, _dict_of("__class__")),
        lambda node: node["node"][2]["node"][0].__setitem__("value", "builtins:int"),
        lambda node: node["node"].__setitem__(3, {**_NUMBER}),
    ],
)
def test_a_malformed_description_is_an_error(change):
    """Whatever a file says of a node ends in one of our errors."""
    omegaconf = pytest.importorskip("omegaconf")
    checkpoint = Checkpoint.of(omegaconf.OmegaConf.create({"a": 1}))
    change(checkpoint.tree["node"]["node"])
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()


_NUMBER = {"node_type": "leaf", "kind": "int", "value": 1}


def _dict_of(name):
    key = {"node_type": "leaf", "kind": "str", "value": name}
    return {
        "node_type": "container",
        "kind": "dict",
        "keys": [key],
        "node": [{**_NUMBER}],
    }


def test_nodes_that_share_a_description_are_refused():
    """Else a small file would make a configuration without end."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create({"a": {"x": 1}, "b": {"x": 1}})
    checkpoint = Checkpoint.of(config)
    content = checkpoint.tree["node"]["node"]["node"][3]["node"]
    children = content if isinstance(content, list) else [*content.values()]
    children[0]["id"] = 99
    reference = {"node_type": "reference", "id": 99}
    if isinstance(content, list):
        content[1] = reference
    else:
        content["b"] = reference
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()


def test_no_file_builds_a_configuration_by_attributes():
    """A node of OmegaConf is built by the kind that checks it, and by no other."""
    pytest.importorskip("omegaconf")
    node = {
        "node_type": "container",
        "kind": "instance",
        "type": "omegaconf.dictconfig:DictConfig",
        "beside": ["_content"],
        "node": {"_content": {**_NUMBER}},
    }
    with pytest.raises(zodiax_io.UntrustedError, match="is not an ordinary class"):
        checkpoint_of(node).load()
