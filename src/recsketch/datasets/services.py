"""Traces as OpenTelemetry exports them, of a small shop of services and of an agent with tools: made, not recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

import recsketch._check as _check

MAX_TRACES = 1 << 20
START = 1_767_600_000 * 10**9  # 2026-01-05 08:00 UTC: the first trace; the others follow a minute apart
MINUTE = 60 * 10**9
WORDS = 24  # numbers of the agent's embeddings


def shop_traces(n: int, *, seed: int) -> list[dict[str, Any]]:
    """Traces of a shop: requests for a cart or an order, over services, a database and a queue.

    A cart is priced by calls in parallel. An order reserves stock, which is tried again after a failure, pays, which
    fails at times, and puts a message into a queue, whose consumer links to it. Trace i depends on the seed and i only.

    Parameters
    ----------
    n : int
        How many traces, 0 to 2**20.
    seed : int
        0 to 2**64 - 1.

    Returns
    -------
    list of dict
        Documents of OTLP JSON, one a trace: `json.dumps` of each is a line as the Collector writes it.

    Raises
    ------
    TypeError, ValueError
        `n` or `seed` is not an integer, or outside its range.

    Examples
    --------
    >>> from recsketch.capture.otlp import read_otlp
    >>> found = read_otlp(shop_traces(20, seed=1))
    >>> len(found.runs), found.errors, found.edges.orphans
    (20, (), 0)
    """
    return [_shop(_Trace(seed, 0, i)) for i in _numbers(n, seed)]


def agent_traces(n: int, *, seed: int) -> list[dict[str, Any]]:
    """Traces of an agent that answers by 1 to 6 steps, each a call of a language model, most of them with a tool.

    Calls of the model have token counts (OpenTelemetry's names), retrievals an embedding (OpenInference's names). Tools
    are searching, computing and fetching; fetching fails at times and is tried again.

    Parameters, results and errors are those of `shop_traces`.

    Examples
    --------
    >>> from recsketch.capture.otlp import read_otlp
    >>> found = read_otlp(agent_traces(20, seed=1))
    >>> found.attribute.modules["llm"], found.runs.modules["retrieve"]
    (('tokens',), 18)
    """
    return [_agent(_Trace(seed, 1, i)) for i in _numbers(n, seed)]


def _numbers(n: int, seed: int) -> range:
    _check.integer("seed", seed, 0, 2**64 - 1)
    return range(_check.integer("n", n, 0, MAX_TRACES))


class _Trace:
    """Spans of one trace by service, and a clock; every random choice is made here."""

    def __init__(self, seed: int, kind: int, number: int) -> None:
        self.rng = np.random.default_rng([seed, kind, number])
        self.id = self.rng.bytes(16).hex()
        self.now = START + number * MINUTE
        self.spans: dict[str, list[dict[str, Any]]] = {}

    def work(self, milliseconds: float) -> None:
        """Time passes, lognormal about so much."""
        self.now += int(milliseconds * 1e6 * self.rng.lognormal(0.0, 0.4))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def open(self, service: str, name: str, parent: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
        span: dict[str, Any] = {
            "traceId": self.id,
            "spanId": self.rng.bytes(8).hex(),
            "parentSpanId": "" if parent is None else parent["spanId"],
            "name": name,
            "kind": 1,
            "startTimeUnixNano": str(self.now),
            "attributes": [{"key": key.replace("__", "."), "value": _value(x)} for key, x in attributes.items()],
            "status": {},
        }
        self.spans.setdefault(service, []).append(span)
        return span

    def close(self, span: dict[str, Any], failed: bool = False) -> dict[str, Any]:
        span["endTimeUnixNano"] = str(self.now)
        if failed:
            span["status"] = {"code": 2, "message": "timed out"}
        return span

    def call(
        self, service: str, name: str, parent: dict[str, Any], ms: float, failed: bool = False, **attributes: Any
    ) -> dict[str, Any]:
        """A span with nothing inside."""
        span = self.open(service, name, parent, **attributes)
        self.work(ms)
        return self.close(span, failed)

    def document(self) -> dict[str, Any]:
        groups = [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "recsketch.datasets"}, "spans": spans}],
            }
            for service, spans in self.spans.items()
        ]
        return {"resourceSpans": groups}


def _value(x: Any) -> dict[str, Any]:
    if isinstance(x, str):
        return {"stringValue": x}
    if isinstance(x, int):
        return {"intValue": str(x)}
    if isinstance(x, list):
        return {"arrayValue": {"values": [_value(one) for one in x]}}
    return {"doubleValue": x}


def _shop(t: _Trace) -> dict[str, Any]:
    order = t.chance(0.4)
    root = t.open("front", "POST /order" if order else "GET /cart", http__request__method="POST" if order else "GET")
    t.work(0.5)
    cart = t.open("cart", "cart.get", root)
    t.call("cart", "db.query", cart, 2.0, db__system="postgresql")
    began, ends = t.now, []
    for _ in range(int(t.rng.integers(1, 5))):  # prices are asked for in parallel
        t.now = began
        price = t.open("prices", "price.get", cart)
        t.call("prices", "cache.get", price, 0.3)
        if t.chance(0.3):
            t.call("prices", "db.query", price, 3.0, db__system="postgresql")
        ends.append(int(t.close(price)["endTimeUnixNano"]))
    t.now = max(ends)
    t.close(cart)
    failed = False
    if order:
        for attempt in range(3):
            failed = t.chance(0.2)
            t.call("stock", "stock.reserve", root, 4.0, failed, http__request__resend_count=attempt)
            if not failed:
                break
        if not failed:
            failed = t.chance(0.05)
            t.call("payment", "payment.charge", root, 80.0, failed)
        if not failed:
            sent = t.call("front", "queue.publish", root, 0.4)
            t.close(root)
            t.work(20.0)
            consumed = t.open("mail", "queue.process", sent)
            consumed["links"] = [{"traceId": t.id, "spanId": sent["spanId"]}]
            t.work(30.0)
            t.close(consumed)
            return t.document()
    t.work(0.5)
    t.close(root, failed)
    return t.document()


def _agent(t: _Trace) -> dict[str, Any]:
    root = t.open("agent", "agent", openinference__span__kind="AGENT")
    said = int(t.rng.integers(20, 200))
    for step in range(int(t.rng.integers(1, 7))):
        here = t.open("agent", "step", root, openinference__span__kind="CHAIN")
        out = int(t.rng.lognormal(4.0, 0.7)) + 1
        t.call(
            "model",
            "llm",
            here,
            12.0 * out,
            openinference__span__kind="LLM",
            gen_ai__usage__input_tokens=said,
            gen_ai__usage__output_tokens=out,
        )
        said += out
        if step == 0 or t.chance(0.7):
            said += _tool(t, here)
        t.close(here)
    t.close(root)
    return t.document()


def _tool(t: _Trace, step: dict[str, Any]) -> int:
    """A tool's call, and how many tokens its answer has."""
    which = int(t.rng.integers(3))
    if which == 0:
        direction = t.rng.standard_normal(WORDS)
        vector = [round(x, 6) for x in (direction / np.linalg.norm(direction)).tolist()]
        found = t.call("search", "retrieve", step, 25.0, openinference__span__kind="RETRIEVER")
        found["attributes"].append({"key": "embedding.embeddings.0.embedding.vector", "value": _value(vector)})
    elif which == 1:
        t.call("agent", "compute", step, 1.5, openinference__span__kind="TOOL")
    else:
        for _ in range(2):
            failed = t.chance(0.25)
            t.call("agent", "fetch", step, 200.0, failed, openinference__span__kind="TOOL")
            if not failed:
                break
    return int(t.rng.integers(10, 300))
