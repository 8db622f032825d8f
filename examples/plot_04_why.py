"""
Why do these two runs differ?
=============================

The same program runs today and tomorrow, and tomorrow its answer is another one. At one of its
steps something else was done. ``diff`` compares the two runs, here from their sketches alone, and
names each step that gave another result. The cause is among those that were given the same.
"""

# %%
# A forecast of power for a district: meters are read, gaps are filled, curves are added up and
# smoothed. Every function is a module. Somebody has gaps of one meter filled with zeros.

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs

HOURS = np.arange(48)


@rs.module("meter", attribute=lambda reading: reading[0])
def meter(site):
    """The load of two days in MW, and where it has a gap: the meter repeats its last number."""
    gap = np.isin(HOURS, np.arange(18 + 7 * site, 22 + 7 * site))
    load = 3 + site + np.sin((HOURS - 8 - 2 * site) * np.pi / 12)
    load += 0.15 * np.random.default_rng(site).standard_normal(48)
    load[gap] = load[17 + 7 * site]
    return load, gap


@rs.module("fill")
def fill(reading, zeros):
    load, gap = reading
    return np.where(gap, 0.0 if zeros else np.interp(HOURS, HOURS[~gap], load[~gap]), load)


@rs.module("total")
def total(*loads):
    return np.sum(loads, axis=0)


@rs.module("smooth")
def smooth(load):
    return np.convolve(np.pad(load, 3, mode="edge"), np.ones(7) / 7, mode="valid")


@rs.module("mean day")
def mean_day(load):
    return (load[:24] + load[24:]) / 2


@rs.module("forecast")
def forecast(usual, recent):
    return 0.7 * usual + 0.3 * recent[24:]


def program(zeros=None):
    load = total(*[fill(meter(site), site == zeros) for site in range(3)])
    return forecast(mean_day(load), smooth(load))


with rs.record() as recording:
    with recording.run("today"):
        program()
    with recording.run("tomorrow"):
        program(zeros=1)

# %%
# Both runs become one vector each, of 2,048 numbers, and are read from it again. ``total`` is
# used twice; objects have signatures, so that it comes back as one object and not as two copies.

runs = recording.batch()
sketcher = rs.Sketcher(rs.SketchSpec.fitted(runs[:1]))
today, tomorrow = sketcher.unroll(sketcher.sketch(runs))
assert sketcher.spec.dim == 2048
assert len(today.objects) == len(tomorrow.objects) == len(runs[0]) == 10
difference = rs.diff(today, tomorrow)
print(difference)

# %%
# Five results are others. One of these steps was given what it was given today: the second of the
# three that fill gaps.

changed = {change.old: change for change in difference.of("changed")}
causes = [i for i in changed if not any(k in changed for k in today.objects[i].inputs)]
assert difference.whole == (True, True)
assert len(difference.changes) == len(changed) == 5
assert [(today.objects[i].module, today.objects[i].path[-1]) for i in causes] == [("fill", 1)]
print(f"the cause: {changed[causes[0]]}")

# %%
# The run as a graph, every object with its curve today and tomorrow, as they came out of the
# sketches. Somebody had gaps of the second meter filled with zeros.

GREY, ORANGE = "0.55", "#d55e00"
level = []
for o in today.objects:
    level.append(1 + max((level[k] for k in o.inputs), default=-1))
columns = [[i for i in range(len(level)) if level[i] == c] for c in range(max(level) + 1)]
figure = plt.figure(figsize=(9, 4.4))
arrows = figure.add_axes((0, 0, 1, 1))
arrows.set(xlim=(0, 1), ylim=(0, 1))
arrows.axis("off")
place = {
    i: (0.02 + 0.2 * c, 1 - (r + 0.5) / len(column))
    for c, column in enumerate(columns)
    for r, i in enumerate(column)
}
for i, o in enumerate(today.objects):
    x, y = place[i]
    for k in o.inputs:
        arrows.plot(
            [place[k][0] + 0.15, x],
            [place[k][1], y],
            color=ORANGE if k in changed else GREY,
            linewidth=1,
        )
    ax = figure.add_axes((x, y - 0.1, 0.15, 0.2))
    ax.plot(o.attribute, color=GREY, linewidth=1.5)
    if i in changed:
        ax.plot(tomorrow.objects[changed[i].new].attribute, color=ORANGE, linewidth=1.2)
    ax.set(xticks=[0, o.attribute.size], yticks=[], xlim=(0, o.attribute.size))
    ax.tick_params(labelsize=7, length=2)
    note = f": off by {changed[i].distance:.0%}" if i in changed else ""
    ax.set_title(
        o.module + note,
        size=8,
        color=ORANGE if i in changed else "black",
        weight="bold" if i in causes else None,
    )
    plt.setp(
        ax.spines.values(),
        color=ORANGE if i in changed else GREY,
        linewidth=3 if i in causes else 0.8,
    )
arrows.text(
    0.98, 0.03, "MW over hours; grey: today, orange: tomorrow\nthick: the cause", ha="right", size=9
)
plt.show()
