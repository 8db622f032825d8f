"""Pages are read, sketched, kept, searched, read back, added up, and sorted: the figures of ``recsketch demo``.

Every figure is measured in the run, against the truth: what the pages were made from, or what the reader really saw.
Nothing is compared with an expectation, and nothing is left out because it looks bad.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import recsketch._check as _check
from recsketch._check import CapacityWarning, Floats
from recsketch._config import isa, version
from recsketch.datasets.kinds import Kind, page_of
from recsketch.datasets.pages import Page
from recsketch.demo.population import Sums, add_up
from recsketch.demo.reader import NAMES, Digits, read, seen, torn
from recsketch.display.terminal import progress
from recsketch.erasure import keep_random
from recsketch.repository.concepts.emergence import SETTLE
from recsketch.repository.store import SketchRepository
from recsketch.runs import drawing
from recsketch.runs.batch import TraceBatch
from recsketch.sketcher import Sketcher
from recsketch.sketching.spec import SketchSpec

Figures = dict[str, Any]

KINDS = (
    Kind((3, 5, 4), 4, 8, (0, 1, 2, 3, 4)),
    Kind((6, 4), 4, 8, (5, 6, 7, 8, 9)),
    Kind((4, 4, 4), 4, 8, (0, 2, 4, 6, 8)),
    Kind((3, 3, 3, 3), 4, 8, (2, 3, 4, 5, 6)),
)
"""Layouts of pages, each with five of the ten digits. The last one appears on the way."""

NEW, SHARES, NEW_SHARE = 3, (0.4, 0.35, 0.25), 0.4
"""The kind that appears; shares of the others, and of it once it has appeared."""

PAGES = SETTLE + 128
"""A repository looks at 512 runs before it knows kinds; among those after them the new one appears."""

FITTED, TORN, UNROLLED, PARTS = 100, 50, 20, (1.0, 0.5, 0.25)
"""Pages that choose the specification, that are searched for, that are read back, and from which parts of a row."""

SHOWN = 3
"""Searches that can be looked at."""


@dataclass(frozen=True)
class Story:
    """What was measured, and what there is to look at.

    Attributes
    ----------
    figures : dict
        By chapter, of JSON types. Shares are 0 to 1, times in seconds.
    page : Page
        The first page: `row` is its sketch, `seen` its digits as the reader had them, `back` those from the row, and
        `unrolled` the run that was found in it.
    searches : list of (image, image, bool)
        Upper halves of pages, the page that was found first, and whether it is theirs.
    sums : Sums
    places : list of (int, bool)
        Of pages in the order in which they came: their concept, -1 for none, and whether they are of the new kind.
    example : Page
        The first of the new kind.
    prototype : Drawing or None
        Of the concept that is the new kind, unrolled; None if none emerged.
    """

    figures: Figures
    page: Page
    row: Floats
    seen: Digits
    back: Digits
    unrolled: drawing.Drawing
    searches: list[tuple[Floats, Floats, bool]]
    sums: Sums
    places: list[tuple[int, bool]]
    example: Page
    prototype: drawing.Drawing | None


def tell(folder: str | None = None, *, seed: int = 0, threads: int | None = None) -> Story:
    """Live through the story once.

    Parameters
    ----------
    folder : str, optional
        Where the repository is made and kept; a temporary folder if not given.
    seed : int
        Of pages and sketches, 0 to 2**64 - 1.
    threads : int, optional
        As for :class:`recsketch.Sketcher`.

    Returns
    -------
    Story

    Raises
    ------
    ValueError
        A seed out of range.
    FileExistsError
        The folder is there already.
    """
    seed = _check.integer("seed", seed, 0, 2**64 - 1)
    if folder is not None and os.path.lexists(folder):
        raise FileExistsError(f"{folder}: wanted a folder that is not there yet; got one")
    started = time.perf_counter()
    rng = np.random.default_rng([seed, 29])
    kinds, pages = _pages(rng)
    runs = read(pages)
    spec = SketchSpec.fitted(runs[:FITTED], seed=seed)
    sketcher = Sketcher(spec, threads=threads)
    keys = [f"page {i}" for i in range(PAGES)]
    with (
        _place(folder) as place,
        SketchRepository.open(place, spec, mode="a", threads=threads, concepts=True) as kept,
    ):
        for part in progress((slice(0, SETTLE), slice(SETTLE, PAGES)), "adding pages"):
            kept.add(runs[part], keys[part])
        rows = [kept.get(key).packed for key in keys[:UNROLLED]]
        search, searches = _search(kept, pages, rng.choice(PAGES, TORN, replace=False).tolist())
        concept, places, prototype = _concept(kept, sketcher, keys, kinds)
    reading, first = _reading(sketcher, rows, runs, pages[0])
    sums = add_up(runs[: SETTLE // 2], pages[SETTLE // 2 : SETTLE], seed=seed, threads=threads)
    figures: Figures = {
        "version": version(),
        "isa": isa(),
        "seed": seed,
        "capture": _capture(pages, runs),
        "sketch": {
            "dim": spec.dim,
            "bytes": rows[0].nbytes,
            "vectors": round(4 * float(np.mean([sum(o.attribute.size for o in run.objects) for run in runs]))),
            "load": float(np.max(sketcher.load(runs))),
        },
        "search": search,
        "reading": reading,
        "population": sums.figures,
        "concept": concept,
        "seconds": time.perf_counter() - started,
    }
    unrolled = drawing.Drawing(first.objects, first.outputs, first.weights, shares=True)
    row, example = rows[0].unpack(), pages[kinds.index(NEW)]
    return Story(
        figures, pages[0], row, seen(runs[0]), seen(first), unrolled, searches, sums, places, example, prototype
    )


@contextlib.contextmanager
def _place(folder: str | None) -> Iterator[str]:
    if folder is not None:
        os.makedirs(os.path.dirname(os.path.abspath(folder)), exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="recsketch-", ignore_cleanup_errors=True) as temporary:
        yield os.path.join(temporary, "pages")


def _pages(rng: np.random.Generator) -> tuple[list[int], list[Page]]:
    """Kinds and pages, in the order in which they come; the first after the cold start is of the new kind."""
    kinds = rng.choice(NEW, size=PAGES, p=SHARES)
    kinds[SETTLE:][rng.random(PAGES - SETTLE) < NEW_SHARE] = NEW
    kinds[SETTLE] = NEW
    return kinds.tolist(), [page_of(KINDS[k], rng) for k in kinds]


def _capture(pages: Sequence[Page], runs: TraceBatch) -> Figures:
    """What the reader did, before any sketch: a digit is right if it is the one that was written at its place."""
    right = 0
    for page, run in zip(pages, runs, strict=True):
        for line, found in zip(page.labels, seen(run), strict=False):
            right += sum(NAMES[k] == name for k, (name, _) in zip(line, found, strict=False))
    calls = [len(run.objects) for run in runs]
    digits = sum(len(line) for page in pages for line in page.labels)
    return {"pages": len(pages), "digits": digits, "right": right, "calls": [min(calls), max(calls)]}


def _search(
    kept: SketchRepository, pages: Sequence[Page], picked: Sequence[int]
) -> tuple[Figures, list[tuple[Floats, Floats, bool]]]:
    """Whether half of a page, read by itself, finds the page first among all."""
    found: Figures = {"tried": len(picked), "among": len(kept)}
    shown = []
    for half, lower in (("lower", True), ("upper", False)):
        asked = [torn(pages[i], lower=lower) for i in picked]
        hits = [int(hit[0].key.removeprefix("page ")) for hit in kept.search(read(asked, "reading halves"), 1)]
        found[half] = sum(a == b for a, b in zip(hits, picked, strict=True))
        shown = [(x.image, pages[a].image, a == b) for x, a, b in zip(asked, hits, picked, strict=True)]
    return found, shown[:SHOWN]


def _reading(sketcher: Sketcher, rows: Sequence[Any], runs: TraceBatch, page: Page) -> tuple[Figures, Any]:
    """Runs from their rows, and from parts of them, with nothing known but the specification; and the first found."""
    parts: list[Figures] = []
    first: Any = None
    for share in progress(PARTS, "reading back"):
        mask = None if share == 1 else keep_random(sketcher.spec.dim, share, sketcher.spec.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CapacityWarning)  # runs that no longer fit are part of what is measured
            found = [sketcher.unroll(row, mask=mask) for row in rows]
        whole = [_same(u, run) for u, run in zip(found, runs, strict=False)]
        said = [u.complete for u in found]
        wrong = sum(a != b for a, b in zip(whole, said, strict=True))
        parts.append({"kept": share, "whole": sum(whole), "said": sum(said), "wrong": wrong})
        first = found[0] if first is None else first
    before, after = seen(runs[0]), seen(first)
    pairs = [(x, y) for a, b in zip(before, after, strict=False) for (_, x), (_, y) in zip(a, b, strict=False)]
    figures = {
        "tried": len(rows),
        "parts": parts,
        "written": _text([[NAMES[k] for k in line] for line in page.labels]),
        "read": _text([[name for name, _ in line] for line in before]),
        "back": _text([[name for name, _ in line] for line in after]),
        "error": max((float(np.abs(x - y).max()) for x, y in pairs), default=1.0),
    }
    return figures, first


def _text(lines: Sequence[Sequence[str]]) -> str:
    return " / ".join("".join(str(NAMES.index(name)) for name in line) for line in lines)


def _same(found: Any, run: Any) -> bool:
    """Whether every line and digit stands where the reader had it, and nothing besides."""
    a, b = ([[name for name, _ in line] for line in seen(x)] for x in (found, run))
    return a == b and len(found.objects) == len(run.objects)


def _concept(
    kept: SketchRepository, sketcher: Sketcher, keys: Sequence[str], kinds: Sequence[int]
) -> tuple[Figures, list[tuple[int, bool]], drawing.Drawing | None]:
    """What emerged, and which concept is for the most part of the new kind."""
    concepts, known = kept.concepts(), dict(zip(keys, kinds, strict=True))
    of = {key: concept.id for concept in concepts for key in concept.members}
    places = [(of.get(key, -1), kind == NEW) for key, kind in known.items()]
    pure, mine = 0, None
    for concept in concepts:
        counts = np.bincount([known[key] for key in concept.members], minlength=NEW + 1)
        pure += int(counts.max())
        mine = concept if int(counts.argmax()) == NEW else mine
    figures: Figures = {"from": SETTLE, "found": len(concepts), "placed": len(of), "pure": pure, "event": None}
    if mine is None:
        return figures, places, None
    event = next(e for e in kept.events() if e.concept == mine.id and e.kind != "grew")
    figures |= {"id": mine.id, "event": str(event), "placed_at": event.placed}
    figures["seen"] = sum(kind == NEW for kind in kinds[: event.placed])
    found = sketcher.unroll(mine.prototype)
    return figures, places, drawing.Drawing(found.objects, found.outputs, found.weights)
