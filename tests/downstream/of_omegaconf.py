"""Configurations of OmegaConf, with interpolations and types."""

import dataclasses

from omegaconf import DictConfig, OmegaConf

from . import Objects


@dataclasses.dataclass
class Optimiser:
    rate: float = 0.1
    layers: list[int] = dataclasses.field(default_factory=lambda: [2, 3])


def read_only() -> DictConfig:
    config = OmegaConf.create({"a": 1})
    OmegaConf.set_readonly(config, True)
    return config


OBJECTS: Objects = {
    "configuration": lambda: OmegaConf.create({"a": [1, "???"], "b": {"c": "${a}"}}),
    "structured configuration": lambda: OmegaConf.structured(Optimiser),
    "read-only configuration": read_only,
    "part of a configuration": lambda: OmegaConf.create({"a": {"b": 1}}).a,
}
# Its interpolations may need the whole.
REFUSED = {"part of a configuration"}
