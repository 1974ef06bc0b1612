"""Every layer of `equinox.nn`, with its state where it has one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from equinox import nn

from . import KEY, Objects

_LINEAR = nn.Linear(3, 2, key=KEY)
OBJECTS: Objects = {
    "AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(2),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d(2),
    "AdaptiveAvgPool3d": lambda: nn.AdaptiveAvgPool3d(2),
    "AdaptiveMaxPool1d": lambda: nn.AdaptiveMaxPool1d(2),
    "AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d((2, 3)),
    "AdaptiveMaxPool3d": lambda: nn.AdaptiveMaxPool3d(2),
    "AdaptivePool": lambda: nn.AdaptivePool(2, 2, jnp.max),
    "AvgPool1d": lambda: nn.AvgPool1d(2),
    "AvgPool2d": lambda: nn.AvgPool2d((2, 3), 2, padding=1, use_ceil=True),
    "AvgPool3d": lambda: nn.AvgPool3d(2),
    "BatchNorm": lambda: nn.make_with_state(nn.BatchNorm)(3, "batch", mode="ema"),
    "Conv": lambda: nn.Conv(2, 1, 3, 3, key=KEY),
    "Conv1d": lambda: nn.Conv1d(1, 3, 3, padding="SAME", key=KEY),
    "Conv2d": lambda: nn.Conv2d(2, 4, (3, 5), 2, ((1, 1), (0, 2)), 2, 2, key=KEY),
    "Conv3d": lambda: nn.Conv3d(1, 2, 3, key=KEY),
    "ConvTranspose": lambda: nn.ConvTranspose(1, 2, 3, 3, key=KEY),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(1, 2, 3, key=KEY),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(
        1, 2, 3, 2, output_padding=1, key=KEY
    ),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(1, 2, 3, key=KEY),
    "Dropout": lambda: nn.Dropout(0.3, inference=True),
    "Embedding": lambda: nn.Embedding(5, 3, key=KEY),
    "GRUCell": lambda: nn.GRUCell(3, 4, key=KEY),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "Identity": lambda: nn.Identity(),
    "LSTMCell": lambda: nn.LSTMCell(3, 4, use_bias=False, key=KEY),
    "Lambda": lambda: [nn.Lambda(jax.nn.relu), nn.Lambda(np.abs), nn.Lambda(_LINEAR)],
    "LayerNorm": lambda: nn.LayerNorm((3, 4), use_bias=False),
    "Linear": lambda: [_LINEAR, nn.Linear(2, "scalar", dtype=jnp.bfloat16, key=KEY)],
    "MLP": lambda: nn.MLP(2, 3, 4, 2, nn.PReLU(0.1), jnp.tanh, key=KEY),
    "MaxPool1d": lambda: nn.MaxPool1d(2),
    "MaxPool2d": lambda: nn.MaxPool2d(2, 2),
    "MaxPool3d": lambda: nn.MaxPool3d(2, padding=1),
    "MultiheadAttention": lambda: nn.MultiheadAttention(2, 4, dropout_p=0.1, key=KEY),
    "PReLU": lambda: nn.PReLU(jnp.array([0.1, 0.2])),
    "Pool": lambda: nn.Pool(jnp.inf, jax.lax.min, 2, (2, 2)),
    "RMSNorm": lambda: nn.RMSNorm(5),
    "RotaryPositionalEmbedding": lambda: nn.RotaryPositionalEmbedding(8),
    "Sequential": lambda: nn.Sequential([_LINEAR, nn.Lambda(jax.nn.relu)]),
    "Shared": lambda: nn.Shared((_LINEAR, nn.Linear(3, 2, key=KEY)), _second, _first),
    "SpectralNorm": lambda: nn.make_with_state(nn.SpectralNorm)(
        _LINEAR, "weight", key=KEY
    ),
    "State": lambda: nn.State(nn.BatchNorm(3, "batch", mode="batch")),
    "StateIndex": lambda: nn.make_with_state(nn.StateIndex)({"a": jnp.zeros(2)}),
    "WeightNorm": lambda: nn.WeightNorm(nn.Conv2d(1, 2, 3, key=KEY), axis=None),
}


def _first(pair: Any) -> Any:
    return pair[0].weight


def _second(pair: Any) -> Any:
    return pair[1].weight
