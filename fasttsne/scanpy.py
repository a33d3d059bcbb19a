"""t-SNE for annotated data: ``fasttsne.scanpy.tsne(adata)`` in place of ``scanpy.tl.tsne``.

Works on any object with ``X``, ``obsm``, ``obsp`` and ``uns``; neither scanpy nor anndata is
imported.
"""

import logging
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from fasttsne.nearest_neighbors.select import NEIGHBORS_PER_PERPLEXITY
from fasttsne.tsne import TSNE

log = logging.getLogger(__name__)


def tsne(
    adata, use_rep="X_pca", neighbors_key=None, *, n_pcs=None, perplexity=30, metric="euclidean",
    random_state=0, key_added=None, copy=False, **parameters,
):  # fmt: skip
    """Embed the observations of an AnnData object.

    Parameters
    ----------
    adata : the object; it is given the map, nothing else of it changes.
    use_rep : the member of ``obsm`` that is embedded, or "X" for ``adata.X``.
    neighbors_key : neighbours that ``scanpy.pp.neighbors(..., key_added=neighbors_key)`` has
        found take the place of a search, as many as there are; "neighbors" is scanpy's
        default.  None takes scanpy's default where it serves as well as a search: for the
        same ``use_rep``, ``n_pcs`` and metric, with three times the perplexity neighbours of
        each row.  (Scanpy finds 15 unless told otherwise, enough for a perplexity of 5.)
    n_pcs : use the first so many columns; None is all.
    perplexity, metric, random_state : as for :class:`fasttsne.TSNE`.
    key_added : where the map goes, in ``obsm`` and ``uns``, in place of "X_tsne" and "tsne".
    copy : return a copy with the map, and leave ``adata`` as it is.
    parameters : the others of :class:`fasttsne.TSNE`.

    Returns
    -------
    None, or the copy.  Added are

    - ``obsm["X_tsne"]`` : (n_obs, n_components) float64, the map;
    - ``uns["tsne"]`` : ``{"params": ..., "kl_divergence": ...}``, what was asked for.

    Raises
    ------
    KeyError
        Naming what ``adata`` does not have, and what it has.
    """
    if "neighbors" in parameters and neighbors_key is not None:
        raise TypeError("give neighbors or neighbors_key, not both")
    adata = adata.copy() if copy else adata
    X = _representation(adata, use_rep, n_pcs)
    if "neighbors" not in parameters:
        graph = _known_graph(adata, neighbors_key, use_rep, n_pcs, metric, perplexity)
        if graph is not None:
            parameters["neighbors"] = graph
    embedding = TSNE(
        perplexity=perplexity, metric=metric, random_state=random_state, **parameters
    ).fit(X)  # fmt: skip
    params = {
        "perplexity": perplexity, "metric": metric, "use_rep": use_rep, "n_pcs": n_pcs,
        "random_state": random_state, "neighbors_key": neighbors_key, **parameters,
    }  # fmt: skip
    adata.obsm[key_added or "X_tsne"] = np.array(embedding)
    adata.uns[key_added or "tsne"] = {
        "params": {name: value for name, value in params.items() if _can_be_kept(value)},
        "kl_divergence": embedding.kl_divergence,
    }
    return adata if copy else None


def _representation(adata, use_rep, n_pcs):
    """The rows to embed."""
    if use_rep == "X":
        X = adata.X
    elif use_rep in adata.obsm:
        X = adata.obsm[use_rep]
        X = X if sp.issparse(X) else np.asarray(X)
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


def _known_graph(adata, key, use_rep, n_pcs, metric, perplexity):
    """Distances to neighbours as scanpy keeps them, or None where they do not serve."""
    if key is not None:
        return _graph(adata, key)
    if "neighbors" not in adata.uns or not isinstance(adata.uns["neighbors"], Mapping):
        return None
    params = adata.uns["neighbors"].get("params", {})
    made_of = params.get("use_rep") or "X_pca", params.get("n_pcs"), params.get("metric")
    if made_of != (use_rep, n_pcs, metric):
        log.info("the neighbours that are there are of %s: searching", made_of)
        return None
    graph = _graph(adata, "neighbors")
    fewest = int(np.diff(sp.csr_matrix(graph).indptr).min())
    wanted = min(int(NEIGHBORS_PER_PERPLEXITY * perplexity), graph.shape[0] - 1)
    if fewest < wanted:
        log.info(
            "rows have only %d neighbours there, perplexity %g takes %d: searching",
            fewest, perplexity, wanted,
        )  # fmt: skip
        return None
    log.info("using the neighbours that are there")
    return graph


def _graph(adata, key):
    if key not in adata.uns:
        raise KeyError(f"neighbors_key={key!r} is not in uns: run scanpy.pp.neighbors first")
    default = "distances" if key == "neighbors" else f"{key}_distances"
    name = adata.uns[key].get("distances_key", default)
    if name not in adata.obsp:
        raise KeyError(f"the neighbours of {key!r} should be in obsp[{name!r}], which is not there")
    return adata.obsp[name]


def _can_be_kept(value):
    """Whether .h5ad files can hold it; None they cannot."""
    return isinstance(value, (str, bool, int, float, np.number))
