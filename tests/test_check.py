"""The checks that every public function shares: ranges to the last number, words for messages, slices of a batch."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import recsketch._check as _check

# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_columns_take_what_their_type_holds(dtype: Any) -> None:
    """Of wider types the whole range, to its ends, and no number more."""
    info = np.iinfo(dtype)
    ends = [info.min, -1, 0, info.max]
    wider = np.array(ends, np.int64)
    assert _check.column("x", wider, dtype).tolist() == ends
    assert _check.column("x", wider, dtype).dtype == dtype
    assert _check.column("x", np.array([0, info.max], np.uint64), dtype).tolist() == [0, info.max]
    for low, high in ((info.min - 1, 0), (0, info.max + 1), (info.min - 1, info.max + 1)):
        given = np.array([low, high], np.int64 if dtype == np.int32 else (np.uint64 if low >= 0 else object))
        with pytest.raises((ValueError, TypeError), match=r"^x: wanted"):
            _check.column("x", given, dtype)
    with pytest.raises(ValueError, match=rf"integers from {info.min} to {info.max}; got 0 to {info.max + 1}$"):
        _check.column("x", np.array([0, info.max + 1], np.uint64), dtype)
    assert _check.column("x", [], dtype).dtype == dtype
    for bad in ([0.0], np.zeros(3), np.zeros(0).reshape(0, 1)):
        with pytest.raises((ValueError, TypeError), match=r"^x: wanted (integers|a vector)"):
            _check.column("x", bad, dtype)


def test_columns_of_floats_take_integers_and_overflow_to_infinity() -> None:
    assert _check.column("x", [1, 2], np.float64).tolist() == [1.0, 2.0]
    assert _check.column("x", [1e300], np.float32).tolist() == [np.inf]
    with pytest.raises(ValueError, match="x: wanted a vector of 3; got an array of shape"):
        _check.column("x", [1.0, 2.0], np.float64, 3)


@pytest.mark.parametrize("x", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integers_of_any_type(x: Any) -> None:
    assert _check.integer("n", x, 3, 3) == 3
    assert type(_check.integer("n", x, 3, 3)) is int
    for low, high in ((4, 9), (-2, 2)):
        with pytest.raises(ValueError, match=f"^n: wanted an integer from {low} to {high}; got 3$"):
            _check.integer("n", x, low, high)


def test_numbers_lie_above_low_and_up_to_high() -> None:
    for x in (2, 2.0, np.float32(2), np.array(2.0)):
        assert _check.number("x", x, "it", 1.0, 2.0) == 2.0
        for low, high in ((2.0, 3.0), (1.0, 1.5)):
            with pytest.raises(ValueError, match=r"^x: wanted it; got"):
                _check.number("x", x, "it", low, high)


def test_offsets_rise_from_zero_to_their_end() -> None:
    assert _check.offsets("x", [0, 2, 2, 5], 4, 5).tolist() == [0, 2, 2, 5]
    assert _check.offsets("x", [0], None, 0).tolist() == [0]
    for bad in ([], [1, 5], [0, 4], [0, 3, 2, 5], [0, 6], [-1, 5]):
        with pytest.raises(ValueError, match=r"^x: wanted offsets from 0, never decreasing, to 5; got"):
            _check.offsets("x", bad, None, 5)


def test_kept_coordinates_are_known() -> None:
    """Each row by its own mask, or all by one; the limit itself is in."""
    x = np.zeros((3, 4), np.float32)
    x[1, 2] = np.nan
    x[2, 3] = np.float32(_check.LARGEST)
    mask = np.ones((3, 4), np.uint8)
    with pytest.raises(ValueError, match=r"^s\[1\]: wanted finite numbers of at most 1e30 in every kept coordinate"):
        _check.known("s", x, None)
    with pytest.raises(ValueError, match=r"^s\[1\]: "):
        _check.known("s", x, mask)
    _check.known("s", x[[0, 2]], None)
    mask[1, 2] = 0
    _check.known("s", x, mask)
    _check.known("s", x, mask[1:2])
    x[2, 3] = np.nextafter(np.float32(_check.LARGEST), np.float32(np.inf))
    with pytest.raises(ValueError, match=r"^s\[2\]: "):
        _check.known("s", x, mask[1:2])
    with pytest.raises(ValueError, match=r"^s: wanted finite"):  # a single one has no number
        _check.known("s", x[2:], None)


# ---------------------------------------------------------------- words


def test_values_are_shown_short() -> None:
    assert _check.shown("x" * 58) == repr("x" * 58)
    for value in ("x" * 59, "x" * 10**6, [1.5] * 10**6, 10**5000, -(10**5000), dict.fromkeys(range(999), "y" * 99)):
        assert len(_check.shown(value)) <= 60
    assert (_check.shown(-(10**39)), _check.shown(10**40)) == (f"-1{'0' * 39}", "10**40")
    assert _check.shown(-(10**5000)) == "-10**5000"
    assert len(_check.describe(np.zeros((1,) * 32))) <= 120
    assert len(_check.describe(type("T" * 999, (), {})())) <= 120
    assert _check.describe(np.zeros((2, 3))) == "an array of shape (2, 3) and dtype float64"
    assert _check.describe(None) == "None (NoneType)"


def test_names_are_listed_up_to_a_length() -> None:
    assert _check.listed([]) == "[]"
    assert _check.listed(["a", "b"]) == "['a', 'b']"
    exact = ["x" * 46] * 6  # 50 characters each, quotes, comma and space included
    assert _check.listed(exact) == str(exact)
    assert _check.listed(["x" * 47, *exact[1:]]) == f"[{str(['x' * 47, *exact[2:]])[1:-1]}, ... 6 in all]"
    assert _check.listed([*exact, "a"]) == f"[{str(exact)[1:-1]}, ... 7 in all]"
    assert len(_check.listed(["x" * 10**6] * 3)) < 300
    assert _check.choice("c", "b", ["a", "b"]) == "b"
    for n, wanted in (
        (4, "wanted '0' or '1' or '2' or '3'; got"),
        (5, r"wanted one of \['0', '1', '2', '3', '4'\]; got"),
    ):
        with pytest.raises(ValueError, match=wanted):
            _check.choice("c", "x", [str(i) for i in range(n)])


def test_names_come_out_as_plain_texts() -> None:
    for name in ("ä", np.str_("ä"), type("Name", (str,), {})("ä")):
        found = _check.module_name("n", name)
        assert type(found) is str
        assert found == "ä"


def test_texts_and_sets_are_no_sequences() -> None:
    for good in ([1, 2], (1, 2), range(1, 3), iter([1, 2]), np.array([1, 2]), {1: 0, 2: 0}.keys()):
        assert _check.members("x", good, "it") == [1, 2]
    for bad in ("ab", b"ab", bytearray(b"ab"), {1: 2}, {1}, 3, None, np.array(3)):
        with pytest.raises(TypeError, match=r"^x: wanted it; got"):
            _check.members("x", bad, "it")


# ---------------------------------------------------------------- slices


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("n", [0, 1, 4, 12, 13, 1000])
def test_slices_cover_everything_once(n: int, workers: int) -> None:
    parts = list(_check.slices(n, workers))
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert all(part.start < part.stop <= n for part in parts)


def test_slices_follow_the_time_that_the_last_one_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of our own: at most eight times as long as the last, some 0.2 s, never below two items a worker."""
    now = [0.0]
    monkeypatch.setattr(_check, "SLICE_SECONDS", 0.25)  # a sum of powers of two, so that nothing is rounded
    monkeypatch.setattr("recsketch._check.time.perf_counter", lambda: now[0])

    def sizes(n: int, workers: int, seconds: float) -> list[int]:
        """Of slices whose items take so long."""
        out = []
        for part in _check.slices(n, workers):
            out.append(part.stop - part.start)
            now[0] += seconds * out[-1]
        return out[:-1]  # the last is what is left

    assert sizes(5000, 1, 0.0) == [4, 32, 256, 2048]
    assert sizes(5000, 3, 0.0) == [12, 96, 768]
    assert sizes(70, 1, 2.0**-6) == [4, 16, 16, 16, 16]
    assert sizes(20, 1, 0.5) == [4] + [2] * 7
    assert sizes(40, 3, 0.5) == [12] + [6] * 4
    assert sizes(600, 1, 2.0**-9) == [4, 32, 128, 128, 128, 128]


def test_arrays_are_taken_while_another_thread_loads_masked_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy loads numpy.ma when it is first needed; until that is done, others see a module that is still empty."""
    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))
    assert _check.reals("x", [1.0, 2.0], "numbers").tolist() == [1.0, 2.0]
