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
@pytest.mark.parametrize("log", range(4, 12))
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
    for n in (16, 32, 2048, 1 << 15):
        x = np.random.default_rng(n).standard_normal(n)
        assert np.linalg.norm(fwht(fwht(x)) - x) <= 2 * bound(n, np.float64) * np.linalg.norm(x)


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
