"""t-SNE of rows on a Dask cluster: the map of the local fit, to the last bit.

``fasttsne.dask.TSNE(client, **parameters)``; see docs/cluster.rst.  It needs the extra ``dask``.
"""

try:
    import dask.array as _  # noqa: F401
    import distributed as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fasttsne.dask needs Dask and its distributed scheduler: pip install 'fasttsne[dask]'"
    ) from error

from fasttsne.dask.estimator import TSNE

__all__ = ["TSNE"]
