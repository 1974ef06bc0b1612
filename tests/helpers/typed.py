"""What a user's type checker must see; pyright reads this, and nothing runs it.

Each `ignore` is an error that must be found: one that is not needed is an error itself.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from typing import assert_type

import zodiax_io
from zodiax_io import serialise

assert_type(zodiax_io.__version__, str)
assert_type(serialise("model.zdx", [1.0]), None)
serialise("model.zdx", [1.0], durable="yes")  # pyright: ignore[reportArgumentType]
zodiax_io.serialize("model.zdx", [1.0])  # pyright: ignore[reportAttributeAccessIssue]
