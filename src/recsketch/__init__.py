"""Recursive sketches of modular networks: fold what a network did with an input into one vector, and read it back.

Ghazi, Panigrahy, Wang, "Recursive Sketches for Modular Deep Learning", ICML 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsketch._config import isa, show_config

if TYPE_CHECKING:
    from recsketch import erasure, pipeline, sparse, transforms
    from recsketch._check import CapacityWarning, SketchWarning, StructureWarning
    from recsketch._lock import FolderInUse
    from recsketch._scan import scan
    from recsketch.capture.record import module, record
    from recsketch.learning.dictionary import Dictionary
    from recsketch.learning.learn import learn_dictionary
    from recsketch.learning.modular import ModularRegressor, fit_modules
    from recsketch.populations.changes.alarm import Alarm
    from recsketch.populations.changes.comparison import Comparison
    from recsketch.populations.changes.exchangeable import ExchangeabilityWarning
    from recsketch.populations.changes.groups import compare_groups
    from recsketch.populations.changes.monitor import Monitor
    from recsketch.populations.compared import compare
    from recsketch.populations.cooccurrence import Cooccurrence, cooccurrence
    from recsketch.populations.elements import GroupStatistics
    from recsketch.populations.fixed import fixed_point
    from recsketch.populations.population import Population
    from recsketch.populations.results import PathStatistics, PopulationReading
    from recsketch.reading.difference import Change, Difference, diff
    from recsketch.reading.nearest import Neighbours
    from recsketch.reading.results import Recovery, Rest, Summary, Unrolled, UnrolledObject
    from recsketch.repository.errors import RepositoryDamaged, RepositoryInUse, RepositoryWarning, ShardFailed
    from recsketch.repository.graph.graph import Graph
    from recsketch.repository.postgres.repository import PostgresRepository
    from recsketch.repository.results import Concept, ConceptEvent, Hit, RepositoryCheck, StoredRun
    from recsketch.repository.shards.sharded import ShardedRepository
    from recsketch.repository.store import SketchRepository
    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.folder import TraceFolder, TraceWriter
    from recsketch.runs.objects import TraceObject
    from recsketch.runs.reduction import ReducedModule, Reduction
    from recsketch.runs.statistics import AttributeStatistics, ModuleStatistics
    from recsketch.runs.trace import Trace
    from recsketch.sketcher import Sketcher
    from recsketch.sketching import packing as storage
    from recsketch.sketching.load import suggest_dim
    from recsketch.sketching.packing import PackedSketches, pack
    from recsketch.sketching.spec import SketchSpec
    from recsketch.sketching.table import SketchTable
    from recsketch.sparse import SubsampledHadamard
    from recsketch.trials.results import ModuleTrial, StoredTrial, Trial
    from recsketch.trials.trial import trial

__all__ = [
    "Alarm",
    "AttributeStatistics",
    "CapacityWarning",
    "Change",
    "Comparison",
    "Concept",
    "ConceptEvent",
    "Cooccurrence",
    "Dictionary",
    "Difference",
    "ExchangeabilityWarning",
    "FolderInUse",
    "Graph",
    "GroupStatistics",
    "Hit",
    "ModularRegressor",
    "ModuleStatistics",
    "ModuleTrial",
    "Monitor",
    "Neighbours",
    "PackedSketches",
    "PathStatistics",
    "Population",
    "PopulationReading",
    "PostgresRepository",
    "Recovery",
    "ReducedModule",
    "Reduction",
    "RepositoryCheck",
    "RepositoryDamaged",
    "RepositoryInUse",
    "RepositoryWarning",
    "Rest",
    "ShardFailed",
    "ShardedRepository",
    "SketchRepository",
    "SketchSpec",
    "SketchTable",
    "SketchWarning",
    "Sketcher",
    "StoredRun",
    "StoredTrial",
    "StructureWarning",
    "SubsampledHadamard",
    "Summary",
    "Trace",
    "TraceBatch",
    "TraceFolder",
    "TraceObject",
    "TraceWriter",
    "Trial",
    "Unrolled",
    "UnrolledObject",
    "compare",
    "compare_groups",
    "cooccurrence",
    "diff",
    "erasure",
    "fit_modules",
    "fixed_point",
    "isa",
    "learn_dictionary",
    "module",
    "pack",
    "pipeline",
    "record",
    "scan",
    "show_config",
    "sparse",
    "storage",
    "suggest_dim",
    "transforms",
    "trial",
]


# Loaded when asked for, so that a program pays for what it uses: name -> module, or module:attribute. Only what chooses
# the kernels is imported at once: a RECSKETCH_ISA that this machine lacks is an ImportError here.
_LATER = {
    "__version__": "_config:version",
    "Alarm": "populations.changes.alarm:Alarm",
    "AttributeStatistics": "runs.statistics:AttributeStatistics",
    "CapacityWarning": "_check:CapacityWarning",
    "Change": "reading.difference:Change",
    "compare": "populations.compared:compare",
    "compare_groups": "populations.changes.groups:compare_groups",
    "Comparison": "populations.changes.comparison:Comparison",
    "Concept": "repository.results:Concept",
    "ConceptEvent": "repository.results:ConceptEvent",
    "Cooccurrence": "populations.cooccurrence:Cooccurrence",
    "cooccurrence": "populations.cooccurrence:cooccurrence",
    "datasets": "datasets",
    "Dictionary": "learning.dictionary:Dictionary",
    "diff": "reading.difference:diff",
    "Difference": "reading.difference:Difference",
    "erasure": "erasure",
    "ExchangeabilityWarning": "populations.changes.exchangeable:ExchangeabilityWarning",
    "fit_modules": "learning.modular:fit_modules",
    "fixed_point": "populations.fixed:fixed_point",
    "FolderInUse": "_lock:FolderInUse",
    "Graph": "repository.graph.graph:Graph",
    "GroupStatistics": "populations.elements:GroupStatistics",
    "Hit": "repository.results:Hit",
    "learn_dictionary": "learning.learn:learn_dictionary",
    "ModularRegressor": "learning.modular:ModularRegressor",
    "module": "capture.record.modules:module",
    "ModuleStatistics": "runs.statistics:ModuleStatistics",
    "ModuleTrial": "trials.results:ModuleTrial",
    "Monitor": "populations.changes.monitor:Monitor",
    "Neighbours": "reading.nearest:Neighbours",
    "pack": "sketching.packing:pack",
    "PackedSketches": "sketching.packing:PackedSketches",
    "PathStatistics": "populations.results:PathStatistics",
    "pipeline": "pipeline",
    "Population": "populations.population:Population",
    "PopulationReading": "populations.results:PopulationReading",
    "PostgresRepository": "repository.postgres.repository:PostgresRepository",
    "record": "capture.record.recording:record",
    "Recovery": "reading.results:Recovery",
    "ReducedModule": "runs.reduction:ReducedModule",
    "Reduction": "runs.reduction:Reduction",
    "RepositoryCheck": "repository.results:RepositoryCheck",
    "RepositoryDamaged": "repository.errors:RepositoryDamaged",
    "RepositoryInUse": "repository.errors:RepositoryInUse",
    "RepositoryWarning": "repository.errors:RepositoryWarning",
    "Rest": "reading.results:Rest",
    "scan": "_scan:scan",
    "ShardedRepository": "repository.shards.sharded:ShardedRepository",
    "ShardFailed": "repository.errors:ShardFailed",
    "Sketcher": "sketcher:Sketcher",
    "SketchRepository": "repository.store:SketchRepository",
    "SketchSpec": "sketching.spec:SketchSpec",
    "SketchTable": "sketching.table:SketchTable",
    "SketchWarning": "_check:SketchWarning",
    "sparse": "sparse",
    "storage": "sketching.packing",
    "StoredRun": "repository.results:StoredRun",
    "StoredTrial": "trials.results:StoredTrial",
    "StructureWarning": "_check:StructureWarning",
    "SubsampledHadamard": "sparse:SubsampledHadamard",
    "suggest_dim": "sketching.load:suggest_dim",
    "Summary": "reading.results:Summary",
    "Trace": "runs.trace:Trace",
    "TraceBatch": "runs.batch:TraceBatch",
    "TraceFolder": "runs.folder:TraceFolder",
    "TraceObject": "runs.objects:TraceObject",
    "TraceWriter": "runs.folder:TraceWriter",
    "transforms": "transforms",
    "Trial": "trials.results:Trial",
    "trial": "trials.trial:trial",
    "Unrolled": "reading.results:Unrolled",
    "UnrolledObject": "reading.results:UnrolledObject",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'recsketch' has no attribute {name!r}")
    from importlib import import_module

    place, _, attribute = _LATER[name].partition(":")
    module = import_module(f"recsketch.{place}")
    found: Any = getattr(module, attribute) if attribute else module
    if name == "__version__":
        found = found()
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, *_LATER})
