"""Alarms that keep their word: streams of blocks of runs, watched for any change from a reference."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
import recsketch._streams as _streams
from recsketch._files import File
from recsketch.populations.changes import given
from recsketch.populations.changes.alarm import Alarm
from recsketch.populations.changes.exchangeable import CORRELATED, RARE, ExchangeabilityWarning, neighbours
from recsketch.populations.changes.past import Past

if TYPE_CHECKING:
    import numpy.typing as npt

Doubles: TypeAlias = "npt.NDArray[np.float64]"

LEAST = 128  # reference blocks: with n of them the first value beyond all is 1 in n + 1, so that alarms need several
SHIFTS = np.array([0.4, 0.8, 1.6, 2.5, -0.4, -0.8, -1.6, -2.5])
SCALES = np.array([0.6, 1.6, 2.5])
STAKES = np.concatenate([np.full(8, 0.75 / 8), np.full(3, 0.25 / 3)])  # of the bets, those on shifts first
KINDS = {"higher": slice(0, 4), "lower": slice(4, 8), "narrower": slice(8, 9), "wider": slice(9, 11)}
CERTAIN = 1e-12  # no rank is taken to be rarer
RICHEST = 1e40  # 1 / alpha, over the least weight, times what the best bet earns of CERTAIN, 4e8, is 4e32
PARTS = 1 << 32  # of a random stream, one for each block


class Monitor:
    """Watches a stream of blocks of runs, and raises an alarm when it is no longer like a reference.

    Where nothing changes, the probability that it *ever* raises one is at most `alpha`, however long the stream is.

    Parameters
    ----------
    reference : (n, E) array_like
        A row a block of runs, a column an element: any statistic of the block's runs, such as a count a run, or the
        mean of an attribute. At least 128 blocks, in the order of their runs, of numbers of at most 1e30; NaN where a
        block has no such element.
    block : int
        How many runs each block has, at least 1.
    elements : sequence of E str
        Names, each once.
    alpha : float
        Above 0, at most 0.5.
    weights : mapping of str to float, or None
        Shares of `alpha` of some elements, above 0; all others have equal parts of what is left. An element of weight w
        raises an alarm at evidence 1 / (w alpha) of its own.
    seed : int
        From 0 to 2**64 - 1: of random numbers that order equal values.

    Raises
    ------
    ValueError
        Other shapes, infinity or numbers above 1e30, fewer than 128 blocks, weights that are not a share each.
    TypeError
        No numbers, or names that are no text.

    Warns
    -----
    ExchangeabilityWarning
        Neighbouring blocks of the reference are alike, by a correlation of at least 0.1 on average, which order alone
        makes in 1 of 100: blocks are too short, or the reference drifts.

    Notes
    -----
    **Assumption.** Blocks of the reference and of the stream are exchangeable while nothing changes: each is a stretch
    of exactly `block` runs, long beside the time over which runs are alike, 20 times as long at least. What is watched
    was chosen before the reference was seen. An element "paths not in the reference" is zero in the reference by this
    choice and not in the stream: let the list of known paths come from earlier runs, count all others in an element of
    their own, and give it a weight, as below.

    **Formula.** Let x be an element's value in block t = 0, 1, ... of the stream, and let its bag hold its n values in
    the reference and in the blocks before. Then u = (number in the bag below x + U (number equal to x + 1)) / (n + 1),
    with U uniform, is uniform and independent of all u before if blocks are exchangeable [1]_; z is its normal
    quantile. A value that is NaN is not looked at, and no bag holds it. Eleven bets have the expectation one: b = exp(l
    z - l^2 / 2) for eight shifts l, and b = exp(z^2 (1 - s^-2) / 2) / s for three scales s. They begin late, too: of
    the stake 1 the share S_t = 1 / ln(t + e) is not yet bet, and wealth is W_k = (W_k + (S_t - S_(t + 1)) p_k) b_k, p_k
    the stakes of the bets. The evidence w (S_(t + 1) + sum of W_k) is a martingale that begins at w; that any of E of
    them, whose w add up to one, ever reaches 1 / alpha has at most the probability alpha [2]_. Neither distributions
    nor how elements depend on each other matter.

    Cost of an update: O(E log^2 n) time for n blocks so far; memory for E n float64. Where NumPy computes exponentials
    otherwise, evidence differs by some 1e-15 of itself.

    References
    ----------
    .. [1] V. Vovk, I. Nouretdinov, A. Gammerman, "Testing exchangeability on-line", ICML 2003.
    .. [2] J. Ville, "Étude critique de la notion de collectif", Gauthier-Villars, 1939.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> usual = rng.poisson(200, (128, 3)) / 50
    >>> usual[:, 2] = 0
    >>> names = ["page", "line", "unknown paths"]
    >>> monitor = Monitor(usual, 50, names, alpha=0.01, weights={"unknown paths": 0.2})
    >>> for block in rng.poisson([200, 230, 0], (20, 3)) / 50:
    ...     if alarm := monitor.update(block, 50):
    ...         break
    >>> alarm.element, alarm.kind, alarm.runs
    ('line', 'higher', 300)
    """

    def __init__(
        self,
        reference: npt.ArrayLike,
        block: int,
        elements: Sequence[str],
        *,
        alpha: float = 0.01,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        values = given.statistics("reference", reference, "blocks", LEAST)
        names = given.names("elements", elements, values.shape[1])
        self._set(
            elements=names,
            weights=given.shares(names, weights),
            alpha=given.alpha(alpha),
            block=_check.integer("block", block, 1, 10**15),
            seed=_check.integer("seed", seed, 0, 2**64 - 1),
            reference=len(values),
            blocks=0,
            past=values.T,
            wealth=np.zeros((len(names), len(STAKES))),
        )
        alike, p = neighbours(values, self._seed)
        if alike >= CORRELATED and p <= RARE:
            text = f"neighbouring blocks of the reference correlate by {alike:.2g}: alarms may be false"
            warnings.warn(f"{text}; take longer blocks", ExchangeabilityWarning, stacklevel=2)

    def _set(
        self,
        elements: tuple[str, ...],
        weights: Doubles,
        alpha: float,
        block: int,
        seed: int,
        reference: int,
        blocks: int,
        past: Doubles,
        wealth: Doubles,
    ) -> None:
        self._elements, self._weights, self._alpha, self._block = elements, weights, alpha, block
        self._seed, self._reference, self._blocks, self._wealth = seed, reference, blocks, wealth
        self._past = Past(past)
        self._alarm = self._judged()

    @property
    def elements(self) -> tuple[str, ...]:
        """Names of what is watched."""
        return self._elements

    @property
    def alpha(self) -> float:
        """The largest probability of an alarm, ever, where nothing changes."""
        return self._alpha

    @property
    def block(self) -> int:
        """Runs in a block."""
        return self._block

    @property
    def blocks(self) -> int:
        """How many blocks of the stream there were."""
        return self._blocks

    @property
    def weights(self) -> Doubles:
        """(E,) shares of `alpha`, which add up to one."""
        return self._weights.copy()

    @property
    def evidence(self) -> Doubles:
        """(E,) that an element changed: an alarm is raised when one reaches 1 / alpha."""
        return np.asarray(self._weights * (_unbet(self._blocks) + self._wealth.sum(axis=1)))

    @property
    def alarm(self) -> Alarm | None:
        """The alarm, once it was raised."""
        return self._alarm

    def update(self, block: npt.ArrayLike, runs: int) -> Alarm | None:
        """Look at the next block of the stream.

        Parameters
        ----------
        block : (E,) array_like
            What `reference` has of its blocks, of the runs that follow those of the block before.
        runs : int
            How many runs it has: as many as every other block.

        Returns
        -------
        Alarm or None
            Once there is an alarm, it is returned again and the block is left out: a new monitor is needed, whose
            reference is what is usual now. Who promises `alpha` for all monitors together gives each a part of it.

        Raises
        ------
        ValueError, TypeError
            Another number of runs or elements, infinity or numbers above 1e30. The monitor stays as it is.
        """
        what = f"{len(self._elements)} statistics of a block"
        array = _check.reals("block", block, what)
        if array.shape != (len(self._elements),):
            raise ValueError(f"block: wanted {what}; got {_check.describe(array)}")
        x = given.within("block", array)
        if _check.integer("runs", runs, 0, 10**15) != self._block:
            wanted = f"{self._block}, as many as each block of the reference has"
            raise ValueError(f"runs: wanted {wanted}; got {runs}: means of other numbers of runs scatter otherwise")
        if self._alarm is None:
            self._bet(x)
            self._past.add(x)
            self._alarm = self._judged()
        return self._alarm

    def _ranks(self, x: Doubles) -> Doubles:
        """(E,) u of each value: its rank in its bag, uniform in the place that it shares with equal ones."""
        below, equal, n = self._past.place(x)
        word = _streams.words(self._seed, "monitor", "", self._blocks % PARTS, 2 * len(x))
        uniform = ((word[::2] >> 5) * 2.0**26 + (word[1::2] >> 6)) / 2.0**53
        return np.asarray((below + uniform * (equal + 1)) / (n + 1))

    def _bet(self, x: Doubles) -> None:
        quantile = NormalDist().inv_cdf
        z = np.array([quantile(u) for u in np.clip(self._ranks(x), CERTAIN, 1 - CERTAIN).tolist()])[:, None]
        shifts = np.exp(SHIFTS * z - SHIFTS**2 / 2)
        scales = np.exp(z * z * (1 - SCALES**-2.0) / 2) / SCALES
        won = np.where(np.isnan(x)[:, None], 1.0, np.concatenate([shifts, scales], axis=1))
        self._wealth = (self._wealth + (_unbet(self._blocks) - _unbet(self._blocks + 1)) * STAKES) * won
        self._blocks += 1

    def _judged(self) -> Alarm | None:
        evidence = self.evidence
        e = int(np.argmax(evidence))
        if evidence[e] < 1 / self._alpha:
            return None
        kind = max(KINDS, key=lambda k: float(self._wealth[e, KINDS[k]].sum()))
        runs = self._blocks * self._block
        return Alarm(self._elements[e], kind, float(evidence[e]), self._blocks, runs, self._alpha)

    def save(self, path: File) -> None:
        """Write the monitor to a file, from which another process goes on.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            An .npz file (docs/format.md, "Files"), which appears whole or not at all.

        Raises
        ------
        OSError
            The file or its folder cannot be written. The old file is unchanged, unless it was written in place.
        TypeError, ValueError
            `path` is no file name.

        Notes
        -----
        Cost: 8 E n bytes for n blocks so far, ordered and written.

        Examples
        --------
        >>> import io
        >>> import numpy as np
        >>> monitor = Monitor(np.random.default_rng(0).random((128, 2)), 50, ["page", "line"])
        >>> file = io.BytesIO()
        >>> monitor.save(file)
        >>> _ = file.seek(0)
        >>> Monitor.load(file)
        <Monitor of 2 elements after 0 blocks of 50 runs, evidence 0.5 of 100>
        """
        _npz.save(path, self._arrays())

    def _arrays(self) -> dict[str, Any]:
        return {
            "elements": np.array(self._elements, dtype=np.str_),
            "weights": self._weights,
            "alpha": self._alpha,
            "block": self._block,
            "seed": np.uint64(self._seed),
            "reference": self._reference,
            "past": self._past.values(),
            "wealth": self._wealth,
        }

    @classmethod
    def load(cls, path: File) -> Monitor:
        """Read what `save` wrote: the same alarms will come of the same blocks.

        Parameters
        ----------
        path : str, os.PathLike or binary file object

        Raises
        ------
        ValueError
            Another, a damaged or a hostile file, or one of another format's version. Pickles are never read.
        OSError
            The file cannot be read.
        TypeError
            `path` is no file name.
        """
        names = {"elements", "weights", "alpha", "block", "seed", "reference", "past", "wealth"}
        return _npz.load(path, names, "Monitor.save", cls._restored)

    @classmethod
    def _restored(cls, arrays: dict[str, Any]) -> Monitor:
        texts = _npz.texts("elements", arrays["elements"])
        size = len(texts)
        if not size:
            raise ValueError("elements: wanted at least one; got none")
        scalars = {name: _scalar(name, arrays[name]) for name in ("alpha", "block", "seed", "reference")}
        past = given.within("past", _check.reals("past", arrays["past"], "numbers"))
        wealth = np.array(_check.reals("wealth", arrays["wealth"], "numbers"), np.float64)
        weights = np.array(_check.reals("weights", arrays["weights"], "numbers"), np.float64)
        if past.ndim != 2 or len(past) != size or wealth.shape != (size, len(STAKES)) or weights.shape != (size,):
            got = f"{past.shape}, {wealth.shape} and {weights.shape}"
            raise ValueError(f"wanted past, wealth and weights of {size} elements; got shapes {got}")
        reference = _check.integer("reference", scalars["reference"], LEAST, past.shape[1])
        if not np.all((wealth >= 0) & (wealth <= RICHEST)):
            raise ValueError(f"wealth: wanted numbers from 0 to {RICHEST:g}; got others")
        if not np.all(weights >= given.SMALLEST) or abs(weights.sum() - 1) > 1e-9:
            raise ValueError("weights: wanted numbers above 0 that add up to 1; got others")
        found = cls.__new__(cls)
        found._set(
            elements=given.names("elements", texts),
            weights=weights,
            alpha=given.alpha(scalars["alpha"]),
            block=_check.integer("block", scalars["block"], 1, 10**15),
            seed=_check.integer("seed", scalars["seed"], 0, 2**64 - 1),
            reference=reference,
            blocks=past.shape[1] - reference,
            past=past,
            wealth=wealth,
        )
        return found

    def __repr__(self) -> str:
        elements, blocks = _check.count(len(self._elements), "element"), _check.count(self._blocks, "block")
        most = f"evidence {self.evidence.max():.3g} of {1 / self._alpha:.3g}"
        return f"<Monitor of {elements} after {blocks} of {_check.count(self._block, 'run')}, {most}>"


def _unbet(t: int) -> float:
    """S_t: which part of the stake is not bet before block t."""
    return 1 / math.log(t + math.e)


def _scalar(name: str, array: npt.NDArray[Any]) -> object:
    if array.shape or array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: wanted one number; got {_check.describe(array)}")
    return array.item()
