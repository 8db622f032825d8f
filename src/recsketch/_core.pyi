from collections.abc import Sequence
from typing import Self, final

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]
_Real = _F32 | _F64
_U8 = npt.NDArray[np.uint8]
_U16 = npt.NDArray[np.uint16]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]

class CoreError(ValueError):
    code: str
    trace: int
    object: int
    def __init__(self, message: str, code: str, trace: int, object: int) -> None: ...

def isa() -> str: ...
def isa_select(name: str) -> None: ...
def isa_available(name: str) -> bool: ...
def max_threads() -> int: ...
def openmp() -> str: ...
def philox(counter: _U32, key: _U32) -> _U32: ...
def stream_words(seed: int, stream: int, part: int, n: int) -> _U32: ...
def stream_parts(seed: int, stream: int, first: int, parts: int, n: int) -> _U32: ...
def fwht_f32(x: _F32, out: _F32, factor: float, threads: int) -> bool: ...
def fwht_f64(x: _F64, out: _F64, factor: float, threads: int) -> bool: ...
def within(x: _Real, most: float) -> bool: ...
def project(x: _Real, out: _Real, signs: _U16, padded: int, factor: float, transpose: bool, threads: int) -> bool: ...
def hash_rows(x: _Real, out: _Real, entries: _U32, factor: float, transpose: bool, threads: int) -> bool: ...
def add_fixed(x: _F32, group: _I32, sums: _I64) -> int: ...
def firsts(module: _I32, first: _I32) -> None: ...
def halves(x: _F32, out: _U16, scale: _F32, noise: _F64) -> int: ...
def moments(
    x: _F32,
    ends: _I64,
    module: _I32,
    place: _I64,
    shift: _F64,
    sums: _F64,
    squares: _F64,
    counts: _I64,
    tally: _F64,
) -> tuple[int, bool]: ...
def hash_csr(ends: _I64, columns: _I64, x: _Real, out: _Real, entries: _U32, factor: float, threads: int) -> None: ...
def tensor_sketch(x: _Real, out: _Real, signs: _U16, index: _I32, pairs: int, factor: float, threads: int) -> None: ...

@final
class Spec:
    dim: int
    lengths: tuple[int, ...]
    def __new__(
        cls,
        dim: int,
        lengths: tuple[int, ...],
        max_inputs: int,
        seed: int,
        rotation: str,
        cosine: float,
        sine: float,
        gain: float,
        branch: float,
        weighting: str,
        spread: float,
        kappa: _F64,
        ordered: bool,
        positions: _U64,
        operators: _U64,
        embeddings: _U64,
        counters: _U64,
        branches: _U64,
        ins: int,
    ) -> Self: ...
    @property
    def nbytes(self) -> int: ...
    def operator(self, kind: int, index: int, transpose: bool, x: _F32) -> _F32: ...
    def embed(self, module: int, x: _F32) -> _F32: ...
    def embed_adjoint(self, module: int, x: _F32) -> _F32: ...
    def counter(self, module: int) -> _F32: ...

@final
class Coding:
    lengths: npt.NDArray[np.intp]
    scales: _F64
    centres: _F32 | None
    begin: npt.NDArray[np.intp] | None
    def __new__(
        cls,
        lengths: Sequence[int],
        scales: Sequence[float],
        centres: Sequence[Sequence[float]] | None,
        polar: bool,
        signature: int,
    ) -> Self: ...
    @property
    def more(self) -> int: ...
    def encode(
        self, module: _I32, number: _I32 | None, ends: _I64, attributes: _F32, signatures: _F32 | None, threads: int
    ) -> _F32: ...
    def decode(
        self, module: _I32, ends: _I64, unknowns: _F32, error: _F64 | None, threads: int
    ) -> tuple[_F32, _F32 | None]: ...

@final
class Plan:
    spec: Spec
    module: _I32
    traces: int
    objects: int
    attributes: int
    def __new__(
        cls,
        spec: Spec,
        objects: _I64,
        module: _I32,
        attribute_ends: _I64,
        input_ends: _I64,
        inputs: _I32,
        weights: _F64,
        output_ends: _I64,
        outputs: _I32,
        output_weights: _F64,
        threads: int,
        more: int = 0,
    ) -> Self: ...
    @property
    def vectors(self) -> int: ...
    def amplitudes(self) -> tuple[_F64, _I32]: ...
    def sketch(self, attributes: _F32, counters: _F32 | None, out: _F32, threads: int) -> None: ...
    def adjoint(self, y: _F32, attributes: _F32, counters: _F32 | None, threads: int) -> None: ...
    def lstsq(
        self,
        sketches: _F32,
        mask: _U8 | None,
        tolerance: float,
        max_iterations: int,
        attributes: _F32,
        residual: _F64,
        iterations: _I32,
        threads: int,
        noise: _F64 | None = None,
    ) -> None: ...
    def sparse(
        self,
        sketches: _F32,
        mask: _U8 | None,
        nonzeros: int,
        per_object: int,
        free: int,
        nonnegative: bool,
        noise: _F64 | None,
        max_iterations: int,
        attributes: _F32,
        residual: _F64,
        iterations: _I32,
        threads: int,
    ) -> None: ...

@final
class Unrolling:
    sketches: int
    def __new__(
        cls,
        spec: Spec,
        sketches: _F32,
        mask: _U8 | None,
        allowed: _U8,
        noise: _F64 | None,
        max_depth: int,
        threshold: float,
        max_rounds: int,
        threads: int,
        norm2: float = 0.0,
        sparsity: _I64 | None = None,
        free: int = 0,
        signature: int = 0,
    ) -> Self: ...
    def get(self, i: int) -> tuple[tuple[float, float, float, int, int], _I32, _F64, _F64]: ...
    def rests(self, i: int) -> tuple[_I32, _F64, _F64]: ...

@final
class Hadamard:
    n: int
    m: int
    def __new__(cls, n: int, rows: _I32, seed: int, stream: int) -> Self: ...
    def product_f32(self, x: _F32, out: _F32, adjoint: bool, threads: int) -> None: ...
    def product_f64(self, x: _F64, out: _F64, adjoint: bool, threads: int) -> None: ...
    def pursue(
        self,
        method: str,
        y: _F64,
        tolerance: _F64,
        sparsity: int,
        block: int,
        nonnegative: bool,
        max_iterations: int,
        threads: int,
    ) -> tuple[_I32, _F64, _I32, _F64, _I32, _I32]: ...

def extend(
    who: _I64, columns: _F64, q: _F64, triangle: _F64, z: _F64, residual: _F64, square: _F64, size: _I64
) -> None: ...
def scan(
    kind: str,
    rows: _F32 | npt.NDArray[np.uint16] | npt.NDArray[np.int8],
    scale: _F32 | None,
    queries: _F32,
    k: int,
    threads: int,
) -> tuple[_F32, _I64]: ...
def code_layout(dim: int, block: int) -> tuple[int, int, int, int, int] | None: ...
def codes_read(dim: int, block: int, codes: _U64) -> tuple[_U64, _F64]: ...
def codes_write(dim: int, block: int, fields: _U64) -> tuple[_U64, _F64]: ...
def peel(
    block: int, sketches: _F32, noise: _F64, codes: _U64, most: int, threads: int
) -> tuple[_I32, _F32, _F32, _U64, _U8, _F64, _F64]: ...
