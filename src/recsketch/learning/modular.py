"""The modules of a network learned from what it was given and the sketches of what it did. Experimental."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch.learning import levels as two_values
from recsketch.learning.regressors import Regressor, checked, made
from recsketch.learning.uses import Raw, Rows, Uses, uses
from recsketch.sketcher import Sketcher
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec
from recsketch.transforms._base import Estimator

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats
    from recsketch.learning.levels import Levels
    from recsketch.runs.trace import Trace

Doubles: TypeAlias = "npt.NDArray[np.float64]"

SNAPS = ("sign", "off")


class ModularRegressor(Estimator):
    """A network of known structure, learned module by module from inputs and sketches. Experimental.

    What a module was given and what it gave are read from the sketches by `Sketcher.recover`; each module is then an
    ordinary regression, and the network is its modules one after the other.

    Parameters
    ----------
    structure : Trace
        Modules, inputs, weights and outputs, the same in all runs; its attributes are not looked at. Objects that reach
        no output with positive weight play no part.
    spec : SketchSpec or Sketcher
        That of the sketches, or whatever else has the `recover` of a Sketcher.
    estimator : None, {"ridge", "logistic", "network"} or an estimator, optional
        What learns a module: something with ``fit(X, y)`` and ``predict(X)``, of which every module gets a copy (by
        `get_params`, if it has that, else `copy.deepcopy`). y is (n,) where attributes have one element. None is
        "logistic" for modules whose attributes take two values an element, and "network", one hidden layer of 64 tanh
        units, for all others. "ridge" is linear: on modules that are not, and that give numbers, it is no better than
        a network trained end to end (docs/learning.md).
    estimators : mapping of str to these, optional
        For modules of these names.
    raw : mapping of str or int to slice or vector of int, optional
        Columns of X that a module is given, or the object of that number in `structure`: behind what its inputs gave,
        if it has inputs. An object without inputs, for which nothing is named, is given all columns.
    snap : {None, "sign", "off"}
        What is known to take two values an element is rounded to them, which removes the noise. None finds out, module
        by module, whether attributes do: whether two values explain them but for three times the standard errors that
        `recover` states, and are eight deviations apart. "sign" takes them to be of opposite sign, in all modules;
        "off" takes nothing for two-valued.
    random_state : int
        Seed of the networks, 0 to 2**64 - 1.
    threads : int, optional
        Upper bound for reading sketches; all that OpenMP offers if not given.

    Attributes
    ----------
    modules_ : dict of str to estimator
    recovered_ : dict of int to (n, a) float32
        The attribute of every object as it was read, under the numbers of `structure`; NaN where it could not be.
    recovery_error_ : dict of int to (n,) float32
        Standard errors of an element of these.
    levels_ : dict of str to (2, a) float64
        The two values of modules whose attributes were taken to have two.
    n_features_in_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a table with names.

    Notes
    -----
    A use of a module in a run is a sample: a module that stands at k places has k n of them. Its features are the
    attributes of its inputs in their order, as read, and its targets are its own. When predicting, a module is given
    what the modules below it predicted, each rounded to its two values where it has these.

    Cost: that of `Sketcher.recover` for n sketches, which grows with d, and a regression a module. "logistic" takes
    some 15 iterations of n k^2 operations an element, k features; "network" some 70 to 250 epochs, and at most 500, of
    6 n 64 (k + a) operations. Memory: the attributes of all runs in float32 and once more in float64, and the samples
    of one module twice.

    References
    ----------
    Ghazi, Panigrahy, Wang, "Recursive Sketches for Modular Deep Learning", ICML 2019, from which the idea is.

    Examples
    --------
    Two modules of four bits read two halves of the input, and a third one reads them:

    >>> import numpy as np
    >>> import recsketch as rs
    >>> rng = np.random.default_rng(0)
    >>> low, high, top = (rng.standard_normal((k, 4)) for k in (3, 3, 8))
    >>> def network(X):
    ...     a, b = np.sign(X[:, :3] @ low), np.sign(X[:, 3:] @ high)
    ...     return a, b, np.sign(np.hstack([a, b]) @ top)
    >>> def run(a, b, c):
    ...     trace = rs.Trace()
    ...     trace.outputs([trace.add("top", c, [trace.add("low", a), trace.add("high", b)])])
    ...     return trace
    >>> X = rng.standard_normal((400, 6))
    >>> runs = [run(*rows) for rows in zip(*network(X))]
    >>> spec = rs.SketchSpec(64, {"low": 4, "high": 4, "top": 4})
    >>> stored = rs.pack(rs.Sketcher(spec).sketch(runs), "float16")
    >>> model = rs.ModularRegressor(runs[0], spec=spec, raw={"low": slice(0, 3), "high": slice(3, 6)})
    >>> new = rng.standard_normal((1000, 6))
    >>> right = model.fit(X, stored).predict(new).round() == network(new)[-1]
    >>> sorted(model.levels_), model.levels_["top"].round(3).tolist()
    (['high', 'low', 'top'], [[-1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]])
    >>> bool(right.mean() > 0.95)
    True
    """

    random_state: int

    def __init__(
        self,
        structure: Trace,
        *,
        spec: SketchSpec | Sketcher | Any,
        estimator: str | Any = None,
        estimators: Mapping[str, Any] | None = None,
        raw: Raw | None = None,
        snap: str | None = None,
        random_state: int = 0,
        threads: int | None = None,
    ) -> None:
        self.structure = structure
        self.spec = spec
        self.estimator = estimator
        self.estimators = estimators
        self.raw = raw
        self.snap = snap
        self.random_state = random_state
        self.threads = threads

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        targets = TargetTags(required=False, multi_output=True)
        return Tags("regressor", targets, regressor_tags=RegressorTags(), input_tags=InputTags())

    def fit(
        self,
        X: Any,
        sketches: npt.ArrayLike | PackedSketches,
        y: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> Self:
        """Read the attributes from the sketches, and learn every module.

        A fit that raises leaves the estimator as it was.

        Parameters
        ----------
        X : (n, features) array_like or table
            What the network was given in each run; names of a table's columns are kept.
        sketches : (n, d) array_like, or PackedSketches
        y : (n, k) array_like, optional
            The attributes of the outputs beside each other, where they are known: they take the place of what the
            sketches say of them.
        mask : (d,) or (n, d) array of bool, optional
            True where a coordinate is kept. Erased ones may be anything, NaN too.

        Raises
        ------
        ValueError
            What `Sketcher.recover` refuses; NaN or infinity in X or y; numbers of rows that differ; a parameter out of
            its range; uses of one module that are not alike; "logistic" for a module whose attributes do not take two
            values; a module that could be read in fewer than two samples.
        TypeError
            A parameter or argument of another type.

        Warns
        -----
        CapacityWarning, StructureWarning
            As by `Sketcher.recover`.
        """
        with self._as_before_if_it_fails():
            rows = self._rows_to_fit(X)
            wired = uses(self.structure, self.raw, rows.shape[1])
            chosen = self._chosen(wired)
            seed = _check.integer("random_state", self.random_state, 0, 2**64 - 1)
            if self.snap is not None:
                _check.choice("snap", self.snap, SNAPS)
            targets = None if y is None else self._outputs_given("y", y, len(rows), wired)
            self._uses = wired
            self.recovered_, self.recovery_error_ = self._read(sketches, mask, len(rows), wired)
            known: dict[int, Rows] = {i: x.astype(np.float64) for i, x in self.recovered_.items()}
            known |= targets or {}
            self._levels = self._two_valued(known, wired, set(targets or ()))
            self.levels_ = {module: np.stack([v.low, v.high]) for module, v in self._levels.items()}
            for use in wired.all:
                if use.module in self._levels:
                    unread = np.isnan(known[use.number])
                    known[use.number] = np.where(unread, np.nan, self._levels[use.module].nearest(known[use.number]))
            self.modules_ = {
                module: self._learned(module, chosen[module], rows, known, [seed, k])
                for k, module in enumerate(wired.modules)
            }
        return self

    def _chosen(self, wired: Uses) -> dict[str, Any]:
        """What each module is to be learned with, as it was given."""
        own = {} if self.estimators is None else self.estimators
        if not isinstance(own, Mapping):
            raise TypeError(f"estimators: wanted a mapping of modules to estimators; got {_check.describe(own)}")
        checked("estimator", self.estimator)
        for module, given in own.items():
            checked(f"estimators[{_check.shown(_check.choice('estimators', module, wired.modules))}]", given)
        return {module: own.get(module, self.estimator) for module in wired.modules}

    def _outputs_given(self, name: str, y: npt.ArrayLike, n: int, wired: Uses) -> dict[int, Doubles]:
        """(n, a) of every output."""
        widths = [wired.lengths[i] for i in wired.outputs]
        what = f"the attributes of {_check.count(n, 'run')}'s outputs, shape ({n}, {sum(widths)})"
        values = _check.reals(name, y, what).astype(np.float64)
        if values.ndim == 1 and sum(widths) == 1:
            values = values[:, None]
        if values.shape != (n, sum(widths)):
            raise ValueError(f"{name}: wanted {what}; got {_check.describe(values)}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: wanted finite numbers; got NaN or infinity")
        return dict(zip(wired.outputs, np.split(values, np.cumsum(widths)[:-1], axis=1), strict=True))

    def _read(
        self, sketches: npt.ArrayLike | PackedSketches, mask: npt.ArrayLike | None, n: int, wired: Uses
    ) -> tuple[dict[int, Floats], dict[int, Floats]]:
        """The attributes (n, a) of every object, and their errors (n,)."""
        what = f"({n}, d), one sketch for each row of X"
        stored = sketches if isinstance(sketches, PackedSketches) else _check.reals("sketches", sketches, what)
        shape = (stored.values if isinstance(stored, PackedSketches) else stored).shape
        if len(shape) != 2 or shape[0] != n:
            raise ValueError(f"sketches: wanted shape {what}; got shape {shape}")
        reader = Sketcher(self.spec, self.threads) if isinstance(self.spec, SketchSpec) else self.spec
        if not callable(getattr(reader, "recover", None)):
            wanted = "a SketchSpec, a Sketcher, or something else with its recover"
            raise TypeError(f"spec: wanted {wanted}; got {_check.describe(self.spec)}")
        found = reader.recover(stored, self.structure, mask=mask)
        objects = [use.number for use in wired.all]
        attributes = {i: np.stack([r.attributes[i] for r in found]) for i in objects}
        return attributes, {i: np.array([r.errors[i] for r in found], np.float32) for i in objects}

    def _two_valued(self, known: Mapping[int, Rows], wired: Uses, exact: set[int]) -> dict[str, Levels]:
        """The two values of those modules whose attributes have them; `exact` are objects known without error."""
        found = {}
        for module in wired.modules if self.snap != "off" else ():
            numbers = [use.number for use in wired.of(module)]
            x = np.concatenate([known[i] for i in numbers])
            errors = [np.zeros_like(e) if i in exact else e for i, e in self.recovery_error_.items() if i in numbers]
            read = ~np.isnan(x).any(axis=1)
            x, error = x[read], np.concatenate(errors)[read].astype(np.float64)
            if len(x):
                values = two_values.by_sign(x) if self.snap == "sign" else two_values.found(x, error)
                if values is not None:
                    found[module] = values
        return found

    def _learned(self, module: str, given: Any, rows: Rows, known: Mapping[int, Rows], seed: list[int]) -> Regressor:
        """The regressor of a module, fitted to all its uses."""
        users = self._uses.of(module)
        features = np.concatenate([use.features(rows, known) for use in users])
        targets = np.concatenate([known[use.number] for use in users])
        read = ~(np.isnan(features).any(axis=1) | np.isnan(targets).any(axis=1))
        shown = _check.shown(module)
        if read.sum() < 2:
            samples = _check.count(int(read.sum()), "sample")
            raise ValueError(f"sketches: wanted at least 2 samples of {shown} that could be read; got {samples}")
        if given == "logistic" and module not in self._levels:
            raise ValueError(
                f"estimator: wanted attributes of {shown} of two values an element for 'logistic'; got others, or the "
                "noise hides it: snap='sign' takes them to be of opposite sign"
            )
        features, targets = features[read], targets[read]
        number = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        regressor = made(given, module in self._levels, number)
        regressor.fit(features, targets if targets.shape[1] > 1 else targets[:, 0])
        return regressor

    def _run(self, rows: Rows) -> dict[int, Doubles]:
        """What the learned modules make of rows of X, object by object. NaN and infinity are refused."""
        self._require_finite(rows, getattr(self, "feature_names_in_", None))
        out: dict[int, Doubles] = {}
        for use in self._uses.all:
            found = np.asarray(self.modules_[use.module].predict(use.features(rows, out)), np.float64)
            shape = (len(rows), self._uses.lengths[use.number])
            if found.size != shape[0] * shape[1] or len(found) != len(rows):
                what = f"predict of the estimator of {_check.shown(use.module)}"
                raise ValueError(f"{what}: wanted shape {shape}; got {found.shape}")
            found = found.reshape(shape)
            out[use.number] = self._levels[use.module].nearest(found) if use.module in self._levels else found
        return out

    def predict_modules(self, X: Any) -> dict[int, Doubles]:
        """The attributes that the learned network gives, object by object.

        Parameters
        ----------
        X : (n, n_features_in_) array_like or table

        Returns
        -------
        dict of int to (n, a) float64
            Under the numbers of `structure`, objects that reach no output left out.

        Raises
        ------
        ValueError, TypeError
            As by `fit`; other columns than fitted; an estimator that predicts another shape.
        """
        self._fitted()
        return self._run(self._rows_as_fitted(X))

    def predict(self, X: Any) -> Doubles:
        """The attributes of the outputs beside each other, in their order, each output once.

        Parameters
        ----------
        X : (n, n_features_in_) array_like or table

        Returns
        -------
        (n, k) float64

        Raises
        ------
        ValueError, TypeError
            As by `predict_modules`.
        """
        self._fitted()
        found = self._run(self._rows_as_fitted(X))
        return np.concatenate([found[i] for i in self._uses.outputs], axis=1)

    def score(self, X: Any, y: npt.ArrayLike) -> float:
        """The share of the outputs' variance that `predict` explains, averaged over their elements (R²).

        Parameters
        ----------
        X : (n, n_features_in_) array_like or table
        y : (n, k) array_like
            The outputs as the network gave them.

        Returns
        -------
        float
            1 at best. Of an element that is constant in `y`, 1 where it is predicted and else 0.

        Raises
        ------
        ValueError, TypeError
            As by `predict`, and a `y` of another shape.
        """
        found = self.predict(X)
        given = self._outputs_given("y", y, len(found), self._uses)
        true = np.concatenate([given[i] for i in self._uses.outputs], axis=1)
        left = ((true - found.reshape(true.shape)) ** 2).sum(axis=0)
        all_of_it = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            explained = 1.0 - left / all_of_it
        return float(np.mean(np.where(all_of_it > 0, explained, np.where(left > 0, 0.0, 1.0))))


def fit_modules(
    X: Any,
    sketches: npt.ArrayLike | PackedSketches,
    structure: Trace,
    *,
    spec: SketchSpec | Sketcher | Any,
    y: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    **parameters: Any,
) -> ModularRegressor:
    """Learn the modules of a network from inputs and sketches: a `ModularRegressor`, fitted. Experimental.

    Parameters
    ----------
    X, sketches, y, mask
        As of `ModularRegressor.fit`.
    structure, spec, **parameters
        As of `ModularRegressor`.

    Raises
    ------
    ValueError, TypeError
        As by `ModularRegressor.fit`; a parameter that it does not have.

    Examples
    --------
    A line, learned from runs of which half of the sketch is lost:

    >>> import numpy as np
    >>> import recsketch as rs
    >>> X = np.linspace(0, 1, 50)[:, None]
    >>> runs = [rs.Trace() for _ in X]
    >>> for run, (x,) in zip(runs, X):
    ...     run.outputs([run.add("line", [2 * x + 1, -x])])
    >>> sk = rs.Sketcher(rs.SketchSpec(64, {"line": 2}))
    >>> kept = np.arange(64) % 2 == 0
    >>> model = rs.fit_modules(X, sk.sketch(runs), runs[0], spec=sk, mask=kept, estimator="ridge")
    >>> model.predict([[2.0]]).round(3)
    array([[ 5., -2.]])
    """
    return ModularRegressor(structure, spec=spec, **parameters).fit(X, sketches, y, mask)
