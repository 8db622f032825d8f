"""Ctrl-C ends calls of C that would take minutes. No clock is read: one that is not ended runs into the time limit."""

from __future__ import annotations

from typing import Any

import pytest

LIMIT = 60  # seconds, a program's; each call below takes at least twice that on one thread

START = """
import _thread, signal, threading, numpy as np, recsketch as rs

rng = np.random.default_rng(0)

def run(dim, tuples, members):
    sk = rs.Sketcher(rs.SketchSpec(dim=dim, modules={"a": 16, "b": 16}, max_inputs=512), threads=1)
    t, x = rs.Trace(), np.full(16, 0.25)
    t.outputs([t.add("b", x, inputs=[t.add("a", x) for _ in range(members)]) for _ in range(tuples)])
    return sk, t

def after(seconds):
    timer = threading.Timer(seconds, _thread.interrupt_main)  # as if SIGINT had come
    timer.daemon = True
    timer.start()
"""

CALLS = {
    "scan of one set of rows": """
rows = rng.integers(-128, 128, (300_000, 64), dtype=np.int8)
queries = rng.random((300_000, 64), dtype=np.float32)
call = lambda: rs.scan(rows, queries, 1, threads=1)
""",
    "sketch of one run": """
sk, t = run(1 << 20, 300, 200)
call = lambda: sk.sketch(t)
""",
    "least squares of one sketch": """
sk, t = run(1 << 20, 20, 30)
call = lambda: sk.recover(rng.random(1 << 20, dtype=np.float32), t)
""",
    "pursuit in one sketch": """
sk, t = run(1 << 20, 20, 30)
call = lambda: sk.recover(rng.random(1 << 20, dtype=np.float32), t, method="sparse", nonzeros=100)
""",
    "filter of one sketch": """
sk, t = run(1 << 20, 300, 200)
call = lambda: sk.recover(rng.random(1 << 20, dtype=np.float32), t, method="matched")
""",
    "unrolling of one sketch": """
sk, t = run(1 << 18, 20, 50)
s = sk.sketch(t) + rng.standard_normal(1 << 18).astype(np.float32) * np.float32(2e-6)
call = lambda: sk.unroll(s)
""",
    "omp of one signal": """
A = rs.sparse.SubsampledHadamard(1 << 16, 1 << 18)
call = lambda: rs.sparse.omp(A, rng.standard_normal(1 << 16), 8000, threads=1)
""",
    "htp of one signal": """
A = rs.sparse.SubsampledHadamard(1 << 18, 1 << 20)
call = lambda: rs.sparse.htp(A, rng.standard_normal(1 << 18), 1 << 17, max_iterations=1000, threads=1)
""",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_long_call_ends(name: str, run_python: Any) -> None:
    program = START + CALLS[name] + "after(0.5)\ntry:\n    call()\nexcept KeyboardInterrupt:\n    print('ended')\n"
    done = run_python(program, timeout=LIMIT)
    assert done.stdout.splitlines()[-1:] == ["ended"], done.stderr


def test_what_a_handler_raises_comes_out(run_python: Any) -> None:
    """And one that raises nothing lets the call go on."""
    program = """
seen = []

def handler(*_):
    seen.append(1)
    if len(seen) == 2:
        raise OSError("enough")

signal.signal(signal.SIGINT, handler)
after(0.3)
after(0.9)
try:
    call()
except OSError as e:
    print(e, len(seen))
"""
    done = run_python(START + CALLS["sketch of one run"] + program, timeout=LIMIT)
    assert done.stdout.splitlines()[-1:] == ["enough 2"], done.stderr
