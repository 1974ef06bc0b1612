"""How fast we are, and how fast others: `nox -s speed`, `nox -s benchmarks`."""
