"""The commands: each function gets the parsed options, and may return an exit code."""

import json
import math
import sys
import time
from argparse import Namespace

import numpy as np

from fasttsne import animation, callbacks, reports
from fasttsne import metrics as scores
from fasttsne.cli import files
from fasttsne.cli.files import print_error
from fasttsne.cli.options import FOR_NEW_ROWS, SEED, given, remembered
from fasttsne.datasets import load_digits
from fasttsne.drawing.frames import WRITERS
from fasttsne.drawing.style import HTML_EXTENSIONS, IMAGE_EXTENSIONS
from fasttsne.files import check_output, read_rows
from fasttsne.fit.backend import LocalBackend
from fasttsne.fit.request import FitRequest
from fasttsne.fit.run import run_fit
from fasttsne.io import codec
from fasttsne.io.formats import KEYED, has_keys
from fasttsne.linalg.dominance import warn_of_dominating_column
from fasttsne.nearest_neighbors.select import perplexity_for
from fasttsne.optimize import parameters
from fasttsne.optimize.plan import Phase, RunPlan
from fasttsne.reports.catalogue import format_error
from fasttsne.runtime import progress, show_config
from fasttsne.runtime.typing import Params, Rows
from fasttsne.tsne import TSNE, TSNEEmbedding
from fasttsne.utils import is_package_installed, require

# Iterations between two callback calls, by default; with an animation each call is a frame.
PROGRESS_INTERVAL = 25
FRAME_INTERVAL = 2
# Exit code of a report with a score below its limit.
SCORE_IS_LOW = 3
DEFAULTS: Params = TSNE().get_params()


class ProgressLine(callbacks.Callback):
    """Shows each stage, and the time left of the whole descent, on standard error."""

    shows_progress = True

    def __init__(self) -> None:
        self._phases: tuple[Phase, ...] = ()
        self._phase = 0
        self._width = 0  # of the line that is open
        self._last = -math.inf
        self._sink = progress.LineSink()
        self._start = self._first = 0.0  # when the run began, and the iterations before it

    def receive_plan(self, plan: RunPlan) -> None:
        """Set the phases that are to come."""
        self._phases = plan.phases

    def receive_progress(self, stage: progress.Progress) -> None:
        """Show a stage before the descent."""
        if stage.unit == progress.ITERATIONS:
            self._first = stage.first
        elif progress.is_terminal():
            self._sink(stage)
        elif stage.seconds > 1 and not stage.has_ended and self._is_due(2.0):
            print(progress.describe(stage), file=sys.stderr, flush=True)

    def _is_due(self, interval: float) -> bool:
        now = time.perf_counter()
        if now - self._last < interval:
            return False
        self._last = now
        return True

    def receive_settings(self, settings: Phase) -> None:
        """Set the phase that begins."""
        self._phase = [phase.name for phase in self._phases].index(settings.name)

    def optimization_about_to_start(self) -> None:
        self._start = time.perf_counter()

    def __call__(self, iteration: int, error: float, embedding: object) -> None:
        on_terminal = progress.is_terminal()
        if not self._is_due(0.1 if on_terminal else 2.0):
            return
        phase, *later = self._phases[self._phase :]
        remaining = phase.n_iter - iteration + sum(phase.n_iter for phase in later)
        seconds = time.perf_counter() - self._start
        left = progress.clock(seconds / (iteration - self._first) * max(remaining, 0))
        at_most = "at most " * any(phase.may_stop_early for phase in self._phases)
        text = f"{phase.name}: iteration {iteration}, KL divergence {error:.4f}"
        text += f", {at_most}{left} left"
        end = "\r" if on_terminal else "\n"
        print(text.ljust(self._width), end=end, file=sys.stderr, flush=True)
        self._width = len(text) if on_terminal else 0

    def close(self) -> None:
        """End the line."""
        if self._width:
            print(file=sys.stderr)
            self._width = 0


def fit(options: Namespace) -> int:
    files.check_outputs(options)
    table = files.read_data(options.data, options, key=options.key)
    X = table.rows()
    labels = files.read_labels(options.labels, table.columns, X.shape[0], options.data)
    ids = files.read_labels(options.id, table.columns, X.shape[0], options.data)
    frames = callbacks.EmbeddingRecorder() if options.animate else None
    line = None if options.quiet else ProgressLine()
    params = {
        "callbacks_every_iters": FRAME_INTERVAL if frames else PROGRESS_INTERVAL,
        **given(options, parameters.TSNE),
    }
    tsne = TSNE(callbacks=[each for each in (line, frames) if each is not None], **params)
    warn_of_dominating_column(X, table.names or None, tsne.metric)
    if line is not None:
        line.receive_plan(tsne.plan(X.shape[0]))
    start = time.perf_counter()
    embedding, is_interrupted = _run_fit(tsne, X, line)
    seconds = time.perf_counter() - start
    checkpoint = tsne.checkpoint
    if is_interrupted:
        print_error("interrupted: writing the current embedding")
        if checkpoint:
            print_error(f"the same command goes on from {checkpoint}")
    error = None if is_interrupted else embedding.kl_divergence

    def write_output() -> None:
        files.write_map(options.output, embedding, labels, error, ids, remembered(tsne, table))
        quality = "" if error is None else f", KL divergence {error:.4f}"
        print(f"wrote {options.output}: {X.shape[0]:,} points in {seconds:.1f} s{quality}")
        if options.verbose:
            print(f"fingerprint {embedding.fingerprint()}")

    def write_checkpoint() -> None:
        if checkpoint and not is_interrupted:  # of an interrupted fit it is what goes on
            embedding.save(checkpoint)
            print(f"wrote {checkpoint}")

    files.write_each(
        (
            write_output,
            write_checkpoint,
            lambda: files.save_embedding(options, embedding, list(table.names) or None),
            lambda: files.write_pictures(options, embedding, labels, frames),
        )
    )
    return 130 if is_interrupted else 0


def _run_fit(tsne: TSNE, X: Rows, line: ProgressLine | None) -> tuple[TSNEEmbedding, bool]:
    """Return the embedding, which may be unfinished, and whether Ctrl-C has ended the fit."""
    started: list[TSNEEmbedding] = []
    try:
        # The checkpoint becomes the embedding: the same command may be given again.
        request = FitRequest.make(tsne.get_params())
        backend = LocalBackend(request, replaces_embedding=True)
        return run_fit(X, request, backend, started.append), False
    except KeyboardInterrupt:
        if not started:
            raise
        return started[0], True
    finally:
        if line is not None:
            line.close()


def transform(options: Namespace) -> None:
    check_output(options.output)
    points, found = files.read_embedding(options.map)
    known: Params = found.parameters
    key = options.data_key or (options.key if has_keys(options.data) else None)
    if options.key and not (has_keys(options.new) or has_keys(options.data)):
        raise ValueError(f"{options.new}: only {' '.join(KEYED)} files have keys")
    table = files.read_data(options.data, options, known.get("columns"), key)
    data, new = table.rows(), files.read_new_data(options.new, options, table.names or None)
    ids = files.read_labels(options.id, new.columns, new.rows().shape[0], options.new)
    if len(points) != data.shape[0]:
        raise ValueError(
            f"{options.map} has {len(points)} points, {options.data} has {data.shape[0]} rows"
        )
    perplexity = min(DEFAULTS["perplexity"], perplexity_for(len(points) - 1))
    params = {"random_state": SEED, "perplexity": perplexity, **known}
    params.pop("columns", None)
    params.update(given(options, FOR_NEW_ROWS))
    if "metric" not in params:
        print_error(
            f"warning: {options.map} does not say its metric, as .npz and .parquet files "
            f"do; using {DEFAULTS['metric']!r} (--metric)"
        )
    n, is_array = new.rows().shape[0], options.output.suffix.lower() == ".npy"
    out = options.output if is_array else np.empty((n, points.shape[1]))
    settings = given(options, parameters.TRANSFORM)
    with progress.report_progress_to(ProgressLine().receive_progress):
        embedding = TSNE(points.shape[1], **params).prepare_initial(data, initialization=points)
        embedding.transform(new.data, out=out, **settings)
    if not is_array:
        files.write_map(options.output, out, ids=ids)
    print(f"wrote {options.output}: {n:,} points")


def update(options: Namespace) -> None:
    check_output(options.output)
    if options.save:
        check_output(options.save, (".npz",))
    columns = codec.read_embedding_columns(options.map)
    data = files.read_data(options.data, options, columns).data if options.data else None
    old = TSNEEmbedding.load(options.map, X=data)
    new = files.read_new_data(options.new, options, columns)
    start = time.perf_counter()
    with progress.report_progress_to(ProgressLine().receive_progress):
        embedding = old.update(new.data, **given(options, ("hold", "n_iter", "random_state")))
    seconds = time.perf_counter() - start
    error = embedding.kl_divergence
    n_new = len(embedding) - len(old)

    def write_output() -> None:
        files.write_map(options.output, embedding, kl_divergence=error)
        print(
            f"wrote {options.output}: {len(old):,} points and {n_new:,} new ones in "
            f"{seconds:.1f} s, KL divergence {error:.4f}"
        )

    files.write_each((write_output, lambda: files.save_embedding(options, embedding, columns)))


def plot(options: Namespace) -> None:
    is_html = options.output.suffix.lower() in HTML_EXTENSIONS
    check_output(options.output, HTML_EXTENSIONS if is_html else IMAGE_EXTENSIONS)
    points, table = files.read_embedding(options.map, options.labels)
    labels = files.read_labels_of_map(options, table, len(points))
    files.write_drawing(points, labels, options.output)


def animate(options: Namespace) -> None:
    check_output(options.output, tuple(WRITERS))
    frames = read_rows(options.frames)
    if len(frames.shape) != 3:
        raise ValueError(f"{options.frames} must be (frames, rows, 2); got shape {frames.shape}")
    labels = files.read_labels(options.labels, {}, frames.shape[1], options.frames).values
    path = options.output
    animation.save(frames, path=path, labels=labels, fps=options.fps, size=options.size)
    print(f"wrote {path}")


def metrics(options: Namespace) -> None:
    points, table = files.read_embedding(options.map)
    known: Params = table.parameters
    X = files.read_data(options.data, options, known.get("columns"), options.key).data
    common = {**_metric_of(options, known), "random_state": 0}
    parallel = {"k": options.k, "n_jobs": options.n_jobs, **common}
    found = {  # all of them before the first is printed: one may refuse k
        "neighbor_recall": scores.neighbor_recall(X, points, **parallel),
        "trustworthiness": scores.trustworthiness(X, points, **parallel),
        "distance_correlation": scores.distance_correlation(X, points, **common),
    }
    for name, value in found.items():
        print(f"{name:<20}  {value:.4f}  {format_error(value, 4)}".rstrip())


def report(options: Namespace) -> int:
    if options.html:
        check_output(options.html, HTML_EXTENSIONS)
        require("jinja2", "--html", "report")
    points, found = files.read_embedding(options.map)
    known: Params = found.parameters
    table = files.read_data(options.data, options, known.get("columns"), options.key)
    labels = files.read_labels(options.labels, table.columns, len(points), options.data).values
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
        f"{name} is {result.scores.get(name, math.nan):.4f}, below {limit:g}"
        for name, limit in options.fail_under
        if not result.scores.get(name, -math.inf) >= limit
    ]
    for text in low:
        print_error(text)
    return SCORE_IS_LOW if low else 0


def _metric_of(options: Namespace, known: Params) -> Params:
    """Return the distance between rows that is given, or else that of the file of the map."""
    if options.metric is not None:
        return {"metric": options.metric}
    return {
        "metric": known.get("metric") or DEFAULTS["metric"],
        "metric_params": known.get("metric_params"),
    }


def demo(options: Namespace) -> None:
    check_output(options.output)
    X, digits = load_digits()
    labels = files.Labels(digits)
    print(f"Embedding {X.shape[0]:,} images of {X.shape[1]} pixels ...")
    start = time.perf_counter()
    embedding = TSNE(
        n_jobs=options.n_jobs,
        random_state=options.seed,
        callbacks=callbacks.ErrorLogger(),
        callbacks_every_iters=125,
    ).fit(X)
    print(f"KL divergence {embedding.kl_divergence:.4f} in {time.perf_counter() - start:.2f} s")
    files.write_map(options.output, embedding, labels, embedding.kl_divergence)
    print(f"wrote {options.output}")
    if is_package_installed("matplotlib"):
        files.write_drawing(np.asarray(embedding), labels, options.output.with_suffix(".png"))
    else:
        print("to draw it, install Matplotlib: python -m pip install matplotlib")


def config(options: Namespace) -> None:
    show_config()
