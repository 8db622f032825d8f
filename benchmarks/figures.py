"""Measures the figures the project states and writes them down: no number of the tables is typed by hand.

python benchmarks/figures.py            measure all (fifteen minutes), write docs/figures.md and the README's table
python benchmarks/figures.py TOPIC ...  measure some topics only, and leave the others as they are
python benchmarks/figures.py --quick    measure in two minutes, and print only
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
    "test_accuracy_of_sparse",
    "test_accuracy_of_unrolling",
    "test_speed_of_recursion",
    "test_speed_of_batches",
    "test_speed_of_reading",
    "test_speed_of_unrolling",
    "test_speed_of_fwht",
    "test_speed_of_sparse",
    "test_speed_of_scan",
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


def measure(topic: str, effort: int) -> list[Figure]:
    """All figures of a topic, each group announced on stderr as it is done."""
    found: list[Figure] = []
    for group in import_module(topic).FIGURES:
        start = time.perf_counter()
        found += group(effort)
        print(f"{topic}.{group.__name__}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return found


def title(topic: str) -> str:
    return topic.removeprefix("test_").replace("_", " ").capitalize()


def sections(page: str) -> dict[str, str]:
    """What the page has of each topic: where it was measured, and its table."""
    parts = page.split("\n## ")[1:]
    by_title = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}
    return {topic: by_title[title(topic)] for topic in TOPICS if title(topic) in by_title}


def summary(found: dict[str, str]) -> str:
    """The figures with a target, without how they were measured, one table a machine."""
    tables: dict[str, list[str]] = {}
    for text in found.values():
        where, _, rows = text.partition("\n")
        cells = [line.strip("| ").split(" | ") for line in rows.strip().splitlines()[2:]]
        tables.setdefault(where, []).extend(f"| {' | '.join(c[:3])} |" for c in cells if c[1] != "–")
    head = "| figure | target | measured |\n|---|---|---|"
    return "\n\n".join(f"{where}\n\n{head}\n" + "\n".join(rows) for where, rows in tables.items() if rows)


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
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"some of {', '.join(TOPICS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="two minutes instead of fifteen, and print only")
    args = parser.parse_args()
    unknown = sorted(set(args.topics) - set(TOPICS))
    if unknown:
        parser.error(f"wanted topics among {', '.join(TOPICS)}; got {', '.join(unknown)}")
    path = ROOT / "docs" / "figures.md"
    found = sections(path.read_text(encoding="utf-8"))
    for topic in args.topics or TOPICS:
        found[topic] = f"Measured on {machine.describe()}.\n\n{table(measure(topic, QUICK if args.quick else FULL))}"
        print(found[topic], flush=True)
    if args.quick:
        return
    found = {topic: found[topic] for topic in TOPICS if topic in found}
    body = "\n\n".join(f"## {title(topic)}\n\n{text}" for topic, text in found.items())
    path.write_text(f"# Figures\n\n{EXPLAINED}\n{body}\n", encoding="utf-8")
    put_block(ROOT / "README.md", f"{summary(found)}\n\nHow, and more: [docs/figures.md](docs/figures.md).")


if __name__ == "__main__":
    main()
