"""Which names a file may use: every class and function in a file is judged first.

Read `judge` (the decision about all names of one file) and `rules` (why a name is
accepted or refused) first. The judge is helped by:

- `finding`, `trusted`: what a name leads to; what the caller trusts
- `advice`: verdicts, and what to do about a refusal
- `roles`: what a name is used as, and must lead to
- `names`, `renames`: objects as names, and back; what names are called now
- `table`: the functions, values and packages that any file may name
- `origins`, `libraries`, `modules`: whose code a module is, and where it is found
- `classes`, `reflection`: classes read without running code of theirs
"""
