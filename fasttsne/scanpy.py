"""t-SNE for annotated data: ``fasttsne.scanpy.tsne(adata)`` in place of ``scanpy.tl.tsne``.

Works on any object with ``X``, ``obsm``, ``obsp`` and ``uns``; neither scanpy nor anndata is
imported.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity.select import check_perplexity
from fasttsne.nearest_neighbors.builtin.ranks import make_distances
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.select import n_neighbors_for
from fasttsne.runtime.typing import Metric, RandomState
from fasttsne.tsne import TSNE

log = logging.getLogger(__name__)

# Up to so many columns, scanpy's neighbours are of ``adata.X`` where ``use_rep`` is not given.
MAX_COLUMNS_OF_X = 50
# Rows of a graph, and neighbours of each, whose distances are compared.
N_COMPARED = 10


def tsne(
    adata: Any, use_rep: str = "X_pca", neighbors_key: str | None = None, *,
    n_pcs: int | None = None, perplexity: float | Sequence[float] = 30,
    metric: Metric = "euclidean", random_state: RandomState = 0, key_added: str | None = None,
    copy: bool = False, client: Any = None, **parameters: Any,
) -> Any:  # fmt: skip
    """Embed the observations of an AnnData object.

    Parameters
    ----------
    adata : the object, to which the embedding is added.
    use_rep : the member of ``obsm`` that is embedded, or "X" for ``adata.X``.
    neighbors_key : use the neighbours of ``scanpy.pp.neighbors(..., key_added=neighbors_key)``
        instead of a search; "neighbors" is scanpy's default key.  None uses those of the
        default key if they are equivalent to a search: of the same ``use_rep``, ``n_pcs``, metric
        and ``metric_params``, and at least three times the perplexity for each row.  (Scanpy's
        default is 15 neighbours, enough for a perplexity of 4: it counts the row itself.)
    n_pcs : number of columns to use, the first ones; None is all.
    perplexity, metric, random_state : as for :class:`fasttsne.TSNE`.
    key_added : key in ``obsm`` and ``uns``, instead of "X_tsne" and "tsne".
    copy : return a copy with the embedding, and leave ``adata`` unchanged.
    client : a ``distributed.Client``; None is the current one, if there is one.  Where what is
        embedded is a Dask array, its cluster does the fit (:class:`fasttsne.dask.TSNE`), to the
        same bits, and neighbours are searched for.
    parameters : the others of :class:`fasttsne.TSNE`.

    Returns
    -------
    None, or the copy.  Added are

    - ``obsm["X_tsne"]`` : (n_obs, n_components) float64, the embedding;
    - ``uns["tsne"]`` : ``{"params": ..., "kl_divergence": ...}``, the parameters and result.

    Raises
    ------
    KeyError
        If ``adata`` has no such member; the message lists those that it has.
    """
    if "neighbors" in parameters and neighbors_key is not None:
        raise TypeError("give neighbors or neighbors_key, not both")
    adata = adata.copy() if copy else adata
    X = _representation(adata, use_rep, n_pcs)
    is_distributed = _is_dask_array(X) and (client is not None or _has_client())
    if is_distributed and neighbors_key is not None:
        raise ValueError("neighbors_key must be None where a Dask cluster does the fit")
    if "neighbors" not in parameters and not is_distributed:
        graph = _existing_neighbors(
            adata, X, neighbors_key, perplexity, use_rep=use_rep, n_pcs=n_pcs, metric=metric,
            metric_kwds=parameters.get("metric_params"),
        )  # fmt: skip
        if graph is not None:
            parameters["neighbors"] = graph
    given = {
        "perplexity": perplexity, "metric": metric, "random_state": random_state, **parameters
    }  # fmt: skip
    embedding = _fit_on_cluster(X, client, given) if is_distributed else TSNE(**given).fit(X)
    params = {
        "perplexity": perplexity, "metric": metric, "use_rep": use_rep, "n_pcs": n_pcs,
        "random_state": random_state, "neighbors_key": neighbors_key, **parameters,
    }  # fmt: skip
    adata.obsm[key_added or "X_tsne"] = np.array(embedding)
    adata.uns[key_added or "tsne"] = {
        "params": {name: value for name, value in params.items() if _is_h5ad_serializable(value)},
        "kl_divergence": embedding.kl_divergence,
    }
    return adata if copy else None


def _is_dask_array(X: Any) -> bool:
    """Whether X is one; Dask is not imported."""
    return type(X).__module__.startswith("dask.array") and hasattr(X, "dask")


def _has_client() -> bool:
    """Whether there is a current client of Dask."""
    distributed = sys.modules.get("distributed")
    try:
        return distributed is not None and distributed.default_client() is not None
    except ValueError:
        return False


def _fit_on_cluster(X: Any, client: Any, parameters: Mapping[str, Any]) -> Any:
    from fasttsne.dask.estimator import TSNE as ClusterTSNE

    return ClusterTSNE(client, **parameters).fit(X)


def _representation(adata: Any, use_rep: str, n_pcs: int | None) -> Any:
    """The rows to embed."""
    if use_rep == "X":
        X = adata.X
        X = X.to_memory() if hasattr(X, "to_memory") else X  # a sparse matrix in a file
    elif use_rep in adata.obsm:
        X = adata.obsm[use_rep]
        X = X if sp.issparse(X) or _is_dask_array(X) else np.asarray(X)
    else:
        hint = "; scanpy.pp.pca(adata) makes X_pca" if use_rep == "X_pca" else ""
        raise KeyError(
            f"use_rep must be 'X' or in obsm, {', '.join(map(repr, adata.obsm)) or 'empty'}; "
            f"got {use_rep!r}{hint}"
        )
    if n_pcs is None:
        return X
    if not 1 <= n_pcs <= X.shape[1]:
        raise ValueError(f"n_pcs must be from 1 to {X.shape[1]}, the columns; got {n_pcs}")
    return X[:, :n_pcs]


def _existing_neighbors(
    adata: Any, X: Any, key: str | None, perplexity: Any, **asked: Any
) -> sp.spmatrix | None:
    """The distances to neighbours that scanpy stored, or None if a search is needed.

    Parameters
    ----------
    X : the rows to embed.
    key : in ``uns``, of neighbours that are used whatever they are of; None looks for some that
        are as good as those of a search.
    asked : what they have to be of, by scanpy's names.
    """
    if key is not None:
        return _graph(adata, key)
    if "neighbors" not in adata.uns or not isinstance(adata.uns["neighbors"], Mapping):
        return None
    params = adata.uns["neighbors"].get("params", {})
    source = {name: params.get(name) for name in asked}
    is_named = source["use_rep"] is not None
    if not is_named and getattr(adata, "n_vars", 0) > MAX_COLUMNS_OF_X:
        source["use_rep"] = "X_pca"
    if not all(_are_equal(source[name], asked[name]) for name in asked):
        log.info("the neighbours in uns are of %s: searching", source)
        return None
    graph = _graph(adata, "neighbors")
    rows = sp.csr_matrix(graph)
    n_stored = int(np.diff(rows.indptr).min())
    check_perplexity(perplexity)
    n_needed = max(min(n_neighbors_for(np.max(perplexity)), graph.shape[0] - 1), 1)
    if n_stored < n_needed:
        log.info(
            "rows have only %d neighbours in uns, perplexity %s needs %d: searching",
            n_stored, perplexity, n_needed,
        )  # fmt: skip
        return None
    if not is_named and not _are_distances_of(X, rows, asked["metric"], asked["metric_kwds"]):
        log.info("the neighbours in uns are of other rows than %s: searching", asked["use_rep"])
        return None
    log.info("using the neighbours in uns")
    return graph


def _are_equal(stored: Any, asked: Any) -> bool:
    """Whether two settings are the same: None and no further ones are, too."""
    if isinstance(stored, Mapping) or isinstance(asked, Mapping):
        stored, asked = ({} if each is None else each for each in (stored, asked))
        return (
            isinstance(stored, Mapping) and isinstance(asked, Mapping)
            and stored.keys() == asked.keys()
            and all(np.array_equal(stored[name], asked[name]) for name in stored)
        )  # fmt: skip
    return bool(stored == asked)


def _are_distances_of(X: Any, graph: sp.csr_matrix, metric: Metric, metric_params: Any) -> bool:
    """Whether distances in a graph are those of X, by a few of its rows.

    scanpy does not say of what its neighbours are where ``use_rep`` was not given, nor where the
    distances themselves were.
    """
    if not callable(metric) and metric not in Exact.VALID_METRICS:
        return False
    for row in np.unique(np.linspace(0, graph.shape[0] - 1, N_COMPARED).astype(int)):
        entries = slice(graph.indptr[row], graph.indptr[row + 1])
        near = np.r_[row, graph.indices[entries][:N_COMPARED]]
        distances = make_distances(X[near], metric, metric_params)
        expected = distances.pairwise(np.array([0]), np.arange(1, len(near)))[0]
        if not np.allclose(graph.data[entries][:N_COMPARED], expected, rtol=1e-3, atol=1e-5):
            return False
    return True


def _graph(adata: Any, key: str) -> sp.spmatrix:
    if key not in adata.uns:
        raise KeyError(f"neighbors_key={key!r} is not in uns: run scanpy.pp.neighbors first")
    default = "distances" if key == "neighbors" else f"{key}_distances"
    name = adata.uns[key].get("distances_key", default)
    if name not in adata.obsp:
        raise KeyError(
            f"the neighbours of {key!r} should be in obsp[{name!r}], which does not exist"
        )
    return adata.obsp[name]


def _is_h5ad_serializable(value: object) -> bool:
    """Whether an .h5ad file can store it, which is not so for None."""
    return isinstance(value, (str, bool, int, float, np.number))
