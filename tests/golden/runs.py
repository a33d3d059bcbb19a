"""Golden cases that take more than one call; each returns arrays by name."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fasttsne import (
    TSNE,
    OptimizationInterrupt,
    PartialTSNEEmbedding,
    TSNEEmbedding,
    affinity,
    functions,
    initialization,
    metrics,
    scanpy,
)
from fasttsne import nearest_neighbors as nn
from fasttsne.callbacks import Callback, EmbeddingRecorder, ErrorLogger
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.stopping import LossConverged
from golden.data import (
    QUICK,
    blobs,
    digits,
    distances,
    fitted,
    neighbors,
    new_digits,
    of_affinities,
    of_map,
    of_partial,
    places,
    sparse_rows,
)


def manhattan(u, v):
    """A metric that is a function."""
    return float(np.abs(u - v).sum())


def student(embedding, P, dof, should_eval_error=False, **_):
    """An objective function as users write them: dense, with NumPy's sums."""
    y = np.asarray(embedding)
    w = 1 / (1 + ((y[:, None] - y) ** 2).sum(-1) / dof)
    np.fill_diagonal(w, 0)
    p, z = P.toarray().astype(np.float64), w.sum()
    kept = p > 0
    error = float((p[kept] * np.log(p[kept] * z / w[kept])).sum()) if should_eval_error else 0.0
    forces = (p - w / z) * w
    return error, forces.sum(1)[:, None] * y - forces @ y


class Shrink(Callback):
    """Moves the live embedding, which the run then goes on from."""

    def __call__(self, iteration, error, embedding):
        embedding *= 0.75


class Stop(Callback):
    """Stops a run at one iteration."""

    def __init__(self, at):
        self.at = at

    def __call__(self, iteration, error, embedding):
        return iteration == self.at


def affinities(name, **params):
    """P of a class of affinities on 250 digits."""
    return of_affinities(getattr(affinity, name)(digits(250), **params))


def affinities_and_map(name, **params):
    """The same, the affinities of new rows, and a map."""
    family = getattr(affinity, name)(digits(250), **params)
    P, indices, at = family.to_new(new_digits(), return_distances=True)
    return {
        **of_map(fitted(affinities=family)),
        "P_new": P.data,
        "new_indices": indices,
        "new_distances": at,
    }


def set_again():
    """P for other perplexities than the neighbours were sought for."""
    one = affinity.PerplexityBasedNN(digits(200), 20)
    one.set_perplexity(7)
    several = affinity.MultiscaleMixture(digits(200), [5, 20])
    several.set_perplexities([3, 9])
    return {**of_affinities(one), "P_several": several.P_float32.data}


def joint():
    """Affinities from lists of neighbours."""
    lists = neighbors()
    found = {}
    for mode in ("mean", "max", "none"):
        for normalization in ("pair-wise", "point-wise"):
            P = affinity.joint_probabilities_nn(
                *lists, [4, 9], symmetrize=mode, normalization=normalization
            )
            found[f"P_{mode}_{normalization}"] = P.data
    return found


def search(name, X, k=15, new=False, **params):
    """What an index finds for the rows of X, and for the last of them, moved."""
    index = getattr(nn, name)(X, k, random_state=3, **params)
    indices, at = index.build()
    found = {"indices": indices, "distances": at}
    if new:
        found["new_indices"], found["new_distances"] = index.query(X[-20:] + X[-21:-1] / 4, 5)
    return found


def given(name, *arguments, new=None):
    """The same for neighbours or distances that are given."""
    index = getattr(nn, name)(*arguments)
    indices, at = index.build()
    found = {"indices": indices, "distances": at}
    if new is not None:
        found["new_indices"], found["new_distances"] = index.query(new, 5)
    return found


def transformed(params, transform):
    """New digits placed in a short map."""
    transform = {"n_iter": 30, "perplexity": 4, **transform}
    partial = fitted(digits(250), **params).transform(new_digits(), **transform)
    return of_partial(partial)


def prepared():
    """New rows optimized by hand, with other settings each time."""
    partial = fitted(digits(250)).prepare_partial(new_digits(), k=5, perplexity=6)
    first = partial.optimize(20, learning_rate=0.2, exaggeration=2, max_grad_norm=0.3)
    first.optimize(15, inplace=True, momentum=0.5, max_step_norm=0.1)
    start = np.repeat(places(1), len(partial), axis=0)
    other = PartialTSNEEmbedding(start, partial.reference_embedding, partial.P, n_jobs=1)
    return {**of_partial(first), "map_other": np.array(other.optimize(20)), "start": partial}


def continued():
    """A map that is optimized again and again, with other settings each time."""
    embedding = fitted(digits(250), n_iter=10)
    embedding = embedding.optimize(10, exaggeration=4, momentum=0.5)
    embedding.optimize(
        12,
        inplace=True,
        learning_rate=100,
        max_step_norm=2,
        theta=0.8,
        negative_gradient_method="bh",
        dof=0.8,
    )
    return of_map(embedding)


def resumed(duplicate):
    """A run that goes on from a duplicate."""
    embedding = fitted(digits(250), n_iter=15)
    return of_map(duplicate(embedding).optimize(20, n_jobs=1))


def by_file(embedding):
    """The embedding, saved and loaded."""
    with tempfile.TemporaryDirectory() as folder:
        embedding.save(Path(folder) / "map.npz")
        return TSNEEmbedding.load(Path(folder) / "map.npz")


def stopped():
    """A run that a callback stops, in either way."""
    embedding = fitted(digits(250), callbacks=Stop(18), callbacks_every_iters=3)
    found = of_map(embedding)
    try:
        embedding.optimize(30, propagate_exception=True, inplace=True)
    except OptimizationInterrupt as interrupt:
        return {
            **found,
            "map_at_stop": np.array(interrupt.final_embedding),
            "kl_at_stop": interrupt.error,
        }
    raise AssertionError("the callback did not stop the run")


def reported():
    """A run with callbacks at each iteration."""
    recorder, logger = EmbeddingRecorder(every=5), ErrorLogger()
    embedding = fitted(digits(250), callbacks=(recorder, logger), callbacks_every_iters=1)
    return {
        **of_map(embedding),
        "map_frames": recorder.frames[-1],
        "frames": recorder.frames,
        "kl_reports": recorder.errors,
    }


def called(**params):
    """An optimizer called as openTSNE's."""
    P = affinity.PerplexityBasedNN(digits(200), 10).P_float32
    optimizer, y = functions.gradient_descent(), places(200) * 1e4
    error, y = optimizer(y, P, 30, functions.kl_divergence_bh, exaggeration=4, n_jobs=1, **params)
    return {"map": y, "kl": error, "update": optimizer.update, "gains": optimizer.gains}


def objectives():
    """Errors and gradients of the objective functions."""
    P, y = affinity.PerplexityBasedNN(digits(300), 10).P_float32, places(300) * 2.0**16
    mesh = {"n_interpolation_points": 3, "min_num_intervals": 50, "ints_in_interval": 1}
    found = {}
    for name, params in (
        ("bh", {"bh_params": {"theta": 0.5}}),
        ("fft", {"fft_params": mesh}),
        ("exact", {}),
    ):
        function = getattr(functions, f"kl_divergence_{name}")
        found[f"kl_{name}"], found[f"map_{name}"] = function(
            y, P, 0.8, should_eval_error=True, **params
        )
    return found


def measured():
    """Measures of quality."""
    X, y = digits(300), places(300) * 2.0**16
    return {
        "recall": metrics.neighbor_recall(X, y),
        "trust": metrics.trustworthiness(X, y),
        "distance": metrics.distance_correlation(X, y),
        "density": metrics.density_correlation(X, y),
        "pBIC": metrics.pBIC(fitted(X)),
    }


def starts():
    """The functions that make starting places."""
    X, P = digits(300), affinity.PerplexityBasedNN(digits(300), 10).P_float32
    wide = blobs(260, 230)
    return {
        "map_pca": initialization.pca(X, 3, random_state=1),
        "map_full": initialization.pca(wide, 2, svd_solver="full", random_state=1),
        "map_randomized": initialization.pca(wide, 2, random_state=1),
        "map_sparse": initialization.pca(sparse_rows(), 2, random_state=1),
        "map_spectral": initialization.spectral(P, 2, random_state=1),
        "random": initialization.random(50, 3, random_state=1),
        "jitter": initialization.jitter(places(50), random_state=1),
    }


def estimated():
    """The estimator with scikit-learn's conventions."""
    from fasttsne.sklearn import TSNE as Estimator

    settings = {"max_iter": 60, "early_exaggeration_iter": 25, "perplexity": 10}
    estimator = Estimator(**settings, random_state=0, n_jobs=1, method="barnes_hut", angle=0.6)
    estimator.fit(digits(250))
    return {
        **of_map(estimator.embedding_),
        "map_float32": np.asarray(estimator.embedding_, np.float32),
        "iterations": estimator.n_iter_,
        "map_new": estimator.transform(new_digits(5)),
    }


def of_2018():
    """A fit by the name of 2018."""
    from fastTSNE import TSNE as Old

    return of_map(Old(**{**QUICK, "negative_gradient_method": "BH"}).fit(digits(250)))


STAGES = (
    Stage(15, 12.0, 20.0, 0.5),
    Stage(12, 4.0, 60.0, 0.8),
    Stage(40, 1.0, 250.0, 0.9, LossConverged(5e-3, 10, 5, 1)),
)


def staged():
    """Stages given as a tuple, one of which settles by itself."""
    embedding = TSNE(**QUICK).prepare_initial(digits(250))
    return of_map(embedding.optimize(STAGES, tol=1e-3))


class Halving(functions.gradient_descent):
    """An optimizer of somebody's own, which is called in the place of ours."""

    def __call__(self, embedding, P, n_iter, **params):
        params["learning_rate"] = 50
        return super().__call__(embedding, P, max(n_iter // 2, 1), **params)


def called_by_embedding():
    """An embedding whose optimizer has a call of its own."""
    family = affinity.PerplexityBasedNN(digits(200), 10)
    embedding = TSNEEmbedding(places(200), family, optimizer=Halving(), n_jobs=1)
    return of_map(embedding.optimize(30, exaggeration=12).optimize(20))


def annotated():
    """A map of an object such as scanpy's, with and without its neighbours."""
    obsm = {"X_pca": digits(200)[:, 20:40]}
    data = SimpleNamespace(X=digits(200)[:, :30], n_vars=64, obsm=obsm, obsp={}, uns={})
    params = {name: value for name, value in QUICK.items() if name != "random_state"}
    scanpy.tsne(data, **params)
    scanpy.tsne(data, use_rep="X", key_added="other", **params)
    return {f"map_{name}": places for name, places in data.obsm.items()}


def transformed_large(n, **params):
    """New rows placed in a map of more rows, a short one."""
    params = {"early_exaggeration_iter": 10, "n_iter": 10, **params}
    X = blobs(n, 20)
    partial = fitted(X, **params).transform(X[-20:] + X[-21:-1] / 8, perplexity=4, n_iter=15)
    return of_partial(partial)


def transformed_by(make):
    """New digits placed in a map of other affinities, which go by their own parameters."""
    partial = fitted(affinities=make(digits(250))).transform(new_digits(), n_iter=30)
    return of_partial(partial)


def transformed_distances():
    """New rows placed by their distances."""
    matrix = distances(220)
    embedding = fitted(matrix[:200, :200], metric="precomputed", initialization="random")
    return of_partial(embedding.transform(matrix[200:, :200], n_iter=30))
