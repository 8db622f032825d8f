"""The front: sketches in, a dictionary out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch.sketching.blocks as blocks
from recsketch.learning.columns import Column, Strings, assemble, find_strings
from recsketch.learning.dictionary import Columns, Dictionary, Events, Module
from recsketch.learning.operators.front import with_operators
from recsketch.learning.sources import Source
from recsketch.learning.strings import Layout, named

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    from recsketch.sketching.packing import PackedSketches

    Numbers: TypeAlias = npt.NDArray[np.int64]
    Sketches: TypeAlias = "npt.ArrayLike | PackedSketches | str | os.PathLike[str] | Iterable[Any]"

NOTHING = (
    "no block repeats, or not with a tag that others have: sketches of dense attributes, of another family or of "
    "another block size, or too few of them"
)


NOT_TRIED = "not looked for"


def learn_dictionary(
    sketches: Sketches,
    block_size: int | None = None,
    noise: npt.ArrayLike | None = None,
    *,
    names: Iterable[str] = (),
    operators: bool = True,
    angle: float | None = None,
    threads: int | None = None,
) -> Dictionary:
    """Matrices that nobody told, from sketches alone."""
    if block_size is not None:
        block_size = _check.integer("block_size", block_size, *blocks.SIZES)
        if block_size not in blocks.SIZES:
            raise ValueError(f"block_size: wanted None, 32 or 64; got {block_size}")
    degrees = None if angle is None else _check.number("angle", angle, "degrees above 0 and at most 90", 0, 90)
    turned = _check.flag("operators", operators)
    source, workers = Source(sketches, noise), _check.threads(threads)
    layouts = [Layout.of(source.dim, b) for b in blocks.SIZES if block_size in (None, b)]
    best: Dictionary | None = None
    for layout in layouts:
        if layout is None:
            continue
        known = named(layout, names)
        found = _dictionary(source, find_strings(source, layout, workers), known)
        if best is None or len(found) > len(best):
            best = found
    if best is None:
        sizes = "32 or 64" if block_size is None else str(block_size)
        wanted = f"a power of two from 1,024 on that has blocks of {sizes}"
        raise ValueError(f"sketches: wanted {wanted} for their length; got {source.dim}")
    return with_operators(best, source, degrees) if turned and len(best) else best


def _dictionary(source: Source, strings: Strings, names: dict[int, str]) -> Dictionary:
    layout = strings.layout
    per_column, found, doubtful = assemble(strings)
    order = sorted(found, key=lambda tag: (names.get(tag, ""), tag))
    columns: dict[Module, Columns] = {names.get(tag, tag): _columns(tag, found[tag], strings) for tag in order}
    none = "" if columns else NOTHING
    return Dictionary(
        dim=layout.dim,
        block_size=layout.block if columns else 0,
        blocks_per_column=per_column if columns else 0,
        seen=len(source),
        columns=columns,
        doubtful=tuple((names.get(tag, tag), column) for tag, column in doubtful if columns),
        events=_events(strings, [found[tag] for tag in order], per_column),
        unexplained=strings.unexplained,
        masks=None,
        operators=None,
        reasons={what: none or NOT_TRIED * (what != "columns") for what in ("columns", "masks", "operators")},
    )


def _columns(tag: int, columns: list[Column], strings: Strings) -> Columns:
    own = np.array([c.strings for c in columns])
    indices = np.array([c.index for c in columns], np.int64)
    confidence = np.array([c.confidence for c in columns])
    return Columns(tag, indices, strings.row[own], strings.codes[own], strings.counts[own], confidence)


def _events(strings: Strings, modules: list[list[Column]], per_column: int) -> Events:
    """Those of the columns that were learned: others are no better than guesses."""
    module = np.full(strings.codes.size, -1)
    for k, columns in enumerate(modules):
        for c in columns:
            module[list(c.strings)] = k
    found = strings.found
    code = np.concatenate([np.zeros(0, np.int64), *found.code])
    kept = module[code] >= 0
    code, sketch = code[kept], np.concatenate([np.zeros(0, np.int64), *found.sketch])[kept]
    place = np.concatenate([np.zeros(0, np.int64), *found.place])[kept]
    amplitude = np.concatenate([np.zeros(0, np.float32), *found.amplitude])[kept]
    sketches = np.concatenate([np.zeros(0, np.int64), *found.numbers])
    scale = np.sqrt(per_column * strings.layout.block)  # a column's numbers are signs over this
    return Events(
        sketches=sketches,
        ends=np.concatenate([[0], np.searchsorted(sketch, sketches, side="right")]).astype(np.int64),
        place=place,
        row=strings.row[code],
        module=module[code],
        column=strings.column[code],
        amplitude=(amplitude * strings.sign[code] * scale).astype(np.float32),
    )
