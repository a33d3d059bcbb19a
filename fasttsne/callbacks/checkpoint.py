"""Saving a run while it goes on."""

from fasttsne.callbacks.base import Callback
from fasttsne.io import embedding_file
from fasttsne.runtime.validation import check_number


class Checkpoint(Callback):
    """Save the embedding to one file, again and again; what is there is always whole.

    ``TSNEEmbedding.load(path)`` gives an embedding whose ``optimizer.state.iteration``
    counts the iterations it has behind it, and that goes on bit for bit as the run
    did, if ``optimize`` is told how many are left and the parameters of the phase, which
    are not in the file.  ``optimize("auto")`` goes on until the map settles, but from
    the middle of such a run not by the same steps.

    Parameters
    ----------
    path : the file.
    every : save at every so many reports.
    """

    def __init__(self, path, every: int = 1):
        self.path = path
        self.every = check_number(every, "every", low=1, integer=True)
        self._reports = 0

    def __call__(self, iteration: int, error: float, embedding) -> None:
        self._reports += 1
        if self._reports % self.every == 0:
            embedding_file.save(embedding, self.path, kl_divergence=error)
