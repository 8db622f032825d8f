"""Dictionaries in files, beside specifications, and as text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_dictionary import LENGTH, LEVELS, sketches

import recsketch as rs
import recsketch._npz as _npz
from recsketch.learning.saved import ARRAYS, arrays_of, made_of


@pytest.fixture(scope="module")
def learned() -> tuple[rs.SketchSpec, Any, rs.Dictionary]:
    true, y = sketches(LEVELS[:1], 400, dim=2048)
    return true, y, rs.learn_dictionary(y, names=["b"])


@pytest.fixture(scope="module")
def kinds(learned: tuple[rs.SketchSpec, Any, rs.Dictionary]) -> dict[str, rs.Dictionary]:
    _, y, d = learned
    few = rs.learn_dictionary(y[:60], names=["a", "b"])
    return {
        "operators": d,
        "few": few,
        "columns": rs.learn_dictionary(y, operators=False),
        "nothing": rs.learn_dictionary(np.random.default_rng(0).standard_normal((5, 1024))),
        "deep": rs.learn_dictionary(sketches(LEVELS, 300, dim=4096)[1], names=["a", "b", "c"]),
        "64": rs.learn_dictionary(sketches(LEVELS[:1], 200, dim=4096, block_size=64)[1], names=["ä", "b", "a"]),
    }


def test_what_is_saved_is_loaded(kinds: dict[str, rs.Dictionary], tmp_path: Path) -> None:
    assert kinds["operators"].operators is not None
    assert kinds["columns"].masks is None
    for name, d in kinds.items():
        d.save(tmp_path / f"{name}.npz")
        back = rs.Dictionary.load(tmp_path / f"{name}.npz")
        assert back == d
        assert str(back) == str(d)
        again = io.BytesIO()
        back.save(again)
        assert again.getvalue() == (tmp_path / f"{name}.npz").read_bytes()
    assert kinds["operators"] != kinds["columns"]
    assert set(arrays_of(kinds["deep"])) == ARRAYS


def test_a_loaded_dictionary_reads(learned: tuple[rs.SketchSpec, Any, rs.Dictionary]) -> None:
    _, y, d = learned
    file = io.BytesIO()
    d.save(file)
    file.seek(0)
    assert rs.Dictionary.load(file).read(y[:5]) == d.read(y[:5])


CHANGES: dict[str, Any] = {  # of an array, something that does not fit
    "shape": lambda a: a["shape"] * [2, 1, 1, 1],
    "shape ": lambda a: a["shape"] * [1, 0, 1, 1],
    "shape  ": lambda a: a["shape"] * [1, 1, 1, 0],
    "shape   ": lambda a: a["shape"][:3],
    "unexplained": lambda a: np.float64(np.nan),
    "names": lambda a: a["names"][:1],
    "names ": lambda a: np.array(["b", "b"]),
    "tags": lambda a: a["tags"] + 1,
    "tags ": lambda a: a["tags"] - 2**40,
    "ends": lambda a: a["ends"][:-1],
    "ends ": lambda a: a["ends"][::-1],
    "doubtful": lambda a: np.array([[5, 1]]),
    "doubtful ": lambda a: np.zeros((1, 3), np.int64),
    "signs": lambda a: a["signs"][1:],
    "signs ": lambda a: np.ones_like(a["signs"]),
    "signs  ": lambda a: a["signs"] * 2,
    "columns_codes": lambda a: a["columns_codes"] ^ np.uint64(1),
    "columns_codes ": lambda a: a["columns_codes"] | np.uint64(1 << 40),
    "columns_rows": lambda a: a["columns_rows"] + 64,
    "columns_indices": lambda a: a["columns_indices"][::-1],
    "columns_counts": lambda a: -a["columns_counts"],
    "columns_counts ": lambda a: a["columns_counts"].astype(np.float32),
    "columns_confidence": lambda a: a["columns_confidence"] + 1,
    "events_ends": lambda a: a["events_ends"] + 1,
    "events_place": lambda a: a["events_place"] + 64,
    "events_row": lambda a: a["events_row"] - 64,
    "events_module": lambda a: a["events_module"] + 1,
    "events_column": lambda a: a["events_column"] + 1024,
    "events_sketches": lambda a: a["events_sketches"][::-1],
    "events_sketches ": lambda a: a["events_sketches"] + 1000,
    "events_amplitude": lambda a: a["events_amplitude"] * np.float32(np.inf),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_that_do_not_fit_are_refused(
    learned: tuple[rs.SketchSpec, Any, rs.Dictionary], change: str, tmp_path: Path
) -> None:
    arrays = arrays_of(learned[2])
    _npz.save(tmp_path / "good.npz", arrays)
    assert rs.Dictionary.load(tmp_path / "good.npz") == learned[2]
    with np.errstate(invalid="ignore"):
        arrays[change.strip()] = CHANGES[change](arrays)
    _npz.save(tmp_path / "bad.npz", arrays)
    with pytest.raises((ValueError, TypeError)) as caught:
        rs.Dictionary.load(tmp_path / "bad.npz")
    assert len(str(caught.value)) < 1000


def replaced(about: dict[str, Any], where: tuple[Any, ...], value: Any) -> str:
    copy = json.loads(json.dumps(about))
    at = copy
    for key in where[:-1]:
        at = at[key]
    at[where[-1]] = value
    return json.dumps(copy)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("reasons",), {}),
        (("reasons", "masks"), 3),
        (("reasons", "masks"), "x" * 5000),
        (("masks",), 5),
        (("masks",), None),  # and operators are there
        (("masks", "angle"), 0),
        (("masks", "angle"), "75"),
        (("masks", "masks", 0), ["branch", "attr", 0]),
        (("masks", "masks", 0), ["branch", "attr", 32]),
        (("masks", "masks", 0), ["branch", "attr", 1.5]),
        (("masks", "masks", 0), ["root", 1, 5]),
        (("masks", "masks", 0), ["module", 9, 5]),
        (("masks", "masks"), []),
        (("masks", "paths", 0), [0]),
        (("masks", "paths", 0, 1, 0, 0), []),
        (("masks", "paths", 0, 1, 0, 0), [["branch", "in"]]),
        (("masks", "paths", 0, 1, 0, 1), float("nan")),
        (("masks", "fits"), []),
        (("operators",), []),
        (("operators", 0), ["position", 7]),
        (("operators", 0), ["position", -1]),
        (("operators", 0), None),
    ],
)
def test_what_is_said_of_operators_is_checked(
    learned: tuple[rs.SketchSpec, Any, rs.Dictionary], where: tuple[Any, ...], value: Any
) -> None:
    arrays = {name: np.asanyarray(x) for name, x in arrays_of(learned[2]).items()}
    assert made_of(arrays) == learned[2]
    about = json.loads(arrays["about"].item())
    with pytest.raises((ValueError, TypeError)) as caught:
        made_of({**arrays, "about": np.asanyarray(replaced(about, where, value))})
    assert len(str(caught.value)) < 1000


def renumbered(about: dict[str, Any], old: int, new: int) -> str:
    """With another number for a module, wherever there is one."""
    copy = json.loads(json.dumps(about))
    for q in (*copy["masks"]["masks"], *copy["operators"]):
        if q[:2] == ["module", old]:
            q[1] = new
    for own in (*copy["masks"]["paths"], *copy["masks"]["fits"]):
        own[0] = new if own[0] == old else own[0]
    return json.dumps(copy)


def columns_kept(arrays: dict[str, Any], kept: Any) -> dict[str, Any]:
    ends = np.array([np.count_nonzero(kept[:e]) for e in arrays["ends"]], np.int64)
    return {**arrays, "ends": ends, **{k: x[kept] for k, x in arrays.items() if k.startswith("columns_")}}


def unreadable(arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Files whose arrays fit each other, and by which no sketch can be read."""
    about, ends = json.loads(arrays["about"].item()), arrays["ends"]
    number, paths = np.arange(ends[-1]), about["masks"]["paths"]
    found = {
        "a path twice": replaced(about, ("masks", "paths"), [[0, paths[0][1] * 2], paths[1]]),
        "no path of one": replaced(about, ("masks", "paths"), paths[:1]),
        "no path of any": replaced(about, ("masks", "paths"), [[0, []], [1, []]]),
    }
    files = {name: {**arrays, "about": np.asanyarray(text)} for name, text in found.items()}
    tags = np.array([*arrays["tags"], arrays["tags"].max() ^ 1])
    other = {**arrays, "names": np.array([*arrays["names"], ""]), "tags": tags}
    return {
        **files,
        "operators of a module without columns": {**other, "about": np.asanyarray(renumbered(about, 1, 2))},
        "no counter of one": columns_kept(arrays, number != ends[1] - 1),
        "no columns of one": columns_kept(arrays, number >= ends[1]),
    }


NOT_READABLE = (
    "a path twice",
    "no path of one",
    "no path of any",
    "operators of a module without columns",
    "no counter of one",
    "no columns of one",
)


@pytest.mark.parametrize("what", NOT_READABLE)
def test_operators_that_could_read_nothing_are_refused(
    learned: tuple[rs.SketchSpec, Any, rs.Dictionary], what: str
) -> None:
    arrays = {name: np.asanyarray(x) for name, x in arrays_of(learned[2]).items()}
    files = unreadable(arrays)
    assert set(files) == set(NOT_READABLE)
    with pytest.raises(ValueError, match=r"about|module|columns_indices"):
        made_of(files[what])


def test_without_operators_a_counter_or_a_path_may_lack(kinds: dict[str, rs.Dictionary]) -> None:
    """What is learned of masks alone is often so."""
    arrays = {name: np.asanyarray(x) for name, x in arrays_of(kinds["operators"]).items()}
    about = {**json.loads(arrays["about"].item()), "operators": None}
    arrays["about"] = np.asanyarray(replaced(about, ("masks", "paths"), about["masks"]["paths"][:1]))
    arrays["signs"] = np.zeros((0, 0), np.int8)
    found = made_of(columns_kept(arrays, np.arange(arrays["ends"][-1]) != arrays["ends"][1] - 1))
    assert found.masks is not None
    assert len(found.masks.paths) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", "[" * 100_000, '{"reasons": 1}'])
def test_a_text_that_is_none_is_refused(learned: tuple[rs.SketchSpec, Any, rs.Dictionary], text: str) -> None:
    arrays = {name: np.asanyarray(x) for name, x in arrays_of(learned[2]).items()}
    with pytest.raises(ValueError, match="about"):
        made_of({**arrays, "about": np.asanyarray(text)})


def test_other_files_are_refused(learned: tuple[rs.SketchSpec, Any, rs.Dictionary], tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    rs.pack(np.ones((2, 64))).save(path)
    with pytest.raises(ValueError, match="arrays"):
        rs.Dictionary.load(path)
    learned[2].save(path)
    content = path.read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"x\.npz"):
            rs.Dictionary.load(path)


# ---------------------------------------------------------------- beside a specification


def test_comparison_counts_what_is_right_and_what_is_not(
    learned: tuple[rs.SketchSpec, Any, rs.Dictionary],
) -> None:
    true, _, d = learned
    n = LENGTH + 1
    assert d.compare(true) == {"a": (n, 0, 0), "b": (n, 0, 0)}
    compared = d.compare(of_seed(true, true.seed + 1))
    assert all(c.exact < 5 and c.exact + c.missing == n and c.exact + c.false == n for c in compared.values())
    options = {"rotation": "block", "blocks_per_column": 1, "max_inputs": 4, "attributes": "linear"}
    fewer = rs.SketchSpec(dim=2048, modules={"b": 3}, seed=true.seed, **options)
    found = d.compare(fewer)
    assert found["b"] == (3, 1, n - 3)  # where a counter stands depends on how many columns are before it
    assert found[d.layout.tag("a")] == (0, 0, n)
    for wrong in ({"dim": 2048}, {"dim": 4096, "rotation": "block"}):
        with pytest.raises(ValueError, match="spec"):
            d.compare(rs.SketchSpec(modules={"a": 3}, **wrong))


def of_seed(true: rs.SketchSpec, seed: int) -> rs.SketchSpec:
    return rs.SketchSpec.from_json(true.to_json().replace(f'"seed": {true.seed}', f'"seed": {seed}'))


def test_nothing_compares_as_missing(kinds: dict[str, rs.Dictionary]) -> None:
    true = rs.SketchSpec(dim=1024, modules={"a": 3}, rotation="block", max_inputs=4)
    assert kinds["nothing"].compare(true) == {"a": (0, true.lengths["a"] + 1, 0)}


# ---------------------------------------------------------------- as text


def test_the_text_says_first_what_was_learned(kinds: dict[str, rs.Dictionary]) -> None:
    text = str(kinds["operators"]).splitlines()
    assert text[0] == "26 columns of 2 modules learned from 400 sketches of 2,048 numbers in blocks of 32, 1 a column"
    assert text[1] == "masks and operators learned, of an angle of 75.00°"
    assert str(kinds["columns"]).splitlines()[1:3] == [
        "masks not learned: not looked for",
        "operators not learned: not looked for",
    ]
    assert str(kinds["nothing"]).startswith("nothing learned from 5 sketches of 1,024 numbers: no block repeats")
    assert repr(kinds["nothing"]).startswith("<Dictionary: nothing learned")
    for d in kinds.values():
        assert all(len(line) <= 300 for line in str(d).splitlines())


def test_hostile_names_do_not_move_the_cursor(learned: tuple[rs.SketchSpec, Any, rs.Dictionary]) -> None:
    """Names that have the tag of what was learned are few; a file may have any."""
    d = learned[2]
    arrays = {name: np.asanyarray(x) for name, x in arrays_of(d).items()}
    arrays["names"] = np.array(["\x1b[2Jx\n", "b" * 5000])
    assert "\x1b" not in str(made_of(arrays))
    assert max(map(len, str(made_of(arrays)).splitlines())) < 300


def test_a_dictionary_is_as_long_as_its_columns(kinds: dict[str, rs.Dictionary]) -> None:
    assert len(kinds["operators"]) == 26
    assert not kinds["nothing"]
    with pytest.raises(ValueError, match="columns"):
        _ = kinds["nothing"].counter
    with pytest.raises(KeyError):
        kinds["nothing"].matrix("a")
    with pytest.raises(TypeError):
        hash(kinds["nothing"])
