"""What is in a file, looked at: pictures, notebooks, and the page for a browser."""

import base64
import io
import json
import os
import re
import shutil
import struct
import sys
import zlib
from urllib.parse import quote

import jax.numpy as jnp
import jax.random as jr
import ml_dtypes
import numpy as np
import pytest
from documents import Checkpoint
from hypothesis import example, given
from strategies import jax_arrays, numpy_arrays, trees

import zodiax_io
from zodiax_io import ArgumentError, Statistics, serialise, show, summarise
from zodiax_io._cli import main
from zodiax_io._look.numbers import picture_of, statistics_of
from zodiax_io._look.page import page_of

HOSTILE = [
    "</script><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    "\"'`${document.title = 'owned'}&lt;",
]


def tree():
    return {
        "basis": np.linspace(-1.0, 1.0, 3 * 40 * 100).reshape(3, 40, 100),
        "curve": jnp.sin(jnp.arange(200.0)),
        "bias": jnp.array([1.0, jnp.nan, jnp.inf]),
        "one": jnp.array(0.05),
        "key": jr.key(0),
        "layers": [{"weight": np.full((3, 4), float(i))} for i in range(3)],
        "name": "thin",
        **{text: text for text in HOSTILE},
    }


def saved(tree, **options):
    file = io.BytesIO()
    serialise(file, tree, **options)
    file.seek(0)
    return file


# Numbers and pictures -----------------------------------------------------------------


@given(array=numpy_arrays() | jax_arrays())
@example(array=np.ones(3, ml_dtypes.float8_e5m2))
def test_any_array_is_drawn(array):
    """Statistics are NumPy's; a picture is made of whatever has finite numbers."""
    array = np.asarray(array)
    found = statistics_of(array)
    if isinstance(found, str):
        return
    values = np.abs(array) if array.dtype.kind == "c" else array
    with np.errstate(all="ignore"):
        values = np.asarray(values, np.float64).ravel()
    finite = values[np.isfinite(values)]
    assert found.nans == np.isnan(values).sum()
    assert found.infinities == np.isinf(values).sum()
    assert found.zeros == (finite == 0).sum()
    if finite.size:
        assert (found.least, found.greatest) == (finite.min(), finite.max())
        with np.errstate(all="ignore"):
            mean, deviation = finite.mean(), finite.std()
        if np.isfinite(deviation):
            np.testing.assert_allclose(found.mean, mean, 1e-9, 1e-9 * abs(finite).max())
    picture = picture_of(array, found)
    assert (picture is None) == (not finite.size or array.size < 2)
    if picture is not None and picture.counts:
        assert sum(picture.counts) == finite.size


def test_statistics_of_many_chunks():
    """Parts that are looked at one after another give what the whole would."""
    array = np.random.default_rng(0).normal(1e6, 2.0, 3_000_001)
    array[::7] = 0.0
    found = statistics_of(array)
    np.testing.assert_allclose(found.mean, array.mean(), 1e-12)
    np.testing.assert_allclose(found.deviation, array.std(), 1e-9)
    assert found.zeros == (array == 0).sum()


def pixels(image):
    """The size and the colours of a PNG file with a palette, read by its chunks."""
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(image):
        length, name = struct.unpack_from(">I4s", image, at)
        data = image[at + 8 : at + 8 + length]
        (check,) = struct.unpack_from(">I", image, at + 8 + length)
        assert check == zlib.crc32(name + data)
        chunks[name], at = data, at + 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8)
    numbers = rows.reshape(height, width + 1)[:, 1:]
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[numbers]


def drawn(array):
    return picture_of(array, statistics_of(array))


def test_a_matrix_is_an_image():
    """Blue below zero, white at it, red above; bright is high; grey where no number."""
    array = np.array([[-2.0, 0.0], [1.0, np.nan]])
    blue, white, red, grey = pixels(drawn(array).image).reshape(4, 3).astype(int)
    assert blue[2] > 2 * blue[0]
    assert min(white) > 240
    assert red[0] > red[2]
    assert len(set(grey)) == 1
    low, high = pixels(drawn(np.array([[1.0, 2.0]] * 2)).image)[0].astype(int)
    assert sum(low) < sum(high)


@pytest.mark.parametrize(
    ("shape", "size", "part"),
    [
        ((3, 4), (3, 4), ""),
        ((300, 1000), (64, 64), ""),
        ((1, 5, 1, 6), (5, 6), ""),
        ((7, 9, 10), (9, 10), "the first of 7"),
        ((2, 3, 9, 10), (9, 10), "the first of 6"),
        ((8, 4, 3, 3), (8, 36), "a row for each index of the first axis"),
    ],
)
def test_the_size_of_an_image(shape, size, part):
    """At most 64 pixels a side; of more axes it is said what is shown."""
    picture = drawn(np.arange(float(np.prod(shape))).reshape(shape))
    assert pixels(picture.image).shape[:2] == size
    assert picture.part == part


def test_a_vector_is_a_curve():
    """Means of neighbours, where there are many; a hole where there is no number."""
    assert drawn(np.array([1.0, np.inf, 3.0])).line == (1.0, np.inf, 3.0)
    line = drawn(np.arange(6400.0)).line
    assert len(line) == 64
    assert sorted(line) == list(line)
    assert drawn(np.full(3, 1e308)).line == (1e308,) * 3
    assert drawn(np.array([1.0])) is None
    assert drawn(np.array([-1.7e308, 1.7e308])).counts == ()


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.0, np.nextafter(1, 2)]),
        np.array([5e-324, 1e-323]),
        np.array([1e16, 1e16 + 2, 1e16 + 4]),
        np.full(2, 1.7e308),
        np.array([-1e200, 1e200]),
        np.array([-1.7e308, 1.7e308]),
    ],
)
def test_numbers_at_the_ends_of_their_range(array, tmp_path):
    """Nothing overflows, and a page of them is made."""
    found = statistics_of(array)
    assert found.least <= found.mean <= found.greatest
    assert np.isfinite(found.deviation)
    serialise(tmp_path / "m", array)
    show(tmp_path / "m", html=tmp_path / "m.html")


def test_what_has_no_numbers():
    """Bytes without a meaning are not drawn."""
    assert statistics_of(np.zeros(3, "V8")) == "no numbers"


# Notebooks ----------------------------------------------------------------------------


@pytest.fixture
def without_treescope(monkeypatch):
    """Nothing that is installed draws."""
    monkeypatch.delitem(sys.modules, "treescope", raising=False)
    monkeypatch.setattr("zodiax_io._look.notebook.find_in_libraries", lambda name: None)


def test_a_notebook_shows_pictures(tmp_path, without_treescope):
    """Of the arrays that are listed; text of the file is text."""
    serialise(tmp_path / "m", tree(), metadata={"by": HOSTILE[0]})
    html = summarise(tmp_path / "m")._repr_html_()
    assert html.count("data:image/png") == 4
    assert html.count("data:image/svg+xml") == 2
    assert "<script" not in html
    assert "&lt;img src=x" in html
    for data in re.findall(r"svg\+xml;base64,([^\"]+)", html):
        assert b"nan" not in base64.b64decode(data)


def test_pictures_are_of_the_file_that_was_summarised(tmp_path, without_treescope):
    """When it has been saved again since, or is gone, there are none."""
    serialise(tmp_path / "m", tree())
    summary = summarise(tmp_path / "m")
    assert "data:image" in summary._repr_html_()
    serialise(tmp_path / "m", {"other": np.ones((5, 5))})
    assert "data:image" not in summary._repr_html_()
    os.unlink(tmp_path / "m.eqx")
    assert "data:image" not in summary._repr_html_()


def test_large_arrays_are_not_read_for_a_picture(tmp_path, monkeypatch):
    """Nor more than a notebook can wait for."""
    from zodiax_io._look import pictures

    monkeypatch.setattr(pictures, "_MAX_ARRAY", 1000)
    monkeypatch.setattr(pictures, "_MAX_TOTAL", 1600)
    held = {"large": np.ones((20, 20)), "small": [np.eye(10), np.eye(11), np.eye(10)]}
    serialise(tmp_path / "m", held)
    summary = summarise(tmp_path / "m")
    items = [item for item in summary.root.walk() if item.record is not None]
    found = summary.pictures(items)
    names = [item.path for item in items if item.record in found]
    assert names == ["model['small'][0]", "model['small'][2]"]


def test_treescope_draws_a_summary(tmp_path):
    """As an expression, with the same pictures; within other objects, too."""
    treescope = pytest.importorskip("treescope")
    serialise(tmp_path / "m", tree())
    summary = summarise(tmp_path / "m")
    text = treescope.render_to_text(summary)
    assert "['one']=<f32[]>" in text
    assert "['name']='thin'" in text
    assert "['weight']=<f64[3,4] numpy>" in text
    html = treescope.render_to_html(summary, compressed=False)
    assert html.count("data:image/png") >= 4
    assert "treescope" in summary._repr_html_()
    assert "['one']=<f32[]>" in treescope.render_to_text([summary])


def test_an_opaque_is_shown_like_a_file(without_treescope):
    """With its fields, and with pictures."""
    checkpoint = Checkpoint.of({"a": np.eye(9), "b": [1, None]})
    checkpoint.tree |= {"kind": "module", "type": "gone.optics:Lens"}
    file = io.BytesIO(checkpoint.companion())
    opaque = zodiax_io.deserialise(file, unknown="opaque")
    html = opaque._repr_html_()
    assert "gone.optics" in html
    assert "data:image/png" in html
    treescope = pytest.importorskip("treescope")
    assert "Lens(" in treescope.render_to_text(opaque)


def test_a_tree_that_is_alive():
    """It is summarised as it would be saved; what cannot be saved says so."""
    alive = summarise({"a": jnp.ones((2, 3)), "g": (x for x in ())}, values=True)
    assert [item.type for item in alive.root.items] == ["f32[2,3]", "unknown"]
    assert alive.root.items[0].statistics == Statistics(1.0, 1.0, 1.0, 0.0)
    assert alive.versions == {}
    gone = jnp.ones(3)
    gone.delete()
    assert summarise([gone], values=True).root.items[0].type == "unknown"
    kept = tree()
    file, live = summarise(saved(kept)).root, summarise(kept).root
    names = ("path", "type", "value", "static", "arrays", "numbers", "nbytes")
    for ours, theirs in zip(file.walk(), live.walk(), strict=True):
        for name in names:
            assert getattr(ours, name) == getattr(theirs, name)


# The page, as text --------------------------------------------------------------------


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(found[1])


@given(tree=trees)
def test_any_tree_makes_a_page(tree):
    """It holds each item once; the script of the page is the only one that may run."""
    summary = summarise(saved(tree), values=True)
    page = page_of(summary)
    items = list(summary.root.walk())
    rows = data_of(page)["items"]
    assert len(rows) == len(items)
    paths = []
    for row in rows:
        step = row["l"] if row["l"].startswith("[") else f".{row['l']}"
        paths.append(row.get("u") or paths[row["p"]] + step)
    assert paths == [item.path for item in items]
    assert page.count("<script") == page.count("</script") == 2
    assert "default-src 'none'" in page
    page.encode()


def test_a_page_needs_nothing_else(tmp_path):
    """No address of another file; and what the file says is no markup."""
    serialise(tmp_path / "m", tree(), metadata=dict.fromkeys(HOSTILE, HOSTILE))
    show(tmp_path / "m", html=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf8")
    assert set(re.findall(r"https?://[^\"' )]+", page)) == {
        "http://www.w3.org/2000/svg"
    }
    assert not re.search(r"\b(src|href)=\"", page)
    assert "<img src=x" not in page
    assert page.count("</script") == 2


def test_a_page_never_replaces_a_checkpoint(tmp_path, capsys):
    """It goes to a file that ends in .html only."""
    serialise(tmp_path / "m", tree())
    before = (tmp_path / "m.zdx").read_bytes()
    with pytest.raises(ArgumentError) as caught:
        show(tmp_path / "m", html="m.zdx")
    assert str(caught.value) == (
        "A page is written to a file that ends in `.html`, not to m.zdx."
    )
    assert main.main(["show", str(tmp_path / "m"), "--html", str(tmp_path / "m")]) == 2
    assert "ends in `.html`" in capsys.readouterr().err
    assert (tmp_path / "m.zdx").read_bytes() == before


def test_a_page_never_replaces_a_checkpoint_of_another_name(tmp_path):
    """Whatever that is called."""
    serialise(tmp_path / "m.html", tree())
    page = tmp_path / "m.html"
    with pytest.raises(ArgumentError) as caught:
        show(page, html=page)
    assert str(caught.value) == f"{page} is a checkpoint: give another name."
    with pytest.raises(ArgumentError) as caught:
        show(page, html=3)
    assert str(caught.value) == "`html` is the path of a file, not 3."


def test_show_prints_the_tree(tmp_path, capsys):
    """As the command does."""
    serialise(tmp_path / "m", tree())
    show(tmp_path / "m", "['layers']", depth=1)
    ours = capsys.readouterr().out
    main.main(["show", str(tmp_path / "m"), "['layers']", "--depth", "1"])
    assert capsys.readouterr().out == ours
    show({"a": 1})
    assert capsys.readouterr().out == (
        "model: dict\n└─ ['a'] = 1\n0 arrays, 0 numbers, 0 B\n"
    )


def test_deep_trees_are_data_and_pages(tmp_path, capsys):
    """As deep as a file can be."""
    deep = [np.ones(2)]
    for _ in range(200):
        deep = [deep]
    serialise(tmp_path / "m", deep)
    assert main.main(["show", str(tmp_path / "m"), "--json"]) == 0
    found = capsys.readouterr().out
    assert found.count('"path"') == 202
    show(tmp_path / "m", html=tmp_path / "m.html")
    assert len(data_of((tmp_path / "m.html").read_text("utf8"))["items"]) == 202
    summarise(tmp_path / "m")._repr_html_()


# The page, in a browser ---------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium of this machine; CI must have one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if os.environ.get("ZODIAX_IO_BROWSER") != "1":
        pytest.importorskip("playwright", reason="needs the extra `browser`")
        if path is None:
            pytest.skip("needs Chromium")
    from playwright.sync_api import sync_playwright

    quiet = ("--disable-gpu", "--disable-quic", "--disable-background-networking")
    with sync_playwright() as driver:
        found = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", *quiet]
        )
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a report of a tree; nothing may fail there, or be fetched."""
    troubles = []
    pages = []

    def open_it(tree, hash="", metadata=None, **options):
        serialise(tmp_path / "m", tree, metadata=metadata)
        show(tmp_path / "m", html=tmp_path / "r.html")
        page = browser.new_page(**options)
        pages.append(page)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("request", lambda r: troubles.append(r.url) if ok(r.url) else None)
        page.goto((tmp_path / "r.html").as_uri() + hash)
        return page

    def ok(url):
        return not url.startswith(("file:", "data:"))

    yield open_it
    for page in pages:
        page.close()
    assert troubles == []


def row(page, name):
    return page.locator(".row", has=page.locator(f".label:text-is({name!r})")).first


def test_the_page_shows_the_tree(opened):
    """Names, types, values, sizes, pictures; and what stands beside it."""
    page = opened(tree(), metadata={"epoch": 3})
    assert page.locator("h1").inner_text() == "m.zdx"
    assert "'thin'" in row(page, "['name']").inner_text()
    assert "f64[3,40,100]" in row(page, "['basis']").inner_text()
    assert "1 nan, 1 inf" in row(page, "['bias']").inner_text()
    assert "0.05" in row(page, "['one']").inner_text()
    assert "epoch" in page.locator("#metadata").inner_text()
    assert "zodiax_io" in page.locator("#packages").inner_text()
    assert "basis" in page.locator("#largest li").first.inner_text()
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
    assert page.locator("img").count() == 4


def test_the_page_unfolds(opened):
    """What holds others shows them; an array shows what it is like."""
    page = opened(tree())
    layers, weight = row(page, "['layers']"), row(page, "['weight']")
    page.locator("#fold").click()
    assert not weight.is_visible()
    layers.click()
    assert row(page, "['weight']").is_visible()
    row(page, "['basis']").click()
    details = page.locator(".details")
    assert "model['basis']" in details.inner_text()
    assert "12,000" in details.inner_text()
    assert "the first of 3; blue below zero" in details.inner_text()
    assert details.locator("rect").count() == 32
    row(page, "['basis']").click()
    assert not details.is_visible()


def test_the_page_searches(opened):
    """By text, by glob, by dtype; a result leads to its place in the tree."""
    page = opened(tree())
    found = page.locator("#found .row")

    def search(text, number):
        page.locator("#find").fill(text)
        page.wait_for_function(
            "text => location.hash === '#find=' + text", arg=quote(text, safe="~()*!.'")
        )
        assert found.count() == number
        return found.all_inner_texts()

    assert all("weight" in text for text in search("WEIGHT", 3))
    assert search("*[4]*", 0) == []
    assert "[1]['weight']" in search("layers.1.*", 1)[0]
    assert "'thin'" in search("'thin", 1)[0]
    page.locator("#find").fill("")
    page.locator("#dtype").select_option("f32")
    assert found.count() == 3
    search("one", 1)
    found.first.click()
    assert page.locator("#find").input_value() == ""
    assert row(page, "['one']").is_visible()
    assert "model['one']" in page.locator(".details").inner_text()


def test_the_page_opens_at_a_link(opened):
    """`#find=` searches, and `#at=` shows a place."""
    assert opened(tree(), "#find=weight").locator("#found .row").count() == 3
    page = opened(tree(), "#at=model%5B'layers'%5D%5B2%5D%5B'weight'%5D")
    assert "[2]['weight']" in page.locator(".details .path").inner_text()


@pytest.mark.parametrize(
    "hash",
    ["#find=%", "#at=%E0%A4%A", "#find=*****!", "#find=*a*a*a*a*a*b", "#x", "#="],
)
def test_any_link_is_harmless(opened, hash):
    """One that is no link, or a glob that could take for ever."""
    page = opened({"a" * 110: {"a" * 110: {"a" * 110: np.ones(2)}}}, hash)
    page.locator("#find").fill("")
    row(page, "model").wait_for(timeout=10_000)


def test_the_page_is_used_by_keyboard(opened):
    """Arrows move, open and close; a slash goes to the search."""
    page = opened(tree())
    page.locator("#tree .row").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert "model['basis']" in page.locator(".details").inner_text()
    page.keyboard.press("ArrowLeft")
    assert not page.locator(".details").is_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert not row(page, "['basis']").is_visible()
    page.keyboard.press("/")
    page.keyboard.type("thin")
    page.wait_for_selector("#found .row")
    page.keyboard.press("Escape")
    assert row(page, "model").is_visible()


def test_the_page_runs_nothing_of_the_file(opened):
    """Whatever it says, it is shown as text."""
    page = opened(tree(), metadata=dict.fromkeys(HOSTILE, HOSTILE))
    for text in HOSTILE:
        page.locator("#find").fill(text[:12])
        page.wait_for_selector("#found .row")
    page.wait_for_timeout(100)
    assert page.title() == "m.zdx"
    assert page.locator("script").count() == 2
    assert page.locator("img[src=x]").count() == 0


def test_the_page_lists_thousands(opened):
    """A stretch at a time; a search leads into the middle."""
    page = opened({f"w{i}": np.full(2, i) for i in range(900)})
    rows = page.locator("#tree .row")
    assert rows.count() == 201
    page.get_by_text("200 more of 700 below").click()
    assert rows.count() == 401
    page.locator("#find").fill("w777")
    page.locator("#found .row").first.click()
    assert row(page, "['w777']").is_visible()
    assert rows.count() == 201
    page.get_by_text("200 more of 600 above").click()
    assert rows.count() == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone(opened, scheme):
    """Nothing is wider than the screen, and text stands out."""
    page = opened(tree(), viewport={"width": 400, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    text, back = page.evaluate(
        "[getComputedStyle(document.querySelector('h1')).color,"
        " getComputedStyle(document.querySelector('main')).backgroundColor]"
    )
    light = [sum(map(int, re.findall(r"\d+", c)[:3])) for c in (text, back)]
    assert abs(light[0] - light[1]) > 400
