"""What was read from a page's sketch, for a terminal and as an HTML page beside the picture."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import Any

from recsketch.demo.ocr import Reading
from recsketch.demo.pictures import png
from recsketch.display.terminal import Style, beside, heading, lines, paragraph
from recsketch.runs import drawing

TREE_LINES = 14


def ocr_figures(reading: Reading) -> dict[str, Any]:
    """Of JSON types."""
    printed, read, recovered = (
        [line for block in x for line in block] for x in (reading.truth, reading.read, reading.recovered)
    )
    return {
        "dim": reading.dim,
        "objects": reading.count,
        "whole": reading.whole,
        "printed": printed,
        "read": read,
        "recovered": recovered,
    }


def ocr_text(reading: Reading, *, style: Style) -> str:
    """Lines as printed, as read, and as read from the sketch; and the unrolled run."""
    f = ocr_figures(reading)
    whole = "came back whole" if f["whole"] else "came back in part"
    text = (
        f"Printed pages were read by rapidocr: a page has paragraphs of lines of characters, {f['objects']} objects on "
        "this one, and a character's vector is what the reader's last layer sees of it. The run was folded into "
        f"{f['dim']:,} numbers of 16 bits, and {whole}. The last layer then read the vectors that came back."
    )
    same = sum(a == b for a, b in zip(f["read"], f["recovered"], strict=False))
    right = sum(a == b for a, b in zip(f["printed"], f["read"], strict=False))
    after = (
        f"The reader itself read {right} of {len(f['printed'])} lines as they were printed; from the sketch {same} of "
        f"{len(f['read'])} read as the reader read them."
    )
    drawn = drawing.text(reading.unrolled._drawing(), TREE_LINES, lambda o: _letter(reading, o), 2)
    tree = lines(drawn, style=replace(style, width=style.width - 2))
    return "\n".join(
        [
            heading("A page, and what its sketch remembers", style=style),
            paragraph(text, style=style, indent=2),
            "",
            *beside(["printed", *f["printed"]], ["read from the sketch", *f["recovered"]], style=style),
            paragraph(after, style=style, indent=2),
            "",
            *("  " + line for line in tree),
        ]
    )


def _letter(reading: Reading, o: Any) -> str:
    return f" = {reading.letter(o.attribute)}" if o.module == "char" else ""


def ocr_page(reading: Reading) -> str:
    """The picture, beside it the page as its sketch gave it back: words where the recovered lines are."""
    height, width = reading.image.shape[:2]
    frame = "flex:1 1 18em;min-width:0;height:auto;border:1px solid #8888"
    alt = html.escape(" ".join(line for block in reading.truth for line in block))
    picture = f'<img alt="{alt}" width="{width}" height="{height}" style="{frame}" src="{png(reading.image)}">'
    words = []
    objects = reading.unrolled.objects
    blocks = [b for page in reading.unrolled.outputs for b in objects[page].inputs]
    for block, texts in zip(blocks, reading.recovered, strict=True):
        for line, text in zip(objects[block].inputs, texts, strict=True):
            x0, y0, x1, y1 = (float(x) * width for x in objects[line].attribute)
            size = f'font-size="{0.78 * (y1 - y0):.1f}" textLength="{x1 - x0:.1f}" lengthAdjust="spacingAndGlyphs"'
            words.append(f'<text x="{x0:.1f}" y="{y0 + 0.78 * (y1 - y0):.1f}" {size}>{html.escape(text)}</text>')
    sketch = (
        f'<svg role="img" aria-label="the same, from the sketch" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" style="{frame};background:#fff" font-family="sans-serif">{"".join(words)}</svg>'
    )
    f = ocr_figures(reading)
    about = f"{f['objects']} objects from {f['dim']:,} numbers of 16 bits: words and places are recovered ones."
    side = f'<div style="display:flex;flex-wrap:wrap;gap:1em">{picture}{sketch}</div><p>{about}</p>'
    tree = drawing.page(reading.unrolled._drawing(), 2000, lambda o: _letter(reading, o))
    return drawing.document(
        "A page, and what its sketch remembers", [("As it was printed, and as it came back", side), ("Run", tree)]
    )
