"""Many repositories that are searched as one: shards are asked, by whomever runs it, and their answers are merged."""

from __future__ import annotations

import contextlib
import inspect
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.repository.conditions as conditions
import recsketch.repository.given as given
import recsketch.repository.search as search
import recsketch.repository.shards.shard as shards
from recsketch._check import Floats
from recsketch.repository.errors import ShardFailed
from recsketch.repository.finding import Condition
from recsketch.repository.finding import queries as queries_of
from recsketch.repository.given import Runs, Sketchers
from recsketch.repository.results import Hit, StoredRun
from recsketch.repository.shards.shard import Query, Shard, Size
from recsketch.repository.state import ORDER, RUN, same_spec
from recsketch.repository.store import TRIES, SketchRepository
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt


class ShardedRepository:
    """Many repositories of one specification, searched as if all their runs were in one.

    Made by `open`, and best used in a ``with`` statement. It only reads: runs are added to the shards.

    Notes
    -----
    `search` has the hits of one repository to which the runs of the first shard were added first, then those of the
    second, and so on: the mean that contrasts are taken from is that of all. A search asks every shard how many rows it
    has; for the sum of those that the mean is taken of, unless nothing changed since the last search; and for its best
    runs. If a shard changes meanwhile, all is asked again. An answer is made of all shards, or it is an error that
    names one that failed.

    An `executor` runs what is asked, one task a shard: one of concurrent.futures, or a ``dask.distributed.Client``.
    Folders must be where its workers find them, by the same paths. Workers keep shards open.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> rows = np.random.default_rng(0).standard_normal((100, 64))
    >>> for name, some in (("first", rows[:60]), ("second", rows[60:])):
    ...     with rs.SketchRepository.open(name, rs.SketchSpec(64, {"eye": 2}), mode="a") as shard:
    ...         keys = shard.add(some, [f"{name} {i}" for i in range(len(some))])
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with rs.ShardedRepository.open(["first", "second"]) as both, ThreadPoolExecutor() as threads:
    ...     len(both), [hit.key for hit in both.search(rows[70] + 0.1, k=1, executor=threads)]
    (100, ['second 10'])
    """

    def __init__(self, paths: Sequence[str], spec: SketchSpec | None, threads: int | None) -> None:
        """Private: use `open`."""
        self.paths = tuple(paths)
        self._means: dict[str, tuple[list[Size], Floats | None]] = {}
        self._shards: list[Shard] = []
        try:
            for path in paths:
                self._open(path, spec, threads)
        except BaseException:
            self.close()
            raise
        self._sketchers = Sketchers(self.spec, threads)

    def _open(self, path: str, spec: SketchSpec | None, threads: int | None) -> None:
        own = SketchRepository.open(path, threads=threads)
        shard = Shard(path, own._settings.identity, threads, own)
        self._shards.append(shard)
        for other in self._shards[:-1]:
            if other.identity == shard.identity:
                both = f"{_check.shown(other.path)} and {_check.shown(path)}"
                raise ValueError(f"paths: wanted each repository once; got one in {both}")
        try:
            same_spec(self.spec if spec is None else spec, own.spec)
        except ValueError as e:
            raise ValueError(f"{_check.cut(path, 200)}: {e}") from None

    # ------------------------------------------------------------ opening and closing

    @classmethod
    def open(
        cls, paths: Iterable[str | os.PathLike[str]], spec: SketchSpec | None = None, *, threads: int | None = None
    ) -> ShardedRepository:
        """Open repositories to search them as one.

        Parameters
        ----------
        paths : sequence of str or os.PathLike
            Their folders, at least one. Of equal hits those of earlier ones come first.
        spec : SketchSpec, optional
            If given, it must be that of all; otherwise they must have the same.
        threads : int, optional
            As of Sketcher, of this process and of each shard's search.

        Returns
        -------
        ShardedRepository

        Raises
        ------
        FileNotFoundError
            Nothing is there to read.
        ValueError, TypeError
            Specifications differ, in what the message names; a repository comes twice; no path.
        RepositoryDamaged
            As of `SketchRepository.open`.
        """
        found = [_check.path(f"paths[{i}]", p) for i, p in enumerate(_check.members("paths", paths, "a list of paths"))]
        if not found:
            raise ValueError("paths: wanted at least one; got none")
        if spec is not None and not isinstance(spec, SketchSpec):
            raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
        workers = None if threads is None else _check.threads(threads)
        return cls([os.path.abspath(path) for path in found], spec, workers)

    def close(self) -> None:
        """Close them in this process; closing twice does nothing."""
        for shard in self._shards:
            if shard.own is not None:
                shard.own.close()

    def __enter__(self) -> ShardedRepository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ShardedRepository of {_check.count(len(self._shards), 'shard')}>"

    @property
    def spec(self) -> SketchSpec:
        """Of all sketches."""
        return self._shards[0].repository().spec

    # ------------------------------------------------------------ runs

    def get(self, key: str) -> StoredRun:
        """What a key has.

        Raises
        ------
        KeyError
            There is no such key.
        ValueError
            It is in two shards.
        RepositoryDamaged
            Its bytes are not those that were written.
        """
        name = given.key("key", key)
        found = [shard for shard in self._shards if name in shard.repository()]
        if not found:
            raise KeyError(f"key: wanted one of a shard's; got {_check.shown(name)}")
        if len(found) > 1:
            raise _twice(name, *found[:2])
        return found[0].repository().get(name)

    def __len__(self) -> int:
        return sum(len(shard.repository()) for shard in self._shards)

    def __contains__(self, key: object) -> bool:
        return any(key in shard.repository() for shard in self._shards)

    def __iter__(self) -> Iterator[str]:
        """All keys, in the order of their code points, as of now."""
        return iter(sorted(key for shard in self._shards for key in shard.repository()))

    # ------------------------------------------------------------ search

    def search(
        self,
        queries: Runs,
        k: int = 10,
        where: object = None,
        by: str = "run",
        *,
        mask: npt.ArrayLike | None = None,
        executor: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """The runs of all shards that are most like some others.

        Parameters
        ----------
        queries, k, where, by, mask
            As of `SketchRepository.search`.
        executor : concurrent.futures.Executor or dask.distributed.Client, optional
            Who asks the shards; if not given, this thread does, one after the other.
        timeout : float, optional
            Seconds after which an executor's answers are no longer waited for, each time that it is asked.

        Returns
        -------
        list of Hit for one query, a list of lists for several
            At most k, the largest contrast first, of equal ones the run of the earlier shard.

        Raises
        ------
        ValueError, TypeError
            As of `SketchRepository.search`; a key that is in two shards.
        ShardFailed
            A shard did not answer, and why: its worker died, a file is damaged, it took too long.

        Notes
        -----
        Dask has the tasks of a worker that died done by others, and the answer is complete; where no worker is left it
        waits for new ones, without end unless there is a `timeout`. Cost: that of a search in each shard, and three
        times the executor's way there and back.
        """
        base = self._base(by)
        q, kept, single = queries_of(queries, self._sketchers, self.spec.dim, base, mask)
        most = _check.integer("k", k, 1, 1 << 40)
        condition = None if where is None else conditions.compiled(where)
        found = self._found(q, most, condition, base, kept, _Gather(self._shards, executor, timeout))
        return found[0] if single else found

    def related(
        self,
        key: str,
        k: int = 10,
        where: object = None,
        by: str = "run",
        *,
        executor: Any = None,
        timeout: float | None = None,
    ) -> list[Hit]:
        """The runs that are most like one that is in a shard, itself left out.

        Parameters
        ----------
        key : str
        k, where, by, executor, timeout
            As of `search`.

        Raises
        ------
        KeyError
            There is no such key.
        ValueError, TypeError, ShardFailed
            As of `search`; a run without unordered sketch for ``by="order"``.
        """
        base, most, run = self._base(by), _check.integer("k", k, 1, 1 << 40), self.get(key)
        condition = None if where is None else conditions.compiled(where)
        query = run.sketch if base == RUN else run.order
        if query is None:
            raise ValueError(f"key: wanted a run that was added as a run, for by='order'; got {_check.shown(key)}")
        ask = _Gather(self._shards, executor, timeout)
        hits = self._found(query[None], most + 1, condition, base, None, ask)[0]
        return [hit for hit in hits if hit.key != key][:most]

    def _base(self, by: str) -> str:
        _check.choice("by", by, (RUN, ORDER))
        if by == ORDER and not self.spec.ordered:
            raise ValueError("by: wanted 'run', since the specification has no order anyway; got 'order'")
        return by

    def _found(
        self,
        queries: Floats,
        k: int,
        condition: Condition | None,
        kind: str,
        kept: npt.NDArray[np.bool_] | None,
        ask: _Gather,
    ) -> list[list[Hit]]:
        """The hits of each query, of one state of each shard."""
        for _ in range(TRIES):
            sizes = ask(shards.size, [(kind,)] * len(self._shards))
            known, mean = self._means.get(kind, ([], None))
            if known != sizes:
                mean = _mean(ask, kind, sizes)
                if mean is CHANGED:
                    continue
                self._means[kind] = sizes, mean
            query = Query(queries, k, condition, kind, kept, mean)
            found = ask(shards.hits, [(size.state, query) for size in sizes])
            if None not in found:
                return [self._merged([part[i] for part in found], k) for i in range(len(queries))]
        raise ShardFailed(f"shards: wanted one state of all of them; got other ones in each of {TRIES} tries")

    def _merged(self, parts: Sequence[list[Hit]], k: int) -> list[Hit]:
        """The best of the shards' hits."""
        of: dict[str, Shard] = {}
        for shard, part in zip(self._shards, parts, strict=True):
            for hit in part:
                if hit.key in of:
                    raise _twice(hit.key, of[hit.key], shard)
                of[hit.key] = shard
        return sorted((hit for part in parts for hit in part), key=lambda hit: -hit.contrast)[:k]


CHANGED = object()


def _mean(ask: _Gather, kind: str, sizes: list[Size]) -> Any:
    """That of `search.centre`, if all rows were in one repository; CHANGED if they did so meanwhile."""
    if sum(size.live for size in sizes) < search.LEAST:
        return None
    picked = search.sample(sum(size.total for size in sizes))
    begins = np.cumsum([0, *(size.total for size in sizes)])
    places = [picked[(a <= picked) & (picked < b)] - a for a, b in pairwise(begins)]
    found = ask(shards.share, [(kind, size.state, at) for size, at in zip(sizes, places, strict=True)])
    if None in found:
        return CHANGED
    return search.mean_of(sum(total for total, _ in found), sum(count for _, count in found))


def _twice(key: str, a: Shard, b: Shard) -> ValueError:
    where = f"{_check.shown(a.path)} and {_check.shown(b.path)}"
    return ValueError(f"shards: wanted each key in one; got {_check.shown(key)} in {where}")


class _Gather:
    """Asks all shards something, and has all answers or an error.

    Parameters
    ----------
    shards : list of Shard
    executor : concurrent.futures.Executor, dask.distributed.Client or None
    timeout : float or None
    """

    def __init__(self, shards: list[Shard], executor: Any, timeout: float | None) -> None:
        if timeout is not None:
            timeout = _check.number("timeout", timeout, "a number of seconds above 0", 0.0, 1e9)
        if executor is not None and not callable(getattr(executor, "submit", None)):
            wanted = "an executor of concurrent.futures, or a Client of dask.distributed"
            raise TypeError(f"executor: wanted {wanted}; got {_check.describe(executor)}")
        # Dask takes equal calls for one, and would have yesterday's answer of a shard that changed.
        takes = () if executor is None else inspect.signature(executor.submit).parameters
        self._options = {"pure": False} if "pure" in takes else {}
        self._shards, self._executor, self._timeout = shards, executor, timeout

    def __call__(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the function answers of each shard with its arguments."""
        pairs, answers, futures = list(zip(self._shards, tasks, strict=True)), [], []
        if self._executor is None:
            for shard, arguments in pairs:
                with _named(shard):
                    answers.append(function(shard, *arguments))
            return answers
        try:
            for shard, arguments in pairs:
                with _named(shard):
                    futures.append(self._executor.submit(function, shard, *arguments, **self._options))
            end = None if self._timeout is None else time.monotonic() + self._timeout
            for shard, future in zip(self._shards, futures, strict=True):
                with _named(shard):
                    answers.append(future.result(None if end is None else max(0.0, end - time.monotonic())))
            return answers
        except BaseException:
            for future in futures:
                future.cancel()
            raise


@contextlib.contextmanager
def _named(shard: Shard) -> Iterator[None]:
    """Let an error say of which shard it is."""
    try:
        yield
    except Exception as e:
        text = f"shard {_check.cut(shard.path, 200)}: wanted its answer; got {type(e).__name__}"
        raise ShardFailed(f"{text}: {_check.cut(str(e), 300)}" if str(e) else text) from e
