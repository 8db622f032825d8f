"""A specification tried on runs: what came back is compared with what was sketched, and advice was tried."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.reading.places import Agreement, agreement
from recsketch.trials.trial import How, _read


def line(rng: np.random.Generator, words: int = 8, length: int = 16, norm: float = 1.0) -> rs.Trace:
    run = rs.Trace()
    ids = [run.add("word", rng.standard_normal(length)) for _ in range(words)]
    run.outputs([run.add("line", norm * rng.standard_normal(8), ids)])
    return run


def some(n: int, seed: int = 0, **more: Any) -> list[rs.Trace]:
    rng = np.random.default_rng(seed)
    return [line(rng, **more) for _ in range(n)]


# ---------------------------------------------------------------- one run against what was read


def run_and_read() -> tuple[rs.Trace, rs.Unrolled]:
    """Two lines of three words, whole."""
    rng, run = np.random.default_rng(3), rs.Trace()
    lines = []
    for _ in range(2):
        ids = [run.add("word", rng.standard_normal(4)) for _ in range(3)]
        lines.append(run.add("line", rng.standard_normal(3), ids, [1, 2, 1]))
    run.outputs(lines)
    sk = rs.Sketcher(rs.SketchSpec(512, {"word": 4, "line": 3}, 1))
    return run, sk.unroll(sk.sketch(run))


def without(read: rs.Unrolled, number: int) -> rs.Unrolled:
    """A leaf was not found: the others close up, their paths stay."""
    kept = [o for i, o in enumerate(read.objects) if i != number]
    move = {i: i - (i > number) for i in range(len(read.objects)) if i != number}

    def closed(o: rs.UnrolledObject) -> rs.UnrolledObject:
        left = [(move[i], w) for i, w in zip(o.inputs, o.weights, strict=True) if i != number]
        inputs, weights = zip(*left, strict=True) if left else ((), ())
        return dataclasses.replace(o, inputs=inputs, weights=weights)

    outputs = tuple(move[i] for i in read.outputs)
    return dataclasses.replace(read, objects=tuple(map(closed, kept)), outputs=outputs, complete=False)


def changed(read: rs.Unrolled, number: int, **fields: Any) -> rs.Unrolled:
    objects = list(read.objects)
    objects[number] = dataclasses.replace(objects[number], **fields)
    return dataclasses.replace(read, objects=tuple(objects))


def counts(a: Agreement) -> tuple[int, int, int, bool, int]:
    return a.objects, a.found, a.false, a.whole, a.copies


def test_a_whole_run() -> None:
    run, read = run_and_read()
    found = agreement(run, read)
    assert counts(found) == (8, 8, 0, True, 0)
    assert sorted(found.errors) == list(range(8))
    for i, o in enumerate(run.objects):  # numbered alike: inputs first, in their order
        y = read.objects[i].attribute.astype(float)
        assert found.errors[i] == pytest.approx(np.linalg.norm(o.attribute - y) / np.linalg.norm(o.attribute))
    assert max(found.errors.values()) < 1e-5
    assert found.weight_error < 1e-5


def test_a_lost_object_does_not_move_those_behind_it() -> None:
    run, read = run_and_read()
    for number in (0, 1, 2, 5):
        found = agreement(run, without(read, number))
        assert counts(found) == (8, 7, 0, False, 0)
        assert number not in found.errors


def test_what_is_wrong_is_not_found() -> None:
    run, read = run_and_read()
    x = read.objects[1].attribute
    assert counts(agreement(run, changed(read, 1, module="line", attribute=x[:3]))) == (8, 7, 1, False, 0)
    assert counts(agreement(run, changed(read, 1, attribute=-x))) == (8, 7, 1, False, 0)
    assert counts(agreement(run, changed(read, 1, attribute=x * np.nan))) == (8, 7, 1, False, 0)
    near = agreement(run, changed(read, 1, attribute=x * 1.25))
    assert counts(near) == (8, 8, 0, True, 0)
    assert near.errors[1] == pytest.approx(0.25, rel=1e-4)
    # Of an owner that is wrong, those below are still right.
    assert counts(agreement(run, changed(read, 3, attribute=-read.objects[3].attribute))) == (8, 7, 1, False, 0)
    assert agreement(run, changed(read, 3, weights=(0.35, 0.4, 0.25))).weight_error == pytest.approx(0.1, abs=1e-5)


def test_what_is_there_beside_the_run_is_false() -> None:
    run, read = run_and_read()
    more = dataclasses.replace(read.objects[0], path=(0, 3))
    top = dataclasses.replace(read.objects[3], inputs=(0, 1, 2, 3), weights=(0.25, 0.25, 0.25, 0.25))
    # The new word is number 3, and all behind it move up.
    tail = [dataclasses.replace(o, inputs=tuple(i + 1 for i in o.inputs)) for o in read.objects[4:]]
    objects = (*read.objects[:3], more, top, *tail)
    wrong = dataclasses.replace(read, objects=objects, outputs=(4, 8))
    assert counts(agreement(run, wrong)) == (8, 8, 1, False, 0)


def test_an_empty_answer_and_a_zero_attribute() -> None:
    run, read = run_and_read()
    nothing = dataclasses.replace(read, objects=(), outputs=(), weights=(), complete=False)
    assert counts(agreement(run, nothing)) == (8, 0, 0, False, 0)
    zero = rs.Trace()
    zero.outputs([zero.add("a", [0.0, 0.0]), zero.add("a", [3.0, 4.0])])
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2}))
    assert counts(agreement(zero, sk.unroll(sk.sketch(zero)))) == (2, 2, 0, True, 0)


def diamond() -> rs.Trace:
    """One word that three lines use, and an object that reaches no output."""
    run, rng = rs.Trace(), np.random.default_rng(4)
    run.add("word", rng.standard_normal(6))
    word = run.add("word", rng.standard_normal(6))
    run.outputs([run.add("line", rng.standard_normal(5), [word]) for _ in range(3)])
    return run


def test_copies_are_whole_without_signatures_only() -> None:
    run = diamond()
    for signature, copies in ((0, 2), (8, 0)):
        spec = rs.SketchSpec(512, {"word": 6, "line": 5}, 2, signature=signature)
        sk = rs.Sketcher(spec)
        read = sk.unroll(sk.sketch(run))
        assert counts(agreement(run, read)) == (4, 4, 0, True, copies)
        found = rs.trial(spec, run)
        assert found.whole == 1.0
        assert found.chosen.objects.tolist() == [4]
        assert {m.name: (m.objects, m.found) for m in found.modules} == {"word": (1, 1), "line": (3, 3)}
        said = [text for text in found.advice if "used more than once" in text]
        text = (
            "1 of 5 objects are used more than once and come back as copies: signature=8 would tell that they are one."
        )
        assert said == [text] * (signature == 0)


def test_with_signatures_copies_are_not_whole() -> None:
    """A reader that knows of no signatures stands for one that could not tell by them, as behind much noise."""
    run = diamond()
    plain = rs.Sketcher(rs.SketchSpec(512, {"word": 6, "line": 5}, 2))
    batch = rs.TraceBatch.from_traces([run])
    packed = rs.pack(plain.sketch(batch), "float32")
    for signature in (0, 8):
        how = How(plain.spec.replace(signature=signature), None, False, None)
        assert _read(plain, how, packed, batch).of.whole.tolist() == [signature == 0]


# ---------------------------------------------------------------- a trial


def test_a_trial_of_runs_that_fit() -> None:
    """Data, bytes, errors by storage, and savings, which were tried."""
    runs = some(30)
    spec = rs.SketchSpec.fitted(runs, seed=1)
    found = rs.trial(spec, runs, sample=10)
    assert found.spec == spec
    assert (found.runs, found.storage, found.whole) == (30, "float32", 1.0)
    assert [s.dtype for s in found.stored] == ["float32", "float16", "int8"]
    assert [s.bytes for s in found.stored] == [4 * spec.dim + 12, 2 * spec.dim + 12, spec.dim + 12]
    sk = rs.Sketcher(spec)
    assert found.load.tolist() == found.load_by_uses.tolist() == sk.load([runs[i] for i in found.tried]).tolist()
    exact, half, byte = found.stored
    assert exact.whole.all()
    assert exact.complete.all()
    assert not exact.false.any()
    assert exact.found.tolist() == exact.objects.tolist() == [9] * 10
    # A stored coordinate is off by 5e-8, 2.1e-4 and 8e-3 of it (docs/format.md): so are attributes, some times more.
    for s, low, high in ((exact, 1e-8, 1e-5), (half, 1e-4, 1e-2), (byte, 5e-3, 0.5)):
        assert low < s.error.max() < high
        assert low < s.known_error.max() < high
    word, line = found.modules
    assert (word.name, word.length, word.objects, word.found, word.nonzero) == ("word", 16, 80, 80, 1.0)
    assert (line.objects, line.found) == (10, 10)
    norms = [float(np.linalg.norm(o.attribute)) for run in runs for o in run.objects if o.module == "word"]
    assert word.norms == pytest.approx((min(norms), max(norms)))
    assert 0 < word.usual_error <= word.error
    assert max(word.error, line.error) == exact.error.max()
    assert any("float16" in text or "int8" in text for text in found.advice)


def test_bytes_of_the_runs_as_columns() -> None:
    """Attributes and weights in two bytes, everything else in one, of one run of 9 objects: counted by hand."""
    (run,) = some(1)
    found = rs.trial(rs.SketchSpec.fitted(run), run)
    numbers, inputs = 8 * 16 + 8, 8
    assert found.columns == 2 * (numbers + inputs + 1) + 1 + 9 + 1 + 9 + inputs + 1
    assert 2 * numbers * 0.8 < found.zipped < found.columns + 80  # Gaussian numbers cannot be compressed


def test_the_sample_has_the_largest_run() -> None:
    runs = some(19) + some(1, words=16) + some(10)
    spec = rs.SketchSpec.fitted(runs)
    for sample, want in ((1, 1), (2, 2), (7, 7), (30, 30), (99, 30), (None, 30)):
        tried = rs.trial(spec, runs, sample=sample).tried.tolist()
        assert len(tried) == len(set(tried)) == want
        assert 19 in tried
        assert tried == sorted(tried)


def test_threads_and_order_of_modules_change_nothing() -> None:
    runs = some(6)
    spec = rs.SketchSpec.fitted(runs)
    assert rs.trial(spec, runs, threads=1) == rs.trial(spec, runs, threads=2) == rs.trial(spec, iter(runs))


def test_another_storage_is_tried_beside() -> None:
    runs = some(4)
    found = rs.trial(rs.SketchSpec.fitted(runs), runs, storage="bfloat16")
    assert [s.dtype for s in found.stored] == ["float32", "float16", "int8", "bfloat16"]
    assert found.chosen is found.stored[3]
    assert found.modules[0].error == pytest.approx(found.chosen.error.max(), rel=10)
    assert found.chosen.error.max() > found.stored[1].error.max()


def advice(found: rs.Trial, start: str) -> list[str]:
    return [text for text in found.advice if text.startswith(start)]


def test_a_longer_sketch_is_advised_where_runs_do_not_fit() -> None:
    runs = some(6)
    found = rs.trial(rs.SketchSpec.fitted(runs, dim=128), runs)
    assert found.load.min() > 1
    assert found.whole == 0.0
    assert advice(found, "dim=512 (load by uses at most 0.30) brings back 4 of 4 lost runs.")


def test_polar_attributes_are_advised_where_norms_differ() -> None:
    runs = some(4, norm=1e6)  # float32 rounds away what stands beside it
    spec = rs.SketchSpec.fitted(runs, attributes="linear", scales={})
    found = rs.trial(spec, runs)
    assert found.whole == 0.0
    assert advice(found, 'attributes="polar" (norms differ between modules) brings back 4 of 4')
    assert rs.trial(spec.replace(attributes="polar"), runs).whole == 1.0


def sparse_runs(n: int) -> list[rs.Trace]:
    rng, out = np.random.default_rng(7), []
    for _ in range(n):
        run, words = rs.Trace(), []
        for _ in range(20):
            x = np.zeros(128)
            x[rng.permutation(128)[:4]] = rng.standard_normal(4)
            words.append(run.add("word", x))
        run.outputs([run.add("line", rng.standard_normal(8), words)])
        out.append(run)
    return out


def test_sparse_attributes_are_told() -> None:
    """Where they do not fit, and where a shorter sketch would do; with `sparse` no more is to be said of it."""
    runs = sparse_runs(4)
    spec = rs.SketchSpec.fitted(runs, dim=2048)
    found = rs.trial(spec, runs)
    assert found.modules[0].nonzero == 4 / 128
    assert found.whole == 0.0
    assert advice(found, "sparse={'word': 'auto'} for unroll brings back 4 of 4 lost runs.")
    assert rs.trial(spec, runs, sparse="auto").whole == 1.0
    roomy = rs.trial(spec.replace(dim=8192), runs)
    assert roomy.whole == 1.0
    assert advice(roomy, "dim=4096 and sparse={'word': 'auto'} for unroll would do: it brings back the 4 largest")


def test_a_larger_balance_is_advised_where_objects_are_faint() -> None:
    run, rng = rs.Trace(), np.random.default_rng(1)
    i = run.add("embed", rng.standard_normal(4))
    for _ in range(20):
        i = run.add("layer", rng.standard_normal(4), [i, *(run.add("head", rng.standard_normal(4)) for _ in range(12))])
    run.outputs([i])
    spec = rs.SketchSpec.fitted(run, balance=0.5)
    found = rs.trial(spec, run)
    assert found.whole == 0.0
    assert advice(found, "balance=0.9 (the faintest object has 3e-06 of the loudest one's amplitude) brings back 1 of")


def test_a_shorter_sketch_is_advised_where_it_would_do() -> None:
    runs = some(5)
    spec = rs.SketchSpec.fitted(runs)
    found = rs.trial(spec.replace(dim=4 * spec.dim), runs)
    assert advice(found, f"dim={spec.dim} (load by uses at most ")
    assert not advice(rs.trial(spec, runs), "dim=")


def test_text_and_html() -> None:
    """A small table, lines that fit a terminal, names escaped; what is shown first is whether all came back."""
    runs = some(3)
    run = rs.Trace()
    run.outputs([run.add("<b>\x1b[2J", [1.0, 2.0])])
    runs.append(run)
    found = rs.trial(rs.SketchSpec.fitted(runs), runs, storage="float16")
    text, page = str(found), found._repr_html_()
    first, *lines = text.splitlines()
    assert first == repr(found)[1:-1] == f"Trial: 4 of 4 runs whole as float16, d = {found.spec.dim}"
    assert all(len(row) <= 120 or row.startswith("- ") for row in lines)
    assert sum(row.startswith(("float", "int8")) for row in lines) == 3
    assert "\x1b" not in text + page
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert page.count("<tr>") == 4 + 4
    assert all(text in str(found) for text in found.advice)


def test_equality_and_frozenness() -> None:
    runs = some(2)
    found = rs.trial(rs.SketchSpec.fitted(runs), runs)
    assert found == rs.trial(found.spec, runs)
    assert found != rs.trial(found.spec, runs, storage="int8")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.runs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"spec": None}, TypeError, "spec: wanted a SketchSpec; got None"),
        ({"runs": []}, ValueError, "runs: wanted at least one; got none"),
        ({"runs": 3}, TypeError, "runs: wanted a Trace, a TraceBatch or a list of traces; got 3"),
        ({"storage": "float8"}, ValueError, "storage: wanted"),
        ({"sample": 0}, ValueError, "sample: wanted an integer from 1"),
        ({"sample": 2.0}, TypeError, "sample: wanted an integer from 1"),
        ({"sparse": "x"}, ValueError, "sparse: wanted"),
        ({"nonnegative": True}, ValueError, "nonnegative: wanted"),
        ({"threads": 0}, ValueError, "threads: wanted"),
        ({"spec": rs.SketchSpec(64, {"word": 16, "line": 8}, ordered=False)}, ValueError, "ordered=True"),
        ({"spec": rs.SketchSpec(64, {"word": 16})}, ValueError, "wanted a module among"),
    ],
)
def test_what_cannot_be_tried(given: dict[str, Any], error: type[Exception], text: str) -> None:
    runs = some(2)
    arguments = {"spec": rs.SketchSpec.fitted(runs), "runs": runs, **given}
    with pytest.raises(error, match=text):
        rs.trial(arguments.pop("spec"), arguments.pop("runs"), **arguments)


def test_no_warning_comes_out_of_a_trial() -> None:
    """It says what does not work itself: here of shared objects, of too little room, and of nothing that is found."""
    run = diamond()
    found = rs.trial(rs.SketchSpec.fitted(run, dim=64, signature=0), run)
    assert 0 < found.load[0] < found.load_by_uses[0]
    assert math.isfinite(found.chosen.known_error[0])
    assert found.advice
