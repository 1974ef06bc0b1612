"""The table of kinds: every sort of object that can be kept, in order."""

from . import (
    advice,
    annotations,
    arrays,
    closures,
    columns,
    containers,
    dates,
    enums,
    functions,
    objects,
    placeholders,
    pytrees,
    values,
    wrappers,
)
from .base import Kind

# The first row that matches the class of an object, and takes it, keeps it.
_GROUPS: tuple[tuple[Kind, ...], ...] = (
    # Subclasses of arrays, tracers among them, are refused, never kept as their base.
    (arrays.JAX, arrays.KEY, arrays.TRACER),
    (arrays.NUMPY, arrays.MASKED, arrays.NDARRAY),
    # Before the numbers of Python: `np.float64` is a `float`.
    (arrays.SCALAR, arrays.DAMAGED),
    (arrays.DTYPE, arrays.SCALAR_TYPE, arrays.SHAPE_DTYPE, arrays.PARTITION_SPEC),
    (values.NONE, values.BOOL, values.INT, values.FLOAT, values.COMPLEX),
    (values.STR, values.BYTES, values.BYTEARRAY),
    (values.CONSTANT, values.SLICE, values.RANGE),
    (enums.ENUM,),
    (dates.DATE, dates.TIME, dates.DATETIME, dates.TIMEDELTA, dates.TIMEZONE),
    (values.UUID, values.FRACTION, values.DECIMAL, values.PATH),
    # Before objects: a token, and a function below a decorator, may be a Module.
    (functions.TOKEN, functions.FUNCTION),
    # Before objects: a module of flax is a dataclass.
    (advice.ADVISED,),
    (functions.DEFAULT,),
    # Before Modules: the compiled function inside is made again.
    (wrappers.FILTER_JIT,),
    (wrappers.JIT, wrappers.TRANSFORM, wrappers.UNRAVEL),
    (wrappers.JAX_PARTIAL, wrappers.PARTIAL),
    (functions.METHOD, placeholders.PLACEHOLDER),
    # After transformations: `jax.vmap(f)` is a local function, too.
    (closures.CLOSURE,),
    # After all that keeps a function.
    (placeholders.UNNAMED,),
    # Before objects: a type may be registered as a pytree; and the annotations before
    # classes, since some are instances of `type`.
    (annotations.JAXTYPING, annotations.ANNOTATION, annotations.CLASS),
    # Before the sequences that they are.
    (columns.COLUMN,),
    # A namedtuple is a tuple, and its class may be registered.
    (objects.NAMEDTUPLE,),
    (containers.TUPLE, containers.LIST, containers.DEQUE),
    (containers.SET, containers.FROZENSET),
    (containers.DICT, containers.ORDEREDDICT),
    (containers.DEFAULTDICT, containers.MAPPINGPROXY),
    (values.NAMESPACE,),
    (pytrees.MISSING,),
    # Before Modules: it passes on arguments of the file's choice.
    (objects.EQUINOX_PARTIAL,),
    # By their fields, before any other way to keep them: they may be registered, too.
    (objects.MODULE, objects.DATACLASS),
    # By their attributes; by unflattening where those cannot be kept.
    (pytrees.REGISTERED, pytrees.NODE),
    (pytrees.TREEDEF, pytrees.OBJECT),
    (containers.SUBCLASS,),
    # What could be taken apart has been: what has a name comes back as itself.
    (functions.SINGLETON,),
    (pytrees.MARKER,),
)
TABLE = tuple(kind for group in _GROUPS for kind in group)
