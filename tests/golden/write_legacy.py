"""Writes the golden files of zodiax up to 0.4; refuses to touch those that exist.

With an environment that has an old zodiax (and jax, equinox, optax):

    python -m venv old
    old/bin/pip install "zodiax==0.4.1" equinox optax
    old/bin/python tests/golden/write_legacy.py

The files go to ``legacy/<version of zodiax>``.
"""

import importlib.metadata
import os
import pathlib
import sys
import warnings

os.environ.setdefault("JAX_PLATFORMS", "cpu")
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "helpers"))
sys.dont_write_bytecode = True

import jax
import legacy_models
import zodiax

# It says that static arrays are a mistake, as which they stand there.
warnings.simplefilter("ignore")

if __name__ == "__main__":
    from zodiax.experimental import serialise

    class Script(zodiax.Base):
        x: object

    legacy_models.Script = Script
    folder = HERE / "legacy" / importlib.metadata.version("zodiax")
    folder.mkdir(parents=True)
    for name, tree in legacy_models.TREES.items():
        jax.config.update("jax_enable_x64", name == "arrays")
        serialise(str(folder / f"{name}.zdx"), tree())
