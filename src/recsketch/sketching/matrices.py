"""The random matrices of a specification, and the factors they are mixed with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import recsketch._core as _core
import recsketch.sketching.blocks as blocks
from recsketch._streams import stream
from recsketch.sketching.signature import signatures

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch._check import Floats
    from recsketch.sketching.spec import SketchSpec

NEAR = 16  # positions whose masks a module's operator keeps clear of, whatever max_inputs is
STEEP = 512.0  # the tangent from which on the cotangent is computed with
KEPT = 4096  # objects whose signatures are drawn once: more than most runs have, at most a megabyte


class Factors(NamedTuple):
    """The numbers of docs/format.md, "Operators" and "The recursion", that a specification fixes.

    Attributes
    ----------
    norm : float
        t, of T = t (c I + s R).
    cosine, sine : float
        c and s, the cosine and sine of the angle, so that c² + s² = 1.
    branch : float
        b, which both branches of an object are multiplied by, unless the weighting is "balanced".
    gain : float
        g, which the parts of an object's z are multiplied by: attribute, counter and, if there is one, signature.
    """

    norm: float
    cosine: float
    sine: float
    branch: float
    gain: float

    @property
    def inputs(self) -> float:
        """b t³, which times alpha is an input's amplitude over its owner's: T_M, T_in and T_i lie between them. With
        two operators of T_in t is one. Not of "balanced" weighting, whose branches are each object's own."""
        return self.norm**3 * self.branch


def factors(spec: SketchSpec) -> Factors:
    """The factors of a specification."""
    cosine, sine = _direction(spec)
    if spec.scaling == "paper":
        return Factors(math.sqrt(0.5), cosine, sine, 0.5, 0.5)
    parts = 3.0 if spec.signature else 2.0
    return Factors(1.0, cosine, sine, math.sqrt(0.5), math.sqrt(1.0 / parts))


def _direction(spec: SketchSpec) -> tuple[float, float]:
    """Cosine and sine of an operator's angle. Rotations of pairs are computed with the tangent in float32, or where
    that is above 512 with the cotangent: the angle is the one whose tangent is a float32."""
    angle = math.radians(spec.angle)
    c, s = _rounded(math.cos(angle)), _rounded(math.sin(angle))
    if spec.rotation == "hadamard":
        return c, s
    c, s = (1.0, float(np.float32(s / c))) if s < STEEP * c else (float(np.float32(c / s)), 1.0)
    norm = math.sqrt(c * c + s * s)
    return c / norm, s / norm


def kappa(spec: SketchSpec, k: int) -> float:
    """What k inputs weigh together beside their owner in "balanced" weighting, per mean mass of theirs: k**balance."""
    return 1.0 if k < 1 else _rounded(float(k) ** spec.balance)


def _rounded(x: float) -> float:
    """A positive number to 40 significant bits: mathematical libraries differ in the last place, sketches must not."""
    fraction, exponent = math.frexp(x)
    return math.ldexp(round(math.ldexp(fraction, 40)), exponent - 40)


def ins(spec: SketchSpec) -> int:
    """How many operators T_in is the product of. With a single skew one chains of one module are singular from the 22nd
    object on (docs/method.md)."""
    return 2 if spec.rotation == "skew" and spec.scaling == "unit" else 1


def direct(spec: SketchSpec, module: str) -> bool:
    """Whether F_M = T_M T_attr E_M is drawn, and E_M follows from it: where 16 coordinates hold each number."""
    padded = max(16, 1 << (spec.lengths[module] - 1).bit_length())
    return spec.rotation == "skew" and 16 * padded <= spec.dim


class Matrices:
    """A specification and its random matrices, drawn for whoever holds this object and freed with it.

    Nothing here is kept beyond that: two specifications that are equal need not have their modules in one order, and
    `_core.Spec` numbers modules by it. A cache that is keyed by specifications would mix them up.

    Notes
    -----
    Drawing costs about 1 ns a bit. The matrices take (max_inputs + 8 modules) d / 8 bytes, and as much again once
    `rotations` is asked for. Any number of threads may read them: two that ask for `rotations` at once draw equal ones.
    """

    __slots__ = ("_rotations", "_signatures", "allowed", "coding", "core", "number", "spec")

    def __init__(self, spec: SketchSpec) -> None:
        self.spec = spec
        self.number = {name: k for k, name in enumerate(spec.modules)}  # as the core counts them
        self.allowed = spec.allowed()
        self.core = _drawn(spec)
        self.coding = _coding(spec)
        self._rotations: _core.Spec | None = None
        self._signatures: Floats | None = None

    @property
    def rotations(self) -> _core.Spec:
        """The same without the identity in every T, as the paper's decoder uses them; drawn when first asked for."""
        if self._rotations is None:
            self._rotations = _drawn(self.spec, transparent=False)
        return self._rotations

    def signatures(self, n: int) -> Floats:
        """The first n signatures, (n, spec.signature); up to 4,096 of them are drawn once."""
        if n > KEPT:
            return signatures(self.spec, n)
        if self._signatures is None:
            self._signatures = signatures(self.spec, KEPT)
        return self._signatures[:n]

    @property
    def nbytes(self) -> int:
        """Bytes of what has been drawn so far."""
        rotations = 0 if self._rotations is None else self._rotations.nbytes
        return self.core.nbytes + rotations + (0 if self._signatures is None else self._signatures.nbytes)


def _drawn(spec: SketchSpec, *, transparent: bool = True) -> _core.Spec:
    def streams(role: str, names: Iterable[str]) -> Any:
        return np.array([stream(role, n) for n in names], np.uint64)

    names = list(spec.modules)
    f = factors(spec)
    return _core.Spec(
        spec.dim,
        tuple(spec.lengths.values()),
        spec.max_inputs,
        spec.seed,
        spec.rotation,
        f.norm * f.cosine if transparent else 0.0,
        f.norm * f.sine,
        f.gain,
        f.branch,
        spec.weighting,
        spec.spread,
        np.array([kappa(spec, k) for k in range(spec.max_inputs + 1)]),
        spec.ordered,
        streams("position", map(str, range(max(spec.max_inputs, NEAR)))),
        streams("module", names),
        streams("embedding", names),
        streams("counter", names),
        streams("branch", ("attr", "in/0", "in/1")),
        ins(spec),
        *_blocks(spec),
    )


def _blocks(spec: SketchSpec) -> tuple[int, int, npt.NDArray[np.uint64]] | tuple[()]:
    """Size, blocks of a column and modules' tags of the block family; nothing of the others."""
    if spec.block_size is None or spec.blocks_per_column is None:
        return ()
    bits = blocks.layout(spec.dim, spec.block_size).tag
    tags = np.array([blocks.tag(name, bits) for name in spec.modules], np.uint64)
    return spec.block_size, spec.blocks_per_column, tags


def _coding(spec: SketchSpec) -> _core.Coding:
    lengths, centres = spec.modules, spec.centres
    return _core.Coding(
        tuple(lengths.values()),
        [spec.scale(name) for name in lengths],
        None if centres is None else [centres.get(name, (0.0,) * n) for name, n in lengths.items()],
        spec.attributes == "polar",
        spec.signature,
    )
