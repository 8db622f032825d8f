"""Random projections with a few non-zeros a column."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
import recsketch._core as _core
from recsketch._streams import words
from recsketch.transforms._base import MOST
from recsketch.transforms._inputs import Array
from recsketch.transforms._linear import LinearTransform
from recsketch.transforms._random import seed_of
from recsketch.transforms._rows import dense_rows, row_slices
from recsketch.transforms._sparse import is_sparse

SIGN = np.uint32(31)  # the bit that RSK_HASH_ROW leaves out
AT_ONCE = 1 << 26  # numbers added by one call of C, which takes 0.02 to 0.3 s: Python serves Ctrl-C between two calls


def entries(seed: int, name: str | int, features: int, width: int, nonzeros: int) -> npt.NDArray[np.uint32]:
    """(features, nonzeros): rows of the matrix, the sign in the highest bit (docs/format.md, "Random features")."""
    n = features * nonzeros
    block = np.arange(nonzeros, dtype=np.uint64) * np.uint64(width) // np.uint64(nonzeros)
    size = np.append(block[1:], np.uint64(width)) - block
    word = words(seed, "hashing", name, 0, n).astype(np.uint64).reshape(features, nonzeros)
    rows = (block + (word * size >> np.uint64(32))).astype(np.uint32)
    bits = words(seed, "hashing", name, 1, -(-n // 32))
    minus = (bits[:, None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)).reshape(-1)[:n].reshape(features, nonzeros)
    return np.ascontiguousarray(rows | minus << SIGN)


class _Hashing(LinearTransform):
    takes_sparse: ClassVar[bool] = True
    _entries: npt.NDArray[np.uint32]  # (n_features_in_, non-zeros)
    _factor: float

    def _count(self) -> int:
        """Non-zeros a column."""
        raise NotImplementedError

    def _prepare(self) -> None:
        s = self._count()
        self.seed_ = seed_of(self.random_state)
        self._entries = entries(self.seed_, s, self.n_features_in_, self.n_components_, s)
        self._factor = 1.0 / math.sqrt(s)

    def _numbers(self, nonzeros: int) -> int:
        """How many numbers are added for a row of that many non-zeros."""
        added: int = nonzeros * self._entries.shape[1] + self.n_components_
        return added

    def _hash(self, x: Array, width: int, transpose: bool) -> tuple[Array, bool]:
        out, finite = np.empty((len(x), width), x.dtype), True
        for rows, into in dense_rows(x, out, self._numbers(self.n_features_in_), AT_ONCE):
            finite &= _core.hash_rows(rows, into, self._entries, self._factor, transpose, self._workers())
        return out, finite

    def _hash_csr(self, x: Any, out: Array) -> Array:
        ends = x.indptr.astype(np.int64)
        for part in row_slices(len(out), self._numbers(x.nnz // max(len(out), 1)), AT_ONCE):
            at, into = ends[part.start : part.stop + 1], out[part]
            columns, data = x.indices[at[0] : at[-1]].astype(np.int64), x.data[at[0] : at[-1]]
            if columns.size:
                _core.hash_csr(at - at[0], columns, data, into, self._entries, self._factor, self._workers())
            else:  # C wants at least one number
                into[:] = 0
        return out

    def _forward(self, x: Any) -> tuple[Array, bool]:
        if is_sparse(x):
            return self._with_look(self._hash_csr(x, np.empty((x.shape[0], self.n_components_), x.dtype)))
        return self._hash(x, self.n_components_, False)

    def _adjoint(self, y: Array) -> tuple[Array, bool]:
        return self._hash(y, self.n_features_in_, True)

    @property
    def components_(self) -> Any:
        """P as a scipy.sparse.csc_array of shape (n_components_, n_features_in_) and float64, made whenever it is asked
        for: s numbers a column.

        Notes
        -----
        Cost: O(s features) in time, 12 bytes a number and as many on the way; needs SciPy.
        """
        from scipy.sparse import csc_array

        self._fitted()
        features, s = self._entries.shape
        rows = (self._entries & ~(np.uint32(1) << SIGN)).astype(np.int32).reshape(-1)
        values = np.where(self._entries >> SIGN, -self._factor, self._factor).reshape(-1)
        ends = np.arange(features + 1) * s  # of every column; its rows ascend, for each is of a later block
        return csc_array((values, rows, ends), shape=(self.n_components_, features))

    def inverse_transform(self, X: Any) -> Array:
        """Estimates of the original numbers: ``X @ P``, the same as `adjoint`.

        For X = transform(x) the mean over all seeds is x itself. One seed's estimate of a number is off by about
        ``|x| / sqrt(m)``, whatever that number's size, so that large numbers among small ones are found and small ones
        are not. This is not P's pseudo-inverse, and ``transform(inverse_transform(X))`` is not X. The pseudo-inverse
        would need a linear system to be solved for every row, except for a `CountSketch`, where it divides X first by
        how many features meet in each of its columns; solve it with ``scipy.sparse.linalg.lsqr(P.aslinearoperator(),
        X[0])``.

        Parameters
        ----------
        X : (n, n_components_) array_like

        Returns
        -------
        (n, n_features_in_) array of the same type

        Raises
        ------
        ValueError, TypeError
            As by `adjoint`.

        Notes
        -----
        Cost: O(s features) a row, s the numbers a column of P.

        References
        ----------
        Charikar, Chen, Farach-Colton, "Finding Frequent Items in Data Streams", ICALP 2002: the estimate of a single
        hash, whose variance is at most ``|x|^2 / m``.
        """
        return self.adjoint(X)


class CountSketch(_Hashing):
    """Add every feature to one of m numbers, with a random sign.

    ``y[h(j)] += s(j) x[j]``, h(j) uniform among m and s(j) = ±1. ``E <P x, P y> = <x, y>``, with a variance of at most
    ``2 |x|^2 |y|^2 / m``. Vectors with a few large numbers among the rest are better served by `SparseProjection` or
    `StructuredProjection`.

    Parameters
    ----------
    n_components : int or "auto"
        m, 1 to 2**24. "auto" takes the Johnson-Lindenstrauss bound for the rows that `fit` sees, see `eps`.
    eps : float
        Above 0 and below 1, read where n_components is "auto": m is ``4 ln(rows) / (eps^2 / 2 - eps^3 / 3)``, rounded
        down, as in `sklearn.random_projection.johnson_lindenstrauss_min_dim`. The bound is proven for Gaussian
        matrices. It promises nothing for differences of rows in which a few numbers are large: with a probability of
        1/m two of them meet in one number.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a table with names.
    components_ : (n_components_, n_features_in_) scipy.sparse.csc_array

    Notes
    -----
    A number of the output is a sum of its k inputs, in order: absolute error at most ``(k - 1) eps`` times the sum of
    their magnitudes, eps the type's unit roundoff. Sparse rows give the bits of dense ones.

    Cost: `transform` takes O(features + m) a row, of a sparse array O(non-zeros + m), and memory for the answer and, of
    4 rows or more and m up to 65,536, for 16 (features + 2 m) numbers a thread. `fit` takes O(features), keeps 4
    bytes a feature and needs 24 while it draws them.

    References
    ----------
    Charikar, Chen, Farach-Colton, "Finding Frequent Items in Data Streams", ICALP 2002.
    Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009: the variance.
    Dasgupta, Gupta, "An Elementary Proof of a Theorem of Johnson and Lindenstrauss", 2003: "auto".

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

    def __init__(
        self, n_components: int | str = 256, *, eps: float = 0.1, random_state: Any = 0, threads: int | None = None
    ) -> None:
        self.n_components = n_components
        self.eps = eps
        self.random_state = random_state
        self.threads = threads

    def _count(self) -> int:
        return 1


class SparseProjection(_Hashing):
    """Sparse Johnson-Lindenstrauss transform: s numbers ±1/sqrt(s) a column, one in each of s blocks of rows.

    ``E |P x|^2 = |x|^2``; columns have length 1. With s = 1 it is a `CountSketch`.

    Parameters
    ----------
    n_components : int or "auto"
        m, 1 to 2**24. "auto" takes the Johnson-Lindenstrauss bound for the rows that `fit` sees, see `eps`.
    n_nonzeros : int
        s, 1 to m; m if it is larger than m.
    eps : float
        Above 0 and below 1, read where n_components is "auto": m is ``4 ln(rows) / (eps^2 / 2 - eps^3 / 3)``, rounded
        down, as in `sklearn.random_projection.johnson_lindenstrauss_min_dim`. The bound is proven for Gaussian
        matrices. Kane and Nelson prove it, with a larger constant, for ``s`` of order ``eps m``.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a table with names.
    components_ : (n_components_, n_features_in_) scipy.sparse.csc_array

    Notes
    -----
    Rounding as in `CountSketch`, and once more for the product with 1/sqrt(s). Sparse rows give the bits of dense ones.

    Cost: `transform` takes O(s features + m) a row, of a sparse array O(s non-zeros + m), and memory as a CountSketch.
    `fit` takes O(s features), keeps 4 s bytes a feature and needs 24 s while it draws them.

    References
    ----------
    Kane, Nelson, "Sparser Johnson-Lindenstrauss Transforms", J. ACM 61 (2014): the block construction.
    Dasgupta, Gupta, "An Elementary Proof of a Theorem of Johnson and Lindenstrauss", 2003: "auto".

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((4, 5000), dtype=np.float32)
    >>> Y = SparseProjection(2048, n_nonzeros=8).fit_transform(X)
    >>> Y.dtype, bool(np.allclose(np.linalg.norm(Y, axis=1) / np.linalg.norm(X, axis=1), 1, atol=0.1))
    (dtype('float32'), True)
    >>> SparseProjection("auto", eps=0.3).fit(X).n_components_
    154
    """

    def __init__(
        self,
        n_components: int | str = 256,
        *,
        n_nonzeros: int = 8,
        eps: float = 0.1,
        random_state: Any = 0,
        threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_nonzeros = n_nonzeros
        self.eps = eps
        self.random_state = random_state
        self.threads = threads

    def _count(self) -> int:
        return min(_check.integer("n_nonzeros", self.n_nonzeros, 1, MOST), self.n_components_)
