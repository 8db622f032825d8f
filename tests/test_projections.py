"""Projections, hashing and tensor sketches against the reference, and their laws."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import reference as ref
import scipy.sparse
import scipy.spatial.distance
from sklearn.random_projection import johnson_lindenstrauss_min_dim

import recsketch._core as _core
from recsketch.transforms import CountSketch, SparseProjection, StructuredProjection, TensorSketch, _hashing, fwht
from recsketch.transforms._random import johnson_lindenstrauss

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}
SHAPES = ((1, 1), (5, 3), (16, 16), (17, 40), (100, 64), (100, 128), (100, 300), (256, 1000))  # features, m


def rows(features: int, n: int = 21, dtype: Any = np.float64) -> Any:
    return np.random.default_rng(features).standard_normal((n, features)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_structured_against_the_reference(shape: tuple[int, int], dtype: type) -> None:
    """3 log2 d stages and a product round once each, relative to the whole vector, of which m of d numbers are kept
    and scaled by sqrt(d / m). The reference's products of matrices err by d units each."""
    features, m = shape
    x = rows(features, dtype=dtype)
    e = StructuredProjection(m, random_state=7)
    p = ref.projection_matrix(features, m, 7)
    d = ref.order_of(features)
    allowed = (math.sqrt(max(1, d / m)) * (3 * math.log2(d) + 2) * UNIT[dtype] + 3 * d * UNIT[np.float64]) * 1.01
    got = e.fit_transform(x)
    assert got.dtype == dtype
    assert (np.linalg.norm(got - x @ p.T, axis=1) <= allowed * np.linalg.norm(x, axis=1)).all()
    back = e.adjoint(got)
    blocks = -(-m // d)
    error = np.linalg.norm(back - got.astype(np.float64) @ p, axis=1)
    assert (error <= (allowed + blocks * UNIT[dtype]) * math.sqrt(max(1, d / m)) * np.linalg.norm(got, axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("s", [1, 2, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hashing_against_the_reference(shape: tuple[int, int], s: int, dtype: type) -> None:
    """A sum of k numbers errs by at most (k + 2) units of the sum of their magnitudes; the reference likewise."""
    features, m = shape
    x = rows(features, dtype=dtype)
    e: Any = CountSketch(m, random_state=9) if s == 1 else SparseProjection(m, n_nonzeros=s, random_state=9)
    p = ref.hashing_matrix(features, m, min(s, m), 9)
    got = e.fit_transform(x)
    k = np.count_nonzero(p, axis=1).max() + 2 + s  # of some columns several numbers may have met
    assert (np.abs(got - x @ p.T) <= 2 * k * UNIT[dtype] * (np.abs(x) @ np.abs(p).T) + 1e-300).all()
    back = e.adjoint(got)
    assert (np.abs(back - got @ p) <= 2 * (s + 2) * UNIT[dtype] * (np.abs(got) @ np.abs(p)) + 1e-300).all()
    if s > 1 and m >= s:
        assert (np.count_nonzero(p, axis=0) == min(s, m)).all()
    assert np.allclose((p**2).sum(axis=0), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_answers_begin_on_a_cache_line(dtype: type) -> None:
    """Large ones whose rows are whole lines, ours to allocate, so that transforms need no aligned copy; all whole and
    writable like others."""
    for n in (1, 5, 65, 300):
        x = rows(100, n, dtype)
        projected, tensor = (make(80).fit_transform(x) for make in (StructuredProjection, TensorSketch))
        for out in (projected, tensor, fwht(rows(64, n, dtype))):
            assert out.ctypes.data % 64 == 0 or n < 65
            assert out.flags.c_contiguous
            assert out.flags.writeable
            assert (out.dtype, len(out)) == (dtype, n)


def test_isometry_and_orthogonal_rows() -> None:
    for features, m in ((64, 64), (64, 192), (50, 64)):
        e = StructuredProjection(m).fit(rows(features))
        x = rows(features)
        y = e.transform(x)
        assert np.allclose(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1), rtol=1e-14)
        assert np.allclose(e.inverse_transform(y), x, atol=1e-13)
    for m in (10, 64, 100):
        p = StructuredProjection(m).fit(rows(64)).aslinearoperator() @ np.eye(64)
        for block in (p[:64], p[64:]):
            assert np.allclose(block @ block.T, 64 / m * np.eye(len(block)), atol=1e-13)


INVERTED = (
    *SHAPES,
    (100, 100),
    (70, 65),
    (70, 64),
    (128, 100),
    (300, 400),
    (600, 256),
    (600, 590),
    (700, 700),
    (2, 5000),
)
INVERTED = tuple((*shape, small) for shape in INVERTED for small in (0, 1 << 16) if small or max(shape) >= 64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", INVERTED, ids=str)
def test_the_inverse_is_the_pseudo_inverse(
    shape: tuple[int, int, int], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy's of the matrix, which errs by cond(P) eps itself. Conjugate gradients end where the gradient P^T r is
    1e-15 of the first one, or at its rounding error, some eps cond(P): of x that is cond(P) more. 10 is for the 3 log2
    d roundings of a product and their sum over iterations, of which few matter. The answer is rounded to its type
    once."""
    features, m, small = shape
    monkeypatch.setattr("recsketch.transforms._structured.SMALL", small)  # both ways
    e = StructuredProjection(m, random_state=7).fit(rows(features))
    p = ref.projection_matrix(features, m, 7)
    y = rows(m, 3, dtype)
    got = e.inverse_transform(y)
    assert got.dtype == dtype
    want = y @ np.linalg.pinv(p).T
    size = np.linalg.norm(y, axis=1, keepdims=True) * np.linalg.norm(np.linalg.pinv(p), 2)
    condition = np.linalg.cond(p) if p.any() else 1.0  # one row and column, 0
    rounding = 10 * (3 * math.log2(ref.order_of(features)) + condition) * UNIT[np.float64] + 40 * UNIT[dtype]
    assert np.linalg.norm(got - want, axis=1, keepdims=True).max() <= (rounding * size).max()
    x = rows(features, 3)
    if m >= features and p.any():
        back = e.inverse_transform(e.transform(x))
        assert np.linalg.norm(back - x) <= 10 * condition * rounding * np.linalg.norm(x)
    elif p.any():
        again = e.transform(e.inverse_transform(y.astype(np.float64)))
        assert np.linalg.norm(again - y) <= 10 * condition * rounding * np.linalg.norm(y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverses_of_large_and_small_numbers(dtype: type) -> None:
    """In every way it is computed. A power of two changes no other bit, unless it makes sums overflow that had to be
    computed again, where what is too small to matter may be lost: half a unit of the largest number."""
    info = np.finfo(dtype)
    for features, m in ((64, 128), (64, 40), (50, 40), (50, 60), (50, 100)):
        e = StructuredProjection(m, random_state=3).fit(rows(features))
        y = rows(m, 3, dtype)
        want = e.inverse_transform(y)
        for exponent in (info.maxexp - 8, 40, -40, info.minexp + 60):
            got = np.ldexp(e.inverse_transform(np.ldexp(y, exponent)), -exponent)
            assert np.abs(got - want).max() <= UNIT[dtype] * np.abs(want).max()
        y[1] = np.sign(e.components_[:, 5]) * info.max  # element 5 of the adjoint is max times the sum of P's sizes
        with pytest.raises(ValueError, match=r"can hold; got larger ones in row 1"):
            e.inverse_transform(y)
        y[1, 3] = np.nan
        with pytest.raises(ValueError, match="wanted finite numbers; Input X contains NaN: column 3, row 1"):
            e.inverse_transform(y)
        with pytest.raises(ValueError, match=f"wanted {m} columns"):
            e.inverse_transform(y[:, 1:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_of_a_structured_projection(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bits of dense ones, also where they are made dense a few at a time."""
    x = scipy.sparse.random(57, 300, 0.05, random_state=np.random.default_rng(0), dtype=dtype).tocsr()
    for m in (65, 700):
        e = StructuredProjection(m).fit(x)
        want = e.transform(x.toarray())
        assert want.dtype == dtype
        for most in (1, 5 * 700, 1 << 20):
            monkeypatch.setattr("recsketch.transforms._rows.MOST_OF_SPARSE", most)
            assert np.array_equal(e.transform(x), want)
            assert np.array_equal(e.transform(x.tocsc()), want)


def test_many_blocks_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 numbers of 10 features, 6,250 blocks of 16: by one call of C, and those of few blocks are the first
    ones."""
    calls = []
    draw = _core.stream_parts
    monkeypatch.setattr(_core, "stream_parts", lambda *args: calls.append(args) or draw(*args))
    x = rows(10, 2)
    e = StructuredProjection(100_000).fit(x)
    assert len(calls) == 1
    few = StructuredProjection(40).fit(x)
    assert np.array_equal(few._signs, e._signs[: len(few._signs)])
    assert np.allclose(e.transform(x)[:, :40] * math.sqrt(100_000 / 40), few.transform(x), rtol=1e-14)


LINEAR: tuple[Any, ...] = (
    CountSketch,
    SparseProjection,
    partial(SparseProjection, n_nonzeros=16),
    StructuredProjection,
)


@pytest.mark.parametrize("make", LINEAR)
def test_components_are_the_matrix(make: Any) -> None:
    """Of a structured projection 3 log2 d additions round each number of P; |P| <= sqrt(d / m) <= 32 here."""
    for features, m in SHAPES:
        e = make(m, random_state=5)
        assert not hasattr(e, "components_")  # NotFittedError is an AttributeError
        p = e.fit(rows(features)).components_
        assert p.shape == (m, features)
        assert p.dtype == np.float64
        if make is StructuredProjection:
            assert isinstance(p, np.ndarray)
            assert p.flags.c_contiguous
            assert np.abs(p - ref.projection_matrix(features, m, 5)).max() <= 2 * 30 * UNIT[np.float64] * 32
            continue
        assert p.format == "csc"
        assert p.has_canonical_format
        assert np.array_equal(p.toarray(), ref.hashing_matrix(features, m, e._entries.shape[1], 5))


def turning(e: Any, dtype: type) -> Any:
    """Rows whose sums leave the type's range and come back: three numbers that meet, the last of which cancels one of
    the others; of a structured projection, whose transforms add without scaling, any large row into many numbers."""
    most = 0.9 * float(np.finfo(dtype).max)
    if isinstance(e, StructuredProjection):
        x = np.sign(np.random.default_rng(3).standard_normal((1, e.n_features_in_))) * most
    else:
        p = e.components_.toarray()
        meet = p[np.argmax(np.count_nonzero(p, axis=1))]
        at = np.flatnonzero(meet)[:3]
        x = np.zeros((1, e.n_features_in_))
        x[0, at] = np.sign(meet[at]) * [most, most, -most]
    return np.concatenate([x * 1e-6, x, x * 1e-9]).astype(dtype)


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_that_overflow_on_the_way(make: Any, dtype: type) -> None:
    """The answer is that of rows 2^-40 times the size, to the bit: no number on the way is subnormal."""
    for features, m in ((40, 400), (16, 64)) if make is StructuredProjection else ((300, 16), (64, 20)):
        e = make(m, random_state=2).fit(rows(features))
        x = turning(e, dtype)
        want = np.ldexp(e.transform(np.ldexp(x, -40)), 40)
        assert np.isfinite(want).all()
        assert np.array_equal(e.transform(x), want)
        assert np.array_equal(e.fit_transform(x), want)
        assert np.array_equal(e.aslinearoperator(dtype) @ x.T, want.T)
        x[2] = np.finfo(dtype).smallest_subnormal  # a row does not depend on the others, whatever they need
        want[2] = e.transform(x[2:])
        assert want[2].any()
        assert np.array_equal(e.transform(x), want)
        for i in range(3):
            assert np.array_equal(e.transform(x[i : i + 1]), want[i : i + 1])
        if e.takes_sparse:
            assert np.array_equal(e.transform(scipy.sparse.csr_array(x)), want)


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_the_adjoint_that_overflow_on_the_way(make: Any, dtype: type) -> None:
    """s numbers of 0.9 / sqrt(s) of the largest float add up to sqrt(s) times that, and 1/sqrt(s) brings it back."""
    e = make(64, random_state=2).fit(rows(400))
    p = np.asarray(e.components_ if make is StructuredProjection else e.components_.toarray())
    y = np.sign(p[:, 5]) / np.abs(p).sum(axis=0).max() * 0.9 * float(np.finfo(dtype).max)
    y = np.stack([y, y * 1e-6]).astype(dtype)
    want = np.ldexp(e.adjoint(np.ldexp(y, -40)), 40)
    assert np.isfinite(want).all()
    assert np.array_equal(e.adjoint(y), want)
    assert np.array_equal(e.aslinearoperator(dtype).T @ y[0], want[0])


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_answers_that_do_overflow_are_refused(make: Any, dtype: type) -> None:
    """All signs as in a row, or a column, of P: |P|_1 of it times the largest float. Other numbers of the answer can be
    held, and other rows."""
    e = make(16, random_state=2).fit(rows(50))
    p = np.asarray(e.components_ if make is StructuredProjection else e.components_.toarray())
    wanted = f"wanted numbers whose sketch {np.dtype(dtype)} can hold; got larger ones in row 1"
    for q, product, operator in (
        (p, e.transform, e.aslinearoperator(dtype)),
        (p.T, e.adjoint, e.aslinearoperator(dtype).T),
    ):
        signs = np.sign(q[np.argmax(np.abs(q).sum(axis=1))])
        if np.abs(q).sum(axis=1).max() <= 1:
            continue  # the adjoint of a CountSketch only copies numbers
        x = np.stack([signs, signs * float(np.finfo(dtype).max)]).astype(dtype)
        with pytest.raises(ValueError, match=wanted):
            product(x)
        with pytest.raises(ValueError, match="wanted numbers whose sketch"):
            operator @ x[1]
        with pytest.raises(ValueError, match="wanted finite numbers; Input X contains NaN: column 7, row 0"):
            operator @ np.where(np.arange(len(signs)) == 7, np.nan, signs)


def test_numbers_that_no_column_meets_are_looked_at() -> None:
    """One feature in one of 64 numbers: the other 63 are part of no answer of the adjoint."""
    e = CountSketch(64).fit(np.ones((2, 1)))
    unused = np.flatnonzero(e.transform([[1.0]])[0] == 0)
    assert unused.size == 63
    for value, what in ((math.nan, "NaN"), (math.inf, "infinity")):
        y = np.zeros((2, 64))
        y[1, unused[5]] = value
        for call in (e.adjoint, e.inverse_transform):
            with pytest.raises(ValueError, match=f"Input Y contains {what}.*: column {unused[5]}, row 1"):
                call(y)
    with pytest.raises(ValueError, match="wanted 64 columns, as many as transform makes; got 63"):
        e.adjoint(np.zeros((2, 63)))


def test_operators_refuse_what_is_not_real() -> None:
    e = SparseProjection(16).fit(rows(30))
    with pytest.raises(TypeError, match="x: wanted real numbers"):
        _ = e.aslinearoperator() @ np.ones(30, complex)
    for bad in (np.int32, np.complex128, np.float16):
        with pytest.raises(TypeError, match="dtype: wanted float32 or float64"):
            e.aslinearoperator(bad)


@pytest.mark.parametrize("make", [CountSketch, SparseProjection])
def test_the_inverse_of_a_hashed_row_is_right_on_average(make: Any) -> None:
    """Over 400 seeds the mean of an estimate is off by N(0, |x|^2 / (400 m)): 6 deviations for 20 numbers fail with a
    probability of 20 * 2e-9; the seeds are fixed. Each alone is off by about |x| / sqrt(m)."""
    x = rows(20)[:1]
    each = math.sqrt((x**2).sum() / 64)
    found = np.concatenate([(e := make(64, random_state=s)).inverse_transform(e.fit_transform(x)) for s in range(400)])
    assert np.abs(found.mean(axis=0) - x).max() <= 6 * each / math.sqrt(400)
    assert 0.5 * each <= (found - x).std() <= 1.5 * each


def test_automatic_numbers_of_components() -> None:
    """The number is scikit-learn's. A squared distance has the spread of chi-squared with m degrees, m = 187 for 50
    rows and eps = 0.5; it leaves 1 ± 0.5 with a probability of 1.2e-5 (if P were Gaussian), one of 1225 pairs with
    1.5%; the seed is fixed."""
    for n in (2, 3, 10, 1000, 10**6):
        for eps in (0.01, 0.1, 0.25, 0.5, 0.99):
            assert johnson_lindenstrauss(n, eps) == johnson_lindenstrauss_min_dim(n, eps=eps)
    x = rows(1000, 50)
    distance = scipy.spatial.distance.pdist(x, "sqeuclidean")
    for make in (CountSketch, SparseProjection, StructuredProjection):
        e = make("auto", eps=0.5).fit(x)
        assert e.n_components_ == johnson_lindenstrauss_min_dim(50, eps=0.5)
        assert e.n_components == "auto"
        assert e.transform(x).shape == (50, e.n_components_)
        assert np.array_equal(make(e.n_components_).fit_transform(x), e.transform(x))
        ratio = scipy.spatial.distance.pdist(e.transform(x), "sqeuclidean") / distance
        assert np.abs(ratio - 1).max() <= 0.5
        assert make("auto", eps=0.5).fit(rows(1000, 5)).n_components_ < e.n_components_  # by the rows of the latest fit
        with pytest.raises(
            ValueError, match=r"wanted 'auto' to give 1 to 30 .* X has features; got 187 for eps=0.5 and"
        ):
            make("auto", eps=0.5).fit(x[:, :30])
        with pytest.raises(ValueError, match=r"got 0 for eps=0\.5 and 1 samples"):
            make("auto", eps=0.5).fit(x[:1])
        with pytest.raises(ValueError, match="n_components: wanted 'auto'; got 'all'"):
            make("all").fit(x)
        for eps in (0, 1, -0.1, math.nan):
            with pytest.raises(ValueError, match="eps: wanted a number above 0 and below 1"):
                make(8, eps=eps).fit(x)
        with pytest.raises(TypeError, match="eps: wanted"):
            make(8, eps=None).fit(x)
    with pytest.raises(TypeError, match="n_components: wanted an integer"):
        TensorSketch("auto").fit(x)  # type: ignore[arg-type]  # no linear map


@pytest.mark.parametrize("make", [StructuredProjection, SparseProjection, CountSketch])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adjoint_identity_linearity_and_operator(make: Any, dtype: type) -> None:
    for features, m in SHAPES:
        e = make(m, random_state=1).fit(rows(features))
        a = e.aslinearoperator(dtype)
        rng = np.random.default_rng(m)
        x, y, z = (rng.standard_normal(k).astype(dtype) for k in (features, m, features))
        bound = 60 * UNIT[dtype] * max(features, m)
        left, right = float((a @ x) @ y), float(x @ (a.T @ y))
        assert abs(left - right) <= bound * np.linalg.norm(x) * np.linalg.norm(y) * math.sqrt(max(1, 1024 / m))
        assert np.linalg.norm(a @ (x + z) - a @ x - a @ z) <= bound * (np.linalg.norm(x) + np.linalg.norm(z)) * 32
        assert np.array_equal(a @ np.stack([x, z], axis=1), e.transform(np.stack([x, z])).T)
        assert a.shape == (m, features)


@pytest.mark.parametrize("make", [StructuredProjection, SparseProjection, CountSketch])
def test_lengths_are_kept_on_average(make: Any) -> None:
    """Mean of |P x|^2 over 300 seeds, worst cases included: one number alone, two numbers, all equal. Variance at most
    3 / m each: two numbers half of d apart are the worst for a structured projection to half of d, as their second
    transform w repeats itself up to signs, and the third one's half has the variance 4 sum w_k^4 = 3 / m. 6 deviations
    are 6 sqrt(3 / m / 300) = 0.075 for m = 64; failure probability below 1e-8; seeds fixed. Those of the variance are 6
    sqrt(2 / 300) = 0.5 of it."""
    x = np.zeros((4, 128))
    x[0, 5], x[1, [3, 67]], x[2], x[3] = 1, math.sqrt(0.5), 128**-0.5, rows(128)[0] / np.linalg.norm(rows(128)[0])
    found = [np.linalg.norm(make(64, random_state=s).fit_transform(x), axis=1) ** 2 for s in range(300)]
    assert np.abs(np.mean(found, axis=0) - 1).max() <= 0.075
    assert np.var(found, axis=0).max() <= 3.0 * 1.5 / 64


PROGRAM = """
import hashlib, json, recsketch, numpy as np
from recsketch.transforms import CountSketch, SparseProjection, StructuredProjection, TensorSketch, fwht
out = {}
for threads in (1, 2, 3):
    for make in (StructuredProjection, SparseProjection, CountSketch, TensorSketch):
        for n, features, m in ((1, 20, 7), (3, 100, 300), (83, 1000, 513), (37, 5000, 4096)):
            for dtype in (np.float32, np.float64):
                x = np.ldexp(np.random.default_rng(n).integers(-(2**20), 2**20, (n, features)).astype(dtype), -20)
                e = make(m, threads=threads).fit(x)
                y = np.ascontiguousarray(e.transform(x)).astype(np.dtype(dtype).newbyteorder("<"))
                key = f"{make.__name__} {n} {features} {m} {np.dtype(dtype).name}"
                digest = hashlib.sha256(y.tobytes()).hexdigest()
                assert out.setdefault(key, digest) == digest, (key, threads)
                parts = np.concatenate([e.transform(x[i : i + 5]) for i in range(0, n, 5)])
                assert np.array_equal(parts, y), key
print(json.dumps([recsketch.isa(), out]))
"""


def test_bits_over_threads_batches_and_instruction_sets(isa_levels: list[str], run_python: Any) -> None:
    answers = []
    for level in isa_levels:
        done = run_python(PROGRAM, RECSKETCH_ISA=level)
        assert done.returncode == 0, done.stderr
        isa, out = json.loads(done.stdout.splitlines()[-1])
        assert isa == level
        answers.append(out)
    assert len(answers[0]) == 32
    assert all(a == answers[0] for a in answers)


@pytest.mark.parametrize("make", [CountSketch, SparseProjection])
def test_hashing_in_slices(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is served between two calls of C: none adds more than AT_ONCE numbers but for one row, and slices have the
    bits of the whole."""
    x = rows(40, 33)
    x[4:9] = 0
    e = make(16).fit(x)
    y = e.transform(x)
    back, calls = e.adjoint(y), []

    def counted(product: Any) -> Any:
        def call(rows_or_ends: Any, *others: Any) -> Any:
            calls.append(len(rows_or_ends))
            return product(rows_or_ends, *others)

        return call

    for name in ("hash_rows", "hash_csr"):
        monkeypatch.setattr(_hashing._core, name, counted(getattr(_hashing._core, name)))
    for most in (1, 800, 3000, 10**6):
        monkeypatch.setattr(_hashing, "AT_ONCE", most)
        for given in (x, scipy.sparse.csr_array(x), scipy.sparse.csr_array(x * 0)):
            calls.clear()
            assert np.array_equal(e.transform(given), y if given.sum() else 0 * y)
            if given is x:
                each = 40 * e._entries.shape[1] + 16
                assert max(calls) == min(33, max(1, most // each))
                assert sum(calls) == 33
        calls.clear()
        assert np.array_equal(e.adjoint(y), back)
        assert max(calls) == min(33, max(1, most // each))


def test_matrices_depend_on_the_seed_alone() -> None:
    """A larger m adds rows; the type of the data changes nothing; other seeds, other matrices."""
    x = rows(40)
    few, many = StructuredProjection(10, random_state=4).fit(x), StructuredProjection(150, random_state=4).fit(x)
    assert np.allclose(few.transform(x) * math.sqrt(10), many.transform(x)[:, :10] * math.sqrt(150), atol=1e-13)
    for make in (StructuredProjection, SparseProjection, CountSketch, TensorSketch):
        found = [make(32, random_state=s).fit_transform(x) for s in (0, 1, 2**64 - 1, 0)]
        assert np.array_equal(found[0], found[3])
        assert not np.allclose(found[0], found[1])
        assert not np.allclose(found[0], found[2])
        for generator in (np.random.RandomState, np.random.default_rng):
            drawn = [make(32, random_state=generator(s)).fit_transform(x) for s in (5, 5, 6)]
            assert np.array_equal(drawn[0], drawn[1])
            assert not np.allclose(drawn[0], drawn[2])
        assert make(32, random_state=None).fit(x).seed_ != make(32, random_state=None).fit(x).seed_
