"""Every sort of object that can be kept: a kind takes one apart and makes it again.

Read `base` first (what a kind is), then `table` (all kinds, in the order in which they
are asked). `look` is the part of a row that says how its objects are shown, `lookup`
finds rows, `declared` finds the fields of a class by its row, and `registering` adds
rows of users. The kinds themselves, each row below the functions that it holds:

- `arrays`, `columns`: arrays, and long lists of numbers
- `values`, `enums`, `dates`, `annotations`: plain values of Python, types, annotations
- `contents`: what built-in objects hold, read past the methods of subclasses
- `containers`, `keys`: sequences, sets and mappings, and what may be a key of them
- `objects`, `fields`: modules, dataclasses and namedtuples, by their fields
- `pytrees`, `flattening`: registered pytree classes, treedefs, markers
- `unflattened`, `watch`, `origins`: what proves that such a class gives them back
- `functions`, `wrappers`: functions by name, and what wraps a function
- `closures`, `digests`, `fingerprints`: local functions, and those of variables, by a
  digest
- `placeholders`, `advice`: functions and objects that no kind keeps
"""
