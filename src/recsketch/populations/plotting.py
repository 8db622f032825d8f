"""What plots of populations share: axes, and rows of points with intervals. Matplotlib is the extra `plot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from recsketch.runs.drawing import printable

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

SURE, UNSURE = "#b2182b", "0.45"  # as the ends of the map that `Cooccurrence.plot` takes


def axes(ax: Any, width: float, height: float) -> Any:
    """The axes that were given, or those of a new figure of so many inches.

    Raises
    ------
    ImportError
        Without matplotlib, of ``pip install 'recsketch[plot]'``.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("plot: wanted matplotlib, of pip install 'recsketch[plot]'; got none") from None
    return pyplot.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def rows(
    ax: Any, names: Sequence[str], x: Doubles, low: Doubles, high: Doubles, sure: npt.NDArray[np.bool_] | None = None
) -> Any:
    """A row each, from the top: a name, a point at x and its interval, which is left out where it is NaN. Those that
    are `sure` in another colour. The axes, or those of a new figure."""
    ax = axes(ax, 7.0, 1.4 + 0.28 * len(names))
    at = np.arange(len(names))
    for chosen, colour in ((at, UNSURE),) if sure is None else ((at[~sure], UNSURE), (at[sure], SURE)):
        around = np.nan_to_num(np.stack([x - low, high - x])[:, chosen])
        ax.errorbar(x[chosen], chosen, xerr=around, fmt="o", color=colour, markersize=4, capsize=2)
    # a name of a user may have what matplotlib takes for mathematics
    ax.set_yticks(at, [printable(name).replace("$", r"\$") for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    return ax
