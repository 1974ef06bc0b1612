"""Write the tables of rules into security.md: `python docs/write_rules.py`."""

import pathlib

from zodiax_io._trust.rules import CALL_RULES, RULES

PAGE = pathlib.Path(__file__).with_name("security.md")
BEGIN = """\
<!-- Written by docs/write_rules.py from zodiax_io/_trust/rules.py. Do not edit. -->
"""
END = "<!-- End of what docs/write_rules.py writes. -->\n"


def table(rules) -> str:
    """Return rules as a table of Markdown."""
    rows = [
        f"| {number} | `{rule.answer.__name__}` | {rule.about} | {rule.meaning} |\n"
        for number, rule in enumerate(rules, start=1)
    ]
    head = "\n| | Rule | About | Answer |\n|---|---|---|---|\n"
    return head + "".join(rows) + "\n"


def page() -> str:
    """Return the text of security.md with the tables renewed."""
    first, *others = PAGE.read_text(encoding="utf8").split(BEGIN)
    text = first
    for rules, part in zip((RULES, CALL_RULES), others, strict=True):
        text += BEGIN + table(rules) + END + part.split(END)[1]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf8")
