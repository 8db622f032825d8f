"""Before NumPy is loaded: peers may use the BLAS kernels that suit the machine."""

from __future__ import annotations

import machine

machine.free_blas()


def pytest_report_header() -> str:
    return machine.describe()
