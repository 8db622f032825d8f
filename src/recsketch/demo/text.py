"""The story for a terminal: at most 60 lines of at most 80 columns."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np

from recsketch._check import Floats
from recsketch.datasets.digits import SIDE
from recsketch.demo.chapters import chapters, ending, title
from recsketch.demo.story import Story
from recsketch.display.terminal import Style, heading, paragraph, shade
from recsketch.display.terminal import lines as cut

WIDTH = 80
NEXT = "Next: --html FILE draws all this, --repository DIR keeps the pages."
MEANS = ("zero", "three", "seven")
"""Whose mean images are shown."""


def story_text(story: Story, *, folder: str | None = None, style: Style) -> str:
    """The story.

    Parameters
    ----------
    story : Story
    folder : str, optional
        Where its repository is kept.
    style : Style

    Returns
    -------
    str
        At most 60 lines where the style is 80 columns wide; narrower ones take more. Ends without a newline.
    """
    style = replace(style, width=min(style.width, WIDTH))
    pictures = {"Read back": _page(story, style), "Population": _means(story, style)}
    out = [heading(title(story.figures), style=style)]
    for number, chapter in enumerate(chapters(story.figures), 1):
        out += ["", heading(f"{number} {chapter.title}", style=style)]
        out += _said(chapter.done, style)
        out += [style.dim(line) for line in cut(("    " + line for line in chapter.code.splitlines()), style=style)]
        out += pictures.get(chapter.title, [])
        out += _said(f"{chapter.measured} {chapter.lacks}", style)
    out += ["", *_said(ending(story.figures), style, indent=0)]
    out += cut([f"Kept: recsketch concepts {shlex.quote(folder)}" if folder else NEXT], style=style)
    return "\n".join(out)


def _said(text: str, style: Style, indent: int = 2) -> list[str]:
    text = text if style.unicode else text.replace("≥", ">=")
    return paragraph(text, style=style, indent=indent).splitlines()


def _page(story: Story, style: Style) -> list[str]:
    """The first line's digits, four at most, as the reader had them and as they came back; and all that was read."""
    f = story.figures["reading"]
    rows = [[pixels for _, pixels in line][:4] for line in (story.seen[0], story.back[0] if story.back else [])]
    width = max(map(len, rows)) * (SIDE + 1)
    sides = [_strip([x.reshape(SIDE, SIDE) for x in row], width) for row in rows]
    image = np.concatenate([sides[0], np.zeros((SIDE, 6)), sides[1]], axis=1)
    back = f["back"] or "nothing"
    return [*cut([f"  seen {f['read']}, back {back}; line 1 of each:"], style=style), *_drawn(image, style)]


def _means(story: Story, style: Style) -> list[str]:
    """Some digits' mean images from the sum, the true ones, and a seven's from the later sum."""
    gap = np.zeros((SIDE, 5))
    sides = [_strip([story.sums.means[name][k] for name in MEANS]) for k in (0, 1)]
    image = np.concatenate([sides[0], gap, sides[1], gap, story.sums.means["seven"][2]], axis=1)
    told = "  means from the sum              the true ones                   later"
    return [*cut([told], style=style), *_drawn(image / np.nanmax(image), style)]


def _strip(images: list[Floats], width: int = 0) -> Floats:
    """Images beside each other, with a free column behind each, and more up to a width."""
    parts = [np.pad(np.nan_to_num(x), ((0, 0), (0, 1))) for x in images]
    strip = np.concatenate([np.zeros((SIDE, 0)), *parts], axis=1)
    return np.pad(strip, ((0, 0), (0, max(width - strip.shape[1], 0))))


def _drawn(image: Floats, style: Style) -> list[str]:
    return ["  " + row if row else "" for row in shade(image, style=replace(style, width=style.width - 2))]
