"""Recursive sketches of modular networks: fold what a network did with an input into one vector, and read it back.

Ghazi, Panigrahy, Wang, "Recursive Sketches for Modular Deep Learning", ICML 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsketch import erasure, storage, transforms
from recsketch._check import CapacityWarning
from recsketch._config import isa, show_config
from recsketch.batch import TraceBatch
from recsketch.recovery import Recovery
from recsketch.scan import scan
from recsketch.sketcher import Sketcher, suggest_dim
from recsketch.spec import SketchSpec
from recsketch.statistics import Summary
from recsketch.storage import PackedSketches, pack
from recsketch.trace import Trace, TraceObject
from recsketch.unroll import Unrolled, UnrolledObject

if TYPE_CHECKING:
    from recsketch.hadamard import SubsampledHadamard

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


def __getattr__(name: str) -> Any:
    if name == "__version__":  # reading the metadata takes longer than importing everything else
        from importlib.metadata import version

        return version("recsketch")
    if name in ("datasets", "sparse"):  # what few programs need is not loaded with the rest
        import importlib

        return importlib.import_module(f"recsketch.{name}")
    if name == "SubsampledHadamard":
        from recsketch.hadamard import SubsampledHadamard

        return SubsampledHadamard
    raise AttributeError(f"module 'recsketch' has no attribute {name!r}")
