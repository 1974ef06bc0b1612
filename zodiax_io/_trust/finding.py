"""Finds the objects of the names in a file, among the modules that are imported.

For a module that is not, `_import_or_refuse` decides whether it may be imported. The
import itself is up to `importing`.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

from . import modules, names, reflection
from .answers import ImportFirst, Refuse, missing
from .origins import (
    installed_spec,
    is_own_code,
    is_present,
    missing_submodule,
    spec_of,
)
from .suggestions import Suggestions
from .table import CLASSES, FRAMEWORKS, LIBRARIES, MODULES, PACKAGES
from .trusted import Trust


class Found(NamedTuple):
    """The object under a name."""

    obj: Any


class Unresolved(NamedTuple):
    """Takes the place of an object that is missing or may not be used."""

    reason: str


class Finder:
    """Finds objects by their names, for one call.

    Attributes
    ----------
    trust : Trust
        What the caller trusts.
    suggestions : Suggestions
        Finds names that resemble a missing one.
    script : str or None
        The module name of the script that wrote the file.
    failures : dict of str to str
        Why imports of this call have failed, by module.
    """

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.suggestions = Suggestions(trust)
        self.script: str | None = None
        self.failures: dict[str, str] = {}

    def home_of_main(self, qualname: str) -> tuple[str, str]:
        """The module and qualified name for a name in the `__main__` of the file.

        It is in this script, in the module from which this script imports it, or in the
        script that wrote the file if that is imported as a module.
        """
        try:
            found = names.lookup("__main__", qualname)
        except LookupError:
            script = self.script
            if script is not None and is_own_code(script):
                return script, qualname
            return "__main__", qualname
        own = reflection.own_name(found)
        if own is not None and own[1] == qualname and names.is_at(found, *own):
            return own
        return "__main__", qualname

    def find(
        self, module: str, qualname: str, *, in_table: bool
    ) -> Found | Refuse | ImportFirst:
        """Look up a name, or say what is missing, or what to import first."""
        if reflection.module_space(module) is None:
            return self._import_or_refuse(module, qualname, in_table)
        try:
            return Found(names.lookup(module, qualname))
        except LookupError:
            if module != "__main__":
                return self._no_such_name(module, qualname)
            script = self.script or "the_script"
            first = qualname.partition(".")[0]
            return missing(
                f"does not exist here: `{module}` has no `{qualname}`; it was defined "
                "in the script or notebook that saved the file: define it, or write "
                f"`from {script} import {first}`"
            )

    def _no_such_name(self, module: str, qualname: str) -> Refuse:
        advice = self.suggestions.text(module, qualname)
        return missing(f"does not exist here: `{module}` has no `{qualname}`{advice}")

    def _no_such_module(
        self, parent: str, child: str, module: str, qualname: str
    ) -> Refuse:
        advice = self.suggestions.text(module, qualname)
        return missing(
            f"does not exist here: `{parent}` has no module `{child}`{advice}"
        )

    def _import_or_refuse(
        self, module: str, qualname: str, in_table: bool
    ) -> Refuse | ImportFirst:
        """Decide whether a module that is not yet imported may be imported.

        A package the caller trusts: exactly the module that the file names.
        A known package (`PACKAGES`): a public module that mentions the name, and only
        from a library folder; of a framework only modules of the tables.
        Anything else: refuse, and say what to install, import or trust.
        """
        package = names.top_level_package(module)
        gone = missing_submodule(module)
        if gone is not None:
            return self._no_such_module(*gone, module, qualname)
        trusted = self.trust.covers(module) and package not in FRAMEWORKS
        if not trusted and package not in PACKAGES and not in_table:
            return self._unknown_package(module, qualname)
        spec = spec_of(package) if trusted else installed_spec(package)
        if spec is None and not (trusted and is_present(package)):
            return missing(f"needs the package `{package}`, which is not installed")
        wanted: str | Refuse | None = module
        listed = module in CLASSES or (package in FRAMEWORKS and module in MODULES)
        if not trusted and not in_table and not listed:
            assert spec is not None
            wanted = self._public_module(spec, module, qualname)
        if isinstance(wanted, Refuse):
            return wanted
        if wanted in self.failures:
            return missing(
                f"needs `{wanted}`, which cannot be imported ({self.failures[wanted]})"
            )
        if wanted is not None and reflection.module_space(wanted) is None:
            return ImportFirst(wanted)
        return _not_imported(module)

    def _unknown_package(self, module: str, qualname: str) -> Refuse:
        package = names.top_level_package(module)
        if is_present(package):
            return missing(
                f"is not imported: trust it, or write `import {module}` first if it is "
                "your own",
                trust=package,
            )
        advice = self.suggestions.text(module, qualname)
        return missing(
            f"needs `{package}`, which is neither imported nor installed"
            f"{advice or '; if it was renamed, pass `renames=`'}"
        )

    def _public_module(
        self, spec: ModuleSpec, module: str, qualname: str
    ) -> str | Refuse | None:
        """The module to import of a known package to find a name; None for no module.

        Never a private module, but the public one above it; never one of the tests, nor
        one that is a program.
        """
        package, *parts = module.split(".")
        if package in FRAMEWORKS:
            return package
        if any(
            modules.is_program_or_test(part)
            for n, part in enumerate(parts)
            if ".".join([package, *parts[: n + 1]]) not in LIBRARIES
        ):
            return None
        found = spec
        for part in parts:
            child = modules.find_in(found, part)
            if child is None:
                return self._no_such_module(found.name, part, module, qualname)
            found = child
        if not modules.mentions(found, qualname.partition(".")[0]):
            if modules.may_compute_names(found):
                return None  # only an import would tell, and the user may import it
            return self._no_such_name(module, qualname)
        private = [n for n, part in enumerate(parts) if part.startswith("_")]
        public = parts[: private[0]] if private else parts
        return ".".join([package, *public])


def _not_imported(module: str) -> Refuse:
    package = names.top_level_package(module)
    if package in FRAMEWORKS:
        return missing(f"is not imported: write `import {module}` first")
    reason = f"is not imported: trust it, or write `import {module}` first"
    return missing(reason, trust=package)
