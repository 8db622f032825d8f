"""RECSKETCH_ISA: the level asked for, or an error at import that names the variable; never another level."""

from __future__ import annotations

from typing import Any

import pytest

import recsketch as rs


@pytest.mark.parametrize("level", ["sse9", "AVX2", "neon512", " ", "portable,avx2", "0"])
def test_an_unknown_instruction_set_is_refused_at_import(run_python: Any, level: str) -> None:
    done = run_python("import recsketch; print(recsketch.isa())", RECSKETCH_ISA=level)
    assert done.returncode == 1
    assert "RECSKETCH_ISA" in done.stderr
    assert any(e in done.stderr for e in ("ImportError", "RuntimeError"))


def test_an_instruction_set_of_another_cpu_is_refused_at_import(run_python: Any, isa_levels: list[str]) -> None:
    lacking = [level for level in ("portable", "avx2", "avx512", "neon") if level not in isa_levels]
    assert lacking, "no CPU has both avx and neon"
    for level in lacking:
        done = run_python("import recsketch", RECSKETCH_ISA=level)
        assert done.returncode == 1
        assert "RECSKETCH_ISA" in done.stderr
        assert level in done.stderr


def test_the_level_is_the_one_asked_for(run_python: Any, isa_levels: list[str]) -> None:
    for level in isa_levels:
        done = run_python("import recsketch; print(recsketch.isa())", RECSKETCH_ISA=level)
        assert done.stdout.split()[-1:] == [level], done.stderr
    assert rs.isa() in isa_levels
