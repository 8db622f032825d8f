"""Damaged and hostile files: TraceBatch.load refuses them, reads no pickle, allocates nothing it was not given."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref

import recsketch as rs


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


@pytest.mark.parametrize("name", ["attributes", "objects", "inputs"])
def test_a_header_that_claims_a_petabyte(good: Path, tmp_path: Path, name: str) -> None:
    """The size in an array's header is not trusted with an allocation that succeeds: a ValueError either way."""
    out = io.BytesIO()
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            body = old.read(info)
            if info.filename == f"{name}.npy":
                header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (250000000000000,), }"
                header += b" " * (-(len(header) + 11) % 64) + b"\n"
                body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 64
            new.writestr(info.filename, body)
    refused(tmp_path / "bad.npz", out.getvalue())


def test_arrays_of_the_wrong_type_are_not_rounded(good: Path, tmp_path: Path) -> None:
    members = arrays(good)
    for name in ("objects", "module", "inputs", "outputs", "attribute_ends"):
        refused(tmp_path / "bad.npz", archive(**{**members, name: members[name].astype(np.float64) + 0.25}))


def test_compressed_arrays_are_refused(good: Path) -> None:
    """A megabyte of deflated zeros is a gigabyte of memory; save never compresses."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays(good))
    refused(good.with_name("bad.npz"), out.getvalue())
