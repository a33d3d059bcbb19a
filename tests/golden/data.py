"""Small data sets of whole numbers, the same on every machine, and what a case keeps of a map."""

import numpy as np
import scipy.sparse as sp

from fasttsne import TSNE
from fasttsne.datasets import load_digits

# Few iterations: the forces of every phase count, and rounding has no time to grow.
QUICK = {
    "n_jobs": 1,
    "random_state": 0,
    "perplexity": 10,
    "early_exaggeration_iter": 20,
    "n_iter": 30,
}


def digits(n: int = 300):
    """The first rows of the digits, float32."""
    return load_digits()[0][:n].astype(np.float32)


def new_digits(m: int = 20):
    """Rows of the digits that :func:`digits` does not take."""
    return load_digits()[0][-m:].astype(np.float32)


def blobs(n: int, columns: int = 10, seed: int = 0, n_blobs: int = 10):
    """Clusters, float32: sums of whole numbers divided by a power of two, so exact everywhere."""
    draw = np.random.RandomState(seed).randint
    centres = draw(0, 2**15, (n_blobs, columns), dtype=np.int64)
    noise = draw(0, 2**12, (2, n, columns), dtype=np.int64).sum(0)
    rows = centres[draw(0, n_blobs, n, dtype=np.int64)] + noise
    return (rows / 2**12).astype(np.float32)


def sparse_rows(n: int = 250):
    """The digits as CSR, three quarters of them zero."""
    X = digits(n)
    return sp.csr_matrix(np.where(X > 10, X, 0))


def places(n: int, n_components: int = 2):
    """A start without a random generator of the package."""
    draw = np.random.RandomState(5).randint
    return draw(-(2**15), 2**15, (n, n_components), dtype=np.int64) / 2.0**28


def distances(n: int = 200):
    """A square matrix of distances between digits, exact in float64."""
    X = digits(n).astype(np.int64)
    return np.abs(X[:, None] - X).sum(-1).astype(np.float64)


def neighbors(n: int = 200, k: int = 30):
    """Lists of the nearest by :func:`distances`: indices and distances."""
    matrix = distances(n) + np.diag(np.full(n, 1e9))
    indices = np.argsort(matrix, axis=1, kind="stable")[:, :k]
    return indices.astype(np.int32), np.take_along_axis(matrix, indices, 1)


def of_affinities(affinities) -> dict:
    """The arrays of P."""
    P = affinities.P_float32.tocsr()
    return {"P": P.data, "P_indices": P.indices, "P_indptr": P.indptr}


def of_map(embedding) -> dict:
    """All that an embedding is made of: map, KL divergence, P, the optimizer's state."""
    kl = embedding.kl_divergence
    found = {
        "map": np.array(embedding),
        "kl": -1.0 if kl is None else kl,
        **of_affinities(embedding.affinities),
    }
    state = embedding.optimizer.state
    if state is not None:
        found |= {
            "update": state.update,
            "gains": state.gains,
            "order": state.order,
            "iteration": state.iteration,
        }
    return found


def of_partial(partial) -> dict:
    """The same of new points in a map."""
    state = partial.optimizer.state
    return {
        "map": np.array(partial),
        "kl": partial.kl_divergence,
        "P": partial.P.data,
        "P_indices": partial.P.indices,
        "update": state.update,
        "gains": state.gains,
        "iteration": state.iteration,
    }


def fitted(X=None, *, affinities=None, initialization=None, **params):
    """The embedding of a short fit, with one thread."""
    return TSNE(**{**QUICK, **params}).fit(X, affinities, initialization)


def fit(X=None, **params) -> dict:
    """What :func:`of_map` says about it."""
    return of_map(fitted(X, **params))
