"""Students that learn from sketches beside networks trained end to end, over the number of runs. Writes the table in
docs/learning.md and its plot.

python benchmarks/learning_curve.py          needs matplotlib and scikit-learn, from pip install '.[bench]'; six minutes
python benchmarks/learning_curve.py --quick  a minute, and print only
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import machine

machine.free_blas()

from figures import put_block, pyplot, save_svg  # noqa: E402  # after the BLAS is free to choose its kernels
from learned import Lesson  # noqa: E402
from teachers import NETWORKS, OWN_SHAPE, Teacher, shown  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RUNS = (250, 500, 1000, 2000, 4000, 8000)
EPOCHS = 150
BITS = (0.02, 0.05, 0.1, 0.2, 0.4)  # ticks
BEST = ((96, 96, 96), "relu", 1e-4), OWN_SHAPE, ((128, 128, 128), "tanh", 1e-4)  # of NETWORKS, at 8,000 runs
TITLES = {False: "modules of bits: output bits wrong", True: "modules of numbers: variance unexplained"}

Lines = dict[str, list[float]]


def measure(smooth: bool, sizes: tuple[int, ...], epochs: int) -> Lines:
    found: Lines = {}
    for n in sizes:
        lesson = Lesson(Teacher(seed=0, smooth=smooth), n)
        packed, mask = lesson.half_of_int8()
        students = {"student": lesson.student(), "student, int8, half erased": lesson.student(packed, mask)}
        values = {name: lesson.wrong(s.predict(lesson.new)) for name, s in students.items()}
        values["student, ridge"] = lesson.wrong(lesson.student(estimator="ridge").predict(lesson.new))
        for network, (wrong, _) in zip(BEST, lesson.end_to_end(epochs, BEST), strict=True):
            values[f"end to end, {shown(network)}"] = wrong
        for name, value in values.items():
            found.setdefault(name, []).append(value)
        print(TITLES[smooth], n, values, file=sys.stderr, flush=True)
    return found


def table(title: str, sizes: tuple[int, ...], lines: Lines) -> str:
    head = f"| {title}, by runs | {' | '.join(f'{n:,}' for n in sizes)} |\n" + "|---" * (len(sizes) + 1) + "|"
    return "\n".join([head, *(f"| {name} | {' | '.join(map(_short, v))} |" for name, v in lines.items())])


def _short(x: float) -> str:
    return f"{x:.3f}" if x >= 0.001 else f"{x:.0e}"


def draw(sizes: tuple[int, ...], found: dict[bool, Lines], path: Path) -> None:
    from matplotlib.ticker import NullLocator

    figure, axes = pyplot().subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for ax, (smooth, lines) in zip(axes, found.items(), strict=True):
        for (name, values), mark in zip(lines.items(), "osD^vx", strict=True):
            style = "--" if name.startswith("end") else "-"
            ax.loglog(sizes, values, style, marker=mark, markersize=3.5, linewidth=1.2, label=name)
        title, _, axis = TITLES[smooth].partition(": ")
        ax.set(title=title, xlabel="runs", ylabel=axis, xticks=sizes, xticklabels=[f"{n:,}" for n in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        if not smooth:
            ax.set(yticks=BITS, yticklabels=map(str, BITS))
            ax.yaxis.set_minor_locator(NullLocator())
        ax.grid(alpha=0.3)
        ax.legend(frameon=False, fontsize=8)
    save_svg(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three sizes and ten epochs, and print only")
    quick = parser.parse_args().quick
    sizes, epochs = (RUNS[:3], 10) if quick else (RUNS, EPOCHS)
    assert set(BEST) <= set(NETWORKS)
    found = {smooth: measure(smooth, sizes, epochs) for smooth in TITLES}
    text = f"Measured on {machine.describe()}. End to end: {epochs} epochs at most.\n\n"
    text += "\n\n".join(table(TITLES[smooth], sizes, lines) for smooth, lines in found.items())
    print(text)
    if not quick:
        put_block(ROOT / "docs" / "learning.md", "learned", text)
        draw(sizes, found, ROOT / "docs" / "learning.svg")


if __name__ == "__main__":
    main()
