"""How well modules are learned from inputs and sketches, beside networks trained end to end on the same runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from figure import FULL, Figure, at_most, note
from learned import Lesson
from teachers import NETWORKS, OWN_SHAPE, Teacher, shown

RUNS = (300, 1000, 8000)
EPOCHS = (2, 30, 150)
TEACHERS = (2, 2, 4)
LONG = 2000  # epochs of the network of the teacher's own shape, which is still learning after 150


def bits(effort: int) -> Iterator[Figure]:
    """Modules that give bits: thresholds of linear maps, of which logistic regression is the right model."""
    lesson = Lesson(Teacher(seed=0), RUNS[effort])
    where = f"{lesson.n} runs, d = {lesson.dim}, load {lesson.load:.2f}"
    packed, mask = lesson.half_of_int8()
    exact, lossy = lesson.student(), lesson.student(packed, mask)
    linear = lesson.student(estimator="ridge", snap="off")
    how = f"{where}; half of each sketch erased, int8: 102 unknowns of 128 coordinates"
    yield at_most("modules of bits: attribute bits read wrong, int8, half erased", 0.0, lesson.misread(lossy), how)
    for name, student, said in (("float32", exact, where), ("int8, half erased", lossy, how)):
        wrong = lesson.wrong(student.predict(lesson.new))
        yield at_most(f"modules of bits: output bits wrong, {name}", 0.017, wrong, f"{said}; logistic", ".4f")
    each = [lesson.wrong(lossy.predict(lesson.new)), *(_other(seed, lesson.n) for seed in range(1, TEACHERS[effort]))]
    wrong, most = sum(each) / len(each), f" (worst {max(each):.4f})"
    name = f"modules of bits: output bits wrong, int8, half erased, {len(each)} teachers"
    yield at_most(name, 0.017, wrong, f"mean of teachers with other matrices, {lesson.n} runs each", ".4f", most)
    wrong = lesson.wrong(linear.predict(lesson.new))
    yield Figure("modules of bits: output bits wrong, ridge, nothing snapped", "", f"{wrong:.3f}", where)
    yield from _end_to_end("modules of bits: output bits wrong", lesson, effort)


def numbers(effort: int) -> Iterator[Figure]:
    """Modules that give numbers, which the student learns by networks of its own."""
    from sklearn.neural_network import MLPRegressor

    lesson = Lesson(Teacher(seed=0, smooth=True), RUNS[effort])
    where = f"{lesson.n} runs, d = {lesson.dim}, load {lesson.load:.2f}"
    packed, mask = lesson.half_of_int8()
    other = MLPRegressor(hidden_layer_sizes=(64,), early_stopping=True, max_iter=500, random_state=0)
    how = f"{where}; half of each sketch erased, int8"
    students: dict[str, tuple[dict[str, Any], str]] = {
        "float32": ({}, f"{where}; 64 tanh units a module, the teacher's own kind"),
        "int8, half erased": ({"sketches": packed, "mask": mask}, f"{how}; 64 tanh units a module"),
        "float32, scikit-learn's 64 ReLU units": ({"estimator": other}, f"{where}; MLPRegressor, early stopping"),
        "float32, ridge": ({"estimator": "ridge"}, where),
    }
    for name, (options, said) in students.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's, of networks that would go on
            wrong = lesson.wrong(lesson.student(**options).predict(lesson.new))
        title = f"modules of numbers: variance unexplained, {name}"
        yield Figure(title, "", f"{wrong:.2g}", said) if "ridge" in name else at_most(title, 0.08, wrong, said)
    yield from _end_to_end("modules of numbers: variance unexplained", lesson, effort)


def _other(seed: int, n: int) -> float:
    """What a student of another teacher gets wrong, from half of int8 sketches."""
    lesson = Lesson(Teacher(seed), n)
    return lesson.wrong(lesson.student(*lesson.half_of_int8()).predict(lesson.new))


def _end_to_end(name: str, lesson: Lesson, effort: int) -> Iterator[Figure]:
    networks = NETWORKS if effort == FULL else (OWN_SHAPE,)
    found = lesson.end_to_end(EPOCHS[effort], networks)
    each = "; ".join(f"{shown(net)}: {w:.2g} ({e} epochs)" for net, (w, e) in zip(networks, found, strict=True))
    how = f"{lesson.n} runs, {EPOCHS[effort]} epochs at most. {each}"
    yield Figure(f"{name}, best of {len(found)} networks end to end", "", f"{min(found)[0]:.3f}", how)
    if effort == FULL:
        ((wrong, epochs),) = lesson.end_to_end(LONG, (OWN_SHAPE,))
        how = f"{shown(OWN_SHAPE)}, the teacher's own shape, {epochs} epochs"
        yield Figure(f"{name}, end to end for long", "", f"{wrong:.3f}", how)


FIGURES = (bits, numbers)


@pytest.mark.parametrize("measure", FIGURES, ids=lambda f: f.__name__)
def test_figures(benchmark: Any, measure: Callable[[int], Iterator[Figure]]) -> None:
    note(benchmark, measure)
    lesson = Lesson(Teacher(seed=0), 300)
    assert benchmark.pedantic(lesson.student, rounds=1).levels_
