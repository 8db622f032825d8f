"""Before NumPy is loaded: peers may use the BLAS kernels that suit the machine."""

from __future__ import annotations

from pathlib import Path

import machine
import pytest

machine.free_blas()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:  # others' tests may have been collected with these
            item.add_marker(pytest.mark.benchmark(warmup=True, warmup_iterations=1))


def pytest_report_header() -> str:
    return machine.describe()
