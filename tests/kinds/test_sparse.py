"""Sparse arrays of SciPy come back part for part, and a hostile file cannot crash."""

import io
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from documents import Checkpoint, checkpoint_of, container, leaf
from equality import survives
from hypothesis import given, strategies as st

import zodiax_io
from zodiax_io._kinds import sparse

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")


@st.composite
def arrays(draw):
    """Sparse arrays in every format, of some dtypes."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dtype = draw(st.sampled_from(["f8", "f4", "i8", "?", "c16"]))
    places = draw(
        st.lists(
            st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1)),
            max_size=8,
        )
    )
    rows, columns = (np.array([p[i] for p in places], int) for i in (0, 1))
    data = np.array(range(1, len(places) + 1)).astype(dtype)
    coo = sp.coo_array((data, (rows, columns)), shape)
    made = coo.asformat(draw(st.sampled_from(FORMATS)))
    if draw(st.booleans()):
        name = type(made).__name__.replace("array", "matrix")
        made = getattr(sp, name)(made)
    return made


@given(arrays())
def test_a_sparse_array_comes_back(array):
    """Class, arrays, dtypes of indices, shape, and what SciPy knows of their order."""
    again = survives({"a": array, "b": array})
    assert again["a"] is again["b"]
    assert type(again["a"]) is type(array)
    assert (again["a"].toarray() == array.toarray()).all()


OTHERS = {
    "int64 indices": lambda: sp.csr_array(
        (np.ones(1), np.zeros(1, np.int64), np.array([0, 1])), (1, 2**40)
    ),
    "one axis": lambda: sp.csr_array(np.arange(3.0)),
    "three axes": lambda: sp.coo_array(np.arange(8.0).reshape(2, 2, 2)),
    "blocks": lambda: sp.bsr_array(np.kron(np.eye(3), np.ones((2, 3)))),
    "room behind the data": lambda: sp.csr_array(
        (np.ones(4), np.array([0, 1, 0, 0]), np.array([0, 1, 2])), (2, 2)
    ),
    "unsorted": lambda: sp.csr_array(
        (np.ones(2), np.array([1, 0]), np.array([0, 2])), (1, 2)
    ),
    "twice": lambda: sp.coo_array((np.ones(2), ([0, 0], [1, 1])), (2, 2)),
    "empty": lambda: sp.csc_array((0, 3)),
    "diagonals": lambda: sp.diags_array([[1.0, 2.0], [3.0]], offsets=[0, 1]),
    "of integers": lambda: sp.lil_array(np.array([[0, 2], [3, 0]])),
    "shown in full": lambda: sp.csr_matrix(np.eye(2), maxprint=7),
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_unusual_sparse_array_comes_back(name):
    """Every attribute is the same."""
    array = OTHERS[name]()
    again = survives(array)
    assert type(again) is type(array)


def test_what_scipy_has_found_out_stays_known():
    """A flag is kept, whether true or false."""
    array = OTHERS["unsorted"]()
    assert not array.has_sorted_indices
    assert vars(survives(array))["_has_sorted_indices"] is False
    array.sort_indices()
    assert vars(survives(array))["_has_sorted_indices"] is True


def test_a_sparse_array_needs_no_trust_and_no_import():
    """A fresh process loads it."""
    file = io.BytesIO()
    zodiax_io.serialise(file, [sp.csr_array(np.eye(3)), sp.dok_matrix(np.eye(2))])
    script = (
        "import io, sys, zodiax_io\n"
        "tree = zodiax_io.deserialise(io.BytesIO(sys.stdin.buffer.read()))\n"
        "print([type(array).__name__ for array in tree], tree[0].sum())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stdout == b"['csr_array', 'dok_matrix'] 3.0\n", done.stderr


def test_an_attribute_of_the_user_is_refused():
    """Nothing is lost in silence."""
    array = sp.csr_array(np.eye(2))
    array.note = "mine"
    with pytest.raises(zodiax_io.SerialisationError, match="such as 'note'"):
        zodiax_io.build_structure(array)


def test_a_false_claim_of_the_user_is_refused():
    """Indices that are called sorted and are not would give wrong products."""
    array = OTHERS["unsorted"]()
    array.has_sorted_indices = True
    with pytest.raises(zodiax_io.SerialisationError, match="which they are not"):
        zodiax_io.build_structure(array)


# Hostile files ------------------------------------------------------------------------


ROWS = sp.csr_array(np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]))


def rebuilt(cls=sp.csr_array, shape=(2, 3), **arrays):
    """A sparse array whose parts do not fit, made past all checks of SciPy."""
    made = object.__new__(cls)
    vars(made).update(vars(cls(ROWS)))
    vars(made).update(_shape=shape, **arrays)
    return made


HOSTILE = {
    "an index outside": rebuilt(indices=np.array([0, 7, 2], np.int32)),
    "a negative index": rebuilt(indices=np.array([0, -1, 2], np.int32)),
    "a pointer outside": rebuilt(indptr=np.array([0, 2, 9], np.int32)),
    "pointers that go back": rebuilt(indptr=np.array([0, 3, 2], np.int32)),
    "a first pointer": rebuilt(indptr=np.array([1, 2, 3], np.int32)),
    "too few pointers": rebuilt(indptr=np.array([0, 3], np.int32)),
    "no pointers": rebuilt(indptr=np.array([], np.int32)),
    "too little data": rebuilt(data=np.ones(2)),
    "data of two dimensions": rebuilt(data=np.ones((3, 1))),
    "another dtype of pointers": rebuilt(indptr=np.array([0, 2, 3], np.int64)),
    "indices of numbers": rebuilt(indices=np.array([0.0, 1.0, 2.0])),
    "a shape too large for the indices": rebuilt(shape=(2, 2**40)),
    "three axes in rows": rebuilt(shape=(2, 3, 1)),
    "no axes": rebuilt(shape=()),
    "blocks of nothing": rebuilt(sp.bsr_array, data=np.ones((3, 0, 1))),
    "blocks that do not fit": rebuilt(sp.bsr_array, data=np.ones((3, 5, 7))),
    "an index of a block outside": rebuilt(
        sp.bsr_array, indices=np.array([0, 3, 1], np.int32)
    ),
    "a coordinate outside": rebuilt(
        sp.coo_array, coords=(np.array([0, 5, 1], np.int32),) * 2
    ),
    "too few coordinates": rebuilt(sp.coo_array, coords=(np.array([0], np.int32),) * 2),
    "one axis of coordinates": rebuilt(
        sp.coo_array, coords=(np.array([0, 0, 1], np.int32),)
    ),
    "too few offsets": rebuilt(sp.dia_array, offsets=np.array([0], np.int32)),
    "an offset far outside": rebuilt(
        sp.dia_array, offsets=np.array([0, 1, -(2**31)], np.int32)
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_parts_that_do_not_fit_are_refused_on_both_sides(name, monkeypatch):
    """A save refuses them, and a load of a file that has them."""
    array = HOSTILE[name]
    with pytest.raises(zodiax_io.SerialisationError, match="Its parts do not fit"):
        zodiax_io.build_structure(array)
    with monkeypatch.context() as unchecked:
        for form in sparse._CHECKS:
            unchecked.setitem(sparse._CHECKS, form, lambda children, shape: children)
        unchecked.setattr(sparse, "_true_flags", lambda form, space, flags: flags)
        unchecked.setattr(sparse, "_check_shape", lambda cls, shape: shape)
        checkpoint = Checkpoint.of(array)
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()


@pytest.mark.parametrize("flag", ["_has_sorted_indices", "_has_canonical_format"])
def test_a_false_claim_of_a_file_is_not_believed(flag):
    """SciPy relies on what it has found out, so a load looks itself."""
    checkpoint = Checkpoint.of(OTHERS["unsorted"]())
    checkpoint.tree["value"]["flags"] = {flag: True}
    assert flag not in vars(checkpoint.load())


VALUES = {
    "no shape": {},
    "a shape of text": {"shape": ["2", 3]},
    "a negative shape": {"shape": [2, -3]},
    "a huge shape": {"shape": [2, 2**63]},
    "flags that are a list": {"flags": []},
    "a limit of text": {"maxprint": "5"},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_hostile_value_is_corrupt(name):
    """Whatever stands in place of shape and flags ends in one error."""
    checkpoint = Checkpoint.of(ROWS)
    value = {**checkpoint.tree["value"], **VALUES[name]}
    checkpoint.tree["value"] = value if name != "no shape" else {}
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()


NUMBER = leaf("int", value=1)
ROW = container("list", [container("list", [NUMBER])])
LISTS = {
    "a row outside": (
        "lil",
        {
            "rows": container("list", [container("list", [leaf("int", value=9)])]),
            "data": ROW,
        },
    ),
    "a row of another length": (
        "lil",
        {"rows": container("list", [container("list", [])]), "data": ROW},
    ),
    "a row that is no list": (
        "lil",
        {"rows": container("list", [NUMBER]), "data": ROW},
    ),
    "data of text": (
        "lil",
        {
            "rows": ROW,
            "data": container("list", [container("list", [leaf("str", value="a")])]),
        },
    ),
    "an item outside": (
        "dok",
        {
            "_dict": container(
                "dict",
                [NUMBER],
                keys=[container("tuple", [NUMBER, leaf("int", value=9)])],
            )
        },
    ),
    "a key of text": ("dok", {"_dict": container("dict", {"a": NUMBER})}),
    "no items": ("dok", {"_dict": NUMBER}),
}


@pytest.mark.parametrize("name", LISTS)
def test_hostile_lists_are_corrupt(name):
    """Lists of rows and dictionaries of items are checked as well."""
    form, children = LISTS[name]
    node = container(
        "sparse",
        {**children, "dtype": leaf("dtype", dtype="float64")},
        value={"shape": [1, 3], "maxprint": None, "flags": {}},
        type=f"scipy.sparse:{form}_array",
    )
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(node).load()
