"""Mutation testing, run by hand: plant one small bug at a time and see whether the tests turn red.

    python tests/mutation/mutate.py --planted            # the bugs listed in planted.py
    python tests/mutation/mutate.py --python 60 --c 40   # so many random ones in each language
    python tests/mutation/mutate.py --c 20 --only csrc/reading --seed 7

Run it where the test requirements, cmake, ninja and Cython are installed and recsketch is not an editable install: an
editable install would be imported instead of the copy that is changed. A C mutant is first shown to the contract test.
Every mutant then meets the tests of its wing, and the whole suite if it survives those. What does not compile does not
count; what hangs is dead.

A survivor is either a missing test or a change that no test can see (an equivalent mutant): read it, and decide.
"""

from __future__ import annotations

import argparse
import ast
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT = 900  # seconds of one run of tests, beyond which a mutant hangs

# The tests that see a wing first. A mutant that survives them meets all the others.
FIRST = {
    "csrc/base": "core random fwht projections",
    "csrc/kernels": "fwht core projections tensor estimators scan operators",
    "csrc/recursion": "sketch operators adjoint recover hostile",
    "csrc/reading": "recover sparse unroll unroll_limits unroll_many statistics",
    "csrc/parts": "fwht projections tensor scan sparse_solvers estimators core",
    "csrc/learning": "dictionary dictionary_files dictionary_operators",
    "src/recsketch/learning": "learning dictionary dictionary_files dictionary_operators",
    "src/recsketch/populations": "population fixed_point cooccurrence changes monitor",
    "src/recsketch/transforms": "fwht projections tensor estimators estimators_sparse tables",
    "src/recsketch/sparse": "sparse_solvers cgls solver_inputs",
    "src/recsketch/_scan.py": "scan",
    "src/recsketch/erasure.py": "erasure",
    "src/recsketch/_values.py": "values",
    "src/recsketch/runs": "trace drawing values hostile hostile_files wiring arguments",
    "src/recsketch/views": "views views_layout drawing",
    "src/recsketch/sketching": "spec sketch storage signature wiring arguments hostile",
    "src/recsketch/reading": "recover unroll unroll_limits unroll_many unroll_reader statistics drawing values",
    "src/recsketch/sketcher.py": "sketch recover unroll statistics arguments hostile",
    "src/recsketch/_files.py": "files writing storage fixtures hostile_files",
    "src/recsketch/_npz.py": "files storage fixtures hostile_files fuzz",
    "src/recsketch/cli": "cli cli_files cli_reading cli_table writing",
    "src/recsketch/display": "report cli",
    "src/recsketch/_check.py": "check arguments hostile",
    "src/recsketch/": "hostile core isa trace",
}


@dataclass(frozen=True)
class Mutant:
    """A file, and the text that takes the place of [begin, end) in it."""

    file: str
    begin: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        return source[: self.begin] + self.text + source[self.end :]

    def describe(self, source: str) -> str:
        line = source.count("\n", 0, self.begin) + 1
        before = " ".join(source[self.begin : self.end].split())
        after = " ".join(self.text.split())
        return f"{self.file}:{line}: {before[:60]!r} -> {after[:60]!r}"


# ---------------------------------------------------------------- Python

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "in": "not in"}
COMPARISONS |= {"is not": "is", "not in": "in"}
ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "//": "*",
    "%": "*",
    "**": "*",
    "&": "|",
    "|": "&",
    "<<": ">>",
    ">>": "<<",
}


def python_mutants(file: str, source: str) -> Iterator[Mutant]:
    """One mutant for each operator, number, condition, result, raise and call statement."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def at(line: int, column: int) -> int:  # ast counts columns in UTF-8 bytes
        text = source[starts[line - 1] : starts[line]]
        return starts[line - 1] + len(text.encode()[:column].decode())

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        return at(node.lineno, node.col_offset), at(node.end_lineno or 0, node.end_col_offset or 0)

    def operator(left: ast.expr, right: ast.expr, changes: dict[str, str]) -> Iterator[Mutant]:
        begin, end = span(left)[1], span(right)[0]
        found = re.search(r"is not|not in|is\b|in\b|[<>=!+\-*/%&|]+", source[begin:end])
        if found and found[0] in changes:
            yield Mutant(file, begin + found.start(), begin + found.end(), changes[found[0]])

    hidden: set[ast.AST] = set()  # annotations are no code
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            named = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]
            hints = [node.returns, *(a.annotation for a in [*named, node.args.vararg, node.args.kwarg] if a)]
            hidden |= {part for hint in hints if hint for part in ast.walk(hint)}
        elif isinstance(node, ast.AnnAssign):
            hidden |= set(ast.walk(node.annotation))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            hidden |= set(ast.walk(node))
        if node in hidden:
            continue
        if isinstance(node, ast.Compare):
            for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                yield from operator(left, right, COMPARISONS)
        elif isinstance(node, ast.BinOp):
            yield from operator(node.left, node.right, ARITHMETIC)
        elif isinstance(node, ast.BoolOp):
            begin, end = span(node.values[0])[1], span(node.values[1])[0]
            found = re.search(r"\b(and|or)\b", source[begin:end])
            if found:
                yield Mutant(file, begin + found.start(), begin + found.end(), "or" if found[0] == "and" else "and")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield Mutant(file, *span(node), source[slice(*span(node.operand))])
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield Mutant(file, *span(node), str(not node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield Mutant(file, *span(node), f"({source[slice(*span(node))]} + 1)")
        elif isinstance(node, ast.If | ast.IfExp):
            yield Mutant(file, *span(node.test), f"(not ({source[slice(*span(node.test))]}))")
        elif isinstance(node, ast.Return) and node.value is not None:
            yield Mutant(file, *span(node), "return None")
        elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            yield Mutant(file, *span(node), "pass")


# ---------------------------------------------------------------- C

C_OPERATORS = {**{k: v for k, v in COMPARISONS.items() if not k[0].isalpha()}, "&&": "||", "||": "&&"}
C_OPERATORS |= {"+": "-", "-": "+", "*": "/", "/": "*", "+=": "-=", "-=": "+=", "&": "|", "|": "&", "^": "|"}


def c_code(source: str) -> str:
    """The source with comments, strings and preprocessor lines blanked, so that offsets stay."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*'
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.S | re.M)


def c_mutants(file: str, source: str) -> Iterator[Mutant]:
    """One mutant for each operator between spaces, number, condition, and statement that calls a function."""
    code = c_code(source)
    for m in re.finditer(r"(?<= )(<=|>=|==|!=|&&|\|\||\+=|-=|[<>+\-*/&|^])(?= )", code):
        yield Mutant(file, m.start(), m.end(), C_OPERATORS[m[1]])
    for m in re.finditer(r"(?<![\w.])\d+(\.\d+)?(e-?\d+)?(?![\w.])", code):
        yield Mutant(file, m.start(), m.end(), f"({m[0]} + 1)")
    for m in re.finditer(r"\b(?:if|while) \(", code):
        depth, end = 1, m.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        yield Mutant(file, m.end(), end - 1, f"!({source[m.end() : end - 1]})")
    for m in re.finditer(r"(?<=[;{}\n])[ ]+(?:rsk_)?[a-z]\w*(?:->\w+)?\([^;{}]*\);", code):
        if not re.match(r"\s*(?:return|sizeof)\b", m[0]):
            yield Mutant(file, m.start(), m.end(), " ;")


# ---------------------------------------------------------------- copies


class Copy:
    """A copy of the checkout, and an install of it whose files are changed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site, self.build = folder / "checkout", folder / "site", folder / "build"
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, self.folder / name)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
        self._run([*pip, "--target", str(self.site), str(self.folder)], check=True)
        options = ["-DRSK_C_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}"]
        self._run(["cmake", "-S", str(self.folder), "-B", str(self.build), "-G", "Ninja", *options], check=True)
        self._run(["cmake", "--build", str(self.build)], check=True)
        where = self._run([sys.executable, "-c", "import recsketch; print(recsketch.__file__)"], check=True).stdout
        if not where.startswith(str(self.site)):
            sys.exit(f"wanted an environment without an editable recsketch; it imports {where.strip()}")

    def _run(self, command: list[str], *, check: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "2",
        }
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=check, timeout=TIMEOUT
        )

    def _red(self, command: list[str]) -> bool:
        try:
            return self._run(command).returncode != 0
        except subprocess.TimeoutExpired:
            return True

    def _suite_is_red(self, file: str) -> bool:
        pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        wing = next(w for w in FIRST if file.startswith(w))
        first = [f"tests/test_{name}.py" for name in FIRST[wing].split()]
        return self._red([*pytest, *first]) or self._red([*pytest, *(f"--ignore={name}" for name in first)])

    def fate(self, mutant: Mutant) -> str:
        """Whether the mutant is "dead", "alive" or "void": it does not compile, or compiles to the same."""
        python = mutant.file.startswith("src/")
        path = self.site / mutant.file.removeprefix("src/") if python else self.folder / mutant.file
        source = path.read_text(encoding="utf-8")
        path.write_text(mutant.apply(source), encoding="utf-8")
        try:
            if python:
                return "dead" if self._suite_is_red(mutant.file) else "alive"
            library = self.build / "librsk.a"
            before = library.read_bytes()
            try:
                if self._run(["cmake", "--build", str(self.build)]).returncode:
                    return "void"
                if library.read_bytes() == before:
                    return "void"
                if self._red([str(self.build / "rsk_contract")]):
                    return "dead"
                self._install()
                return "dead" if self._suite_is_red(mutant.file) else "alive"
            finally:
                path.write_text(source, encoding="utf-8")
                self._run(["cmake", "--build", str(self.build)], check=True)
                self._install()
        finally:
            path.write_text(source, encoding="utf-8")

    def _install(self) -> None:
        target = next((self.site / "recsketch").glob("_core.*.so"))
        shutil.copyfile(next(self.build.glob("_core.*.so")), target)


# ---------------------------------------------------------------- the run


def sources(suffixes: tuple[str, ...], only: str) -> dict[str, str]:
    folder = "csrc" if ".c" in suffixes else "src"
    files = [p for p in sorted((ROOT / folder).rglob("*")) if p.suffix in suffixes]
    skipped = (
        "src/recsketch/demo",
        "src/recsketch/datasets",
        "csrc/kernels/neon",
        "csrc/recsketch.h",
    )  # not what users' numbers rest on
    names = {p.relative_to(ROOT).as_posix(): p for p in files}
    return {
        n: p.read_text(encoding="utf-8") for n, p in names.items() if n.startswith(only) and not n.startswith(skipped)
    }


def chosen(arguments: argparse.Namespace) -> list[Mutant]:
    """The planted bugs, or random mutants: in proportion to how many a file has."""
    if arguments.planted:
        from planted import PLANTED

        mutants = []
        for file, old, new in PLANTED:
            source = (ROOT / file).read_text(encoding="utf-8")
            if source.count(old) != 1:
                sys.exit(f"planted.py: {file} holds {old!r} {source.count(old)} times")
            begin = source.index(old)
            mutants.append(Mutant(file, begin, begin + len(old), new))
        return [m for m in mutants if m.file.startswith(arguments.only)]
    rng = random.Random(arguments.seed)
    found: list[Mutant] = []
    python = [m for n, s in sources((".py",), arguments.only).items() for m in python_mutants(n, s)]
    c = [
        m for n, s in sources((".c", ".h"), arguments.only).items() if n != "csrc/recsketch.h" for m in c_mutants(n, s)
    ]
    for every, count in ((python, arguments.python), (c, arguments.c)):
        found += rng.sample(every, min(count, len(every)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planted", action="store_true", help="the bugs of planted.py")
    parser.add_argument("--python", type=int, default=0, metavar="N", help="so many random mutants of the Python files")
    parser.add_argument("--c", type=int, default=0, metavar="N", help="so many of the C files")
    parser.add_argument("--only", default="", metavar="PATH", help="files whose path begins so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    waiting: queue.Queue[Mutant] = queue.Queue()
    for mutant in chosen(arguments):
        waiting.put(mutant)
    total, fates = waiting.qsize(), {"dead": 0, "alive": 0, "void": 0}
    lock = threading.Lock()

    def work(folder: Path) -> None:
        copy = Copy(folder)
        while True:
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            fate = copy.fate(mutant)
            with lock:
                fates[fate] += 1
                text = mutant.describe((ROOT / mutant.file).read_text(encoding="utf-8"))
                print(f"{sum(fates.values())}/{total} {fate:5} {text}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        workers = [threading.Thread(target=work, args=(Path(folder, str(k)),)) for k in range(arguments.workers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    counted = fates["dead"] + fates["alive"]
    print(f"{fates['dead']} of {counted} died ({fates['dead'] / max(counted, 1):.0%}); {fates['void']} did not compile")


if __name__ == "__main__":
    main()
