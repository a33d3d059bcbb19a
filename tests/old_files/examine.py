"""What an object that was read from an old file says and does, as arrays by name."""

import pickle
import warnings
from pathlib import Path

import numpy as np
from golden.cases import one_thread
from golden.data import QUICK, digits, new_digits, of_affinities, of_map, of_partial, places

from fasttsne import PartialTSNEEmbedding, TSNEEmbedding, affinity
from fasttsne.callbacks import Callback, EarlyStopping
from fasttsne.functions import gradient_descent
from fasttsne.nearest_neighbors import KNNIndex, PrecomputedDistanceMatrix
from fasttsne.optimize.descent import GradientDescent
from fasttsne.optimize.plan import RunPlan
from fasttsne.optimize.schedule import Stage
from fasttsne.optimize.state import DescentState

FOLDER = Path(__file__).parent
SHORT = {**QUICK, "perplexity": 5}
# Of the fit whose checkpoint is here.


def rows(n: int = 60):
    """Every fourth pixel of the first digits."""
    return np.ascontiguousarray(digits(n)[:, ::4])


def new_rows(m: int = 4):
    """Of others."""
    return np.ascontiguousarray(new_digits(m)[:, ::4])


def start():
    """An embedding that has not moved yet."""
    return TSNEEmbedding(places(60), affinity.PerplexityBasedNN(rows(), 5), n_jobs=1)


def read(name: str):
    """The object in a file of this folder."""
    path = FOLDER / name
    if path.suffix == ".npz":
        return TSNEEmbedding.load(path, rows() if name == "index.npz" else None)
    if path.suffix == ".npy":
        return np.load(path)
    return pickle.loads(path.read_bytes())


def examined(value) -> dict:
    """The arrays of an object: as it is, and after it was optimized further."""
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")
        return {name: _as_array(array) for name, array in _examined(value).items()}


def _as_array(value):
    """Text becomes its bytes."""
    array = np.asarray(value)
    if array.dtype.kind != "U":
        return array
    return np.frombuffer("\n".join(array.ravel().tolist()).encode(), np.uint8)


def _examined(value):
    if isinstance(value, TSNEEmbedding):
        return {**of_map(value), **_text(value), **_optimized(value), **_placed(value)}
    if isinstance(value, PartialTSNEEmbedding):
        return {**of_partial(value), **_optimized(value, learning_rate=0.2)}
    if isinstance(value, affinity.Affinities):
        return {**of_affinities(value), **_new(lambda: value.to_new(new_rows()).data)}
    if isinstance(value, KNNIndex):
        return _of_index(value)
    if isinstance(value, GradientDescent):
        found = {"count": value.iteration, **vars(value.state)}
        if isinstance(value, gradient_descent):
            further = TSNEEmbedding(start(), start().affinities, optimizer=value)
            found |= _optimized(further)
        return found
    if isinstance(value, DescentState):
        return vars(value)
    if isinstance(value, EarlyStopping):
        return {**_attributes(value), **_optimized(start(), 150, callbacks=value)}
    if isinstance(value, Callback):
        return _attributes(value)
    if isinstance(value, RunPlan):
        return {"text": str(value)}
    if isinstance(value, tuple) and isinstance(value[0], Stage):
        return _optimized(start(), value)
    if hasattr(value, "partial_fit"):
        return _of_estimator(value)
    if hasattr(value, "fit"):
        return {"text": repr(value), "map": np.array(value.fit(rows()))}
    return {"array": value}


def _optimized(embedding, n_iter=20, **params):
    params = {"n_jobs": 1, "callbacks_every_iters": 5, **params}
    further = embedding.optimize(n_iter, **params)
    return {
        "map_further": np.array(further),
        "kl_further": further.kl_divergence,
        "iteration_further": further.optimizer.iteration,
    }


def _text(embedding):
    seed = embedding.random_state
    params = embedding.gradient_descent_params
    told = {name: params[name] for name in sorted(params) if name != "callbacks"}
    return {"text": f"{embedding.dof} {seed if isinstance(seed, int) else ''} {told}"}


def _placed(embedding):
    X = new_rows()
    if isinstance(embedding.affinities.knn_index, PrecomputedDistanceMatrix):
        X = np.abs(X[:, None] - rows()).sum(-1)
    return _new(lambda: np.array(embedding.transform(X, perplexity=4, n_iter=20)))


def _new(find):
    try:
        return {"map_new": find()}
    except NotImplementedError:
        return {"refused": True}


def _of_index(index):
    indices, distances = index.build()
    found = {"indices": indices, "distances": distances}
    try:
        given = isinstance(index, PrecomputedDistanceMatrix)
        new = np.ones((2, 60)).cumsum(1) if given else index.data[:5] + index.data[5:10] / 4
        found["new_indices"], found["new_distances"] = index.query(new, 4)
    except (AttributeError, NotImplementedError):
        found["refused"] = True
    return found


def _of_estimator(estimator):
    known_and_new = np.concatenate([rows()[:3], new_rows()])
    return {
        **_optimized(estimator.embedding_object_),
        "map": np.asarray(estimator.embedding_object_, np.float32),
        "kl": estimator.kl_divergence_,
        "iterations": estimator.n_iter_,
        "columns": estimator.n_features_in_,
        "map_new": estimator.transform(known_and_new),
        "text": f"{estimator.perplexity} {estimator.method} {estimator.n_iter}",
    }


def _attributes(callback):
    """The public attributes that are numbers or lists of them, and frames."""
    names = [name for name in dir(callback) if not name.startswith("_")]
    values = {name: getattr(callback, name) for name in names}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (bool, int, float, str, list, np.ndarray))
    }
