"""How free each point of a map is: the scores of the leave-one-out map."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from fasttsne.affinity import Affinities
from fasttsne.metrics.samples import check_points, sample_rows
from fasttsne.metrics.single_point_field import leave_one_out, make_point_field
from fasttsne.objective.edges import edges_of
from fasttsne.runtime.threads import resolve_n_jobs
from fasttsne.runtime.typing import RandomState
from fasttsne.runtime.validation import check_number

# How far a row moves, as a share of the way to a neighbour; among how many of its strongest
# neighbours the directions are looked for, and how many of these it is.
SHARE, N_NEAREST, N_DIRECTIONS = 0.8, 10, 2

# A point that moves farther than this many times what is usual jumps; one whose singularity is this
# many times the usual one is not held.  Good maps have few of them: benchmarks/trust.py.
PERTURBATION_LIMIT = 5.0
SINGULARITY_LIMIT = 10.0


@dataclass(frozen=True)
class LooScores:
    """Scores of rows, each with all other points where they are.

    Attributes
    ----------
    rows : (m,) indices of the rows, ascending.
    perturbation : (m,) how far the point moves, in units of the map, when its row moves four
        fifths of the way to a neighbour: the more of two directions.
    singularity : (m,) one by the smallest curvature of the loss of the point where it is, in units
        of the map squared; infinite where that is not positive: the point is not at a minimum.
    target : (m, d) where the point goes in the direction in which it moves farther.
    toward : (m,) the neighbour, a row, in whose direction that is; -1 where neither moves it.
    jumps : (m,) bool, whether the perturbation is more than 5 times the median of the rows.
    is_loose : (m,) bool, whether the singularity is more than 10 times the median of the rows.
    """

    rows: np.ndarray
    perturbation: np.ndarray
    singularity: np.ndarray
    target: np.ndarray
    toward: np.ndarray
    jumps: np.ndarray
    is_loose: np.ndarray

    @property
    def is_flagged(self) -> np.ndarray:
        """(m,) bool, whether the point jumps or is loose."""
        flagged: np.ndarray = self.jumps | self.is_loose
        return flagged


def loo_scores(
    embedding: Any,
    sample_size: int | None = None,
    exaggeration: float = 1.0,
    random_state: RandomState = 0,
    n_jobs: int | None = -1,
) -> LooScores:
    """Return where a map is discontinuous, and which of its points could as well be elsewhere.

    A map of all rows makes a map of one: where does a new row go while all others stay?  That is
    the minimum of the loss as a function of one point, a landscape with several valleys.  A point
    *jumps* where a small change of its row makes another valley the deepest: the map is torn
    there, or a group that is one in the data was split.  It is *loose* where its valley is flat in
    some direction: its position there is arbitrary.

    The row is moved four fifths of the way to a neighbour in the graph: its affinities become a
    mean of its own and the neighbour's.  Directions are the two of its ten strongest neighbours
    that lie farthest from it in the map; descents start where the point is and at the neighbour.
    So a jump is found on both sides of a tear, where benchmarks/trust.py says how often.

    The repulsion comes from a grid where that is made sooner than the sums over all points are
    for these rows.  It takes up to 1 GB, whatever the ``memory_limit`` of the fit was.  All 70,000
    points of MNIST take four seconds of the processor; by sums a row takes a millisecond there.

    Parameters
    ----------
    embedding : :class:`fasttsne.TSNEEmbedding`, optimized: its affinities and ``dof`` define the
        loss.  For a map of another program, ``TSNEEmbedding(map, affinities)``.
    sample_size : number of rows, chosen at random, whose scores are computed; None is all.
    exaggeration : of the attraction, where the map was made with one to its end.
    random_state : seeds the sample.
    n_jobs : threads; -1 all cores.  The result does not depend on it.

    Raises
    ------
    TypeError
        If embedding has no affinities.

    Source: Liu, Ma & Zhong 2025, Assessing and improving reliability of neighbor embedding methods:
    a map-continuity perspective, Nature Communications (arXiv 2410.16608), where the row moves
    along principal components of the data.
    """
    points, P, dof = _fitted(embedding)
    exaggeration = check_number(exaggeration, "exaggeration", low=0)
    rows = sample_rows(len(points), sample_size, random_state)
    n_threads = resolve_n_jobs(n_jobs)
    field = make_point_field(points, dof, n_threads, n_rows=len(rows))
    curvature, perturbation, target, toward = leave_one_out(
        edges_of(P, "affinities.P"),
        points,
        rows,
        field,
        exaggeration,
        SHARE,
        N_NEAREST,
        N_DIRECTIONS,
        dof,
        n_threads,
    )
    with np.errstate(divide="ignore"):
        singularity = np.where(curvature > 0, 1 / np.maximum(curvature, 0), np.inf)
    return LooScores(
        rows,
        perturbation,
        singularity,
        target,
        toward,
        perturbation > PERTURBATION_LIMIT * np.median(perturbation),
        singularity > SINGULARITY_LIMIT * np.median(singularity),
    )


def _fitted(embedding: Any) -> tuple[np.ndarray, sp.csr_matrix, float]:
    """Return the points, (n, d) float32, affinities and degrees of freedom of a map."""
    affinities = getattr(embedding, "affinities", None)
    if not isinstance(affinities, Affinities):
        raise TypeError(
            "embedding must be a TSNEEmbedding, which has affinities; got "
            f"{type(embedding).__name__}.  For a map of another program: TSNEEmbedding(map, "
            "affinities)"
        )
    points = check_points(embedding)
    if not np.ptp(points, axis=0).any():
        raise ValueError("embedding must have points that are not all equal")
    return np.ascontiguousarray(points, np.float32), affinities.P_float32, float(embedding.dof)
