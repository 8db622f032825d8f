"""Folders of runs that grow: whatever was acknowledged is there after a kill, and nothing is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.runs.parquet import sizes

ROUNDS = int(os.environ.get("RECSKETCH_KILLS", "4"))
"""Of kill -9 in the suite; 50 and more in a long run."""


def run(number: int) -> rs.Trace:
    t = rs.Trace()
    a = t.add("a", [number, 1.0])
    t.outputs([t.add("b", [float(number)] * 3, [a, a])])
    return t


def batch(begin: int, end: int, **labels: Any) -> rs.TraceBatch:
    return rs.TraceBatch.from_traces([run(i) for i in range(begin, end)], **labels)


def test_what_is_appended_is_there(tmp_path: Path) -> None:
    with rs.TraceWriter(tmp_path / "x" / "y") as writer:
        assert writer.flush() == 0
        writer.append(run(0), ids=["0"])
        assert len(rs.TraceFolder(tmp_path / "x" / "y")) == 0
        assert writer.flush() == writer.flush() == 1
        writer.append([run(1), run(2)], np.array(["1", "2"]))
        writer.append(batch(3, 3))
        writer.append(batch(3, 5, ids=["3", "4"]))
        assert len(rs.TraceFolder(tmp_path / "x" / "y")) == 1
    folder = rs.TraceFolder(tmp_path / "x" / "y")
    want = batch(0, 5, ids=list("01234"))
    assert len(folder) == 5
    assert folder.read() == want == rs.TraceBatch.concat(folder)
    for begin in range(6):
        for end in range(begin, 6):
            assert folder.read(begin, end) == want[begin:end] or begin == end
            assert len(folder.read(begin, end)) == end - begin
    assert len(list((tmp_path / "x" / "y").glob("runs-*"))) == 1
    for bad in ((-1, 2), (0, 6), (3, 2), (0.5, 2), ("0", None)):
        with pytest.raises((ValueError, TypeError), match=r"(begin|end): wanted an integer"):
            folder.read(*bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="writer: wanted an open one; got one that was closed"):
        writer.append(run(5))


def test_files_are_cut_and_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 10 runs at most are written without being asked, and grow while below 5 runs."""
    size = int(sizes(batch(0, 1))[-1])
    monkeypatch.setattr("recsketch.runs.folder.PART", 10 * size)
    monkeypatch.setattr("recsketch.runs.folder.SMALL", 5 * size)
    rng, total = np.random.default_rng(0), 0
    for _ in range(3):
        with rs.TraceWriter(tmp_path) as writer:
            for _ in range(12):
                more = int(rng.integers(0, 25))
                writer.append(batch(total, total + more))
                total += more
                if rng.random() < 0.5:
                    assert writer.flush() == total
    folder = rs.TraceFolder(tmp_path)
    assert folder.read() == batch(0, total)
    assert all(5 <= len(part) <= 14 for part in list(folder)[:-1])
    names = [p.name for p in sorted(tmp_path.glob("runs-*"))]
    assert names == [f"runs-{end:012d}.npz" for end in folder._ends[:-1]]


def test_labels_are_of_all_runs_or_none(tmp_path: Path) -> None:
    with rs.TraceWriter(tmp_path) as writer:
        writer.append(batch(0, 2, ids=["a", "b"]))
        for bad in (batch(2, 3), batch(2, 3, times=[None]), batch(2, 3, ids=["c"], times=[None])):
            with pytest.raises(ValueError, match=r"(ids|times): wanted (ids|none), as of the runs before; got"):
                writer.append(bad)
        with pytest.raises(ValueError, match="ids: wanted none, since the batch has its own"):
            writer.append(batch(2, 3, ids=["c"]), ids=["d"])
        for wrong in (None, 3, "abc", [1]):
            with pytest.raises(TypeError, match=r"runs(\[0\])?: wanted"):
                writer.append(wrong)  # type: ignore[arg-type]
    with rs.TraceWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match="ids: wanted ids, as of the runs before; got none"):
            writer.append(batch(2, 3))
        writer.append(batch(2, 3, ids=["c"]))
    assert rs.TraceFolder(tmp_path).read() == batch(0, 3, ids=list("abc"))


def test_one_writer(tmp_path: Path) -> None:
    told = rf"that nobody else writes; got one that process {os.getpid()} on"
    with rs.TraceWriter(tmp_path), pytest.raises(rs.FolderInUse, match=told):
        rs.TraceWriter(tmp_path)
    rs.TraceWriter(tmp_path).close()


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited still waits, what was acknowledged stays."""
    with rs.TraceWriter(tmp_path) as writer:
        writer.append(batch(0, 2))
        writer.flush()
        writer.append(batch(2, 4))

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OSError, match="No space left"):
                writer.flush()
        assert rs.TraceFolder(tmp_path).read() == batch(0, 2)
        assert writer.flush() == 4
    assert rs.TraceFolder(tmp_path).read() == batch(0, 4)


def test_damaged_folders(tmp_path: Path) -> None:
    with rs.TraceWriter(tmp_path) as writer:
        writer.append(batch(0, 2))
    path = tmp_path / "runs-000000000000.npz"
    content = path.read_bytes()
    path.rename(tmp_path / "runs-000000000001.npz")
    with pytest.raises(ValueError, match="wanted run 0 first in a file; got runs-000000000001"):
        rs.TraceFolder(tmp_path)
    with pytest.raises(ValueError, match="wanted run 0"):
        rs.TraceWriter(tmp_path)
    (tmp_path / "runs-000000000001.npz").unlink()
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match="wanted a file written by"):
        rs.TraceFolder(tmp_path)
    with pytest.raises(FileNotFoundError):
        rs.TraceFolder(tmp_path / "none")


def test_columns_are_mapped(tmp_path: Path) -> None:
    """Views of the file where it lies, aligned, equal to what is read with check sums."""
    want = batch(0, 100, ids=[str(i) for i in range(100)], times=[None] * 100)
    want.save(tmp_path / "x.npz")
    found = rs.TraceBatch.load(tmp_path / "x.npz", mapped=True)
    assert found == want == rs.TraceBatch.load(tmp_path / "x.npz")
    for name in ("objects", "module", "attributes", "inputs", "weights", "ids", "times"):
        column = getattr(found, name)
        assert not column.flags.owndata
        assert not column.flags.writeable
        assert column.ctypes.data % 64 == 0, name
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2, "b": 3}))
    assert np.array_equal(sk.sketch(found), sk.sketch(want))
    for content in ((tmp_path / "x.npz").read_bytes()[:k] for k in (0, 40, 1000)):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npz: wanted a file written by"):
            rs.TraceBatch.load(tmp_path / "bad.npz", mapped=True)
    with pytest.raises(TypeError, match="mapped: wanted True or False"):
        rs.TraceBatch.load(tmp_path / "x.npz", mapped=1)  # type: ignore[arg-type]
    with open(tmp_path / "x.npz", "rb") as file, pytest.raises(TypeError, match="path: wanted a file name"):
        rs.TraceBatch.load(file, mapped=True)


# Appends one to five runs at a time for ever, and tells on stdout how many are acknowledged.
WORKER = """
import sys
import numpy as np
import recsketch as rs
from test_folder import batch
with rs.TraceWriter(sys.argv[1]) as writer:
    rng, n = np.random.default_rng(), writer.flush()
    while True:
        for _ in range(rng.integers(1, 4)):
            more = int(rng.integers(1, 6))
            writer.append(batch(n, n + more))
            n += more
        assert writer.flush() == n
        sys.stdout.write(f"{n}\\n")
        sys.stdout.flush()
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_nothing_is_lost_by_a_kill(tmp_path: Path) -> None:
    """A writer is killed after a drawn number of flushes, again and again: what it acknowledged is there, what it had
    begun may be, whole flushes and in order."""
    rng, least = np.random.default_rng(0), 0
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    for _ in range(ROUNDS):
        command = [sys.executable, "-c", WORKER, str(tmp_path / "x")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as p:
            assert p.stdout is not None
            said = [p.stdout.readline() for _ in range(int(rng.integers(1, 30)))]
            p.send_signal(signal.SIGKILL)
            said += p.stdout.read().splitlines(keepends=True)
        told = [int(line) for line in said if line.endswith("\n") and line.strip().isdigit()]
        least = max([least, *told])
        found = rs.TraceFolder(tmp_path / "x").read()
        assert least <= len(found) <= least + 15
        assert found == batch(0, len(found))
        least = len(found)
    assert least > 0
