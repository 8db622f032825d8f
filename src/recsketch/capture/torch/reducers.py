"""From the output of a call to one vector a sample: samples first, tokens or pixels reduced, long vectors projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from recsketch.capture.torch.layout import Layout

Reducer: TypeAlias = "str | Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]"

NAMES = ("token_mean", "last_token", "cls", "spatial_mean", "flatten")


def samples_first(x: torch.Tensor, layout: Layout, batch: int) -> torch.Tensor:
    """`x` as (n, m, ...): n samples or picked rows, each with its m entries of the dimension that they lie in."""
    n, k = layout.count(batch), layout.axis
    outer = x.shape[k] // max(n * layout.inner, 1)
    x = x.unflatten(k, (outer, n, layout.inner)).movedim(k + 1, 0)  # (n, ..., outer, inner, ...)
    return x.flatten(k + 1, k + 2).movedim(k + 1, 1)


def reduced(what: str, x: torch.Tensor, mask: torch.Tensor | None, how: Reducer) -> torch.Tensor:
    """(n, a) of `x`, (n, ...) float32; the mask is (n, tokens), True where a token counts, and fits `x`, or None."""
    if callable(how):
        y = how(x, mask)
        if not isinstance(y, torch.Tensor) or y.ndim != 2 or len(y) != len(x):
            came = f"shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
            raise ValueError(f"reduce of {what}: wanted a tensor of shape ({len(x)}, length); got {came}")
        return y.float()
    if x.ndim <= 2 or how == "flatten":
        return x.reshape(len(x), int(np.prod(x.shape[1:])))
    if how == "spatial_mean":
        return x.flatten(2).mean(2)
    if x.ndim != 3:
        wanted = f"(samples, tokens, features) for {how!r}, or reduce='spatial_mean', 'flatten' or a function"
        raise ValueError(f"output of {what}: wanted {wanted}; got shape {tuple(x.shape)}")
    if how == "token_mean":
        if mask is None:
            return x.mean(1)
        # Padding may be NaN, and is therefore filled, not multiplied; a sample may be padding alone.
        return x.masked_fill(~mask[..., None], 0).sum(1) / mask.sum(1).clamp(min=1)[:, None]
    if mask is None:
        return x[:, 0 if how == "cls" else -1]
    order = torch.arange(1, x.shape[1] + 1, device=x.device) if how == "last_token" else 1
    return x[torch.arange(len(x), device=x.device), (mask * order).argmax(1)]  # the first of the largest


def of_samples(y: torch.Tensor, rows: torch.Tensor, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, a) means over every sample's own rows of `y`, and (batch,) how many these are."""
    number = torch.bincount(rows, minlength=batch)
    total = y.new_zeros(batch, y.shape[1]).index_add_(0, rows, y)
    return total / number.clamp(min=1)[:, None], number


class Projection:
    """Vectors of more than `dim` numbers times a Gaussian matrix of variance 1 / dim, which keeps norms on average.

    The matrix depends on the seed and the vectors' length alone.
    """

    def __init__(self, dim: int | None, seed: int) -> None:
        self.dim, self.seed = dim, seed
        self._matrices: dict[tuple[int, torch.device], torch.Tensor] = {}

    def __call__(self, y: torch.Tensor) -> torch.Tensor:
        a = y.shape[1]
        if self.dim is None or a <= self.dim:
            return y
        key = a, y.device
        if key not in self._matrices:
            rng = np.random.default_rng((self.seed, a))
            matrix = rng.standard_normal((a, self.dim), np.float32) / np.float32(self.dim**0.5)
            self._matrices[key] = torch.from_numpy(matrix).to(y.device)
        return y @ self._matrices[key]
