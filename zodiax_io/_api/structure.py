"""A tree as plain data, and back, without its arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .._errors import CorruptFileError, resources_for
from .._evolution import packages
from .._evolution.fields import Evolution
from .._files.document import check_versions
from .._jax import without_tracing
from .._structure.nodes import RECORDED, Structure
from .._structure.uses import uses_of
from .._tree.decode import decode
from .._tree.snapshot import snapshot
from .._trust.judge import Judge
from .differences import check_versions_argument, differences_reported


@resources_for("describe the tree")
@without_tracing()
def build_structure(tree: Any, *, functions: str = "error") -> dict[str, Any]:
    """Turn a pytree, static fields included, into a structure of plain data.

    It is what a file keeps of the tree beside the arrays, package versions included.

    Parameters
    ----------
    tree : pytree
        Any tree of the objects listed in the table of kinds.
    functions : {"error", "warn"}, default "error"
        What to do about a function without a name (a lambda, a local function):
        refuse it, or keep its source text in a placeholder.

    Returns
    -------
    dict
        Dictionaries, lists, text, numbers and bytes only: what `msgpack` packs. The
        arrays are not in it, only their shapes and dtypes and the number of the
        record that holds them in the companion. It is the root node of the tree, with
        two more keys: ``versions``, the package versions that a file of the tree would
        record, and ``settings``, those of JAX. The same tree gives the same structure.

    Raises
    ------
    SerialisationError
        If the tree holds something that cannot be kept; the message names its path.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> structure = zodiax_io.build_structure({"weight": jnp.zeros((2, 3))})
    >>> structure["node"]["weight"]["shape"]
    [2, 3]
    >>> "jax" in structure["versions"]
    True
    """
    taken = snapshot(tree, functions=functions, copy=False)
    return {
        **taken.tree,
        "versions": dict(taken.versions),
        "settings": dict(taken.settings),
    }


@resources_for("build the tree")
@without_tracing()
def load_structure(
    structure: Any,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
    unknown: Literal["error", "opaque"] = "error",
    versions: Literal["warn", "error", "ignore"] = "warn",
    fill: Mapping[str, Any] | None = None,
) -> Any:
    """Rebuild a pytree from its structure, with shapes where the arrays belong.

    Parameters
    ----------
    structure : dict
        What `build_structure` gave.
    trusted : sequence of str, module, class or function, optional
        Packages, or the very objects, that the structure may name beside those it may
        name anyway.
    renames : dict of str to str, class or function, optional
        What is called otherwise now: new names by those of the structure.
    unknown : {"error", "opaque"}, default "error"
        What to do about classes and functions that are not there to be used: refuse to
        load, or put an `Opaque` or a `Placeholder` in the place of each.
    versions : {"warn", "error", "ignore"}, default "warn"
        What to do when the packages here are not those that made the structure. One
        without ``versions`` loads without a comparison.
    fill : dict of str to function, optional
        Functions to put where placeholders are, by path.

    Returns
    -------
    pytree
        The tree with a `jax.ShapeDtypeStruct` for each JAX array, and for each NumPy
        array one of zeros that takes no memory: the ``like`` with which
        `equinox.tree_deserialise_leaves` reads the companion file.

    Raises
    ------
    UntrustedError
        If the structure names what it may not use.
    CorruptFileError
        If it is not a structure that `build_structure` can give.
    ArgumentError
        If an argument is not one of the values it may have.
    VersionMismatchError
        If ``versions="error"``, and the packages here are others.

    Warns
    -----
    VersionMismatchWarning
        If ``versions="warn"``, and the packages or settings here are others.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> structure = zodiax_io.build_structure({"weight": jnp.zeros((2, 3))})
    >>> zodiax_io.load_structure(structure)
    {'weight': ShapeDtypeStruct(shape=(2, 3), dtype=float32)}
    """
    check_versions_argument(versions)
    judge = Judge(trusted, renames, unknown)
    recorded, settings = _recorded(structure)
    judge.script = packages.script_of(settings)
    with differences_reported(recorded, settings, versions, _NAME):
        parsed = Structure.parse(structure)
        parsed.check_kinds(unregistered=judge.lenient)
        judge.audit(uses_of(parsed), _NAME)
        return decode(
            parsed.root,
            judge,
            arrays=None,
            fill=fill,
            evolution=Evolution(recorded),
        )[0]


_NAME = "The structure"


def _recorded(structure: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """The versions and settings of a structure; older ones have neither.

    Raises
    ------
    CorruptFileError
        If they are not of the form that `build_structure` gives them.
    """
    found: list[Any] = [{}, {}]
    if isinstance(structure, dict):
        root: dict[Any, Any] = structure
        found = [root.get(key, {}) for key in RECORDED]
    for key, value in zip(RECORDED, found, strict=True):
        if type(value) is not dict:
            raise CorruptFileError(f"{_NAME} is damaged: `{key}` is not a dict.")
    versions, settings = found
    try:
        check_versions(versions)
    except ValueError as error:
        raise CorruptFileError(f"{_NAME} is damaged: {error}.") from error
    return versions, settings
