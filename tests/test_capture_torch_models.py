"""Kinds of models that are in use: every sample's run is the one that it gives alone, batch and sequence being 4."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch_models import edges  # noqa: E402

from recsketch.capture.torch import Recorder  # noqa: E402


class Model(nn.Module):
    """Modules by name, and a function of them and an input."""

    def __init__(self, forward: Callable[[Any, Any], Any], **modules: nn.Module) -> None:
        super().__init__()
        for name, m in modules.items():
            self.add_module(name, m)
        self.run = forward

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def residual_network() -> Any:
    def run(m: Any, x: Any) -> Any:
        h = m.act(m.norm(m.first(x)))
        h = m.act(h + m.second(h))
        return m.head(torch.flatten(m.pool(h), 1))

    first, second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
    act, pool = nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
    return Model(run, first=first, norm=nn.BatchNorm2d(8), second=second, act=act, pool=pool, head=nn.Linear(8, 4))


def vision_transformer() -> Any:
    """Patches, a class token, sequences first inside."""

    def run(m: Any, x: Any) -> Any:
        h = m.patch(x).flatten(2).transpose(1, 2)
        h = torch.cat([m.cls.weight[None].expand(len(x), -1, -1), h], 1) + m.place.weight
        h = h.permute(1, 0, 2)
        for layer in m.layers:
            h = layer(h)
        return m.head(h.permute(1, 0, 2)[:, 0])

    layers = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, 32) for _ in range(2))
    tables = {"cls": nn.Embedding(1, 16), "place": nn.Embedding(17, 16)}
    return Model(run, patch=nn.Conv2d(3, 16, 4, 4), layers=layers, head=nn.Linear(16, 3), **tables)


def windows() -> Any:
    """Attention within windows, which are rows of their own meanwhile."""

    def run(m: Any, x: Any) -> Any:
        b, h, w, c = x.shape
        y = m.a(x.view(b, -1, c)).view(b, h, w, c)
        y = y.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        y = m.attention(y, y, y)[0].view(b, h // 2, w // 2, 2, 2, c)
        return m.out(y.permute(0, 1, 3, 2, 4, 5).reshape(b, h * w, c))

    return Model(run, a=nn.Linear(8, 8), attention=nn.MultiheadAttention(8, 2, batch_first=True), out=nn.Linear(8, 8))


def translation(batch_first: bool) -> Any:
    def run(m: Any, ids: Any) -> Any:
        x = m.embed(ids)
        y = x[:, :-1]
        if not batch_first:
            x, y = x.transpose(0, 1), y.transpose(0, 1)
        later = nn.Transformer.generate_square_subsequent_mask(4)
        z = m.inner(x, y, tgt_mask=later)
        return m.out(z if batch_first else z.transpose(0, 1))

    inner = nn.Transformer(8, 2, 1, 1, 16, batch_first=batch_first)
    return Model(run, embed=nn.Embedding(9, 8), inner=inner, out=nn.Linear(8, 9))


def language_model() -> Any:
    def run(m: Any, ids: Any) -> Any:
        return m.out(m.lstm(m.embed(ids).permute(1, 0, 2))[0].transpose(0, 1))

    return Model(run, embed=nn.Embedding(9, 8), lstm=nn.LSTM(8, 8, 2), out=nn.Linear(8, 9))


def cached() -> Any:
    """Token after token, keys in a cache that is written and read in parts."""

    def run(m: Any, x: Any) -> Any:
        cache, outs = torch.zeros(len(x), x.shape[1], 8), []
        for t in range(x.shape[1]):
            cache[:, t] = m.key(x[:, t])
            k = cache[:, : t + 1]
            w = (m.query(x[:, t])[:, None] @ k.transpose(1, 2)).softmax(-1)
            outs.append(m.out((w @ k)[:, 0]))
        return torch.stack(outs, 1)

    return Model(run, query=nn.Linear(8, 8), key=nn.Linear(8, 8), out=nn.Linear(8, 8))


def siamese() -> Any:
    def run(m: Any, x: Any) -> Any:
        p, q = m.f(torch.cat([x[:, :8], x[:, 8:]])).chunk(2)
        return m.out(torch.cat([p, q], -1))

    return Model(run, f=nn.Linear(8, 8), out=nn.Linear(16, 2))


def einsums() -> Any:
    def run(m: Any, x: Any) -> Any:
        q, k, v = m.a(x).chunk(3, -1)
        w = torch.einsum("bid,bjd->bij", q, k).softmax(-1)
        return m.out(torch.einsum("bij,bjd->bid", w, v))

    return Model(run, a=nn.Linear(8, 12), out=nn.Linear(4, 8))


def queries() -> Any:
    """Attention of what is the same for all samples to what is not; sequences first."""

    def run(m: Any, x: Any) -> Any:
        q, k = m.learned.weight[:, None].expand(-1, len(x), -1), m.a(x).transpose(0, 1)
        return m.out(m.attention(q, k, k, need_weights=False)[0]).transpose(0, 1)

    attention = nn.MultiheadAttention(8, 2)
    return Model(run, learned=nn.Embedding(4, 8), a=nn.Linear(8, 8), attention=attention, out=nn.Linear(8, 8))


def denoiser() -> Any:
    """Channels in the middle, and a time step that is the same for all samples."""

    def run(m: Any, x: Any) -> Any:
        t = torch.full((len(x),), 0.3)
        step = m.time(torch.stack([t.sin(), t.cos()], -1).repeat(1, 4))
        h = m.first(F.silu(m.norm(x))) + step[:, :, None]
        return m.last(F.interpolate(m.up(h), scale_factor=0.5))

    first, up = nn.Conv1d(8, 8, 3, padding=1), nn.ConvTranspose1d(8, 8, 2, 2)
    return Model(run, time=nn.Linear(8, 8), norm=nn.GroupNorm(2, 8), first=first, up=up, last=nn.Conv1d(8, 8, 1))


def images(n: int) -> Any:
    return torch.randn(n, 3, 16, 16)


def numbers(n: int) -> Any:
    return torch.randint(9, (n, 5))


SPATIAL = {"reduce": "spatial_mean"}
KINDS: dict[str, Any] = {
    "residual network": (residual_network, images, "*", SPATIAL),
    "vision transformer": (
        vision_transformer,
        images,
        ["layers.*", "layers.*.linear1", "layers.*.self_attn", "head"],
        {},
    ),
    "windows": (windows, lambda n: torch.randn(n, 4, 4, 8), "*", {}),
    "translation": (
        lambda: translation(True),
        numbers,
        ["embed", "inner.*.layers.*", "out"],
        {},
    ),
    "translation, sequences first": (lambda: translation(False), numbers, "**", {}),
    "learned queries": (queries, lambda n: torch.randn(n, 5, 8), "*", {}),
    "language model": (language_model, lambda n: torch.randint(9, (n, 4)), "*", {}),
    "cached": (cached, lambda n: torch.randn(n, 4, 8), "*", {}),
    "siamese": (siamese, lambda n: torch.randn(n, 16), "*", {}),
    "einsums": (einsums, lambda n: torch.randn(n, 4, 8), "*", {}),
    "denoiser": (denoiser, lambda n: torch.randn(n, 8, 4), "*", SPATIAL),
}


@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_a_batch_is_the_run_of_its_sample_alone(kind: str, grad: bool) -> None:
    torch.manual_seed(0)
    make, inputs, modules, options = KINDS[kind]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")
        model, x = make().eval(), inputs(4)
    with torch.set_grad_enabled(grad):
        want = model(x)
        with Recorder(model, modules, dim=None, **options) as r:
            got = model(x)
            for i in range(4):
                model(x[i : i + 1])
    if kind != "vision transformer" or grad:  # fused layers compute apart where something inside is matched
        assert torch.equal(got, want)
    traces = r.traces()
    for one, alone in zip(traces[:4], traces[4:], strict=True):
        assert edges(one) == edges(alone)
        for p, q in zip(one.objects, alone.objects, strict=True):
            np.testing.assert_allclose(p.attribute, q.attribute, rtol=0, atol=1e-4)  # some 1,000 roundings of size 1


def test_a_cache_gives_the_edges_of_what_was_read_from_it() -> None:
    model = cached()
    with Recorder(model, "*") as r:
        model(torch.randn(2, 3, 8))
    found, ends = edges(r.traces()[0])
    assert ends == {"out", "out#2", "out#3"}
    assert found["out"] == {"key", "query"}
    assert found["out#2"] == {"key", "key#2", "query#2"}
    assert found["out#3"] == {"key", "key#2", "key#3", "query#3"}
    assert not found["query#2"] | found["key#3"]


def test_rows_written_one_after_the_other_are_a_chain() -> None:
    def run(m: Any, x: Any) -> Any:
        out = torch.zeros(4, len(x), 8)
        out[0] = m.f(x)
        for t in range(1, 4):
            out[t] = m.f(out[t - 1])
        return m.out(out[-1])

    model = Model(run, f=nn.Linear(8, 8), out=nn.Linear(8, 2))
    with Recorder(model, "*") as r:
        model(torch.randn(2, 8))
    found, _ = edges(r.traces()[1])
    assert found == {"f": set(), "f#2": {"f"}, "f#3": {"f#2"}, "f#4": {"f#3"}, "out": {"f#4"}}


def replaced(m: Any, x: Any) -> Any:
    h = m.a(x) * 1
    h.copy_(m.b(x))
    return h


def cleared(m: Any, x: Any) -> Any:
    h = m.a(x) * 1
    return h.zero_() + m.b(x)


def refilled(m: Any, x: Any) -> Any:
    h = m.a(x) * 1
    torch.mul(m.b(x), 2, out=h)
    return h


def swapped(m: Any, x: Any) -> Any:
    h = m.a(x) * 1
    h.data = m.b(x)
    return h


def halves(m: Any, x: Any) -> Any:
    h = m.a(x) * 1
    h[:, :4] = m.b(x)[:, :4]
    return h[:, 1:3]


REPLACED: dict[str, Any] = {
    "copy_": replaced,
    "zero_": cleared,
    "out=": refilled,
    "data": swapped,
    "a part that alone is read": halves,
    "shape alone": lambda m, x: torch.zeros_like(m.a(x)) + m.b(x),
    "shape alone, new": lambda m, x: m.a(x).new_ones(len(x), 8) * m.b(x),
    "shape alone, view": lambda m, x: m.b(x).view_as(m.a(x)),
}


@pytest.mark.parametrize("kind", REPLACED)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference"])
def test_what_was_overwritten_or_gave_its_shape_alone_is_no_input(kind: str, mode: Any) -> None:
    model = Model(REPLACED[kind], a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    with mode(), Recorder(model, "*") as r:
        model(torch.randn(3, 8))
    assert edges(r.traces()[0]) == ({"b": set()}, {"b"})
