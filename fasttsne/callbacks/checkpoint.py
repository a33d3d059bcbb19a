"""Save an optimization at intervals."""

import os
from typing import Any

from fasttsne.callbacks.base import Callback
from fasttsne.io import embedding_file
from fasttsne.runtime.typing import FilePath
from fasttsne.runtime.validation import check_number, check_output_path


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

    def __call__(self, iteration: int, error: float, embedding: Any) -> None:
        self._n_calls += 1
        if self._n_calls % self.every == 0:
            embedding_file.save(embedding, self.path, kl_divergence=error)
