"""The calls of the user, one file for each verb.

`public` lists all that is public. `save` and `load` are the two flows, step by step;
read them first. The others: `convert` (files of another form), `integrity` (verify,
repair), `names` (the names in a file), `migrate` (files that the code has left behind),
`structure` (a tree as plain data, and back). Several of them share `arguments`, checks
of what a caller gives, `options` (those of a load) and `differences`, packages that are
not those of a file.
"""
