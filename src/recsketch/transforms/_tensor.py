"""Random features of the polynomial kernel: sketches of tensor powers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._streams import orders, signs
from recsketch.transforms._base import Transform
from recsketch.transforms._fwht import fwht
from recsketch.transforms._hashing import entries
from recsketch.transforms._inputs import Array
from recsketch.transforms._memory import empty
from recsketch.transforms._random import padded, seed_of
from recsketch.transforms._rows import dense_rows, row_slices


class TensorSketch(Transform):
    """Features z with ``<z(x), z(y)> ≈ (gamma <x, y> + coef0)^p``: a sketch of the p-th tensor power of x.

    method "hadamard": products of coordinates of p transforms ``h_q = H D_q x``, H the Walsh-Hadamard matrix of ±1 and
    of order a', the smallest power of two >= max(features, 16), D_q random signs. Two coordinates of each make a
    complex number; the real and imaginary parts of a product are neighbours:

    ``z_k + i z_(k+1) = m^(-1/2) 2^((1-p)/2) prod_q (h_q[i_q(k)] + i h_q[i_q(k+1)])``,  k = 0, 2, 4, ...

    Every run of a' numbers goes through all coordinates of each factor, in random orders i_q. Complex numbers have a
    smaller fourth moment than real ones, 2 instead of 3, and a run's sum over all coordinates of a factor is not left
    to chance: so the variance is smaller than that of method "fft", see the notes. The last number of an odd m is a
    product of real coordinates times m^(-1/2). Where m >= a'^p, all a'^p products of real coordinates are there, times
    a'^(-p/2), with zeros behind them, and the kernel is exact up to rounding.

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
        Where `fit` saw a table with names.

    Notes
    -----
    Variance of ``<z(x), z(y)>`` for gamma = 1, coef0 = 0, unit vectors, ρ = <x, y> and s = sum x_i^2 y_i^2, unless
    exact:

    * "hadamard": ``(A^p + B^p - 2 ρ^2p - p ρ^(2p-2) (A + B - 2 ρ^2)) / m``, A = 1 + ρ^2 - s, B = 2 ρ^2 - s, but for
      terms 1/a' times as large (tests/reference.py has all of them), at most ``2 (2^p - 1 - p) / m`` for x = y;
    * "fft": ``(A^p + B^p - 2 ρ^2p) / m``, but for terms of 1/m^2, at most ``2 (2^p - 1) / m`` for x = y.

    The first is smaller by what a whole run gains; where that is nothing, for orthogonal vectors, it may be larger by a
    share of p s / ((1 - s) a'), and by 1/a' for p = 2. The means of both are exact. Of vectors of other lengths the
    variance is ``|x|^2p |y|^2p`` times as large.

    "hadamard" has the same bits on every instruction set; relative error of a number at most about
    ``p (log2 a' + 1) eps |x| / |(H D x)_i|`` a factor. "fft" rounds as NumPy's FFT does, about ``eps log2 m`` of
    ``|z|``, and its bits may differ between versions of NumPy. Numbers grow with the p-th power of x: scale the data
    first. Sparse rows give the bits of dense ones.

    Cost: "hadamard" takes O(p a' log a' + p m) a row and memory for 16 p a' numbers a thread while p a' <= 2**17, for
    a' beyond; it keeps 4 p m bytes. "fft" takes O(p (features + m log m)) a row and memory for 5 numbers for each of
    the answer's; it keeps 4 p bytes a feature. Sparse rows are made dense some at a time, 2**20 numbers or one row.

    References
    ----------
    Pham, Pagh, "Fast and Scalable Polynomial Kernels via Explicit Feature Maps", KDD 2013: method "fft".
    Ahle, Kapralov, Knudsen, Pagh, Velingker, Woodruff, Zandieh, "Oblivious Sketching of High-Degree Polynomial
    Kernels", SODA 2020: TensorSRHT, products of real coordinates drawn independently, whose variance for x = y is up to
    3^p / m.
    Wacker, Ohana, Filippone, "Complex-to-Real Sketches for Tensor Products with Applications to the Polynomial Kernel",
    AISTATS 2023: complex coordinates, there by complex signs.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((5, 16)) / 4
    >>> Z = TensorSketch(256, degree=2).fit_transform(X)
    >>> bool(np.allclose(Z @ Z.T, (X @ X.T) ** 2))
    True
    """

    takes_sparse: ClassVar[bool] = True
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
        m = self.n_components_
        p = _check.integer("degree", self.degree, 1, 64)
        self._gamma = _check.number("gamma", self.gamma, "a number above 0 and at most 1e30", 0.0, 1e30)
        what = "a number from 0 to 1e30"
        self._coef0 = abs(_check.number("coef0", self.coef0, what, -math.ulp(0.0), 1e30))
        self._method, self._degree = _check.choice("method", self.method, ("hadamard", "fft")), p
        self.seed_ = seed_of(self.random_state)
        features = self.n_features_in_ + (self._coef0 > 0)
        if self._method == "fft":
            self.exact_ = False
            self._entries = [entries(self.seed_, f"tensor/{q}", features, m, 1) for q in range(p)]
            return
        a = padded(_check.integer("features", features, 1, 1 << 24))
        self._signs = np.concatenate([signs(self.seed_, "tensor", q, 0, 1, a) for q in range(p)])
        self.exact_ = m >= a**p
        self._pairs = 0 if self.exact_ else m // 2
        self._index = np.empty((p, a**p if self.exact_ else m), np.int32)
        for q in range(p):
            if self.exact_:
                self._index[q] = np.arange(a**p) // a**q % a
            else:
                self._draw(q, a)

    def _draw(self, q: int, a: int) -> None:
        """Factor q's coordinates, one order of all a' after the other."""
        index = self._index[q]
        for part in row_slices(-(-len(index) // a), a):
            run = orders(self.seed_, "tensor", q, 1 + part.start, part.stop - part.start, a).reshape(-1)
            index[part.start * a : part.stop * a] = run[: len(index) - part.start * a]

    def _extended(self, x: Array, exponent: Array | None = None) -> Array:
        """x scaled by the root of gamma, with the root of coef0 behind it; divided by powers of two, one a row."""
        if exponent is None and self._gamma == 1.0 and self._coef0 == 0:
            return x
        with np.errstate(all="ignore"):  # what is not finite is found in the answer
            root = np.full((len(x), 1), math.sqrt(self._coef0))
            if exponent is not None:
                x, root = np.ldexp(x, -exponent), np.ldexp(root, -exponent)
            if self._gamma != 1.0:
                x = x * x.dtype.type(math.sqrt(self._gamma))
            if self._coef0 > 0:
                x = np.hstack([x, root.astype(x.dtype)])
            return x

    def _sketch(self, x: Array, out: Array) -> None:
        """The sketches of extended rows; `out` also holds what is hashed on the way."""
        if self._method == "hadamard":
            factor = 1.0 / math.sqrt(self._index.shape[1])
            _core.tensor_sketch(x, out, self._signs, self._index, self._pairs, factor, self._workers())
            return
        spectrum: Any = 1.0
        with np.errstate(all="ignore"):
            for hashed in self._entries:
                _core.hash_rows(x, out, hashed, 1.0, False, self._workers())
                spectrum = spectrum * np.fft.rfft(out)
            out[:] = np.fft.irfft(spectrum, self.n_components_)

    def _forward(self, x: Any) -> tuple[Array, bool]:
        out = empty((x.shape[0], self.n_components_), x.dtype)
        for rows, into in dense_rows(x, out, self._degree * (x.shape[1] + self.n_components_)):
            self._sketch(self._extended(rows), into)
        return self._with_look(out)

    def _finite_forward(self, x: Any) -> Array:
        out, finite = self._forward(x)
        if not finite:
            self._require_finite(x, getattr(self, "feature_names_in_", None))
            self._forward_large(x, out)
            if not np.isfinite(out).all():
                raise self._too_large(out)
        return out

    def _forward_large(self, x: Any, out: Array) -> None:
        """The rows of `out` that are not finite once more, from rows divided by powers of two, to lengths of about one:
        products on the way are then about as large as the last ones."""
        again = np.flatnonzero(~np.isfinite(out).all(axis=1))
        with np.errstate(all="ignore"):
            for rows, at in dense_rows(x[again], again, self._degree * (x.shape[1] + self.n_components_)):
                largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
                of_x = np.frexp(largest)[1] + math.frexp(math.sqrt(self._gamma))[1]
                exponent = np.maximum(of_x, math.frexp(math.sqrt(self._coef0))[1]) if self._coef0 else of_x
                exponent += np.frexp(np.linalg.norm(self._extended(rows, exponent), axis=1, keepdims=True))[1]
                small = empty((len(rows), self.n_components_), out.dtype)
                self._sketch(self._extended(rows, exponent), small)
                out[at] = np.ldexp(small, self._degree * exponent)

    def aslinearoperator(self, dtype: Any = np.float64) -> Any:
        """The matrix Z with ``z(x) = Z (x ⊗ ... ⊗ x)``, (n_components_, n_features_in_**degree), as SciPy's
        LinearOperator.

        Parameters
        ----------
        dtype : float32 or float64
            Tensors are converted to it; products are computed in float64.

        Raises
        ------
        ValueError
            coef0 is not 0, or the tensor has more than 2**24 numbers.
        TypeError
            Another `dtype`.

        Notes
        -----
        For tools and tests. Cost: a product goes through the whole tensor p + 2^p times; needs SciPy.
        """
        from scipy.sparse.linalg import LinearOperator

        self._fitted()
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype: wanted float32 or float64; got {dtype!r}")
        n, p = self.n_features_in_, self._degree
        hadamard = self._method == "hadamard"
        side = 16 * self._signs.shape[1] if hadamard else n
        if side**p > 1 << 24 or self._coef0 > 0:
            raise ValueError(
                f"aslinearoperator: wanted coef0 = 0 and a tensor of at most 2**24 numbers; got coef0 = {self._coef0} "
                f"and {side}**{p} numbers"
            )
        forward, adjoint = (self._kronecker if hadamard else self._hashed)()
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
        sign = 1.0 - 2.0 * bits.reshape(p, a)
        terms = list(self._terms())

        def axes(t: Array, q: int) -> Array:
            out: Array = sign[q].reshape((1,) * q + (a,) + (1,) * (p - 1 - q)) * t
            return out

        def forward(t: Array) -> Array:
            t = np.pad(t, [(0, a - n)] * p)
            for q in range(p):
                t = fwht(axes(t, q), axis=q, norm="backward")
            out = np.zeros(self.n_components_)
            for part, index, weight in terms:
                out[part] += weight * t[index]
            return out

        def adjoint(y: Array) -> Array:
            t = np.zeros((a,) * p)
            for part, index, weight in terms:
                np.add.at(t, index, weight * y[part])
            for q in range(p):
                t = axes(fwht(t, axis=q, norm="backward"), q)
            return t[(slice(n),) * p]

        return forward, adjoint

    def _terms(self) -> Iterator[tuple[slice, tuple[Array, ...], float]]:
        """Parts of the answer, and what is added to them: elements of the transformed tensor, and a weight."""
        index, paired = self._index, 2 * self._pairs
        used, p = index.shape[1], self._degree
        yield slice(paired, used), tuple(index[:, paired:]), used**-0.5
        for imaginary in itertools.product((0, 1), repeat=p) if paired else ():
            i = sum(imaginary)  # a power of it: real or imaginary, positive or negative
            places = tuple(index[q, second:paired:2] for q, second in enumerate(imaginary))
            yield slice(i % 2, paired, 2), places, (1 - i // 2 % 2 * 2) * 2 ** ((1 - p) / 2) * used**-0.5

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
