"""Signature transforms of signax, as layers."""

import equinox as eqx
from signax.module import LogSignatureTransform, SignatureTransform

from . import KEY, Objects

OBJECTS: Objects = {
    "transforms": lambda: [SignatureTransform(3), LogSignatureTransform(2)],
    "within a network": lambda: eqx.nn.Sequential(
        [SignatureTransform(2), eqx.nn.Linear(6, 1, key=KEY)]
    ),
}
