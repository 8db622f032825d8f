"""Which inputs there are, and the pieces of work that they are cut into."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import recsketch._check as _check
import recsketch.runs.parquet as parquet

PART = 1 << 26
"""Bytes of row groups, before compression, that one part is made of, at least where the file has as many. It is no
option: the cut of an input must be the same whenever a job is resumed."""

FORMS = {".npz": "npz", ".parquet": "parquet", ".pq": "parquet"}
"""Endings of inputs, and how they are read (work.py)."""

VERSION = 1
"""Of what parts hold. Parts of another version have other names."""


@dataclass(frozen=True)
class Input:
    """A file of runs. What it is called, its size and the time of its last change are its identity."""

    name: str
    path: str
    size: int
    changed: int
    form: str


@dataclass(frozen=True)
class Job:
    """One part: all runs of an input, or of some of its row groups; it can be sent to another process."""

    input: Input
    groups: tuple[int, int] | None  # begin and end; None: the whole file
    index: int  # of the input's jobs, from 0
    count: int
    first: int  # the number of its first row in the input
    size: int  # bytes of the input, for progress
    largest: int  # bytes of the largest row group, once it is decompressed


def found(inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str], out: str) -> list[Input]:
    """The inputs, in the order of their names. Of folders, all files with a known ending, at any depth, but for those
    that begin with "." or "_", and for what is in `out`.

    Raises
    ------
    ValueError
        No input, one without a known ending, two of one name.
    OSError
        An input that is not there.
    """
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else _check.members("inputs", inputs, "names of files")
    paths = [_check.path(f"inputs[{i}]", x) for i, x in enumerate(given)]
    out = os.path.realpath(out)
    listed: dict[str, Input] = {}
    for path in paths:
        folder = os.path.isdir(path)
        base = os.path.basename(os.path.abspath(path))
        files = _walked(path, out) if folder else [""]
        for file in files:
            whole = os.path.join(path, *file.split("/")) if file else path
            name = (f"{base}/{file}" if len(paths) > 1 else file) if folder else base
            form = FORMS.get(os.path.splitext(name)[1].lower())
            if form is None:
                raise ValueError(f"{_check.cut(path, 200)}: wanted a file in {' or '.join(FORMS)}; got another")
            if name in listed:
                raise ValueError(f"inputs: wanted each name once; got {_check.shown(name)} twice")
            about = os.stat(whole)
            listed[name] = Input(name, os.path.abspath(whole), about.st_size, about.st_mtime_ns, form)
    if not listed:
        raise ValueError(f"inputs: wanted files in {' or '.join(FORMS)}; got none")
    return [listed[name] for name in sorted(listed)]


def _walked(folder: str, out: str) -> list[str]:
    """Names below a folder, with slashes."""
    names = []
    for place, folders, files in os.walk(folder, onerror=_raised):
        hidden = [f for f in folders if f[0] in "._" or os.path.realpath(os.path.join(place, f)) == out]
        folders[:] = [f for f in folders if f not in hidden]
        for file in files:
            if file[0] not in "._" and os.path.splitext(file)[1].lower() in FORMS:
                names.append(os.path.relpath(os.path.join(place, file), folder).replace(os.sep, "/"))
    return names


def _raised(error: OSError) -> None:
    raise error


def jobs(source: Input) -> list[Job]:
    """An input cut into jobs.

    Raises
    ------
    ValueError
        It is damaged, so that nobody knows where to cut.
    """
    if source.form != "parquet":
        return [Job(source, None, 0, 1, 0, source.size, source.size)]
    cuts, rows, size, largest = [(0, 0, 0)], 0, 0, 0
    groups = parquet.groups(source.path)
    for number, (count, bytes_) in enumerate(groups):
        if size and size + bytes_ > PART:
            cuts.append((number, rows, largest))
            size = largest = 0
        rows, size, largest = rows + count, size + bytes_, max(largest, bytes_)
    ends = [*(cut[0] for cut in cuts[1:]), len(groups)]
    total = max(1, sum(b for _, b in groups))
    most = max((b for _, b in groups), default=0)
    return [
        Job(source, (begin, end), i, len(cuts), first, _share(source.size, groups[begin:end], total), most)
        for i, ((begin, first, _), end) in enumerate(zip(cuts, ends, strict=True))
    ]


def _share(size: int, groups: Sequence[tuple[int, int]], total: int) -> int:
    return size * sum(b for _, b in groups) // total


def part_name(job: Job, settings: str) -> str:
    """The name of its part, without an ending: a hash of the input's identity, the settings and the version."""
    source = job.input
    about = [source.name, source.size, source.changed, job.groups, settings, VERSION]
    return f"part-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]}"
