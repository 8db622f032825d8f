"""What a path of modules puts into a sum of sketches, as columns of float64.

Without order an object at the path M_1 ... M_h, from the outputs down, adds

    T_M1 b' T_in T_M2 b' T_in ... T_Mh b T_attr g [E_Mh  c_Mh] [y; 1]

to its run's sketch: for all objects at one path the same matrix, times the sum of their unknowns and their number. The
sweeps of the C core round to float32, 5e-8 of a sketch; a sum of thousands of sketches holds two digits more than that,
because their rounding errors are independent. So the operators are taken apart here, and applied in doubles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.sketching.matrices import Matrices, factors, ins

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.spec import SketchSpec

    Doubles = npt.NDArray[np.float64]

Path: TypeAlias = "tuple[str, ...]"

MODULE, BRANCH = 1, 2  # kinds of operators, as `_core.Spec.operator` numbers them
ATTR, IN = 0, 2  # T_attr, and the first of the operators whose product is T_in
LOW = 1 << 12  # float32 holds numbers of places below it exactly, even after an operator


class Operator:
    """T = c I + s R in doubles; of a rotation that pairs coordinates R is taken apart, of another T is as in C."""

    def __init__(self, matrices: Matrices, kind: int, index: int) -> None:
        self._core, self._which = matrices.core, (kind, index)
        spec = matrices.spec
        f = factors(spec)
        self.c, self.s = f.norm * f.cosine, f.norm * f.sine
        self.partner: npt.NDArray[np.intp] | None = None
        if spec.rotation != "hadamard":
            k = np.arange(spec.dim, dtype=np.float64)
            signed = [self._floats(x, False) - self.c * x for x in (np.ones(spec.dim), k % LOW, k // LOW)]
            self.sign = np.sign(signed[0])
            low, high = (np.rint(x / (self.s * self.sign)).astype(np.intp) for x in signed[1:])
            self.partner = high * LOW + low

    def _floats(self, x: Doubles, transpose: bool) -> Doubles:
        return self._core.operator(*self._which, transpose, x.astype(np.float32)).astype(np.float64)

    def __call__(self, x: Doubles, transpose: bool = False) -> Doubles:
        """T x, or its transpose, of the columns of x (d, n)."""
        if self.partner is None:
            return np.stack([self._floats(column, transpose) for column in x.T], axis=1)
        turned = (self.s * self.sign)[:, None] * x[self.partner]
        return np.asarray(self.c * x - turned if transpose else self.c * x + turned)


def _exact(x: Doubles) -> Doubles:
    """Columns of norm one whose numbers have one magnitude, but for rounding, as exact ones; others as they are. What
    is drawn are signs: of embeddings, or of what direct modules look like behind operators (docs/format.md)."""
    size, there = np.abs(x), x != 0
    alike = (np.where(there, np.abs(size - size.max(axis=0)), 0.0) <= 1e-5 * size.max(axis=0)).all(axis=0)
    return np.where(alike, np.sign(x) / np.sqrt(there.sum(axis=0)), x)


class Columns:
    """The columns of paths under one specification, each path's made when first asked for and kept.

    Cost: d (unknowns + 1) doubles a path, and as much for each module.
    """

    def __init__(self, spec: SketchSpec) -> None:
        self.spec, self._matrices = spec, Matrices(spec.inner)
        self._factors = factors(self._matrices.spec)
        self._numbers = {name: i for i, name in enumerate(spec.modules)}
        self._own: dict[str, Doubles] = {}
        self._norms: dict[str, Doubles] = {}
        self._steps: dict[str, list[Operator]] = {}
        self._in = [Operator(self._matrices, BRANCH, IN + i) for i in reversed(range(ins(self._matrices.spec)))]
        self._attr = Operator(self._matrices, BRANCH, ATTR)
        self._made: dict[Path, Doubles] = {}

    def _module(self, name: str) -> tuple[Doubles, Operator]:
        """(d, u + 1) b g T_M T_attr [E_M c_M], and T_M."""
        if name not in self._own:
            number, f = self._numbers[name], self._factors
            core, unknowns = self._matrices.core, self._matrices.spec.modules[name]
            turn = Operator(self._matrices, MODULE, number)
            e = np.empty((self.spec.dim, unknowns + 1))
            for j in range(unknowns):
                e[:, j] = core.embed(number, (np.arange(unknowns) == j).astype(np.float32))
            e[:, -1] = core.counter(number)
            seen = _exact(turn(self._attr(_exact(e))) / f.norm**2)
            self._own[name] = f.branch * f.gain * f.norm**2 * seen
            self._steps[name] = [*self._in, turn]
        return self._own[name], self._steps[name][-1]

    def inputs(self, path: Path) -> tuple[str, ...]:
        """The modules that the wiring allows below a path."""
        spec = self.spec
        above, names = path[-1] if path else None, tuple(spec.modules)
        return names if spec.wiring is None else tuple(spec.wiring.get(above, () if path else names))

    def width(self, path: Path) -> int:
        return self._matrices.spec.modules[path[-1]] + 1

    def of(self, path: Path) -> Doubles:
        """(d, u + 1) the columns of a path: of the sums of its objects' unknowns, and of their number."""
        if path not in self._made:
            x = self._module(path[-1])[0]
            for name in reversed(path[:-1]):
                self._module(name)
                for operator in self._steps[name]:
                    x = operator(x)
                x = self._factors.branch * x
            self._made[path] = x
        return self._made[path]

    def seen(self, module: str, x: Doubles) -> Doubles:
        """The products of x (d, 1), a sum as the tuple sees it, with a module's columns of norm one: (u + 1,)."""
        own = self._module(module)[0]
        if module not in self._norms:
            self._norms[module] = np.linalg.norm(own, axis=0)
        return np.asarray((own.T @ x)[:, 0] / self._norms[module])

    def below(self, module: str, x: Doubles) -> Doubles:
        """x as the inputs of the module's objects see it: the transpose of what they add, but for a factor."""
        self._module(module)
        for operator in reversed(self._steps[module]):
            x = operator(x, transpose=True)
        return x / self._factors.norm ** (2 * len(self._steps[module]))
