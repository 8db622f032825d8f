"""Random projections by three Walsh-Hadamard transforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._streams import signs
from recsketch.transforms._base import Array, LinearTransform
from recsketch.transforms._memory import empty
from recsketch.transforms._random import padded, seed_of


class StructuredProjection(LinearTransform):
    """Random projection P = sqrt(d / m) S (H D3 H D2 H D1), with orthogonal rows of equal length, in O(d log d) a row.

    H is the orthonormal Walsh-Hadamard transform of order d, the smallest power of two >= max(features, 16), D1 to D3
    are random signs, and S keeps the first m = `n_components` of the d numbers. For m > d independent blocks stand
    below each other: rows of one block are orthogonal. ``E |P x|^2 = |x|^2``, and where m is a multiple of d,
    ``|P x| = |x|`` up to rounding.

    Parameters
    ----------
    n_components : int
        m, 1 to 2**24.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from. The matrix depends on it and on d, not on m.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a data frame.

    Notes
    -----
    Relative Euclidean error at most about ``0.6 eps sqrt(3 log2 d)``, eps the type's unit roundoff: of the vector of
    all d numbers, of which S keeps some.

    References
    ----------
    Andoni, Indyk, Laarhoven, Razenshteyn, Schmidt, "Practical and Optimal LSH for Angular Distance", NIPS 2015.
    Choromanski, Rowland, Weller, "The Unreasonable Effectiveness of Structured Random Orthogonal Embeddings", NIPS
    2017.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((3, 1000))
    >>> P = StructuredProjection(1024, random_state=7).fit(X)
    >>> Y = P.transform(X)
    >>> bool(np.allclose(np.linalg.norm(Y, axis=1), np.linalg.norm(X, axis=1)))
    True
    >>> bool(np.allclose(P.inverse_transform(Y), X))
    True
    """

    spreads = True
    _signs: Any

    def __init__(self, n_components: int = 256, *, random_state: Any = 0, threads: int | None = None) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.threads = threads

    def _prepare(self) -> None:
        m = _check.integer("n_components", self.n_components, 1, 1 << 24)
        self._workers()
        d = self._padded = padded(_check.integer("features", self.n_features_in_, 1, 1 << 24))
        self.n_components_, self.seed_ = m, seed_of(self.random_state)
        parts = [signs(self.seed_, "projection", b, part, d) for b in range(-(-m // d)) for part in range(3)]
        self._signs = np.concatenate(parts)

    def _apply(self, x: Array, width: int, transpose: bool) -> Array:
        out = empty((len(x), width), x.dtype)
        if len(x):
            factor = 1.0 / (self._padded * math.sqrt(self.n_components_))
            _core.project(x, out, self._signs, self._padded, factor, transpose, self._workers())
        return out

    def _forward(self, x: Array) -> Array:
        return self._apply(x, self.n_components_, False)

    def _adjoint(self, y: Array) -> Array:
        return self._apply(y, self.n_features_in_, True)

    def inverse_transform(self, X: Any) -> Array:
        """Rows of the original space: for m <= d the projection onto P's rows, which is exact where m = d.

        ``min(m / d, 1) Y P``, the adjoint with its lengths undone; for m > d a multiple of d it is exact too. With m <
        d and features < d it is not quite P's pseudo-inverse: what the padding held is cut off.

        Parameters
        ----------
        X : (n, n_components) array_like

        Returns
        -------
        (n, n_features_in_) array
        """
        y = self.adjoint(X)
        out: Array = y * y.dtype.type(min(1.0, self.n_components_ / self._padded))
        return out
