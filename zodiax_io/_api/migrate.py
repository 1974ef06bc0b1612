"""Match files with code that has changed, propose renames and upgrades, and resave."""

from __future__ import annotations

import contextlib
import difflib
import pkgutil
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._errors import (
    LIMITS,
    MAX_NAME,
    ClassChangedError,
    ClassChangedWarning,
    ZodiaxIOError,
    ZodiaxIOWarning,
    resources_for,
    shown,
)
from .._evolution.packages import script_of
from .._evolution.proposals import literal, proposal
from .._files.checkpoint import PathOrFile, opened
from .._files.extras import kept_extras
from .._files.folders import files_below
from .._jax import without_tracing
from .._kinds.declared import fields_of, has_default
from .._kinds.fields import FieldsChanged
from .._look.diff import diff
from .._structure.nodes import Node, Structure
from .._structure.pairing import fingerprint
from .._structure.paths import path_text
from .._structure.uses import uses_of
from .._tree.encode import encode
from .._tree.locate import locate
from .._trust import libraries
from .._trust.finding import Unresolved
from .._trust.judge import Judge
from .._trust.names import lookup_or_none, name_of
from .._trust.renames import is_name
from .._trust.roles import Role, Use
from .load import deserialise, read_metadata
from .save import save_with_extras


@dataclass(frozen=True)
class Migration:
    """The mismatches between files and the present code, and a proposal to fix them.

    Attributes
    ----------
    lines : str
        Lines of Python to check, and to run before the files are loaded: calls of
        `renamed` and `upgraded`. Empty if everything matches.
    mismatches : dict of str to list of str
        The mismatches of each file, or why it cannot be read; an empty list for a file
        that matches.
    """

    lines: str
    mismatches: Mapping[str, Sequence[str]]

    def __str__(self) -> str:
        """The mismatches, then the lines."""
        wrong = sum(bool(found) for found in self.mismatches.values())
        text = [f"{len(self.mismatches)} files, {wrong} of them with mismatches."]
        for file, found in self.mismatches.items():
            text += [f"{shown(file, 400)}:", *(f"  {line}" for line in found)] * bool(
                found
            )
        return "\n".join([*text, *(["", self.lines] if self.lines else [])])


@resources_for("read the files")
@without_tracing()
def migration(
    paths: PathOrFile | Sequence[PathOrFile],
    *,
    like: Any = None,
    trusted: Sequence[Any] | str = (),
) -> Migration:
    """Propose renames and upgrades for files whose classes have changed.

    A missing class is matched with an imported or trusted class that has a similar name
    and similar fields, or that ``like`` has at the same path. Fields are matched by
    name, and by the shape and dtype in ``like``. No file is changed.

    Parameters
    ----------
    paths : str, path, binary file or list of them
        Files, and folders of files.
    like : pytree, optional
        A model made by the present code.
    trusted : optional
        As for `deserialise`: these packages are imported, and searched for classes.

    Returns
    -------
    Migration
        The mismatches, and the lines to check and run.

    Examples
    --------
    >>> import equinox as eqx
    >>> import zodiax_io
    >>> class Lens(eqx.Module):
    ...     radius: float
    >>> zodiax_io.serialise("lens.zdx", Lens(2.0))
    >>> class Lens(eqx.Module):
    ...     radii: float
    >>> print(zodiax_io.migration("lens.zdx").lines)
    from ... import Lens
    <BLANKLINE>
    import zodiax_io
    <BLANKLINE>
    <BLANKLINE>
    def upgrade_lens(fields):
        fields["radii"] = fields.pop("radius")
        return fields
    <BLANKLINE>
    zodiax_io.upgraded(Lens, upgrade_lens, fields=["radius"])
    """
    sources = paths if isinstance(paths, (list, tuple)) else [paths]
    for package in trusted if isinstance(trusted, (list, tuple)) else [trusted]:
        if isinstance(package, str) and package.replace(".", "").isidentifier():
            _import_all(package)
    model = _Model(like)
    collected = _Collected()
    mismatches: dict[str, list[str]] = {}
    for path in sources:
        for file in files_below(path):
            text = str(getattr(file, "name", file))
            mismatches[text] = []
            try:
                collected.add(file, text, Judge(trusted, unknown="opaque"), model)
            except (ZodiaxIOError, OSError) as error:
                mismatches[text].append(f"cannot be read: {error}")
    return _proposed(collected, model, mismatches)


def _import_all(package: str) -> None:
    """Import a package with all its modules: a class may have moved to any of them."""
    try:
        found = libraries.import_anywhere(package)
    except LIMITS:
        raise
    except Exception:  # raised by the package; the files that need it report it
        return
    for module in pkgutil.walk_packages(
        getattr(found, "__path__", ()), f"{package}.", onerror=lambda name: None
    ):
        if not module.name.rpartition(".")[2].startswith("__main"):
            with contextlib.suppress(Exception, SystemExit):
                libraries.import_anywhere(module.name)


def rewritten(
    paths: Sequence[str], trusted: Sequence[str], *, dry_run: bool
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Load files, and save each again if loading changed its content.

    Yields for each file its path, the outcome ("as it was", "changed" or "failed"), and
    the warnings or the error.
    """
    for path in paths:
        for file in files_below(path):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", ZodiaxIOWarning)
                try:
                    changed = _rewrite(file, trusted, dry_run=dry_run)
                except (ZodiaxIOError, OSError) as error:
                    yield file, "failed", [str(error)]
                    continue
            messages = [str(warning.message) for warning in caught]
            yield file, "changed" if changed else "as it was", messages


def _rewrite(file: str, trusted: Sequence[str], *, dry_run: bool) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ZodiaxIOWarning)
        tree = deserialise(file, trusted=trusted, versions="ignore")
        metadata = read_metadata(file, trusted=trusted)
    with opened(file) as (document, reader, _):
        before = [document.tree, document.metadata]
        legacy = reader.is_old
    for warning in caught:
        warnings.warn_explicit(
            warning.message, warning.category, warning.filename, warning.lineno
        )
        if isinstance(warning.message, ClassChangedWarning):
            _refuse_loss(warning.message, file, legacy=legacy)
    now = [
        encode(tree).structure,
        None if metadata is None else encode(metadata).structure,
    ]
    changed = legacy or [*map(_fingerprints, before)] != [*map(_fingerprints, now)]
    changed = changed or bool(diff(file, tree))
    if changed and not dry_run:
        with opened(file) as (document, reader, name):
            kept = kept_extras(document, reader, name)
        save_with_extras(file, tree, {}, kept=kept, metadata=metadata)
    return changed


def _refuse_loss(warning: ClassChangedWarning, file: str, *, legacy: bool) -> None:
    """Refuse to save a file again without a saved field, or with a doubtful default.

    A file of zodiax 0.4 or before may lack a field that had another value.
    """
    for change in warning.changes:
        if change.lost or (legacy and change.gained):
            raise ClassChangedError(
                f"{file} was not saved again: {change}. Register an upgrade for these "
                "fields by `zodiax_io.upgraded`."
            )


def _fingerprints(plain: Any) -> list[Any]:
    """The content of a structure, without the positions of its arrays in the file."""
    if plain is None:
        return []
    return [
        (
            fingerprint(node),
            node.plain.get("static"),
            sorted(
                (str(step), node.has_first(step, one)) for step, one in node.below()
            ),
        )
        for node in Structure.parse(plain).nodes
    ]


def _steps(node: Node) -> list[Any]:
    return [step for step, _ in node.below()]


# Names in files, and candidates for missing ones --------------------------------------


@dataclass(eq=False, repr=False)
class _Name:
    """One class or function that files refer to."""

    role: Role
    kind: str
    found: Any  # the object of that name
    missing: str  # the reason, if there is no such object
    candidates: list[str] = field(default_factory=list[str])
    # The files that refer to it, with the first path in each.
    files: dict[str, str] = field(default_factory=dict[str, str])
    # By the names of its saved fields: a node, its path, and the files that have them.
    variants: dict[tuple[str, ...], tuple[Node, str, set[str]]] = field(
        default_factory=dict[tuple[str, ...], Any]
    )


class _Collected:
    """The names in all files."""

    def __init__(self) -> None:
        self.names: dict[str, _Name] = {}

    def add(self, path: Any, file: str, judge: Judge, model: _Model) -> None:
        """Add the names of one file."""
        effort = Effort(_MAX_EFFORT)
        with opened(path) as (document, _, name):
            structure = Structure.parse(document.tree)
            structure.check_kinds(unregistered=True)
            uses = uses_of(structure)
            judge.script = script_of(document.settings)
            judge.audit(uses, name)
        nodes = {id(node): node for node in structure.nodes}
        for use in uses:
            node = nodes[use.node]
            name = self.names.get(use.name)
            if name is None:
                target = judge.resolve(use.name, use.role)
                missing = target.reason if type(target) is Unresolved else ""
                name = _Name(use.role, node.kind_name, target, missing)
                if missing and is_name(use.name):
                    name.candidates = model.candidates(judge, use, node, effort)
                self.names[use.name] = name
            where = use.path()
            name.files.setdefault(file, where)
            if node.kind.fields is not None and isinstance(node.children, dict):
                fields = tuple(node.children)
                variant = name.variants.setdefault(fields, (node, where, set()))
                variant[2].add(file)


class _Model:
    """The classes and arrays of the model that the caller passed as `like`."""

    def __init__(self, like: Any) -> None:
        self.by_path: dict[str, Node] = {}
        self.by_type: dict[str, list[Node]] = {}
        if like is None:
            return
        for node in locate(like, {}).structure.nodes:
            self.by_path[path_text(node.path)] = node
            if node.name is not None:
                self.by_type.setdefault(node.name, []).append(node)

    def candidates(
        self, judge: Judge, use: Use, node: Node, effort: Effort
    ) -> list[str]:
        """Names that may replace a missing one, the most similar first."""
        module, _, qualname = use.name.partition(":")
        like = self.by_path.get(use.path())
        in_model = None if like is None else like.name
        saved = set(node.children) if isinstance(node.children, dict) else set[str]()
        scores: dict[str, float] = {}
        for new, obj in judge.candidates(module) if effort.spend(_SEARCH) else ():
            if not (effort.spend(1) and use.role.accepts(obj)):
                continue
            new_module, _, new_name = new.partition(":")
            score = 0.45 * _ratio(qualname.rpartition(".")[2], new_name, effort)
            score += 0.1 * _ratio(module, new_module, effort) + 0.5 * (new == in_model)
            declared = _fields(obj)
            if saved and declared:
                score += 0.45 * _overlap(saved, declared, effort)
            elif not saved:
                score *= 2
            if score >= _LIKELY:
                scores[new] = score
        return sorted(scores, key=lambda new: -scores[new])[:_MAX_CANDIDATES]

    def node_of(self, name: str, path: str) -> Node | None:
        """A node of this class in the model, preferably the one at this path."""
        node = self.by_path.get(path)
        if node is not None and node.name == name:
            return node
        return next(iter(self.by_type.get(name, ())), None)


_LIKELY = 0.4
_MAX_CANDIDATES = 3

# The steps that comparing names may take for one file, each about a microsecond: so a
# file with many long names costs at most some seconds.
_MAX_EFFORT = 1_000_000
_MANY = 10  # a class with so many times fewer fields is not the same class
_SEARCH = 1_000  # the steps to list all imported classes


class Effort:
    """The number of steps that a search may still take."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> bool:
        """Take these steps and return True, or take none if too few are left."""
        if steps > self.left:
            return False
        self.left -= steps
        return True


def _ratio(one: str, other: str, effort: Effort) -> float:
    """The similarity of two names; 0 or 1 if too few steps are left to compare them."""
    one, other = one[:MAX_NAME].lower(), other[:MAX_NAME].lower()
    if one == other or not effort.spend(20 + len(one) * len(other) // 8):
        return float(one == other)
    return difflib.SequenceMatcher(None, one, other).ratio()


def _overlap(saved: set[str], declared: set[str], effort: Effort) -> float:
    """The share of names that two sets have in common; similar names count in part."""
    common = saved & declared
    rest = declared - common
    most = max(len(saved), len(declared))
    if not rest or len(saved) > _MANY * len(declared):
        return len(common) / most
    similar = [
        max(_ratio(one, other, effort) for other in rest)
        for one in saved - common
        if effort.spend(len(rest))
    ]
    return (len(common) + sum(ratio for ratio in similar if ratio > 0.5)) / most


def _fields(obj: Any) -> set[str]:
    try:
        return set(fields_of(obj))
    except TypeError:
        return set()


# Lines of Python ----------------------------------------------------------------------


def _proposed(
    collected: _Collected, model: _Model, mismatches: dict[str, list[str]]
) -> Migration:
    """The renames and upgrades for all names; adds to the mismatches of the files."""
    names = collected.names
    renames: dict[str, str] = {}
    for name, data in names.items():
        for file, path in data.files.items() if data.missing else ():
            reason = data.missing.partition(";")[0]
            text = f"`{shown(name)}` at `{shown(path)}` {reason}"
            mismatches[file].append(text)
        if data.candidates:
            renames[name] = data.candidates[0]
    lines: list[str] = []
    for old, new in _joined(renames, names).items():
        others = names[old].candidates[1:] if old in names else []
        note = f"  # or {', '.join(others)}" if others else ""
        lines += [""] * (not lines)
        lines.append(f"zodiax_io.renamed({literal(old)}, {literal(new)}){note}")
    imports: dict[str, set[str]] = {}
    taken: Counter[str] = Counter()
    for name, data in names.items():
        new = renames.get(name, name)
        cls = lookup_or_none(new) if data.missing else data.found
        # Upgrades run in this order: one for few fields would match more fields, too.
        variants = sorted(data.variants.values(), key=lambda v: -len(_steps(v[0])))
        for node, path, files in variants:
            changed = None if cls is None else _difference(cls, node)
            if cls is None or changed is None:
                continue
            for file in sorted(files):
                mismatches[file].append(
                    f"`{shown(name)}` at `{shown(path)}`: {changed}"
                )
            written = _upgrade(cls, changed, node, model.node_of(new, path), taken)
            if written:
                module, _, qualname = (name_of(cls) or new).partition(":")
                imports.setdefault(module, set()).add(qualname.partition(".")[0])
                lines += ["", "", *written]
    if not lines:
        return Migration("", mismatches)
    head = [
        f"from {module} import {', '.join(sorted(classes))}"
        for module, classes in sorted(imports.items())
    ]
    head += [""] if head else []
    return Migration("\n".join([*head, "import zodiax_io", *lines]), mismatches)


def _joined(renames: dict[str, str], names: Mapping[str, _Name]) -> dict[str, str]:
    """The same renames, with one for a module whose names moved to another together."""
    moved: dict[str, Counter[str]] = {}
    for old, new in renames.items():
        module, _, name = old.partition(":")
        target, _, new_name = new.partition(":")
        if name == new_name:
            moved.setdefault(module, Counter())[target] += 1
    present = {n.partition(":")[0] for n, data in names.items() if not data.missing}
    modules = {
        module: targets.most_common(1)[0][0]
        for module, targets in moved.items()
        if module not in present and targets.most_common(1)[0][1] > 1
    }
    result = dict(modules)
    for old, new in renames.items():
        module, _, name = old.partition(":")
        if new != f"{modules.get(module)}:{name}":
            result[old] = new
    return result


class _Difference(FieldsChanged):
    """The fields of a class that differ from those of a file, with a text for it."""

    def __str__(self) -> str:
        clauses: list[str] = []
        if self.missing:
            fields = ", ".join(f"`{name}`" for name in self.missing)
            clauses.append(f"only the class has {fields}")
        if self.surplus:
            fields = ", ".join(f"`{shown(name)}`" for name in self.surplus)
            clauses.append(f"only the file has {fields}")
        return "; ".join(clauses)


def _difference(cls: type, node: Node) -> _Difference | None:
    """The difference between the fields of a class and of a node; None if equal."""
    try:
        declared = fields_of(cls)
    except TypeError:
        return None
    absent, beside = node.plain.get("absent"), node.plain.get("beside")
    names = _steps(node)
    saved = {*names, *_texts(absent)} - ({*_texts(beside)} - set(declared))
    missing = [name for name in declared if name not in saved]
    surplus = [name for name in names if name in saved and name not in declared]
    return _Difference(missing, surplus) if missing or surplus else None


def _texts(names: Any) -> list[str]:
    return [n for n in names if type(n) is str] if isinstance(names, list) else []


def _upgrade(
    cls: type, changed: _Difference, node: Node, like: Node | None, taken: Counter[str]
) -> list[str]:
    """The lines of an upgrade; none if defaults are enough."""

    def closeness(lost: str, gained: str) -> float:
        child = None if like is None else like.child(gained)
        before, after = _array_or_kind(node.child(lost)), _array_or_kind(child)
        return 0.0 if after is None else 0.5 if before == after else -1.0

    defaults = [name for name in changed.missing if has_default(cls, name)]
    pairs, lines = proposal(cls.__name__, changed, closeness, defaults)
    if not pairs and len(defaults) == len(changed.missing):
        return []
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
    taken[name] += 1
    number = f"_{taken[name]}" if taken[name] > 1 else ""
    return [re.sub(r"\bupgrade\b", f"upgrade_{name}{number}", line) for line in lines]


def _array_or_kind(node: Node | None) -> str | None:
    """The dtype and shape of an array, such as `float32[3]`; else the kind."""
    if node is None:
        return None
    shape = node.plain.get("shape")
    if isinstance(shape, list):
        return f"{node.plain.get('dtype')}[{','.join(map(str, shape))}]"
    return node.kind_name
