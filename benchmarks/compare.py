"""Whether a commit is slower than another: both are built, their benchmarks run in turn, and their times are compared.

python benchmarks/compare.py A B                          all benchmarks; A and B are whatever git calls a commit
python benchmarks/compare.py main HEAD -k "fwht and 4096"       those that pytest selects
python benchmarks/compare.py A B --rounds 5 --topic test_speed_of_sparse.py

Each commit is checked out into a temporary folder and installed into an environment of its own there, without
anything of the checkout that runs this. Both run the benchmarks of B, without peers, so that a benchmark need not exist
in A; one that A cannot run is left out. Rounds alternate, and their order with them: what else the machine does hits
both. The table has the time of every benchmark, the median of the rounds, and the ratio B over A, the median of the
ratios within a round, with the least and the largest. What is slower by more than `--limit` in every round makes the
exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELD_BACK = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # as in machine.py


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, check: bool = True) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if check and done.returncode:
        sys.exit(f"{' '.join(str(c) for c in command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()


class Build:
    """A commit, installed."""

    def __init__(self, name: str, folder: Path, packages: list[str]) -> None:
        self.name, self.commit = name, run("git", "rev-parse", "--short", f"{name}^{{commit}}")
        self.source, env = folder / "source", folder / "env"
        run("git", "worktree", "add", "--detach", self.source, self.commit)
        venv.create(env, with_pip=True)
        self.python = env / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(self.python, "-m", "pip", "install", "-q", f"{self.source}[bench]", *packages, cwd=folder)

    def times(self, benchmarks: Path, select: list[str], file: Path) -> dict[str, float]:
        """Medians of the benchmarks that ran, in seconds of CPU time."""
        env = {k: v for k, v in os.environ.items() if k not in HELD_BACK}
        flags = ["-q", "-p", "no:cacheprovider", f"--benchmark-json={file}", "--benchmark-timer=time.thread_time"]
        fast = ["--benchmark-max-time=0.2", "--benchmark-min-rounds=5"]
        if "--alone" in (benchmarks / "conftest.py").read_text():  # older ones timed peers in tests of their own
            fast.append("--alone")
        file.unlink(missing_ok=True)
        run(self.python, "-m", "pytest", *flags, *fast, *select, cwd=benchmarks, env=env, check=False)
        if not file.exists() or not file.stat().st_size:
            return {}
        return {b["fullname"]: b["stats"]["median"] for b in json.loads(file.read_text())["benchmarks"]}


def report(rounds: list[tuple[dict[str, float], dict[str, float]]], a: Build, b: Build, limit: float) -> int:
    names = [n for n in rounds[0][1] if all(n in one and n in two for one, two in rounds)]
    if not names:
        sys.exit("no benchmark ran with both")
    width = max(len(n) for n in names)
    print(f"{'benchmark':{width}}  {a.commit:>10}  {b.commit:>10}   B / A   least  largest")
    slower = 0
    for name in names:
        ratios = [two[name] / one[name] for one, two in rounds]
        bad = min(ratios) > 1 + limit
        slower += bad
        mine, theirs = (1e6 * statistics.median(r[i][name] for r in rounds) for i in (0, 1))
        line = f"{name:{width}}  {mine:8.1f}us  {theirs:8.1f}us  {statistics.median(ratios):6.3f}"
        print(f"{line}  {min(ratios):6.3f}  {max(ratios):7.3f}{'  slower' if bad else ''}")
    missing = {n for one, two in rounds for n in {*one, *two}} - set(names)
    print(f"{len(rounds)} rounds, {slower} of {len(names)} slower by more than {limit:.0%} in every round", end="")
    print(f", {len(missing)} not run by both" if missing else "")
    return int(slower > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the benchmarks of two commits.")
    parser.add_argument("a", metavar="A", help="the commit to compare with")
    parser.add_argument("b", metavar="B", help="the commit that may be slower")
    parser.add_argument(
        "-k", dest="keyword", default="speed and not ratios", help="as pytest's -k (default: %(default)s)"
    )
    parser.add_argument("--topic", default="", metavar="FILE", help="one file of benchmarks/")
    parser.add_argument("--rounds", type=int, default=5, help="of both (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=0.05, help="share that is slower (default: %(default)s)")
    parser.add_argument("--with", dest="packages", nargs="*", default=[], metavar="PACKAGE", help="to install besides")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: wanted at least 1")
    with tempfile.TemporaryDirectory() as folder:
        builds: list[Build] = []
        try:
            for label, name in (("a", options.a), ("b", options.b)):
                print(f"building {name}", file=sys.stderr, flush=True)
                (Path(folder) / label).mkdir()
                builds.append(Build(name, Path(folder) / label, options.packages))
            benchmarks = builds[1].source / "benchmarks"
            select = [*([options.topic] if options.topic else []), "-k", options.keyword]
            rounds = []
            for i in range(options.rounds):
                found = {}
                for j in (0, 1) if i % 2 == 0 else (1, 0):
                    found[j] = builds[j].times(benchmarks, select, Path(folder) / "times.json")
                rounds.append((found[0], found[1]))
                print(f"round {i + 1} of {options.rounds}", file=sys.stderr, flush=True)
            return report(rounds, builds[0], builds[1], options.limit)
        finally:
            for label in ("a", "b"):
                run("git", "worktree", "remove", "--force", Path(folder) / label / "source", check=False)


if __name__ == "__main__":
    sys.exit(main())
