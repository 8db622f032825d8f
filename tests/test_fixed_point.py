"""Sketches as whole numbers that a protocol adds without seeing one of them, and the population of the sum."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from test_population import SPEC, attributes, pages

import recsketch as rs


def masked(x: Any, seed: int) -> list[Any]:
    """What three parties send of their rows of x: every two share a mask that one adds and the other takes away."""
    rng = np.random.default_rng(seed)
    sent = [row.copy() for row in x]
    for i in range(len(x)):
        for j in range(i):
            mask = rng.integers(0, np.iinfo(x.dtype).max, x.shape[1], x.dtype, endpoint=True)
            sent[i] += mask
            sent[j] -= mask
    return sent


@pytest.mark.parametrize(("bits", "step"), [(64, None), (64, 2.0**-20), (32, None), (32, 2.0**-10), (32, 1.0)])
def test_numbers_are_those_of_exact_fractions(bits: int, step: float | None) -> None:
    """Against Python's fractions, whose `round` rounds halves to even, modulo 2^bits."""
    unit = step or {64: 2.0**-32, 32: 2.0**-16}[bits]
    rng = np.random.default_rng(bits)
    x = rng.standard_normal((7, 40)) * 10.0 ** rng.integers(-6, 4, (7, 40))
    x[0, :6] = np.array([0.5, 1.5, -0.5, -2.5, 2.0 ** (bits - 1) - 1, -(2.0 ** (bits - 1)) + 1]) * unit
    x[0, 4:6] *= 1 - 2.0**-20  # of 64 bits a double has no number so near to the end of the range
    found = rs.fixed_point(x, bits, step)
    assert found.dtype == np.dtype(f"u{bits // 8}")
    assert found.shape == x.shape
    wanted = [[round(Fraction(v) / Fraction(unit)) % 2**bits for v in row] for row in x.tolist()]
    assert found.tolist() == wanted


def test_numbers_add_up_to_the_same_bits_as_a_population() -> None:
    s = rs.Sketcher(SPEC).sketch(pages(60))
    whole = rs.Population(SPEC)
    whole.update(s)
    total = rs.fixed_point(s).sum(axis=0)
    found = rs.Population.of_fixed_point(SPEC, total, 60)
    assert np.array_equal(found.total, whole.total)
    assert np.array_equal(found._sums.sum(axis=0), whole._sums.sum(axis=0))
    assert len(found) == 60
    assert np.array_equal(rs.fixed_point(whole.total), total)
    assert np.array_equal(rs.fixed_point(s[0]), rs.fixed_point(s)[0])
    assert np.array_equal(rs.fixed_point(rs.pack(s, "float32")), rs.fixed_point(s))
    assert np.array_equal(rs.Population.of_fixed_point(SPEC, total.astype(">u8"), 60).total, whole.total)
    found.merge(whole)
    assert len(found) == 120
    np.testing.assert_array_equal(found.total, 2 * whole.total)


@pytest.mark.parametrize("bits", [64, 32])
def test_three_parties_and_a_server_that_sees_sums_only(bits: int) -> None:
    """Counts are whole to 0.01: with 32 bits the rounding of 90 sketches to 2^-16 is noise of 2^-16 sqrt(90 / 12), or
    4e-5, of a coordinate, and a count's error as much, times the condition number, below 100."""
    parts = [pages(30, seed) for seed in range(3)]
    sk = rs.Sketcher(SPEC)
    x = np.stack([rs.fixed_point(sk.sketch(p), bits).sum(axis=0, dtype=f"u{bits // 8}") for p in parts])
    sent = masked(x, 0)
    for own, row in zip(x, sent, strict=True):  # of 1,024 masked numbers none is as it was, but by a chance of 1e-6
        assert not (own == row).any()
    noise = 2.0**-16 * (90 / 12) ** 0.5 if bits == 32 else 0.0
    found = rs.Population.of_fixed_point(SPEC, sum(sent[1:], sent[0]), 90).read(noise=noise)
    runs = [run for p in parts for run in p]
    assert found.complete
    for p in found:
        true = attributes(runs, p.path[-1])
        assert abs(p.count - len(true)) < 0.01
        np.testing.assert_allclose(p.mean, true.mean(axis=0), atol=1e-3)
        assert (p.mean_error > 0).all() if bits == 32 else np.isnan(p.mean_error).all()


def test_noise_of_a_mechanism_is_in_the_stated_errors() -> None:
    """Three parties add Gaussian noise of 5 / sqrt(3) each. Of 40 draws a mean's root mean square error is 0.7 to 1.2
    of what is stated: 160 numbers that are nearly independent leave that range by a chance below 1e-3."""
    sk, runs = rs.Sketcher(SPEC), pages(150, seed=4)
    s = sk.sketch(runs)
    parts, rng, off = [s[k::3] for k in range(3)], np.random.default_rng(1), []
    true = attributes(runs, "char").mean(axis=0)
    for _ in range(40):
        sent = [p.astype(np.float64).sum(axis=0) + rng.normal(0, 5 / 3**0.5, SPEC.dim) for p in parts]
        total = rs.fixed_point(sent).sum(axis=0)
        found = rs.Population.of_fixed_point(SPEC, total, 150).read(noise=5.0)
        one = found.at("page", "line", "char")
        off.append((one.mean - true) / one.mean_error)
    assert 0.7 < np.sqrt(np.mean(np.square(off))) < 1.2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.full(64, 2.0**31),), r"sketches\[0\]: wanted a number below 2\*\*31, half of 2\*\*64 steps of 2\*\*-32"),
        (([[0.0, 1.0], [-40000.0, 0.0]], 32), r"sketches\[1, 0\]: wanted a number below 2\*\*15, .* got -40000"),
        (([2.0**15 - 2.0**-18], 32), r"sketches\[0\]: wanted a number below 2\*\*15"),
        (([np.nan],), r"sketches\[0\]: wanted a number .* got nan"),
        (([1e308],), r"sketches\[0\]: wanted a number .* got 1e\+308"),
        (([1.0], 16), "bits: wanted an integer from 32 to 64; got 16"),
        (([1.0], 48), "bits: wanted 64 or 32; got 48"),
        (([1.0], True), "bits: wanted an integer"),
        (([1.0], 64, 0.3), r"step: wanted a power of two from 2\*\*-32 to 1; got 0.3"),
        (([1.0], 64, 2.0**-33), "step: wanted a power of two"),
        (([1.0], 64, 2.0), "step: wanted a power of two"),
        (([1.0], 64, "1"), "step: wanted a power of two"),
        ((["a"],), "sketches: wanted sketches"),
        ((1.0,), r"sketches: wanted shape \(d,\) or \(n, d\)"),
        ((np.zeros((2, 2, 2)),), r"sketches: wanted shape \(d,\) or \(n, d\)"),
    ],
)
def test_what_does_not_fit_is_refused(given: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        rs.fixed_point(*given)


@pytest.mark.parametrize(
    ("total", "runs", "step", "message"),
    [
        (np.zeros(1024), 1, None, r"total: wanted uint64 or uint32 of shape \(1024,\)"),
        (np.zeros(1024, np.int64), 1, None, "total: wanted uint64 or uint32"),
        (np.zeros(512, np.uint64), 1, None, "total: wanted uint64 or uint32"),
        (np.zeros(1024, np.uint16), 1, None, "total: wanted uint64 or uint32"),
        (np.full(1024, 2**63, np.uint64), 1, None, r"total: wanted numbers below 2\*\*31"),
        (np.full(1024, 2**62, np.uint64), 1, 2.0**-31, r"total: wanted numbers below 2\*\*31"),
        (np.full(1024, 2**31, np.uint32), 1, 1.0, r"total: wanted numbers below 2\*\*31"),
        (np.zeros(1024, np.uint64), 0, None, "runs: wanted an integer from 1"),
        (np.zeros(1024, np.uint64), 1.5, None, "runs: wanted an integer"),
        (np.zeros(1024, np.uint64), 1, 0.75, "step: wanted a power of two"),
        ("total", 1, None, "total: wanted 1024 unsigned integers"),
    ],
)
def test_no_such_totals_are_refused(total: Any, runs: Any, step: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        rs.Population.of_fixed_point(SPEC, total, runs, step)
