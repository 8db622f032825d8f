"""Records the calls of a model's modules as objects of runs, with edges by data flow."""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules import module as hooks
from torch.overrides import _get_current_function_mode, _pop_mode, _push_mode

import recsketch._check as _check
from recsketch.capture.torch.attributes import Attributes
from recsketch.capture.torch.columns import Run, batch_of
from recsketch.capture.torch.flow import NONE, UNSEEN, Calls, Flow
from recsketch.capture.torch.layout import ASTRAY, FREE, Layout, through
from recsketch.capture.torch.reducers import Reducer
from recsketch.capture.torch.structure import Structure
from recsketch.capture.torch.watch import Watch, swapped, tensors

if TYPE_CHECKING:
    from types import TracebackType

    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.trace import Trace

Mask = str | Callable[[Mapping[str, Any]], torch.Tensor]


class Call:
    """One call of a matched module: the calls that flowed into it, its attributes, and its rows of each sample."""

    __slots__ = ("here", "inputs", "module", "value")

    def __init__(self, module: str, inputs: Calls, value: torch.Tensor, here: torch.Tensor | None) -> None:
        self.module, self.inputs, self.value, self.here = module, inputs, value, here


class Recorder:
    """Records the runs of a PyTorch model: every call of a matched module is an object, its inputs follow the data.

    While it is entered, each call of the model with a batch of B samples becomes B runs. An object's inputs are the
    calls whose outputs flowed into its output: through residual branches, loops, shared modules, views, writes in place
    and indices. Calls from which nothing reaches the model's output are left out.

    Parameters
    ----------
    model : torch.nn.Module
        In eval or train mode, on any device. Its outputs and gradients are not changed.
    modules : str or sequence of str
        Patterns of names as `model.named_modules()` has them: ``*`` fits one level, ``**`` any number of them.
    reduce : str, callable, or mapping of patterns to these
        What an object keeps of the call's first floating-point output, as a vector a sample. "token_mean", "last_token"
        and "cls" take (B, tokens, features), the first two without padding; "spatial_mean" (B, channels, ...);
        "flatten" anything. Outputs (B, features) are kept as they are. A function gets the output as (B, ...) float32
        and the mask, (B, tokens) bool or None, and returns (B, length).
    dim : int or None
        Longer vectors are multiplied by a Gaussian matrix of variance 1 / dim, which the seed and their length fix.
    mask : str or callable, optional
        The argument of the model that is not zero where a token counts, or a function of all arguments, by name, that
        returns such a tensor (B, tokens). If not given, an argument ``attention_mask``, or the opposite of a boolean
        ``src_key_padding_mask``, is taken.
    batch_dim : int or mapping of patterns to int
        The dimension of the batch in the model's inputs, and in outputs where it cannot be followed. A mapping says so
        for modules, whatever was followed, and for the inputs under "".
    seed : int
        Of the projections.

    Raises
    ------
    TypeError
        A compiled or scripted model, matched modules inside a scripted one, or an argument of another type. During a
        run: the output of a matched call has no floating-point tensor.
    ValueError
        A pattern that fits nothing. During a run: no matched output reaches the model's; a matched output has the batch
        nowhere, or rows that were picked from it in a way not understood; a mask or a vector of another shape.

    Warns
    -----
    UserWarning
        Once for a module: an input was made outside PyTorch, and has no edge; the batch may be another dimension of the
        same size, or is not where the module's `batch_first` says; the mask does not fit the output.

    Notes
    -----
    Samples are followed from the inputs through PyTorch's functions: outputs with sequences first, B·T tokens as rows,
    and rows picked by a mixture of experts are read for what they are. An object that only some samples went through is
    in their runs alone, as the mean over each sample's own rows.

    Cost: some 15 microseconds for every function that Python calls in modules which have matched ones inside, and none
    in the others of `torch.nn`; 150 for a recorded call; one transfer to the host a run. Of a run 4 bytes a number of
    the reduced vectors are kept, and no activation. docs/capture_torch.md has figures.

    Threads do not mix: calls of other threads, and what a checkpoint computes again, are not recorded.

    Examples
    --------
    >>> import torch
    >>> import recsketch as rs
    >>> from recsketch.capture.torch import Recorder
    >>> class Residual(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.a, self.b, self.out = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 2)
    ...     def forward(self, x):
    ...         h = self.a(x)
    ...         return self.out(h + self.b(h.relu()))
    >>> model, x = Residual(), torch.randn(32, 8)
    >>> with Recorder(model, ["*"]) as r:
    ...     y = model(x)
    >>> r.batch()
    <TraceBatch of 32 traces, 96 objects, modules 'a', 'b', 'out'>
    >>> [(o.module, o.inputs) for o in r.traces()[0].objects]
    [('a', ()), ('b', (0,)), ('out', (0, 1))]
    >>> sketches = rs.Sketcher(rs.SketchSpec(512, r.modules)).sketch(r.batch())
    """

    def __init__(
        self,
        model: torch.nn.Module,
        modules: str | Sequence[str],
        *,
        reduce: Reducer | Mapping[str, Reducer] = "token_mean",
        dim: int | None = 32,
        mask: Mask | None = None,
        batch_dim: int | Mapping[str, int] = 0,
        seed: int = 0,
    ) -> None:
        self._structure = found = Structure(model, modules)
        self._model, self._signature = model, inspect.signature(model.forward)
        self._attributes = Attributes(list(found.names.values()), reduce, dim, mask, batch_dim, seed)
        self._dim = self._attributes.dim_of("")
        self._runs: list[Run] = []
        self._calls: list[Call] = []
        self._frames: list[tuple[torch.nn.Module, int, bool]] = []
        self._handles: list[Any] = []

    # ------------------------------------------------------------ recording

    def __enter__(self) -> Recorder:
        if self._handles:
            raise RuntimeError("Recorder: wanted one that is not recording; got one within its own `with`")
        self._flow, self._calls, self._frames, self._first = Flow(), [], [], 0
        self._thread = threading.get_ident()
        with torch._C.DisableTorchFunction():
            for m in self._structure.every:
                for t in tensors([v for k, v in vars(m).items() if k != "_modules"]):
                    self._flow.learn(t)
        self._watch = Watch(self._flow)
        self._handles = [  # global ones, because a module's own would turn fused paths of torch.nn off
            hooks.register_module_forward_pre_hook(self._before),
            hooks.register_module_forward_hook(self._after, with_kwargs=True, always_call=True),
            self._model.register_forward_pre_hook(self._begin, with_kwargs=True),
        ]
        self._stack = contextlib.ExitStack()
        if "torch._dynamo" in sys.modules:  # compiled functions that the model calls run as they are written
            self._stack.enter_context(torch.compiler.set_stance("force_eager"))
        self._stack.enter_context(self._watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if any(popped for _, _, popped in self._frames):  # KeyboardInterrupt inside a leaf runs no hook
            _push_mode(self._watch)
        self._stack.close()
        for h in self._handles:
            h.remove()
        self._handles, self._frames, self._calls = [], [], []
        del self._flow, self._watch, self._stack

    def _mine(self) -> bool:
        """Neither another thread's call nor a forward that a checkpoint runs again during backward."""
        return threading.get_ident() == self._thread and torch._C._current_graph_task_id() == -1

    def _begin(self, model: torch.nn.Module, args: Any, kwargs: Any) -> None:
        """A run begins: what flows in is known, and is of no call."""
        if not self._mine() or any(m is model for m, _, _ in self._frames[:-1]):
            return
        with torch._C.DisableTorchFunction():
            ins = tensors([args, kwargs])
            before = self._attributes.batch
            batch = self._attributes.begin(ins, self._signature.bind(*args, **kwargs).arguments)
            self._first += len(self._calls)
            self._calls = []
            self._flow.forget(batch == before)
            for m in self._structure.every:  # functional_call gives other parameters for one call
                for d in (m._parameters, m._buffers):
                    for t in d.values():
                        if t is not None and id(t) not in self._flow.known:
                            self._flow.learn(t)
            for t in ins:
                self._flow.put(t, NONE, self._layout_of_input(t, batch))
            if self._structure.nested and self._attributes.is_padded() and not torch.is_grad_enabled():
                what = "PyTorch's path of nested tensors is off while it is recorded"
                self._attributes.warn(
                    "TransformerEncoder", "nested", f"{what}: outputs at padding are not zero, as they are alone"
                )
        self._watch.running, self._watch.batch = True, batch

    def _layout_of_input(self, t: torch.Tensor, batch: int) -> Layout:
        if t.ndim > self._dim and t.shape[self._dim] == batch:
            return Layout(self._dim)
        return ASTRAY if batch in t.shape and batch > 1 else FREE

    def _before(self, module: torch.nn.Module, args: Any) -> None:
        leaf = module in self._structure.leaves
        watched = leaf or module in self._structure.names or module in self._structure.orders or module is self._model
        if not (watched or isinstance(module, torch.jit.ScriptModule)):
            return
        if not self._mine():
            return
        leaf = leaf and self._watch.running and _get_current_function_mode() is self._watch
        if leaf:
            _pop_mode()  # it runs as it would without a recorder
        self._frames.append((module, self._flow.clock, leaf))

    def _after(self, module: torch.nn.Module, args: Any, kwargs: Any, output: Any = None) -> Any:
        """After an exception PyTorch passes three arguments, so that there is no output."""
        if not self._mine() or not any(m is module for m, _, _ in self._frames):
            return None
        while True:  # frames above are of calls that an exception has left
            m, clock, leaf = self._frames.pop()
            if leaf:
                _push_mode(self._watch)
            if m is module:
                break
        root = module is self._model and not any(m is module for m, _, _ in self._frames)
        if root:
            self._watch.running, running = False, self._watch.running
        else:
            running = self._watch.running
        if output is None or not running:
            return None
        with torch._C.DisableTorchFunction():
            outs = tensors(output)
            if module in self._structure.orders:
                self._check_order(module, tensors([args, kwargs]))
            if leaf or isinstance(module, torch.jit.ScriptModule):
                self._pass(module, tensors([args, kwargs]), outs, leaf)
            if module in self._structure.names and outs:
                output = self._record(self._structure.names[module], outs, output, clock)
            if root:
                self._end(tensors(output))
        return output

    def _check_order(self, module: torch.nn.Module, ins: list[torch.Tensor]) -> None:
        """Where a module gets the batch elsewhere than it says, the model's inputs may have it elsewhere, too."""
        want = 0 if self._structure.orders[module] else 1
        t = next((t for t in ins if t.ndim == 3), None)
        k = self._flow.get(t) if t is not None else None
        if k is not None and self._watch.batch > 1 and k.layout.axis in (0, 1) and k.layout.axis != want:
            name, flag = self._structure.name_of(module), self._structure.orders[module]
            says = f"batch_first={flag}, but the batch of the model's inputs is in dimension {k.layout.axis}"
            self._attributes.warn(name, "order", f"{says} here: say batch_dim if it is another dimension of theirs")

    def _pass(self, module: torch.nn.Module, ins: list[torch.Tensor], outs: list[torch.Tensor], leaf: bool) -> None:
        """The module as one function of its inputs, and of what it holds where it is a leaf."""
        flow = self._flow
        held = (
            [t for d in self._structure.leaves[module] for t in d.values() if t is not None and id(t) in flow.known]
            if leaf
            else []
        )
        old = {id(t) for t in ins}
        new = [t for t in outs if id(t) not in old and (leaf or flow.get(t) is None)]
        layouts = [(t, k.layout if (k := flow.get(t)) is not None else ASTRAY) for t in ins]
        lay = dict(zip(map(id, new), through(module, layouts, new), strict=True))
        flow.op(ins + held, new, lambda t, s: lay[id(t)])

    def _record(self, name: str, outs: list[torch.Tensor], output: Any, clock: int) -> Any:
        """A call of a matched module is over: it is an object, and whoever reads its output reads this object."""
        flow = self._flow
        inputs = NONE.union(*(flow.calls(t) for t in outs))
        if inputs >= UNSEEN:
            what = "a tensor that no function of PyTorch was seen to make (NumPy, vmap, scripts, extensions)"
            self._attributes.warn(name, "unseen", f"an input came from {what}: it has no edge")
        value, here = self._attributes.of(name, outs, [k.layout if (k := flow.get(t)) else ASTRAY for t in outs])
        me, new = frozenset([self._first + len(self._calls)]), {}
        self._calls.append(Call(name, inputs, value, here))
        for t in outs:
            k = flow.get(t)
            layout = k.layout if k is not None else ASTRAY
            written = flow.written_since(t, clock)
            if written:  # in place: all that reads this storage reads this output
                flow.write(t, me, True)
            if k is None or k.born > clock:
                flow.put(t, me, layout, natural=written)
            elif not written:  # passed through: for its other readers the tensor stays what it was
                new[id(t)] = alias = t.view_as(t)
                flow.put(alias, me, layout, natural=False)
        return swapped(output, new) if new else output

    def _end(self, outs: list[torch.Tensor]) -> None:
        """A run is over: the calls from which its output came are kept, in one transfer to the host."""
        first = self._first
        ends = sorted(i - first for i in NONE.union(*(self._flow.calls(t) for t in outs)) if i >= first)
        if not ends:
            raise ValueError("modules: wanted some whose outputs reach the model's output; got none")
        inputs = [sorted(i - first for i in c.inputs if i >= first) for c in self._calls]
        need = set(ends)
        for i in reversed(range(len(inputs))):
            need.update(inputs[i] if i in need else ())
        order = sorted(need)
        number = {i: k for k, i in enumerate(order)}
        calls = [self._calls[i] for i in order]
        self._calls = []
        self._first += len(inputs)
        self._runs.append(
            Run(
                modules=tuple(c.module for c in calls),
                inputs=tuple(tuple(number[j] for j in inputs[i]) for i in order),
                ends=tuple(number[i] for i in ends),
                lengths=tuple(c.value.shape[1] for c in calls),
                **self._attributes.end([c.value for c in calls], [c.here for c in calls]),
            )
        )

    # ------------------------------------------------------------ what was recorded

    def batch(self) -> TraceBatch:
        """All recorded runs as columns: run after run of the model, a trace a sample.

        Returns
        -------
        TraceBatch
            Objects are in the order in which their calls ended, inputs in that order too, and weights equal. Empty if
            nothing was recorded.

        Raises
        ------
        ValueError
            An output is NaN, infinite or beyond float32; the message names module, sample and run. Or a sample's output
            came from no matched call.

        Notes
        -----
        Cost: a copy of what was kept, by columns; no loop over samples.
        """
        return batch_of(self._runs)

    def traces(self) -> list[Trace]:
        """The runs of `batch`, one by one; it raises the same errors."""
        return list(self.batch())

    @property
    def modules(self) -> dict[str, int]:
        """Modules that are used, and the lengths of their attributes: what a `SketchSpec` for these runs needs.

        Raises
        ------
        ValueError
            A module has attributes of different lengths, or as of `batch`.
        """
        return self.batch().modules

    def __repr__(self) -> str:
        modules = _check.count(len(self._structure.names), "module")
        return f"<Recorder of {modules} of {type(self._model).__name__}, {_check.count(len(self._runs), 'run')}>"
