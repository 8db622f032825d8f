"""Importing the package costs a program that has loaded NumPy already this much time."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from figure import Figure, at_most

CODE = """
import numpy, time
w, c = time.perf_counter(), time.thread_time()
import recsketch
print(time.perf_counter() - w, time.thread_time() - c)
"""
FIRST = CODE.replace(
    "import recsketch", "from recsketch import Sketcher, SketchSpec, Trace"
)  # other names come when asked for
EDITABLE = "import sys; print(any('editable' in type(f).__module__ for f in sys.meta_path))"


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def start(effort: int) -> Iterator[Figure]:
    name = "import over NumPy, ms"
    if "True" in _python(EDITABLE):
        yield Figure(name, "≤ 5", "not measured", "an editable install looks for changes whenever it is imported")
        return
    many = range((1, 9, 41)[effort])
    times = [[1e3 * float(x) for x in _python(CODE).split()] for _ in many]
    wall, cpu = zip(*times, strict=True)
    first = statistics.median(1e3 * float(_python(FIRST).split()[1]) for _ in many)
    how = (
        f"CPU time, median of {len(times)} fresh processes, files warm; wall time {statistics.median(wall):.1f}, "
        f"fastest {min(wall):.1f}; with Sketcher, SketchSpec and Trace, which are loaded when asked for, {first:.1f}"
    )
    yield at_most(name, 5, statistics.median(cpu), how, ".1f")


FIGURES = (start,)


@pytest.mark.parametrize("module", ["numpy", "recsketch"])
def test_import(benchmark: Any, module: str) -> None:
    benchmark.pedantic(_python, [f"import {module}"], rounds=5, warmup_rounds=1)
