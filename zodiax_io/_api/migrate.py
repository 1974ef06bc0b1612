"""What to say about files whose classes are called, or made, otherwise now."""

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
    """What does not match between files and the code that is here, and what to say.

    Attributes
    ----------
    lines : str
        Lines of Python to look over, and to run before the files are loaded: calls of
        `renamed` and `upgraded`. Empty where everything matches.
    mismatches : dict of str to list of str
        For each file what does not match, or why it cannot be looked at; an empty list
        for one that matches.
    """

    lines: str
    mismatches: Mapping[str, Sequence[str]]

    def __str__(self) -> str:
        """The report, and the lines."""
        wrong = sum(bool(found) for found in self.mismatches.values())
        text = [f"{len(self.mismatches)} files, {wrong} of them with mismatches."]
        for file, found in self.mismatches.items():
            text += [f"{shown(file, 400)}:", *(f"  {line}" for line in found)] * bool(
                found
            )
        return "\n".join([*text, *(["", self.lines] if self.lines else [])])


@resources_for("look at the files")
@without_tracing()
def migration(
    paths: PathOrFile | Sequence[PathOrFile],
    *,
    like: Any = None,
    trusted: Sequence[Any] | str = (),
) -> Migration:
    """Propose what to say about classes that are not what they were for some files.

    Missing classes are matched with those that are imported or trusted by name, by the
    names of their fields, and by what ``like`` has at the same path; fields by name,
    and by shape and dtype where ``like`` tells them. Nothing is changed.

    Parameters
    ----------
    paths : str, path, binary file or list of them
        Files, and folders of files.
    like : pytree, optional
        A model as the code makes it now.
    trusted : optional
        As for `deserialise`: what it names is imported, and searched for classes.

    Returns
    -------
    Migration
        What was found, and the lines to look over and run.

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
    given = paths if isinstance(paths, (list, tuple)) else [paths]
    for package in trusted if isinstance(trusted, (list, tuple)) else [trusted]:
        if isinstance(package, str) and package.replace(".", "").isidentifier():
            _import_all(package)
    today = _Today(like)
    gathered = _Gathered()
    mismatches: dict[str, list[str]] = {}
    for path in given:
        for file in files_below(path):
            text = str(getattr(file, "name", file))
            mismatches[text] = []
            try:
                gathered.look_at(file, text, Judge(trusted, unknown="opaque"), today)
            except (ZodiaxIOError, OSError) as error:
                mismatches[text].append(f"cannot be looked at: {error}")
    return _proposed(gathered, today, mismatches)


def _import_all(package: str) -> None:
    """Import a package with all its modules: what has moved may be in any of them."""
    try:
        found = libraries.import_anywhere(package)
    except LIMITS:
        raise
    except Exception:  # of the package; files that need it say so
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
    """Load files, and save again what has changed by that.

    Gives for each its path, what became of it ("as it was", "changed" or "failed"),
    and what was said on the way.
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
            told = [str(warning.message) for warning in caught]
            yield file, "changed" if changed else "as it was", told


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
    """Save no file again without what was in it, or with what may not be true."""
    for change in warning.changes:
        if change.lost or (legacy and change.gained):
            raise ClassChangedError(
                f"{file} is left as it is: {change}. Say by `zodiax_io.upgraded` what "
                "is to become of it."
            )


def _fingerprints(plain: Any) -> list[Any]:
    """All that a structure says, except where its arrays are in the file."""
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


# What files know ----------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _Known:
    """What files know of one class or function."""

    role: Role
    kind: str
    found: Any  # what its name leads to
    reason: str
    candidates: list[str] = field(default_factory=list[str])
    files: dict[str, str] = field(default_factory=dict[str, str])  # with the first path
    # By the names of its fields, in which files differ: a node, its path, the files.
    variants: dict[tuple[str, ...], tuple[Node, str, set[str]]] = field(
        default_factory=dict[tuple[str, ...], Any]
    )


class _Gathered:
    def __init__(self) -> None:
        self.known: dict[str, _Known] = {}

    def look_at(self, path: Any, file: str, judge: Judge, today: _Today) -> None:
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
            known = self.known.get(use.name)
            if known is None:
                target = judge.resolve(use.name, use.role)
                reason = target.reason if type(target) is Unresolved else ""
                known = _Known(use.role, node.kind_name, target, reason)
                if reason and is_name(use.name):
                    known.candidates = today.candidates(judge, use, node, effort)
                self.known[use.name] = known
            path_of = use.path()
            known.files.setdefault(file, path_of)
            if node.kind.fields is not None and isinstance(node.children, dict):
                names = tuple(node.children)
                variant = known.variants.setdefault(names, (node, path_of, set()))
                variant[2].add(file)


class _Today:
    """What a model as it is made now tells: the classes at its paths, and arrays."""

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
        """Names that may be the one that is missing, the likeliest first."""
        module, _, qualname = use.name.partition(":")
        like = self.by_path.get(use.path())
        here = None if like is None else like.name
        held = set(node.children) if isinstance(node.children, dict) else set[str]()
        scores: dict[str, float] = {}
        for new, obj in judge.candidates(module) if effort.spend(_SEARCH) else ():
            if not (effort.spend(1) and use.role.accepts(obj)):
                continue
            new_module, _, new_name = new.partition(":")
            score = 0.45 * _ratio(qualname.rpartition(".")[2], new_name, effort)
            score += 0.1 * _ratio(module, new_module, effort) + 0.5 * (new == here)
            declared = _fields(obj)
            if held and declared:
                score += 0.45 * _overlap(held, declared, effort)
            elif not held:
                score *= 2
            if score >= _LIKELY:
                scores[new] = score
        return sorted(scores, key=lambda new: -scores[new])[:_MAX_CANDIDATES]

    def node_of(self, name: str, path: str) -> Node | None:
        """A node of a class, if can be the one at a path."""
        here = self.by_path.get(path)
        if here is not None and here.name == name:
            return here
        return next(iter(self.by_type.get(name, ())), None)


_LIKELY = 0.4
_MAX_CANDIDATES = 3


# What may be compared for one file, in steps of about a microsecond: some seconds.
_MAX_EFFORT = 1_000_000
_MANY = 10  # times as many fields are those of another class
_SEARCH = 1_000  # to list all that is imported


class Effort:
    """A number of steps that a search may take, whatever a file asks for."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> bool:
        """Take so many steps; False, and none taken, if there are not enough left."""
        if steps > self.left:
            return False
        self.left -= steps
        return True


def _ratio(one: str, other: str, effort: Effort) -> float:
    """How alike two names are; without the effort to compare them, equal or not."""
    one, other = one[:MAX_NAME].lower(), other[:MAX_NAME].lower()
    if one == other or not effort.spend(20 + len(one) * len(other) // 8):
        return float(one == other)
    return difflib.SequenceMatcher(None, one, other).ratio()


def _overlap(held: set[str], declared: set[str], effort: Effort) -> float:
    """How much two sets of names have in common; names that are alike count in part."""
    common = held & declared
    rest = declared - common
    most = max(len(held), len(declared))
    if not rest or len(held) > _MANY * len(declared):
        return len(common) / most
    alike = [
        max(_ratio(one, other, effort) for other in rest)
        for one in held - common
        if effort.spend(len(rest))
    ]
    return (len(common) + sum(a for a in alike if a > 0.5)) / most


def _fields(obj: Any) -> set[str]:
    try:
        return set(fields_of(obj))
    except TypeError:
        return set()


# What to say --------------------------------------------------------------------------


def _proposed(
    gathered: _Gathered, today: _Today, mismatches: dict[str, list[str]]
) -> Migration:
    renames: dict[str, str] = {}
    for name, known in gathered.known.items():
        for file, path in known.files.items() if known.reason else ():
            reason = known.reason.partition(";")[0]
            text = f"`{shown(name)}` at `{shown(path)}` {reason}"
            mismatches[file].append(text)
        if known.candidates:
            renames[name] = known.candidates[0]
    lines: list[str] = []
    for old, new in _joined(renames, gathered.known).items():
        others = gathered.known[old].candidates[1:] if old in gathered.known else []
        note = f"  # or {', '.join(others)}" if others else ""
        lines += [""] * (not lines)
        lines.append(f"zodiax_io.renamed({literal(old)}, {literal(new)}){note}")
    imports: dict[str, set[str]] = {}
    taken: Counter[str] = Counter()
    for name, known in gathered.known.items():
        new = renames.get(name, name)
        cls = lookup_or_none(new) if known.reason else known.found
        # Those with most fields first: what is for few is not for them.
        variants = sorted(known.variants.values(), key=lambda v: -len(_steps(v[0])))
        for node, path, files in variants:
            changed = None if cls is None else _difference(cls, node)
            if cls is None or changed is None:
                continue
            for file in sorted(files):
                mismatches[file].append(
                    f"`{shown(name)}` at `{shown(path)}`: {changed}"
                )
            written = _upgrade(cls, changed, node, today.node_of(new, path), taken)
            if written:
                module, _, qualname = (name_of(cls) or new).partition(":")
                imports.setdefault(module, set()).add(qualname.partition(".")[0])
                lines += ["", "", *written]
    if not lines:
        return Migration("", mismatches)
    head = [
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in sorted(imports.items())
    ]
    head += [""] if head else []
    return Migration("\n".join([*head, "import zodiax_io", *lines]), mismatches)


def _joined(renames: dict[str, str], known: Mapping[str, _Known]) -> dict[str, str]:
    """The same renames, of whole modules where what is in one has moved together."""
    moved: dict[str, Counter[str]] = {}
    for old, new in renames.items():
        (module, _, name), (place, _, now) = old.partition(":"), new.partition(":")
        if name == now:
            moved.setdefault(module, Counter())[place] += 1
    stay = {name.partition(":")[0] for name, one in known.items() if not one.reason}
    modules = {
        module: places.most_common(1)[0][0]
        for module, places in moved.items()
        if module not in stay and places.most_common(1)[0][1] > 1
    }
    result = dict(modules)
    for old, new in renames.items():
        module, _, name = old.partition(":")
        if new != f"{modules.get(module)}:{name}":
            result[old] = new
    return result


class _Difference(FieldsChanged):
    def __str__(self) -> str:
        told: list[str] = []
        if self.missing:
            told.append(f"the class has {', '.join(f'`{n}`' for n in self.missing)}")
        if self.surplus:
            fields = ", ".join(f"`{shown(n)}`" for n in self.surplus)
            told.append(f"the file has {fields}")
        return "; ".join(told)


def _difference(cls: type, node: Node) -> _Difference | None:
    """How the fields of a class differ from those of a node; None if they do not."""
    try:
        declared = fields_of(cls)
    except TypeError:
        return None
    absent, beside = node.plain.get("absent"), node.plain.get("beside")
    names = _steps(node)
    held = {*names, *_texts(absent)} - ({*_texts(beside)} - set(declared))
    missing = [name for name in declared if name not in held]
    surplus = [name for name in names if name in held and name not in declared]
    return _Difference(missing, surplus) if missing or surplus else None


def _texts(names: Any) -> list[str]:
    return [n for n in names if type(n) is str] if isinstance(names, list) else []


def _upgrade(
    cls: type, changed: _Difference, node: Node, like: Node | None, taken: Counter[str]
) -> list[str]:
    """The lines of an upgrade, if there is something to decide about."""

    def closeness(lost: str, gained: str) -> float:
        now = None if like is None else like.child(gained)
        before, after = _array_or_kind(node.child(lost)), _array_or_kind(now)
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
    """An array as JAX shows its type; of anything else, its kind."""
    if node is None:
        return None
    shape = node.plain.get("shape")
    if isinstance(shape, list):
        return f"{node.plain.get('dtype')}[{','.join(map(str, shape))}]"
    return node.kind_name
