"""How many columns are learned from sketches alone, over everything that matters. Writes the table in docs/learning.md
and its plot.

python benchmarks/dictionary_curve.py          needs matplotlib, from pip install '.[bench]'; ten minutes
python benchmarks/dictionary_curve.py --quick  one seed a point, and print only
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import machine

machine.free_blas()

from coded import LEVELS, Coded  # noqa: E402  # after the BLAS is free to choose its kernels
from figures import put_block, pyplot, save_svg  # noqa: E402
from test_accuracy_of_dictionary import learned  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SKETCHES = (25, 50, 100, 200, 400, 800, 1600)
NOISE = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4)
DENSITY = (1, 2, 4, 8, 16, 32)
DEPTH = (1, 2, 3)


class Point(NamedTuple):
    panel: str
    line: str
    x: float
    strings: float
    share: float
    false: int


def points(seeds: int) -> Iterator[Point]:
    def at(panel: str, line: str, x: float, case: Coded, n: int = 600, noise: float = 0.0) -> Point:
        scores = [learned(case, n, seed, noise, operators=False)[0] for seed in range(seeds)]
        share = sum(s.exact for s in scores) / sum(s.exact + s.missing for s in scores)
        return Point(panel, line, x, case.strings, share, sum(s.false for s in scores))

    for levels in (1, 2, 3):
        for n in SKETCHES:
            yield at("sketches", f"{levels} levels" if levels > 1 else "1 level", n, Coded(LEVELS[:levels]), n)
    for r in (1, 2):
        for noise in NOISE:
            yield at("noise", f"r = {r}", noise, Coded(blocks=r), noise=noise)
    for dim in (1024, 4096, 16384):
        for k in DENSITY:
            yield at("elements that are not zero", f"d = {dim:,}", k, Coded(LEVELS[:1], dim=dim, nonzero=k))
    for angle in (60.0, 75.0, 85.0):
        for r in (1, 2):
            for depth in DEPTH:
                case = Coded(LEVELS[:depth], angle=angle, blocks=r)
                yield at("levels", f"{angle:.0f}°, r = {r}", depth, case)


def tables(found: list[Point]) -> str:
    out = []
    for panel in dict.fromkeys(p.panel for p in found):
        own = [p for p in found if p.panel == panel]
        xs = sorted({p.x for p in own})
        head = f"| {panel} | {' | '.join(f'{x:g}' for x in xs)} |\n" + "|---" * (len(xs) + 1) + "|"
        rows = []
        for line in dict.fromkeys(p.line for p in own):
            cells = {p.x: f"{p.share:.1%}".replace("100.0%", "100%") for p in own if p.line == line}
            rows.append(f"| {line} | {' | '.join(cells.get(x, '–') for x in xs)} |")
        out.append("\n".join([head, *rows]))
    return "\n\n".join(out)


def draw(found: list[Point], path: Path) -> None:
    figure, axes = pyplot().subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
    for ax, panel in zip(axes, ("sketches", "noise"), strict=False):
        own = [p for p in found if p.panel == panel]
        for line, mark in zip(dict.fromkeys(p.line for p in own), "osD", strict=False):
            xy = [(p.x, p.share) for p in own if p.line == line]
            ax.plot(*zip(*xy, strict=True), marker=mark, markersize=3.5, linewidth=1.2, label=line)
        ax.set(title=f"columns by {panel}", xlabel=panel)
        ax.legend(frameon=False, fontsize=8)
    axes[0].set(xscale="log", xticks=SKETCHES, xticklabels=[str(n) for n in SKETCHES], ylabel="columns right")
    axes[0].minorticks_off()
    for panel, mark in (("elements that are not zero", "o"), ("levels", "s")):
        xy = [(p.strings, p.share) for p in found if p.panel == panel]
        axes[2].plot(*zip(*xy, strict=True), mark, markersize=3.5, label=panel)
    axes[2].axvline(3.0, color="0.6", linewidth=0.8)
    axes[2].set(title="columns by strings in a block", xlabel="λ", xscale="log")
    axes[2].legend(frameon=False, fontsize=8)
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.set_ylim(-0.03, 1.03)
    save_svg(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed a point, and print only")
    quick = parser.parse_args().quick
    seeds, found = 1 if quick else 3, []
    for p in points(seeds):
        found.append(p)
        print(p, file=sys.stderr, flush=True)
    false = sum(p.false for p in found)
    text = (
        f"Measured on {machine.describe()}. A point is {seeds} seeds; of all columns that were given, {false} are not"
    )
    text += f" there.\n\n{tables(found)}"
    print(text)
    if not quick:
        put_block(ROOT / "docs" / "learning.md", "coded", text)
        draw(found, ROOT / "docs" / "dictionary.svg")


if __name__ == "__main__":
    main()
