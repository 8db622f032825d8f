"""Patterns of the names of modules: `*` fits within one level of "encoder.layers.0", `**` over any number of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import recsketch._check as _check


def fits(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern of `*`, `**`, `?` and `[...]`.

    Examples
    --------
    >>> [fits("layers.*", name) for name in ("layers.0", "layers.0.norm", "layers")]
    [True, False, False]
    >>> [fits("**.norm", name) for name in ("norm", "layers.0.norm")]
    [True, True]
    """
    return re.fullmatch(_expression(pattern), name) is not None


def _expression(pattern: str) -> str:
    kinds = {"**.": r"(?:.*\.)?", "**": ".*", "*": r"[^.]*", "?": r"[^.]"}
    parts = re.split(r"(\*\*\.|\*\*|\*|\?|\[!?[^\]]+\])", pattern)
    return "".join(kinds.get(p) or (p.replace("[!", "[^") if p[:1] == "[" else re.escape(p)) for p in parts)


def patterns(name: str, given: object) -> list[str]:
    """One pattern or several."""
    found = [given] if isinstance(given, str) else _check.members(name, given, "patterns of names of modules")
    for i, pattern in enumerate(found):
        if not isinstance(pattern, str) or not pattern:
            raise TypeError(f"{name}[{i}]: wanted a pattern of names of modules; got {_check.describe(pattern)}")
    if not found:
        raise ValueError(f"{name}: wanted patterns of names of modules; got none")
    return found


def matched(name: str, given: object, names: Iterable[str]) -> list[str]:
    """Those names that fit one of the patterns. Every pattern has to fit some."""
    asked, there = patterns(name, given), [n for n in names if n]
    for pattern in asked:
        if not any(fits(pattern, n) for n in there):
            raise ValueError(f"{name}: wanted patterns that fit some of {_check.listed(there)}; got {pattern!r}")
    return [n for n in there if any(fits(p, n) for p in asked)]


def chosen(given: Any, name: str) -> Any:
    """What is given for a name: of a mapping the value of the first pattern that fits, None if none does."""
    if not isinstance(given, Mapping):
        return given
    return next((value for pattern, value in given.items() if fits(pattern, name)), None)
