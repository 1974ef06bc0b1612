"""Which names a file may use: every class and function in a file is judged first.

Read `rules` first, then `judge`. In the order of reading:

- `rules`, `checks`: the list of rules; the code of each
- `question`, `answers`: what a rule can find out about a name; accept, refuse, import
- `judge`, `advice`: all names of one file; verdicts and the error with the next steps
- `trusted`: the packages, names and objects that the caller trusts
- `finding`, `importing`, `suggestions`: the object of a name; imports; similar names
- `roles`, `holding`: what a name is used as; which objects call what they contain
- `table`: the packages, types and (in `functions.txt`) functions that any file may name
- `names`, `renames`: objects to names and back; present names for those in older files
- `homes`, `written`: public names of what is private; where the code of a function is
- `origins`, `libraries`, `modules`: which modules are the user's, and where others are
- `classes`, `reflection`: reading classes without running their code
"""
