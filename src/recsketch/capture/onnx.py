"""Runs of ONNX models: tensors of a graph are made outputs, and sessions of onnxruntime recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.runs.batch import TraceBatch
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

Reduce = Callable[["npt.NDArray[Any]"], "npt.NDArray[Any]"]

REDUCERS: dict[str, Reduce] = {
    "flatten": lambda x: x.reshape(-1),
    "token_mean": lambda x: x.reshape(-1, x.shape[-1]).mean(axis=0) if x.ndim else x.reshape(1),
    "spatial_mean": lambda x: x.reshape(x.shape[0], -1).mean(axis=1) if x.ndim else x.reshape(1),
}


class OnnxRecorder:
    """Runs a model in onnxruntime and records tensors of its graph: a tensor that is chosen is an object.

    An object's inputs are the chosen tensors that it is computed from with no other chosen one between, in the order in
    which the graph's nodes take them; that is a property of the graph, and the same for every run. The outputs of a run
    are the chosen tensors that no other one is computed from.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        It is not changed.
    modules : mapping of str to str, or sequence of str
        Tensors, by name or by a pattern of `fnmatch` (``"*/Relu_output_0"``), and the modules they are objects of; of a
        sequence each tensor is a module of its own name. The first pattern that fits counts. Tensors inside of the
        bodies of If, Loop and Scan are not to be had.
    reduce : {"token_mean", "spatial_mean", "flatten"} or callable, or a mapping of modules to these
        What makes an attribute of a tensor without its batch axis, which is the first: the mean over all axes but the
        last, over all but the first (channels), all numbers, or what a callable returns. Of a mapping, modules that it
        lacks have "token_mean".
    session : mapping, optional
        Keyword arguments of `onnxruntime.InferenceSession`, such as providers.

    Raises
    ------
    ImportError
        onnx or onnxruntime is missing: ``pip install "recsketch[onnx]"``.
    TypeError, ValueError
        An argument is not of that form, or a pattern fits no tensor.

    Notes
    -----
    Models whose bytes with all weights exceed 2 GB cannot be handed to onnxruntime this way. Cost: onnxruntime may no
    longer fuse nodes across a chosen tensor, and every chosen tensor is copied out.
    """

    def __init__(
        self,
        model: Any,
        modules: Mapping[str, str] | Sequence[str],
        *,
        reduce: str | Reduce | Mapping[str, str | Reduce] = "token_mean",
        session: Mapping[str, Any] | None = None,
    ) -> None:
        onnx, ort = _packages()
        proto = _loaded(onnx, model)
        patterns = _patterns(modules)
        self.tensors, self.inputs = _chosen(proto.graph, patterns)
        named = {module for _, module in self.tensors}
        self._reduce = {module: _reducer(reduce, module) for module in named}
        self.names = [x.name for x in proto.graph.output]
        added = [name for name, _ in self.tensors if name not in self.names]
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in added)
        self.model = proto
        self.session = ort.InferenceSession(proto.SerializeToString(), **(session or {}))
        self._traces: list[Trace] = []

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> list[Any]:
        """The model's own outputs for these inputs; every row of the batch is recorded as a run.

        Parameters
        ----------
        feeds : mapping of str to array
            As of `onnxruntime.InferenceSession.run`. The first axis of the first array is the batch.

        Raises
        ------
        ValueError
            A chosen tensor's first axis is not the batch, or an attribute is no vector of finite numbers. Nothing is
            recorded of this call.
        """
        if not isinstance(feeds, Mapping) or not feeds:
            raise TypeError(f"feeds: wanted a dict of arrays; got {_check.describe(feeds)}")
        first = np.asarray(next(iter(feeds.values())))
        if not first.ndim:
            raise ValueError("feeds: wanted arrays whose first axis is the batch; got a number")
        wanted = list(dict.fromkeys([*self.names, *(name for name, _ in self.tensors)]))
        found = dict(zip(wanted, self.session.run(wanted, dict(feeds)), strict=True))
        rows = len(first)
        for name, _ in self.tensors:
            shape = np.shape(found[name])
            if not shape or shape[0] != rows:
                what = f"tensor {_check.shown(name)}"
                raise ValueError(f"{what}: wanted a first axis of {rows}, the batch; got shape {shape}")
        self._traces += [self._trace(found, row) for row in range(rows)]
        return [found[name] for name in self.names]

    def _trace(self, found: Mapping[str, Any], row: int) -> Trace:
        trace = Trace()
        for (name, module), inputs in zip(self.tensors, self.inputs, strict=True):
            trace.add(module, self._reduce[module](np.asarray(found[name])[row]), inputs)
        used = {i for inputs in self.inputs for i in inputs}
        trace.outputs([i for i in range(len(self.tensors)) if i not in used])
        return trace

    def traces(self) -> list[Trace]:
        """The runs so far."""
        return list(self._traces)

    def batch(self) -> TraceBatch:
        """The runs so far, as a batch."""
        return TraceBatch.from_traces(self._traces)

    def __len__(self) -> int:
        return len(self._traces)

    def __repr__(self) -> str:
        tensors, runs = _check.count(len(self.tensors), "tensor"), _check.count(len(self), "run")
        return f"<OnnxRecorder of {tensors}, {runs}>"


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ImportError('OnnxRecorder needs onnx and onnxruntime: pip install "recsketch[onnx]"') from error
    return onnx, onnxruntime


def _loaded(onnx: Any, model: Any) -> Any:
    """A copy of the model."""
    if isinstance(model, (bytes, bytearray)):
        return onnx.load_model_from_string(bytes(model))
    if isinstance(model, (str, os.PathLike)):
        return onnx.load(_check.path("model", model))
    if isinstance(model, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    raise TypeError(f"model: wanted a path, bytes or an onnx.ModelProto; got {_check.describe(model)}")


def _patterns(modules: object) -> dict[str, str]:
    if isinstance(modules, Mapping):
        found = dict(modules)
    else:
        found = dict.fromkeys(_check.members("modules", modules, "tensors, or a dict of tensors and modules"), "")
    if not found:
        raise ValueError("modules: wanted at least one tensor; got none")
    for pattern, module in found.items():
        _check.module_name("modules", pattern)
        if module != "":
            _check.module_name(f"modules[{_check.shown(pattern)}]", module)
    return found


def _reducer(reduce: Any, module: str) -> Reduce:
    chosen = reduce.get(module, "token_mean") if isinstance(reduce, Mapping) else reduce
    if callable(chosen):
        return chosen  # type: ignore[no-any-return]
    return REDUCERS[_check.choice("reduce", chosen, REDUCERS)]


def _chosen(graph: Any, patterns: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[list[int]]]:
    """Chosen tensors and their modules in the order of the nodes, and the numbers of those each is computed from."""
    tensors: list[tuple[str, str]] = []
    inputs: list[list[int]] = []
    sources: dict[str, list[int]] = {}  # of every tensor the chosen ones it is computed from, itself if it is one
    fitted: set[str] = set()

    def made(name: str, of: list[int]) -> None:
        if not name:  # an output that nobody wants, whose name is also that of inputs that are not given
            return
        pattern = next((p for p in patterns if fnmatchcase(name, p) or name == p), None)
        if pattern is None:
            sources[name] = of
            return
        fitted.add(pattern)
        sources[name] = [len(tensors)]
        tensors.append((name, patterns[pattern] or name))
        inputs.append(of)

    weights = {x.name for x in graph.initializer}
    for x in graph.input:
        if x.name not in weights:
            made(x.name, [])
    for node in graph.node:
        of = list(dict.fromkeys(i for name in _taken(node) for i in sources.get(name, ())))
        for name in node.output:
            made(name, of)
    missing = [p for p in patterns if p not in fitted]
    if missing:
        raise ValueError(f"modules: wanted names or patterns of tensors of the graph; got {_check.listed(missing)}")
    return tensors, inputs


def _taken(node: Any) -> Iterator[str]:
    """The tensors that a node takes, those that the bodies of If, Loop and Scan take from around them too."""
    yield from node.input
    for attribute in node.attribute:
        for body in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            own = {x.name for x in (*body.input, *body.initializer)}
            for inner in body.node:
                yield from (name for name in _taken(inner) if name not in own)
                own.update(inner.output)
            yield from (x.name for x in body.output if x.name not in own)
