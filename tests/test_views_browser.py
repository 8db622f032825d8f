"""Pages in a real browser, headless Chromium: nothing is wider than the window, no text leaves its box, keys lead on.

They skip where there is no Chromium.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from views import HOSTILE, pages, tangled

import recsketch as rs
from recsketch.runs import drawing

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")
WIDTHS = (360, 800, 1600)


def dumped(file: Path, *more: str) -> str:
    """A file's elements after its scripts have run."""
    assert BROWSER is not None
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", *more]
    arguments += [f"--user-data-dir={file.parent / 'profile'}", "--disable-background-networking", "--dump-dom"]
    return subprocess.run(
        [BROWSER, *arguments, file.as_uri()], capture_output=True, check=True, timeout=300
    ).stdout.decode()


def seen(
    shown: list[tuple[str, int]], folder: Path, script: str, dark: bool = False, scripts: bool = True
) -> list[Any]:
    """What a script returns that runs in each page behind its own, in a frame of this width."""
    frames = []
    for page, width in shown:
        page = page if scripts else re.sub(r"<script>.*?</script>", "", page, flags=re.S)
        page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # which would refuse ours
        ours = f"parent.answers[{len(frames)}] = (() => {{{script}}})();"
        page = html.escape(page.replace("</body>", f"<script>{{{ours}}}</script></body>"))
        frames.append(f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>')
    last = "onload = () => { document.body.textContent = 'ANSWER' + JSON.stringify(answers) + 'END'; };"
    file = folder / "page.html"
    outer = f'<!DOCTYPE html><meta charset="utf-8"><body><script>var answers = []; {last}</script>{"".join(frames)}'
    file.write_text(outer, "utf-8")
    text = dumped(file, "--blink-settings=preferredColorScheme=0" if dark else "--mute-audio")
    found = re.search(r"ANSWER(.*?)END", text, re.S)
    assert found, text[-2000:]
    answers: list[Any] = json.loads(html.unescape(found[1]))
    assert len(answers) == len(shown)
    return answers


def noisy() -> rs.Unrolled:
    rng = np.random.default_rng(0)
    sk = rs.Sketcher(rs.SketchSpec(2048, {"char": 32, "line": 24, "page": 8}, 1, max_inputs=16), threads=1)
    return sk.unroll(sk.sketch(pages(4, 9)) + rng.standard_normal(2048).astype(np.float32) / 300)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A page of each kind, by name, of runs that are wide, deep, shared, partly read, and of long and hostile names."""
    folder = tmp_path_factory.mktemp("views")
    named = rs.Trace()
    long = ["W" * 200, HOSTILE, "文字" * 40, "a b " * 50]
    named.outputs([named.add(name, [1.0, 2.0], [named.add(n + "x", [0.5, 1.0]) for n in long]) for name in long])
    read = noisy()
    sections = {
        "unrolled": read.to_html(truth=pages(4, 10, seed=0), shapes={"char": (4, 8)}),
        "large": pages(20, 49).to_html(),
        "tangled": tangled(40, 1, 20).to_html(),
        "named": named.to_html(),
        "difference": rs.diff(pages(3, 9), pages(4, 9)).to_html(),
    }
    found = {
        name: drawing.document(name, [(HOSTILE if name == "named" else "run", text)]) for name, text in sections.items()
    }
    with rs.SketchRepository.open(folder / "r", rs.SketchSpec(512, {"char": 32, "line": 24, "page": 8}), mode="a") as r:
        r.add([pages(3, 4, seed=k) for k in range(6)], [f"{HOSTILE} {k}" for k in range(6)], objects=True)
        r.graph(least=-1).to_html(folder / "graph.html")
    found["graph"] = (folder / "graph.html").read_text("utf-8")
    return found


KINDS = ("unrolled", "large", "tangled", "named", "difference", "graph")


@pytest.fixture(scope="module")
def measured(views: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Any]:
    """Of each page at each width, all lists open: sizes, texts that leave the frame of their box, and what was run."""
    script = """
        for (const d of document.querySelectorAll("details")) d.open = true;
        const wide = document.scrollingElement.scrollWidth, frame = document.querySelector(".frame, #frame");
        const texts = [...frame.querySelectorAll("svg text")], wrong = texts.filter(text => {
          const box = text.parentNode.querySelector("rect");
          const a = text.getBoundingClientRect(), b = box.getBoundingClientRect();
          return a.left < b.left - 1 || a.right > b.right + 1;
        });
        return {inner: innerWidth, wide, right: frame.getBoundingClientRect().right, texts: texts.length,
                height: frame.querySelector("svg").clientHeight, wrong: wrong.map(text => text.textContent),
                made: document.querySelectorAll("b[onload], li script, svg script, h2 script").length};
    """
    cases = [(kind, width) for kind in KINDS for width in WIDTHS]
    folder = tmp_path_factory.mktemp("measured")
    found = seen([(views[kind], width) for kind, width in cases], folder, script)
    return dict(zip(cases, found, strict=True))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wider_than_the_window(measured: dict[tuple[str, int], Any], kind: str, width: int) -> None:
    """And no text is wider than its box, and no name became an element."""
    found = measured[kind, width]
    assert found["inner"] == width
    assert found["wide"] <= width
    assert found["right"] <= width
    assert found["height"] > 20
    assert found["texts"] > 5
    assert found["wrong"] == []
    assert found["made"] == 0


@pytest.mark.parametrize("dark", [False, True])
def test_both_themes_reach_the_page(views: dict[str, str], dark: bool, tmp_path: Path) -> None:
    from recsketch.views import palette

    script = """
        const of = e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color];
        const line = getComputedStyle(document.querySelector(".sure .l, .likely .l"));
        return [of(document.body), of(document.querySelector(".recsketch")), [line.fill, line.stroke]];
    """
    colours = palette.DARK if dark else palette.LIGHT
    ground, text, ink = (
        "rgb({}, {}, {})".format(*bytes.fromhex(colours[name][1:])) for name in ("ground", "text", "ink")
    )
    want = [ground, text]
    assert seen([(views["unrolled"], 800)], tmp_path, script, dark=dark) == [[want, want, ["none", ink]]]


def test_keys_lead_through_a_drawing(views: dict[str, str], tmp_path: Path) -> None:
    """One stop for Tab; along lines to the sides, up and down to neighbours; Enter to the list, which opens."""
    script = """
        const svg = document.querySelector(".frame svg"), nodes = [...svg.querySelectorAll(".n")];
        const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
        const stops = () => nodes.filter(node => node.getAttribute("tabindex") === "0").length;
        const found = {stops: [stops()], walk: []};
        nodes[0].focus();
        for (const key of ["", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"]) {
          press(key);
          found.walk.push(Number(document.activeElement.dataset.n));
        }
        found.stops.push(stops());
        found.near = svg.querySelectorAll(".edges .near").length;
        found.ring = getComputedStyle(document.activeElement.querySelector(".c")).strokeWidth;
        found.told = document.querySelector(".told").textContent;
        found.label = document.activeElement.getAttribute("aria-label");
        press("Enter");
        const row = document.activeElement.closest("li");
        found.number = Number(row.dataset.n);
        found.shown = row.getClientRects().length;
        return found;
    """
    (found,) = seen([(views["unrolled"].replace("transition:", "x:"), 1600)], tmp_path, script)
    assert found["stops"] == [1, 1]
    objects = noisy().objects
    page, line, char, beside, back, below, above = found["walk"]
    assert line in objects[page].inputs
    assert char in objects[line].inputs
    assert beside in objects[line].inputs  # the next in the same row
    assert beside != char
    assert back == char
    assert below != back
    assert above != below
    assert found["near"] >= 1
    assert found["ring"] == "3px"
    assert found["told"].startswith(found["label"])
    assert found["number"] == above
    assert found["shown"] >= 1


def test_all_is_there_without_the_script(views: dict[str, str], tmp_path: Path) -> None:
    script = """
        return [document.querySelectorAll("svg .n, li").length, document.querySelectorAll("summary").length,
                document.body.innerText.includes("Knowledge")];
    """
    kinds = [("unrolled", 80), ("graph", 15)]
    answers = seen([(views[kind], 800) for kind, _ in kinds], tmp_path, script, scripts=False)
    for (kind, items), (count, summaries, graph) in zip(kinds, answers, strict=True):
        assert count > items
        assert summaries > 3
        assert graph == (kind == "graph")


def test_many_fragments_share_a_page(tmp_path: Path) -> None:
    """As in a notebook: no id, so none twice, and the style of what stands around them is its own."""
    one, two = pages(2, 5).to_html(), noisy().to_html()
    start, end = "<!DOCTYPE html><html><body><p>own</p><table><tr><td>x</td></tr></table>", "</body></html>"
    page, bare = start + one + two + one + end, start + end
    script = """
        const names = ["font", "color", "margin", "padding", "backgroundColor"];
        const look = e => { const style = getComputedStyle(e); return names.map(name => style[name]); };
        return [["p", "table", "td", "body"].map(name => look(document.querySelector(name))),
                document.querySelectorAll(".recsketch [id]").length, document.querySelectorAll(".recsketch").length];
    """
    (ours, ids, count), (alone, _, _) = seen([(page, 800), (bare, 800)], tmp_path, script)
    assert ours == alone
    assert (ids, count) == (0, 3)


def test_a_page_runs_its_own_script_and_no_other(views: dict[str, str], tmp_path: Path) -> None:
    """The policies name the script by its hash: one that came in with a section does not run."""
    intruder = "<script>document.title = 'taken'</script><img src='data:,' onerror=\"document.title = 'taken'\">"
    file = tmp_path / "page.html"
    for kind, sign in (("unrolled", 'class="told"'), ("graph", 'aria-label="Legend"')):
        file.write_text(views[kind].replace("</h1>", "</h1>" + intruder), "utf-8")
        text = dumped(file)
        assert sign in text
        assert "<title>taken" not in text
    assert 'class="told"' not in views["unrolled"]
