"""Maps of annotated data, as scanpy keeps them."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from quick import QUICK

import fasttsne
from fasttsne.nearest_neighbors import Exact
from fasttsne.scanpy import tsne

anndata = pytest.importorskip("anndata")


def with_graph(X, k, key="neighbors", genes=3, of=None, **params):
    """Annotated data with X as its components and k neighbours, as scanpy leaves it.

    genes : columns of ``adata.X``.
    of : the rows that the neighbours are of; None is X, and says so.
    params : what is stored of the search.
    """
    adata = anndata.AnnData(np.array(X[:, :genes]), obsm={"X_pca": np.array(X)})
    if of is None:
        params = {"use_rep": "X_pca", **params}
    metric_params = params.get("metric_kwds")
    search = Exact(
        X if of is None else of, k, params.get("metric", "euclidean"), metric_params=metric_params
    )
    indices, distances = search.build()
    indptr = np.arange(0, indices.size + 1, k)
    graph = sp.csr_matrix((distances.ravel(), indices.ravel(), indptr), (len(X), len(X)))
    name = "distances" if key == "neighbors" else f"{key}_distances"
    adata.obsp[name] = graph
    adata.uns[key] = {
        "distances_key": name,
        "params": {"n_neighbors": k + 1, "metric": "euclidean", **params},
    }
    return adata


@pytest.fixture
def rows(digits):
    return digits[:200]


def test_writes_what_scanpy_writes(rows, tmp_path):
    adata = with_graph(rows, 10)
    assert tsne(adata, perplexity=7, dof=1, **QUICK) is None
    expected = fasttsne.TSNE(perplexity=7, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))
    assert adata.uns["tsne"]["params"]["perplexity"] == 7
    assert adata.uns["tsne"]["params"]["use_rep"] == "X_pca"
    assert adata.uns["tsne"]["kl_divergence"] == expected.kl_divergence
    adata.write_h5ad(tmp_path / "with_map.h5ad")
    again = anndata.read_h5ad(tmp_path / "with_map.h5ad")
    assert np.array_equal(again.obsm["X_tsne"], adata.obsm["X_tsne"])


def test_a_graph_that_serves_is_used(rows):
    adata = with_graph(rows, 15)
    graph = adata.obsp["distances"]
    graph.data[:] = 1  # would show
    tsne(adata, perplexity=5, **QUICK)
    expected = fasttsne.TSNE(perplexity=5, neighbors=graph, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))


@pytest.mark.parametrize(
    ("graph", "asked"),
    [
        ({}, {"perplexity": 30}),
        ({"metric": "cosine"}, {"perplexity": 5}),
        ({"n_pcs": 7}, {"perplexity": 5}),
        ({"use_rep": "X"}, {"perplexity": 5}),
        (
            {"metric": "minkowski", "metric_kwds": {"p": 1}},
            {"metric": "minkowski", "perplexity": 5},
        ),
        (
            {"metric": "minkowski", "metric_kwds": {"p": 1}},
            {"metric": "minkowski", "metric_params": {"p": 3}, "perplexity": 5},
        ),
        (
            {"metric": "minkowski"},
            {"metric": "minkowski", "metric_params": {"p": 1}, "perplexity": 5},
        ),
    ],
)
def test_a_graph_of_something_else_is_not_used(rows, graph, asked):
    adata = with_graph(rows, 15, **graph)
    adata.obsp["distances"].data[:] = 1  # would show
    tsne(adata, **asked, **QUICK)
    expected = fasttsne.TSNE(**asked, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))


@pytest.mark.parametrize("weights", [None, np.linspace(1, 2, 64)])
def test_a_graph_of_the_same_metric_is_used(rows, weights):
    settings = {"p": 1} if weights is None else {"p": 1, "w": weights}
    adata = with_graph(rows, 15, metric="minkowski", metric_kwds=settings)
    graph = adata.obsp["distances"]
    graph.data[:] = 1  # would show
    tsne(adata, perplexity=5, metric="minkowski", metric_params=dict(settings), **QUICK)
    expected = fasttsne.TSNE(perplexity=5, neighbors=graph, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))


# scanpy stores no use_rep where it chose adata.X, of few genes, or X_pca, nor for given distances.
@pytest.mark.parametrize("of", ["X", "X_pca", "distances"])
def test_neighbors_that_do_not_say_of_what(rows, of, caplog):
    rows = np.array(rows)
    found_of = {"X": rows[:, :40], "X_pca": rows, "distances": rows**2}[of]
    adata = with_graph(rows, 15, genes=40 if of == "X" else 64, of=found_of)
    with caplog.at_level("INFO", "fasttsne.scanpy"):
        tsne(adata, perplexity=5, **QUICK)
    assert ("using the neighbours in uns" in caplog.text) == (of == "X_pca")
    expected = fasttsne.TSNE(perplexity=5, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))


@pytest.mark.parametrize(("k", "is_used"), [(36, True), (35, False)])
def test_several_perplexities(rows, k, is_used, caplog):
    adata = with_graph(rows, k)
    with caplog.at_level("INFO", "fasttsne.scanpy"):
        tsne(adata, perplexity=[12, 5], **QUICK)
    text = "using the" if is_used else r"only 35 neighbours in uns, perplexity [12, 5] needs 36"
    assert text in caplog.text
    expected = fasttsne.TSNE(perplexity=[12, 5], **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))
    with pytest.raises(ValueError, match=r"non-empty list of numbers; got \[\]"):
        tsne(adata, perplexity=[], **QUICK)


def test_a_named_graph_is_used_as_it_is(rows):
    adata = with_graph(rows, 30, key="mine", metric="cosine")
    tsne(adata, neighbors_key="mine", perplexity=12, **QUICK)
    graph = adata.obsp["mine_distances"]
    expected = fasttsne.TSNE(perplexity=12, neighbors=graph, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.asarray(expected))
    assert adata.uns["tsne"]["params"]["neighbors_key"] == "mine"


def test_first_components_copy_and_key(rows):
    adata = with_graph(rows, 10)
    result = tsne(adata, n_pcs=20, perplexity=7, key_added="other", copy=True, **QUICK)
    expected = fasttsne.TSNE(perplexity=7, **QUICK).fit(rows[:, :20])
    assert np.array_equal(result.obsm["other"], np.asarray(expected))
    assert "other" in result.uns
    assert "other" not in adata.obsm
    assert "X_tsne" not in result.obsm


def test_the_matrix_itself_also_sparse(rows):
    adata = anndata.AnnData(sp.csr_matrix(rows))
    tsne(adata, use_rep="X", perplexity=7, **QUICK)
    assert adata.obsm["X_tsne"].shape == (200, 2)


@pytest.mark.parametrize("as_stored", [np.asarray, sp.csr_matrix])
def test_a_matrix_in_a_file(rows, tmp_path, as_stored):
    anndata.AnnData(as_stored(rows)).write_h5ad(tmp_path / "rows.h5ad")
    backed = anndata.read_h5ad(tmp_path / "rows.h5ad", backed="r")
    tsne(backed, use_rep="X", perplexity=7, **QUICK)
    expected = anndata.AnnData(as_stored(rows))
    tsne(expected, use_rep="X", perplexity=7, **QUICK)
    assert np.array_equal(backed.obsm["X_tsne"], expected.obsm["X_tsne"])
    backed.file.close()


def test_what_is_missing_is_named(rows):
    adata = anndata.AnnData(np.array(rows))
    with pytest.raises(KeyError, match=r"scanpy\.pp\.pca"):
        tsne(adata)
    with pytest.raises(KeyError, match="'nothing' is not in uns"):
        tsne(adata, use_rep="X", neighbors_key="nothing")
    adata.uns["broken"] = {}
    with pytest.raises(KeyError, match="broken_distances"):
        tsne(adata, use_rep="X", neighbors_key="broken")
    with pytest.raises(ValueError, match="n_pcs must be from 1 to 64"):
        tsne(adata, use_rep="X", n_pcs=65)
    with pytest.raises(TypeError, match="not both"):
        tsne(adata, use_rep="X", neighbors_key="a", neighbors="exact")
    assert not adata.obsm


def test_imports_neither_scanpy_nor_anndata():
    code = "import sys, fasttsne.scanpy; assert not {'scanpy', 'anndata'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
