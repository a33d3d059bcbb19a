"""The report on one embedding: ``fasttsne.report``, and what it returns."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne import plotting
from fasttsne.affinity import Affinities
from fasttsne.io.codec import fingerprint
from fasttsne.optimize.parameters import WITHOUT_EFFECT
from fasttsne.reports import catalogue
from fasttsne.reports.catalogue import MEANINGS, POINT_TITLES, downsample_curve, usual_range
from fasttsne.reports.findings import Finding, find_all
from fasttsne.reports.inputs import (
    ReportInput,
    SampleSpec,
    check_input,
    integer_seed,
    resolve_sample,
    with_graph,
)
from fasttsne.reports.measure import Scores, measure
from fasttsne.reports.page import ReportContent, to_plane, write_report
from fasttsne.runtime.build_info import build_info
from fasttsne.runtime.typing import FilePath, Metric, RandomState, Rows
from fasttsne.runtime.typing import Settings as MetricSettings
from fasttsne.utils import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By which values of points a map is coloured: the first that is known.
COLORS = ("neighbors_near", "neighbor_recall", "island")


class Report(ReportContent):
    """How far a map can be trusted: what :func:`fasttsne.report` returns.

    In a notebook, and where it is printed, it is a short table.

    Attributes
    ----------
    scores : floats by name, with their standard errors (:class:`fasttsne.metrics.Estimate`).
    points : (n,) structured array, a row for each row of the data, counted from 0: what each score
        has for it, NaN where it is not in the sample; ``island``, the number of its island in the
        map, the largest 0; and ``finding``, the number of the first warning about it, counted from
        1, or 0.
    curves : arrays by name: ``ranks`` has k, q_nx, r_nx and r_nx_error
        (:func:`fasttsne.metrics.rank_curves`), ``stress`` has distance, stress, standard_error and
        ratio (:func:`fasttsne.metrics.stress`).
    findings : warnings (:class:`Finding`), where the map should not be read as it seems.
    left_out : why there is no such score, by name.
    facts : how the map and the report were made: texts by name, by group.
    plan : the plan of the run as text, or None where it is not known.
    embedding : (n, d) the map.
    labels : (n,) or None.
    """

    def explain(self, name: str) -> str:
        """Return what a score means, its range, and what is usual.

        Parameters
        ----------
        name : a key of ``scores``.

        Raises
        ------
        KeyError
            Where there is no such score.
        """
        meaning = MEANINGS[name]
        low = "-∞" if meaning.low is None else f"{meaning.low:g}"
        high = "∞" if meaning.high is None else f"{meaning.high:g}"
        usual = catalogue.format_usual(name)
        return f"{meaning.title}.  {meaning.text}  From {low} to {high}" + (
            f"; usual is {usual}." if usual else "."
        )

    def to_dict(self, points: bool = False) -> dict[str, Any]:
        """Return all of it as JSON can express it; NaN, as an unknown standard error, is None.

        Parameters
        ----------
        points : also what each point has, as lists.
        """
        found: dict[str, object] = {
            "scores": {name: self._score(name) for name in self.scores},
            "findings": [
                {"kind": f.kind, "title": f.title, "text": f.text, "n_rows": len(f.rows)}
                for f in self.findings
            ],
            "left_out": dict(self.left_out),
            "facts": self.facts,
            "plan": self.plan,
            "curves": {
                name: {part: _as_list(values) for part, values in downsample_curve(curve).items()}
                for name, curve in self.curves.items()
            },
        }
        if points:
            names = self.points.dtype.names or ()
            found["points"] = {name: _as_list(self.points[name]) for name in names}
        return found

    def to_html(self, path: FilePath, title: str | None = None) -> Path:
        """Write the report as one HTML page that needs no other file and no network.

        The map is drawn in it, coloured by what is chosen there; a click shows a point's neighbours
        in the data.  Of more than 100,000 points it has a sample.

        Parameters
        ----------
        path : of the file; one that exists is replaced.
        title : of the page; None is "Report on a map".

        Raises
        ------
        ImportError
            Without Jinja2: the extra ``report``.
        """
        return write_report(self, path, title)

    def plot(self, axes: Sequence["Axes"] | None = None) -> Sequence["Axes"]:
        """Draw the map, coloured by neighbours kept, the curve R_NX and the stress by distance.

        Parameters
        ----------
        axes : three Axes of Matplotlib; None makes a figure.

        Returns
        -------
        The three Axes.

        Raises
        ------
        ImportError
            Without Matplotlib: the extra ``plot``.
        """
        axes = check_axes(axes, 3, "a report")
        draw_map(self, axes[0])
        draw_rank_curves({"": self}, axes[1])
        axes[2].set(title="Stress by distance", xlabel="distance in the data", ylabel="stress")
        if "stress" in self.curves:
            stress = self.curves["stress"]
            axes[2].plot(stress["distance"], stress["stress"], marker="o")
            axes[2].set_ylim(bottom=0)
        return axes

    def _score(self, name: str) -> dict[str, object]:
        score, usual = self.scores[name], usual_range(name)
        error = score.standard_error
        return {
            "value": float(score),
            "standard_error": None if np.isnan(error) else error,
            "usual": None if usual is None else list(usual),
            "meaning": self.explain(name),
        }

    def __repr__(self) -> str:
        warnings = list(map(str, self.findings))
        return catalogue.text_table(self.headline, catalogue.score_rows(self.scores), warnings)

    def _repr_html_(self) -> str:
        warnings = list(map(str, self.findings))
        return catalogue.html_table(self.headline, catalogue.score_rows(self.scores), warnings)


def report(
    X: Rows,
    embedding: Any = None,
    labels: ArrayLike | None = None,
    sample: int | str | None = "auto",
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
    *,
    metric: Metric | None = None,
    metric_params: MetricSettings = None,
    perplexity: float | None = None,
    column_names: Sequence[str] | None = None,
) -> Report:
    """Measure how far a map can be trusted, and explain what the numbers mean.

    Maps of other programs are measured as well.  Scores that need a graph of neighbours then take
    one that is made here, up to 200,000 rows; ``facts`` says so, ``left_out`` what is missing.

    Parameters
    ----------
    X : (n, columns) array or SciPy sparse matrix, the rows that were embedded, at least 4; (n, n)
        distances with ``metric="precomputed"``.
    embedding : the map: :class:`fasttsne.TSNEEmbedding`; a fitted :class:`fasttsne.TSNE` or
        scikit-learn estimator, whose plan the report then has; or an (n, d) array of any program.
    labels : (n,) classes, to be found again in the map, or values, to colour it by; None, NaN,
        NaT and pandas' NA are missing.
    sample : "auto", or the number of rows that are compared with all others; one that is larger
        than the data takes all.  None takes all, in quadratic time.  Distances of all pairs are
        those of at most 1,000 rows.
    random_state : seeds the samples, and the search for neighbours where one is made.
    n_jobs : threads; -1 all cores.  The report does not depend on it.
    metric, metric_params : distance between rows; None is the map's, if it is known, else
        Euclidean.
    perplexity : of the graph, where one is made; None is 30.
    column_names : of X, for warnings; None takes them from a data frame.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        Where rows, map and labels do not fit together, the map is not finite, or all its points
        are equal.
    MemoryError
        Where the report would take more than is free.
    """
    start = time.perf_counter()
    given = check_input(X, embedding, labels, metric, metric_params, column_names)
    spec = resolve_sample(sample, np.shape(given.X), integer_seed(random_state), n_jobs)
    return make_report(with_graph(given, spec, perplexity), spec, start)


def make_report(given: ReportInput, spec: SampleSpec, start: float) -> Report:
    """Measure checked input; start is when the work began."""
    found = measure(given, spec)
    findings = find_all(given, found)
    plan = getattr(given.estimator, "plan", None)
    return Report(
        scores=found.scores,
        points=_as_table(found, findings, len(given.points)),
        curves=found.curves,
        findings=findings,
        left_out=found.left_out,
        facts=_facts(given, spec.seed, time.perf_counter() - start),
        plan=None if plan is None else str(plan(len(given.points))),
        embedding=given.points,
        labels=given.labels,
        neighbors=found.strongest,
    )


def _as_table(found: Scores, findings: tuple[Finding, ...], n: int) -> np.ndarray:
    """Return what each point has, as a structured array."""
    first = np.zeros(n, np.int8)
    for number, finding in reversed(list(enumerate(findings, 1))):
        first[finding.rows] = number
    columns = {**found.points, "finding": first}
    table = np.empty(n, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table


def _as_list(values: np.ndarray) -> list[object]:
    if values.dtype.kind != "f":
        return list(values.tolist())
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _facts(given: ReportInput, seed: int, seconds: float) -> dict[str, dict[str, str]]:
    """Return how map and report were made: texts by name, by the name of their group."""
    n, d = given.points.shape
    return {
        "Map": {
            "made by": given.made_by,
            "points": f"{n:,}",
            "dimensions": str(d),
            "hash of the map": _hash(given.points),
            "hash of the data": _hash(given.X),
            "shape of the data": " x ".join(map(str, np.shape(given.X))),
            "distance": str(given.metric),
        },
        "Run": _run_facts(given),
        "Report": {
            "made on": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "seconds": f"{seconds:.1f}",
            "seed of the samples": str(seed),
        },
        "Versions": build_info(),
    }


def _run_facts(given: ReportInput) -> dict[str, str]:
    embedding = given.embedding
    if embedding is None:
        return {}
    if not given.graph_is_own:
        return {"graph": f"{_describe_graph(embedding.affinities)}, made for this report"}
    optimizer = embedding.optimizer
    found: dict[str, object] = {
        "graph": _describe_graph(embedding.affinities),
        "iterations": getattr(optimizer, "iteration", None),
        "KL divergence": embedding.kl_divergence,
        "loss left": getattr(optimizer, "loss_left", None),
        "seed": embedding.random_state,
        "dof": embedding.dof,
        "negative_gradient_method": embedding.negative_gradient_method,
        **(embedding.gradient_descent_params or {}),
    }
    return {
        name: _fact(value)
        for name, value in found.items()
        if value is not None and name not in WITHOUT_EFFECT
    }


def _describe_graph(affinities: Affinities) -> str:
    perplexity = getattr(affinities, "effective_perplexity_", None)
    if perplexity is None:
        perplexity = getattr(affinities, "perplexity", None)
    kind = type(affinities).__name__
    return kind if perplexity is None else f"{kind}, perplexity {_fact(perplexity)}"


def _fact(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        return type(value).__name__
    return str(value)


def _hash(value: Any) -> str:
    return fingerprint(value, "data").rpartition(" ")[2]


def check_axes(axes: Sequence["Axes"] | None, count: int, what: str) -> Sequence["Axes"]:
    """Return as many Axes as are needed: those given, or a new figure's."""
    if axes is None:
        pyplot = require("matplotlib.pyplot", "a plot", "plot")
        _, found = pyplot.subplots(
            1, count, figsize=(4.5 * count, 4.5), layout="constrained", squeeze=False
        )
        return list(found[0])
    given = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(given) != count:
        raise ValueError(f"axes must be {count} Axes for {what}; got {len(given)}")
    return given


def draw_map(report: Report, ax: "Axes", title: str | None = None) -> None:
    """Draw the map on an Axes, by its labels where it has a title, else by a score of points."""
    names = report.points.dtype.names or ()
    name = next(name for name in COLORS if name in names)
    labels = None if title is None else report.labels
    plotting.scatter(
        to_plane(report.embedding)[0],
        report.points[name] if labels is None else labels,
        ax,
        kind="values" if labels is None else "auto",
        legend=labels is None and title is None,
        title=title or POINT_TITLES.get(name, "Islands"),
    )


def draw_rank_curves(reports: Mapping[str, Report], ax: "Axes") -> None:
    """Draw the curves R_NX of reports on an Axes."""
    ax.set(title="Neighbourhoods of all sizes", xlabel="size k", ylabel="R_NX", xscale="log")
    for name, report in reports.items():
        if "ranks" in report.curves:
            curve = report.curves["ranks"]
            (line,) = ax.plot(curve["k"], curve["r_nx"], label=name or None)
            low, high = (curve["r_nx"] + sign * 1.96 * curve["r_nx_error"] for sign in (-1, 1))
            color = line.get_color()
            ax.fill_between(curve["k"], low, high, color=color, alpha=0.2, linewidth=0)
