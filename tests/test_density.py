"""Clusters by density: the same as HDBSCAN finds."""

from __future__ import annotations

import numpy as np
import pytest

from recsketch.repository.concepts.density import clusters

sklearn = pytest.importorskip("sklearn")


def blobs(seed: int) -> np.ndarray:
    """One to five groups of other widths and sizes, some of them one within another."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 20))
    return np.concatenate(
        [
            rng.standard_normal((rng.integers(15, 100), d)) * rng.uniform(0.3, 2) + rng.standard_normal(d) * 6
            for _ in range(rng.integers(1, 6))
        ]
    )


def theirs(x: np.ndarray, least: int, near: int) -> np.ndarray:
    from sklearn.cluster import HDBSCAN

    return np.asarray(HDBSCAN(min_cluster_size=least, min_samples=near, copy=True).fit_predict(x))


@pytest.mark.parametrize("seed", range(20))
def test_clusters_are_those_of_hdbscan(seed: int) -> None:
    """Of plain distances, which have no ties, to the point; outliers, too."""
    from sklearn.metrics import adjusted_rand_score

    x = blobs(seed)
    ours, other = clusters(x, 12, 1), theirs(x, 12, 1)
    assert adjusted_rand_score(ours, other) == 1
    assert np.array_equal(ours < 0, other < 0)


@pytest.mark.parametrize("seed", range(20))
def test_ties_cost_points_at_the_border(seed: int) -> None:
    """Distances of mutual reachability are often equal, and nobody says which of two such edges is cut first."""
    from sklearn.metrics import adjusted_rand_score

    x = blobs(seed)
    assert adjusted_rand_score(clusters(x, 12, 6), theirs(x, 12, 6)) > 0.98


def test_clusters_are_numbered_by_their_first_points() -> None:
    x = np.repeat(np.array([[9.0, 0.0], [0.0, 0.0], [0.0, 9.0]]), 20, axis=0)
    x += 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    assert np.array_equal(clusters(x, 12, 6), np.repeat([0, 1, 2], 20))
    assert np.array_equal(clusters(x[::-1], 12, 6), np.repeat([0, 1, 2], 20))


def test_few_points_and_equal_ones() -> None:
    assert np.array_equal(clusters(np.ones((23, 3)), 12, 6), np.full(23, -1))
    assert set(clusters(np.ones((40, 3)), 12, 6)) <= {-1, 0, 1}
