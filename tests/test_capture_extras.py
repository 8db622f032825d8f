"""Adapters whose package is not installed say which extra brings it."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    here = importlib.import_module("recsketch.capture.torch")
    with pytest.raises(ImportError, match=r"Recorder: wanted PyTorch, of pip install 'recsketch\[torch\]'; got none"):
        here.Recorder  # noqa: B018
    with pytest.raises(AttributeError, match="recorder_of"):
        here.recorder_of  # noqa: B018
