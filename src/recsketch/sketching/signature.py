"""Object signatures: the number of an object in its run, as a unit vector that is sketched beside its attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats
from recsketch._streams import stream

if TYPE_CHECKING:
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
