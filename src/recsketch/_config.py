"""Which kernels run, and what the package was built with."""

from __future__ import annotations

import os
import sys

import recsketch._core as _core

LEVELS = ("portable", "avx2", "avx512", "neon")


def _select() -> None:
    """Obey RECSKETCH_ISA, once, at import: a level this machine lacks is an error, never another level."""
    level = os.environ.get("RECSKETCH_ISA")
    if not level:
        return
    try:
        _core.isa_select(level)
    except ValueError:
        here = " or ".join(name for name in LEVELS if _core.isa_available(name))
        raise ImportError(f"RECSKETCH_ISA: wanted {here} on this machine; got {level!r}") from None


_select()


def isa() -> str:
    """The instruction set level in use: "portable", "avx2", "avx512" or "neon". RECSKETCH_ISA forces one."""
    return _core.isa()


def version() -> str:
    """The package's version, from the installed metadata: reading it takes longer than importing everything else."""
    from importlib import metadata

    return metadata.version("recsketch")


def show_config() -> None:
    """Print versions, the instruction set and the threads, for bug reports."""
    import numpy as np

    available = ", ".join(name for name in LEVELS if _core.isa_available(name))
    print(f"recsketch {version()}, Python {sys.version.split()[0]}, NumPy {np.__version__}, {sys.platform}")
    print(f"kernels   {isa()} (available: {available}; RECSKETCH_ISA={os.environ.get('RECSKETCH_ISA', '')})")
    print(f"threads   {_core.max_threads()} ({_core.openmp()})")
