"""Recordings for the tests of `recsketch.capture.otlp`: made with the real SDKs, and documents written by hand."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest


def document(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    group: dict[str, Any] = {"scopeSpans": [{"spans": list(spans)}]}
    if resource is not None:
        group["resource"] = {"attributes": attributes(resource)}
    return {"resourceSpans": [group]}


def attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(x)} for key, x in given.items()]


def value(x: Any) -> dict[str, Any]:
    if isinstance(x, bool):
        return {"boolValue": x}
    if isinstance(x, int):
        return {"intValue": str(x)}
    if isinstance(x, float):
        return {"doubleValue": x}
    if isinstance(x, list):
        return {"arrayValue": {"values": [value(y) for y in x]}}
    return {"stringValue": x}


def span(number: int, parent: int = 0, name: str = "s", start: int = 1000, end: int = 2000, **more: Any) -> Any:
    """A span of trace 1 unless `trace` says otherwise; `links` are numbers of spans, or (trace, span)."""
    links = [x if isinstance(x, tuple) else (more.get("trace", 1), x) for x in more.get("links", ())]
    found: dict[str, Any] = {
        "traceId": f"{more.get('trace', 1):032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(end),
        "attributes": attributes(more.get("attributes", {})),
        "links": [{"traceId": f"{t:032x}", "spanId": f"{s:016x}"} for t, s in links],
    }
    if more.get("failed"):
        found["status"] = {"code": 2}
    return found


def shape(trace: Any) -> list[tuple[str, list[str]]]:
    """Modules of a run's outputs, and of every object's inputs, for runs whose spans have names of their own."""
    objects = trace.objects
    found = [(o.module, [objects[j].module for j in o.inputs]) for o in objects]
    return [("outputs", [objects[j].module for j in trace.output_ids]), *sorted(found)]


class Recorder:
    """The real opentelemetry-sdk, exporting as its OTLP exporter encodes, on a clock that the test sets."""

    def __init__(self) -> None:
        pytest.importorskip("opentelemetry.exporter.otlp.proto.common")
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource.create({"service.name": "tests"}))
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("tests")
        self.clock = itertools.count(10**18, 10**6)  # a tick of a millisecond at every start and end

    def start(self, name: str, parent: Any = None, links: tuple[Any, ...] = (), **given: Any) -> Any:
        from opentelemetry import trace

        context = trace.set_span_in_context(trace.INVALID_SPAN if parent is None else parent)
        linked = [trace.Link(x.get_span_context()) for x in links]
        return self.tracer.start_span(
            name, context, links=linked, attributes=given or None, start_time=next(self.clock)
        )

    def end(self, span: Any, failed: bool = False) -> None:
        from opentelemetry.trace import Status, StatusCode

        if failed:
            span.record_exception(ValueError("broken"))
            span.set_status(Status(StatusCode.ERROR, "broken"))
        span.end(next(self.clock))

    def call(
        self, name: str, parent: Any = None, links: tuple[Any, ...] = (), failed: bool = False, **given: Any
    ) -> Any:
        span = self.start(name, parent, links, **given)
        self.end(span, failed)
        return span

    def documents(self, *, base64: bool = False, each: int = 10**9) -> list[dict[str, Any]]:
        """What was ended so far, `each` spans a document: ids in hex as OTLP asks, or in base64 as protobuf writes."""
        from google.protobuf.json_format import MessageToDict
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        spans = self.exporter.get_finished_spans()
        found = [MessageToDict(encode_spans(spans[i : i + each])) for i in range(0, len(spans), each)]
        return found if base64 else [json.loads(json.dumps(d), object_hook=_hex) for d in found]


def _hex(found: dict[str, Any]) -> dict[str, Any]:
    import base64

    ids = {key: base64.b64decode(found[key]).hex() for key in ("traceId", "spanId", "parentSpanId") if key in found}
    return {**found, **ids}


def recorded(r: Recorder) -> Any:
    """Nested spans, branches in parallel, a retry, an error, and a consumer that links to its parent."""
    root = r.start("root")
    left, right = r.start("left", root), r.start("right", root)
    r.call("right.leaf", right, **{"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3})
    r.call("left.leaf", left, **{"embedding.embeddings.0.embedding.vector": [0.5, -1.0, 2.0]})
    r.end(right)
    r.end(left)
    r.call("try.1", root, failed=True)
    r.call("try.2", root)
    sent = r.call("sent", root)
    r.end(root)
    r.call("received", sent, links=(sent,))
    return root


SHAPE = [
    ("outputs", ["root", "received"]),
    ("left", ["left.leaf"]),
    ("left.leaf", []),
    ("received", ["sent"]),
    ("right", ["right.leaf"]),
    ("right.leaf", []),
    ("root", ["left", "right", "try.1", "try.2", "sent"]),
    ("sent", []),
    ("try.1", []),
    ("try.2", []),
]

if __name__ == "__main__":  # writes the fixture again, with the SDK that is installed
    import re
    from pathlib import Path

    recorder = Recorder()
    recorded(recorder)
    lines = [json.dumps(d) for d in recorder.documents(base64=True, each=4)]
    text = "\n".join(re.sub(r'Traceback[^"]*', "Traceback", line) for line in lines)
    (Path(__file__).parent / "recordings" / "sdk.jsonl").write_text(text + "\n", encoding="utf-8")
