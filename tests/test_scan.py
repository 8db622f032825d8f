"""Top-k inner products: against NumPy in float64, exact integers, ties, and what no row can answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch import scan

SHAPES = [(1, 1), (7, 3), (16, 16), (100, 31), (257, 33), (1000, 100), (130, 5000)]


def top(scores: Any, k: int) -> Any:
    """Indices of the k largest of each row, ties by index."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("queries", [1, 6, 7, 100])
def test_floats(shape: tuple[int, int], dtype: type, queries: int) -> None:
    rng = np.random.default_rng(shape[0])
    rows = rng.standard_normal(shape).astype(dtype)
    q = rng.standard_normal((queries, shape[1])).astype(np.float32)
    k = min(10, shape[0])
    scores, indices = scan(rows, q, k, threads=2)
    wide = rows.astype(np.float64)
    exact = q.astype(np.float64) @ wide.T
    bound = (shape[1] / 16 + 6) * 2.0**-24 * (np.abs(q).astype(np.float64) @ np.abs(wide).T)
    assert np.all(np.abs(scores - np.take_along_axis(exact, indices, 1)) <= np.take_along_axis(bound, indices, 1))
    assert np.all(scores[:, 1:] <= scores[:, :-1])
    assert all(len(set(i)) == k for i in indices)
    left = exact - bound  # nothing better was missed, but for rounding
    np.put_along_axis(left, indices, -np.inf, 1)
    assert np.all(left.max(axis=1, initial=-np.inf) <= scores[:, -1] + np.take_along_axis(bound, indices, 1)[:, -1])


@pytest.mark.parametrize(("dtype", "r", "q"), [("float32", 12, 12), ("float16", 10, 14), ("bfloat16", 7, 17)])
@pytest.mark.parametrize("d", [17, 32])
def test_products_of_floats_are_not_rounded(dtype: str, r: int, q: int, d: int) -> None:
    """(1 + 2^-r) (1 + 2^-q) less 1 + 2^-r + 2^-q (2^-11 where both are 2^-12) is 2^-24: half a unit of what it is
    taken from, which a product that is rounded loses. Both stand in lane 0, the difference first. Every tile of rows
    and queries has such scores."""
    rows, queries = np.zeros((11, d), np.float32), np.zeros((1, d), np.float32)
    rows[:, 0], rows[:, 16] = 1.0, 1 + 2.0**-r
    queries[0, 0], queries[0, 16] = -(1 + 2.0**-r + 2.0**-q), 1 + 2.0**-q
    given = (rows.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else rows.astype(dtype)
    for count in (1, 6, 7, 15, 16, 23):
        scores = scan(given, np.repeat(queries, count, axis=0), 11)[0]
        assert np.all(scores == 2.0**-24)


@pytest.mark.parametrize("most", [1, 3, 1000, 32767, 1 << 24])
@pytest.mark.parametrize("shape", [*SHAPES, (500, 8)])
def test_bytes_are_exact_for_integers(shape: tuple[int, int], most: int) -> None:
    """Scores are the integers, rounded to float32; the order is that of the integers, ties by index."""
    rng = np.random.default_rng(shape[1])
    rows = rng.integers(-128, 128, shape).astype(np.int8)
    q = rng.integers(-most, most + 1, (9, shape[1]))
    exact = q @ rows.astype(np.int64).T
    for k in {1, min(10, shape[0]), shape[0]}:
        scores, indices = scan(rows, q, k, threads=2)
        assert np.array_equal(indices, top(exact, k))
        assert np.array_equal(scores, np.take_along_axis(exact, indices, 1).astype(np.float32))


def test_bytes_of_the_smallest_case() -> None:
    scores, indices = scan(np.array([[1, 1, 1], [0, 0, 3]], np.int8), [2, 2, 3], 2)
    assert scores.tolist() == [9.0, 7.0]
    assert indices.tolist() == [1, 0]


def test_bytes_at_their_largest() -> None:
    """Sums beyond 32 bits: 20,000 products of 2^7 and 2^15."""
    rows = np.full((3, 20000), -128, np.int8)
    rows[1] = 127
    scores, indices = scan(rows, np.full(20000, 32767.0), 3)
    assert indices.tolist() == [1, 0, 2]
    assert scores.tolist() == [np.float32(127 * 32767 * 20000), *[np.float32(-128 * 32767 * 20000)] * 2]


def queries_of(kind: str, rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    """Queries that are hard to round: Gaussian ones; of an element 1e5 or 1e9 times the others; tiny or large ones."""
    q = rng.standard_normal(shape)
    if kind.startswith("outlier"):
        q[:, shape[1] // 2] *= float(kind.split()[1])
    elif kind != "gaussian":
        q *= float(kind)
    return q.astype(np.float32)


KINDS = ["gaussian", "outlier 1e5", "outlier 1e9", "2e-38", "1e-43", "1e28"]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_any_query(kind: str, signed: bool) -> None:
    """In the order of the scores in doubles, none missed; rounded once to float32.

    The reference's sums are doubles, too: scores closer than its error, d 2^-53 of the sum of sizes, may change places.
    """
    rng = np.random.default_rng(3)
    rows = rng.integers(-127, 128, (2000, 200)).astype(np.int8)
    rows[1000:] = rows[0]  # what only the query's last bits tell apart
    rows[1000:, :7] += rng.integers(0, 2, (1000, 7)).astype(np.int8)
    q = queries_of(kind, rng, (7, 200))
    scale = rng.uniform(0.9, 1.1, 2000).astype(np.float32)
    scale[1000:] = 1.0
    if signed:
        scale *= rng.choice([-1, 1], 2000).astype(np.float32)
    wide, f = rows.astype(np.float64), scale.astype(np.float64)
    exact = (q.astype(np.float64) @ wide.T) * f
    bound = 200 * 2.0**-53 * (np.abs(q).astype(np.float64) @ np.abs(wide).T) * np.abs(f)
    for k in (1, 50, 2000):
        scores, indices = scan(rows, q, k, scale=scale, threads=2)
        of, error = (np.take_along_axis(v, indices, 1) for v in (exact, bound))
        assert np.all(np.abs(scores - of) <= 2.0**-24 * np.abs(of) + 2.0**-150 + error)
        assert np.all(of[:, 1:] <= of[:, :-1] + 2 * error[:, 1:])
        left = exact - 2 * bound
        np.put_along_axis(left, indices, -np.inf, 1)
        assert np.all(left.max(axis=1) <= of[:, -1])
    assert scan(rows, np.zeros(200), 2)[1].tolist() == [0, 1]


def test_bytes_that_int16_cannot_tell_apart() -> None:
    """Half a unit of int16 is rounded off of every element; rows sum to 0, and the first look gives each of them 0.

    The last row gains all that a row of at most 127 can from what was rounded off, the one before it hardly less, so
    that it enters only if that much is allowed for.
    """
    rng = np.random.default_rng(9)
    for d in (16, 64, 1000):
        rest = rng.permutation(np.tile([-0.499, 0.499], d // 2)).astype(np.float32)
        q = 20000 + rest
        best = np.where(q > 20000, 127, -127).astype(np.int8)
        rows = rng.permuted(np.tile(best, (50, 1)), axis=1)
        near = best.copy()
        near[[np.argmax(best), np.argmin(best)]] = 126, -126
        rows = np.concatenate([rows, near[None], best[None]])
        assert not rows.astype(int).sum(axis=1).any()
        for scale in (None, np.full(52, 0.7), np.full(52, 1e-20)):
            assert scan(rows, q, 1, scale=scale)[1].tolist() == [51]
            assert scan(rows, q, 2, scale=scale)[1].tolist() == [51, 50]


@pytest.mark.parametrize("factor", [0.7, 0.1, -0.3, 1e-30])
def test_bytes_whose_scores_differ_by_less_than_float32_tells(factor: float) -> None:
    """Sums near 2^27, one apart, times one scale: floats give them a few values; the order is that of the sums."""
    rng = np.random.default_rng(10)
    rows = np.full((400, 64), 100, np.int8)
    rows[:, :5] += rng.integers(-5, 6, (400, 5)).astype(np.int8)
    q = np.full(64, 20011)
    q[:5] = [1, 3, 7, 11, 19]
    exact = q @ rows.astype(np.int64).T * (1 if factor > 0 else -1)
    for k in (1, 5, 100):
        got = scan(rows, q, k, scale=np.full(400, factor), threads=1)[1]
        assert np.array_equal(exact[got], np.sort(exact)[::-1][:k])
        assert np.array_equal(got, top(exact[None], k)[0])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_floats_of_any_query(kind: str, dtype: str) -> None:
    """Within the bound of the docstring, whose order of scores is that of exact ones but for it; scales of any size."""
    rng = np.random.default_rng(4)
    packed = rs.pack(rng.standard_normal((900, 100)), dtype)
    wide = packed.unpack().astype(np.float64) / packed.scale[:, None]
    q = queries_of(kind, rng, (5, 100))
    for size in (1.0, 1e-38, 1e-43) if kind == "1e28" else (1.0, 1e-5, 1e20):
        scale = (size * rng.uniform(0.5, 1.0, 900)).astype(np.float32)
        scores, indices = scan(packed.values, q, 900, scale=scale)
        f = scale.astype(np.float64)
        exact = (q.astype(np.float64) @ wide.T) * f
        bound = (100 / 16 + 6) * 2.0**-24 * (np.abs(q).astype(np.float64) @ np.abs(wide).T) * f
        bound += 101 * 2.0**-148 * f.max() * np.abs(q).max(axis=1, keepdims=True)
        of, error = (np.take_along_axis(v, indices, 1) for v in (exact, bound))
        assert np.all(
            of[:, 1:] <= of[:, :-1] + error[:, 1:] + error[:, :-1]
        )  # what float32 cannot hold is in order, too
        assert np.all(np.abs(scores - of) <= error + 2.0**-150)


def test_bfloat16_is_converted_exactly() -> None:
    bits = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    floats = (bits.astype(np.uint32) << 16).view(np.float32)
    known = np.isfinite(floats)
    for at in (0, 4, 19):  # among the first 16, and beyond
        rows = np.zeros((int(known.sum()), 20), np.uint16)
        rows[:, at] = bits[known]
        scores, indices = scan(rows, np.eye(20)[at], len(rows))
        assert np.array_equal(scores, floats[known][indices])
        assert np.array_equal(indices, top(floats[None, known], len(rows))[0])
    assert scan(np.array([[0xFF80], [0x7F80], [0x3F80], [0x7FC0]], np.uint16), [1.0], 4)[1].tolist() == [1, 2, 0, -1]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
def test_packed_sketches(dtype: str) -> None:
    rng = np.random.default_rng(6)
    packed = rs.pack(rng.standard_normal((300, 64)) * np.geomspace(1e-6, 1e6, 300)[:, None], dtype)
    q = rng.standard_normal((3, 64))
    scores, indices = scan(packed, q, 40)
    want = q.astype(np.float32).astype(np.float64) @ packed.unpack().astype(np.float64).T
    assert np.array_equal(indices, top(want, 40))
    assert np.allclose(scores, np.take_along_axis(want, indices, 1), rtol=1e-5)
    assert np.array_equal(scan(packed.values, q, 40, scale=packed.scale)[0], scores)
    assert scan(packed[:5], q[0], 5)[0].shape == (5,)


def test_bfloat16_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rows = np.random.default_rng(7).standard_normal((50, 30)).astype(ml_dtypes.bfloat16)
    got = scan(rows, np.ones(30), 9)
    want = scan(rows.view(np.uint16), np.ones(30), 9)
    assert np.array_equal(got[1], want[1])
    assert np.array_equal(scan(rows.astype(np.float32), np.ones(30), 9)[0], want[0])


@pytest.mark.parametrize("n", [5, 40, 1500])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_of_minus_infinity_come_last(n: int, dtype: type) -> None:
    """A score of -infinity is one: it stands before the -1 of NaN."""
    rows = np.full((n, 1), -np.inf, dtype)
    rows[n // 2], rows[n - 1] = 3, np.nan
    for threads in (1, 2):
        scores, indices = scan(rows, [1.0], n, threads=threads)
        assert indices.tolist() == [n // 2, *[i for i in range(n - 1) if i != n // 2], -1]
        assert scores[1:].tolist() == [-np.inf] * (n - 1)


def test_more_queries_than_are_scanned_at_a_time() -> None:
    rng = np.random.default_rng(8)
    rows, q = rng.integers(-128, 128, (30, 5)).astype(np.int8), rng.integers(-9, 10, (2500, 5))
    for kind in (np.int8, np.float32, np.float16):
        assert np.array_equal(scan(rows.astype(kind), q, 30)[1], top(q @ rows.astype(np.int64).T, 30))


def test_every_half_is_converted_exactly() -> None:
    bits = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    halves = bits.view(np.float16)
    finite = halves[np.isfinite(halves)]
    rows = np.zeros((finite.size, 5), np.float16)
    rows[:, 4] = finite
    scores, indices = scan(rows, [0, 0, 0, 0, 1.0], finite.size)
    assert np.array_equal(scores, finite.astype(np.float32)[indices])
    assert scan(np.array([[-np.inf], [np.inf], [1.0]], np.float16), [1.0], 3)[1].tolist() == [1, 2, 0]


def test_ties_go_to_the_smaller_index() -> None:
    rows = np.ones((5000, 4), np.float32)
    for threads in (1, 2, 3):
        assert scan(rows, np.ones((3, 4)), 7, threads=threads)[1].tolist() == [list(range(7))] * 3
    rows[4000] = 2
    assert scan(rows, np.ones(4), 3)[1].tolist() == [4000, 0, 1]


def test_nan_never_comes_up() -> None:
    rows = np.array([[1.0], [np.nan], [3.0], [np.inf]], np.float32)
    scores, indices = scan(rows, [1.0], 4)
    assert indices.tolist() == [3, 2, 0, -1]
    assert scores.tolist() == [np.inf, 3.0, 1.0, -np.inf]


def test_layouts_and_shapes() -> None:
    rng = np.random.default_rng(5)
    rows, q = rng.standard_normal((60, 20)).astype(np.float32), rng.standard_normal((3, 20))
    want = scan(rows, q, 4)
    frozen = rows.copy()
    frozen.flags.writeable = False
    for other in (frozen, np.asfortranarray(rows), rows.astype(">f4"), np.repeat(rows, 2, axis=0)[::2]):
        got = scan(other, q, 4)
        assert np.array_equal(got[0], want[0])
        assert np.array_equal(got[1], want[1])
    one = scan(rows, q[1], 4)
    assert one[0].shape == one[1].shape == (4,)
    assert np.array_equal(one[1], want[1][1])
    assert scan(rows, np.zeros((0, 20)), 4)[0].shape == (0, 4)
    assert np.array_equal(scan(rows, q, 4, scale=np.ones(60))[0], want[0])
    assert scan(rows, q, 60)[1].shape == (3, 60)
    assert (want[0].dtype, want[1].dtype) == (np.float32, np.int64)


PROGRAM = """
import json, hashlib, numpy as np, recsketch
h = []
rng = np.random.default_rng(1)
x = rng.standard_normal((700, 77)).astype(np.float32)
q = rng.standard_normal((29, 77))
for threads in (1, 2, 3):
    d = hashlib.sha256()
    bf16 = (x.view(np.uint32) >> 16).astype(np.uint16)
    for rows in (x, x.astype(np.float16), bf16, np.rint(20 * x).astype(np.int8)):
        for queries in (q[:13], q):
            for part in recsketch.scan(rows, queries, 20, scale=rng.uniform(1, 1 + 1e-9, 700), threads=threads):
                d.update(part.tobytes())
    h.append(d.hexdigest())
print(json.dumps([recsketch.isa(), *h]))
"""


def test_bits_over_threads_and_instruction_sets(isa_levels: list[str], run_python: Any) -> None:
    seen = set()
    for level in isa_levels:
        done = run_python(PROGRAM, RECSKETCH_ISA=level)
        assert done.returncode == 0, done.stderr
        name, *digests = json.loads(done.stdout.splitlines()[-1])
        assert name == level
        seen |= set(digests)
    assert len(seen) == 1


ROWS = np.ones((4, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: scan(ROWS, np.ones(3), 0), ValueError, "k: wanted an integer from 1 to 4; got 0"),
        (lambda: scan(ROWS, np.ones(3), 5), ValueError, "k: wanted an integer from 1 to 4; got 5"),
        (lambda: scan(ROWS, np.ones(3), 1.0), TypeError, "k: wanted"),
        (lambda: scan(ROWS, np.ones(4), 1), ValueError, "queries: wanted shape"),
        (lambda: scan(ROWS, np.ones((2, 2, 3)), 1), ValueError, "queries: wanted shape"),
        (lambda: scan(ROWS, [1, 2, np.nan], 1), ValueError, "queries: wanted finite"),
        (lambda: scan(ROWS, [1, 2, 1e39], 1), ValueError, "queries: wanted finite"),
        (lambda: scan(ROWS, np.ones(3, complex), 1), TypeError, "queries: wanted"),
        (lambda: scan(ROWS.astype(np.float64), np.ones(3), 1), TypeError, "rows: wanted"),
        (lambda: scan(ROWS.astype(np.uint8), np.ones(3), 1), TypeError, "rows: wanted"),
        (lambda: scan(ROWS.astype(np.int16), np.ones(3), 1), TypeError, "rows: wanted"),
        (lambda: scan(rs.pack(ROWS), np.ones(3), 1, scale=np.ones(4)), ValueError, "scale: wanted None"),
        (lambda: scan(rs.pack(ROWS)[0], np.ones(3), 1), ValueError, "rows: wanted"),
        (lambda: scan(np.ones(3, np.float32), np.ones(3), 1), ValueError, "rows: wanted"),
        (lambda: scan(np.ones((0, 3), np.float32), np.ones(3), 1), ValueError, "rows: wanted"),
        (lambda: scan(np.ones((3, 0), np.float32), np.ones(0), 1), ValueError, "rows: wanted"),
        (lambda: scan(ROWS, np.ones(3), 1, scale=np.ones(3)), ValueError, "scale: wanted"),
        (lambda: scan(ROWS, np.ones(3), 1, scale=[1, 1, 1, np.nan]), ValueError, "scale: wanted finite"),
        (lambda: scan(ROWS, np.ones(3), 1, threads=0), ValueError, "threads: wanted"),
    ],
)
def test_errors_say_what_was_wanted(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_the_binding_checks_sizes() -> None:
    with pytest.raises(ValueError, match="wanted queries"):
        rs._core.scan("float32", ROWS, None, np.ones((1, 4), np.float32), 1, 1)
