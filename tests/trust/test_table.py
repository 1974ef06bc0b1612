"""The table of functions, and the script that renews it for new packages."""

import importlib
import sys
import textwrap

import pytest
from trust import functions

from zodiax_io._trust import table

MODULE = """
    import os
    from math import sin as borrowed

    def pure(x):
        return 2 * x

    def known(x):
        return x

    def left_out(x):
        return x

    def _private(x):
        return x

    class Class:
        pass

    def needs_seven(a, b, c, d, e, f, g):
        raise ValueError

    def saves(x):
        with open("file", "w") as file:
            file.write("text")

    def starts(x):
        try:
            os.system("true")
        except Exception:
            pass

    def prints(x):
        print(x)

    def ends(x):
        os.abort()

    def after_all(x):
        return x
"""


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A module of a new release."""
    (tmp_path / "toyfield.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "toyfield"
    sys.modules.pop("toyfield", None)


NEW = "after_all ends needs_seven prints pure saves starts".split()


def test_what_is_new_and_what_is_gone(toy):
    """Public functions of the module that neither list has; names that are gone."""
    lists = {toy: ("known", "lost")}, {toy: ("left_out",)}
    assert list(functions.changes(*lists)) == [(toy, NEW, ["lost"])]


def test_a_function_known_by_another_name_is_not_new(toy, monkeypatch):
    """What a package exports from two modules is reported for neither."""
    lists = {toy: tuple(NEW), "toyfield_again": ()}, {toy: ("known", "left_out")}
    monkeypatch.setitem(sys.modules, "toyfield_again", importlib.import_module(toy))
    assert [new for _, new, _ in functions.changes(*lists)] == [[], []]


def test_each_function_is_called_and_watched(toy):
    """Whatever does more than compute is stopped, and named with what it did."""
    found = functions.tried(toy, NEW)
    assert found.pop("ends").startswith("ended the process: ")
    assert found.pop("saves").startswith("did open ('file', 'w', ")
    assert found.pop("starts").startswith("did os.system (b'true'")
    assert found == {
        "after_all": "passed",
        "needs_seven": "could not be called",
        "prints": "printed",
        "pure": "passed",
    }


def test_sections_of_the_table():
    """A section is a module in brackets and the names below it."""
    text = "# a comment\n\n[one.two]\nf g\nh\n\n[three]\ni\n"
    assert table.sections(text) == {"one.two": ("f", "g", "h"), "three": ("i",)}


def test_no_function_is_both_in_the_table_and_left_out():
    """A name is in one list, once."""
    for module, names in functions.LEFT_OUT.items():
        assert not set(names) & set(table.FUNCTIONS[module]), module
    for names in (*table.FUNCTIONS.values(), *functions.LEFT_OUT.values()):
        assert len(set(names)) == len(names) > 0
