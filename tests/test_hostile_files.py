"""Damaged and hostile files: TraceBatch.load refuses them, reads no pickle, allocates nothing it was not given."""

from __future__ import annotations

import errno
import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs
import recsketch._npz as _npz


@pytest.fixture
def good(build: Any, tmp_path: Path) -> Path:
    spec = ref.RefSpec(64, {"a": 3, "b": 20}, 1)
    rng = np.random.default_rng(0)
    path = tmp_path / "good.npz"
    rs.TraceBatch.from_traces([build.trace(build.dag(rng, spec, 6)) for _ in range(3)]).save(path)
    return path


def refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz") as caught:
        rs.TraceBatch.load(path)
    assert len(str(caught.value)) < 1000


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as f:
        return {name: f[name] for name in f.files}


def archive(**members: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **members)
    return out.getvalue()


def test_every_truncation(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    cuts = sorted({0, 1, 3, 4, 22, len(content) - 1, len(content) - 22, *range(0, len(content), 97)})
    for cut in cuts:
        refused(tmp_path / "bad.npz", content[:cut])


def test_every_kind_of_flipped_byte(good: Path, tmp_path: Path) -> None:
    """Refused, or the change fell on a byte that means nothing (a date): then the batch is unchanged."""
    content = good.read_bytes()
    want = arrays(good)
    path = tmp_path / "bad.npz"
    told = 0
    for place in range(0, len(content), 13):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            batch = rs.TraceBatch.load(path)
        except ValueError:
            told += 1
            continue
        for name, array in want.items():
            if hasattr(batch, name) and name != "names":
                assert np.array_equal(getattr(batch, name), array, equal_nan=True), (place, name)
    assert told > 100


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    npy = io.BytesIO()
    np.save(npy, np.zeros(3))
    for content in (
        b"",
        b"PK",
        b"hello",
        b"\0" * 1000,
        npy.getvalue(),
        pickle.dumps([1]),
        archive(),
        archive(x=np.zeros(3)),
    ):
        refused(path, content)
    with pytest.raises(FileNotFoundError):
        rs.TraceBatch.load(tmp_path / "none.npz")
    with pytest.raises(OSError):  # noqa: PT011  # IsADirectoryError, or PermissionError on Windows
        rs.TraceBatch.load(tmp_path)
    for bad in (None, 3, ["a.npz"]):
        with pytest.raises((TypeError, ValueError)):
            rs.TraceBatch.load(bad)  # type: ignore[arg-type]


class Bomb:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_pickles_are_never_read(good: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    members = arrays(good)
    for name in members:
        bomb = np.empty(1, dtype=object)
        bomb[0] = Bomb(mark)
        refused(tmp_path / "bad.npz", archive(**{**members, name: bomb}))
    assert not mark.exists()
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()  # the bomb would have gone off


def test_missing_extra_and_misshapen_arrays(good: Path, tmp_path: Path) -> None:
    members = arrays(good)
    path = tmp_path / "bad.npz"
    for name, x in members.items():
        refused(path, archive(**{k: v for k, v in members.items() if k != name}))
        for bad in (np.asarray(x)[None, None], np.zeros(0, x.dtype)):
            refused(path, archive(**{**members, name: bad}))
        if x.ndim:
            refused(path, archive(**{**members, name: np.zeros(x.shape, complex)}))
    refused(path, archive(**{**members, "names": members["names"][:1]}))
    for names in (np.array("a"), np.array([["a", "b"]]), np.arange(2), np.array([b"a", b"b"])):
        path.write_bytes(archive(**{**members, "names": names}))
        wanted = (
            "names: wanted numbers, booleans" if names.dtype.kind == "S" else "names: wanted a vector of strings; got"
        )
        with pytest.raises(ValueError, match=wanted):
            rs.TraceBatch.load(path)


def test_ids_and_times_may_be_missing_but_not_wrong(good: Path, tmp_path: Path) -> None:
    members = arrays(good)
    ids, times = np.array(["a", "b", "c"]), np.arange(3)
    for more in ({}, {"ids": ids}, {"times": times}, {"ids": ids, "times": times.astype(">i8")}):
        (tmp_path / "x.npz").write_bytes(archive(**members, **more))
        batch = rs.TraceBatch.load(tmp_path / "x.npz")
        assert (batch.ids is None, batch.times is None) == ("ids" not in more, "times" not in more)
        refused(tmp_path / "bad.npz", archive(**members, **more, more=times))
    for name, bad in (
        *[("ids", x) for x in (ids[:2], ids[None], times, np.array("abc"), ids.astype(bytes), ids[:0])],
        ("ids", np.array([0xDC00, 66, 67], np.uint32).view("U1")),
        *[("times", x) for x in (times[:2], times[None], times + 0.5, ids, np.int64(3), times.astype("M8[us]"))],
        ("times", np.full(3, 2**63, np.uint64)),
    ):
        refused(tmp_path / "bad.npz", archive(**members, **{name: bad}))


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    """An .npy file's beginning with this dictionary, which may say anything."""
    line = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    size = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(line).to_bytes(size, "little") + line


def claim(descr: str, shape: object, fortran: bool = False) -> bytes:
    return header(f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}")


def replaced(path: Path, name: str, body: bytes) -> bytes:
    """The archive with other bytes as one member, and right check sums."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, body if info.filename == f"{name}.npy" else old.read(info))
    return out.getvalue()


KIND, SIZE, VALUE, HEADER = (
    "wanted numbers, booleans or strings in at most two dimensions; got",
    "wanted an array as large as its header says; got",
    "wanted booleans and strings; got bytes that none of them has",
    "wanted NumPy's array format; got a damaged header",
)
CLAIMS = {
    "names that take no bytes": (KIND, claim("<U0", "(100000000,)")),
    "a petabyte": (SIZE, claim("<f4", "(250000000000000,)") + bytes(64)),
    "more than an address": (SIZE, claim("<f8", "(1099511627776, 1099511627776)") + bytes(64)),
    "more digits than one reads": (SIZE, claim("<f8", f"(0x{'f' * 800},)") + bytes(64)),
    "a few bytes more than there are": (SIZE, claim("<i4", "(17,)") + bytes(64)),
    "a few bytes less than there are": (SIZE, claim("<i4", "(15,)") + bytes(64)),
    "a negative number of rows": (KIND, claim("<f4", "(-16,)") + bytes(64)),
    "two negative numbers of them": (KIND, claim("<f4", "(-4, -4)") + bytes(64)),
    "three dimensions": (KIND, claim("<f4", "(4, 2, 2)") + bytes(64)),
    "hundreds of dimensions": (KIND, claim("<f4", "(1" + ",1" * 400 + ",)") + bytes(4)),
    "a long string": (SIZE, claim("<U536870911", "(1,)") + bytes(64)),
    "objects": (KIND, claim("|O", "(1,)") + pickle.dumps([1])),
    "records": (KIND, header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (16,), }") + bytes(64)),
    "arrays in arrays": (
        KIND,
        header("{'descr': ('<f4', (1000,)), 'fortran_order': False, 'shape': (), }") + bytes(64),
    ),
    "raw bytes": (KIND, claim("|V4", "(16,)") + bytes(64)),
    "dates": (KIND, claim("<M8[s]", "(8,)") + bytes(64)),
    "complex numbers": (KIND, claim("<c8", "(8,)") + bytes(64)),
    "characters that there are not": (VALUE, claim("<U1", "(3,)") + b"\xff" * 12),
    "one more than the last character": (VALUE, claim("<U1", "(2,)") + b"\x00\x00\x11\x00" * 2),
    "booleans that are neither": (VALUE, claim("|b1", "(64,)") + b"\x02" * 64),
    "a header that nests": (HEADER, header("{'descr': " + "(" * 450 + ")" * 450 + "}") + bytes(64)),
    "a header of minus signs": (HEADER, header("{'descr': " + "-" * 900 + "1}") + bytes(64)),
    "a header that is code": (
        HEADER,
        header("{'descr': exit(), 'fortran_order': False, 'shape': (16,), }") + bytes(64),
    ),
    "no dictionary": (HEADER, header("3") + bytes(64)),
    "another key": (
        HEADER,
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (16,), 'more': 1, }") + bytes(64),
    ),
    "a header of four billion bytes": (HEADER, b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(64)),
    "a long header": (
        HEADER,
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (16,), }" + " " * 200_000, b"\x02\x00"),
    ),
    "a version to come": (HEADER, b"\x93NUMPY\x09\x00" + bytes(64)),
    "nothing": (HEADER, b""),
    "another file": (HEADER, b"hello"),
}


def peak(path: Path, words: str = "") -> int:
    """The most bytes held at once while the file is refused, in words of our own."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"bad\.npz: wanted a file written by TraceBatch\.save: ") as caught:
            rs.TraceBatch.load(path)
        message = str(caught.value)
        assert len(message) <= 1000
        assert words in message
        for foreign in ("pickle", "max_header_size", "Python", "codec", "zip file", "int string", "npy file"):
            assert foreign not in message.partition("TraceBatch.save: ")[2]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["attributes", "objects", "names", "recsketch"])
@pytest.mark.parametrize("what", CLAIMS)
def test_a_header_is_compared_with_the_bytes_there_are(good: Path, tmp_path: Path, what: str, name: str) -> None:
    """Nothing is allocated for a claim: two megabytes are for zipfile, NumPy's parser and the longest header."""
    words, body = CLAIMS[what]
    path = tmp_path / "bad.npz"
    path.write_bytes(replaced(good, name, body))
    assert peak(path, f"{name}: {words}") < 2 << 20


def test_an_archive_is_compared_with_the_bytes_there_are(good: Path, tmp_path: Path) -> None:
    """Sizes and places in its directory, at its end, are as little to be trusted; so are flags and methods."""
    content, path = good.read_bytes(), tmp_path / "bad.npz"
    entry = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    size = f"wanted at most {len(content)} bytes, the whole file's; got"
    damaged = "wanted a zip archive; got a damaged one"
    for place, value, words in (
        (entry + 8, b"\x01", "wanted an intact array; got a damaged one"),  # encrypted
        (entry + 10, b"\x08", "wanted an uncompressed array; got a compressed one"),
        (entry + 10, b"\x63", "wanted an uncompressed array; got a compressed one"),  # by an unknown method
        (entry + 20, b"\xff\xff\xff\x7f", size),  # stored bytes
        (entry + 20, b"\xff\xff\xff\x7f\xff\xff\xff\x7f", size),  # and bytes once unpacked
        (entry + 24, b"\xff\xff\xff\x7f", size),
        (entry + 42, b"\xff\xff\xff\x7f", size),  # where it begins
        (entry + 42, b"\x07\x00\x00\x00", "wanted an intact array; got a damaged one"),
        (end + 12, b"\xff\xff\xff\x7f", damaged),  # the directory's size
        (end + 16, b"\xff\xff\xff\x7f", ""),  # its place
    ):
        path.write_bytes(content[:place] + value + content[place + len(value) :])
        assert peak(path, words) < 2 << 20


def test_members_of_any_number_and_name(good: Path, tmp_path: Path) -> None:
    """Too many, one twice, names that are endless: the message stays short."""
    path = tmp_path / "bad.npz"
    body = io.BytesIO()
    np.save(body, np.zeros(3))
    for names in (["x" * 60_000] * 2, [f"member {i}" for i in range(5000)], ["é"]):
        with zipfile.ZipFile(path, "w") as z:
            for k, name in enumerate(names):
                z.writestr(f"{name}{k}", body.getvalue())
        refused(path, path.read_bytes())
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as z:
        for info in old.infolist():
            z.writestr(info.filename, old.read(info))
        with pytest.warns(UserWarning, match="Duplicate"):
            z.writestr("objects.npy", old.read("objects.npy"))
    refused(path, path.read_bytes())


def test_formats_to_come_are_named(good: Path, tmp_path: Path) -> None:
    """Both numbers, even if the arrays of that format are other ones."""
    path = tmp_path / "bad.npz"
    for members in ({**arrays(good), "recsketch": 2}, {"recsketch": 2, "columns": np.zeros(3)}):
        path.write_bytes(archive(**members))
        with pytest.raises(ValueError, match="wanted format 1; got 2"):
            rs.TraceBatch.load(path)
    for number in (True, 1.0, [1], "1", -1, np.uint64(2**63)):
        path.write_bytes(archive(**{**arrays(good), "recsketch": number}))
        with pytest.raises(ValueError, match="wanted format 1; got"):
            rs.TraceBatch.load(path)


def test_arrays_in_any_order_of_bytes_and_axes(tmp_path: Path) -> None:
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.array(["a", "ä\U0001f600"], ">U3"),
        np.array("text"),
        np.array([True, False]),
        np.zeros((0, 5), np.uint8),
        np.float16(3),
    ):
        file = io.BytesIO()
        np.save(file, array)
        back = _npz.parsed(file.getvalue())
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert np.array_equal(back, array)


def test_a_disk_that_fails_is_no_damaged_file(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, told in ((OSError(errno.EIO, "failed"), OSError), (MemoryError(), MemoryError)):

        def fails(*_: Any, error: BaseException = error, **__: Any) -> None:
            raise error

        for method in ("__init__", "open"):
            with monkeypatch.context() as patch:
                patch.setattr(f"zipfile.ZipFile.{method}", fails)
                if method == "__init__":
                    patch.setattr("zipfile.ZipFile.__del__", lambda self: None)
                with pytest.raises(told):
                    rs.TraceBatch.load(good)


def test_an_endless_pipe_is_not_read_to_its_end(tmp_path: Path) -> None:
    """Once its first bytes are wrong."""

    class Endless(io.RawIOBase):
        def readinto(self, buffer: Any) -> int:
            buffer[:] = b"y" * len(buffer)
            return len(buffer)

        def read(self, size: int = -1) -> bytes:
            assert 0 <= size < 100
            return b"y" * size

    with pytest.raises(
        ValueError, match=r"Endless: wanted a file written by TraceBatch\.save: got a file that begins with"
    ):
        rs.TraceBatch.load(Endless())  # type: ignore[arg-type]
    if os.path.exists("/dev/zero"):
        with pytest.raises(ValueError, match="/dev/zero"):
            rs.TraceBatch.load("/dev/zero")
    empty = tmp_path / "empty.npz"
    empty.write_bytes(b"")
    with pytest.raises(ValueError, match="got an empty file"):
        rs.TraceBatch.load(empty)


def test_arrays_of_the_wrong_type_are_not_rounded(good: Path, tmp_path: Path) -> None:
    members = arrays(good)
    for name in ("objects", "module", "inputs", "outputs", "attribute_ends"):
        refused(tmp_path / "bad.npz", archive(**{**members, name: members[name].astype(np.float64) + 0.25}))


def test_compressed_arrays_are_refused(good: Path) -> None:
    """A megabyte of deflated zeros is a gigabyte of memory; save never compresses."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays(good))
    refused(good.with_name("bad.npz"), out.getvalue())
