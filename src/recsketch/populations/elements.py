"""Statistics of groups of runs, one a column: what comparisons and monitors look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import recsketch.sketching.moments as moments
from recsketch._values import Record
from recsketch.populations.columns import Columns, Path
from recsketch.populations.fitting import ROUNDING, fit

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.sketching.spec import SketchSpec

    Doubles = npt.NDArray[np.float64]

COARSE = 16.0  # times what the rounding of a sum makes of an unknown
LEAST = 0.5  # objects of a group below which it has no mean
UNKNOWN = "unknown paths"


@dataclass(frozen=True, eq=False)
class GroupStatistics(Record):
    """Statistics of groups, or blocks, of runs. Two are equal if all fields are.

    Attributes
    ----------
    values : (n, E) float64
        A row a group, a column an element; NaN where a group has no object at a path.
    runs : (n,) int64
        How many each group has.
    elements : tuple of str
        Names of the elements, each once: a path and what of it.
    paths : tuple of str
        Modules joined by " > ".
    path : (E,) int64
        Which of `paths` an element belongs to.
    """

    values: Doubles
    runs: npt.NDArray[np.int64]
    elements: tuple[str, ...]
    paths: tuple[str, ...]
    path: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<GroupStatistics of {len(self.runs)} groups, {len(self.elements)} elements of {len(self.paths)} paths>"


def of_sums(
    columns: Columns, sums: Doubles, runs: npt.NDArray[np.int64], paths: Sequence[Path]
) -> tuple[GroupStatistics, Doubles]:
    """Of the sums (d, n) of the sketches of groups with so many runs, of these paths: counts a run, means, and where
    modules have second moments variances. And (n,) what share of each sum, as a norm, other paths have; 0 where it is
    no more than rounding."""
    spec = columns.spec
    found = fit(columns, np.concatenate([sums.sum(axis=1, keepdims=True), sums], axis=1), list(paths), 0.0, 0)
    names: list[str] = []
    of: list[int] = []
    parts: list[Doubles] = []
    size = float(np.linalg.norm(sums, axis=0).max(initial=0.0))
    for k, path in enumerate(paths):
        at, module = found.paths.index(path), path[-1]
        x = _settled(found.x[at][:, 1:], found.spread[at] * size / np.sqrt(len(sums)))
        for name, values in _of_path(spec, module, x, runs).items():
            names.append(f"{' > '.join(path)}: {name}")
            of.append(k)
            parts.append(values)
    texts = tuple(" > ".join(path) for path in paths)
    other = found.left[1:] / np.maximum(np.linalg.norm(sums, axis=0), 1e-300)
    statistics = GroupStatistics(np.stack(parts, axis=1), runs, tuple(names), texts, np.array(of, np.int64))
    return statistics, np.where(other > ROUNDING, other, 0.0)


def _settled(x: Doubles, spread: Doubles) -> Doubles:
    """Sums (u + 1, n) without what may be rounding, if an error of the sums' size makes so much of them: counts are
    whole again. What differs by rounding alone would else seem to change with whatever else is in the sums."""
    step = np.exp2(np.ceil(np.log2(np.maximum(COARSE * ROUNDING * spread, 1e-300))))[:, None]
    return np.asarray(np.rint(x / step) * step)


def _of_path(spec: SketchSpec, module: str, x: Doubles, runs: npt.NDArray[np.int64]) -> dict[str, Doubles]:
    a, scale = spec.modules[module], spec.scale(module)
    centre = np.broadcast_to(np.asarray((spec.centres or {}).get(module, 0.0)), (a,))
    found = {"count a run": x[-1] / runs}
    there = x[-1] > LEAST
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(there, x[:a] / x[-1], np.nan)
    found |= {f"mean {i}": mean[i] / scale + centre[i] for i in range(a)}
    if module in (spec.second_moment or ()):
        i, j, _ = moments.pairs(a)
        with np.errstate(divide="ignore", invalid="ignore"):
            square = x[a:-1][i == j] / x[-1]
        found |= {f"variance {k}": (square[k] - mean[k] ** 2) / scale**2 for k in range(a)}
    return found
