"""What comes back from a sketch: values that are compared by what they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

import recsketch._check as _check
from recsketch._check import Floats
from recsketch._values import Record
from recsketch.runs.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsketch._files import File
    from recsketch.runs import drawing

CERTAIN = 0.9995  # a confidence above this is written as 100%


@dataclass(frozen=True, eq=False, repr=False)
class Recovery(Record):
    """Attributes read from one sketch. Two are equal if all fields are, NaN equal to NaN.

    Attributes
    ----------
    attributes : list of float32 arrays
        In the order of the structure's objects. NaN for objects that left nothing in the sketch: those that reach no
        output with positive weight, or with a weight below 2**-40 of the heaviest. By "lstsq" and "sparse" also for
        those whose errors exceed their norms.
    residual : float
        Share of the sketch, as a norm, that the attributes do not explain. By "lstsq" about 1e-7 when the structure is
        right and fits; of another run's structure about sqrt(1 - load). The filters leave their crosstalk in it, up to
        1 and more at a load of 0.5. Infinite for a zero sketch that the attributes do not give, NaN if no coordinate is
        kept.
    iterations : int
        Of CGLS, 0 for the filters. At 1000 it was stopped: the structure, or what a pursuit sought, fills the sketch.
    errors : (objects,) float32
        Standard error of an element of each attribute, root mean square. By "lstsq" it is that of white noise as loud
        as the residual, or as the noise that was told, fitted under the same structure; by "sparse" the same as if all
        columns were independent; of the filters, to which all other objects are noise, about. It does not know of
        errors in the structure.
    warnings : tuple of str
        Why the numbers may be wrong, if there is a reason. A small residual alone says nothing: of a structure with
        dependent columns it is small, and the errors are not.

    Examples
    --------
    >>> import recsketch as rs
    >>> trace = rs.Trace()
    >>> trace.outputs([trace.add("eye", [0.6, 0.8])])
    >>> sk = rs.Sketcher(rs.SketchSpec(64, {"eye": 2}))
    >>> found = sk.recover(sk.sketch(trace), trace)
    >>> found == sk.recover(sk.sketch(trace), trace), found.residual < 1e-6
    (True, True)
    """

    attributes: list[Floats]
    residual: float
    iterations: int
    errors: Floats
    warnings: tuple[str, ...] = ()

    def _head(self) -> str:
        objects = _check.count(len(self.attributes), "object")
        worst = float(np.max(self.errors, initial=0.0))
        return f"Recovery of {objects}, errors up to {worst:.1g}, residual {self.residual:.1e}"

    def __str__(self) -> str:
        return "\n".join([self._head(), *(f"! {text}" for text in self.warnings)])

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(text)}</li>" for text in self.warnings)
        return f"<p>{self._head()}</p>" + (f"<ul>{notes}</ul>" if notes else "")


@dataclass(frozen=True, eq=False)
class Summary(Record):
    """What a sketch says of the objects of one module. Two are equal if all fields are, NaN equal to NaN.

    Attributes
    ----------
    count : float
        Number of objects: exact if the run unrolled, else estimated, if all objects at that depth weigh about the same
        (see `Sketcher.summary`). NaN where its error exceeds it, and one.
    mean : (a,) float32
        Mean of their attributes; by the pooled model each counted with its share alpha, and of polar ones the mean
        direction times the geometric mean of the norms. NaN where its error exceeds it.
    count_error, mean_error : float
        Standard errors; `mean_error` is that of one element.
    """

    count: float
    mean: Floats
    count_error: float
    mean_error: float

    def __str__(self) -> str:
        count = f"{self.count:.1f} ± {self.count_error:.1f} objects"
        return f"{count}, mean of {_check.count(self.mean.size, 'element')} ± {self.mean_error:.2g}"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


@dataclass(frozen=True, eq=False)
class UnrolledObject(Record):
    """One object read from a sketch. Two are equal if all fields are.

    Attributes
    ----------
    module : str
    attribute : (a,) float32
    inputs : tuple of int
        Numbers of its inputs in `Unrolled.objects`, each smaller than its own, in the order of their positions.
    weights : tuple of float
        Their weights. Their sum is 1, less if inputs are known to be missing; with "count" weighting they are as they
        were given.
    path : tuple of int
        Positions from the network's outputs down: (2, 0) is the first input of the third output. Of an object that is
        used more than once, that of its heaviest use.
    weight : float
        Its weight in the tuple that `path` leads to.
    confidence : float
        Probability that there is such an object, of this module at this position, as far as the evidence goes.
    error : (a,) float32
        Standard errors of the attribute's elements.
    norm, norm_error : float
        The attribute's Euclidean norm and the standard error of that.
    """

    module: str
    attribute: Floats
    inputs: tuple[int, ...]
    weights: tuple[float, ...]
    path: tuple[int, ...]
    weight: float
    confidence: float
    error: Floats
    norm: float
    norm_error: float

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Bounds that hold an element of the attribute with a given probability.

        Parameters
        ----------
        level : float
            The probability, above 0 and below 1.

        Returns
        -------
        low, high : (a,) float32
            The attribute less and plus the quantile of a Gaussian times `error`. Measured over 14 kinds of runs at
            loads from 0.1 to 4, 95% intervals hold 92 to 98% of the elements of each (docs/figures.md); of runs that
            nearly fill the sketch, where columns depend on each other, fewer.

        Raises
        ------
        ValueError, TypeError
            `level` is no number between 0 and 1.
        """
        from statistics import NormalDist

        level = _check.number("level", level, "a probability above 0 and below 1", 0.0, math.nextafter(1.0, 0.0))
        reach = self.error * np.float32(NormalDist().inv_cdf(0.5 + level / 2))
        return self.attribute - reach, self.attribute + reach


@dataclass(frozen=True, eq=False)
class Rest(Record):
    """What a tuple lacks: members of one module that were not found one by one, but show in their sum. Two are equal if
    all fields are, NaN equal to NaN.

    Attributes
    ----------
    owner : int
        Number of the object in `Unrolled.objects` whose inputs they are; -1: they are outputs of the network.
    module : str
    count : float
        How many there are, if all of them weigh alike. Of uneven ones it is the effective number: the square of the sum
        of their amplitudes over the sum of the squares, or with "linear" weights, of which the sketch does not tell
        that, as many as have their sum if each weighs as much as those that were found.
    mean : (a,) float32
        Mean of their attributes, each counted with its amplitude; of polar ones the mean direction times the geometric
        mean of the norms. NaN where its error exceeds it.
    count_error, mean_error : float
        Standard errors; `mean_error` is that of one element.
    """

    owner: int
    module: str
    count: float
    mean: Floats
    count_error: float
    mean_error: float

    def __str__(self) -> str:
        norm = _length(self.mean)
        mean = f", mean norm {norm:.2g}" if math.isfinite(norm) else ""
        return f"about {self.count:.0f} ± {self.count_error:.0f} more {self.module}{mean}"


@dataclass(frozen=True, eq=False, repr=False)
class Unrolled(Record):
    """What a sketch holds. Two are equal if all fields are.

    Attributes
    ----------
    objects : tuple of UnrolledObject
        Inputs before the objects that use them.
    outputs, weights : tuples of int and float
        Numbers of the network's outputs in `objects`, and their weights.
    explained : float
        Share of the sketch's energy that is theirs: 1 less the estimated energy of what was not found.
    residual : float
        Share of the sketch, as a norm, that the objects leave. Less than sqrt(1 - explained) where something is
        missing: a fit takes some of that, too.
    complete : bool
        This is the run, and all of it: the residual is rounding (or the noise that was told of), the unknowns fit, and
        no input of usual amplitude could have been missed below that noise. Uses of one object that has no signature
        are objects of their own; `warnings` names them.
    rounds, iterations : int
        Of the search, and of its fits.
    max_depth : int
        Levels of objects that were looked for.
    limits : tuple of str
        What hides more of the run, or may: "capacity" (something is left that no object explains, because there is too
        much of it for the sketch), "noise" (inputs of usual amplitude would drown in the noise that was told of, or in
        float32), "max_depth" (the search got there, and something is left), "positions" (a tuple has as many inputs as
        are looked for, 256).
    rests : tuple of Rest
        Members that were not found one by one but show in the sum of what their tuples lack, one a tuple and module; of
        a complete run there are none. Only what stands out by 2.5 standard errors is told of: no rest does not mean
        that nothing is missing.
    warnings : tuple of str
        What else a reader should know, in sentences: copies that cannot be told from uses of one object.
    """

    objects: tuple[UnrolledObject, ...]
    outputs: tuple[int, ...]
    weights: tuple[float, ...]
    explained: float
    residual: float
    complete: bool
    rounds: int
    iterations: int
    max_depth: int
    limits: tuple[str, ...] = ()
    rests: tuple[Rest, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_trace(self) -> Trace:
        """As a Trace, objects numbered as here. Where inputs are missing the others close up and their weights grow.

        Raises
        ------
        ValueError
            If nothing was found: a trace has at least one output.

        Notes
        -----
        Cost: a copy of the attributes.
        """
        if not self.objects:
            raise ValueError("to_trace: wanted at least one object; got none, nothing was found in the sketch")
        trace = Trace()
        for o in self.objects:
            trace.add(o.module, o.attribute, o.inputs, o.weights if o.inputs else None)
        trace.outputs(self.outputs, self.weights)
        return trace

    def tree(self, most: int = 60) -> str:
        """As an indented text, outputs first; with the confidence in what is less than certain.

        Parameters
        ----------
        most : int
            Lines, at least 1. What is left out is told of in one line more.

        Raises
        ------
        ValueError, TypeError
            `most` is no integer from 1 to 10**9.
        """
        from recsketch.runs import drawing

        return "\n".join(drawing.text(self._drawing(), _check.integer("most", most, 1, 10**9), _confidence))

    def _drawing(self) -> drawing.Drawing:
        from recsketch.runs import drawing

        more: dict[int, list[str]] = {}
        for rest in self.rests:
            more.setdefault(rest.owner, []).append(f"and {rest}")
        return drawing.Drawing(self.objects, self.outputs, self.weights, shares=True, more=more)

    def _head(self) -> str:
        state = "complete" if self.complete else f"incomplete, {self.explained:.1%} of the energy explained"
        if not self.objects and self.residual:
            state += " (another specification, a load far above 1, or attributes of very different norms: with_scales)"
        elif not self.complete and self.limits:
            state += f" (limits: {', '.join(self.limits)})"
        if self.rests:
            state += f", about {sum(rest.count for rest in self.rests):.0f} more seen as a sum"
        if "max_depth" in self.limits:
            state += f", the search ended at max_depth = {self.max_depth}"
        worst = max((_length(o.error) / o.norm for o in self.objects if o.norm > 0.0), default=0.0)
        wrong = f", errors up to {worst:.1g} of a norm" if self.objects else ""
        return f"Unrolled: {_check.count(len(self.objects), 'object')}, {state}{wrong}, residual {self.residual:.1e}"

    def __str__(self) -> str:
        return "\n".join([self._head(), *(f"! {text}" for text in self.warnings), self.tree()]).rstrip()

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def to_html(
        self,
        path: File | None = None,
        *,
        truth: Trace | Unrolled | None = None,
        shapes: Mapping[str, tuple[int, int]] | None = None,
        most: int = 2000,
    ) -> str:
        """The run drawn, with standard errors, confidence and what is missing, and as a list.

        Parameters
        ----------
        path : str, os.PathLike or binary file object, optional
            Where to write it as a page, one file that fetches nothing.
        truth : Trace or Unrolled, optional
            The run as it was: its attributes are drawn over those that were read, and objects that are missing, extra,
            or off by more than `diff` allows are marked.
        shapes : mapping from str to (int, int), optional
            Rows and columns of modules whose attributes are images.
        most : int
            Objects of the list, at least 1, each use counted. The drawing has 240 at most, and says so.

        Returns
        -------
        str
            A fragment without a script, as a notebook shows it: `_repr_html_` is the same without truth and shapes.

        Raises
        ------
        ValueError, TypeError
            An argument is not of that form, or a module's attributes have another number of elements than its shape.

        Notes
        -----
        Cost: about 350 bytes an object drawn and 150 an object listed, and 7 kB of style; with truth also `diff`.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("face", [0.6, 0.8], inputs=[trace.add("eye", [1.0, 0.0])])])
        >>> sk = rs.Sketcher(rs.SketchSpec(256, {"eye": 2, "face": 2}))
        >>> page = sk.unroll(sk.sketch(trace)).to_html(truth=trace)
        >>> "Beside the truth: none differs, 2 the same" in page
        True
        """
        from recsketch.runs import drawing

        count = _check.integer("most", most, 1, 10**9)
        found = None
        head = (
            '<span class="state whole">✓ complete</span>'
            if self.complete
            else '<span class="state part">! incomplete</span>'
        )
        head = f"<p>{head}{escape(drawing.printable(self._head()))}</p>"
        if self.warnings:
            notes = "".join(f"<li>{escape(drawing.printable(text))}</li>" for text in self.warnings)
            head += f'<ul class="notes">{notes}</ul>'
        if truth is not None:
            from recsketch.reading import beside

            found, said = beside.truth(truth, self)
            head += f"<p>{said}</p>"
        fragment = drawing.page(self._drawing(), count, _confidence, head=head, shapes=shapes, beside=found)
        return drawing.save(path, "A run, unrolled from its sketch", fragment)

    def _repr_html_(self) -> str:
        return self.to_html()


def _length(x: Floats) -> float:
    return float(np.linalg.norm(x.astype(np.float64)))


def _confidence(o: UnrolledObject) -> str:
    return "" if o.confidence > CERTAIN else f" ({o.confidence:.1%})"
