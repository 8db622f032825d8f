"""A specification from pilot runs: what they need, no less, and room for more; what was given is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recsketch as rs


def page(rng: np.random.Generator, words: int, length: int = 6) -> rs.Trace:
    """A page of words and one figure of weight zero."""
    run = rs.Trace()
    ids = [run.add("word", rng.standard_normal(length)) for _ in range(words)]
    ids.append(run.add("figure", rng.standard_normal(2)))
    run.outputs([run.add("page", rng.standard_normal(3), ids, [1.0] * words + [0.0])])
    return run


def pilot() -> list[rs.Trace]:
    rng = np.random.default_rng(0)
    return [page(rng, n) for n in (3, 20, 11)]


def stack(layers: int, heads: int) -> rs.Trace:
    """Layers that read the one before and their heads."""
    run, rng = rs.Trace(), np.random.default_rng(1)
    i = run.add("embed", rng.standard_normal(4))
    for _ in range(layers):
        i = run.add(
            "layer", rng.standard_normal(4), [i, *(run.add("head", rng.standard_normal(4)) for _ in range(heads))]
        )
    run.outputs([i])
    return run


def test_what_is_fitted() -> None:
    """Modules and lengths as they are, the length for the largest run, twice its inputs, the defaults elsewhere."""
    runs = pilot()
    spec = rs.SketchSpec.fitted(runs, seed=9)
    assert spec == rs.SketchSpec(512, {"word": 6, "page": 3, "figure": 2}, 9, max_inputs=40)
    assert float(np.max(rs.Sketcher(spec).load(runs))) <= 0.6 < 2 * float(np.max(rs.Sketcher(spec).load(runs)))
    assert rs.SketchSpec.fitted(rs.TraceBatch.from_traces(runs), seed=9) == spec
    assert rs.SketchSpec.fitted(iter(runs), seed=9) == spec
    assert rs.SketchSpec.fitted(runs[0]).max_inputs == 16
    assert rs.SketchSpec.fitted(runs, target=0.2).dim == 1024
    assert rs.SketchSpec.fitted(runs, dim=64, weighting="energy", angle=50.0) == spec.replace(
        dim=64, seed=0, weighting="energy", angle=50.0
    )


def test_wiring_is_that_of_the_runs_if_asked_for() -> None:
    """Inputs of weight zero are none; runs to come that do otherwise are refused, those that were seen are not."""
    runs = pilot()
    assert rs.SketchSpec.fitted(runs).wiring is None
    spec = rs.SketchSpec.fitted(runs, wiring="seen")
    assert dict(spec.wiring or {}) == {None: ("page",), "page": ("word",)}
    rs.Sketcher(spec).sketch(runs)
    assert rs.SketchSpec.fitted(runs, wiring=spec.wiring) == spec
    with pytest.raises(ValueError, match="wiring: wanted 'seen'; got 'all'"):
        rs.SketchSpec.fitted(runs, wiring="all")  # type: ignore[arg-type]
    other = rs.Trace()
    other.outputs([other.add("word", np.ones(6))])
    with pytest.raises(ValueError, match="by the wiring"):
        rs.Sketcher(spec).sketch(other)


def test_shared_objects_get_signatures() -> None:
    run = page(np.random.default_rng(2), 5)
    assert rs.SketchSpec.fitted(run).signature == 0
    run.outputs([0, run.add("page", np.ones(3), [0])])
    for runs in (run, [*pilot(), run]):
        spec = rs.SketchSpec.fitted(runs)
        assert spec.signature == 8
        assert float(np.max(rs.Sketcher(spec).load(runs, uses=True))) <= 0.6
    assert rs.SketchSpec.fitted(run, signature=0).signature == 0
    assert rs.SketchSpec.fitted(run, decoder="recover").signature == 0
    assert rs.SketchSpec.fitted(run, ordered=False).signature == 0


def test_deep_runs_get_a_larger_balance() -> None:
    """Each of 13 equal inputs has 13^balance / 13 of its owner's energy, so that the faintest object of L layers has
    13^((balance - 1) L / 2) of the loudest one's amplitude."""
    for layers in (2, 3, 5, 10, 20):
        least = next(b for b in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0) if 13 ** ((b - 1) * layers / 2) >= 0.01)
        assert rs.SketchSpec.fitted(stack(layers, 12)).balance == least
    assert rs.SketchSpec.fitted(stack(20, 12), balance=0.5).balance == 0.5
    assert rs.SketchSpec.fitted(stack(20, 12), weighting="energy").balance == 0.5


def test_linear_attributes_get_scales() -> None:
    runs = pilot()
    spec = rs.SketchSpec.fitted(runs, attributes="linear")
    assert spec == spec.with_scales(runs)
    assert set(spec.scales or {}) == {"word", "page", "figure"}
    assert rs.SketchSpec.fitted(runs, attributes="linear", scales={"word": 2.0}).scale("page") == 1.0
    assert rs.SketchSpec.fitted(runs).scales is None


def test_modules_that_no_pilot_run_has() -> None:
    runs = pilot()
    spec = rs.SketchSpec.fitted(runs, modules={"table": 7, "word": 6})
    assert dict(spec.modules) == {"word": 6, "page": 3, "figure": 2, "table": 7}
    with pytest.raises(ValueError, match="modules: wanted a length of 6 for 'word', as in the runs; got 5"):
        rs.SketchSpec.fitted(runs, modules={"word": 5})
    with pytest.raises(TypeError, match="modules: wanted a mapping of names to lengths; got"):
        rs.SketchSpec.fitted(runs, modules=["word"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "given", "error", "text"),
    [
        ([], {}, ValueError, "runs: wanted at least one; got none"),
        (7, {}, TypeError, "runs: wanted a Trace, a TraceBatch or a list of traces; got 7"),
        (None, {"target": 0}, ValueError, "target: wanted a load above 0 and at most 4; got 0"),
        (None, {"decoder": "x"}, ValueError, "decoder: wanted 'recover' or 'unroll'; got 'x'"),
        (None, {"dim": 65}, ValueError, "dim: wanted"),
        (None, {"seed": -1}, ValueError, "seed: wanted"),
        (None, {"max_inputs": 4}, ValueError, "wanted at most max_inputs = 4 inputs"),
        (None, {"signature": 65}, ValueError, "signature: wanted"),
        (None, {"colour": 1}, TypeError, "colour"),
        (None, {"wiring": {None: ["word"]}}, ValueError, "by the wiring"),
    ],
)
def test_what_cannot_be_fitted(runs: Any, given: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rs.SketchSpec.fitted(pilot() if runs is None else runs, **given)


def test_a_module_of_two_lengths_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="attributes of 'word': wanted one length; got 5 to 6"):
        rs.SketchSpec.fitted([page(rng, 3), page(rng, 3, length=5)])
