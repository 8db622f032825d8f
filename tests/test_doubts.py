"""What `sketch` warns of: a specification that cannot do what it is likely to be meant for, once a sketcher."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import recsketch as rs

MODULES = {"loud": 4, "low": 3}


def tree(norm: float = 1.0, weight: float = 1.0) -> rs.Trace:
    """One loud object with two inputs, the second of another weight."""
    run = rs.Trace()
    ids = [run.add("low", [0.6, 0.8, 0.0]) for _ in range(2)]
    run.outputs([run.add("loud", [norm, 0, 0, 0], ids, [1.0, weight])])
    return run


def diamond() -> rs.Trace:
    run = rs.Trace()
    i = run.add("low", [1.0, 0, 0])
    run.outputs([run.add("loud", [1.0, 0, 0, 0], [i]) for _ in range(2)])
    return run


def said(runs: Any, **spec: Any) -> list[str]:
    """What a new sketcher says of them, in three calls."""
    sk = rs.Sketcher(rs.SketchSpec(64, MODULES, **spec))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            sk.sketch(runs)
    assert all(w.category is rs.SketchWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


def test_runs_that_fit_are_passed_in_silence() -> None:
    for spec in ({}, {"attributes": "linear"}, {"signature": 8}):
        assert said(tree(), **spec) == said([tree()] * 100, **spec) == said([], **spec) == []
    assert said(diamond(), signature=8) == said(tree(1e4)) == []


def test_linear_attributes_of_uneven_norms() -> None:
    """More than four times, as they are sketched: scales and centres count, and one run of many is enough."""
    assert said(tree(3.9), attributes="linear") == []
    (text,) = said(tree(4.1), attributes="linear")
    assert "attributes of 'loud' are 4.1 times as long as those of 'low', which unroll loses" in text
    assert said(tree(1 / 4.1), attributes="linear")[0].startswith("linear attributes of 'low' are 4.1 times")
    assert len(said([tree(), tree(100.0)] * 64, attributes="linear")) == 1
    assert said(tree(8), attributes="linear", scales={"loud": 0.25}) == []
    assert said(tree(8), attributes="linear", centres={"loud": [7, 0, 0, 0]}) == []
    assert said(tree(0.0), attributes="linear") == []
    for other in ({"ordered": False}, {"weighting": "count"}, {"scaling": "paper"}):
        assert said(tree(8), attributes="linear", **other) == []


def test_shared_objects() -> None:
    (text,) = said(diamond())
    assert text.startswith("objects are used more than once, and without signatures unroll gives a copy for every use")
    assert len(said([tree()] * 10 + [diamond()] * 200)) == 0  # only the first runs are looked at: 4 of 210
    assert said(diamond(), ordered=False) == []


def test_what_float32_does_not_hold() -> None:
    """Without spread an input of weight w has sqrt(w) of its sibling's amplitude; the loudest is twice as loud."""
    assert said(tree(weight=2.0**-79), spread=0.0) == []
    (text,) = said(tree(weight=2.0**-82), spread=0.0)
    assert text.startswith("1 of 3 objects have less than 2**-40 of the loudest one's amplitude")
    assert said(tree(weight=2.0**-82)) == []


def test_later_calls_are_looked_at_ever_less_often() -> None:
    """Calls 1, 2, 4 and 8: what the third brings is found by the fourth. Each doubt is said once."""
    sk = rs.Sketcher(rs.SketchSpec(64, MODULES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sk.sketch(tree())
        sk.sketch(tree())
        sk.sketch(diamond())
        with pytest.raises(rs.SketchWarning):
            sk.sketch(diamond())
        for _ in range(5):
            sk.sketch(diamond())


def test_a_refused_call_says_nothing_else() -> None:
    run = diamond()
    run.add("low", [1e30, 0, 0])
    run.outputs([3])
    sk = rs.Sketcher(rs.SketchSpec(64, MODULES, scales={"low": 10.0}, attributes="linear"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="1e30"):
            sk.sketch(run)


def test_sketches_are_the_same_bits() -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, MODULES))
    first = sk.sketch([tree(), diamond()])
    assert np.array_equal(first, sk.sketch([tree(), diamond()]))
