"""The field in which a point of a map moves while all others stay, as the kernel reads it."""

from typing import NamedTuple

import numpy as np

from fasttsne import _kernels
from fasttsne.repulsion.barnes_hut import TreeRepulsion, bounding_box
from fasttsne.repulsion.exact import ExactRepulsion, padded_columns
from fasttsne.repulsion.mesh import MeshRepulsion
from fasttsne.repulsion.mesh.layout import FALLBACK_THETA, LINEAR_SPAN, MAX_LINE_CELLS, max_cells

# Up to so many points, the sum over all costs no more than a grid.
EXACT_MAX_POINTS = 1000
# The field reaches so much of the map's extent beyond it.
MARGIN = 0.05
# The second derivative needs splines of a higher order than the forces of a descent.
MESH_PARAMS = {"n_interpolation_points": 4, "min_num_intervals": 50, "ints_in_interval": 1}
# A grid beyond the limits of a descent's is finer, where there is room: errors of curvatures are
# then a quarter of the others, 0.003 for 0.011 in the median of MNIST's map.
FINE_PARAMS = {**MESH_PARAMS, "ints_in_interval": 0.7}
# Padded cells of the largest grid.  It takes 14 bytes a cell while it is made: less than 1 GB.
# A grid for one evaluation of forces has to be smaller (``repulsion.limits``); this one is made
# once, and each row reads it some fifty times.
MAX_FIELD_CELLS = 2**26
# A row's sums over all points cost as much as so many cells for each point.
CELLS_PER_PAIR = 0.2
NO_SELF_FORCE = np.zeros(_kernels.particle_mesh.SELF_FORCE_TERMS, np.float32)


class PointField(NamedTuple):
    """What ``leave_one_out`` needs of a map beside its points.

    z : sum of the similarities of all pairs.
    sources : (d, capacity) float32 points, transposed and padded, for sums over all; or None.
    cells, origin, spacing, mean, table : the potential on a grid, where there are no sources.
    box : (2, d), where it is known.
    """

    z: float
    sources: np.ndarray | None
    cells: np.ndarray | None
    origin: np.ndarray | None
    spacing: float
    mean: float
    table: np.ndarray | None
    box: np.ndarray


def make_point_field(
    points: np.ndarray,
    dof: float,
    n_threads: int,
    is_exact: bool = False,
    n_rows: int | None = None,
) -> PointField:
    """Return the field of a map, (n, d) float32, from a grid unless that would be too large.

    Parameters
    ----------
    is_exact : by sums over all points in any case.
    n_rows : how many points will be left out, for which a larger grid may pay; None is all.
    """
    low, high = bounding_box(points)
    margin = np.float32(MARGIN) * (high - low).max()
    box = low - margin, high + margin
    limits = np.stack(box).astype(np.float64)
    is_small = len(points) <= EXACT_MAX_POINTS or float((high - low).max()) < LINEAR_SPAN
    mesh = None if is_exact or is_small else _mesh(points, box, dof, n_threads, n_rows)
    scratch = np.empty_like(points)
    if mesh is None:
        tree = TreeRepulsion(dof, FALLBACK_THETA[points.shape[1]], n_threads)
        z = (ExactRepulsion(dof, n_threads) if is_small else tree)(points, scratch)
        return PointField(z, padded_columns(points), None, None, 1.0, 0.0, None, limits)
    cells, spacing, constant = mesh.potential(points, box)
    mean = len(points) * constant
    own = np.empty(len(points), np.float32)
    _kernels.particle_mesh.gather(
        points, cells, box[0], spacing, mesh.polynomials, NO_SELF_FORCE, scratch, n_threads, own
    )
    # What a grid says that a point contributes to its own potential is 1 but for its errors.
    z = float(own.sum(dtype=np.float64)) + len(points) * (mean - 1)
    table = with_curvatures(mesh.polynomials)
    return PointField(z, None, cells, box[0], spacing, mean, table, limits)


def _mesh(
    points: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    dof: float,
    n_threads: int,
    n_rows: int | None,
) -> MeshRepulsion | None:
    """Return the mesh for so many rows; None where sums over all points cost less."""
    n, d = points.shape
    n_pairs = n * (n if n_rows is None else n_rows)
    possible = MAX_LINE_CELLS if d == 1 else MAX_FIELD_CELLS
    worthwhile = min(CELLS_PER_PAIR * n_pairs, possible)
    attempts = (
        (MESH_PARAMS, max_cells(n, d)),
        (FINE_PARAMS, worthwhile),
        (MESH_PARAMS, worthwhile),
    )
    for params, limit in attempts:
        mesh = MeshRepulsion.from_params(dof, n_threads, params)
        if mesh.padded_cells(box) <= limit:
            return mesh
    return None


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
    share: float,
    n_nearest: int,
    n_directions: int,
    dof: float,
    n_threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return smallest curvature, perturbation, target and direction of each row.

    graph : row pointers, columns and values of the affinities, from ``edges_of``.
    """
    m, d = len(rows), points.shape[1]
    found = np.empty(m), np.empty(m), np.empty((m, d)), np.empty(m, np.int32)
    _kernels.leave_one_out.leave_one_out(
        *graph,
        points,
        rows.astype(np.int32),
        field.z,
        exaggeration,
        share,
        n_nearest,
        n_directions,
        dof,
        *field[1:],
        *found,
        n_threads,
    )
    return found
