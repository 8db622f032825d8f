"""The DAG of a run as inline SVG: shared objects once, line width for weight, colour and dashes for confidence."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import recsketch._check as _check
from recsketch.views import glyphs
from recsketch.views.choice import Box, Choice, choice
from recsketch.views.drawn import cut, letter, printable
from recsketch.views.glyphs import short
from recsketch.views.layout import layered
from recsketch.views.scene import OUTPUTS, Only, Scene

Shapes = Mapping[str, tuple[int, int]]
Note = Callable[[Any], str]

CARD = 140.0  # width of an object's card
PLOT = 24.0  # height of its plot
HEAD = 20.0  # of the line with its name
PAD = 8.0
THUMB, ROW = 30.0, 20.0  # a thumbnail's width, and its plot's height
ACROSS = 8  # thumbnails in a row
PICTURE, SMALL = (CARD - 2 * PAD, 56.0), (44.0, 32.0)  # room for an image on a card, and on a tray
WIDE = 11.0  # width of the line of a share of 1
NUMBER = 14.0  # height of a line with the error of an image
STUB, TEXT = 24.0, 330.0  # height of a box that only says something, and the most room for that
THIN = 0.92  # letters of a usual weight beside bold ones

SIGNED = 0.02  # a module's images have signs if an element is below so much of the largest: less may be an error
SURE, LIKELY = 0.9995, 0.9  # confidences from which an object is drawn as certain, and as likely
SIGNS = {"added": "+", "removed": "−", "changed": "~", "moved": "→", "reweighted": "%"}


class Figure(NamedTuple):
    """The drawing, and what occurs in it that a legend explains."""

    svg: str
    choice: Choice
    seen: set[str]


class _Pen:
    """Draws one scene; `seen` collects what occurs."""

    def __init__(self, scene: Scene, shapes: Shapes, note: Note, picked: Choice) -> None:
        self.scene, self.shapes, self.note, self.boxes = scene, shapes, note, picked.boxes
        self.seen: set[str] = set()
        self.box_of = {i: k for k, box in enumerate(self.boxes) for i in box.numbers}
        self.uses: dict[int, list[float]] = {}
        for owner in [OUTPUTS, *self.box_of]:
            for i, share in scene.of(owner):
                if i in self.box_of:
                    self.uses.setdefault(i, []).append(share)
        # One for all images of a module, so that they can be compared: the value of full colour, and the least value.
        self.scales: dict[str, tuple[float, float]] = {}
        for i in self.box_of:
            o = scene.objects[i]
            if o.module in shapes:
                for x in (o.attribute, scene.theirs.get(i, o.attribute)):
                    finite = x[abs(x) < math.inf]
                    high, low = self.scales.get(o.module, (0.0, 0.0))
                    most, least = (float(finite.max()), float(finite.min())) if finite.size else (0.0, 0.0)
                    self.scales[o.module] = max(high, most, -least), min(low, least)

    # ---------------------------------------------------------------- one object

    def shape(self, i: int) -> tuple[int, int] | None:
        o = self.scene.objects[i]
        return self.shapes.get(o.module)

    def classes(self, i: int) -> str:
        """Of an object, for colour and dashes."""
        found = ["n"]
        kind = self.scene.kind(i)
        sure = getattr(self.scene.objects[i], "confidence", None)
        if kind:
            found.append(kind)
            self.seen.add(kind)
        elif sure is not None:
            found.append("sure" if sure > SURE else "likely" if sure >= LIKELY else "doubt")
            self.seen.add(found[-1])
        return " ".join(found)

    def sign(self, i: int) -> str:
        return SIGNS.get(self.scene.kind(i), "")

    def told(self, i: int) -> str:
        """A line for the pointer, and for those who hear the drawing."""
        o = self.scene.objects[i]
        parts = [printable(o.module)]
        if getattr(o, "path", None):
            parts.append("at " + ".".join(map(str, o.path)))
        parts.append("weight " + ", ".join(f"{w:.3g}" for w in self.uses.get(i, [])))
        sure = getattr(o, "confidence", None)
        if sure is not None:
            parts.append(f"confidence {sure:.1%}")
        if self.error(i) is not None:
            parts.append(f"standard error {self.usual(i)}")
        if i in self.scene.marks:
            parts.append(printable(self.scene.marks[i][1]))
        return html.escape(", ".join(parts) + printable(self.note(o) if not isinstance(o, Only) else ""))

    def error(self, i: int) -> Any:
        return getattr(self.scene.objects[i], "error", None)

    def usual(self, i: int) -> str:
        """The standard error of an element of its attribute, root mean square."""
        error = self.error(i)
        return f"{float((error.astype(float) ** 2).mean()) ** 0.5:.2g}"

    def plot(self, i: int, width: float, height: float) -> str:
        o, theirs = self.scene.objects[i], self.scene.theirs.get(i)
        drawn = glyphs.plot(o.attribute, self.error(i), theirs, width, height)
        for name in "elbt":
            if f'class="{name}"' in drawn:
                self.seen.add(name)
        return drawn

    def picture(self, i: int, room: tuple[float, float]) -> str:
        """Its image; the other run's stands beside it, or below one that is wide."""
        o, theirs = self.scene.objects[i], self.scene.theirs.get(i)
        shape, (scale, least) = self.shapes[o.module], self.scales[o.module]
        signed = least < -SIGNED * scale
        out = glyphs.image(o.attribute, shape, room, scale, signed)
        if theirs is not None and len(theirs) == len(o.attribute):
            width, height = glyphs.extent(shape, room)
            x, y = (0.0, height + 2) if _is_wide(shape) else (width + 2, 0.0)
            second = glyphs.image(theirs, shape, room, scale, signed)
            out += f'<g transform="translate({short(x)} {short(y)})">{second}</g>'
            self.seen.add("pair")
        return out

    def frame(self, shape: tuple[int, int], room: tuple[float, float], paired: bool) -> tuple[float, float]:
        """Width and height of an image, or of two."""
        width, height = glyphs.extent(shape, room)
        if not paired:
            return width, height
        return (width, 2 * height + 2) if _is_wide(shape) else (2 * width + 2, height)

    # ---------------------------------------------------------------- boxes

    def size(self, box: Box) -> tuple[float, float]:
        if not box.numbers:
            said = cut(box.text, TEXT / THIN)
            return sum(map(letter, said)) * THIN + 2 * PAD, STUB
        if box.tray:
            across, down = self.cell(box)
            columns = min(self.columns(box), len(box.numbers))
            rows = -(-len(box.numbers) // columns)
            return max(columns * across + 2 * PAD - 3, 110.0), HEAD + rows * down + PAD
        i = box.numbers[0]
        shape = self.shape(i)
        if shape is None:
            single = self.scene.objects[i].attribute.size == 1
            return CARD, HEAD + (20.0 if single else PLOT + PAD + 2)
        width, down = self.frame(shape, PICTURE, i in self.scene.theirs)
        return max(CARD, width + 2 * PAD), HEAD + down + PAD + 2 + (NUMBER if self.error(i) is not None else 0.0)

    def columns(self, box: Box) -> int:
        """As many as make trays of few objects one row, and those of many wide rather than high."""
        across = self.cell(box)[0]
        return max(2, int(min(max(ACROSS, math.isqrt(3 * len(box.numbers))), 2 * ACROSS) * (THUMB + 3) / across))

    def cell(self, box: Box) -> tuple[float, float]:
        i = box.numbers[0]
        shape = self.shape(i)
        if shape is None:
            return THUMB + 3, ROW + 9
        paired = any(j in self.scene.theirs for j in box.numbers)
        across, down = self.frame(shape, SMALL, paired)
        return across + (8 if paired else 3), down + 9

    def card(self, box: Box, size: tuple[float, float]) -> str:
        i = box.numbers[0]
        o = self.scene.objects[i]
        width, height = size
        sure = getattr(o, "confidence", 1.0)
        right = self.sign(i) or (f"{sure:.0%}" if sure <= SURE else "")
        room = width - 2 * PAD - (sum(map(letter, right)) + 6 if right else 0)
        out = [f'<rect class="c" width="{short(width)}" height="{short(height)}" rx="6"/>']
        out.append(f'<text x="{short(PAD)}" y="15">{html.escape(cut(o.module, room))}</text>')
        if right:
            out.append(f'<text class="s" x="{short(width - PAD)}" y="15">{right}</text>')
        if self.shape(i) is not None:
            out.append(f'<g transform="translate({short(PAD)} {short(HEAD)})">{self.picture(i, PICTURE)}</g>')
            if self.error(i) is not None:  # an image has no band
                out.append(f'<text class="v" x="{short(PAD)}" y="{short(height - PAD)}">± {self.usual(i)}</text>')
                self.seen.add("usual")
        elif o.attribute.size == 1:
            out.append(f'<text class="v" x="{short(PAD)}" y="{short(HEAD + 11)}">{html.escape(self.value(i))}</text>')
        else:
            drawn = self.plot(i, width - 2 * PAD, PLOT)
            out.append(f'<g transform="translate({short(PAD)} {short(HEAD + 2)})">{drawn}</g>')
        return self.object(i, "".join(out), "")

    def value(self, i: int) -> str:
        """The number of an attribute that is one, with its standard error and the other run's."""
        o, error, theirs = self.scene.objects[i], self.error(i), self.scene.theirs.get(i)
        text = f"{float(o.attribute[0]):.3g}"
        if error is not None and len(error) == 1:
            text += f" ± {float(error[0]):.1g}"
        if theirs is not None and len(theirs) == 1:
            text += f" ({float(theirs[0]):.3g})"
        return text

    def object(self, i: int, drawn: str, place: str) -> str:
        return f'<g class="{self.classes(i)}" data-n="{i}"{place}><title>{self.told(i)}</title>{drawn}</g>'

    def tray(self, box: Box, size: tuple[float, float]) -> str:
        width, height = size
        across, down = self.cell(box)
        columns = self.columns(box)
        module = self.scene.objects[box.numbers[0]].module
        count = f" × {len(box.numbers)}"
        room = width - 2 * PAD - sum(map(letter, count))
        out = [f'<rect class="y" width="{short(width)}" height="{short(height)}" rx="6"/>']
        out.append(f'<text x="{short(PAD)}" y="15">{html.escape(cut(module, room) + count)}</text>')
        heaviest = max((sum(self.uses.get(i, [])) for i in box.numbers), default=0.0)
        self.seen.add("tray")
        for k, i in enumerate(box.numbers):
            x, y = PAD + across * (k % columns), HEAD + down * (k // columns)
            inner = across - 3
            base = down - 6
            if self.shape(i) is not None:
                drawn = self.picture(i, SMALL)
                base = down - 7
            elif self.scene.objects[i].attribute.size == 1:
                drawn = f'<text class="v" y="14">{float(self.scene.objects[i].attribute[0]):.2g}</text>'
            else:
                drawn = self.plot(i, inner, ROW)
            weight = inner * sum(self.uses.get(i, [])) / heaviest if heaviest > 0 else 0.0
            bar = f'<path class="w" d="M0 {short(base)}h{short(max(0.5, weight))}"/>' if weight == weight else ""
            frame = f'<rect class="c" x="-1.5" y="-2" width="{short(inner + 3)}" height="{short(down - 1)}" rx="2"/>'
            sign = self.sign(i)
            mark = f'<text class="s" x="{short(inner)}" y="7">{sign}</text>' if sign else ""
            out.append(self.object(i, frame + drawn + bar + mark, f' transform="translate({short(x)} {short(y)})"'))
        return "".join(out)


def figure(scene: Scene, shapes: Shapes, note: Note, most: int) -> Figure:
    """A drawing of at most so many objects."""
    picked = choice(scene, most)
    pen = _Pen(scene, shapes, note, picked)
    boxes = picked.boxes
    rooted = len(scene.of(OUTPUTS)) > 1 or any(not b.numbers and OUTPUTS in b.owners for b in boxes)
    sizes = [pen.size(box) for box in boxes] + ([(14.0, 14.0)] if rooted else [])
    box_of = pen.box_of | ({OUTPUTS: len(boxes)} if rooted else {})
    shares: dict[tuple[int, int], list[float]] = {}
    owners: dict[tuple[int, int], set[int]] = {}
    for owner in box_of:
        for i, share in scene.of(owner):
            if i in pen.box_of:
                key = box_of[owner], pen.box_of[i]
                shares.setdefault(key, []).append(share)
                owners.setdefault(key, set()).add(owner)
    for k, box in enumerate(boxes):
        if not box.numbers:
            shares[box_of[box.owners[0]], k] = []
    edges = list(shares)
    placed = layered(sizes, edges)
    out = _edges(scene, boxes, sizes, edges, shares, placed)
    for k, box in enumerate(boxes):
        x, y = placed.x[k], placed.y[k]
        if box.numbers:
            drawn = pen.tray(box, sizes[k]) if box.tray else pen.card(box, sizes[k])
        else:
            w, h = sizes[k]
            label = html.escape(cut(box.text, TEXT / THIN))
            drawn = (
                f'<g class="more"><title>{html.escape(printable(box.text))}</title>'
                f'<rect width="{short(w)}" height="{short(h)}" rx="12"/>'
                f'<text x="{short(w / 2)}" y="16">{label}</text></g>'
            )
        out.append(f'<g class="box" data-b="{k}" transform="translate({short(x)} {short(y)})">{drawn}</g>')
    if rooted:
        k = len(boxes)
        x, y = placed.x[k], placed.y[k]
        out.append(f'<g class="root"><title>outputs</title><circle cx="{short(x + 7)}" cy="{short(y + 7)}" r="6"/></g>')
    if len(edges):
        pen.seen.add("weight")
    width, height = placed.width + 4, placed.height + 4
    told = (
        f"Drawing of {_check.count(picked.drawn, 'object')}, users to the left. The list below says the same in words."
    )
    svg = (
        f'<svg role="img" aria-label="{told}" width="{short(width)}" height="{short(height)}" '
        f'viewBox="-2 -2 {short(width)} {short(height)}">{"".join(out)}</svg>'
    )
    return Figure(svg, picked, pen.seen)


def _is_wide(shape: tuple[int, int]) -> bool:
    return shape[1] > 2 * shape[0]


def _thickness(shares: Sequence[float]) -> float:
    total = sum(shares)
    return max(1.0, WIDE * min(total, 1.0)) if total == total else 1.0


def _edges(
    scene: Scene,
    boxes: Sequence[Box],
    sizes: Sequence[tuple[float, float]],
    edges: Sequence[tuple[int, int]],
    shares: Mapping[tuple[int, int], Sequence[float]],
    placed: Any,
) -> list[str]:
    """Lines from users to what they use, which leave side by side in the order of where they go."""
    leaving: dict[int, list[int]] = {}
    coming: dict[int, list[int]] = {}
    for e, (u, v) in enumerate(edges):
        leaving.setdefault(u, []).append(e)
        coming.setdefault(v, []).append(e)
    thick = [_thickness(shares[edge]) for edge in edges]
    start, end = [0.0] * len(edges), [0.0] * len(edges)

    def first(e: int, out: bool) -> float:
        u, v = edges[e]
        bends = placed.bends[e]
        if bends:
            return float(bends[0 if out else -1][1])
        at = v if out else u
        return float(placed.y[at] + sizes[at][1] / 2)

    for groups, ends, out in ((leaving, start, True), (coming, end, False)):
        for box, group in groups.items():
            group = sorted(group, key=lambda e: first(e, out))
            total = sum(thick[e] for e in group) + 2 * (len(group) - 1)
            room = max(sizes[box][1] - 10, 4.0)
            squeeze = min(1.0, room / total)
            y = placed.y[box] + sizes[box][1] / 2 - total * squeeze / 2
            for e in group:
                ends[e] = y + thick[e] * squeeze / 2
                y += (thick[e] + 2) * squeeze
    drawn = []
    for e, (u, v) in enumerate(edges):
        points = [(placed.x[u] + sizes[u][0], start[e]), *placed.bends[e], (placed.x[v], end[e])]
        d = f"M{short(points[0][0])} {short(points[0][1])}"
        for k in range(1, len(points)):
            (x0, y0), (x1, y1) = points[k - 1], points[k]
            if k % 2 == 1:
                half = (x0 + x1) / 2
                d += f"C{short(half)} {short(y0)} {short(half)} {short(y1)} {short(x1)} {short(y1)}"
            else:
                d += f"H{short(x1)}"
        gone = boxes[v].numbers and all(scene.kind(i) == "removed" for i in boxes[v].numbers)
        dashed = ' class="removed"' if gone else "" if boxes[v].numbers else ' class="more"'
        told = "weight " + " + ".join(f"{w:.3g}" for w in shares[edges[e]][:4]) if shares[edges[e]] else "not drawn"
        if len(shares[edges[e]]) > 4:
            told = f"weight {sum(shares[edges[e]]):.3g} in all"
        drawn.append(
            f'<path data-e="{u} {v}"{dashed} stroke-width="{thick[e]:.1f}" d="{d}"><title>{told}</title></path>'
        )
    return [f'<g class="edges">{"".join(drawn)}</g>']
