"""What a span's attribute is unless the caller says: log duration, error flag, log token counts, an embedding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import recsketch._check as _check
from recsketch.capture.otlp.spans import Span, decoded, plain

if TYPE_CHECKING:
    import numpy.typing as npt

PARTS = ("tokens", "embedding")
TOKENS: dict[str, int] = {  # 0: what went in, 1: what came out
    "gen_ai.usage.input_tokens": 0,  # OpenTelemetry's conventions, today's names and those of 2024
    "gen_ai.usage.prompt_tokens": 0,
    "gen_ai.usage.output_tokens": 1,
    "gen_ai.usage.completion_tokens": 1,
    "llm.token_count.prompt": 0,  # OpenInference
    "llm.token_count.completion": 1,
}
MLFLOW = "mlflow.chat.tokenUsage"
USAGE = {"input_tokens": 0, "output_tokens": 1}
EMBEDDING = re.compile(r"embedding\.embeddings\.\d+\.embedding\.vector")
Measured: TypeAlias = "tuple[tuple[float, float] | None, npt.NDArray[np.float64] | None]"

LONGEST = 1 << 16  # numbers of an embedding


class SpanAttributes:
    """The attributes that `read_otlp` makes of spans: numbers in this order, each part only where a module has it.

    - ln(1 + duration in microseconds), and 1 or 0 for a failed span or another: every module;
    - "tokens": ln(1 + tokens that went in), ln(1 + tokens that came out), from attributes as OpenTelemetry
      (`gen_ai.usage.input_tokens`), OpenInference (`llm.token_count.prompt`) and MLflow (`mlflow.chat.tokenUsage`) name
      them; 0 where there are none;
    - "embedding": `dim` numbers, P v / sqrt(dim) with a matrix P of random signs and v the mean of the span's
      OpenInference embeddings (`embedding.embeddings.N.embedding.vector`); zeros where there are none. The norm of v is
      kept up to a relative error of about sqrt(2 / dim). P depends on the seed and the length of v alone.

    Parameters
    ----------
    dim : int
        Numbers that stand for an embedding, 1 to 4096.
    seed : int
        Of the signs, 0 to 2**64 - 1.
    modules : mapping of str to sequence of {"tokens", "embedding"}, optional
        The parts that modules have. A module that is not among them has what any of its spans in the source has, so
        that attributes of two sources may differ in length: pass on `OtlpRuns.attribute`, which says them all.

    Raises
    ------
    TypeError, ValueError
        An argument is not of that form.

    Examples
    --------
    >>> SpanAttributes(modules={"llm": ["tokens"]}).length("llm"), SpanAttributes(dim=8).length("query", ["embedding"])
    (4, 10)
    """

    def __init__(self, *, dim: int = 16, seed: int = 0, modules: Mapping[str, Sequence[str]] | None = None) -> None:
        self.dim = _check.integer("dim", dim, 1, 4096)
        self.seed = _check.integer("seed", seed, 0, 2**64 - 1)
        if modules is not None and not isinstance(modules, Mapping):
            raise TypeError(f"modules: wanted a dict of module names and parts; got {_check.describe(modules)}")
        self.modules = {
            _check.module_name("modules", name): self._parts(f"modules[{_check.shown(name)}]", parts)
            for name, parts in (modules or {}).items()
        }

    @staticmethod
    def _parts(name: str, parts: object) -> tuple[str, ...]:
        found = {_check.choice(name, part, PARTS) for part in _check.members(name, parts, f"parts among {PARTS}")}
        return tuple(part for part in PARTS if part in found)

    def __repr__(self) -> str:
        return f"SpanAttributes(dim={self.dim}, seed={self.seed}, modules={self.modules})"

    def length(self, module: str, parts: Iterable[str] | None = None) -> int:
        """How many numbers an attribute of this module has, given its parts or those it was told."""
        of = self.modules.get(module, ()) if parts is None else self._parts("parts", parts)
        return 2 + 2 * ("tokens" in of) + self.dim * ("embedding" in of)

    def measured(self, span: Span) -> Measured:
        """A span's tokens, in and out, and its projected embedding: None for what it has not."""
        given = span.raw_attributes()
        if not given:
            return None, None
        tokens = _tokens(given) if MLFLOW in given or not TOKENS.keys().isdisjoint(given) else None
        keys = [key for key in given if key[:9] == "embedding" and EMBEDDING.fullmatch(key)]
        return tokens, self._projected([_vector(key, given[key]) for key in keys]) if keys else None

    @staticmethod
    def parts(values: list[Measured]) -> tuple[str, ...]:
        """The parts that any of a module's spans has."""
        return tuple(part for i, part in enumerate(PARTS) if any(v[i] is not None for v in values))

    def columns(
        self, base: npt.NDArray[np.float64], values: list[Measured], parts: tuple[str, ...]
    ) -> npt.NDArray[np.float32]:
        """Attributes of a module's spans, (n, a), from log durations and flags (n, 2) and what was measured."""
        blocks: list[npt.NDArray[Any]] = [base]
        if "tokens" in parts:
            blocks.append(np.log1p([v[0] or (0.0, 0.0) for v in values]))
        if "embedding" in parts:
            none = np.zeros(self.dim)
            blocks.append(np.array([none if v[1] is None else v[1] for v in values]))
        out: npt.NDArray[np.float32] = np.concatenate(blocks, axis=1).astype(np.float32)
        return out

    def _projected(self, vectors: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        if len({v.size for v in vectors}) > 1:
            raise ValueError(f"embeddings: wanted one length; got {sorted({v.size for v in vectors})}")
        mean = np.sum(vectors, axis=0) / len(vectors)
        return np.asarray(signs(self.dim, mean.size, self.seed) @ mean / np.sqrt(self.dim), np.float64)


@lru_cache(maxsize=8)
def signs(rows: int, columns: int, seed: int) -> npt.NDArray[np.float64]:
    """Random signs, (rows, columns), from the bits of Philox, whose stream NumPy keeps as it is."""
    words = -(-rows * columns // 64)
    raw = np.random.Philox(key=seed, counter=[0, 0, 0, columns]).random_raw(words).astype("<u8")
    bits = np.unpackbits(raw.view(np.uint8), count=rows * columns, bitorder="little")
    out: npt.NDArray[Any] = 1.0 - 2.0 * bits.reshape(rows, columns).astype(np.float64)
    return out


def _tokens(given: dict[str, Any]) -> tuple[float, float]:
    found = [0.0, 0.0]
    usage = decoded(plain(given.get(MLFLOW)))
    for key, side in USAGE.items():
        if isinstance(usage, dict) and usage.get(key) is not None:
            found[side] = _count(MLFLOW, usage[key])
    for key, side in TOKENS.items():
        if key in given:
            found[side] = _count(key, decoded(plain(given[key])))
    return found[0], found[1]


def _count(key: str, x: Any) -> float:
    return _check.number(key, x, "a number of tokens", -1e-300, 1e30)


def _vector(key: str, value: Any) -> npt.NDArray[np.float64]:
    """An embedding: finite numbers, at least one."""
    try:
        numbers = [x["doubleValue"] for x in value["arrayValue"]["values"]]  # nearly all are, and `plain` is slower
    except (KeyError, TypeError):
        numbers = decoded(plain(value))
    what = f"1 to {LONGEST} finite numbers of at most 1e30"
    if not isinstance(numbers, list) or not 0 < len(numbers) <= LONGEST:
        raise ValueError(f"{key}: wanted {what}; got {_check.describe(numbers)}")
    vector = _check.reals(key, numbers, what).astype(np.float64)
    if vector.ndim != 1 or not np.all(np.abs(vector) <= 1e30):
        raise ValueError(f"{key}: wanted {what}; got others")
    return vector
