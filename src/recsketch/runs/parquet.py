"""Runs in Parquet files, a row a run, in row groups that fit into memory one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._arrow as _arrow
import recsketch._check as _check
import recsketch.runs.arrow as arrow
from recsketch._files import File

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch

WANTED = "a Parquet file of runs"


def save(path: File, batch: TraceBatch) -> None:
    """Write a batch in row groups of at most 64 MiB."""
    found = arrow.table(batch)
    with _arrow.written(path, found.schema, dictionary=arrow.DICTIONARY) as writer:
        for part in pieces(sizes(batch), _arrow.GROUP):
            writer.write_table(found.slice(part.start, part.stop - part.start))


def load(path: File, kind: type[TraceBatch], groups: Sequence[int] | None = None) -> TraceBatch:
    """Read a file, or these of its row groups."""
    with _arrow.opened(path, WANTED) as file:
        chosen = range(file.num_row_groups) if groups is None else groups
        numbers = [_check.integer("groups", g, 0, file.num_row_groups - 1) for g in chosen]
        # One by one: Arrow does not join the dictionaries of nested columns.
        tables = [file.read_row_group(g, use_threads=False) for g in numbers]
        return arrow.batch(tables or [file.schema_arrow.empty_table()], kind)


def sizes(batch: TraceBatch) -> npt.NDArray[np.int64]:
    """(n + 1,) Bytes of the columns' rows before each run."""
    objects, outputs = batch.objects, batch.output_ends
    per_run = 40 * np.arange(objects.size) + 20 * objects + 12 * outputs
    return np.asarray(per_run + 4 * batch.attribute_ends[objects] + 12 * batch.input_ends[objects])


def pieces(before: npt.NDArray[np.int64], most: int) -> Iterator[slice]:
    """Slices of runs of at most so many bytes each, or of one run; `before` as of `sizes`."""
    begin, n = 0, before.size - 1
    while begin < n:
        end = int(np.searchsorted(before, before[begin] + most, side="right")) - 1
        end = max(begin + 1, end)
        yield slice(begin, end)
        begin = end


def groups(path: File) -> list[tuple[int, int]]:
    """Of each row group of a file of runs its rows, and its bytes once they are decompressed."""
    with _arrow.opened(path, WANTED) as file:
        found: Any = file.metadata
        return [(g.num_rows, g.total_byte_size) for g in map(found.row_group, range(found.num_row_groups))]
