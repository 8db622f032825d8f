"""A thousand pages in a repository: found again, related, and sorted into kinds that it was not told of.

As in the demo's other part, every figure is a comparison with the truth: with the layouts that the pages were made
from. Nothing of these reaches the repository.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsketch._check import Floats
from recsketch.datasets.kinds import new_kind, page_of
from recsketch.datasets.network import WIRING, PageNetwork
from recsketch.datasets.pages import Page
from recsketch.demo.unrolling import note
from recsketch.display.terminal import progress
from recsketch.repository.concepts.emergence import SETTLE
from recsketch.repository.store import SketchRepository
from recsketch.runs import drawing
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.spec import SketchSpec

Figures = dict[str, Any]

SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)
"""Of the kinds of pages that are there from the start."""

NEW_SHARE = 0.2
"""Of a further kind, which appears when half of the pages have been added, and the cold start is over."""

LEAST = SETTLE + 128
"""Fewest pages: without some beyond the cold start nothing could appear."""

PART = 25
"""Pages that are added at a time."""

TRIED = 100
"""Searches of each sort."""

NOISE = 0.3
"""Norm of what is added to a digit's vector before it is looked for, over its own."""


@dataclass(frozen=True)
class Found:
    """What there is to look at: a page of the new kind, the prototype that emerged, unrolled, and what to say behind
    its digits. None where no concept emerged."""

    page: Page
    prototype: drawing.Drawing | None
    note: drawing.Note


def run_repository(folder: str, pages: int, *, seed: int, threads: int | None = None) -> tuple[Figures, Found]:
    """Fill a repository with pages of several kinds, and ask it.

    Parameters
    ----------
    folder : str
        Where to make it, as ``pages`` in that folder; beside it ``graph.html`` is written.
    pages : int
        How many, at least 640: 512 of them are looked at before there are concepts.
    seed : int
        Of pages and sketches.
    threads : int, optional
        As for :class:`recsketch.Sketcher`.

    Returns
    -------
    figures : dict
        Of JSON types.
    found : Found

    Raises
    ------
    ValueError
        Too few pages.
    FileExistsError
        There is a repository already.
    """
    if pages < LEAST:
        raise ValueError(f"pages: wanted at least {LEAST}, as concepts emerge from {SETTLE} runs; got {pages}")
    place = os.path.join(folder, "pages")
    if os.path.exists(place):
        raise FileExistsError(f"{place}: wanted a folder that is not there yet; got one")
    started = time.perf_counter()
    rng, network = np.random.default_rng([seed, 29]), PageNetwork()
    kinds = [new_kind(rng) for _ in range(len(SHARES) + 1)]
    new, half = len(SHARES), max(pages // 2, SETTLE)
    labels = rng.choice(new, size=pages, p=SHARES)
    labels[half:][rng.random(pages - half) < NEW_SHARE] = new
    made = [page_of(kinds[k], rng) for k in progress(labels.tolist(), "writing pages")]
    traces = [network(page.image) for page in progress(made, "reading pages")]
    spec = SketchSpec.fitted(traces[:100], seed=seed, wiring=WIRING)
    os.makedirs(folder, exist_ok=True)
    with SketchRepository.open(place, spec, mode="a", threads=threads, dtype="float16", concepts=True) as kept:
        keys = [f"page {i}" for i in range(pages)]
        for at in progress(range(0, pages, PART), "adding pages"):
            some = slice(at, at + PART)
            kept.add(traces[some], keys[some], metadata=[{"digits": len(t)} for t in traces[some]], objects=True)
        figures: Figures = {
            "pages": pages,
            "dim": spec.dim,
            "seed": seed,
            "new_from": half,
            "added": time.perf_counter() - started,
            "moved": _moved(kept, traces, rng),
            "digits": _digits(kept, traces, made, rng),
            "concepts": _concepts(kept, labels, new, dict(zip(keys, labels.tolist(), strict=True))),
            "graph": str(graph := kept.graph()),
            "page": os.path.join(folder, "graph.html"),
        }
        graph.to_html(figures["page"], keys[0])
        first = int(np.flatnonzero(labels == new)[0])
        found = Found(made[first], _prototype(kept, figures, threads), note(network))
    figures["seconds"] = time.perf_counter() - started
    return figures, found


def _shuffled(trace: Trace, rng: np.random.Generator) -> Trace:
    """The same page with its lines in another order."""
    out, new = Trace(), dict[int, int]()
    for i, o in enumerate(trace.objects):
        order = rng.permutation(len(o.inputs)) if o.module == "page" else np.arange(len(o.inputs))
        inputs, weights = [new[o.inputs[k]] for k in order], [o.weights[k] for k in order]
        new[i] = out.add(o.module, o.attribute, inputs, weights if inputs else None)
    out.outputs([new[i] for i in trace.output_ids], trace.output_weights)
    return out


def _moved(kept: SketchRepository, traces: list[Trace], rng: np.random.Generator) -> Figures:
    """Pages whose lines are in another order, looked for whatever the order."""
    picked = rng.choice(len(traces), TRIED, replace=False).tolist()
    queries = [_shuffled(traces[i], rng) for i in picked]
    hits = kept.search(queries, 1, by="order")
    good = sum(hit[0].key == f"page {i}" for hit, i in zip(hits, picked, strict=True))
    return {"tried": TRIED, "first": good}


def _digits(kept: SketchRepository, traces: list[Trace], made: list[Page], rng: np.random.Generator) -> Figures:
    """A digit's vector with noise: whether the page that is found first has that very digit where it is said to."""
    written = [[line.digits.tolist() for line in page.lines] for page in made]
    good = tried = 0
    for i in rng.permutation(len(traces)).tolist():
        objects = traces[i].objects
        lines = [objects[k].inputs for k in objects[traces[i].output_ids[0]].inputs]
        if [len(line) for line in lines] != [len(line) for line in written[i]]:
            continue  # the network found other digits than there are
        line = int(rng.integers(len(lines)))
        at = int(rng.integers(len(lines[line])))
        vector = objects[lines[line][at]].attribute
        asked = vector + NOISE * np.linalg.norm(vector) / np.sqrt(vector.size) * rng.standard_normal(vector.size)
        hit = kept.search_objects("char", asked.astype(np.float32), 1)[0]
        there = written[int(hit.key.removeprefix("page "))]
        _, row, column = hit.path or (0, 0, 0)
        good += row < len(there) and column < len(there[row]) and there[row][column] == written[i][line][at]
        tried += 1
        if tried == TRIED:
            break
    return {"tried": tried, "first": good, "noise": NOISE}


def _concepts(kept: SketchRepository, labels: Any, new: int, kind_of: dict[str, int]) -> Figures:
    """What emerged, and how many of each concept's members are of the kind that most of them are of."""
    told = []
    for concept in kept.concepts():
        counts = np.bincount([kind_of[key] for key in concept.members], minlength=new + 1)
        kind = int(np.argmax(counts))
        told.append(
            {"id": concept.id, "runs": concept.count, "kind": kind, "pure": float(counts[kind] / concept.count)}
        )
    events = [e for e in kept.events() if e.kind != "grew" and e.placed > SETTLE]
    of_new = [c["id"] for c in told if c["kind"] == new]
    born = next((e.placed for e in events if e.concept in of_new), None)
    seen = None if born is None else int((labels[:born] == new).sum())
    lines = [str(e) for e in events]
    return {"kinds": new + 1, "found": told, "events": lines, "new": of_new[:1], "born": born, "seen": seen}


def _prototype(kept: SketchRepository, figures: Figures, threads: int | None) -> drawing.Drawing | None:
    """What the new concept's members have in common, unrolled."""
    ids = figures["concepts"]["new"]
    if not ids:
        return None
    prototype: Floats = next(c.prototype for c in kept.concepts() if c.id == ids[0])
    found = Sketcher(kept.spec, threads=threads).unroll(prototype)
    return drawing.Drawing(found.objects, found.outputs, found.weights)
