"""Which names a file may use: every class and function in a file is judged first.

Read `rules` first, then `judge`, which asks the rules about all names of a
file. In the order of reading:

- `rules`, `checks`: the list of rules; the code of each
- `question`, `answers`: what a rule can find out about a name; accept, refuse, import
- `judge`, `advice`: all names of one file; verdicts and the error with the next steps
- `trusted`: what the caller trusts
- `finding`, `importing`, `suggestions`: the object of a name; imports; similar names
- `roles`, `holding`: what a name is used as; which objects call what they hold
- `table`: the packages, types and (in `functions.txt`) functions that any file may name
- `names`, `renames`: objects as names, and back; what names are called now
- `origins`, `libraries`, `modules`: whose code a module is, and where it is found
- `classes`, `reflection`: classes read without running their code
"""
