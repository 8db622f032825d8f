"""Why two runs differ: every kind of change alone, what is no change, what may not be lost, wide and hostile runs."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.reading import matching

KINDS = ("changed", "reweighted", "moved", "removed", "added")
Line = tuple[list[float], list[list[float]]]


def page(lines: list[Line], weights: Any = None) -> rs.Trace:
    """A page of lines of characters; a line has an attribute and those of its characters."""
    t = rs.Trace()
    ids = [t.add("line", x, [t.add("char", c) for c in chars]) for x, chars in lines]
    t.outputs([t.add("page", [1.0, 2.0], ids, weights)])
    return t


def lines(n: int, chars: int = 4, seed: int = 0) -> list[Line]:
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal(3).tolist(), rng.standard_normal((chars, 5)).tolist()) for _ in range(n)]


def wide(attributes: Any) -> rs.Trace:
    t = rs.Trace()
    t.outputs([t.add("pool", [1.0], [t.add("token", x) for x in attributes])])
    return t


def kinds(found: rs.Difference) -> dict[str, int]:
    return {k: len(found.of(k)) for k in KINDS if found.of(k)}


# ---------------------------------------------------------------- each kind of change alone


def test_equal_runs_do_not_differ() -> None:
    found = rs.diff(page(lines(3)), page(lines(3)))
    assert not found
    assert found == rs.Difference((), 16, (True, True))
    assert str(found) == "Difference: none, 16 the same"


def test_a_line_inserted_in_front() -> None:
    """One line is added, with its characters below it, and all others are the same though their positions shifted."""
    new = lines(1, seed=1)
    found = rs.diff(page(lines(5)), page(new + lines(5)))
    assert kinds(found) == {"added": 1}
    (change,) = found.changes
    assert (change.module, change.before, change.after, change.old, change.below) == ("line", None, (0, 0), None, 4)
    assert found.same == 26
    back = rs.diff(page(new + lines(5)), page(lines(5)))
    assert kinds(back) == {"removed": 1}
    assert back.changes[0].before == (0, 0)


def test_a_line_inserted_where_every_line_changed() -> None:
    """Lines are known by what they are made of, although all have one attribute and none is the same."""
    new, old = ([([1.0, 0.0, 0.0], chars) for _, chars in lines(n, seed=n)] for n in (1, 5))
    edited = copy.deepcopy(old)
    for k, (_, chars) in enumerate(edited):
        chars[k % 4] = [9.0, 0.0, 0.0, 0.0, 0.0]
    for at in (0, 2, 5):
        found = rs.diff(page(old), page(edited[:at] + new + edited[at:]))
        assert kinds(found) == {"added": 1, "changed": 5}
        assert [c.before for c in found.of("changed")] == [(0, k, k % 4) for k in range(5)]
        assert [c.after for c in found.of("changed")] == [(0, k + (k >= at), k % 4) for k in range(5)]


def test_no_more_is_reported_than_was_done() -> None:
    """200 pages of 8 lines of 6 characters, where each line has 1 of 2 attributes: one line is put in, one taken
    out, and in each of the others a third of the characters is replaced with probability a half. A line
    put where one was taken out is that one with all it holds changed; one place further may be taken for either."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        old = [([1.0, float(rng.integers(2))], rng.standard_normal((6, 5)).tolist()) for _ in range(8)]
        new = copy.deepcopy(old)
        out = int(rng.integers(8))
        at = (out + int(rng.choice([0, 2, 3, 4, 5, 6]))) % 8
        del new[out]
        edits = 0
        for _, chars in new:
            for k in rng.permutation(6)[:2] if rng.random() < 0.5 else ():
                chars[k] = rng.standard_normal(5).tolist()
                edits += 1
        new.insert(at, ([1.0, 0.5], rng.standard_normal((6, 5)).tolist()))
        want = {"changed": edits, "removed": 1, "added": 1} if out != at else {"changed": edits + 7}
        assert kinds(rs.diff(page(old), page(new))) == {kind: n for kind, n in want.items() if n}


def test_what_is_the_same_is_paired_before_what_is_similar() -> None:
    """Words of nearly one direction: three are the same one place further, though pairing all in order costs less
    members without a partner."""
    a, b = ([[ord(c) / 100, 1.0] for c in word] for word in ("abcd", "bcxda"))
    assert [str(c) for c in rs.diff(wide(a), wide(b)).changes] == ["> token 0.0 -> 0.4", "+ token at 0.2"]


def test_a_changed_attribute() -> None:
    """By how much: |x - y| over the larger norm, here 2 / 5, and the cosine 17 / (5 sqrt(13))."""
    a, b = wide([[3.0, 4.0], [1.0, 0.0]]), wide([[3.0, 2.0], [1.0, 0.0]])
    (change,) = rs.diff(a, b).changes
    assert (change.kind, change.before, change.after, change.old, change.new) == ("changed", (0, 0), (0, 0), 0, 0)
    assert change.distance == pytest.approx(2 / 5)
    assert change.cosine == pytest.approx(17 / (5 * np.sqrt(13)))
    assert str(change) == "~ token at 0.0: attribute off by 0.4 (cosine 0.94)"
    assert rs.diff(a, b, tolerance=0.41) == rs.Difference((), 3, (True, True))
    assert rs.diff(a, b, tolerance=0.39)


def test_a_changed_weight() -> None:
    """All shares follow one weight; the largest change comes back with the shares of both."""
    found = rs.diff(page(lines(3), [1, 1, 2]), page(lines(3), [1, 1, 2.5]))
    assert kinds(found) == {"reweighted": 3}
    assert found.changes[2].weights == pytest.approx((2 / 4, 2.5 / 4.5))
    assert str(found.changes[2]) == "% line at 0.2: weight 0.5 -> 0.556"
    assert not rs.diff(page(lines(3), [1, 1, 2]), page(lines(3), [5, 5, 10]))


def test_weights_are_compared_among_what_both_have() -> None:
    """A removed member leaves more to the others, which is no change of theirs."""
    found = rs.diff(page(lines(3), [1, 2, 3]), page(lines(3)[:2], [1, 2]))
    assert kinds(found) == {"removed": 1}
    assert kinds(rs.diff(page(lines(3), [1, 2, 3]), page(lines(3)[:2], [2, 1]))) == {"removed": 1, "reweighted": 2}


def test_a_moved_subtree() -> None:
    """Within its tuple and to another object; what it takes along has no entry, unless it changed on the way."""
    a = lines(4)
    found = rs.diff(page(a), page([a[1], a[2], a[3], a[0]]))
    assert [str(c) for c in found.changes] == ["> line 0.0 -> 0.3: with 4 below"]
    assert found.same == 20
    edited = copy.deepcopy(a)
    edited[0][1][2] = [0.0] * 5
    found = rs.diff(page(a), page([*edited[1:], edited[0]]))
    assert kinds(found) == {"changed": 1, "moved": 1}
    assert (found.changes[0].before, found.changes[0].after) == ((0, 0, 2), (0, 3, 2))

    def across(first: int) -> rs.Trace:
        chars = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 3.0]]
        t = rs.Trace()
        ids = [t.add("char", c) for c in chars]
        t.outputs([t.add("line", [1.0], ids[:first]), t.add("line", [2.0], ids[first:])])
        return t

    assert [str(c) for c in rs.diff(across(3), across(2)).changes] == ["> char 0.2 -> 1.0"]


def test_what_is_only_near_leaves_the_place_to_what_is_the_same() -> None:
    def made(*below: list[list[float]]) -> rs.Trace:
        t = rs.Trace()
        ids = [t.add(f"u{k}", [1.0], [t.add("m", x) for x in xs]) for k, xs in enumerate(below)]
        t.outputs(ids)
        return t

    near, same = [1.0, 0.05], [1.0, 0.0]
    found = rs.diff(made([near], [same], []), made([], [], [same]))
    assert [(c.kind, c.before, c.after) for c in found.changes] == [
        ("moved", (1, 0), (2, 0)),
        ("removed", (0, 0), None),
    ]


def test_from_below_what_was_removed() -> None:
    """A word of a removed line that now stands alone was moved: the line is gone, the word is not."""
    a, b = rs.Trace(), rs.Trace()
    word = a.add("word", [1.0, 2.0])
    a.outputs([a.add("line", [1.0], [word, a.add("word", [5.0, 5.0])]), a.add("foot", [1.0])])
    b.outputs([b.add("word", [1.0, 2.0]), b.add("foot", [1.0])])
    found = rs.diff(a, b)
    assert [(c.kind, c.module, c.before, c.after) for c in found.changes] == [
        ("moved", "word", (0, 0), (0,)),
        ("removed", "line", (0,), None),
    ]


def test_another_module_or_length_is_another_object() -> None:
    for attribute, module in (([1.0, 2.0], "word"), ([1.0, 2.0, 3.0], "token")):
        a, b = rs.Trace(), rs.Trace()
        a.outputs([a.add("token", [1.0, 2.0])])
        b.outputs([b.add(module, attribute)])
        assert kinds(rs.diff(a, b)) == {"removed": 1, "added": 1}


# ---------------------------------------------------------------- shared objects


def shared(uses: list[int], copies: bool = False) -> rs.Trace:
    """Two lines that use the word's object, or copies of it, so many times each."""
    t = rs.Trace()
    ids = [t.add("word", [1.0, 2.0])]
    tops = []
    for k, n in enumerate(uses):
        own = [t.add("word", [1.0, 2.0]) for _ in range(n)] if copies else ids * n
        tops.append(t.add("line", [float(k)], own))
    t.outputs(tops)
    return t


def test_copies_are_as_good_as_sharing() -> None:
    assert not rs.diff(shared([1, 1]), shared([1, 1], copies=True))
    assert not rs.diff(shared([2, 1], copies=True), shared([2, 1]))


def test_a_use_that_is_gone_is_told_of_though_the_object_is_not() -> None:
    found = rs.diff(shared([1, 2]), shared([1, 1]))
    assert [(c.kind, c.before, c.after, c.old, c.new) for c in found.changes] == [("removed", (1, 1), (0, 0), 0, 0)]
    assert str(found.changes[0]) == "- word at 1.1: still at 0.0"
    assert str(rs.diff(shared([1, 1]), shared([1, 2])).changes[0]) == "+ word at 1.1: was at 0.0"


def test_a_shared_object_changes_once() -> None:
    def made(x: float) -> rs.Trace:
        t = rs.Trace()
        word = t.add("word", [x, 2.0])
        t.outputs([t.add("line", [1.0], [word]), t.add("line", [2.0], [word, word])])
        return t

    found = rs.diff(made(1.0), made(3.0))
    assert [(c.kind, c.before) for c in found.changes] == [("changed", (0, 0))]


def test_a_deep_dag_costs_what_it_holds() -> None:
    """60 levels, each used twice by the next: 2**60 paths."""

    def made(x: float) -> rs.Trace:
        t = rs.Trace()
        i = t.add("m", [x, 1.0])
        for k in range(60):
            i = t.add("m", [1.0, float(k)], [i, i])
        t.outputs([i])
        return t

    found = rs.diff(made(1.0), made(2.0))
    assert (kinds(found), found.same) == ({"changed": 1}, 60)
    assert len(found.changes[0].before or ()) == 61


def test_chains_are_followed_to_their_end() -> None:
    def made(last: float) -> rs.Trace:
        rng, t = np.random.default_rng(0), rs.Trace()
        inputs = [t.add("m", [last, 0.0])]
        for _ in range(3000):
            inputs = [t.add("m", rng.standard_normal(2), inputs)]
        t.outputs(inputs)
        return t

    assert kinds(rs.diff(made(1.0), made(2.0))) == {"changed": 1}


# ---------------------------------------------------------------- wide tuples


@pytest.mark.parametrize("cosine", [0.0, 0.9, 1.0])
def test_wide_tuples(cosine: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 inputs, alike or all one: the first and the last changed, one in the middle inserted. Python compares few
    pairs one by one, although 200 * 201 stand between the changes."""
    rng = np.random.default_rng(0)
    base, own = rng.standard_normal(16), rng.standard_normal((200, 16))
    x = np.sqrt(cosine) * base + np.sqrt(1 - cosine) * own
    y = np.insert(x, 100, 3 * own[0], axis=0)
    y[0] += 1.0
    y[-1] += 1.0
    calls = 0
    same = matching.Matching.same

    def counted(self: Any, i: int, j: int) -> bool:
        nonlocal calls
        calls += 1
        return same(self, i, j)

    monkeypatch.setattr(matching.Matching, "same", counted)
    found = rs.diff(wide(x), wide(y))
    assert kinds(found) == {"changed": 2, "added": 1}
    assert found.of("added")[0].after == (0, 100)
    assert [c.before for c in found.of("changed")] == [(0, 0), (0, 199)]
    if cosine < 1:
        assert calls < 1000


def test_tuples_too_wide_to_compare_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split at members that occur once on each side; without any, into pieces. Nothing is lost or paired twice."""
    monkeypatch.setattr(matching, "LARGEST", 100)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4))
    y = np.insert(np.delete(x, 150, axis=0), 50, 5.0, axis=0)
    y[0], y[-1] = 9.0, 9.0
    assert kinds(rs.diff(wide(x), wide(y))) == {"changed": 2, "removed": 1, "added": 1}
    for z in (rng.standard_normal((200, 4)), rng.standard_normal((90, 4)), x[::-1]):
        found = rs.diff(wide(x), wide(z))
        n = kinds(found)
        assert found.same + n.get("changed", 0) + n.get("moved", 0) + n.get("removed", 0) == 201
        ends = [c.new for c in found.changes if c.kind in ("changed", "moved", "added")]
        assert len(ends) == len(set(ends))


def test_every_object_is_accounted_for() -> None:
    """Of 60 pairs of random trees: each object of the first run is the same, changed or moved, removed or below what
    was removed; and a run against itself never differs, whatever the other is."""
    rng = np.random.default_rng(0)

    def tree() -> rs.Trace:
        t = rs.Trace()
        free: list[int] = []
        for _ in range(int(rng.integers(1, 25))):
            take = [free.pop() for _ in range(min(len(free), int(rng.integers(0, 4))))]
            free.append(t.add("ab"[rng.integers(2)], rng.integers(0, 2, 2).astype(float), take))
        t.outputs(free)
        return t

    for _ in range(60):
        a, b = tree(), tree()
        found = rs.diff(a, b)
        assert not rs.diff(a, copy.copy(a))
        moved = {c.old for c in found.of("moved")}
        known = {c.old for c in found.changes if c.kind in ("changed", "reweighted", "moved")}
        assert moved <= known
        gone = sum(1 + c.below for c in found.of("removed"))
        assert found.same + len(known) <= len(a)
        assert found.same + len(known) + gone >= len(a)
        mirrored = rs.diff(b, a)
        assert bool(mirrored) == bool(found)


# ---------------------------------------------------------------- unrolled runs

SPEC = rs.SketchSpec(1024, {"page": 4, "line": 8, "char": 16}, seed=3)


def real(edit: float = 0.0) -> rs.Trace:
    """A page of three lines of four characters of norm about one, the last of which is off by `edit`."""
    rng, t, ids = np.random.default_rng(0), rs.Trace(), []
    for k in range(3):
        x = rng.standard_normal((4, 16)) / 4
        x[-1, 0] += edit * (k == 2)
        ids.append(t.add("line", rng.standard_normal(8) / 3, [t.add("char", c) for c in x], rng.dirichlet([4] * 4)))
    t.outputs([t.add("page", rng.standard_normal(4) / 2, ids, [1, 2, 3])])
    return t


READ = rs.Sketcher(SPEC, threads=1).unroll(rs.Sketcher(SPEC, threads=1).sketch(real()))
LEAF = READ.objects[0]


def test_what_stated_errors_explain_is_no_change() -> None:
    """Of float32, float16, int8 and half erased sketches, against the run itself and against each other. 16 objects
    each; a stated error is of a root mean square of 0.8 to 1.25 of the true one, and the norm of 4 to 16 elements
    is beyond 4 of them with a probability below 1e-6 each."""
    sk, run = rs.Sketcher(SPEC, threads=1), real()
    s = sk.sketch(run)
    half = np.random.default_rng(1).random(1024) < 0.6
    found = [sk.unroll(s), sk.unroll(rs.pack(s, "float16")), sk.unroll(rs.pack(s, "int8")), sk.unroll(s, half)]
    assert all(u.complete for u in found)
    for u in found:
        assert rs.diff(run, u) == rs.Difference((), 16, (True, True))
        assert rs.diff(u, found[0]).same == 16


def test_what_stated_errors_do_not_explain_is_a_change() -> None:
    sk, run = rs.Sketcher(SPEC, threads=1), real()
    for dtype, edit in (("float32", 1e-3), ("int8", 0.5)):
        packed = [rs.pack(sk.sketch(t), dtype) for t in (run, real(edit))]
        found = sk.diff(*packed)
        assert found == rs.diff(*map(sk.unroll, packed))
        assert [(c.kind, c.before) for c in found.changes] == [("changed", (0, 2, 3))]
        assert found.changes[0].distance == pytest.approx(edit, rel=0.5)
        assert not sk.diff(*packed, tolerance=0.9)


def test_errors_count_beside_the_tolerance() -> None:
    """|x - y| = 0.1 is no change at an error of 0.03 each, and one at 0.01: 4 sqrt(2) 0.03 = 0.17, 4 sqrt(2) 0.01 =
    0.057."""

    def one(x: float, error: float) -> rs.Unrolled:
        o = dataclasses.replace(LEAF, attribute=np.float32([x]), error=np.float32([error]))
        return dataclasses.replace(READ, objects=(o,), outputs=(0,), weights=(1.0,))

    assert not rs.diff(one(1.0, 0.03), one(1.1, 0.03))
    assert rs.diff(one(1.0, 0.01), one(1.1, 0.01))
    assert not rs.diff(one(1.0, 0.01), one(1.1, 0.01), tolerance=0.1)
    for error in (np.nan, np.inf):  # an error that is not known explains everything
        assert not rs.diff(one(1.0, error), one(5.0, 0.0))


def test_what_is_not_whole_is_said_of_the_run_that_is_not() -> None:
    sk = rs.Sketcher(SPEC, threads=1)
    whole, cut = sk.unroll(sk.sketch(real())), sk.unroll(sk.sketch(real()), max_depth=2)
    assert not cut.complete
    found = rs.diff(whole, cut)
    assert found.whole == (True, False)
    assert "! The second run is not known whole: what was not found in it looks removed." in str(found)
    assert "first run is not" in str(rs.diff(cut, whole))
    assert "Neither run" in str(rs.diff(cut, cut))
    assert "!" not in str(rs.diff(whole, whole))
    assert "The second run is not" in found._repr_html_()
    assert sk.diff(sk.sketch(real()), sk.sketch(real()), max_depth=2).whole == (False, False)


def test_elements_that_are_not_known_are_not_compared() -> None:
    """NaN is what a reader says of what it could not read: no evidence of a change, nor against one elsewhere."""
    u = READ
    x = u.objects[3].attribute.copy()
    x[2:5] = np.nan
    holes = dataclasses.replace(
        u, objects=(*u.objects[:3], dataclasses.replace(u.objects[3], attribute=x), *u.objects[4:])
    )
    assert not rs.diff(u, holes)
    x[0] += 1.0
    (change,) = rs.diff(u, holes).changes
    assert change.kind == "changed"
    assert np.isfinite([change.distance, change.cosine]).all()
    x[:] = np.nan
    assert not rs.diff(u, holes)


def test_doubtful_objects_say_so() -> None:
    u = READ
    doubtful = dataclasses.replace(u, objects=tuple(dataclasses.replace(o, confidence=0.7) for o in u.objects))
    assert str(rs.diff(u, rs.Trace())).count("confidence") == 0
    assert str(rs.diff(doubtful, rs.Trace())).count("confidence 70.0%") == 1


# ---------------------------------------------------------------- the answer


def test_empty_runs() -> None:
    none = rs.Trace()
    assert not rs.diff(none, none)
    assert kinds(rs.diff(none, page(lines(2)))) == {"added": 1}
    assert kinds(rs.diff(page(lines(2)), none)) == {"removed": 1}
    nothing = rs.Sketcher(SPEC).unroll(np.zeros(1024))
    assert kinds(rs.diff(page(lines(2)), nothing)) == {"removed": 1}
    t = rs.Trace()
    t.outputs([t.add("pool", [1.0], [t.add("m", [1.0]), t.add("m", [2.0])], [1, 0])])
    u = rs.Trace()
    u.outputs([u.add("pool", [1.0], [u.add("m", [1.0])])])
    assert not rs.diff(t, u)  # an input of weight zero leaves no mark
    zero = wide([[0.0, 0.0]])
    assert not rs.diff(zero, zero)
    assert rs.diff(zero, wide([[1.0, 0.0]])).changes[0].distance == 1.0


class Tags(HTMLParser):
    """Every tag is closed, and there is no script."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_texts_are_escaped_and_end() -> None:
    name = "<script>alert('&')</script>\n\x1b[2J"
    a, b = rs.Trace(), rs.Trace()
    a.outputs([a.add(name, [1.0])])
    b.outputs([b.add(name, [2.0])])
    found = rs.diff(a, b)
    assert "\x1b" not in str(found)
    assert len(str(found).splitlines()) == 2
    parser = Tags()
    parser.feed(found._repr_html_())
    assert not parser.open
    assert "script" not in parser.seen
    many = rs.diff(wide(np.eye(300)), wide(2 * np.eye(300)))
    assert len(str(many).splitlines()) == 62
    assert many.table(2).splitlines()[-1] == "... (298 more)"
    assert len(many.table(300).splitlines()) == 300
    assert many._repr_html_().count("<tr>") == 300
    huge = rs.Difference(many.changes * 10, 0, (True, True))
    assert "… (1000 more)" in huge._repr_html_()
    assert repr(many) == "<Difference: 300 changed, 1 the same>"


def test_answers_compare_by_what_they_hold() -> None:
    one, two = (rs.diff(page(lines(2)), page(lines(3))) for _ in range(2))
    for twin in (two, copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert (one == twin) is True
    assert one.changes[0] == two.changes[0]  # with NaN in them
    assert (one == rs.diff(page(lines(3)), page(lines(2)))) is False
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.same = 3  # type: ignore[misc]


def test_what_is_refused() -> None:
    t = page(lines(1))
    for wrong in (None, 3, "run", [t], np.zeros(3)):
        with pytest.raises(TypeError, match=r"^a: wanted a Trace or an Unrolled; got "):
            rs.diff(wrong, t)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^b: wanted"):
            rs.diff(t, wrong)  # type: ignore[arg-type]
    for bad in (-1e-9, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"^tolerance: wanted a number from 0 to 1; got"):
            rs.diff(t, t, tolerance=bad)
    assert not rs.diff(t, t, tolerance=0)
    with pytest.raises(ValueError, match=r"^kind: wanted one of .*; got 'new'"):
        rs.diff(t, t).of("new")
    with pytest.raises(ValueError, match=r"^most: wanted"):
        rs.diff(t, t).table(0)
    loops = dataclasses.replace(LEAF, inputs=(0,), weights=(1.0,))
    for objects, outputs in (((loops,), (0,)), ((dataclasses.replace(loops, inputs=()),), (0,)), ((), (0,))):
        loop = dataclasses.replace(READ, objects=objects, outputs=outputs, weights=(1.0,))
        with pytest.raises(ValueError, match=r"^a: wanted (inputs|outputs) "):
            rs.diff(loop, t)
    sk = rs.Sketcher(SPEC)
    with pytest.raises(ValueError, match=r"^b: wanted a sketch of 1024 numbers; got"):
        sk.diff(np.zeros(1024), np.zeros((2, 1024)))
    with pytest.raises(ValueError, match=r"^a: wanted finite numbers"):
        sk.diff(np.full(1024, np.nan), np.zeros(1024))
