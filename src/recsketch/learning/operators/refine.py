"""Bits of operators that no equation settles, by least squares: what a residual says of the sign at every block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.learning.operators.machine import Machine, Place, Reader, Turn
from recsketch.learning.operators.masks import Operator, Path

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

DAMPING = 1e-3  # of the Gram matrix's diagonal
SWEEPS = 12
SETTLED = 1e-9  # of the energy: nothing is left to settle
SLOWER = 0.98  # of what a sweep began with: less is no gain
CLEAR = 0.5  # size of a sign that is one in the end; others are not known
START = 0.3  # size of random signs to begin with: from zeros two operators of one mask never part


def refine(
    machine: Machine, places: Sequence[Place], present: Flags, sketches: Doubles, start: np.random.Generator | None
) -> Machine:
    """The machine with signs of all that had none.

    Sweeps move them, all at once, to where the residual wants them, and the objects are fitted anew after each. Signs
    start at 0, or at random, and are 1 or -1 at the end; 0 where nothing that was seen depends on them.
    """
    free = {q: turn.signs == 0 for q, turn in machine.turns.items()}
    out = Machine(machine.cosine, machine.sine, machine.strings, dict(machine.turns))
    if start is not None:
        for q, (mask, signs) in out.turns.items():
            drawn = START * start.choice([-1.0, 1.0], signs.size)
            out.turns[q] = Turn(mask, np.where(free[q], _odd(drawn, mask), signs))
    energy, before, touched = float(np.square(sketches).sum()), np.inf, {q: ~f for q, f in free.items()}
    for _ in range(SWEEPS):
        values, left = Reader(out, places).fit(sketches, present, DAMPING)
        _sweep(out, places, present, values, left, free, touched)
        now = float(np.square(left).sum()) / energy
        if now < SETTLED or now > SLOWER * before:
            break
        before = now
    for q, (mask, signs) in out.turns.items():
        clear = touched[q] & (np.abs(signs) > CLEAR)
        out.turns[q] = Turn(mask, np.where(clear, np.sign(signs), 0.0))
    return out


def _odd(signs: Doubles, mask: int) -> Doubles:
    """Each block's sign the negative of its partner's."""
    place = np.arange(signs.size)
    return np.where(place < place ^ mask, signs, -signs[place ^ mask])


def _sweep(
    machine: Machine,
    places: Sequence[Place],
    present: Flags,
    values: Sequence[Doubles],
    left: Doubles,
    free: dict[Operator, Flags],
    touched: dict[Operator, Flags],
) -> None:
    """Move every free sign, within -1 and 1; touched: those that any object depends on."""
    shape = (len(left), *machine.strings[0].shape[1:])
    score = {q: np.zeros(shape[1]) for q in machine.turns}
    weight = {q: np.zeros(shape[1]) for q in machine.turns}
    seen: dict[Path, npt.NDArray[np.float32]] = {(): left.reshape(shape).astype(np.float32)}

    def outside(path: Path) -> npt.NDArray[np.float32]:
        """The residual as the operators outside see it."""
        if path not in seen:
            seen[path] = machine.adjoint(path[-1], outside(path[:-1]))
        return seen[path]

    for p, x, there in zip(places, values, present.T, strict=True):
        rows = np.flatnonzero(there)
        if not rows.size:
            continue
        z = np.tensordot(x[rows], machine.strings[p.module], axes=1).astype(np.float32)
        whole: Path = (*p.path, ("module", p.module), ("branch", 0))
        for k in range(len(whole) - 1, -1, -1):
            q = whole[k]
            moved = z[:, np.arange(shape[1]) ^ machine.turns[q].mask]
            score[q] += np.einsum("nkb,nkb->k", outside(whole[:k])[rows], moved)
            weight[q] += np.einsum("nkb,nkb->k", moved, moved)
            z = machine.apply(q, z)
    for q, (mask, signs) in machine.turns.items():
        partner = np.arange(shape[1]) ^ mask
        both = weight[q] + weight[q][partner]
        some = both > 1e-9 * (both.max() + 1e-30)
        step = (score[q] - score[q][partner]) / (machine.sine * np.where(some, both, 1.0))
        touched[q] |= some & free[q]
        machine.turns[q] = Turn(mask, np.where(free[q] & some, np.clip(signs + step, -1.0, 1.0), signs))
