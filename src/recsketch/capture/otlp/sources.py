"""JSON documents out of paths, folders, open files and dicts, each with its place; what is no JSON is told, not raised.

A file is read line by line, so that the memory needed is that of its longest line. It may instead be one document on
several lines, which is then read as a whole. gzip is known by its first bytes, not by the file's name.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import recsketch._check as _check

MOST = 1 << 28  # bytes of a line, or of a document on several lines: the spans of one export are some megabytes
OPENING = 200  # characters of the first line of a document on several lines, which is "{" or little more


class Found(NamedTuple):
    """A document and its place, or what is wrong with what stands there (`stage` is then not empty)."""

    file: str | None
    row: int | None
    document: Any
    stage: str = ""


def parser() -> Callable[[bytes], Any]:
    """`json.loads`, or orjson's where that is installed; what orjson refuses (NaN, say) is left to `json`.

    Both raise ValueError or RecursionError for what is no JSON.
    """
    try:
        import orjson
    except ImportError:
        return json.loads

    def loads(text: bytes) -> Any:
        try:
            return orjson.loads(text)
        except ValueError:
            return json.loads(text)

    return loads


def documents(source: object, loads: Callable[[bytes], Any]) -> Iterator[Found]:
    """All documents of a source, in order."""
    if isinstance(source, (list, tuple)) or (isinstance(source, Iterator) and not hasattr(source, "readline")):
        for i, one in enumerate(source):
            if isinstance(one, Mapping):
                yield Found(None, i, one)
            else:
                yield from _single(f"source[{i}]", one, loads)
    else:
        yield from _single("source", source, loads)


def _single(name: str, source: object, loads: Callable[[bytes], Any]) -> Iterator[Found]:
    if isinstance(source, Mapping):
        yield Found(None, 0, source)
    elif isinstance(source, (str, os.PathLike)):
        path = Path(_check.path(name, source))
        if path.is_dir():
            inside = (p for p in path.rglob("*") if not any(x.startswith(".") for x in p.relative_to(path).parts))
            for file in sorted(p for p in inside if p.is_file()):
                yield from _path(file, loads)
        else:
            yield from _path(path, loads)
    elif callable(getattr(source, "read", None)):
        label = getattr(source, "name", None)
        yield from _file(source, label if isinstance(label, str) else None, loads)
    else:
        wanted = "a path, a folder, an open file, a dict, or a list of those"
        raise TypeError(f"{name}: wanted {wanted}; got {_check.describe(source)}")


def _path(path: Path, loads: Callable[[bytes], Any]) -> Iterator[Found]:
    with open(path, "rb") as file:
        yield from _file(file, str(path), loads)


def _file(source: Any, label: str | None, loads: Callable[[bytes], Any]) -> Iterator[Found]:
    """The documents of an open file, of bytes or of text."""
    if isinstance(source, io.TextIOBase):
        yield from _parsed((line.encode("utf-8", "surrogatepass") for line in source), label, loads)
        return
    own = hasattr(source, "peek")
    file = source if own else io.BufferedReader(source)
    try:
        if file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as inside:
                yield from _parsed(_lines(inside), label, loads)
        else:
            yield from _parsed(_lines(file), label, loads)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Found(label, None, f"wanted a whole gzip file; got {_check.cut(str(error), 200)}", "file")
    finally:
        if not own:
            file.detach()  # so that the caller's file stays open


def _lines(file: Any) -> Iterator[bytes]:
    """Lines; of one that is too long only the beginning, which is longer than MOST and so told from the others."""
    while line := file.readline(MOST + 1):
        yield line
        while len(line) > MOST and not line.endswith(b"\n"):
            line = file.readline(MOST + 1)


def _parsed(lines: Iterable[bytes], label: str | None, loads: Callable[[bytes], Any]) -> Iterator[Found]:
    lines = iter(lines)
    first = True
    row = 0
    while (line := next(lines, None)) is not None:
        row += 1
        if len(line) > MOST:
            yield Found(label, row, f"wanted a line of at most {MOST} bytes; got a longer one", "line")
            continue
        text = line.strip()
        if not text:
            continue
        try:
            yield Found(label, row, loads(text))
        except (ValueError, RecursionError) as error:
            if first and b"\0" in text:
                yield Found(label, row, "wanted JSON or lines of JSON; got bytes that are no text", "file")
                return
            if first and len(text) <= OPENING and text[:1] in (b"{", b"["):
                found, ended = _gathered(line, lines)
                lines = chain(found[1:], lines)
                if ended and len(found) > 1:
                    one = _one(found, label, row, loads)
                    if one is not None:
                        yield one
                        return
            yield Found(label, row, _told(error), "line")
        first = False


def _one(lines: list[bytes], label: str | None, row: int, loads: Callable[[bytes], Any]) -> Found | None:
    """A document on several lines, or what is wrong with it; None if they are lines of JSON, the first one broken."""
    try:
        return Found(label, row, loads(b"".join(lines)))
    except (ValueError, RecursionError) as error:
        if lines[1].lstrip()[:1] in (b"{", b"["):
            with contextlib.suppress(ValueError, RecursionError):
                loads(lines[1])
                return None
        return Found(label, row, _told(error), "file")


def _gathered(line: bytes, lines: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """A line and those after it, until they are more than MOST bytes, and whether that is all of the file."""
    found, size = [line], len(line)
    for more in lines:
        found.append(more)
        size += len(more)
        if size > MOST:
            return found, False
    return found, True


def _told(error: Exception) -> str:
    what = "too many levels" if isinstance(error, RecursionError) else _check.cut(str(error), 200)
    return f"wanted JSON; got {what}"
