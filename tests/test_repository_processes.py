"""Several processes: one of them writes, any number reads, and any of them may be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, rows

import recsketch as rs
from recsketch.repository.concepts.emergence import SETTLE

ROUNDS = int(os.environ.get("RECSKETCH_KILLS", "4"))
"""Of kill -9 in the suite; 200 in a long run."""

# Adds, updates, deletes and compacts for ever, and tells on stdout what is done, line by line.
WORKER = """
import sys
import numpy as np
import recsketch as rs
from repositories import SPEC
path, start, concepts = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
rng = np.random.default_rng(start)
spec = rs.SketchSpec(SPEC.dim, SPEC.modules, ordered=not concepts)  # concepts do not look at ordered sketches
r = rs.SketchRepository.open(path, spec, mode="a", concepts=concepts)
def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()
say("open")
n = start
while True:
    keys = [f"k{n + i:06d}" for i in range(3)]
    say("try", "add", *keys)
    r.add(np.array([np.full(64, n + i, np.float32) for i in range(3)]), keys, [{"n": n + i} for i in range(3)])
    say("did", "add", *keys)
    n += 3
    if n % 2 and n > start + 3:
        say("try", "delete", keys[0])
        r.delete(keys[0])
        say("did", "delete", keys[0])
    if n % 5 == 0:
        r.compact()
"""


@contextlib.contextmanager
def worker(path: Path, start: int, concepts: bool = False) -> Iterator[Any]:
    """A process that does the above, once it has the repository open; it is killed at the end."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", WORKER, str(path), str(start), str(concepts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as p:
        assert p.stdout is not None
        try:
            while p.stdout.readline() != "open\n":  # an editable install may tell of its build first
                assert p.poll() is None
            yield p
        finally:
            p.kill()
            p.stdout.read()


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
@pytest.mark.parametrize("concepts", [False, True])
def test_nothing_is_lost_by_a_kill(folder: Path, concepts: bool) -> None:
    """A writer is killed after a number of lines that is drawn with a fixed seed, again and again, on one repository:
    what it said was done is there, what it had begun may be, and nothing else; concepts have looked at all of it."""
    path, rng = folder / "r", np.random.default_rng(0)
    sure: set[str] = set()
    for number in range(ROUNDS):
        begun: list[str] = []
        with worker(path, 10_000 * number, concepts) as p:
            said = [p.stdout.readline().split() for _ in range(int(rng.integers(0, 40)))]
            p.send_signal(signal.SIGKILL)
            said += [line.split() for line in p.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        for state, act, *keys in said:
            begun = [act, *keys] if state == "try" else []
            if state == "did":
                (sure.update if act == "add" else sure.difference_update)(keys)
        maybe = set(begun[1:]) if begun[:1] == ["add"] else set()
        gone = set(begun[1:]) if begun[:1] == ["delete"] else set()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rs.RepositoryWarning)
            with rs.SketchRepository.open(path, mode="a") as r:
                found = set(r)
                assert sure - gone <= found <= sure | maybe, (sure ^ found, begun)
                assert found & maybe in (set(), maybe)
                for key in found:
                    one = r.get(key)
                    assert (one.sketch == float(key[1:])).all()
                    assert one.metadata == {"n": int(key[1:])}
                checked = r.check()
                assert checked.ok, checked
                assert not concepts or r.warming == max(SETTLE - len(found), 0)
                sure = found


def test_two_writers(folder: Path) -> None:
    """The second is refused and told who the first is, be it in this process or another; when that dies, it may."""
    path = folder / "r"
    with rs.SketchRepository.open(path, SPEC, mode="a"):
        with pytest.raises(rs.RepositoryInUse, match=rf"got one that process {os.getpid()} on host '.+' has open"):
            rs.SketchRepository.open(path, mode="a")
        rs.SketchRepository.open(path).close()
    in_use = pytest.raises(rs.RepositoryInUse, match=r"got one that process \d+ on host")
    with worker(path, 0) as p, in_use as caught:
        rs.SketchRepository.open(path, mode="a")
    assert f"process {p.pid} on" in str(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rs.RepositoryWarning)
        rs.SketchRepository.open(path, mode="a").close()


def test_readers_beside_a_writer_that_deletes_and_compacts(folder: Path) -> None:
    """Each answer is that of one state: runs of one add are there together, and every sketch belongs to its key."""
    path = folder / "r"
    with worker(path, 0) as p:
        for _ in range(20):
            p.stdout.readline()
        with rs.SketchRepository.open(path) as r:
            generations = set()
            for _ in range(60):
                hits = r.search(np.ones(64, np.float32), 1_000_000)
                keys = [hit.key for hit in hits]
                assert len(set(keys)) == len(keys)
                for hit in hits:
                    assert hit.metadata == {"n": int(hit.key[1:])}
                    assert hit.score == (pytest.approx(1, abs=1e-5) if int(hit.key[1:]) else 0)
                numbers = sorted(int(key[1:]) for key in keys)
                assert numbers[-1] % 3 == 2  # the last of an add
                generations.add(r._columns._generation)
                p.stdout.readline()
            assert r.get(keys[0]).metadata == hits[0].metadata
        assert len(generations) > 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_must_open_its_own(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(2), ["a", "b"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of a fork beside threads
            child = os.fork()
        if not child:
            try:
                r.get("a")
            except ValueError as e:
                r.close()
                os._exit(0 if "wanted one that this process has opened; got one of process" in str(e) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert r.add(rows(1), ["c"]) == ["c"]
        assert r.check().ok
