"""What is recorded of PyTorch models, against edges written by hand."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import recsketch as rs

torch = pytest.importorskip("torch")

from torch_models import Experts, InPlace, Mlp, Rnn, Shared, Stack, edges  # noqa: E402

from recsketch.capture.torch import Recorder  # noqa: E402

MODES = [torch.enable_grad, torch.no_grad, torch.inference_mode]
modes = pytest.mark.parametrize("mode", MODES, ids=["grad", "no_grad", "inference"])


def recorded(model: Any, modules: Any, *inputs: Any, **options: Any) -> Any:
    with Recorder(model, modules, **options) as r:
        model(*inputs)
    return r


def mlp_edges() -> Any:
    return {"a": set(), "b": {"a"}, "c": {"a", "b"}, "out": {"a", "b", "c"}}, {"out"}


STACK = {
    "embed": set(),
    "place": set(),
    "blocks.0.norm1": {"embed", "place"},
    "blocks.0.qkv": {"blocks.0.norm1"},
    "blocks.0.proj": {"blocks.0.qkv"},
    "blocks.0.norm2": {"embed", "place", "blocks.0.proj"},
    "blocks.0.mlp": {"blocks.0.norm2"},
    "blocks.0": {"embed", "place", "blocks.0.proj", "blocks.0.mlp"},
    "blocks.1.norm1": {"blocks.0"},
    "blocks.1.qkv": {"blocks.1.norm1"},
    "blocks.1.proj": {"blocks.1.qkv"},
    "blocks.1.norm2": {"blocks.0", "blocks.1.proj"},
    "blocks.1.mlp": {"blocks.1.norm2"},
    "blocks.1": {"blocks.0", "blocks.1.proj", "blocks.1.mlp"},
    "head": {"blocks.1"},
}


@modes
def test_a_residual_network(mode: Any) -> None:
    with mode():
        r = recorded(Mlp(), ["a", "b", "c", "out"], torch.randn(4, 8))
    assert [edges(t) for t in r.traces()] == [mlp_edges()] * 4


@modes
def test_a_transformer(mode: Any) -> None:
    with mode():
        r = recorded(Stack(), ["embed", "place", "blocks.*", "blocks.*.*", "head"], torch.randint(11, (3, 6)))
    assert edges(r.traces()[0]) == (STACK, {"head"})
    with mode():
        r = recorded(Stack(), ["blocks.*"], torch.randint(11, (3, 6)))
    assert edges(r.traces()[2]) == ({"blocks.0": set(), "blocks.1": {"blocks.0"}}, {"blocks.1"})


@modes
def test_a_loop(mode: Any) -> None:
    with mode():
        r = recorded(Rnn(), "*", torch.randn(2, 5, 8))
    chain = {"cell": set(), **{f"cell#{i + 1}": {"cell" if i == 1 else f"cell#{i}"} for i in range(1, 5)}}
    assert edges(r.traces()[1]) == ({**chain, "out": {"cell#5"}}, {"out"})


@modes
def test_a_shared_module(mode: Any) -> None:
    with mode():
        r = recorded(Shared(), "*", torch.randn(2, 8))
    assert edges(r.traces()[0]) == ({"f": set(), "f#2": {"f"}, "g": {"f#2"}, "f#3": set()}, {"g", "f#3"})


@modes
def test_activations_in_place(mode: Any) -> None:
    with mode():
        r = recorded(InPlace(), "*", torch.randn(2, 8))
        q = recorded(Mlp(inplace=True), "*", torch.randn(2, 8))
    assert edges(r.traces()[0]) == ({"a": set(), "act": {"a"}, "b": {"act"}}, {"b", "act"})
    found, ends = edges(q.traces()[0])
    assert found == {"a": set(), "act": {"a"}, "b": {"act"}, "c": {"a", "b"}, "out": {"a", "b", "c"}}
    assert ends == {"out"}


@pytest.mark.parametrize("shape", [(6, 16), (4, 5, 16), (5, 5, 16), (4, 4, 16)])
def test_a_mixture_of_experts_is_as_its_samples_one_by_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    model, x = Experts().eval(), torch.randn(shape)
    with torch.no_grad(), Recorder(model, ["inp", "router", "experts.*", "out"], dim=None) as r:
        model(x)
        for i in range(len(x)):
            model(x[i : i + 1])
    traces, n = r.traces(), shape[0]
    sizes = set()
    for one, alone in zip(traces[:n], traces[n:], strict=True):
        assert edges(one) == edges(alone)
        for p, q in zip(one.objects, alone.objects, strict=True):
            np.testing.assert_allclose(p.attribute, q.attribute, rtol=0, atol=1e-5)  # sums of 32 numbers of size 1
        found, ends = edges(one)
        experts = {k for k in found if k.startswith("experts")}
        assert ends == {"out"}
        assert found["out"] == {"inp", "router", *experts}
        assert all(found[e] == {"inp", "router"} for e in experts)
        sizes.add(len(experts))
    if len(shape) == 2:
        assert sizes == {2}


def test_every_sample_of_a_batch_of_32_is_a_run() -> None:
    torch.manual_seed(0)
    model, x = Mlp(), torch.randn(32, 8)
    r = recorded(model, ["a", "b", "c", "out"], x)
    batch = r.batch()
    assert len(batch) == 32
    assert r.modules == batch.modules == {"a": 8, "b": 8, "c": 8, "out": 8}
    with torch.no_grad():
        h = model.a(x)
    for i, trace in enumerate(batch):
        assert edges(trace) == mlp_edges()
        np.testing.assert_array_equal(trace.objects[0].attribute, h[i].numpy())
    assert batch == rs.TraceBatch.from_traces(r.traces())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype: Any) -> None:
    torch.manual_seed(0)
    model, ids = Stack().eval(), torch.randint(11, (3, 6))
    want = recorded(model, ["blocks.*", "head"], ids).batch()
    got = recorded(copy.deepcopy(model).to(dtype), ["blocks.*", "head"], ids).batch()
    assert [edges(t) for t in got] == [edges(t) for t in want]
    # 2**-8 is bfloat16's unit; some twenty roundings of numbers of size 4 follow each other
    np.testing.assert_allclose(got.attributes, want.attributes, rtol=0, atol=20 * 2**-8)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = recorded(model, ["blocks.*", "head"], ids).batch()
    assert [edges(t) for t in mixed] == [edges(t) for t in want]
    np.testing.assert_allclose(mixed.attributes, want.attributes, rtol=0, atol=20 * 2**-8)


CASES: dict[str, Any] = {
    "mlp": (Mlp, lambda: torch.randn(4, 8)),
    "in place": (InPlace, lambda: torch.randn(4, 8)),
    "transformer": (Stack, lambda: torch.randint(11, (4, 6))),
    "loop": (Rnn, lambda: torch.randn(4, 5, 8)),
    "shared": (Shared, lambda: torch.randn(4, 8)),
    "experts": (Experts, lambda: torch.randn(4, 5, 16)),
}


@modes
@pytest.mark.parametrize("name", CASES)
def test_outputs_are_the_same_to_the_bit(name: str, mode: Any) -> None:
    torch.manual_seed(0)
    make, inputs = CASES[name]
    model, x = make(), inputs()
    with mode():
        want = model(x.clone())
        with Recorder(model, "**") as r:
            got = model(x.clone())
        again = model(x.clone())
    assert torch.equal(want, got)
    assert torch.equal(want, again)
    assert len(r.traces()) == 4
    if got.requires_grad:
        grads = [torch.autograd.grad(y.square().sum(), list(model.parameters())) for y in (want, got)]
        assert all(torch.equal(p, q) for p, q in zip(*grads, strict=True))


@pytest.mark.parametrize("batch_first", [True, False])
def test_fused_layers_stay_fused(batch_first: bool) -> None:
    """The layers of an encoder in eval mode give the bits of PyTorch's fused kernel; sublayers have to be apart."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first)
    encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(4, 6, 16)
    with torch.no_grad():
        want = encoder(x)
        where = 0 if batch_first else 1
        with Recorder(encoder, "layers.*", batch_dim=where):
            assert torch.equal(encoder(x), want)
        with Recorder(encoder, "layers.*.linear1", batch_dim=where) as r:
            got = encoder(x)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)  # some hundred roundings of numbers of size 1
    chain = {"layers.0.linear1": set(), "layers.1.linear1": {"layers.0.linear1"}}
    assert edges(r.traces()[0]) == (chain, set(chain))  # the residual branch carries the first one to the end


def test_what_passes_through_is_an_object_of_its_own() -> None:
    class Through(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.drop, self.b = torch.nn.Linear(8, 8), torch.nn.Dropout(), torch.nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            h = self.a(x)
            return h + self.b(self.drop(h))

    r = recorded(Through().eval(), "*", torch.randn(2, 8))
    assert edges(r.traces()[0]) == ({"a": set(), "drop": {"a"}, "b": {"drop"}}, {"a", "b"})


def test_runs_sketch_and_unroll_again() -> None:
    torch.manual_seed(0)
    r = recorded(Mlp(), ["a", "b", "c", "out"], torch.randn(8, 8))
    batch = r.batch()
    spec = rs.SketchSpec(1024, r.modules)
    sketcher = rs.Sketcher(spec)
    for trace, back in zip(batch, sketcher.unroll(sketcher.sketch(batch)), strict=True):
        assert back.complete
        found = {o.module: o for o in back.objects}
        assert set(found) == {"a", "b", "c", "out"}
        for o in trace.objects:
            np.testing.assert_allclose(found[o.module].attribute, o.attribute, rtol=0, atol=1e-3)
