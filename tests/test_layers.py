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
# C files from the bottom up: a file may call what an earlier row defines, or its own row.
ROWS = [
    {"status", "memory", "philox", "cpu"},
    {"kernels/portable", "kernels/avx2", "kernels/avx512", "kernels/neon"},
    {"dispatch", "threads"},
    {"rotation", "rotation_skew", "rotation_hadamard", "embedding", "transforms"}
    | {"hadamard", "scan", "hashing", "tensor"},
    {"spec"},
    {"plan"},
    {"tree"},
    {"sweep"},
    {"linear"},
    {"pursuit"},
    {"solve", "detect", "greedy"},
    {"fit", "threshold"},
    {"doubt"},
    {"unroll"},
]


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


def code(path: Path) -> str:
    """A C file without comments, strings and preprocessor lines."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)


def statements(text: str) -> list[str]:
    """What stands at file scope: declarations up to their ; and function headers up to their {."""
    found, depth, current = [], 0, ""
    for char in text:
        if char == "{":
            if depth == 0:
                current += " {"
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0 and re.search(r"\)\s*\{$", current.strip()) and "=" not in current:
                found.append(" ".join(current.split()))
                current = ""
        elif depth == 0 and char == ";":
            found.append(" ".join(current.split()))
            current = ""
        elif depth == 0:
            current += char
    return [s for s in found if s]


def functions(path: Path) -> set[str]:
    """Names of the functions with external linkage that a file defines."""
    found = set()
    for s in statements(code(path)):
        header = re.match(r"(?!.*\bstatic\b)[\w\s*]+?\b(\w+)\s*\([^{]*\)\s*\{$", s)
        if header:
            found.add(header[1])
    return found


def mutable_globals(text: str) -> list[str]:
    """Variables at file scope that are not const."""
    found = []
    for s in statements(text):
        s = re.sub(r"^(?:[A-Z0-9_]+\([^()]*\) )+", "", s)  # a macro used at file scope, without a semicolon
        head = s.split("=")[0].split("{")[0]
        plain = "=" in s or not re.search(r"\)\s*\{?$|^(typedef|extern)\b|^(struct|enum|union)\s+\w+\s*(\{|$)", s)
        if (
            plain
            and not re.match(r"^(typedef|extern|_Static_assert|static_assert)\b", s)
            and "const" not in head.split()
        ) or (plain and re.search(r"const[^*]*\*(?!\s*const)[^()]*$", head)):
            found.append(s)
    return found


def c_files() -> dict[str, Path]:
    return {str(p.relative_to(CSRC).with_suffix("")): p for p in sorted(CSRC.rglob("*.c"))}


def test_every_c_file_has_a_row() -> None:
    assert set(c_files()) == set().union(*ROWS)


def test_c_files_call_only_what_is_below() -> None:
    files = c_files()
    defined = {name: functions(path) for name, path in files.items()}
    assert "rsk_sketch" in defined["sweep"]
    assert "rsk_lstsq" in defined["solve"]
    rank = {name: i for i, row in enumerate(ROWS) for name in row}
    for name, path in files.items():
        words = set(re.findall(r"\w+", code(path)))
        for other, theirs in defined.items():
            if rank[other] > rank[name]:
                assert not words & theirs, f"{name}.c stands below {other}.c"


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


def test_only_dispatch_and_threads_have_state() -> None:
    for name, path in c_files().items():
        if name not in ("dispatch", "threads"):
            assert mutable_globals(code(path)) == [], name
            assert not re.search(r"\bstatic\s+(?!const\b|inline\b)[\w\s]*?\b\w+\s*(=|;|\[)", body_only(path)), name


def body_only(path: Path) -> str:
    """What stands inside functions: no file-scope text."""
    text, depth, out = code(path), 0, []
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth:
            out.append(char)
    return "".join(out)


def test_the_c_scanner_sees_state() -> None:
    """The gate above has been seen to fail."""
    text = """static int counter; int x = 3; const char *name; static _Atomic(int) ready;
    static int f(int a) { return a; } static const float table[4] = {1, 2}; const char *const fixed = 0;
    typedef int number; struct s { int a; }; int g(void);
    extern const struct s known; static const struct s one = {.a = 1}; enum e { A, B }; _Static_assert(1, "");"""
    assert [s.split()[-1] if "=" not in s else s for s in mutable_globals(text)] == [
        "counter",
        "int x = 3",
        "*name",
        "ready",
    ]


def test_c_includes_stay_inside() -> None:
    """No Python.h, no stdio: the library does no I/O and knows no binding."""
    for path in [*CSRC.rglob("*.c"), *CSRC.rglob("*.h")]:
        for header in re.findall(r'#\s*include\s*["<]([^">]+)[">]', path.read_text(encoding="utf-8")):
            assert header not in ("Python.h", "stdio.h", "numpy/arrayobject.h"), path.name
