"""Solvers of partial differential equations of exponax."""

import exponax as ex

from . import Objects

OBJECTS: Objects = {
    "linear steppers": lambda: [
        ex.stepper.Advection(1, 1.0, 16, 0.1, velocity=0.3),
        ex.stepper.Diffusion(2, 1.0, 8, 0.1),
    ],
    "nonlinear steppers": lambda: [
        ex.stepper.Burgers(1, 1.0, 16, 0.1),
        ex.stepper.KuramotoSivashinsky(1, 10.0, 16, 0.1),
        ex.stepper.NavierStokesVorticity(2, 1.0, 8, 0.1),
    ],
    "repeated": lambda: ex.RepeatedStepper(ex.stepper.Burgers(1, 1.0, 16, 0.1), 3),
    "initial conditions": lambda: [
        ex.ic.RandomTruncatedFourierSeries(1, cutoff=3),
        ex.ic.DiffusedNoise(1),
    ],
}
