"""The run as nested lists that open and close without a script: the drawing in words, and all that it leaves out."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import recsketch._check as _check
from recsketch.views.drawn import numbers, printable
from recsketch.views.scene import OUTPUTS, Only, Scene

_END = "</ul></details></li>"


def listing(scene: Scene, most: int, note: Callable[[Any], str], open_to: int = 2) -> str:
    """Items of `<details>` with a `<meter>` for every share, at most so many; the two upper levels are open.

    An object that several use is an item of each, and carries its number in `data-n`.
    """
    out: list[str] = []
    left, depth = most, 0

    def row(i: int, share: float) -> str:
        o = scene.objects[i]
        said = "" if isinstance(o, Only) else note(o)
        kind, words = scene.marks.get(i, ("", ""))
        mark = f'<em class="{kind}">{html.escape(printable(words))}</em> ' if kind else ""
        return (
            f'<meter value="{share:.3f}" title="weight {share:.3g}"></meter><b>{html.escape(printable(o.module))}</b> '
            f"{mark}<small>[{numbers(o.attribute)}]{html.escape(said)}</small>"
        )

    def more(owner: int) -> list[tuple[int, float] | str]:
        return [f"<li>{html.escape(printable(said))}</li>" for said in reversed(scene.more.get(owner, ()))]

    stack = [*more(OUTPUTS), *reversed(scene.of(OUTPUTS))]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            out.append(item)
            depth -= item == _END
            continue
        if not left:
            out.append(f"<li>… (more than {_check.count(most, 'object')})</li>{_END * depth}")
            break
        left -= 1
        number = f' data-n="{item[0]}"'
        members = [*more(item[0]), *reversed(scene.of(item[0]))]
        if not members:
            out.append(f"<li{number}>{row(*item)}</li>")
            continue
        out.append(f"<li{number}><details{' open' if depth < open_to else ''}><summary>{row(*item)}</summary><ul>")
        depth += 1
        stack.append(_END)
        stack.extend(members)
    return "".join(out)
