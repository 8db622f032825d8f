"""Train the perceptron of :class:`PageNetwork`: ``python tools/train_network.py [NETWORK.npz]``.

Two thirds of the shipped digits, softmax cross-entropy with weight decay, Adam, in NumPy and float64. The same NumPy
and BLAS give the same file; others differ by rounding, which 16-bit storage mostly, but not surely, hides.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recsketch.datasets.digits import MAX_INK, SIDE, Digits, held_out, load_digits
from recsketch.datasets.network import MODULES

DATASETS = Path(__file__).resolve().parent.parent / "src" / "recsketch" / "datasets"
SEED = 3
EPOCHS = 300
BATCH = 64
RATE = 4e-3
DECAY = 3e-2
NOISE = 0.03
"""Standard deviation of the noise added to training digits, a little more than the worst scan has (0.012 / 0.6)."""

Float64 = npt.NDArray[np.float64]


def train(digits: Digits, *, epochs: int = EPOCHS) -> dict[str, Float64]:
    """Train on digits.

    Parameters
    ----------
    digits : Digits
        Those to train on.
    epochs : int
        Passes over them, each with fresh distortions.

    Returns
    -------
    dict of float64 arrays
        ``hidden`` (64, 32), ``hidden_bias`` (32,), ``output`` (32, 10), ``output_bias`` (10,).
    """
    rng = np.random.default_rng(SEED)
    width = MODULES["char"]
    weights: dict[str, Float64] = {
        "hidden": rng.standard_normal((SIDE * SIDE, width)) * np.sqrt(2 / (SIDE * SIDE)),
        "hidden_bias": np.zeros(width),
        "output": rng.standard_normal((width, 10)) * np.sqrt(2 / width),
        "output_bias": np.zeros(10),
    }
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    target = np.eye(10)[digits.labels]
    steps, step = epochs * -(-len(target) // BATCH), 0
    for _ in range(epochs):
        crops = distort(digits.images, rng)
        order = rng.permutation(len(target))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for name, gradient in _gradients(weights, crops[chosen], target[chosen]).items():
                first[name] += 0.1 * (gradient - first[name])
                second[name] += 0.001 * (gradient**2 - second[name])
                mean, square = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                weights[name] -= rate * (mean / (np.sqrt(square) + 1e-8) + DECAY * weights[name])
    return weights


def _gradients(weights: dict[str, Float64], x: Float64, target: Float64) -> dict[str, Float64]:
    """Of the mean cross-entropy."""
    hidden = np.maximum(x @ weights["hidden"] + weights["hidden_bias"], 0)
    scores = hidden @ weights["output"] + weights["output_bias"]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = (scores / scores.sum(axis=1, keepdims=True) - target) / len(x)
    back = error @ weights["output"].T * (hidden > 0)
    return {
        "hidden": x.T @ back,
        "hidden_bias": back.sum(axis=0),
        "output": hidden.T @ error,
        "output_bias": error.sum(axis=0),
    }


def distort(images: npt.NDArray[np.uint8], rng: np.random.Generator) -> Float64:
    """Digits as a page shows them to the network: centred, a faint edge column sometimes lost, a row off, noisy.

    Parameters
    ----------
    images : (n, 8, 8) uint8
    rng : numpy.random.Generator

    Returns
    -------
    (n, 64) float64, 0 to 1
    """
    out = np.zeros(images.shape)
    faint = rng.choice([0, 4, 8], size=len(images))
    shift = rng.choice([-1, 0, 1], p=[0.03, 0.94, 0.03], size=len(images))
    for result, image, least, rows in zip(out, images, faint, shift, strict=True):
        inked = np.flatnonzero(image.sum(axis=0) > least)
        piece = image[:, inked[0] : inked[-1] + 1] / MAX_INK
        at = (SIDE - piece.shape[1]) // 2
        kept = piece[max(-rows, 0) : SIDE - max(rows, 0)]
        result[max(rows, 0) : SIDE + min(rows, 0), at : at + piece.shape[1]] = kept
    noisy: Float64 = (out + NOISE * rng.standard_normal(out.shape)).clip(0, 1).reshape(len(out), -1)
    return noisy


def main() -> None:
    """Train on the digits that are not held out; write the weights to the file named, by default the shipped one."""
    images, labels = load_digits()
    seen = ~held_out(len(labels))
    weights = train(Digits(images[seen], labels[seen]))
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DATASETS / "network.npz"
    stored = {name: value.astype(np.float16) for name, value in weights.items()}
    np.savez_compressed(target, **stored)  # type: ignore[arg-type,unused-ignore]
    print(f"{target.name}: {sum(v.size for v in stored.values())} weights, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
