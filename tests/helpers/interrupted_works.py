"""What Ctrl-C is sent to: one piece of work for each part of the package, made for so many rows.

Each maker gets rows and returns a function without arguments, which gives what has the same bits
each time.  Files that it may leave are named beside it; they are whole, or as they were.
"""

import logging
from functools import partial
from pathlib import Path

import numpy as np

import fasttsne
from fasttsne import AlignedTSNE, TSNEEmbedding, affinity, callbacks, files, metrics, reports
from fasttsne.initialization import pca, random, spectral
from fasttsne.nearest_neighbors import make_index

# Seeds are numbers and threads two in all of them.
SAME = {"random_state": 0, "n_jobs": 2}
SHORT = {**SAME, "perplexity": 10, "n_iter": 60, "early_exaggeration_iter": 40}
WORKS = {}


def clusters(n, n_columns=20):
    """Rows of 50 clusters, float32."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 4, (50, n_columns))
    return (centers[rng.integers(0, 50, n)] + rng.normal(size=(n, n_columns))).astype(np.float32)


def work(name, *leaves):
    """Enter a maker under a name; ``leaves`` are the files that may be there afterwards."""

    def enter(make):
        WORKS[name] = make, leaves
        return make

    return enter


def neighbors(method, **params):
    return lambda X: lambda: make_index(method, X, 30, **SAME, **params).build()


for method in ("exact", "approx", "hnsw", "faiss", "sklearn"):
    work(f"neighbours: {method}")(neighbors(method))
work("neighbours: cosine")(neighbors("approx", metric="cosine"))
work("neighbours: manhattan")(neighbors("sklearn", metric="manhattan"))


@work("neighbours: sparse rows")
def sparse_neighbors(X):
    import scipy.sparse as sp

    rows = sp.csr_array(np.where(np.abs(np.tile(X, (1, 5))) > 4, np.tile(X, (1, 5)), 0))
    return neighbors("approx")(rows)


@work("neighbours: query")
def query(X):
    index = make_index("approx", X[: len(X) // 2], 30, **SAME)
    index.build()
    return lambda: index.query(X[len(X) // 2 :], 10)


def affinities(make):
    return lambda X: lambda: make(X).P_float32.data


for name, make in {
    "perplexity": partial(affinity.PerplexityBasedNN, perplexity=30, **SAME),
    "multiscale": partial(affinity.Multiscale, perplexities=(10, 40), **SAME),
    "mixture": partial(affinity.MultiscaleMixture, perplexities=(10, 40), **SAME),
    "uniform": partial(affinity.Uniform, k_neighbors=30, **SAME),
    "fixed sigma": partial(affinity.FixedSigmaNN, sigma=1.0, k=30, **SAME),
}.items():
    work(f"affinities: {name}")(affinities(make))


@work("start: pca")
def start_pca(X):
    rows = np.tile(X, (1, 20))
    return lambda: pca(rows, random_state=0)


@work("start: spectral")
def start_spectral(X):
    P = affinity.PerplexityBasedNN(X, perplexity=10, **SAME).P_float32
    return lambda: spectral(P, random_state=0)


@work("start: random")
def start_random(X):
    return lambda: random(np.tile(X, (20, 1)), random_state=0)


def fits(**params):
    return lambda X: lambda: fasttsne.TSNE(**{**SHORT, **params}).fit(X)


for name, params in {
    "fft": {"negative_gradient_method": "fft"},
    "tree": {"negative_gradient_method": "bh"},
    "one column": {"n_components": 1},
    "three columns": {"n_components": 3, "n_iter": 10},
    "all automatic": {"n_iter": "auto", "early_exaggeration_iter": "auto"},
    "density": {"density_weight": 0.3},
    "global structure": {"global_structure": 0.15, "global_reference": "pca"},
    "little memory": {"memory_limit": "2 MB"},
}.items():
    work(f"fit: {name}")(fits(**params))


@work("fit: exact forces")
def exact_forces(X):
    return fits(negative_gradient_method="exact", n_iter=20)(X[:5000])


@work("fit: checkpoint", "run.npz", "run.graph.npz")
def checkpoint(X):
    return fits(checkpoint="run.npz")(X)


@work("fit: callbacks", "frames.npy", "saved.npz")
def with_callbacks(X):
    def fit():
        used = [
            callbacks.EmbeddingRecorder(path="frames.npy"),
            callbacks.Checkpoint("saved.npz"),
            callbacks.ScoreRecorder(X),
        ]
        return fasttsne.TSNE(callbacks=used, callbacks_every_iters=2, **SHORT).fit(X)

    return fit


@work("fit: scikit-learn")
def sklearn_fit(X):
    from fasttsne.sklearn import TSNE

    def fit():
        estimator = TSNE(perplexity=10, max_iter=300, random_state=0, n_jobs=2)
        first = estimator.partial_fit(X[: len(X) // 2]).embedding_.copy()
        return first, estimator.partial_fit(X[len(X) // 2 :]).embedding_

    return fit


def of_a_map(act, share=0.8):
    """A maker of work on the map of the first rows; the others are new."""

    def make(X):
        n = int(share * len(X))
        return partial(act, fasttsne.TSNE(**SHORT).fit(X[:n]), X[:n], X[n:])

    return make


work("map: optimize")(of_a_map(lambda old, X, new: old.optimize(50, inplace=False)))
work("map: transform")(of_a_map(lambda old, X, new: old.transform(new)))
work("map: transform few")(
    of_a_map(lambda old, X, new: [old.transform(new[i : i + 20]) for i in range(0, len(new), 20)])
)
work("map: update")(of_a_map(lambda old, X, new: old.update(new, random_state=0)))
work("map: update, loose")(of_a_map(lambda old, X, new: old.update(new, hold=1, random_state=0)))
work("map: drop")(of_a_map(lambda old, X, new: old.drop(np.arange(0, len(old), 7))))
work("map: kl")(of_a_map(lambda old, X, new: [old.copy().optimize(0) for _ in range(3)]))


@work("map: report")
def report(X):
    def act(old, X, new):
        found = reports.report(X, old, n_jobs=2).to_dict()
        del found["facts"]["Report"]["seconds"]
        return found

    return of_a_map(act)(X)


@work("map: page of a report", "page.html")
def page(X):
    def act(old, X, new):
        reports.report(X, old, np.arange(len(X)) % 5, n_jobs=2).to_html("page.html")

    return of_a_map(act)(X)


@work("map: save", "map.npz")
def save(X):
    def act(old, X, new):
        old.save("map.npz", keep="rows")
        return TSNEEmbedding.load("map.npz")

    return of_a_map(act)(X)


@work("files", "map.csv", "map.parquet", "map.npy")
def tables(X):
    def act(old, X, new):
        for name in ("map.csv", "map.parquet", "map.npy"):
            files.write_map(name, old)
        return [files.read_rows(name) for name in ("map.csv", "map.parquet", "map.npy")]

    return of_a_map(act)(X)


@work("drawing", "map.png", "map.html", "map.gif")
def drawing(X):
    from fasttsne import animation
    from fasttsne.cli.files import write_drawing

    def act(old, X, new):
        for name in ("map.png", "map.html"):
            write_drawing(np.asarray(old), None, Path(name))
        animation.save(np.stack([old] * 30), path="map.gif", progress=False)

    return of_a_map(act)(X)


@work("aligned maps")
def aligned(X):
    n = len(X) // 2
    pairs = np.column_stack([np.arange(n // 2)] * 2)

    def fit():
        maps = AlignedTSNE(0.02, **SHORT).fit([X[:n], X[n:]], [pairs])
        return [np.asarray(each) for each in maps]

    return fit


def measured(measure):
    return of_a_map(lambda old, X, new: measure(X, old))


for name, measure in {
    "neighbor_recall": partial(metrics.neighbor_recall, n_jobs=2, random_state=0),
    "trustworthiness": partial(metrics.trustworthiness, n_jobs=2, random_state=0),
    "rank_curves": lambda X, y: metrics.rank_curves(X, y, n_jobs=2, random_state=0).r_nx,
    "stress": lambda X, y: repr(metrics.stress(X, y, random_state=0)),
    "local_distortion": lambda X, y: repr(metrics.local_distortion(X, y, n_jobs=2)),
    "loo_scores": lambda X, y: repr(metrics.loo_scores(y, n_jobs=2)),
    "graph_recall": lambda X, y: repr(metrics.graph_recall(X, y, n_jobs=2, random_state=0)),
}.items():
    work(f"metrics: {name}")(measured(measure))


@work("a fit beside a thread's")
def beside_a_thread(X):
    """The thread's map must have its bits though the main thread's fit is interrupted."""
    import threading

    fit = fits(negative_gradient_method="fft", n_jobs=1)(X)
    expected = np.asarray(fit())

    def run():
        found, has_ended = [], threading.Event()

        def fit_in_thread():
            try:
                found.append(np.asarray(fit()))
            finally:
                has_ended.set()

        threading.Thread(target=fit_in_thread).start()
        try:
            return fit()
        finally:
            interrupt = wait_for(has_ended)
            assert len(found) == 1, "the thread's fit raised an error"
            assert np.array_equal(found[0], expected), "the thread's map has other bits"
            if interrupt is not None:
                raise interrupt

    return run


def wait_for(event):
    """Wait for an event; return the last KeyboardInterrupt that came meanwhile.

    After one in ``Thread.join``, Python 3.11 may take a thread that runs for one that has ended.
    """
    interrupt = None
    while not event.is_set():
        try:
            event.wait()
        except KeyboardInterrupt as error:
            interrupt = error
    return interrupt


@work("dask: local cluster")
def on_dask(X):
    import dask.array as da
    from distributed import Client

    import fasttsne.dask

    # distributed logs an error of its own where Ctrl-C comes as it begins to wait.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
    client = Client(n_workers=2, threads_per_worker=1, dashboard_address=":0", processes=False)
    rows = da.from_array(X, chunks=(len(X) // 4, -1))
    return lambda: fasttsne.dask.TSNE(client, **{**SHORT, "n_jobs": 1}).fit(rows)
