"""What changed between two populations of runs: values that are compared by what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch.populations.plotting as plotting
from recsketch._values import Record
from recsketch.runs import drawing

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

RESOLUTION = 20  # relabellings an element, below which no p-value is small enough for Benjamini and Hochberg's rule
SHOWN = 3  # elements of a path, in a text


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Record):
    """What changed from one population of runs to another. Two are equal if all fields are, NaN equal to NaN.

    E elements, such as counts a run and means of attributes, belong to P paths. An adjusted p-value holds for all
    elements, or all paths, at once: calling changed what has one of at most 5% calls anything wrongly changed in at
    most 5% of comparisons, whatever else did change.

    Attributes
    ----------
    paths : tuple of str
    path_p, path_adjusted : (P,) float64
        p-values of the paths, each alone and adjusted, by the mean square of Welch's t over a path's elements: they see
        many small changes.
    path : (E,) intp
        Which path an element belongs to.
    elements : tuple of str
        What an element is, within its path.
    before, after : (E,) float64
        Means over the groups of the first and of the second population; NaN where no group has such an element.
    effect, low, high : (E,) float64
        after - before, and its interval at `level` by Welch's approximation, each alone. NaN where either population
        has fewer than two groups with it.
    t : (E,) float64
        Welch's t of after - before, 0 where it is not known or nothing varies. Variances within populations are taken
        to be at least 1e-8 of that of all groups, so that t is finite.
    p, adjusted : (E,) float64
        p-values of the elements, each alone and adjusted, by |t|: they see one large change.
    level : float
    groups : tuple of int
        Groups of the first and of the second population.
    relabellings : int
        How many were drawn. No p-value is less than 1 / (relabellings + 1).
    warnings : tuple of str
        Why p-values may be wrong, if there is a reason.
    """

    paths: tuple[str, ...]
    path_p: Doubles
    path_adjusted: Doubles
    path: npt.NDArray[np.intp]
    elements: tuple[str, ...]
    before: Doubles
    after: Doubles
    effect: Doubles
    low: Doubles
    high: Doubles
    t: Doubles
    p: Doubles
    adjusted: Doubles
    level: float
    groups: tuple[int, int]
    relabellings: int
    warnings: tuple[str, ...] = ()

    def changed(self, alpha: float | None = None) -> tuple[str, ...]:
        """The paths that changed, the surest first: any is wrong in at most a share `alpha` of comparisons.

        Parameters
        ----------
        alpha : float or None
            Above 0, at most 1. None is 1 - `level`.

        Notes
        -----
        A path changed if its adjusted p-value, or that of one of its elements, is at most alpha / 2: either family of
        tests may take half of what may go wrong.
        """
        return tuple(self.paths[k] for k in self._order(self._alpha(alpha)))

    def q_values(self) -> Doubles:
        """(E,) p-values of elements by Benjamini and Hochberg's rule.

        Of the elements with a q-value of at most 5% at most 5% are expected to be wrong, if the elements' tests depend
        on each other positively.

        Raises
        ------
        ValueError
            Fewer than 20 relabellings an element: the least p-value, times E, would be above 5%.

        Notes
        -----
        Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate: a practical and powerful approach to multiple
        testing", Journal of the Royal Statistical Society B 57, 1995.
        """
        size = len(self.p)
        if self.relabellings < RESOLUTION * size:
            wanted = f"at least {RESOLUTION} relabellings an element, {RESOLUTION * size}"
            raise ValueError(f"q_values: wanted {wanted}; got {self.relabellings}: compare with more of them")
        order = np.argsort(self.p, kind="stable")
        ordered = self.p[order] * size / np.arange(1, size + 1)
        out = np.empty(size)
        out[order] = np.minimum(np.minimum.accumulate(ordered[::-1])[::-1], 1)
        return out

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """A row an element, as columns of length E, such as ``pandas.DataFrame`` takes."""
        names = np.array(self.paths, dtype=np.str_)[self.path]
        found: dict[str, npt.NDArray[Any]] = {"path": names, "element": np.array(self.elements, dtype=np.str_)}
        found |= {k: getattr(self, k) for k in ("before", "after", "effect", "low", "high", "t", "p", "adjusted")}
        return found | {"path_p": self.path_p[self.path], "path_adjusted": self.path_adjusted[self.path]}

    def table(self, most: int = 20) -> str:
        """The paths that changed, the surest first, and of each the elements that changed most surely.

        Parameters
        ----------
        most : int
            Paths, at least 1. What is left out is told of in one line more.

        Raises
        ------
        ValueError, TypeError
            `most` is no integer from 1 to 10**9.
        """
        _check.integer("most", most, 1, 10**9)
        alpha = self._alpha(None)
        order = self._order(alpha)
        lines = [line for k in order[:most] for line in self._lines(k, alpha)]
        left = len(order) - most
        return "\n".join([*lines, f"... ({_check.count(left, 'more path')})"] if left > 0 else lines)

    def plot(self, ax: Any = None, most: int = 20) -> Any:
        """Draw the elements that changed most surely: after - before in units of its standard error, with the interval
        at `level`. Red are those that `changed` takes for changes on their own.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            If not given, that of a new figure.
        most : int
            Elements, at least 1.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Without matplotlib, of ``pip install 'recsketch[plot]'``.
        ValueError, TypeError
            `most` is no integer from 1 to 10**9.
        """
        _check.integer("most", most, 1, 10**9)
        shown = np.lexsort((-np.abs(self.t), self.adjusted))[:most]
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = np.where(self.effect == 0, np.nan, self.effect / self.t)[shown]
            x, low, high = self.t[shown], self.low[shown] / unit, self.high[shown] / unit
        sure = self.adjusted[shown] <= self._alpha(None) / 2
        names = [f"{self.paths[self.path[e]]}: {self.elements[e]}" for e in shown.tolist()]
        ax = plotting.rows(ax, names, x, low, high, sure)
        ax.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xlabel("after less before, in standard errors (Welch's t)")
        n, m = self.groups
        of = f", {len(shown)} of {len(self.elements)} elements" if len(shown) < len(self.elements) else ""
        changed = f"{len(self.changed())} of {_check.count(len(self.paths), 'path')} changed"
        ax.set_title(f"{n} groups and {m}: {changed}{of}", fontsize="medium")
        return ax

    def _alpha(self, alpha: float | None) -> float:
        if alpha is None:
            return round(1 - self.level, 12)
        return _check.number("alpha", alpha, "a number above 0, at most 1", 0.0, 1.0)

    def _order(self, alpha: float) -> list[int]:
        """The paths that changed, by the smaller of a path's adjusted p-value and those of its elements."""
        surest = self.path_adjusted.copy()
        np.minimum.at(surest, self.path, self.adjusted)
        return [k for k in np.argsort(surest, kind="stable").tolist() if surest[k] <= alpha / 2]

    def _lines(self, k: int, alpha: float) -> Iterator[str]:
        mine = np.flatnonzero(self.path == k)
        mine = mine[np.lexsort((-np.abs(self.t[mine]), self.adjusted[mine]))]
        sure = int(np.count_nonzero(self.adjusted[mine] <= alpha / 2))
        name = drawing.printable(self.paths[k])
        elements = f"{sure} of {_check.count(len(mine), 'element')} on their own"
        yield f"~ {name}: p = {self.path_adjusted[k]:.2g} for the path, {elements}"
        for e in mine[: min(SHOWN, max(sure, 1))].tolist():
            means = f"{self.before[e]:.4g} -> {self.after[e]:.4g}"
            effect = f"{self.effect[e]:+.3g} ({self.low[e]:.3g} to {self.high[e]:.3g})"
            yield f"    {drawing.printable(self.elements[e])}: {means}, {effect}, p = {self.adjusted[e]:.2g}"

    def _head(self) -> str:
        n, m = self.groups
        alpha, changed = self._alpha(None), len(self.changed())
        paths = f"{changed or 'none'} of {_check.count(len(self.paths), 'path')} changed"
        return f"Comparison of {n} groups with {m}: {paths} (a false one in {100 * alpha:.3g}% of comparisons at most)"

    def __str__(self) -> str:
        return "\n".join(filter(None, [self._head(), *(f"! {text}" for text in self.warnings), self.table()]))

    def __repr__(self) -> str:
        return f"<{self._head()}>"
