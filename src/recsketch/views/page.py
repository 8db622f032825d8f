"""Drawing, legend and list of a run as a fragment of HTML, and fragments as a page that is one file."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import recsketch._check as _check
from recsketch.views import palette
from recsketch.views.choice import DRAWN, LEVELS
from recsketch.views.drawn import Beside, Drawing
from recsketch.views.figure import LIKELY, SIGNS, Figure, figure
from recsketch.views.listing import listing
from recsketch.views.scene import Scene, scene

LISTED = 60  # a list of so many objects is open where there is no drawing to look at


@cache
def style() -> str:
    """The style of fragments: all of it under the class recsketch, so that a notebook's other cells keep their looks.

    JupyterLab and VS Code say by attributes whether they are dark, and are believed before the system is.
    """
    light, dark = (palette.variables(colours) for colours in (palette.LIGHT, palette.DARK))
    told = "[data-jp-theme-light={}] .recsketch"
    parts = [
        f":root.recsketch-page,.recsketch{{color-scheme:light;{light}}}",
        f"@media(prefers-color-scheme:dark){{:root.recsketch-page,.recsketch{{color-scheme:dark;{dark}}}}}",
        f"{told.format('false')},.vscode-dark .recsketch{{color-scheme:dark;{dark}}}",
        f"{told.format('true')},.vscode-light .recsketch{{color-scheme:light;{light}}}",
    ]
    return f"<style>\n{''.join(parts)}\n{_file('style.css')}</style>"


def page(
    drawing: Drawing,
    most: int,
    note: Callable[[Any], str],
    *,
    head: str = "",
    foot: str = "",
    shapes: Mapping[str, tuple[int, int]] | None = None,
    beside: Beside | None = None,
    drawn: int = DRAWN,
) -> str:
    """A fragment without a script and without ids, so that a page may hold many.

    Parameters
    ----------
    drawing : Drawing
    most : int
        Objects listed, each use counted.
    note : callable
        What to say of an object behind its attribute; escaped here.
    head, foot : str
        HTML that stands on top, and below the drawing.
    shapes : mapping from str to (int, int), optional
        Rows and columns of modules whose attributes are images.
    beside : Beside, optional
        Another run, marked where it differs.
    drawn : int
        Objects drawn.

    Raises
    ------
    ValueError, TypeError
        A shape is not two positive integers whose product is the length of its module's attributes.
    """
    whole = scene(drawing, beside)
    checked = _shapes(whole, {} if shapes is None else shapes)
    out = [f'{style()}<div class="recsketch">{head}']
    found = None
    if whole.of(-1) or whole.more.get(-1):
        found = figure(whole, checked, note, min(most, drawn))
        out.append(f'<div class="frame" role="region" aria-label="Drawing" tabindex="0">{found.svg}</div>')
        out.append(_legend(found, whole))
        hidden = found.choice.reached - found.choice.drawn
        if hidden > 0:
            said = f"Drawn are {found.choice.drawn:,} of {found.choice.reached:,} objects"
            first = "marked ones and then the heaviest" if whole.marks else "heaviest ones"
            how = f"{LEVELS} levels of them" if found.choice.deep else f"of tuples with many members the {first}"
            out.append(f"<p>{said}: {how}. The list has more.</p>")
        unused = len(whole.objects) - found.choice.reached
        if unused > 0:
            out.append(f"<p>Neither drawn nor listed: {_check.count(unused, 'object')} that no output is made of.</p>")
    out.append(foot)
    if found is not None:
        counted = _check.count(found.choice.reached, "object")
        out.append(f"<details><summary>The same as a list ({counted})</summary>")
        out.append(f'<ul class="top">{listing(whole, most, note)}</ul></details>')
    out.append("</div>")
    return "".join(out)


def _shapes(whole: Scene, shapes: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    checked: dict[str, tuple[int, int]] = {}
    if not isinstance(shapes, Mapping):
        raise TypeError(f"shapes: wanted a mapping from modules to (rows, columns); got {_check.describe(shapes)}")
    for module, shape in shapes.items():
        name = f"shapes[{_check.shown(module)}]"
        if not isinstance(shape, (tuple, list)) or len(shape) != 2:
            raise ValueError(f"{name}: wanted (rows, columns); got {_check.describe(shape)}")
        rows, columns = (_check.integer(f"{name}[{k}]", side, 1, 1 << 20) for k, side in enumerate(shape))
        checked[module] = rows, columns
    for o in whole.objects:
        if o.module in checked and checked[o.module][0] * checked[o.module][1] != len(o.attribute):
            rows, columns = checked[o.module]
            raise ValueError(
                f"shapes[{_check.shown(o.module)}]: wanted rows x columns = {len(o.attribute)}, as many as "
                f"the attribute has elements; got {rows} x {columns}"
            )
    return checked


def _legend(found: Figure, whole: Scene) -> str:
    seen, items = found.seen, []

    def entry(sample: str, text: str, classes: str = "") -> None:
        drawn = f'<svg aria-hidden="true" width="26" height="14"><g class="{classes}">{sample}</g></svg>'
        items.append(f"<li>{drawn}{html.escape(text)}</li>")

    box = '<rect class="c" x="1" y="1" width="24" height="12" rx="3"/>'
    if "weight" in seen:
        entry('<g class="edges"><path stroke-width="6" d="M0 7H26"/></g>', "width: weight in its tuple")
    if "tray" in seen:
        entry('<path class="w" d="M2 9h22"/>', "below a picture: weight beside its neighbours")
    if seen & {"sure", "likely", "doubt"}:
        entry(box, "certain", "n sure")
    if "likely" in seen:
        entry(box, f"confidence {LIKELY:.0%} or more", "n likely")
    if "doubt" in seen:
        entry(box, f"confidence below {LIKELY:.0%}", "n doubt")
    for kind, words in whole.words.items():
        if kind in seen:
            entry(f'{box}<text class="s" x="17" y="11">{SIGNS[kind]}</text>', words, f"n {kind}")
    if "e" in seen:
        sample = '<path class="e" d="M0 3h26v8h-26z"/><path class="l" d="M0 7H26"/>'
        entry(sample, "band or whisker: 2 standard errors either way")
    if "usual" in seen:
        entry('<text class="v" x="7" y="11">±</text>', "standard error of an element")
    if "t" in seen:
        entry('<path class="t" d="M0 7H26"/>', f"dashes: {whole.name}")
    if "pair" in seen:
        entry(
            '<rect class="c" x="1" y="2" width="11" height="11"/><rect class="c" x="14" y="2" width="11" height="11"/>',
            f"second image: {whole.name}",
            "n",
        )
    if not items:
        return ""
    return f'<ul class="key" aria-label="Legend">{"".join(items)}</ul>'


def document(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """A page that is one file and fetches nothing; its only script serves the keyboard, and it lets no other run.

    Parameters
    ----------
    title : str
    sections : iterable of (str, str)
        Of each a heading, a text, none if it is empty, and what stands below it, HTML as `page` returns it.
    """
    import base64
    import hashlib

    script = _file("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
    )
    own = f"<style>\n{_file('document.css')}</style>"
    parts = [f'<!DOCTYPE html>\n<html lang="en" class="recsketch-page"><head>{head}{style()}{own}</head>\n<body><main>']
    parts.append(f"<h1>{html.escape(title)}</h1>")
    # One style serves all sections, and a page's body is no place for another.
    for heading, below in sections:
        parts += [f"<h2>{html.escape(heading)}</h2>"] * bool(heading) + [below.replace(style(), "")]
    return "\n".join(parts) + f"\n</main><script>{script}</script></body></html>\n"


@cache
def _file(name: str) -> str:
    return (resources.files("recsketch.views") / name).read_text("utf-8")
