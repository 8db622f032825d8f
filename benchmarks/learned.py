"""Students of the teachers in teachers.py: what they get wrong, learned from sketches and end to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from teachers import MODULES, NETWORKS, RAW, EndToEnd, Teacher, runs, structure

import recsketch as rs

TEST = 4000  # inputs that no student has seen
DIM = 256


@dataclass
class Lesson:
    """Inputs, and sketches of what a teacher did with them; and inputs to be examined with."""

    teacher: Teacher
    n: int
    dim: int = DIM
    x: np.ndarray = field(init=False)
    sketches: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.x = self.teacher.inputs(self.n, stream=1)
        self.true = self.teacher.attributes(self.x)
        self.spec = rs.SketchSpec(self.dim, MODULES)
        self.sketches = rs.Sketcher(self.spec, threads=1).sketch(runs(self.true))
        self.new = self.teacher.inputs(TEST, stream=2)
        self.answers = self.teacher.outputs(self.new)

    @property
    def load(self) -> float:
        return float(rs.Sketcher(self.spec).load(structure()))

    def half_of_int8(self) -> tuple[rs.PackedSketches, np.ndarray]:
        """The sketches as int8, and masks that keep half of each."""
        kept = np.tile(np.arange(self.dim) < self.dim // 2, (self.n, 1))
        return rs.pack(self.sketches, "int8"), np.random.default_rng(3).permuted(kept, axis=1)

    def student(self, sketches: Any = None, mask: Any = None, **options: Any) -> rs.ModularRegressor:
        given = self.sketches if sketches is None else sketches
        return rs.fit_modules(self.x, given, structure(), spec=self.spec, mask=mask, raw=RAW, threads=1, **options)

    def misread(self, student: rs.ModularRegressor) -> float:
        """Of the attributes that the student was taught with: the share of bits that are wrong, or of variance."""
        found = np.hstack([student.recovered_[i] for i in range(len(MODULES))])
        return self._off(found, np.hstack(list(self.true.values())))

    def wrong(self, found: np.ndarray) -> float:
        """Of the answers: the share of bits that are wrong, or of variance that is left."""
        return self._off(found, self.answers)

    def _off(self, found: np.ndarray, true: np.ndarray) -> float:
        if self.teacher.smooth:
            return float(np.mean((found - true) ** 2) / np.mean(true.var(axis=0)))
        return float(np.mean((found > 0) != (true > 0)))

    def end_to_end(self, epochs: int, networks: Any = NETWORKS) -> list[tuple[float, int]]:
        """What each network gets wrong, and the epochs it was trained for."""
        y, smooth = np.hstack([self.true[m] for m in "EG"]), self.teacher.smooth
        found = (EndToEnd.trained(self.x, y, epochs, smooth, *network) for network in networks)
        return [(self.wrong(net.predict(self.new)), net.epochs) for net in found]
