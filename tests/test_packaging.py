"""What the project's files say about each other: version, dependencies, sources, workflow; no file is large."""

from __future__ import annotations

import importlib.metadata
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import recsketch

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LARGEST = 100_000

# Made by tools, and ignored by git.
IGNORED = {"build", "dist", "wheelhouse", "__pycache__", "gallery"}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\s<>=!~;\[]", r, maxsplit=1)[0].lower() for r in requirements}


def tree() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        if "pyvenv.cfg" in files:  # an environment, whatever its name
            folders.clear()
            continue
        folders[:] = [f for f in folders if f not in IGNORED and not f.endswith(".egg-info")]
        folders[:] = [f for f in folders if not f.startswith(".") or f in {".ci", ".github"}]
        yield from (Path(folder, f) for f in files if not f.endswith((".so", ".pyd", ".pyc")))


def test_one_version() -> None:
    version = PROJECT["project"]["version"]
    assert recsketch.__version__ == version == importlib.metadata.version("recsketch")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_installed_core_needs_numpy_only() -> None:
    """From the installed metadata, not from the file that it was made from."""
    requirements = importlib.metadata.requires("recsketch") or []
    assert [r for r in requirements if "extra ==" not in r] == PROJECT["project"]["dependencies"] == ["numpy>=1.26"]
    assert set(importlib.metadata.metadata("recsketch").get_all("Provides-Extra", [])) == set(EXTRAS)


def test_the_python_versions_agree() -> None:
    python = PROJECT["project"]["requires-python"]
    least = python.removeprefix(">=")
    assert PROJECT["tool"]["scikit-build"]["wheel"]["py-api"] == "cp" + least.replace(".", "")
    assert PROJECT["tool"]["mypy"]["python_version"] == least
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + least.replace(".", "")
    assert f"Programming Language :: Python :: {least}" in PROJECT["project"]["classifiers"]
    assert "cp" + least.replace(".", "") + "-*" in PROJECT["tool"]["cibuildwheel"]["build"].split()
    assert importlib.metadata.metadata("recsketch")["Requires-Python"] == python


def test_the_extras_agree() -> None:
    assert EXTRAS["dev"][0] == "recsketch[test]"
    assert names(PROJECT["build-system"]["requires"]) <= names(EXTRAS["dev"])  # for an editable install
    bounds: dict[str, set[str]] = {}
    for requirement in [*PROJECT["build-system"]["requires"], *(r for extra in EXTRAS.values() for r in extra)]:
        for name in names([requirement]) - {"recsketch"}:
            bounds.setdefault(name, set()).add(requirement)
    assert {name: b for name, b in bounds.items() if len(b) > 1} == {}


@pytest.mark.parametrize("package", ["hypothesis", "pytest", "scipy"])
def test_the_tests_have_what_they_import(package: str) -> None:
    assert package in names(EXTRAS["test"])


def test_the_workflow_is_the_canonical_one() -> None:
    copy = ROOT / ".github" / "workflows" / "wheels.yml"
    assert copy.read_bytes() == (ROOT / "wheels.yml").read_bytes()


def test_the_workflow_is_pinned() -> None:
    text = (ROOT / "wheels.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert len(uses) >= 5
    for action, comment in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert "\npermissions: {}\n" in text
    pinned = re.findall(r"cibuildwheel==(\S+)", text)
    assert len(pinned) == 1


def test_every_c_source_is_compiled() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    compiled = set(re.findall(r"csrc/([\w/]+\.c)\b", text))
    compiled |= {f"kernels/{name}.c" for name in re.findall(r"rsk_kernels\((\w+)[ )]", text) if name != "name"}
    assert compiled == {p.relative_to(ROOT / "csrc").as_posix() for p in (ROOT / "csrc").rglob("*.c")}


def test_no_file_is_large() -> None:
    files = list(tree())
    assert ROOT / "pyproject.toml" in files
    assert ROOT / "tests" / "c" / "contract.c" in files
    assert {str(f.relative_to(ROOT)): f.stat().st_size for f in files if f.stat().st_size > LARGEST} == {}
