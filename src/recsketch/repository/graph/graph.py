"""The knowledge graph of a repository, in arrays, and the forms in which others read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import recsketch._check as _check
import recsketch.repository.graph.files as graph_files
from recsketch._files import File, written
from recsketch._values import Record

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Graph(Record):
    """Runs, what they are made of, and which are alike. Two are equal if all fields are.

    Attributes
    ----------
    nodes : (n,) array of str
        Names: ``run:KEY``, ``object:KEY/PATH``, ``module:NAME`` and ``concept:ID``. A path is that of `Hit.path`, its
        positions joined by points.
    node_kinds : (n,) uint8
        RUN, OBJECT, MODULE or CONCEPT of each. Nodes are in that order; runs in the order of keys.
    sources, targets : (m,) int64
        Numbers of nodes that edges lead from and to.
    edge_kinds : (m,) uint8
        INPUT, from a run to its outputs and from an object to its inputs; INSTANCE_OF, from an object to its module and
        from a run to its concept; SIMILAR, from a run to one of the runs that are most like it.
    values : (m,) float64
        Of INPUT the weight, a share of the tuple (with "count" weighting as it was given); of INSTANCE_OF the
        probability; of SIMILAR the contrast, as of `Hit`.
    positions : (m,) int32
        Of INPUT, from 0; -1 of others.
    scores : (m,) float64
        Of SIMILAR the cosine, as of `Hit`; NaN of others.

    Notes
    -----
    RUN, OBJECT, MODULE, CONCEPT and INPUT, INSTANCE_OF, SIMILAR are the numbers from 0, in this order.

    Examples
    --------
    >>> import numpy as np
    >>> import recsketch as rs
    >>> run = rs.Trace()
    >>> run.outputs([run.add("page", [1.0, 0.0], [run.add("word", np.eye(8)[w]) for w in (3, 5)])])
    >>> with rs.SketchRepository.open("pages", rs.SketchSpec(256, {"word": 8, "page": 2}), mode="a") as repository:
    ...     key = repository.add(run, "one", objects=True)
    ...     graph = repository.graph()
    >>> print(graph)
    Graph: 1 run, 3 objects, 2 modules; 3 INPUT, 3 INSTANCE_OF, 0 SIMILAR
    >>> inputs = graph.edge_kinds == graph.INPUT
    >>> for source, target in zip(graph.sources[inputs], graph.targets[inputs]):
    ...     print(graph.nodes[source], "has", graph.nodes[target])
    run:one has object:one/0
    object:one/0 has object:one/0.0
    object:one/0 has object:one/0.1
    """

    nodes: npt.NDArray[Any]
    node_kinds: npt.NDArray[np.uint8]
    sources: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    edge_kinds: npt.NDArray[np.uint8]
    values: npt.NDArray[np.float64]
    positions: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]

    NODES: ClassVar[tuple[str, ...]] = ("run", "object", "module", "concept")
    EDGES: ClassVar[tuple[str, ...]] = ("INPUT", "INSTANCE_OF", "SIMILAR")
    RUN: ClassVar[int] = 0
    OBJECT: ClassVar[int] = 1
    MODULE: ClassVar[int] = 2
    CONCEPT: ClassVar[int] = 3
    INPUT: ClassVar[int] = 0
    INSTANCE_OF: ClassVar[int] = 1
    SIMILAR: ClassVar[int] = 2

    def __str__(self) -> str:
        nodes = np.bincount(self.node_kinds, minlength=len(self.NODES)).tolist()
        edges = np.bincount(self.edge_kinds, minlength=len(self.EDGES)).tolist()
        named = [_check.count(n, kind) for n, kind in zip(nodes, self.NODES, strict=True) if n]
        counted = [f"{n:,} {kind}" for n, kind in zip(edges, self.EDGES, strict=True)]
        return f"Graph: {', '.join(named) or 'empty'}; {', '.join(counted)}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def number(self, key: str) -> int:
        """The number of a run's node.

        Raises
        ------
        KeyError
            There is no such run.
        """
        found = np.flatnonzero(self.nodes[self.node_kinds == self.RUN] == f"run:{key}")
        if not len(found):
            raise KeyError(f"key: wanted one of the graph's; got {_check.shown(key)}")
        return int(found[0])

    def to_networkx(self) -> Any:
        """As a networkx.MultiDiGraph.

        Returns
        -------
        networkx.MultiDiGraph
            Nodes are names, with `kind`; edges have `kind` and their numbers: `position` and `weight`, `probability`,
            or `contrast` and `score`. Their keys tell edges between the same two nodes apart.

        Raises
        ------
        ImportError
            networkx is not there; the message says what to install.
        """
        try:
            import networkx
        except ImportError:
            raise ImportError("to_networkx: wanted networkx, of pip install 'recsketch[graph]'; got none") from None
        made = networkx.MultiDiGraph()
        made.add_nodes_from((name, {"kind": kind}) for name, kind in graph_files.nodes(self))
        made.add_edges_from((source, target, key, about) for source, target, key, about in graph_files.edges(self))
        return made

    def to_json(self) -> str:
        """As node-link JSON, which ``networkx.node_link_graph(json.loads(text), edges="edges")`` reads.

        Returns
        -------
        str
            `directed`, `multigraph`, `graph`, `nodes` with `id` and `kind`, and `edges` with `source`, `target`, `key`
            and what `to_networkx` says of them.
        """
        return graph_files.json_text(self)

    def to_graphml(self, path: File) -> None:
        """Write GraphML, which Gephi, yEd, igraph and networkx read.

        Parameters
        ----------
        path : str, os.PathLike or binary file object

        Notes
        -----
        Nodes are numbered, and have their names as `name`. XML cannot hold all characters: those that it cannot are
        written as ``\\x01`` or ``\\ufffe``, and a backslash of a name as two, so that different names stay different.
        """
        with written(path) as file:
            graph_files.write_graphml(self, file)

    def to_html(self, path: File, key: str | None = None, most: int = 1000) -> None:
        """Write a page that shows the neighbourhood of one node at a time, and leads from each to the next.

        Parameters
        ----------
        path : str, os.PathLike or binary file object
        key : str, optional
            Of the run that is shown first; the first run if not given.
        most : int
            Nodes, at least 1: the nearest to that run. Others are left out, which the page says.

        Raises
        ------
        KeyError
            There is no such run.
        ValueError, TypeError
            `most` is below 1.

        Notes
        -----
        The page is one file, and fetches nothing. Names cannot become markup or script in it.
        """
        count = _check.integer("most", most, 1, 1 << 40)
        first = 0 if key is None else self.number(key)
        text = graph_files.html_text(self, first, count)
        with written(path) as file:
            file.write(text.encode())
