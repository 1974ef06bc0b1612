"""From a file to the tree: the flow of a load, step by step."""

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
    """Load what `serialise` saved: the whole object, without a template.

    Nothing that the file names is called, except the unflatten functions of registered
    pytree classes that you use, and nothing is imported that you do not trust.

    Parameters
    ----------
    path_or_file : str, path or binary file
        What was given to `serialise`; or the companion alone; or a file of
        `zodiax.experimental.serialise` (zodiax up to 0.4), which is read without
        unpickling. A path without a suffix is tried as it is, then with ``.zdx``. A
        file object is read from its position, which is behind the checkpoint then.
    only : str or list of str, optional
        Which part to load. A path (``"optics.layers[0]"``) gives what is there, as its
        own object; only what it names needs trust. A glob (``"layers[*].weight"``;
        ``**`` stands for any number of steps) or a list gives the whole tree, with a
        `jax.ShapeDtypeStruct` for each array elsewhere. No other array is read.
    like : pytree, optional
        A tree to load into: its arrays and numbers are replaced by those at the same
        paths of the file, if they are of the same shape and dtype; all else stays as it
        is in ``like``, and is reported where the file differs. Nothing that the file
        names is needed, imported or called.
    trusted : sequence of str, module, class or function, optional
        What the file may name beside what every file may: packages (``"mylab"``, which
        also lets their modules be imported), classes or functions. Your own code,
        every imported `equinox.Module`, and the functions of JAX need no trust.
    renames : dict of str to str, class or function, optional
        What is called otherwise now: new names by those of the file, as `renamed`
        takes them, for this call.
    unknown : {"error", "opaque"}, default "error"
        What to do about classes and functions that are not there, or that the file may
        not use: refuse to load, or put an `Opaque` in the place of each object and a
        `Placeholder` in that of each function. They keep all that the file has.
    versions : {"warn", "error", "ignore"}, default "warn"
        What to do when the packages here are not those that wrote the file.
    strict : bool, default False
        Whether it is an error that a class has other fields than it had. If not, a new
        field has its default, one that is gone is set aside, and a warning lists all.
    check_init : bool, default False
        Whether the ``__check_init__`` of each Module is called once it is built.
    fill : dict of str to function, optional
        Functions to put where placeholders are, by path:
        ``{"model.activation": f}``.
    verify : bool, default True
        Whether to check the arrays against their checksums. The structure is checked
        in any case.
    damaged : {"error", "skip"}, default "error"
        What to do about arrays whose bytes are not those that were saved: refuse to
        load, or load all that is intact, with a `Damaged` in the place of each other.
        With "skip" everything is checked, and a structure file stands in for a damaged
        end of its companion.
    lazy : bool, default False
        Whether to map the file into memory instead of reading it. The load returns at
        once whatever the size, and the system reads each page of 4096 bytes when it is
        first touched; on a CPU, JAX shares the mapping. Nothing is verified (`verify`
        of this package does that), and NumPy arrays are read-only. The arrays survive a
        save over the file, or its removal; another program that *writes into* the file
        changes them, and one that cuts it short kills the process.
    as_numpy : bool, default False
        Whether JAX arrays come back as NumPy arrays. Random keys stay JAX's.
    device : jax.Device or str, optional
        Where JAX arrays go: one of ``jax.devices()``, or a platform such as ``"cpu"``.
    sharding : jax.sharding.Sharding or pytree of them, optional
        Where JAX arrays go: one sharding for all, or a tree of them beside the model;
        one in place of a subtree holds for all of it, and arrays without one go to
        the default device. How the arrays lay when they were saved does not matter.
    progress : bool or callable, default False
        True shows a bar, by tqdm, when loading takes longer than half a second. A
        function is called ``progress(done, total)``, in bytes.

    Returns
    -------
    pytree
        The object that was saved; the part of it that was asked for; or ``like``, with
        what the file has for it.

    Raises
    ------
    UntrustedError
        If the file names what it may not use, with what to pass or to import.
    CorruptFileError, UnknownFormatError
        If the file is damaged, or not one of ours.
    MissingFileError, NotAFileError, ReadError
        If there is no such file, or it cannot be read.
    ClassChangedError
        If a class has a new field without a default, an upgrade or a check fails, or
        ``strict=True`` and any field has changed.
    SettingsError
        If the file holds 64-bit JAX arrays and JAX is set to 32 bits.
    VersionMismatchError
        If packages differ and ``versions="error"``.
    ArgumentError
        If an argument is not one of the values it may have: a path at which the file
        has nothing, a sharding that an array cannot have, a ``like`` that nothing fits.
    MissingPackageError
        If ``progress=True``, and tqdm is not installed.

    Warns
    -----
    VersionMismatchWarning
        If packages differ and ``versions="warn"``.
    MixedPairWarning
        If the two files stem from different saves; the companion is believed.
    ClassChangedWarning
        If classes have other fields than they had; it lists all of them.
    DamagedWarning
        If ``damaged="skip"`` left something out; it lists all of it.
    OldFileWarning
        If a file of zodiax up to 0.4 did not keep something.
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
        warn(DamagedWarning(f"{name} is damaged. This was left out:\n{text}"))


@resources_for("read the metadata")
@without_tracing()
def read_metadata(
    path_or_file: PathOrFile,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
    unknown: Literal["error", "opaque"] = "error",
) -> Any:
    """The metadata given to `serialise`, without loading the arrays of the tree.

    Parameters
    ----------
    path_or_file : str, path or binary file
        What was given to `serialise`; or the companion alone.
    trusted, renames, unknown : optional
        As for `deserialise`.

    Returns
    -------
    pytree or None
        The metadata; None if there is none.

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
    """One of the extras given to `save_with_extras`, without any other array.

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
    judge = options.judge()  # which refuses arguments before anything is opened
    with opened(path_or_file, salvage=options.skip) as (document, reader, name):
        judge.script = packages.script_of(document.settings)
        yield _File(document, reader, judge, name)


def _load(
    file: _File, options: LoadOptions, tree: str = "model"
) -> tuple[Any, list[Damaged]]:
    """The object of one tree of a file ("model", "metadata", or the name of an extra).

    With it come the marks of damage in it.
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
    """A tree of the user's with what the file has for it."""
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
    """Where each array goes."""
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
    """The arrays of some nodes, by record; and what is wrong with others."""
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
        'damage, and `deserialise(path, damaged="skip")` loads what is intact.'
    )
