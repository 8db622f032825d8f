"""A small neural network: one hidden layer, in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np

from recsketch.learning.regressors import Scaling

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]

FORGET = 0.9, 0.999  # beta_1 and beta_2 of Adam
HELD = 10  # of so many rows one is held out
STEPS = 40  # an epoch: a batch is a 40th of the rows, and at least
LEAST = 16
BETTER = 0.99  # of the least error so far: what counts as a smaller one


class Network:
    """``y = V tanh(U x + u) + v``, for features x and targets y of mean zero and deviation one.

    The mean square error is minimised by Adam [1]_ on batches. A tenth of the rows is held out: the weights kept are
    those of least error there. After `patience` epochs without a smaller one training goes back to them with a tenth of
    the step, and ends at the third time. Equal seeds give equal weights on one machine.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    def __init__(
        self, hidden: int = 64, seed: int = 0, step: float = 1e-2, epochs: int = 500, patience: int = 5
    ) -> None:
        self.hidden, self.seed, self.step, self.epochs, self.patience = hidden, seed, step, epochs, patience

    def fit(self, X: Doubles, y: Doubles) -> Self:
        y = y.reshape(len(X), -1)
        self.inputs_, self.outputs_ = Scaling.of(X), Scaling.of(y)
        x, t = self.inputs_.scaled(X), self.outputs_.scaled(y)
        rng = np.random.default_rng(self.seed)
        self.layers_ = Layers(x.shape[1], self.hidden, t.shape[1])
        held, rows = np.split(rng.permutation(len(x)), [len(x) // HELD])
        held = held if held.size else rows
        x_held, t_held = x[held], t[held]
        weights = self.layers_.drawn(rng)
        kept, best, step, since, cuts = weights.copy(), np.inf, self.step, 0, 0
        adam = Adam(weights)
        self.epochs_ = 0
        while cuts < 3 and self.epochs_ < self.epochs:
            self.epochs_ += 1
            for batch in np.array_split(rng.permutation(rows), max(1, min(STEPS, len(rows) // LEAST))):
                adam.move(self.layers_.loss_and_slope(weights, x[batch], t[batch])[1], step)
            error = self.layers_.loss_and_slope(weights, x_held, t_held)[0]
            since += 1
            if error < BETTER * best:
                best, since, kept[:] = error, 0, weights
            if since >= self.patience:
                since, step, cuts, weights[:] = 0, step / 10, cuts + 1, kept
        self.weights_ = kept
        return self

    def predict(self, X: Doubles) -> Doubles:
        return self.outputs_.restored(self.layers_.outputs(self.weights_, self.inputs_.scaled(X)))


class Layers:
    """Sizes of the layers. Weights are one vector: U, u, V and v behind each other."""

    def __init__(self, features: int, hidden: int, elements: int) -> None:
        self.shapes = (features, hidden), (hidden,), (hidden, elements), (elements,)
        self.ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])

    def parts(self, weights: Doubles) -> list[Doubles]:
        """U, u, V and v as views."""
        return [w.reshape(s) for w, s in zip(np.split(weights, self.ends[:-1]), self.shapes, strict=True)]

    def drawn(self, rng: np.random.Generator) -> Doubles:
        """Random weights, such that what a unit gets has deviation one; u and v are zero."""
        out = np.zeros(self.ends[-1])
        for w in self.parts(out)[::2]:
            w[:] = rng.standard_normal(w.shape) / np.sqrt(len(w))
        return out

    def outputs(self, weights: Doubles, x: Doubles) -> Doubles:
        u, c, v, b = self.parts(weights)
        return np.asarray(np.tanh(x @ u + c) @ v + b)

    def loss_and_slope(self, weights: Doubles, x: Doubles, t: Doubles) -> tuple[float, Doubles]:
        """Half the sum of squares of a row, on average, and its derivatives by the weights."""
        u, c, v, b = self.parts(weights)
        h = np.tanh(x @ u + c)
        off = h @ v + b - t
        slope = np.empty_like(weights)
        du, dc, dv, db = self.parts(slope)
        back = (off @ v.T) * (1.0 - h * h) / len(x)
        du[:], dc[:], dv[:], db[:] = x.T @ back, back.sum(axis=0), h.T @ off / len(x), off.mean(axis=0)
        return float(0.5 * np.sum(off * off) / len(x)), slope


class Adam:
    """Moves weights, in place, against their slopes."""

    def __init__(self, weights: Doubles) -> None:
        self.weights, self.mean, self.square, self.count = weights, np.zeros_like(weights), np.zeros_like(weights), 0

    def move(self, slope: Doubles, step: float) -> None:
        self.count += 1
        self.mean += (1 - FORGET[0]) * (slope - self.mean)
        self.square += (1 - FORGET[1]) * (slope * slope - self.square)
        step *= (1 - FORGET[1] ** self.count) ** 0.5 / (1 - FORGET[0] ** self.count)
        self.weights -= step * self.mean / (np.sqrt(self.square) + 1e-8)
