"""Measures the figures the project states and writes them down: no number of the table is typed by hand.

python benchmarks/figures.py            measure (about five minutes), write docs/figures.md and the README's table
python benchmarks/figures.py --quick    measure in a minute, and print only
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

import machine
from figure import FULL, QUICK, Figure, table

TOPICS = (  # modules with FIGURES; imported only when the BLAS is free to choose its kernels
    "test_accuracy_of_recovery",
    "test_speed_of_recursion",
    "test_speed_of_batches",
    "test_speed_of_reading",
    "test_speed_of_fwht",
    "test_speed_of_projections",
    "test_speed_of_hashing",
    "test_speed_of_tensor",
    "test_speed_of_import",
)
ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
EXPLAINED = """Written by `benchmarks/figures.py`; to measure again: `pip install '.[bench]'`, then run it.

Speeds are medians of CPU time over interleaved rounds: one thread, random data, everything warmed up. Ratios are those
within a round. "short" marks what does not reach its target.
"""


def measure(quick: bool) -> list[Figure]:
    """All figures, each group announced on stderr as it is done."""
    found: list[Figure] = []
    for name in TOPICS:
        for group in import_module(name).FIGURES:
            start = time.perf_counter()
            found += group(QUICK if quick else FULL)
            seconds = time.perf_counter() - start
            print(f"{name}.{group.__name__}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return found


def put_block(path: Path, text: str) -> None:
    """Replace what stands between the markers; a file without them stays as it is."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    machine.free_blas()
    parser = argparse.ArgumentParser(description="Measure the figures; write docs/figures.md and the README's table.")
    parser.add_argument("--quick", action="store_true", help="a minute instead of several, and print only")
    quick = parser.parse_args().quick
    figures = measure(quick)
    where = f"Measured on {machine.describe()}."
    text = f"{where}\n\n{table(figures)}"
    print(text)
    if not quick:
        (ROOT / "docs" / "figures.md").write_text(f"# Figures\n\n{EXPLAINED}\n{text}\n", encoding="utf-8")
        short = table([f for f in figures if f.target], how=False)
        put_block(ROOT / "README.md", f"{where} How, and more: [docs/figures.md](docs/figures.md).\n\n{short}")


if __name__ == "__main__":
    main()
