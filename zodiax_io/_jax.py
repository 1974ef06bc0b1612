"""The few private names of JAX and Equinox that are used, each behind one function.

A function falls back on public names, or returns None where the installed release lacks
something, so that a new release of JAX breaks this file at most.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Generator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.core import ShapedArray
from jax.flatten_util import ravel_pytree


@contextlib.contextmanager
def without_tracing() -> Generator[None, None, None]:
    """Evaluate operations of JAX at once, and count its transfers as explicit.

    A caller inside of `jax.jit`, `jax.lax.scan` or `jax.shard_map` would get tracers
    instead of arrays, also from code that a load imports or calls. A caller under
    `jax.transfer_guard("disallow")` forbids implicit transfers, but those of a save or
    a load are intended.
    """
    with _eval_context(), _device_put_scope(), _device_get_scope(), _unmapped():
        yield


try:
    from jax._src.core import eval_context as _eval_context
except ImportError:  # this has no effect inside of an eager `jax.shard_map`
    _eval_context = jax.ensure_compile_time_eval

try:
    from jax._src.config import (
        explicit_device_get_scope as _device_get_scope,
        explicit_device_put_scope as _device_put_scope,
    )
except ImportError:  # `jax.device_put` alone then counts as explicit
    _device_get_scope = _device_put_scope = contextlib.nullcontext


def _unmapped() -> contextlib.AbstractContextManager[Any]:
    """Leave the mesh of a surrounding `jax.shard_map`, where new arrays would be."""
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ()))


def flatten_once(obj: object) -> tuple[list[Any], Any] | None:
    """Children and auxiliary data of a pytree node, or None for a leaf."""
    flat = jtu.default_registry.flatten_one_level(obj)
    return None if flat is None else (list(flat[0]), flat[1])


try:
    from jax._src.array import ArrayImpl
    from jax._src.random.prng import KeyTy, PRNGKeyArray
except ImportError:
    try:
        from jax._src.array import ArrayImpl
        from jax._src.prng import (  # pyright: ignore[reportMissingImports]
            KeyTy,
            PRNGKeyArray,
        )
    except ImportError:  # moved: use instances, though that starts a backend
        ArrayImpl = type(jnp.zeros(()))
        PRNGKeyArray = type(jax.random.key(0))
        KeyTy = type(jax.random.key(0).dtype)


def is_registered_node(cls: type) -> bool:
    """Whether instances of a class are pytree nodes to JAX."""
    if not _is_in_registry(cls) and _registers_late(cls):
        jtu.register_pytree_node_class(cls)
    return _is_in_registry(cls)


# A class of distrax becomes a pytree when its first instance is made, unless it is one
# already.
_LATE = ("distrax._src.utils.jittable", "Jittable")


def _registers_late(cls: type) -> bool:
    module, name, mro = (  # past any metaclass
        type.__dict__[f"__{what}__"].__get__ for what in ("module", "qualname", "mro")
    )
    return any((module(base), name(base)) == _LATE for base in mro(cls))


def _is_in_registry(cls: type) -> bool:
    is_node = getattr(jtu.default_registry, "is_node", None)
    if is_node is not None:
        return bool(is_node(cls))
    from jax._src import tree_util

    return cls in tree_util._registry


def unflatten_once(cls: type, aux: Any, children: Sequence[Any]) -> Any:
    """A node of a registered pytree class from its auxiliary data and children."""
    make = getattr(jtu.PyTreeDef, "from_node_data_and_children", None) or (
        jtu.PyTreeDef.make_from_node_data_and_children
    )
    leaf = jtu.tree_structure(0)
    treedef = make(jtu.default_registry, (cls, aux), [leaf] * len(children))
    return treedef.unflatten(children)


def weakly_typed(array: jax.Array) -> jax.Array:
    """The same array with a weak type, bit for bit: no arithmetic is involved."""
    with contextlib.suppress(AttributeError, TypeError):
        # As unpickling does. The caller has made this array, so no other code sees it.
        array.aval = array.aval.update(weak_type=True)  # type: ignore[misc]
    if array.weak_type:
        return array
    # The public pickle protocol of a weakly typed array can rebuild any array.
    reduced: Any = jnp.asarray(0).__reduce__()
    rebuild, (fun, _, _, aval_state) = reduced
    plain: Any = jax.device_get(array).__reduce__()
    made = rebuild(fun, plain[1], plain[2], aval_state)
    return jax.device_put(made, array.sharding) if array.committed else made


def free_unused_arrays() -> None:
    """Free the memory of arrays that are no longer used.

    JAX releases the memory that its arrays on a CPU share with NumPy at its next
    operation only: to load a model again would take the memory of two.
    """
    if _collect is not None:
        _collect()


def device_put(arrays: Sequence[Any], target: Any = None) -> list[jax.Array]:
    """NumPy arrays as JAX arrays, which share aligned memory on a CPU.

    Without a target (a device or sharding) they are uncommitted, on the default device.
    The function that `jax.device_put` calls in the end has less overhead for each
    array.
    """
    if isinstance(target, jax.sharding.Sharding) and not target.is_fully_addressable:
        # `jax.device_put` would wait for a comparison with every other process.
        return [_spread(array, target) for array in arrays]
    if target is not None:
        return jax.device_put(list(arrays), target)
    plain = all(array.dtype.kind in "biufc" for array in arrays)
    if not plain or _batched_put is None:
        return jax.device_put(list(arrays))
    config: Any = jax.config
    device = config.jax_default_device or jax.local_devices()[0]
    if isinstance(device, str):
        device = jax.local_devices(backend=device)[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    avals: dict[tuple[Any, Any], Any] = {}
    result: list[jax.Array] = []
    for array in arrays:
        key = array.shape, array.dtype
        aval = avals.get(key)
        if aval is None:
            aval = avals[key] = ShapedArray(*key)
        result.append(_batched_put(aval, sharding, [array], [device], False))
    return result


def _spread(array: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """An array over several processes, from the shards of this process."""
    # The dtype is for a process that has no shard.
    return jax.make_array_from_callback(
        array.shape, sharding, lambda index: array[index], dtype=array.dtype
    )


try:
    from jax._src.lib import (
        xla_client as _xla_client,  # pyright: ignore[reportPrivateImportUsage]
    )
except ImportError:
    _xla_client: Any = None


def _find_batched_put() -> Any:
    """The private function, if this release has it as expected; else None."""
    if _device_put_scope is contextlib.nullcontext:
        return None
    return getattr(_xla_client, "batched_device_put", None)


_batched_put: Any = _find_batched_put()


_collect: Any = getattr(getattr(_xla_client, "_xla", None), "collect_garbage", None)


def fetching(array: jax.Array) -> list[tuple[Any, jax.Array]]:
    """The shards that make up an array, each with its index, on their way to the host.

    An array keeps the copy that NumPy makes on the host. These are new arrays of the
    same buffers, so the copies are freed with them.
    """
    pieces: list[tuple[Any, jax.Array]] = [(..., array)]
    if not array.is_fully_replicated:
        pieces = [(shard.index, shard.data) for shard in _tiles(array)]
    pieces = [(index, piece.addressable_data(0)) for index, piece in pieces]
    for _, piece in pieces:
        if not is_on_cpu(piece):
            piece.copy_to_host_async()
    return pieces


def _tiles(array: jax.Array) -> list[Any]:
    """One shard for each part of an array that this process has."""
    # Not only shards of replica 0, which may belong to another process.
    tiles: dict[Any, Any] = {}
    for shard in array.addressable_shards:
        where = zip(shard.index, array.shape, strict=True)
        tiles.setdefault(tuple(part.indices(n) for part, n in where), shard)
    return list(tiles.values())


def is_addressable(array: jax.Array) -> bool:
    """Whether the devices of this process hold all values of an array."""
    if array.is_fully_addressable:
        return True
    tiles = _tiles(array)
    if array.is_fully_replicated:
        return bool(tiles)
    return bool(tiles) and sum(shard.data.size for shard in tiles) == array.size


def is_on_cpu(array: jax.Array) -> bool:
    """Whether the data of an array lies in the memory of the processor."""
    return all(device.platform == "cpu" for device in array.devices())


def array_type() -> type:
    """The type of a concrete JAX array, without starting a backend of JAX."""
    return ArrayImpl


def key_array_type() -> type:
    """The type of a typed random key."""
    return PRNGKeyArray


def key_dtype_type() -> type:
    """The type of the dtype of typed random keys."""
    return KeyTy


@functools.cache
def enumeration_item_type() -> type:
    """The type of the members of Equinox's enumerations."""

    class Some(eqx.Enumeration):
        one = ""

    return type(Some.one)


@functools.cache
def jit_function_type() -> type:
    """The type of the functions that `jax.jit` returns."""
    return type(jax.jit(lambda: None))


# Options of `jax.jit` that change the results of the function, or donate its arguments.
_JIT_OPTIONS: dict[str, type] = {
    "static_argnums": int,
    "static_argnames": str,
    "donate_argnums": int,
    "donate_argnames": str,
    "keep_unused": bool,
    "inline": bool,  # or the value of an Enum, since JAX 0.12
}


def _inlining(value: Any) -> bool | str:
    """The option `inline` of a jitted function, as plain data."""
    for option in (False, True):
        info: Any = getattr(jax.jit(_inlining, inline=option), "_jit_info", None)
        if getattr(info, "inline", None) == value:
            return option
    return value.value


def jit_options(function: Any) -> dict[str, Any] | None:
    """The options of `jax.jit(f, …)`; None if they cannot be read exactly."""
    info = getattr(function, "_jit_info", None)
    if info is None:
        return None
    options: dict[str, Any] = {}
    for name in _JIT_OPTIONS:
        value = getattr(info, name, None)
        if value is None:
            return None
        if name == "inline":
            options[name] = _inlining(value)
        else:
            options[name] = value if isinstance(value, bool) else list(value)
    again = getattr(jit(function.__wrapped__, options), "_jit_info", None)
    same = again is not None and all(
        getattr(again, name, None) == getattr(info, name, None)
        for name in getattr(info, "_fields", ()) or _JIT_OPTIONS
        if name not in ("fun_sourceinfo", "fun_signature")
    )
    return options if same else None


def jit(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """`jax.jit` with options as `jit_options` returns them."""
    for name, value in options.items():
        expected = _JIT_OPTIONS.get(name)
        items = value if isinstance(value, list) else [value]
        if name == "inline" and type(value) is str:
            info: Any = getattr(jax.jit(_inlining), "_jit_info", None)
            options = options | {name: type(info.inline)(value)}
            continue
        if expected is None or not all(type(item) is expected for item in items):
            raise ValueError(f"`jax.jit` has no such option {name!r:.80}")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value != [] and value is not False
    }
    return jax.jit(function, **given)


# Each of these returns a closure around the function and the options.
_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "vmap": jax.vmap,
    "grad": jax.grad,
    "value_and_grad": jax.value_and_grad,
    "jacfwd": jax.jacfwd,
    "jacrev": jax.jacrev,
    "checkpoint": jax.checkpoint,  # pyright: ignore[reportPrivateImportUsage]
    "vectorize": jnp.vectorize,
    "named_call": jax.named_call,
}
_SCOPE: type = type(jax.named_scope("name"))


def _innermost(function: Any) -> types.FunctionType | None:
    """The closure inside of the wrapper that shortens JAX's tracebacks."""
    while type(function) is types.FunctionType:
        if function.__code__.co_name != "reraise_with_filtered_traceback":
            return function
        function = closure(function).get("fun")
    return None


def closure(function: types.FunctionType) -> dict[str, Any]:
    """The variables around a local function, by name; empty if one is not filled."""
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    try:
        return {n: cell.cell_contents for n, cell in zip(names, cells, strict=True)}
    except ValueError:  # a cell that is not filled yet
        return {}


@functools.cache
def _sample(name: str) -> types.FunctionType | None:
    def function(x: Any) -> Any:
        return x

    return _innermost(_TRANSFORMS[name](function))


def transform_parts(function: Any) -> tuple[str, Any, dict[str, Any]] | None:
    """Name, function and options of ``jax.vmap(f, …)`` and the like, or None."""
    found = _innermost(function)
    if found is None:
        return None
    for name in _TRANSFORMS:
        sample = _sample(name)
        if sample is not None and sample.__code__ is found.__code__:
            parts = _transform_options(name, found, sample)
            if parts is not None:
                again = _innermost(transform(name, *parts))
                if again is not None and _same_closure(found, again):
                    return name, *parts
    return None


def _transform_options(
    name: str, found: types.FunctionType, sample: types.FunctionType
) -> tuple[Any, dict[str, Any]] | None:
    cells, defaults = closure(found), closure(sample)
    nested = _innermost(cells.get("value_and_grad_f"))
    if name == "grad" and nested is not None:
        cells = closure(nested)
        defaults = closure(_sample("value_and_grad") or sample)
    if name == "named_call":  # a function below `jax.named_scope` is the same
        cells = {"fun": cells["func"], "name": getattr(cells["self"], "name", None)}
    first, *options = inspect.signature(_TRANSFORMS[name]).parameters
    inner = cells.get("fun", cells.get(first, cells.get("pyfunc")))
    if not callable(inner):
        return None
    return inner, {
        option: cells[option]
        for option in options
        if option in cells and cells[option] is not defaults.get(option)
    }


def function_with_rule(obj: Any) -> Any:
    """The function that `equinox.filter_custom_jvp` or `_vjp` wraps, or None."""
    if type(obj) is eqx.filter_custom_vjp:
        return vars(obj).get("fn")
    if type(obj) is not eqx.filter_custom_jvp:
        return None
    wrapped = vars(vars(obj).get("fn", object)).get("fun")
    return closure(wrapped).get("fn") if type(wrapped) is types.FunctionType else None


def _same_closure(a: types.FunctionType, b: types.FunctionType) -> bool:
    one, two = closure(a), closure(b)
    return one.keys() == two.keys() and all(_same(one[k], two[k]) for k in one)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    one, two = _innermost(a), _innermost(b)
    if one is not None and two is not None:
        return one.__code__ is two.__code__ and _same_closure(one, two)
    if type(a) is type(b) is _SCOPE:
        return getattr(a, "name", None) == getattr(b, "name", None)
    return type(a) is type(b) and type(a) in (bool, int, str, tuple, list) and a == b


def transform(name: str, function: Any, options: dict[str, Any]) -> Any:
    """``jax.vmap(f, …)`` and the like, from the result of `transform_parts`.

    Raises
    ------
    ValueError
        If there is no such transformation.
    """
    if name not in _TRANSFORMS:
        raise ValueError(f"{name!r:.80} is not a transformation")
    unknown = options.keys() - set(inspect.signature(_TRANSFORMS[name]).parameters)
    if unknown:
        raise ValueError(f"`jax.{name}` has no option {min(unknown)!r:.80}")
    return _TRANSFORMS[name](function, **options)


@functools.cache
def unravel_type() -> type:
    """The type of the inverse that `jax.flatten_util.ravel_pytree` returns."""
    return type(ravel_pytree(0)[1])


@functools.cache
def equinox_wrapper_names() -> tuple[str, ...]:
    """Attributes that Equinox copies from a wrapped function onto its wrapper."""
    return ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")


@functools.cache
def bound_method_type() -> type:
    """The class of a bound method of an `equinox.Module`, itself a Module."""

    class Example(eqx.Module):
        def method(self) -> None:
            pass

    return type(Example().method)


@functools.cache
def filter_jit_type() -> type:
    """The class of the functions that `equinox.filter_jit` returns."""
    return type(eqx.filter_jit(lambda: None))


@functools.cache
def equinox_missing() -> Any:
    """The marker of Equinox for an attribute that a wrapped function lacks."""
    try:
        from equinox._module._flatten import MISSING
    except ImportError:  # older releases leave the attribute out instead
        return object()
    return MISSING


@functools.cache
def typed_literals() -> dict[str, type]:
    """The classes of numbers with a dtype, by name; JAX makes them of Python's."""
    try:
        from jax._src import literals
    except ImportError:
        return {}
    names = ("TypedInt", "TypedFloat", "TypedComplex")
    return {name: getattr(literals, name) for name in names if hasattr(literals, name)}
