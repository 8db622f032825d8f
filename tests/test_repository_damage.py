"""Bits that flip, files that are cut short: what is read is right, or an error, or `check` tells of it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crashes import content
from repositories import SPEC, rows, run

import recsketch as rs
from recsketch.repository import tables

FLIPS = int(os.environ.get("RECSKETCH_FLIPS", "400"))
"""How many bits of the index the suite flips, of some 100,000; and of segments one in every so many bytes."""
STEP = max(1, 2100 // FLIPS)

REFUSALS = (rs.RepositoryDamaged, ValueError, OSError)


@pytest.fixture
def whole(folder: Path) -> Path:
    """A small repository with some of everything, closed."""
    with rs.SketchRepository.open(folder / "whole", SPEC, mode="a", dtype="int8+float16") as r:
        r.add(rows(3, 1), ["a", "b", "c"], [{"n": i, "text": "word"} for i in range(3)])
        r.add([run(1), run(2)], ["d", "e"], [{"n": 1}, {"n": 2}], objects=True)
        r.update("b", rows(1, 2)[0], {"n": 7})
        r.delete("a")
    assert {p.name for p in (folder / "whole").iterdir()} >= {tables.NAME, "lock", "00000001.rows"}
    assert not (folder / "whole" / f"{tables.NAME}-wal").exists()  # nothing is left to be torn
    with sqlite3.connect(folder / "whole" / tables.NAME, isolation_level=None) as db:  # pages with less empty room
        for pragma in ("journal_mode=DELETE", "page_size=512"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode=WAL")
    db.close()
    return folder / "whole"


def answers(r: rs.SketchRepository) -> Any:
    """What users ask for."""
    x = rows(1, 1)[0]
    hits = [r.search(x, 9), r.search(x, 9, where={"n": {">=": 1}}), r.search(run(1), 9, by="order")]
    hits.append(r.search_objects("ear", [1.0, 2.0, 3.0], 9))
    return content(r), [[(h.key, round(h.score, 5), tuple(h.metadata.items()), h.path) for h in some] for some in hits]


def verdict(path: Path, right: Any) -> str:
    """What became of damage: refused, told of by `check`, harmless, or a lie."""
    try:
        with rs.SketchRepository.open(path) as r:
            told = not r.check().ok
            try:
                found = answers(r)
            except REFUSALS:
                return "refused"
    except REFUSALS:
        return "refused"
    if found == right:
        return "told" if told else "harmless"
    return "told" if told else "lie"


def flipped(data: bytes, bit: int) -> bytes:
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def damages(whole: Path, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Bits of every segment's rows and header, spread evenly, and bits of the index."""
    for path in sorted(whole.glob("*.rows")):
        data = path.read_bytes()
        for byte in [*range(0, 4096, 29 * STEP), *range(4096 + rng.randrange(STEP), len(data), STEP)]:
            yield path.name, flipped(data, 8 * byte + rng.randrange(8))
    data = (whole / tables.NAME).read_bytes()
    for bit in rng.sample(range(8 * len(data)), min(FLIPS, 8 * len(data))):
        yield tables.NAME, flipped(data, bit)


def test_no_flipped_bit_makes_a_lie(whole: Path, folder: Path) -> None:
    """Seeds are fixed. Segments hold 5 live rows of each kind here; bytes of deleted ones are zero, and a flip there is
    told of, too."""
    with rs.SketchRepository.open(whole) as r:
        right = answers(r)
    found: dict[str, dict[str, int]] = {}
    copy = folder / "copy"
    shutil.copytree(whole, copy)
    for name, data in damages(whole, random.Random(0)):
        (copy / name).write_bytes(data)
        kind = "index" if name == tables.NAME else "rows"
        what = verdict(copy, right)
        assert what != "lie", f"{name}: {what}"
        counts = found.setdefault(kind, {})
        counts[what] = counts.get(what, 0) + 1
        (copy / name).write_bytes((whole / name).read_bytes())
    assert verdict(copy, right) == "harmless"
    assert found["rows"].get("harmless", 0) == 0
    assert (
        min(found["index"][what] for what in ("refused", "told", "harmless")) > FLIPS // 50
    )  # each outcome comes up: the test can tell them apart


def test_no_truncation_makes_a_lie(whole: Path, folder: Path) -> None:
    with rs.SketchRepository.open(whole) as r:
        right = answers(r)
    copy, rng = folder / "copy", random.Random(0)
    shutil.copytree(whole, copy)
    for name in [tables.NAME, *sorted(p.name for p in whole.glob("*.rows"))]:
        data = (whole / name).read_bytes()
        for length in {0, 1, 99, 100, 4095, 4096, len(data) - 1, *(rng.randrange(len(data)) for _ in range(20))}:
            (copy / name).write_bytes(data[:length])
            assert verdict(copy, right) in ("refused", "told"), (name, length)
        (copy / name).unlink()
        assert verdict(copy, right) in ("refused", "told"), name
        (copy / name).write_bytes(data)
    assert verdict(copy, right) == "harmless"


def test_a_lost_run_is_told_of(whole: Path) -> None:
    """A line that is taken out of the index as a whole leaves nothing to checksum but the sum of all checks."""
    with sqlite3.connect(whole / tables.NAME) as db:
        db.execute("DELETE FROM runs WHERE key = 'c'")
    db.close()
    with rs.SketchRepository.open(whole) as r:
        assert "wanted 4 runs, all that were added; got 3" in str(r.check())
        with pytest.raises(rs.RepositoryDamaged, match="wanted 4 runs in the order of keys; got others"):
            list(r)


def test_a_damaged_place_costs_no_other_row(folder: Path) -> None:
    """Deleting, and wiping at the next opening, go by the index: where that is damaged, no row is overwritten."""
    for name in ("deleting", "opening"):
        with rs.SketchRepository.open(folder / name, SPEC, mode="a") as r:
            r.add(rows(2), ["a", "b"])
            r.add(rows(1), ["c"])
            if name == "opening":
                r.delete(["a", "c"])
        path = folder / name / "00000001.rows"
        before = path.read_bytes()
        with contextlib.closing(sqlite3.connect(folder / name / tables.NAME, isolation_level=None)) as db:
            db.execute("UPDATE dead SET wiped = 0")
            db.execute("UPDATE blocks SET place = place + 1 WHERE first = 0")
        with rs.SketchRepository.open(folder / name, mode="a") as r:
            if name == "deleting":
                with pytest.raises(rs.RepositoryDamaged, match="wanted a block as it was written"):
                    r.delete("a")
            assert not r.check().ok
            assert "a" in r or name == "opening"
        assert path.read_bytes() == before
        with contextlib.closing(sqlite3.connect(folder / name / tables.NAME)) as db:  # nor is one noted as wiped
            assert not db.execute("SELECT count(*) FROM dead WHERE wiped = 1").fetchone()[0]


def test_damage_of_one_row_leaves_the_others(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(3), ["a", "b", "c"])
    path = folder / "r" / "00000001.rows"
    path.write_bytes(flipped(path.read_bytes(), 8 * (4096 + 256 + 5)))
    with rs.SketchRepository.open(folder / "r", mode="a") as r:
        with pytest.raises(rs.RepositoryDamaged, match="wanted row 1 as it was written; got other bytes"):
            r.get("b")
        assert np.array_equal(r.get("c").sketch, rows(3)[2])
        for call in (lambda: r.search(rows(1)), r.compact):
            with pytest.raises(rs.RepositoryDamaged, match="wanted row 1 as it was written"):
                call()
        assert [*r] == ["a", "b", "c"]
        r.delete("b")
        r.compact()
        assert r.check().ok
        assert len(r.search(rows(1)[0])) == 2
