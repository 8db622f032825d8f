"""One run of a modular network."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
import recsketch._core as _core

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._files import File
    from recsketch.runs import drawing
    from recsketch.runs.objects import TraceObject

MAX_WEIGHTS = 1e300  # RSK_EWEIGHT: what the weights of one tuple may sum to


class Trace:
    """One run of a modular network: a DAG of objects, inputs first.

    A trace is built by `add` and `outputs`, by one thread at a time. Two traces are equal if they hold equal objects
    under the same numbers, and the same outputs; a trace can change, and therefore has no hash.

    Notes
    -----
    Cost: a trace keeps 4 bytes an attribute element, 20 bytes an object, and 12 bytes an input. `objects` makes a
    Python object of about 400 bytes for each once they are asked for.

    Examples
    --------
    >>> trace = Trace()
    >>> a = trace.add("char", [0.6, 0.8])
    >>> b = trace.add("char", [1.0, 0.0])
    >>> line = trace.add("line", [1.0, 2.0, 2.0], inputs=[a, b], weights=[2, 1])
    >>> trace.outputs([line])
    >>> print(trace)
    Trace: 3 objects, 1 output
    line [1 2 2]
    ├─ 0.67 char [0.6 0.8]
    └─ 0.33 char [1 0]
    """

    __array_ufunc__ = None  # so that an array compares with it as a whole, and not element by element
    __slots__ = (
        "_attributes",
        "_fan_in",
        "_index",
        "_inputs",
        "_lengths",
        "_module",
        "_objects",
        "_output_weights",
        "_outputs",
        "_weights",
    )

    def __init__(self) -> None:
        self._objects: tuple[TraceObject, ...] | None = None  # made when asked for
        self._index: dict[str, int] = {}  # module name -> its number in this trace
        self._module = array("i")
        self._lengths = array("q")
        self._attributes = bytearray()
        self._fan_in = array("q")
        self._inputs = array("i")
        self._weights = array("d")
        self._outputs = array("i")
        self._output_weights = array("d")

    def add(
        self,
        module: str,
        attribute: npt.ArrayLike,
        inputs: Sequence[int] | npt.NDArray[np.integer[Any]] = (),
        weights: Sequence[float] | npt.NDArray[Any] | None = None,
    ) -> int:
        """Add an object and return its number, counted from 0.

        Parameters
        ----------
        module : str
            Not empty, without NUL.
        attribute : array_like of shape (a,)
            What the module produced: finite numbers, kept as a float32 copy. a must be the module's length in the
            specification that will sketch it.
        inputs : sequence of int
            Numbers of objects added before; the same one may come twice.
        weights : sequence of float, optional
            Non-negative, one per input, some positive, summing to 1e300 at most; equal if not given. An input of weight
            zero leaves no mark.

        Returns
        -------
        int

        Raises
        ------
        TypeError, ValueError
            An argument is not of that form, or an attribute element is NaN, infinite or beyond float32 (3.4e38); the
            message names the element. The trace is then unchanged.

        Notes
        -----
        Cost: about a microsecond for a float32 vector and no inputs, three for other types, and half a microsecond an
        input.

        Examples
        --------
        >>> trace = Trace()
        >>> trace.add("char", [0.6, 0.8]), trace.add("line", [1.0], inputs=[0])
        (0, 1)
        >>> trace.add("char", [0.6, float("nan")])
        Traceback (most recent call last):
            ...
        ValueError: attribute[1] of object 2 ('char'): wanted a finite number that float32 can hold; got nan
        """
        if type(module) is not str or module not in self._index:
            module = _check.module_name("module", module)
        number = len(self._module)
        if type(attribute) is np.ndarray and attribute.dtype == np.float32 and attribute.ndim == 1:
            x = attribute if attribute.flags.aligned else attribute.copy()
        else:
            x = _check.floats("attribute", attribute, "a vector of numbers", (None,))
        if not x.size:
            raise ValueError("attribute: wanted at least one number; got none")
        if not _core.within(x, np.inf):
            i = int(np.flatnonzero(~np.isfinite(x))[0])
            raise ValueError(
                f"attribute[{i}] of object {number} ({_check.shown(module)}): wanted a finite number that float32 can "
                f"hold; got {np.asarray(attribute)[i]}"
            )
        leaf = weights is None and type(inputs) is tuple and not inputs
        ids, shares = ([], []) if leaf else _tuple("inputs", inputs, weights, number)
        self._objects = None
        self._module.append(self._index.setdefault(module, len(self._index)))
        self._lengths.append(x.size)
        self._attributes += x.tobytes()
        self._fan_in.append(len(ids))
        self._inputs.extend(ids)
        self._weights.extend(shares)
        return number

    def outputs(
        self,
        objects: Sequence[int] | npt.NDArray[np.integer[Any]],
        weights: Sequence[float] | npt.NDArray[Any] | None = None,
    ) -> None:
        """Say which objects are the network's outputs. A second call replaces the first.

        Parameters
        ----------
        objects : sequence of int
            Numbers of objects added before, at least one; the same one may come twice.
        weights : sequence of float, optional
            As of `add`.

        Raises
        ------
        TypeError, ValueError
            An argument is not of that form; the trace is then unchanged.

        Examples
        --------
        >>> trace = Trace()
        >>> trace.outputs([trace.add("eye", [1.0]), trace.add("eye", [2.0])], weights=[3, 1])
        >>> trace.output_ids, trace.output_weights
        ((0, 1), (3.0, 1.0))
        """
        ids, shares = _tuple("outputs", objects, weights, len(self._module))
        if not ids:
            raise ValueError("outputs: wanted at least one object; got none")
        self._outputs, self._output_weights = array("i", ids), array("d", shares)

    def __len__(self) -> int:
        return len(self._module)

    def __eq__(self, other: object) -> bool:
        from recsketch.runs.batch import TraceBatch

        if not isinstance(other, Trace):
            return NotImplemented
        return TraceBatch.from_traces([self]) == TraceBatch.from_traces([other])

    def __copy__(self) -> Trace:
        import copy

        return copy.deepcopy(self)  # so that what is added to the one is not in the other

    @property
    def objects(self) -> tuple[TraceObject, ...]:
        """All objects, in the order they were added; attributes are read-only views of shape (a,), float32.

        They are made when first asked for, about 2 microseconds each, and kept until the next `add`.
        """
        from recsketch.runs.objects import TraceObject

        if self._objects is not None:
            return self._objects
        names = tuple(self._index)
        values = np.frombuffer(bytes(self._attributes), np.float32)
        out, at, edge = [], 0, 0
        for module, length, fan_in in zip(self._module, self._lengths, self._fan_in, strict=True):
            edges = slice(edge, edge + fan_in)
            out.append(
                TraceObject(
                    names[module], values[at : at + length], tuple(self._inputs[edges]), tuple(self._weights[edges])
                )
            )
            at, edge = at + length, edge + fan_in
        self._objects = tuple(out)
        return self._objects

    @property
    def output_ids(self) -> tuple[int, ...]:
        """Numbers of the output objects."""
        return tuple(self._outputs)

    @property
    def output_weights(self) -> tuple[float, ...]:
        """Weights of the output objects, as given."""
        return tuple(self._output_weights)

    def tree(self, most: int = 60) -> str:
        """The run as an indented text, outputs first; shared objects appear at every use.

        Parameters
        ----------
        most : int
            Lines, at least 1. What is left out is told of in one line more.

        Raises
        ------
        ValueError, TypeError
            `most` is no integer from 1 to 10**9.

        Examples
        --------
        >>> trace = Trace()
        >>> eye = trace.add("eye", [1.0])
        >>> trace.outputs([trace.add("face", [2.0], inputs=[eye, eye])])
        >>> print(trace.tree(2))
        face [2]
        ├─ 0.50 eye [1]
        ... (more than 2 lines)
        """
        from recsketch.runs import drawing

        return "\n".join(drawing.text(self._drawing(), _check.integer("most", most, 1, 10**9)))

    def _drawing(self) -> drawing.Drawing:
        from recsketch.runs import drawing

        return drawing.Drawing(self.objects, self.output_ids, self.output_weights)

    def _size(self) -> str:
        return f"{_check.count(len(self), 'object')}, {_check.count(len(self._outputs), 'output')}"

    def __repr__(self) -> str:
        return f"<Trace of {self._size()}>"

    def __str__(self) -> str:
        return f"Trace: {self._size()}\n{self.tree()}".rstrip()

    def to_html(
        self, path: File | None = None, *, shapes: Mapping[str, tuple[int, int]] | None = None, most: int = 2000
    ) -> str:
        """The run drawn, shared objects once, and as a list that opens and closes.

        Parameters
        ----------
        path : str, os.PathLike or binary file object, optional
            Where to write it as a page, one file that fetches nothing.
        shapes : mapping from str to (int, int), optional
            Rows and columns of modules whose attributes are images.
        most : int
            Objects of the list, at least 1, each use counted. The drawing has 240 at most, and says so.

        Returns
        -------
        str
            A fragment without a script, as a notebook shows it: `_repr_html_` is the same without shapes.

        Raises
        ------
        ValueError, TypeError
            An argument is not of that form, or a module's attributes have another number of elements than its shape.

        Notes
        -----
        Cost: about 350 bytes an object drawn and 150 an object listed, and 7 kB of style.

        Examples
        --------
        >>> trace = Trace()
        >>> trace.outputs([trace.add("digit", [0.0, 1.0, 0.5, 0.0])])
        >>> page = trace.to_html(shapes={"digit": (2, 2)})
        >>> "<image" in page, "<script" in page
        (True, False)
        """
        from recsketch.runs import drawing

        head = f"<p>Trace: {self._size()}</p>"
        count = _check.integer("most", most, 1, 10**9)
        return drawing.save(path, "A run", drawing.page(self._drawing(), count, head=head, shapes=shapes))

    def _repr_html_(self) -> str:
        return self.to_html()


def _tuple(name: str, ids: object, weights: object, before: int) -> tuple[list[int], list[float]]:
    """Members of a tuple, numbers below `before`, and their weights, checked; `name` is the argument's."""
    plain = type(ids) is list or type(ids) is tuple  # They need no check, which would take as long as a few inputs do.
    given: Any = ids if plain else _check.members(name, ids, "a sequence of numbers of objects")
    if given and not before:
        raise ValueError(f"{name}: wanted numbers of objects, of which there are none yet; got {_check.describe(ids)}")
    members = [_check.integer(f"{name}[{i}]", x, 0, before - 1) for i, x in enumerate(given)]
    if weights is None:
        return members, [1.0] * len(members)
    what = f"{_check.count(len(members), 'non-negative number')}, one per input"
    shares = _check.reals("weights", weights, what)
    if shares.shape != (len(members),):
        raise ValueError(f"weights: wanted {what}; got {_check.describe(shares)}")
    values: list[float] = shares.astype(np.float64).tolist()
    total = sum(values)
    if not all(w >= 0.0 for w in values) or not total <= MAX_WEIGHTS:
        raise ValueError(f"weights: wanted {what}, {MAX_WEIGHTS:g} in all at most; got {_check.describe(weights)}")
    if values and not total:
        raise ValueError("weights: wanted at least one positive number; got zeros only")
    return members, values
