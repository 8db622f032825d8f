"""What is known of a model before it runs: which modules are recorded, and which need no look inside."""

from __future__ import annotations

from collections.abc import Sequence

import torch

import recsketch._check as _check
from recsketch.capture.torch.names import matched

AWKWARD = (torch.nn.Flatten, torch.nn.Unflatten, torch.nn.RNNBase)  # their outputs lie otherwise than their inputs


class Structure:
    """A model's modules.

    `names` has those that are recorded. `leaves` are modules of which every output is of all inputs and parameters, and
    of nothing else, with the dicts of what they hold. `orders` says where modules have the batch, if they say so by
    `batch_first`. `nested` is whether an encoder would turn to nested tensors, which recording prevents.

    Raises
    ------
    TypeError, ValueError
        As of `Recorder`.
    """

    def __init__(self, model: torch.nn.Module, modules: str | Sequence[str]) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model: wanted a torch.nn.Module; got {_check.describe(model)}")
        self._named = named = dict(model.named_modules())
        for name, m in named.items():
            if type(m).__name__ == "OptimizedModule" or m._compiled_call_impl is not None:
                raise TypeError(f"model: wanted one that is not compiled; got torch.compile of {name or 'the model'!r}")
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError("model: wanted one that runs in Python; got a scripted or traced one")
        self.names = {named[name]: name for name in matched("modules", modules, named)}
        for name, m in named.items():
            if isinstance(m, torch.jit.ScriptModule) and any(c in self.names for c in m.modules() if c is not m):
                raise TypeError(f"modules: wanted ones that run in Python; got some inside {name!r}, which is scripted")
        self.every = list(named.values())
        self.leaves = {
            m: [d for c in m.modules() for d in (c._parameters, c._buffers)] for m in self.every if self._is_leaf(m)
        }
        orders = {m: _orders(m) for m in self.every if type(m).__module__.startswith("torch.nn.modules.")}
        self.orders = {m: found.pop() for m, found in orders.items() if len(found) == 1}
        encoders = [m for m in self.every if isinstance(m, torch.nn.TransformerEncoder) and m not in self.leaves]
        self.nested = any(getattr(m, "use_nested_tensor", False) and not m.training for m in encoders)

    def name_of(self, module: torch.nn.Module) -> str:
        return next((name for name, m in self._named.items() if m is module), "")

    def _is_leaf(self, module: torch.nn.Module) -> bool:
        inside = list(module.modules())
        return not any(m in self.names or isinstance(m, AWKWARD) for m in inside[1:]) and all(
            type(m).__module__.startswith("torch.nn.modules.")
            and not getattr(m, "inplace", False)
            and not m._forward_hooks
            and not m._forward_pre_hooks
            and "forward" not in vars(m)
            for m in inside
        )


def _orders(module: torch.nn.Module) -> set[bool]:
    """What the module and those inside say of `batch_first`."""
    return {m.batch_first for m in module.modules() if isinstance(getattr(m, "batch_first", None), bool)}
