"""Vectors, frames and operators of coordinax."""

import coordinax as cx
import unxt

from . import Objects


def space() -> cx.KinematicSpace:
    return cx.KinematicSpace(
        length=cx.CartesianPos3D.from_([1, 2, 3.0], "km"),
        speed=cx.CartesianVel3D.from_([1, 2, 3.0], "km/s"),
    )


OBJECTS: Objects = {
    "vectors": space,
    "coordinate": lambda: cx.Coordinate(space(), frame=cx.frames.ICRS()),
    "frame": lambda: cx.frames.Galactocentric(),
    "distances": lambda: [cx.Distance(1, "kpc"), cx.distance.Parallax(1, "mas")],
    "four vector": lambda: cx.FourVector(
        t=unxt.Quantity(1, "s"), q=unxt.Quantity([1, 2, 3], "m")
    ),
    "operator": lambda: cx.frames.frame_transform_op(
        cx.frames.ICRS(), cx.frames.Galactocentric()
    ),
}
