"""The table of kinds: all objects that can be saved, in the order of matching."""

from . import (
    advice,
    annotations,
    arrays,
    closures,
    columns,
    configurations,
    containers,
    coordinates,
    dates,
    decorated,
    descriptions,
    enums,
    expressions,
    functions,
    generators,
    linen,
    masked,
    objects,
    parametric,
    partials,
    pint,
    placeholders,
    plain,
    python_modules,
    pytrees,
    scipy,
    sparse,
    subarrays,
    unit_systems,
    units,
    values,
    wrappers,
)
from .base import Kind

# The first row that matches the class of an object and encodes it decides.
_GROUPS: tuple[tuple[Kind, ...], ...] = (
    # Subclasses of arrays, such as tracers, are refused, never kept as their base.
    (arrays.JAX, arrays.KEY, arrays.TRACER),
    (arrays.NUMPY, masked.MASKED, masked.MASKED_CONSTANT),
    # A constant of astropy is a quantity.
    (units.NAMED_UNIT, units.UNIT, units.PHYSICAL_TYPE, pint.PINT),
    (subarrays.ASTROPY_MASKED, subarrays.SUBARRAY, sparse.SPARSE),
    (coordinates.COORDINATES, scipy.SCIPY, scipy.DISTRIBUTION),
    # Before the numbers of Python: `np.float64` is a `float`.
    (arrays.SCALAR, arrays.DAMAGED),
    (arrays.DTYPE, arrays.SCALAR_TYPE, arrays.SHAPE_DTYPE, arrays.PARTITION_SPEC),
    # Before the numbers and text of which some are subclasses.
    (descriptions.SHAPED_ARRAY, descriptions.LITERAL, descriptions.TREE_KEY),
    (descriptions.ITEM_GETTER, descriptions.LIMITS_OF_DTYPE),
    (values.NONE, values.BOOL, values.INT, values.FLOAT, values.COMPLEX),
    (values.STR, values.BYTES, values.BYTEARRAY),
    (values.CONSTANT, values.SLICE, values.RANGE),
    (enums.ENUM, expressions.EXPRESSION),
    (generators.SEED, generators.BIT_GENERATOR, generators.GENERATOR),
    (generators.LEGACY_GENERATOR, generators.PYTHON_GENERATOR),
    (dates.DATE, dates.TIME, dates.DATETIME, dates.TIMEDELTA, dates.TIMEZONE),
    (values.UUID, values.FRACTION, values.DECIMAL, values.PATH),
    # Before objects: a token, or a decorated function, may be a Module.
    (functions.TOKEN, functions.FUNCTION),
    # Before advice, which is for other classes of modules.
    (python_modules.PYTHON_MODULE,),
    (advice.ADVISED,),
    (functions.DEFAULT,),
    # Before Modules: the compiled function inside is built again.
    (wrappers.FILTER_JIT,),
    (wrappers.JIT, wrappers.TRANSFORM, partials.UNRAVEL),
    (partials.JAX_PARTIAL, partials.PARTIAL),
    (functions.METHOD, placeholders.PLACEHOLDER, decorated.DECORATED),
    # After transformations: `jax.vmap(f)` is also a local function.
    (closures.CLOSURE,),
    # After every row that keeps functions.
    (placeholders.UNNAMED,),
    # Before objects: a type may be registered as a pytree. Annotations before classes:
    # some are instances of `type`.
    (annotations.JAXTYPING, annotations.ANNOTATION),
    (parametric.PARAMETRIC_CLASS, expressions.EXPRESSION_CLASS, annotations.CLASS),
    # Before the lists and tuples that they are.
    (columns.COLUMN,),
    (configurations.OMEGACONF,),
    # A namedtuple is a tuple, and its class may be registered.
    (objects.NAMEDTUPLE,),
    (containers.TUPLE, containers.LIST, containers.DEQUE),
    (containers.SET, containers.FROZENSET),
    (containers.DICT, containers.ORDEREDDICT),
    (containers.DEFAULTDICT, containers.MAPPINGPROXY),
    (values.NAMESPACE,),
    (pytrees.MISSING,),
    # Before Modules: it calls a function with arguments from the file.
    (objects.EQUINOX_PARTIAL,),
    (unit_systems.UNIT_SYSTEM,),
    # By their fields, before any other way: their classes may be registered, too.
    (parametric.PARAMETRIC, objects.MODULE, linen.LINEN, objects.DATACLASS),
    # By their attributes, or by unflattening if those cannot be kept.
    (pytrees.REGISTERED, pytrees.NODE),
    (pytrees.TREEDEF, pytrees.OBJECT),
    (plain.SUBCLASS,),
    # Objects that cannot be taken apart, but have a name: they load as themselves.
    (functions.SINGLETON,),
    # After it: a constant of a package loads as itself.
    (plain.NAMED_INSTANCE, plain.INSTANCE),
    (pytrees.MARKER,),
)
TABLE = tuple(kind for group in _GROUPS for kind in group)
