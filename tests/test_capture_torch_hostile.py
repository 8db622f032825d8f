"""Models, arguments and moments that a recorder has to refuse, survive or leave alone."""

from __future__ import annotations

import collections
import dataclasses
import gc
import sys
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

import recsketch as rs

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.overrides import _get_current_function_mode_stack  # noqa: E402
from torch_models import Mlp, Rnn, edges  # noqa: E402

from recsketch.capture.torch import Recorder  # noqa: E402

PAIR = ({"a": set(), "b": {"a"}}, {"b"})


class Two(nn.Module):
    """b(f(a(x))); `inner` may be changed between calls."""

    def __init__(self, f: Any = torch.relu) -> None:
        super().__init__()
        self.a, self.b, self.inner = nn.Linear(8, 8), nn.Linear(8, 8), f

    def forward(self, x: Any) -> Any:
        return self.b(self.inner(self.a(x)))


def x8(n: int = 3) -> Any:
    return torch.randn(n, 8)


def recorded(model: Any, modules: Any, *inputs: Any, **options: Any) -> Any:
    with Recorder(model, modules, **options) as r:
        model(*inputs)
    return r


def clean() -> bool:
    """Whether nothing of a recorder is left behind in PyTorch."""
    hooks = sys.modules["torch.nn.modules.module"]
    return not (_get_current_function_mode_stack() or hooks._global_forward_hooks or hooks._global_forward_pre_hooks)


# ---------------------------------------------------------------- refused


def test_compiled_models_are_refused() -> None:
    inner = Two()
    inner.b.compile()
    for model in (torch.compile(Two()), inner, nn.Sequential(torch.compile(Two()))):
        with pytest.raises(TypeError, match=r"model: wanted one that is not compiled; got torch\.compile of"):
            Recorder(model, "**")


def scripted(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch no longer likes its scripts
        return torch.jit.script(model)


def test_scripted_models_are_refused() -> None:
    script = scripted(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    with pytest.raises(TypeError, match="model: wanted one that runs in Python; got a scripted or traced one"):
        Recorder(script, "**")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(nn.Linear(8, 8), x8())
    with pytest.raises(TypeError, match="scripted or traced"):
        Recorder(traced, "**")
    model = Two()
    model.inner = script
    with pytest.raises(TypeError, match="modules: wanted ones that run in Python; got some inside 'inner'"):
        Recorder(model, "**")
    r = recorded(model, "*", x8())  # as a whole it is one function
    assert edges(r.traces()[0]) == ({"a": set(), "inner": {"a"}, "b": {"inner"}}, {"b"})
    assert edges(recorded(model, ["a", "b"], x8()).traces()[0]) == PAIR


def test_compiled_functions_run_as_they_are_written() -> None:
    r = recorded(Two(torch.compile(lambda h: h.relu() * 2)), "*", x8())
    assert edges(r.traces()[0]) == PAIR


@pytest.mark.parametrize(
    ("error", "match", "arguments"),
    [
        (TypeError, "model: wanted a torch.nn.Module", {"model": 3}),
        (ValueError, r"modules: wanted patterns that fit some of \['a', 'b'\]; got 'c'", {"modules": ["a", "c"]}),
        (ValueError, "modules: wanted patterns of names of modules; got none", {"modules": []}),
        (TypeError, r"modules\[0\]: wanted a pattern", {"modules": [3]}),
        (TypeError, r"modules\[0\]: wanted a pattern", {"modules": ""}),
        (TypeError, "modules: wanted patterns", {"modules": None}),
        (ValueError, "reduce: wanted one of 'token_mean', 'last_token'", {"reduce": "mean"}),
        (TypeError, "reduce: wanted one of", {"reduce": 3}),
        (ValueError, "reduce: wanted a pattern that fits 'b'", {"reduce": {"a": "cls"}}),
        (TypeError, "dim: wanted", {"dim": 2.5}),
        (ValueError, "dim: wanted", {"dim": 0}),
        (TypeError, "mask: wanted the name of an argument", {"mask": 3}),
        (TypeError, "batch_dim: wanted", {"batch_dim": None}),
        (ValueError, "batch_dim: wanted", {"batch_dim": -1}),
        (ValueError, "batch_dim: wanted patterns that fit matched modules; got 'c'", {"batch_dim": {"c": 1}}),
        (TypeError, "batch_dim\\['a'\\]: wanted", {"batch_dim": {"a": "1"}}),
        (ValueError, "seed: wanted", {"seed": -1}),
    ],
)
def test_arguments(error: type[Exception], match: str, arguments: dict[str, Any]) -> None:
    model = Two()
    given = {"model": model, "modules": "*", **arguments}
    with pytest.raises(error, match=match):
        Recorder(given.pop("model"), given.pop("modules"), **given)


def test_runs_that_have_no_objects_or_no_batch() -> None:
    class Beside(Two):
        def forward(self, x: Any) -> Any:
            self.kept = self.a(x)
            return self.b(x)

    with pytest.raises(ValueError, match="modules: wanted some whose outputs reach the model's output; got none"):
        recorded(Beside(), "a", x8())
    for inputs in ((torch.randn(8),), (torch.tensor(1.0),)):
        with pytest.raises(ValueError, match="inputs of the model: wanted a tensor with the batch as dimension 0"):
            recorded(Two(), "*", *inputs)

    class Number(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.argmax(1)

    model = Two(Number())
    model.b = nn.Embedding(8, 8)
    with pytest.raises(TypeError, match="output of 'inner': wanted a floating-point tensor; got none"):
        recorded(model, "*", x8())
    with pytest.raises(ValueError, match=r"reduce of 'a': wanted a tensor of shape \(3, length\); got shape \(8,\)"):
        recorded(Two(), "*", x8(), reduce=lambda x, mask: x[0])
    with pytest.raises(ValueError, match=r"reduce of 'a': wanted a tensor of shape .* got float"):
        recorded(Two(), "*", x8(), reduce=lambda x, mask: 1.0)
    with pytest.raises(ValueError, match="mask: wanted the name of a tensor among"):
        recorded(Two(), "*", x8(), mask="nowhere")
    with pytest.raises(ValueError, match=r"mask: wanted a tensor of shape \(3, tokens\); got shape \(3,\)"):
        recorded(Two(), "*", x8(), mask=lambda a: a["x"][:, 0])
    convolution = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(ValueError, match=r"wanted \(samples, tokens, features\) for 'token_mean', or reduce='spatial"):
        recorded(convolution, "*", torch.randn(2, 1, 5, 5))
    assert recorded(convolution, "*", torch.randn(2, 1, 5, 5), reduce="spatial_mean").modules == {"0": 2}
    assert clean()


# ---------------------------------------------------------------- strange batches


def test_nan_names_its_sample() -> None:
    x = x8()
    x[1, 2] = float("nan")
    r = recorded(Two(), "*", x)
    for ask in (r.batch, r.traces, lambda: r.modules):
        with pytest.raises(ValueError, match=r"output of 'a' for sample 1 of run 0: wanted finite numbers .* got nan"):
            ask()
    for model, large in ((Two().half(), torch.full((3, 8), 6e4).half()), (Two().double(), x8().double() * 1e200)):
        r = recorded(model, "a", large * 4, dim=None)
        with pytest.raises(ValueError, match=r"output of 'a' for sample 0 of run 0: .* got (-?inf|nan)"):
            r.batch()


def test_batches_may_be_empty_and_change() -> None:
    model = Mlp()
    r = Recorder(model, ["a", "b", "c", "out"])
    assert len(r.batch()) == 0
    assert r.modules == {}
    with r:
        for n in (4, 1, 0, 7):
            model(x8(n))
    assert len(r.traces()) == 12
    assert r.modules == {"a": 8, "b": 8, "c": 8, "out": 8}
    alone = recorded(model, ["a"], x8(0))
    assert len(alone.batch()) == 0
    with r:
        model(x8(2))
    assert len(r.batch()) == 14
    spec = rs.SketchSpec(512, r.modules)
    assert rs.Sketcher(spec).sketch(r.batch()).shape == (14, 512)
    rnn = Rnn()
    with Recorder(rnn, "*") as q:
        for t in (1, 3):
            rnn(torch.randn(2, t, 8))
    assert [len(trace) for trace in q.traces()] == [2, 2, 4, 4]


def test_lengths_that_change_are_told() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    with Recorder(model, "*", reduce="flatten", dim=None) as r:
        model(torch.randn(2, 3, 8))
        model(torch.randn(2, 4, 8))
    with pytest.raises(ValueError, match="attributes of '0': wanted one length; got 24 to 32"):
        r.modules  # noqa: B018


# ---------------------------------------------------------------- errors on the way


def test_exceptions_leave_nothing_behind() -> None:
    def fails(h: Any) -> Any:
        raise OSError("on the way")

    model = Two(fails)
    r = Recorder(model, "*")
    with pytest.raises(OSError, match="on the way"), r:
        model(x8())
    assert clean()
    assert len(r.batch()) == 0
    with r:
        with pytest.raises(OSError, match="on the way"):
            model(x8())
        model.inner = torch.relu
        model(x8())
    assert [edges(t) for t in r.traces()] == [PAIR] * 3
    assert clean()


def test_exceptions_that_the_model_catches() -> None:
    class Tries(Two):
        def forward(self, x: Any) -> Any:
            try:
                h = self.a(x[:, :3])  # raises inside a module that is not watched
            except RuntimeError:
                h = self.a(x)
            return self.b(h)

    assert edges(recorded(Tries(), "*", x8()).traces()[0]) == PAIR


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupts_inside_a_layer(error: type[BaseException]) -> None:
    class Interrupted(nn.Module):
        def forward(self, x: Any) -> Any:
            raise error

    model = Two(Interrupted())
    Interrupted.__module__ = "torch.nn.modules.interrupted"  # as if it were one that is not watched
    with pytest.raises(error), Recorder(model, "*"):
        model(x8())
    assert clean()


def test_errors_of_the_recorder_end_the_run_alone() -> None:
    model = Two()
    with Recorder(model, "*") as r:
        with pytest.raises(ValueError, match="inputs of the model"):
            model(torch.randn(8))
        model(x8())
    assert len(r.traces()) == 3
    assert clean()


# ---------------------------------------------------------------- company


def test_a_recorder_is_entered_once_at_a_time() -> None:
    with Recorder(Two(), "*") as r, pytest.raises(RuntimeError, match="wanted one that is not recording"), r:
        pass
    assert clean()


def test_recorders_within_recorders() -> None:
    model = Two()
    with Recorder(model, "*") as r:
        with Recorder(model, "b") as q:
            model(x8())
        model(x8())
    assert [edges(t) for t in r.traces()] == [PAIR] * 6
    assert [edges(t) for t in q.traces()] == [({"b": set()}, {"b"})] * 3


def test_threads_do_not_mix() -> None:
    model, found = Rnn(), collections.defaultdict(list)

    def work(number: int) -> None:
        for _ in range(3):
            found[number].append(edges(recorded(model, "*", torch.randn(2, 4 + number, 8)).traces()[0]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for number in range(4):
        assert [len(f) for f, _ in found[number]] == [5 + number] * 3
    assert clean()


def test_other_models_are_not_recorded() -> None:
    model, other = Two(), Two()
    with Recorder(model, "*") as r:
        other(x8(5))
        model(other(x8()))
        other.a(x8())
        model.a(x8())  # not within a call of the model
    assert [edges(t) for t in r.traces()] == [PAIR] * 3


def test_hooks_of_others_take_part() -> None:
    model = Two()
    model.a.register_forward_hook(lambda m, args, out: out + model.b(out))
    found, ends = edges(recorded(model, "*", x8()).traces()[0])
    assert found == {"a": set(), "b": {"a"}, "b#2": {"a", "b"}}
    assert ends == {"b#2"}


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_are_recorded_once(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(Two):
        def forward(self, x: Any) -> Any:
            return self.b(checkpoint(self.a, x, use_reentrant=reentrant))

    model, x = Checkpointed(), x8().requires_grad_()
    with Recorder(model, "*") as r:
        model(x).sum().backward()
    assert [edges(t) for t in r.traces()] == [PAIR] * 3
    assert x.grad is not None


def test_other_parameters() -> None:
    model = Two()
    parameters = {k: v.detach().clone() for k, v in model.named_parameters()}
    with Recorder(model, "*") as r:
        torch.func.functional_call(model, parameters, (x8(),))
    assert edges(r.traces()[0]) == PAIR

    class Hyper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.h, self.f, self.o = nn.Linear(8, 64), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            weight = self.h(x).mean(0).view(8, 8)
            return self.o(torch.func.functional_call(self.f, {"weight": weight}, (x,)))

    r = recorded(Hyper(), "*", x8())
    assert edges(r.traces()[0]) == ({"h": set(), "f": {"h"}, "o": {"f"}}, {"o"})


def test_state_of_an_earlier_run_gives_no_edge() -> None:
    class State(Two):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("cache", torch.zeros(3, 8))
            self.h = None

        def forward(self, x: Any) -> Any:
            y = self.a(x + self.cache)
            self.cache.copy_(y)
            self.h = self.b(y if self.h is None else y + self.h)
            return self.h

    model = State()
    with torch.no_grad(), Recorder(model, "*") as r:
        for _ in range(3):
            model(x8())
            # What an earlier run wrote is forgotten, or it would be kept as long as the memory it was written to.
            assert max(len(s.log) for s in r._flow.storages.values()) <= 1
    assert [edges(t) for t in r.traces()] == [PAIR] * 9


Pair = collections.namedtuple("Pair", "left right")


@dataclasses.dataclass
class Output:
    hidden: Any
    more: Any = None


class Strange(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    "pack",
    [
        lambda h: (h, h * 2),
        lambda h: [h, None],
        lambda h: {"h": h},
        lambda h: Pair(h, 3),
        lambda h: Output(h),
        lambda h: Strange(h=h),
        lambda h: {"a": [(h,)]},
    ],
)
def test_outputs_in_containers(pack: Any) -> None:
    class Packs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return pack(self.f(x))

    def first(y: Any) -> Any:
        while not isinstance(y, torch.Tensor):
            y = y.hidden if isinstance(y, Output) else next(iter(y.values())) if isinstance(y, dict) else y[0]
        return y

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p, self.b = Packs(), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return pack(self.b(first(self.p(x))))

    model, x = Outer(), x8()
    with Recorder(model, "*") as r:
        got = model(x)
    assert type(got) is type(model(x))
    assert edges(r.traces()[0]) == ({"p": set(), "b": {"p"}}, {"b"})


def test_vmap_and_default_devices() -> None:
    model = Two(torch.vmap(lambda h: h * 2))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no function of PyTorch was seen")
        found, _ = edges(recorded(model, "*", x8()).traces()[0])
    assert found in ({"a": set(), "b": {"a"}}, {"b": set()})  # an edge, or a warning
    with torch.device("cpu"):
        assert edges(recorded(Two(), "*", x8()).traces()[0]) == PAIR
    rnn = Rnn()
    with Recorder(rnn, "*") as r, torch.device("cpu"):
        rnn(torch.randn(2, 3, 8))
    assert len(r.traces()[0]) == 4


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padding_in_an_encoder_of_nested_tensors() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    x, pad = torch.randn(2, 3, 8), torch.tensor([[False, False, True], [False, False, False]])
    with torch.no_grad():
        want = encoder(x, src_key_padding_mask=pad)
        with pytest.warns(UserWarning, match="outputs at padding are not zero"), Recorder(encoder, "layers.*") as r:
            got = encoder(x, src_key_padding_mask=pad)
        model = nn.Sequential(encoder)
        whole = Recorder(model, "*")
        with whole:
            again = model(x)
        assert torch.equal(again, encoder(x))
    np.testing.assert_allclose(got[~pad], want[~pad], rtol=0, atol=1e-5)
    assert len(r.traces()) == 2


def test_what_is_not_seen_is_told() -> None:
    model = Two(lambda h: torch.from_numpy(h.detach().numpy() * 2))
    with pytest.warns(
        UserWarning, match="'b': an input came from a tensor that no function of PyTorch was seen to make"
    ):
        r = recorded(model, "*", x8())
    assert edges(r.traces()[0])[0] == {"b": set()}

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    for context in (torch.enable_grad, torch.no_grad):
        with context():
            r = recorded(Two(Double.apply), "*", x8())
        assert edges(r.traces()[0]) == PAIR


def test_no_activation_is_kept() -> None:
    seen: list[Any] = []

    def look(h: Any) -> Any:
        seen.append(weakref.ref(h))
        return h.relu()

    model = Two(look)
    with torch.no_grad(), Recorder(model, "*") as r:
        for _ in range(20):
            model(x8())
        gc.collect()
        assert not any(ref() is not None for ref in seen)
        assert len(r._flow.known) < 20  # four parameters, and what the last call left
    assert len(r.traces()) == 60


def test_random_numbers_are_not_touched() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 64))
    x = x8()
    torch.manual_seed(3)
    want = model(x)
    torch.manual_seed(3)
    with Recorder(model, "*", dim=4):
        got = model(x)
    assert torch.equal(want, got)


def test_lazy_and_parametrized_modules() -> None:
    model = nn.Sequential(nn.LazyLinear(8), nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lazy modules are a preview, they say
        r = recorded(model, "*", x8())
        r = recorded(model, "*", x8())
    assert edges(r.traces()[0]) == ({"0": set(), "1": {"0"}}, {"1"})


def test_a_sample_that_saw_no_object_is_told() -> None:
    class Some(Two):
        def forward(self, x: Any) -> Any:
            rows = torch.tensor([0, 2])
            out = torch.zeros_like(x)
            out[rows] = self.a(x[rows])
            return out

    r = recorded(Some(), "a", x8())
    with pytest.raises(ValueError, match="sample 1 of run 0: wanted a call of a matched module"):
        r.batch()


def test_experts_by_masks_and_by_samples() -> None:
    class Some(Two):
        def forward(self, x: Any) -> Any:
            h = self.a(x)
            keep = x[:, 0] > 0
            out = h.clone()
            out[keep] = self.b(h[keep])
            return out

    x = torch.tensor([1.0, -1.0, 2.0, -3.0])[:, None] * torch.ones(4, 8)
    model = Some()
    r = recorded(model, "*", x, dim=None)
    assert [edges(t) for t in r.traces()] == [
        ({"a": set(), "b": {"a"}}, {"a", "b"}) if s > 0 else ({"a": set()}, {"a"}) for s in x[:, 0]
    ]
    with torch.no_grad():
        np.testing.assert_allclose(r.traces()[2].objects[1].attribute, model.b(model.a(x))[2], rtol=0, atol=1e-6)
