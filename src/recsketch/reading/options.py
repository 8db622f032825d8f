"""Options of the decoders, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import recsketch._check as _check
from recsketch.sketching.parameters import MAX_LENGTH

if TYPE_CHECKING:
    from recsketch.sketching.spec import SketchSpec

MAX_DEPTH = 64  # RSK_MAX_DEPTH


def of_recover(
    spec: SketchSpec, method: str, nonzeros: int | None, per_object: int | None, nonnegative: bool
) -> dict[str, Any]:
    """What `recover` was asked for beside a method, checked; empty for methods that have no options."""
    count = {"nonzeros": nonzeros, "per_object": per_object}
    options: dict[str, Any] = {k: None if v is None else _check.integer(k, v, 1, 1 << 40) for k, v in count.items()}
    options["nonnegative"] = _nonnegative(spec, nonnegative)
    if method == "sparse":
        return options
    for name, value in options.items():
        if value is not None and value is not False:
            raise ValueError(f'{name}: wanted method="sparse" with it; got {method!r}')
    return {}


def of_unroll(
    spec: SketchSpec, max_depth: int | None, sparse: int | str | None, nonnegative: bool
) -> tuple[int | None, int | None]:
    """Levels to look for, and expected non-zero elements of an attribute: 0 is any number; None: dense attributes."""
    depth = None if max_depth is None else _check.integer("max_depth", max_depth, 1, MAX_DEPTH)
    if _nonnegative(spec, nonnegative) and sparse is None:
        raise ValueError("nonnegative: wanted `sparse` with it, a number or 'auto'; got neither")
    if sparse is None:
        return depth, None
    if isinstance(sparse, str):
        if sparse != "auto":
            raise ValueError(f"sparse: wanted a number of elements, 'auto' or None; got {_check.describe(sparse)}")
        return depth, 0
    return depth, _check.integer("sparse", sparse, 1, MAX_LENGTH)


def _nonnegative(spec: SketchSpec, flag: bool) -> bool:
    value = _check.flag("nonnegative", flag)
    if value and spec.signature:
        raise ValueError("nonnegative: wanted a specification without signatures, whose elements have both signs")
    return value
