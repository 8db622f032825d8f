"""The digits are scikit-learn's, pages vary and carry their truth, and the network finds and reads what they show."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from importlib import resources
from math import sqrt

import numpy as np
import pytest
import train_network as training

import recsketch as rs
from recsketch.datasets import Digits, PageNetwork, load_digits, make_pages, rescan
from recsketch.datasets.digits import held_out, load_arrays, pack_digits, unpack_digits
from recsketch.datasets.network import _resample, _runs
from recsketch.datasets.pages import JITTER, MARGIN

# Of scikit-learn 1.9.1's load_digits(): images.astype("uint8").tobytes() and target.astype("uint8").tobytes().
IMAGES_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
LABELS_SHA256 = "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"

# Measured on pages of seeds 1, 2 and 3 (32,311 digits): 0.9713, 0.9728, 0.9716. The network is trained once, not here.
READ = 0.971


@pytest.fixture(scope="module")
def pages():
    return make_pages(200, seed=11)


@pytest.fixture(scope="module")
def network():
    return PageNetwork()


def test_digits_are_scikit_learns():
    images, labels = load_digits()
    assert hashlib.sha256(images.tobytes()).hexdigest() == IMAGES_SHA256
    assert hashlib.sha256(labels.tobytes()).hexdigest() == LABELS_SHA256


def test_shared_digits_cannot_be_written():
    for array in load_digits():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_shipped_data_are_small_and_attributed():
    folder = resources.files("recsketch.datasets")
    assert sum(len(folder.joinpath(name).read_bytes()) for name in ("digits.npz", "network.npz")) < 50_000
    text = folder.joinpath("README.md").read_text(encoding="utf-8")
    assert all(word in text for word in ("CC BY 4.0", "Alpaydin", "Kaynak", "UCI", "1998", "scikit-learn"))


@pytest.mark.parametrize("value", [0, 14, 15, 16])
def test_packing_loses_nothing(value):
    rng = np.random.default_rng(value)
    images = rng.integers(0, 17, size=(3, 8, 8), dtype=np.uint8)
    images[1] = value
    digits = Digits(images, np.array([1, 2, 3], dtype=np.uint8))
    again = unpack_digits(pack_digits(digits))
    np.testing.assert_array_equal(again.images, images)
    np.testing.assert_array_equal(again.labels, digits.labels)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pixels", lambda a: a[:-1], "bytes of pixels"),
        ("labels", lambda a: a[:-1], "bytes of pixels"),
        ("sixteens", lambda a: a[:-1], "bytes of bits"),
        ("pixels", lambda a: a.astype(np.int64), "uint8"),
        ("labels", lambda a: a.reshape(1, -1), "one-dimensional"),
        ("labels", None, "missing labels"),
    ],
)
def test_damaged_digits_are_refused(name, change, message):
    arrays = pack_digits(load_digits())
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=message):
        unpack_digits(arrays)


def test_pages_are_repeatable_and_a_prefix_of_more(pages):
    for page, same in zip(pages, make_pages(5, seed=11), strict=False):
        np.testing.assert_array_equal(page.image, same.image)
    assert make_pages(1, seed=12)[0].labels != pages[0].labels
    assert make_pages(0, seed=1) == []


def test_no_page_is_like_another(pages):
    assert len({str(page.labels) for page in pages}) == len(pages)
    assert len({page.image.tobytes() for page in pages}) == len(pages)
    assert {len(page.lines) for page in pages} == {3, 4, 5, 6}
    assert {len(line.labels) for page in pages for line in page.lines} == {4, 5, 6, 7, 8}
    assert {int(np.ptp(line.boxes[:, 0])) for page in pages for line in page.lines} == {0, 1, 2}
    left = np.concatenate([np.diff(line.boxes[:, 2:].ravel())[1::2] for page in pages for line in page.lines])
    assert set(left.tolist()) == {3, 4, 5, 6, 7}
    for first, second in itertools.combinations([page.image for page in pages[:50]], 2):
        rows, columns = np.minimum(first.shape, second.shape)
        assert np.abs(first[:rows, :columns] - second[:rows, :columns]).max() > 0.1


def test_page_truth_is_what_is_drawn(pages):
    images, labels = load_digits()
    for page in pages:
        rest = page.image.copy()
        for line in page.lines:
            np.testing.assert_array_equal(labels[line.digits], line.labels)
            assert held_out(len(labels))[line.digits].all()
            for digit, (y0, y1, x0, x1) in zip(line.digits, line.boxes, strict=True):
                inked = images[digit][:, images[digit].any(axis=0)]
                assert np.corrcoef(inked.ravel(), page.image[y0:y1, x0:x1].ravel())[0, 1] > 0.99
                rest[y0:y1, x0:x1] = np.nan
        assert np.nanmax(rest) - np.nanmin(rest) < 0.15, "ink outside every box"


def test_rescan_keeps_the_content_and_changes_the_scan(pages):
    for page in pages[:20]:
        again = rescan(page, seed=5)
        assert again.labels == page.labels
        assert again.image.shape != page.image.shape or np.abs(again.image - page.image).max() > 0.02
        offsets = np.concatenate([a.boxes - b.boxes for a, b in zip(page.lines, again.lines, strict=True)])
        assert (offsets == offsets[0]).all()
        assert (again.lines[0].boxes.min(axis=0)[[0, 2]] <= MARGIN[1] + 2 * JITTER).all()
    np.testing.assert_array_equal(rescan(pages[0], seed=5).image, rescan(pages[0], seed=5).image)


def test_network_finds_every_line_and_digit(pages, network):
    for page in pages:
        found = network.find_lines(page.image)
        assert [len(line.boxes) for line in found] == [len(line.boxes) for line in page.lines]
        for line, truth in zip(found, page.lines, strict=True):
            error = np.abs(line.boxes - truth.boxes)
            # A digit's outermost column may hold so little ink that noise hides it.
            assert (error <= [0, 0, 1, 1]).all()


def test_network_reads_digits_it_was_not_trained_on(pages, network):
    right = total = 0
    for page in pages:
        chars = [o.attribute for o in network(page.image).objects if o.module == "char"]
        reading = network.read(np.array(chars))
        right += int((reading.label == np.concatenate([line.labels for line in page.lines])).sum())
        total += len(chars)
    # Four standard deviations of a binomial: a correct network fails one time in 30,000.
    assert right / total > READ - 4 * sqrt(READ * (1 - READ) / total)
    # Nor may it be too good: digits it was trained on are read at 0.989.
    assert right / total < 0.989


def test_network_does_not_mind_scale_or_offset(pages, network):
    image = pages[0].image.astype(np.float64)
    plain = network(image)
    for other in (1e6 * image - 3e5, 1e300 * image, 1e-300 * image):
        for a, b in zip(plain.objects, network(other).objects, strict=True):
            np.testing.assert_allclose(a.attribute, b.attribute, atol=1e-4)
    assert len(network(np.round(255 * image).astype(np.uint8))) == len(plain)


def test_trace_has_the_page_s_structure(pages, network):
    for page in pages[:20]:
        objects = network(page.image).objects
        sizes = [len(line.labels) for line in page.lines]
        modules = ["char"] * sum(sizes) + ["line"] * len(sizes) + ["page"]
        assert [o.module for o in objects] == modules
        assert all(o.attribute.shape == (network.modules[o.module],) for o in objects)
        starts = np.cumsum([0, *sizes])
        for k, size in enumerate(sizes):
            assert list(objects[starts[-1] + k].inputs) == list(range(starts[k], starts[k] + size))
        top = objects[-1]
        assert list(top.inputs) == list(range(starts[-1], starts[-1] + len(sizes)))
        weights = np.asarray(top.weights) / np.sum(top.weights)
        np.testing.assert_allclose(weights, np.array(sizes) / sum(sizes), rtol=1e-6)


def test_wiring_holds_for_every_page_and_unrolling_finds_it_whole(pages, network):
    traces = [network(page.image) for page in pages[:3]]
    spec = rs.SketchSpec(4096, network.modules, wiring=network.wiring).with_scales(traces)
    sketcher = rs.Sketcher(spec, threads=1)
    for page, trace, found in zip(pages, traces, sketcher.unroll(sketcher.sketch(traces)), strict=False):
        assert found.complete
        assert len(found.objects) == len(trace)
        (top,) = found.outputs
        lines = [[found.objects[c] for c in found.objects[i].inputs] for i in found.objects[top].inputs]
        assert [len(line) for line in lines] == [len(line.labels) for line in page.lines]
        back = network.read(np.array([o.attribute for line in lines for o in line])).label
        own = network.read(np.array([o.attribute for o in trace.objects if o.module == "char"])).label
        np.testing.assert_array_equal(back, own)


def test_attributes_show_the_page(pages, network):
    page = pages[0]
    objects = network(page.image).objects
    lines = [o.attribute.reshape(3, 40) for o in objects if o.module == "line"]
    for line, truth in zip(lines, page.lines, strict=True):
        left, right = truth.boxes[0, 2], truth.boxes[-1, 3]
        ink = np.zeros(right - left)
        for *_, x0, x1 in truth.boxes:
            ink[x0 - left : x1 - left] = 1
        assert np.corrcoef(_resample(ink, 40), line.mean(axis=0))[0, 1] > 0.7
    rows = objects[-1].attribute
    assert rows.max() > 0.1
    assert rows.min() < 0.02


def test_resampling_keeps_the_mean():
    rng = np.random.default_rng(0)
    for rows, length in [(1, 5), (5, 5), (7, 3), (3, 40)]:
        values = rng.standard_normal((rows, 2))
        out = _resample(values, length)
        assert out.shape == (length, 2)
        # At most `rows` additions of numbers below 4, twice.
        np.testing.assert_allclose(out.mean(axis=0), values.mean(axis=0), atol=8 * rows * length * np.finfo(float).eps)
    np.testing.assert_allclose(_resample(np.array([1.0, 3.0, 5.0]), 2), [(1 + 0.5 * 3) / 1.5, (5 + 0.5 * 3) / 1.5])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(5), "image: wanted real numbers"),
        (np.zeros((0, 5)), "image: wanted real numbers"),
        (np.zeros((2, 3, 3)), "image: wanted real numbers"),
        (np.zeros((5, 5), dtype=complex), "image: wanted real numbers"),
        (np.array([["a"]]), "image: wanted real numbers"),
        (np.array([[None]]), "image: wanted real numbers"),
        (np.array([[np.nan, 1.0]]), "finite"),
        (np.array([[np.inf, 1.0]]), "finite"),
        (np.zeros((40, 40)), "no line"),
        (np.ones((40, 40)), "no line"),
        (np.full((1, 1), 1e308), "no line"),
        (np.broadcast_to(np.uint8(0), (2**14, 2**13)), "at most"),
    ],
)
def test_images_that_are_no_pages_are_refused(network, image, message):
    with pytest.raises((TypeError, ValueError), match=message):
        network(image)


def test_random_images_give_a_trace_or_a_clear_error(network):
    rng = np.random.default_rng(0)
    messages = set()
    for _ in range(300):
        shape = rng.integers(1, 40, size=2)
        image = rng.random(shape) ** rng.integers(1, 30) * rng.choice([1.0, -1.0])
        try:
            trace = network(image)
        except ValueError as error:
            messages.add(str(error))
        else:
            assert all(np.isfinite(o.attribute).all() for o in trace.objects)
    assert messages <= {"image: found no line of digits"}


@pytest.mark.parametrize("vector", [np.zeros(31), np.float64(0), np.full(32, np.nan), np.zeros((32, 2)), "digit"])
def test_reading_refuses_other_vectors(network, vector):
    with pytest.raises((TypeError, ValueError), match="vector: wanted"):
        network.read(vector)


def test_reading_is_the_output_layer_s_softmax(network):
    vectors = np.random.default_rng(0).standard_normal((4, 5, 32)) * 3
    label, probability = network.read(vectors)
    assert label.shape == probability.shape == (4, 5)
    weights = load_arrays("network.npz")
    odds = np.exp(vectors @ weights["output"].astype(float) + weights["output_bias"].astype(float))
    np.testing.assert_array_equal(label, odds.argmax(axis=-1))
    # Scores stay below 100 and are sums of 33 terms: 33 eps * 100 in the exponent.
    np.testing.assert_allclose(probability, odds.max(axis=-1) / odds.sum(axis=-1), rtol=1e-11)
    assert network.read(1e300 * vectors[1, 2]).probability == 1


def test_short_gaps_are_bridged():
    flags = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 1], dtype=bool)
    assert _runs(flags) == [(1, 5), (7, 10)]
    assert _runs(flags[:0]) == _runs(flags[:1]) == []


@pytest.mark.parametrize("level", [0.0, 0.0335855753, 0.1, 0.2, 1 / 3, 0.7, -0.9, 1e3])
def test_noiseless_page_is_read(network, level):
    images, labels = load_digits()
    chosen = np.flatnonzero(held_out(len(labels)))[:4]
    # At this size the mean of equal numbers, the level found, is often not that number: rounding that is not ink.
    image = np.full((90, 174), level)
    for k, digit in enumerate(chosen):
        image[6:14, 4 + 13 * k : 12 + 13 * k] += 0.7 * images[digit] / 16
    (line,) = network.find_lines(image)
    assert line.boxes[:, :2].tolist() == [[6, 14]] * 4
    centred = np.zeros((4, 8, 8))
    for out, digit in zip(centred, images[chosen], strict=True):
        inked = digit[:, digit.any(axis=0)]
        at = (8 - inked.shape[1]) // 2
        out[:, at : at + inked.shape[1]] = inked / 16
    chars = np.array([o.attribute for o in network(image).objects if o.module == "char"])
    # Hidden units sum 65 products below 4; float32 rounds last.
    np.testing.assert_allclose(chars, network.hidden(centred), rtol=2**-23, atol=1e-12 * max(abs(level), 1))


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", None, True])
def test_counts_and_seeds_are_checked(pages, wrong):
    with pytest.raises((TypeError, ValueError), match="n: wanted"):
        make_pages(wrong, seed=1)
    with pytest.raises((TypeError, ValueError), match="seed: wanted"):
        make_pages(1, seed=wrong)
    with pytest.raises((TypeError, ValueError), match="seed: wanted"):
        rescan(pages[0], seed=wrong)


def test_training_learns_and_repeats(network):
    images, labels = load_digits()
    seen = ~held_out(len(labels))
    digits = Digits(images[seen], labels[seen])
    first, second = training.train(digits, epochs=20), training.train(digits, epochs=20)
    assert all((first[name] == second[name]).all() for name in first)
    crops = training.distort(images[~seen], np.random.default_rng(0))
    scores = np.maximum(crops @ first["hidden"] + first["hidden_bias"], 0) @ first["output"] + first["output_bias"]
    # Chance is 0.1; 20 of the 300 epochs reached 0.93.
    assert (scores.argmax(axis=1) == labels[~seen]).mean() > 0.85


def test_shipped_weights_come_from_the_script(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", str(tmp_path / "again.npz")])
    training.main()
    shipped = load_arrays("network.npz")
    with np.load(tmp_path / "again.npz") as again:
        for name in ("hidden", "hidden_bias", "output", "output_bias"):
            # Another BLAS rounds otherwise, and ReLUs that switch amplify it: weights may part, most do not.
            close = np.isclose(again[name], shipped[name], atol=0.05)
            assert close.mean() > 0.9


def test_importing_the_package_does_not_import_the_datasets():
    code = "import recsketch, sys; print([m for m in sys.modules if m.split('.')[1:2] in (['datasets'], ['cli'])])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SKBUILD_EDITABLE_VERBOSE": "0"},
    )
    assert done.stdout.strip() == "[]"


def test_data_are_loaded_without_pickle():
    for name in ("digits.npz", "network.npz"):
        assert all(array.dtype.kind in "uf" for array in load_arrays(name).values())
