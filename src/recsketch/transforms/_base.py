"""What the estimators share: scikit-learn's protocol without importing scikit-learn."""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.transforms._inputs import Array, column_names, dense, not_finite, short
from recsketch.transforms._sparse import csr, is_sparse

FLOATS = np.dtype(np.float32), np.dtype(np.float64)
MOST = 1 << 24  # components


class NotFittedError(ValueError, AttributeError):
    """An estimator was used before `fit`."""


class Estimator:
    """Parameters, and checks of the input."""

    takes_sparse: ClassVar[bool] = False
    threads: int | None
    n_features_in_: int

    # ------------------------------------------------------------ parameters

    @classmethod
    def _parameters(cls) -> list[str]:
        return sorted(set(inspect.signature(cls.__init__).parameters) - {"self"})

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name.

        Parameters
        ----------
        deep : bool
            Ignored: no parameter is an estimator.
        """
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters. They are checked, and take effect, at the next `fit`; `threads` at once.

        Raises
        ------
        ValueError
            A name that is no parameter; none is set then.
        """
        for name in params:
            if name not in self._parameters():
                raise ValueError(
                    f"Invalid parameter {short(name)} for estimator {self!r}. "
                    f"Valid parameters are: {self._parameters()!r}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        given = [
            f"{name}={short(getattr(self, name))}"
            for name in self._parameters()
            if getattr(self, name) is not defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")

    # ------------------------------------------------------------ input

    def _fitted(self) -> None:
        if hasattr(self, "n_features_in_"):
            return
        known = sys.modules.get("sklearn.exceptions")
        kind: Any = NotFittedError if known is None else known.NotFittedError
        raise kind(f"this {type(self).__name__} is not fitted yet: call fit first")

    def _rows(self, x: Any, names: Array | None, *, sparse: bool) -> Any:
        """`x` as a packed (n, k) array of float32 or float64, n and k at least 1, or as such a csr_array."""
        own = type(self).__name__
        if is_sparse(x) and not sparse:
            raise TypeError(f"{own}: wanted dense data; got a sparse matrix. Sparse input is not supported")
        rows = csr(own, x) if is_sparse(x) else dense(own, x, names)
        if rows.ndim != 2:
            kind = "" if isinstance(x, (np.ndarray, list, tuple)) else f" of a {type(x).__name__}"
            raise ValueError(
                f"{own}: wanted a 2-d array (n, features); got {rows.ndim} dimensions, shape {rows.shape}{kind}. "
                "Reshape your data: one sample alone is X.reshape(1, -1)"
            )
        if rows.shape[0] < 1:
            raise ValueError(f"{own}: wanted at least one row; got 0 sample(s) (shape={rows.shape})")
        if rows.shape[1] < 1:
            raise ValueError(
                f"{own}: wanted at least one column; got 0 feature(s) (shape={rows.shape}) "
                "while a minimum of 1 is required."
            )
        return rows

    def _rows_to_fit(self, x: Any) -> Any:
        """`x` as rows of finite numbers, whose columns are counted and whose names are kept."""
        names = column_names(type(self).__name__, x)
        rows = self._rows(x, names, sparse=self.takes_sparse)
        self._require_finite(rows, names)
        self.n_features_in_ = rows.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return rows

    def _rows_as_fitted(self, x: Any) -> Any:
        """`x` as rows with the columns that were fitted. What is not finite is found in the answer."""
        if type(x) is np.ndarray and x.dtype in FLOATS and x.ndim == 2 and x.size:
            known = hasattr(self, "feature_names_in_") or x.shape[1] != self.n_features_in_
            if not known and x.flags.c_contiguous and x.flags.aligned:
                return x  # nothing else is to be checked, and a small transform takes less time than the checks
        own = type(self).__name__
        names = column_names(own, x)
        rows = self._rows(x, names, sparse=self.takes_sparse)
        self._compare(names)
        if rows.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {rows.shape[1]} features, but {own} is expecting {self.n_features_in_} features as input: "
                f"wanted shape (n, {self.n_features_in_})"
            )
        return rows

    def _compare(self, names: Array | None) -> None:
        """Refuse names, or an order of them, that `fit` did not see; scikit-learn prescribes the words."""
        fitted, own = getattr(self, "feature_names_in_", None), type(self).__name__
        if fitted is None or names is None:
            if fitted is not None:
                text = f"X does not have valid feature names, but {own} was fitted with feature names"
                warnings.warn(text, stacklevel=4)
            elif names is not None:
                warnings.warn(f"X has feature names, but {own} was fitted without feature names", stacklevel=4)
            return
        if np.array_equal(fitted, names):
            return
        message = "The feature names should match those that were passed during fit.\n"
        unseen, missing = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
        for title, found in (
            ("Feature names unseen at fit time", unseen),
            ("Feature names seen at fit time, yet now missing", missing),
        ):
            if found:
                message += f"{title}:\n" + "".join(f"- {n[:60]}\n" for n in found[:5]) + "- ...\n" * (len(found) > 5)
        if not unseen and not missing:
            message += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(message)

    def _require_finite(self, rows: Any, names: Array | None, name: str = "X") -> None:
        error = not_finite(type(self).__name__, rows, names, name)
        if error:
            raise error

    def _workers(self) -> int:
        return _check.threads(self.threads)

    @contextlib.contextmanager
    def _as_before_if_it_fails(self) -> Iterator[None]:
        """Take every attribute back if the block raises. Attributes are replaced and never changed in place."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:  # Ctrl-C too
            vars(self).clear()
            vars(self).update(before)
            raise


class Transform(Estimator):
    """An estimator that makes rows of rows: names and containers of the output."""

    n_components: Any
    random_state: Any
    n_components_: int
    seed_: int

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(sparse=self.takes_sparse),
        )

    # ------------------------------------------------------------ output

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Names of the columns of the output: the estimator's name in lower case and a number.

        Parameters
        ----------
        input_features : array_like of str, optional
            Compared with what `fit` saw, and not used otherwise.

        Returns
        -------
        (n_components_,) array of str objects

        Raises
        ------
        ValueError
            `input_features` are not the names that `fit` saw, or not as many.
        """
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
        """Choose what `transform` gives.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None
            Arrays, or data frames with the columns of `get_feature_names_out`; a pandas frame takes over the index of
            the frame it is made of. None changes nothing. Where nothing was chosen, scikit-learn's
            ``set_config(transform_output=)`` holds if scikit-learn is loaded, and else "default".

        Raises
        ------
        ValueError
            Another value.
        """
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

    def _count_components(self, samples: int) -> int:
        return _check.integer("n_components", self.n_components, 1, MOST)

    def _prepare(self) -> None:
        """Check the parameters of the estimator's own and draw what `n_features_in_` and `n_components_` ask for."""
        raise NotImplementedError

    def _forward(self, x: Any) -> tuple[Array, bool]:
        """The sketches of rows as `_rows` gives them, and whether all numbers are finite: sums may overflow."""
        raise NotImplementedError

    def _finite_forward(self, x: Any) -> Array:
        """`_forward`, of which every number is finite. Every number of x is part of some number of the answer, so that
        x needs no look where the answer is finite."""
        out, finite = self._forward(x)
        if not finite:
            self._require_finite(x, getattr(self, "feature_names_in_", None))
            raise self._too_large(out)
        return out

    @staticmethod
    def _with_look(out: Array) -> tuple[Array, bool]:
        return out, _core.within(out.reshape(-1), math.inf)

    def _too_large(self, out: Array) -> ValueError:
        row = int(np.argmin(np.isfinite(out).all(axis=1)))
        own = type(self).__name__
        return ValueError(f"{own}: wanted numbers whose sketch {out.dtype} can hold; got larger ones in row {row}")

    def _fit(self, X: Any) -> Any:
        rows = self._rows_to_fit(X)
        self.n_components_ = self._count_components(rows.shape[0])
        self._workers()
        self._prepare()
        return rows

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the random matrix for the number of columns of `X`, whose values are only checked.

        A fit that raises leaves the estimator as it was.

        Parameters
        ----------
        X : (n, features) array_like, table or sparse array
            A table is a data frame of pandas or polars or a Table of pyarrow; if its columns have names, they are kept
            as ``feature_names_in_``. Sparse arrays are SciPy's, of any format, where the estimator takes them.
        y : ignored

        Raises
        ------
        ValueError
            NaN (None, pandas.NA, a masked element) or infinity, with the column and row; a shape other than two
            dimensions of at least 1; complex numbers; a sparse array whose parts contradict each other; a parameter out
            of its range.
        TypeError
            Cells or columns that are no numbers: text, even if a number could be read from it, and dates; a parameter
            of another type.
        """
        with self._as_before_if_it_fails():
            self._fit(X)
        return self

    def transform(self, X: Any) -> Any:
        """The sketch of every row.

        Parameters
        ----------
        X : (n, n_features_in_) array_like, table or sparse array
            As for `fit`. float32 and float64 are taken as they are, other numbers as float64.

        Returns
        -------
        (n, n_components_) array of the same type
            Or a data frame, see `set_output`. A row does not depend on the others, nor its bits on the threads.

        Raises
        ------
        ValueError
            As by `fit`; another number of columns, other names of columns or another order of them than fitted; numbers
            whose sketch is larger than the type can hold.
        TypeError
            As by `fit`.

        Warns
        -----
        UserWarning
            `X` has names and `fit` saw none, or the reverse.
        """
        self._fitted()
        return self._wrap(self._finite_forward(self._rows_as_fitted(X)), X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """`fit`, then `transform`, reading `X` once. If either raises, the estimator stays as it was."""
        with self._as_before_if_it_fails():
            return self._wrap(self._finite_forward(self._fit(X)), X)
