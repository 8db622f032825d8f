"""The Walsh-Hadamard transform: every size and both precisions, against scipy for small n, NumPy float64 for large."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import reference as ref
import scipy.linalg

from recsketch.transforms import fwht

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def bound(n: int, dtype: type) -> float:
    """Relative Euclidean error: log2(n) stages round every element once, 1/sqrt(n) and its product twice more."""
    return (math.log2(n) + 2) * UNIT[dtype] * 1.001


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("log", range(12))
def test_small_against_scipy(log: int, dtype: type) -> None:
    n = 1 << log
    x = np.random.default_rng(log).standard_normal((3, n)).astype(dtype)
    want = x.astype(np.float64) @ scipy.linalg.hadamard(n).astype(np.float64) / math.sqrt(n)
    got = fwht(x)
    assert got.dtype == dtype
    assert got.shape == x.shape
    # scipy's product in float64 itself errs by up to n 2^-53 relative
    allowed = bound(n, dtype) + n * UNIT[np.float64]
    assert (np.linalg.norm(got - want, axis=1) <= allowed * np.linalg.norm(x, axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("log", range(12, 21))
def test_large_against_numpy(log: int, dtype: type) -> None:
    n = 1 << log
    x = np.random.default_rng(log).standard_normal(n).astype(dtype)
    want = ref.fwht(x) / math.sqrt(n)
    allowed = bound(n, dtype) + bound(n, np.float64)
    assert np.linalg.norm(fwht(x) - want) <= allowed * np.linalg.norm(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_are_as_small_as_documented(dtype: type) -> None:
    """Roundings of random sign add in squares: "about 0.6 eps sqrt(log2 n)", a fifth more allowed.

    In float32 at 2^16 the figure to hold is 2e-7. The float64 reference errs as much: two independent errors."""
    for log in (4, 8, 12, 16, 18):
        n = 1 << log
        x = np.random.default_rng(log).standard_normal((max(1, 4096 // n), n)).astype(dtype)
        want = ref.fwht(x) / math.sqrt(n)
        error = float(np.linalg.norm(fwht(x) - want) / np.linalg.norm(want))
        own = 1.0 if dtype == np.float32 else math.sqrt(2)
        assert error <= 1.2 * own * 0.6 * UNIT[dtype] * math.sqrt(log), log
        assert log != 16 or dtype == np.float64 or error <= 2e-7


def test_signs_are_exact() -> None:
    """Of +-1 data all sums are integers below 2^24, and an even log2(n) makes the scale a power of two: no rounding."""
    for n in (16, 64, 1024, 4096, 1 << 16):
        x = np.where(np.random.default_rng(n).random(n) < 0.5, -1, 1).astype(np.float32)
        assert np.array_equal(fwht(x), ref.fwht(x) / math.sqrt(n))


def test_unit_vectors_are_the_rows() -> None:
    n = 64
    assert np.array_equal(fwht(np.eye(n, dtype=np.float64)), scipy.linalg.hadamard(n) / 8.0)


def test_it_is_its_own_inverse() -> None:
    for n in (1, 4, 16, 32, 2048, 1 << 15):
        x = np.random.default_rng(n).standard_normal(n)
        for order in ("natural", "sequency", "dyadic"):
            again = fwht(fwht(x, order=order), order=order)
            assert np.linalg.norm(again - x) <= 2 * bound(n, np.float64) * np.linalg.norm(x)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 64, 256])
def test_orders_are_permutations_of_the_matrix(n: int) -> None:
    """Rows of SciPy's matrix by their changes of sign, and as products of Rademacher functions (Paley): bit i of a
    row's number, the highest last, takes part with the sign of bit log2(n) - 1 - i of the column."""
    h = scipy.linalg.hadamard(n).astype(np.float64)
    changes = (np.diff(h, axis=1) != 0).sum(axis=1)
    assert sorted(changes) == list(range(n))
    sequency = h[np.argsort(changes)]
    log = n.bit_length() - 1
    column = np.arange(n)
    dyadic = np.ones((n, n))
    for row in range(n):
        for i in range(log):
            if row >> i & 1:
                dyadic[row] *= 1.0 - 2.0 * (column >> (log - 1 - i) & 1)
    for order, want in (("natural", h), ("sequency", sequency), ("dyadic", dyadic)):
        assert np.array_equal(fwht(np.eye(n), order=order, norm="backward"), want)  # symmetric, as the rows are
        x = np.random.default_rng(n).integers(-99, 99, (3, n)).astype(np.float64)
        assert np.array_equal(fwht(x, order=order, norm="backward"), x @ want.T)  # integers: exact
        y = x.copy()
        assert fwht(y, order=order, norm="backward", overwrite=True) is y
        assert np.array_equal(y, x @ want.T)


def test_norms_are_those_of_scipys_transforms() -> None:
    """sympy.fwht gives sums, and sympy.ifwht their n-th part; the numbers are those of SymPy's documentation."""
    x = np.array([4.0, 2, 2, 0, 0, 2, -2, 0])
    y = fwht(x, norm="backward")
    assert y.tolist() == [8, 0, 8, 0, 8, 8, 0, 0]
    assert np.array_equal(fwht(y, norm="forward"), x)
    assert np.array_equal(fwht(x, norm="forward"), y / 8)
    assert np.array_equal(fwht(x), y / math.sqrt(8))


def test_any_axis() -> None:
    x = np.random.default_rng(6).standard_normal((4, 8, 16, 3)).astype(np.float32)
    for axis in (0, 1, 2, -2, -3, -4):
        want = np.moveaxis(fwht(np.ascontiguousarray(np.moveaxis(x, axis, -1))), -1, axis)
        assert np.array_equal(fwht(x, axis=axis), want)
        for order in ("natural", "sequency"):
            y = x.copy()
            assert fwht(y, axis=axis, order=order, overwrite=True) is y
            assert np.array_equal(y, fwht(x, axis=axis, order=order))
    for axis in (3, -1):
        with pytest.raises(ValueError, match=r"x: wanted a power of two from 1 to 2\*\*24 as the length of axis"):
            fwht(x, axis=axis)
    for bad in (4, -5):
        with pytest.raises(ValueError, match="axis: wanted an integer from -4 to 3; got"):
            fwht(x, axis=bad)
    with pytest.raises(TypeError, match="axis: wanted an integer"):
        fwht(x, axis=None)  # type: ignore[arg-type]
    for name in ("order", "norm"):
        with pytest.raises(ValueError, match=f"{name}: wanted '"):
            fwht(x, axis=0, **{name: "walsh"})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_can_be_held_is_right(dtype: type) -> None:
    """n numbers of 0.9 max / sqrt(n) have a sum of 0.9 sqrt(n) max, which exceeds the largest float, and a transform of
    0.9 max, which does not; every row of H likewise. Other rows have the bits that they have alone."""
    largest = float(np.finfo(dtype).max)
    for n in (2, 8, 64, 1024, 1 << 15):
        x = np.random.default_rng(n).standard_normal((4, n)).astype(dtype)
        alone = fwht(x)
        for row in (0, n // 2, n - 1):
            sign = ref.fwht(np.arange(n) == row)
            x[2] = (0.9 * largest / math.sqrt(n) * sign).astype(dtype)
            want = np.zeros(n, dtype)
            want[row] = math.sqrt(n) * float(x[2, 0])
            got = fwht(x)
            assert np.abs(got[2] - want).max() <= bound(n, dtype) * abs(want[row])
            assert np.array_equal(got[[0, 1, 3]], alone[[0, 1, 3]])
            if n > 2:  # n numbers of half a float's distance more cannot be held
                x[2] = (1.1 / math.sqrt(n) * largest * sign).astype(dtype)
                with pytest.raises(
                    ValueError, match=rf"wanted numbers whose transform {np.dtype(dtype)} can hold.* in row 2"
                ):
                    fwht(x)
    assert fwht(np.full(1024, 1e37, np.float32))[0] == pytest.approx(3.2e38)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two_change_no_bit(dtype: type) -> None:
    """Up to the largest transform that can be held, and down to the smallest that is not subnormal. Below that every
    sum is exact to half of the smallest number there is, and 1/sqrt(n) rounds once: no sum is lost to zeros."""
    info = np.finfo(dtype)
    for n in (4, 16, 512, 4096):
        x = np.random.default_rng(n).standard_normal((2, n)).astype(dtype)
        y = fwht(x)
        for exponent in (info.maxexp - 4, info.maxexp - 30, 10, -10, info.minexp + 30):
            assert np.array_equal(fwht(np.ldexp(x, exponent)), np.ldexp(y, exponent))
        tiny = np.ldexp(x, info.minexp - 4)
        want = ref.fwht(np.ldexp(tiny.astype(np.float64), 0)) / math.sqrt(n)
        if dtype == np.float32:
            least = float(info.smallest_subnormal)
            size = np.linalg.norm(tiny[0].astype(np.float64))  # squares of floats this small are zero
            assert np.abs(fwht(tiny) - want).max() <= 0.501 * least + bound(n, dtype) * size


def test_numbers_that_are_none_are_refused() -> None:
    for bad in (np.nan, np.inf, -np.inf):
        for at in ((0, 0), (2, 15), (1, 3)):
            for n in (4, 16):
                x = np.ones((3, 16))[:, :n].copy()
                x[at[0], at[1] % n] = bad
                with pytest.raises(ValueError, match="x: wanted finite numbers; got NaN or infinity"):
                    fwht(x)
                with pytest.raises(ValueError, match="x: wanted finite numbers"):
                    fwht(x, overwrite=True)
    with pytest.raises(
        ValueError, match="x: wanted finite numbers whose sums float32 can hold, to overwrite; got others"
    ):
        fwht(np.full(1024, 1e37, np.float32), overwrite=True)
    assert fwht(np.full((1024, 2), 1e37, np.float32), axis=0, overwrite=True)[0, 0] == pytest.approx(3.2e38)  # a copy


def test_what_is_overwritten() -> None:
    """Each of the conditions alone makes the difference."""
    good = np.ones((2, 16), np.float32)
    assert fwht(good, overwrite=True) is good
    frozen = np.ones((2, 16), np.float32)
    frozen.flags.writeable = False
    for bad in (frozen, np.ones((2, 32), np.float32)[:, ::2], np.ones((2, 16), np.float32, order="F"), [[1.0] * 16] * 2,
                np.ones((2, 16), ">f4"), np.ones((2, 16), np.int32)):  # fmt: skip
        with pytest.raises(ValueError, match="x: wanted a writable C-contiguous float32 or float64 array to overwrite"):
            fwht(bad, overwrite=True)


def test_the_last_axis_of_any_shape() -> None:
    x = np.random.default_rng(5).standard_normal((2, 3, 4, 32)).astype(np.float32)
    got = fwht(x)
    assert got.shape == x.shape
    assert np.array_equal(got[1, 2, 3], fwht(x[1, 2, 3]))
    assert fwht(np.empty((0, 32), dtype=np.float32)).shape == (0, 32)


@pytest.mark.parametrize("rows", [1, 2, 5, 33])
def test_rows_do_not_depend_on_company_or_threads(rows: int) -> None:
    x = np.random.default_rng(rows).standard_normal((rows, 4096)).astype(np.float32)
    alone = np.stack([fwht(row) for row in x])
    for threads in (1, 2, 3, None):
        assert np.array_equal(fwht(x, threads=threads), alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("log", range(4, 16))
def test_bits_do_not_depend_on_alignment(log: int, dtype: type) -> None:
    """Rows off a cache line go through a copy that is not, and through passes that begin within a row; nothing outside
    the rows is written."""
    n, line = 1 << log, 64 // np.dtype(dtype).itemsize
    x = np.random.default_rng(log).standard_normal((2, n)).astype(dtype)
    memory = np.empty(2 * n + 4 * line, dtype)
    first = line - memory.ctypes.data % 64 // memory.itemsize
    want = fwht(x)
    for offset in (0, 1, line // 4, line // 2, line - 1):
        memory[:] = 7
        rows = slice(first + offset, first + offset + 2 * n)
        memory[rows] = x.reshape(-1)
        fwht(memory[rows].reshape(2, n), overwrite=True)
        assert np.array_equal(memory[rows].reshape(2, n), want), offset
        memory[rows] = 7
        assert (memory == 7).all(), offset


def test_the_argument_is_kept_unless_overwrite() -> None:
    x = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32)
    before = x.copy()
    out = fwht(x)
    assert np.array_equal(x, before)
    assert not np.shares_memory(x, out)
    same = fwht(x, overwrite=True)
    assert np.shares_memory(x, same)
    assert np.array_equal(same, out)
    with pytest.raises(TypeError, match="overwrite: wanted True or False"):
        fwht(x, overwrite="no")  # type: ignore[arg-type]


def test_a_memmap_is_overwritten(tmp_path: Path) -> None:
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2, 16))
    x[:] = np.eye(2, 16)
    want = fwht(np.array(x))
    fwht(x, overwrite=True)
    assert np.array_equal(x, want)


def test_strided_reversed_and_swapped_input() -> None:
    base = np.random.default_rng(2).standard_normal((6, 128)).astype(np.float32)
    want = fwht(np.ascontiguousarray(base[::2, ::-2]))
    assert np.array_equal(fwht(base[::2, ::-2]), want)
    swapped = base.astype(base.dtype.newbyteorder())
    assert np.array_equal(fwht(swapped), fwht(base))
    frozen = base.copy()
    frozen.flags.writeable = False
    assert np.array_equal(fwht(frozen), fwht(base))
