"""What is refused on a cluster, and why: one table."""

from fasttsne.fit.request import FitRequest
from fasttsne.nearest_neighbors.builtin.metrics import METRICS

SEARCHES = "auto", "approx", "exact"
# By parameter, or method of an embedding; docs/cluster.rst lists them.
REASONS = {
    "neighbors": (
        "on a cluster, neighbors must be 'auto', 'approx' or 'exact': other searches and graphs "
        "need all rows in one process; give affinities that were made of them"
    ),
    "metric": (
        f"on a cluster, metric must be one of {', '.join(map(repr, METRICS))}: the search on "
        "workers has no others; give affinities that were made with another"
    ),
    "X": (
        "large sparse chunks would be made dense: reduce the columns first, for example by "
        "dask_ml.decomposition.TruncatedSVD, or fit with fasttsne.TSNE"
    ),
    "optimize, save": (
        "the graph of affinities was on the cluster, which has its memory back since the fit "
        "ended: optimize and save need it; prepare_initial of fasttsne.dask.TSNE brings it to this "
        "process, or fit with fasttsne.TSNE"
    ),
    "transform of an embedding": (
        "the rows of the data are on the cluster: use transform of fasttsne.dask.TSNE, which reads "
        "them there"
    ),
    "update, drop": (
        "the rows of the data are on the cluster: update and drop need them in this process, as "
        "after a fit with fasttsne.TSNE"
    ),
    "transform": ("the affinities of the last fit were given: use transform of the embedding"),
}


def refusal(name: str, found: object = None) -> ValueError:
    """Return the error for what is refused, with its value if there is one."""
    return ValueError(REASONS[name] + ("" if found is None else f"; got {found!r}"))


def check_request(request: FitRequest) -> None:
    """Raise ValueError for a search that cannot run on workers."""
    if request.affinities is not None:
        return
    neighbors, metric = request.params["neighbors"], request.params["metric"]
    if not (isinstance(neighbors, str) and neighbors in SEARCHES):
        raise refusal("neighbors", neighbors)
    if not (isinstance(metric, str) and metric in METRICS):
        raise refusal("metric", metric)
