"""The states of every optimiser of optax, alone and within each other."""

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optax.contrib

from . import KEY, Objects

PARAMETERS = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3)}
_SGD, _ADAM = optax.sgd(1e-2), optax.adam(1e-3)
_MASK = {"w": True, "b": False}
# What optimisers ask for beside, or instead of, a learning rate.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "adaptive_grad_clip": (0.1,),
    "add_noise": (0.1, 0.5, 0),
    "apply_if_finite": (_ADAM, 3),
    "chain": (optax.clip(1.0), _ADAM),
    "conditionally_mask": (_ADAM, jnp.sum),
    "conditionally_transform": (_ADAM, jnp.sum),
    "differentially_private_aggregate": (0.1, 1.0, 0),
    "dpsgd": (0.1, 1.0, 0.1, 0),
    "flatten": (_ADAM,),
    "freeze": (_MASK,),
    "masked": (_ADAM, _MASK),
    "maybe_update": (_ADAM, jnp.sum),
    "mechanize": (_ADAM,),
    "multi_transform": ({"a": _ADAM, "b": _SGD}, {"w": "a", "b": "b"}),
    "named_chain": (("clip", optax.clip(1.0)), ("adam", _ADAM)),
    "noisy_sgd": (0.1, 0.1, 0.5, 0),
    "partition": ({"a": _ADAM, 1: _SGD}, {"w": "a", "b": 1}),
    "sam": (_ADAM, _SGD),
    "schedule_free": (_SGD, 1e-2),
    "selective_transform": (_ADAM,),
    "split_real_and_imaginary": (_ADAM,),
}


def optimisers() -> dict[str, Any]:
    """Every function of optax that makes a gradient transformation."""
    made: dict[str, Any] = {}
    for module in (optax, optax.contrib):
        for name, function in sorted(vars(module).items()):
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            attempts = [ARGUMENTS[name]] if name in ARGUMENTS else [(1e-2,), ()]
            for arguments in attempts:
                try:
                    result = function(*arguments)
                    jax.eval_shape(result.init, PARAMETERS)
                except Exception:
                    continue
                made[f"{module.__name__}.{name}"] = result
                break
    return made


def _state(optimiser: Any) -> Any:
    return lambda: optimiser.init(PARAMETERS)


OPTIMISERS = optimisers()
OBJECTS: Objects = {name: _state(made) for name, made in OPTIMISERS.items()} | {
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adamw)(
        learning_rate=optax.linear_schedule(1.0, 0.0, 10)
    ).init(PARAMETERS),
    "MultiSteps": lambda: optax.MultiSteps(_ADAM, 4).init(PARAMETERS),
    "lookahead": lambda: optax.lookahead(_SGD, 5, 0.5).init(
        optax.LookaheadParams.init_synced(PARAMETERS)
    ),
    "bfloat16": lambda: optax.adam(0.1, mu_dtype=jnp.bfloat16).init(PARAMETERS),
    "of a model": lambda: _ADAM.init(
        eqx.filter(eqx.nn.Linear(3, 2, key=KEY), eqx.is_inexact_array)
    ),
    "abstract": lambda: jax.eval_shape(_ADAM.init, PARAMETERS),
    "in NumPy": lambda: jax.device_get(_ADAM.init(PARAMETERS)),
    # What it does is functions within functions; what it remembers is its state.
    **{
        f"optimiser {name}": (lambda made=made: made)
        for name, made in OPTIMISERS.items()
    },
    "optimiser MultiSteps": lambda: optax.MultiSteps(_ADAM, 4),
    "optimiser with a schedule": lambda: optax.inject_hyperparams(optax.adamw)(
        learning_rate=optax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)
    ),
    "schedules": lambda: optax.join_schedules(
        [optax.exponential_decay(1.0, 10, 0.5), optax.cosine_decay_schedule(1.0, 9)],
        [5],
    ),
}
# A default of theirs is a lambda, which no name and no place in a function leads to.
REFUSED = {"optimiser optax.contrib.adopt", "optimiser optax.contrib.scale_by_adopt"}
