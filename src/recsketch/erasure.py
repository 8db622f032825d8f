"""Masks of kept coordinates: what `mask=` of the decoders takes, for studies of what a loss costs.

A network may drop packets, a file may be cut short, a shard may not answer. Every decoder reads what is left.

Examples
--------
>>> import recsketch as rs
>>> from recsketch.erasure import keep_random
>>> sk = rs.Sketcher(rs.SketchSpec(1024, {"eye": 16}))
>>> trace = rs.Trace()
>>> trace.outputs([trace.add("eye", [0.25] * 16) for _ in range(4)])
>>> s = sk.sketch(trace)
>>> mask = keep_random(1024, share=0.25, seed=1)
>>> s[~mask] = float("nan")  # lost: never read
>>> r = sk.recover(s, trace, mask=mask)
>>> bool(abs(r.attributes[0] - 0.25).max() < 1e-5)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import MAX_DIM
from recsketch._streams import stream

if TYPE_CHECKING:
    import numpy.typing as npt

Mask: TypeAlias = "npt.NDArray[np.bool_]"


def keep_random(dim: int, share: float, seed: int = 0) -> Mask:
    """Coordinates lost one by one, at random.

    Parameters
    ----------
    dim : int
        Sketch length d.
    share : float
        Of coordinates that are kept, above 0 and at most 1.
    seed : int
        0 to 2**64 - 1. The same mask on every machine.

    Returns
    -------
    (d,) bool
        True in exactly round(share d) places.

    Raises
    ------
    ValueError, TypeError
        A parameter outside its range.

    Examples
    --------
    >>> int(keep_random(1024, 0.3).sum())
    307
    """
    return keep_blocks(dim, share, 1, seed)


def keep_prefix(dim: int, share: float) -> Mask:
    """All lost from some place on, as when a file is cut.

    Parameters
    ----------
    dim, share
        As of `keep_random`.

    Returns
    -------
    (d,) bool
        True in the first round(share d) places.

    Raises
    ------
    ValueError, TypeError
        A parameter outside its range.

    Examples
    --------
    >>> keep_prefix(8, 0.25).tolist()
    [True, True, False, False, False, False, False, False]
    """
    size = _check.integer("dim", dim, 1, MAX_DIM)
    return np.arange(size) < round(_share(share) * size)


def keep_blocks(dim: int, share: float, block: int, seed: int = 0) -> Mask:
    """Whole blocks of neighbouring coordinates lost at random, as packets or pages are.

    Parameters
    ----------
    dim, share, seed
        As of `keep_random`.
    block : int
        Coordinates of a block, a divisor of d: 64 for a cache line's worth of int8, 256 for a kilobyte of float32.

    Returns
    -------
    (d,) bool
        True in exactly round(share d / block) blocks.

    Raises
    ------
    ValueError, TypeError
        A parameter outside its range, a block that does not divide d.

    Examples
    --------
    >>> int(keep_blocks(8, 0.5, block=2, seed=3).reshape(4, 2).all(axis=1).sum())
    2
    """
    size = _check.integer("dim", dim, 1, MAX_DIM)
    width = _check.integer("block", block, 1, size)
    if size % width:
        raise ValueError(f"block: wanted a divisor of {size}; got {width}")
    count = size // width
    key = _core.stream_words(_check.integer("seed", seed, 0, 2**64 - 1), stream("erasure", ""), 0, count)
    kept = np.zeros(count, np.bool_)
    kept[np.argsort(key, kind="stable")[: round(_share(share) * count)]] = True
    return np.repeat(kept, width)


def _share(share: object) -> float:
    return _check.number("share", share, "a share of kept coordinates above 0 and at most 1", 0.0, 1.0)
