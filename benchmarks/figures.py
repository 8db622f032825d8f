"""Measures the figures the project states and writes them down: no number of the tables is typed by hand.

python benchmarks/figures.py            measure all (an hour), write docs/figures.md, docs/guide/promises.md
python benchmarks/figures.py TOPIC ...  measure some topics only, and leave the others as they are
python benchmarks/figures.py --quick    measure in five minutes, and print only
python benchmarks/figures.py --rewrite  measure nothing: make the summaries again from the tables of docs/figures.md
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import machine
from figure import FULL, QUICK, SHORT, Figure, table

# Modules with FIGURES, and who is affected where one of them falls short: "you ...". They are imported late, when
# `machine.free_blas` has let the BLAS choose its kernels.
TOPICS = {
    "test_accuracy_of_recovery": "read attributes of runs whose structure you know",
    "test_accuracy_of_sparse": "read attributes that are mostly zero",
    "test_accuracy_of_unrolling": "rebuild runs from sketches alone",
    "test_accuracy_beyond_capacity": "read what is left of runs that do not fit",
    "test_accuracy_of_blocks": 'read sketches of the rotation "block"',
    "test_accuracy_of_raw_runs": "rebuild runs that are deep, wide, uneven or raw",
    "test_accuracy_of_statements": "rely on confidences, intervals and `complete`",
    "test_accuracy_of_rests": "read what tuples lack, as a sum",
    "test_accuracy_of_search": "search runs by their sketches",
    "test_accuracy_of_populations": "read counts, means and covariances from sums of sketches",
    "test_accuracy_of_concepts": "rely on concepts that emerge",
    "test_accuracy_of_learning": "learn modules from sketches",
    "test_accuracy_of_changes": "compare populations of runs, or wait for alarms",
    "test_accuracy_of_dictionary": "learn matrices that nobody told",
    "test_speed_of_recursion": "sketch millions of runs and count cores",
    "test_speed_of_batches": "sketch on several cores, or pack many small runs",
    "test_speed_of_reading": "read millions of sketches",
    "test_speed_of_unrolling": "unroll many sketches on several cores",
    "test_speed_of_fwht": "transform with `fwht`",
    "test_speed_of_sparse": "call `omp` or `htp`",
    "test_speed_of_scan": "call `scan`",
    "test_speed_of_populations": "add millions of sketches to a population",
    "test_speed_of_dictionary": "learn matrices from thousands of sketches",
    "test_speed_of_repository": "keep and search runs in a repository",
    "test_speed_of_capture": "record models as they run",
    "test_speed_of_projections": "project with `StructuredProjection`",
    "test_speed_of_hashing": "hash with `CountSketch` or `SparseProjection`",
    "test_speed_of_tensor": "use `TensorSketch`",
    "test_speed_of_pipeline": "sketch files of millions of runs",
    "test_speed_of_otlp": "read traces of OpenTelemetry",
    "test_speed_of_record": "record plain Python",
    "test_speed_of_import": "start a process for every run",
}
HEADLINES = (  # of docs/guide/promises.md: one for each thing the package does, whether it reaches its target or not
    "least squares, structure known, d = 4096: worst element error",
    "half the coordinates erased, d = 4096: worst element error",
    "summary, a = 32: mean relative error of a count",
    "sparse attributes, K/d = 0.31, N/d = 2.5, number not given: runs exact",
    "unrolled exactly, load up to 0.7, d = 4096",
    "unrolled exactly, chains of one module, a = 32, d = 4096",
    "unrolled exactly, 10 residual layers of 12 heads",
    "unrolled exactly, 50 inputs of one module, below 4 states",
    "unrolled exactly, norms of 1e-3, 1, 50 and 1e4 in one run",
    "unrolled exactly, softmax weights of σ = 4 over 16 inputs",
    "unrolled exactly with half of the coordinates erased, d = 1024",
    "unrolled exactly from float16, d = 1024",
    "DAGs with shared and look-alike objects, exact",
    "load 2, energy: objects of depth 1 found",
    "load 2, balanced: objects of depth 1 found",
    "ragged, raw norms: objects of confidence ≥ 0.95 that are right",
    "ragged, raw norms: complete, but not the whole run",
    "ragged, raw norms: 95% intervals hold",
    "unordered search, first hit, a line inserted in front",
    "an element falsely changed, lognormal",
    "found: ten elements of a path changed by 0.5 deviations each",
    "a monitor of alpha = 0.05 ever alarms, independent blocks",
    "runs until a mean that moved by 0.5 deviations of a run is told, median",
    "recursion over 84 objects, d = 4096, against the recursion in NumPy",
    "blind unrolling of 84 objects, d = 4096, load 0.35, against NumPy",
    "FWHT against fht-cpu, n = 4096, 1 MiB",
    "HD3HD2HD1 against scikit-learn SparseRandomProjection, 1024 features",
    "CountSketch against SciPy's CSR product, 1024 to 256",
    "tensor sketch against scikit-learn PolynomialCountSketch, 1024 to 1024",
    "OMP over scikit-learn, float32",
    "top-10 over the product alone, d = 512",
)
ROOT = Path(__file__).resolve().parents[1]
PROMISES = Path("docs/guide/promises.md")
EXPLAINED = """This page says how accurate and how fast the package was measured to be, figure by figure, and
which figures miss their targets. `benchmarks/figures.py` writes it; to measure again, run
`pip install '.[bench]'` and then that script.

Speeds are medians of CPU time over interleaved rounds on one thread, with random data and everything warmed up. A ratio
is the median of the ratios within a round. "short" marks a figure that misses its target. Targets of speed were set for
a processor with AVX-512; those of the transform, of projections and of scans are lower without it.
"""


@dataclass(frozen=True)
class Row:
    """A line of a table of docs/figures.md."""

    name: str
    target: str
    measured: str

    @property
    def short(self) -> bool:
        return self.measured.endswith(SHORT)

    @property
    def gap(self) -> float:
        """How many times the figure is off: the first number of what was measured against the target's bounds."""
        numbers = [[float(y) for y in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", x)] for x in (self.measured, self.target)]
        found, low, high = numbers[0][0], numbers[1][0], numbers[1][-1]
        if not low or not found:
            return math.inf
        above = found / high if self.target.startswith("≤") or " to " in self.target else 0.0
        return max(above, 0.0 if self.target.startswith("≤") else low / found)


def measure(topic: str, effort: int) -> list[Figure]:
    """All figures of a topic; stderr says how long each group of them took."""
    found: list[Figure] = []
    for group in import_module(topic).FIGURES:
        start = time.perf_counter()
        found += group(effort)
        print(f"{topic}.{group.__name__}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
    return found


def title(topic: str) -> str:
    return topic.removeprefix("test_").replace("_", " ").capitalize()


def sections(page: str) -> dict[str, str]:
    """What the page has of each topic: the line that says where it was measured, and its table."""
    parts = page.split("\n## ")[1:]
    by_title = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}
    return {topic: by_title[title(topic)] for topic in TOPICS if title(topic) in by_title}


def rows(section: str) -> Iterator[Row]:
    for line in section.partition("\n")[2].strip().splitlines()[2:]:
        yield Row(*line.strip("| ").split(" | ")[:3])


def headlines(found: dict[str, str]) -> str:
    """The figures of HEADLINES, below the machines that they were measured on."""
    lines, machines = ["| figure | target | measured |", "|---|---|---|"], {}
    for text in found.values():
        shown = [f"| {r.name} | {r.target} | {r.measured} |" for r in rows(text) if r.name in HEADLINES]
        if shown:
            lines += shown
            where = text.partition("\n")[0].partition(", openblas")[0]
            machines[where.removeprefix("Measured on ").removesuffix(".")] = None
    names = {r.name for text in found.values() for r in rows(text)}
    missing = [name for name in HEADLINES if name not in names]
    if missing and len(found) == len(TOPICS):
        raise SystemExit(f"HEADLINES: wanted names of figures; got {', '.join(map(repr, missing))}")
    return f"Measured on {'; and on '.join(machines)}.\n\n" + "\n".join(lines)


def shortfalls(found: dict[str, str], every: bool) -> str:
    """Who is affected by the figures that miss their targets; `every`: each of them, else each topic's furthest."""
    lines = ["| you are affected if you | short | " + ("which" if every else "the one that is furthest off") + " |"]
    lines.append("|---|---|---|")
    for topic, text in found.items():
        aimed = [r for r in rows(text) if r.target != "–"]
        short = sorted((r for r in aimed if r.short), key=lambda r: -r.gap)
        if short:
            told = [f"{r.name}: {r.measured.removesuffix(SHORT)}, wanted {r.target}" for r in short]
            shown = "<br>".join(told) if every else told[0]
            lines.append(f"| {TOPICS[topic]} | {len(short)} of {len(aimed)} | {shown} |")
    return "\n".join(lines)


def put_block(path: Path, name: str, text: str) -> None:
    """Replace what stands between <!-- name --> and <!-- /name -->; a file without them stays as it is."""
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if begin and end:
        path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def pyplot() -> Any:
    """matplotlib's pyplot, set up to draw files that differ only where what is drawn does."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "recsketch", "svg.fonttype": "none", "font.size": 9})
    return plt


def save_svg(figure: Any, path: Path) -> None:
    """Write a drawing, to tenths of a pixel and without metadata: small, and the same every time."""
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    short = re.sub(r"(\d\.\d)\d+", r"\1", path.read_text(encoding="utf-8"))
    path.write_text(re.sub(r"<metadata>.*?</metadata>\n", "", short, flags=re.S), encoding="utf-8")


def write(found: dict[str, str]) -> None:
    """docs/figures.md, and the tables of docs/guide/promises.md."""
    found = {topic: found[topic] for topic in TOPICS if topic in found}
    parts = [f"## Who is affected by what falls short\n\n{shortfalls(found, every=True)}"]
    parts += [f"## {title(topic)}\n\n{text}" for topic, text in found.items()]
    body = "\n\n".join(parts)
    (ROOT / "docs" / "figures.md").write_text(f"# Figures\n\n{EXPLAINED}\n{body}\n", encoding="utf-8")
    put_block(ROOT / PROMISES, "figures", f"{headlines(found)}\n\n{shortfalls(found, every=False)}")


def main() -> None:
    machine.free_blas()
    parser = argparse.ArgumentParser(description="Measure the figures; write docs/figures.md and its short form.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"some of {', '.join(TOPICS)} (default: all)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="five minutes instead of an hour, and print only")
    how.add_argument("--rewrite", action="store_true", help="measure nothing; write what docs/figures.md has again")
    args = parser.parse_args()
    unknown = sorted(set(args.topics) - set(TOPICS))
    if unknown:
        parser.error(f"wanted topics among {', '.join(TOPICS)}; got {', '.join(unknown)}")
    topics = [] if args.rewrite else args.topics or list(TOPICS)
    if len(topics) > 1:  # each in a process of its own: peers may change what all OpenMP of a process does
        for topic in topics:
            subprocess.run([sys.executable, __file__, topic, *(["--quick"] if args.quick else [])], check=True)
        return
    found = {}
    for topic in topics:
        found[topic] = f"Measured on {machine.describe()}.\n\n{table(measure(topic, QUICK if args.quick else FULL))}"
        print(found[topic], flush=True)
    if not args.quick:  # other topics may have been measured meanwhile
        write(sections((ROOT / "docs" / "figures.md").read_text(encoding="utf-8")) | found)


if __name__ == "__main__":
    main()
