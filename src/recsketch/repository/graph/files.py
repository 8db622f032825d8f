"""A graph as node-link JSON, GraphML and a page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from recsketch.runs.drawing import printable
from recsketch.views import palette

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.repository.graph.graph import Graph

LISTED = 50  # members of a group in the list of a page without its script

_VALUE = ("weight", "probability", "contrast")  # what `values` are, by kind


def nodes(graph: Graph) -> Iterator[tuple[str, str]]:
    """Name and kind of each node."""
    for name, kind in zip(graph.nodes.tolist(), graph.node_kinds.tolist(), strict=True):
        yield name, graph.NODES[kind]


def edges(graph: Graph) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Names of both ends, a key among edges of the same ends, and what there is to say of each edge."""
    names = graph.nodes.tolist()
    columns = (graph.sources, graph.targets, graph.edge_kinds, graph.values, graph.positions, graph.scores)
    for source, target, kind, value, position, score in zip(*(x.tolist() for x in columns), strict=True):
        about: dict[str, Any] = {"kind": graph.EDGES[kind], _VALUE[kind]: value}
        key = graph.EDGES[kind]
        if kind == graph.INPUT:
            about["position"] = position
            key = f"{key}/{position}"
        elif kind == graph.SIMILAR:
            about["score"] = score
        yield names[source], names[target], key, about


def json_text(graph: Graph) -> str:
    """Node-link JSON."""
    made = {
        "directed": True,
        "multigraph": True,
        "graph": {},
        "nodes": [{"id": name, "kind": kind} for name, kind in nodes(graph)],
        "edges": [{"source": a, "target": b, "key": key, **about} for a, b, key, about in edges(graph)],
    }
    return json.dumps(made, allow_nan=False)


def write_graphml(graph: Graph, file: BinaryIO) -> None:
    """GraphML, numbers for ids."""
    file.write(_GRAPHML_HEAD.encode())
    for i, (name, kind) in enumerate(nodes(graph)):
        text = f'<node id="n{i}"><data key="name">{_xml(name)}</data><data key="kind">{kind}</data></node>\n'
        file.write(text.encode())
    ends = zip(graph.sources.tolist(), graph.targets.tolist(), edges(graph), strict=True)
    for i, (source, target, (*_, about)) in enumerate(ends):
        said = "".join(f'<data key="edge {name}">{value}</data>' for name, value in about.items())
        file.write(f'<edge id="e{i}" source="n{source}" target="n{target}">{said}</edge>\n'.encode())
    file.write(b"</graph>\n</graphml>\n")


_TYPES = {"kind": "string", "weight": "double", "position": "int"}
_TYPES |= dict.fromkeys(("probability", "contrast", "score"), "double")
_GRAPHML_HEAD = "\n".join(
    [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
        *(f'<key id="{x}" for="node" attr.name="{x}" attr.type="string"/>' for x in ("name", "kind")),
        *(f'<key id="edge {x}" for="edge" attr.name="{x}" attr.type="{t}"/>' for x, t in _TYPES.items()),
        '<graph edgedefault="directed">\n',
    ]
)


def _xml(text: str) -> str:
    """A text as XML 1.0 can hold it: what it cannot as escapes, and backslashes doubled, so that no two become one."""
    if text.isalnum():
        return text
    return "".join(_XML.get(c, c) if c in _XML or c.isprintable() else _character(c) for c in text)


_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "\\\\", **{c: f"&#{ord(c)};" for c in "\t\n\r"}}


def _character(c: str) -> str:
    legal = c >= " " and c not in "\ufffe\uffff" and not "\ud800" <= c <= "\udfff"
    return f"&#{ord(c)};" if legal else c.encode("unicode_escape").decode()


def html_text(graph: Graph, first: int, most: int) -> str:
    """A page of at most so many nodes, the nearest to `first`, which is shown first."""
    import html  # its table of entities takes long to load

    kept = _nearest(graph, first, most)
    inside = np.isin(graph.sources, kept) & np.isin(graph.targets, kept)
    names = graph.nodes[kept].tolist()
    owners, labels = _labels(graph, kept)
    data = {
        "about": printable(_about(graph, first, len(kept))),
        "nodes": graph.NODES,
        "edges": graph.EDGES,
        "first": int(np.searchsorted(kept, first)),
        "names": [printable(name) for name in names],
        "labels": [printable(label) for label in labels],
        "owners": owners,
        "kinds": graph.node_kinds[kept].tolist(),
        "sources": np.searchsorted(kept, graph.sources[inside]).tolist(),
        "targets": np.searchsorted(kept, graph.targets[inside]).tolist(),
        "edgeKinds": graph.edge_kinds[inside].tolist(),
        "values": np.round(graph.values[inside], 4).tolist(),
        "positions": graph.positions[inside].tolist(),
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", r"\u003c")  # so that no name ends the script
    folder = resources.files("recsketch.repository.graph")
    script = (folder / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "@HASH@": f"sha256-{digest}",
        "@LIGHT@": palette.variables(palette.LIGHT),
        "@DARK@": palette.variables(palette.DARK),
        "@ABOUT@": html.escape(data["about"]),
        "@LIST@": _listed(data),
        "@DATA@": text,
        "@SCRIPT@": script,
    }
    page = (folder / "page.html").read_text("utf-8")
    return re.sub("|".join(parts), lambda found: parts[found[0]], page)


def _listed(data: dict[str, Any]) -> str:
    """What the first node is connected with, for who has no script: two levels of what it is made of, and the rest."""
    import html

    if not data["names"]:
        return "<p>There is nothing in it.</p>"
    first = data["first"]
    edges = list(zip(data["sources"], data["targets"], data["edgeKinds"], data["values"], strict=True))
    below: dict[int, list[tuple[int, float]]] = {}
    for source, target, kind, value in edges:
        if kind == 0:
            below.setdefault(source, []).append((target, value))

    def line(i: int, value: float | None = None) -> str:
        said = "" if value is None else f" <small>{value:.2f}</small>"
        kind = data["nodes"][data["kinds"][i]]
        return f'<span class="{kind}">{kind}</span> {html.escape(data["labels"][i])}{said}'

    def tree(i: int, value: float | None, depth: int) -> str:
        inputs = below.get(i, [])
        if not inputs or not depth:
            return f"<li>{line(i, value)}</li>"
        items = "".join(tree(j, w, depth - 1) for j, w in inputs)
        return f"<li><details open><summary>{line(i, value)}</summary><ul>{items}</ul></details></li>"

    words = {
        (1, 0): "instance of",
        (1, 1): "instances",
        (2, 0): "similar to",
        (2, 1): "similar from",
        (0, 1): "part of",
    }
    out = [f'<h2>{line(first)}</h2><ul aria-label="made of">{tree(first, None, 3)}</ul>']
    for (kind, way), said in words.items():
        ends = [(s, v) if way else (t, v) for s, t, k, v in edges if k == kind and (t if way else s) == first]
        if ends:
            items = "".join(f"<li>{line(j, value)}</li>" for j, value in ends[:LISTED])
            more = f"<li>… ({len(ends) - LISTED} more)</li>" if len(ends) > LISTED else ""
            out.append(f"<details open><summary>{said} ({len(ends)})</summary><ul>{items}{more}</ul></details>")
    return "\n".join(out)


def _about(graph: Graph, first: int, here: int) -> str:
    all_of_it = here == len(graph.nodes)
    return str(graph) + ("" if all_of_it else f". Here are the {here:,} nodes nearest to {graph.nodes[first]}")


def _nearest(graph: Graph, first: int, most: int) -> npt.NDArray[np.int64]:
    """Nodes at the fewest edges from one, then all others as long as there is room; ascending.

    Modules and concepts lead nowhere on this way: by them all is near to all.
    """
    n = len(graph.nodes)
    ends = np.concatenate([graph.sources, graph.targets])
    others = np.concatenate([graph.targets, graph.sources])
    order = np.argsort(ends, kind="stable")
    start = np.searchsorted(ends[order], np.arange(n + 1))
    found = dict.fromkeys([first][:n])
    waiting = list(found)
    for i in waiting:  # which grows
        if graph.node_kinds[i] < graph.MODULE or i == first:
            for j in others[order[start[i] : start[i + 1]]].tolist():
                if j not in found:
                    found[j] = None
                    waiting.append(j)
        if len(found) >= most:
            break
    else:
        found |= dict.fromkeys(range(n))
    return np.array(sorted(list(found)[:most]), np.int64)


def _labels(graph: Graph, kept: npt.NDArray[np.int64]) -> tuple[list[int], list[str]]:
    """The number of each object's run, -1 of what is no object; and short names: an object's module and path."""
    names = graph.nodes.tolist()
    place = {i: k for k, i in enumerate(kept.tolist())}
    instance = graph.edge_kinds == graph.INSTANCE_OF
    module = dict(zip(graph.sources[instance].tolist(), graph.targets[instance].tolist(), strict=True))
    runs = {name: i for i, (name, kind) in enumerate(nodes(graph)) if kind == "run"}
    owners, labels = [], []
    for i in place:
        kind, _, rest = names[i].partition(":")
        key, _, path = rest.rpartition("/")
        owners.append(place.get(runs[f"run:{key}"], -1) if kind == "object" else -1)
        labels.append(f"{names[module[i]].partition(':')[2]} at {path}" if kind == "object" else rest)
    return owners, labels
