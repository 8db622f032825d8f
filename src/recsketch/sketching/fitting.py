"""A specification from pilot runs: what they need, and room for runs that are a little larger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.sketching.load import DECODERS, faintest, length_for, planned_as, shared, widest
from recsketch.sketching.parameters import MAX_INPUTS, least_dim
from recsketch.sketching.plan import joined
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    from recsketch.runs.batch import TraceBatch

SIGNATURE = 8  # where objects are shared: of 4,000 pairs of look-alikes one is then taken for one object
LEAST_INPUTS, ROOM = 16, 2  # positions at least, and over those of the widest tuple: a position costs d / 8 bytes
# The faintest object should have this share of the loudest one's amplitude. `recover` is wrong by about 1e-7 over the
# share; runs of 20 to 40 residual layers unrolled whole down to a share of 2e-4, and not below 4e-5.
LOUD = 0.01
BALANCES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def fitted(
    batch: TraceBatch,
    dim: int | None,
    seed: int,
    target: float,
    decoder: str,
    modules: Mapping[str, int] | None,
    max_inputs: int | None,
    wiring: Any,
    signature: int | None,
    parameters: dict[str, Any],
) -> SketchSpec:
    """See `SketchSpec.fitted`."""
    if not len(batch):
        raise ValueError("runs: wanted at least one; got none")
    _check.choice("decoder", decoder, DECODERS)
    target = _check.number("target", target, "a load above 0 and at most 4", 0.0, 4.0)
    if max_inputs is None:
        max_inputs = min(max(LEAST_INPUTS, ROOM * widest(batch)), MAX_INPUTS)
    given = {**parameters, "max_inputs": max_inputs, "signature": 0 if signature is None else signature}
    least = least_dim(given.get("rotation"), given.get("block_size"), max_inputs)
    spec = SketchSpec(least, _modules(batch, modules), seed, **given)
    if signature is None and shared(*planned_as(spec, batch)).any() and spec.ordered and decoder == "unroll":
        spec = spec.replace(signature=SIGNATURE)
    if isinstance(wiring, str):
        _check.choice("wiring", wiring, ("seen",))
        wiring = wiring_of(batch)
    spec = spec.replace(wiring=wiring)
    if spec.attributes == "linear" and "scales" not in parameters:
        spec = spec.with_scales(batch)
    if spec.weighting == "balanced" and "balance" not in parameters:
        spec = loud_enough(spec, batch)
    return spec.replace(dim=length_for(spec, batch, target, decoder) if dim is None else dim)


def loud_enough(spec: SketchSpec, batch: TraceBatch) -> SketchSpec:
    """The specification with the least balance at which no object of these runs is fainter than LOUD; or 1."""
    for balance in BALANCES:
        trial = spec.replace(dim=spec._least_dim, balance=balance)
        if faintest(*planned_as(trial, batch)).min() >= LOUD:
            break
    return spec.replace(balance=balance)


def wiring_of(batch: TraceBatch) -> dict[str | None, list[str]]:
    """Which modules are inputs of which, and which are outputs (None), in runs that have been planned."""
    names, many = batch.names, len(batch.names)
    owner, member, used = joined(batch)
    # An output's owner is numbered -1, which is turned into one beyond the modules.
    pairs = np.unique(np.where(owner < 0, many, batch.module[owner])[used] * many + batch.module[member[used]])
    found: dict[str | None, list[str]] = {}
    for above, below in (divmod(int(pair), many) for pair in pairs):
        found.setdefault(names[above] if above < many else None, []).append(names[below])
    return found


def _modules(batch: TraceBatch, more: Mapping[str, int] | None) -> dict[str, int]:
    """Those of the runs, and those that are given beside them."""
    found = batch.modules
    if more is None:
        return found
    if not isinstance(more, Mapping):
        raise TypeError(f"modules: wanted a mapping of names to lengths; got {_check.describe(more)}")
    for name in found.keys() & more.keys():
        if more[name] != found[name]:
            wanted = f"{found[name]} for {_check.shown(name)}, as in the runs"
            raise ValueError(f"modules: wanted a length of {wanted}; got {_check.describe(more[name])}")
    return {**found, **more}
