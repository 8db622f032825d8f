"""What fixes a sketch: its length, the modules, and how the random matrices are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import recsketch._check as _check
import recsketch.sketching.blocks as blocks
import recsketch.sketching.moments as moments
import recsketch.sketching.parameters as parameters

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsketch.runs.batch import TraceBatch
    from recsketch.runs.statistics import ModuleStatistics
    from recsketch.runs.trace import Trace

FORMAT = 1  # of JSON
MAX_SIGNATURE = 64


class SketchSpec:
    """Specification of a sketch: runs sketched by equal ones can be compared.

    Specifications are frozen, and equal if all parameters are, in whatever order modules, scales and wiring are given:
    the matrices do not depend on it.

    Parameters
    ----------
    dim : int
        Sketch length d, a power of two from 64 to 2**24.
    modules : mapping of str to int
        Module names and the lengths of their attribute vectors, from 1; with what is sketched behind it (`lengths`) an
        attribute has at most 2**20 numbers. A module's matrices depend on the seed and its own name: adding a module
        changes nothing for the others.
    seed : int
        0 to 2**64 - 1.
    max_inputs : int
        The largest number of inputs of positive weight an object, or the network's output, may have.
    angle : float, optional
        Of the transparent operators T = cos I + sin R, in degrees, above 0 and at most 90. If not given 75 for "block"
        and 60 for the others.
    rotation : {"skew", "hadamard", "block"}
        The random rotation R. "skew" makes T exactly orthonormal and costs one pass over the sketch; "hadamard" is the
        paper's up to its distribution, and costs a transform. "block" is "skew" over whole blocks of coordinates, with
        attributes that are embedded as strings of signs: matrices can be learned from sketches alone, and reading is a
        little less exact.
    attributes : {"polar", "linear"}
        "polar": of an attribute its direction is sketched, and the logarithm of its norm beside it, so that attributes
        of any norm, 1e-30 or 1e30, are read back alike well. "linear": the attribute itself, so that what a sketch
        holds is a linear function of the attributes, as sums of sketches and the paper's error bounds need it; large
        attributes then drown small ones, see `with_scales`.
    weighting : {"balanced", "energy", "linear", "count"}
        What an input of weight w counts with in its tuple. "balanced": so that an input's energy is that of its owner
        times w times k**balance for k inputs, at any depth, however much is below it. "energy": with sqrt(w), and an
        object's inputs share half of its energy: deep objects fade by half a level. "linear": with w. "count": with w
        as it is given, 1 if it is not, nothing normalised: sums of sketches then hold counts and sums.
    balance : float
        0 to 1, of "balanced" alone: at 0 a level is as loud as that above it, at 1 every object of a run.
    spread : float, optional
        s, 0 to 1: with k inputs of weights w, which sum to one, (1 - s) w + s / k stands for w, so that light inputs do
        not vanish. What is read back is w. If not given 0.5 for "balanced" and "energy", and 0 for the others; "count"
        takes no other.
    ordered : bool
        False leaves out the operators of positions: a tuple is a bag, and sketches of runs that differ in the order of
        inputs are alike. Such a sketch can be compared and summed up, but neither recovered nor unrolled.
    scaling : {"unit", "paper"}
        "unit": operators of norm one, parts mixed with sqrt(1/2). "paper": operators (I + R) / 2 at 45 degrees, parts
        mixed with 1/2.
    scales : mapping of str to float, optional
        Factor applied to a module's attributes before they are sketched, 1 where not given. Recovered attributes are
        divided by it again. Linear attributes far larger than the others drown them: see `with_scales`.
    centres : mapping of str to vector, optional
        What is subtracted from a module's attributes before they are scaled, 0 where not given, as float32. It is added
        to recovered attributes again. Similarities then do not see what all attributes have in common.
    wiring : mapping of str to sequence of str, optional
        The modules that may be inputs of a module; one that is not named takes no inputs. The key None (or "") names
        those that may be the network's outputs, all if it is absent. Without a wiring anything may feed anything. It
        changes no matrix: runs that break it are refused. Inputs of weight zero are none.
    signature : int
        Length of object signatures, 0 (none) to 64. The number of an object in its run is sketched as a unit vector
        beside its attribute, so that copies of one object can be told from look-alikes, and `unroll` fits them as
        one. It costs an object as many unknowns more.
    block_size : int, optional
        Of the rotation "block" alone: coordinates of a block, 32 or 64; 32 if not given. With 32 an object has at most
        1,022 numbers, 65,534 with 64, and modules are told by shorter tags: two of one tag are refused.
    blocks_per_column : int, optional
        Of the rotation "block" alone: blocks that hold each number of an attribute, 1 to 8; 2 if not given.

    second_moment : bool or sequence of str
        Modules, or with True all, of which the products of an attribute's elements are sketched behind it, a (a + 1) /
        2 numbers more, so that sums of sketches hold covariances. Wants linear attributes.

    Raises
    ------
    ValueError, TypeError
        If a parameter is outside its range. The message says what was wanted.

    Notes
    -----
    With z the embedded attribute and counter, an object's sketch is ``T_M (b T_attr z + b' T_in s_input)`` and a
    tuple's is ``sum_i a_i T_i s_i``: Ghazi, Panigrahy, Wang, "Recursive Sketches for Modular Deep Learning", ICML 2019,
    section 3, with the operators and factors of docs/format.md.

    Examples
    --------
    >>> spec = SketchSpec(dim=1024, modules={"page": 24, "line": 120}, seed=7)
    >>> SketchSpec.from_json(spec.to_json()) == spec
    True
    """

    __slots__ = (
        "angle",
        "attributes",
        "balance",
        "block_size",
        "blocks_per_column",
        "centres",
        "dim",
        "max_inputs",
        "modules",
        "ordered",
        "rotation",
        "scales",
        "scaling",
        "second_moment",
        "seed",
        "signature",
        "spread",
        "weighting",
        "wiring",
    )

    dim: int
    modules: Mapping[str, int]
    seed: int
    max_inputs: int
    angle: float
    rotation: str
    attributes: str
    weighting: str
    balance: float
    spread: float
    ordered: bool
    scaling: str
    scales: Mapping[str, float] | None
    centres: Mapping[str, tuple[float, ...]] | None
    wiring: Mapping[str | None, tuple[str, ...]] | None
    signature: int
    block_size: int | None
    blocks_per_column: int | None
    second_moment: tuple[str, ...] | None

    def __init__(
        self,
        dim: int,
        modules: Mapping[str, int],
        seed: int = 0,
        *,
        max_inputs: int = 16,
        angle: float | None = None,
        rotation: Literal["skew", "hadamard", "block"] = "skew",
        attributes: Literal["polar", "linear"] = "polar",
        weighting: Literal["balanced", "energy", "linear", "count"] = "balanced",
        balance: float = 0.5,
        spread: float | None = None,
        ordered: bool = True,
        scaling: Literal["unit", "paper"] = "unit",
        scales: Mapping[str, float] | None = None,
        centres: Mapping[str, npt.ArrayLike] | None = None,
        wiring: Mapping[str, Sequence[str]] | Mapping[str | None, Sequence[str]] | None = None,
        signature: int = 0,
        block_size: int | None = None,
        blocks_per_column: int | None = None,
        second_moment: bool | Sequence[str] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "signature", _check.integer("signature", signature, 0, MAX_SIGNATURE))
        put(self, "attributes", _check.choice("attributes", attributes, ("polar", "linear")))
        put(self, "dim", parameters.dim(dim))
        put(self, "modules", parameters.modules(modules, self._more()))
        put(self, "second_moment", parameters.second_moment(second_moment, self.modules, self.attributes))
        put(self, "seed", _check.integer("seed", seed, 0, 2**64 - 1))
        put(self, "max_inputs", _check.integer("max_inputs", max_inputs, 1, parameters.MAX_INPUTS))
        put(self, "rotation", _check.choice("rotation", rotation, ("skew", "hadamard", "block")))
        put(self, "angle", parameters.angle(angle, self.rotation))
        put(self, "weighting", _check.choice("weighting", weighting, ("balanced", "energy", "linear", "count")))
        put(self, "balance", abs(_check.number("balance", balance, "a number from 0 to 1", -math.ulp(0.0), 1.0)))
        put(self, "spread", parameters.spread(spread, self.weighting))
        put(self, "ordered", _check.flag("ordered", ordered))
        put(self, "scaling", _check.choice("scaling", scaling, ("unit", "paper")))
        put(self, "scales", parameters.scales(scales, self.modules))
        put(self, "centres", parameters.centres(centres, self.modules))
        put(self, "wiring", parameters.wiring(wiring, self.modules))
        put(self, "block_size", blocks.size(block_size, self.rotation))
        put(self, "blocks_per_column", blocks.per_column(blocks_per_column, self.rotation))
        if self.block_size is not None:
            blocks.check(self.dim, self.block_size, self.max_inputs, self.lengths)

    @classmethod
    def paper(cls, *, dim: int, modules: Mapping[str, int], seed: int = 0, max_inputs: int = 16) -> SketchSpec:
        """The paper to the letter: operators (I + R) / 2, halves for all parts, linear weights and attributes, a dense
        rotation.

        Parameters
        ----------
        dim, modules, seed, max_inputs
            As of the class.

        Raises
        ------
        ValueError, TypeError
            As of the class.

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
            attributes="linear",
            weighting="linear",
            scaling="paper",
        )

    @classmethod
    def additive(
        cls,
        dim: int,
        modules: Mapping[str, int],
        seed: int = 0,
        *,
        second_moment: bool | Sequence[str] | None = None,
        max_inputs: int | None = None,
        **parameters_: Any,
    ) -> SketchSpec:
        """For populations: sketches whose sum is a linear function of what the runs held, path by path.

        Unordered, with weighting "count" and linear attributes. Of each path of modules from the outputs down the sum
        of many sketches then tells how often it occurred, and the sum of its attributes: `recsketch.Population`.

        Parameters
        ----------
        max_inputs : int, optional
            4,096 if not given; of the "block" rotation 13, the most that its shortest sketches allow.
        dim, modules, seed, second_moment
            As of the class. A population is read exactly while dim has room for its paths: (a + 1) numbers each, or
            with second moments a (a + 1) / 2 more, up to 0.8 dim in all.
        **parameters
            Others of the class, by name: `angle`, `rotation`, `wiring`, `scales`, `centres`.

        Raises
        ------
        ValueError, TypeError
            As of the class.

        Examples
        --------
        >>> spec = SketchSpec.additive(2048, {"page": 24, "line": 120}, second_moment=["page"])
        >>> spec.weighting, spec.ordered, spec.attributes, dict(spec.lengths)
        ('count', False, 'linear', {'page': 324, 'line': 120})
        """
        fixed: dict[str, Any] = {"ordered": False, "weighting": "count", "attributes": "linear"}
        both = sorted(set(fixed) & set(parameters_))
        if both:
            raise TypeError(f"additive: wanted parameters that it leaves open; got {_check.listed(both)}")
        if max_inputs is None:
            max_inputs = 13 if blocks.has(parameters_.get("rotation")) else 4096
        more: dict[str, Any] = {"second_moment": second_moment, "max_inputs": max_inputs}
        return cls(dim, modules, seed, **fixed, **more, **parameters_)

    @classmethod
    def fitted(
        cls,
        runs: Trace | TraceBatch | Iterable[Trace],
        *,
        dim: int | None = None,
        seed: int = 0,
        target: float = 0.6,
        decoder: Literal["recover", "unroll"] = "unroll",
        modules: Mapping[str, int] | None = None,
        max_inputs: int | None = None,
        wiring: Literal["seen"] | Mapping[str | None, Sequence[str]] | None = None,
        signature: int | None = None,
        **parameters: Any,
    ) -> SketchSpec:
        """A specification for runs such as these; `recsketch.trial` says how well it does.

        Parameters
        ----------
        runs : Trace, TraceBatch or iterable of Trace
            Pilot runs, at least one. The more different, the better: what no run has, nothing is kept ready for.
        dim : int, optional
            Sketch length; if not given, that of `suggest_dim` for `target` and `decoder`, with all else that is fitted.
        seed : int
        target : float
            Load of the largest run, above 0 and at most 4. Runs to come may be larger by as much as their load may
            exceed this: at 0.6, by a sixth.
        decoder : {"recover", "unroll"}
            What is to read the sketches, see `suggest_dim`.
        modules : mapping of str to int, optional
            Modules that the runs to come may have beside those of the pilot runs.
        max_inputs : int, optional
            If not given, twice as many as the widest tuple of the pilot runs has, at least 16.
        wiring : "seen" or mapping, optional
            "seen" allows what feeds what in the pilot runs, and nothing else. It helps `unroll` where a run nearly
            fills its sketch and makes it faster, but runs to come that do otherwise are refused: choose it where the
            modules' wiring cannot change, and has all of it in the pilot runs. If not given, there is none.
        signature : int, optional
            If not given, 8 where objects are used more than once and "unroll" is to read them, 0 otherwise.
        **parameters
            Others of the class, by name.

        Returns
        -------
        SketchSpec
            With "balanced" weights, `balance` is 0.5, or where objects are so deep that one would have less than 0.01
            of the amplitude of the loudest, the least of 0.6, 0.7, 0.8, 0.9 and 1 at which it has more. Of "linear"
            attributes, `scales` are those of `with_scales`.

        Raises
        ------
        ValueError
            No run, runs that cannot be sketched or that no length is enough for, a module with attributes of several
            lengths, parameters outside their ranges.
        TypeError
            Arguments of another type, unknown parameters.

        Notes
        -----
        Cost: up to eight plans of all runs, some 150 bytes an object, and where objects are shared a count of their
        places (`suggest_dim`); of linear attributes a pass over them. Nothing is sketched.

        Examples
        --------
        >>> import recsketch as rs
        >>> run = rs.Trace()
        >>> words = [run.add("word", [0.1 * i, 1.0]) for i in range(40)]
        >>> run.outputs([run.add("page", [1.0], words)])
        >>> spec = rs.SketchSpec.fitted(run, seed=7, wiring="seen")
        >>> spec.dim, dict(spec.modules), spec.max_inputs, spec.signature
        (512, {'word': 2, 'page': 1}, 80, 0)
        >>> dict(spec.wiring)
        {None: ('page',), 'page': ('word',)}
        """
        from recsketch.runs.batch import as_batch
        from recsketch.sketching.fitting import fitted

        batch = as_batch(runs, "runs")[0]
        return fitted(batch, dim, seed, target, decoder, modules, max_inputs, wiring, signature, parameters)

    def unordered(self) -> SketchSpec:
        """This specification with `ordered` False: the same matrices, but none for positions.

        Balanced weights get a balance of 0, so that every level counts alike. An inserted line then changes a page's
        sketch least: of 4,000 pages 94% are found again by `similarity`, 90% with a balance of 0.5 (docs/figures.md).

        Examples
        --------
        Two runs whose inputs stand in another order:

        >>> import recsketch as rs
        >>> sk = rs.Sketcher(SketchSpec(64, {"eye": 2}).unordered())
        >>> runs = [rs.Trace(), rs.Trace()]
        >>> for run, order in zip(runs, ([[3, 4], [1, 0]], [[1, 0], [3, 4]])):
        ...     run.outputs([run.add("eye", x) for x in order])
        >>> round(sk.similarity(sk.sketch(runs[0]), sk.sketch(runs[1])), 5)
        1.0
        """
        return self.replace(ordered=False, **({"balance": 0.0} if self.weighting == "balanced" else {}))

    def with_scales(self, traces: Trace | TraceBatch | Iterable[Trace]) -> SketchSpec:
        """This specification with `scales` set from data: every module's attributes get a root mean square norm of one.

        For linear attributes: polar ones are all of norm one. What is measured are attributes less the module's centre.
        A module without objects, or with zero attributes only, keeps its scale.

        Parameters
        ----------
        traces : Trace, TraceBatch or iterable of Trace
            At least one.

        Raises
        ------
        ValueError
            No trace, a module or a length that the specification does not have, attributes that are not finite, or so
            large or small that a scale would lie outside 1e-30 to 1e30.
        TypeError
            `traces` is something else.

        Notes
        -----
        Cost: one pass over the attributes.

        Examples
        --------
        >>> import recsketch as rs
        >>> trace = rs.Trace()
        >>> trace.outputs([trace.add("eye", [3.0, 4.0])])
        >>> round(SketchSpec(64, {"eye": 2}, attributes="linear").with_scales(trace).scale("eye"), 6)
        0.2
        """
        from recsketch.runs.batch import as_batch

        batch = as_batch(traces)[0]
        if not len(batch):
            raise ValueError("traces: wanted at least one; got none")
        return self._scaled(self._usual_norms(batch))

    def with_statistics(self, statistics: ModuleStatistics) -> SketchSpec:
        """This specification with `centres` set to the means that were seen, and of linear attributes `scales` such
        that what is left has a root mean square norm of one.

        Modules that were not seen keep theirs, and so does the scale of one whose attributes were all the same. Nothing
        adapts by itself: the specification stays what it is, whatever is seen later.

        Parameters
        ----------
        statistics : ModuleStatistics
            Of at least one module.

        Raises
        ------
        ValueError
            No module, one or a length that the specification does not have, or so large or small attributes that a
            scale would lie outside 1e-30 to 1e30.
        TypeError
            `statistics` is something else.

        Examples
        --------
        >>> import recsketch as rs
        >>> seen, run = rs.ModuleStatistics(), rs.Trace()
        >>> run.outputs([run.add("eye", x) for x in ([5.0, 1.0], [7.0, 1.0])])
        >>> seen.update(run)
        >>> spec = rs.SketchSpec(64, {"eye": 2}, attributes="linear", scales={"eye": 9.0}).with_statistics(seen)
        >>> spec.centres["eye"], spec.scale("eye")
        ((6.0, 1.0), 1.0)
        """
        from recsketch.runs.statistics import ModuleStatistics

        if not isinstance(statistics, ModuleStatistics):
            raise TypeError(f"statistics: wanted ModuleStatistics; got {_check.describe(statistics)}")
        if not len(statistics):
            raise ValueError("statistics: wanted those of at least one module; got none")
        centres: dict[str, Any] = dict(self.centres or {})
        for name in statistics.names:
            mean, length = statistics.of(name).mean, self.modules.get(name)
            if mean.size != length:
                wanted = f"a module among {_check.listed(self.modules)}"
                if length is not None:
                    wanted = f"{length} elements of {_check.shown(name)}"
                raise ValueError(f"statistics: wanted {wanted}; got {_check.shown(name)} of {mean.size}")
            centres[name] = mean
        centred = self.replace(centres=centres)
        return centred._scaled(centred._norms_of(statistics)) if self.attributes == "linear" else centred

    def _scaled(self, norms: Mapping[str, float]) -> SketchSpec:
        """With scales that make root mean square norms one; those of modules without objects or norms stay."""
        more = {name: 1.0 / norm for name, norm in norms.items() if norm > 0.0}
        return self.replace(scales={**(self.scales or {}), **more})

    def _usual_norms(self, batch: TraceBatch) -> dict[str, float]:
        """Root mean square norm of each module's attributes in a batch, less the module's centre, not scaled."""
        from recsketch.runs.statistics import ModuleStatistics
        from recsketch.sketching.plan import check_modules

        check_modules(batch, self.modules)
        statistics = ModuleStatistics()
        statistics.update(batch)
        return self._norms_of(statistics)

    def _norms_of(self, statistics: ModuleStatistics) -> dict[str, float]:
        """The same of what was seen."""
        found = {}
        for name in statistics.names:
            s = statistics.of(name)
            found[name] = s.norm_about((self.centres or {}).get(name, np.zeros(s.mean.size)))
        return found

    def replace(self, **changes: Any) -> SketchSpec:
        """A copy with some parameters changed. A `spread` or an `angle` that is its default becomes that of the new
        weighting or rotation, and parameters of blocks end with the rotation.

        Parameters
        ----------
        **changes
            Parameters of the class, by name.

        Raises
        ------
        ValueError, TypeError
            As of the class.

        Examples
        --------
        >>> SketchSpec(64, {"eye": 2}).replace(dim=128).dim
        128
        """
        fields = self._fields()
        if self.spread == parameters.default_spread(self.weighting):
            fields["spread"] = None
        if self.angle == parameters.default_angle(self.rotation):
            fields["angle"] = None
        if not blocks.has(changes.get("rotation", self.rotation)):
            fields["block_size"] = fields["blocks_per_column"] = None
        return SketchSpec(**{**fields, **changes})

    __replace__ = replace  # for copy.replace

    def scale(self, module: str) -> float:
        """The factor of a module's attributes, 1 unless set.

        Raises
        ------
        ValueError
            `module` is none of the specification's.

        Examples
        --------
        >>> SketchSpec(64, {"eye": 2, "ear": 3}, scales={"eye": 0.5}).scale("eye")
        0.5
        """
        return (self.scales or {}).get(_check.choice("module", module, self.modules), 1.0)

    @property
    def lengths(self) -> Mapping[str, int]:
        """Unknowns of each module's objects: the attribute and what is sketched behind it (docs/format.md,
        "Attributes")."""
        more, of = self._more(), self.second_moment or ()
        if not more and not of:
            return self.modules
        return {n: a + more + (moments.products(a) if n in of else 0) for n, a in self.modules.items()}

    @property
    def inner(self) -> SketchSpec:
        """What sketches under this specification are made with: itself, or where modules have second moments one whose
        attributes have the products behind them, neither centred nor scaled."""
        if self.second_moment is None:
            return self
        modules = {n: a + (moments.products(a) if n in self.second_moment else 0) for n, a in self.modules.items()}
        return self.replace(modules=modules, second_moment=None, centres=None, scales=None)

    @property
    def _least_dim(self) -> int:
        """The shortest sketch that the rotation, its parameters and `max_inputs` allow."""
        return parameters.least_dim(self.rotation, self.block_size, self.max_inputs)

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
        """As a JSON object that `from_json` reads back to an equal specification, its modules in the same order.

        Examples
        --------
        >>> SketchSpec(64, {"eye": 2}).to_json()[:52]
        '{"recsketch": 1, "dim": 64, "modules": {"eye": 2}, "'
        """
        import json

        fields = self._fields()
        if fields["wiring"] is not None:
            fields["wiring"] = {name or "": inputs for name, inputs in fields["wiring"].items()}
        return json.dumps({"recsketch": FORMAT, **fields}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> SketchSpec:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str, or bytes in UTF-8, UTF-16 or UTF-32
            A byte order mark at its begin is passed over.

        Raises
        ------
        ValueError
            Text that is no JSON object, is of another format, names a key twice, lacks a field or has one more; or a
            parameter outside its range.
        TypeError
            `text` is no text, or a parameter is of another type.

        Examples
        --------
        >>> SketchSpec.from_json('{"recsketch": 1, "dim": 64, "modules": {"eye": 2}, "seed": 7}').seed
        7
        """
        import json

        if not isinstance(text, (str, bytes, bytearray)):
            raise TypeError(f"specification: wanted a JSON text; got {_check.describe(text)}")
        try:
            fields = json.loads(text.removeprefix("\ufeff") if isinstance(text, str) else text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as e:
            raise ValueError(f"specification: wanted a JSON object; got text that is none: {e}") from None
        if not isinstance(fields, dict) or "recsketch" not in fields:
            raise ValueError(f'specification: wanted a JSON object with "recsketch"; got {_check.describe(fields)}')
        number = fields.pop("recsketch")
        if number is True or number != FORMAT:
            raise ValueError(f"specification: wanted format {FORMAT}; got {_check.describe(number)}")
        unknown = sorted(set(fields) - set(cls.__slots__))
        missing = sorted({"dim", "modules", "seed"} - set(fields))
        if unknown or missing:
            text = f"unknown fields {_check.listed(unknown)}, missing fields {_check.listed(missing)}"
            raise ValueError(f"specification: wanted the fields that to_json writes; got {text}")
        return cls(fields.pop("dim"), fields.pop("modules"), fields.pop("seed"), **fields)

    def _more(self) -> int:
        """Numbers sketched behind an attribute: one of its norm where attributes are polar, and the signature."""
        return (self.attributes == "polar") + self.signature

    def _fields(self) -> dict[str, Any]:
        """All parameters, in the order of the documentation, as plain types; without those of blocks where there are
        none."""
        names = ("dim", "modules", "seed", "max_inputs", "angle", "rotation", "attributes", "weighting", "balance")
        more = ("spread", "ordered", "scaling", "scales", "centres", "wiring", "signature")
        own = ("block_size", "blocks_per_column") if blocks.has(self.rotation) else ()
        own = own if self.second_moment is None else (*own, "second_moment")
        fields = {name: getattr(self, name) for name in (*names, *more, *own)}
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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different: of two values for one, JSON's reader would take the last."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {_check.shown(key)} twice")
        found[key] = value
    return found
