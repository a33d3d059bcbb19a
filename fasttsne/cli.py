"""The command line: ``fasttsne`` and ``python -m fasttsne``.

What a user did wrong is said in one line on standard error, with exit code 2; after
Ctrl-C, the map so far is written and the exit code is 130.
"""

import argparse
import importlib
import inspect
import json
import re
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fasttsne import callbacks, files, metrics, schedule
from fasttsne._build import show_config
from fasttsne._version import __version__
from fasttsne.callbacks.progress import clock
from fasttsne.datasets import load_digits
from fasttsne.embedding import TSNEEmbedding
from fasttsne.tsne import TSNE
from fasttsne.utils import is_package_installed, require

# Reports every so many iterations where the user does not say; every one of an animation's
# frames is a report.
REPORT_EVERY = 25
FRAME_EVERY = 2

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0, 2 for a user's error, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: _say(f"warning: {message}")
        try:
            return options.run(options) or 0
        except KeyboardInterrupt:
            _say("interrupted")
            return 130
        except MemoryError as error:
            _say(f"not enough memory: {error}")
        except (OSError, ValueError, TypeError, ImportError, NotImplementedError) as error:
            _say(str(error))
    return 2


def _say(message):
    """One line on standard error."""
    print("fasttsne:", " ".join(message.split()), file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        _say(f"{message} (see {self.prog} --help)")
        sys.exit(2)


def _parser():
    parser = _Parser(prog="fasttsne", description="Fast, reproducible t-SNE.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fasttsne {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help, add, run in (
        ("fit", "embed the rows of a file", _add_fit, _fit),
        ("transform", "place new rows in a map", _add_transform, _transform),
        ("plot", "draw a map, as a picture or a page", _add_plot, _plot),
        ("animate", "make an animation of recorded frames", _add_animate, _animate),
        ("metrics", "measure how well a map shows its data", _add_metrics, _metrics),
        ("demo", "embed the 1,797 handwritten digits that ship with the package", _add_demo, _demo),
        ("config", "print how the package was built", lambda command: None, _config),
    ):
        command = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        add(command)
        command.set_defaults(run=run)
    return parser


# ---- options


def _add_fit(command):
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


def _add_transform(command):
    _add_data(command, "new")
    command.add_argument("--data", type=Path, required=True, help="the rows of the map")
    command.add_argument("--map", type=Path, required=True, help="the map that fit wrote")
    command.add_argument(
        "-o", "--output", type=Path, default=Path("new.npy"),
        help="where the places of the new rows go (default: %(default)s)",
    )  # fmt: skip
    placing = getattr(TSNEEmbedding, "transform", None)
    if placing is not None:
        _add_parameters(command, "how rows are placed", placing, leave_out=("self", "X"))
    _add_parameters(command, "as for fit", TSNE, only=FOR_NEW_ROWS)


def _add_plot(command):
    command.add_argument("map", type=Path, help="the map that fit wrote")
    command.add_argument(
        "-o", "--output", type=Path, default=Path("map.png"),
        help="a picture, or a page that ends in .html (default: %(default)s)",
    )  # fmt: skip
    _add_labels(command)


def _add_animate(command):
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


def _add_metrics(command):
    _add_data(command, "data")
    command.add_argument("map", type=Path, help="the map that fit wrote")
    command.add_argument("-k", type=int, default=10, help="neighbours (default: %(default)s)")
    command.add_argument("--metric", default="euclidean", help="distance between rows")
    command.add_argument(
        "--leave-out", metavar="NAME", help="a column of the data that fit took for labels"
    )
    command.add_argument("--n-jobs", type=int, default=-1, help="threads (default: all cores)")


def _add_demo(command):
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


def _add_parameters(command, title, function, only=None, leave_out=()):
    """An option for each parameter, with the text that documents it."""
    group = command.add_argument_group(title)
    texts = _documented(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name in leave_out or (only is not None and name not in only):
            continue
        flags = [f"--{name.replace('_', '-')}"] + ["--seed"] * (name == "random_state")
        group.add_argument(
            *flags, dest=name, type=_value, default=argparse.SUPPRESS, metavar="VALUE",
            help=f"{texts.get(name, '')} (default: {parameter.default})".replace("%", "%%"),
        )  # fmt: skip


def _documented(function) -> dict[str, str]:
    """What a docstring says of each parameter."""
    lines = iter((inspect.getdoc(function) or "").splitlines())
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        if line == "Parameters":
            next(lines)
            break
    for line in lines:
        start = re.match(r"(\w+(?:, \w+)*) : (.*)", line)
        if start:
            names, text = start[1].split(", "), start[2]
        elif line.startswith("    "):
            text = f"{texts[names[0]]} {line.strip()}"
        elif line:
            break
        for name in names:
            texts[name] = text
    return {name: re.sub(r":\w+:(?=`)|`", "", text) for name, text in texts.items()}


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


def _given(options, function):
    """The parameters of a function that the user gave."""
    names = inspect.signature(function).parameters
    found = {name: value for name, value in vars(options).items() if name in names}
    for name in ("initialization", "neighbors"):
        value = found.get(name)
        if isinstance(value, str) and Path(value).suffix:
            found[name] = files.read_rows(value)
    return found


# ---- commands


def _fit(options):
    _check_outputs(options)
    table = files.read_table(options.data, options.key, options.labels)
    X = _oriented(table, options)
    labels = _labels(options.labels, table.columns, X.shape[0], options.data)
    parameters = _given(options, TSNE)
    frames = callbacks.EmbeddingRecorder() if options.animate else None
    parameters.setdefault("callbacks_every_iters", FRAME_EVERY if frames else REPORT_EVERY)
    progress = None if options.quiet else _Progress()
    checkpoint = callbacks.Checkpoint(options.checkpoint) if options.checkpoint else None
    watchers = [c for c in (progress, checkpoint, frames) if c is not None]
    tsne = TSNE(callbacks=watchers, **parameters)
    if progress is not None:
        progress.receive_plan(tsne, X.shape[0])
    start = time.perf_counter()
    interrupted = False
    try:
        tsne.fit(X)
    except KeyboardInterrupt:
        if not hasattr(tsne, "embedding_"):
            raise
        interrupted = True
    finally:
        if progress is not None:
            progress.close()
    embedding = tsne.embedding_
    seconds = time.perf_counter() - start
    if interrupted:
        _say("interrupted: writing the map so far")
    error = None if interrupted else embedding.kl_divergence
    files.write_map(options.output, embedding, labels, error)
    reached = "" if error is None else f", KL divergence {error:.4f}"
    print(f"wrote {options.output}: {X.shape[0]:,} points in {seconds:.1f} s{reached}")
    if options.checkpoint:
        embedding.save(options.checkpoint)
        print(f"wrote {options.checkpoint}")
    _draw(options, np.asarray(embedding), labels, frames)
    return 130 if interrupted else 0


def _check_outputs(options):
    """What would fail after a long run is found before it."""
    files.check_output(options.output)
    if options.checkpoint:
        files.check_output(options.checkpoint, (".npz",))
    if options.plot:
        files.check_output(options.plot, PICTURES)
        _part("plotting")
        require("matplotlib", "--plot", "plot")
    if options.html:
        files.check_output(options.html, PAGES)
        _part("plotting")
        require("plotly", "--html", "html")
    if options.animate:
        files.check_output(options.animate, ANIMATIONS)
        _part("animation")
        require("PIL", "--animate", "animation")


def _draw(options, points, labels, frames):
    if options.plot:
        _picture(points, labels, options.plot)
        print(f"wrote {options.plot}")
    if options.html:
        _page(points, labels, options.html)
        print(f"wrote {options.html}")
    if options.animate:
        _part("animation").save(frames.frames, options.animate, labels=labels)
        print(f"wrote {options.animate}")


def _transform(options):
    if not hasattr(TSNEEmbedding, "transform"):
        raise NotImplementedError("this version of fasttsne cannot place new rows")
    files.check_output(options.output)
    data = files.read_rows(options.data, options.key)
    new = _oriented(files.read_table(options.new, options.key), options)
    if options.transpose:
        data = data.T
    points = np.array(files.read_rows(options.map))
    if len(points) != data.shape[0]:
        raise ValueError(
            f"{options.map} has {len(points)} points, {options.data} has {data.shape[0]} rows"
        )
    placing = _given(options, TSNEEmbedding.transform)
    about_data = {
        name: value for name, value in _given(options, TSNE).items() if name in FOR_NEW_ROWS
    }
    tsne = TSNE(
        n_components=points.shape[1], perplexity=min(30, (len(points) - 1) / 3), **about_data
    )
    embedding = tsne.prepare_initial(data, initialization=points)
    placed = embedding.transform(new, **placing)
    files.write_map(options.output, placed)
    print(f"wrote {options.output}: {len(placed):,} points")


def _plot(options):
    is_page = options.output.suffix.lower() in PAGES
    files.check_output(options.output, PAGES if is_page else PICTURES)
    table = files.read_table(options.map)
    labels = _labels(options.labels, table.columns, len(table.data), options.map)
    (_page if is_page else _picture)(np.asarray(table.data), labels, options.output)
    print(f"wrote {options.output}")


def _animate(options):
    files.check_output(options.output, ANIMATIONS)
    frames = files.read_rows(options.frames)
    if frames.ndim != 3:
        raise ValueError(f"{options.frames} must be (frames, rows, 2); got shape {frames.shape}")
    labels = _labels(options.labels, {}, frames.shape[1], options.frames)
    given = {name: getattr(options, name) for name in ("fps", "size") if hasattr(options, name)}
    _part("animation").save(frames, options.output, labels=labels, **given)
    print(f"wrote {options.output}")


def _metrics(options):
    X = _oriented(files.read_table(options.data, options.key, options.leave_out), options)
    points = np.asarray(files.read_rows(options.map))
    common = {"metric": options.metric, "random_state": 0}
    parallel = {"k": options.k, "n_jobs": options.n_jobs, **common}
    print(f"neighbor_recall       {metrics.neighbor_recall(X, points, **parallel):.4f}")
    print(f"trustworthiness       {metrics.trustworthiness(X, points, **parallel):.4f}")
    print(f"distance_correlation  {metrics.distance_correlation(X, points, **common):.4f}")


def _demo(options):
    X, y = load_digits()
    print(f"Embedding {X.shape[0]:,} images of {X.shape[1]} pixels ...")
    start = time.perf_counter()
    embedding = TSNE(
        n_jobs=options.n_jobs, random_state=options.seed,
        callbacks=callbacks.ErrorLogger(), callbacks_every_iters=125,
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


def _config(options):
    show_config()


# ---- their parts


def _oriented(table, options):
    """The rows, with as many dimensions as rows have."""
    if table.data is None:
        raise ValueError(f"there are no numbers but in columns {', '.join(table.columns)}")
    return table.data.T if options.transpose else table.data


def _labels(name, columns, n, source):
    """One label for each row, from a column or a file; None where none are asked for."""
    if name is None:
        return None
    if name in columns:
        labels = columns[name]
    elif Path(name).exists():
        labels = files.read_vector(name)
    else:
        there = f"; {source} has {', '.join(columns)}" if columns else ""
        raise FileNotFoundError(f"labels {name!r}: no such file, column or array{there}")
    if len(labels) != n:
        raise ValueError(f"there must be a label for each of {n} rows; got {len(labels)}")
    return labels


def _part(name):
    """A module of fasttsne that is loaded when it is used."""
    try:
        return importlib.import_module(f"fasttsne.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"fasttsne.{name}":
            raise
        raise ImportError(f"this version of fasttsne has no {name}") from error


def _picture(points, labels, path):
    figure = require("matplotlib.figure", "a picture", "plot").Figure((7, 7), layout="constrained")
    _part("plotting").scatter(points, labels, ax=figure.subplots())
    figure.savefig(path, dpi=150)


def _page(points, labels, path):
    _part("plotting").html(points, labels=labels, path=path)


class _Progress(callbacks.Callback):
    """The iteration, the KL divergence and the time left of a whole fit, on standard error."""

    def __init__(self):
        self._phases = []
        self._phase = -1
        self._width = 0
        self._last = -np.inf

    def receive_plan(self, tsne, n_samples):
        """Learn which phases there will be: (name, iterations at most, whether it may be fewer)."""
        for name, n_iter, _ in tsne._phases(n_samples):
            if n_iter == "auto":
                stages = schedule.until_it_settles(n_samples, 1.0, "auto", "auto", "auto")
                self._phases.append((name, sum(stage.n_iter for stage in stages), True))
            elif isinstance(n_iter, tuple):
                self._phases.append((name, sum(stage.n_iter for stage in n_iter), False))
            elif n_iter > 0:
                self._phases.append((name, n_iter, False))

    def optimization_about_to_start(self):
        self._phase += 1
        self._start = time.perf_counter()

    def __call__(self, iteration, error, embedding):
        now = time.perf_counter()
        on_terminal = sys.stderr.isatty()
        if now - self._last < (0.1 if on_terminal else 2.0):
            return
        self._last = now
        name, most, _ = self._phases[self._phase]
        remaining = most - iteration + sum(n for _, n, _ in self._phases[self._phase + 1 :])
        left = clock((now - self._start) / iteration * max(remaining, 0))
        at_most = "at most " * any(fewer for *_, fewer in self._phases)
        text = f"{name}: iteration {iteration}, KL divergence {error:.4f}, {at_most}{left} left"
        end = "\r" if on_terminal else "\n"
        print(text.ljust(self._width), end=end, file=sys.stderr, flush=True)
        self._width = len(text) if on_terminal else 0

    def close(self):
        """End the line."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0
