"""Two populations, and what changed between them."""

from __future__ import annotations

import warnings
from typing import Any

import recsketch._check as _check
from recsketch.populations.changes.comparison import Comparison
from recsketch.populations.changes.exchangeable import ExchangeabilityWarning
from recsketch.populations.changes.groups import compare_groups
from recsketch.populations.population import Population


def compare(p: Population, q: Population, **options: Any) -> Comparison:
    """What changed from one population to another, path by path.

    Parameters
    ----------
    p, q : Population
        Under equal specifications, before and after, with about as many runs in each group: runs of one unit of
        `groups=` are in one group.
    **options
        level, relabellings, seed, force, as of `compare_groups`.

    Returns
    -------
    Comparison
        Elements are counts a run, means, and with second moments variances; paths those of both.

    Raises
    ------
    ValueError, TypeError
        Other specifications, fewer than 8 groups with runs, and what `compare_groups` refuses.

    Warns
    -----
    ExchangeabilityWarning
        Runs were spread over groups by their own bits, which is right only if runs are independent.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> spec = rs.SketchSpec.additive(256, {"page": 2}, seed=1)
    >>> rng, sk = np.random.default_rng(0), rs.Sketcher(spec)
    >>> days = []
    >>> for shift in (0, 0.5):
    ...     day = rs.Population(spec)
    ...     for hour in range(16):
    ...         for _ in range(20):
    ...             run = rs.Trace()
    ...             run.outputs([run.add("page", rng.standard_normal(2) + [0, shift])])
    ...             day.update(sk.sketch(run), groups=hour)
    ...     days.append(day)
    >>> rs.compare(*days).changed()
    ('page',)
    """
    for name, x in (("p", p), ("q", q)):
        if not isinstance(x, Population):
            raise TypeError(f"{name}: wanted a Population; got {_check.describe(x)}")
    if p.spec != q.spec:
        raise ValueError("q: wanted the specification of p; got another")
    if p._own or q._own:
        text = f"{p._own + q._own} of {len(p) + len(q)} runs were added without groups"
        warnings.warn(f"{text}: p-values are right only if these are independent", ExchangeabilityWarning, stacklevel=2)
    q._columns = p._matrices()  # of one specification
    paths = sorted({x.path for population in (p, q) for x in population.read()})
    before, after = p.groups(paths), q.groups(paths)
    names = [e.removeprefix(f"{before.paths[k]}: ") for e, k in zip(before.elements, before.path, strict=True)]
    return compare_groups(
        before.values,
        after.values,
        (before.runs, after.runs),
        paths=before.paths,
        path=before.path,
        elements=names,
        **options,
    )
