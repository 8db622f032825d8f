"""Blind unrolling in NumPy and SciPy, as the prototype of the design did it; the C search is measured against it."""

from __future__ import annotations

from typing import Any

import numpy as np
from peers import COS, NumpyRecursion
from runs import Tree

THRESHOLD, LEAD, ROUNDS = 4.0, 0.5, 25


class NumpyUnroll(NumpyRecursion):
    """Scores the counters of all candidates below every object found, takes the strongest, refits all, and prunes.

    It ends when the residual is rounding. Paths are (position, module, position, module, ...).
    """

    def uneven_rows(self, tree: Tree, seed: int = 0) -> Any:
        """As `rows`, with weights from Dirichlet(4)."""
        rng = np.random.default_rng([seed, 1])
        loud, rows = np.zeros(len(tree) + 1), self.rows(tree, seed=seed)
        loud[-1] = 1.0  # of the outputs
        for owner in [len(tree), *range(len(tree))]:
            inputs = tree.children[owner]
            if inputs:
                loud[inputs] = loud[owner] * np.sqrt(rng.dirichlet(np.full(len(inputs), 4.0)) * len(inputs))
        return rows * loud[:-1, None]

    def _back(self, i: int, m: int, y: Any) -> Any:
        return self._transposed(self.module[m], self._transposed(self.position[i], y))

    @staticmethod
    def _transposed(turn: Any, y: Any) -> Any:  # of a skew operator: the same with minus its rotation
        return 2.0 * COS * y - turn(y)

    def adjoint(self, paths: dict[tuple[int, ...], int], s: Any) -> tuple[Any, dict[tuple[int, ...], Any]]:
        rows, below = np.zeros((len(paths), self.a + 1)), {(): s}
        for p in sorted(paths, key=len):
            i, m = paths[p], p[-1]
            u = self._back(p[-2], m, below[p[:-2]])
            v = self._transposed(self.attr, u)
            rows[i, :-1] = self.d1[m] * (self.hadamard @ (self.d2[m] * v).reshape(-1, self.a).sum(0))
            rows[i, -1] = self.counter[m] @ v
            below[p] = self._transposed(self.inp, u)
        return rows, below

    def image(self, paths: dict[tuple[int, ...], int], rows: Any) -> Any:
        """`forward`, for paths."""
        inputs: dict[tuple[int, ...], Any] = {}
        for p in sorted(paths, key=len, reverse=True):
            i, m = paths[p], p[-1]
            spectrum = self.hadamard @ (self.d1[m] * rows[i, :-1])
            t = self.attr(self.d2[m] * np.tile(spectrum, self.d // self.a) + rows[i, -1] * self.counter[m])
            if p in inputs:
                t = t + self.inp(inputs.pop(p))
            o = self.position[p[-2]](self.module[m](t))
            inputs[p[:-2]] = inputs[p[:-2]] + o if p[:-2] in inputs else o
        return inputs.get((), np.zeros(self.d))

    def lstsq(self, paths: dict[tuple[int, ...], int], s: Any) -> tuple[Any, Any]:
        from scipy.sparse.linalg import LinearOperator, lsqr

        n = len(paths)
        a = LinearOperator(
            (self.d, n * (self.a + 1)),
            dtype=float,
            matvec=lambda v: self.image(paths, v.reshape(n, -1)),
            rmatvec=lambda y: self.adjoint(paths, y)[0].ravel(),
        )
        rows = lsqr(a, s, atol=1e-6, btol=1e-6, iter_lim=150)[0].reshape(n, -1)
        return rows, s - self.image(paths, rows)

    def unroll(self, s: Any, depth: int) -> dict[tuple[int, ...], int]:
        paths: list[tuple[int, ...]] = []
        left = s
        for _ in range(ROUNDS):
            found = self._candidates(paths, left, depth)
            if not found:
                break
            paths += [p for c, p in found if c >= LEAD * found[0][0]]
            paths, left = self._refit(paths, s)
            if np.linalg.norm(left) < 1e-4 * np.linalg.norm(s):
                break
        return {p: i for i, p in enumerate(paths)}

    def _candidates(self, paths: list[tuple[int, ...]], left: Any, depth: int) -> list[tuple[float, tuple[int, ...]]]:
        sigma, fan, g = np.linalg.norm(left) / np.sqrt(self.d), len(self.position), COS**2
        below = self.adjoint({p: i for i, p in enumerate(paths)}, left)[1]
        found = []
        for q in [(), *paths]:
            if len(q) // 2 >= depth:
                continue
            z = np.array(
                [
                    [
                        self.counter[m] @ self._transposed(self.attr, self._back(i, m, below[q]))
                        for m in range(len(self.module))
                    ]
                    for i in range(fan)
                ]
            )
            z = (z - g * z.sum(0) / (1 - g + fan * g)) / (1 - g)  # objects of one module share the identity branch
            for i in range(fan):
                m = int(np.argmax(z[i]))
                if (*q, i, m) not in paths and z[i, m] > THRESHOLD * sigma / np.sqrt(1 - g):
                    found.append((float(z[i, m]), (*q, i, m)))
        return sorted(found, reverse=True)

    def _refit(self, paths: list[tuple[int, ...]], s: Any) -> tuple[list[tuple[int, ...]], Any]:
        while True:
            paths = paths[: int(0.98 * self.d) // (self.a + 1)]
            rows, left = self.lstsq({p: i for i, p in enumerate(paths)}, s)
            sigma = np.linalg.norm(left) / np.sqrt(self.d)
            slots: dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]] = {}
            for i, p in enumerate(paths):
                slots.setdefault(p[:-1], []).append((float(rows[i, -1]), p))
            drop = [p for v in slots.values() for c, p in sorted(v, reverse=True)[1:]]
            drop += [max(v)[1] for v in slots.values() if max(v)[0] < 2.5 * sigma]
            if not drop:
                return paths, left
            paths = [p for p in paths if not any(p[: len(q)] == q for q in drop)]


def paths_in_order(tree: Tree) -> dict[tuple[int, ...], int]:
    """Every object of a tree as a path, with its number."""
    found: list[tuple[int, ...]] = []
    seen = [0] * (len(tree) + 1)
    for p, m in zip(tree.parent, tree.module, strict=True):
        found.append((*(found[p] if p >= 0 else ()), seen[p], m))
        seen[p] += 1
    return {path: i for i, path in enumerate(found)}


def paths_of(tree: Tree) -> set[tuple[int, ...]]:
    return set(paths_in_order(tree))
