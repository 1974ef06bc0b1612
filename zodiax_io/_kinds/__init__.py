"""Take one object apart and build it again: one row in a table for each kind of object.

Read `base` first (the row of a kind), then `table` (all kinds, in the order of
matching). `look` is the part of a row that says how objects are shown, `lookup` finds
rows, `declared` finds the fields of a class, and `registering` adds rows of users. The
kinds, each row below its two functions:

- `arrays`, `masked`, `subarrays`, `columns`: arrays, those of subclasses, and long
  lists of numbers
- `coordinates`: coordinates and times of astropy
- `units`, `unit_systems`, `pint`: units of astropy, unit systems of unxt, and pint
- `sparse`, `scipy`, `expressions`: sparse arrays, splines, rotations and distributions
  of SciPy; expressions of sympy
- `descriptions`: shapes, places in trees and the like, of JAX and NumPy
- `values`, `enums`, `dates`, `annotations`: plain values of Python, types, annotations
- `generators`: random generators of NumPy and Python
- `containers`, `keys`, `contents`: sequences, sets and mappings; which keys are safe to
  hash; reading containers past the methods of subclasses
- `parametric`: classes with type parameters of plum, and Modules of these
- `objects`, `fields`: modules, dataclasses and namedtuples, by their fields
- `linen`, `configurations`: modules of flax.linen, configurations of OmegaConf
- `plain`: instances of ordinary classes, and of subclasses of built-in ones
- `pytrees`, `flattening`: registered pytree classes, treedefs, markers
- `unflattened`, `watch`, `origins`: checks that such a class builds an equal object
- `functions`, `python_modules`: functions, methods, constants and modules by name
- `wrappers`, `decorated`, `partials`, `printing`: objects that wrap a function
- `closures`, `digests`, `fingerprints`: local functions, and functions in variables,
  by digests of their code
- `placeholders`, `advice`: functions and objects that cannot be kept
"""
