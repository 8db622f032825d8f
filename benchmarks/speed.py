"""How fast sketches are made and read, each time beside a peer or a limit measured in the same rounds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
from figure import Figure, at_least, at_most
from machine import interleaved, l1_copies
from peers import HyperTree, NumpyRecursion, numpy_fwht
from runs import Tree, full, full_batch, plain_modules, ragged, sketcher

import recsketch as rs
from recsketch.plan import plan

A, OBJECTS, RUNS = 64, 84, 32
COPIES = 2000
THREE = (1024, 4096, 16384)


def figures(quick: bool) -> list[Figure]:
    """All figures of speed."""
    return [
        *recursion(quick), *hypervectors(quick), *one_object(quick), *threads(quick), *structures(quick), *columns(quick),
        *readers(quick), *walsh(quick), *start(quick),
    ]  # fmt: skip


def recursion(quick: bool) -> Iterator[Figure]:
    """Sketches of 32 runs of 84 objects beside the same recursion in NumPy, and the share of the plan."""
    shares = []
    for d, target in zip(THREE, (60, 40, 28), strict=True):
        sk, batch, tree = sketcher(d), full_batch(RUNS), full(np.random.default_rng(0))
        peer, tuned = NumpyRecursion(d, A), NumpyRecursion(d, A, tuned=True)
        rows, one, many = peer.rows(tree), tuned.rows(tree), tuned.rows(tree, RUNS)
        t = interleaved(
            {
                "recsketch": lambda sk=sk, batch=batch: sk.sketch(batch),
                "plan": lambda sk=sk, batch=batch: plan(sk._core, sk.spec, batch, 1),
                "numpy": lambda peer=peer, tree=tree, rows=rows: peer.forward(tree, rows),
                "tuned": lambda peer=tuned, tree=tree, rows=one: peer.forward(tree, rows),
            },
            5 if quick else 31,
        )
        shares.append(f"{t['plan'] / t['recsketch']:.1%}")
        wide = interleaved({"wide": lambda peer=tuned, tree=tree, rows=many: peer.forward(tree, rows)}, 2 if quick else 5)["wide"]
        ours = t["recsketch"]
        tuned_best = min(t["tuned"] / ours * RUNS, wide.median / ours.median)
        how = f"one thread, batch of {RUNS} runs, depth 3, fan 4, a = {A}, 4 modules; {RUNS / ours.median:,.0f} runs a second"
        how += f"; against float32 NumPy, run by run or all {RUNS} at once, whichever is faster, {tuned_best:.0f}×"
        name = f"recursion over {OBJECTS} objects, d = {d}, against the recursion in NumPy"
        yield at_least(name, target, t["numpy"] / ours * RUNS, how)
    how = f"same batches, d = {', '.join(map(str, THREE))}"
    yield Figure("share of checking and ordering the batch", "", ", ".join(shares), how)


def hypervectors(quick: bool) -> Iterator[Figure]:
    """The same tree of hypervectors in torchhd, where it is installed."""
    for d in THREE:
        sk, batch, tree = sketcher(d), full_batch(RUNS), full(np.random.default_rng(0))
        try:
            peer = HyperTree(d, tree, A)
        except ImportError:
            yield Figure("recursion against torchhd MAP on the same tree", "≥ 9×", "not measured", "torch-hd is not installed")
            return
        with peer:
            work = {
                "recsketch": lambda sk=sk, batch=batch: sk.sketch(batch),
                "one": peer.work(),
                "given": peer.work(projected=True),
                "rows": peer.work(RUNS),
            }
            t = interleaved(work, 5 if quick else 15)
        ours = t["recsketch"]
        how = f"one thread, run by run, attributes of {A} numbers on both sides, {1 / t['one'].median:,.0f} runs a second; attributes given"
        how += f" as hypervectors {t['given'] / ours * RUNS:.1f}×; {RUNS} runs as rows of one tensor {t['rows'] / ours:.1f}×"
        name = f"recursion against torchhd MAP on the same tree, d = {d}"
        yield at_least(name, 9, t["one"] / ours * RUNS, how)


def one_object(quick: bool) -> Iterator[Figure]:
    """The time of one object in copies of d floats within L1."""
    for d in (1024, 4096):
        sk, batch = sketcher(d), full_batch(RUNS)
        copies = l1_copies(d, COPIES)
        t = interleaved({"sketch": lambda sk=sk, batch=batch: sk.sketch(batch), **copies}, 9 if quick else 41)
        name = min(copies, key=lambda n: t[n].median)
        found = {n: t["sketch"] / t[n] / (RUNS * OBJECTS) * COPIES for n in copies}
        speed = 8 * d * COPIES / t[name].median / 1e9
        how = f"{t['sketch'].median / RUNS / OBJECTS * 1e9:.0f} ns an object; copy by {name}, {speed:.0f} GB/s load and store"
        how += "".join(f"; in copies by {n} {found[n]:.1f}" for n in copies if n != name)
        yield at_most(f"one object of the recursion in copies of d floats in L1, d = {d}", 8, found[name], how, ".1f")


def threads(quick: bool) -> Iterator[Figure]:
    """Two threads against one, by the best wall time: whatever else runs on the machine can only slow them down."""
    if (os.cpu_count() or 1) < 2:
        yield Figure("two threads against one", "≥ 1.8×", "not measured", "one core")
        return
    for d, runs in ((1024, 256), (4096, 64)):
        batch = full_batch(runs)
        work = {n: lambda sk=sketcher(d, threads=n), batch=batch: sk.sketch(batch) for n in (1, 2)}
        t = interleaved({str(n): f for n, f in work.items()}, 60 if quick else 300, least=0.0)
        how = f"batch of {runs} runs of {OBJECTS} objects, best wall time of {t['1'].wall.size} interleaved rounds"
        yield at_least(f"two threads against one, d = {d}", 1.8, t["1"].best / t["2"].best, how)


def structures(quick: bool) -> Iterator[Figure]:
    """A batch in which every run has another structure, against batches of one of these structures each."""
    d, runs, rng = 4096, 64, np.random.default_rng(5)
    modules, sk = plain_modules(A), sketcher(4096)
    trees = [ragged(rng, list(modules.values()), objects=OBJECTS) for _ in range(runs)]
    same = [_batch(rng, [tree] * runs) for tree in trees[:: runs // 4]]
    work = {f"same {i}": lambda b=b: sk.sketch(b) for i, b in enumerate(same)}
    mixed = _batch(rng, trees)
    t = interleaved({"mixed": lambda: sk.sketch(mixed), **work}, 5 if quick else 15)
    one = sum(t[n].cpu for n in work) / len(work)
    ratio = float(np.median(t["mixed"].cpu / one))
    how = f"{runs} ragged runs of {OBJECTS} objects, d = {d}, all different, over the mean of four batches of one structure"
    yield at_most("time of a batch of different structures over one of the same", 1.05, ratio, how, ".2f")


def _batch(rng: np.random.Generator, trees: list[Tree]) -> rs.TraceBatch:
    return rs.TraceBatch.from_traces([tree.trace(rng, plain_modules(A)) for tree in trees])


def columns(quick: bool) -> Iterator[Figure]:
    """Packing Python traces into columns, against sketching them."""
    count = 1000 if quick else 10000
    for d, depth, fan in ((1024, 3, 4), (1024, 1, 4)):
        rng, modules, sk = np.random.default_rng(6), plain_modules(A), sketcher(d)
        traces = [full(rng, depth=depth, fan=fan).trace(rng, modules) for _ in range(count)]
        batch = rs.TraceBatch.from_traces(traces)
        work = {"pack": lambda ts=traces: rs.TraceBatch.from_traces(ts), "sketch": lambda b=batch: sk.sketch(b)}
        t = interleaved(work, 3 if quick else 7)
        how = f"{count:,} runs of {len(traces[0])} objects, a = {A}, d = {d}; {t['pack'].median / count * 1e6:.1f} µs a run"
        yield at_most(f"TraceBatch.from_traces over sketching, {len(traces[0])} objects a run", 2, t["pack"] / t["sketch"], how)


def readers(quick: bool) -> Iterator[Figure]:
    """Reading attributes back: the adjoint, the filter, and least squares."""
    for d, a in ((1024, 7), (4096, 31)):  # 84 objects at a load of about 0.65
        sk, batch = sketcher(d, a), full_batch(RUNS, a)
        s, p = sk.sketch(batch), plan(sk._core, sk.spec, batch, 1)
        x = np.empty(p.attributes, np.float32)
        work = {
            "sketch": lambda sk=sk, batch=batch: sk.sketch(batch),
            "adjoint": lambda p=p, s=s, x=x: p.adjoint(s, x, None, 1),
            "matched": lambda sk=sk, s=s, batch=batch: sk.recover(s, batch, "matched"),
            "lstsq": lambda sk=sk, s=s, batch=batch: sk.recover(s, batch),
        }
        t = interleaved(work, 3 if quick else 11)
        steps = statistics.median(r.iterations for r in sk.recover(s, batch))
        ratios = ", ".join(f"{n} {t[n] / t['sketch']:.3g}" for n in ("adjoint", "matched", "lstsq"))
        how = f"{RUNS} runs of {OBJECTS} objects, a = {a}, load {sk.load(batch[0]):.2f}; lstsq {t['lstsq'].median / RUNS * 1e3:.2f} ms"
        how += f" a run, median {steps:g} iterations"
        yield Figure(f"reading over sketching, d = {d}", "", ratios, how)


def walsh(quick: bool) -> Iterator[Figure]:
    """The transform beside butterflies in NumPy, a product with SciPy's matrix, and a copy of the same bytes."""
    try:
        from scipy.linalg import hadamard
    except ImportError:
        hadamard = None
    for n, rows in ((256, 1024), (4096, 64), (4096, 4096)):
        x = np.random.default_rng(n).standard_normal((rows, n)).astype(np.float32)
        y, z = x.copy(), np.empty_like(x)
        work = {
            "recsketch": lambda x=x: rs.transforms.fwht(x, overwrite=True, threads=1),
            "NumPy butterflies": lambda y=y: numpy_fwht(y),
            "copy of the same bytes": lambda x=x, z=z: np.copyto(z, x),
        }
        if hadamard is not None and n <= 256:
            work["product with scipy.linalg.hadamard"] = lambda x=x, z=z, h=hadamard(n, np.float32): np.matmul(x, h, out=z)
        t = interleaved(work, 5 if quick else 15)
        found = ", ".join(f"{name} {t[name] / t['recsketch']:.3g}×" for name in work if name != "recsketch")
        how = f"{rows} rows float32, one thread, in place; {8 * n * rows / t['recsketch'].median / 1e9:.0f} GB/s load and store"
        yield Figure(f"time over that of fwht, n = {n}, {rows * n * 4 / 2**20:g} MiB", "", found, how)


IMPORT = """
import numpy, time
w, c = time.perf_counter(), time.process_time()
import recsketch
print(time.perf_counter() - w, time.process_time() - c)
"""
EDITABLE = "import recsketch, sys; print(any('editable' in type(f).__module__.lower() for f in sys.meta_path))"


def start(quick: bool) -> Iterator[Figure]:
    """What importing the package costs a program that has NumPy already."""
    name, command = "import over NumPy, ms", [sys.executable, "-c"]
    if "True" in subprocess.run([*command, EDITABLE], capture_output=True, text=True, check=True).stdout:
        yield Figure(name, "≤ 5", "not measured", "an editable install builds as it is imported")
        return
    times = []
    for _ in range(9 if quick else 41):
        out = subprocess.run([*command, IMPORT], capture_output=True, text=True, check=True).stdout
        times.append([float(x) * 1e3 for x in out.split()])
    wall, cpu = zip(*times, strict=True)
    how = f"CPU time, median of {len(times)} fresh processes, compiled files warm; wall {statistics.median(wall):.1f}, fastest {min(wall):.1f}"
    yield at_most(name, 5, statistics.median(cpu), how, ".1f")
