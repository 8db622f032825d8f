"""Object signatures: the number of an object in its run, as a unit vector that is sketched beside its attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats
from recsketch._streams import stream
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.plan import module_numbers, object_scales

if TYPE_CHECKING:
    from recsketch.sketching.matrices import Matrices
    from recsketch.sketching.spec import SketchSpec


def signatures(spec: SketchSpec, n: int) -> Floats:
    """The signatures of the objects 0 .. n - 1 of any run.

    Parameters
    ----------
    spec : SketchSpec
    n : int

    Returns
    -------
    (n, spec.signature) float32, read-only
        Rows of norm one: the words n L .. n L + L - 1 of the stream, as (w + 1/2) / 2^31 - 1, divided by their norm
        (docs/format.md, "Random bits").

    Raises
    ------
    ValueError, TypeError
        If n is not an integer from 0 to 2**28.

    Notes
    -----
    Cost: about 6 ns and, while it runs, 24 bytes a number.

    Examples
    --------
    >>> from recsketch import SketchSpec
    >>> spec = SketchSpec(64, {"eye": 2}, seed=7, signature=3)
    >>> bool(abs((signatures(spec, 5) ** 2).sum(axis=1) - 1).max() < 1e-6)
    True
    """
    length = spec.signature
    count = _check.integer("n", n, 0, 1 << 28)  # 2^28 times 64 words are all that a part of a stream has
    words = _core.stream_words(spec.seed, stream("signature", ""), 0, count * length).reshape(count, length)
    x = (words.astype(np.float64) + 0.5) / 2.0**31 - 1.0  # exact, and never zero
    square = np.zeros(count)
    for column in x.T:  # in this order, whatever the machine
        square += column * column
    out = (x / np.sqrt(square)[:, None]).astype(np.float32)
    out.flags.writeable = False
    return out


def with_signatures(matrices: Matrices, batch: TraceBatch, first: int = 0) -> TraceBatch:
    """The batch as it is sketched: every attribute followed by its object's signature.

    The signature is divided by the module's scale, because the attribute is multiplied by it as a whole. Without
    signatures this is the batch itself; with them, a copy of its attributes and their offsets.

    Raises
    ------
    ValueError
        A module or a length of attribute that the specification does not have; the first trace is number `first`.
    """
    spec = matrices.spec
    if not spec.signature:
        return batch
    module_numbers(batch, spec.modules, first)
    n, length = batch.module.size, spec.signature
    ends = batch.attribute_ends + length * np.arange(n + 1)
    number = np.arange(n) - np.repeat(batch.objects[:-1], np.diff(batch.objects))
    place = ends[1:, None] + np.arange(-length, 0)
    given = np.ones(int(ends[-1]), np.bool_)
    given[place] = False
    attributes = np.empty(given.size, np.float32)
    attributes[given] = batch.attributes
    drawn = matrices.signatures(int(number.max(initial=-1)) + 1)
    attributes[place] = drawn[number] / object_scales(spec, batch)[:, None]
    columns = {name: getattr(batch, name) for name in TraceBatch.__slots__}
    return TraceBatch._of(**{**columns, "attribute_ends": ends, "attributes": attributes})
