"""Success of blind unrolling over load, depth and angle: writes docs/unrolling.md and docs/unrolling.svg.

python benchmarks/unrolling_curve.py [--runs N]    needs pip install '.[bench]'; ten minutes
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import machine
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LOADS = tuple(np.arange(1, 11) / 10)
DEPTHS, ANGLES, DIM = (1, 2, 3, 4), (45.0, 52.0, 60.0, 70.0), 1024

HEAD = """# How far blind unrolling reaches

This page says which share of runs comes back whole from the sketch alone, by load, depth and angle. It is written by
`benchmarks/unrolling_curve.py`. A run counts if every object, module, position, weight and attribute (to 1e-3) is
right. Of {runs} runs at d = {dim}, which are the same for every angle, each is a ragged tree with at most 7 inputs an
object (max_inputs 8), five modules, weights of Dirichlet(4) and dense attributes of norm one. Measured on {machine}.

![share of runs unrolled exactly over load, for depths 1 to 4 and four angles](unrolling.svg)"""

TAIL = """Half of the runs come back at a load of {reach}, averaged over the depths. The default is 60°: it reaches
as far as 70°, and leaves more of the identity branch, from which pooled statistics and similarities are read."""


def success(dim: int, depth: int, load: float, angle: float, runs: int) -> tuple[float, float]:
    """Share of runs that come back whole, and their mean load. The same runs for every angle."""
    from unrolled import modules_for, ragged_run, same

    import recsketch as rs

    good, loads = 0, []
    for seed in range(runs):
        rng = np.random.default_rng([seed, depth, round(10 * load)])
        modules = modules_for(rng, dim, depth, load)
        sk = rs.Sketcher(rs.SketchSpec(dim, modules, seed=seed, max_inputs=8, angle=angle), threads=1)
        trace = ragged_run(rng, modules, dim, depth, load)
        loads.append(sk.load(trace))
        found = sk.unroll(sk.sketch(trace))
        good += found.complete and same(found, trace)
    return good / runs, float(np.mean(loads))


def draw(found: dict[tuple[int, float], list[tuple[float, float]]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "recsketch", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(1, len(DEPTHS), figsize=(11, 2.9), sharey=True, layout="constrained")
    for ax, depth in zip(axes, DEPTHS, strict=True):
        for angle, mark in zip(ANGLES, "osD^", strict=True):
            load, share = zip(*[(x, y) for y, x in found[depth, angle]], strict=True)
            ax.plot(load, share, marker=mark, markersize=3.5, linewidth=1.2, label=f"{angle:.0f}°")
        ax.set(title=f"depth {depth}", xlabel="load", ylim=(-0.03, 1.03), xlim=(0, 1.03))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("runs unrolled exactly")
    axes[-1].legend(title="angle", frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def table(found: dict[tuple[int, float], list[tuple[float, float]]], depth: int) -> str:
    head = f"| depth {depth}, load | {' | '.join(f'{x:.2f}' for _, x in found[depth, ANGLES[0]])} |"
    rows = [f"| {angle:.0f}° | {' | '.join(f'{share:.0%}' for share, _ in found[depth, angle])} |" for angle in ANGLES]
    return "\n".join([head, "|---" * (len(LOADS) + 1) + "|", *rows])


def half(points: list[tuple[float, float]]) -> float:
    """The load at which half of the runs come back, between the points; the last load if more than half still do."""
    for (y0, x0), (y1, x1) in pairwise(points):
        if y0 >= 0.5 > y1:
            return x0 + (x1 - x0) * (y0 - 0.5) / (y0 - y1)
    return points[-1][1]


def main() -> None:
    machine.free_blas()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="runs a point")
    runs = parser.parse_args().runs
    found: Any = {}
    for depth in DEPTHS:
        for angle in ANGLES:
            found[depth, angle] = [success(DIM, depth, load, angle, runs) for load in LOADS]
            print(depth, angle, found[depth, angle], file=sys.stderr, flush=True)
    draw(found, ROOT / "docs" / "unrolling.svg")
    ends = {angle: np.mean([half(found[depth, angle]) for depth in DEPTHS]) for angle in ANGLES}
    reach = ", ".join(f"{load:.2f} ({angle:.0f}°)" for angle, load in ends.items())
    text = "\n\n".join(
        [
            *HEAD.format(runs=runs, dim=DIM, machine=machine.describe()).split("\n\n"),
            *[table(found, depth) for depth in DEPTHS],
            TAIL.format(reach=reach),
        ]
    )
    (ROOT / "docs" / "unrolling.md").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
