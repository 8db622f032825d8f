"""Random projections by three Walsh-Hadamard transforms."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._streams import signs
from recsketch.transforms._inputs import Array
from recsketch.transforms._linear import LinearTransform
from recsketch.transforms._memory import empty
from recsketch.transforms._random import padded, seed_of
from recsketch.transforms._rows import dense_rows, row_slices

SOLVED = 1 << 22  # numbers of the rows that inverse_transform solves for at once
SMALL = 1 << 16  # numbers of P, up to which its pseudo-inverse is a matrix: 256 x 256 take some 20 ms


class StructuredProjection(LinearTransform):
    """Random projection to m numbers by signs and Walsh-Hadamard transforms, in O(d log d) a row.

    ``P = sqrt(d / m) S (H D3 H D2 H D1) [I; 0]``: rows are padded with zeros to d, the smallest power of two >=
    max(features, 16), H is the orthonormal transform of order d, D1 to D3 are random signs, and S keeps the first m of
    the d numbers. For m > d there are several such blocks below each other, with signs of their own. ``E |P x|^2 =
    |x|^2``. Of d numbers, a block's rows are orthogonal; so are P's columns, and ``|P x| = |x|`` up to rounding, where
    m is a multiple of d.

    Parameters
    ----------
    n_components : int or "auto"
        m, 1 to 2**24. "auto" takes the Johnson-Lindenstrauss bound for the rows that `fit` sees, see `eps`.
    eps : float
        Above 0 and below 1, read where n_components is "auto": m is ``4 ln(rows) / (eps^2 / 2 - eps^3 / 3)``, rounded
        down, as in `sklearn.random_projection.johnson_lindenstrauss_min_dim`.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from. P depends on it and on d; a larger m adds rows, and scales.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it, nor on the instruction set.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a table with names.
    components_ : (n_components_, n_features_in_) array

    Notes
    -----
    Relative Euclidean error at most about ``0.6 eps sqrt(3 log2 d)``, eps the type's unit roundoff: of the vector of
    all d numbers, of which S keeps some. Scaling X by a power of two scales the answer and changes no other bit, unless
    numbers become subnormal or sums exceed the largest float, in which case their rows are computed again from smaller
    ones. Sparse rows give the bits of dense ones.

    Cost: a row takes 3 d log2(d) additions for every d numbers of the answer. Memory is for the answer and d numbers a
    thread, and for sparse rows, which are made dense some at a time, 2**20 numbers or one row. `fit` takes O(m + d) and
    keeps 3 bits a number of the answer, at least 3 d bits.

    References
    ----------
    Ailon, Chazelle, "The Fast Johnson-Lindenstrauss Transform and Approximate Nearest Neighbors", SIAM J. Comput. 39
    (2009): signs and H make a vector flat.
    Andoni, Indyk, Laarhoven, Razenshteyn, Schmidt, "Practical and Optimal LSH for Angular Distance", NIPS 2015: three
    rounds of them in place of a random rotation.
    Choromanski, Rowland, Weller, "The Unreasonable Effectiveness of Structured Random Orthogonal Embeddings", NIPS
    2017: that orthogonal rows have a smaller variance than independent ones.

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

    takes_sparse: ClassVar[bool] = True
    _signs: Any

    def __init__(
        self, n_components: int | str = 256, *, eps: float = 0.1, random_state: Any = 0, threads: int | None = None
    ) -> None:
        self.n_components = n_components
        self.eps = eps
        self.random_state = random_state
        self.threads = threads

    def _prepare(self) -> None:
        d = self._padded = padded(_check.integer("features", self.n_features_in_, 1, 1 << 24))
        self.seed_ = seed_of(self.random_state)
        self._signs = signs(self.seed_, "projection", "", 0, 3 * -(-self.n_components_ // d), d)

    def _apply(self, x: Any, width: int, transpose: bool, scale: float = 1.0) -> tuple[Array, bool]:
        d, m = self._padded, self.n_components_
        out, finite = empty((x.shape[0], width), x.dtype), True
        factor = scale / (d * math.sqrt(m))
        for rows, into in dense_rows(x, out, max(d, m)):
            finite &= _core.project(rows, into, self._signs, d, factor, transpose, self._workers())
        return out, finite

    def _forward(self, x: Any) -> tuple[Array, bool]:
        return self._apply(x, self.n_components_, False)

    def _adjoint(self, y: Array) -> tuple[Array, bool]:
        return self._apply(y, self.n_features_in_, True)

    def inverse_transform(self, X: Any) -> Array:
        """Rows of the original space, by P's pseudo-inverse: ``argmin |P x - y|``, of these the shortest x.

        It undoes `transform` up to rounding where P has rank n_features_in_, which needs m >= n_features_in_; where P
        has rank m, `transform` undoes it, and it is the orthogonal projection of the original row onto P's rows.

        Where m is a multiple of d it is ``P.T``, where n_features_in_ = d > m it is ``(m / d) P.T``. Otherwise rows are
        solved for in float64: by `numpy.linalg.pinv` for P of up to 2**16 numbers, above by conjugate gradients
        (`recsketch.sparse.cgls`).

        Parameters
        ----------
        X : (n, n_components_) array_like
            float32 and float64 are taken as they are, other numbers as float64.

        Returns
        -------
        (n, n_features_in_) array of the same type

        Raises
        ------
        ValueError, TypeError
            As by `adjoint`.

        Notes
        -----
        Cost: of one `adjoint` in the first two cases. A matrix is made anew in every call, from P. Conjugate gradients
        take two products an iteration and memory for 5 n_features_in_ + 3 m numbers a row, of 2**22 numbers at a time;
        there are about 18 cond(P) iterations and at most 20 min(shape). cond(P) is about 3 for 256 numbers of 600
        features and 12 for 512, and the larger the nearer m is to n_features_in_: m = n_features_in_ < d is like a
        random square matrix, of cond(P) about d, and errors grow with it, too. For m above d but no multiple of it
        cond(P) <= sqrt(2).
        """
        y = self._sketches(X, "X")
        m, n, d = self.n_components_, self.n_features_in_, self._padded
        if m % d == 0 or (n == d and m < d):
            return self._without_overflow(lambda rows: self._apply(rows, n, True, min(1.0, m / d)), y)
        out = np.empty((len(y), n), y.dtype)
        with np.errstate(over="ignore"):  # what is too large is found in the answer
            for part in row_slices(len(y), 5 * n + 3 * m, SOLVED):
                out[part] = self._solved(y[part].astype(np.float64))
        if not np.isfinite(out).all():
            raise self._too_large(out)
        return out

    def _solved(self, y: Array) -> Array:
        exponent = np.frexp(np.abs(y).max(axis=1))[1][:, None]  # of a power of two by which no square overflows
        scaled = np.ldexp(y, -exponent)
        if self.n_components_ * self.n_features_in_ <= SMALL:
            solved = scaled @ np.linalg.pinv(self.components_).T
        else:
            solved = self._solved_by_gradients(scaled)
        out: Array = np.ldexp(solved, exponent)
        return out

    def _solved_by_gradients(self, y: Array) -> Array:
        from recsketch.sparse import cgls

        def matmat(v: Array) -> Array:
            return self._forward(np.ascontiguousarray(v.T))[0].T

        def rmatmat(v: Array) -> Array:
            return self._adjoint(np.ascontiguousarray(v.T))[0].T

        matrix = SimpleNamespace(
            shape=(self.n_components_, self.n_features_in_),
            dtype=np.dtype(np.float64),
            matmat=matmat,
            rmatmat=rmatmat,
            matvec=lambda v: matmat(v.reshape(-1, 1))[:, 0],
            rmatvec=lambda v: rmatmat(v.reshape(-1, 1))[:, 0],
        )
        return np.asarray(cgls(matrix, y.T, rtol=1e-15, max_iterations=20 * min(matrix.shape)).coef).T
