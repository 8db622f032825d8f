"""Object signatures: the number of an object in its run, as a unit vector that is sketched beside its attribute."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import Floats
from recsketch._streams import stream
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.spec import SketchSpec

KEPT = 4096  # objects whose signatures are drawn once: more than most runs have, at most a megabyte


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
        (docs/design.md, section 1).

    Raises
    ------
    ValueError, TypeError
        If n is not an integer from 0 to 2**28.

    Examples
    --------
    >>> spec = SketchSpec(64, {"eye": 2}, seed=7, signature=3)
    >>> bool(abs((signatures(spec, 5) ** 2).sum(axis=1) - 1).max() < 1e-6)
    True
    """
    count = _check.integer("n", n, 0, 1 << 28)  # 2^28 times 64 words are all that a part of a stream has
    if count > KEPT:
        return _drawn(spec.seed, spec.signature, count)
    return _first(spec.seed, spec.signature)[:count]


def with_signatures(spec: SketchSpec, batch: TraceBatch, first: int = 0) -> TraceBatch:
    """The batch as it is sketched: every attribute followed by its object's signature.

    The signature is divided by the module's scale, because the attribute is multiplied by it as a whole. Without
    signatures this is the batch itself.

    Raises
    ------
    ValueError
        A module or a length of attribute that the specification does not have; the first trace is number `first`.
    """
    if not spec.signature:
        return batch
    batch.require_modules(spec.modules, first)
    n, length = batch.module.size, spec.signature
    ends = batch.attribute_ends + length * np.arange(n + 1)
    number = np.arange(n) - np.repeat(batch.objects[:-1], np.diff(batch.objects))
    scales = np.array([spec.scale(name) for name in batch.names] or [1.0])[batch.module]
    place = ends[1:, None] + np.arange(-length, 0)
    given = np.ones(int(ends[-1]), np.bool_)
    given[place] = False
    attributes = np.empty(given.size, np.float32)
    attributes[given] = batch.attributes
    attributes[place] = signatures(spec, int(number.max(initial=-1)) + 1)[number] / scales[:, None]
    columns = {name: getattr(batch, name) for name in TraceBatch.__slots__}
    return TraceBatch._of(**{**columns, "attribute_ends": ends, "attributes": attributes})


@lru_cache(maxsize=8)
def _first(seed: int, length: int) -> Floats:
    return _drawn(seed, length, KEPT)


def _drawn(seed: int, length: int, count: int) -> Floats:
    words = _core.stream_words(seed, stream("signature", ""), 0, count * length).reshape(count, length)
    x = (words.astype(np.float64) + 0.5) / 2.0**31 - 1.0  # exact, and never zero
    square = np.zeros(count)
    for column in x.T:  # in this order, whatever the machine
        square += column * column
    out = (x / np.sqrt(square)[:, None]).astype(np.float32)
    out.flags.writeable = False
    return out
