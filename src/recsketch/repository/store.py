"""The front of a repository: runs under keys, kept safely, found again."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

import recsketch._check as _check
import recsketch.repository.concepts.kept as concepts_of
import recsketch.repository.conditions as conditions
import recsketch.repository.given as given
import recsketch.repository.graph.edges as edges
import recsketch.repository.graph.linking as linking
import recsketch.repository.graph.making as graph_making
import recsketch.repository.lines as lines
import recsketch.repository.parquet as parquet
import recsketch.repository.parts as parts_of
import recsketch.repository.tables as tables
from recsketch._files import File
from recsketch.repository.approximate.index import build
from recsketch.repository.checking import check
from recsketch.repository.columns import Columns, one
from recsketch.repository.conditions import Metadata
from recsketch.repository.disk import Disk
from recsketch.repository.errors import RepositoryDamaged
from recsketch.repository.finding import Finder, selected
from recsketch.repository.finding import queries as queries_of
from recsketch.repository.given import Object, Parts, Runs, Sketchers, Sketches
from recsketch.repository.graph.edges import NEAREST
from recsketch.repository.graph.graph import Graph
from recsketch.repository.opening import Handle
from recsketch.repository.results import Concept, ConceptEvent, Hit, RepositoryCheck, StoredRun
from recsketch.repository.segments import DTYPES, Rows
from recsketch.repository.state import OBJECT, ORDER, RUN, State, read_state, same_spec
from recsketch.repository.transfer import Table, load, save
from recsketch.repository.writing import Writer, as_stored
from recsketch.sketching.packing import PackedSketches
from recsketch.sketching.spec import SketchSpec

if TYPE_CHECKING:
    import numpy.typing as npt

Made = TypeVar("Made")

TRIES = 20  # of a reader, where a writer changes what it reads


class SketchRepository:
    """Runs under keys, on a disk: sketches and metadata, kept safely, found by likeness and by condition.

    Made by `open`, and best used in a ``with`` statement.

    Notes
    -----
    What `add`, `update` and `delete` have done when they return is on the disk, and survives a crash of the process
    or the machine; what they had not done leaves no trace. All that is read is compared with checksums: damage is an
    error and never an answer. Any number of processes may read while one writes; each call sees one state. The files
    are described in docs/format.md, "Repositories".

    One object may be used from many threads, which wait for each other, but not in a child after a fork.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> spec = rs.SketchSpec(256, {"word": 8, "page": 4})
    >>> def page(*words):
    ...     run = rs.Trace()
    ...     run.outputs([run.add("page", [1, 0, 0, 0], [run.add("word", np.eye(8)[w]) for w in words])])
    ...     return run
    >>> with rs.SketchRepository.open("pages", spec, mode="a") as pages:
    ...     runs, years = [page(0, 1, 2), page(3, 4), page(5, 6, 7)], [{"year": y} for y in (1, 2, 3)]
    ...     keys = pages.add(runs, ["a", "b", "c"], years)
    ...     [hit.key for hit in pages.search(page(2, 1, 0), k=2, by="order")]
    ['a', 'c']
    >>> with rs.SketchRepository.open("pages") as pages:
    ...     len(pages), "b" in pages, [hit.key for hit in pages.search(page(0, 1, 2), where={"year": {">": 1}})]
    (3, True, ['c', 'b'])
    """

    def __init__(
        self,
        folder: str,
        mode: str,
        disk: Disk,
        spec: SketchSpec | None,
        dtype: str | None,
        threads: int | None,
        concepts: bool,
    ) -> None:
        """Private: use `open`."""
        self.path, self.mode = folder, mode
        self._guard = threading.RLock()
        self._process = os.getpid()
        self._handle = Handle(folder, mode, disk, spec, dtype)
        settings = self._settings = self._handle.settings
        self._sketchers = Sketchers(settings.spec, threads)
        self._columns = Columns(folder, settings.identity)
        self._finder = Finder(folder, settings, self._columns, _check.threads(threads))
        self._keeper: concepts_of.Keeper | None = None
        try:
            if mode == "a":
                self._keep_concepts(concepts)
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ opening and closing

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        spec: SketchSpec | None = None,
        mode: str = "r",
        *,
        dtype: str | None = None,
        threads: int | None = None,
        concepts: bool = False,
    ) -> SketchRepository:
        """Open a repository, or make one.

        Parameters
        ----------
        path : str or os.PathLike
            A folder.
        spec : SketchSpec, optional
            Needed to make one; otherwise, if given, it must be the repository's.
        mode : {"r", "a"}
            "r" reads, beside whoever writes. "a" writes as well, which one at a time may do, and makes the repository
            if there is none.
        dtype : {"float32", "float16", "int8", "int8+float16"}, optional
            How a new repository stores sketches; float32 if not given. "int8+float16" keeps both: scans read int8, and
            what they find is put in order by float16. If given of one that is there, it must be the repository's.
        threads : int, optional
            As of Sketcher.
        concepts : bool
            Look for concepts from now on, whoever opens it, in all runs that are there and that will be; wants mode
            "a". False leaves that as it is.

        Returns
        -------
        SketchRepository

        Raises
        ------
        FileNotFoundError
            Nothing is there to read.
        ValueError, TypeError
            The specification or type is another one, which the message names; a new repository without specification; a
            folder of something else, or of a format that this version does not know.
        RepositoryInUse
            Somebody else writes it; the message says which process on which host.
        RepositoryDamaged
            A file is damaged or too short.

        Warns
        -----
        RepositoryWarning
            A write that a crash had cut short was cleared away; or the file system has no shared memory, as network
            file systems have not, so that readers and the writer wait for each other.

        Notes
        -----
        Cost: some milliseconds, however many runs there are: no row is read.

        Examples
        --------
        >>> import recsketch as rs
        >>> spec = rs.SketchSpec(64, {"eye": 2})
        >>> rs.SketchRepository.open("eyes", spec, mode="a").close()
        >>> rs.SketchRepository.open("eyes", spec.replace(seed=1))
        Traceback (most recent call last):
        ...
        ValueError: spec: wanted the repository's seed, 0; got 1
        """
        return cls._opened(Disk(), path, spec, mode, dtype, threads, concepts)

    @classmethod
    def _opened(
        cls,
        disk: Disk,
        path: Any,
        spec: SketchSpec | None,
        mode: str,
        dtype: str | None = None,
        threads: int | None = None,
        concepts: bool = False,
    ) -> SketchRepository:
        """`open` on a disk of the caller's."""
        folder = _check.path("path", path)
        _check.choice("mode", mode, ("r", "a"))
        if spec is not None and not isinstance(spec, SketchSpec):
            raise TypeError(f"spec: wanted a SketchSpec; got {_check.describe(spec)}")
        if dtype is not None:
            _check.choice("dtype", dtype, DTYPES)
        workers = None if threads is None else _check.threads(threads)
        if _check.flag("concepts", concepts) and mode == "r":
            raise ValueError("concepts: wanted False, or mode='a', which may begin them; got True with mode='r'")
        return cls(os.path.abspath(folder), mode, disk, spec, dtype, workers, concepts)

    def close(self) -> None:
        """Let others write. What was added is on the disk already; closing twice does nothing."""
        with self._guard:
            if self._process == os.getpid():  # a child has none of its parent's locks to let go
                self._handle.close()

    def __enter__(self) -> SketchRepository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._handle.closed else f"mode {self.mode!r}"
        return f"<SketchRepository {_check.shown(self.path)}, {state}>"

    @property
    def spec(self) -> SketchSpec:
        """Of all sketches."""
        return self._settings.spec

    @property
    def dtype(self) -> str:
        """How sketches are stored."""
        return self._settings.dtype

    @property
    def _index(self) -> str:
        return os.path.join(self.path, tables.NAME)

    def _connection(self) -> sqlite3.Connection:
        if self._process != os.getpid():
            wanted, got = "one that this process has opened", f"one of process {self._process}: open it anew"
            raise ValueError(f"repository: wanted {wanted}; got {got}")
        return self._handle.db

    def _writer(self) -> Writer:
        self._connection()
        if self._handle.writer is None:
            raise ValueError("repository: wanted one that was opened to write, mode='a'; got mode='r'")
        return self._handle.writer

    # ------------------------------------------------------------ one state for a reader, all or nothing for a writer

    def _reading(self, make: Callable[[sqlite3.Connection, State], Made]) -> Made:
        """What `make` makes of one state of the repository.

        A writer may meanwhile wipe rows that were deleted after that state, and compact segments away. Both show as
        damage, and the reader looks again at the state that is then; damage of a state that stays is an error.
        """
        with self._guard:
            db = self._connection()
            for left in reversed(range(TRIES)):
                with tables.damage(self._index):
                    db.execute("BEGIN")
                    try:
                        state = read_state(db)
                        return make(db, state)
                    except (RepositoryDamaged, FileNotFoundError) as e:
                        db.execute("ROLLBACK")
                        self._columns.forget()
                        if not left or read_state(db).changes == state.changes:
                            if isinstance(e, FileNotFoundError):
                                raise RepositoryDamaged(f"{e.filename}: wanted a segment; got no file") from None
                            raise
                    finally:
                        if db.in_transaction:
                            db.execute("ROLLBACK")
            raise AssertionError

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Writer]:
        with self._guard:
            writer = self._writer()
            kept = contextlib.nullcontext() if self._keeper is None else self._keeper.guarded()
            with tables.damage(self._index), kept, writer.transaction():
                yield writer

    # ------------------------------------------------------------ runs

    def add(
        self,
        runs: Runs,
        keys: str | Sequence[str] | None = None,
        metadata: Metadata | Sequence[Metadata | None] | None = None,
        *,
        objects: bool = False,
    ) -> Any:
        """Keep runs, or sketches of runs.

        Parameters
        ----------
        runs : Trace, TraceBatch, iterable of Trace, (d,) or (n, d) array_like, or PackedSketches
            Of runs an unordered sketch is kept as well, which ``search(by="order")`` looks at. Packed sketches of the
            repository's own type are kept bit by bit.
        keys : sequence of str, optional
            One a run, of 1 to 1,000 characters, that are not there yet; numbered ones if not given. For a single run
            it may be a str.
        metadata : sequence of mappings, optional
            One a run, of names to texts, numbers, booleans or None; one mapping for a single run.
        objects : bool
            Keep the runs' objects, too, for `search_objects`; those of sketches are read from them (`Sketcher.unroll`).

        Returns
        -------
        list of str, or str for a single run
            The keys.

        Raises
        ------
        ValueError, TypeError
            What `Sketcher.sketch` refuses, NaN, infinity, numbers above 1e30, a key that is there already or comes
            twice, metadata that is not plain; a repository opened to read.
        OSError
            The disk is full, or failed.

        Notes
        -----
        All of the runs are there when this returns, none after an error. Cost: sketching; the rows' bytes are written,
        with one sync of the disk for each kind of row and one for the commit, so that many runs at once are far cheaper
        than one by one.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> repository = rs.SketchRepository.open("eyes", rs.SketchSpec(64, {"eye": 2}), mode="a")
        >>> repository.add(np.eye(64)[:2], metadata=[{"kind": "left"}, {"kind": "right"}])
        ['run-00000000', 'run-00000001']
        >>> repository.add(np.ones(64), "one")
        'one'
        >>> repository.close()
        """
        found = given.runs("runs", runs, self._sketchers, self.spec)
        names = None if keys is None else given.keys("keys", keys, len(found), found.single)
        about = given.metadata(metadata, len(found), found.single)
        parts = given.parts(found, self._sketchers.of(True)) if _check.flag("objects", objects) else None
        if not len(found):
            return []
        with self._writing() as writer:
            rows = writer.numbers(len(found))
            if names is None:
                names = self._free(rows)
            self._put_rows(writer, rows, found.sketches, found.order)
            writer.put_runs(rows, names, about)
            self._place(rows, found.sketches, found.order)
            if parts is not None:
                self._put_objects(writer, rows, parts)
        return names[0] if found.single else names

    def _free(self, rows: Rows) -> list[str]:
        """A key for each row, that is not taken."""
        db, names = self._connection(), [f"run-{row:08d}" for row in rows.tolist()]
        span = (min(names), max(names))
        taken = {key for (key,) in db.execute("SELECT key FROM runs WHERE key >= ? AND key <= ?", span)}
        for i, name in enumerate(names if taken else ()):
            while name in taken or (name[-1] == "+" and lines.has(db, name)):
                name += "+"
            names[i] = name
        return names

    def _put_rows(
        self, writer: Writer, rows: Rows, run: Sketches, order: Sketches | None, at: Any = slice(None)
    ) -> None:
        """Sketches of all rows, and unordered ones of those `at` which there is one."""
        for kind, dtype in self._settings.kinds().items():
            some, sketches = (rows[at], order) if kind.startswith(ORDER) else (rows, run)
            if sketches is not None:
                writer.append(kind, dtype, some, sketches)

    def _put_objects(self, writer: Writer, runs: Rows, parts: Sequence[Parts]) -> None:
        kinds: dict[str, list[tuple[int, int, Object]]] = {}
        for i, (objects, _) in enumerate(parts):
            for k, found in enumerate(objects):
                kinds.setdefault(OBJECT + found.module, []).append((i, k, found))
        numbers = [{given.TOP: run} for run in runs.tolist()]
        for kind, members in kinds.items():
            rows = writer.numbers(len(members))
            writer.append(kind, "float32", rows, np.stack([o.attribute for _, _, o in members]))
            places = [(int(runs[i]), ".".join(map(str, o.path)), float(o.confidence)) for i, _, o in members]
            writer.put_objects(kind, rows, places)
            for (i, k, _), row in zip(members, rows.tolist(), strict=True):
                numbers[i][k] = row
        writer.put_edges("inputs", edges.inputs(numbers, parts))

    def update(
        self, key: str, run: Runs | None = None, metadata: Metadata | None = None, *, objects: bool = False
    ) -> None:
        """Put another run, or other metadata, in the place of what a key has; what is not given stays.

        Parameters
        ----------
        key : str
        run : Trace, (d,) array_like or PackedSketches of one, optional
        metadata : mapping, optional
            Instead of the old one, not beside it.
        objects : bool
            Of `run`, as of `add`.

        Raises
        ------
        KeyError
            There is no such key.
        ValueError, TypeError, OSError
            As of `add`.

        Notes
        -----
        The old sketch's bytes are overwritten with zeros, as by `delete`.
        """
        found = None if run is None else given.runs("run", run, self._sketchers, self.spec)
        if found is not None and len(found) != 1:
            raise ValueError(f"run: wanted one; got {len(found)}")
        parts = given.parts(found, self._sketchers.of(True)) if _check.flag("objects", objects) and found else None
        about = None if metadata is None else conditions.metadata("metadata", metadata)
        with self._writing() as writer:
            row, _, old = lines.of_key(self._connection(), key)
            if found is None and about is None:
                return
            rows = np.array([row])
            if found is not None:
                self._displace(rows)
                writer.drop_rows(rows)
                rows = writer.numbers(1)
                self._put_rows(writer, rows, found.sketches, found.order)
            writer.drop_runs([(row, key, old)])
            writer.put_runs(rows, [key], [old if about is None else about])
            if found is not None:
                self._place(rows, found.sketches, found.order)
            if parts is not None:
                self._put_objects(writer, rows, parts)

    def delete(self, keys: str | Sequence[str]) -> None:
        """Take runs out, and overwrite their bytes with zeros.

        Parameters
        ----------
        keys : str or sequence of str
            Each once.

        Raises
        ------
        KeyError
            A key that is not there; then nothing is deleted.
        RepositoryDamaged
            What the index says of a key or of its rows is not what was written; then, too.

        Notes
        -----
        Sketches, unordered sketches and objects are overwritten in their files at once; what `build_index` made has
        their copy in 8 bits until `compact`. Names and metadata are
        overwritten in SQLite's file; its log may hold them until no reader is open, `compact` or `close`. What a disk
        or a file system keeps of old blocks is out of reach.

        Cost: a sync of the disk a call, and one more for every segment that is written to.
        """
        several = [keys] if isinstance(keys, str) else keys
        names = given.keys("keys", several, len(several), False)
        with self._writing() as writer:
            gone = [lines.of_key(self._connection(), name) for name in names]
            rows = np.sort(np.array([row for row, _, _ in gone], np.int64))
            self._displace(rows)
            writer.drop_rows(rows)
            writer.drop_runs(gone)
        tables.empty_log(self._connection())

    def get(self, key: str) -> StoredRun:
        """What a key has.

        Raises
        ------
        KeyError
            There is no such key.
        RepositoryDamaged
            Its bytes are not those that were written.

        Notes
        -----
        Cost: one row is read.
        """

        def make(db: sqlite3.Connection, state: State) -> StoredRun:
            row, _, about = lines.of_key(db, key)
            main = one(db, self.path, RUN, row)
            if main is None:
                raise RepositoryDamaged(f"{self._index}: wanted a sketch of {_check.shown(key)}; got none")
            values, record, dtype = main
            packed = PackedSketches(values, record["scale"], record["noise"], dtype)
            order = one(db, self.path, ORDER, row)
            unordered = None if order is None else order[0].astype(np.float32) * order[1]["scale"]
            return StoredRun(key, packed, unordered, about)

        return self._reading(make)

    def __len__(self) -> int:
        return self._reading(lambda db, state: state.runs)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str) or "\0" in key:
            return False
        return self._reading(lambda db, state: lines.has(db, key))

    def __iter__(self) -> Iterator[str]:
        """All keys, in the order of their code points, as of now: later changes are not seen."""
        return iter(self._reading(lambda db, state: [key for _, key, _ in lines.all_of_them(db, state)]))

    # ------------------------------------------------------------ search

    def search(
        self,
        queries: Runs,
        k: int = 10,
        where: object = None,
        by: str = "run",
        *,
        mask: npt.ArrayLike | None = None,
        probes: int | None = None,
    ) -> Any:
        """The runs that are most like some others.

        Parameters
        ----------
        queries : Trace, TraceBatch, iterable of Trace, (d,) or (n, d) array_like, or PackedSketches
            Sketches are unordered ones for ``by="order"``.
        k : int
            How many, at least 1.
        where : mapping, or list of mappings, optional
            Conditions on metadata, applied before the search: ``{"kind": "scan", "pages": {">=": 2, "<": 10},
            "language": ["de", "fr"]}`` holds where all of the three do: a value is equal, is in a range, is one of a
            list. Of a list of such mappings one has to hold.
        by : {"run", "order"}
            "run": sketches as they are. "order": unordered sketches, to which it does not matter in which order inputs
            came; of runs that were added as runs.
        mask : (d,) or (n, d) array of bool, optional
            True where a coordinate of the queries is kept: likeness is that of these coordinates.
        probes : int, optional
            None looks at every row. A number looks at that many lists of the index that `build_index` made, and may
            miss hits; more lists take longer and miss fewer. Not together with `mask`.

        Returns
        -------
        list of Hit for one query, a list of lists for several
            At most k, the largest contrast first, of equal ones the run that was added first.

        Raises
        ------
        ValueError, TypeError
            Queries that `add` would refuse, `k` below 1, a condition that is none, ``by="order"`` with a specification
            that has no order anyway, `probes` below 1, or together with `mask`.
        RepositoryDamaged
            A row that had to be read is not as it was written.
        ImportError
            `probes` without faiss; the message says what to install.

        Warns
        -----
        RepositoryWarning
            Once, where there are `probes`, and no index that is of use: missing, damaged, of another repository, or out
            of date. All rows are looked at then.

        Notes
        -----
        Exact: every row is looked at, and nothing is missed, but with "int8+float16", where the 4 k + 8 best by int8
        are compared by float16. With `probes`, the 4 k + 8 best of some lists by 8 bits are compared as they are
        stored, beside all rows that came after the index: a contrast and a score are never approximate, and deleted
        rows are never found. Where a condition leaves too few rows, all that it leaves are looked at.

        Cost: reading all rows of the kind once, at the speed of memory, or q n d products; a quarter of them or fewer,
        if selected by `where`, are read alone. The first search after opening checks all it reads against checksums,
        and computes the mean, which takes longer than later ones. Memory: a few numbers a row, and what the system
        keeps mapped of the files.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> rows = np.random.default_rng(0).standard_normal((100, 64))
        >>> with rs.SketchRepository.open("rows", rs.SketchSpec(64, {"eye": 2}), mode="a") as repository:
        ...     keys = repository.add(rows, metadata=[{"part": i % 4} for i in range(100)])
        ...     hits = repository.search(rows[7] + 0.2, k=3, where={"part": [2, 3]})
        >>> hits[0].key, round(hits[0].score, 2), hits[0].metadata
        ('run-00000007', 0.98, {'part': 3})
        """
        base = self._base(by)
        q, known, single = queries_of(queries, self._sketchers, self.spec.dim, base, mask)
        most = _check.integer("k", k, 1, 1 << 40)
        condition = None if where is None else conditions.compiled(where)
        lists = None if probes is None else _check.integer("probes", probes, 1, 1 << 40)
        if lists and known is not None:
            raise ValueError(f"probes: wanted None with a mask, for which all rows are looked at; got {lists}")
        found = self._reading(lambda db, state: self._finder.runs(db, state, q, most, condition, base, known, lists))
        return found[0] if single else found

    def build_index(self, by: str = "run", *, lists: int | None = None) -> None:
        """Make the index that ``search(probes=)`` looks at, of all rows as they are now.

        Parameters
        ----------
        by : {"run", "order"}
            As of `search`: each has an index of its own.
        lists : int, optional
            How many lists the rows are put into, those that are alike into one; four times the square root of the
            number of rows if not given. With more lists fewer rows are looked at, and fewer hits missed where there are
            many kinds of rows; but making the index takes longer.

        Raises
        ------
        ImportError
            There is no faiss; the message says what to install.
        ValueError, TypeError
            `lists` below 1, `by` as of `search`, no rows; a repository opened to read.
        RepositoryDamaged
            A row is not as it was written.
        OSError
            The disk is full, or failed; an older index is still there.

        Notes
        -----
        The index is a file beside the others, which may be removed at any time, and which `compact` removes: it holds
        a copy of each row in 8 bits a number, of deleted ones, too, until then or until it is made anew. It is worth
        making anew once many rows came. Cost: 320 lists^2 d products of k-means and lists n d to put rows into lists,
        which is minutes for a million rows of 1,024; memory, while it is made, of 2 d bytes a row, and d bytes a row in
        each process that uses it.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> spec, rng = rs.SketchSpec(64, {"eye": 2}), np.random.default_rng(0)
        >>> kinds = rng.standard_normal((20, 64))
        >>> with rs.SketchRepository.open("kinds", spec, mode="a") as repository:  # doctest: +SKIP
        ...     keys = repository.add(np.repeat(kinds, 50, axis=0) + rng.standard_normal((1000, 64)) / 4)
        ...     repository.build_index()
        ...     [hit.key for hit in repository.search(kinds[7], k=2, probes=4)]
        """
        base = self._base(by)
        count = None if lists is None else _check.integer("lists", lists, 1, 1 << 30)
        with self._guard:
            writer = self._writer()
            identity, threads = self._settings.identity, self._finder.threads
            made = self._reading(lambda db, state: build(self._columns.at(db, state, base), identity, count, threads))
            writer.put_index(base, made)

    def related(self, key: str, k: int = 10, where: object = None, by: str = "run") -> list[Hit]:
        """The runs that are most like one that is there, itself left out.

        Parameters
        ----------
        key : str
        k, where, by
            As of `search`.

        Raises
        ------
        KeyError
            There is no such key.
        ValueError, TypeError, RepositoryDamaged
            As of `search`; a run without unordered sketch for ``by="order"``.
        """
        base, most = self._base(by), _check.integer("k", k, 1, 1 << 40)
        condition = None if where is None else conditions.compiled(where)

        return self._reading(lambda db, state: self._finder.related(db, state, key, most, condition, base))

    def search_objects(self, module: str, attribute: npt.ArrayLike, k: int = 10, where: object = None) -> list[Hit]:
        """The runs that contain an object most like one, and at which path.

        Parameters
        ----------
        module : str
        attribute : (a,) array_like
        k : int
            Runs, at least 1.
        where
            As of `search`, of the runs.

        Returns
        -------
        list of Hit
            One a run, with the `path` of its best object, the largest contrast of attributes first.

        Raises
        ------
        ValueError, TypeError
            A module that the specification does not have, an attribute of another length, NaN, `k` below 1, a condition
            that is none.
        RepositoryDamaged
            As of `search`.

        Notes
        -----
        Of runs that were added with ``objects=True``. Attributes are compared by their direction, exactly as they were
        given or read. Cost: as of `search`, with the module's objects for rows and its attributes' length for d.
        """
        _check.choice("module", module, self.spec.modules)
        length = self.spec.modules[module]
        what = f"a vector of {length} numbers"
        x = _check.finite("attribute", _check.floats("attribute", attribute, what, (length,)))
        most = _check.integer("k", k, 1, 1 << 40)
        condition = None if where is None else conditions.compiled(where)
        return self._reading(lambda db, state: self._finder.objects(db, state, module, x, most, condition))

    def graph(self, k: int = 5, least: float = 0.3, where: object = None) -> Graph:
        """The knowledge graph: runs, what they are made of, and which are alike.

        Parameters
        ----------
        k : int
            How many of the most alike each run is linked with, 0 to 10.
        least : float
            Contrast from which on runs are linked, from -1 to 1.
        where : mapping, or list of mappings, optional
            As of `search`: these runs alone, and links between them. The most alike are those of all runs.

        Returns
        -------
        Graph
            Objects are those of runs that were added with ``objects=True``.

        Raises
        ------
        ValueError, TypeError
            `k` or `least` out of range, a condition that is none.
        RepositoryDamaged
            As of `search`; or edges that are not as they were written.
        OSError
            As of `add`, of a repository that was opened to write.

        Notes
        -----
        Uses of objects are kept by `add`. Which runs are alike is found out here, of runs that came since, by one pass
        over all sketches, as by `search`: exactly, in float32. A repository that was opened to write keeps it for the
        next time; when its rows have doubled, or were compacted after a deletion, it is found out anew, with n^2 d
        products. Between these, contrasts are those of `related` at the time they were found out: its mean may have
        moved a little since.

        Cost: every line of the index is read, and a few hundred bytes of memory for a run, an object and an edge each.
        With ``k=0`` no sketch is read.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> rows = np.random.default_rng(0).standard_normal((4, 64))
        >>> with rs.SketchRepository.open("four", rs.SketchSpec(64, {"eye": 2}), mode="a") as repository:
        ...     keys = repository.add(rows[[0, 1, 2, 0]] + rows[[0, 1, 2, 3]] / 4)
        ...     print(repository.graph(k=1, least=0.9))
        Graph: 4 runs; 0 INPUT, 0 INSTANCE_OF, 2 SIMILAR
        """
        most = _check.integer("k", k, 0, NEAREST)
        from_ = _check.number("least", least, "a number from -1 to 1", math.nextafter(-1, -2), 1.0)
        condition = None if where is None else conditions.compiled(where)
        if most and self._handle.writer is not None:
            self._link()

        def make(db: sqlite3.Connection, state: State) -> Graph:
            links = None
            if most:
                links, _ = linking.links(db, self._columns.at(db, state, RUN), self.spec.dim)
                while len(links.due):
                    links.find(links.due[: linking.TOGETHER])
            modules = list(self.spec.modules)
            return graph_making.graph(db, state, modules, selected(db, condition), links, most, from_)

        return self._reading(make)

    def _link(self) -> None:
        """Find which runs are alike, of those for which it is not known, and keep it."""
        with self._guard:
            links, anew = self._reading(
                lambda db, state: linking.links(db, self._columns.at(db, state, RUN), self.spec.dim)
            )
            while len(links.due):
                some = links.due[: linking.TOGETHER]
                with self._writing() as writer:
                    if anew:
                        writer.drop_links()
                        writer.put_centre(*links.centre)
                    writer.put_edges("near", links.lines(links.find(some)))
                anew = False

    def _base(self, by: str) -> str:
        _check.choice("by", by, (RUN, ORDER))
        if by == ORDER and not self.spec.ordered:
            raise ValueError("by: wanted 'run', since the specification has no order anyway; got 'order'")
        return by

    # ------------------------------------------------------------ concepts

    @property
    def _compared(self) -> str:
        """The kind of rows that concepts are groups of: those to which order does not matter."""
        return ORDER if self.spec.ordered else RUN

    def _keep_concepts(self, wanted: bool) -> None:
        db = self._connection()
        keeper = concepts_of.Keeper(db, self.path, self._compared, self.spec.dim)
        with tables.damage(self._index):
            if not concepts_of.is_kept(db):
                if not wanted:
                    return
                with self._writer().transaction():
                    keeper.begin()
        self._keeper = keeper

    def _place(self, rows: Rows, run: Sketches, order: Sketches | None, at: Any = slice(None)) -> None:
        """Runs that were added find their concepts."""
        some, sketches = (rows[at], order) if self.spec.ordered else (rows, run)
        if self._keeper is not None and sketches is not None:
            self._keeper.add(some, as_stored(sketches, self._settings.kinds()[self._compared]))

    def _displace(self, rows: Rows) -> None:
        """Runs that go leave their concepts."""
        if self._keeper is not None:
            self._keeper.drop(rows)

    def _told(self, make: Callable[[sqlite3.Connection, State], Made]) -> Made:
        """`_reading`, of a repository that has concepts."""

        def made(db: sqlite3.Connection, state: State) -> Made:
            if not concepts_of.is_kept(db):
                raise ValueError("concepts: wanted a repository that was opened with concepts=True; got another")
            return make(db, state)

        return self._reading(made)

    def concepts(self) -> list[Concept]:
        """Kinds of runs that emerged, in the order of their numbers.

        Returns
        -------
        list of Concept
            Those that live; none as long as `warming` is not 0.

        Raises
        ------
        ValueError
            Nobody has asked for concepts yet: `open` with ``concepts=True``.
        RepositoryDamaged
            As of `search`.

        Notes
        -----
        Of runs that were added as runs, or of all in a repository of unordered sketches: runs are compared whatever the
        order of inputs. How concepts come to be is told in docs/repository.md, "Concepts".

        Cost: a line for each member, and up to 128 rows a concept.

        Examples
        --------
        >>> import numpy as np
        >>> import recsketch as rs
        >>> spec = rs.SketchSpec(64, {"eye": 2}, ordered=False)
        >>> rng = np.random.default_rng(0)
        >>> kinds = np.array([[1], [-1]]) * np.ones(64)
        >>> with rs.SketchRepository.open("kinds", spec, mode="a", concepts=True) as repository:
        ...     keys = repository.add(kinds[rng.integers(0, 2, 600)] + rng.standard_normal((600, 64)))
        ...     found = repository.concepts()
        ...     [(concept.id, concept.age, concept.prototype.shape) for concept in found]
        ...     for event in repository.events():
        ...         print(event)
        [(0, 88, (64,)), (1, 88, (64,))]
        after 512 runs: concept 0 born
        after 512 runs: concept 1 born
        """
        return self._told(lambda db, state: concepts_of.concepts(db, self._columns.at(db, state, RUN)))

    @property
    def warming(self) -> int:
        """How many more runs are wanted before there are concepts; 0 from then on.

        Raises
        ------
        ValueError, RepositoryDamaged
            As of `concepts`.
        """
        return self._told(lambda db, state: concepts_of.warming(db))

    def events(self, since: int = 0) -> list[ConceptEvent]:
        """What happened to concepts, in order.

        Parameters
        ----------
        since : int
            The number of the first event that is wanted: one more than the last that is known.

        Raises
        ------
        ValueError, RepositoryDamaged
            As of `concepts`; `since` below 0.
        """
        first = _check.integer("since", since, 0, 1 << 62)
        return self._told(lambda db, state: concepts_of.events(db, first))

    def concept_of(self, key: str) -> int | None:
        """The number of the concept that a run belongs to; None if it belongs to none.

        Raises
        ------
        KeyError
            There is no such key.
        ValueError, RepositoryDamaged
            As of `concepts`.
        """
        return self._told(lambda db, state: concepts_of.of_row(db, lines.of_key(db, key)[0]))

    # ------------------------------------------------------------ upkeep

    def compact(self) -> int:
        """Write all runs anew, without the room that deleted ones left, to a new generation of files.

        Returns
        -------
        int
            Bytes by which the folder is smaller.

        Raises
        ------
        RepositoryDamaged
            A row is not as it was written; everything stays as it is.
        OSError
            The disk is full: the new generation needs room beside the old one.

        Notes
        -----
        Readers that are at work go on with the old generation. Afterwards nothing of what was deleted is in any file,
        but for SQLite's log where a reader is open; closing empties that. What `build_index` made is removed. Cost: all
        rows are read, checked, written.
        """
        with self._guard:
            self._writer()
            before = self._size()
            columns = Columns(self.path, self._settings.identity)
            with tables.damage(self._index):
                columns.at(self._connection(), read_state(self._connection()), RUN)
                self._writer().compact(columns)
            self._columns.forget()
            return before - self._size()

    def check(self) -> RepositoryCheck:
        """Compare every byte that counts with its checksum, and every table with the others.

        Returns
        -------
        RepositoryCheck

        Notes
        -----
        Nothing is changed. Cost: everything is read once.
        """
        with self._guard:
            db = self._connection()
            db.execute("BEGIN")
            try:
                return check(db, self.path, self._settings, self._size())
            finally:
                db.execute("ROLLBACK")

    def _size(self) -> int:
        return sum(entry.stat().st_size for entry in os.scandir(self.path) if entry.is_file())

    def export(self, path: File, form: str | None = None) -> None:
        """Write all runs to one file, in the order of keys (docs/format.md, "Repositories").

        Parameters
        ----------
        path : str, os.PathLike or binary file object
        form : {"npz", "parquet"}, optional
            If not given, Parquet where the name ends in .parquet, and npz otherwise.

        Raises
        ------
        ImportError
            Parquet without pyarrow; the message says what to install.
        RepositoryDamaged
            A row is not as it was written.

        Notes
        -----
        Sketches are written as they are stored, bit by bit, and objects with their uses. Cost: memory for all of it.
        """
        if form is None:
            form = "parquet" if str(getattr(path, "name", path)).lower().endswith(".parquet") else "npz"
        if _check.choice("form", form, ("npz", "parquet")) == "npz":
            save(path, self.spec, self._reading(self._table))
        else:
            parquet.save(path, self.spec, self._reading(self._table), self._settings.kinds()[RUN])

    def _table(self, db: sqlite3.Connection, state: State) -> Table:
        found = lines.all_of_them(db, state)
        rows = np.array([row for row, _, _ in found], np.int64)
        run, order = (self._columns.at(db, state, kind).packed(rows) for kind in (RUN, ORDER))
        made = parts_of.read(db, self._columns, state, rows)
        return Table([key for _, key, _ in found], [about for _, _, about in found], run, order, made)

    def import_(self, path: File) -> list[str]:
        """Add the runs of a file that `export` wrote.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
            npz or Parquet, which its first bytes tell.

        Returns
        -------
        list of str
            Their keys.

        Raises
        ------
        ValueError
            Another file, a damaged or hostile one, sketches of another specification, keys that are there already.
        ImportError
            As of `export`.

        Notes
        -----
        All of them are there when this returns, none after an error. Cost: memory for all of the file.
        """
        source, tabular = parquet.peeked(path)
        spec, table = parquet.load(source) if tabular else load(source)
        same_spec(self.spec, spec)
        if table.run is None:  # of no run
            return []
        at, order = table.order or (slice(None), None)
        with self._writing() as writer:
            rows = writer.numbers(len(table.keys))
            self._put_rows(writer, rows, table.run[1], order, at)
            writer.put_runs(rows, table.keys, table.metadata)
            have = [i for i, parts in enumerate(table.parts) if parts is not None]
            self._put_objects(writer, rows[have], [parts for parts in table.parts if parts is not None])
            self._place(rows, table.run[1], order, at)
        return table.keys
