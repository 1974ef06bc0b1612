"""Coordinates, frames and times of astropy come back, with no trust asked for them."""

import io
import subprocess
import sys

import numpy as np
import pytest
from documents import checkpoint_of, container, leaf

import zodiax_io

u = pytest.importorskip("astropy.units")
coordinates = pytest.importorskip("astropy.coordinates")
time = pytest.importorskip("astropy.time")


def saved(tree):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file)


MOTION = coordinates.CartesianDifferential(*np.ones((3, 2)) * u.km / u.s)
OBJECTS = {
    "sky": lambda: coordinates.SkyCoord([1, 2], [2, 3], unit="deg"),
    "galactic": lambda: coordinates.SkyCoord(
        1 * u.deg, 2 * u.deg, distance=3 * u.pc, frame="galactic"
    ),
    "equinox": lambda: coordinates.SkyCoord(
        1 * u.deg, 2 * u.deg, frame="fk5", equinox="J2010"
    ),
    "proper motion": lambda: coordinates.SkyCoord(
        *([1, 2] * u.deg), pm_ra_cosdec=1 * u.mas / u.yr, pm_dec=2 * u.mas / u.yr
    ),
    "frame with data": lambda: coordinates.ICRS(1 * u.deg, 2 * u.deg),
    "frame": lambda: coordinates.AltAz(
        obstime=time.Time("2020-01-01"),
        location=coordinates.EarthLocation(*([1, 2, 3] * u.m)),
    ),
    "positions": lambda: coordinates.CartesianRepresentation(
        *np.ones((3, 2)) * u.m, differentials=MOTION
    ),
    "sphere": lambda: coordinates.SphericalRepresentation(
        1 * u.deg, 2 * u.deg, 3 * u.m
    ),
    "wavelength": lambda: coordinates.SpectralCoord([3.0], "nm"),
    "times": lambda: time.Time(["2020-01-01", "2021-01-01"], scale="tai"),
    "a precise time": lambda: time.Time(2450000.5, 1e-9, format="jd", precision=9),
    "an interval": lambda: time.TimeDelta(3 * u.s),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_coordinates_come_back(name):
    """Class, values, units, frame and settings are the same."""
    obj = OBJECTS[name]()
    again = saved(obj)
    assert type(again) is type(obj)
    assert repr(again) == repr(obj)
    assert np.all(again == obj)


def test_what_astropy_has_computed_is_left_out():
    """The size of a file does not depend on what was asked of the object."""
    sky = OBJECTS["sky"]()
    before = zodiax_io.build_structure(sky)
    assert sky.galactic.l.shape == (2,)
    assert repr(sky)
    assert [*zodiax_io.build_structure(sky)["node"]] == [*before["node"]]
    moment = OBJECTS["times"]()
    assert len(moment.utc.jd) == 2
    again = saved(moment)
    assert "cache" not in vars(again)
    assert again.utc.isot.tolist() == moment.utc.isot.tolist()


def test_times_keep_their_last_bits():
    """A time is two numbers, of which a single one would round."""
    moment = OBJECTS["a precise time"]()
    again = saved(moment)
    assert (again.jd1, again.jd2) == (moment.jd1, moment.jd2)
    assert again.precision == 9


def test_coordinates_need_no_trust_and_no_import():
    """A fresh process gets all of them."""
    file = io.BytesIO()
    zodiax_io.serialise(file, [make() for make in OBJECTS.values()])
    script = (
        "import io, sys, zodiax_io\n"
        "data = sys.stdin.buffer.read()\n"
        "assert all(n.status == 'trusted' for n in zodiax_io.names(io.BytesIO(data)))\n"
        "tree = zodiax_io.deserialise(io.BytesIO(data))\n"
        "print(tree[0].ra.deg.tolist(), tree[9].isot[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stdout == b"[1.0, 2.0] 2020-01-01T00:00:00.000\n", done.stderr


def test_what_the_user_has_noted_is_not_lost():
    """An attribute of the user's is kept; an `info` with content is refused."""
    sky = OBJECTS["sky"]()
    object.__setattr__(sky, "catalogue", "mine")
    assert saved(sky).catalogue == "mine"
    sky.info.name = "stars"
    with pytest.raises(zodiax_io.SerialisationError, match="`info` has a 'name'"):
        zodiax_io.build_structure(sky)


HOSTILE = {
    "a method": container(
        "coordinates",
        {"transform_to": leaf("int", value=1)},
        type="astropy.coordinates:ICRS",
        beside=["transform_to"],
    ),
    "a special attribute": container(
        "coordinates",
        {"__class__": leaf("int", value=1)},
        type="astropy.coordinates:ICRS",
        beside=["__class__"],
    ),
    "a list": container("coordinates", [], type="astropy.coordinates:ICRS"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_coordinates_are_refused(name):
    """No file replaces a method, and no attribute is special to Python."""
    with pytest.raises((zodiax_io.CorruptFileError, zodiax_io.ClassChangedError)):
        checkpoint_of(HOSTILE[name]).load()


@pytest.mark.parametrize(
    "name",
    [
        "astropy.coordinates:get_icrs_coordinates",
        "astropy.coordinates:Angle",
        "astropy.time:update_leap_seconds",
        "astropy.utils.data:download_file",
    ],
)
def test_only_coordinates_are_trusted(name):
    """No file may use anything else of these modules in their place."""
    with pytest.raises(zodiax_io.UntrustedError):
        checkpoint_of(container("coordinates", {}, type=name)).load()
