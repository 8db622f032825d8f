"""The front: sketches in, a dictionary out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch.sketching.blocks as blocks
from recsketch.learning.dictionary import Columns, Dictionary, Events, Module
from recsketch.learning.operators.front import with_operators
from recsketch.learning.strings.columns import Column, Strings, assemble, find_strings
from recsketch.learning.strings.layout import Layout, named
from recsketch.learning.strings.sources import Source

if TYPE_CHECKING:
    import os

    import numpy.typing as npt

    from recsketch.sketching.packing import PackedSketches

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
    """Learn the matrices of rotation "block" from sketches alone, without a seed or a specification. Experimental.

    Parameters
    ----------
    sketches : (n, d) array_like, PackedSketches, path, or iterable of these
        Of any runs, some thousand of them at best. A path is that of a .npy file, which is mapped and not read, of an
        .npz file of `PackedSketches.save`, or of a folder of these, taken by name. A list or another iterable of such
        parts has to be one that can be gone through more than once.
    block_size : {32, 64}, optional
        b. Both are tried if not given.
    noise : float or (n,) array_like, optional
        Root mean square error of a coordinate; from PackedSketches, or from float16's steps, if not given.
    names : iterable of str
        Names that modules may have. Those that are right are recognised; other modules are called by their tags.
    operators : bool
        Whether to look for masks, wiring and signs of operators, too.
    angle : float, optional
        Of operators, in degrees. Found if not given.
    threads : int, optional
        Upper bound; all that OpenMP offers if not given. What is learned of columns does not depend on it, nor on the
        instruction set.

    Returns
    -------
    Dictionary
        With reasons for what was not learned. Nothing is guessed: without a doubt about a column it is there, and with
        one it is in `doubtful`.

    Raises
    ------
    ValueError
        NaN, infinity or numbers above 1e30; sketches of a length that has no blocks; two names of one tag; files that
        are damaged; parts that change between two passes.
    TypeError
        Arguments of other types; an iterator, which can be gone through only once.

    Notes
    -----
    A column of the block family is r blocks of signs, each of which says in code which column of which module it is
    (docs/format.md, "Blocks"). A block of a sketch that one string dominates has the string's signs, whatever else is
    there; once it is known and subtracted by least squares, the next one shows. A code is a string if three sketches
    have it, and its tag is that of more codes than chance would give any tag: with λ codes to a tag on average, λ + 6
    √λ + 4. docs/learning.md has the method, what it reaches, and where it ends.

    **Cost**: some 0.3 to 0.8 µs a block and pass on one thread; one pass where nothing is learned, else mostly three
    or four, and at most eleven. Memory: up to 20,000 sketches, or 2^27 numbers, are looked at together, as they lie if
    there are no more; of others the passes keep what belongs to known modules, so that memory does not grow with how
    many there are. Then masks, in time linear in (d / b)² and in the modules, and signs, some seconds.

    Examples
    --------
    Runs of two modules, whose attributes have two elements that are not zero:

    >>> import numpy as np
    >>> import recsketch as rs
    >>> rng = np.random.default_rng(0)
    >>> def run():
    ...     trace = rs.Trace()
    ...     def use(module):
    ...         x = np.zeros(12)
    ...         x[rng.permutation(12)[:2]] = rng.choice([-1, 1], 2) * [0.6, 0.8]
    ...         return trace.add(module, x)
    ...     trace.outputs([use(m) for m in rng.choice(["line", "word"], 2)])
    ...     return trace
    >>> spec = rs.SketchSpec(1024, {"line": 12, "word": 12}, seed=12345, rotation="block", blocks_per_column=1,
    ...                      max_inputs=4, attributes="linear")
    >>> sketches = rs.Sketcher(spec).sketch([run() for _ in range(600)])

    Somebody else has the sketches, and nothing of the above:

    >>> found = rs.learn_dictionary(sketches, names=["word", "line", "page"])
    >>> print(found)
    26 columns of 2 modules learned from 600 sketches of 1,024 numbers in blocks of 32, 1 a column
    masks and operators learned, of an angle of 75.00°
    0 columns doubtful, and not among them; ... of the energy unexplained
    <BLANKLINE>
    module  columns  counter  least confidence  inputs seen
    line         13      yes            ...               –
    word         13      yes            ...               –
    >>> found.compare(spec)
    {'line': Comparison(exact=13, missing=0, false=0), 'word': Comparison(exact=13, missing=0, false=0)}
    >>> trace = run()
    >>> objects = found.read(rs.Sketcher(spec).sketch(trace))[0]
    >>> [o.module for o in objects] == [o.module for o in trace.objects]
    True
    >>> bool(np.allclose([o.values for o in objects], [o.attribute for o in trace.objects], atol=1e-6))
    True
    """
    if block_size is not None:
        block_size = blocks.size(block_size, blocks.BLOCK)
    degrees = None if angle is None else _check.number("angle", angle, "degrees above 0 and at most 90", 0, 90)
    turned = _check.flag("operators", operators)
    given = _check.members("names", names, "names that modules may have")
    source, workers = Source(sketches, noise), _check.threads(threads)
    layouts = [Layout.of(source.dim, b) for b in blocks.SIZES if block_size in (None, b)]
    tried = [(layout, named(layout, given)) for layout in layouts if layout]
    best: Dictionary | None = None
    for layout, known in tried:
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
