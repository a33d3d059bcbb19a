"""How the files of this folder were made, with version 0.2.0; not to be run with a later one.

    PYTHONPATH=FOLDER_OF_0.2.0:tests python -m old_files.write
    PYTHONPATH=FOLDER_OF_0.2.0:tests FASTTSNE_SIMD=portable python -m old_files.write expected

The first writes the files, and what comes of them to ``avx2.json`` and ``avx2.npz``; the second
only what comes of the same files at the other SIMD level.
"""

import pickle
import sys
import warnings

import numpy as np
import scipy.sparse as sp
from golden import store
from old_files.examine import FOLDER, SHORT, examined, new_rows, read, rows, start

import fasttsne
from fasttsne import TSNE, Anchors, _kernels, affinity, callbacks, functions
from fasttsne import nearest_neighbors as nn
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.stopping import LossConverged, LossLeft
from fasttsne.sklearn import TSNE as Estimator

FAMILIES = {
    "PerplexityBasedNN": {"perplexity": 5},
    "FixedSigmaNN": {"sigma": 8.0, "k": 9},
    "Multiscale": {"perplexities": [3, 8]},
    "MultiscaleMixture": {"perplexities": [3, 8]},
    "Uniform": {"k_neighbors": 8},
}
INDICES = ("exact", "approx", "sklearn", "annoy", "faiss")


def fit(**params):
    """A short fit."""
    return TSNE(**{**SHORT, **params}).fit(rows())


def lists():
    """Neighbours and distances, as other programs may have found them."""
    return nn.Exact(rows(), 9).build()


def matrix():
    """All distances."""
    X = rows().astype(np.float64)
    return np.abs(X[:, None] - X).sum(-1)


def embeddings():
    """One of each class of affinities and of each index; some were asked to place rows."""
    for name, params in FAMILIES.items():
        family = getattr(affinity, name)(rows(), **params)
        yield f"embedding_{name}", TSNE(**SHORT).fit(affinities=family)
    yield "embedding_Precomputed", TSNE(**SHORT).fit(affinities=np.exp(-matrix() / 20))
    for name in INDICES:
        yield f"embedding_{name}", fit(neighbors=name)
    queried = fit()
    queried.transform(new_rows(), n_iter=5, perplexity=4)
    yield "embedding_queried", queried
    yield "embedding_PrecomputedNeighbors", fit(neighbors=lists())
    yield "embedding_distances", TSNE(metric="precomputed", **SHORT).fit(matrix())
    yield "embedding_function", fit(negative_gradient_method=functions.kl_divergence_bh)
    yield "embedding_callbacks", fit(callbacks=(callbacks.ErrorLogger(),), n_iter=0)
    yield "embedding_sparse", TSNE(**SHORT).fit(sp.csr_matrix(rows()))
    yield "embedding_reference", fit(global_structure=0.2)
    yield "embedding_anchors", TSNE(**SHORT).fit(rows(), anchors=anchors())
    yield "embedding_updated", fit().update(new_rows(), n_iter=10).drop([3, 7])


def anchors():
    """Two pinned points, and one that is held."""
    targets, weights = np.zeros((60, 2)), np.zeros(60)
    targets[:3], weights[:3] = [[1, 2], [-2, 1], [0, 3]], [np.inf, np.inf, 0.1]
    return Anchors(targets, weights)


def parts():
    """Objects that belong to embeddings, or are beside them."""
    yield "partial", fit().transform(new_rows(), n_iter=10, perplexity=4)
    for name, params in FAMILIES.items():
        yield f"affinities_{name}", getattr(affinity, name)(rows(), **params)
    yield "affinities_Precomputed", affinity.PrecomputedAffinities(np.exp(-matrix() / 20))
    large = nn.Approx(
        np.random.RandomState(0).randint(0, 999, (3_001, 2)).astype(np.float32), 3, random_state=0
    )
    large.build()
    large.query(large.data[:3] + 0.5, 2)
    yield "index_Approx_queried", large
    yield "index_Exact", nn.Exact(rows(), 5, metric="cityblock")
    yield "index_PrecomputedNeighbors", nn.PrecomputedNeighbors(*lists())
    yield "index_PrecomputedDistanceMatrix", nn.PrecomputedDistanceMatrix(matrix(), 5)
    yield "optimizer_of_functions", fit().optimizer
    optimizer = GradientDescent()
    optimizer.state = fit().optimizer.state
    yield "optimizer", optimizer
    yield "optimizer_of_points", fit().transform(new_rows(), n_iter=10, perplexity=4).optimizer
    yield "state", fit().optimizer.state
    rules = LossConverged(5e-3, 10, 5, 1), LossLeft(0.01)
    stages = (Stage(20, 1.0, 60.0, 0.9, rule) for rule in rules)
    yield "stages", (Stage(10, 12.0, 5.0, 0.5), *stages)
    yield "plan", TSNE(dof=0.8).plan(60)
    yield "sklearn_estimator", Estimator(**SHORT, method="exact").fit(rows())
    yield "tsne", TSNE(**SHORT, early_exaggeration=8, callbacks=None)


def watchers():
    """Callbacks that have seen a run."""
    recorder, logger = callbacks.EmbeddingRecorder(every=4), callbacks.ErrorLogger()
    stopping, bar = callbacks.EarlyStopping(0.01, 2), callbacks.ProgressBar(use_tqdm=False)
    approximations = callbacks.ErrorApproximations(start().affinities.P)
    start().optimize(
        20, callbacks=(recorder, logger, stopping, bar, approximations), callbacks_every_iters=5
    )
    yield "callback_EmbeddingRecorder", recorder
    yield "callback_ErrorLogger", logger
    yield "callback_EarlyStopping", stopping
    yield "callback_ProgressBar", bar
    yield "callback_ErrorApproximations", approximations
    yield "callback_LivePlot", callbacks.LivePlot([0, 1] * 30, seconds=0.25, size=3)
    yield "callback_Checkpoint", callbacks.Checkpoint("map.npz", every=2)


def write_maps():
    """What ``save``, Checkpoint and EmbeddingRecorder write."""
    fit().save(FOLDER / "classical.npz")
    fit(density_weight=0.2, dof=0.8, max_step_norm=None).save(FOLDER / "density.npz")
    fit().save(FOLDER / "rows.npz", keep="rows")
    fit().save(FOLDER / "index.npz", keep="index")
    TSNE(**SHORT).fit(rows(), anchors=anchors()).save(FOLDER / "anchors.npz")
    fit(early_exaggeration_iter="auto", n_iter="auto").save(FOLDER / "automatic.npz")
    fit(n_components=1, early_exaggeration_iter=0, n_iter=0).save(FOLDER / "before.npz")
    fit(callbacks=callbacks.Checkpoint(FOLDER / "checkpoint.npz"), callbacks_every_iters=8)
    recorder = callbacks.EmbeddingRecorder(path=FOLDER / "recorder.npy")
    fit(callbacks=recorder, callbacks_every_iters=10)


def write_pickles():
    """One file for each object."""
    for objects in (embeddings(), parts(), watchers()):
        for name, value in objects:
            (FOLDER / f"{name}.pickle").write_bytes(pickle.dumps(value, protocol=4))


def write_expected():
    """What comes of the files at this SIMD level."""
    paths = [path for kind in ("npz", "npy", "pickle") for path in sorted(FOLDER.glob(f"*.{kind}"))]
    names = [path.name for path in paths if path.stem not in _kernels.SIMD_LEVELS]
    cases = {name: store.golden(examined(read(name))) for name in names}
    store.write(_kernels.simd, cases, FOLDER)


if __name__ == "__main__":
    assert fasttsne.__version__ == "0.2.0"
    warnings.simplefilter("ignore")
    if "expected" not in sys.argv:
        write_maps()
        write_pickles()
        write_expected()
