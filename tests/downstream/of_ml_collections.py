"""Configurations of ml_collections, with references and placeholders."""

import ml_collections
from ml_collections import config_dict

from . import Objects


def configuration() -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict({"rate": 0.1, "optimiser": {"name": "adam"}})
    config.twice = config.get_ref("rate") * 2
    config.steps = config_dict.placeholder(int)
    return config.lock()


OBJECTS: Objects = {
    "configuration": configuration,
    "frozen configuration": lambda: ml_collections.FrozenConfigDict(
        {"rate": 0.1, "layers": (2, 3)}
    ),
    "reference": lambda: ml_collections.FieldReference(3),
}
