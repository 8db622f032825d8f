"""Streams of random numbers, one a role and a name (docs/format.md, "Random bits")."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._core as _core

if TYPE_CHECKING:
    import numpy.typing as npt

U16: TypeAlias = "npt.NDArray[np.uint16]"
U32: TypeAlias = "npt.NDArray[np.uint32]"


def stream(role: str, name: str) -> int:
    """The 64-bit id of a random stream (docs/format.md, "Random bits").

    Examples
    --------
    >>> hex(stream("position", "0"))
    '0xccaf5ec9fade8bf3'
    """
    import hashlib

    return int.from_bytes(hashlib.sha256(f"recsketch/1/{role}/{name}".encode()).digest()[:8], "little")


def words(seed: int, role: str, name: str | int, part: int, n: int) -> U32:
    """The first n words of a part of a stream."""
    return _core.stream_words(seed, stream(role, str(name)), part, n)


def signs(seed: int, role: str, name: str | int, first: int, parts: int, n: int) -> U16:
    """(parts, n / 16): the first n bits of the parts from `first` on, packed in words of 16; n is a multiple of 16."""
    whole = _core.stream_parts(seed, stream(role, str(name)), first, parts, -(-n // 32))
    halves = np.stack([whole & np.uint32(0xFFFF), whole >> np.uint32(16)], axis=2)
    return np.ascontiguousarray(halves.astype(np.uint16).reshape(parts, -1)[:, : n // 16])


def orders(seed: int, role: str, name: str | int, first: int, parts: int, n: int) -> npt.NDArray[np.int32]:
    """(parts, n): 0 .. n - 1 ordered by the words of a part, ties by place."""
    word = _core.stream_parts(seed, stream(role, str(name)), first, parts, n).astype(np.uint64)
    placed = (word << np.uint64(32)) | np.arange(n, dtype=np.uint64)
    placed.sort(axis=1)  # all differ, so that any algorithm gives the same
    return placed.astype(np.uint32).view(np.int32)
