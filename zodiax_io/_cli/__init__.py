"""The command line `zodiax-io`, one file for each command.

`main` parses the arguments, and `output` prints. The commands: `show`, `find`, `diff`,
`names`, `integrity` (verify and repair) and `migrate` (and convert).
"""
