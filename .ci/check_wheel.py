"""check_wheel.py WHEEL SDIST: size, tag, files and exported symbols of the wheel, its licences and bills of materials;
files of the source distribution."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

OURS = (".py", ".pyi", ".md", ".html", ".css", ".js", "py.typed")  # text of this project
LARGEST = 2_000_000  # bytes: half is the extension, the rest libgomp, digits and 220 files of Python

wheel, sdist = map(Path, sys.argv[1:])


def demand(good: bool, what: object) -> None:
    if not good:
        sys.exit(f"{wheel.name}: {what}")


with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if not n.endswith("/")]
    content = {n: archive.read(n) for n in names}
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

# Data and libraries have a line in LICENSES/README.md, whose texts are there, and a component in a bill of materials,
# in ours with a check sum; auditwheel, which brings the libraries, writes one of the packages that they are of.
info = next(n for n in names if n.endswith(".dist-info/METADATA")).removesuffix("METADATA")
licences = content.get(f"{info}licenses/LICENSES/README.md", b"").decode()
texts = set(re.findall(r"`([\w.-]+\.txt)`", licences))
for text in ("LICENSE", *(f"LICENSES/{t}" for t in texts)):
    demand(f"{info}licenses/{text}" in names, f"lacks the licence {text}")
demand("\nLicense-Expression: BSD-3-Clause AND CC-BY-4.0\n" in content[f"{info}METADATA"].decode(), "licence")
parts = {}
for name in (n for n in names if n.startswith(f"{info}sboms/")):
    bill = content[name].decode()
    wrong = JsonStrictValidator(SchemaVersion.from_version(json.loads(bill)["specVersion"])).validate_str(bill)
    demand(wrong is None, f"{name}: {wrong}")
    parts |= {part["name"]: part for part in json.loads(bill)["components"]}
for name in names:
    if name.startswith(info) or name.endswith(OURS) or name in extension:
        continue
    plain = re.split(r"[-.]", Path(name).name)[0]  # libgomp of libgomp-f9a9ad78.so.1.0.0
    demand(plain in licences, f"{name} has no line in LICENSES/README.md")
    if name.startswith("recsketch.libs/"):
        demand(any(re.fullmatch(rf"{plain}\d*", p) for p in parts), f"{name} is in no bill of materials")
    else:
        known = parts.get(name, {"hashes": [{"content": "none"}]})["hashes"][0]["content"]
        demand(known == hashlib.sha256(content[name]).hexdigest(), f"{name}: the bill of materials has {known}")

with tarfile.open(sdist) as archive:
    inside = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
for wanted in (
    "csrc/recsketch.h",
    "tests/c/contract.c",
    ".github/workflows/wheels.yml",
    "LICENSE",
    "LICENSES/README.md",
    "README.md",
):
    if wanted not in inside:
        sys.exit(f"{sdist.name}: lacks {wanted}")
print(f"{wheel.name}: {wheel.stat().st_size:,} bytes, {len(names)} files, exports PyInit__core only")
print("it names what it brings:", *sorted(parts))
print(f"{sdist.name}: {sdist.stat().st_size:,} bytes, {len(inside)} files")
