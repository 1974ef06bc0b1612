"""Write kinds.md from the table of kinds itself: `python docs/write_kinds.py`."""

import pathlib

import zodiax_io._api.public  # noqa: F401  (it completes the table)
from zodiax_io._kinds.lookup import KINDS

PAGE = pathlib.Path(__file__).with_name("kinds.md")

HEAD = """\
# Kinds

<!-- Written by docs/write_kinds.py from the table in zodiax_io/_kinds. Do not edit. -->

Every object in a tree is of one kind, and each kind is one row of a table in the code;
the first row that matches wins. *Shared* objects that the tree holds twice come back as
one object. A file names a class, a function or a constant under `type` where the last
column says so, and the [rules of trust](guides/trust.md) apply to it.

| Kind | What it keeps | Shared | `type` must be |
|---|---|---|---|
"""

TAIL = """
Further rows ({refused}) recognise what cannot be kept as it is, and say what to do
instead; [what can be saved](guides/what-can-be-saved.md) has the ways out. A kind that
`register_kind` adds has a name with a dot, and is asked before all of these.
"""


def page() -> str:
    """Return the text of kinds.md."""
    # A program may have registered kinds of its own, and their names have a dot.
    own = [kind for kind in KINDS if "." not in kind.name]
    rows = [
        f"| `{kind.name}` | {kind.keeps.replace('|', chr(92) + '|')} "
        f"| {'yes' if kind.shared else ''} "
        f"| {'' if kind.refers_to is None else kind.refers_to.words} |\n"
        for kind in own
        if kind.keeps
    ]
    refused = ", ".join(f"`{kind.name}`" for kind in own if not kind.keeps)
    return HEAD + "".join(rows) + TAIL.format(refused=refused)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf8")
