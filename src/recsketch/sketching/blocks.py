"""What the block family asks of a specification: the layout of its strings and the tags of modules (docs/format.md,
"Blocks")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import recsketch._check as _check
import recsketch._streams as _streams

BLOCK = "block"  # the rotation's name
SIZES = (32, 64)
DEFAULT_SIZE, DEFAULT_COLUMN = 32, 2
MAX_COLUMN = 8  # RSK_MAX_BLOCKS
LEAST_BLOCKS = 32  # of a sketch
LEAST_TAG = 8  # bits: a random string is then one of a module's in less than 1 of 256 cases


def has(rotation: object) -> bool:
    """Whether this is the rotation of blocks."""
    return isinstance(rotation, str) and rotation == BLOCK


def size(given: object, rotation: str) -> int | None:
    """Coordinates of a block; None for other rotations."""
    value = _parameter("block_size", given, rotation, DEFAULT_SIZE, SIZES[0], SIZES[-1])
    if value is not None and value not in SIZES:
        raise ValueError(f"block_size: wanted {' or '.join(map(str, SIZES))}; got {value}")
    return value


def per_column(given: object, rotation: str) -> int | None:
    """Blocks that hold each number of an attribute; None for other rotations."""
    return _parameter("blocks_per_column", given, rotation, DEFAULT_COLUMN, 1, MAX_COLUMN)


def _parameter(name: str, given: object, rotation: str, default: int, low: int, high: int) -> int | None:
    if has(rotation):
        return default if given is None else _check.integer(name, given, low, high)
    if given is not None:
        raise ValueError(f'{name}: wanted None unless rotation="{BLOCK}"; got {_check.describe(given)}')
    return None


class Layout(NamedTuple):
    """Bits of a string's payload.

    Attributes
    ----------
    blocks : int
        d / b, blocks of a sketch.
    row, column, tag : int
        Bits of the block's number, of the column's, and of the module's tag.
    """

    blocks: int
    row: int
    column: int
    tag: int


def layout(dim: int, size: int) -> Layout:
    """The layout for sketches of length `dim` in blocks of `size`; its tag may have less than LEAST_TAG bits."""
    row, (column, code) = (dim // size).bit_length() - 1, (10, 31) if size == 32 else (16, 48)
    return Layout(dim // size, row, column, code - row - column)


def tag(module: str, bits: int) -> int:
    """What tells a module from others: the lowest bits of a public digest of its name, which no seed enters."""
    return _streams.stream("tag", module) & ((1 << bits) - 1)


def least_dim(size: int, max_inputs: int) -> int:
    """The shortest sketch that such blocks and so many positions allow."""
    blocks = LEAST_BLOCKS
    while not _enough(blocks, max_inputs):
        blocks *= 2
    return size * blocks


def _enough(blocks: int, max_inputs: int) -> bool:
    """Whether masks of branches and positions, which move blocks within a half, are enough to be distinct."""
    return 2 + max_inputs <= blocks // 2 - 1


def check(dim: int, size: int, max_inputs: int, lengths: Mapping[str, int]) -> None:
    """Refuse what the family has no room for; `lengths` are those of modules' unknowns.

    Raises
    ------
    ValueError
        Too few blocks, too many inputs, tags that are too short, a module of too many numbers, or two modules of one
        tag.
    """
    found, other = layout(dim, size), f"block_size={SIZES[1]}" if size == SIZES[0] else "a smaller dim"
    if found.blocks < LEAST_BLOCKS:
        raise ValueError(f"dim: wanted at least {LEAST_BLOCKS} blocks of {size}, {LEAST_BLOCKS * size}; got {dim}")
    if not _enough(found.blocks, max_inputs):
        wanted = f"at most {found.blocks // 2 - 3} with {found.blocks} blocks of {size}, or a larger dim"
        raise ValueError(
            f"max_inputs: wanted {wanted}, so that positions and branches have masks of their own; got {max_inputs}"
        )
    if found.tag < LEAST_TAG:
        wanted = f"blocks that leave {LEAST_TAG} bits for modules' tags at dim {dim}, {other}"
        raise ValueError(f"block_size: wanted {wanted}; got {size}, which leaves {max(found.tag, 0)}")
    most = (1 << found.column) - 2
    names: dict[int, str] = {}
    for name, length in lengths.items():
        if length > most:
            wanted = f"at most {most} numbers an object with block_size={size}, or {other}"
            raise ValueError(f"modules[{_check.shown(name)}]: wanted {wanted}; got {length} with all that is sketched")
        first = names.setdefault(tag(name, found.tag), name)
        if first != name:
            both = f"{_check.shown(first)} and {_check.shown(name)}"
            raise ValueError(
                f"modules: wanted names of different tags, which have {found.tag} bits; got {both} of one tag: "
                f"rename one, or take {other}"
            )
