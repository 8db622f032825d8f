"""kill -9 at random moments, of workers and of the coordinator: the finished folder is that of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from test_pipeline import batch, files, made

from recsketch import pipeline

ROUNDS = int(os.environ.get("RECSKETCH_KILLS", "2"))
"""Of either kind in the suite; 50 and more in a long run."""

PARTS = 24
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes where Linux has them")

# The job, which tells of each part on stdout.
JOB = """
import sys
from recsketch import pipeline
from test_pipeline import SPEC
def told(state):
    sys.stdout.write(f"part {state.parts}\\n")
    sys.stdout.flush()
if __name__ == "__main__":
    pipeline.run(sys.argv[1], sys.argv[2], SPEC, workers=2, progress=told)
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Inputs with a bad row each, and the folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "in").mkdir()
    for i in range(PARTS):
        runs = batch(100 * i, 100 * i + 100, (100 * i + 7,))
        (runs.save if i % 2 else runs.to_parquet)(folder / "in" / f"{i:02}.{'npz' if i % 2 else 'parquet'}")
    (folder / "in" / "x.parquet").write_bytes(b"PAR1 and no more")
    (folder / "job.py").write_text(JOB)
    made(folder / "in", folder / "whole")
    return folder, folder / "whole"


@contextmanager
def begun(folder: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that does the job, once its first part is done."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, str(folder / "job.py"), str(folder / "in"), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as p:
        assert p.stdout is not None
        try:
            for line in p.stdout:
                if line.startswith("part") and line != "part 0\n":
                    break
            yield p
        finally:
            p.kill()


def wait(rng: np.random.Generator, most: float) -> None:
    threading.Event().wait(float(rng.uniform(0, most)))


def children(pid: int) -> list[int]:
    """Processes that this one has begun."""
    try:
        found = [
            int(number)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for number in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return found


def workers(pid: int) -> list[int]:
    """Those of them that do the work, and not the one that counts multiprocessing's resources."""
    found = []
    for child in children(pid):
        try:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_coordinator_is_killed(job: tuple[Path, Path], tmp_path: Path, number: int) -> None:
    """Again and again until the job is done, its workers going with it; then nothing is lost, twice or left over."""
    folder, whole = job
    rng, out = np.random.default_rng(number), tmp_path / "out"
    for _ in range(2):
        with begun(folder, out) as p:
            wait(rng, 0.5)
            p.send_signal(signal.SIGKILL)
        assert pipeline.verify(out).ok
    made(folder / "in", out)
    assert files(out) == files(whole)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_workers_are_killed(job: tuple[Path, Path], tmp_path: Path, number: int) -> None:
    """The coordinator begins others and goes on to the end."""
    folder, whole = job
    rng, out = np.random.default_rng(100 + number), tmp_path / "out"
    with begun(folder, out) as p:
        wait(rng, 0.3)
        found = workers(p.pid)
        if found:
            os.kill(found[int(rng.integers(len(found)))], signal.SIGKILL)
        assert p.stdout is not None
        p.stdout.read()
        assert p.wait() == 0
    assert files(out) == files(whole)


def test_workers_end_with_their_coordinator(job: tuple[Path, Path], tmp_path: Path) -> None:
    """None of them goes on for nobody."""
    folder, _ = job
    with begun(folder, tmp_path / "out") as p:
        found = workers(p.pid)
        p.send_signal(signal.SIGKILL)
        p.wait()
    for child in found:
        for _ in range(200):
            if not Path(f"/proc/{child}").exists() or "zombie" in Path(f"/proc/{child}/status").read_text():
                break
            threading.Event().wait(0.05)
        else:
            raise AssertionError(f"process {child} goes on")
