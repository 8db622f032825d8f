"""Runs to be drawn, a parser that holds pages to their form, and what SVG paths say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np

import recsketch as rs

VOID = {"meta", "input", "br"}
HOSTILE = "</title><script>alert('&\"')</script><b onload=x>\n\x1b[2J"


class Page(HTMLParser):
    """Holds that tags nest and close; `elements` are names, attributes and what was open around them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, Any], tuple[str, ...]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str, **about: str) -> list[dict[str, Any]]:
        """Attributes of the elements of a name, with a class if `of` is given one by `class_`."""
        wanted = about.get("class_")
        return [a for t, a, _ in self.elements if t == tag and (wanted is None or wanted in a.get("class", "").split())]

    def drawn(self) -> list[int]:
        """Numbers of objects in drawings, in order."""
        return [int(a["data-n"]) for a in self.of("g", class_="n") if "data-n" in a]

    def listed(self) -> list[int]:
        return [int(a["data-n"]) for a in self.of("li") if "data-n" in a]

    def styles(self) -> str:
        return "".join(text for tag, text in self.texts if tag == "style")


def points(d: str) -> list[tuple[float, float]]:
    """The ends of the strokes of a path of M and L."""
    assert re.fullmatch(r"(?:[ML]-?[\d.]+ -?[\d.]+)*z?", d)
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]


def pages(lines: int = 6, chars: int = 44, seed: int = 0) -> rs.Trace:
    """One page of lines of characters, each of its own attribute."""
    rng = np.random.default_rng(seed)
    trace = rs.Trace()
    tops = []
    for _ in range(lines):
        below = [trace.add("char", rng.standard_normal(32)) for _ in range(chars)]
        tops.append(trace.add("line", rng.standard_normal(24), inputs=below))
    trace.outputs([trace.add("page", rng.standard_normal(8), inputs=tops, weights=range(1, lines + 1))])
    return trace


def tangled(n: int, seed: int, length: int = 6) -> rs.Trace:
    """A DAG whose objects are shared; all of them reach an output."""
    rng = np.random.default_rng(seed)
    trace = rs.Trace()
    for i in range(n):
        inputs = sorted(set(rng.integers(0, i, 3).tolist())) if i > 4 else []
        trace.add(f"m{i % 5}", rng.standard_normal(length), inputs, rng.random(len(inputs)) + 0.1 if inputs else None)
    used = {j for o in trace.objects for j in o.inputs}
    trace.outputs([i for i in range(n) if i not in used])
    return trace
