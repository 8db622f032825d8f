"""Results and runs compare by what they hold: always a bool, NaN equal to NaN; what can change has no hash."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch._values import alike

SPEC = rs.SketchSpec(128, {"a": 3, "b": 5}, 1, signature=2)


def run(value: float = 1.0, order: str = "ab") -> rs.Trace:
    t = rs.Trace()
    t.add(order[0], np.full(3 if order[0] == "a" else 5, value))
    t.add(order[1], np.ones(3 if order[1] == "a" else 5), [0, 0], [1, 3])
    t.outputs([1, 0], [2, 1])
    return t


def results() -> dict[str, Any]:
    """One of each, with a NaN in what is read of an object that reaches no output."""
    sk = rs.Sketcher(SPEC, threads=1)
    dead = rs.Trace()
    dead.add("b", np.ones(5))
    dead.outputs([dead.add("a", np.ones(3))])
    found = sk.unroll(sk.sketch(run()))
    absent = sk.summary(sk.sketch(dead), "b")
    recovery = sk.recover(sk.sketch(dead), dead)
    assert np.isnan(recovery.attributes[0]).all()
    assert np.isnan(absent.mean).all()
    return {
        "Recovery": recovery,
        "Summary": absent,
        "Unrolled": found,
        "UnrolledObject": found.objects[0],
        "TraceObject": run().objects[1],
        "Trace": run(),
        "TraceBatch": rs.TraceBatch.from_traces([run(), run(2.0)]),
    }


@pytest.mark.parametrize("kind", list(results()))
def test_equal_is_what_was_made_alike(kind: str) -> None:
    """And never what was not; other types included. Before, most raised that a truth value is ambiguous."""
    one, two = results()[kind], results()[kind]
    assert one is not two
    for twin in (one, two, copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert (one == twin) is True
        assert (one != twin) is False
        assert one in [None, twin]
    for other in (None, 0, "x", np.ones(3), np.nan, [], results()["Summary" if kind != "Summary" else "Recovery"]):
        assert (one == other) is False
        assert (one != other) is True
        assert (other == one) is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize("kind", ["Recovery", "Summary", "Unrolled", "UnrolledObject", "TraceObject"])
def test_every_field_counts_and_none_can_be_set(kind: str) -> None:
    one = results()[kind]
    assert type(one).__name__ == kind
    for field in dataclasses.fields(one):
        old = getattr(one, field.name)
        for new in changed(old):
            assert (dataclasses.replace(one, **{field.name: new}) == one) is False, (field.name, new)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, field.name, old)


def changed(old: Any) -> list[Any]:
    """Values that differ from it in one place."""
    if isinstance(old, np.ndarray):
        other = old.copy()
        other[-1] = 7.0
        return [other, old[:-1], old[None], None, np.append(old, old[-1:]), list(old)]
    if isinstance(old, (list, tuple)):
        return [old[:-1] if old else None, type(old)([*old, 1]), "x"]
    return ["x", None, not old] if isinstance(old, bool) else ["x", None, -7.25]


def test_traces_are_equal_by_their_objects() -> None:
    assert run() == run()
    assert run() != run(2.0)
    assert run(order="ab") != run(order="ba")
    more = run()
    more.add("a", np.ones(3))
    assert more != run()
    weights = run()
    weights.outputs([1, 0], [2, 2])
    assert weights != run()
    outputs = run()
    outputs.outputs([0, 1], [2, 1])
    assert outputs != run()
    zero = run(-0.0)
    assert zero == run(0.0)
    assert rs.Trace() == rs.Trace()


def test_how_modules_are_numbered_does_not_matter() -> None:
    """A batch numbers modules in its own order, and may name some that no object has."""
    batch = rs.TraceBatch.from_traces([run(order="ba"), run(order="ab")])
    assert batch[1] == run(order="ab")
    assert batch == rs.TraceBatch.from_traces([run(order="ba"), run(order="ab")])
    assert batch != rs.TraceBatch.from_traces([run(order="ab"), run(order="ba")])
    columns = {name: getattr(batch, name) for name in rs.TraceBatch.__slots__}
    number = {name: k for k, name in enumerate(batch.names)}
    turned = ("unused", *reversed(batch.names))
    module = np.array([turned.index(batch.names[m]) for m in batch.module], np.int32)
    twin = rs.TraceBatch(**{**columns, "names": turned, "module": module})
    assert twin == batch
    assert batch == twin
    assert rs.TraceBatch(**{**columns, "names": tuple("xy"), "module": batch.module}) != batch
    assert len(number) == 2
    assert batch[:1] != batch
    assert batch[:0] == rs.TraceBatch.from_traces([])


def test_values_that_cannot_be_compared_are_not_alike() -> None:
    class Stubborn:
        def __eq__(self, other: object) -> bool:
            raise ValueError("no")

        __hash__ = None  # type: ignore[assignment]

    stubborn = Stubborn()
    assert alike(stubborn, stubborn)
    assert not alike(stubborn, Stubborn())
    assert not alike(np.array([stubborn, 1], object), np.array([Stubborn(), 1], object))
    assert not alike(np.array(["a"]), np.array([1.0]))
    assert not alike([1], (1,))
    assert not alike(np.ones((2, 1)), np.ones((1, 2)))
    assert alike(np.array([np.nan, 1]), np.array([np.nan, 1]))
    assert not alike(np.array([np.nan, 1]), np.array([1, np.nan]))
    assert alike(np.nan, float("nan"))
    assert alike([np.ones(2), (None, "x")], [np.ones(2), (None, "x")])
    assert not alike([np.ones(2), (None, "x")], [np.ones(2), (None, "y")])
    assert alike(np.zeros(0), np.zeros(0))


def test_one_is_one() -> None:
    """Of everything that counts what it holds."""
    one = rs.Trace()
    one.outputs([one.add("eye", [0.6])])
    sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 1}), threads=1)
    s = sk.sketch(one)
    many = rs.Trace()
    many.outputs([many.add("eye", [0.6]), many.add("eye", [0.6])])
    texts = [str(one), repr(one), one._repr_html_(), repr(rs.TraceBatch.from_traces([one])), str(sk.recover(s, one))]
    texts += [sk.recover(s, one)._repr_html_(), sk.summary(s, "eye")._repr_html_()]
    assert all(text == f"<p>{text[3:-4]}</p>" for text in texts[-2:])
    texts += [repr(sk.unroll(s)), str(sk.unroll(s)), str(sk.summary(s, "eye")), sk.unroll(s)._repr_html_()]
    for text in texts:
        assert "1 object" in text or "1 element" in text, text
        assert not [w for w in ("object", "output", "element", "trace", "iteration") if f" 1 {w}s" in f" {text}"], text
    assert "2 objects, 2 outputs" in repr(many)
    assert repr(rs.TraceBatch.from_traces([many, many])) == "<TraceBatch of 2 traces, 4 objects, modules 'eye'>"
    assert repr(rs.TraceBatch.from_traces([])) == "<TraceBatch of 0 traces, 0 objects, modules none>"
    assert repr(sk.recover(s, one)).startswith("<Recovery of 1 object, errors up to ")
