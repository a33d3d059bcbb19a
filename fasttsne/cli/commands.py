"""The commands: each function gets the parsed options, and may return an exit code."""

import json
import time
from math import inf

import numpy as np

from fasttsne import callbacks, files, reports
from fasttsne import metrics as scores
from fasttsne.cli.inputs import (
    Labels,
    read_data,
    read_embedding,
    read_labels,
    read_labels_of_map,
    read_new_data,
)
from fasttsne.cli.options import FOR_NEW_ROWS, SEED, given, remembered
from fasttsne.cli.outputs import (
    check_outputs,
    save_embedding,
    write_animation,
    write_drawing,
    write_each,
    write_map,
    write_pictures,
)
from fasttsne.cli.progress import Progress
from fasttsne.cli.streams import print_error
from fasttsne.datasets import load_digits
from fasttsne.drawing.frames import WRITERS
from fasttsne.drawing.style import HTML_EXTENSIONS, IMAGE_EXTENSIONS
from fasttsne.fit.backend import LocalBackend
from fasttsne.fit.request import FitRequest
from fasttsne.fit.run import run_fit
from fasttsne.io import codec
from fasttsne.io.formats import KEYED, has_keys
from fasttsne.linalg.dominance import warn_of_dominating_column
from fasttsne.nearest_neighbors.select import perplexity_for
from fasttsne.optimize import parameters
from fasttsne.reports.catalogue import format_error
from fasttsne.runtime.build_info import show_config
from fasttsne.runtime.progress import report_progress_to
from fasttsne.tsne import TSNE, TSNEEmbedding
from fasttsne.utils import is_package_installed, require

# Iterations between two callback calls, by default; with an animation each call is a frame.
PROGRESS_INTERVAL = 25
FRAME_INTERVAL = 2
# Exit code of a report with a score below its limit.
SCORE_IS_LOW = 3


def fit(options):
    check_outputs(options)
    table = read_data(options.data, options, key=options.key)
    X = table.data
    labels = read_labels(options.labels, table.columns, X.shape[0], options.data)
    ids = read_labels(options.id, table.columns, X.shape[0], options.data)
    params = given(options, parameters.TSNE)
    metric = params.get("metric", parameters.TSNE["metric"].default)
    warn_of_dominating_column(X, table.names or None, metric)
    frames = callbacks.EmbeddingRecorder() if options.animate else None
    params.setdefault("callbacks_every_iters", FRAME_INTERVAL if frames else PROGRESS_INTERVAL)
    progress = None if options.quiet else Progress()
    used = [c for c in (progress, frames) if c is not None]
    tsne = TSNE(callbacks=used, **params)
    if progress is not None:
        progress.receive_plan(tsne.plan(X.shape[0]))
    start = time.perf_counter()
    started: list[TSNEEmbedding] = []
    interrupted = False
    try:
        # The checkpoint becomes the embedding: the same command may be given again.
        request = FitRequest.make(tsne.get_params(), X)
        run_fit(request, LocalBackend(request, replaces_embedding=True), started.append)
    except KeyboardInterrupt:
        if not started:
            raise
        interrupted = True
    finally:
        if progress is not None:
            progress.close()
    (embedding,) = started
    seconds = time.perf_counter() - start
    if interrupted:
        print_error("interrupted: writing the current embedding")
        if params.get("checkpoint"):
            print_error(f"the same command goes on from {params['checkpoint']}")
    error = None if interrupted else embedding.kl_divergence

    def write_output():
        write_map(options.output, embedding, labels, error, ids, remembered(tsne, table))
        quality = "" if error is None else f", KL divergence {error:.4f}"
        print(f"wrote {options.output}: {X.shape[0]:,} points in {seconds:.1f} s{quality}")

    def write_checkpoint():
        checkpoint = params.get("checkpoint")
        if checkpoint and not interrupted:  # of an interrupted fit it is what goes on
            embedding.save(checkpoint)
            print(f"wrote {checkpoint}")

    write_each(
        (
            write_output,
            write_checkpoint,
            lambda: save_embedding(options, embedding, list(table.names) or None),
            lambda: write_pictures(options, embedding, labels, frames),
        )
    )
    return 130 if interrupted else 0


def transform(options):
    files.check_output(options.output)
    points, found = read_embedding(options.map)
    params = dict(found.parameters)
    key = options.data_key or (options.key if has_keys(options.data) else None)
    if options.key and not (has_keys(options.new) or has_keys(options.data)):
        raise ValueError(f"{options.new}: only {' '.join(KEYED)} files have keys")
    table = read_data(options.data, options, params.pop("columns", None), key)
    data, new = table.data, read_new_data(options.new, options, table.names or None)
    ids = read_labels(options.id, new.columns, new.data.shape[0], options.new)
    if len(points) != data.shape[0]:
        raise ValueError(
            f"{options.map} has {len(points)} points, {options.data} has {data.shape[0]} rows"
        )
    params.setdefault("random_state", SEED)
    params.update(given(options, FOR_NEW_ROWS))
    if "metric" not in params:
        default = parameters.TSNE["metric"].default
        print_error(
            f"warning: {options.map} does not say its metric, as .npz and .parquet files "
            f"do; using {default!r} (--metric)"
        )
    params.setdefault(
        "perplexity", min(parameters.TSNE["perplexity"].default, perplexity_for(len(points) - 1))
    )
    n, is_array = new.data.shape[0], options.output.suffix.lower() == ".npy"
    out = options.output if is_array else np.empty((n, points.shape[1]))
    settings = given(options, parameters.TRANSFORM)
    with report_progress_to(Progress().receive_progress):
        embedding = TSNE(points.shape[1], **params).prepare_initial(data, initialization=points)
        embedding.transform(new.data, out=out, **settings)
    if not is_array:
        write_map(options.output, out, ids=ids)
    print(f"wrote {options.output}: {n:,} points")


def update(options):
    files.check_output(options.output)
    if options.save:
        files.check_output(options.save, (".npz",))
    columns = codec.read_embedding_columns(options.map)
    data = read_data(options.data, options, columns).data if options.data else None
    old = TSNEEmbedding.load(options.map, X=data)
    new = read_new_data(options.new, options, columns)
    start = time.perf_counter()
    with report_progress_to(Progress().receive_progress):
        embedding = old.update(new.data, **given(options, ("hold", "n_iter", "random_state")))
    seconds = time.perf_counter() - start
    error = embedding.kl_divergence
    n_new = len(embedding) - len(old)

    def write_output():
        write_map(options.output, embedding, kl_divergence=error)
        print(
            f"wrote {options.output}: {len(old):,} points and {n_new:,} new ones in "
            f"{seconds:.1f} s, KL divergence {error:.4f}"
        )

    write_each((write_output, lambda: save_embedding(options, embedding, columns)))


def plot(options):
    is_html = options.output.suffix.lower() in HTML_EXTENSIONS
    files.check_output(options.output, HTML_EXTENSIONS if is_html else IMAGE_EXTENSIONS)
    points, table = read_embedding(options.map, options.labels)
    labels = read_labels_of_map(options, table, len(points))
    write_drawing(points, labels, options.output)


def animate(options):
    files.check_output(options.output, tuple(WRITERS))
    frames = files.read_rows(options.frames)
    if frames.ndim != 3:
        raise ValueError(f"{options.frames} must be (frames, rows, 2); got shape {frames.shape}")
    labels = read_labels(options.labels, {}, frames.shape[1], options.frames).values
    write_animation(frames, labels, options.output, fps=options.fps, size=options.size)


def metrics(options):
    points, found = read_embedding(options.map)
    X = read_data(options.data, options, found.parameters.get("columns"), options.key).data
    common = {**_metric_of(options, found.parameters), "random_state": 0}
    parallel = {"k": options.k, "n_jobs": options.n_jobs, **common}
    found = {  # all of them before the first is printed: one may refuse k
        "neighbor_recall": scores.neighbor_recall(X, points, **parallel),
        "trustworthiness": scores.trustworthiness(X, points, **parallel),
        "distance_correlation": scores.distance_correlation(X, points, **common),
    }
    for name, value in found.items():
        print(f"{name:<20}  {value:.4f}  {format_error(value, 4)}".rstrip())


def report(options):
    if options.html:
        files.check_output(options.html, HTML_EXTENSIONS)
        require("jinja2", "--html", "report")
    points, found = read_embedding(options.map)
    known = found.parameters
    table = read_data(options.data, options, known.get("columns"), options.key)
    labels = read_labels(options.labels, table.columns, len(points), options.data).values
    perplexity = known.get("perplexity") if options.perplexity is None else options.perplexity
    result = reports.report(
        table.data,
        points,
        labels,
        options.sample,
        options.seed,
        options.n_jobs,
        perplexity=perplexity if isinstance(perplexity, (int, float)) else None,
        column_names=table.names or None,
        **_metric_of(options, known),
    )
    print(json.dumps(result.to_dict(), indent=1) if options.json else result)
    if options.html:
        result.to_html(options.html)
        print_error(f"wrote {options.html}")
    low = [
        f"{name} is {result.scores.get(name, float('nan')):.4f}, below {limit:g}"
        for name, limit in options.fail_under
        if not result.scores.get(name, -inf) >= limit
    ]
    for text in low:
        print_error(text)
    return SCORE_IS_LOW if low else 0


def _metric_of(options, known):
    """The distance between rows that is given, or else that of the file of the map."""
    if options.metric is not None:
        return {"metric": options.metric}
    metric = known.get("metric") or parameters.TSNE["metric"].default
    return {"metric": metric, "metric_params": known.get("metric_params")}


def demo(options):
    files.check_output(options.output)
    X, y = load_digits()
    print(f"Embedding {X.shape[0]:,} images of {X.shape[1]} pixels ...")
    start = time.perf_counter()
    embedding = TSNE(
        n_jobs=options.n_jobs,
        random_state=options.seed,
        callbacks=callbacks.ErrorLogger(),
        callbacks_every_iters=125,
    ).fit(X)
    print(f"KL divergence {embedding.kl_divergence:.4f} in {time.perf_counter() - start:.2f} s")
    files.write_map(options.output, embedding, y, embedding.kl_divergence)
    print(f"wrote {options.output}")
    if is_package_installed("matplotlib"):
        write_drawing(np.asarray(embedding), Labels(y), options.output.with_suffix(".png"))
    else:
        print("to draw it, install Matplotlib: python -m pip install matplotlib")


def config(options):
    show_config()
