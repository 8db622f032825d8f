"""Sketches of known structure, as a decoder gets them, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from recsketch._check import Floats
from recsketch.sketching.encoding import ends

if TYPE_CHECKING:
    import numpy.typing as npt

    import recsketch._core as _core
    from recsketch.runs.batch import TraceBatch
    from recsketch.sketching.matrices import Matrices

Doubles: TypeAlias = "npt.NDArray[np.float64]"
Counts: TypeAlias = "npt.NDArray[np.int64]"


class Answer(NamedTuple):
    """What every decoder answers, as of `rsk_lstsq` in recsketch.h."""

    attributes: Floats  # (A,) unknowns of all traces
    residual: Doubles  # (traces,)
    iterations: npt.NDArray[np.int32]  # (traces,)


class Problem(NamedTuple):
    """A batch of structures and one sketch of each; all has been checked."""

    matrices: Matrices
    plan: _core.Plan  # of the batch
    batch: TraceBatch
    sketches: Floats  # (traces, d)
    mask: npt.NDArray[np.uint8] | None  # (1 or traces, d)
    noise: Doubles | None  # (traces,) root mean square error of a coordinate
    threads: int

    def blank(self) -> Answer:
        """Room for an answer."""
        n = self.plan.traces
        return Answer(np.empty(self.plan.attributes, np.float32), np.empty(n), np.empty(n, np.int32))

    def kept(self) -> Counts:
        """(traces,) Coordinates that were kept of each sketch."""
        n, dim = self.sketches.shape
        if self.mask is None:
            return np.full(n, dim)
        return np.broadcast_to(self.mask.sum(axis=1, dtype=np.int64), (n,))

    def erased(self, x: Floats) -> Floats:
        """(traces, d) numbers, with zeros in the coordinates that were not kept."""
        return x if self.mask is None else np.where(self.mask, x, np.float32(0))

    def ends(self) -> Counts:
        """(objects + 1,) Offsets of their unknowns."""
        return ends(self.matrices, self.batch)

    def traces(self) -> Counts:
        """(objects,) The number of the trace of each."""
        objects = np.diff(self.batch.objects)
        return np.repeat(np.arange(objects.size), objects)

    def unknowns(self) -> Counts:
        """(traces,) Unknowns of each, without counters, that reach an output."""
        live = np.append(0, np.cumsum(np.diff(self.ends()) * (self.plan.amplitudes()[1] > 0)))
        return np.diff(live[self.batch.objects])
