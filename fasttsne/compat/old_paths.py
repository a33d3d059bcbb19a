"""Module paths of version 0.1.0, for scripts and pickles that import from them.

An old path is a module without code: each name is looked up in the modules that took its
contents over, under its new name where it has one.  Modules that kept their path find names that
are elsewhere or other ones now by ``__getattr__ = old_names(__name__)``.
"""

import importlib.abc
import importlib.machinery
import sys
from importlib import import_module
from types import ModuleType

# Old module, below fasttsne: the modules that have its contents now.
MOVED: dict[str, tuple[str, ...]] = {
    "initialization": ("linalg.pca",),
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
    "animation": ("drawing.frames", "drawing.axis_limits"),
    "callbacks.live_plot": ("callbacks.live_plot", "drawing.scatter"),
    "callbacks.verification": ("callbacks.approximation_checks",),
    "cli.messages": ("cli.stderr",),
    "cli.options": ("drawing.scatter", "drawing.page", "drawing.writers"),
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
    "plotting": ("drawing.page", "drawing.scatter"),
    "repulsion.field": ("repulsion.fixed_reference",),
    "repulsion.influence": ("repulsion.mesh.influence",),
    "repulsion.passes": ("repulsion.mesh.fft_plan",),
    "repulsion.splines": ("repulsion.mesh.splines",),
    "repulsion.tree": ("repulsion.barnes_hut",),
}

# Names that are other ones now: by old module, old name -> new name.
RENAMED: dict[str, dict[str, str]] = {
    "_film": {"Film": "AnimationFormat"},
    "_known_rows": {"KnownRows": "RowHashIndex"},
    "_saving": {"ABOUT_AFFINITIES": "AFFINITY_ATTRIBUTES", "DAMAGED": "READ_ERRORS"},
    "_stateful": {"StatefulArray": "ArrayWithState"},
    "_style": {
        "Colouring": "PointColors", "MISSING": "MISSING_COLOR", "MOST_CLASSES": "MAX_CLASSES",
        "N_SHADES": "COLORMAP_SIZE", "as_hex": "to_hex", "colour_points": "color_points",
        "point_style": "default_point_style", "read_colour": "parse_color",
    },
    "_whole_file": {"SHOWN": "MAX_STEM_LENGTH", "whole_file": "atomic_write"},
    "affinity.base": {
        "SYMMETRIZE": "SYMMETRIZE_MODES", "joint": "joint_affinities",
        "symmetrized": "symmetrize", "directed": "normalize_directed",
        "rows_as_csr": "neighbors_to_csr", "as_csr": "csr_from_arrays",
    },
    "affinity.gaussian": {
        "in_safe_unit": "to_scaled_float32", "of_perplexity": "from_perplexity",
        "of_width": "from_sigma", "of_mixture": "from_mixture", "of_average": "from_average",
        "row_distributions": "row_normalized_csr",
    },
    "affinity.neighbors": {
        "NeighborAffinities": "KNNAffinities", "rows_of": "n_rows_or_none",
        "count_of_neighbors": "check_n_neighbors", "reduced": "clip_perplexity",
    },
    "animation": {"LEAST_RADIUS": "MIN_RADIUS", "MOST_LEGEND_ROWS": "MAX_LEGEND_ENTRIES"},
    "callbacks.live_plot": {"SIZE": "FIGURE_SIZE", "WAIT_PER_DRAWING": "MIN_WAIT"},
    "cli.commands": {"FRAME_EVERY": "FRAME_INTERVAL", "REPORT_EVERY": "PROGRESS_INTERVAL"},
    "cli.messages": {"say": "print_error"},
    "cli.options": {
        "ANIMATIONS": "WRITERS", "PAGES": "HTML_EXTENSIONS", "PICTURES": "IMAGE_EXTENSIONS",
    },
    "initialization": {
        "POWER_ITERATIONS": "N_POWER_ITERATIONS", "OVERSAMPLES": "N_OVERSAMPLES",
        "EXACT_UP_TO": "AUTO_EXACT_MAX_SIZE", "PRODUCTS_UP_TO": "GRAM_MAX_COLUMNS",
        "SAMPLE_ROWS": "SAMPLE_SIZE",
    },
    "nearest_neighbors.approx": {
        "RECALL": "DEFAULT_RECALL", "DIMENSIONS": "N_COMPONENTS", "SAMPLE": "SAMPLE_SIZE_RANGE",
        "CELL_ROWS": "CLUSTER_SIZE", "TRAINING_ROWS": "TRAINING_ROWS_PER_CLUSTER",
        "KMEANS_ROUNDS": "N_KMEANS_ITERATIONS", "MOST_CELLS": "MAX_CLUSTERS",
        "CELLS_AT_ONCE": "MAX_CLUSTERS_ONE_LEVEL", "PARTS": "N_SUB_BLOCKS",
        "BLOCKS_AT_ONCE": "BLOCK_BATCH", "RANK_COST": "RERANK_COST", "ATTEMPTS": "MAX_ATTEMPTS",
        "EXACT_UP_TO": "EXACT_MAX_SAMPLES", "Plan": "SearchPlan",
    },
    "nearest_neighbors.candidates": {
        "SPARE": "N_EXTRA_CANDIDATES", "ROOM": "BUFFER_RANGE", "BLOCK_ROWS": "MAX_BLOCK_ROWS",
        "Packed": "PackedRows", "all_pairs": "all_block_pairs", "rounds": "conflict_free_batches",
    },
    "nearest_neighbors.dense_rows": {
        "BOTH_WAYS_UP_TO": "SELF_JOIN_MAX_SAMPLES", "PACKED": "MAX_PACKED_NUMBERS",
        "BATCH": "QUERY_BATCH_SIZE", "HUGE": "OVERFLOW_LIMIT",
    },
    "nearest_neighbors.distances": {"distances_within": "make_distances"},
    "nearest_neighbors.exact": {"LOOP_ENTRIES": "BLOCK_ENTRIES", "SCIPY_NAMES": "METRIC_ALIASES"},
    "nearest_neighbors.faiss_index": {"FLAT_UP_TO": "FLAT_MAX_SAMPLES"},
    "nearest_neighbors.graph": {"without_self": "drop_self", "check_found": "check_complete"},
    "nearest_neighbors.metrics": {"in_metric": "to_metric"},
    "nearest_neighbors.nndescent": {"SYNONYMS": "METRIC_ALIASES"},
    "nearest_neighbors.probes": {"BATCH": "QUERY_BATCH_SIZE"},
    "nearest_neighbors.rows": {"as_rows": "prepare_rows", "KeepsRows": "CachedRowsMixin"},
    "nearest_neighbors.scikit": {"NOT_OF_ROWS": "UNSUPPORTED_METRICS"},
    "nearest_neighbors.sparse_rows": {
        "BATCH": "QUERY_BATCH_SIZE", "Compressed": "CompressedArrays", "Points": "SparsePoints",
    },
    "optimizer": {
        "DescentSettings": "Phase", "raise_if_lost": "_Loop",
        "renumber_is_due": "reordering_is_due", "tell": "notify",
    },
    "partial": {"PointDescent": "GradientDescent", "PointObjective": "NewPointsDivergence"},
    "plotting": {
        "LEAST_RADIUS": "MIN_RADIUS", "MOST_LEGEND_ROWS": "MAX_LEGEND_ENTRIES",
        "N_SHADES": "COLORMAP_SIZE", "PAGE_AREA": "WINDOW_AREA", "PAGE_STYLE": "HTML_STYLE",
    },
}  # fmt: skip


def old_names(module: str):
    """Return a function that finds what a module of version 0.1.0 had under a name."""
    old = module.removeprefix("fasttsne.")

    def find(name):
        new = RENAMED.get(old, {}).get(name, name)
        for path in MOVED.get(old, (old,)) if not name.startswith("__") else ():
            names = vars(import_module(f"fasttsne.{path}"))
            if new in names:
                return names[new]
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


class _OldModule(ModuleType):
    """A module that takes its names from where they are now."""

    def __getattr__(self, name):
        return old_names(self.__name__)(name)


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
