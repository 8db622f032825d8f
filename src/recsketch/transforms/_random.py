"""Seeds and sizes of the transforms."""

from __future__ import annotations

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
    return _check.integer("random_state", random_state, 0, 2**64 - 1)


def padded(n: int) -> int:
    """The smallest power of two that is at least n and 16."""
    return max(16, 1 << (n - 1).bit_length())
