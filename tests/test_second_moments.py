"""Specifications with second moments, as all but populations see them: attributes come and go as without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.sketching.moments import narrowed, norm_error, pairs

MODULES = {"page": 3, "line": 5}


def page(rng: np.random.Generator, lines: int, centre: float = 0.0) -> rs.Trace:
    run = rs.Trace()
    below = [run.add("line", rng.standard_normal(5) + centre) for _ in range(lines)]
    run.outputs([run.add("page", rng.standard_normal(3), inputs=below)])
    return run


def spec_of(dim: int, **more: Any) -> rs.SketchSpec:
    return rs.SketchSpec(
        dim, MODULES, attributes="linear", weighting="energy", max_inputs=128, **{"second_moment": True, **more}
    )


def test_attributes_come_back_alone() -> None:
    spec = spec_of(1024, scales={"line": 0.3})
    run, sk = page(np.random.default_rng(1), 4), rs.Sketcher(spec)
    s = sk.sketch(run)
    for mine, true in zip(sk.recover(s, run).attributes, run.objects, strict=True):
        np.testing.assert_allclose(mine, true.attribute, atol=1e-5 * np.linalg.norm(true.attribute) + 1e-5)
    found = sk.unroll(s)
    assert sorted(len(o.attribute) for o in found.objects) == sorted(len(o.attribute) for o in run.objects)
    assert rs.SketchSpec.from_json(spec.to_json()) == spec


def test_rests_are_of_attributes_alone() -> None:
    """100 lines where a twentieth of them fits: their mean comes centred and unscaled, 1 in every element. Its standard
    error is told, and at 6 of them an element of 25 is off once in 2e7 runs."""
    spec = spec_of(512, scales={"line": 0.3}, centres={"line": [1.0] * 5})
    for seed in range(5):
        sk = rs.Sketcher(spec)
        run = page(np.random.default_rng(seed), 100, centre=1.0)
        (rest,) = [r for r in sk.unroll(sk.sketch(run)).rests if r.module == "line"]
        true = np.mean([o.attribute for o in run.objects if o.module == "line"], axis=0)
        assert rest.mean.shape == (5,)
        assert np.abs(rest.mean - true).max() <= 6 * rest.mean_error
        assert rest.mean_error < 0.2


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("more", [{}, {"scales": {"a": 0.2}}, {"scales": {"a": 0.2}, "centres": {"a": 4.0}}])
@pytest.mark.parametrize("whole", [True, False])
def test_errors_of_norms(size: int, more: Any, whole: bool) -> None:
    """Against the deviation of 4,000 norms of unknowns that are wrong as they are said to be: of it 10% is 9 standard
    errors. `whole`: with second moments; else the module is one without, beside others."""
    if "centres" in more:
        more = {**more, "centres": {"a": [more["centres"]["a"]] * size}}
    modules = {"a": size, "b": 2}
    spec = rs.SketchSpec(256, modules, attributes="linear", second_moment=["a" if whole else "b"], **more)
    rng, own, counter = np.random.default_rng(0), 0.002, 0.001
    x = rng.standard_normal(size) * spec.scale("a") * 2
    i, j, factor = pairs(size)
    y = np.concatenate([x, x[i] * x[j] * factor]) if whole else x
    errors = np.hypot(own, y * counter).astype(np.float32)
    size_of_y = float(np.linalg.norm(y))
    said = norm_error(spec, "a", narrowed(spec, "a", y), errors, size_of_y, float(np.hypot(own, size_of_y * counter)))
    seen = [
        np.linalg.norm(
            narrowed(spec, "a", y * (1 + counter * rng.standard_normal()) + own * rng.standard_normal(y.size))
        )
        for _ in range(4000)
    ]
    assert np.std(seen) == pytest.approx(said, rel=0.1)


def test_an_attribute_at_its_centre_has_the_error_of_its_elements() -> None:
    spec = rs.SketchSpec(256, {"a": 3}, attributes="linear", second_moment=True, scales={"a": 0.5})
    errors = np.full(9, 0.01, np.float32)
    assert norm_error(spec, "a", np.zeros(3, np.float32), errors, 0.0, 0.01) == pytest.approx(0.02 * 3**0.5, rel=1e-6)


def test_pilot_runs_fit_and_are_tried() -> None:
    """The length counts products: 4 lines of 5 + 15 + 1 numbers and a page of 3 + 6 + 1 at a load of 0.6."""
    runs = [page(np.random.default_rng(k), 4) for k in range(8)]
    spec = rs.SketchSpec.fitted(runs, attributes="linear", second_moment=True, weighting="energy")
    assert spec.dim == 256
    loud = [rs.Trace() for _ in runs]
    for run, other in zip(runs, loud, strict=True):
        lines = [other.add("line", o.attribute) for o in run.objects[:4]]
        other.outputs([other.add("page", run.objects[4].attribute * 30, inputs=lines)])
    found = rs.trial(spec.replace(dim=64, scales=None), loud)
    assert found.chosen.whole.sum() == 0
    assert found.advice
    assert "polar" not in str(found)  # which has no second moments


def test_what_is_refused_is_named_as_without() -> None:
    rng = np.random.default_rng(0)
    good, short, large = page(rng, 2), rs.Trace(), rs.Trace()
    short.outputs([short.add("line", [1.0] * 4)])
    large.outputs([large.add("line", [0.0, 0.0, 0.0, 4e36, 0.0])])
    plain, sk = rs.Sketcher(spec_of(256, second_moment=None)), rs.Sketcher(spec_of(256))
    for some in (plain, sk):
        with pytest.raises(ValueError, match=r"trace 1, object 0: wanted an attribute of length 5 for 'line'; got 4"):
            some.sketch([good, short])
    more = {"scales": {"line": 2.0}, "centres": {"line": [1.0] * 5}}
    for some in (rs.Sketcher(spec_of(256, second_moment=None, **more)), rs.Sketcher(spec_of(256, **more))):
        with pytest.raises(ValueError, match=r"trace 1, object 0 \(line\): wanted finite .*; got 8e\+36 at element 3"):
            some.sketch([good, large])
    square = rs.Trace()  # alone is too large
    square.outputs([square.add("line", [0.0, 3e15, 0.0, 0.0, 0.0])])
    with pytest.raises(ValueError, match=r"trace 1, .* at most 1e30, as their products; got 3e\+15 at element 1"):
        sk.sketch([good, square])


def test_names_that_no_object_has_do_not_matter() -> None:
    """A slice of a batch keeps all names."""
    other = rs.Trace()
    other.outputs([other.add("other", [1.0])])
    good = page(np.random.default_rng(0), 2)
    sk = rs.Sketcher(spec_of(256))
    batch = rs.TraceBatch.from_traces([good, other])[:1]
    assert "other" in batch.names
    np.testing.assert_array_equal(sk.sketch(batch)[0], sk.sketch(good))
