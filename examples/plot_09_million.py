"""
A million runs
==============

Files of runs become a folder of sketches, part by part, whatever is killed meanwhile; from there
each run can be read back, and the runs most like it are found. A million small runs take ten
seconds on one core, or thirty on a busy one, and for a while 560 MB of disk. Time and space grow
as the number of runs does; larger runs and longer sketches take more.
"""

# %%
# The runs of a mixture of experts, two layers deep: a request has two shards, a shard two
# experts. A batch holds runs as columns, so that none of them is ever an object of Python.

import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs

FILES, RUNS = 20, 50_000
NAMES, LENGTHS = ("request", "shard", "expert"), np.array([2, 4, 8])
MODULE = np.array(
    [2, 2, 2, 2, 1, 1, 0], np.int32
)  # the objects of a run: their modules, inputs first
FAN_IN = np.array([0, 0, 0, 0, 2, 2, 2])


def batch(seed, n=RUNS):
    rng = np.random.default_rng(seed)
    lengths = np.tile(LENGTHS[MODULE], n)
    return rs.TraceBatch(
        names=NAMES,
        objects=np.arange(n + 1) * len(MODULE),
        module=np.tile(MODULE, n),
        attribute_ends=np.append(0, np.cumsum(lengths)),
        attributes=rng.standard_normal(lengths.sum(), dtype=np.float32),
        input_ends=np.append(0, np.cumsum(np.tile(FAN_IN, n))),
        inputs=np.tile(np.arange(6, dtype=np.int32), n),
        weights=rng.random(6 * n) + 0.2,
        output_ends=np.arange(n + 1),
        outputs=np.full(n, 6, np.int32),
        output_weights=np.ones(n),
    )


# %%
# Runs are written to files, as a recorder would do. Then the pipeline sketches them on one core,
# to 128 numbers of 8 bits.

spec = rs.SketchSpec(128, dict(zip(NAMES, LENGTHS.tolist(), strict=True)))
folder = tempfile.TemporaryDirectory()
runs, out = Path(folder.name) / "runs", Path(folder.name) / "sketches"
runs.mkdir()
for k in range(FILES):
    batch(k).save(runs / f"{k:03d}.npz")

seen = []
options = {"dtype": "int8", "form": "npz", "workers": 1}
report = rs.pipeline.run(
    runs, out, spec, progress=lambda p: seen.append((p.seconds, p.rows)), **options
)
assert report.clean
assert report.ok == FILES * RUNS == 1_000_000
rate = report.ok / report.seconds
print(f"{report.ok:,} runs of {len(MODULE)} objects: {rate:,.0f} a second on one core")
print(f"{report.read / 1e6:,.0f} MB read, {report.written / 1e6:,.0f} MB written")

# %%
# The same call once more does nothing: all parts are there, and their checksums are right. A job
# that was cut short goes on in this way.

again = rs.pipeline.run(runs, out, spec, **options)
assert again.kept == FILES
assert again.sketched == 0

# %%
# Somebody has a run that is nearly one of them: each of its vectors is off by a fifth of its
# length. It is looked for among all, and what is found is read from its 128 numbers of 8 bits.

wanted = 7 * RUNS + 1234
true, like = batch(7)[1234], rs.Trace()
noise = np.random.default_rng(1)
for o in true.objects:
    x = o.attribute + 0.2 * np.linalg.norm(
        o.attribute
    ) / o.attribute.size**0.5 * noise.standard_normal(o.attribute.size)
    like.add(o.module, x, o.inputs, o.weights if o.inputs else None)
like.outputs(true.output_ids)

sketcher = rs.Sketcher(spec)
query, table = sketcher.sketch(like), rs.pipeline.read(out)
started = time.perf_counter()
nearest = sketcher.nearest(query, table.sketches, k=1)
took = time.perf_counter() - started
print(f"the nearest of {len(table):,} in {took:.2f} s, cosine {nearest.scores[0]:.2f}")
assert nearest.indices[0] == wanted

found = sketcher.unroll(table.sketches[wanted])
# the objects' places, as positions from the output down
places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 0), (0, 1), (0,)]
read = {o.path: o for o in found.objects}
assert found.complete
assert [read[p].module for p in places] == [o.module for o in true.objects]
pairs = [(read[p].attribute, o.attribute) for p, o in zip(places, true.objects, strict=True)]
off = [np.linalg.norm(f - t) / np.linalg.norm(t) for f, t in pairs]
print(
    f"its {len(pairs)} objects are read back, off by {np.median(off):.0%}, at most {max(off):.0%}"
)
assert max(off) < 0.15

# %%
# The job as it went; how much each of the million is like the run that was looked for; and one
# expert's numbers, as they were and as they were read.

cosines = np.concatenate(
    [sketcher.similarity(query, part.sketches.unpack()).ravel() for part in rs.pipeline.parts(out)]
)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
seconds, rows = np.transpose(seen)
left.plot(seconds, rows / 1e6, ".-", color="#0072b2")
left.set(xlim=0, ylim=0, xlabel="seconds", ylabel="million runs", title="Sketched")
middle.hist(cosines, np.linspace(0, 1, 101), color="0.7", log=True)
middle.plot(cosines[wanted], 1, "o", color="#d55e00", clip_on=False)
middle.text(1.03, 1.8, "the run\nitself", color="#d55e00", ha="center", size=8)
middle.set(xlabel="cosine with the query", ylabel="runs", xlim=(0.1, 1.15), ylim=0.8)
middle.set_title("Compared")
first, numbers = pairs[0]
right.plot(numbers, "_", color="black", markersize=22, label="as it was")
look = {"fmt": "o", "color": "#0072b2", "markersize": 5, "capsize": 3}
right.errorbar(range(8), first, 2 * read[0, 0, 0].error, label="read, ± 2 errors", **look)
right.axhline(0, color="0.8", linewidth=0.8, zorder=0)
right.set(xlabel="number of the first expert", title="One of them, read")
right.legend(frameon=False, fontsize=8)
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
folder.cleanup()
