"""Guides, samplers and handlers of numpyro, without what they compute again."""

import functools
import io

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from documents import Checkpoint
from equality import differences, survives

import zodiax_io

HERE = __name__


class Wrapper:
    """An object that takes the name of a function, as `functools.wraps` does it."""

    def __init__(self, function):
        self.function = function
        functools.update_wrapper(self, function, updated=[])


def halve(x):
    """A function to be wrapped."""
    return x / 2


def test_an_object_that_wraps_a_function_is_kept():
    """Handlers of numpyro borrow the name and the text of what they handle."""
    loaded = survives(Wrapper(halve), trusted=[HERE])
    assert (loaded.__name__, loaded.__wrapped__) == ("halve", halve)
    assert loaded.__doc__ == halve.__doc__


@pytest.mark.parametrize(
    ("name", "value"),
    [("__wrapped__", print), ("__name__", "\x1b[31m"), ("__call__", 1), ("__doc__", 2)],
)
def test_no_other_special_attribute_is_kept(name, value):
    """Only text that can be printed, and the function that is an attribute as well."""
    wrapper = Wrapper(halve)
    wrapper.__dict__[name] = value
    with pytest.raises(zodiax_io.SerialisationError, match="special to Python"):
        zodiax_io.serialise(io.BytesIO(), wrapper)
    checkpoint = Checkpoint.of(Wrapper(halve))
    node = checkpoint.tree
    node["node"][name] = {"node_type": "leaf", "kind": "int", "value": 1}
    node["beside"] = list(node["node"])
    with pytest.raises(zodiax_io.ZodiaxIOError):
        checkpoint.load(trusted=[HERE])


# numpyro ------------------------------------------------------------------------------

DATA = jnp.array([0.5, 1.0, 1.5])
TRUSTED = [HERE, "numpyro"]


def model(data):
    """A model with a plate."""
    import numpyro
    import numpyro.distributions as dist

    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("data", 3):
        numpyro.sample("x", dist.Normal(mean, 1.0), obs=data)


def saved(tree):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file, trusted=TRUSTED)


def fitted(guide):
    import numpyro
    from numpyro.infer import SVI, Trace_ELBO

    svi = SVI(model, guide, numpyro.optim.Adam(1e-2), Trace_ELBO())
    return svi.run(jr.key(0), 3, DATA, progress_bar=False)


@pytest.mark.parametrize("name", ["AutoNormal", "AutoDelta", "AutoDiagonalNormal"])
def test_a_guide_is_kept(name):
    """It samples as before, and can be fitted again."""
    autoguide = pytest.importorskip("numpyro.infer.autoguide")
    guide = getattr(autoguide, name)(model)
    params = fitted(guide).params
    loaded, again = saved((guide, params))
    assert loaded.model is model
    draws = [
        g.sample_posterior(jr.key(1), p) for g, p in ((guide, params), (loaded, again))
    ]
    assert differences(*draws) == []
    assert (fitted(loaded).losses == fitted(guide).losses).all()


def test_a_guide_that_was_not_used_yet_is_kept():
    """Its settings come back."""
    autoguide = pytest.importorskip("numpyro.infer.autoguide")
    guide = saved(autoguide.AutoNormal(model, init_scale=0.5))
    assert guide._init_scale == 0.5
    fitted(guide)


@pytest.mark.parametrize("run", [False, True])
def test_a_sampler_is_kept(run):
    """Its samples and its last state come back, and it goes on from there."""
    pytest.importorskip("numpyro")
    from numpyro.infer import MCMC, NUTS

    mcmc = MCMC(NUTS(model), num_warmup=5, num_samples=5, progress_bar=False)
    if run:
        mcmc.run(jr.key(0), DATA)
    loaded = saved(mcmc)
    if run:
        assert differences(mcmc.get_samples(), loaded.get_samples()) == []
        for each in (mcmc, loaded):
            each.post_warmup_state = each.last_state
    for each in (mcmc, loaded):
        each.run(jr.key(1), DATA)
    assert differences(mcmc.get_samples(), loaded.get_samples()) == []


def test_the_inverse_of_a_transform_is_made_again():
    """A transform refers to its inverse weakly, once somebody has asked for it."""
    dist = pytest.importorskip("numpyro.distributions")
    transform = dist.transforms.AffineTransform(1.0, 2.0)
    inverse = transform.inv
    loaded = saved({"transform": transform})["transform"]
    assert loaded.inv(jnp.array(5.0)) == inverse(jnp.array(5.0))
    assert jax.tree.leaves(loaded) == jax.tree.leaves(transform)
