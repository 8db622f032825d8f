"""
A sum that nobody sees the parts of
===================================

Three offices read handwritten forms, and may show nobody a single one. Together they want to know
how often each digit occurs, and what it looks like on average. Each adds up the sketches of its
forms, adds numbers that only another office knows, and sends what looks like noise. In the sum of
all three the added numbers cancel.
"""

# %%
# A form is a run: each of its digits is an object of the module of that name, with its image of 8
# × 8 pixels. Sketches of an additive specification add up, to counts and means of all runs.

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs
from recsketch.datasets import load_digits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
images, labels = load_digits()
spec = rs.SketchSpec.additive(2048, {"form": 1, **dict.fromkeys(NAMES, 64)}, seed=1)
sketcher = rs.Sketcher(spec)


def form(numbers):
    run = rs.Trace()
    digits = [run.add(NAMES[labels[n]], images[n].ravel() / 16) for n in numbers]
    run.outputs([run.add("form", [1.0], inputs=digits)])
    return run


rng = np.random.default_rng(0)
offices = [
    rng.permutation(len(labels))[: 6 * n].reshape(-1, 6) for n in (150, 210, 90)
]  # numbers of digits, by form
sums = [rs.fixed_point(sketcher.sketch([form(f) for f in forms])).sum(axis=0) for forms in offices]

# %%
# Numbers are whole now, modulo 2 to the power of 64. Each pair of offices has a key in common;
# one adds the random numbers that follow from it, the other one subtracts them. A real protocol
# agrees on keys by Diffie and Hellman's exchange, draws numbers with a cipher, and survives
# offices that leave half-way (Bonawitz et al., CCS 2017).


def mask(i, j):
    return np.random.default_rng([2026, i, j]).integers(0, 2**64, spec.dim, np.uint64)


sent = [
    sums[0] + mask(0, 1) + mask(0, 2),
    sums[1] - mask(0, 1) + mask(1, 2),
    sums[2] - mask(0, 2) - mask(1, 2),
]

# %%
# The server adds up what it got, and reads the sum: it is told of no path and no count.

total = sent[0] + sent[1] + sent[2]
forms = sum(map(len, offices))
found = rs.Population.of_fixed_point(spec, total, runs=forms).read()
assert found.complete
assert np.array_equal(total, sums[0] + sums[1] + sums[2])

used = np.concatenate([f.ravel() for f in offices])
for k, name in enumerate(NAMES):
    path, true = (found.at("form", name), images[used[labels[used] == k]].reshape(-1, 64) / 16)
    assert round(path.count) == len(true)
    assert abs(path.mean - true.mean(axis=0)).max() < 1e-5
print(f"{forms} forms: ten counts right, ten mean images right to 1e-5 of full ink")

# %%
# A message by itself is noise: every number is as frequent as any other, and likeness with what
# the office knows is what chance makes. The sum is small beside them, and drawn on its own scale.


def numbers(x):
    """Whole numbers modulo 2**64 as fractions of that, from -1/2 to 1/2."""
    return x.view(np.int64) / 2.0**64


def likeness(x, y):
    return np.corrcoef(numbers(x), numbers(y))[0, 1]


for message, own in zip(sent, sums, strict=True):
    assert abs(likeness(message, own)) < 5 / spec.dim**0.5  # five standard deviations of noise
    assert abs(np.histogram(numbers(message), 16, (-0.5, 0.5))[0] - 128).max() < 5 * 128**0.5

figure = plt.figure(figsize=(9, 3.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[1, 1.1])
panels = above.subplots(1, 4)
for k, x in enumerate([*sent, total]):
    most = 0.5 if k < 3 else abs(numbers(total)).max()
    panels[k].imshow(numbers(x).reshape(32, 64), cmap="PuOr", vmin=-most, vmax=most)
    title = f"office {k + 1} sends" if k < 3 else "the server's sum"
    panels[k].set(xticks=[], yticks=[], title=title)
for ax, name in zip(below.subplots(1, 10), NAMES, strict=True):
    path = found.at("form", name)
    ax.imshow(path.mean.reshape(8, 8), cmap="Greys", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], title=name, xlabel=f"{path.count:.0f}")
below.suptitle("read from the sum: mean images, and how many")
plt.show()
