"""The mathematics of docs/format.md and docs/method.md in plain NumPy, float64, dense matrices.

An executable specification: written from that page alone, it never imports recsketch and never reads csrc. Every
matrix is formed as a (d, d) array, so keep d small (64 to 512). What recsketch computes by sweeps is computed here
twice: by the recursion (`sketch`) and by products of matrices along the paths (`affine_map`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]

# ---------------------------------------------------------------- section 1: random bits


def philox4x32(counter: NDArray[np.integer] | Sequence[int], key: Sequence[int]) -> U32:
    """Philox4x32-10 (Salmon et al., 2011) of counters (..., 4) under one key (2,)."""
    c = np.asarray(counter, dtype=np.uint64)
    c0, c1, c2, c3 = (c[..., i].copy() for i in range(4))
    k0, k1 = int(key[0]), int(key[1])
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c0
        p1 = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def stream(role: str, name: str | int) -> int:
    """The 64-bit stream id of a role and a name."""
    return int.from_bytes(hashlib.sha256(f"recsketch/1/{role}/{name}".encode()).digest()[:8], "little")


def stream_words(seed: int, stream_id: int, part: int, n: int) -> U32:
    """The first n 32-bit words of a part of a stream."""
    blocks = -(-n // 4)
    counter = np.zeros((blocks, 4), dtype=np.uint64)
    counter[:, 0] = np.arange(blocks)
    counter[:, 1] = part
    counter[:, 2] = stream_id & 0xFFFFFFFF
    counter[:, 3] = stream_id >> 32
    return philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)[:n]


def signs(seed: int, stream_id: int, part: int, n: int) -> F64:
    """The first n bits of a part as signs: a set bit is -1."""
    words = stream_words(seed, stream_id, part, -(-n // 32))
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
    return 1.0 - 2.0 * bits.reshape(-1)[:n].astype(np.float64)


# ---------------------------------------------------------------- section 2: operators


@lru_cache(maxsize=8)
def hadamard(n: int) -> F64:
    """The Sylvester-Hadamard matrix, H[i, j] = (-1)^popcount(i AND j), built by doubling."""
    h = np.ones((1, 1))
    while h.shape[0] < n:
        h = np.block([[h, h], [h, -h]])
    if h.shape[0] != n:
        raise ValueError(f"n: wanted a power of two; got {n}")
    return h


def fwht(x: NDArray[np.floating]) -> F64:
    """H x along the last axis in O(n log n), float64, for lengths whose matrix does not fit."""
    y = np.array(x, dtype=np.float64)
    n = y.shape[-1]
    step = 1
    while step < n:
        pairs = y.reshape(*y.shape[:-1], n // (2 * step), 2, step)
        upper, lower = pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]
        pairs[..., 0, :], pairs[..., 1, :] = upper, lower
        step *= 2
    return y


def subsampled_hadamard(m: int, n: int, seed: int) -> F64:
    """A = P H D / sqrt(m): the m rows of smallest words, ties by place, and the signs of the columns."""
    sid = stream("hadamard", "")
    rows = np.sort(np.argsort(stream_words(seed, sid, 0, n), kind="stable")[:m])
    return hadamard(n)[rows] * signs(seed, sid, 1, n) / math.sqrt(m)


def stored(dim: int) -> NDArray[np.int64]:
    """Where coordinate k of the order of computing stands in a vector as it is stored: the bits of k reversed.

    It is its own inverse. What follows computes in the one order and is returned in the other."""
    bits = dim.bit_length() - 1
    k = np.arange(dim)
    return sum(((k >> i) & 1) << (bits - 1 - i) for i in range(bits))  # type: ignore[return-value]


def drawn_mask(dim: int, seed: int, stream_id: int, half: int, taken: frozenset[int] = frozenset()) -> int:
    """The mask of a half of a skew rotation, in 1 .. dim / 2 - 1: the first draw that is not taken. Draw n reads block
    n of part 2."""
    for n in range(1 << 16):
        w = stream_words(seed, stream_id, 2, 4 * n + 4)[4 * n + 2 * half :]
        m = 1 + ((dim // 2 - 1) * (int(w[0]) + (int(w[1]) << 32)) >> 64)
        if m not in taken:
            return m
    raise ValueError("no mask is free")


@lru_cache(maxsize=1024)
def skew_mask(dim: int, seed: int, role: str, name: str, half: int) -> int:
    """The mask of a half of an operator.

    Products of operators whose masks cancel have few distinct eigenvalues, and members of a chain of one module look
    alike: those of T_in therefore differ from each other and from those of positions, by more than one of these, and a
    module's from all that would cancel with theirs."""
    sid = stream(role, name)

    def of(role: str, name: str | int) -> int:
        return skew_mask(dim, seed, role, str(name), half)

    if role != "module" and not name.startswith("in/"):
        return drawn_mask(dim, seed, sid, half)
    first = {of("position", i) for i in range(min(16, dim // 16))}
    if name == "in/0" and role == "branch":
        return drawn_mask(dim, seed, sid, half, frozenset(first))
    a = of("branch", "in/0")
    if name == "in/1" and role == "branch":
        return drawn_mask(dim, seed, sid, half, frozenset({a} | first | {a ^ m for m in first}))
    b = of("branch", "in/1")
    near = {of("position", i) for i in range(4)}
    taken = {a, b, a ^ b} | first | {a ^ b ^ m for m in first} | {a ^ m for m in near} | {b ^ m for m in near}
    return drawn_mask(dim, seed, sid, half, frozenset(taken))


def skew_partners(dim: int, seed: int, role: str, name: str) -> NDArray[np.int64]:
    """k XOR m for every k, m the mask of the half that k is in."""
    k = np.arange(dim)
    return k ^ np.where(k < dim // 2, *(skew_mask(dim, seed, role, name, half) for half in (0, 1)))


def skew_signs(dim: int, seed: int, role: str, name: str) -> F64:
    """sigma(k) for k = 0 .. dim - 1."""
    other = skew_partners(dim, seed, role, name)
    sigma = signs(seed, stream(role, name), 0, dim)
    second = other < np.arange(dim)  # the highest bit of the mask is set in k
    sigma[second] = -sigma[other[second]]
    return sigma


# ---------------------------------------------------------------- section 2: the block family

PRIMITIVE = {  # polynomials over GF(2), bit i the coefficient of x^i, by degree
    4: 0b10011, 5: 0b100101, 6: 0b1000011, 7: 0b10000011, 8: 0b100011101, 9: 0b1000010001, 10: 0b10000001001,
    11: 0b100000000101, 12: 0b1000001010011, 13: 0b10000000011011, 14: 0b100010001000011, 15: 0b1000000000000011,
    16: 0b10001000000001011, 17: 0b100000000000001001,
}  # fmt: skip


def times_x(m: int, degree: int) -> int:
    """m times x in GF(2^degree)."""
    m <<= 1
    return m ^ PRIMITIVE[degree] if m >> degree else m


def block_mask(dim: int, block: int, seed: int, role: str, name: str) -> int:
    """By how many blocks an operator moves, exclusive or, in either half: from 1 to one less than a half has blocks."""
    half = dim // block // 2

    def draw(stream_id: int, n: int) -> int:
        w = stream_words(seed, stream_id, 2, 4 * n + 2)[4 * n :]
        return 1 + ((half - 1) * (int(w[0]) + (int(w[1]) << 32)) >> 64)

    if role == "module":
        into = block_mask(dim, block, seed, "branch", "in/0")
        places = [block_mask(dim, block, seed, "position", str(i)) for i in range(min(16, half // 4))]
        taken = {into, *places, *(into ^ m for m in places)}
        return next(m for n in range(1 << 16) if (m := draw(stream(role, name), n)) not in taken)
    m = draw(stream("branch", "attr"), 0)
    for _ in range(0 if name == "attr" else 1 if role == "branch" else 2 + int(name)):
        m = times_x(m, half.bit_length() - 1)
    return m


def block_signs(dim: int, block: int, seed: int, role: str, name: str) -> tuple[NDArray[np.int64], F64]:
    """(dim / block,) the partner of each block, and its sign."""
    n = dim // block
    k = np.arange(n)
    other = k ^ block_mask(dim, block, seed, role, name)
    sigma = signs(seed, stream(role, name), 0, n)
    sigma[other < k] = -sigma[other[other < k]]
    return other, sigma


class Layout(NamedTuple):
    """Bits of a string of b signs: a payload's row, column and tag; all of its code; and the drawn tail behind it."""

    row: int
    column: int
    tag: int
    code: int
    tail: int


def block_layout(dim: int, block: int) -> Layout:
    row, (column, code) = (dim // block).bit_length() - 1, (10, 31) if block == 32 else (16, 48)
    return Layout(row, column, code - row - column, code, block - 1 - code)


def block_tag(module: str, bits: int) -> int:
    digest = hashlib.sha256(b"recsketch/1/tag/" + module.encode()).digest()
    return int.from_bytes(digest[:8], "little") % 2**bits


def code_of(payload: int, bits: int) -> int:
    """A bijection of so many bits: three times a product with an odd number and an exclusive or with the upper half."""
    for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        payload = payload * c % 2**bits
        payload ^= payload >> (bits + 1) // 2
    return payload


def sign_of(payload: int) -> int:
    q = payload * 0xD6E8FEB86659FD93 % 2**64
    q = (q ^ q >> 32) * 0xD6E8FEB86659FD93 % 2**64
    return -1 if q >> 63 else 1


@lru_cache(maxsize=256)
def block_columns(dim: int, block: int, count: int, a: int, seed: int, module: str) -> F64:
    """(dim, a + 1): a column is `count` blocks of signs over sqrt(count block); the last one is the counter's."""
    layout, blocks, sid = block_layout(dim, block), dim // block, stream("embedding", module)
    words = stream_words(seed, sid, 0, (a + 1) * count)
    tails = signs(seed, sid, 2, max(1, (a + 1) * count * layout.tail))
    out = np.zeros((dim, a + 1))
    for j in range(a + 1):
        column = j if j < a else 2**layout.column - 1
        for t in range(count):
            low, high = t * blocks // count, (t + 1) * blocks // count
            row = low + (int(words[j * count + t]) * (high - low) >> 32)
            payload = row + (column << layout.row) + (block_tag(module, layout.tag) << layout.row + layout.column)
            code = code_of(payload, layout.code)
            bits = [1.0, *(1.0 - 2.0 * (code >> i & 1) for i in range(layout.code))]
            at = (j * count + t) * layout.tail
            string = np.array([*bits, *tails[at : at + layout.tail]]) * sign_of(payload)
            out[row * block : (row + 1) * block, j] = string / math.sqrt(count * block)
    out.flags.writeable = False
    return out


# ---------------------------------------------------------------- section 2: matrices


@lru_cache(maxsize=256)
def rotation_matrix(kind: str, dim: int, seed: int, role: str, name: str, block: int = 0) -> F64:
    """R as a (dim, dim) matrix; read-only."""
    sid = stream(role, name)
    if kind == "block":
        other, sigma = block_signs(dim, block, seed, role, name)
        small = np.zeros((len(other), len(other)))
        small[np.arange(len(other)), other] = sigma
        r = np.kron(small, np.eye(block))
    elif kind == "skew":
        place = stored(dim)
        r = np.zeros((dim, dim))
        r[place, place[skew_partners(dim, seed, role, name)]] = skew_signs(dim, seed, role, name)
    elif kind == "hadamard":
        before, after = signs(seed, sid, 0, dim), signs(seed, sid, 1, dim)
        r = after[:, None] * hadamard(dim) * before[None, :] / math.sqrt(dim)
    else:
        raise ValueError(f"rotation: wanted 'skew', 'hadamard' or 'block'; got {kind!r}")
    r.flags.writeable = False
    return r


@lru_cache(maxsize=256)
def transparent_matrix(
    cosine: float, sine: float, kind: str, dim: int, seed: int, role: str, name: str, block: int = 0
) -> F64:
    """T = cosine I + sine R; read-only."""
    t = sine * rotation_matrix(kind, dim, seed, role, name, block)
    t[np.arange(dim), np.arange(dim)] += cosine
    t.flags.writeable = False
    return t


def runs(d: int, p: int) -> NDArray[np.int64]:
    """Which of p numbers stands at coordinate k: either half holds them all, each in a run of d / (2 p)."""
    k = np.arange(d)
    return k % (d // 2) // (d // 2 // p) if 2 * p <= d else k


@lru_cache(maxsize=256)
def embedding_matrix(kind: str, d: int, a: int, p: int, seed: int, module: str) -> F64:
    """D2 and the repeats or the folding of H D1 x, as a (d, a) matrix for a module of length a, padded to p: E_M, or
    what is drawn in its place; read-only."""
    d2 = signs(seed, stream("embedding", module), 1, max(p, d))
    hd = hadamard(p) * signs(seed, stream("embedding", module), 0, p)[None, :]
    if p > d:
        full = (d2[:, None] * hd).reshape(p // d, d, p).sum(axis=0) / math.sqrt(p)
    else:
        full = d2[:, None] * hd[np.arange(d) % p if kind == "hadamard" else runs(d, p)] / math.sqrt(d)
    e = np.ascontiguousarray(full[np.arange(d) if kind == "hadamard" else stored(d), :a])
    e.flags.writeable = False
    return e


@lru_cache(maxsize=256)
def counter_signs(kind: str, d: int, seed: int, module: str) -> F64:
    """Signs over sqrt(d): c_M, or what is drawn in its place; read-only."""
    c = signs(seed, stream("counter", module), 0, d) / math.sqrt(d)
    c = c if kind == "hadamard" else c[stored(d)]
    c.flags.writeable = False
    return c


@dataclass(frozen=True, eq=False)
class RefSpec:
    """What a sketch is made with. `angle` in degrees; scaling "paper" gives T the norm 1/sqrt(2), g = b = 1/2."""

    dim: int
    modules: Mapping[str, int]
    seed: int = 0
    max_inputs: int = 16
    angle: float = 60.0
    rotation: str = "skew"
    weighting: str = "energy"
    scaling: str = "unit"
    scales: Mapping[str, float] | None = field(default=None)
    signature: int = 0
    attributes: str = "linear"
    balance: float = 0.5
    spread: float = 0.0
    ordered: bool = True
    centres: Mapping[str, Sequence[float]] | None = field(default=None)
    block_size: int = 0
    blocks_per_column: int = 0

    @classmethod
    def paper(cls, dim: int, modules: Mapping[str, int], seed: int = 0, max_inputs: int = 16) -> RefSpec:
        return cls(dim, modules, seed, max_inputs, 45.0, "hadamard", "linear", "paper")

    @property
    def t(self) -> float:
        """The norm of T."""
        return math.sqrt(0.5) if self.scaling == "paper" else 1.0

    @property
    def direction(self) -> tuple[float, float]:
        """(c, s) of norm one. Where pairs are rotated the tangent is a float32, or the cotangent beyond 512."""
        c, s = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        if self.rotation != "hadamard" and s < 512 * c:
            c, s = 1.0, float(np.float32(s / c))
        elif self.rotation != "hadamard":
            c, s = float(np.float32(c / s)), 1.0
        return c / math.hypot(c, s), s / math.hypot(c, s)

    @property
    def cosine(self) -> float:
        return self.t * self.direction[0]

    @property
    def sine(self) -> float:
        return self.t * self.direction[1]

    @property
    def gain(self) -> float:
        """g, of the attribute, of the counter and of the signature in z."""
        return 0.5 if self.scaling == "paper" else math.sqrt(1 / 3 if self.signature else 1 / 2)

    @property
    def branch(self) -> float:
        """b, of T_attr z and of T_in s_input in an object, unless the weighting is "balanced"."""
        return 0.5 if self.scaling == "paper" else math.sqrt(0.5)

    def scale(self, module: str) -> float:
        return 1.0 if self.scales is None else float(self.scales.get(module, 1.0))

    def centre(self, module: str) -> F64:
        return np.asarray((self.centres or {}).get(module, np.zeros(self.modules[module])), dtype=np.float64)

    @property
    def in_names(self) -> tuple[str, ...]:
        """The operators of T_in, the first applied last. With one skew operator chains of 22 objects are singular."""
        return ("in/0", "in/1") if self.rotation == "skew" and self.scaling == "unit" else ("in/0",)

    def t_in(self, *, rotation_only: bool = False) -> F64:
        out = self.operator("branch", self.in_names[0], rotation_only=rotation_only)
        for name in self.in_names[1:]:
            out = out @ self.operator("branch", name, rotation_only=rotation_only)
        return out

    def place(self, i: int, *, rotation_only: bool = False) -> F64:
        """T_i, or the identity where the order of inputs is left out."""
        return self.operator("position", i, rotation_only=rotation_only) if self.ordered else np.eye(self.dim)

    def kappa(self, k: int) -> float:
        """What k inputs weigh beside their owner in the "balanced" weighting, per mean mass: to 40 significant bits."""
        fraction, exponent = math.frexp(float(k) ** self.balance)
        return math.ldexp(round(math.ldexp(fraction, 40)), exponent - 40)

    def rotated(self, role: str, name: str | int) -> F64:
        return rotation_matrix(self.rotation, self.dim, self.seed, role, str(name), self.block_size)

    def operator(self, role: str, name: str | int, *, rotation_only: bool = False) -> F64:
        """T = cosine I + sine R, or only sine R: what the paper's decoder takes it for."""
        cosine = 0.0 if rotation_only else self.cosine
        block = self.block_size
        return transparent_matrix(cosine, self.sine, self.rotation, self.dim, self.seed, role, str(name), block)

    def width(self, module: str) -> int:
        """Unknowns of an object without its counter: attribute, its norm's logarithm if polar, and signature."""
        return self.modules[module] + (self.attributes == "polar") + self.signature

    def padded(self, module: str) -> int:
        """a', the smallest power of two >= max(width, 16)."""
        p = 16
        while p < self.width(module):
            p *= 2
        return p

    def direct(self, module: str) -> bool:
        """Whether F_M = T_M T_attr E_M is drawn, and E_M follows from it: where 16 coordinates hold each number."""
        return self.rotation == "skew" and 16 * self.padded(module) <= self.dim

    def seen(self, module: str, x: F64, *, rotation_only: bool = False) -> F64:
        """The transpose of T_M T_attr, both of norm one, times x."""
        for t in (("module", module), ("branch", "attr")):
            x = self.operator(*t, rotation_only=rotation_only).T @ x
        return x / (self.sine if rotation_only else self.t) ** 2

    def strings(self, module: str) -> F64:
        shape = (self.dim, self.block_size, self.blocks_per_column, self.width(module))
        return block_columns(*shape, self.seed, module)

    def embedding(self, module: str, *, rotation_only: bool = False) -> F64:
        """E_M as a (dim, width) matrix, without gain."""
        if self.rotation == "block":
            return self.strings(module)[:, :-1]
        shape = (self.dim, self.width(module), self.padded(module), self.seed, module)
        e = embedding_matrix(self.rotation, *shape)
        return self.seen(module, e, rotation_only=rotation_only) if self.direct(module) else e

    def counter(self, module: str, *, rotation_only: bool = False) -> F64:
        """c_M."""
        if self.rotation == "block":
            return self.strings(module)[:, -1]
        c = counter_signs(self.rotation, self.dim, self.seed, module)
        return self.seen(module, c, rotation_only=rotation_only) if self.direct(module) else c


def signature(spec: RefSpec, n: int) -> NDArray[np.float32]:
    """The signature of object n of a run: a unit vector of length L."""
    length = spec.signature
    words = stream_words(spec.seed, stream("signature", ""), 0, (n + 1) * length)[n * length :]
    x = [(int(w) + 0.5) / 2**31 - 1 for w in words]
    norm = math.sqrt(sum(v * v for v in x))
    return np.array([v / norm for v in x], dtype=np.float32)


# ---------------------------------------------------------------- section 3: the recursion


class RefObject(NamedTuple):
    module: str
    attribute: NDArray[np.floating]
    inputs: Sequence[int] = ()
    weights: Sequence[float] | None = None


class RefTrace(NamedTuple):
    objects: Sequence[RefObject]
    outputs: Sequence[int]
    weights: Sequence[float] | None = None


def weighted(spec: RefSpec, inputs: Sequence[int], weights: Sequence[float] | None) -> list[tuple[int, float]]:
    """(object, u) of a tuple's members of positive weight: of sum one, drawn towards each other by the spread."""
    w = np.ones(len(inputs)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(inputs),) or np.any(w < 0) or (len(inputs) and not w.sum() > 0):
        raise ValueError("bad weights")
    kept = [(o, float(v)) for o, v in zip(inputs, w, strict=True) if v > 0]
    if len(kept) > spec.max_inputs:
        raise ValueError("too many inputs")
    if spec.weighting == "count":
        return kept
    total = sum(v for _, v in kept)
    return [(o, (1 - spec.spread) * v / total + spec.spread / len(kept)) for o, v in kept]


LIMIT = 2.0**600  # of a mass: deeper runs leave nothing in a sketch


def masses(spec: RefSpec, trace: RefTrace) -> list[float]:
    """M of every object: 1 for a leaf, and for others 1 + kappa times the mean of their inputs' masses."""
    out: list[float] = []
    for o in trace.objects:
        members = weighted(spec, o.inputs, o.weights)
        mean = sum(u * out[c] for c, u in members)
        out.append(min(1.0 + spec.kappa(len(members)) * mean if members else 1.0, LIMIT))
    return out


def positions(
    spec: RefSpec, inputs: Sequence[int], weights: Sequence[float] | None, mass: Sequence[float]
) -> list[tuple[int, int, float]]:
    """(position, object, alpha) of a tuple: zero weights take no position."""
    members = weighted(spec, inputs, weights)
    if spec.weighting == "balanced":
        total = sum(u * mass[o] for o, u in members)
        return [(i, o, math.sqrt(u * mass[o] / total)) for i, (o, u) in enumerate(members)]
    root = spec.weighting == "energy"
    return [(i, o, math.sqrt(u) if root else u) for i, (o, u) in enumerate(members)]


def branches(spec: RefSpec, mass: float) -> tuple[float, float]:
    """b of an object's own part, and of its inputs."""
    if spec.weighting != "balanced":
        return spec.branch, spec.branch
    return math.sqrt(1.0 / mass), math.sqrt((mass - 1.0) / mass)


class Tuples(NamedTuple):
    """What the weighting makes of a run: (position, object, alpha) of every object's inputs and of the outputs, and the
    branches of every object."""

    inputs: list[list[tuple[int, int, float]]]
    outputs: list[tuple[int, int, float]]
    own: list[float]
    below: list[float]


def tuples(spec: RefSpec, trace: RefTrace) -> Tuples:
    mass = masses(spec, trace)
    factors = [branches(spec, m) for m in mass]
    return Tuples(
        [positions(spec, o.inputs, o.weights, mass) for o in trace.objects],
        positions(spec, trace.outputs, trace.weights, mass),
        [own for own, _ in factors],
        [below for _, below in factors],
    )


def polar(x: F64) -> F64:
    """Direction and log2 |x| / 16; of a zero vector the direction is 0 and the last element 1."""
    norm = float(np.linalg.norm(x))
    return np.append(x / norm, math.log2(norm) / 16) if norm > 0 else np.append(x, 1.0)


def from_polar(y: F64) -> F64:
    """The vector whose `polar` is nearest in kind: zero where y is nearer to (0, 1) than its direction to norm one."""
    direction, last = y[:-1], float(y[-1])
    norm = float(np.linalg.norm(direction))
    if norm == 0 or 2 * norm + (last - 1) ** 2 < 1:
        return np.zeros(len(direction))
    return direction / norm * 2.0 ** (16 * min(max(last, -16.0), 8.0))


def encoded(spec: RefSpec, n: int, o: RefObject) -> F64:
    """The unknowns of object n, as float32: its attribute, centred, scaled and made polar, and its signature."""
    x = (np.asarray(o.attribute, dtype=np.float64) - spec.centre(o.module)) * spec.scale(o.module)
    y = polar(x) if spec.attributes == "polar" else x
    return np.concatenate([y.astype(np.float32), signature(spec, n)]).astype(np.float64)


def decoded(spec: RefSpec, module: str, unknowns: F64) -> F64:
    """The attribute in an object's unknowns."""
    y = unknowns[: len(unknowns) - spec.signature]
    x = from_polar(y) if spec.attributes == "polar" else y
    return x / spec.scale(module) + spec.centre(module)


def embedded(spec: RefSpec, n: int, o: RefObject) -> F64:
    """E_M of the unknowns of object n."""
    return spec.embedding(o.module) @ encoded(spec, n, o)


def tuple_sketch(spec: RefSpec, done: Sequence[F64], members: Sequence[tuple[int, int, float]]) -> F64:
    s = np.zeros(spec.dim)
    for i, o, alpha in members:
        s += alpha * (spec.place(i) @ done[o])
    return s


def sketch(spec: RefSpec, trace: RefTrace, counters: Sequence[float] | None = None) -> F64:
    """The sketch by the recursion; `counters` are coefficients of the objects' counters, 1 unless given."""
    t_attr, t_in, of = spec.operator("branch", "attr"), spec.t_in(), tuples(spec, trace)
    done: list[F64] = []
    for n, o in enumerate(trace.objects):
        e = 1.0 if counters is None else counters[n]
        z = spec.gain * (embedded(spec, n, o) + e * spec.counter(o.module))
        below = tuple_sketch(spec, done, of.inputs[n])
        done.append(spec.operator("module", o.module) @ (of.own[n] * t_attr @ z + of.below[n] * t_in @ below))
    return tuple_sketch(spec, done, of.outputs)


def paths(spec: RefSpec, trace: RefTrace, *, rotation_only: bool = False) -> tuple[list[F64], list[F64]]:
    """Every object's (d, d) maps to the sketch from its z and from its s_object: sums over its paths of products."""
    of = tuples(spec, trace)
    tail = [np.zeros((spec.dim, spec.dim)) for _ in trace.objects]
    t_attr = spec.operator("branch", "attr", rotation_only=rotation_only)
    t_in = spec.t_in(rotation_only=rotation_only)
    place = [spec.place(i, rotation_only=rotation_only) for i in range(spec.max_inputs)]
    for i, o, alpha in of.outputs:
        tail[o] += alpha * place[i]
    out: list[F64] = [np.empty(0)] * len(trace.objects)
    for n in reversed(range(len(trace.objects))):
        inside = tail[n] @ spec.operator("module", trace.objects[n].module, rotation_only=rotation_only)
        out[n] = of.own[n] * inside @ t_attr
        for i, o, alpha in of.inputs[n]:
            tail[o] += alpha * of.below[n] * inside @ t_in @ place[i]
    return out, tail


def affine_map(spec: RefSpec, trace: RefTrace, *, rotation_only: bool = False) -> tuple[F64, F64, F64]:
    """A (d, unknowns), the counters' columns C (d, objects) and s0 = C 1, with sketch = A x + s0.

    x holds what `encoded` makes of every object."""
    columns, counters = [], []
    for o, p in zip(trace.objects, paths(spec, trace, rotation_only=rotation_only)[0], strict=True):
        columns.append(p @ (spec.gain * spec.embedding(o.module, rotation_only=rotation_only)))
        counters.append(p @ (spec.gain * spec.counter(o.module, rotation_only=rotation_only)))
    c = np.stack(counters, axis=1)
    return np.concatenate(columns, axis=1), c, c.sum(axis=1)


def reached(trace: RefTrace, spec: RefSpec) -> NDArray[np.bool_]:
    """Which objects reach an output through positive weights."""
    mark = np.zeros(len(trace.objects), dtype=bool)
    mark[[o for o, _ in weighted(spec, trace.outputs, trace.weights)]] = True
    for n in reversed(range(len(trace.objects))):
        if mark[n]:
            mark[[o for o, _ in weighted(spec, trace.objects[n].inputs, trace.objects[n].weights)]] = True
    return mark


def amplitudes(spec: RefSpec, trace: RefTrace, t: float | None = None) -> tuple[F64, NDArray[np.int64]]:
    """Amplitude of every object, and its uses by what reaches an output; t defaults to the norm of T."""
    t = spec.t if t is None else t
    of, mark = tuples(spec, trace), reached(trace, spec)
    place, inner = (t if spec.ordered else 1.0), t ** len(spec.in_names)
    square = np.zeros(len(trace.objects))
    uses = np.zeros(len(trace.objects), dtype=np.int64)
    for _, o, alpha in of.outputs:
        square[o] += (alpha * place) ** 2
        uses[o] += 1
    for n in reversed(range(len(trace.objects))):
        if not mark[n]:
            continue
        for _, o, alpha in of.inputs[n]:
            square[o] += (alpha * place * math.sqrt(square[n]) * t * of.below[n] * inner) ** 2
            uses[o] += 1
    return np.sqrt(square) * t * np.array(of.own) * t * spec.gain, uses


def load(spec: RefSpec, trace: RefTrace) -> float:
    """Unknowns / d, an object's being its attribute, its signature and one counter: a shared object counts once, a dead
    one not."""
    mark = reached(trace, spec)
    return sum(spec.width(o.module) + 1 for o, m in zip(trace.objects, mark, strict=True) if m) / spec.dim


# ---------------------------------------------------------------- section 4: decoders for a known structure


def split(spec: RefSpec, trace: RefTrace, x: F64) -> list[F64]:
    """A packed vector of unknowns, one array an object."""
    return np.split(x, np.cumsum([spec.width(o.module) for o in trace.objects])[:-1])


def attributes(spec: RefSpec, trace: RefTrace, x: F64) -> list[F64]:
    """The attributes in a packed vector of unknowns, one array an object; NaN where an unknown is."""
    parts = [(o.module, v) for o, v in zip(trace.objects, split(spec, trace, x), strict=True)]
    return [decoded(spec, m, v) if np.isfinite(v).all() else np.full(spec.modules[m], np.nan) for m, v in parts]


def lstsq(spec: RefSpec, trace: RefTrace, s: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> list[F64]:
    """min |mask (s - A x - s0)|; NaN for objects that reach no output."""
    a, _, s0 = affine_map(spec, trace)
    keep = np.ones(spec.dim, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    column = np.repeat(reached(trace, spec), [spec.width(o.module) for o in trace.objects])
    norm = np.linalg.norm(a[:, column], axis=0)
    x = np.full(a.shape[1], np.nan)
    x[column] = np.linalg.lstsq(a[keep][:, column] / norm, s[keep] - s0[keep], rcond=None)[0] / norm
    return attributes(spec, trace, x)


def sparse(
    spec: RefSpec,
    trace: RefTrace,
    s: NDArray[np.floating],
    nonzeros: int,
    mask: NDArray[np.bool_] | None = None,
    *,
    nonnegative: bool = False,
) -> F64:
    """min |mask (s - A x - s0)| over the packed x with so many elements that are not zero: every support is tried."""
    a, _, s0 = affine_map(spec, trace)
    keep = np.ones(spec.dim, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    rest = np.asarray(s, dtype=np.float64)[keep] - s0[keep]
    best, least = np.zeros(a.shape[1]), math.inf
    for support in combinations(range(a.shape[1]), nonzeros):
        x = on_support(a[keep], rest, np.array(support))
        misfit = float(np.linalg.norm(rest - a[keep] @ x))
        if misfit < least and not (nonnegative and np.any(x < 0)):
            best, least = x, misfit
    return best


def on_support(a: F64, s: F64, support: NDArray[np.integer]) -> F64:
    """min |s - A x| over the x that are zero outside the support."""
    norm = np.linalg.norm(a[:, support], axis=0)
    x = np.zeros(a.shape[1])
    x[support] = np.linalg.lstsq(a[:, support] / norm, s, rcond=None)[0] / norm
    return x


def matched(spec: RefSpec, trace: RefTrace, s: NDArray[np.floating]) -> list[F64]:
    """A_theta^T s / |column|^2, the columns of theta measured: their mean square."""
    a, _, _ = affine_map(spec, trace)
    norms = [float(np.mean(n)) for n in split(spec, trace, np.sum(a * a, axis=0))]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = [x / n for x, n in zip(split(spec, trace, a.T @ s), norms, strict=True)]
    return attributes(spec, trace, np.concatenate(found))


def paper(spec: RefSpec, trace: RefTrace, s: NDArray[np.floating]) -> list[F64]:
    """The paper's decoder: every T taken for sine R, divided by the amplitude for t = sine. Nothing is lost in
    T_M T_attr E_M where that is drawn: t^2 of it is there, and not sine^2."""
    a, _, _ = affine_map(spec, trace, rotation_only=True)
    amplitude, _ = amplitudes(spec, trace, t=spec.sine)
    found = split(spec, trace, a.T @ s)
    for n, o in enumerate(trace.objects):
        share = (spec.sine / spec.t) ** 2 if spec.direct(o.module) else 1.0
        with np.errstate(invalid="ignore", divide="ignore"):
            found[n] = found[n] * share / amplitude[n] ** 2
    return attributes(spec, trace, np.concatenate(found))


# ---------------------------------------------------------------- section 9: random features


def order_of(n: int) -> int:
    """The smallest power of two that is at least n and 16."""
    p = 16
    while p < n:
        p *= 2
    return p


def projection_matrix(features: int, m: int, seed: int) -> F64:
    """The structured projection as an (m, features) matrix."""
    d = order_of(features)
    h, blocks = hadamard(d) / math.sqrt(d), []
    for b in range(-(-m // d)):
        sid = [signs(seed, stream("projection", ""), 3 * b + part, d) for part in range(3)]
        blocks.append(h @ (sid[2][:, None] * (h @ (sid[1][:, None] * (h * sid[0][None, :])))))
    return math.sqrt(d / m) * np.concatenate(blocks)[:m, :features]


def hashing_matrix(features: int, m: int, s: int, seed: int, name: str | int | None = None) -> F64:
    """The SJLT of s non-zeros a column as an (m, features) matrix; s = 1 is a CountSketch."""
    sid = stream("hashing", s if name is None else name)
    word, sign = stream_words(seed, sid, 0, features * s), signs(seed, sid, 1, features * s)
    out = np.zeros((m, features))
    for j in range(features):
        for r in range(s):
            low, high = r * m // s, (r + 1) * m // s
            out[low + (int(word[j * s + r]) * (high - low) >> 32), j] += sign[j * s + r] / math.sqrt(s)
    return out


def tensor_orders(q: int, a: int, m: int, seed: int) -> NDArray[np.int64]:
    """Factor q's first m coordinates: in every run of a of them each occurs once, in the order of its word."""
    words = [stream_words(seed, stream("tensor", q), 1 + run, a) for run in range(-(-m // a))]
    return np.concatenate([np.lexsort((np.arange(a), w)) for w in words])[:m]


def tensor_features(x: F64, m: int, p: int, seed: int) -> F64:
    """The tensor sketch of every row of x (n, features), by products of transforms."""
    a = order_of(x.shape[1])
    wide = np.zeros((len(x), a))
    wide[:, : x.shape[1]] = x
    h = [(wide * signs(seed, stream("tensor", q), 0, a)) @ hadamard(a) for q in range(p)]
    out = np.zeros((len(x), m))
    if m >= a**p:
        for k in range(a**p):
            out[:, k] = math.prod(h[q][:, k // a**q % a] for q in range(p)) / math.sqrt(a**p)
        return out
    orders = [tensor_orders(q, a, m, seed) for q in range(p)]
    for k in range(0, m - 1, 2):
        g = math.prod((h[q][:, orders[q][k]] + 1j * h[q][:, orders[q][k + 1]]) / math.sqrt(2) for q in range(p))
        out[:, k], out[:, k + 1] = g.real * math.sqrt(2 / m), g.imag * math.sqrt(2 / m)
    if m % 2:
        out[:, -1] = math.prod(h[q][:, orders[q][-1]] for q in range(p)) / math.sqrt(m)
    return out


def tensor_variance(x: F64, y: F64, m: int, p: int) -> float:
    """The variance of <z(x), z(y)> for unit vectors x and y where m < a^p.

    For coordinates i != j drawn from all of h = H D x and k = H D y, w = (h_i + i h_j) conj(k_i + i k_j) / 2 has the
    mean rho, E |w|^2 = square, E w^2 = pseudo, and both pairs of a run E Re w Re w' = other: the sum of all is fixed.
    Im w changes its sign with i and j exchanged, so that it is not correlated with anything of another pair. Factors
    are independent, and given their signs so are runs.
    """
    a, rho = order_of(len(x)), float(x @ y)
    single = 1 + 2 * rho**2 - 2 * float(np.sum(x * x * y * y))  # E (h_i k_i)^2 over the signs
    cross = (a * rho**2 - single) / (a - 1)  # E h_i k_i h_j k_j
    square = (single + (a - single) / (a - 1)) / 2
    real = (single + cross) / 2  # E (Re w)^2
    pseudo = 2 * real - square
    other = rho**2 - (real - rho**2) / (a / 2 - 1)
    total = 0.0
    for run in range(0, m, a):
        pairs, odd = divmod(min(a, m - run), 2)
        total += (
            2 * pairs * (square**p + pseudo**p) + 4 * pairs * (pairs - 1) * other**p - 4 * pairs**2 * rho ** (2 * p)
        )
        if odd:  # a number that is real
            total += single**p - rho ** (2 * p) + 4 * pairs * (cross**p - rho ** (2 * p))
    return total / m**2
