"""scikit-learn's own checks of the estimators, and what they leave out."""

from __future__ import annotations

import warnings
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import scipy.sparse
import sklearn.base
import sklearn.exceptions
import sklearn.pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from recsketch import transforms
from recsketch.transforms import CountSketch, SparseProjection, StructuredProjection, TensorSketch

ESTIMATORS = {
    "StructuredProjection": StructuredProjection(64),
    "SparseProjection": SparseProjection(64),
    "CountSketch": CountSketch(64),
    "TensorSketch": TensorSketch(64),
    "TensorSketch fft": TensorSketch(64, method="fft"),
}
MAY_BE_SKIPPED = {"check_array_api_input", "check_n_features_in_after_fitting"}


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_scikit_learn_checks(name: str) -> None:
    """All of them, counted: a version that yields none, or skips them, does not pass."""
    passed, skipped = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for estimator, check in estimator_checks_generator(ESTIMATORS[name]):
            label = getattr(check, "func", check).__name__
            try:
                check(estimator)
                passed.append(label)
            except SkipTest:
                skipped.append(label)
    assert len(passed) >= 40
    assert len(set(passed)) >= 35
    # data frames need pandas or polars, the array API a variable
    assert all("pandas" in s or "polars" in s or "dataframe" in s or s in MAY_BE_SKIPPED for s in skipped), skipped


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_clone_pipeline_and_parameters(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((9, 20))
    first = sklearn.base.clone(ESTIMATORS[name]).set_params(random_state=3)
    assert first.get_params()["random_state"] == 3
    assert "random_state=3" in repr(first)
    pipe = sklearn.pipeline.make_pipeline(first, sklearn.base.clone(ESTIMATORS["CountSketch"]))
    assert pipe.fit_transform(x).shape == (9, 64)
    assert list(first.get_feature_names_out())[:2] == [f"{type(first).__name__.lower()}{i}" for i in range(2)]
    with pytest.raises(ValueError, match="Invalid parameter 'no'"):
        first.set_params(no=1)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        sklearn.base.clone(first).transform(x)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_hostile_input(name: str) -> None:
    e = sklearn.base.clone(ESTIMATORS[name])
    x = np.random.default_rng(1).standard_normal((33, 20)).astype(np.float32)
    y = e.fit_transform(x)
    assert y.dtype == np.float32
    base = np.zeros((66, 40), np.float32)
    base[::2, ::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    raw = bytearray(x.nbytes + 1)
    crooked = np.frombuffer(raw, np.uint8)[1:].view(np.float32).reshape(x.shape)
    crooked[:] = x
    same = (base[::2, ::2], frozen, np.asfortranarray(x), x.astype(x.dtype.newbyteorder()), crooked, x.tolist())
    for other in same[:-1]:
        assert np.array_equal(e.transform(other), y)
    assert e.transform(same[-1]).dtype == np.float64
    for bad in (np.nan, np.inf, -np.inf):
        for at in ((0, 0), (32, 19), (17, 7)):
            z = x.copy()
            z[at] = bad
            with pytest.raises(ValueError, match="wanted finite numbers"):
                e.transform(z)
            with pytest.raises(ValueError, match="wanted finite numbers"):
                sklearn.base.clone(e).fit(z)
    for shape in ((0, 20), (3, 0), (20,), (2, 3, 20), (3, 19)):
        with pytest.raises(ValueError, match=r"wanted|expecting"):
            e.transform(np.zeros(shape))
    with pytest.raises(ValueError, match="ragged"):
        e.transform([[1.0] * 20, [1.0]])
    with pytest.raises(ValueError, match="Complex"):
        e.transform(x.astype(np.complex64))
    for params in ({"n_components": 0}, {"n_components": 2**24 + 1}, {"random_state": -1}, {"threads": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(params))}: wanted"):
            sklearn.base.clone(e).set_params(**params).fit(x)
    with pytest.raises(TypeError, match="n_components: wanted"):
        sklearn.base.clone(e).set_params(n_components=2.5).fit(x)
    with pytest.raises(ValueError, match="transform: wanted"):
        e.set_output(transform="excel")


def test_sparse_input_has_the_bits_of_dense_input() -> None:
    x = scipy.sparse.random(50, 300, 0.05, random_state=np.random.default_rng(0), dtype=np.float32).tocsr()
    parts = x.tocoo()
    twice = scipy.sparse.csr_matrix(x.shape, dtype=np.float32)
    order = np.argsort(np.r_[parts.row, parts.row], kind="stable")
    twice.data, twice.indices = np.r_[parts.data, parts.data][order], np.r_[parts.col, parts.col][order]
    twice.indptr = 2 * x.indptr
    for e in (CountSketch(32), SparseProjection(32, n_nonzeros=4)):
        y = e.fit(x).transform(x)
        assert np.array_equal(y, e.transform(x.toarray()))
        assert np.array_equal(y, e.transform(x.tocsc()))
        assert np.array_equal(e.transform(twice), e.transform((x + x).toarray()))
        assert not e.transform(x * 0).any()
        assert twice.nnz == 2 * x.nnz  # the caller's matrix is as it was
    for e in (StructuredProjection(32), TensorSketch(32), TensorSketch(32, method="fft")):
        y = e.fit(x).transform(x)
        assert np.array_equal(y, e.transform(x.toarray()))
        assert np.array_equal(e.transform(twice), e.transform((x + x).toarray()))


def test_sparse_arrays_of_any_kind_or_none() -> None:
    x = scipy.sparse.random(6, 20, 0.3, random_state=np.random.default_rng(0), dtype=np.float32).tocsr()
    e = CountSketch(8).fit(x)

    class Mine(scipy.sparse.csr_matrix):  # type: ignore[misc]  # SciPy has no types
        pass

    assert np.array_equal(e.transform(Mine(x)), e.transform(x))
    with pytest.raises(ValueError, match="wanted a 2-d array"):
        e.transform(scipy.sparse.coo_array(np.ones(20)))
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.csc_matrix):
        for name, at, value in (("indptr", 2, 10**6), ("indptr", 0, 1), ("indptr", 3, -1), ("indptr", -1, 10**6)):
            bad = kind(x)
            setattr(bad, name, getattr(bad, name).copy())
            getattr(bad, name)[at] = value
            with pytest.raises(ValueError, match="wanted offsets"):
                e.transform(bad)
        for size in (0, 3, 8, 22):
            bad = kind(x)
            bad.indptr = np.resize(bad.indptr, size)
            with pytest.raises(ValueError, match="wanted offsets"):
                e.transform(bad)
        for value in (-1, 20):
            bad = kind(x)
            bad.indices[3] = value
            with pytest.raises(ValueError, match="wanted offsets"):
                e.transform(bad)


def test_inconsistent_sparse_arrays_of_other_kinds() -> None:
    x = scipy.sparse.random(6, 20, 0.3, random_state=np.random.default_rng(0), dtype=np.float32)
    e = CountSketch(8).fit(x)
    for kind in ("bsr", "lil", "dok", "dia"):
        assert np.array_equal(e.transform(x.asformat(kind)), e.transform(x.tocsr()))
    for name, value in (("row", 10**7), ("row", -1), ("col", 10**7), ("col", -(10**7))):
        bad = x.tocoo(copy=True)
        getattr(bad, name)[3] = value
        with pytest.raises(ValueError, match="wanted offsets"):
            e.transform(bad)
    for name, at, value in (("indptr", 1, 10**8), ("indices", 0, 10**8), ("indices", 0, -1)):
        bad = x.tobsr((2, 4)).copy()
        getattr(bad, name)[at] = value
        with pytest.raises(ValueError, match="wanted offsets"):
            e.transform(bad)


def test_masked_elements_are_refused() -> None:
    x = np.ma.array(np.ones((5, 20)), mask=False)
    for e in ESTIMATORS.values():
        assert np.array_equal(
            sklearn.base.clone(e).set_params(random_state=0).fit_transform(x),
            sklearn.base.clone(e).set_params(random_state=0).fit_transform(x.data),
        )
        bad = x.copy()
        bad[2, 3] = np.ma.masked
        with pytest.raises(ValueError, match="masked"):
            sklearn.base.clone(e).fit(bad)


def test_a_clone_keeps_the_container() -> None:
    x = np.random.default_rng(0).standard_normal((5, 20))
    with sklearn.config_context(transform_output="pandas"):
        for e in ESTIMATORS.values():
            copy = sklearn.base.clone(sklearn.base.clone(e).set_output(transform="default"))
            assert type(copy.fit_transform(x)) is np.ndarray


def test_a_frame_of_a_list() -> None:
    pytest.importorskip("pandas")
    x = np.random.default_rng(0).standard_normal((5, 20)).tolist()
    for e in ESTIMATORS.values():
        assert list(sklearn.base.clone(e).set_output(transform="pandas").fit_transform(x).index) == list(range(5))


def test_numbers_too_large_on_the_way_are_refused() -> None:
    x = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32) * np.float32(1e19)
    for seed in range(20):  # some numbers are too large, which ones depends on the seed
        with pytest.raises(ValueError, match="wanted numbers whose sketch float32 can hold"):
            TensorSketch(64, random_state=seed).fit(x).transform(x)


def alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(a[name] is b[name] for name in a)


class Interrupted(np.random.Generator):
    """A generator at which the user presses Ctrl-C: the width is known by then, nothing is drawn."""

    def integers(self, *args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_a_fit_that_fails_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    x, wider = rng.standard_normal((5, 20)), rng.standard_normal((7, 30))
    e = sklearn.base.clone(ESTIMATORS[name]).set_output(transform="default").fit(x)
    e.feature_names_in_ = np.array([f"c{i}" for i in range(20)], dtype=object)  # as of a data frame
    want = e.transform(Named(x))
    broken = wider.copy()
    broken[3, 4] = np.nan
    bad: list[tuple[Any, dict[str, Any]]] = [
        (broken, {}),
        ([[1.0], [1.0, 2.0]], {}),
        (np.zeros((0, 30)), {}),
        (wider, {"n_components": 0}),
        (wider, {"n_components": "all"}),
        (wider, {"random_state": -1}),
        (wider, {"random_state": "seed"}),
        (wider, {"random_state": Interrupted(np.random.PCG64(0))}),
        (wider, {"threads": 0}),
    ]
    own = {"eps", "n_nonzeros", "degree", "gamma", "coef0", "method"} & e.get_params().keys()
    bad += [(wider, {parameter: None}) for parameter in sorted(own)]
    for given, params in bad:
        old = e.get_params()
        e.set_params(**params)
        before = dict(vars(e))
        for call in (e.fit, e.fit_transform):
            with pytest.raises((TypeError, ValueError, KeyboardInterrupt)):
                call(given)
            assert alike(vars(e), before)
        assert np.array_equal(e.set_params(**old).transform(Named(x)), want)
    if name.startswith("Tensor"):  # fits, and has no sketch
        with pytest.raises(ValueError, match="wanted numbers whose sketch float64 can hold"):
            e.fit_transform(wider * 1e200)
        assert np.array_equal(e.transform(Named(x)), want)
    fresh = sklearn.base.clone(e).set_params(threads=0)  # which is looked at after the input
    before = dict(vars(fresh))
    with pytest.raises(ValueError, match="threads: wanted"):
        fresh.fit(Named(x))
    assert alike(vars(fresh), before)


class Named:
    """A table of numbers, without pandas."""

    def __init__(self, x: Any) -> None:
        self.x, self.columns = x, [f"c{i}" for i in range(x.shape[1])]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.x


def test_a_tensor_sketch_is_what_was_fitted() -> None:
    x = np.random.default_rng(0).standard_normal((5, 20))
    e = TensorSketch(8).fit(x)
    y = e.transform(x)
    assert np.array_equal(e.set_params(method="fft", degree=5).transform(x), y)
    for coef0 in (np.array([0.0, 1.0]), -1e-300, "1", None):
        with pytest.raises((TypeError, ValueError), match="coef0: wanted"):
            TensorSketch(8, coef0=coef0).fit(x)  # type: ignore[arg-type]
    assert np.array_equal(
        TensorSketch(8, coef0=np.float32(0), random_state=0).fit_transform(x),
        e.set_params(method="hadamard", degree=2, random_state=0).fit_transform(x),
    )


def test_names_are_public_and_loaded_when_asked_for(run_python: Any) -> None:
    assert set(transforms.__all__) <= set(dir(transforms))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = transforms.nothing  # type: ignore[attr-defined]
    done = run_python(
        "import sys, recsketch as rs\n"
        "assert 'recsketch.transforms._base' not in sys.modules\n"
        "rs.transforms.CountSketch(4).fit_transform([[1.0, 2.0]])\n"
        "assert not {'sklearn', 'scipy', 'pandas'} & set(sys.modules)\nprint('fine')"
    )
    assert done.stdout.strip().endswith("fine"), done.stderr


@pytest.mark.parametrize("kind", [StructuredProjection, SparseProjection, CountSketch])
def test_large_numbers_are_neither_refused_nor_warned_of(kind: Any) -> None:
    """Answers are finite, their squares are not."""
    x = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32) * np.float32(1e30)
    assert np.isfinite(kind(64).fit(x).transform(x)).all()


def test_an_array_is_warned_of_where_names_were_fitted() -> None:
    x = np.random.default_rng(0).standard_normal((5, 20))
    e = CountSketch(8).fit(x)
    e.feature_names_in_ = np.array([f"c{i}" for i in range(20)], dtype=object)  # as of a data frame
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        e.transform(x)
