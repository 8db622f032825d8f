"""Monitors: ranks that are uniform, bets that earn nothing, alarms, and files from which they go on to the bit."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from recsketch.populations.changes import monitor as monitors
from recsketch.populations.changes.alarm import Alarm
from recsketch.populations.changes.exchangeable import ExchangeabilityWarning
from recsketch.populations.changes.monitor import Monitor
from recsketch.populations.changes.past import RECENT, Past

NAMES = ["page", "line", "unknown"]


def watching(reference: Any, **options: Any) -> Monitor:
    names = [str(i) for i in range(np.shape(reference)[1])]
    return Monitor(reference, 50, options.pop("elements", names), **options)


def blocks(seed: int, n: int, elements: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, elements))


# ---------------------------------------------------------------- ranks


@pytest.mark.parametrize("kind", ["all differ", "many equal", "lacking", "all equal"])
def test_places_are_counted(kind: str) -> None:
    """Against a comparison with every number that was seen, over several joinings of pieces."""
    rng = np.random.default_rng([1, *kind.encode()])
    x = rng.standard_normal((130 + 9 * RECENT, 4))
    if kind == "many equal":
        x = np.rint(x)
    if kind == "lacking":
        x[rng.random(x.shape) < 0.5] = np.nan
        x[:, 0] = np.nan
    if kind == "all equal":
        x[:] = -0.0
    past = Past(x[:130].T)
    for n in range(130, len(x)):
        below, equal, known = past.place(x[n])
        assert np.array_equal(below, (x[:n] < x[n]).sum(axis=0))
        assert np.array_equal(equal, (x[:n] == x[n]).sum(axis=0))
        assert np.array_equal(known, (~np.isnan(x[:n])).sum(axis=0))
        past.add(x[n])
    assert np.array_equal(past.values(), np.sort(x, axis=0).T, equal_nan=True)


def ranks(monitor: Monitor, stream: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """All u of a stream."""
    seen: list[np.ndarray] = []
    method = Monitor._ranks
    monkeypatch.setattr(Monitor, "_ranks", lambda self, x: seen.append(method(self, x)) or seen[-1])
    for x in stream:
        monitor.update(x, 50)
    return np.array(seen)


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "rare counts", "zeros"])
def test_ranks_are_uniform_and_independent(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """12,000 of them. Kolmogorov and Smirnov: sup |F - u| > 2.7 / √n with a probability of 2 exp(-2 · 2.7²) = 1e-6.
    The correlation of neighbours has the deviation 1 / √n: five of them are exceeded with 6e-7."""
    rng = np.random.default_rng([2, *kind.encode()])
    draw: Callable[[tuple[int, int]], np.ndarray] = {
        "normal": rng.standard_normal,
        "heavy tails": rng.standard_cauchy,
        "rare counts": lambda shape: rng.poisson(0.2, shape).astype(float),
        "zeros": np.zeros,
    }[kind]
    u = ranks(watching(draw((128, 60)), alpha=1e-9), draw((200, 60)), monkeypatch)
    n = u.size
    ordered, steps = np.sort(u.ravel()), np.arange(n + 1) / n
    assert np.maximum(steps[1:] - ordered, ordered - steps[:-1]).max() < 2.7 / math.sqrt(n)
    z = u - 0.5
    assert abs(12 * np.mean(z[1:] * z[:-1])) < 5 / math.sqrt(n)
    assert abs(12 * np.mean(z[:, 1:] * z[:, :-1])) < 5 / math.sqrt(n)


def told(monkeypatch: pytest.MonkeyPatch, u: np.ndarray) -> None:
    """Let random numbers be what puts the first block of elements, of which the bag is 0 ... 127, at these u."""
    word = np.floor(np.clip(u, 0, 1 - 2.0**-53) * 2.0**53).astype(np.uint64)
    words = np.empty(2 * len(u), np.uint32)
    words[::2], words[1::2] = (word >> np.uint64(26)) << np.uint64(5), (word & np.uint64((1 << 26) - 1)) << np.uint64(6)
    monkeypatch.setattr(monitors._streams, "words", lambda *_: words)


def test_bets_earn_nothing_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of the evidence after a block over all ranks and random numbers, which is an integral over the normal
    density from -7 to 7 by rectangles of 0.01: 1, less what lies beyond, 0.5% of the widest of three equal bets on
    scales, who have a quarter of the stake 1 - 1 / ln(1 + e). Every element is one point of the integral."""
    z = np.arange(-7, 7.001, 0.01)
    u = np.array([NormalDist().cdf(x) for x in z])
    place = np.minimum(np.floor(129 * u), 128)
    reference = np.broadcast_to(np.random.default_rng(3).permutation(128).astype(float)[:, None], (128, len(z)))
    monitor = watching(reference, alpha=1e-9)
    told(monkeypatch, 129 * u - place)
    assert monitor.update(place - 0.5, 50) is None
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * 0.01
    beyond = 2 * NormalDist(sigma=2.5).cdf(-7) * 0.25 / 3 * (1 - 1 / math.log(1 + math.e))
    assert float(density @ monitor.evidence) * len(z) == pytest.approx(1 - beyond, abs=1e-5)
    wealth = density @ monitor._wealth / monitors.STAKES / (1 - 1 / math.log(1 + math.e))
    assert wealth[:-1] == pytest.approx(1, abs=1e-4)
    assert wealth[-1] == pytest.approx(1 - 2 * NormalDist(sigma=2.5).cdf(-7), abs=1e-4)
    assert monitors.STAKES.sum() == pytest.approx(1, abs=1e-15)


def test_evidence_by_the_formula() -> None:
    """The page's formula in plain Python, with the same random numbers; 200 steps round by 1e-13 of the evidence."""
    rng = np.random.default_rng(4)
    x = np.round(rng.standard_normal((328, 3)), 1)
    x[rng.random(x.shape) < 0.1] = np.nan
    monitor = Monitor(x[:128], 50, NAMES, alpha=1e-9, weights={"unknown": 0.5}, seed=9)
    bets: list[tuple[float, Callable[[float], float]]] = []
    for shift in (0.4, 0.8, 1.6, 2.5):
        for l in (shift, -shift):
            bets.append((0.75 / 8, lambda z, l=l: math.exp(l * z - l * l / 2)))
    for s in (0.6, 1.6, 2.5):
        bets.append((0.25 / 3, lambda z, s=s: math.exp(z * z / 2 * (1 - 1 / s**2)) / s))
    wealth = [[0.0] * len(bets) for _ in NAMES]
    for t, block in enumerate(x[128:]):
        words = monitors._streams.words(9, "monitor", "", t, 6).tolist()
        s0, s1 = 1 / math.log(t + math.e), 1 / math.log(t + 1 + math.e)
        assert monitor.update(block, 50) is None
        for e, value in enumerate(block.tolist()):
            bag = [v for v in x[: 128 + t, e].tolist() if v == v]
            uniform = ((words[2 * e] >> 5) * 2**26 + (words[2 * e + 1] >> 6)) / 2**53
            u = (sum(v < value for v in bag) + uniform * (bag.count(value) + 1)) / (len(bag) + 1)
            won = [1.0 if value != value else b(NormalDist().inv_cdf(u)) for _, b in bets]
            wealth[e] = [(w + (s0 - s1) * p) * b for w, (p, _), b in zip(wealth[e], bets, won, strict=True)]
        want = [w * (s1 + sum(k)) for w, k in zip((0.25, 0.25, 0.5), wealth, strict=True)]
        assert monitor.evidence == pytest.approx(want, rel=1e-11)
    assert monitor.blocks == 200


def test_nothing_changes_and_few_alarm() -> None:
    """400 streams of 5 elements and 100 blocks. At alpha = 0.2 at most 80 alarm on average, by Ville's inequality; 117
    and more have a probability of 5e-6. The streams are one wide monitor, whose elements do not know of each other."""
    rng = np.random.default_rng(5)
    monitor, ever = watching(rng.standard_normal((128, 2000)), alpha=1e-9), np.zeros(400)
    for _ in range(100):
        monitor.update(rng.standard_normal(2000), 50)
        ever = np.maximum(ever, 400 * monitor.evidence.reshape(400, 5).max(axis=1))
    assert np.count_nonzero(ever >= 5) < 117


# ---------------------------------------------------------------- alarms

CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "higher": lambda x: x + np.array([0, 3, 0]),
    "lower": lambda x: x - [0, 3, 0],
    "wider": lambda x: x * [1, 5, 1],
    "narrower": lambda x: x * [1, 0.1, 1],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_alarms_name_what_changed(kind: str) -> None:
    monitor = Monitor(blocks(6, 128), 50, NAMES)
    assert monitor.alarm is None
    for x in CHANGES[kind](blocks(7, 60)):
        before = monitor.evidence
        if (alarm := monitor.update(x, 50)) is not None:
            break
    n = monitor.blocks
    assert alarm is not None
    assert (alarm.element, alarm.kind, alarm.blocks, alarm.runs, alarm.alpha) == ("line", kind, n, 50 * n, 0.01)
    assert alarm.evidence == monitor.evidence.max() >= 100 > before.max()
    text = str(alarm)
    assert text.startswith(f"Alarm after {50 * n} runs: line is {kind} than in the reference, evidence ")
    assert text.endswith("make a new one, with a reference of what is usual now.")
    after = monitor.evidence
    assert monitor.update([0, 0, 0], 50) is alarm  # and the block is left out
    assert np.array_equal(monitor.evidence, after)
    assert monitor.blocks == n
    with pytest.raises(ValueError, match="runs: wanted 50"):
        monitor.update([0, 0, 0], 49)


def test_a_path_that_was_not_in_the_reference() -> None:
    """Zero in all of the reference, and then in every tenth run: told within six blocks, with a tenth of alpha."""
    x = blocks(8, 128)
    x[:, 2] = 0
    monitor = Monitor(x, 50, NAMES, weights={"unknown": 0.1})
    assert monitor.weights.tolist() == pytest.approx([0.45, 0.45, 0.1])
    for _ in range(10):
        assert monitor.update([*blocks(monitor.blocks, 1)[0, :2], 0], 50) is None
    for _ in range(6):
        alarm = monitor.update([*blocks(monitor.blocks, 1)[0, :2], 0.1], 50)
    assert alarm is not None
    assert (alarm.element, alarm.kind) == ("unknown", "higher")


def test_what_a_block_lacks_is_not_bet_on() -> None:
    monitor = Monitor(blocks(9, 128), 50, NAMES)
    for x in blocks(10, 40):
        before = monitor.evidence
        assert monitor.update([x[0], np.nan, x[2]], 50) is None
        assert monitor.evidence[1] == pytest.approx(before[1], rel=1e-14)
        assert monitor.evidence[0] != before[0]
    never = Monitor(np.full((128, 3), np.nan), 50, NAMES)
    for x in blocks(11, 40):
        assert never.update(x, 50) is None
    assert never.evidence.max() < 100


def test_weights() -> None:
    """Evidence is theirs: an element of weight w has to reach 1 / (w alpha) of its own."""
    equal, other = (Monitor(blocks(12, 128), 50, NAMES, weights=w) for w in (None, {"page": 0.5, "line": 0.2}))
    for x in blocks(13, 20):
        equal.update(x, 50)
        other.update(x, 50)
    assert equal.weights.tolist() == [1 / 3] * 3
    assert other.weights.tolist() == pytest.approx([0.5, 0.2, 0.3])
    assert other.evidence == pytest.approx(equal.evidence * 3 * [0.5, 0.2, 0.3])
    whole = Monitor(blocks(12, 128), 50, NAMES, weights={"page": 0.5, "line": 0.2, "unknown": 0.3})
    assert np.allclose(whole.weights, other.weights, rtol=1e-15)


def test_seeds_matter_where_values_are_equal() -> None:
    def evidence(seed: int) -> np.ndarray:
        monitor = Monitor(np.zeros((128, 3)), 50, NAMES, seed=seed)
        for _ in range(5):
            monitor.update(np.zeros(3), 50)
        return monitor.evidence

    assert np.array_equal(evidence(1), evidence(1))
    assert not np.array_equal(evidence(1), evidence(2))


def test_a_reference_whose_neighbours_are_alike_is_told_of() -> None:
    x = blocks(14, 128, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watching(x)
    for t in range(1, 128):
        x[t] += 0.3 * x[t - 1]
    with pytest.warns(ExchangeabilityWarning, match=r"neighbouring blocks of the reference correlate by 0\.[23]"):
        watching(x)


# ---------------------------------------------------------------- what is refused

BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "few blocks": ({"reference": np.zeros((127, 3))}, ValueError, "reference: wanted at least 128 blocks; got 127"),
    "a vector": ({"reference": np.zeros(128)}, ValueError, "reference: wanted statistics of blocks, of shape"),
    "no element": ({"reference": np.zeros((128, 0))}, ValueError, "reference: wanted statistics of blocks"),
    "infinity": ({"reference": np.full((128, 3), -np.inf)}, ValueError, "reference: wanted numbers of at most 1e30"),
    "complex": ({"reference": np.zeros((128, 3), complex)}, TypeError, "reference: wanted statistics"),
    "texts": ({"reference": [["a"] * 3] * 128}, TypeError, "reference: wanted statistics"),
    "no runs": ({"block": 0}, ValueError, "block: wanted an integer from 1"),
    "half a run": ({"block": 50.5}, TypeError, "block: wanted an integer"),
    "names short": ({"elements": ["a", "b"]}, ValueError, "elements: wanted 3 names"),
    "a name twice": ({"elements": ["a", "b", "a"]}, ValueError, "elements: wanted each name once"),
    "names of a text": ({"elements": "abc"}, TypeError, "elements: wanted a sequence"),
    "alpha": ({"alpha": 0.6}, ValueError, "alpha: wanted a number above 1e-12, at most 0.5"),
    "alpha zero": ({"alpha": 0}, ValueError, "alpha: wanted a number above"),
    "alpha NaN": ({"alpha": np.nan}, ValueError, "alpha: wanted a number above"),
    "weights of others": ({"weights": {"b": 0.1}}, ValueError, "weights: wanted names of elements"),
    "weights above one": ({"weights": {"page": 0.6, "line": 0.6}}, ValueError, "less than 1, which leaves something"),
    "weights that leave none": ({"weights": {"page": 1.0}}, ValueError, "add up to less than 1"),
    "weights below one": ({"weights": dict.fromkeys(NAMES, 0.3)}, ValueError, "add up to 1; got 0.9"),
    "weight zero": ({"weights": {"page": 0}}, ValueError, r"weights\['page'\]: wanted a number above"),
    "weights in order": ({"weights": [1, 1, 1]}, TypeError, "weights: wanted a mapping"),
    "seed": ({"seed": 2**64}, ValueError, "seed: wanted an integer"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name: str) -> None:
    options, kind, message = BAD[name]
    arguments = {"reference": blocks(15, 128), "block": 50, "elements": NAMES, **options}
    with pytest.raises(kind, match=message) as caught:
        Monitor(**arguments)
    assert len(str(caught.value)) < 1000


def test_bad_blocks_are_refused_and_leave_no_trace() -> None:
    monitor, other = (Monitor(blocks(16, 128), 50, NAMES) for _ in range(2))
    for bad, runs, message in (
        ([0, 0], 50, "block: wanted 3 statistics of a block"),
        ([[0, 0, 0]], 50, "block: wanted 3 statistics of a block"),
        ([0, 0, np.inf], 50, "block: wanted numbers of at most 1e30"),
        (["a", "b", "c"], 50, "block: wanted 3 statistics"),
        (None, 50, "block: wanted 3 statistics"),
        ([0, 0, 0], 51, "runs: wanted 50, as many as each block of the reference has; got 51"),
        ([0, 0, 0], 50.0, "runs: wanted an integer"),
        ([0, 0, 0], None, "runs: wanted an integer"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            monitor.update(bad, runs)  # type: ignore[arg-type]
    x = blocks(17, 1)[0]
    monitor.update(x, 50)
    other.update(x.astype(">f8")[::1], np.int64(50))  # type: ignore[arg-type]
    assert np.array_equal(monitor.evidence, other.evidence)


def test_what_was_given_may_change_later() -> None:
    reference, x = blocks(18, 128), blocks(19, 1)[0]
    monitor, other = (Monitor(r, 50, NAMES) for r in (reference, reference.copy()))
    reference[:] = 7
    monitor.weights[:] = 0
    for m in (monitor, other):
        m.update(x, 50)
    assert np.array_equal(monitor.evidence, other.evidence)


# ---------------------------------------------------------------- files


def saved(monitor: Monitor) -> bytes:
    file = io.BytesIO()
    monitor.save(file)
    return file.getvalue()


@pytest.mark.parametrize("count", [0, 1, RECENT, 3 * RECENT + 5])
def test_a_restored_monitor_goes_on_to_the_bit(count: int, tmp_path: Path) -> None:
    """With equal values and lacking ones, whose order and number matter."""
    x = np.round(blocks(20, 128 + count + 300), 1)
    x[::7, 1] = np.nan
    monitor = Monitor(x[:128], 50, NAMES, alpha=0.004, weights={"line": 0.7}, seed=2**64 - 1)
    for block in x[128 : 128 + count]:
        monitor.update(block, 50)
    monitor.save(tmp_path / "m.npz")
    other = Monitor.load(tmp_path / "m.npz")
    assert saved(other) == saved(monitor)
    assert (other.elements, other.alpha, other.block, other.blocks) == (tuple(NAMES), 0.004, 50, count)
    assert repr(other) == repr(monitor)
    for block in x[128 + count :] + np.repeat([0, 1], [150, 150])[:, None]:
        assert monitor.update(block, 50) == other.update(block, 50)
        assert np.array_equal(monitor.evidence, other.evidence)
    assert monitor.alarm is not None
    again = Monitor.load(io.BytesIO(saved(monitor)))
    assert again.alarm == monitor.alarm
    assert again.update(x[0], 50) == Alarm(**vars(monitor.alarm))


def arrays() -> dict[str, Any]:
    monitor = Monitor(blocks(21, 128), 50, NAMES)
    for x in blocks(22, 3):
        monitor.update(x, 50)
    with np.load(io.BytesIO(saved(monitor))) as file:
        return {name: file[name] for name in file.files}


def loaded(**changes: Any) -> Monitor:
    file = io.BytesIO()
    np.savez(file, **{**arrays(), **changes})
    file.seek(0)
    return Monitor.load(file)


HOSTILE: dict[str, Any] = {
    "elements": [
        np.array(["a", "b"]),
        np.array(["a", "a", "b"]),
        np.array(["a", "", "b"]),
        np.arange(3),
        np.array("a"),
    ],
    "weights": [np.full(3, 0.5), np.array([1.0, 0, 0]), np.full(2, 0.5), np.full(3, np.nan), np.full(3, "a")],
    "alpha": [0.0, 1.0, np.nan, np.zeros(1), "a", True],
    "block": [0, -1, 50.0, 2**62, np.zeros(2, int)],
    "seed": [-1, 0.5, "a"],
    "reference": [127, 132, -1, 128.0, 2**63],
    "past": [np.zeros((3, 127)), np.zeros((2, 131)), np.zeros(131), np.full((3, 131), np.inf), np.full((3, 131), "a")],
    "wealth": [
        np.zeros((3, 10)),
        np.zeros(3),
        np.full((3, 11), -1.0),
        np.full((3, 11), np.nan),
        np.full((3, 11), 1e41),
    ],
    "recsketch": [2],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str) -> None:
    assert loaded().blocks == 3
    for value in HOSTILE[name]:
        with pytest.raises(ValueError, match=r"wanted a file written by Monitor\.save") as caught:
            loaded(**{name: value})
        assert len(str(caught.value)) < 1000


def test_other_files_are_refused(tmp_path: Path) -> None:
    content = saved(Monitor(blocks(23, 128), 50, NAMES))
    path = tmp_path / "m.npz"
    for cut in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"m\.npz: wanted a file written by Monitor\.save"):
            Monitor.load(path)
    with pytest.raises(ValueError, match="wanted the arrays"):
        loaded(more=np.zeros(3))
    bomb = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    bomb.seek(0)
    with pytest.raises(ValueError, match="wanted an uncompressed array"):
        Monitor.load(bomb)
    with pytest.raises(FileNotFoundError):
        Monitor.load(tmp_path / "none.npz")
