"""Files of `zodiax.experimental.serialise` (zodiax up to 0.4) as structure and arrays.

Such a file is a pickle of dictionaries that name the class of each node, followed by
the `.npy` records that Equinox writes for the leaves, in the order in which JAX
flattens the tree. It does not record which fields of a class were static: their texts
are in the pickle, but their numbers and arrays are missing. So each record is assigned
to a leaf that it fits, and fields without a record are left out of their node.

In the order of reading: `reader` (an opened old file), `pickled` and `records` (its
two halves), `tree` (the nodes of the pickle), `classes` (facts from imported classes),
`assignment` (which record belongs to which leaf) and `nodes` (nodes of today's format).
"""

from __future__ import annotations

from .pickled import is_pickle as is_pickle
from .reader import LegacyReader as LegacyReader, is_old as is_old
