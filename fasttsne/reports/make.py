"""Make reports: the functions ``fasttsne.report`` and ``fasttsne.compare``."""

import numbers
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.reports import measured
from fasttsne.reports.comparison import Comparison
from fasttsne.reports.facts import facts_of, plan_of
from fasttsne.reports.findings import Finding, find_all
from fasttsne.reports.measured import Measured, measure
from fasttsne.reports.memory import check_free_memory
from fasttsne.reports.result import Report
from fasttsne.reports.sizes import resolve_sizes
from fasttsne.reports.subject import Subject, check_subject, with_graph
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import Metric, RandomState, Rows
from fasttsne.runtime.typing import Settings as MetricSettings
from fasttsne.runtime.validation import check_random_state


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
    """Measure how far a map can be trusted, and say what the numbers mean.

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
    seed = _integer_seed(random_state)
    subject = check_subject(X, embedding, labels, metric, metric_params, column_names)
    settings = _settings(subject, sample, seed, n_jobs, perplexity)
    return _report(with_graph(subject, perplexity, seed, n_jobs), settings, start)


def compare(
    maps: Mapping[str, Any],
    X: Rows,
    labels: ArrayLike | None = None,
    sample: int | str | None = "auto",
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
    *,
    metric: Metric | None = None,
    metric_params: MetricSettings = None,
    perplexity: float | None = None,
) -> Comparison:
    """Measure several maps of the same rows, of one program or of several.

    All are measured on the same sample.  The graph of neighbours, too, is one for all maps that
    have none of their own.

    Parameters
    ----------
    maps : maps by name, each as ``embedding`` of :func:`report`.

    The others, and errors, are those of :func:`report`.

    Returns
    -------
    Comparison
    """
    if not isinstance(maps, Mapping) or not maps:
        raise TypeError(f"maps must be a dictionary of at least one map; got {maps!r:.60}")
    seed, graph = _integer_seed(random_state), None
    found = {}
    for name, embedding in maps.items():
        start = time.perf_counter()
        subject = check_subject(X, embedding, labels, metric, metric_params)
        settings = _settings(subject, sample, seed, n_jobs, perplexity, graph is not None)
        subject = with_graph(subject, perplexity, seed, n_jobs, graph)
        if not subject.graph_is_own:
            graph = subject.affinities
        found[str(name)] = _report(subject, settings, start)
    return Comparison(found)


def _settings(
    subject: Subject,
    sample: int | str | None,
    seed: int,
    n_jobs: int | None,
    perplexity: float | None,
    has_graph: bool = False,
) -> measured.Settings:
    resolve_n_jobs(n_jobs)  # raises where it is none
    sizes = resolve_sizes(sample, *np.shape(subject.X))
    check_free_memory(subject, sizes, perplexity, has_graph)
    return measured.Settings(sizes, seed, n_jobs)


def _report(subject: Subject, settings: measured.Settings, start: float) -> Report:
    n = len(subject.points)
    found = measure(subject, settings)
    findings = find_all(subject, found)
    facts = facts_of(subject, settings.seed, time.perf_counter() - start)
    return Report(
        found.scores,
        _as_table(found, findings, n),
        found.curves,
        findings,
        found.left_out,
        facts,
        plan_of(subject),
        subject.points,
        subject.labels,
        found.strongest,
    )


def _as_table(found: Measured, findings: tuple[Finding, ...], n: int) -> np.ndarray:
    """What each point has, as a structured array."""
    first = np.zeros(n, np.int8)
    for number, finding in reversed(list(enumerate(findings, 1))):
        first[finding.rows] = number
    columns = {**found.points, "finding": first}
    table = np.empty(n, [(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table


def _integer_seed(random_state: RandomState) -> int:
    """A seed for several samples that are to be the same."""
    generator = check_random_state(random_state)
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(generator.uniform() * 2**31)
