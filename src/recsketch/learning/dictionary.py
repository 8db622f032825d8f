"""What was learned from sketches: data, a table of it, and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch._npz as _npz
from recsketch._files import File
from recsketch._values import Record
from recsketch.display.terminal import Style, percent, printable, table
from recsketch.learning.strings.layout import Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats
    from recsketch.sketching.packing import PackedSketches
    from recsketch.sketching.spec import SketchSpec

    Codes: TypeAlias = npt.NDArray[np.uint64]
    Doubles: TypeAlias = npt.NDArray[np.float64]
    Numbers: TypeAlias = npt.NDArray[np.int64]

Module: TypeAlias = str | int  # its name, or its tag where no name has that tag

STYLE = Style(width=120)
MARGIN = 5e-4  # of cosines, below which a mask may well be another


@dataclass(frozen=True, eq=False)
class Columns(Record):
    """The columns of one module that were learned. r is `Dictionary.blocks_per_column`.

    Attributes
    ----------
    tag : int
        Of the module's name, in every string.
    indices : (k,) int64
        Which columns, ascending: numbers of an attribute's elements, behind them that of the logarithm of its norm
        where attributes are polar, and those of the signature. The counter is the last, `Dictionary.counter`.
    rows : (k, r) int64
        Blocks of d that a column fills.
    codes : (k, r) uint64
        Signs of these blocks but for the first, relative to the first: bit i is set where sign i + 1 differs.
    counts : (k, r) int64
        Sketches of which a string explains some block.
    confidence : (k,) float64
        Probability that none of its strings is one by chance.
    """

    tag: int
    indices: Numbers
    rows: Numbers
    codes: Codes
    counts: Numbers
    confidence: Doubles


@dataclass(frozen=True, eq=False)
class Events(Record):
    """Where columns were seen. Sketch i of `sketches` has the events from ends[i] to ends[i + 1], by place, the loudest
    first.

    Attributes
    ----------
    sketches : (n,) int64
        Numbers of the sketches that were searched, ascending: all, or a sample of 20,000, or of 2^27 / d if that
        is less.
    ends : (n + 1,) int64
    place, row : (e,) int64
        Block of the sketch, and the block of the embedding that is seen there; place XOR row says which operators moved
        it.
    module : (e,) int64
        Numbers in the order of `Dictionary.columns`.
    column : (e,) int64
    amplitude : (e,) float32
        What the column is multiplied by there.
    """

    sketches: Numbers
    ends: Numbers
    place: Numbers
    row: Numbers
    module: Numbers
    column: Numbers
    amplitude: Floats


Operator: TypeAlias = tuple[str, Module]
"""("branch", "attr"), ("branch", "in"), ("position", i) or ("module", name), as in docs/format.md, "Random bits"."""


@dataclass(frozen=True, eq=False)
class Masks(Record):
    """Which blocks operators swap, and where modules are.

    Attributes
    ----------
    angle : float
        Degrees; that which was given, or that which images of strings have.
    masks : dict
        Of operators: block k is swapped with block k XOR mask.
    paths : dict of str or int to tuple of (tuple of operators, float)
        Of each module, where its objects are: operators from the sketch down to them, their own T_M and T_attr left
        out, and the share of the module's energy.
    cosines : dict of str or int to float
        Between how far a module's strings have moved and how far they should have; 1 is best.
    margins : dict of str or int to float
        How much smaller it is with any other mask of T_M. Below 5e-4 the mask may well be another.
    """

    angle: float
    masks: dict[Operator, int]
    paths: dict[Module, tuple[tuple[tuple[Operator, ...], float], ...]]
    cosines: dict[Module, float]
    margins: dict[Module, float]

    @property
    def wiring(self) -> dict[Module, tuple[Module, ...]]:
        """Of each module which modules were seen as its inputs; of "" those that were outputs."""
        out: dict[Module, list[Module]] = {}
        for module, paths in self.paths.items():
            for path, _ in paths:
                user: Module = path[-3][1] if len(path) > 1 else ""
                if module not in out.setdefault(user, []):
                    out[user].append(module)
        return {user: tuple(inputs) for user, inputs in out.items()}


@dataclass(frozen=True, eq=False)
class Object(Record):
    """An object that was read: its path as in `Masks.paths`, its module, what multiplies its columns, and the values of
    these: of the module's columns without the counter, in the order of `Columns.indices`. NaN is what cannot be told:
    a column that meets a sign that is not known."""

    path: tuple[Operator, ...]
    module: Module
    amplitude: float
    values: Doubles


class Comparison(NamedTuple):
    """Columns of one module beside those of a specification: right in every sign; not learned; learned, but other."""

    exact: int
    missing: int
    false: int


@dataclass(frozen=True, eq=False, repr=False)
class Dictionary(Record):
    """What `learn_dictionary` found. Two are equal if all fields are.

    Attributes
    ----------
    dim, block_size, blocks_per_column : int
        d, b and r. b and r are 0 where nothing was learned.
    seen : int
        Sketches.
    columns : dict of str or int to Columns
        By modules' names, or tags where no name that was given has that tag.
    doubtful : tuple of (str or int, int)
        Modules and columns of which something was seen, and not enough to be sure.
    events : Events
    unexplained : float
        Share of the sketches' energy that no learned string explains.
    masks : Masks or None
    operators : dict of operators to (d / b,) int8, or None
        Their signs at every block, 0 where nothing that was seen depends on it. Only those that explain sketches which
        had no part in learning them.
    reasons : dict of str to str
        Why there are no "columns", "masks" or "operators", or what is wrong with them.
    """

    dim: int
    block_size: int
    blocks_per_column: int
    seen: int
    columns: dict[Module, Columns]
    doubtful: tuple[tuple[Module, int], ...]
    events: Events
    unexplained: float
    masks: Masks | None
    operators: dict[Operator, npt.NDArray[np.int8]] | None
    reasons: dict[str, str]

    @property
    def wiring(self) -> dict[Module, tuple[Module, ...]]:
        """Of each module which modules were seen as its inputs; of "" those that were outputs."""
        return {} if self.masks is None else self.masks.wiring

    @property
    def confidence(self) -> dict[Module, Doubles]:
        """Of every module the confidence of its columns."""
        return {module: c.confidence for module, c in self.columns.items()}

    @property
    def layout(self) -> Layout:
        found = Layout.of(self.dim, self.block_size)
        if found is None:
            raise ValueError(f"dictionary: wanted one of columns; got none: {self.reasons['columns']}")
        return found

    @property
    def counter(self) -> int:
        """The column that stands for a module's counter."""
        return self.layout.counter

    def __len__(self) -> int:
        """Columns that were learned."""
        return sum(c.indices.size for c in self.columns.values())

    def matrix(self, module: Module) -> Floats:
        """(k, d) float32: the columns of a module's embedding that were learned, in the order of its `indices`.

        Raises
        ------
        KeyError
            No column of that module was learned.
        """
        from recsketch.learning.operators.front import module_strings

        strings = module_strings(self, module)
        return strings.reshape(len(strings), -1).astype(np.float32)

    def read(self, sketches: npt.ArrayLike | PackedSketches, noise: npt.ArrayLike | None = None) -> list[list[Object]]:
        """The objects of sketches, by the operators that were learned.

        Parameters
        ----------
        sketches : (d,) or (n, d) array_like, or PackedSketches
        noise : float or (n,) array_like, optional
            Root mean square error of a coordinate; from PackedSketches if not given.

        Returns
        -------
        list of lists of Object
            Of every sketch, ordered by their positions. An object is there if its counter is, once all objects that may
            be there are fitted by least squares; then those that are there are fitted alone.

        Raises
        ------
        ValueError
            No operators were learned; `reasons` says why. Or sketches of another length, or NaN.

        Notes
        -----
        Time is that of least squares of as many unknowns as objects may have at all places, N: N² d for all sketches
        together and N d for each; memory 8 N (d + N) bytes.
        """
        from recsketch.learning.operators.front import read
        from recsketch.learning.strings.sources import Source

        if self.operators is None:
            raise ValueError(f"dictionary: wanted one with operators; got none: {self.reasons['operators']}")
        source = Source(sketches, noise)
        if source.dim != self.dim:
            raise ValueError(f"sketches: wanted {self.dim} numbers each; got {source.dim}")
        return read(self, source)

    def compare(self, spec: SketchSpec) -> dict[Module, Comparison]:
        """How many columns are those of a specification, module by module, by equality of all their signs.

        Columns of elements that no sketch has, such as those of modules that were never used, cannot be learned, and
        count as missing.

        Raises
        ------
        ValueError
            A specification of another rotation, length or block size.
        """
        from recsketch.learning.strings.truth import columns_of

        if spec.rotation != "block" or spec.dim != self.dim or self.block_size not in (0, spec.block_size):
            wanted = f'rotation "block", dim {self.dim}' + f" and block_size {self.block_size}" * bool(self.block_size)
            raise ValueError(f"spec: wanted a specification of {wanted}; got another")
        truth = columns_of(spec)
        learned = {c.tag: (m, c) for m, c in self.columns.items()}
        out: dict[Module, Comparison] = {}
        for name, (tag, indices, codes) in truth.items():
            _, own = learned.pop(tag, (name, None))
            want = _by_number(indices, codes)
            got = {} if own is None else _by_number(own.indices, own.codes)
            exact = sum(want.get(i) == c for i, c in got.items())
            out[name] = Comparison(exact, len(want) - exact, len(got) - exact)
        return {**out, **{m: Comparison(0, 0, c.indices.size) for m, c in learned.values()}}

    def save(self, path: File) -> None:
        """Write to an .npz file, complete or not at all, as `PackedSketches.save` does; docs/format.md has the arrays.

        Raises
        ------
        OSError
            The file or its folder cannot be written.
        """
        from recsketch.learning.saved import arrays_of

        _npz.save(path, arrays_of(self))

    @classmethod
    def load(cls, path: File) -> Dictionary:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            Another, a damaged or a hostile file, or one of another format's version. Pickles are never read.
        OSError
            The file cannot be read.
        """
        from recsketch.learning.saved import ARRAYS, made_of

        return _npz.load(path, ARRAYS, "Dictionary.save", made_of)

    def _head(self) -> str:
        seen = _check.count(self.seen, "sketch") if self.seen == 1 else f"{self.seen:,} sketches"
        if not self.columns:
            return f"nothing learned from {seen} of {self.dim:,} numbers: {self.reasons['columns']}"
        modules = _check.count(len(self.columns), "module")
        kind = f"{self.dim:,} numbers in blocks of {self.block_size}, {self.blocks_per_column} a column"
        return f"{_check.count(len(self), 'column')} of {modules} learned from {seen} of {kind}"

    def _facts(self) -> list[str]:
        if not self.columns:
            return []
        out = [f"{what} not learned: {self.reasons[what]}" for what in ("masks", "operators") if self.reasons[what]]
        unsure = [printable(str(m)) for m, x in (self.masks.margins if self.masks else {}).items() if x < MARGIN]
        if unsure and self.operators is None:
            out.append(f"masks of T_M that may well be others: {_check.cut(', '.join(unsure), 300)}")
        if self.masks is not None and not self.reasons["masks"]:
            learned = "masks" if self.operators is None else "masks and operators"
            out.insert(0, f"{learned} learned, of an angle of {self.masks.angle:.2f}°")
        doubts = _check.count(len(self.doubtful), "column")
        return [*out, f"{doubts} doubtful, and not among them; {percent(self.unexplained)} of the energy unexplained"]

    def _table(self) -> tuple[list[str], list[list[str]]]:
        wiring = self.wiring
        rows = []
        for m, c in self.columns.items():
            inputs = ", ".join(printable(str(x)) for x in wiring.get(m, ())) or "–"
            counter = "yes" if c.indices.size and c.indices[-1] == self.counter else "no"
            sure = percent(float(c.confidence.min(initial=1.0)), digits=2)
            rows.append([printable(_check.cut(str(m), 40)), str(c.indices.size), counter, sure, _check.cut(inputs, 60)])
        return ["module", "columns", "counter", "least confidence", "inputs seen"], rows

    def __str__(self) -> str:
        body = [table(*self._table(), style=STYLE, indent=0)] if self.columns else []
        return "\n\n".join(["\n".join([self._head(), *self._facts()]), *body])

    def __repr__(self) -> str:
        return f"<Dictionary: {self._head()}>"


def _by_number(indices: Numbers, codes: Codes) -> dict[int, tuple[int, ...]]:
    return {i: tuple(c) for i, c in zip(indices.tolist(), codes.tolist(), strict=True)}
