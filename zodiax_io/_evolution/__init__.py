"""Code that has changed since a file was written.

Read `fields` (classes that gained or lost fields) and `packages` (versions and
settings, recorded and compared) first. Then `upgrades` (functions that convert the
fields of old files), `replaced` (saved values that an upgrade replaced) and `proposals`
(upgrades that an error suggests). Last `opaque` (the class `Opaque`, for objects whose
classes are missing), `equality` (whether two of them are equal) and `opaque_nodes`
(nodes of a file to `Opaque` objects, and back).
"""
