"""What is kept of an optimization: frames for an animation, the last state, scores."""

import os
from collections.abc import Callable, Sequence
from io import RawIOBase

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne import metrics
from fasttsne.io import codec
from fasttsne.io.atomic import atomic_write
from fasttsne.metrics.estimate import sample_rows
from fasttsne.optimize import Callback
from fasttsne.optimize.descent import GradientDescent
from fasttsne.runtime.rows import is_storage, load_sparse
from fasttsne.runtime.typing import FilePath, Metric, RandomState, Rows, Settings
from fasttsne.runtime.validation import (
    check_choice,
    check_number,
    check_output_path,
    check_shape,
    is_address,
    refuse_containers,
    refuse_masked,
)

HEADER_BYTES = 128
# Measures that take rows and points alone, by name.
MEASURES: dict[str, Callable[..., metrics.Estimate]] = {
    "continuity": metrics.continuity,
    "density_correlation": metrics.density_correlation,
    "distance_correlation": metrics.distance_correlation,
    "neighbor_recall": metrics.neighbor_recall,
    "trustworthiness": metrics.trustworthiness,
}


def optimizer_of(embedding: object) -> GradientDescent | None:
    """Return the optimizer of an embedding; any other array has None."""
    found = getattr(embedding, "optimizer", None)
    return found if isinstance(found, GradientDescent) else None


def _count_iterations(embedding: object, iteration: int) -> int:
    """Return the number of an iteration of this run, counted over all runs where that is known."""
    optimizer = optimizer_of(embedding)
    return iteration if optimizer is None else optimizer.iteration + 1


class EmbeddingRecorder(Callback):
    """Record the embedding at every n-th call.

    Parameters
    ----------
    every : record one of this many calls, beginning with the first.
    path : an .npy file for the frames, instead of memory; it is replaced, and is a complete
        array after each frame.  It may also be the first argument, as of :class:`Checkpoint`.

    Attributes
    ----------
    path : the file, absolute: a program may change its folder.
    iterations : of each frame, counted over all runs.
    errors : the KL divergence of each frame.

    Raises
    ------
    OSError
        Where the folder of ``path`` does not exist or may not be written to, or it is a folder.
    ValueError
        Where ``path`` is an address: frames are added to a local file.
    """

    def __init__(self, every: int | FilePath = 1, path: FilePath | int | None = None):
        if isinstance(every, (str, os.PathLike)):  # the path first, as Checkpoint has it
            every, path = 1 if path is None else path, every
        self.every = check_number(every, "every", low=1, integer=True)
        if isinstance(path, int):
            raise TypeError(f"path must be the path of a file, or None; got {path!r}")
        if is_address(path):
            raise ValueError(f"path must be a local file, or None; got the address {path!r}")
        self.path = None if path is None else check_output_path(path, "path")
        self.clear()

    @property
    def frames(self) -> np.ndarray:
        """The recorded embeddings, (frames, n_samples, n_components) float32; read-only."""
        return self._store.frames()

    def clear(self) -> None:
        """Discard all frames; the next one replaces the file."""
        self.iterations: list[int] = []
        self.errors: list[float] = []
        self._n_calls = 0
        self._store: _Memory | _File = _Memory() if self.path is None else _File(self.path)

    def __call__(self, iteration: int, error: float, embedding: ArrayLike) -> None:
        if self._n_calls % self.every == 0:
            self._store.append(np.asarray(embedding, np.float32))
            self.iterations.append(_count_iterations(embedding, iteration))
            self.errors.append(error)
        self._n_calls += 1


class _Memory:
    """Frames in an array whose capacity doubles when it is full."""

    def __init__(self) -> None:
        self._array = np.empty((0, 0, 0), np.float32)
        self._count = 0

    def append(self, frame: np.ndarray) -> None:
        if self._count == 0:
            self._array = np.empty((16, *frame.shape), np.float32)
        _check_shape(frame, self._array.shape[1:])
        if self._count == len(self._array):
            self._array = np.concatenate([self._array, np.empty_like(self._array)])
        self._array[self._count] = frame
        self._count += 1

    def frames(self) -> np.ndarray:
        view = self._array[: self._count]
        view.setflags(write=False)
        return view


class _File:
    """Frames in an .npy file, whose header is updated after each."""

    def __init__(self, path: FilePath):
        self._path = os.fspath(path)
        self._shape: tuple[int, ...] | None = None
        self._count = 0

    def append(self, frame: np.ndarray) -> None:
        if self._shape is None:
            self._shape = frame.shape
            # A new file: the old one may still be mapped into memory.
            with atomic_write(self._path) as temp_path:
                temp_path.write_bytes(_npy_header((0, *frame.shape)))
        _check_shape(frame, self._shape)
        try:
            self._write(frame)
        except OSError as error:
            if error.filename is None:  # as where the disk is full
                error.filename = self._path
            raise
        self._count += 1

    def _write(self, frame: np.ndarray) -> None:
        """Write a frame, and then a header that counts it: an error leaves those before it."""
        with open(self._path, "r+b", buffering=0) as file:
            file.seek(HEADER_BYTES + self._count * frame.nbytes)
            _write_whole(file, np.ascontiguousarray(frame, "<f4").tobytes())
            file.seek(0)
            _write_whole(file, _npy_header((self._count + 1, *frame.shape)))

    def frames(self) -> np.ndarray:
        if self._count == 0:
            return np.empty((0, 0, 0), np.float32)
        frames: np.ndarray = np.load(self._path, mmap_mode="r")
        return frames


def _write_whole(file: RawIOBase, data: bytes) -> None:
    """Write all of it; a disk that gets full takes a part."""
    while data:
        data = data[file.write(data) or 0 :]


def _check_shape(frame: np.ndarray, shape: tuple[int, ...]) -> None:
    if frame.shape != shape:
        raise ValueError(
            f"EmbeddingRecorder needs embeddings of one shape, here {shape}; got {frame.shape}: "
            "use another recorder, or clear()"
        )


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of an .npy file, format 1.0, whose length is fixed."""
    text = repr({"descr": "<f4", "fortran_order": False, "shape": shape})
    start = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    return start + text.ljust(HEADER_BYTES - 11).encode() + b"\n"


class Checkpoint(Callback):
    """Save the embedding to a file periodically; the file is always complete.

    ``optimizer.state.iteration`` of the loaded embedding, ``TSNEEmbedding.load(path)``, is
    the number of iterations before it was saved.  Its ``optimize`` continues the run, bitwise
    identically if it gets the remaining number of iterations and the parameters of the phase,
    which are not in the file.  ``optimize("auto")`` continues until convergence, but its
    steps differ from those of the run that was interrupted.

    Parameters
    ----------
    path : the file, an .npz archive, or its address, as of ``TSNE(checkpoint=)``; it is replaced
        atomically.
    every : save at one of this many calls.

    Attributes
    ----------
    path : the file, absolute: a program may change its folder.

    Raises
    ------
    TypeError
        Where ``path`` is no path.
    OSError
        Where the folder of ``path`` does not exist or may not be written to, or it is a folder.
    """

    _n_calls = 0

    def __init__(self, path: FilePath, every: int = 1):
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path must be the path of a file; got {path!r}")
        self.path = check_output_path(path, "path")
        self.every = check_number(every, "every", low=1, integer=True)

    def __call__(self, iteration: int, error: float, embedding: codec.Embedding) -> None:
        self._n_calls += 1
        if self._n_calls % self.every == 0:
            codec.save_embedding(embedding, self.path, kl_divergence=error)


class ScoreRecorder(Callback):
    """Record scores of a sample of the points at every call.

    The rows of the sample are compared with one another, not with all: that takes milliseconds,
    and the curves rise as the scores of all points do, but the numbers differ from those that
    :func:`fasttsne.report` gives.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix, the rows that are embedded; of it the sample is
        kept.
    measures : names of functions of :mod:`fasttsne.metrics`: "continuity", "density_correlation",
        "distance_correlation", "neighbor_recall" or "trustworthiness".
    sample_size : number of rows in the sample, chosen at random.
    metric, metric_params : distance between rows, as for ``metrics.neighbor_recall``.
    random_state : seeds the sample.

    Attributes
    ----------
    iterations : of each call, counted over all runs.
    scores : a list of floats by the name of the measure.

    Examples
    --------
    >>> from fasttsne import TSNE
    >>> from fasttsne.callbacks import ScoreRecorder
    >>> from fasttsne.datasets import load_digits
    >>> X, _ = load_digits()
    >>> recorder = ScoreRecorder(X, ["neighbor_recall"])
    >>> embedding = TSNE(random_state=0, callbacks=recorder, callbacks_every_iters=20).fit(X)
    >>> len(recorder.iterations) == len(recorder.scores["neighbor_recall"]) > 3
    True
    """

    def __init__(
        self,
        X: Rows,
        measures: Sequence[str] = ("neighbor_recall", "trustworthiness"),
        sample_size: int = 1000,
        metric: Metric = "euclidean",
        metric_params: Settings = None,
        random_state: RandomState = 0,
    ):
        if isinstance(measures, str):
            raise TypeError(f"measures must be a list of names; got {measures!r}")
        self.measures = tuple(check_choice(name, "measures", MEASURES) for name in measures)
        self.metric, self.metric_params = metric, metric_params
        refuse_containers(X, "X")
        refuse_masked(X, "X")
        held = load_sparse(X, "X")
        if sp.issparse(held):
            held = held.tocsr()
        elif not is_storage(held, "X"):
            held = np.asarray(held)
        check_shape(held.shape, "X", min_rows=2)
        self._n_samples = int(held.shape[0])
        size = check_number(sample_size, "sample_size", low=2, integer=True)
        self.rows = sample_rows(self._n_samples, size, random_state)
        self._X = held[self.rows]
        if isinstance(metric, str) and metric == "precomputed":
            self._X = self._X[:, self.rows]
        self.clear()

    def clear(self) -> None:
        """Discard all scores."""
        self.iterations: list[int] = []
        self.scores: dict[str, list[float]] = {name: [] for name in self.measures}

    def __call__(self, iteration: int, error: float, embedding: ArrayLike) -> None:
        points = np.asarray(embedding)
        if len(points) != self._n_samples:
            raise ValueError(
                f"ScoreRecorder has {self._n_samples} rows; the map has {len(points)} points"
            )
        settings = {"metric": self.metric, "metric_params": self.metric_params, "sample_size": None}
        for name in self.measures:
            score = MEASURES[name](self._X, points[self.rows], **settings)
            self.scores[name].append(float(score))
        self.iterations.append(_count_iterations(embedding, iteration))
