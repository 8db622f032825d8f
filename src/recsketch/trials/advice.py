"""What would do better than a specification that was tried: remedies are tried too before they are advised."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import recsketch._check as _check
from recsketch.sketching.doubts import LEVEL
from recsketch.sketching.fitting import LOUD, SIGNATURE, loud_enough, wiring_of
from recsketch.sketching.load import faintest, planned_as, shared

if TYPE_CHECKING:
    from recsketch.runs.batch import TraceBatch
    from recsketch.trials.results import ModuleTrial, Trial
    from recsketch.trials.trial import How

FEW = 4  # runs that a remedy is tried on
TARGET, ROOMY = 0.6, 0.3  # loads: what `fitted` aims at, and up to which d can be halved
SPARSE, SPARSE_LOAD = 0.5, 1.2  # attributes with a larger share of zeros are sparse; of those a sketch takes more
COARSE = 0.1  # error of an attribute that cheaper storage may cost


def advice(found: Trial, how: How, batch: TraceBatch, some: TraceBatch) -> Iterator[str]:
    """Sentences on a trial of `some` runs of a batch."""
    lost = np.flatnonzero(~found.chosen.whole)
    said = int((found.chosen.complete & ~found.chosen.whole).sum())
    if said:
        yield f"{_check.count(said, 'run')} of those not whole came back as complete: do not rely on `complete` here."
    if lost.size:
        yield from _remedies(found, how, batch, some, lost)
    else:
        yield from _savings(found, how, some)
    yield from _copies(found, batch)


def _remedies(found: Trial, how: How, batch: TraceBatch, some: TraceBatch, lost: Any) -> Iterator[str]:
    """What brings back runs that are lost, or that nothing does."""
    few = some[lost[:FEW]]
    others = list(_candidates(found, how, batch))
    helped = False
    for text, other in others:
        back = _whole(found, other, few)
        if back:
            helped = True
            yield f"{text} brings back {back} of {_check.count(len(few), 'lost run')}."
    for s in found.stored:
        back = int((s.whole & ~found.chosen.whole).sum())
        if back:
            helped = True
            yield f"Stored as {s.dtype}, {back} more come back whole, in {s.bytes:,.0f} bytes a run."
    if not helped:
        texts = "; ".join(text for text, _ in others)
        yield f"Nothing that was tried brings back a whole run: {texts or 'there is no remedy left'}."
        known = float(found.chosen.known_error.max())
        if known < COARSE:
            yield f"With the structure kept beside it, recover reads all attributes, off by at most {known:.1g}."


def _candidates(found: Trial, how: How, batch: TraceBatch) -> Iterator[tuple[str, How]]:
    """What may help, as the begin of a sentence, and how sketches are made and read then."""
    spec = found.spec
    if spec.attributes == "linear" and not spec.second_moment and uneven(found.modules, spec) > LEVEL:
        text = 'attributes="polar" (norms differ between modules)'
        yield text, how._replace(spec=spec.replace(attributes="polar"))
    if spec.wiring is None:
        yield 'wiring="seen" (SketchSpec.fitted)', how._replace(spec=spec.replace(wiring=wiring_of(batch)))
    sparse = _sparse(found, how)
    if sparse:
        yield f"{_told(sparse)} for unroll", how._replace(sparse=sparse)
    faint = float(faintest(*planned_as(spec, batch)).min())
    if spec.weighting == "balanced" and faint < LOUD:
        louder = loud_enough(spec, batch)
        if louder.balance > spec.balance:
            text = f"balance={louder.balance} (the faintest object has {faint:.1g} of the loudest one's amplitude)"
            yield text, how._replace(spec=louder)
    dim = max(2 * spec.dim, _length(found, TARGET))
    if dim <= _check.MAX_DIM:
        with contextlib.suppress(ValueError):  # blocks may have no room for modules' names there
            yield f"dim={dim} ({_load(found, dim)})", how._replace(spec=spec.replace(dim=dim))


def _savings(found: Trial, how: How, some: TraceBatch) -> Iterator[str]:
    """What would take fewer bytes, or be less coarse, where all runs came back."""
    coarse = found.chosen.error.max() > COARSE
    for s in sorted(found.stored, key=lambda s: s.bytes):
        if s.whole.all() and s.error.max() <= COARSE and (coarse or s.bytes < found.chosen.bytes):
            what = f"attributes are off by up to {s.error.max():.1g} of their norms"
            than = f", not {found.chosen.error.max():.1g}" if coarse else ""
            yield f"Stored as {s.dtype} all come back too, in {s.bytes:,.0f} bytes a run: {what}{than}."
            break
    few = some[np.sort(np.argsort(-found.load_by_uses, kind="stable")[:FEW])]
    spec, sparse = found.spec, _sparse(found, how)
    dim, shorter = _length(found, TARGET), _length(found, SPARSE_LOAD)
    if found.load_by_uses.max() <= ROOMY and dim < spec.dim:
        text, other = f"dim={dim} ({_load(found, dim)})", how._replace(spec=spec.replace(dim=dim))
    elif sparse and shorter < spec.dim:
        text = f"dim={shorter} and {_told(sparse)} for unroll"
        other = how._replace(spec=spec.replace(dim=shorter), sparse=sparse)
    else:
        return
    if _whole(found, other, few) == len(few):
        yield f"{text} would do: it brings back the {_check.count(len(few), 'largest run')}."


def _whole(found: Trial, how: How, few: TraceBatch) -> int:
    """How many of a few runs come back whole in another way."""
    from recsketch.trials.trial import readings

    return int(readings(how, few, [found.storage], "trying what may help")[0].of.whole.sum())


def _sparse(found: Trial, how: How) -> dict[str, str]:
    """For `unroll`: modules whose attributes are mostly zero, if it was not told of any."""
    return {m.name: "auto" for m in found.modules if m.nonzero <= SPARSE} if how.sparse is None else {}


def _told(sparse: dict[str, str]) -> str:
    return f"sparse={_check.cut(repr(sparse), 200)}"


def _length(found: Trial, load: float) -> int:
    """The length at which the largest run has at most this load by uses; the sample always has that run."""
    unknowns = float(found.load_by_uses.max()) * found.spec.dim
    return max(found.spec._least_dim, 1 << math.ceil(math.log2(min(unknowns / load, 2.0**60))))


def _load(found: Trial, dim: int) -> str:
    return f"load by uses at most {found.load_by_uses.max() * found.spec.dim / dim:.2f}"


def _copies(found: Trial, batch: TraceBatch) -> Iterator[str]:
    if found.spec.signature:
        return
    of = shared(*planned_as(found.spec, batch))
    if of.any():
        text = f"{int(of.sum())} of {_check.count(of.size, 'object')} are used more than once and come back as copies"
        yield f"{text}: signature={SIGNATURE} would tell that they are one."


def uneven(modules: tuple[ModuleTrial, ...], spec: Any) -> float:
    """The largest norm of one module over the largest of another, as they are sketched."""
    norms = [m.norms[1] * spec.scale(m.name) for m in modules if m.norms[1] > 0]
    return max(norms) / min(norms) if norms else 1.0
