"""What fixes a sketch: its length, the modules, and how the random matrices are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import recsketch._check as _check
import recsketch._core as _core
from recsketch._check import MAX_DIM, MIN_DIM
from recsketch._streams import stream

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.trace import Trace

FORMAT = 1
MAX_LENGTH = 1 << 20
MAX_INPUTS = 1 << 16
MAX_SIGNATURE = 64


class SketchSpec:
    """Specification of a sketch: runs sketched by equal ones can be compared.

    Parameters
    ----------
    dim : int
        Sketch length d, a power of two from 64 to 2**24.
    modules : mapping of str to int
        Module names and the lengths of their attribute vectors, 1 to 2**20. A module's matrices depend on the seed and
        its own name: adding a module changes nothing for the others.
    seed : int
        0 to 2**64 - 1.
    max_inputs : int
        The largest number of inputs of positive weight an object, or the network's output, may have.
    angle : float
        Of the transparent operators T = cos I + sin R, in degrees, above 0 and at most 90.
    rotation : {"skew", "hadamard"}
        The random rotation R. "skew" makes T exactly orthonormal and costs one pass over the sketch; "hadamard" is the
        paper's up to its distribution, and costs a transform.
    weighting : {"energy", "linear"}
        An input of weight w counts with sqrt(w), so that its share of the sketch's energy is w (of objects of one
        module, whose identity branches add up, only about), or with w.
    scaling : {"unit", "paper"}
        "unit": operators of norm one, parts mixed with sqrt(1/2). "paper": operators (I + R) / 2 at 45 degrees, parts
        mixed with 1/2.
    scales : mapping of str to float, optional
        Factor applied to a module's attributes before they are sketched, 1 where not given. Recovered attributes are
        divided by it again. Attributes far larger than the others drown them: see `with_scales`.
    wiring : mapping of str to sequence of str, optional
        The modules that may be inputs of a module; one that is not named takes no inputs. The key None (or "") names
        those that may be the network's outputs, all if it is absent. Without a wiring anything may feed anything. It
        changes no matrix: runs that break it are refused. Inputs of weight zero are none.
    signature : int
        Length of object signatures, 0 (none) to 64. The number of an object in its run is sketched as a unit vector
        beside its attribute, so that copies of one object can be told from look-alikes. It costs an object as many
        unknowns more.

    Raises
    ------
    ValueError, TypeError
        If a parameter is outside its range. The message says what was wanted.

    Notes
    -----
    With z the embedded attribute and counter, an object's sketch is ``T_M (b T_attr z + b T_in s_input)`` and a tuple's
    is ``sum_i a_i T_i s_i``: Ghazi, Panigrahy, Wang, "Recursive Sketches for Modular Deep Learning", ICML 2019, section
    3, with the constants of docs/design.md.

    Examples
    --------
    >>> spec = SketchSpec(dim=1024, modules={"page": 24, "line": 120}, seed=7)
    >>> SketchSpec.from_json(spec.to_json()) == spec
    True
    """

    __slots__ = (
        "angle",
        "dim",
        "max_inputs",
        "modules",
        "rotation",
        "scales",
        "scaling",
        "seed",
        "signature",
        "weighting",
        "wiring",
    )

    dim: int
    modules: Mapping[str, int]
    seed: int
    max_inputs: int
    angle: float
    rotation: str
    weighting: str
    scaling: str
    scales: Mapping[str, float] | None
    wiring: Mapping[str | None, tuple[str, ...]] | None
    signature: int

    def __init__(
        self,
        dim: int,
        modules: Mapping[str, int],
        seed: int = 0,
        *,
        max_inputs: int = 16,
        angle: float = 60.0,
        rotation: Literal["skew", "hadamard"] = "skew",
        weighting: Literal["energy", "linear"] = "energy",
        scaling: Literal["unit", "paper"] = "unit",
        scales: Mapping[str, float] | None = None,
        wiring: Mapping[str, Sequence[str]] | Mapping[str | None, Sequence[str]] | None = None,
        signature: int = 0,
    ) -> None:
        put = object.__setattr__
        put(self, "dim", _dim(dim))
        put(self, "modules", _modules(modules))
        put(self, "seed", _check.integer("seed", seed, 0, 2**64 - 1))
        put(self, "max_inputs", _check.integer("max_inputs", max_inputs, 1, MAX_INPUTS))
        put(self, "angle", _check.number("angle", angle, "degrees above 0 and at most 90", 0.0, 90.0))
        put(self, "rotation", _check.choice("rotation", rotation, ("skew", "hadamard")))
        put(self, "weighting", _check.choice("weighting", weighting, ("energy", "linear")))
        put(self, "scaling", _check.choice("scaling", scaling, ("unit", "paper")))
        put(self, "scales", _scales(scales, self.modules))
        put(self, "wiring", _wiring(wiring, self.modules))
        put(self, "signature", _check.integer("signature", signature, 0, MAX_SIGNATURE))
        for name, length in self.lengths.items() if self.signature else ():
            _check.integer(f"modules[{name!r}] and the signature", length, 1, MAX_LENGTH)

    @classmethod
    def paper(cls, *, dim: int, modules: Mapping[str, int], seed: int = 0, max_inputs: int = 16) -> SketchSpec:
        """The paper to the letter: operators (I + R) / 2, halves for all parts, linear weights, a dense rotation.

        Examples
        --------
        >>> SketchSpec.paper(dim=1024, modules={"eye": 16}).angle
        45.0
        """
        return cls(
            dim,
            modules,
            seed,
            max_inputs=max_inputs,
            angle=45.0,
            rotation="hadamard",
            weighting="linear",
            scaling="paper",
        )

    def with_scales(self, traces: Trace | TraceBatch | Iterable[Trace]) -> SketchSpec:
        """This specification with `scales` set from data: every module's attributes get a root mean square norm of one.

        A module without objects, or with zero attributes only, keeps its scale.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [3.0, 4.0])])
        >>> round(SketchSpec(64, {"eye": 2}).with_scales(trace).scale("eye"), 6)
        0.2
        """
        from recsketch.runs.batch import as_batch

        batch = as_batch(traces)[0]
        batch.require_modules(self.modules)
        square = np.square(batch.attributes, dtype=np.float64)
        norms = np.add.reduceat(square, batch.attribute_ends[:-1]) if square.size else np.zeros(0)
        scales = dict(self.scales or {})
        for index, name in enumerate(batch.names):
            mean = float(norms[batch.module == index].mean()) if np.any(batch.module == index) else 0.0
            if not math.isfinite(mean):
                raise ValueError(f"attributes of {name!r}: wanted finite numbers; got NaN or infinity")
            if mean > 0.0:
                scales[name] = 1.0 / math.sqrt(mean)
        return self.replace(scales=scales)

    def replace(self, **changes: Any) -> SketchSpec:
        """A copy with some parameters changed.

        Examples
        --------
        >>> SketchSpec(64, {"eye": 2}).replace(dim=128).dim
        128
        """
        return SketchSpec(**{**self._fields(), **changes})

    __replace__ = replace  # for copy.replace

    def scale(self, module: str) -> float:
        """The factor of a module's attributes, 1 unless set."""
        return (self.scales or {}).get(module, 1.0)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Numbers sketched of each module's objects: the attribute, and the signature after it."""
        if not self.signature:
            return self.modules
        return {name: length + self.signature for name, length in self.modules.items()}

    def allowed(self) -> npt.NDArray[np.uint8]:
        """The wiring as a matrix.

        Returns
        -------
        (modules + 1, modules) uint8, C order
            [p, m] is 1 where module m may be an input of module p, in the order of `modules`; the last row is that of
            the network's outputs. All ones without a wiring.

        Examples
        --------
        >>> spec = SketchSpec(64, {"page": 2, "line": 3}, wiring={None: ["page"], "page": ["line"]})
        >>> spec.allowed().tolist()
        [[0, 1], [0, 0], [1, 0]]
        """
        names = list(self.modules)
        out = np.ones((len(names) + 1, len(names)), np.uint8)
        if self.wiring is not None:
            for row, parent in enumerate([*names, None]):
                inputs = self.wiring.get(parent, names if parent is None else ())
                out[row] = [name in inputs for name in names]
        return out

    def to_json(self) -> str:
        """As a JSON object that `from_json` reads back to an equal specification."""
        import json

        fields = self._fields()
        if fields["wiring"] is not None:
            fields["wiring"] = {name or "": inputs for name, inputs in fields["wiring"].items()}
        return json.dumps({"recsketch": FORMAT, **fields}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> SketchSpec:
        """Read what `to_json` wrote. Anything else is a ValueError or TypeError that says what is wrong."""
        import json

        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise ValueError(f"specification: wanted a JSON object; got text that is not JSON: {e}") from None
        if not isinstance(fields, dict) or fields.get("recsketch") is True or fields.pop("recsketch", None) != FORMAT:
            raise ValueError(
                f'specification: wanted a JSON object with "recsketch": {FORMAT}; got {_check.describe(fields)}'
            )
        unknown = sorted(set(fields) - set(cls.__slots__))
        missing = sorted({"dim", "modules", "seed"} - set(fields))
        if unknown or missing:
            raise ValueError(f"specification: unknown fields {unknown}, missing fields {missing}")
        return cls(fields.pop("dim"), fields.pop("modules"), fields.pop("seed"), **fields)

    def _fields(self) -> dict[str, Any]:
        """All parameters, in the order of the documentation, as plain types."""
        names = ("dim", "modules", "seed", "max_inputs", "angle", "rotation", "weighting", "scaling", "scales")
        fields = {name: getattr(self, name) for name in (*names, "wiring", "signature")}
        return {k: dict(v) if isinstance(v, Mapping) else v for k, v in fields.items()}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"SketchSpec is frozen: make a new one to change {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"SketchSpec is frozen: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, SketchSpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(frozenset(v.items()) if isinstance(v, dict) else v for v in self._fields().values()))

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return SketchSpec.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        return f"SketchSpec({', '.join(f'{k}={v!r}' for k, v in self._fields().items())})"


def _dim(dim: object) -> int:
    value = _check.integer("dim", dim, MIN_DIM, MAX_DIM)
    if value & (value - 1):
        raise ValueError(f"dim: wanted a power of two from {MIN_DIM} to {MAX_DIM}; got {value}")
    return value


def _modules(modules: object) -> Mapping[str, int]:
    if not isinstance(modules, Mapping) or not modules:
        raise TypeError(f"modules: wanted a mapping of at least one name to a length; got {_check.describe(modules)}")
    for name in modules:
        _check.module_name("modules", name)
    return MappingProxyType({n: _check.integer(f"modules[{n!r}]", a, 1, MAX_LENGTH) for n, a in modules.items()})


def _scales(scales: object, modules: Mapping[str, int]) -> Mapping[str, float] | None:
    if scales is None:
        return None
    if not isinstance(scales, Mapping):
        raise TypeError(f"scales: wanted a mapping of module names to positive numbers; got {_check.describe(scales)}")
    for name in scales:
        if name not in modules:
            raise ValueError(f"scales: wanted names among {sorted(modules)}; got {name!r}")
    what = "a number above 1e-30 and up to 1e30"
    found = {n: _check.number(f"scales[{n!r}]", f, what, 1e-30, 1e30) for n, f in scales.items()}
    return MappingProxyType({n: f for n, f in found.items() if f != 1.0}) or None


def _wiring(wiring: object, modules: Mapping[str, int]) -> Mapping[str | None, tuple[str, ...]] | None:
    """In one order, whatever that of `modules`, and without modules that take no inputs: equal ones compare equal."""
    if wiring is None:
        return None
    if not isinstance(wiring, Mapping):
        raise TypeError(f"wiring: wanted a mapping of module names to sequences of them; got {_check.describe(wiring)}")
    found: dict[str | None, tuple[str, ...]] = {}
    for parent, inputs in wiring.items():
        key = None if parent == "" else parent
        if key is not None and (not isinstance(key, str) or key not in modules):
            raise ValueError(f"wiring: wanted names among {sorted(modules)}, or None; got {_check.describe(key)}")
        if key in found:
            raise ValueError('wiring: wanted the outputs once, under None or ""; got both')
        if isinstance(inputs, (str, bytes)) or not isinstance(inputs, (Sequence, Set)):
            raise TypeError(f"wiring[{parent!r}]: wanted a sequence of module names; got {_check.describe(inputs)}")
        for name in inputs:
            if not isinstance(name, str) or name not in modules:
                raise ValueError(
                    f"wiring[{parent!r}]: wanted names among {sorted(modules)}; got {_check.describe(name)}"
                )
        if key is None and not inputs:
            raise ValueError(f"wiring[{parent!r}]: wanted at least one module for the network's outputs; got none")
        found[key] = tuple(sorted(set(inputs)))
    order = sorted(found, key=lambda name: name or "")
    return MappingProxyType({name: found[name] for name in order if found[name]})


def _rounded(x: float) -> float:
    """To 40 bits after the point: mathematical libraries differ in the last place, sketches must not."""
    return math.ldexp(round(math.ldexp(x, 40)), -40)


def constants(spec: SketchSpec) -> tuple[float, float, float, float]:
    """Norm, cosine and sine of T = norm (cosine I + sine R), and the factor b of an object's branches."""
    angle = math.radians(spec.angle)
    norm, mix = (math.sqrt(0.5), 0.5) if spec.scaling == "paper" else (1.0, math.sqrt(0.5))
    return norm, _rounded(math.cos(angle)), _rounded(math.sin(angle)), mix


def gain(spec: SketchSpec) -> float:
    """The factor g of the parts of an object's z: attribute, counter and, if there is one, signature."""
    if spec.scaling == "paper":
        return 0.5
    return math.sqrt(1.0 / 3.0) if spec.signature else math.sqrt(0.5)


def draw(spec: SketchSpec, *, transparent: bool = True) -> _core.Spec:
    """The random matrices; `transparent=False` leaves out the identity of every T, as the paper's decoder does."""

    def streams(role: str, names: Iterable[str]) -> Any:
        return np.array([stream(role, n) for n in names], np.uint64)

    names = list(spec.modules)
    norm, cosine, sine, mix = constants(spec)
    return _core.Spec(
        spec.dim,
        tuple(spec.lengths.values()),
        spec.max_inputs,
        spec.seed,
        spec.rotation,
        norm * cosine if transparent else 0.0,
        norm * sine,
        gain(spec),
        mix,
        spec.weighting == "energy",
        np.array([spec.scale(n) for n in names]),
        streams("position", map(str, range(spec.max_inputs))),
        streams("module", names),
        streams("embedding", names),
        streams("counter", names),
        stream("branch", "attr"),
        stream("branch", "in"),
    )
