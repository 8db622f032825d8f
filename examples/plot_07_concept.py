"""
A new kind of run appears
=========================

An agent is used for three kinds of work. Its runs are kept in a repository, which is told of no
kinds and groups them by itself. Some day people begin to use the agent for something else. The
repository says so, after how many runs, and what runs of the new kind have in common.
"""

# %%
# A run is a task of six steps, each a tool and a vector that says what it was used for. Every
# kind of work has its usual steps; one step in six is any other.

import tempfile

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs

TOOLS = ("search", "fetch", "compute", "draw", "mail")
rng = np.random.default_rng(2)
steps = rng.standard_normal((24, 8))  # step n is done by tool n % 5
usual = rng.permutation(24).reshape(4, 6)


def task(kind):
    numbers = np.where(rng.random(6) < 1 / 6, rng.integers(0, 24, 6), usual[kind])
    run = rs.Trace()
    done = [run.add(TOOLS[n % 5], steps[n] + 0.5 * rng.standard_normal(8)) for n in numbers]
    run.outputs([run.add("task", [1.0, 0.0], inputs=done)])
    return run


RUNS, CHANGE = 1200, 700
kinds = rng.choice(3, size=RUNS, p=[0.5, 0.3, 0.2])
kinds[(np.arange(RUNS) >= CHANGE) & (rng.random(RUNS) < 0.25)] = 3

# %%
# The repository is a folder. The first 512 runs show which kinds there are; each further one is
# put to a kind when it is added, or waits for a new one. Nobody tells it how many kinds there
# are.

spec = rs.SketchSpec(dim=512, modules={"task": 2, **dict.fromkeys(TOOLS, 8)})
folder = tempfile.TemporaryDirectory()
with rs.SketchRepository.open(f"{folder.name}/tasks", spec, mode="a", concepts=True) as repository:
    keys = []
    for at in range(0, RUNS, 50):
        keys += repository.add([task(kind) for kind in kinds[at : at + 50]])
    concepts = repository.concepts()
    events = [event for event in repository.events() if event.kind != "grew"]
    found = np.array([-1 if c is None else c for c in map(repository.concept_of, keys)])
folder.cleanup()
print(*events, *concepts, sep="\n")

# %%
# Each concept should be a kind of work. The last one is the new kind; its first runs were taken
# for another kind, from which it was split when there were enough of them. With other seeds a
# kind now and then comes out as two.

kind_of = [int(np.bincount(kinds[found == c.id]).argmax()) for c in concepts]
named = dict(zip([c.id for c in concepts], kind_of, strict=True))
pure = np.mean([named.get(f) == k for f, k in zip(found, kinds, strict=True)])
assert sorted(kind_of) == [0, 1, 2, 3]
assert pure > 0.9
born = next(e.placed for e in events if e.concept == concepts[kind_of.index(3)].id)
seen = np.count_nonzero(kinds[:born] == 3)
assert CHANGE < born < RUNS
print(f"{pure:.0%} of runs are with their kind; the new kind was seen after {seen} of its runs")

# %%
# A concept's prototype is the mean of its latest members' sketches, and can be read as any
# sketch: it has the steps that the kind's runs have in common.

sketcher = rs.Sketcher(spec)
tools = []
for c, kind in zip(concepts, kind_of, strict=True):
    read = {o.path: o for o in sketcher.unroll(c.prototype).objects}
    tools.append([read[0, k].module for k in range(6)])
    assert tools[-1] == [TOOLS[n % 5] for n in usual[kind]]
    likeness = [
        np.corrcoef(read[0, k].attribute, steps[n])[0, 1] for k, n in enumerate(usual[kind])
    ]
    assert min(likeness) > 0.7

figure, (above, below) = plt.subplots(
    2, 1, figsize=(8.5, 6.4), height_ratios=[3, 2], layout="constrained"
)
colours = ["#0072b2", "#009e73", "#cc79a7", "#d55e00"]
jitter = np.random.default_rng(0).uniform(-0.3, 0.3, RUNS)
for row, c in enumerate(concepts):
    members = np.flatnonzero(found == c.id)
    above.scatter(members, row + jitter[members], s=7, color=[colours[k] for k in kinds[members]])
above.axvline(512, color="0.5", linewidth=0.8)
above.axvline(CHANGE, color="0.5", linewidth=0.8, linestyle=":")
above.text(505, -0.5, "kinds are first looked for", size=8, ha="right", va="bottom")
above.text(CHANGE + 7, -0.5, "the new kind of work begins", size=8, va="bottom")
above.vlines(born, kind_of.index(3) - 0.42, kind_of.index(3) + 0.42, color="black", linewidth=2)
above.set(
    xlim=(0, RUNS),
    ylim=(len(concepts) - 0.5, -0.85),
    xlabel="runs, in the order in which they came",
)
above.set_yticks(range(len(concepts)), [f"concept {c.id}" for c in concepts])
above.set_title("Concepts, coloured by what the work really was; bar: the new one is seen", size=10)
below.axis("off")
below.set(xlim=(-0.9, 5.5), ylim=(len(concepts) - 0.5, -0.5))
below.set_title("The steps that its prototype has", size=10)
for row, (names, kind) in enumerate(zip(tools, kind_of, strict=True)):
    below.text(-0.9, row, f"concept {concepts[row].id}", ha="left", va="center")
    for k, name in enumerate(names):
        box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colours[kind]}
        below.text(k, row, name, ha="center", va="center", size=8.5, bbox=box)
plt.show()
