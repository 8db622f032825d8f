"""The columns of a TraceBatch, beside its names, and their types."""

from __future__ import annotations

from typing import Any

import numpy as np

COLUMNS: dict[str, Any] = {
    "objects": np.int64,
    "module": np.int32,
    "attribute_ends": np.int64,
    "attributes": np.float32,
    "input_ends": np.int64,
    "inputs": np.int32,
    "weights": np.float64,
    "output_ends": np.int64,
    "outputs": np.int32,
    "output_weights": np.float64,
}
