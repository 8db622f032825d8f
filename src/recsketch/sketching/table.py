"""Sketches as a table, a row a run: what a pipeline writes, and what readers of tables get."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._arrow as _arrow
import recsketch._check as _check
import recsketch._npz as _npz
import recsketch.runs.labels as labels
from recsketch._check import Floats
from recsketch._files import File
from recsketch._values import Record
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

KEY = "recsketch.spec"
"""Of the schema: JSON of `recsketch`, the format's number, `spec`, `dtype`, and whether there are `ids` and `times`."""

DTYPES = ("float32", "float16", "int8")
"""Storage forms that Parquet has a type for."""

COLUMNS = ("run_id", "time", "sketch", "scale", "noise", "objects", "unknowns", "load")
WANTED = "a Parquet file of sketches"


@dataclass(frozen=True, eq=False, repr=False)
class SketchTable(Record):
    """Sketches of runs, and what is known of each run.

    Attributes
    ----------
    spec : SketchSpec
    sketches : PackedSketches of shape (n, d)
    objects : (n,) int32
        Objects of each run.
    unknowns : (n,) int64
        Numbers that its sketch holds: unknowns and one counter of every object that reaches an output.
    ids : (n,) str, or None
    times : (n,) datetime64[us], or None

    Raises
    ------
    ValueError, TypeError
        A column of another size or type.

    Notes
    -----
    `load` is unknowns over d (`Sketcher.load`). A slice or a vector of numbers as index gives a table.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> spec = rs.SketchSpec(64, {"eye": 2})
    >>> table = rs.SketchTable(spec, rs.pack(np.ones((3, 64))), [1, 1, 2], [4, 4, 8])
    >>> table, table.load.tolist()
    (<SketchTable of 3 sketches of 64 numbers as float16>, [0.0625, 0.0625, 0.125])
    """

    spec: SketchSpec
    sketches: PackedSketches
    objects: npt.NDArray[np.int32]
    unknowns: npt.NDArray[np.int64]
    ids: labels.Ids | None = None
    times: labels.Times | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.spec, SketchSpec):
            raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(self.spec)}")
        if not isinstance(self.sketches, PackedSketches):
            raise TypeError(f"sketches: wanted PackedSketches; got {_check.describe(self.sketches)}")
        if self.sketches.values.ndim != 2 or self.sketches.dim != self.spec.dim:
            got = _check.describe(self.sketches.values)
            raise ValueError(f"sketches: wanted shape (n, {self.spec.dim}); got {got}")
        n = len(self.sketches)
        columns: dict[str, Any] = {
            "objects": _check.column("objects", self.objects, np.int32, n),
            "unknowns": _check.column("unknowns", self.unknowns, np.int64, n),
            "ids": labels.ids(self.ids, n),
            "times": labels.times(self.times, n),
        }
        for name, column in columns.items():
            object.__setattr__(self, name, column)

    @property
    def load(self) -> npt.NDArray[np.float64]:
        """(n,) Unknown numbers over d."""
        return np.asarray(self.unknowns / self.spec.dim)

    def unpack(self) -> Floats:
        """(n, d) float32, the sketches."""
        return self.sketches.unpack()

    def __len__(self) -> int:
        return len(self.sketches)

    def __getitem__(self, index: slice | list[Any] | npt.NDArray[Any]) -> SketchTable:
        rows = _check.picked(index, len(self))
        if isinstance(rows, int):
            raise TypeError(f"index: wanted a slice or a vector of numbers; got {_check.describe(index)}")
        return replace(
            self,
            sketches=self.sketches[rows],
            objects=self.objects[rows],
            unknowns=self.unknowns[rows],
            ids=None if self.ids is None else self.ids[rows],
            times=None if self.times is None else self.times[rows],
        )

    def __repr__(self) -> str:
        sketches = f"{len(self)} sketch{'es' * (len(self) != 1)} of {_check.count(self.spec.dim, 'number')}"
        return f"<SketchTable of {sketches} as {self.sketches.dtype}>"

    @classmethod
    def concat(cls, tables: Sequence[SketchTable]) -> SketchTable:
        """The rows of all tables, at least one, of one specification and one type of storage; ids and times if all have
        them."""
        found = _check.members("tables", tables, "a list of tables")
        for i, t in enumerate(found):
            if not isinstance(t, SketchTable):
                raise TypeError(f"tables[{i}]: wanted a SketchTable; got {_check.describe(t)}")
            if t.spec != found[0].spec or t.sketches.dtype != found[0].sketches.dtype:
                raise ValueError(f"tables[{i}]: wanted the first one's specification and type; got another")
        if not found:
            raise ValueError("tables: wanted at least one; got none")
        packed = [t.sketches for t in found]
        parts = {name: np.concatenate([getattr(p, name) for p in packed]) for name in ("values", "scale", "noise")}
        ids = [t.ids for t in found if t.ids is not None]
        times = [t.times for t in found if t.times is not None]
        return cls(
            found[0].spec,
            PackedSketches(**parts, dtype=packed[0].dtype),
            np.concatenate([t.objects for t in found]),
            np.concatenate([t.unknowns for t in found]),
            np.concatenate(ids) if len(ids) == len(found) else None,
            np.concatenate(times) if len(times) == len(found) else None,
        )

    def to_npz(self, path: File) -> None:
        """Write to an .npz file, as `TraceBatch.save` does."""
        packed, more = self.sketches, {}
        if self.ids is not None:
            more["ids"] = labels.shortest(self.ids)
        if self.times is not None:
            more["times"] = self.times.view(np.int64)
        arrays = {name: getattr(packed, name) for name in ("values", "scale", "noise", "dtype")}
        about = {"spec": np.array(self.spec.to_json()), "objects": self.objects, "unknowns": self.unknowns}
        _npz.save(path, {**about, **arrays, **more})

    @classmethod
    def from_npz(cls, path: File) -> SketchTable:
        """Read what `to_npz` wrote; a ValueError is another or a damaged file."""

        def make(arrays: dict[str, Any]) -> SketchTable:
            if "times" in arrays:
                arrays["times"] = _check.column("times", arrays["times"], np.int64).view(labels.MOMENT)
            spec = SketchSpec.from_json(_npz.text("spec", arrays.pop("spec")))
            columns = {name: arrays.pop(name) for name in ("values", "scale", "noise")}
            packed = PackedSketches(**columns, dtype=_npz.text("dtype", arrays.pop("dtype")))
            return cls(spec, packed, **arrays)

        names = {"spec", "values", "scale", "noise", "dtype", "objects", "unknowns"}
        return _npz.load(path, names, "SketchTable.to_npz", make, {"ids", "times"})

    def to_arrow(self) -> Any:
        """A pyarrow.Table, a row a sketch (docs/format.md, "Sketches as tables"); of the extra `arrow`.

        Raises
        ------
        ValueError
            Sketches stored as bfloat16, for which Arrow has no type.
        ImportError
            pyarrow is not installed.
        """
        return _rows(self, schema(self.spec, self.sketches.dtype, self.ids is not None, self.times is not None))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_parquet(self, path: File) -> None:
        """Write a Parquet file, a row a sketch, complete or not at all.

        Raises
        ------
        ValueError, ImportError
            As of `to_arrow`.
        OSError
            The file or its folder cannot be written.

        Notes
        -----
        Row groups have at most 64 MiB. Sketches are not compressed, since they are noise.
        """
        self._write(path, "parquet")

    def to_ipc(self, path: File) -> None:
        """Write a file of Arrow (its IPC format, of which Feather is another name), a row a sketch, complete or not at
        all.

        Raises
        ------
        ValueError, ImportError, OSError
            As of `to_parquet`.

        Notes
        -----
        The same columns as those of `to_parquet`, in a fraction of the time ("sketch files of millions of runs" in
        docs/figures.md), since nothing looks at single numbers of a list. The file holds no checksums.
        """
        self._write(path, "arrow")

    def _write(self, path: File, form: str) -> None:
        told = self.ids is not None, self.times is not None
        with writing(path, self.spec, self.sketches.dtype, *told, form) as write:
            step = max(1, _arrow.GROUP // max(1, self.sketches.values[:1].nbytes))
            for first in range(0, len(self), step):
                write(self[first : first + step])

    @classmethod
    def from_ipc(cls, path: File) -> SketchTable:
        """Read what `to_ipc` wrote; a ValueError is another or a damaged file. Numbers that were changed are not told
        from others."""
        return _made(_arrow.read_ipc(path, "a file of Arrow with sketches"))

    @classmethod
    def from_parquet(cls, path: File) -> SketchTable:
        """Read what `to_parquet` wrote; a ValueError is another or a damaged file."""
        with _arrow.opened(path, WANTED) as file:
            return _made(file.read(use_threads=False))


def load(path: str) -> SketchTable:
    """The table in a file, of the form that its name says; .npz where that says none."""
    ending = os.path.splitext(path)[1].lower()
    loads = {".arrow": SketchTable.from_ipc, ".parquet": SketchTable.from_parquet, ".pq": SketchTable.from_parquet}
    return loads.get(ending, SketchTable.from_npz)(path)


def schema(spec: SketchSpec, dtype: str, ids: bool, times: bool) -> Any:
    """The schema of a table, with its key."""
    pa = _arrow.arrow()
    _check.choice("dtype", dtype, DTYPES)
    element = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}[dtype]
    sketch = pa.list_(pa.field("element", element, nullable=False), spec.dim)  # without nulls files are read faster
    kinds = [
        pa.string(),
        pa.timestamp("us", tz="UTC"),
        sketch,
        pa.float32(),
        pa.float64(),
        pa.int32(),
        pa.int64(),
        pa.float64(),
    ]
    about = {"recsketch": _arrow.FORMAT, "spec": json.loads(spec.to_json()), "dtype": dtype, "ids": ids, "times": times}
    fields = [pa.field(name, kind, nullable=name in COLUMNS[:2]) for name, kind in zip(COLUMNS, kinds, strict=True)]
    return pa.schema(fields).with_metadata({KEY: json.dumps(about).encode()})


@contextmanager
def writing(path: File, spec: SketchSpec, dtype: str, ids: bool, times: bool, form: str) -> Iterator[Any]:
    """A function that writes tables to a file, "parquet" or "arrow", each as a row group or a record batch; the file
    appears when all are written."""
    made = schema(spec, dtype, ids, times)
    if form == "arrow":
        with _arrow.written_ipc(path, made) as writer:
            yield lambda table: writer.write_table(_rows(table, made))
        return
    noise = frozenset({"sketch"})
    with _arrow.written(path, made, dictionary=[], noise=noise) as writer:
        yield lambda table: writer.write_table(_rows(table, made), row_group_size=max(1, len(table)))


def _rows(table: SketchTable, made: Any) -> Any:
    pa = _arrow.arrow()
    packed = table.sketches
    kind = made.field("sketch").type
    return pa.Table.from_arrays(
        [
            *_arrow.ids_and_times(table.ids, table.times, len(table)),
            pa.FixedSizeListArray.from_arrays(pa.array(packed.values.reshape(-1)), type=kind),
            *(pa.array(x) for x in (packed.scale, packed.noise, table.objects, table.unknowns, table.load)),
        ],
        schema=made,
    )


def _made(found: Any) -> SketchTable:
    about = _arrow.about(found.schema, KEY)
    if about is None or set(about) != {"recsketch", "spec", "dtype", "ids", "times"}:
        raise ValueError(f"{KEY}: wanted spec, dtype, ids and times in the schema; got {_check.describe(about)}")
    spec = SketchSpec.from_json(json.dumps(about["spec"]))
    dtype = _check.choice("dtype", about["dtype"], DTYPES)
    if not found.schema.equals(schema(spec, dtype, True, True)):
        raise ValueError(f"wanted the columns {list(COLUMNS)}; got {_check.listed(found.schema.names)}")
    with _arrow.damage():
        found.validate(full=True)
    column = {name: _arrow.whole(found.column(name)) for name in COLUMNS}
    if column["sketch"].null_count:
        raise ValueError("sketch: wanted one in every row; got nulls")
    values = _arrow.numbers("sketch", column["sketch"].flatten()).reshape(-1, spec.dim)
    scale, noise, objects, unknowns = (_arrow.numbers(name, column[name]) for name in COLUMNS[3:7])
    return SketchTable(
        spec,
        PackedSketches(values, scale, noise, dtype),
        objects,
        unknowns,
        _arrow.texts("run_id", column["run_id"], labels.LONGEST) if about["ids"] else None,
        _arrow.moments("time", column["time"]) if about["times"] else None,
    )
