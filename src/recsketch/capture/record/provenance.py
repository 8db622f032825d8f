"""Which call an object came from, by its identity.

Objects are referenced weakly where they can be, and otherwise held until the run ends, so that no number of `id` is
ever another object's. Python hands out one and the same object for equal small integers, constants of the code,
interned texts, None: where a call may have returned such a one, its identity says nothing. `sys.getrefcount` tells: an
object that nobody but the recorder refers to cannot be one.
"""

from __future__ import annotations

import enum
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import recsketch._check as _check

ATOMS = (
    *(str, bytes, int, float, complex, type(None), type(...), type(NotImplemented), range, np.generic),
    *(enum.Enum, type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType),
)
"""What Python may hand out more than once, equal to itself wherever it came from."""

DEEPEST = 8  # levels of containers that are looked into
MOST = 10_000  # members, of all levels, that are looked at


class Known(NamedTuple):
    """An object that a call returned: a weak reference, or the object itself."""

    weak: weakref.ref[Any] | None
    strong: Any
    number: int
    again: bool  # another call had returned it before, whose result this one had not been given
    held: tuple[int, ...] | None = None  # of a container with members that may be anybody's: the `id` of all members


def _alone() -> int:
    x = object()
    return sys.getrefcount(x)


ALONE = _alone()
"""What `sys.getrefcount` says of an object that one local variable refers to, and nothing else."""


class Provenance:
    """What the calls of one run have returned so far."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}
        self.doubtful: dict[Any, set[int]] = {}  # values whose identity says nothing: the calls that returned them

    def found(self, x: Any) -> Known | None:
        here = self.known.get(id(x))
        if here is None or (here.strong if here.weak is None else here.weak()) is not x:
            return None
        return here

    def sources(self, arguments: tuple[Any, ...]) -> tuple[list[int], list[tuple[str, str]]]:
        """The calls that arguments come from, each once, in the order of the arguments; and what cannot be known."""
        found: dict[int, None] = {}
        doubts: list[tuple[str, str]] = []
        unsure: list[Any] = []
        left = MOST
        inside: list[int] = []
        waiting = [(iter(arguments), False)]
        while waiting:
            level, explained = waiting[-1]  # explained: these are members of a result, which is as it was returned
            for x in level:
                left -= 1
                here = self.found(x)
                if here is not None:
                    found[here.number] = None
                    if here.again:
                        doubts.append(
                            ("again", "an object that several calls returned is taken to come from the last of them")
                        )
                if isinstance(x, ATOMS):
                    if here is None and not explained and self.doubtful and (key := _key(x)) in self.doubtful:
                        unsure.append(key)
                    continue
                inner = members(x)
                if inner and id(x) not in inside:
                    if left < len(inner) or len(waiting) > DEEPEST:
                        doubts.append(
                            ("deep", f"not all of an argument of over {MOST} members or {DEEPEST} levels is looked at")
                        )
                        continue
                    if isinstance(x, (set, frozenset)):  # the order of a set is nobody's
                        inner = tuple(sorted(inner, key=self._number))
                    inside.append(id(x))
                    as_it_was = here.held == tuple(map(id, members(x))) if here else explained and type(x) is tuple
                    waiting.append((iter(inner), as_it_was))
                    break
            else:
                waiting.pop()
                if inside:
                    inside.pop()
        for key in unsure:
            if not self.doubtful[key] <= found.keys():
                doubts.append(("value", f"{_check.shown(key[1])} may be what a call returned or not, no edge is made"))
        return list(found), doubts

    def _number(self, x: Any) -> int:
        here = self.found(x)
        return -1 if here is None else here.number

    def label(self, x: Any, number: int, fresh: bool, given: Callable[[int], bool]) -> str | None:
        """From now on x, and what is new in it, comes from call `number`; what is too large to be looked at is told.

        `fresh`: nobody but the recorder refers to x. `given`: whether the call had what another one returned.
        """
        self._label(x, number, fresh, given)
        size, level = 0, [(x, fresh)]
        for _ in range(DEEPEST):
            level = [pair for pair in level if not isinstance(pair[0], ATOMS)]
            below: list[tuple[Any, bool]] = []
            for holder, alone in level:
                inner = members(holder)
                size += len(inner)
                if size > MOST:
                    return f"not all of a result of over {MOST} members is looked at"
                for member in inner:
                    # One more refers to it than to a lonely local: the container, and the copy that is gone through.
                    new = alone and sys.getrefcount(member) <= ALONE + 2
                    if self.found(member) is None:  # otherwise it is handed on, and comes from where it came from
                        self._label(member, number, new, given)
                        below.append((member, new))
                here = self.found(holder)
                if here is not None and here.number == number and any(isinstance(m, ATOMS) for m in inner):
                    self.known[id(holder)] = here._replace(held=tuple(map(id, inner)))
            if not below:
                return None
            level = below
        return (
            f"not all of a result of over {DEEPEST} levels is looked at" if any(members(x) for x, _ in level) else None
        )

    def _label(self, x: Any, number: int, fresh: bool, given: Callable[[int], bool]) -> None:
        here = self.found(x)
        if here is None and (not fresh or (isinstance(x, str) and _interned(x))):
            if isinstance(x, ATOMS):
                self.doubtful.setdefault(_key(x), set()).add(number)
                return
            if isinstance(x, (tuple, frozenset)):  # perhaps a constant; its members are looked at one by one
                return
        again = here is not None and here.number != number and not given(here.number)
        try:
            self.known[id(x)] = Known(weakref.ref(x), None, number, again)
        except TypeError:
            self.known[id(x)] = Known(None, x, number, again)


def members(x: Any) -> tuple[Any, ...]:
    """What a container holds, as a copy: values of a dict, fields of a dataclass; () of anything else."""
    if isinstance(x, (list, tuple, set, frozenset, deque)):
        return tuple(x)
    if isinstance(x, Mapping):
        return tuple(x.values())
    fields = getattr(type(x), "__dataclass_fields__", None)
    if fields is None or isinstance(x, type):
        return ()
    return tuple(getattr(x, name, None) for name in fields)


def _interned(x: str) -> bool:
    """Whether equal texts may become this very object: interning is no reference that is counted."""
    told = getattr(sys, "_is_interned", None)  # of Python 3.13 and later
    if told is not None:
        return bool(told(x))
    return sys.intern("".join((x[:1], x[1:]))) is x


def _key(x: Any) -> Any:
    """Equal for values that are alike: NaN is like NaN, and True is not 1."""
    return type(x), x if x == x else None
