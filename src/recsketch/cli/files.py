"""Files of the command line: errors name the file and what was wanted of it; "-" is standard input or output."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._files as _files
import recsketch._npz as _npz
from recsketch.display.terminal import progress
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.table import SketchTable

    Floats: TypeAlias = npt.NDArray[np.float32]
    Sketches: TypeAlias = Floats | PackedSketches

STANDARD = "-"
LONGEST_SPEC = 1 << 26  # bytes: a million modules with names of 50
GZIP = b"\x1f\x8b"
RUNS, TRACES = (".npz", ".parquet", ".pq"), (".json", ".jsonl", ".ndjson")
PACKED = {"values", "scale", "noise", "dtype"}
SHOWN = 5  # errors of traces that are told of, if no file gets them


def source(path: str) -> str | BinaryIO:
    """What is read under that name."""
    return _standard(sys.stdin, "input") if path == STANDARD else path


def target(path: str) -> str | BinaryIO:
    """What is written under that name; a ValueError if that is a terminal."""
    if path != STANDARD:
        return path
    if sys.stdout is not None and sys.stdout.isatty():
        raise ValueError("-: wanted standard output to be a file or a pipe; got a terminal")
    return _standard(sys.stdout, "output")


def keep_apart(inputs: Sequence[str | None], outputs: Sequence[str | None]) -> None:
    """Refuse to write over an input, or twice to one output. None stands for an option that was not given.

    Raises
    ------
    ValueError
        An output is the same file as an input or another output, under whatever name; or "-" is two inputs.
    """
    if inputs.count(STANDARD) > 1:
        raise ValueError("-: wanted one input from standard input; got several")
    taken = [_identity(path, 0) for path in inputs if path is not None]
    for path in outputs:
        if path is not None:
            own = _identity(path, 1)
            if own is not None and own in taken:
                raise ValueError(
                    f"{_check.cut(path, 200)}: wanted a file of its own to write; got one that is in use here"
                )
            taken.append(own)


def writing(path: str | None) -> AbstractContextManager[BinaryIO | None]:
    """`_files.written`, or None for an option that was not given."""
    return nullcontext() if path is None else _files.written(target(path))


def read_spec(path: str) -> SketchSpec:
    """A SketchSpec from its JSON, in UTF-8 or UTF-16, with or without a byte order mark."""
    name, wanted = _check.cut(path, 200), "the JSON of a SketchSpec"
    text = bytearray()
    given = source(path)
    with open(given, "rb") if isinstance(given, str) else nullcontext(given) as file:
        while part := file.read(1 << 16):
            text += part
            if len(text) > LONGEST_SPEC:
                raise ValueError(f"{name}: wanted {wanted}, at most {LONGEST_SPEC} bytes; got more")
    try:
        return SketchSpec.from_json(bytes(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: wanted {wanted}: {_check.cut(str(error), 700)}") from error


def is_parquet(path: str) -> bool:
    """Whether a file is a table by its name."""
    return path.lower().endswith((".parquet", ".pq"))


def is_folder(path: str) -> bool:
    """Whether a path is a folder of sketches."""
    from recsketch.pipeline.folder import is_one  # here: it brings what runs processes, which most commands do not

    return os.path.isdir(path) and is_one(path)


def is_table(path: str) -> bool:
    """Whether a path is a folder of sketches, or one of its parts by its name."""
    return path != STANDARD and (is_parquet(path) or path.lower().endswith(".arrow") or is_folder(path))


def read_table(path: str) -> SketchTable:
    """A folder of sketches, or a table in a file."""
    from recsketch.pipeline import read
    from recsketch.sketching.table import load

    return read(path) if is_folder(path) else load(path)


def is_traces(path: str) -> bool:
    """Whether a path is a file of OTLP JSON by its name, or a folder without files of runs, but with some of those."""
    if not os.path.isdir(path):
        return path.lower().removesuffix(".gz").endswith(TRACES)
    found = False
    for _, _, names in os.walk(path):
        if any(name.lower().endswith(RUNS) for name in names):  # mostly the first file says so
            return False
        found = found or any(name.lower().removesuffix(".gz").endswith(TRACES) for name in names)
    return found


def read_runs(path: str, left_out: list[str] | None = None) -> TraceBatch:
    """What `TraceBatch.save` or, by its name, `TraceBatch.to_parquet` wrote; traces in OTLP JSON; all such files of a
    folder; or the folder of a TraceWriter. Of traces that are no runs it warns, or adds why to the list."""
    if is_traces(path):
        return _traces(path, left_out)
    if os.path.isdir(path):
        return _folder(path)
    if is_parquet(path):
        return TraceBatch.from_parquet(path)
    given = source(path)
    if isinstance(given, str):
        with expected(path, "runs"):
            return TraceBatch.load(given)
    file: Any = given if hasattr(given, "peek") else io.BufferedReader(given)
    begins = file.peek(2)
    return _traces(file, left_out) if begins[:1] in (b"{", b"[") or begins[:2] == GZIP else TraceBatch.load(file)


def read_all_runs(paths: Sequence[str]) -> TraceBatch:
    """The runs of all files, in their order."""
    found = [read_runs(path) for path in progress(paths, "reading")]
    return found[0] if len(found) == 1 else TraceBatch.concat(found)


def _folder(path: str) -> TraceBatch:
    from recsketch.runs.folder import NAME, TraceFolder

    if any(NAME.fullmatch(name) for name in os.listdir(path)):
        return TraceFolder(path).read()
    names = sorted(os.path.join(at, name) for at, _, names in os.walk(path) for name in names)
    files = [name for name in names if name.lower().endswith(RUNS)]
    found = [read_runs(file) for file in progress(files, "reading")]
    if not found:
        raise ValueError(f"{_check.cut(path, 200)}: wanted runs, in {', '.join(RUNS)}, or traces in JSON; got neither")
    return TraceBatch.concat(found)


def _traces(given: object, left_out: list[str] | None) -> TraceBatch:
    import warnings

    from recsketch.capture.otlp import read_otlp

    found = read_otlp(given)
    if found.errors and left_out is None:
        first, more = _check.cut(str(found.errors[0]), 300), len(found.errors) - 1
        text = f"traces left out: {first}{f', and {more} more' if more else ''}"
        warnings.warn(text, UserWarning, stacklevel=2)
    elif left_out is not None:
        left_out += [_check.cut(str(error), 300) for error in found.errors]
    return found.runs


def read_sketches(path: str | BinaryIO, spec: str | None = None) -> tuple[SketchSpec, Sketches]:
    """What `recsketch sketch` wrote: a file; or a folder of sketches or one of its parts, which know how they are
    rounded; or, of the specification in the file `spec`, what PackedSketches.save or `recsketch pack` wrote."""
    if spec is not None and isinstance(path, str):
        found = read_spec(spec)
        return found, read_packed(path, found)
    if isinstance(path, str) and is_table(path):
        table = read_table(path)
        return table.spec, table.sketches
    names = members(path) if isinstance(path, str) else set()
    if names >= PACKED:
        if "spec" not in names:
            raise ValueError(f"--spec: wanted the specification of the packed sketches in {_check.cut(str(path), 200)}")
        from recsketch.sketching.table import SketchTable

        table = SketchTable.from_npz(path)
        return table.spec, table.sketches

    def make(arrays: dict[str, Any]) -> tuple[SketchSpec, Floats]:
        spec, sketches = SketchSpec.from_json(_npz.text("spec", arrays["spec"])), arrays["sketches"]
        if sketches.ndim != 2 or sketches.shape[1] != spec.dim or sketches.dtype != np.float32:
            raise ValueError(f"sketches: wanted shape (n, {spec.dim}) float32; got {_check.describe(sketches)}")
        return spec, sketches

    given = source(path) if isinstance(path, str) else path
    with expected(path, "sketches"):
        return _npz.load(given, {"sketches", "spec"}, "`recsketch sketch`", make)


@contextmanager
def expected(path: object, what: str) -> Iterator[None]:
    """Let the error about a file of another kind say which, rather than which arrays it has."""
    try:
        yield
    except ValueError as error:
        from recsketch.cli.kinds import of_arrays, phrase  # here, since it is above this file

        found = of_arrays(members(path)) if isinstance(path, str) else None
        if found in (None, what):
            raise
        raise ValueError(f"{_check.cut(str(path), 200)}: wanted {what}; got {phrase(str(found))}") from error


def members(path: str) -> set[str]:
    """Names of the arrays in an .npz file; of anything else none, since its reader says what is wrong with it."""
    import zipfile

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # what a pipe holds can be read once
            return set()
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return set()
            with zipfile.ZipFile(file) as archive:
                return {name.removesuffix(".npy") for name in archive.namelist()}
    except Exception:  # zipfile raises half a dozen types on damaged bytes
        return set()


def write_sketches(file: BinaryIO, spec: SketchSpec, sketches: Floats) -> None:
    """Sketches (n, d) and their specification's JSON."""
    _npz.write(file, {"sketches": sketches, "spec": np.array(spec.to_json())})


def read_packed(path: str, spec: SketchSpec) -> PackedSketches:
    """What PackedSketches.save wrote, several sketches of the specification's length."""
    packed = PackedSketches.load(source(path))
    if packed.values.ndim != 2 or packed.dim != spec.dim:
        got = _check.describe(packed.values)
        raise ValueError(f"{_check.cut(path, 200)}: wanted packed sketches of shape (n, {spec.dim}); got {got}")
    return packed


def read_mask(path: str, count: int, dim: int) -> npt.NDArray[np.bool_]:
    """Kept coordinates of each of so many sketches, or of all: (count, dim)."""
    wanted = f"an npy of kept coordinates, ({dim},) or ({count}, {dim}) bool"
    with _files.opened(source(path), b"\x93NUMPY", wanted) as file:
        mask = _npz.parsed(file.read())
        if mask.dtype != np.bool_ or mask.shape not in ((dim,), (count, dim)):
            raise ValueError(f"got {_check.describe(mask)}")
    return np.broadcast_to(mask, (count, dim))


def _standard(stream: Any, what: str) -> BinaryIO:
    found: BinaryIO | None = getattr(stream, "buffer", None)
    if found is None:
        raise ValueError(f"-: wanted an open standard {what}; got none")
    return found


def _identity(path: str, descriptor: int) -> object:
    """Something equal for equal files, and for names of one file that is still to be made; None for pipes and devices,
    of which many may be open at once."""
    try:
        found = os.fstat(descriptor) if path == STANDARD else os.stat(path)
    except OSError:
        return path if path == STANDARD else os.path.realpath(path)
    if stat.S_ISREG(found.st_mode):
        return found.st_dev, found.st_ino
    return (STANDARD, descriptor) if path == STANDARD else None
