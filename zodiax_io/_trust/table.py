"""The names that any file may use: pure functions, harmless types, known packages.

Each function was called under an audit hook and touched neither files nor processes;
whatever loads, saves, calls back, prints or breaks into a debugger was left out.
"""

from __future__ import annotations

# Public module: names of its functions.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    module: tuple(names.split())
    for module, names in {
        "jax.nn": """
            celu dot_product_attention elu gelu glu hard_sigmoid hard_silu
            hard_swish hard_tanh identity leaky_relu log1mexp log_sigmoid
            log_softmax logmeanexp logsumexp mish one_hot relu relu6
            scaled_dot_general scaled_matmul selu sigmoid silu soft_sign
            softmax softplus sparse_plus sparse_sigmoid squareplus
            standardize swish tanh
        """,
        "jax.numpy": """
            abs absolute acos acosh add all allclose amax amin angle any
            append apply_along_axis apply_over_axes arange arccos arccosh
            arcsin arcsinh arctan arctan2 arctanh argmax argmin argpartition
            argsort argwhere around array array_equal array_equiv
            array_split asarray asin asinh astype atan atan2 atanh
            atleast_1d atleast_2d atleast_3d average bartlett bincount
            bitwise_and bitwise_count bitwise_invert bitwise_left_shift
            bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman
            block broadcast_arrays broadcast_shapes broadcast_to can_cast
            cbrt ceil choose clip column_stack compress concat concatenate
            conj conjugate convolve copy copysign corrcoef correlate cos
            cosh count_nonzero cov cross cumprod cumsum cumulative_prod
            cumulative_sum deg2rad degrees delete diag diag_indices
            diag_indices_from diagflat diagonal diff digitize divide divmod
            dot dsplit dstack ediff1d einsum einsum_path empty empty_like
            equal exp exp2 expand_dims expm1 extract eye fabs fill_diagonal
            flatnonzero flip fliplr flipud float_power floor floor_divide
            fmax fmin fmod frexp full full_like gcd geomspace gradient
            greater greater_equal hamming hanning heaviside histogram
            histogram2d histogram_bin_edges histogramdd hsplit hstack hypot
            i0 identity imag indices inner insert interp intersect1d invert
            isclose iscomplex iscomplexobj isdtype isfinite isin isinf isnan
            isneginf isposinf isreal isrealobj isscalar issubdtype iterable
            ix_ kaiser kron lcm ldexp left_shift less less_equal lexsort
            linspace log log10 log1p log2 logaddexp logaddexp2 logical_and
            logical_not logical_or logical_xor logspace mask_indices matmul
            matrix_transpose matvec max maximum mean median meshgrid min
            minimum mod modf moveaxis multiply nan_to_num nanargmax
            nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin
            nanpercentile nanprod nanquantile nanstd nansum nanvar ndim
            negative nextafter nonzero not_equal ones ones_like outer
            packbits pad partition percentile permute_dims piecewise place
            poly polyadd polyder polydiv polyfit polyint polymul polysub
            polyval positive pow power prod promote_types ptp put
            put_along_axis quantile rad2deg radians ravel ravel_multi_index
            real reciprocal remainder repeat reshape resize result_type
            right_shift rint roll rollaxis roots rot90 round searchsorted
            select setdiff1d setxor1d shape sign signbit sin sinc sinh size
            sort sort_complex spacing split sqrt square squeeze stack std
            subtract sum swapaxes take take_along_axis tan tanh tensordot
            tile trace transpose trapezoid tri tril tril_indices
            tril_indices_from trim_zeros triu triu_indices triu_indices_from
            true_divide trunc union1d unique unique_all unique_counts
            unique_inverse unique_values unpackbits unravel_index unstack
            unwrap vander var vdot vecdot vecmat vectorize vsplit vstack
            where zeros zeros_like
        """,
        "jax.lax": """
            abs acos acosh add all_gather all_to_all approx_max_k
            approx_min_k argmax argmin asin asinh associative_scan atan
            atan2 atanh axis_index axis_size batch_matmul bessel_i0e
            bessel_i1e betainc bitcast_convert_type bitwise_and bitwise_not
            bitwise_or bitwise_xor broadcast broadcast_in_dim broadcast_like
            broadcast_shapes broadcast_to_rank broadcasted_iota cbrt ceil
            clamp clz collapse complex concatenate cond conj conv
            conv_general_dilated conv_general_dilated_local
            conv_general_dilated_patches conv_transpose
            conv_with_general_padding convert_element_type cos cosh
            cumlogsumexp cummax cummin cumprod cumsum custom_linear_solve
            custom_root digamma div dot dot_general dynamic_index_in_dim
            dynamic_slice dynamic_slice_in_dim dynamic_update_index_in_dim
            dynamic_update_slice dynamic_update_slice_in_dim eq erf erf_inv
            erfc exp exp2 expand_dims expm1 fft floor fori_loop full
            full_like gather ge gt igamma igamma_grad_a igammac imag
            index_in_dim index_take integer_pow iota is_finite le lgamma log
            log1p logistic lt map max min mul mulhi ne neg nextafter
            optimization_barrier pad platform_dependent pmax pmean pmin
            polygamma population_count pow ppermute pshuffle psum
            psum_scatter pswapaxes ragged_dot random_gamma_grad real
            reciprocal reduce reduce_and reduce_max reduce_min reduce_or
            reduce_precision reduce_prod reduce_sum reduce_window reduce_xor
            rem reshape rev rng_bit_generator rng_uniform round rsqrt scan
            scatter scatter_add scatter_apply scatter_max scatter_min
            scatter_mul scatter_sub select select_n shift_left
            shift_right_arithmetic shift_right_logical sign sin sinh slice
            slice_in_dim sort sort_key_val split sqrt square squeeze
            stop_gradient sub switch tan tanh tile top_k transpose
            while_loop with_sharding_constraint zeta
        """,
        "jax.scipy.special": """
            bernoulli bessel_jn beta betainc betaln boxcox boxcox1p comb
            dawsn digamma entr erf erfc erfcx erfinv exp1 expi expit expn
            factorial fresnel gamma gammainc gammaincc gammaln gammasgn
            hyp1f1 hyp2f1 i0 i0e i1 i1e kl_div log_ndtr log_softmax loggamma
            logit logsumexp multigammaln ndtr ndtri owens_t poch polygamma
            rel_entr sici softmax spence sph_harm_y wofz xlog1py xlogy zeta
        """,
        "numpy": """
            abs absolute acos acosh add all allclose amax amin angle any
            append apply_along_axis apply_over_axes arange arccos arccosh
            arcsin arcsinh arctan arctan2 arctanh argmax argmin argpartition
            argsort argwhere around array array_equal array_equiv
            array_split asarray asarray_chkfinite ascontiguousarray
            asfortranarray asin asinh astype atan atan2 atanh atleast_1d
            atleast_2d atleast_3d average bartlett bincount bitwise_and
            bitwise_count bitwise_invert bitwise_left_shift bitwise_not
            bitwise_or bitwise_right_shift bitwise_xor blackman block
            broadcast_arrays broadcast_shapes broadcast_to can_cast cbrt
            ceil choose clip column_stack compress concat concatenate conj
            conjugate convolve copy copysign corrcoef correlate cos cosh
            count_nonzero cov cross cumprod cumsum cumulative_prod
            cumulative_sum deg2rad degrees delete diag diag_indices
            diag_indices_from diagflat diagonal diff digitize divide divmod
            dot dsplit dstack ediff1d einsum empty empty_like equal exp exp2
            expand_dims expm1 extract eye fabs fix flatnonzero flip fliplr
            flipud float_power floor floor_divide fmax fmin fmod frexp full
            full_like gcd geomspace gradient greater greater_equal hamming
            hanning heaviside histogram histogram2d histogram_bin_edges
            histogramdd hsplit hstack hypot i0 identity imag indices inner
            insert interp intersect1d invert isclose iscomplex iscomplexobj
            isdtype isfinite isfortran isin isinf isnan isnat isneginf isposinf
            isreal isrealobj isscalar issubdtype iterable ix_ kaiser kron
            lcm ldexp left_shift less less_equal lexsort linspace log log10
            log1p log2 logaddexp logaddexp2 logical_and logical_not
            logical_or logical_xor logspace matmul matrix_transpose matvec
            max maximum mean median meshgrid min minimum mod modf moveaxis
            multiply nan_to_num nanargmax nanargmin nancumprod nancumsum
            nanmax nanmean nanmedian nanmin nanpercentile nanprod
            nanquantile nanstd nansum nanvar ndim negative nextafter nonzero
            not_equal ones ones_like outer packbits pad partition percentile
            permute_dims piecewise poly polyadd polyder polydiv polyfit
            polyint polymul polysub polyval positive pow power prod
            promote_types ptp quantile rad2deg radians ravel
            ravel_multi_index real real_if_close reciprocal remainder repeat
            reshape resize result_type right_shift rint roll rollaxis roots
            rot90 round row_stack searchsorted select setdiff1d setxor1d
            shape sign signbit sin sinc sinh size sort sort_complex spacing
            split sqrt square squeeze stack std subtract sum swapaxes take
            take_along_axis tan tanh tensordot tile trace transpose
            trapezoid tri tril tril_indices tril_indices_from trim_zeros
            triu triu_indices triu_indices_from true_divide trunc union1d
            unique unique_all unique_counts unique_inverse unique_values
            unpackbits unravel_index unstack unwrap vander var vdot vecdot
            vecmat vsplit vstack where zeros zeros_like
        """,
        "jax.nn.initializers": """
            constant delta_orthogonal glorot_normal glorot_uniform he_normal
            he_uniform kaiming_normal kaiming_uniform lecun_normal
            lecun_uniform normal ones orthogonal truncated_normal uniform
            variance_scaling xavier_normal xavier_uniform zeros
        """,
        "jax.numpy.linalg": """
            cholesky cond cross det diagonal eig eigh eigvals eigvalsh inv
            lstsq matmul matrix_norm matrix_power matrix_rank
            matrix_transpose multi_dot norm outer pinv qr slogdet solve svd
            svdvals tensordot tensorinv tensorsolve trace vecdot vector_norm
        """,
        "jax.numpy.fft": """
            fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift
            ihfft irfft irfft2 irfftn rfft rfft2 rfftfreq rfftn
        """,
        "jax.scipy.linalg": """
            block_diag cho_factor cho_solve cholesky circulant companion
            convolution_matrix det dft eigh eigh_tridiagonal expm
            expm_frechet fiedler funm hadamard hankel helmert hessenberg
            hilbert inv invhilbert invpascal leslie lu lu_factor lu_solve
            pascal polar qr rsf2csf schur solve solve_sylvester
            solve_triangular sqrtm svd toeplitz
        """,
        "numpy.linalg": """
            cholesky cond det eig eigh eigvals eigvalsh inv lstsq
            matrix_norm matrix_power matrix_rank multi_dot norm pinv qr
            slogdet solve svd svdvals vector_norm
        """,
        "numpy.fft": """
            fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift
            ihfft irfft irfft2 irfftn rfft rfft2 rfftfreq rfftn
        """,
        "jax.random": """
            PRNGKey ball bernoulli beta binomial bits categorical cauchy
            chisquare choice clone dirichlet double_sided_maxwell
            exponential f fold_in gamma generalized_normal geometric gumbel
            key key_data key_impl laplace loggamma logistic lognormal
            maxwell multinomial multivariate_normal normal orthogonal pareto
            permutation poisson rademacher randint rayleigh split t
            triangular truncated_normal uniform wald weibull_min
            wrap_key_data
        """,
        "jax.scipy.stats.norm": """
            cdf isf logcdf logpdf logsf pdf ppf sf
        """,
        "jax.image": """
            resize scale_and_translate
        """,
        "jax.ops": """
            segment_max segment_min segment_prod segment_sum
        """,
        "jax": """
            checkpoint custom_gradient eval_shape grad hessian jacfwd
            jacobian jacrev jit jvp linear_transpose linearize named_call
            pmap remat value_and_grad vjp vmap
        """,
        "jax.tree": """
            all flatten leaves map reduce structure transpose unflatten
        """,
        "jax.tree_util": """
            keystr tree_all tree_flatten tree_flatten_with_path tree_leaves
            tree_leaves_with_path tree_map tree_map_with_path tree_reduce
            tree_structure tree_transpose tree_unflatten
        """,
        "jax._src.flatten_util": """
            _unravel_list _unravel_list_single_dtype unravel_pytree
        """,
        "jax.flatten_util": """
            ravel_pytree
        """,
        "equinox": """
            apply_updates combine filter filter_checkpoint
            filter_eval_shape filter_grad filter_hessian filter_jacfwd
            filter_jacrev filter_jit filter_jvp filter_make_jaxpr
            filter_value_and_grad filter_vjp filter_vmap is_array
            is_array_like is_inexact_array is_inexact_array_like
            module_update_wrapper partition tree_at tree_check tree_equal
            tree_inference
        """,
        "equinox.nn": """
            delete_init_state inference_mode make_with_state
        """,
        "equinox.nn._mlp": """
            _identity
        """,
        "equinox.nn._weight_norm": """
            _norm_except_axis
        """,
        "math": """
            acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos
            cosh degrees dist erf erfc exp exp2 expm1 fabs floor fmod frexp
            fsum gamma gcd hypot isclose isfinite isinf isnan isqrt lcm
            ldexp lgamma log log10 log1p log2 modf nextafter pow prod
            radians remainder sin sinh sqrt tan tanh trunc ulp
        """,
        "operator": """
            abs add and_ contains eq floordiv ge getitem gt index inv invert
            is_ is_not le lshift lt matmul mod mul ne neg not_ or_ pos pow
            rshift sub truediv truth xor
        """,
        "builtins": """
            abs all any divmod len max min pow round sorted sum
        """,
        "optimistix": """
            dai_yuan fletcher_reeves hestenes_stiefel max_norm polak_ribiere rms_norm
            sum_squares two_norm
        """,
        "optimistix._misc": """
            _default_no_verbose _default_verbose
        """,
        "lineax": """
            linear_solve
        """,
        "lineax._norm": """
            max_norm rms_norm sum_squares two_norm
        """,
        "diffrax._saveat": """
            save_y
        """,
        "diffrax": """
            steady_state_event
        """,
        "jax.scipy.fft": """
            dct dctn idct idctn
        """,
        "jax.scipy.integrate": """
            trapezoid
        """,
        "jax.scipy.ndimage": """
            map_coordinates
        """,
        "jax.scipy.signal": """
            convolve convolve2d correlate correlate2d csd detrend
            fftconvolve istft stft welch
        """,
        "jax.scipy.sparse.linalg": """
            bicgstab cg gmres
        """,
        "jax.scipy.optimize": """
            minimize
        """,
        "jax.scipy.cluster.vq": """
            vq
        """,
        "jax.scipy.stats": """
            mode rankdata sem
        """,
        "optax": """
            apply_updates bias_correction constant_schedule
            convex_kl_divergence cosine_decay_schedule cosine_distance
            cosine_onecycle_schedule cosine_similarity ctc_loss
            exponential_decay global_norm hinge_loss huber_loss
            incremental_update join_schedules kl_divergence l2_loss
            linear_onecycle_schedule linear_schedule log_cosh ntxent
            periodic_update piecewise_constant_schedule
            piecewise_interpolate_schedule polynomial_schedule
            safe_increment safe_int32_increment safe_norm
            safe_root_mean_squares safe_softmax_cross_entropy scale_gradient
            sgdr_schedule sigmoid_binary_cross_entropy sigmoid_focal_loss
            skip_large_updates skip_not_finite smooth_labels
            softmax_cross_entropy softmax_cross_entropy_with_integer_labels
            squared_error update_infinity_moment update_moment
            warmup_constant_schedule warmup_cosine_decay_schedule
            warmup_exponential_decay_schedule
        """,
        "jax.scipy.stats.bernoulli": """
            cdf logpmf pmf ppf
        """,
        "jax.scipy.stats.beta": """
            cdf logcdf logpdf logsf pdf sf
        """,
        "jax.scipy.stats.betabinom": """
            logpmf pmf
        """,
        "jax.scipy.stats.binom": """
            logpmf pmf
        """,
        "jax.scipy.stats.cauchy": """
            cdf isf logcdf logpdf logsf pdf ppf sf
        """,
        "jax.scipy.stats.chi2": """
            cdf logcdf logpdf logsf pdf sf
        """,
        "jax.scipy.stats.dirichlet": """
            logpdf pdf
        """,
        "jax.scipy.stats.expon": """
            cdf logcdf logpdf logsf pdf ppf sf
        """,
        "jax.scipy.stats.gamma": """
            cdf logcdf logpdf logsf pdf sf
        """,
        "jax.scipy.stats.gennorm": """
            cdf logpdf pdf
        """,
        "jax.scipy.stats.geom": """
            logpmf pmf
        """,
        "jax.scipy.stats.gumbel_l": """
            cdf logcdf logpdf logsf pdf ppf sf
        """,
        "jax.scipy.stats.gumbel_r": """
            cdf logcdf logpdf logsf pdf ppf sf
        """,
        "jax.scipy.stats.laplace": """
            cdf logpdf pdf
        """,
        "jax.scipy.stats.logistic": """
            cdf isf logpdf pdf ppf sf
        """,
        "jax.scipy.stats.multinomial": """
            logpmf pmf
        """,
        "jax.scipy.stats.multivariate_normal": """
            logpdf pdf
        """,
        "jax.scipy.stats.nbinom": """
            logpmf pmf
        """,
        "jax.scipy.stats.pareto": """
            cdf logcdf logpdf logsf pdf ppf sf
        """,
        "jax.scipy.stats.poisson": """
            cdf entropy logpmf pmf
        """,
        "jax.scipy.stats.t": """
            logpdf pdf
        """,
        "jax.scipy.stats.truncnorm": """
            cdf logcdf logpdf logsf pdf sf
        """,
        "jax.scipy.stats.uniform": """
            cdf logpdf pdf ppf
        """,
        "jax.scipy.stats.vonmises": """
            logpdf pdf
        """,
        "jax.scipy.stats.wrapcauchy": """
            logpdf pdf
        """,
    }.items()
}

# Types that may be *values* (a converter, a `dtype=float`); no load makes instances of
# them by name.
VALUES: dict[str, tuple[str, ...]] = {
    module: tuple(names.split())
    for module, names in {
        "builtins": """
            ArithmeticError AssertionError AttributeError Exception FloatingPointError
            IndexError KeyError LookupError NotImplementedError OverflowError
            RuntimeError TypeError ValueError Warning ZeroDivisionError bool bytearray
            bytes complex dict float frozenset int list memoryview object range set
            slice str tuple type
        """,
        "types": "EllipsisType FunctionType NoneType NotImplementedType",
        "collections": "OrderedDict defaultdict deque",
        "collections.abc": """
            Callable Collection Container Hashable Iterable Iterator Mapping
            MutableMapping MutableSequence Sequence Set Sized
        """,
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "enum": "Enum Flag IntEnum IntFlag StrEnum",
        "fractions": "Fraction",
        "functools": "partial",
        "jax": "Array ShapeDtypeStruct",
        "jax.sharding": "PartitionSpec",
        "jax.typing": "ArrayLike DTypeLike",
        "jaxtyping": "PyTree",
        "numbers": "Complex Integral Number Rational Real",
        "numpy": "dtype ndarray ufunc",
        "pathlib": "Path PurePath PurePosixPath PureWindowsPath",
        "typing": """
            Any Callable ClassVar Final Generic Literal NamedTuple NoReturn Optional
            Protocol Union
        """,
        "uuid": "UUID",
    }.items()
}

# Packages of the field: a file may have them imported, when they are installed.
PACKAGES = frozenset(
    """
    abcdLux blackjax brax chex coordinax diffrax distrax distreqx dLux dLuxToliman
    dLuxWebbpsf dynamax dynamiqs e3nn_jax equimo equinox evosax exponax flashbax
    flax flowjax galax gpjax gymnax haiku haliax ihoop interpax jax jax_cosmo jax_md
    jaxdf jaxkd jaxley jaxlib jaxlie jaxopt jaxtyping jraph jumanji kfac_jax lineax
    mctx ml_dtypes numpy numpyro optax optimistix ott paramax penzai pgx probdiffeq
    quadax quax quaxed rax rlax signax sympy2jax tensorflow_probability tinygp
    traceax unxt xmmutablemap zodiax
    """.split()
)

# Packages whose own classes may hand-write `__getattr__` and its kin, unasked.
EXEMPT = frozenset({"equinox", "zodiax", "dLux"})

# Modules whose classes were read: they call the functions that they hold with the
# inputs of their own calls, and with what they compute from these. `BoundMethod`, in
# `equinox._module`, is only built around an object whose method it is.
CALL_WITH_INPUTS = frozenset(
    """
    dLux equinox._ad equinox._jit equinox._make_jaxpr equinox._module
    equinox._vmap_pmap equinox.nn zodiax
    """.split()
)
CALL_WITH_HELD = frozenset({"equinox.nn:Shared", "equinox.nn._shared:Shared"})

# The frameworks: too large to trust as a whole, so their functions come from the table.
FRAMEWORKS = frozenset(
    """
    absl beartype equinox etils jax jaxlib jaxtyping ml_dtypes msgpack numpy scipy
    typing_extensions wadler_lindig xxhash
    """.split()
)

# Packages whose local functions were read: they touch nothing but their arguments.
LOCAL_FUNCTIONS = frozenset(
    """
    dLux diffrax distreqx flowjax lineax optimistix paramax sympy2jax zodiax
    """.split()
)

# Classes of the frameworks that a file may have built, beside Equinox Modules.
CLASSES: dict[str, tuple[str, ...]] = {
    "equinox": ("if_array", "if_mapped"),
    "equinox.nn": ("State",),
    "equinox.nn._shared": ("SharedNode",),
    "jax.experimental.sparse.bcoo": ("BCOO",),
    "jax.experimental.sparse.bcsr": ("BCSR",),
    "jax.experimental.sparse.coo": ("COO",),
    "jax.experimental.sparse.csr": ("CSC", "CSR"),
    "jax.scipy.interpolate": ("RegularGridInterpolator",),
    "jax.scipy.stats": ("gaussian_kde",),
    "jax._src.third_party.scipy.interpolate": ("RegularGridInterpolator",),
    "jax._src.scipy.stats.kde": ("gaussian_kde",),
}
