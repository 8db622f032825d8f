"""A check of everything: each byte that counts against its checksum, each table against the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.repository.concepts.kept as concepts
import recsketch.repository.conditions as conditions
import recsketch.repository.graph.edges as edges
import recsketch.repository.graph.linking as linking
import recsketch.repository.lines as lines
import recsketch.repository.tables as tables
from recsketch.repository.columns import Column, Columns
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.results import RepositoryCheck
from recsketch.repository.state import OBJECT, ORDER, RUN, Settings, read_state

if TYPE_CHECKING:
    import numpy.typing as npt

MOST = 50  # problems that are told of


def check(db: sqlite3.Connection, folder: str, settings: Settings, size: int) -> RepositoryCheck:
    """Within a transaction; nothing is changed."""
    problems: list[str] = []
    runs: set[int] = set()
    rows = [0]

    def step(part: Callable[[], None]) -> None:
        try:
            with tables.damage(folder):
                part()
        except (ValueError, OSError, KeyError, TypeError) as e:
            problems.append(str(e))

    columns = Columns(folder, settings.identity)
    step(lambda: _structure(db, problems))
    step(lambda: _runs(db, runs, problems))
    step(lambda: _rows(db, columns, set(settings.kinds()), runs, problems, rows))
    step(lambda: _edges(db, runs, problems))
    if concepts.is_kept(db):
        step(lambda: problems.extend(concepts.problems(db, runs, settings.spec.dim)))
    told = tuple(_check.cut(text, 500) for text in dict.fromkeys(problems))
    return RepositoryCheck(not told, told[:MOST], len(runs), rows[0], size)


def _structure(db: sqlite3.Connection, problems: list[str]) -> None:
    for (text,) in db.execute("PRAGMA integrity_check").fetchall():
        if text != "ok":
            problems.append(f"{tables.NAME}: wanted a whole index; got {text}")


def _runs(db: sqlite3.Connection, runs: set[int], problems: list[str]) -> None:
    state, digest, tags = read_state(db), 0, set()
    for line in db.execute(lines.RUNS).fetchall():
        row, _, about = lines.parsed(line)
        runs.add(row)
        digest += line[-1]
        tags.update(conditions.tags(row, about))
    if (len(runs), digest % 2**63) != (state.runs, state.digest):
        problems.append(f"{tables.NAME}: wanted {state.runs} runs, all that were added; got {len(runs)}, or others")
    if set(db.execute("SELECT name, value, row FROM tags").fetchall()) != tags:
        problems.append(f"{tables.NAME}: wanted an index of all metadata; got another")


def _rows(
    db: sqlite3.Connection, columns: Columns, kinds: set[str], runs: set[int], problems: list[str], count: list[int]
) -> None:
    state = read_state(db)
    objects: dict[str, set[int]] = {}
    for line in db.execute("SELECT row, kind, run, path, confidence, crc FROM objects").fetchall():
        row, kind, run, *_ = tables.checked("an object", line)
        objects.setdefault(str(kind), set()).add(row)  # type: ignore[arg-type]
        if run not in runs:
            problems.append(f"{tables.NAME}: wanted objects of runs that are there; got one of row {run}")
    columns.at(db, state, RUN)
    for kind in {*kinds, *objects, *columns.kinds}:
        column = columns.at(db, state, kind)
        live = _column(column, problems)
        count[0] += len(live)
        wanted = objects.get(kind, set()) if kind.startswith(OBJECT) else runs
        good = live <= wanted if kind.startswith(ORDER) else live == wanted
        if not good:
            what = f"a row of kind {_check.shown(kind)} for each run or object"
            problems.append(f"{tables.NAME}: wanted {what}; got others")
        dead = db.execute("SELECT row FROM dead WHERE kind = ? AND wiped = 1", (kind,))
        wiped = tables.numbers("a deleted row", dead)
        for s in column.segments:
            at = s.places(wiped)
            if len(at) and _any(s.values()[at]):
                problems.append(f"{s.path}: wanted zeros where rows were deleted; got others")


def _edges(db: sqlite3.Connection, runs: set[int], problems: list[str]) -> None:
    """Of the graph: uses lead from a run and its objects to its objects, and only runs that are there have any."""
    run_of = dict(db.execute("SELECT row, run FROM objects"))
    inputs, near = edges.read(db, "inputs"), edges.read(db, "near")
    of, users, used = (x.tolist() for x in (inputs.of, inputs.edges["user"], inputs.edges["input"]))
    if any({run_of.get(a, a), run_of.get(b)} != {run} for run, a, b in zip(of, users, used, strict=True)):
        problems.append(f"{tables.NAME}: wanted uses of a run's objects by itself and its objects; got others")
    if not set(run_of.values()) <= set(inputs.lines.tolist()) <= runs:
        problems.append(f"{tables.NAME}: wanted uses of the objects of all runs that are there; got others")
    if not set(near.lines.tolist()) <= runs or (len(near.lines) and linking.read_centre(db) is None):
        problems.append(f"{tables.NAME}: wanted links of runs that are there, and their mean; got others")


def _column(column: Column, problems: list[str]) -> set[int]:
    live: set[int] = set()
    for s in column.segments:
        try:
            s.values()
            s.verify()
        except (RepositoryDamaged, OSError, ValueError) as e:
            problems.append(str(e))
        live |= set(s.rows[s.alive].tolist())
    return live


def _any(x: npt.NDArray[Any]) -> bool:
    return bool(np.ascontiguousarray(x).view(np.uint8).any())
