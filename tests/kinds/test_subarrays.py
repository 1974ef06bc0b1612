"""Arrays of subclasses of `numpy.ndarray` come back whole, or are refused."""

import numpy as np
import pytest
from documents import checkpoint_of, container, leaf
from equality import survives
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import zodiax_io


class Image(np.ndarray):
    """An array that passes an attribute on to its views, as NumPy's guide does it."""

    scale = None

    def __array_finalize__(self, obj):
        self.scale = getattr(obj, "scale", None)


def image(data, scale):
    made = np.asarray(data).view(Image)
    made.scale = scale
    return made


@given(
    hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)),
    st.one_of(st.none(), st.floats(allow_nan=False), st.text()),
)
def test_an_array_of_the_user_keeps_its_attributes(data, scale):
    """Values and attributes come back, in an array of the same class."""
    if data.dtype.hasobject:
        return
    again = survives(image(data, scale))
    assert type(again) is Image
    assert again.scale == scale


def test_what_is_shared_with_an_attribute_stays_shared():
    """An attribute that another part of the tree has, too, is the same object there."""
    names = ["a", "b"]
    again = survives([names, image(np.ones(2), names)])
    assert again[1].scale is again[0]


FIELDS = [("a", "i4"), ("b", "f8", (2,))]
ARRAYS = {
    "records": lambda: np.rec.array([(1, [2.0, 3.0])], dtype=FIELDS),
    "one record": lambda: np.rec.array((1, [2.0, 3.0]), dtype=FIELDS),
    "a record array of numbers": lambda: np.arange(3.0).view(np.recarray),
    "text": lambda: np.char.array(["a", "bc "]),
    "bytes": lambda: np.char.array([b"a", b"bc"]),
    "records in order of columns": lambda: np.asfortranarray(
        np.zeros((2, 3), FIELDS)
    ).view(np.recarray),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_of_numpy_comes_back(name):
    """Record arrays and arrays of text come back as their class, with their dtype."""
    array = ARRAYS[name]()
    again = survives(array)
    assert type(again) is type(array)
    assert again.dtype.type is array.dtype.type


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_comes_back():
    """The product of matrices is that of linear algebra, so the class matters."""
    matrix = np.matrix([[1, 2], [3, 4]])
    again = survives(matrix)
    assert type(again) is np.matrix
    assert (again * again == matrix * matrix).all()


def test_the_constant_of_masked_arrays_loads_as_itself():
    """`numpy.ma.masked` is compared by identity."""
    assert survives({"a": np.ma.masked})["a"] is np.ma.masked


def test_an_element_of_a_masked_array_of_fields_comes_back():
    """Each field keeps its mask, also in one element."""
    array = np.ma.array(
        [(1, 2.0)], mask=[(0, 1)], dtype=[("a", int), ("b", float)], hard_mask=True
    )
    again = survives(array)[0]
    assert type(again) is type(array[0])
    element = survives(array[0])
    assert type(element) is type(array[0])
    assert type(element._mask) is type(array[0]._mask)
    assert element.tolist() == (1, None)
    assert element.data == array[0].data
    assert element.hardmask


NUMBER = leaf("int", value=1)
SCALAR = leaf("scalar", value=b"\x00" * 8, dtype="float64")
HOSTILE = {
    "a number as data": container("subarray", {"data": NUMBER}, type="numpy:recarray"),
    "a scalar as data": container("subarray", {"data": SCALAR}, type="numpy:matrix"),
    "no data": container("subarray", {}, type="numpy:recarray"),
    "a list of parts": container("subarray", [NUMBER], type="numpy:recarray"),
    "attributes that are a list": container(
        "subarray",
        {"data": NUMBER, "attributes": container("list", [])},
        type="numpy:recarray",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_array_is_corrupt(name):
    """Whatever stands in place of the data ends in one error."""
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(HOSTILE[name]).load()
