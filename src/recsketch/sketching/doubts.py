"""What a specification cannot do for the runs that it is given, in words; looked at while sketching, so it is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch.sketching.blocks as blocks
from recsketch.sketching.plan import joined, plan

if TYPE_CHECKING:
    from recsketch.runs.batch import TraceBatch
    from recsketch.sketching.matrices import Matrices
    from recsketch.sketching.spec import SketchSpec

MOST, EVERY = 32, 64  # of a batch one run in EVERY is looked at, one at least and MOST at most
LEVEL = 4.0  # times by which norms of linear attributes may differ between modules (docs/unrolling.md)
READABLE = (3, 6, 12)  # objects of a chain of one module: of one block a number, of more, and of MAX_COLUMN
FAINT = 2.0**-40  # As in csrc/reading/solve.c. A float32 sketch holds nothing of an object below this share.


def due(call: int) -> bool:
    """Whether a sketcher looks at the runs of this call, counted from 1: one of 1, 2, 4, 8 and so on, so that what it
    takes vanishes beside sketching, whatever the size of a call."""
    return call & (call - 1) == 0


def looked_at(batch: TraceBatch) -> TraceBatch:
    """The first runs of a batch: one of 64, and 32 at most."""
    return batch[: min(MOST, 1 + len(batch) // EVERY)]


def doubts(matrices: Matrices, some: TraceBatch, threads: int) -> dict[str, str]:
    """Sentences, by what they are about; of runs that have been sketched.

    Notes
    -----
    Cost: a plan of the runs, and of linear attributes a pass over theirs.
    """
    spec = matrices.spec
    found = {}
    if unrollable(spec) and spec.attributes == "linear":
        norms = {name: norm * spec.scale(name) for name, norm in spec._usual_norms(some).items() if norm > 0}
        low, high = (pick(norms, key=norms.__getitem__, default="") for pick in (min, max))
        if norms and norms[high] > LEVEL * norms[low]:
            times = f"{norms[high] / norms[low]:.2g} times as long as those of {_check.shown(low)}"
            cure = 'Use attributes="polar", or SketchSpec.with_scales'
            found["norms"] = (
                f"linear attributes of {_check.shown(high)} are {times}, which unroll loses beside them. {cure}"
            )
    amplitude, uses = plan(matrices, some, threads).amplitudes()
    if unrollable(spec) and not spec.signature and uses.max(initial=0) > 1:
        cost = "unroll gives a copy for every use, and needs room for all"
        found["shared"] = (
            f"objects are used more than once, and without signatures {cost}. Use signature=8 or read by recover"
        )
    if spec.blocks_per_column is not None and chain(some) > readable(spec.blocks_per_column):
        most, more = readable(spec.blocks_per_column), chain(some)
        cure = 'Use rotation="skew"' if most == READABLE[-1] else f"Use blocks_per_column={blocks.MAX_COLUMN}"
        found["chains"] = (
            f"{more} objects of one module stand below each other, and blocks tell {most} at most apart "
            f"(docs/method.md). {cure}"
        )
    loudest = np.repeat(np.maximum.reduceat(amplitude, some.objects[:-1]), np.diff(some.objects))
    lost = int(((uses > 0) & (amplitude < FAINT * loudest)).sum())
    if lost:
        share = (
            f"{lost} of {_check.count(amplitude.size, 'object')} have less than 2**-40 of the loudest one's amplitude"
        )
        found["faint"] = f"{share}, and leave nothing in a float32 sketch. Use a larger balance or spread"
    return found


def readable(per_column: int) -> int:
    """How long a chain of one module may be with so many blocks a number (docs/method.md, "Chains of one module")."""
    return READABLE[0] if per_column == 1 else READABLE[2] if per_column == blocks.MAX_COLUMN else READABLE[1]


def chain(batch: TraceBatch) -> int:
    """The most objects of one module each of which is an input of the next; the batch has been planned.

    All chains grow by one object at a time, so that the cost is that of all inputs, as often as a chain is long.
    """
    owner, member, used = joined(batch)
    inner = used & (owner >= 0)
    owner, member = owner[inner], member[inner]
    same = batch.module[owner] == batch.module[member]
    owner, member, length = owner[same], member[same], min(1, batch.module.size)
    ends = np.ones(batch.module.size, bool)  # where a chain of so many ends
    while (more := ends[member]).any():
        ends = np.zeros_like(ends)
        ends[owner[more]] = True
        length += 1
    return length


def unrollable(spec: SketchSpec) -> bool:
    """Whether sketches of a specification are likely to be unrolled: sums and the paper's own are not."""
    return spec.ordered and spec.weighting != "count" and spec.scaling == "unit"
