"""Who may import whom, held by parsing: the layers of docs/implementation.md, without running a line of it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "recsketch"
CSRC = ROOT / "csrc"

# Wings of the package, a folder or a file each: which wings it may import, beside itself. Everyone may import `_check`
# and `_core`. What is not listed as somebody's may be imported by nobody.
BELOW = {
    "_core": set(),
    "_arrow": {"_files"},
    "_check": set(),
    "_config": set(),
    "_lock": set(),
    "_files": set(),
    "_npz": {"_files"},
    "_streams": set(),
    "_values": set(),
    "_scan": {"sketching"},
    "transforms": {"_streams", "sparse"},
    "sparse": {"_streams", "_values"},
    "erasure": {"_streams"},
    "runs": {"_arrow", "_files", "_lock", "_npz", "_values", "views"},
    "sketching": {"_arrow", "_files", "_npz", "_streams", "_values", "runs"},
    "reading": {"_files", "_scan", "_values", "runs", "sketching"},
    "sketcher": {"runs", "sketching", "reading"},
    "learning": {"_files", "_npz", "_streams", "_values", "display", "runs", "sketcher", "sketching", "transforms"},
    "repository": {
        "_arrow",
        "_files",
        "_lock",
        "_npz",
        "_scan",
        "_values",
        "reading",
        "runs",
        "sketcher",
        "sketching",
        "views",
    },
    "populations": {"_files", "_npz", "_streams", "_values", "reading", "runs", "sketching"},
    "pipeline": {"_arrow", "_files", "_lock", "_npz", "runs", "sketcher", "sketching"},
    "capture": {"_values", "runs"},
    "datasets": {"runs"},
    "display": set(),
    "views": set(),
    "trials": {"_values", "display", "reading", "runs", "sketcher", "sketching"},
    "demo": {
        "_config",
        "capture",
        "datasets",
        "display",
        "erasure",
        "populations",
        "repository",
        "runs",
        "sketcher",
        "sketching",
    },
    "cli": {
        "_arrow",
        "_config",
        "_files",
        "_npz",
        "capture",
        "demo",
        "display",
        "learning",
        "pipeline",
        "populations",
        "reading",
        "repository",
        "runs",
        "sketcher",
        "sketching",
        "trials",
    },
    "__main__": {"cli"},
}
FRONT = {"cli", "demo", "datasets", "display", "__main__"}  # not loaded by `import recsketch`

# Wings of csrc: what each may include, beside its own private header and recsketch.h. Where this holds, functions of a
# wing above are not declared, and -Werror=implicit-function-declaration makes calling one an error.
WINGS = {
    "base": set(),
    "kernels": {"base"},
    "recursion": {"base"},
    "reading": {"base", "recursion"},
    "parts": {"base"},
    "learning": {"base"},
}


def imports(path: Path) -> list[list[str]]:
    """What a file imports of the package, at any depth of its code: names below `recsketch`; []: the package."""
    found: list[list[str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide which wing they reach"
            if (node.module or "").split(".")[0] == "recsketch":
                found.append((node.module or "").split(".")[1:])
        elif isinstance(node, ast.Import):
            found += [a.name.split(".")[1:] for a in node.names if a.name.split(".")[0] == "recsketch"]
    return found


# What may be imported besides NumPy and the standard library, inside functions only: file -> packages.
OPTIONAL = {
    "_arrow": {"pyarrow"},
    "capture/onnx": {"onnx", "onnxruntime"},
    "demo/ocr": {"onnx", "PIL", "rapidocr"},
    "capture/otlp/sources": {"orjson"},
    "capture/torch/__init__": {"torch"},
    "repository/approximate/index": {"faiss"},
    "learning/modular": {"sklearn"},
    "populations/plotting": {"matplotlib"},
    "repository/graph/graph": {"networkx"},
    "repository/postgres/tables": {"psycopg"},
    "transforms/_base": {"pandas", "polars", "sklearn"},
    "transforms/_hashing": {"scipy"},
    "transforms/_linear": {"scipy"},
    "transforms/_sparse": {"scipy"},
    "transforms/_tensor": {"scipy"},
}

# Files that are imported only once their package is known to be there, and may import it anywhere: folder -> package.
BEHIND = {"capture/torch": "torch"}


def files_of(wing: str) -> list[Path]:
    """A wing's file, or the files of its folder."""
    folder = PACKAGE / wing
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{wing}.py"]


def test_every_wing_is_known() -> None:
    found = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert found - {"__init__"} == set(BELOW) - {"_core"}


@pytest.mark.parametrize("wing", sorted(set(BELOW) - {"_core"}))
def test_a_wing_imports_only_what_is_below(wing: str) -> None:
    """Arrows point down, and nothing goes through the package's own names: what they are is for its users."""
    for file in files_of(wing):
        for names in imports(file):
            assert names, f"{file.name} imports through recsketch/__init__.py"
            assert names[0] in BELOW[wing] | {wing, "_check", "_core"}, f"{file.name} imports {names[0]}"


def test_the_import_parser_sees_every_form(tmp_path: Path) -> None:
    """The gate above has been seen to fail: every way to write an import is found."""
    file = tmp_path / "x.py"
    file.write_text(
        "import recsketch\nimport recsketch.e as e\nfrom recsketch.f import g\nfrom recsketch import h\n"
        "def late():\n    from recsketch.i.j import k\nimport os, numpy.linalg\n"
    )
    assert sorted(imports(file)) == [[], [], ["e"], ["f"], ["i", "j"]]
    file.write_text("from . import a\n")
    with pytest.raises(AssertionError, match="relative"):
        imports(file)


def test_the_core_modules_need_numpy_alone() -> None:
    allowed = {"numpy", "recsketch", "typing_extensions", *sys.stdlib_module_names} - {"typing_extensions"}
    for file in [f for wing in sorted(set(BELOW) - {"_core"} - FRONT) for f in files_of(wing)]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        extra = OPTIONAL.get(str(file.relative_to(PACKAGE).with_suffix("")), set())
        behind = BEHIND.get(str(file.parent.relative_to(PACKAGE))) if file.stem != "__init__" else None
        for node in ast.walk(tree):
            here = allowed if node in tree.body else allowed | extra
            here = here | {behind} if behind else here
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
        if path.parent.name == "kernels" and (path.suffix == ".c" or path.stem.startswith("lookup_")):
            kernels += bool(used) and path.suffix == ".c"
        else:
            assert not used, f"{path.name}: {used[0] if used else ''}"
    assert kernels >= 3


def test_c_includes_stay_inside() -> None:
    """No Python.h, no stdio: the library does no I/O and knows no binding."""
    for name, path in c_files().items():
        assert not {"Python.h", "stdio.h", "numpy/arrayobject.h"} & set(includes(path)), name
