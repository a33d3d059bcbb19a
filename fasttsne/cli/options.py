"""The options of each command, those of TSNE's parameters made from their table."""

import csv
import json
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Collection, Mapping
from pathlib import Path

from fasttsne import files
from fasttsne.drawing.frames import WRITERS
from fasttsne.drawing.style import IMAGE_EXTENSIONS
from fasttsne.io.formats import NO_ADDRESS, READABLE, WRITABLE
from fasttsne.io.table import Table
from fasttsne.optimize.parameters import TRANSFORM, TSNE, Parameter
from fasttsne.optimize.plan import split_iterations
from fasttsne.reports.catalogue import MEANINGS
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import is_address
from fasttsne.tsne import TSNE as Estimator

# Other names of parameters: those of scikit-learn, and usual ones.
SYNONYMS = {
    "random_state": ("seed",),
    "initialization": ("init",),
    "theta": ("angle",),
    "negative_gradient_method": ("method",),
}
# The command line makes the same map each time, unless it is asked for another.
SEED = 0
SEED_HELP = f"random seed, an integer; none for another map each time (default: {SEED})"
# Parameters whose value may be a file.
WITH_FILES = ("initialization", "neighbors", "global_reference")
# Parameters of TSNE that have other options, or none.
NO_OPTIONS = ("callbacks", "verbose")
# Parameters of TSNE that transform depends on, and that embeddings of .npz and .parquet remember.
SEARCH = ("metric", "metric_params", "neighbors", "knn_kwargs")
FOR_NEW_ROWS = (*SEARCH, "negative_gradient_method", "dof", "theta", "n_jobs", "random_state")
REMEMBERED = (*FOR_NEW_ROWS, "perplexity")


def add_fit(command: ArgumentParser) -> None:
    add = command.add_argument
    _add_data(command, "data")
    help = f"file for the embedding: {' '.join(WRITABLE)}; tables of text also compressed (.csv.gz)"
    _add_output(command, "embedding.npy", help)
    _add_labels(command)
    add("--plot", type=_path, help=f"image of the embedding: {' '.join(IMAGE_EXTENSIONS)}")
    add("--html", type=_path, help="interactive HTML page: .html")
    add("--animate", type=_path, help=f"animation of the optimization: {' '.join(WRITERS)}")
    _add_save(command)
    add("-q", "--quiet", action="store_true", help="show no progress")
    add("-v", "--verbose", action="store_true", help="print each step")
    _add_parameters(command, "parameters of t-SNE", TSNE, leave_out=NO_OPTIONS)
    command.set_defaults(random_state=SEED)
    help = "iterations of both phases together, as in scikit-learn; instead of --n-iter"
    add("--max-iter", type=int, metavar="VALUE", help=help)


def add_transform(command: ArgumentParser) -> None:
    add = command.add_argument
    _add_data(command, "new")
    add("--data", type=_path, required=True, help="the data that fit embedded")
    add("--map", type=_path, required=True, help="the embedding that fit wrote")
    _add_output(command, "new.npy", "file for the embedding of the new rows")
    help = "name of the array in the file of --data (default: that of --key)"
    add("--data-key", "--data-dataset", help=help)
    _add_parameters(command, "parameters of transform", TRANSFORM, leave_out=("out",))
    shared = {name: TSNE[name] for name in FOR_NEW_ROWS}
    _add_parameters(command, "parameters of t-SNE, as for fit", shared)


def add_update(command: ArgumentParser) -> None:
    add = command.add_argument
    add("map", type=_path, help="the file that fit or update wrote for --save")
    _add_data(command, "new")
    help = "the rows of the map, in their order, if its file was saved with --keep index"
    add("--data", type=_path, help=help)
    _add_output(command, "updated.npy", "file for the embedding: rows of the map, then new ones")
    _add_save(command)
    help = (
        "how strongly the points of the map stay where they are: inf pins them, 0 lets them go "
        "(default: inf)"
    )
    add("--hold", type=float, default=SUPPRESS, metavar="VALUE", help=help)
    help = (
        "iterations; auto is 40 of the new points and, where --hold is finite, an annealing and "
        "the main phase of all after them (default: auto)"
    )
    add("--n-iter", type=_value, default=SUPPRESS, metavar="VALUE", help=help)
    add("--random-state", "--seed", type=_value, default=SEED, metavar="VALUE", help=SEED_HELP)


def add_plot(command: ArgumentParser) -> None:
    add = command.add_argument
    add("map", type=_path, help="the embedding that fit wrote")
    _add_output(command, "map.png", "image, or interactive HTML page: .html")
    _add_labels(command)
    help = "file with the column of --labels and the rows of the map, in their order"
    add("--data", type=_path, help=help)
    help = "column of --data that names the rows, if it has another name there than in the map"
    add("--id", metavar="NAME", help=help)
    add("--key", "--dataset", help="name of the array in the file of --data")


def add_animate(command: ArgumentParser) -> None:
    add = command.add_argument
    add("frames", type=_path, help="(frames, rows, 2) array, as callbacks.EmbeddingRecorder writes")
    _add_output(command, "map.gif", "animation: " + " ".join(WRITERS))
    add("--fps", type=float, default=25, help="frames per second (default: 25)")
    add("--size", type=int, default=420, help="width and height in pixels (default: 420)")
    _add_labels(command)


def add_metrics(command: ArgumentParser) -> None:
    _add_data(command, "data")
    command.add_argument("map", type=_path, help="the embedding that fit wrote")
    command.add_argument("-k", type=int, default=10, help="number of neighbours (default: 10)")
    _add_metric(command)
    _add_n_jobs(command)


def add_report(command: ArgumentParser) -> None:
    add = command.add_argument
    add("map", type=_path, help="the embedding, of fit or of another program")
    _add_data(command, "data")
    _add_labels(command)
    add("--html", type=_path, help="page to write: .html")
    add("--json", action="store_true", help="print JSON instead of a table")
    help = "exit with code 3 if a score is below a limit, as trustworthiness=.95; may be repeated"
    metavar = "SCORE=LIMIT"
    add("--fail-under", type=_limit, action="append", default=[], metavar=metavar, help=help)
    help = "rows that are compared with all others, or none for all (default: auto)"
    add("--sample", type=_value, default="auto", help=help)
    _add_metric(command)
    help = "of the graph of neighbours (default: that of the map where its file says it, or 30)"
    add("--perplexity", type=float, help=help)
    _add_n_jobs(command)
    _add_seed(command)


def add_demo(command: ArgumentParser) -> None:
    help = "file for the embedding; the image is .png of the same name"
    _add_output(command, "embedding.npy", help)
    _add_n_jobs(command)
    _add_seed(command)


def _add_data(command: ArgumentParser, name: str) -> None:
    add = command.add_argument
    help = f"data: {' '.join(READABLE)}; tables of text may be compressed (.csv.gz)"
    add(name, type=_path, help=help)
    help = "columns of a table to use, with commas between them, or * and ? in them"
    add("--columns", type=_names, action="extend", metavar="NAMES", help=help)
    help = "columns of a table that are not used"
    add("--drop", "--leave-out", type=_names, action="extend", metavar="NAMES", help=help)
    help = "column that names the rows: it is not used, and is written with the embedding"
    add("--id", metavar="NAME", help=help)
    add("--key", "--dataset", help="name of the array in an .npz, .h5ad, .h5 or .zarr file")
    help = "samples are columns, as in matrix.mtx of 10x"
    add("--transpose", action="store_true", help=help)


def _add_metric(command: ArgumentParser) -> None:
    help = "distance between rows (default: that of the map where its file says it)"
    command.add_argument("--metric", help=help)


def _add_n_jobs(command: ArgumentParser) -> None:
    command.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")


def _add_seed(command: ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")


def _add_output(command: ArgumentParser, default: str, help: str) -> None:
    help = f"{help} (default: %(default)s)"
    command.add_argument("-o", "--output", type=_path, default=Path(default), help=help)


def _add_save(command: ArgumentParser) -> None:
    help = "file from which update goes on: .npz"
    command.add_argument("--save", type=_path, metavar="FILE", help=help)
    help = (
        "what that file has besides the embedding: rows, all that update needs; or index, with "
        "which update must be given the rows again (default: rows)"
    )
    command.add_argument("--keep", choices=("rows", "index"), default="rows", help=help)


def _add_labels(command: ArgumentParser) -> None:
    help = "file with one label per row, or name of a column or array in the data file"
    command.add_argument("--labels", "--label", help=help)


def _add_parameters(
    command: ArgumentParser,
    title: str,
    table: Mapping[str, Parameter],
    leave_out: Collection[str] = (),
) -> None:
    """Add an option for each parameter of a table."""
    files = ", ".join(_flag(name) for name in WITH_FILES if name in table)
    text = f"Values are numbers, words, none, or JSON for lists and dictionaries; {files}: files "
    group = command.add_argument_group(title, f"{text}of arrays, too.")
    for name, parameter in table.items():
        if name not in leave_out:
            flags = [_flag(each) for each in (name, *SYNONYMS.get(name, ()))]
            help = SEED_HELP if name == "random_state" else parameter.help.replace("%", "%%")
            group.add_argument(
                *flags, dest=name, type=_value, default=SUPPRESS, metavar="VALUE", help=help
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _names(text: str) -> list[str]:
    """Return the names in a text, as in a line of a .csv file."""
    return next(csv.reader([text]), [])


def _path(text: str) -> Path:
    if is_address(text):
        raise ArgumentTypeError(NO_ADDRESS.format(text))
    return Path(text)


def _limit(text: str) -> tuple[str, float]:
    """Return the name and the number of SCORE=LIMIT."""
    name, sign, number = text.partition("=")
    if name not in MEANINGS:
        raise ArgumentTypeError(f"{name!r} is none of {', '.join(MEANINGS)}")
    try:
        return name, float(number if sign else "")
    except ValueError:
        raise ArgumentTypeError(f"{text!r}: write SCORE=LIMIT, as {name}=.9") from None


def _value(text: str) -> object:
    """Return a number, None, or JSON where the text is one of them, else the text."""
    if text.lower() == "none":
        return None
    for read in (json.loads, float):
        try:
            return read(text)
        except ValueError:
            pass
    return text


def remembered(tsne: Estimator, table: Table) -> dict[str, object]:
    """Return what new rows need of a fit: columns, and parameters if JSON can express them."""
    params = tsne.get_params()
    kept = {name: params[name] for name in REMEMBERED} | {"columns": table.names or None}
    return {name: value for name, value in kept.items() if value is not None and _is_json(value)}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def given(options: Namespace, names: Collection[str]) -> Params:
    """Return the parameters of these names that the user gave."""
    found = {name: value for name, value in vars(options).items() if name in names}
    max_iter = vars(options).get("max_iter")
    if max_iter is not None:
        if "n_iter" in found:
            raise ValueError("give either --max-iter or --n-iter, not both")
        phases = split_iterations(max_iter, found.get("early_exaggeration_iter", "auto"))
        found["early_exaggeration_iter"], found["n_iter"] = phases
    for name in WITH_FILES:
        value = found.get(name)
        if isinstance(value, str) and Path(value).suffix:
            found[name] = files.read_rows(value)
    return found
