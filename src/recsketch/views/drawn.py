"""What is drawn of a run, and how its names and numbers are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_NOTHING: Mapping[int, Any] = {}  # no proxy, which could not be pickled


class Drawing(NamedTuple):
    """What is drawn: objects with `.module .attribute .inputs .weights`, the outputs' numbers and weights.

    With `shares`, weights are drawn as they are, else divided by their tuple's sum. `more` holds what else is to be
    said of tuples: texts by the number of the object whose inputs they are, -1 for the outputs.
    """

    objects: Sequence[Any]
    outputs: Sequence[int]
    weights: Sequence[float]
    shares: bool = False
    more: Mapping[int, Sequence[str]] = _NOTHING

    def members(self, ids: Sequence[int], weights: Sequence[float]) -> list[tuple[int, float]]:
        """Numbers and shares of a tuple's members."""
        total = 1.0 if self.shares else sum(weights) or 1.0  # a batch is read before its weights are checked
        return [(i, w / total) for i, w in zip(ids, weights, strict=True)]

    def inputs(self, number: int) -> list[tuple[int, float]]:
        """Numbers and shares of an object's inputs."""
        o = self.objects[number]
        return self.members(o.inputs, o.weights) if o.inputs else []


class Beside(NamedTuple):
    """What another run says of the one that is drawn.

    Attributes
    ----------
    other : Drawing
    pairs : mapping from int to int
        Numbers of objects of the drawn run, and of those of the other that stand for them.
    marks, gone : mapping from int to (str, str)
        A kind of `words` and a text: of objects of the drawn run, and of those that the other run alone has, which are
        drawn, too.
    theirs : mapping from int to vector
        By the number of the drawn run's object the other's attribute, to be drawn over its own.
    words : mapping from str to str
        What each kind means.
    name : str
        What the other run is called where its attributes are drawn beside those of this one.
    """

    other: Drawing
    pairs: Mapping[int, int]
    marks: Mapping[int, tuple[str, str]]
    gone: Mapping[int, tuple[str, str]]
    theirs: Mapping[int, Any]
    words: Mapping[str, str]
    name: str


def numbers(attribute: Any, shown: int = 4) -> str:
    """The first elements of a vector; what is below 1e-5 of its largest is shown as 0."""
    least = 1e-5 * float(abs(attribute).max())
    return " ".join("0" if abs(v) < least else f"{v:.3g}" for v in attribute[:shown]) + (
        " …" if attribute.size > shown else ""
    )


def printable(name: str) -> str:
    """A module's name on one line: line ends and what moves a terminal's cursor are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def cut(name: str, room: float) -> str:
    """A name in so many pixels, by the letters of a wide bold font of 12 pixels."""
    out, used = "", 0.0
    for c in printable(name):
        used += letter(c)
        if used > room:
            while out and used - letter(c) + letter("…") > room:
                used -= letter(out[-1])
                out = out[:-1]
            return out + "…"
        out += c
    return out


def letter(c: str) -> float:
    """About the width of a letter, in pixels: DejaVu Sans Bold, 12 pixels high, which is wider than most."""
    if c in "iljI.,:;'|! ":
        return 4.7
    if c in "frt()[]-":
        return 5.9
    if c < "\x7f":
        return 13.4 if c in "MWmw@%" else 9.4 if c.isupper() else 8.6

    from unicodedata import east_asian_width

    return 13.0 if east_asian_width(c) in "WF" else 10.5
