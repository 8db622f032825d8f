"""Random features of the polynomial kernel: sketches of tensor powers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
import recsketch._core as _core
from recsketch._streams import permutation, signs
from recsketch.transforms._base import Array, Transform
from recsketch.transforms._fwht import fwht
from recsketch.transforms._hashing import entries
from recsketch.transforms._memory import empty
from recsketch.transforms._random import padded, seed_of


class TensorSketch(Transform):
    """Features z with ``<z(x), z(y)> ≈ (gamma <x, y> + coef0)^p``: a sketch of the p-th tensor power of x.

    method "hadamard": numbers of the Kronecker product (H D_1 x) ⊗ ... ⊗ (H D_p x), H the Walsh-Hadamard transform of
    order a', the smallest power of two >= max(features, 16), D_q random signs:

    ``z_k = m^(-1/2) (H D_1 x)[i_1(k)] ... (H D_p x)[i_p(k)]``

    Where m >= a'^p all of them are taken, the rest is 0, and the kernel is exact up to rounding. Otherwise every run
    of a' numbers goes through all coordinates of each factor, in random orders: the mean over a run is as if all pairs
    had been summed, but for what the orders leave to chance. The variance is no larger than that of method "fft", 2/3
    of it for x = y and p = 2, at O(p a' log a' + p m) a row.

    method "fft": the circular convolution of p CountSketches, by FFT.

    Parameters
    ----------
    n_components : int
        m, 1 to 2**24.
    degree : int
        p, 1 to 64.
    gamma : float
        Above 0.
    coef0 : float
        0 or more; above 0 its root is one feature more.
    method : {"hadamard", "fft"}
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        The seed, 0 to 2**64 - 1, or where to draw one from.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. Bits do not depend on it.

    Attributes
    ----------
    n_features_in_, n_components_, seed_ : int
    exact_ : bool
        Whether all of the Kronecker product is there.
    feature_names_in_ : (n_features_in_,) array of str
        Where `fit` saw a data frame.

    Notes
    -----
    "hadamard" has the same bits on every instruction set; relative error of a number at most about
    ``p (log2 a' + 1) eps |x| / |(H D x)_i|`` a factor. "fft" rounds as NumPy's FFT does, about ``eps log2 m`` of
    ``|z|``, and its bits may differ between versions of NumPy. Numbers grow with the p-th power of x: scale the data
    first.

    References
    ----------
    Pham, Pagh, "Fast and Scalable Polynomial Kernels via Explicit Feature Maps", KDD 2013 (method "fft").
    Ahle et al., "Oblivious Sketching of High-Degree Polynomial Kernels", SODA 2020 (TensorSRHT, with rows drawn
    independently).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((5, 16)) / 4
    >>> Z = TensorSketch(256, degree=2).fit_transform(X)
    >>> bool(np.allclose(Z @ Z.T, (X @ X.T) ** 2))
    True
    """

    exact_: bool

    def __init__(
        self,
        n_components: int = 256,
        *,
        degree: int = 2,
        gamma: float = 1.0,
        coef0: float = 0.0,
        method: str = "hadamard",
        random_state: Any = 0,
        threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.method = method
        self.random_state = random_state
        self.threads = threads

    def _prepare(self) -> None:
        m = _check.integer("n_components", self.n_components, 1, 1 << 24)
        p = _check.integer("degree", self.degree, 1, 64)
        self._gamma = _check.number("gamma", self.gamma, "a number above 0 and at most 1e30", 0.0, 1e30)
        what = "a number from 0 to 1e30"
        self._coef0 = abs(_check.number("coef0", self.coef0, what, -math.ulp(0.0), 1e30))
        self._method, self._degree = _check.choice("method", self.method, ("hadamard", "fft")), p
        self._workers()
        self.n_components_, self.seed_ = m, seed_of(self.random_state)
        features = self.n_features_in_ + (self._coef0 > 0)
        if self._method == "fft":
            self.exact_ = False
            self._entries = [entries(self.seed_, f"tensor/{q}", features, m, 1) for q in range(p)]
            return
        a = padded(_check.integer("features", features, 1, 1 << 24))
        self._signs = np.stack([signs(self.seed_, "tensor", q, 0, a) for q in range(p)])
        self.exact_ = m >= a**p
        if self.exact_:
            k = np.arange(a**p)
            index = [k // a**q % a for q in range(p)]
        else:
            runs = -(-m // a)
            index = [_orders(self.seed_, q, a, runs)[:m] for q in range(p)]
        self._index = np.ascontiguousarray(np.stack(index), np.int32)

    def _extended(self, x: Array) -> Array:
        """x scaled by the root of gamma, with the root of coef0 behind it."""
        if self._gamma != 1.0:
            x = x * x.dtype.type(math.sqrt(self._gamma))
        if self._coef0 > 0:
            x = np.hstack([x, np.full((len(x), 1), math.sqrt(self._coef0), x.dtype)])
        return x

    def _forward(self, x: Array) -> Array:
        x = self._extended(x)
        out = empty((len(x), self.n_components_), x.dtype)
        if self._method == "hadamard":
            factor = 1.0 / math.sqrt(self._index.shape[1])
            _core.tensor_sketch(x, out, self._signs, self._index, factor, self._workers())
            return out
        product: Any = None
        with np.errstate(all="ignore"):  # what is not finite is found in the answer
            for hashed in self._entries:
                _core.hash_rows(x, out, hashed, 1.0, False, self._workers())
                spectrum = np.fft.rfft(out)
                product = spectrum if product is None else product * spectrum
            return np.fft.irfft(product, self.n_components_).astype(x.dtype)

    def aslinearoperator(self, dtype: Any = np.float64) -> Any:
        """The matrix Z with ``z(x) = Z (x ⊗ ... ⊗ x)``, (n_components, features**degree), as SciPy's LinearOperator.

        For tools and tests: it works on whole tensors, of at most 2**24 numbers, and needs coef0 = 0.
        """
        from scipy.sparse.linalg import LinearOperator

        self._fitted()
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype: wanted float32 or float64; got {dtype!r}")
        n, p = self.n_features_in_, self._degree
        side = n if self._method == "fft" else 16 * self._signs.shape[1]
        if side**p > 1 << 24 or self._coef0 > 0:
            raise ValueError(
                f"aslinearoperator: wanted coef0 = 0 and a tensor of at most 2**24 numbers; got coef0 = {self._coef0} "
                f"and {side}**{p} numbers"
            )
        forward, adjoint = (self._hashed if self._method == "fft" else self._kronecker)()
        factor = self._gamma ** (p / 2)

        def apply(v: Any) -> Array:
            out: Array = factor * forward(np.asarray(v, dtype).reshape((n,) * p))
            return out.astype(dtype)

        def transpose(v: Any) -> Array:
            out: Array = factor * adjoint(np.asarray(v, dtype).reshape(-1)).reshape(-1)
            return out.astype(dtype)

        return LinearOperator((self.n_components_, n**p), matvec=apply, rmatvec=transpose, dtype=dtype)

    def _kronecker(self) -> tuple[Any, Any]:
        """Of method "hadamard": transforms along every axis of the tensor, then what is taken of it; and the
        transpose."""
        n, p, a = self.n_features_in_, self._degree, 16 * self._signs.shape[1]
        bits = self._signs[:, :, None] >> np.arange(16, dtype=np.uint16) & np.uint16(1)
        signs = 1.0 - 2.0 * bits.reshape(p, a)
        index, used = tuple(self._index), self._index.shape[1]
        scale = a ** (p / 2) / math.sqrt(used)

        def axes(t: Array, q: int) -> Array:
            out: Array = signs[q].reshape((1,) * q + (a,) + (1,) * (p - 1 - q)) * t
            return out

        def along(t: Array, q: int) -> Array:
            return np.moveaxis(fwht(np.ascontiguousarray(np.moveaxis(t, q, -1))), -1, q)

        def forward(t: Array) -> Array:
            t = np.pad(t, [(0, a - n)] * p)
            for q in range(p):
                t = along(axes(t, q), q)
            out = np.zeros(self.n_components_)
            out[:used] = scale * t[index]
            return out

        def adjoint(y: Array) -> Array:
            t = np.zeros((a,) * p)
            np.add.at(t, index, scale * y[:used])
            for q in range(p):
                t = axes(along(t, q), q)
            return t[(slice(n),) * p]

        return forward, adjoint

    def _hashed(self) -> tuple[Any, Any]:
        """Of method "fft": the CountSketch of the tensor whose hashes and signs are sums and products of the
        factors'."""
        n, p, m = self.n_features_in_, self._degree, self.n_components_
        row, sign = np.zeros((n,) * p, np.int64), np.ones((n,) * p)
        for q, hashed in enumerate(self._entries):
            shape = (1,) * q + (n,) + (1,) * (p - 1 - q)
            row = row + (hashed & np.uint32(0x7FFFFFFF)).astype(np.int64).reshape(shape)
            sign = sign * (1.0 - 2.0 * (hashed >> np.uint32(31)).reshape(shape))
        row %= m
        return (
            lambda t: np.bincount(row.reshape(-1), (sign * t).reshape(-1), minlength=m),
            lambda y: sign * y[row],
        )


def _orders(seed: int, q: int, a: int, runs: int) -> npt.NDArray[np.int32]:
    """Factor q's coordinates, one order of all a' after the other."""
    return np.concatenate([permutation(seed, "tensor", q, 1 + run, a) for run in range(runs)])
