"""What the estimators share: scikit-learn's protocol without importing scikit-learn."""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

import recsketch._check as _check
import recsketch._core as _core

Array = npt.NDArray[Any]
FLOATS = np.dtype(np.float32), np.dtype(np.float64)


class NotFittedError(ValueError, AttributeError):
    """An estimator was used before `fit`."""


def is_sparse(x: Any) -> bool:
    """Whether `x` is one of SciPy's sparse arrays, without importing SciPy."""
    return hasattr(x, "tocsr") and any(kind.__module__.startswith("scipy.sparse") for kind in type(x).__mro__)


def _consistent(x: Any) -> bool:
    """Whether a sparse array's numbers are where its offsets and indices say: SciPy does not look, and may crash."""
    if x.format == "coo":
        sizes, at = x.shape, (x.row, x.col)
        inside = all(not i.size or 0 <= int(i.min()) <= int(i.max()) < n for i, n in zip(at, sizes, strict=True))
        return inside and x.row.size == x.col.size == x.data.size
    if x.format not in ("csr", "csc", "bsr"):
        return True  # Python's own lists
    rows, columns = (n // b for n, b in zip(x.shape, getattr(x, "blocksize", (1, 1)), strict=True))
    outer, inner = (columns, rows) if x.format == "csc" else (rows, columns)
    ends, at = x.indptr, x.indices
    if (
        ends.shape != (outer + 1,)
        or ends[0] != 0
        or np.any(ends[1:] < ends[:-1])
        or ends[-1] > min(len(at), len(x.data))
    ):
        return False
    used = at[: ends[-1]]
    return not used.size or 0 <= int(used.min()) <= int(used.max()) < inner


class Transform:
    """Parameters, checks of the input, names and containers of the output."""

    takes_sparse: ClassVar[bool] = False
    spreads: ClassVar[bool] = False  # every number of a row is part of every number of its answer
    threads: int | None
    n_features_in_: int
    n_components_: int
    seed_: int

    # ------------------------------------------------------------ parameters

    @classmethod
    def _names(cls) -> list[str]:
        return sorted(set(inspect.signature(cls.__init__).parameters) - {"self"})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; an unknown one is an error."""
        for name in params:
            if name not in self._names():
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {self._names()!r}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        given = [f"{n}={getattr(self, n)!r}" for n in self._names() if getattr(self, n) is not defaults[n].default]
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(sparse=self.takes_sparse),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    # ------------------------------------------------------------ input

    def _fitted(self) -> None:
        if self.__sklearn_is_fitted__():
            return
        known = sys.modules.get("sklearn.exceptions")
        kind: Any = NotFittedError if known is None else known.NotFittedError
        raise kind(f"this {type(self).__name__} is not fitted yet: call fit first")

    def _input(self, x: Any, *, reset: bool, width: int | None = None) -> Any:
        """`x` as a C-contiguous (n, features) float32 or float64 array, or as a sparse one in CSR; where reset is set,
        numbers that are finite."""
        if type(x) is np.ndarray and x.dtype in FLOATS and x.ndim == 2 and x.size and not reset:
            fitted = None if hasattr(self, "feature_names_in_") else self.n_features_in_
            if x.shape[1] == (fitted if width is None else width) and x.flags.c_contiguous and x.flags.aligned:
                return x  # as it is, and as is all that follows
        own = f"{type(self).__name__}: "
        if is_sparse(x):
            if not self.takes_sparse or width is not None:
                raise TypeError(f"{own}wanted dense data; got a sparse matrix. Sparse input is not supported")
            if x.ndim == 2 and not _consistent(x):
                raise ValueError(f"{own}wanted offsets that never decrease and indices within the shape; got others")
            out = x.tocsr()
            if out.dtype.kind == "c":
                raise ValueError(f"{own}Complex data not supported; got a sparse matrix of {out.dtype}")
            if out.dtype not in (np.float32, np.float64):
                out = out.astype(np.float64)
            finite = not reset or bool(np.isfinite(out.data).all())
        else:
            _check.unmasked(f"{own}X", x, "an (n, features) array")
            try:
                array = np.asarray(x)
            except ValueError:
                raise ValueError(f"{own}wanted an (n, features) array; got a ragged sequence") from None
            if array.dtype.kind == "c":
                raise ValueError(f"{own}Complex data not supported; got {_check.describe(array)}")
            if array.dtype.kind not in "fiub":
                try:
                    array = array.astype(np.float64)
                except (TypeError, ValueError) as error:
                    kind = TypeError if isinstance(error, TypeError) else ValueError
                    raise kind(f"{own}wanted numbers; got {_check.describe(array)}: {error}") from None
            if array.ndim == 2:
                array = _check.packed(array, _check.float_type(array))
            out, finite = array, not reset or bool(np.isfinite(array).all())
        if out.ndim != 2:
            raise ValueError(
                f"{own}wanted a 2-d array (n, features); got {out.ndim} dimensions, shape {out.shape}. "
                "Reshape your data: one sample alone is X.reshape(1, -1)"
            )
        if out.shape[0] < 1:
            raise ValueError(f"{own}wanted at least one row; got 0 sample(s) (shape={out.shape})")
        if out.shape[1] < 1:
            raise ValueError(
                f"{own}wanted at least one column; got 0 feature(s) (shape={out.shape}) "
                "while a minimum of 1 is required."
            )
        if not finite:
            raise self._not_finite()
        if width is None:
            self._features(x, out.shape[1], reset)
        elif out.shape[1] != width:
            raise ValueError(f"{own}wanted {width} columns, as many as transform makes; got {out.shape[1]}")
        return out

    def _not_finite(self) -> ValueError:
        return ValueError(f"{type(self).__name__}: wanted finite numbers; Input X contains NaN or infinity")

    def _checked(self, out: Array, x: Any) -> Array:
        """`out`, made of `x`. Every number of x is part of some number of out, so that this is looked at first, or one
        column of it."""
        flat = out[:, 0] if self.spreads else out.reshape(-1)
        if not _core.within(flat, math.inf):
            if not np.isfinite(x.data if is_sparse(x) else x).all():
                raise self._not_finite()
            raise ValueError(
                f"{type(self).__name__}: wanted numbers whose sketch {out.dtype} can hold on the way; got larger ones"
            )
        return out

    def _features(self, x: Any, count: int, reset: bool) -> None:
        columns = getattr(x, "columns", None)
        names: Array | None = None
        if columns is not None and all(isinstance(c, str) for c in columns):
            names = np.asarray(list(columns), dtype=object)
        elif columns is not None and any(isinstance(c, str) for c in columns):
            raise TypeError(
                f"{type(self).__name__}: Feature names are only supported if all input features have string names; "
                f"got {list(columns)[:5]!r}"
            )
        if reset:
            self.n_features_in_ = count
            if names is not None:
                self.feature_names_in_ = names
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return
        fitted = getattr(self, "feature_names_in_", None)
        own = type(self).__name__
        if fitted is not None and names is None:
            warnings.warn(f"X does not have valid feature names, but {own} was fitted with feature names", stacklevel=4)
        elif fitted is None and names is not None:
            warnings.warn(f"X has feature names, but {own} was fitted without feature names", stacklevel=4)
        elif fitted is not None and names is not None and not np.array_equal(fitted, names):
            message = "The feature names should match those that were passed during fit.\n"
            unseen, missing = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
            for title, found in (
                ("Feature names unseen at fit time", unseen),
                ("Feature names seen at fit time, yet now missing", missing),
            ):
                if found:
                    message += f"{title}:\n" + "".join(f"- {n}\n" for n in found[:5]) + "- ...\n" * (len(found) > 5)
            if not unseen and not missing:
                message += "Feature names must be in the same order as they were in fit.\n"
            raise ValueError(message)
        if count != self.n_features_in_:
            raise ValueError(
                f"X has {count} features, but {own} is expecting {self.n_features_in_} features as input: wanted shape "
                f"(n, {self.n_features_in_})"
            )

    def _workers(self) -> int:
        return _check.threads(self.threads)

    # ------------------------------------------------------------ output

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns of the output: the estimator's name in lower case and a number."""
        self._fitted()
        if input_features is not None:
            given = np.asarray(input_features, dtype=object)
            fitted = getattr(self, "feature_names_in_", None)
            if fitted is not None and not np.array_equal(given, fitted):
                raise ValueError("input_features is not equal to feature_names_in_")
            if given.shape != (self.n_features_in_,):
                raise ValueError(
                    f"input_features should have length equal to number of features ({self.n_features_in_}), "
                    f"got {given.size}"
                )
        stem = type(self).__name__.lower()
        return np.asarray([f"{stem}{i}" for i in range(self.n_components_)], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """What `transform` gives: "default" (arrays), "pandas" or "polars" (data frames with named columns)."""
        if transform is not None:
            container = _check.choice("transform", transform, ("default", "pandas", "polars"))
            self._sklearn_output_config = {"transform": container}  # the name that sklearn's clone looks for
        return self

    def _wrap(self, out: Array, x: Any) -> Any:
        container = getattr(self, "_sklearn_output_config", {}).get("transform")
        if container is None:
            known = sys.modules.get("sklearn")
            container = known.get_config()["transform_output"] if known else "default"
        if container == "pandas":
            import pandas

            index = getattr(x, "index", None) if hasattr(x, "columns") else None
            return pandas.DataFrame(out, columns=self.get_feature_names_out(), index=index)
        if container == "polars":
            import polars

            return polars.DataFrame(out, schema=list(self.get_feature_names_out()), orient="row")
        return out

    # ------------------------------------------------------------ the estimator's verbs

    def _prepare(self) -> None:
        """Draw what `n_features_in_` and the parameters ask for."""
        raise NotImplementedError

    def _forward(self, x: Any) -> Array:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the random matrix for the number of columns of `X`; its values are only checked.

        Parameters
        ----------
        X : (n, features) array_like
        y : ignored
        """
        self._input(X, reset=True)
        self._prepare()
        return self

    def transform(self, X: Any) -> Any:
        """The sketch of every row.

        Parameters
        ----------
        X : (n, n_features_in_) array_like
            float32 and float64 are taken as they are, other numbers as float64.

        Returns
        -------
        (n, n_components) array of the same type
            Or a data frame, see `set_output`. A row does not depend on the others, nor its bits on the threads.

        Raises
        ------
        ValueError
            NaN or infinity; another number of columns than fitted.
        """
        self._fitted()
        x = self._input(X, reset=False)
        return self._wrap(self._checked(self._forward(x), x), X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """`fit`, then `transform`."""
        return self.fit(X, y).transform(X)


class LinearTransform(Transform):
    """A matrix of shape (n_components, n_features_in_), applied and transposed without being formed."""

    def _adjoint(self, y: Array) -> Array:
        raise NotImplementedError

    def adjoint(self, Y: Any) -> Array:
        """`Y @ P`, the transpose of `transform`: (n, n_components) gives (n, n_features_in_)."""
        self._fitted()
        y = self._input(Y, reset=False, width=self.n_components_)
        if not np.isfinite(y).all():  # rows that no column uses do not show in the answer
            raise self._not_finite()
        return self._adjoint(y)

    def aslinearoperator(self, dtype: Any = np.float64) -> Any:
        """The matrix P, (n_components, n_features_in_), as a scipy.sparse.linalg.LinearOperator of float32 or
        float64."""
        from scipy.sparse.linalg import LinearOperator

        self._fitted()
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"dtype: wanted float32 or float64; got {dtype!r}")

        def columns(apply: Any) -> Any:
            return lambda m: apply(np.ascontiguousarray(np.asarray(m).reshape(len(m), -1).T, dtype=dtype)).T

        def vector(apply: Any) -> Any:
            return lambda v: apply(np.ascontiguousarray(np.asarray(v).reshape(1, -1), dtype=dtype))[0]

        return LinearOperator(
            (self.n_components_, self.n_features_in_),
            matvec=vector(self._forward),
            rmatvec=vector(self._adjoint),
            matmat=columns(self._forward),
            rmatmat=columns(self._adjoint),
            dtype=dtype,
        )
