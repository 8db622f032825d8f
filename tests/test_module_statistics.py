"""Statistics of attributes as they come, against NumPy on the stacked attributes."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest

import recsketch as rs
import recsketch._core as _core

LENGTHS = {"a": 1, "b": 7, "c": 16, "d": 45}


def some_runs(n: int, seed: int = 0, far: float = 0.0) -> list[rs.Trace]:
    """Runs of objects in random order, some of zeros, with a mean that is far off."""
    rng, runs = np.random.default_rng(seed), []
    for _ in range(n):
        run = rs.Trace()
        names = rng.choice(list(LENGTHS), rng.integers(1, 9))
        for name in names:
            x = far + rng.standard_normal(LENGTHS[name]) * (1.0 + len(name))
            run.add(str(name), np.where(rng.random(x.size) < 0.2, 0.0, x))
        run.outputs(range(len(names)))
        runs.append(run)
    return runs


def stacked(runs: list[rs.Trace], module: str) -> Any:
    return np.array([o.attribute for run in runs for o in run.objects if o.module == module], np.float64)


def seen(*parts: Any) -> rs.ModuleStatistics:
    found = rs.ModuleStatistics()
    for part in parts:
        found.update(part)
    return found


def check(found: rs.ModuleStatistics, runs: list[rs.Trace]) -> None:
    """Sums of n doubles round to n eps of the sum of their magnitudes, at worst: n = 1,000, eps = 1.1e-16; deviations
    are of numbers as large as the spread, of which n eps n is at most 1e-10. The test allows 1e-9."""
    for name in found.names:
        x, s = stacked(runs, name), found.of(name)
        norms = np.linalg.norm(x, axis=1)
        assert (s.module, s.count) == (name, len(x))
        np.testing.assert_allclose(s.mean, x.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(s.m2, np.square(x - x.mean(axis=0)).sum(axis=0), rtol=1e-9, atol=1e-9)
        assert s.norm_mean == pytest.approx(norms.mean(), rel=1e-12)
        assert s.norm_m2 == pytest.approx(np.square(norms - norms.mean()).sum(), rel=1e-9, abs=1e-9)
        assert s.zeros == np.count_nonzero(x == 0)
        assert s.largest == np.abs(x).max()
        if len(x) > 1:
            np.testing.assert_allclose(s.variance, x.var(axis=0, ddof=1), rtol=1e-9, atol=1e-12)
            assert s.norm_deviation == pytest.approx(norms.std(ddof=1), rel=1e-9, abs=1e-9)
        assert s.zero_share == pytest.approx((x == 0).mean())
        assert s.peak == pytest.approx(np.abs(x).max() / math.sqrt(np.square(x).mean()))
        centre = np.arange(x.shape[1])
        assert s.norm_about(centre) == pytest.approx(math.sqrt(np.square(x - centre).sum(axis=1).mean()))


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_they_are_those_of_all_attributes(far: float) -> None:
    """With a mean 10,000 times the spread, too: sums of squares alone would lose 8 digits."""
    runs = some_runs(300, far=far)
    found = seen(runs)
    assert found.names == ("a", "b", "c", "d")
    assert len(found) == 4
    check(found, runs)


def test_parts_make_the_whole() -> None:
    """Whatever the parts: run by run, merged along a random tree, from slices of a batch."""
    runs = some_runs(200, 1, 100.0)
    check(seen(*runs), runs)
    batch = rs.TraceBatch.from_traces(runs)
    check(seen(batch[:70], batch[70:71], batch[71:], batch[:0], []), runs)
    rng = np.random.default_rng(2)
    parts = [seen(run) for run in runs]
    while len(parts) > 1:
        i, j = rng.choice(len(parts), 2, replace=False).tolist()
        parts[i] = parts[i] + parts[j]
        del parts[j]
    check(parts[0], runs)


def test_merging_is_chans_formula() -> None:
    one, two = some_runs(20, 3), some_runs(31, 4, 5.0)
    a, b, both = seen(one), seen(two), seen(one) + seen(two)
    for name in both.names:
        p, q, s = a.of(name), b.of(name), both.of(name)
        n, apart = p.count + q.count, q.mean - p.mean
        assert s.count == n
        np.testing.assert_array_equal(s.mean, p.mean + apart * (q.count / n))
        np.testing.assert_array_equal(s.m2, p.m2 + q.m2 + apart**2 * (p.count * q.count / n))
    assert both != a
    assert a + rs.ModuleStatistics() == a
    before = seen(one)
    a.merge(a)  # twice the same
    assert a.of("c").count == 2 * before.of("c").count
    np.testing.assert_array_equal(a.of("c").m2, 2 * before.of("c").m2)


def test_of_a_single_object_there_is_no_spread() -> None:
    run = rs.Trace()
    run.outputs([run.add("a", [3.0, -4.0]), run.add("none", [0.0])])
    s = seen(run).of("a")
    assert s.mean.tolist() == [3.0, -4.0]
    assert s.m2.tolist() == [0.0, 0.0]
    assert s.norm_mean == 5.0
    assert np.isnan(s.variance).all()
    assert math.isnan(s.norm_deviation)
    assert s.zero_share == 0.0
    assert math.isnan(seen(run).of("none").peak)
    assert seen(run).of("none").zero_share == 1.0
    assert "nan" in str(seen(run))
    assert repr(seen(run)) == "<ModuleStatistics of 2 modules, 2 objects>"


def test_bits_do_not_depend_on_the_instruction_set(isa_levels: list[str]) -> None:
    runs, files, here = some_runs(100, 5), set(), rs.isa()
    try:
        for level in isa_levels:
            _core.isa_select(level)
            file = io.BytesIO()
            seen(runs).save(file)
            files.add(file.getvalue())
    finally:
        _core.isa_select(here)
    assert len(files) == 1


# ---------------------------------------------------------------- files


def test_files() -> None:
    found = seen(some_runs(30))
    file = io.BytesIO()
    found.save(file)
    again = rs.ModuleStatistics.load(io.BytesIO(file.getvalue()))
    assert again == found
    other = io.BytesIO()
    again.save(other)
    assert other.getvalue() == file.getvalue()
    run, largest = rs.Trace(), io.BytesIO()
    run.outputs([run.add("a", [x]) for x in (np.finfo(np.float32).max, np.finfo(np.float32).min)])
    seen([run]).save(largest)
    assert rs.ModuleStatistics.load(io.BytesIO(largest.getvalue())) == seen([run])
    none = io.BytesIO()
    rs.ModuleStatistics().save(none)
    assert rs.ModuleStatistics.load(io.BytesIO(none.getvalue())) == rs.ModuleStatistics()
    for cut in range(0, len(file.getvalue()), 397):
        with pytest.raises(ValueError, match=r"ModuleStatistics\.save|wanted"):
            rs.ModuleStatistics.load(io.BytesIO(file.getvalue()[:cut]))


GOOD: dict[str, Any] = {
    "modules": np.array(["a", "b"]),
    "counts": np.array([3, 1]),
    "lengths": np.array([2, 1]),
    "means": np.zeros(3),
    "m2": np.ones(3),
    "norms": np.ones((2, 2)),
    "zeros": np.array([6, 0]),
    "largest": np.ones(2),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("modules", np.array(["a", "a"])),
        ("modules", np.array(["a", ""])),
        ("modules", np.array([1, 2])),
        ("counts", np.array([3, 0])),
        ("counts", np.array([3, 2**50])),
        ("counts", np.array([3.0, 1.0])),
        ("lengths", np.array([3, 1])),
        ("lengths", np.array([2**40, 1])),
        ("lengths", np.array([-1, 4])),
        ("means", np.array([0.0, np.nan, 0.0])),
        ("means", np.array([0.0, 1e40, 0.0])),
        ("m2", np.array([0.0, -1.0, 0.0])),
        ("m2", np.array([0.0, np.inf, 0.0])),
        ("norms", np.ones((2, 3))),
        ("norms", -np.ones((2, 2))),
        ("zeros", np.array([7, 0])),
        ("zeros", np.array([-1, 0])),
        ("largest", np.array([1.0, -1.0])),
        ("largest", np.array([1.0])),
    ],
)
def test_hostile_files_are_refused(name: str, value: Any) -> None:
    file = io.BytesIO()
    np.savez(file, recsketch=1, **{**GOOD, name: value})
    with pytest.raises((ValueError, TypeError), match=r"wanted"):
        rs.ModuleStatistics.load(io.BytesIO(file.getvalue()))
    good = io.BytesIO()
    np.savez(good, recsketch=1, **GOOD)
    assert rs.ModuleStatistics.load(io.BytesIO(good.getvalue())).names == ("a", "b")


# ---------------------------------------------------------------- what is refused


def batch_of(attributes: Any, ends: Any) -> rs.TraceBatch:
    n = len(ends) - 1
    return rs.TraceBatch(
        names=["unused", "a"], objects=[0, n], module=np.ones(n, int), attribute_ends=ends, attributes=attributes,
        input_ends=np.zeros(n + 1, int), inputs=np.zeros(0, int), weights=np.zeros(0), output_ends=[0, 1], outputs=[0],
        output_weights=[1.0],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "ends", "message"),
    [
        ([1.0, np.nan], [0, 1, 2], "wanted finite attributes of 'a'"),
        ([1.0, np.inf], [0, 1, 2], "wanted finite attributes of 'a'"),
        ([1.0, -np.inf], [0, 1, 2], "got NaN or infinity"),
        ([1.0, 2.0, 3.0], [0, 1, 3], "wanted attributes of 'a' of one length; got 1 and 2"),
        ([1.0], [0, 0, 1], "wanted attributes of 'a' with an element"),
        ([1.0, 2.0, 3.0, 4.0], [0, 2, 4], "wanted attributes of 'a' of 1 elements, as before; got 2"),
    ],
)
def test_bad_attributes_are_refused_and_change_nothing(attributes: Any, ends: Any, message: str) -> None:
    found = seen(batch_of([2.0, 5.0], [0, 1, 2]))
    with pytest.raises(ValueError, match=message):
        found.update(batch_of(attributes, ends))
    assert found == seen(batch_of([2.0, 5.0], [0, 1, 2]))


@pytest.mark.parametrize("given", [None, 3, "runs", {"a": 1}, [1, 2], np.zeros(3)], ids=repr)
def test_what_is_no_run_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="traces"):
        rs.ModuleStatistics().update(given)
    with pytest.raises(TypeError, match="other: wanted ModuleStatistics"):
        rs.ModuleStatistics().merge(given)
    with pytest.raises(TypeError):
        rs.ModuleStatistics() + given
    with pytest.raises(ValueError, match="module: wanted"):
        seen(some_runs(5)).of(given)
    with pytest.raises((ValueError, TypeError), match="centre: wanted"):
        seen(some_runs(5)).of("b").norm_about(given)


# ---------------------------------------------------------------- specifications


def test_a_specification_freezes_what_was_seen() -> None:
    runs = some_runs(200, 6, 50.0)
    statistics = seen(runs)
    plain = rs.SketchSpec(512, {**LENGTHS, "more": 2}, attributes="linear", scales={"more": 3.0, "b": 7.0})
    spec = plain.with_statistics(statistics)
    assert dict(plain.scales or {}) == {"more": 3.0, "b": 7.0}
    assert plain.centres is None
    assert spec.scale("more") == 3.0
    for name in LENGTHS:
        x = stacked(runs, name)
        centre = x.mean(axis=0).astype(np.float32)
        assert spec.centres is not None
        np.testing.assert_array_equal(spec.centres[name], centre)
        assert spec.scale(name) == pytest.approx(1 / math.sqrt(np.square(x - centre).sum(axis=1).mean()), rel=1e-12)
    both = plain.replace(centres=spec.centres).with_scales(runs)
    assert {n: both.scale(n) for n in LENGTHS} == pytest.approx({n: spec.scale(n) for n in LENGTHS}, rel=1e-14)
    statistics.update(some_runs(20))
    assert spec == plain.with_statistics(seen(runs))
    polar = rs.SketchSpec(512, LENGTHS).with_statistics(seen(runs))
    assert polar.scales is None
    assert polar.centres == spec.centres


def test_attributes_that_are_all_the_same_keep_their_scale() -> None:
    run = rs.Trace()
    run.outputs([run.add("a", [0.1, 7e5]) for _ in range(3)])
    spec = rs.SketchSpec(64, {"a": 2}, attributes="linear", scales={"a": 2.0})
    found = spec.with_statistics(seen(run, run))
    assert found.scale("a") == 2.0
    assert found.centres == {"a": (float(np.float32(0.1)), 7e5)}


def test_statistics_of_other_modules_are_refused() -> None:
    spec = rs.SketchSpec(64, {"a": 1}, attributes="linear")
    with pytest.raises(TypeError, match="statistics: wanted ModuleStatistics"):
        spec.with_statistics({"a": 1.0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="statistics: wanted those of at least one module; got none"):
        spec.with_statistics(rs.ModuleStatistics())
    with pytest.raises(ValueError, match=r"statistics: wanted a module among .'a'.; got 'b' of 7"):
        spec.with_statistics(seen(some_runs(20)))
    with pytest.raises(ValueError, match="statistics: wanted 2 elements of 'a'; got 'a' of 1"):
        rs.SketchSpec(64, {"a": 2}).with_statistics(seen(batch_of([1.0], [0, 1])))
