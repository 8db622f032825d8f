"""Spans a second from lines of OTLP JSON to a TraceBatch, one thread, beside the parser alone: that of the standard
library, and orjson where it is installed.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import pytest
from figure import Figure
from machine import interleaved
from peers import optional

from recsketch.capture.otlp import read_otlp
from recsketch.datasets import agent_traces, shop_traces

RUNS = (20, 1000, 2000)  # by effort
ROUNDS = (1, 5, 9)
LEAST = 30_000  # spans a second


def as_exported(document: dict[str, Any]) -> dict[str, Any]:
    """With what instrumentation adds to every span, some 700 bytes, and no run is made of."""
    more = {
        "url.full": "https://shop.example/api/v2/carts/7b0c6c1e-7f43-4f0e-9d5c-3b1f0c8f6a11",
        "server.address": "cart-7d9c5b6f7c-x2x4z.shop.svc.cluster.local",
        "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "network.protocol.version": "1.1",
        "thread.name": "http-nio-8080-exec-4",
    }
    added = [{"key": key, "value": {"stringValue": x}} for key, x in more.items()]
    added.append({"key": "http.response.status_code", "value": {"intValue": "200"}})
    for group in document["resourceSpans"]:
        for span in group["scopeSpans"][0]["spans"]:
            span["attributes"] += added
    return document


def lines(documents: list[dict[str, Any]]) -> tuple[bytes, int]:
    spans = sum(len(group["scopeSpans"][0]["spans"]) for d in documents for group in d["resourceSpans"])
    return "\n".join(map(json.dumps, documents)).encode(), spans


def _parsed(loads: Callable[[bytes], Any], text: bytes) -> None:
    for line in io.BytesIO(text):
        loads(line)


def _read(text: bytes, orjson: bool) -> None:
    with mock.patch.dict(sys.modules, {} if orjson else {"orjson": None}):
        assert not read_otlp(io.BytesIO(text)).errors


def spans(effort: int) -> Iterator[Figure]:
    orjson = optional("orjson")
    n = RUNS[effort]
    kinds = {
        "shop": shop_traces(n, seed=1),
        "shop, spans as large as instrumentation makes them": [as_exported(d) for d in shop_traces(n, seed=1)],
        "agent, embeddings of 24": agent_traces(n, seed=1),
    }
    for kind, documents in kinds.items():
        text, count = lines(documents)
        work = {"json": partial(_read, text, False), "json.loads": partial(_parsed, json.loads, text)}
        if orjson:
            work |= {"orjson": partial(_read, text, True), "orjson.loads": partial(_parsed, orjson.loads, text)}
        t = interleaved(work, ROUNDS[effort])
        rate = {name: count / t[name].median for name in work}
        for parser in ("json", "orjson") if orjson else ("json",):
            alone = f"{parser}.loads"
            how = (
                f"{count:,} spans of {len(text) / count:.0f} bytes; {alone} alone {rate[alone]:,.0f}, "
                f"{t[alone] / t[parser]:.0%} of the time"
            )
            found = rate[parser]
            yield Figure(f"OTLP spans a second, {kind}, {parser}", f"≥ {LEAST}", f"{found:.0f}", how, found >= LEAST)


FIGURES = (spans,)


@pytest.mark.parametrize("make", [shop_traces, agent_traces], ids=["shop", "agent"])
def test_read_otlp(benchmark: Any, make: Any) -> None:
    text, count = lines(make(200, seed=1))
    benchmark.extra_info["spans"] = count
    benchmark(_read, text, True)
