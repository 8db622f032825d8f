"""The figures of a repository of pages as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsketch.demo.repository import Figures, Found
from recsketch.display.terminal import Style, heading, paragraph, percent, shade, table
from recsketch.runs import drawing

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.datasets.pages import Page

TREE_LINES = 12
"""Of the prototype's tree."""


def repository_text(figures: Figures, found: Found, *, style: Style) -> str:
    """Lay the figures of :func:`run_repository` out for a terminal.

    Parameters
    ----------
    figures : dict
    found : Found
    style : Style

    Returns
    -------
    str
        Ends without a newline; no line is wider than the style.
    """
    return "\n\n".join(
        [_opening(figures, style), _searches(figures, style), _concepts(figures, found, style), _graph(figures, style)]
    )


def _opening(f: Figures, style: Style) -> str:
    text = (
        f"{f['pages']:,} pages of {f['concepts']['kinds']} layouts were read by a small modular network and added to "
        f"a repository, {f['dim']:,} numbers of float16 a run, with every line and digit as an object. One of the "
        f"layouts appeared after {f['new_from']} pages. Nobody told the repository of layouts. All below was measured "
        f"just now, in {f['seconds']:.1f} s."
    )
    return f"{heading('Pages in a repository', style=style)}\n{paragraph(text, style=style)}"


def _searches(f: Figures, style: Style) -> str:
    moved, digits = f["moved"], f["digits"]
    text = (
        f"Pages whose lines stand in another order find their page first in {moved['first']} of {moved['tried']} "
        f"cases. A handwritten digit's vector, with {percent(digits['noise'], digits=0)} noise, finds a page with that "
        f"very digit, and where it is, in {digits['first']} of {digits['tried']}."
    )
    return f"{heading('Found again', style=style)}\n{paragraph(text, style=style)}"


def _concepts(f: Figures, found: Found, style: Style) -> str:
    told = f["concepts"]
    rows = [[str(c["id"]), f"{c['runs']:,}", f"layout {c['kind']}", percent(c["pure"])] for c in told["found"]]
    parts = [
        heading("Kinds of pages that emerged", style=style),
        table(["concept", "pages", "most are of", "share"], rows, style=style),
        *(f"  {line}" for line in told["events"]),
    ]
    if found.prototype is None:
        text = "The layout that appeared on the way has not emerged; more pages may bring it."
        return "\n".join([*parts, paragraph(text, style=style)])
    text = (
        f"The layout that appeared on the way was announced after {told['seen']} pages of it. The top of a page, "
        "and what the mean of all their sketches unrolls to: what they have in common."
    )
    tree = drawing.text(found.prototype, TREE_LINES, found.note, 4 if style.width >= 110 else 2)
    picture = shade(_top(found.page), style=Style(style.width - 2, style.unicode, style.color))
    return "\n".join(
        [*parts, paragraph(text, style=style), *(f"  {row}".rstrip() for row in picture), *(f"  {row}" for row in tree)]
    )


def _top(page: Page) -> npt.NDArray[np.float32]:
    """The ink of a page's first lines, two at most."""
    boxes = np.concatenate([line.boxes for line in page.lines[:2]])
    ink = page.image[boxes[:, 0].min() : boxes[:, 1].max(), boxes[:, 2].min() :]
    paper = np.float32(np.median(ink))
    return (ink - paper) / max(float(ink.max() - paper), 1e-6)


def _graph(f: Figures, style: Style) -> str:
    return f"{heading('The knowledge graph', style=style)}\n{paragraph(f['graph'], style=style)}\n  {f['page']}"
