"""A map that grows with a stream of batches: a picture after each, and an animation of all.

    python examples/stream.py                      digits of the package, in 6 batches
    python examples/stream.py --hold inf           earlier points do not move at all
    python examples/stream.py --window 1200        only the latest rows stay in the map

Needs ``pip install matplotlib pillow``.
"""

import argparse
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from fasttsne import TSNE, animation, plotting
from fasttsne.datasets import load_digits

FRAMES_PER_BATCH = 20


def grow(batches, hold, window):
    """Yield the map after each batch, and the numbers of its rows."""
    embedding, rows = None, np.arange(0)
    for numbers, X in batches:
        rows = np.concatenate([rows, numbers])
        if embedding is None:
            embedding = TSNE(random_state=0).fit(X)
        else:
            embedding = embedding.update(X, hold=hold)
        if len(rows) > window:
            embedding, rows = embedding.drop(np.arange(len(rows) - window)), rows[-window:]
        yield embedding, rows


def draw(embedding, labels, path):
    figure, ax = plt.subplots(figsize=(5, 5))
    plotting.scatter(embedding, labels, ax, title=f"{len(labels):,} rows")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def frames_of(maps, n_rows):
    """Yield the places of all rows: those that are not in the map are in a line beside it."""
    low = np.min([np.asarray(embedding).min(axis=0) for embedding, _ in maps], axis=0)
    high = np.max([np.asarray(embedding).max(axis=0) for embedding, _ in maps], axis=0)
    margin = 0.1 * (high[0] - low[0])
    heights = np.linspace(low[1], high[1], n_rows)
    to_come = np.column_stack([np.full(n_rows, low[0] - margin), heights])
    gone = np.column_stack([np.full(n_rows, high[0] + margin), heights])
    scenes = []
    for embedding, rows in maps:
        scene = np.where(np.arange(n_rows)[:, None] < rows.min(), gone, to_come)
        scene[rows] = embedding
        scenes.append(scene)
    for before, after in itertools.pairwise([to_come, *scenes]):
        for share in np.linspace(0, 1, FRAMES_PER_BATCH):
            smooth = share**2 * (3 - 2 * share)
            yield before + smooth * (after - before)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1797)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--hold", type=float, default=0.01)
    parser.add_argument("--window", type=int, default=10**9)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    X, labels = load_digits()
    parts = np.array_split(np.arange(min(options.rows, len(X))), options.batches)
    maps = []
    for embedding, rows in grow(((part, X[part]) for part in parts), options.hold, options.window):
        maps.append((embedding, rows))
        path = options.folder / f"batch_{len(maps)}.png"
        draw(embedding, labels[rows], path)
        print(f"{path}: {len(rows):,} rows, KL divergence {embedding.kl_divergence:.3f}")
    n_rows = parts[-1][-1] + 1
    frames = list(frames_of(maps, n_rows))
    path = options.folder / "stream.gif"
    animation.save(frames, path=path, labels=labels[:n_rows], progress=False)
    print(path)


if __name__ == "__main__":
    main()
