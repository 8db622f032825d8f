"""Sparse solvers where memory, time and the sizes of numbers end; what a Solution is."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from recsketch.sparse import SubsampledHadamard, cgls, htp, omp

M, N = 96, 256


@pytest.mark.parametrize("solver", [lambda A, y: omp(A, y, 3), lambda A, y: htp(A, y, 3), cgls])
@pytest.mark.parametrize(
    ("a", "b", "kind"), [(900, 0, float), (-900, 0, float), (0, -900, float), (100, 0, np.float32)]
)
def test_powers_of_two_change_no_bit(solver: Any, a: int, b: int, kind: Any) -> None:
    """Coefficients are rounded to their type once, at the end. Below the least normal number, where 1e-8 times 2**-100
    is in float32, rounding is coarser: what is wanted here has been rounded twice, and may be the next number."""
    A = np.random.default_rng(1).standard_normal((40, 20)).astype(kind)
    y = (A @ np.eye(20, 3).sum(axis=1)).astype(kind)
    want, got = solver(A, y), solver(np.ldexp(A, a), np.ldexp(y, b))
    coef, info = np.ldexp(want.coef, b - a), np.finfo(kind)
    normal = np.abs(coef) >= info.smallest_normal
    assert normal[:3].all()
    assert np.array_equal(got.coef[normal], coef[normal])
    assert np.abs(got.coef - coef)[~normal].max(initial=0.0) <= info.smallest_subnormal
    assert got.residual == np.ldexp(want.residual, b)


@pytest.mark.parametrize("kind", ["hadamard", "array", "narrow"])
@pytest.mark.parametrize("solver", [omp, htp])
def test_signals_of_any_size_share_a_batch(kind: str, solver: Any) -> None:
    """Each signal is scaled by itself: in float32 the small ones would otherwise be nothing beside the large ones."""
    H = SubsampledHadamard(64, 256, seed=31)
    A = {"hadamard": H, "array": H.toarray(), "narrow": H.toarray().astype(np.float32)}[kind]
    y = H.columns([9, 3, 200]) @ [2.0, 1.0, -4.0]
    sizes = np.array([1.0, 2.0**-300, 2.0**900, 0.0, 2.0**-1000])
    found = solver(A, y[:, None] * sizes, 3)
    alone = solver(A, y, 3)
    for b, size in enumerate(sizes):
        assert np.array_equal(found.coef[:, b], alone.coef * size)
        assert found.residual[b] == alone.residual * size
    assert found.reason[3] == "exact"
    tight = omp(A, y[:, None] * sizes[:2], tol=2.0)  # of squares: 4 + 1 for the first, nothing for the second
    assert [len(s) for s in tight.support] == [2, 0]
    assert tight.reason == ["tolerance", "tolerance"]


def test_solutions_compare() -> None:
    H = SubsampledHadamard(M, N, seed=32)
    Y = np.random.default_rng(33).standard_normal((M, 2))
    assert omp(H, Y, 3) == omp(H, Y, 3)
    assert omp(H, Y, 3) != omp(H, Y, 4)
    assert omp(H, Y[:, 0], 3) == omp(H, Y[:, 0], 3)
    assert omp(H, Y[:, 0], 3) != omp(H, Y, 3)
    assert omp(H, Y, 3) != 7
    with pytest.raises(TypeError, match="hash"):
        hash(omp(H, Y, 3))
    with pytest.raises(AttributeError):
        omp(H, Y, 3).coef = Y  # type: ignore[misc]


# ---------------------------------------------------------------- memory and time

SMALL = """
import resource
import numpy as np
from recsketch.sparse import SubsampledHadamard, omp
m = 65536
H = SubsampledHadamard(m, m)
x = np.zeros(m)
x[[5, 60000]] = [1.0, -2.0]
y = H.matvec(x)
D = np.random.default_rng(0).standard_normal((4096, 4096))
resource.setrlimit(resource.RLIMIT_AS, ({used} + (128 << 20),) * 2)
found = omp(H, y, tol=1e-12)
print(sorted(found.support.tolist()), found.reason, omp(D, 3 * D[:, 7] - D[:, 9], tol=1e-6).support.tolist())
"""
USED = "int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_tolerance_alone_takes_the_memory_of_what_is_found(run_python: Any) -> None:
    """Two of 65,536 or 4,096 possible columns: within 128 MiB of what there was before. All would take 16 GiB."""
    done = run_python(SMALL.replace("{used}", USED), OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[5, 60000] tolerance [7, 9]"


def test_a_support_beyond_the_first_memory_is_the_same() -> None:
    """Memory grows from 32 columns on, twice here: what was found before is kept."""
    H = SubsampledHadamard(M, N, seed=34)
    Y = np.random.default_rng(35).standard_normal((M, 3))
    for A in (H, H.toarray()):
        long = omp(A, Y, 90)
        for b in range(3):
            assert len(long.support[b]) == 90
            assert omp(A, Y, 31).support[b].tolist() == long.support[b][:31].tolist()
            assert omp(A, Y, 64).support[b].tolist() == long.support[b][:64].tolist()
            D = H.columns(long.support[b])
            x = np.linalg.lstsq(D, Y[:, b], rcond=None)[0]
            assert np.abs(long.coef[long.support[b], b] - x).max() <= 1e-9 * np.linalg.cond(D)


CALLS = (
    "omp(H, y, 60000)",
    "omp(H, y, 60000, nonnegative=True)",
    "bomp(H, y, 8000, block=4)",
    "htp(H, y, 60000, max_iterations=10**6)",
    "cgls(H, y, rtol=0, max_iterations=10**6)",
    "H.rmatmat(np.broadcast_to(y[:, None], (1 << 17, 100)))",
    "omp(H, np.stack([y] * 4, axis=1), 60000)",
)
LONG = """
import os
import signal
import threading
import numpy as np
from recsketch.sparse import SubsampledHadamard, bomp, cgls, htp, omp
signal.signal(signal.SIGINT, signal.default_int_handler)
H = SubsampledHadamard(1 << 17, 1 << 20, seed=1)
y = np.random.default_rng(0).standard_normal(1 << 17)
for call in ({calls}):
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        while True:
            call()
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT of another thread")
def test_ctrl_c_ends_a_long_call(run_python: Any) -> None:
    """The signal comes half a second into a call that takes minutes, which all together must end within one."""
    done = run_python(LONG.replace("{calls}", ", ".join(f"lambda: {call}" for call in CALLS)), timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stopped") == len(CALLS)
