"""t-SNE for annotated data: ``fasttsne.scanpy.tsne(adata)`` in place of ``scanpy.tl.tsne``.

Works on any object with ``X``, ``obsm``, ``obsp`` and ``uns``; neither scanpy nor anndata is
imported, but where principal components are missing.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fasttsne.affinity.families import check_perplexity
from fasttsne.embedding import TSNEEmbedding
from fasttsne.nearest_neighbors.builtin.ranks import make_distances
from fasttsne.nearest_neighbors.exact import Exact
from fasttsne.nearest_neighbors.select import n_neighbors_for
from fasttsne.runtime.typing import Metric, Params, RandomState, Rows, Settings
from fasttsne.runtime.validation import check_choice, check_number
from fasttsne.tsne import TSNE
from fasttsne.utils import require, warn_user

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client
    from pandas import Index as Names

    from fasttsne.reports import Report

__all__ = ["report", "tsne", "update"]

Matrix: TypeAlias = np.ndarray | sp.csr_matrix

log = logging.getLogger(__name__)

# Up to so many columns, scanpy takes ``adata.X`` where ``use_rep`` is not given.
MAX_COLUMNS_OF_X = 50
# Rows of a graph, and neighbours of each, whose distances are compared.
N_COMPARED = 10
# Components whose largest difference is at most this share of the largest number are equal.
TOLERANCE = 1e-3
# Rows that are looked at for raw counts, which are integers of which some are larger than this.
N_COUNTED, LARGEST_SCORE = 1000, 20
# Parameters that ``update`` and ``report`` make the map's affinities and plan by.
OF_MAP = (
    "perplexity",
    "metric",
    "metric_params",
    "neighbors",
    "knn_kwargs",
    "dof",
    "exaggeration",
    "negative_gradient_method",
    "density_weight",
    "random_state",
    "n_jobs",
)


def tsne(
    adata: "AnnData",
    n_pcs: int | None = None,
    *,
    use_rep: str | None = None,
    perplexity: float | Sequence[float] = 30,
    metric: Metric = "euclidean",
    random_state: RandomState = 0,
    use_fast_tsne: bool = False,
    n_jobs: int | None = -1,
    key_added: str | None = None,
    copy: bool = False,
    neighbors_key: str | None = None,
    client: "Client | None" = None,
    **parameters: object,
) -> "AnnData | None":
    """Embed the observations of an AnnData object.

    Parameters
    ----------
    adata : the object, to which the embedding is added.
    n_pcs : number of columns of ``obsm[use_rep]`` to use, the first ones; None is all.  As in
        scanpy, all columns of ``adata.X`` are used.
    use_rep : the member of ``obsm`` that is embedded, or "X" for ``adata.X``.  None is what scanpy
        takes: ``adata.X`` if it has at most 50 columns or ``n_pcs`` is 0, else "X_pca", which
        ``scanpy.pp.pca`` makes, with a warning, if it is missing.
    perplexity, metric, random_state, n_jobs : as for :class:`fasttsne.TSNE`.
    use_fast_tsne : scanpy's; it has no effect.
    key_added : key in ``obsm`` and ``uns``, instead of "X_tsne" and "tsne".
    copy : return a copy with the embedding, and leave ``adata`` unchanged.
    neighbors_key : use the neighbours of ``scanpy.pp.neighbors(..., key_added=neighbors_key)``
        instead of a search; "neighbors" is scanpy's default key.  None uses those of the
        default key if they are equivalent to a search: of the same ``use_rep``, ``n_pcs``, metric
        and ``metric_params``, and at least three times the perplexity for each row.  (Scanpy's
        default is 15 neighbours, enough for a perplexity of 4: it counts the row itself.)
    client : a ``distributed.Client``; None is the current one, if there is one.  Where what is
        embedded is a Dask array, its cluster does the fit (:class:`fasttsne.dask.TSNE`), to the
        same bits, and neighbours are searched for.
    parameters : the others of :class:`fasttsne.TSNE`, whose defaults these are: of
        ``learning_rate``, too, which is 1000 in scanpy.

    Returns
    -------
    None, or the copy.  Added are

    - ``obsm["X_tsne"]`` : (n_obs, n_components) float32, the embedding;
    - ``uns["tsne"]`` : ``{"params": ..., "kl_divergence": ...}``, the parameters and result.

    Raises
    ------
    KeyError
        If ``adata`` has no such member; the message lists those that it has.
    """
    if "neighbors" in parameters and neighbors_key is not None:
        raise TypeError("give neighbors or neighbors_key, not both")
    adata = adata.copy() if copy else adata
    X, use_rep, n_pcs = _choose_representation(adata, use_rep, n_pcs)
    given = {
        "perplexity": perplexity,
        "metric": metric,
        "random_state": random_state,
        "n_jobs": n_jobs,
        **parameters,
    }
    is_distributed = _is_dask_array(X) and (client is not None or _has_client())
    if is_distributed and neighbors_key is not None:
        raise ValueError("neighbors_key must be None where a Dask cluster does the fit")
    if "neighbors" not in parameters and not is_distributed:
        kwds = parameters.get("metric_params")
        asked = {"use_rep": use_rep, "n_pcs": n_pcs, "metric": metric, "metric_kwds": kwds}
        graph = _existing_neighbors(adata, X, neighbors_key, perplexity, asked)
        if graph is not None:
            parameters["neighbors"] = graph
    fitted: Params = {**given, **parameters}
    if is_distributed:
        from fasttsne.dask.estimator import TSNE as ClusterTSNE

        embedding = ClusterTSNE(client, **fitted).fit(X)
    else:
        embedding = TSNE(**fitted).fit(X)
    params = {**given, "use_rep": use_rep, "n_pcs": n_pcs, "neighbors_key": neighbors_key}
    _store(adata, key_added, embedding, params)
    adata.uns[key_added or "tsne"]["kl_divergence"] = embedding.kl_divergence
    return adata if copy else None


def update(
    adata: "AnnData",
    new: "AnnData",
    *,
    hold: float = np.inf,
    n_iter: int | str = "auto",
    random_state: RandomState = 0,
    key_added: str | None = None,
    **parameters: object,
) -> None:
    """Let the observations of a second sample join the map of a first one.

    Neighbours are searched for anew in the representation that the map was made of, so that it
    works in another session, too, after ``write_h5ad`` and ``read_h5ad``, and for a subset of the
    cells.  The representation itself must be unchanged.

    Parameters
    ----------
    adata : the first sample, with the map and its parameters, as :func:`tsne` leaves it.
    new : the second sample, to which its part of the map is added.  If the map is of ``X``, it
        needs all variables of ``adata``.  If it is of "X_pca" and ``adata.varm`` has the
        loadings "PCs", its ``X`` is projected on them, and both are added; principal components
        of its own would be on other axes and are refused.  Any other representation must be in
        ``new.obsm``, made in the same way as in ``adata``.
    hold : how strongly the old points stay where they are, as for
        :meth:`fasttsne.TSNEEmbedding.update`.  Infinity pins them; otherwise they move in
        ``adata.obsm``, too.
    n_iter, random_state : as for :meth:`fasttsne.TSNEEmbedding.update`.
    key_added : the key that the map has, if it was given one.
    parameters : in place of those in ``adata.uns``, or if they could not be kept there, such as
        a function as the metric: ``use_rep``, ``n_pcs`` and those of :class:`fasttsne.TSNE`.

    Raises
    ------
    KeyError
        If ``adata`` has no map, or ``new`` lacks the representation or variables.
    ValueError, TypeError
        If the representations do not fit together, or a parameter must be given.
    """
    _, embedding, params = _map_of(adata, key_added, parameters)
    projection = _projection(adata) if params["use_rep"] == "X_pca" else None
    rows = _new_representation(adata, new, projection, params["use_rep"], params["n_pcs"])
    joined = embedding.update(rows, hold=hold, n_iter=n_iter, random_state=random_state)
    if projection is not None and "X_pca" not in new.obsm:
        new.obsm["X_pca"], new.varm["PCs"] = projection.of(new), projection.loadings_of(new)
    _store(new, key_added, np.asarray(joined)[len(embedding) :], params)
    if not np.isinf(hold):
        _store(adata, key_added, np.asarray(joined)[: len(embedding)], params)


def report(
    adata: "AnnData",
    labels: str | ArrayLike | None = None,
    *,
    key_added: str | None = None,
    sample: int | str | None = "auto",
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
    **parameters: object,
) -> "Report":
    """Measure how far the map of an AnnData object can be trusted.

    It compares the map with the representation that it was made of (:func:`fasttsne.report`).

    Parameters
    ----------
    adata : with a map, of :func:`tsne`, :func:`update` or ``scanpy.tl.tsne``.
    labels : the name of a column of ``adata.obs``, or (n_obs,) classes or values.
    key_added : the key that the map has, if it was given one.
    sample, random_state, n_jobs : as for :func:`fasttsne.report`.
    parameters : as for :func:`update`.
    """
    from fasttsne.reports import report as report_of_rows  # late, for a fast start

    if isinstance(labels, str):
        if labels not in adata.obs:
            raise KeyError(
                f"labels must be values or a column of obs, {_names(adata.obs)}; got {labels!r}"
            )
        labels = adata.obs[labels]
    X, embedding, _ = _map_of(adata, key_added, parameters)
    embedding.optimize(0, inplace=True)  # its KL divergence
    vars(embedding)["optimizer"] = None  # how many iterations the map had is not known
    return report_of_rows(X, embedding, labels, sample, random_state, n_jobs)


def _store(adata: "AnnData", key_added: str | None, points: ArrayLike, params: Params) -> None:
    """Add a map and its parameters, as far as an .h5ad file can hold them, to an object."""
    kept = {name: _as_h5ad(value) for name, value in params.items()}
    left_out = [name for name, value in kept.items() if value is None and params[name] is not None]
    result: dict[str, object] = {"params": {n: v for n, v in kept.items() if v is not None}}
    needed = sorted(set(left_out) & set(OF_MAP) - {"neighbors", "random_state"})
    if needed:
        result["not_kept"] = np.array(needed, dtype=object)
    adata.obsm[key_added or "X_tsne"] = np.array(points, np.float32)
    adata.uns[key_added or "tsne"] = result


def _as_h5ad(value: object) -> object:
    """Return a parameter as an .h5ad file can store it, or None."""
    if isinstance(value, Mapping):
        entries = {name: _as_h5ad(entry) for name, entry in value.items()}
        return None if any(entry is None for entry in entries.values()) else entries
    if isinstance(value, (list, tuple, np.ndarray)) and np.asarray(value).dtype.kind in "fiub":
        return np.array(value)
    return value if isinstance(value, (str, bool, int, float, np.number)) else None


def _map_of(
    adata: "AnnData", key_added: str | None, given: Params
) -> tuple[Rows, TSNEEmbedding, Params]:
    """Return the rows that a map is of, the map with affinities made anew, and its parameters."""
    key, name = key_added or "tsne", key_added or "X_tsne"
    if name not in adata.obsm or not isinstance(adata.uns.get(key), Mapping):
        raise KeyError(
            f"there is no map in obsm[{name!r}] with its parameters in uns[{key!r}]: run "
            "fasttsne.scanpy.tsne first; anndata.concat keeps uns with uns_merge='same'"
        )
    for each in given:
        check_choice(each, "name of a parameter", ("use_rep", "n_pcs", *OF_MAP))
    params = {**adata.uns[key].get("params", {}), **given}
    missing = [each for each in adata.uns[key].get("not_kept", ()) if each not in given]
    if missing:
        raise TypeError(
            f"{', '.join(missing)} of the map could not be kept in uns[{key!r}]: give it again, "
            f"{missing[0]}=..."
        )
    X, use_rep, n_pcs = _choose_representation(adata, params.get("use_rep"), params.get("n_pcs"))
    if _is_dask_array(X):
        raise TypeError(
            f"the representation {use_rep!r} is a Dask array, which only tsne takes: compute it"
        )
    points = np.asarray(adata.obsm[name], np.float64)
    of_map = {each: params[each] for each in OF_MAP if each in params}
    embedding = TSNE(points.shape[1], **of_map).prepare_initial(X, initialization=points)
    return X, embedding, {**params, "use_rep": use_rep, "n_pcs": n_pcs}


def _new_representation(
    adata: "AnnData",
    new: "AnnData",
    projection: "_Projection | None",
    use_rep: str,
    n_pcs: int | None,
) -> Matrix:
    """Return the rows of a second sample in the representation of the first."""
    if use_rep == "X":
        return _representation(_with_variables(new, adata.var_names), "X", None)
    if use_rep not in new.obsm and projection is None:
        reason = "; it cannot be computed, as X @ varm['PCs'] of the first one is not its X_pca"
        raise KeyError(
            f"the second sample needs obsm[{use_rep!r}], made as that of the first one; it has "
            f"{_names(new.obsm)}{reason if use_rep == 'X_pca' else ''}"
        )
    if projection is None:
        if use_rep == "X_pca":
            _check_loadings(adata, new)
        return _representation(new, use_rep, n_pcs)
    projected = projection.of(new)
    if use_rep in new.obsm and not _are_close(projected, new.obsm[use_rep]):
        raise ValueError(
            "obsm['X_pca'] of the second sample is on other axes than that of the first one: "
            "delete it, and its X is projected on varm['PCs'] of the first sample; or give "
            "use_rep a representation that both have"
        )
    return projected[:, :n_pcs]


def _check_loadings(adata: "AnnData", new: "AnnData") -> None:
    """Refuse components of two samples whose loadings, where both have them, are others."""
    if not ("PCs" in adata.varm and "PCs" in new.varm):
        return
    names = adata.var_names.intersection(new.var_names)
    old, found = (
        np.nan_to_num(np.asarray(each.varm["PCs"], np.float64)[each.var_names.get_indexer(names)])
        for each in (adata, new)
    )
    if old.size and not _are_close(old, found):
        raise ValueError(
            "varm['PCs'] of the second sample are others than those of the first one, so that its "
            "obsm['X_pca'] is on other axes: make the components of both samples together, or "
            "give use_rep a representation that both have"
        )


def _with_variables(new: "AnnData", names: "Names") -> "AnnData":
    missing = names.difference(new.var_names)
    if len(missing):
        raise KeyError(
            f"the second sample lacks {len(missing)} of {len(names)} variables of the first one, "
            f"the first {missing[0]!r}"
        )
    return new[:, names]


class _Projection(NamedTuple):
    """Principal components: ``X @ loadings - offset`` of the variables with these names."""

    names: "Names"
    loadings: np.ndarray
    offset: np.ndarray

    def of(self, adata: "AnnData") -> np.ndarray:
        """Return the components of all observations, float32."""
        X = _representation(_with_variables(adata, self.names), "X", None)
        return np.asarray(X @ self.loadings - self.offset, np.float32)

    def loadings_of(self, adata: "AnnData") -> np.ndarray:
        """Return the loadings of all variables, with zeros for those that have none."""
        loadings = np.zeros((adata.n_vars, self.loadings.shape[1]))
        loadings[adata.var_names.get_indexer(self.names)] = self.loadings
        return loadings


def _projection(adata: "AnnData") -> _Projection | None:
    """Return the projection that gives ``obsm["X_pca"]``, or None if it is not known.

    It is not where ``adata.X`` was changed after the components were made.
    """
    if adata.X is None or "PCs" not in adata.varm:
        return None
    # Variables that were left out have zeros, or NaN in files of old versions of scanpy.
    loadings = np.nan_to_num(np.asarray(adata.varm["PCs"], np.float64))
    is_used = loadings.any(axis=1)
    names, zero = adata.var_names[is_used], np.zeros(loadings.shape[1])
    some = np.unique(np.linspace(0, adata.n_obs - 1, N_COMPARED).astype(int))
    uncentered = _Projection(names, loadings[is_used], zero).of(adata[some])
    components = np.asarray(adata.obsm["X_pca"][some])
    if components.shape != uncentered.shape:
        return None
    offset = (uncentered - components).mean(axis=0)  # the mean that the components had
    if not _are_close(uncentered, components + offset):
        return None
    return _Projection(names, loadings[is_used], offset)


def _are_close(expected: np.ndarray, found: np.ndarray) -> bool:
    """Return whether components are equal but for rounding."""
    if expected.shape != found.shape:
        return False
    return bool(np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max())


def _is_dask_array(X: object) -> bool:
    """Whether X is one; Dask is not imported."""
    return type(X).__module__.startswith("dask.array") and hasattr(X, "dask")


def _has_client() -> bool:
    """Whether there is a current client of Dask."""
    distributed = sys.modules.get("distributed")
    try:
        return distributed is not None and distributed.default_client() is not None
    except ValueError:
        return False


def _choose_representation(
    adata: "AnnData", use_rep: str | None, n_pcs: int | None
) -> tuple[Matrix, str, int | None]:
    """Return the rows to embed, their representation, and how many of its columns; X has all."""
    if use_rep is None:
        use_rep = "X" if n_pcs == 0 else _default_representation(adata)
        if use_rep not in ("X", *adata.obsm):
            _make_components(adata, n_pcs)
    n_pcs = None if use_rep == "X" else n_pcs
    return _representation(adata, use_rep, n_pcs), use_rep, n_pcs


def _default_representation(adata: "AnnData") -> str:
    """Return what scanpy takes: the principal components where there are many variables."""
    return "X" if 0 < adata.n_vars <= MAX_COLUMNS_OF_X else "X_pca"


def _make_components(adata: "AnnData", n_pcs: int | None) -> None:
    try:
        scanpy = require("scanpy", "use_rep=None without X_pca in obsm", "scanpy")
    except ImportError as error:
        raise KeyError(
            "obsm has no 'X_pca', which scanpy.pp.pca(adata) makes; give use_rep='X' or a member "
            f"of obsm, {_names(adata.obsm)}"
        ) from error
    if n_pcs is not None:
        check_number(n_pcs, "n_pcs", low=1, high=min(adata.shape) - 1, integer=True)
    warn_user(
        "obsm has no X_pca: scanpy.pp.pca makes it, with its defaults; use_rep='X' embeds the "
        f"{adata.n_vars} columns of X"
    )
    _warn_of_counts(adata.X)
    scanpy.pp.pca(adata, n_comps=n_pcs)


def _representation(adata: "AnnData", use_rep: str, n_pcs: int | None) -> Matrix:
    """Return the rows to embed."""
    if use_rep == "X":
        X = adata.X
        X = X.to_memory() if hasattr(X, "to_memory") else X  # a sparse matrix in a file
        _warn_of_counts(X)
        return X
    if use_rep not in adata.obsm:
        hint = "; scanpy.pp.pca(adata) makes X_pca" if use_rep == "X_pca" else ""
        raise KeyError(
            f"use_rep must be 'X' or in obsm, {_names(adata.obsm)}; got {use_rep!r}{hint}"
        )
    X = adata.obsm[use_rep]
    X = X if sp.issparse(X) or _is_dask_array(X) else np.asarray(X)
    if n_pcs is None:
        return X
    if not 1 <= n_pcs <= X.shape[1]:
        raise ValueError(f"n_pcs must be from 1 to {X.shape[1]}, the columns; got {n_pcs}")
    return X[:, :n_pcs]


def _names(members: Iterable[str]) -> str:
    return ", ".join(map(repr, members)) or "empty"


def _warn_of_counts(X: Matrix) -> None:
    """Warn where X is not normalized, by some of its rows."""
    if _is_dask_array(X):
        return
    rows = X[:N_COUNTED]
    values: np.ndarray = np.asarray(rows.data if sp.issparse(rows) else rows)
    if values.dtype.kind not in "fiu" or not values.size or values.min() < 0:
        return
    if values.max() > LARGEST_SCORE and (values == np.floor(values)).all():
        warn_user(
            f"X looks like raw counts, integers up to {values.max():g}, which differ mostly in "
            "sequencing depth: first run scanpy.pp.normalize_total(adata), scanpy.pp.log1p(adata)"
        )


def _existing_neighbors(
    adata: "AnnData", X: Matrix, key: str | None, perplexity: float | Sequence[float], asked: Params
) -> sp.spmatrix | None:
    """Return the distances to neighbours that scanpy stored, or None if a search is needed.

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
    if not is_named:
        source["use_rep"] = _default_representation(adata)
    if not all(_are_equal(source[name], asked[name]) for name in asked):
        log.info("the neighbours in uns are of %s: searching", source)
        return None
    graph = _graph(adata, "neighbors")
    rows = sp.csr_matrix(graph)
    n_stored = int(np.diff(rows.indptr).min())
    check_perplexity(perplexity)
    n_needed = max(min(n_neighbors_for(np.max(perplexity)), graph.shape[0] - 1), 1)
    if n_stored < n_needed:
        message = "rows have only %d neighbours in uns, perplexity %s needs %d: searching"
        log.info(message, n_stored, perplexity, n_needed)
        return None
    if not is_named and not _are_distances_of(X, rows, asked["metric"], asked["metric_kwds"]):
        log.info("the neighbours in uns are of other rows than %s: searching", asked["use_rep"])
        return None
    log.info("using the neighbours in uns")
    return graph


def _are_equal(stored: object, asked: object) -> bool:
    """Whether two settings are the same: None and no further ones are, too."""
    if isinstance(stored, Mapping) or isinstance(asked, Mapping):
        stored, asked = ({} if each is None else each for each in (stored, asked))
        return (
            isinstance(stored, Mapping)
            and isinstance(asked, Mapping)
            and stored.keys() == asked.keys()
            and all(np.array_equal(stored[name], asked[name]) for name in stored)
        )
    return bool(stored == asked)


def _are_distances_of(
    X: Matrix, graph: sp.csr_matrix, metric: Metric, metric_params: Settings
) -> bool:
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


def _graph(adata: "AnnData", key: str) -> sp.spmatrix:
    if key not in adata.uns:
        raise KeyError(f"neighbors_key={key!r} is not in uns: run scanpy.pp.neighbors first")
    default = "distances" if key == "neighbors" else f"{key}_distances"
    name = adata.uns[key].get("distances_key", default)
    if name not in adata.obsp:
        raise KeyError(
            f"the neighbours of {key!r} should be in obsp[{name!r}], which does not exist"
        )
    return adata.obsp[name]
