"""The names that any file may use: pure functions, harmless types, known packages.

The functions are in `functions.txt`, with the rule by which they were chosen.
"""

from __future__ import annotations

from importlib import resources


def sections(text: str) -> dict[str, tuple[str, ...]]:
    """Read the names of each section of a file such as `functions.txt`."""
    found: dict[str, tuple[str, ...]] = {}
    for section in text.split("\n[")[1:]:
        module, _, names = section.partition("]")
        found[module] = tuple(names.split())
    return found


# Public module: names of its functions.
FUNCTIONS = sections(
    resources.files("zodiax_io._trust").joinpath("functions.txt").read_text("utf8")
)

# Types that may be values, such as a converter or `dtype=float`: a load makes no
# instances of them.
VALUES: dict[str, tuple[str, ...]] = {
    module: tuple(names.split())
    for module, names in {
        "astropy.coordinates": """
            CartesianDifferential CartesianRepresentation CylindricalDifferential
            CylindricalRepresentation PhysicsSphericalDifferential
            PhysicsSphericalRepresentation RadialDifferential RadialRepresentation
            SphericalCosLatDifferential SphericalDifferential SphericalRepresentation
            UnitSphericalCosLatDifferential UnitSphericalDifferential
            UnitSphericalRepresentation
        """,
        "builtins": """
            ArithmeticError AssertionError AttributeError BaseException
            DeprecationWarning EOFError Exception FloatingPointError FutureWarning
            ImportError IndexError KeyError LookupError NameError NotImplementedError
            OSError OverflowError RecursionError RuntimeError RuntimeWarning
            StopIteration TypeError UserWarning ValueError Warning ZeroDivisionError
            bool bytearray bytes complex dict enumerate filter float frozenset int list
            map memoryview object range reversed set slice str tuple type zip
        """,
        "types": """
            BuiltinFunctionType EllipsisType FunctionType GenericAlias MappingProxyType
            MethodType NoneType NotImplementedType SimpleNamespace UnionType
        """,
        "abc": "ABC ABCMeta",
        "array": "array",
        "collections": """
            ChainMap Counter OrderedDict UserDict UserList defaultdict deque
        """,
        "collections.abc": """
            Callable Collection Container Hashable Iterable Iterator Mapping
            MutableMapping MutableSequence Sequence Set Sized
        """,
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "equinox": "filter_custom_jvp filter_custom_vjp",
        "enum": "Enum Flag IntEnum IntFlag StrEnum",
        "fractions": "Fraction",
        "functools": "partial",
        "inspect": "_empty",
        "itertools": """
            accumulate chain combinations combinations_with_replacement compress count
            cycle dropwhile filterfalse groupby islice pairwise permutations product
            repeat starmap takewhile zip_longest
        """,
        "jax": "Array Device ShapeDtypeStruct custom_jvp custom_vjp",
        "jax.core": "ShapedArray Tracer",
        "jax.custom_batching": "custom_vmap",
        "jax.custom_derivatives": "CustomVJPPrimal SymbolicZero",
        "jax.nn.initializers": "Initializer",
        "jax.numpy": "ufunc",
        "jax.sharding": """
            AbstractMesh Mesh NamedSharding PartitionSpec Sharding SingleDeviceSharding
        """,
        "jax.tree_util": """
            DictKey FlattenedIndexKey GetAttrKey PyTreeDef SequenceKey
        """,
        "jax.typing": "ArrayLike DTypeLike",
        "jaxtyping": """
            BFloat16 Bool Complex Complex128 Complex64 Float Float16 Float32 Float64
            Inexact Int Int16 Int32 Int64 Int8 Integer Key Num PyTree Real Shaped
            UInt UInt16 UInt32 UInt64 UInt8
        """,
        "numbers": "Complex Integral Number Rational Real",
        "numpy": "dtype finfo iinfo ndarray ufunc",
        "pathlib": "Path PurePath PurePosixPath PureWindowsPath",
        "typing": """
            Any Callable ClassVar Final Generic Literal NamedTuple NoReturn Optional
            Protocol Union
        """,
        "uuid": "UUID",
    }.items()
}

# Modules that may be values, as namespaces whose functions a model calls. All are of
# functions on arrays and numbers, of layers or of transformations. None is for files,
# processes or code, apart from what NumPy's own users call by its name.
MODULES = frozenset(
    """
    array_api_compat array_api_compat.numpy array_api_strict blackjax cmath dLux.layers
    dLux.utils diffrax distrax equinox equinox.nn flowjax.bijections
    flowjax.distributions flowjax.flows gpjax.kernels jax jax.dtypes jax.image jax.lax
    jax.lax.linalg jax.nn jax.nn.initializers jax.numpy jax.numpy.fft jax.numpy.linalg
    jax.ops jax.random jax.scipy jax.scipy.cluster jax.scipy.cluster.vq jax.scipy.fft
    jax.scipy.integrate jax.scipy.interpolate jax.scipy.linalg jax.scipy.ndimage
    jax.scipy.optimize jax.scipy.signal jax.scipy.sparse jax.scipy.sparse.linalg
    jax.scipy.spatial jax.scipy.spatial.transform jax.scipy.special jax.scipy.stats
    jax.scipy.stats.bernoulli jax.scipy.stats.beta jax.scipy.stats.betabinom
    jax.scipy.stats.binom jax.scipy.stats.cauchy jax.scipy.stats.chi2
    jax.scipy.stats.dirichlet jax.scipy.stats.expon jax.scipy.stats.gamma
    jax.scipy.stats.gennorm jax.scipy.stats.geom jax.scipy.stats.gumbel_l
    jax.scipy.stats.gumbel_r jax.scipy.stats.laplace jax.scipy.stats.logistic
    jax.scipy.stats.multinomial jax.scipy.stats.multivariate_normal
    jax.scipy.stats.nbinom jax.scipy.stats.norm jax.scipy.stats.pareto
    jax.scipy.stats.poisson jax.scipy.stats.t jax.scipy.stats.truncnorm
    jax.scipy.stats.uniform jax.scipy.stats.vonmises jax.scipy.stats.wrapcauchy
    jax.tree jax.tree_util lineax math numpy numpy.fft numpy.linalg numpy.ma
    numpy.polynomial numpy.random numpyro.distributions
    numpyro.distributions.constraints numpyro.distributions.transforms optax
    optax.losses optax.schedules optimistix quaxed quaxed.lax quaxed.numpy
    quaxed.numpy.fft quaxed.numpy.linalg quaxed.scipy quaxed.scipy.special scipy.fft
    scipy.integrate scipy.interpolate scipy.linalg scipy.ndimage scipy.optimize
    scipy.signal scipy.sparse scipy.sparse.linalg scipy.spatial scipy.special
    scipy.stats tinygp.kernels
    """.split()
)

# The known packages. If one is installed, a file may have it imported.
PACKAGES = frozenset(
    """
    abcdLux bijx blackjax brax chex coordinax diffrax distrax distreqx dLux dLuxToliman
    dLuxWebbpsf dm_env dynamax dynamiqs e3nn_jax equimo equinox evosax exponax flashbax
    flax flowjax frozendict galax gpjax gymnax haiku haliax ihoop immutabledict interpax
    jax jax_cosmo jax_dataclasses jax_md jaxdf jaxkd jaxley jaxlib jaxlie jaxopt
    jaxtyping jmp jraph jumanji kfac_jax lineax matfree mctx ml_collections ml_dtypes
    numpy numpyro omegaconf optax optimistix ott paramax penzai pgx probdiffeq quadax
    quax quax_blocks quaxed rax rlax signax sympy2jax tensorflow_probability tinygp
    traceax tridiax unxt xmmutablemap zodiax
    """.split()
)

# Classes of Python's library whose instances hold data only, and nothing else.
STANDARD_CLASSES: dict[str, tuple[str, ...]] = {
    "argparse": ("Namespace",),
    "collections": ("ChainMap", "Counter", "UserDict", "UserList", "UserString"),
    "inspect": ("BoundArguments", "Parameter", "Signature", "_ParameterKind"),
    "optparse": ("Values",),
    "string": ("Template",),
}

# Classes with a `__setstate__` or the like that was read: it keeps the attributes, and
# nothing else.
COPIED_BY_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "dm_env.specs": ("Array", "BoundedArray", "DiscreteArray", "StringArray"),
    "jumanji.specs": (
        *("Array", "BoundedArray", "DiscreteArray", "MultiDiscreteArray", "Spec"),
    ),
    "ml_collections.config_dict.config_dict": (
        "ConfigDict",
        "FieldReference",
        "FrozenConfigDict",
    ),
}

# The classes of which configurations of OmegaConf consist.
OMEGACONF_NODES: dict[str, tuple[str, ...]] = {
    "omegaconf.base": ("UnionNode",),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.nodes": (
        *("AnyNode", "BooleanNode", "BytesNode", "EnumNode", "FloatNode"),
        *("IntegerNode", "LiteralNode", "NoneNode", "PathNode", "StringNode"),
    ),
    "omegaconf.tupleconfig": ("TupleConfig",),
}

# Packages whose classes were read, with their own `__getattr__`, `__eq__` and the like:
# these only read, compare or hash what the object contains. Of tensorflow_probability
# it is `substrates.jax`. In flax.linen, `__getattr__` calls `setup`, but only of a
# module that is bound to variables, and no file holds one.
SPECIAL_METHODS_READ = frozenset(
    """
    abcdLux bijx blackjax brax chex coordinax diffrax distrax distreqx dLux dm_env
    dynamax dynamiqs e3nn_jax equimo equinox evosax exponax flashbax flax flowjax
    frozendict galax gpjax gymnax haiku haliax ihoop immutabledict interpax jax_cosmo
    jax_dataclasses jax_md jaxdf jaxkd jaxley jaxlie jaxopt jmp jraph jumanji kfac_jax
    lineax matfree mctx numpyro optax optimistix ott paramax penzai pgx probdiffeq
    quadax quax quax_blocks rax rlax signax sympy2jax tensorflow_probability tinygp
    traceax tridiax unxt xmmutablemap zodiax
    """.split()
)

# Packages that print their objects by nothing but what these contain.
PRINTING_READ = frozenset({"equinox", "zodiax", "dLux"})

# Packages whose objects compute hashes, and compare themselves, by what they contain.
HASHES_READ = frozenset({"astropy", "sympy"})

# Packages whose metaclasses were read: they do nothing when a class is looked at.
METACLASSES_READ = frozenset({"plum", "sympy"})

# Modules whose classes were read: they call the functions that they contain with the
# inputs of their own calls, and with values computed from these. `BoundMethod`, in
# `equinox._module`, is only built around an object that has the method.
CALL_WITH_INPUTS = frozenset(
    """
    dLux equinox._ad equinox._jit equinox._make_jaxpr equinox._module
    equinox._vmap_pmap equinox.nn flax.linen.combinators zodiax
    """.split()
)
CALL_WITH_HELD = frozenset({"equinox.nn:Shared", "equinox.nn._shared:Shared"})

# The frameworks: too large to trust as a whole. Their functions must be in the table.
FRAMEWORKS = frozenset(
    """
    absl beartype equinox etils jax jaxlib jaxtyping ml_dtypes msgpack numpy scipy
    typing_extensions wadler_lindig xxhash
    """.split()
)

# Packages whose local functions were read: they use nothing but their arguments.
LOCAL_FUNCTIONS = frozenset(
    """
    dLux diffrax distreqx flowjax lineax optax optimistix paramax sympy2jax zodiax
    """.split()
)

# Subpackages called as if they were examples, which are part of the library.
LIBRARIES = frozenset({"quax.examples"})

# Classes that may be built, as well as Equinox Modules and those of known packages.
CLASSES: dict[str, tuple[str, ...]] = {
    **COPIED_BY_ATTRIBUTES,
    **OMEGACONF_NODES,
    "equinox": ("if_array", "if_mapped"),
    "equinox.nn": ("State",),
    "equinox.nn._shared": ("SharedNode",),
    # Its unflatten function makes the mark of the present trace.
    "flax.nnx.tracers": ("TraceState",),
    "jax.example_libraries.optimizers": ("OptimizerState",),
    "jax.experimental.sparse.bcoo": ("BCOO",),
    "jax.experimental.sparse.bcsr": ("BCSR",),
    "jax.experimental.sparse.coo": ("COO",),
    "jax.experimental.sparse.csr": ("CSC", "CSR"),
    "jax.lax": ("RaggedDotDimensionNumbers",),
    "jax.scipy.interpolate": ("RegularGridInterpolator",),
    "jax.scipy.stats": ("gaussian_kde",),
    "jax._src.third_party.scipy.interpolate": ("RegularGridInterpolator",),
    "jax._src.scipy.stats.kde": ("gaussian_kde",),
}
