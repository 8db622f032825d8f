"""Runs of PyTorch models are recorded: six encoder layers of the shape of MiniLM-L6, a batch of 32, 32 tokens.

Measured against the same forward alone, on one thread. "layers" are the 6 layers, which run as PyTorch fuses them,
"sublayers" the 30 calls of attention, linear and normalising modules inside, for which the fused kernel has to be given
up without gradients; "unfused" is the model alone without it. The peer is torchlens, which logs all operations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from figure import Figure, at_most
from machine import Times, interleaved
from peers import optional

BATCH, TOKENS, D, HEADS, LAYERS = 32, 32, 384, 12, 6
SUBLAYERS = [f"layers.*.{m}" for m in ("self_attn", "linear1", "linear2", "norm1", "norm2")]
ROUNDS = (1, 5, 15)


def encoder() -> tuple[Any, Any]:
    """A model in eval mode with random weights, and its input."""
    torch = optional("torch")
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(D, HEADS, 4 * D, activation="gelu", batch_first=True)
    model = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False).eval()
    return model, torch.randn(BATCH, TOKENS, D)


def work(grad: bool) -> dict[str, Callable[[], object]]:
    from recsketch.capture.torch import Recorder

    torch, torchlens = optional("torch"), optional("torchlens")
    model, x = encoder()
    context = torch.enable_grad if grad else torch.no_grad

    def plain() -> object:
        with context():
            return model(x)

    def recorded(modules: list[str]) -> Callable[[], object]:
        def run() -> object:
            with context(), Recorder(model, modules) as r:
                model(x)
            return r

        return run

    def unfused() -> object:
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            return plain()
        finally:
            torch.backends.mha.set_fastpath_enabled(True)

    def logged() -> object:
        with context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torchlens.trace(model, [x])

    found = {"plain": plain, "layers": recorded(["layers.*"]), "sublayers": recorded(SUBLAYERS), "unfused": unfused}
    return found if torchlens is None else {**found, "torchlens": logged}


def timed(grad: bool, effort: int) -> dict[str, Times]:
    torch = optional("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return interleaved(work(grad), ROUNDS[effort])
    finally:
        torch.set_num_threads(threads)


def capture(effort: int) -> Iterator[Figure]:
    if optional("torch") is None:
        yield Figure("recording six layers over the forward alone", "≤ 1.1", "not measured", "PyTorch is not installed")
        return
    for grad in (False, True):
        t = timed(grad, effort)
        mode = "with gradients" if grad else "no_grad"
        peer = f", torchlens {t['torchlens'] / t['plain']:.2f}" if "torchlens" in t else ""
        how = f"batch {BATCH}, {TOKENS} tokens of {D}, one thread, the forward takes {t['plain'].median * 1e3:.0f} ms"
        how += f", {t['unfused'] / t['plain']:.2f} of that without the fused kernel{peer}"
        yield at_most(f"recording 6 layers over the forward alone, {mode}", 1.1, t["layers"] / t["plain"], how, ".3f")
        ratio = t["sublayers"] / t["plain"]
        yield at_most(f"recording 30 sublayers over the forward alone, {mode}", 1.3, ratio, how, ".3f")


FIGURES = (capture,)


@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
@pytest.mark.parametrize("name", ["plain", "layers", "sublayers", "unfused", "torchlens"])
def test_capture(benchmark: Any, name: str, grad: bool) -> None:
    pytest.importorskip("torch")
    run = work(grad).get(name)
    if run is None:
        pytest.skip("torchlens is not installed")
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
