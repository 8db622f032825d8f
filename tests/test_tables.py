"""Tables of pandas, polars and pyarrow, and cells that are no numbers, as the estimators' input."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sklearn.base

from recsketch.transforms import CountSketch, SparseProjection, StructuredProjection, TensorSketch

KINDS = (CountSketch, SparseProjection, StructuredProjection, TensorSketch)
LIBRARIES = ("pandas", "polars", "pyarrow")


def table(library: str, columns: dict[str, Any]) -> Any:
    made = pytest.importorskip(library)
    return made.table(columns) if library == "pyarrow" else made.DataFrame(columns)


def numbers(library: str, names: str = "abc", dtype: type = np.float64) -> Any:
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(dtype)
    return table(library, dict(zip(names, x.T, strict=True)))


def chosen(library: str, x: Any, names: list[str]) -> Any:
    return x.select(names) if library == "pyarrow" else x[names]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_are_those_of_fit(library: str, kind: Any) -> None:
    """A table's columns are known by name: the same numbers in another order are not the same rows."""
    x = numbers(library)
    e = kind(8).fit(x)
    assert list(e.feature_names_in_) == ["a", "b", "c"]
    want = kind(8).fit_transform(np.asarray(x))
    assert np.array_equal(e.transform(x), want)
    for other in LIBRARIES:  # names are names in whatever library
        assert np.array_equal(e.transform(numbers(other)), want)
    with pytest.raises(ValueError, match="must be in the same order"):
        e.transform(chosen(library, x, ["b", "a", "c"]))
    with pytest.raises(ValueError, match="yet now missing:\n- c"):
        e.transform(chosen(library, x, ["a", "b"]))
    with pytest.raises(
        ValueError, match=r"unseen at fit time:\n- z\nFeature names seen at fit time, yet now missing:\n- c"
    ):
        e.transform(numbers(library, "abz"))
    e.fit(np.asarray(x))
    assert not hasattr(e, "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but") as caught:
        assert np.array_equal(e.transform(x), want)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="X does not have valid feature names, but") as caught:
        assert np.array_equal(e.fit(x).transform(np.asarray(x)), want)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("library", LIBRARIES)
def test_names_of_the_output_and_types_are_kept(library: str) -> None:
    for dtype in (np.float32, np.float64):
        x = numbers(library, dtype=dtype)
        e = CountSketch(4).fit(x)
        assert e.transform(x).dtype == dtype
        assert list(e.get_feature_names_out(["a", "b", "c"])) == [f"countsketch{i}" for i in range(4)]
        with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
            e.get_feature_names_out(["a", "c", "b"])
    for container in ("pandas", "polars"):
        made = pytest.importorskip(container)
        out = sklearn.base.clone(e).set_output(transform=container).fit_transform(x)
        assert isinstance(out, made.DataFrame)
        assert list(out.columns) == [f"countsketch{i}" for i in range(4)]
        assert np.array_equal(np.asarray(out), e.transform(x))


def test_the_index_of_a_pandas_frame_is_kept() -> None:
    x = numbers("pandas").set_index(np.arange(5) * 10)
    assert list(CountSketch(4).set_output(transform="pandas").fit_transform(x).index) == [0, 10, 20, 30, 40]
    assert list(CountSketch(4).set_output(transform="pandas").fit_transform(numbers("polars")).index) == [0, 1, 2, 3, 4]


def test_labels_that_are_no_strings() -> None:
    pandas = pytest.importorskip("pandas")
    for labels in (None, [7, 8], pandas.MultiIndex.from_tuples([("a", "b"), ("c", "d")])):
        e = CountSketch(4).fit(pandas.DataFrame([[1.0, 2.0]], columns=labels))
        assert not hasattr(e, "feature_names_in_")
    with pytest.raises(TypeError, match="only supported if all input features have string names; got 'a', 3"):
        CountSketch(4).fit(pandas.DataFrame([[1.0, 2.0]], columns=["a", 3]))


BAD_TYPES: dict[str, Any] = {
    "text": ["1", "2"],
    "bytes": [b"1", b"2"],
    "date": np.array(["2020-01-01", "2020-01-02"], "M8[D]").tolist(),  # of Python's own types
    "time stamp": np.array(["2020-01-01", "2020-01-02"], "M8[us]").tolist(),
    "duration": np.array([1, 2], "m8[us]").tolist(),
    "list": [[1.0], [2.0]],
}


@pytest.mark.parametrize("name", BAD_TYPES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_that_hold_no_numbers(library: str, name: str) -> None:
    """polars would hand over dates among integers as integers, and float() reads numbers from text."""
    for beside in ([1, 2], [1.0, 2.0]):
        x = table(library, {"fine": [1, 2], "bad": BAD_TYPES[name], "other": beside})
        for kind in KINDS:
            with pytest.raises(TypeError, match=f"^{kind.__name__}: wanted numbers; got .* in column 'bad'"):
                kind(4).fit(x)


def test_columns_of_pandas_own_types() -> None:
    pandas = pytest.importorskip("pandas")
    good = {
        "a": pandas.array([1, 2], "Int64"),
        "b": pandas.array([1, 2], "Float32"),
        "c": pandas.Categorical([1, 2]),
        "d": pandas.arrays.SparseArray([1.0, 2.0]),
        "e": pandas.array([True, False], "boolean"),
    }
    want = CountSketch(4).fit_transform(np.array([[1.0, 1, 1, 1, 1], [2, 2, 2, 2, 0]]))
    assert np.array_equal(CountSketch(4).fit_transform(pandas.DataFrame(good)), want)
    for bad in (
        pandas.interval_range(0, 2),
        pandas.period_range("2020", periods=2),
        pandas.array(["1", "2"], "string"),
    ):
        with pytest.raises(TypeError, match=r"wanted numbers; got .* in column 'b'"):
            CountSketch(4).fit(pandas.DataFrame({**good, "b": bad}))
    with pytest.raises(TypeError, match=r"wanted numbers; got 'u' \(str\) in column 'c', row 1"):
        CountSketch(4).fit(pandas.DataFrame({**good, "c": pandas.Series([1, "u"], dtype="category")}))
    assert CountSketch(4).fit(pandas.DataFrame({f"c{i}": pandas.array([1, 2], "Int64") for i in range(3)}))
    with pytest.raises(ValueError, match="Input X contains NaN: column 1, row 0"):
        CountSketch(4).fit([[1, pandas.NaT]])
    x = pandas.DataFrame({"a": pandas.array([1, 2], "Int64"), "b": pandas.array([3, None], "Int64")})
    for kind in KINDS:
        with pytest.raises(ValueError, match="Input X contains NaN: column 'b', row 1"):
            kind(4).fit(x)
        with pytest.raises(ValueError, match="Input X contains NaN: column 'b', row 1"):
            kind(4).fit(x.fillna(0)).transform(x)


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_missing_is_named(library: str) -> None:
    for missing in ([1, 2, None], [1.0, 2.0, math.nan], [True, False, None], [Decimal(1), Decimal(2), None]):
        x, whole = (table(library, {"a": [1, 2, 3], "b": b}) for b in (missing, [missing[0]] * 3))
        for kind in KINDS:
            with pytest.raises(ValueError, match="wanted finite numbers; Input X contains NaN: column 'b', row 2"):
                kind(4).fit(x)
            with pytest.raises(ValueError, match="wanted finite numbers; Input X contains NaN: column 'b', row 2"):
                kind(4).fit(whole).transform(x)


def test_columns_of_nothing() -> None:
    """Their type is that of no cells at all: what is missing is said, not the type."""
    pyarrow, polars = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    for x in (pyarrow.table({"a": [1, 2], "b": pyarrow.nulls(2)}), polars.DataFrame({"a": [1, 2], "b": [None, None]})):
        with pytest.raises(ValueError, match="Input X contains NaN: column 'b', row 0"):
            CountSketch(4).fit(x)


def test_decimals_are_numbers() -> None:
    want = CountSketch(4).fit_transform([[1.5, 0.1], [2.0, -3.0]])
    values = {"a": [Decimal("1.5"), Decimal("2.0")], "b": [Decimal("0.1"), Decimal("-3.0")]}
    for library in LIBRARIES:
        assert np.array_equal(CountSketch(4).fit_transform(table(library, values)), want)
    exact = [[Decimal("1.5"), Fraction(1, 10)], [2, np.int8(-3)]]
    assert np.array_equal(CountSketch(4).fit_transform(exact), want)


@pytest.mark.parametrize("kind", KINDS)
def test_cells_are_named(kind: Any) -> None:
    """Row and column count from 0, in lists and arrays without names."""
    text = r"text, dates and arrays are no numbers"
    cases: list[tuple[Any, type, str]] = [
        ([[1, 2], [3, "4"]], TypeError, rf"got '4' \(str\) in column 1, row 1: {text}"),
        (np.array([["1", "2"]]), TypeError, rf"got .*'1'.* in column 0, row 0: {text}"),
        (np.array([[b"1", b"2"]]), TypeError, rf"got .*'1'.* in column 0, row 0: {text}"),
        (np.array([[1, "2"]], dtype=object), TypeError, rf"got '2' \(str\) in column 1, row 0: {text}"),
        (np.array([["2020-01-01"]], "M8[D]"), TypeError, "got an array of shape .* and dtype datetime64"),
        (np.array([[5]], "m8[s]"), TypeError, "got an array of shape .* and dtype timedelta64"),
        ([[1, np.datetime64("2020")]], TypeError, "in column 1, row 0"),
        (np.array([[1, np.timedelta64(5)]], dtype=object), TypeError, rf"in column 1, row 0: {text}"),
        ([[1, {"a": 1}]], TypeError, r"got \{'a': 1\} \(dict\) in column 1, row 0: float\(\) argument must be"),
        ([[1, 10**400]], ValueError, r"got 10\*\*400 \(int\) in column 1, row 0: int too large"),
        ([[1, Decimal("sNaN")]], ValueError, r"\(Decimal\) in column 1, row 0"),
        (np.array([[1, 2j]], dtype=object), ValueError, r"Complex data not supported.* \(complex\) in column 1, row 0"),
        ([[1, 2], [None, 3]], ValueError, "Input X contains NaN: column 0, row 1"),
        ([[1, 2], [math.inf, 3]], ValueError, "Input X contains infinity .* float64: column 0, row 1"),
        (np.array([[1, -np.inf]], np.float32), ValueError, "Input X contains infinity .* float32: column 1, row 0"),
        (np.zeros((1, 1), [("a", float), ("b", float)]), TypeError, "wanted numbers; got an array of shape"),
    ]
    if np.finfo(np.longdouble).max > np.finfo(float).max:
        cases.append((np.full((1, 1), np.longdouble("1e4000")), ValueError, "a value too large for float64: column 0"))
    fitted = {n: kind(4).fit(np.ones((1, n))) for n in (1, 2)}
    for x, error, message in cases:
        with pytest.raises(error, match=message):
            kind(4).fit(x)
        with pytest.raises(error, match=message):
            fitted[len(x[0])].transform(x)


def test_messages_stay_short() -> None:
    """Names and cells may be pages long; an error quotes their beginning."""
    page = "x" * 10**6
    pandas = pytest.importorskip("pandas")
    long = pandas.DataFrame(np.ones((2, 6)), columns=[f"{page}{i}" for i in range(6)])
    other = pandas.DataFrame(np.ones((2, 6)), columns=[f"{i}{page}" for i in range(6)])
    e = CountSketch(4).fit(long)
    for call in (
        lambda: e.transform(other),
        lambda: e.transform(long * np.nan),
        lambda: CountSketch(4).fit([[page, 1]]),
        lambda: CountSketch(4).fit([[1, {page: 1}]]),
        lambda: CountSketch(4).fit(long.astype({long.columns[0]: object}).replace(1.0, page)),
        lambda: CountSketch(4).fit(pandas.DataFrame([[1, 2]], columns=[page, 3])),
        lambda: CountSketch(random_state=[page]).set_params(**{page: 1}),
        lambda: CountSketch(random_state=[page]).fit(long),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert len(str(caught.value)) <= 1000


def test_what_is_not_in_memory_is_no_table() -> None:
    polars = pytest.importorskip("polars")
    with pytest.raises(ValueError, match=r"got 0 dimensions, shape .* of a LazyFrame"):
        CountSketch(4).fit(polars.DataFrame({"a": [1.0]}).lazy())
    with pytest.raises(ValueError, match=r"got 1 dimensions, shape .* of a Series"):
        CountSketch(4).fit(polars.Series("a", [1.0]))
