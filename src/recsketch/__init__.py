"""Recursive sketches of modular networks: fold what a network did with an input into one vector, and read it back.

Ghazi, Panigrahy, Wang, "Recursive Sketches for Modular Deep Learning", ICML 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsketch._check import CapacityWarning
from recsketch._config import isa, show_config
from recsketch.batch import TraceBatch
from recsketch.scan import scan
from recsketch.sketcher import Sketcher, suggest_dim
from recsketch.spec import SketchSpec
from recsketch.trace import Trace, TraceObject

if TYPE_CHECKING:
    from recsketch import erasure, sparse, storage, transforms
    from recsketch.hadamard import SubsampledHadamard
    from recsketch.recovery import Recovery
    from recsketch.statistics import Summary
    from recsketch.storage import PackedSketches, pack
    from recsketch.unroll import Unrolled, UnrolledObject

__all__ = [
    "CapacityWarning",
    "PackedSketches",
    "Recovery",
    "SketchSpec",
    "Sketcher",
    "SubsampledHadamard",
    "Summary",
    "Trace",
    "TraceBatch",
    "TraceObject",
    "Unrolled",
    "UnrolledObject",
    "erasure",
    "isa",
    "pack",
    "scan",
    "show_config",
    "sparse",
    "storage",
    "suggest_dim",
    "transforms",
]


_LATER = {  # loaded when asked for, so that a program that only sketches starts fast: name -> module
    **{name: name for name in ("datasets", "erasure", "sparse", "storage", "transforms")},
    "PackedSketches": "storage",
    "Recovery": "recovery",
    "SubsampledHadamard": "hadamard",
    "Summary": "statistics",
    "Unrolled": "unroll",
    "UnrolledObject": "unroll",
    "pack": "storage",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # reading the metadata takes longer than importing everything else
        from importlib.metadata import version

        return version("recsketch")
    if name not in _LATER:
        raise AttributeError(f"module 'recsketch' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"recsketch.{_LATER[name]}")
    found = module if _LATER[name] == name else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_LATER, "__version__"})
