"""Plain data becomes checked nodes, or an error that names the path."""

import copy
from typing import Any

import hypothesis.strategies as st
import pytest
from documents import container, leaf, named
from hypothesis import example, given
from strategies import trees

import zodiax_io
from zodiax_io import CorruptFileError
from zodiax_io._structure.nodes import Node, Structure
from zodiax_io._structure.pairing import Side, fingerprint, pairs
from zodiax_io._structure.paths import path_text
from zodiax_io._structure.uses import _data


def error_of(plain: Any) -> str:
    with pytest.raises(CorruptFileError) as caught:
        Structure.parse(plain)
    return str(caught.value)


def shared(number: int, *children: Any) -> dict[str, Any]:
    return {**container("list", list(children)), "id": number}


def again(number: Any) -> dict[str, Any]:
    return leaf("same", value=number)


ONE = leaf("int", value=1)

# What a stranger may write, and what is said about it.
MALFORMED: dict[str, tuple[Any, str]] = {
    "no node": (container("list", [3]), "`model[0]` is not a node, or is nested"),
    "no kind": (container("list", [{"node_type": "leaf"}]), "`model[0]` has no kind."),
    "kind": (leaf("int") | {"kind": 3}, "`model` has no kind."),
    "shape": (leaf("int") | {"node_type": "container"}, "`model` is neither a leaf"),
    "names": (container("dict", {3: ONE}), "`model` has a child whose name is not"),
    "children": (container("dict", "ab"), "`model` has children that are neither"),
    "keys": (container("dict", [ONE], keys={}), "`model` has keys that are not a list"),
    "key": (container("dict", [ONE], keys=[3]), "`model.keys[0]` is not a node"),
    "record": (leaf("int", record="x"), "`model` has a record that is not a number"),
    "repeats": (leaf("int", repeats=[None]), "`model` has repeated records that are"),
    "static": (container("module", {}, static=3), "`model` has static fields that"),
    "type": (leaf("function", type=3), "`model` refers to something by a name that"),
    "no type": (leaf("function"), "`model` is of the kind `function` but does not"),
    "a type": (leaf("int", type="a:b"), "`model` is of the kind `int` but names a"),
    "id": (leaf("int", id=0), "`model` is numbered to be shared, which a `int` never"),
    "odd id": (shared("x"), "`model` has an `id` that is not a number."),
    "two": (
        container("list", [shared(0), shared(0)]),
        "`model[1]` has the same `id`",
    ),
    "nothing": (container("list", [again(7)]), "`model[0]` refers to a node that is"),
    "no number": (container("list", [again([])]), "`model[0]` refers to a node that"),
    "only": (again(0), "`model` refers to a node that is not there"),
    "holds": (
        container("list", [shared(0), {**container("same", []), "value": 0}]),
        "`model[1]` refers to a node that is not there",
    ),
    "itself": (shared(0, again(0)), "`model` contains itself"),
    "within": (shared(0, container("dict", {"a": again(0)})), "`model` contains"),
    "ahead": (
        container("list", [shared(0, again(1)), shared(1, again(0))]),
        "`model[0]` contains itself",
    ),
    "in a key": ({**container("dict", [ONE], keys=[again(0)]), "id": 0}, "`model` con"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_nodes_are_refused_with_their_path(name):
    """Whatever is wrong with a node, the error says where and what."""
    plain, expected = MALFORMED[name]
    assert error_of(plain).startswith(expected)


def changed(plain, data):
    """A structure in which something was put in the place of something else."""
    plain = copy.deepcopy(plain)
    places = []
    waiting: list[Any] = [plain]
    while waiting:
        one = waiting.pop()
        items = one.items() if isinstance(one, dict) else enumerate(one)
        for key, value in items:
            places.append((one, key))
            if isinstance(value, (dict, list)):
                waiting.append(value)
    where, key = data.draw(st.sampled_from(places))
    where[key] = data.draw(
        st.sampled_from([3, -1, None, "x", "same", [], {}, b"", [plain], True, 1.5])
    )
    return plain


@given(trees, st.data())
def test_anything_is_parsed_or_refused(tree, data):
    """No other error leaves the parser, and all that it gives is as it says."""
    plain = changed(zodiax_io.build_structure(tree), data)
    try:
        structure = Structure.parse(plain)
    except CorruptFileError:
        return
    check(structure)


def check(structure):
    """All that the rest of the package relies on."""
    ours = {id(node) for node in structure.nodes}
    assert len(ours) == len(structure.nodes)
    assert structure.nodes[0] is structure.root
    for node in structure.nodes:
        assert type(node.kind_name) is str
        assert node.record is None or type(node.record) is int
        assert node.name is None or type(node.name) is str
        assert all(type(name) is str for name in node.static)
        assert all(id(key) in ours for key in node.keys)
        assert all(id(child) in ours for _, child in node.below())
    for reference in structure.references:
        assert id(reference.siblings[reference.step]) in ours


@given(trees)
@example((lambda child: [child, {"again": child}])([1.0]))
def test_what_was_built_is_parsed(tree):
    """Every object once, with the path at which it comes first; the data stays."""
    plain = zodiax_io.build_structure(tree)
    before = copy.deepcopy(plain)
    structure = Structure.parse(plain)
    assert plain == before
    check(structure)
    for node in structure.nodes:
        for step, child in node.below():
            if node.has_first(step, child):
                assert child.path[0] is node.path
            else:
                assert child.is_shared


def test_shared_objects_are_one_node():
    """A reference is gone once it was parsed; one that leads ahead is, too."""
    for plain in (
        container("list", [shared(0, ONE), again(0)]),
        container("list", [again(0), shared(0, ONE)]),
    ):
        structure = Structure.parse(plain)
        one, two = structure.root.below()
        assert one[1] is two[1]
        assert len(structure.nodes) == 3


def test_a_part_has_paths_of_its_own():
    """What it shares with others has the first of its paths within the part."""
    plain = container("dict", {"a": shared(0, ONE), "b": container("list", [again(0)])})
    structure = Structure.parse(plain)
    node = structure.root.child("b")
    part = structure.part(node, node.path)
    assert [path_text(one.path) for one in part.nodes] == [
        "model['b']",
        "model['b'][0]",
        "model['b'][0][0]",
    ]
    assert [path_text(one.path) for one in structure.nodes] == [
        "model",
        "model['a']",
        "model['a'][0]",
        "model['b']",
    ]


@given(trees)
def test_a_structure_beside_itself(tree):
    """Each node is paired with itself; with nothing where the other has nothing."""
    structure = Structure.parse(zodiax_io.build_structure(tree))
    side = Side(structure.root, flat=False)
    for pair in pairs(side, Side(structure.root, flat=False), structure.root.path):
        assert pair.ours is pair.theirs
        assert fingerprint(pair.ours) == fingerprint(pair.theirs)


def test_keys_that_nest_deeply_are_paired():
    """Keys are compared without recursion, however deep they are."""
    key = ONE
    for _ in range(400):
        key = container("tuple", [key])
    plain = container("dict", [ONE, leaf("int", value=2)], keys=[key, named("a:b")])
    structure = Structure.parse(plain)
    side = Side(structure.root)
    found = list(pairs(side, Side(structure.root), structure.root.path))
    assert [pair.ours for pair in found] == [pair.theirs for pair in found]
    assert len(found) == 3


@pytest.mark.parametrize("number", [50, 200])
def test_what_is_shared_often_is_visited_once(number, monkeypatch):
    """Many references to a long list cost no more than the list and the references."""
    long = shared(0, *[ONE] * number)
    many = container("list", [container("list", [again(0)] * number), long])
    keys = [{**container("tuple", [ONE] * number), "id": 1}]
    keys += [container("tuple", [again(1)] * number)]
    keyed = container("dict", [ONE] * 2, keys=keys)
    structure = Structure.parse(container("list", [many, keyed]))
    visited = 0
    original = Node.below

    def counted(node):
        nonlocal visited
        found = original(node)
        visited += len(found)
        return found

    monkeypatch.setattr(Node, "below", counted)
    _data(structure)
    assert visited <= 12 * number
    visited = 0
    root = structure.root.below()[1][1]
    assert len(list(pairs(Side(root), Side(root), root.path))) == 3
    assert visited <= 24 * number


def test_unknown_kinds_are_nodes_too():
    """A summary shows them; a load refuses them, each with what to do."""
    for kind, advice in (("newer", "Upgrade zodiax_io"), ("lab.lens", "registers")):
        structure = Structure.parse(container("list", [leaf(kind)]))
        assert [node.kind_name for node in structure.unknown] == [kind]
        with pytest.raises(zodiax_io.UnknownFormatError, match=advice):
            structure.check_kinds()
    structure.check_kinds(unregistered=True)
