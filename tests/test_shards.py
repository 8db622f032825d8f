"""Many repositories searched as one: the answers are those of one, by whomever they are found, or an error."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, D, run

import recsketch as rs

# Scores and contrasts are computed in float64 from the same bytes, and rounded to float32. The means are sums of the
# same rows in another order, in float64, rounded to float32: where they differ, it is by a unit in the last place of
# each number, 2^-24 of the mean's norm, at most 1, and that twice, over |q - m| |u - m|, of which each is above 0.3.
ERROR = 2 * 2.0**-24 / 0.3 + 2 * 2.0**-24
SIZES = (40, 0, 3, 130, 77)


def like_a_bag(n: int, seed: int = 0) -> np.ndarray:
    """Rows that have much in common, as sketches of one network's runs do."""
    common = np.random.default_rng(100).standard_normal(D)
    return np.asarray(common + 0.7 * np.random.default_rng(seed).standard_normal((n, D)), np.float32)


def fill(repository: Any, part: int, seed: int) -> None:
    """The additions and deletions of a shard."""
    n = SIZES[part]
    keys = [f"{part}/{i}" for i in range(n)]
    repository.add(like_a_bag(n, seed), keys, [{"n": i, "part": part} for i in range(n)])
    if n > 10:
        repository.add([run(10 * part + i) for i in range(8)], [f"{part}/run {i}" for i in range(8)])
        repository.delete([key for i, key in enumerate(keys) if i % 7 == 3])


@pytest.fixture(params=["float32", "int8+float16"])
def both(tmp_path: Path, request: Any) -> Iterator[tuple[Any, Any]]:
    """All runs in one repository, and in shards; of each first half of the shards' calls, then the other."""
    paths = [tmp_path / f"shard {part}" for part in range(len(SIZES))]
    with rs.SketchRepository.open(tmp_path / "one", SPEC, mode="a", dtype=request.param, threads=2) as one:
        for part, path in enumerate(paths):
            with rs.SketchRepository.open(path, SPEC, mode="a", dtype=request.param, threads=2) as shard:
                fill(shard, part, part)
            fill(one, part, part)
        with rs.ShardedRepository.open(paths, threads=2) as many:
            yield one, many


def same(a: list[rs.Hit], b: list[rs.Hit]) -> None:
    """The same hits, but for rounding."""
    assert [hit.key for hit in a] == [hit.key for hit in b]
    assert [hit.metadata for hit in a] == [hit.metadata for hit in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.contrast - y.contrast) <= ERROR
        assert abs(x.score - y.score) <= ERROR


def check(one: Any, many: Any, executor: Any = None) -> None:
    """Every kind of search has the same hits."""
    q = np.concatenate([like_a_bag(4, 9), np.zeros((1, D))])
    for where in (None, {"n": {">": 2, "<": 30}}, [{"part": 2}, {"n": [4, 5]}], {"n": -1}):
        for k in (1, 12, 1000):
            for a, b in zip(one.search(q, k, where), many.search(q, k, where, executor=executor), strict=True):
                same(a, b)
        same(one.search(run(31), 3, where, "order"), many.search(run(31), 3, where, "order", executor=executor))
    mask = np.arange(D) % 3 > 0
    same(one.search(q[0], 5, mask=mask), many.search(q[0], 5, mask=mask, executor=executor))
    for by in ("run", "order"):
        same(one.related("3/run 2", 4, by=by), many.related("3/run 2", 4, by=by, executor=executor))


def test_the_hits_are_those_of_one_repository(both: tuple[Any, Any]) -> None:
    one, many = both
    check(one, many)
    with ThreadPoolExecutor(3) as threads:
        check(one, many, threads)
    assert list(many) == list(one)
    assert len(many) == len(one)
    assert "3/8" in many
    assert "3/3" not in many
    assert many.get("3/8") == one.get("3/8")


def test_shards_that_change_are_followed(both: tuple[Any, Any]) -> None:
    """Additions, deletions and compactions between searches: of the last shard, since rows of one repository have an
    order."""
    one, many = both
    check(one, many)
    path = many.paths[-1]
    with rs.SketchRepository.open(path, mode="a") as last:
        for i in range(3):
            for r in (one, last):
                r.add(like_a_bag(90, 50 + i), [f"more {i} {j}" for j in range(90)])
                r.delete([f"more {i} {j}" for j in range(0, 90, 2)])
            check(one, many)


def test_processes_answer_too(both: tuple[Any, Any]) -> None:
    one, many = both
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for _ in range(2):  # with what the processes have open the second time
            check(one, many, pool)
