"""
From OpenTelemetry to an alarm
==============================

A shop of services writes traces, as OpenTelemetry exports them. A trace is a run; a span is an
object that says how long it took and whether it failed. Sketches of runs add up: one sum stands
for a day, and a stream of them is watched. Then the provider of payments becomes a fifth slower,
and nobody is told.
"""

# %%
# ``read_otlp`` takes files, folders or dictionaries. These traces are made, and come with the
# package. From one of them on each payment takes 1.2 times as long, and so long does its order
# wait.

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs
from recsketch.capture.otlp import read_otlp
from recsketch.datasets import shop_traces

BLOCK = 50
traces = shop_traces(600 + (128 + 20 + 20) * BLOCK, seed=3)


def slower(trace):
    spans = {s["name"]: s for r in trace["resourceSpans"] for s in r["scopeSpans"][0]["spans"]}
    if paid := spans.get("payment.charge"):
        delay = (int(paid["endTimeUnixNano"]) - int(paid["startTimeUnixNano"])) // 5
        for span in (paid, spans["POST /order"]):
            span["endTimeUnixNano"] = str(int(span["endTimeUnixNano"]) + delay)


for trace in traces[-20 * BLOCK :]:
    slower(trace)
found = read_otlp(traces)
assert not found.errors
print(
    f"{len(found.runs):,} traces, {found.runs.objects[-1]:,} spans, {len(found.runs.modules)} names"
)

# %%
# The first 600 runs say which paths of calls there are; their sum is told of none. The next 128
# blocks are what is usual.

spec = rs.SketchSpec.additive(512, found.runs.modules, seed=1)
sketches = rs.Sketcher(spec).sketch(found.runs)
earlier = rs.Population(spec)
earlier.update(sketches[:600])
paths = earlier.read()
assert paths.complete
blocks = earlier.blocks(sketches[600:], BLOCK)
print(
    f"{len(paths)} paths explain the sum of 600 runs; {len(blocks.elements)} elements are watched"
)

# %%
# The monitor looks at one block after the other. Where nothing changed, it would ever raise an
# alarm in at most 1% of streams, however long; paths that were not seen before have a tenth of
# that for themselves.

usual, stream = blocks.values[:128], blocks.values[128:]
monitor = rs.Monitor(usual, BLOCK, blocks.elements, alpha=0.01, weights={"unknown paths": 0.1})
evidence = [monitor.evidence]
for block in stream:
    alarm = monitor.update(block, BLOCK)
    evidence.append(monitor.evidence)
    if alarm:
        break
print(alarm)
assert alarm is not None
assert alarm.element == "POST /order > payment.charge: mean 0"
assert alarm.kind == "higher"
assert alarm.blocks > 20  # not before the change

# %%
# What else changed? A population of the 1,000 runs since the change is compared with one of 1,000
# before it.

before, after = rs.Population(spec), rs.Population(spec)
of_block = np.repeat(np.arange(20), BLOCK)
before.update(sketches[-40 * BLOCK : -20 * BLOCK], groups=of_block)
after.update(sketches[-20 * BLOCK :], groups=of_block)
change = rs.compare(before, after)
print("changed:", *change.changed(), sep="\n  ")
assert set(change.changed()) == {"POST /order", "POST /order > payment.charge"}

# %%
# Above, the evidence of each element as the blocks came in. Below, how much longer the spans of
# each path became; the first number of an object is the logarithm of its duration, so that a
# difference of means is a ratio of durations.

figure, (above, below) = plt.subplots(
    2, 1, figsize=(8, 7.5), height_ratios=[2, 3], layout="constrained"
)
chosen = blocks.elements.index(alarm.element)
above.semilogy(np.delete(evidence, chosen, axis=1), color="0.75", linewidth=0.8)
above.semilogy(
    np.array(evidence)[:, chosen], color="#d55e00", linewidth=2, label="how long payments take"
)
above.plot([], [], color="0.75", label="the other 51 elements")
above.axhline(1 / monitor.alpha, color="black", linewidth=0.8, linestyle="--")
above.text(0, 1.2 / monitor.alpha, "alarm", va="bottom")
above.axvline(20, color="#0072b2", linewidth=0.8)
above.text(19.5, 3, "payments\nbecome slower", color="#0072b2", ha="right")
above.set(
    title="The monitor", xlabel=f"blocks of {BLOCK} traces", ylabel="evidence against no change"
)
above.set_ylim(3e-3, 2e4)
above.legend(frameon=False, loc="upper left", fontsize=9)

rows = [k for k, name in enumerate(change.elements) if name == "mean 0"]
longer, low, high = (100 * (np.exp(x[rows]) - 1) for x in (change.effect, change.low, change.high))
for y, k in enumerate(rows):
    name = change.paths[change.path[k]]
    colour = "#d55e00" if name in change.changed() else "0.5"
    below.plot([low[y], high[y]], [y, y], color=colour)
    below.plot(longer[y], y, "o", color=colour, markersize=5)
below.axvline(0, color="black", linewidth=0.8)
below.set_yticks(range(len(rows)), [change.paths[change.path[k]] for k in rows], fontsize=8)
below.invert_yaxis()
below.set(title="What changed", xlabel="longer by, % of the duration, with 95% intervals")
plt.show()
