"""Before NumPy is loaded, peers get the BLAS kernels that suit the machine; after the run, its results become JSON."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import machine
import pytest

machine.free_blas()

RESULTS = Path(__file__).resolve().parents[1] / "build" / "benchmarks.json"
ABOUT = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--alone", action="store_true", help="benchmarks: time recsketch, and neither peers nor limits")


def pytest_configure(config: pytest.Config) -> None:
    """Results go to build/benchmarks.json, unless --benchmark-json names another place. What `sketch` warns of is
    known; pyproject.toml cannot say so, for that would import NumPy before a BLAS is chosen."""
    config.addinivalue_line("filterwarnings", "ignore::recsketch.SketchWarning")
    option = config.option
    if option.benchmark_json is None and not (option.benchmark_disable or config.getoption("alone", False)):
        RESULTS.parent.mkdir(exist_ok=True)
        option.benchmark_json = RESULTS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    about = config.stash.setdefault(ABOUT, {})
    for item in items:
        if item.path.parent == Path(__file__).parent:  # others' tests may have been collected with these
            item.add_marker(pytest.mark.benchmark(warmup=True, warmup_iterations=1))
            if isinstance(item, pytest.Function):
                about[item.path.stem] = item.module.__doc__ or ""


def pytest_report_header() -> list[str]:
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    return [machine.describe(), f"{load}: what else runs here slows two threads most"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    from peers import versions

    for b in output_json["benchmarks"]:
        b["stats"].pop("data", None)  # megabytes that nothing here reads
    output_json["recsketch"] = {
        "machine": machine.describe(),
        "command": shlex.join(["pytest", *config.invocation_params.args]),
        "peers": versions(),
        "about": config.stash[ABOUT],
    }


@pytest.fixture
def contest(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`cases.contest` for this benchmark."""
    import cases

    return partial(cases.contest, benchmark, alone=request.config.getoption("alone", False))
