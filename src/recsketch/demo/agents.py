"""Runs that no network of ours made: an agent's traces of OpenTelemetry, read, sketched, and unrolled again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recsketch.capture.otlp import read_otlp
from recsketch.datasets import agent_traces
from recsketch.display.terminal import Style, heading, lines, paragraph
from recsketch.sketcher import Sketcher
from recsketch.sketching.packing import pack
from recsketch.sketching.spec import SketchSpec

TRACES = 60  # half of them choose the specification
SHOWN = 8  # lines of a tree


def agent_figures(seed: int) -> dict[str, Any]:
    """Of traces that chose nothing, unrolled from float16 with nothing known but the specification."""
    found = read_otlp(agent_traces(TRACES, seed=seed))
    half = TRACES // 2
    spec = SketchSpec.fitted(found.runs[:half], seed=seed)
    sketcher, rest = Sketcher(spec), found.runs[half:]
    unrolled = sketcher.unroll(pack(sketcher.sketch(rest), "float16"))
    whole = [
        u.complete and _walk(u, u.outputs) == _walk(run, run.output_ids) for u, run in zip(unrolled, rest, strict=True)
    ]
    largest = max(range(len(rest)), key=lambda i: len(unrolled[i].objects))
    return {
        "traces": len(found.runs),
        "spans": int(found.runs.objects[-1]),
        "errors": len(found.errors),
        "dim": spec.dim,
        "tried": len(rest),
        "whole": sum(whole),
        "tree": unrolled[largest].tree(SHOWN).splitlines(),
    }


def _walk(run: Any, outputs: Sequence[int]) -> list[tuple[int, str]]:
    """Depths and modules in the order of a tree's lines, which tell trees apart."""
    found: list[tuple[int, str]] = []
    left = [(0, i) for i in reversed(outputs)]
    while left:
        depth, i = left.pop()
        found.append((depth, run.objects[i].module))
        left += [(depth + 1, k) for k in reversed(run.objects[i].inputs)]
    return found


def agent_text(figures: dict[str, Any], style: Style) -> str:
    """The same for a terminal."""
    f = figures["agents"]
    text = (
        f"{f['traces']} traces of an agent with tools, {f['spans']:,} spans as OpenTelemetry exports them, were read "
        "as runs: a span is an object, its vector says how long it took, whether it failed, and its tokens. From "
        f"sketches of {f['dim']} numbers in 16 bits {f['whole']} of {f['tried']} runs that chose nothing came back "
        "whole; the largest:"
    )
    tree = ["  " + text for text in lines(f["tree"], style=Style(style.width - 2, style.unicode, style.color))]
    return "\n".join([heading("An agent's traces", style=style), paragraph(text, style=style, indent=2), *tree])
