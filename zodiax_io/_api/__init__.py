"""The calls of the user, one file for each verb.

`public` lists all that is public. `save` and `load` are the two flows, step by step;
read them first. The others: `convert` (files of another form), `integrity` (verify,
repair), `names` (the names in a file), `migrate` (files that the code has left behind);
and `arguments`, checks that several of them share.
"""
