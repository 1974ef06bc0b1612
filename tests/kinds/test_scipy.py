"""Splines, rotations and frozen distributions of SciPy come back by their numbers."""

import io
import subprocess
import sys

import numpy as np
import pytest
import scipy.interpolate as si
import scipy.stats as stats
from documents import Checkpoint
from scipy.spatial.transform import Rotation

import zodiax_io


def saved(tree):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file)


X, Y = np.arange(5.0), np.array([1.0, 3.0, 2.0, 0.0, 1.0])
SPLINES = {
    "cubic": lambda: si.CubicSpline(X, Y),
    "periodic": lambda: si.CubicSpline(X, Y, bc_type="periodic"),
    "of several": lambda: si.CubicSpline(X, np.ones((2, 5, 3)), axis=1),
    "monotone": lambda: si.PchipInterpolator(X, Y),
    "akima": lambda: si.Akima1DInterpolator(X, Y),
    "pieces": lambda: si.PPoly(np.ones((2, 1)), [0, 1.0], extrapolate=False),
    "bernstein": lambda: si.BPoly(np.ones((2, 1)), [0, 1.0]),
    "basis": lambda: si.make_interp_spline(X, Y, k=3),
    "basis along an axis": lambda: si.make_interp_spline(X, np.ones((2, 5)), axis=1),
}


@pytest.mark.parametrize("name", SPLINES)
def test_a_spline_comes_back(name):
    """Coefficients, knots and settings are the same to the bit."""
    spline = SPLINES[name]()
    one, other = saved([spline, spline])
    assert one is other
    assert type(one) is type(spline)
    points = np.linspace(-1, 6, 20)
    assert one(points).tobytes() == spline(points).tobytes()
    assert (one.extrapolate, one.axis) == (spline.extrapolate, spline.axis)


@pytest.mark.parametrize("number", [None, 3])
def test_a_rotation_comes_back(number):
    """Its quaternions are the same to the bit, also where they round."""
    rotation = Rotation.random(number, rng=0)
    again = saved(rotation)
    assert again.single == rotation.single
    assert again.as_quat().tobytes() == rotation.as_quat().tobytes()


DISTRIBUTIONS = {
    "by position": lambda: stats.norm(0, 1),
    "by name": lambda: stats.gamma(2.0, scale=np.array([1.0, 2.0])),
    "discrete": lambda: stats.poisson(mu=3.0),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_frozen_distribution_comes_back(name):
    """Distribution and parameters are the same."""
    frozen = DISTRIBUTIONS[name]()
    again = saved(frozen)
    assert type(again) is type(frozen)
    assert type(again.dist) is type(frozen.dist)
    assert np.all(again.cdf(2.5) == frozen.cdf(2.5))


def test_they_need_no_trust_and_no_import():
    """A fresh process gets them."""
    file = io.BytesIO()
    zodiax_io.serialise(
        file, [SPLINES["cubic"](), stats.norm(1.0, 2.0), Rotation.identity()]
    )
    script = (
        "import io, sys, zodiax_io\n"
        "tree = zodiax_io.deserialise(io.BytesIO(sys.stdin.buffer.read()))\n"
        "print(tree[0](1.0), tree[1].mean(), tree[2].magnitude())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stdout == b"3.0 1.0 0.0\n", done.stderr


def test_a_random_state_is_not_lost():
    """A distribution with a generator of its own is refused."""
    frozen = stats.norm(0, 1)
    frozen.random_state = 5
    with pytest.raises(zodiax_io.SerialisationError, match="a random state of its own"):
        zodiax_io.build_structure(frozen)


def test_an_own_distribution_is_refused():
    """A subclass that SciPy does not export has no name that a load could find."""

    class Mine(stats.rv_continuous):
        pass

    with pytest.raises(zodiax_io.SerialisationError, match="without a name in SciPy"):
        zodiax_io.build_structure(Mine(name="norm")(loc=1.0))


def test_a_hostile_rotation_is_corrupt():
    """A number in the place of a flag is refused."""
    checkpoint = Checkpoint.of(Rotation.identity())
    checkpoint.tree["node"]["single"]["value"] = 1
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()


CHANGES = {
    "a degree of text": ("k", {"kind": "str", "value": "3"}),
    "a huge degree": ("k", {"kind": "int", "value": 2**62}),
    "a negative degree": ("k", {"kind": "int", "value": -1}),
    "another degree": ("k", {"kind": "int", "value": 40}),
    "an axis outside": ("axis", {"kind": "int", "value": 7}),
    "another extrapolation": ("extrapolate", {"kind": "str", "value": "always"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_hostile_spline_is_corrupt(name):
    """SciPy's compiled functions get nothing that does not fit."""
    part, node = CHANGES[name]
    checkpoint = Checkpoint.of({"spline": SPLINES["basis"](), "x": X})
    spline = checkpoint.tree["node"]["spline"]["node"]
    spline[part] = {**spline[part], "node_type": "leaf", **node}
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()


def test_breakpoints_out_of_order_are_refused():
    """A search among them would not end where it should."""
    spline = SPLINES["cubic"]()
    spline.x[1] = 9.0
    with pytest.raises(zodiax_io.SerialisationError, match="not in order"):
        zodiax_io.build_structure(spline)
