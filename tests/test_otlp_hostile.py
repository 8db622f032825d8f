"""Damaged and hostile traces give error records, never a crash, and never a run that is not whole."""

from __future__ import annotations

import copy
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from otlp_recordings import document, span

from recsketch.capture.otlp import Edges, SpanAttributes, read_otlp
from recsketch.capture.problems import RunError
from recsketch.datasets import agent_traces, shop_traces

GOOD = document(span(1, trace=2))
LONG = "9" * 5000


def read(bad: Any, **how: Any) -> Any:
    """A bad document between good ones; the good run is always there."""
    found = read_otlp([document(span(1, trace=2)), bad, document(span(1, trace=3))], **how)
    assert {f"{2:032x}", f"{3:032x}"} <= set(found.runs.ids.tolist())
    return found


def changed(**fields: Any) -> dict[str, Any]:
    """Trace 1: a root and a child, in which fields of the child are replaced."""
    return document(span(1, name="root"), {**span(2, 1, "child"), **fields})


SPANS: dict[str, tuple[dict[str, Any], str]] = {
    "no start": ({"startTimeUnixNano": None}, "startTimeUnixNano: wanted nanoseconds"),
    "start is a list": ({"startTimeUnixNano": [1]}, "startTimeUnixNano"),
    "start is NaN": ({"startTimeUnixNano": float("nan")}, "startTimeUnixNano"),
    "end is NaN": ({"endTimeUnixNano": float("nan")}, "endTimeUnixNano"),
    "end is infinite": ({"endTimeUnixNano": float("inf")}, "endTimeUnixNano"),
    "end is a fraction": ({"endTimeUnixNano": 2000.5}, "endTimeUnixNano"),
    "end is True": ({"endTimeUnixNano": True}, "endTimeUnixNano"),
    "end is negative": ({"endTimeUnixNano": "-5"}, "endTimeUnixNano"),
    "end is huge": ({"endTimeUnixNano": 10**300}, "endTimeUnixNano"),
    "end has 5000 digits": ({"endTimeUnixNano": LONG}, "endTimeUnixNano"),
    "end is in other digits": ({"endTimeUnixNano": "٣٣٣٣"}, "endTimeUnixNano"),
    "end before start": ({"endTimeUnixNano": "999"}, "no time before the start, 1000"),
    "no span id": ({"spanId": ""}, "spanId: wanted 8 bytes"),
    "span id is short": ({"spanId": "abc"}, "spanId"),
    "span id is no hex": ({"spanId": "zz" * 8}, "spanId"),
    "span id of blanks": ({"spanId": "ab              "}, "spanId"),
    "span id is all zeros": ({"spanId": "0" * 16}, "not all zeros"),
    "span id is a number": ({"spanId": 5}, "spanId"),
    "span id is a dict": ({"spanId": {"a": 1}}, "spanId"),
    "parent is a number": ({"parentSpanId": 5}, "parentSpanId"),
    "parent is long": ({"parentSpanId": "a" * 1000}, "parentSpanId"),
    "name is a number": ({"name": 5}, "name: wanted a text"),
    "no name": ({"name": None}, "name"),
    "name is long digits": ({"name": int("9" * 300)}, "name"),
    "links are a number": ({"links": 5}, "TypeError"),
    "a link is a text": ({"links": ["x"]}, "AttributeError"),
    "a link to nowhere": ({"links": [{}]}, "traceId"),
    "status is a text": ({"status": "ERROR"}, "AttributeError"),
    "context is a list": ({"context": [1]}, "AttributeError"),
}


@pytest.mark.parametrize("case", SPANS)
def test_a_span_that_cannot_be_read(case: str) -> None:
    fields, message = SPANS[case]
    found = read(changed(**fields))
    assert len(found.runs) == 2
    (error,) = found.errors
    assert (error.run_id, error.file, error.row, error.stage) == (f"{1:032x}", None, 1, "span")
    assert message in error.message
    assert len(str(error)) < 1000
    with pytest.raises(ValueError, match="run 00000000000000000000000000000001: span"):
        read_otlp(changed(**fields), errors="raise")


MODULES = {"empty": "", "NUL": "a\0b", "a lone surrogate": "\ud800"}


@pytest.mark.parametrize("case", MODULES)
def test_names_that_are_no_modules(case: str) -> None:
    (error,) = read(changed(name=MODULES[case])).errors
    assert error.stage == "module"
    assert "module" in error.message


@pytest.mark.parametrize("made", [5, None, ["a"], {"a": 1}])
def test_callables_that_return_no_module(made: Any) -> None:
    found = read_otlp(document(span(1)), module=lambda _: made)
    assert [e.stage for e in found.errors] == ["module"]
    assert len(found.runs) == 0


VALUES: dict[str, Any] = {
    "attributes are a number": 5,
    "attributes are texts": ["a"],
    "a key is a list": [{"key": [1], "value": {}}],
    "no key": [{"value": {"intValue": "1"}}],
    "tokens are a text": [{"key": "gen_ai.usage.input_tokens", "value": {"stringValue": "many"}}],
    "tokens are negative": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "-1"}}],
    "tokens are NaN": [{"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": "NaN"}}],
    "tokens are huge": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": LONG}}],
    "tokens are nothing": [{"key": "gen_ai.usage.input_tokens", "value": {}}],
    "MLflow's tokens": [{"key": "mlflow.chat.tokenUsage", "value": {"stringValue": '{"input_tokens": [1]}'}}],
    "an embedding of texts": [("v", {"arrayValue": {"values": [{"stringValue": "a"}]}})],
    "an embedding of none": [("v", {"arrayValue": {"values": []}})],
    "an embedding of NaN": [("v", {"arrayValue": {"values": [{"doubleValue": "NaN"}]}})],
    "an embedding that is NaN": [("v", {"arrayValue": {"values": [{"doubleValue": float("nan")}]}})],
    "an embedding of huge numbers": [("v", {"arrayValue": {"values": [{"doubleValue": 1e300}]}})],
    "an embedding of lists": [("v", {"arrayValue": {"values": [{"arrayValue": {"values": [{"intValue": 1}]}}]}})],
    "a long embedding": [("v", {"arrayValue": {"values": [{"doubleValue": 1.0}] * 70000}})],
    "an embedding that is a dict": [("v", {"kvlistValue": {"values": []}})],
    "a deep embedding": [("v", json.loads('{"arrayValue": {"values": [' * 200 + "]}}" * 200))],
}


@pytest.mark.parametrize("case", VALUES)
def test_attributes_that_cannot_be_read(case: str) -> None:
    given = VALUES[case]
    if isinstance(given, list) and isinstance(given[0], tuple):
        given = [{"key": "embedding.embeddings.0.embedding.vector", "value": x} for _, x in given]
    found = read(changed(attributes=given))
    assert [(e.run_id, e.stage) for e in found.errors] == [(f"{1:032x}", "attribute")]
    assert len(found.runs) == 2


def test_embeddings_of_two_lengths() -> None:
    key = "embedding.embeddings.{}.embedding.vector"
    found = read(document(span(1, attributes={key.format(0): [1.0], key.format(1): [1.0, 2.0]})))
    assert "wanted one length; got [1, 2]" in found.errors[0].message


DOCUMENTS: dict[str, Any] = {
    "a list of numbers": [1, 2],
    "a number": 3,
    "null": None,
    "a text": "x",
    "other keys": {"spams": []},
    "resourceSpans is a number": {"resourceSpans": 5},
    "a group is null": {"resourceSpans": [None]},
    "scopeSpans is a text": {"resourceSpans": [{"scopeSpans": "abc"}]},
    "spans are a number": {"resourceSpans": [{"scopeSpans": [{"spans": 7}]}]},
    "spans of MLflow are a number": {"data": {"spans": 7}},
    "lists in lists in lists": [[[[]]]],
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_documents_of_something_else(case: str) -> None:
    lines = "\n".join(map(json.dumps, [GOOD, DOCUMENTS[case], document(span(1, trace=3))]))
    found = read_otlp(io.StringIO(lines))
    assert len(found.runs) == 2
    assert {(e.run_id, e.row, e.stage) for e in found.errors} == {(None, 2, "document")}


@pytest.mark.parametrize(
    "raw", [None, 5, "x", [], [1], {}, {"traceId": "zz"}, {"context": None}, {"traceId": {"a": 1}}]
)
def test_spans_that_are_none(raw: Any) -> None:
    found = read({"resourceSpans": [{"scopeSpans": [{"spans": [raw]}]}]})
    assert [(e.run_id, e.stage) for e in found.errors] == [(None, "span")]


def test_other_signals_and_empty_documents_are_passed_over() -> None:
    others = [{}, {"resourceMetrics": []}, {"resourceLogs": [1]}, {"resourceSpans": []}, {"resourceSpans": [{}]}]
    assert read_otlp([*others, GOOD]).errors == ()


# ---------------------------------------------------------------- edges


def test_cycles() -> None:
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        (document(span(1, 2), span(2, 1)), ("auto", "children", "both")),
        (document(span(1, 1)), ("auto", "children", "both")),
        (document(span(9), span(1, 3), span(2, 1), span(3, 2), span(4, 2)), ("auto", "children", "both")),
        (document(span(1, links=[2]), span(2, links=[1])), ("auto", "links", "both")),
        (document(span(1, links=[1])), ("auto", "links", "both")),
        (document(span(1), span(2, 1), span(3, 2, links=[1])), ("auto", "both")),
        (document(span(8, links=[1]), span(1, links=[2]), span(2, links=[3]), span(3, links=[1])), ("links",)),
    ]
    for bad, kinds in cases:
        for edges in kinds:
            found = read(bad, edges=edges)
            (error,) = found.errors
            assert (error.run_id, error.row, error.stage) == (f"{1:032x}", 1, "edges")
            assert "cycle" in error.message
            assert len(found.runs) == 2
            none = dict.fromkeys(("links", "children", "both"), 0)
            assert found.edges == Edges({**none, "none": 2}, {**none, "none": 2}, 0, 0)


def test_wide_spans_and_outputs() -> None:
    many = document(span(1), *(span(i, 1) for i in range(2, 302)))
    (error,) = read(many).errors
    assert error.stage == "edges"
    assert error.message == f"span {1:016x}: wanted at most 256 inputs (max_inputs); got 300"
    assert read(many, max_inputs=300).errors == ()
    (error,) = read(document(*(span(i) for i in range(1, 301)))).errors
    assert error.message == "outputs: wanted at most 256 inputs (max_inputs); got 300"
    (error,) = read(many, max_inputs=299).errors
    assert "at most 299" in error.message


def test_duplicated_spans() -> None:
    """The one that started first is kept, wherever it stands."""
    for order in ((0, 1, 2), (2, 1, 0)):
        spans = [span(1), span(2, 1, "first", 1500, 1600), span(2, 1, "second", 1600, 1700)]
        found = read(document(*(spans[i] for i in order)))
        assert [(e.run_id, e.stage) for e in found.errors] == [(f"{1:032x}", "duplicate")]
        assert len(found.runs) == 3
        assert found.runs[0].objects[0].module == "first"
    found = read(document(*[span(1)] * 5000))
    assert len(found.errors) == 4999


def test_chains_deeper_than_the_stack() -> None:
    n = 20 * sys.getrecursionlimit()
    chain = read_otlp(document(*(span(i + 1, i, start=1000 + i, end=10**6) for i in range(n))))
    assert chain.errors == ()
    assert chain.runs.inputs.tolist() == list(range(n - 1))
    linked = read_otlp(document(*(span(i + 1, links=[i] if i else [], start=1000 + i, end=10**6) for i in range(n))))
    assert linked.runs.inputs.tolist() == list(range(n - 1))


# ---------------------------------------------------------------- bytes


def test_every_truncation_of_a_file() -> None:
    """Whole lines stay runs, and the broken one is an error, wherever the file is cut."""
    lines = [json.dumps(d).encode() for d in (GOOD, document(span(1)), document(span(1, trace=3)))]
    text = b"\n".join(lines)
    ends = np.cumsum([len(x) + 1 for x in lines]) - 1
    for cut in range(len(text)):
        found = read_otlp(io.BytesIO(text[:cut]))
        whole = int(np.sum(ends <= cut))
        partial = cut > (ends[whole - 1] + 1 if whole else 0)
        assert len(found.runs) == whole, cut
        assert len(found.errors) == partial, cut


def test_every_truncation_of_a_document_on_several_lines() -> None:
    text = json.dumps(GOOD, indent=1).encode()
    for cut in range(1, len(text)):
        found = read_otlp(io.BytesIO(text[:cut]))
        assert len(found.runs) == 0
        assert len(found.errors) == 1, cut


def test_a_file_whose_first_line_is_cut() -> None:
    text = json.dumps(GOOD)
    for cut in range(1, len(text)):
        found = read_otlp(io.StringIO(text[cut:] + "\n" + text))
        assert (len(found.runs), [e.row for e in found.errors]) == (1, [1]), cut
        found = read_otlp(io.StringIO(text[:cut] + "\n" + text))
        assert (len(found.runs), [e.row for e in found.errors]) == (1, [1]), cut


def test_damaged_gzip(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(map(json.dumps, shop_traces(50, seed=0))).encode())
    path = tmp_path / "x.json.gz"
    for cut in range(2, len(packed), 97):
        path.write_bytes(packed[:cut])
        found = read_otlp(path)
        assert [e.stage for e in found.errors if e.stage == "file"] == ["file"]
        assert found.errors[-1].file == str(path)
    rng = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(packed)
        broken[int(rng.integers(2, len(packed)))] ^= 1 << int(rng.integers(8))
        read_otlp(io.BytesIO(bytes(broken)))


def test_bytes_that_are_no_text() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        found = read_otlp(io.BytesIO(rng.bytes(2000)))
        assert found.errors
        assert len(found.runs) == 0
    assert [e.stage for e in read_otlp(io.BytesIO(b"\0\1\n" * 1000)).errors] == ["file"]


def test_deep_and_long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for deep in (b"[" * 10**5, b'{"a":' * 10**5, b"[" * 10**5 + b"]" * 10**5):
        assert [e.stage for e in read_otlp(io.BytesIO(deep)).errors] in (["line"], ["document"])
    monkeypatch.setattr("recsketch.capture.otlp.sources.MOST", 1000)
    good = json.dumps(GOOD).encode()
    for size in (1000, 1001, 1002, 2001, 2002, 2003, 5000):
        found = read_otlp(io.BytesIO(b"\n".join([good, b"x" * size, good.replace(b"2", b"4", 1), b"y" * size])))
        assert [e.row for e in found.errors] == [2, 4], size
        assert len(found.runs) == 2


def mutated(x: Any, rng: np.random.Generator) -> Any:
    """A document with one value somewhere in it replaced, dropped or moved."""
    x = copy.deepcopy(x)
    at = x
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return x
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(at[key], (dict, list)) and at[key] and rng.random() < 0.8:
            at = at[key]
            continue
        junk = [None, 0, -1, 1e308, float("nan"), "", "x", [], {}, [[]], True, 2**64, "0" * 16, "a" * 10**4, {"a": {}}]
        if rng.random() < 0.2:
            del at[key]
        else:
            at[key] = junk[int(rng.integers(len(junk)))]
        return x


def test_random_damage() -> None:
    """3,000 mutants of documents: never anything but runs and records, and runs that were not touched stay as they are.

    Fixed seeds: nothing here fails by chance.
    """
    rng = np.random.default_rng(7)
    documents = [*shop_traces(10, seed=1), *agent_traces(10, seed=1)]
    whole = read_otlp(documents)
    for _ in range(150):
        bad = [mutated(d, rng) for d in documents]
        found = read_otlp([*bad, GOOD])
        assert f"{2:032x}" in found.runs.ids.tolist()
        assert all(isinstance(e, RunError) and len(str(e)) < 1000 for e in found.errors)
    for i in range(20):
        for _ in range(7):
            bad = [*documents[:i], mutated(documents[i], rng), *documents[i + 1 :]]
            found = read_otlp(bad, attribute=whole.attribute)
            ids = found.runs.ids.tolist()
            for k, name in enumerate(whole.runs.ids.tolist()):
                if name != documents[i]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]:
                    assert found.runs[ids.index(name)] == whole.runs[k]


# ---------------------------------------------------------------- arguments


def test_arguments(tmp_path: Path) -> None:
    for source in (5, None, [5], {1, 2}, [[GOOD]]):
        with pytest.raises(TypeError, match="source"):
            read_otlp(source)
    with pytest.raises(FileNotFoundError):
        read_otlp(tmp_path / "none")
    for wrong, message in (
        ({"module": 5}, "module: wanted"),
        ({"module": ""}, "module: wanted"),
        ({"attribute": [1.0]}, "attribute: wanted SpanAttributes or a callable"),
        ({"edges": "parents"}, "edges: wanted"),
        ({"errors": "ignore"}, "errors: wanted"),
        ({"max_inputs": 0}, "max_inputs: wanted"),
        ({"max_inputs": 1.5}, "max_inputs: wanted"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            read_otlp(GOOD, **wrong)


def test_arguments_of_span_attributes() -> None:
    for wrong, message in (
        ({"dim": 0}, "dim: wanted"),
        ({"seed": -1}, "seed: wanted"),
        ({"modules": 5}, "modules: wanted"),
        ({"modules": {"": []}}, "modules: wanted"),
        ({"modules": {"a": ["token"]}}, "modules.*: wanted"),
        ({"modules": {"a": "tokens"}}, "modules.*: wanted"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            SpanAttributes(**wrong)
    assert SpanAttributes(modules={"a": ["embedding", "tokens"]}).modules == {"a": ("tokens", "embedding")}


def test_the_first_error_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"a\.jsonl:1: line: wanted JSON; got"):
        read_otlp(path, errors="raise")
    with pytest.raises(ValueError, match=r"edges: span .*cycle"):
        read_otlp(document(span(1, 1)), errors="raise")
    with pytest.raises(ValueError, match="document: wanted"):
        read_otlp({"a": 1}, errors="raise")
    assert len(read_otlp(GOOD, errors="raise").runs) == 1
