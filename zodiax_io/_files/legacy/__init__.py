"""Files of `zodiax.experimental.serialise` (zodiax up to 0.4) as structure and arrays.

Such a file is a pickle of dictionaries, which name the class of each node, and behind
it the `.npy` records that Equinox writes for the leaves, in the order in which JAX
flattens the tree. It does not tell which fields of a class were static: their text is
in the pickle, but their numbers and arrays are nowhere. So the records are dealt out to
the leaves that they fit, and fields without a record are left out of their node.
"""

from __future__ import annotations

from .pickled import is_pickle as is_pickle
from .reader import LegacyReader as LegacyReader, is_old as is_old
