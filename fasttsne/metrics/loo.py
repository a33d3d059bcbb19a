"""Leave-one-out scores: how firmly each point of an embedding is held where it is."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.affinity import Affinities
from fasttsne.metrics.estimate import check_points, sample_rows
from fasttsne.objective.edges import edges_of
from fasttsne.repulsion import AutoRepulsion
from fasttsne.repulsion.barnes_hut import bounding_box
from fasttsne.repulsion.exact import padded_columns
from fasttsne.repulsion.mesh.influence import polynomials, taylor_coefficients
from fasttsne.repulsion.mesh.particle_mesh import Potential
from fasttsne.repulsion.mesh.split import LINEAR_SPAN, exact_cost
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
# Up to so many points, the sum over all costs no more than a grid.
EXACT_MAX_POINTS = 1000
# The field reaches so much of the map's extent beyond it.
MARGIN = 0.05
# Error of the forces of the field: curvatures have a larger one.
ACCURACY = 1e-3
# How often a row asks for its place, about.
PLACES_PER_ROW = 50


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
    """Return where an embedding is discontinuous, and which of its points are hardly held.

    The loss as a function of one point, while all others stay, may have several minima.  A point
    *jumps* where a small change of its row makes another minimum the deepest: the embedding is
    torn there, or has split a group of the data.  It is *loose* where its minimum is flat in some
    direction: its position there is arbitrary.

    The row is moved four fifths of the way to a neighbour in the graph: its affinities become a
    mean of its own and the neighbour's.  Directions are the two of its ten strongest neighbours
    that lie farthest from it in the embedding; descents start at the point and at the neighbour.

    The repulsion comes from a grid where that costs less than sums over all points for these rows.
    Its grid takes up to 100 MB, whatever the ``memory_limit`` of the fit was.  All 70,000 points of
    MNIST take four seconds of the processor; by sums a row takes a millisecond there.

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
    field = make_point_field(points, dof, n_threads)
    curvature, perturbation, target, toward = leave_one_out(
        edges_of(P, "affinities.P"), points, rows, field, exaggeration, dof, n_threads
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


class PointField(NamedTuple):
    """What ``leave_one_out`` needs of a map beside its points.

    z : sum of the similarities of all pairs.
    sources : (d, capacity) float32 points, transposed and padded, for sums over all; or None.
    potential : of near points and a grid, where there are no sources.
    box : (2, d), where it is known.
    """

    z: float
    sources: np.ndarray | None
    potential: Potential | None
    box: np.ndarray


def make_point_field(
    points: np.ndarray, dof: float, n_threads: int, is_exact: bool = False
) -> PointField:
    """Return the field of a map, (n, d) float32, from a grid unless that would be too large.

    is_exact : by sums over all points in any case.
    """
    low, high = bounding_box(points)
    n, d = points.shape
    margin = np.float32(MARGIN) * (high - low).max()
    box = low - margin, high + margin
    limits = np.stack(box).astype(np.float64)
    is_small = n <= EXACT_MAX_POINTS or float((high - low).max()) < LINEAR_SPAN
    repulsion = AutoRepulsion(dof, ACCURACY, n_threads)
    z = repulsion(points, np.empty_like(points))
    potential = None
    if not is_exact and not is_small:
        n_places = PLACES_PER_ROW * n
        potential = repulsion.potential(points, box, n_places, exact_cost(n, d) / n * n_places)
    sources = padded_columns(points) if potential is None else None
    return PointField(z, sources, potential, limits)


def with_curvatures(polynomials: np.ndarray) -> np.ndarray:
    """Return the table of a spline's weights and slopes, (2, p, 8), with second derivatives."""
    p = polynomials.shape[1]
    table = np.zeros((3, *polynomials.shape[1:]), np.float32)
    table[:2] = polynomials
    powers = np.arange(p - 2, 0, -1, dtype=np.float32)
    table[2, : p - 2] = polynomials[1, : p - 2] * powers[:, None]
    return table


def leave_one_out(
    graph: tuple[np.ndarray, np.ndarray, np.ndarray],
    points: np.ndarray,
    rows: np.ndarray,
    field: PointField,
    exaggeration: float,
    dof: float,
    n_threads: int,
    n_directions: int = N_DIRECTIONS,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return smallest curvature, perturbation, target and direction of each row.

    graph : row pointers, columns and values of the affinities, from ``edges_of``.
    """
    m, d = len(rows), points.shape[1]
    found = np.empty(m), np.empty(m), np.empty((m, d)), np.empty(m, np.int32)
    setting = field.z, exaggeration, SHARE, N_NEAREST, n_directions, dof
    potential: tuple[object, ...] = (None, 1.0, *[None] * 5, 1.0, None, 0.0, None, 0.0)
    if field.potential is not None:
        potential = _arguments(field.potential, len(points))
    _kernels.leave_one_out.leave_one_out(
        *graph,
        points,
        rows.astype(np.int32),
        *setting,
        field.sources,
        *potential,
        field.box,
        *found,
        n_threads,
    )
    return found


def _arguments(potential: Potential, n: int) -> tuple[object, ...]:
    """Return the potential of n points as the kernel takes it."""
    split, dof = potential.split, potential.dof
    table = with_curvatures(polynomials(split.order))
    near = split.cutoff, taylor_coefficients(split.cutoff, dof)
    return *potential.points, potential.cells, split.spacing, table, *near, n * potential.constant
