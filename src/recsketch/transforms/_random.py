"""Random numbers of the transforms, from Philox streams (docs/design.md, sections 1 and 8)."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recsketch import _check, _core

U16: TypeAlias = "npt.NDArray[np.uint16]"
U32: TypeAlias = "npt.NDArray[np.uint32]"


def seed_of(random_state: Any) -> int:
    """A seed: an integer is one, a NumPy generator is asked for one, None takes one from the operating system."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(0, 2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    return _check.integer("random_state", random_state, 0, 2**64 - 1)


def words(seed: int, role: str, name: str | int, part: int, n: int) -> U32:
    """The first n words of a part of a stream."""
    stream = int.from_bytes(hashlib.sha256(f"recsketch/1/{role}/{name}".encode()).digest()[:8], "little")
    return _core.stream_words(seed, stream, part, n)


def signs(seed: int, role: str, name: str | int, part: int, n: int) -> U16:
    """The first n bits of a part, packed in words of 16; n is a multiple of 16."""
    whole = words(seed, role, name, part, -(-n // 32))
    halves = np.stack([whole & np.uint32(0xFFFF), whole >> np.uint32(16)], axis=1)
    return halves.astype(np.uint16).reshape(-1)[: n // 16]


def permutation(seed: int, role: str, name: str | int, part: int, n: int) -> npt.NDArray[np.int32]:
    """0 .. n - 1 ordered by their words, ties by place."""
    return np.argsort(words(seed, role, name, part, n), kind="stable").astype(np.int32)


def padded(n: int) -> int:
    """The smallest power of two that is at least n and 16."""
    return max(16, 1 << (n - 1).bit_length())
