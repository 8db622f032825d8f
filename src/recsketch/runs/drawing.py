"""A DAG of objects as an indented text, or as nested HTML that opens and closes without a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import recsketch._check as _check

Note = Callable[[Any], str]  # what to say of an object behind its attribute

# Of pages, under the class recsketch, so that a notebook's other cells keep their looks. Colors are the reader's own:
# nothing is set but shades of the text's, which are right on light and on dark ground.
STYLE = """<style>
.recsketch{font:14px/1.6 system-ui,sans-serif}
.recsketch ul{list-style:none;margin:0 0 0 .45em;padding:0 0 0 1.1em;border-left:1px solid #8885}
.recsketch>ul{margin:0;padding:0;border:0}
.recsketch li,.recsketch summary{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.recsketch summary{cursor:pointer}
.recsketch meter{width:4em;height:.8em;margin:0 .5em 0 .25em;vertical-align:-.05em}
.recsketch li>meter{margin-left:1.3em}
.recsketch small{opacity:.7;font:12px ui-monospace,monospace}
</style>"""

_DOCUMENT_STYLE = """<style>
:root{color-scheme:light dark}
body{font:14px/1.6 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.1em;margin:2em 0 0}
</style>"""


class Drawing(NamedTuple):
    """What is drawn: objects with `.module .attribute .inputs .weights`, the outputs' numbers and weights.

    With `shares`, weights are drawn as they are, else divided by their tuple's sum. `more` holds what else is to be
    said of tuples: texts by the number of the object whose inputs they are, -1 for the outputs.
    """

    objects: Sequence[Any]
    outputs: Sequence[int]
    weights: Sequence[float]
    shares: bool = False
    more: Mapping[int, Sequence[str]] = MappingProxyType({})

    def members(self, ids: Sequence[int], weights: Sequence[float]) -> list[tuple[int, float]]:
        """Numbers and shares of a tuple's members."""
        total = 1.0 if self.shares else sum(weights) or 1.0  # a batch is read before its weights are checked
        return [(i, w / total) for i, w in zip(ids, weights, strict=True)]

    def inputs(self, number: int) -> list[tuple[int, float]]:
        """Numbers and shares of an object's inputs."""
        o = self.objects[number]
        return self.members(o.inputs, o.weights) if o.inputs else []


def numbers(attribute: Any, shown: int = 4) -> str:
    """The first elements of a vector; what is below 1e-5 of its largest is shown as 0."""
    least = 1e-5 * float(abs(attribute).max())
    return " ".join("0" if abs(v) < least else f"{v:.3g}" for v in attribute[:shown]) + (
        " …" if attribute.size > shown else ""
    )


def text(drawing: Drawing, most: int, note: Note = lambda o: "", shown: int = 4) -> Iterator[str]:
    """Lines of an indented tree, outputs first, at most so many and so many elements each; shared objects appear at
    every use."""
    outputs = drawing.members(drawing.outputs, drawing.weights)
    stack: list[tuple[int | str, str, str, str]] = [(said, "", "", "") for said in reversed(drawing.more.get(-1, ()))]
    stack += [(i, "", "" if len(outputs) == 1 else f"{w:.2f} ", "") for i, w in reversed(outputs)]
    lines = 0
    while stack:
        i, lead, label, below = stack.pop()
        if lines == most:
            yield f"... (more than {_check.count(most, 'line')})"
            return
        lines += 1
        if isinstance(i, str):
            yield f"{lead}{printable(i)}"
            continue
        o = drawing.objects[i]
        yield f"{lead}{label}{printable(o.module)} [{numbers(o.attribute, shown)}]{note(o)}"
        members: list[tuple[int | str, str]] = [(j, f"{w:.2f} ") for j, w in drawing.inputs(i)]
        members += [(said, "") for said in drawing.more.get(i, ())]
        for k, (j, label) in reversed(list(enumerate(members))):
            last = k == len(members) - 1
            stack.append((j, below + ("└─ " if last else "├─ "), label, below + ("   " if last else "│  ")))


def page(drawing: Drawing, most: int, note: Note = lambda o: "") -> str:
    """Nested lists of `<details>` with a `<meter>` for every share, at most so many objects; escaped, no script."""
    import html  # its table of entities takes longer to load than the rest of this

    out: list[str] = [f'{STYLE}<div class="recsketch"><ul>']
    left = most

    def row(i: int, w: float) -> str:
        o = drawing.objects[i]
        return (
            f'<meter value="{w:.3f}" title="weight {w:.3g}"></meter><b>{html.escape(printable(o.module))}</b> '
            f"<small>[{numbers(o.attribute)}]{html.escape(note(o))}</small>"
        )

    end = "</ul></details></li>"

    def more(i: int) -> list[tuple[int, float] | str]:
        return [f"<li>{html.escape(printable(said))}</li>" for said in reversed(drawing.more.get(i, ()))]

    stack = [*more(-1), *reversed(drawing.members(drawing.outputs, drawing.weights))]
    depth = 0
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            depth -= item == end
            continue
        if not left:
            out.append(f"<li>… (more than {_check.count(most, 'object')})</li>{end * depth}")
            break
        left -= 1
        members = [*more(item[0]), *reversed(drawing.inputs(item[0]))]
        if not members:
            out.append(f"<li>{row(*item)}</li>")
            continue
        out.append(f"<li><details{' open' if depth < 2 else ''}><summary>{row(*item)}</summary><ul>")
        depth += 1
        stack.append(end)
        stack.extend(members)
    out.append("</ul></div>")
    return "".join(out)


def document(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """A self-contained HTML page.

    Parameters
    ----------
    title : str
    sections : iterable of (str, str)
        Of each a heading, a text, and what stands below it, HTML as `page` returns it.
    """
    import html

    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    parts = [f'<!DOCTYPE html>\n<html lang="en"><head>{head}{_DOCUMENT_STYLE}{STYLE}</head>\n<body>']
    parts.append(f"<h1>{html.escape(title)}</h1>")
    # One style serves all sections, and a page's body is no place for another.
    parts += [f"<h2>{html.escape(heading)}</h2>\n{below.replace(STYLE, '')}" for heading, below in sections]
    return "\n".join(parts) + "\n</body></html>\n"


def printable(name: str) -> str:
    """A module's name on one line: line ends and what moves a terminal's cursor are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
