"""Every example in a docstring and in the README runs and says what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import recsketch

ROOT = Path(__file__).resolve().parent.parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules() -> list[str]:
    names = [m.name for m in pkgutil.walk_packages(recsketch.__path__, "recsketch.")]
    return ["recsketch", *(n for n in names if not n.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


def test_the_public_names_have_examples() -> None:
    """Every public class and function is documented; together they hold a fair number of examples."""
    for name in recsketch.__all__:
        if not name.startswith("__"):
            assert getattr(recsketch, name).__doc__, name
    finder = doctest.DocTestFinder()
    examples = sum(len(t.examples) for m in modules() for t in finder.find(importlib.import_module(m)))
    assert examples >= 10


def blocks(path: Path) -> list[str]:
    return re.findall(r"^```(?:python|pycon)\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.S | re.M)


@pytest.mark.parametrize(
    "page", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md")))]
)
def test_pages(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run in order, in one namespace, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    found = blocks(ROOT / page)
    assert found or page != "README.md"
    namespace: dict[str, object] = {"__name__": "page"}
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for i, text in enumerate(found):
        if ">>>" in text:
            test = doctest.DocTestParser().get_doctest(text, namespace, f"{page}[{i}]", page, 0)
            assert runner.run(test, clear_globs=False).failed == 0
            namespace = test.globs
        else:
            exec(compile(text, f"{page}[{i}]", "exec"), namespace)
