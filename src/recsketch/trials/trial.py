"""Trying a specification out: a sample of runs is sketched, stored and read back."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
from recsketch._check import CapacityWarning, SketchWarning, StructureWarning
from recsketch.display.terminal import progress
from recsketch.reading.places import agreement, relative_error
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.load import places
from recsketch.sketching.packing import STORED, pack
from recsketch.sketching.spec import SketchSpec
from recsketch.trials.results import ModuleTrial, StoredTrial, Trial

if TYPE_CHECKING:
    import numpy.typing as npt

SHOWN = ("float32", "float16", "int8")


class How(NamedTuple):
    """How sketches are made and read: a specification, and what `unroll` is told."""

    spec: SketchSpec
    sparse: Any
    nonnegative: Any
    threads: int | None


class Reading(NamedTuple):
    """What came back of some runs from one storage, and the error of each of their objects (batch order; NaN: lost)."""

    of: StoredTrial
    errors: npt.NDArray[np.float64]


def trial(
    spec: SketchSpec,
    runs: Trace | TraceBatch | Iterable[Trace],
    *,
    storage: str = "float32",
    sample: int | None = 16,
    sparse: int | str | Mapping[str, int | str | None] | None = None,
    nonnegative: bool | Collection[str] = False,
    threads: int | None = None,
) -> Trial:
    """Try a specification: sketch runs, store the sketches, read them back, and say how well that went.

    Parameters
    ----------
    spec : SketchSpec
        For example of `SketchSpec.fitted`.
    runs : Trace, TraceBatch or iterable of Trace
        At least one; best others than those that `spec` was fitted to.
    storage : {"float32", "float16", "bfloat16", "int8"}
        How the sketches are to be stored, as by `pack`. The others are tried beside it.
    sample : int, optional
        How many of the runs are tried, at least 1: evenly spread ones, and the one of the largest load by uses. None
        tries all.
    sparse, nonnegative
        As of `Sketcher.unroll`. With `sparse`, `recover` reads by "sparse" too.
    threads : int, optional
        As of `Sketcher`.

    Returns
    -------
    Trial
        `whole` is the share of runs that came back, `str` of it a table, a notebook shows it as HTML.

    Raises
    ------
    ValueError, TypeError
        As of `Sketcher.sketch` and `Sketcher.unroll`; no run; a `sample` that is no number from 1.

    Notes
    -----
    A run is whole if what `unroll` makes of its stored sketch has every object at its place, with an attribute that is
    off by less than half of its norm, and nothing else; with signatures, shared objects must come back as one, without
    as copies. How far attributes are off is a figure of its own, since storage makes it larger long before objects are
    lost.

    Where runs are not whole, each remedy that may do (the wiring seen in all runs, sparse attributes, a larger balance,
    polar attributes, a longer sketch) is tried on up to four of them, and the advice says how many came back. Where all
    are, so is what would make sketches shorter.

    Cost: the sample is sketched once, and unrolled and recovered from each of three or four stored forms; what is tried
    for the advice adds up to 20 readings. On one core 16 runs of 84 objects at d = 8,192 took 3 seconds where all came
    back, and 33 at d = 2,048, a load of 1.4, where none did. Longer trials show their progress on a terminal.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> rng = np.random.default_rng(0)
    >>> def run():
    ...     trace = rs.Trace()
    ...     words = [trace.add("word", rng.standard_normal(16)) for _ in range(12)]
    ...     trace.outputs([trace.add("line", rng.standard_normal(8), words)])
    ...     return trace
    >>> runs = [run() for _ in range(40)]
    >>> found = rs.trial(rs.SketchSpec.fitted(runs[:20]), runs[20:], storage="float16")
    >>> found
    <Trial: 16 of 16 runs whole as float16, d = 512>
    >>> found.whole, found.modules[0].name, bool(found.modules[0].error < 0.05)
    (1.0, 'word', True)
    """
    from recsketch.trials.advice import advice

    if not isinstance(spec, SketchSpec):
        raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
    batch = as_batch(runs, "runs")[0]
    _check.choice("storage", storage, tuple(STORED))
    most = None if sample is None else _check.integer("sample", sample, 1, 1 << 31)
    if not len(batch):
        raise ValueError("runs: wanted at least one; got none")
    how = How(spec, sparse, nonnegative, threads)
    sk = Sketcher(spec, threads)
    uses = sk.load(batch, uses=True)
    tried = _spread(uses, most)
    some = batch[tried]
    dtypes = (*SHOWN, *((storage,) if storage not in SHOWN else ()))
    read = dict(zip(dtypes, readings(how, some, dtypes), strict=True))
    plain, zipped = columns(some)
    found = Trial(
        spec=spec,
        storage=storage,
        runs=len(batch),
        tried=tried,
        load=sk.load(some),
        load_by_uses=uses[tried],
        stored=tuple(reading.of for reading in read.values()),
        modules=tuple(_modules(batch, some, read[storage].errors)),
        columns=plain,
        zipped=zipped,
        advice=(),
    )
    return Trial(**{**_fields(found), "advice": tuple(advice(found, how, batch, some))})


def readings(how: How, batch: TraceBatch, dtypes: Iterable[str], title: str = "trying") -> list[Reading]:
    """Sketches of the batch in each stored form, read back."""
    sk = Sketcher(how.spec, how.threads)
    step = 4 * sk._workers()
    with warnings.catch_warnings():
        for kind in (CapacityWarning, StructureWarning, SketchWarning):
            warnings.simplefilter("ignore", kind)  # The trial says itself what does not work.
        sketches = sk.sketch(batch)
        jobs = [(pack(sketches, dtype), at) for dtype in dtypes for at in range(0, len(batch), step)]
        slices = [(packed[at : at + step], batch[at : at + step]) for packed, at in jobs]
        parts = [_read(sk, how, *job) for job in progress(slices, title)]
    each = -(-len(batch) // step)
    return [_joined(parts[i : i + each]) for i in range(0, len(parts), each)]


def _read(sk: Sketcher, how: How, packed: Any, batch: TraceBatch) -> Reading:
    """Some sketches, unrolled and recovered."""
    found = sk.unroll(packed, sparse=how.sparse, nonnegative=how.nonnegative)
    known = sk.recover(packed, batch, "lstsq" if how.sparse is None else "sparse")
    live = places(batch) > 0
    rows, errors = [], np.full(batch.module.size, np.nan)
    for i, (run, read, recovered) in enumerate(zip(batch, found, known, strict=True)):
        a = agreement(run, read)
        at = int(batch.objects[i])
        for number, error in a.errors.items():
            errors[at + number] = error
        whole = a.whole and (not how.spec.signature or (a.copies == 0 and len(read.objects) == a.objects))
        most = max(a.errors.values(), default=np.nan)
        known_error = _known_error(run, recovered.attributes, live[at:])
        rows.append((whole, read.complete, a.objects, a.found, a.false, most, a.weight_error, known_error))
    arrays = [np.array(column) for column in zip(*rows, strict=True)]
    return Reading(StoredTrial(packed.dtype, packed.nbytes / len(batch), *arrays), errors)


def _known_error(run: Trace, attributes: list[Any], live: npt.NDArray[np.bool_]) -> float:
    """The largest relative error of an attribute where the structure is known, of objects that reach an output."""
    truth = [o.attribute.astype(np.float64) for o in run.objects]
    usual = max(float(np.linalg.norm(x)) for x in truth) or 1.0
    pairs = zip(truth, attributes, live.tolist(), strict=False)
    return max(relative_error(x, y, usual) for x, y, reached in pairs if reached)


def _joined(parts: list[Reading]) -> Reading:
    """The readings of all slices of one storage as one."""
    first = _fields(parts[0].of)
    names = [name for name, value in first.items() if isinstance(value, np.ndarray)]
    joined = {name: np.concatenate([getattr(part.of, name) for part in parts]) for name in names}
    return Reading(StoredTrial(**{**first, **joined}), np.concatenate([p.errors for p in parts]))


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _spread(uses: npt.NDArray[np.float64], most: int | None) -> npt.NDArray[np.int64]:
    """Numbers of the runs that are tried, rising: evenly spread, one of them replaced by that of the largest load."""
    n = uses.size
    if most is None or most >= n:
        return np.arange(n)
    chosen = (np.arange(most) * n) // most
    largest = int(np.argmax(uses))
    chosen[np.argmin(np.abs(chosen - largest))] = largest
    return np.asarray(np.unique(chosen), np.int64)


def _modules(batch: TraceBatch, some: TraceBatch, errors: npt.NDArray[np.float64]) -> Iterator[ModuleTrial]:
    live = places(some) > 0
    for name, length in batch.modules.items():
        own = np.flatnonzero(batch.module == batch.names.index(name))
        values = batch.attributes[batch.attribute_ends[own][:, None] + np.arange(length)].astype(np.float64)
        norms = np.linalg.norm(values, axis=1)
        here = errors[live & (some.module == some.names.index(name))] if name in some.names else np.zeros(0)
        back = here[~np.isnan(here)]
        worst, usual = (float(back.max()), float(np.median(back))) if back.size else (np.nan, np.nan)
        share = float(np.mean(values != 0))
        ends = float(norms.min()), float(norms.max())
        yield ModuleTrial(name, length, here.size, back.size, worst, usual, share, ends)


def columns(batch: TraceBatch) -> tuple[float, float]:
    """Bytes a run as columns of float16 and the smallest integers that fit, plain and compressed."""
    ends = [np.diff(x) for x in (batch.objects, batch.input_ends, batch.output_ends)]
    whole = [*ends, batch.module, batch.inputs, batch.outputs]
    with np.errstate(over="ignore"):  # What float16 cannot hold takes as many bytes.
        parts = [x.astype(np.float16).tobytes() for x in (batch.attributes, batch.weights, batch.output_weights)]
    parts += [x.astype(np.min_scalar_type(int(x.max(initial=0)))).tobytes() for x in whole]
    return sum(map(len, parts)) / len(batch), sum(len(zlib.compress(p)) for p in parts) / len(batch)
