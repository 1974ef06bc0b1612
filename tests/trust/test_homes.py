"""Files have public names, also of what private modules define."""

import subprocess
import sys
import textwrap

import jax
import jax.export
import jax.numpy as jnp
import jax.scipy.interpolate
import jax.scipy.optimize
import jax.scipy.spatial.transform
import jax.scipy.stats
import numpy as np
import pytest
from equality import survives

import zodiax_io
from zodiax_io._trust import homes
from zodiax_io._trust.names import name_of, resolve

rotation = jax.scipy.spatial.transform.Rotation
PUBLIC = {
    "jax.scipy.spatial.transform:Rotation": rotation.from_quat(jnp.ones((2, 4))),
    "jax.scipy.stats:gaussian_kde": jax.scipy.stats.gaussian_kde(jnp.arange(9.0)),
    "jax.scipy.interpolate:RegularGridInterpolator": (
        jax.scipy.interpolate.RegularGridInterpolator((jnp.arange(3.0),), jnp.arange(3))
    ),
    "jax.lax:Precision": jax.lax.Precision.HIGH,
    "jax.lax:GatherDimensionNumbers": jax.lax.GatherDimensionNumbers((0,), (0,), (0,)),
    "jax.lax:RaggedDotDimensionNumbers": jax.lax.RaggedDotDimensionNumbers(
        (((1,), (1,)), ((), ())), [0], [0]
    ),
    "jax.sharding:AxisType": jax.sharding.AxisType.Auto,
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_file_has_the_public_name(name):
    """However deep in a private module the class is defined."""
    assert zodiax_io.build_structure(PUBLIC[name])["type"] == name
    survives({"it": PUBLIC[name]})


def exports():
    """Classes that public modules of JAX and NumPy export from private ones."""
    for module in sorted(sys.modules):
        if module.partition(".")[0] in ("jax", "numpy") and homes.is_public(module):
            for key, value in homes._exports(module).items():
                if isinstance(value, type) and not homes.is_public(value.__module__):
                    yield f"{module}:{key}", value


def test_no_public_class_has_a_private_name():
    """Whatever a public module exports is named by a public module."""
    found = dict(exports())
    assert len(found) > 100
    private = {
        name: name_of(cls)
        for name, cls in found.items()
        if cls.__module__.partition(".")[0] in ("jax", "jaxlib", "numpy")
        and not homes.is_public((name_of(cls) or "_").partition(":")[0])
    }
    assert private == {}


def test_a_public_name_leads_to_the_object():
    """The very object, not another of that name."""
    assert all(resolve(name_of(cls)) is cls for _, cls in exports() if name_of(cls))


NAMES = """
    import sys
    {imports}
    import jax
    import jax.numpy as jnp
    import jax.scipy.spatial.transform, jax.scipy.stats, jax.scipy.interpolate
    from zodiax_io._trust.names import name_of
    objects = [
        jax.scipy.spatial.transform.Rotation,
        jax.scipy.stats.gaussian_kde,
        jax.scipy.interpolate.RegularGridInterpolator,
        jax.sharding.Mesh,
        jax.sharding.AxisType,
        jax.sharding.AbstractMesh,
        jax.custom_derivatives.SymbolicZero,
        jax.tree_util.DictKey,
        jax.lax.Precision,
    ]
    print(*map(name_of, objects))
"""
ALL = """
    import jax.experimental.hijax, jax.experimental.layout, jax.extend.core
    import jax.interpreters.ad, jax.interpreters.mlir, jax.extend, jax.ad_checkpoint
    import jax.export, jax.experimental.roofline
"""


def test_the_name_does_not_depend_on_what_is_imported():
    """Each process writes the same name, so equal trees give equal bytes."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(NAMES).format(imports=imports)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for imports in ("", textwrap.dedent(ALL))
    ]
    assert printed[0] == printed[1]
    assert "_src" not in printed[0]
    assert "jax.sharding:Mesh" in printed[0]


def test_the_search_of_a_package_is_done_once(monkeypatch):
    """An object without a public name costs one search, not one for each object."""
    searched = []
    search = homes._exports_of
    monkeypatch.setattr(homes, "_exported", {})
    monkeypatch.setattr(
        homes,
        "_exports_of",
        lambda package: searched.append(package) or search(package),
    )
    result = jnp.unique_counts(jnp.arange(3))
    for _ in range(50):
        assert name_of(type(result)).startswith("jax._src")
    assert searched == ["jax"]


# Files of earlier releases ------------------------------------------------------------

OLD = "jax._src.scipy.spatial.transform:Rotation"


def test_a_private_name_in_a_file_still_loads():
    """It leads to the same class as the public one."""
    turned = rotation.from_quat(jnp.array([0.0, 0.0, 0.0, 1.0]))
    structure = zodiax_io.build_structure(turned) | {"type": OLD}
    assert type(zodiax_io.load_structure(structure)) is rotation


def test_a_private_and_a_public_name_are_of_one_class(tmp_path, monkeypatch):
    """A file of before loads into a tree of now."""
    turned = rotation.from_quat(jnp.array([0.0, 0.0, 0.0, 1.0]))
    with monkeypatch.context() as before:
        before.setattr(homes, "names_in_package", lambda module, obj: [])
        before.setattr(homes, "modules_above", lambda module: iter(()))
        zodiax_io.serialise(tmp_path / "old", turned)
    assert zodiax_io.names(tmp_path / "old")[0].name == OLD
    loaded = zodiax_io.deserialise(tmp_path / "old", like=turned)
    assert np.array_equal(loaded.as_quat(), turned.as_quat())
    assert not zodiax_io.diff(tmp_path / "old", turned)


# Which names are public ---------------------------------------------------------------

PACKAGE = {
    "__init__.py": "",
    "_hidden/__init__.py": "",
    "_hidden/deep.py": "class A: pass\nclass B: pass\nclass C: pass\nclass D: pass\n",
    "experimental.py": "from ._hidden.deep import A, B\n",
    "first.py": "from ._hidden.deep import A, D\n__all__ = ['A']\n",
    "second.py": "from ._hidden.deep import A\nfrom ._hidden.deep import C as See\n",
    "sub/__init__.py": "",
    "sub/deep.py": "from .._hidden.deep import A, C\n",
}


@pytest.fixture
def exporting(tmp_path, monkeypatch):
    """A package with several exports of the same classes."""
    for name, text in PACKAGE.items():
        file = tmp_path / "exporting" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    import exporting._hidden.deep  # pyright: ignore
    import exporting.experimental  # pyright: ignore
    import exporting.first  # pyright: ignore
    import exporting.second  # pyright: ignore
    import exporting.sub.deep  # pyright: ignore # noqa: F401

    yield sys.modules["exporting._hidden.deep"]
    for module in [m for m in sys.modules if m.partition(".")[0] == "exporting"]:
        del sys.modules[module]


def test_of_several_public_names_the_shortest_and_first(exporting):
    """Short names before long ones, in alphabetical order; experimental ones last."""
    assert name_of(exporting.A) == "exporting.first:A"
    assert name_of(exporting.B) == "exporting.experimental:B"


def test_an_export_under_another_name_is_found(exporting):
    """The name in the public module counts."""
    assert name_of(exporting.C) == "exporting.second:See"


def test_what_a_module_does_not_list_is_no_export(exporting):
    """`__all__` says what is for users."""
    assert name_of(exporting.D) == "exporting._hidden.deep:D"
