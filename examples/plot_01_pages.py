"""
A page in 4,096 numbers
=======================

A small network reads scanned pages of handwritten digits: a page has lines, a line has digits,
and each of them is a vector inside the network. All that it did with one page is folded into one
vector, the sketch. Then the page is thrown away, and read again from the sketch alone.
"""

# %%
# The network and the pages come with the package. Calling the network gives the *run*: a graph
# with one object for every page, line and digit, and the network's vector for each.

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs
from recsketch.datasets import PageNetwork, make_pages

network = PageNetwork()
pages = make_pages(24, seed=1)
runs = [network(page.image) for page in pages]

# %%
# The specification is fitted to the first twelve pages: which modules there are, and a length
# that such runs need. The other twelve, which had no say in it, are sketched, and kept in 16 bits
# a number.

spec = rs.SketchSpec.fitted(runs[:12])
sketcher = rs.Sketcher(spec)
kept = rs.pack(sketcher.sketch(runs[12:]), "float16")
assert spec.dim == 4096
sizes = [len(run) for run in runs]
print(f"{spec.dim:,} numbers of 16 bits for pages of {min(sizes)} to {max(sizes)} objects")

# %%
# ``unroll`` is given the sketches and the specification, and nothing else. It finds out which
# objects there were, what was made of what, and every vector. The network's last layer then names
# the digits, as it names those of its own.


def digits(run):
    """Line by line, what the network reads from a run's vectors of digits."""
    lines = [run.objects[i] for i in run.objects[run.output_ids[0]].inputs]
    return [
        [int(network.read(run.objects[i].attribute).label) for i in line.inputs] for line in lines
    ]


found = sketcher.unroll(kept)
read = [digits(f.to_trace()) for f in found]
assert all(f.complete for f in found)
assert read == [digits(run) for run in runs[12:]]  # as the network reads its own vectors

pairs = [
    (a, b)
    for page, new in zip(pages[12:], read, strict=True)
    for a, b in zip(page.labels, new, strict=True)
]
right = sum(a == b for true, new in pairs for a, b in zip(true, new, strict=True))
total = sum(len(true) for true, _ in pairs)
assert right >= 0.95 * total
print(f"12 of 12 pages came back whole; {right} of {total} digits are right, as without a sketch")

# %%
# One of the pages, the sketch that was kept of it, and what was read from that, each digit drawn
# where it stands on the page. Where the network takes one digit for another, so does the reading.

shown = 9
page = pages[12 + shown]
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
axes[0].imshow(page.image, cmap="Greys", vmin=np.median(page.image))
axes[0].set_title("the page")
grid = kept.unpack()[shown].reshape(64, 64)
axes[1].imshow(grid, cmap="PuOr", vmin=-3 * grid.std(), vmax=3 * grid.std())
axes[1].set_title(f"its sketch, {spec.dim:,} numbers")
axes[2].imshow(np.zeros_like(page.image), cmap="Greys", vmin=0, vmax=1)
axes[2].set_title("read from the sketch")
for line, labels in zip(page.lines, read[shown], strict=True):
    for (top, bottom, left, right), true, label in zip(
        line.boxes, line.labels, labels, strict=True
    ):
        colour = "#0072b2" if label == true else "#d55e00"
        axes[2].text(
            (left + right) / 2,
            (top + bottom) / 2,
            label,
            color=colour,
            size=12,
            ha="center",
            va="center",
        )
wrong = sum(
    a != b for t, n in zip(page.labels, read[shown], strict=True) for a, b in zip(t, n, strict=True)
)
axes[2].set_xlabel(f"orange: not what was written, {wrong} of {sum(map(len, page.labels))}")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()
