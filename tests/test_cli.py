"""The command line: text fits its terminal, errors are one line and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import recsketch as rs
from recsketch.cli import main as cli


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
        (["demo", "--seed", "many"], "many"),
        (["demo", "--seed", "-1"], "--seed"),
        (["demo", "--threads", "0"], "--threads"),
        (["demo", "--see", "5"], "--see"),
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
