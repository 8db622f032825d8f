"""
Half a sketch
=============

Packets are dropped, a file is cut short, a shard does not answer: a part of a sketch is gone, and
it is known which. What is left holds all of the run while there are numbers enough. Below that,
less and less comes back, and the answer says that it is not whole.
"""

# %%
# Six pages of handwritten digits, read by the network that comes with the package, a sketch of
# 4,096 numbers each. The load is the number of unknown numbers of a run over that length.

import warnings

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs
from recsketch.datasets import PageNetwork, make_pages
from recsketch.erasure import keep_random

network = PageNetwork()
pages = make_pages(18, seed=2)
runs = [network(page.image) for page in pages]
sketcher = rs.Sketcher(rs.SketchSpec.fitted(runs[:12]))
pages, runs = pages[12:], runs[12:]
sketches, dim, loads = sketcher.sketch(runs), sketcher.spec.dim, sketcher.load(runs)
print(f"d = {dim:,}, loads from {loads.min():.2f} to {loads.max():.2f}")

# %%
# With the structure known, ``recover`` has only vectors to find; ``unroll`` is told nothing of
# the run. A digit counts as right if it is found at its place on the page, and read as the
# network reads its own vector. Lost numbers are NaN here: they are never looked at.


def labels(vectors):
    """Of vectors of digits, in reading order; None for those that are not known."""
    return [
        int(network.read(x).label) if x is not None and np.isfinite(x).all() else None
        for x in vectors
    ]


places = [
    [(0, i, k) for i, line in enumerate(page.labels) for k in range(len(line))] for page in pages
]
own = [labels(o.attribute for o in run.objects if o.module == "char") for run in runs]

shares = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9]
right, complete, shown = [], [], {}
for share in shares:
    mask = keep_random(dim, 1 - share, seed=1)
    left = np.where(mask, sketches, np.nan)
    found = sketcher.unroll(left, mask=mask)
    with warnings.catch_warnings():  # of more unknowns than numbers, which is what this is about
        warnings.simplefilter("ignore", rs.CapacityWarning)
        known = sketcher.recover(left, runs, mask=mask)
    vectors = [{o.path: o.attribute for o in f.objects if o.module == "char"} for f in found]
    read = [labels(v.get(p) for p in at) for v, at in zip(vectors, places, strict=True)]
    with_structure = [
        labels(x for o, x in zip(run.objects, r.attributes, strict=True) if o.module == "char")
        for run, r in zip(runs, known, strict=True)
    ]
    for k, f in enumerate(found):
        assert not f.complete or read[k] == own[k]  # what is called whole is whole
        assert (
            f.complete or loads[k] > 0.5 * mask.mean()
        )  # and half as many unknowns as numbers are read
    right.append(
        [np.mean(np.concatenate(r) == np.concatenate(own)) for r in (with_structure, read)]
    )
    complete.append(np.mean([f.complete for f in found]))
    shown[share] = left[0], read[0]
print(f"whole: {complete[3]:.0%} of the pages with 30% lost, {complete[5]:.0%} with half lost")
assert complete[3] == 1

# %%
# One of the pages: its sketch, of which more and more is gone, and what ``unroll`` reads from the
# rest: blue is right, orange another digit, a dot was not found. Below, all six pages. Past the
# point where the numbers no longer suffice the structure is lost before the vectors are.

figure = plt.figure(figsize=(8.5, 7.5), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[1.2, 1])
grey = plt.get_cmap("PuOr").with_extremes(bad="0.82")
rows, columns = pages[0].image.shape
for share, top, bottom in zip((0.0, 0.5, 0.6, 0.7), *above.subplots(2, 4), strict=True):
    sketch, read = shown[share]
    top.imshow(sketch.reshape(64, 64), cmap=grey, vmin=-0.05, vmax=0.05)
    top.set(xticks=[], yticks=[], title=f"{share:.0%} lost")
    boxes = np.concatenate([line.boxes for line in pages[0].lines])
    for (y0, y1, x0, x1), label, truth in zip(boxes, read, own[0], strict=True):
        colour = "#0072b2" if label == truth else "#d55e00"
        text, colour = ("·", "0.5") if label is None else (label, colour)
        bottom.text((x0 + x1) / 2, (y0 + y1) / 2, text, color=colour, ha="center", va="center")
    bottom.set(xticks=[], yticks=[], xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    bottom.set_xlabel(f"{sum(a == b for a, b in zip(read, own[0], strict=True))} of {len(read)}")
ax = below.subplots()
lost, (by_recover, by_unroll) = 100 * np.array(shares), 100 * np.transpose(right)
ax.plot(lost, by_recover, "s-", color="#009e73", label="digits right, structure known")
ax.plot(lost, by_unroll, "o-", color="#0072b2", label="digits right, nothing known")
ax.plot(lost, 100 * np.array(complete), ":", color="0.4", label="pages said to be whole")
ax.set(xlabel="lost, % of the sketch", ylabel="%", title="Six pages")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower left")
plt.show()
