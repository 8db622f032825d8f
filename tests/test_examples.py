"""The scripts of the gallery run, each as a process of its own in an empty folder, and make the pictures they promise.

What a script says of recsketch it asserts itself; here is what all of them have in common.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("plot_*.py"))
WARNINGS = "CapacityWarning, ExchangeabilityWarning, RepositoryWarning, SketchWarning, StructureWarning"

# Runs a script as it would run by itself, and draws what it left open. A reader should meet none of these warnings.
RUN = f"""
import io, runpy, sys, warnings
from recsketch import {WARNINGS}
for kind in ({WARNINGS}):
    warnings.simplefilter("error", kind)
runpy.run_path(sys.argv[1], run_name="__main__")
from matplotlib import pyplot
sizes = []
for number in pyplot.get_fignums():
    figure, image = pyplot.figure(number), io.BytesIO()
    figure.savefig(image, format="png")
    sizes.append(image.tell() if figure.axes else 0)
print("pictures:", *sizes)
"""


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """In two empty folders below one: where it is, and where it may put temporary files."""
    here, temporary = folder / "here", folder / "temporary"
    here.mkdir()
    temporary.mkdir()
    return subprocess.run(
        [sys.executable, "-c", RUN, str(script)],
        cwd=here,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MPLBACKEND": "Agg",
            "OMP_WAIT_POLICY": "passive",
            "TMPDIR": str(temporary),
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def imported(script: Path) -> set[str]:
    """Dotted names of modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_runs_and_makes_pictures(script: Path, tmp_path: Path) -> None:
    for name in {name.split(".")[0] for name in imported(script)} & {"matplotlib", "sklearn"}:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    *said, last = done.stdout.splitlines()
    assert 1 <= len(said) <= 20, "a few honest numbers"
    sizes = [int(size) for size in last.removeprefix("pictures:").split()]
    assert sizes
    assert min(sizes) > 5000, "a blank canvas takes 3,400 bytes"
    assert list((tmp_path / "here").iterdir()) == []
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("claim", ["assert 1 + 1 == 3", "warnings.warn('claims too much', SketchWarning)"])
def test_a_script_whose_claim_does_not_hold_fails(claim: str, tmp_path: Path) -> None:
    script = tmp_path / "plot_wrong.py"
    script.write_text(f"import warnings\nfrom recsketch import SketchWarning\n{claim}\n", encoding="utf-8")
    done = run(script, tmp_path)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr or "claims too much" in done.stderr


def test_there_are_ten_and_a_header() -> None:
    assert [script.stem[:7] for script in SCRIPTS] == [f"plot_{k:02d}" for k in range(1, 11)]
    header = (EXAMPLES / "GALLERY_HEADER.rst").read_text(encoding="utf-8")
    assert re.match(r"(\S.*)\n=+\n\n\S", header)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_is_as_sphinx_gallery_wants_it(script: Path) -> None:
    """A title over its rule and prose below it; further cells of prose; public modules of recsketch only."""
    text = script.read_text(encoding="utf-8")
    title, rule, blank, *prose = (ast.get_docstring(ast.parse(text)) or "").split("\n")
    assert title
    assert re.fullmatch("=+", rule)
    assert len(rule) == len(title)
    assert blank == ""
    assert len(" ".join(prose).split()) >= 25
    cells = re.findall(r"^# %%\n((?:# .*\n)+)", text, flags=re.M)
    assert len(cells) == text.count("# %%") >= 3
    assert not re.search(r"(?<!`)`[^`]", " ".join(cells)), "code is between two backticks"
    public = {"recsketch", "recsketch.capture.otlp", "recsketch.datasets", "recsketch.erasure", "recsketch.transforms"}
    assert {name for name in imported(script) if name.startswith("recsketch")} <= public
    assert "import recsketch" in text or "from recsketch" in text
