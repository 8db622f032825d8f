"""What changed between two populations of runs, path by path, from statistics of groups of runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch.populations.changes import given, welch
from recsketch.populations.changes.comparison import Comparison
from recsketch.populations.changes.exchangeable import REFUSE, WARN, ExchangeabilityWarning, ratio
from recsketch.populations.changes.relabelling import Labels, StepDown, ranked, tied

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

GROUPS = 8  # of either sample, at least: 8 of 16 can be chosen in 12,870 ways, 7 of 14 in 3,432
RELABELLINGS = 4999


def compare_groups(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    runs: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    paths: Sequence[str],
    path: npt.ArrayLike,
    elements: Sequence[str],
    level: float = 0.95,
    relabellings: int = RELABELLINGS,
    seed: int = 0,
    force: bool = False,
) -> Comparison:
    """What changed from one population of runs to another, by statistics of groups of their runs.

    Parameters
    ----------
    x, y : (n, E), (m, E) array_like
        A row a group, a column an element: the group's mean over its runs of anything, such as a count a run, or the
        mean of an attribute. At least 8 groups each, of numbers of at most 1e30; NaN where a group has no such element.
    runs : two array_like, (n,) and (m,) integers
        How many runs are in each group, at least 1.
    paths : sequence of P str
        Names, each once.
    path : (E,) integers
        Which path an element belongs to; every path has one.
    elements : sequence of E str
        What an element is, within its path.
    level : float
        From 0.5 to 0.9999: of the intervals; 1 - level is what the text calls changed by.
    relabellings : int
        19 to 10**7. The least p-value is 1 / (relabellings + 1).
    seed : int
        Of the relabellings, from 0 to 2**64 - 1.
    force : bool
        Compare groups although those of one population have 4 times as many runs as those of the other, or more.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Other shapes, infinity or numbers above 1e30, fewer than 8 groups, empty groups, or groups of one population
        with at least 4 times as many runs as those of the other.
    TypeError
        No numbers, or names that are no text.

    Warns
    -----
    ExchangeabilityWarning
        Groups of one population have at least 1.5 times as many runs as those of the other.

    Notes
    -----
    **Assumption.** Where nothing changed, groups are exchangeable: whatever groups carry which label is as probable.
    So a group is a stretch of whatever is exchangeable, a time, a session, a user, never every k-th run nor a hash of a
    run: runs that follow each other are alike, groups which all share them do not show how much means vary, and most
    comparisons of equal populations would find a change (docs/populations.md, "What changed").

    **Test.** Welch's t [1]_ of each element, for the labels as they are and for others that are drawn; an element's p
    is the share of labellings whose |t| is as large, the one that is counted with them. Adjusted p-values are those of
    the step-down maximum [2]_. A path's statistic is the mean of t^2 over its elements, whose rank among all labellings
    is its p; adjusted p-values are those of the step-down minimum of these. With p-values by rank a false change is no
    more frequent than stated where all is exchangeable, whatever the distribution. Where scatter alone changed, it is a
    little more frequent: 6.9% instead of 5% at twofold deviations, 10% at fourfold ones, and 12% at twofold ones in a
    population of 16 groups against 32 (docs/populations.md).

    Cost: (B + 1)(n + m) E products thrice and some ten passes over (B + 1) E numbers, for B relabellings; memory for
    (B + 1) P numbers, some pieces of 8 MiB, and the groups thrice.

    References
    ----------
    .. [1] B. L. Welch, "The generalization of 'Student's' problem when several different population variances are
           involved", Biometrika 34, 1947.
    .. [2] P. H. Westfall, S. S. Young, "Resampling-based multiple testing", Wiley, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((2, 32, 3))
    >>> y[:, 2] += 2
    >>> runs = np.full(32, 50)
    >>> found = compare_groups(
    ...     x, y, (runs, runs), paths=["page", "page/line"], path=[0, 1, 1], elements=["count", "count", "mean 0"]
    ... )
    >>> found.changed(), found.adjusted.round(4).tolist()
    (('page/line',), [0.797, 0.797, 0.0002])
    """
    a, b = given.statistics("x", x, "groups", GROUPS), given.statistics("y", y, "groups", GROUPS)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"y: wanted {a.shape[1]} elements as of x; got {_check.describe(b)}")
    names = given.names("paths", paths)
    of = _check.column("path", path, np.int64, a.shape[1]).astype(np.intp)
    if not np.array_equal(np.unique(of), np.arange(len(names))):
        raise ValueError(
            f"path: wanted each number from 0 to {len(names) - 1}; got {_check.listed(np.unique(of).tolist())}"
        )
    what = given.names("elements", elements, a.shape[1], once=False)
    level = _check.number("level", level, "a number from 0.5 to 0.9999", np.nextafter(0.5, 0), 0.9999)
    relabellings = _check.integer("relabellings", relabellings, 19, 10**7)
    seed = _check.integer("seed", seed, 0, 2**64 - 1)
    notes = _sizes(runs, len(a), len(b), _check.flag("force", force))

    groups, labels = np.concatenate([a, b]), Labels(len(a), len(b), relabellings, seed)
    parts = labels.squares(groups)
    head = next(parts)
    seen, least = head[0], tied(head[0])
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(len(names)))
    step, reached, sums = StepDown(seen, least), np.zeros(len(seen), np.int64), []
    for squares in chain([head], parts):
        step.add(squares)
        reached += np.count_nonzero(squares >= least, axis=0)
        sums.append(np.add.reduceat(squares[:, order], starts, axis=1))  # of a path; they rank as the means do
    rank = ranked(np.concatenate(sums))
    down = StepDown(-rank[0], -rank[0])
    down.add(-rank)

    before, after = welch.mean(a), welch.mean(b)
    half = welch.half_width(a, b, level)
    effect = np.where(np.isnan(half), np.nan, after - before)
    return Comparison(
        paths=names,
        path_p=rank[0],
        path_adjusted=down.adjusted(),
        path=of,
        elements=what,
        before=before,
        after=after,
        effect=effect,
        low=effect - half,
        high=effect + half,
        t=np.copysign(np.sqrt(seen), np.nan_to_num(effect)),
        p=reached / (relabellings + 1),
        adjusted=step.adjusted(),
        level=level,
        groups=(len(a), len(b)),
        relabellings=relabellings,
        warnings=notes,
    )


def _sizes(runs: tuple[npt.ArrayLike, npt.ArrayLike], n: int, m: int, force: bool) -> tuple[str, ...]:
    """What is to be said of how many runs are in a group; refuses what is too unequal."""
    both = _check.members("runs", runs, "runs a group, of both populations")
    if len(both) != 2:
        raise ValueError(f"runs: wanted two vectors, of both populations; got {len(both)}")
    a, b = (_check.column(f"runs[{i}]", r, np.int64, k) for i, (r, k) in enumerate(zip(both, (n, m), strict=True)))
    for i, r in enumerate((a, b)):
        if r.min() < 1:
            raise ValueError(f"runs[{i}]: wanted at least 1 run in each group; got {r.min()}: leave empty groups out")
    times = ratio(a.astype(np.float64), b.astype(np.float64))
    if times >= REFUSE and not force:
        wanted = f"groups of about as many runs on both sides, at most {REFUSE:g} times as many"
        raise ValueError(f"runs: wanted {wanted}; got {times:.3g} times: group anew, or force=True for wrong p-values")
    if times < WARN:
        return ()
    text = f"groups of one population have {times:.2g} times as many runs: p-values of skewed statistics are too small"
    warnings.warn(text, ExchangeabilityWarning, stacklevel=3)
    return (text,)
