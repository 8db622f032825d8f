"""What the linear estimators share: the matrix, its transpose, and how many rows it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.transforms._base import FLOATS, MOST, Transform
from recsketch.transforms._inputs import Array
from recsketch.transforms._random import johnson_lindenstrauss


class LinearTransform(Transform):
    """A matrix P of shape (n_components_, n_features_in_), applied and transposed without being formed."""

    eps: float

    def _adjoint(self, y: Array) -> tuple[Array, bool]:
        raise NotImplementedError

    def _count_components(self, samples: int) -> int:
        what = "a number above 0 and below 1"
        eps = _check.number("eps", self.eps, what, 0.0, math.nextafter(1.0, 0.0))
        if not isinstance(self.n_components, str):
            return super()._count_components(samples)
        _check.choice("n_components", self.n_components, ("auto",))
        found, features = johnson_lindenstrauss(samples, eps), self.n_features_in_
        if not 1 <= found <= min(features, MOST):
            raise ValueError(
                f"n_components: wanted 'auto' to give 1 to {features} components, at most as many as X has features; "
                f"got {found} for eps={eps} and {samples} samples: set n_components, or another eps"
            )
        return found

    def _without_overflow(self, product: Callable[[Any], tuple[Array, bool]], x: Any) -> Array:
        """product(x), finite where the exact answer can be held.

        Sums may exceed the largest float before later numbers, or the factor of the matrix, bring them back. These are
        computed again with x divided by a power of two, which rounds nothing but numbers too small to matter beside
        them. Three unscaled Walsh-Hadamard transforms let numbers grow the most: d^3-fold, d < 2 max(shape) + 16.
        """
        out, finite = product(x)
        if finite:
            return out
        self._require_finite(x, getattr(self, "feature_names_in_", None))
        exponent = 3 * (max(self.n_features_in_, self.n_components_) + 8).bit_length()
        with np.errstate(over="ignore", under="ignore"):
            again = np.ldexp(product(x * x.dtype.type(2.0**-exponent))[0], exponent)
        out = np.where(np.isfinite(out), out, again)
        if not _core.within(out.reshape(-1), math.inf):
            raise self._too_large(out)
        return out

    def _finite_forward(self, x: Any) -> Array:
        return self._without_overflow(self._forward, x)

    def adjoint(self, Y: Any) -> Array:
        """``Y @ P``, the transpose of `transform`.

        Parameters
        ----------
        Y : (n, n_components_) array_like
            float32 and float64 are taken as they are, other numbers as float64.

        Returns
        -------
        (n, n_features_in_) array of the same type

        Raises
        ------
        ValueError
            NaN or infinity; another number of columns; numbers whose answer is larger than the type can hold.
        TypeError
            Cells that are no numbers; a sparse array.

        Notes
        -----
        Cost: as `transform`.
        """
        return self._without_overflow(self._adjoint, self._sketches(Y, "Y"))

    def _sketches(self, Y: Any, name: str) -> Array:
        """`Y` as rows of finite numbers, as many a row as `transform` makes."""
        self._fitted()
        y: Array = self._rows(Y, None, sparse=False)
        if y.shape[1] != self.n_components_:
            raise ValueError(
                f"{type(self).__name__}: wanted {self.n_components_} columns, as many as transform makes; "
                f"got {y.shape[1]}"
            )
        self._require_finite(y, None, name)  # a NaN that no column of P meets would not show in the answer
        return y

    @property
    def components_(self) -> Any:
        """P as a dense (n_components_, n_features_in_) float64 array, computed whenever it is asked for.

        Notes
        -----
        Cost: as `transform` of as many rows as P's shorter side has, and 8 bytes a number of P.
        """
        self._fitted()
        if self.n_components_ < self.n_features_in_:
            return self._adjoint(np.eye(self.n_components_))[0]
        return np.ascontiguousarray(self._forward(np.eye(self.n_features_in_))[0].T)

    def aslinearoperator(self, dtype: Any = np.float64) -> Any:
        """P as a scipy.sparse.linalg.LinearOperator of shape (n_components_, n_features_in_).

        Parameters
        ----------
        dtype : float32 or float64
            Vectors are converted to it, and products computed in it.

        Raises
        ------
        TypeError
            Another `dtype`; at a product, a vector that is not real.
        ValueError
            At a product: NaN or infinity, or numbers whose answer is larger than the type can hold.

        Notes
        -----
        Cost: a product takes as long as `transform` of one row; needs SciPy.
        """
        from scipy.sparse.linalg import LinearOperator

        self._fitted()
        if np.dtype(dtype) not in FLOATS:
            raise TypeError(f"dtype: wanted float32 or float64; got {dtype!r}")

        def matmat(product: Callable[[Any], tuple[Array, bool]]) -> Callable[[Any], Array]:
            def apply(m: Any) -> Array:
                columns = _check.reals("x", m, "real numbers").reshape(len(m), -1)
                return self._without_overflow(product, _check.packed(columns.T, dtype)).T

            return apply

        def matvec(product: Callable[[Any], tuple[Array, bool]]) -> Callable[[Any], Array]:
            return lambda v: matmat(product)(v)[:, 0]

        return LinearOperator(
            (self.n_components_, self.n_features_in_),
            matvec=matvec(self._forward),
            rmatvec=matvec(self._adjoint),
            matmat=matmat(self._forward),
            rmatmat=matmat(self._adjoint),
            dtype=dtype,
        )
