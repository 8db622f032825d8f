"""Runs of plain Python: functions that are modules, recorded while they are called."""

from recsketch.capture.record.modules import module
from recsketch.capture.record.recording import Call, ProvenanceWarning, Recording, record

__all__ = ["Call", "ProvenanceWarning", "Recording", "module", "record"]
