"""t-SNE of rows on a Dask cluster: the map of the local fit, to the last bit.

``fasttsne.dask.TSNE(client, **parameters)``; see docs/cluster.rst.  It needs the extra ``dask``.
"""

from importlib.util import find_spec

# Of what is not installed the import would say nothing of the extra.
for _name in ("dask", "distributed"):
    if find_spec(_name) is None:
        raise ImportError(
            f"fasttsne.dask needs {_name}, which is not installed: pip install 'fasttsne[dask]'",
            name=_name,
        )

from fasttsne.dask.cluster import ClusterError  # noqa: E402
from fasttsne.dask.estimator import TSNE  # noqa: E402

__all__ = ["TSNE", "ClusterError"]
