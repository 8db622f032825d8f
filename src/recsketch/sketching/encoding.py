"""What stands in a sketch for attributes, their unknowns, and the way back: the seam between columns and rsk_encode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._core as _core
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.plan import module_numbers

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats
    from recsketch.sketching.matrices import Matrices

    Offsets = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]


def laid_out(matrices: Matrices, batch: TraceBatch, first: int = 0) -> TraceBatch:
    """The batch with room for all unknowns of its objects, and without its attributes, which may be anything.

    Raises
    ------
    ValueError
        A module or a length of attribute that the specification does not have; the first trace is number `first`.
    """
    module_numbers(batch, matrices.spec.modules, first)
    ends = batch.attribute_ends + matrices.coding.more * np.arange(batch.module.size + 1)
    columns = {name: getattr(batch, name) for name in TraceBatch.__slots__}
    return TraceBatch._of(**{**columns, "attribute_ends": ends, "attributes": np.empty(0, np.float32)})


def encoded(matrices: Matrices, batch: TraceBatch, threads: int) -> Floats:
    """The unknowns of a batch that has been planned, packed as `laid_out` says.

    Raises
    ------
    CoreError
        An element that is NaN, or too large once it is centred and scaled; it says which trace and object.
    """
    coding, module = matrices.coding, _modules(matrices, batch)
    number = (np.arange(module.size) - np.repeat(batch.objects[:-1], np.diff(batch.objects))).astype(np.int32)
    drawn = matrices.signatures(int(number.max(initial=-1)) + 1) if matrices.spec.signature else None
    try:
        return coding.encode(module, number, batch.attribute_ends, batch.attributes, drawn, threads)
    except _core.CoreError as e:
        trace = int(np.searchsorted(batch.objects, e.object, side="right")) - 1
        raise _core.CoreError(str(e), e.code, trace, e.object - int(batch.objects[trace])) from None


def decoded(
    matrices: Matrices, batch: TraceBatch, unknowns: Floats, error: Doubles | None, threads: int
) -> tuple[Floats, Floats | None]:
    """The attributes that unknowns stand for, and their elements' errors if the error of every object's unknowns is
    given; `batch` is as it was before it was laid out. NaN stays NaN."""
    return matrices.coding.decode(_modules(matrices, batch), batch.attribute_ends, unknowns, error, threads)


def _modules(matrices: Matrices, batch: TraceBatch) -> npt.NDArray[np.int32]:
    return module_numbers(batch, matrices.spec.modules)[batch.module]
