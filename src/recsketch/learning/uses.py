"""What a structure says about learning: which objects a run computes, in which order, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

Rows: TypeAlias = "npt.NDArray[Any]"  # (n, numbers) float32 or float64
Raw: TypeAlias = "Mapping[str | int, Any]"


@dataclass(frozen=True)
class Use:
    """One object: a use of a module. Its features are what its inputs gave, in order, and behind that columns of X."""

    number: int
    module: str
    inputs: tuple[int, ...]
    columns: npt.NDArray[np.intp] | slice | None

    def features(self, rows: Rows, known: Mapping[int, Rows]) -> npt.NDArray[np.float64]:
        """(n, features) of n runs, given the columns of X and what is known of the inputs."""
        parts = [known[i] for i in self.inputs]
        if self.columns is not None:
            parts.append(rows[:, self.columns])
        return np.concatenate(parts, axis=1, dtype=np.float64)


@dataclass(frozen=True)
class Uses:
    """The objects that reach an output, inputs first, and the outputs in their order, each once."""

    all: tuple[Use, ...]
    outputs: tuple[int, ...]
    lengths: Mapping[int, int]

    def of(self, module: str) -> list[Use]:
        return [use for use in self.all if use.module == module]

    @property
    def modules(self) -> list[str]:
        return list(dict.fromkeys(use.module for use in self.all))


def uses(structure: object, raw: object, features: int) -> Uses:
    """Those of a structure, where X has so many features.

    Raises
    ------
    ValueError, TypeError
        `structure` is no Trace with outputs, `raw` no mapping of its modules and objects to columns of X, or the uses
        of one module have different numbers of features or of elements.
    """
    if not isinstance(structure, Trace):
        raise TypeError(f"structure: wanted a Trace; got {_check.describe(structure)}")
    if not structure.output_ids:
        raise ValueError("structure: wanted a trace with outputs; got none")
    objects = structure.objects
    columns = _columns(raw, {o.module for o in objects}, len(objects), features)
    outputs = dict.fromkeys(_heavy(structure.output_ids, structure.output_weights))
    live = set(outputs)
    for i in range(len(objects) - 1, -1, -1):  # users stand behind their inputs
        if i in live:
            live.update(_heavy(objects[i].inputs, objects[i].weights))
    found = []
    for i in sorted(live):
        o = objects[i]
        inputs = _heavy(o.inputs, o.weights)
        own = columns.get(i, columns.get(o.module))
        found.append(Use(i, o.module, inputs, slice(None) if own is None and not inputs else own))
    lengths = {i: objects[i].attribute.size for i in live}
    _alike(found, lengths, features)
    return Uses(tuple(found), tuple(outputs), lengths)


def _heavy(ids: tuple[int, ...], weights: tuple[float, ...]) -> tuple[int, ...]:
    """Members of a tuple that leave a mark: those of weight zero do not."""
    return tuple(i for i, w in zip(ids, weights, strict=True) if w > 0)


def _alike(found: list[Use], lengths: Mapping[int, int], features: int) -> None:
    """Refuse a module whose uses cannot share a regressor."""
    first: dict[str, tuple[int, tuple[int, int]]] = {}
    for use in found:
        width = sum(lengths[i] for i in use.inputs)
        if use.columns is not None:
            width += features if isinstance(use.columns, slice) else use.columns.size
        number, size = first.setdefault(use.module, (use.number, (width, lengths[use.number])))
        if size != (width, lengths[use.number]):
            raise ValueError(
                f"structure: wanted all uses of {_check.shown(use.module)} alike; got {size[0]} features and "
                f"{size[1]} elements at object {number}, {width} and {lengths[use.number]} at object {use.number}"
            )


def _columns(raw: object, modules: set[str], objects: int, features: int) -> dict[str | int, npt.NDArray[np.intp]]:
    """The columns of X that `raw` names for modules and objects."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise TypeError(
            f"raw: wanted a mapping of modules or numbers of objects to columns; got {_check.describe(raw)}"
        )
    out: dict[str | int, npt.NDArray[np.intp]] = {}
    for key, given in raw.items():
        name = f"raw[{_check.shown(key)}]"
        place = (
            _check.choice("raw", key, modules) if isinstance(key, str) else _check.integer("raw", key, 0, objects - 1)
        )
        what = f"columns of X, which has {features}: a slice or a vector of numbers"
        try:
            picked = _check.picked(given, features)
            chosen = np.arange(features)[picked]
        except (IndexError, TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name}: wanted {what}; got {_check.describe(given)}") from None
        beyond = isinstance(given, slice) and given.stop is not None and given.stop > features
        if not chosen.size or beyond:
            raise ValueError(f"{name}: wanted {what}; got {_check.describe(given)}")
        out[place] = np.atleast_1d(chosen)
    return out
