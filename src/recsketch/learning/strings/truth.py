"""The columns of a specification of the block family, to compare with what was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch._streams import words
from recsketch.learning.strings.layout import Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.spec import SketchSpec

    Codes: TypeAlias = npt.NDArray[np.uint64]
    Numbers: TypeAlias = npt.NDArray[np.int64]


def columns_of(spec: SketchSpec) -> dict[str, tuple[int, Numbers, Codes]]:
    """Of every module its tag, the numbers of its columns, the counter's last, and their codes (u + 1, r)."""
    r = spec.blocks_per_column
    layout = Layout.of(spec.dim, spec.block_size or 0)
    if layout is None or r is None:
        raise ValueError('spec: wanted a specification of rotation "block"; got another')
    out = {}
    for name, length in spec.lengths.items():
        tag = layout.tag(name)
        indices = np.append(np.arange(length), layout.counter)
        word = words(spec.seed, "embedding", name, 0, indices.size * r).astype(np.int64).reshape(-1, r)
        edges = np.arange(r + 1) * layout.places // r
        rows = edges[:-1] + (word * np.diff(edges) >> 32)
        codes = layout.write(tag, np.repeat(indices[:, None], r, axis=1), rows)[0]
        if layout.tail:
            bits = codes.size * layout.tail
            drawn = words(spec.seed, "embedding", name, 2, -(-bits // 32))
            bit = (drawn[:, None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)).ravel()[:bits]
            tails = bit.reshape(*codes.shape, layout.tail).astype(np.uint64)
            tails <<= np.arange(layout.code_bits, layout.block - 1, dtype=np.uint64)
            codes |= tails.sum(axis=-1, dtype=np.uint64)
        out[name] = tag, indices, codes
    return out
