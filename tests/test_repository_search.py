"""Search against float64 NumPy over all rows: every stored form, conditions, deletions, segments, masks, objects."""

from __future__ import annotations

import operator
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, D, rows, run

import recsketch as rs
from recsketch.repository import conditions, search

DTYPES = ("float32", "float16", "int8")
N = 300


def expected(q: Any, stored: np.ndarray, mean: Any) -> tuple[np.ndarray, np.ndarray]:
    """(n,) contrasts and scores in float64."""

    def unit(x: Any) -> np.ndarray:
        x = np.asarray(x, np.float64)
        return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-300)

    u, v = unit(stored), unit(q)
    m = np.zeros(stored.shape[1]) if mean is None else np.asarray(mean, np.float64)
    there = u.any(axis=1) * v.any()  # zeros have no direction
    return unit(u - m) @ unit(v - m) * there, u @ v


def like_a_bag(n: int, seed: int = 0) -> np.ndarray:
    """Rows that have much in common, as sketches of one network's runs do, of norms from 1e-3 to 1e3."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(D)
    sizes = 10 ** rng.uniform(-3, 3, (n, 1))
    return np.asarray((common + 0.7 * rng.standard_normal((n, D))) * sizes, np.float32)


@pytest.fixture(params=DTYPES)
def filled(request: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """N runs in several segments, a fifth of them deleted, and what is stored of the others, by key."""
    monkeypatch.setattr(
        "recsketch.repository.writing.FULL", 70 * D * {"float32": 4, "float16": 2, "int8": 1}[request.param]
    )
    x = like_a_bag(N)
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", dtype=request.param, threads=2) as r:
        for i in range(0, N, 30):
            part = range(i, i + 30)
            r.add(
                x[i : i + 30], [f"{j:04d}" for j in part], [{"n": j, "half": j % 2, "rare": j % 50 == 3} for j in part]
            )
        gone = [f"{j:04d}" for j in range(0, N, 5)]
        r.delete(gone)
        assert len(r._columns.at(r._connection(), _state(r), "run").segments) == 4
        yield r, {key: r.get(key).sketch for key in r}


def _state(r: Any) -> Any:
    from recsketch.repository.state import read_state

    return read_state(r._connection())


def centre(r: Any) -> Any:
    return search.centre(r._columns.at(r._connection(), _state(r), "run"))


# Contrasts and scores are computed in float64 from float32 rows of norm one, whose elements are rounded once more: each
# is wrong by at most 2^-24 |u| |v| from that, and by as much from the query's rounding; the mean is float32 for both
# sides. By the division by |u - m|, here at least 0.3, that is 4e-7 at most. Rows that differ by less change places.
ERROR = 1e-6


def check(hits: Any, q: Any, stored: dict[str, np.ndarray], mean: Any, k: int, error: float = ERROR) -> None:
    keys = list(stored)
    contrast, score = expected(q, np.array([stored[key] for key in keys]), mean)
    assert len(hits) == min(k, len(keys))
    assert len({hit.key for hit in hits}) == len(hits)
    best = np.sort(contrast)[::-1]
    for i, hit in enumerate(hits):
        at = keys.index(hit.key)
        assert abs(hit.contrast - contrast[at]) < error
        assert abs(hit.score - score[at]) < error
        assert abs(hit.contrast - best[i]) < 2 * error
    assert all(a.contrast >= b.contrast for a, b in pairwise(hits))


@pytest.mark.parametrize("k", [1, 7, 240, 1000])
def test_the_best_are_found(filled: Any, k: int) -> None:
    r, stored = filled
    queries = [*like_a_bag(6, 1), next(iter(stored.values())), -next(iter(stored.values())), 1e-3 * rows(1)[0]]
    mean = centre(r)
    assert np.linalg.norm(mean) > 0.5
    for hits, q in zip(r.search(np.array(queries), k), queries, strict=True):
        check(hits, q, stored, mean, k)
    assert r.search(queries[0], k) == r.search(np.array(queries), k)[0]
    packed = rs.pack(queries[0], "int8")
    check(r.search(packed, k), packed.unpack(), stored, mean, k)


WHERE: list[tuple[Any, Any]] = [
    ({"half": 1}, lambda n: n % 2 == 1),
    ({"rare": True}, lambda n: n % 50 == 3),
    ({"n": {">=": 10, "<": 20}}, lambda n: 10 <= n < 20),
    ({"n": [3, 4, 5, 999]}, lambda n: n in (3, 4)),
    ({"n": {">": 100}, "half": 0}, lambda n: n > 100 and n % 2 == 0),
    ([{"n": {"<=": 11}}, {"rare": True, "half": 1}], lambda n: n <= 11 or (n % 50 == 3 and n % 2 == 1)),
    ({}, lambda n: True),
    ({"n": 1.5}, lambda n: False),
    ({"none": 1}, lambda n: False),
    ({"n": {">": ""}}, lambda n: False),
]


@pytest.mark.parametrize("where", range(len(WHERE)))
def test_conditions_come_before_the_search(filled: Any, where: int) -> None:
    """Of few rows, which are gathered, and of many, which are scanned with the others and left out."""
    r, stored = filled
    condition, holds = WHERE[where]
    some = {key: x for key, x in stored.items() if holds(int(key))}
    q = like_a_bag(1, 2)[0]
    for k in (3, 200):
        check(r.search(q, k, condition), q, some, centre(r), k) if some else None
        assert len(r.search(q, k, condition)) == min(k, len(some))


def test_the_mean_is_that_of_what_is_stored_alone(folder: Path) -> None:
    """It does not depend on what was searched before, and hardly changes as rows are added."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        x = like_a_bag(600)
        r.add(x[:7])
        assert centre(r) is None
        assert r.search(x[0], 1)[0].contrast == r.search(x[0], 1)[0].score
        for i in range(7, 600, 13):
            r.add(x[i : i + 13])
            r.search(x[0], 1)
        before = r.search(x[5], 5)
        with rs.SketchRepository.open(folder / "r") as other:
            assert other.search(x[5], 5) == before
        unit = x[:512] / np.linalg.norm(x[:512], axis=1, keepdims=True)
        assert np.abs(centre(r) - unit.mean(axis=0)).max() < 1e-6


def test_a_mean_that_moved_counts(filled: Any) -> None:
    """What was computed of rows for one mean is not used with another, as when n passes a power of two."""
    r, stored = filled
    column = r._columns.at(r._connection(), _state(r), "run")
    q = like_a_bag(3, 1) / np.linalg.norm(like_a_bag(3, 1), axis=1, keepdims=True)
    values = np.array(list(stored.values()))
    kept = np.array([int(key) for key in stored])
    for mean in (centre(r), -centre(r), None, 0.9 * centre(r)):
        rough = search.best(column, q.astype(np.float32), 10, mean, None, 2)
        for found, x in zip(search.ranked(column, q, rough, 10, mean).rows, q, strict=True):
            contrast = expected(x, values, mean)[0]
            assert np.abs(contrast[np.searchsorted(kept, found)] - np.sort(contrast)[:-11:-1]).max() < 2 * ERROR


def test_equal_rows_come_in_the_order_they_were_added(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(np.ones((20, D)))
        assert [hit.key for hit in r.search(np.ones(D), 5)] == [f"run-{i:08d}" for i in range(5)]


def test_zeros_and_extremes(folder: Path) -> None:
    """A sketch of zeros has a score of 0; norms from 1e-25 to 1e31 are all the same to a cosine."""
    x = like_a_bag(12)
    x[3] = 0
    x[4] *= 1e20 / np.abs(x[4]).max()
    x[5] *= 1e30 / np.abs(x[5]).max()
    x[6] *= 1e-25 / np.abs(x[6]).max()
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        keys = r.add(x)
        mean = centre(r)
        for q in (x[4], x[5], x[6], x[3], x[0]):
            check(r.search(q, 12), q, dict(zip(keys, x, strict=True)), mean, 12)


def test_int8_is_put_in_order_by_float16(folder: Path) -> None:
    """Rows that int8 cannot tell apart: they differ by a hundredth of its step, and float16 by some of its own."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(D)
    x = np.array([base + 1e-3 * (i + 1) * np.eye(D)[1] for i in range(30)] + [*rng.standard_normal((50, D))])
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", dtype="int8+float16") as r:
        keys = r.add(x)
        r.delete(keys[3])
        r.compact()
        stored = {key: r.get(key).sketch for key in r}
        mean = centre(r)
        for q in (base, x[17], x[60]):
            check(r.search(q, 8), q, stored, mean, 8)
        assert {p.name for p in (folder / "r").glob("*.rows")} == {"00000003.rows", "00000004.rows"}


def test_partial_queries(filled: Any) -> None:
    """Likeness over the kept coordinates; what was erased may be anything."""
    r, stored = filled
    keys, x = list(stored), np.array(list(stored.values()))
    kept = np.random.default_rng(0).random(D) < 0.5
    q = np.where(kept, x[20], np.float32(np.nan))
    assert r.search(q, 1, mask=kept)[0].key == keys[20]
    m = centre(r).astype(np.float64)
    u = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    v = x[20][kept] / (np.linalg.norm(x[20][kept]) * np.sqrt(D / kept.sum()))
    a, b = u[:, kept] - m[kept], v - m[kept]
    want = a @ b / np.linalg.norm(a, axis=1) / np.linalg.norm(b)
    for hit in r.search(q, 10, {"half": 1}, mask=kept):
        assert abs(hit.contrast - want[keys.index(hit.key)]) < ERROR
    order = [keys[i] for i in np.argsort(-want)][:10]
    assert [hit.key for hit in r.search(q, 10, mask=kept)] == order
    both = r.search(np.array([q, x[3]]), 2, mask=np.array([kept, ~kept]))
    assert [hits[0].key for hits in both] == [keys[20], keys[3]]


# ---------------------------------------------------------------- runs


def page(words: Any) -> rs.Trace:
    trace = rs.Trace()
    ears = [trace.add("ear", np.random.default_rng(w).standard_normal(3)) for w in words]
    trace.outputs([trace.add("eye", [1, 0], ears)])
    return trace


def test_order_does_not_matter_where_it_shall_not(folder: Path) -> None:
    spec = SPEC.replace(dim=1024)
    with rs.SketchRepository.open(folder / "r", spec, mode="a") as r:
        pages = [page(range(10 * i, 10 * i + 10)) for i in range(30)]
        keys = r.add(pages)
        r.add(rows(5, d=1024))
        mixed = page(reversed(range(50, 60)))
        hit = r.search(mixed, 1, by="order")[0]
        assert (hit.key, round(hit.score, 4)) == (keys[5], 1.0)
        assert hit.contrast > 0.999
        assert r.search(mixed, 1)[0].contrast < 0.9
        assert len(r.search(mixed, 100, by="order")) == 30  # sketches that were added have no unordered ones
        bag = rs.Sketcher(spec.unordered()).sketch([mixed, pages[2]])
        assert [hits[0].key for hits in r.search(bag, 1, by="order")] == [keys[5], keys[2]]
        assert [hits[0].key for hits in r.search(pages[:3], 1)] == keys[:3]
        assert [hits[0].key for hits in r.search(iter(pages[:3]), 1)] == keys[:3]


def test_related(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC.replace(dim=1024), mode="a") as r:
        pages = [page([i // 2 * 10 + j for j in range(6 + i % 2)]) for i in range(30)]
        keys = r.add(pages, metadata=[{"n": i} for i in range(30)])
        extra = r.add(rows(1, d=1024)[0])
        for i in (0, 7, 22):
            stored = r.get(keys[i])
            for by, query in (("run", stored.sketch), ("order", stored.order)):
                hits = r.search(query, 6, by=by)
                assert hits[0].key == keys[i]
                assert r.related(keys[i], 5, by=by) == hits[1:]
            assert r.related(keys[i], 1)[0].key == keys[i ^ 1]
            assert len(r.related(keys[i], 100)) == 30
            assert keys[i] not in [hit.key for hit in r.related(keys[i], 100, {"n": {">=": 0}})]
        with pytest.raises(ValueError, match="key: wanted a run that was added as a run, for by='order'; got 'run-0"):
            r.related(extra, by="order")
        with pytest.raises(KeyError, match="key: wanted one of the repository's; got 'x'"):
            r.related("x")


def test_objects_are_found_with_their_paths(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC.replace(dim=256), mode="a") as r:
        keys = r.add([run(i) for i in range(20)], metadata=[{"n": i} for i in range(20)], objects=True)
        read = r.add(rs.Sketcher(r.spec).sketch(run(30)), objects=True)
        r.add(run(40))
        for seed, key in [(3, keys[3]), (11, keys[11]), (30, read)]:
            for number, path in ((0, (0, 0)), (1, (0, 1))):
                hits = r.search_objects("ear", run(seed).objects[number].attribute, 5)
                assert (hits[0].key, hits[0].path) == (key, path)
                assert hits[0].score > 0.99999
                assert len({hit.key for hit in hits}) == 5
            assert r.search_objects("eye", run(seed).objects[2].attribute, 1)[0].path == (0,)
        some = r.search_objects("ear", run(3).objects[0].attribute, 50, {"n": {"<": 5}})
        assert sorted(hit.key for hit in some) == keys[:5]
        assert len(r.search_objects("ear", [1, 0, 0], 50)) == 21
        r.delete(keys[3])
        r.update(keys[4], run(50))
        r.update(keys[5], run(51), objects=True)
        assert len(r.search_objects("ear", [1, 0, 0], 50)) == 19
        assert r.search_objects("ear", run(51).objects[1].attribute, 1)[0].key == keys[5]
        r.compact()
        assert r.check().ok
        assert r.search_objects("ear", run(51).objects[1].attribute, 1)[0].path == (0, 1)
        assert str(some[0]).startswith(f"{keys[3]} at 0.0: contrast ")


def test_a_path_is_the_shortest(folder: Path) -> None:
    """Of an object that is used at several places; inputs of weight zero have none."""
    trace = rs.Trace()
    ear = trace.add("ear", [1, 2, 3])
    low = trace.add("eye", [1, 2], [ear])
    unused = trace.add("ear", [3, 2, 1])
    high = trace.add("eye", [2, 1], [unused, low, ear], [0, 1, 2])
    trace.outputs([high])
    with rs.SketchRepository.open(folder / "r", SPEC.replace(signature=2), mode="a") as r:
        r.add(trace, "x", objects=True)
        assert [hit.path for hit in r.search_objects("ear", [1, 2, 3])] == [(0, 1)]
        assert [hit.score for hit in r.search_objects("ear", [3, 2, 1])] == pytest.approx([10 / 14])


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k: wanted an integer from 1"),
        ({"by": "chaos"}, "by: wanted 'run' or 'order'; got 'chaos'"),
        ({"queries": np.ones(3)}, r"queries: wanted shape \(64,\) or \(n, 64\)"),
        ({"queries": np.full(D, np.nan)}, "queries: wanted finite numbers"),
        ({"queries": "abc"}, "queries: wanted runs or sketches; got 'abc'"),
        ({"mask": np.ones(D)}, "mask: wanted booleans"),
        ({"mask": np.ma.masked_array(np.ones(D, bool), np.eye(D)[0])}, "mask: wanted booleans.*got a masked array"),
        ({"where": 3}, "where: wanted a mapping of names to a value"),
        ({"where": []}, "where: wanted a mapping .*; got an empty list"),
        ({"where": {3: 1}}, "where: a name: wanted a text; got 3"),
        ({"where": {"a": None}}, r"where\['a'\]: wanted a text, a finite number"),
        ({"where": {"a": {}}}, r"where\['a'\]: wanted bounds of <, <=, >, >="),
        ({"where": {"a": {"like": 3}}}, r"where\['a'\]: wanted bounds of <, <=, >, >="),
        ({"where": {"a": {">": 1, "<": "b"}}}, r"where\['a'\]: wanted bounds that are all numbers or all texts"),
        ({"where": {"a": [[1]]}}, r"where\['a'\]: wanted a text, a finite number"),
    ],
)
def test_what_search_refuses(folder: Path, arguments: dict[str, Any], message: str) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(1))
        with pytest.raises((ValueError, TypeError), match=f"^{message}"):
            r.search(**{"queries": rows(1)[0], **arguments})


def test_what_other_searches_refuse(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC.unordered(), mode="a") as r:
        with pytest.raises(ValueError, match="by: wanted 'run', since the specification has no order anyway"):
            r.search(rows(1), by="order")
        with pytest.raises(ValueError, match="module: wanted 'eye' or 'ear'; got 'nose'"):
            r.search_objects("nose", [1])
        with pytest.raises(ValueError, match="attribute: wanted a vector of 2 numbers"):
            r.search_objects("eye", [1])
        r.add(run(0), "a")
        assert r.get("a").order is None
        assert r.search(run(0), 1)[0].key == "a"


def test_without_faiss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(20))
        wanted = r"^approximate search: wanted faiss-cpu, of pip install 'recsketch\[ann\]'; got none"
        with pytest.raises(ImportError, match=wanted):
            r.build_index()
        with pytest.raises(ImportError, match=wanted):
            r.search(rows(1), probes=3)
        assert len(r.search(rows(1)[0])) == 10
        r.compact()


def test_no_value_escapes_into_sql(folder: Path) -> None:
    names = ["'; DROP TABLE runs; --", '"', "a b", "%", "ä", "\U0001f600", "[1]", "$.x"]
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(len(names)), metadata=[{name: name} for name in names])
        for i, name in enumerate(names):
            for condition in (name, [name], {">=": name, "<=": name}):
                assert [hit.key for hit in r.search(rows(1)[0], 9, {name: condition})] == [f"run-{i:08d}"]
        assert len(r) == len(names)


def test_conditions_against_python(folder: Path) -> None:
    """200 random conditions on random metadata, seed fixed, against the same in Python."""
    rng = np.random.default_rng(0)
    values = [0, 1, 2, -3, 2**62, 0.5, 1.0, "", "a", "b", "1", True, False]

    def pick() -> Any:
        return values[rng.integers(len(values))]

    about = [{name: pick() for name in "xyz" if rng.random() < 0.7} for _ in range(200)]
    signs = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

    def condition() -> Any:
        kind = rng.integers(3)
        if kind == 0:
            return pick()
        if kind == 1:
            return [pick() for _ in range(rng.integers(4))]
        text = rng.random() < 0.3
        pool = [v for v in values if isinstance(v, str) == text]
        chosen = rng.choice(list(signs), rng.integers(1, 3), replace=False)
        return {str(sign): pool[rng.integers(len(pool))] for sign in chosen}

    def holds(x: dict[str, Any], name: str, c: Any) -> bool:
        if name not in x:
            return False
        v = x[name]
        if isinstance(c, dict):
            return all(isinstance(v, str) == isinstance(w, str) and signs[s](v, w) for s, w in c.items())
        return v in c if isinstance(c, list) else bool(v == c)

    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        keys = r.add(rows(200), metadata=about)
        sizes = []
        for _ in range(200):
            some = [{name: condition() for name in "xyz" if rng.random() < 0.5} for _ in range(rng.integers(1, 4))]
            where: Any = some if rng.random() < 0.5 else some[0]
            parts = where if isinstance(where, list) else [where]
            good = [any(all(holds(x, n, c) for n, c in w.items()) for w in parts) for x in about]
            want = [key for key, yes in zip(keys, good, strict=True) if yes]
            found = r.search(rows(1)[0], 200, where)
            assert sorted(hit.key for hit in found) == want, where
            sizes.append(len(want))
        assert min(sizes) == 0
        assert sum(5 < size < 195 for size in sizes) > 60


def test_metadata_is_plain() -> None:
    found = conditions.metadata("m", {"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": None})
    assert [type(v) for v in found.values()] == [int, float, bool, type(None)]
