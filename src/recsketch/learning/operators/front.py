"""Between a dictionary and what learns and uses operators: names there, numbers here."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsketch.learning.dictionary import Dictionary, Masks, Module, Object
from recsketch.learning.dictionary import Operator as Named
from recsketch.learning.operators.learn import HELD, TRAINED, Training, choose, learn_masks, learn_signs, stride
from recsketch.learning.operators.machine import Machine, Place, Reader, Turn
from recsketch.learning.operators.masks import Operator, Placed
from recsketch.learning.operators.signs import Images
from recsketch.learning.strings.sources import Source

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]

BRANCHES = ("attr", "in")
WHOLE = 0.999  # squared norm of a column below which a sign that it meets is not known


def with_operators(d: Dictionary, source: Source, angle: float | None) -> Dictionary:
    """The dictionary with masks and operators, or with reasons why it has none."""
    images, modules = _images(d), list(d.columns)
    placed, wrong = learn_masks(images, len(modules), d.layout.places, angle)
    if placed is None:
        return replace(d, reasons={**d.reasons, "masks": wrong, "operators": wrong})
    masks, reasons = _masks(placed, modules), {**d.reasons, "masks": wrong, "operators": wrong}
    without = [m for m, c in d.columns.items() if c.indices[-1] != d.counter]
    if not wrong and without:
        reasons["operators"] = f"the counter of {without[0]!r} was not learned"
    if reasons["operators"]:
        return replace(d, masks=masks, reasons=reasons)
    seen = choose(images, placed, d.layout.places, len(modules))
    if isinstance(seen, str):
        return replace(d, masks=masks, reasons={**reasons, "operators": seen})
    masks, strings = _masks(seen.placed, modules), [module_strings(d, m) for m in modules]
    machine, reasons["operators"] = learn_signs(seen, strings, _training(d, source, stride(images)))
    if machine is None:
        return replace(d, masks=masks, reasons=reasons)
    masks = replace(masks, angle=math.degrees(math.atan2(machine.sine, machine.cosine)))
    signs = {_named(q, modules): turn.signs.astype(np.int8) for q, turn in machine.turns.items()}
    return replace(d, masks=masks, operators=signs, reasons=reasons)


def read(d: Dictionary, source: Source) -> list[list[Object]]:
    """The objects of sketches, by the operators of a dictionary that has some."""
    assert d.masks is not None
    assert d.operators is not None
    modules = list(d.columns)
    at = {m: k for k, m in enumerate(modules)}
    cosine, sine = (f(math.radians(d.masks.angle)) for f in (math.cos, math.sin))
    turns = {_number(q, at): Turn(d.masks.masks[q], s.astype(np.float64)) for q, s in d.operators.items()}
    machine = Machine(cosine, sine, [module_strings(d, m) for m in modules], turns)
    paths = [(m, path) for m in modules for path, _ in d.masks.paths[m]]
    reader = Reader(machine, [Place(tuple(_number(q, at) for q in path), at[m]) for m, path in paths])
    unknown = [norms < WHOLE for norms in reader.norms()]
    out: list[list[Object]] = []
    for _, rows, noise in source.pieces():
        sketches = rows.astype(np.float64)
        present = reader.present(sketches, noise)
        values = reader.fit(sketches, present).values
        for x, without in zip(values, unknown, strict=True):
            x[:, without] = np.nan
        for i, there in enumerate(present):
            own = sorted(np.flatnonzero(there), key=lambda k: [q[1] for q in paths[k][1] if q[0] == "position"])
            out.append([_object(*paths[k], values[k][i]) for k in own])
    return out


def _object(module: Module, path: tuple[Named, ...], x: Doubles) -> Object:
    return Object(path, module, float(x[-1]), x[:-1] / x[-1])


def module_strings(d: Dictionary, module: Module) -> Doubles:
    """(u, places, b) of the columns that were learned of a module."""
    c, layout = d.columns[module], d.layout
    sign = layout.read(c.codes.ravel())[3].reshape(c.codes.shape)
    out = np.zeros((c.indices.size, layout.places, layout.block))
    signs = layout.strings(c.codes) * (sign[..., None] / math.sqrt(d.blocks_per_column * layout.block))
    for t in range(d.blocks_per_column):
        out[np.arange(c.indices.size), c.rows[:, t]] += signs[:, t]
    return out


def _images(d: Dictionary) -> Images:
    """Those that operators can have made: none moves a block from one half of a sketch to the other."""
    e = d.events
    kept = (e.place ^ e.row) < d.layout.places // 2
    sketch = np.repeat(np.arange(e.sketches.size), np.diff(e.ends))
    return Images(
        sketch[kept],
        e.module[kept],
        e.column[kept],
        e.row[kept],
        e.place[kept],
        e.amplitude[kept].astype(np.float64),
        e.column[kept] == d.counter,
    )


def _training(d: Dictionary, source: Source, step: int) -> Training:
    """Sketches far from each other, for neighbours may be alike. Those that are held out have no part in equations, if
    there are enough."""
    n = d.events.sketches.size
    looked = np.arange(0, n, step)
    train = looked[np.linspace(0, looked.size - 1, min(TRAINED, looked.size)).astype(np.int64)]
    others = np.setdiff1d(np.arange(n), looked if step > 1 else train)
    others = others if others.size else train
    held = others[np.linspace(0, others.size - 1, min(HELD, others.size)).astype(np.int64)]
    numbers = np.concatenate([np.unique(train), np.unique(held)])
    order = np.argsort(numbers, kind="stable")
    pieces = list(source.pieces(d.events.sketches[numbers[order]]))
    back = np.argsort(order, kind="stable")
    sketches = np.concatenate([p[1] for p in pieces])[back].astype(np.float64)
    return Training(sketches, np.concatenate([p[2] for p in pieces])[back], numbers, np.unique(held).size)


def _masks(placed: Placed, modules: list[Module]) -> Masks:
    used = {q for paths in placed.paths.values() for path, _ in paths for q in path} | {("branch", 0)}
    used |= {("module", k) for k in placed.modules}
    paths = {
        modules[k]: tuple((tuple(_named(q, modules) for q in path), share) for path, share in placed.paths[k])
        for k in sorted(placed.paths)
    }
    return Masks(
        placed.angle,
        {_named(q, modules): placed.mask(q) for q in sorted(used)},
        paths,
        {modules[k]: placed.fits[k] for k in sorted(placed.fits)},
        {modules[k]: placed.margins[k] for k in sorted(placed.margins)},
    )


def _named(q: Operator, modules: list[Module]) -> Named:
    kind, number = q
    return kind, modules[number] if kind == "module" else BRANCHES[number] if kind == "branch" else number


def _number(q: Named, at: dict[Module, int]) -> Operator:
    kind, name = q
    if kind == "module":
        return kind, at[name]
    return kind, BRANCHES.index(str(name)) if kind == "branch" else int(name)
