"""The structure of a tree: plain dictionaries of one shape, before any object is made.

Read `nodes` (what a node is) and `paths` (where it is) first; then `survey` (all names
and arrays in a structure), `selection` (the nodes that a path means) and `pairing` (two
structures side by side).
"""
