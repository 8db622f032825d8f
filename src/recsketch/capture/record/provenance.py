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

PLAIN = frozenset((str, bytes, int, float, complex, bool, type(None)))  # nearly all of them are, and this is faster
FROZEN = frozenset((tuple, frozenset))

DEEPEST = 8  # levels of containers that are looked into
MOST = 10_000  # members, of all levels, that are looked at


class Known(NamedTuple):
    """An object that a call returned: a weak reference, or the object itself."""

    weak: weakref.ref[Any] | None
    strong: Any
    number: int
    again: bool  # another call had returned it before, whose result this one had not been given
    held: tuple[int, ...]  # the `id` of its members, if it is a container


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
        """The calls that arguments come from, each once, in the order of the arguments; and what cannot be known.

        Members of a result that is as it was returned say nothing of their own; they are gone through for containers
        among them that are not.
        """
        found: dict[int, None] = {}
        doubts: list[tuple[str, str]] = []
        unsure: list[Any] = []
        left = MOST
        known, doubtful = self.known, self.doubtful
        inside: list[int] = []
        waiting = [(iter(arguments), False)]
        while waiting:
            level, explained = waiting[-1]
            for x in level:
                left -= 1
                here = known.get(id(x))
                if here is not None:
                    if (here[1] if here[0] is None else here[0]()) is not x:
                        here = None
                    elif not explained:
                        found[here.number] = None
                        if here.again:
                            doubts.append(
                                ("again", "an object that several calls returned is taken to be the last one's")
                            )
                if type(x) in PLAIN or isinstance(x, ATOMS):
                    if doubtful and here is None and not explained and (key := _key(x)) in doubtful:
                        unsure.append(key)
                    continue
                inner = members(x)
                if inner and id(x) not in inside:
                    if left < len(inner) or len(waiting) > DEEPEST:
                        doubts.append(
                            ("deep", f"not all of an argument of over {MOST} members or {DEEPEST} levels is seen")
                        )
                        continue
                    as_it_was = here.held == tuple(map(id, inner)) if here else explained and type(x) is tuple
                    if isinstance(x, (set, frozenset)):  # the order of a set is nobody's
                        inner = tuple(sorted(inner, key=self._number))
                    inside.append(id(x))
                    waiting.append((iter(inner), as_it_was))
                    break
            else:
                waiting.pop()
                if inside:
                    inside.pop()
        for key in unsure:
            if not doubtful[key] <= found.keys():
                doubts.append(("value", f"{_check.shown(key[1])} may be what a call returned or not, no edge is made"))
        return list(found), doubts

    def _number(self, x: Any) -> int:
        here = self.found(x)
        return -1 if here is None else here.number

    def label(self, x: Any, number: int, fresh: bool, given: Callable[[int], bool]) -> str | None:
        """From now on x, and what is new in it, comes from call `number`; what is too large to be looked at is told.

        `fresh`: nobody but the recorder refers to x. `given`: whether the call had what another one returned.
        """
        waiting = [(fresh, x, 0)]
        size = 0
        while waiting:
            fresh, x, level = waiting.pop()
            atom = type(x) in PLAIN or isinstance(x, ATOMS)
            here = self.found(x)
            if here is not None and level:
                continue  # handed on within something new: it still comes from where it came from
            if here is None and (not fresh or (isinstance(x, str) and _interned(x))) and (atom or type(x) in FROZEN):
                if atom:  # a constant, perhaps; so may the tuple be, whose members are looked at one by one
                    self.doubtful.setdefault(_key(x), set()).add(number)
                    continue
                mark = False
            else:
                mark = True
            inner = () if atom else members(x)
            if mark:
                again = here is not None and here.number != number and not given(here.number)
                held = tuple(map(id, inner))
                try:
                    self.known[id(x)] = Known(weakref.ref(x), None, number, again, held)
                except TypeError:
                    self.known[id(x)] = Known(None, x, number, again, held)
            if inner:
                size += len(inner)
                if size > MOST or level == DEEPEST:
                    return f"not all of a result of over {MOST} members or {DEEPEST} levels is seen"
                # Two more refer to a member than to a lonely local: the container, and the copy that is gone through.
                # The count comes first, because a tuple that is being made refers to what it has already.
                waiting += [(fresh and sys.getrefcount(y) <= ALONE + 2, y, level + 1) for y in inner]
        return None


def members(x: Any) -> tuple[Any, ...]:
    """What a container holds, as a copy: values of a dict, fields of a dataclass; () of anything else."""
    kind = type(x)
    if kind is np.ndarray:
        return ()
    if kind is list or isinstance(x, (list, tuple, set, frozenset, deque)):
        return tuple(x)
    if isinstance(x, Mapping):
        return tuple(x.values())
    fields = getattr(kind, "__dataclass_fields__", None)
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
