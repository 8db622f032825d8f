"""Every figure of speed can be made: figures.py measures them, here each is made from the least that runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from figure import SMOKE
from figures import TOPICS

GROUPS = {
    f"{topic.rpartition('_')[2]}, {group.__name__}": group
    for topic in TOPICS
    if "speed" in topic
    for group in import_module(topic).FIGURES
}


@pytest.mark.parametrize("name", GROUPS)
def test_figures(name: str) -> None:
    found: list[Any] = list(GROUPS[name](SMOKE))
    assert found
    assert all(f.row() for f in found)
