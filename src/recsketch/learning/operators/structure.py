"""Which objects a sketch has: from where strings were seen, before any sign is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.learning.operators.machine import Place, with_users
from recsketch.learning.operators.masks import Path
from recsketch.learning.operators.signs import Chain, Images

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

STEPS = 200
THERE = 0.15  # of the energy of the loudest object of as many levels


def objects(images: Images, chains: Sequence[Sequence[Chain]], places: Sequence[Place], sketches: int) -> Flags:
    """(sketches, places): at most one object at each position of each tuple, the one that has most energy there.

    A module's energies over displacements are those of its objects' chains, with weights that are not negative. Two
    positions of a user and of its input can be exchanged without any change of these, so that levels are decided one by
    one: what has no user is left out below.
    """
    there, sketch = np.unique(images.sketch, return_inverse=True)
    images = replace(images, sketch=sketch.ravel())
    allowed = np.ones((there.size, len(places)), np.bool_)
    depth = np.array([len(p.path) for p in places])
    slots: dict[Path, list[int]] = {}
    for i, p in enumerate(places):
        slots.setdefault(p.path, []).append(i)
    for level in np.unique(depth):
        weights = _weights(images, chains, places, allowed)
        loudest = weights[:, depth == level].max(axis=1)
        allowed[:, depth == level] = False
        for rivals in (r for path, r in slots.items() if len(path) == level):
            best = weights[:, rivals].argmax(axis=1)
            loud = np.flatnonzero((weights[:, rivals].max(axis=1) > THERE * loudest) & (loudest > 0))
            allowed[loud, np.array(rivals)[best[loud]]] = True
        allowed = with_users(places, allowed)
    out = np.zeros((sketches, len(places)), np.bool_)
    out[there] = allowed
    return out


def _weights(images: Images, chains: Sequence[Sequence[Chain]], places: Sequence[Place], allowed: Flags) -> Doubles:
    """Energies of objects, by multiplicative updates, which leave what is zero."""
    out = np.zeros(allowed.shape)
    for k, own in enumerate(chains):
        mine = [i for i, p in enumerate(places) if p.module == k]
        at = np.flatnonzero(images.module == k)
        energies = np.array([c.energy for c in own])
        n, order = len(allowed), energies.shape[1]
        where = images.sketch[at] * order + (images.row[at] ^ images.place[at])
        seen = np.bincount(where, images.amplitude[at] ** 2, n * order).reshape(n, order)
        gram, right = energies @ energies.T, seen @ energies.T
        w = allowed[:, mine] * right.max(axis=1, keepdims=True)
        for _ in range(STEPS):
            w *= np.maximum(right, 1e-12) / np.maximum(w @ gram, 1e-12)
        out[:, mine] = w
    return out
