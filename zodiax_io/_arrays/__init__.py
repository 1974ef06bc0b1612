"""Arrays as bytes: dtypes, records, and what writes and reads the companion file.

Read `backend` (what a backend is) and `eqx` (the one that writes what plain Equinox
reads) first; `backends` is the table of them, a row each. The others:

- `dtypes`: dtypes as plain data
- `records`, `npy`: arrays on their way to the companion, and the headers of `.npy`
- `distance`: how far apart two arrays are
- `threads`: work handed to other threads, or done in this one
"""
