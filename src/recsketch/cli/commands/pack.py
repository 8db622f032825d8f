"""The command `pack`: sketches to fewer bytes, and back."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

import recsketch._check as _check
import recsketch._files as _files
from recsketch.cli.files import (
    is_parquet,
    is_table,
    keep_apart,
    members,
    read_sketches,
    read_table,
    target,
    write_sketches,
)
from recsketch.cli.options import SKETCHES, Run, add_dtype, add_in_and_out, add_json, add_spec, take_out, tell, told
from recsketch.cli.table import command
from recsketch.sketching.packing import STORED, PackedSketches
from recsketch.sketching.packing import pack as packed


@command("recsketch pack sketches.npz small.npz --dtype int8")
def pack(parser: argparse.ArgumentParser) -> Run:
    """Store sketches in 2 bytes a number or 1, and back. The error that costs is stored, too, and every reader takes it
    into account. What comes of a file of sketches lacks the specification, which commands that read it take as --spec;
    of float32 it is a file of sketches again. A folder or a table of sketches becomes a table, .parquet or .npz, which
    has all."""
    add_in_and_out(parser, "IN", SKETCHES, "the packed sketches, a name in .npz or .parquet", one=True)
    add_spec(parser)
    add_dtype(parser, tuple(STORED), "float16")
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        take_out(parser, args, (".npz", ".parquet", ".pq"))
        given, dtype = args.inputs[0], args.dtype or "float16"
        keep_apart([given, args.spec], [args.out])
        if is_table(given) or {"values", "spec"} <= members(given):
            count, size = _table(given, args.out, dtype)
        else:
            if is_parquet(args.out):
                raise ValueError("OUT: wanted a name in .npz for what is no folder and no table; got one in .parquet")
            spec, sketches = read_sketches(given, args.spec)
            plain = sketches.unpack() if isinstance(sketches, PackedSketches) else sketches
            made = packed(plain, dtype)
            with _files.written(target(args.out)) as out:
                if dtype == "float32":
                    write_sketches(out, spec, np.asarray(plain, np.float32))
                else:
                    made.save(out)
            count, size = len(made), made.nbytes
        text = f"{_check.count(count, 'row')} as {dtype}, {size:,} bytes"
        facts = {"rows": count, "dtype": dtype, "bytes": size}
        tell(args, f"{args.out}: {text}", facts, told(args.out))

    return run


def _table(given: str, out: str, dtype: str) -> tuple[int, int]:
    """Rows, and the bytes of their sketches."""
    found = read_table(given)
    if found.sketches.dtype != dtype:
        found = dataclasses.replace(found, sketches=packed(found.unpack(), dtype))
    with _files.written(target(out)) as file:
        (found.to_parquet if is_parquet(out) else found.to_npz)(file)
    return len(found), found.sketches.nbytes
