"""From files of runs to a folder of sketches: any number of runs, in bounded memory, through crashes and bad rows."""

from __future__ import annotations

from recsketch.pipeline.folder import FolderCheck, parts, read, verify
from recsketch.pipeline.running import Progress, Report, run
from recsketch.pipeline.work import TooManyErrors

__all__ = ["FolderCheck", "Progress", "Report", "TooManyErrors", "parts", "read", "run", "verify"]
