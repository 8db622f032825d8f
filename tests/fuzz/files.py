"""Feeds mutated files to every reader: nothing but an object or a short ValueError may come of it. Run by hand:

    python tests/fuzz/files.py                        # a few thousand inputs, as tests/test_fuzz.py does
    python tests/fuzz/files.py --inputs 300000 --seed 7
    python tests/fuzz/files.py --every-byte           # each byte of each file: all 255 changes, removal, truncation

The files are those of the newest format in tests/fixtures. A mutant changes bytes of the whole file, or of one array
inside it, whose check sum is then made right again, so that headers and columns are reached too. What a reader accepts
must be written and read back equal, and be of use or refuse to be with a ValueError. A process may take 64 MiB beyond
what it has after its first input; a crash leaves the input in the folder that is printed first.
"""

from __future__ import annotations

import argparse
import copy
import io
import os
import random
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads' stacks would count as memory
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import recsketch as rs
from recsketch.cli import files as cli_files
from recsketch.populations.changes.monitor import Monitor

FIXTURES = sorted((Path(__file__).resolve().parent.parent / "fixtures").iterdir())[-1]
EXTRA = 64 << 20  # bytes of memory beyond those after the first input
LONGEST = 1000  # characters of a message

NUMBERS = (b"0", b"-1", b"1", b"2", b"3", b"64", b"255", b"65536", b"4294967296", b"9223372036854775807", b"1e999")
WORDS = (
    *NUMBERS,
    *(
        b"<U0",
        b"<U1",
        b"<U536870911",
        b"|O",
        b"|V8",
        b"<f8",
        b">f4",
        b"<c16",
        b"|b1",
        b"<i8",
        b"True",
        b"(",
        b")",
        b",",
    ),
    *(
        b"'shape': (100000000,)",
        b"'fortran_order': True",
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"null",
        b"NaN",
        b"\xef\xbb\xbf",
    ),
    *(b"\x00", b"\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\xff\xff\xff\x7f"),
    *(
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"PK\x06\x06",
        b"PK\x06\x07",
        b"\x93NUMPY\x01\x00",
        b"\x93NUMPY\x02\x00",
    ),
)


class Target(NamedTuple):
    """A file, its reader, its writer, and something to do with what is read."""

    content: bytes
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], None]
    use: Callable[[Any], object]
    equal: Callable[[Any, Any], bool] = lambda a, b: bool(a == b)


def targets() -> dict[str, Target]:
    sketcher = rs.Sketcher(rs.SketchSpec(64, {"page": 2, "ä b": 3}, max_inputs=5), threads=1)

    def use_batch(batch: rs.TraceBatch) -> None:
        assert len(repr(batch)) < 10_000
        for use in (lambda: batch.modules, lambda: [str(trace) for trace in batch], lambda: sketcher.sketch(batch)):
            refusing(use)

    def use_packed(packed: rs.PackedSketches) -> None:
        assert np.isfinite(packed.unpack()).all()
        refusing(lambda: sketcher.similarity(packed, packed))

    def use_monitor(monitor: Monitor) -> None:
        assert len(repr(monitor)) < 1000
        other = copy.deepcopy(monitor)  # which changes
        refusing(lambda: other.update(np.ones(len(other.elements)), other.block))

    def use_dictionary(d: rs.Dictionary) -> None:
        assert len(str(d)) < 10_000
        for use in (lambda: [d.matrix(m) for m in d.columns], lambda: d.read(np.ones((2, d.dim), np.float32))):
            refusing(use)

    def write_sketches(read: Any, path: Path) -> None:
        with open(path, "wb") as file:
            cli_files.write_sketches(file, *read)

    def same(a: Any, b: Any) -> bool:
        return a[0] == b[0] and np.array_equal(a[1], b[1], equal_nan=True)

    found = {
        "traces.npz": Target(b"", rs.TraceBatch.load, rs.TraceBatch.save, use_batch),
        "monitor.npz": Target(b"", Monitor.load, Monitor.save, use_monitor, lambda a, b: saved(a) == saved(b)),
        "dictionary.npz": Target(b"", rs.Dictionary.load, rs.Dictionary.save, use_dictionary),
        "sketches.npz": Target(b"", lambda p: cli_files.read_sketches(str(p)), write_sketches, repr, same),
        "spec.json": Target(
            b"",
            lambda p: cli_files.read_spec(str(p)),
            lambda spec, p: p.write_text(spec.to_json(), encoding="utf-8") and None,
            lambda spec: (repr(spec), hash(spec), spec.allowed(), spec.lengths),
        ),
    }
    for dtype in ("float32", "float16", "bfloat16", "int8"):
        name = f"packed-{dtype}.npz"
        found[name] = Target(b"", rs.PackedSketches.load, rs.PackedSketches.save, use_packed)
    made = {name: target._replace(content=(FIXTURES / name).read_bytes()) for name, target in found.items()}
    mask = io.BytesIO()
    np.save(mask, np.arange(128).reshape(2, 64) % 3 > 0)
    made["mask.npy"] = Target(
        mask.getvalue(),
        lambda p: cli_files.read_mask(str(p), 2, 64),
        lambda m, p: np.save(open(p, "wb"), m),  # noqa: SIM115  # closed with the last reference
        np.any,
        np.array_equal,
    )
    return made


def saved(monitor: Monitor) -> bytes:
    file = io.BytesIO()
    monitor.save(file)
    return file.getvalue()


def refusing(use: Callable[[], object]) -> None:
    """Whatever is of no use says so in a short ValueError."""
    try:
        use()
    except ValueError as e:
        check_length(e)


def check_length(error: Exception) -> None:
    message = str(error)
    assert len(message) <= LONGEST, message[:200]


# ---------------------------------------------------------------- mutants


def every_byte(content: bytes) -> Iterator[bytes]:
    for place, byte in enumerate(content):
        before, after = content[:place], content[place + 1 :]
        yield before
        yield before + after
        for other in range(256):
            if other != byte:
                yield before + bytes([other]) + after


def mutant(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to four changes."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(out) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 16, 200))
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[place % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[place % len(out)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del out[place : place + length]
        elif kind == 3:
            out[place:place] = rng.choice(WORDS)
        elif kind == 4:
            word = rng.choice(WORDS)
            out[place : place + len(word)] = word
        elif kind == 5:
            source = rng.choice((bytes(out), *others))
            begin = rng.randrange(len(source) + 1)
            out[place : place + rng.choice((0, length))] = source[begin : begin + length]
        elif kind == 6:
            del out[place:]
        else:
            digits = [k for k, c in enumerate(out) if chr(c).isdigit()]
            if digits:
                at = rng.choice(digits)
                end = at + 1
                while end < len(out) and chr(out[end]).isdigit():
                    end += 1
                out[at:end] = rng.choice(NUMBERS)
    return bytes(out)


def inside(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A mutant of one array in an archive, or of its header, or with another of the archive's arrays in its place."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    body = members[name]
    kind = rng.randrange(4)
    if kind == 0:
        body = members[rng.choice(list(members))]
    elif kind == 1:  # the header alone, in its length
        head = body.index(b"\n") + 1
        changed = mutant(body[10 : head - 1].rstrip(), others, rng)[: head - 11]
        body = body[:10] + changed.ljust(head - 11) + b"\n" + body[head:]
    elif kind == 2:  # the numbers alone, in their length
        head = body.index(b"\n") + 1
        body = body[:head] + mutant(body[head:], others, rng)[: len(body) - head].ljust(len(body) - head, b"\0")
    else:
        body = mutant(body, others, rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for other, data in members.items():
            archive.writestr(other, body if other == name else data)
    return out.getvalue()


def inputs(count: int, seed: int, found: dict[str, Target]) -> Iterator[tuple[str, bytes]]:
    rng, contents = random.Random(seed), [target.content for target in found.values()]
    for _ in range(count):
        name = rng.choice(list(found))
        archive = name.endswith(".npz") and rng.random() < 0.7
        yield name, (inside if archive else mutant)(found[name].content, contents, rng)


# ---------------------------------------------------------------- the run


def limit_memory() -> None:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        print("memory: not limited, for want of /proc")
        return
    most = pages * resource.getpagesize() + EXTRA
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def fate(target: Target, path: Path) -> str:
    """Whether the file is refused or holds the same, or another object, which is then used, written and read again."""
    try:
        read = target.read(path)
    except ValueError as e:
        check_length(e)
        return "refused"
    target.use(read)
    again = path.with_name("again")
    target.write(read, again)
    assert target.equal(target.read(again), read), "what was written is read as another object"
    again.write_bytes(target.content)
    return "equal" if target.equal(target.read(again), read) else "another"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=4000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--every-byte", action="store_true")
    parser.add_argument("--only", default="", metavar="NAME", help="files whose name begins so")
    arguments = parser.parse_args()
    found = {name: target for name, target in targets().items() if name.startswith(arguments.only)}
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    print(folder, flush=True)
    path = folder / "current"
    if arguments.every_byte:
        every = ((name, changed) for name, target in found.items() for changed in every_byte(target.content))
    else:
        every = inputs(arguments.inputs, arguments.seed, found)
    for target in found.values():  # whatever is loaded on first use is loaded now
        path.write_bytes(target.content)
        assert fate(target, path) == "equal"
    limit_memory()
    warnings.simplefilter("ignore")  # NumPy and Python tell of odd headers in this way, too
    fates: Counter[tuple[str, str]] = Counter()
    for name, content in every:
        path.write_bytes(content)
        try:
            fates[name, fate(found[name], path)] += 1
        except BaseException:
            print(f"{name}: {path}", flush=True)
            raise
    for name in found:
        counts = ", ".join(f"{fates[name, kind]} {kind}" for kind in ("refused", "equal", "another"))
        print(f"{name}: {counts}")
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
