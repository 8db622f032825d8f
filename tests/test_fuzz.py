"""A few thousand mutated files of every kind; tests/fuzz/files.py does as many as one likes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).resolve().parent / "fuzz" / "files.py"


def fuzz(*options: str) -> dict[str, tuple[int, int, int]]:
    """Of each kind of file, how many were refused, held the same, held another object. A process of its own, whose
    memory is bounded, and whose crash is no crash of this one."""
    line = [sys.executable, str(FUZZER), *options]
    done = subprocess.run(line, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(\S+): (\d+) refused, (\d+) equal, (\d+) another$", done.stdout, flags=re.M)
    return {name: (int(a), int(b), int(c)) for name, a, b, c in rows}


def test_mutated_files_give_an_object_or_a_short_error() -> None:
    found = fuzz("--inputs", "4500", "--seed", "1")
    assert len(found) == 10
    assert sum(map(sum, found.values())) == 4500
    for refused, equal, another in found.values():
        assert refused > 300
        assert equal > 0  # a date, a comment, a space
        assert another > 2
