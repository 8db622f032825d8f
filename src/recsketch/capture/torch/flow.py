"""Which calls of modules flowed into which tensor."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch

from recsketch.capture.torch.layout import ASTRAY, FREE, Layout
from recsketch.capture.torch.regions import APART, INSIDE, Region, relation

Calls: TypeAlias = frozenset[int]

NONE: Calls = frozenset()
UNSEEN: Calls = frozenset([-1])  # of a tensor that no seen function made


class Storage:
    """What was written into one storage. It lives as long as a tensor that is known to be in it."""

    __slots__ = ("__weakref__", "log", "origin")

    def __init__(self, origin: Calls) -> None:
        self.origin = origin  # of what it held at first
        self.log: list[tuple[int, Calls, bool, Region]] = []  # clock, calls, whether these replace the old ones, where


class Known(weakref.ref):  # type: ignore[type-arg]
    """What is known of one tensor.

    `calls` flowed into it up to write number `seen` of its storage. It was made when the clock was `born`. A tensor is
    `natural` if it is what its storage holds, and not relabelled as the output of a call.
    """

    __slots__ = ("born", "calls", "key", "layout", "natural", "seen", "storage")

    born: int
    calls: Calls
    key: int
    layout: Layout
    natural: bool
    seen: int
    storage: Storage | None


class Flow:
    """Provenance of tensors: for each the set of calls whose outputs flowed into it.

    A tensor's identity says what it was made from, its storage what has been written there since, through whichever
    view. Tensors are held weakly. The clock counts what was made and written.
    """

    def __init__(self) -> None:
        self.clock = 0
        self.known: dict[int, Known] = {}
        self.storages: weakref.WeakValueDictionary[int, Storage] = weakref.WeakValueDictionary()

        def drop(ref: Known, known: dict[int, Known] = self.known) -> None:
            if known.get(ref.key) is ref:
                del known[ref.key]

        self._drop: Any = drop

    def get(self, t: torch.Tensor) -> Known | None:
        k = self.known.get(id(t))
        return k if k is not None and k() is t else None

    def storage(self, t: torch.Tensor, origin: Calls | None = None) -> Storage | None:
        """A tensor's storage, a new one if `origin` is given; None for tensors without one, such as sparse ones."""
        try:
            key = t.untyped_storage()._cdata
        except (RuntimeError, NotImplementedError, ValueError):
            return None
        found = self.storages.get(key)
        if found is None and origin is not None:
            found = self.storages[key] = Storage(origin)
        return found

    def put(
        self, t: torch.Tensor, calls: Calls, layout: Layout, natural: bool = True, storage: Storage | None = None
    ) -> None:
        """`t` was made from these calls; its storage if that is known already."""
        self.clock += 1
        k = Known(t, self._drop)
        k.key, k.calls, k.layout, k.born = id(t), calls, layout, self.clock
        k.storage = s = storage if storage is not None else self.storage(t, calls)
        k.seen = len(s.log) if s is not None else 0
        k.natural = natural
        self.known[k.key] = k

    def learn(self, t: torch.Tensor, layout: Layout = FREE) -> None:
        """`t` is there from elsewhere, and no call flowed into it."""
        if self.get(t) is None:
            self.put(t, NONE, layout)

    def forget(self, same: bool) -> None:
        """A new run begins: of what is there, nothing comes from its calls. `same`: its batch is as large."""
        for s in self.storages.values():
            s.origin, s.log = NONE, []
        for k in self.known.values():
            k.calls, k.seen, k.natural = NONE, 0, True
            if not same and k.layout is not FREE:
                k.layout = ASTRAY

    def calls(self, t: torch.Tensor) -> Calls:
        k = self.get(t)
        if k is None:  # a view made unseen is as its storage
            s = self.storage(t)
            return UNSEEN if s is None else s.origin.union(*(calls for _, calls, _, _ in s.log))
        s = k.storage
        if s is not None and k.seen < len(s.log):
            k.calls = _folded(k.calls, s, k.seen, t)
            k.seen = len(s.log)
        return k.calls

    def write(self, t: torch.Tensor, calls: Calls, replaces: bool, part: torch.Tensor | None = None) -> None:
        """`t`, or a part of it, was written from calls; what it held before stays unless that is replaced."""
        whole = part is None
        into = t if part is None else part
        own = calls if replaces and whole else calls | self.calls(t)
        s = self.storage(t, NONE)
        self.clock += 1
        if s is not None and (own or s.origin or s.log):
            s.log.append((self.clock, calls if replaces else own, replaces, _region(into)))
        k = self.get(t)
        if k is None:
            self.put(t, own, FREE)
        elif whole or s is None:
            k.calls, k.seen = own, len(s.log) if s is not None else 0

    def written_since(self, t: torch.Tensor, clock: int) -> bool:
        k = self.get(t)
        return k is not None and k.storage is not None and bool(k.storage.log) and k.storage.log[-1][0] > clock

    def op(
        self,
        sources: Iterable[torch.Tensor],
        outs: Iterable[torch.Tensor],
        layout: Callable[[torch.Tensor, Storage | None], Layout],
    ) -> None:
        """A function made `outs` from `sources`; `layout` says how an output lies, given a storage it is a view of."""
        sources = list(sources)
        calls = NONE
        for t in sources:
            more = self.calls(t)
            if more and not more <= calls:
                calls = calls | more if calls else more
        for t in outs:
            s = self.storage(t)
            own, natural = calls, True
            if s is not None and (s.log or s.origin != calls):  # a view: it holds its own part of the storage alone
                k = next((k for x in sources if (k := self.get(x)) is not None and k.storage is s), None)
                natural = k is not None and k.natural
                if natural and s.log:
                    own = _folded(s.origin, s, 0, t)
            self.put(t, own, layout(t, s), natural, s)


def _region(t: torch.Tensor) -> Region:
    size = t.element_size()  # in bytes, because views may have other types
    return Region(t.storage_offset() * size, (*t.shape, size), (*(s * size for s in t.stride()), 1))


def _folded(calls: Calls, s: Storage, start: int, t: torch.Tensor) -> Calls:
    """What `t` holds after the writes of its storage from number `start` on."""
    here = _region(t)
    for _, more, replaces, where in s.log[start:]:
        how = relation(here, where)
        if how == INSIDE and replaces:
            calls = more
        elif how != APART:
            calls = calls | more
    return calls
