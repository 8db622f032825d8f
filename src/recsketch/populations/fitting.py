"""Least squares of sums of sketches over the paths of modules that are in them, and which these are.

A path's block of columns holds, of a residual that it has nothing to do with, a share of the energy of about its width
over d, with a relative deviation of sqrt(2 / width). Paths that hold clearly more are taken in, the loudest first, with
all above them; after every fit, those that the residual does not need are given up again. Two paths that end in one
module have columns of a coherence of cos(angle)**2 or less, so that a loud path casts shadows where there is none,
which go with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsketch.populations.columns import Columns, Path

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

ROUNDING = 1.5e-7  # of a sum, as a norm: sketches round to 5e-8 of theirs, and the rounding of many averages out
CLEAR = 6.0  # deviations of a block's energy from which on it is taken in, and below which it is given up
ALIKE = 0.25  # share of the loudest block's energy below which a block waits: it may be another one's shadow
ROUNDS = 64  # of looking and fitting
FULL = 0.8  # share of d that unknowns may be
AHEAD = 3  # levels below known paths that are looked at: what stands above a loud path may not be seen before it
WIDE = 1024  # paths of a level, at most, that are looked at


@dataclass
class Fit:
    """What sums (d, n) hold of some paths.

    Attributes
    ----------
    paths : list of tuple of str
    x : list of (u + 1, n) arrays
        Of each path the sums of its unknowns, and how often it occurred.
    spread : list of (u + 1,) arrays
        The standard error of each, for an error of one in every coordinate of a sum.
    unexplained : float
        Norm of what the first sum has beside these, over its own.
    left : (n,) array
        Norms of what all sums have beside these.
    complete : bool
        That is rounding, or noise of the size that was told, and there are fewer unknowns than coordinates.
    """

    paths: list[Path]
    x: list[Doubles]
    spread: list[Doubles]
    unexplained: float
    left: Doubles
    complete: bool


def prefixes(path: Path) -> list[Path]:
    """The paths above a path, from the outputs down, and itself."""
    return [path[:k] for k in range(1, len(path) + 1)]


class _Normal:
    """Normal equations that grow and shrink by paths."""

    def __init__(self, columns: Columns, s: Doubles, paths: list[Path]) -> None:
        self.columns, self.s = columns, s
        self.set(paths)

    def set(self, paths: list[Path]) -> None:
        """Fit these paths: by the inverse of the normal matrix, and two steps of refinement, as its condition number is
        the square of the columns'."""
        self.paths = paths
        blocks = [self.columns.of(p) for p in paths]
        self.ends = np.append(0, np.cumsum([b.shape[1] for b in blocks], dtype=np.int64))
        a = np.concatenate(blocks, axis=1) if blocks else np.empty((len(self.s), 0))
        size = np.linalg.norm(a, axis=0)
        unit = a / size
        self.inverse = np.linalg.inv(unit.T @ unit) if blocks else np.empty((0, 0))
        x = np.zeros((a.shape[1], self.s.shape[1]))
        self.rest = self.s
        for _ in range(3):
            x += self.inverse @ (unit.T @ self.rest)
            self.rest = self.s - unit @ x
        self.scaled, self.size = x, size

    def needed(self, width: slice) -> float:
        """By what factor of chance the first sum's residual would grow without some columns."""
        x, d = self.scaled[width, 0], len(self.s)
        gain = float(x @ np.linalg.solve(self.inverse[width, width], x))
        left = max(d - len(self.inverse), 1)
        noise = float(self.rest[:, 0] @ self.rest[:, 0]) / left
        return gain / max(noise * len(x), 1e-300)


def fit(columns: Columns, s: Doubles, known: list[Path], noise: float, depth: int) -> Fit:
    """The paths of the first of the sums s (d, n), and what all sums hold of them.

    Parameters
    ----------
    columns : Columns
    s : (d, n) float64
    known : list of paths
        Fitted whatever they hold.
    noise : float
        Root mean square error of a coordinate of the first sum that was told of.
    depth : int
        Levels of paths that are looked for.
    """
    d = len(s)
    normal = _Normal(columns, s, list(known))
    total = float(np.linalg.norm(s[:, 0]))
    floor = max(ROUNDING * total, noise * np.sqrt(d) * (1.0 + 4.0 / np.sqrt(2.0 * d)))
    refused: set[Path] = set()
    for _ in range(ROUNDS):
        before, left = set(normal.paths), float(np.linalg.norm(normal.rest[:, 0]))
        found = _seen(columns, normal, refused, depth) if left > floor and depth else []
        if not found:
            break
        normal.set([*normal.paths, *found])
        kept = _kept(normal, known)
        given_up = set(normal.paths) - set(kept)
        if kept != normal.paths:
            normal.set(kept)
        further = set(kept) - before and float(np.linalg.norm(normal.rest[:, 0])) < left
        refused = given_up if further else refused | given_up | set(found)
    kept = _kept(normal, known)
    if kept != normal.paths:
        normal.set(kept)
    left = float(np.linalg.norm(normal.rest[:, 0]))
    pieces = [slice(i, j) for i, j in zip(normal.ends[:-1].tolist(), normal.ends[1:].tolist(), strict=True)]
    return Fit(
        paths=normal.paths,
        x=[normal.scaled[p] / normal.size[p, None] for p in pieces],
        spread=[np.sqrt(np.diag(normal.inverse)[p]) / normal.size[p] for p in pieces],
        unexplained=left / total if total else 0.0,
        left=np.linalg.norm(normal.rest, axis=0),
        complete=bool(left <= floor and len(normal.size) < d),
    )


def _seen(columns: Columns, normal: _Normal, refused: set[Path], depth: int) -> list[Path]:
    """Paths that stand out of the residual, and those above them; the loudest, while there is room.

    The residual is brought down the known paths, and some levels further.
    """
    r = normal.rest[:, :1]
    tried: list[tuple[float, Path]] = []
    level: dict[Path, Doubles] = {(): r}
    for path in sorted(normal.paths, key=len):
        level[path] = columns.below(path[-1], level[path[:-1]])
    for _ in range(AHEAD):
        under: dict[Path, Doubles] = {}
        for above, x in level.items():
            chance = float(x[:, 0] @ x[:, 0]) / len(x)
            for name in columns.inputs(above) if len(above) < depth else ():
                path = (*above, name)
                if path in level or path in normal.paths or len(under) >= WIDE:
                    continue
                score = columns.seen(name, x)
                gain = float(score @ score)
                if gain > chance * (len(score) + CLEAR * np.sqrt(2.0 * len(score))):
                    tried.append((gain, path))
                under[path] = columns.below(name, x)
        level = under
    tried = [t for t in tried if t[1] not in refused]
    tried.sort(key=lambda t: (-t[0], t[1]))
    room = FULL * len(r) - len(normal.size)
    found: list[Path] = []
    for gain, path in tried:
        more = [p for p in prefixes(path) if p not in normal.paths and p not in found]
        width = sum(columns.width(p) for p in more)
        if gain >= ALIKE * tried[0][0] and width <= room:
            found += more
            room -= width
    return found


def _kept(normal: _Normal, known: list[Path]) -> list[Path]:
    """The paths that the residual needs, and those above them."""
    kept: set[Path] = set()
    for path, i, j in zip(normal.paths, normal.ends[:-1].tolist(), normal.ends[1:].tolist(), strict=True):
        width = slice(i, j)
        if path in known or normal.needed(width) > 1.0 + CLEAR * np.sqrt(2.0 / (j - i)):
            kept.update(prefixes(path))
    return [p for p in normal.paths if p in kept]
