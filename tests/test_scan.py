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


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_exact(shape: tuple[int, int]) -> None:
    """Whole queries whose largest element is 32767 are not rounded: the score is the integer, rounded to float32."""
    rng = np.random.default_rng(shape[1])
    rows = rng.integers(-128, 128, shape).astype(np.int8)
    q = rng.integers(-32767, 32768, (9, shape[1]))
    q[:, 0] = 32767
    k = min(10, shape[0])
    scores, indices = scan(rows, q, k)
    exact = q @ rows.astype(np.int64).T
    want = exact.astype(np.float32)
    assert np.array_equal(indices, top(want, k))
    assert np.array_equal(scores, np.take_along_axis(want, indices, 1))


def test_bytes_at_their_largest() -> None:
    """Sums beyond 32 bits: 20,000 products of 2^7 and 2^15."""
    rows = np.full((3, 20000), -128, np.int8)
    rows[1] = 127
    scores, indices = scan(rows, np.full(20000, 32767.0), 3)
    assert indices.tolist() == [1, 0, 2]
    assert scores.tolist() == [np.float32(127 * 32767 * 20000), *[np.float32(-128 * 32767 * 20000)] * 2]


def test_bytes_of_any_query() -> None:
    rng = np.random.default_rng(3)
    rows, q = rng.integers(-127, 128, (500, 200)).astype(np.int8), rng.standard_normal((4, 200))
    scale = rng.uniform(0.5, 2.0, 500)
    scores, indices = scan(rows, q, 500, scale=scale)
    exact = (q @ rows.astype(np.float64).T) * scale
    bound = 2.0**-16 * np.abs(q).max(axis=1)[:, None] * np.abs(rows.astype(np.float64)).sum(axis=1) * scale
    error = np.abs(scores - np.take_along_axis(exact, indices, 1))
    assert np.all(error <= np.take_along_axis(bound, indices, 1) + 1e-5)
    assert scan(rows, np.zeros(200), 2)[1].tolist() == [0, 1]


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
q = rng.standard_normal((13, 77))
for threads in (1, 2, 3):
    d = hashlib.sha256()
    for rows in (x, x.astype(np.float16), np.rint(20 * x).astype(np.int8)):
        for part in recsketch.scan(rows, q, 20, scale=rng.uniform(1, 1 + 1e-9, 700), threads=threads):
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
        rs._core.scan(ROWS, None, np.ones((1, 4), np.float32), 1, 1)
