"""A printed page, read by rapidocr, comes back from a sketch of what the reader did."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsketch.cli.main import main


@pytest.fixture(scope="module")
def reading() -> Any:
    pytest.importorskip("rapidocr")
    from recsketch.demo.ocr import read_page

    return read_page()


def test_words_come_back_from_the_sketch(reading: Any) -> None:
    """The reader takes an I for an l in one line; what is tested of the sketch is that it keeps what was read."""
    assert reading.whole
    assert reading.recovered == reading.read
    assert [len(block) for block in reading.read] == [len(block) for block in reading.truth] == [2, 2, 1]
    printed, read = ("".join(line for block in x for line in block) for x in (reading.truth, reading.read))
    assert len(printed) == len(read)
    assert sum(a != b for a, b in zip(printed, read, strict=True)) <= 2
    assert len(reading.trace.objects) == 1 + 3 + 5 + len(read)


def test_lines_are_where_they_were_printed(reading: Any) -> None:
    """The ink of a line lies within the box that came back for it, and all ink within some box."""
    objects = reading.unrolled.objects
    ink = reading.image.min(axis=2) < 128
    width = ink.shape[1]
    for page in reading.unrolled.outputs:
        for block in objects[page].inputs:
            for line in objects[block].inputs:
                x0, y0, x1, y1 = (round(float(x) * width) for x in objects[line].attribute)
                part = ink[y0 : y1 + 1, x0 : x1 + 1]
                assert part.any()
                ink[y0 - 2 : y1 + 3, x0 - 2 : x1 + 3] = False
    assert np.count_nonzero(ink) == 0


def test_the_command_shows_it(reading: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from recsketch.demo.ocr import MARGIN, SIZE, STEP
    from recsketch.demo.ocr_text import ocr_figures, ocr_page

    page = ocr_page(reading)
    places = [(float(x), float(y)) for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)" f', page)]
    assert len(places) == 5
    assert all(abs(x - MARGIN) < 6 for x, _ in places)
    rows = [0, 1, 3, 4, 6]  # a line is left out between paragraphs
    assert all(abs(y - MARGIN - STEP * row - SIZE) < 8 for (_, y), row in zip(places, rows, strict=True))
    assert "data:image/png;base64," in page
    assert not re.search("https?:", page.replace("http://www.w3.org", ""))
    assert main(["demo", "--ocr", "--html", str(folder / "p.html")]) == 0
    assert "thank you for the moth." in capsys.readouterr().out
    assert (folder / "p.html").read_text() == page
    assert main(["demo", "--ocr", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ocr_figures(reading)


def test_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    assert main(["demo", "--ocr", "--html", str(folder / "p.html")]) == 2
    assert "recsketch[demo]" in capsys.readouterr().err
    assert not (folder / "p.html").exists()
    assert main(["demo", "--ocr", "--repository", str(folder / "kept")]) == 2
    assert "--repository" in capsys.readouterr().err
