"""The scripts that write tables run: every figure of speed and every row of bytes is made here from little data."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import bytes_per_run
import pytest
from figure import SMOKE
from figures import TOPICS

GROUPS = {
    f"{topic.rpartition('_')[2]}, {group.__name__}": group
    for topic in TOPICS
    if "speed" in topic
    for group in import_module(topic).FIGURES
}


WANTED = {"repository, approximate": "faiss", "capture": "torch", "pipeline": "pyarrow"}
"""Groups, or topics, that measure nothing without a package."""


@pytest.mark.parametrize("name", GROUPS)
def test_figures(name: str) -> None:
    for part in (name, name.partition(",")[0]):
        if part in WANTED:
            pytest.importorskip(WANTED[part])
    found: list[Any] = list(GROUPS[name](SMOKE))
    assert found
    assert all(f.row() for f in found)


@pytest.mark.parametrize("kind", list(bytes_per_run.kinds()), ids=lambda kind: kind.name)
def test_bytes(kind: bytes_per_run.Kind) -> None:
    """A sketch is found from which the run comes back, and a number stands in every cell."""
    found = bytes_per_run.row(kind, 1, 2)
    assert len(found) == 5
    assert "load" in found[3]
    assert found[4].endswith("%")
