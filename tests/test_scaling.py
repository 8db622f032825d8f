"""The paper's theorems in figures: errors of its decoder fall as 1/sqrt(d), and rise steeply with depth."""

from __future__ import annotations

from typing import Any

import numpy as np

import recsketch as rs

DIMS = (1024, 2048, 4096, 8192, 16384)
SEEDS = 48


def errors(build: Any, dim: int, seed: int) -> dict[str, float]:
    """Mean over four outputs, each its own module, of the l_inf error of a unit-norm Gaussian attribute, a = 16."""
    spec = rs.SketchSpec.paper(dim=dim, modules=dict.fromkeys("abcd", 16), seed=seed, max_inputs=4)
    rng = np.random.default_rng([dim, seed])
    x = [build.attribute(rng, 16) for _ in range(4)]
    trace = rs.Trace()
    trace.outputs([trace.add(m, v) for m, v in zip("abcd", x, strict=True)])
    sk = rs.Sketcher(spec, threads=1)
    s = sk.sketch(trace)
    return {
        method: float(
            np.mean(
                [np.abs(g - v).max() for g, v in zip(sk.recover(s, trace, method=method).attributes, x, strict=True)]
            )
        )
        for method in ("paper", "matched")
    }


def test_depth_one_falls_as_the_root_of_d(build: Any) -> None:
    """Exponent -0.5 +- 0.05, constants near 16.7 (paper) and 6.8 (matched).

    The l_inf error of 16 near-Gaussian elements has relative deviation 0.22, of the mean of 4 objects below 0.15, of
    48 seeds 0.022: the slope over five octaves has deviation 0.022 / ln 2 / sqrt(10) = 0.01 and 0.05 is 5 of them
    (6e-7); a constant, the mean of 240 runs, has 0.01, and 10% is 10 of them. Seeds are fixed."""
    table = {d: [errors(build, d, seed) for seed in range(SEEDS)] for d in DIMS}
    for method, constant in (("paper", 16.7), ("matched", 6.8)):
        mean = np.array([np.mean([e[method] for e in table[d]]) for d in DIMS])
        slope = np.polyfit(np.log2(DIMS), np.log2(mean), 1)[0]
        assert abs(slope + 0.5) <= 0.05, (method, slope)
        scaled = float(np.mean(mean * np.sqrt(DIMS)))
        assert abs(scaled / constant - 1) <= 0.1, (method, scaled)


def test_depth_two_is_useless_by_the_paper_and_exact_by_least_squares(build: Any) -> None:
    """Four outputs with four inputs each, every object its own module: about 1040/sqrt(d) for the inputs by the
    paper's decoder, 16 at d = 4096 for elements of size 1/4; least squares is exact to 1e-4 (the paper's weights and
    scales push deep objects towards float32 rounding).

    The mean over 16 inputs and 8 seeds has relative deviation below 0.22 / sqrt(128) + matrices in common: 0.05;
    20% is 4 of them, 6e-5; seeds are fixed."""
    dim, names = 4096, [f"m{i}" for i in range(20)]
    found, exact = [], []
    for seed in range(8):
        spec = rs.SketchSpec.paper(dim=dim, modules=dict.fromkeys(names, 16), seed=seed, max_inputs=4)
        rng = np.random.default_rng([1, seed])
        x = [build.attribute(rng, 16) for _ in names]
        trace = rs.Trace()
        for i in range(16):
            trace.add(names[i], x[i])
        trace.outputs([trace.add(names[16 + j], x[16 + j], inputs=range(4 * j, 4 * j + 4)) for j in range(4)])
        sk = rs.Sketcher(spec, threads=2)
        s = sk.sketch(trace)
        for method, out in (("paper", found), ("lstsq", exact)):
            got = sk.recover(s, trace, method=method).attributes
            out.append([np.abs(g - v).max() for g, v in zip(got, x, strict=True)])
    assert abs(np.mean(np.array(found)[:, :16]) * np.sqrt(dim) / 1040 - 1) <= 0.2
    assert np.max(exact) <= 1e-4
