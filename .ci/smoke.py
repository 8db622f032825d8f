"""Sketch a run and read it back, with the installed package. Run from outside the checkout."""

from __future__ import annotations

import os
import sys

import numpy as np

import recsketch as rs

spec = rs.SketchSpec(dim=1024, modules={"char": 32, "line": 48}, seed=7)
rng = np.random.default_rng(1)
trace = rs.Trace()
chars = [trace.add("char", rng.standard_normal(32)) for _ in range(6)]
lines = [trace.add("line", rng.standard_normal(48), inputs=chars[i : i + 3], weights=[3, 2, 1]) for i in (0, 3)]
trace.outputs(lines)

sketcher = rs.Sketcher(spec)
sketch = sketcher.sketch(trace)
back = sketcher.recover(sketch, trace)
error = max(float(np.abs(x - o.attribute).max()) for x, o in zip(back.attributes, trace.objects, strict=True))
if sketch.shape != (1024,) or not error < 1e-4:
    sys.exit(f"recovered attributes are off by {error}")
wanted = os.environ.get("RECSKETCH_ISA")
if wanted and rs.isa() != wanted:
    sys.exit(f"RECSKETCH_ISA={wanted} runs {rs.isa()}")
print(f"recsketch {rs.__version__}, {rs.isa()}: sketched and recovered 8 objects, worst error {error:.1e}")
