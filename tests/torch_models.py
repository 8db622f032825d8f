"""Small PyTorch models, a kind of data flow each, and the edges of what is recorded of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

import recsketch as rs


def edges(trace: rs.Trace) -> tuple[dict[str, set[str]], set[str]]:
    """Objects by module and number of the call, with their inputs; and the outputs."""
    count: Counter[str] = Counter()
    keys = []
    for o in trace.objects:
        count[o.module] += 1
        keys.append(o.module if count[o.module] == 1 else f"{o.module}#{count[o.module]}")
    found = {k: {keys[i] for i in o.inputs} for k, o in zip(keys, trace.objects, strict=True)}
    return found, {keys[i] for i in trace.output_ids}


class Mlp(nn.Module):
    """x, and two residual blocks of it."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.c, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.act = nn.ReLU(inplace)

    def forward(self, x: Any) -> Any:
        h = self.a(x)
        h = h + self.b(self.act(h) if not self.act.inplace else self.act(h * 1))
        h = h + self.c(h)
        return self.out(h)


class InPlace(nn.Module):
    """The second reader of a's output reads what the activation left there."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act = nn.Linear(8, 8), nn.Linear(8, 8), nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        h = self.a(x)
        y = self.act(h)
        return self.b(y) + h


class Block(nn.Module):
    def __init__(self, d: int = 16) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x: Any) -> Any:
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, 4, d // 4).permute(2, 0, 3, 1, 4)
        w = (q @ k.transpose(-2, -1) / (d // 4) ** 0.5).softmax(-1)
        x = x + self.proj((w @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.norm2(x))


class Stack(nn.Module):
    def __init__(self, vocabulary: int = 11, d: int = 16) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(vocabulary, d), nn.Embedding(32, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(2))
        self.head = nn.Linear(d, 5)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids) + self.place(torch.arange(ids.shape[1])[None])
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


class Rnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.GRUCell(8, 8), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        h = torch.zeros(len(x), 8)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.out(h)


class Shared(nn.Module):
    """One module, used twice in a row and once beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return self.g(self.f(self.f(x)).tanh()) + self.f(x * 2)


class Experts(nn.Module):
    """Top 2 of 4, of samples (B, 16) or of tokens (B, T, 16), as in mixtures of experts that are in use."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.router, self.out = nn.Linear(16, 16), nn.Linear(16, 4), nn.Linear(16, 3)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16)) for _ in range(4))

    def forward(self, x: Any) -> Any:
        h = self.inp(x)
        flat = h.reshape(-1, 16)
        weight, chosen = self.router(flat).softmax(-1).topk(2)
        total = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            rows, slot = torch.where(chosen == e)
            if len(rows):
                total.index_add_(0, rows, expert(flat[rows]) * weight[rows, slot, None])
        return self.out(total.view(h.shape) + h)
