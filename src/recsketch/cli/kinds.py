"""What a file or a folder is, by what is in it: for commands that take several kinds."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import recsketch._check as _check
from recsketch.cli.files import (
    GZIP,
    PACKED,
    is_folder,
    is_parquet,
    is_traces,
    members,
    read_runs,
    read_sketches,
    source,
)
from recsketch.runs.batch import OPTIONAL, TraceBatch
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    from recsketch.cli.files import Sketches

INDEX = "index.sqlite"  # of a repository

# Of each kind of .npz file arrays that it has, and that no kind before it has all of.
ARRAYS: dict[str, set[str]] = {
    "runs": set(TraceBatch.__slots__) - OPTIONAL,
    "sketches": {"spec", "sketches"},
    "table of sketches": {"spec", *PACKED},
    "packed sketches": PACKED,
    "population": {"spec", "sums", "runs"},
    "dictionary": {"columns_codes", "events_sketches"},
    "monitor": {"elements", "wealth"},
    "reduction": {"bases", "modules"},
    "statistics": {"m2", "modules"},
    "exported repository": {"spec", "runs", "run_values"},
}
SCHEMAS = {
    b"recsketch.runs": "runs",
    b"recsketch.spec": "table of sketches",
    b"recsketch.repository": "exported repository",
}
ENDINGS = {b"PK": ".npz", b"PA": ".parquet", b"\x93N": ".npy", GZIP: ".json"}
OF_RUNS, OF_SKETCHES = {"runs", "traces"}, {"sketches", "table of sketches", "packed sketches", "folder of sketches"}


def phrase(kind: str) -> str:
    """A kind, with its article where it has one."""
    many = kind.endswith("s") and "of" not in kind.split()
    return kind if many else f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def kind(path: str) -> str:
    """The kind of a file or folder.

    Raises
    ------
    ValueError
        It is none of those that the package writes or reads.
    OSError
        It is not there, or cannot be read.
    """
    if stat.S_ISDIR(os.stat(path).st_mode):
        if os.path.exists(os.path.join(path, INDEX)):
            return "repository"
        return "folder of sketches" if is_folder(path) else "traces" if is_traces(path) else "runs"
    with open(path, "rb") as file:
        begins = file.read(1 << 12)
    if begins[:4] == b"PK\x03\x04":
        if (found := of_arrays(members(path))) is not None:
            return found
    elif is_parquet(path):
        if (held := _of_schema(path)) is not None:
            return held
    elif begins.startswith(b"\x93NUMPY"):
        return "array"
    elif begins[:2] == GZIP or begins.lstrip()[:1] in (b"{", b"["):
        return "specification" if b'"recsketch"' in begins and b'"dim"' in begins else "traces"
    raise ValueError(f"{_check.cut(path, 200)}: wanted a file or folder that recsketch writes or reads; got another")


def of_arrays(names: set[str]) -> str | None:
    """The kind of an .npz file by its arrays, None if it is none of ours."""
    return next((found for found, arrays in ARRAYS.items() if arrays <= names), None)


def _of_schema(path: str) -> str | None:
    import recsketch._arrow as _arrow

    with _arrow.opened(path, "a Parquet file") as file:
        keys = file.schema_arrow.metadata or {}
    return next((SCHEMAS[key] for key in SCHEMAS if key in keys), None)


@contextmanager
def at_hand(path: str) -> Iterator[str]:
    """A path that may be looked at twice: standard input is written to a file for a while."""
    given = source(path)
    if isinstance(given, str):
        yield given
        return
    content = given.read()
    ending = ENDINGS.get(content[:2], ".json")
    with tempfile.TemporaryDirectory(prefix="recsketch-") as folder:
        spooled = os.path.join(folder, f"stdin{ending}")
        with open(spooled, "wb") as file:
            file.write(content)
        yield spooled


def read_either(path: str, spec: str | None) -> TraceBatch | tuple[SketchSpec, Sketches]:
    """Runs, or sketches and their specification, whichever a path has."""
    with at_hand(path) as found:
        what = kind(found)
        if what in OF_RUNS:
            return read_runs(found)
        if what in OF_SKETCHES:
            return read_sketches(found, spec if what == "packed sketches" else None)
    raise ValueError(f"{_check.cut(path, 200)}: wanted runs or sketches; got {phrase(what)}")
