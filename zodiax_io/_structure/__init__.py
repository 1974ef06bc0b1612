"""The structure of a tree: plain data of a file, parsed before any object is made.

Read `paths` (where a node is) and `nodes` (`Structure.parse`, which checks all that a
file can say of nodes) first; then `uses` (the names in a structure), `globs` (what a
path means), `selection` (which nodes that is) and `pairing` (two structures side by
side).
"""
