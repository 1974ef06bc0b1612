"""Keep a telescope and a half-trained network, and go on in another process.

    python keep_a_model.py [FOLDER]

saves both in FOLDER (default: a new temporary folder), notes what the telescope sees
and what the next training step gives, and starts a new Python process that loads both
files and must find the same bits.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# A GPU may add numbers in another order each time; on a CPU, bits can be compared.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import dLux as dl
import dLux.utils as dlu
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import optax

import zodiax_io

# An optimiser is made of functions, so it stays in the code; its state is saved.
OPTIMISER = optax.adam(1e-2)
WAVELENGTHS = jnp.linspace(1.0e-6, 1.2e-6, 3)  # metres


def build_telescope() -> dl.AngularOpticalSystem:
    """Build a 2.4 m telescope: a circular aperture and six Zernike aberrations."""
    coordinates = dlu.pixel_coords(128, 2.4)
    aperture = dlu.circle(coordinates, 1.2)
    basis = 1e-9 * dlu.zernike_basis([4, 5, 6, 7, 8, 11], coordinates, 2.4)
    coefficients = 30 * jr.normal(jr.key(0), (6,))  # nanometres
    return dl.AngularOpticalSystem(
        wf_npixels=128,
        diameter=2.4,
        layers=[
            ("aperture", dl.TransmissiveLayer(aperture, normalise=True)),
            ("aberrations", dl.BasisLayer(basis, coefficients)),
        ],
        psf_npixels=64,
        psf_pixel_scale=0.02,
    )


def start_training() -> dict:
    """Start: a network, its optimiser state, the step and the random key."""
    network_key, data_key = jr.split(jr.key(42))
    network = eqx.nn.MLP(2, 1, 32, 2, activation=jax.nn.relu, key=network_key)
    state = OPTIMISER.init(eqx.filter(network, eqx.is_inexact_array))
    return {"network": network, "optimiser": state, "step": 0, "key": data_key}


@eqx.filter_jit
def update(network, state, key):
    """Take one step of Adam on random points of f(x, y) = x y."""
    points = jr.uniform(key, (64, 2), minval=-1.0, maxval=1.0)

    @eqx.filter_value_and_grad
    def loss_of(network):
        return jnp.mean((jax.vmap(network)(points)[:, 0] - points.prod(axis=1)) ** 2)

    loss, gradients = loss_of(network)
    updates, state = OPTIMISER.update(gradients, state)
    return loss, eqx.apply_updates(network, updates), state


def train_one_step(training: dict) -> tuple[jax.Array, dict]:
    """Return the loss and everything that the next step needs."""
    key, batch_key = jr.split(training["key"])
    loss, network, state = update(training["network"], training["optimiser"], batch_key)
    step = training["step"] + 1
    return loss, {"network": network, "optimiser": state, "step": step, "key": key}


def fingerprint(tree) -> str:
    """Hash every array and number: the same fingerprint, the same bits."""
    digest = hashlib.sha256()
    for path, leaf in jtu.tree_leaves_with_path(eqx.filter(tree, eqx.is_array_like)):
        digest.update(jtu.keystr(path).encode())
        if eqx.is_array(leaf):
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jr.key_data(leaf)
            digest.update(f"{leaf.dtype}{leaf.shape}".encode())
            digest.update(jax.device_get(leaf).tobytes())
        else:
            digest.update(repr(leaf).encode())
    return digest.hexdigest()[:16]


def look(telescope, training) -> dict[str, str | int]:
    """Note the image of a star and what the next training step gives."""
    loss, training = train_one_step(training)
    return {
        "image": fingerprint(telescope.propagate(WAVELENGTHS)),
        "step": training["step"],
        "loss": float(loss).hex(),
        "after the step": fingerprint(training),
    }


def keep(folder: pathlib.Path) -> None:
    """Build, train, save, and note what comes next."""
    telescope, training = build_telescope(), start_training()
    for _ in range(5):
        _, training = train_one_step(training)

    zodiax_io.serialise(folder / "telescope.zdx", telescope)
    zodiax_io.serialise(folder / "training.zdx", training)

    (folder / "expected.json").write_text(json.dumps(look(telescope, training)))


def resume(folder: pathlib.Path) -> None:
    """Load, go on, and compare with what the other process noted."""
    telescope = zodiax_io.deserialise(folder / "telescope.zdx")
    training = zodiax_io.deserialise(folder / "training.zdx")

    expected = json.loads((folder / "expected.json").read_text())
    found = look(telescope, training)
    for name, value in found.items():
        verdict = "the same" if value == expected[name] else f"was {expected[name]}"
        print(f"  {name:<15} {value!s:<22} {verdict}")
    if found != expected:
        sys.exit("The loaded models are not the ones that were saved.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["resume"]:
        resume(pathlib.Path(sys.argv[2]))
    else:
        folder = pathlib.Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp())
        folder.mkdir(parents=True, exist_ok=True)
        keep(folder)
        print(f"Saved in {folder}. A new process loads both and goes on:", flush=True)
        subprocess.run([sys.executable, __file__, "resume", str(folder)], check=True)
