"""Runs of PyTorch models, recorded by data flow; needs `pip install "recsketch[torch]"`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsketch.capture.torch.recorder import Recorder

__all__ = ["Recorder"]


def __getattr__(name: str) -> Any:
    if name != "Recorder":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import torch  # noqa: F401
    except ImportError:
        raise ImportError("Recorder: wanted PyTorch, of pip install 'recsketch[torch]'; got none") from None
    from recsketch.capture.torch.recorder import Recorder

    return Recorder
