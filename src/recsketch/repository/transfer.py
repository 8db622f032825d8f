"""A repository's runs in one .npz or Parquet file, to take elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
import recsketch.repository.conditions as conditions
import recsketch.repository.given as given
from recsketch._files import File
from recsketch.repository.conditions import Scalar
from recsketch.repository.given import Parts
from recsketch.repository.parts import Columned, columned, parted
from recsketch.repository.state import ORDER, RUN
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

Form: TypeAlias = "tuple[npt.NDArray[np.int64], PackedSketches]"


@dataclass
class Table:
    """Runs, for each kind of sketch the numbers of the runs that have one, ascending, and these sketches, and what runs
    are made of."""

    keys: list[str]
    metadata: list[dict[str, Scalar]]
    run: Form | None
    order: Form | None
    parts: list[Parts | None]


FORM = ("at", *PackedSketches.__slots__)
NAMES = {"spec", "runs", *(f"{kind}_{what}" for kind in (RUN, ORDER) for what in FORM)}
NAMES |= {f"objects_{name}" for name in Columned._fields}


def save(path: File, spec: SketchSpec, table: Table) -> None:
    """Write a table."""
    text = json.dumps(list(zip(table.keys, table.metadata, strict=True)), ensure_ascii=False).encode()
    arrays: dict[str, Any] = {"spec": np.array(spec.to_json()), "runs": np.frombuffer(text, np.uint8)}
    for kind, form in ((RUN, table.run), (ORDER, table.order)):
        at, packed = form or (np.zeros(0, np.int64), _none(spec.dim))
        arrays[f"{kind}_at"] = at
        arrays |= {f"{kind}_{name}": getattr(packed, name) for name in PackedSketches.__slots__}
    arrays |= {f"objects_{name}": x for name, x in columned(table.parts, spec)._asdict().items()}
    _npz.save(path, arrays)


def load(path: File) -> tuple[SketchSpec, Table]:
    """Read what `save` wrote, without trust in it."""

    def make(arrays: dict[str, Any]) -> tuple[SketchSpec, Table]:
        spec = SketchSpec.from_json(_npz.text("spec", arrays["spec"]))
        content = arrays["runs"]
        if content.ndim != 1 or content.dtype != np.uint8:
            raise ValueError(f"runs: wanted a vector of bytes; got {_check.describe(content)}")
        found = parsed("runs", content.tobytes())
        if not isinstance(found, list) or not all(isinstance(x, list) and len(x) == 2 for x in found):
            raise ValueError(f"runs: wanted a list of keys and metadata; got {_check.describe(found)}")
        keys = given.keys("runs", [key for key, _ in found], len(found), False)
        about = [conditions.metadata(f"runs[{i}]", x) for i, (_, x) in enumerate(found)]
        run, order = (_form(arrays, kind, len(keys), spec.dim) for kind in (RUN, ORDER))
        if keys and (run is None or len(run[0]) != len(keys)):
            raise ValueError("run_at: wanted a sketch of every run; got fewer")
        objects = Columned(*(arrays[f"objects_{name}"] for name in Columned._fields))
        return spec, Table(keys, about, run, order, parted(objects, len(keys), spec))

    return _npz.load(path, NAMES, "SketchRepository.export", make)


def parsed(name: str, text: str | bytes) -> Any:
    """What JSON says."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ValueError(f"{name}: wanted JSON; got text that is none: {e}") from None


def _form(arrays: dict[str, Any], kind: str, count: int, dim: int) -> Form | None:
    at = _check.column(f"{kind}_at", arrays[f"{kind}_at"], np.int64)
    dtype = _npz.text(f"{kind}_dtype", arrays[f"{kind}_dtype"])
    values, scale, noise = (arrays[f"{kind}_{name}"] for name in ("values", "scale", "noise"))
    packed = PackedSketches(values, scale, noise, dtype)
    if packed.values.shape != (len(at), dim):
        raise ValueError(f"{kind}_values: wanted shape ({len(at)}, {dim}); got {_check.describe(packed.values)}")
    if len(at) and (at[0] < 0 or at[-1] >= count or np.any(at[1:] <= at[:-1])):
        raise ValueError(f"{kind}_at: wanted numbers of runs, ascending; got {_check.describe(at)}")
    if len(at):
        _check.known(f"{kind}_values", packed.unpack(), None)
    return (at.astype(np.int64), packed) if len(at) else None


def _none(dim: int) -> PackedSketches:
    return PackedSketches(np.zeros((0, dim), np.float32), np.zeros(0, np.float32), np.zeros(0), "float32")
