"""Shorter attributes: principal components of each module's, found from pilot runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
from recsketch._files import File
from recsketch._values import Record
from recsketch.runs.batch import TraceBatch, as_batch
from recsketch.runs.gathering import spread
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats

    Doubles: TypeAlias = npt.NDArray[np.float64]

ENOUGH = 10  # pilot objects for each number of an attribute: with fewer, components describe the pilot runs alone


@dataclass(frozen=True, eq=False, repr=False)
class ReducedModule(Record):
    """The principal components of one module's attributes. Two are equal if all fields are.

    Attributes
    ----------
    name : str
    mean : (a,) float32
    basis : (k, a) float32
        Orthonormal rows; what stands for an attribute x is basis (x - mean), k numbers.
    objects : int
        Of the pilot runs.
    error, worst_error : float
        What attributes lose that the components were not found from: the root of sum |x - x'|^2 / sum |x|^2, and the
        largest |x - x'| / |x|. Measured on half of the pilot runs with the components of the other half.
    """

    name: str
    mean: Floats
    basis: Floats
    objects: int
    error: float
    worst_error: float

    def _shorter(self, x: Floats) -> Floats:
        return np.asarray((x - self.mean) @ self.basis.T)

    def _longer(self, y: Floats) -> Floats:
        return np.asarray(y @ self.basis + self.mean)

    def __str__(self) -> str:
        k, a = self.basis.shape
        loss = f"off by {self.error:.1%} of objects held out, {self.worst_error:.1%} at worst"
        return f"{_check.shown(self.name)}: {a} numbers to {k}, {loss}"

    def __repr__(self) -> str:
        return f"<{self}>"


@dataclass(frozen=True, eq=False, repr=False)
class Reduction(Record):
    """Turns runs into runs of shorter attributes, and back. Two are equal if all fields are.

    Attributes
    ----------
    modules : tuple of ReducedModule
        Those whose attributes become shorter. Others stay as they are.

    Notes
    -----
    Sketch what `apply` returns, with a specification that was fitted to it, and `restore` what is read. A sketch then
    takes so many unknowns less, but what the components do not hold is lost: see the errors. Errors that `unroll`
    states are those of the shorter attributes.

    Examples
    --------
    Attributes of 20 numbers that have 3 degrees of freedom:

    >>> import numpy as np
    >>> import recsketch as rs
    >>> rng = np.random.default_rng(0)
    >>> mixing = rng.standard_normal((3, 20))
    >>> def run():
    ...     trace = rs.Trace()
    ...     trace.outputs([trace.add("word", rng.standard_normal(3) @ mixing) for _ in range(12)])
    ...     return trace
    >>> pilot = [run() for _ in range(20)]
    >>> reduction = rs.Reduction.fit(pilot, keep=0.999)
    >>> print(reduction)
    'word': 20 numbers to 3, off by 0.0% of objects held out, 0.0% at worst
    >>> spec = rs.SketchSpec.fitted(reduction.apply(pilot))
    >>> spec.dim, rs.SketchSpec.fitted(pilot).dim
    (128, 512)
    >>> sk, new = rs.Sketcher(spec), run()
    >>> found = reduction.restore(sk.unroll(sk.sketch(reduction.apply(new))).to_trace())
    >>> bool(abs(found.objects[0].attribute - new.objects[0].attribute).max() < 1e-4)
    True
    """

    modules: tuple[ReducedModule, ...]

    @classmethod
    def fit(cls, runs: Trace | TraceBatch | Iterable[Trace], keep: float = 0.99) -> Reduction:
        """Principal components of pilot runs.

        Parameters
        ----------
        runs : Trace, TraceBatch or iterable of Trace
            A module is reduced if these have at least 10 objects of it for each number of its attribute.
        keep : float
            Below 1: of each module as many components as hold that share of its attributes' variance. From 1: that
            many, of modules with longer attributes.

        Returns
        -------
        Reduction
            Without modules, if there is nothing to be gained.

        Raises
        ------
        ValueError, TypeError
            `runs` or `keep` is something else, a module has attributes of several lengths, or NaN or infinity in one.

        Notes
        -----
        Cost: n a^2 operations and 16 n a bytes for a module's n objects, and 10 a^3 operations.
        """
        batch = as_batch(runs, "runs")[0]
        what = "a share of the variance above 0 and below 1, or a number of components from 1"
        share = _check.number("keep", keep, what, 0.0, float(1 << 20))
        if share > 1 and share != int(share):
            raise ValueError(f"keep: wanted {what}; got {_check.describe(keep)}")
        run = np.repeat(np.arange(len(batch)), np.diff(batch.objects))
        found = []
        for name, length in batch.modules.items():
            own = np.flatnonzero(batch.module == batch.names.index(name))
            if own.size < ENOUGH * length:
                continue
            x = batch.attributes[_elements(batch, own)].reshape(own.size, length).astype(np.float64)
            if not np.isfinite(x).all():
                raise ValueError(f"runs: wanted finite attributes of {_check.shown(name)}; got NaN or infinity")
            mean, basis = _components(x, share)
            if len(basis) < length:
                errors = _held_out(x, run[own], share)
                arrays = mean.astype(np.float32), basis.astype(np.float32)
                found.append(ReducedModule(name, *arrays, own.size, *errors))
        return cls(tuple(found))

    def apply(self, runs: Trace | TraceBatch | Iterable[Trace]) -> Any:
        """The runs with shorter attributes.

        Parameters
        ----------
        runs : Trace, TraceBatch or iterable of Trace

        Returns
        -------
        Trace for a Trace, else TraceBatch

        Raises
        ------
        ValueError, TypeError
            `runs` is something else, or a module has attributes of another length.

        Notes
        -----
        Cost: a k operations an object.
        """
        return _mapped(runs, {m.name: (*m.basis.shape[::-1], m._shorter) for m in self.modules})

    def restore(self, runs: Trace | TraceBatch | Iterable[Trace]) -> Any:
        """Runs as they were before `apply`, as far as the components hold them: ``x' = mean + basis.T y``.

        Parameters
        ----------
        runs : Trace, TraceBatch or iterable of Trace
            For example `Unrolled.to_trace()`.

        Returns
        -------
        Trace for a Trace, else TraceBatch

        Raises
        ------
        ValueError, TypeError
            As of `apply`.

        Notes
        -----
        Cost: a k operations an object.
        """
        return _mapped(runs, {m.name: (*m.basis.shape, m._longer) for m in self.modules})

    def save(self, path: File) -> None:
        """Write to an .npz file, complete or not at all, as `TraceBatch.save` does.

        Raises
        ------
        OSError
            The file or its folder cannot be written.
        TypeError, ValueError
            `path` is no file name.
        """
        flat = [m.basis.ravel() for m in self.modules]
        arrays = {
            "modules": np.array([m.name for m in self.modules], np.str_),
            "lengths": np.array([m.basis.shape for m in self.modules], np.int64).reshape(-1, 2),
            "means": np.concatenate([np.empty(0, np.float32), *(m.mean for m in self.modules)]),
            "bases": np.concatenate([np.empty(0, np.float32), *flat]),
            "objects": np.array([m.objects for m in self.modules], np.int64),
            "errors": np.array([(m.error, m.worst_error) for m in self.modules], np.float64).reshape(-1, 2),
        }
        _npz.save(path, arrays)

    @classmethod
    def load(cls, path: File) -> Reduction:
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
        return _npz.load(path, set(COLUMNS), "Reduction.save", lambda arrays: cls(tuple(_read(**arrays))))

    def __str__(self) -> str:
        return "\n".join(map(str, self.modules)) or "no module is reduced"

    def __repr__(self) -> str:
        return f"<Reduction of {_check.count(len(self.modules), 'module')}>"


COLUMNS = ("modules", "lengths", "means", "bases", "objects", "errors")


def _read(modules: Any, lengths: Any, means: Any, bases: Any, objects: Any, errors: Any) -> Iterable[ReducedModule]:
    """The modules of a file, whose columns must fit each other."""
    names = _npz.texts("modules", modules)
    n = len(names)
    if lengths.shape != (n, 2) or lengths.dtype != np.int64 or errors.shape != (n, 2) or errors.dtype != np.float64:
        raise ValueError(f"lengths and errors: wanted shape ({n}, 2); got {lengths.shape} and {errors.shape}")
    number = _check.column("objects", objects, np.int64, n)
    k, a = (lengths[:, i].tolist() for i in (0, 1))
    if any(not 1 <= p < q <= 1 << 20 for p, q in zip(k, a, strict=True)):
        raise ValueError("lengths: wanted fewer components than numbers, at most 2**20; got others")
    mean = _check.finite("means", _check.column("means", means, np.float32, sum(a)))
    basis = _check.finite(
        "bases", _check.column("bases", bases, np.float32, sum(p * q for p, q in zip(k, a, strict=True)))
    )
    i = j = 0
    for name, p, q, count, error in zip(names, k, a, number.tolist(), errors.tolist(), strict=True):
        yield ReducedModule(name, mean[i : i + q], basis[j : j + p * q].reshape(p, q), count, *error)
        i, j = i + q, j + p * q


def _components(x: Doubles, keep: float) -> tuple[Doubles, Doubles]:
    """The mean of (n, a) attributes and their first principal components, (k, a)."""
    mean = x.mean(axis=0)
    apart = x - mean
    values, vectors = np.linalg.eigh(apart.T @ apart)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    k = int(keep)
    if keep < 1:
        k = int(np.searchsorted(np.cumsum(values), keep * values.sum())) + 1
    return mean, vectors[:, :k].T


def _held_out(x: Doubles, run: npt.NDArray[np.int64], keep: float) -> tuple[float, float]:
    """What attributes of every second run lose that has objects of the module, by the components of the others. Of a
    single run it is every second object."""
    number = np.unique(run, return_inverse=True)[1]
    second = (number if number[-1] else np.arange(len(x))) % 2 == 1
    mean, basis = _components(x[~second], keep)
    apart = x[second] - mean
    lost = np.linalg.norm(apart - apart @ basis.T @ basis, axis=1)
    norms = np.linalg.norm(x[second], axis=1)
    worst = np.divide(lost, norms, out=np.zeros(len(lost)), where=norms > 0)
    return float(np.linalg.norm(lost) / (np.linalg.norm(norms) or 1.0)), float(worst.max())


def _elements(batch: TraceBatch, own: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Where the elements of these objects stand in the batch's attributes, object by object."""
    return spread(batch.attribute_ends[own], np.diff(batch.attribute_ends)[own])


def _mapped(
    runs: Trace | TraceBatch | Iterable[Trace], of: dict[str, tuple[int, int, Callable[[Floats], Floats]]]
) -> Any:
    """The runs with attributes mapped; `of` has a module's length, that to come, and the map of (n, a) arrays."""
    batch, single = as_batch(runs, "runs")
    old = np.diff(batch.attribute_ends)
    new, mapped = old.copy(), {}
    for index, name in enumerate(batch.names):
        own = np.flatnonzero(batch.module == index)
        if name in of and own.size:
            before, after, function = of[name]
            if (old[own] != before).any():
                wanted = f"attributes of length {before} of {_check.shown(name)}"
                raise ValueError(f"runs: wanted {wanted}; got {old[own].min()} to {old[own].max()}")
            new[own] = after
            mapped[index] = own, function(batch.attributes[_elements(batch, own)].reshape(-1, before))
    columns = {name: getattr(batch, name) for name in TraceBatch.__slots__}
    columns["attribute_ends"] = np.append(0, np.cumsum(new))
    columns["attributes"] = np.empty(int(new.sum()), np.float32)
    out = TraceBatch._of(**columns)
    kept = np.flatnonzero(~np.isin(batch.module, list(mapped)))
    out.attributes[_elements(out, kept)] = batch.attributes[_elements(batch, kept)]
    for own, values in mapped.values():
        out.attributes[_elements(out, own)] = np.ravel(values)
    return out[0] if single else out
