"""Modular networks that are to be learned, and networks trained end to end in their place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import recsketch as rs

SIZE = 16  # elements of an attribute
INPUTS = 32  # numbers that a teacher is given: A reads the first half, B the second
FEEDS = {"A": "", "B": "", "C": "AB", "D": "BA", "E": "CD", "G": "DC"}
OUTPUTS = "EG"
RAW = {"A": slice(0, 16), "B": slice(16, 32)}
MODULES = dict.fromkeys(FEEDS, SIZE)

PATIENCE = 15  # epochs

Attributes = dict[str, np.ndarray]


@dataclass(frozen=True)
class Teacher:
    """Six modules on three levels: ``f(gain x W + b)`` with Gaussian W, f a threshold or tanh, values up to 1/4."""

    seed: int
    smooth: bool = False

    @cached_property
    def weights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(self.seed)
        return {
            m: (rng.standard_normal((32 if feeds else 16, SIZE)) * (2 if feeds else 1), 0.3 * rng.standard_normal(SIZE))
            for m, feeds in FEEDS.items()
        }

    def inputs(self, n: int, stream: int) -> np.ndarray:
        return np.random.default_rng([self.seed, stream]).standard_normal((n, INPUTS))

    def attributes(self, x: np.ndarray) -> Attributes:
        out: Attributes = {}
        for m, feeds in FEEDS.items():
            given = np.hstack([out[c] for c in feeds]) if feeds else x[:, RAW[m]]
            w, b = self.weights[m]
            z = given @ w + b
            out[m] = np.tanh(z) / 4 if self.smooth else np.where(z > 0, 0.25, -0.25)
        return out

    def outputs(self, x: np.ndarray) -> np.ndarray:
        found = self.attributes(x)
        return np.hstack([found[m] for m in OUTPUTS])


def runs(attributes: Attributes) -> rs.TraceBatch:
    """The runs that computed these attributes, as columns."""
    n, names = len(attributes["A"]), list(FEEDS)
    number = {m: i for i, m in enumerate(names)}
    inputs = [number[c] for m in names for c in FEEDS[m]]
    fan = [len(FEEDS[m]) for m in names]
    return rs.TraceBatch(
        names=names,
        objects=np.arange(n + 1) * len(names),
        module=np.tile(np.arange(len(names), dtype=np.int32), n),
        attribute_ends=np.arange(n * len(names) + 1) * SIZE,
        attributes=np.hstack([attributes[m] for m in names]).ravel(),
        input_ends=np.append(0, np.cumsum(np.tile(fan, n))),
        inputs=np.tile(np.array(inputs, np.int32), n),
        weights=np.ones(n * len(inputs)),
        output_ends=np.arange(n + 1) * len(OUTPUTS),
        outputs=np.tile(np.array([number[m] for m in OUTPUTS], np.int32), n),
        output_weights=np.ones(n * len(OUTPUTS)),
    )


def structure() -> rs.Trace:
    return runs({m: np.ones((1, SIZE)) for m in FEEDS})[0]


# Seven networks trained end to end: layers, activation, and penalty (scikit-learn's alpha). The teacher has two hidden
# levels of 32 elements each, and tanh or thresholds.
Shape = tuple[tuple[int, ...], str, float]
OWN_SHAPE: Shape = ((32, 32), "tanh", 1e-4)
NETWORKS: tuple[Shape, ...] = (
    ((96, 96, 96), "relu", 1e-4),
    ((256, 256, 256), "relu", 1e-4),
    ((256, 256, 256), "relu", 1e-1),
    OWN_SHAPE,
    ((128, 128, 128), "tanh", 1e-4),
    ((512,), "relu", 1e-4),
    ((1024, 1024), "relu", 1e-4),
)


def shown(network: Shape) -> str:
    layers, kind, alpha = network
    text = "×".join(map(str, layers)) + f" {kind}"
    return text if alpha == 1e-4 else f"{text}, α = {alpha:g}"


@dataclass(frozen=True)
class EndToEnd:
    """A network trained from inputs to outputs, by scikit-learn's Adam.

    A tenth of the rows is held out. The epoch that is best on them is kept, by the share of bits that are wrong or the
    mean square error; `PATIENCE` epochs without a better one end the training. scikit-learn's own early stopping is not
    used: of many bits it counts the rows of which all are right, which is none for long, and stops after ten epochs.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    epochs: int

    @classmethod
    def trained(
        cls, x: np.ndarray, y: np.ndarray, epochs: int, smooth: bool, layers: tuple[int, ...], kind: str, alpha: float
    ) -> EndToEnd:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        x = x.astype(np.float32)
        t = (4 * y).astype(np.float32) if smooth else (y > 0).astype(np.int64)
        held, rows = np.split(np.random.default_rng(0).permutation(len(x)), [len(x) // 10])
        net = (MLPRegressor if smooth else MLPClassifier)(
            hidden_layer_sizes=layers, activation=kind, alpha=alpha, random_state=0
        )
        best, kept, at = np.inf, None, 0
        for epoch in range(1, epochs + 1):
            net.partial_fit(x[rows], t[rows], **({} if smooth or epoch > 1 else {"classes": np.arange(t.shape[1])}))
            error = float(np.mean((net.predict(x[held]) - t[held]) ** 2))  # of bits the share that is wrong
            if error < best:
                best, kept, at = error, copy.deepcopy((net.coefs_, net.intercepts_)), epoch
            if epoch - at >= PATIENCE:
                break
        net.coefs_, net.intercepts_ = kept
        return cls(lambda new: net.predict(new.astype(np.float32)) / (4 if smooth else 1), epoch)
