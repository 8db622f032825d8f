"""Which modules occur together, against counting by hand."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import pytest

import recsketch as rs
import recsketch.populations.cooccurrence as inside


def random_runs(n: int, seed: int = 0) -> list[rs.Trace]:
    """Runs of up to eight objects of six modules, with inputs that are used again, some of weight zero."""
    rng, runs = np.random.default_rng(seed), []
    names = [f"m{k}" for k in rng.permutation(6)]
    for _ in range(n):
        run = rs.Trace()
        for i in range(rng.integers(1, 9)):
            inputs = rng.integers(0, i, rng.integers(0, 4)).tolist() if i else []
            weights = [1.0, *rng.choice([0.0, 1.0, 2.0], len(inputs) - 1)] if inputs else None
            run.add(names[rng.integers(6)], [1.0], inputs, weights)
        run.outputs([len(run.objects) - 1])
        runs.append(run)
    return runs


def counted(runs: list[Any]) -> tuple[list[str], Any, Any, Any]:
    """By dictionaries, run by run."""
    having: Counter[str] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    inputs: Counter[tuple[str, str]] = Counter()
    for run in runs:
        there = {o.module for o in run.objects}
        having.update(there)
        both.update(product(there, there))
        for o in run.objects:
            inputs.update((o.module, run.objects[i].module) for i, w in zip(o.inputs, o.weights, strict=True) if w > 0)
    names = sorted(having)
    return names, *([[c[i, j] for j in names] for i in names] for c in (both, inputs)), [having[i] for i in names]


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_those_of_counting(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = random_runs(200, seed)
    names, both, inputs, having = counted(runs)
    monkeypatch.setattr(inside, "AT_ONCE", 6 * 37)  # several parts
    for given in (runs, iter(runs), rs.TraceBatch.from_traces(runs)):
        found = rs.cooccurrence(given)
        assert found.modules == tuple(names)
        assert found.runs == 200
        assert found.having.tolist() == having
        assert found.both.tolist() == both
        assert found.inputs.tolist() == inputs
        share = np.array(having) / 200
        np.testing.assert_allclose(found.lift, np.array(both) / 200 / np.outer(share, share), rtol=1e-12)
    assert rs.cooccurrence(runs[0]).runs == 1
    assert rs.cooccurrence(runs) == found
    assert rs.cooccurrence(runs[1:]) != found


def test_parts_of_a_batch_and_names_that_no_object_has() -> None:
    runs = random_runs(50, 3)
    batch = rs.TraceBatch.from_traces(runs)[10:12]
    assert rs.cooccurrence(batch) == rs.cooccurrence(runs[10:12])
    assert repr(rs.cooccurrence(batch)).endswith("modules in 2 runs>")


def test_what_was_unrolled_is_counted_as_it_was_sketched() -> None:
    """Trees that unroll exactly: every object is used once, and weights are positive."""
    rng, runs = np.random.default_rng(0), []
    for _ in range(6):
        run = rs.Trace()
        parts = [run.add(f"part {rng.integers(3)}", rng.standard_normal(4)) for _ in range(3)]
        run.outputs([run.add("whole", rng.standard_normal(4), inputs=parts)])
        runs.append(run)
    sk = rs.Sketcher(rs.SketchSpec(512, {"whole": 4, "part 0": 4, "part 1": 4, "part 2": 4}))
    read = sk.unroll(sk.sketch(runs))
    assert all(u.complete for u in read)
    assert rs.cooccurrence(read) == rs.cooccurrence(runs)
    assert rs.cooccurrence(read[0]) == rs.cooccurrence(runs[0])
    nothing = sk.unroll(np.zeros(512))
    found = rs.cooccurrence([nothing, read[0]])
    assert found.runs == 2
    assert found.having.max() == 1
    assert rs.cooccurrence(nothing).modules == ()


@pytest.mark.parametrize("given", [[], rs.TraceBatch.from_traces([])], ids=repr)
def test_no_run_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="runs: wanted at least one; got none"):
        rs.cooccurrence(given)


@pytest.mark.parametrize("given", [None, 3, "runs", {"a": 1}, [1, 2], np.zeros(3)], ids=repr)
def test_what_is_no_run_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="runs"):
        rs.cooccurrence(given)
    with pytest.raises(TypeError, match="runs"):
        rs.cooccurrence([random_runs(1)[0], given])


@pytest.mark.parametrize(("inputs", "weight"), [([5], 1.0), ([-1], 1.0), ([1], 1.0), ([0], np.nan), ([0], -1.0)])
def test_a_hostile_batch_is_refused(inputs: list[int], weight: float) -> None:
    batch = rs.TraceBatch(
        names=["a"], objects=[0, 2], module=np.zeros(2, int), attribute_ends=[0, 1, 2], attributes=[1.0, 2.0],
        input_ends=[0, 0, 1], inputs=inputs, weights=[weight], output_ends=[0, 1], outputs=[1], output_weights=[1.0],
    )  # fmt: skip
    with pytest.raises(ValueError, match="runs: wanted"):
        rs.cooccurrence(batch)


def test_a_plot_shows_what_was_counted() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    found = rs.cooccurrence(random_runs(100))
    ax = found.plot()
    shown = ax.images[0].get_array()
    apart = ~np.eye(len(found.modules), dtype=bool)
    there = apart & (found.lift > 0)
    np.testing.assert_allclose(np.asarray(shown)[there], np.log2(found.lift[there]))
    assert np.ma.getmaskarray(shown)[~there].all()
    assert [t.get_text() for t in ax.get_xticklabels()] == list(found.modules)
    own = pyplot.figure().add_subplot()
    assert rs.cooccurrence(random_runs(1)).plot(own) is own
    pyplot.close("all")


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"recsketch\[plot\]"):
        rs.cooccurrence(random_runs(1)).plot()
