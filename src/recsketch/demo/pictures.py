"""Pictures inside a page: grey or coloured images as PNG, and two charts as SVG, from NumPy and zlib alone."""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from recsketch._check import Floats

WIDE = 360
"""Units of a chart, which is as wide as the narrowest page: its letters stay as large as those around it."""

ACCENT = "fill:#1f6fc4;fill:light-dark(#1f6fc4,#6cb0ff)"
"""What is to be seen; the second is for browsers that know of dark ground."""


def png(image: npt.NDArray[np.uint8]) -> str:
    """A data URI of an image, (h, w) grey or (h, w, 3) red, green, blue."""
    height, width = image.shape[:2]
    rows = np.ascontiguousarray(image).reshape(height, -1)
    raw = np.pad(rows, ((0, 0), (1, 0))).tobytes()  # a 0 before each row: no filter
    kind = 2 if image.ndim == 3 else 0
    parts = {
        b"IHDR": struct.pack(">2I5B", width, height, 8, kind, 0, 0, 0),
        b"IDAT": zlib.compress(raw, 9),
        b"IEND": b"",
    }
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts.items()
    ]
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def ink(image: Floats) -> npt.NDArray[np.uint8]:
    """Grey of ink from 0, white, to 1, black; NaN is white."""
    return np.round(255 * (1 - np.nan_to_num(np.clip(image, 0, 1)))).astype(np.uint8)


def scan(image: Floats) -> npt.NDArray[np.uint8]:
    """Grey of a scanned page, from its paper to its darkest pixel."""
    paper = float(np.median(image))
    return ink((image - paper) / max(float(image.max()) - paper, 1e-9))


def grid(rows: Sequence[Sequence[Floats]], side: int) -> npt.NDArray[np.uint8]:
    """Square images in rows, with a free pixel between them."""
    step = side + 1
    out = np.zeros((step * max(len(rows), 1) - 1, step * max([1, *map(len, rows)]) - 1), np.float32)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            out[i * step : i * step + side, j * step : j * step + side] = np.reshape(image, (side, side))
    return ink(out)


def figure(image: npt.NDArray[np.uint8], caption: str, alt: str, scale: int) -> str:
    """An image, so many times as large as it is, with its caption."""
    height, width = image.shape[:2]
    look = "max-width:100%;height:auto;image-rendering:pixelated;border:1px solid #8888"
    return (
        f'<figure style="margin:0;min-width:0;max-width:100%"><img src="{png(image)}" alt="{html.escape(alt)}" '
        f'width="{width * scale}" height="{height * scale}" style="{look}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def beside(figures: Iterable[str]) -> str:
    """Figures in a row, or below each other where it is narrow."""
    return f'<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start">{"".join(figures)}</div>'


def surprises(p: Mapping[str, float], level: float, least: float) -> str:
    """A chart of p-values: a bar a name, the longer the smaller; right of the line is what changed."""
    step, left, right, top = 20, 62, WIDE - 52, 22
    ends = math.log10(min([least, *p.values()]))

    def at(x: float) -> float:
        return left + (right - left) * math.log10(x) / ends

    bars = []
    for i, (name, x) in enumerate(p.items()):
        y, long = top + i * step, max(at(x) - left, 1)
        look = ACCENT if x <= level else "fill:currentColor;opacity:.45"
        bars.append(
            f'<text x="{left - 6}" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{left}" y="{y + 3}" width="{long:.1f}" height="{step - 6}" style="{look}"/>'
            f'<text x="{left + long + 4:.1f}" y="{y + 14}">{x:.2g}</text>'
        )
    line, end = at(level), top + len(p) * step
    mark = (
        f'<path d="M{line:.1f} {top - 4}V{end}" stroke="currentColor" stroke-dasharray="3 3"/>'
        f'<text x="{line:.1f}" y="{top - 8}" text-anchor="middle">p = {level:g}</text>'
    )
    told = ", ".join(f"{name} {x:.2g}" for name, x in p.items())
    return _chart(end + 4, f"p-values of changes: {told}", "".join(bars) + mark)


def stream(places: Sequence[tuple[int, bool]], first: int, announced: int | None) -> str:
    """A chart of the pages that came after the first so many: a tick a page, in the row of its concept."""
    step, left, right, top = 26, 84, WIDE - 6, 22
    rows = sorted({concept for concept, _ in places if concept >= 0})
    rows += [-1] if any(concept < 0 for concept, _ in places[first:]) else []
    wide = (right - left) / max(len(places) - first, 1)
    parts = []
    for i, concept in enumerate(rows):
        y = top + i * step
        name = "none yet" if concept < 0 else f"concept {concept}"
        parts.append(f'<text x="{left - 6}" y="{y + 17}" text-anchor="end">{name}</text>')
        for new, look in ((False, "fill:currentColor;opacity:.45"), (True, ACCENT)):
            ticks = [k for k, place in enumerate(places[first:]) if place == (concept, new)]
            path = "".join(
                f"M{left + k * wide:.1f} {y + 4}h{0.8 * wide:.1f}v{step - 8}h-{0.8 * wide:.1f}z" for k in ticks
            )
            parts.append(f'<path d="{path}" style="{look}"/>')
    end = top + len(rows) * step
    if announced is not None:
        x = left + (announced - first) * wide
        parts.append(
            f'<path d="M{x:.1f} {top - 4}V{end}" stroke="currentColor" stroke-dasharray="3 3"/>'
            f'<text x="{x:.1f}" y="{top - 8}" text-anchor="middle">told after {announced}</text>'
        )
    parts.append(f'<text x="{left}" y="{end + 14}">page {first}</text>')
    parts.append(f'<text x="{right}" y="{end + 14}" text-anchor="end">page {len(places) - 1}</text>')
    told = f"{len(places) - first} pages by concept, {sum(new for _, new in places[first:])} of them of the new kind"
    return _chart(end + 20, told, "".join(parts))


def _chart(height: int, told: str, parts: str) -> str:
    look = "width:100%;max-width:36em;height:auto;display:block;font:12px system-ui,sans-serif;fill:currentColor"
    label = html.escape(told)
    return f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDE} {height}" style="{look}">{parts}</svg>'
