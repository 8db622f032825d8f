"""The story as one HTML page: the chapters of the terminal, with pictures."""

from __future__ import annotations

import html

import numpy as np

from recsketch.datasets.digits import SIDE
from recsketch.demo.chapters import chapters, ending, title
from recsketch.demo.pictures import beside, figure, grid, ink, scan, stream, surprises
from recsketch.demo.population import LEVEL
from recsketch.demo.reader import LENGTHS, NAMES
from recsketch.demo.story import Story
from recsketch.runs import drawing

SCALE = 3
"""Pixels of the screen for one of a scan."""

OBJECTS = 200
"""Most that a run is drawn with."""

SHAPES = dict.fromkeys(NAMES, (SIDE, SIDE))
"""Digits are drawn as images."""


def story_page(story: Story) -> str:
    """The story as a document that needs no other file and no network."""
    pictures = {
        "Capture": _scanned,
        "Sketch": _row,
        "Search": _halves,
        "Read back": _page,
        "Population": _means,
        "Concept": _kinds,
    }
    sections = []
    for number, chapter in enumerate(chapters(story.figures), 1):
        below = (
            f"<p>{html.escape(chapter.done)}</p>"
            f'<pre style="overflow-x:auto;padding:.6em .8em;border:1px solid #8885;border-radius:4px" tabindex="0">'
            f"<code>{html.escape(chapter.code)}</code></pre>"
            f"{pictures[chapter.title](story)}"
            f"<p>{html.escape(chapter.measured)} <em>{html.escape(chapter.lacks)}</em></p>"
        )
        sections.append((f"{number} {chapter.title}", below))
    sections.append(("The end", f"<p>{html.escape(ending(story.figures))}</p>"))
    return drawing.document(title(story.figures), sections)


def _scanned(story: Story) -> str:
    said = story.figures["reading"]
    written = figure(scan(story.page.image), "page 0, scanned", f"digits {said['written']}", SCALE)
    seen = grid([[x for _, x in line] for line in story.seen], SIDE)
    return beside([written, figure(seen, f"as it was cut and read: {said['read']}", f"digits {said['read']}", SCALE)])


def _row(story: Story) -> str:
    row = story.row / max(float(np.abs(story.row).max()), 1e-9)
    wide = 64 if row.size % 64 == 0 else 1
    picture = ink((0.5 - 0.5 * row).reshape(-1, wide))
    return figure(picture, f"the {row.size:,} numbers of page 0, from black to white", "noise", 4)


def _halves(story: Story) -> str:
    parts = []
    for asked, found, right in story.searches:
        said = "found first: " + ("its page" if right else "another page")
        pair = [
            figure(scan(asked), "asked for", "the upper lines of a page", SCALE - 1),
            figure(scan(found), said, "a page", SCALE - 1),
        ]
        parts.append(beside(pair))
    return beside(parts)


def _page(story: Story) -> str:
    said = story.figures["reading"]
    sides = [
        figure(grid([[x for _, x in line] for line in digits], SIDE), f"{what}: {said[key]}", f"digits {said[key]}", 4)
        for what, key, digits in (("seen", "read", story.seen), ("read back", "back", story.back))
    ]
    return beside(sides) + drawing.page(story.unrolled, OBJECTS, shapes=SHAPES)


def _means(story: Story) -> str:
    means = story.sums.means
    rows = [[np.nan_to_num(means[name][k]) for name in NAMES] for k in range(3)]
    caption = "means of 0 to 9: from the sum, the true ones, and from the sum of later days"
    changed = figure(grid(rows, SIDE), caption, "mean images of ten digits, three rows", 5)
    # a path counts as changed at half of the level, since there are two families of tests
    p = {name: story.sums.p[name] for name in LENGTHS if name in story.sums.p}
    return changed + surprises(p, LEVEL / 2, 1e-4)


def _kinds(story: Story) -> str:
    f = story.figures["concept"]
    told = stream(story.places, f["from"], f.get("placed_at"))
    example = figure(scan(story.example.image), "the first page of the new kind", "a page of digits", SCALE)
    if story.prototype is None:
        return beside([example]) + told
    common = "<p>What the pages of the new concept have in common: the mean of their rows, unrolled.</p>"
    return beside([example]) + told + common + drawing.page(story.prototype, OBJECTS, shapes=SHAPES)
