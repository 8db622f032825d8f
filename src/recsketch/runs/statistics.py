"""Statistics of attributes as they come: means and spreads by module, merged as they are added.

Two parts, of n_a and n_b objects with means m_a, m_b and sums of squared deviations M_a, M_b, make with n = n_a + n_b
and d = m_b - m_a the mean m_a + d n_b / n and the sum M_a + M_b + d^2 n_a n_b / n (Chan, Golub, LeVeque, "Updating
Formulae and a Pairwise Algorithm for Computing Sample Variances", Stanford STAN-CS-79-773, 1979).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
import recsketch._npz as _npz
from recsketch._files import File
from recsketch._values import Record
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]

MOST = 2**40  # objects of a module in a file
LONGEST = 2**20  # numbers of an attribute in a file
LARGEST = 2.0**128  # what finite float32 stay below


@dataclass(frozen=True, eq=False, repr=False)
class AttributeStatistics(Record):
    """What is known of one module's attributes. Two are equal if all fields are.

    Attributes
    ----------
    module : str
    count : int
        Objects, n.
    mean : (a,) float64
    m2 : (a,) float64
        The sum of squared deviations from the mean, element by element.
    norm_mean, norm_m2 : float
        The same of the attributes' Euclidean norms.
    zeros : int
        Elements that are zero, of n a.
    largest : float
        The largest magnitude of an element.
    """

    module: str
    count: int
    mean: Doubles
    m2: Doubles
    norm_mean: float
    norm_m2: float
    zeros: int
    largest: float

    @property
    def variance(self) -> Doubles:
        """(a,) Of each element, unbiased: m2 / (n - 1). NaN of a single object."""
        return self.m2 / (self.count - 1) if self.count > 1 else np.full_like(self.m2, np.nan)

    @property
    def norm_deviation(self) -> float:
        """Standard deviation of the norms; NaN of a single object."""
        return math.sqrt(self.norm_m2 / (self.count - 1)) if self.count > 1 else math.nan

    @property
    def zero_share(self) -> float:
        """Share of elements that are zero."""
        return self.zeros / (self.count * self.mean.size)

    @property
    def peak(self) -> float:
        """The largest magnitude over the root mean square of all elements: 1 of signs, above 10 where a few elements
        stand out of the others. NaN where all are zero."""
        size = self.norm_about(np.zeros_like(self.mean)) / math.sqrt(self.mean.size)
        return self.largest / size if size else math.nan

    def norm_about(self, centre: npt.ArrayLike) -> float:
        """The root mean square norm of attributes less a vector c: that of sum(m2) / n + ||mean - c||^2.

        Parameters
        ----------
        centre : (a,) array_like

        Raises
        ------
        ValueError, TypeError
            It has another shape, or is no array of numbers.
        """
        a = self.mean.size
        c = _check.reals("centre", centre, f"a vector of {a} numbers")
        if c.shape != (a,):
            raise ValueError(f"centre: wanted a vector of {a} numbers; got {_check.describe(c)}")
        return math.sqrt(float(self.m2.sum()) / self.count + float(np.square(self.mean - c).sum()))

    def _with(self, other: AttributeStatistics) -> AttributeStatistics:
        n = self.count + other.count
        share, both = other.count / n, self.count * other.count / n
        apart, further = other.mean - self.mean, other.norm_mean - self.norm_mean
        return AttributeStatistics(
            module=self.module,
            count=n,
            mean=self.mean + apart * share,
            m2=self.m2 + other.m2 + np.square(apart) * both,
            norm_mean=self.norm_mean + further * share,
            norm_m2=self.norm_m2 + other.norm_m2 + further * further * both,
            zeros=self.zeros + other.zeros,
            largest=max(self.largest, other.largest),
        )

    def __repr__(self) -> str:
        norm = f"norm {self.norm_mean:.3g} ± {self.norm_deviation:.2g}"
        return (
            f"<{_check.shown(self.module)}: {_check.count(self.count, 'object')}, {norm}, {self.zero_share:.1%} zeros>"
        )


class ModuleStatistics:
    """Means and spreads of every module's attributes, as runs come.

    Two are equal if they hold equal statistics of the same modules.

    Notes
    -----
    In float64. Adding the same runs in another order, or over other parts, gives the same numbers to rounding, n eps at
    worst: for sums with equal bits see `Population`. Memory: 16 a bytes a module. What is seen changes no specification
    until `SketchSpec.with_statistics` is called.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> rng, seen = np.random.default_rng(0), rs.ModuleStatistics()
    >>> for _ in range(50):
    ...     run = rs.Trace()
    ...     run.outputs([run.add("eye", 10 + rng.standard_normal(16)) for _ in range(20)])
    ...     seen.update(run)
    >>> print(seen)
    module  objects  elements      norm  zeros  largest / rms
    eye       1,000        16  40.2 ± 1   0.0%            1.4
    >>> spec = rs.SketchSpec(512, {"eye": 16}, attributes="linear").with_statistics(seen)
    >>> round(spec.scale("eye"), 2), round(spec.centres["eye"][0], 1)
    (0.25, 10.0)
    """

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, AttributeStatistics] = {}

    def update(self, traces: Trace | TraceBatch | Iterable[Trace]) -> None:
        """Add the attributes of runs.

        Parameters
        ----------
        traces : Trace, TraceBatch or iterable of Trace
            May be empty. All objects count, those too that reach no output.

        Raises
        ------
        ValueError
            A module whose attributes have several lengths, or another one than before; NaN or infinity. Nothing is
            added.
        TypeError
            `traces` is something else.

        Notes
        -----
        Cost: one pass over the attributes of a batch (docs/figures.md), and 24 a bytes a module while it runs.
        """
        self._add("traces", _measured(as_batch(traces)[0]))

    def merge(self, other: ModuleStatistics) -> None:
        """Add what another has seen.

        Raises
        ------
        ValueError, TypeError
            A module whose attributes have another length there; no ModuleStatistics. Nothing is added.
        """
        if not isinstance(other, ModuleStatistics):
            raise TypeError(f"other: wanted ModuleStatistics; got {_check.describe(other)}")
        self._add("other", other._of)

    def _add(self, what: str, more: dict[str, AttributeStatistics]) -> None:
        for name, new in more.items():
            old = self._of.get(name, new)
            if old.mean.size != new.mean.size:
                wanted = f"attributes of {_check.shown(name)} of {old.mean.size} elements, as before"
                raise ValueError(f"{what}: wanted {wanted}; got {new.mean.size}")
        self._of |= {name: self._of[name]._with(new) if name in self._of else new for name, new in more.items()}

    def __add__(self, other: ModuleStatistics) -> ModuleStatistics:
        if not isinstance(other, ModuleStatistics):
            return NotImplemented
        found = ModuleStatistics()
        found.merge(self)
        found.merge(other)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The modules that were seen, sorted."""
        return tuple(sorted(self._of))

    def of(self, module: str) -> AttributeStatistics:
        """What is known of a module.

        Raises
        ------
        ValueError
            There was no object of it.
        """
        if not self._of:
            raise ValueError(f"module: wanted one that was seen, of which there is none; got {_check.describe(module)}")
        return self._of[_check.choice("module", module, self._of)]

    def __len__(self) -> int:
        """How many modules were seen."""
        return len(self._of)

    def __eq__(self, other: object) -> bool:
        return self._of == other._of if isinstance(other, ModuleStatistics) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def save(self, path: File) -> None:
        """Write to an .npz file, complete or not at all, as `TraceBatch.save` does. Equal ones make equal bytes.

        Raises
        ------
        OSError
            The file or its folder cannot be written.
        TypeError, ValueError
            `path` is no file name.
        """
        each = [self._of[name] for name in self.names]
        none = np.empty(0)
        arrays = {
            "modules": np.array(self.names, np.str_),
            "counts": np.array([s.count for s in each], np.int64),
            "lengths": np.array([s.mean.size for s in each], np.int64),
            "means": np.concatenate([none, *(s.mean for s in each)]),
            "m2": np.concatenate([none, *(s.m2 for s in each)]),
            "norms": np.array([(s.norm_mean, s.norm_m2) for s in each], np.float64).reshape(-1, 2),
            "zeros": np.array([s.zeros for s in each], np.int64),
            "largest": np.array([s.largest for s in each], np.float64),
        }
        _npz.save(path, arrays)

    @classmethod
    def load(cls, path: File) -> ModuleStatistics:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            Another, a damaged or a hostile file. Pickles are never read.
        OSError
            The file cannot be read.
        TypeError
            `path` is no file name.
        """

        def make(arrays: dict[str, Any]) -> ModuleStatistics:
            found = cls()
            found._of = {s.module: s for s in _read(**arrays)}
            if len(found) != arrays["modules"].size:
                raise ValueError("modules: wanted each module once; got one twice")
            return found

        return _npz.load(path, set(COLUMNS), "ModuleStatistics.save", make)

    def __str__(self) -> str:
        head = ("module", "objects", "elements", "norm", "zeros", "largest / rms")
        rows = [head]
        for s in map(self.of, self.names):
            norm = f"{s.norm_mean:.3g} ± {s.norm_deviation:.2g}"
            rows.append((s.module, f"{s.count:,}", f"{s.mean.size}", norm, f"{s.zero_share:.1%}", f"{s.peak:.2g}"))
        wide = [max(len(row[k]) for row in rows) for k in range(len(head))]
        return "\n".join(
            "  ".join([row[0].ljust(wide[0]), *(row[k].rjust(wide[k]) for k in range(1, len(head)))]) for row in rows
        )

    def __repr__(self) -> str:
        objects = _check.count(sum(s.count for s in self._of.values()), "object")
        return f"<ModuleStatistics of {_check.count(len(self), 'module')}, {objects}>"


COLUMNS = ("modules", "counts", "lengths", "means", "m2", "norms", "zeros", "largest")


def _measured(batch: TraceBatch) -> dict[str, AttributeStatistics]:
    """Of a batch's attributes. Sums are taken of what is left of the first object of a module, so that a mean far from
    zero takes no digits of the deviations: they lose at most n roundings."""
    m, ends, x = len(batch.names), batch.attribute_ends, batch.attributes
    if not batch.module.size:
        return {}
    first = np.empty(m, np.int32)
    _core.firsts(batch.module, first)
    begin = ends[first]
    length = np.where(first < 0, 0, ends[first + 1] - begin)
    if not length[first >= 0].all():
        name = batch.names[int(np.flatnonzero((first >= 0) & (length == 0))[0])]
        raise ValueError(f"traces: wanted attributes of {_check.shown(name)} with an element; got one without")
    place = np.append(0, np.cumsum(length))
    shift = np.concatenate([x[b : b + n] for b, n in zip(begin, length, strict=True)]).astype(np.float64)
    total, square = np.empty_like(shift), np.empty_like(shift)
    counts, norms = np.empty((m, 2), np.int64), np.empty((m, 4))
    bad, long = _core.moments(x, ends, batch.module, place, shift, total, square, counts, norms)
    if bad >= 0:
        name = batch.names[batch.module[bad]]
        if long:
            wanted, got = f"attributes of {_check.shown(name)} of one length", f"{length[batch.module[bad]]} and "
            raise ValueError(f"traces: wanted {wanted}; got {got}{ends[bad + 1] - ends[bad]}")
        wanted = f"finite attributes of {_check.shown(name)}"
        raise ValueError(f"traces: wanted {wanted}; got NaN or infinity")
    found = {}
    for k in np.flatnonzero(first >= 0).tolist():
        of, n = slice(place[k], place[k + 1]), int(counts[k, 0])
        one, rest, squares, largest = norms[k].tolist()
        found[batch.names[k]] = AttributeStatistics(
            module=batch.names[k],
            count=n,
            mean=shift[of] + total[of] / n,
            m2=np.maximum(square[of] - np.square(total[of]) / n, 0.0),
            norm_mean=one + rest / n,
            norm_m2=max(squares - rest * rest / n, 0.0),
            zeros=int(counts[k, 1]),
            largest=largest,
        )
    return found


def _read(
    modules: Any, counts: Any, lengths: Any, means: Any, m2: Any, norms: Any, zeros: Any, largest: Any
) -> Iterable[AttributeStatistics]:
    """The modules of a file, whose columns must fit each other."""
    names = [_check.module_name("modules", name) for name in _npz.texts("modules", modules)]
    m = len(names)
    size = [_within("lengths", n, 1, LONGEST) for n in _check.column("lengths", lengths, np.int64, m).tolist()]
    count = [_within("counts", n, 1, MOST) for n in _check.column("counts", counts, np.int64, m).tolist()]
    none = _check.column("zeros", zeros, np.int64, m).tolist()
    most = _numbers("largest", largest, m, 0.0, LARGEST)
    mean = _numbers("means", means, sum(size), -LARGEST, LARGEST)
    square = _numbers("m2", m2, sum(size), 0.0, MOST * (2 * LARGEST) ** 2)
    if norms.shape != (m, 2):
        raise ValueError(f"norms: wanted shape ({m}, 2); got {_check.describe(norms)}")
    norm = _numbers("norms", norms.ravel(), 2 * m, 0.0, MOST * LONGEST * (2 * LARGEST) ** 2).reshape(m, 2)
    at = 0
    for k, (name, n, a) in enumerate(zip(names, count, size, strict=True)):
        _within("zeros", none[k], 0, n * a)
        of = slice(at, at + a)
        at += a
        norms_of = float(norm[k, 0]), float(norm[k, 1])
        yield AttributeStatistics(name, n, mean[of], square[of], *norms_of, none[k], float(most[k]))


def _within(name: str, x: int, low: int, high: int) -> int:
    if not low <= x <= high:
        raise ValueError(f"{name}: wanted integers from {low} to {high}; got {x}")
    return x


def _numbers(name: str, x: object, size: int, low: float, high: float) -> Doubles:
    array = _check.column(name, x, np.float64, size)
    if not ((array >= low) & (array <= high)).all():
        raise ValueError(f"{name}: wanted {size} numbers from {low:g} to {high:g}; got others")
    return array
