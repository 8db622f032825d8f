"""What a benchmark needs of its machine: a BLAS that is not held back, clocks, the speed of L1, a description."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # where set, they make NumPy choose slower kernels


def free_blas() -> None:
    """Let OpenBLAS choose its kernels, and give it one thread.

    OpenBLAS reads its variables once, when NumPy is loaded. If NumPy is loaded already and one of them was set, the
    process starts again without it.
    """
    found = [name for name in HELD_BACK if os.environ.pop(name, None) is not None]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if found and "numpy" in sys.modules and "pytest" not in sys.modules:
        os.execv(sys.executable, sys.orig_argv)


def blas() -> str:
    """The BLAS libraries that are loaded, and the kernels they use, according to threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "BLAS unknown (threadpoolctl is not installed)"
    import numpy  # noqa: F401  # loads the library that is asked for

    found = {
        f"{i['internal_api']} {i['version']} {i.get('architecture', '')}"
        for i in threadpool_info()
        if i["user_api"] == "blas"
    }
    return ", ".join(sorted(found)) or "no BLAS"


def describe() -> str:
    """Processor, versions, instruction set and BLAS kernel, in one line."""
    import numpy as np

    import recsketch as rs

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        cpu = next((v.strip() for k, v in lines.items() if k.strip() == "model name"), cpu)
    python = platform.python_version()
    return f"{cpu}, {os.cpu_count()} cores, kernels {rs.isa()}, Python {python}, NumPy {np.__version__}, {blas()}"


@dataclass(frozen=True)
class Times:
    """Seconds a call, one entry a round: CPU time of the calling thread, and wall time."""

    cpu: Any
    wall: Any

    def __truediv__(self, other: Times) -> float:
        """Median over rounds of the ratio of CPU times. The rounds of both were interleaved."""
        import numpy as np

        return float(np.median(self.cpu / other.cpu))

    @property
    def median(self) -> float:
        import numpy as np

        return float(np.median(self.cpu))

    @property
    def best(self) -> float:
        return float(self.wall.min())


def interleaved(
    work: Mapping[str, Callable[[], object]], rounds: int = 11, least: float = 4e-3, budget: float = math.inf
) -> dict[str, Times]:
    """Time several pieces of work against each other: every round runs each one in turn, repeated for `least` seconds.

    All are warmed up first. If the rounds would take more seconds than `budget`, there are fewer, but at least three.
    CPU time of the thread leaves out what other processes took; wall time is what threads need. With one round, every
    piece runs once and nothing is repeated, as a smoke test.
    """
    import numpy as np

    repeats, total = dict.fromkeys(work, 1), 0.0
    for name, run in work.items() if rounds > 1 else ():
        run()
        start = time.perf_counter()
        run()
        once = max(time.perf_counter() - start, 1e-9)
        repeats[name] = max(1, round(least / once))
        total += repeats[name] * once
    if total * rounds > budget:
        rounds = min(rounds, max(3, int(budget / total)))
    cpu: dict[str, list[float]] = {name: [] for name in work}
    wall: dict[str, list[float]] = {name: [] for name in work}
    names = list(work)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            run, n = work[name], repeats[name]
            w, c = time.perf_counter(), time.thread_time()
            for _ in range(n):
                run()
            cpu[name].append((time.thread_time() - c) / n)
            wall[name].append((time.perf_counter() - w) / n)
    return {name: Times(np.array(cpu[name]), np.array(wall[name])) for name in work}


def read(x: Any) -> Callable[[], object]:
    """Read every byte of an array once, and add them up as integers."""
    import numpy as np

    return partial(np.add.reduce, x.reshape(-1).view(np.int32), dtype=np.int32)


def l1_copy(d: int, times: int = 2000) -> Callable[[], object]:
    """The fastest of `l1_copies`."""
    copies = l1_copies(d, times)
    t = interleaved(copies, 3)
    return copies[min(copies, key=lambda name: t[name].median)]


def l1_copies(d: int, times: int = 2000) -> dict[str, Callable[[], object]]:
    """Ways to copy d floats `times` times between the same two warm buffers in one call; the fastest is the limit.

    "memcpy" copies items of 4 d bytes between arrays of stride zero, so that NumPy calls memcpy in a loop in C, which
    costs 2 ns an item besides the copy. "vector loop" is plain C compiled for this machine, if there is a compiler.
    """
    import numpy as np

    memory = np.zeros(2 * d + 64, np.float32)
    at = -memory.ctypes.data % 64 // 4
    source, target = memory[at : at + d], memory[at + d + 16 : at + 2 * d + 16]
    source[:] = np.random.default_rng(d).standard_normal(d)
    items = [np.lib.stride_tricks.as_strided(x.view(f"V{4 * d}"), (times,), (0,)) for x in (target, source)]
    found: dict[str, Callable[[], object]] = {"memcpy": lambda: np.copyto(*items)}
    loop = _vector_loop()
    if loop is not None:
        found["vector loop"] = lambda: loop(target.ctypes.data, source.ctypes.data, d, times)
    return found


LOOP = """
#include <stddef.h>
void copies(float *restrict y, const float *restrict x, size_t d, size_t times) {
  for (size_t t = 0; t < times; t++) {
    for (size_t i = 0; i < d; i += 64)
      for (size_t k = 0; k < 64; k++) y[i + k] = x[i + k];
    __asm__ volatile("" ::"r"(y) : "memory");
  }
}
"""


@lru_cache
def _vector_loop() -> Any:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder, "copies.so"))
        best = ["-O3", "-march=native", "-fno-tree-loop-distribute-patterns"]  # the pattern is memcpy, once more
        wide = ["-mprefer-vector-width=512"]
        for flags in (best + wide, best, ["-O3"]):
            command = [compiler, *flags, "-shared", "-fPIC", "-x", "c", "-", "-o", library]
            if subprocess.run(command, input=LOOP.encode(), capture_output=True, check=False).returncode == 0:
                copies = ctypes.CDLL(library).copies
                copies.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
                copies.restype = None
                return copies
    return None
