"""A process forked after a parallel region may sketch: libgomp alone would hang there."""

from __future__ import annotations

import ctypes.util
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


OTHERS = """
import ctypes, os
import numpy as np, recsketch as rs
pool = ctypes.CDLL("libgomp.so.1")
region = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
pool.GOMP_parallel(region, None, 2, 0)  # another library of this process uses OpenMP; recsketch was imported only
pid = os.fork()
if pid == 0:
    t = rs.Trace()
    t.outputs([t.add("a", [1.0])])
    rs.Sketcher(rs.SketchSpec(64, {"a": 1}), threads=2).sketch([t] * 100)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print("ok")
"""


@pytest.mark.skipif(ctypes.util.find_library("gomp") is None, reason="needs libgomp as a library of its own")
def test_a_fork_before_the_first_call_is_safe(run_python: Any) -> None:
    done = run_python(OTHERS, timeout=60, PYTHONWARNINGS="ignore::DeprecationWarning", OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1:] == ["ok"]
