"""Text for terminals: styles follow the stream, everything keeps to its width, progress speaks to terminals only."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest

from recsketch.display import terminal as report
from recsketch.display.terminal import Style


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode()


def test_style_follows_the_stream(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert Style.of(Terminal()) == Style(100, True, True)
    assert Style.of(Terminal("latin-1")) == Style(100, False, True)
    assert Style.of(io.StringIO()).color is False
    monkeypatch.setenv("NO_COLOR", "1")
    assert Style.of(Terminal()).color is False
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert Style.of(Terminal()).color is False
    for columns, width in (("1000", report.WIDTH[1]), ("1", report.WIDTH[0])):
        monkeypatch.setenv("COLUMNS", columns)
        assert Style.of(Terminal()).width == width
    monkeypatch.delenv("COLUMNS")
    assert Style.of(io.StringIO()).width == Style().width == 80
    with pytest.raises(AttributeError):
        Style().width = 3  # type: ignore[misc]


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.5, 0.999, 1, -2, 7, math.nan, math.inf])
@pytest.mark.parametrize("width", [1, 7, 20])
def test_bars_have_their_width(share, width):
    for style in (Style(), Style(unicode=False)):
        drawn = report.bar(share, width, style=style)
        assert len(drawn) == width
        filled = sum({"#": 8, ".": 0, " ": 0}.get(c, "▏▎▍▌▋▊▉█".find(c) + 1) for c in drawn) / 8
        wanted = 0.0 if math.isnan(share) else min(max(share, 0), 1) * width
        assert abs(filled - wanted) <= (1 / 16 if style.unicode else 1 / 2) + 1e-9


def test_tables_align_and_keep_to_the_width():
    rows = [["a", "1"], ["ééé", "22"], ["頁", "3"], ["\x1b[1mb\x1b[0m", "44444"]]
    lines = report.table(["name", "n"], rows, style=Style(80)).splitlines()
    assert {report.text_width(line) for line in lines} == {2 + 4 + 2 + 5}
    narrow = report.table(["name", "value"], [["x" * 50, "1"]], style=Style(40))
    assert all(report.text_width(line) <= 40 for line in narrow.splitlines())
    assert "…" in narrow
    assert "~" in report.table(["name", "value"], [["x" * 50, "1"]], style=Style(40, unicode=False))
    assert "\x1b" in report.table(["a"], [["b"]], style=Style(color=True))
    with pytest.raises(ValueError, match="wanted 2 cells"):
        report.table(["a", "b"], [["c"]], style=Style())


@pytest.mark.parametrize("width", [40, 71, 72, 80, 120])
@pytest.mark.parametrize("unicode", [True, False])
def test_two_texts_keep_to_the_width_and_lose_no_line(width, unicode):
    left, right = ["true", "├─ 頁 " + "x" * 200], ["read", "└─ é", "│  …"]
    drawn = report.beside(left, right, style=Style(width, unicode))
    assert max(map(report.text_width, drawn)) <= width
    assert not any(line != line.rstrip() for line in drawn)
    assert len(drawn) == (3 if width >= 72 else 6)
    text = "\n".join(drawn)
    assert unicode or text.isascii()
    for word in ("true", "read", "├─ 頁" if unicode else "|- \\u9801", "│  …" if unicode else "|  ..."):
        assert word in text


def test_shades_follow_the_image():
    picture = report.shade(np.array([[0, 0.5, 1], [0, 0.5, 1], [1, 0, 0]]), style=Style())
    assert picture == [" ▒█", "▒"]
    assert report.shade(np.ones((2, 90)), style=Style(50)) == ["█" * 50]
    assert all(
        row.isascii() for row in report.shade(np.random.default_rng(0).random((8, 9)), style=Style(unicode=False))
    )


def test_shades_of_odd_images():
    """Numbers beyond the ends are drawn as the ends, NaN as nothing; an image may be empty, and must be one."""
    odd = np.array([[math.nan, -7, 9, math.inf, -math.inf]] * 2)
    assert report.shade(odd, style=Style()) == ["  ██"]
    assert report.shade(np.zeros((0, 5)), style=Style()) == []
    assert report.shade(np.zeros((3, 0)), style=Style()) == ["", ""]
    for shape in ((4,), (2, 2, 2)):
        with pytest.raises(ValueError, match="image: wanted shape"):
            report.shade(np.zeros(shape), style=Style())


def test_odd_texts():
    """Nothing moves the cursor; what takes no column counts none; a line of millions of characters takes no longer than
    reading it."""
    assert report.text_width("e\u0301\u200b\u200d\ufe0f") == 1
    assert report.text_width("頁a") == 3
    for style in (Style(40), Style(40, unicode=False)):
        (line,) = report.lines(["a\x1b]0;title\x07\n\r\tb"], style=style)
        assert line == "a\\x1b]0;title\\x07\\n\\r\\tb"
        for c in ("x", "頁", "\u0301"):
            (line,) = report.lines([c * 2_000_000], style=style)
            assert report.text_width(line) <= 40
    assert report.table([], [], style=Style()) == ""
    assert report.table(["a"], [], style=Style()) == "  a"
    assert report.heading("x" * 100, style=Style(40)) == "x" * 39 + "…"
    assert report.heading("x" * 40, style=Style(40)) == "x" * 40
    assert report.bar(math.nan, 0, style=Style()) == ""


def test_paragraphs_are_wrapped():
    """At 100 columns at most, words with hyphens whole."""
    text = "many-words " * 30
    for style, width in ((Style(40), 40), (Style(120), 100), (Style(), 80)):
        lines = report.paragraph(text, style=style).splitlines()
        assert max(map(len, lines)) == (width + 1) // 11 * 11 - 1
        assert all(line.startswith("many") for line in lines)
        indented = report.paragraph(text, style=style, indent=3).splitlines()
        assert max(map(len, indented)) <= width
        assert all(line.startswith("   many") for line in indented)
    assert report.WIDTH == (40, 120)


def test_numbers_of_any_size():
    assert report.significant(-0.0) == "0"
    assert report.significant(math.inf) == "inf"
    assert report.significant(0.00099) == "9.9e-04"
    assert report.significant(0.001) == "0.0010"
    assert report.significant(1e300) == "1.0e+300"
    assert report.significant(999_999_999_999_999.0) == "999,999,999,999,999"
    assert report.significant(1234.5, 6) == "1,234.50"
    assert report.percent(math.nan) == "nan%"
    assert report.percent(-0.0) == "0%"
    assert report.percent(-0.0004) == ">-0.1%"
    assert report.percent(1.0004) == "<100.1%"
    assert report.percent(-0.25) == "-25.0%"


def test_percentages_never_round_to_certainty():
    assert report.percent(0.9996) == ">99.9%"
    assert report.percent(0.9991) == "99.9%"
    assert report.percent(0.0004) == "<0.1%"
    assert report.percent(1) == "100%"
    assert report.percent(0) == "0%"
    assert report.percent(0.997, digits=0) == ">99%"


def test_progress_speaks_to_terminals_only():
    terminal, pipe = Terminal(), io.StringIO()
    assert list(report.progress([1, 2, 3], "working", stream=terminal, delay=0)) == [1, 2, 3]
    assert "working" in terminal.text()
    assert terminal.text().endswith("\r")
    assert list(report.progress([1, 2, 3], "working", stream=pipe, delay=0)) == [1, 2, 3]
    assert pipe.getvalue() == ""
    quick = Terminal()
    assert list(report.progress([1], "working", stream=quick)) == [1]
    assert quick.text() == ""
