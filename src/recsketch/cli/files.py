"""Files of the command line: errors name the file and what was wanted of it; "-" is standard input or output."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
import recsketch._files as _files
import recsketch._npz as _npz
from recsketch.pipeline.folder import is_one
from recsketch.runs.batch import TraceBatch
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec
from recsketch.sketching.table import SketchTable

Sketches = npt.NDArray[np.float32] | PackedSketches

STANDARD = "-"
LONGEST_SPEC = 1 << 26  # bytes: a million modules with names of 50


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


def is_table(path: str) -> bool:
    """Whether a path is a folder of sketches, or one of its parts by its name."""
    return path != STANDARD and (is_one(path) or is_parquet(path))


def read_runs(path: str) -> TraceBatch:
    """What `TraceBatch.save` or, by its name, `TraceBatch.to_parquet` wrote."""
    return TraceBatch.from_parquet(path) if is_parquet(path) else TraceBatch.load(source(path))


def read_sketches(path: str | BinaryIO) -> tuple[SketchSpec, Sketches]:
    """What `recsketch sketch` wrote: a file; or a folder of sketches or one of its parts, which know how they are
    rounded."""
    if isinstance(path, str) and is_table(path):
        from recsketch.pipeline import read

        found = read(path) if is_one(path) else SketchTable.from_parquet(path)
        return found.spec, found.sketches

    def make(arrays: dict[str, Any]) -> tuple[SketchSpec, npt.NDArray[np.float32]]:
        spec, sketches = SketchSpec.from_json(_npz.text("spec", arrays["spec"])), arrays["sketches"]
        if sketches.ndim != 2 or sketches.shape[1] != spec.dim or sketches.dtype != np.float32:
            raise ValueError(f"sketches: wanted shape (n, {spec.dim}) float32; got {_check.describe(sketches)}")
        return spec, sketches

    given = source(path) if isinstance(path, str) else path
    return _npz.load(given, {"sketches", "spec"}, "`recsketch sketch`", make)


def write_sketches(file: BinaryIO, spec: SketchSpec, sketches: npt.NDArray[np.float32]) -> None:
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
