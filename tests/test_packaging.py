"""What the project's files say about each other: version, dependencies, sources, workflow; no file is large."""

from __future__ import annotations

import importlib.metadata
import json
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


@pytest.mark.parametrize(("name", "least"), [("wheels", 5), ("checks", 2)])
def test_the_workflows_are_pinned(name: str, least: int) -> None:
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (\S+)(.*)", text)
    assert len(uses) >= least
    for action, comment in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    assert "\npermissions: {}\n" in text
    assert len(re.findall(r"cibuildwheel==(\S+)", text)) == (name == "wheels")


def test_a_workflow_runs_the_checks() -> None:
    workflows = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / ".github" / "workflows").iterdir()}
    assert set(workflows) == {"checks.yml", "wheels.yml"}  # each is one of those that are pinned
    assert "bash .ci/run\n" in workflows["checks.yml"]


def shipped() -> set[str]:
    """Files of the package that are not this project's own text."""
    ours = {".py", ".pyi", ".pyx", ".pxi", ".typed", ".md", ".html", ".css", ".js"}
    files = (p for p in (ROOT / "src").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(ROOT / "src").as_posix() for p in files if p.suffix not in {*ours, ".so", ".pyd"}}


def test_what_is_shipped_has_its_licence() -> None:
    """A line in LICENSES/README.md, whose texts are there; pyproject.toml puts all of that folder into the wheel."""
    page = (ROOT / "LICENSES" / "README.md").read_text(encoding="utf-8")
    assert {name for name in shipped() if Path(name).name not in page} == set()
    texts = set(re.findall(r"`([\w.-]+\.txt)`", page))
    assert texts == {p.name for p in (ROOT / "LICENSES").glob("*.txt")}
    assert set(PROJECT["project"]["license-files"]) == {"LICENSE", "LICENSES/*"}
    assert PROJECT["project"]["license"] == "BSD-3-Clause AND CC-BY-4.0"


def test_the_bill_of_materials_names_what_is_shipped() -> None:
    """Its template, which CMake fills in; `.ci/check_wheel.py` looks at that of a wheel."""
    bill = json.loads((ROOT / "tools" / "sbom.cdx.json.in").read_text(encoding="utf-8"))
    data = {part["name"]: part for part in bill["components"] if part["type"] != "library"}
    assert set(data) == shipped()
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    (names,) = re.findall(r"foreach\(data ([\w ]+)\)", cmake)
    for name, part in data.items():
        assert Path(name).stem in names.split()
        assert part["hashes"] == [{"alg": "SHA-256", "content": f"@{Path(name).stem}_sha256@"}]
        assert part["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['project']['version']}\n" in text
    assert "\nlicense: BSD-3-Clause\n" in text
    assert f"- name: {PROJECT['project']['authors'][0]['name']}\n" in text


def test_every_c_source_is_compiled() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    compiled = set(re.findall(r"csrc/([\w/]+\.c)\b", text))
    compiled |= {f"kernels/{name}.c" for name in re.findall(r"rsk_kernels\((\w+)[ )]", text) if name != "name"}
    assert compiled == {p.relative_to(ROOT / "csrc").as_posix() for p in (ROOT / "csrc").rglob("*.c")}


RUNS_CODE = re.compile(
    r"^\s*(?:import|from) (?:pickle|marshal|shelve|joblib|dill|cloudpickle)\b|torch\.load\(|(?<![\w.])(?:eval|exec)\("
    r"|allow_pickle=True|np\.load\((?![^)]*allow_pickle=False)",
    re.MULTILINE,
)


def test_nothing_that_is_read_can_run() -> None:
    """As SECURITY.md says: no module of the package unpickles, evaluates, or lets NumPy do it."""
    for bad in ("import pickle\n", "    from joblib import load\n", "x = eval(t)\n", "np.load(p)\n", "torch.load(p)"):
        assert RUNS_CODE.search(bad)
    sources = [p for p in (ROOT / "src").rglob("*") if p.suffix in {".py", ".pyx", ".pxi"}]
    assert len(sources) > 200
    found = {p.name: RUNS_CODE.findall(p.read_text(encoding="utf-8")) for p in sources}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_no_file_is_large() -> None:
    files = list(tree())
    assert ROOT / "pyproject.toml" in files
    assert ROOT / "tests" / "c" / "contract.c" in files
    assert {str(f.relative_to(ROOT)): f.stat().st_size for f in files if f.stat().st_size > LARGEST} == {}
