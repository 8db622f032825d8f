"""Comparisons of groups: against SciPy and by brute force, what is exact, what is refused, and what the text says."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import recsketch._streams as _streams
from recsketch.populations.changes import relabelling, welch
from recsketch.populations.changes.comparison import Comparison
from recsketch.populations.changes.exchangeable import ExchangeabilityWarning, neighbours, ratio
from recsketch.populations.changes.groups import compare_groups
from recsketch.populations.changes.relabelling import Labels

PATH = [0, 0, 1, 1, 1]
NAMES = {"paths": ["page", "page/line"], "path": PATH, "elements": ["count", "mean 0", "count", "mean 0", "mean 1"]}


def compared(x: Any, y: Any, **options: Any) -> Comparison:
    """Of five elements in two paths, with 50 runs in every group."""
    runs = options.pop("runs", (np.full(len(x), 50), np.full(len(y), 50)))
    return compare_groups(x, y, runs, **{**NAMES, "relabellings": 199, **options})


def drawn(seed: int, n: int = 9, m: int = 11) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 5)), rng.standard_normal((m, 5)) * 2 + 3


# ---------------------------------------------------------------- against SciPy, and by brute force


def test_t_and_intervals_are_welchs() -> None:
    """Sums of 20 numbers in two ways: 1e-12 of t leaves room for a thousand roundings; quantiles are right to 1e-10."""
    stats = pytest.importorskip("scipy.stats")
    x, y = drawn(1)
    for level in (0.5, 0.9, 0.95, 0.9999):
        found = compared(x, y, level=level)
        want = stats.ttest_ind(y, x, equal_var=False)
        interval = want.confidence_interval(level)
        assert np.allclose(found.t, want.statistic, rtol=1e-12, atol=0)
        assert np.allclose(found.low, interval.low, rtol=1e-9, atol=1e-12)
        assert np.allclose(found.high, interval.high, rtol=1e-9, atol=1e-12)
    assert np.allclose(found.before, x.mean(axis=0), rtol=1e-13, atol=1e-15)
    assert np.allclose(found.effect, y.mean(axis=0) - x.mean(axis=0), rtol=1e-13, atol=1e-15)


def test_what_groups_lack_is_left_out() -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = drawn(2)
    x[:3, 1] = y[[0, 7], 1] = x[:8, 2] = np.nan
    y[:, 3] = np.nan
    found = compared(x, y)
    want = stats.ttest_ind(y[:, 1], x[:, 1], equal_var=False, nan_policy="omit")
    assert found.t[1] == pytest.approx(want.statistic, rel=1e-12)
    left = stats.ttest_ind(np.delete(y[:, 1], [0, 7]), x[3:, 1], equal_var=False).confidence_interval()
    assert (found.low[1], found.high[1]) == pytest.approx((left.low, left.high), rel=1e-9)
    assert np.isnan(found.effect[2:4]).all()  # a single group, and none
    assert found.before[2] == x[8, 2]
    assert np.isnan(found.after[3])
    assert found.t[2:4].tolist() == [0, 0]
    assert found.p[2:4].tolist() == [1, 1]


def brute(x: np.ndarray, y: np.ndarray, labels: Labels, path: list[int]) -> dict[str, np.ndarray]:
    """p-values by the definitions, a labelling and an element at a time."""
    stats = pytest.importorskip("scipy.stats")
    groups, rows = np.concatenate([x, y]), labels.first(0, labels.relabellings + 1).astype(bool)
    t = np.zeros((len(rows), x.shape[1]))
    for b, first in enumerate(rows):
        for e in range(x.shape[1]):
            one, two = (z[~np.isnan(z)] for z in (groups[first, e], groups[~first, e]))
            if min(len(one), len(two)) >= 2 and len(np.unique(groups[:, e])) > 1:
                t[b, e] = abs(stats.ttest_ind(one, two, equal_var=False).statistic)

    def adjusted(s: np.ndarray) -> np.ndarray:
        order = sorted(range(s.shape[1]), key=lambda e: (-s[0, e], e))
        out, least = np.empty(len(order)), 0.0
        for k, e in enumerate(order):
            rest = s[:, order[k:]].max(axis=1)
            least = max(least, float(np.mean(rest >= s[0, e] - 1e-9 * abs(s[0, e]))))
            out[e] = least
        return out

    means = np.stack([(t[:, np.array(path) == k] ** 2).mean(axis=1) for k in range(max(path) + 1)], axis=1)
    rank = np.array([[np.mean(means[:, k] >= v * (1 - 1e-9)) for k, v in enumerate(row)] for row in means])
    p = np.mean(t >= t[0] * (1 - 1e-9), axis=0)
    return {"p": p, "adjusted": adjusted(t), "path_p": rank[0], "path_adjusted": adjusted(-rank)}


@pytest.mark.parametrize("kind", ["normal", "counts", "lacking", "equal sizes"])
def test_p_values_by_brute_force(kind: str) -> None:
    """Few counts have many equal t, which count as at least as large."""
    rng = np.random.default_rng([3, *kind.encode()])
    n = 8 if kind == "equal sizes" else 9
    x, y = rng.standard_normal((n, 5)), rng.standard_normal((8, 5)) + np.array([0, 0, 0, 1, 2])
    if kind == "counts":
        x, y = rng.poisson(1.5, x.shape).astype(float), rng.poisson([1.5, 1.5, 1.5, 3, 5], y.shape).astype(float)
    if kind == "lacking":
        x[rng.random(x.shape) < 0.4] = y[rng.random(y.shape) < 0.3] = np.nan
        x[:, 0] = y[:, 0] = 0.1
    found, want = compared(x, y, seed=7), brute(x, y, Labels(n, 8, 199, 7), PATH)
    for name, values in want.items():
        assert np.allclose(getattr(found, name), values, rtol=1e-12, atol=0), name


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(4)
    whole = compared(x, y, seed=1)
    monkeypatch.setattr(relabelling, "BLOCK", 7 * 20)
    assert compared(x, y, seed=1) == whole


def test_relabellings_are_fair() -> None:
    """4,000 of them: each group is of the first sample 4,000 * 9/20 times, within 5 deviations (one of 20 is not with
    1e-5), and each pair 4,000 * 9 * 8 / (20 * 19), of 190 one is not with 1e-4."""
    labels = Labels(9, 11, 4000, 5)
    first = labels.first(0, 10**6)
    assert first.shape == (4001, 20)
    assert first[0].tolist() == [1] * 9 + [0] * 11
    assert np.all(first.sum(axis=1) == 9)
    assert np.array_equal(np.concatenate([labels.first(0, 1), labels.first(1, 77), labels.first(77, 4001)]), first)
    words = _streams.words(5, "relabelling", "", 3, 20)
    assert np.array_equal(np.flatnonzero(first[4]), np.sort(np.argsort(words, kind="stable")[:9]))
    together = first[1:].T @ first[1:]
    for counts, p in ((np.diag(together), 9 / 20), (together[np.triu_indices(20, 1)], 9 * 8 / (20 * 19))):
        assert np.all(np.abs(counts - 4000 * p) < 5 * np.sqrt(4000 * p * (1 - p)))


def test_ranks_of_equal_ones() -> None:
    """Each counts all that are as large, up to rounding."""
    x = np.array([[1.0, 3], [1 - 1e-12, 2], [0.5, 1], [0, 0]])
    assert relabelling.ranked(x).tolist() == [[0.5, 0.25], [0.5, 0.5], [0.75, 0.75], [1, 1]]


def test_quantiles_of_student() -> None:
    """Logarithms of gamma functions of 5,000 leave an error of 4e-12 in the distribution function, which at 1 - 5e-5,
    where its slope is 2e-4, is 5e-9 of the quantile. Below two degrees the integrand has a kink at the end of its
    range, which shows in extreme quantiles."""
    stats = pytest.importorskip("scipy.stats")
    freedom = np.array([1, 1.5, 2, 3.3, 7, 31, 62.5, 9999, 10001, 1e6])
    for p in (0.75, 0.9, 0.975, 0.999, 0.99995):
        off = np.abs(welch.student_quantile(p, freedom) / stats.t.ppf(p, freedom) - 1)
        assert np.all(off[2:] < 1e-8)
        assert np.all(off < 2e-6)


def test_q_values_are_benjamini_and_hochbergs() -> None:
    stats = pytest.importorskip("scipy.stats")
    found = compared(*drawn(5))
    assert np.allclose(found.q_values(), stats.false_discovery_control(found.p), rtol=1e-12, atol=0)
    few = compared(*drawn(5), relabellings=99)
    with pytest.raises(ValueError, match="wanted at least 20 relabellings an element, 100; got 99"):
        few.q_values()


# ---------------------------------------------------------------- what is exact


def test_false_changes_are_no_more_frequent_than_stated() -> None:
    """Statistics of tails so heavy that they have no variance, 300 pairs: at 5% some 15 of each kind; 36 and more have
    a probability of 2e-6. The brute force above shows that p-values are ranks among labellings."""
    rng, hits = np.random.default_rng(6), np.zeros(3, int)
    for _ in range(300):
        x, y = rng.standard_cauchy((2, 10, 5))
        found = compared(x, y, relabellings=99, seed=int(rng.integers(2**63)))
        hits += [found.adjusted.min() <= 0.05, found.path_adjusted.min() <= 0.05, bool(found.changed())]
    assert np.all(hits < 36)


def test_what_is_constant_in_both_is_found() -> None:
    """Once on every page before, twice after: t would be infinite. Where both are the same, nothing changed."""
    x, y = drawn(7, 12, 12)
    x[:, 0], y[:, 0] = 1, 2
    x[:, 1] = y[:, 1] = 0.1
    y[:, 2:] -= 3
    found = compared(x, y, relabellings=999)
    assert found.p[0] <= 2 / 1000 + 1e-12  # labels as they are and, if they were drawn, exchanged
    assert 1e4 < found.t[0] < 1e6
    assert (found.low[0], found.high[0]) == (1, 1)
    assert (found.before[1], found.effect[1], found.t[1], found.p[1]) == (0.1, 0, 0, 1)
    assert found.changed()[0] == "page"


def test_units_do_not_matter() -> None:
    """Powers of two round nothing: the same bits. A shift rounds, by 1e-13 of a deviation, and changes no p."""
    x, y = drawn(8)
    found = compared(x, y)
    for power in (-900, -60, 90):
        factor = 2.0**power
        other = compared(x * factor, y * factor)
        assert np.array_equal(other.t, found.t)
        assert np.array_equal(other.adjusted, found.adjusted)
        assert np.array_equal(other.low, found.low * factor)
    moved = compared(x + 1000, y + 1000)
    assert np.allclose(moved.t, found.t, rtol=1e-9)
    assert np.array_equal(moved.adjusted, found.adjusted)


def test_exchanging_the_two_changes_signs() -> None:
    x, y = drawn(9, 10, 10)
    one, two = compared(x, y), compared(y, x)
    assert np.allclose(two.t, -one.t, rtol=1e-12)
    assert np.allclose(two.effect, -one.effect, rtol=1e-12)
    assert np.allclose(two.low, -one.high, rtol=1e-12)


def test_inputs_of_every_kind() -> None:
    x, y = (np.round(z * 64) / 64 for z in drawn(10))
    found, before = compared(x, y), x.copy()
    for make in (
        np.ndarray.tolist,
        lambda z: z.astype(np.float32),
        lambda z: z.astype(">f8"),
        lambda z: np.asfortranarray(z),
        lambda z: np.repeat(z, 2, axis=0)[::2],
    ):
        assert compared(make(x), make(y)) == found
    x.flags.writeable = False
    assert compared(x, y) == found
    assert np.array_equal(x, before)
    assert compared(x, y, runs=([50] * 9, np.full(11, 50, np.uint8)), path=np.array(PATH, np.int8)) == found


# ---------------------------------------------------------------- what is refused


def test_groups_of_unequal_sizes() -> None:
    x, y = drawn(11)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compared(x, y, runs=(np.full(9, 149), np.full(11, 100))).warnings == ()
    for runs in ((150, 100), (100, 399)):
        with pytest.warns(ExchangeabilityWarning, match=r"have (1\.5|4) times as many runs"):
            found = compared(x, y, runs=(np.full(9, runs[0]), np.full(11, runs[1])))
        assert len(found.warnings) == 1
        assert f"! {found.warnings[0]}" in str(found)
    sizes = (np.full(9, 300), np.full(11, 75))
    with pytest.raises(ValueError, match=r"at most 4 times as many; got 4 times: group anew, or force=True"):
        compared(x, y, runs=sizes)
    with pytest.warns(ExchangeabilityWarning):
        assert compared(x, y, runs=sizes, force=True).adjusted.shape == (5,)
    assert ratio(np.array([1.0, 3.0]), np.array([3.0, 3.0])) == 2  # harmonic: 1.5 and 3


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "one group short": ({"x": np.zeros((7, 5))}, ValueError, "x: wanted at least 8 groups; got 7"),
    "a vector": ({"y": np.zeros(5)}, ValueError, "y: wanted statistics of groups, of shape"),
    "no element": ({"x": np.zeros((9, 0))}, ValueError, "x: wanted statistics of groups, of shape"),
    "other elements": ({"y": np.zeros((11, 4))}, ValueError, "y: wanted 5 elements as of x"),
    "infinity": ({"x": np.full((9, 5), np.inf)}, ValueError, "x: wanted numbers of at most 1e30"),
    "huge": ({"x": np.full((9, 5), 2e30)}, ValueError, "x: wanted numbers of at most 1e30"),
    "complex": ({"x": np.zeros((9, 5), complex)}, TypeError, "x: wanted statistics"),
    "texts": ({"x": [["a"] * 5] * 9}, TypeError, "x: wanted statistics"),
    "objects": ({"x": np.full((9, 5), None)}, TypeError, "x: wanted statistics"),
    "ragged": ({"x": [[1.0], [1.0, 2.0]]}, ValueError, "x: wanted statistics"),
    "masked": ({"x": np.ma.masked_equal(np.zeros((9, 5)), 0)}, ValueError, "masked"),
    "runs of one": ({"runs": ([50] * 9,)}, ValueError, "runs: wanted two vectors"),
    "no runs": ({"runs": None}, TypeError, "runs: wanted runs a group"),
    "runs of others": ({"runs": ([50] * 11, [50] * 9)}, ValueError, r"runs\[0\]: wanted a vector of 9"),
    "an empty group": ({"runs": ([50] * 9, [50] * 10 + [0])}, ValueError, "leave empty groups out"),
    "half a run": ({"runs": ([50.5] * 9, [50] * 11)}, TypeError, r"runs\[0\]: wanted integers"),
    "a path without elements": ({"path": [0] * 5}, ValueError, "path: wanted each number from 0 to 1"),
    "a path of no name": ({"path": [0, 1, 2, 1, 1]}, ValueError, "path: wanted each number from 0 to 1"),
    "a path below zero": ({"path": [0, 1, -1, 1, 1]}, ValueError, "path: wanted each number from 0 to 1"),
    "paths as fractions": ({"path": [0, 1.0, 1, 1, 1]}, TypeError, "path: wanted integers"),
    "a path twice": ({"paths": ["a", "a"]}, ValueError, "paths: wanted each name once"),
    "paths of a text": ({"paths": "ab"}, TypeError, "paths: wanted a sequence of str"),
    "paths of numbers": ({"paths": [1, 2]}, TypeError, r"paths\[0\]: wanted a non-empty"),
    "elements short": ({"elements": ["a"] * 4}, ValueError, "elements: wanted 5 names"),
    "level": ({"level": 1.0}, ValueError, "level: wanted a number from 0.5 to 0.9999"),
    "level below": ({"level": 0.4}, ValueError, "level: wanted a number from 0.5 to 0.9999"),
    "level NaN": ({"level": np.nan}, ValueError, "level: wanted a number"),
    "few relabellings": ({"relabellings": 18}, ValueError, "relabellings: wanted an integer from 19"),
    "relabellings of a float": ({"relabellings": 99.0}, TypeError, "relabellings: wanted an integer"),
    "seed": ({"seed": -1}, ValueError, "seed: wanted an integer"),
    "force": ({"force": 1}, TypeError, "force: wanted True or False"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name: str) -> None:
    options, kind, message = BAD[name]
    x, y = drawn(12)
    with pytest.raises(kind, match=message) as caught:
        compared(options.pop("x", x), options.pop("y", y), **options)
    assert len(str(caught.value)) < 1000


def test_every_number_lacking_is_no_change() -> None:
    found = compared(np.full((8, 5), np.nan), np.full((8, 5), np.nan))
    assert found.changed() == ()
    assert np.all(found.p == 1)
    assert np.isnan(found.before).all()


# ---------------------------------------------------------------- what is said


def example(**options: Any) -> Comparison:
    x, y = (z.copy() for z in np.random.default_rng(13).standard_normal((2, 32, 5)))
    y[:, 4] += 2
    return compared(x, y, **{"relabellings": 999, **options})


def test_the_text_says_first_what_changed() -> None:
    found = example()
    text = str(found).split("\n")
    assert text[0] == "Comparison of 32 groups with 32: 1 of 2 paths changed (a false one in 5% of comparisons at most)"
    assert text[1].startswith("~ page/line: p = 0.002 for the path, 1 of 3 elements on their own")
    assert text[2].startswith("    mean 1: ")
    assert text[2].endswith("p = 0.001")
    assert len(text) == 3
    assert repr(found) == f"<{text[0]}>"
    none = compared(*np.random.default_rng(14).standard_normal((2, 16, 5)))
    assert "none of 2 paths changed" in str(none)


def test_tables_are_cut() -> None:
    x, y = np.random.default_rng(15).standard_normal((2, 32, 5))
    found = compared(x, y + 3, relabellings=999)
    assert found.changed() == ("page", "page/line")
    assert found.table(1).split("\n")[-1] == "... (1 more path)"
    for bad in (0, 1.5, None):
        with pytest.raises((ValueError, TypeError), match="most: wanted an integer"):
            found.table(bad)  # type: ignore[arg-type]


def test_names_move_no_cursor() -> None:
    found = example(paths=["page", "li\nne\x1b[2J"])
    assert r"~ li\nne\x1b[2J: p" in str(found)


def test_changed_at_another_rate() -> None:
    found = example()
    assert found.changed(0.002) == ("page/line",)  # the least p-value is 1 in 1,000, and each family has half
    assert found.changed(0.0019) == ()
    assert set(found.changed(1)) <= set(found.paths)
    for bad in (0, -1, 1.1, np.nan, "a"):
        with pytest.raises((ValueError, TypeError), match="alpha: wanted a number above 0"):
            found.changed(bad)  # type: ignore[arg-type]


def test_columns_have_a_row_an_element() -> None:
    found = example()
    columns = found.columns()
    assert {len(c) for c in columns.values()} == {5}
    assert columns["path"].tolist() == ["page"] * 2 + ["page/line"] * 3
    assert columns["element"].tolist() == list(NAMES["elements"])
    assert np.array_equal(columns["path_adjusted"], found.path_adjusted[PATH])
    assert np.array_equal(columns["effect"], found.effect)


def test_they_are_values() -> None:
    found = example()
    assert found == example()
    assert found != example(seed=1)
    assert pickle.loads(pickle.dumps(found)) == found
    assert copy.deepcopy(found) == found
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)


# ---------------------------------------------------------------- order


def test_neighbours_that_are_alike_are_noticed() -> None:
    """Correlation 0.5 of neighbours, 128 blocks of 20 elements: its mean has a deviation of 0.02."""
    rng = np.random.default_rng(16)
    x = rng.standard_normal((128, 20))
    assert neighbours(x, 0)[0] == pytest.approx(-1 / 128, abs=0.1)
    assert neighbours(x, 0)[1] > 0.001
    for t in range(1, 128):
        x[t] += 0.5 * x[t - 1]
    alike, p = neighbours(x, 0)
    assert alike == pytest.approx(0.5, abs=0.1)
    assert p == 1 / 1000
    assert neighbours(np.zeros((128, 2)), 0) == (0, 1)
