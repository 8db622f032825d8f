"""A span as adapters see it, from any of the dialects: OTLP's JSON in either spelling, MLflow's of versions 2 and 3.

Identifiers are hex or base64, which their lengths tell apart; here they are bytes (of spans) and hex (of traces).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

import recsketch._check as _check

FAILED = (2, "STATUS_CODE_ERROR", "ERROR", "2")
LATEST = 1 << 63  # nanoseconds since 1970 that int64 holds: the year 2262
DEEPEST = 32  # levels of an attribute's value
DAMAGED = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What may come of values of wrong types."""


class Span:
    """A span, as callables given to `read_otlp` see it.

    Attributes
    ----------
    trace_id, span_id, parent_id : str
        In hex, lower case; `parent_id` is "" for a root.
    name : str
    start, end : int
        Nanoseconds since 1970, UTC.
    duration : float
        Seconds.
    failed : bool
        Whether the span's status is an error.
    attributes, resource : dict of str
        Its attributes, and those of what it ran in, as plain Python values. They are decoded when first asked for.
    """

    __slots__ = ("_attributes", "_raw", "_resource", "end", "failed", "key", "name", "parent", "start", "trace_id")

    def __init__(self, raw: dict[str, Any], trace_id: str, resource: Any = None) -> None:
        get = raw.get
        self.trace_id = trace_id
        context = raw
        if "context" in raw:  # MLflow 2, whose other names differ too
            context = raw["context"]
            parent, start, end = get("parent_id"), get("start_time"), get("end_time")
            status = get("status_code")
        else:
            parent = get("parentSpanId") or get("parent_span_id")
            start = get("startTimeUnixNano") or get("start_time_unix_nano")
            end = get("endTimeUnixNano") or get("end_time_unix_nano")
            status = (get("status") or {}).get("code")
        self.key = identifier("spanId", context.get("spanId") or context.get("span_id"), 8)
        self.parent = identifier("parentSpanId", parent, 8, zero=True) if parent else b""
        name = get("name")
        self.name = name if type(name) is str else str(_wrong("name", "a text", name))
        self.start = nanoseconds("startTimeUnixNano", start)
        self.end = nanoseconds("endTimeUnixNano", end)
        if self.end < self.start:
            _wrong("endTimeUnixNano", f"no time before the start, {self.start}", end)
        self.failed = status in FAILED
        self._raw = raw
        self._resource = resource
        self._attributes: dict[str, Any] | None = None

    @property
    def span_id(self) -> str:
        return self.key.hex()

    @property
    def parent_id(self) -> str:
        return self.parent.hex()

    @property
    def duration(self) -> float:
        return (self.end - self.start) * 1e-9

    @property
    def attributes(self) -> dict[str, Any]:
        if self._attributes is None:
            found = {key: plain(value) for key, value in self.raw_attributes().items()}
            coded = isinstance(self._raw.get("attributes"), dict)  # MLflow writes every value as a text of JSON
            self._attributes = {
                key: decoded(value) if coded or key.startswith("mlflow.") else value for key, value in found.items()
            }
        return self._attributes

    @property
    def resource(self) -> dict[str, Any]:
        given = self._resource or {}
        return {key: plain(value) for key, value in keyed(given.get("attributes")).items()}

    def raw_attributes(self) -> dict[str, Any]:
        """Attributes as they stand in the document, by their keys."""
        return keyed(self._raw.get("attributes"))

    def links(self) -> Iterator[tuple[str, bytes]]:
        """The trace and the span of each link."""
        for link in self._raw.get("links") or ():
            get = link.get("context", link).get
            trace = get("traceId") or get("trace_id")
            yield trace_id(trace), identifier("links: spanId", get("spanId") or get("span_id"), 8)

    def __repr__(self) -> str:
        return f"<Span {self.span_id} {_check.shown(self.name)} of trace {self.trace_id}, {self.duration:.3g} s>"


def keyed(attributes: Any) -> dict[str, Any]:
    """A list of {key, value}, or a dict, as a dict."""
    if not attributes:
        return {}
    if isinstance(attributes, dict):
        return attributes
    return {a["key"]: a.get("value") for a in attributes}


def plain(value: Any, level: int = 0) -> Any:
    """An OTLP value as Python writes it: {"intValue": "3"} is 3. What is no such dict stays as it is."""
    if not isinstance(value, dict):
        return value
    if level > DEEPEST:
        _wrong("attributes", f"at most {DEEPEST} levels", value)
    if not value:
        return None
    if len(value) == 1:
        ((kind, x),) = value.items()
        if kind in ("stringValue", "string_value", "boolValue", "bool_value"):
            return x
        if kind in ("intValue", "int_value"):
            return int(x)
        if kind in ("doubleValue", "double_value"):
            return float(x)
        if kind in ("arrayValue", "array_value"):
            return [plain(v, level + 1) for v in x.get("values") or ()]
        if kind in ("kvlistValue", "kvlist_value"):
            return {a["key"]: plain(a.get("value"), level + 1) for a in x.get("values") or ()}
        if kind in ("bytesValue", "bytes_value"):
            return base64.b64decode(x)
    return value


def decoded(value: Any) -> Any:
    """A text of JSON as what it says; anything else as it is."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def trace_id(x: Any) -> str:
    """A trace's identifier in hex; MLflow writes "tr-" before it."""
    return identifier("traceId", x[3:] if isinstance(x, str) and x.startswith("tr-") else x, 16).hex()


def identifier(name: str, x: Any, size: int, zero: bool = False) -> bytes:
    """`size` bytes from hex, "0x" and hex, or base64; those that are all zero stand for none: b"" if that may be."""
    try:
        if type(x) is not str:
            found = x if type(x) is bytes else b""
        elif len(x) == 2 * size:
            found = bytes.fromhex(x)
        elif x[:2] == "0x":
            found = bytes.fromhex(x[2:].zfill(2 * size))
        else:
            text = x.rstrip("=").translate(_STANDARD)
            found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if len(found) != size:
        _wrong(name, f"{size} bytes in hex or base64", x)
    if not any(found):
        if not zero:
            _wrong(name, "an identifier that is not all zeros", x)
        return b""
    return found


_STANDARD = str.maketrans("-_", "+/")  # base64 for URLs is base64 too


def nanoseconds(name: str, x: Any) -> int:
    """A time from a whole number or a text of digits."""
    if type(x) is str and x.isascii() and x.isdigit() and len(x) < 20:
        value = int(x)
    elif type(x) is int:
        value = x
    elif type(x) is float and x.is_integer():
        value = int(x)
    else:
        value = 0
    if not 0 < value < LATEST:
        _wrong(name, "nanoseconds since 1970, below 2**63", x)
    return value


def _wrong(name: str, wanted: str, x: Any) -> Any:
    raise ValueError(f"{name}: wanted {wanted}; got {_check.describe(x)}")


def described(error: BaseException) -> str:
    """An error as a message; those that are not of this package say of what kind they are."""
    text = _check.cut(str(error), 400)
    return text if "wanted" in text else f"{type(error).__name__}: {text}"


def spans_of(document: Any, level: int = 0) -> Iterator[tuple[Any, Any]]:
    """Spans of a document and their resources, not yet looked at.

    Raises
    ------
    ValueError
        The document is none that has spans.
    """
    if isinstance(document, list) and level < 2:
        for one in document:
            yield from spans_of(one, level + 1)
        return
    if not isinstance(document, Mapping):
        _wrong("document", "a dict of resourceSpans, or an MLflow trace", document)
    groups = document.get("resourceSpans", document.get("resource_spans"))
    if groups is not None:
        for group in groups:
            resource = group.get("resource")
            scopes = group.get("scopeSpans", group.get("scope_spans", group.get("instrumentationLibrarySpans")))
            for scope in scopes or ():
                for raw in scope.get("spans") or ():
                    yield raw, resource
    elif isinstance(document.get("data"), Mapping):  # MLflow: info and data
        for raw in document["data"].get("spans") or ():
            yield raw, None
    elif "spans" in document:
        for raw in document["spans"]:
            yield raw, None
    elif "spanId" in document or "span_id" in document or "context" in document:
        yield document, None
    elif document and not OTHERS & document.keys():
        wanted = "a dict of resourceSpans, or an MLflow trace"
        raise ValueError(f"document: wanted {wanted}; got a dict of {_check.listed(list(document))}")


OTHERS = {"resourceMetrics", "resource_metrics", "resourceLogs", "resource_logs", "resourceProfiles"}
"""Documents of other signals, which the Collector may write into the same file: they hold no runs."""
