"""The options of each command, those of TSNE's parameters made from their table."""

import argparse
import json
from pathlib import Path

from fasttsne.io import tables as files
from fasttsne.optimize.parameters import TRANSFORM, TSNE

PICTURES = (".png", ".svg", ".pdf", ".jpg", ".webp")
PAGES = (".html", ".htm")
ANIMATIONS = (".gif", ".mp4", ".webm", ".apng", ".png", ".webp")

# Parameters of TSNE that are said otherwise on the command line, or not at all.
NO_OPTIONS = ("callbacks", "verbose")
# Those that place new rows: the rest of TSNE's have been used up by the map.
FOR_NEW_ROWS = (
    "metric", "metric_params", "neighbors", "knn_kwargs", "negative_gradient_method", "dof",
    "theta", "n_jobs", "random_state",
)  # fmt: skip


def add_fit(command):
    _add_data(command, "data")
    command.add_argument(
        "-o", "--output", type=Path, default=Path("embedding.npy"),
        help="where the map goes: .npy .npz .csv .tsv .parquet (default: %(default)s)",
    )  # fmt: skip
    _add_labels(command)
    command.add_argument("--plot", type=Path, help="draw the map: " + " ".join(PICTURES))
    command.add_argument("--html", type=Path, help="a page to look around in: .html")
    command.add_argument("--animate", type=Path, help="the run as an animation: .gif .mp4 .png")
    command.add_argument(
        "--checkpoint", type=Path,
        help="keep the run in this .npz, which TSNEEmbedding.load reads and goes on from",
    )  # fmt: skip
    command.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    command.add_argument("-v", "--verbose", action="store_true", help="tell what is done")
    _add_parameters(command, "parameters of t-SNE", TSNE, leave_out=NO_OPTIONS)


def add_transform(command):
    _add_data(command, "new")
    command.add_argument("--data", type=Path, required=True, help="the rows of the map")
    command.add_argument("--map", type=Path, required=True, help="the map that fit wrote")
    command.add_argument(
        "-o", "--output", type=Path, default=Path("new.npy"),
        help="where the places of the new rows go (default: %(default)s)",
    )  # fmt: skip
    _add_parameters(command, "how rows are placed", TRANSFORM)
    _add_parameters(command, "as for fit", {name: TSNE[name] for name in FOR_NEW_ROWS})


def add_plot(command):
    command.add_argument("map", type=Path, help="the map that fit wrote")
    command.add_argument(
        "-o", "--output", type=Path, default=Path("map.png"),
        help="a picture, or a page that ends in .html (default: %(default)s)",
    )  # fmt: skip
    _add_labels(command)


def add_animate(command):
    command.add_argument(
        "frames", type=Path, help="(frames, rows, 2) array, as callbacks.EmbeddingRecorder writes"
    )
    command.add_argument("-o", "--output", type=Path, default=Path("map.gif"))
    command.add_argument(
        "--fps", type=float, default=argparse.SUPPRESS, help="frames a second (default: 25)"
    )
    command.add_argument(
        "--size", type=int, default=argparse.SUPPRESS, help="pixels a side (default: 420)"
    )
    _add_labels(command)


def add_metrics(command):
    _add_data(command, "data")
    command.add_argument("map", type=Path, help="the map that fit wrote")
    command.add_argument("-k", type=int, default=10, help="neighbours (default: %(default)s)")
    command.add_argument("--metric", default="euclidean", help="distance between rows")
    command.add_argument(
        "--leave-out", metavar="NAME", help="a column of the data that fit took for labels"
    )
    command.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")


def add_demo(command):
    command.add_argument(
        "-o", "--output", type=Path, default=Path("embedding.npy"),
        help="where the map goes; the picture goes beside it as .png (default: %(default)s)",
    )  # fmt: skip
    command.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")
    command.add_argument("--seed", type=int, default=0, help="random state (default: %(default)s)")


def _add_data(command, name):
    command.add_argument(name, type=Path, help="rows: .npy .npz .csv .tsv .parquet .h5ad .mtx")
    command.add_argument("--key", help="which array of an .npz or .h5ad file")
    command.add_argument(
        "--transpose", action="store_true", help="rows are columns, as 10x writes matrix.mtx"
    )


def _add_labels(command):
    command.add_argument(
        "--labels", help="a file with one label a row, or a column or array of the data file"
    )


def _add_parameters(command, title, table, leave_out=()):
    """An option for each parameter of a table."""
    group = command.add_argument_group(title)
    for name, parameter in table.items():
        if name not in leave_out:
            flags = [f"--{name.replace('_', '-')}"] + ["--seed"] * (name == "random_state")
            group.add_argument(
                *flags, dest=name, type=_value, default=argparse.SUPPRESS, metavar="VALUE",
                help=parameter.help.replace("%", "%%"),
            )  # fmt: skip


def _value(text):
    """A number, None, or JSON where the text is one of them, else the text."""
    if text.lower() == "none":
        return None
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            pass
    return text


def given(options, names):
    """The parameters of these names that the user gave."""
    found = {name: value for name, value in vars(options).items() if name in names}
    for name in ("initialization", "neighbors"):
        value = found.get(name)
        if isinstance(value, str) and Path(value).suffix:
            found[name] = files.read_rows(value)
    return found
