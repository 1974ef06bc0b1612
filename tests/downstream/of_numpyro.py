"""Distributions, transforms and states of samplers and optimisers of numpyro."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.autoguide import AutoNormal

from . import KEY, Objects

DATA = jnp.array([0.5, 1.0, 1.5])


def model(data: jax.Array) -> None:
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("data", 3):
        numpyro.sample("x", dist.Normal(mean, 1.0), obs=data)


def svi() -> SVI:
    return SVI(model, AutoNormal(model), numpyro.optim.Adam(1e-2), Trace_ELBO())


def sampler() -> MCMC:
    mcmc = MCMC(NUTS(model), num_warmup=5, num_samples=5, progress_bar=False)
    mcmc.run(jr.PRNGKey(0), DATA)
    return mcmc


OBJECTS: Objects = {
    "distributions": lambda: [
        dist.Normal(jnp.zeros(2), 1.0),
        dist.LKJCholesky(3, 0.5),
        dist.Dirichlet(jnp.ones(3)).expand([2]).to_event(1),
        dist.TruncatedNormal(0.0, 1.0, low=-1.0),
    ],
    "mixture": lambda: dist.MixtureSameFamily(
        dist.Categorical(jnp.array([0.2, 0.8])), dist.Normal(jnp.arange(2.0), 1.0)
    ),
    "transformed": lambda: dist.TransformedDistribution(
        dist.Normal(0.0, 1.0),
        [dist.transforms.ExpTransform(), dist.transforms.AffineTransform(0.0, 2.0)],
    ),
    "constraints": lambda: [dist.constraints.positive, dist.constraints.unit_interval],
    "state of SVI": lambda: svi().init(KEY, DATA),
    "result of SVI": lambda: svi().run(KEY, 3, DATA, progress_bar=False),
    "samples": lambda: sampler().get_samples(),
    "state of NUTS": lambda: sampler().last_state,
    "sampler": sampler,
}
# They hold functions made within functions; their state and samples can be kept.
REFUSED = {"sampler"}
