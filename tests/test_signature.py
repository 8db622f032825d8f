"""Object signatures: against the reference, in every decoder, and without a trace where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs
import recsketch._core as _core
from recsketch.sketching.matrices import KEPT
from recsketch.sketching.signature import signatures

MODULES = {"a": 7, "b": 16, "c": 33, "wide": 120}


@pytest.mark.parametrize("length", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_signatures_are_the_reference_s(length: int, seed: int) -> None:
    """Bit for bit, whether they come from the table that is kept or are drawn anew; unit vectors up to L roundings."""
    spec, plain = rs.SketchSpec(64, {"a": 1}, seed, signature=length), ref.RefSpec(64, {"a": 1}, seed, signature=length)
    found = signatures(spec, KEPT + 3)
    assert found.shape == (KEPT + 3, length)
    assert found.dtype == np.float32
    assert np.array_equal(signatures(spec, 20), found[:20])
    for n in (0, 1, 19, KEPT - 1, KEPT, KEPT + 2):
        assert np.array_equal(found[n], ref.signature(plain, n))
    assert np.abs(np.linalg.norm(found.astype(np.float64), axis=1) - 1).max() <= 2.0**-24
    for each in (found, signatures(spec, 20)):
        with pytest.raises(ValueError, match="read-only"):
            each[0, 0] = 1


def test_signatures_tell_objects_apart() -> None:
    """Length 8, 4,950 pairs. The mean squared cosine is 1/8 by symmetry, a square's deviation below 2/8; 5 of those of
    the mean. On a sphere of that dimension a cosine beyond 0.995 has probability 3e-8: 1.4e-4 for all pairs."""
    s = signatures(rs.SketchSpec(64, {"a": 1}, signature=8), 100)
    off = (s @ s.T)[np.triu_indices(100, 1)]
    assert abs(float(np.mean(off**2)) - 1 / 8) <= 5 * 2 / 8 / np.sqrt(off.size)
    assert np.abs(off).max() < 0.995
    other = signatures(rs.SketchSpec(64, {"a": 1}, seed=1, signature=8), 100)
    assert np.abs(other - s).max() > 0.1


def test_no_objects_have_no_signatures() -> None:
    assert signatures(rs.SketchSpec(64, {"a": 1}, signature=3), 0).shape == (0, 3)


@pytest.mark.parametrize("bad", [-1, 2**28 + 1, 1.0, "3", None])
def test_a_bad_number_of_signatures(bad: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="n: wanted an integer"):
        signatures(rs.SketchSpec(64, {"a": 1}, signature=3), bad)


@pytest.mark.parametrize("length", [1, 8, 64])
def test_sketches_are_the_reference_s(build: Any, rounding: Any, variant: dict[str, Any], length: int) -> None:
    """Within the rounding bound of the same computation with attributes a + L long; "wide" is folded at L = 64."""
    for seed in range(2):
        spec = ref.RefSpec(128, MODULES, seed, signature=length, **variant)
        trace = build.dag(np.random.default_rng(seed), spec, 12)
        got = build.sketcher(spec).sketch(build.trace(trace))
        assert np.linalg.norm(got - ref.sketch(spec, trace)) <= rounding.forward(spec, trace)


def test_the_amplitude_of_a_signature_knows_no_scale(build: Any) -> None:
    """The sketch of zero attributes is that of counter and signature alone: the same for any power of two as scale."""
    trace = rs.Trace()
    trace.outputs([trace.add("a", np.zeros(7))])
    want = build.sketcher(ref.RefSpec(128, MODULES, 1, signature=8)).sketch(trace)
    for scale in (2.0**-60, 2.0**60):
        spec = ref.RefSpec(128, MODULES, 1, signature=8, scales={"a": scale})
        assert np.array_equal(build.sketcher(spec).sketch(trace), want)


def test_the_gains_squares_sum_to_one(build: Any) -> None:
    """One leaf of norm one: |s|^2 = 1/2 |z|^2 and |z|^2 = 1/3 (1 + 1 + 1) but for cross terms, deviation 2/3 / sqrt(d)
    each of three; 6 deviations."""
    spec = ref.RefSpec(4096, {"a": 32}, 3, signature=8)
    trace = build.trace(ref.RefTrace((build.object(np.random.default_rng(1), spec),), (0,)))
    energy = float(np.sum(build.sketcher(spec).sketch(trace).astype(np.float64) ** 2))
    assert abs(energy - 0.5) <= 0.5 * 6 * np.sqrt(3) * 2 / 3 / 64


def test_lengths_count_what_follows_an_attribute() -> None:
    assert rs.SketchSpec(64, MODULES, attributes="linear").lengths == MODULES
    for attributes, more in (("linear", 5), ("polar", 6)):
        spec = rs.SketchSpec(64, MODULES, signature=5, attributes=attributes)
        assert spec.lengths == {name: a + more for name, a in MODULES.items()}


def test_look_alikes_differ(build: Any) -> None:
    """Two equal objects sketch as two: with the numbers of both swapped, the sketch is another one."""
    sk = build.sketcher(ref.RefSpec(128, MODULES, 1, signature=8))
    one, two = rs.Trace(), rs.Trace()
    for trace, weights in ((one, [1, 3]), (two, [3, 1])):
        trace.outputs([trace.add("a", np.ones(7)), trace.add("a", np.ones(7))], weights=weights)
    a, b = sk.sketch(one), sk.sketch(two)
    assert np.abs(a - b).max() > 0.01


def test_every_trace_numbers_its_own_objects(build: Any) -> None:
    """In a batch, a slice and alone, over threads: the same bits."""
    spec = ref.RefSpec(128, MODULES, 1, signature=8)
    rng = np.random.default_rng(2)
    traces = [build.trace(build.dag(rng, spec, int(rng.integers(1, 20)))) for _ in range(9)]
    want = np.stack([build.sketcher(spec).sketch(t) for t in traces])
    for threads in (1, 2, 4):
        sk = build.sketcher(spec, threads=threads)
        assert np.array_equal(sk.sketch(traces), want)
        assert np.array_equal(sk.sketch(rs.TraceBatch.from_traces(traces)[3:7]), want[3:7])


@pytest.mark.parametrize("scales", [None, {"a": 0.25, "c": 3.0}])
def test_recovery_is_exact_and_returns_attributes_alone(build: Any, scales: Any) -> None:
    """Load about 0.5 with signatures counted; the deviation is that of test_recover's exact recovery: 2e-7 |s| /
    sqrt(d (1 - load)) over the amplitude, 6 deviations."""
    spec = ref.RefSpec(1024, MODULES, 5, signature=8, scales=scales)
    rng = np.random.default_rng(4)
    trace = build.tree(rng, spec, 2, 3, ragged=True)
    while not 0.4 < ref.load(spec, trace) < 0.6:
        trace = build.tree(rng, spec, 2, 3, ragged=True)
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(trace))
    found = sk.recover(s, build.trace(trace))
    deviation = 2e-7 * float(np.linalg.norm(s)) / np.sqrt(spec.dim * (1 - ref.load(spec, trace)))
    for x, o, amplitude in zip(found.attributes, trace.objects, ref.amplitudes(spec, trace)[0], strict=True):
        assert x.shape == o.attribute.shape
        assert np.abs(x - o.attribute).max() <= 6 * deviation / amplitude
    assert found.residual <= 1e-6


def test_recovery_does_not_know_the_numbers(build: Any) -> None:
    """A structure that numbers its objects differently reads the same attributes."""
    spec = ref.RefSpec(512, {"a": 7, "b": 16}, 5, signature=8)
    rng = np.random.default_rng(4)
    x, y, z = build.attribute(rng, 7), build.attribute(rng, 16), build.attribute(rng, 7)
    made, given = rs.Trace(), rs.Trace()
    i, j = made.add("a", x), made.add("b", y)
    made.outputs([made.add("a", z, inputs=[i, j])])
    j, i = given.add("b", np.zeros(16)), given.add("a", np.zeros(7))
    given.outputs([given.add("a", np.zeros(7), inputs=[i, j])])
    sk = build.sketcher(spec)
    found = sk.recover(sk.sketch(made), given).attributes
    for got, want in zip(found, (y, x, z), strict=True):
        assert np.abs(got - want).max() <= 1e-5


@pytest.mark.parametrize(("given", "want"), [(None, None), ("auto", [[2, 0, 0]]), (5, [[1, 5, 0]])])
@pytest.mark.parametrize("attributes", ["polar", "linear"])
def test_sparse_unrolling_leaves_what_follows_an_attribute(
    given: Any, want: Any, attributes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signatures, and norms, are never sparse: the search is told how many elements these are, and of the attribute the
    number of non-zero elements as it was given."""
    seen = []
    unrolling = _core.Unrolling

    def spy(*args: Any) -> Any:
        *_, sparsity, free, signature = args
        seen.append((None if sparsity is None else sparsity.tolist(), free, signature))
        return unrolling(*args)

    monkeypatch.setattr(_core, "Unrolling", spy)
    spec = rs.SketchSpec(64, {"a": 20}, signature=8, attributes=attributes)
    rs.Sketcher(spec, threads=1).unroll(np.zeros(64), sparse=given)
    assert seen == [(want, 9 if attributes == "polar" else 8, 8)]


def test_sparse_recovery_counts_signatures(build: Any) -> None:
    """Limits are of attributes: with three elements an object and as many allowed, all come back."""
    spec = ref.RefSpec(1024, {"a": 60}, 5, signature=8)
    rng = np.random.default_rng(4)
    trace = rs.Trace()
    for _ in range(10):
        x = np.zeros(60)
        x[rng.permutation(60)[:3]] = rng.choice([-1.0, 1.0], 3)
        trace.add("a", x)
    trace.outputs(range(10))
    sk = build.sketcher(spec)
    for options in ({"nonzeros": 30}, {"per_object": 3}, {"nonzeros": 30, "per_object": 3}, {}):
        found = sk.recover(sk.sketch(trace), trace, "sparse", **options)
        assert max(np.abs(x - o.attribute).max() for x, o in zip(found.attributes, trace.objects, strict=True)) < 1e-5


@pytest.mark.parametrize("method", ["matched", "paper"])
def test_the_filters(build: Any, rounding: Any, method: str) -> None:
    """As the reference's, within the bounds of test_recover."""
    spec = ref.RefSpec(256, MODULES, 3, signature=8)
    trace = build.tree(np.random.default_rng(5), spec, 2, 2, ragged=True)
    sk = build.sketcher(spec)
    s = sk.sketch(build.trace(trace))
    got = sk.recover(s, build.trace(trace), method=method).attributes
    bound = rounding.adjoint(spec, trace, float(np.linalg.norm(s)))
    amplitude, _ = ref.amplitudes(spec, trace, spec.sine if method == "paper" else None)
    for g, w, e, v in zip(got, getattr(ref, method)(spec, trace, s), bound, amplitude, strict=True):
        assert g.shape == w.shape
        assert np.linalg.norm(g - w) <= 3 * e / v**2 + 2.0**-21 * np.linalg.norm(w)


def test_capacity_counts_signatures(build: Any) -> None:
    """Ten objects of 7 + 1 fit 256 coordinates; with signatures of 64 they are 720 unknowns, and say so."""
    trace = rs.Trace()
    trace.outputs([trace.add("a", np.ones(7)) for _ in range(10)])
    sk = build.sketcher(ref.RefSpec(256, {"a": 7}, 1, signature=64))
    assert sk.load(trace) == 10 * (7 + 64 + 1) / 256
    assert rs.Sketcher(rs.SketchSpec(256, {"a": 7}, signature=64)).load(trace) == 10 * (7 + 1 + 64 + 1) / 256
    with pytest.warns(rs.CapacityWarning, match=r"2\.77"):  # 710 / 256: counters are known
        sk.recover(sk.sketch(trace), trace)
    assert rs.suggest_dim(trace) == 256
    assert rs.suggest_dim(trace, signature=64) == 2048
    with pytest.raises(ValueError, match="signature: wanted an integer from 0 to 64"):
        rs.suggest_dim(trace, signature=65)


def test_summary_reads_the_attribute_alone() -> None:
    """64 objects of two modules, as in test_statistics: count and mean within five of the stated errors."""
    rng = np.random.default_rng(1)
    sk = rs.Sketcher(rs.SketchSpec(4096, {"a": 40, "b": 24}, 2, max_inputs=64, signature=8))
    centre = {"a": rng.standard_normal(40) / 40**0.5, "b": rng.standard_normal(24) / 24**0.5}
    trace = rs.Trace()
    made: dict[str, list[np.ndarray]] = {"a": [], "b": []}
    for i in range(64):
        name = "ab"[i % 8 > 4]
        x = centre[name] + 0.3 * rng.standard_normal(centre[name].size) / centre[name].size ** 0.5
        made[name].append(x)
        trace.add(name, x)
    trace.outputs(range(64))
    s = sk.sketch(trace)
    for name, rows in made.items():
        found = sk.summary(s, name, unroll=False)
        assert found.mean.shape == rows[0].shape
        assert abs(found.count - len(rows)) <= 5 * found.count_error
        assert found.count_error < 4
        assert np.abs(found.mean - np.mean(rows, axis=0)).max() <= 5 * found.mean_error


def test_messages_speak_of_the_attribute(build: Any) -> None:
    """Not of the signature that is added to it."""
    sk = build.sketcher(ref.RefSpec(64, {"a": 7}, 1, signature=8))
    bad = rs.Trace()
    bad.outputs([bad.add("a", np.ones(15))])
    for call in (sk.sketch, sk.load, lambda t: sk.recover(np.zeros(64), t)):
        with pytest.raises(ValueError, match="trace 0, object 0: wanted an attribute of length 7 for 'a'; got 15"):
            call(bad)
    good = rs.Trace()
    good.outputs([good.add("a", np.ones(7))])
    with pytest.raises(ValueError, match=r"trace 1100, object 0: .*length 7"):
        sk.sketch([good] * 1100 + [bad])
    large = rs.Trace()
    large.outputs([large.add("a", np.arange(7) * 1e37)])
    with pytest.raises(ValueError, match=r"object 0 \(a\): wanted finite .* got 6e\+37 at element 6"):
        sk.sketch(large)


def test_an_attribute_and_its_signature_must_fit() -> None:
    assert rs.SketchSpec(64, {"a": 2**20 - 8}, signature=8, attributes="linear").signature == 8
    wanted = r"^modules\['a'\]: wanted an integer from 1 to 1048568, as 8 numbers follow an attribute; got 1048569"
    with pytest.raises(ValueError, match=wanted):
        rs.SketchSpec(64, {"a": 2**20 - 7}, signature=8, attributes="linear")
    with pytest.raises(ValueError, match="from 1 to 1048575, as 1 number follow"):
        rs.SketchSpec(64, {"a": 2**20})


def test_an_empty_batch() -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 7}, signature=8))
    assert sk.sketch([]).shape == (0, 64)
    assert sk.recover(np.zeros((0, 64)), []) == []
    with pytest.raises(ValueError, match="outputs of trace 0: wanted at least one output"):
        sk.sketch(rs.Trace())
