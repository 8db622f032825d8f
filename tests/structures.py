"""What an unrolled sketch is compared with: objects by their paths from the outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import reference as ref

import recsketch as rs

LENGTHS = {"m7": 7, "m16": 16, "m20": 20, "m24": 24, "m33": 33}


class Use(NamedTuple):
    module: str
    attribute: np.ndarray
    weight: float  # its share of its tuple
    number: int


def uses(run: Any) -> dict[tuple[int, ...], Use]:
    """Every use of every object of a RefTrace, a Trace or an Unrolled, by its path of positions."""
    out: dict[tuple[int, ...], Use] = {}

    def walk(ids: Any, weights: Any, lead: tuple[int, ...]) -> None:
        w = np.ones(len(ids)) if weights is None else np.asarray(weights, np.float64)
        # what is missing of a tuple of an Unrolled counts: its weights are shares already
        total = 1.0 if isinstance(run, rs.Unrolled) else w.sum()
        for k, (i, v) in enumerate([(i, v) for i, v in zip(ids, w, strict=True) if v > 0]):
            o = run.objects[i]
            out[(*lead, k)] = Use(o.module, np.asarray(o.attribute, np.float64), float(v / total), i)
            walk(o.inputs, o.weights, (*lead, k))

    if isinstance(run, rs.Trace):
        walk(run.output_ids, run.output_weights, ())
    else:
        walk(run.outputs, run.weights, ())
    return out


class Comparison(NamedTuple):
    right: int  # uses found, their modules and positions right
    missed: int
    false: int
    error: float  # the largest of an attribute's element over the attribute's norm, or of what is right
    weight: float  # the largest of a weight


def compare(found: rs.Unrolled, run: Any) -> Comparison:
    truth, got = uses(run), uses(found)
    right = [p for p in truth if p in got and got[p].module == truth[p].module]
    errors = [
        float(np.abs(got[p].attribute - truth[p].attribute).max()) / (float(np.linalg.norm(truth[p].attribute)) or 1.0)
        for p in right
    ]
    weights = [abs(got[p].weight - truth[p].weight) for p in right]
    return Comparison(
        len(right), len(truth) - len(right), len(got) - len(right), max(errors, default=0.0), max(weights, default=0.0)
    )


def exact(found: rs.Unrolled, run: Any, tolerance: float = 1e-3) -> bool:
    """Every module and position right, nothing else, attributes and weights within the tolerance; and it says so."""
    got = compare(found, run)
    return got.missed == got.false == 0 and max(got.error, got.weight) <= tolerance and found.complete


def loaded(build: Any, seed: int, spec: ref.RefSpec, low: float, high: float, depth: int = 3, fan: int = 4) -> Any:
    """A ragged tree with Dirichlet(4) weights whose load lies in [low, high]; attributes of norm 1 / scale."""
    rng = np.random.default_rng(seed)
    for _ in range(5000):
        trace = build.tree(rng, spec, depth, fan, ragged=True)
        if low <= ref.load(spec, trace) <= high:
            return ref.RefTrace(
                tuple(o._replace(attribute=o.attribute / np.float32(spec.scale(o.module))) for o in trace.objects),
                *trace[1:],
            )
    raise AssertionError("no such tree")


def chosen(seed: int, modules: dict[str, int], name: str) -> np.ndarray:
    """A Gaussian direction of norm one."""
    x = np.random.default_rng(seed).standard_normal(modules[name])
    return np.asarray(x / np.linalg.norm(x), np.float32)
