"""The arguments of `deserialise` as one object."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import ArgumentError, check_flags
from .._files.path_argument import is_path
from .._progress import Progress, check_progress
from .._tree.placement import Target, target_of
from .._trust.judge import Judge
from .differences import check_versions_argument


@dataclass(frozen=True, eq=False, repr=False)
class LoadOptions:
    """The options of a load, documented in `deserialise`."""

    only: str | Sequence[str] | None = None
    like: Any = None
    trusted: Sequence[Any] | str = ()
    renames: Mapping[str, Any] | None = None
    unknown: str = "error"
    versions: str = "warn"
    strict: bool = False
    check_init: bool = False
    fill: Mapping[str, Any] | None = None
    verify: bool = True
    damaged: str = "error"
    lazy: bool = False
    as_numpy: bool = False
    device: Any = None
    sharding: Any = None
    progress: Progress | None = False

    @property
    def skip(self) -> bool:
        """Whether to load a damaged file without its damaged arrays."""
        return self.damaged == "skip"

    @functools.cached_property
    def target(self) -> Target:
        """The device or sharding of JAX arrays, or the caller's tree of shardings."""
        return target_of(self.as_numpy, self.device, self.sharding)

    def judge(self) -> Judge:
        """A judge of names with the trust and renames of the caller."""
        return Judge(self.trusted, self.renames, self.unknown)

    def check(self, path_or_file: Any) -> None:
        """Refuse invalid values, and options that cannot be combined.

        Raises
        ------
        ArgumentError
            If an option is refused.
        """
        check_versions_argument(self.versions)
        if self.damaged not in ("error", "skip"):
            raise ArgumentError(
                f'`damaged` is "error" or "skip", not {self.damaged!r:.80}.'
            )
        check_flags(
            verify=self.verify,
            lazy=self.lazy,
            as_numpy=self.as_numpy,
            strict=self.strict,
            check_init=self.check_init,
        )
        check_progress(self.progress)
        if self.lazy and (self.skip or not is_path(path_or_file)):
            reason = "it needs a path, not a file object"
            if self.skip:
                reason = 'it excludes `damaged="skip"`, which reads all data'
            raise ArgumentError(
                f"`lazy=True` maps the file instead of reading it, so {reason}."
            )
        if self.like is not None and self.fill:
            raise ArgumentError(
                "`fill` cannot be combined with `like`, which has its own functions."
            )
        _ = self.target
