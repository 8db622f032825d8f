"""Approximate search: what an index may miss, and what it may never change; the file may be anything, or missing."""

from __future__ import annotations

import errno
import importlib.util
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crashes import STEPS, Content, CrashDisk, content, lost
from repositories import SPEC, D, contents, rows, run
from test_repository_crashes import FailingDisk

import recsketch as rs
from recsketch.repository import search
from recsketch.repository.store import SketchRepository

NEEDS = "needs faiss: pip install 'recsketch[ann]'"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason=NEEDS)

N, KINDS = 5000, 100
LISTS = 283  # four times the square root of N
FILE = "approximate-run.npz"


def kinds(n: int, seed: int = 0) -> np.ndarray:
    """Rows of which some fifty each lie around one of KINDS centres, half as far from it as centres are from zero."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((KINDS, D))
    return np.asarray(centres[rng.integers(0, KINDS, n)] + rng.standard_normal((n, D)) / 2, np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole") / "r"
    with rs.SketchRepository.open(place, SPEC, mode="a", threads=2) as r:
        r.add(kinds(N), metadata=[{"n": i} for i in range(N)])
        r.build_index()
    return place


@pytest.fixture
def filled(whole: Path, folder: Path) -> Iterator[rs.SketchRepository]:
    """N runs of kinds, with an index."""
    shutil.copytree(whole, folder / "r")
    with rs.SketchRepository.open(folder / "r", mode="a", threads=2) as r:
        yield r


def alike(found: Any, exact: Any) -> bool:
    """Whether hits are the same: products of float64 of another length may round to the next float32."""
    return [hit.key for hit in found] == [hit.key for hit in exact] and all(
        abs(a.contrast - b.contrast) < 2.0**-23 and abs(a.score - b.score) < 2.0**-23 and a.metadata == b.metadata
        for a, b in zip(found, exact, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int8+float16"])
def test_recall(folder: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 new rows of the kinds, seed fixed, find all of their ten best in 8 of 283 lists, and 99.6% in 4. If the share
    were 0.99 for a query drawn at random, a mean below 0.95 had a probability of 5e-8 (Bernstein: variance at most
    0.0099)."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", dtype=dtype, threads=2) as r:
        r.add(kinds(N))
        r.build_index()
        q = kinds(500, 1)
        exact, all_of_them = r.search(q, 10), r.search(q[:3], N)
        scanned = []
        best = search.best

        def counted(column: Any, some: Any, k: int, mean: Any, chosen: Any, threads: int) -> Any:
            scanned.append(len(some) * (N if chosen is None else len(chosen)))
            return best(column, some, k, mean, chosen, threads)

        monkeypatch.setattr(search, "best", counted)
        found = r.search(q, 10, probes=8)
    assert sum(scanned) == 0  # it was the index
    good = [len({hit.key for hit in a} & {hit.key for hit in b}) for a, b in zip(found, exact, strict=True)]
    assert np.mean(good) / 10 >= 0.95
    for hits, those in zip(found[:3], all_of_them, strict=True):  # and what it finds is what the scan says of it
        of = {hit.key: hit for hit in those}
        assert len(hits) == 10
        order = sorted(hits, key=lambda hit: -hit.contrast)
        assert alike(hits, [of[hit.key] for hit in order])


def test_all_lists_are_all_rows(filled: rs.SketchRepository) -> None:
    """Of 48 candidates by 8 bits the ten best are those of all rows: an 8-bit contrast is wrong by 0.002."""
    q = kinds(100, 2)
    for probes in (LISTS, 1000):
        assert all(map(alike, filled.search(q, 10, probes=probes), filled.search(q, 10)))
    assert alike(filled.search(q[0], 10, probes=1000), filled.search(q[0], 10))
    few, more = (
        sum(h.contrast for hits in filled.search(rows(100, 3), 10, probes=probes) for h in hits)
        for probes in (1, LISTS)
    )
    assert few < more - 1  # of rows of no kind, one list has not the best


def test_more_hits_than_the_lists_have(filled: rs.SketchRepository) -> None:
    """One list has some twenty rows; where they do not do, all are looked at."""
    q = kinds(3, 2)
    for k in (200, 1000, N + 1):
        assert all(map(alike, filled.search(q, k, probes=1), filled.search(q, k)))


def test_rows_that_went_never_come_up_and_rows_that_came_do(folder: Path) -> None:
    x = kinds(N)
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a", threads=2) as r:
        keys = r.add(x)
        r.build_index()
        near = [hit.key for hit in r.search(x[0], 80)]
        r.delete(near[:60])  # more than there are candidates
        assert alike(r.search(x[0], 10, probes=LISTS), r.search(x[0], 10))
        assert not {hit.key for hit in r.search(x[0], 100, probes=1)} & set(near[:60])
        moved = near[65]
        r.update(moved, -x[0])
        assert moved not in {hit.key for hit in r.search(x[0], 60, probes=1)}
        assert r.search(-x[0], 1, probes=1)[0].key == moved
        r.update(near[66], metadata={"new": 1})
        assert [hit.key for hit in r.search(x[0], 9, {"new": 1}, probes=LISTS)] == [near[66]]
        later = r.add(rows(300, 5))  # of no kind
        for i in (0, 150, 299):
            hit = r.search(rows(300, 5)[i], 1, probes=1)[0]
            assert hit.key == later[i]
            assert hit.score == pytest.approx(1, abs=2.0**-23)
        rng = np.random.default_rng(0)
        for step in range(20):  # whatever comes and goes
            r.delete(list(rng.choice([*r], 50, replace=False)))
            r.add(kinds(20, 100 + step))
            q = kinds(5, 200 + step)
            assert all(map(alike, r.search(q, 10, probes=LISTS), r.search(q, 10)))
        assert keys[0] not in r
        with rs.SketchRepository.open(folder / "r") as other:
            assert all(map(alike, other.search(q, 10, probes=LISTS), r.search(q, 10)))


def test_rows_that_came_are_scanned_alone(filled: rs.SketchRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.add(rows(7, 5))
    best, seen = search.best, []
    monkeypatch.setattr(search, "best", lambda *a: (seen.append(a[4].tolist()), best(*a))[1])
    filled.search(kinds(2, 2), 10, probes=4)
    assert seen == [list(range(N, N + 7))]


@pytest.mark.parametrize(
    "where", [{"n": {"<": 5}}, {"n": {"<": 100}}, {"n": {"<": 500}}, {"n": {">=": 1000}}, {"n": -1}, {}]
)
def test_conditions(filled: rs.SketchRepository, where: Any) -> None:
    """In what many rows satisfy, in what few do, and with rows that the index has not."""
    q = kinds(20, 2)
    for _ in range(2):
        assert all(map(alike, filled.search(q, 10, where, probes=LISTS), filled.search(q, 10, where)))
        for a, b in zip(filled.search(q[:3], 10, where, probes=2), filled.search(q[:3], N, where), strict=True):
            of = {hit.key: hit for hit in b}
            assert len(a) == min(10, len(b))
            assert alike(a, [of[hit.key] for hit in a])
        filled.add(kinds(30, 9), metadata=[{"n": i * 50} for i in range(30)])


def test_by_order(folder: Path) -> None:
    """Rows of both kinds in one repository, of which some have no unordered sketch; and objects, which take numbers."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add([run(i) for i in range(300)], objects=True)
        r.add(rows(20))
        r.build_index("order", lists=10)
        assert not (folder / "r" / FILE).exists()
        q = [run(i) for i in range(290, 310)]
        assert all(map(alike, r.search(q, 5, by="order", probes=10), r.search(q, 5, by="order")))
        assert r.search(q[0], 1, by="order", probes=1)[0].key == "run-00000290"
        with pytest.warns(rs.RepositoryWarning, match=f"{FILE}: wanted an index for approximate search; got none"):
            r.search(q, probes=3)


def test_zeros(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        x = kinds(200)
        x[50] = 0
        r.add(x)
        r.build_index(lists=5)
        assert alike(r.search(x[3], 200, probes=5), r.search(x[3], 200))
        hits = r.search(np.zeros(D), 5, probes=2)
        assert [hit.contrast for hit in hits] == [hit.score for hit in hits] == [0] * 5
        assert alike(r.search(x[:4], 3, probes=5)[0], r.search(x[0], 3))


def test_few_rows(folder: Path) -> None:
    """Fewer than are wanted, and too few for a mean."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        for n in (1, 6, 30):
            r.add(rows(n, n))
            r.build_index(lists=10)
            assert alike(r.search(rows(1)[0], 3, probes=10), r.search(rows(1)[0], 3))
            assert len(r.search(rows(1)[0], 3, probes=2)) == min(3, len(r))


def test_threads_of_faiss_are_as_before(filled: rs.SketchRepository) -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(before + 3)
    filled.build_index(lists=5)
    filled.search(kinds(1), probes=1)
    assert faiss.omp_get_max_threads() == before + 3
    faiss.omp_set_num_threads(before)


# ---------------------------------------------------------------- files that are of no use


def told(r: rs.SketchRepository, message: str) -> None:
    """One warning, at the caller's line, and the answer of a scan, then and later."""
    q = kinds(5, 2)
    with pytest.warns(rs.RepositoryWarning, match=message) as record:
        found = r.search(q, 10, probes=1)
    assert len(record) == 1
    assert record[0].filename == __file__
    assert FILE in str(record[0].message)
    exact = r.search(q, 10)
    assert all(map(alike, found, exact))
    assert all(map(alike, r.search(q, 10, probes=1), exact))


def changed(path: Path, **arrays: Any) -> None:
    """The same file with other arrays; None takes one away."""
    with np.load(path) as file:
        found = {**file, **arrays}
    np.savez(path, **{what: x for what, x in found.items() if x is not None})


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def nan(path: Path) -> None:
    changed(path, mean=np.full(D, np.nan, np.float32))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: p.unlink(), "wanted an index for approximate search; got none"),
    "empty": (lambda p: p.write_bytes(b""), "wanted a file written by SketchRepository.build_index"),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-1000]), "wanted a zip archive; got a damaged one"),
    "noise": (noise, "wanted a file written by SketchRepository.build_index"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps(print)), "wanted a file written by SketchRepository.build_index"),
    "objects": (lambda p: changed(p, rows=np.array([print, 1])), "rows: wanted numbers"),
    "folder": (lambda p: (p.unlink(), p.mkdir()), "Is a directory|Permission denied"),
    "format": (lambda p: changed(p, recsketch=2), "wanted format 1; got 2"),
    "fewer arrays": (lambda p: changed(p, codes=None), "wanted the arrays"),
    "foreign": (
        lambda p: changed(p, identity=np.zeros(16, np.uint8)),
        "wanted an index of this repository; got one of",
    ),
    "nan": (nan, "wanted numbers from -2 to 2; got others"),
    "no rows": (
        lambda p: changed(
            p,
            rows=np.zeros(0, np.int64),
            crcs=np.zeros(0, np.uint32),
            codes=np.zeros((0, D), np.uint8),
            ends=np.zeros(LISTS + 1, np.int64),
        ),
        "ends: wanted offsets of one row or more",
    ),
    "no lists": (
        lambda p: changed(p, centres=np.zeros((0, D), np.float32), ends=np.zeros(1, np.int64)),
        "ends: wanted offsets of one row or more",
    ),
    "ends": (lambda p: changed(p, ends=np.full(LISTS + 1, N)), "ends: wanted offsets"),
    "beyond": (lambda p: changed(p, ends=np.arange(LISTS + 1) * 1000), "ends: wanted offsets"),
    "down": (lambda p: changed(p, ends=np.array([0, 2 * N, *[N] * (LISTS - 1)])), "ends: wanted offsets"),
    "shape": (lambda p: changed(p, codes=np.zeros((N, D - 1), np.uint8)), r"codes: wanted uint8 of shape \(5000, 64\)"),
    "type": (lambda p: changed(p, crcs=np.zeros(N)), r"crcs: wanted uint32 of shape \(5000,\); got"),
    "scalar": (lambda p: changed(p, rows=3), "rows: wanted int64 of shape"),
    "rows of others": (lambda p: changed(p, rows=np.arange(N) + 10**6), "got one that is out of date"),
    "negative rows": (lambda p: changed(p, rows=-1 - np.arange(N)), "got one that is out of date"),
    "rows of other bytes": (lambda p: changed(p, crcs=np.zeros(N, np.uint32)), "got one that is out of date"),
    "another mean": (lambda p: changed(p, mean=np.full(D, 0.1, np.float32)), "got one that is out of date"),
    "a huge mean": (lambda p: changed(p, mean=np.full(D, 3e38, np.float32)), "wanted numbers from -2 to 2; got others"),
}


@pytest.mark.parametrize("what", BAD)
def test_files_of_no_use_cost_one_warning(filled: rs.SketchRepository, what: str) -> None:
    """The index that is in memory is not used once its file is another."""
    spoil, message = BAD[what]
    path = Path(filled.path) / FILE
    filled.search(kinds(1), probes=1)
    spoil(path)
    told(filled, message)
    with rs.SketchRepository.open(filled.path) as reader:
        told(reader, message)
    assert filled.check().ok
    if path.is_dir():
        path.rmdir()
    filled.build_index()
    for hits in filled.search(kinds(5, 2), probes=LISTS):  # without a warning
        assert len(hits) == 10


def test_lies_of_a_file_change_no_hit(filled: rs.SketchRepository) -> None:
    """Lists, centres and codes of a hostile file that is whole: hits are missed, and those that come are right."""
    rng = np.random.default_rng(0)
    path = Path(filled.path) / FILE
    q = kinds(5, 2)
    exact = filled.search(q, N)
    for arrays in (
        {"codes": rng.integers(0, 256, (N, D), np.uint8)},
        {"centres": np.full((LISTS, D), 2, np.float32)},
        {"ranges": np.full((2, D), -2, np.float32)},
        {"ends": np.array([*[0] * LISTS, N])},
        {"rows": np.zeros(N, np.int64), "crcs": np.full(N, 1, np.uint32)},
    ):
        changed(path, **arrays)
        with warnings.catch_warnings(), rs.SketchRepository.open(filled.path) as reader:
            warnings.simplefilter("ignore", rs.RepositoryWarning)
            for hits, all_of_them in zip(reader.search(q, 10, probes=3), exact, strict=True):
                of = {hit.key: hit for hit in all_of_them}
                assert len({hit.key for hit in hits}) == 10
                assert alike(hits, [of[hit.key] for hit in hits])


def test_no_flipped_bit_makes_a_lie(folder: Path) -> None:
    """Bits of the whole file, one in 211: a warning and the answer of a scan, or what was there before."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(kinds(60), metadata=[{"n": i} for i in range(60)])
        r.build_index(lists=3)
        whole = (folder / "r" / FILE).read_bytes()
        exact, warned = r.search(kinds(2, 2), 5), 0
        for bit in range(0, 8 * len(whole), 211):
            spoilt = bytearray(whole)
            spoilt[bit // 8] ^= 1 << bit % 8
            (folder / "r" / FILE).write_bytes(spoilt)
            with warnings.catch_warnings(record=True) as record, rs.SketchRepository.open(folder / "r") as reader:
                warnings.simplefilter("always")
                assert all(map(alike, reader.search(kinds(2, 2), 5, probes=3), exact))
            warned += len(record)
            assert len(record) <= 1
    assert warned > 0.8 * 8 * len(whole) / 211  # zip has some bytes that nobody reads


def test_an_index_of_another_history(folder: Path) -> None:
    """A backup is restored, and other rows get the numbers that the index knows: they are other bytes to it."""
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(kinds(500))
    shutil.copytree(folder / "r", folder / "backup")
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(kinds(100, 1))
        r.build_index(lists=8)
    shutil.copy(folder / "r" / FILE, folder / "backup" / FILE)
    with rs.SketchRepository.open(folder / "backup", mode="a") as r:
        assert alike(r.search(kinds(1, 3)[0], 9, probes=8), r.search(kinds(1, 3)[0], 9))
        later = r.add(rows(100, 5))
        for i in range(0, 100, 9):
            assert r.search(rows(100, 5)[i], 1, probes=1)[0].key == later[i]
        q = kinds(20, 3)
        assert all(map(alike, r.search(q, 9, probes=8), r.search(q, 9)))


def test_too_many_rows_that_it_does_not_have(filled: rs.SketchRepository) -> None:
    filled.add(kinds(N, 1))
    filled.search(kinds(5, 2), 10, probes=1)  # half of the rows will do
    filled.add(kinds(1, 2))
    told(filled, "got one that is out of date: all rows are looked at until build_index")
    filled.build_index()
    filled.search(kinds(5, 2), 10, probes=1)


def test_a_reader_follows_the_writer(filled: rs.SketchRepository) -> None:
    q = kinds(5, 2)
    with rs.SketchRepository.open(filled.path) as reader:
        reader.search(q, probes=1)
        filled.add(kinds(500, 3))
        filled.build_index()
        assert all(map(alike, reader.search(q, 10, probes=100), filled.search(q, 10)))
        filled.compact()
        told(reader, "search; got none: all rows are looked at until build_index")
        filled.build_index()
        assert all(map(alike, reader.search(q, 10, probes=100), filled.search(q, 10)))


# ---------------------------------------------------------------- what was deleted, crashes, full disks


def code(path: Path, row: int) -> bytes:
    """What an index has of a row."""
    with np.load(path) as file:
        return file["codes"][file["rows"] == row].tobytes()  # type: ignore[no-any-return]


def test_deleted_vectors_are_in_no_file_after_compact(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add([run(i) for i in range(50)])
        for by in ("run", "order"):
            r.build_index(by)
        paths = [folder / "r" / f"approximate-{by}.npz" for by in ("run", "order")]
        secrets = [code(path, row) for path in paths for row in (3, 4)]
        (folder / "r" / f"{FILE}.part").write_bytes(b"SECRET")
        assert all(len(secret) == D and secret in contents(folder / "r") for secret in secrets)
        r.delete("run-00000003")
        r.update("run-00000004", run(100))
        r.compact()
        assert not any(secret in contents(folder / "r") for secret in [*secrets, b"SECRET"])
        assert r.check().ok
        r.build_index()
        assert not any(secret in contents(folder / "r") for secret in secrets)


def test_an_unfinished_index_is_cleared_away(folder: Path) -> None:
    rs.SketchRepository.open(folder / "r", SPEC, mode="a").close()
    (folder / "r" / f"{FILE}.part").write_bytes(b"half")
    with pytest.warns(rs.RepositoryWarning, match=f"cut what an unfinished write left behind: .*'{FILE}.part'"):
        rs.SketchRepository.open(folder / "r", mode="a").close()
    assert not (folder / "r" / f"{FILE}.part").exists()


def indexed(step: int) -> Any:
    """A step, and an index afterwards."""

    def both(r: rs.SketchRepository) -> None:
        STEPS[step](r)
        if step in (0, 1, 4, 6):
            r.build_index(lists=2)

    return both


def looked(r: rs.SketchRepository) -> Content:
    """All there is, once approximate search has found it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rs.RepositoryWarning)
        if len(r):
            q = rows(1, 9)[0]
            assert alike(r.search(q, 2, probes=2), r.search(q, 2))
            assert not any(name.suffix == ".part" for name in Path(r.path).iterdir())
    return content(r)


def test_nothing_is_lost_by_a_crash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are there as without an index, and search finds them, whatever there is of the file."""
    monkeypatch.setattr("recsketch.repository.writing.FULL", 8 * 4 * D)
    steps = tuple(indexed(i) for i in range(len(STEPS)))
    states, problems = lost(folder / "r", CrashDisk(folder / "r"), 600, steps, looked)
    assert not problems, problems
    assert states > 300


def test_a_compaction_that_a_crash_cut_short_leaves_nothing_of_what_was_deleted(folder: Path) -> None:
    """Each image after the commit of a compaction: the index has gone before it."""
    disk = CrashDisk(folder / "r")
    with SketchRepository._opened(disk, str(folder / "r"), SPEC, "a") as r:
        r.add(rows(20), [f"{i}" for i in range(20)])
        r.build_index()
        secret = code(folder / "r" / FILE, 3)
        r.delete("3")
        assert any(secret in image.get(FILE, b"") for image in disk.taken())
        generations = set()
        r.compact()
        for image in disk.taken():
            (folder / "crashed").mkdir(exist_ok=True)
            for old in (folder / "crashed").iterdir():
                old.unlink()
            for name, data in image.items():
                (folder / "crashed" / name).write_bytes(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rs.RepositoryWarning)
                with rs.SketchRepository.open(folder / "crashed", mode="a") as again:
                    line = again._connection().execute("SELECT generation FROM state").fetchone()
            generations.add(line[0])
            assert not line[0] or secret not in contents(folder / "crashed")
    assert generations == {0, 1}


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_an_index_that_cannot_be_written_leaves_what_was_there(folder: Path, error: int) -> None:
    """Whichever system call fails, there is the old index, or none, or the new one, and no part of one."""
    disk, number, failed = FailingDisk(1 << 30, error), 0, 0
    with SketchRepository._opened(disk, str(folder / "r"), SPEC, "a") as r:
        r.add(kinds(100))
        r.build_index(lists=2)
        before = content(r)
        while disk.left >= 0:
            old = (folder / "r" / FILE).read_bytes()
            r.add(kinds(1, 50 + number))
            before = content(r)
            disk.left = number
            try:
                r.build_index(lists=3)
            except OSError:
                failed += 1
                now = (folder / "r" / FILE).read_bytes()
                assert now == old or number == 4  # the name is there, and may not be on the disk
                disk.left = 1 << 30
            else:
                assert disk.left >= 0
                break
            assert not (folder / "r" / f"{FILE}.part").exists()
            assert content(r) == before
            assert alike(r.search(kinds(1, 3)[0], 5, probes=3), r.search(kinds(1, 3)[0], 5))
            number += 1
    assert failed == 5  # create, write, sync, rename, and sync of the folder


# ---------------------------------------------------------------- what is refused


def test_what_is_refused(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        with pytest.raises(ValueError, match=r"^repository: wanted rows to make an index of; got none"):
            r.build_index()
        r.add(rows(10))
        with pytest.raises(ValueError, match=r"^repository: wanted rows to make an index of; got none"):
            r.build_index("order")
        for bad in (0, -1, 1.5, "a"):
            with pytest.raises((ValueError, TypeError), match=r"^lists: wanted an integer from 1"):
                r.build_index(lists=bad)  # type: ignore[arg-type]
            with pytest.raises((ValueError, TypeError), match=r"^probes: wanted an integer from 1"):
                r.search(rows(1), probes=bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^by: wanted 'run' or 'order'; got 'chaos'"):
            r.build_index("chaos")
        with pytest.raises(
            ValueError, match=r"^probes: wanted None with a mask, for which all rows are looked at; got 3"
        ):
            r.search(rows(1), probes=3, mask=np.ones(D, bool))
    with rs.SketchRepository.open(folder / "r") as r:
        with pytest.raises(ValueError, match=r"^repository: wanted one that was opened to write"):
            r.build_index()
        (folder / "r" / "00000001.rows").write_bytes(b"x" * 4096)
    with (
        pytest.raises(rs.RepositoryDamaged),
        rs.SketchRepository.open(folder / "r", mode="a") as r,
    ):
        r.build_index()


def test_damage_is_no_index(folder: Path) -> None:
    with rs.SketchRepository.open(folder / "r", SPEC, mode="a") as r:
        r.add(rows(10))
        path = folder / "r" / "00000001.rows"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(rs.RepositoryDamaged, match="wanted row 9 as it was written; got other bytes"):
            r.build_index()
        assert not (folder / "r" / FILE).exists()
