"""Strings, columns and dictionaries from sketches alone, against the same rules written plainly in NumPy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch as rs
import recsketch._core as _core
from recsketch.learning.strings.counting import true_tags
from recsketch.learning.strings.layout import Layout
from recsketch.learning.strings.truth import columns_of

DIM, LENGTH = 1024, 12
LEVELS = [["a", "b"], ["c", "d"]]


def spec(levels: list[list[str]], dim: int = DIM, **more: Any) -> rs.SketchSpec:
    modules = {m: LENGTH for level in levels for m in level}
    options = {"blocks_per_column": 1, "max_inputs": 4, "attributes": "linear", "weighting": "energy", **more}
    return rs.SketchSpec(dim=dim, modules=modules, rotation="block", **options)


def runs(levels: list[list[str]], n: int, seed: int, nonzero: int = 2) -> list[rs.Trace]:
    """Random trees of two inputs an object, attributes of few elements and norm one."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(n):
        trace = rs.Trace()

        def grow(level: int, trace: rs.Trace = trace) -> int:
            inputs = [grow(level + 1) for _ in range(2)] if level + 1 < len(levels) else []
            x = np.zeros(LENGTH, np.float32)
            x[rng.permutation(LENGTH)[:nonzero]] = rng.uniform(0.3, 1.5, nonzero) * rng.choice([-1, 1], nonzero)
            return trace.add(str(rng.choice(levels[level])), x / np.linalg.norm(x), inputs=inputs)

        trace.outputs([grow(0), grow(0)])
        out.append(trace)
    return out


def sketches(levels: list[list[str]], n: int, seed: int = 0, **more: Any) -> tuple[rs.SketchSpec, Any]:
    made = spec(levels, seed=seed, **more)
    return made, rs.Sketcher(made, threads=1).sketch(runs(levels, n, seed))


@pytest.fixture(scope="module")
def flat() -> tuple[rs.SketchSpec, Any]:
    return sketches(LEVELS[:1], 300)


@pytest.fixture(scope="module")
def deep() -> tuple[rs.SketchSpec, Any]:
    return sketches(LEVELS, 400, dim=4096)


def total(found: rs.Dictionary, true: rs.SketchSpec) -> tuple[int, int, int]:
    exact, missing, false = np.sum(list(found.compare(true).values()), axis=0)
    return int(exact), int(missing), int(false)


# ---------------------------------------------------------------- what strings say


def mixed(payload: int, bits: int) -> int:
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        payload = payload * factor % (1 << bits)
        payload ^= payload >> (bits + 1) // 2
    return payload


@pytest.mark.parametrize(("dim", "block"), [(1024, 32), (65536, 32), (2048, 64), (65536, 64)])
def test_codes_are_those_of_the_format(dim: int, block: int) -> None:
    """In Python's integers, both ways, over random fields and the largest ones."""
    layout = Layout.of(dim, block)
    assert layout is not None
    assert layout.row_bits + layout.column_bits + layout.tag_bits == layout.code_bits
    assert layout.code_bits + layout.tail == block - 1
    rng = np.random.default_rng(dim + block)
    tags = [*rng.integers(1 << layout.tag_bits, size=20).tolist(), 0, (1 << layout.tag_bits) - 1]
    for tag in tags:
        columns = np.append(rng.integers(1 << layout.column_bits, size=9), layout.counter)
        rows = np.append(rng.integers(layout.places, size=9), layout.places - 1)
        codes, signs = layout.write(tag, columns, rows)
        for c, r, code, sign in zip(columns.tolist(), rows.tolist(), codes.tolist(), signs.tolist(), strict=True):
            payload = r | c << layout.row_bits | tag << (layout.row_bits + layout.column_bits)
            assert code == mixed(payload, layout.code_bits)
            q = payload * 0xD6E8FEB86659FD93 % 2**64
            q = (q ^ q >> 32) * 0xD6E8FEB86659FD93 % 2**64
            assert sign == (-1.0 if q >> 63 else 1.0)
        tail = rng.integers(1 << layout.tail, size=codes.size).astype(np.uint64) << np.uint64(layout.code_bits)
        back = layout.read(codes | tail)
        assert np.all(back[0] == tag)
        assert np.array_equal(back[1], columns)
        assert np.array_equal(back[2], rows)
        assert np.array_equal(back[3], signs)


@pytest.mark.parametrize(
    ("dim", "block"), [(512, 32), (1024, 64), (1000, 32), (4096, 16), (4096, 128), (4096, 48), (0, 32), (1 << 20, 32)]
)
def test_there_is_no_such_block(dim: int, block: int) -> None:
    assert Layout.of(dim, block) is None
    with pytest.raises(ValueError, match="argument"):
        _core.codes_read(dim, block, np.zeros(1, np.uint64))


def test_fields_that_do_not_fit_are_refused() -> None:
    layout = Layout.of(DIM, 32)
    assert layout is not None
    for field, bits in enumerate((layout.tag_bits, layout.column_bits, layout.row_bits)):
        fields = np.zeros((1, 3), np.uint64)
        fields[0, field] = 1 << bits
        with pytest.raises(ValueError, match="value"):
            _core.codes_write(DIM, 32, fields)


# ---------------------------------------------------------------- blocks taken apart


def peeled(
    y: np.ndarray, known: dict[int, int], floor: float, noise: float
) -> tuple[list[tuple[int, float]], float, int, int]:
    """Of one block (strings and amplitudes, energy left, code of what is left, how it ends): the rules, plainly."""
    found: list[int] = []
    left, amplitudes = y.copy(), np.zeros(0)
    while True:
        mean = np.abs(left).mean()
        if mean <= floor or len(found) == 4:
            end = (0, 0)
            break
        negative = left < 0
        code = sum(int(b) << i for i, b in enumerate(negative[1:] ^ negative[0]))
        if code not in known:
            end = (code, 2 if np.abs(left).std() <= 0.2 * mean + noise else 1)
            break
        if code in found:
            end = (0, 0)
            break
        found.append(code)
        strings = np.array([[1.0] + [1.0 - 2.0 * (c >> i & 1) for i in range(y.size - 1)] for c in found])
        amplitudes = np.linalg.lstsq(strings.T, y, rcond=None)[0]
        left = y - amplitudes @ strings
    return [(known[c], a) for c, a in zip(found, amplitudes, strict=True)], float(left @ left), *end


@pytest.mark.parametrize("block", [32, 64])
def test_blocks_come_apart_as_the_rules_say(block: int) -> None:
    """Blocks of none to six of 40 strings, some of them unknown, with noise of known size on half of the sketches.

    Amplitudes are rounded to float32: 2^-24 of them; least squares of four strings of signs has a condition number
    below 10 but once in 1e9 blocks, so that doubles add nothing to that.
    """
    rng = np.random.default_rng(block)
    dim, n = 32 * block, 40
    codes = rng.choice(1 << 31 if block == 32 else 1 << 62, 40, replace=False).astype(np.uint64)
    bits = (codes[:, None] >> np.arange(block - 1, dtype=np.uint64) & np.uint64(1)).astype(np.float64)
    strings = np.concatenate([np.ones((40, 1)), 1 - 2 * bits], axis=1)
    y = np.zeros((n, 32, block))
    for i in range(n):
        for k in range(32):
            picked = rng.choice(40, rng.integers(7), replace=False)
            y[i, k] = rng.standard_normal(picked.size) @ strings[picked]
    noise = np.where(np.arange(n) % 2, 0.01, 0.0)
    y += noise[:, None, None] * rng.standard_normal(y.shape)
    rows = y.reshape(n, dim).astype(np.float32)
    known = codes[:30]
    which, amplitude, rest, following, end, energy, left = _core.peel(block, rows, noise, known, 4, 1)
    number = {int(c): i for i, c in enumerate(known)}
    kinds = np.zeros(3, int)
    for i in range(n):
        square = float(np.square(rows[i], dtype=np.float64).sum())
        assert energy[i] == pytest.approx(square, rel=1e-12)
        floor = max(1e-4 * math.sqrt(square / dim), 3 * noise[i])
        sums = 0.0
        for k in range(32):
            block_of = rows[i].reshape(32, block)[k].astype(np.float64)
            want, square_left, code, how = peeled(block_of, number, floor, noise[i])
            got = which[i, k][which[i, k] >= 0]
            assert got.tolist() == [q for q, _ in want]
            assert np.allclose(amplitude[i, k, : got.size], [a for _, a in want], rtol=1e-6, atol=1e-6)
            assert np.all(amplitude[i, k, got.size :] == 0)
            assert rest[i, k] == pytest.approx(math.sqrt(square_left / block), rel=1e-5, abs=1e-6)
            assert (int(following[i, k]), int(end[i, k])) == (code, how)
            kinds[how] += 1
            sums += square_left
        assert left[i] == pytest.approx(sums, rel=1e-6, abs=1e-9)
    assert np.all(kinds > 50)


def test_bits_do_not_depend_on_threads_or_instruction_sets(
    deep: tuple[rs.SketchSpec, Any], isa_levels: list[str]
) -> None:
    true, y = deep
    codes = np.concatenate([c.ravel() for _, _, c in columns_of(true).values()])
    here = rs.isa()
    found = []
    try:
        for level in isa_levels:
            _core.isa_select(level)
            found += [_core.peel(32, y, np.zeros(len(y)), codes, 4, threads) for threads in (1, 2, 3)]
    finally:
        _core.isa_select(here)
    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
    assert (found[0][0] >= 0).sum() > 10_000


def test_a_code_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        _core.peel(32, np.ones((1, DIM), np.float32), np.zeros(1), np.array([5, 9, 5], np.uint64), 4, 1)


def test_zeros_and_one_string_come_apart() -> None:
    y = np.zeros((1, DIM), np.float32)
    assert not _core.peel(32, y, np.zeros(1), np.zeros(0, np.uint64), 4, 1)[4].any()
    y[0, :32] = -2.5
    which, amplitude, _, _, end, _, left = _core.peel(32, y, np.zeros(1), np.zeros(1, np.uint64), 4, 1)
    assert (which[0, 0, 0], amplitude[0, 0, 0], left[0], int(end.max())) == (0, -2.5, 0.0, 0)


# ---------------------------------------------------------------- tags


def test_true_tags_stand_out_and_random_ones_do_not() -> None:
    """20,000 random codes, 1.2 to a tag on average: one has as many as the threshold in 3 of 10^5 draws; and 40 codes
    of one tag."""
    layout = Layout.of(4096, 32)
    assert layout is not None
    rng = np.random.default_rng(0)
    noise = rng.integers(1 << 31, size=20_000).astype(np.uint64)
    assert true_tags(layout, noise)[0].size == 0
    own = layout.write(77, np.arange(40), rng.integers(layout.places, size=40))[0]
    tags, chance = true_tags(layout, np.concatenate([noise, own]))
    assert tags.tolist() == [77]
    assert 0 < chance[0] < 0.04
    assert true_tags(layout, own[:4])[0].size == 0  # too few


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize("r", [1, 2])
def test_all_columns_of_flat_and_deep_runs(r: int) -> None:
    for levels, dim in ((LEVELS[:1], 1024), (LEVELS, 4096)):
        true, y = sketches(levels, 500, seed=r, dim=dim, blocks_per_column=r)
        found = rs.learn_dictionary(y, names=list(true.modules), operators=False)
        assert total(found, true) == (len(true.modules) * (LENGTH + 1), 0, 0)
        assert (found.block_size, found.blocks_per_column, found.seen, found.dim) == (32, r, 500, dim)
        assert not found.doubtful
        assert all(np.all(c > 0.99) for c in found.confidence.values())


def test_three_blocks_a_column() -> None:
    """Three strata of 64 rows have 21, 21 and 22 of them."""
    true, y = sketches(LEVELS[:1], 500, dim=2048, blocks_per_column=3)
    found = rs.learn_dictionary(y, names=["a", "b"], operators=False)
    assert found.blocks_per_column == 3
    assert total(found, true) == (2 * (LENGTH + 1), 0, 0)
    core = rs.Sketcher(true)._matrices.core
    assert np.allclose(found.matrix("a")[0], core.embed(0, np.eye(LENGTH, dtype=np.float32)[0]), rtol=2**-22, atol=0)


def test_strings_of_64_signs_have_tails() -> None:
    true, y = sketches(LEVELS[:1], 400, dim=4096, block_size=64)
    found = rs.learn_dictionary(y, names=list(true.modules), operators=False)
    assert found.block_size == 64
    assert total(found, true) == (2 * (LENGTH + 1), 0, 0)


def test_the_matrix_is_the_embedding(flat: tuple[rs.SketchSpec, Any]) -> None:
    """Each column as the specification embeds a unit vector; rounded to float32 once here and there."""
    true, y = flat
    found = rs.learn_dictionary(y, names=["a", "b"], operators=False)
    core = rs.Sketcher(true)._matrices.core
    for number, name in enumerate(("a", "b")):
        matrix = found.matrix(name)
        for i, column in zip(found.columns[name].indices.tolist(), matrix, strict=True):
            if i == found.counter:
                want = core.counter(number)
            else:
                want = core.embed(number, np.eye(LENGTH, dtype=np.float32)[i])
            assert np.allclose(column, want, rtol=2**-22, atol=0)


def test_names_are_recognised_and_others_stay_tags(flat: tuple[rs.SketchSpec, Any]) -> None:
    _, y = flat
    found = rs.learn_dictionary(y, names=iter(["b", "nobody"]), operators=False)
    layout = found.layout
    assert list(found.columns) == [layout.tag("a"), "b"]
    assert {c.tag for c in found.columns.values()} == {layout.tag("a"), layout.tag("b")}


def test_events_are_where_columns_are(flat: tuple[rs.SketchSpec, Any]) -> None:
    """What events say of a block is what is there: the sum of all strings there, but for what is left."""
    _, y = flat
    found = rs.learn_dictionary(y, operators=False)
    e, matrices = found.events, [found.matrix(m) for m in found.columns]
    numbers = [{int(i): k for k, i in enumerate(c.indices)} for c in found.columns.values()]
    made = np.zeros((len(y), found.layout.places, 32))
    sketch = np.repeat(e.sketches, np.diff(e.ends))
    for i in range(e.place.size):
        column = matrices[e.module[i]][numbers[e.module[i]][int(e.column[i])]]
        made[sketch[i], e.place[i]] += e.amplitude[i] * column.reshape(-1, 32)[e.row[i]]
    left = np.square(made.reshape(y.shape) - y).sum() / np.square(y, dtype=np.float64).sum()
    assert left == pytest.approx(found.unexplained, abs=1e-6)
    assert found.unexplained < 0.05


def test_noise_that_is_told_of(deep: tuple[rs.SketchSpec, Any]) -> None:
    """A tenth of the sketch's size, and int8, of which the noise is known."""
    true, y = deep
    sigma = 0.1 * math.sqrt(float(np.square(y).mean()))
    noisy = y + sigma * np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    n = len(true.modules) * (LENGTH + 1)
    exact, _, false = total(rs.learn_dictionary(noisy, noise=sigma, names=list(true.modules), operators=False), true)
    assert (exact >= n - 1, false) == (True, 0)
    packed = rs.learn_dictionary(rs.pack(y, "int8"), names=list(true.modules), operators=False)
    assert total(packed, true) == (n, 0, 0)


# ---------------------------------------------------------------- what is nothing


def wrong_kinds(rng: np.random.Generator) -> dict[str, Any]:
    _, y = sketches(LEVELS[:1], 200, seed=int(rng.integers(1000)))
    shuffled = y[:, rng.permutation(DIM)]
    modules = dict.fromkeys(("a", "b"), 100)
    skew = rs.SketchSpec(dim=DIM, modules=modules, seed=3)
    dense = rs.SketchSpec(dim=DIM, modules=modules, seed=3, rotation="block", max_inputs=4)

    def sketched(made: rs.SketchSpec) -> Any:
        traces = []
        for _ in range(200):
            trace = rs.Trace()
            trace.outputs([trace.add(m, rng.standard_normal(100)) for m in modules])
            traces.append(trace)
        return rs.Sketcher(made, threads=1).sketch(traces)

    return {
        "shuffled": shuffled,
        "skew": sketched(skew),
        "dense": sketched(dense),
        "gaussian": rng.standard_normal((200, DIM)),
        "zeros": np.zeros((20, DIM)),
        "one sketch often": np.repeat(rng.standard_normal((1, DIM)), 50, axis=0),
        "two sketches": y[:2],
    }


@pytest.mark.parametrize("seed", range(3))
def test_other_sketches_teach_nothing(seed: int) -> None:
    for kind, y in wrong_kinds(np.random.default_rng(seed)).items():
        found = rs.learn_dictionary(y)
        assert (len(found), found.block_size, found.columns, found.doubtful) == (0, 0, {}, ()), kind
        assert "no block repeats" in found.reasons["columns"], kind
        assert str(found).startswith("nothing learned from")
        with pytest.raises(ValueError, match="operators"):
            found.read(y)


def test_another_block_size_teaches_nothing() -> None:
    _, y = sketches(LEVELS[:1], 300, dim=4096, block_size=64)
    assert len(rs.learn_dictionary(y, 32)) == 0


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2e30])
def test_numbers_that_are_none_are_refused(flat: tuple[rs.SketchSpec, Any], bad: float) -> None:
    y = np.array(flat[1])
    y[7, 100] = bad
    with pytest.raises(ValueError, match="finite"):
        rs.learn_dictionary(y)


@pytest.mark.parametrize(
    ("given", "more", "error", "words"),
    [
        (np.zeros((3, 1000)), {}, ValueError, "length"),
        (np.zeros((3, 512)), {}, ValueError, "length"),
        (np.zeros((3, 1024)), {"block_size": 64}, ValueError, "length"),
        (np.zeros((3, 1024)), {"block_size": 16}, ValueError, "block_size"),
        (np.zeros((3, 1024)), {"block_size": 32.0}, TypeError, "block_size"),
        (np.zeros((3, 1024)), {"noise": -1.0}, ValueError, "noise"),
        (np.zeros((3, 1024)), {"noise": [1.0, 2.0]}, ValueError, "noise"),
        (np.zeros((3, 1024)), {"names": "page"}, TypeError, "names"),
        (np.zeros((3, 1024)), {"names": [""]}, TypeError, "names"),
        (np.zeros((3, 1024)), {"angle": 0.0}, ValueError, "angle"),
        (np.zeros((3, 1024)), {"operators": 1}, TypeError, "operators"),
        (np.zeros((3, 1024)), {"threads": 0}, ValueError, "threads"),
        (np.zeros((3, 2, 1024)), {}, ValueError, "sketches"),
        (np.zeros((3, 1024), complex), {}, TypeError, "sketches"),
        (np.zeros((0, 1024)), {}, ValueError, "sketches"),
        ([], {}, ValueError, "sketches"),
        (None, {}, TypeError, "sketches"),
        (3.0, {}, ValueError, "sketches"),
        ("nowhere.npy", {}, OSError, "nowhere"),
        (iter([np.zeros((3, 1024))]), {}, TypeError, "once"),
        ([np.zeros((3, 1024)), np.zeros((3, 2048))], {}, ValueError, "length"),
        ([[np.zeros((3, 1024))]], {}, TypeError, "sketches"),
    ],
)
def test_arguments(given: Any, more: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        rs.learn_dictionary(given, **more)
    assert len(str(caught.value)) < 1000


def test_two_names_of_one_tag_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is looked for, which takes long."""
    monkeypatch.setattr("recsketch.learning.learn.find_strings", lambda *_: pytest.fail("it looked for strings"))
    layout = Layout.of(1 << 16, 32)
    assert layout is not None
    first: dict[int, str] = {}
    for i in range(1000):
        other = first.setdefault(layout.tag(f"m{i}"), f"m{i}")
        if other != f"m{i}":
            break
    with pytest.raises(ValueError, match="different tags"):
        rs.learn_dictionary(np.zeros((1, 1 << 16)), 32, names=[other, f"m{i}"])


def test_any_array_will_do(flat: tuple[rs.SketchSpec, Any]) -> None:
    """Types, byte orders, strides and flags change nothing; nor does how many threads there are."""
    _, y = flat
    want = rs.learn_dictionary(y)
    wide = np.zeros((len(y), 2 * DIM), np.float32)
    wide[:, ::2] = y
    frozen = y.copy()
    frozen.flags.writeable = False
    for same in (y.astype(np.float64), y.astype(">f4"), np.asfortranarray(y), wide[:, ::2], frozen, y.tolist()):
        assert rs.learn_dictionary(same) == want
    for threads in (1, 2, 5):
        assert rs.learn_dictionary(y, threads=threads) == want


# ---------------------------------------------------------------- from disks


def test_arrays_files_and_folders_are_one(flat: tuple[rs.SketchSpec, Any], tmp_path: Path) -> None:
    _, y = flat
    want = rs.learn_dictionary(y)
    np.save(tmp_path / "all.npy", y)
    assert rs.learn_dictionary(np.load(tmp_path / "all.npy", mmap_mode="r")) == want
    assert rs.learn_dictionary(tmp_path / "all.npy") == want
    folder = tmp_path / "parts"
    folder.mkdir()
    np.save(folder / "0.npy", y[:100])
    rs.pack(y[100:101], "float32").save(folder / "1.npz")
    np.save(folder / "2.npy", y[101:])
    (folder / "notes.txt").write_text("of no account")
    assert rs.learn_dictionary(str(folder)) == want
    assert rs.learn_dictionary([y[:7], folder / "0.npy"]) == rs.learn_dictionary(np.concatenate([y[:7], y[:100]]))


class Parts:
    """Gone through as often as one likes."""

    def __init__(self, *parts: Any) -> None:
        self.parts, self.passes = parts, 0

    def __iter__(self) -> Any:
        self.passes += 1
        return iter(self.parts)


def test_more_sketches_than_a_sample(flat: tuple[rs.SketchSpec, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a sample of 200 of 300, the other passes find what all of them say; events are those of the sample."""
    true, y = flat
    monkeypatch.setattr("recsketch.learning.strings.columns.SAMPLE", 200)
    parts = Parts(y[:120], y[120:250], y[250:])
    found = rs.learn_dictionary(parts, names=["a", "b"])
    assert total(found, true) == (2 * (LENGTH + 1), 0, 0)
    assert found.seen == 300
    assert found.events.sketches.size == 200
    assert np.all(np.diff(found.events.sketches) > 0)
    assert found == rs.learn_dictionary(y, names=["a", "b"])
    assert parts.passes > 3
    monkeypatch.undo()
    whole = rs.learn_dictionary(y, names=["a", "b"])
    for m, c in whole.columns.items():
        assert np.array_equal(c.counts, found.columns[m].counts)


def test_sketches_that_change_between_passes_are_refused(flat: tuple[rs.SketchSpec, Any]) -> None:
    class Shrinking(Parts):
        def __iter__(self) -> Any:
            self.passes += 1
            return iter(self.parts[: 2 if self.passes < 3 else 1])

    with pytest.raises(ValueError, match="same"):
        rs.learn_dictionary(Shrinking(flat[1][:150], flat[1][150:]))


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("x.npy", "x.npz"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.np"):
            rs.learn_dictionary(path)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy"):
        rs.learn_dictionary(tmp_path / "x.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="folder"):
        rs.learn_dictionary(tmp_path / "empty")
