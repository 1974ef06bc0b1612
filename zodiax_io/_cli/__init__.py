"""The `zodiax-io` command, one file for each of its commands.

`main` is where it begins, and `output` what all of them print with. The commands:
`show`, `find`, `diff`, `names`, `integrity` (verify and repair) and `migrate` (and
convert).
"""
