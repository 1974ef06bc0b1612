"""Functions that say they are of another module are found where they are."""

import functools
import sys
import textwrap

import pytest

import zodiax_io
from zodiax_io._trust.written import places_of

SOURCE = """
    import functools
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    def plain(x):
        return 2 * x

    @functools.wraps(np.sin)
    def like_sin(x):
        return x

    @functools.wraps(jnp.where)
    def like_where(x):
        return x

    @jax.jit
    @functools.wraps(np.cos)
    def compiled(x):
        return x

    renamed = functools.update_wrapper(jax.vmap(plain), jnp.cos)

    @jax.custom_gradient
    def with_gradient(x):
        return x, lambda g: g

    @eqx.filter_custom_vjp
    def with_rule(x):
        return x

    @jax.custom_batching.custom_vmap
    def batched(x):
        return x

    liar = lambda x: x
    liar.__module__, liar.__qualname__, liar.__name__ = "numpy", "sin", "sin"

    @functools.lru_cache
    @functools.wraps(np.tan)
    def cached(x):
        return x

    def loader(path):
        raise AssertionError("called")
    loader.__module__, loader.__qualname__ = "mine_or_not", "plain"
"""
LIARS = """
    like_sin like_where compiled renamed with_gradient with_rule batched liar cached
""".split()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write and import a module, in a folder of the user or of installed packages."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = []

    def write(name, *edits, folder="own"):
        text = textwrap.dedent(SOURCE)
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.py").write_text(text)
        monkeypatch.setattr(sys, "path", [str(tmp_path / folder), *sys.path])
        sys.modules.pop(name, None)
        made.append(name)
        return __import__(name)

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", LIARS)
def test_it_is_found_in_its_own_module(module, name):
    """By the name that leads to it, and never as the function that it says it is."""
    lies = module("lies")
    structure = zodiax_io.build_structure(getattr(lies, name))
    assert structure["type"] == f"lies:{name}"
    assert zodiax_io.load_structure(structure) is getattr(lies, name)


@pytest.mark.parametrize("name", LIARS)
def test_a_fresh_module_has_it_again(module, name):
    """In the next process it is the function of that name."""
    structure = zodiax_io.build_structure(getattr(module("lies"), name))
    again = module("lies")
    assert zodiax_io.load_structure(structure) is getattr(again, name)


def test_another_function_in_the_variable_is_an_error(module):
    """What a `def` defines may be edited; what is in a variable may not."""
    structures = [
        zodiax_io.build_structure(getattr(module("lies"), name))
        for name in ("like_sin", "liar")
    ]
    edits = (
        ("liar = lambda x: x", "liar = lambda x: 3 * x"),
        ("return x\n", "return 9\n"),
    )
    again = module("lies", *edits)
    assert zodiax_io.load_structure(structures[0]) is again.like_sin
    with pytest.raises(zodiax_io.ClassChangedError, match="has changed since"):
        zodiax_io.load_structure(structures[1])


@pytest.mark.parametrize("name", LIARS)
def test_an_installed_package_needs_trust(module, name):
    """Whatever its function says of itself: the module with the code counts."""
    module("lies", folder="site-packages")
    node = {"node_type": "leaf", "kind": "function", "type": f"lies:{name}"}
    with pytest.raises(zodiax_io.UntrustedError) as raised:
        zodiax_io.load_structure(node)
    assert [verdict.trust for verdict in raised.value.refusals] == ["lies"]
    zodiax_io.load_structure(node, trusted=["lies"])


def test_no_function_becomes_the_users_own_by_saying_so(module):
    """A function of an installed package says that it is of a module of the user."""
    module("mine_or_not")
    module("lies", folder="site-packages")
    node = {"node_type": "leaf", "kind": "function", "type": "lies:loader"}
    with pytest.raises(zodiax_io.UntrustedError) as raised:
        zodiax_io.load_structure(node)
    assert [verdict.trust for verdict in raised.value.refusals] == ["lies"]


@pytest.mark.parametrize("name", ["np", "jnp", "functools", "np_load", "system"])
def test_what_a_module_only_imports_is_not_its_own(module, name):
    """As before: a name for a function of another package is refused."""
    imports = (
        "import numpy as np\nfrom numpy import load as np_load\nfrom os import system"
    )
    module("lies", ("import numpy as np", imports))
    node = {"node_type": "leaf", "kind": "function", "type": f"lies:{name}"}
    with pytest.raises(zodiax_io.UntrustedError):
        zodiax_io.load_structure(node)


def test_the_search_for_code_ends():
    """Wrappers may contain each other, and be many."""

    def function():
        return function

    assert [name for _, name in places_of(function)] == [function.__qualname__]
    chain = function
    for _ in range(1000):
        outer = functools.wraps(chain)(lambda: 1)

        chain = outer
    assert len(places_of(chain)) <= 64


def test_a_class_among_the_variables_of_a_function_is_not_searched():
    """It is no function, whatever its own attributes are called."""

    class Wrapping:
        __wrapped__ = len

    def function():
        return Wrapping, float

    assert all("Wrapping" not in place for _, place in places_of(function))
