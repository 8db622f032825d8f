"""Sketches of tensor powers against the reference, their laws, and the variance of the kernels they stand for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference as ref
import scipy.sparse

from recsketch.transforms import TensorSketch

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}
COSINES = (0.0, 0.5, 0.99, 1.0)
DEGREES = range(2, 9)


def rows(features: int, n: int = 21, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(features).standard_normal((n, features)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "case",
    [
        (1, 5, 1),
        (5, 7, 2),
        (16, 256, 2),
        (16, 300, 2),
        (20, 40, 2),
        (40, 150, 3),
        (3, 64, 4),
        (9, 33, 8),
        (3, 1, 3),
        (3, 2, 3),
    ],
)
def test_against_the_reference(case: tuple[int, int, int], dtype: type) -> None:
    """Every factor errs by (log2 a' + 1) units of sqrt(a') |x|, and its product by sqrt(5) units at most; the size of a
    factor, of whose two coordinates none exceeds sqrt(a') |x|, is at most that after the division by sqrt(2), and that
    of a complex number sqrt(2 / m) times the product."""
    features, m, p = case
    x = rows(features, dtype=dtype)
    got = TensorSketch(m, degree=p, random_state=3).fit_transform(x)
    a = ref.order_of(features)
    norm = np.linalg.norm(x, axis=1, keepdims=True) * math.sqrt(a)
    allowed = 1.01 * math.sqrt(2) * p * (math.log2(a) + 4) * UNIT[dtype] * norm**p / math.sqrt(m if m < a**p else a**p)
    assert (np.abs(got - ref.tensor_features(x, m, p, 3)) <= allowed).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "case", [(5, 7, 2), (16, 40, 1), (20, 40, 2), (100, 333, 3), (300, 600, 2), (9, 17, 3), (9, 65, 5)]
)
def test_a_row_does_not_depend_on_the_others(case: tuple[int, int, int], dtype: type) -> None:
    """Many rows go another way than one; the bits are the same, zeros and their signs too."""
    features, m, p = case
    x = rows(features, 37, dtype)
    x[3] = 0
    e = TensorSketch(m, degree=p).fit(x)
    alone = np.concatenate([e.transform(row[None]) for row in x])
    for n in range(1, len(x) + 1):
        assert e.transform(x[:n]).tobytes() == alone[:n].tobytes()


@pytest.mark.parametrize("method", ["hadamard", "fft"])
@pytest.mark.parametrize("case", [(5, 40, 1), (5, 300, 2), (20, 50, 2), (4, 33, 3), (3, 64, 4), (2, 1, 2)])
def test_a_tensor_sketch_is_linear_in_the_tensor(case: tuple[int, int, int], method: str) -> None:
    n, m, p = case
    e = TensorSketch(m, degree=p, gamma=0.5, method=method).fit(rows(n))
    x = rows(n)[0]
    power = x
    for _ in range(p - 1):
        power = np.kron(power, x)
    z = e.aslinearoperator()
    assert z.shape == (m, n**p)
    assert np.allclose(z @ power, e.transform(x[None])[0], atol=1e-12 * np.linalg.norm(x) ** p)
    rng = np.random.default_rng(0)
    v, y = rng.standard_normal(n**p), rng.standard_normal(m)
    assert abs((z @ v) @ y - v @ (z.T @ y)) <= 1e-12 * np.linalg.norm(v) * np.linalg.norm(y)
    with pytest.raises(ValueError, match="aslinearoperator: wanted coef0"):
        TensorSketch(m, coef0=1.0).fit(rows(n)).aslinearoperator()
    with pytest.raises(ValueError, match="at most 2"):
        TensorSketch(m, degree=9).fit(rows(n)).aslinearoperator()


def test_exact_kernels() -> None:
    """Where the Kronecker product fits, the kernel is the polynomial one, up to rounding."""
    for features, m, p, coef0 in ((16, 256, 2, 0.0), (10, 300, 2, 0.0), (15, 256, 2, 1.5), (4, 4096, 3, 0.5)):
        x = rows(features) / 4
        e = TensorSketch(m, degree=p, coef0=coef0, gamma=0.7).fit(x)
        assert e.exact_
        z = e.transform(x)
        assert np.allclose(z @ z.T, (0.7 * x @ x.T + coef0) ** p, rtol=1e-12, atol=1e-13)
    assert not TensorSketch(255, degree=2).fit(rows(16)).exact_


@pytest.mark.parametrize("method", ["hadamard", "fft"])
def test_kernels_are_right_on_average(method: str) -> None:
    """Means over 400 seeds: their deviation from the kernel, over the deviation that its own spread leads one to
    expect, is below 6 for 3 pairs: failure probability about 3 * 2e-9 if nearly normal; the seeds are fixed."""
    x = rows(30, 3) / 5
    found = np.stack(
        [
            z @ z.T
            for z in (TensorSketch(64, degree=2, method=method, random_state=s).fit_transform(x) for s in range(400))
        ]
    )
    want = (x @ x.T) ** 2
    assert (np.abs(found.mean(axis=0) - want) <= 6 * found.std(axis=0) / math.sqrt(400)).all()
    assert found.std(axis=0).max() < want.max()


def at_angles(features: int) -> Any:
    """A unit vector, and unit vectors that have COSINES with it; elements of equal size but for signs, or mixtures."""
    x = np.full(features, features**-0.5)
    z = x * (1 - 2 * (np.arange(features) % 2))
    return np.stack([x, *(c * x + math.sqrt(1 - c * c) * z for c in COSINES)])


def pair_moments(x: Any, y: Any) -> Any:
    """E w^k conj(w)^l of one factor for k + l <= 4, over all signs and all pairs of coordinates; at most four features,
    so that coordinates differ in their two lowest bits only."""
    a, n = 16, len(x)
    h = ref.hadamard(a)[:, :n]
    moment = np.zeros((5, 5), complex)
    for d in range(1 << n):
        sign = 1.0 - 2.0 * (d >> np.arange(n) & 1)
        g, f = h @ (sign * x), h @ (sign * y)
        w = (g[:, None] + 1j * g) * (f[:, None] - 1j * f) / 2
        w = w[~np.eye(a, dtype=bool)]
        moment += [[np.mean(w**k * w.conj() ** j) if k + j <= 4 else 0 for j in range(5)] for k in range(5)]
    return moment / (1 << n)


def deviation_of_variance(x: Any, y: Any, m: int, p: int, variance: float, seeds: int) -> float:
    """Of the mean square of so many kernels' errors: from their fourth moment, which is that of m / 2 independent
    products' mean. Re P for P a product of p factors has E (Re P)^k = 2^-k sum_l C(k, l) Re E w^l conj(w)^(k - l), E's
    p-th power."""
    w, rho = pair_moments(x, y), float(x @ y) ** p
    power = [sum(math.comb(k, j) * (w[j, k - j] ** p).real for j in range(k + 1)) / 2**k for k in range(5)]
    central = [sum(math.comb(k, j) * power[j] * (-rho) ** (k - j) for j in range(k + 1)) for k in range(5)]
    excess = (central[4] - 3 * central[2] ** 2) / (m / 2) ** 3
    return math.sqrt((2 * variance**2 + max(excess, 0.0)) / seeds)


def fft_variance(x: Any, y: Any, m: int, p: int) -> float:
    """Pairs of indices meet in one number of m with probability 1/m: those of one factor that differ are either both
    the same in x and y (1 - s), or crossed (rho^2 - s). If some factors are of one kind and some of the other, both h =
    h' and h = -h' must hold, which has the probability 1/m^2, or 2/m^2 as 2 h = 0 has two solutions if m is even."""
    square, s = float(x @ y) ** 2, float(np.sum(x * x * y * y))
    same, crossed = (1 + square - s) ** p, (2 * square - s) ** p
    both = (1 + 2 * square - 2 * s) ** p - same - crossed + square**p
    return (same + crossed - 2 * square**p) / m + both * (2 - m % 2) / m**2


@pytest.mark.parametrize("p", DEGREES)
def test_the_variance_is_that_of_theory(p: int) -> None:
    """Mean and mean square of the kernel's errors over 800 seeds, for all cosines, within 6 deviations of the theory's:
    if nearly normal, which they are but for a longer tail to the right, with a failure probability of 8 * 2e-9 a
    degree. The seeds are fixed."""
    m, seeds = 255, 800  # 15 runs of 16, and one that is short of a number
    v = at_angles(4)
    z = [TensorSketch(m, degree=p, random_state=s).fit_transform(v) for s in range(seeds)]
    kernel = np.array([r[1:] @ r[0] for r in z])
    for j, cosine in enumerate(COSINES):
        want = ref.tensor_variance(v[0], v[1 + j], m, p)
        error = kernel[:, j] - cosine**p
        assert abs(error.mean()) <= 6 * math.sqrt(want / seeds)
        spread = deviation_of_variance(v[0], v[1 + j], m, p, want, seeds)
        assert abs(np.mean(error**2) - want) <= 6 * spread, (cosine, np.mean(error**2) / want, spread / want)


@pytest.mark.parametrize("method", ["hadamard", "fft"])
def test_the_variance_of_other_vectors(method: str) -> None:
    """50 features of any size, runs of 64: mean squares over 800 seeds within 6 of the deviations that their own fourth
    moments lead one to expect; 12 of them, failure probability about 12 * 2e-9 if nearly normal; the seeds are
    fixed."""
    x = rows(50, 2)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[1] = (x[0] + 0.5 * x[1]) / np.linalg.norm(x[0] + 0.5 * x[1])
    for p in (1, 2, 3):
        for m in (48, 77):
            z = [TensorSketch(m, degree=p, method=method, random_state=s).fit_transform(x) for s in range(800)]
            error = np.array([r[1] @ r[0] for r in z]) - float(x[0] @ x[1]) ** p
            if method == "hadamard" and m >= ref.order_of(50) ** p:
                assert np.abs(error).max() <= 1e-13  # exact
                continue
            want = ref.tensor_variance(x[0], x[1], m, p) if method == "hadamard" else fft_variance(x[0], x[1], m, p)
            assert abs(np.mean(error**2) - want) <= 6 * np.std(error**2) / math.sqrt(800), (p, m)


def test_the_variance_is_no_larger_than_that_of_fft() -> None:
    """For whole runs it is at most 2 (2^p - 1 - p) / m where x = y, against 2 (2^p - 1) / m. Runs gain nothing for
    orthogonal vectors: there the two coordinates of a pair, which come of one transform, cost a share s / ((1 - s) a')
    a factor."""
    for features in (4, 16, 30, 200, 1000):
        v, a = at_angles(features), ref.order_of(features)
        s = float(np.sum(v[0] ** 2 * v[1] ** 2))
        for p, m in ((p, m) for p in DEGREES for m in (64, 251, 1000) if m < a**p):
            found = [ref.tensor_variance(v[0], v[1 + j], m, p) for j in range(4)]
            peer = [fft_variance(v[0], v[1 + j], m, p) for j in range(4)]
            assert all(f <= 1.0001 * g for f, g in zip(found[1:], peer[1:], strict=True)), (features, p, m)
            assert m % a or found[3] <= 2 * (2**p - 1 - p) / m
            leading = ((1 - s) ** p + (-s) ** p) / m
            assert found[0] <= leading * (1 + s / ((1 - s) * (a - 1))) ** p * (1 + 1 / (a - 2))


@pytest.mark.parametrize("method", ["hadamard", "fft"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_that_overflow_on_the_way(method: str, dtype: type) -> None:
    """Rows of which some sum exceeds the largest number, and no number of the answer does, have the bits of smaller
    ones, times a power of two; other rows have the bits that they have alone."""
    most = np.finfo(dtype).maxexp
    x = np.sign(rows(64, 5, dtype))
    x[2, ::2] = x[2, 1::2]  # many sums of 64 equal ones
    for p, gamma, exponent in ((1, 1.0, most - 4), (2, 2.0**-98, most // 2 + 44)):
        for m in (255, 4000):
            e = TensorSketch(m, degree=p, gamma=gamma, method=method, random_state=1).fit(x)
            one = 49 if p == 2 else 0  # the power of two whose answer is about one
            large, alone, small = x.copy(), e.transform(x), e.transform(np.ldexp(x, one))
            large[2] = np.ldexp(x[2], exponent)
            got = e.transform(large)
            assert np.array_equal(got[[0, 1, 3, 4]], alone[[0, 1, 3, 4]])
            assert np.array_equal(got[2], np.ldexp(small[2], p * (exponent - one)))


@pytest.mark.parametrize("method", ["hadamard", "fft"])
def test_sketches_that_cannot_be_held_are_refused(method: str) -> None:
    x = rows(20, 3, np.float32)
    for p, size in ((2, 1e21), (5, 1e9), (1, 2e38)):
        large = x.copy()
        large[1] *= np.float32(size) / np.abs(x[1]).max()
        e = TensorSketch(40, degree=p, method=method).fit(x)
        if p == 1:
            assert np.isfinite(e.transform(large)).all()
            continue
        with pytest.raises(ValueError, match="wanted numbers whose sketch float32 can hold; got larger ones in row 1"):
            e.transform(large)
        assert np.isfinite(e.transform(large.astype(np.float64))).all()
        for bad in (np.nan, np.inf):
            large[1, 7] = bad
            with pytest.raises(ValueError, match=r"wanted finite numbers.*column 7, row 1"):
                e.transform(large)


@pytest.mark.parametrize("method", ["hadamard", "fft"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_have_the_bits_of_dense_ones(method: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are made dense a few at a time."""
    x = scipy.sparse.random(57, 300, 0.05, random_state=np.random.default_rng(0), dtype=dtype).tocsr()
    for params in ({}, {"gamma": 0.3, "coef0": 2.0, "degree": 3}):
        e = TensorSketch(65, method=method, **params).fit(x)
        want = e.transform(x.toarray())
        assert want.dtype == dtype
        for most in (1, 5 * e._degree * 365, 1 << 20):
            monkeypatch.setattr("recsketch.transforms._rows.MOST_OF_SPARSE", most)
            assert np.array_equal(e.transform(x), want)
            assert np.array_equal(e.transform(x.tocoo()), want)
