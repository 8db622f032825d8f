"""SciPy's sparse arrays as the estimators' input: every format, and arrays whose parts contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from recsketch.transforms import CountSketch, SparseProjection

FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
KINDS: tuple[Callable[[], Any], ...] = (lambda: CountSketch(8), lambda: SparseProjection(16, n_nonzeros=4))


def sample(dtype: Any = np.float32) -> Any:
    """6 rows of 20 numbers, small integers so that sums are exact in any order; row 2 and the last column are empty."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (6, 20)) * (rng.random((6, 20)) < 0.3)
    x[2], x[:, 19] = 0, 0
    return scipy.sparse.csr_array(x.astype(dtype))


@pytest.mark.parametrize("container", ["array", "matrix"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("make", KINDS)
def test_every_format_has_the_bits_of_dense(make: Any, form: str, container: str) -> None:
    for dtype in (np.float32, np.float64, np.int8, np.uint64, np.bool_, np.longdouble):
        x = sample(dtype)
        y = getattr(scipy.sparse, f"{form}_{container}")(x)
        want = make().fit_transform(x.toarray())
        assert want.dtype == (np.float32 if dtype == np.float32 else np.float64)
        got = make().fit(y).transform(y)
        assert got.dtype == want.dtype
        assert got.tobytes() == want.tobytes()
        assert make().fit_transform(y).tobytes() == want.tobytes()


@pytest.mark.parametrize("make", KINDS)
def test_no_rows_without_numbers_are_lost(make: Any) -> None:
    for rows in (1, 7):
        x = scipy.sparse.csr_array((rows, 20), dtype=np.float32)
        e = make().fit(x)
        assert np.array_equal(e.transform(x), np.zeros((rows, e.n_components)))
    for shape in ((0, 20), (3, 0)):
        with pytest.raises(ValueError, match=r"got 0 (sample|feature)\(s\)"):
            e.transform(scipy.sparse.csr_array(shape))
    with pytest.raises(ValueError, match=r"X has 21 features, but .* is expecting 20"):
        e.transform(scipy.sparse.csr_array((3, 21)))


@pytest.mark.parametrize("make", KINDS)
def test_order_duplicates_zeros_and_wide_indices(make: Any) -> None:
    """Every number three times over, in a random order in each row, some of them zeros that are stored."""
    x = sample()
    e = make().fit(x)
    want = e.transform(x.toarray() * 3)
    parts = x.tocoo()
    row, col = (np.concatenate([np.tile(i, 3), j]) for i, j in ((parts.row, [2, 5]), (parts.col, [19, 19])))
    data = np.concatenate([np.tile(parts.data, 3), [0, 0]]).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(row))
    row, col, data = row[order], col[order], data[order]
    coo = scipy.sparse.coo_array((data, (row, col)), shape=x.shape)
    order = np.argsort(row, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=6))])
    csr = scipy.sparse.csr_array((data[order], col[order], ends), shape=x.shape)
    wide = csr.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    order = np.argsort(col, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(col, minlength=20))])
    csc = scipy.sparse.csc_array((data[order], row[order], ends), shape=x.shape)
    for y in (coo, csr, wide, csc):
        before = y.copy()
        assert np.array_equal(e.transform(y), want)
        assert np.array_equal(make().fit_transform(y), want)
        assert y.nnz == before.nnz
        assert np.array_equal(y.data, before.data)


def test_what_scipy_noted_of_an_array_that_changed_since() -> None:
    """SciPy keeps whether indices were in order; that is no longer so here."""
    x = sample()
    assert x.has_canonical_format
    e = CountSketch(8).fit(x)
    x.indices[:2] = x.indices[0]
    assert x.has_canonical_format
    dense = np.zeros(x.shape, np.float32)
    np.add.at(dense, (x.tocoo().row, x.indices), x.data)
    assert np.array_equal(e.transform(x), e.transform(dense))


@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
def test_numbers_beyond_the_last_offset_are_not_read(form: str) -> None:
    x = sample().asformat(form)
    want = CountSketch(8).fit_transform(x)
    size, last = int(x.indptr[-1]), np.full((3, *x.data.shape[1:]), np.nan, x.data.dtype)
    x.data, x.indices = np.concatenate([x.data, last]), np.concatenate([x.indices, [10**6, -5, 0]]).astype(np.int32)
    assert x.indptr[-1] == size
    assert np.array_equal(CountSketch(8).fit_transform(x), want)


def test_numbers_that_are_none_are_named() -> None:
    for form in FORMATS:
        for value, what in ((np.nan, "NaN"), (np.inf, "infinity .* float64")):
            for row, col in ((0, 0), (3, 0), (4, 7), (5, 19)):  # the first, one after an empty row, and the last
                x = sample(np.float64).tolil()
                x[row, col] = value
                bad, wanted = x.asformat(form), f"finite numbers; Input X contains {what}: column {col}, row {row}"
                for make in KINDS:
                    with pytest.raises(ValueError, match=wanted):
                        make().fit(bad)
                    with pytest.raises(ValueError, match=wanted):
                        make().fit(sample()).transform(bad)
    with pytest.raises(ValueError, match="Complex data not supported"):
        CountSketch(8).fit(sample(np.complex64))
    with pytest.raises(ValueError, match=r"wanted a 2-d array .*; got 1 dimensions"):
        CountSketch(8).fit(scipy.sparse.coo_array(np.ones(20)))
    with pytest.raises(TypeError, match="wanted dense data; got a sparse"):
        CountSketch(8).fit(sample()).adjoint(scipy.sparse.csr_array((3, 8)))


def changed(form: str, **parts: Any) -> Any:
    x = sample().asformat(form).copy()
    for name, value in parts.items():
        setattr(x, name, value(getattr(x, name).copy()))
    return x


def put(at: Any, value: Any) -> Callable[[Any], Any]:
    def change(part: Any) -> Any:
        part[at] = value
        return part

    return change


def blocks(**parts: Any) -> Any:
    x = scipy.sparse.bsr_array(sample(), blocksize=(2, 4)).copy()
    for name, value in parts.items():
        setattr(x, name, value(getattr(x, name).copy()))
    return x


def lists(at: int, indices: Any, data: Any) -> Any:
    x = sample().tolil()
    x.rows[at], x.data[at] = indices, data
    return x


CONTRADICTIONS: dict[str, Callable[[], Any]] = {
    "csr: an offset decreases": lambda: changed("csr", indptr=put(2, 10**6)),
    "csr: a negative offset": lambda: changed("csr", indptr=put(2, -1)),
    "csr: not from 0": lambda: changed("csr", indptr=put(0, 1)),
    "csr: past the end": lambda: changed("csr", indptr=put(-1, 10**6)),
    "csr: offsets missing": lambda: changed("csr", indptr=lambda p: p[:-1]),
    "csr: no offsets": lambda: changed("csr", indptr=lambda p: p[:0]),
    "csr: too many offsets": lambda: changed("csr", indptr=lambda p: np.append(p, p[-1])),
    "csr: offsets that are no integers": lambda: changed("csr", indptr=lambda p: p.astype(float)),
    "csr: an index past the end": lambda: changed("csr", indices=put(3, 20)),
    "csr: a negative index": lambda: changed("csr", indices=put(3, -1)),
    "csr: indices that are no integers": lambda: changed("csr", indices=lambda i: i.astype(float)),
    "csr: indices missing": lambda: changed("csr", indices=lambda i: i[:-1]),
    "csr: numbers missing": lambda: changed("csr", data=lambda d: d[:-1]),
    "csr: numbers in two dimensions": lambda: changed("csr", data=lambda d: np.stack([d, d], axis=1)),
    "csc: past the end": lambda: changed("csc", indptr=put(-1, 10**6)),
    "csc: an index past the end": lambda: changed("csc", indices=put(0, 6)),
    "csc: a negative index": lambda: changed("csc", indices=put(0, -1)),
    "bsr: past the end": lambda: blocks(indptr=put(1, 10**8)),
    "bsr: an index past the end": lambda: blocks(indices=put(0, 5)),
    "bsr: a negative index": lambda: blocks(indices=put(0, -1)),
    "bsr: blocks that do not fit": lambda: blocks(data=lambda d: d[:, :, :3]),
    "bsr: empty blocks": lambda: blocks(data=lambda d: d[:, :0]),
    "bsr: numbers in one dimension": lambda: blocks(data=lambda d: d.reshape(-1)),
    "coo: a row past the end": lambda: changed("coo", row=put(3, 10**7)),
    "coo: a negative row": lambda: changed("coo", row=put(3, -1)),
    "coo: a column past the end": lambda: changed("coo", col=put(3, 20)),
    "coo: a negative column": lambda: changed("coo", col=put(3, -(10**7))),
    "coo: numbers missing": lambda: changed("coo", data=lambda d: d[:-1]),
    "dia: an offset missing": lambda: changed("dia", offsets=lambda o: o[:-1]),
    "dia: a diagonal twice": lambda: changed("dia", offsets=put(1, sample().todia().offsets[0])),
    "dia: numbers in one dimension": lambda: changed("dia", data=lambda d: d.reshape(-1)),
    "lil: an index past the end": lambda: lists(1, [20], [1.0]),
    "lil: a negative index": lambda: lists(1, [-1], [1.0]),
    "lil: fewer numbers than indices": lambda: lists(1, [1, 2, 3], [1.0]),
    "lil: more numbers than indices": lambda: lists(1, [1], [1.0, 2.0, 3.0]),
    "lil: rows missing": lambda: changed("lil", rows=lambda r: r[:3]),
    "lil: rows of numbers missing": lambda: changed("lil", data=lambda d: d[:3]),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_parts_that_contradict_each_other(name: str) -> None:
    """SciPy follows these indices unseen; some of them let it write outside its arrays and end the process."""
    for make in KINDS:
        bad = CONTRADICTIONS[name]()
        with pytest.raises(ValueError, match=r"wanted offsets that never decrease and indices within .*; got a"):
            make().fit(bad)
        with pytest.raises(ValueError, match=r"wanted offsets that never decrease and indices within .*; got a"):
            make().fit(sample()).transform(bad)


def test_errors_that_scipy_finds_itself() -> None:
    bad = sample().todok()
    bad._dict[(100, 0)] = np.float32(1)
    with pytest.raises(ValueError, match=r"wanted a sparse array of numbers; got a dok array of shape \(6, 20\)"):
        CountSketch(8).fit(bad)
