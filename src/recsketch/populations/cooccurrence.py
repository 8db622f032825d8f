"""Which modules occur together, and which are made of which, over many runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch.populations.plotting as plotting
from recsketch._values import Record
from recsketch.reading.results import Unrolled
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

    Whole = npt.NDArray[np.int64]

AT_ONCE = 1 << 22  # numbers of the table of runs and modules that are multiplied at a time
CELLS = 16  # modules up to which a plot has numbers in its cells


@dataclass(frozen=True, eq=False, repr=False)
class Cooccurrence(Record):
    """Which of m modules occur in the same runs, and how often one is an input of another. Two are equal if all fields
    are.

    Attributes
    ----------
    modules : tuple of str
        Those that occur, sorted: the order of all arrays.
    runs : int
    having : (m,) int64
        Runs that have an object of each.
    both : (m, m) int64
        Runs that have both, symmetric; `having` on the diagonal.
    inputs : (m, m) int64
        [i, j] is how often an object of j is an input of one of i, every use counted.
    """

    modules: tuple[str, ...]
    runs: int
    having: Whole
    both: Whole
    inputs: Whole

    @property
    def lift(self) -> npt.NDArray[np.float64]:
        """(m, m) How many times as many runs have both as would if modules were independent:
        ``both * runs / (having * having.T)``. 0 of what never occurs together; 1 of a module that is in every run."""
        return np.asarray(self.both * float(self.runs) / np.multiply.outer(self.having, self.having.astype(np.float64)))

    def plot(self, ax: Any = None) -> Any:
        """Draw the lift as a matrix, on a scale of powers of two: red above independence, blue below, grey where two
        modules never occur together.

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
        m, lift = len(self.modules), self.lift
        apart = ~np.eye(m, dtype=bool)
        shown = np.log2(lift, out=np.full((m, m), np.nan), where=apart & (lift > 0))
        reach = max(1.0, float(np.nanmax(np.abs(shown))) if np.isfinite(shown).any() else 0.0)
        side = min(0.6 * m, 14.0)
        ax = plotting.axes(ax, 2.5 + side, 1.5 + side)
        ax.set_facecolor("0.85")
        image = ax.imshow(shown, cmap="RdBu_r", vmin=-reach, vmax=reach)
        ticks = range(-math.floor(reach), math.floor(reach) + 1)
        bar = ax.figure.colorbar(image, ax=ax, label="lift over independence", shrink=0.8, ticks=ticks)
        bar.ax.set_yticklabels([f"{2.0**k:g}" for k in ticks])
        ax.set_xticks(range(m), self.modules, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(m), [f"{name} ({n})" for name, n in zip(self.modules, self.having.tolist(), strict=True)])
        for i, j in np.argwhere(apart) if m <= CELLS else ():
            dark = abs(shown[i, j]) > 0.6 * reach
            ax.text(j, i, f"{lift[i, j]:.2g}", ha="center", va="center", color="white" if dark else "black")
        ax.set_title(f"Modules together in {_check.count(self.runs, 'run')}")
        return ax

    def __repr__(self) -> str:
        return f"<Cooccurrence of {_check.count(len(self.modules), 'module')} in {_check.count(self.runs, 'run')}>"


def cooccurrence(runs: Trace | TraceBatch | Unrolled | Iterable[Trace] | Iterable[Unrolled]) -> Cooccurrence:
    """Count which modules occur in the same runs, and which are inputs of which.

    Parameters
    ----------
    runs : Trace, TraceBatch, Unrolled, or iterable of Trace or of Unrolled
        At least one. All objects count, those too that reach no output; inputs of weight zero are none.

    Returns
    -------
    Cooccurrence

    Raises
    ------
    ValueError
        No run, or inputs that are no earlier objects of their run.
    TypeError
        `runs` is something else.

    Notes
    -----
    Cost: n m^2 operations for n runs of m modules, a pass over objects and inputs, and some 40 bytes of each.

    Examples
    --------
    >>> import recsketch as rs
    >>> made = []
    >>> for modules in (["ear", "eye"], ["ear", "eye"], ["eye"], ["hand"]):
    ...     run = rs.Trace()
    ...     parts = [run.add(name, [1.0]) for name in modules]
    ...     run.outputs([run.add("face", [1.0], inputs=parts)])
    ...     made.append(run)
    >>> found = rs.cooccurrence(made)
    >>> found.modules, found.having.tolist(), found.both[1].tolist()
    (('ear', 'eye', 'face', 'hand'), [2, 3, 4, 1], [2, 3, 3, 0])
    >>> found.inputs[2].tolist(), round(float(found.lift[0, 1]), 2)
    ([2, 3, 0, 1], 1.33)
    """
    objects, names, module, owner, member = _columns(runs)
    n = objects.size - 1
    if not n:
        raise ValueError("runs: wanted at least one; got none")
    used = np.zeros(len(names), bool)
    used[module] = True
    order = sorted(np.flatnonzero(used).tolist(), key=names.__getitem__)
    m = len(order)
    number = np.zeros(len(names) + 1, np.intp)
    number[order] = np.arange(m)
    module = number[module]
    inputs = np.bincount(module[owner] * m + module[member], minlength=m * m).reshape(m, m)
    both = np.zeros((m, m))
    step = max(1, AT_ONCE // max(m, 1))
    for i in range(0, n, step):
        ends = objects[i : i + step + 1]
        own = np.repeat(np.arange(ends.size - 1), np.diff(ends))
        there = np.zeros((ends.size - 1, m), np.float32)
        there[own, module[ends[0] : ends[-1]]] = 1.0
        both += there.T @ there  # whole numbers of at most 2^22, which float32 holds
    return Cooccurrence(
        modules=tuple(names[k] for k in order),
        runs=n,
        having=np.diag(both).astype(np.int64),
        both=both.astype(np.int64),
        inputs=inputs.astype(np.int64),
    )


def _columns(runs: object) -> tuple[Whole, Sequence[str], Any, Any, Any]:
    """Offsets of the runs' objects, module names, of each object its module's number, and of each input that counts its
    owner and itself, numbered over all runs."""
    if isinstance(runs, Unrolled):
        runs = [runs]
    if not isinstance(runs, (Trace, TraceBatch)):
        runs = _check.members("runs", runs, "a Trace, a TraceBatch, an Unrolled, or a list of traces or of Unrolled")
        if runs and all(isinstance(run, Unrolled) for run in runs):
            return _unrolled(runs)
    batch = as_batch(runs, "runs")[0]
    count = np.diff(batch.objects)
    first = np.repeat(batch.objects[:-1], count)  # of the run that an object is in
    owner = np.repeat(np.arange(batch.module.size), np.diff(batch.input_ends))
    member = batch.inputs + first[owner]
    if ((batch.inputs < 0) | (member >= owner)).any():
        raise ValueError("runs: wanted inputs that are earlier objects of their run; got others")
    if not (batch.weights >= 0).all():
        raise ValueError("runs: wanted weights from 0; got others")
    counts = batch.weights > 0
    return batch.objects, batch.names, batch.module, owner[counts], member[counts]


def _unrolled(runs: Sequence[Unrolled]) -> tuple[Whole, Sequence[str], Any, Any, Any]:
    number: dict[str, int] = {}
    objects, module, owner, member = [0], [], [], []
    for run in runs:
        first = objects[-1]
        for k, o in enumerate(run.objects):
            module.append(number.setdefault(o.module, len(number)))
            owner += [first + k] * len(o.inputs)
            member += [first + i for i in o.inputs]
        objects.append(len(module))
    of, above, below = (np.array(x, np.int64) for x in (module, owner, member))
    return np.array(objects, np.int64), list(number), of, above, below
