"""What a string of the block family says: which module's column it belongs to, and at which row (docs/format.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
import recsketch.sketching.blocks as blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Codes: TypeAlias = npt.NDArray[np.uint64]
    Doubles: TypeAlias = npt.NDArray[np.float64]
    Floats: TypeAlias = npt.NDArray[np.float32]
    Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """How strings of `block` signs are made where sketches have `dim` numbers. `places` is dim / block.

    A code's lowest bits are, once it is unmixed, those of the row, the column and the tag; a string has `tail` more.
    """

    dim: int
    block: int
    row_bits: int
    column_bits: int
    tag_bits: int
    code_bits: int
    tail: int

    @classmethod
    def of(cls, dim: int, block: int) -> Layout | None:
        """None where there is no such block: a tag would have less than 8 bits, or a sketch less than 32 blocks."""
        bits = _core.code_layout(dim, block)
        return None if bits is None else cls(dim, block, *bits)

    @property
    def places(self) -> int:
        return self.dim // self.block

    @property
    def counter(self) -> int:
        """The column that stands for a module's counter."""
        return (1 << self.column_bits) - 1

    def tag(self, name: str) -> int:
        """What a module of that name has for a tag."""
        return blocks.tag(name, self.tag_bits)

    def read(self, codes: Codes) -> tuple[Numbers, Numbers, Numbers, Doubles]:
        """(tag, column, row, common sign) of codes."""
        fields, signs = _core.codes_read(self.dim, self.block, np.ascontiguousarray(codes, np.uint64))
        tag, column, row = fields.T.astype(np.int64)
        return tag, column, row, signs

    def write(self, tag: int, columns: Numbers, rows: Numbers) -> tuple[Codes, Doubles]:
        """(codes without tails, common signs) of a module's columns at rows of the same shape."""
        fields = np.stack([np.full(columns.shape, tag), columns, rows], axis=-1).reshape(-1, 3).astype(np.uint64)
        codes, signs = _core.codes_write(self.dim, self.block, fields)
        return codes.reshape(columns.shape), signs.reshape(columns.shape)

    def strings(self, codes: Codes) -> Floats:
        """(..., block) signs, the first of which is positive."""
        bits = codes[..., None] >> np.arange(self.block - 1, dtype=np.uint64) & np.uint64(1)
        return np.concatenate([np.ones((*codes.shape, 1), np.float32), 1 - 2 * bits.astype(np.float32)], axis=-1)


def named(layout: Layout, names: Sequence[object]) -> dict[int, str]:
    """Tags of the names that modules may have. Two of one tag are an error."""
    out: dict[int, str] = {}
    for i, x in enumerate(names):
        name = _check.module_name(f"names[{i}]", x)
        if out.setdefault(layout.tag(name), name) != name:
            first = _check.shown(out[layout.tag(name)])
            raise ValueError(f"names: wanted names of different tags; got {first} and {_check.shown(name)}")
    return out
