"""Files of the command line: errors name the file and what was wanted of it; what is written is whole or absent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import recsketch._files as _files
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

Sketches = npt.NDArray[np.float32] | PackedSketches


def read_spec(path: str) -> SketchSpec:
    """A SketchSpec from its JSON."""
    with open(path, encoding="utf-8") as file, _naming(path, "the JSON of a SketchSpec"):
        return SketchSpec.from_json(file.read())


def read_sketches(path: str) -> tuple[SketchSpec, npt.NDArray[np.float32]]:
    """What `recsketch sketch` wrote."""

    def make(arrays: dict[str, Any]) -> tuple[SketchSpec, npt.NDArray[np.float32]]:
        spec, sketches = SketchSpec.from_json(str(arrays["spec"])), arrays["sketches"]
        if sketches.ndim != 2 or sketches.shape[1] != spec.dim or sketches.dtype != np.float32:
            raise ValueError(f"sketches of shape (n, {spec.dim}) float32; got {sketches.shape} {sketches.dtype}")
        return spec, sketches

    return _files.read(path, {"sketches", "spec"}, "an npz as `recsketch sketch` writes it", make)


def read_packed(path: str, spec: SketchSpec) -> PackedSketches:
    """What PackedSketches.save wrote, several sketches of the specification's length."""
    packed = PackedSketches.load(path)
    if packed.values.ndim != 2 or packed.dim != spec.dim:
        raise ValueError(f"{path}: wanted packed sketches of shape (n, {spec.dim}); got {packed.values.shape}")
    return packed


def read_mask(path: str, count: int, dim: int) -> npt.NDArray[np.bool_]:
    """Kept coordinates of each of so many sketches, or of all: (count, dim)."""
    wanted = f"({dim},) or ({count}, {dim}) bool"
    with open(path, "rb") as file, _naming(path, f"an npy of kept coordinates, {wanted}"):
        mask = np.load(file, allow_pickle=False)
        if not isinstance(mask, np.ndarray):
            raise ValueError("got an npz")
        if mask.dtype != np.bool_ or mask.shape not in ((dim,), (count, dim)):
            raise ValueError(f"got {mask.shape} {mask.dtype}")
    return np.broadcast_to(mask, (count, dim))


def write_npz(path: str, **arrays: npt.NDArray[Any]) -> None:
    """Arrays, as np.savez writes them."""
    with _files.written(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type,unused-ignore]


def write_text(path: str, text: str) -> None:
    """A text in UTF-8."""
    with _files.written(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def _naming(path: str, wanted: str) -> Iterator[None]:
    """Let an error in what a file holds name the file, and say what was wanted."""
    try:
        yield
    except Exception as error:  # zipfile, zlib, json and NumPy raise a dozen types on damaged files
        raise ValueError(f"{path}: wanted {wanted}: {error}") from error
