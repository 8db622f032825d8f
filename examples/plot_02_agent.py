"""
An agent's loop
===============

An agent searches, thinks, searches again, and stops when nothing near is left to read: some runs
are over in three calls, others take fifty. Its functions are marked with ``rs.module``, and
nothing else of the program changes. Each run becomes one vector of one length, from which every
search and every thought comes back, in order.
"""

# %%
# Here a thought is a vector, documents are points, and a search returns the nearest document not
# yet read. Which calls a call was made from is seen from the results that it is given. A search
# is said to have none, with ``inputs=``: each thought would otherwise be used twice, by the
# search and by the next thought, and stand at 2 to the power of 24 places.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

import recsketch as rs

rng = np.random.default_rng(5)
documents = rng.standard_normal((300, 4))


@rs.module("search", inputs=lambda thought, seen: [])
def search(thought, seen):
    far = np.linalg.norm(documents - thought, axis=1)
    far[seen] = np.inf
    seen.append(int(far.argmin()))
    return documents[seen[-1]].copy()


@rs.module("think")
def think(thought, found):
    return 0.6 * thought + 0.4 * found


@rs.module("answer")
def answer(thought, steps):
    return np.append(thought, steps)


def agent(thought):
    """Goes on to the nearest document that it has not read, as long as each is near enough."""
    seen = []
    while len(seen) < 24:
        before, thought = thought, think(thought, search(thought, seen))
        if np.linalg.norm(thought - before) > 0.36:
            break
    return answer(thought, len(seen))


with rs.record() as recording:
    for k in range(40):
        with recording.run(f"question {k}"):
            agent(rng.standard_normal(4))
runs = recording.batch()
assert not recording.errors

# %%
# Half of the runs choose the specification, the other half are sketched and read back, from one
# row each. A thought is made from the one before, so that a run of twenty steps is a graph of
# more than twenty levels.

spec = rs.SketchSpec.fitted(runs[:20])
sketcher = rs.Sketcher(spec)
found = sketcher.unroll(sketcher.sketch(runs[20:]))
true = list(runs[20:])
assert all(f.complete and len(f.objects) == len(run) for f, run in zip(found, true, strict=True))


def vectors(run, module):
    """What a module returned, the first step first: (steps, numbers)."""
    return np.array([o.attribute for o in run.objects if o.module == module])


read = [vectors(f, "think") for f in found]
thought = [vectors(run, "think") for run in true]
errors = [
    np.linalg.norm(r - t, axis=1) / np.linalg.norm(t, axis=1)
    for r, t in zip(read, thought, strict=True)
]
worst = max(map(np.max, errors))
calls, levels = [len(run) for run in true], [len(steps) + 1 for steps in read]
assert worst < 1e-4
assert max(levels) == 25
print(f"{len(found)} runs of {min(calls)} to {max(calls)} calls, from {spec.dim:,} numbers each:")
print(f"all whole, up to {max(levels)} levels deep; no thought off by more than {worst:.0e}")

# %%
# Seven runs of five steps and more, as they came out of their sketches, over the two directions
# in which thoughts differ most. Beneath lies what was thought, as a broad grey line. Agents are
# drawn to one document after another.

centre = np.concatenate(thought).mean(axis=0)
plane = np.linalg.svd(np.concatenate(thought) - centre, full_matrices=False)[2][:2].T
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 4.4), width_ratios=[3, 2], layout="constrained"
)
left.plot(*((documents - centre) @ plane).T, "x", color="0.6", markersize=5, label="documents")
for k in [k for k in range(len(found)) if len(read[k]) >= 5][:7]:
    truth, path = (thought[k] - centre) @ plane, (read[k] - centre) @ plane
    left.plot(*truth.T, color="0.85", linewidth=6, solid_capstyle="round", zorder=0)
    left.plot(*path.T, color="#0072b2", linewidth=1, marker="o", markersize=2.5)
    left.plot(*path[-1], "o", color="#d55e00", markersize=6)
left.plot([], color="0.85", linewidth=6, label="thoughts, as they were")
left.plot([], "o-", color="#0072b2", markersize=2.5, linewidth=1, label="read from the sketch")
left.plot([], "o", color="#d55e00", label="the last, before the answer")
left.set(title="What agents thought", xlabel="first direction", ylabel="second direction")
left.set(xlim=(-2.3, 2.3), ylim=(-1.8, 2.8))
left.legend(ncols=2, fontsize=8, loc="upper center", framealpha=1, edgecolor="white")
for e in errors:
    right.semilogy(np.arange(len(e), 0, -1), e, "o", color="#0072b2", markersize=3, alpha=0.6)
right.set(
    title="How exactly they came back",
    xlabel="levels below the answer",
    ylabel="error, over the thought's length",
)
right.xaxis.set_major_locator(MaxNLocator(integer=True))
right.grid(color="0.9")
plt.show()
