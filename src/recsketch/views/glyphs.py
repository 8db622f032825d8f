"""An attribute as a small picture: bars, a line, or an image, with its standard errors and what the other run has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

PIXELS = 96  # an image's longer side at most: it is shown in 124 pixels at most
BARS = 12  # attributes of more elements are lines
SPREAD = 2.0  # standard errors that a band or a whisker is wide, to either side


def short(v: float) -> str:
    """A coordinate, to a tenth."""
    text = f"{v:.1f}"
    return text[:-2] if text.endswith(".0") else text


def path(points: Sequence[tuple[float, float]]) -> str:
    """A polyline; points that are not finite leave a gap."""
    out, pen = [], "M"
    for x, y in points:
        if not math.isfinite(y):
            pen = "M"
            continue
        out.append(f"{pen}{short(x)} {short(y)}")
        pen = "L"
    return "".join(out)


def thinned(x: Any, room: int) -> list[int]:
    """Numbers of at most so many elements of a vector: of each stretch that of the largest absolute value."""
    n = len(x)
    if n <= room:
        return list(range(n))
    edges = [k * n // room for k in range(room + 1)]
    return [a + int(abs(x[a:b]).argmax()) for a, b in pairwise(edges)]


def plot(x: Any, error: Any, theirs: Any, width: float, height: float) -> str:
    """An attribute as bars or as a line, in a box of this size; all of one scale, zero included.

    `error` and `theirs` are None or vectors as long as x; a shorter or longer one of the other run is not drawn.
    """
    at = thinned(x, max(8, int(width / 4)))
    errors = [SPREAD * float(error[i]) for i in at] if error is not None and len(error) == len(x) else []
    others = [float(theirs[i]) for i in at] if theirs is not None and len(theirs) == len(x) else []
    shown = [float(x[i]) for i in at]
    finite = [v for v in (*shown, *others) if math.isfinite(v)]
    high, low = max(0.0, *finite, 0.0), min(0.0, *finite, 0.0)
    if errors and finite:  # a band may widen the scale by half on either side, and is cut beyond
        reach = 0.5 * (high - low)
        ends = [(v - e, v + e) for v, e in zip(shown, errors, strict=True) if math.isfinite(v) and math.isfinite(e)]
        high, low = (
            min(high + reach, max([high, *(b for _, b in ends)])),
            max(low - reach, min([low, *(a for a, _ in ends)])),
        )
    span = high - low
    if not 0.0 < span < math.inf:
        high, low, span = 1.0, 0.0, 1.0

    def y(v: float) -> float:
        return height * (high - min(max(v, low), high)) / span if math.isfinite(v) else math.nan

    zero = y(0.0)
    out = [f'<path class="z" d="M0 {short(zero)}H{short(width)}"/>']
    if len(shown) <= BARS:
        step = width / len(shown)
        thick = max(1.0, min(step - 2, 14.0))
        middles = [(k + 0.5) * step for k in range(len(shown))]
        bars = "".join(
            f"M{short(m)} {short(zero)}V{short(y(v))}" for m, v in zip(middles, shown, strict=True) if math.isfinite(v)
        )
        out.append(f'<path class="b" stroke-width="{short(thick)}" d="{bars}"/>')
        whiskers = "".join(
            f"M{short(m)} {short(y(v - e))}V{short(y(v + e))}"
            for m, v, e in zip(middles, shown, errors, strict=False)
            if math.isfinite(v) and math.isfinite(e) and abs(y(v - e) - y(v + e)) >= 1.0
        )
        if whiskers:
            out.append(f'<path class="e" d="{whiskers}"/>')
        half = thick / 2 + 1
        ticks = "".join(
            f"M{short(m - half)} {short(y(v))}h{short(2 * half)}"
            for m, v in zip(middles, others, strict=False)
            if math.isfinite(v)
        )
        if ticks:
            out.append(f'<path class="t" d="{ticks}"/>')
        return "".join(out)
    last = max(at[-1], 1)
    xs = [width * i / last for i in at]
    upper = [(p, y(v + e)) for p, v, e in zip(xs, shown, errors, strict=False) if math.isfinite(v + e)]
    lower = [(p, y(v - e)) for p, v, e in zip(xs, shown, errors, strict=False) if math.isfinite(v + e)]
    if upper and max(b - a for (_, a), (_, b) in zip(upper, lower, strict=True)) >= 1.0:
        out.append(f'<path class="e" d="{path([*upper, *reversed(lower)])}z"/>')
    out.append(f'<path class="l" d="{path(list(zip(xs, map(y, shown), strict=True)))}"/>')
    if others:
        out.append(f'<path class="t" d="{path(list(zip(xs, map(y, others), strict=True)))}"/>')
    return "".join(out)


def image(x: Any, shape: tuple[int, int], room: tuple[float, float], scale: float, signed: bool) -> str:
    """An attribute as an image of (rows, columns) in so much room; `scale` is the value of full colour.

    It is black on white, or, with `signed`, blue where it is positive and orange where it is negative. The ground is
    white on light and on dark pages. What is not finite is grey.
    """
    import base64
    import struct
    import zlib

    grid = x.reshape(shape)
    step = -(-max(shape) // PIXELS)
    if step > 1:  # means of squares; what is left over at the lower and right edge is not shown
        rows, columns = (max(side // step, 1) for side in shape)
        high, wide = (min(side, step) for side in shape)
        grid = grid[: rows * high, : columns * wide].reshape(rows, high, columns, wide).mean(axis=(1, 3))
    rows, columns = grid.shape
    pixels = bytearray()
    for row in grid:
        pixels.append(0)  # the row is not filtered
        for v in row:
            pixels += _colour(float(v) / scale if scale > 0 else 0.0, signed)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(pixels), 9))
    data = base64.b64encode(png + chunk(b"IEND", b"")).decode()
    across, down = extent(shape, room)
    return f'<image width="{short(across)}" height="{short(down)}" href="data:image/png;base64,{data}"/>'


def extent(shape: tuple[int, int], room: tuple[float, float]) -> tuple[float, float]:
    """Width and height of an image with square pixels that fits in so much room."""
    rows, columns = shape
    pixel = min(room[0] / columns, room[1] / rows)
    return columns * pixel, rows * pixel


def _colour(v: float, signed: bool) -> bytes:
    """White at 0; at 1 black, or blue where there are signs; at -1 orange. Steps of 1/32, so that images pack well."""
    if not math.isfinite(v):
        return b"\xa0\xa0\xa0"
    v = round(min(max(v, -1.0), 1.0) * 32) / 32
    full = ((10, 78, 140) if v > 0 else (200, 85, 0)) if signed else (0, 0, 0)
    return bytes(round(255 + abs(v) * (c - 255)) for c in full)
