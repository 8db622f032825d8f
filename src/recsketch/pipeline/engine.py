"""Who does the work: this process, a pool of local ones that is rebuilt when one dies, or any executor."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from multiprocessing import connection
from typing import TypeVar

from recsketch._arrow import arrow

Item = TypeVar("Item")
Answer = TypeVar("Answer")

TRIES = 3
"""How often a piece of work, alone in a pool, may take its process with it before it is given up."""


def drive(
    items: Sequence[Item],
    function: Callable[[Item], Answer],
    lost: Callable[[Item], Answer],
    workers: int,
    executor: Executor | None,
) -> Iterator[tuple[Item, Answer]]:
    """Each item and what `function` makes of it, in the order in which they are done.

    Parameters
    ----------
    items : sequence
    function : callable
        It can be sent to another process, as can items and answers.
    lost : callable
        The answer for an item of the local pool that takes its process with it again and again.
    workers : int
        Of the local pool; one is this process itself.
    executor : Executor, optional
        In place of the local pool. It may break: its error then ends the work.

    Raises
    ------
    BaseException
        Whatever `function` raises; what waits is cancelled.
    """
    if executor is not None:
        yield from _through(executor, items, function, max(64, 4 * workers))
    elif workers == 1:
        yield from ((item, function(item)) for item in items)
    else:
        yield from _local(items, function, lost, workers)


def _through(
    executor: Executor, items: Sequence[Item], function: Callable[[Item], Answer], window: int
) -> Iterator[tuple[Item, Answer]]:
    waiting: dict[Future[Answer], Item] = {}
    left = deque(items)
    try:
        while left or waiting:
            while left and len(waiting) < window:
                waiting[executor.submit(function, left[0])] = left[0]
                left.popleft()
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                answer = future.result()  # first, so that what broke is still known to be waiting
                yield waiting.pop(future), answer
    finally:
        for future in waiting:
            future.cancel()


def _local(
    items: Sequence[Item], function: Callable[[Item], Answer], lost: Callable[[Item], Answer], workers: int
) -> Iterator[tuple[Item, Answer]]:
    places, suspects = dict(enumerate(items)), deque[int]()
    tries = dict.fromkeys(places, 0)
    while places:
        # When a process dies, all that was under way is lost, and any of it may be to blame: each of it goes alone.
        alone = bool(suspects)
        todo = deque(suspects if alone else places)
        window = 1 if alone else 2 * workers
        pool, waiting = _pool(1 if alone else workers), dict[Future[Answer], int]()
        try:
            while todo or waiting:
                while todo and len(waiting) < window:
                    waiting[pool.submit(function, places[todo[0]])] = todo[0]
                    todo.popleft()
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    answer = future.result()
                    place = waiting.pop(future)
                    if alone:
                        suspects.popleft()
                    yield places.pop(place), answer
        except BrokenExecutor:
            if not alone:
                suspects.extend(waiting.values())
                continue
            tries[suspects[0]] += 1
            if tries[suspects[0]] == TRIES:
                item = places.pop(suspects.popleft())
                yield item, lost(item)
        finally:
            if not waiting:
                _end(pool)
            pool.shutdown(wait=True, cancel_futures=True)


def _end(pool: ProcessPoolExecutor) -> None:
    """End processes that have nothing left to do. One that dies while a pool asks them to go may hold the lock of the
    queue through which it asks, and all would wait for ever."""
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.kill()
    for process in processes:
        connection.wait([process.sentinel])


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, because a fork beside threads, of Arrow or of OpenMP, may hang.
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begun)


def _begun() -> None:
    """In a new process: Ctrl-C is the parent's business, and without the parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep_memory()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _keep_memory() -> None:
    """Let the process keep what it frees. A chunk takes tens of MiB, which glibc and Arrow's own pool would give back
    to the system and ask for again: where page faults are slow, on virtual machines, that took a third of the time."""
    with contextlib.suppress(ImportError):
        pa = arrow()
        pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: bytes at the heap's end that it may keep
        mallopt(-4, 0)  # M_MMAP_MAX: nothing beside the heap


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    with contextlib.suppress(BaseException):
        parent.join()
    os._exit(1)
