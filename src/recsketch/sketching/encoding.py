"""What stands in a sketch for attributes, their unknowns, and the way back: the seam between columns and rsk_encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._core as _core
from recsketch.runs.batch import TraceBatch

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats
    from recsketch.sketching.matrices import Matrices

    Offsets = npt.NDArray[np.int64]
    Numbers = npt.NDArray[np.int32]
    Doubles = npt.NDArray[np.float64]


def ends(matrices: Matrices, batch: TraceBatch) -> Offsets:
    """(N + 1,) Offsets of the objects' unknowns."""
    return np.asarray(batch.attribute_ends + matrices.coding.more * np.arange(batch.module.size + 1))


def encoded(matrices: Matrices, batch: TraceBatch, module: Numbers, threads: int) -> Floats:
    """The unknowns of a batch that has been planned, packed as `ends` says; `module` is its plan's. They are the
    attributes themselves where these are linear and nothing else is done to them.

    Raises
    ------
    CoreError
        An element that is NaN, or too large once it is centred and scaled; it says which trace and object.
    """
    number = drawn = None
    if matrices.spec.signature:
        number = (np.arange(module.size) - np.repeat(batch.objects[:-1], np.diff(batch.objects))).astype(np.int32)
        drawn = matrices.signatures(int(number.max(initial=-1)) + 1)
    try:
        return matrices.coding.encode(module, number, batch.attribute_ends, batch.attributes, drawn, threads)
    except _core.CoreError as e:
        trace = int(np.searchsorted(batch.objects, e.object, side="right")) - 1
        raise _core.CoreError(str(e), e.code, trace, e.object - int(batch.objects[trace])) from None


def decoded(
    matrices: Matrices, batch: TraceBatch, module: Numbers, unknowns: Floats, error: Doubles | None, threads: int
) -> tuple[Floats, Floats | None]:
    """The attributes that unknowns stand for, and their elements' errors if the error of every object's unknowns is
    given; `module` is that of the batch's plan. NaN stays NaN."""
    return matrices.coding.decode(module, batch.attribute_ends, unknowns, error, threads)
