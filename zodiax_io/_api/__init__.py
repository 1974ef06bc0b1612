"""The public functions, one file for each task.

`public` lists every public name. Read `save` and `load` first: saving and loading, step
by step. The others: `convert` (files of another format), `integrity` (verify, repair),
`names` (the names in a file), `migrate` (files of classes that have changed),
`structure` (a tree to plain data, and back). Several of them share `arguments` (checks
of arguments), `options` (the options of a load) and `differences` (warnings about
packages that differ from those that wrote a file).
"""
