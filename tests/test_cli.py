"""The command line: the demo's figures meet bounds, text fits its terminal, errors are one line and exit code 2."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import recsketch as rs
from recsketch.cli import main as cli
from recsketch.demo.run import run_demo
from recsketch.display import terminal as report

ERASED = [0.0, 0.25, 0.5, 0.75]

# Rounding a sketch of norm 1.2 to float32 puts 2**-24 * 1.2 / sqrt(3 * 4096) on a coordinate. One digit of 36, its
# energy halved at each of three depths and once more for the counter, has amplitude sqrt(1 / 36) / 4 over 32 elements;
# a load of 0.55 adds sqrt(1 / 0.45). Together 2.2 * 2**-24 of its rms; the solver's float32 sweeps, ten roundings long,
# add a few times that.
ROUNDING = 32 * 2**-24


def environ(**more):
    """This process's environment; an editable install that rebuilds on import keeps quiet about it."""
    return {**os.environ, "SKBUILD_EDITABLE_VERBOSE": "0", **more}


def run(*args, check=True, **environment):
    """`python -m recsketch` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "recsketch", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environ(**environment),
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
    agents = demo["agents"]
    assert (agents["whole"], agents["errors"]) == (agents["tried"], 0)
    assert agents["spans"] > 5 * agents["traces"]
    assert set(demo) >= {"network", "recovery", "reading", "summary", "similarity", "erasure", "sizes", "cost"}
    assert [r["module"] for r in demo["recovery"]] == [r["module"] for r in demo["summary"]] == ["page", "line", "char"]
    assert [r["depth"] for r in demo["recovery"]] == [1, 2, 3]
    assert [r["erased"] for r in demo["erasure"]] == ERASED
    nothing = [r for r in demo["unrolling"]["erased"] if r["char_error"] is None]
    assert all(r["digits"] == 0 for r in nothing)  # no digit found, no error to tell of
    unrolling = demo.pop("unrolling")
    assert all(math.isfinite(n) for n in numbers([r for r in unrolling["erased"] if r not in nothing]))
    sizes = demo.pop("sizes")
    assert sizes[-1]["count_error"] is None  # more pooled unknowns than numbers: nothing is claimed
    claims = ("count_error", "mean_error")  # None where a count or a mean drowns in its error
    assert all(row[key] is None or math.isfinite(row[key]) for row in sizes for key in claims)
    plain = [{key: value for key, value in row.items() if key not in claims} for row in sizes]
    assert all(math.isfinite(n) for n in numbers([demo, plain]))
    demo |= {"sizes": sizes, "unrolling": unrolling}
    assert demo["version"] == rs.__version__
    assert demo["isa"] == rs.isa()
    assert demo["seconds"] > 0


def test_demo_of_a_repository(tmp_path):
    """Of 700 pages; the seeds are fixed, and so is all that comes out. A layout that appears on the way is found after
    13 to 36 of its pages in docs/figures.md, and here there are about 38."""
    done = run("demo", "--json", "--pages", 700, "--repository", tmp_path / "kept")
    found = strict_json(done.stdout)
    assert found["moved"]["first"] >= 0.95 * found["moved"]["tried"]
    assert found["digits"]["first"] >= 0.7 * found["digits"]["tried"]
    assert found["concepts"]["new"]
    assert all(c["pure"] >= 0.95 for c in found["concepts"]["found"])
    assert (tmp_path / "kept" / "graph.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with rs.SketchRepository.open(tmp_path / "kept" / "pages") as kept:
        assert len(kept) == 700
        assert str(kept.graph()) == found["graph"]
    assert (
        "wanted a folder that is not there yet"
        in run("demo", "--repository", tmp_path / "kept", "--pages", 640, check=False).stderr
    )
    assert "wanted at least 640" in run("demo", "--repository", tmp_path / "no", "--pages", 3, check=False).stderr


def test_demo_counts_its_pages(demo):
    network = demo["network"]
    assert network["pages"] == 100
    assert 300 <= network["lines"] <= 600
    assert demo["reading"]["digits"] == network["digits"] == demo["recovery"][2]["objects"]
    assert demo["recovery"][1]["objects"] == network["lines"]
    assert network["segmented"] == 1
    assert network["objects_mean"] == pytest.approx(1 + (network["lines"] + network["digits"]) / 100)
    assert network["load_mean"] <= network["load_max"] <= 0.6


def test_demo_tries_its_specification(demo):
    """Loads of at most 0.6 come back, from float16 with the error of that; bytes are those of a stored sketch."""
    trial = demo["trial"]
    assert (trial["whole"], trial["tried"], trial["storage"]) == (8, 8, "float16")
    assert 1e-4 < trial["error"] < 0.02
    assert trial["bytes"] == 2 * demo["dim"] + 12
    assert demo["cost"]["bytes_raw_mean"] / 4 < trial["columns"] < demo["cost"]["bytes_raw_max"]


def test_demo_recovers_attributes_at_every_depth(demo):
    for row in demo["recovery"]:
        assert row["error"] < ROUNDING
        # The largest of 300,000 errors, some of objects with a smaller share: 5 deviations times 4.
        assert row["worst"] < 20 * ROUNDING


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
    # Not 1: the scans differ, by noise of 1% and half a pixel of alignment.
    assert similarity["best_other"] < similarity["same_page"] < 0.9999
    assert similarity["best_other_most"] < 1


def test_demo_degrades_gracefully(demo):
    rows = demo["erasure"]
    dim = demo["dim"]
    for before, after in itertools.pairwise(rows):
        assert after["kept"] < before["kept"]
        assert after["digits"] <= before["digits"] + 0.02
        assert after["fits"] <= before["fits"]
    for row in rows:
        assert row["kept"] == dim - round(row["erased"] * dim)
        assert row["found"] >= 0.97
    assert rows[0]["fits"] == 1
    assert rows[0]["char_error"] < ROUNDING
    # At a quarter erased the load is below 0.8 everywhere: still exact, with twice the amplification.
    assert rows[1]["char_error"] < 2 * ROUNDING
    # Most runs no longer fit, so they cannot come back, but more is read than the tenth of guessing.
    assert rows[3]["fits"] < 0.5
    assert rows[3]["char_error"] > 0.1
    assert rows[3]["digits"] > 0.2


def test_demo_unrolls_pages_whose_structure_is_unknown(demo):
    u = demo["unrolling"]
    assert u["pages"] == 100
    assert u["whole"] == u["claimed"] == 100  # loads below 0.6
    assert u["found"] == 1
    assert u["explained"] == pytest.approx(1, abs=1e-6)
    assert u["digits"] == demo["reading"]["sketch"]
    assert u["char_error"] < 10 * ROUNDING  # the counters, each object's scale, are read as well
    assert u["seconds_page"] > 0
    assert [r["erased"] for r in u["erased"]] == [k / 10 for k in range(10)]
    for before, after in itertools.pairwise(u["erased"]):
        assert after["kept"] < before["kept"]
        assert after["whole"] <= before["whole"]
        assert after["digits"] <= before["digits"] + 0.02
    assert u["erased"][0]["whole"] == u["erased"][2]["whole"] == u["erased"][0]["pages"]
    assert u["erased"][9]["whole"] == 0
    assert u["erased"][9]["digits"] < 0.1
    full, half, quarter = u["stored"]
    assert full["bytes"] - 12 == 2 * (half["bytes"] - 12) == 4 * (quarter["bytes"] - 12) == 4 * demo["dim"]
    assert full["digits"] == half["digits"] == u["erased"][0]["digits"]
    assert full["char_error"] < half["char_error"] < quarter["char_error"] < 0.1
    assert quarter["whole"] == full["whole"]


def test_demo_summaries_are_near_the_truth(demo):
    page, line, char = demo["summary"]
    assert page["count_true"] == 1
    assert 3 <= line["count_true"] <= 6
    # Of 24 pages, whose digits scatter by about 7.
    assert char["count_true"] == pytest.approx(demo["network"]["digits"] / 100, abs=4 * 7 / math.sqrt(24))
    for row in (page, line, char):
        # The matrices are the same for all pages, so errors share most of their chance: four stated errors, no less.
        assert row["count_error"] <= 4 * row["count_error_stated"]
        assert abs(row["count_read"] - row["count_true"]) <= row["count_error"]
        assert row["means_seen"] > 0.5
        assert row["count_error"] == 0  # the pages unroll, and are counted
    assert char["mean_error"] < 1e-5


def test_demo_compares_sizes_and_costs(demo):
    sizes, cost = demo["sizes"], demo["cost"]
    assert [row["dim"] for row in sizes] == [4 * demo["dim"], demo["dim"], demo["dim"] // 4, demo["dim"] // 16]
    assert sizes[0]["count_error"] == sizes[1]["count_error"] == 0  # the pages unroll, and are counted
    assert sizes[0]["digits"] == sizes[1]["digits"] > sizes[2]["digits"] > sizes[3]["digits"]
    assert sizes[3]["found"] > 0.9
    for row in sizes:
        assert row["bytes"] == 4 * row["dim"]
        assert row["of_raw"] == pytest.approx(row["bytes"] / cost["bytes_raw_mean"])
    assert cost["bytes_sketch"] == 4 * demo["dim"]
    # 32-bit attributes, of which the load counts two unknowns an object more, of 24 and more; and the structure.
    unknowns = 4 * demo["network"]["load_mean"] * demo["dim"]
    assert 24 / 26 * unknowns < cost["bytes_raw_mean"] < 1.2 * unknowns
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
    for word in ("recovered", "Digits read", "unrolled", "float16", "most similar", "erased", "bytes"):
        assert word in done.stdout


@pytest.mark.parametrize(("pages", "seed"), [(1, 0), (0, 0), (5, -1)])
def test_demo_refuses_too_few_pages_and_negative_seeds(pages, seed):
    with pytest.raises(ValueError, match="wanted"):
        run_demo(pages, seed=seed)


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
    monkeypatch.setattr("recsketch.cli.commands.sketch._CHUNK", 2)
    assert cli.main(["sketch", str(runs), "--spec", str(spec_file), "-o", str(tmp_path / "o.npz")]) == 0
    with np.load(tmp_path / "o.npz") as out:
        np.testing.assert_array_equal(out["sketches"], rs.Sketcher(spec).sketch(batch))


def test_read_tells_counts_and_means(saved, tmp_path, capsys):
    runs, spec_file, batch, spec = saved
    assert cli.main(["sketch", str(runs), "--spec", str(spec_file), "-o", str(tmp_path / "o.npz")]) == 0
    capsys.readouterr()
    command = ["read", str(tmp_path / "o.npz"), "--module", "char", "--below", "line"]
    assert cli.main([*command, "--json"]) == 0
    rows = strict_json(capsys.readouterr().out)
    sketcher = rs.Sketcher(spec)
    for row, sketch in zip(rows, sketcher.sketch(batch), strict=True):
        wanted = sketcher.summary(sketch, "char", below=("line",))
        assert row["count"] == pytest.approx(wanted.count)
        assert row["count_error"] == pytest.approx(wanted.count_error)
        # None stands for NaN: this short sketch does not show every mean.
        np.testing.assert_allclose(np.array(row["mean"], dtype=float), wanted.mean)
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 4
    assert "count" in text.splitlines()[0]


@pytest.fixture
def sketched(saved, tmp_path):
    """The saved runs' sketches in a file, and what they unroll to."""
    runs, spec_file, batch, spec = saved
    file = tmp_path / "s.npz"
    assert cli.main(["sketch", str(runs), "--spec", str(spec_file), "-o", str(file)]) == 0
    return file, rs.Sketcher(spec).unroll(rs.Sketcher(spec).sketch(batch))


def test_unroll_tells_a_line_a_sketch(sketched, capsys, monkeypatch):
    file, found = sketched
    monkeypatch.setattr("recsketch.cli.commands.unroll._UNROLLED", 2)
    capsys.readouterr()
    assert cli.main(["unroll", str(file)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["sketch", "objects", "complete", "explained", "residual"]
    assert [row.split()[:3] for row in rows] == [[str(i), "5", "yes"] for i in range(3)]
    assert all(u.complete for u in found)


def test_unroll_shows_the_trees_asked_for(sketched, capsys):
    file, found = sketched
    capsys.readouterr()
    assert cli.main(["unroll", str(file), "--index", "2", "--index", "0"]) == 0
    text = capsys.readouterr().out
    for i in (2, 0):
        assert f"sketch {i}\n{found[i].tree()}\n" in text
    done = run("unroll", file, "--index", 1, PYTHONIOENCODING="ascii", COLUMNS="40")
    assert "\n|- 0.2" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 40


def test_unroll_writes_runs_and_a_page(sketched, tmp_path, capsys):
    file, found = sketched
    capsys.readouterr()
    out, page = tmp_path / "runs-again.npz", tmp_path / "page.html"
    assert cli.main(["unroll", str(file), "--out", str(out), "--html", str(page), "--json", "--index", "1"]) == 0
    (row,) = strict_json(capsys.readouterr().out)
    assert row["complete"] is True
    assert [o["module"] for o in row["tree"]] == ["char"] * 4 + ["line"]
    np.testing.assert_allclose(row["tree"][4]["attribute"], found[1].objects[4].attribute, rtol=1e-6)
    (again,) = list(rs.TraceBatch.load(out))
    for a, b in zip(again.objects, found[1].objects, strict=True):
        np.testing.assert_array_equal(a.attribute, b.attribute)
    html = page.read_text(encoding="utf-8")
    assert html.count("<meter") == 5
    assert "<h2>Sketch 1</h2>" in html


def test_unroll_reads_packed_sketches_and_masks(saved, sketched, tmp_path, capsys):
    _, spec_file, _, spec = saved
    file, _ = sketched
    with np.load(file) as arrays:
        s = arrays["sketches"]
    rs.pack(s, "float16").save(tmp_path / "packed.npz")
    masks = np.ones((3, 256), bool)
    masks[1, :64] = False
    np.save(tmp_path / "masks.npy", masks)
    np.save(tmp_path / "mask.npy", masks[1])
    packed = ["unroll", str(tmp_path / "packed.npz"), "--spec", str(spec_file), "--json", "--index", "1"]
    for name in ("masks.npy", "mask.npy"):
        capsys.readouterr()
        assert cli.main([*packed, "--mask", str(tmp_path / name), "--max-depth", "1"]) == 0
        (row,) = strict_json(capsys.readouterr().out)
        u = rs.Sketcher(spec).unroll(rs.pack(s, "float16")[1], masks[1], 1)
        assert row["residual"] == u.residual
        assert row["objects"] == len(u.objects) == 1
        assert not row["complete"]


def test_unroll_leaves_out_runs_of_which_nothing_was_found(saved, tmp_path, capsys):
    _, _, batch, spec = saved
    s = rs.Sketcher(spec).sketch(batch)
    s[1] = 0
    np.savez(tmp_path / "s.npz", recsketch=1, sketches=s, spec=np.array(spec.to_json()))
    assert cli.main(["unroll", str(tmp_path / "s.npz"), "-o", str(tmp_path / "o.npz")]) == 0
    assert "nothing was found in them: 1\n" in capsys.readouterr().err
    assert len(rs.TraceBatch.load(tmp_path / "o.npz")) == 2


def test_unroll_refuses_what_does_not_fit(saved, sketched, tmp_path, capsys):
    runs, spec_file, _, _ = saved
    file, _ = sketched
    rs.pack(np.zeros((2, 128)), "int8").save(tmp_path / "short.npz")
    wrong = [
        ([file, "--index", 3], "--index: wanted a number below 3"),
        ([file, "--spec", spec_file], "PackedSketches.save"),
        (
            [tmp_path / "short.npz", "--spec", spec_file],
            "wanted packed sketches of shape (n, 256); got an array of shape (2, 128)",
        ),
        ([runs], "runs.npz: wanted sketches; got runs"),
        ([file, "--mask", file], "got a file that begins with b'PK"),
        ([file, "--html", tmp_path / "nowhere" / "p.html"], "nowhere"),
    ]
    for shape, dtype in (((128,), bool), ((2, 256), bool), ((256,), float)):
        np.save(tmp_path / f"{len(wrong)}.npy", np.ones(shape, dtype))
        wrong.append(([file, "--mask", tmp_path / f"{len(wrong)}.npy"], "(256,) or (3, 256) bool"))
    for args, words in wrong:
        capsys.readouterr()
        assert cli.main(["unroll", *map(str, args)]) == 2
        err = capsys.readouterr().err
        assert len(err.splitlines()) == 1
        assert words in err
    assert not list(tmp_path.glob(".*"))


def test_info_names_version_and_instruction_set():
    text = run("info").stdout
    assert rs.__version__ in text
    assert rs.isa() in text


def test_version_and_help():
    assert run("--version").stdout.strip() == f"recsketch {rs.__version__}"
    text = run("--help").stdout
    assert "sketch" in text
    assert "Rebuild whole runs from sketches alone" in run("unroll", "--help").stdout


def test_a_reader_that_stops_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "recsketch", "info"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ()
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
        (["sketch"], "IN"),
        (["read", "x.npz"], "--module"),
        (["unroll"], "SKETCHES"),
        (["unroll", "x.npz", "--max-depth", "0"], "--max-depth"),
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
    np.savez(pickled, recsketch=1, sketches=np.array([{}], dtype=object), spec=np.array("{}"))

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
        assert_refused(run("read", file, "--module", "char", check=False), file.name)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith("out")]


def test_specification_without_the_module_is_refused(saved, tmp_path):
    runs, spec_file, _, _ = saved
    spec_file.write_text(rs.SketchSpec(dim=256, modules={"line": 5}, seed=3).to_json(), encoding="utf-8")
    done = run("sketch", runs, "--spec", spec_file, "--out", tmp_path / "o.npz", check=False)
    assert_refused(done, "char")


def test_sketches_of_another_shape_are_refused(saved, tmp_path):
    _, _, _, spec = saved
    for wrong in (np.zeros((2, 128), np.float32), np.zeros(256, np.float32), np.zeros((2, 256))):
        np.savez(tmp_path / "s.npz", recsketch=1, sketches=wrong, spec=np.array(spec.to_json()))
        assert_refused(run("read", tmp_path / "s.npz", "--module", "char", check=False), "(n, 256) float32")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_pickles_are_never_read(tmp_path, saved):
    _, _, _, spec = saved
    trapped = np.array([Trap(str(tmp_path / "sprung"))], dtype=object)
    np.savez(tmp_path / "s.npz", recsketch=1, sketches=trapped, spec=np.array(spec.to_json()))
    assert cli.main(["read", str(tmp_path / "s.npz"), "--module", "char"]) == 2
    assert not (tmp_path / "sprung").exists()


def test_long_errors_stay_on_one_line(monkeypatch, capsys):
    def fail():
        raise ValueError("first\nsecond")

    monkeypatch.setattr("recsketch._config.show_config", fail)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == "recsketch info: error: first second\n"
    monkeypatch.setenv("RECSKETCH_TRACEBACK", "1")
    with pytest.raises(ValueError, match="first"):
        cli.main(["info"])


def test_an_interrupt_is_told_by_the_exit_code(monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("recsketch._config.show_config", interrupt)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == ""
