"""Shorter attributes: principal components of pilot runs, what they lose, and the way there and back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import recsketch as rs

RANK, LENGTH = 3, 12


def run(rng: np.random.Generator, words: int = 20, noise: float = 0.0, length: int = LENGTH) -> rs.Trace:
    """Words of three degrees of freedom, beside a mean and noise; a line of its own length above them."""
    mixing = np.random.default_rng(99).standard_normal((RANK + 1, length))
    trace = rs.Trace()
    ids = []
    for _ in range(words):
        x = rng.standard_normal(RANK) @ mixing[:RANK] + 5 * mixing[RANK] + noise * rng.standard_normal(length)
        ids.append(trace.add("word", x))
    trace.outputs([trace.add("line", rng.standard_normal(7), ids[:9])])
    return trace


def pilot(n: int = 10, seed: int = 0, **more: Any) -> list[rs.Trace]:
    rng = np.random.default_rng(seed)
    return [run(rng, **more) for _ in range(n)]


def apart(a: rs.Trace, b: rs.Trace) -> float:
    """The largest distance of two attributes over the norm of the first; structures are the same."""
    assert [(o.module, o.inputs, o.weights) for o in a.objects] == [(o.module, o.inputs, o.weights) for o in b.objects]
    assert (a.output_ids, a.output_weights) == (b.output_ids, b.output_weights)
    pairs = [(o.attribute, p.attribute) for o, p in zip(a.objects, b.objects, strict=True)]
    return max(float(np.linalg.norm(x - y) / np.linalg.norm(x)) for x, y in pairs)


def test_attributes_of_low_rank_come_back() -> None:
    """New runs too; float32 rounds each of some ten numbers of a few units: 1e-6 of the norm."""
    found = rs.Reduction.fit(pilot(), keep=0.9999999)
    (word,) = found.modules
    assert (word.name, word.mean.shape, word.basis.shape, word.objects) == ("word", (LENGTH,), (RANK, LENGTH), 200)
    assert word.basis @ word.basis.T == pytest.approx(np.eye(RANK), abs=1e-6)
    assert word.error < 1e-6
    assert word.error <= word.worst_error < 1e-5
    for trace in pilot(3, seed=1):
        short = found.apply(trace)
        assert {o.attribute.size for o in short.objects} == {RANK, 7}
        assert apart(trace, found.restore(short)) < 1e-6


def test_what_is_held_out_is_what_new_runs_lose() -> None:
    """Half of 200 pilot objects, which lose noise along 9 directions each: the loss is known to 1 / sqrt(2 100 9), 2%;
    components of half the objects are a little worse than those of all. 25% is far beyond both."""
    found = rs.Reduction.fit(pilot(noise=0.3), keep=RANK)
    new = pilot(40, seed=2, noise=0.3)
    lost = total = 0.0
    for trace, back in zip(new, found.restore(found.apply(new)), strict=True):
        for o, p in zip(trace.objects, back.objects, strict=True):
            if o.module == "word":
                lost += float(np.square(o.attribute - p.attribute, dtype=np.float64).sum())
                total += float(np.square(o.attribute, dtype=np.float64).sum())
    assert found.modules[0].error == pytest.approx(np.sqrt(lost / total), rel=0.25)


def test_runs_are_held_out_not_objects() -> None:
    """Words of a run are alike, so that those of four runs have three components: of which two runs know one. Half of
    the objects, or all, would know them all, and state an error of 0."""
    rng, runs = np.random.default_rng(5), []
    for _ in range(4):
        trace, x = rs.Trace(), rng.standard_normal(4)
        trace.outputs([trace.add("word", x) for _ in range(10)])
        runs.append(trace)
    found = rs.Reduction.fit(runs, keep=3)
    assert found.modules[0].error > 0.1
    assert max(apart(t, found.restore(found.apply(t))) for t in runs) < 1e-5


def test_how_much_is_kept() -> None:
    """A share of the variance, or a number; what has fewer than ten objects a number, or would not shrink, stays."""
    runs = pilot(noise=0.3)
    kept = [len(m.basis) for keep in (0.3, 0.9, 0.98, 1, 5) for m in rs.Reduction.fit(runs, keep).modules]
    assert kept[3:] == [1, 5]
    assert 1 == kept[0] < kept[1] <= RANK < kept[2]
    assert rs.Reduction.fit(runs, LENGTH).modules == ()
    assert rs.Reduction.fit(pilot(5), 2).modules == ()  # 100 words of 12 numbers, 5 lines of 7
    few = rs.Reduction.fit(pilot(5), 2)
    assert str(few) == "no module is reduced"
    assert few.apply(runs[0]) == runs[0]


def test_batches_are_mapped_as_their_runs_are() -> None:
    runs = pilot()
    found = rs.Reduction.fit(runs)
    short = found.apply(runs)
    assert isinstance(short, rs.TraceBatch)
    assert short == rs.TraceBatch.from_traces([found.apply(t) for t in runs])
    assert short == found.apply(rs.TraceBatch.from_traces(runs)) == found.apply(iter(runs))
    assert found.restore(short[2:5]) == found.restore(short)[2:5]
    assert len(found.apply([])) == 0
    assert runs[0].objects[0].attribute.size == LENGTH


def test_a_zero_variance_is_no_variance() -> None:
    trace = rs.Trace()
    trace.outputs([trace.add("word", np.zeros(3)) for _ in range(40)])
    (word,) = rs.Reduction.fit(trace).modules
    assert (len(word.basis), word.error, word.worst_error) == (1, 0.0, 0.0)


def test_files() -> None:
    for found in (rs.Reduction.fit(pilot()), rs.Reduction(())):
        file = io.BytesIO()
        found.save(file)
        assert rs.Reduction.load(io.BytesIO(file.getvalue())) == found
    with pytest.raises(ValueError, match="wanted"):
        rs.Reduction.load(io.BytesIO(b"no file"))
    batch = io.BytesIO()
    rs.TraceBatch.from_traces(pilot()).save(batch)
    with pytest.raises(ValueError, match=r"Reduction\.save"):
        rs.Reduction.load(batch)


def test_text() -> None:
    found = rs.Reduction.fit(pilot())
    assert repr(found) == "<Reduction of 1 module>"
    assert str(found).startswith("'word': 12 numbers to 3, off by ")
    assert repr(found.modules[0]) == f"<{found}>"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda r: rs.Reduction.fit(7), TypeError, "runs: wanted"),
        (lambda r: rs.Reduction.fit(pilot(), 0), ValueError, "keep: wanted a share of the variance"),
        (lambda r: rs.Reduction.fit(pilot(), 1.5), ValueError, "keep: wanted a share of the variance"),
        (lambda r: rs.Reduction.fit(pilot(), "x"), TypeError, "keep: wanted a share of the variance"),
        (lambda r: r.apply(3), TypeError, "runs: wanted"),
        (lambda r: r.apply(pilot(1, length=11)), ValueError, "runs: wanted attributes of length 12 of 'word'; got 11"),
        (lambda r: r.restore(pilot(1)), ValueError, "runs: wanted attributes of length 3 of 'word'; got 12 to 12"),
    ],
)
def test_what_cannot_be_reduced(call: Any, error: type[Exception], text: str) -> None:
    found = rs.Reduction.fit(pilot())
    with pytest.raises(error, match=text):
        call(found)


def test_attributes_that_are_not_finite() -> None:
    batch = rs.TraceBatch.from_traces(pilot())
    columns = {name: getattr(batch, name) for name in rs.TraceBatch.__slots__}
    columns["attributes"] = np.where(np.arange(batch.attributes.size) == 5, np.nan, batch.attributes)
    with pytest.raises(ValueError, match="runs: wanted finite attributes of 'word'; got NaN or infinity"):
        rs.Reduction.fit(rs.TraceBatch(**columns))
