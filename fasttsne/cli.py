"""The command line: ``fasttsne demo`` and ``fasttsne config``."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fasttsne._build import show_config
from fasttsne.callbacks import ErrorLogger
from fasttsne.datasets import load_digits
from fasttsne.tsne import TSNE
from fasttsne.utils import is_package_installed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0, or 2 for a user's error, in one line."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (OSError, ValueError) as error:
        print(f"fasttsne: {error}", file=sys.stderr)
        return 2
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="fasttsne", description="Fast, reproducible t-SNE.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="embed the 1,797 handwritten digits that ship with the package"
    )
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("embedding.npy"),
        help="where the map goes; the picture goes beside it as .png (default: %(default)s)",
    )  # fmt: skip
    demo.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")
    demo.add_argument("--seed", type=int, default=0, help="random state (default: %(default)s)")
    demo.set_defaults(run=_demo)
    config = commands.add_parser("config", help="print how the package was built")
    config.set_defaults(run=lambda options: show_config())
    return parser


def _demo(options):
    X, y = load_digits()
    print(f"Embedding {X.shape[0]:,} images of {X.shape[1]} pixels ...")
    start = time.perf_counter()
    embedding = TSNE(
        n_jobs=options.n_jobs, random_state=options.seed,
        callbacks=ErrorLogger(), callbacks_every_iters=125,
    ).fit(X)  # fmt: skip
    print(f"KL divergence {embedding.kl_divergence:.4f} in {time.perf_counter() - start:.2f} s")
    np.save(options.output, np.asarray(embedding))
    print(f"wrote {options.output}")
    if is_package_installed("matplotlib"):
        picture = options.output.with_suffix(".png")
        _scatter(np.asarray(embedding), y, picture)
        print(f"wrote {picture}")
    else:
        print("for a picture of it: python -m pip install matplotlib, and once more")


def _scatter(points, labels, path):
    from matplotlib.figure import Figure

    from fasttsne import plotting

    figure = Figure(figsize=(7, 7), layout="constrained")
    plotting.scatter(points, labels, figure.subplots())
    figure.savefig(path, dpi=120)
