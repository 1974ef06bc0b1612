"""Layers and a model of equimo."""

import jax.numpy as jnp
from equimo.layers.attention import AttentionBlock
from equimo.layers.convolution import MBConv
from equimo.layers.ffn import Mlp, SwiGlu
from equimo.models import VisionTransformer

from . import KEY, Objects

OBJECTS: Objects = {
    "attention": lambda: AttentionBlock(dim=8, num_heads=2, key=KEY),
    "convolution": lambda: MBConv(8, 8, key=KEY),
    "feed-forward layers": lambda: [Mlp(8, key=KEY), SwiGlu(8, key=KEY)],
    "vision transformer": lambda: VisionTransformer(
        img_size=8,
        in_channels=3,
        dim=8,
        patch_size=4,
        num_heads=[2],
        depths=[1],
        num_classes=3,
        key=KEY,
    ),
    "with other weights": lambda: {"scale": jnp.ones(2), "layer": Mlp(8, key=KEY)},
}
