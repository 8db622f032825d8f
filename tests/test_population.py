"""Sums of sketches: exact whatever the order, and read path by path."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import recsketch as rs
import recsketch._core as _core
from recsketch.populations.columns import Columns
from recsketch.populations.estimates import statistics

MODULES = {"page": 3, "line": 5, "char": 4}
SPEC = rs.SketchSpec.additive(1024, MODULES, seed=3)


def pages(n: int, seed: int = 0, deep: bool = True) -> list[rs.Trace]:
    """Runs of a page with lines with characters, of numbers that vary."""
    rng, runs = np.random.default_rng(seed), []
    for _ in range(n):
        run = rs.Trace()
        lines = []
        for _ in range(rng.integers(1, 4)):
            chars = [run.add("char", rng.standard_normal(4) + 2) for _ in range(rng.integers(0, 4) if deep else 0)]
            lines.append(run.add("line", rng.standard_normal(5) * 3, inputs=chars))
        run.outputs([run.add("page", rng.standard_normal(3), inputs=lines)])
        runs.append(run)
    return runs


def attributes(runs: list[rs.Trace], module: str) -> Any:
    return np.array([o.attribute for run in runs for o in run.objects if o.module == module], np.float64)


def population(spec: rs.SketchSpec, runs: list[rs.Trace]) -> rs.Population:
    found = rs.Population(spec)
    found.update(rs.Sketcher(spec).sketch(runs))
    return found


# ---------------------------------------------------------------- sums


def test_sums_are_those_of_exact_integers() -> None:
    """Against Python's integers: x 2^32 is exact in a double, and rint rounds halves to even."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((50, 80)) * 10.0 ** rng.integers(-12, 5, (50, 80))).astype(np.float32)
    x[0, :4] = 2.0**-33, 3 * 2.0**-33, -(2.0**-33), 2.0**18  # two halves, to 0 and to 2
    group = rng.integers(0, 3, 50).astype(np.int32)
    sums = rng.integers(-(2**40), 2**40, (3, 80))
    wanted = [[int(v) for v in row] for row in sums]
    for row, g in zip(x.tolist(), group.tolist(), strict=True):
        for k, v in enumerate(row):
            wanted[g][k] += round(v * 2**32)  # Python rounds halves to even, too
    assert _core.add_fixed(x, group, sums) == -1
    assert sums.tolist() == wanted


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**18 * 1.001])
def test_nothing_is_added_of_what_has_a_bad_number(bad: float) -> None:
    rng = np.random.default_rng(0)
    found = rs.Population(SPEC)
    found.update(rng.standard_normal((5, 1024)))
    before = io.BytesIO()
    found.save(before)
    s = rng.standard_normal((9000, 1024)).astype(np.float32)
    s[8500, 700] = bad
    with pytest.raises(ValueError, match=r"sketches\[8500\]: wanted finite numbers of at most 2\*\*18"):
        found.update(s)
    after = io.BytesIO()
    found.save(after)
    assert after.getvalue() == before.getvalue()


def _part(given: tuple[str, Any, Any]) -> rs.Population:
    spec, s, groups = given
    found = rs.Population(rs.SketchSpec.from_json(spec))
    for i in range(0, len(s), 7):
        found.update(s[i : i + 7], None if groups is None else groups[i : i + 7])
    return found


@pytest.mark.parametrize("given", [False, True])
def test_any_partition_and_order_of_merging_gives_the_same_bytes(given: bool) -> None:
    """20 random partitions over processes and trees of merges: one file."""
    rng = np.random.default_rng(1)
    s = rs.Sketcher(SPEC).sketch(pages(60))
    groups = rng.integers(0, 1000, 60) if given else None
    whole = rs.Population(SPEC)
    whole.update(s, groups)
    file = io.BytesIO()
    whole.save(file)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for _ in range(20):
            cut = np.array_split(rng.permutation(60), rng.integers(2, 7))
            work = [(SPEC.to_json(), s[at], None if groups is None else groups[at]) for at in cut]
            parts = list(pool.map(_part, work))
            while len(parts) > 1:
                parts.append(parts.pop(rng.integers(len(parts))) + parts.pop(rng.integers(len(parts))))
            found = io.BytesIO()
            parts[0].save(found)
            assert found.getvalue() == file.getvalue()
    assert len(whole) == 60


def test_sums_do_not_leave_their_range() -> None:
    found = rs.Population(SPEC)
    huge = np.full((4096, 1024), 2.0**18, np.float32)
    found.update(huge, groups=0)
    found.update(huge[:4000], groups=0)
    with pytest.raises(OverflowError, match=r"wanted sums below 2\*\*31"):
        found.update(huge, groups=0)
    assert len(found) == 8096
    with pytest.raises(OverflowError, match="other: wanted sums"):
        found.merge(found)


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("rotation", ["skew", "hadamard", "block"])
def test_columns_are_what_sketches_are_made_of(rotation: Any) -> None:
    """A run's sketch is the sum over its paths of their columns times sums of attributes and counts, but for the
    rounding of float32: 1e-7 of its norm, and of hadamard, whose operators are not taken apart, three times that."""
    spec = rs.SketchSpec.additive(1024, MODULES, seed=3, rotation=rotation, second_moment=["char"])
    run, columns = pages(1, seed=4)[0], Columns(spec)
    s = rs.Sketcher(spec).sketch(run).astype(np.float64)
    total = np.zeros(1024)
    for path in (("page",), ("page", "line"), ("page", "line", "char")):
        x = attributes([run], path[-1])
        i, j = np.triu_indices(x.shape[1])
        q = x[:, i] * x[:, j] * np.where(i == j, 1, np.sqrt(2))
        y = np.concatenate([x, q], axis=1) if path[-1] == "char" else x
        total += columns.of(path) @ np.append(y.sum(axis=0), len(x))
    assert np.linalg.norm(total - s) <= (3e-7 if rotation == "hadamard" else 1e-7) * np.linalg.norm(s)


def test_what_a_population_holds() -> None:
    """Counts to the integer, means and covariances to what rounding leaves: sketches of norm up to 10 round to 5e-8
    of it, an element of a sum of 300 to some 5e-8 * 10 * sqrt(300) / sqrt(d) = 3e-7, and so a mean of 300 to 1e-9 times
    the condition number, below 100. The test allows 1e-6."""
    spec = SPEC.replace(second_moment=["char"], centres={"line": [1, 2, 3, 4, 5]}, scales={"char": 0.5})
    runs = pages(300)
    found = population(spec, runs).read()
    assert [p.path for p in found] == [("page",), ("page", "line"), ("page", "line", "char")]
    assert found.complete
    assert found.unexplained < 1e-7
    assert found.runs == 300
    for p in found:
        x = attributes(runs, p.path[-1])
        assert abs(p.count - len(x)) < 1e-2
        assert abs(p.per_run - len(x) / 300) < 1e-4
        np.testing.assert_allclose(p.mean, x.mean(axis=0), atol=1e-6)
    chars = attributes(runs, "char")
    assert found[2].covariance is not None
    assert found[1].covariance is None
    np.testing.assert_allclose(found[2].covariance, np.cov(chars.T), atol=1e-5)
    np.testing.assert_allclose(found[2].correlation(), np.corrcoef(chars.T), atol=1e-5)
    variance, directions = found[2].principal()
    np.testing.assert_allclose(directions.T @ np.diag(variance) @ directions, found[2].covariance, atol=1e-12)
    with pytest.raises(ValueError, match="wanted second_moment in the specification"):
        found[0].correlation()
    assert list(found.columns()) == [
        "path", "count", "per_run", "per_run_error", "element", "mean", "mean_error", "deviation",
    ]  # fmt: skip
    assert {len(v) for v in found.columns().values()} == {12}


@pytest.mark.parametrize("seed", range(6))
def test_paths_are_found_without_a_wiring(seed: int) -> None:
    """Ten random paths of six modules, up to four deep, at a load of 0.09: all and no others. Of 100 such
    specifications all were right (docs/figures.md): one in six failing would be a fault."""
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(6)]
    spec = rs.SketchSpec.additive(1024, dict.fromkeys(names, 8), seed=seed)
    paths: set[tuple[str, ...]] = {()}
    while len(paths) < 11:
        p = sorted(paths)[rng.integers(len(paths))]
        if len(p) < 4:
            paths.add((*p, names[rng.integers(6)]))

    def grown(run: rs.Trace, p: tuple[str, ...]) -> list[int]:
        below = [q for q in sorted(paths) if q[:-1] == p and q]
        made = [i for q in below for _ in range(rng.integers(1, 4)) for i in grown(run, q)]
        return [run.add(p[-1], rng.standard_normal(8) + 1, inputs=made)] if p else made

    runs = []
    for _ in range(100):
        run = rs.Trace()
        run.outputs(grown(run, ()))
        runs.append(run)
    found = population(spec, runs).read()
    assert {p.path for p in found} == paths - {()}
    assert found.complete
    by_module = population(spec, runs).read("module")
    total = {n: sum(p.count for p in found if p.path[-1] == n) for n in names}
    assert {p.path[0]: p.count for p in by_module} == pytest.approx({n: c for n, c in total.items() if c})


def test_what_does_not_fit_is_said() -> None:
    """60 paths of 16 numbers need 1,020 unknowns of 1,024 coordinates."""
    rng = np.random.default_rng(0)
    names = [f"m{i}" for i in range(60)]
    run = rs.Trace()
    run.outputs([run.add(n, rng.standard_normal(16)) for n in names])
    found = population(rs.SketchSpec.additive(1024, dict.fromkeys(names, 16)), [run]).read()
    assert not found.complete
    assert found.unexplained > 0.1
    assert "not all of it" in repr(found)


def test_a_wiring_and_given_paths_say_where_to_look() -> None:
    spec = SPEC.replace(wiring={None: ["page"], "page": ["line"], "line": ["char"]})
    runs = pages(50, deep=False)
    found = population(spec, runs).read(paths=[["page", "line", "char"]])
    assert [p.path for p in found] == [("page",), ("page", "line"), ("page", "line", "char")]
    assert abs(found[2].count) < 1e-3
    assert np.isnan(found[2].mean).all()
    assert [p.path for p in population(spec, runs).read()] == [("page",), ("page", "line")]
    with pytest.raises(ValueError, match="paths: wanted 'page' or 'line'"):
        population(spec, runs).read(paths=[["word"]])


def test_errors_are_those_of_the_jackknife() -> None:
    """Against the formula, group by group, from the attributes themselves."""
    runs, units = pages(200, seed=2), np.arange(200) // 20
    spec = SPEC.replace(second_moment=["char"])
    found = rs.Population(spec)
    found.update(rs.Sketcher(spec).sketch(runs), units)
    p = found.read().at("page", "line", "char")
    each = [attributes([run for run, u in zip(runs, units, strict=True) if u != g], "char") for g in range(10)]

    def spread(values: Any) -> Any:
        x = np.array(values)
        return np.sqrt(0.9 * np.square(x - x.mean(axis=0)).sum(axis=0))

    np.testing.assert_allclose(p.per_run_error, spread([len(x) / 180 for x in each]), rtol=1e-4)
    np.testing.assert_allclose(p.mean_error, spread([x.mean(axis=0) for x in each]), rtol=1e-4)
    assert p.covariance_error is not None
    np.testing.assert_allclose(p.covariance_error, spread([np.cov(x.T) for x in each]), rtol=1e-3)


def test_noise_that_was_told_of_is_no_object_and_is_in_the_errors() -> None:
    """Noise of a size of 20 in a total of one group: of 40 draws a mean is off by a root mean square of 0.7 to 1.2 of
    its stated error, which takes errors of a sum and of a count for independent."""
    clean, off = rs.Population(SPEC), []
    clean.update(rs.Sketcher(SPEC).sketch(pages(400, seed=5)), groups=0)
    exact = clean.read().at("page", "line", "char")
    assert np.isnan(exact.mean_error).all()
    rng = np.random.default_rng(0)
    for _ in range(40):
        noisy = rs.Population(SPEC)
        noisy.merge(clean)
        noisy._sums[0] += np.rint(rng.normal(0, 20, 1024) * 2.0**32).astype(np.int64)
        found = noisy.read(noise=20.0)
        assert found.complete
        one = found.at("page", "line", "char")
        off.append((one.mean - exact.mean) / one.mean_error)
    assert 0.7 < np.sqrt(np.mean(np.square(off))) < 1.2


# ---------------------------------------------------------------- what is refused


def test_other_specifications_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wanted one of SketchSpec\.additive"):
        rs.Population(rs.SketchSpec(1024, MODULES))
    with pytest.raises(TypeError, match="spec: wanted a SketchSpec"):
        rs.Population("additive")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other: wanted the same specification; got another seed"):
        rs.Population(SPEC).merge(rs.Population(SPEC.replace(seed=4)))
    with pytest.raises(TypeError, match="additive: wanted parameters that it leaves open; got"):
        rs.SketchSpec.additive(64, {"a": 1}, ordered=True)
    with pytest.raises(ValueError, match="read: wanted at least one run"):
        rs.Population(SPEC).read()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 1], "wanted an integer, or one for each of 3 sketches"),
        ([0.5, 1, 2], "wanted an integer"),
        ([-1, 0, 0], "wanted numbers from 0"),
    ],
)
def test_bad_groups_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rs.Population(SPEC).update(np.zeros((3, 1024)), groups)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["word"], "wanted names of modules; got"),
        ("page", "wanted a bool or module names"),
        (True, "wanted attributes='linear'"),
    ],
)
def test_bad_second_moments_are_refused(given: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        rs.SketchSpec(256, MODULES, attributes="polar" if given is True else "linear", second_moment=given)


def test_files() -> None:
    found = population(SPEC, pages(10))
    file = io.BytesIO()
    found.save(file)
    assert rs.Population.load(io.BytesIO(file.getvalue())) == found
    for cut in range(0, len(file.getvalue()), 4999):
        with pytest.raises(ValueError, match=r"Population\.save|wanted"):
            rs.Population.load(io.BytesIO(file.getvalue()[:cut]))
    other = io.BytesIO()
    np.savez(other, recsketch=1, spec=SPEC.to_json(), sums=np.zeros((3, 1024), np.int64), runs=np.zeros(32, int), own=0)
    with pytest.raises(ValueError, match=r"sums: wanted int64 of shape \(32, 1024\)"):
        rs.Population.load(io.BytesIO(other.getvalue()))


def test_statistics_of_one_group_have_no_error() -> None:
    x = np.array([[3.0, 3.0], [4.0, 4.0], [1.0, 1.0], [2.0, 2.0]])
    found = statistics(rs.SketchSpec.additive(64, {"a": 3}), ("a",), x, np.zeros(4), np.array([2.0, 2.0]))
    assert found.count == 2.0
    assert np.isnan(found.per_run_error)


def test_groups_and_blocks_are_what_their_runs_have() -> None:
    spec = SPEC.replace(second_moment=["char"])
    runs, sk = pages(120, seed=3), rs.Sketcher(spec)
    s, found = sk.sketch(runs), rs.Population(spec)
    found.update(s, np.arange(120) // 12)
    groups = found.groups()
    assert groups.paths == ("page", "page > line", "page > line > char")
    assert groups.runs.tolist() == [12] * 10
    for g in range(10):
        x = attributes(runs[12 * g : 12 * g + 12], "char")
        value = dict(zip(groups.elements, groups.values[g].tolist(), strict=True))
        assert value["page > line > char: count a run"] == pytest.approx(len(x) / 12, abs=1e-5)
        for i in range(4):
            assert value[f"page > line > char: mean {i}"] == pytest.approx(x[:, i].mean(), abs=1e-5)
            assert value[f"page > line > char: variance {i}"] == pytest.approx(x[:, i].var(), abs=1e-4)
    blocks = found.blocks(s, 12)
    np.testing.assert_allclose(blocks.values[:, :-1], groups.values, atol=1e-5)
    assert blocks.elements[-1] == "unknown paths"
    assert not blocks.values[:, -1].any()
    strange = rs.Trace()
    strange.outputs([strange.add("char", [1, 2, 3, 4])])
    assert found.blocks(sk.sketch([*runs[:11], strange]), 12).values[0, -1] > 0.01
    with pytest.raises(ValueError, match="sketches: wanted a multiple of 7; got 120"):
        found.blocks(s, 7)


def test_populations_are_compared_and_watched() -> None:
    """A line's third number rises by one of its deviations of 3 in the second population: found, and nothing else of 24
    elements, by tests that have a false change in one of 100 and an alarm that has one in 100."""

    def day(seed: int, rise: float, groups: int) -> tuple[rs.Population, Any]:
        rng, found, runs = np.random.default_rng(seed), rs.Population(SPEC), []
        for _ in range(groups * 20):
            run = rs.Trace()
            lines = [
                run.add("line", rng.standard_normal(5) * 3 + [0, 0, rise, 0, 0]) for _ in range(rng.integers(1, 4))
            ]
            run.outputs([run.add("page", rng.standard_normal(3), inputs=lines)])
            runs.append(run)
        s = rs.Sketcher(SPEC).sketch(runs)
        found.update(s, np.arange(len(s)) // 20)
        return found, s

    (before, _), (after, changed) = day(0, 0.0, 32), day(1, 1.5, 32)
    found = rs.compare(before, after)
    assert found.changed(0.01) == ("page > line",)
    assert found.elements[int(np.argmin(found.adjusted))] == "mean 2"
    assert not rs.compare(before, day(2, 0.0, 32)[0]).changed(0.01)
    usual = before.blocks(day(3, 0.0, 130)[1], 20)
    monitor = rs.Monitor(usual.values, 20, usual.elements, alpha=0.01, weights={"unknown paths": 0.2})
    for block in before.blocks(changed, 20).values:
        if alarm := monitor.update(block, 20):
            break
    assert alarm is not None
    assert alarm.element == "page > line: mean 2"
    hashed = rs.Population(SPEC)
    hashed.update(changed)
    with pytest.warns(rs.ExchangeabilityWarning, match="640 of 1280 runs were added without groups"):
        rs.compare(before, hashed)
    with pytest.raises(TypeError, match="q: wanted a Population"):
        rs.compare(before, changed)


def test_elements_of_modules_whose_names_have_colons() -> None:
    spec = rs.SketchSpec.additive(128, {"a: b": 2}, seed=1)
    found = rs.Population(spec)
    for group in range(8):
        run = rs.Trace()
        run.outputs([run.add("a: b", [group, 1])])
        found.update(rs.Sketcher(spec).sketch([run] * 4), groups=group)
    assert rs.compare(found, found).elements == ("count a run", "mean 0", "mean 1")
