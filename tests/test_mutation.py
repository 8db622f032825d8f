"""The script that plants bugs, tests/mutation: its bugs have a place, and it finds those of a small source."""

from __future__ import annotations

from pathlib import Path

import mutate
import pytest
from planted import PLANTED

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(("file", "old", "new"), PLANTED)
def test_a_planted_bug_has_its_place(file: str, old: str, new: str) -> None:
    assert (ROOT / file).read_text(encoding="utf-8").count(old) == 1
    assert old != new


def test_every_file_has_tests_that_see_it_first() -> None:
    for name in mutate.sources((".py",), "") | mutate.sources((".c", ".h"), ""):
        wing = next(w for w in mutate.FIRST if name.startswith(w))
        for test in mutate.FIRST[wing].split():
            assert (ROOT / "tests" / f"test_{test}.py").exists(), f"{wing}: {test}"


def test_mutants_of_python() -> None:
    source = 'def f(x: int = 3) -> bool:\n    """a < b"""\n    if x < 1 and not x:\n        raise ValueError(x)\n'
    source += "    return x + 1\n"
    found = {m.apply(source).splitlines()[k] for m in mutate.python_mutants("f.py", source) for k in range(2, 5)}
    assert found == {
        "    if x < 1 and not x:",
        "    if x <= 1 and not x:",
        "    if x < (1 + 1) and not x:",
        "    if x < 1 or not x:",
        "    if x < 1 and x:",
        "    if (not (x < 1 and not x)):",
        "        raise ValueError(x)",
        "        pass",
        "    return x + 1",
        "    return x - 1",
        "    return x + (1 + 1)",
        "    return None",
    }


def test_mutants_of_c() -> None:
    source = '#define A 1 < 2\n/* 1 < 2 */\nint f(int x) {\n    if (x < 2) g(x, "1 < 2");\n    return x * 3;\n}\n'
    found = {m.apply(source).split("\n", 3)[3] for m in mutate.c_mutants("f.c", source)}
    rest = "\n    return x * 3;\n}\n"
    call = '    if (x < 2) g(x, "1 < 2");'
    assert {call.replace("<", "<=", 1) + rest, call.replace("2", "(2 + 1)", 1) + rest} <= found
    assert {
        call.replace("x < 2", "!(x < 2)") + rest,
        call + rest.replace("*", "/"),
        call + rest.replace("3", "(3 + 1)"),
    } <= found
    assert len(found) == 5
