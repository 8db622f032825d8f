"""The story of `recsketch demo`: short, the same each time, and with numbers that other ways of reckoning give, too."""

from __future__ import annotations

import ast
import base64
import copy
import json
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.cli.main import main
from recsketch.datasets import Page, PageNetwork
from recsketch.demo import story as stories
from recsketch.demo.chapters import chapters
from recsketch.demo.page import story_page
from recsketch.demo.pictures import grid, ink, png, scan, stream, surprises
from recsketch.demo.reader import BAR, NAMES, crossed, read, seen, torn
from recsketch.demo.story import NEW, PAGES, TORN, Story, tell
from recsketch.demo.text import story_text
from recsketch.display.terminal import Style, text_width
from recsketch.erasure import keep_random

SEED = 5  # of all that is told here: nothing fails by chance
LINES, COLUMNS = 60, 80
MOVED = re.compile(r"in [\d.]+ s \(")  # the only timing


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made" / "pages"


@pytest.fixture(scope="module")
def story(kept: Path) -> Story:
    return tell(str(kept), seed=SEED)


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return stories._pages(np.random.default_rng([SEED, 29]))[1]


@pytest.fixture(scope="module")
def rows(story: Story, kept: Path) -> Iterator[np.ndarray]:
    """What the repository keeps, one row a page."""
    with rs.SketchRepository.open(kept) as repository:
        yield np.array([repository.get(f"page {i}").packed.unpack() for i in range(PAGES)])


@pytest.fixture
def told(story: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    """What the command tells of, without living through it again."""
    monkeypatch.setattr(stories, "tell", lambda *_, **__: story)
    return story


# ---------------------------------------------------------------- the numbers


def by_hand(page: Page) -> list[list[str]]:
    """What the shipped network reads on a page, by the run it makes itself."""
    network = PageNetwork()
    run = network(page.image)
    (top,) = run.output_ids
    lines = [[run.objects[c].attribute for c in run.objects[i].inputs] for i in run.objects[top].inputs]
    return [[NAMES[k] for k in network.read(np.array(line)).label] for line in lines]


def test_the_reader_reads_as_the_network_does(story: Story, pages: list[Page]) -> None:
    runs = read(pages[:40])
    assert [[[name for name, _ in line] for line in seen(run)] for run in runs] == [by_hand(p) for p in pages[:40]]
    for page, run in zip(pages[:40], runs, strict=True):
        crops = PageNetwork().crops(page.image)
        assert [len(line) for line in seen(run)] == list(map(len, crops))
        for line, cuts in zip(seen(run), crops, strict=True):
            for (_, pixels), cut in zip(line, cuts, strict=True):
                np.testing.assert_array_equal(pixels, cut.ravel().astype(np.float32))
    f = story.figures["capture"]
    assert f["digits"] == sum(len(line) for page in pages for line in page.labels)
    wrong = sum(
        a != NAMES[b]
        for page in pages
        for x, y in zip(by_hand(page), page.labels, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    assert f["right"] == f["digits"] - wrong


def test_digits_read_back_are_those_that_the_network_reads(story: Story, pages: list[Page]) -> None:
    lines = by_hand(pages[0])
    text = " / ".join("".join(str(NAMES.index(name)) for name in line) for line in lines)
    assert story.figures["reading"]["read"] == story.figures["reading"]["back"] == text
    error = 0.0
    for before, after, names in zip(story.seen, story.back, lines, strict=True):
        for (a, x), (b, y), name in zip(before, after, names, strict=True):
            assert a == b == name
            error = max(error, float(np.abs(x - y).max()))
    assert story.figures["reading"]["error"] == error
    # Pixels are 0 to 1, a digit's norm is about 3, and the row's load below a half. Elements are right to about 1e-6 of
    # their object's norm (README, "What it promises"); ten times that.
    assert 0 < error < 3e-5


def test_whole_means_that_the_names_and_their_places_are_right(story: Story, kept: Path, pages: list[Page]) -> None:
    f = story.figures["reading"]
    assert [part["kept"] for part in f["parts"]] == [1, 0.5, 0.25]
    assert f["parts"][0]["whole"] == f["parts"][0]["said"] == f["tried"] == 20
    with rs.SketchRepository.open(kept) as repository:
        sketcher = rs.Sketcher(repository.spec)
        stored = [repository.get(f"page {i}").packed for i in range(f["tried"])]
    for part in f["parts"]:
        mask = keep_random(sketcher.spec.dim, part["kept"], SEED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a quarter of a row is too little, and is said to be
            found = [sketcher.unroll(x, mask=mask) for x in stored]
        whole = [
            [[name for name, _ in line] for line in seen(u)] == by_hand(page)
            and len(u.objects) == 1 + len(page.lines) + sum(map(len, page.labels))
            for u, page in zip(found, pages, strict=False)
        ]
        assert part["whole"] == sum(whole)
        assert part["said"] == sum(u.complete for u in found)
        assert part["wrong"] == sum(a != u.complete for a, u in zip(whole, found, strict=True))


def test_halves_are_found_by_the_contrast_of_all_rows(story: Story, kept: Path, rows: Any, pages: list[Page]) -> None:
    """The ranking of docs/repository.md in NumPy: cosines after the mean of the first 512 unit rows is taken away."""
    picked = np.random.default_rng([SEED, 29])
    stories._pages(picked)  # draws what the story has drawn before it picks
    which = picked.choice(PAGES, TORN, replace=False).tolist()
    with rs.SketchRepository.open(kept) as repository:
        sketcher = rs.Sketcher(repository.spec)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mean = unit[:512].mean(axis=0)
    centred = unit - mean
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    for lower, key in ((False, "upper"), (True, "lower")):
        asked = sketcher.sketch(read(torn(pages[i], lower=lower) for i in which)).astype(np.float64)
        query = asked / np.linalg.norm(asked, axis=1, keepdims=True) - mean
        hits = (query @ centred.T).argmax(axis=1)
        assert story.figures["search"][key] == int(np.count_nonzero(hits == which))
        if key == "upper":
            assert [right for *_, right in story.searches] == (hits == which)[: len(story.searches)].tolist()
    assert story.figures["search"]["upper"] > 0.7 * TORN


def test_a_torn_page_has_half_of_its_lines(pages: list[Page]) -> None:
    for page in pages[:30]:
        whole, half = by_hand(page), len(page.lines) // 2
        for part, wanted in ((torn(page), whole[:half]), (torn(page, lower=True), whole[-half:])):
            assert list(map(len, by_hand(part))) == list(map(len, wanted))
            assert len(part.lines) == half


def test_means_and_counts_are_those_of_the_pixels_that_the_network_cut(story: Story, pages: list[Page]) -> None:
    network, pixels = PageNetwork(), {name: [] for name in NAMES}
    f, sums = story.figures["population"], story.sums
    for page in pages[: f["pages"]]:
        for cuts in network.crops(page.image):
            for k, cut in zip(network.read(network.hidden(cuts)).label, cuts, strict=True):
                pixels[NAMES[k]].append(cut)
    assert f["digits"] == sum(map(len, pixels.values()))
    assert f["complete"]
    # A sum of 256 rows of norm 20 or so, each rounded to float32: 256 * 2**-24 * 20 at the very worst, of a count.
    assert f["count_error"] < 1e-3
    for name, cuts in pixels.items():
        np.testing.assert_allclose(sums.means[name][1], np.mean(cuts, axis=0), atol=1e-6)
        np.testing.assert_allclose(sums.means[name][0], np.mean(cuts, axis=0), atol=1e-5)


def test_the_change_is_where_the_bar_was_drawn(story: Story, pages: list[Page]) -> None:
    f, sums = story.figures["population"], story.sums
    assert f["changed"] == ["seven"]
    assert f["p"] == sums.p["seven"] == min(sums.p.values()) <= 0.001
    assert f["p_else"] == min(p for name, p in sums.p.items() if name != "seven") > 0.025
    assert 0 < f["of_the_bar"] <= f["pixels"]
    grown = (sums.means["seven"][2] - sums.means["seven"][0]).sum(axis=1)
    assert int(grown.argmax()) == BAR
    page = next(p for p in pages if any(7 in line for line in p.labels))
    other = crossed(page)
    where = np.argwhere(other.image != page.image)
    boxes = [box for line in page.lines for box, label in zip(line.boxes, line.labels, strict=True) if label == 7]
    assert len(where)
    assert all(any(r == b[0] + BAR and b[2] <= c < b[3] for b in boxes) for r, c in where)
    plain = next(p for p in pages if not any(7 in line for line in p.labels))
    np.testing.assert_array_equal(crossed(plain).image, plain.image)


def test_concepts_are_those_of_the_repository(story: Story, kept: Path) -> None:
    kinds, _ = stories._pages(np.random.default_rng([SEED, 29]))
    f = story.figures["concept"]
    with rs.SketchRepository.open(kept) as repository:
        assert len(repository) == PAGES
        concepts = [repository.concept_of(f"page {i}") for i in range(PAGES)]
        assert f["event"] in list(map(str, repository.events()))
    assert [-1 if c is None else c for c in concepts] == [concept for concept, _ in story.places]
    assert [kind == NEW for kind in kinds] == [new for _, new in story.places]
    placed = [(c, kind) for c, kind in zip(concepts, kinds, strict=True) if c is not None]
    assert f["placed"] == len(placed)
    groups = {c: [kind for d, kind in placed if d == c] for c, _ in placed}
    assert f["found"] == len(groups)
    assert f["pure"] == sum(max(map(kinds_.count, kinds_)) for kinds_ in groups.values())
    assert f["seen"] == kinds[: f["placed_at"]].count(NEW)
    assert f["placed_at"] > f["from"]


# ---------------------------------------------------------------- in a terminal


def test_it_is_short(story: Story) -> None:
    text = story_text(story, style=Style())
    assert len(text.splitlines()) <= LINES
    assert max(map(text_width, text.splitlines())) <= COLUMNS
    assert not any(line != line.rstrip() for line in text.splitlines())
    assert story_text(story, style=Style(120)) == text  # a wider terminal changes nothing
    assert "\x1b" not in text
    for chapter in ("Capture", "Sketch", "Search", "Read back", "Population", "Concept"):
        assert re.search(rf"^\d {chapter}$", text, flags=re.M)


def test_it_is_short_whatever_was_measured(story: Story) -> None:
    """Where nothing emerged and much went wrong, and where numbers are as long as they may be."""
    figures = copy.deepcopy(story.figures)
    figures["capture"] |= {"digits": 12_345, "right": 1, "calls": [10, 100]}
    figures["sketch"] |= {"dim": 16_384, "bytes": 32_780, "vectors": 10_000, "load": 0.999}
    figures["search"] |= {"upper": 50, "lower": 50}
    figures["population"] |= {"changed": ["seven", "three"], "digits": 12_345, "p_else": 0.025, "pixels": 64}
    figures["seconds"] = 1234.5
    for part in figures["reading"]["parts"]:
        part["wrong"] = 20
    for more in ({"event": None}, {"seen": 128, "placed": 640, "event": "after 1,000 runs: concept 33 split from 10"}):
        figures["concept"] |= more
        text = story_text(replace(story, figures=figures), folder="x" * 200, style=Style())
        assert len(text.splitlines()) <= LINES
        assert max(map(text_width, text.splitlines())) <= COLUMNS


def test_it_tells_what_came_back_if_little_did(story: Story) -> None:
    empty = replace(story, back=[], prototype=None, figures=copy.deepcopy(story.figures))
    empty.figures["reading"]["back"] = ""
    empty.figures["population"] |= {"changed": [], "p": None, "p_else": None}
    assert "back nothing" in story_text(empty, style=Style())
    assert "Nothing was found to have changed" in " ".join(story_text(empty, style=Style()).split())
    assert "Nothing was found to have changed" in story_page(empty)


@pytest.mark.parametrize("style", [Style(40), Style(60, unicode=False), Style(80, color=True)])
def test_it_fits_what_the_terminal_can_show(story: Story, style: Style) -> None:
    text = story_text(story, style=style)
    assert max(map(text_width, text.splitlines())) <= style.width
    assert ("\x1b" in text) == style.color
    if not style.unicode:
        assert text.isascii()
    if style.color:
        assert re.sub(r"\x1b\[\d*m", "", text) == story_text(story, style=Style())


def test_the_code_is_python_of_names_that_there_are(story: Story) -> None:
    for chapter in chapters(story.figures):
        for node in ast.walk(ast.parse(chapter.code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rs":
                assert node.attr in rs.__all__
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kept":
                assert hasattr(rs.SketchRepository, node.attr)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "before":
                assert hasattr(rs.Population, node.attr)


# ---------------------------------------------------------------- the command


def environ(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"SKBUILD_EDITABLE_VERBOSE": "0"} | more


def test_it_is_the_same_each_time(story: Story, folder: Path) -> None:
    """In a process of its own, without Matplotlib, to a pipe: everything but the seconds."""
    code = "import sys; sys.modules['matplotlib'] = None; from recsketch.cli.main import main; sys.exit(main())"
    line = [sys.executable, "-c", code, "demo", "--seed", str(SEED), "--html", str(folder / "p.html")]
    done = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", env=environ(PYTHONIOENCODING="utf-8"))
    assert (done.returncode, done.stderr) == (0, "")
    text = story_text(story, style=Style()) + "\n"
    assert MOVED.sub("", done.stdout) == MOVED.sub("", text) != text
    page = story_page(story)
    assert MOVED.sub("", (folder / "p.html").read_text(encoding="utf-8")) == MOVED.sub("", page) != page


def test_a_reader_that_stops_is_no_error(told: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    into, out = os.pipe()
    os.close(into)
    with os.fdopen(out, "w", encoding="utf-8") as stream_:
        monkeypatch.setattr(sys, "stdout", stream_)
        assert main(["demo"]) == 0
        monkeypatch.undo()


def test_what_can_be_asked_for(told: Story, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told.figures
    assert main(["demo", "--html", str(folder / "p.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told.figures
    assert (folder / "p.html").read_text(encoding="utf-8") == story_page(told)
    assert main(["demo", "--html", "-"]) == 0
    written = capsys.readouterr()
    assert written.out == story_page(told)
    assert written.err.startswith("recsketch ")
    assert main(["demo", "--repository", "a folder"]) == 0
    assert "recsketch concepts 'a folder'" in capsys.readouterr().out


def test_what_is_refused(kept: Path, story: Story, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--repository", str(kept), "--html", str(folder / "p.html")]) == 2
    assert "wanted a folder that is not there yet" in capsys.readouterr().err
    assert not (folder / "p.html").exists()
    with pytest.raises(ValueError, match="seed: wanted"):
        tell(seed=-1)
    with pytest.raises(FileExistsError, match="wanted"):
        tell(str(folder))


# ---------------------------------------------------------------- the page


class Tags(HTMLParser):
    """Sees that every tag that opens is closed, in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input", "path", "rect", "circle", "line", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def test_the_page_is_whole_and_stands_alone(story: Story) -> None:
    page = story_page(story)
    tags = parsed(page)
    assert not re.search(r"//\w", re.sub(r"data:image/png;base64,[\w+/=]+|http://www\.w3\.org/[\w/]+", "", page))
    for _, attributes in tags.seen:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    images = [attributes for tag, attributes in tags.seen if tag == "img"]
    assert len(images) >= 8
    assert all(str(a["src"]).startswith("data:image/png;base64,") and a["alt"] for a in images)
    charts = [attributes for tag, attributes in tags.seen if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) >= 2
    text = " ".join("".join(tags.text).split())
    for chapter in chapters(story.figures):
        for said in (chapter.title, chapter.done, chapter.code, chapter.measured, chapter.lacks):
            assert " ".join(said.split()) in text


def test_the_page_escapes(story: Story) -> None:
    figures = copy.deepcopy(story.figures)
    figures["version"] = '<b onclick="x">&'
    figures["concept"]["event"] = "<script>alert(1)</script>"
    figures["reading"]["read"] = figures["reading"]["back"] = '"><script>'
    page = story_page(replace(story, figures=figures))
    assert "<b onclick" not in page
    assert page.count("<script>") == story_page(story).count("<script>")
    assert "&lt;script&gt;" in page
    parsed(page)


def unpacked(uri: str) -> np.ndarray:
    """The pixels of a PNG, read as its standard says (W3C, PNG third edition, 5 and 9), without filters."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(name + body),)
        chunks[name] = body
        at += 12 + size
    width, height, depth, kind, *rest = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert (depth, rest, list(chunks)) == (8, [0, 0, 0], [b"IHDR", b"IDAT", b"IEND"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape((height, width, 3) if kind == 2 else (height, width))


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (4, 2, 3)])
def test_a_png_holds_the_pixels(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(unpacked(png(image)), image)
    np.testing.assert_array_equal(unpacked(png(image[:, ::-1])), image[:, ::-1])


def test_ink_is_dark() -> None:
    assert ink(np.array([0, 1, 0.5, np.nan, -1, 2], np.float32)).tolist() == [255, 0, 128, 255, 255, 0]
    assert scan(np.array([[0.2, 0.2, 0.2], [0.2, 0.8, 0.5]])).tolist() == [[255, 255, 255], [255, 0, 128]]
    assert grid([[np.ones((2, 2))], [np.zeros((2, 2)), np.ones(4)]], 2).tolist() == [
        [0, 0, 255, 255, 255],
        [0, 0, 255, 255, 255],
        [255, 255, 255, 255, 255],
        [255, 255, 255, 0, 0],
        [255, 255, 255, 0, 0],
    ]
    assert grid([], 8).shape == (8, 8)


def test_charts_are_drawn_from_the_data(story: Story) -> None:
    chart = surprises({"a": 1.0, "b": 0.01, "c": 0.0001}, 0.025, 1e-4)
    widths = [float(w) for w in re.findall(r'<rect x="[\d.]+" y="[\d.]+" width="([\d.]+)"', chart)]
    assert widths[1] == pytest.approx(widths[2] / 2, abs=0.1)  # log10 of 0.01 is half of that of 0.0001
    assert widths[0] == 1
    assert chart.count("light-dark") == 2  # what is below the level
    assert "&lt;" in surprises({"<": 0.5}, 0.025, 1e-4)
    places = [(0, False), (0, False), (0, True), (-1, True), (2, False)]
    drawn = stream(places, 1, 3)
    assert [path.count("M") for path in re.findall(r'<path d="([^"]*)" style', drawn)] == [1, 1, 1, 0, 0, 1]
    assert "none yet" in drawn
    assert "told after" not in stream(places, 1, None)
    whole = story_page(story)
    assert stream(story.places, story.figures["concept"]["from"], story.figures["concept"]["placed_at"]) in whole
