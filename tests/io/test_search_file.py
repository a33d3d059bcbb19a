"""Files from which a map is updated later: the bits are those of the map that was saved."""

import copy
import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

from fasttsne import TSNE, TSNEEmbedding, affinity
from fasttsne.io import codec
from fasttsne.nearest_neighbors import Approx, Exact

N_OLD = 300


@pytest.fixture(scope="module")
def old(digits):
    return TSNE(**QUICK, n_jobs=2).fit(digits[:N_OLD])


def check_same(loaded, embedding, digits):
    """Places, P and what new rows become must be the same, to the bit."""
    np.testing.assert_array_equal(loaded, embedding)
    P, expected = loaded.affinities.P_float32, embedding.affinities.P_float32
    for name in "data", "indices", "indptr":
        np.testing.assert_array_equal(getattr(P, name), getattr(expected, name))
    new = digits[-40:]
    np.testing.assert_array_equal(
        loaded.transform(new, n_iter=20), embedding.transform(new, n_iter=20)
    )
    np.testing.assert_array_equal(loaded.update(new, n_iter=20), embedding.update(new, n_iter=20))


def test_a_map_is_updated_from_its_file(digits, old, tmp_path):
    path = tmp_path / "map.npz"
    old.save(path, keep="rows")
    check_same(TSNEEmbedding.load(path), old, digits)
    check_same(TSNEEmbedding.load(path, X=digits[:N_OLD]), old, digits)
    for other, message in (
        (digits[1 : N_OLD + 1], "^X has not the rows of the map"),
        (digits[:N_OLD, 1:], "^X has not the rows of the map"),
        (sp.csr_matrix(digits[1 : N_OLD + 1]), "^X has not the rows of the map"),
        (digits[1:N_OLD], "^X must be the 300 rows of the map; it has 299"),
    ):
        with pytest.raises(ValueError, match=message):
            TSNEEmbedding.load(path, X=other)
    with np.load(path, allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "fiU" for name in archive.files)
        np.testing.assert_array_equal(archive["part0_rows"], digits[:N_OLD])


def test_rows_are_given_again(digits, old, tmp_path):
    path = tmp_path / "map.npz"
    old.save(path, keep="index")
    rows = np.array(digits[:N_OLD])
    check_same(TSNEEmbedding.load(path, X=rows), old, digits)
    with np.load(path) as archive:
        assert len(archive["part0_rows"]) == 0
    without = TSNEEmbedding.load(path)
    np.testing.assert_array_equal(without.optimize(10), old.optimize(10))
    for answer in without.transform, without.update, lambda new: without.drop([0]):
        with pytest.raises(NotImplementedError, match="give them again"):
            answer(digits[-40:])
    with pytest.raises(ValueError, match=r"^X must be the 300 rows of the map; it has 299"):
        TSNEEmbedding.load(path, X=rows[1:])
    rows[7, 3] += 1
    with pytest.raises(ValueError, match=r"^X has not the rows of the map"):
        TSNEEmbedding.load(path, X=rows)


@pytest.mark.parametrize("keep", ["rows", "index"])
def test_a_map_whose_rows_changed(digits, old, tmp_path, keep):
    """Parts of the index, rows that have left, a part of one row: all of them come back."""
    changed = old.update(digits[N_OLD : N_OLD + 60], n_iter=5).drop(np.arange(20, 40))
    changed = changed.update(digits[5:6], n_iter=5).update(
        digits[400:403], replace=[1, 5, 330], n_iter=5
    )
    assert len(changed.affinities.knn_index.parts) > 2
    rows = np.delete(np.concatenate([digits[:360], digits[5:6]]), np.arange(20, 40), axis=0)
    rows[[1, 5, 330]] = digits[400:403]
    path = tmp_path / "map.npz"
    changed.save(path, keep=keep)
    loaded = TSNEEmbedding.load(path, X=None if keep == "rows" else rows)
    assert loaded.kl_divergence == changed.kl_divergence
    check_same(loaded, changed, digits)


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("family", "more"),
    [
        (affinity.MultiscaleMixture, {"perplexities": [5, 20]}),
        (affinity.Multiscale, {"perplexities": [5, 20]}),
        (affinity.FixedSigmaNN, {"sigma": 10.0, "symmetrize": "max"}),
        (affinity.Uniform, {"k_neighbors": 12}),
        (affinity.PerplexityBasedNN, {"perplexity": 7, "metric": "cosine"}),
        (affinity.PerplexityBasedNN, {"metric": "minkowski", "metric_params": {"p": 3}}),
        (affinity.PerplexityBasedNN, {"metric": "mahalanobis"}),
    ],
)
def test_every_family(digits, tmp_path, family, more):
    X = digits[:N_OLD] + np.random.default_rng(0).normal(size=(N_OLD, 64))
    if more.get("metric") == "mahalanobis":
        more = {**more, "metric_params": {"VI": np.linalg.inv(np.cov(X.T))}}
    embedding = TSNEEmbedding(X[:, :2], family(X, n_jobs=2, **more))
    embedding.save(tmp_path / "map.npz", keep="rows")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz")
    assert type(loaded.affinities) is family
    check_same(loaded, embedding, digits)
    np.testing.assert_array_equal(loaded.affinities.log_radii(), embedding.affinities.log_radii())


def test_cells_of_an_approximate_search(tmp_path):
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(0, 9, (40, 5)), 90, axis=0) + rng.normal(size=(3600, 5))
    embedding = TSNEEmbedding(X[:, :2], affinity.PerplexityBasedNN(X, perplexity=5))
    embedding.save(tmp_path / "map.npz", keep="rows")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz")
    index = loaded.affinities.knn_index
    assert isinstance(index, Approx)
    assert "probes" in index.search_state()[0]
    check_same(loaded, embedding, X + 0.1)


def test_sparse_rows(digits, tmp_path):
    X = sp.random(N_OLD, 3000, 0.02, "csr", dtype=np.float32, random_state=0)
    embedding = TSNE(**QUICK, initialization="random", perplexity=5).fit(X)
    for keep, rows in ("rows", None), ("index", X):
        embedding.save(tmp_path / "map.npz", keep=keep)
        loaded = TSNEEmbedding.load(tmp_path / "map.npz", X=rows)
        np.testing.assert_array_equal(
            loaded.update(X[:10] * 2, n_iter=5), embedding.update(X[:10] * 2, n_iter=5)
        )


def test_what_cannot_be_kept(digits, old, tmp_path):
    path = tmp_path / "map.npz"
    old.save(path)
    with pytest.raises(ValueError, match=r"^X is given, but the file has no index of rows"):
        TSNEEmbedding.load(path, X=digits[:N_OLD])
    for loaded in (
        lambda: TSNEEmbedding.load(path).update(digits[-3:]),
        lambda: TSNEEmbedding.load(path).drop([0]),
    ):
        with pytest.raises(NotImplementedError, match='keep="rows"'):
            loaded()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="keep must be one of 'map', 'index', 'rows'"):
        old.save(path, keep="all")

    class Own(Exact):
        """A search of a user's own."""

    own = TSNEEmbedding(old[:], affinity.PerplexityBasedNN(knn_index=Own(digits[:N_OLD], 90)))
    given = TSNE(**QUICK).fit(affinities=old.affinities.P)
    called = TSNEEmbedding(
        digits[:50, 10:12], affinity.Uniform(digits[:50], 5, metric=lambda u, v: abs(u - v).sum())
    )
    for embedding in own, given, called:
        with pytest.raises(TypeError, match='keep="map"'):
            embedding.save(path, keep="rows")
    broken = old.copy()
    broken.affinities = copy.copy(old.affinities)
    broken.affinities._n_used = 91
    for keep in "rows", "index":
        with pytest.raises(ValueError, match="n_used is 91"):
            broken.save(path, keep=keep)
    changed = old.copy()
    changed.affinities = affinity.PerplexityBasedNN(digits[:N_OLD])
    changed.affinities.P.data[3] *= 2
    with pytest.raises(ValueError, match="P was changed"):
        changed.save(path, keep="rows")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"neighbors": np.full((N_OLD, 90), N_OLD, np.int32)},
        {"neighbors": np.zeros((3, 90), np.int32)},
        {"distances": np.full((N_OLD, 90), np.nan, np.float32)},
        {"units": np.zeros(N_OLD)},
        {"part0_numbers": np.zeros(N_OLD, np.int32)},
        {"part0_rows": np.zeros((N_OLD, 3), np.float32)},
        {"part0_rows": None},
        {"family": "PrecomputedAffinities"},
        {"n_used": 91},
        {"parameters": {"perplexity": -1, "effective_perplexity_": 30}},
        {"parameters": {"perplexity": 30}},
        {"parts": [{"method": "nothing"}]},
    ],
)
def test_files_that_lie(old, tmp_path, change):
    path = tmp_path / "map.npz"
    old.save(path, keep="rows")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"]))
    del header["checksums"]
    for name, value in change.items():
        if name in header["search"]:
            header["search"][name] = value
        else:
            arrays[name] = value
    arrays["header"] = np.array(json.dumps(header))
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match="not a saved embedding"):
        TSNEEmbedding.load(path)


def test_an_index_without_rows_that_0_2_0_pickled():
    assert pickle.loads(b"cfasttsne.io.search_file\nRowsLeftOut\n.") is codec.IndexWithoutRows
