"""What was learned from sketches: data, a table of it, and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from recsketch._values import Record
from recsketch.display.terminal import Style
from recsketch.learning.strings import Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats

    Codes: TypeAlias = npt.NDArray[np.uint64]
    Doubles: TypeAlias = npt.NDArray[np.float64]
    Numbers: TypeAlias = npt.NDArray[np.int64]

Module: TypeAlias = str | int  # its name, or its tag where no name has that tag

STYLE = Style(width=120)


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
        Numbers of the sketches that were searched, ascending: all, or a sample of 20,000.
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
    reason : str
        Why nothing was learned, or "".
    """

    dim: int
    block_size: int
    blocks_per_column: int
    seen: int
    columns: dict[Module, Columns]
    doubtful: tuple[tuple[Module, int], ...]
    events: Events
    unexplained: float
    reason: str

    @property
    def confidence(self) -> dict[Module, Doubles]:
        """Of every module the confidence of its columns."""
        return {module: c.confidence for module, c in self.columns.items()}

    @property
    def layout(self) -> Layout:
        found = Layout.of(self.dim, self.block_size)
        if found is None:
            raise ValueError(f"dictionary: wanted one in which something was learned; got none: {self.reason}")
        return found

    @property
    def counter(self) -> int:
        """The column that stands for a module's counter."""
        return self.layout.counter

    def __len__(self) -> int:
        """Columns that were learned."""
        return sum(c.indices.size for c in self.columns.values())
