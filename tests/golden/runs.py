"""Golden cases that take more than one call; each returns arrays by name."""

import tempfile
from pathlib import Path

from fasttsne import (
    TSNE,
    TSNEEmbedding,
    affinity,
    functions,
    initialization,
    metrics,
)
from fasttsne import nearest_neighbors as nn
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
    of_map,
    of_partial,
    places,
    sparse_rows,
)


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


def transformed(params, transform):
    """New digits placed in a short map."""
    transform = {"n_iter": 30, "perplexity": 4, **transform}
    partial = fitted(digits(250), **params).transform(new_digits(), **transform)
    return of_partial(partial)


def resumed():
    """A run that is saved, loaded and optimized further."""
    embedding = fitted(digits(250), n_iter=15)
    with tempfile.TemporaryDirectory() as folder:
        embedding.save(Path(folder) / "map.npz")
        return of_map(TSNEEmbedding.load(Path(folder) / "map.npz").optimize(20, n_jobs=1))


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


STAGES = (
    Stage(15, 12.0, 20.0, 0.5),
    Stage(12, 4.0, 60.0, 0.8),
    Stage(40, 1.0, 250.0, 0.9, LossConverged(5e-3, 10, 5, 1)),
)


def staged():
    """Stages given as a tuple, one of which settles by itself."""
    embedding = TSNE(**QUICK).prepare_initial(digits(250))
    return of_map(embedding.optimize(STAGES, tol=1e-3))


def transformed_large(n, **params):
    """New rows placed in a map of more rows, a short one."""
    params = {"early_exaggeration_iter": 10, "n_iter": 10, **params}
    X = blobs(n, 20)
    partial = fitted(X, **params).transform(X[-20:] + X[-21:-1] / 8, perplexity=4, n_iter=15)
    return of_partial(partial)


def transformed_distances():
    """New rows placed by their distances."""
    matrix = distances(220)
    embedding = fitted(matrix[:200, :200], metric="precomputed", initialization="random")
    return of_partial(embedding.transform(matrix[200:, :200], n_iter=30))
