"""How often a run comes back whole from its sketch alone, over load or steps. Writes docs/unrolling.md and its plot.

python benchmarks/unrolling_curve.py           needs matplotlib, from pip install '.[bench]'; half an hour
python benchmarks/unrolling_curve.py --runs 5  fewer runs a point
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import machine
import numpy as np

machine.free_blas()

from figures import pyplot, save_svg  # noqa: E402  # after the BLAS is free to choose its kernels
from structures import Case, Rng, chain, length_for, wide  # noqa: E402
from unrolled import modules_for, ragged_run, same  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
LOADS = (*(np.arange(1, 10) / 10), 0.95)
STEPS = (2, 5, 10, 15, 20, 25, 30, 40)
DEPTHS, ANGLES = (1, 2, 3, 4), (45.0, 52.0, 60.0, 70.0)

HEAD = """# How far blind unrolling reaches

This page says which share of runs comes back whole from the sketch alone: ragged trees by load, depth and angle, chains
of one and more modules by their length, and wide tuples by load. It is written by `benchmarks/unrolling_curve.py`. A
run counts if every object, module, position, weight and attribute (to 1e-3) is right. All attributes are dense and of
norm one. A point is {runs} runs, which are the same for every angle and weighting. Measured on {machine}.

![share of runs unrolled exactly over load or steps](unrolling.svg)"""

TAIL = """Half of the trees come back at a load of {reach},
averaged over the depths. The default is 60°: it reaches as far as 70°, and leaves more of the identity branch, from
which pooled statistics and similarities are read."""


@dataclass(frozen=True, eq=False)
class Line:
    """A way of sketching the runs of a panel, or other runs of the same kind."""

    name: str
    make: Callable[[Rng, float], Case]
    spec: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Panel:
    """What is drawn over one axis."""

    title: str
    about: str
    axis: str
    dim: int
    values: tuple[float, ...]
    lines: tuple[Line, ...]

    def measure(self, runs: int) -> dict[str, list[tuple[float, float]]]:
        """Of every line the points: where it is on the axis, loads being means, and the share that came back."""
        return {line.name: [self._point(line, value, runs) for value in self.values] for line in self.lines}

    def _point(self, line: Line, value: float, runs: int) -> tuple[float, float]:
        good, loads = 0, []
        for seed in range(runs):
            case = line.make(np.random.default_rng([seed, round(100 * value)]), value)
            sk = case.sketcher(self.dim, seed, **line.spec)
            loads.append(sk.load(case.trace))
            found = sk.unroll(sk.sketch(case.trace), **case.reading)
            good += found.complete and same(found, case.trace)
        return float(np.mean(loads)) if self.axis == "load" else value, good / runs


def tree(rng: Rng, load: float, depth: int) -> Case:
    modules = modules_for(rng, 1024, depth, load)
    return Case(ragged_run(rng, modules, 1024, depth, load), modules, 8)


def pool(rng: Rng, load: float, cosine: float) -> Case:
    return wide(rng, 50, length_for(2048, 51, load), cosine)


def chained(rng: Rng, steps: float, modules: int) -> Case:
    return chain(rng, int(steps), 16, modules)


def panels() -> Iterator[Panel]:
    energy = {"weighting": "energy"}
    about = "at most 7 inputs an object, five modules, weights of Dirichlet(4), d = 1024"
    for depth in DEPTHS:
        make = partial(tree, depth=depth)
        lines = [Line(f"{angle:.0f}°", make, {"angle": angle}) for angle in ANGLES]
        lines.append(Line("60°, energy", make, energy))
        yield Panel(f"trees of depth {depth}", about, "load", 1024, LOADS, tuple(lines))
    lines = [Line(f"{m} in turn" if m > 1 else "one module", partial(chained, modules=m)) for m in (1, 2, 3)]
    lines.append(Line("one module, energy", partial(chained, modules=1), energy))
    about = "a state reads the one before; a = 16, d = 1024, so that 40 steps have the load 0.70"
    yield Panel("chains", about, "steps", 1024, STEPS, tuple(lines))
    lines = [Line(f"cosine {c:g}", partial(pool, cosine=c)) for c in (0.0, 0.6, 0.9)]
    lines += [Line(f"cosine {c:g}, energy", partial(pool, cosine=c), energy) for c in (0.0, 0.9)]
    about = "50 inputs of one module, of that cosine with each other, below one object; d = 2048"
    yield Panel("wide tuples", about, "load", 2048, LOADS, tuple(lines))


Lines = dict[str, list[tuple[float, float]]]
Found = dict[Panel, Lines]


def draw(found: Found, path: Path) -> None:
    figure, axes = pyplot().subplots(2, 3, figsize=(11, 5.8), sharey=True, layout="constrained")
    for ax, (panel, lines) in zip(axes.flat, found.items(), strict=True):
        for (name, points), mark in zip(lines.items(), "osD^x"[: len(lines)], strict=True):
            ax.plot(*zip(*points, strict=True), marker=mark, markersize=3.5, linewidth=1.2, label=name)
        ax.set(title=panel.title, xlabel=panel.axis, ylim=(-0.03, 1.03), xlim=(0, 1.03 * panel.values[-1]))
        ax.grid(alpha=0.3)
        ax.legend(frameon=False, fontsize=8)
    for ax in axes[:, 0]:
        ax.set_ylabel("runs unrolled exactly")
    save_svg(figure, path)
    short = re.sub(r"\b(\d{2,})\.\d", r"\1", path.read_text(encoding="utf-8"))  # pixels from 10 on
    short = re.sub(r"\n +", "\n", short).replace("; stroke-linecap: square", "")
    path.write_text(short.replace("\nL ", " L ").replace("\nz", "z"), encoding="utf-8")


def table(panel: Panel, lines: Lines) -> str:
    places = [f"{x:.2f}" if panel.axis == "load" else f"{x:g}" for x, _ in next(iter(lines.values()))]
    head = f"| {panel.title}, {panel.axis} | {' | '.join(places)} |"
    rows = [f"| {name} | {' | '.join(f'{share:.0%}' for _, share in points)} |" for name, points in lines.items()]
    return "\n".join([head, "|---" * (len(places) + 1) + "|", *rows])


def half(points: list[tuple[float, float]]) -> float:
    """The load at which half of the runs come back, between the points; the last load if more than half still do."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 >= 0.5 > y1:
            return x0 + (x1 - x0) * (y0 - 0.5) / (y0 - y1)
    return points[-1][0]


def write(found: Found, runs: int) -> None:
    """docs/unrolling.md and its plot."""
    draw(found, ROOT / "docs" / "unrolling.svg")
    trees = [lines for panel, lines in found.items() if panel.title.startswith("trees")]
    ends = {name: np.mean([half(lines[name]) for lines in trees]) for name in trees[0]}
    text = HEAD.format(runs=runs, machine=machine.describe())
    before = ""
    for panel, lines in found.items():
        if panel.about != before:
            text += f"\n\nOf the {panel.title.partition(' of ')[0]}: {panel.about}."
            before = panel.about
        text += f"\n\n{table(panel, lines)}"
        if panel.title == f"trees of depth {DEPTHS[-1]}":
            text += "\n\n" + TAIL.format(reach=", ".join(f"{load:.2f} ({name})" for name, load in ends.items()))
    (ROOT / "docs" / "unrolling.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="runs a point")
    runs = parser.parse_args().runs
    found = {}
    for panel in panels():
        found[panel] = panel.measure(runs)
        print(panel.title, found[panel], file=sys.stderr, flush=True)
    write(found, runs)


if __name__ == "__main__":
    main()
