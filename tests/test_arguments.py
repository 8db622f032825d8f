"""Every argument of every public method, given what it is not: a right answer, or one short error that names it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest

import recsketch as rs

DIM = 64
SPEC = rs.SketchSpec(DIM, {"a": 3, "b": 2}, 1, max_inputs=4)
SK = rs.Sketcher(SPEC, threads=1)

LONG = "x" * 1_000_000

# What is handed to every argument in turn, by a name for the tables below.
VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "0": 0,
    "5": 5,
    "-1": -1,
    "2.5": 2.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "1e300": 1e300,
    "10**30": 10**30,
    "10**5000": 10**5000,
    "1j": 1j,
    "zz": "zz",
    "long text": LONG,
    "b'zz'": b"zz",
    "[]": [],
    "()": (),
    "{}": {},
    "set": {1, 2},
    "[None]": [None],
    "['zz']": ["zz"],
    "[nan]": [float("nan")],
    "[10**5000]": [10**5000],
    "ragged": [[1.0], [1.0, 2.0]],
    "long list": [0.5] * 1_000_000,
    "long names": [LONG] * 3,
    "object": object(),
    "type": int,
    "empty array": np.zeros(0),
    "0-d array": np.array(2.5),
    "(2, 3, 4)": np.zeros((2, 3, 4)),
    "(2, 3) of float32": np.zeros((2, 3), np.float32),
    "objects": np.array([None, 1.0], object),
    "texts": np.array(["zz", "y"]),
    "complex": np.ones(DIM, complex),
    "masked": np.ma.array(np.ones(DIM), mask=np.arange(DIM) == 3),
    "dates": np.zeros(3, "datetime64[s]"),
    "records": np.zeros(3, [(f"field{i}", float) for i in range(200)]),
}


class Loud:
    """Writes itself at length, or fails to."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def __repr__(self) -> str:
        if self.fails:
            raise RuntimeError("no text")
        return LONG


VALUES |= {"loud": Loud(False), "mute": Loud(True)}


def run() -> rs.Trace:
    t = rs.Trace()
    x = t.add("a", [1.0, 2.0, 3.0])
    t.outputs([t.add("b", [1.0, -1.0], [x, x], [1, 3])])
    return t


def key(value: Any) -> Any:
    """What can be a key of a mapping: the value, or of those that cannot, a tuple."""
    return value if isinstance(value, Hashable) and not isinstance(value, tuple) else ("no", "name")


def columns(**changes: Any) -> dict[str, Any]:
    batch = rs.TraceBatch.from_traces([run(), run()])
    return {**{name: getattr(batch, name) for name in rs.TraceBatch.__slots__}, **changes}


S = SK.sketch(run())
FOUND = SK.unroll(S)
BATCH = rs.TraceBatch.from_traces([run(), run()])
SUMS, TOTAL = rs.SketchSpec.additive(DIM, {"a": 3}), np.zeros(DIM, np.uint64)
NONE = {"[]", "()", "empty array"}
NAMES = {"True", "[]", "()", "{}"}  # a flag, or names of modules
NUMBERS = {"0-d array", "5"}  # of types that float() takes

PARTNERS: dict[str, tuple[str, set[str]]] = {
    "names": ("names|module", {"texts"}),
    "attributes": ("attributes|attribute_ends", set()),
    "inputs": ("inputs|weights|input_ends", set()),
    "outputs": ("outputs|output_weights|output_ends", set()),
    "objects": ("objects|output_ends", set()),
    "module": ("module|objects", set()),
    "ids": ("ids", {"None", "texts"}),
    "times": ("times", {"None"}),
}

# A method's argument: how it is called, how messages name it, and which values are right.
TABLE: dict[str, tuple[Callable[[Any], Any], str, set[str]]] = {
    "SketchSpec dim": (lambda v: rs.SketchSpec(v, {"a": 3}), "dim", set()),
    "SketchSpec modules": (lambda v: rs.SketchSpec(DIM, v), "modules", set()),
    "SketchSpec modules' length": (lambda v: rs.SketchSpec(DIM, {"a": v}), "modules", {"5"}),
    "SketchSpec modules' name": (lambda v: rs.SketchSpec(DIM, {key(v): 3}), "modules", {"zz", "long text"}),
    "SketchSpec seed": (lambda v: rs.SketchSpec(DIM, {"a": 3}, v), "seed", {"0", "5"}),
    "SketchSpec max_inputs": (lambda v: SPEC.replace(max_inputs=v), "max_inputs", {"5"}),
    "SketchSpec angle": (lambda v: SPEC.replace(angle=v), "angle", {"None", "5", "2.5", "0-d array"}),
    "SketchSpec rotation": (lambda v: SPEC.replace(rotation=v), "rotation", set()),
    "SketchSpec weighting": (lambda v: SPEC.replace(weighting=v), "weighting", set()),
    "SketchSpec scaling": (lambda v: SPEC.replace(scaling=v), "scaling", set()),
    "SketchSpec scales": (lambda v: SPEC.replace(scales=v), "scales", {"None", "{}"}),
    "SketchSpec scales' factor": (
        lambda v: SPEC.replace(scales={"a": v}),
        "scales",
        {"5", "2.5", "0-d array", "10**30"},
    ),
    "SketchSpec scales' name": (lambda v: SPEC.replace(scales={key(v): 2.0}), "scales", set()),
    "SketchSpec wiring": (lambda v: SPEC.replace(wiring=v), "wiring", {"None", "{}"}),
    "SketchSpec wiring's inputs": (lambda v: SPEC.replace(wiring={"a": v}), "wiring", {"[]", "()"}),
    "SketchSpec wiring's outputs": (lambda v: SPEC.replace(wiring={None: v}), "wiring", set()),
    "SketchSpec signature": (lambda v: SPEC.replace(signature=v), "signature", {"0", "5"}),
    "SketchSpec.paper dim": (lambda v: rs.SketchSpec.paper(dim=v, modules={"a": 3}), "dim", set()),
    "SketchSpec.paper modules": (lambda v: rs.SketchSpec.paper(dim=DIM, modules=v), "modules", set()),
    "SketchSpec.with_scales": (SPEC.with_scales, "traces", set()),
    "SketchSpec.scale": (SPEC.scale, "module", set()),
    "SketchSpec.from_json": (rs.SketchSpec.from_json, "specification", set()),
    "Sketcher spec": (rs.Sketcher, "spec", set()),
    "Sketcher threads": (lambda v: rs.Sketcher(SPEC, threads=v), "threads", {"None", "5"}),
    "Sketcher.sketch": (SK.sketch, "traces", NONE),
    "Sketcher.load": (SK.load, "traces", NONE),
    "Sketcher.recover sketches": (lambda v: SK.recover(v, run()), "sketches", set()),
    "Sketcher.recover structure": (lambda v: SK.recover(np.zeros((0, DIM)), v), "structure", NONE),
    "Sketcher.recover method": (lambda v: SK.recover(S, run(), v), "method", set()),
    "Sketcher.recover mask": (lambda v: SK.recover(S, run(), mask=v), "mask", {"None"}),
    "Sketcher.recover noise": (lambda v: SK.recover(S, run(), noise=v), "noise", {"None", "0", *NUMBERS, "2.5"}),
    "Sketcher.recover nonzeros": (lambda v: SK.recover(S, run(), "sparse", nonzeros=v), "nonzeros", {"None", "5"}),
    "Sketcher.recover per_object": (
        lambda v: SK.recover(S, run(), "sparse", per_object=v),
        "per_object",
        {"None", "5"},
    ),
    "Sketcher.recover nonnegative": (
        lambda v: SK.recover(S, run(), "sparse", nonnegative=v),
        "nonnegative",
        {"True"},
    ),
    "Sketcher.unroll sketches": (SK.unroll, "sketches", set()),
    "Sketcher.unroll mask": (lambda v: SK.unroll(S, v), "mask", {"None"}),
    "Sketcher.unroll max_depth": (lambda v: SK.unroll(S, max_depth=v), "max_depth", {"None", "5"}),
    "Sketcher.unroll sparse": (lambda v: SK.unroll(S, sparse=v), "sparse", {"None", "5", "{}"}),
    "Sketcher.unroll nonnegative": (lambda v: SK.unroll(S, sparse=3, nonnegative=v), "nonnegative", NAMES),
    "Sketcher.unroll noise": (lambda v: SK.unroll(S, noise=v), "noise", {"None", "0", *NUMBERS, "2.5"}),
    "Sketcher.summary sketch": (lambda v: SK.summary(v, "a"), "sketch", set()),
    "Sketcher.summary module": (lambda v: SK.summary(S, v), "module", set()),
    "Sketcher.summary below": (lambda v: SK.summary(S, "a", below=v), "below", NONE),
    "Sketcher.summary total": (
        lambda v: SK.summary(S, "a", total=v),
        "total",
        {"None", "5", "2.5", "0-d array"},
    ),
    "Sketcher.summary mask": (lambda v: SK.summary(S, "a", mask=v), "mask", {"None"}),
    "Sketcher.similarity a": (lambda v: SK.similarity(v, S), "a", set()),
    "Sketcher.similarity b": (lambda v: SK.similarity(S, v), "b", set()),
    "Sketcher.similarity mean": (lambda v: SK.similarity(S, S, v), "mean", {"None"}),
    "Sketcher.nearest query": (lambda v: SK.nearest(v, S[None]), "query", set()),
    "Sketcher.nearest sketches": (lambda v: SK.nearest(S, v), "sketches", set()),
    "Sketcher.nearest k": (lambda v: SK.nearest(S, S[None], v), "k", {"5"}),
    "Sketcher.nearest metric": (lambda v: SK.nearest(S, S[None], metric=v), "metric", set()),
    "Sketcher.nearest mean": (lambda v: SK.nearest(S, S[None], mean=v), "mean", {"None"}),
    "Sketcher.diff a": (lambda v: SK.diff(v, S), "a", set()),
    "Sketcher.diff b": (lambda v: SK.diff(S, v), "b", set()),
    "Sketcher.diff tolerance": (lambda v: SK.diff(S, S, tolerance=v), "tolerance", {"0"}),
    "Sketcher.diff mask": (lambda v: SK.diff(S, S, mask=v), "mask", {"None"}),
    "Sketcher.diff max_depth": (lambda v: SK.diff(S, S, max_depth=v), "max_depth", {"None", "5"}),
    "Sketcher.diff sparse": (lambda v: SK.diff(S, S, sparse=v), "sparse", {"None", "5", "{}"}),
    "Sketcher.diff nonnegative": (lambda v: SK.diff(S, S, sparse=3, nonnegative=v), "nonnegative", NAMES),
    "Sketcher.diff noise": (lambda v: SK.diff(S, S, noise=v), "noise", {"None", "0", *NUMBERS, "2.5"}),
    "diff a": (lambda v: rs.diff(v, run()), "a", set()),
    "diff b": (lambda v: rs.diff(run(), v), "b", set()),
    "diff tolerance": (lambda v: rs.diff(run(), run(), tolerance=v), "tolerance", {"0"}),
    "Difference.of": (rs.diff(run(), run()).of, "kind", set()),
    "Difference.to_html shapes": (lambda v: rs.diff(run(), run()).to_html(shapes=v), "shapes", {"None", "{}"}),
    "Difference.to_html most": (lambda v: rs.diff(run(), run()).to_html(most=v), "most", {"5"}),
    "Difference.table": (rs.diff(run(), run()).table, "most", {"5"}),
    "suggest_dim traces": (rs.suggest_dim, "traces", set()),
    "suggest_dim target": (lambda v: rs.suggest_dim(run(), v), "target", {"2.5", "0-d array"}),
    "suggest_dim signature": (lambda v: rs.suggest_dim(run(), signature=v), "signature", {"0", "5"}),
    "suggest_dim decoder": (lambda v: rs.suggest_dim(run(), decoder=v), "decoder", set()),
    "Sketcher.load uses": (lambda v: SK.load(run(), v), "uses", {"True"}),
    "SketchSpec.fitted runs": (rs.SketchSpec.fitted, "runs", set()),
    "SketchSpec.fitted dim": (lambda v: rs.SketchSpec.fitted(run(), dim=v), "dim", {"None"}),
    "SketchSpec.fitted seed": (lambda v: rs.SketchSpec.fitted(run(), seed=v), "seed", {"0", "5"}),
    "SketchSpec.fitted target": (lambda v: rs.SketchSpec.fitted(run(), target=v), "target", {"2.5", "0-d array"}),
    "SketchSpec.fitted decoder": (lambda v: rs.SketchSpec.fitted(run(), decoder=v), "decoder", set()),
    "SketchSpec.fitted modules": (lambda v: rs.SketchSpec.fitted(run(), modules=v), "modules", {"None", "{}"}),
    "SketchSpec.fitted max_inputs": (
        lambda v: rs.SketchSpec.fitted(run(), max_inputs=v),
        "max_inputs",
        {"None", "5"},
    ),
    "SketchSpec.fitted wiring": (lambda v: rs.SketchSpec.fitted(run(), wiring=v), "wiring|trace 0", {"None"}),
    "SketchSpec.fitted signature": (
        lambda v: rs.SketchSpec.fitted(run(), signature=v),
        "signature",
        {"None", "0", "5"},
    ),
    "trial spec": (lambda v: rs.trial(v, run()), "spec", set()),
    "trial runs": (lambda v: rs.trial(SPEC, v), "runs", set()),
    "trial storage": (lambda v: rs.trial(SPEC, run(), storage=v), "storage", set()),
    "trial sample": (lambda v: rs.trial(SPEC, run(), sample=v), "sample", {"None", "5"}),
    "trial threads": (lambda v: rs.trial(SPEC, run(), threads=v), "threads", {"None", "5"}),
    "Reduction.fit runs": (rs.Reduction.fit, "runs", NONE),
    "Reduction.fit keep": (lambda v: rs.Reduction.fit(run(), v), "keep", {"5"}),
    "Reduction.apply": (rs.Reduction(()).apply, "runs", NONE),
    "Reduction.restore": (rs.Reduction(()).restore, "runs", NONE),
    "Trace.add module": (lambda v: run().add(v, [1.0]), "module", {"zz", "long text"}),
    "Trace.add attribute": (lambda v: run().add("c", v), "attribute", {"long list"}),
    "Trace.add inputs": (lambda v: run().add("c", [1.0], v), "inputs", {"[]", "()", "empty array"}),
    "Trace.add weights": (lambda v: run().add("c", [1.0], [0, 1], v), "weights", {"None"}),
    "Trace.outputs objects": (lambda v: run().outputs(v), "outputs", set()),
    "Trace.outputs weights": (lambda v: run().outputs([0, 1], v), "weights", {"None"}),
    "Trace.to_html shapes": (lambda v: run().to_html(shapes=v), "shapes", {"None", "{}"}),
    "Trace.to_html most": (lambda v: run().to_html(most=v), "most", {"5"}),
    "Trace.tree": (lambda v: run().tree(v), "most", {"5"}),
    "TraceBatch.from_traces": (rs.TraceBatch.from_traces, "traces", NONE),
    "TraceBatch.from_traces ids": (lambda v: rs.TraceBatch.from_traces([run()] * 2, ids=v), "ids", {"None", "texts"}),
    "TraceBatch.from_traces times": (lambda v: rs.TraceBatch.from_traces([run()] * 2, times=v), "times", {"None"}),
    "TraceBatch.concat": (rs.TraceBatch.concat, "batches", NONE),
    "TraceBatch[]": (
        lambda v: BATCH[v],
        "index",
        {"0", "-1", "[]"},
    ),
    **{
        f"TraceBatch {name}": ((lambda v, name=name: rs.TraceBatch(**columns(**{name: v}))), name, set())
        for name in rs.TraceBatch.__slots__
        if name not in PARTNERS
    },
    **{  # columns whose length is another's: one of the two is named
        f"TraceBatch {name}": ((lambda v, name=name: rs.TraceBatch(**columns(**{name: v}))), partner, right)
        for name, (partner, right) in PARTNERS.items()
    },
    "ModuleStatistics.update": (rs.ModuleStatistics().update, "traces", NONE),
    "ModuleStatistics.merge": (rs.ModuleStatistics().merge, "other", set()),
    "ModuleStatistics.of": (rs.ModuleStatistics().of, "module", set()),
    "SketchSpec.with_statistics": (SPEC.with_statistics, "statistics", set()),
    "cooccurrence": (rs.cooccurrence, "runs", set()),
    "fixed_point sketches": (
        rs.fixed_point,
        "sketches",
        {*NONE, "long list", "(2, 3) of float32"},
    ),
    "fixed_point bits": (lambda v: rs.fixed_point(S, v), "bits", set()),
    "fixed_point step": (lambda v: rs.fixed_point(S, step=v), "step", {"None"}),
    "Population.of_fixed_point total": (lambda v: rs.Population.of_fixed_point(SUMS, v, 1), "total", set()),
    "Population.of_fixed_point runs": (lambda v: rs.Population.of_fixed_point(SUMS, TOTAL, v), "runs", {"5"}),
    "Population.of_fixed_point step": (lambda v: rs.Population.of_fixed_point(SUMS, TOTAL, 1, v), "step", {"None"}),
    "Unrolled.to_html truth": (lambda v: FOUND.to_html(truth=v), "truth", {"None"}),
    "Unrolled.to_html shapes": (lambda v: FOUND.to_html(shapes=v), "shapes", {"None", "{}"}),
    "Unrolled.to_html a shape": (lambda v: FOUND.to_html(shapes={"a": v}), "shapes", set()),
    "Unrolled.to_html most": (lambda v: FOUND.to_html(most=v), "most", {"5"}),
    "Unrolled.tree": (FOUND.tree, "most", {"5"}),
    "UnrolledObject.interval": (FOUND.objects[0].interval, "level", set()),
}


@pytest.mark.filterwarnings("ignore::recsketch.StructureWarning")
@pytest.mark.filterwarnings("ignore::recsketch.CapacityWarning")
@pytest.mark.parametrize("argument", TABLE)
def test_every_value_is_answered_or_refused_by_name(argument: str) -> None:
    """An error is a ValueError or TypeError (IndexError of an index), one line that starts with the argument's name,
    says what was wanted and what came, and is short, whatever the value."""
    call, name, right = TABLE[argument]
    assert right <= set(VALUES)
    wrong = []
    for label, value in VALUES.items():
        try:
            call(value)
        except (ValueError, TypeError, IndexError) as error:
            text = str(error)
            said = re.match(rf"({name})(\[[^\n]*?\])?[^:\n]{{0,80}}: wanted [^\n]+; got [^\n]+", text)
            if label in right or not said or len(text) > 700:
                wrong.append(f"{label}: {type(error).__name__}: {text[:300]}")
        except Exception as error:
            wrong.append(f"{label}: {type(error).__name__}: {str(error)[:200]}")
        else:
            if label not in right:
                wrong.append(f"{label}: taken")
    assert not wrong, f"{argument}\n" + "\n".join(wrong)


def layouts(x: np.ndarray, *types: str) -> dict[str, Any]:
    """The same numbers as other arrays: read-only, strided, reversed twice, unaligned, Fortran, a list, other types."""
    frozen = x.copy()
    frozen.flags.writeable = False
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    out = {
        "read-only": frozen,
        "strided": np.repeat(x, 2, axis=-1)[..., ::2],
        "backwards": x[..., ::-1].copy()[..., ::-1],
        "unaligned": odd,
        "Fortran": np.asfortranarray(x),
        "list": x.tolist(),
        "subclass": np.ma.array(x),
    }
    return out | {name: x.astype(name) for name in types}


def test_any_layout_of_an_array_gives_the_same_answer() -> None:
    runs = [run(), run()]
    runs[1].outputs([0])
    s = SK.sketch(runs)
    mask = np.random.default_rng(0).random((2, DIM)) < 0.9
    noise = np.array([1e-3, 2e-3])
    want = SK.recover(s, runs, mask=mask, noise=noise), SK.unroll(s, mask, noise=noise), SK.similarity(s, s)
    want = *want, SK.summary(s[0], "a", mask=mask[0])
    floats = (">f4", "f8", ">f8", "longdouble")
    for name, x in layouts(s, *floats).items():
        assert SK.recover(x, runs, mask=mask, noise=noise) == want[0], name
        assert SK.unroll(x, mask, noise=noise) == want[1], name
        assert np.array_equal(SK.similarity(x, s), want[2]), name
        assert np.array_equal(SK.similarity(s, x), want[2]), name
    for name, x in layouts(s[0], *floats).items():
        assert SK.summary(x, "a", mask=mask[0]) == want[3], name
    for name, x in layouts(mask).items():
        assert SK.recover(s, runs, mask=x, noise=noise) == want[0], name
        assert SK.unroll(s, x, noise=noise) == want[1], name
    for name, x in layouts(noise, ">f8", "longdouble").items():
        assert SK.recover(s, runs, mask=mask, noise=x) == want[0], name
    for name, x in layouts(np.array([0, 0, 1]), "u1", ">i2", "u8").items():
        trace = run()
        trace.add("a", np.ones(3), x, layouts(np.array([3.0, 1.0, 2.0]), "f4", "u1", ">f8").get(name))
        trace.outputs(x)
        assert trace.objects[2].inputs == trace.output_ids == (0, 0, 1), name
    for name, x in layouts(np.array([0.5, -1.0, 3.0], np.float32), *floats, "f2").items():
        trace = rs.Trace()
        trace.add("a", x)
        assert trace.objects[0].attribute.tolist() == [0.5, -1.0, 3.0], name


def test_no_sketches_are_no_error() -> None:
    none = np.zeros((0, DIM))
    assert SK.recover(none, []) == SK.recover(none, rs.TraceBatch.from_traces([])) == SK.unroll(none) == []
    assert SK.recover(none, run(), mask=np.zeros((0, DIM), bool), noise=np.zeros(0)) == []
    assert SK.similarity(none, S[None]).shape == (0, 1)
    assert SK.similarity(S, none).shape == (0,)
    assert SK.sketch(BATCH[2:]).shape == none.shape
    assert SK.load([]).shape == (0,)


def long_names() -> list[tuple[str, Callable[[], Any]]]:
    """Messages that speak of modules: each where names have a million characters, and where there are a thousand."""
    long, other = LONG, LONG + "y"
    many = {f"module {i:030d}": 3 for i in range(1000)}
    spec = rs.SketchSpec(DIM, {long: 3, **many}, wiring={None: [long], long: list(many)})
    sk = rs.Sketcher(spec)

    def made(*modules: str, length: int = 3, spare: bool = False) -> rs.Trace:
        t = rs.Trace()
        for i, name in enumerate(modules):
            t.add(name, np.ones(length), [i - 1] if i and not spare else [])
        t.outputs([len(modules) - 1])
        return t

    bad = columns(names=[long, other])
    wide = made(*[long] * 20, spare=True)
    wide.outputs(range(20))
    large = made(long)
    large.add(long, [1e38, 0, 0])
    large.outputs([1])
    two = made(long)
    two.add(long, np.ones(4))
    return [
        ("an unknown module", lambda: sk.sketch(made(other))),
        ("another length", lambda: sk.sketch(made(long, length=4))),
        ("an output the wiring excludes", lambda: sk.sketch(made(next(iter(many))))),
        ("an input the wiring excludes", lambda: sk.sketch(made(next(iter(many)), next(iter(many)), long))),
        ("an input the wiring excludes", lambda: sk.sketch(made(long, long))),
        ("too many inputs", lambda: sk.sketch(wide)),
        ("a value that is too large", lambda: sk.sketch(large)),
        ("a value that is none", lambda: rs.Trace().add(long, [np.nan])),
        ("two lengths", lambda: rs.suggest_dim(two)),
        ("no such module", lambda: spec.scale(other)),
        ("no such module", lambda: sk.summary(np.zeros(DIM), other)),
        ("no such module", lambda: sk.summary(np.zeros(DIM), long, below=[other])),
        ("no such module", lambda: spec.replace(scales={other: 2.0})),
        ("a bad scale", lambda: spec.replace(scales={long: 0.0})),
        ("no such module", lambda: spec.replace(wiring={other: [long]})),
        ("no such module", lambda: spec.replace(wiring={long: [other]})),
        ("no sequence", lambda: spec.replace(wiring={long: other})),
        ("a bad length", lambda: rs.SketchSpec(DIM, {long: 0})),
        ("a bad name", lambda: rs.SketchSpec(DIM, {long + "\0": 3})),
        ("too long with its signature", lambda: rs.SketchSpec(DIM, {long: 2**20}, signature=3)),
        ("one name twice", lambda: rs.TraceBatch(**{**bad, "names": [long, long]})),
        ("an unknown module", lambda: SK.sketch(rs.TraceBatch(**bad))),
        (
            "NaN of a module",
            lambda: rs.SketchSpec(DIM, {long: 3, other: 2}).with_scales(
                rs.TraceBatch(**{**bad, "attributes": np.full_like(bad["attributes"], np.nan)})
            ),
        ),
        ("unknown fields", lambda: rs.SketchSpec.from_json(json.dumps({"recsketch": 1, long: 3}))),
        ("no object", lambda: rs.SketchSpec.from_json(json.dumps([long]))),
        ("one key twice", lambda: rs.SketchSpec.from_json(f'{{"{long}": 1, "{long}": 1}}')),
        ("no JSON", lambda: rs.SketchSpec.from_json("{" + long)),
    ]


def test_messages_stay_short() -> None:
    """A thousand characters at most, whatever is said in them: seen to reach 40 million when names were written out."""
    for what, call in long_names():
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
        text = str(caught.value)
        assert 20 < len(text) < 1000, (what, text[:300])
        assert "wanted" in text, (what, text)


def test_names_are_shown_as_far_as_they_help() -> None:
    spec = rs.SketchSpec(DIM, {"line": 3, "page": 2}, wiring={None: ["page"]})
    with pytest.raises(ValueError, match=r"^module: wanted 'line' or 'page'; got 'lime' \(str\)$"):
        spec.scale("lime")
    many = rs.SketchSpec(DIM, {f"module {i}": 3 for i in range(1000)})
    with pytest.raises(ValueError, match=r"^module: wanted one of \['module 0', .*'module 2\d', \.\.\. 1000 in all\]"):
        many.scale("zz")
    with pytest.raises(ValueError, match=r"^seed: wanted an integer from 0 to 18446744073709551615; got 10\*\*4999$"):
        rs.SketchSpec(DIM, {"a": 1}, 10**5000 // 3)
    with pytest.raises(TypeError, match=r"^spec: wanted a SketchSpec; got <Loud instance at 0x\w+> \(Loud\)$"):
        rs.Sketcher(Loud(True))  # type: ignore[arg-type]
