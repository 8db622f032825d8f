"""Values that are compared by what they hold: arrays element by element, NaN equal to NaN."""

from __future__ import annotations

from typing import ClassVar

import numpy as np


def alike(a: object, b: object) -> bool:
    """Whether two values hold the same.

    Arrays are alike if their shapes and all elements are equal; tuples, lists and dicts if their members are. NaN is
    like NaN, unlike for ``==``: what was read twice from one sketch is the same, whatever it lacks. Values that cannot
    be compared are not alike; nothing is raised.

    Examples
    --------
    >>> import numpy as np
    >>> alike((1, [np.array([1.0, np.nan])]), (1, [np.array([1.0, np.nan])]))
    True
    >>> alike(np.ones(2), np.ones(3)), alike(np.ones(1), 1.0)
    (False, False)
    """
    if a is b:
        return True
    if isinstance(a, (list, tuple)) and type(a) is type(b):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict) and type(a) is type(b):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) != isinstance(b, np.ndarray):
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape != b.shape:
        return False
    try:
        same = (a == b) | ((a != a) & (b != b))  # NaN alone differs from itself
        return bool(np.all(same))
    except (TypeError, ValueError):
        return False


class Record:
    """A base for frozen dataclasses that hold arrays: equal if all fields are `alike`, which gives a bool.

    Records have no hash, because their arrays may change.
    """

    __slots__ = ()

    __array_ufunc__: ClassVar[None] = None  # so that an array compares with it as a whole, and not element by element
    __hash__: ClassVar[None]  # type: ignore[assignment]  # as Python marks what cannot be hashed

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names: dict[str, object] = getattr(self, "__dataclass_fields__", {})
        return all(alike(getattr(self, name), getattr(other, name)) for name in names)
