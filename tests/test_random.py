"""Random bits: known answers, the reference, streams, and digests that may never change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import reference as ref
from hypothesis import given, settings
from hypothesis import strategies as st

import recsketch._core as _core

# Random123's known-answer vectors for philox4x32-10: counter, key, output.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    return [int(w) for w in _core.philox(np.array(counter, dtype=np.uint32), np.array(key, dtype=np.uint32))]


WORD = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "want"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, ...], want: tuple[int, ...]) -> None:
    assert tuple(int(w) for w in ref.philox4x32(counter, key)) == want
    assert philox(counter, key) == list(want)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_philox_is_the_reference(counter: tuple[int, ...], key: tuple[int, ...]) -> None:
    assert philox(counter, key) == [int(w) for w in ref.philox4x32(counter, key)]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(LONG, LONG, st.integers(0, 2), st.integers(0, 70))
def test_words_are_the_reference(seed: int, stream: int, part: int, n: int) -> None:
    assert np.array_equal(_core.stream_words(seed, stream, part, n), ref.stream_words(seed, stream, part, n))


def test_a_prefix_does_not_depend_on_the_length() -> None:
    whole = np.asarray(_core.stream_words(3, 5, 1, 4099))
    for n in (0, 1, 2, 3, 4, 5, 63, 64, 65, 127, 4096, 4098):
        assert np.array_equal(_core.stream_words(3, 5, 1, n), whole[:n])


def test_streams_are_named_by_hash() -> None:
    """The id is the first 8 bytes, little-endian: one worked by hand from sha256sum."""
    digest = hashlib.sha256(b"recsketch/1/position/0").digest()
    assert ref.stream("position", 0) == sum(b << (8 * i) for i, b in enumerate(digest[:8]))
    names = [ref.stream(r, n) for r in ("position", "module", "embedding", "counter") for n in (*range(16), "a", "ä")]
    assert len(set(names)) == len(names)


def test_parts_and_streams_are_unrelated() -> None:
    """Agreement of two independent bit strings of n bits: mean n/2, deviation sqrt(n)/2. 190 pairs, 7 deviations:
    failure probability 190 * 2.6e-12 = 5e-10 over seeds; the seeds are fixed."""
    n = 8192
    rows = [
        ref.signs(seed, ref.stream(role, name), part, n)
        for seed in (0, 1)
        for role, name in (("module", "a"), ("module", "b"), ("counter", "a"), ("position", 1), ("position", 2))
        for part in (0, 1)
    ]
    gram = np.stack(rows) @ np.stack(rows).T / np.sqrt(n)
    assert np.abs(gram[~np.eye(len(rows), dtype=bool)]).max() < 7
    assert np.abs(np.sum(rows, axis=1) / np.sqrt(n)).max() < 7


def test_golden_words(goldens: Path) -> None:
    """Digests of the first 4,099 words of named streams: format version 1, written from the reference."""
    table = json.loads((goldens / "words.json").read_text())
    assert len(table) >= 12
    for row in table:
        stream = ref.stream(row["role"], row["name"])
        words = np.asarray(_core.stream_words(row["seed"], stream, row["part"], row["words"]))
        assert hashlib.sha256(words.astype("<u4").tobytes()).hexdigest() == row["sha256"], row
