"""Writes tests/fixtures: run by hand, from this directory, when a format gets a new number and never otherwise.

    python make_fixtures.py

The files of older formats stay, so that tests/test_fixtures.py goes on reading them. What is stored is made of integers
and fractions of them alone, so that every machine and every version writes the same numbers.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import recsketch as rs
import recsketch._npz as _npz
from recsketch.cli.files import write_sketches
from recsketch.learning.dictionary import Columns, Events, Masks
from recsketch.learning.strings.layout import Layout
from recsketch.populations.changes.monitor import Monitor

HERE = Path(__file__).resolve().parent / "fixtures"
DTYPES = ("float32", "float16", "bfloat16", "int8")


def spec() -> rs.SketchSpec:
    """Every parameter away from its default."""
    return rs.SketchSpec(
        64,
        {"page": 2, "ä b": 3},
        seed=2**64 - 1,
        max_inputs=5,
        angle=30.0,
        rotation="hadamard",
        attributes="linear",
        weighting="linear",
        balance=0.75,
        spread=0.25,
        ordered=False,
        scaling="paper",
        scales={"page": 0.5},
        centres={"ä b": [0.5, 0, -2]},
        wiring={None: ["page", "ä b"], "page": ["ä b"]},
        signature=4,
    )


def traces() -> rs.TraceBatch:
    """One of shared and repeated inputs, one of a single object."""
    first, second = rs.Trace(), rs.Trace()
    a, b = first.add("ä b", [1, 2, 3]), first.add("ä b", [-0.5, 0, 0.25])
    first.outputs([first.add("page", [4, 5], inputs=[a, b, a], weights=[1, 2, 0.5]), b], weights=[3, 1])
    second.outputs([second.add("page", [6, 7])])
    return rs.TraceBatch.from_traces([first, second])


def labelled() -> rs.TraceBatch:
    """The same runs with ids and times."""
    return rs.TraceBatch.from_traces(
        traces(), ids=["ä 1", ""], times=np.array(["2026-02-28T23:59:59.000001", "NaT"], "M8[us]")
    )


def sketches() -> np.ndarray[Any, Any]:
    return (np.arange(128, dtype=np.float32).reshape(2, 64) - 40) / 8


def packed(dtype: str) -> rs.PackedSketches:
    """Not by `pack`, whose noise is a sum of roundings."""
    x = sketches()
    values = {
        "float32": x,
        "float16": x.astype(np.float16),
        "bfloat16": (x.view(np.uint32) >> 16).astype(np.uint16),
        "int8": np.arange(-64, 64, dtype=np.int8).reshape(2, 64),
    }
    return rs.PackedSketches(values[dtype], [0.5, 2.0], [0.25, 0.0], dtype)


def monitor() -> Monitor:
    """Before its first block, whose evidence would be made of exponentials."""
    reference = np.random.RandomState(7).randint(0, 9, (128, 2)) / 8  # whose numbers no version of NumPy changes
    reference[5, 1] = np.nan
    return Monitor(reference, 50, ["page count", "ä b"], alpha=0.125, weights={"ä b": 0.25}, seed=2**64 - 1)


def dictionary() -> rs.Dictionary:
    """Of two modules, one of which has a name; with masks and operators, and a column that is doubtful."""
    layout = Layout(1024, 32, 5, 10, 16, 31, 0)
    place = np.arange(32)

    def columns(tag: int, indices: list[int]) -> Columns:
        index, rows = np.array(indices), np.array([[k % 16, 16 + 3 * k % 16] for k in range(len(indices))])
        codes = layout.write(tag, np.repeat(index[:, None], 2, axis=1), rows)[0]
        return Columns(tag, index, rows, codes, rows + 3, np.arange(1, 1 + len(index)) / 8)

    named = {"ä b": columns(layout.tag("ä b"), [0, 2, 1023]), 77: columns(77, [5, 1023])}
    masks = {("branch", "attr"): 3, ("branch", "in"): 6, ("position", 0): 12, ("module", "ä b"): 5, ("module", 77): 9}
    below = (("position", 0), ("module", "ä b"), ("branch", "in"), ("position", 0))
    paths = {"ä b": (((("position", 0),), 1.0),), 77: ((below, 0.75),)}
    signs = {q: np.where(place < place ^ m, 1, -1).astype(np.int8) for q, m in masks.items()}
    signs["branch", "in"] *= 0
    numbers = np.array([0, 3])
    events = Events(
        numbers, np.array([0, 2, 3]), place[:3], place[3:6], np.array([0, 1, 0]), np.array([0, 5, 1023]),
        np.array([0.5, -2.0, 1.0], np.float32),
    )  # fmt: skip
    about = {"columns": "", "masks": "", "operators": ""}
    found = Masks(60.0, masks, paths, {"ä b": 0.5, 77: 0.25}, {"ä b": 0.125, 77: 0.0})
    return rs.Dictionary(1024, 32, 2, 5, named, (("ä b", 7), (78, 1)), events, 0.25, found, signs, about)


REPOSITORY = rs.SketchSpec(64, {"page": 2, "ä b": 3}, seed=7)


def repository(folder: Path) -> None:
    """With a run that was deleted and one that was changed, one of sketches and one of a run, and objects."""
    with rs.SketchRepository.open(folder, REPOSITORY, mode="a", dtype="int8+float16") as r:
        r.add(sketches(), ["a", "ä"], [{"text": "b", "whole": 3, "part": 0.5, "yes": True, "none": None}, {"whole": 4}])
        r.add(traces(), ["run", "gone"], objects=True)
        r.delete("gone")
        r.update("ä", sketches()[0] + 1)


def zipped(folder: Path, to: Path) -> None:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)


def main() -> None:
    folder = HERE / f"format-{_npz.FORMAT}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(spec().to_json() + "\n", encoding="utf-8", newline="\n")
    traces().save(folder / "traces.npz")
    labelled().save(folder / "traces-labelled.npz")
    for dtype in DTYPES:
        packed(dtype).save(folder / f"packed-{dtype}.npz")
    dictionary().save(folder / "dictionary.npz")
    packed("int8")[1].save(folder / "packed-one.npz")
    monitor().save(folder / "monitor.npz")
    with open(folder / "sketches.npz", "wb") as file:
        write_sketches(file, spec(), sketches())
    with tempfile.TemporaryDirectory() as place:
        repository(Path(place) / "r")
        zipped(Path(place) / "r", folder / "repository.zip")


if __name__ == "__main__":
    main()
