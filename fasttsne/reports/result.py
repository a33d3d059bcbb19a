"""Reports on one embedding, ``fasttsne.report``, and on several, ``fasttsne.compare``."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fasttsne import plotting
from fasttsne.affinity import Affinities
from fasttsne.io.codec import fingerprint
from fasttsne.metrics.neighborhoods import perplexity_of
from fasttsne.optimize.parameters import WITHOUT_EFFECT
from fasttsne.reports import catalogue
from fasttsne.reports.catalogue import (
    MEANINGS,
    POINT_TITLES,
    ShownAsTable,
    downsample_curve,
    usual_range,
)
from fasttsne.reports.findings import Finding, find_all
from fasttsne.reports.inputs import (
    Map,
    ReportInput,
    SampleSpec,
    check_input,
    integer_seed,
    resolve_sample,
    with_graph,
)
from fasttsne.reports.measure import Scores, measure
from fasttsne.reports.page import ReportContent, to_plane, write_comparison, write_report
from fasttsne.runtime import build_info
from fasttsne.runtime.typing import FilePath, Metric, RandomState, Rows, Settings
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

    def to_dict(self, points: bool = False) -> dict[str, object]:
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
        axes = _check_axes(axes, 3, "a report")
        _draw_map(self, axes[0])
        _draw_rank_curves({"": self}, axes[1])
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

    def _rows(self) -> list[list[str]]:
        rows = [["score", "value", "", "usual"]]
        for name in MEANINGS:
            if name in self.scores:
                value = self.scores[name]
                texts = catalogue.format_value(value), catalogue.format_error(value)
                rows.append([name, *texts, catalogue.format_usual(name)])
        return rows

    def _warnings(self) -> list[str]:
        return list(map(str, self.findings))


@dataclass(frozen=True, repr=False)
class Comparison(ShownAsTable):
    """What :func:`fasttsne.compare` returns; where it is printed, a table of scores by map.

    Attributes
    ----------
    reports : :class:`Report` by the name of the map.
    """

    reports: dict[str, Report]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Values by the name of the score, by the name of the map."""
        return {
            name: {each: r.scores[name] for each, r in self.reports.items() if name in r.scores}
            for name in catalogue.MEANINGS
            if any(name in r.scores for r in self.reports.values())
        }

    def to_dict(self) -> dict[str, object]:
        """Return the reports, as JSON can express them, by the name of the map."""
        return {name: each.to_dict() for name, each in self.reports.items()}

    def to_html(self, path: FilePath, title: str | None = None) -> Path:
        """Write the comparison as one HTML page that needs no other file and no network.

        It has small maps, coloured by the labels, the curves R_NX in one frame, and the table of
        scores.  Of more than 4,000 points it has a sample.

        Parameters
        ----------
        path : of the file; one that exists is replaced.
        title : of the page; None is "Comparison of maps".

        Raises
        ------
        ImportError
            Without Jinja2: the extra ``report``.
        """
        return write_comparison(self.reports, self.headline, self._rows()[1:], path, title)

    def plot(self, axes: Sequence["Axes"] | None = None) -> Sequence["Axes"]:
        """Draw small multiples of the maps, and their curves R_NX in one more Axes.

        Parameters
        ----------
        axes : Axes of Matplotlib, one more than there are maps; None makes a figure.

        Returns
        -------
        The Axes.

        Raises
        ------
        ImportError
            Without Matplotlib: the extra ``plot``.
        """
        axes = _check_axes(axes, len(self.reports) + 1, f"{len(self.reports)} maps")
        for ax, (name, report) in zip(axes, self.reports.items(), strict=False):
            _draw_map(report, ax, name)
        _draw_rank_curves(self.reports, axes[-1])
        axes[-1].legend(frameon=False)
        return axes

    @property
    def headline(self) -> str:
        """What it is about, in a line."""
        n, count = len(next(iter(self.reports.values())).embedding), len(self.reports)
        return f"{count} map{'' if count == 1 else 's'} of {n:,} rows"

    def _rows(self) -> list[list[str]]:
        rows = [["score", *self.reports, "usual"]]
        for name, values in self.scores.items():
            texts = {each: catalogue.format_value(value) for each, value in values.items()}
            cells = [texts.get(each, "") for each in self.reports]
            rows.append([name, *cells, catalogue.format_usual(name)])
        return rows

    def _warnings(self) -> list[str]:
        return [f"{name}: {each}" for name, r in self.reports.items() for each in r.findings]


def report(
    X: Rows,
    embedding: Map | None = None,
    labels: ArrayLike | None = None,
    sample: int | str | None = "auto",
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
    *,
    metric: Metric | None = None,
    metric_params: Settings = None,
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
    return _make_report(with_graph(given, spec, perplexity), spec, start)


def compare(
    maps: Mapping[str, Map],
    X: Rows,
    labels: ArrayLike | None = None,
    sample: int | str | None = "auto",
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
    *,
    metric: Metric | None = None,
    metric_params: Settings = None,
    perplexity: float | None = None,
) -> Comparison:
    """Measure several maps of the same rows, of one program or of several.

    All are measured on the same sample.  The graph of neighbours, too, is one for all maps that
    have none of their own.

    Parameters
    ----------
    maps : maps by name, each as ``embedding`` of :func:`report`.

    Other parameters, and errors, are as for :func:`report`.

    Returns
    -------
    Comparison
    """
    if not isinstance(maps, Mapping) or not maps:
        raise TypeError(f"maps must be a dictionary of at least one map; got {maps!r:.60}")
    seed, graph, found = integer_seed(random_state), None, {}
    for name, embedding in maps.items():
        start = time.perf_counter()
        given = check_input(X, embedding, labels, metric, metric_params)
        spec = resolve_sample(sample, np.shape(given.X), seed, n_jobs)
        given = with_graph(given, spec, perplexity, graph)
        if not given.graph_is_own:
            graph = given.affinities
        found[str(name)] = _make_report(given, spec, start)
    return Comparison(found)


def _make_report(given: ReportInput, spec: SampleSpec, start: float) -> Report:
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
        "iterations": None if optimizer is None else optimizer.iteration,
        "KL divergence": embedding.kl_divergence,
        "loss left": None if optimizer is None else optimizer.loss_left,
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
    perplexity, kind = perplexity_of(affinities), type(affinities).__name__
    return kind if perplexity is None else f"{kind}, perplexity {_fact(perplexity)}"


def _fact(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        return type(value).__name__
    return str(value)


def _hash(value: object) -> str:
    return fingerprint(value, "data").rpartition(" ")[2]


def _check_axes(axes: Sequence["Axes"] | None, count: int, what: str) -> Sequence["Axes"]:
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


def _draw_map(report: Report, ax: "Axes", title: str | None = None) -> None:
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


def _draw_rank_curves(reports: Mapping[str, Report], ax: "Axes") -> None:
    """Draw the curves R_NX of reports on an Axes."""
    ax.set(title="Neighbourhoods of all sizes", xlabel="size k", ylabel="R_NX", xscale="log")
    for name, report in reports.items():
        if "ranks" in report.curves:
            curve = report.curves["ranks"]
            (line,) = ax.plot(curve["k"], curve["r_nx"], label=name or None)
            low, high = (curve["r_nx"] + sign * 1.96 * curve["r_nx_error"] for sign in (-1, 1))
            color = line.get_color()
            ax.fill_between(curve["k"], low, high, color=color, alpha=0.2, linewidth=0)
