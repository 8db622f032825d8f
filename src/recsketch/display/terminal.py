"""Plain text for terminals: tables, bars, wrapped paragraphs, progress. Knows nothing of sketches."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TextIO, TypeVar

import numpy as np
import numpy.typing as npt

_Item = TypeVar("_Item")

_BLOCKS = " ▏▎▍▌▋▊▉█"
_SHADES = " ░▒▓█"
_ASCII_SHADES = " .:+#"
_ASCII_TREE = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-", "…": "..."})
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

WIDTH = (40, 120)
"""Narrowest and widest text that is written, whatever the terminal."""


@dataclass(frozen=True)
class Style:
    """What a text may use.

    Attributes
    ----------
    width : int
        Columns available.
    unicode : bool
        Whether blocks and shades can be written; otherwise ASCII stands in for them.
    color : bool
        Whether escape sequences are welcome.
    """

    width: int = 80
    unicode: bool = True
    color: bool = False

    @classmethod
    def of(cls, stream: TextIO) -> Style:
        """The style a stream allows.

        The width is the terminal's (or ``COLUMNS``), 80 where there is none; color needs a terminal and is off with
        ``NO_COLOR`` (https://no-color.org) or ``TERM=dumb``; blocks need an encoding that has them.
        """
        terminal = stream.isatty()
        width = shutil.get_terminal_size((80, 24)).columns if terminal or "COLUMNS" in os.environ else 80
        try:
            (_BLOCKS + _SHADES).encode(getattr(stream, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            has_blocks = False
        else:
            has_blocks = True
        color = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
        return cls(min(max(width, WIDTH[0]), WIDTH[1]), has_blocks, color)

    def bold(self, text: str) -> str:
        """The text, bold where color is welcome."""
        return f"\x1b[1m{text}\x1b[0m" if self.color else text

    def dim(self, text: str) -> str:
        """The text, faint where color is welcome."""
        return f"\x1b[2m{text}\x1b[0m" if self.color else text


def text_width(text: str) -> int:
    """Columns a text takes: escape sequences, combining marks and invisible characters none, wide ones two.

    Time is linear in the text's length.

    Examples
    --------
    >>> from recsketch.display.terminal import text_width
    >>> text_width("page"), text_width("\\x1b[1mpage\\x1b[0m"), text_width("頁")
    (4, 4, 2)
    """
    return sum(map(_columns, _ESCAPE.sub("", text)))


def _columns(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def printable(text: str) -> str:
    """The text on one line: line ends, and what else moves a terminal's cursor, are written as escapes.

    Examples
    --------
    >>> from recsketch.display.terminal import printable
    >>> printable("page\\n\\x1b[2J")
    'page\\\\n\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, style: Style, indent: int = 2) -> str:
    """An aligned table: the first column to the left, the others to the right.

    A last column too wide for the style is cut, and its end marked; numbers are never cut before text is.

    Parameters
    ----------
    header : sequence of str
        One title a column.
    rows : iterable of sequences of str
        As many cells as the header has.
    style : Style
    indent : int
        Columns left free before the table.

    Returns
    -------
    str
        Lines without trailing spaces, without a final newline.

    Raises
    ------
    ValueError
        A row has another number of cells than the header.

    Examples
    --------
    >>> from recsketch.display.terminal import Style, table
    >>> print(table(["module", "count"], [["page", "1"], ["line", "12"]], style=Style()))
      module  count
      page        1
      line       12
    """
    cells = [list(header), *(list(row) for row in rows)]
    for row in cells:
        if len(row) != len(header):
            raise ValueError(f"rows: wanted {len(header)} cells in every row; got {len(row)}")
    widths = [max(text_width(row[k]) for row in cells) for k in range(len(header))]
    lines = []
    for number, row in enumerate(cells):
        parts = []
        for k, (cell, width) in enumerate(zip(row, widths, strict=True)):
            gap = " " * (width - text_width(cell))
            parts.append(cell + gap if k == 0 else gap + cell)
        line = _cut((" " * indent + "  ".join(parts)).rstrip(), style)
        lines.append(style.dim(line) if number == 0 else line)
    return "\n".join(lines)


def _cut(line: str, style: Style) -> str:
    if text_width(line) <= style.width:
        return line
    kept, left = [], style.width - 1
    for c in _ESCAPE.sub("", line):
        left -= _columns(c)
        if left < 0:
            break
        kept.append(c)
    return "".join(kept) + ("…" if style.unicode else "~")


def bar(share: float, width: int, *, style: Style) -> str:
    """A bar ``width`` columns long, of which a share is filled, to an eighth of a column (ASCII: to a column).

    Parameters
    ----------
    share : float
        0 to 1; anything outside, or NaN, is drawn as the nearer end (NaN: empty).
    width : int
        Columns, at least 1.
    style : Style

    Returns
    -------
    str
        Exactly ``width`` columns.

    Examples
    --------
    >>> from recsketch.display.terminal import Style, bar
    >>> bar(0.5, 8, style=Style(unicode=False))
    '####....'
    """
    share = min(max(share, 0.0), 1.0) if share == share else 0.0
    if not style.unicode:
        full = round(share * width)
        return "#" * full + "." * (width - full)
    full, eighths = divmod(round(share * width * 8), 8)
    return (_BLOCKS[8] * full + (_BLOCKS[eighths] if full < width else "")).ljust(width)


def shade(image: npt.NDArray[np.floating], *, style: Style) -> list[str]:
    """A picture in characters, two rows of the image to one line of text.

    Parameters
    ----------
    image : (rows, columns) floating
        0 (empty) to 1 (full); anything outside is drawn as the nearer end, NaN as empty.
    style : Style
        Columns beyond its width are left out.

    Returns
    -------
    list of str
        ``ceil(rows / 2)`` lines without trailing spaces.

    Raises
    ------
    ValueError
        The image has not two dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from recsketch.display.terminal import Style, shade
    >>> shade(np.eye(4), style=Style(unicode=False))
    ['::', '  ::']
    """
    ramp = _SHADES if style.unicode else _ASCII_SHADES
    if image.ndim != 2:
        raise ValueError(f"image: wanted shape (rows, columns); got {image.shape}")
    shown = np.nan_to_num(np.clip(image[:, : style.width], 0, 1))
    padded = np.pad(shown, ((0, image.shape[0] % 2), (0, 0)))
    level = (padded[0::2] + padded[1::2]) / 2
    index = np.round(level * (len(ramp) - 1)).astype(int)
    return ["".join(ramp[i] for i in row).rstrip() for row in index]


def lines(text: Iterable[str], *, style: Style) -> list[str]:
    """Lines as the style allows: cut to its width, trees and dots in ASCII where that is all there is.

    What moves the cursor is written as an escape. A line costs time linear in its length.

    Examples
    --------
    >>> from recsketch.display.terminal import Style, lines
    >>> lines(["page", "└─ line …"], style=Style(unicode=False))
    ['page', '`- line ...']
    """
    if style.unicode:
        return [_cut(printable(line), style) for line in text]
    plain = (printable(line).translate(_ASCII_TREE).encode("ascii", "backslashreplace").decode() for line in text)
    return [_cut(line, style) for line in plain]


def beside(left: Sequence[str], right: Sequence[str], *, style: Style, indent: int = 2) -> list[str]:
    """Two texts in columns of one width, or one below the other where columns would be narrower than 34.

    Examples
    --------
    >>> from recsketch.display.terminal import Style, beside
    >>> beside(["true", "5"], ["read"], style=Style(80))
    ['  true                                    read', '  5']
    """
    width = (style.width - indent - 2) // 2
    if width < 34:
        return [
            (" " * indent + line).rstrip()
            for line in lines([*left, "", *right], style=replace(style, width=style.width - indent))
        ]
    column = replace(style, width=width)
    pairs = zip_longest(lines(left, style=column), lines(right, style=column), fillvalue="")
    return [f"{' ' * indent}{a}{' ' * (width - text_width(a))}  {b}".rstrip() for a, b in pairs]


def heading(text: str, *, style: Style) -> str:
    """A section's title, cut to the width."""
    return style.bold(_cut(text, style))


def paragraph(text: str, *, style: Style, indent: int = 0) -> str:
    """A text wrapped to at most 100 columns, since longer lines read badly."""
    space = " " * indent
    return textwrap.fill(
        text, min(style.width, 100), initial_indent=space, subsequent_indent=space, break_on_hyphens=False
    )


def percent(share: float, *, digits: int = 1) -> str:
    """A share as percentage; 100% and 0% only where it is exactly that, "nan%" where it is no number.

    Examples
    --------
    >>> from recsketch.display.terminal import percent
    >>> percent(0.5), percent(1.0), percent(0.99999), percent(1.00001), percent(0.00001), percent(-0.00001)
    ('50.0%', '100%', '>99.9%', '<100.1%', '<0.1%', '>-0.1%')
    """
    if share in (0, 1):
        return f"{abs(share):.0%}"
    step, text = 10.0 ** -(digits + 2), f"{share:.{digits}%}"
    for end in (0.0, 1.0):
        if text.lstrip("-") == f"{end:.{digits}%}":
            return f"<{end + step:.{digits}%}" if share > end else f">{end - step:.{digits}%}"
    return text


def significant(value: float, digits: int = 2) -> str:
    """A number to some significant digits, with thousands separated, and an exponent where it is tiny or huge.

    Examples
    --------
    >>> from recsketch.display.terminal import significant
    >>> [significant(v) for v in (0, 1.7e-7, 0.01234, 1.25, 12345.6, -2e30, float("nan"))]
    ['0', '1.7e-07', '0.012', '1.2', '12,346', '-2.0e+30', 'nan']
    """
    if value == 0 or not np.isfinite(value):
        return f"{abs(value) if value == 0 else value:.0f}"
    if not 1e-3 <= abs(value) < 1e15:
        return f"{value:.{digits - 1}e}"
    places = max(digits - 1 - int(np.floor(np.log10(abs(value)))), 0)
    return f"{value:,.{places}f}"


def progress(
    items: Sequence[_Item], title: str, *, stream: TextIO | None = None, delay: float = 0.5
) -> Iterator[_Item]:
    """Iterate, telling a terminal how far it is; silent elsewhere and for work shorter than ``delay`` seconds.

    Parameters
    ----------
    items : sequence
    title : str
    stream : text stream
        By default ``sys.stderr``, so that piped output stays clean.
    delay : float
        Seconds before the first word, and between words at least a fifth of that.

    Yields
    ------
    item
        Each of ``items``, in order.
    """
    out = sys.stderr if stream is None else stream
    due = time.monotonic() + delay if out.isatty() else float("inf")
    written = ""
    try:
        for done, item in enumerate(items):
            now = time.monotonic()
            if now >= due:
                due = now + delay / 5
                written = f"{title} {done / len(items):3.0%}"
                out.write(f"\r{written}")
                out.flush()
            yield item
    finally:
        if written:
            out.write("\r" + " " * len(written) + "\r")
            out.flush()
