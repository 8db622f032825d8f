"""Write ``digits.npz`` from scikit-learn's copy: ``python tools/pack_digits.py [DIGITS.npz]``.

Needs scikit-learn; run by hand, once. ``tests/test_datasets.py`` holds the checksums of what scikit-learn returns.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from recsketch.datasets.digits import Digits, pack_digits

DATASETS = Path(__file__).resolve().parent.parent / "src" / "recsketch" / "datasets"


def main() -> None:
    """Pack scikit-learn's digits into the file named on the command line, by default the shipped one."""
    from sklearn import datasets  # type: ignore[import-untyped,import-not-found,unused-ignore]

    source = datasets.load_digits()
    digits = Digits(source.images.astype(np.uint8), source.target.astype(np.uint8))
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DATASETS / "digits.npz"
    np.savez_compressed(target, **pack_digits(digits))  # type: ignore[arg-type,unused-ignore]
    print(f"{target.name}: {len(digits.labels)} digits, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
