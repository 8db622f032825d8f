"""Random projections with a few non-zeros a column."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
import recsketch._core as _core
from recsketch._streams import words
from recsketch.transforms._base import Array, LinearTransform, is_sparse
from recsketch.transforms._random import seed_of


def entries(seed: int, name: str | int, features: int, width: int, nonzeros: int) -> npt.NDArray[np.uint32]:
    """(features, nonzeros): rows of the matrix, the sign in the highest bit (docs/design.md, section 9)."""
    n = features * nonzeros
    block = np.arange(nonzeros, dtype=np.uint64) * np.uint64(width) // np.uint64(nonzeros)
    size = np.append(block[1:], np.uint64(width)) - block
    word = words(seed, "hashing", name, 0, n).astype(np.uint64).reshape(features, nonzeros)
    rows = (block + (word * size >> np.uint64(32))).astype(np.uint32)
    bits = words(seed, "hashing", name, 1, -(-n // 32))
    minus = (bits[:, None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)).reshape(-1)[:n].reshape(features, nonzeros)
    return np.ascontiguousarray(rows | minus << np.uint32(31))


class _Hashing(LinearTransform):
    takes_sparse: ClassVar[bool] = True
    n_components: int
    random_state: Any
    threads: int | None

    def _count(self) -> int:
        raise NotImplementedError

    def _prepare(self) -> None:
        m = _check.integer("n_components", self.n_components, 1, 1 << 24)
        s = self._count()
        self._workers()
        self.n_components_, self.seed_ = m, seed_of(self.random_state)
        self._entries = entries(self.seed_, s, self.n_features_in_, m, s)
        self._factor = 1.0 / math.sqrt(s)

    def _forward(self, x: Any) -> Array:
        out = np.empty((x.shape[0], self.n_components_), x.dtype)
        if not out.size:
            return out
        if is_sparse(x):
            if not x.has_canonical_format:  # the caller's stays as it is
                x = x.copy()
                x.sum_duplicates()
            if not x.nnz:
                out[:] = 0
                return out
            ends, columns = x.indptr.astype(np.int64), x.indices.astype(np.int64)
            data = _check.packed(x.data, x.dtype.type)
            _core.hash_csr(ends, columns, data, out, self._entries, self._factor, self._workers())
        else:
            _core.hash_rows(x, out, self._entries, self._factor, False, self._workers())
        return out

    def _adjoint(self, y: Array) -> Array:
        out = np.empty((len(y), self.n_features_in_), y.dtype)
        if out.size:
            _core.hash_rows(y, out, self._entries, self._factor, True, self._workers())
        return out

    def inverse_transform(self, X: Any) -> Array:
        """Estimates of the original numbers, ``Y @ P``: right on average, off by about ``|x| / sqrt(m)`` each.

        Parameters
        ----------
        X : (n, n_components) array_like

        Returns
        -------
        (n, n_features_in_) array
        """
        return self.adjoint(X)


class CountSketch(_Hashing):
    """Every feature is added to one of m numbers, with a random sign: O(features) a row, O(non-zeros) if it is sparse.

    ``y[h(j)] += s(j) x[j]``. ``E <P x, P y> = <x, y>``, with a variance of at most ``2 |x|^2 |y|^2 / m``. Vectors with
    a few large numbers among the rest are better served by `SparseProjection` or `StructuredProjection`.

    Parameters
    ----------
    n_components : int
        m, 1 to 2**24.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a data frame.

    Notes
    -----
    A number of the output is a sum of its k inputs, in order: absolute error at most ``(k - 1) eps`` times the sum of
    their magnitudes, eps the type's unit roundoff.

    References
    ----------
    Charikar, Chen, Farach-Colton, "Finding Frequent Items in Data Streams", ICALP 2002.
    Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.zeros((1, 10_000))
    >>> x[0, 4321] = 5.0
    >>> S = CountSketch(64).fit(x)
    >>> y = S.transform(x)
    >>> int(np.count_nonzero(y)), float(S.inverse_transform(y)[0, 4321])
    (1, 5.0)
    """

    def __init__(self, n_components: int = 256, *, random_state: Any = 0, threads: int | None = None) -> None:
        self.n_components = n_components
        self.random_state = random_state
        self.threads = threads

    def _count(self) -> int:
        return 1


class SparseProjection(_Hashing):
    """Sparse Johnson-Lindenstrauss transform: s numbers ±1/sqrt(s) a column, one in each of s blocks of rows.

    ``E |P x|^2 = |x|^2``; columns have length 1. With s = 1 it is a `CountSketch`.

    Parameters
    ----------
    n_components : int
        m, 1 to 2**24.
    n_nonzeros : int
        s, 1 to m; m if it is larger than m.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a data frame.

    Notes
    -----
    Rounding as in `CountSketch`, and once more for the product with 1/sqrt(s).

    References
    ----------
    Kane, Nelson, "Sparser Johnson-Lindenstrauss Transforms", J. ACM 61 (2014): the block construction.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((4, 5000), dtype=np.float32)
    >>> Y = SparseProjection(2048, n_nonzeros=8).fit_transform(X)
    >>> Y.dtype, bool(np.allclose(np.linalg.norm(Y, axis=1) / np.linalg.norm(X, axis=1), 1, atol=0.1))
    (dtype('float32'), True)
    """

    def __init__(
        self, n_components: int = 256, *, n_nonzeros: int = 8, random_state: Any = 0, threads: int | None = None
    ) -> None:
        self.n_components = n_components
        self.n_nonzeros = n_nonzeros
        self.random_state = random_state
        self.threads = threads

    def _count(self) -> int:
        return min(_check.integer("n_nonzeros", self.n_nonzeros, 1, 1 << 24), self.n_components)
