"""A repository's runs in one Parquet file, a run a row, for whatever reads tables."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.repository.conditions as conditions
import recsketch.repository.given as given
from recsketch._arrow import arrow, whole
from recsketch._files import File, opened, written
from recsketch.repository.parts import Columned, columned, parted
from recsketch.repository.state import ORDER, RUN
from recsketch.repository.transfer import Form, Table, parsed
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = 1
MAGIC = b"PAR1"
KEY = b"recsketch.repository"  # of the schema: JSON of `format`, `dtype` and `spec`
GROUP = 1 << 26  # bytes of sketches in a row group
NAMES = {RUN: ("sketch", "scale", "noise"), ORDER: ("order", "order_scale", "order_noise")}


def _schema(pa: Any, dim: int, dtype: str) -> Any:
    """Without its metadata."""
    element = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}[dtype]
    kinds = {RUN: pa.list_(element, dim), ORDER: pa.list_(element)}  # pyarrow 21 writes no nulls of the former
    objects = pa.struct(
        {
            "module": pa.string(),
            "path": pa.list_(pa.int32()),
            "confidence": pa.float64(),
            "attribute": pa.list_(pa.float32()),
        }
    )
    inputs = pa.struct({"user": pa.int32(), "position": pa.int32(), "object": pa.int32(), "weight": pa.float64()})
    fields = [("key", pa.string()), ("metadata", pa.string())]
    for kind, names in NAMES.items():
        fields += zip(names, (kinds[kind], pa.float32(), pa.float64()), strict=True)
    return pa.schema([*fields, ("objects", pa.list_(objects)), ("inputs", pa.list_(inputs))])


def save(path: File, spec: SketchSpec, table: Table, dtype: str) -> None:
    """Write a table."""
    pa = arrow()
    count = len(table.keys)
    arrays = [pa.array(table.keys, pa.string()), pa.array([conditions.dumped(x) for x in table.metadata], pa.string())]
    schema = _schema(pa, spec.dim, dtype)
    for kind, form in ((RUN, table.run), (ORDER, table.order)):
        arrays += _sketches(pa, form, count, schema.field(NAMES[kind][0]).type)
    arrays += _objects(pa, table, spec, schema)
    about = json.dumps({"format": FORMAT, "dtype": dtype, "spec": json.loads(spec.to_json())})
    made = pa.table(arrays, schema.with_metadata({KEY: about.encode()}))
    size = max(1, GROUP // (spec.dim * schema.field("sketch").type.value_type.bit_width // 8))
    with written(path) as file:
        pa.parquet.write_table(made, file, row_group_size=size, write_page_checksum=True)


def _sketches(pa: Any, form: Form | None, count: int, kind: Any) -> list[Any]:
    """Columns of sketches, scale and noise, null where a run has none."""
    if form is None:
        return [pa.nulls(count, t) for t in (kind, pa.float32(), pa.float64())]
    at, packed = form
    index = np.full(count, -1)
    index[at] = np.arange(len(at))
    none = index < 0
    take = pa.array(index, mask=none)
    fixed = pa.list_(kind.value_type, packed.dim)
    values = pa.FixedSizeListArray.from_arrays(pa.array(packed.values.reshape(-1)), type=fixed).cast(kind)
    return [x.take(take) for x in (values, pa.array(packed.scale), pa.array(packed.noise))]


def _objects(pa: Any, table: Table, spec: SketchSpec, schema: Any) -> list[Any]:
    """Lists of objects and of their uses, null where they are not kept."""
    c = columned(table.parts, spec)
    modules, lengths = pa.array(list(spec.modules), pa.string()), np.array(list(spec.modules.values()), np.int64)
    none = np.array([p is None for p in table.parts], np.bool_)

    def lists(counts: npt.NDArray[Any], members: Any, mask: Any = None) -> Any:
        ends = np.cumsum([0, *counts.tolist()])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), members, mask=mask)

    held = [np.bincount(x, minlength=len(none)) for x in (c.run, c.use_run)]
    members = [
        modules.take(pa.array(c.module)),
        lists(c.depth, pa.array(c.path)),
        pa.array(c.confidence),
        lists(lengths[c.module], pa.array(c.attribute)),
    ]
    uses = [pa.array(x) for x in (c.user, c.position, c.used, c.weight)]
    out = []
    for name, parts, counts in (("objects", members, held[0]), ("inputs", uses, held[1])):
        kind = schema.field(name).type.value_type
        struct = pa.StructArray.from_arrays(parts, fields=list(kind))
        out.append(lists(counts, struct, pa.array(none)))
    return out


def load(path: File) -> tuple[SketchSpec, Table]:
    """Read what `save` wrote, without trust in it."""
    pa = arrow()
    with opened(path, MAGIC, "a file written by SketchRepository.export") as file:
        try:
            table = pa.parquet.read_table(pa.PythonFile(file, mode="r"), page_checksum_verification=True)
            table.validate(full=True)
        except (pa.ArrowException, OSError) as e:
            raise ValueError(f"got a damaged Parquet file: {_check.cut(str(e), 300)}") from None
        return _made(pa, table)


def _made(pa: Any, table: Any) -> tuple[SketchSpec, Table]:
    about = parsed(KEY.decode(), (table.schema.metadata or {}).get(KEY, b"null"))
    if not isinstance(about, dict) or set(about) != {"format", "dtype", "spec"}:
        raise ValueError(f"{KEY.decode()}: wanted format, dtype and spec in the schema; got {_check.describe(about)}")
    if about["format"] != FORMAT:
        raise ValueError(f"wanted format {FORMAT}; got {_check.shown(about['format'])}")
    spec = SketchSpec.from_json(json.dumps(about["spec"]))
    dtype = _check.choice("dtype", about["dtype"], ("float32", "float16", "int8"))
    if not table.schema.equals(_schema(pa, spec.dim, dtype)):
        raise ValueError(f"wanted the columns of an export; got {_check.listed(table.schema.names)}")
    found = {name: whole(table.column(name)) for name in table.schema.names}
    for name in ("key", "metadata", *NAMES[RUN]):
        if found[name].null_count:
            raise ValueError(f"{name}: wanted a value in every row; got none in {found[name].null_count}")
    keys = given.keys("key", found["key"].to_pylist(), len(table), False)
    texts = enumerate(found["metadata"].to_pylist())
    metadata = [conditions.metadata(f"metadata[{i}]", parsed(f"metadata[{i}]", x)) for i, x in texts]
    run, order = (_form(found, kind, dtype, spec.dim) for kind in (RUN, ORDER))
    return spec, Table(keys, metadata, run, order, _parts(found, spec))


def _form(found: dict[str, Any], kind: str, dtype: str, dim: int) -> Form | None:
    columns = [found[name] for name in NAMES[kind]]
    at = [np.flatnonzero(x.is_valid().to_numpy(zero_copy_only=False)) for x in columns]
    if not len(at[0]):
        return None
    if not all(np.array_equal(at[0], x) for x in at):
        raise ValueError(f"{', '.join(NAMES[kind])}: wanted all of them or none in a row; got some")
    values, scale, noise = (x.drop_null() for x in columns)
    lengths = np.array(values.value_lengths(), np.int64) if kind == ORDER else dim
    if np.any(lengths != dim):
        raise ValueError(f"{NAMES[kind][0]}: wanted {dim} numbers a row; got others")
    flat = _numbers(NAMES[kind][0], values.flatten()).reshape(-1, dim)
    packed = PackedSketches(flat, _numbers("scale", scale), _numbers("noise", noise), dtype)
    _check.known(NAMES[kind][0], packed.unpack(), None)
    return at[0].astype(np.int64), packed


def _parts(found: dict[str, Any], spec: SketchSpec) -> Any:
    objects, inputs = found["objects"], found["inputs"]
    if not objects.is_valid().equals(inputs.is_valid()):
        raise ValueError("objects, inputs: wanted both of them or none in a row; got one")
    o, u = (x.flatten() for x in (objects, inputs))
    module, path, confidence, attribute = (o.field(i) for i in range(4))
    user, position, used, weight = (_numbers("inputs", u.field(i)) for i in range(4))
    place = {name: i for i, name in enumerate(spec.modules)}
    modules = [place.get(name, -1) for name in module.to_pylist()]
    counts = [np.array(x.value_lengths().fill_null(0)) for x in (path, attribute)]
    lengths = np.array(list(spec.modules.values()))
    if -1 in modules or not np.array_equal(counts[1], lengths[modules]):
        raise ValueError("objects: wanted modules of the specification, with attributes of their lengths; got others")
    runs = [_owners(x) for x in (objects, inputs)]
    columns = Columned(
        runs[0],
        np.array(modules, np.int32),
        counts[0],
        _numbers("objects", confidence),
        _numbers("objects", path.flatten()),
        _numbers("objects", attribute.flatten()),
        runs[1],
        user,
        used,
        position,
        weight,
    )
    return parted(columns, len(objects), spec)


def _owners(lists: Any) -> npt.NDArray[np.int64]:
    counts = np.array(lists.value_lengths().fill_null(0), np.int64)
    return np.repeat(np.arange(len(counts)), counts)


def _numbers(name: str, column: Any) -> npt.NDArray[Any]:
    if column.null_count:
        raise ValueError(f"{name}: wanted numbers; got none in {column.null_count} places")
    return np.asarray(column.to_numpy(zero_copy_only=False))


def peeked(path: File) -> tuple[File, bool]:
    """A file to be read from its beginning, and whether it is Parquet by its first bytes."""
    if hasattr(path, "read"):
        content = path.read()
        return io.BytesIO(content), content[:4] == MAGIC
    with open(_check.path("path", path), "rb") as file:
        return path, file.read(4) == MAGIC
