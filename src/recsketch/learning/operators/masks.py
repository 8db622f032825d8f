"""Which blocks operators swap, and which module feeds which: from how far strings have moved.

An operator T = c I + s R leaves c² of a block's energy where it is and moves s² of it by its mask. The energies of a
module's strings over the displacement, row XOR place, are therefore an XOR-convolution of as many pairs as there are
operators on its paths, and their Walsh-Hadamard transform is a product of c² + s² χ_m.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from recsketch.transforms._fwht import fwht

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]

Operator: TypeAlias = tuple[str, int]  # ("branch", 0): T_attr, 1: T_in; ("position", i); ("module", number)
Path: TypeAlias = tuple[Operator, ...]  # from the sketch down to an object, its own T_M and T_attr left out

# Primitive polynomials over GF(2), by degree: masks of positions and branches are powers of x times one draw.
PRIMITIVE = (0, 0, 7, 11, 19, 37, 67, 131, 285, 529, 1033, 2053, 4179, 8219, 17475, 32771, 69643, 131081)
LARGEST = 1024  # blocks of half a sketch up to which masks are looked for: every mask is tried
FIRST = 6  # draws of branches and positions that are looked at closely
POSITIONS = (2, 4, 8, 16)  # that are tried, few first
LIBRARY = 400  # paths, at most
PLACED = 0.9  # cosine between what a module's displacements should be and are, below which it is not placed
SURE = 0.985
ALIKE = 0.01  # of cosines: modules so close to the best are placed together
USED = 0.03  # share of a module's energy that a path has to have
STEPS = 150


@dataclass
class Placed:
    """Masks, and the paths on which modules were seen."""

    angle: float
    branches: list[int]  # of T_attr, T_in, T_0, T_1, ...
    modules: dict[int, int] = field(default_factory=dict)
    fits: dict[int, float] = field(default_factory=dict)  # cosines
    margins: dict[int, float] = field(default_factory=dict)  # how much larger than with another mask of T_M
    paths: dict[int, list[tuple[Path, float]]] = field(default_factory=dict)  # and their shares of the energy
    rivals: dict[int, tuple[int, list[tuple[Path, float]]]] = field(
        default_factory=dict
    )  # the next best mask and paths

    @property
    def score(self) -> float:
        """The larger, the better; modules that are not placed take part with nothing."""
        return -sum(math.log(1.001 - x) for x in self.fits.values())

    def others(self, close: float, most: int) -> list[Placed]:
        """This, and what it could be as well: modules that no other is below, whose margin is small, with the next best
        mask, alone and together."""
        users = {q[1] for paths in self.paths.values() for path, _ in paths for q in path if q[0] == "module"}
        open_ = [k for k, x in sorted(self.margins.items(), key=lambda x: x[1]) if x < close and k not in users]
        out = [self]
        for k in open_:
            mask, paths = self.rivals[k]
            out += [replace(p, modules={**p.modules, k: mask}, paths={**p.paths, k: paths}) for p in out]
        return out[:most]

    def mask(self, operator: Operator) -> int:
        kind, number = operator
        return self.modules[number] if kind == "module" else self.branches[number + 2 * (kind == "position")]


def transform(x: Doubles) -> Doubles:
    """The Walsh-Hadamard transform of the last axis, unnormalised."""
    return fwht(x, norm="backward", threads=1)


def branch_masks(first: int, order: int, count: int) -> list[int]:
    """Those of T_attr, T_in, T_0, ...: first, x first, x² first, ... in GF(order)."""
    out = [first]
    while len(out) < count:
        m = out[-1] << 1
        out.append(m ^ PRIMITIVE[order.bit_length() - 1] if m >= order else m)
    return out


class Fit(NamedTuple):
    """How well a mask of T_M fits, how much better than the next best, and of both the mask and the weights >= 0 of
    paths, which sum to one."""

    cosine: float
    margin: float
    mask: int
    weights: Doubles
    next_mask: int
    next_weights: Doubles


class MaskSearch:
    """energies[k] (order,) of module k over displacements; order is half of a sketch's blocks."""

    def __init__(self, energies: Sequence[Doubles], angle: float) -> None:
        self.order = energies[0].size
        self.angle = angle
        self.stay = math.cos(math.radians(angle)) ** 2
        self.move = 1.0 - self.stay
        self.seen = [transform(e) for e in energies]
        self._characters = transform(np.eye(self.order))

    def factor(self, mask: int) -> Doubles:
        """What an operator multiplies the transform by."""
        return np.asarray(self.stay + self.move * self._characters[mask])

    def best(self) -> Placed | None:
        """The draw of masks that explains all modules best, level by level; None if there is none."""
        scores = np.array([0.0, *(self._outputs(m) for m in range(1, self.order))])
        found: Placed | None = None
        for first in np.argsort(-scores[1:], kind="stable")[:FIRST] + 1:
            placed = self._place(int(first))
            if found is None or placed.score > found.score:
                found = placed
            if self.is_sure(placed):
                break
        return found if found and found.modules else None

    def is_sure(self, placed: Placed) -> bool:
        return len(placed.modules) == len(self.seen) and min(placed.fits.values()) > SURE

    def _outputs(self, first: int) -> float:
        """How well all modules could be outputs, at the first positions or some of these, whatever T_M is."""
        branches = branch_masks(first, self.order, 2 + max(POSITIONS))
        one = np.array([self.factor(m) for m in branches[2:]])
        means = np.cumsum(one, axis=0)[1:] / np.arange(2, len(one) + 1)[:, None]
        mixes = [w * one[i] + (1 - w) * one[j] for i in range(3) for j in range(i) for w in (0.25, 0.5, 0.75)]
        library = self.factor(branches[0]) * np.concatenate([one, means, mixes])
        norms = transform(library * library)
        both, twice = self.stay**2 + self.move**2, 2 * self.stay * self.move
        score = 0.0
        for h in self.seen:
            product = transform(h * library)
            cosines = self.stay * product[:, :1] + self.move * product
            cosines /= np.sqrt((both * norms[:, :1] + twice * norms) * (h**2).sum())
            score -= math.log(1.003 - float(cosines[:, 1:].max()))
        return score

    def _place(self, first: int) -> Placed:
        out = Placed(self.angle, branch_masks(first, self.order, 2 + max(POSITIONS)))
        while len(out.modules) < len(self.seen):
            best: dict[int, Fit] = {}
            paths: list[Path] = []
            for positions in POSITIONS:  # with more of them than are used, modules pass for inputs that they are not
                tried, library = self._library(out, positions)
                fits = {k: self._fit(h, library) for k, h in enumerate(self.seen) if k not in out.modules}
                if not best or _top(fits) > _top(best) + ALIKE:
                    best, paths = fits, tried
                if _top(best) > SURE or len(library) * positions > LIBRARY:
                    break
            if _top(best) < PLACED:
                break
            for k, fit in best.items():
                if fit.cosine >= _top(best) - ALIKE:
                    out.fits[k], out.margins[k], out.modules[k] = fit.cosine, fit.margin, fit.mask
                    out.paths[k] = [(p, float(w)) for p, w in zip(paths, fit.weights, strict=True) if w > USED]
                    rival = [(p, float(w)) for p, w in zip(paths, fit.next_weights, strict=True) if w > USED]
                    out.rivals[k] = fit.next_mask, rival
        return out

    def _library(self, placed: Placed, positions: int) -> tuple[list[Path], Doubles]:
        """Paths through modules that are placed, or none; and what they and an object's T_attr do to the transform."""
        paths: list[Path] = [(("position", j),) for j in range(positions)]
        for module in placed.modules:
            for path, _ in placed.paths[module]:
                paths += [(*path, ("module", module), ("branch", 1), ("position", j)) for j in range(positions)]
        attr = self.factor(placed.branches[0])
        return paths, np.array([attr * reduce(np.multiply, [self.factor(placed.mask(q)) for q in p]) for p in paths])

    def _fit(self, h: Doubles, library: Doubles) -> Fit:
        """The best mask of all.

        Multiplicative updates (Lee, Seung, 2001) for all masks at once.
        """
        cross = transform(library[:, None] * library[None]) / self.order
        both, twice = self.stay**2 + self.move**2, 2 * self.stay * self.move
        gram = np.ascontiguousarray(np.moveaxis(both * cross[:, :, :1] + twice * cross, 2, 0))
        right = transform(library * h) / self.order
        right = np.ascontiguousarray((self.stay * right[:, :1] + self.move * right).T)
        w = np.ones((self.order, len(library))) * right[:, :1].max()
        for _ in range(STEPS):
            w *= np.maximum(right, 1e-12) / np.maximum((gram @ w[:, :, None])[:, :, 0], 1e-12)
        image = (gram @ w[:, :, None])[:, :, 0]
        square = 2 * (w * right).sum(axis=1) - (w * image).sum(axis=1)
        cosine = np.sqrt(np.maximum(square, 0.0) / ((h**2).sum() / self.order))
        cosine[0] = 0.0
        m = int(cosine.argmax())
        best = float(cosine[m])
        cosine[m] = -1.0
        n = int(cosine.argmax())
        return Fit(best, best - float(cosine[n]), m, w[m] / w[m].sum(), n, w[n] / w[n].sum())


def _top(fits: dict[int, Fit]) -> float:
    return max(fit.cosine for fit in fits.values())


def place(energies: Sequence[Doubles], angles: Sequence[float]) -> Placed | None:
    """The best of what any of these angles explains; None if none explains anything."""
    found: Placed | None = None
    for angle in angles:
        search = MaskSearch(energies, angle)
        placed = search.best()
        if placed and (found is None or placed.score > found.score):
            found = placed
        if placed and search.is_sure(placed):
            break
    return found
