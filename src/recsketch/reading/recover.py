"""Reading attributes back from sketches whose structure is known: the two solvers, and when an answer is doubtful."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch._check import CapacityWarning, Floats, StructureWarning
from recsketch.reading.errors import of_filters, of_formula, of_lstsq
from recsketch.reading.filters import matched, paper
from recsketch.reading.problem import Answer, Counts, Doubles, Problem
from recsketch.reading.results import Recovery
from recsketch.sketching.encoding import decoded
from recsketch.sketching.plan import plan

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch
    from recsketch.sketching.matrices import Matrices
    from recsketch.sketching.spec import SketchSpec

Decoder: TypeAlias = Callable[..., Answer]  # of a Problem, and of its options by name

MAX_ITERATIONS = 1000
EXPLAINED = 1e-5  # Below this a residual is rounding, a hundred times 1e-7, and nothing was left out.


def recover(
    matrices: Matrices,
    sketches: Floats,
    batch: TraceBatch,
    method: str,
    mask: npt.NDArray[np.uint8] | None,
    noise: Doubles | None,
    threads: int,
    options: dict[str, Any],
) -> list[Recovery]:
    """Attributes of every trace's objects; sketches (n, d) and noise (n,), one a trace. The caller checks arguments."""
    spec = matrices.spec
    p = plan(matrices, batch, threads)
    problem = Problem(matrices, p, batch, sketches, mask, noise, threads)
    answer = METHODS[method](problem, **options)
    texts = _Texts(len(sketches))
    fitted = problem.unknowns()
    if method == "lstsq":
        fits = _warn_of_capacity(problem, fitted, texts)
        _warn_of_structure(problem, answer, fitted, fits, texts)
    elif method == "sparse":
        fitted = _nonzero(problem, answer)
        fits = _warn_of_capacity(problem, _sought(problem, answer, fitted, options["nonzeros"]), texts)
        _warn_of_structure(problem, answer, fitted, fits, texts, ", more elements are not zero than could be found")
    for stopped in np.flatnonzero(answer.iterations >= MAX_ITERATIONS):
        texts.add(int(stopped), f"stopped after {MAX_ITERATIONS} iterations: the answer has not converged")
    error = ERRORS[method](problem, answer, fitted)
    attributes, each = decoded(matrices, batch, p.module, answer.attributes, np.stack([error, error], axis=1), threads)
    assert each is not None
    parts = [attributes[i:j] for i, j in pairwise(batch.attribute_ends.tolist())]
    errors = _root_mean_squares(each, batch.attribute_ends)
    out = []
    for t, (begin, end) in enumerate(pairwise(batch.objects.tolist())):
        own = parts[begin:end]
        if method in FITTED:
            names = [batch.names[m] for m in batch.module[begin:end]]
            own = _withhold(own, _unread(spec, own, error[begin:end], names), texts, t)
        residual, done = float(answer.residual[t]), int(answer.iterations[t])
        out.append(Recovery(own, residual, done, errors[begin:end], texts.of(t)))
    return out


def _lstsq(problem: Problem) -> Answer:
    answer = problem.blank()
    p, s, mask = problem.plan, problem.sketches, problem.mask
    p.lstsq(s, mask, 0.0, MAX_ITERATIONS, *answer, problem.threads, problem.noise)
    return answer


def _sparse(problem: Problem, *, nonzeros: int | None, per_object: int | None, nonnegative: bool) -> Answer:
    free = problem.matrices.coding.more  # They are not zero, and come beside those that are allowed.
    of_all = 0 if nonzeros is None else nonzeros + free * int(np.max(np.diff(problem.batch.objects)))
    of_each = 0 if per_object is None else per_object + free
    answer = problem.blank()
    p, s, mask = problem.plan, problem.sketches, problem.mask
    p.sparse(s, mask, of_all, of_each, free, nonnegative, problem.noise, MAX_ITERATIONS, *answer, problem.threads)
    return answer


METHODS: dict[str, Decoder] = {"lstsq": _lstsq, "sparse": _sparse, "matched": matched, "paper": paper}

# Errors, and the methods whose answers are exact but for these.
ERRORS = {"lstsq": of_lstsq, "sparse": of_formula, "matched": of_filters, "paper": of_filters}
FITTED = ("lstsq", "sparse")
MOST_NAMED = 8  # objects in a text


def _root_mean_squares(x: Floats, ends: npt.NDArray[np.int64]) -> Floats:
    """Of the elements between each two ends, which are never the same."""
    squares = np.add.reduceat(np.square(x, dtype=np.float64), ends[:-1])
    return np.asarray(np.sqrt(squares / np.diff(ends)).astype(np.float32))


def _withhold(parts: list[Floats], unread: list[int], texts: _Texts, trace: int) -> list[Floats]:
    """The attributes with NaN in place of those that could not be read, which are named."""
    if unread:
        which = _check.numbers(unread, MOST_NAMED)
        objects = _check.count(len(unread), "object")
        texts.add(trace, f"{objects} not read, whose errors exceed their norms: {which}")
    without = set(unread)
    return [np.full_like(x, np.nan) if i in without else x for i, x in enumerate(parts)]


def _unread(spec: SketchSpec, parts: list[Floats], error: Doubles, names: list[str]) -> list[int]:
    """Numbers of the objects whose unknowns are no more than noise.

    Polar directions have norm one. Linear attributes are compared with the median norm of the run's, so that a zero
    vector which is read as one is no failure.
    """
    found = np.array([np.count_nonzero(x) for x in parts])  # elements that a pursuit left out are known
    lengths = np.sqrt(found)
    error = np.where(found > 0, error, 0.0)
    if spec.attributes == "polar":
        return [int(i) for i in np.flatnonzero(error * lengths > 1.0)]
    scale = np.array([spec.scale(name) for name in names])
    norms = np.array([np.linalg.norm(x.astype(np.float64)) for x in parts]) * scale
    usual = float(np.nanmedian(norms)) if np.isfinite(norms).any() else 0.0
    return [int(i) for i in np.flatnonzero(np.isfinite(norms) & (error * lengths > np.maximum(norms, usual)))]


# ---------------------------------------------------------------- warnings, at the caller of Sketcher.recover


class _Texts:
    """What is to be said of each trace's answer."""

    def __init__(self, traces: int) -> None:
        self._texts: list[list[str]] = [[] for _ in range(traces)]

    def add(self, trace: int, text: str) -> None:
        self._texts[trace].append(text)

    def of(self, trace: int) -> tuple[str, ...]:
        return tuple(self._texts[trace])


def _nonzero(problem: Problem, answer: Answer) -> Counts:
    """(traces,) Elements that were found not to be zero."""
    found = np.append(0, np.cumsum(np.nan_to_num(answer.attributes) != 0))
    return np.diff(found[problem.ends()[problem.batch.objects]])


def _sought(problem: Problem, answer: Answer, found: Counts, nonzeros: int | None) -> Counts:
    """(traces,) Elements found not to be zero, or where that is not all, those that were allowed."""
    if nonzeros is None:
        return found
    return np.where(answer.residual < EXPLAINED, found, np.minimum(problem.unknowns(), nonzeros))


def _warn_of_capacity(problem: Problem, sought: Counts, texts: _Texts) -> npt.NDArray[np.bool_]:
    """Warn where at least as many numbers are sought as coordinates were kept; (traces,) whether that is not so."""
    kept = problem.kept()
    worst = float(np.max(sought / np.maximum(kept, 1)))
    if worst >= 1.0:
        text = f"{worst:.2f} unknown numbers a kept coordinate: attributes cannot be exact. Use a larger dim"
        warnings.warn(text, CapacityWarning, stacklevel=4)
    for t in np.flatnonzero(sought >= kept):
        load = sought[t] / max(int(kept[t]), 1)
        texts.add(int(t), f"{load:.2f} unknown numbers a kept coordinate: attributes cannot be exact")
    return np.asarray(sought < kept)


def _warn_of_structure(
    problem: Problem,
    answer: Answer,
    fitted: Counts,
    fits: npt.NDArray[np.bool_],
    texts: _Texts,
    more: str = "",
) -> None:
    """Warn where more is left than noise as loud as the run would leave; `more` is what else may be the reason.

    A least squares fit of n unknowns to m coordinates leaves, on average, the share 1 - n/m of white noise; and about
    as much of a sketch that its structure does not describe, because that is noise to it. residual^2 / (1 - n/m)
    therefore estimates how much of the sketch's energy is noise. From one half on more of the sketch is noise than run,
    which is where the warning starts: the right structure of a clean sketch leaves 1e-14, and of 1,080 pairs of ragged
    trees of the same modules, each read under the other's structure, 98% left more than a half. Noise that was told of
    is taken out of both first, and may exceed its mean by four standard deviations.
    """
    kept = problem.kept()
    free = np.where(fits, kept - fitted, 0)
    told = np.zeros(len(kept))
    with np.errstate(divide="ignore", invalid="ignore"):
        if problem.noise is not None:
            energy = np.square(problem.erased(problem.sketches), dtype=np.float64).sum(axis=1)
            told = problem.noise**2 * kept / energy
        left = answer.residual**2 * kept / free
        allowed = 0.5 * np.maximum(1.0 - told, 0.0) + told * (1.0 + 4.0 * np.sqrt(2.0 / free))
        wrong = np.flatnonzero((free > 0) & np.isfinite(left) & (left > allowed))
    if wrong.size:
        first, others = int(wrong[0]), wrong.size - 1
        where = f"sketches[{first}]" + (f" and {others} more" if others else "")
        text = (
            f"{where}: {answer.residual[first]:.0%} of the norm is left unexplained. The structure (modules, inputs, "
            f"weights, outputs) or the specification is another run's{more}, or the noise is louder than the run"
        )
        warnings.warn(text, StructureWarning, stacklevel=4)
    for t in wrong:
        texts.add(int(t), f"{answer.residual[t]:.0%} of the norm is left unexplained: probably another run's structure")
