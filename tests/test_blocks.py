"""The block family against the reference: strings, operators, embeddings, sketches, and how they are read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref

UNIT = 2.0**-24
D = 1024
MODULES = {"a": 3, "b": 20, "c": 9}


def spec_of(**more: Any) -> ref.RefSpec:
    """The shortest sketches there are, 32 blocks of 32."""
    options: dict[str, Any] = {"dim": D, "modules": MODULES, "seed": 5, "max_inputs": 4, "angle": 75.0}
    return ref.RefSpec(**{**options, "rotation": "block", "block_size": 32, "blocks_per_column": 2, **more})


@pytest.mark.parametrize(
    ("dim", "size", "column"), [(1024, 32, 1), (1024, 32, 2), (2048, 32, 3), (2048, 64, 2), (4096, 64, 5)]
)
def test_embeddings_are_those_of_the_reference(build: Any, dim: int, size: int, column: int) -> None:
    """Every sign of every string: numbers are 0 or one over sqrt(r b), rounded once."""
    spec = spec_of(dim=dim, block_size=size, blocks_per_column=column, seed=2**40 + 3, attributes="polar")
    core = build.core(spec)
    for m, name in enumerate(MODULES):
        units = np.eye(spec.width(name), dtype=np.float32)
        found = np.stack([core.embed(m, e) for e in units], axis=1)
        wanted = spec.embedding(name)
        assert np.abs(found - wanted).max() <= UNIT * np.abs(wanted).max()
        assert np.abs(core.counter(m) - spec.counter(name)).max() <= UNIT
        assert ((wanted != 0).sum(axis=0) == size * column).all()
        y = np.random.default_rng(m).standard_normal(dim).astype(np.float32)
        # A column's sum has column parts, each rounded to float32 once it is added in doubles.
        assert np.abs(core.embed_adjoint(m, y) - wanted.T @ y).max() <= 2 * column * UNIT * np.linalg.norm(y)


@pytest.mark.parametrize(("dim", "size"), [(1024, 32), (2048, 32), (2048, 64)])
def test_operators_are_those_of_the_reference(build: Any, dim: int, size: int) -> None:
    spec = spec_of(dim=dim, block_size=size)
    core = build.core(spec)
    x = np.random.default_rng(1).standard_normal(dim).astype(np.float32)
    operators = [(0, i, "position", str(i)) for i in range(4)] + [(1, i, "module", n) for i, n in enumerate(MODULES)]
    for kind, index, role, name in [
        *operators,
        (2, 0, "branch", "attr"),
        (2, 1, "branch", "in/0"),
        (2, 2, "branch", "in/0"),
    ]:
        t = spec.operator(role, name)
        for transpose in (False, True):
            wanted = (t.T if transpose else t) @ x
            # A multiply-add and a factor, each rounded to float32.
            assert np.abs(core.operator(kind, index, transpose, x) - wanted).max() <= 4 * UNIT * np.abs(x).max()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weighting": "balanced", "spread": 0.5, "attributes": "polar"},
        {"weighting": "linear", "angle": 60.0, "signature": 3},
        {"weighting": "count", "ordered": False},
        {"scaling": "paper", "angle": 45.0, "weighting": "linear"},
        {"angle": 90.0, "block_size": 32, "blocks_per_column": 5},
        {"dim": 2048, "block_size": 64, "blocks_per_column": 1},
    ],
    ids=str,
)
def test_sketches_are_those_of_the_reference(build: Any, options: dict[str, Any]) -> None:
    spec = spec_of(**options)
    for seed in range(3):
        trace = build.dag(np.random.default_rng(seed), spec, 8)
        found, wanted = build.sketcher(spec).sketch(build.trace(trace)), ref.sketch(spec, trace)
        # The largest of four roundings of some 1e-7 of the norm: see docs/implementation.md, "Rounding".
        assert np.linalg.norm(found - wanted) <= 4e-7 * np.linalg.norm(wanted)
