"""Metadata: what may be kept beside a run, and conditions on it, made into SQL that no value can escape from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import recsketch._check as _check

Scalar: TypeAlias = "str | int | float | bool | None"
Metadata: TypeAlias = "Mapping[str, Scalar]"

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
LONGEST = 1 << 20  # characters of one run's metadata as JSON
BOUNDS = ("<", "<=", ">", ">=")
WHERE = "a mapping of names to a value, a list of values or bounds such as {'>=': 3}, or a list of such mappings"
SCALAR = "a text, a finite number, a 64-bit integer, True or False"


def metadata(name: str, x: object) -> dict[str, Scalar]:
    """`x` as what may stand beside a run: names with texts, numbers, booleans or None."""
    if x is None:
        return {}
    if not isinstance(x, Mapping):
        raise TypeError(f"{name}: wanted a mapping of names to values; got {_check.describe(x)}")
    found = {}
    for key, value in x.items():
        plain = type(key) is str and key.isascii() and "\0" not in key and _is_plain(value)
        if not plain:  # the usual case is a line, since it comes up for every run
            key = text(f"{name}: a name", key)
            value = scalar(f"{name}[{_check.shown(key)}]", value, True)
        found[key] = value
    return found


def _is_plain(x: object) -> bool:
    """Whether a value is good as it is; False says that it is looked at closely."""
    if type(x) is int:
        return -(2**63) <= x < 2**63
    if type(x) is str:
        return x.isascii() and "\0" not in x
    return x is None or type(x) is bool


def dumped(found: dict[str, Scalar]) -> str:
    """Metadata as JSON, as it is stored."""
    out = _ENCODER.encode(found)
    if len(out) > LONGEST:
        raise ValueError(f"metadata: wanted at most {LONGEST} characters as JSON; got {len(out)}")
    return out


def text(name: str, x: object) -> str:
    """`x` as a text that UTF-8 holds, without NUL."""
    if not isinstance(x, str):
        raise TypeError(f"{name}: wanted a text; got {_check.describe(x)}")
    if not _check.is_text(x):
        raise ValueError(f"{name}: wanted a text without NUL that UTF-8 can hold; got {_check.shown(x)}")
    return str(x)


def scalar(name: str, x: object, nothing: bool = False) -> Scalar:
    """`x` as a value of metadata; NumPy's numbers become Python's."""
    if x is None and nothing:
        return None
    x = x.item() if hasattr(x, "dtype") and hasattr(x, "item") and not getattr(x, "shape", ()) else x
    if isinstance(x, str):
        return text(name, x)
    if isinstance(x, bool):
        return x
    good = -(2**63) <= x < 2**63 if isinstance(x, int) else isinstance(x, float) and math.isfinite(x)
    if not good:
        error = ValueError if isinstance(x, (int, float)) else TypeError
        raise error(f"{name}: wanted {SCALAR}; got {_check.describe(x)}")
    return x  # type: ignore[return-value]


class Test(NamedTuple):
    """A condition on one value of metadata.

    Attributes
    ----------
    name : str
    signs : tuple of str
        Of BOUNDS, each with a value, which all have to hold; or "=" alone, with any number of values, of which one has
        to.
    values : list
        Of signs of BOUNDS either texts all, or numbers and booleans all.
    """

    name: str
    signs: tuple[str, ...]
    values: list[Scalar]


def parsed(where: object) -> list[list[Test]]:
    """A condition as users write it: one of the lists has to hold, and of it all tests."""
    if isinstance(where, (list, tuple)):
        if not where:
            raise ValueError(f"where: wanted {WHERE}; got an empty list")
        return [_all(x) for x in where]
    return [_all(where)]


def _all(where: object) -> list[Test]:
    if not isinstance(where, Mapping):
        raise TypeError(f"where: wanted {WHERE}; got {_check.describe(where)}")
    return [_one(text("where: a name", name), condition) for name, condition in where.items()]


def _one(name: str, condition: object) -> Test:
    what = f"where[{_check.shown(name)}]"
    if isinstance(condition, Mapping):
        if not condition or not set(condition) <= set(BOUNDS):
            raise ValueError(f"{what}: wanted bounds of {', '.join(BOUNDS)}; got {_check.describe(dict(condition))}")
        values = [scalar(what, v) for v in condition.values()]
        if len({isinstance(v, str) for v in values}) > 1:
            raise TypeError(f"{what}: wanted bounds that are all numbers or all texts; got {_check.describe(values)}")
        return Test(name, tuple(condition), values)
    if isinstance(condition, (list, tuple, set, frozenset)):
        return Test(name, ("=",), [scalar(what, v) for v in condition])
    return Test(name, ("=",), [scalar(what, condition)])


def compiled(where: object) -> tuple[str, list[Any]]:
    """A condition as an SQLite query that gives the rows of all runs it holds for, and its parameters."""
    parts = [_rows(tests) for tests in parsed(where)]
    if len(parts) == 1:
        return parts[0]
    return " UNION ".join(f"SELECT row FROM ({sql})" for sql, _ in parts), [v for _, vs in parts for v in vs]


def _rows(tests: list[Test]) -> tuple[str, list[Any]]:
    if not tests:
        return "SELECT row FROM runs", []
    parts = [_values(test) for test in tests]
    query = " INTERSECT ".join(f"SELECT row FROM tags WHERE name = ? AND {sql}" for sql, _ in parts)
    return query, [v for test, (_, vs) in zip(tests, parts, strict=True) for v in (test.name, *vs)]


def _values(test: Test) -> tuple[str, list[Any]]:
    if test.signs != ("=",):
        kind = "= 'text'" if isinstance(test.values[0], str) else "<> 'text'"  # SQLite sorts all texts behind numbers
        return " AND ".join(f"value {sign} ?" for sign in test.signs) + f" AND typeof(value) {kind}", test.values
    if len(test.values) == 1:
        return "value = ?", test.values
    # As one JSON text, since SQLite takes a limited number of parameters.
    return "value IN (SELECT value FROM json_each(?))", [json.dumps(test.values)]


def tags(row: int, found: Mapping[str, Scalar]) -> list[tuple[str, Scalar, int]]:
    """The lines of the index of conditions; None is no value."""
    return [(name, value, row) for name, value in found.items() if value is not None]
