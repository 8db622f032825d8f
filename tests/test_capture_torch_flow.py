"""Edges of 200 random programs against an interpreter that knows no PyTorch, and of models against torchlens."""

from __future__ import annotations

import copy
import random
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_models import Experts, InPlace, Mlp, Rnn, Shared, Stack, edges  # noqa: E402

from recsketch.capture.torch import Recorder  # noqa: E402
from recsketch.capture.torch.names import fits  # noqa: E402

MODES = [torch.enable_grad, torch.no_grad, torch.inference_mode]


class Machine:
    """What a program is written in: tensors of shape (3, 8), in PyTorch."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def call(self, name: str, a: Any) -> Any:
        return self.model.get_submodule(name)(a)

    def mixed(self, *xs: Any) -> Any:
        """Something new of all of them."""
        total = xs[0] * 0.5
        for i, x in enumerate(xs[1:]):
            total = [torch.add, torch.maximum, lambda a, b: torch.where(a > 0, b, a)][i % 3](total, x)
        return total

    def gathered(self, a: Any, b: Any) -> Any:
        return a.gather(1, b.argsort(1))

    def shuffled(self, a: Any) -> Any:
        return a.reshape(3, 2, 4).transpose(1, 2).reshape(3, 8)

    def joined(self, a: Any, b: Any) -> Any:
        return torch.cat([a[:, :4], b[:, 4:]], 1)

    def picked(self, a: Any, b: Any, which: int) -> Any:
        return torch.stack([a, b])[which]

    def zeros(self) -> Any:
        return torch.zeros(3, 8)

    def part(self, a: Any, rows: slice, columns: slice) -> Any:
        return a[rows, columns]

    def set(self, a: Any, rows: slice, columns: slice, b: Any) -> None:
        a[rows, columns] = b[rows, columns]

    def add(self, a: Any, b: Any) -> None:
        a.add_(b)


class Labels:
    """The same language over sets: every element of a storage has the set of calls that it is made of."""

    def __init__(self, modules: list[str]) -> None:
        self.modules, self.calls = modules, []

    def new(self, *xs: Any) -> Any:
        store = np.empty(24, object)
        store[:] = [frozenset().union(*(self.read(x) for x in xs))] * 24
        return store, np.arange(24).reshape(3, 8), None

    def read(self, x: Any) -> frozenset[int]:
        store, at, over = x
        return over if over is not None else frozenset().union(*store[at.reshape(-1)])

    def over(self, name: str, y: Any) -> Any:
        """`y` leaves a call of the module."""
        if not any(fits(m, name) for m in self.modules):
            return y
        self.calls.append((name, self.read(y)))
        return y[0], y[1], frozenset([len(self.calls) - 1])

    def call(self, name: str, a: Any) -> Any:
        if name.startswith("res"):
            return self.over(name, self.new(a, self.over(f"{name}.f", self.new(a))))
        if name.startswith("block"):
            inner = self.over(f"{name}.0", self.new(a))
            return self.over(name, self.over(f"{name}.1", inner if inner[2] is None else self.new(inner)))
        return self.over(name, a if name.startswith("same") else self.new(a))

    def mixed(self, *xs: Any) -> Any:
        return self.new(*xs)

    def gathered(self, a: Any, b: Any) -> Any:
        return self.new(a, b)

    def shuffled(self, a: Any) -> Any:
        return self.new(a)

    def joined(self, a: Any, b: Any) -> Any:
        return self.new(self.part(a, slice(None), slice(4)), self.part(b, slice(None), slice(4, None)))

    def picked(self, a: Any, b: Any, which: int) -> Any:
        return self.new(a, b)

    def zeros(self) -> Any:
        return self.new()

    def part(self, a: Any, rows: slice, columns: slice) -> Any:
        return a[0], a[1][rows, columns], a[2]

    def set(self, a: Any, rows: slice, columns: slice, b: Any) -> None:
        value = self.read(self.part(b, rows, columns))
        for i in a[1][rows, columns].reshape(-1):
            a[0][i] = value

    def add(self, a: Any, b: Any) -> None:
        value = self.read(a) | self.read(b)
        for i in a[1].reshape(-1):
            a[0][i] = value


MODULES = ["m0", "m1", "m2", "norm", "act", "same", "res0", "res1", "block"]


def program(machine: Any, x: Any, seed: int) -> Any:
    """A random program. What is written in place was made by `mixed` or `zeros`, and views of it may be about."""
    r = random.Random(seed)
    pool, own = [x], []  # of shape (3, 8); those that may be written
    for _ in range(r.randint(12, 36)):
        a, b = r.choice(pool[-4:]), r.choice(pool[-4:])
        kind = r.choice("mmmmmmxxgsjpzvwwal")
        if kind == "m":
            out = machine.call(r.choice(MODULES), a)
        elif kind == "x":
            out = machine.mixed(a, b, r.choice(pool))
            own.append(out)
        elif kind == "z":
            out = machine.zeros()
            machine.set(out, slice(None), slice(3), a)
            machine.set(out, slice(None), slice(3, None), b)
        elif kind == "l":  # rows one after the other, each from the one before it
            out = machine.zeros()
            machine.set(out, slice(1), slice(None), a)
            for i in (1, 2):
                row = machine.part(out, slice(i - 1, i), slice(None))
                step = machine.mixed(*[row] * 3) if r.random() < 0.5 else row
                rows = machine.mixed(machine.zeros(), step, step)
                machine.set(out, slice(i, i + 1), slice(None), rows)
            out = machine.mixed(out, machine.part(out, slice(2, 3), slice(None)))
        elif kind == "v" and own:  # a view is kept, a part is written, and the view is read
            base = r.choice(own)
            view = machine.part(base, slice(None), slice(0, 4) if r.random() < 0.5 else slice(4, 8))
            machine.add(
                machine.part(base, slice(r.randrange(3), None), slice(4, 6)), machine.part(b, slice(2, 3), slice(4, 6))
            )
            out = machine.mixed(b, machine.mixed(machine.zeros(), machine.part(view, slice(None), slice(0, 1))))
        elif kind == "w" and own:
            base, low = r.choice(own), r.randrange(8)
            machine.add(
                machine.part(base, slice(None), slice(low, None)), machine.part(a, slice(None), slice(low, None))
            )
            out = base
        elif kind == "a":
            out = machine.mixed(a)
            machine.add(out, b)
        elif kind == "g":
            out = machine.gathered(a, b)
        elif kind == "j":
            out = machine.joined(a, b)
        elif kind == "p":
            out = machine.picked(a, b, r.randrange(2))
        else:
            out = machine.shuffled(a)
        pool.append(out)
    return machine.mixed(pool[-1], machine.call("m0", pool[-2]))


class Residual(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = torch.nn.Linear(8, 8)

    def forward(self, x: Any) -> Any:
        return x + self.f(x).tanh_()


class Program(torch.nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.m0, self.m1, self.m2 = (torch.nn.Linear(8, 8) for _ in range(3))
        self.norm, self.act, self.same = torch.nn.LayerNorm(8), torch.nn.ReLU(), torch.nn.Identity()
        self.res0, self.res1 = Residual(), Residual()
        self.block = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(inplace=True))
        self.seed = seed

    def forward(self, x: Any) -> Any:
        return program(Machine(self), x, self.seed)


GLOBS = [["*"], ["**"], ["m?", "same", "act"], ["m[01]", "res?.f", "norm"], ["res?", "block"]]


@pytest.mark.parametrize("part", range(4))
def test_random_programs_have_the_edges_of_an_interpreter(part: int) -> None:
    compared = 0
    for seed in range(50 * part, 50 * part + 50):
        torch.manual_seed(seed)
        model, x, globs = Program(seed), torch.randn(3, 8), GLOBS[seed % 5]
        globs = [*globs, "m0"]  # the last call, so that every program has an output
        with MODES[seed % 3](), Recorder(model, globs, batch_dim={"**": 0}) as r:  # rows are mixed on purpose
            got = model(x)
        with MODES[seed % 3]():
            assert torch.equal(got, model(x)), seed
        labels = Labels(globs)
        start = labels.new()
        ends = labels.read(program(labels, start, seed))
        need, count, keys = set(ends), Counter(), []
        for i in reversed(range(len(labels.calls))):
            need |= labels.calls[i][1] if i in need else set()
        for i, (name, _) in enumerate(labels.calls):
            count[name] += i in need
            keys.append(name if count[name] == 1 else f"{name}#{count[name]}")
        want = {keys[i]: {keys[j] for j in labels.calls[i][1]} for i in sorted(need)}
        assert edges(r.traces()[0]) == (want, {keys[i] for i in ends}), (seed, globs)
        compared += sum(map(len, want.values()))
    assert compared > 100  # 50 programs of some edges each


# ---------------------------------------------------------------- torchlens


def of_torchlens(model: Any, x: Any, globs: list[str]) -> tuple[dict[str, set[str]], set[str]]:
    """Edges from a graph of all operations, as torchlens logs it; with the calls that lead to no output."""
    torchlens = pytest.importorskip("torchlens")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = torchlens.trace(model, [x])

    def fit(call: str) -> bool:
        name = call.rsplit(":", 1)[0]
        return name != "self" and any(fits(g, name) for g in globs)

    def key(call: str) -> str:
        name, number = call.rsplit(":", 1)
        return name if number == "1" else f"{name}#{number}"

    # Of every operation: what it is for readers outside of each call that it is the output of, from the inside out.
    stages: dict[str, list[tuple[str | None, set[str]]]] = {}
    found: dict[str, set[str]] = {}
    ends: set[str] = set()
    for op in log.ops:
        inside = set(op.module_call_stack) | set(op.modules)
        calls: set[str] = set()
        for parent in op.parents:
            stage = stages[parent if parent in stages else f"{parent}:1"]
            calls |= next(c for call, c in reversed(stage) if call is None or call not in inside)
        own = [(None, calls)]
        leaves = [] if op.is_output else [c for c in op.output_of_module_calls if fit(c)]
        for call in sorted(leaves, key=lambda c: -c.count(".")):
            found[key(call)] = found.get(key(call), set()) | calls
            calls = {key(call)}
            own.append((call, calls))
        stages[op.label] = own
        if op.is_output:
            ends |= own[-1][1]
    return found, ends


TORCHLENS: dict[str, Any] = {
    "mlp": (Mlp, lambda: torch.randn(4, 8)),
    "in place": (InPlace, lambda: torch.randn(4, 8)),
    "transformer": (Stack, lambda: torch.randint(11, (4, 6))),
    "loop": (Rnn, lambda: torch.randn(4, 5, 8)),
    "shared": (Shared, lambda: torch.randn(4, 8)),
}


@pytest.mark.parametrize("globs", [["*"], ["**"]], ids=["one level", "all levels"])
@pytest.mark.parametrize("name", TORCHLENS)
def test_models_have_the_edges_of_torchlens(name: str, globs: list[str]) -> None:
    """But for mixtures of experts, whose samples torchlens does not tell apart, and dropout in eval mode, which it
    takes for both of its readers' source."""
    torch.manual_seed(0)
    make, inputs = TORCHLENS[name]
    model, x = make(), inputs()
    globs = ["blocks.**", "embed", "place", "head"] if name == "transformer" and globs == ["**"] else globs
    with torch.no_grad():
        want = of_torchlens(copy.deepcopy(model), x, globs)
        with Recorder(model, globs) as r:
            model(x)
    assert edges(r.traces()[0]) == want


def test_a_mixture_of_experts_has_the_edges_of_torchlens_where_one_sample_is() -> None:
    torch.manual_seed(0)
    model, x = Experts(), torch.randn(1, 16)
    globs = ["inp", "router", "experts.*", "out"]
    with torch.no_grad():
        want, ends = of_torchlens(copy.deepcopy(model), x, globs)
        with Recorder(model, globs) as r:
            model(x)
    assert edges(r.traces()[0]) == (want, ends)
