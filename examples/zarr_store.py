"""A map of ten million rows of a zarr store, larger than the memory that it may take.

    python examples/zarr_store.py                   writes 2 GB to cells.zarr, and embeds them
    python examples/zarr_store.py --rows 100000     a hundredth of it

Needs ``pip install zarr``.
"""

import argparse

import numpy as np
import zarr

from fasttsne import TSNE, estimate_memory

N_COLUMNS, CHUNK = 50, 50_000


def write_store(path, n_rows):
    """Write clusters of ten dimensions in 50 columns, chunk by chunk."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 4, (40, N_COLUMNS))
    turns = rng.normal(0, 0.6, (40, 10, N_COLUMNS))
    store = zarr.create_array(
        path, shape=(n_rows, N_COLUMNS), chunks=(CHUNK, N_COLUMNS), dtype="float32", overwrite=True
    )
    for first in range(0, n_rows, CHUNK):
        m = min(CHUNK, n_rows - first)
        label = np.sort(rng.integers(40, size=m))
        inside = [rng.normal(size=(np.sum(label == c), 10)) @ turns[c] for c in range(40)]
        store[first : first + m] = centers[label] + np.concatenate(inside)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--store", default="cells.zarr")
    parser.add_argument("--memory-limit", default="10GB")
    parser.add_argument("--map", default="map.npy")
    options = parser.parse_args()
    write_store(options.store, options.rows)
    rows = zarr.open_array(options.store, mode="r")
    peak = estimate_memory(*rows.shape)["peak"]
    print(f"{rows.shape[0]:,} rows; without a limit a fit would take {peak / 1e9:.1f} GB")
    embedding = TSNE(memory_limit=options.memory_limit, random_state=0, verbose=True).fit(rows)
    np.save(options.map, embedding.astype(np.float32))
    print(f"KL divergence {embedding.kl_divergence:.3f}; the map is in {options.map}")


if __name__ == "__main__":
    main()
