"""Files of Parquet and Arrow, of the extra `arrow`: loaded when asked for, read without trust in what they say."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._files as _files

if TYPE_CHECKING:
    import numpy.typing as npt

MAGIC = b"PAR1"
ARROW_MAGIC = b"ARROW1"
FORMAT = 1
GROUP = 1 << 26
"""Bytes of a row group, at most, but for a row that is longer."""


def arrow() -> Any:
    """The package pyarrow, with pyarrow.parquet."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise ImportError("path: wanted pyarrow for Parquet, of pip install 'recsketch[arrow]'; got none") from None
    return pyarrow


@contextlib.contextmanager
def written(path: Any, schema: Any, *, dictionary: list[str], noise: Set[str] = frozenset()) -> Iterator[Any]:
    """A pyarrow.parquet.ParquetWriter of a file that appears whole or not at all; `dictionary` has the columns that
    repeat few values, `noise` those that nothing compresses."""
    pa = arrow()
    # Snappy is read everywhere, and faster than zstd, whose files are 9% smaller.
    leaves = [f"{name}.list.element" if name in noise else name for name in schema.names]
    compression = {leaf: "NONE" if leaf.split(".")[0] in noise else "SNAPPY" for leaf in leaves} if noise else "SNAPPY"
    options: dict[str, Any] = {"compression": compression, "use_dictionary": dictionary, "write_page_checksum": True}
    if noise:
        options["write_statistics"] = [leaf for leaf in leaves if leaf.split(".")[0] not in noise]
    with _files.written(path) as file, pa.parquet.ParquetWriter(file, schema, **options) as writer:
        yield writer


@contextlib.contextmanager
def written_ipc(path: Any, schema: Any) -> Iterator[Any]:
    """A pyarrow.ipc.RecordBatchFileWriter of a file that appears whole or not at all."""
    pa = arrow()
    with _files.written(path) as file, pa.ipc.new_file(file, schema) as writer:
        yield writer


def read_ipc(path: Any, wanted: str) -> Any:
    """The table of a file of Arrow, not yet validated; what is wrong with its bytes is a ValueError that names it."""
    pa = arrow()
    with (
        _files.opened(path, ARROW_MAGIC, wanted) as file,
        damage(),
        pa.ipc.open_file(pa.PythonFile(file, mode="r")) as reader,
    ):
        return reader.read_all()


@contextlib.contextmanager
def opened(path: Any, wanted: str) -> Iterator[Any]:
    """A pyarrow.parquet.ParquetFile; whatever is wrong with its bytes is a ValueError that names it."""
    pa = arrow()
    with (
        _files.opened(path, MAGIC, wanted) as file,
        damage(),
        pa.parquet.ParquetFile(
            pa.PythonFile(file, mode="r"), pre_buffer=False, page_checksum_verification=True
        ) as found,
    ):
        yield found


@contextlib.contextmanager
def damage() -> Iterator[None]:
    """Let what Arrow raises on damaged bytes be a ValueError; the machine's errors, which have a number, stay."""
    pa = arrow()
    try:
        yield
    except (pa.ArrowException, OSError) as e:
        if isinstance(e, MemoryError) or getattr(e, "errno", None) is not None:
            raise
        text = " ".join(str(e).split())
        raise ValueError(f"wanted whole columns; got damaged ones: {_check.cut(text, 300)}") from None


def about(schema: Any, key: str) -> dict[str, Any] | None:
    """The JSON object under a key of a schema, None where it is not there.

    Raises
    ------
    ValueError
        Something else, or one of another format.
    """
    text = (schema.metadata or {}).get(key.encode())
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{key}: wanted a JSON object in the schema; got {_check.shown(text)}")
    if found.get("recsketch") != FORMAT:
        raise ValueError(f"wanted format {FORMAT}; got {_check.shown(found.get('recsketch'))}")
    return found


def whole(column: Any) -> Any:
    """A column as one array."""
    found = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return found.chunk(0) if hasattr(found, "chunk") else found


def numbers(name: str, column: Any) -> npt.NDArray[Any]:
    """The numbers of a column that has no nulls."""
    if column.null_count:
        first = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{name}[{first}]: wanted a number; got none")
    return np.asarray(column.to_numpy(zero_copy_only=False))


def texts(name: str, column: Any, most: int) -> npt.NDArray[np.str_]:
    """A column of texts as NumPy keeps them; a null is "". None is longer than `most` characters."""
    pa = arrow()
    filled = column.fill_null("")
    longest = pa.compute.max(pa.compute.utf8_length(filled)).as_py() or 0
    if longest > most:
        raise ValueError(f"{name}: wanted texts of at most {most} characters; got one of {longest}")
    if pa.compute.any(pa.compute.match_substring(filled, "\0")).as_py():
        raise ValueError(f"{name}: wanted texts without NUL; got one with it")
    return np.asarray(filled.to_numpy(zero_copy_only=False), f"U{max(1, longest)}")


def moments(name: str, column: Any) -> npt.NDArray[np.datetime64]:
    """A column of moments, those without a zone being UTC, as datetime64[us]; a null is NaT."""
    pa = arrow()
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type) or pa.types.is_null(column.type)):
        raise TypeError(f"{name}: wanted moments; got a column of {_check.cut(str(column.type), 60)}")
    cast = column.cast(pa.timestamp("us")) if pa.types.is_date(column.type) else column
    cast = cast.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())
    return np.asarray(cast.fill_null(np.iinfo(np.int64).min)).astype(np.int64).view("datetime64[us]")


def ids_and_times(ids: Any, times: Any, count: int) -> list[Any]:
    """The columns `run_id` and `time` of so many rows, null where a batch has none."""
    pa = arrow()
    moment = pa.timestamp("us", tz="UTC")
    run_id = pa.nulls(count, pa.string()) if ids is None else pa.array(ids, pa.string())
    if times is None:
        return [run_id, pa.nulls(count, moment)]
    return [run_id, pa.array(times.view(np.int64), mask=np.isnat(times)).cast(moment)]
