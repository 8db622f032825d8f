"""Files of every format version, as they were written once: today's readers still read the same from them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import make_fixtures as made
import numpy as np
import pytest

import recsketch as rs
import recsketch._npz as _npz
import recsketch.sketching.spec as specs
from recsketch.cli import files as cli_files
from recsketch.populations.changes.monitor import Monitor

FOLDERS = sorted(made.HERE.iterdir())
PACKED = {"packed-one.npz", *(f"packed-{d}.npz" for d in made.DTYPES)}
OTHERS = {"spec.json", "repository.zip", "monitor.npz", "traces.npz", "traces-labelled.npz", "sketches.npz"}
NAMES = {"dictionary.npz", *OTHERS, *PACKED}


def test_every_format_has_its_files() -> None:
    assert {folder.name for folder in FOLDERS} == {f"format-{k + 1}" for k in range(_npz.FORMAT)}
    assert all({file.name for file in folder.iterdir()} == NAMES for folder in FOLDERS)
    assert _npz.FORMAT == specs.FORMAT


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_they_are_read(folder: Path) -> None:
    assert rs.SketchSpec.from_json((folder / "spec.json").read_bytes()) == made.spec()
    assert rs.Dictionary.load(folder / "dictionary.npz") == made.dictionary()
    batch = rs.TraceBatch.load(folder / "traces.npz")
    assert batch == made.traces()
    assert batch.names == made.traces().names
    assert str(batch[0]) == str(made.traces()[0])
    assert rs.TraceBatch.load(folder / "traces-labelled.npz") == made.labelled()
    for dtype in made.DTYPES:
        assert rs.PackedSketches.load(folder / f"packed-{dtype}.npz") == made.packed(dtype)
    assert rs.PackedSketches.load(folder / "packed-one.npz") == made.packed("int8")[1]
    read = Monitor.load(folder / "monitor.npz")
    assert repr(read) == repr(made.monitor())
    assert np.array_equal(read.weights, made.monitor().weights)
    spec, sketches = cli_files.read_sketches(str(folder / "sketches.npz"))
    assert spec == made.spec()
    assert np.array_equal(sketches, made.sketches())


@pytest.mark.parametrize("fixtures", FOLDERS, ids=lambda folder: folder.name)
def test_repositories_are_read_and_go_on(fixtures: Path, folder: Path) -> None:
    """Of the run only that it is there: which sketch it has is the sketch's format's business."""
    with zipfile.ZipFile(fixtures / "repository.zip") as archive:
        archive.extractall(folder / "r")
    about = {"text": "b", "whole": 3, "part": 0.5, "yes": True, "none": None}
    for k, mode in enumerate(("r", "a", "r")):
        with rs.SketchRepository.open(folder / "r", made.REPOSITORY, mode=mode) as r:
            assert r.check().ok, r.check()
            assert list(r)[:3] == ["a", "run", "ä"]
            assert r.get("a").metadata == about
            assert r.get("a").packed == rs.pack(made.sketches()[0], "float16")
            assert r.get("ä").packed == rs.pack(made.sketches()[0] + 1, "float16")
            assert r.get("run").order is not None
            assert r.search(made.sketches()[0], 1, {"part": {">": 0}})[0].key == "a"
            assert r.search_objects("ä b", [1, 2, 3], 1)[0].path == (0, 0)
            assert ("ö" in r) == (k == 2)
            if mode == "a":
                r.add(made.sketches()[1], "ö")


def test_what_is_written_now_is_of_the_newest_format() -> None:
    """Member for member and byte for byte: a format that changes without a new number turns this red."""
    folder = FOLDERS[-1]
    assert made.spec().to_json() + "\n" == (folder / "spec.json").read_text(encoding="utf-8")
    sketches = io.BytesIO()
    cli_files.write_sketches(sketches, made.spec(), made.sketches())
    files = {"sketches.npz": sketches}
    for name, value in {
        "traces.npz": made.traces(),
        "traces-labelled.npz": made.labelled(),
        "monitor.npz": made.monitor(),
        **{f"packed-{d}.npz": made.packed(d) for d in made.DTYPES},
    }.items():
        files[name] = io.BytesIO()
        value.save(files[name])  # type: ignore[attr-defined]
    for name, file in files.items():
        with zipfile.ZipFile(file) as new, zipfile.ZipFile(folder / name) as old:
            assert new.namelist() == old.namelist()
            for member in new.namelist():
                a, b = _npz.parsed(new.read(member)), _npz.parsed(old.read(member))
                assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), (name, member)


def test_formats_to_come_are_refused_by_number() -> None:
    """With both numbers, in every reader."""
    file = io.BytesIO()
    np.savez(file, recsketch=_npz.FORMAT + 1, something=np.zeros(3))
    wanted = f"wanted format {_npz.FORMAT}; got {_npz.FORMAT + 1}"
    for read in (rs.TraceBatch.load, rs.PackedSketches.load, Monitor.load):
        file.seek(0)
        with pytest.raises(ValueError, match=wanted):
            read(file)
    text = json.dumps({"recsketch": specs.FORMAT + 1})
    with pytest.raises(ValueError, match=f"wanted format {specs.FORMAT}; got {specs.FORMAT + 1}"):
        rs.SketchSpec.from_json(text)
