"""A DAG of objects as an indented text, or as nested HTML that opens and closes without a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

Note = Callable[[Any], str]  # what to say of an object behind its attribute


class Drawing(NamedTuple):
    """What is drawn: objects with `.module .attribute .inputs .weights`, the outputs' numbers and weights."""

    objects: Sequence[Any]
    outputs: Sequence[int]
    weights: Sequence[float]

    def members(self, ids: Sequence[int], weights: Sequence[float]) -> list[tuple[int, float]]:
        """Numbers and shares of a tuple's members."""
        total = sum(weights)
        return [(i, w / total) for i, w in zip(ids, weights, strict=True)]

    def inputs(self, number: int) -> list[tuple[int, float]]:
        """Numbers and shares of an object's inputs."""
        o = self.objects[number]
        return self.members(o.inputs, o.weights) if o.inputs else []


def numbers(attribute: Any) -> str:
    """The first elements of a vector."""
    return " ".join(f"{v:.3g}" for v in attribute[:4]) + (" …" if attribute.size > 4 else "")


def text(drawing: Drawing, most: int, note: Note = lambda o: "") -> Iterator[str]:
    """Lines of an indented tree, outputs first, at most so many; shared objects appear at every use."""
    outputs = drawing.members(drawing.outputs, drawing.weights)
    stack = [(i, w, "", "" if len(outputs) == 1 else f"{w:.2f} ", "") for i, w in reversed(outputs)]
    lines = 0
    while stack:
        i, _, lead, label, below = stack.pop()
        if lines == most:
            yield f"... (more than {most} lines)"
            return
        lines += 1
        o = drawing.objects[i]
        yield f"{lead}{label}{o.module} [{numbers(o.attribute)}]{note(o)}"
        inputs = drawing.inputs(i)
        for k, (j, w) in reversed(list(enumerate(inputs))):
            last = k == len(inputs) - 1
            stack.append((j, w, below + ("└─ " if last else "├─ "), f"{w:.2f} ", below + ("   " if last else "│  ")))


def page(drawing: Drawing, most: int, note: Note = lambda o: "") -> str:
    """Nested `<details>` with a `<meter>` for every share, at most so many objects; escaped, no script."""
    import html  # its table of entities takes longer to load than the rest of this

    out: list[str] = []
    left = most

    def row(i: int, w: float) -> str:
        o = drawing.objects[i]
        return (
            f'<meter value="{w:.4f}" title="weight {w:.4f}"></meter> <b>{html.escape(o.module)}</b> '
            f"<small>[{numbers(o.attribute)}]{html.escape(note(o))}</small>"
        )

    stack: list[tuple[int, float] | str] = list(reversed(drawing.members(drawing.outputs, drawing.weights)))
    depth = 0
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            depth -= 1
            continue
        if not left:
            out.append("</div></details>" * depth + f"<p>… (more than {most} objects)</p>")
            return "".join(out)
        left -= 1
        inputs = drawing.inputs(item[0])
        if not inputs:
            out.append(f'<div style="margin-left:1.1em">{row(*item)}</div>')
            continue
        out.append(
            f'<details{" open" if depth < 2 else ""}><summary>{row(*item)}</summary><div style="margin-left:1.3em">'
        )
        depth += 1
        stack.append("</div></details>")
        stack.extend(reversed(inputs))
    return "".join(out)
