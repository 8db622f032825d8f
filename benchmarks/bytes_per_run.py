"""Bytes a run: float16 columns in npz and in Parquet, beside sketches that can be read back. Writes the table of
docs/start/when.md.

python benchmarks/bytes_per_run.py           measure (a minute) and write the table of docs/start/when.md
python benchmarks/bytes_per_run.py --quick   a few runs of each kind, and print only

Parquet needs pyarrow, which `pip install '.[bench-peers]'` brings; without it its column says "not measured".

Every kind of run is stored in three ways. The first two hold the attributes and weights as float16 and the structure in
the smallest integers that fit, 500 runs in one file, so that a file's own header costs a run almost nothing. The third
is a sketch. Its length is the smallest power of two at which `unroll` brings back each of 40 runs from its float16
sketch alone: every object, module, position and input right, `complete`, and no element of an attribute off by more
than 1% of the largest element of its run. The int8 column keeps that length and says how far elements are off there,
of those runs that come back with the right structure, and how many these are if not all.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine

machine.free_blas()

import numpy as np  # noqa: E402  # after the BLAS is free to choose its kernels
from figures import put_block  # noqa: E402
from runs import full, plain_modules  # noqa: E402
from unrolled import same, worst  # noqa: E402

import recsketch as rs  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 1 << 15  # no longer sketch is tried
CLOSE = 0.01  # of a run's largest element: how far any element may be off
MOST_SPARSE = 12.0  # unknowns a coordinate: `unroll` has no memory for more, where attributes are sparse


@dataclass(frozen=True)
class Kind:
    """A kind of run: what it is called, how one is made, and how its sketches are read."""

    name: str
    make: Callable[[np.random.Generator], rs.Trace]
    sparse: str | None = None
    wiring: Any = None


def tree(rng: np.random.Generator) -> rs.Trace:
    return full(rng).trace(rng, plain_modules(32))


def spans(rng: np.random.Generator) -> rs.Trace:
    return full(rng, depth=2, fan=2).trace(rng, plain_modules(8))


def wide(rng: np.random.Generator) -> rs.Trace:
    """Sixty inputs of one module below one object."""
    trace = rs.Trace()
    tokens = [trace.add("token", _direction(rng, 64)) for _ in range(60)]
    trace.outputs([trace.add("pool", _direction(rng, 64), inputs=tokens, weights=rng.dirichlet(np.full(60, 4.0)))])
    return trace


def page(rng: np.random.Generator) -> rs.Trace:
    """A page of handwritten digits, read by `datasets.PageNetwork`."""
    from recsketch.datasets import PageNetwork, make_pages

    return PageNetwork()(make_pages(1, seed=int(rng.integers(2**31)))[0].image)


def sparse(a: int, nonzeros: int) -> Callable[[np.random.Generator], rs.Trace]:
    """A tree of 39 objects whose attributes have that many elements, most of them zero."""

    def make(rng: np.random.Generator) -> rs.Trace:
        dense, trace = full(rng, depth=3, fan=3).trace(rng, plain_modules(a)), rs.Trace()
        for o in dense.objects:
            x = np.zeros(a, np.float32)
            x[rng.permutation(a)[:nonzeros]] = _direction(rng, nonzeros)
            trace.add(o.module, x, o.inputs, o.weights if o.inputs else None)
        trace.outputs(dense.output_ids, dense.output_weights)
        return trace

    return make


def _direction(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.standard_normal(n)
    return x / np.linalg.norm(x)


def kinds() -> Iterable[Kind]:
    from recsketch.datasets.network import WIRING

    yield Kind("6 objects of 8 numbers, dense", spans)
    yield Kind("84 objects of 32 numbers, dense", tree)
    yield Kind("61 objects of 64 numbers, 60 of them in one tuple", wide)
    yield Kind("a page of digits: 16 to 55 objects of 24 to 120 numbers", page, wiring=WIRING)
    yield Kind("39 objects of 64 numbers, 4 of them not zero", sparse(64, 4), "auto")
    yield Kind("39 objects of 512 numbers, 4 of them not zero", sparse(512, 4), "auto")


def columns(batch: rs.TraceBatch) -> dict[str, np.ndarray]:
    """The batch in as few bytes as its types allow: counts instead of offsets, float16, the smallest integers."""
    counts = {"objects": batch.objects, "inputs of each": batch.input_ends, "outputs of each": batch.output_ends}
    whole = {name: np.diff(ends) for name, ends in counts.items()}
    whole |= {"module": batch.module, "inputs": batch.inputs, "outputs": batch.outputs}
    found = {name: x.astype(np.min_scalar_type(int(x.max(initial=0)))) for name, x in whole.items()}
    for name in ("attributes", "weights", "output_weights"):
        found[name] = getattr(batch, name).astype(np.float16)
    return found


def npz(batch: rs.TraceBatch) -> int:
    file = io.BytesIO()
    np.savez(file, **columns(batch))
    return file.tell()


def parquet(batch: rs.TraceBatch) -> int | None:
    """One row a run, one list a column, zstd at its default level."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    rows = [columns(batch[i : i + 1]) for i in range(len(batch))]
    table = pa.table(
        {
            name: pa.array(
                [row[name] for row in rows],
                pa.list_(pa.from_numpy_dtype(max((row[name].dtype for row in rows), key=lambda t: t.itemsize))),
            )
            for name in rows[0]
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.tell()


def read_back(kind: Kind, batch: rs.TraceBatch, sk: rs.Sketcher, dtype: str) -> tuple[int, float]:
    """How many packed sketches give back the right structure, and their worst element over the largest of its run."""
    good, error = 0, 0.0
    for found, trace in zip(sk.unroll(rs.pack(sk.sketch(batch), dtype), sparse=kind.sparse), batch, strict=True):
        if found.complete and same(found, trace, np.inf):
            good += 1
            error = max(error, worst(found, trace) / max(float(np.abs(o.attribute).max()) for o in trace.objects))
    return good, error


def shortest(kind: Kind, batch: rs.TraceBatch) -> rs.Sketcher | None:
    """For the shortest sketches from which every run comes back, elements to CLOSE."""
    widest = int(max(np.diff(batch.input_ends).max(), np.diff(batch.output_ends).max()))
    dim = 64
    while dim <= LARGEST:
        sk = rs.Sketcher(rs.SketchSpec(dim, batch.modules, max_inputs=max(8, widest), seed=1, wiring=kind.wiring))
        if sk.load(batch).max() < (MOST_SPARSE if kind.sparse else 1.0):
            good, error = read_back(kind, batch, sk, "float16")
            if good == len(batch) and error <= CLOSE:
                return sk
        dim *= 2
    return None


def row(kind: Kind, runs: int, stored: int) -> list[str]:
    """A line of the table: `runs` of a kind are read back, `stored` are written to files."""
    rng = np.random.default_rng(0)
    many = rs.TraceBatch.from_traces([kind.make(rng) for _ in range(stored)])
    batch = many[:runs]
    plain, arrow, sk = npz(many), parquet(many), shortest(kind, batch)
    cells = [kind.name, f"{plain / stored:,.0f}", "not measured" if arrow is None else f"{arrow / stored:,.0f}"]
    if sk is None:
        return [*cells, f"none up to d = {LARGEST:,}", "–"]
    d, (good, coarse) = sk.spec.dim, read_back(kind, batch, sk, "int8")
    some = "" if good == runs else f", {good} of {runs}"
    return [*cells, f"{2 * d:,}, load {float(sk.load(batch).mean()):.2f}", f"{d:,}, off by {coarse:.0%}{some}"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes a run, beside npz and Parquet: writes a table of docs.")
    parser.add_argument("--quick", action="store_true", help="a few runs of each kind, and print only")
    parser.add_argument("--runs", type=int, default=40, metavar="N", help="of each kind (default: %(default)s)")
    args = parser.parse_args()
    head = ["a run", "npz, float16", "Parquet, float16", "sketch, float16", "the same, int8"]
    lines = [head, ["---"] * len(head)]
    lines += [row(kind, *((3, 30) if args.quick else (args.runs, 500))) for kind in kinds()]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    print(text)
    if not args.quick:
        put_block(ROOT / "docs" / "start" / "when.md", "bytes", text)


if __name__ == "__main__":
    main()
