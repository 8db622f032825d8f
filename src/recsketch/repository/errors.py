"""What can go wrong with a repository, beyond arguments that are wrong."""

from __future__ import annotations

from recsketch._lock import FolderInUse


class RepositoryDamaged(ValueError):
    """Bytes on the disk are not those that were written: nothing made of them was returned."""


class RepositoryInUse(FolderInUse):
    """Another process, or another object of this one, has the repository open for writing."""


class ShardFailed(RuntimeError):
    """A shard of several did not answer: nothing made of the other ones' answers was returned."""


class RepositoryWarning(UserWarning):
    """Something was mended at opening, or a safeguard is missing on this file system."""
