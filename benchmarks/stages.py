"""How long each stage of a whole fit takes, measured where it happens, in ours and in peers."""

import functools
import importlib
import time

# Module, function, and the name of the stage: of the first call, the second, ...
STAGES = {
    "fasttsne": [
        ("fasttsne.nearest_neighbors.index", "KNNIndex.build", "neighbours"),
        ("fasttsne.affinity", "PerplexityBasedNN._compute", "affinities"),
        ("fasttsne.initialization", "pca", "start"),
        ("fasttsne", "TSNEEmbedding.run", "early exaggeration", "main phase"),
    ],
    "openTSNE": [
        ("openTSNE.nearest_neighbors", "Annoy.build", "neighbours"),
        ("openTSNE.affinity", "joint_probabilities_nn", "affinities"),
        ("openTSNE.initialization", "pca", "start"),
        ("openTSNE", "TSNEEmbedding.optimize", "early exaggeration", "main phase"),
    ],
    "umap": [
        ("umap.umap_", "nearest_neighbors", "neighbours"),
        ("umap.umap_", "fuzzy_simplicial_set", "affinities"),
        ("umap.umap_", "spectral_layout", "start"),
        ("umap.umap_", "optimize_layout_euclidean", "main phase"),
    ],
}
NAMES = ("neighbours", "affinities", "start", "early exaggeration", "main phase")


def watch(program: str) -> dict[str, float]:
    """Time the stages of this process's next fit; the dictionary fills as they end, seconds.

    Stages that a version has elsewhere are not timed.
    """
    seconds: dict[str, float] = {}
    for module, path, *names in STAGES.get(program, []):
        *owners, name = path.split(".")
        try:
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            function = getattr(owner, name)
        except (ModuleNotFoundError, AttributeError):
            continue
        setattr(owner, name, _timed(function, names, seconds))
    return seconds


def _timed(function, names, seconds):
    names = iter(names)

    @functools.wraps(function)
    def timed(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            name = next(names, None)
            if name is not None:
                seconds[name] = time.perf_counter() - start

    return timed
