"""Seeds and sizes of the transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import recsketch._check as _check


def seed_of(random_state: Any) -> int:
    """A seed: an integer is one, a NumPy generator is asked for one, None takes one from the operating system."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    try:
        return _check.integer("random_state", random_state, 0, 2**64 - 1)
    except TypeError:
        wanted = "an integer from 0 to 2**64 - 1, a numpy.random.Generator or RandomState, or None"
        raise TypeError(f"random_state: wanted {wanted}; got {_check.describe(random_state)}") from None


def padded(n: int) -> int:
    """The smallest power of two that is at least n and 16."""
    return max(16, 1 << (n - 1).bit_length())


def johnson_lindenstrauss(samples: int, eps: float) -> int:
    """Components at which a Gaussian projection keeps every squared distance between that many points within a factor
    of 1 ± eps, with a probability of at least 1 / samples.

    ``4 ln(samples) / (eps^2 / 2 - eps^3 / 3)``, rounded down as `sklearn.random_projection` rounds it.

    References
    ----------
    Dasgupta, Gupta, "An Elementary Proof of a Theorem of Johnson and Lindenstrauss", Random Structures & Algorithms 22
    (2003), theorem 2.1.
    """
    return int(4 * math.log(samples) / (eps**2 / 2 - eps**3 / 3))
