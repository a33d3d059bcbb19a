"""What the commands read and write: data, embeddings, labels, pictures, and standard streams."""

import contextlib
import functools
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from fasttsne import animation, files, plotting
from fasttsne.callbacks import EmbeddingRecorder
from fasttsne.cli.options import WITH_FILES
from fasttsne.drawing.frames import WRITERS, find_writer
from fasttsne.drawing.style import HTML_EXTENSIONS, IMAGE_EXTENSIONS
from fasttsne.embedding import TSNEEmbedding
from fasttsne.embedding.new_rows import as_new_rows, check_new_rows
from fasttsne.io import codec
from fasttsne.io.atomic import atomic_write
from fasttsne.io.formats import NO_ADDRESS, has_keys, is_coordinate, read_columns, to_array
from fasttsne.io.table import Table, extension, list_names, no_such_column
from fasttsne.runtime.rows import is_sparse, load_sparse
from fasttsne.runtime.typing import FilePath, Rows
from fasttsne.runtime.validation import check_data, is_address
from fasttsne.utils import require

# Options that say where the rows may be.
LIMITS = ("memory_limit", "temp_folder")
# Files whose columns have names.
TABLES = (".csv", ".tsv", ".parquet")
# What options name files, of all commands: those that are written, and those that are read, of
# which some may also be other values, such as the name of a column.
OUTPUTS = {
    "output": "-o",
    "save": "--save",
    "checkpoint": "--checkpoint",
    "plot": "--plot",
    "html": "--html",
    "animate": "--animate",
}
INPUTS = ("data", "new", "map", "frames", "labels", "id", *WITH_FILES)


class Stream:
    """A standard stream, None where the process has none, that never fails a command.

    From its first failure on, such as a closed pipe or a full disk, what is written is dropped: a
    map that took hours is worth more than the lines about it.  ``failure`` is that OSError.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        self._attempt(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(lambda stream: stream.flush())

    def _attempt(self, action: Callable[[TextIO], object]) -> None:
        if self._stream is None or self.failure is not None:
            return
        try:
            action(self._stream)
        except OSError as error:
            self.failure = error
            # What is left in the buffer would fail again when the interpreter ends.
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as null:
                os.dup2(null.fileno(), self._stream.fileno())


def print_error(message: str) -> None:
    """Print one line on standard error."""
    print("fasttsne:", " ".join(message.split()), file=sys.stderr)


def check_files_differ(options: Namespace) -> None:
    """Raise ValueError where a command would replace what it reads or also writes, by any link.

    Only the file of ``--save`` may be the map that ``update`` reads: it is the next one.
    """
    values = vars(options).items()
    given = {name: value for name, value in values if isinstance(value, (str, os.PathLike))}
    written = [name for name in OUTPUTS if name in given]
    for i, name in enumerate(written):
        option, path = OUTPUTS[name], given[name]
        for other in INPUTS:
            is_next = (name, other) == ("save", "map")
            if other in given and not is_next and _are_same(path, given[other]):
                raise ValueError(
                    f"{option} would replace {path}, which is read: give another file to {option}"
                )
        for other in written[:i]:
            if _are_same(path, given[other]):
                raise ValueError(
                    f"{OUTPUTS[other]} and {option} are one file, {path}: give different ones"
                )


def _are_same(path: FilePath, other: FilePath) -> bool:
    """Whether two paths are of one file, which need not exist."""
    with contextlib.suppress(OSError):  # also where one letter is as good as its capital
        return os.path.samefile(path, other)
    return os.path.realpath(path) == os.path.realpath(other)


def read_data(
    path: Path, options: Namespace, columns: Sequence[str] | None = None, key: str | None = None
) -> Table:
    """Return the table of a file; its data are checked, one row per sample.

    columns : that are used; None is those of the options.
    key : of the array in the file.
    """
    table, data = _read_rows(path, options, columns, key)
    limits = {name: value for name, value in vars(options).items() if name in LIMITS}
    table.data = check_data(data, str(path), accept_sparse=True, **limits)
    return table


def read_new_data(path: Path, options: Namespace, columns: Sequence[str] | None = None) -> Table:
    """Return the table of a file, as ``read_data``, whose rows stay in the file if they can.

    They are read here, unless they are integers, to see that all are finite.
    """
    table, data = _read_rows(path, options, columns, options.key if has_keys(path) else None)
    table.data = as_new_rows(data, str(path))
    check_new_rows(table.data, str(path))
    return table


def _read_rows(
    path: Path, options: Namespace, columns: Sequence[str] | None, key: str | None
) -> tuple[Table, Rows]:
    left_out: list[str] = []
    if extension(path) not in TABLES:
        if options.columns or options.drop:
            raise ValueError(f"{path}: only {' '.join(TABLES)} files have columns by name")
        columns = None
    else:
        left_out += options.drop or ()
        if columns is None or options.columns:
            columns, labels = options.columns, vars(options).get("labels")
            left_out += [options.id] if options.id else []
            left_out += [labels] if labels and not Path(labels).is_file() else []
    table = files.read_table(path, key, left_out, columns)
    data: Rows = table.rows()
    if options.transpose:
        data = load_sparse(data, str(path))
        data = data.T if is_sparse(data) else np.asarray(data).T
    if table.names:
        print(f"{path}: {table.describe()}")
    return table, data


def read_embedding(path: Path, labels: str | None = None) -> tuple[np.ndarray, Table]:
    """Return the points of an embedding, (n, components), and the table of its file.

    In a table they are the columns that we write, or else all but ``labels``.
    """
    if extension(path) in TABLES:
        table = _read_table_of_map(path, labels or "label")
    else:
        table = files.read_table(path)
    points = table.rows()
    is_sparse = scipy.sparse.issparse(points)
    if is_sparse or len(points.shape) != 2:
        found = "a sparse matrix" if is_sparse else f"shape {points.shape}"
        raise ValueError(f"{path} must have an embedding, (rows, components); got {found}")
    return to_array(points, path), table


def _read_table_of_map(path: Path, labels: str) -> Table:
    names = list(read_columns(path, texts=[labels]))
    coordinates = [name for name in names if is_coordinate(name)]
    if not coordinates:
        return files.read_table(path, leave_out=labels if labels in names else None)
    others = [name for name in names if name not in coordinates]
    table = files.read_table(path, leave_out=others, columns=coordinates)
    table.ids = "" if is_coordinate(names[0]) else names[0]
    return table


class Labels(NamedTuple):
    """A value for each row, and the name of the column that they are from; None for neither."""

    values: np.ndarray | None = None
    name: str | None = None


NO_LABELS = Labels()


def read_labels(
    name: str | None, columns: Mapping[str, np.ndarray], n_samples: int, source: Path
) -> Labels:
    """Return one label for each row, from a column or a file; none if no name is given."""
    if name is None:
        return NO_LABELS
    if name in columns:
        values = columns[name]
    elif is_address(name):
        raise ValueError(NO_ADDRESS.format(name))
    elif Path(name).exists():
        values = files.read_vector(name)
    else:
        names = f"; {source} has {list_names(columns)}" if columns else ""
        raise FileNotFoundError(f"labels {name!r}: no such file, column or array{names}")
    if len(values) != n_samples:
        raise ValueError(
            f"labels {name!r} must have a value for each of {n_samples} rows of {source}; "
            f"got {len(values)}"
        )
    return Labels(values, name if name in columns else None)


def read_labels_of_map(options: Namespace, table: Table, n_samples: int) -> Labels:
    """Return the labels of a map: from its own file, or from that of ``--data``, row by row."""
    if options.data is None:
        return read_labels(options.labels, table.columns, n_samples, options.map)
    columns = read_columns(options.data, options.key, [options.labels or "", options.id or ""])
    if options.labels is None:
        raise ValueError(
            f"--data needs --labels, one of its columns; {options.data} has {list_names(columns)}"
        )
    if options.labels not in columns:
        raise ValueError(f"{options.data}: {no_such_column(options.labels, columns)}")
    values = columns[options.labels]
    if len(values) != n_samples:
        raise ValueError(
            f"{options.map} has {n_samples} points, {options.data} has {len(values)} rows: "
            "they must be the same rows"
        )
    if table.ids in table.columns:
        _check_ids(options, table.columns[table.ids], columns, options.id or table.ids)
    elif options.id:
        raise ValueError(f"{options.map} has no names of rows, with which --id could be compared")
    return Labels(values, options.labels)


def _check_ids(
    options: Namespace, of_map: np.ndarray, columns: Mapping[str, np.ndarray], name: str
) -> None:
    """Check that both files have the same rows in the same order, where both name them."""
    if name not in columns:
        if options.id:
            raise ValueError(f"{options.data}: {no_such_column(name, columns)}")
        return
    pairs = zip(_as_texts(of_map), _as_texts(columns[name]), strict=True)
    for row, (mapped, found) in enumerate(pairs):
        if mapped != found:
            raise ValueError(
                f"{options.data} has other rows than {options.map}, or in another order: row {row} "
                f"is {found!r}, and {mapped!r} in the map; if {name!r} is no name of rows, give "
                "that by --id"
            )


def _as_texts(names: np.ndarray) -> list[str]:
    """Return names of rows as texts, whatever the type of integers, floats and dates."""
    if names.dtype.kind == "M":
        names = np.datetime_as_string(names, unit="ns")
    is_float = names.dtype.kind == "f"
    return [f"{name:.17g}" if is_float else str(name) for name in names.tolist()]


def check_outputs(options: Namespace) -> None:
    """Raise before the fit what would otherwise fail after it."""
    files.check_output(options.output)
    for path in (vars(options).get("checkpoint"), options.save):
        if path:
            files.check_output(path, (".npz",))
    n_components = vars(options).get("n_components", 2)
    drawings = {"plot": IMAGE_EXTENSIONS, "html": HTML_EXTENSIONS, "animate": tuple(WRITERS)}
    for name, extensions in drawings.items():
        path = vars(options)[name]
        if path and n_components != 2:
            raise ValueError(f"--{name} needs --n-components 2; got {n_components}")
        if path:
            files.check_output(path, extensions)
    if options.plot:
        require("matplotlib", "--plot", "plot")
    if options.html:
        require("plotly", "--html", "html")
    if options.animate:
        find_writer(options.animate)


def write_each(writers: Iterable[Callable[[], object]]) -> None:
    """Call functions that write a file each; then raise the first error, and print later ones."""
    errors = []
    for write in writers:
        try:
            write()
        except Exception as error:  # also one that nobody has foreseen: a map may have taken hours
            errors.append(error)
    for later in errors[1:]:
        print_error(str(later))
    if errors:
        raise errors[0]


def write_map(
    path: Path,
    embedding: ArrayLike,
    labels: Labels = NO_LABELS,
    kl_divergence: float | None = None,
    ids: Labels = NO_LABELS,
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Write the file of ``-o``, as :func:`fasttsne.files.write_map`; columns keep their names.

    If that fails, the points alone go to a temporary file, whose name is printed.
    """
    names = {"labels_name": labels.name, "ids_name": ids.name}
    given = {parameter: name for parameter, name in names.items() if name is not None}
    try:
        files.write_map(
            path, embedding, labels.values, kl_divergence, ids.values, parameters, **given
        )
    except Exception:
        with contextlib.suppress(OSError):
            print(f"wrote {_keep_points(embedding)}: the points alone, in place of {path}")
        raise


def _keep_points(embedding: ArrayLike) -> str:
    """Write the points to a new file among the temporary ones; return its name."""
    handle, name = tempfile.mkstemp(".npy", "fasttsne_")
    os.close(handle)
    try:
        files.write_map(name, embedding)
    except OSError:
        os.unlink(name)
        raise
    return name


def save_embedding(options: Namespace, embedding: TSNEEmbedding, columns: list[str] | None) -> None:
    """Write the file of ``--save``, if it is requested; the names of columns are kept."""
    if options.save:
        codec.save_embedding(embedding, options.save, keep=options.keep, columns=columns)
        print(f"wrote {options.save}")


def write_pictures(
    options: Namespace, embedding: TSNEEmbedding, labels: Labels, frames: EmbeddingRecorder | None
) -> None:
    """Draw what was requested of a fit in addition to the embedding."""

    def animate() -> None:
        path, progress = options.animate, not options.quiet
        animation.save(frames, path=path, labels=labels.values, progress=progress)
        print(f"wrote {path}")

    writers = [
        functools.partial(write_drawing, np.asarray(embedding), labels, path)
        for path in (options.plot, options.html)
        if path
    ]
    write_each((*writers, animate) if options.animate else writers)


def write_drawing(points: np.ndarray, labels: Labels, path: Path) -> None:
    """Draw an embedding to an image or an HTML file."""
    if path.suffix.lower() in HTML_EXTENSIONS:
        plotting.html(points, labels=labels.values, path=path, labels_name=labels.name)
    else:
        require("matplotlib.figure", "an image", "plot")
        from fasttsne.drawing.scatter import save_figure, unmanaged_axes

        ax = unmanaged_axes()
        plotting.scatter(points, labels.values, ax, labels_name=labels.name)
        with atomic_write(path) as temp_path:
            save_figure(ax.figure, temp_path)
    print(f"wrote {path}")
