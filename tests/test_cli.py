"""The command line: the demo's figures meet their bounds, text fits its terminal, errors are one line and exit code 2."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import recsketch as rs
from recsketch import cli, report
from recsketch.report import Style

ERASED = [0.0, 0.25, 0.5, 0.75]


def run(*args, check=True, **environment):
    """`python -m recsketch` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "recsketch", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def demo():
    """Figures of a third of the demo's pages."""
    done = run("demo", "--json", "--pages", 100, "--seed", 4)
    assert done.stderr == ""
    return strict_json(done.stdout)


@pytest.fixture
def saved(tmp_path):
    """A file of three small runs, a file of their specification, and both as objects."""
    rng = np.random.default_rng(0)
    traces = []
    for _ in range(3):
        trace = rs.Trace()
        leaves = [trace.add("char", rng.standard_normal(8)) for _ in range(4)]
        trace.outputs([trace.add("line", rng.standard_normal(5), inputs=leaves)])
        traces.append(trace)
    batch = rs.TraceBatch.from_traces(traces)
    spec = rs.SketchSpec(dim=256, modules={"line": 5, "char": 8}, seed=3)
    batch.save(tmp_path / "runs.npz")
    (tmp_path / "spec.json").write_text(spec.to_json(), encoding="utf-8")
    return tmp_path / "runs.npz", tmp_path / "spec.json", batch, spec


# ---------------------------------------------------------------- demo


def numbers(value):
    """Every number in nested figures."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [] if isinstance(value, str) else [value]


def test_demo_has_every_figure(demo):
    assert set(demo) >= {"network", "recovery", "reading", "summary", "similarity", "erasure", "sizes", "cost"}
    assert [r["module"] for r in demo["recovery"]] == [r["module"] for r in demo["summary"]] == ["page", "line", "char"]
    assert [r["depth"] for r in demo["recovery"]] == [1, 2, 3]
    assert [r["erased"] for r in demo["erasure"]] == ERASED
    assert all(math.isfinite(n) for n in numbers(demo))
    assert demo["version"] == rs.__version__
    assert demo["isa"] == rs.isa()
    # A third of the pages and the whole of the time: room for slow machines.
    assert demo["seconds"] < 30


def test_demo_counts_its_pages(demo):
    network = demo["network"]
    assert network["pages"] == 100
    assert 300 <= network["lines"] <= 600
    assert demo["reading"]["digits"] == network["digits"] == demo["recovery"][2]["objects"]
    assert demo["recovery"][1]["objects"] == network["lines"]
    assert network["segmented"] == 1
    assert network["objects_mean"] == pytest.approx(1 + (network["lines"] + network["digits"]) / 100)
    assert network["load_mean"] <= network["load_max"] <= 0.6


def test_demo_recovers_attributes_at_every_depth(demo):
    for row in demo["recovery"]:
        # A sketch is rounded to 2**-24. Depth 3 is damped, and a load below 0.6 amplifies: together below 1,000.
        assert row["error"] < 1000 * 2**-24
        assert row["worst"] < 10 * 1000 * 2**-24


def test_demo_reads_the_same_digits_from_recovered_vectors(demo):
    reading = demo["reading"]
    assert reading["agree"] == 1
    assert reading["sketch"] == reading["network"]
    # tests/test_datasets.py measures 0.971; four standard deviations.
    assert reading["network"] > 0.971 - 4 * math.sqrt(0.971 * 0.029 / reading["digits"])


def test_demo_finds_pages_scanned_again(demo):
    similarity = demo["similarity"]
    assert similarity["queries"] == similarity["among"] == 100
    assert similarity["found"] >= 0.99
    assert similarity["best_other"] < similarity["same_page"] <= 1 + 1e-6
    assert similarity["best_other_most"] < 1


def test_demo_degrades_gracefully(demo):
    rows = demo["erasure"]
    dim = demo["dim"]
    for before, after in zip(rows, rows[1:], strict=False):
        assert after["kept"] < before["kept"]
        assert after["digits"] <= before["digits"] + 0.02
        assert after["fits"] <= before["fits"]
    for row in rows:
        assert row["kept"] == dim - round(row["erased"] * dim)
        assert row["found"] >= 0.97
    assert rows[0]["fits"] == 1
    assert rows[0]["char_error"] < 1000 * 2**-24
    # At a quarter erased the load is below 0.8 everywhere: still exact.
    assert rows[1]["char_error"] < 1e-3
    # Most no longer fits, and still ten times as much is read as by guessing a number from 0 to 9 would be, at 0.1.
    assert rows[3]["digits"] > 0.2


def test_demo_summaries_are_near_the_truth(demo):
    page, line, char = demo["summary"]
    assert page["count_true"] == 1
    assert 3 <= line["count_true"] <= 6
    assert char["count_true"] == pytest.approx(demo["network"]["digits"] / 100)
    for row in (page, line, char):
        assert row["count_error"] < 0.5 * row["count_true"]
        assert row["mean_error"] < 1


def test_demo_compares_sizes_and_costs(demo):
    sizes, cost = demo["sizes"], demo["cost"]
    assert [row["dim"] for row in sizes] == [demo["dim"] >> k for k in range(len(sizes))]
    assert sizes[-1]["dim"] == 256
    for row in sizes:
        assert row["bytes"] == 4 * row["dim"]
        assert row["of_raw"] == pytest.approx(row["bytes"] / cost["bytes_raw_mean"])
    assert cost["bytes_sketch"] == 4 * demo["dim"]
    # 32-bit attributes alone; the load says how many there are.
    attributes = 4 * demo["network"]["load_mean"] * demo["dim"]
    assert attributes < cost["bytes_raw_mean"] < 1.2 * attributes
    assert cost["bytes_raw_mean"] < cost["bytes_raw_max"]
    assert cost["sketches_per_second"] > cost["recoveries_per_second"] > 0


@pytest.mark.parametrize(("columns", "encoding"), [(80, "utf-8"), (120, "utf-8"), (60, "ascii")])
def test_demo_text_fits_its_terminal(columns, encoding):
    done = run("demo", "--pages", 3, COLUMNS=str(columns), PYTHONIOENCODING=encoding)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert max(map(report.text_width, lines)) <= columns
    assert not any(line != line.rstrip() for line in lines)
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii() == (encoding == "ascii")
    for word in ("recovered", "Digits read", "most similar", "erased", "bytes"):
        assert word in done.stdout


# ---------------------------------------------------------------- other commands


def test_sketch_writes_what_the_sketcher_returns(saved, tmp_path):
    runs, spec_file, batch, spec = saved
    done = run("sketch", runs, "--spec", spec_file, "--out", tmp_path / "out.npz", "--threads", 1)
    assert "3 sketches of 256 numbers" in done.stdout
    with np.load(tmp_path / "out.npz", allow_pickle=False) as out:
        np.testing.assert_array_equal(out["sketches"], rs.Sketcher(spec).sketch(batch))
        assert rs.SketchSpec.from_json(str(out["spec"])) == spec
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.npz", "runs.npz", "spec.json"]


def test_sketch_works_in_pieces(saved, tmp_path, monkeypatch):
    runs, spec_file, batch, spec = saved
    monkeypatch.setattr(cli, "_CHUNK", 2)
    assert cli.main(["sketch", str(runs), "--spec", str(spec_file), "-o", str(tmp_path / "o.npz")]) == 0
    with np.load(tmp_path / "o.npz") as out:
        np.testing.assert_array_equal(out["sketches"], rs.Sketcher(spec).sketch(batch))


def test_summary_reads_counts_and_means(saved, tmp_path, capsys):
    runs, spec_file, batch, spec = saved
    assert cli.main(["sketch", str(runs), "--spec", str(spec_file), "-o", str(tmp_path / "o.npz")]) == 0
    capsys.readouterr()
    command = ["summary", str(tmp_path / "o.npz"), "--module", "char", "--below", "line"]
    assert cli.main([*command, "--json"]) == 0
    rows = strict_json(capsys.readouterr().out)
    sketcher = rs.Sketcher(spec)
    for row, sketch in zip(rows, sketcher.sketch(batch), strict=True):
        wanted = sketcher.summary(sketch, "char", below=("line",))
        assert row["count"] == pytest.approx(wanted.count)
        np.testing.assert_allclose(row["mean"], wanted.mean)
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 4
    assert "count" in text.splitlines()[0]


def test_info_names_version_and_instruction_set():
    text = run("info").stdout
    assert rs.__version__ in text
    assert rs.isa() in text


def test_version_and_help():
    assert run("--version").stdout.strip() == f"recsketch {rs.__version__}"
    text = run("--help").stdout
    for command in cli.COMMANDS:
        name = command.__name__.strip("_")
        assert name in text
        assert (command.__doc__ or "").split(".")[0] in " ".join(run(name, "--help").stdout.split())


def test_a_reader_that_stops_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "recsketch", "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


# ---------------------------------------------------------------- errors


def assert_refused(done, *words):
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("recsketch")
    for word in ("error: ", *words):
        assert word in done.stderr


@pytest.mark.parametrize(
    ("args", "word"),
    [
        ([], "COMMAND"),
        (["nothing"], "nothing"),
        (["demo", "--pages", "1"], "--pages"),
        (["demo", "--pages", "many"], "many"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--threads", "0"], "--threads"),
        (["demo", "--page", "5"], "--page"),
        (["sketch"], "TRACES.npz"),
        (["summary", "x.npz"], "--module"),
    ],
)
def test_wrong_arguments_are_refused(args, word):
    assert_refused(run(*args, check=False), word)


def test_missing_and_foreign_files_are_refused(saved, tmp_path):
    runs, spec_file, _, _ = saved
    out = tmp_path / "out.npz"
    junk, text = tmp_path / "junk.npz", tmp_path / "no.json"
    junk.write_bytes(b"PK\x03\x04 and then nothing of use")
    text.write_text('{"dim": 256}', encoding="utf-8")
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, sketches=np.array([{}], dtype=object), spec=np.array("{}"))

    def sketch(traces, spec, target):
        return run("sketch", traces, "--spec", spec, "--out", target, check=False)

    assert_refused(sketch(tmp_path / "none.npz", spec_file, out), "none.npz")
    assert_refused(sketch(runs, tmp_path / "none.json", out), "none.json")
    assert_refused(sketch(junk, spec_file, out), "junk.npz")
    assert_refused(sketch(array, spec_file, out), "array.npy")
    assert_refused(sketch(runs, text, out), "no.json")
    assert_refused(sketch(runs, runs, out), "runs.npz")
    assert_refused(sketch(runs, spec_file, tmp_path / "nowhere" / "out.npz"), "nowhere")
    for file in (junk, array, pickled, runs, tmp_path / "none.npz"):
        assert_refused(run("summary", file, "--module", "char", check=False), file.name)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith("out")]


def test_specification_without_the_module_is_refused(saved, tmp_path):
    runs, spec_file, _, _ = saved
    spec_file.write_text(rs.SketchSpec(dim=256, modules={"line": 5}, seed=3).to_json(), encoding="utf-8")
    done = run("sketch", runs, "--spec", spec_file, "--out", tmp_path / "o.npz", check=False)
    assert_refused(done, "char")


def test_sketches_of_another_shape_are_refused(saved, tmp_path):
    _, _, _, spec = saved
    for wrong in (np.zeros((2, 128), np.float32), np.zeros(256, np.float32), np.zeros((2, 256))):
        np.savez(tmp_path / "s.npz", sketches=wrong, spec=np.array(spec.to_json()))
        assert_refused(run("summary", tmp_path / "s.npz", "--module", "char", check=False), "(n, 256) float32")


def test_a_failed_write_leaves_nothing(tmp_path):
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        cli._write_npz(str(tmp_path / "x.npz"), a=Broken())
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- report


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode()


def test_style_follows_the_stream(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert Style.of(Terminal()) == Style(100, True, True)
    assert Style.of(Terminal("latin-1")) == Style(100, False, True)
    assert Style.of(io.StringIO()).color is False
    monkeypatch.setenv("NO_COLOR", "1")
    assert Style.of(Terminal()).color is False
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert Style.of(Terminal()).color is False
    for columns, width in (("1000", report.WIDTH[1]), ("1", report.WIDTH[0])):
        monkeypatch.setenv("COLUMNS", columns)
        assert Style.of(Terminal()).width == width
    monkeypatch.delenv("COLUMNS")
    assert Style.of(io.StringIO()).width == 80


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.5, 0.999, 1, -2, 7, math.nan, math.inf])
@pytest.mark.parametrize("width", [1, 7, 20])
def test_bars_have_their_width(share, width):
    for style in (Style(), Style(unicode=False)):
        drawn = report.bar(share, width, style=style)
        assert len(drawn) == width
        filled = sum({"#": 8, ".": 0, " ": 0}.get(c, "▏▎▍▌▋▊▉█".find(c) + 1) for c in drawn) / 8
        wanted = 0.0 if math.isnan(share) else min(max(share, 0), 1) * width
        assert abs(filled - wanted) <= (1 / 16 if style.unicode else 1 / 2) + 1e-9


def test_tables_align_and_keep_to_the_width():
    rows = [["a", "1"], ["ééé", "22"], ["頁", "3"], ["\x1b[1mb\x1b[0m", "44444"]]
    lines = report.table(["name", "n"], rows, style=Style(80)).splitlines()
    assert {report.text_width(line) for line in lines} == {2 + 4 + 2 + 5}
    narrow = report.table(["name", "value"], [["x" * 50, "1"]], style=Style(40))
    assert all(report.text_width(line) <= 40 for line in narrow.splitlines())
    assert "…" in narrow
    assert "~" in report.table(["name", "value"], [["x" * 50, "1"]], style=Style(40, unicode=False))
    assert "\x1b" in report.table(["a"], [["b"]], style=Style(color=True))
    with pytest.raises(ValueError, match="wanted 2 cells"):
        report.table(["a", "b"], [["c"]], style=Style())


def test_shades_follow_the_image():
    picture = report.shade(np.array([[0, 0.5, 1], [0, 0.5, 1], [1, 0, 0]]), style=Style())
    assert picture == [" ▒█", "▒"]
    assert report.shade(np.ones((2, 90)), style=Style(50)) == ["█" * 50]
    assert all(
        row.isascii() for row in report.shade(np.random.default_rng(0).random((8, 9)), style=Style(unicode=False))
    )


def test_percentages_never_round_to_certainty():
    assert report.percent(0.9996) == ">99.9%"
    assert report.percent(0.9991) == "99.9%"
    assert report.percent(0.0004) == "<0.1%"
    assert report.percent(1) == "100%"
    assert report.percent(0) == "0%"
    assert report.percent(0.997, digits=0) == ">99%"


def test_progress_speaks_to_terminals_only():
    terminal, pipe = Terminal(), io.StringIO()
    assert list(report.progress([1, 2, 3], "working", stream=terminal, delay=0)) == [1, 2, 3]
    assert "working" in terminal.text()
    assert terminal.text().endswith("\r")
    assert list(report.progress([1, 2, 3], "working", stream=pipe, delay=0)) == [1, 2, 3]
    assert pipe.getvalue() == ""
    quick = Terminal()
    assert list(report.progress([1], "working", stream=quick)) == [1]
    assert quick.text() == ""
