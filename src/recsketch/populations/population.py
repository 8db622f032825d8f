"""Sums of sketches of many runs, and what they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
import recsketch._npz as _npz
import recsketch.sketching.packing as packing
from recsketch.populations.columns import Columns, Path
from recsketch.populations.elements import UNKNOWN, GroupStatistics, of_sums
from recsketch.populations.estimates import statistics
from recsketch.populations.fitting import fit, prefixes
from recsketch.populations.fixed import STEP, whole_sums
from recsketch.populations.results import PopulationReading
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import os
    from typing import BinaryIO

    import numpy.typing as npt

    from recsketch.sketching.packing import PackedSketches

    Sums = npt.NDArray[np.int64]
    File: TypeAlias = str | os.PathLike[str] | BinaryIO

GROUPS = 32
LARGEST = 2.0**18  # RSK_LARGEST_FIXED
SLICE = 4096  # sketches that are added before their sums' size is looked at again
MAX_DEPTH = 64


class Population:
    """Sums of the sketches of many runs under one specification: mergeable, exact, and readable path by path.

    Parameters
    ----------
    spec : SketchSpec
        Of `SketchSpec.additive`, or another without order, with weighting "count" and linear attributes: of others a
        sum is no linear function of what the runs hold.

    Raises
    ------
    ValueError, TypeError
        Another specification, or something else.

    Notes
    -----
    Sums are whole numbers of 2**-32: they have the same bits in whatever order, by whichever partition over workers and
    by whichever tree of merges the runs were added. Each of 32 groups of runs has a sum, from which `read` tells
    errors. Memory: 256 d bytes. A number of a sketch may be up to 2**18, and sums up to 2**31.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> spec = rs.SketchSpec.additive(256, {"page": 2, "line": 3}, seed=1)
    >>> rng, sk, population = np.random.default_rng(0), rs.Sketcher(spec), rs.Population(spec)
    >>> for _ in range(40):
    ...     run = rs.Trace()
    ...     lines = [run.add("line", rng.standard_normal(3) + [1, 2, 3]) for _ in range(4)]
    ...     run.outputs([run.add("page", rng.standard_normal(2), inputs=lines)])
    ...     population.update(sk.sketch(run))
    >>> found = population.read()
    >>> found
    Population of 40 runs, all of it
      page: 40 objects, 1 a run
      page > line: 160 objects, 4 a run
    >>> bool(abs(found.at("page", "line").mean - [1, 2, 3]).max() < 0.3)
    True
    """

    __slots__ = ("_bound", "_columns", "_own", "_runs", "_sums", "spec")

    def __init__(self, spec: SketchSpec) -> None:
        if not isinstance(spec, SketchSpec):
            raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
        if spec.ordered or spec.weighting != "count" or spec.attributes != "linear" or spec.signature:
            wanted = "one of SketchSpec.additive, without order and signatures, weighting 'count', attributes 'linear'"
            got = f"ordered={spec.ordered}, {spec.weighting!r}, {spec.attributes!r}, signature={spec.signature}"
            raise ValueError(f"spec: wanted {wanted}; got {got}")
        self.spec = spec
        self._sums: Sums = np.zeros((GROUPS, spec.dim), np.int64)
        self._runs: Sums = np.zeros(GROUPS, np.int64)
        self._own = 0  # runs that were spread by their own bits
        self._bound = 0.0  # of |sums|
        self._columns: Columns | None = None

    # ------------------------------------------------------------ adding

    def update(self, sketches: npt.ArrayLike | PackedSketches, groups: npt.ArrayLike | None = None) -> None:
        """Add sketches.

        Parameters
        ----------
        sketches : (d,) or (n, d) array_like, or PackedSketches
            Of packed ones the rounding stays in the sum: ``read(noise=)`` takes the root of the sum of their `noise`,
            squared, over all that were added.
        groups : int or (n,) array_like of int, optional
            Of each run the unit that it belongs to, from 0: a day, a session, a user. Runs of one unit go to one of the
            32 groups, whose number is that of the unit modulo 32. Errors are right if units are independent. If not
            given, runs are spread over groups by their sketches' bits, which is right if runs are independent of each
            other, and states too small errors if they are not.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit, NaN, a number above 2**18, groups that are no integers from 0 to 2**62. Nothing is
            added.
        OverflowError
            A sum would leave its range. Nothing is added.

        Notes
        -----
        Cost: two to three times what reading the sketches from memory takes (docs/figures.md).
        """
        s = _check.sketches("sketches", packing.unpacked(sketches)[0], self.spec.dim)
        s = np.ascontiguousarray(s[None] if s.ndim == 1 else s)
        of = _spread(s) if groups is None else _given(groups, len(s))
        before = self._sums.copy() if len(s) > SLICE else None
        try:
            for i in range(0, len(s), SLICE):
                self._add(s[i : i + SLICE], of[i : i + SLICE], i)
        except (ValueError, OverflowError):
            if before is not None:
                self._sums = before
            raise
        self._runs += np.bincount(of, minlength=GROUPS)
        self._own += 0 if groups is not None else len(s)

    def _add(self, s: npt.NDArray[np.float32], of: npt.NDArray[np.int32], first: int) -> None:
        if self._bound + len(s) * LARGEST / STEP >= 2.0**63:
            self._bound = float(np.abs(self._sums).max())
        more = len(s) * LARGEST / STEP
        if self._bound + more >= 2.0**63:
            more = len(s) * float(np.abs(s).max(initial=0.0)) / STEP
            if self._bound + more >= 2.0**63:
                raise OverflowError(f"sketches: wanted sums below 2**31; got {self._bound * STEP:.3g} and more to come")
        bad = _core.add_fixed(s, of, self._sums)
        if bad >= 0:
            what = "NaN" if np.isnan(s[bad]).any() else f"{np.abs(s[bad]).max():.3g}"
            raise ValueError(f"sketches[{first + bad}]: wanted finite numbers of at most 2**18; got {what}")
        self._bound += more

    @classmethod
    def of_fixed_point(cls, spec: SketchSpec, total: npt.ArrayLike, runs: int, step: float | None = None) -> Population:
        """The population of runs of whose sketches only the sum is known, in fixed point, as of `fixed_point`.

        Parameters
        ----------
        spec : SketchSpec
        total : (d,) uint64 or uint32
            The sum modulo 2**64 or 2**32 of what `fixed_point` made of all sketches.
        runs : int
            How many these are, from 1.
        step : float, optional
            As it was given to `fixed_point`.

        Returns
        -------
        Population
            Of a single group: counts and means are as good as of any other, but without groups there are no errors.
            What was added on purpose, as for differential privacy, and steps longer than 2**-32 are told to `read` as
            its `noise`, and make errors.

        Raises
        ------
        ValueError, TypeError
            Another specification than the class takes; no such integers; numbers of 2**31 or more, in magnitude.

        Examples
        --------
        >>> import recsketch as rs
        >>> spec = rs.SketchSpec.additive(64, {"eye": 2})
        >>> run = rs.Trace()
        >>> run.outputs([run.add("eye", [1.0, 2.0])])
        >>> parts = [rs.fixed_point(rs.Sketcher(spec).sketch(run)) for _ in range(5)]
        >>> rs.Population.of_fixed_point(spec, sum(parts), runs=5).read()
        Population of 5 runs, all of it
          eye: 5 objects, 1 a run
        """
        found = cls(spec)
        found._sums[0] = whole_sums(total, spec.dim, step)
        found._runs[0] = _check.integer("runs", runs, 1, 2**62)
        found._bound = float(np.abs(found._sums).max())
        return found

    def merge(self, other: Population) -> None:
        """Add all runs of another population under an equal specification.

        Raises
        ------
        ValueError, TypeError
            Another specification; no population.
        OverflowError
            A sum would leave its range. Nothing is added.
        """
        if not isinstance(other, Population):
            raise TypeError(f"other: wanted a Population; got {_check.describe(other)}")
        if other.spec != self.spec:
            names = [k for k, v in self.spec._fields().items() if other.spec._fields().get(k) != v]
            raise ValueError(f"other: wanted the same specification; got another {', '.join(names) or 'parameter'}")
        bound = float(np.abs(self._sums).max()) + float(np.abs(other._sums).max())
        if bound >= 2.0**63:
            raise OverflowError(f"other: wanted sums below 2**31; got {bound * STEP:.3g}")
        self._sums += other._sums
        self._runs += other._runs
        self._own += other._own
        self._bound = bound

    def __add__(self, other: Population) -> Population:
        if not isinstance(other, Population):
            return NotImplemented
        found = Population(self.spec)
        found.merge(self)
        found.merge(other)
        return found

    def __len__(self) -> int:
        """How many runs were added."""
        return int(self._runs.sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Population):
            return NotImplemented
        same = self.spec == other.spec and np.array_equal(self._runs, other._runs) and self._own == other._own
        return bool(same and np.array_equal(self._sums, other._sums))

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def total(self) -> npt.NDArray[np.float64]:
        """(d,) The sum of all sketches."""
        return np.asarray(self._sums.sum(axis=0) * STEP)

    # ------------------------------------------------------------ reading

    def read(
        self,
        by: Literal["path", "module"] = "path",
        *,
        paths: Sequence[Sequence[str]] | None = None,
        max_depth: int = 16,
        noise: float = 0.0,
    ) -> PopulationReading:
        """How often each path of modules occurred, and what its objects have in common.

        Parameters
        ----------
        by : {"path", "module"}
            "module": all paths that end in one module are taken together.
        paths : sequence of sequences of str, optional
            Paths that are read whether they show or not, from the outputs down, with all above them, beside those that
            are found.
        max_depth : int
            Levels of paths that are looked for, 1 to 64.
        noise : float
            Root mean square error of a coordinate of the total that somebody has added, as for differential privacy. It
            is not taken for objects, and errors are at least what it makes.

        Returns
        -------
        PopulationReading

        Raises
        ------
        ValueError, TypeError
            Arguments out of range; no run was added.

        Notes
        -----
        Least squares over the paths that are in the sum, exact but for rounding while their unknowns, a + 1 a path or
        with second moments a (a + 1) / 2 more, are less than some 0.8 d. Paths are found as they stand out of what
        others leave; the wiring, if there is one, says where they may be. Cost: d n^2 and n^3 operations for n
        unknowns, a few times, and 8 d n bytes: on one thread, for n = 1,000 at d = 2,048, a second where paths are
        found, and 0.3 s where they are given.
        """
        _check.choice("by", by, ("path", "module"))
        depth = _check.integer("max_depth", max_depth, 1, MAX_DEPTH)
        told = abs(_check.number("noise", noise, "a number from 0", -math.ulp(0.0), _check.LARGEST))
        given = [] if paths is None else self._paths(paths)
        wanted = list(dict.fromkeys(above for p in given for above in prefixes(p)))
        if not len(self):
            raise ValueError("read: wanted at least one run; got none")
        sums = np.concatenate([self.total[:, None], self._sums.T * STEP], axis=1)
        found = fit(self._matrices(), sums, wanted, told, depth)
        runs = np.append(len(self), self._runs).astype(np.float64)
        x, spread = dict(zip(found.paths, found.x, strict=True)), dict(zip(found.paths, found.spread, strict=True))
        keys: dict[Path, list[Path]] = {}
        for p in sorted(found.paths):
            keys.setdefault(p if by == "path" else p[-1:], []).append(p)
        each = [
            statistics(
                self.spec,
                key,
                np.sum([x[p] for p in of], axis=0),
                told * np.sqrt(np.sum([spread[p] ** 2 for p in of], axis=0)),
                runs,
            )
            for key, of in keys.items()
        ]
        return PopulationReading(tuple(each), len(self), found.complete, found.unexplained)

    def groups(self, paths: Sequence[Sequence[str]] | None = None) -> GroupStatistics:
        """Statistics of the groups that have runs, for `compare`: of some paths, or of all that `read` finds."""
        there = self._runs > 0
        sums = self._sums[there].T.astype(np.float64) * STEP
        return of_sums(self._matrices(), sums, self._runs[there], self._known(paths))[0]

    def blocks(
        self, sketches: npt.ArrayLike | PackedSketches, block: int, paths: Sequence[Sequence[str]] | None = None
    ) -> GroupStatistics:
        """Statistics of blocks of runs that follow each other, for `Monitor`.

        Parameters
        ----------
        sketches : (n, d) array_like, or PackedSketches
            In the order of the runs; n a multiple of `block`. They are not added to the population.
        block : int
            Runs of a block.
        paths : sequence of sequences of str, optional
            If not given, those that are found in the population: earlier runs should be in it, and not these ones.

        Returns
        -------
        GroupStatistics
            With one more element, "unknown paths": the share of a block's sum, as a norm, that other paths have.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit, NaN, another number of sketches; no paths.
        """
        size = _check.integer("block", block, 1, 10**9)
        s = _check.sketches("sketches", packing.unpacked(sketches)[0], self.spec.dim).reshape(-1, self.spec.dim)
        if len(s) % size or not len(s):
            raise ValueError(f"sketches: wanted a multiple of {size}; got {len(s)}")
        _check.known("sketches", s, None)
        sums = s.reshape(-1, size, self.spec.dim).sum(axis=1, dtype=np.float64).T
        found, other = of_sums(self._matrices(), sums, np.full(sums.shape[1], size), self._known(paths))
        return replace(
            found,
            values=np.concatenate([found.values, other[:, None]], axis=1),
            elements=(*found.elements, UNKNOWN),
            paths=(*found.paths, UNKNOWN),
            path=np.append(found.path, len(found.paths)),
        )

    def _known(self, paths: Sequence[Sequence[str]] | None) -> list[Path]:
        found = [p.path for p in self.read()] if paths is None else self._paths(paths)
        if not found:
            raise ValueError("paths: wanted at least one, in the population or given; got none")
        return found

    def _matrices(self) -> Columns:
        if self._columns is None:
            self._columns = Columns(self.spec)
        return self._columns

    def _paths(self, given: Sequence[Sequence[str]]) -> list[Path]:
        return [self._path(p) for p in _check.members("paths", given, "sequences of names")]

    def _path(self, given: Sequence[str]) -> Path:
        names = _check.members("paths", given, "sequences of module names")
        for name in names:
            _check.choice("paths", name, self.spec.modules)
        if not 1 <= len(names) <= MAX_DEPTH:
            raise ValueError(f"paths: wanted 1 to {MAX_DEPTH} names each; got {len(names)}")
        return tuple(names)

    # ------------------------------------------------------------ files

    def save(self, path: File) -> None:
        """Write it to a file, that `load` reads. Equal populations make equal bytes."""
        _npz.save(path, {"spec": self.spec.to_json(), "sums": self._sums, "runs": self._runs, "own": self._own})

    @classmethod
    def load(cls, path: File) -> Population:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            Another, a damaged or a hostile file. Pickles are never read.
        OSError, TypeError
            The file cannot be read; `path` is no file name.
        """

        def make(arrays: dict[str, Any]) -> Population:
            found = cls(SketchSpec.from_json(_npz.text("spec", arrays["spec"])))
            for name, shape in (("sums", (GROUPS, found.spec.dim)), ("runs", (GROUPS,))):
                array = arrays[name]
                if array.shape != shape or array.dtype.kind != "i" or array.dtype.itemsize != 8:
                    raise ValueError(f"{name}: wanted int64 of shape {shape}; got {_check.describe(array)}")
                setattr(found, f"_{name}", np.array(array, np.int64))
            if found._runs.min() < 0 or (found._sums == np.iinfo(np.int64).min).any():
                raise ValueError("runs: wanted numbers from 0; got others")
            own = arrays["own"]
            if own.shape or own.dtype.kind != "i" or not 0 <= int(own) <= len(found):
                raise ValueError(f"own: wanted an integer from 0 to {len(found)}; got {_check.describe(own)}")
            found._own, found._bound = int(own), float(np.abs(found._sums).max())
            return found

        return _npz.load(path, {"spec", "sums", "runs", "own"}, "Population.save", make)

    def __repr__(self) -> str:
        return f"<Population of {_check.count(len(self), 'run')}, sums of {self.spec.dim} numbers in {GROUPS} groups>"


def _spread(s: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """A group for each sketch, that its own bits decide: the same wherever and whenever it is added."""
    word = s[:, :4].astype("<f4").view("<u4").astype(np.uint64)
    mixed = word[:, 0].copy()
    for k in range(1, word.shape[1]):
        mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) ^ word[:, k]
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(40)) % np.uint64(GROUPS)).astype(np.int32)


def _given(groups: npt.ArrayLike, n: int) -> npt.NDArray[np.int32]:
    array = np.asarray(groups)
    if array.dtype.kind not in "iu" or array.shape not in ((), (n,)):
        raise ValueError(f"groups: wanted an integer, or one for each of {n} sketches; got {_check.describe(array)}")
    if array.size and (int(array.min()) < 0 or int(array.max()) > 2**62):
        raise ValueError(f"groups: wanted numbers from 0 to 2**62; got {int(array.min())} to {int(array.max())}")
    return np.ascontiguousarray(np.broadcast_to(array % GROUPS, (n,)).astype(np.int32))
