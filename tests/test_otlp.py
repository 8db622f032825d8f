"""Traces of OpenTelemetry become runs: hand-checked documents, real recordings, and the same run in every disguise."""

from __future__ import annotations

import base64
import copy
import gzip
import io
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from otlp_recordings import SHAPE, Recorder, document, recorded, shape, span

import recsketch as rs
from recsketch.capture.otlp import SpanAttributes, read_otlp
from recsketch.datasets import agent_traces, shop_traces

MS = 10**6  # nanoseconds

HAND = document(
    span(1, 0, "root", 1_700_000_000_000_000_000, 1_700_000_000_000_000_000 + 9 * MS),
    span(2, 1, "late", 1_700_000_000_004_000_000, 1_700_000_000_004_000_000 + 2 * MS, failed=True),
    span(3, 1, "early", 1_700_000_000_001_000_000, 1_700_000_000_001_000_000),
    span(4, 2, "leaf", 1_700_000_000_005_000_000, 1_700_000_000_005_000_000 + MS),
    span(5, 77, "orphan", 1_700_000_000_002_000_000, 1_700_000_000_002_000_000 + 3 * MS),
)


def test_a_document_checked_by_hand() -> None:
    """Children are inputs by start; the orphan is an output behind the root; ln(1 + microseconds), failed."""
    found = read_otlp(HAND)
    trace = rs.Trace()
    early = trace.add("early", [0.0, 0.0])
    leaf = trace.add("leaf", [math.log(1001), 0.0])
    late = trace.add("late", [math.log(2001), 1.0], [leaf])
    root = trace.add("root", [math.log(9001), 0.0], [early, late])
    orphan = trace.add("orphan", [math.log(3001), 0.0])
    trace.outputs([root, orphan])
    wanted = rs.TraceBatch.from_traces([trace], ids=[f"{1:032x}"], times=np.array(["2023-11-14T22:13:20"], "M8[us]"))
    assert found.runs == wanted
    assert found.errors == ()
    assert found.edges.spans == {"links": 0, "children": 2, "both": 0, "none": 3}
    assert found.edges.traces == {"links": 0, "children": 1, "both": 0, "none": 0}
    assert (found.edges.orphans, found.edges.elsewhere) == (1, 0)


# ---------------------------------------------------------------- the same runs in every disguise


def snake(x: Any) -> Any:
    if isinstance(x, list):
        return [snake(y) for y in x]
    if isinstance(x, dict):
        return {re.sub("([A-Z])", lambda m: "_" + m[1].lower(), key): snake(y) for key, y in x.items()}
    return x


def in_base64(x: Any) -> Any:
    if isinstance(x, list):
        return [in_base64(y) for y in x]
    if isinstance(x, dict):
        ids = {"traceId", "spanId", "parentSpanId"}
        code = lambda text: base64.b64encode(bytes.fromhex(text)).decode()  # noqa: E731
        return {key: code(y) if key in ids else in_base64(y) for key, y in x.items()}
    return x


def in_upper_case(x: Any) -> Any:
    return json.loads(re.sub('"([0-9a-f]{16,32})"', lambda m: m[0].upper(), json.dumps(x)))


def as_numbers(x: Any) -> Any:
    return json.loads(re.sub('(UnixNano": )"([0-9]+)"', r"\1\2", json.dumps(x)))


def spans_alone(x: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for group in x["resourceSpans"] for scope in group["scopeSpans"] for s in scope["spans"]]


DOCUMENTS = [HAND, *shop_traces(6, seed=3), *agent_traces(6, seed=3)]


@pytest.mark.parametrize("disguise", [snake, in_base64, in_upper_case, as_numbers, spans_alone])
def test_every_spelling_is_the_same(disguise: Any) -> None:
    plain = read_otlp(DOCUMENTS)
    assert not plain.errors
    found = read_otlp([d if isinstance(d, dict) else {"spans": d} for d in map(disguise, DOCUMENTS)])
    assert found.runs == plain.runs
    assert (found.errors, found.edges, found.attribute.modules) == ((), plain.edges, plain.attribute.modules)


def test_every_container_is_the_same(tmp_path: Path) -> None:
    plain = read_otlp(DOCUMENTS).runs
    lines = "\n".join(map(json.dumps, DOCUMENTS))
    folder = tmp_path / "traces"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").write_text("no JSON")
    (folder / "a.json").write_text(json.dumps(DOCUMENTS[:5], indent=2))
    (folder / "b.jsonl").write_text("\n\n".join(map(json.dumps, DOCUMENTS[5:9])) + "\n")
    (folder / "deep" / "c").write_bytes(gzip.compress("\n".join(map(json.dumps, DOCUMENTS[9:])).encode()))
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(lines.encode()))
    sources: list[Any] = [
        folder,
        str(packed),
        [folder / "deep" / "c", folder / "a.json", folder / "b.jsonl"],
        io.StringIO(lines),
        io.BytesIO(lines.encode()),
        iter(DOCUMENTS),
        {"resourceSpans": [group for d in DOCUMENTS for group in d["resourceSpans"]]},
    ]
    for source in sources:
        found = read_otlp(source)
        assert found.errors == ()
        assert found.runs == plain
    with open(packed, "rb") as file:
        assert read_otlp(file).runs == plain
        assert not file.closed


def test_order_and_files_change_nothing() -> None:
    """Spans of every trace, shuffled over documents. Twenty shuffles with fixed seeds; nothing here fails by chance."""
    plain = read_otlp(DOCUMENTS)
    spans = [s for d in DOCUMENTS for s in spans_alone(d)]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mixed = [spans[i] for i in rng.permutation(len(spans))]
        cuts = sorted(rng.integers(0, len(spans), 5).tolist())
        parts = [mixed[a:b] for a, b in itertools.pairwise([0, *cuts, len(spans)])]
        found = read_otlp([document(*part) for part in parts])
        assert found.runs == plain.runs
        assert found.edges == plain.edges


def test_orjson_is_no_other_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    orjson = pytest.importorskip("orjson")
    odd = [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        f'{{"a": {10**30}}}',
        "[" * 3000,
        '{"a": 1, "a": 2}',
        "{,}",
    ]
    lines = io.BytesIO("\n".join([*map(json.dumps, DOCUMENTS), *odd]).encode()).getvalue()
    fast = read_otlp(io.BytesIO(lines))
    monkeypatch.setitem(__import__("sys").modules, "orjson", None)
    slow = read_otlp(io.BytesIO(lines))
    assert orjson
    assert fast.runs == slow.runs
    assert fast.errors == slow.errors
    assert len(fast.errors) == len(odd)


# ---------------------------------------------------------------- recordings


@pytest.mark.parametrize("code", [True, False], ids=["base64", "hex"])
def test_recorded_calls(code: bool) -> None:
    """Nested spans, branches in parallel, a retry and an error, in documents of two spans out of order."""
    r = Recorder()
    root = recorded(r)
    other = r.call("alone")
    found = read_otlp(list(reversed(r.documents(base64=code, each=2))))
    assert found.errors == ()
    by_id = dict(zip(found.runs.ids.tolist(), found.runs, strict=True))
    run = by_id[f"{root.get_span_context().trace_id:032x}"]
    assert shape(run) == SHAPE
    flags = {o.module: o.attribute.tolist()[1] for o in run.objects}
    assert [name for name, flag in flags.items() if flag] == ["try.1"]
    # The clock ticks a millisecond at every start and end: root starts at tick 0 and ends at tick 15.
    durations = {o.module: o.attribute.tolist()[0] for o in run.objects}
    assert durations["root"] == np.float32(math.log1p(15_000))
    assert durations["try.1"] == np.float32(math.log1p(1_000))
    assert shape(by_id[f"{other.get_span_context().trace_id:032x}"]) == [("outputs", ["alone"]), ("alone", [])]
    assert found.runs.times[0] == np.datetime64(10**15, "us")


def test_a_recording_as_it_was_written() -> None:
    """opentelemetry-sdk 1.45 recorded it, and its exporter's encoder wrote it, identifiers in base64."""
    found = read_otlp(Path(__file__).parent / "recordings" / "sdk.jsonl")
    assert found.errors == ()
    assert shape(found.runs[0]) == SHAPE
    assert found.attribute.modules["right.leaf"] == ("tokens",)
    assert found.attribute.modules["left.leaf"] == ("embedding",)


def test_recorded_links() -> None:
    """A span with links is made from them; a consumer that links to its parent is made from it, and not it from him."""
    r = Recorder()
    outside = r.call("outside")
    root = r.start("root")
    a, b = r.call("a", root), r.call("b", root)
    joined = r.start("joined", root, links=(b, a, outside))
    r.call("inner", joined)
    r.end(joined)
    sent = r.call("sent", root)
    r.end(root)
    r.call("received", sent, links=(sent,))
    documents = r.documents()

    def run(edges: Any) -> Any:
        found = read_otlp(documents, edges=edges)
        assert found.errors == ()
        at = found.runs.ids.tolist().index(f"{root.get_span_context().trace_id:032x}")
        return found, dict(shape(found.runs[at]))

    found, auto = run("auto")
    assert auto["joined"] == ["b", "a"]
    assert auto["root"] == ["a", "b", "joined", "sent"]
    assert (auto["received"], auto["sent"]) == (["sent"], [])
    assert auto["outputs"] == ["root", "inner", "received"]
    assert found.edges.elsewhere == 1
    assert found.edges.spans == {"links": 2, "children": 1, "both": 0, "none": 5}
    assert found.edges.traces == {"links": 0, "children": 0, "both": 1, "none": 1}
    _, links = run("links")
    assert {key: x for key, x in links.items() if x and key != "outputs"} == {
        "joined": ["b", "a"],
        "received": ["sent"],
    }
    assert links["outputs"] == ["root", "joined", "inner", "received"]
    _, children = run("children")
    assert (children["joined"], children["sent"], children["outputs"]) == (["inner"], ["received"], ["root"])
    found, both = run("both")
    assert (both["joined"], both["sent"], both["outputs"]) == (["b", "a", "inner"], [], ["root", "received"])
    assert found.edges.spans == {"links": 1, "children": 1, "both": 1, "none": 5}


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces of MLflow itself, as dicts and as lines of JSON."""
    pytest.importorskip("mlflow")
    recorded = mlflow_traces(tmp_path, monkeypatch)
    lines = io.StringIO("\n".join(map(json.dumps, recorded)))
    for source in (recorded, lines):
        check_mlflow(source, recorded[0]["info"]["trace_id"][3:])


@pytest.mark.parametrize(
    ("name", "trace_id"),
    [("mlflow3.json", "794e82702a7b4f460b6c37fd7f917821"), ("mlflow2.json", "ba033480d4fe4ade79138c91f5056968")],
)
def test_mlflow_as_it_was_recorded(name: str, trace_id: str) -> None:
    """MLflow 3.17 and 2.22 wrote these; paths were taken out of them."""
    check_mlflow(Path(__file__).parent / "recordings" / name, trace_id)


def check_mlflow(source: Any, trace_id: str) -> None:
    found = read_otlp(source)
    assert found.errors == ()
    assert found.runs.ids.tolist() == [trace_id]
    assert shape(found.runs[0]) == [
        ("outputs", ["agent"]),
        ("agent", ["tool", "bad", "llm"]),
        ("bad", []),
        ("llm", []),
        ("tool", []),
    ]
    objects = {o.module: o.attribute for o in found.runs[0].objects}
    assert objects["bad"][1] == 1.0
    assert objects["agent"][1] == 0.0
    assert objects["llm"][2:].tolist() == np.log1p(np.float32([10, 5])).tolist()
    if not isinstance(source, io.StringIO):
        kinds = read_otlp(source, module="mlflow.spanType").runs
        assert set(kinds.names) == {"AGENT", "TOOL", "UNKNOWN", "LLM"}


def mlflow_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    import warnings

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        mlflow.set_tracking_uri(tmp_path.as_uri())
        mlflow.set_experiment("traces")

        @mlflow.trace(span_type="TOOL")
        def tool(x: int) -> int:
            return 2 * x

        @mlflow.trace
        def bad() -> None:
            raise ValueError("broken")

        @mlflow.trace(span_type="AGENT")
        def agent(question: int) -> int:
            answer: int = tool(question)
            with pytest.raises(ValueError, match="broken"):
                bad()
            with mlflow.start_span("llm", span_type="LLM") as s:
                s.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 10, "output_tokens": 5})
            return answer

        agent(3)
        return [mlflow.get_trace(mlflow.get_last_active_trace_id()).to_dict()]


# ---------------------------------------------------------------- modules and attributes


def test_modules_by_key_and_by_callable() -> None:
    shop = shop_traces(5, seed=1)
    assert set(read_otlp(shop, module="service.name").runs.names) <= {
        "front",
        "cart",
        "prices",
        "stock",
        "payment",
        "mail",
    }
    agent = agent_traces(5, seed=1)
    assert "LLM" in read_otlp(agent, module="openinference.span.kind").runs.names
    assert read_otlp(shop, module=lambda s: s.name.split(".")[0].split(" ")[0]).runs.names[0] in ("GET", "POST", "cart")
    missing = read_otlp([*shop, *agent], module="openinference.span.kind")
    assert len(missing.runs) == 5
    assert {e.stage for e in missing.errors} == {"module"}
    assert {e.run_id for e in missing.errors} == set(read_otlp(shop).runs.ids.tolist())


def test_a_callable_sees_the_span() -> None:
    given = {"a": 1, "b": [1.5, 2.5], "c": True, "d": "x"}
    made = document(span(7, 3, "n", 10**18, 10**18 + MS, attributes=given, failed=True), resource={"service.name": "z"})
    seen = []

    def attribute(s: Any) -> Any:
        seen.append((s.trace_id, s.span_id, s.parent_id, s.name, s.start, s.end, s.duration, s.failed))
        seen.append((s.attributes, s.resource))
        return [s.attributes["a"], *s.attributes["b"]]

    found = read_otlp(made, attribute=attribute)
    ids = (f"{1:032x}", f"{7:016x}", f"{3:016x}")
    assert seen == [(*ids, "n", 10**18, 10**18 + MS, 1e-3, True), (given, {"service.name": "z"})]
    assert found.runs.attributes.tolist() == [1.0, 1.5, 2.5]
    assert found.attribute is attribute


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "at least one number; got none"),
        ([math.nan], "finite"),
        ([1e39], "finite"),
        ("x", "a vector of numbers"),
        ([[1.0]], "a vector of numbers"),
        (None, "a vector of numbers"),
        (RuntimeError("oh"), "RuntimeError: oh"),
    ],
)
def test_what_a_callable_may_not_return(made: Any, message: str) -> None:
    def attribute(s: Any) -> Any:
        if s.trace_id != f"{1:032x}":
            return [1.0]
        if isinstance(made, Exception):
            raise made
        return made

    found = read_otlp([document(span(1, trace=2)), document(span(1))], attribute=attribute)
    assert found.runs.ids.tolist() == [f"{2:032x}"]
    (error,) = found.errors
    assert (error.run_id, error.row, error.stage) == (f"{1:032x}", 1, "attribute")
    assert message in error.message


def test_attributes_of_a_module_have_one_length() -> None:
    found = read_otlp([document(span(1)), document(span(1, trace=2))], attribute=lambda s: [1.0] * int(s.trace_id, 16))
    assert [e.message for e in found.errors] == ["attribute: wanted 1 numbers, as before for this module; got 2"]
    assert found.runs.modules == {"s": 1}


def test_tokens_and_embeddings() -> None:
    """Parts by module: zeros where a span of the module lacks them; projections by an independent path."""
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 40))
    key = "embedding.embeddings.{}.embedding.vector"
    spans = [
        span(1, 0, "llm", attributes={"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 3}),
        span(2, 1, "llm", attributes={"llm.token_count.completion": 7}),
        span(3, 1, "llm"),
        span(4, 1, "search", attributes={key.format(0): u.tolist(), key.format(1): v.tolist()}),
        span(5, 1, "search"),
    ]
    found = read_otlp(document(*spans), attribute=SpanAttributes(dim=8, seed=5))
    assert found.attribute.modules == {"llm": ("tokens",), "search": ("embedding",)}
    assert found.runs.modules == {"llm": 4, "search": 10}
    llm = [o.attribute.tolist()[2:] for o in found.runs[0].objects if o.module == "llm"]
    assert sorted(llm) == sorted(np.log1p(np.float32([[9, 3], [0, 7], [0, 0]])).tolist())
    search = [o.attribute for o in found.runs[0].objects if o.module == "search"]
    assert search[1][2:].tolist() == [0.0] * 8
    # The signs are the bits of Philox, from the lowest up, row by row.
    raw = np.random.Philox(key=5, counter=[0, 0, 0, 40]).random_raw(5).tolist()
    bits = [word >> i & 1 for word in raw for i in range(64)]
    p = np.array([1 - 2 * b for b in bits]).reshape(8, 40)
    wanted = p @ (u + v) / 2 / math.sqrt(8)
    # 40 products and sums in doubles, then one rounding to float32.
    assert np.all(np.abs(search[0][2:] - wanted) <= 2.0**-24 * np.abs(wanted) + 1e-13)


def test_frozen_parts_make_sources_alike() -> None:
    documents = agent_traces(40, seed=2)
    whole = read_otlp(documents)
    apart = [read_otlp(d, attribute=whole.attribute).runs for d in documents]
    assert [m for m in whole.attribute.modules.values() if m]
    for i, one in enumerate(apart):
        assert one[0] == whole.runs[i]
        assert one.modules.items() <= whole.runs.modules.items()


def test_runs_are_sketched_and_read_back() -> None:
    for documents in (shop_traces(30, seed=4), agent_traces(30, seed=4)):
        runs = read_otlp(documents).runs
        sketcher = rs.Sketcher(rs.SketchSpec.fitted(runs))
        found = sketcher.unroll(sketcher.sketch(runs))
        assert all(one.complete for one in found)
        assert [len(one.objects) for one in found] == np.diff(runs.objects).tolist()


# ---------------------------------------------------------------- an independent path


def by_recursion(spans: list[dict[str, Any]]) -> Any:
    """The run of a tree of spans as nested tuples, from the document alone."""
    kids: dict[str, list[dict[str, Any]]] = {}
    for s in spans:
        kids.setdefault(s["parentSpanId"], []).append(s)

    def told(s: dict[str, Any]) -> Any:
        below = sorted(kids.get(s["spanId"], []), key=lambda x: int(x["startTimeUnixNano"]))
        return s["name"], tuple(told(x) for x in below)

    return tuple(told(s) for s in sorted(kids.get("", []), key=lambda x: int(x["startTimeUnixNano"])))


def nested(trace: rs.Trace) -> Any:
    told: list[Any] = []
    for o in trace.objects:
        told.append((o.module, tuple(told[j] for j in o.inputs)))
    return tuple(told[j] for j in trace.output_ids)


def test_random_trees_by_recursion() -> None:
    """100 trees of up to 60 spans, starts all different, in random order. Fixed seeds: nothing fails by chance."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 60))
        starts = rng.permutation(10 * n) + 1
        spans = [
            span(i + 1, int(rng.integers(0, i + 1)) if i else 0, f"m{rng.integers(4)}", int(starts[i]), 10**6)
            for i in range(n)
        ]
        found = read_otlp(document(*(spans[i] for i in rng.permutation(n))))
        assert nested(found.runs[0]) == by_recursion(spans)


# ---------------------------------------------------------------- the demo's traces


@pytest.mark.parametrize("make", [shop_traces, agent_traces])
def test_made_traces_depend_on_the_seed_alone(make: Any) -> None:
    assert make(8, seed=5)[:3] == make(3, seed=5)
    assert make(3, seed=5) != make(3, seed=6)
    assert make(0, seed=0) == []
    found = read_otlp(make(60, seed=5))
    assert (found.errors, found.edges.orphans, len(found.runs)) == ((), 0, 60)
    assert found.runs == read_otlp(json.loads(json.dumps(make(60, seed=5)))).runs
    failed = [o.attribute[1] for t in found.runs for o in t.objects]
    assert 0 < sum(failed) < len(failed)
    with pytest.raises(TypeError, match="n: wanted an integer"):
        make(1.5, seed=0)
    with pytest.raises(ValueError, match="seed: wanted an integer"):
        make(1, seed=-1)


def test_the_shop_has_links_and_the_agent_retrieves() -> None:
    assert read_otlp(shop_traces(60, seed=5)).edges.spans["links"] > 5
    assert read_otlp(agent_traces(60, seed=5)).attribute.modules["retrieve"] == ("embedding",)
    assert copy.deepcopy(HAND) == HAND
