"""What each command does."""

import importlib
import time
from pathlib import Path

import numpy as np
import scipy.sparse

from fasttsne import callbacks
from fasttsne import metrics as measures
from fasttsne.cli.messages import say
from fasttsne.cli.options import ANIMATIONS, FOR_NEW_ROWS, PAGES, PICTURES, given
from fasttsne.cli.progress import Progress
from fasttsne.datasets import load_digits
from fasttsne.io import tables as files
from fasttsne.io.atomic import whole_file
from fasttsne.optimize import parameters
from fasttsne.runtime.build_info import show_config
from fasttsne.tsne import TSNE
from fasttsne.utils import is_package_installed, require

# Reports every so many iterations where the user does not say; every one of an animation's
# frames is a report.
REPORT_EVERY = 25
FRAME_EVERY = 2


def fit(options):
    _check_outputs(options)
    table = files.read_table(options.data, options.key, options.labels)
    X = _oriented(table, options)
    labels = _labels(options.labels, table.columns, X.shape[0], options.data)
    params = given(options, parameters.TSNE)
    frames = callbacks.EmbeddingRecorder() if options.animate else None
    params.setdefault("callbacks_every_iters", FRAME_EVERY if frames else REPORT_EVERY)
    progress = None if options.quiet else Progress()
    checkpoint = callbacks.Checkpoint(options.checkpoint) if options.checkpoint else None
    watchers = [c for c in (progress, checkpoint, frames) if c is not None]
    tsne = TSNE(callbacks=watchers, **params)
    if progress is not None:
        progress.receive_plan(tsne.plan(X.shape[0]))
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
        say("interrupted: writing the map so far")
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
    for name in ("plot", "html", "animate"):
        n_components = getattr(options, "n_components", 2)
        if getattr(options, name) and n_components != 2:
            raise ValueError(f"--{name} draws maps with --n-components 2; got {n_components}")
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
        _part("animation").save(
            frames.frames, options.animate, labels=labels, progress=not options.quiet
        )
        print(f"wrote {options.animate}")


def transform(options):
    files.check_output(options.output)
    data = files.read_rows(options.data, options.key)
    new = _oriented(files.read_table(options.new, options.key), options)
    if options.transpose:
        data = data.T
    points, _ = _map(options.map)
    if len(points) != data.shape[0]:
        raise ValueError(
            f"{options.map} has {len(points)} points, {options.data} has {data.shape[0]} rows"
        )
    placing = given(options, parameters.TRANSFORM)
    about_data = given(options, FOR_NEW_ROWS)
    tsne = TSNE(
        n_components=points.shape[1], perplexity=min(30, (len(points) - 1) / 3), **about_data
    )
    embedding = tsne.prepare_initial(data, initialization=points)
    placed = embedding.transform(new, **placing)
    files.write_map(options.output, placed)
    print(f"wrote {options.output}: {len(placed):,} points")


def plot(options):
    is_page = options.output.suffix.lower() in PAGES
    files.check_output(options.output, PAGES if is_page else PICTURES)
    points, columns = _map(options.map)
    labels = _labels(options.labels, columns, len(points), options.map)
    (_page if is_page else _picture)(points, labels, options.output)
    print(f"wrote {options.output}")


def animate(options):
    files.check_output(options.output, ANIMATIONS)
    frames = files.read_rows(options.frames)
    if frames.ndim != 3:
        raise ValueError(f"{options.frames} must be (frames, rows, 2); got shape {frames.shape}")
    labels = _labels(options.labels, {}, frames.shape[1], options.frames)
    given = {name: getattr(options, name) for name in ("fps", "size") if hasattr(options, name)}
    _part("animation").save(frames, options.output, labels=labels, **given)
    print(f"wrote {options.output}")


def metrics(options):
    table = files.read_table(options.data, options.key, options.leave_out)
    if options.leave_out is not None and options.leave_out not in table.columns:
        raise ValueError(f"{options.data} has no column {options.leave_out!r} to leave out")
    X = _oriented(table, options)
    points, _ = _map(options.map)
    common = {"metric": options.metric, "random_state": 0}
    parallel = {"k": options.k, "n_jobs": options.n_jobs, **common}
    print(f"neighbor_recall       {measures.neighbor_recall(X, points, **parallel):.4f}")
    print(f"trustworthiness       {measures.trustworthiness(X, points, **parallel):.4f}")
    print(f"distance_correlation  {measures.distance_correlation(X, points, **common):.4f}")


def demo(options):
    files.check_output(options.output)
    X, y = load_digits()
    print(f"Embedding {X.shape[0]:,} images of {X.shape[1]} pixels ...")
    start = time.perf_counter()
    embedding = TSNE(
        n_jobs=options.n_jobs, random_state=options.seed,
        callbacks=callbacks.ErrorLogger(), callbacks_every_iters=125,
    ).fit(X)  # fmt: skip
    print(f"KL divergence {embedding.kl_divergence:.4f} in {time.perf_counter() - start:.2f} s")
    files.write_map(options.output, embedding, y, embedding.kl_divergence)
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
    with whole_file(path) as part:
        figure.savefig(part, dpi=120)


def config(options):
    show_config()


def _oriented(table, options):
    """The rows, with as many dimensions as rows have."""
    return table.rows().T if options.transpose else table.rows()


def _map(path):
    """The points of a map, (n, components), and the columns beside them."""
    table = files.read_table(path)
    points = table.rows()
    is_sparse = scipy.sparse.issparse(points)
    if is_sparse or points.ndim != 2:
        found = "a sparse matrix" if is_sparse else f"shape {points.shape}"
        raise ValueError(f"{path} must hold a map, (rows, components); got {found}")
    return np.asarray(points), table.columns


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
    with whole_file(path) as part:
        figure.savefig(part, dpi=150)


def _page(points, labels, path):
    _part("plotting").html(points, labels=labels, path=path)
