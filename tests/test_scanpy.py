"""Maps of annotated data, as scanpy keeps them."""

import inspect
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

import fasttsne
from fasttsne.nearest_neighbors import Exact
from fasttsne.scanpy import report, tsne, update

anndata = pytest.importorskip("anndata")


def with_graph(X, k, key="neighbors", genes=60, of=None, **params):
    """Annotated data with X as its components and k neighbours, as scanpy leaves it.

    genes : columns of ``adata.X``; of up to 50 it is embedded itself.
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
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))
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
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))


@pytest.mark.thin(4)
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
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))


@pytest.mark.parametrize("weights", [None, np.linspace(1, 2, 64)])
def test_a_graph_of_the_same_metric_is_used(rows, weights):
    settings = {"p": 1} if weights is None else {"p": 1, "w": weights}
    adata = with_graph(rows, 15, metric="minkowski", metric_kwds=settings)
    graph = adata.obsp["distances"]
    graph.data[:] = 1  # would show
    tsne(adata, perplexity=5, metric="minkowski", metric_params=dict(settings), **QUICK)
    expected = fasttsne.TSNE(perplexity=5, neighbors=graph, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))


# scanpy stores no use_rep where it chose adata.X, of few genes, or X_pca, nor for given distances.
@pytest.mark.parametrize("use_rep", [None, "X_pca"])
@pytest.mark.parametrize("of", ["X", "X_pca", "distances"])
def test_neighbors_that_do_not_say_of_what(rows, of, use_rep, caplog):
    rows = np.array(rows)
    found_of = {"X": rows[:, :40], "X_pca": rows, "distances": rows**2}[of]
    adata = with_graph(rows, 15, genes=40 if of == "X" else 64, of=found_of)
    embedded = rows[:, :40] if of == "X" and use_rep is None else rows
    with caplog.at_level("INFO", "fasttsne.scanpy"):
        tsne(adata, use_rep=use_rep, perplexity=5, **QUICK)
    is_used = of == "X_pca" if embedded is rows else of == "X"
    assert ("using the neighbours in uns" in caplog.text) == is_used
    expected = fasttsne.TSNE(perplexity=5, **QUICK).fit(embedded)
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))


@pytest.mark.parametrize(("k", "is_used"), [(36, True), (35, False)])
def test_several_perplexities(rows, k, is_used, caplog):
    adata = with_graph(rows, k)
    with caplog.at_level("INFO", "fasttsne.scanpy"):
        tsne(adata, perplexity=[12, 5], **QUICK)
    text = "using the" if is_used else r"only 35 neighbours in uns, perplexity [12, 5] needs 36"
    assert text in caplog.text
    expected = fasttsne.TSNE(perplexity=[12, 5], **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))
    with pytest.raises(ValueError, match=r"non-empty list of numbers; got \[\]"):
        tsne(adata, perplexity=[], **QUICK)


def test_a_named_graph_is_used_as_it_is(rows):
    adata = with_graph(rows, 30, key="mine", metric="cosine")
    tsne(adata, neighbors_key="mine", perplexity=12, **QUICK)
    graph = adata.obsp["mine_distances"]
    expected = fasttsne.TSNE(perplexity=12, neighbors=graph, **QUICK).fit(rows)
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))
    assert adata.uns["tsne"]["params"]["neighbors_key"] == "mine"


def test_first_components_copy_and_key(rows):
    adata = with_graph(rows, 10)
    result = tsne(adata, n_pcs=20, perplexity=7, key_added="other", copy=True, **QUICK)
    expected = fasttsne.TSNE(perplexity=7, **QUICK).fit(rows[:, :20])
    assert np.array_equal(result.obsm["other"], np.float32(expected))
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
    adata = anndata.AnnData(np.array(rows), obsm={"X_other": np.array(rows)})
    with pytest.raises(KeyError, match=r"'X' or in obsm, 'X_other'; got 'X_pca'; scanpy\.pp\.pca"):
        tsne(adata, use_rep="X_pca")
    with pytest.raises(KeyError, match="'nothing' is not in uns"):
        tsne(adata, use_rep="X", neighbors_key="nothing")
    adata.uns["broken"] = {}
    with pytest.raises(KeyError, match="broken_distances"):
        tsne(adata, use_rep="X", neighbors_key="broken")
    with pytest.raises(ValueError, match="n_pcs must be from 1 to 64"):
        tsne(adata, 65, use_rep="X_other")
    with pytest.raises(TypeError, match="not both"):
        tsne(adata, use_rep="X", neighbors_key="a", neighbors="exact")
    assert list(adata.obsm) == ["X_other"]


def test_arguments_are_those_of_scanpy():
    theirs = pytest.importorskip("scanpy").tl.tsne
    ours = inspect.signature(tsne).parameters
    for name, parameter in inspect.signature(theirs).parameters.items():
        if name in ("early_exaggeration", "learning_rate"):  # by **parameters, with our defaults
            continue
        assert ours[name].kind == parameter.kind
        if name != "n_jobs":  # all cores
            assert ours[name].default == parameter.default


@pytest.mark.parametrize("n_pcs", [None, 12])
def test_first_argument_and_default_representation_are_those_of_scanpy(rows, n_pcs):
    adata = with_graph(rows, 10)
    tsne(adata, n_pcs, perplexity=7, early_exaggeration=12, use_fast_tsne=False, **QUICK)
    expected = fasttsne.TSNE(perplexity=7, early_exaggeration=12, **QUICK).fit(rows[:, :n_pcs])
    assert adata.obsm["X_tsne"].dtype == np.float32
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))


@pytest.mark.parametrize(("genes", "n_pcs"), [(50, None), (50, 7), (60, 0)])
def test_few_genes_are_embedded_themselves(rows, genes, n_pcs):
    adata = with_graph(rows, 10, genes=genes)
    tsne(adata, n_pcs, perplexity=7, **QUICK)
    expected = fasttsne.TSNE(perplexity=7, **QUICK).fit(rows[:, :genes])
    assert np.array_equal(adata.obsm["X_tsne"], np.float32(expected))
    assert adata.uns["tsne"]["params"]["use_rep"] == "X"


def test_principal_components_are_made_as_scanpy_makes_them(rows):
    scanpy = pytest.importorskip("scanpy")
    adata = anndata.AnnData(np.array(rows))
    expected = adata.copy()
    with pytest.warns(
        UserWarning, match=r"obsm has no X_pca: scanpy\.pp\.pca makes it.*64 columns"
    ):
        tsne(adata, perplexity=7, **QUICK)
    scanpy.pp.pca(expected)
    assert np.array_equal(adata.obsm["X_pca"], expected.obsm["X_pca"])
    tsne(expected, perplexity=7, **QUICK)
    assert np.array_equal(adata.obsm["X_tsne"], expected.obsm["X_tsne"])


def test_principal_components_without_scanpy(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "scanpy", None)
    adata = anndata.AnnData(np.array(rows), obsm={"X_scvi": np.array(rows)})
    with pytest.raises(KeyError, match=r"scanpy\.pp\.pca\(adata\) makes; give use_rep.*'X_scvi'"):
        tsne(adata)
    assert list(adata.obsm) == ["X_scvi"]


def counts(n, rng, genes=60):
    """Cells of three kinds."""
    means = rng.gamma(0.5, 4, (3, genes))[rng.integers(3, size=n)]
    return rng.poisson(means).astype(np.float32)


@pytest.mark.parametrize("as_stored", [np.asarray, sp.csr_matrix])
def test_raw_counts_are_warned_of(rng, as_stored):
    raw = counts(100, rng)
    message = r"raw counts, integers up to \d+, .*scanpy\.pp\.log1p"
    with pytest.warns(UserWarning, match=message):
        tsne(anndata.AnnData(as_stored(raw)), use_rep="X", perplexity=7, **QUICK)
    for fine in (np.log1p(raw), raw - 3, np.minimum(raw, 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tsne(anndata.AnnData(as_stored(fine)), use_rep="X", perplexity=7, **QUICK)


# ---- a second sample


def samples(rows, **settings):
    """Two samples with components of both, and the map of the first."""
    both = anndata.AnnData(np.array(rows), obsm={"X_pca": np.array(rows[:, 10:40])})
    old, new = both[:150].copy(), both[150:].copy()
    tsne(old, perplexity=7, **settings, **QUICK)
    return old, new


@pytest.mark.thin(2)
@pytest.mark.parametrize("use_rep", ["X", "X_pca"])
@pytest.mark.parametrize("hold", [np.inf, 0.01])
def test_a_second_sample_joins(rows, use_rep, hold):
    old, new = samples(rows, use_rep=use_rep)
    before = old.obsm["X_tsne"].copy()
    update(old, new, hold=hold)
    X = np.array(rows) if use_rep == "X" else np.array(rows[:, 10:40])
    embedding = fasttsne.TSNE(perplexity=7, random_state=0).prepare_initial(
        X[:150], initialization=before
    )
    expected = np.float32(embedding.update(X[150:], hold=hold))
    assert np.array_equal(new.obsm["X_tsne"], expected[150:])
    assert np.array_equal(old.obsm["X_tsne"], expected[:150])
    assert np.array_equal(old.obsm["X_tsne"], before) == np.isinf(hold)
    assert new.uns["tsne"]["params"]["use_rep"] == use_rep
    third = anndata.concat([old, new], uns_merge="same")
    update(third, new.copy())  # the joined sample has a map that others can join


@pytest.mark.thin(2)
@pytest.mark.parametrize("change", ["file", "copy", "subset", "view"])
def test_a_map_can_be_joined_in_another_session(rows, tmp_path, change):
    """The parameters are in ``uns``, the affinities are made anew."""
    settings = {"metric": "minkowski", "metric_params": {"p": 3, "w": np.ones(30)}}
    old, new = samples(rows, use_rep="X_pca", key_added="map", **settings)
    expected = new.copy()
    update(old, expected, key_added="map")
    if change == "file":
        old.write_h5ad(tmp_path / "old.h5ad")
        again = anndata.read_h5ad(tmp_path / "old.h5ad")
    else:
        changes = {"copy": old.copy, "subset": lambda: old[::2].copy(), "view": lambda: old[:]}
        again = changes[change]()
    update(again, new, key_added="map")
    if change != "subset":
        assert np.array_equal(new.obsm["map"], expected.obsm["map"])
    distances = np.linalg.norm(new.obsm["map"] - expected.obsm["map"], axis=1)
    assert np.median(distances) < old.obsm["map"].std()


def test_components_of_a_second_sample_are_projected(rng):
    scanpy = pytest.importorskip("scanpy")
    both = anndata.AnnData(sp.csr_matrix(np.log1p(counts(300, rng))))
    old, new = both[:200].copy(), both[200:].copy()
    old.var["highly_variable"] = np.arange(60) % 7 > 0
    scanpy.pp.pca(old)
    tsne(old, 10, perplexity=7, **QUICK)
    twins = old[:50].copy()
    del twins.obsm["X_pca"], twins.obsm["X_tsne"]
    update(old, twins)
    spread = old.obsm["X_tsne"].std()
    assert np.linalg.norm(twins.obsm["X_tsne"] - old.obsm["X_tsne"][:50], axis=1).max() < spread
    update(old[::2].copy(), new)  # the mean of a subset is another one
    assert np.isfinite(new.obsm["X_tsne"]).all()
    np.testing.assert_array_equal(new.varm["PCs"], old.varm["PCs"])
    third = old[:20, ::-1].copy()
    del third.obsm, third.varm["PCs"]
    update(anndata.concat([old, new], merge="same", uns_merge="same"), third)
    np.testing.assert_allclose(third.obsm["X_pca"], old.obsm["X_pca"][:20], atol=1e-4)
    scanpy.pp.pca(new)
    with pytest.raises(ValueError, match="on other axes than that of the first one: delete it"):
        update(old, new)
    with pytest.raises(KeyError, match=r"lacks 3 of 5. variables of the first one, the first '"):
        update(old, new[:, 4:].copy())
    old.X = old.X.toarray() ** 2  # the loadings are of something else now
    with pytest.raises(ValueError, match=r"varm\['PCs'\] of the second sample are others"):
        update(old, new)
    update(old, twins)  # which has the loadings of the first one
    del twins.obsm["X_pca"]
    with pytest.raises(KeyError, match=r"needs obsm\['X_pca'\].* X @ varm\['PCs'\] of the first"):
        update(old, twins)


def test_parameters_that_cannot_be_kept_are_asked_for(rows, tmp_path):
    def between(u, v):
        return np.abs(u - v).sum()

    old, new = samples(rows[:190], use_rep="X_pca", metric=between)
    old.write_h5ad(tmp_path / "old.h5ad")
    old = anndata.read_h5ad(tmp_path / "old.h5ad")
    with pytest.raises(TypeError, match=r"metric of the map could not be kept.* metric=..."):
        update(old, new)
    update(old, new, metric="manhattan")
    assert np.isfinite(new.obsm["X_tsne"]).all()


@pytest.mark.parametrize(("member", "key"), [("obsm", "X_tsne"), ("uns", "tsne")])
def test_a_first_sample_without_a_map(rows, member, key):
    old, new = samples(rows, use_rep="X_pca")
    del getattr(old, member)[key]
    with pytest.raises(KeyError, match=r"there is no map.*uns_merge='same'"):
        update(old, new)
    with pytest.raises(KeyError, match="there is no map"):
        report(old)


def test_what_is_wrong_with_a_second_sample(rows):
    old, new = samples(rows, use_rep="X_pca")
    with pytest.raises(KeyError, match=r"needs obsm\['X_pca'\].* has empty"):
        update(old, anndata.AnnData(np.array(rows[:5])))
    with pytest.raises(ValueError, match=r"must be one of 'use_rep', .* got 'perplexitty'"):
        update(old, new, perplexitty=3)
    new.obsm["X_pca"] = new.obsm["X_pca"][:, 1:]
    with pytest.raises(ValueError, match="X must have 30 columns, as the data has; got 29"):
        update(old, new)
    assert "X_tsne" not in new.obsm


def test_report(rows):
    old, new = samples(rows, use_rep="X_pca")
    old.obs["kind"] = np.repeat(["a", "b"], 75)
    found = report(old, "kind")
    expected = fasttsne.report(rows[:150, 10:40], old.obsm["X_tsne"], old.obs["kind"])
    assert found.scores["trustworthiness"] == expected.scores["trustworthiness"]
    assert found.scores["label_accuracy"] == expected.scores["label_accuracy"]
    with pytest.raises(KeyError, match="a column of obs, 'kind'; got 'bulk'"):
        report(old, "bulk")
    assert "stopped" not in {finding.kind for finding in found.findings}  # nothing says how long
    update(old, new)
    assert report(new).scores["trustworthiness"] > 0.5


def test_a_map_of_scanpy_can_be_joined_and_reported_on(rows):
    scanpy = pytest.importorskip("scanpy")
    both = anndata.AnnData(np.array(rows[:, :40]))
    old, new = both[:150].copy(), both[150:].copy()
    scanpy.tl.tsne(old, perplexity=7)
    update(old, new)
    assert new.obsm["X_tsne"].shape == (50, 2)
    expected = fasttsne.report(rows[:150, :40], old.obsm["X_tsne"], metric="euclidean")
    assert report(old).scores["trustworthiness"] == expected.scores["trustworthiness"]
