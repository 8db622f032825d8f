"""Plots of populations and comparisons: they show the numbers, name the extra, and the command line writes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
from recsketch.cli.main import main

SPEC = rs.SketchSpec.additive(512, {"page": 2, "li$n$e": 3}, seed=1)


def population(seed: int, rise: float) -> rs.Population:
    rng, found, runs = np.random.default_rng(seed), rs.Population(SPEC), []
    for _ in range(320):
        run = rs.Trace()
        lines = [run.add("li$n$e", rng.normal([0, rise, 0])) for _ in range(rng.integers(1, 4))]
        run.outputs([run.add("page", rng.standard_normal(2), inputs=lines)])
        runs.append(run)
    found.update(rs.Sketcher(SPEC).sketch(runs), groups=np.arange(320) // 10)
    return found


@pytest.fixture
def pyplot() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def points(ax: Any) -> list[tuple[float, float, Any]]:
    """Number of the row, x, and whether it is red, of every point that is drawn."""
    return sorted(
        (float(y), float(x), line.get_color() != "0.45")
        for line in (c.lines[0] for c in ax.containers)
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    )


def names(ax: Any) -> list[str]:
    return [t.get_text().replace(r"\$", "$") for t in ax.get_yticklabels()]


def test_a_reading_is_drawn(pyplot: Any) -> None:
    found = population(0, 0.0).read()
    ax = found.plot()
    assert names(ax) == ["page", "page > li$n$e"]
    assert [x for _, x, _ in points(ax)] == [p.per_run for p in found]
    (bars,) = ax.containers[0].lines[2]
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    for (low, high), p in zip(ends, found, strict=True):
        assert low == pytest.approx(p.per_run - 2.04 * p.per_run_error)
        assert high == pytest.approx(p.per_run + 2.04 * p.per_run_error)
    assert "320 runs, all of it" in ax.get_title()
    own = pyplot.figure().add_subplot()
    assert found.plot(own) is own
    ax.figure.canvas.draw()  # names with dollar signs are no mathematics


def test_a_comparison_is_drawn(pyplot: Any) -> None:
    found = rs.compare(population(0, 0.0), population(1, 1.0))
    ax = found.plot(most=3)
    order = np.argsort(found.adjusted, kind="stable")[:1].tolist()
    assert names(ax)[0] == f"page > li$n$e: {found.elements[order[0]]}" == "page > li$n$e: mean 1"
    assert len(names(ax)) == 3
    drawn = points(ax)
    assert drawn[0][1:] == (pytest.approx(found.t[order[0]]), True)
    assert not any(red for _, _, red in drawn[1:])
    bars = [c.lines[2][0].get_segments() for c in ax.containers]
    (low, high) = bars[1][0][:, 0]
    half = (found.high - found.low)[order[0]] / (found.effect[order[0]] / found.t[order[0]]) / 2
    assert (low, high) == (pytest.approx(drawn[0][1] - half), pytest.approx(drawn[0][1] + half))
    assert "1 of 2 paths changed, 3 of 7 elements" in ax.get_title()
    with pytest.raises(ValueError, match="most: wanted"):
        found.plot(most=0)


def test_the_command_line_draws(folder: Path, pyplot: Any, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = str(folder / "a.npz"), str(folder / "b.npz")
    population(0, 0.0).save(a)
    population(1, 1.0).save(b)
    svg, png = folder / "c.svg", folder / "p.png"
    assert main(["compare", a, b, "--plot", str(svg)]) == 0
    assert main(["population", a, "--plot", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    first = svg.read_bytes()
    assert b"<svg" in first
    assert main(["compare", a, b, "--plot", str(svg)]) == 0
    assert svg.read_bytes() == first  # no date, no random names
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["population", a, "--plot", str(folder / "p.gif")])
    assert "wanted a file name that ends in .svg or .png" in capsys.readouterr().err


def test_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = population(0, 0.0)
    found.save(folder / "a.npz")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"recsketch\[plot\]"):
        found.read().plot()
    assert main(["population", str(folder / "a.npz"), "--plot", str(folder / "p.svg")]) == 2
    assert "recsketch[plot]" in capsys.readouterr().err
    assert not (folder / "p.svg").exists()
