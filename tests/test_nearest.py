"""The nearest sketches against float64 NumPy, over every stored form and layout, with a mean, ties and hostile rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.reading import nearest

D = 64
SK = rs.Sketcher(rs.SketchSpec(D, {"a": 3}), threads=2)
EPS = 2.0**-24


def scores(q: Any, rows: Any, metric: str, mean: Any = None) -> np.ndarray:
    """(q, n) in float64."""
    x, y = (np.atleast_2d(np.asarray(v, np.float64)) for v in (q, rows))
    if mean is not None:
        x, y = x - mean, y - mean
    found = x @ y.T
    if metric == "cosine":
        sizes = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
        found = np.divide(found, sizes, out=np.zeros_like(found), where=sizes > 0)
    return found


def check(found: rs.Neighbours, want: np.ndarray, k: int, error: Any) -> None:
    """Scores are those of the rows to within `error` (q, n), and no row that is left out is better by more."""
    n = want.shape[1]
    error = np.broadcast_to(error, want.shape)
    assert found.indices.shape == found.scores.shape == (len(want), min(k, n))
    assert found.indices.dtype == np.int64
    assert found.scores.dtype == np.float32
    for s, at, w, e in zip(found.scores, found.indices, want, error, strict=True):
        assert len(set(at.tolist())) == len(at)
        assert (np.abs(s - w[at]) <= e[at]).all()
        assert (np.diff(s) <= 0).all()
        out = np.setdiff1d(np.arange(n), at)
        if out.size and at.size:
            assert (w[out] - e[out] <= s[-1] + e[at[-1]]).all()


def bound(q: Any, rows: Any, metric: str, mean: Any = None) -> np.ndarray:
    """Each product is rounded once and takes part in at most d / 16 + 4 additions (`scan`); difference, unit query, row
    or its factor, and the answer are rounded once or twice each: d / 16 + 14 roundings of sum |row| |query|."""
    x, y = (np.atleast_2d(np.asarray(v, np.float64)) for v in (q, rows))
    if mean is not None:
        x, y = x - mean, y - mean
    sums = np.abs(x) @ np.abs(y).T
    if metric == "cosine":
        sizes = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
        sums = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
    return (D / 16 + 14) * EPS * sums


def rows_of(n: int = 500, seed: int = 0) -> np.ndarray:
    """Rows that share most of what they are: cosines of about 0.9 before a mean is subtracted."""
    rng = np.random.default_rng(seed)
    return (3 * rng.standard_normal(D) + rng.standard_normal((n, D))).astype(np.float32)


QUERIES = rows_of(7, seed=1)


@pytest.mark.parametrize("metric", ["cosine", "inner"])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("form", ["float32", "float16", "bfloat16", "int8", "array float16", "float64", "int16"])
def test_against_float64(metric: str, centred: bool, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 37 * D)  # several blocks, the last one shorter
    x = rows_of()
    stored: Any
    if form in ("float64", "int16"):
        stored = plain = (100 * x).astype(form)
    elif form == "array float16":
        stored = plain = x.astype(np.float16)
    else:
        stored = rs.pack(x, form)
        plain = stored.unpack()
    mean = np.asarray(plain, np.float64).mean(axis=0).astype(np.float32) if centred else None
    for k in (1, 10, 499, 500, 501, 10**9):
        found = SK.nearest(QUERIES, stored, k, metric=metric, mean=mean)
        plain32 = np.asarray(plain, np.float32)
        check(found, scores(QUERIES, plain32, metric, mean), k, bound(QUERIES, plain32, metric, mean))
    alone = SK.nearest(QUERIES[3], stored, 10, metric=metric, mean=mean)
    many = SK.nearest(QUERIES, stored, 10, metric=metric, mean=mean)
    assert alone == rs.Neighbours(many.scores[3], many.indices[3])


def test_a_mean_far_larger_than_what_is_left() -> None:
    """|m| is 1e4 times |s - m|: by |s|^2 - 2 <m, s> + |m|^2 nothing would be left of float32's digits. Differences are
    exact (Sterbenz), so that the error stays that of unit vectors."""
    rng = np.random.default_rng(0)
    mean = rng.standard_normal(D).astype(np.float32)
    x = mean + (1e-4 * rng.standard_normal((300, D))).astype(np.float32) * np.abs(mean)
    q = x[:5] + (1e-5 * rng.standard_normal((5, D))).astype(np.float32) * np.abs(mean)
    found = SK.nearest(q, x, 5, mean=mean)
    check(found, scores(q, x, "cosine", mean), 5, bound(q, x, "cosine", mean))
    assert found.indices[:, 0].tolist() == [0, 1, 2, 3, 4]
    want = scores(q, x, "cosine", mean)
    assert np.abs(SK.similarity(q, x, mean) - want).max() <= bound(q, x, "cosine", mean).max()
    assert SK.similarity(q, x).min() > 0.999


def test_similarity_subtracts_the_mean() -> None:
    x = rows_of(20)
    mean = x.mean(axis=0)
    for packed in (x, rs.pack(x, "int8")):
        plain = packed.unpack() if isinstance(packed, rs.PackedSketches) else packed
        found = SK.similarity(QUERIES, packed, mean)
        assert np.abs(found - scores(QUERIES, plain, "cosine", mean)).max() < 1e-6  # (d + 10) eps, as in `bound`
    assert SK.similarity(mean, x, mean=mean).tolist() == [0.0] * 20
    assert isinstance(SK.similarity(x[0], x[1], mean), float)


def test_ties_go_to_the_smaller_index() -> None:
    x = np.tile(rows_of(3), (50, 1))
    for form in (x, rs.pack(x, "int8"), rs.pack(x, "float16"), x.astype(np.float64)):
        for mean in (None, x[:7].mean(axis=0)):
            for metric in ("cosine", "inner"):
                at = SK.nearest(x[1], form, 120, metric=metric, mean=mean).indices
                groups = at.reshape(-1)[:100].reshape(2, 50)
                assert (groups % 3 == groups[:, :1] % 3).all()
                assert (np.diff(groups, axis=1) > 0).all()


def test_ties_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 4 * D)
    x = np.tile(rows_of(3), (50, 1))
    at = SK.nearest(x[1], x, 60, mean=x[:7].mean(axis=0)).indices
    assert at[:50].tolist() == list(range(1, 150, 3))


def test_zeros() -> None:
    """Score 0 by cosine, as of `similarity`, above what points away and below what points along."""
    x = rows_of(4)
    x[1] = 0
    x[2] = -x[0]
    for form in (x, x.astype(np.float64), rs.pack(x, "int8")):
        found = SK.nearest(x[0], form, 4)
        assert found.indices.tolist() == [0, 3, 1, 2]
        # The noise of int8, 0.008 of a coordinate, makes a cosine 1 / sqrt(1 + 0.008**2) = 1 - 3e-5.
        assert found.scores[[0, 2, 3]] == pytest.approx([1, 0, -1], abs=5e-5)
        for metric in ("cosine", "inner"):
            none = SK.nearest(np.zeros(D), form, 3, metric=metric)
            assert none.indices.tolist() == [0, 1, 2]
            assert none.scores.tolist() == [0, 0, 0]
        mean = form.unpack()[3] if isinstance(form, rs.PackedSketches) else x[3]
        found = SK.nearest(np.stack([x[0], mean]), form, 4, mean=mean)
        assert found.scores[0, found.indices[0] == 3].tolist() == [0.0]
        assert found.scores[1].tolist() == [0] * 4


def test_cosines_do_not_exceed_one() -> None:
    """Of 500 rows with themselves, some of which rounding would lead beyond."""
    x = rows_of()
    found = SK.nearest(x, x, 1)
    assert found.indices[:, 0].tolist() == list(range(500))
    assert found.scores.max() == 1.0


def test_no_rows_or_queries() -> None:
    none, x = np.zeros((0, D)), rows_of(3)
    for rows in (none, rs.pack(none, "int8")):
        assert SK.nearest(x, rows).indices.shape == (3, 0)
        assert SK.nearest(x[0], rows, mean=x[1]).scores.shape == (0,)
    assert SK.nearest(none, x).indices.shape == (0, 3)
    assert SK.nearest(none, none, metric="inner").scores.shape == (0, 0)


def test_sizes_from_the_smallest_to_the_largest() -> None:
    """Rows and queries of 1e-40 to 1e30: no cosine depends on it, products are compared before they overflow."""
    x = rows_of(60)
    want = SK.nearest(QUERIES, x, 3)
    for size in (1e-30, 1e-20, 1e28):
        for other in (1e-20, 1.0, 1e28):
            found = SK.nearest(QUERIES * np.float32(other), x * np.float32(size), 3)
            assert np.array_equal(found.indices, want.indices), (size, other)
            assert np.abs(found.scores - want.scores).max() < 1e-5
    tiny = np.eye(D, dtype=np.float32)[:5] * np.float32(1e-40)  # one over that is beyond float32
    assert SK.nearest(tiny[2], tiny, 1).scores.tolist() == [1.0]
    assert SK.nearest(tiny[2], tiny, 1).indices.tolist() == [2]
    huge = np.full((3, D), 1e30, np.float32)
    huge[:, ::2] *= -1
    huge[1] *= 0.5
    q = huge[0].copy()
    found = SK.nearest(q, huge, 3, metric="inner")
    assert found.indices.tolist() == [0, 2, 1]
    assert np.isinf(found.scores).all()
    q[1::2] = 1e30
    q[::2] = 1e30  # sums of both signs, which cancel
    assert SK.nearest(q, huge, 3, metric="inner").indices.tolist() == [0, 1, 2]


def test_layouts_and_threads(tmp_path: Any) -> None:
    x = rows_of(100)
    mean = x.mean(axis=0)
    frozen, wide = x.copy(), np.repeat(x, 2, axis=1)
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    forms = [frozen, wide[:, ::2], x[::-1].copy()[::-1], x.astype(">f4"), np.asfortranarray(x), x.tolist(), mapped]
    forms += [x.astype(np.float64), x.astype(np.longdouble), np.ma.array(x)]
    for metric in ("cosine", "inner"):
        for m in (None, mean):
            want = SK.nearest(QUERIES, x, 5, metric=metric, mean=m)
            one = rs.Sketcher(SK.spec, threads=1)
            assert one.nearest(QUERIES, x, 5, metric=metric, mean=m) == want
            for form in forms:
                found = SK.nearest(QUERIES.astype(">f4"), form, 5, metric=metric, mean=m)
                assert np.array_equal(found.indices, want.indices)
                assert found.scores == pytest.approx(want.scores, rel=1e-5)


def test_packed_queries_and_slices() -> None:
    x = rows_of(50)
    packed = rs.pack(x, "int8")
    assert SK.nearest(packed[7], packed, 1).indices.tolist() == [7]
    assert SK.nearest(packed[5:9], packed[::2], 1).indices.shape == (4, 1)


@pytest.mark.parametrize("form", ["float32", "float64"])
def test_bad_rows_are_named(form: str) -> None:
    for bad in (np.nan, np.inf, 2e30):
        x = rows_of(20).astype(form)
        x[13, 5] = bad
        for metric in ("cosine", "inner"):
            with pytest.raises(ValueError, match=r"^sketches\[13\]: wanted finite numbers of at most 1e30; got NaN or"):
                SK.nearest(QUERIES, x, metric=metric)
        with pytest.raises(ValueError, match=r"^query\[13\]: wanted finite numbers"):
            SK.nearest(x, QUERIES)
        with pytest.raises(ValueError, match=r"^mean: wanted finite numbers"):
            SK.nearest(QUERIES, QUERIES, mean=x[13])
    huge = rs.PackedSketches(np.full((2, D), 100, np.int8), np.float32([1, 1e29]), np.zeros(2), "int8")
    with pytest.raises(ValueError, match=r"^sketches\[1\]: wanted finite numbers of at most 1e30"):
        SK.nearest(QUERIES, huge)


def test_what_is_refused() -> None:
    x = rows_of(5)
    for shape in ((D,), (5, D + 1), (5, D, 1), ()):
        with pytest.raises(ValueError, match=rf"^sketches: wanted shape \(n, {D}\); got"):
            SK.nearest(x, np.zeros(shape))
    with pytest.raises(ValueError, match=rf"^sketches: wanted shape \(n, {D}\); got"):
        SK.nearest(x, rs.pack(x[0]))
    for k in (0, -1, 10**30):
        with pytest.raises(ValueError, match=r"^k: wanted an integer"):
            SK.nearest(x, x, k)
    with pytest.raises(TypeError, match=r"^k: wanted an integer"):
        SK.nearest(x, x, 2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^metric: wanted 'cosine' or 'inner'; got 'l2'"):
        SK.nearest(x, x, metric="l2")
    for wrong in (np.zeros(D + 1), x, 3.0):
        with pytest.raises(ValueError, match=rf"^mean: wanted a vector of {D} numbers; got"):
            SK.nearest(x, x, mean=wrong)
        with pytest.raises(ValueError, match=rf"^mean: wanted a vector of {D} numbers; got"):
            SK.similarity(x, x, mean=wrong)


def test_memory_is_that_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed sketches are never unpacked as a whole: no block is larger than it may be."""
    x = rs.pack(rows_of(400), "int8")
    monkeypatch.setattr(nearest, "BLOCK", 10 * D)
    monkeypatch.setattr(rs.PackedSketches, "unpack", lambda self: pytest.fail("unpacked"))
    seen: list[int] = []
    floats = nearest.floats
    monkeypatch.setattr(nearest, "floats", lambda v, dtype: seen.append(len(v)) or floats(v, dtype))
    SK.nearest(QUERIES, x, mean=np.zeros(D))
    SK.nearest(QUERIES, x)
    assert max(seen) == 10
    assert len(seen) == 80
    seen.clear()
    SK.nearest(QUERIES, x, metric="inner")
    assert not seen


def test_answers_read_well() -> None:
    x = np.eye(D)
    found = SK.nearest([1.0, 0.5] + [0.0] * (D - 2), x, 2)
    assert str(found) == "Neighbours: 0: 0.894, 1: 0.447"
    assert str(SK.nearest(x[:3], x, 2)) == "Neighbours: 2 of each of 3 queries"
    assert str(SK.nearest(x[0], x[:0])) == "Neighbours: none"
    assert str(SK.nearest(x[0], x, 12)).endswith("9: 0, ...")
    assert found == SK.nearest([1.0, 0.5] + [0.0] * (D - 2), x, 2)
