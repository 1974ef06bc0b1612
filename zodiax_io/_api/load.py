"""Load the tree of a file, step by step."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, NoReturn

from numpy.typing import NDArray

from .._arrays.backend import ArrayReader, Faults, no_tick
from .._errors import (
    ArgumentError,
    CorruptFileError,
    DamagedWarning,
    ReadError,
    resources_for,
    shown,
    warn,
)
from .._evolution import packages
from .._evolution.fields import Evolution
from .._files.checkpoint import PathOrFile, opened
from .._files.document import Document
from .._files.extras import extra_of, path_of
from .._interpreter import without_collection
from .._jax import free_unused_arrays, without_tracing
from .._kinds.arrays import Damaged
from .._progress import Progress, progress_counter
from .._structure.nodes import Node, Structure
from .._structure.paths import Path, path_text
from .._structure.selection import select
from .._structure.uses import uses_of
from .._tree import like as tree_like
from .._tree.decode import decode
from .._tree.placement import HOST, Target, is_target
from .._tree.restore import check_settings, checked, key_target, restore
from .._tree.shardings import targets
from .._trust.judge import Judge
from .arguments import check_not_ending
from .differences import differences_reported
from .options import LoadOptions


@resources_for("load the file")
@without_tracing()
@without_collection
def deserialise(
    path_or_file: PathOrFile,
    *,
    only: str | Sequence[str] | None = None,
    like: Any = None,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
    unknown: Literal["error", "opaque"] = "error",
    versions: Literal["warn", "error", "ignore"] = "warn",
    strict: bool = False,
    check_init: bool = False,
    fill: Mapping[str, Any] | None = None,
    verify: bool = True,
    damaged: Literal["error", "skip"] = "error",
    lazy: bool = False,
    as_numpy: bool = False,
    device: Any = None,
    sharding: Any = None,
    progress: Progress | None = False,
) -> Any:
    """Load an object that `serialise` saved, without a template.

    No class or function in the file is called, except the unflatten functions of
    registered pytree classes that you use, and no package is imported that you do not
    trust.

    Parameters
    ----------
    path_or_file : str, path or binary file
        The path or file that was passed to `serialise`; or the companion alone; or a
        file of `zodiax.experimental.serialise` (zodiax up to 0.4), which is read
        without unpickling. A path without a suffix is tried unchanged, then with
        ``.zdx``. A file object is read from its position, and left after the
        checkpoint.
    only : str or list of str, optional
        The part to load. A path (``"optics.layers[0]"``) gives the object at that path;
        only the names in it need trust. A glob (``"layers[*].weight"``; ``**`` matches
        any number of steps) or a list gives the whole tree, with a
        `jax.ShapeDtypeStruct` for each other array. No other array is read.
    like : pytree, optional
        A tree to load into: its arrays and numbers are replaced by those at the same
        paths of the file, if they have the same shape and dtype. Everything else stays
        as it is in ``like``, and a warning lists where the file differs. No class or
        function in the file is needed, imported or called.
    trusted : sequence of str, module, class or function, optional
        Packages, classes or functions that the file may use. A package (``"mylab"``)
        may also be imported. Your own code, every imported `equinox.Module`, and the
        functions of JAX need no trust.
    renames : dict of str to str, class or function, optional
        New names by the names in the file, as for `renamed`, for this call only.
    unknown : {"error", "opaque"}, default "error"
        For classes and functions that are missing or not trusted: refuse to load, or
        put an `Opaque` in place of each object and a `Placeholder` in place of each
        function. They keep all data of the file.
    versions : {"warn", "error", "ignore"}, default "warn"
        How to report packages that differ from those that wrote the file.
    strict : bool, default False
        Whether it is an error that the fields of a class have changed. By default a new
        field gets its default, a removed field is not loaded, and a warning lists them.
    check_init : bool, default False
        Whether the ``__check_init__`` of each Module is called once it is built.
    fill : dict of str to function, optional
        Functions to put in place of placeholders, by path:
        ``{"model.activation": f}``.
    verify : bool, default True
        Whether to check the arrays against their checksums. The structure is checked
        in any case.
    damaged : {"error", "skip"}, default "error"
        For arrays whose bytes have changed since they were saved: refuse to load, or
        load everything else, with a `Damaged` in place of each damaged array. With
        "skip" everything is checked, and the structure file is used if the end of its
        companion is damaged.
    lazy : bool, default False
        Whether to map the file into memory instead of reading it. The load returns at
        once whatever the size, and the system reads each page of 4096 bytes when it is
        first touched; on a CPU, JAX shares the mapping. No checksum is verified (call
        `zodiax_io.verify`), and NumPy arrays are read-only. The arrays stay intact if
        the file is removed or saved again; another program that *writes into* the file
        changes them, and one that truncates it kills the process.
    as_numpy : bool, default False
        Whether to load JAX arrays as NumPy arrays. Random keys remain JAX arrays.
    device : jax.Device or str, optional
        The device of JAX arrays: one of ``jax.devices()``, or a platform such as
        ``"cpu"``.
    sharding : jax.sharding.Sharding or pytree of them, optional
        The sharding of JAX arrays: one for all, or a prefix tree of the model. Arrays
        without a sharding go to the default device. The sharding with which they were
        saved does not matter.
    progress : bool or callable, default False
        True shows a bar, by tqdm, when loading takes longer than half a second. A
        function is called as ``progress(done, total)``, in bytes.

    Returns
    -------
    pytree
        The saved object; the part selected by ``only``; or ``like`` with the values of
        the file.

    Raises
    ------
    UntrustedError
        If the file refers to names that are missing or not trusted; the message says
        what to pass or to import.
    CorruptFileError, UnknownFormatError
        If the file is damaged, or not a zodiax_io file.
    MissingFileError, NotAFileError, ReadError
        If there is no such file, or it cannot be read.
    ClassChangedError
        If a class has a new field without a default, an upgrade or a check fails, or
        ``strict=True`` and any field has changed.
    SettingsError
        If the file contains 64-bit JAX arrays and JAX is set to 32 bits.
    VersionMismatchError
        If packages differ and ``versions="error"``.
    ArgumentError
        If an argument has an invalid value: a path that the file does not have, a
        sharding that does not fit an array, a ``like`` without a matching array.
    MissingPackageError
        If ``progress=True``, and tqdm is not installed.

    Warns
    -----
    VersionMismatchWarning
        If packages differ and ``versions="warn"``.
    MixedPairWarning
        If the two files come from different saves; the companion is loaded.
    ClassChangedWarning
        If the fields of classes have changed; it lists them.
    DamagedWarning
        If ``damaged="skip"`` left out damaged arrays; it lists them.
    OldFileWarning
        If a file of zodiax up to 0.4 lacks data; it lists which.
    PartialLoadWarning
        If ``like`` and the file differ; it lists where.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> zodiax_io.serialise("state.zdx", {"step": 3, "rate": jnp.float32(0.1)})
    >>> zodiax_io.deserialise("state.zdx")["step"]
    3
    >>> zodiax_io.deserialise("state.zdx", only="step")
    3
    """
    check_not_ending(ReadError, "load")
    options = LoadOptions(
        only=only,
        like=like,
        trusted=trusted,
        renames=renames,
        unknown=unknown,
        versions=versions,
        strict=strict,
        check_init=check_init,
        fill=fill,
        verify=verify,
        damaged=damaged,
        lazy=lazy,
        as_numpy=as_numpy,
        device=device,
        sharding=sharding,
        progress=progress,
    )
    options.check(path_or_file)
    with _opened(path_or_file, options) as file:
        versions_of = file.document.versions, file.document.settings
        as_numpy = options.target is HOST
        with differences_reported(*versions_of, versions, file.name, as_numpy=as_numpy):
            if like is not None:
                return _load_into(like, file, options)
            tree, marks = _load(file, options)
    _warn_of_damage(marks, file.name)
    return tree


def _warn_of_damage(marks: Iterable[Damaged], name: str) -> None:
    lines = [f"  `{shown(mark.path)}`: {mark.reason}" for mark in marks]
    if lines:
        text = "\n".join(lines)
        warn(DamagedWarning(f"{name} is damaged. Not loaded:\n{text}"))


@resources_for("read the metadata")
@without_tracing()
def read_metadata(
    path_or_file: PathOrFile,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
    unknown: Literal["error", "opaque"] = "error",
) -> Any:
    """Load the metadata of a checkpoint, without the arrays of the tree.

    Parameters
    ----------
    path_or_file : str, path or binary file
        The path or file that was passed to `serialise`; or the companion alone.
    trusted, renames, unknown : optional
        As for `deserialise`.

    Returns
    -------
    pytree or None
        The metadata that was passed to `serialise`; None by default.

    Raises
    ------
    ZodiaxIOError
        As `deserialise` does.

    Examples
    --------
    >>> import zodiax_io
    >>> zodiax_io.serialise("fit.zdx", [1.0, 2.0], metadata={"epoch": 3})
    >>> zodiax_io.read_metadata("fit.zdx")
    {'epoch': 3}
    """
    check_not_ending(ReadError, "load")
    options = LoadOptions(trusted=trusted, renames=renames, unknown=unknown)
    with _opened(path_or_file, options) as file:
        if file.document.metadata is None:
            return None
        return _load(file, options, "metadata")[0]


@resources_for("read the extra")
@without_tracing()
def read_extra(
    path_or_file: PathOrFile,
    extra: str,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
    unknown: Literal["error", "opaque"] = "error",
) -> Any:
    """Load one of the extras of `save_with_extras`, without any other array.

    Parameters
    ----------
    path_or_file, trusted, renames, unknown
        As for `read_metadata`.
    extra : str
        The name of the extra.

    Raises
    ------
    ArgumentError
        If the file has no extra of that name.
    ZodiaxIOError
        As `deserialise` does.
    """
    check_not_ending(ReadError, "load")
    options = LoadOptions(trusted=trusted, renames=renames, unknown=unknown)
    with _opened(path_or_file, options) as file:
        extras = file.document.extras
        if extra not in extras:
            names = ", ".join(f"`{name}`" for name in extras) or "none"
            raise ArgumentError(
                f"{file.name} has no extra `{shown(extra)}`. It has: "
                f"{shown(names, 400)}."
            )
        return _load(file, options, extra)[0]


class _File(NamedTuple):
    """An opened checkpoint, and the judge of the names in it."""

    document: Document
    reader: ArrayReader
    judge: Judge
    name: str


@contextmanager
def _opened(path_or_file: PathOrFile, options: LoadOptions) -> Generator[_File]:
    judge = options.judge()  # it checks arguments before the file is opened
    with opened(path_or_file, salvage=options.skip) as (document, reader, name):
        judge.script = packages.script_of(document.settings)
        yield _File(document, reader, judge, name)


def _load(
    file: _File, options: LoadOptions, tree: str = "model"
) -> tuple[Any, list[Damaged]]:
    """Load one tree of a file: "model", "metadata", or the name of an extra.

    Returns the tree, and the `Damaged` objects in it.
    """
    document, reader, judge, name = file
    document = reader.complete_document(document, judge)
    root, plain = _tree_of(document, tree, name)
    structure = Structure.parse(plain, root, columns=options.only is None)
    structure.check_kinds(unregistered=judge.lenient)
    uses, wanted = uses_of(structure), structure.arrays
    node, path = structure.root, structure.root.path
    if options.only is not None:
        selection = select(structure, options.only, name)
        wanted = [array for array in wanted if id(array) in selection.nodes]
        if selection.single is not None:
            path, node = selection.single
            uses = [use for use in uses if use.node in selection.nodes]
            part = structure.part(node, path)
            node, wanted = part.root, part.arrays
    judge.audit(uses, name)
    where = _targets(options, node, path, judge, name)
    # Importing a package may turn 64 bits on, so the settings are checked after it.
    if where is not HOST:
        check_settings([one for one in wanted if one.kind.array == "jax"], name)
    raw, faults = _read(document, reader, wanted, options, name)
    arrays = restore(wanted, raw, name, faults, where)
    evolution = Evolution(document.versions, options.strict, options.check_init)
    evolution.old = reader.is_old
    return decode(
        node,
        judge,
        arrays=arrays,
        fill=options.fill,
        evolution=evolution,
        file=name,
    )


def _tree_of(document: Document, tree: str, file: str) -> tuple[str, Any]:
    """The root of the paths of one of the trees of a file, and its plain structure."""
    if tree == "model":
        return tree, document.tree
    if tree == "metadata":
        return tree, document.metadata
    return path_of(tree), extra_of(document, tree, file)


def _load_into(like: Any, file: _File, options: LoadOptions) -> Any:
    """Load the values of a file into the tree `like`."""
    document, reader, judge, name = file
    structure = Structure.parse(document.tree, columns=False)
    structure.check_kinds()
    chosen = None
    if options.only is not None:
        chosen = select(structure, options.only, name).places
    matching = tree_like.match(like, structure, chosen, judge, name)
    root = structure.root
    where = _targets(options, root, root.path, judge, name)
    goals = [matching.target_of(match, where) for match in matching.matches]
    pairs = list(zip(matching.matches, goals, strict=True))
    check_settings([match.node for match, goal in pairs if goal is not HOST], name)
    for match, goal in pairs:
        if match.node.kind.array == "key" and goal is not None:
            key_target(goal, match.node, name)
    wanted = matching.arrays()
    raw, faults = _read(document, reader, wanted, options, name)
    arrays = checked(wanted, raw, name, faults)
    tree = tree_like.fill(matching, arrays, goals, name)
    matching.compare(arrays)
    _warn_of_damage([one for one in arrays.values() if type(one) is Damaged], name)
    matching.report(name)
    return tree


def _targets(
    options: LoadOptions, root: Node, path: Path, judge: Judge, name: str
) -> Target | dict[int, Target]:
    """The device or sharding of all arrays, or of each record."""
    target = options.target
    if target is None or target is HOST or is_target(target):
        return target
    return targets(target, root, path, judge, name)


def _read(
    document: Document,
    reader: ArrayReader,
    wanted: Sequence[Node],
    options: LoadOptions,
    name: str,
) -> tuple[dict[int, NDArray[Any]], Faults]:
    """The arrays of some nodes, by record, and the faults in damaged ones."""
    entries = reader.entries(document.records)
    numbers = [node.record for node in wanted]
    known = [n for n in numbers if n is not None and 0 <= n < len(entries)]
    if options.lazy:
        return reader.map(entries, known), {}
    free_unused_arrays()
    total = sum(entries[number].length for number in set(known))
    verify = options.verify or options.skip
    with progress_counter(options.progress, total, f"Loading {name}") as tick:
        raw, faults = reader.read(entries, known, verify=verify, tick=tick or no_tick)
    if faults and not options.skip:
        _raise_first(faults, wanted, name)
    return raw, faults


def _raise_first(faults: Faults, wanted: Sequence[Node], name: str) -> NoReturn:
    number, fault = min(faults.items())
    if isinstance(fault, ReadError):
        raise fault
    paths = [node.path for node in wanted if node.record == number]
    where = "".join(f"`{shown(path_text(path))}`: " for path in paths[:1])
    more = len(faults) - 1
    also = f", and {more} more {'is' if more == 1 else 'are'} damaged" if more else ""
    raise CorruptFileError(
        f"{name} is damaged: {where}{fault}{also}. `zodiax_io.verify` lists all "
        'damage, and `deserialise(path, damaged="skip")` loads the intact arrays.'
    )
