"""fasttsne: fast, reproducible t-SNE.

>>> from fasttsne import TSNE
>>> from fasttsne.datasets import load_digits
>>> X, y = load_digits()
>>> embedding = TSNE(random_state=0).fit(X)

Data flows one way: rows -> :mod:`nearest_neighbors` -> :mod:`affinity` ->
(:mod:`initialization`) -> :mod:`tsne` -> an embedding, whose ``optimize`` runs
the optimizer on the objective: attractive and repulsive forces, computed by
compiled kernels.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

from fasttsne import affinity, initialization, nearest_neighbors, tsne, utils
from fasttsne._version import __version__
from fasttsne.aligned import AlignedTSNE
from fasttsne.anchors import Anchors
from fasttsne.compat import old_paths
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.embedding.partial import PartialTSNEEmbedding
from fasttsne.memory import estimate_memory
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.runtime.build_info import show_config
from fasttsne.tsne import TSNE

if TYPE_CHECKING:
    from fasttsne import callbacks, metrics

old_paths.install()


def __getattr__(name: str) -> ModuleType:
    """A module that is imported on demand, for a fast start: ``fasttsne.callbacks`` and others."""
    path = f"{__name__}.{name}"
    if name.startswith("_") or find_spec(path) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(path)


__all__ = [
    "TSNE", "AlignedTSNE", "Anchors", "OptimizationInterrupt", "PartialTSNEEmbedding",
    "TSNEEmbedding", "__version__", "affinity", "callbacks", "estimate_memory",
    "initialization", "metrics", "nearest_neighbors", "show_config", "tsne", "utils",
]  # fmt: skip
