"""What sketches of the page network's runs still know: every figure of ``recsketch demo``, measured in the run.

A figure here is a comparison with the truth: with the labels the pages were made from, or with the vectors the network
really computed. Nothing is compared with an expectation, and nothing is left out because it looks bad.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recsketch._check import CapacityWarning
from recsketch._config import isa, version
from recsketch.datasets.network import MODULES, WIRING, PageNetwork
from recsketch.datasets.pages import Page, make_pages, rescan
from recsketch.demo.agents import agent_figures
from recsketch.demo.population import population_figures
from recsketch.demo.unrolling import Blind, note, unrolling_figures
from recsketch.display.terminal import progress
from recsketch.runs import drawing
from recsketch.runs.batch import TraceBatch
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.spec import SketchSpec
from recsketch.trials.trial import trial

Figures = dict[str, Any]
Float32 = npt.NDArray[np.float32]

ROUTES: dict[str, tuple[str, ...]] = {"page": (), "line": ("page",), "char": ("page", "line")}
"""Module -> modules on the way to it from the output."""

TARGET_LOAD = 0.6
ERASED = (0.0, 0.25, 0.5, 0.75)
LENGTHS = (4, 1, 1 / 4, 1 / 16)
"""Of sketches compared, in lengths of the demo's own."""

RESCANS = 100
TRIED, STORED = 8, "float16"
"""Pages of the specification's trial, and how it stores their sketches."""

UNROLLED, ERODED = 100, 12
"""Pages unrolled with their structure unknown, and those of them with coordinates erased, or in fewer bytes, too."""

DETAILED = 24
"""Pages used where a figure takes several least-squares problems on each."""


@dataclass(frozen=True)
class Example:
    """A page to look at: its first line's ``image``, the columns its digits' ``centers`` are in, and for all lines the
    ``labels``, those the ``network`` read, and those ``read`` from the sketch. ``trees`` are the run's and the unrolled
    sketch's, with ``note`` behind each object.
    """

    image: npt.NDArray[np.float64]
    centers: list[int]
    labels: list[list[int]]
    network: list[list[int]]
    read: list[list[int]]
    trees: tuple[drawing.Drawing, drawing.Drawing]
    note: drawing.Note


@dataclass(frozen=True)
class _Runs:
    """Runs over pages and, ``again``, over other scans of the first of them; sketches of the former."""

    network: PageNetwork
    pages: list[Page]
    traces: list[Trace]
    again: TraceBatch
    sketcher: Sketcher
    sketches: Float32


def run_demo(pages: int, *, seed: int, threads: int | None = None) -> tuple[Figures, Example]:
    """Run the network over fresh pages, sketch the runs, and measure what the sketches know.

    Parameters
    ----------
    pages : int
        How many, at least 2.
    seed : int
        Of pages and sketches.
    threads : int, optional
        As for :class:`recsketch.Sketcher`.

    Returns
    -------
    figures : dict
        Nested, of JSON types only. Shares are 0 to 1, times in seconds, errors relative to the root mean square of what
        they are errors of.
    example : Example

    Raises
    ------
    ValueError
        Fewer than two pages, a negative seed.
    """
    if pages < 2:
        raise ValueError(f"pages: wanted at least 2, to compare them; got {pages}")
    started = time.perf_counter()
    network = PageNetwork()
    made = make_pages(pages, seed=seed)
    traces = [network(page.image) for page in progress(made, "reading pages")]
    batch = TraceBatch.from_traces(traces)
    again = [network(rescan(page, seed=seed + i).image) for i, page in enumerate(made[:RESCANS])]
    # Scales bring the logarithms of norms, which `summary` has to average, to zero; unrolling needs none.
    spec = SketchSpec.fitted(batch, seed=seed, target=TARGET_LOAD, wiring=WIRING).with_scales(batch)
    sketcher = Sketcher(spec, threads=threads)
    runs = _Runs(network, made, traces, TraceBatch.from_traces(again), sketcher, sketcher.sketch(batch))
    recovered, seconds = _recover(runs, range(pages))
    blind = Blind(network, traces, [_labels(page) for page in made], sketcher, runs.sketches[:UNROLLED])
    unrolling, first = unrolling_figures(blind, ERODED)
    figures: Figures = {
        "version": version(),
        "isa": isa(),
        "seed": seed,
        "dim": spec.dim,
        "trial": _trial_figures(spec, batch, threads),
        "network": _network_figures(runs),
        "recovery": _recovery_figures(runs, recovered),
        "reading": _reading_figures(runs, recovered),
        "unrolling": unrolling,
        "summary": _summary_figures(runs),
        "similarity": _similarity_figures(runs),
        "erasure": _erasure_figures(runs),
        "population": population_figures(network, made, traces, seed),
        "agents": agent_figures(seed),
        "sizes": _size_figures(runs),
        "cost": _cost_figures(runs, batch, seconds),
    }
    figures["seconds"] = time.perf_counter() - started
    return figures, _example(runs, recovered[0], first)


def _recover(runs: _Runs, which: Sequence[int], mask: npt.NDArray[np.bool_] | None = None) -> tuple[list[Any], float]:
    """Recoveries of some pages by least squares, and the seconds they took."""
    step = 4 * (os.cpu_count() or 1)
    recovered: list[Any] = []
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Runs that no longer fit are part of what is measured.
        warnings.simplefilter("ignore", CapacityWarning)
        for at in progress(range(0, len(which), step), "recovering attributes"):
            some = list(which[at : at + step])
            structure = TraceBatch.from_traces([runs.traces[i] for i in some])
            recovered += runs.sketcher.recover(runs.sketches[some], structure, method="lstsq", mask=mask)
    return recovered, time.perf_counter() - started


def _vectors(trace: Trace, module: str, attributes: Sequence[Float32] | None = None) -> Float32:
    """The attributes of a run's objects of one module, or other vectors in their places: (objects, length)."""
    values = [o.attribute for o in trace.objects] if attributes is None else attributes
    # what could not be read is taken for nothing
    return np.nan_to_num([v for o, v in zip(trace.objects, values, strict=True) if o.module == module])


def _labels(page: Page) -> npt.NDArray[np.uint8]:
    return np.concatenate([line.labels for line in page.lines])


def _rms(values: npt.ArrayLike) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=np.float64)))))


def _relative(error: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    return _rms(error) / _rms(truth)


def _network_figures(runs: _Runs) -> Figures:
    """What the network did, before any sketch."""
    segmented = [
        [len(line.boxes) for line in runs.network.find_lines(page.image)] == list(map(len, page.labels))
        for page in runs.pages
    ]
    objects = [len(trace) for trace in runs.traces]
    loads = runs.sketcher.load(runs.traces)
    return {
        "pages": len(runs.pages),
        "lines": sum(len(page.lines) for page in runs.pages),
        "digits": sum(len(_labels(page)) for page in runs.pages),
        "segmented": float(np.mean(segmented)),
        "objects_mean": float(np.mean(objects)),
        "objects_max": max(objects),
        "load_mean": float(np.mean(loads)),
        "load_max": float(np.max(loads)),
    }


def _trial_figures(spec: SketchSpec, batch: TraceBatch, threads: int | None) -> Figures:
    """What `recsketch.trial` says of the specification."""
    found = trial(spec, batch, storage=STORED, sample=TRIED, threads=threads)
    return {
        "storage": found.storage,
        "tried": found.tried.size,
        "whole": int(found.chosen.whole.sum()),
        "error": _finite(found.chosen.error.max()),
        "bytes": found.chosen.bytes,
        "columns": found.columns,
        "advice": list(found.advice),
    }


def _recovery_figures(runs: _Runs, recovered: Sequence[Any]) -> list[Figures]:
    """How well attributes come back, per module, that is per depth."""
    rows = []
    for module, route in ROUTES.items():
        truth = np.concatenate([_vectors(t, module) for t in runs.traces])
        found = np.concatenate([_vectors(t, module, r.attributes) for t, r in zip(runs.traces, recovered, strict=True)])
        error = found.astype(np.float64) - truth
        rows.append(
            {
                "module": module,
                "depth": len(route) + 1,
                "objects": len(truth),
                "length": MODULES[module],
                "error": _relative(error, truth),
                "worst": float(np.abs(error).max()) / _rms(truth),
            }
        )
    return rows


def _reading_figures(runs: _Runs, recovered: Sequence[Any]) -> Figures:
    """Digits read from the network's own vectors, and from those that came out of the sketch."""
    labels = np.concatenate([_labels(page) for page in runs.pages])
    network = runs.network.read(np.concatenate([_vectors(t, "char") for t in runs.traces])).label
    vectors = [_vectors(t, "char", r.attributes) for t, r in zip(runs.traces, recovered, strict=True)]
    sketch = runs.network.read(np.concatenate(vectors)).label
    return {
        "digits": len(labels),
        "network": float(np.mean(network == labels)),
        "sketch": float(np.mean(sketch == labels)),
        "agree": float(np.mean(sketch == network)),
    }


def _summary_figures(runs: _Runs, modules: Sequence[str] = tuple(ROUTES)) -> list[Figures]:
    """Count and mean of each module's objects, one sketch at a time: counted where it unrolls, else pooled.

    Lines weigh as much as they have digits, so that digits weigh the same: what the pooled model reads of lines is
    weighted too. Both truths here are the plain ones, and the difference shows as error.
    """
    rows = []
    for module in modules:
        route = ROUTES[module]
        counts, stated, truths, means, pooled = [], [], [], [], []
        for trace, sketch in zip(runs.traces[:DETAILED], runs.sketches, strict=False):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CapacityWarning)  # a short sketch says nothing: None, below
                summary = runs.sketcher.summary(sketch, module, below=route)
            vectors = _vectors(trace, module)
            truths.append(len(vectors))
            counts.append(summary.count)
            stated.append(summary.count_error)
            pooled.append(vectors.mean(axis=0))
            means.append(summary.mean)
        seen = np.isfinite(means).all(axis=1)
        rows.append(
            {
                "module": module,
                "depth": len(route) + 1,
                "count_true": float(np.mean(truths)),
                "count_read": _finite(np.mean(counts)),
                "count_error": _finite(_rms(np.subtract(counts, truths))),
                "count_error_stated": _finite(np.mean(stated)),
                # Where a count drowns in noise there is no mean: None if that is so on every page.
                "means_seen": float(np.mean(seen)),
                "mean_error": _relative(np.subtract(means, pooled)[seen], np.array(pooled)[seen])
                if seen.any()
                else None,
            }
        )
    return rows


def _finite(x: float | np.floating) -> float | None:
    return float(x) if np.isfinite(x) else None


def _found(cosines: npt.NDArray[np.floating]) -> float:
    """The share of rows whose own column is the largest."""
    return float(np.mean(cosines.argmax(axis=1) == np.arange(len(cosines))))


def _similarity_figures(runs: _Runs) -> Figures:
    """Whether another scan of a page finds that page among all."""
    cosines = np.asarray(runs.sketcher.similarity(runs.sketcher.sketch(runs.again), runs.sketches))
    own = np.eye(*cosines.shape, dtype=np.bool_)
    return {
        "queries": len(cosines),
        "among": cosines.shape[1],
        "found": _found(cosines),
        "same_page": float(cosines[own].mean()),
        "same_page_least": float(cosines[own].min()),
        "best_other": float(np.where(own, -2, cosines).max(axis=1).mean()),
        "best_other_most": float(cosines[~own].max()),
    }


def _erasure_figures(runs: _Runs) -> list[Figures]:
    """What is left when a random part of every sketch is lost, and it is known which."""
    some = range(min(DETAILED, len(runs.pages)))
    labels = np.concatenate([_labels(runs.pages[i]) for i in some])
    truth = np.concatenate([_vectors(runs.traces[i], "char") for i in some])
    queries = runs.sketcher.sketch(runs.again)
    rng = np.random.default_rng(runs.sketcher.spec.seed)
    dim = runs.sketcher.spec.dim
    rows = []
    for erased in ERASED:
        mask = np.zeros(dim, dtype=bool)
        mask[rng.permutation(dim)[round(erased * dim) :]] = True
        recovered, _ = _recover(runs, some, mask)
        found = np.concatenate(
            [_vectors(runs.traces[i], "char", r.attributes) for i, r in zip(some, recovered, strict=True)]
        )
        read = runs.network.read(found)
        cosines = np.asarray(runs.sketcher.similarity(queries * mask, runs.sketches * mask))
        loads = [float(runs.sketcher.load(runs.traces[i])) / mask.mean() for i in some]
        rows.append(
            {
                "erased": erased,
                "kept": int(mask.sum()),
                "fits": float(np.mean(np.array(loads) <= 1)),
                "char_error": _relative(found.astype(np.float64) - truth, truth),
                "digits": float(np.mean(read.label == labels)),
                "found": _found(cosines),
            }
        )
    return rows


def _size_figures(runs: _Runs) -> list[Figures]:
    """What sketches of other lengths know of the same runs."""
    some = range(min(DETAILED, len(runs.pages)))
    labels = np.concatenate([_labels(runs.pages[i]) for i in some])
    batch = TraceBatch.from_traces(runs.traces)
    raw = float(np.mean([_raw_bytes(t) for t in runs.traces]))
    rows = []
    for factor in LENGTHS:
        dim = round(runs.sketcher.spec.dim * factor)
        sketcher = Sketcher(runs.sketcher.spec.replace(dim=dim), threads=runs.sketcher.threads)
        sketches = sketcher.sketch(batch)
        other = replace(runs, sketcher=sketcher, sketches=sketches)
        recovered, _ = _recover(other, some)
        vectors = [_vectors(runs.traces[i], "char", r.attributes) for i, r in zip(some, recovered, strict=True)]
        (char,) = _summary_figures(other, ["char"])
        rows.append(
            {
                "dim": dim,
                "bytes": 4 * dim,
                "of_raw": 4 * dim / raw,
                "digits": float(np.mean(runs.network.read(np.concatenate(vectors)).label == labels)),
                "count_error": char["count_error"],
                "mean_error": char["mean_error"],
                "found": _found(np.asarray(sketcher.similarity(sketcher.sketch(runs.again), sketches))),
            }
        )
    return rows


def _raw_bytes(trace: Trace) -> int:
    """Least storage of a run as it is: float32 attributes, two bytes an object, six for each link and its weight."""
    attributes = sum(4 * o.attribute.size for o in trace.objects)
    return attributes + 2 * len(trace) + 6 * sum(len(o.inputs) for o in trace.objects)


def _cost_figures(runs: _Runs, batch: TraceBatch, recover_seconds: float) -> Figures:
    """Time and space of a sketch."""
    raw = [_raw_bytes(t) for t in runs.traces]
    return {
        "sketches_per_second": len(batch) / _fastest(lambda: runs.sketcher.sketch(batch)),
        "recoveries_per_second": len(batch) / recover_seconds,
        "bytes_sketch": runs.sketches.itemsize * runs.sketcher.spec.dim,
        "bytes_raw_mean": float(np.mean(raw)),
        "bytes_raw_max": max(raw),
    }


def _fastest(work: Callable[[], object], seconds: float = 0.3) -> float:
    """Seconds of the fastest of at least three runs, repeated for about as long as told."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _example(runs: _Runs, recovered: Any, unrolled: Any) -> Example:
    page, trace = runs.pages[0], runs.traces[0]

    def read(vectors: Float32) -> list[list[int]]:
        labels = iter(runs.network.read(vectors).label.tolist())
        return [[next(labels) for _ in line] for line in page.labels]

    boxes = page.lines[0].boxes
    left = int(boxes[0, 2])
    image = page.image[boxes[:, 0].min() : boxes[:, 1].max(), left : boxes[-1, 3]].astype(np.float64)
    # Paper empty, the darkest pixel full: the scan's own levels say nothing to the eye.
    paper = np.median(page.image)
    return Example(
        image=(image - paper) / (image.max() - paper),
        centers=[(int(x0) + int(x1)) // 2 - left for _, _, x0, x1 in boxes],
        labels=page.labels,
        network=read(_vectors(trace, "char")),
        read=read(_vectors(trace, "char", recovered.attributes)),
        trees=(
            drawing.Drawing(trace.objects, trace.output_ids, trace.output_weights),
            drawing.Drawing(unrolled.objects, unrolled.outputs, unrolled.weights),
        ),
        note=note(runs.network),
    )
