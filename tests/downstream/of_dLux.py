"""Optical systems, layers, sources, detectors and telescopes of dLux."""

import dLux as dl
import jax.numpy as jnp

from . import Objects, constructible

WAVELENGTHS = jnp.array([500e-9, 600e-9])


def optics() -> dl.AngularOpticalSystem:
    basis = jnp.stack([jnp.ones((16, 16)), jnp.arange(256.0).reshape(16, 16) / 256])
    aperture = dl.TransmissiveLayer(jnp.ones((16, 16)), normalise=True)
    layers = [("aperture", aperture), ("basis", dl.BasisLayer(basis, jnp.zeros(2)))]
    return dl.AngularOpticalSystem(16, 1.0, layers, 8, 0.1, 2)


def detector() -> dl.LayeredDetector:
    layers = [("jitter", dl.ApplyJitter(1.0)), dl.AddConstant(1.0)]
    return dl.LayeredDetector(layers)


def telescope() -> dl.Telescope:
    source = dl.PointSource(WAVELENGTHS)
    return dl.Telescope(optics(), ("star", source), detector())


OBJECTS: Objects = {
    "AngularOpticalSystem": optics,
    "CartesianOpticalSystem": lambda: dl.CartesianOpticalSystem(
        16, 1.0, [dl.CircularAperture(0.5)], 10.0, 8, 5.0
    ),
    "LayeredOpticalSystem": lambda: dl.LayeredOpticalSystem(
        16, 1.0, [dl.Tilt(jnp.zeros(2)), dl.Normalise(), dl.Optic(jnp.ones((16, 16)))]
    ),
    "Detector": detector,
    "Telescope": telescope,
    "Wavefront": lambda: dl.Wavefront(500e-9, 16, 1.0).tilt(jnp.array([1e-7, 0.0])),
    "PSF": lambda: dl.PSF(jnp.ones((8, 8)), jnp.array(0.1)),
    "Layers": lambda: [
        dl.BasisLayer(jnp.ones((3, 4, 4))),
        dl.AberratedLayer(jnp.zeros((4, 4))),
        dl.Rotate(0.3, "cubic", True),
        dl.Flip((0, 1)),
        dl.MFT(16, 0.1, 2.0),
    ],
    "Apertures": lambda: [
        dl.CircularAperture(0.5, dl.CoordTransform(jnp.zeros(2)), True),
        dl.RegPolyAperture(6, 1.0),
        dl.Spider(0.1, jnp.array([0.0, 120.0])),
        dl.CompoundAperture([("p", dl.CircularAperture(1.0)), dl.SquareAperture(0.5)]),
    ],
    "Sources": lambda: dl.Scene(
        [
            ("a", dl.PointSource(WAVELENGTHS, jnp.zeros(2), 1e3)),
            ("b", dl.BinarySource(WAVELENGTHS, separation=1e-6, contrast=2.0)),
            ("c", dl.ResolvedSource(WAVELENGTHS, distribution=jnp.ones((3, 3)))),
        ]
    ),
    "Spectra": lambda: [
        dl.Spectrum(WAVELENGTHS, jnp.ones(2)),
        dl.PolySpectrum(WAVELENGTHS, jnp.ones(3)),
    ],
    "every class that needs at most a number": lambda: constructible(
        dl, (), (1.0,), (1,)
    ),
    "bound method": lambda: telescope().model,
}
