"""Masks, then signs, then whether both together explain sketches that had no part in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.learning.operators.angle import angles
from recsketch.learning.operators.machine import Machine, Place, Reader, Turn
from recsketch.learning.operators.masks import LARGEST, Placed, place
from recsketch.learning.operators.refine import refine
from recsketch.learning.operators.signs import Bits, Chain, Images, chain, equations, solve
from recsketch.learning.operators.structure import objects

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]

ENOUGH = 200_000  # images that equations and the angle are taken from
TRAINED, HELD = 32, 12  # sketches for bits that no equation settles, and for the check
USUAL = 75.0  # degrees, where images do not tell
STARTS = ((None, 0, 1), (None,))  # by levels, of the bits that are not known: zeros, and random draws
TINY = 1e-9  # damping, so that there is an answer where objects look the same
NEAR = (1e-3, 1e-5)  # radians that an angle may be off, step by step
UNEXPLAINED = 1e-5  # share of the energy of the others that may be left, besides the noise
DEVIATIONS = 6.0  # of the noise's energy
CLOSE, RIVALS, FEW = 1e-3, 4, 40_000  # of margins of masks; views that are compared, on so many images
FITS = 0.7  # unknowns over d, above which least squares of all that may be there has no answer


@dataclass(frozen=True)
class Training:
    """Sketches (n, d), their noise (n,), and their numbers in `Images.sketch`. The last `held` are for the check."""

    sketches: Doubles
    noise: Doubles
    numbers: npt.NDArray[np.int64]
    held: int


def displacements(images: Images, modules: int, order: int) -> list[Doubles]:
    """Energies of each module over displacements. Counters of several objects add up where they meet; elements, whose
    signs differ, do so on average in energy. So only those count."""
    out = []
    for k in range(modules):
        at = np.flatnonzero((images.module == k) & ~images.counter)
        out.append(np.bincount(images.row[at] ^ images.place[at], images.amplitude[at] ** 2, order).astype(np.float64))
    return out


def learn_masks(images: Images, modules: int, places: int, angle: float | None) -> tuple[Placed | None, str]:
    """What was placed, and what is wrong with it."""
    order = places // 2
    if order > LARGEST:
        return None, f"masks are looked for among at most {LARGEST} blocks of half a sketch; there are {order}"
    energies = displacements(images, modules, order)
    if not all(h.any() for h in energies):
        return None, "a module's elements were never seen, but its counter"
    some = _some(images, stride(images))
    own = ~some.counter
    tried = [angle] if angle is not None else [*angles(some.strings()[own], some.amplitude[own], energies), USUAL]
    placed = place(energies, tried)
    if placed is None:
        return None, "no masks explain how far strings have moved"
    if len(placed.modules) < modules:
        return placed, f"{modules - len(placed.modules)} of {modules} modules have no path that explains where they are"
    return placed, ""


@dataclass(frozen=True)
class View:
    """Masks with what follows from them of the sketches: chains, places of objects, and which of these are there."""

    placed: Placed
    chains: list[list[Chain]]
    places: list[Place]
    present: Flags
    bits: Bits
    votes: dict[frozenset[int], list[float]]

    @property
    def agreed(self) -> float:
        """Votes for equations, less those against them: most with the right masks."""
        return sum(abs(even - odd) for even, odd in self.votes.values())


def view(images: Images, placed: Placed, sketches: int, count: int, modules: int) -> View:
    cosine = math.cos(math.radians(placed.angle))
    chains = [[chain(p, k, placed, count // 2, cosine) for p, _ in placed.paths[k]] for k in range(modules)]
    places = [Place(path, k) for k in range(modules) for path, _ in placed.paths[k]]
    present, bits = objects(images, chains, places, sketches), Bits(placed, count)
    module = np.array([p.module for p in places])
    votes = equations(images, chains, [present[:, module == k] for k in range(modules)], bits)
    return View(placed, chains, places, present, bits, votes)


def choose(images: Images, placed: Placed, count: int, modules: int) -> View | str:
    """The view of the masks on which most equations agree, of those that displacements cannot tell apart; or why none
    is taken."""
    levels = max(1 + len(path) // 3 for paths in placed.paths.values() for path, _ in paths)
    if levels > len(STARTS):
        return f"operators are looked for in sketches of at most {len(STARTS)} levels; these have {levels}"
    sketches, rivals = int(images.sketch.max(initial=0)) + 1, placed.others(CLOSE, RIVALS)
    step = stride(images)
    wide = step * (1 + min(ENOUGH, images.sketch.size) // FEW) if len(rivals) > 1 else step
    few = _some(images, wide)
    best = max((view(few, p, sketches, count, modules) for p in rivals), key=lambda v: v.agreed)
    return best if wide == step else view(_some(images, step), best.placed, sketches, count, modules)


def learn_signs(v: View, strings: list[Doubles], training: Training) -> tuple[Machine | None, str]:
    """Operators, or why there are none."""
    places, dim = v.places, strings[0][0].size
    unknowns = sum(len(strings[p.module]) for p in places)
    if unknowns > FITS * dim:
        return None, f"objects may be at {len(places)} places and have {unknowns} numbers there, of {dim}"
    solved, angle = solve(v.votes), math.radians(v.placed.angle)
    used = {q: None for own in v.chains for c in own for q in c.operators}
    turns = {q: Turn(v.placed.mask(q), v.bits.signs(q, solved).astype(np.float64)) for q in used}
    n = len(training.numbers)
    train, held = slice(0, n - training.held), slice(n - training.held, n)
    there, sketches = v.present[training.numbers[train]], training.sketches[train]
    machine = Machine(math.cos(angle), math.sin(angle), strings, turns)
    first = best = _tuned(machine, places, there, sketches)
    left = _left(best, places, training, held)
    for start in STARTS[max(len(p.path) // 3 for p in places)]:
        if left <= 0:
            break
        tried = refine(first, places, there, sketches, None if start is None else np.random.default_rng(start))
        tried = _tuned(tried, places, there, sketches)
        now = _left(tried, places, training, held)
        left, best = (now, tried) if now < left else (left, best)
    if left > 0:
        more = f"{left:.1e} of the energy of sketches that had no part in it"
        return None, f"the operators that fit best leave {more}, besides the noise"
    return best, ""


def _tuned(machine: Machine, places: Sequence[Place], present: Flags, sketches: Doubles) -> Machine:
    """With the angle that leaves least, by parabolas of three points each."""
    angle = math.atan2(machine.sine, machine.cosine)

    def turned(x: float) -> Machine:
        return Machine(math.cos(x), math.sin(x), machine.strings, machine.turns)

    part = np.square(Reader(machine, places).fit(sketches, present, TINY).left).sum(axis=1) / np.square(sketches).sum(
        axis=1
    )
    best = np.argsort(part, kind="stable")[: max(1, len(part) // 3)]  # others may have other objects than it seems
    sketches, present = sketches[best], present[best]

    def left(x: float) -> float:
        return float(np.square(Reader(turned(x), places).fit(sketches, present, TINY).left).sum())

    for step in NEAR:
        low, here, high = left(angle - step), left(angle), left(angle + step)
        bend = low - 2 * here + high
        if bend > 0:
            angle += min(max(0.5 * step * (low - high) / bend, -3 * step), 3 * step)
    return turned(angle)


def stride(images: Images) -> int:
    """Of how many sketches one is looked at for equations."""
    return max(1, -(-images.sketch.size // ENOUGH))


def _some(images: Images, step: int) -> Images:
    """Those of every so many-th sketch."""
    kept = images.sketch % step == 0
    names = ("sketch", "module", "column", "row", "place", "amplitude", "counter")
    return images if kept.all() else replace(images, **{name: getattr(images, name)[kept] for name in names})


def _left(machine: Machine, places: Sequence[Place], training: Training, held: slice) -> float:
    """What the operators leave of the energy of sketches beyond what they may: 0 or less is good."""
    y, noise = training.sketches[held], training.noise[held]
    reader = Reader(machine, places)
    try:
        left = float(np.square(reader.fit(y, reader.present(y, noise)).left).sum())
    except np.linalg.LinAlgError:  # two objects look the same
        return 1.0
    energy, expected = float(np.square(y).sum()), float(np.square(noise).sum()) * y.shape[1]
    expected *= 1.0 + DEVIATIONS * math.sqrt(2.0 / y.size)
    return float((left - expected) / energy - UNEXPLAINED)
