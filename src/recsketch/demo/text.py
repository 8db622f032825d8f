"""The demo's figures as text for people."""

from __future__ import annotations

from recsketch.demo.agents import agent_text
from recsketch.demo.population import population_text
from recsketch.demo.run import Example, Figures
from recsketch.display.terminal import Style, bar, beside, heading, paragraph, percent, shade, significant, table
from recsketch.runs import drawing

TREE_LINES = 12
"""Of each of the two trees."""


def demo_text(figures: Figures, example: Example, *, style: Style) -> str:
    """Lay the figures of :func:`run_demo` out for a terminal.

    Parameters
    ----------
    figures : dict
        As :func:`run_demo` returns them.
    example : Example
    style : Style

    Returns
    -------
    str
        Ends without a newline; no line is wider than the style.
    """
    sections = (
        _opening,
        _recovery,
        _unrolling,
        _summary,
        _similarity,
        population_text,
        _erasure,
        _sizes,
        _cost,
        agent_text,
    )
    parts = [section(figures, style) for section in sections]
    parts.insert(1, _look(example, style))
    parts.insert(4, _trees(example, style))
    return "\n\n".join(parts)


def _opening(figures: Figures, style: Style) -> str:
    network = figures["network"]
    text = (
        f"A small modular network has read {network['pages']:,} pages of handwritten digits: page -> lines -> digits. "
        f"Every use of a module is an object with a vector, {significant(network['objects_mean'])} objects a page and "
        f"{network['objects_max']} at most. Each run was folded into one sketch of {figures['dim']:,} numbers, "
        f"which must hold {percent(network['load_mean'], digits=0)} of that many unknowns on average, "
        f"{percent(network['load_max'], digits=0)} at most. All below was measured just now, "
        f"in {figures['seconds']:.1f} s."
    )
    title = heading(f"recsketch {figures['version']} ({figures['isa']})", style=style)
    return f"{title}\n{paragraph(text, style=style)}\n\n{_trial(figures['trial'], style)}"


def _trial(t: Figures, style: Style) -> str:
    text = (
        f"The specification was fitted to these runs. A trial of it, with sketches stored as {t['storage']} and "
        f"nothing known of the runs: {t['whole']} of {t['tried']} come back whole, their vectors off by up to "
        f"{_optional(t['error'])} of their norms, from {t['bytes']:,.0f} bytes a run. As columns of float16 a run "
        f"takes {t['columns']:,.0f}."
    )
    return paragraph(" ".join([text, *t["advice"]]), style=style)


def _look(example: Example, style: Style) -> str:
    indent = "  "
    inner = Style(style.width - len(indent), style.unicode, style.color)
    lines = [heading("A page, read back from its sketch", style=style)]
    lines += [indent + row for row in shade(example.image, style=inner)]
    for name, values in (("page", example.labels), ("read", example.read)):
        marks = [" "] * inner.width
        for center, digit in zip(example.centers, values[0], strict=True):
            if center < len(marks):
                marks[center] = str(digit)
        text = " / ".join("".join(map(str, line)) for line in values)
        lines.append(indent + "".join(marks).rstrip())
        lines.append(f"{name}: {text}")
    picture, (page_marks, page_text, read_marks, read_text) = lines[:-4], lines[-4:]
    closing = [paragraph(text, style=style, indent=2) for text in (page_text, read_text)]
    if example.read == example.network != example.labels:
        note = "Where the two differ the network itself erred: it reads the same from its own vectors."
        closing.append(paragraph(note, style=style, indent=2))
    # What the network saw, then what was read from it; the printed truth only where the two differ.
    marks = [read_marks] if page_marks == read_marks else [page_marks, read_marks]
    return "\n".join([*picture, *marks, *closing])


def _recovery(figures: Figures, style: Style) -> str:
    rows = [
        [
            r["module"],
            str(r["depth"]),
            f"{r['objects']:,}",
            str(r["length"]),
            significant(r["error"]),
            significant(r["worst"]),
        ]
        for r in figures["recovery"]
    ]
    reading = figures["reading"]
    lines = [
        heading("Attributes recovered from the sketches, structure known", style=style),
        table(["module", "depth", "objects", "numbers", "rms error", "worst"], rows, style=style),
        paragraph("Errors are relative to the root mean square of the module's attributes.", style=style, indent=2),
        "",
        heading(f"Digits read by the network's last layer ({reading['digits']:,}, none seen in training)", style=style),
    ]
    for name, key in (("its own vectors", "network"), ("recovered ones", "sketch"), ("same answer", "agree")):
        lines.append(f"  {name:<16}{percent(reading[key]):>6}  {bar(reading[key], 20, style=style)}".rstrip())
    return "\n".join(lines)


def _unrolling(figures: Figures, style: Style) -> str:
    u = figures["unrolling"]
    text = (
        f"{u['pages']} sketches unrolled knowing only which module feeds which: {u['whole']} came back whole, every "
        f"object in its place and none besides ({u['claimed']} were said to be complete), {percent(u['found'])} of "
        f"{u['objects']:,} objects, {significant(1e3 * u['seconds_page'])} ms a page. Of the digits, "
        f"{percent(u['digits'])} are read right; the rms error of their vectors is {_optional(u['char_error'])}."
    )
    width = 10 if style.width >= 66 else 4
    lost = [
        [
            percent(r["erased"], digits=0),
            f"{r['kept']:,}",
            percent(r["whole"] / r["pages"], digits=0),
            bar(r["whole"] / r["pages"], width, style=style),
            percent(r["found"], digits=0),
            percent(r["digits"], digits=0),
            bar(r["digits"], width, style=style),
        ]
        for r in u["erased"]
    ]
    stored = [
        [
            r["dtype"],
            f"{r['bytes']:,}",
            f"{r['whole']} of {r['pages']}",
            percent(r["digits"]),
            _optional(r["char_error"]),
        ]
        for r in u["stored"]
    ]
    count = u["erased"][0]["pages"]
    return "\n".join(
        [
            heading("Unrolled from the sketch alone, structure unknown", style=style),
            paragraph(text, style=style, indent=2),
            "",
            heading(f"Unrolled with a part erased, {count} pages", style=style),
            table(["erased", "kept", "whole", "", "objects", "digits", ""], lost, style=style),
            "",
            heading(f"Unrolled from fewer bytes, {count} pages", style=style),
            table(["stored as", "bytes", "whole", "digits read", "rms error"], stored, style=style),
        ]
    )


def _trees(example: Example, style: Style) -> str:
    """The first page's run and what its sketch unrolled to."""
    shown = 4 if style.width >= 110 else 2
    true, read = (list(drawing.text(t, TREE_LINES, example.note, shown)) for t in example.trees)
    title = heading("That page's run, and what its sketch unrolled to", style=style)
    return "\n".join(
        [
            title,
            *beside(["true", *true], ["unrolled", *read], style=style),
            paragraph("Share, module, vector; of digits, what the last layer reads.", style=style, indent=2),
        ]
    )


def _summary(figures: Figures, style: Style) -> str:
    rows = [
        [
            r["module"],
            significant(r["count_true"], 3),
            significant(r["count_read"], 3),
            _optional(r["count_error"]),
            _optional(r["count_error_stated"]),
            _optional(r["mean_error"]),
        ]
        for r in figures["summary"]
    ]
    header = ["module", "count", "read", "rms error", "as stated", "mean's error"]
    note = "A mean's error is relative: answering zero would have an error of 1. Longer sketches read it better, below."
    return "\n".join(
        [
            heading("How often was a module used, and what did it say on average? Nothing unrolled", style=style),
            table(header, rows, style=style),
            paragraph(note, style=style, indent=2),
        ]
    )


def _optional(value: float | None) -> str:
    return "unknown" if value is None else significant(value)


def _similarity(figures: Figures, style: Style) -> str:
    s = figures["similarity"]
    text = (
        f"{s['queries']} pages were scanned again, with other margins, brightness and noise. Among {s['among']:,} "
        f"sketches the most similar one was the same page's in {percent(s['found'])} of the cases: "
        f"cosine {s['same_page']:.3f} (lowest {s['same_page_least']:.3f}) against {s['best_other']:.3f} "
        f"for the best other page (highest {s['best_other_most']:.3f})."
    )
    return f"{heading('The most similar page', style=style)}\n{paragraph(text, style=style, indent=2)}"


def _erasure(figures: Figures, style: Style) -> str:
    rows = [
        [
            percent(r["erased"], digits=0),
            f"{r['kept']:,}",
            percent(r["fits"], digits=0),
            significant(r["char_error"]),
            percent(r["digits"]),
            percent(r["found"]),
        ]
        for r in figures["erasure"]
    ]
    header = ["erased", "kept", "runs that fit", "rms error", "digits read", "page found"]
    return "\n".join(
        [
            heading("A part of every sketch erased", style=style),
            table(header, rows, style=style),
            paragraph("A run fits where it has no more unknowns than numbers are kept.", style=style, indent=2),
        ]
    )


def _sizes(figures: Figures, style: Style) -> str:
    rows = [
        [
            f"{r['dim']:,}",
            f"{r['bytes']:,}",
            f"{significant(r['of_raw'], 3)}x",
            percent(r["digits"]),
            _optional(r["count_error"]),
            _optional(r["mean_error"]),
            percent(r["found"]),
        ]
        for r in figures["sizes"]
    ]
    header = ["numbers", "bytes", "of raw", "digits read", "count error", "mean's error", "page found"]
    title = heading("Longer and shorter sketches of the same runs", style=style)
    note = "Counts and means are those of the digits; the bytes are compared with those of the raw objects."
    return "\n".join([title, table(header, rows, style=style), paragraph(note, style=style, indent=2)])


def _cost(figures: Figures, style: Style) -> str:
    c = figures["cost"]
    sketched, recovered = (significant(c[f"{what}_per_second"], 3) for what in ("sketches", "recoveries"))
    text = (
        f"{sketched} runs sketched a second, {recovered} recovered. A sketch takes {c['bytes_sketch']:,} bytes, "
        f"whatever the run; the raw objects at least {round(c['bytes_raw_mean']):,} on average "
        f"and {c['bytes_raw_max']:,} at most. "
    )
    if c["bytes_sketch"] > c["bytes_raw_mean"]:
        text += (
            "Exact recovery costs more than it compresses: what is bought is one fixed length, comparable by cosine, "
            "that survives erasure. The shorter sketches above save space."
        )
    return f"{heading('Speed and space', style=style)}\n{paragraph(text, style=style, indent=2)}"
