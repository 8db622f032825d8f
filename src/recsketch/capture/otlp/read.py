"""Documents to runs: spans are gathered by trace, in whatever file and order they come, and become columns."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from math import log1p
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch.capture.otlp.attributes import SpanAttributes
from recsketch.capture.otlp.runs import EDGES, KINDS, Edges, Row, Run, built
from recsketch.capture.otlp.sources import Found, documents, parser
from recsketch.capture.otlp.spans import DAMAGED, Span, described, spans_of, trace_id
from recsketch.capture.problems import RunError
from recsketch.runs.batch import TraceBatch

if TYPE_CHECKING:
    import numpy.typing as npt

IN_ORDER = itemgetter(0, 1, 2, 3)  # start, end, identifier, parent


@dataclass(frozen=True, slots=True)
class OtlpRuns:
    """What `read_otlp` found.

    Attributes
    ----------
    runs : TraceBatch
        A run a trace, by time and then by id; `ids` are the trace ids in hex, `times` when the first span started.
    errors : tuple of RunError
        What is not among the runs. Stages: "file" (no JSON, a damaged gzip file), "line" (no JSON), "document" (JSON of
        something else), "span", "module", "attribute", "edges" (the run is left out), and "duplicate" (the run is
        there; of spans with one identifier it has the one that started first).
    edges : Edges
        What edges were taken from.
    attribute : SpanAttributes or callable
        What made the attributes: pass it on to read other sources alike.
    """

    runs: TraceBatch
    errors: tuple[RunError, ...]
    edges: Edges
    attribute: SpanAttributes | Callable[[Span], Any]

    def __repr__(self) -> str:
        sizes = ((len(self.runs), "run"), (len(self.errors), "error"), (len(self.runs.names), "module"))
        return f"<OtlpRuns of {', '.join(_check.count(n, what) for n, what in sizes)}>"


def read_otlp(
    source: Any,
    *,
    module: str | Callable[[Span], str] = "name",
    attribute: SpanAttributes | Callable[[Span], npt.ArrayLike] | None = None,
    edges: Literal["auto", "links", "children", "both"] = "auto",
    errors: Literal["record", "raise"] = "record",
    max_inputs: int = 256,
) -> OtlpRuns:
    """Runs from traces of OpenTelemetry or MLflow: a trace is a run, a span an object.

    Parameters
    ----------
    source : path, folder, open file, dict, or a list of those
        OTLP JSON, a document or one a line, as the Collector's file exporter writes it, in camelCase or snake_case; or
        MLflow's traces (`Trace.to_dict()`, `to_json()`). Files may be gzipped. Of a folder all files are read, but
        hidden ones, by name, those in folders too. Spans of a trace may lie in several files, in any order: that
        changes nothing of a run. Documents of metrics and logs are passed over.
    module : str or callable
        "name": the span's name. Any other text: the span's attribute of that key, or the resource's, such as
        "service.name" or "openinference.span.kind"; a span without it is an error. A callable gets a `Span`.
    attribute : SpanAttributes or callable, optional
        A callable gets a `Span` and returns a vector, one length a module. `SpanAttributes()` if not given.
    edges : {"auto", "links", "children", "both"}
        The inputs of a span: "children": its children, by start. "links": the spans its links name, in their order.
        "auto": the links of spans that have any, the children of others. "both": links, then children. Links to other
        traces are none. With links, a child that links to its parent is no input of it, since it says it is the other
        way round. The outputs are spans that are no inputs: roots first, then those whose parent is not there.
    errors : {"record", "raise"}
        "raise": a ValueError at the first error.
    max_inputs : int
        The most inputs of a span, and outputs of a run, 1 to 65536: wider runs are errors. 256 is what
        `Sketcher.unroll` looks for if not told otherwise.

    Returns
    -------
    OtlpRuns

    Raises
    ------
    OSError
        A file that was named cannot be read.
    TypeError, ValueError
        An argument is not of that form. What is wrong with data raises ValueError with `errors="raise"` only.

    Notes
    -----
    A run is whole or left out: one span that cannot be read leaves out its run, and says so. Spans that are in no file
    are not missed: their children are outputs.

    Cost: docs/capture_otlp.md has measured rates; orjson is used where it is installed. Memory: about 500 bytes a span,
    and the longest line.

    Examples
    --------
    >>> from recsketch.datasets import shop_traces
    >>> found = read_otlp(shop_traces(20, seed=1))
    >>> found
    <OtlpRuns of 20 runs, 0 errors, 10 modules>
    >>> print(found.runs[2].tree(5))
    0.50 POST /order [11.2 0]
    ├─ 0.20 cart.get [8.22 0]
    │  ├─ 0.33 db.query [7.85 0]
    │  ├─ 0.33 price.get [5.53 0]
    │  │  └─ 1.00 cache.get [5.53 0]
    ... (more than 5 lines)
    """
    reader = _Reader(
        _module(module),
        _attribute(attribute),
        _check.choice("edges", edges, EDGES),
        _check.choice("errors", errors, ("record", "raise")) == "raise",
        _check.integer("max_inputs", max_inputs, 1, 1 << 16),
    )
    try:
        for found in documents(source, parser()):
            reader.document(found)
        return reader.finished()
    except _Stop as stop:
        raise ValueError(str(stop)) from None


def _module(module: object) -> Callable[[Span], Any] | None:
    """What names a span's module; None: its own name."""
    if isinstance(module, str):
        if module == "name":
            return None
        key = _check.module_name("module", module)

        def chosen(span: Span) -> Any:
            for given in (span.attributes, span.resource):
                if key in given:
                    found = given[key]
                    return found if isinstance(found, str) else str(found)
            raise ValueError(f"module: wanted a span with the attribute {_check.shown(key)}; got one without")

        return chosen
    if not callable(module):
        raise TypeError(f'module: wanted "name", the key of an attribute or a callable; got {_check.describe(module)}')
    return module


def _attribute(attribute: object) -> SpanAttributes | Callable[[Span], Any]:
    if attribute is None:
        return SpanAttributes()
    if isinstance(attribute, SpanAttributes) or callable(attribute):
        return attribute
    wanted = "SpanAttributes or a callable that takes a span"
    raise TypeError(f"attribute: wanted {wanted}; got {_check.describe(attribute)}")


class _Stop(Exception):
    """The first error, where errors are to be raised."""


class _Reader:
    """Columns of all spans in the order they come, and the rows of every trace."""

    def __init__(
        self,
        module: Callable[[Span], Any] | None,
        attribute: SpanAttributes | Callable[[Span], Any],
        edges: str,
        strict: bool,
        most: int,
    ) -> None:
        self.choose, self.edges, self.strict, self.most = module, edges, strict, most
        self.attribute = attribute
        self.traces: dict[str, list[Row]] = {}  # by their ids in hex
        self.known: dict[str, tuple[str, list[Row]]] = {}  # by their ids as they are written
        self.left_out: set[str] = set()
        self.errors: list[RunError] = []
        self.names: dict[str, int] = {}
        self.places: list[tuple[str | None, int | None]] = []
        # columns
        self.place, self.module = array("q"), array("i")
        self.values: list[Any] = []  # of measured spans tokens and embeddings, of others their attributes
        self.lengths: dict[int, int] = {}  # of the attributes of each module, where a callable makes them
        self.base = array("d")  # log duration, failed

    # ------------------------------------------------------------ reading

    def document(self, found: Found) -> None:
        if found.stage:
            self._error(None, found.file, found.row, found.stage, found.document)
            return
        self.places.append((found.file, found.row))
        try:
            for raw, resource in spans_of(found.document):
                self._span(raw, resource)
        except DAMAGED as error:
            self._error(None, found.file, found.row, "document", described(error))

    def _span(self, raw: Any, resource: Any) -> None:
        run = None
        stage = "span"
        try:
            given = raw.get("traceId") or raw.get("trace_id") or raw["context"].get("trace_id")
            if type(given) is not str or given not in self.known:
                run = trace_id(given)
                self.known[given] = run, self.traces.setdefault(run, [])
            run, rows = self.known[given]
            span = Span(raw, run, resource)
            links = tuple(key if trace == run else b"" for trace, key in span.links())
            stage = "module"
            name = span.name if self.choose is None else self.choose(span)
            if name not in self.names:
                self.names[_check.module_name("module", name)] = len(self.names)
            module = self.names[name]
            stage = "attribute"
            made = self.attribute
            value = made.measured(span) if isinstance(made, SpanAttributes) else self._vector(module, made(span))
        except Exception as error:
            if isinstance(error, MemoryError) or (stage == "span" and not isinstance(error, DAMAGED)):
                raise
            if run is not None:
                self.left_out.add(run)
            self._error(run, *self.places[-1], stage, described(error))
            return
        rows.append(Row(span.start, span.end, span.key, span.parent, len(self.values), links))
        self.place.append(len(self.places) - 1)
        self.module.append(module)
        self.base.append(log1p((span.end - span.start) * 1e-3))
        self.base.append(span.failed)
        self.values.append(value)

    def _vector(self, module: int, made: Any) -> npt.NDArray[np.float32]:
        """What a callable made of a span, as a copy."""
        vector = _check.floats("attribute", made, "a vector of numbers", (None,)).copy()
        if not vector.size:
            raise ValueError("attribute: wanted at least one number; got none")
        if not _core.within(vector, np.inf):
            raise ValueError("attribute: wanted finite numbers that float32 can hold; got others")
        length = self.lengths.setdefault(module, vector.size)
        if vector.size != length:
            raise ValueError(f"attribute: wanted {length} numbers, as before for this module; got {vector.size}")
        return vector

    def _error(self, run: str | None, file: str | None, row: int | None, stage: str, message: str) -> None:
        error = RunError(run, file, row, stage, message)
        if self.strict:
            raise _Stop(str(error))
        self.errors.append(error)

    # ------------------------------------------------------------ runs

    def finished(self) -> OtlpRuns:
        times, ids, objects, outputs = array("q"), [], [0], [0]
        order, fan_in, inputs, tops = array("q"), array("q"), array("i"), array("i")
        spans, traces, orphans, elsewhere = [0, 0, 0, 0], dict.fromkeys(KINDS, 0), 0, 0
        for rows in self.traces.values():
            rows.sort(key=IN_ORDER)
        whole = [(rows[0].start, run) for run, rows in self.traces.items() if rows and run not in self.left_out]
        for start, run_id in sorted(whole):
            run = self._run(run_id, self.traces[run_id])
            if run is None:
                continue
            rows = self.traces[run_id]
            times.append(start // 1000)
            ids.append(run_id)
            order.extend([rows[i][4] for i in run.order])
            fan_in.extend(map(len, run.inputs))
            inputs.extend(chain.from_iterable(run.inputs))
            tops.extend(run.outputs)
            objects.append(len(order))
            outputs.append(len(tops))
            spans = [a + b for a, b in zip(spans, run.kinds, strict=True)]
            traces[_kind(run)] += 1
            orphans += run.orphans
            elsewhere += run.elsewhere
        numbers = np.frombuffer(order, np.int64) if order else np.zeros(0, np.int64)
        module = np.frombuffer(self.module, np.int32)[numbers] if order else np.zeros(0, np.int32)
        attribute_ends, attributes, attribute = self._attributes(numbers, module)
        present = np.unique(module)  # not those of runs that are left out
        names = list(self.names)
        batch = TraceBatch(
            names=[names[k] for k in present],
            objects=np.array(objects, np.int64),
            module=np.searchsorted(present, module).astype(np.int32),
            attribute_ends=attribute_ends,
            attributes=attributes,
            input_ends=_ends(np.array(fan_in, np.int64)),
            inputs=np.array(inputs, np.int32),
            weights=np.ones(len(inputs)),
            output_ends=np.array(outputs, np.int64),
            outputs=np.array(tops, np.int32),
            output_weights=np.ones(len(tops)),
            ids=np.array(ids, np.str_),
            times=np.array(times, np.int64).view("datetime64[us]"),
        )
        kinds = dict(zip(KINDS, spans, strict=True))
        return OtlpRuns(batch, tuple(self.errors), Edges(kinds, traces, orphans, elsewhere), attribute)

    def _run(self, run_id: str, rows: list[Row]) -> Run | None:
        if len({row[2] for row in rows}) < len(rows):
            first: dict[bytes, Row] = {}
            for row in rows:
                if first.setdefault(row.key, row) is not row:
                    wanted = "wanted each span once; got it again"
                    self._error(run_id, *self._place(row), "duplicate", f"span {row.key.hex()}: {wanted}")
            rows[:] = first.values()
        try:
            return built(rows, self.edges, self.most)
        except ValueError as error:
            self._error(run_id, *self._place(rows[0]), "edges", str(error))
            return None

    def _place(self, row: Row) -> tuple[str | None, int | None]:
        return self.places[self.place[row.number]]

    def _attributes(self, numbers: npt.NDArray[np.int64], module: npt.NDArray[np.int32]) -> tuple[Any, Any, Any]:
        """Ends and values of the attributes of these spans, and what would make them again."""
        made = self.attribute
        if not isinstance(made, SpanAttributes):
            vectors = [self.values[i] for i in numbers]
            ends = _ends(np.array([v.size for v in vectors], np.int64))
            return ends, np.concatenate([np.zeros(0, np.float32), *vectors]), made
        base = np.array(self.base).reshape(-1, 2)
        modules = dict(made.modules)
        columns: dict[int, npt.NDArray[np.float32]] = {}
        lengths = np.zeros(len(numbers), np.int64)
        names = list(self.names)
        for k in np.unique(module):
            own = np.flatnonzero(module == k)
            values = [self.values[i] for i in numbers[own]]
            modules.setdefault(names[k], made.parts(values))
            columns[k] = made.columns(base[numbers[own]], values, modules[names[k]])
            lengths[own] = columns[k].shape[1]
        ends = _ends(lengths)
        attributes = np.zeros(ends[-1], np.float32)
        for k, block in columns.items():
            own = np.flatnonzero(module == k)
            attributes[ends[own][:, None] + np.arange(block.shape[1])] = block
        return ends, attributes, SpanAttributes(dim=made.dim, seed=made.seed, modules=modules)


def _kind(run: Run) -> str:
    """What the edges of a run were taken from."""
    links, children, both, _ = run.kinds
    if both or (links and children):
        return "both"
    return "links" if links else "children" if children else "none"


def _ends(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
