"""Options of the decoders, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.sketching.parameters import MAX_LENGTH

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.spec import SketchSpec

MAX_DEPTH = 64  # RSK_MAX_DEPTH
DENSE, SPARSE, DECIDE = 0, 1, 2  # RSK_DENSE and so on


def of_recover(
    spec: SketchSpec, method: str, nonzeros: int | None, per_object: int | None, nonnegative: bool
) -> dict[str, Any]:
    """What `recover` was asked for beside a method, checked; empty for methods that have no options."""
    _ordered("recover", spec)
    count = {"nonzeros": nonzeros, "per_object": per_object}
    options: dict[str, Any] = {k: None if v is None else _check.integer(k, v, 1, 1 << 40) for k, v in count.items()}
    options["nonnegative"] = _nonnegative(nonnegative)
    if method == "sparse":
        return options
    for name, value in options.items():
        if value is not None and value is not False:
            raise ValueError(f'{name}: wanted method="sparse" with it; got {method!r}')
    return {}


def of_unroll(
    spec: SketchSpec,
    max_depth: int | None,
    sparse: int | str | Mapping[str, int | str | None] | None,
    nonnegative: bool | Collection[str],
) -> tuple[int | None, npt.NDArray[np.int64] | None]:
    """Levels to look for, and what is known of each module's attributes: rows as rsk_sparsity; None: all dense."""
    _ordered("unroll", spec)
    depth = None if max_depth is None else _check.integer("max_depth", max_depth, 1, MAX_DEPTH)
    rows = np.zeros((len(spec.modules), 3), np.int64)
    if isinstance(sparse, Mapping):
        for name, told in sparse.items():
            _check.choice("sparse", name, spec.modules)
            rows[list(spec.modules).index(name), :2] = _sparsity(f"sparse[{_check.shown(name)}]", told)
    else:
        rows[:, :2] = _sparsity("sparse", sparse)
    names = _named(spec, nonnegative)
    rows[:, 2] = [name in names for name in spec.modules]
    rows[:, 2] &= rows[:, 0] != DENSE
    if names and not rows[:, 2].any():
        raise ValueError(f"nonnegative: wanted `sparse` with it, a number or 'auto'; got {_check.describe(sparse)}")
    return depth, rows if rows[:, 0].any() else None


def _named(spec: SketchSpec, nonnegative: object) -> list[str]:
    """The modules that `nonnegative` names; all or none for a flag."""
    if isinstance(nonnegative, (bool, np.bool_)):
        return list(spec.modules) if nonnegative else []
    if not isinstance(nonnegative, Collection) or isinstance(nonnegative, (str, bytes, bytearray, np.ndarray)):
        text = f"wanted True or False, or names of modules; got {_check.describe(nonnegative)}"
        raise TypeError(f"nonnegative: {text}")
    return [_check.choice("nonnegative", name, spec.modules) for name in nonnegative]


def _sparsity(where: str, told: object) -> tuple[int, int]:
    """Kind and expected non-zero elements, 0 for any number."""
    if told is None:
        return DENSE, 0
    if isinstance(told, str):
        if told != "auto":
            raise ValueError(f"{where}: wanted a number of elements, 'auto' or None; got {_check.describe(told)}")
        return DECIDE, 0
    return SPARSE, _check.integer(where, told, 1, MAX_LENGTH)


def _ordered(what: str, spec: SketchSpec) -> None:
    """Refuse sketches that do not tell the inputs of a tuple apart."""
    if not spec.ordered:
        text = "whose sketches hold sums over inputs of one module alone: similarity and summary read those"
        raise ValueError(f"{what}: wanted a specification with ordered=True; got one without, {text}")


def _nonnegative(flag: bool) -> bool:
    return _check.flag("nonnegative", flag)
