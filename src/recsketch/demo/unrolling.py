"""What comes out of the demo's sketches when nothing is known of their structure but which module feeds which."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsketch.datasets.network import MODULES, PageNetwork
from recsketch.display.terminal import progress
from recsketch.erasure import keep_random
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.packing import pack

Figures = dict[str, Any]
Path = tuple[int, ...]

STORED = ("float32", "float16", "int8")
ERASED = tuple(k / 10 for k in range(10))


@dataclass(frozen=True)
class Blind:
    """Runs, the labels of their digits, and sketches of them, to be unrolled."""

    network: PageNetwork
    traces: Sequence[Trace]
    labels: Sequence[npt.NDArray[np.uint8]]
    sketcher: Sketcher
    sketches: npt.NDArray[np.float32]


def unrolling_figures(blind: Blind, curve: int) -> tuple[Figures, Any]:
    """Unroll every sketch; and the first ``curve`` with coordinates erased, and stored in fewer bytes.

    Returns
    -------
    figures : dict
        Of JSON types. An object is found where one of the same module stands at its place; a page is whole where all
        are and nothing else; a digit that was not found is not read right.
    first : Unrolled
        The first page's.
    """
    started = time.perf_counter()
    found = blind.sketcher.unroll(blind.sketches)
    seconds = (time.perf_counter() - started) / len(found)
    some, dim = blind.sketches[:curve], blind.sketcher.spec.dim
    erased: list[Figures] = []
    for share in progress(ERASED, "unrolling what is left"):
        mask = keep_random(dim, 1 - share, blind.sketcher.spec.seed)
        row: Figures = {"erased": share, "kept": int(mask.sum())}
        erased.append(row | _compare(blind, blind.sketcher.unroll(some, mask=mask)))
    stored: list[Figures] = []
    for dtype in STORED:
        packed = pack(some, dtype)
        row = {"dtype": dtype, "bytes": packed.nbytes // len(packed)}
        stored.append(row | _compare(blind, blind.sketcher.unroll(packed)))
    figures = {**_compare(blind, found), "seconds_page": seconds, "erased": erased, "stored": stored}
    return figures, found[0]


def _compare(blind: Blind, found: Sequence[Any]) -> Figures:
    """Unrolled runs against the true ones, place by place."""
    whole, claimed, explained, objects, met, right, digits = 0, 0, 0.0, 0, 0, 0, 0
    truth, error = 0.0, 0.0
    for trace, labels, unrolled in zip(blind.traces, blind.labels, found, strict=False):
        at = {o.path: o for o in unrolled.objects}
        places = dict(_places(trace))
        hits = {p: at[p] for p, o in places.items() if p in at and at[p].module == o.module}
        objects, met = objects + len(places), met + len(hits)
        whole += len(hits) == len(places) == len(at)
        claimed += unrolled.complete
        explained += unrolled.explained
        chars = [p for p in sorted(places) if places[p].module == "char"]
        digits += len(chars)
        for p, label in zip(chars, labels, strict=True):
            if p in hits:
                x = places[p].attribute.astype(np.float64)
                error += float(np.square(hits[p].attribute - x).sum())
                truth += float(np.square(x).sum())
                right += int(blind.network.read(hits[p].attribute).label) == int(label)
    return {
        "pages": len(found),
        "whole": whole,
        "claimed": claimed,
        "explained": explained / len(found),
        "objects": objects,
        "found": met / objects,
        "digits": right / digits,
        "char_error": float(np.sqrt(error / truth)) if truth else None,
    }


def _places(trace: Trace) -> Iterator[tuple[Path, Any]]:
    """Every use of an object, with its path."""
    stack: list[tuple[Path, int]] = [((k,), i) for k, i in enumerate(trace.output_ids)]
    while stack:
        path, i = stack.pop()
        yield path, trace.objects[i]
        stack += [((*path, k), j) for k, j in enumerate(trace.objects[i].inputs)]


def note(network: PageNetwork) -> Any:
    """What a tree says behind a digit: how the network's last layer reads it."""

    def of(o: Any) -> str:
        return f" = {int(network.read(o.attribute).label)}" if len(o.attribute) == MODULES["char"] else ""

    return of
