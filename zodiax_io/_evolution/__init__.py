"""Code that has changed since a file was written.

Read `fields` (classes that gained or lost fields) and `packages` (versions and
settings, recorded and compared) first. Then `upgrades` and `proposals` (what the owner
of a class registers, and what an error proposes), and `opaque` (placeholders for
objects whose classes are missing).
"""
