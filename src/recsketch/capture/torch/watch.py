"""Watches what PyTorch computes, function by function, and keeps the provenance of every tensor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from recsketch.capture.torch.flow import Flow, Storage
from recsketch.capture.torch.layout import ASTRAY, FREE, Layout, Op, followed, returned

# What writes a tensor without reading it, what reads shapes alone, and what reads the shape of its second tensor alone.
OVERWRITES = {"copy_", "fill_", "zero_", "normal_", "uniform_", "bernoulli_", "exponential_", "set_", "__set__"}
EMPTY = {f"{a}_like" for a in ("zeros", "ones", "empty", "full", "rand", "randn", "randint")}
EMPTY |= {f"new_{a}" for a in ("zeros", "ones", "empty", "full", "tensor", "empty_strided")}
SHAPED = {"view_as", "reshape_as", "expand_as", "type_as"}
PLAIN = frozenset((int, float, str, bool, type(None), torch.dtype, torch.device, torch.Size, slice))


def tensors(x: Any, out: list[torch.Tensor] | None = None, depth: int = 6) -> list[torch.Tensor]:
    """All tensors in nested lists, tuples, mappings, dataclasses and plain objects, such as caches of keys."""
    out = [] if out is None else out
    if isinstance(x, torch.Tensor):
        out.append(x)
    elif type(x) in PLAIN or not depth:
        pass
    elif type(x) is tuple or type(x) is list:
        for y in x:
            if isinstance(y, torch.Tensor):
                out.append(y)
            elif type(y) not in PLAIN:
                tensors(y, out, depth - 1)
    elif isinstance(x, (list, tuple, set, frozenset, Mapping)):
        for y in x.values() if isinstance(x, Mapping) else x:
            tensors(y, out, depth - 1)
    elif hasattr(x, "__dict__") and not isinstance(x, (type, torch.nn.Module)) and not callable(x):
        tensors(vars(x), out, depth - 1)
    return out


def swapped(x: Any, new: Mapping[int, torch.Tensor]) -> Any:
    """`x` with tensors replaced, by their ids, in containers that can be built again."""
    if isinstance(x, torch.Tensor):
        return new.get(id(x), x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(swapped(y, new) for y in x))
    if type(x) in (list, tuple):
        return type(x)(swapped(y, new) for y in x)
    if type(x) is dict:
        return {k: swapped(y, new) for k, y in x.items()}
    if dataclasses.is_dataclass(x) and not isinstance(x, (type, Mapping)):
        fields = {f.name: swapped(getattr(x, f.name), new) for f in dataclasses.fields(x) if f.init}
        return dataclasses.replace(x, **fields)
    return x


class Watch(TorchFunctionMode):  # type: ignore[misc]
    """While `running`, every function of PyTorch that Python calls tells `flow` what it made and wrote, from what."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow, self.running, self.batch = flow, False, 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not self.running:
            out = func(*args, **kwargs)
            with torch._C.DisableTorchFunctionSubclass():
                for t in tensors(out):
                    self.flow.learn(t)
            return out
        ins = tensors((*args, *kwargs.values()))
        with torch._C.DisableTorchFunctionSubclass():  # tensors are looked at as such, whatever their class
            before = [None if t.is_inference() else t._version for t in ins]
        out = func(*args, **kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            outs = [out] if isinstance(out, torch.Tensor) else tensors(out) if isinstance(out, (list, tuple)) else []
            op = Op(getattr(func, "__name__", ""), args, kwargs)
            wrote = _written(op, ins, before)
            if outs or wrote:
                self._note(op, ins, outs, wrote)
        return out

    def _note(self, op: Op, ins: list[torch.Tensor], outs: list[torch.Tensor], wrote: list[torch.Tensor]) -> None:
        flow = self.flow
        replaces = op.name in OVERWRITES or op.kwargs.get("out") is not None
        if op.name in EMPTY:
            like = flow.get(ins[0]) if ins else None
            for t in outs:
                layout = like.layout if like is not None and t.shape == ins[0].shape else FREE
                flow.op(ins[1:], [t], partial(_fixed, layout))
            return
        sources = ins[:1] if op.name in SHAPED else ins
        if replaces:
            sources = [t for t in sources if not any(t is w for w in wrote)]
        if wrote:
            part = _part(op)
            calls = frozenset[int]().union(*(flow.calls(t) for t in sources if part is None or t is not wrote[0]))
            for t in wrote:
                flow.write(t, calls, replaces or part is not None, part)
                k = flow.get(t)
                if k is not None and k.layout is FREE:
                    k.layout = returned(op, self.batch, t, self._layouts(ins, None))
        old = {id(t) for t in (*ins, *wrote)}
        new = [t for t in outs if id(t) not in old]
        if new:
            flow.op(sources, new, lambda t, s: followed(op, self.batch, self._layouts(sources, s), t))

    def _layouts(self, ins: list[torch.Tensor], s: Storage | None) -> list[tuple[torch.Tensor, Layout, bool]]:
        """Tensors, where their samples lie, and whether they are in this storage."""
        found = []
        for t in ins:
            k = self.flow.get(t)
            found.append((t, ASTRAY, False) if k is None else (t, k.layout, s is not None and k.storage is s))
        return found


def _fixed(layout: Layout, t: torch.Tensor, s: Storage | None) -> Layout:
    return layout


def _written(op: Op, ins: list[torch.Tensor], before: list[int | None]) -> list[torch.Tensor]:
    """The tensors among `ins` that the call wrote: their version moved, or, in inference mode, the function's name."""
    name = op.name
    if op.kwargs.get("out") is not None:
        return tensors(op.kwargs["out"])
    if name in ("batch_norm", "instance_norm"):
        return []  # running statistics carry nothing to what this run puts out
    if name == "__set__":  # x.data = y
        return ins[:1]
    named = name[-1:] == "_" != name[-2:-1] or name[:3] == "__i" or name == "__setitem__" or op.kwargs.get("inplace")
    return [
        t
        for i, (t, b) in enumerate(zip(ins, before, strict=True))
        if (named and not i if b is None else t._version != b)
    ]


def _part(op: Op) -> torch.Tensor | None:
    """The view that x[index] = y wrote, where that is one."""
    if op.name != "__setitem__":
        return None
    x, index = op.args[:2]
    items = index if isinstance(index, tuple) else (index,)
    plain = all(i is None or i is Ellipsis or (isinstance(i, (int, slice)) and not isinstance(i, bool)) for i in items)
    part = x[index] if plain and isinstance(x, torch.Tensor) else None
    return part if isinstance(part, torch.Tensor) else None
