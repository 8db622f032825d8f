"""Modules learned from inputs and sketches, against what the teacher is known to do."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import sklearn.base
import sklearn.exceptions
import sklearn.linear_model
import sklearn.utils
from sklearn.utils.estimator_checks import estimator_checks_generator

import recsketch as rs
from recsketch.learning import levels
from recsketch.learning.network import Adam, Layers, Network
from recsketch.learning.regressors import Logistic, Ridge

FEEDS = {"a": (), "b": (), "c": ("a", "b"), "d": ("b", "a", "c")}
RAW = {"a": slice(0, 3), "b": [3, 4, 5]}


class Bits:
    """Four modules of five bits ±1: thresholds of linear maps; d reads c as well, b and a stand in two places."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.weights = {m: rng.standard_normal((3 if not f else 5 * len(f), 5)) for m, f in FEEDS.items()}

    def attributes(self, x: np.ndarray) -> dict[str, np.ndarray]:
        out: dict[str, np.ndarray] = {}
        for m, feeds in FEEDS.items():
            given = np.hstack([out[f] for f in feeds]) if feeds else x[:, RAW[m]]
            out[m] = np.where(given @ self.weights[m] > 0, 1.0, -1.0)
        return out


def run_of(values: dict[str, np.ndarray]) -> rs.Trace:
    trace, number = rs.Trace(), {}
    for m, feeds in FEEDS.items():
        number[m] = trace.add(m, values[m], [number[f] for f in feeds], [1 + i for i in range(len(feeds))])
    trace.outputs([number["d"], number["c"]])
    return trace


def runs_of(attributes: dict[str, np.ndarray]) -> list[rs.Trace]:
    n = len(attributes["a"])
    return [run_of({m: v[i] for m, v in attributes.items()}) for i in range(n)]


def mapped(attributes: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    return dict(enumerate(attributes.values()))


MODULES = dict.fromkeys(FEEDS, 5)
STRUCTURE = run_of({m: np.ones(5) for m in FEEDS})
TEACHER = Bits(0)


def samples(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    x = np.random.default_rng(seed).standard_normal((n, 6))
    return x, TEACHER.attributes(x)


@pytest.mark.parametrize(
    "options",
    [{}, {"attributes": "linear"}, {"rotation": "hadamard"}, {"weighting": "energy", "signature": 2}],
    ids=["default", "linear", "hadamard", "signature"],
)
def test_modules_are_learned_from_what_was_read(options: dict[str, Any]) -> None:
    """What was read is what the teacher computed, and each module learned is the teacher's but for a few bits.

    600 samples of a threshold of 3, 10 or 15 numbers: a linear classifier's error is about numbers / samples, 2.5%, and
    a wrong bit costs d about half of its 5. Three levels are bounded by 15%; chance is 50%.
    """
    spec = rs.SketchSpec(128, MODULES, seed=1, **options)
    x, true = samples(600, 1)
    sketches = rs.Sketcher(spec).sketch(runs_of(true))
    model = rs.ModularRegressor(STRUCTURE, spec=spec, raw=RAW).fit(x, sketches)
    for i, values in mapped(true).items():
        assert model.recovered_[i].dtype == np.float32
        assert np.abs(model.recovered_[i] - values).max() < 1e-3
        assert model.recovery_error_[i].shape == (600,)
    assert sorted(model.levels_) == sorted(FEEDS)
    new, want = samples(2000, 2)
    found = model.predict_modules(new)
    for i, values in mapped(want).items():
        assert np.mean(np.sign(found[i]) != values) < 0.15
    outputs = np.hstack([found[3], found[2]])
    assert np.array_equal(model.predict(new), outputs)
    truth = np.hstack([want["d"], want["c"]])
    left = ((outputs - truth) ** 2).sum(axis=0) / ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    assert model.score(new, truth) == pytest.approx(1 - left.mean(), abs=1e-12)
    direct = TEACHER.attributes(x)
    logistic = Logistic().fit(np.hstack([direct["a"], direct["b"]]), direct["c"])
    given = np.hstack([want["a"], want["b"]])
    assert np.array_equal(np.sign(model.modules_["c"].predict(given)), logistic.predict(given))


def test_erased_and_packed_sketches_teach_as_much() -> None:
    """Half of the coordinates are NaN, the others int8: after snapping nothing is left of the noise."""
    spec = rs.SketchSpec(256, MODULES, seed=1)
    x, true = samples(300, 1)
    sketches = rs.Sketcher(spec).sketch(runs_of(true))
    exact = rs.ModularRegressor(STRUCTURE, spec=spec, raw=RAW).fit(x, sketches)
    mask = np.random.default_rng(3).permuted(np.tile(np.arange(256) < 128, (300, 1)), axis=1)
    packed = rs.pack(sketches, "int8")
    noisy = rs.ModularRegressor(STRUCTURE, spec=spec, raw=RAW).fit(x, packed, mask=mask)
    off = max(float(np.abs(noisy.recovered_[i] - v).max()) for i, v in mapped(true).items())
    assert 1e-3 < off < 1
    new = samples(500, 2)[0]
    assert np.array_equal(np.sign(noisy.predict(new)), np.sign(exact.predict(new)))
    holes = np.where(mask, sketches, np.nan)
    assert np.array_equal(
        np.sign(rs.fit_modules(x, holes, STRUCTURE, spec=spec, raw=RAW, mask=mask).predict(new)),
        np.sign(exact.predict(new)),
    )


def test_a_module_at_several_places_pools_its_samples() -> None:
    """Two eyes are one module, which is fitted to both halves of X: its Ridge is the one of the halves stacked."""
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((40, 4)), rng.standard_normal((2, 3))
    halves = x[:, :2], x[:, 2:]
    eyes = [half @ weights + 1 for half in halves]
    runs = []
    for left, right in zip(*eyes, strict=True):
        trace = rs.Trace()
        trace.outputs([trace.add("face", 2 * np.append(left, right), [trace.add("eye", e) for e in (left, right)])])
        runs.append(trace)
    sk = rs.Sketcher(rs.SketchSpec(128, {"eye": 3, "face": 6}, attributes="linear"))
    ridge = sklearn.linear_model.Ridge(alpha=0.5)
    raw = {0: [0, 1], 1: slice(2, 4)}
    model = rs.fit_modules(x, sk.sketch(runs), runs[0], spec=sk, raw=raw, estimators={"eye": ridge}, estimator="ridge")
    twin = sklearn.linear_model.Ridge(alpha=0.5).fit(np.vstack(halves), np.vstack(eyes))
    assert np.allclose(model.modules_["eye"].coef_, twin.coef_, atol=1e-4)  # sketches are read to 1e-5
    assert not hasattr(ridge, "coef_")  # a copy was fitted
    given = {i: twin.predict(half) for i, half in enumerate(halves)}
    want = 2 * np.hstack([given[0], given[1]])  # what a linear face makes of these
    assert np.allclose(model.predict(x), want, atol=1e-2)


def test_raw_columns_stand_behind_what_inputs_gave() -> None:
    x, true = samples(200, 1)
    sk = rs.Sketcher(rs.SketchSpec(128, MODULES))
    s = sk.sketch(runs_of(true))
    seen: list[Any] = []
    model = rs.fit_modules(x, s, STRUCTURE, spec=sk, raw={**RAW, "c": [5, 0]}, estimator=Recorder(seen))
    given, target = seen[2]
    assert np.allclose(given[:, :10], np.hstack([true["a"], true["b"]]), atol=1e-5)
    assert np.array_equal(given[:, 10:], x[:, [5, 0]])
    assert np.allclose(target, true["c"], atol=1e-5)
    assert model.predict(x[:7]).shape == (7, 10)


class Recorder:
    """Keeps what it was fitted to, module by module; predicts the mean. It has no get_params."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def __deepcopy__(self, memo: Any) -> Recorder:
        return Recorder(self.seen)

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        self.seen.append((x, y))
        self.mean = y.mean(axis=0)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.tile(self.mean, (len(x), 1)).squeeze()


# ---------------------------------------------------------------- regressors


def test_ridge_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 7)) * [1, 2, 3, 1e3, 1, 1, 0] + 5, rng.standard_normal((50, 3))
    scaled = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    for ridge in (1e-3, 10.0):
        ours = Ridge(ridge).fit(x, y)
        theirs = sklearn.linear_model.Ridge(alpha=ridge).fit(scaled, y)
        assert np.allclose(ours.coef_.T, theirs.coef_, rtol=0, atol=1e-9)
        assert np.allclose(ours.predict(x[:5]), theirs.predict(scaled[:5]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0], ids=["separable", "some noise", "much noise"])
@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_logistic_is_scikit_learns(noise: float, ridge: float) -> None:
    """The same objective has one minimum; scikit-learn is run to a gradient of 1e-8, whose error is below 1e-8 over
    the least curvature, `ridge`."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((150, 6)) * 3 + 1
    scores = x @ rng.standard_normal((6, 3)) + noise * rng.standard_normal((150, 3))
    y = np.where(scores > scores.mean(axis=0), 0.25, -4.0)
    ours = Logistic(ridge).fit(x, y)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    for j in range(3):
        theirs = sklearn.linear_model.LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=1e-8, max_iter=500)
        theirs.fit(scaled, y[:, j] > 0)
        assert np.allclose(ours.coef_[:-1, j], theirs.coef_[0], rtol=1e-4, atol=1e-4)
        assert np.allclose(ours.coef_[-1, j], theirs.intercept_[0], rtol=1e-4, atol=1e-4)
        assert np.array_equal(ours.predict(x)[:, j] > 0, theirs.predict(scaled))
    assert set(np.unique(ours.predict(x))) == {0.25, -4.0}


def test_logistic_of_an_element_that_never_changes() -> None:
    x, y = np.random.default_rng(0).standard_normal((30, 2)), np.ones((30, 2))
    y[:, 1] = np.sign(x[:, 0])
    assert np.array_equal(Logistic().fit(x, y).predict(x), y)
    assert np.array_equal(Logistic().fit(x * 0, y).predict(x * 0)[:, 0], y[:, 0])  # nor features


def test_the_slope_of_the_network_is_that_of_its_loss() -> None:
    """Central differences of step h err by h² of the third derivative and 1e-16 / h of rounding: about 1e-10."""
    rng = np.random.default_rng(0)
    layers = Layers(4, 5, 3)
    w, x, t = layers.drawn(rng) + 0.1, rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    slope, h = layers.loss_and_slope(w, x, t)[1], 1e-5
    for i in range(w.size):
        up, down = w.copy(), w.copy()
        up[i] += h
        down[i] -= h
        difference = (layers.loss_and_slope(up, x, t)[0] - layers.loss_and_slope(down, x, t)[0]) / (2 * h)
        assert slope[i] == pytest.approx(difference, abs=1e-8)
    u, c, v, b = layers.parts(w)
    assert np.allclose(layers.outputs(w, x), np.tanh(x @ u + c) @ v + b)
    assert layers.loss_and_slope(w, x, t)[0] == pytest.approx(((layers.outputs(w, x) - t) ** 2).sum() / 12)


def test_adam_takes_the_papers_steps() -> None:
    """Algorithm 1 of Kingma and Ba, written out."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(5)
    want, m, v = w.copy(), np.zeros(5), np.zeros(5)
    adam = Adam(w)
    for k in range(1, 6):
        g = rng.standard_normal(5)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        want -= 0.01 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        adam.move(g, 0.01)
        assert np.allclose(w, want, rtol=0, atol=1e-6)  # 1e-8 stands elsewhere, which moves steps by 1e-8 / |g|


def test_the_network_learns_what_is_not_linear() -> None:
    rng = np.random.default_rng(0)
    x, new = rng.uniform(-2, 2, (400, 2)), rng.uniform(-2, 2, (400, 2))

    def f(x: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(2 * x[:, 0]) * x[:, 1], 100 + np.abs(x[:, 0])], axis=1)

    def left(r: Any) -> float:
        return float(np.mean((r.predict(new) - f(new)) ** 2 / f(new).var(axis=0)))

    net = Network(seed=3).fit(x, f(x))
    assert left(net) < 0.02 < 0.5 < left(Ridge().fit(x, f(x)))
    assert 15 <= net.epochs_ <= 500
    again, other = Network(seed=3).fit(x, f(x)), Network(seed=4).fit(x, f(x))
    assert np.array_equal(again.predict(new), net.predict(new))
    assert not np.array_equal(other.predict(new), net.predict(new))


def test_the_network_keeps_what_is_best_on_held_out_rows() -> None:
    """Targets are noise, to be learned by heart: what is kept does hardly worse than the mean on rows held out."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 20)), rng.standard_normal((300, 2))
    net = Network().fit(x, y)
    new = rng.standard_normal((2000, 20))
    assert net.epochs_ < 100
    assert np.mean(net.predict(new) ** 2) < 0.5
    longer = Network(patience=1000, epochs=150).fit(x, y)  # which learns them by heart, and ends without going back
    assert np.mean(longer.predict(new) ** 2) < 0.5
    assert Network().fit(x[:5], y[:5]).predict(x).shape == (300, 2)  # too few to hold any out
    assert np.allclose(Network().fit(x * 0, y * 0 + 7).predict(x), 7)


# ---------------------------------------------------------------- two values


def test_two_values_are_found_under_the_noise_that_is_stated() -> None:
    """Noise of 0.1 around values 1 apart; the mean of 250 is off by 0.1 / √250 = 0.006, and by five times that once in
    a million."""
    rng = np.random.default_rng(0)
    bits = rng.random((500, 4)) < [0.5, 0.5, 0.9, 1.0]
    true = np.where(bits, [1.25, 1.0, 3.0, 7.0], [0.25, 0.0, 2.0, 6.0])
    x = true + 0.1 * rng.standard_normal(true.shape)
    found = levels.found(x, np.full(500, 0.1))
    assert found is not None
    assert np.allclose(found.high, [1.25, 1.0, 3.0, 7.0], atol=0.03)
    assert np.allclose(found.low[:3], [0.25, 0.0, 2.0], atol=0.08)
    assert found.low[3] == found.high[3]  # an element that never changes
    assert np.array_equal(found.nearest(x)[:, :3] > (found.low + found.high)[:3] / 2, bits[:, :3])
    assert levels.found(x, np.full(500, 0.02)) is None  # more scatter than is stated
    assert levels.found(x[:4], np.full(4, 0.1)) is None  # any few numbers are two values


@pytest.mark.parametrize("kind", ["gaussian", "even", "saturated", "three values", "one value", "one of two"])
def test_other_values_are_not_taken_for_two(kind: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400, 3))
    x = {
        "gaussian": z,
        "even": rng.random((400, 3)),
        "saturated": np.tanh(10 * z),
        "three values": rng.integers(0, 3, (400, 3)).astype(float),
        "one value": np.ones((400, 3)),
        "one of two": np.where([True, True, False], np.sign(z), z),
    }[kind]
    assert levels.found(x, np.full(400, 1e-6)) is None
    if kind not in ("saturated", "one value"):  # nor if noise as loud as a third of the values is stated
        assert levels.found(x, np.full(400, 0.3)) is None


def test_what_snaps() -> None:
    """Found without being asked, forced by sign where noise hides it, and not at all."""
    rng = np.random.default_rng(5)
    spec = rs.SketchSpec(64, MODULES, seed=1, attributes="linear")
    x, true = samples(400, 1)
    s = rs.Sketcher(spec).sketch(runs_of(true))
    s = s + 0.5 * np.sqrt(np.mean(s**2)) * rng.standard_normal(s.shape).astype(np.float32)

    def fitted(**more: Any) -> rs.ModularRegressor:
        return rs.fit_modules(x, s, STRUCTURE, spec=spec, raw=RAW, **more)

    assert fitted(estimator="ridge").levels_ == {}
    with pytest.raises(ValueError, match="two values an element for 'logistic'"):
        fitted(estimator="logistic")
    signed = fitted(snap="sign")
    assert sorted(signed.levels_) == sorted(FEEDS)
    assert np.array_equal(signed.levels_["a"][0], -signed.levels_["a"][1])
    assert isinstance(signed.modules_["a"], Logistic)
    assert fitted(snap="off", estimator="ridge").levels_ == {}
    clean = rs.fit_modules(x, rs.Sketcher(spec).sketch(runs_of(true)), STRUCTURE, spec=spec, raw=RAW, snap="off")
    assert clean.levels_ == {}
    assert isinstance(clean.modules_["a"], Network)
    rounded = rs.fit_modules(x, s, STRUCTURE, spec=spec, raw=RAW, snap="sign", estimator="ridge")
    for i, m in enumerate(FEEDS):  # others' predictions are rounded, too
        assert np.isin(rounded.predict_modules(x)[i], rounded.levels_[m]).all()


# ---------------------------------------------------------------- structures


def test_what_reaches_no_output_plays_no_part() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))

    def run(row: Any) -> rs.Trace:
        t = rs.Trace()
        a, b = t.add("a", [row[0], 1]), t.add("b", [row[1], 1])
        t.add("b", [9, 9])  # nobody's input
        c = t.add("c", [row[0] * 2, 0], [b, a], [0, 3])  # b leaves no mark
        t.outputs([c, a, c], [1, 1, 0])
        return t

    runs = [run(row) for row in x]
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2, "b": 2, "c": 2}))
    model = rs.fit_modules(x, sk.sketch(runs), runs[0], spec=sk, estimator="ridge")
    assert sorted(model.modules_) == ["a", "c"]
    assert sorted(model.predict_modules(x)) == sorted(model.recovered_) == [0, 3]
    assert np.allclose(model.predict(x), np.stack([2 * x[:, 0], 0 * x[:, 0], x[:, 0], 1 + 0 * x[:, 0]], 1), atol=1e-3)


class Reader:
    """Has the `recover` of a Sketcher, and answers with what it was made with."""

    def __init__(self, attributes: list[np.ndarray], errors: float) -> None:
        self.attributes, self.errors = attributes, errors

    def recover(self, sketches: Any, structure: rs.Trace, *, mask: Any) -> list[rs.Recovery]:
        errors = np.full(len(structure), self.errors, np.float32)
        return [rs.Recovery([a[i] for a in self.attributes], 0.0, 1, errors) for i in range(len(sketches))]


def test_another_reader_and_runs_that_could_not_be_read() -> None:
    x = np.random.default_rng(0).standard_normal((50, 2))
    trace = rs.Trace()
    trace.outputs([trace.add("b", [0], [trace.add("a", [0, 0])])])
    a, b = (x @ [[1, 2], [3, 4]]).astype(np.float32), x[:, :1].astype(np.float32)
    a[:10], b[20:25] = np.nan, np.nan
    seen: list[Any] = []
    reader = Reader([a, b], 1e-6)
    model = rs.ModularRegressor(trace, spec=reader, estimator=Recorder(seen), snap="off")
    model.fit(x, np.zeros((50, 8)))
    assert np.isnan(model.recovered_[0][:10]).all()
    assert np.allclose(seen[0][1], a[10:])  # of a: all that was read
    given, target = seen[1]  # of b: where both were
    both = np.r_[10:20, 25:50]
    assert np.allclose(given, a[both])
    assert np.allclose(target, b[both, 0])
    a[1:], b[1:] = np.nan, np.nan
    with pytest.raises(ValueError, match="at least 2 samples of 'a' that could be read; got 1 sample"):
        rs.ModularRegressor(trace, spec=Reader([np.where(np.arange(50)[:, None] == 11, 1, a), b], 1e-6)).fit(
            x, np.zeros((50, 8))
        )


def test_known_outputs_take_the_place_of_those_read() -> None:
    x, true = samples(80, 1)
    sk = rs.Sketcher(rs.SketchSpec(128, MODULES))
    s = sk.sketch(runs_of(true))
    other = -np.hstack([true["d"], true["c"]]) * 3
    model = rs.fit_modules(x, s, STRUCTURE, spec=sk, raw=RAW, y=other)
    assert np.allclose(model.levels_["d"], [[-3] * 5, [3] * 5])
    assert np.allclose(model.recovered_[3], true["d"], atol=1e-4)
    assert np.mean(np.isclose(model.predict(x), other)) > 0.9
    for bad in (other[:, :9], other[:79], other[0], other.astype(str), np.where(other > 0, np.nan, other)):
        with pytest.raises((ValueError, TypeError), match="y: wanted"):
            rs.fit_modules(x, s, STRUCTURE, spec=sk, raw=RAW, y=bad)


def test_known_outputs_have_no_error_that_hides_that_they_are_continuous() -> None:
    x = np.random.default_rng(0).standard_normal((100, 1))
    trace = rs.Trace()
    trace.outputs([trace.add("a", [0])])
    reader = Reader([np.sign(x).astype(np.float32)], 0.3)

    def fitted(**more: Any) -> rs.ModularRegressor:
        return rs.fit_modules(x, np.zeros((100, 8)), trace, spec=reader, estimator="ridge", **more)

    assert fitted().levels_.keys() == {"a"}
    assert fitted(y=np.tanh(10 * x)).levels_ == {}
    assert fitted(y=np.tanh(10 * x[:, 0])).score(x, x) < 1  # one element may be a vector


# ---------------------------------------------------------------- hostile input


def small(n: int = 20) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    x, true = samples(n, 1)
    spec = rs.SketchSpec(128, MODULES)
    return x, rs.Sketcher(spec).sketch(runs_of(true)), {"structure": STRUCTURE, "spec": spec, "raw": RAW}


def alike(model: rs.ModularRegressor, before: dict[str, Any]) -> bool:
    return vars(model).keys() == before.keys() and all(vars(model)[k] is v for k, v in before.items())


NOTHING = rs.Trace()
BAD_PARAMETERS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"structure": None}, TypeError, "structure: wanted a Trace; got None"),
    ({"structure": [STRUCTURE]}, TypeError, "structure: wanted a Trace"),
    ({"structure": NOTHING}, ValueError, "structure: wanted a trace with outputs"),
    ({"spec": None}, TypeError, "spec: wanted a SketchSpec, a Sketcher"),
    ({"spec": rs.SketchSpec(64, MODULES)}, ValueError, "sketches: wanted shape"),
    ({"spec": rs.SketchSpec(128, {**MODULES, "a": 4})}, ValueError, "object"),
    ({"spec": rs.SketchSpec(128, {"a": 5})}, ValueError, "module"),
    ({"spec": rs.SketchSpec(128, MODULES).unordered()}, ValueError, "order"),
    ({"estimator": "svm"}, TypeError, "estimator: wanted 'ridge', 'logistic', 'network', or"),
    ({"estimator": sklearn.linear_model.Ridge}, TypeError, "estimator: wanted"),
    ({"estimator": 3}, TypeError, "estimator: wanted"),
    ({"estimators": {"a": 3}}, TypeError, r"estimators\['a'\]: wanted"),
    ({"estimators": {"z": "ridge"}}, ValueError, "estimators: wanted"),
    ({"estimators": ["ridge"]}, TypeError, "estimators: wanted a mapping"),
    ({"raw": [slice(3)]}, TypeError, "raw: wanted a mapping"),
    ({"raw": {"z": [0]}}, ValueError, "raw: wanted"),
    ({"raw": {4: [0]}}, ValueError, "raw: wanted an integer from 0 to 3"),
    ({"raw": {1.5: [0]}}, TypeError, "raw: wanted an integer"),
    ({"raw": {"a": [6]}}, ValueError, r"raw\['a'\]: wanted columns of X, which has 6"),
    ({"raw": {"a": slice(0, 7)}}, ValueError, "raw"),
    ({"raw": {"a": slice(3, 3)}}, ValueError, "raw"),
    ({"raw": {"a": "012"}}, TypeError, "raw"),
    ({"raw": {"a": slice("0", None)}}, TypeError, "raw"),
    ({"raw": {"a": [0.5]}}, TypeError, "raw"),
    ({"snap": True}, ValueError, "snap: wanted 'sign' or 'off'"),
    ({"random_state": -1}, ValueError, "random_state: wanted"),
    ({"random_state": None}, TypeError, "random_state: wanted"),
    ({"threads": 0}, ValueError, "threads: wanted"),
]


@pytest.mark.parametrize(("change", "kind", "text"), BAD_PARAMETERS, ids=lambda v: str(v)[:40])
def test_bad_parameters_are_named(change: dict[str, Any], kind: type[Exception], text: str) -> None:
    x, s, good = small()
    model = rs.ModularRegressor(**(good | {"estimator": "ridge"} | change))
    before = dict(vars(model))
    with pytest.raises(kind, match=text) as caught:
        model.fit(x, s)
    assert len(str(caught.value)) < 1000
    assert alike(model, before)


def test_bad_data_is_named_and_changes_nothing() -> None:
    x, s, good = small()
    model = rs.ModularRegressor(**good, estimator="ridge").fit(x, s)
    before, want = dict(vars(model)), model.predict(x)
    nan, hole = x.copy(), s.copy()
    nan[3, 2] = np.nan
    hole[4, 5] = np.inf
    mask = np.ones((20, 128), bool)
    bad: list[tuple[Any, Any, dict[str, Any]]] = [
        (nan, s, {}),
        (x[:19], s, {}),
        (x[:0], s[:0], {}),
        (x[0], s, {}),
        (x.astype(str), s, {}),
        (x, s[0], {}),
        (x, s[:, :64], {}),
        (x, s[:, :, None], {}),
        (x, s.astype(str), {}),
        (x, hole, {}),
        (x, None, {}),
        (x, rs.pack(s, "int8")[0], {}),
        (x, rs.pack(s, "int8")[:19], {}),
        (x, [[1.0], [1.0, 2.0]], {}),
        (x, s, {"mask": mask[:, :64]}),
        (x, s, {"mask": mask.astype(int)}),
        (x[:, :5], s, {}),
    ]
    for a, b, more in bad:
        with pytest.raises((ValueError, TypeError), match="wanted"):
            model.fit(a, b, **more)
        assert alike(model, before)
    for a in (nan, x[0], x[:, :5], x[:0], x.astype(str)):
        for call in (model.predict, model.predict_modules):
            with pytest.raises((ValueError, TypeError), match=r"wanted|expecting"):
                call(a)
    with pytest.raises(ValueError, match="y: wanted"):
        model.score(x, want[:, :9])
    assert np.array_equal(model.predict(x.astype(">f8")), want)
    assert np.array_equal(model.predict(np.asfortranarray(x)), want)
    frozen = s.copy()
    frozen.flags.writeable = False
    wide = np.zeros((40, 256), np.float32)
    wide[::2, ::2] = s
    for same in (frozen, wide[::2, ::2], s.astype(">f4"), s.astype(np.float64), s.tolist()):
        assert np.array_equal(model.fit(x, same).predict(x), want)


def test_uses_of_one_module_must_be_alike() -> None:
    t = rs.Trace()
    t.outputs([t.add("a", [1.0], [t.add("a", [1.0])])])
    with pytest.raises(ValueError, match="all uses of 'a' alike; got 2 features and 1 elements at object 0, 1 and 1"):
        rs.ModularRegressor(t, spec=rs.SketchSpec(64, {"a": 1})).fit(np.ones((3, 2)), np.ones((3, 64)))


class Wrong:
    """Predicts nonsense of some shape."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        pass

    def predict(self, x: np.ndarray) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [np.zeros((20, 4)), np.zeros(20), np.zeros((5, 20)), np.zeros(100), 1.0])
def test_an_estimator_that_predicts_another_shape(answer: Any) -> None:
    x, s, good = small()
    with pytest.raises(ValueError, match="predict of the estimator of 'a': wanted shape"):
        rs.ModularRegressor(**good, estimator=Wrong(answer)).fit(x, s).predict(x)


# ---------------------------------------------------------------- scikit-learn's conventions


def test_parameters_clone_and_pickle() -> None:
    x, s, good = small()
    model = rs.ModularRegressor(**good, estimator=sklearn.linear_model.Ridge(), random_state=3)
    assert model.get_params()["random_state"] == 3
    twin = sklearn.base.clone(model)
    assert twin.spec == model.spec
    assert twin.structure == STRUCTURE
    assert twin.estimator is not model.estimator
    assert sklearn.base.is_regressor(model)
    assert "random_state=3" in repr(model)
    with pytest.raises(ValueError, match="Invalid parameter 'no'"):
        model.set_params(no=1)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        twin.predict(x)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        twin.predict_modules(x)
    assert model.fit(x, s) is model
    assert model.n_features_in_ == 6
    want = model.predict(x)
    assert np.array_equal(twin.set_params(estimator="ridge", snap="off").fit(x, s).predict(x).shape, want.shape)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(x), want)
    assert np.array_equal(copy.deepcopy(model).predict(x), want)
    model.set_params(structure=None, raw=None, snap="sign")  # take effect at the next fit
    assert np.array_equal(model.predict(x), want)


def test_seeds_decide() -> None:
    x, s, good = small(60)
    first, same, other = (
        rs.ModularRegressor(**good, snap="off", random_state=seed).fit(x, s).predict(x) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


class Named:
    """A table of numbers, without pandas."""

    def __init__(self, x: Any, names: str = "uvwxyz") -> None:
        self.x, self.columns = x, list(names)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.x


def test_names_of_columns() -> None:
    x, s, good = small()
    model = rs.ModularRegressor(**good).fit(Named(x), s)
    assert list(model.feature_names_in_) == list("uvwxyz")
    want = model.predict(Named(x))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        model.predict(Named(x, "zyxwvu"))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert np.array_equal(model.predict(x), want)


class OneModule(rs.ModularRegressor):
    """A network of one module, whose sketches are made of y: what scikit-learn's checks can fit."""

    def __init__(self, estimator: Any = "ridge", snap: Any = "off", random_state: Any = 0) -> None:
        self.estimator, self.snap, self.random_state = estimator, snap, random_state

    estimators = raw = threads = None
    structure = property(lambda self: self._structure)
    spec = property(lambda self: self._spec)

    def fit(self, X: Any, y: Any = None) -> OneModule:  # type: ignore[override]
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = sklearn.utils.check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            warnings.warn("a column-vector y was passed", sklearn.exceptions.DataConversionWarning, stacklevel=2)
        values = y.reshape(len(y), -1)
        batch = rs.TraceBatch.from_traces([one_object(row) for row in values])
        self._structure, self._spec = one_object(values[0]), rs.SketchSpec(256, {"m": values.shape[1]})
        self._flat = y.ndim == 1 or y.shape[1] == 1
        return super().fit(X, rs.Sketcher(self._spec).sketch(batch))

    def predict(self, X: Any) -> np.ndarray:
        found = super().predict(X)
        return found[:, 0] if self._flat else found


def one_object(row: np.ndarray) -> rs.Trace:
    trace = rs.Trace()
    trace.outputs([trace.add("m", row)])
    return trace


@pytest.mark.parametrize("estimator", ["ridge", "network"])
def test_scikit_learn_checks(estimator: str) -> None:
    """All of those for regressors, through a network of one module."""
    passed, skipped = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, check in estimator_checks_generator(OneModule(estimator)):
            label = getattr(check, "func", check).__name__
            try:
                check(model)
                passed.append(label)
            except SkipTest:
                skipped.append(label)
    assert len(set(passed)) >= 35
    # the array API needs a variable, data frames pandas
    assert all("pandas" in s or "array" in s or "dataframe" in s for s in skipped), skipped


def test_it_is_loaded_when_asked_for_and_needs_numpy_alone(run_python: Callable[..., Any]) -> None:
    done = run_python(
        "import sys, recsketch as rs\n"
        "assert not any(name.startswith('recsketch.learning') for name in sys.modules)\n"
        "t = rs.Trace()\n"
        "t.outputs([t.add('a', [1.0])])\n"
        "sk = rs.Sketcher(rs.SketchSpec(64, {'a': 1}))\n"
        "rs.fit_modules([[1.0], [2.0]], sk.sketch([t, t]), t, spec=sk).predict([[1.0]])\n"
        "assert not {'sklearn', 'scipy', 'pandas'} & set(sys.modules)\nprint('fine')"
    )
    assert done.stdout.strip().endswith("fine"), done.stderr
