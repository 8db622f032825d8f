"""Second moments: the products of an attribute's elements, sketched behind it (docs/format.md, "Second moments").

An object of a module that wants them has y = [x', q] for unknowns, x' its centred and scaled attribute and q the
products x'_i x'_j for i <= j, those of different elements times sqrt(2): a vector with the inner products of x' (x) x'.
All else sees a linear attribute of a + a (a + 1) / 2 elements. Sums of sketches then hold sums of q, and a population
has covariances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsketch.runs.batch import TraceBatch
from recsketch.sketching.plan import check_modules

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats
    from recsketch.sketching.spec import SketchSpec

    Doubles = npt.NDArray[np.float64]


def products(length: int) -> int:
    """How many stand behind an attribute of this length."""
    return length * (length + 1) // 2


def pairs(length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Doubles]:
    """Of each product the elements i <= j, and its factor: 1 or sqrt(2)."""
    i, j = np.triu_indices(length)
    return i, j, np.where(i == j, 1.0, np.sqrt(2.0))


def widened(spec: SketchSpec, batch: TraceBatch, first: int = 0) -> TraceBatch:
    """The batch as `spec.inner` takes it: attributes centred and scaled, with their products behind them.

    Cost: a pass over attributes and products.

    Raises
    ------
    ValueError
        An object that does not fit the specification; its trace is counted from `first`.
    """
    if spec.second_moment is None:
        return batch
    check_modules(batch, spec.modules, first)
    length = np.diff(batch.attribute_ends)
    more = np.array([products(spec.modules[n]) if n in spec.second_moment else 0 for n in batch.names], np.int64)
    wide = length + more[batch.module] if more.size else length
    ends = np.append(0, np.cumsum(wide))
    out = np.empty(int(ends[-1]), np.float32)
    for m, name in enumerate(batch.names):
        of = np.flatnonzero(batch.module == m)
        if not of.size:  # a name that the specification may lack
            continue
        a = spec.modules[name]
        x = batch.attributes[batch.attribute_ends[of][:, None] + np.arange(a)].astype(np.float64)
        x = (x - np.asarray((spec.centres or {}).get(name, 0.0))) * spec.scale(name)
        out[ends[of][:, None] + np.arange(a)] = x
        if name in spec.second_moment:
            i, j, factor = pairs(a)
            with np.errstate(over="ignore"):  # what is too large for a float is refused with the object's number
                out[ends[of][:, None] + a + np.arange(len(i))] = x[:, i] * x[:, j] * factor
    columns = {name: getattr(batch, name) for name in TraceBatch.__slots__}
    return TraceBatch._of(**{**columns, "attribute_ends": ends, "attributes": out})


def narrowed(spec: SketchSpec, module: str, y: Floats) -> Floats:
    """The attribute that unknowns of an object stand for."""
    x = y[: spec.modules[module]].astype(np.float64) / spec.scale(module)
    return np.asarray((x + np.asarray((spec.centres or {}).get(module, 0.0))).astype(np.float32))


def norm_error(spec: SketchSpec, module: str, x: Floats, error: Floats, norm: float, norm_error: float) -> float:
    """The standard error of |x|, x an attribute whose unknowns y have these errors and this norm, with that error.

    An unknown has an error e of its own, and y_i r from the counter that all are divided by; the norm of y, as all e
    are alike, has e and |y| r. To first order |x| has the like, and the counter stretches x - centre alone.
    """
    total, n = float(np.square(error, dtype=np.float64).sum()), error.size
    own = max(total - norm_error**2, 0.0) / (n - 1) if n > 1 else norm_error**2  # e**2
    stretch = np.sqrt(max(norm_error**2 - own, 0.0)) / norm if norm else 0.0
    away = x.astype(np.float64) - np.asarray((spec.centres or {}).get(module, 0.0))
    size = float(np.linalg.norm(x))
    along = float(x @ away) / size if size else float(np.linalg.norm(away))
    across = np.sqrt(own * (1.0 if size else x.size)) / spec.scale(module)
    return float(np.hypot(across, along * stretch))


def matrix(length: int, q: Doubles) -> Doubles:
    """(..., a, a) the symmetric matrices whose products are q, (..., products)."""
    i, j, factor = pairs(length)
    out = np.empty((*q.shape[:-1], length, length))
    out[..., i, j] = out[..., j, i] = q / factor
    return out
