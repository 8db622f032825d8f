"""The repository: many runs as rows on a disk, kept safely, found again by content and by metadata."""
