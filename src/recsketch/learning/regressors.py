"""What a module is learned with: regressors in NumPy, others' by their `fit` and `predict`, and which of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np

import recsketch._check as _check

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]

CONSTANT = 1e-12  # deviation over mean that is rounding: the mean of n equal numbers is off by some 1e-16 of them
RIDGE = 1e-3  # on coefficients of features of unit deviation, against a sum over the rows


class Regressor(Protocol):
    """Anything that learns targets (n, a) from features (n, k)."""

    def fit(self, X: Doubles, y: Doubles) -> Any: ...
    def predict(self, X: Doubles) -> Any: ...


@dataclass(frozen=True)
class Scaling:
    """Columns of mean zero and deviation one. Constant ones become zero, and zero becomes their constant again."""

    mean: Doubles
    deviation: Doubles

    @classmethod
    def of(cls, x: Doubles) -> Scaling:
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        return cls(mean, np.where(deviation > CONSTANT * np.abs(mean), deviation, 0.0))

    def scaled(self, x: Doubles) -> Doubles:
        factor = np.divide(1.0, self.deviation, out=np.zeros_like(self.deviation), where=self.deviation > 0)
        return np.asarray((x - self.mean) * factor)

    def restored(self, x: Doubles) -> Doubles:
        return np.asarray(x * self.deviation + self.mean)


class Ridge:
    """Least squares, linear: the coefficients W that minimise ``|Y - Z W - b|^2 + ridge |W|^2``, Z scaled features."""

    def __init__(self, ridge: float = RIDGE) -> None:
        self.ridge = ridge

    def fit(self, X: Doubles, y: Doubles) -> Self:
        self.scaling_ = Scaling.of(X)
        z, y = self.scaling_.scaled(X), y.reshape(len(X), -1)
        self.intercept_ = y.mean(axis=0)
        gram = z.T @ z + self.ridge * np.eye(z.shape[1])
        self.coef_ = np.linalg.solve(gram, z.T @ (y - self.intercept_))
        return self

    def predict(self, X: Doubles) -> Doubles:
        return np.asarray(self.scaling_.scaled(X) @ self.coef_ + self.intercept_)


class Logistic:
    """Logistic regression of every element, which takes two values; predicted is the likelier one.

    The coefficients w minimise ``sum_i log(1 + exp(-t_i (z_i w + b))) + ridge / 2 |w|^2``, t_i = ±1 and z_i the scaled
    features, by Newton's method with halved steps, which converges from anywhere, the function being convex.
    """

    steps = 100  # 500 to 8,000 runs of the network of bits of docs/learning.md take 13 to 16

    def __init__(self, ridge: float = RIDGE) -> None:
        self.ridge = ridge

    def fit(self, X: Doubles, y: Doubles) -> Self:
        y = y.reshape(len(X), -1)
        self.low_, self.high_ = y.min(axis=0), y.max(axis=0)
        self.scaling_ = Scaling.of(X)
        z = np.hstack([self.scaling_.scaled(X), np.ones((len(X), 1))])
        self.coef_ = np.stack([self._newton(z, t) for t in np.where(y > (self.low_ + self.high_) / 2, 1.0, -1.0).T], 1)
        return self

    def _newton(self, z: Doubles, t: Doubles) -> Doubles:
        """(k + 1,) The coefficients of one element, the last one the intercept."""
        ridge = np.full(z.shape[1], self.ridge)
        ridge[-1] = 0.0
        w = np.zeros(z.shape[1])
        value = self._loss(z, t, w, ridge)
        for _ in range(self.steps):
            wrong = 1.0 / (1.0 + np.exp(np.clip(t * (z @ w), -500.0, 500.0)))  # what the model gives the other value
            slope = ridge * w - z.T @ (t * wrong)
            curvature = (z * np.maximum(wrong * (1.0 - wrong), 1e-12)[:, None]).T @ z
            step = np.linalg.solve(curvature + np.diag(ridge), slope)
            gain, share = float(slope @ step), 1.0
            while (new := self._loss(z, t, w - share * step, ridge)) > value - 1e-4 * share * gain and share > 1e-6:
                share /= 2
            w, value = w - share * step, new
            if gain <= 1e-10 * (1.0 + value):
                break
        return w

    @staticmethod
    def _loss(z: Doubles, t: Doubles, w: Doubles, ridge: Doubles) -> float:
        return float(np.logaddexp(0.0, -t * (z @ w)).sum() + (ridge * w * w).sum() / 2)

    def predict(self, X: Doubles) -> Doubles:
        scores = self.scaling_.scaled(X) @ self.coef_[:-1] + self.coef_[-1]
        return np.asarray(np.where(scores > 0, self.high_, self.low_))


NAMES = ("ridge", "logistic", "network")


def checked(name: str, given: object) -> None:
    """Refuse what is neither None, nor one of `NAMES`, nor has `fit` and `predict`."""
    if given is None or (isinstance(given, str) and given in NAMES):
        return
    able = all(callable(getattr(given, verb, None)) for verb in ("fit", "predict"))
    if not able or isinstance(given, type):
        wanted = f"{', '.join(map(repr, NAMES))}, or something with fit and predict"
        raise TypeError(f"{name}: wanted {wanted}; got {_check.describe(given)}")


def made(given: Any, two_valued: bool, seed: int) -> Regressor:
    """A new regressor: the one named, a copy of the one given, or where none is, the one that suits the targets."""
    name = ("logistic" if two_valued else "network") if given is None else given
    if name == "ridge":
        return Ridge()
    if name == "logistic":
        return Logistic()
    if name == "network":
        from recsketch.learning.network import Network

        return Network(seed=seed)
    if hasattr(given, "get_params"):  # parameters alone, as scikit-learn clones: what was fitted stays behind
        regressor: Regressor = type(given)(**copy.deepcopy(given.get_params(deep=False)))
        return regressor
    copied: Regressor = copy.deepcopy(given)
    return copied
