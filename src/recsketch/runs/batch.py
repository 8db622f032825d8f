"""Many runs as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
import recsketch.runs.gathering as gathering
import recsketch.runs.labels as labels
from recsketch._check import Floats
from recsketch._files import File
from recsketch._values import alike
from recsketch.runs.gathering import packed
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

OPTIONAL = {"ids", "times"}
"""Columns that a batch may have or not."""


class TraceBatch:
    """Many runs as columns: what the C kernels read, what is stored, what costs nothing to slice or to send.

    Parameters
    ----------
    names : sequence of str
        Module names; `module` counts in them.
    objects : (n + 1,) int64
        Offsets of the traces' objects; N = objects[n].
    module : (N,) int32
    attribute_ends : (N + 1,) int64
        Offsets of the objects' attributes; A = attribute_ends[N].
    attributes : (A,) float32
    input_ends : (N + 1,) int64
        Offsets of the objects' inputs; E = input_ends[N].
    inputs : (E,) int32
        Object numbers within the trace, each smaller than that of the object it belongs to.
    weights : (E,) float64
        Non-negative, of any scale.
    output_ends : (n + 1,) int64
        Offsets of the traces' outputs.
    outputs, output_weights : int32 and float64
        The network's outputs and their weights.
    ids : (n,) str, optional
        What the runs are called, "" where a run is called nothing. At most 1,000 characters; one may come twice.
    times : (n,) datetime64[us], optional
        When the runs were, in UTC; NaT where that is not known. Other units are converted, datetimes taken too: those
        without a zone are UTC.

    Raises
    ------
    ValueError
        A column of another size, offsets that decrease or end elsewhere, a number of no name, a name twice, an id that
        UTF-8 cannot hold.
    TypeError
        Something that is no vector of such numbers: integers are not taken from floats.

    Notes
    -----
    Arrays of these types are taken as they are, without a copy, and must not change afterwards; others are converted.
    Offsets and sizes are checked here, the DAG, its weights and attributes when it is first used with a specification.

    Two batches are equal if they hold equal runs in the same order, with equal ids and times or both without them,
    however they number the modules; a batch has no hash, because its arrays may change.

    Cost: 4 bytes an attribute element, 20 an object, 12 an input, 28 a trace, 8 a time, and for every id four times as
    many bytes as the longest has characters. Checking takes a pass over the offsets. An index of one trace copies it, a
    slice of step one makes views and new offsets, any other index copies the traces. Slices keep ids and times; a
    single Trace has none.

    Examples
    --------
    >>> from recsketch import Trace, TraceBatch
    >>> trace = Trace()
    >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
    >>> batch = TraceBatch.from_traces([trace, trace])
    >>> len(batch), batch.attributes.tolist()
    (2, [1.0, 2.0, 1.0, 2.0])
    >>> named = TraceBatch.from_traces([trace, trace], ids=["monday", "tuesday"])
    >>> named[1:].ids.tolist()
    ['tuesday']
    """

    __array_ufunc__ = None  # so that an array compares with it as a whole, and not element by element
    __slots__ = (
        "attribute_ends",
        "attributes",
        "ids",
        "input_ends",
        "inputs",
        "module",
        "names",
        "objects",
        "output_ends",
        "output_weights",
        "outputs",
        "times",
        "weights",
    )

    names: tuple[str, ...]
    objects: npt.NDArray[np.int64]
    module: npt.NDArray[np.int32]
    attribute_ends: npt.NDArray[np.int64]
    attributes: Floats
    input_ends: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]
    output_ends: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.int32]
    output_weights: npt.NDArray[np.float64]
    ids: labels.Ids | None
    times: labels.Times | None

    def __init__(
        self,
        *,
        names: Sequence[str],
        objects: npt.ArrayLike,
        module: npt.ArrayLike,
        attribute_ends: npt.ArrayLike,
        attributes: npt.ArrayLike,
        input_ends: npt.ArrayLike,
        inputs: npt.ArrayLike,
        weights: npt.ArrayLike,
        output_ends: npt.ArrayLike,
        outputs: npt.ArrayLike,
        output_weights: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        times: npt.ArrayLike | Sequence[datetime | None] | None = None,
    ) -> None:
        given = _check.members("names", names, "a sequence of module names")
        self.names = tuple(_check.module_name("names", name) for name in given)
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"names: wanted each module once; got {_check.listed(self.names)}")
        self.module = _check.column("module", module, np.int32)
        n = self.module.size
        if n:
            low, high = int(self.module.min()), int(self.module.max())
            if low < 0 or high >= len(self.names):
                wanted = f"numbers of names, of which there are {len(self.names)}"
                raise ValueError(f"module: wanted {wanted}; got {low} to {high}")
        self.objects = _check.offsets("objects", objects, None, n)
        self.attributes = _check.column("attributes", attributes, np.float32)
        self.attribute_ends = _check.offsets("attribute_ends", attribute_ends, n + 1, self.attributes.size)
        self.inputs = _check.column("inputs", inputs, np.int32)
        self.weights = _check.column("weights", weights, np.float64, self.inputs.size)
        self.input_ends = _check.offsets("input_ends", input_ends, n + 1, self.inputs.size)
        self.outputs = _check.column("outputs", outputs, np.int32)
        self.output_weights = _check.column("output_weights", output_weights, np.float64, self.outputs.size)
        self.output_ends = _check.offsets("output_ends", output_ends, self.objects.size, self.outputs.size)
        self.ids = labels.ids(ids, len(self))
        self.times = labels.times(times, len(self))

    @property
    def modules(self) -> dict[str, int]:
        """Modules that are used, and the lengths of their attributes: what a specification for these traces needs.

        Raises
        ------
        ValueError
            If a module has attributes of different lengths.

        Notes
        -----
        Cost: a pass over the objects for every module.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
        >>> rs.TraceBatch.from_traces([trace]).modules
        {'eye': 2}
        """
        lengths = np.diff(self.attribute_ends)
        found = {}
        for k, name in enumerate(self.names):
            own = lengths[self.module == k]
            if own.size and own.min() != own.max():
                what = f"attributes of {_check.shown(name)}"
                raise ValueError(f"{what}: wanted one length; got {own.min()} to {own.max()}")
            if own.size:
                found[name] = int(own[0])
        return found

    @classmethod
    def from_traces(
        cls,
        traces: Iterable[Trace],
        *,
        ids: npt.ArrayLike | None = None,
        times: npt.ArrayLike | Sequence[datetime | None] | None = None,
    ) -> TraceBatch:
        """Columns of the given traces.

        Parameters
        ----------
        traces : iterable of Trace
            May be empty.
        ids : (n,) str, optional
        times : (n,) datetime64[us], optional
            As of TraceBatch.

        Raises
        ------
        TypeError
            `traces` is no iterable of Trace; the message says which element is not. Ids or times of another type.
        ValueError
            Another number of ids or times than of traces, an id that UTF-8 cannot hold.

        Notes
        -----
        Cost: a copy of the traces: 6 microseconds for a run of 4 objects, 21 for one of 84 (docs/figures.md).

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [1.0])])
        >>> rs.TraceBatch.from_traces([trace, trace])
        <TraceBatch of 2 traces, 2 objects, modules 'eye'>
        """
        batch = cls._of(**packed(_listed("traces", traces, "a list of traces")))
        batch.ids = labels.ids(ids, len(batch))
        batch.times = labels.times(times, len(batch))
        return batch

    @classmethod
    def concat(cls, batches: Iterable[TraceBatch]) -> TraceBatch:
        """The runs of all batches as one batch.

        Parameters
        ----------
        batches : iterable of TraceBatch
            May be empty.

        Returns
        -------
        TraceBatch
            Module names are united, in the order in which they first come. It has ids, and likewise times, if every
            batch that has runs has them, or where none has runs, every batch.

        Raises
        ------
        TypeError
            `batches` is no iterable of TraceBatch; the message says which element is not.

        Notes
        -----
        Cost: a copy of all columns.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [1.0])])
        >>> batch = rs.TraceBatch.from_traces([trace], ids=["a"])
        >>> rs.TraceBatch.concat([batch, batch]).ids.tolist()
        ['a', 'a']
        """
        found = _check.members("batches", batches, "a list of batches")
        for i, batch in enumerate(found):
            if not isinstance(batch, TraceBatch):
                raise TypeError(f"batches[{i}]: wanted a TraceBatch; got {_check.describe(batch)}")
        return cls._of(**gathering.joined(found))

    @classmethod
    def _of(cls, *, ids: labels.Ids | None = None, times: labels.Times | None = None, **columns: Any) -> TraceBatch:
        """From columns that are known to be right: checks would take longer than sketching one small run."""
        batch = object.__new__(cls)
        batch.ids, batch.times = ids, times
        for name, column in columns.items():
            setattr(batch, name, column)
        return batch

    def __len__(self) -> int:
        return self.objects.size - 1

    @overload
    def __getitem__(self, index: int) -> Trace: ...
    @overload
    def __getitem__(self, index: slice | list[Any] | npt.NDArray[Any]) -> TraceBatch: ...
    def __getitem__(self, index: int | slice | list[Any] | npt.NDArray[Any]) -> Trace | TraceBatch:
        picked = _check.picked(index, len(self))
        if isinstance(picked, int):
            return self._trace(picked)
        if isinstance(picked, slice):
            begin, end, step = picked.indices(len(self))
            if step == 1:
                return self._part(begin, max(begin, end))
            picked = np.arange(begin, end, step)
        return TraceBatch._of(**gathering.taken(self, picked))

    def __iter__(self) -> Iterator[Trace]:
        return (self._trace(i) for i in range(len(self)))

    def _part(self, begin: int, end: int) -> TraceBatch:
        """Traces [begin, end): views of the columns, and offsets moved to start at 0."""
        o = slice(self.objects[begin], self.objects[end])
        ends = slice(self.objects[begin], self.objects[end] + 1)
        out_ends = self.output_ends[begin : end + 1]
        attributes, inputs = self.attribute_ends[ends], self.input_ends[ends]
        return TraceBatch._of(
            names=self.names,
            objects=self.objects[begin : end + 1] - self.objects[begin],
            module=self.module[o],
            attribute_ends=attributes - attributes[0],
            attributes=self.attributes[attributes[0] : attributes[-1]],
            input_ends=inputs - inputs[0],
            inputs=self.inputs[inputs[0] : inputs[-1]],
            weights=self.weights[inputs[0] : inputs[-1]],
            output_ends=out_ends - out_ends[0],
            outputs=self.outputs[out_ends[0] : out_ends[-1]],
            output_weights=self.output_weights[out_ends[0] : out_ends[-1]],
            ids=None if self.ids is None else self.ids[begin:end],
            times=None if self.times is None else self.times[begin:end],
        )

    def _trace(self, i: int) -> Trace:
        part = self._part(i, i + 1)
        number, fan_in = np.arange(part.module.size), np.diff(part.input_ends)
        for what, x, end in (
            ("inputs", part.inputs, np.repeat(number, fan_in)),
            ("outputs", part.outputs, number.size),
        ):
            if np.any((x < 0) | (x >= end)):
                raise ValueError(
                    f"{what} of trace {i}: wanted numbers of objects of the trace, inputs first; got others"
                )
        trace = Trace()
        trace._index = {name: k for k, name in enumerate(self.names)}
        trace._module = array("i", part.module.tobytes())
        trace._lengths = array("q", np.diff(part.attribute_ends).tobytes())
        trace._attributes = bytearray(part.attributes.tobytes())
        trace._fan_in = array("q", fan_in.tobytes())
        trace._inputs = array("i", part.inputs.tobytes())
        trace._weights = array("d", part.weights.tobytes())
        trace._outputs = array("i", part.outputs.tobytes())
        trace._output_weights = array("d", part.output_weights.tobytes())
        return trace

    def save(self, path: File) -> None:
        """Write all columns to an .npz file, complete or not at all: the old file stays until the new one is done.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            Links are followed. The old file's mode is kept, and its group and owner where this user may set them.
            Pipes, devices, file objects and files of several names (hard links) are written in place, from memory, when
            all bytes are known.

        Raises
        ------
        OSError
            The file or its folder cannot be written. The old file is unchanged, unless it was written in place.
        TypeError, ValueError
            `path` is no file name.

        Notes
        -----
        Batches of the same columns make equal bytes; equal batches may number modules in another order. Cost: the
        columns' bytes are written and synced to the disk; the memory is that of a buffer, or of the whole file where it
        is written in place.

        Examples
        --------
        >>> from recsketch import Trace, TraceBatch
        >>> trace = Trace()
        >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
        >>> batch = TraceBatch.from_traces([trace, trace])
        >>> batch.save("traces.npz")
        >>> TraceBatch.load("traces.npz") == batch
        True
        """
        columns = {name: getattr(self, name) for name in self.__slots__ if name not in {"names", *OPTIONAL}}
        if self.ids is not None:
            columns["ids"] = labels.shortest(self.ids)
        if self.times is not None:
            columns["times"] = self.times.view(np.int64)
        _npz.save(path, {"names": np.array(self.names, np.str_), **columns})

    @classmethod
    def load(cls, path: File, *, mapped: bool = False) -> TraceBatch:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            What cannot be sought in, such as a pipe, is read into memory first.
        mapped : bool
            Leave the columns in the file, which is mapped into memory: of runs that are not looked at nothing is read
            but offsets and modules. The file must stay as it is, and its check sums are not compared.

        Raises
        ------
        ValueError
            Another, a damaged or a hostile file, or one of another format's version. Pickles are never read. `mapped`
            of what is no file on a disk.
        OSError
            The file cannot be read.
        TypeError
            `path` is no file name.

        Notes
        -----
        Every size that the file claims is compared with the bytes there are before anything is allocated. Cost: one
        pass over the bytes, and memory for them once (twice for a pipe).
        """

        def make(arrays: dict[str, Any]) -> TraceBatch:
            if "times" in arrays:
                arrays["times"] = _check.column("times", arrays["times"], np.int64).view(labels.MOMENT)
            return cls(names=_npz.texts("names", arrays.pop("names")), **arrays)

        if _check.flag("mapped", mapped):
            path = _check.path("path", path)
        return _npz.load(path, set(cls.__slots__) - OPTIONAL, "TraceBatch.save", make, OPTIONAL, mapped)

    def to_arrow(self) -> Any:
        """The runs as a pyarrow.Table, a row a run (docs/format.md, "Runs as tables"); of the extra `arrow`.

        Raises
        ------
        ImportError
            pyarrow is not installed.

        Notes
        -----
        Cost: ids and times are copied, the other columns are not. A batch also has `__arrow_c_stream__`, so that
        whatever takes Arrow's tables takes it as it is: `polars.DataFrame(batch)`.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
        >>> table = rs.TraceBatch.from_traces([trace], ids=["a"]).to_arrow()  # doctest: +SKIP
        >>> table["objects"].to_pylist()  # doctest: +SKIP
        [[{'module': 'eye', 'attribute': [1.0, 2.0], 'inputs': [], 'weights': []}]]
        """
        import recsketch.runs.arrow as arrow

        return arrow.table(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    @classmethod
    def from_arrow(cls, data: Any) -> TraceBatch:
        """The runs of a table, a row a run.

        Parameters
        ----------
        data : table
            Of pyarrow, pandas, polars or whatever has `__arrow_c_stream__`. It wants the columns `objects`, lists of
            structs of a `module` and an `attribute`, a list of numbers; and `outputs`, lists of numbers of objects.
            These may be there, too: in the structs `inputs` and `weights`, beside them `output_weights`, `run_id` and
            `time`. Where weights are missing or null they are one, where inputs are there are none. Lists may be of any
            kind, and numbers of any width. Other columns are not looked at.

        Raises
        ------
        ValueError, TypeError
            A column is missing or of another type, there is a null where a value is wanted, or the columns are no runs.
        ImportError
            pyarrow is not installed.

        Notes
        -----
        Moments without a zone are UTC. Cost: one pass over the columns, with no loop over runs; those that have the
        type of TraceBatch already, in one chunk, are not copied. A table that `to_arrow` made gives an equal batch.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
        >>> batch = rs.TraceBatch.from_traces([trace])
        >>> rs.TraceBatch.from_arrow(batch.to_arrow()) == batch  # doctest: +SKIP
        True
        """
        import recsketch.runs.arrow as arrow

        return arrow.batch([arrow.given(data)], cls)

    def to_parquet(self, path: File) -> None:
        """Write the runs to a Parquet file, a row a run, complete or not at all; of the extra `arrow`.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            As of `save`.

        Raises
        ------
        OSError
            As of `save`.
        ImportError
            pyarrow is not installed.

        Notes
        -----
        Row groups have at most 64 MiB before compression, pages a check sum. The columns are those of
        `to_arrow`, exact. Cost: about 260 MB/s on one core (benchmarks/test_speed_of_pipeline.py).

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [1.0, 2.0])])
        >>> batch = rs.TraceBatch.from_traces([trace])
        >>> batch.to_parquet("runs.parquet")  # doctest: +SKIP
        >>> rs.TraceBatch.from_parquet("runs.parquet") == batch  # doctest: +SKIP
        True
        """
        import recsketch.runs.parquet as parquet

        parquet.save(path, self)

    @classmethod
    def from_parquet(cls, path: File, groups: Sequence[int] | None = None) -> TraceBatch:
        """Read a Parquet file of runs, be it what `to_parquet` wrote or another of such columns.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
        groups : sequence of int, optional
            Numbers of row groups; all if not given.

        Raises
        ------
        ValueError, TypeError
            Another or a damaged file, columns that are not as `from_arrow` wants them, a row group that is not there.
        OSError
            The file cannot be read.
        ImportError
            pyarrow is not installed.

        Notes
        -----
        Cost: one pass over the row groups, about 360 MB/s on one core (benchmarks/test_speed_of_pipeline.py), and
        memory for them twice.
        """
        import recsketch.runs.parquet as parquet

        return parquet.load(path, cls, groups)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TraceBatch):
            return NotImplemented
        number = {name: k for k, name in enumerate(self.names)}
        here = np.array([number.get(name, -1) for name in other.names] or [-1], np.int32)
        columns = set(self.__slots__) - {"names", "module"}
        return alike(self.module, here[other.module]) and all(
            alike(getattr(self, c), getattr(other, c)) for c in columns
        )

    def __repr__(self) -> str:
        traces, objects = _check.count(len(self), "trace"), _check.count(self.module.size, "object")
        names = _check.listed(self.names)[1:-1] or "none"
        return f"<TraceBatch of {traces}, {objects}, modules {names}>"


def as_batch(traces: object, name: str = "traces") -> tuple[TraceBatch, bool]:
    """A Trace, a TraceBatch or an iterable of Trace as a batch, and whether it was a single trace."""
    if isinstance(traces, TraceBatch):
        return traces, False
    if isinstance(traces, Trace):
        return TraceBatch._of(**packed([traces])), True
    return TraceBatch._of(**packed(_listed(name, traces, "a Trace, a TraceBatch or a list of traces"))), False


def _listed(name: str, traces: object, what: str) -> list[Trace]:
    found = _check.members(name, traces, what)
    for i, trace in enumerate(found):
        if not isinstance(trace, Trace):
            raise TypeError(f"{name}[{i}]: wanted a Trace; got {_check.describe(trace)}")
    return found
