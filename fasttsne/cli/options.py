"""The options of each command, those of TSNE's parameters made from their table."""

import argparse
import json
from pathlib import Path

from fasttsne import files
from fasttsne.drawing.scatter import IMAGE_EXTENSIONS
from fasttsne.drawing.writers import WRITERS
from fasttsne.optimize.parameters import TRANSFORM, TSNE

# Parameters of TSNE that have other options, or none.
NO_OPTIONS = ("callbacks", "verbose")
# Parameters of TSNE that transform depends on: the embedding was made with the others.
FOR_NEW_ROWS = (
    "metric", "metric_params", "neighbors", "knn_kwargs", "negative_gradient_method", "dof",
    "theta", "n_jobs", "random_state",
)  # fmt: skip


def add_fit(command):
    _add_data(command, "data")
    _add_output(command, "embedding.npy", "file for the embedding: .npy .npz .csv .tsv .parquet")
    _add_labels(command)
    for name, help in (
        ("--plot", "image of the embedding: " + " ".join(IMAGE_EXTENSIONS)),
        ("--html", "interactive HTML page: .html"),
        ("--animate", "animation of the optimization: " + " ".join(WRITERS)),
    ):
        command.add_argument(name, type=Path, help=help)
    help = "save the run at intervals to this .npz, from which TSNEEmbedding.load continues"
    command.add_argument("--checkpoint", type=Path, help=help)
    command.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    command.add_argument("-v", "--verbose", action="store_true", help="print each step")
    _add_parameters(command, "parameters of t-SNE", TSNE, leave_out=NO_OPTIONS)


def add_transform(command):
    _add_data(command, "new")
    command.add_argument("--data", type=Path, required=True, help="the data that fit embedded")
    command.add_argument("--map", type=Path, required=True, help="the embedding that fit wrote")
    _add_output(command, "new.npy", "file for the embedding of the new rows")
    _add_parameters(command, "parameters of transform", TRANSFORM)
    shared = {name: TSNE[name] for name in FOR_NEW_ROWS}
    _add_parameters(command, "parameters of t-SNE, as for fit", shared)


def add_plot(command):
    command.add_argument("map", type=Path, help="the embedding that fit wrote")
    _add_output(command, "map.png", "image, or interactive HTML page: .html")
    _add_labels(command)


def add_animate(command):
    help = "(frames, rows, 2) array, as callbacks.EmbeddingRecorder writes"
    command.add_argument("frames", type=Path, help=help)
    _add_output(command, "map.gif", "animation: " + " ".join(WRITERS))
    command.add_argument("--fps", type=float, default=25, help="frames per second (default: 25)")
    help = "width and height in pixels (default: 420)"
    command.add_argument("--size", type=int, default=420, help=help)
    _add_labels(command)


def add_metrics(command):
    _add_data(command, "data")
    command.add_argument("map", type=Path, help="the embedding that fit wrote")
    command.add_argument("-k", type=int, default=10, help="number of neighbours (default: 10)")
    command.add_argument("--metric", default="euclidean", help="distance between rows")
    help = "column of the data that fit used as labels"
    command.add_argument("--leave-out", metavar="NAME", help=help)
    command.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")


def add_demo(command):
    help = "file for the embedding; the image is .png of the same name"
    _add_output(command, "embedding.npy", help)
    command.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")
    command.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")


def _add_data(command, name):
    command.add_argument(name, type=Path, help="data: .npy .npz .csv .tsv .parquet .h5ad .mtx")
    command.add_argument("--key", help="name of the array in an .npz or .h5ad file")
    help = "samples are columns, as in matrix.mtx of 10x"
    command.add_argument("--transpose", action="store_true", help=help)


def _add_output(command, default, help):
    help = f"{help} (default: %(default)s)"
    command.add_argument("-o", "--output", type=Path, default=Path(default), help=help)


def _add_labels(command):
    help = "file with one label per row, or name of a column or array in the data file"
    command.add_argument("--labels", help=help)


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
