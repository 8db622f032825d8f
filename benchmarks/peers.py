"""What recsketch is measured against: the same recursion in NumPy, a tree of hypervectors in torchhd, transforms in NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from runs import Tree

COS, SIN = np.cos(np.pi / 3), np.sin(np.pi / 3)


class Rotated:
    """T = cos I + sin R with R x[k] = sign[k] x[k ^ mask], as one gather, two products and a sum."""

    def __init__(self, d: int, rng: np.random.Generator, dtype: Any) -> None:
        mask = int(rng.integers(1, d))
        k = np.arange(d)
        upper = (k & (1 << (mask.bit_length() - 1))) != 0
        sign = rng.choice([-1.0, 1.0], d)
        sign[upper] = -sign[k[upper] ^ mask]
        self.index, self.sign, self.cos = k ^ mask, (SIN * sign).astype(dtype), dtype(COS)

    def __call__(self, x: Any) -> Any:
        return self.cos * x + self.sign * x[..., self.index]


class NumpyRecursion:
    """The recursion of docs/design.md, section 3, in plain NumPy: vectors of length d, one object after the other.

    What a user would write without recsketch. Attribute lengths are powers of two, so that the Walsh-Hadamard transform of an
    attribute is one small matrix product, which at these sizes is faster than butterflies in NumPy.
    """

    def __init__(
        self, d: int, a: int, *, modules: int = 4, fan: int = 4, seed: int = 0, dtype: Any = np.float64
    ) -> None:
        rng = np.random.default_rng(seed)
        self.d, self.a, self.dtype = d, a, dtype
        self.position = [Rotated(d, rng, dtype) for _ in range(fan)]
        self.module = [Rotated(d, rng, dtype) for _ in range(modules)]
        self.attr, self.inp = Rotated(d, rng, dtype), Rotated(d, rng, dtype)
        self.d1 = rng.choice([-1.0, 1.0], (modules, a)).astype(dtype)
        self.d2 = (rng.choice([-1.0, 1.0], (modules, d)) / np.sqrt(d)).astype(dtype)
        self.counter = (rng.choice([-1.0, 1.0], (modules, d)) / np.sqrt(d)).astype(dtype)
        self.hadamard = sylvester(a).astype(dtype)

    def rows(self, tree: Tree, runs: int | None = None, seed: int = 0) -> Any:
        """Attribute and counter of each object times the object's amplitude: (objects, [runs,] a + 1)."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((len(tree), self.a) if runs is None else (len(tree), runs, self.a))
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
        depth = np.zeros(len(tree))
        for i, p in enumerate(tree.parent):
            depth[i] = 1 if p < 0 else depth[p] + 1
        gain = (0.5 * 8.0 ** -(depth / 2)).reshape((-1,) + (1,) * (x.ndim - 1))
        return (np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1) * gain).astype(self.dtype)

    def forward(self, tree: Tree, rows: Any) -> Any:
        """The sketch: (d,), or (runs, d) where the rows carry an axis of runs."""
        inputs: list[Any] = [None] * (len(tree) + 1)
        seen = [0] * (len(tree) + 1)
        position = []
        for p in tree.parent:
            position.append(seen[p])
            seen[p] += 1
        for i in reversed(range(len(tree))):
            m, p = tree.module[i], tree.parent[i]
            spectrum = (self.d1[m] * rows[i, ..., :-1]) @ self.hadamard
            parts = self.d2[m] * np.tile(spectrum, self.d // self.a) + rows[i, ..., -1:] * self.counter[m]
            t = self.attr(parts)
            if inputs[i] is not None:
                t = t + self.inp(inputs[i])
                inputs[i] = None
            o = self.position[position[i]](self.module[m](t))
            inputs[p] = o if inputs[p] is None else inputs[p] + o
        return inputs[-1]


def sylvester(n: int) -> Any:
    """The Hadamard matrix of order n."""
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h


def torchhd_tree(d: int, tree: Tree, runs: int = 1, seed: int = 0, *, modules: int = 4) -> Callable[[], object] | None:
    """The same tree in torchhd's MAP model, float32, one thread; None where torchhd is not installed.

    Per object: bundle(attribute, inputs), bind with the hypervector of its module, permute by its position, bundle into its
    parent's inputs. It does less than a sketch: attributes are given as hypervectors, no weights, no counters, and one
    bind and one permutation an object where a sketch applies four operators. `runs` > 1 does that many at once as rows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
            import torchhd
    except ImportError:
        return None
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    module = list(torchhd.MAPTensor.random(modules, d))
    attribute = [
        torchhd.MAPTensor.random(runs, d) if runs > 1 else torchhd.MAPTensor.random(1, d)[0] for _ in range(len(tree))
    ]
    children = tree.children

    def run() -> Any:
        with torch.inference_mode():
            done: list[Any] = [None] * len(tree)
            inputs: Any = None
            for i in [*reversed(range(len(tree))), -1]:
                inputs = None
                for position, j in enumerate(children[i]):
                    moved = torchhd.permute(done[j], shifts=position)
                    inputs = moved if inputs is None else torchhd.bundle(inputs, moved)
                    done[j] = None
                if i >= 0:
                    own = attribute[i] if inputs is None else torchhd.bundle(attribute[i], inputs)
                    done[i] = torchhd.bind(module[tree.module[i]], own)
            return inputs

    return run


def numpy_fwht(x: Any) -> Any:
    """The orthonormal Walsh-Hadamard transform of the last axis by log2(n) passes of NumPy additions, in place."""
    n, h = x.shape[-1], 1
    while h < n:
        y = x.reshape(-1, n // (2 * h), 2, h)
        upper = y[:, :, 0] - y[:, :, 1]
        y[:, :, 0] += y[:, :, 1]
        y[:, :, 1] = upper
        h *= 2
    x *= x.dtype.type(n**-0.5)
    return x
