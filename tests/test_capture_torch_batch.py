"""Which rows are whose: batches that move, merge and are picked from; and what an object keeps of its rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_models import edges  # noqa: E402

from recsketch.capture.torch import Recorder  # noqa: E402
from recsketch.capture.torch.layout import FREE, Layout, contiguous, moved  # noqa: E402
from recsketch.capture.torch.regions import APART, CROSSING, INSIDE, Region, relation  # noqa: E402

B = 4


def attributes(r: Any, module: str) -> Any:
    """(runs, a): of the first call of a module."""
    return np.array([next(o.attribute for o in t.objects if o.module == module) for t in r.traces()])


def recorded(model: Any, modules: Any, *inputs: Any, **options: Any) -> Any:
    with torch.no_grad(), Recorder(model, modules, dim=None, **options) as r:
        model(*inputs)
    return r


class Function(nn.Module):
    """f(x, a, b), a and b being linear."""

    def __init__(self, f: Any, d: int = 8) -> None:
        super().__init__()
        self.a, self.b, self.f = nn.Linear(d, d), nn.Linear(d, d), f

    def forward(self, x: Any) -> Any:
        return self.f(x, self.a, self.b)


def later(x: Any, a: Any, b: Any) -> Any:
    return b(a(x.transpose(0, 1))).transpose(0, 1)


# Functions of x (B, T, 8) whose `a` sees x in some order, and what the mean over tokens of x is then found under.
MOVES: dict[str, Any] = {
    "as it is": lambda x, a, b: b(a(x)),
    "sequence first": later,
    "permuted": lambda x, a, b: b(a(x.permute(1, 0, 2))).movedim(1, 0),
    "T": lambda x, a, b: b(a(x.mT.mT.swapaxes(0, 1))),
    "copied": lambda x, a, b: b(a(x.transpose(0, 1).contiguous().clone())),
    "tokens as rows": lambda x, a, b: b(a(x.reshape(-1, 8))),
    "tokens as rows, sequence first": lambda x, a, b: b(a(x.transpose(0, 1).reshape(-1, 8))),
    "and back": lambda x, a, b: b(a(x.transpose(0, 1).reshape(-1, 8).view(x.shape[1], x.shape[0], 8))),
    "stacked": lambda x, a, b: b(a(torch.stack(list(x.unbind(1))))),
    "joined": lambda x, a, b: b(a(torch.cat([t[None] for t in x.unbind(1)]))),
    "set": lambda x, a, b: b(a(written(x))),
    "like": lambda x, a, b: b(a(torch.zeros_like(x) + x)),
    "einsum": lambda x, a, b: b(a(torch.einsum("btd,de->tbe", x, torch.eye(8)))),
    "product": lambda x, a, b: b(a((torch.eye(8) @ x.permute(1, 2, 0)).permute(0, 2, 1))),
    "half of features": lambda x, a, b: b(a(torch.cat(x.transpose(0, 1).chunk(2, -1), -1))),
    "broadcast": lambda x, a, b: b(a((x + torch.zeros(2, 1, 1, 1))[1])),
    "joined to itself": lambda x, a, b: b(a(torch.cat([x, x]))).chunk(2)[0],
    "joined, rows in turn": lambda x, a, b: b(a(torch.cat([x.reshape(-1, 8)] * 2))),
    "put back": lambda x, a, b: b(
        a(torch.zeros(x.shape[0], x.shape[1], 8).index_add(0, torch.arange(4), x[torch.arange(4)]))
    ),
    "softmax and back": lambda x, a, b: b(a(x.transpose(0, 1).sort(-1)[0].flip(-1).exp().log())),
}


def written(x: Any) -> Any:
    out = torch.zeros(x.shape[1], x.shape[0], 8)
    for t in range(x.shape[1]):
        out[t] = x[:, t]
    return out


@pytest.mark.parametrize("tokens", [B, 3, 1])
@pytest.mark.parametrize("name", MOVES)
def test_the_batch_is_followed(name: str, tokens: int) -> None:
    """Where B = T, a shape does not say which dimension is the batch; what came of the inputs does."""
    torch.manual_seed(0)
    model, x = Function(MOVES[name]), torch.randn(B, tokens, 8)
    if name.startswith("softmax"):
        x = x.sort(-1, descending=True)[0]
    r = recorded(model, ["a", "b"], x)
    with torch.no_grad():
        want = model.a(x).mean(1).numpy()
    np.testing.assert_allclose(attributes(r, "a"), want, rtol=0, atol=1e-6)  # sums of 8 products of size 1


@pytest.mark.parametrize("tokens", [B, 5])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["lstm", "gru", "attention", "layer", "encoder"])
def test_modules_of_torch_are_followed(kind: str, first: bool, tokens: int) -> None:
    torch.manual_seed(0)
    make = {
        "lstm": lambda: nn.LSTM(8, 8, 2, batch_first=first),
        "gru": lambda: nn.GRU(8, 8, batch_first=first),
        "attention": lambda: nn.MultiheadAttention(8, 2, batch_first=first),
        "layer": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=first),
        "encoder": lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=first), 1, enable_nested_tensor=False
        ),
    }[kind]

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.states, self.head = make(), nn.Identity(), nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            x = x if first else x.transpose(0, 1)
            y = self.inner(x, x, x) if kind == "attention" else self.inner(x)
            y = y if isinstance(y, tuple) else (y, y)
            h = y[1][0] if kind == "lstm" else y[1]
            z = y[0] if first else y[0].transpose(0, 1)
            return self.head(z.mean(1)) + (self.states(h).sum() if kind in ("lstm", "gru") else 0)

    model, x = Model().eval(), torch.randn(B, tokens, 8)
    r = recorded(model, ["inner", "states", "head"] if kind in ("lstm", "gru") else ["inner", "head"], x)
    alone = [recorded(model, ["inner"], x[i : i + 1]) for i in range(B)]
    want = np.concatenate([attributes(q, "inner") for q in alone])
    np.testing.assert_allclose(attributes(r, "inner"), want, rtol=0, atol=1e-5)
    if kind in ("lstm", "gru"):
        states = [recorded(model, ["states"], x[i : i + 1]) for i in range(B)]
        np.testing.assert_allclose(
            attributes(r, "states"), np.concatenate([attributes(q, "states") for q in states]), rtol=0, atol=1e-5
        )


def unknown(x: Any, a: Any, b: Any) -> Any:
    return a(torch.from_numpy(x.transpose(0, 1).numpy().copy()))


@pytest.mark.filterwarnings("ignore:.*no function of PyTorch was seen")
def test_a_batch_that_cannot_be_followed_is_never_wrong_in_silence() -> None:
    torch.manual_seed(0)
    for f in (unknown, lambda x, a, b: a(torch.kron(torch.ones(1), x.transpose(0, 1)))):
        model = Function(f)
        with pytest.raises(ValueError, match=r"'a': wanted 4 samples along dimension 0, or batch_dim=.*\(3, 4, 8\)"):
            recorded(model, ["a"], torch.randn(B, 3, 8))
        x = torch.randn(B, B, 8)
        with pytest.warns(UserWarning, match=r"'a': dimension 0 of shape \(4, 4, 8\) is taken for the batch"):
            recorded(model, ["a"], x)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*taken for the batch")
            r = recorded(model, ["a"], x, batch_dim={"a": 1})
        with torch.no_grad():
            np.testing.assert_allclose(attributes(r, "a"), model.a(x).mean(1).numpy(), rtol=0, atol=1e-6)


def test_rows_that_were_shuffled_are_refused() -> None:
    for f in (
        lambda x, a, b: a(x.flip(0)),
        lambda x, a, b: a(x[1:]),
        lambda x, a, b: a(torch.zeros(4, x.shape[1], 8).index_add(0, torch.arange(4).flip(0), x[torch.arange(4)])),
        lambda x, a, b: a(x[0]),
        lambda x, a, b: a(torch.cat([x, torch.zeros(4, x.shape[1], 8)])),
    ):
        for tokens in (B, 3):
            with pytest.raises(ValueError, match="picked from the batch"):
                recorded(Function(f), ["a"], torch.randn(B, tokens, 8))


@pytest.mark.parametrize("modules", ["layers.*", "layers.*.linear1", "layers.*.**"])
def test_modules_that_say_another_order_are_told(modules: str) -> None:
    """Inputs with sequences first are taken for a batch unless `batch_dim` says so; modules that know better object."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")
        model = nn.TransformerEncoder(layer, 2).eval()
    for tokens in (5, B):
        x = torch.randn(tokens, B, 8)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            recorded(model, modules, x)
        says = "batch_first=False, but the batch of the model's inputs is in dimension 0"
        assert any(says in str(w.message) for w in told)
        r = recorded(model, modules, x, batch_dim=1)
        alone = [recorded(model, modules, x[:, i : i + 1], batch_dim=1) for i in range(B)]
        for one, q in zip(r.traces(), alone, strict=True):
            assert edges(one) == edges(q.traces()[0])
            for p, o in zip(one.objects, q.traces()[0].objects, strict=True):
                np.testing.assert_allclose(p.attribute, o.attribute, rtol=0, atol=1e-5)


def test_inputs_with_sequences_first() -> None:
    torch.manual_seed(0)
    model, x = Function(lambda x, a, b: b(a(x).mean(0))), torch.randn(5, B, 8)
    r = recorded(model, "*", x, batch_dim=1)
    with torch.no_grad():
        np.testing.assert_allclose(attributes(r, "a"), model.a(x).mean(0).numpy(), rtol=0, atol=1e-6)
        np.testing.assert_allclose(attributes(r, "b"), model(x).numpy(), rtol=0, atol=1e-6)
    again = recorded(model, "*", x, batch_dim={"": 1})
    assert again.batch() == r.batch()


@pytest.mark.parametrize("tokens", [B, 3])
def test_what_is_the_same_for_all_samples_is_in_all_runs(tokens: int) -> None:
    """A table of positions, (T, 8) or (1, T, 8), has no batch, even where T = B."""
    torch.manual_seed(0)

    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place, self.also, self.a = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            p = self.place(torch.arange(x.shape[1]))
            return self.a(x + p + self.also(p[None].expand(len(x), -1, -1)))

    model = Placed()
    r = recorded(model, "*", torch.randn(B, tokens, 8))
    with torch.no_grad():
        p = model.place.weight[:tokens]
        np.testing.assert_allclose(attributes(r, "place"), np.tile(p.mean(0), (B, 1)), rtol=0, atol=1e-6)
        np.testing.assert_allclose(attributes(r, "also"), np.tile(model.also(p).mean(0), (B, 1)), rtol=0, atol=1e-6)


# ---------------------------------------------------------------- what an object keeps


def encoder() -> Any:
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))

        def forward(self, x: Any, src_key_padding_mask: Any = None) -> Any:
            for layer in self.layers:
                x = layer(x, src_key_padding_mask=src_key_padding_mask)
            return x

    return Model().eval()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("reduce", ["token_mean", "last_token", "cls"])
@pytest.mark.parametrize("given", ["found", "function"])
def test_padding_is_no_token(side: str, reduce: str, given: str) -> None:
    model, lengths = encoder(), [5, 2, 3, 5]
    x, pad = torch.randn(4, 5, 8), torch.ones(4, 5, dtype=torch.bool)
    for i, n in enumerate(lengths):
        pad[i] = torch.arange(5) >= n if side == "right" else torch.arange(5) < 5 - n
    x[pad] = 1e4  # it would be seen
    mask = None if given == "found" else lambda a: ~a["src_key_padding_mask"]
    with torch.no_grad(), Recorder(model, "layers.*", dim=None, reduce=reduce, mask=mask) as r:
        model(x, src_key_padding_mask=pad)
        for i in range(4):
            own = x[i][~pad[i]][None]
            model(own, src_key_padding_mask=torch.zeros(1, len(own[0]), dtype=torch.bool))
    for module in ("layers.0", "layers.1"):
        found = attributes(r, module)
        np.testing.assert_allclose(found[:4], found[4:], rtol=0, atol=1e-5)


class Heads(nn.Module):
    """Takes transformers' mask, and gives outputs of many shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.image, self.vector, self.number = (nn.Identity() for _ in range(4))

    def forward(self, x: Any, attention_mask: Any = None) -> Any:
        y = self.tokens(x).sum((1, 2)) + self.image(x.reshape(len(x), 3, 2, 4)).sum((1, 2, 3))
        return y + self.vector(x[:, 0]).sum(1) + self.number(x[:, 0, 0])


def test_reducers() -> None:
    x, keep = torch.randn(B, 3, 8), torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 0, 0]])
    cases: list[tuple[Any, str, Any]] = [
        ("token_mean", "tokens", x.mean(1)),
        ("last_token", "tokens", x[:, 2]),
        ("cls", "tokens", x[:, 0]),
        ("flatten", "tokens", x.flatten(1)),
        ("flatten", "image", x.flatten(1)),
        ("spatial_mean", "image", x.reshape(B, 3, 8).mean(2)),
        ("spatial_mean", "vector", x[:, 0]),
        ("token_mean", "vector", x[:, 0]),
        ("token_mean", "number", x[:, 0, :1]),
        (lambda y, mask: y.amax(1), "tokens", x.amax(1)),
        ({"t*": "cls", "**": "flatten"}, "tokens", x[:, 0]),
    ]
    for reduce, module, want in cases:
        r = recorded(Heads(), module, x, reduce=reduce)
        np.testing.assert_allclose(attributes(r, module), want, rtol=0, atol=1e-6)
    rows = torch.arange(3)
    masked = {"token_mean": torch.stack([x[0].mean(0), x[1, :2].mean(0), x[2, 1:].mean(0), 0 * x[3, 0]])}
    masked["last_token"] = x[rows.new_tensor(range(3)), rows.new_tensor([2, 1, 2])]
    masked["cls"] = x[rows.new_tensor(range(3)), rows.new_tensor([0, 0, 1])]
    for reduce, want in masked.items():
        r = recorded(Heads(), "tokens", x, keep, reduce=reduce)
        np.testing.assert_allclose(attributes(r, "tokens")[: len(want)], want, rtol=0, atol=1e-6)
    r = recorded(Heads(), "tokens", x, keep, mask="attention_mask")
    np.testing.assert_allclose(attributes(r, "tokens"), masked["token_mean"], rtol=0, atol=1e-6)
    r = recorded(Heads(), "tokens", x, keep, reduce=lambda y, mask: (y * mask[..., None]).sum(1))
    np.testing.assert_allclose(attributes(r, "tokens"), (x * keep[..., None]).sum(1), rtol=0, atol=1e-6)


def test_nan_in_padding_is_not_seen() -> None:
    x, keep = torch.randn(2, 3, 8), torch.tensor([[1, 1, 0], [1, 1, 1]])
    x[0, 2] = float("nan")
    for reduce in ("token_mean", "last_token", "cls"):
        r = recorded(Heads(), "tokens", x, keep, reduce=reduce)
        assert np.isfinite(attributes(r, "tokens")).all()


def test_long_vectors_are_projected() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8)
    whole = recorded(Heads(), "tokens", x, reduce="flatten")
    found = []
    for seed in (0, 0, 1):
        model = Heads()
        with Recorder(model, "tokens", reduce="flatten", dim=16, seed=seed) as r:
            model(x)
        found.append(attributes(r, "tokens"))
    rng = np.random.default_rng((0, 24))
    matrix = rng.standard_normal((24, 16), np.float32) / 4
    np.testing.assert_allclose(found[0], attributes(whole, "tokens") @ matrix, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    with Recorder(model, "vector", dim=16) as r:
        model(x)
    assert r.modules == {"vector": 8}  # shorter ones stay as they are


def test_a_mask_that_does_not_fit_is_told() -> None:
    class Longer(Heads):
        def forward(self, x: Any, attention_mask: Any = None) -> Any:
            return self.tokens(torch.cat([x[:, :1], x], 1)).sum()

    x, keep = torch.randn(2, 3, 8), torch.tensor([[1, 1, 0], [1, 1, 1]])
    with pytest.warns(UserWarning, match=r"'tokens': the mask does not fit shape \(2, 4, 8\)"):
        recorded(Longer(), "tokens", x, keep)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorded(Longer(), "tokens", x, torch.ones(2, 3))


# ---------------------------------------------------------------- the parts by themselves


def test_regions_against_all_elements() -> None:
    """2,000 pairs of random views of 60 elements: APART and INSIDE are never claimed where they are not so."""
    rng = np.random.default_rng(0)
    base, seen = np.arange(60), set()

    def view() -> Any:
        x = base.reshape([(60,), (6, 10), (3, 4, 5), (5, 12)][rng.integers(4)])
        x = x[tuple(slice(*sorted(rng.integers(0, n + 1, 2))) for n in x.shape)]
        return x.transpose(rng.permutation(x.ndim)) if rng.integers(2) else x

    for _ in range(2000):
        a, b = view(), view()
        elements = [set(x.ravel().tolist()) for x in (a, b)]
        regions = [
            Region(int(x.ravel()[0]) if x.size else 0, x.shape, tuple(s // x.itemsize for s in x.strides))
            for x in (a, b)
        ]
        said = relation(*regions)
        seen.add(said)
        if said == APART:
            assert not elements[0] & elements[1]
        if said == INSIDE:
            assert elements[0] <= elements[1]
        if a.ndim == b.ndim == 1:
            assert (said == APART) == (not elements[0] & elements[1])
    assert seen == {APART, INSIDE, CROSSING}


def test_layouts_after_reshaping_against_numbers() -> None:
    """Every element carries its sample's number through random shapes; the layout has to find it."""
    rng, followed = np.random.default_rng(0), 0
    for _ in range(500):
        n, t, d = (int(k) for k in rng.integers(2, 5, 3))
        x = np.broadcast_to(np.arange(n)[:, None, None], (n, t, d)).copy()
        layout = Layout(0)
        for _ in range(4):
            shapes = [
                (n, t, d),
                (t, n, d),
                (n * t, d),
                (n, t * d),
                (n * t * d,),
                (d, n, t),
                (1, n * t, d),
                (n, 1, t, d),
            ]
            new = shapes[rng.integers(len(shapes))]
            order = rng.permutation(x.ndim)
            y = x.transpose(order)
            layout = moved(layout, n, contiguous(x.shape), y.shape, [contiguous(x.shape)[i] for i in order])
            if layout.axis >= 0:
                x = np.ascontiguousarray(y)
                layout = moved(layout, n, contiguous(x.shape), new, contiguous(new))
                x = x.reshape(new)
            if layout.axis < 0:
                break
            number = np.arange(x.shape[layout.axis]) // layout.inner % n
            shape = [-1 if i == layout.axis else 1 for i in range(x.ndim)]
            np.testing.assert_array_equal(x, np.broadcast_to(number.reshape(shape), x.shape))
            followed += 1
    assert followed > 800
    assert FREE.axis < 0
