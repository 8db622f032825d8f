"""libFuzzer, through atheris, on the reader of segment files: what is read was written, or there is a short error.

By hand:

    pip install atheris && python tests/fuzz/segments.py -max_total_time=600

An input is a whole segment file, or, where it is short, changes of one that is right: triples of a place and a byte.
Beside it lies the index of the right one, as a repository's index would.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports():
    import recsketch.repository.segments as segments
    from recsketch.repository.errors import RepositoryDamaged

import numpy as np

DIM, ROWS, REPOSITORY = 64, 5, bytes(range(16))
SHORT = 96  # bytes up to which an input says what is changed
PATH = Path(tempfile.mkdtemp()) / segments.name(1)
VALUES = np.random.default_rng(0).standard_normal((ROWS, DIM)).astype(np.float32)
RIGHT = segments.header(REPOSITORY, 1, "float32", DIM) + VALUES.tobytes()


def records() -> np.ndarray:
    found = np.zeros(ROWS, segments.RECORD)
    found["row"], found["crc"] = np.arange(ROWS), segments.crcs(VALUES)
    found["scale"], found["norm"] = 1.0, np.linalg.norm(VALUES, axis=1)
    return found


def one_input(data: bytes) -> None:
    file = data
    if len(data) <= SHORT:
        changed = bytearray(RIGHT)
        for a, b, value in zip(data[0::3], data[1::3], data[2::3], strict=False):
            changed[(a << 8 | b) % len(RIGHT)] = value
        file = bytes(changed)
    PATH.write_bytes(file)
    segment = segments.Segment(str(PATH.parent), REPOSITORY, 1, "float32", DIM)
    segment.extend([records()])
    try:
        segment.verify()
        read = segment.values().copy()
        units = segment.units(np.arange(ROWS))
    except (RepositoryDamaged, ValueError) as e:
        if len(str(e)) > 1000:
            raise AssertionError("a long message") from e
        return
    assert read.tobytes() == VALUES.tobytes(), "other rows than were written"
    assert np.allclose(units, VALUES / np.linalg.norm(VALUES, axis=1)[:, None], rtol=1e-5)


def main() -> None:
    corpus = PATH.parent / "corpus"
    corpus.mkdir()
    for name, seed in {"right": RIGHT, "header": RIGHT[:4096], "none": b"", "change": b"\x10\x00\x01"}.items():
        (corpus / name).write_bytes(seed)
    atheris.Setup([sys.argv[0], "-max_len=6000", *sys.argv[1:], str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
