"""What a population holds, path by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

import recsketch._check as _check
import recsketch.populations.plotting as plotting
from recsketch._values import Record

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]


INTERVAL = 2.04  # standard errors to either side of a 95% interval: Student's t of 31 degrees of freedom


@dataclass(frozen=True, eq=False, repr=False)
class PathStatistics(Record):
    """All objects at one path of modules, or of one module. Two are equal if all fields are.

    Errors are standard errors of what other runs like these would give, by the jackknife over the population's groups;
    NaN where less than two groups have runs. A 95% interval is 2.04 of them to either side with 32 groups (Student's
    t).

    Attributes
    ----------
    path : tuple of str
        Names of modules, from the output down to the objects' own; by module, its name alone.
    count : float
        How many objects there are, uses of shared ones counted each; with weights, the sum of these.
    per_run, per_run_error : float
        The same for one run.
    mean, mean_error : (a,) float64
        Of attributes. NaN where there is no object.
    covariance, covariance_error : (a, a) float64, or None
        Of attributes, unbiased. None where the specification has no second moment of the module.
    """

    path: tuple[str, ...]
    count: float
    per_run: float
    per_run_error: float
    mean: Doubles
    mean_error: Doubles
    covariance: Doubles | None = None
    covariance_error: Doubles | None = None

    def correlation(self) -> Doubles:
        """(a, a) of the covariance.

        Raises
        ------
        ValueError
            There is no covariance.
        """
        size = np.sqrt(np.diag(self._known()))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self._known() / np.outer(size, size))

    def principal(self) -> tuple[Doubles, Doubles]:
        """Variances (a,) along the principal directions, the largest first, and these, the rows of (a, a).

        Raises
        ------
        ValueError
            There is no covariance.
        """
        values, vectors = np.linalg.eigh(self._known())
        return values[::-1], vectors.T[::-1]

    def _known(self) -> Doubles:
        if self.covariance is None:
            raise ValueError(f"covariance: wanted second_moment in the specification; got none of {self.path[-1]!r}")
        return self.covariance

    def __repr__(self) -> str:
        known = f" ± {self.per_run_error:.2g}" if self.per_run_error > 1e-6 * abs(self.per_run) else ""
        return f"{' > '.join(self.path)}: {self.count:.6g} objects, {self.per_run:.4g}{known} a run"


@dataclass(frozen=True, eq=False, repr=False)
class PopulationReading(Record, Sequence[PathStatistics]):
    """What `Population.read` found: a sequence of PathStatistics. Two are equal if all fields are.

    Attributes
    ----------
    paths : tuple of PathStatistics
        Those above come before those below.
    runs : int
        How many runs were added.
    complete : bool
        This is all that the population holds: what is left of the sum is rounding, or noise of the size that was told.
    unexplained : float
        The norm of what is left, over the sum's.
    """

    paths: tuple[PathStatistics, ...]
    runs: int
    complete: bool
    unexplained: float

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> PathStatistics: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PathStatistics]: ...
    def __getitem__(self, index: int | slice) -> PathStatistics | Sequence[PathStatistics]:
        return self.paths[index]

    def at(self, *path: str) -> PathStatistics:
        """The statistics of a path.

        Raises
        ------
        KeyError
            There is no such path.
        """
        for p in self.paths:
            if p.path == path:
                return p
        raise KeyError(" > ".join(path))

    def columns(self) -> dict[str, Any]:
        """As columns, one line an element of a mean: `pandas.DataFrame(reading.columns())`.

        Returns
        -------
        dict of str to array
            path (text, modules joined by " > "), count, per_run, per_run_error, element, mean, mean_error, deviation
            (the root of the variance, NaN without second moments).
        """
        lengths = [p.mean.size for p in self.paths]
        found: dict[str, Any] = {"path": np.repeat([" > ".join(p.path) for p in self.paths], lengths)}
        for name in ("count", "per_run", "per_run_error"):
            found[name] = np.repeat([getattr(p, name) for p in self.paths], lengths)
        found["element"] = np.concatenate([np.arange(n) for n in lengths] or [np.empty(0, np.int64)])
        for name in ("mean", "mean_error"):
            found[name] = np.concatenate([getattr(p, name) for p in self.paths] or [np.empty(0)])
        variance = [np.full(p.mean.size, np.nan) if p.covariance is None else np.diag(p.covariance) for p in self.paths]
        found["deviation"] = np.sqrt(np.concatenate(variance or [np.empty(0)]).clip(0.0))
        return found

    def plot(self, ax: Any = None) -> Any:
        """Draw how many objects a run has at each path, with intervals of 95%.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            If not given, that of a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Without matplotlib, of ``pip install 'recsketch[plot]'``.
        """
        x = np.array([p.per_run for p in self.paths])
        reach = INTERVAL * np.array([p.per_run_error for p in self.paths])
        ax = plotting.rows(ax, [" > ".join(p.path) for p in self.paths], x, x - reach, x + reach)
        if (x > 0).all() and x.size and x.max() > 30 * x.min():
            ax.set_xscale("log")
        else:
            ax.set_xlim(left=min(0.0, *ax.get_xlim()))
        ax.set_xlabel("objects a run")
        ax.set_title(f"{_check.count(self.runs, 'run')}, {self._whole()}", fontsize="medium")
        return ax

    def _whole(self) -> str:
        return "all of it" if self.complete else f"not all of it: {self.unexplained:.1e} is left"

    def __repr__(self) -> str:
        head = f"Population of {_check.count(self.runs, 'run')}, {self._whole()}"
        lines = [f"  {p}" for p in self.paths]
        return "\n".join([head, *lines])
