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
from typing import TYPE_CHECKING, Any

from fasttsne import affinity, compat, initialization, nearest_neighbors, tsne, utils
from fasttsne._version import __version__
from fasttsne.aligned import AlignedTSNE
from fasttsne.anchors import Anchors
from fasttsne.embedding.full import TSNEEmbedding
from fasttsne.embedding.partial import PartialTSNEEmbedding
from fasttsne.memory import estimate_memory
from fasttsne.optimize.descent import OptimizationInterrupt
from fasttsne.runtime import show_config
from fasttsne.tsne import TSNE

if TYPE_CHECKING:
    from fasttsne import callbacks, metrics
    from fasttsne.reports import Report, compare, report

# Names that are imported on demand, for a fast start, and their module.
LATE_NAMES = {"Report": "reports", "compare": "reports", "report": "reports"}

compat.install()


def __getattr__(name: str) -> ModuleType | Any:
    """A name or module that is imported on demand: ``fasttsne.report``, ``fasttsne.metrics``."""
    if name in LATE_NAMES:
        return getattr(import_module(f"{__name__}.{LATE_NAMES[name]}"), name)
    path = f"{__name__}.{name}"
    if name.startswith("_") or find_spec(path) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(path)


__all__ = [
    "TSNE",
    "AlignedTSNE",
    "Anchors",
    "OptimizationInterrupt",
    "PartialTSNEEmbedding",
    "Report",
    "TSNEEmbedding",
    "__version__",
    "affinity",
    "callbacks",
    "compare",
    "estimate_memory",
    "initialization",
    "metrics",
    "nearest_neighbors",
    "report",
    "show_config",
    "tsne",
    "utils",
]
