"""Who may import whom, held by parsing: docs/design.md's layout, without running a line of it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "recsketch"
CSRC = ROOT / "csrc"

# What a module may import of the package. What is not listed stands above all of these: nothing here may import it.
BELOW = {
    "_core": set(),
    "_check": {"_core"},
    "_npz": {"_check"},
    "drawing": set(),
    "trace": {"_check", "_core", "drawing"},
    "batch": {"_check", "_core", "_npz", "trace"},
    "spec": {"_check", "_core", "trace", "batch"},
    "signature": {"_check", "_core", "trace", "batch", "spec"},
    "storage": {"_check", "_npz"},
    "erasure": {"_check", "_core", "spec"},
    "transforms": {"_check", "_core"},
    "scan": {"_check", "_core"},
    "hadamard": {"_check", "_core", "spec"},
    "_dense": {"_core"},
    "sparse": {"_check", "_dense", "hadamard"},
    "plan": {"_check", "_core", "batch", "spec", "trace"},
    "recovery": {"_check", "_core", "batch", "spec", "trace", "signature", "plan"},
    "unroll": {"_check", "_core", "drawing", "spec", "trace"},
    "statistics": {"_check", "_core", "batch", "spec", "trace", "plan"},
    "sketcher": {
        "_check",
        "_core",
        "batch",
        "spec",
        "trace",
        "signature",
        "storage",
        "plan",
        "recovery",
        "statistics",
        "unroll",
    },
}
# Wings of csrc: what each may include, beside its own private header and recsketch.h. A function of a wing above is not declared
# where these hold, and -Werror=implicit-function-declaration makes calling it an error.
WINGS = {
    "base": set(),
    "kernels": {"base"},
    "recursion": {"base"},
    "reading": {"base", "recursion"},
    "parts": {"base"},
}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module.split(".")[0]} if node.module else {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "recsketch":
            rest = (node.module or "").split(".")[1:]
            found |= {rest[0]} if rest else {a.name for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {[*a.name.split("."), ""][1] for a in node.names if a.name.split(".")[0] == "recsketch"}
    return found


# What may be imported besides NumPy and the standard library, inside functions only: file -> packages.
OPTIONAL = {"transforms/_base": {"pandas", "polars", "scipy", "sklearn"}, "transforms/_tensor": {"scipy"}}


def files_of(module: str) -> list[Path]:
    """A module's file, or the files of a package."""
    folder = PACKAGE / module
    return sorted(folder.glob("*.py")) if folder.is_dir() else [PACKAGE / f"{module}.py"]


@pytest.mark.parametrize("module", sorted(set(BELOW) - {"_core"}))
def test_a_module_imports_only_what_is_below(module: str) -> None:
    for file in files_of(module):
        own = {module} if file.parent != PACKAGE else set()
        assert imports(file) <= BELOW[module] | own, file.name


def test_the_import_parser_sees_every_form(tmp_path: Path) -> None:
    """The gate above has been seen to fail: every way to write an import is found."""
    file = tmp_path / "x.py"
    file.write_text(
        "from . import a, b\nfrom .c import d\nimport recsketch.e\nfrom recsketch.f import g\nfrom recsketch import h\n"
        "def late():\n    from .i.j import k\nimport os, numpy.linalg\n"
    )
    assert imports(file) == {"a", "b", "c", "e", "f", "h", "i"}


def test_the_core_modules_need_numpy_alone() -> None:
    allowed = {"numpy", "recsketch", "typing_extensions", *sys.stdlib_module_names} - {"typing_extensions"}
    for file in [f for module in sorted(set(BELOW) - {"_core"}) for f in files_of(module)]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        extra = OPTIONAL.get(str(file.relative_to(PACKAGE).with_suffix("")), set())
        for node in ast.walk(tree):
            here = allowed if node in tree.body else allowed | extra
            if isinstance(node, ast.Import):
                assert {a.name.split(".")[0] for a in node.names} <= here, file.name
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").split(".")[0] in here, file.name


def test_the_reference_stands_alone() -> None:
    text = (Path(__file__).parent / "reference.py").read_text(encoding="utf-8")
    found = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert found <= {"numpy", *sys.stdlib_module_names}


def test_no_test_reads_a_clock() -> None:
    """An assertion on elapsed time fails on a busy machine and passes on a broken one."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"time", "timeit", "datetime"} & set(names), file.name


# ---------------------------------------------------------------- C


def c_files() -> dict[str, Path]:
    return {str(p.relative_to(CSRC)): p for p in sorted(CSRC.rglob("*.[ch]"))}


def includes(path: Path) -> list[str]:
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', path.read_text(encoding="utf-8"), flags=re.M)


def test_every_wing_of_c_is_known() -> None:
    assert {name.split("/")[0] for name in c_files()} == {"recsketch.h", *WINGS}


def test_a_wing_of_c_includes_only_what_is_below() -> None:
    """A name without a folder is a neighbour's, in a folder it is from csrc: the compiler finds no other."""
    seen = 0
    for name, path in c_files().items():
        wing = name.split("/")[0]
        for header in includes(path):
            if "/" in header and (CSRC / header).exists():
                seen += 1
                assert header.split("/")[0] in WINGS[wing] | {wing}, f"{name} includes {header}"
            elif wing != "recsketch.h":
                assert (path.parent / header).exists() or not (CSRC / header).exists() or header == "recsketch.h", name
    assert seen >= 20


def test_only_kernels_know_an_intrinsic() -> None:
    marks = re.compile(
        r"immintrin|arm_neon|\b_mm\d*_|\b__m(128|256|512)|\bfloat32x4|\bv(ld1|st1|add)q?_|__builtin_ia32"
    )
    kernels = 0
    for path in [*CSRC.rglob("*.c"), *CSRC.rglob("*.h")]:
        used = marks.search(path.read_text(encoding="utf-8"))
        if path.parent.name == "kernels" and path.suffix == ".c":
            kernels += bool(used)
        else:
            assert not used, f"{path.name}: {used[0] if used else ''}"
    assert kernels >= 3


def test_c_includes_stay_inside() -> None:
    """No Python.h, no stdio: the library does no I/O and knows no binding."""
    for name, path in c_files().items():
        assert not {"Python.h", "stdio.h", "numpy/arrayobject.h"} & set(includes(path)), name
