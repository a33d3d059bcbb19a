"""Attempts to crash the process through public objects; as a program, some of them in one process.

    python -m helpers.crash_attempts SEED FIRST LAST

Nonsense and exceptions are allowed.  Each attempt corrupts one array, number or matrix that an
object holds, before it is used, in a callback, in its pickle or from another thread, and then uses
the object.  The name of each is printed before it.
"""

import contextlib
import functools
import io
import os
import pickle
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp

from fasttsne import TSNE, TSNEEmbedding, affinity
from fasttsne import nearest_neighbors as nn
from fasttsne.callbacks import Checkpoint, EmbeddingRecorder, ErrorApproximations
from fasttsne.objective.callable import kl_divergence_bh, kl_divergence_fft
from fasttsne.objective.kl import KLDivergence
from fasttsne.repulsion import make_repulsion

FAR = (2**31 - 1, -(2**31), 10**6, -1, 10**9)  # numbers of rows that are none
X = np.random.default_rng(0).integers(0, 9, (60, 6)).astype(np.float32)
FIT = {"perplexity": 8, "early_exaggeration_iter": 8, "n_iter": 8, "random_state": 0, "n_jobs": 1}

ACCURACY = {
    "theta": 0.5,
    "n_interpolation_points": 3,
    "min_num_intervals": 50,
    "ints_in_interval": 1,
}

say = functools.partial(print, flush=True)

# ---- what is attacked: functions that make it, and what is done with it afterwards


def _embedding(**params):
    return TSNE(**{**FIT, **params}).fit(X)


SUBJECTS = {
    "embedding": _embedding,
    "embedding by tree": lambda: _embedding(negative_gradient_method="bh"),
    "embedding by mesh": lambda: _embedding(negative_gradient_method="fft", n_components=1),
    "embedding in 3-D": lambda: _embedding(n_components=3, density_weight=0.1),
    "embedding by a function": lambda: _embedding(negative_gradient_method=kl_divergence_bh),
    "embedding of given P": lambda: TSNEEmbedding(X[:, :2] / 1e3, affinity.Uniform(X, 7).P),
    "new points": lambda: _embedding().prepare_partial(X[:20] + 0.5),
    "affinities": lambda: affinity.PerplexityBasedNN(X, 8),
    "affinities of fixed width": lambda: affinity.FixedSigmaNN(X, 3.0, k=9),
    "affinities of several": lambda: affinity.MultiscaleMixture(X, [4, 9]),
    "affinities, multiscale": lambda: affinity.Multiscale(X, [4, 9]),
    "affinities, uniform": lambda: affinity.Uniform(X, 7),
    "index": lambda: nn.Exact(X, 7),
    "index by SciPy": lambda: nn.Exact(X, 7, metric="cityblock"),
    "index of angles": lambda: nn.Exact(X, 7, metric="cosine"),
    "index of distances": lambda: nn.PrecomputedDistanceMatrix(sp.csr_matrix(1 + X @ X.T), 7),
    "index of lists": lambda: nn.PrecomputedNeighbors(*nn.Exact(X, 7).build()),
    "objective": lambda: KLDivergence(
        affinity.Uniform(X, 7).P, make_repulsion("bh", 1.0, 2, ACCURACY), 2, n_threads=2
    ),
}


def uses_of(subject):
    """What is done with an object after it was corrupted: each on its own."""
    if isinstance(subject, np.ndarray):
        yield lambda: subject.optimize(15, inplace=True)
        yield lambda: subject.copy().optimize(3, learning_rate=1)
        if isinstance(subject, TSNEEmbedding):
            yield lambda: subject.optimize(3, negative_gradient_method="exact")
            yield lambda: subject.transform(X[:9], n_iter=3)
            yield lambda: subject.save(os.devnull)
            yield lambda: ErrorApproximations(subject.affinities.P)(1, 0.0, subject)
            for function in (kl_divergence_bh, kl_divergence_fft):
                yield lambda f=function: subject.optimizer(
                    np.array(subject), subject.affinities.P, 3, f, n_jobs=1
                )
    elif isinstance(subject, affinity.Affinities):
        start = X[:, :2] / 1e3
        yield lambda: TSNEEmbedding(start, subject).optimize(12)
        yield lambda: TSNEEmbedding(start, subject).optimize(3, density_weight=0.1)
        yield lambda: TSNE(**FIT).fit(affinities=subject)
        yield lambda: subject.to_new(X[:9])
        yield lambda: subject.set_perplexity(3)
        yield lambda: subject.set_perplexities([2, 3])
    elif isinstance(subject, nn.KNNIndex):
        yield lambda: subject.query(X[:9], 3)
        yield lambda: subject.build()
        yield lambda: affinity.Uniform(knn_index=subject)
        yield lambda: TSNE(neighbors=subject, **FIT).fit(X)
    else:
        order = getattr(subject, "attacked_order", np.arange(len(X), dtype=np.int32)[::-1].copy())
        yield lambda: subject.reorder(order)
        yield lambda: subject.gradient(
            getattr(subject, "attacked_points", np.ones((len(X), 2))), 2.0
        )
        yield lambda: subject.gradient(np.random.default_rng(0).normal(size=(len(X), 2)), 1.0, True)


# ---- where they hold arrays, numbers and matrices


def targets(owner, path="", depth=0):
    """Yield (path, owner, attribute) of all that can be corrupted, private ones, too."""
    names = getattr(owner, "_STATE", None) or sorted(getattr(owner, "__dict__", ()))
    if isinstance(owner, KLDivergence):
        names = ["attacked_order", "attacked_points", "attractive", "repulsive", "dof", "shape"]
        owner.attacked_order = np.arange(len(X), dtype=np.int32)
        owner.attacked_points = np.ones((len(X), 2))
    if sp.issparse(owner):
        names = ["data", "indices", "indptr"]
    for name in names:
        value = getattr(owner, name, None)
        here = f"{path}.{name}"
        kinds = (np.ndarray, dict, int, float, str, tuple)
        if sp.issparse(value) or (isinstance(value, kinds) and not isinstance(value, bool)):
            yield here, owner, name
        is_ours = type(value).__module__.startswith("fasttsne")
        is_search = "builtin" in type(value).__module__  # what an index made for itself
        if depth < 4 and (is_ours or sp.issparse(value)) and not is_search:
            yield from targets(value, here, depth + 1)


# ---- how they are corrupted: a function of the value gives another, or changes it in place


def _filled(array, value):
    array = array.copy()
    with np.errstate(all="ignore"):
        array.flat[:: max(array.size // 3, 1)] = value
    return array


REPLACED = {
    "too short": lambda a: a[: len(a) // 2].copy(),
    "of one": lambda a: a[:1].copy(),
    "empty": lambda a: a[:0].copy(),
    "too long": lambda a: np.concatenate([a, a]),
    "with another axis": lambda a: a[..., None].copy(),
    "flat": lambda a: a.ravel().copy(),
    "transposed": lambda a: a.T,
    "wider": lambda a: np.concatenate([a, a, a, a], axis=-1),
    "narrower": lambda a: a[..., :1].copy(),
    "a number": lambda a: np.array(7),
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "float64": lambda a: a.astype(np.float64),
    "int64": lambda a: a.astype(np.int64),
    "int8": lambda a: a.astype(np.int8),
    "complex": lambda a: a.astype(complex),
    "text": lambda a: a.astype("U5"),
    "objects": lambda a: np.full(a.shape, None, object),
    "a list": lambda a: a.tolist(),
    "nothing": lambda a: None,
    "equal": lambda a: np.full_like(a, a.flat[0] if a.size else 0),
    "reversed": lambda a: a[::-1].copy(),
    **{f"with {value}": lambda a, v=value: _filled(a, v) for value in FAR},
    "with NaN": lambda a: _filled(a, np.nan),
    "with infinity": lambda a: _filled(a, np.inf),
    "huge": lambda a: _filled(a.astype(np.float64), 1e300).astype(a.dtype),
    "sparse": lambda a: sp.coo_matrix(np.atleast_2d(a)),
}


def _set(array, value):
    array.setflags(write=True)
    array[...] = _filled(array, value)


def _through_memory(array):
    memoryview(array).cast("B")[: array.nbytes // 2] = b"\x7f" * (array.nbytes // 2)


IN_PLACE = {
    **{f"set to {value}": lambda a, v=value: _set(a, v) for value in FAR},
    "set to NaN": lambda a: _set(a, np.nan),
    "reversed in place": lambda a: _set(a, a[::-1].copy()),
    "filled through memory": _through_memory,
    "read-only": lambda a: a.setflags(write=False),
    "shorter in place": lambda a: a.resize(a.size // 2),
    "longer in place": lambda a: a.resize(4 * a.size),
    "of another shape": lambda a: setattr(a, "shape", (-1, a.shape[0])),
    "of one axis": lambda a: setattr(a, "shape", -1),
    "of another type": lambda a: setattr(a, "dtype", np.uint8),
    "of a type as wide": lambda a: setattr(a, "dtype", f"i{a.itemsize}"),
}
NUMBERS = (0, -1, 1, 3, 10**6, 10**9, 2**31, 2**63, -(2**40), 0.5, np.nan, np.inf, 1e300, None, "x")
MATRICES = {
    "of fewer rows": lambda P: P[: P.shape[0] // 2],
    "of fewer columns": lambda P: P[:, : P.shape[1] // 2],
    "of more columns": lambda P: sp.hstack([P, P]).tocsr(),
    "of more rows": lambda P: sp.vstack([P, P]).tocsr(),
    "as CSC": lambda P: P.tocsc(),
    "as COO": lambda P: P.tocoo(),
    "as LIL": lambda P: P.tolil(),
    "dense": lambda P: P.toarray(),
    "without entries": lambda P: P * 0,
    "empty": lambda P: sp.csr_matrix(P.shape),
    "nothing": lambda P: None,
    "negative": lambda P: -P,
    "of complex numbers": lambda P: P * 1j,
}
ROGUE_PARAMS = {
    "n_interpolation_points": 60,
    "theta": -1.0,
    "min_num_intervals": 10**6,
    "dof": np.nan,
    "ints_in_interval": 1e-9,
    "n_jobs": 0,
    "negative_gradient_method": "none",
    "learning_rate": 1e300,
    "momentum": -5.0,
    "max_step_norm": np.nan,
    "exaggeration": 1e300,
    "callbacks_every_iters": 0,
}


def corrupt(owner, name, rng):
    """Corrupt an attribute; return how."""
    value = getattr(owner, name)
    if isinstance(value, np.ndarray):
        table = IN_PLACE if rng.random() < 0.5 else REPLACED
    elif sp.issparse(value):
        table = MATRICES
    elif isinstance(value, dict):
        key = sorted(ROGUE_PARAMS)[rng.integers(len(ROGUE_PARAMS))]
        value[key] = ROGUE_PARAMS[key]
        return f"with {key}"
    else:
        number = NUMBERS[rng.integers(len(NUMBERS))]
        setattr(owner, name, (number, number) if isinstance(value, tuple) else number)
        return f"= {number!r}"
    how = sorted(table)[rng.integers(len(table))]
    changed = table[how](value)
    if table is not IN_PLACE:
        setattr(owner, name, changed)
    return how


def corrupt_one(subject, rng):
    """Corrupt something of an object: one time in three an embedding's own array."""
    if isinstance(subject, np.ndarray) and rng.random() < 0.3:
        how = sorted(IN_PLACE)[rng.integers(len(IN_PLACE))]
        IN_PLACE[how](subject)
        return f"the array, {how}"
    found = list(targets(subject))
    path, owner, name = found[rng.integers(len(found))]
    say(path)
    return f"{path} {corrupt(owner, name, rng)}"


# ---- when


def before(subject, rng):
    say(corrupt_one(subject, rng))
    return subject


def in_pickle(subject, rng):
    """Corrupted, pickled and read again: what a file may hold."""
    before(subject, rng)
    return pickle.loads(pickle.dumps(subject))


def in_state(subject, rng):
    """Read from a state in which something is corrupted, without a constructor."""
    if isinstance(subject, KLDivergence):  # it is not pickled
        return before(subject, rng)
    state = dict(vars(subject)) if not isinstance(subject, np.ndarray) else subject.__reduce__()[2]
    other = pickle.loads(pickle.dumps(subject))
    name = sorted(state)[rng.integers(len(state))]
    state[name] = (None, X, sp.csr_matrix(X), 10**9, "x", {}, object())[rng.integers(7)]
    say(name, type(state[name]))
    other.__setstate__(state) if hasattr(other, "__setstate__") else vars(other).update(state)
    return other


def in_a_callback(subject, rng):
    if not isinstance(subject, np.ndarray):
        return before(subject, rng)
    calls = []

    def callback(iteration, error, embedding):
        calls.append(iteration)
        if len(calls) == 2:
            say(corrupt_one(embedding, rng))

    is_saved = rng.random() < 0.1
    with contextlib.suppress(Exception):
        # The second cannot be made where this user may not write to the folder of the device.
        callbacks = [EmbeddingRecorder(), callback]
        callbacks += [Checkpoint(os.devnull)] * is_saved
        subject.optimize(25, inplace=True, callbacks=callbacks, callbacks_every_iters=4)
    return subject


def in_a_thread(subject, rng):
    """Numbers that change while they are used: NumPy itself reads shapes without a lock."""
    arrays = [
        (path, owner, name)
        for path, owner, name in targets(subject)
        if isinstance(getattr(owner, name), np.ndarray) and "._" not in path
    ]
    if not arrays:
        return before(subject, rng)
    path, owner, name = arrays[rng.integers(len(arrays))]
    names = [name for name in IN_PLACE if name.startswith("set to")] + ["filled through memory"]
    how = names[rng.integers(len(names))]
    say(path, "meanwhile", how)
    array, over = getattr(owner, name), threading.Event()

    def change():
        while not over.is_set():
            with contextlib.suppress(Exception):
                IN_PLACE[how](array)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(change)
        try:
            use(subject)
        finally:
            over.set()
    return subject


TIMES = (before, before, in_pickle, in_state, in_a_callback, in_a_callback, in_a_thread)


@functools.cache
def pickled(name):
    return pickle.dumps(SUBJECTS[name]())


def use(subject):
    for step in uses_of(subject):
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            step()


def attempt(number, seed):
    """One attempt, the same for the same numbers."""
    rng = np.random.default_rng([seed, number])
    name = sorted(SUBJECTS)[number % len(SUBJECTS)]
    when = TIMES[rng.integers(len(TIMES))]
    say(f"attempt {number}: {name}, {when.__name__}")
    with contextlib.suppress(Exception):
        use(when(pickle.loads(pickled(name)), rng))


def main(seed, first, last):
    warnings.simplefilter("ignore")
    for number in range(first, last):
        attempt(number, seed)
    say("end")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
