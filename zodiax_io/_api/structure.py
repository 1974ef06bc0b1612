"""Turn a tree into plain data without its arrays, and back."""

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

    A file contains this structure, with the package versions, and the arrays.

    Parameters
    ----------
    tree : pytree
        A tree of objects listed in the table of kinds.
    functions : {"error", "warn"}, default "error"
        For functions that cannot be found again by name (a lambda, a local function):
        refuse the tree, or keep the source text in a placeholder.

    Returns
    -------
    dict
        Dictionaries, lists, text, numbers and bytes, as `msgpack` packs them. For an
        array it has the shape, the dtype and the number of the record in the companion.
        It is the root node of the tree, with two more keys: ``versions``, the package
        versions that a file of the tree would record, and ``settings``, those of JAX.
        The same tree gives the same structure.

    Raises
    ------
    SerialisationError
        If an object in the tree cannot be saved; the message gives its path.

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
    """Rebuild a pytree from its structure, with shapes in place of the arrays.

    Parameters
    ----------
    structure : dict
        A structure made by `build_structure`.
    trusted : sequence of str, module, class or function, optional
        Packages, classes or functions that the structure may use, as for `deserialise`.
    renames : dict of str to str, class or function, optional
        New names by the names in the structure.
    unknown : {"error", "opaque"}, default "error"
        For classes and functions that are missing or not trusted: refuse to load, or
        put an `Opaque` or a `Placeholder` in place of each.
    versions : {"warn", "error", "ignore"}, default "warn"
        How to report packages that differ from those that made the structure. A
        structure without ``versions`` is loaded without a comparison.
    fill : dict of str to function, optional
        Functions to put in place of placeholders, by path.

    Returns
    -------
    pytree
        The tree with a `jax.ShapeDtypeStruct` for each JAX array, and for each NumPy
        array an array of zeros that takes no memory. Pass it as ``like`` to
        `equinox.tree_deserialise_leaves` to read the companion.

    Raises
    ------
    UntrustedError
        If the structure refers to names that are missing or not trusted.
    CorruptFileError
        If `build_structure` cannot have made the structure.
    ArgumentError
        If an argument has an invalid value.
    VersionMismatchError
        If packages differ and ``versions="error"``.

    Warns
    -----
    VersionMismatchWarning
        If packages or settings differ and ``versions="warn"``.

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
    """The versions and settings in a structure; empty for one of an early release.

    Raises
    ------
    CorruptFileError
        If they have another form than those of `build_structure`.
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
