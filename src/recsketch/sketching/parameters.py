"""Checks of a specification's parameters, each to one plain value, however it was written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import TypeAlias

import recsketch._check as _check
import recsketch.sketching.blocks as blocks
from recsketch._check import MAX_DIM, MIN_DIM

MAX_LENGTH = 1 << 20  # RSK_MAX_LENGTH
MAX_INPUTS = 1 << 16
LONGEST_SQUARED = 1446  # of which a (a + 3) / 2 numbers, with their products, and a signature are at most MAX_LENGTH

Modules: TypeAlias = "Mapping[str, int]"
Scales: TypeAlias = "Mapping[str, float]"
Centres: TypeAlias = "Mapping[str, tuple[float, ...]]"
Wiring: TypeAlias = "Mapping[str | None, tuple[str, ...]]"


def dim(given: object) -> int:
    """A sketch length: a power of two."""
    value = _check.integer("dim", given, MIN_DIM, MAX_DIM)
    if value & (value - 1):
        raise ValueError(f"dim: wanted a power of two from {MIN_DIM} to {MAX_DIM}; got {value}")
    return value


def least_dim(rotation: object, block_size: object, max_inputs: object) -> int:
    """The shortest sketch of a rotation, with so many positions."""
    size = blocks.size(block_size, blocks.BLOCK) if blocks.has(rotation) else None
    return MIN_DIM if size is None else blocks.least_dim(size, _check.integer("max_inputs", max_inputs, 1, MAX_INPUTS))


def modules(given: object, more: int) -> Modules:
    """Names and lengths of attributes, which leave room for so many unknowns behind them; read-only."""
    if not isinstance(given, Mapping) or not given:
        raise TypeError(f"modules: wanted a mapping of at least one name to a length; got {_check.describe(given)}")
    found = {}
    for name, length in given.items():
        name = _check.module_name("modules", name)
        key = f"modules[{_check.shown(name)}]"
        found[name] = _check.integer(key, length, 1, MAX_LENGTH)
        if found[name] + more > MAX_LENGTH:
            wanted = f"an integer from 1 to {MAX_LENGTH - more}, as {_check.count(more, 'number')} follow an attribute"
            raise ValueError(f"{key}: wanted {wanted}; got {found[name]}")
    return MappingProxyType(found)


def second_moment(given: object, modules: Modules, attributes: str) -> tuple[str, ...] | None:
    """Names of the modules whose attributes' products are sketched, in the order of `modules`; None for none."""
    if given is None or given is False:
        return None
    names = list(modules) if given is True else _check.members("second_moment", given, "a bool or module names")
    strangers = [name for name in names if name not in modules]
    if strangers:
        raise ValueError(f"second_moment: wanted names of modules; got {_check.listed(strangers)}")
    if attributes != "linear":
        raise ValueError(f"second_moment: wanted attributes='linear', whose sums tell something; got {attributes!r}")
    for name in names:
        if modules[name] > LONGEST_SQUARED:
            wanted = f"attributes of at most {LONGEST_SQUARED} numbers"
            raise ValueError(f"second_moment: wanted {wanted}; got {modules[name]} of {_check.shown(name)}")
    return tuple(name for name in modules if name in set(names)) or None


def scales(given: object, modules: Modules) -> Scales | None:
    """Factors of modules, without those that are 1, read-only; None if there are no others."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"scales: wanted a mapping of module names to positive numbers; got {_check.describe(given)}")
    what = "a number above 1e-30 and up to 1e30"
    found = {}
    for name, factor in given.items():
        _module("scales", name, modules)
        value = _check.number(f"scales[{_check.shown(name)}]", factor, what, 1e-30, 1e30)
        if value != 1.0:
            found[name] = value
    return MappingProxyType(found) if found else None


def centres(given: object, modules: Modules) -> Centres | None:
    """Vectors of modules, as float32 holds them, without those of zeros, read-only; None if there are no others."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"centres: wanted a mapping of module names to vectors; got {_check.describe(given)}")
    found = {}
    for name, vector in given.items():
        _module("centres", name, modules)
        where, length = f"centres[{_check.shown(name)}]", modules[name]
        value = _check.finite(where, _check.floats(where, vector, f"a vector of {length} numbers", (length,)))
        if value.any():
            found[name] = tuple(value.tolist())
    return MappingProxyType(found) if found else None


def spread(given: object, weighting: str) -> float:
    """How far weights are drawn towards each other; its default is that of the weighting."""
    if given is None:
        return default_spread(weighting)
    value = _check.number("spread", given, "a number from 0 to 1, or None", -math.ulp(0.0), 1.0)
    if value and weighting == "count":
        raise ValueError(f'spread: wanted 0 with weighting="count", whose weights are taken as they are; got {value}')
    return abs(value)  # of -0.0


def default_spread(weighting: str) -> float:
    """Half for the weightings that unrolling reads best, whose light inputs it would lose otherwise."""
    return 0.5 if weighting in ("balanced", "energy") else 0.0


def angle(given: object, rotation: str) -> float:
    """Degrees; the default is the rotation's."""
    if given is None:
        return default_angle(rotation)
    return _check.number("angle", given, "degrees above 0 and at most 90", 0.0, 90.0)


def default_angle(rotation: str) -> float:
    """Blocks are learned from what an operator leaves where it was, or moves: at 75 degrees nearly all moves."""
    return 75.0 if blocks.has(rotation) else 60.0


def wiring(given: object, modules: Modules) -> Wiring | None:
    """Which modules may be inputs of which, read-only.

    Parents and inputs are sorted by name, inputs named once, and parents that take none left out, so that
    specifications that mean the same compare equal.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise TypeError(f"wiring: wanted a mapping of module names to sequences of them; got {_check.describe(given)}")
    found: dict[str | None, tuple[str, ...]] = {}
    for parent, inputs in given.items():
        where = f"wiring[{_check.shown(parent)}]"
        key = None if parent is None or parent == "" else _module("wiring", parent, modules, "or None")
        if key in found:
            raise ValueError('wiring: wanted the outputs once, under None or ""; got both')
        if isinstance(inputs, (str, bytes)) or not isinstance(inputs, (Sequence, Set)):
            raise TypeError(f"{where}: wanted a sequence of module names; got {_check.describe(inputs)}")
        found[key] = tuple(sorted({_module(where, name, modules) for name in inputs}))
        if key is None and not found[key]:
            raise ValueError(f"{where}: wanted at least one module for the network's outputs; got none")
    order = sorted(found, key=lambda name: name or "")
    return MappingProxyType({name: found[name] for name in order if found[name]})


def _module(where: str, name: object, modules: Modules, more: str = "") -> str:
    """A name of `modules`; `more` is what else would do."""
    if not isinstance(name, str) or name not in modules:
        wanted = f"names among {_check.listed(sorted(modules))}{', ' * bool(more)}{more}"
        raise ValueError(f"{where}: wanted {wanted}; got {_check.describe(name)}")
    return name
