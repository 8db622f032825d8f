"""A repository against what its work costs without it: runs are added, and the ten most alike are found.

Adding is measured against writing the same bytes to one file with fsync, by the wall clock, since most of it is waiting
for the disk; searching against the product of the same numbers in NumPy, with `argpartition` for a peer. For one query
the limit is the product of a matrix and a vector, which reads the rows once. 20,000 rows of 1,024; figures.md has those
of 100,000.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Contender, limit, ours
from figure import QUICK, SMOKE, Figure, at_most, share
from machine import blas, interleaved
from peers import faiss_search, optional
from test_accuracy_of_search import EDITS, MODULES, D, edited, new_page

import recsketch as rs

N, QUERIES, K = 20_000, 96, 10
ALL = {SMOKE: 2_000, QUICK: N}  # rows that are searched; otherwise the 100,000 of a small collection
ROUNDS = (1, 3, 9)


@lru_cache(maxsize=1)
def rows(n: int = N) -> Any:
    """Rows that have a good half in common, as sketches of one network's runs."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, D), np.float32) + rng.standard_normal(D, np.float32)


def queries(count: int, n: int = N) -> Any:
    rng = np.random.default_rng(1)
    return rows(n)[rng.integers(0, n, count)] + rng.standard_normal((count, D), np.float32)


SPEC = rs.SketchSpec(D, {"eye": 2})


def about(n: int = N) -> list[dict[str, int]]:
    return [{"part": i % 100} for i in range(n)]


class Filled:
    """A repository of the rows, in a folder of its own."""

    def __init__(self, dtype: str = "float32", threads: int = 1, n: int = N) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="recsketch-"))
        with rs.SketchRepository.open(self.folder / "r", SPEC, mode="a", dtype=dtype) as r:
            r.add(rows(n), metadata=about(n))
        self.open = rs.SketchRepository.open(self.folder / "r", threads=threads)

    def __enter__(self) -> rs.SketchRepository:
        return self.open

    def __exit__(self, *_: object) -> None:
        self.open.close()
        shutil.rmtree(self.folder)


def _written(path: Path, data: memoryview) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def adding(effort: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with rs.SketchRepository.open(place / "r", SPEC, mode="a", threads=1) as r:
            work = {
                "add": partial(r.add, rows(), metadata=about()),
                "write": partial(_written, place / "w", rows().data),
            }
            t = interleaved(work, ROUNDS[effort])
    ratio = float(np.median(t["add"].wall / t["write"].wall))
    speed = rows().nbytes / float(np.median(t["write"].wall)) / 1e6
    how = (
        f"{N} rows of {D} float32, a key and a number each: {N / t['add'].best:,.0f} a second; writing {speed:.0f} MB/s"
    )
    yield at_most("adding over writing the same bytes with fsync", 2, ratio, how)


def searching(effort: int) -> Iterator[Figure]:
    n = ALL.get(effort, 100_000)
    x, q = rows(n), queries(QUERIES, n)
    out = np.empty((QUERIES, n), np.float32)
    times = {}
    faiss = {name: search for name, ask in (("one", q[0]), ("many", q)) if (search := faiss_search(x, ask, K))}
    for dtype in ("float32", "float16", "int8", "int8+float16"):
        with Filled(dtype, n=n) as r:
            r.search(q[0], K)
            work = {
                "many": partial(r.search, q, K),
                "one": partial(r.search, q[0], K),
                "some": partial(r.search, q[0], K, {"part": 7}),
                "product": partial(np.matmul, q, x.T, out=out),
                "vector": partial(np.matmul, x, q[0]),
            }
            if dtype == "float32":
                work.update({f"faiss {name}": search for name, search in faiss.items()})
            times[dtype] = interleaved(work, ROUNDS[effort])
    t = times["float32"]
    how = f"{n} rows of {D}, one thread; {blas()}"
    if faiss:
        beside = ", ".join(f"{name} {t['faiss ' + name] / t[name]:.2f}" for name in faiss)
        yield Figure(f"faiss, flat, in memory: times of top-{K} over those of a repository", "", beside, how)
    yield at_most(f"top-{K} of {QUERIES} queries over the product alone", 1.2, t["many"] / t["product"], how, ".3g")
    yield at_most("one query over reading the rows once", 1 / 0.75, t["one"] / t["vector"], f"{how}: x @ q", ".3g")
    yield at_most(
        "one query over 1% of the rows, over one over all", 0.05, t["some"] / t["one"], f"{how}; {n // 100} rows"
    )
    parts = [f"{k} {u['one'].median / t['one'].median:.2f}" for k, u in times.items()]
    yield Figure("one query by type, over float32", "", ", ".join(parts), how)


def grouped(n: int) -> tuple[Any, Any]:
    """Rows of which 50 each are of a kind, as far from it as it is from the middle, and new ones of them."""
    rng = np.random.default_rng(2)
    kinds = rng.standard_normal((n // 50, D), np.float32) + rng.standard_normal(D, np.float32)
    x = kinds[rng.integers(0, len(kinds), n)]
    x += rng.standard_normal((n, D), np.float32)
    return x, kinds[rng.integers(0, len(kinds), QUERIES)] + rng.standard_normal((QUERIES, D), np.float32)


def approximate(effort: int) -> Iterator[Figure]:
    """What an index of faiss finds of the ten best of all rows, and how long that takes."""
    n = ALL.get(effort, 100_000)
    if optional("faiss") is None:
        return
    for what, (x, q) in {
        "rows in kinds of 50": grouped(n),
        "rows that are alike by chance": (rows(n), queries(QUERIES, n)),
    }.items():
        with tempfile.TemporaryDirectory() as folder:
            with rs.SketchRepository.open(f"{folder}/r", SPEC, mode="a") as r:
                r.add(x)
                start = time.perf_counter()
                r.build_index()
                made = time.perf_counter() - start
            with rs.SketchRepository.open(f"{folder}/r", threads=1) as r:
                truth = [{h.key for h in hits} for hits in r.search(q, K)]
                for probes in (1, 4, 16):
                    found = [{h.key for h in hits} for hits in r.search(q, K, probes=probes)]
                    recall = sum(len(a & b) for a, b in zip(truth, found, strict=True)) / K / QUERIES
                    t = interleaved(
                        {"exact": partial(r.search, q[0], K), "some": partial(r.search, q[0], K, probes=probes)},
                        ROUNDS[effort],
                    )
                    text = f"recall of the ten best {recall:.1%}, time over exact {t['some'] / t['exact']:.3f}"
                    how = f"{n} rows of {D}, {round(4 * n**0.5)} lists, one query, one thread; made in {made:.0f} s"
                    yield Figure(f"approximate, {what}, probes = {probes}", "", text, how)


OPENED = """
import json, sys, time
import numpy as np
import recsketch as rs
from recsketch import SketchRepository

def own():  # MB of this process that are no file's, which is what there must be room for beside the page cache
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("RssAnon"))

before, start = own(), time.perf_counter()
kept = SketchRepository.open(sys.argv[1], threads=1)
opened = time.perf_counter() - start
kept.search(np.ones(kept.spec.dim), 10)
print(json.dumps([1e3 * opened, own() - before]))
"""


def opening(effort: int) -> Iterator[Figure]:
    """A process opens a repository and searches it once: numbers of 64 int8, for it is their number that counts."""
    n, d = {SMOKE: 2_000, QUICK: 100_000}.get(effort, 1_000_000), 64
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        with rs.SketchRepository.open(f"{folder}/r", rs.SketchSpec(d, {"eye": 2}), mode="a", dtype="int8") as r:
            for _ in range(0, n, 2_000):
                r.add(rng.standard_normal((2_000, d), np.float32))
        if not os.path.exists("/proc/self/status"):
            return
        command = [sys.executable, "-c", OPENED, f"{folder}/r"]
        told = [
            json.loads(subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1])
            for _ in range(3)
        ]
    opened, own = np.median(told, axis=0)
    how = f"{n:,} rows of {d} int8, one thread, a process of its own"
    yield at_most("opening, in ms", 50, float(opened), how, ".3g")
    yield at_most("memory beside the page cache after a search, in MB", 200, float(own), how, ".3g")


def finding(effort: int) -> Iterator[Figure]:
    """Pages that were edited find the page they were made from; pages that have a line in common find each other."""
    count = {SMOKE: 100, QUICK: 1000}.get(effort, 4000)
    tries = min(count // 2, 500)
    rng = np.random.default_rng(0)
    pages = [new_page(rng) for _ in range(count)]
    spec = rs.SketchSpec(D, MODULES)
    with tempfile.TemporaryDirectory() as folder, rs.SketchRepository.open(f"{folder}/r", spec, mode="a") as r:
        keys = r.add([p.trace() for p in pages], objects=True)
        how = f"{tries} of {count} pages, d = {D}, by='order'"
        for name, (edit, least) in EDITS.items():
            found = r.search([edited(p, edit, rng) for p in pages[:tries]], 1, by="order")
            good = sum(hits[0].key == key for hits, key in zip(found, keys, strict=False))
            yield share(f"repository, first hit, {name}", least, good, tries, how)
        good = 0
        for p, key in zip(pages[:tries], keys, strict=False):  # a character, two levels below the page, seen again
            char = p.lines[-1].chars[0]
            noisy = char + 0.3 * np.linalg.norm(char) * rng.standard_normal(32).astype(np.float32) / np.sqrt(32)
            good += r.search_objects("char", noisy.astype(np.float32), 1)[0].key == key
        yield share("runs that contain an object of depth 3, first hit", 0.97, good, tries, "a third of noise added")
    yield from _quantised(effort)


def _quantised(effort: int) -> Iterator[Figure]:
    """The share of the ten best by float16 that int8, put in order by float16, finds."""
    q = queries({SMOKE: 4, QUICK: 50}.get(effort, 200))
    with Filled("float16") as exact, Filled("int8+float16") as quick, Filled("int8") as rough:
        truth = [{h.key for h in hits} for hits in exact.search(q, K)]
        good = [
            sum(len(want & {h.key for h in hits}) for want, hits in zip(truth, r.search(q, K), strict=True))
            for r in (quick, rough)
        ]
        how = f"{N} rows of {D}; by int8 alone {good[1] / K / len(q):.1%}"
        yield share("recall of the ten best, int8 put in order by float16", 0.98, good[0], K * len(q), how)


def linking(effort: int) -> Iterator[Figure]:
    """A reader's graph, which keeps nothing and so compares every row with every other; and one row more."""
    count = {SMOKE: 1000}.get(effort, 10_000)
    x = rows()[:count]
    out = np.empty((1000, count), np.float32)

    def product() -> None:
        for first in range(0, count, 1000):
            np.matmul(x[first : first + 1000], x.T, out=out)

    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/r"
        with rs.SketchRepository.open(place, SPEC, mode="a", threads=1) as r:
            r.add(x)
        with rs.SketchRepository.open(place) as reader:
            t = interleaved({"graph": reader.graph, "product": product}, ROUNDS[effort])
        with rs.SketchRepository.open(place, mode="a") as r:
            r.graph()
            r.add(x[0] + 1, "one more")
        with rs.SketchRepository.open(place) as reader:
            more = interleaved({"one": reader.graph, "none": partial(reader.graph, k=0)}, ROUNDS[effort])
    how = f"{count} rows of {D}: {t['graph'].median:.1f} s"
    yield Figure("graph of all rows over the product of all with all", "", f"{t['graph'] / t['product']:.2f}", how)
    how = f"then one row more: {more['one'].median:.2f} s, of which {more['none'].median:.2f} s read the index"
    yield Figure(
        "graph of one row more over that of all rows", "", f"{more['one'].median / t['graph'].median:.3f}", how
    )


FIGURES = (adding, searching, approximate, opening, finding, linking)


def _top(x: Any, q: Any) -> None:
    scores = q @ x.T
    best = np.argpartition(scores, -K)[:, -K:]
    np.take_along_axis(scores, best, axis=1)


CASES = {f"{N}x{D}, 1 query": 1, f"{N}x{D}, {QUERIES} queries": QUERIES}


@pytest.mark.parametrize("case", CASES)
def test_search(contest: Any, case: str) -> None:
    count = CASES[case]
    q = queries(count)
    with Filled() as one, Filled(threads=2) as two:
        work = ours(lambda k: partial((one if k == 1 else two).search, q, K))
        work["NumPy, argpartition"] = Contender(partial(_top, rows(), q))
        product = partial(np.matmul, rows(), q[0]) if count == 1 else partial(np.matmul, q, rows().T)
        contest({**work, **limit("product", product)}, 2 * N * D * count, "flop")
