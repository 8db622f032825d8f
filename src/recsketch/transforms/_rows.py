"""Many rows, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from recsketch.transforms._sparse import is_sparse

MOST = 1 << 24  # numbers at a time: a transform takes some 0.01 s to 0.2 s for them
MOST_OF_SPARSE = 1 << 20  # where the rows are copies


def row_slices(rows: int, numbers: int, most: int = MOST) -> Iterator[slice]:
    """range(rows) in slices of at most that many numbers, but of one row at least.

    Python serves Ctrl-C between two calls of C, not in one.
    """
    step = max(1, most // max(1, numbers))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def dense_rows(x: Any, out: Any, numbers: int, most: int = MOST) -> Iterable[tuple[Any, Any]]:
    """The rows of an array, or of a sparse one made dense, and those of `out`, in slices; a row goes through so many
    `numbers`."""
    sparse = is_sparse(x)
    if not sparse and x.shape[0] * numbers <= most:  # slices take as long as a small transform
        return ((x, out),)
    parts = row_slices(x.shape[0], numbers, MOST_OF_SPARSE if sparse else most)
    return ((x[part].toarray() if sparse else x[part], out[part]) for part in parts)
