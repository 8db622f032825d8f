"""Where the samples of a batch lie in a tensor: followed through views, products, reductions and routing.

A batch of B samples enters a model along one dimension. Inside it may be moved (sequences first), merged with others
(B·T tokens as rows) or picked from (a mixture of experts). What a tensor's shape says is not enough: where B = T, the
wrong dimension has the right size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch


class Layout(NamedTuple):
    """Entry i of dimension `axis` belongs to number i // inner % n of the n samples.

    These are the B samples of the batch in their order; where `rows` is given, number j of them is sample rows[j].
    """

    axis: int
    inner: int = 1
    rows: torch.Tensor | None = None

    def count(self, batch: int) -> int:
        return batch if self.rows is None else len(self.rows)


FREE = Layout(-1)  # the same for all samples: parameters, constants
ASTRAY = Layout(-2)  # of all samples, but where they lie is not known
PICKED = Layout(-3)  # of some samples, and it is not known which

# Functions by name. A view is followed by its strides, whatever function made it.
RESHAPES = {
    "reshape",
    "flatten",
    "unflatten",
    "contiguous",
    "ravel",
    "view",
    "reshape_as",
    "view_as",
    "clone",
    "__get__",
}
LEADING = {
    "linear",
    "embedding",
    "one_hot",
    "bilinear",
    "interpolate",
    "pad",
    "group_norm",
    "scaled_dot_product_attention",
}
LEADING |= {f"{a}{n}d" for a in ("conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool") for n in "123"}
LEADING |= {f"adaptive_{a}_pool{n}d" for a in ("max", "avg") for n in "123"}
JOINS = {"cat", "concat", "concatenate"}
PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "mm", "bmm"}
REDUCTIONS = {"sum", "mean", "amax", "amin", "max", "min", "std", "var", "logsumexp", "norm", "prod", "all", "any"}
REDUCTIONS |= {"argmax", "argmin", "nansum", "nanmean", "vector_norm", "count_nonzero"}
ALONG = {"topk": 2, "sort": 1, "argsort": 1, "flip": 1, "roll": 2, "gather": 1, "take_along_dim": 2, "index_select": 1}
ALONG |= {"cumsum": 1, "cumprod": 1, "repeat_interleave": 2}
WRITES = {"index_add", "index_copy", "index_put", "scatter", "scatter_add", "scatter_reduce", "masked_scatter"}
SHUFFLES = {
    "fliplr",
    "flipud",
    "rot90",
    "tile",
    "repeat",
    "unique",
    "nonzero",
    "addmm",
    "baddbmm",
    "addbmm",
    "tensordot",
}
SHUFFLES |= {"cdist", "outer", "kron", "inverse", "masked_select", "take", "unfold", "fold"}
SPECIAL = {*RESHAPES, *LEADING, *JOINS, *PRODUCTS, *REDUCTIONS, *ALONG, *SHUFFLES, "stack", "einsum"}
SPECIAL |= {"multi_head_attention_forward"}


class Op(NamedTuple):
    """One call of a function."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def argument(self, at: int, *names: str) -> Any:
        """An argument by its place, or by one of its names; None where it is not given."""
        if len(self.args) > at:
            return self.args[at]
        return next((self.kwargs[n] for n in names if n in self.kwargs), None)


def followed(op: Op, batch: int, ins: Sequence[tuple[torch.Tensor, Layout, bool]], out: torch.Tensor) -> Layout:
    """The layout of what a function made of `ins`: tensors, their layouts, and whether `out` is a view of them."""
    if all(layout is FREE for _, layout, _ in ins):
        return FREE
    if op.name in ("__getitem__", "index_select") and not any(view for *_, view in ins):
        return _picked(op, batch, ins, out)
    if op.name in WRITES:
        return ins[0][1] if ins[0][1] is not FREE else returned(op, batch, out, ins)
    if op.name in JOINS and any(layout.axis < 0 for _, layout, _ in ins) and _is_along(op, ins):
        return PICKED
    found: Layout | None = None
    for t, layout, view in ins:
        if layout.axis < 0:
            continue
        new = _one(op, batch, t, layout, view, out)
        if new.axis < 0 or found is None:
            if found is None or found.axis >= 0:
                found = new
        elif found.axis >= 0 and not _same(found, new):
            return PICKED if found.rows is not None or new.rows is not None else ASTRAY
    if found is not None:
        return found
    return PICKED if any(layout is PICKED for _, layout, _ in ins) else ASTRAY


def _is_along(op: Op, ins: Sequence[tuple[torch.Tensor, Layout, bool]]) -> bool:
    """Whether tensors are joined along the batch of one of them."""
    dim = op.argument(1, "dim", "axis") or 0
    return any(layout.axis == dim % t.ndim for t, layout, _ in ins if t.ndim)


def _same(a: Layout, b: Layout) -> bool:
    if a[:2] != b[:2] or (a.rows is None) != (b.rows is None):
        return False
    return a.rows is b.rows or bool(a.rows is not None and b.rows is not None and torch.equal(a.rows, b.rows))


def moved(layout: Layout, n: int, stride: Sequence[int], shape: Sequence[int], strides: Sequence[int]) -> Layout:
    """The layout after a change of shape, by strides: those of the old tensor, and shape and strides of the new one."""
    step = stride[layout.axis] * layout.inner  # from one sample to the next
    for axis, (size, s) in enumerate(zip(shape, strides, strict=True)):
        if size == n and s == step:
            return Layout(axis, 1, layout.rows)
    if n <= 1:  # all entries are of the one sample
        return Layout(min(layout.axis, len(shape) - 1), 1, layout.rows) if shape else ASTRAY
    for axis, (size, s) in enumerate(zip(shape, strides, strict=True)):
        if s and step % s == 0 and size and size % (step // s * n) == 0:
            return Layout(axis, step // s, layout.rows)
    return PICKED


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a tensor without gaps."""
    out, step = [], 1
    for size in reversed(shape):
        out.append(step)
        step *= max(size, 1)
    return tuple(reversed(out))


def kept(layout: Layout, t: torch.Tensor, out: torch.Tensor) -> Layout:
    """The layout where leading dimensions stay what they are."""
    k = layout.axis
    last = k == t.ndim - 1 and t.is_floating_point()  # features, which a layer mixes
    return layout if out.ndim > k and out.shape[: k + 1] == t.shape[: k + 1] and not last else ASTRAY


def _one(op: Op, batch: int, t: torch.Tensor, layout: Layout, view: bool, out: torch.Tensor) -> Layout:
    """The layout of `out`, for all that one of its sources says."""
    n, k, name = layout.count(batch), layout.axis, op.name
    if view and t.dtype == out.dtype:
        return moved(layout, n, t.stride(), out.shape, out.stride())
    if name not in SPECIAL:
        return _aligned(layout, t, out)
    if name in RESHAPES:
        if t.numel() != out.numel():
            return ASTRAY
        return moved(layout, n, contiguous(t.shape), out.shape, contiguous(out.shape))
    if name in SHUFFLES:
        return ASTRAY
    if name == "stack":
        return layout._replace(axis=k + ((op.argument(1, "dim", "axis") or 0) % out.ndim <= k))
    if name in JOINS:
        return layout  # where the batch is joined along its own dimension, samples come round again
    if name in REDUCTIONS and not isinstance(op.argument(1), torch.Tensor):
        return _reduced(op, layout, t, out)
    if name in ALONG:
        dim = op.argument(ALONG[name], "dim", "dims", "axis")
        dims = [dim] if isinstance(dim, int) else dim
        if dims is None:
            dims = [-1] if name in ("topk", "sort", "argsort") else [k]
        return layout if out.ndim == t.ndim and all(d % t.ndim != k for d in dims) else PICKED
    if name == "einsum":
        return _einsum(op, layout, t, out)
    if name in PRODUCTS:
        return _product(op, layout, t, out)
    if name in LEADING:
        return kept(layout, t, out)
    if name == "multi_head_attention_forward":  # (T, B, features), and weights (B, T, S)
        query = op.args[0]
        first = out.ndim == query.ndim == 3 and (out.shape[0], out.shape[2]) == (query.shape[0], query.shape[2])
        return layout._replace(axis=1 if first else 0) if k == 1 and t.ndim == 3 else ASTRAY
    return _aligned(layout, t, out)


def _aligned(layout: Layout, t: torch.Tensor, out: torch.Tensor) -> Layout:
    """The layout after an elementwise function: shapes are aligned from the right."""
    if t.shape == out.shape:
        return layout
    k, shift = layout.axis, out.ndim - t.ndim
    if shift >= 0 and all(a in (1, b) for a, b in zip(t.shape, out.shape[shift:], strict=True)):
        return layout._replace(axis=k + shift) if t.shape[k] == out.shape[k + shift] else ASTRAY
    return ASTRAY


def _reduced(op: Op, layout: Layout, t: torch.Tensor, out: torch.Tensor) -> Layout:
    given = op.argument(2 if op.name in ("norm", "vector_norm") else 1, "dim", "axis")
    dims = {d % t.ndim for d in ([given] if isinstance(given, int) else given or ()) if isinstance(d, int)}
    if not dims or layout.axis in dims:
        return ASTRAY
    return layout if out.ndim == t.ndim else layout._replace(axis=layout.axis - sum(d < layout.axis for d in dims))


def _product(op: Op, layout: Layout, t: torch.Tensor, out: torch.Tensor) -> Layout:
    a, b = op.args[:2] if op.name != "__rmatmul__" else op.args[1::-1]
    if a is b or min(a.ndim, b.ndim) < 2:
        return ASTRAY
    k = layout.axis - t.ndim
    return ASTRAY if k == (-1 if t is a else -2) else layout._replace(axis=out.ndim + k)


def _einsum(op: Op, layout: Layout, t: torch.Tensor, out: torch.Tensor) -> Layout:
    equation = op.args[0] if isinstance(op.args[0], str) else ""
    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = op.args[1] if len(op.args) == 2 and isinstance(op.args[1], (list, tuple)) else op.args[1:]
    terms = left.split(",")
    if not arrow or "." in equation or len(terms) != len(operands):
        return ASTRAY
    term = next((s for s, x in zip(terms, operands, strict=True) if x is t), "")
    return layout._replace(axis=right.index(term[layout.axis])) if term and term[layout.axis] in right else ASTRAY


# ---------------------------------------------------------------- rows that are picked


def _picked(op: Op, batch: int, ins: Sequence[tuple[torch.Tensor, Layout, bool]], out: torch.Tensor) -> Layout:
    """x[index] and x.index_select(dim, index), where an index is a tensor."""
    x, layout, _ = ins[0]
    if op.name == "index_select":
        items: tuple[Any, ...] = (*[slice(None)] * (int(op.argument(1, "dim")) % x.ndim), op.argument(2, "index"))
    else:
        items = op.args[1] if isinstance(op.args[1], tuple) else (op.args[1],)
    if layout is FREE:  # a table: entries lie as their numbers do
        own = [k for t, k, _ in ins[1:] if k is not FREE]
        simple = len(items) == 1 and isinstance(items[0], torch.Tensor) and items[0].dtype != torch.bool
        return own[0] if simple else ASTRAY if ASTRAY in own else PICKED
    if layout.axis < 0:
        return PICKED
    at, to = 0, 0  # dimensions of x and of out that are passed
    tensors = [i for i in items if isinstance(i, torch.Tensor)]
    if len(tensors) != 1:
        return PICKED
    for item in items:
        if item is None:
            to += 1
        elif item is Ellipsis:
            skip = x.ndim - sum(
                i.ndim if isinstance(i, torch.Tensor) and i.dtype == torch.bool else i is not None
                for i in items
                if i is not Ellipsis
            )
            if at <= layout.axis < at + skip:
                return layout._replace(axis=layout.axis - at + to)
            at, to = at + skip, to + skip
        elif isinstance(item, torch.Tensor):
            return _by_index(x, layout, batch, item, at, to)
        elif isinstance(item, slice):
            if at == layout.axis:
                return layout._replace(axis=to) if item == slice(None) else PICKED
            at, to = at + 1, to + 1
        else:
            return PICKED if at == layout.axis else ASTRAY
    return PICKED


def _by_index(x: torch.Tensor, layout: Layout, batch: int, index: torch.Tensor, at: int, to: int) -> Layout:
    """Dimension `at` of x, or several where `index` is a mask, was picked from."""
    taken = index.ndim if index.dtype == torch.bool else 1
    grown = 1 if index.dtype == torch.bool else index.ndim
    if layout.axis >= at + taken:
        return layout._replace(axis=layout.axis - at - taken + to + grown)
    if layout.axis < at or grown != 1:
        return PICKED
    entries = index.nonzero()[:, layout.axis - at] if index.dtype == torch.bool else index
    entries = torch.where(entries < 0, entries + x.shape[layout.axis], entries)
    rows = entries // layout.inner % layout.count(batch)
    return Layout(to, 1, rows if layout.rows is None else layout.rows[rows])


def returned(op: Op, batch: int, into: torch.Tensor, ins: Sequence[tuple[torch.Tensor, Layout, bool]]) -> Layout:
    """The layout of a tensor that was the same for all samples, after samples were written into it."""
    name = op.name.rstrip("_")
    if op.name == "__setitem__":
        return _set(op, batch, into, ins)
    if name not in WRITES:
        return followed(op, batch, [i for i in ins if i[0] is not into], into)
    source = op.argument(3, "source")
    layout = next((k for t, k, _ in ins if t is source), FREE)
    if name not in ("index_add", "index_copy") or op.argument(1, "dim") not in (0, -into.ndim):
        return ASTRAY
    return _put_back(layout, batch, into, op.argument(2, "index"))


def _set(op: Op, batch: int, into: torch.Tensor, ins: Sequence[tuple[torch.Tensor, Layout, bool]]) -> Layout:
    """into[index] = value."""
    index, value = op.args[1:3]
    layout = next((k for t, k, _ in ins if t is value), FREE)
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, (torch.Tensor, list)) for i in items):
        return _put_back(layout, batch, into, items[0]) if len(items) == 1 else ASTRAY
    if layout.axis < 0:
        return layout
    part = into[index]
    axis = layout.axis + part.ndim - value.ndim
    if axis < 0 or layout.rows is not None or part.shape[axis] != value.shape[layout.axis]:
        return ASTRAY
    back = moved(Layout(axis, layout.inner), batch, part.stride(), into.shape, into.stride())
    return back if back.axis >= 0 else ASTRAY


def _put_back(layout: Layout, batch: int, into: torch.Tensor, index: Any) -> Layout:
    """Rows that were picked go back: they must arrive at rows of their own samples."""
    inner, rest = divmod(into.shape[0], max(batch, 1))
    fits = isinstance(index, torch.Tensor) and index.ndim == 1 and index.dtype != torch.bool and not rest
    if not fits or layout.rows is None or layout[:2] != (0, 1) or not inner:
        return ASTRAY
    return Layout(0, inner) if torch.equal(layout.rows, index // inner) else PICKED


# ---------------------------------------------------------------- modules of torch.nn


def through(
    module: torch.nn.Module, ins: Sequence[tuple[torch.Tensor, Layout]], outs: Sequence[torch.Tensor]
) -> list[Layout]:
    """The layouts of the outputs of a module of `torch.nn` whose inside was not watched."""
    known = [(t, layout) for t, layout in ins if layout.axis >= 0]
    if not known:
        rest = [layout for _, layout in ins if layout is not FREE]
        return [PICKED if PICKED in rest else ASTRAY if rest else FREE] * len(outs)
    t, layout = known[0]
    if (
        isinstance(module, torch.nn.RNNBase) and t.ndim == 3
    ):  # states are (layers, batch, features), whatever batch_first
        return [layout, *[layout._replace(axis=1)] * (len(outs) - 1)]
    if isinstance(module, torch.nn.MultiheadAttention) and t.ndim == 3:  # weights are (batch, ...) likewise
        return [layout, layout._replace(axis=0)][: len(outs)]
    if isinstance(module, (torch.nn.Flatten, torch.nn.Unflatten)):
        old, n = (
            contiguous(t.shape),
            len(layout.rows) if layout.rows is not None else t.shape[layout.axis] // layout.inner,
        )
        return [moved(layout, n, old, o.shape, contiguous(o.shape)) for o in outs]
    found = []
    for o in outs:
        each = (kept(k, x, o) for x, k in known)
        found.append(next((k for k in each if k.axis >= 0), ASTRAY))
    return found
