"""Writes tests/goldens: run by hand, from this directory, when a format version changes and never otherwise.

    python make_goldens.py reference    words.json, matrices.json: from the reference alone
    python make_goldens.py bits         bits.json: digests of what recsketch computes, one machine for all

A reader of the diff should see words.json and matrices.json unchanged unless docs/format.md names a new version.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import reference as ref

HERE = Path(__file__).resolve().parent / "goldens"
SEEDS = (0, 7, 2**32 + 1, 2**64 - 1)
PAPER = {"rotation": "hadamard", "attributes": "linear", "weighting": "linear", "scaling": "paper", "angle": 45.0}
BITS: dict[str, dict[str, Any]] = {
    "default": {},
    "energy": {"attributes": "linear", "weighting": "energy", "signature": 3},
    "hadamard": {"rotation": "hadamard", "balance": 0.8, "spread": 0.2},
    "paper": PAPER,
    "bag": {"attributes": "linear", "weighting": "count", "ordered": False, "scales": {"line": 0.3}},
    "block": {"rotation": "block", "max_inputs": 8, "signature": 2},
    "block, 64": {"rotation": "block", "block_size": 64, "blocks_per_column": 3, "attributes": "linear", "spread": 0.0},
}
DIMS = {"block": (1024, 8192), "block, 64": (4096,)}  # of the others 64, 1024 and 8192
MODULES = {"char": 7, "line": 33, "page": 16, "wide": 200, "ä": 1}


def digest(array: Any, dtype: str) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).astype(dtype).tobytes()).hexdigest()


def words() -> list[dict[str, Any]]:
    rows = []
    names = [("position", "0"), ("position", "15"), ("module", "line"), ("branch", "attr"), ("branch", "in/1")]
    for role, name in [*names, ("embedding", "ä"), ("counter", "page")]:
        for seed in SEEDS:
            for part in (0, 1, 2):
                w = ref.stream_words(seed, ref.stream(role, name), part, 4099)
                rows.append({"role": role, "name": name, "seed": seed, "part": part, "words": 4099})
                rows[-1]["sha256"] = digest(w, "<u4")
    return rows


def specs() -> list[ref.RefSpec]:
    """Angle 90 degrees: a transparent operator is its rotation, so that its signs can be read off."""
    blocks = ({"dim": 1024, "block_size": 32, "blocks_per_column": 2}, {"dim": 2048, "block_size": 64})
    few = {"line": 33, "page": 16, "ä": 1}  # whose matrices are quickly made
    return [
        ref.RefSpec(dim, MODULES, seed, max_inputs=3, angle=90.0, rotation=rotation)
        for dim in (64, 128)
        for seed in SEEDS[1:3]
        for rotation in ("skew", "hadamard")
    ] + [
        ref.RefSpec(modules=few, seed=seed, max_inputs=3, angle=90.0, rotation="block", **{"blocks_per_column": 3, **b})
        for b in blocks
        for seed in SEEDS[1:3]
    ]


def operators(spec: ref.RefSpec) -> list[tuple[str, str]]:
    places = [("position", str(i)) for i in range(spec.max_inputs)]
    return [
        *places,
        *[("module", m) for m in spec.modules],
        ("branch", "attr"),
        *[("branch", name) for name in spec.in_names],
    ]


def signature(matrix: Any) -> str:
    """Digest of the signs (-1, 0, 1) of a matrix; entries below 1e-6 are zero."""
    m = np.asarray(matrix)
    return digest(np.where(np.abs(m) < 1e-6, 0, np.sign(m)), "<i1")


def matrices() -> list[dict[str, Any]]:
    rows = []
    for spec in specs():
        row: dict[str, Any] = {"dim": spec.dim, "seed": spec.seed, "rotation": spec.rotation, "operators": {}}
        if spec.rotation == "block":
            row |= {"block_size": spec.block_size, "blocks_per_column": spec.blocks_per_column}
        for role, name in operators(spec):
            row["operators"][f"{role}/{name}"] = signature(spec.rotated(role, name))
        row["embeddings"] = {m: signature(spec.embedding(m)) for m in spec.modules}
        row["counters"] = {m: signature(spec.counter(m)) for m in spec.modules}
        rows.append(row)
    return rows


def traces(spec: Any, seed: int, count: int) -> list[Any]:
    """Runs made of integer arithmetic only, so that no libm has a say in them."""
    import recsketch as rs

    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        t = rs.Trace()
        for n in range(int(rng.integers(1, 12))):
            names = list(spec.modules)
            name = names[int(rng.integers(len(names)))]
            x = rng.integers(-(2**20), 2**20, size=spec.modules[name]).astype(np.float32) / np.float32(2**21)
            k = int(rng.integers(0, min(n, 5) + 1))
            inputs = [int(i) for i in rng.integers(0, n, size=k)] if k else []
            t.add(name, x, inputs=inputs, weights=[int(w) for w in rng.integers(1, 9, size=k)] if k else None)
        t.outputs([len(t) - 1, int(rng.integers(0, len(t)))])
        out.append(t)
    return out


def bits(threads: int = 1) -> dict[str, str]:
    """Digests of a fixed set of outputs: must be equal for all threads, instruction sets and architectures."""
    import recsketch as rs
    from recsketch.transforms import fwht

    out: dict[str, str] = {}
    for kind, options in BITS.items():
        for dim in DIMS.get(kind, (64, 1024, 8192)):
            spec = rs.SketchSpec(dim, MODULES, 7, **options)
            sk = rs.Sketcher(spec, threads=threads)
            runs = traces(spec, dim, 9)
            s = sk.sketch(runs)
            key = f"{kind}/{dim}"
            out[f"{key}/sketch"] = digest(s, "<f4")
            for method in ("matched", "paper", "lstsq") if spec.ordered else ():
                with warnings.catch_warnings():  # beyond capacity too the bits are fixed
                    warnings.simplefilter("ignore", rs.CapacityWarning)
                    found = sk.recover(s, runs, method=method)
                flat = np.concatenate([np.nan_to_num(a, nan=-7.0) for r in found for a in r.attributes])
                out[f"{key}/{method}"] = digest(flat, "<f4")
    rng = np.random.default_rng(1)
    for log in (4, 5, 8, 9, 11, 12, 13, 14, 16):
        x = rng.integers(-(2**20), 2**20, size=(5, 1 << log)).astype(np.float32)
        out[f"fwht/float32/{1 << log}"] = digest(fwht(x, threads=threads), "<f4")
        out[f"fwht/float64/{1 << log}"] = digest(fwht(x.astype(np.float64), threads=threads), "<f8")
    return out


def main(what: str) -> None:
    tables = {"reference": {"words": words, "matrices": matrices}, "bits": {"bits": bits}}[what]
    HERE.mkdir(exist_ok=True)
    for name, make in tables.items():
        (HERE / f"{name}.json").write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
