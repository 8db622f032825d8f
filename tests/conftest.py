"""Shared by the tests: recsketch objects made from the reference's, random runs, bounds on float32 rounding."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The reference's matrices are small, and threads only wait for each other: OpenBLAS's by sched_yield, for which newer
# Linux takes a busy core from them for long. It must be said before anything imports NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import reference as ref

import recsketch as rs
import recsketch._core as _core

# A shell starts its background jobs with Ctrl-C ignored, and children inherit that: tests of it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Many tests sketch runs on purpose that `sketch` warns of. In pyproject.toml this would import NumPy too early."""
    config.addinivalue_line("filterwarnings", "ignore::recsketch.SketchWarning")


UNIT = 2.0**-24  # the unit roundoff of float32

CENTRES = {"b": [0.25] * 16, "c": [-1.0, 0.5, *[0.0] * 31]}
VARIANTS: dict[str, dict[str, Any]] = {
    "skew": {},
    "hadamard": {"rotation": "hadamard"},
    "linear": {"weighting": "linear", "angle": 45.0},
    "paper": {"rotation": "hadamard", "weighting": "linear", "scaling": "paper", "angle": 45.0},
    "scaled": {"scales": {"a": 0.25, "c": 3.0}, "angle": 75.0},
    "default": {"attributes": "polar", "weighting": "balanced", "spread": 0.5},
    "hadamard, balanced": {"rotation": "hadamard", "weighting": "balanced", "balance": 0.8, "spread": 0.2},
    "centred": {"weighting": "balanced", "balance": 1.0, "centres": CENTRES, "scales": {"b": 2.0}, "spread": 1.0},
    "polar": {"attributes": "polar", "centres": CENTRES, "scales": {"b": 0.1}, "spread": 0.3},
    "count": {"weighting": "count", "ordered": False, "centres": CENTRES, "scales": {"a": 4.0}},
}
# Those whose sketches are affine in the attributes, and of these those that can be recovered from.
LINEAR = [name for name, options in VARIANTS.items() if options.get("attributes") != "polar"]
READABLE = [name for name in LINEAR if VARIANTS[name].get("ordered", True)]
MODULES = {"a": 7, "b": 16, "c": 33, "wide": 150}  # at d = 128 "wide" is folded: a' = 256


class Build:
    """Makes recsketch objects from the reference's, and random runs."""

    MODULES = MODULES

    @staticmethod
    def spec(spec: ref.RefSpec) -> rs.SketchSpec:
        return rs.SketchSpec(
            dim=spec.dim,
            modules=dict(spec.modules),
            seed=spec.seed,
            max_inputs=spec.max_inputs,
            angle=spec.angle,
            rotation=spec.rotation,
            weighting=spec.weighting,
            scaling=spec.scaling,
            scales=None if spec.scales is None else dict(spec.scales),
            signature=spec.signature,
            attributes=spec.attributes,
            balance=spec.balance,
            spread=spec.spread,
            ordered=spec.ordered,
            centres=None if spec.centres is None else dict(spec.centres),
            block_size=spec.block_size or None,
            blocks_per_column=spec.blocks_per_column or None,
        )

    @staticmethod
    def sketcher(spec: ref.RefSpec, threads: int | None = 1) -> rs.Sketcher:
        return rs.Sketcher(Build.spec(spec), threads=threads)

    @staticmethod
    def trace(trace: ref.RefTrace) -> rs.Trace:
        out = rs.Trace()
        for o in trace.objects:
            out.add(o.module, o.attribute, inputs=o.inputs, weights=o.weights)
        out.outputs(trace.outputs, weights=trace.weights)
        return out

    @staticmethod
    def core(spec: ref.RefSpec) -> _core.Spec:
        """The C library's matrices, made without recsketch.spec: streams and factors are the reference's."""

        def streams(role: str, names: Any) -> np.ndarray:
            return np.array([ref.stream(role, n) for n in names], dtype=np.uint64)

        return _core.Spec(
            dim=spec.dim,
            lengths=tuple(map(spec.width, spec.modules)),
            max_inputs=spec.max_inputs,
            seed=spec.seed,
            rotation=spec.rotation,
            cosine=spec.cosine,
            sine=spec.sine,
            gain=spec.gain,
            branch=spec.branch,
            weighting=spec.weighting,
            spread=spec.spread,
            kappa=np.array([1.0, *map(spec.kappa, range(1, spec.max_inputs + 1))]),
            ordered=spec.ordered,
            positions=streams("position", range(max(spec.max_inputs, 16))),
            operators=streams("module", spec.modules),
            embeddings=streams("embedding", spec.modules),
            counters=streams("counter", spec.modules),
            branches=streams("branch", ("attr", "in/0", "in/1")),
            ins=len(spec.in_names),
            **Build.blocks(spec),
        )

    @staticmethod
    def blocks(spec: ref.RefSpec) -> dict[str, Any]:
        """The parameters of blocks, of specifications that have any."""
        if spec.rotation != "block":
            return {}
        bits = ref.block_layout(spec.dim, spec.block_size).tag
        tags = np.array([ref.block_tag(name, bits) for name in spec.modules], dtype=np.uint64)
        return {"block": spec.block_size, "blocks_per_column": spec.blocks_per_column, "tags": tags}

    @staticmethod
    def columns(spec: ref.RefSpec, *traces: ref.RefTrace) -> dict[str, np.ndarray]:
        """The columns of rsk_batch, made from the reference's traces; attribute_ends are those of the unknowns."""
        objects = [o for t in traces for o in t.objects]
        names = list(spec.modules)

        def ends(lengths: Any) -> np.ndarray:
            return np.concatenate([[0], np.cumsum(list(lengths))]).astype(np.int64)

        def weights(tuples: Any) -> np.ndarray:
            flat = [np.ones(len(i)) if w is None else np.asarray(w, dtype=np.float64) for i, w in tuples]
            return np.concatenate([np.empty(0), *flat])

        def indices(tuples: Any) -> np.ndarray:
            return np.array([i for each in tuples for i in each], dtype=np.int32)

        return {
            "objects": ends(len(t.objects) for t in traces),
            "module": np.array([names.index(o.module) for o in objects], dtype=np.int32),
            "attribute_ends": ends(spec.width(o.module) for o in objects),
            "input_ends": ends(len(o.inputs) for o in objects),
            "inputs": indices(o.inputs for o in objects),
            "weights": weights((o.inputs, o.weights) for o in objects),
            "output_ends": ends(len(t.outputs) for t in traces),
            "outputs": indices(t.outputs for t in traces),
            "output_weights": weights((t.outputs, t.weights) for t in traces),
        }

    @staticmethod
    def plan(spec: ref.RefSpec, *traces: ref.RefTrace, threads: int = 1) -> _core.Plan:
        return _core.Plan(Build.core(spec), **Build.columns(spec, *traces), threads=threads)

    @staticmethod
    def adjoint(spec: ref.RefSpec, trace: ref.RefTrace, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(unknowns, counters) of the adjoint sweep of y."""
        plan = Build.plan(spec, trace)
        attributes = np.full(plan.attributes, np.nan, dtype=np.float32)
        counters = np.full(len(trace.objects), np.nan, dtype=np.float32)
        plan.adjoint(np.ascontiguousarray(y[None]), attributes, counters, 1)
        return attributes, counters

    @staticmethod
    def attribute(rng: np.random.Generator, length: int) -> np.ndarray:
        """A Gaussian direction of norm one, float32 so that the reference sees the same numbers."""
        x = rng.standard_normal(length)
        return (x / np.linalg.norm(x)).astype(np.float32)

    @staticmethod
    def object(
        rng: np.random.Generator, spec: ref.RefSpec, inputs: Any = (), weights: Any = None, module: str | None = None
    ) -> ref.RefObject:
        names = list(spec.modules)
        name = names[int(rng.integers(len(names)))] if module is None else module
        return ref.RefObject(name, Build.attribute(rng, spec.modules[name]), tuple(map(int, inputs)), weights)

    @staticmethod
    def dag(rng: np.random.Generator, spec: ref.RefSpec, objects: int, fan: int = 4) -> ref.RefTrace:
        """A random DAG: objects shared, used twice by one tuple, zero weights, unequal scales, dead objects."""
        out: list[ref.RefObject] = []
        for n in range(objects):
            k = int(rng.integers(0, fan + 1)) if n else 0
            weights = None
            if k and rng.random() < 0.7:
                weights = rng.random(k) * 10.0 ** float(rng.integers(-3, 4)) + 1e-3
                weights[rng.random(k) < 0.2] = 0.0
                weights[int(rng.integers(k))] += 0.5
                weights = tuple(map(float, weights))
            out.append(Build.object(rng, spec, rng.integers(max(0, n - 6), n, size=k) if k else (), weights))
        ends = rng.integers(max(0, objects - 3), objects, size=int(rng.integers(1, 4)))
        return ref.RefTrace(tuple(out), tuple(map(int, ends)), None)

    @staticmethod
    def tree(
        rng: np.random.Generator, spec: ref.RefSpec, depth: int, fan: int, ragged: bool = False, alpha: float = 4.0
    ) -> ref.RefTrace:
        """A tree of that depth, Dirichlet(alpha) weights; ragged: 1 to fan inputs, and some leaves higher up."""
        out: list[ref.RefObject] = []

        def grow(level: int) -> int:
            inputs: list[int] = []
            if level < depth and not (ragged and level > 1 and rng.random() < 0.25):
                inputs = [grow(level + 1) for _ in range(int(rng.integers(1, fan + 1)) if ragged else fan)]
            weights = tuple(map(float, rng.dirichlet(np.full(len(inputs), alpha)))) if inputs else None
            out.append(Build.object(rng, spec, inputs, weights))
            return len(out) - 1

        tops = [grow(1) for _ in range(fan)]
        return ref.RefTrace(tuple(out), tuple(tops), tuple(map(float, rng.dirichlet(np.full(fan, alpha)))))

    @staticmethod
    def scaled(spec: ref.RefSpec, trace: ref.RefTrace, attributes: Any) -> np.ndarray:
        """Linear attributes, packed, as they are sketched: centred and scaled."""
        pairs = zip(trace.objects, attributes, strict=True)
        parts = [(np.asarray(x, np.float64) - spec.centre(o.module)) * spec.scale(o.module) for o, x in pairs]
        return np.concatenate(parts)

    @staticmethod
    def bare(variant: dict[str, Any]) -> dict[str, Any]:
        """A variant for modules of other names and lengths."""
        return {k: v for k, v in variant.items() if k not in ("scales", "centres")}

    @staticmethod
    def object_columns(spec: ref.RefSpec, trace: ref.RefTrace) -> list[np.ndarray]:
        """The columns of A, one (d, width) block an object."""
        return np.split(
            ref.affine_map(spec, trace)[0], np.cumsum([spec.width(o.module) for o in trace.objects])[:-1], 1
        )

    @staticmethod
    def unknowns(spec: ref.RefSpec, trace: ref.RefTrace) -> np.ndarray:
        return np.concatenate([ref.encoded(spec, n, o) for n, o in enumerate(trace.objects)])


class Rounding:
    """First-order worst-case bounds on float32 rounding, in the Euclidean norm.

    Every rounding is relative, at most UNIT. One butterfly stage of a transform rounds each output once and is an
    orthogonal map up to scale, so a transform of order n adds at most log2(n) UNIT relative to its result.
    """

    @staticmethod
    def operator(spec: ref.RefSpec) -> tuple[float, float]:
        """(norm of T, roundings of one T relative to |x|): two coefficients, two products, a sum; the transform."""
        reach = abs(spec.cosine) + abs(spec.sine)
        if spec.rotation == "skew":
            return spec.t, 5 * reach
        return reach, (5 + 2 + math.log2(spec.dim)) * reach  # 1/sqrt(d) and its product; log2(d) stages

    @staticmethod
    def t_in(spec: ref.RefSpec) -> tuple[float, float]:
        """The same of T_in, a product of one or two."""
        norm, cost = Rounding.operator(spec)
        n = len(spec.in_names)
        return norm**n, n * cost * norm ** (n - 1)

    @staticmethod
    def place(spec: ref.RefSpec) -> tuple[float, float]:
        """The same of T_i, which is the identity where inputs have no order."""
        return Rounding.operator(spec) if spec.ordered else (1.0, 0.0)

    @staticmethod
    def spread(spec: ref.RefSpec, trace: ref.RefTrace) -> np.ndarray:
        """Bound on the norm of every object's map from s_object to the sketch: what multiplies an error made there."""
        if spec.rotation == "hadamard":  # T is orthonormal on average only: the norms of the very matrices
            return np.array([np.linalg.norm(m, 2) for m in ref.paths(spec, trace)[1]])
        of, place, inner = ref.tuples(spec, trace), Rounding.place(spec)[0], Rounding.t_in(spec)[0]
        out = np.zeros(len(trace.objects))
        for _, o, a in of.outputs:
            out[o] += a * place
        for n in reversed(range(len(trace.objects))):
            for _, o, a in of.inputs[n]:
                out[o] += out[n] * spec.t * of.below[n] * inner * a * place
        return out

    @staticmethod
    def forward(spec: ref.RefSpec, trace: ref.RefTrace) -> float:
        """Bound on |computed sketch - exact sketch|: for every object what is rounded there, times its spread."""
        norm, cost = Rounding.operator(spec)
        place, place_cost = Rounding.place(spec)
        inner, inner_cost = Rounding.t_in(spec)
        t_attr, t_in, of = spec.operator("branch", "attr"), spec.t_in(), ref.tuples(spec, trace)
        values: list[np.ndarray] = []
        local: list[float] = []

        def tuple_sketch(parts: Any) -> tuple[np.ndarray, float]:
            s = ref.tuple_sketch(spec, values, parts)
            # the operator; alpha, its product, and one sum for every later term
            sizes = sum(a * float(np.linalg.norm(values[o])) for _, o, a in parts)
            return s, UNIT * sizes * (place_cost + (3 + len(parts)) * place)

        for n, o in enumerate(trace.objects):
            p = spec.padded(o.module)
            folds = max(1, p // spec.dim)
            x = ref.encoded(spec, n, o)
            z = spec.gain * (ref.embedded(spec, n, o) + spec.counter(o.module))
            # an unknown may be a last place off, scale and gain (4), the transform, 1/sqrt (2), folding, the counter
            ez = UNIT * spec.gain * (math.sqrt(folds) * float(np.linalg.norm(x)) + 1.0) * (9 + math.log2(p) + folds)
            below, eb = tuple_sketch(of.inputs[n])
            own, under = of.own[n], of.below[n]
            v = own * t_attr @ z + under * t_in @ below
            zs, bs = float(np.linalg.norm(z)), float(np.linalg.norm(below))
            ev = own * (norm * ez + UNIT * zs * (cost + 3 * norm))
            ev += under * (inner * eb + UNIT * bs * (inner_cost + 3 * inner))
            values.append(spec.operator("module", o.module) @ v)
            local.append(norm * ev + UNIT * cost * float(np.linalg.norm(v)))
        top = tuple_sketch(of.outputs)[1]
        return (top + float(np.dot(local, Rounding.spread(spec, trace)))) * 1.01  # second order

    @staticmethod
    def adjoint(spec: ref.RefSpec, trace: ref.RefTrace, y: float) -> np.ndarray:
        """Bound on the error of every object's unknowns under the adjoint, for |y| = y."""
        norm, cost = Rounding.operator(spec)
        place, place_cost = Rounding.place(spec)
        inner, inner_cost = Rounding.t_in(spec)
        of = ref.tuples(spec, trace)
        size = np.zeros(len(trace.objects))  # bound on |tail|, the adjoint's value at s_object
        error = np.zeros(len(trace.objects))
        out = np.zeros(len(trace.objects))

        def push(parts: Any, value: float, wrong: float) -> None:
            for _, o, a in parts:
                size[o] += a * place * value
                error[o] += a * place * wrong + UNIT * a * value * (place_cost + (3 + 8) * place)

        push(of.outputs, y, 0.0)
        for n in reversed(range(len(trace.objects))):
            p = spec.padded(trace.objects[n].module)
            u, eu = norm * size[n], norm * error[n] + UNIT * size[n] * (cost + 2 * norm)
            v, ev = norm * of.own[n] * u, of.own[n] * (norm * eu + UNIT * cost * u)
            gain = spec.gain * math.sqrt(max(1, p // spec.dim))
            # folding d/a' segments one after the other, the transform, gain, 1/sqrt
            out[n] = gain * (ev + UNIT * v * (max(1, spec.dim // p) + math.log2(p) + 8))
            under = of.below[n]
            push(of.inputs[n], under * inner * u, under * (inner * eu + UNIT * inner_cost * u))
        return out * 1.01


@pytest.fixture(scope="session")
def build() -> type[Build]:
    return Build


@pytest.fixture(scope="session")
def rounding() -> type[Rounding]:
    return Rounding


@pytest.fixture(params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Keyword arguments of a RefSpec: every rotation, weighting and scaling, and what is sketched of attributes."""
    return dict(VARIANTS[request.param])


@pytest.fixture(params=LINEAR)
def linear(request: pytest.FixtureRequest) -> dict[str, Any]:
    """As `variant`, of linear attributes."""
    return dict(VARIANTS[request.param])


@pytest.fixture(params=READABLE)
def readable(request: pytest.FixtureRequest) -> dict[str, Any]:
    """As `linear`, with an order of inputs."""
    return dict(VARIANTS[request.param])


@pytest.fixture(scope="session")
def goldens() -> Path:
    return Path(__file__).resolve().parent / "goldens"


@pytest.fixture(scope="session")
def isa_levels() -> list[str]:
    """The instruction sets this CPU and this build have; a level that is refused must be refused by name."""
    return [level for level in ("portable", "avx2", "avx512", "neon") if _core.isa_available(level)]


@pytest.fixture(scope="session")
def run_python() -> Any:
    """Runs a program in a fresh interpreter, with environment variables; returns the completed process."""

    def run(code: str, timeout: float = 120, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory, where there is such a file system: on a disk that is shared, each sync waits for what others write."""
    memory = Path("/dev/shm")
    found = Path(tempfile.mkdtemp(prefix="recsketch-", dir=memory if memory.is_dir() else None))
    yield found
    shutil.rmtree(found, ignore_errors=True)
