"""Turns what `pytest benchmarks` measured into docs/benchmarks.md and a plot a topic: no number is typed by hand.

python benchmarks/report.py [RESULTS.json] [--docs FOLDER]

RESULTS.json is what pytest-benchmark wrote, by default build/benchmarks.json. A topic that the results lack stays on
the page as it is. Plots need matplotlib, which pip install '.[bench]' brings.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from figures import TOPICS, title

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Benchmarks

This page says how fast each part of the package is, beside other packages and the limits of the machine.
`benchmarks/report.py` writes it from what `pytest benchmarks` measures. To measure again, with every peer:

```sh
pip install ".[bench-peers]"
pytest benchmarks
python benchmarks/report.py
```

`".[bench]"` leaves out PyTorch and other large peers; a peer that is missing is skipped. A row of a table is a case.
The contenders of a case ran in turn, round by round, in one process, warmed up, on random data. BLAS had one thread,
and the kernels that suit the machine. Times are medians, of the calling thread's CPU time for one thread and of wall
time for two. Ratios are medians of the ratios within a round:

- **2 threads** is the time on two threads, and how many times as fast as one thread that is.
- **N×** is the time of a peer over that of recsketch on as many threads; it is bold where the peer is faster. Another
  way of recsketch itself is compared in the same manner.
- **limit reached** is the time of the limit that the text names over that of recsketch. The limit does less than the
  whole work, so that 100% may be out of reach.

In the plots everything is on one thread unless its name says otherwise, and a bar goes from the lower to the upper
quartile of the rounds. [figures.md](figures.md) has the targets and says which of them are met.
"""
LIMIT = "limit reached"
# Okabe and Ito's palette, whose colours the colour-blind can tell apart, and a brown.
COLOURS = ("#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31")
MARKS = "osD^vP"


def topics(results: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The benchmarks that have contenders, grouped by the file they stand in."""
    found: dict[str, list[dict[str, Any]]] = {}
    for b in results["benchmarks"]:
        if "contenders" in b["extra_info"]:
            topic = Path(b["fullname"].partition("::")[0]).stem
            found.setdefault(topic, []).append({"case": tidy(b["params"]["case"]), **b["extra_info"]})
    return found


def tidy(name: str) -> str:
    return re.sub(r"(?<=\d)x(?=\d)", " × ", name)


def seconds(x: float) -> str:
    unit, scale = ("s", 1.0) if x >= 1 else ("ms", 1e3) if x >= 1e-3 else ("µs", 1e6)
    return f"{digits(x * scale)} {unit}"


def digits(x: float) -> str:
    """Three significant digits, or two where the number is below 1."""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.2g}"


def times(x: float) -> str:
    return f"{x:,.0f}×" if x >= 10 else f"{x:.1f}×" if x >= 1 else f"{x:.2f}×" if x >= 0.1 else f"{x:.2g}×"


def percent(x: float) -> str:
    return f"{x:.0%}" if x >= 0.1 else f"{100 * x:.2g}%"


def rate(row: dict[str, Any], took: float) -> str:
    speed = row["amount"] / took
    names = {"bytes": "GB/s", "flop": "GFlop/s"}
    if row["unit"] in names:
        return f"{digits(speed / 1e9)} {names[row['unit']]}"
    prefix, scale = ("M ", 1e6) if speed >= 1e6 else ("k ", 1e3) if speed >= 1e3 else ("", 1.0)
    return f"{digits(speed / scale)} {prefix}{row['unit']}/s"


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """Names of the peers and then of our own variants, in the order of their first appearance."""
    names = {c["name"]: c["role"] for row in rows for c in row["contenders"]}
    return [name for role in ("peer", "variant") for name, r in names.items() if r == role]


def table(rows: list[dict[str, Any]]) -> str:
    """A table with one line for each case."""
    names = columns(rows)
    lines = [["case", "recsketch", "rate", "2 threads", *names, LIMIT]]
    for row in rows:
        by_name = {c["name"]: c for c in row["contenders"]}
        one = next(c for c in row["contenders"] if c["role"] == "ours" and c["threads"] == 1)
        two = next((c for c in row["contenders"] if c["role"] == "ours" and c["threads"] > 1), None)
        bound = next((c for c in row["contenders"] if c["role"] == "limit"), None)
        took = one["seconds"][1]
        cells = [row["case"], seconds(took), rate(row, took)]
        cells.append(f"{seconds(two['seconds'][1])}, {times(1 / two['ratio'][1])}" if two else "–")
        cells += [_ratio(by_name[name]) if name in by_name else "–" for name in names]
        lines.append([*cells, percent(bound["ratio"][1]) if bound else "–"])
    used = [i for i in range(len(lines[0])) if any(line[i] != "–" for line in lines[1:])]
    text = ["| " + " | ".join(line[i] for i in used) + " |" for line in lines]
    return "\n".join([text[0], "|---" * len(used) + "|", *text[1:]])


def section(topic: str, rows: list[dict[str, Any]], made: dict[str, Any]) -> str:
    """What stands below a topic's title: its text, where it was measured, the table and the plot."""
    short = topic.removeprefix("test_speed_of_")
    there = ", ".join(f"{name} {version}" for name, version in made["peers"].items() if version)
    missing = ", ".join(name for name, version in made["peers"].items() if not version)
    where = f"Measured on {made['machine']}, by `{made['command']}`. Peers: {there}"
    where += f"; not installed, and so not measured: {missing}." if missing else "."
    plot = f"![times over that of recsketch, by case](benchmarks/{short}.svg)"
    return "\n\n".join([made["about"][topic].strip(), where, table(rows), plot])


def page(results: dict[str, Any], before: str = "") -> str:
    """The whole page; a topic that the results lack keeps its section of `before`."""
    old = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in before.split("\n## ")[1:]}
    new = {title(topic): section(topic, rows, results["recsketch"]) for topic, rows in topics(results).items()}
    found = {**old, **new}
    known = [title(topic) for topic in TOPICS]
    ordered = sorted(found, key=lambda name: known.index(name) if name in known else len(known))
    return "\n".join([HEAD, *(f"## {name}\n\n{found[name]}\n" for name in ordered)])


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Plot a line a case, on which every contender has a mark at its time over that of recsketch on one thread."""
    try:
        import matplotlib as mpl
    except ImportError as e:
        raise SystemExit("plots need matplotlib: pip install '.[bench]'") from e
    mpl.use("svg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    mpl.rcParams.update({"svg.hashsalt": "recsketch", "svg.fonttype": "none", "font.size": 9})
    figure, ax = plt.subplots(figsize=(9, 1.1 + 0.3 * len(rows)), layout="constrained")
    ax.axvline(1, color="#009e73", linewidth=1.5, label="recsketch", zorder=1)
    styles = _styles(rows)
    for i in range(0, len(rows), 2):
        ax.axhspan(i - 0.5, i + 0.5, color="#f2f2f2", zorder=0)
    for name, style in styles.items():
        found = [(i, c["ratio"]) for i, row in enumerate(rows) for c in row["contenders"] if _label(c) == name]
        middle = [r[1] for _, r in found]
        spread = [[r[1] - r[0] for _, r in found], [r[2] - r[1] for _, r in found]]
        ax.errorbar(middle, [i for i, _ in found], xerr=spread, linestyle="none", label=name, **style)
    ax.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlabel="time over that of recsketch on one thread (log scale)")
    low, high = ax.get_xlim()
    if high / low < 30:  # with ticks at decades alone, the axis might have a single label
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(rows)), [row["case"] for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.4)
    ax.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _label(c: dict[str, Any]) -> str:
    """The contender's name in a plot.

    It is empty for recsketch itself, which is the line at 1, and for peers on two threads, whose ratio is to two
    threads.
    """
    if c["role"] == "limit":
        return "limit"
    return c["name"] if (c["threads"] > 1) == (c["role"] == "ours") else ""


def _styles(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """How every mark of a topic is drawn, in the order of the legend."""
    labels = {_label(c): c["role"] for row in rows for c in row["contenders"]}
    shown = {role: [x for x, r in labels.items() if x and r == role] for role in ("ours", "peer", "variant", "limit")}
    common = {"markersize": 5.5, "elinewidth": 1.0, "zorder": 3}
    found = {x: {"marker": "<", "color": "#009e73", **common} for x in shown["ours"]}
    for i, x in enumerate(shown["peer"]):
        found[x] = {"marker": MARKS[i % len(MARKS)], "color": COLOURS[i % len(COLOURS)], **common}
    for i, x in enumerate(shown["variant"]):
        found[x] = {"marker": MARKS[i % len(MARKS)], "color": "#009e73", "markerfacecolor": "white", **common}
    for x in shown["limit"]:
        found[x] = {"marker": "|", "color": "black", "markeredgewidth": 2.0, **common, "markersize": 9}
    return found


def _ratio(c: dict[str, Any]) -> str:
    ratio = c["ratio"][1]
    return f"**{times(ratio)}**" if ratio < 1 and c["role"] == "peer" else times(ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / "build" / "benchmarks.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page goes (default: docs/)")
    args = parser.parse_args()
    if not args.results.exists():
        parser.error(f"{args.results}: no such file; pytest benchmarks writes it")
    results = json.loads(args.results.read_text(encoding="utf-8"))
    for topic, rows in topics(results).items():
        draw(rows, args.docs / "benchmarks" / f"{topic.removeprefix('test_speed_of_')}.svg")
    path = args.docs / "benchmarks.md"
    path.write_text(page(results, path.read_text(encoding="utf-8") if path.exists() else ""), encoding="utf-8")
    print(f"{path}: {', '.join(topics(results))}", file=sys.stderr)


if __name__ == "__main__":
    main()
