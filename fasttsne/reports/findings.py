"""Warnings: where an embedding should not be read as it seems."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fasttsne.linalg.dominance import dominating_column
from fasttsne.optimize.stopping import LOSS_LEFT
from fasttsne.reports.catalogue import usual_range
from fasttsne.reports.inputs import ReportInput
from fasttsne.reports.measure import Scores

# A row whose affinities are to such a share to other islands is at a gap of the map.  Where the
# data have the gap, too, such rows are the sparse ones of their island: their mean rank is .9 for
# two clusters six standard deviations from each other, .5 to .63 where a map was cut at will.
AT_GAP, LARGEST_SPARSENESS, FEWEST_AT_GAP, SHARE_AT_GAP = 0.15, 0.65, 8, 0.02
# Of many islands whose gaps are real, a few look otherwise by chance: the rows at gaps that the
# data may not have are more than this share of all rows at gaps.
MOST_AT_GAPS = 0.5
# Share of the points for which rims, jumps, or points that are not held are worth a word.
MANY_AT_RIMS, MANY_JUMPS, MANY_LOOSE = 0.025, 0.05, 0.05
# A share is also large beyond the usual one times this factor.
BEYOND_USUAL = 1.5
# An island most of whose affinities are elsewhere has not arrived.
STRANDED, MANY_STRANDED = 0.5, 0.01
# Equal rows lie on one another: so many of one kind are an island of their own.
MANY_EQUAL, SHARE_EQUAL = 10, 0.05
# Iterations below which a run of fixed length is short.
SHORT_RUN = 250
LOW_GRAPH_RECALL, LOW_TAIL = 0.85, 0.3
CLEARER = 0.05

NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Finding:
    """A warning.

    Attributes
    ----------
    kind : "stopped", "column", "graph", "stranded", "split", "jumps", "loose", "duplicates" or
        "labels".
    title : in few words.
    text : what it means for a reader.
    rows : indices, from 0, of the rows that it is about; none where it is about the whole map.
    """

    kind: str
    title: str
    text: str
    rows: np.ndarray

    def __str__(self) -> str:
        return f"{self.title}: {self.text}"


def find_all(given: ReportInput, found: Scores) -> tuple[Finding, ...]:
    """Return all warnings, the gravest first."""
    finders: tuple[Callable[[ReportInput, Scores], Iterator[Finding]], ...] = (
        _stopped,
        _column,
        _graph,
        _stranded,
        _split,
        _jumps,
        _loose,
        _duplicates,
        _labels,
    )
    return tuple(finding for find in finders for finding in find(given, found))


def _stopped(given: ReportInput, found: Scores) -> Iterator[Finding]:
    if not given.graph_is_own or given.embedding is None:
        return
    optimizer, text = given.embedding.optimizer, None
    # Of a map of an AnnData it is not known how many iterations it had.
    left, iteration = (
        (None, None) if optimizer is None else (optimizer.loss_left, optimizer.iteration)
    )
    if given.embedding.kl_divergence is None:
        text = (
            "The map was never optimized, or its last run was interrupted: where points are is "
            "not final."
        )
    elif left is not None and left > LOSS_LEFT:
        text = (
            f"An estimated {left:.0%} of the loss was left to be gained: groups may still be on "
            "their way."
        )
    elif left is None and iteration is not None and iteration < SHORT_RUN:
        text = (
            f"It had {iteration} iterations; maps of fixed length usually take {SHORT_RUN} and "
            "more."
        )
    if text is not None:
        yield Finding("stopped", "The run was stopped early", text, NO_ROWS)


def _column(given: ReportInput, found: Scores) -> Iterator[Finding]:
    column = dominating_column(given.X, given.column_names, given.metric)
    if column is not None:
        yield Finding("column", "One column decides", str(column), NO_ROWS)


def _graph(given: ReportInput, found: Scores) -> Iterator[Finding]:
    recall, tail = map(found.scores.get, ("graph_recall", "graph_recall_tail"))
    if not given.graph_is_own or recall is None or tail is None:
        return
    if recall < LOW_GRAPH_RECALL or tail < LOW_TAIL:
        yield Finding(
            "graph",
            "The graph lacks neighbours",
            f"Of the 15 true nearest neighbours it has {recall:.0%} on average, and for one row in "
            f"a hundred at most {tail:.0%}: what it lacks the map cannot show.",
            NO_ROWS,
        )


def _stranded(given: ReportInput, found: Scores) -> Iterator[Finding]:
    islands = found.islands
    if islands is None or islands.elsewhere is None or len(islands.sizes) < 2:
        return
    mean = np.bincount(islands.island, islands.elsewhere) / islands.sizes
    is_stranded = (mean > STRANDED) & ~islands.is_large
    rows = np.flatnonzero(is_stranded[islands.island])
    if len(rows) > MANY_STRANDED * len(islands.island):
        yield Finding(
            "stranded",
            "Islands of points that have not arrived",
            f"{_count(len(rows), 'point')} in {_count(int(is_stranded.sum()), 'small island')} "
            "have most of their neighbours elsewhere in the map: these islands are no groups of "
            "the data.  A longer run may bring them home.",
            rows,
        )
    is_split = (mean > STRANDED) & islands.is_large
    if is_split.any():
        rows = np.flatnonzero(is_split[islands.island])
        yield Finding(
            "stranded",
            "Groups that have not come together",
            f"{_count(int(is_split.sum()), 'island')} of {_count(len(rows), 'point')} have most of "
            "their neighbours in other islands: the map has not converged.",
            rows,
        )


def _split(given: ReportInput, found: Scores) -> Iterator[Finding]:
    islands = found.gaps
    if islands is None or islands.elsewhere is None or islands.sparseness is None:
        return
    at_gap = (islands.elsewhere > AT_GAP) & islands.is_large[islands.island]
    split, rows = [], []
    for island in np.flatnonzero(islands.is_large):
        rim = np.flatnonzero(at_gap & (islands.island == island))
        if len(rim) < max(FEWEST_AT_GAP, SHARE_AT_GAP * islands.sizes[island]):
            continue
        if islands.sparseness[rim].mean() < LARGEST_SPARSENESS:
            split.append(island)
            rows.append(rim)
    rim = np.concatenate(rows) if rows else NO_ROWS
    is_many = len(rim) > MANY_AT_RIMS * len(islands.island)
    if is_many and len(rim) > MOST_AT_GAPS * at_gap.sum():
        yield Finding(
            "split",
            "Gaps that the data may not have",
            f"{_count(len(split), 'island')} with {islands.sizes[split].sum():,} points go on "
            f"beyond a gap of the map: {_count(len(rim), 'point')} at their rims, where the data "
            "are as dense as elsewhere, have neighbours in other islands.  Do not take these "
            "islands for separate groups without another sign of it.",
            np.sort(rim),
        )


def _jumps(given: ReportInput, found: Scores) -> Iterator[Finding]:
    share = found.scores.get("jumps")
    usual = usual_range("jumps")
    many = MANY_JUMPS if usual is None else max(MANY_JUMPS, BEYOND_USUAL * usual[1])
    if share is not None and share > many:
        yield Finding(
            "jumps",
            "The map is torn",
            f"{share:.0%} of the points would move far away if their row changed a little: the "
            "gaps between here and there are the map's.",
            np.flatnonzero(found.points["jumps"] == 1),
        )


def _loose(given: ReportInput, found: Scores) -> Iterator[Finding]:
    values = found.points.get("singularity")
    if values is None:
        return
    rows = np.flatnonzero(np.isposinf(values))
    n_known = int((~np.isnan(values)).sum())
    if given.graph_is_own and len(rows) > MANY_LOOSE * n_known:
        yield Finding(
            "loose",
            "Points that are not at a minimum",
            f"{len(rows) / n_known:.0%} of the points are at no minimum of the loss: they would "
            "move on if the run did.",
            rows,
        )


def _duplicates(given: ReportInput, found: Scores) -> Iterator[Finding]:
    count = found.points.get("n_equal")
    if count is None:
        return
    share, largest = float((count > 0).mean()), int(count.max()) + 1
    if largest > MANY_EQUAL or share > SHARE_EQUAL:
        yield Finding(
            "duplicates",
            "Rows that are equal",
            f"{share:.1%} of the rows are equal to others, up to {largest:,} to one another: they "
            "lie on one another, and large sets of them are islands that mean no more than that.",
            np.flatnonzero(count > 0),
        )


def _labels(given: ReportInput, found: Scores) -> Iterator[Finding]:
    shown, true = map(found.scores.get, ("label_accuracy", "label_accuracy_in_data"))
    if shown is None or true is None:
        return
    error = 2 * np.hypot(shown.standard_error, true.standard_error)
    if shown < true - CLEARER - error:
        yield Finding(
            "labels",
            "The map mixes labels",
            f"{shown:.0%} of the points have the label of their neighbours in the map, "
            f"{true:.0%} in the data.",
            NO_ROWS,
        )


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
