"""Trials of specifications that were fitted to runs as they come. Writes the table in docs/trial.md.

python benchmarks/trials.py FILE.npz ...   pages of digits and the runs in these files, as TraceBatch.save writes them
python benchmarks/trials.py --print ...    print only

A specification is fitted to every second run of a kind, nothing else being known, and tried on the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import machine

machine.free_blas()

import numpy as np  # noqa: E402  # after the BLAS is free to choose its kernels
from figures import put_block  # noqa: E402

import recsketch as rs  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PAGES = 48


def kinds(files: list[Path]) -> Iterator[tuple[str, rs.TraceBatch]]:
    from recsketch.datasets import PageNetwork, make_pages

    network = PageNetwork()
    yield "pages of digits", rs.TraceBatch.from_traces(network(page.image) for page in make_pages(PAGES, seed=0))
    for file in files:
        yield file.stem.replace("_", " "), rs.TraceBatch.load(file)


def row(name: str, runs: rs.TraceBatch, seed: int) -> list[str]:
    pilot, others = runs[np.arange(0, len(runs), 2)], runs[np.arange(1, len(runs), 2)]
    spec = rs.SketchSpec.fitted(pilot, seed=seed)
    found = rs.trial(spec, others, sample=None)
    norms = [m.norms for m in found.modules]
    objects = np.diff(others.objects)
    stored = [f"{int(s.whole.sum())} of {s.whole.size}, {worst(s.error)}" for s in found.stored]
    return [
        name,
        span(objects.min(), objects.max(), "d"),
        span(min(low for low, _ in norms), max(high for _, high in norms), ".3g"),
        f"{spec.dim:,}" + f", signature {spec.signature}" * bool(spec.signature),
        span(found.load_by_uses.min(), found.load_by_uses.max(), ".2f"),
        *stored,
        " / ".join(f"{s.bytes:,.0f}" for s in found.stored),
        f"{found.columns:,.0f} / {found.zipped:,.0f}",
    ]


def worst(errors: np.ndarray) -> str:
    known = errors[~np.isnan(errors)]
    return f"{known.max():.1g}" if known.size else "none found"


def span(low: float, high: float, form: str) -> str:
    return " to ".join(dict.fromkeys(format(x, form) for x in (low, high)))


HEAD = ["runs", "objects", "norms", "d", "load by uses", "float32", "float16", "int8", "bytes of these", "of columns"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Try fitted specifications on runs: writes the table in docs/trial.md."
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="runs, as TraceBatch.save writes them")
    parser.add_argument("--print", action="store_true", help="write nothing")
    parser.add_argument("--seed", type=int, default=0, help="of the specifications (default: %(default)s)")
    args = parser.parse_args()
    lines = [HEAD, ["---"] * len(HEAD), *(row(name, runs, args.seed) for name, runs in kinds(args.files))]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    print(text)
    if not args.print:
        put_block(ROOT / "docs" / "trial.md", "trials", text)


if __name__ == "__main__":
    main()
