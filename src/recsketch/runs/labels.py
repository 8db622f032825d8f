"""What runs are called and when they were: the columns `ids` and `times` of a batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check

if TYPE_CHECKING:
    import numpy.typing as npt

Ids: TypeAlias = "npt.NDArray[np.str_]"
Times: TypeAlias = "npt.NDArray[np.datetime64]"

LONGEST = 1000  # characters of an id, as of a repository's key
MOMENT = np.dtype("datetime64[us]")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)


def ids(x: object, count: int) -> Ids | None:
    """`x` as a vector of so many texts; None stays None, "" is a run without an id."""
    if x is None:
        return None
    what = f"{_check.count(count, 'text')} of at most {LONGEST} characters, one a run"
    if isinstance(x, np.ndarray) and x.dtype.kind == "U":
        _check.unmasked("ids", x, what)
        found = x
    else:
        given = _check.members("ids", x, what)
        for i, text in enumerate(given):
            if not isinstance(text, str):
                raise TypeError(f"ids[{i}]: wanted a text; got {_check.describe(text)}")
            if "\0" in text or len(text) > LONGEST:  # before NumPy drops the one and makes room for the other
                raise ValueError(f"ids[{i}]: {_wanted()}; got {_check.shown(text)}")
        found = np.array(given, np.str_)
    if found.shape != (count,):
        raise ValueError(f"ids: wanted {what}; got {_check.describe(found)}")
    width = max(1, found.dtype.itemsize // 4)
    made = np.ascontiguousarray(found, f"=U{width}")
    codes = made.view(np.uint32).reshape(count, width)
    bad = ((codes >= 0xD800) & (codes < 0xE000)) | (codes > 0x10FFFF)
    bad[:, 1:] |= (codes[:, :-1] == 0) & (codes[:, 1:] != 0)
    bad[:, LONGEST:] |= codes[:, LONGEST:] != 0
    if bad.any():
        i = int(np.flatnonzero(bad.any(axis=1))[0])
        raise ValueError(f"ids[{i}]: {_wanted()}; got another")
    return made.astype(f"=U{LONGEST}") if width > LONGEST else made


def _wanted() -> str:
    return f"wanted a text of at most {LONGEST} characters, without NUL, that UTF-8 can hold"


def times(x: object, count: int) -> Times | None:
    """`x` as a vector of so many moments in microseconds, UTC; None stays None, NaT is a run of unknown time."""
    if x is None:
        return None
    what = f"{_check.count(count, 'moment')}, one a run: datetime64 in UTC, or datetimes"
    if isinstance(x, np.ndarray) and x.dtype.kind == "M":
        _check.unmasked("times", x, what)
        found = np.ascontiguousarray(x, MOMENT)
        # A coarser unit may reach further than microseconds do, and NumPy would wrap it around.
        coarser = np.datetime_data(x.dtype)[0] in ("Y", "M", "W", "D", "h", "m", "s", "ms")
        if coarser and not np.array_equal(found.astype(x.dtype), x, equal_nan=True):
            raise ValueError(f"times: wanted {what}; got moments beyond what 64 bits of microseconds hold")
    else:
        given = [_moment(i, value) for i, value in enumerate(_check.members("times", x, what))]
        found = np.array(given, np.int64).view(MOMENT) if given else np.zeros(0, MOMENT)
    if found.shape != (count,):
        raise ValueError(f"times: wanted {what}; got {_check.describe(found)}")
    return found


def _moment(i: int, x: Any) -> int:
    if x is None or (isinstance(x, (datetime, np.datetime64)) and x != x):  # NaT, of pandas too
        return int(np.iinfo(np.int64).min)
    if isinstance(x, np.datetime64):
        return int(x.astype(MOMENT).astype(np.int64))
    if not isinstance(x, datetime):
        raise TypeError(f"times[{i}]: wanted a datetime, without a zone if it is of UTC; got {_check.describe(x)}")
    aware = x if x.tzinfo is not None else x.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _STEP


def shortest(x: Ids) -> Ids:
    """The same texts in no more room than they need, so that equal ids are equal bytes."""
    width = int(np.char.str_len(x).max(initial=1))
    return np.ascontiguousarray(x, f"=U{width}")
