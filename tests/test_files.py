"""Files are written whole or not at all, with the rights of the old one, whatever lies in the way or fails."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
import recsketch._files as _files
import recsketch._npz as _npz


def batch() -> rs.TraceBatch:
    traces = []
    for k in range(3):
        trace = rs.Trace()
        trace.outputs([trace.add("b", [1.0, k + 1], inputs=[trace.add("a", [1.0, 2.0, k])])])
        traces.append(trace)
    return rs.TraceBatch.from_traces(traces)


# ---------------------------------------------------------------- what a file keeps, and who may write it


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that anybody may enter and write, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Not root, who may write everything."""
    if os.geteuid():
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


posix = pytest.mark.skipif(os.name != "posix", reason="rights, links and limits of POSIX")
root = pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root gives files away")


@posix
def test_rights_are_those_of_the_old_file_or_of_open(tmp_path: Path) -> None:
    path, plain = tmp_path / "p.npz", tmp_path / "plain"
    before = os.umask(0)
    try:
        for umask in (0o022, 0o077, 0o002):
            os.umask(umask)
            path.unlink(missing_ok=True)
            plain.unlink(missing_ok=True)
            batch().save(path)
            plain.write_bytes(b"")
            assert path.stat().st_mode == plain.stat().st_mode
            for mode in (0o600, 0o640, 0o755, 0o666):
                path.chmod(mode)
                batch().save(path)
                assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


@root
def test_owner_and_group_stay_where_they_may(shared: Path) -> None:
    path = shared / "p.npz"
    batch().save(path)
    os.chown(path, 12345, 12346)
    batch().save(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
    path.chmod(0o666)
    with nobody():
        batch().save(path)
    after = path.stat()
    assert after.st_uid == 65534
    assert stat.S_IMODE(after.st_mode) == 0o606  # the group is another one, which the old rights were not for
    assert len(rs.TraceBatch.load(path)) == 3


@root
def test_a_group_stays_though_the_owner_does_not(shared: Path) -> None:
    path = shared / "p.npz"
    batch().save(path)
    os.chown(path, 12345, 65534)
    path.chmod(0o660)
    with nobody():
        batch().save(path)
    assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (65534, 0o660)


@posix
def test_a_read_only_file_is_refused(shared: Path) -> None:
    path = shared / "p.npz"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with nobody(), pytest.raises(PermissionError) as caught, _files.written(path):
        raise AssertionError("the body runs")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(shared) == ["p.npz"]


@posix
def test_a_folder_that_cannot_be_listed(shared: Path) -> None:
    """Its entry cannot be synced, for want of a way to open it; the file is written all the same."""
    folder = shared / "blind"
    with nobody():
        folder.mkdir()
        folder.chmod(0o300)
        batch().save(folder / "p.npz")
    folder.chmod(0o700)
    assert os.listdir(folder) == ["p.npz"]


@posix
def test_all_names_of_a_file_show_the_new_content(tmp_path: Path) -> None:
    path, other = tmp_path / "p.npz", tmp_path / "other.npz"
    path.write_bytes(bytes(100_000))  # longer than what comes
    os.link(path, other)
    batch().save(path)
    assert path.samefile(other)
    assert rs.TraceBatch.load(other) == batch()
    assert sorted(os.listdir(tmp_path)) == ["other.npz", "p.npz"]


@posix
def test_planted_links_are_never_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under the names of the past, and not under today's, should somebody guess 64 random bits."""
    path, victim = tmp_path / "p.npz", tmp_path / "victim"
    victim.write_bytes(b"precious")
    old = tmp_path / f"p.npz.{os.getpid()}.{threading.get_ident()}.part"
    old.symlink_to(victim)
    batch().save(path)
    assert rs.TraceBatch.load(path) == batch()
    assert victim.read_bytes() == b"precious"
    monkeypatch.setattr("os.urandom", bytes)
    guessed = tmp_path / _files.PART.format(bytes(8).hex())
    for plant in (lambda: guessed.symlink_to(victim), lambda: os.link(victim, guessed)):
        plant()
        with pytest.raises(FileExistsError):
            batch().save(path)
        assert victim.read_bytes() == b"precious"
        assert guessed.exists()
        guessed.unlink()


def test_names_are_random(tmp_path: Path) -> None:
    seen = set()
    for _ in range(3):
        with _files.written(tmp_path / "p.npz"):
            seen.add(*(set(os.listdir(tmp_path)) - {"p.npz"}))
    assert len(seen) == 3


@posix
def test_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".npz")
    for _ in range(2):
        batch().save(path)
    assert rs.TraceBatch.load(path) == batch()


def test_equal_batches_make_equal_bytes(tmp_path: Path) -> None:
    batch().save(tmp_path / "a.npz")
    out = io.BytesIO()
    batch().save(out)
    assert (tmp_path / "a.npz").read_bytes() == out.getvalue()


def test_file_objects(tmp_path: Path) -> None:
    """Written in one piece when all is known, read where they stand, to their end; text is refused."""

    class Once(io.RawIOBase):
        def __init__(self) -> None:
            self.calls: list[bytes] = []

        def write(self, data: Any) -> int:
            self.calls.append(bytes(data))
            return len(data)

    class Pieces(io.RawIOBase):
        """As an unbuffered file may do: it takes and gives less than it was asked for."""

        def __init__(self, content: bytes = b"") -> None:
            self.content = content

        def write(self, data: Any) -> int:
            if len(self.content) > 5000:
                return 0
            self.content += bytes(data[:7])
            return min(7, len(data))

        def read(self, size: int = -1) -> bytes:
            out, self.content = self.content[: min(3, size)], self.content[min(3, size) :]
            return out

    packed, out, pieces = rs.pack(np.ones((2, 8)), "int8"), Once(), Pieces()
    packed.save(out)
    (content,) = out.calls
    packed.save(pieces)
    assert pieces.content == content
    with pytest.raises(BlockingIOError):
        rs.pack(np.ones((2, 6000)), "int8").save(pieces)
    assert rs.PackedSketches.load(Pieces(content)) == packed
    file = io.BytesIO(b"before" + content)
    file.seek(6)
    assert rs.PackedSketches.load(file) == packed
    (tmp_path / "p.npz").write_bytes(content)
    with open(tmp_path / "p.npz", "rb") as f:
        assert rs.PackedSketches.load(f) == packed
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    with open(reader, "rb") as f:
        assert rs.PackedSketches.load(f) == packed
    with open(tmp_path / "t", "w+", encoding="utf-8") as file:
        for text in (io.StringIO(), file):
            for method in (packed.save, rs.PackedSketches.load):
                with pytest.raises(TypeError, match="path: wanted a file name; got"):
                    method(text)  # type: ignore[arg-type]


def test_names_of_every_kind(tmp_path: Path) -> None:
    packed = rs.pack(np.ones((2, 8)), "int8")
    packed.save(tmp_path / "p.npz")
    with os.scandir(os.fsencode(tmp_path)) as entries:
        (entry,) = entries
    assert rs.PackedSketches.load(entry) == packed  # type: ignore[arg-type]
    packed.save(entry)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="path: wanted a file name, which has no NUL; got"):
        packed.save("a\0b" * 10_000)
    with pytest.raises(FileNotFoundError):
        packed.save("")


# ---------------------------------------------------------------- full and broken disks


def leaves_the_old_file(path: Path, failure: type[OSError] = OSError) -> OSError:
    """Saving fails, the error names the file, the old content stays, and nothing lies beside it."""
    before, names = path.read_bytes(), sorted(os.listdir(path.parent))
    with pytest.raises(failure) as caught:
        batch().save(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == names
    return caught.value


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_every_step_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(b"old")
    real = os.open

    def fails(name: Any, *rest: Any, **more: Any) -> int:
        if step == "open" and not str(name).endswith(".part"):
            return real(name, *rest, **more)
        raise OSError(number, os.strerror(number), *([name] if isinstance(name, str) else []))

    monkeypatch.setattr(f"os.{step}", fails)
    assert leaves_the_old_file(path).errno == number


@posix
def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems without that (EINVAL, ENOTSUP) are no error; a disk's error is told, though the file is there."""
    sync = os.fsync
    for number in (errno.EINVAL, errno.ENOTSUP, errno.EIO):
        path = tmp_path / f"{number}.npz"

        def fails(descriptor: int, number: int = number) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            sync(descriptor)

        monkeypatch.setattr("os.fsync", fails)
        if number == errno.EIO:
            with pytest.raises(OSError, match=re.escape(str(path))):
                batch().save(path)
        else:
            batch().save(path)
        assert rs.TraceBatch.load(path) == batch()
        assert os.listdir(tmp_path) == [path.name]
        path.unlink()


@posix
def test_a_disk_that_is_full_after_so_many_bytes(tmp_path: Path, run_python: Any) -> None:
    """A limit on the size of files makes every write beyond it fail, as a full disk does."""
    code = """
import os, resource
import test_files as t
path = t.Path(os.environ["TARGET"])
t.batch().save(path)
size = path.stat().st_size
path.write_bytes(b"old")
for limit in range(0, size, 101):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    t.leaves_the_old_file(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
t.batch().save(path)
assert t.rs.TraceBatch.load(path) == t.batch()
"""
    done = run_python(code, TARGET=str(tmp_path / "p.npz"))
    assert done.returncode == 0, done.stderr


@root
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """One of 64 KiB, mounted where no other process sees it, so that it goes with the one that wants it."""
    code = f"""
import errno, os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_files as t
folder = t.Path({str(tmp_path)!r})
path = folder / "p.npz"
t.batch().save(path)
with t.contextlib.suppress(OSError), open(folder / "rest", "wb") as f:
    f.write(bytes(1 << 16))
assert t.leaves_the_old_file(path).errno == errno.ENOSPC
(folder / "rest").unlink()
t.batch().save(path)
"""
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"', str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    done = subprocess.run([*mount, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_what_is_written_in_place_tells_of_a_full_disk() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011  # its number is checked
        batch().save("/dev/full")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/dev/full")


def half_done(path: Path, error: BaseException) -> None:
    with _files.written(path) as file:
        file.write(b"half")
        raise error


def test_a_body_that_fails(tmp_path: Path) -> None:
    """With any exception: the old file stays; an error of another file keeps that file's name."""
    path = tmp_path / "p.npz"
    path.write_bytes(b"old")
    for error in (KeyboardInterrupt(), ValueError("no"), FileNotFoundError(errno.ENOENT, "none", "another")):
        with pytest.raises(type(error)) as caught:
            half_done(path, error)
        assert caught.value is error
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["p.npz"]


def test_what_cannot_be_stored_leaves_nothing(tmp_path: Path) -> None:
    """Nor an archive to the garbage collector, which would tell of it as an unraisable error."""

    class Broken:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise OSError("no room")

    for bad in (Broken(), np.array([{}], object)):
        with pytest.raises((OSError, ValueError)):
            _npz.save(tmp_path / "x.npz", {"good": np.zeros(3), "bad": bad})
        gc.collect()
        assert os.listdir(tmp_path) == []


def test_folders_are_refused_before_the_body_runs(tmp_path: Path) -> None:
    for path in (tmp_path, f"{tmp_path}/none/", tmp_path / "none" / "p.npz"):
        with pytest.raises(OSError) as caught, _files.written(path):  # noqa: PT011  # its name is checked
            raise AssertionError("the body runs")
        assert caught.value.filename == str(path)


def test_two_writers_at_once(tmp_path: Path) -> None:
    """Each writes a file of its own; the one that is done last wins, whole."""
    path = tmp_path / "p"
    with _files.written(path) as a, _files.written(path) as b:
        a.write(b"a" * 10)
        b.write(b"b" * 20)
    assert path.read_bytes() == b"a" * 10
    assert os.listdir(tmp_path) == ["p"]
