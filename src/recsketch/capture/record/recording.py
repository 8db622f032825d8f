"""What is recorded: runs, and the calls that are in progress in each context."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
from recsketch.capture.problems import RunError
from recsketch.capture.record.provenance import Provenance
from recsketch.runs.batch import TraceBatch
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    from types import TracebackType

    import numpy.typing as npt


class ProvenanceWarning(UserWarning):
    """Which call an argument came from cannot be known for sure: `inputs=` of `recsketch.module` says it."""


class Call(NamedTuple):
    """A recorded call, as `Recording.calls` lists it and `inputs=` takes it."""

    module: str
    number: int
    run: Run


class Frame:
    """A call in progress, or a run as a whole: what was called from it and not used by another call from it."""

    __slots__ = ("above", "inputs", "loose", "open", "run", "sources", "start")

    def __init__(self, run: Run, above: Frame | None, sources: list[int], given: bool) -> None:
        self.run, self.above, self.sources = run, above, sources
        self.inputs = given  # whether the sources are all inputs there are
        self.loose: dict[int, int] = {}  # objects, and when their calls started
        self.start = next(run.starts)
        self.open = True
        with run.lock:
            run.active += 1

    def within(self, other: Frame) -> bool:
        frame: Frame | None = self
        while frame is not None and frame is not other:
            frame = frame.above
        return frame is not None

    def close(self) -> None:
        """What is still loose goes up."""
        with self.run.lock:
            self.open = False
            self.run.active -= 1
            if self.loose:
                up = self.outer()
                up.loose |= self.loose
                for number in self.loose:
                    self.run.owners[number] = up
                self.loose = {}

    def outer(self) -> Frame:
        """The call that this one was made from, or, where it has returned already, the next one up."""
        up = self.above or self.run.root
        while not up.open and up.above is not None:
            up = up.above
        return up


NOW: ContextVar[Frame | None] = ContextVar("recsketch.capture.record", default=None)
"""The call in progress in this thread and task."""


class Run:
    """A run while it is recorded."""

    def __init__(self, recording: Recording, name: str | None) -> None:
        self.recording, self.name = recording, name
        self.number = next(recording.numbers)
        self.began = time.time_ns()
        self.trace = Trace()
        self.provenance = Provenance()
        self.starts = count()
        self.owners: list[Frame] = []  # of every object the call that it was called from
        self.modules: list[str] = []
        self.lock = threading.Lock()
        self.active = -1  # calls in progress: not the run itself
        self.open = True
        self.root = Frame(self, None, [], False)

    def enter(self, module: str, above: Frame, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Frame:
        """A call begins."""
        sources: list[int] = []
        try:
            if inputs is None:
                sources, doubts = self.provenance.sources((*args, *kwargs.values()) if kwargs else args)
                for kind, what in doubts:
                    self.recording.doubt(module, kind, what)
            else:
                sources = self._named(inputs(*args, **kwargs))
        except ProvenanceWarning:
            raise
        except Exception as error:
            self.failed("inputs", module, error)
        return Frame(self, above, sources, inputs is not None)

    def _named(self, given: Any) -> list[int]:
        """The calls that `inputs=` names, by themselves or by objects that they returned."""
        found: list[int] = []
        for x in _check.members("inputs", given, "an iterable of calls, or of objects that calls returned"):
            known = x if isinstance(x, Call) else self.provenance.found(x)
            if known is None or (isinstance(known, Call) and known.run is not self):
                wanted = "calls of this run, or objects that they returned"
                raise ValueError(f"inputs: wanted {wanted}; got {_check.describe(x)}")
            found.append(known.number)
        return found

    def leave(self, module: str, frame: Frame, made: Callable[[Any], Any], result: Any, fresh: bool) -> None:
        """A call has returned."""
        if not self.open:
            return
        token = NOW.set(None)  # what is called for an attribute is no part of the run
        try:
            vector = made(result)
            with self.lock:
                inputs = frame.sources
                if frame.loose and not frame.inputs:
                    inputs = list(dict.fromkeys(inputs + sorted(frame.loose, key=frame.loose.__getitem__)))
                number = self.trace.add(module, vector, inputs)
                self.modules.append(module)
                up = frame.outer()
                for n in inputs:
                    owner = self.owners[n]
                    if owner is up or frame.within(owner):
                        owner.loose.pop(n, None)
                self.owners.append(up)
                up.loose[number] = frame.start
                large = self.provenance.label(
                    result, number, fresh, lambda n: n in inputs or self.owners[n].within(frame)
                )
        except Exception as error:
            self.failed("attribute", module, error)
        else:
            if large is not None:
                self.recording.doubt(module, "large", large)
        finally:
            NOW.reset(token)

    def failed(self, stage: str, module: str, error: Exception | str) -> None:
        """The run is left out, and no more of it recorded."""
        text = error if isinstance(error, str) else str(error)
        if isinstance(error, Exception) and "wanted" not in text:
            text = f"{type(error).__name__}: {text}"
        with self.lock:
            first, self.open = self.open, False
        if first:
            what = f"{_check.shown(module)}: " if module else ""
            message = what + _check.cut(text, 400)
            self.recording.errors.append(RunError(self.name, None, self.number, stage, message))

    def finish(self, error: BaseException | None) -> None:
        if error is not None and not (self.owners or self.active):
            pass  # nothing was to be recorded here
        elif error is not None:
            self.failed("run", "", f"ended by {type(error).__name__}: {_check.cut(str(error), 200)}")
        elif self.active:
            self.failed("run", "", f"wanted all calls to have returned when it ended; {self.active} had not")
        if self.open and self.owners:
            self.trace.outputs(sorted(self.root.loose, key=self.root.loose.__getitem__))
            self.recording.finished.append((self.number, self.name, self.began, self.trace))
        self.open = False
        self.provenance = Provenance()


class Recording:
    """What `record` gives: runs of functions that `module` marks, as they end.

    Attributes
    ----------
    errors : list of RunError
        Runs that are left out; `row` is the run's number. Stages: "attribute" (what `attribute=` made is no vector of
        finite numbers, or it raised), "inputs" (`inputs=` named something else than calls), "call" (a module returned a
        generator or something to be awaited), "run" (it ended by an exception, or with calls in progress).
    doubts : list of str
        Where an edge may be missing or another's; each was told by a `ProvenanceWarning` too.
    """

    def __init__(self) -> None:
        self.errors: list[RunError] = []
        self.doubts: list[str] = []
        self.finished: list[tuple[int, str | None, int, Trace]] = []
        self.numbers = count()
        self._told: set[tuple[str, str]] = set()
        self._whole: _RunContext | None = None

    def run(self, name: str | None = None) -> _RunContext:
        """A context in which calls belong to one run, called `name`; each thread and task may have its own.

        Raises
        ------
        TypeError
            `name` is no text.

        Examples
        --------
        >>> import recsketch as rs
        >>> double = rs.module("double")(lambda x: 2.0 * x)
        >>> with rs.record() as runs:
        ...     for name in ("a", "b"):
        ...         with runs.run(name):
        ...             y = double(double(3.0))
        >>> len(runs), runs.batch().ids.tolist()
        (2, ['a', 'b'])
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name: wanted a text; got {_check.describe(name)}")
        return _RunContext(self, name)

    def calls(self, module: str | None = None) -> list[Call]:
        """The calls that have returned in the run of this context, of one module or of all, for `inputs=`.

        Examples
        --------
        >>> import recsketch as rs
        >>> count = rs.module("count")(len)
        >>> total = rs.module("total", inputs=lambda *_: runs.calls("count"))(lambda a, b: a + b)
        >>> with rs.record() as runs:
        ...     y = total(count("abc"), count("de"))
        >>> print(runs.traces()[0])
        Trace: 3 objects, 1 output
        total [5]
        ├─ 0.50 count [3]
        └─ 0.50 count [2]
        """
        frame = NOW.get()
        if frame is None:
            return []
        found = [Call(name, number, frame.run) for number, name in enumerate(frame.run.modules)]
        return [call for call in found if module is None or call.module == module]

    def traces(self) -> list[Trace]:
        """The runs that have ended, in the order in which they began."""
        return [trace for _, _, _, trace in sorted(self.finished, key=lambda x: x[0])]

    def batch(self) -> TraceBatch:
        """The same as a batch, with the names they were given as ids, if any, and when they began as times."""
        runs = sorted(self.finished, key=lambda x: x[0])
        named = any(name is not None for _, name, _, _ in runs)
        times: npt.NDArray[Any] = np.array([began // 1000 for _, _, began, _ in runs], np.int64)
        return TraceBatch.from_traces(
            [trace for *_, trace in runs],
            ids=np.array([name or "" for _, name, _, _ in runs], np.str_) if named else None,
            times=times.view("datetime64[us]"),
        )

    def __len__(self) -> int:
        return len(self.finished)

    def __iter__(self) -> Iterator[Trace]:
        return iter(self.traces())

    def __repr__(self) -> str:
        return f"<Recording of {_check.count(len(self), 'run')}, {_check.count(len(self.errors), 'error')}>"

    def doubt(self, module: str, kind: str, what: str) -> None:
        """Tell of an origin that cannot be known, once for each module and kind of doubt."""
        if (module, kind) not in self._told:
            self._told.add((module, kind))
            self.doubts.append(f"{_check.shown(module)}: {what}: `inputs=` says what a call is made from")
            warnings.warn(self.doubts[-1], ProvenanceWarning, stacklevel=4)

    def __enter__(self) -> Recording:
        if self._whole is not None:
            raise RuntimeError("wanted a recording that has not been entered; got one that was: call record() again")
        self._whole = _RunContext(self, None)
        self._whole.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._whole is not None:
            self._whole.__exit__(kind, error, traceback)


class _RunContext:
    def __init__(self, recording: Recording, name: str | None) -> None:
        self.recording, self.name = recording, name
        self.run: Run | None = None
        self.token: Token[Frame | None]

    def __enter__(self) -> None:
        if self.run is not None:
            raise RuntimeError("wanted a run that has not been entered; got one that was: call run() again")
        self.run = Run(self.recording, self.name)
        self.token = NOW.set(self.run.root)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.run is not None:
            NOW.reset(self.token)
            self.run.finish(error)


def record() -> Recording:
    """Record what functions marked by `recsketch.module` do, as runs.

    ``with record() as runs:`` makes one run of all calls in its block that belong to this thread and task, and to the
    tasks they start; ``with runs.run(name):`` inside it makes a run of its own block. Calls of other threads and tasks
    are not recorded, unless they run in a copy of this context, as tasks and `asyncio.to_thread` do: such calls are
    part of the run.

    Every call of a module that returns is an object. Its inputs are the calls that its arguments came from, in the
    order of the arguments, and then the calls made from within it that no other call from within it has used. The
    outputs are the calls whose results no other call took. A call that raises is no object; what was called from within
    it belongs to the call around.

    An argument came from a call if it, or something in a list, tuple, set, dict (values) or dataclass that is the
    argument, is the very object the call returned, or one in a container that it returned. A result that is handed on
    comes from the call that returned it last. What is computed from a result outside of any module has no origin, nor
    have slices and views of arrays. Where an object's identity says nothing (None, small integers, constants and
    interned texts, cached results), no edge is made, a `ProvenanceWarning` is given once for each module, and
    `Recording.doubts` keeps it; `inputs=` of `module` says where it came from.

    Returns
    -------
    Recording
        Use it as a context manager, once.

    Notes
    -----
    Objects that cannot be referenced weakly (lists, dicts, numbers, texts) are held until the run ends. Cost: about 20
    microseconds a call and 2 for each member of containers among arguments and results, of which 10,000 are looked at;
    0.2 microseconds a call while nothing is recorded (docs/capture_record.md).

    Examples
    --------
    >>> import recsketch as rs
    >>> @rs.module("word", attribute=lambda w: [len(w)])
    ... def word(text):
    ...     return text.strip() + "."
    >>> @rs.module("line", attribute=lambda words: [len(words)])
    ... def line(words):
    ...     return list(words)
    >>> with rs.record() as runs:
    ...     found = line([word(" to"), word("be ")])
    >>> print(runs.traces()[0])
    Trace: 3 objects, 1 output
    line [2]
    ├─ 0.50 word [3]
    └─ 0.50 word [3]
    """
    return Recording()


def vector(result: Any) -> Any:
    """The attribute of a result unless `attribute=` says another: its numbers, in C order."""
    array = _check.reals("attribute", result, "numbers, or attribute= that makes them of a result")
    return array.reshape(-1)
