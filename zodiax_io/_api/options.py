"""The options of a load, as `deserialise` takes them."""

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
    """The options of a load; `deserialise` documents each."""

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
        """Whether a load goes on where a file is damaged."""
        return self.damaged == "skip"

    @functools.cached_property
    def target(self) -> Target:
        """Where JAX arrays go; a tree of shardings as it is."""
        return target_of(self.as_numpy, self.device, self.sharding)

    def judge(self) -> Judge:
        """A judge of names who knows what the caller trusts."""
        return Judge(self.trusted, self.renames, self.unknown)

    def check(self, path_or_file: Any) -> None:
        """Refuse options that are not among the values they may have, or that clash.

        Raises
        ------
        ArgumentError
            If there is one.
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
            reason = "it takes a path"
            if self.skip:
                reason = '`damaged="skip"` looks at everything'
            raise ArgumentError(f"`lazy=True` maps a file and reads nothing: {reason}.")
        if self.like is not None and self.fill:
            raise ArgumentError(
                "`like` has its own functions: there is nothing to `fill`."
            )
        _ = self.target
