"""What is in a file, as data, as text, and by the command."""

import io
import json
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from documents import Checkpoint
from hypothesis import example, given
from strategies import trees

import zodiax_io
from zodiax_io import ArgumentError, Statistics, serialise, summarise
from zodiax_io._cli import main
from zodiax_io._look.items import size_of
from zodiax_io._look.text import columns, lines_of, text_of


class Lens(eqx.Module):
    radius: jax.Array
    name: str = eqx.field(static=True)


def tree():
    shared = jnp.arange(3.0)
    return {
        "lens": Lens(jnp.ones((3, 4)), "thin"),
        "layers": [jnp.full(2, float(i)) for i in range(9)],
        "twice": [shared, shared],
        "host": np.array([1, 2**40]),
        "key": jr.key(0),
        "half": jnp.array([1.0, jnp.nan], jnp.bfloat16),
        "f": jnp.tanh,
        "n": 3,
    }


def of(tree, **options):
    file = io.BytesIO()
    serialise(file, tree, metadata=options.pop("metadata", None))
    file.seek(0)
    return summarise(file, **options)


def run(capsys, *arguments):
    status = main.main([*map(str, arguments)])
    return status, capsys.readouterr().out


@given(tree=trees)
@example(tree={"\N{COMBINING GLAGOLITIC LETTER AZU}": 1})
def test_any_tree_is_shown(tree):
    """Every item has its path, every line fits, and all arrays are counted."""
    summary = of(tree, values=True)
    items = list(summary.root.walk())
    assert len({item.path for item in items}) == len(items)
    kept = [item for item in items if item.kind in ("jax", "numpy", "key")]
    assert summary.root.arrays == len(kept)
    for width in (20, 80):
        text = text_of(lines_of(summary, width=width))
        assert max(map(columns, text.splitlines())) <= max(width, 60)
    json.dumps(summary.as_dict())
    assert summary._repr_html_().count("<details") == summary._repr_html_().count(
        "</details"
    )


def test_the_tree_as_text():
    """As `zodiax-io show` prints it on a terminal of 80 columns."""
    text = text_of(lines_of(of(tree(), metadata={"epoch": 3})))
    lines = text.splitlines()
    assert lines[0] == "The file"
    assert lines[1].startswith("with python 3.")
    start = lines.index("metadata: dict")
    assert lines[start : start + 3] == ["metadata: dict", "└─ ['epoch'] = 3", ""]
    shown = [line.rstrip() for line in lines[start + 3 :]]
    assert shown[1:] == [
        f"├─ ['lens']: Lens  {__name__}" + f"{'48 B':>{80 - 19 - len(__name__)}}",
        "│  ├─ radius: f32[3,4]" + f"{'48 B':>58}",
        "│  └─ name = 'thin'" + f"{'static':>61}",
        "├─ ['layers']: list" + f"{'72 B':>61}",
        "│  ├─ [0]: f32[2]" + f"{'8 B':>63}",
        "│  └─ … 8 more like it, to [8], 64 B",
        "├─ ['twice']: list" + f"{'12 B':>62}",
        "│  ├─ [0]: f32[3]" + f"{'12 B':>63}",
        "│  └─ [1]: the same as model['twice'][0]",
        "├─ ['host']: i64[2] numpy" + f"{'16 B':>55}",
        "├─ ['key']: key<threefry2x32>[]" + f"{'8 B':>49}",
        "├─ ['half']: bf16[2]" + f"{'4 B':>60}",
        "├─ ['f']: tanh  jax.nn",
        "└─ ['n'] = 3",
        "14 arrays, 39 numbers, 160 B",
    ]


def test_statistics():
    """Of finite numbers; nans are counted; what has no numbers says so."""
    items = {item.path: item.statistics for item in of(tree(), values=True).root.walk()}
    assert items["model['layers'][3]"] == Statistics(3.0, 3.0, 3.0, 0.0)
    assert items["model['half']"] == Statistics(1.0, 1.0, 1.0, 0.0, nans=1)
    assert items["model['key']"] is None
    assert str(items["model['half']"]) == "1 to 1, mean 1, 1 nan"
    odd = of(
        {
            "none": np.zeros((0, 3)),
            "nan": np.array([np.nan, np.inf]),
            "text": np.array(["a"]),
            "complex": np.array([3 + 4j]),
            "bool": np.array([True, False]),
            "struct": np.zeros(2, [("a", "f4")]),
            "time": np.array(["2020-01-01"], "datetime64[D]"),
            "f8": jnp.ones(2, jnp.float8_e4m3fn),
        },
        values=True,
    )
    told = {item.label: str(item.statistics) for item in odd.root.items}
    assert told == {
        "['none']": "no finite numbers",
        "['nan']": "no finite numbers, 1 nan, 1 inf",
        "['text']": "no numbers",
        "['complex']": "5 to 5, mean 5",
        "['bool']": "0 to 1, mean 0.5",
        "['struct']": "no numbers",
        "['time']": "no numbers",
        "['f8']": "1 to 1, mean 1",
    }


def test_search():
    """By path, dtype, class and size; all that is given must fit."""
    summary = of(tree())

    def paths(*arguments, **options):
        return [item.path for item in summary.found(*arguments, **options)]

    assert paths("*.radius") == paths("**.radius") == ["model['lens'].radius"]
    assert paths("*[3]") == paths("layers.3") == ["model['layers'][3]"]
    assert paths("*.lens") == paths("*['lens']") == ["model['lens']"]
    assert paths("*radius") == []
    assert paths(dtype="bf16") == paths(dtype="bfloat16") == ["model['half']"]
    assert paths(cls="Lens") == paths(cls="*:Le*") == ["model['lens']"]
    assert paths(larger=70) == ["model", "model['layers']"]
    assert paths("**.rad*", larger=48, dtype="f32") == ["model['lens'].radius"]
    assert paths("nothing") == []


def test_a_part_of_it():
    """From a path on, with or without the root; and what there is instead."""
    for at in ("['lens']", "model['lens']", "lens", "model.lens"):
        assert of(tree(), at=at).root.type == f"{__name__}:Lens"
    assert of(tree(), at="lens.radius").root.path == "model['lens'].radius"
    assert of(tree(), at="layers.3").root.path == "model['layers'][3]"
    with pytest.raises(ArgumentError) as caught:
        of({"lens": 1, 3: 2}, at="lense")
    assert str(caught.value) == (
        "The file has nothing at `lense`. `model` contains `['lens']`, `[3]`."
    )
    with pytest.raises(ArgumentError) as caught:
        summarise(1, at="lens")
    assert str(caught.value) == (
        "The tree has nothing at `lens`. `model` contains nothing."
    )


def test_wide_trees_stay_readable():
    """A hundred things that differ are cut, and counted."""
    wide = {f"{chr(97 + i % 26) * (i + 1)}": jnp.ones(i + 1) for i in range(100)}
    text = str(of(wide))
    assert "… 60 more items" in text
    whole = text_of(lines_of(of(wide), everything=True))
    assert whole.count("├─") == 99
    assert "…" in text_of(lines_of(of([[[1]]]), depth=1))


def test_nothing_is_imported_and_nothing_refused():
    """Names that no file may use are shown like any other."""
    checkpoint = Checkpoint.of([jnp.tanh])
    checkpoint.tree["node"][0]["type"] = "antigravity:fly"
    file = io.BytesIO(checkpoint.companion())
    assert summarise(file).root.items[0].type == "antigravity:fly"
    assert "antigravity" not in sys.modules


def test_damaged_files_are_shown_as_far_as_they_go(tmp_path):
    """The structure file stands in for the end, and a damaged array says so."""
    serialise(tmp_path / "m", {"a": jnp.ones(100), "b": jnp.zeros(3)})
    companion = tmp_path / "m.eqx"
    data = bytearray(companion.read_bytes())
    data[200] ^= 1
    companion.write_bytes(data)
    first, second = summarise(tmp_path / "m", values=True).root.items
    assert str(first.statistics).startswith("damaged: ")
    assert second.statistics == Statistics(0.0, 0.0, 0.0, 0.0, zeros=3)
    companion.write_bytes(data[:-20])
    with pytest.warns(zodiax_io.DamagedWarning):
        assert summarise(tmp_path / "m").root.arrays == 2


def test_the_command(tmp_path, capsys):
    """Text, data, and lists of what was searched for."""
    serialise(tmp_path / "m", tree())
    status, text = run(capsys, "show", tmp_path / "m.zdx")
    assert status == 0
    assert text.startswith("m.zdx, ")
    assert "\x1b" not in text
    assert "14 arrays" in text
    status, text = run(capsys, "show", tmp_path / "m.zdx", "['lens']", "--json")
    data = json.loads(text)
    assert data["tree"]["items"][0]["type"] == "f32[3,4]"
    assert data["tree"]["items"][1] == {
        "path": "model['lens'].name",
        "kind": "str",
        "type": "str",
        "value": "'thin'",
        "static": True,
    }
    status, text = run(capsys, "show", tmp_path / "m", "--find", "**.r*", "--values")
    assert text.split() == [
        "model['lens'].radius:",
        "f32[3,4]",
        *"all 1 48 B".split(),
    ]
    status, text = run(capsys, "show", tmp_path / "m", "--larger", "50B", "--json")
    assert [item["path"] for item in json.loads(text)] == ["model", "model['layers']"]
    status, text = run(capsys, "show", tmp_path / "m", "--dtype", "f64")
    assert (status, text) == (1, "")
    assert main.main(["show", str(tmp_path / "m"), "--larger", "much"]) == 2
    assert 'A size is text such as "10MB"' in capsys.readouterr().err


def test_colours_on_a_terminal(tmp_path, capsys, monkeypatch):
    """With rich, where somebody looks; the text is the same."""
    pytest.importorskip("rich")
    serialise(tmp_path / "m", tree())
    _, plain = run(capsys, "show", tmp_path / "m")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, coloured = run(capsys, "show", tmp_path / "m")
    assert "\x1b[" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(capsys, "show", tmp_path / "m")[1] == plain


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1.49e9, "1.49 GB"),
        (2e15, "2e+03 TB"),
    ],
)
def test_sizes(size, text):
    """In powers of a thousand, as disks are sold."""
    assert size_of(int(size)) == text


def test_a_structure_file_alone(tmp_path, capsys):
    """It tells of everything but the numbers; without it there is nothing to tell."""
    serialise(tmp_path / "m", tree())
    (tmp_path / "m.eqx").unlink()
    summary = summarise(tmp_path / "m", values=True)
    assert summary.root.arrays == 14
    assert summary.root.items[0].items[0].statistics is None
    (tmp_path / "m.zdx").unlink()
    assert main.main(["show", str(tmp_path / "m")]) == 2
    assert "no " in capsys.readouterr().err


def test_text_for_git(tmp_path, capsys):
    """The same for the same file, whatever it is called; its numbers are in it."""
    serialise(tmp_path / "a.eqx", tree(), metadata="one")
    serialise(tmp_path / "b.eqx", tree(), metadata="two")
    _, one = run(capsys, "show", "--textconv", tmp_path / "a.eqx")
    _, two = run(capsys, "show", "--textconv", tmp_path / "b.eqx")
    assert one == two
    assert "[8]: f32[2]  all 8" in one
    kept = {"a": "x" * 300, "b": np.arange(6.0), "key": jr.key(0), "t": np.array(["a"])}
    changes = {"a": "x" * 299 + "y", "b": np.arange(6.0)[::-1], "key": jr.key(1)}
    changes["t"] = np.array(["b"])
    serialise(tmp_path / "a.eqx", kept)
    _, one = run(capsys, "show", "--textconv", tmp_path / "a.eqx")
    for name, value in changes.items():
        serialise(tmp_path / "b.eqx", kept | {name: value})
        _, two = run(capsys, "show", "--textconv", tmp_path / "b.eqx")
        assert one != two
    assert "zodiax_io" not in one


def test_find(tmp_path, capsys):
    """A line for each checkpoint, also for what is none."""
    (tmp_path / "runs" / "deep").mkdir(parents=True)
    serialise(tmp_path / "runs" / "a", tree(), metadata={"epoch": 3, "by": ["Ada"]})
    serialise(tmp_path / "runs" / "deep" / "b.eqx", Lens(jnp.ones(2), "x"))
    (tmp_path / "runs" / "c.zdx").write_bytes(b"nothing of ours")
    status, text = run(capsys, "find", tmp_path / "runs")
    assert status == 0
    a, c, b = text.splitlines()
    assert a.startswith("a.zdx")
    assert "dict" in a
    assert "'epoch': 3" in a
    assert c.startswith("c.zdx")
    assert "not a zodiax_io file" in c
    assert "Lens" in b
    assert max(map(len, (a, b, c))) <= 80
    status, text = run(capsys, "find", tmp_path / "runs", "--json")
    rows = json.loads(text)
    assert [row.get("class") for row in rows] == ["dict", None, f"{__name__}:Lens"]
    assert rows[0]["metadata"] == "'epoch': 3, 'by': 0: 'Ada'"
    assert run(capsys, "find", tmp_path / "runs" / "deep" / "none")[0] == 2
    (tmp_path / "empty").mkdir()
    assert run(capsys, "find", tmp_path / "empty") == (1, "")


@pytest.mark.parametrize(
    "shape", [["x"], [[1]], b"x", ["a", 2**63], [2**63] * 20, [float("nan")], [-3], 7]
)
def test_a_shape_may_be_anything(shape):
    """What is no shape is said to be an array, and costs nothing."""
    checkpoint = Checkpoint.of([np.ones(3)])
    checkpoint.tree["node"][0]["shape"] = shape
    summary = summarise(io.BytesIO(checkpoint.companion()), values=True)
    assert summary.root.items[0].type.startswith("an array")
    json.dumps(summary.as_dict(), allow_nan=False)
    str(summary)


def test_nothing_of_a_file_steers_a_terminal(tmp_path, capsys):
    """Versions, names and files are escaped, wherever they are printed."""
    checkpoint = Checkpoint.of({"\x1b[31m": 1})
    checkpoint.document["versions"]["jax"] = "\x1b[31m1\nline\u202e"
    evil = tmp_path / "e\x1b[31m\nvil.eqx"
    evil.write_bytes(checkpoint.companion())
    for command in (["show", evil], ["find", tmp_path], ["diff", evil, evil]):
        main.main([*map(str, command)])
    main.main(["show", str(evil) + "none"])
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not {"\x1b", "\u202e"} & set(text)
    assert "\\x1b[31m1\\nline" in shown.out


def test_wide_characters_take_two_columns():
    """Lines fit a terminal, whatever is written in them."""
    summary = of({"望遠鏡" * 20: {"🔭" * 30: jnp.ones(2)}, "e\u0301" * 30: "é"})
    for line in text_of(lines_of(summary, width=80)).splitlines():
        assert columns(line) <= 80
    assert columns("鏡a\u0301") == 3


def test_short_tuples_are_one_line():
    """Also where they are shared, as Python shares them."""
    pair = (1, 1)
    summary = of({"a": pair, "b": pair, "c": [1, None, "x"], "d": [[1]], "e": ()})
    lines = text_of(lines_of(summary, head=False)).splitlines()
    assert lines[1:6] == [
        "├─ ['a'] = (1, 1)",
        "├─ ['b'] = (1, 1)",
        "├─ ['c'] = [1, None, 'x']",
        "├─ ['d']: list",
        "│  └─ [0] = [1]",
    ]
    assert [item.path for item in summary.found("a.1")] == ["model['a'][1]"]


def test_keys_that_are_tuples():
    """They are shown as Python writes them, and lead there."""
    summary = of({(1, "x"): 1, ((1,), 2): 2})
    assert [item.label for item in summary.root.items] == ["[(1, 'x')]", "[key 1]"]
    file = io.BytesIO()
    serialise(file, {(1, "x"): 1, (1, "y"): 2})
    file.seek(0)
    assert zodiax_io.deserialise(file, only="[(1, 'y')]") == 2


def test_the_command_line_is_forgiving(tmp_path, capsys):
    """A path behind options; and what cannot be is one line on stderr."""
    serialise(tmp_path / "m", tree())
    status, text = run(capsys, "show", tmp_path / "m", "--values", "lens.radius")
    assert status == 0
    assert "radius: f32[3,4]  all 1" in text
    with pytest.raises(SystemExit):
        main.main(["show", str(tmp_path / "m"), "lens", "--no-such"])
    assert main.main(["show", str(tmp_path / "m"), "--larger", "9" * 400]) == 2
    assert main.main(["show", str(tmp_path / "m"), "--find", "nothing"]) == 1
    assert capsys.readouterr().err.endswith("zodiax-io: nothing matches.\n")


def test_a_key_that_is_called_as_the_root():
    """The key is meant, for the root needs no path."""
    assert of({"model": {"x": 1}, "": 2}, at="model").root.path == "model['model']"
    assert of({"model": {"x": 1}, "": 2}, at="model.model.x").root.value == "1"
    assert of({"model": {"x": 1}, "": 2}, at="['']").root.value == "2"
    assert of([1], at="model").root.path == "model"


def test_find_survives_any_metadata(tmp_path, capsys):
    """Deep notes are cut, not followed."""
    deep = [1]
    for _ in range(400):
        deep = [deep]
    serialise(tmp_path / "m", 1, metadata=deep)
    assert run(capsys, "find", tmp_path)[0] == 0
