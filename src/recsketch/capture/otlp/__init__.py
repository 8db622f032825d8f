"""Traces of OpenTelemetry, MLflow and OpenInference as runs: a span is an object, its calls are its inputs."""

from recsketch.capture.otlp.attributes import SpanAttributes
from recsketch.capture.otlp.read import OtlpRuns, read_otlp
from recsketch.capture.otlp.runs import Edges
from recsketch.capture.otlp.spans import Span

__all__ = ["Edges", "OtlpRuns", "Span", "SpanAttributes", "read_otlp"]
