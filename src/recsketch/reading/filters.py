"""The two decoders that read every object by itself, in one adjoint sweep: "matched" and "paper"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._core as _core
from recsketch._check import Floats
from recsketch.reading.problem import Answer, Doubles, Problem
from recsketch.sketching.matrices import direct, factors
from recsketch.sketching.plan import plan

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch

FAINT = 2.0**-40  # As in solve.c. A float32 sketch holds nothing of an object below this share of the loudest.
LARGEST_FLOAT = 3e38  # Elements beyond it are cut to it, so that float32 holds them.


def matched(problem: Problem) -> Answer:
    """x = A^T s / (norm of the object's columns)^2. A column's norm is the amplitude, or measured where uses meet.

    Cost: two sweeps, and one more for every object that is shared or below a shared one.
    """
    return _filter(problem, problem.plan, _measured(problem))


def paper(problem: Problem) -> Answer:
    """The same with rotations alone in place of the transparent operators: the paper's decoder. Cost: two sweeps.

    Where T_M T_attr E_M is drawn (docs/format.md), t² of it is in a sketch, and not the s² that amplitudes take it for.
    """
    matrices, batch = problem.matrices, problem.batch
    rotations = plan(matrices, batch, problem.threads, core=matrices.rotations)
    lost = 1.0 / factors(matrices.spec).sine
    more = np.array([lost if direct(matrices.spec, name) else 1.0 for name in batch.names])
    return _filter(problem, rotations, rotations.amplitudes()[0] * more[batch.module])


def _filter(problem: Problem, p: _core.Plan, norms: Doubles) -> Answer:
    """x = A^T s / norms^2 for every object, A that of the plan p; with a mask, over the share of kept coordinates."""
    batch, s = problem.batch, problem.erased(problem.sketches)
    answer = problem.blank()
    p.adjoint(s, answer.attributes, None, problem.threads)
    share = problem.kept() / s.shape[1]
    each = share.repeat(np.diff(batch.objects))
    heard = _heard(problem, norms) & (each > 0)
    factor = np.full(norms.size, np.nan)
    factor[heard] = 1.0 / (norms[heard] ** 2 * each[heard])
    x = answer.attributes * factor.repeat(np.diff(problem.ends()))
    answer.attributes[:] = x.clip(-LARGEST_FLOAT, LARGEST_FLOAT)
    answer.residual[:] = _residual(problem, s, share, answer.attributes)
    answer.iterations[:] = 0
    return answer


def _heard(problem: Problem, norms: Doubles) -> npt.NDArray[np.bool_]:
    """Objects that left something in the sketch."""
    loudest = np.maximum.reduceat(norms, problem.batch.objects[:-1])  # every trace has an output, and so an object
    return np.asarray(norms > FAINT * loudest.repeat(np.diff(problem.batch.objects)))


def _residual(problem: Problem, s: Floats, share: Doubles, x: Floats) -> Doubles:
    """(traces,) |mask (s - sketch of x)| / |mask s|."""
    image = np.empty_like(s)
    try:
        problem.plan.sketch(np.where(np.isnan(x), np.float32(0), x), None, image, problem.threads)
    except _core.CoreError:  # of a huge sketch the filters may ask for more than a sketch can hold
        return np.full(len(s), np.inf)
    norm, rest = (np.sqrt(np.square(v, dtype=np.float64).sum(axis=1)) for v in (s, problem.erased(s - image)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(share > 0, np.where(rest > 0, rest / norm, 0.0), np.nan))


def _measured(problem: Problem) -> Doubles:
    """(objects,) Norms of columns: amplitudes; of an object that is shared, or below one, what random signs leave.

    The uses of a shared object interfere, through the identity branches they have in common, and amplitudes do not know
    that. A vector of random signs leaves the root mean square of the norms of all its columns, off by a share of about
    sqrt(2 / d). One sweep measures one object in every trace. Every trace draws its signs from the beginning, so that a
    batch answers what its traces do.
    """
    batch, (norms, uses) = problem.batch, problem.plan.amplitudes()
    if not (uses > 1).any():
        return norms
    todo = [(t, objects, np.random.default_rng(0)) for t, objects in enumerate(_below_shared(batch, uses)) if objects]
    out = np.empty_like(problem.sketches)
    silent, ends = np.zeros(norms.size, np.float32), problem.ends()
    for k in range(max(len(objects) for _, objects, _ in todo)):
        attributes = np.zeros(problem.plan.attributes, np.float32)
        rows = [(t, objects[k], rng) for t, objects, rng in todo if k < len(objects)]
        for _, o, rng in rows:
            begin, end = ends[o : o + 2]
            attributes[begin:end] = rng.choice([-1.0, 1.0], end - begin) / np.sqrt(end - begin)
        problem.plan.sketch(attributes, silent, out, problem.threads)
        for t, o, _ in rows:
            norms[o] = np.linalg.norm(out[t].astype(np.float64))
    return norms


def _below_shared(batch: TraceBatch, uses: npt.NDArray[np.int32]) -> list[list[int]]:
    """Per trace: the objects used more than once, and all that these are made of; live ones only."""
    found = []
    for t in range(len(batch)):
        begin, end = batch.objects[t : t + 2].tolist()
        marked = uses[begin:end] > 1
        if marked.any():
            for o in range(end - 1, begin - 1, -1):
                if marked[o - begin]:
                    marked[batch.inputs[batch.input_ends[o] : batch.input_ends[o + 1]]] = True
        found.append((begin + np.flatnonzero(marked & (uses[begin:end] > 0))).tolist())
    return found
