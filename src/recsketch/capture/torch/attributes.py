"""What an object keeps of a call's output: a vector for every sample of the batch."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

import recsketch._check as _check
from recsketch.capture.torch.layout import ASTRAY, FREE, PICKED, Layout
from recsketch.capture.torch.names import chosen, fits
from recsketch.capture.torch.reducers import NAMES, Projection, Reducer, of_samples, reduced, samples_first

MASKS = ("attention_mask", "src_key_padding_mask")  # as transformers and torch.nn call them; the latter marks padding


class Attributes:
    """Reduces outputs by what the user asked for, and knows the batch of the run that goes on."""

    def __init__(
        self,
        names: Sequence[str],
        reduce: Reducer | Mapping[str, Reducer],
        dim: int | None,
        mask: str | Callable[[Mapping[str, Any]], torch.Tensor] | None,
        batch_dim: int | Mapping[str, int],
        seed: int,
    ) -> None:
        self._reduce = {name: _reducer(name, chosen(reduce, name)) for name in names}
        for pattern, value in batch_dim.items() if isinstance(batch_dim, Mapping) else [("batch_dim", batch_dim)]:
            if pattern and isinstance(batch_dim, Mapping) and not any(fits(pattern, name) for name in names):
                raise ValueError(f"batch_dim: wanted patterns that fit matched modules; got {_check.shown(pattern)}")
            _check.integer(f"batch_dim[{pattern!r}]" if isinstance(batch_dim, Mapping) else "batch_dim", value, 0, 7)
        if mask is not None and not isinstance(mask, str) and not callable(mask):
            raise TypeError(
                f"mask: wanted the name of an argument of the model, or a function; got {_check.describe(mask)}"
            )
        self._batch_dim, self._mask = batch_dim, mask
        if dim is not None:
            dim = _check.integer("dim", dim, 1, 1 << 20)
        self._project = Projection(dim, _check.integer("seed", seed, 0, (1 << 63) - 1))
        self._warned: set[tuple[str, str]] = set()
        self.batch, self._coincident = 0, False
        self._padding: torch.Tensor | None = None

    def dim_of(self, name: str) -> int:
        """The dimension of the batch in a module's output, or, for "", in the model's inputs."""
        if isinstance(self._batch_dim, Mapping):
            found = self._batch_dim.get("") if not name else chosen(self._batch_dim, name)
            return found if found is not None else self.dim_of("") if name else 0
        return self._batch_dim

    def _is_told(self, name: str) -> bool:
        return isinstance(self._batch_dim, Mapping) and any(p and fits(p, name) for p in self._batch_dim)

    def warn(self, name: str, kind: str, text: str) -> None:
        """Once for a module."""
        if (name, kind) not in self._warned:
            self._warned.add((name, kind))
            warnings.warn(f"{_check.shown(name)}: {text}", stacklevel=2)

    def begin(self, ins: Sequence[torch.Tensor], arguments: Mapping[str, Any]) -> int:
        """The batch of a run's inputs."""
        dim = self.dim_of("")
        t = next((t for t in ins if t.ndim > dim), None)
        if t is None or (t.ndim == 1 and t.is_floating_point()):
            came = "none" if t is None else f"shape {tuple(t.shape)}"
            raise ValueError(f"inputs of the model: wanted a tensor with the batch as dimension {dim}; got {came}")
        self.batch = t.shape[dim]
        self._coincident = any(n == self.batch for t in ins for k, n in enumerate(t.shape) if k != dim)
        self._padding = self._mask_of({**arguments.get("kwargs", {}), **arguments})
        return self.batch

    def _mask_of(self, found: Mapping[str, Any]) -> torch.Tensor | None:
        """(batch, tokens), True where a token counts."""
        if callable(self._mask):
            mask = self._mask(found)
        elif self._mask is not None:
            if not isinstance(found.get(self._mask), torch.Tensor):
                raise ValueError(
                    f"mask: wanted the name of a tensor among {_check.listed(list(found))}; got {self._mask!r}"
                )
            mask = found[self._mask]
        else:
            keep, drop = (found.get(name) for name in MASKS)
            mask = ~drop if keep is None and isinstance(drop, torch.Tensor) and drop.dtype == torch.bool else keep
            if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or len(mask) != self.batch:
                return None
        if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or len(mask) != self.batch:
            came = f"shape {tuple(mask.shape)}" if isinstance(mask, torch.Tensor) else _check.describe(mask)
            raise ValueError(f"mask: wanted a tensor of shape ({self.batch}, tokens); got {came}")
        return mask != 0

    def of(
        self, name: str, outs: Sequence[torch.Tensor], layouts: Sequence[Layout]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(batch, a) float32, and (batch,) how many rows of each sample passed; None if all samples did."""
        at = next((i for i, t in enumerate(outs) if t.is_floating_point() and t.ndim), None)
        if at is None:
            raise TypeError(f"output of {_check.shown(name)}: wanted a floating-point tensor; got none")
        x, kind = outs[at].detach(), outs[at].device.type
        mixed = torch.is_autocast_enabled(kind)
        with torch.no_grad(), torch.autocast(kind, enabled=False) if mixed else contextlib.nullcontext():
            return self._of(name, x, layouts[at])

    def _of(self, name: str, x: torch.Tensor, layout: Layout) -> tuple[torch.Tensor, torch.Tensor | None]:
        x, layout = self._placed(name, x, layout)
        how, rows, mask = self._reduce[name], layout.rows, self._padding
        x = samples_first(x, layout, self.batch).float()
        n, entries = x.shape[:2]
        if entries == 1 or (x.ndim > 3 and how != "flatten"):  # otherwise the entries are tokens
            x = x.flatten(0, 1)
        if mask is not None and rows is not None:
            mask = mask[rows]
        if mask is not None and len(x) != n:
            mask = mask.repeat_interleave(entries, 0)
        if mask is not None and (x.ndim != 3 or mask.shape != x.shape[:2]):
            padded = how in ("token_mean", "last_token", "cls") and (x.ndim == 3 or rows is not None)
            if padded and self.is_padded():
                self.warn(name, "padding", f"the mask does not fit shape {tuple(x.shape)}: padding counts as tokens")
            mask = None
        y = reduced(_check.shown(name), x, mask, how)
        y = y.unflatten(0, (n, entries)).mean(1) if len(x) != n else y
        if rows is None:
            return self._project(y), None
        y, number = of_samples(y, rows, self.batch)
        return self._project(y), number

    def is_padded(self) -> bool:
        """Whether some tokens of this run do not count."""
        return self._padding is not None and not bool(self._padding.all())

    def _placed(self, name: str, x: torch.Tensor, layout: Layout) -> tuple[torch.Tensor, Layout]:
        """The output and where its samples are, by what was followed, or what the user says."""
        dim, batch, told = self.dim_of(name), self.batch, self._is_told(name)
        shape, what = tuple(x.shape), f"output of {_check.shown(name)}"
        if not told and layout is PICKED:
            wanted = "rows that can be traced to the samples, or one sample at a time"
            raise ValueError(
                f"{what}: wanted {wanted}; got shape {shape}, picked from the batch in a way not understood"
            )
        if not told and layout is FREE:
            same = x.ndim > 1 and x.ndim > dim and shape[dim] == batch and bool((x == x.narrow(dim, 0, 1)).all())
            if not same:
                x = x if x.ndim > 1 and x.ndim > dim and shape[dim] == 1 else x.unsqueeze(dim)
                x = x.expand(*(batch if k == dim else n for k, n in enumerate(x.shape)))
            return x, Layout(dim)
        if told or layout is ASTRAY:
            if x.ndim <= dim or shape[dim] != batch:
                say = f"{batch} samples along dimension {dim}, or batch_dim={{{name!r}: ...}} to say where they are"
                raise ValueError(f"{what}: wanted {say}; got shape {shape}")
            if not told and batch > 1 and (shape.count(batch) > 1 or self._coincident):
                say = f"dimension {dim} of shape {shape} is taken for the batch of {batch}, but another may be it"
                self.warn(name, "batch", f"{say}: use another batch size, or say batch_dim={{{name!r}: {dim}}}")
            return x, Layout(dim)
        return x, layout

    def end(self, values: Sequence[torch.Tensor], here: Sequence[torch.Tensor | None]) -> dict[str, Any]:
        """All attributes of a run side by side, and which samples saw which call, on the host."""
        device = values[0].device
        together = torch.cat([v.to(device) for v in values], dim=1).cpu().numpy()
        routed = any(h is not None for h in here)
        seen = [h > 0 if h is not None else torch.ones(self.batch, dtype=torch.bool, device=device) for h in here]
        passed = torch.stack([s.to(device) for s in seen], 1).cpu().numpy() if routed else None
        return {"values": np.ascontiguousarray(together), "here": passed}


def _reducer(name: str, given: object) -> Reducer:
    if callable(given) or (isinstance(given, str) and given in NAMES):
        return given
    if given is None:
        raise ValueError(f"reduce: wanted a pattern that fits {_check.shown(name)}; got none")
    wanted = f"one of {', '.join(map(repr, NAMES))}, a function, or patterns of names and such"
    kind = ValueError if isinstance(given, str) else TypeError
    raise kind(f"reduce: wanted {wanted}; got {_check.describe(given)}")
