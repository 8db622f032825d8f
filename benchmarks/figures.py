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
HEADLINES = (  # figures for the README: one for each thing it does, whether it is met or not
    "least squares, structure known, d = 4096: worst element error",
    "half the coordinates erased, d = 4096: worst element error",
    "summary, a = 32: mean relative error of a count",
    "sparse attributes, K/d = 0.31, N/d = 2.5, number not given: runs exact",
    "unrolled exactly, load up to 0.7, d = 4096",
    "unrolled exactly with half of the coordinates erased, d = 1024",
    "unrolled exactly from float16, d = 1024",
    "DAGs with shared and look-alike objects, exact",
    "pages of 7 lines of 20 to 50 characters, wiring unknown",
    "load 2: 95% intervals hold",
    "recursion over 84 objects, d = 4096, against the recursion in NumPy",
    "one object of the recursion in copies of d floats in L1, d = 4096",
    "blind unrolling of 84 objects, d = 4096, load 0.35, against NumPy",
    "FWHT against fht-cpu, n = 4096, 1 MiB",
    "FWHT, n = 4096, 64 MiB: share of in-place bandwidth, 1 thread",
    "HD3HD2HD1 against fht-cpu with signs, 1024 features",
    "HD3HD2HD1 against scikit-learn SparseRandomProjection, 1024 features",
    "CountSketch against SciPy's CSR product, 16384 to 1024",
    "SJLT, s = 8 against SciPy's CSR product, 16384 to 1024",
    "tensor sketch against scikit-learn PolynomialCountSketch, 1024 to 1024",
    "OMP over scikit-learn, float32",
    "HTP over OMP, K = 128",
    "top-10 over the product alone, d = 512",
    "float32 over int8 scan",
    "import over NumPy, ms",
)
ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
EXPLAINED = """Written by `benchmarks/figures.py`; to measure again: `pip install '.[bench]'`, then run it.

Speeds are medians of CPU time over interleaved rounds: one thread, random data, everything warmed up. Ratios are those
within a round. "short" marks what does not reach its target. Targets of speed were set for AVX-512, except where the
transform's are lower without it.
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
    """The figures of HEADLINES, one table a machine, and how many of all those with a target reach it."""
    tables: dict[str, list[str]] = {}
    names, targets, short = set(), 0, 0
    for text in found.values():
        where, _, rows = text.partition("\n")
        where = f"{where.partition(', openblas')[0].removesuffix('.')}."
        for line in rows.strip().splitlines()[2:]:
            name, target, measured = line.strip("| ").split(" | ")[:3]
            targets += target != "–"
            short += measured.endswith("**short**")
            if name in HEADLINES:
                names.add(name)
                tables.setdefault(where, []).append(f"| {name} | {target} | {measured} |")
    missing = [name for name in HEADLINES if name not in names]
    if missing and len(found) == len(TOPICS):
        raise SystemExit(f"HEADLINES: wanted names of figures; got {', '.join(map(repr, missing))}")
    head = "| figure | target | measured |\n|---|---|---|"
    parts = [f"{where}\n\n{head}\n" + "\n".join(rows) for where, rows in tables.items()]
    return "\n\n".join(
        [*parts, f"Of {targets} figures with a target, {short} fall short. All of them, and how they were"]
    )


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
    put_block(ROOT / "README.md", f"{summary(found)}\nmeasured: [docs/figures.md](docs/figures.md).")


if __name__ == "__main__":
    main()
