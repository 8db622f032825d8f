"""An index of faiss, which proposes candidates and decides nothing.

Rows are put into lists by the centre they are nearest to, and a search looks at a few lists. What it proposes is
computed from the stored rows by `search.ranked`, and rows that it does not have are scanned, so that it can miss a hit
and never change one.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import recsketch._check as _check
import recsketch.repository.search as search
from recsketch._check import Floats
from recsketch.repository.approximate.files import Arrays, load, name
from recsketch.repository.columns import Column
from recsketch.repository.errors import RepositoryWarning
from recsketch.repository.segments import Rows

if TYPE_CHECKING:
    import numpy.typing as npt

Places: TypeAlias = "npt.NDArray[np.intp]"

LISTS = 4  # so many times the square root of the number of rows
ROUNDS = 8  # of k-means
TAUGHT = 40  # rows a list, at most, that centres and ranges are learned from
MOVED = 0.5  # how far the mean may have moved, over the usual distance of rows from it


class Candidates(NamedTuple):
    """What an index proposes for each query, and what is to be looked at besides.

    Attributes
    ----------
    rows : (q, most) int64
        -1 where there are fewer.
    rest : (r,) int64
        Rows that it does not have, ascending.
    total : int
        How many rows there are, in it or not.
    """

    rows: Rows
    rest: Rows
    total: int


def build(column: Column, identity: bytes, lists: int | None, threads: int) -> Arrays:
    """An index of all rows of a column.

    Raises
    ------
    ImportError
        There is no faiss.
    ValueError
        There are no rows.
    RepositoryDamaged
        A row is not as it was written.

    Notes
    -----
    Cost: k-means of 40 rows a list in 8 rounds, and each row with each centre; 2 d bytes of memory a row.
    """
    faiss = _faiss()
    if not column.live:
        raise ValueError("repository: wanted rows to make an index of; got none")
    records = np.concatenate([s.records[s.alive] for s in column.segments])
    n, dim = len(records), column.segments[0].dim
    count = min(n, round(LISTS * n**0.5) if lists is None else lists)
    found = search.centre(column)
    mean = np.zeros(dim, np.float32) if found is None else found
    taught = np.random.default_rng(0).choice(n, min(n, TAUGHT * count), replace=False)
    index = _index(faiss, dim, count)
    with _threads(faiss, threads):
        index.train(np.concatenate([*_blocks(column, records["row"][np.sort(taught)], mean)]))
        for block in _blocks(column, records["row"], mean):
            index.add(block)
    at, codes, ends = _content(faiss, index)
    ranges = faiss.vector_to_array(index.sq.trained).reshape(2, dim)
    centres = index.quantizer.reconstruct_n(0, count)
    rows, crcs = (np.ascontiguousarray(records[what][at]) for what in ("row", "crc"))
    return Arrays(np.frombuffer(identity, np.uint8), mean, centres, ends, rows, crcs, ranges, codes)


class Known(NamedTuple):
    """Some rows that live, as an index knows them.

    Attributes
    ----------
    rows : (n,) int64
        Ascending.
    places : (n,) intp
        In the index; -1 where it does not have a row as it is now.
    inside : int
        How many it has.
    bits : (b,) uint8
        A bit for each place in the index, the lowest of a byte first: whether it is one of these.
    rest : (n - inside,) int64
        Rows that it does not have, ascending.
    """

    rows: Rows
    places: Places
    inside: int
    bits: npt.NDArray[np.uint8]
    rest: Rows


class Index:
    """An index in memory.

    Parameters
    ----------
    faiss : module
    arrays : Arrays
    """

    def __init__(self, faiss: Any, arrays: Arrays) -> None:
        self.mean, self.rows, self.lists = arrays.mean, arrays.rows, len(arrays.centres)
        self._faiss, self._index = faiss, _filled(faiss, arrays)
        self._crcs, self._order = arrays.crcs, np.argsort(arrays.rows)
        self._live: object = None  # what of a column this is:
        self._known: Known

    def follow(self, column: Column, chosen: Rows | None) -> Known:
        """The rows of a column, those that are chosen (ascending), or all."""
        live = search.living(column)
        if self._live != live:
            records = np.concatenate([s.records[s.alive] for s in column.segments])
            rows = np.ascontiguousarray(records["row"])
            at = np.searchsorted(self.rows, rows, sorter=self._order)
            at = self._order[np.minimum(at, len(self.rows) - 1)]
            same = (self.rows[at] == rows) & (self._crcs[at] == records["crc"])
            self._live, self._known = live, self._split(rows, np.where(same, at, -1))
        if chosen is None:
            return self._known
        rows, places = self._known.rows, self._known.places
        at = np.searchsorted(rows, chosen)
        at = at[at < len(rows)]
        at = at[rows[at] == chosen[: len(at)]]
        return self._split(rows[at], places[at])

    def _split(self, rows: Rows, places: Places) -> Known:
        bits = np.zeros(len(self.rows), np.bool_)
        there = places >= 0
        bits[places[there]] = True
        return Known(rows, places, int(there.sum()), np.packbits(bits, bitorder="little"), rows[~there])

    def is_stale(self, known: Known, mean: Floats | None) -> bool:
        """Whether it has fewer than half of all rows, or compares them quite otherwise than is done now."""
        m = np.zeros_like(self.mean) if mean is None else mean
        usual = max(0.0, 1 - float(m @ m)) ** 0.5  # rows of norm one, of which m is the mean, are so far from it
        far = float(np.linalg.norm(m - self.mean)) > MOVED * usual
        return far or 2 * known.inside < len(known.rows)

    def search(self, queries: Floats, most: int, probes: int, bits: npt.NDArray[np.uint8], threads: int) -> Rows:
        """(q, most) rows for queries of norm one or zero, of those whose bits are set; -1 where there are fewer."""
        faiss = self._faiss
        selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        options = faiss.SearchParametersIVF(sel=selector, nprobe=min(probes, self.lists))
        with _threads(faiss, threads):
            _, found = self._index.search(search.centred(queries, self.mean), most, params=options)
        return np.where(found >= 0, self.rows[found], -1)


class Approximate:
    """The indexes of one repository, read when they are first asked for, and again when their files change.

    Parameters
    ----------
    folder : str
    identity : bytes
    threads : int
    """

    def __init__(self, folder: str, identity: bytes, threads: int) -> None:
        self._folder, self._identity, self._threads = folder, identity, threads
        self._read: dict[str, tuple[tuple[int, ...], Index]] = {}  # by kind: of which file it is, and the index
        self._told: set[str] = set()  # kinds whose index is of no use, as was said

    def candidates(
        self,
        column: Column,
        kind: str,
        queries: Floats,
        most: int,
        mean: Floats | None,
        chosen: Rows | None,
        probes: int,
    ) -> Candidates | None:
        """For queries of norm one or zero, of rows that are `chosen` (ascending), or all; None: all are to be scanned.

        Raises
        ------
        ImportError
            There is no faiss.

        Warns
        -----
        RepositoryWarning
            Once, where there is no index that is of use.
        """
        index = self._index(_faiss(), kind, column)
        if isinstance(index, str):
            self._tell(kind, index)
            return None
        known = index.follow(column, None)
        if index.is_stale(known, mean):
            wanted = "wanted an index of the rows as they are now; got one that is out of date"
            self._tell(kind, f"{os.path.join(self._folder, name(kind))}: {wanted}")
            return None
        self._told.discard(kind)
        least = most
        if chosen is not None:
            known = index.follow(column, chosen)
            least = max(most, round(len(index.rows) * min(1.0, probes / index.lists)))  # so many are looked at anyway
        if known.inside <= least:
            return None
        found = index.search(queries, most, probes, known.bits, self._threads)
        return Candidates(found, known.rest, len(known.rows))

    def _index(self, faiss: Any, kind: str, column: Column) -> Index | str:
        """The index, or why there is none."""
        path = os.path.join(self._folder, name(kind))
        old = self._read.pop(kind, None)
        try:
            found = os.stat(path)
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if old is None or old[0] != stamp:
                old = None  # before there are two in memory
                old = (stamp, Index(faiss, load(path, self._identity, column.segments[0].dim)))
        except FileNotFoundError:
            return f"{path}: wanted an index for approximate search; got none"
        except (OSError, ValueError) as e:
            return str(e)
        self._read[kind] = old
        return old[1]

    def _tell(self, kind: str, problem: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            text = f"{_check.cut(problem, 500)}: all rows are looked at until build_index makes an index"
            warnings.warn(text, RepositoryWarning, stacklevel=7)


def _faiss() -> Any:
    try:
        if "faiss" not in sys.modules:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # older ones cause some, of NumPy and of SWIG
                importlib.import_module("faiss")
        import faiss
    except ImportError:
        wanted = "wanted faiss-cpu, of pip install 'recsketch[ann]'"
        raise ImportError(f"approximate search: {wanted}; got none") from None
    return faiss


@contextlib.contextmanager
def _threads(faiss: Any, count: int) -> Iterator[None]:
    """So many threads in the body, and as many as before for whoever else uses faiss."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _index(faiss: Any, dim: int, lists: int) -> Any:
    """An empty one: centres of norm one, and codes of the rows themselves, by inner product."""
    kind, inner = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, lists, kind, inner, False)
    index.cp.niter, index.cp.min_points_per_centroid = ROUNDS, 1
    return index


def _filled(faiss: Any, arrays: Arrays) -> Any:
    """What `build` had. Its numbers of rows are their places in the arrays."""
    lists, dim = arrays.centres.shape
    index = _index(faiss, dim, lists)
    index.quantizer.add(arrays.centres)
    faiss.copy_array_to_vector(arrays.ranges.ravel(), index.sq.trained)
    ids = np.arange(len(arrays.rows))
    for i, (a, b) in enumerate(zip(arrays.ends[:-1].tolist(), arrays.ends[1:].tolist(), strict=True)):
        if a < b:
            index.invlists.add_entries(i, b - a, faiss.swig_ptr(ids[a:b]), faiss.swig_ptr(arrays.codes[a:b]))
    index.ntotal, index.is_trained = len(ids), True
    return index


def _content(faiss: Any, index: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Which rows there are, in the order of lists, by when they were added; their codes; and where lists end."""
    lists = index.invlists
    ends = np.cumsum([0, *(lists.list_size(i) for i in range(index.nlist))])
    ids, codes = np.empty(ends[-1], np.int64), np.empty((ends[-1], index.d), np.uint8)
    for i, (a, b) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        if a < b:
            faiss.memcpy(faiss.swig_ptr(ids[a:b]), lists.get_ids(i), ids[a:b].nbytes)
            faiss.memcpy(faiss.swig_ptr(codes[a:b]), lists.get_codes(i), codes[a:b].nbytes)
    return ids, codes, ends


def _blocks(column: Column, rows: Rows, mean: Floats) -> Iterator[Floats]:
    """These rows as the index compares them."""
    step = max(1, search.BLOCK // len(mean))
    for first in range(0, len(rows), step):
        yield search.centred(column.units(rows[first : first + step]), mean)
