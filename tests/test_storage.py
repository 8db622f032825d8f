"""Packed sketches: rounding, noise, files, and decoders that take them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference as ref
from test_hostile_files import Bomb, archive, arrays

import recsketch as rs
from recsketch.sketching.packing import BLOCK, _blocks, unpacked

DTYPES = ["float32", "float16", "bfloat16", "int8"]
LENGTHS = {"m7": 7, "m20": 20, "m33": 33, "m64": 64}


def gaussian(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


# ---------------------------------------------------------------- rounding


def test_float16_of_floats_is_float16_of_doubles() -> None:
    """To the bit: rows of one size and of all that float32 has, down to its last subnormal. Noise to rounding: sums of
    256 squares in two orders are off by 256 half ulps each, at most, and their roots by half of that."""
    rng = np.random.default_rng(0)
    exponents = np.where(
        np.arange(400)[:, None] % 2, rng.integers(-149, 99, (400, 256)), rng.integers(-40, 0, (400, 256))
    )
    shift = rng.integers(-100, 90, (400, 1)) * (np.arange(400)[:, None] % 2 == 0)
    x = np.clip(np.ldexp(rng.standard_normal((400, 256)), exponents + shift), -1e30, 1e30).astype(np.float32)
    x[5], x[6], x[7, 0] = 0, 1e-45, 1e30
    a, b = rs.pack(x, "float16"), rs.pack(x.astype(np.float64), "float16")
    for name in ("values", "scale"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
    assert np.allclose(a.noise, b.noise, rtol=256 * 2.0**-53, atol=0)
    with pytest.raises(ValueError, match=r"sketches\[1\]: wanted finite numbers"):
        rs.pack(np.array([[0.0] * 64, [np.nan] * 64], np.float32), "float16")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 63, 1024])
def test_noise_is_the_error_made(dtype: str, d: int) -> None:
    """Of each sketch, in float64, from what was given, float32 or not; in one block of rows or several."""
    x = (
        np.random.default_rng(1).standard_normal((BLOCK // 1024 + 3, d))
        * 10.0 ** np.arange(-3, 4)[:, None][np.arange(BLOCK // 1024 + 3) % 7]
    )
    packed = rs.pack(x, dtype)
    back = packed.unpack()
    assert back.dtype == np.float32
    assert back.shape == x.shape
    assert np.allclose(packed.noise, np.sqrt(np.mean((x - back) ** 2, axis=1)), rtol=1e-12, atol=0)
    one = rs.pack(x[-1], dtype)
    assert one.values.shape == (d,)
    assert one.scale.shape == one.noise.shape == ()
    assert np.array_equal(one.unpack(), back[-1])
    assert float(one.noise) == packed.noise[-1]


def test_blocks_hold_so_many_numbers_or_one_sketch() -> None:
    """What is computed from them takes memory for that many, whatever is packed."""
    assert BLOCK == 1 << 18
    for n, d, rows in ((9, BLOCK // 4, 4), (3, BLOCK, 1), (2, 2 * BLOCK, 1), (5, 1, BLOCK), (0, 7, 1)):
        parts = list(_blocks(np.empty((n, d), np.int8)))
        assert [p.start for p in parts] == list(range(0, n, rows))
        assert all(p.stop == p.start + rows for p in parts)


def test_float32_is_the_sketch() -> None:
    x = gaussian(3, 64)
    packed = rs.pack(x, "float32")
    assert np.array_equal(packed.unpack(), x)
    assert not packed.noise.any()
    assert packed.unpack().flags.writeable


def test_float16_rounds_to_eleven_bits_down_to_the_smallest() -> None:
    """Half a unit in the last place, 2^-11 relative, for all of 2^-29 of the largest and above; below, half of 2^-24 of
    the scale, which is at most 2^-14 of the largest."""
    rng = np.random.default_rng(0)
    x = (
        rng.choice([-1, 1], (40, 256)) * 2.0 ** rng.uniform(-45, 0, (40, 256)) * 10.0 ** rng.uniform(-25, 25, (40, 1))
    ).astype(np.float32)
    packed = rs.pack(x, "float16")
    most = np.abs(x).max(axis=1, keepdims=True).astype(np.float64)
    error = np.abs(packed.unpack() - x.astype(np.float64))
    assert np.all(error <= np.maximum(2.0**-11 * np.abs(x), 2.0**-25 * 2.0**-14 * most))
    assert np.all((np.abs(packed.values).max(axis=1) >= 2**14) & (np.abs(packed.values).max(axis=1) <= 2**15))
    assert np.all(np.frexp(packed.scale)[0] == 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_change_nothing_stored(dtype: str) -> None:
    """Of float16 and int8 the values stay, of the others the bits of the fraction: the noise scales exactly."""
    x = gaussian(2, 256)
    one = rs.pack(x, dtype)
    for k in (-80, -20, 20, 80):
        other = rs.pack(np.ldexp(x, k), dtype)
        assert np.array_equal(other.unpack(), np.ldexp(one.unpack(), k))
        assert np.array_equal(other.noise, np.ldexp(one.noise, k))
        if dtype in ("float16", "int8"):
            assert np.array_equal(other.values, one.values)


def test_bfloat16_rounds_to_the_nearest_even() -> None:
    """Every tie, both neighbours of a tie and random bits, against the nearest of the two candidates by distance."""
    rng = np.random.default_rng(0)
    high = rng.integers(0, 0x7100, 4000).astype(np.uint32) | (rng.integers(0, 2, 4000).astype(np.uint32) << 15)
    low = np.where(
        np.arange(4000) % 2, rng.integers(0, 1 << 16, 4000), rng.choice([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], 4000)
    )
    x = ((high << 16) | low.astype(np.uint32)).view(np.float32)
    got = rs.pack(x, "bfloat16").values
    candidates = np.stack([high, high + 1])
    distance = np.abs((candidates << 16).view(np.float32).astype(np.float64) - x.astype(np.float64))
    tie = distance[0] == distance[1]
    want = np.where(
        tie, np.where(high % 2 == 0, high, high + 1), candidates[np.argmin(distance, axis=0), np.arange(4000)]
    )
    assert tie.sum() > 100
    assert np.array_equal(got, want)


def errors_of(x: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Root mean square error of rounding rows to multiples of a float32 step within 127 of them."""
    step = step.astype(np.float32).astype(np.float64)[:, None]
    return np.sqrt(np.mean((x - np.clip(np.rint(x / step), -127, 127) * step) ** 2, axis=1))


@pytest.mark.parametrize("d", [64, 4096, 65536])
def test_int8_takes_the_better_of_two_steps(d: int) -> None:
    """By the error made: for Gaussian rows, and for one with a spike, which clipping would ruin."""
    x = gaussian(max(4, 2**18 // d), d).astype(np.float64)
    x[0, 0] = 1e3
    packed = rs.pack(x, "int8")
    largest = errors_of(x, np.abs(x).max(axis=1) / 127)
    clipped = errors_of(x, np.minimum(np.abs(x).max(axis=1), 4 * np.sqrt(np.mean(x**2, axis=1))) / 127)
    # the decoded product is rounded to float32 once: 2^-24 of 127 steps
    assert np.allclose(packed.noise, np.minimum(largest, clipped), rtol=1e-6)
    assert packed.noise[0] == pytest.approx(largest[0], rel=1e-6)
    if d == 65536:
        assert np.mean(packed.noise[1:]) < 0.96 * np.mean(largest[1:])


def test_the_noise_that_the_documentation_states() -> None:
    """Standard Gaussian coordinates, 2^19 of them: each mean square is within a percent or two of its expectation."""
    x = gaussian(128, 4096)
    for dtype, want in (("float16", 2.1e-4), ("bfloat16", 1.7e-3), ("int8", 8.6e-3)):
        assert np.sqrt(np.mean(rs.pack(x, dtype).noise ** 2)) == pytest.approx(want, rel=0.05)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_tiny_and_huge(dtype: str) -> None:
    """Zeros stay zeros; the smallest subnormal and 1e30 are stored to the type's relative error, 2^-8 at most."""
    for value in (0.0, 2.0**-149, 1e-40, 1e-38, 1e30, -1e30):
        x = np.full((1, 64), value, np.float32)
        back = rs.pack(x, dtype).unpack()
        assert np.all(rs.pack(x, "float16").scale >= np.finfo(np.float32).smallest_normal)
        least = 2.0**-134 if dtype == "bfloat16" else 0.0  # the smallest bfloat16 is 2^-133
        assert np.all(np.abs(back - x.astype(np.float64)) <= np.maximum(2.0**-8 * abs(value), least))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.1e30])
def test_what_cannot_be_stored_is_refused(dtype: str, bad: float) -> None:
    x = np.zeros((BLOCK // 64 + 5, 64))
    x[BLOCK // 64 + 2, 7] = bad
    where = rf"sketches\[{BLOCK // 64 + 2}\]: wanted finite numbers of at most 1e30; got NaN or larger"
    with pytest.raises(ValueError, match=where):
        rs.pack(x, dtype)
    with pytest.raises(ValueError, match="sketches: wanted finite numbers"):
        rs.pack(x[BLOCK // 64 + 2], dtype)


@pytest.mark.parametrize(
    ("sketches", "dtype", "match"),
    [
        (np.zeros((2, 64)), "float64", "dtype: wanted 'float32' or 'float16' or 'bfloat16' or 'int8'; got 'float64'"),
        (np.zeros((2, 64)), None, "dtype: wanted"),
        (np.zeros((2, 3, 4)), "int8", r"sketches: wanted shape \(d,\) or \(n, d\); got an array of shape \(2, 3, 4\)"),
        (np.zeros((2, 0)), "int8", "sketches: wanted shape"),
        (3.0, "int8", "sketches: wanted shape"),
        (np.zeros((2, 64), complex), "int8", "sketches: wanted sketches, real numbers; got"),
        (["a"], "int8", "sketches: wanted sketches"),
        ([[1.0], [1.0, 2.0]], "int8", "sketches: wanted sketches, real numbers; got a ragged sequence"),
    ],
)
def test_bad_arguments(sketches: Any, dtype: Any, match: str) -> None:
    with pytest.raises((ValueError, TypeError), match=match):
        rs.pack(sketches, dtype)


# ---------------------------------------------------------------- the object


def test_it_is_frozen_and_picklable() -> None:
    packed = rs.pack(gaussian(3, 64), "int8")
    with pytest.raises(AttributeError, match="frozen"):
        packed.dtype = "float16"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del packed.dtype
    for each in (packed, pickle.loads(pickle.dumps(packed))):
        for name in ("values", "scale", "noise"):
            array = getattr(each, name)
            assert np.array_equal(array, getattr(packed, name))
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        assert each.dtype == "int8"


def test_picking_sketches() -> None:
    packed = rs.pack(gaussian(5, 64) * np.arange(1, 6, dtype=np.float32)[:, None], "int8")
    back = packed.unpack()
    assert len(packed) == 5
    assert packed.dim == 64
    assert packed.nbytes == 5 * (64 + 4 + 8)
    for index in (
        2,
        -1,
        slice(1, 4),
        slice(None, None, -2),
        [0, 3],
        np.array([4, 4]),
        np.arange(5) % 2 == 0,
        slice(0, 0),
    ):
        part = packed[index]
        assert np.array_equal(part.unpack(), back[index])
        assert np.array_equal(part.noise, packed.noise[index])
    for bad in (5, -6, 10**5000, [0, 5], np.array([-6]), [True] * 4):
        with pytest.raises(IndexError, match="index: wanted a number from -5 to 4, a slice, or a vector") as caught:
            packed[bad]  # type: ignore[index]
        assert len(str(caught.value)) < 300
    for bad in ((0, 1), None, ..., True, np.True_, 0.5, [0.0], "0", [[0, 1]], [[1, 2], 3], {1}):
        with pytest.raises((TypeError, ValueError), match="index: wanted a number from -5 to 4"):
            packed[bad]  # type: ignore[index]
    with pytest.raises(TypeError, match="index: wanted several sketches to pick from; got one"):
        packed[0][0]
    assert len(list(packed)) == 5
    with pytest.raises(TypeError, match="len: wanted several sketches; got one"):
        len(packed[0])
    assert repr(packed[0]) == "<PackedSketches of one sketch of 64 numbers as int8, 76 bytes>"
    assert repr(rs.pack([[1.0]], "int8")) == "<PackedSketches of 1 sketch of 1 number as int8, 13 bytes>"


def test_equal_ones_compare_equal() -> None:
    """In every part; what differs in one is another; they have no hash, as their arrays may be somebody's."""
    packed = rs.pack(gaussian(3, 64), "int8")
    assert packed == rs.pack(gaussian(3, 64), "int8") == pickle.loads(pickle.dumps(packed))
    assert packed[0] == packed[0]
    fields = {name: np.array(getattr(packed, name)) for name in packed.__slots__} | {"dtype": "int8"}
    for name in ("values", "scale", "noise"):
        assert rs.PackedSketches(**{**fields, name: fields[name] + fields[name].dtype.type(1)}) != packed
    assert packed != packed[:2]
    assert packed != packed[0]
    assert packed[0] != packed[1]
    zeros = np.zeros((2, 4), np.float32)
    assert rs.pack(zeros, "float16") != rs.pack(zeros, "float32")
    assert (packed == "packed") is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(packed)


def test_the_noise_of_a_float16_array_is_that_of_rounding() -> None:
    """Uniform in half a step around each number: 4,096 errors of each of two rows, whose mean square has a relative
    standard deviation of sqrt(4/5 / 4096), 1.4%; five of them are 7%, and of the root half as much."""
    x = np.random.default_rng(0).standard_normal((2, 4096)) * [[1.0], [100.0]]
    rounded = x.astype(np.float16)
    array, noise = unpacked(rounded)
    assert array is rounded
    assert noise is not None
    assert np.allclose(noise, np.sqrt(np.mean((rounded - x) ** 2, axis=1)), rtol=0.035)
    with_gaps = np.where(np.arange(4096) % 2, rounded, np.float16(np.nan))  # erased coordinates do not count
    assert np.allclose(unpacked(with_gaps)[1], noise, rtol=0.05)
    assert unpacked(rounded[1])[1] == noise[1]
    assert unpacked(np.array([np.nan, 1.5], np.float16))[1] == np.sqrt(2.0**-20 / 12)  # one number, of steps of 2^-10
    assert unpacked(x)[1] is None
    assert unpacked(rounded[None])[1] is None


GOOD: dict[str, Any] = {
    "values": np.full((2, 4), 2, np.int8),
    "scale": [1.0, 2.0],
    "noise": [0.0, 1.0],
    "dtype": "int8",
}


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("values", np.ones(4, np.int8), r"scale: wanted one number a sketch, shape \(\); got"),
        ("values", np.ones((2, 0), np.int8), r"values: wanted shape \(d,\) or \(n, d\); got"),
        ("values", np.ones((1, 2, 4), np.int8), "values: wanted shape"),
        ("values", np.ones((2, 4)), "values: wanted int8 for int8; got an array of shape"),
        ("values", np.ones((2, 4), np.uint8), "values: wanted int8"),
        ("scale", [1.0], r"scale: wanted one number a sketch, shape \(2,\); got"),
        ("scale", [1.0, 0.0], "scale: wanted positive numbers; got others"),
        ("scale", [1.0, -1.0], "scale: wanted positive"),
        ("scale", [1.0, np.nan], "scale: wanted positive"),
        ("scale", [1.0, np.inf], "scale: wanted positive"),
        ("scale", ["1", "2"], "scale: wanted one number a sketch; got"),
        ("noise", 0.0, "noise: wanted one number a sketch, shape"),
        ("noise", [0.0, -1.0], "noise: wanted numbers from 0; got others"),
        ("noise", [0.0, np.nan], "noise: wanted numbers"),
        ("noise", [0.0, np.inf], "noise: wanted numbers"),
        ("scale", [1.0, 1e300], "scale: wanted positive"),
        ("scale", [1.0, 3.4e38], "values: wanted finite numbers; got NaN or infinity, once multiplied by scale"),
        ("dtype", "int4", "dtype: wanted 'float32' or"),
        ("dtype", "float16", "values: wanted float16 for float16"),
    ],
)
def test_parts_that_do_not_fit(field: str, value: Any, match: str) -> None:
    rs.PackedSketches(**GOOD)
    with pytest.raises((ValueError, TypeError), match=match):
        rs.PackedSketches(**{**GOOD, field: value})


@pytest.mark.parametrize(
    "values", [np.array([np.nan, 1], np.float16), np.array([np.inf], np.float32), np.array([0x7F80], np.uint16)]
)
def test_stored_values_are_finite(values: np.ndarray) -> None:
    dtype = {2: "bfloat16" if values.dtype == np.uint16 else "float16", 4: "float32"}[values.itemsize]
    with pytest.raises(ValueError, match="values: wanted finite numbers; got NaN or infinity"):
        rs.PackedSketches(values, 1.0, 0.0, dtype)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 64), (64,), (0, 64)])
def test_files(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    packed = rs.pack(gaussian(1, 3 * 64)[0][: int(np.prod(shape))].reshape(shape), dtype)
    packed.save(tmp_path / "p.npz")
    back = rs.PackedSketches.load(str(tmp_path / "p.npz"))
    assert back.dtype == dtype
    for name in ("values", "scale", "noise"):
        a, b = getattr(back, name), getattr(packed, name)
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]


def test_another_byte_order(tmp_path: Path) -> None:
    packed = rs.pack(gaussian(2, 64), "float16")
    fields = {name: np.array(getattr(packed, name)) for name in ("values", "scale", "noise", "dtype")}
    swapped = {n: a.astype(a.dtype.newbyteorder(">")) if a.dtype.kind == "f" else a for n, a in fields.items()}
    (tmp_path / "p.npz").write_bytes(archive(recsketch=1, **swapped))
    assert np.array_equal(rs.PackedSketches.load(tmp_path / "p.npz").unpack(), packed.unpack())


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.npz"
    rs.pack(gaussian(2, 64), "int8").save(path)
    before = path.read_bytes()

    def fails(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        rs.pack(gaussian(5, 64), "int8").save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]


def refused(path: Path, content: bytes, match: str = "wanted a file written by PackedSketches.save") -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.npz: .*{match}") as caught:
        rs.PackedSketches.load(path)
    assert len(str(caught.value)) < 1000


def test_damaged_and_hostile_files(tmp_path: Path) -> None:
    """Truncated anywhere, any byte flipped, other arrays, pickles, another kind of file."""
    good, bad, mark = tmp_path / "good.npz", tmp_path / "bad.npz", tmp_path / "mark"
    packed = rs.pack(gaussian(2, 64), "int8")
    packed.save(good)
    content, members = good.read_bytes(), arrays(good)
    for cut in range(0, len(content), 7):
        refused(bad, content[:cut])
    told = 0
    for place in range(0, len(content), 5):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            found = rs.PackedSketches.load(bad)
        except ValueError:
            told += 1
            continue
        assert np.array_equal(found.unpack(), packed.unpack())  # it fell on a byte that means nothing
    assert told > 50
    for name in members:
        refused(bad, archive(**{k: v for k, v in members.items() if k != name}), "wanted the arrays")
        bomb = np.empty(1, dtype=object)
        bomb[0] = Bomb(mark)
        refused(bad, archive(**{**members, name: bomb}))
    assert not mark.exists()
    refused(bad, archive(**{**members, "recsketch": 2}), "wanted format 1; got 2")
    refused(bad, archive(**{**members, "more": 2}), "wanted the arrays")
    refused(bad, archive(**{**members, "scale": np.zeros(2)}), "scale: wanted positive")
    refused(bad, archive(**{**members, "dtype": "int3"}), "dtype: wanted")
    for dtype in (["int8"], 8, [8]):
        refused(bad, archive(**{**members, "dtype": dtype}), "dtype: wanted one string; got an array")
    trace = rs.Trace()
    trace.outputs([trace.add("a", [1.0])])
    rs.TraceBatch.from_traces([trace]).save(bad)
    refused(bad, bad.read_bytes(), "wanted the arrays")
    with pytest.raises(ValueError, match=r"TraceBatch\.save"):
        rs.TraceBatch.load(good)
    with pytest.raises(FileNotFoundError):
        rs.PackedSketches.load(tmp_path / "none.npz")
    with pytest.raises(TypeError, match="path: wanted a file name"):
        packed.save(3)  # type: ignore[arg-type]


# ---------------------------------------------------------------- decoders


def sample(build: Any, seed: int, low: float, high: float) -> tuple[ref.RefSpec, ref.RefTrace]:
    spec = ref.RefSpec(1024, LENGTHS, seed)
    rng = np.random.default_rng(seed)
    for _ in range(500):
        trace = build.tree(rng, spec, 2, 3, ragged=True)
        if low <= ref.load(spec, trace) <= high:
            return spec, trace
    raise AssertionError("no such tree")


@pytest.mark.parametrize("dtype", DTYPES)
def test_decoders_take_packed_sketches(build: Any, dtype: str) -> None:
    """The answer is that for the unpacked sketch, with its noise where that counts."""
    spec, trace = sample(build, 1, 0.2, 0.4)
    structure, sk = build.trace(trace), build.sketcher(spec)
    packed = rs.pack(sk.sketch([structure] * 3) * np.float32([[1.0], [1.01], [0.99]]), dtype)
    plain = packed.unpack()
    for method in ("lstsq", "matched", "paper"):
        got = sk.recover(packed, structure, method=method)
        want = sk.recover(plain, structure, method=method, noise=packed.noise if method == "lstsq" else None)
        one = sk.recover(packed[1], structure, method=method)
        assert len(got) == 3
        for a, b in [*zip(got, want, strict=True), (one, want[1])]:
            assert all(np.array_equal(x, y) for x, y in zip(a.attributes, b.attributes, strict=True))
            assert (a.residual, a.iterations) == (b.residual, b.iterations)
    for a, b in ((packed, packed), (packed, plain), (plain, packed)):
        assert np.array_equal(sk.similarity(a, b), sk.similarity(plain, plain))
    assert sk.similarity(packed[0], packed[1]) == sk.similarity(plain[0], plain[1])
    got, want = (sk.summary(s, "m7", unroll=False) for s in (packed[0], plain[0]))
    assert np.array_equal(got.mean, want.mean, equal_nan=True)
    assert got.count == want.count


@pytest.mark.parametrize("size", [0, 1])
def test_noise_ends_the_iterations(build: Any, size: int) -> None:
    """Stopping at the noise: as good as the least squares answer, in half of the iterations.

    In units of amplitudes the noise moves that answer by about sigma sqrt(n / (1 - load)). What is left of the
    gradient, 0.03 sigma sqrt(n), moves it by that over the smallest squared singular value, (1 - sqrt(load))^2 or so:
    at load 0.5 0.35 against 1.41. The two have nothing to do with each other: sqrt(1 + 0.25^2), 3%; 5% is allowed.
    Without its noise an int8 sketch is solved until float32 sweeps tell no more. Attributes a thousand times as large,
    and noise with them, change nothing in this.
    """
    for seed in range(4):
        spec, trace = sample(build, seed, 0.4, 0.5)
        scaled = [o._replace(attribute=o.attribute * np.float32(1000**size)) for o in trace.objects]
        structure, sk = build.trace(trace._replace(objects=scaled)), build.sketcher(spec)
        packed = rs.pack(sk.sketch(structure), "int8")
        found, full = sk.recover(packed, structure), sk.recover(packed, structure, noise=0)
        amplitude = np.repeat(ref.amplitudes(spec, trace)[0], [len(o.attribute) for o in scaled])
        truth = np.concatenate([o.attribute for o in scaled])
        error, best = (np.linalg.norm(amplitude * (np.concatenate(r.attributes) - truth)) for r in (found, full))
        assert error <= 1.05 * best
        assert best <= 1.5 * float(packed.noise) * np.sqrt(truth.size / (1 - ref.load(spec, trace)))
        assert 3 <= found.iterations <= 0.5 * full.iterations <= 50


def test_noise_counts_the_coordinates_that_are_kept(build: Any) -> None:
    """With a mask and without: the residual comes down to the noise, |e| sqrt(1 - unknowns / kept), within 10%."""
    spec, trace = sample(build, 2, 0.1, 0.2)
    structure, sk = build.trace(trace), build.sketcher(spec)
    s = sk.sketch(structure)
    unknowns = sum(len(o.attribute) for o in trace.objects)
    for share in (1.0, 0.6):
        mask = rs.erasure.keep_random(1024, share, seed=1)
        kept = int(mask.sum())
        noisy = s + np.float32(1e-3) * np.random.default_rng(3).standard_normal(1024).astype(np.float32)
        found = sk.recover(np.where(mask, noisy, np.float32(np.nan)), structure, mask=mask, noise=1e-3)
        size = found.residual * np.linalg.norm(noisy[mask])
        assert size == pytest.approx(1e-3 * np.sqrt(kept - unknowns), rel=0.1)


def test_each_sketch_has_its_own_noise(build: Any) -> None:
    """In a batch as alone, over threads; one number serves all; none and zero are the same."""
    spec, trace = sample(build, 3, 0.2, 0.4)
    structure, sk = build.trace(trace), build.sketcher(spec, threads=2)
    s = np.stack([sk.sketch(structure)] * 4) + np.float32(1e-2) * gaussian(4, 1024)
    noise = np.array([1e-2, 1e-3, 1e-1, 0.0])
    together = sk.recover(s, structure, noise=noise)
    for i, found in enumerate(together):
        alone = build.sketcher(spec).recover(s[i], structure, noise=noise[i])
        assert found.iterations == alone.iterations
        assert found == alone
    assert together[2].iterations < together[0].iterations < together[1].iterations < together[3].iterations
    assert [f.iterations for f in sk.recover(s[:2], structure, noise=1e-2)] == [
        f.iterations for f in sk.recover(s[:2], structure, noise=[1e-2, 1e-2])
    ]
    assert sk.recover(s[3], structure).iterations == together[3].iterations
    for method in ("matched", "paper"):
        a, b = (sk.recover(s[0], structure, method=method, noise=e) for e in (None, 1.0))
        assert all(np.array_equal(x, y) for x, y in zip(a.attributes, b.attributes, strict=True))


@pytest.mark.parametrize(
    ("noise", "match"),
    [
        (-1e-3, "noise: wanted a number from 0 to 1e30, or 2 of them; got -0.001"),
        (np.nan, "noise: wanted a number from 0 to 1e30"),
        (np.inf, "noise: wanted a number"),
        ([0.0, -1.0], r"noise: wanted .* got an array of shape \(2,\)"),
        ([0.0] * 3, r"noise: wanted .* got an array of shape \(3,\)"),
        ([[0.0, 0.0]], "noise: wanted"),
        ("3", "noise: wanted"),
        (True, "noise: wanted"),
    ],
)
def test_bad_noise(noise: Any, match: str) -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2}))
    trace = rs.Trace()
    trace.outputs([trace.add("a", [1.0, 2.0])])
    for method in ("lstsq", "matched"):
        with pytest.raises((ValueError, TypeError), match=match):
            sk.recover(sk.sketch([trace, trace]), trace, method=method, noise=noise)


def test_packed_sketches_of_another_length() -> None:
    sk = rs.Sketcher(rs.SketchSpec(64, {"a": 2}))
    trace = rs.Trace()
    trace.outputs([trace.add("a", [1.0, 2.0])])
    other = rs.pack(np.ones((2, 128)), "int8")
    for call in (
        lambda: sk.recover(other, trace),
        lambda: sk.similarity(other, other),
        lambda: sk.summary(other[0], "a"),
    ):
        with pytest.raises(ValueError, match="128"):
            call()
    with pytest.raises(ValueError, match="sketch: wanted a sketch of 64 numbers"):
        sk.summary(rs.pack(np.ones((2, 64)), "int8"), "a")
