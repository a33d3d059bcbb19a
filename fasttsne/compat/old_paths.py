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
MOVED: dict[str, tuple[str, ...]] = {
    "_build": ("runtime.build_info",),
    "_columns": ("linalg.chunks",),
    "_curve": ("repulsion.morton",),
    "_film": ("drawing.writers",),
    "_known_rows": ("linalg.row_hashes",),
    "_products": ("linalg.products",),
    "_saving": ("io.embedding_file",),
    "_spectral": ("linalg.spectral",),
    "_stateful": ("embedding.array",),
    "_style": ("drawing.style",),
    "_validation": ("runtime.validation", "runtime.threads"),
    "_whole_file": ("io.atomic",),
    "affinity.base": ("affinity.base", "affinity.csr"),
    "affinity.gaussian": ("affinity.conditional",),
    "affinity.neighbors": ("affinity.neighbor_based",),
    "callbacks.verification": ("callbacks.approximation_checks",),
    "descent_params": ("optimize.parameters", "optimize.plan"),
    "functions": ("compat.functions",),
    "nearest_neighbors.annoy": ("nearest_neighbors.backends.annoy",),
    "nearest_neighbors.approx": (
        "nearest_neighbors.builtin.search_plan",
        "nearest_neighbors.builtin.clusters",
        "nearest_neighbors.builtin.blocks",
        "nearest_neighbors.approx",
    ),
    "nearest_neighbors.base": ("nearest_neighbors.index",),
    "nearest_neighbors.candidates": (
        "nearest_neighbors.builtin.candidates",
        "nearest_neighbors.builtin.packing",
        "nearest_neighbors.builtin.block_pairs",
    ),
    "nearest_neighbors.dense_rows": ("nearest_neighbors.builtin.dense_rows",),
    "nearest_neighbors.distances": ("nearest_neighbors.builtin.ranks",),
    "nearest_neighbors.faiss_index": ("nearest_neighbors.backends.faiss",),
    "nearest_neighbors.graph": ("nearest_neighbors.backends.results",),
    "nearest_neighbors.hnsw": ("nearest_neighbors.backends.hnsw",),
    "nearest_neighbors.metrics": ("nearest_neighbors.builtin.metrics",),
    "nearest_neighbors.nndescent": ("nearest_neighbors.backends.pynndescent",),
    "nearest_neighbors.probes": ("nearest_neighbors.builtin.probes",),
    "nearest_neighbors.rows": ("nearest_neighbors.builtin.rows",),
    "nearest_neighbors.scikit": ("nearest_neighbors.backends.scikit",),
    "nearest_neighbors.sparse_rows": ("nearest_neighbors.builtin.sparse_rows",),
    "optimizer": ("optimize.descent", "optimize.plan", "optimize.state", "optimize.callback"),
    "pace": ("optimize.stopping",),
    "partial": ("embedding.partial", "objective.points", "optimize.descent"),
    "repulsion.field": ("repulsion.fixed_reference",),
    "repulsion.influence": ("repulsion.mesh.influence",),
    "repulsion.passes": ("repulsion.mesh.fft_plan",),
    "repulsion.splines": ("repulsion.mesh.splines",),
    "repulsion.tree": ("repulsion.barnes_hut",),
}

# Classes that have another name now, and functions that were documented; pickles name them.
RENAMED = {
    "Compressed": "CompressedArrays",
    "DescentSettings": "Phase",
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
        paths = MOVED[self.__name__.removeprefix("fasttsne.")]
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
