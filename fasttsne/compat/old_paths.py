"""Module paths of version 0.1.0, for scripts and pickles that import from them.

An old path is a module without code: each name is looked up in the modules that took its
contents over, under its new name where it has one.
"""

import importlib.abc
import importlib.machinery
import sys
from importlib import import_module
from types import ModuleType

# Old module, below fasttsne: the modules that have its contents now.
MOVED = {
    "_build": "runtime.build_info",
    "_columns": "linalg.chunks",
    "_curve": "repulsion.barnes_hut",
    "_film": "drawing.writers",
    "_known_rows": "linalg.row_hashes",
    "_products": "linalg.products",
    "_saving": "io.embedding_file",
    "_spectral": "linalg.spectral",
    "_stateful": "embedding.array",
    "_style": "drawing.style",
    "_validation": "runtime.validation runtime.threads",
    "_whole_file": "io.atomic",
    "affinity.gaussian": "affinity.conditional",
    "affinity.neighbors": "affinity.neighbor_based",
    "callbacks.approximation_checks": "callbacks.error_checks",
    "callbacks.base": "optimize.callback",
    "callbacks.checkpoint": "callbacks.recorder",
    "callbacks.early_stopping": "callbacks.error_checks",
    "callbacks.error_logger": "callbacks.progress",
    "callbacks.verification": "callbacks.error_checks",
    "descent_params": "optimize.parameters optimize.plan",
    "functions": "compat.functions",
    "optimizer": "compat.optimizer optimize.descent optimize.plan optimize.state optimize.callback",
    "partial": "embedding.partial objective.points optimize.descent",
    "repulsion.auto": "repulsion",
    "repulsion.field": "repulsion.fixed_reference",
    "repulsion.influence": "repulsion.mesh.influence",
    "repulsion.passes": "repulsion.mesh.grid",
    "repulsion.splines": "repulsion.mesh.influence",
    "repulsion.tree": "repulsion.barnes_hut",
}
# The same, both below fasttsne.nearest_neighbors.
MOVED_SEARCHES = {
    "annoy": "backends.annoy",
    "faiss_index": "backends.faiss",
    "graph": "backends.base",
    "hnsw": "backends.hnsw",
    "nndescent": "backends.pynndescent",
    "scikit": "backends.scikit",
    "base": "index",
    "candidates": "builtin.candidates builtin.packing builtin.block_pairs",
    "dense_rows": "builtin.dense_rows",
    "distances": "builtin.ranks",
    "metrics": "builtin.metrics",
    "probes": "builtin.probes",
    "rows": "builtin.rows builtin.metrics",
    "sparse_rows": "builtin.sparse_rows",
}
for old, new in MOVED_SEARCHES.items():
    paths = [f"nearest_neighbors.{path}" for path in new.split()]
    MOVED[f"nearest_neighbors.{old}"] = " ".join(paths)

# Classes that have another name now, and functions that were documented; pickles name them.
RENAMED = {
    "Compressed": "CompressedArrays",
    "KeepsRows": "CachedRowsMixin",
    "KnownRows": "RowHashIndex",
    "NeighborAffinities": "KNNAffinities",
    "Packed": "PackedRows",
    "Passes": "FFTPlan",
    "PointDescent": "GradientDescent",
    "PointObjective": "NewPointsDivergence",
    "Points": "SparsePoints",
    "StatefulArray": "ArrayWithState",
}


class _OldModule(ModuleType):
    """A module that takes its names from where they are now."""

    def __getattr__(self, name):
        paths = MOVED[self.__name__.removeprefix("fasttsne.")].split()
        if name == "__all__":
            modules = [import_module(f"fasttsne.{path}") for path in paths]
            return [name for module in modules for name in vars(module) if name[0] != "_"]
        for path in () if name.startswith("__") else paths:
            names = vars(import_module(f"fasttsne.{path}"))
            for found in (name, RENAMED.get(name)):
                if found in names:
                    return names[found]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the old modules, after all others have been looked for."""

    def find_spec(self, name, path=None, target=None):
        if name.removeprefix("fasttsne.") not in MOVED or not name.startswith("fasttsne."):
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        return _OldModule(spec.name, "Moved; kept for scripts and pickles of version 0.1.0.")

    def exec_module(self, module):
        pass


def install() -> None:
    """Make the old paths importable; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
