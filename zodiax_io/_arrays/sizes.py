"""How many bytes are handled at once: for speed only, files do not depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes in bytes at which reading and writing change their ways.

    Attributes
    ----------
    chunk : int
        Fits the cache: hashed and written, or read and hashed, while it is there.
    hash_chunk : int
        The same where one thread writes it and another hashes it.
    join, join_below : int
        Records below `join_below` are written together, up to `join` in one call. From
        there on, joining takes longer than calling `write`.
    block : int
        Neighbouring records are read by one thread, up to this size together.
    share : int
        Neighbouring records share memory up to this size. An array that stays keeps the
        memory of all that share it.
    huge_pages_from : int
        Memory on huge pages is faster than NumPy's from this size on.
    hash_thread_from : int
        A record is hashed by another thread than the one that writes it from here on.
    threads_from : int
        Starting threads takes longer than they save below this size. A large record is
        read in parts of this size.
    """

    chunk: int = 1 << 20
    hash_chunk: int = 4 << 20
    join: int = 4 << 20
    join_below: int = 1 << 18
    block: int = 32 << 20
    share: int = 64 << 10
    huge_pages_from: int = 256 << 10
    hash_thread_from: int = 1 << 20
    threads_from: int = 16 << 20
