"""Streams of pages of several kinds: layouts filled with handwritten digits, as the shipped network reads them."""

from __future__ import annotations

import numpy as np

import recsketch as rs
from recsketch.datasets import PageNetwork
from recsketch.datasets.kinds import new_kind, page_of

SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)  # of the five kinds that are there from the start
NEW, NEW_SHARE = 5, 0.2  # the sixth


def stream(seed: int, runs: int, new_from: int | None = None) -> tuple[list[rs.Trace], np.ndarray]:
    """Runs of five kinds in random order and, from a run on, NEW_SHARE of a sixth; and the kinds' numbers."""
    rng, network = np.random.default_rng([seed, 13]), PageNetwork()
    kinds = [new_kind(rng) for _ in range(NEW + 1)]
    labels = rng.choice(NEW, size=runs, p=SHARES)
    if new_from is not None:
        labels[new_from:][rng.random(runs - new_from) < NEW_SHARE] = NEW
    return [network(page_of(kinds[k], rng).image) for k in labels], labels
