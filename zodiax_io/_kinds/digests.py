"""Digests of the code of local functions, to notice edits since a save.

One digest is of the code object, which depends on the release of Python. The other is
of the syntax tree of the source, for loading under another release. Neither compiles,
imports or runs anything.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import linecache
import os
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

# A file that changed later than this may not be the source of the running code.
_STARTED = time.time()
_MAX_SOURCE = 16 << 20
_FUNCTION_NODES = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef)


class SourceChanged(ValueError):
    """The source of a function has changed since it was saved."""


def python() -> str:
    """The release of Python and its level of optimisation, which fix the bytecode."""
    return f"{sys.implementation.cache_tag} {sys.hexversion:x} {sys.flags.optimize}"


def has_same_bytecode(saved: object, here: str) -> bool:
    """Whether two releases, as `python` describes them, have the same instructions.

    Releases that differ only in the patch level do.
    """
    if type(saved) is not str or not saved.count(" ") == here.count(" ") == 2:
        return False
    return saved.split(" ")[::2] == here.split(" ")[::2]


@functools.lru_cache(maxsize=1024)
def code_digest(code: types.CodeType) -> str:
    """A digest of a code object, independent of its position in the file."""
    return digest_of_text(_of_code(code))


def digest_of_text(text: str) -> str:
    """A digest of a text, short enough to be stored with a name."""
    return hashlib.sha256(text.encode("utf8", "surrogatepass")).hexdigest()[:32]


def _of_code(code: types.CodeType) -> str:
    parts = (
        code.co_name,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags,
        code.co_code,
        code.co_exceptiontable,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
    )
    return repr((parts, [_of_constant(value) for value in code.co_consts]))


def _of_constant(value: Any) -> str:
    if type(value) is types.CodeType:
        return _of_code(value)
    if type(value) is tuple:
        return repr([_of_constant(item) for item in value])
    if type(value) is frozenset:  # its order differs between processes
        return repr({"set": sorted(_of_constant(item) for item in value)})
    if type(value) is slice:
        return repr((value.start, value.stop, value.step))
    return f"{type(value).__name__}:{value!r}"


def source_digest(code: types.CodeType) -> str | None:
    """A digest of the source of a function, without its defaults and decorators.

    None if the source is missing, or may have been edited since it was compiled.
    """
    text = _text_of(code.co_filename)
    nodes = [] if text is None else [n for n in _functions(text) if _is_of(n, code)]
    if len(nodes) != 1:
        return None
    try:
        return digest_of_text(repr((_signature(nodes[0].args), _plain(nodes[0].body))))
    except RecursionError:
        return None


def _text_of(file: str) -> str | None:
    if not file.startswith("<"):
        try:
            found = os.stat(file)
        except (OSError, ValueError):
            found = None  # a notebook's cell, which `linecache` has
        if found is not None and (
            found.st_mtime >= _STARTED or found.st_size > _MAX_SOURCE
        ):
            return None
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    return "".join(lines) if lines else None


@functools.lru_cache(maxsize=8)
def _functions(text: str) -> list[Any]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, _FUNCTION_NODES)]


def _is_of(node: Any, code: types.CodeType) -> bool:
    """Whether a code object was compiled from a node of the syntax tree."""
    name = getattr(node, "name", "<lambda>")
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(one.lineno for one in decorators)])
    if name != code.co_name or first != code.co_firstlineno:
        return False
    places = {p for p in code.co_positions() if None not in p and p[2:] != (0, 0)}
    return bool(places) and places <= _spans(node)


def _spans(node: ast.AST) -> set[tuple[int, int, int, int]]:
    return {
        (n.lineno, n.end_lineno, n.col_offset, n.end_col_offset)  # pyright: ignore
        for n in ast.walk(node)
        if hasattr(n, "lineno")
    }


def _signature(args: ast.arguments) -> list[Any]:
    several = [args.posonlyargs, args.args, args.kwonlyargs]
    rest = [None if one is None else one.arg for one in (args.vararg, args.kwarg)]
    return [*([one.arg for one in group] for group in several), *rest]


def _plain(node: Any) -> Any:
    """A syntax tree without positions and empty fields.

    Releases of Python differ in the empty fields that they have.
    """
    if isinstance(node, ast.AST):
        return [type(node).__name__, *_fields(node)]
    if isinstance(node, list):
        return [_plain(item) for item in node]  # pyright: ignore[reportUnknownVariableType]
    return _of_constant(node)


def _fields(node: ast.AST) -> Iterator[Any]:
    for name, value in ast.iter_fields(node):
        is_value = isinstance(node, ast.Constant) and name == "value"
        if is_value or not (value is None or value == []):
            yield name, _plain(value)
