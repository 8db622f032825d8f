"""Many repositories searched as one: the answers are those of one, by whomever they are found, or an error."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, D, rows, run

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


@pytest.fixture
def both(tmp_path: Path, request: Any) -> Iterator[tuple[Any, Any]]:
    """All runs in one repository, and in shards."""
    dtype = getattr(request, "param", "float32")
    paths = [tmp_path / f"shard {part}" for part in range(len(SIZES))]
    with rs.SketchRepository.open(tmp_path / "one", SPEC, mode="a", dtype=dtype, threads=2) as one:
        for part, path in enumerate(paths):
            with rs.SketchRepository.open(path, SPEC, mode="a", dtype=dtype, threads=2) as shard:
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


@pytest.mark.parametrize("both", ["float32", "int8+float16"], indirect=True)
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


# ---------------------------------------------------------------- all answers, or an error


class Through(Executor):
    """Lets something happen before it submits."""

    def __init__(self, pool: Any, happens: Callable[..., Callable[..., Any]]) -> None:
        self._pool, self._happens = pool, happens

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        found: Future[Any] = self._pool.submit(self._happens(function, arguments[0]), *arguments, **options)
        return found


class ThroughDask(Through):
    """The same before a Client, of which `pure` is known."""

    def submit(self, function: Any, /, *arguments: Any, pure: bool = True, **_: Any) -> Future[Any]:
        self.held = [*getattr(self, "held", []), super().submit(function, *arguments, pure=pure)]
        return self.held[-1]  # as long as a future is held, Dask knows its result


def test_a_shard_that_changes_in_the_middle_is_asked_again(both: tuple[Any, Any]) -> None:
    """Between any two of the three questions, and while they are answered."""
    one, many = both
    path = many.paths[-1]
    left = [(name, part) for name in ("size", "share", "hits") for part in (0, 4)]
    with rs.SketchRepository.open(path, mode="a") as last, ThreadPoolExecutor(1) as pool:

        def happens(function: Any, shard: Any) -> Any:
            at = (function.__name__, many.paths.index(shard.path))
            if at in left:
                left.remove(at)
                for r in (one, last):
                    r.add(like_a_bag(30, len(left)), [f"more {len(left)} {i}" for i in range(30)])
            return function

        for k in (1, 200):
            hits = many.search(like_a_bag(1, 9)[0], k, executor=Through(pool, happens))
            same(one.search(like_a_bag(1, 9)[0], k), hits)
        assert not left

        def always(function: Any, shard: Any) -> Any:
            last.add(rows(1))
            return function

        with pytest.raises(rs.ShardFailed, match=r"^shards: wanted one state of all of them; got other ones in each"):
            many.search(rows(1), executor=Through(pool, always))


class Deadly:
    """A function that kills its process, the first time."""

    def __init__(self, function: Callable[..., Any], marker: Path) -> None:
        self.function, self.marker = function, marker

    def __call__(self, *arguments: Any) -> Any:
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.function(*arguments)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("name", ["size", "share", "hits"])
def test_a_process_that_is_killed_is_an_error(both: tuple[Any, Any], tmp_path: Path, name: str) -> None:
    one, many = both
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:

        def happens(function: Any, shard: Any) -> Any:
            deadly = function.__name__ == name and shard.path == many.paths[3]
            return Deadly(function, tmp_path / "died") if deadly else function

        with pytest.raises(rs.ShardFailed, match=r"shard .*shard \d: wanted its answer; got BrokenProcessPool"):
            many.search(rows(1), executor=Through(pool, happens))
        with pytest.raises(rs.ShardFailed, match=r"shard .*shard 0: wanted its answer; got BrokenProcessPool"):
            many.search(rows(1), executor=pool)
    same(one.search(rows(1)[0]), many.search(rows(1)[0]))


def test_a_shard_that_fails_is_named(both: tuple[Any, Any]) -> None:
    _, many = both
    segment = sorted(Path(many.paths[3]).glob("*.rows"))[0]
    content = bytearray(segment.read_bytes())
    content[4100] ^= 1  # of its first row
    segment.write_bytes(content)
    with ThreadPoolExecutor(2) as pool:
        for executor in (None, pool):
            with pytest.raises(rs.ShardFailed, match=r"^shard .*shard 3: wanted its answer; got RepositoryDamaged: "):
                many.search(rows(1), executor=executor)


def test_an_answer_that_comes_late_is_an_error(both: tuple[Any, Any]) -> None:
    _, many = both

    class Never(Executor):
        def submit(self, function: Any, /, *arguments: Any, **_: Any) -> Future[Any]:
            future: Future[Any] = Future()
            if arguments[0].path != many.paths[2]:
                future.set_result(function(*arguments))
            self.future = future
            return future

    with pytest.raises(rs.ShardFailed, match=r"shard 2: wanted its answer; got TimeoutError$"):
        many.search(rows(1), executor=Never(), timeout=0.01)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=r"^timeout: wanted a number of seconds above 0; got"):
            many.search(rows(1), timeout=wrong)
    with pytest.raises(TypeError, match=r"^executor: wanted an executor of concurrent\.futures, or a Client"):
        many.search(rows(1), executor=3)


def test_what_is_refused(both: tuple[Any, Any], tmp_path: Path) -> None:
    one, many = both
    paths = list(many.paths)
    assert repr(many) == "<ShardedRepository of 5 shards>"
    with pytest.raises(ValueError, match=r"^paths: wanted at least one; got none$"):
        rs.ShardedRepository.open([])
    with pytest.raises(TypeError, match=r"^spec: wanted a SketchSpec"):
        rs.ShardedRepository.open(paths, "spec")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        rs.ShardedRepository.open([*paths, tmp_path / "none"])
    with pytest.raises(
        ValueError, match=r"^paths: wanted each repository once; got one in '.*shard 1' and '.*shard 1'$"
    ):
        rs.ShardedRepository.open([*paths, f"{paths[1]}/"])
    rs.SketchRepository.open(tmp_path / "other", SPEC.replace(seed=5), mode="a").close()
    with pytest.raises(ValueError, match=r"other: spec: wanted the repository's seed, 0; got 5$"):
        rs.ShardedRepository.open([*paths, tmp_path / "other"])
    with pytest.raises(ValueError, match=r"shard 0: spec: wanted the repository's seed, 5; got 0$"):
        rs.ShardedRepository.open(paths, SPEC.replace(seed=5))
    with pytest.raises(ValueError, match=r"^by: wanted 'run' or 'order'; got"):
        many.search(rows(1), by="key")
    with pytest.raises(KeyError, match="wanted one of a shard's; got 'a'"):
        many.related("a")
    with pytest.raises(ValueError, match=r"^key: wanted a run that was added as a run, for by='order'; got '3/8'$"):
        many.related("3/8", by="order")
    with rs.SketchRepository.open(paths[1], mode="a") as shard:
        shard.add(one.get("3/8").sketch, "3/8")
    with pytest.raises(ValueError, match=r"^shards: wanted each key in one; got '3/8' in '.*shard 1' and '.*shard 3'$"):
        many.search(one.get("3/8").sketch, 2)
    with pytest.raises(ValueError, match=r"^shards: wanted each key in one; got '3/8' in '.*shard 1' and '.*shard 3'$"):
        many.get("3/8")


def test_another_repository_in_a_shards_place_is_refused(both: tuple[Any, Any], tmp_path: Path) -> None:
    """By workers: who opened it at first still has the old one."""
    _, many = both
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        Path(many.paths[1]).rename(tmp_path / "away")
        rs.SketchRepository.open(many.paths[1], SPEC, mode="a").close()
        with pytest.raises(
            rs.ShardFailed, match=r"shard 1: .*: wanted the repository that was there at first; got anoth"
        ):
            many.search(rows(1), executor=pool)


# ---------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed: pip install distributed")
    with (
        distributed.LocalCluster(
            2, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
        ) as local,
        distributed.Client(local) as found,
    ):
        yield found


def test_dask_answers_too(both: tuple[Any, Any], client: Any) -> None:
    one, many = both
    check(one, many, client)
    through = ThroughDask(client, lambda function, shard: function)
    for i in range(2):  # the same questions of a shard that changed are not the same
        same(one.search(rows(1)[0]), many.search(rows(1)[0], executor=through))
        with rs.SketchRepository.open(many.paths[-1], mode="a") as last:
            for r in (one, last):
                r.add(rows(1), [f"more {i}"])


@pytest.mark.parametrize("name", ["size", "share", "hits"])
def test_a_worker_of_dask_that_is_killed_costs_no_answer(
    both: tuple[Any, Any], client: Any, tmp_path: Path, name: str
) -> None:
    """Another worker does its tasks, whichever question it died of."""
    one, many = both
    client.wait_for_workers(2, timeout=120)  # those that died before are there again

    def happens(function: Any, shard: Any) -> Any:
        deadly = function.__name__ == name and shard.path == many.paths[3]
        return Deadly(function, tmp_path / "died") if deadly else function

    through = ThroughDask(client, happens)
    for a, b in zip(
        one.search(like_a_bag(3, 9), 300), many.search(like_a_bag(3, 9), 300, executor=through), strict=True
    ):
        same(a, b)
    assert (tmp_path / "died").exists()


def test_a_death_that_dask_does_not_forgive_is_an_error(
    both: tuple[Any, Any], client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up what a worker was to do after some deaths, here one, and so does the search: shard 3 or another."""
    _, many = both
    client.wait_for_workers(2, timeout=120)
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)

    def happens(function: Any, shard: Any) -> Any:
        return Deadly(function, tmp_path / "died") if shard.path == many.paths[3] else function

    with pytest.raises(rs.ShardFailed, match=r"shard \d: wanted its answer; got KilledWorker"):
        many.search(rows(1), executor=ThroughDask(client, happens))
