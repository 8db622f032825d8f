"""The pages that benchmarks write: from results that were written by hand, and those in docs/."""

from __future__ import annotations

import ast
import copy
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
RESULTS: dict[str, Any] = {
    "recsketch": {
        "machine": "a machine, 2 cores",
        "command": "pytest benchmarks",
        "peers": {"numpy": "2.0", "fht-cpu": None},
        "about": {"test_speed_of_fwht": "Transforms.\n\nThe limit is a copy.\n"},
    },
    "benchmarks": [
        {
            "fullname": "benchmarks/test_speed_of_fwht.py::test_fwht[1x64]",
            "params": {"case": "1x64"},
            "extra_info": {
                "amount": 1000,
                "unit": "bytes",
                "contenders": [
                    {
                        "name": "recsketch",
                        "role": "ours",
                        "threads": 1,
                        "seconds": [9e-7, 1e-6, 2e-6],
                        "ratio": [1, 1, 1],
                    },
                    {
                        "name": "two",
                        "role": "ours",
                        "threads": 2,
                        "seconds": [4e-7, 5e-7, 6e-7],
                        "ratio": [0.4, 0.5, 0.6],
                    },
                    {"name": "slow", "role": "peer", "threads": 1, "seconds": [3e-6, 4e-6, 5e-6], "ratio": [3, 4, 5]},
                    {"name": "copy", "role": "limit", "threads": 1, "seconds": [2e-7] * 3, "ratio": [0.2, 0.25, 0.3]},
                ],
            },
        },
        {
            "fullname": "benchmarks/test_speed_of_fwht.py::test_fwht[4096x4096]",
            "params": {"case": "4096x4096"},
            "extra_info": {
                "amount": 3e9,
                "unit": "objects",
                "contenders": [
                    {"name": "recsketch", "role": "ours", "threads": 1, "seconds": [1, 1.5, 2], "ratio": [1, 1, 1]},
                    {"name": "fast", "role": "peer", "threads": 1, "seconds": [1, 1, 1], "ratio": [0.5, 0.75, 0.8]},
                    {"name": "other", "role": "variant", "threads": 1, "seconds": [2, 3, 4], "ratio": [1, 1234, 2000]},
                ],
            },
        },
        {"fullname": "benchmarks/test_speed_of_import.py::test_import[numpy]", "params": {}, "extra_info": {}},
    ],
}
TABLE = """
| case | recsketch | rate | 2 threads | slow | fast | other | limit reached |
|---|---|---|---|---|---|---|---|
| 1 × 64 | 1.00 µs | 1.00 GB/s | 0.5 µs, 2.0× | 4.0× | – | – | 25% |
| 4096 × 4096 | 1.50 s | 2000 M objects/s | – | – | **0.75×** | 1,234× | – |
"""


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import report

    return report


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import figures

    return figures


def test_the_table(report: Any) -> None:
    page = report.page(RESULTS)
    assert TABLE in page
    assert "\n## Speed of fwht\n\nTransforms.\n\nThe limit is a copy.\n\nMeasured on a machine, 2 cores, by" in page
    assert "Peers: numpy 2.0; not installed, and so not measured: fht-cpu." in page
    assert "import" not in page.lower()  # has no contenders


def test_a_column_that_nothing_fills_is_left_out(report: Any) -> None:
    rows = report.topics(RESULTS)["test_speed_of_fwht"]
    assert report.table(rows[1:]).splitlines()[0] == "| case | recsketch | rate | fast | other |"


def test_a_page_keeps_the_topics_that_were_not_measured(report: Any) -> None:
    before = "# Benchmarks\n\nformer words\n\n## Speed of fwht\n\nformer\n\n## Speed of recursion\n\nkept\n"
    page = report.page(RESULTS, before)
    assert "former" not in page
    assert page.index("## Speed of recursion\n\nkept\n") < page.index("## Speed of fwht")
    assert report.page(RESULTS, page) == page


def test_the_command_writes_page_and_plots(
    report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    results = tmp_path / "results.json"
    results.write_text(report.json.dumps(RESULTS))
    monkeypatch.setattr(sys, "argv", ["report.py", str(results), "--docs", str(tmp_path)])
    plot, found = tmp_path / "benchmarks" / "fwht.svg", []
    for _ in range(2):
        report.main()
        found.append(plot.read_bytes())
    assert found[0] == found[1]  # nothing in it but the results
    assert b"4096 \xc3\x97 4096" in found[0]
    assert TABLE in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "test_speed_of_fwht" in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named(report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit, match=re.escape("pip install '.[bench]'")):
        report.draw(report.topics(copy.deepcopy(RESULTS))["test_speed_of_fwht"], tmp_path / "x.svg")


def test_every_speed_has_a_section() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    topics = {p.stem for p in (ROOT / "benchmarks").glob("test_speed_of_*.py") if "contest(" in p.read_text("utf-8")}
    assert len(topics) == 12
    names = {t.removeprefix("test_speed_of_") for t in topics}
    assert set(re.findall(r"^## Speed of (\w+)$", page, flags=re.M)) == names
    assert set(re.findall(r"\]\(benchmarks/(\w+)\.svg\)", page)) == names
    assert {p.stem for p in (ROOT / "docs" / "benchmarks").iterdir()} == names


def test_the_page_has_the_words_of_the_benchmarks(report: Any) -> None:
    """What docs/benchmarks.md says of a topic is the docstring of its file, and its head is that of report.py."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.startswith(report.HEAD)
    for path in (ROOT / "benchmarks").glob("test_speed_of_*.py"):
        if "contest(" in (text := path.read_text("utf-8")):
            about = ast.get_docstring(ast.parse(text)) or ""
            assert f"## {report.title(path.stem)}\n\n{about}\n\nMeasured on" in page


FOUND = {
    "test_accuracy_of_recovery": "Measured on a machine, 2 cores, openblas 3.\n\n| figure | target | measured | how |\n"
    "|---|---|---|---|\n| error | ≤ 1e-06 | 1.5e-06 **short** | so |\n| other | – | 7 | so |",
    "test_speed_of_fwht": "Measured on a machine, 2 cores.\n\n| figure | target | measured | how |\n|---|---|---|---|\n"
    "| a | ≥ 1.3× | 1.20× **short** | so |\n| b | ≥ 2× | 1.00× (worst 3) **short** | so |\n| c | ≥ 1× | 9× | so |",
    "test_speed_of_scan": "Measured on a machine, 2 cores.\n\n| figure | target | measured | how |\n|---|---|---|---|\n"
    "| d | ≥ 1.3× | 1.40× | so |",
}


def test_shortfalls_are_told_by_who_is_affected(figures: Any) -> None:
    head, _, *lines = figures.shortfalls(FOUND, every=False).splitlines()
    assert "affected" in head
    assert lines == [
        "| read attributes of runs whose structure you know | 1 of 1 | error: 1.5e-06, wanted ≤ 1e-06 |",
        "| transform with `fwht` | 2 of 3 | b: 1.00× (worst 3), wanted ≥ 2× |",
    ]
    every = figures.shortfalls(FOUND, every=True).splitlines()
    assert every[-1].endswith("| b: 1.00× (worst 3), wanted ≥ 2×<br>a: 1.20×, wanted ≥ 1.3× |")


def test_headlines_stand_below_their_machines(figures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "HEADLINES", ("error", "d"))
    text = figures.headlines(FOUND)
    assert text.splitlines()[0] == "Measured on a machine, 2 cores."
    assert text.endswith("|---|---|---|\n| error | ≤ 1e-06 | 1.5e-06 **short** |\n| d | ≥ 1.3× | 1.40× |")
    other = {**FOUND, "test_speed_of_scan": FOUND["test_speed_of_scan"].replace("a machine", "another")}
    assert figures.headlines(other).startswith("Measured on a machine, 2 cores; and on another, 2 cores.\n\n")


def test_the_pages_have_the_figures_that_were_measured(figures: Any) -> None:
    """The summaries of docs/figures.md and docs/guide/promises.md follow from the tables of docs/figures.md."""
    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    found = figures.sections(page)
    assert set(found) == set(figures.TOPICS)
    assert figures.EXPLAINED in page
    assert figures.shortfalls(found, every=True) in page
    short = (ROOT / figures.PROMISES).read_text(encoding="utf-8")
    assert figures.headlines(found) in short
    assert figures.shortfalls(found, every=False) in short


def test_a_block_of_a_page_is_replaced(figures: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n<!-- y -->\nkept\n<!-- /y -->\n")
    figures.put_block(page, "x", "new")
    assert page.read_text() == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n<!-- y -->\nkept\n<!-- /y -->\n"
    figures.put_block(page, "z", "nowhere")
    assert "nowhere" not in page.read_text()


def test_without_a_compiler_copies_are_by_memcpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import machine
    import test_speed_of_recursion as recursion

    monkeypatch.setattr(machine, "_vector_loop", lambda: None)
    found = list(recursion.one_object(0))
    assert len(found) == len(recursion.TARGETS)
    assert all("copies by memcpy" in f.how for f in found)
