"""A fit on a cluster has the bits of the local one, for any workers, chunks and storage."""

import pickle
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("distributed")
pytest.importorskip("dask.array")

import dask.array as da
from distributed import Client, LocalCluster
from distributed.security import Security
from helpers import hostile_rows
from helpers.clusters import processes

import fasttsne
import fasttsne.dask
import fasttsne.scanpy
from fasttsne.dask.cluster import REASONS
from fasttsne.objective import KLDivergence, register_objective
from fasttsne.repulsion import TreeRepulsion
from fasttsne.runtime.progress import report_progress_to

OLD_FILES = Path(__file__).parents[1] / "old_files"
FEW = {"random_state": 0, "n_iter": 12, "early_exaggeration_iter": 12, "n_jobs": 2}


def rows_of(kind, n, d):
    """Clusters; ``kind`` says what is special about their numbers."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 4, (20, d))
    X = centers[rng.integers(0, 20, n)] + rng.normal(size=(n, d))
    if kind == "float64":
        return X
    if kind == "integers":
        return np.rint(3 * X).astype(np.int16)
    if kind == "one float64":
        X = X.astype(np.float32).astype(np.float64)
        X[n // 2, 0] += 1e-9
        return X
    if kind == "bytes":
        return np.clip(np.rint(40 * X + 128), 0, 255).astype(np.float32)
    X = X.astype(np.float32)
    if kind == "far rows":
        X[7, 0], X[n - 5, -1] = 1e20, -1e19
    if kind == "equal rows":
        X[n // 2 :] = X[: n - n // 2]
    return X


def assert_same(client, X, chunks=None, data=None, **parameters):
    parameters = {**FEW, **parameters}
    expected = fasttsne.TSNE(**parameters).fit(X)
    data = da.from_array(X, chunks=chunks or (len(X) // 3 + 1, -1)) if data is None else data
    found = fasttsne.dask.TSNE(client, **parameters).fit(data)
    assert isinstance(found, fasttsne.TSNEEmbedding)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.kl_divergence == expected.kl_divergence


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with processes(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_worker(1)
        cluster.start_worker(2)
        with cluster.client(2) as client:
            yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X.* more than 10,000 times as far out")
@pytest.mark.parametrize(
    ("kind", "n", "d", "parameters"),
    [
        ("float32", 3500, 8, {"n_iter": "auto", "early_exaggeration_iter": "auto"}),
        ("float32", 400, 8, {"global_structure": 0.15}),
        ("float64", 3500, 8, {"metric": "cosine", "n_components": 1}),
        ("integers", 3500, 3, {"perplexity": [5, 20], "optimizer": "momentum"}),
        ("one float64", 3500, 8, {"initialization": "random", "dof": 0.7}),
        ("far rows", 3500, 160, {}),
        ("equal rows", 3500, 8, {"neighbors": "exact", "n_components": 3}),
        ("bytes", 400, 2000, {"negative_gradient_method": "bh"}),
        pytest.param("bytes", 3500, 1000, {}, marks=pytest.mark.slow),
        pytest.param("float32", 3500, 8, {"metric": "sqeuclidean"}, marks=pytest.mark.slow),
        pytest.param("float64", 3500, 300, {"metric": "correlation"}, marks=pytest.mark.slow),
        pytest.param("float32", 12_000, 200, {}, marks=pytest.mark.slow),
        pytest.param("float32", 60_000, 4, {"perplexity": 5}, marks=pytest.mark.slow),
        pytest.param("float32", 3500, 1100, {}, marks=pytest.mark.slow),
        pytest.param("float64", 150, 400, {}, marks=pytest.mark.slow),
    ],
)
def test_any_data_and_parameters(client, kind, n, d, parameters):
    assert_same(client, rows_of(kind, n, d), **parameters)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise_between_clusters", "two_scales"])
def test_rows_that_are_hard_to_search(client, kind):
    """Some search on beyond the near cells; some are not told apart by float32."""
    X = getattr(hostile_rows, kind)(np.random.default_rng(0), 9000).astype(np.float32)
    assert_same(client, X, perplexity=10)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [(1000, 3), ((1, 3000, 499), 8)])
def test_any_chunks(client, chunks):
    assert_same(client, rows_of("float32", 3500, 8), chunks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_workers", "n_threads"), [pytest.param(1, 1, marks=pytest.mark.slow), (1, 2), (3, 1)]
)
def test_any_workers(n_workers, n_threads):
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=n_threads,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster),  # the current one
    ):
        assert_same(None, rows_of("float32", 3500, 8))


@pytest.mark.thin(1)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_workers_in_this_process(kind):
    """The other tests have processes, and take seconds."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster),
    ):
        assert_same(None, rows_of(kind, 1600, 8))


def zarr_array(X, folder):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        store=str(folder / "x.zarr"), shape=X.shape, chunks=(900, 5), dtype=X.dtype
    )
    array[:] = X
    return array


def data_frame(X, folder):
    frames = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    return frames.from_pandas(pandas.DataFrame(X, columns=list("abcdefgh")), npartitions=3)


def anndata(X, folder):
    return pytest.importorskip("anndata").AnnData(da.from_array(X, chunks=(700, -1)))


def sparse_chunks(X, folder):
    chunks = da.from_array(np.maximum(X, 0), chunks=(700, -1))
    return chunks.map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0), dtype=X.dtype))


@pytest.mark.slow
@pytest.mark.parametrize("store", [zarr_array, data_frame, anndata, sparse_chunks])
def test_any_storage(client, store, tmp_path):
    X = rows_of("float32", 3200, 8)
    data = store(X, tmp_path)
    assert_same(client, np.maximum(X, 0) if store is sparse_chunks else X, data=data)


@pytest.mark.slow
def test_scanpy_takes_this_path(client):
    anndata = pytest.importorskip("anndata")
    X = rows_of("float32", 700, 8)
    adata = anndata.AnnData(da.from_array(X, chunks=(300, -1)))
    fasttsne.scanpy.tsne(adata, use_rep="X", client=client, **FEW)
    expected = np.float32(fasttsne.TSNE(**FEW).fit(X))
    np.testing.assert_array_equal(adata.obsm["X_tsne"], expected)
    with pytest.raises(TypeError, match=r"is a Dask array, .*: compute it"):
        fasttsne.scanpy.report(adata)
    with client.as_current():
        fasttsne.scanpy.tsne(adata, use_rep="X", key_added="again", **FEW)
        with pytest.raises(ValueError, match="on a cluster"):  # and not here
            fasttsne.scanpy.tsne(adata, use_rep="X", metric="manhattan", **FEW)
    np.testing.assert_array_equal(adata.obsm["again"], expected)


@pytest.mark.slow
@pytest.mark.parametrize("d", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_transform_is_lazy_and_the_same(client, d):
    X, new = rows_of("float32", 3500, d), rows_of("float64", 3600, d)[3500:]
    expected = fasttsne.TSNE(**FEW).fit(X).transform(new, perplexity=8)
    estimator = fasttsne.dask.TSNE(client, **FEW)
    points = estimator.fit_transform(da.from_array(X, chunks=(1000, -1)))
    assert isinstance(points, fasttsne.TSNEEmbedding)
    placed = estimator.transform(da.from_array(new, chunks=((30, 1, 69), d // 2)), perplexity=8)
    assert isinstance(placed, da.Array)
    assert placed.chunks == ((30, 1, 69), (2,))
    np.testing.assert_array_equal(client.compute(placed).result(), expected)


def quadratic(embedding, P, **arguments):
    """An objective function: attraction alone, and a wall."""
    sums = np.asarray(P.sum(axis=1)).ravel()
    gradient = sums[:, None] * embedding - P @ embedding + 1e-3 * embedding
    return float((gradient * embedding).sum()), gradient


def of_one_tree(affinities, n_components, dof, n_threads):
    """A registered objective."""
    tree = TreeRepulsion(dof, 0.5, n_threads)
    return KLDivergence(affinities.P_float32, tree, n_components, dof, n_threads)


register_objective("of one tree", of_one_tree)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ({"density_weight": 0.3}, {}),
        ({}, {"initialization": "spectral"}),
        ({"perplexity": [5, 20], "initialization": "spectral"}, {}),
        ({"negative_gradient_method": quadratic, "optimizer": "momentum"}, {}),
        ({"negative_gradient_method": fasttsne.functions.kl_divergence_bh}, {}),
        ({"negative_gradient_method": "of one tree"}, {}),
        ({}, {"anchors": True}),
    ],
)
def test_what_reads_the_whole_graph(client, parameters, arguments):
    X, new = rows_of("float32", 3500, 8), rows_of("float64", 3600, 8)[3500:]
    if arguments.get("anchors"):
        targets = np.full((3500, 2), np.nan)
        targets[:50] = np.random.default_rng(0).normal(size=(50, 2))
        arguments = {"anchors": fasttsne.Anchors(targets)}
    parameters = {**FEW, **parameters}
    expected = fasttsne.TSNE(**parameters).fit(X, **arguments)
    estimator = fasttsne.dask.TSNE(client, **parameters)
    found = estimator.fit(da.from_array(X, chunks=(1000, -1)), **arguments)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.kl_divergence == expected.kl_divergence
    placed = estimator.transform(da.from_array(new, chunks=(60, -1)))
    np.testing.assert_array_equal(client.compute(placed).result(), expected.transform(new))


@pytest.mark.slow
@pytest.mark.parametrize("has_rows", [True, False])
def test_given_affinities(client, has_rows):
    X = rows_of("float32", 700, 8)
    affinities = fasttsne.affinity.Uniform(X, k_neighbors=10)
    expected = fasttsne.TSNE(**FEW).fit(X if has_rows else None, affinities=affinities)
    estimator = fasttsne.dask.TSNE(client, **FEW, metric="manhattan")  # of no search
    rows = da.from_array(X, chunks=(300, -1)) if has_rows else None
    found = estimator.fit(rows, affinities=affinities)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    np.testing.assert_array_equal(found.transform(X[:9]), expected.transform(X[:9]))
    with pytest.raises(ValueError, match=re.escape(REASONS["transform"])):
        estimator.transform(da.from_array(X[:50], chunks=(20, -1)))


@pytest.mark.slow
def test_an_embedding_that_was_prepared_is_optimized_and_saved(client, tmp_path):
    X = rows_of("float32", 3500, 8)
    expected = fasttsne.TSNE(**FEW).prepare_initial(X).optimize(20)
    prepared = fasttsne.dask.TSNE(client, **FEW).prepare_initial(da.from_array(X, chunks=(900, -1)))
    prepared.save(tmp_path / "map.npz")
    for embedding in prepared, fasttsne.TSNEEmbedding.load(tmp_path / "map.npz"):
        np.testing.assert_array_equal(embedding.optimize(20), np.asarray(expected))
    for method in prepared.transform, prepared.update:
        with pytest.raises(ValueError, match=re.escape(REASONS["transform of an embedding"])):
            method(X[:9])


@pytest.mark.slow
def test_a_callback_reads_the_graph(client):
    """It is fetched, and what follows reads it in this process."""
    found = []

    def callback(iteration, error, embedding):
        found.append(embedding.affinities.P_float32)

    X = rows_of("float32", 3500, 8)
    expected = fasttsne.TSNE(**FEW).fit(X)
    embedding = fasttsne.dask.TSNE(client, **FEW, callbacks=callback, callbacks_every_iters=5).fit(
        da.from_array(X, chunks=(900, -1))
    )
    np.testing.assert_array_equal(np.asarray(embedding), np.asarray(expected))
    P = expected.affinities.P_float32
    for name in "indptr", "indices", "data":
        np.testing.assert_array_equal(getattr(found[0], name), getattr(P, name))
    np.testing.assert_array_equal(embedding.optimize(5), np.asarray(expected.optimize(5)))


@pytest.mark.slow
def test_what_is_left_without_the_cluster(client, tmp_path):
    X = rows_of("float32", 700, 8)
    estimator = fasttsne.dask.TSNE(client, **FEW)
    embedding = estimator.fit(da.from_array(X, chunks=(300, -1)))
    for same in pickle.loads(pickle.dumps(embedding)), embedding.copy():
        assert isinstance(same, fasttsne.TSNEEmbedding)
        np.testing.assert_array_equal(np.asarray(same), np.asarray(embedding))
        for name, method, argument in (
            ("optimize, save", same.optimize, 5),
            ("optimize, save", same.save, tmp_path / "map.npz"),
            ("transform of an embedding", same.transform, X),
            ("update, drop", same.update, X[:9]),
            ("update, drop", same.drop, [1]),
        ):
            with pytest.raises(ValueError, match=re.escape(REASONS[name])):
                method(argument)
    restored = pickle.loads(pickle.dumps(estimator))
    placed = restored.transform(da.from_array(X[:50], chunks=(20, -1)))
    expected = fasttsne.TSNE(**FEW).fit(X).transform(X[:50])
    np.testing.assert_array_equal(client.compute(placed).result(), expected)


@pytest.mark.parametrize(
    ("name", "family", "perplexity"),
    [("one", "PerplexityBasedNN", 10), ("several", "MultiscaleMixture", [5, 20])],
)
def test_pickles_of_0_2_0(name, family, perplexity):
    """``TSNE(perplexity=..., **FEW).fit(rows_of("float32", 160, 4))``, pickled on a cluster."""
    X, new = rows_of("float32", 160, 4), rows_of("float32", 180, 4)[160:]
    old = pickle.loads((OLD_FILES / f"embedding_cluster_{name}.pickle").read_bytes())
    affinities = getattr(fasttsne.affinity, family)(X, perplexity)
    expected = fasttsne.TSNEEmbedding(old, affinities).transform(new)
    estimator = fasttsne.dask.TSNE()
    estimator.embedding_, estimator._rows = old, da.from_array(X, chunks=(100, -1))
    placed = estimator.transform(da.from_array(new, chunks=(15, -1)))
    np.testing.assert_array_equal(placed.compute(scheduler="threads"), expected)
    with pytest.raises(ValueError, match="the graph of affinities was on the cluster"):
        old.optimize(5)


@pytest.mark.slow
def test_progress_callbacks_and_messages(client, caplog):
    heard, stages = [], []

    def callback(iteration, error, embedding):
        heard.append(iteration)

    X = rows_of("float32", 3500, 8)
    with report_progress_to(lambda progress: stages.append(progress.name)):
        embedding = fasttsne.dask.TSNE(
            client, **FEW, callbacks=callback, callbacks_every_iters=5
        ).fit(da.from_array(X, chunks=(900, -1)))
    assert heard == [5, 10, 5, 10]
    assert embedding.kl_divergence > 0
    expected = [
        "reading rows",
        "partitioning into cells",
        "search",
        "conditional affinities",
        "symmetric affinities",
        "early exaggeration",
        "main phase",
    ]
    assert [name for name in dict.fromkeys(stages) if name in expected] == expected


@pytest.mark.slow
def test_encrypted_connections(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which makes certificates")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    files = [str(certificate), str(certificate), str(key)]
    names = ["--tls-ca-file", "--tls-cert", "--tls-key"]
    arguments = [word for pair in zip(names, files, strict=True) for word in pair]
    security = Security(
        tls_ca_file=files[0],
        tls_client_cert=files[1],
        tls_client_key=files[2],
        require_encryption=True,
    )
    with processes(tmp_path, tls=arguments, protocol="tls") as cluster:
        cluster.start_worker()
        with cluster.client(1, security=security) as client:
            assert client.scheduler.address.startswith("tls://")
            assert_same(client, rows_of("float32", 700, 8))
