"""A pytree to its structure, and back.

Read `encode` (a tree to its structure) and `decode` (the structure to its tree) first.
Of the others:

- `snapshot`: a tree with all that a file says of it, apart from where it is written
- `restore`, `placement`: arrays as JAX's, on the devices they belong to
- `like`: a checkpoint loaded into a tree of the caller's
- `shardings`: the sharding of each array, from a tree of shardings
- `locate`: where the leaves of a tree are in its structure
"""
