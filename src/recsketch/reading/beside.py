"""What is drawn of one run beside another: which objects stand for each other, and which differ in what."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import recsketch._check as _check
from recsketch.reading.results import Unrolled, _confidence
from recsketch.runs.drawing import Beside, Drawing
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    from recsketch.reading.difference import Change

DIFFERENCE = {
    "changed": "another attribute",
    "reweighted": "another weight",
    "moved": "stands elsewhere",
    "removed": "in the first run only",
    "added": "in the second run only",
}
TRUTH = {
    "changed": "off by more than 4 standard errors",
    "reweighted": "found with another weight",
    "moved": "found at another place",
    "removed": "missing: in the truth, but not found",
    "added": "extra: found, but not in the truth",
}


def confidence(o: Any) -> str:
    """Behind an object of an unrolled run, its confidence; nothing behind one of a trace."""
    return _confidence(o) if hasattr(o, "confidence") else ""


def beside(
    a: Drawing,
    b: Drawing,
    pairs: Sequence[tuple[int, int]],
    changes: Iterable[Change],
    words: Mapping[str, str],
    name: str,
    overlay: bool,
) -> Beside:
    """What run a says of run b, which is drawn; with `overlay` all of a's attributes are, else those that changed."""
    marks: dict[int, tuple[str, str]] = {}
    theirs: dict[int, Any] = {}
    for c in changes:
        if c.new is None or c.kind == "removed":
            continue
        text = ", ".join([words[c.kind], c._place(), *c._notes()])
        kind, before = marks.get(c.new, (c.kind, ""))
        marks[c.new] = kind, f"{before}; {text}" if before else text
        if c.kind == "changed" and c.old is not None:
            theirs[c.new] = a.objects[c.old].attribute
    twins = {j: i for i, j in reversed(pairs)}
    if overlay:
        theirs = {j: a.objects[i].attribute for j, i in twins.items()}
    for j in _reached(b) - set(twins):
        marks.setdefault(j, ("added", words["added"]))
    gone = dict.fromkeys(_reached(a) - {i for i, _ in pairs}, ("removed", words["removed"]))
    return Beside(a, twins, marks, gone, theirs, words, name)


def _reached(run: Drawing) -> set[int]:
    """Objects that lead to an output with some weight."""
    found: set[int] = set()
    waiting = [i for i, share in run.members(run.outputs, run.weights) if share > 0]
    while waiting:
        i = waiting.pop()
        if i not in found:
            found.add(i)
            waiting += [j for j, share in run.inputs(i) if share > 0]
    return found


def truth(run: Trace | Unrolled, read: Unrolled) -> tuple[Beside, str]:
    """What the truth says of what was read, and that in words, as HTML."""
    from recsketch.reading.difference import diff

    if not isinstance(run, (Trace, Unrolled)):
        raise TypeError(f"truth: wanted a Trace or an Unrolled; got {_check.describe(run)}")
    found = diff(run, read)
    runs = found._runs()
    assert runs is not None  # since `diff` has made it
    a, b, pairs = runs
    counts = []
    for kind, word in (
        ("removed", "missing"),
        ("added", "extra"),
        ("changed", "off"),
        ("moved", "elsewhere"),
        ("reweighted", "of another weight"),
    ):
        if found.of(kind):
            counts.append(f"{len(found.of(kind))} {word}")
    said = f"Beside the truth: {', '.join(counts) or 'none differs'}, {found.same} the same"
    return beside(a, b, pairs, found.changes, TRUTH, "the truth", overlay=True), html.escape(said)
