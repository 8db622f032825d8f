"""A DAG of objects as an indented text, or as HTML, whose making is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import recsketch._check as _check
from recsketch._files import File, written
from recsketch.views.drawn import Beside as Beside
from recsketch.views.drawn import Drawing as Drawing
from recsketch.views.drawn import numbers as numbers
from recsketch.views.drawn import printable as printable

Note = Callable[[Any], str]  # what to say of an object behind its attribute


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


def page(
    drawing: Drawing,
    most: int,
    note: Note = lambda o: "",
    *,
    head: str = "",
    foot: str = "",
    shapes: Mapping[str, tuple[int, int]] | None = None,
    beside: Beside | None = None,
) -> str:
    """A fragment of HTML: the run drawn, and as a list of at most so many objects; `recsketch.views.page.page` says
    more."""
    from recsketch.views import page as pages

    return pages.page(drawing, most, note, head=head, foot=foot, shapes=shapes, beside=beside)


def document(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """A page that is one file, of headings, as texts, and what stands below each, as `page` returns it."""
    from recsketch.views import page as pages

    return pages.document(title, sections)


def save(path: File | None, title: str, fragment: str) -> str:
    """The fragment, which is also written as a page if there is a path."""
    if path is not None:
        with written(path) as file:
            file.write(document(title, [("", fragment)]).encode())
    return fragment
