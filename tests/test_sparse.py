"""Recovery of attributes that are mostly zero: exact where the figures say so, honest elsewhere."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs


def thinned(rng: np.random.Generator, trace: ref.RefTrace, nonzeros: int, positive: bool = False) -> ref.RefTrace:
    """The same run with so many Gaussian elements an attribute, at random places, of norm one together."""
    out = []
    for o in trace.objects:
        x = np.zeros(len(o.attribute))
        x[rng.permutation(x.size)[:nonzeros]] = rng.standard_normal(min(nonzeros, x.size))
        x = np.abs(x) if positive else x
        out.append(o._replace(attribute=(x / np.linalg.norm(x)).astype(np.float32)))
    return trace._replace(objects=tuple(out))


def sparse_run(
    build: Any, a: int, k: int, seed: int, *, d: int = 1024, ragged: bool = False, positive: bool = False, **kinds: Any
) -> tuple[ref.RefSpec, ref.RefTrace]:
    """Twenty objects, depth 2, fan 4, Dirichlet(4) weights, four modules of length a; ragged: 18 to 20 at depth 3."""
    spec = ref.RefSpec(d, {f"m{i}": a for i in range(4)}, seed, **kinds)
    rng = np.random.default_rng([seed, a, k])
    trace = build.tree(rng, spec, 3 if ragged else 2, 4, ragged=ragged)
    while not 18 <= len(trace.objects) <= 20:
        trace = build.tree(rng, spec, 3, 4, ragged=ragged)
    return spec, thinned(rng, trace, k, positive)


def packed(attributes: Any) -> np.ndarray:
    return np.concatenate(list(attributes)).astype(np.float64)


def truth(trace: ref.RefTrace) -> np.ndarray:
    return packed(o.attribute for o in trace.objects)


def scales(spec: ref.RefSpec, trace: ref.RefTrace) -> np.ndarray:
    """The amplitude of every attribute element."""
    return np.repeat(ref.amplitudes(spec, trace)[0], [len(o.attribute) for o in trace.objects])


def exact(spec: ref.RefSpec, trace: ref.RefTrace, found: rs.Recovery, s: np.ndarray, kept: int | None = None) -> bool:
    """The support to an element, and values as near as least squares over it would be (see test_recover.py): within six
    deviations of 2e-7 |s| / sqrt(kept (1 - load)) over the amplitude, the load being that of the support. An element
    fainter than that may be missing: it is as near to zero."""
    x, y = packed(found.attributes), truth(trace)
    n = spec.dim if kept is None else kept
    deviation = 2e-7 * float(np.linalg.norm(s)) / np.sqrt(n * (1 - np.count_nonzero(y) / n)) / scales(spec, trace)
    return bool(np.all(np.abs(x - y) <= 6 * deviation) and np.all(x[y == 0] == 0) and found.residual <= 1e-6)


@pytest.mark.parametrize("given", ["auto", "nonzeros", "per_object"])
@pytest.mark.parametrize(("a", "k"), [(128, 16), (512, 10)])
@pytest.mark.parametrize("ragged", [False, True])
def test_exact_at_the_figures(build: Any, a: int, k: int, ragged: bool, given: str) -> None:
    """K/d = 0.31 of N/d = 2.5 unknowns and 0.195 of 10: all of 500 other runs of each kind came back, so that a run
    fails with a probability below 0.6% (95% confidence), one or more of these 8 below 5%; the seeds are fixed, and the
    figure asks for 95% of the runs."""
    failed = 0
    for seed in range(8):
        spec, trace = sparse_run(build, a, k, seed, ragged=ragged)
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        count = int(np.count_nonzero(truth(trace)))
        options = {"auto": {}, "nonzeros": {"nonzeros": count}, "per_object": {"per_object": k}}[given]
        failed += not exact(spec, trace, sk.recover(s, build.trace(trace), "sparse", **options), s)
    assert failed == 0


def test_exact_for_other_runs(build: Any, readable: dict[str, Any]) -> None:
    """Shared objects, inputs used twice, dead ones, attributes of several lengths, every weighting and scaling; a tenth
    of the coordinates not zero: below a third of where it ends.

    One run of four may fail: of 124 others of the paper's 8 did, most for an object whose amplitude is 1e-6 of the
    loudest one's, so that two of four do with a probability of 2.3%; of other variants 1 of 124 or none."""
    spec = ref.RefSpec(512, {"a": 64, "b": 100, "c": 300}, 5, **build.bare(readable))
    rng = np.random.default_rng(6)
    failed = 0
    for _ in range(4):
        trace = build.dag(rng, spec, 17)
        live = ref.reached(trace, spec)
        if live.sum() < 5:
            continue
        trace = thinned(rng, trace, 51 // int(live.sum()))
        sk = build.sketcher(spec)
        got = sk.recover(sk.sketch(build.trace(trace)), build.trace(trace), "sparse")
        amplitude = ref.amplitudes(spec, trace)[0]
        exact = got.residual <= 1e-6
        for x, o, v, alive in zip(got.attributes, trace.objects, amplitude, live, strict=True):
            if alive:
                exact &= bool(np.abs(x - o.attribute).max() * v <= 1e-6)
            else:
                assert np.isnan(x).all()
        failed += not exact
    assert failed <= 1


@pytest.mark.parametrize("nonnegative", [False, True])
@pytest.mark.parametrize("erase", [0.0, 0.3])
def test_against_every_support(build: Any, erase: float, nonnegative: bool) -> None:
    """Among all supports of three elements the least misfit is found, noise of a hundredth of the sketch included.

    Each element is 0.3 or more of an attribute of norm about one, 20 times the noise of a coefficient: no other support
    comes near. The values are within 1e-4 of the reference's, a hundredth of that noise."""
    for seed in range(6):
        spec = ref.RefSpec(64, {"a": 5, "b": 3}, seed)
        rng = np.random.default_rng(20 + seed)
        objects = [build.object(rng, spec, module="b"), build.object(rng, spec, module="a")]
        objects.append(build.object(rng, spec, (0, 1), (2.0, 1.0), "a"))
        trace = ref.RefTrace(tuple(objects), (2,))
        x = np.zeros(13)
        x[rng.permutation(13)[:3]] = rng.uniform(0.3, 1.0, 3) * (1 if nonnegative else rng.choice([-1, 1], 3))
        values = np.split(x.astype(np.float32), [3, 8])
        trace = trace._replace(objects=tuple(o._replace(attribute=v) for o, v in zip(objects, values, strict=True)))
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        noise = 0.01 * float(np.linalg.norm(s)) / 8.0
        s += rng.normal(0.0, noise, 64).astype(np.float32)
        mask = rng.random(64) >= erase
        want = ref.sparse(spec, trace, s, 3, mask, nonnegative=nonnegative)
        given = np.where(mask, s, np.float32(np.nan)) if erase else s
        got = sk.recover(
            given,
            build.trace(trace),
            "sparse",
            mask=mask if erase else None,
            nonzeros=3,
            nonnegative=nonnegative,
            noise=noise,
        )
        found = packed(got.attributes)
        assert np.array_equal(np.flatnonzero(found), np.flatnonzero(want))
        assert np.abs(found - want).max() <= 1e-4
        a, _, s0 = ref.affine_map(spec, trace)
        misfit = np.linalg.norm((s - s0 - a @ want)[mask]) / np.linalg.norm(s[mask])
        assert got.residual == pytest.approx(misfit, rel=1e-4)


@pytest.mark.filterwarnings("ignore::recsketch.StructureWarning")  # a dozen of elements leaves most of a dense sketch
def test_an_answer_is_the_least_squares_over_its_support(build: Any, readable: dict[str, Any]) -> None:
    """Whatever support is found, also where there is no sparse truth: values as the reference's least squares over it,
    to the tolerance of CGLS, 1e-5 of the normal residual, over the squared least singular value."""
    for seed in range(8):
        spec = ref.RefSpec(128, {"a": 33, "b": 64}, seed, **build.bare(readable))
        rng = np.random.default_rng(seed)
        trace = build.tree(rng, spec, 2, 2)
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace)) + np.float32(0.05) * build.attribute(rng, spec.dim)
        a, _, s0 = ref.affine_map(spec, trace)
        for options in ({"nonzeros": 12}, {"per_object": 2}, {"nonzeros": 9, "per_object": 3}):
            got = packed(sk.recover(s, build.trace(trace), "sparse", **options).attributes)
            if np.isnan(got).any():  # of objects whose errors exceed their norms
                continue
            support = np.flatnonzero(got)
            assert support.size <= min(options.get("nonzeros", 99), 6 * options.get("per_object", 99))
            if not support.size:  # nothing stands out
                continue
            want = ref.on_support(a, s - s0, support)
            norm = np.linalg.norm(a, axis=0)
            sigma = np.linalg.svd(a[:, support] / norm[support], compute_uv=False)[-1]
            assert np.linalg.norm(norm * (got - want)) <= 1e-4 * np.linalg.norm(s) / sigma**2


def test_where_everything_fits_it_is_least_squares(build: Any) -> None:
    """Attributes without a single zero, 0.66 of the coordinates: nothing to choose, the exact answer of "lstsq"."""
    for seed in range(3):
        spec = ref.RefSpec(512, {"a": 24}, seed)
        rng = np.random.default_rng(50 + seed)
        leaves = [build.object(rng, spec) for _ in range(12)]
        tops = [build.object(rng, spec, inputs) for inputs in (range(6), range(6, 12))]
        trace = ref.RefTrace((*leaves, *tops), (12, 13))
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        assert exact(spec, trace, sk.recover(s, build.trace(trace), "sparse"), s)


@pytest.mark.parametrize("erase", [0.0, 0.3])
def test_noise(build: Any, erase: float) -> None:
    """Gaussian noise of 1% of the sketch, 100 elements not zero, their number not given, the noise told or not.

    Least squares over the true support errs by sqrt(K / (f (1 - K / (f d)))) of a coordinate's noise, f the share kept,
    in the norm that weighs elements by amplitude. Elements below some four deviations are lost or wrong, a few per cent
    of K with at most that error: twice the oracle. Of 5,120 others, 0.3 are beyond four deviations. Told, it ends
    sooner. Not told, the search may end full of wrong elements: 1 of 120 other runs, so that one of five does with a
    probability of 4%."""
    for seed in range(5):
        spec, trace = sparse_run(build, 256, 5, seed)
        rng = np.random.default_rng(70 + seed)
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        noise = 0.01 * float(np.linalg.norm(s)) / np.sqrt(spec.dim)
        noisy = s + rng.normal(0.0, noise, spec.dim).astype(np.float32)
        mask = rng.random(spec.dim) >= erase
        y, f = truth(trace), float(mask.mean())
        rho = np.count_nonzero(y) / (f * spec.dim)
        iterations = []
        for told in (noise, None):
            got = sk.recover(noisy, build.trace(trace), "sparse", mask=mask, noise=told)
            x = packed(got.attributes)
            oracle = noise * np.sqrt(np.count_nonzero(y) / (f * (1 - rho)))
            assert np.linalg.norm(scales(spec, trace) * (x - y)) <= 2 * oracle
            assert np.count_nonzero(x[y == 0]) <= 4
            assert got.residual == pytest.approx(0.01 * np.sqrt(1 - rho), rel=0.2)
            iterations.append(got.iterations)
        assert iterations[0] < iterations[1]
    drowned = sk.recover(s, build.trace(trace), "sparse", noise=1.0)
    assert not packed(drowned.attributes).any()


def test_nonnegative(build: Any) -> None:
    """Positive attributes come back from K/d = 0.51, where most would not if signs were open (60 of 60 other runs did,
    against 11: one of 4 fails with a probability below 20%, 95% confidence; the seeds are fixed). Of others what comes
    back is not negative, and the least squares over its support: no element of it should be larger or smaller."""
    for seed in range(4):
        spec, trace = sparse_run(build, 128, 26, seed, positive=True)
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        assert exact(spec, trace, sk.recover(s, build.trace(trace), "sparse", nonnegative=True), s)
    spec, trace = sparse_run(build, 32, 2, 0, d=128)
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(trace))
    x = packed(sk.recover(s, build.trace(trace), "sparse", nonnegative=True).attributes)
    assert np.all(x >= 0)
    assert np.any(x > 0)
    a, _, s0 = ref.affine_map(spec, trace)
    norm = np.linalg.norm(a, axis=0)
    gradient = (a / norm).T @ (s - s0 - a @ x)
    assert np.abs(gradient[x > 0]).max() <= 1e-4 * np.linalg.norm(s)


def test_nonnegative_wherever_it_is_stopped(build: Any) -> None:
    """Attributes of both signs, searches cut short: what they found goes negative in some of these."""
    spec = ref.RefSpec(64, {"a": 30, "b": 9}, 3)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        objects = [
            *(build.object(rng, spec, module="a") for _ in range(3)),
            build.object(rng, spec, range(3), None, "b"),
        ]
        trace = ref.RefTrace(tuple(objects), (3,))
        s = build.sketcher(spec).sketch(build.trace(trace))[None]
        p = build.plan(spec, trace)
        for nonzeros, most in ((0, 60), (0, 100), (20, 300), (40, 13), (40, 30)):
            x, residual, iterations = np.empty(p.attributes, np.float32), np.empty(1), np.empty(1, np.int32)
            p.sparse(s, None, nonzeros, 0, 0, True, None, most, x, residual, iterations, 1)
            assert np.all(x >= 0)
            assert iterations[0] <= most
            assert np.isfinite(residual[0])


def test_exact_with_a_third_of_the_sketch_erased(build: Any) -> None:
    """K = 0.29 of what is kept; erased places hold NaN and are never read."""
    for seed in range(4):
        spec, trace = sparse_run(build, 128, 10, seed)
        rng = np.random.default_rng(90 + seed)
        mask = np.zeros(spec.dim, dtype=bool)
        mask[rng.permutation(spec.dim)[:683]] = True
        sk = build.sketcher(spec)
        s = sk.sketch(build.trace(trace))
        got = sk.recover(np.where(mask, s, np.float32(np.nan)), build.trace(trace), "sparse", mask=mask)
        assert exact(spec, trace, got, s, 683)


def test_limits_hold_beyond_capacity(build: Any) -> None:
    """More than half of the coordinates not zero, which nothing can find: finite, within the limits, the heavy first.

    To the 13 elements of the heavy object the others are noise of norm sqrt(11 / 50) of it over 256 coordinates: an
    error of sqrt(13 / 256 * 11 / 50) = 0.11, and twice that allowed."""
    spec = ref.RefSpec(256, {"a": 128}, 3)
    rng = np.random.default_rng(8)
    leaves = [build.object(rng, spec) for _ in range(12)]
    trace = thinned(rng, ref.RefTrace(tuple(leaves), range(12), (50.0, *[1.0] * 11)), 13)
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(trace))
    for options in ({}, {"nonzeros": 20}, {"per_object": 2}, {"nonzeros": 5, "per_object": 1, "nonnegative": True}):
        got = sk.recover(s, build.trace(trace), "sparse", **options)
        counts = [int(np.count_nonzero(x)) for x in got.attributes]
        assert all(np.isfinite(x).all() for x in got.attributes)
        assert sum(counts) <= options.get("nonzeros", 256)
        assert max(counts) <= options.get("per_object", 128)
        assert 0 <= got.residual < 1
        assert got.iterations <= 1000
    got = sk.recover(s, build.trace(trace), "sparse")
    assert np.linalg.norm(got.attributes[0] - trace.objects[0].attribute) <= 0.22


@pytest.mark.parametrize(
    ("k", "seed", "options"),
    [
        (5, 7, {"nonzeros": 100}),
        (5, 7, {"per_object": 5}),
        (5, 7, {"nonzeros": 100, "per_object": 5}),
        (5, 16, {"per_object": 5}),
    ],
)
def test_limits_find_what_is_not_found_without(build: Any, k: int, seed: int, options: dict[str, Any]) -> None:
    """Each limit by itself starts a search within it where the free one has not ended at rounding. Of 68 runs
    29 came back without any, 30 and 39 with one; these are two of the others, of the same bits everywhere."""
    spec, trace = sparse_run(build, 64, k, seed, d=256)
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(trace))
    assert not exact(spec, trace, sk.recover(s, build.trace(trace), "sparse"), s)
    assert exact(spec, trace, sk.recover(s, build.trace(trace), "sparse", **options), s)


def test_limits_that_hold_anyway_cost_nothing(build: Any) -> None:
    spec, trace = sparse_run(build, 64, 3, 0, d=512)
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(trace))
    free = sk.recover(s, build.trace(trace), "sparse")
    assert exact(spec, trace, free, s)
    for options in ({"nonzeros": 60}, {"per_object": 3}):
        assert sk.recover(s, build.trace(trace), "sparse", **options).iterations == free.iterations


def test_noise_alone(build: Any) -> None:
    """Attributes of zeros under noise that is told: at most an element or two stand out, and each by chance."""
    spec = ref.RefSpec(256, {"a": 128}, 3)
    rng = np.random.default_rng(8)
    zeros = ref.RefObject("a", np.zeros(128, np.float32), (), None)
    trace = build.trace(ref.RefTrace((zeros,) * 8, range(8)))
    sk = build.sketcher(spec)
    s = sk.sketch(trace)
    assert not any(x.any() for x in sk.recover(s, trace, "sparse").attributes)
    noisy = s + rng.normal(0.0, 0.01, 256).astype(np.float32)
    assert sum(np.count_nonzero(x) for x in sk.recover(noisy, trace, "sparse", noise=0.01).attributes) <= 2


def test_a_batch_is_its_traces(build: Any) -> None:
    """Masks, noise one a sketch, any number of threads."""
    spec = ref.RefSpec(256, {"a": 70, "b": 160}, 1)
    rng = np.random.default_rng(2)
    traces = [build.trace(thinned(rng, build.tree(rng, spec, 2, 2, ragged=True), 4)) for _ in range(7)]
    sk = build.sketcher(spec)
    s = sk.sketch(traces)
    s += rng.normal(0.0, 1e-4, s.shape).astype(np.float32)
    masks = rng.random(s.shape) < 0.8
    noise = np.array([0.0, 1e-4, 1e-4, 1e-3, 1e-5, 1e-4, 0.5])
    for options in ({}, {"nonzeros": 9}, {"per_object": 3, "nonnegative": True}):
        for mask in (None, masks[0], masks):
            for errors in (None, 1e-4, noise):
                together = build.sketcher(spec, threads=3).recover(
                    s, traces, "sparse", mask=mask, noise=errors, **options
                )
                for i, each in enumerate(together):
                    one = mask if mask is None or mask.ndim == 1 else mask[i]
                    error = errors if errors is None or np.isscalar(errors) else errors[i]
                    alone = sk.recover(s[i], traces[i], "sparse", mask=one, noise=error, **options)
                    for x, y in zip(each.attributes, alone.attributes, strict=True):
                        assert np.array_equal(x, y)
                    assert (each.residual, each.iterations) == (alone.residual, alone.iterations)


def answers(threads: int) -> str:
    """A digest of what comes of runs that converge, runs that do not, noise, masks and limits."""
    spec = rs.SketchSpec(256, {"a": 128, "b": 60}, seed=3, rotation="skew")
    rng = np.random.default_rng(4)
    traces = []
    for n in (1, 2, 6, 12):
        trace = rs.Trace()
        values = np.where(rng.random((n, 128)) < 0.05, rng.integers(-99, 99, (n, 128)), 0) / 64
        ids = [trace.add("a", v) for v in values]
        trace.outputs([trace.add("b", values[0, :60], inputs=ids[-4:]), *ids[:2]])
        traces.append(trace)
    sk = rs.Sketcher(spec, threads=threads)
    s = sk.sketch(traces)
    s += (rng.integers(-99, 99, s.shape) * 2.0**-20).astype(np.float32)
    digest = hashlib.sha256()
    for options in ({}, {"nonzeros": 7}, {"per_object": 2, "nonnegative": True}, {"noise": 1e-4}):
        for mask in (None, np.arange(256) % 5 > 0):
            for got in sk.recover(s, traces, "sparse", mask=mask, **options):
                for x in got.attributes:
                    digest.update((np.nan_to_num(x, nan=7.0) + np.float32(0)).tobytes())
                digest.update(np.array([got.residual, got.iterations]).tobytes())
    return digest.hexdigest()


PROGRAM = """
import json, recsketch, test_sparse
print(json.dumps({"isa": recsketch.isa(), "bits": test_sparse.answers(2)}))
"""


@pytest.mark.filterwarnings("ignore::recsketch.StructureWarning")  # limits leave most of a sketch
def test_the_same_bits_for_every_instruction_set_and_any_threads(isa_levels: list[str], run_python: Any) -> None:
    want = answers(1)
    assert answers(2) == answers(4) == want
    for level in isa_levels:
        done = run_python(PROGRAM, RECSKETCH_ISA=level)
        assert done.returncode == 0, done.stderr
        got = json.loads(done.stdout.splitlines()[-1])
        assert got == {"isa": level, "bits": want}


@pytest.fixture
def one(build: Any) -> tuple[rs.Sketcher, rs.Trace, np.ndarray]:
    spec = ref.RefSpec(64, {"a": 7}, 3)
    trace = build.trace(ref.RefTrace((build.object(np.random.default_rng(1), spec),), (0,)))
    sk = build.sketcher(spec)
    return sk, trace, sk.sketch(trace)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"nonzeros": 0}, ValueError, "nonzeros: wanted an integer from 1"),
    ({"nonzeros": -3}, ValueError, "nonzeros"),
    ({"nonzeros": 2**70}, ValueError, "nonzeros"),
    ({"nonzeros": 2.0}, TypeError, "nonzeros"),
    ({"nonzeros": True}, TypeError, "nonzeros"),
    ({"per_object": 0}, ValueError, "per_object: wanted an integer from 1"),
    ({"per_object": "3"}, TypeError, "per_object"),
    ({"per_object": np.array([1, 2])}, TypeError, "per_object"),
    ({"nonnegative": 1}, TypeError, "nonnegative: wanted True or False"),
    ({"nonnegative": None}, TypeError, "nonnegative"),
    ({"noise": -1e-9}, ValueError, "noise: wanted a number from 0"),
    ({"noise": np.nan}, ValueError, "noise"),
    ({"noise": np.inf}, ValueError, "noise"),
    ({"noise": 1e31}, ValueError, "noise"),
    ({"noise": [1e-3, 1e-3]}, ValueError, "noise"),
    ({"noise": [[1e-3]]}, ValueError, "noise"),
    ({"noise": "small"}, TypeError, "noise"),
    ({"noise": True}, ValueError, "noise"),
    ({"noise": 1j}, TypeError, "noise"),
]


@pytest.mark.parametrize(("options", "error", "match"), BAD, ids=[repr(b[0]) for b in BAD])
def test_options_that_are_none(one: Any, options: dict[str, Any], error: type[Exception], match: str) -> None:
    sk, trace, s = one
    with pytest.raises(error, match=match):
        sk.recover(s, trace, "sparse", **options)


@pytest.mark.parametrize("method", ["lstsq", "matched", "paper"])
@pytest.mark.parametrize("options", [{"nonzeros": 3}, {"per_object": 3}, {"nonnegative": True}], ids=repr)
def test_options_belong_to_sparse(one: Any, method: str, options: dict[str, Any]) -> None:
    sk, trace, s = one
    with pytest.raises(ValueError, match=f"{next(iter(options))}: wanted method"):
        sk.recover(s, trace, method, **options)


def test_options_are_checked_for_an_empty_batch_too(one: Any) -> None:
    sk, _, _ = one
    assert sk.recover(np.empty((0, 64)), [], "sparse", noise=[], nonzeros=3) == []
    with pytest.raises(ValueError, match="nonzeros"):
        sk.recover(np.empty((0, 64)), [], "sparse", nonzeros=0)


def test_capacity(build: Any) -> None:
    """Many unknowns are no reason to warn, as many non-zeros as kept coordinates are."""
    spec = ref.RefSpec(64, {"a": 200}, 3)
    rng = np.random.default_rng(1)
    trace = build.trace(thinned(rng, ref.RefTrace((build.object(rng, spec),), (0,)), 3))
    sk = build.sketcher(spec)
    s = sk.sketch(trace)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sk.recover(s, trace, "sparse")
        sk.recover(s, trace, "sparse", nonzeros=2**40)  # the limit is not what was found
    s = s + rng.standard_normal(64).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", rs.StructureWarning)  # the noise is louder than the run
        sk.recover(s, trace, "sparse", nonzeros=63)
    caught: Callable[[], Any] = lambda: pytest.warns(rs.CapacityWarning, match="unknown numbers a kept")  # noqa: E731
    with caught() as record:
        sk.recover(s, trace, "sparse", nonzeros=64)
    assert record[0].filename == __file__
    with caught():
        sk.recover(s, trace, "sparse", nonzeros=20, mask=np.arange(64) < 20)
