"""What a trial found: data, and tables of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch._values import Record
from recsketch.display.terminal import Style, printable, significant, table
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles: TypeAlias = npt.NDArray[np.float64]
    Flags: TypeAlias = npt.NDArray[np.bool_]
    Counts: TypeAlias = npt.NDArray[np.int64]

STYLE = Style(width=120)


@dataclass(frozen=True, eq=False)
class StoredTrial(Record):
    """What one way to store sketches costs, and what came back from it. Arrays have one element for each run tried.

    Attributes
    ----------
    dtype : str
    bytes : float
        Of a stored sketch.
    whole : bool array
        `unroll` gave every object at its place and nothing else; with signatures, each object once.
    complete : bool array
        `unroll` says so itself.
    objects, found, false : int64 arrays
        Objects of the run; those that `unroll` gave at one of their places, with an attribute that is off by less than
        half of its norm; and what it gave beside these.
    error : float64 array
        Of the objects found, the largest |x - y| / |x| of an attribute; NaN if none was.
    weight_error : float64 array
        The largest difference of two shares of a tuple.
    known_error : float64 array
        As `error`, of all objects, where the structure is known: by `recover`.
    """

    dtype: str
    bytes: float
    whole: Flags
    complete: Flags
    objects: Counts
    found: Counts
    false: Counts
    error: Doubles
    weight_error: Doubles
    known_error: Doubles


@dataclass(frozen=True, eq=False)
class ModuleTrial(Record):
    """One module of the runs.

    Attributes
    ----------
    name : str
    length : int
        Numbers of an attribute.
    objects, found : int
        Of the runs tried, and those that `unroll` gave back.
    error, usual_error : float
        The largest and the median |x - y| / |x| of those; NaN if there are none.
    nonzero : float
        Mean share of an attribute's elements that are not zero, over all runs.
    norms : tuple of float
        The least and the largest norm of an attribute, over all runs.
    """

    name: str
    length: int
    objects: int
    found: int
    error: float
    usual_error: float
    nonzero: float
    norms: tuple[float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Trial(Record):
    """How well a specification does for runs. Two are equal if all fields are, NaN equal to NaN.

    Attributes
    ----------
    spec : SketchSpec
    storage : str
        How the sketches are to be stored.
    runs : int
        That were given.
    tried : (k,) int64
        Numbers of those that were sketched and read.
    load, load_by_uses : (k,) float64
        Unknowns over d, shared objects counted once, and counted at each of their places: that is what `unroll` pays.
    stored : tuple of StoredTrial
        As float32, float16 and int8, and as `storage` says if that is none of them.
    modules : tuple of ModuleTrial
        As stored by `storage`.
    columns, zipped : float
        Bytes a run of the same runs as columns: attributes and weights as float16, structure in the smallest integers
        that fit; and the same compressed by zlib, about as Parquet would.
    advice : tuple of str
        What would do better, in whole sentences. Of what could bring back runs that do not come back whole, it was
        tried on some of them whether it does.
    """

    spec: SketchSpec
    storage: str
    runs: int
    tried: Counts
    load: Doubles
    load_by_uses: Doubles
    stored: tuple[StoredTrial, ...]
    modules: tuple[ModuleTrial, ...]
    columns: float
    zipped: float
    advice: tuple[str, ...]

    @property
    def chosen(self) -> StoredTrial:
        """What came back as stored by `storage`."""
        return next(s for s in self.stored if s.dtype == self.storage)

    @property
    def whole(self) -> float:
        """Share of the runs tried that came back whole, as stored by `storage`."""
        return float(np.mean(self.chosen.whole))

    def _head(self) -> str:
        back, k = int(self.chosen.whole.sum()), self.tried.size
        return f"Trial: {back} of {_check.count(k, 'run')} whole as {self.storage}, d = {self.spec.dim}"

    def _facts(self) -> list[str]:
        said = int((self.chosen.complete & ~self.chosen.whole).sum())
        loads = f"load {_range(self.load)}"
        if not np.array_equal(self.load, self.load_by_uses):
            loads += f", by uses, which is what unroll pays, {_range(self.load_by_uses)}"
        out = [f"tried {self.tried.size} of {_check.count(self.runs, 'run')}; {loads}"]
        if said:
            out.append(f"! {said} said to be complete that are not")
        out.append(f"the same as columns of float16: {self.columns:,.0f} bytes a run, zipped {self.zipped:,.0f}")
        return out

    def _tables(self) -> list[tuple[list[str], list[list[str]]]]:
        stored = []
        for s in self.stored:
            whole, found = f"{int(s.whole.sum())} of {s.whole.size}", f"{int(s.found.sum())} of {int(s.objects.sum())}"
            errors = [_worst(s.error), _worst(s.weight_error), _worst(s.known_error)]
            stored.append([s.dtype, f"{s.bytes:,.0f}", whole, found, str(int(s.false.sum())), *errors])
        modules = [
            [
                printable(_check.cut(m.name, 40)),
                str(m.length),
                f"{m.found} of {m.objects}",
                significant(m.usual_error),
                significant(m.error),
                f"{m.nonzero:.0%}",
                " to ".join(dict.fromkeys(f"{x:.3g}" for x in m.norms)),
            ]
            for m in self.modules
        ]
        heads = (
            ["stored as", "bytes", "whole", "objects", "false", "worst error", "of weights", "structure known"],
            ["module", "numbers", "objects", "usual error", "worst", "not zero", "norms"],
        )
        return list(zip(map(list, heads), (stored, modules), strict=True))

    def __str__(self) -> str:
        tables = [table(head, rows, style=STYLE, indent=0) for head, rows in self._tables()]
        advice = "\n".join(f"- {text}" for text in self.advice)
        return "\n\n".join(filter(None, ["\n".join([self._head(), *self._facts()]), *tables, advice]))

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _repr_html_(self) -> str:
        import html

        def row(cells: Sequence[str], tag: str) -> str:
            style = ("text-align:left", "text-align:right")
            return "".join(f'<{tag} style="{style[k > 0]}">{html.escape(c)}</{tag}>' for k, c in enumerate(cells))

        out = [f"<p><strong>{self._head()}</strong><br>{'<br>'.join(self._facts())}</p>"]
        for head, rows in self._tables():
            body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
            out.append(f'<table style="border-spacing:.8em .1em"><tr>{row(head, "th")}</tr>{body}</table>')
        if self.advice:
            out.append(f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in self.advice)}</ul>")
        return "".join(out)


def _range(values: Doubles) -> str:
    """The least and the largest of them, or the one number that all are."""
    return " to ".join(dict.fromkeys(f"{x:.2f}" for x in (values.min(), values.max())))


def _worst(values: Doubles) -> str:
    known = values[~np.isnan(values)]
    return significant(float(known.max())) if known.size else "nan"
