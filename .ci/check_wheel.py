"""check_wheel.py WHEEL SDIST: size, tag, files and exported symbols of the wheel; files of the source distribution."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LARGEST = 2_000_000  # bytes: half is the extension, the rest libgomp, digits and 220 files of Python

wheel, sdist = map(Path, sys.argv[1:])


def demand(good: bool, what: object) -> None:
    if not good:
        sys.exit(f"{wheel.name}: {what}")


with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
    extension = [n for n in names if n.startswith("recsketch/_core.") and n.endswith((".so", ".pyd"))]
    demand(len(extension) == 1, extension)
    with tempfile.TemporaryDirectory() as folder:
        listing = subprocess.run(
            ["nm", "-D", "--defined-only", archive.extract(extension[0], folder)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
exported = {line.split()[-1].split("@")[0] for line in listing.splitlines()} - {"_init", "_fini"}
demand(exported == {"PyInit__core"}, f"exports {sorted(exported)}")
demand("-cp311-abi3-" in wheel.name and extension[0].endswith(".abi3.so"), "is not abi3")
demand(wheel.stat().st_size < LARGEST, f"{wheel.stat().st_size} bytes, wanted less than {LARGEST}")
sources = [n for n in names if n.endswith((".pyx", ".pxd", ".c", ".h", ".o", ".a", ".pyc"))]
demand(not sources, sources)
tops = {n.split("/")[0] for n in names}
demand(tops <= {"recsketch", "recsketch.libs"} | {n for n in tops if n.endswith(".dist-info")}, tops)
for wanted in ("recsketch/__init__.py", "recsketch/_core.pyi", "recsketch/py.typed"):
    demand(wanted in names, f"lacks {wanted}")
demand(any(n.endswith(".dist-info/licenses/LICENSE") for n in names), "lacks the license")

with tarfile.open(sdist) as archive:
    inside = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
for wanted in ("csrc/recsketch.h", "tests/c/contract.c", ".github/workflows/wheels.yml", "LICENSE", "README.md"):
    if wanted not in inside:
        sys.exit(f"{sdist.name}: lacks {wanted}")
print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {len(names)} files, exports PyInit__core only")
print(f"{sdist.name}: {sdist.stat().st_size:,} bytes, {len(inside)} files")
