"""Module paths that pickles of version 0.2.0 name, where the modules have moved since."""

import sys
from importlib import import_module
from types import ModuleType

# Old module, below fasttsne: the module that has its classes now.
MOVED: dict[str, str] = {
    "affinity.fixed_sigma": "affinity.families",
    "affinity.multiscale": "affinity.families",
    "affinity.perplexity": "affinity.families",
    "affinity.precomputed": "affinity.base",
    "affinity.uniform": "affinity.families",
    "aligned.estimator": "aligned",
    "callbacks.approximation_checks": "callbacks.error_checks",
    "callbacks.base": "optimize",
    "callbacks.checkpoint": "callbacks.recorder",
    "callbacks.early_stopping": "callbacks.error_checks",
    "callbacks.error_logger": "callbacks.progress",
    "callbacks.live_plot": "callbacks.progress",
    "callbacks.scores": "callbacks.recorder",
    "io.embedding_file": "io.codec",
    "io.search_file": "io.codec",
    "linalg.row_hashes": "linalg.rows",
    "nearest_neighbors.backends.annoy": "nearest_neighbors.backends",
    "nearest_neighbors.backends.faiss": "nearest_neighbors.backends",
    "nearest_neighbors.backends.hnsw": "nearest_neighbors.backends",
    "nearest_neighbors.backends.pynndescent": "nearest_neighbors.backends",
    "nearest_neighbors.backends.scikit": "nearest_neighbors.backends",
    "nearest_neighbors.builtin.packing": "nearest_neighbors.builtin.candidates",
    "nearest_neighbors.builtin.probes": "nearest_neighbors.builtin.search_plan",
    "nearest_neighbors.changing": "nearest_neighbors.dynamic",
    "objective.functions": "objective.callable",
    "optimize.callback": "optimize",
    "optimize.choices": "optimize.plan",
    "optimize.parameter": "optimize.parameters",
    "reports.comparison": "reports.result",
    "runtime.stored_sparse": "runtime.rows",
}
# Classes that have another name now.
RENAMED = {"ChangingIndex": "DynamicIndex", "RowsLeftOut": "IndexWithoutRows"}


class _OldModule(ModuleType):
    """A module whose names are looked up where they are now, under their new names."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = import_module(f"fasttsne.{MOVED[self.__name__.removeprefix('fasttsne.')]}")
        found: object = getattr(module, RENAMED.get(name, name))
        return found


def install() -> None:
    """Make the old paths importable; a second call changes nothing."""
    for path in MOVED:
        sys.modules.setdefault(f"fasttsne.{path}", _OldModule(f"fasttsne.{path}"))
