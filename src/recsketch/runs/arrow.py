"""Runs as an Arrow table, a row a run, and back: columns to columns, with no loop over runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._arrow as _arrow
import recsketch._check as _check
from recsketch.runs.gathering import ends, spread
from recsketch.runs.labels import LONGEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch

KEY = "recsketch.runs"
"""Of the schema: JSON of `recsketch`, the format's number, `names`, and whether there are `ids` and `times`."""

DICTIONARY = ["source", "objects.list.element.module"]


def schema() -> Any:
    """Without its metadata."""
    pa = _arrow.arrow()
    name = pa.dictionary(pa.int32(), pa.string())
    parts = {
        "module": name,
        "attribute": pa.large_list(pa.float32()),
        "inputs": pa.large_list(pa.int32()),
        "weights": pa.large_list(pa.float64()),
    }
    return pa.schema(
        {
            "run_id": pa.string(),
            "time": pa.timestamp("us", tz="UTC"),
            "source": name,
            "objects": pa.large_list(pa.struct(parts)),
            "outputs": pa.large_list(pa.int32()),
            "output_weights": pa.large_list(pa.float64()),
            "meta": pa.string(),
        }
    )


def table(batch: TraceBatch) -> Any:
    """The batch as a pyarrow.Table. Numbers are not copied, ids are."""
    pa = _arrow.arrow()
    made, lists = schema(), pa.LargeListArray.from_arrays
    objects = pa.StructArray.from_arrays(
        [
            pa.DictionaryArray.from_arrays(pa.array(batch.module), pa.array(list(batch.names), pa.string())),
            lists(batch.attribute_ends, batch.attributes),
            lists(batch.input_ends, batch.inputs),
            lists(batch.input_ends, batch.weights),
        ],
        fields=list(made.field("objects").type.value_type),
    )
    about = {
        "recsketch": _arrow.FORMAT,
        "names": list(batch.names),
        "ids": batch.ids is not None,
        "times": batch.times is not None,
    }
    columns = [
        *_arrow.ids_and_times(batch.ids, batch.times, len(batch)),
        pa.nulls(len(batch), made.field("source").type),
        lists(batch.objects, objects),
        lists(batch.output_ends, batch.outputs),
        lists(batch.output_ends, batch.output_weights),
        pa.nulls(len(batch), pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=made.with_metadata({KEY: json.dumps(about).encode()}))


def given(data: Any) -> Any:
    """What a caller has, as a pyarrow.Table: one, or whatever has `__arrow_c_stream__`."""
    pa = _arrow.arrow()
    if isinstance(data, pa.Table):
        return data
    if not hasattr(data, "__arrow_c_stream__"):
        what = "a table of pyarrow, pandas or polars, or what else has __arrow_c_stream__"
        raise TypeError(f"data: wanted {what}; got {_check.describe(data)}")
    return pa.RecordBatchReader.from_stream(data).read_all()


def batch(tables: Sequence[Any], kind: type[TraceBatch], labels: bool = False) -> TraceBatch:
    """The runs of pyarrow.Tables of one schema, at least one; `labels`: with ids and times wherever there are such
    columns, even if all are null, so that all pieces of a table are alike."""
    schema = tables[0].schema
    about = _arrow.about(schema, KEY)
    if about is not None and set(about) != {"recsketch", "names", "ids", "times"}:
        raise ValueError(f"{KEY}: wanted names, ids and times in the schema; got {_check.listed(about)}")
    names = [] if about is None else _check.members("names", about["names"], "a list of module names")
    for name in ("objects", "outputs"):
        if schema.names.count(name) != 1:
            raise ValueError(f"{name}: wanted one column of that name; got {_check.listed(schema.names)}")
    told = {}
    for column, name in (("run_id", "ids"), ("time", "times")):
        known = column in schema.names and (labels or any(t.column(column).null_count < len(t) for t in tables))
        told[name] = known if about is None else bool(about[name]) and column in schema.names
    parts = []
    for table in tables:
        with _arrow.damage():
            table.validate(full=True)
        parts += [part for part in table.to_batches() if len(part)]
    if not parts:
        pa = _arrow.arrow()
        parts = [pa.RecordBatch.from_arrays([pa.array([], t) for t in schema.types], names=schema.names)]
    made = [_batch(part, kind, names, told) for part in parts]
    return made[0] if len(made) == 1 else kind.concat(made)


def _batch(rows: Any, kind: type[TraceBatch], names: list[str], told: dict[str, bool]) -> TraceBatch:
    """The runs of one pyarrow.RecordBatch; `told` says whether they have ids and times."""
    pa = _arrow.arrow()
    columns = {name: rows.column(name) for name in rows.schema.names}
    run_objects, objects = _lists("objects", columns["objects"])
    if not pa.types.is_struct(objects.type):
        raise TypeError(f"objects: wanted lists of structs; got {_check.cut(str(objects.type), 60)}")
    if objects.null_count:
        raise ValueError("objects: wanted objects; got nulls")
    fields = [objects.type.field(i).name for i in range(objects.type.num_fields)]
    part = {name: objects.field(i) for i, name in enumerate(fields)}
    for name in ("module", "attribute"):
        if fields.count(name) != 1:
            raise ValueError(f"objects: wanted one field {name}; got {_check.listed(fields)}")
    lengths, attributes = _lists("attribute", part["attribute"])
    fan_in, inputs = _lists("inputs", part.get("inputs"), len(objects), nullable=True)
    used, module = _modules(part["module"], names)
    outputs_of, outputs = _lists("outputs", columns["outputs"])
    return kind(
        names=used,
        objects=ends(run_objects),
        module=module,
        attribute_ends=ends(lengths),
        attributes=_values("attribute", attributes),
        input_ends=ends(fan_in),
        inputs=_values("inputs", inputs),
        weights=_weights("weights", part.get("weights"), fan_in),
        output_ends=ends(outputs_of),
        outputs=_values("outputs", outputs),
        output_weights=_weights("output_weights", columns.get("output_weights"), outputs_of),
        ids=_arrow.texts("run_id", columns["run_id"].cast(pa.large_string()), LONGEST) if told["ids"] else None,
        times=_arrow.moments("time", columns["time"]) if told["times"] else None,
    )


def _lists(name: str, column: Any, count: int = 0, *, nullable: bool = False) -> tuple[npt.NDArray[np.int64], Any]:
    """The lengths of a column's lists, and all their values; a null is an empty list, or an error."""
    pa = _arrow.arrow()
    if nullable and (column is None or pa.types.is_null(column.type)):
        return np.zeros(count, np.int64), pa.array([], pa.int32())
    kinds = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    if not any(getattr(pa.types, kind)(column.type) for kind in kinds if hasattr(pa.types, kind)):
        raise TypeError(f"{name}: wanted lists; got a column of {_check.cut(str(column.type), 60)}")
    if column.null_count and not nullable:
        first = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{name}[{first}]: wanted a list; got none")
    lengths = pa.compute.list_value_length(column).fill_null(0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False)).astype(np.int64), column.flatten()


def _values(name: str, values: Any) -> npt.NDArray[Any]:
    pa = _arrow.arrow()
    kind = values.type
    if pa.types.is_null(kind) and not len(values):
        return np.zeros(0, np.int32)
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise TypeError(f"{name}: wanted lists of numbers; got lists of {_check.cut(str(kind), 60)}")
    return _arrow.numbers(name, values)


def _weights(name: str, column: Any, counts: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Weights, one where a list is missing."""
    pa = _arrow.arrow()
    total = int(counts.sum())
    if column is None or pa.types.is_null(column.type):
        return np.ones(total)
    lengths, values = _lists(name, column, nullable=True)
    found = _values(name, values)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    if not np.array_equal(np.where(known, lengths, counts), counts):
        first = int(np.flatnonzero(known & (lengths != counts))[0])
        raise ValueError(f"{name}[{first}]: wanted {counts[first]} numbers; got {lengths[first]}")
    if not column.null_count:
        return found
    out = np.ones(total)
    out[spread(ends(counts)[:-1][known], counts[known])] = found
    return out


def _modules(column: Any, names: list[str]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """The names, those that are given first, and every object's number among them."""
    pa = _arrow.arrow()
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = ("is_string", "is_large_string", "is_string_view")
    if not any(getattr(pa.types, one)(kind) for one in texts if hasattr(pa.types, one)):
        raise TypeError(f"module: wanted texts; got a column of {_check.cut(str(column.type), 60)}")
    if column.null_count:
        raise ValueError("module: wanted a name for every object; got none for some")
    coded = column if pa.types.is_dictionary(column.type) else column.cast(pa.large_string()).dictionary_encode()
    index = np.asarray(coded.indices.to_numpy(zero_copy_only=False)).astype(np.int64)
    have = coded.dictionary.to_pylist()
    seen = np.zeros(len(have), np.bool_)
    seen[index] = True
    used = dict.fromkeys([*names, *(name for name, once in zip(have, seen.tolist(), strict=True) if once)])
    number = {name: k for k, name in enumerate(used)}
    numbers = np.array([number.get(name, -1) for name in have] or [0], np.int32)
    return list(used), numbers[index]
