"""What `import recsketch` loads: the kernels, and the rest when it is asked for. Tools see all of it all the same."""

from __future__ import annotations

import ast
import inspect
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recsketch

SOURCE = ast.parse(Path(recsketch.__file__).read_text(encoding="utf-8"))
LATER: dict[str, str] = recsketch._LATER


def test_only_what_chooses_the_kernels_is_loaded_at_once(run_python: Any) -> None:
    done = run_python("import sys, recsketch; print(sorted(m for m in sys.modules if m.startswith('recsketch')))")
    assert done.stdout.strip() == "['recsketch', 'recsketch._config', 'recsketch._core']", done.stderr


def test_a_level_that_is_not_there_is_said_at_once(run_python: Any) -> None:
    done = run_python("import recsketch", RECSKETCH_ISA="mmx")
    assert "ImportError: RECSKETCH_ISA: wanted" in done.stderr


def test_a_type_checker_sees_the_same_names() -> None:
    """Below `if TYPE_CHECKING` each name is imported from where `_LATER` finds it, or from a package that does that."""
    (block,) = (node for node in SOURCE.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            seen[alias.asname or alias.name] = (node.module, alias.name)
    assert set(seen) == set(LATER) - {"__version__", "datasets"}
    for name, (module, what) in seen.items():
        place: dict[str, Any] = {}
        exec(f"from {module} import {what} as found", place)
        assert place["found"] is getattr(recsketch, name), name
    assert set(recsketch.__all__) == {*seen, "isa", "show_config"}


def test_every_name_is_there_and_listed(run_python: Any) -> None:
    assert set(recsketch.__all__) | set(LATER) == set(dir(recsketch))
    assert all(getattr(recsketch, name) is not None for name in dir(recsketch))
    done = run_python(
        "import recsketch\nfrom recsketch import *\n"
        "print([n for n in recsketch.__all__ if globals()[n] is not getattr(recsketch, n)])"
    )
    assert done.stdout.strip() == "[]", done.stderr
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = recsketch.nothing


def test_names_are_loaded_in_any_order(run_python: Any) -> None:
    """A file that can only be imported after another would show here: each name is the first of a fresh start."""
    code = (
        "import sys, recsketch\nbefore = set(sys.modules)\n"
        "for name in dir(recsketch):\n"
        "    getattr(recsketch, name)\n"
        "    for module in set(sys.modules) - before:\n"
        "        if module.startswith('recsketch'): del sys.modules[module]\n"
        "    for key in [k for k in vars(recsketch) if k in recsketch._LATER]: del vars(recsketch)[key]\n"
        "print('fine')"
    )
    done = run_python(code)
    assert done.stdout.strip() == "fine", done.stderr


def test_a_pickle_needs_no_import_before_it(run_python: Any) -> None:
    spec = recsketch.SketchSpec(dim=64, modules={"m": 3})
    packed = recsketch.pack(np.ones(64, np.float32), "int8")
    code = f"import pickle; a, b = pickle.loads({pickle.dumps((spec, packed))!r}); print(a.dim, type(b).__name__)"
    done = run_python(code)
    assert done.stdout.strip() == "64 PackedSketches", done.stderr


def test_help_finds_what_is_loaded_later() -> None:
    assert {name for name, _ in inspect.getmembers(recsketch)} >= set(recsketch.__all__)
