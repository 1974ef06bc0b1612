"""Arrays as bytes: dtypes, records, and the backends that write and read companions.

Read `backend` (the interface of a backend) and `eqx` (the default backend, whose files
plain Equinox reads) first; `backends` is the table of them, a row each. The others:

- `dtypes`: dtypes as plain data
- `records`, `npy`: arrays on their way to the companion, and the headers of `.npy`
- `writing`, `reading`, `sizes`: records to a file and back, and how much at once
- `distance`: how far apart two arrays are
- `threads`: calls made by other threads, or by this one
"""
