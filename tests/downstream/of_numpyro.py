"""Distributions, transforms and states of samplers and optimisers of numpyro."""

import functools

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
    "guide": lambda: AutoNormal(model),
}

# For `registered`: what parameters want, and classes that want something else.
NORMAL = dist.Normal(jnp.zeros(2), 1.0)
CATEGORICAL = dist.Categorical(jnp.array([0.25, 0.75]))
EXP, SHIFT = dist.transforms.ExpTransform(), dist.transforms.AffineTransform(1.0, 2.0)
BY_NAME = {
    "base_dist": NORMAL,
    "base_distribution": NORMAL,
    "censored": jnp.zeros(2),
    "component_distribution": NORMAL,
    "component_distributions": [dist.Normal(0.0, 1.0), dist.Normal(1.0, 2.0)],
    "marginal_dist": NORMAL,
    "mixing_distribution": CATEGORICAL,
    "reinterpreted_batch_ndims": 1,
    "support": dist.constraints.positive,
    "transforms": [EXP, SHIFT],
}
_GAMMA = dist.Gamma(jnp.array([1.0, 2.0]), 1.0)
_OF = "numpyro.distributions"
RECIPES = {
    f"{_OF}.constraints._Cat": lambda: dist.constraints.cat(
        [dist.constraints.positive, dist.constraints.real]
    ),
    f"{_OF}.constraints._IndependentConstraint": lambda: dist.constraints.independent(
        dist.constraints.positive, 1
    ),
    f"{_OF}.continuous.EulerMaruyama": lambda: dist.EulerMaruyama(
        jnp.arange(3.0), _drift, dist.Normal(0.0, 1.0)
    ),
    f"{_OF}.continuous.GaussianStateSpace": lambda: dist.GaussianStateSpace(
        3, jnp.eye(2), covariance_matrix=jnp.eye(2)
    ),
    f"{_OF}.continuous.LowRankMultivariateNormal": (
        lambda: dist.LowRankMultivariateNormal(
            jnp.zeros(2), jnp.ones((2, 1)), jnp.ones(2)
        )
    ),
    f"{_OF}.copula.GaussianCopula": lambda: dist.GaussianCopula(
        dist.Beta(2.0, 5.0), jnp.eye(2)
    ),
    f"{_OF}.directional.SineSkewed": lambda: dist.SineSkewed(
        dist.VonMises(jnp.zeros(2), 1.0).to_event(1), jnp.array([0.1, 0.2])
    ),
    f"{_OF}.distribution.ExpandedDistribution": lambda: NORMAL.expand([3, 2]),
    f"{_OF}.distribution.ImproperUniform": lambda: dist.ImproperUniform(
        dist.constraints.positive, (3,), (2,), validate_args=True
    ),
    f"{_OF}.distribution.MaskedDistribution": lambda: dist.MaskedDistribution(
        NORMAL, jnp.array([True, False])
    ),
    f"{_OF}.transforms.CatTransform": lambda: dist.transforms.CatTransform(
        [EXP, SHIFT]
    ),
    f"{_OF}.transforms.IndependentTransform": lambda: (
        dist.transforms.IndependentTransform(EXP, 1)
    ),
    f"{_OF}.truncated.LeftTruncatedGamma": lambda: dist.truncated.LeftTruncatedGamma(
        _GAMMA, 0.5
    ),
    f"{_OF}.truncated.RightTruncatedGamma": lambda: dist.truncated.RightTruncatedGamma(
        _GAMMA, 3.0
    ),
    f"{_OF}.truncated.TwoSidedTruncatedGamma": lambda: (
        dist.truncated.TwoSidedTruncatedGamma(_GAMMA, 0.5, 3.0)
    ),
}
for _kind in ("Logits", "Probs"):
    for _what in ("Hurdle", "ZeroInflated"):
        _cls = getattr(dist.discrete, f"{_what}{_kind}")
        RECIPES[f"{_OF}.discrete.{_what}{_kind}"] = functools.partial(
            _cls, dist.Poisson(jnp.ones(2)), jnp.array([0.25, 0.5])
        )


def _drift(x: jax.Array, t: jax.Array) -> tuple[jax.Array, float]:
    return -x, 0.1
