"""A process forked after a parallel region may sketch: libgomp alone would hang there."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

SETUP = """
import os, sys
import numpy as np, recsketch as rs, make_goldens
spec = rs.SketchSpec(dim=1024, modules=make_goldens.MODULES, seed=3)
runs = make_goldens.traces(spec, 5, 200)
sk = rs.Sketcher(spec, threads=2)
want = sk.sketch(runs)
found = sk.recover(want[:20], runs[:20])
"""

CHILDREN = """
def same():
    again = sk.sketch(runs)
    part = sk.recover(again[:20], runs[:20])
    fresh = rs.Sketcher(spec, threads=4).sketch(runs)
    return (np.array_equal(again, want) and np.array_equal(fresh, want)
            and all(np.array_equal(a, b, equal_nan=True) for r, f in zip(part, found, strict=True)
                    for a, b in zip(r.attributes, f.attributes, strict=True)))
for generation in range(15):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if same() else 3)
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert same()  # the parent keeps working, in parallel
print("ok")
"""

NESTED = """
pid = os.fork()
if pid == 0:
    inner = os.fork()
    if inner == 0:
        os._exit(0 if np.array_equal(sk.sketch(runs), want) else 3)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("ok")
"""

POOL = """
import multiprocessing
def work(i):
    return sk.sketch(runs[i])
with multiprocessing.get_context("fork").Pool(2) as pool:
    got = pool.map(work, range(20))
assert all(np.array_equal(g, w) for g, w in zip(got, want))
print("ok")
"""


@pytest.mark.parametrize("program", [CHILDREN, NESTED, POOL], ids=["children", "nested", "pool"])
def test_forked_children_sketch(run_python: Any, program: str) -> None:
    """A hang is a failure: the interpreter is stopped after two minutes of what takes a second."""
    done = run_python(SETUP + program, timeout=120, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1:] == ["ok"]
