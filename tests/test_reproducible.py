"""The same bits for any number of threads and on every instruction set; digests that may never change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import make_goldens
import numpy as np
import pytest
import reference as ref

PROGRAM = """
import json, recsketch, make_goldens
print(json.dumps({"isa": recsketch.isa(), "bits": make_goldens.bits(threads=2)}))
"""


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    """Digests by one thread of this process, on whatever instruction set it runs."""
    return make_goldens.bits(threads=1)


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads(alone: dict[str, str], threads: int) -> None:
    assert make_goldens.bits(threads=threads) == alone


def test_every_instruction_set(alone: dict[str, str], isa_levels: list[str], run_python: Any) -> None:
    assert "portable" in isa_levels
    for level in isa_levels:
        done = run_python(PROGRAM, RECSKETCH_ISA=level)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["isa"] == level
        assert answer["bits"] == alone, level


def test_golden_bits(alone: dict[str, str], goldens: Path) -> None:
    """The bits of an earlier version, on another machine: a change here is a change of every stored sketch."""
    table: dict[str, str] = json.loads((goldens / "bits.json").read_text(encoding="utf-8"))
    assert len(table) == 3 * (4 * 4 + 1) + 3 * 4 + 2 * 9
    assert alone == table


def test_golden_matrices(goldens: Path, build: Any) -> None:
    """Every sign of every operator, embedding and counter, against digests written from the reference."""
    table = json.loads((goldens / "matrices.json").read_text(encoding="utf-8"))
    assert len(table) == len(make_goldens.specs())
    for spec, row in zip(make_goldens.specs(), table, strict=True):
        assert (row["dim"], row["seed"], row["rotation"]) == (spec.dim, spec.seed, spec.rotation)
        core = build.core(spec)
        eye = np.eye(spec.dim, dtype=np.float32)
        index = {"position": 0, "module": 1, "branch": 2}
        seen = dict.fromkeys(index, 0)
        places = {("branch", "in/0"): 2, ("branch", "in/1"): 3}  # 1 is their product
        for role, name in make_goldens.operators(spec):
            matrix = np.stack(
                [core.operator(index[role], places.get((role, name), seen[role]), False, e) for e in eye], axis=1
            )
            seen[role] += 1
            assert make_goldens.signature(matrix) == row["operators"][f"{role}/{name}"], (row, role, name)
        for i, (name, length) in enumerate(spec.modules.items()):
            units = np.eye(length, dtype=np.float32)
            columns = np.stack([core.embed(i, e) for e in units], axis=1)
            assert make_goldens.signature(columns) == row["embeddings"][name], (row, name)
            assert make_goldens.signature(core.counter(i)) == row["counters"][name], (row, name)


def test_the_reference_still_writes_the_goldens(goldens: Path) -> None:
    """The reference and the golden files cannot drift apart unseen."""
    assert json.loads((goldens / "words.json").read_text(encoding="utf-8")) == make_goldens.words()
    assert json.loads((goldens / "matrices.json").read_text(encoding="utf-8")) == make_goldens.matrices()


def test_golden_signatures_tell_matrices_apart() -> None:
    spec = make_goldens.specs()[0]
    rows = [make_goldens.signature(spec.rotated(role, name)) for role, name in make_goldens.operators(spec)]
    assert len(set(rows)) == len(rows)
    flipped = np.array(spec.rotated("position", 0))
    flipped[np.nonzero(flipped)[0][0]] *= -1
    assert make_goldens.signature(flipped) not in rows
    assert isinstance(spec, ref.RefSpec)
