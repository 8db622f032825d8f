"""From recorded runs to columns: every sample of a batch is a run of the calls that saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.runs.batch import TraceBatch

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Run:
    """One run of a model: the calls from which its output came, in their order; `inputs` and `ends` number these.

    `values` is (batch, A), the attributes of all calls side by side, `lengths` their lengths. `here` is (batch, calls),
    whether a sample passed through a call; None if all did through all.
    """

    modules: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]
    lengths: tuple[int, ...]
    values: npt.NDArray[np.float32]
    here: npt.NDArray[np.bool_] | None


def batch_of(runs: Sequence[Run]) -> TraceBatch:
    """A trace a sample, run after run."""
    for number, run in enumerate(runs):
        _check_finite(number, run)
    return TraceBatch.concat([_columns(number, run) for number, run in enumerate(runs)])


def _check_finite(number: int, run: Run) -> None:
    if np.isfinite(run.values).all():
        return
    sample, at = (int(i) for i in np.argwhere(~np.isfinite(run.values))[0])
    module = run.modules[int(np.searchsorted(np.cumsum(run.lengths), at, side="right"))]
    what = f"output of {_check.shown(module)} for sample {sample} of run {number}"
    raise ValueError(f"{what}: wanted finite numbers that float32 can hold; got {run.values[sample, at]}")


def _columns(number_of_run: int, run: Run) -> TraceBatch:
    n, calls = len(run.values), len(run.modules)
    here = np.ones((n, calls), np.bool_) if run.here is None else _reached(run, run.here)
    names = tuple(dict.fromkeys(run.modules))
    module = np.array([names.index(m) for m in run.modules], np.int32)
    number = np.cumsum(here, 1, dtype=np.int32) - 1  # of a call among those that the sample saw
    target = np.repeat(np.arange(calls), [len(i) for i in run.inputs])
    source = np.array([j for i in run.inputs for j in i], np.intp)
    ends = np.array(run.ends, np.intp)
    lost = np.flatnonzero(~here[:, ends].any(1))
    if lost.size:
        wanted = "a call of a matched module from which its output came, such as one that all samples pass through"
        raise ValueError(f"sample {lost[0]} of run {number_of_run}: wanted {wanted}; got none")
    edges = here[:, source] & here[:, target]  # (n, all inputs)
    ones = (target[:, None] == np.arange(calls)).astype(np.int64)
    fan_in = edges.astype(np.int64) @ ones
    lengths = np.array(run.lengths, np.int64)
    values = run.values if run.here is None else run.values[np.repeat(here, lengths, axis=1)]
    inputs, outputs = number[:, source][edges], number[:, ends][here[:, ends]]
    every: dict[str, Any] = {
        "objects": _offsets(here.sum(1)),
        "module": np.broadcast_to(module, here.shape)[here],
        "attribute_ends": _offsets(np.broadcast_to(lengths, here.shape)[here]),
        "attributes": values.reshape(-1),
        "input_ends": _offsets(fan_in[here]),
        "inputs": inputs,
        "weights": np.ones(inputs.size),
        "output_ends": _offsets(here[:, ends].sum(1)),
        "outputs": outputs,
        "output_weights": np.ones(outputs.size),
    }
    return TraceBatch(names=names, **every)


def _reached(run: Run, here: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which calls of those that a sample saw led to its own output."""
    led = np.zeros_like(here)
    led[:, run.ends] = here[:, run.ends]
    for i in reversed(range(len(run.modules))):
        for j in run.inputs[i]:
            led[:, j] |= led[:, i] & here[:, j]
    return led


def _offsets(sizes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
