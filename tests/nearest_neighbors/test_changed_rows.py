"""Rows that the caller changes in place after the search: an error, not answers of other rows."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

from fasttsne import TSNE
from fasttsne.nearest_neighbors import Approx, Exact

CHANGED = "the rows of the data were changed in place"


@pytest.fixture(params=[np.float32, np.float64])
def rows(request, digits):
    """Rows that are kept as they are, not copied."""
    return (digits[:400].astype(np.float64) + 0.1).astype(request.param)


def change(X):
    X -= X.mean(axis=0)


@pytest.mark.parametrize("index", [Exact, Approx])
def test_queries(index, rows, digits):
    built = index(rows, 10, n_jobs=1)
    built.build()
    built.query(digits[400:410], 5)
    copied = pickle.loads(pickle.dumps(built))
    expected = built.query(digits[400:410], 5)
    change(rows)
    with pytest.raises(ValueError, match=CHANGED):
        built.query(digits[400:410], 5)
    for found, wanted in zip(copied.query(digits[400:410], 5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "use",
    [
        lambda embedding, new, path: embedding.transform(new),
        lambda embedding, new, path: embedding.update(new),
        lambda embedding, new, path: embedding.drop([3]),
        lambda embedding, new, path: embedding.save(path, keep="rows"),
    ],
    ids=["transform", "update", "drop", "save"],
)
def test_maps(rows, digits, use, tmp_path):
    embedding = TSNE(**QUICK, n_jobs=1).fit(rows)
    use(embedding, digits[400:410], tmp_path / "map.npz")
    change(rows)
    with pytest.raises(ValueError, match=CHANGED):
        use(embedding, digits[400:410], tmp_path / "other.npz")
    embedding.optimize(5)  # the map itself needs no rows
    for copied in (copy.deepcopy(embedding), pickle.loads(pickle.dumps(embedding))):
        with pytest.raises(ValueError, match=CHANGED):
            use(copied, digits[400:410], tmp_path / "other.npz")


def test_batches_in_one_array(digits):
    """A stream may fill the same array with each batch."""
    batch = digits[:100].astype(np.float64) + 0.1
    embedding = TSNE(**QUICK, n_jobs=1).fit(batch.copy())
    expected = embedding
    for i in range(1, 4):
        batch[:] = digits[100 * i : 100 * (i + 1)] + 0.1
        embedding = embedding.update(batch, n_iter=5)
        expected = expected.update(batch.copy(), n_iter=5)
    np.testing.assert_array_equal(embedding, expected)


def test_large_sparse_rows(rng):
    X = sp.random_array((2200, 2000), density=0.01, format="csr", dtype=np.float32, rng=rng)
    index = Exact(X, 5, n_jobs=1)
    index.query(X[:3], 5)
    X.data *= 2
    with pytest.raises(ValueError, match=CHANGED):
        index.query(X[:3], 5)


def test_a_search_of_changed_rows_is_another_one(digits):
    X = digits[:400].astype(np.float32)
    index = Exact(X, 10, n_jobs=1)
    index.build()
    X[:, ::2] *= 3
    np.testing.assert_array_equal(index.build()[0], Exact(X.copy(), 10, n_jobs=1).build()[0])
    index.query(digits[400:410], 5)
