"""Dictionaries in files (docs/format.md, "Files")."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
from recsketch.learning.dictionary import Columns, Dictionary, Events, Masks, Module, Operator
from recsketch.learning.strings.layout import Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[Any]

EVENTS = ("sketches", "ends", "place", "row", "module", "column", "amplitude")
COLUMNS = ("indices", "rows", "codes", "counts", "confidence")
ARRAYS = {"shape", "unexplained", "names", "tags", "ends", "doubtful", "about", "signs"}
ARRAYS |= {f"columns_{x}" for x in COLUMNS} | {f"events_{x}" for x in EVENTS}
MOST_TEXT = 1 << 20  # characters of `about`


def arrays_of(d: Dictionary) -> dict[str, Any]:
    named = list(dict.fromkeys([*d.columns, *(m for m, _ in d.doubtful)]))
    number = {m: k for k, m in enumerate(named)}
    width = max(d.blocks_per_column, 1)
    empty = Columns(0, *(np.zeros(s, t) for s, t in _shapes(width)))
    columns = {x: np.concatenate([getattr(c, x) for c in (empty, *d.columns.values())]) for x in COLUMNS}
    operators = [] if d.operators is None else list(d.operators)
    about = {
        "reasons": d.reasons,
        "masks": None if d.masks is None else _masks_to(d.masks, number),
        "operators": None if d.operators is None else [_to(q, number) for q in operators],
    }
    signs = np.zeros((0, 0), np.int8) if d.operators is None else np.array([d.operators[q] for q in operators], np.int8)
    return {
        "shape": np.array([d.dim, d.block_size, d.blocks_per_column, d.seen], np.int64),
        "unexplained": np.float64(d.unexplained),
        "names": np.array([m if isinstance(m, str) else "" for m in named], np.str_),
        "tags": np.array([d.columns[m].tag if m in d.columns else _tag(d, m) for m in named], np.int64),
        "ends": np.cumsum([0, *(c.indices.size for c in d.columns.values())]).astype(np.int64),
        "doubtful": np.array([[number[m], i] for m, i in d.doubtful], np.int64).reshape(-1, 2),
        "about": json.dumps(about, sort_keys=True, ensure_ascii=False),
        "signs": signs,
        **{f"columns_{x}": a for x, a in columns.items()},
        **{f"events_{x}": getattr(d.events, x) for x in EVENTS},
    }


def made_of(arrays: dict[str, Any]) -> Dictionary:
    """The dictionary in a file's arrays; whatever does not fit is a ValueError or a TypeError."""
    dim, block, per_column, seen = (int(x) for x in _check.column("shape", arrays["shape"], np.int64, 4))
    layout = Layout.of(dim, block) if block else None
    if not (0 < dim <= _check.MAX_DIM and 0 <= per_column <= 64 and seen >= 0) or bool(layout) != bool(per_column):
        raise ValueError(
            f"shape: wanted d, b, r and a number of sketches; got {_check.listed([dim, block, per_column])}"
        )
    tags = _check.column("tags", arrays["tags"], np.int64)
    names = _npz.texts("names", arrays["names"])
    if len(names) != tags.size:
        raise ValueError(f"names: wanted one for each of {tags.size} tags; got {len(names)}")
    named: list[Module] = [n or int(t) for n, t in zip(names, tags, strict=True)]
    if len(set(named)) != len(named):
        raise ValueError("names: wanted each module once")
    ends = _check.offsets("ends", arrays["ends"], None, len(arrays["columns_indices"]))
    modules = named[: ends.size - 1]
    if ends.size - 1 > len(named) or bool(layout) != bool(modules):
        raise ValueError(f"ends: wanted those of at most {len(named)} modules; got {ends.size - 1}")
    if layout:
        _within("tags", tags, 1 << layout.tag_bits)
    columns = _columns(arrays, layout, per_column, ends, modules, tags)
    events = _events(arrays, layout, len(modules), seen)
    doubtful = _check.reals("doubtful", arrays["doubtful"], "pairs of module and column")
    if doubtful.ndim != 2 or doubtful.shape[1] != 2 or doubtful.dtype.kind not in "iu":
        raise ValueError(f"doubtful: wanted pairs of integers; got {_check.describe(doubtful)}")
    _within("doubtful", doubtful[:, 0], len(named))
    about = _about(_npz.text("about", arrays["about"]))
    masks = None if about["masks"] is None else _masks_from(about["masks"], modules, layout)
    operators = None
    if about["operators"] is not None:
        keys = [_from(q, modules) for q in _list(about["operators"])]
        operators = _operators(keys, arrays["signs"], masks, layout, columns)
    unexplained = _check.reals("unexplained", arrays["unexplained"], "a share")
    if unexplained.shape or not 0 <= float(unexplained) <= 2:
        raise ValueError("unexplained: wanted a share of the energy; got another number")
    return Dictionary(
        dim,
        block,
        per_column,
        seen,
        columns,
        tuple((named[int(k)], int(i)) for k, i in doubtful),
        events,
        float(unexplained),
        masks,
        operators,
        about["reasons"],
    )


def _tag(d: Dictionary, module: Module) -> int:
    return module if isinstance(module, int) else d.layout.tag(module)


def _shapes(width: int) -> list[tuple[tuple[int, ...], Any]]:
    flat: tuple[int, ...] = (0,)
    return [
        (flat, np.int64),
        ((0, width), np.int64),
        ((0, width), np.uint64),
        ((0, width), np.int64),
        (flat, np.float64),
    ]


def _columns(
    arrays: dict[str, Any],
    layout: Layout | None,
    per_column: int,
    ends: npt.NDArray[np.int64],
    modules: list[Module],
    tags: npt.NDArray[np.int64],
) -> dict[Module, Columns]:
    n, found = int(ends[-1]), {}
    for name, (shape, dtype) in zip(COLUMNS, _shapes(max(per_column, 1)), strict=True):
        x = _check.reals(name, arrays[f"columns_{name}"], "numbers")
        if x.shape != (n, *shape[1:]) or x.dtype.newbyteorder("=") != np.dtype(dtype):
            raise ValueError(f"columns_{name}: wanted {n} rows of {np.dtype(dtype)}; got {_check.describe(x)}")
        found[name] = _check.packed(x, dtype)
    if layout:
        _within("columns_indices", found["indices"], 1 << layout.column_bits)
        _within("columns_rows", found["rows"], layout.places)
        tag, column, row, _ = layout.read(found["codes"].ravel())
        own = np.repeat(tags[: len(modules)], np.diff(ends))
        shape = found["codes"].shape
        good = (tag.reshape(shape) == own[:, None]) & (column.reshape(shape) == found["indices"][:, None])
        if not np.all(good & (row.reshape(shape) == found["rows"])) or np.any(
            found["codes"] >> np.uint64(layout.block - 1)
        ):
            raise ValueError("columns_codes: wanted codes of the tags, columns and rows beside them; got others")
    if not np.all((found["confidence"] >= 0) & (found["confidence"] <= 1)) or np.any(found["counts"] < 0):
        raise ValueError("columns_confidence: wanted probabilities, and counts from 0; got others")
    parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
    if any(np.any(np.diff(found["indices"][p]) <= 0) for p in parts):
        raise ValueError("columns_indices: wanted ascending numbers for every module; got others")
    return {m: Columns(int(t), *(found[x][p] for x in COLUMNS)) for m, t, p in zip(modules, tags, parts, strict=False)}


def _events(arrays: dict[str, Any], layout: Layout | None, modules: int, seen: int) -> Events:
    sketches = _check.column("events_sketches", arrays["events_sketches"], np.int64)
    place = _check.column("events_place", arrays["events_place"], np.int64)
    ends = _check.offsets("events_ends", arrays["events_ends"], sketches.size + 1, place.size)
    row, module, column = (
        _check.column(f"events_{x}", arrays[f"events_{x}"], np.int64, place.size) for x in ("row", "module", "column")
    )
    amplitude = _check.column("events_amplitude", arrays["events_amplitude"], np.float32, place.size)
    _within("events_sketches", sketches, seen)
    if np.any(np.diff(sketches) <= 0) or not np.isfinite(amplitude).all():
        raise ValueError("events_sketches: wanted ascending numbers, and finite amplitudes; got others")
    places, most = (layout.places, 1 << layout.column_bits) if layout else (0, 0)
    for name, x, high in (("place", place, places), ("row", row, places), ("module", module, modules)):
        _within(f"events_{name}", x, high)
    _within("events_column", column, most)
    return Events(sketches, ends, place, row, module, column, amplitude)


def _within(name: str, x: Array, high: int) -> None:
    if x.size and not (int(x.min()) >= 0 and int(x.max()) < high):
        raise ValueError(f"{name}: wanted integers from 0 to {high - 1}; got {_check.describe(x)}")


# ---------------------------------------------------------------- what is JSON


def _to(q: Operator, number: dict[Module, int]) -> list[Any]:
    kind, name = q
    return [kind, number[name] if kind == "module" else name]


def _masks_to(masks: Masks, number: dict[Module, int]) -> dict[str, Any]:
    return {
        "angle": masks.angle,
        "masks": [[*_to(q, number), m] for q, m in masks.masks.items()],
        "paths": [
            [number[m], [[[_to(q, number) for q in path], share] for path, share in paths]]
            for m, paths in masks.paths.items()
        ],
        "fits": [[number[m], x, masks.margins[m]] for m, x in masks.cosines.items()],
    }


def _about(text: str) -> dict[str, Any]:
    if len(text) > MOST_TEXT:
        raise ValueError(f"about: wanted at most {MOST_TEXT} characters; got {len(text)}")
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("about: wanted JSON; got a damaged text") from None
    if not isinstance(about, dict) or set(about) != {"reasons", "masks", "operators"}:
        raise ValueError('about: wanted an object of "reasons", "masks" and "operators"; got another')
    reasons = about["reasons"]
    wanted = isinstance(reasons, dict) and set(reasons) == {"columns", "masks", "operators"}
    if not wanted or not all(isinstance(x, str) and _check.is_text(x) and len(x) < 1000 for x in reasons.values()):
        raise ValueError('about: wanted short texts as reasons for "columns", "masks" and "operators"; got others')
    return about


def _list(x: object, size: int | None = None) -> list[Any]:
    if not isinstance(x, list) or (size is not None and len(x) != size):
        raise ValueError(f"about: wanted a list{'' if size is None else f' of {size}'}; got {_check.describe(x)}")
    return x


def _from(x: object, modules: list[Module]) -> Operator:
    kind, name = _list(x, 2)
    if kind == "branch" and name in ("attr", "in"):
        return kind, name
    if kind == "position":
        return kind, _check.integer("position", name, 0, 1 << 20)
    if kind == "module":
        return kind, modules[_check.integer("module", name, 0, len(modules) - 1)]
    raise ValueError(f"about: wanted an operator; got {_check.describe(x)}")


def _share(x: object, low: float = -1e-9, high: float = 2.0) -> float:
    return _check.number("about", x, f"a number up to {high:g}", low, high)


def _each(x: object, size: int, make: Callable[[list[Any]], tuple[Any, Any]]) -> dict[Any, Any]:
    made = [make(_list(y, size)) for y in _list(x)]
    out = dict(made)
    if len(out) != len(made):
        raise ValueError("about: wanted every operator and module once")
    return out


def _masks_from(x: object, modules: list[Module], layout: Layout | None) -> Masks:
    """Masks, which are of modules that have columns alone."""
    if layout is None or not isinstance(x, dict) or set(x) != {"angle", "masks", "paths", "fits"}:
        raise ValueError(f"about: wanted masks of what was learned; got {_check.describe(x)}")

    def module(k: object) -> Module:
        return modules[_check.integer("module", k, 0, len(modules) - 1)]

    def path(y: object) -> tuple[tuple[Operator, ...], float]:
        operators, share = _list(y, 2)
        found = tuple(_from(q, modules) for q in _list(operators))
        kinds = [q[0] for q in found]
        if kinds != ["position", *["module", "branch", "position"] * (len(kinds) // 3)] or len(kinds) > 30:
            raise ValueError("about: wanted paths of positions, modules and T_in; got another")
        return found, _share(share)

    half = layout.places // 2
    masks = _each(x["masks"], 3, lambda y: (_from(y[:2], modules), _check.integer("mask", y[2], 1, half - 1)))
    paths = _each(x["paths"], 2, lambda y: (module(y[0]), tuple(path(z) for z in _list(y[1]))))
    fits = _each(x["fits"], 3, lambda y: (module(y[0]), (_share(y[1]), _share(y[2]))))
    used = {q for own in paths.values() for found, _ in own for q in found}
    if not used <= set(masks) or not set(paths) <= set(fits):
        raise ValueError("about: wanted a mask of every operator, and a cosine of every module; got less")
    angle = _check.number("angle", x["angle"], "degrees above 0 and at most 90", 0, 90)
    cosines, margins = ({m: fit[i] for m, fit in fits.items()} for i in (0, 1))
    return Masks(angle, masks, paths, cosines, margins)


def _operators(
    keys: list[Operator],
    signs: Array,
    masks: Masks | None,
    layout: Layout | None,
    columns: dict[Module, Columns],
) -> dict[Operator, npt.NDArray[np.int8]]:
    """Signs of operators, by which every module has to be readable: at some path, and by its counter."""
    shape = (len(keys), layout.places if layout else 0)
    if masks is None or signs.shape != shape or signs.dtype != np.int8 or not np.all(np.abs(signs) <= 1):
        raise ValueError(f"signs: wanted int8 of shape {shape}, from -1 to 1; got {_check.describe(signs)}")
    own = [[path for path, _ in paths] for paths in masks.paths.values()]
    if set(masks.paths) != set(columns) or not all(own) or any(len(set(paths)) < len(paths) for paths in own):
        raise ValueError("about: wanted paths of every module with columns, each once, beside operators; got others")
    if layout and any(c.indices[-1:].tolist() != [layout.counter] for c in columns.values()):
        raise ValueError("columns_indices: wanted the counter of every module beside operators; got others")
    needed = {q for paths in own for path in paths for q in path}
    needed |= {("module", m) for m in masks.paths} | {("branch", "attr")}
    if len(set(keys)) != len(keys) or not needed <= set(keys) or not set(keys) <= set(masks.masks):
        raise ValueError("about: wanted signs of every operator of the paths; got others")
    place = np.arange(shape[1])
    for q, sign in zip(keys, signs, strict=True):
        if np.any(sign != -sign[place ^ masks.masks[q]]):
            raise ValueError("signs: wanted the negative at the block that an operator swaps; got another")
    return {q: sign.copy() for q, sign in zip(keys, signs, strict=True)}
