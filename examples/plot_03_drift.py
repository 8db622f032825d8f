"""
From OpenTelemetry to an alarm
==============================

A shop of services writes traces, as OpenTelemetry exports them. Each trace is a run, each span an object with its
duration and whether it failed. Sketches of runs add up, so that one sum stands for a day, and blocks of fifty runs for
a stream that is watched. Then the database behind the prices becomes a third slower, only there.
"""

# %%
# ``read_otlp`` takes files, folders or dictionaries. These traces are made, and come with the package. From the last
# thousand on, each ``db.query`` below ``price.get`` takes 1.33 times as long as it would have.

import matplotlib.pyplot as plt
import numpy as np

import recsketch as rs
from recsketch.capture.otlp import read_otlp
from recsketch.datasets import shop_traces

BLOCK, EARLIER, USUAL, CHANGED = 30, 600, 160 * 30, 20 * 30
documents = shop_traces(EARLIER + USUAL + 2 * CHANGED, seed=3)


def slower(document):
    """The same trace with slow queries for prices: their durations are 4/3 of what they were."""
    for span in document["resourceSpans"][2]["scopeSpans"][0]["spans"]:
        if span["name"] == "db.query":
            begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
            span["endTimeUnixNano"] = str(end + (end - begin) // 3)
