"""A map of the rows of a zarr store, by the workers of a Dask cluster, and its picture.

    python examples/dask_store.py                          two workers on this machine
    python examples/dask_store.py --scheduler host:8786    those of a cluster that runs
    python examples/dask_store.py --rows 3500              a smaller store

Writes rows.zarr, map.npy and map.png.  Needs ``pip install 'fasttsne[dask,plot]' zarr``.
Workers on other machines have to be able to read the store: give a path that all of them have.
"""

import argparse

import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster

from fasttsne import plotting
from fasttsne.dask import TSNE

N_COLUMNS, N_CLUSTERS, CHUNK = 50, 40, 25_000


def write_store(path, n_rows):
    """Write clusters, chunk by chunk, and return which of them each row is of."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 2, (N_CLUSTERS, N_COLUMNS))
    labels = rng.integers(N_CLUSTERS, size=n_rows)
    store = zarr.create_array(
        path, shape=(n_rows, N_COLUMNS), chunks=(CHUNK, N_COLUMNS), dtype="float32", overwrite=True
    )
    for first in range(0, n_rows, CHUNK):
        part = labels[first : first + CHUNK]
        store[first : first + len(part)] = centers[part] + rng.normal(size=(len(part), N_COLUMNS))
    return labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--scheduler", help="its address; without it, two workers start here")
    parser.add_argument("--store", default="rows.zarr")
    parser.add_argument("--map", default="map.npy")
    parser.add_argument("--picture", default="map.png")
    options = parser.parse_args()
    labels = write_store(options.store, options.rows)
    address = options.scheduler or LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with Client(address) as client:
        rows = da.from_zarr(options.store)
        embedding = TSNE(client, random_state=0, verbose=True).fit(rows)
    if not options.scheduler:
        address.close()
    np.save(options.map, embedding)
    plotting.scatter(embedding, labels).figure.savefig(options.picture, dpi=150)
    print(f"KL divergence {embedding.kl_divergence:.3f}; the map is in {options.map}")


if __name__ == "__main__":
    main()
