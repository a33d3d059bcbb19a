"""True neighbours by bounds are those of the exact search."""

import numpy as np
import pytest

from fasttsne.nearest_neighbors.builtin import search_plan
from fasttsne.nearest_neighbors.builtin.rows import prepare_rows, reduce_rows
from fasttsne.nearest_neighbors.builtin.search_plan import true_neighbors

N, K = 3000, 12


def plane(rng, d=400):
    return rng.normal(size=(N, 5)) @ rng.normal(size=(5, d)) + 0.1 * rng.normal(size=(N, d))


def far_and_small(rng):
    """Half of the rows within a thousandth, at a distance at which products lose that."""
    X = plane(rng)
    X[: N // 2] = 20 + 1e-4 * X[: N // 2]
    return X


DATA = {
    "plane": plane,
    "noise": lambda rng: rng.normal(size=(N, 400)),
    "far and small": far_and_small,
    "duplicates": lambda rng: np.repeat(plane(rng)[: N // 20], 20, axis=0),
    "a far row": lambda rng: np.concatenate([plane(rng)[1:], np.full((1, 400), 1e15)]),
    "whole numbers": lambda rng: np.rint(3 * plane(rng)),
}


@pytest.mark.thin(4)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", DATA)
def test_they_are_those_of_the_exact_search(rng, monkeypatch, name, metric):
    X = DATA[name](rng).astype(np.float32)
    rows = prepare_rows(X, metric)
    points, projection = reduce_rows(rows, np.random.default_rng(0), 2)
    sample = np.sort(rng.permutation(N)[:60])
    expected, _ = rows.kneighbors_of_rows(sample, K, 2)
    compared = []
    search = rows.kneighbors_of_rows

    def watched(own, *rest):
        compared.append(len(own))
        return search(own, *rest)

    monkeypatch.setattr(rows, "kneighbors_of_rows", watched)
    found = true_neighbors(rows, points, projection, sample, K, 2)
    np.testing.assert_array_equal(found, expected)
    if name == "plane":
        assert sum(compared) < len(sample) / 2  # most were decided by bounds


def test_what_does_not_pay_is_compared_with_all(rng):
    X = rng.normal(size=(500, 160)).astype(np.float32)
    rows = prepare_rows(X, "euclidean")
    points, _ = reduce_rows(rows, np.random.default_rng(0), 1)
    assert not search_plan.pays(rows, points, 11 * K)
    narrow = prepare_rows(X[:, :20].copy(), "euclidean")
    own = np.arange(50)
    np.testing.assert_array_equal(
        true_neighbors(narrow, narrow.points.values, None, own, K, 1),
        narrow.kneighbors_of_rows(own, K, 1)[0],
    )
