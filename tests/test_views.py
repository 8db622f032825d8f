"""Runs as HTML: what is drawn once and what at every use, what is marked, what is left out and said, and the form."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from views import HOSTILE, Page, pages, points, tangled

import recsketch as rs
from recsketch.runs import drawing
from recsketch.views import glyphs, palette
from recsketch.views.choice import DRAWN, choice
from recsketch.views.drawn import cut, letter
from recsketch.views.page import style
from recsketch.views.scene import OUTPUTS, Scene, scene

LENGTHS = {"char": 4, "line": 3, "page": 2}
SK = rs.Sketcher(rs.SketchSpec(2048, LENGTHS, 1, max_inputs=8), threads=1)


def small(change: float = 0.0, lines: tuple[int, ...] = (3, 2)) -> rs.Trace:
    """Lines of so many characters; `change` is added to the second character of the first line."""

    def x(length: int, *place: int) -> Any:
        return np.random.default_rng(place).standard_normal(length) + (change if place == (0, 1) else 0.0)

    trace = rs.Trace()
    tops = []
    for k, chars in enumerate(lines):
        tops.append(trace.add("line", x(3, k), [trace.add("char", x(4, k, c)) for c in range(chars)]))
    trace.outputs([trace.add("page", [1.0, 0.5], tops)])
    return trace


def reached(trace: rs.Trace) -> set[int]:
    found, waiting = set(), list(trace.output_ids)
    while waiting:
        i = waiting.pop()
        if i not in found:
            found.add(i)
            waiting += trace.objects[i].inputs
    return found


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("seed", range(8))
def test_shared_objects_are_drawn_once_and_listed_at_every_use(seed: int) -> None:
    trace = tangled(20, seed)
    page = Page(trace.to_html())
    assert sorted(page.drawn()) == sorted(reached(trace)) == list(range(20))
    uses = len(trace.output_ids)
    stack = list(trace.output_ids)
    while stack:
        inputs = trace.objects[stack.pop()].inputs
        uses += len(inputs)
        stack += inputs
    assert len(page.listed()) == uses > 25


def test_lines_are_as_wide_as_weights() -> None:
    trace = rs.Trace()
    x, y = trace.add("x", [1.0, 2.0]), trace.add("y", [1.0, 2.0])
    trace.outputs([trace.add("top", [1.0, 0.0], [x, y, x], [4, 5, 1])])
    page = Page(trace.to_html())
    lines = [a for a in page.of("path") if "data-e" in a]
    assert [float(a["stroke-width"]) for a in lines] == pytest.approx([5.5, 5.5])  # 4 + 1 of 10, and 5, times 11
    titles = [text for tag, text in page.texts if tag == "title"]
    assert "weight 0.4 + 0.1" in titles
    assert "weight 0.5" in titles


def test_siblings_that_nothing_feeds_share_a_tray() -> None:
    page = Page(pages(2, 9).to_html())
    assert len(page.of("g", class_="box")) == 1 + 2 + 2
    assert len(page.drawn()) == 21
    assert [text for tag, text in page.texts if tag == "text"].count("char × 9") == 2


def test_a_large_run_is_drawn_in_part_and_says_so() -> None:
    """Every tuple has the same room, heavy members first, and what is left out is counted where it belongs."""
    trace = pages(20, 49)
    text = trace.to_html(most=5000)
    page = Page(text)
    assert len(page.drawn()) == len(set(page.drawn())) == DRAWN
    assert f"Drawn are {DRAWN} of 1,001 objects: of tuples with many members the heaviest ones" in text
    assert len(page.listed()) == 1001
    left = [int(t.split()[0]) for tag, t in page.texts if tag == "text" and t.endswith(" more char")]
    assert sum(left) == 1001 - DRAWN
    assert max(left) - min(left) <= 1
    assert len(text) < 350_000
    rng = np.random.default_rng(0)
    wide, weights = rs.Trace(), rng.random(600)
    wide.outputs([wide.add("top", [1.0], [wide.add("x", [float(i), 1.0]) for i in range(600)], weights)])
    drawn = set(Page(wide.to_html()).drawn()) - {600}
    assert drawn == set(np.argsort(-weights)[: DRAWN - 1].tolist())


def test_what_differs_is_drawn_first() -> None:
    """One changed character among 1,000 light ones is drawn; without the mark it is not."""
    weights = np.full(1000, 1.0)
    weights[777] = 1e-3

    def run(value: float) -> rs.Trace:
        t = rs.Trace()
        t.outputs(
            [t.add("p", [1.0], [t.add("x", [float(i), value if i == 777 else 1.0]) for i in range(1000)], weights)]
        )
        return t

    assert 777 not in Page(run(1.0).to_html()).drawn()
    page = Page(rs.diff(run(1.0), run(5.0)).to_html())
    assert 777 in page.drawn()
    assert [int(a["data-n"]) for a in page.of("g", class_="changed") if "data-n" in a] == [777]


def test_depth_has_an_end() -> None:
    trace, x = rs.Trace(), 0
    for i in range(100):
        x = trace.add("m", [1.0, float(i)], [x] if i else [])
    trace.outputs([x])
    text = trace.to_html()
    assert len(Page(text).drawn()) == 24
    assert "Drawn are 24 of 100 objects: 24 levels of them" in text
    assert "1 more m" in text


def test_objects_that_no_output_is_made_of_are_told_of() -> None:
    trace = small()
    trace.add("char", [1.0, 2.0, 3.0, 4.0])
    assert "Neither drawn nor listed: 1 object that no output is made of" in trace.to_html()
    assert "Neither drawn" not in small().to_html()


def test_hostile_numbers_end() -> None:
    """A hand-made answer whose objects use each other, and weights that are no numbers."""
    x = np.ones(2, np.float32)

    def o(inputs: tuple[int, ...]) -> rs.UnrolledObject:
        return rs.UnrolledObject("m", x, inputs, (np.nan,) * len(inputs), (0,), 1.0, 0.5, x, 1.0, 0.1)

    found = rs.Unrolled((o((1,)), o((0,))), (0,), (np.inf,), 0.5, 0.5, False, 1, 1, 1)
    page = Page(found.to_html(most=50))
    assert sorted(page.drawn()) == [0, 1]
    assert len(page.listed()) == 50


# ---------------------------------------------------------------- what is said of it


def test_confidence_is_a_colour_a_dash_and_a_number() -> None:
    found = SK.unroll(SK.sketch(small()))
    sure = [1.0, 0.97, 0.6, *[1.0] * 5]
    objects = tuple(dataclasses.replace(o, confidence=c) for o, c in zip(found.objects, sure, strict=True))
    page = Page(dataclasses.replace(found, objects=objects).to_html())
    for name, wanted in (("likely", {1}), ("doubt", {2}), ("sure", set(range(8)) - {1, 2})):
        assert {int(a["data-n"]) for a in page.of("g", class_=name) if "data-n" in a} == wanted
    texts = [text for tag, text in page.texts if tag == "text"]
    assert "97%" in texts
    assert "60%" in texts
    legend = " ".join(text for tag, text in page.texts if tag == "li")
    assert "certain" in legend
    assert "confidence 90% or more" in legend
    assert "confidence below 90%" in legend
    for name in ("likely", "doubt"):
        assert re.search(rf"\.{name} \.c[^{{]*\{{[^}}]*stroke-dasharray", style())


def test_what_is_missing_is_drawn_and_told() -> None:
    rest = rs.Rest(0, "char", 3.0, np.ones(4, np.float32), 1.0, 0.1)
    found = SK.unroll(SK.sketch(small()))
    part = dataclasses.replace(found, complete=False, limits=("capacity",), rests=(rest,), warnings=("<copies>",))
    text = part.to_html()
    assert "! incomplete</span>" in text
    assert "(limits: capacity)" in text
    assert "<li>&lt;copies&gt;</li>" in text
    assert f"and {rest}" in [t for tag, t in Page(text).texts if tag == "text"]
    assert "✓ complete</span>" in found.to_html()
    rests = tuple(dataclasses.replace(rest, owner=k) for k in range(-1, len(found.objects)))
    for most in range(1, 9):  # cut anywhere, what is open is closed
        Page(dataclasses.replace(part, rests=rests).to_html(most=most))


def test_the_truth_stands_beside_it() -> None:
    """One character changed by far more than its error, a line more in the truth, and one that the truth has not."""
    read = SK.unroll(SK.sketch(small(lines=(3, 2, 2))))
    assert read.complete
    truth = small(1.0, lines=(3, 3))
    page = Page(read.to_html(truth=truth))
    here = {kind: [int(a["data-n"]) for a in page.of("g", class_=kind) if "data-n" in a] for kind in palette.LIGHT}
    assert len(here["changed"]) == 1
    assert read.objects[here["changed"][0]].path == (0, 0, 1)
    gone = here["removed"]
    assert gone
    assert min(gone) >= len(read.objects)
    assert len(here["added"]) == 3  # the third line and its two characters
    text = read.to_html(truth=truth)
    assert "off by more than 4 standard errors" in text
    assert "dashes: the truth" in text
    assert "Beside the truth: 1 missing, 1 extra, 1 off, 7 the same" in text
    both = Page(read.to_html(truth=small(lines=(3, 2, 2))))
    assert len(both.of("path", class_="t")) == len(read.objects) + 1  # and one in the legend
    assert not both.of("g", class_="changed")
    with pytest.raises(TypeError, match=r"^truth: wanted a Trace or an Unrolled; got 3"):
        read.to_html(truth=3)  # type: ignore[arg-type]


def test_two_runs_are_drawn_as_one() -> None:
    a, b = small(lines=(3, 2)), small(1.0, lines=(3, 2, 2))
    found = rs.diff(a, b)
    page = Page(found.to_html())
    assert sorted(page.drawn()) == list(range(len(b)))
    back = Page(rs.diff(b, a).to_html())
    assert sorted(back.drawn()) == list(range(len(a) + 3))  # and what only the first has
    removed = [a for a in back.of("g", class_="removed") if "data-n" in a]
    assert len(removed) == 3
    assert sorted(back.listed()) == sorted(back.drawn())  # nothing is shared in these
    assert all(
        "first run only" in t for tag, t in back.texts if tag == "em" and "second" not in t and "another" not in t
    )
    assert len(back.of("path", class_="t")) == 2  # of what changed, and in the legend
    assert rs.diff(a, b) == rs.Difference(found.changes, found.same, found.whole)  # the drawing is no part of it
    assert "<svg" not in rs.Difference(found.changes, found.same, found.whole).to_html().partition("</style>")[2]


def test_objects_that_changed_places_do_not_make_a_circle() -> None:
    """x above y in one run, y above x in the other."""

    def chain(*names: str) -> rs.Trace:
        t, last = rs.Trace(), None
        for name in names:
            last = t.add(name, [1.0, 2.0 + len(name)], [] if last is None else [last])
        t.outputs([last])
        return t

    for a, b in ((chain("u", "vv", "www"), chain("www", "vv", "u")), (chain("u", "vv"), chain("vv", "www", "u"))):
        page = Page(rs.diff(a, b).to_html())
        assert len(page.drawn()) == len(set(page.drawn())) >= len(b)
        assert sorted(page.listed()) == sorted(page.drawn())


# ---------------------------------------------------------------- attributes as pictures


def box(d: str, width: float = 60.0, height: float = 20.0) -> tuple[str, dict[str, str]]:
    page = Page(d)
    return d, {a["class"]: a["d"] for a in page.of("path")}


def test_lines_show_elements_errors_and_the_other_run() -> None:
    x = np.sin(np.arange(15.0))
    error, other = np.full(15, 0.25), x + 0.5
    _, found = box(glyphs.plot(x, error, other, 60.0, 20.0))
    line, band, theirs = (np.array(points(found[name])) for name in "let")
    assert len(line) == len(theirs) == 15
    assert len(band) == 30
    scale = (theirs[:, 1] - line[:, 1]).mean() / -0.5  # pixels of one, upwards less
    assert np.allclose(line[:, 1] - line[0, 1], -scale * (x - x[0]), atol=0.11)  # rounded to a tenth at both ends
    assert np.allclose(band[:15, 1], line[:, 1] - scale * 0.5, atol=0.11)  # 2 standard errors
    assert np.allclose(band[15:, 1][::-1], line[:, 1] + scale * 0.5, atol=0.11)
    assert line[:, 0].tolist() == pytest.approx((np.arange(15) * 60 / 14).round(1).tolist())
    ys = np.concatenate([line[:, 1], band[:, 1], theirs[:, 1]])
    assert ys.min() >= 0
    assert ys.max() <= 20


def test_bars_start_at_zero() -> None:
    _, found = box(glyphs.plot(np.array([1.0, -1.0, 0.5]), None, None, 60.0, 20.0))
    assert found["z"] == "M0 10H60"
    assert found["b"] == "M10 10V0M30 10V20M50 10V5"
    assert set(found) == {"z", "b"}


def test_what_is_no_number_leaves_a_gap() -> None:
    x = np.arange(1.0, 17.0)
    x[[3, 7]] = np.nan, np.inf
    drawn = glyphs.plot(x, np.full(16, np.nan), x, 64.0, 20.0)
    assert "nan" not in drawn
    assert "inf" not in drawn
    _, found = box(drawn)
    assert len(points(found["l"])) == 14
    assert found["l"].count("M") == 3
    for x in (np.full(20, np.nan), np.zeros(20), np.full(3, np.inf), np.full(20, 3e38), np.full(20, 1e-45)):
        drawn = glyphs.plot(x, x, x, 64.0, 20.0)
        assert "nan" not in drawn
        assert "inf" not in drawn


def test_a_long_attribute_keeps_its_peaks() -> None:
    x = np.zeros(5000)
    x[1234] = -7.0
    _, found = box(glyphs.plot(x, None, None, 120.0, 20.0))
    line = points(found["l"])
    assert len(line) == 30
    assert max(y for _, y in line) == 20.0
    at = [px for px, y in line if y == 20.0]
    assert at[0] / 120 == pytest.approx(1234 / 5000, abs=0.01)


def test_images_are_the_attribute() -> None:
    """The PNG in the page, decoded: black on white, or blue and orange around white, on a scale of the module's."""
    x = np.array([0.0, 0.5, 1.0, 0.25, 2.0, np.nan])

    def pixels(signed: bool) -> np.ndarray:
        tag = glyphs.image(x if not signed else x - 1.0, (2, 3), (30.0, 30.0), 2.0, signed)
        data = base64.b64decode(re.search(r"base64,([^\"]+)", tag)[1])
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        at, chunks = 8, {}
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at : at + 8])
            body = data[at + 8 : at + 8 + length]
            assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
            chunks[kind], at = body, at + 12 + length
        assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (3, 2, 8, 2, 0, 0, 0)
        rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(2, 10)
        assert not rows[:, 0].any()
        return rows[:, 1:].reshape(6, 3)

    grey = pixels(False)
    assert grey[:, 0].tolist() == [255, 191, 128, 223, 0, 160]
    assert (grey == grey[:, :1]).all()
    both = pixels(True)
    assert both[2].tolist() == [255, 255, 255]
    assert both[0, 0] > both[0, 2]  # below zero orange
    assert both[4, 0] < both[4, 2]  # above it blue
    trace = small()
    page = Page(trace.to_html(shapes={"char": (2, 2)}))
    images = page.of("image")
    assert len(images) == 5
    assert all(a["href"].startswith("data:image/png;base64,") for a in images)
    read = SK.unroll(SK.sketch(trace))
    assert len(Page(read.to_html(truth=trace, shapes={"char": (2, 2)})).of("image")) == 10
    assert "second image: the truth" in read.to_html(truth=trace, shapes={"char": (2, 2)})
    objects = tuple(dataclasses.replace(o, error=np.array([0.03, 0.04, 0.0, 0.0], np.float32)) for o in read.objects)
    text = dataclasses.replace(read, objects=objects).to_html(shapes={"char": (2, 2)})
    said = [t for tag, t in Page(text).texts if tag == "text" and t.startswith("± ")]
    assert said == ["± 0.025"] * 5  # root mean square
    assert text.count("standard error 0.025") == len(objects)


def test_large_images_are_made_smaller() -> None:
    """Means of squares; a row or a column of any length is an image, too."""
    x = np.zeros((200, 400), np.float32)
    x[:, 200:] = 1.0
    for shape, wanted in (((200, 400), (40, 80)), ((1, 80_000), (1, 95)), ((80_000, 1), (95, 1))):
        tag = glyphs.image(x.ravel(), shape, (30.0, 30.0), 1.0, False)
        data = base64.b64decode(re.search(r"base64,([^\"]+)", tag)[1])
        columns, rows = struct.unpack(">II", data[16:24])
        assert (rows, columns) == wanted
        assert len(data) < 2000
    trace = rs.Trace()
    trace.outputs([trace.add("x", np.zeros(1_000_000), [trace.add("y", np.arange(1_000_000)) for _ in range(5)])])
    assert len(trace.to_html(shapes={"x": (1000, 1000)})) < 20_000


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"char": (2, 3)}, r"shapes\['char'\]: wanted rows x columns = 4, as many .*; got 2 x 3"),
        ({"char": (4,)}, r"shapes\['char'\]: wanted \(rows, columns\); got"),
        ({"char": 4}, r"shapes\['char'\]: wanted \(rows, columns\); got 4"),
        ({"char": (0, 4)}, r"shapes\['char'\]\[0\]: wanted an integer from 1 to"),
        ({"char": (2.0, 2)}, r"shapes\['char'\]\[0\]: wanted an integer"),
        ([1], "shapes: wanted a mapping"),
    ],
)
def test_shapes_that_do_not_fit(shapes: Any, message: str) -> None:
    for run in (small(), SK.unroll(SK.sketch(small())), rs.diff(small(), small(1.0))):
        with pytest.raises((ValueError, TypeError), match=f"^{message}"):
            run.to_html(shapes=shapes)


# ---------------------------------------------------------------- the form


def everything() -> dict[str, str]:
    read = SK.unroll(SK.sketch(small(lines=(3, 2, 2))))
    half = SK.unroll(
        SK.sketch(small(lines=(3, 2, 2))) + np.random.default_rng(0).standard_normal(2048).astype("f4") / 99
    )
    return {
        "trace": pages(3, 5).to_html(),
        "truth": read.to_html(truth=small(1.0, lines=(3, 3)), shapes={"char": (2, 2)}),
        "noisy": half.to_html(),
        "diff": rs.diff(small(), small(1.0, lines=(3, 3))).to_html(),
    }


def test_fragments_have_no_script_no_id_and_fetch_nothing() -> None:
    for name, text in everything().items():
        page = Page(text)
        for tag, about, _ in page.elements:
            assert tag not in ("script", "link", "iframe", "object", "embed", "foreignobject"), name
            assert not any(key.startswith("on") or key in ("id", "src", "action") for key in about), name
            assert about.get("href", "data:image/png;base64,").startswith("data:image/png;base64,"), name
        assert not re.search(r"https?:|url\(|@import|javascript:", text), name


def test_names_do_not_become_markup() -> None:
    a, b = rs.Trace(), rs.Trace()
    for t, value in ((a, 1.0), (b, 2.0)):
        t.outputs([t.add(HOSTILE, [value, 0.0], [t.add(HOSTILE + "2", [float(i), value]) for i in range(6)])])
    sk = rs.Sketcher(rs.SketchSpec(1024, {HOSTILE: 2, HOSTILE + "2": 2}, 1), threads=1)
    read = sk.unroll(sk.sketch(a))
    rest = rs.Rest(-1, HOSTILE, 3.0, np.ones(2, np.float32), 1.0, 0.1)
    read = dataclasses.replace(read, rests=(rest,), warnings=(HOSTILE,), limits=(HOSTILE,))
    for text in (a.to_html(), read.to_html(truth=b, shapes={HOSTILE: (1, 2)}), rs.diff(a, b).to_html()):
        page = Page(text)
        assert not page.of("script")
        assert not any("onload" in about for _, about, _ in page.elements)
        assert "\x1b" not in text.replace(HOSTILE, "")
        shown = drawing.printable(HOSTILE)
        assert any(shown in t for tag, t in page.texts if tag == "title")
    whole = Page(drawing.document(HOSTILE, [(HOSTILE, a.to_html())]))
    assert len(whole.of("script")) == 1
    (policy,) = (about["content"] for about in whole.of("meta") if "http-equiv" in about)
    (script,) = (text for tag, text in whole.texts if tag == "script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_the_style_stays_inside() -> None:
    """Every rule of the fragment's style is for what stands below its class."""
    text = re.sub(
        r"@media\([^)]*\)\{((?:[^{}]*\{[^}]*\})*)\}", r"\1", style().removeprefix("<style>").partition("</")[0]
    )
    rules = re.findall(r"([^{}]+)\{[^}]*\}", text)
    assert len(rules) > 60
    for rule in rules:
        for selector in rule.strip().split(","):
            assert re.search(r"(^|\s)\.recsketch(\s|$)|^:root\.recsketch-page$", selector.strip()), selector


def test_who_wants_no_motion_gets_none() -> None:
    """And whoever walks by keys sees where they are."""
    still, moving = style().partition("@media(prefers-reduced-motion:no-preference)")[::2]
    assert "transition" in moving
    assert not re.search("transition|animation", still)
    assert re.search(r"\.recsketch :focus-visible\{outline:2px solid", still)


def test_the_same_run_has_the_same_bytes() -> None:
    assert everything() == everything()
    program = (
        "import sys; sys.path.insert(0, 'tests')\nfrom views import tangled\nprint(hash(tangled(30, 1).to_html()))"
    )
    program = program.replace("hash(", "__import__('zlib').crc32(").replace(".to_html()", ".to_html().encode()")
    root = Path(__file__).parent.parent
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_a_page_of_sixteen_runs_is_small() -> None:
    """A style and a script for all of them; of a run of 8 objects 6 kB."""
    one = SK.unroll(SK.sketch(small()))._repr_html_()
    text = drawing.document("runs", [(f"run {i}", one) for i in range(16)])
    page = Page(text)
    assert len(page.of("style")) == 2
    assert len(page.of("script")) == 1
    assert len(page.of("svg", class_=None)) >= 16
    assert (len(text) - len(drawing.document("", []))) / 16 < 8_000
    assert len(drawing.document("", [])) < 20_000


def test_a_path_gets_a_page(tmp_path: Path) -> None:
    for run in (small(), SK.unroll(SK.sketch(small())), rs.diff(small(), small(1.0))):
        fragment = run.to_html(tmp_path / "x.html")
        assert fragment == run._repr_html_() == run.to_html()
        text = (tmp_path / "x.html").read_text("utf-8")
        assert text.startswith("<!DOCTYPE html>")
        assert fragment.partition("</style>")[2] in text
        Page(text)


def test_text_and_differences_leave_pages_alone() -> None:
    """What makes HTML is loaded when somebody asks for HTML."""
    program = """
import json, sys
import recsketch
t = recsketch.Trace()
t.outputs([t.add("a", [1.0])])
str(t), str(recsketch.diff(t, t))
print(json.dumps([m for m in sys.modules if "views" in m]))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert set(json.loads(found)) == {"recsketch.views", "recsketch.views.drawn"}


# ---------------------------------------------------------------- colours


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_of_contrast() -> None:
    """Values that WCAG's own pages state."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_contrasts_are_those_of_aa(colours: dict[str, str]) -> None:
    """Text 4.5 to 1, lines and marks 3 to 1, on every ground they stand on."""
    assert set(colours) == set(palette.LIGHT)
    for ground in palette.GROUNDS:
        for name in palette.WORDS:
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for name in palette.LINES:
            assert contrast(colours[name], colours[ground]) >= 3.0, (name, ground)
    assert contrast(colours["ink"], colours["band"]) >= 3.0  # a line on its band
    assert contrast(colours["theirs"], colours["band"]) >= 3.0


def test_every_colour_is_a_variable() -> None:
    folder = Path(drawing.__file__).parent.parent
    for file in ("views/style.css", "views/document.css", "repository/graph/page.html"):
        text = (folder / file).read_text("utf-8")
        assert not re.search(
            r"#[0-9a-fA-F]{3,8}\b(?![\w-]*\{)", re.sub(r"#(frame|about|found|page|count)\b", "", text)
        ), file
        assert set(re.findall(r"var\(--rs-(\w+)", text)) <= {*palette.LIGHT, "n"}, file


def test_wide_letters_take_more_room() -> None:
    for text in ("abcdefghij", "WWWWWWWWWW", "文字文字文字文字", "iiiiiiiiiiiiii"):
        assert cut(text, 1e3) == text
        for room in (20.0, 50.0):
            short = cut(text, room)
            assert sum(map(letter, short)) <= room
            assert text.startswith(short.removesuffix("…"))
    assert cut("iiiiii", 50.0) == "iiiiii"
    assert len(cut("WWWWWW", 50.0)) < 5
    assert cut("a\nb", 90.0) == "a\\nb"


def test_rooms_are_fair() -> None:
    """What is left of one tuple's room goes to those that want more."""
    trace = rs.Trace()
    tops = []
    for count in (2, 100, 100):
        tops.append(trace.add("top", [1.0, 2.0], [trace.add("x", [1.0, float(i)]) for i in range(count)]))
    trace.outputs(tops)
    found = choice(scene(trace._drawing()), 25)
    assert found.drawn == 25
    counts = [sum(top in box.owners for box in found.boxes for _ in box.numbers) for top in tops]
    assert counts == [2, 10, 10]
    whole: Scene = scene(trace._drawing())
    assert [i for i, _ in whole.of(OUTPUTS)] == tops
    shared = rs.Trace()
    below = [shared.add("x", [1.0, float(i)]) for i in range(10)]
    shared.outputs([shared.add("top", [1.0, float(i)], below) for i in range(30)])
    assert choice(scene(shared._drawing()), 41).drawn == 40  # of inputs of 30 users each takes room once


def test_pages_are_as_large_as_they_are_said_to_be() -> None:
    """350 bytes an object drawn, 150 an object listed, 7 kB of style and 12 kB of page, to a fifth: as docstrings and
    docs/views.md say. From 240 objects on a run is drawn as large as it gets."""
    a, b, c, d = (len(pages(*shape).to_html()) for shape in ((4, 20), (6, 30), (10, 50), (12, 60)))
    assert 400 <= (b - a) / (187 - 85) <= 600
    assert 120 <= (d - c) / (733 - 511) <= 180
    assert 5600 <= len(style()) <= 8400
    assert 9600 <= len(drawing.document("A run", [("", "")])) <= 14400
