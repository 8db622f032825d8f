"""How wrong recovered attributes may be: standard errors of every object's unknowns, of a known structure."""

from __future__ import annotations

import numpy as np

from recsketch.reading.problem import Answer, Counts, Doubles, Problem

PROBES = 2  # White noise is fitted so many times.
PROBE_ITERATIONS = 60
POOL = 6.0  # Unknowns: what all objects of a run have in common enters the error of each with the weight of so many.
# A residual that is all rounding is that of the sketch, of which a fit leaves the share 1 - n/m, and that of the sweep
# which measured it, whose square is about SWEEP of the first one's. What comes of it is in docs/figures.md: "errors of
# `recover` over those stated".
ROUNDING, SWEEP = 1e-6, 0.5
LEAST_ROUNDING = 1.15e-8  # of a sketch's norm: what is left of float32 rounding where an answer fits to the last bit
# An element is rounded to float32 once it is found: a relative error of 2^-24 / sqrt(6), root mean square, where the
# logarithms of mantissas are spread evenly. Short runs in long sketches show it.
ROUNDED = 2.0**-24 / np.sqrt(6.0)


def of_lstsq(problem: Problem, answer: Answer, fitted: Counts) -> Doubles:
    """(objects,) Standard errors of an unknown by least squares.

    The error of a least squares answer is the fit to the noise alone, ``A^+ e`` (Bjorck, "Numerical methods for least
    squares problems", 1996, section 1.4). White noise is fitted PROBES times, and scaled to what the sketch carries:
    the noise that was told of, or more if the residual shows more than the fit of n unknowns to m coordinates leaves of
    it, which is the share 1 - n/m.

    Cost: PROBES fits of two digits; an answer has seven.
    """
    size = np.linalg.norm(problem.erased(problem.sketches), axis=1)
    free, trace = _free(problem, fitted), problem.traces()
    base = _formula(problem, 1.0 / np.where(free > 0.0, free, np.inf))
    probed = _probed(problem, size)
    count = np.diff(problem.ends()) * PROBES
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(np.isfinite(probed / base), probed / base, 0.0)
        mean = np.bincount(trace, ratio * count, free.size) / np.bincount(trace, count, free.size)
        square = base * (ratio * count + POOL * mean[trace]) / (count + POOL)
        error = np.hypot(np.sqrt(square) * _noise(problem, answer, size, free)[trace], _rounding(problem, answer))
    return _or_overloaded(problem, answer, fitted, error)


def of_formula(problem: Problem, answer: Answer, fitted: Counts) -> Doubles:
    """The same without probes, as if all columns were independent: those of sparse attributes."""
    size = np.linalg.norm(problem.erased(problem.sketches), axis=1)
    free, trace = _free(problem, fitted), problem.traces()
    square = _formula(problem, 1.0 / np.where(free > 0.0, free, np.inf))
    with np.errstate(invalid="ignore"):
        error = np.hypot(np.sqrt(square) * _noise(problem, answer, size, free)[trace], _rounding(problem, answer))
    return _or_overloaded(problem, answer, fitted, error)


def of_filters(problem: Problem, answer: Answer, fitted: Counts) -> Doubles:
    """The same of the filters, to which all other objects are noise."""
    size = np.linalg.norm(problem.erased(problem.sketches), axis=1)
    trace = problem.traces()
    level = size / np.sqrt(np.maximum(problem.kept(), 1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(_formula(problem, np.ones(len(size)))) * level[trace])


def _free(problem: Problem, fitted: Counts) -> Doubles:
    """(traces,) The share of noise that a fit leaves: negative where unknowns outnumber coordinates."""
    return np.asarray(1.0 - fitted / np.maximum(problem.kept(), 1))


def _or_overloaded(problem: Problem, answer: Answer, fitted: Counts, error: Doubles) -> Doubles:
    """The errors, with those of `_overloaded` where it applies."""
    over = _free(problem, fitted) <= 0.0
    return np.where(over[problem.traces()], _overloaded(problem, answer, fitted), error) if over.any() else error


def _overloaded(problem: Problem, answer: Answer, fitted: Counts) -> Doubles:
    """(objects,) The same where n unknowns are read from m < n coordinates.

    The answer of least norm is the projection P u of the unknowns, in units of their columns, on m of n dimensions. For
    a random one, rho = m / n, an element keeps the part rho of itself, and takes from all others noise of variance
    rho (1 - rho) |u|^2 / n, where |P u|^2 = rho |u|^2.
    """
    p = problem.plan
    square, trace = _squares(problem, answer), problem.traces()
    rho = np.clip(problem.kept() / np.maximum(fitted, 1), 1e-9, 1.0)
    amplitude = p.amplitudes()[0]
    energy = np.bincount(trace, square * amplitude**2, len(fitted))
    with np.errstate(divide="ignore", invalid="ignore"):
        others = ((1.0 - rho) * energy / np.maximum(fitted, 1))[trace] / amplitude**2
        own = ((1.0 / rho - 1.0) ** 2)[trace] * square / np.diff(problem.ends())
    return np.asarray(np.sqrt(own + others))


def _formula(problem: Problem, inflation: Doubles) -> Doubles:
    """(objects,) Variance of an unknown for noise of size one in every kept coordinate: over the square of its column's
    norm on these, times what the fit of all others adds."""
    amplitude = problem.plan.amplitudes()[0]
    share = problem.kept() / problem.sketches.shape[1]
    trace = problem.traces()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(inflation[trace] / (amplitude**2 * share[trace]))


def _noise(problem: Problem, answer: Answer, size: Doubles, free: Doubles) -> Doubles:
    """(traces,) Root mean square noise of a kept coordinate; inf where nothing tells."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(answer.residual < ROUNDING, free + SWEEP, free)
        least = np.maximum(answer.residual / np.sqrt(share), LEAST_ROUNDING) * np.where(size > 0.0, size, 1.0)
        seen = np.where(free > 0.0, least / np.sqrt(problem.kept()), np.inf)
    return seen if problem.noise is None else np.maximum(seen, problem.noise)


def _rounding(problem: Problem, answer: Answer) -> Doubles:
    """(objects,) Root mean square of what rounding does to an object's unknowns once they are found."""
    return np.asarray(ROUNDED * np.sqrt(_squares(problem, answer) / np.diff(problem.ends())))


def _squares(problem: Problem, answer: Answer) -> Doubles:
    """(objects,) Squared norm of an object's unknowns, of which every object has some."""
    x = np.nan_to_num(answer.attributes.astype(np.float64))
    return np.asarray(np.add.reduceat(x * x, problem.ends()[:-1]) if x.size else np.zeros(0))


def _probed(problem: Problem, size: Doubles) -> Doubles:
    """(objects,) Mean square of an object's unknowns, fitted to white noise of size one; the mean of PROBES fits."""
    p, (n, dim) = problem.plan, problem.sketches.shape
    level = np.where(size > 0.0, size / np.sqrt(dim), 1.0).astype(np.float32)
    told = level.astype(np.float64)
    known = np.empty((n, dim), np.float32)  # counters are known: what they bring is no noise
    p.sketch(np.zeros(p.attributes, np.float32), None, known, problem.threads)
    found, sums = problem.blank(), np.zeros(len(problem.ends()) - 1)
    for seed in range(PROBES):  # the same noise for all sketches
        noise = np.random.Generator(np.random.Philox(seed)).integers(0, 2, dim).astype(np.float32) * 2 - 1
        noisy = known + level[:, None] * noise
        p.lstsq(noisy, problem.mask, 0.0, PROBE_ITERATIONS, *found, problem.threads, told)
        sums += _squares(problem, found) / np.diff(problem.ends()) / told[problem.traces()] ** 2
    return np.asarray(sums / PROBES)
