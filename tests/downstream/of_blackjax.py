"""States of the samplers of blackjax, and what adaptation finds."""

from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import jax.random as jr

from . import KEY, Objects


def density(x: Any) -> Any:
    return -0.5 * jnp.sum(x["a"] ** 2)


START = {"a": jnp.arange(2.0)}


def nuts() -> Any:
    return blackjax.nuts(density, step_size=0.1, inverse_mass_matrix=jnp.ones(2))


def warmed_up() -> Any:
    warmup = blackjax.window_adaptation(blackjax.nuts, density)
    return warmup.run(KEY, START, 5)


OBJECTS: Objects = {
    "state of NUTS": lambda: nuts().init(START),
    "state and info of a step": lambda: nuts().step(KEY, nuts().init(START)),
    "state of HMC": lambda: blackjax.hmc(density, 0.1, jnp.ones(2), 3).init(START),
    "state of MALA": lambda: blackjax.mala(density, 0.1).init(START),
    "state of MCLMC": lambda: blackjax.mclmc.init(START, density, KEY),
    "states of many chains": lambda: jax.vmap(nuts().init)({"a": jnp.ones((3, 2))}),
    "state of SMC": lambda: blackjax.smc.tempered.init({"a": jr.normal(KEY, (4, 2))}),
    "state of pathfinder": lambda: blackjax.vi.pathfinder.approximate(
        KEY, density, START, num_samples=5
    ),
    "result of warm-up": lambda: warmed_up()[0],
    "sampler": nuts,
}
# Its functions are annotated by a recursive union, whose parts Python would compile.
REFUSED = {"sampler"}
