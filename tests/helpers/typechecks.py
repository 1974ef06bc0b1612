"""Type checks at run time: every function of a module checks what it is called with.

A hook of imports, because functions have to be decorated before tables and other
modules take hold of them. `beartype.claw` decorates classes as well, and cannot read
the annotations of a `NamedTuple` where they are text; jaxtyping's hook costs ten times
as much a call, for shapes that no annotation here has.
"""

import ast
import importlib.abc
import importlib.machinery
import sys

from beartype import beartype
from beartype.roar import BeartypeDecorHintException

_CHECKED = "__checked__"


def checked(function):
    """A function that checks its annotations, unless beartype cannot read one."""
    try:
        return beartype(function)
    except BeartypeDecorHintException:
        return function


class _Decorated(ast.NodeTransformer):
    """Below its other decorators, each function has one more."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.decorator_list.append(ast.Name(_CHECKED, ast.Load()))
        return node


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        """The code that is made of the source, never that of a cache."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def source_to_code(self, data, path, *, _optimize=-1):
        tree = ast.fix_missing_locations(_Decorated().visit(ast.parse(data, path)))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def exec_module(self, module):
        module.__dict__[_CHECKED] = checked
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, modules, unchecked):
        self.modules, self.unchecked = modules, unchecked

    def find_spec(self, name, path=None, target=None):
        within = any(f"{name}.".startswith(f"{module}.") for module in self.modules)
        if not within or name in self.unchecked:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or not isinstance(spec.loader, _Loader.__base__):
            return spec
        spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install(modules, unchecked=()):
    """Check all calls within some modules, which are not imported yet."""
    sys.meta_path.insert(0, _Finder(modules, unchecked))
