"""What is made of what C found: weights, errors, completeness and copies of one object, from numbers chosen by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.reading.unroll import _Reader
from recsketch.sketching.matrices import Matrices

DIM = 64
PLAINLY: dict[str, Any] = {"attributes": "linear", "weighting": "energy", "spread": 0.0}


def read(
    spec: rs.SketchSpec,
    objects: list[dict[str, Any]],
    *,
    square: float = 0.0,
    energy: float = 1.0,
    kept: int = DIM,
    noise: float = 0.0,
) -> rs.Unrolled:
    """As if C had found these objects, users before inputs: parent, position, module, amplitude, x and errors of both.

    `x` holds an attribute's elements as they come out, or what is sketched of it where attributes are polar, and its
    signature behind that; `spread` is the error of an attribute's element, `uncertainty` that of the amplitude and, if
    there is no other, `free` that of an undamped element; `lead` is the object that it was fitted as a copy of."""
    names = list(spec.modules)
    tags = np.array(
        [
            [o.get("parent", -1), o.get("position", 0), names.index(o["module"]), o.get("lead", i)]
            for i, o in enumerate(objects)
        ],
        np.int32,
    )
    rows, parts = [], []
    for o in objects:
        amplitude, scale = o.get("amplitude", 1.0), spec.scale(o["module"])
        uncertainty = o.get("uncertainty", 0.0)
        errors = o.get("spread", 0.0) * amplitude * scale, uncertainty, o.get("free", uncertainty)
        rows.append([amplitude, o.get("evidence", 9.0), *errors])
        x = np.asarray(o["x"], np.float64)
        x[: spec.modules[o["module"]]] *= scale
        parts.append(x * amplitude)
    found = ((square, energy, 0.0, 3, 7), tags.T, np.array(rows).T, np.concatenate(parts))
    return _Reader(Matrices(spec), found, kept, noise).read(16)


# ---------------------------------------------------------------- complete


PLAIN = rs.SketchSpec(DIM, {"a": 3, "b": 2}, scales={"b": 4.0}, **PLAINLY)


def test_complete_takes_fewer_unknowns_than_coordinates() -> None:
    """Seven here: five elements, of which one is zero and none, and a counter each."""
    objects = [{"module": "a", "x": [1, 0, 2]}, {"module": "b", "x": [1, 1], "position": 1}]
    for kept in (0, 5, 6):
        assert not read(PLAIN, objects, kept=kept).complete
    for kept in (7, 64):
        assert read(PLAIN, objects, kept=kept).complete


def test_inputs_hide_below_the_faintest_object() -> None:
    """The two inputs that an object of amplitude A may have amount to A / sqrt(2) with "energy" weights: 10 A each over
    the noise, so that both bring 192 nats where A is 1, and 10 of the 20 that are asked for where it is a quarter. A
    further output, as loud as the mean of both, is seen. Modules and places do not matter."""
    for modules in ("aa", "bb", "ab", "ba"):
        for amplitudes in ((1.0, 1.0), (1.0, 0.25), (0.25, 1.0)):
            objects = [
                {"module": m, "x": [1, 1, 2][: PLAIN.modules[m]], "position": k, "amplitude": amplitude}
                for k, (m, amplitude) in enumerate(zip(modules, amplitudes, strict=True))
            ]
            assert read(PLAIN, objects, noise=0.05).limits == ("noise",) * (min(amplitudes) < 1.0)


def test_nothing_hides_below_the_last_level() -> None:
    """Sixteen were looked for: the object at the last one may be as faint as it is. Each has room for one input."""
    spec = PLAIN.replace(max_inputs=1)
    chain = [{"module": "a", "x": [1, 1, 2], "parent": k - 1, "amplitude": 1.0} for k in range(16)]
    chain[-1]["amplitude"] = 1e-6
    assert "noise" not in read(spec, chain, noise=0.05).limits
    assert "noise" in read(spec, [{**chain[-1], "parent": -1}], noise=0.05).limits


def test_copies_are_named_among_others() -> None:
    """Two objects that are alike, one of which is far from a third."""
    objects = [{"module": "a", "x": x, "position": k} for k, x in enumerate(([1, 0, 2], [5, 1, 1], [1, 0, 2]))]
    (text,) = read(PLAIN, objects).warnings
    assert text.startswith("objects 0, 2 are alike")
    assert not read(PLAIN, objects[:2]).warnings


@pytest.mark.parametrize("energy", [1.0, 1e6])
def test_complete_takes_a_residual_of_rounding_or_of_the_noise(energy: float) -> None:
    """6e-7 of the norm; the noise's energy and four deviations, sqrt(2 / 64) of it each: 1.7071 times."""
    objects = [{"module": "a", "x": [1, 1, 2]}]
    for share, complete in ((0.0, True), (5.9e-7, True), (6.1e-7, False), (1e-3, False)):
        assert read(PLAIN, objects, square=share**2 * energy, energy=energy).complete is complete
    for times, complete in ((1.0, True), (1.70, True), (1.72, False)):
        noise = 0.01 * energy**0.5
        square = times * 64 * noise**2
        found = read(PLAIN, objects, square=square, energy=energy, noise=noise)
        loud = energy > 1.0  # noise of 10 hides inputs of objects of amplitude one
        assert found.complete is (complete and not loud)
        assert found.limits == ("capacity",) * (not complete) + ("noise",) * loud
        few = times * 32 * noise**2  # 4 deviations are as much as the noise's energy
        assert read(PLAIN, objects, square=few, energy=energy, noise=noise, kept=32).complete is not loud
    assert read(PLAIN, objects, square=1e-20, energy=energy, noise=1e-30).complete


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("weighting", ["energy", "linear"])
@pytest.mark.parametrize("scaling", ["unit", "paper"])
def test_weights_are_shares_of_what_the_owner_s_counter_says(weighting: Any, scaling: Any) -> None:
    """b t^3 A of the owner, if that is more than its inputs amount to and something is missing; else of their sum."""
    spec = rs.SketchSpec(DIM, {"a": 1, "b": 1}, **{**PLAINLY, "weighting": weighting, "scaling": scaling})
    through = 0.5**0.5 if scaling == "unit" else 0.5 * 0.5**1.5
    gain = 0.5**0.5 if scaling == "unit" else 0.5
    power = 2 if weighting == "energy" else 1

    def weights(owner: float, square: float, kept: int = DIM) -> tuple[Any, Any]:
        found = read(
            spec,
            [
                {"module": "b", "x": [1], "amplitude": owner},
                {"module": "a", "x": [1], "amplitude": 0.3, "parent": 0},
                {"module": "a", "x": [1], "amplitude": 0.2, "parent": 0, "position": 1},
            ],
            square=square,
            kept=kept,
        )
        return found.objects[-1].weights, found.weights

    own = np.array([0.3, 0.2]) ** power
    for square in (0.0, 1e-12, 8e-12):  # rounding, or a fit that has not converged
        assert weights(1.0, square)[0] == pytest.approx(own / own.sum())
        assert weights(1.0, square)[1] == (1.0,)
    full = own / (through * 4.0) ** power
    assert weights(4.0, 1e-2)[0] == pytest.approx(full)
    assert sum(full) < 1
    little = weights(0.1, 1e-2)  # its counter says less than there is
    assert little[0] == pytest.approx(own / own.sum())
    for kept in (DIM, DIM // 4):
        whole = through * gain * np.sqrt(kept / DIM)
        assert weights(0.1, 1e-2, kept)[1] == pytest.approx(((0.1 / max(whole, 0.1)) ** power,))
        assert weights(4.0, 1e-2, kept)[1] == (1.0,)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("weighting", ["balanced", "energy", "linear"])
def test_weights_are_those_that_were_given(weighting: Any, spread: float) -> None:
    """Amplitudes as docs/method.md has them give w back, of inputs and of outputs, whatever the outputs' mean mass;
    with a spread of one nothing is known of w. A share below what the spread gives to nobody is positive still."""
    spec = rs.SketchSpec(DIM, {"a": 1, "b": 1}, **{**PLAINLY, "weighting": weighting, "spread": spread})
    w = np.array([0.6, 0.3, 0.1])
    u = (1 - spread) * w + spread / 3
    amplitude = u if weighting == "linear" else np.sqrt(u)
    tops = [{"module": "b", "x": [1], "amplitude": 0.05 * a, "position": i} for i, a in enumerate(amplitude)]
    leaves = [
        {"module": "a", "x": [1], "parent": 0, "position": i, "amplitude": 0.02 * a} for i, a in enumerate(amplitude)
    ]
    found = read(spec, tops + leaves)
    want = w if spread < 1 else np.full(3, 1 / 3)
    assert found.weights == pytest.approx(want)
    assert found.objects[3].weights == pytest.approx(want)
    assert found.objects[3].inputs == (0, 1, 2)
    tops[2]["amplitude"] *= 0.3
    least = read(spec, tops).weights
    assert sum(least) == pytest.approx(1)
    assert min(least) > 0


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_balanced_weights_of_what_is_missing(balance: float) -> None:
    """A^2 of an input is its owner's times kappa(k) u. Of four alike one is missing: three quarters are there, but with
    a balance of one, where the owner says the same of any number. Outputs sum to one, whatever they amount to."""
    spec = rs.SketchSpec(DIM, {"a": 1, "b": 1}, attributes="linear", balance=balance)
    each = 4.0 ** ((balance - 1) / 2)
    objects = [{"module": "b", "x": [1], "amplitude": 0.4}]
    objects += [{"module": "a", "x": [1], "parent": 0, "position": i, "amplitude": 0.4 * each} for i in range(3)]
    found = read(spec, objects, square=1e-2)
    assert found.objects[-1].weights == pytest.approx((0.25,) * 3 if balance < 1 else (1 / 3,) * 3)
    assert found.weights == (1.0,)
    assert read(spec, objects).objects[-1].weights == pytest.approx((1 / 3,) * 3)


def test_weights_that_count_are_as_they_were() -> None:
    """Amplitudes over b t^3 times the owner's; b is sqrt(1/2), and g of the network, in the share that was kept."""
    spec = rs.SketchSpec(DIM, {"a": 1, "b": 1}, weighting="count", attributes="linear")
    objects = [
        {"module": "b", "x": [1], "amplitude": 3.0 * 0.5},
        {"module": "a", "x": [1], "amplitude": 1.5 * 0.5**0.5 * 7.0, "parent": 0},
    ]
    for square in (0.0, 1e-2):
        found = read(spec, objects, square=square)
        assert found.weights == pytest.approx((3.0,))
        assert found.objects[-1].weights == pytest.approx((7.0,))


def test_amplitudes_that_their_errors_hide() -> None:
    """At least a tenth of the error, and never zero, which attributes are divided by."""
    for amplitude, uncertainty, want in ((-1.0, 2.0, 0.2), (0.0, 0.0, 1e-30), (0.5, 2.0, 0.5)):
        objects = [{"module": "a", "x": [1, 1, 1], "amplitude": amplitude, "uncertainty": uncertainty}]
        reader = _Reader(
            Matrices(PLAIN),
            (
                (0.0, 1.0, 0.0, 1, 1),
                np.array([[-1], [0], [0], [0]], np.int32),
                np.array([[amplitude], [1.0], [0.0], [uncertainty], [0.0]]),
                np.full(3, 0.7),
            ),
            DIM,
            0.0,
        )
        assert reader.amplitude == [pytest.approx(want)]
        assert reader.read(16).objects[0].attribute == pytest.approx(np.full(3, np.float32(0.7 / want)))
        assert len(objects) == 1


# ---------------------------------------------------------------- errors


def test_errors_are_of_the_elements_and_of_the_counter() -> None:
    """Independent: hypot(an element's error, the element times the amplitude's relative error), the scale taken out."""
    for spread, uncertainty in ((0.3, 0.0), (0.0, 0.1), (0.3, 0.1)):
        found = read(
            PLAIN,
            [{"module": "b", "x": [4.0, -1.0], "amplitude": 0.5, "spread": spread, "uncertainty": uncertainty}],
        )
        o = found.objects[0]
        want = np.hypot(spread, np.array([4.0, -1.0]) * uncertainty / 0.5)
        assert o.attribute.tolist() == [4.0, -1.0]
        assert o.error == pytest.approx(want)
        low, high = o.interval(0.6826894921370859)  # one deviation
        assert high - low == pytest.approx(2 * want, rel=1e-6, abs=1e-6)
        assert o.confidence == pytest.approx(1 / (1 + np.exp(-9)))


@pytest.mark.parametrize("attributes", ["polar", "linear"])
@pytest.mark.parametrize("centred", [False, True])
def test_errors_of_attributes_and_norms_are_those_of_simulated_noise(attributes: Any, centred: bool) -> None:
    """4,000 draws of unknowns and counter with Gaussian errors of 1%: deviations of elements and of the norm lie within
    a tenth of what is stated, nine deviations of an estimate from so many, and second order terms of 1%."""
    size, centre = 40.0, (30.0, -20.0, 10.0)
    spec = rs.SketchSpec(
        DIM,
        {"a": 3},
        attributes=attributes,
        scales={"a": 0.25},
        centres={"a": centre} if centred else None,
    )
    u = np.array([0.8, 0.0, -0.6])
    y = np.append(u, np.log2(size) / 16) if attributes == "polar" else u * size
    x = u * size / 0.25 + np.array(centre) * centred
    rng, amplitude = np.random.default_rng(1), 0.5
    polar = attributes == "polar"
    spread, uncertainty = (0.001, 0.0005) if polar else (0.2, 0.005)
    deviation = np.array([spread] * 3 + [uncertainty] * polar)  # what is no part of the attribute is not damped

    def reader(part: np.ndarray, counter: float) -> rs.Unrolled:
        numbers = np.array([[counter], [9.0], [spread], [uncertainty], [uncertainty]])
        found = ((0.0, 1.0, 0.0, 1, 1), np.array([[-1], [0], [0], [0]], np.int32), numbers, part)
        return _Reader(matrices, found, DIM, 0.0).read(16).objects[0]

    matrices = Matrices(spec)
    exact = reader(y * amplitude, amplitude)
    assert exact.attribute == pytest.approx(x, rel=1e-6, abs=1e-5)
    assert exact.norm == pytest.approx(np.linalg.norm(x), rel=1e-6)
    seen = [
        reader(y * amplitude + deviation * rng.standard_normal(y.size), amplitude + uncertainty * rng.standard_normal())
        for _ in range(4000)
    ]
    assert np.std([o.attribute for o in seen], axis=0) == pytest.approx(exact.error, rel=0.1)
    assert np.std([o.norm for o in seen]) == pytest.approx(exact.norm_error, rel=0.1)


def test_an_attribute_of_zeros_has_no_direction() -> None:
    """Unknowns 0 and 1, and what is near them; with linear attributes the norm's error is that of all elements."""
    polar, linear = (rs.SketchSpec(DIM, {"a": 3}, attributes=kind) for kind in ("polar", "linear"))
    for x in ([0, 0, 0, 1], [0.1, 0.1, 0, 0.9]):
        o = read(polar, [{"module": "a", "x": x, "spread": 0.01, "uncertainty": 0.01}]).objects[0]
        assert not o.attribute.any()
        assert (o.norm, o.norm_error) == (0.0, 0.0)
    o = read(linear, [{"module": "a", "x": [0, 0, 0], "spread": 0.01, "uncertainty": 0.01}]).objects[0]
    assert o.error == pytest.approx(0.01)
    assert (o.norm, o.norm_error) == (0.0, pytest.approx(0.01 * 3**0.5))


def test_numbers_beyond_float32_are_cut() -> None:
    """An amplitude that its error hides divides by 1e-30: all that is told is finite."""
    for attributes in ("polar", "linear"):
        spec = rs.SketchSpec(DIM, {"a": 3}, attributes=attributes, scales={"a": 1e-20})
        x = [1e30, -1.0, 1.0, *[7.9] * (attributes == "polar")]
        parts = np.array(x)
        numbers = np.array([[0.0], [9.0], [1e20], [1e-30], [1e-30]])
        found = ((0.0, 1.0, 0.0, 1, 1), np.array([[-1], [0], [0], [0]], np.int32), numbers, parts)
        o = _Reader(Matrices(spec), found, DIM, 0.0).read(16).objects[0]
        assert np.isfinite(o.attribute).all()
        assert np.isfinite(o.error).all()


def test_what_is_not_certain_is_shown() -> None:
    """A confidence below 99.95%, behind the attribute, in texts and pages."""
    for evidence, shown in ((-1.0, " (26.9%)"), (2.0, " (88.1%)"), (7.5, " (99.9%)"), (7.7, ""), (1e4, "")):
        found = read(PLAIN, [{"module": "b", "x": [4.0, -1.0], "evidence": evidence}])
        assert found.tree() == f"b [4 -1]{shown}"
        assert f"[4 -1]{shown}</small>" in found._repr_html_()


# ---------------------------------------------------------------- copies of one object


def apart(spec: rs.SketchSpec, distance: float, shift: float = 0.0, **errors: float) -> int:
    """How many objects two outputs are taken for, whose signatures are so far apart, and their attributes by `shift` of
    their norm. Errors are of each."""

    def turned(n: int, chord: float) -> np.ndarray:
        """A vector of norm one, so far from the first axis."""
        angle = 2 * np.arcsin(chord / 2)
        return np.array([np.cos(angle), np.sin(angle), *[0.0] * (n - 2)])

    one, two = turned(spec.signature, 0.0), turned(spec.signature, distance)
    x, y = 5.0 * turned(3, 0.0), 5.0 * turned(3, shift)
    objects = [
        {"module": "a", "x": np.append(x, one), "amplitude": 0.5, "position": 0, **errors},
        {"module": "a", "x": np.append(y, two), "amplitude": 0.4, "position": 1, **errors},
    ]
    found = read(spec, objects)
    assert len(found.outputs) == 2
    if len(found.objects) == 1:
        assert found.outputs == (0, 0)
        assert found.objects[0].attribute == pytest.approx(x)  # of the louder use
    return len(found.objects)


@pytest.mark.parametrize("scale", [1.0, 0.25, 8.0])
def test_signatures_decide_which_uses_are_one_object(scale: float) -> None:
    """Up to 4 errors of their distance, which is sqrt(L (e1^2 + e2^2)) and the relative errors of both amplitudes; at
    least 0.05, at most 0.4."""
    spec = rs.SketchSpec(DIM, {"a": 3}, signature=8, scales={"a": scale}, **PLAINLY)
    for distance, count in ((0.0, 1), (0.049, 1), (0.051, 2), (0.3, 2), (1.414, 2)):
        assert apart(spec, distance) == count
    error = 0.2 / 4 / np.sqrt(8 * 2) / scale
    for distance, count in ((0.199, 1), (0.201, 2)):
        assert apart(spec, distance, spread=error) == count
    relative = 0.2 / 4 / np.sqrt(1 / 0.5**2 + 1 / 0.4**2)
    for distance, count in ((0.199, 1), (0.201, 2)):
        assert apart(spec, distance, uncertainty=relative) == count
    for distance, count in ((0.399, 1), (0.401, 2)):
        assert apart(spec, distance, spread=10 * error, uncertainty=10 * relative) == count


@pytest.mark.parametrize("scale", [1.0, 0.25, 8.0])
def test_attributes_of_copies_are_equal_within_their_errors(scale: float) -> None:
    """Up to 4 errors, sqrt(a (e1^2 + e2^2)) and the amplitudes' relative errors times the norm of 5, and 2% more."""
    spec = rs.SketchSpec(DIM, {"a": 3}, signature=8, scales={"a": scale}, **PLAINLY)
    for shift, count in ((0.0, 1), (0.0199, 1), (0.0201, 2), (1.0, 2)):
        assert apart(spec, 0.0, shift) == count
    error = 1.0 / 4 / np.sqrt(3 * 2)  # 1 for the norm of 5: 20%
    for shift, count in ((0.219, 1), (0.221, 2)):
        assert apart(spec, 0.0, shift, spread=error) == count
    relative = 0.2 / 4 / np.sqrt(1 / 0.5**2 + 1 / 0.4**2)
    for shift, count in ((0.219, 1), (0.221, 2)):
        assert apart(spec, 0.0, shift, uncertainty=relative) == count


def test_what_was_fitted_as_one_object_is_one() -> None:
    """Whatever its uses hold; but not if their inputs differ. It has its unknowns once: 3 + 8 and two counters."""
    spec = rs.SketchSpec(DIM, {"a": 3}, signature=8, **PLAINLY)
    rng = np.random.default_rng(0)
    tops = [{"module": "a", "x": rng.standard_normal(11), "position": k, "lead": 0} for k in range(2)]
    assert [len(read(spec, tops, kept=kept).objects) for kept in (13, 14, 64)] == [1, 1, 1]
    assert [read(spec, tops, kept=kept).complete for kept in (13, 14, 64)] == [False, True, True]
    leaves = [{"module": "a", "x": rng.standard_normal(11), "parent": k, "amplitude": 0.5} for k in range(2)]
    assert len(read(spec, tops + leaves).objects) == 4
    assert len(read(spec, tops + [o | {"lead": 2} for o in leaves]).objects) == 2


@pytest.mark.parametrize("attributes", ["linear", "polar"])
def test_copies_are_divided_by_no_counter(attributes: Any) -> None:
    """Their attributes have no share in the errors of their amplitudes."""
    spec = rs.SketchSpec(DIM, {"a": 3}, signature=2, **{**PLAINLY, "attributes": attributes})
    x = [0.6, 0.0, 0.8, *[0.25] * (attributes == "polar"), 1.0, 0.0]
    top = {"module": "a", "x": x, "spread": 0.01, "free": 0.02, "uncertainty": 0.5}
    alone, tied = (read(spec, [top, top | {"position": 1, "lead": lead}], square=1.0).objects[0] for lead in (1, 0))
    if attributes == "linear":
        assert tied.error == pytest.approx(np.full(3, 0.01))
        assert tied.norm_error == pytest.approx(0.01)
        assert alone.error == pytest.approx(np.hypot(0.01, 0.5 * np.array([0.6, 0.0, 0.8])))
    else:
        along = np.sqrt(np.expm1((16 * np.log(2) * 0.02) ** 2))
        assert tied.norm_error == pytest.approx(tied.norm * along, rel=1e-6)
        assert alone.norm_error > 2 * tied.norm_error


def test_copies_have_the_same_module_and_the_same_inputs() -> None:
    """However alike their attributes and signatures are; inputs that are copies count as the same."""
    spec = rs.SketchSpec(DIM, {"a": 1, "b": 1}, signature=2, **PLAINLY)
    x, y = [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]

    def count(*below: tuple[str, list[float]]) -> list[str]:
        tops = [{"module": "b", "x": x, "position": k} for k in range(2)]
        leaves = [{"module": m, "x": v, "parent": k, "amplitude": 0.5} for k, (m, v) in enumerate(below)]
        return [o.module for o in read(spec, tops + leaves).objects]

    assert count() == ["b"]
    assert count(("a", x), ("a", x)) == ["a", "b"]
    assert count(("a", x), ("a", y)) == ["a", "b", "a", "b"]
    assert count(("a", x), ("b", x)) == ["a", "b", "b", "b"]
    assert count(("a", x)) == ["a", "b", "b"]
