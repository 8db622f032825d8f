"""What recsketch is measured against: its recursion in NumPy, trees of hypervectors in torchhd, transforms in NumPy."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from runs import Tree

import recsketch as rs

COS, SIN = np.cos(np.pi / 3), np.sin(np.pi / 3)
PACKAGES = {  # as they are installed, and what they are imported as
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-learn": "sklearn",
    "fht-cpu": "fht_cpu",
    "faiss-cpu": "faiss",
    "spams-bin": "spams",
    "torch-hd": "torchhd",
    "torchlens": "torchlens",
}


def optional(module: str) -> Any:
    """A package, or None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(module)
        except ImportError:
            return None


def versions() -> dict[str, str | None]:
    """Of each package that recsketch is measured against; None if it is missing."""
    return {name: importlib.metadata.version(name) if optional(module) else None for name, module in PACKAGES.items()}


def faiss_search(x: Any, q: Any, k: int) -> Callable[[], object] | None:
    """The k best rows by an exact index of x's type, one thread; faiss brings a BLAS of its own, which is told which
    kernels suit the machine. None where it is not installed."""
    suits = {"OPENBLAS_CORETYPE": "SkylakeX"} if rs.isa() == "avx512" else {}
    os.environ.update(suits)
    faiss = optional("faiss")
    for name in suits:
        os.environ.pop(name)
    if faiss is None:
        return None
    faiss.omp_set_num_threads(1)
    faiss.cvar.distance_compute_blas_threshold = 20
    kinds = {"float16": faiss.ScalarQuantizer.QT_fp16, "int8": faiss.ScalarQuantizer.QT_8bit_direct_signed}
    if x.dtype == np.float32:
        index = faiss.IndexFlatIP(x.shape[1])
    else:
        index = faiss.IndexScalarQuantizer(x.shape[1], kinds[x.dtype.name], faiss.METRIC_INNER_PRODUCT)
    index.add(x.astype(np.float32))
    return partial(index.search, np.atleast_2d(q), k)


class Rotated:
    """T = cos I + sin R with R x[k] = sign[k] x[k ^ mask]; `fused` multiplies sin into the signs beforehand."""

    def __init__(self, d: int, rng: np.random.Generator, dtype: Any, fused: bool) -> None:
        mask = int(rng.integers(1, d))
        k = np.arange(d)
        upper = (k & (1 << (mask.bit_length() - 1))) != 0
        sign = rng.choice([-1.0, 1.0], d)
        sign[upper] = -sign[k[upper] ^ mask]
        self.index, self.sign = k ^ mask, (SIN * sign if fused else sign).astype(dtype)
        self.cos, self.sin = dtype(COS), None if fused else dtype(SIN)

    def __call__(self, x: Any) -> Any:
        turned = self.sign * x[..., self.index]
        return self.cos * x + (turned if self.sin is None else self.sin * turned)


class NumpyRecursion:
    """The recursion (docs/format.md, "The recursion") in plain NumPy: vectors of length d, one object after another.

    As the prototype of the design was written, in float64; with `tuned` in float32 and with sin multiplied into the
    signs. Attribute lengths are powers of two, so that the Walsh-Hadamard transform of an attribute is one small matrix
    product, which at these sizes is faster than butterflies in NumPy.
    """

    def __init__(self, d: int, a: int, *, modules: int = 4, fan: int = 4, seed: int = 0, tuned: bool = False) -> None:
        rng = np.random.default_rng(seed)
        dtype: Any = np.float32 if tuned else np.float64
        self.d, self.a, self.dtype = d, a, dtype
        self.position = [Rotated(d, rng, dtype, tuned) for _ in range(fan)]
        self.module = [Rotated(d, rng, dtype, tuned) for _ in range(modules)]
        self.attr, self.inp = Rotated(d, rng, dtype, tuned), Rotated(d, rng, dtype, tuned)
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


class HyperTree:
    """The same tree in torchhd's MAP model, float32, one thread. Raises ImportError where torchhd is not installed.

    The attributes of a run are projected together by one `torchhd.embeddings.Projection`; then, per object: bundle the
    attribute with the inputs, bind with the hypervector of the module, permute by the position, bundle into the
    parent's inputs. It does less than a sketch: one projection for all modules, no weights, no counters, and one bind
    and one permutation an object where a sketch applies four operators. The functions are MAPTensor's own, but called
    with plain tensors, which spares them PyTorch's dispatch on subclasses: three times faster at d = 1024.
    """

    def __init__(self, d: int, tree: Tree, a: int, *, modules: int = 4, seed: int = 0) -> None:
        torch, torchhd = optional("torch"), optional("torchhd")
        if torchhd is None:
            raise ImportError("torchhd")
        self.torch, self.tree, self.a, self.children = torch, tree, a, tree.children
        torch.manual_seed(seed)
        self.map, self.plain = torchhd.MAPTensor, torch.Tensor
        self.module = self._rows(torchhd.MAPTensor.random(modules, d))
        self.projection = torchhd.embeddings.Projection(a, d)

    def work(self, runs: int = 1, projected: bool = False) -> Callable[[], object]:
        """Folds `runs` trees, as rows of one tensor if several; `projected`: attributes are hypervectors already."""
        x = self.torch.randn(len(self.tree), runs, self.a).squeeze(1)
        with self.torch.inference_mode():
            ready = self._rows(self.projection(x)) if projected else None

        def run() -> object:
            threads = self.torch.get_num_threads()
            self.torch.set_num_threads(1)  # it shares libgomp with others, who would have one thread too
            try:
                return self._fold(x, ready)
            finally:
                self.torch.set_num_threads(threads)

        return run

    def _rows(self, x: Any) -> list[Any]:
        return list(x.as_subclass(self.plain).unbind(0))

    def _fold(self, x: Any, ready: list[Any] | None) -> Any:
        bind, bundle, permute = self.map.bind, self.map.bundle, self.map.permute
        done: list[Any] = [None] * len(self.tree)
        with self.torch.inference_mode():
            attribute = self._rows(self.projection(x)) if ready is None else ready
            for i in [*reversed(range(len(self.tree))), -1]:
                own = attribute[i] if i >= 0 else None
                for position, j in enumerate(self.children[i]):
                    moved = permute(done[j], position)
                    own = moved if own is None else bundle(own, moved)
                    done[j] = None
                if i >= 0:
                    done[i] = bind(self.module[self.tree.module[i]], own)
        return own


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
