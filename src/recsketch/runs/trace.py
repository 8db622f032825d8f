"""One run of a modular network."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._check as _check
from recsketch._check import Floats

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs import drawing


class TraceObject(NamedTuple):
    """One use of a module: which, what it produced, from what, with what weights (as given)."""

    module: str
    attribute: Floats
    inputs: tuple[int, ...]
    weights: tuple[float, ...]


class Trace:
    """One run of a modular network: a DAG of objects, inputs first. Built in one thread at a time.

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
        """Add an object and return its number.

        Parameters
        ----------
        module : str
        attribute : array_like of shape (a,)
            What the module produced; kept as a float32 copy. a must be the module's length in the specification
            that will sketch it.
        inputs : sequence of int
            Numbers of objects added before; the same one may come twice.
        weights : sequence of float, optional
            Non-negative, one per input, of any scale up to 1e300, equal if not given. An input of weight zero leaves no
            mark.

        Raises
        ------
        TypeError, ValueError
            If an argument is not of that form; the trace is then unchanged.
        """
        if not isinstance(module, str) or module not in self._index:
            _check.module_name("module", module)
        if type(attribute) is np.ndarray and attribute.dtype == np.float32 and attribute.ndim == 1:
            x = attribute
        else:
            x = _check.floats("attribute", attribute, "a vector of numbers", (None,))
        if not x.size:
            raise ValueError("attribute: wanted at least one number; got none")
        number = len(self._module)
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
        """Say which objects are the network's outputs, with weights as in `add`. A second call replaces the first."""
        ids, shares = _tuple("outputs", objects, weights, len(self._module))
        if not ids:
            raise ValueError("outputs: wanted at least one object; got none")
        self._outputs, self._output_weights = array("i", ids), array("d", shares)

    def __len__(self) -> int:
        return len(self._module)

    def __copy__(self) -> Trace:
        import copy

        return copy.deepcopy(self)  # so that what is added to the one is not in the other

    @property
    def objects(self) -> tuple[TraceObject, ...]:
        """All objects, in the order they were added; attributes are read-only views of shape (a,), float32."""
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
        """The run as an indented text, outputs first, at most so many lines; shared objects appear at every use."""
        from recsketch.runs import drawing

        return "\n".join(drawing.text(self._drawing(), _check.integer("most", most, 1, 10**9)))

    def _drawing(self) -> drawing.Drawing:
        from recsketch.runs import drawing

        return drawing.Drawing(self.objects, self.output_ids, self.output_weights)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} objects, {len(self._outputs)} outputs>"

    def __str__(self) -> str:
        n, o = len(self), len(self._outputs)
        return f"Trace: {n} object{'s'[: n != 1]}, {o} output{'s'[: o != 1]}\n{self.tree()}".rstrip()

    def _repr_html_(self) -> str:
        n, o = len(self), len(self._outputs)
        from recsketch.runs import drawing

        head = f"<p>Trace: {n} object{'s'[: n != 1]}, {o} output{'s'[: o != 1]}</p>"
        return head + drawing.page(self._drawing(), 2000)


def _tuple(name: str, ids: Iterable[object], weights: object, before: int) -> tuple[list[int], list[float]]:
    if type(ids) not in (list, tuple) and (
        not isinstance(ids, Iterable)
        or isinstance(ids, (str, bytes, Set, Mapping))
        or (isinstance(ids, np.ndarray) and ids.ndim != 1)
    ):
        raise TypeError(f"{name}: wanted a sequence of numbers of objects; got {_check.describe(ids)}")
    members = [
        _check.integer(f"{name}[{i}]", x, 0, before - 1) if before else _none(name, x) for i, x in enumerate(ids)
    ]
    if weights is None:
        return members, [1.0] * len(members)
    shares = _check.reals("weights", weights, "non-negative numbers, one per input")
    what = f"{len(members)} non-negative numbers, one per input"
    if shares.shape != (len(members),):
        raise ValueError(f"weights: wanted {what}; got {_check.describe(shares)}")
    values = shares.astype(np.float64)
    if not values.size:
        return [], []
    if not 0 <= values.min() <= values.max() <= 1e300 / values.size:  # so that their sum is finite
        raise ValueError(f"weights: wanted {what}, 1e300 in all at most; got {_check.describe(weights)}")
    if not values.any():
        raise ValueError("weights: wanted at least one positive number; got zeros only")
    return members, values.tolist()


def _none(name: str, x: object) -> int:
    raise ValueError(f"{name}: wanted numbers of objects added before, and there are none; got {_check.describe(x)}")
