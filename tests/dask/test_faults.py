"""Workers that die, come late, or never come; interrupts; data and workers that cannot be used."""

import logging
import re
import signal
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("distributed")
pytest.importorskip("dask.array")

import dask
import dask.array as da
from distributed import Client, Future
from helpers.clusters import processes

import fasttsne
import fasttsne.dask
from fasttsne.dask import cluster as cluster_module
from fasttsne.dask.cluster import REASONS, ClusterError
from fasttsne.runtime.progress import report_progress_to

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # processes that are killed, and times
FEW = {"random_state": 0, "n_iter": 15, "early_exaggeration_iter": 15, "n_jobs": 1}
STAGES = (
    "reading rows",
    "rows of a sample",
    "partitioning into cells",
    "neighbours of a sample",
    "search",
    "table of neighbours",
    "conditional affinities",
    "symmetric affinities",
    "entropy of P",
    "early exaggeration",
    "main phase",
)
OFTEN = ("search", "symmetric affinities", "main phase")
# Of tasks, and of actors.
ON_BOTH = [pytest.param("search", marks=pytest.mark.slow), "main phase"]


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(1)
    centers = rng.normal(0, 4, (20, 8))
    return (centers[rng.integers(0, 20, 3500)] + rng.normal(size=(3500, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def expected(X):
    return np.asarray(fasttsne.TSNE(**FEW).fit(X))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with processes(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    while len(cluster.workers) < 2:
        cluster.start_worker()
    with cluster.client(2) as client:
        yield client


def chunks(X):
    return da.from_array(X, chunks=(900, -1))


def in_stage(name, act):
    """Return a listener that acts once, when a stage has begun, or is under way."""
    heard = []

    def listen(progress):
        is_under_way = progress.unit != "iterations" or progress.done >= 5
        if progress.name == name and is_under_way and not heard:
            heard.append(name)
            act()

    listen.heard = heard
    return listen


def held(client):
    """Return how many results workers hold; chunks of the data may be there a moment longer."""
    for _ in range(60):
        count = sum(map(len, client.has_what().values()))
        if not count:
            break
        time.sleep(0.05)
    return count


@pytest.mark.parametrize(
    "stage", [s if s in OFTEN else pytest.param(s, marks=pytest.mark.slow) for s in STAGES]
)
def test_a_worker_that_is_killed(cluster, client, X, expected, stage):
    listen = in_stage(stage, lambda: cluster.kill(cluster.workers[0]))
    with report_progress_to(listen):
        found = fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
    assert listen.heard
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert not held(client)


@pytest.mark.parametrize("stage", ON_BOTH)
def test_no_worker_is_left(cluster, client, X, monkeypatch, stage):
    monkeypatch.setattr(cluster_module, "WITHOUT_WORKERS", 1.0)

    def kill_all():
        for worker in list(cluster.workers):
            cluster.kill(worker)

    with (
        report_progress_to(in_stage(stage, kill_all)),
        pytest.raises(ClusterError, match="no worker is left in the stage"),
    ):
        fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))


def test_a_late_worker_is_used(cluster, client, X, expected):
    cluster.kill(cluster.workers[0])
    while len(client.nthreads()) > 1:
        time.sleep(0.05)
    before = set(client.nthreads())

    def start():
        cluster.start_worker()
        client.wait_for_workers(2, timeout=60)

    holds = {}
    look = in_stage("main phase", lambda: holds.update(client.has_what()))
    with report_progress_to(in_stage("rows of a sample", start), look):
        found = fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
    np.testing.assert_array_equal(np.asarray(found), expected)
    (late,) = set(client.nthreads()) - before
    assert any("attraction" in key for key in holds[late])


@pytest.mark.parametrize("stage", ON_BOTH)
def test_interrupt_frees_the_workers(client, X, stage):
    estimator = fasttsne.dask.TSNE(client, **FEW)
    with (
        report_progress_to(in_stage(stage, lambda: signal.raise_signal(signal.SIGINT))),
        pytest.raises(KeyboardInterrupt),
    ):
        estimator.fit(chunks(X))
    assert not held(client)
    if stage == "main phase":
        assert estimator.embedding_.shape == (3500, 2)


@pytest.mark.parametrize("protocol", ["", "file://", "memory://"])
def test_a_fit_goes_on_from_its_checkpoint(client, X, expected, protocol, tmp_path, caplog):
    """From the map; where workers cannot write, neighbours are found again.  Not of other data."""
    path = f"{protocol}{(tmp_path / 'run.npz').as_posix()}"
    estimator = fasttsne.dask.TSNE(client, **FEW, checkpoint=path)
    with (
        report_progress_to(in_stage("main phase", lambda: signal.raise_signal(signal.SIGINT))),
        pytest.raises(KeyboardInterrupt),
    ):
        estimator.fit(chunks(X))
    other = X.copy()
    other[-1, -1] += 1
    with pytest.raises(ValueError, match="is of another fit: X was float32"):
        estimator.fit(chunks(other))
    stages = []
    with report_progress_to(lambda progress: stages.append(progress.name)):
        found = estimator.fit(da.from_array(X, chunks=(1000, 5)))
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert "main phase" in stages
    assert "early exaggeration" not in stages
    is_shared = protocol != "memory://"  # each process has a memory of its own
    assert ("search" in stages) != is_shared
    assert ("reading neighbours" in stages) == is_shared
    assert ("workers do not write to a folder of this machine" in caplog.text) != is_shared
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", ["conditional affinities", "main phase"])
def test_a_resumed_fit_has_what_its_search_has_built(client, tmp_path, stage):
    """Components to start from, and cells in which new rows look for neighbours."""
    rng = np.random.default_rng(1)
    centers = rng.normal(0, 4, (20, 150))
    rows = (centers[rng.integers(0, 20, 3560)] + rng.normal(size=(3560, 150))).astype(np.float32)
    X, new = rows[:3500], rows[3500:]
    expected = fasttsne.TSNE(**FEW).fit(X)
    estimator = fasttsne.dask.TSNE(client, **FEW, checkpoint=tmp_path / "run.npz")
    with (
        report_progress_to(in_stage(stage, lambda: signal.raise_signal(signal.SIGINT))),
        pytest.raises(KeyboardInterrupt),
    ):
        estimator.fit(chunks(X))
    stages = []
    with report_progress_to(lambda progress: stages.append(progress.name)):
        found = estimator.fit(chunks(X))
    assert "reading neighbours" in stages
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    placed = estimator.transform(da.from_array(new, chunks=(60, -1)))
    np.testing.assert_array_equal(client.compute(placed).result(), expected.transform(new))


def test_a_checkpoint_that_lost_a_block(client, X, tmp_path):
    estimator = fasttsne.dask.TSNE(client, **FEW, checkpoint=tmp_path / "run.npz")
    with (
        report_progress_to(
            in_stage("early exaggeration", lambda: signal.raise_signal(signal.SIGINT))
        ),
        pytest.raises(KeyboardInterrupt),
    ):
        estimator.fit(chunks(X))
    first, *_, last = sorted(tmp_path.glob("run.graph.*.npz"))
    first.write_bytes(last.read_bytes())
    with pytest.raises(ValueError, match=r"run\.graph\.0\.npz is not a whole checkpoint of a fit"):
        estimator.fit(chunks(X))
    first.unlink()
    with pytest.raises(FileNotFoundError, match=r"run\.graph\.0\.npz"):
        estimator.fit(chunks(X))
    assert not held(client)


@pytest.mark.parametrize("stage", ON_BOTH)
def test_cancel(client, X, stage):
    def cancel():
        client.cancel([Future(key, client) for key in list(client.futures)])

    with (
        report_progress_to(in_stage(stage, cancel)),
        pytest.raises(ClusterError, match="was cancelled, or data that it needs was lost"),
    ):
        fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
    assert not held(client)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stage", ["search", "main phase"])
def test_the_scheduler_dies(tmp_path, X, stage):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
        processes(tmp_path) as cluster,
    ):
        cluster.start_worker()
        client = cluster.client(1)
        with (
            report_progress_to(in_stage(stage, cluster.kill_scheduler)),
            pytest.raises((ClusterError, OSError)),
        ):
            fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
        client.close(1)


def test_the_log_says_what_is_waited_for(client, X, expected, monkeypatch, caplog):
    monkeypatch.setattr(cluster_module, "PATIENCE", 0.5)
    monkeypatch.setattr(cluster_module, "LOOK_EVERY", 0.2)

    def slow(block):
        time.sleep(1)
        return block

    with caplog.at_level(logging.WARNING, "fasttsne.dask"):
        found = fasttsne.dask.TSNE(client, **FEW).fit(
            chunks(X).map_blocks(slow, dtype=X.dtype, meta=np.empty((0, 0), X.dtype))
        )
    assert "'reading rows' has waited" in caplog.text
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_a_reading_task_that_fails(client, X):
    def fail(block):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        fasttsne.dask.TSNE(client, **FEW).fit(
            chunks(X).map_blocks(fail, dtype=X.dtype, meta=np.empty((0, 0), X.dtype))
        )
    assert not held(client)


def test_not_finite(client, X):
    bad = X.copy()
    bad[1234, 5], bad[3000, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"X must be finite; X\[1234, 5\] is nan"):
        fasttsne.dask.TSNE(client, **FEW).fit(chunks(bad))


@pytest.mark.parametrize(
    ("change", "dtype", "first"),
    [
        (lambda block: block + 1j, "complex", 0),
        (lambda block: block + 1j, "complex", 3),
        (lambda block: block.astype(str), "<U", 0),
        (lambda block: block.astype(str), "<U", 3),
        (lambda block: block.astype("M8[s]"), "datetime64", 0),
        (lambda block: sp.csr_matrix(block + 1j), "complex", 0),
    ],
)
def test_chunks_of_another_dtype_than_is_declared(client, X, change, dtype, first):
    """All chunks, or the last only."""

    def changed(block, block_info=None):
        return change(block) if block_info[0]["chunk-location"][0] >= first else block

    declared = chunks(X).map_blocks(changed, dtype=X.dtype, meta=np.empty((0, 0), X.dtype))
    with pytest.raises(TypeError, match=f"X must hold real numbers; got dtype {dtype}"):
        fasttsne.dask.TSNE(client, **FEW).fit(declared)


def test_data_that_cannot_be_used(client, X):
    estimator = fasttsne.dask.TSNE(client, **FEW)
    rows = chunks(X)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        estimator.fit(rows[rows[:, 0] > 0])
    with pytest.raises(TypeError, match="real numbers; got dtype object"):
        estimator.fit(da.from_array(X.astype(object), chunks=900))
    with pytest.raises(TypeError, match="X must be a Dask array"):
        estimator.fit(object())
    with pytest.raises(ValueError, match="two-dimensional"):
        estimator.fit(chunks(X)[:, 0])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("neighbors", {"neighbors": "hnsw"}),
        ("neighbors", {"neighbors": (np.zeros((3500, 2)), np.zeros((3500, 2)))}),
        ("metric", {"metric": "manhattan"}),
        ("metric", {"metric": "precomputed"}),
    ],
)
def test_what_is_refused(client, X, name, parameters):
    with pytest.raises(ValueError, match=re.escape(REASONS[name])):
        fasttsne.dask.TSNE(client, **FEW, **parameters).fit(chunks(X))


def test_large_sparse_chunks_are_refused(client):
    rows = da.zeros((3500, 2000), chunks=(900, -1), dtype=np.float32)
    sparse = rows.map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0), dtype=np.float32))
    with pytest.raises(ValueError, match="large sparse chunks would be made dense"):
        fasttsne.dask.TSNE(client, **FEW).fit(sparse)


def test_a_graph_that_does_not_fit_is_not_fetched(client, X, monkeypatch):
    monkeypatch.setattr(cluster_module, "available_memory", lambda: 10**6)
    with pytest.raises(MemoryError, match=r"3,500 rows and 90 neighbours .* 7.6 MB of memory"):
        fasttsne.dask.TSNE(client, **FEW).fit(chunks(X), initialization="spectral")
    assert not held(client)


def test_without_a_client(X):
    with pytest.raises(ValueError, match=r"there is no Dask client.*fasttsne\.dask\.TSNE"):
        fasttsne.dask.TSNE(**FEW).fit(chunks(X))
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        fasttsne.dask.TSNE("127.0.0.1:8786").fit(chunks(X))


def test_a_client_that_is_closed(client, X):
    other = Client(client.scheduler.address)
    other.close()
    with pytest.raises(ValueError, match="client must not be closed; got <Client"):
        fasttsne.dask.TSNE(other, **FEW).fit(chunks(X))


@pytest.mark.parametrize(
    "stage", [s if s in OFTEN else pytest.param(s, marks=pytest.mark.slow) for s in STAGES]
)
def test_a_client_that_is_closed_within_a_fit(client, X, stage):
    """By a callback, say: whatever the fit asks the client next."""
    listen = in_stage(stage, client.close)
    with (
        report_progress_to(listen),
        pytest.raises(ClusterError, match="the client was closed during the"),
    ):
        fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
    assert listen.heard


def test_a_client_that_is_closed_by_another_thread(cluster, client, X):
    """At any moment, in the middle of a question to the scheduler or before its answer."""
    start = time.perf_counter()
    fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
    seconds = time.perf_counter() - start

    def outcome(share):
        other = cluster.client(2)
        closing = threading.Timer(share * seconds, other.close)
        closing.start()
        try:
            fasttsne.dask.TSNE(other, **FEW).fit(chunks(X))
        except ClusterError as error:
            return str(error)
        finally:
            closing.join()
        return "finished"

    found = [outcome(share) for share in np.linspace(0.02, 0.9, 6)]
    assert set(found) <= {"the client was closed during the fit", "finished"}
    assert found.count("finished") <= 3


def test_an_exception_of_a_callback_that_closed_the_client(client, X):
    class Stop(Exception):
        pass

    def stop(*arguments):
        client.close()
        raise Stop

    with pytest.raises(Stop):
        fasttsne.dask.TSNE(client, callbacks=stop, callbacks_every_iters=5, **FEW).fit(chunks(X))


def test_a_fit_that_does_not_begin_leaves_the_map_before(client, X):
    estimator = fasttsne.dask.TSNE(client, **FEW)
    estimator.fit(chunks(X))
    expected = np.asarray(estimator.transform(chunks(X[:9])))
    estimator.client = "127.0.0.1:8786"
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client"):
        estimator.fit(chunks(X[::-1]))
    estimator.client = client
    np.testing.assert_array_equal(estimator.transform(chunks(X[:9])), expected)


def test_workers_that_would_compute_other_bits(tmp_path, X):
    """One whose processor counts for less, and one that cannot import fasttsne."""
    broken = tmp_path / "broken" / "fasttsne"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('not built for this machine')\n")
    with processes(tmp_path) as cluster:
        cluster.start_worker(environment={"FASTTSNE_SIMD": "portable"})
        with cluster.client(1) as client:
            if fasttsne._kernels.simd != "portable":
                with pytest.raises(RuntimeError, match="kernels is portable there and"):
                    fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
            cluster.kill(cluster.workers[0])
            cluster.start_worker(environment={"PYTHONPATH": str(broken.parent)})
            while client.nthreads() and len(cluster.workers) > len(client.nthreads()):
                time.sleep(0.05)
            client.wait_for_workers(1, timeout=60)
            with pytest.raises(RuntimeError, match=r"cannot import fasttsne.*not built for this"):
                fasttsne.dask.TSNE(client, **FEW).fit(chunks(X))
