"""Slow reference implementations of the kernels: plain NumPy, float64, no tricks.

They are what the tests compare the kernels with, and the quickest way to read
what a kernel computes.  Nothing else uses them.
"""

from collections.abc import Sequence
from math import factorial
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Pair: TypeAlias = tuple[np.ndarray, np.ndarray]
# Pairs of a distance and a row.
Candidates: TypeAlias = list[tuple[float, int]]


def differences(y: Array, sources: Array | None = None) -> Pair:
    """y_i - y_j and its squared length, (n, n, d) and (n, n), or of y from other points."""
    d = y[:, None, :] - (y if sources is None else sources)[None, :, :]
    return d, (d**2).sum(-1)


def attraction(P: Array, y: Array, dof: float = 1.0) -> tuple[Array, float]:
    """sum_j p_ij q_ij (y_i - y_j), and dof sum p log(1 + r^2 / dof), for a dense P."""
    d, r2 = differences(y)
    q = 1 / (1 + r2 / dof)
    return ((P * q)[:, :, None] * d).sum(1), dof * (P * np.log1p(r2 / dof)).sum()


def edge_moments(P: Array, y: Array, v: Array, dof: float = 1.0) -> tuple[Array, Array, Array]:
    """degree_i, the matrix moments_i, and L v, for a dense P and weights p_ij q_ij."""
    d, r2 = differences(y)
    weights = P / (1 + r2 / dof)
    moments = np.einsum("ij,ijc,ije->ice", weights, d, d)
    return weights.sum(1), moments, weights.sum(1)[:, None] * v - weights @ v


def repulsion(y: Array, dof: float = 1.0) -> tuple[Array, float]:
    """sum_j w_ij q_ij (y_i - y_j), and Z = sum_{i != j} w_ij."""
    forces, z = repulsion_at(y, y, dof)
    return forces, z.sum() - len(y)


def repulsion_at(y: Array, sources: Array, dof: float = 1.0) -> Pair:
    """The same sums for each of the points y over other points, and the Z of each."""
    d, r2 = differences(y, sources)
    q = 1 / (1 + r2 / dof)
    w = q**dof
    return ((w * q)[:, :, None] * d).sum(1), w.sum(1)


def near_part(r2: Array, cutoff: float, dof: float) -> tuple[Array, Array, Array]:
    """The near part of w by its definition, and its first two derivatives by the squared distance.

    Zero from the cutoff on, and within it w less its Taylor polynomial there, of degree 3.
    """
    s0 = cutoff**2
    derivatives = [
        lambda s, k=k: (-1) ** k * np.prod((dof + np.arange(k)) / dof) * (1 + s / dof) ** (-dof - k)
        for k in range(4)
    ]
    parts = []
    for k in range(3):
        terms = [derivatives[m](s0) * (r2 - s0) ** (m - k) / factorial(m - k) for m in range(k, 4)]
        parts.append(np.where(r2 < s0, derivatives[k](r2) - sum(terms), 0))
    near, slope, bend = parts
    return near, slope, bend


def near_repulsion(y: Array, sources: Array, cutoff: float, dof: float) -> Pair:
    """sum_j -near'(r_ij^2) (y_i - y_j) and sum_j near(r_ij^2) over other points."""
    d, r2 = differences(y, sources)
    near, slope, _ = near_part(r2, cutoff, dof)
    return (-slope[:, :, None] * d).sum(1), near.sum(1)


def kl_divergence(P: Array, y: Array, dof: float = 1.0) -> float:
    """sum p log(p / (w / Z)) over the pairs that P has."""
    _, r2 = differences(y)
    w = (1 + r2 / dof) ** -dof
    np.fill_diagonal(w, 0)
    pairs = P > 0
    return float((P[pairs] * np.log(P[pairs] * w.sum() / w[pairs])).sum())


def gradient(P: Array, y: Array, dof: float = 1.0) -> Array:
    """The gradient of :func:`kl_divergence` where P sums to one."""
    attractive, _ = attraction(P, y, dof)
    repulsive, z = repulsion(y, dof)
    return 4 * (attractive - repulsive / z)


def squared_radii(P: Array, y: Array, dof: float = 1.0) -> Pair:
    """sum_j w_ij r_ij^2 / sum_j w_ij over the pairs that P has, and sum_j w_ij; 0 without pairs."""
    _, r2 = differences(y)
    w = np.where(P > 0, (1 + r2 / dof) ** -dof, 0)
    weights = w.sum(1)
    return (w * r2).sum(1) / np.where(weights > 0, weights, 1), weights


def conditional_affinities(distances: Array, perplexity: float) -> Array:
    """Affinities of one row's neighbours, by bisection of beta in float64."""
    square = np.asarray(distances, float) ** 2
    square -= square.min()
    low, high = 0.0, np.inf
    beta = 1 / max(square.mean(), np.finfo(float).tiny)
    for _ in range(300):
        p: Array = np.exp(-beta * square)
        p /= p.sum()
        entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
        low, high = (beta, high) if entropy > np.log(perplexity) else (low, beta)
        beta = 2 * beta if high == np.inf else (low + high) / 2
    return p


def symmetrized(indices: Array, values: Array) -> Array:
    """(C + C^T) / 2n as a dense matrix."""
    n = len(indices)
    C = np.zeros((n, n))
    np.put_along_axis(C, indices, values, 1)
    return (C + C.T) / (2 * n)


def b_spline(x: Array, order: int) -> Array:
    """The cardinal B-spline M_p(x) on [0, p], by its recurrence."""
    if order == 1:
        return np.array((x >= 0) & (x < 1), float)
    left, right = b_spline(x, order - 1), b_spline(x - 1, order - 1)
    result: Array = (x * left + (order - x) * right) / (order - 1)
    return result


def spread(y: Array, shape: Sequence[int], origin: Array, spacing: float, order: int) -> Array:
    """Spline weights of the points on a grid of (layers, rows, columns), one where it has none."""
    weights = []
    for axis, size in zip((2, 1, 0), shape, strict=True):
        if axis >= y.shape[1]:
            weights.append(np.ones((len(y), 1)))
            continue
        u = (y[:, axis] - origin[axis]) / spacing
        weights.append(b_spline(u[:, None] - np.arange(size) + order - 1, order))
    result: Array = np.einsum("il,ir,ic->lrc", *weights, optimize=True)
    return result


def convolve(density: Array, modes: Array) -> tuple[Array, float]:
    """Multiply a padded grid by even modes (half of each axis, without 1 / size)."""
    fold = [np.minimum(np.arange(m), m - np.arange(m)) for m in density.shape]
    whole = modes[np.ix_(*fold)]
    spectrum = np.fft.fftn(density)
    potential = np.fft.ifftn(spectrum * whole).real
    return potential * density.size, (np.abs(spectrum) ** 2 * whole).sum()


def gather(
    y: Array, potential: Array, origin: Array, spacing: float, order: int, step: float = 1e-4
) -> Array:
    """F = -1/2 grad phi at the points, by central differences of the interpolated potential."""
    force = np.empty(y.shape)
    for axis in range(y.shape[1]):
        shift = np.zeros(y.shape[1])
        shift[axis] = step
        ahead, behind = (
            interpolated(y + sign * shift, potential, origin, spacing, order) for sign in (1, -1)
        )
        force[:, axis] = -0.5 * (ahead - behind) / (2 * step)
    return force


def interpolated(y: Array, potential: Array, origin: Array, spacing: float, order: int) -> Array:
    """The potential at the points."""
    values = np.empty(len(y))
    for i in range(len(y)):
        weights = spread(y[i : i + 1], potential.shape, origin, spacing, order)
        values[i] = (weights * potential).sum()
    return values


def hats(y: Array, low: Array, spacing: float, shape: Sequence[int]) -> Pair:
    """The hats of a grid of ``shape`` cells at the points, (n, nodes), and their derivatives,
    (d, n, nodes); the last coordinate of a node changes fastest.
    """
    n, d = y.shape
    factors = []
    for c in range(d):
        position = np.clip((y[:, c] - low[c]) / spacing, 0, shape[c])[:, None]
        nodes = np.arange(shape[c] + 1)
        inside = (position > 0) & (position < shape[c])
        cell = np.floor(position)
        slope = inside * ((nodes == cell + 1) * 1.0 - (nodes == cell)) / spacing
        factors.append((np.maximum(1 - np.abs(position - nodes), 0), slope))

    def product(axis: int | None = None) -> Array:
        out = np.ones((n, 1))
        for c, (value, slope) in enumerate(factors):
            factor = slope if c == axis else value
            out = (out[:, :, None] * factor[:, None, :]).reshape(n, -1)
        return out

    return product(), np.stack([product(axis) for axis in range(d)])


def stiffness(values: Array, slopes: Array, moments: Array, mass: float) -> Array:
    """sum_i grad phi_a^T T_i grad phi_b / 2 + mass phi_a phi_b"""
    bent: Array = np.einsum("cia,ice,eib->ab", slopes, moments, slopes, optimize=True)
    both: Array = bent / 2 + mass * values.T @ values
    return both


def preconditioner(
    local: Array,
    moments: Array,
    mass: float,
    y: Array,
    low: Array,
    spacing: float,
    shape: Sequence[int],
    min_near: int = 0,
    left_out: float = 1.0,
) -> Array:
    """The matrix M, (n, n): a factor of each point, the diagonal of the stiffness of the hats on a
    grid of ``shape`` cells, and the hats on one with cells twice as wide.

    The diagonal of those with fewer than ``min_near`` points in their cells is ``left_out`` times
    as large.
    """
    M = np.diag(local)
    values, slopes = hats(y, low, spacing, shape)
    diagonal = stiffness(values, slopes, moments, mass).diagonal()
    used = diagonal > 0
    M += values[:, used] / diagonal[used] @ values[:, used].T
    values, slopes = hats(y, low, 2 * spacing, [m // 2 for m in shape])
    used = (values != 0).any(axis=0)
    values, slopes = values[:, used], slopes[:, :, used]
    G = stiffness(values, slopes, moments, mass)
    few = np.flatnonzero((values > 0).sum(0) < min_near)
    G[few, few] *= left_out
    M += values @ np.linalg.solve(G, values.T)
    return M


def combine_forces(attractive: Array, repulsive: Array, z: float, exaggeration: float) -> Array:
    """A quarter of the KL divergence's gradient, from forces in float32."""
    return exaggeration * attractive.astype(float) - repulsive.astype(float) / z


def gradient_step(
    y: Array,
    update: Array,
    gains: Array,
    gradient: Array,
    learning_rate: float,
    momentum: float,
    max_grad_norm: float | None,
    max_step_norm: float | None,
) -> tuple[Array, Array, Array]:
    """One step of gradient descent; returns the new y, update and gains."""
    g = _shortened(gradient, max_grad_norm)
    gains = np.where(np.sign(g) == np.sign(update), 0.8 * gains, gains + 0.2)
    gains = np.maximum(gains, 0.01)
    update = _shortened(momentum * update - learning_rate * gains * g, max_step_norm)
    y = y + update
    return y - y.mean(0), update, gains


def _shortened(v: Array, bound: float | None) -> Array:
    if bound is None:
        return v
    norms = np.linalg.norm(v, axis=1, keepdims=True)
    v = v * np.minimum(1, bound / np.maximum(norms, np.finfo(float).tiny))
    return v


def moments(y: Array, reference: Array) -> tuple[float, Array, Array]:
    """The mean of |y|^2, that of y, and that of the products reference[a] y[b]."""
    return (y**2).sum(1).mean(), y.mean(0), reference.T @ y / len(y)


def place(
    reference: Array,
    turn: Array,
    shift: Array,
    weight: float,
    own_targets: Array,
    own_weights: Array,
) -> Pair:
    """Targets and weights of points that a turned reference and targets of their own draw."""
    targets, weights = reference @ turn + shift, weight + own_weights
    share = np.where(np.isinf(own_weights), 1, own_weights / weights)[:, None]
    return np.where(share == 1, own_targets, (1 - share) * targets + share * own_targets), weights


def nearest(queries: Array, points: Array, k: int, self_join: bool) -> Pair:
    """The k nearest points of each query, nearest first, ties by number."""
    d = np.sqrt(((queries[:, None, :] - points[None, :, :]) ** 2).sum(-1))
    if self_join:
        np.fill_diagonal(d, np.inf)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(d, order, 1)


def search_cells(
    points: Array,
    cells: Sequence[Array],
    near: Sequence[Array],
    far: Sequence[Array],
    bound: tuple[float, float, float],
    rank: int,
    n_reference: int,
    k: int,
    capacity: int,
) -> dict[int, set[int]]:
    """The k best candidates of each row, as a set: its nearest in the cells that it probes.

    cells : of each, its rows; near : of each, the cells in which its rows may search; far : those
    in which they go on if their limit, at a right angle to their own centroid, is beyond the last
    near one.
    bound : reach, pull and width; a row probes a centroid within reach times the distance of the
    one of this rank among the first ``n_reference``, plus pull times that of its last candidate,
    plus width times the cell's radius.  Candidates are cut to the best k at ``capacity``; before,
    the last is infinitely far.
    """
    reach, pull, width = bound
    centroids = np.array([points[rows].mean(0) for rows in cells])
    radii = [np.linalg.norm(points[rows].std(0)) for rows in cells]
    found = {}
    for own, rows in enumerate(cells):
        end = np.linalg.norm(centroids[near[own][-1]] - centroids[own])
        for row in rows:
            to_points = np.linalg.norm(points - points[row], axis=1)
            to_cells = np.linalg.norm(centroids - points[row], axis=1)
            base = reach * np.sort(to_cells[near[own][:n_reference]])[:rank][-1]
            best: tuple[Candidates, float] = [], np.inf
            for cell in near[own]:
                if to_cells[cell] <= _limit(base, pull, best) + width * radii[cell]:
                    best = _push(cells[cell][cells[cell] != row], to_points, k, capacity, *best)
            if _limit(base, pull, best) ** 2 + to_cells[own] ** 2 > end**2:
                for cell in far[own]:
                    if to_cells[cell] <= _limit(base, pull, best) + width * radii[cell]:
                        best = _push(cells[cell], to_points, k, capacity, *best)
            found[row] = {int(other) for _, other in sorted(best[0])[:k]}
    return found


def _limit(base: float, pull: float, best: tuple[Candidates, float]) -> float:
    return np.inf if np.isinf(best[1]) else max(base + pull * best[1], 0)


def _push(
    others: Array, distances: Array, k: int, capacity: int, candidates: Candidates, last: float
) -> tuple[Candidates, float]:
    """Add candidates, pairs of distance and row, and return them and the distance of the last."""
    for other in others:
        if distances[other] <= last:
            candidates.append((distances[other], other))
        if len(candidates) == capacity:
            candidates = sorted(candidates)[:k]
            last = candidates[-1][0]
    return candidates, last


def float64_distances(X: Array, metric: str, rows: Array) -> Array:
    """Distances of rows, by index, to all rows of X, by float64 differences; to itself infinite.

    Angular metrics compare rows scaled to length one: d^2 / 2 is one minus the cosine.
    """
    X = X.astype(float)
    if metric in ("cosine", "correlation"):
        X = X / np.ldexp(1.0, np.frexp(np.abs(X).max(1, keepdims=True))[1] - 1)
        if metric == "correlation":
            X -= X.mean(1, keepdims=True)
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        X /= np.where(norms > 1e-14, norms, 1)
    d = np.abs(X[rows][:, None, :] - X[None, :, :])
    largest = d.max(2)
    # Squares of the largest and smallest numbers overflow or vanish.
    d /= np.where(largest > 0, largest, 1)[:, :, None]
    d = largest * np.sqrt((d**2).sum(2))
    d[np.arange(len(rows)), rows] = np.inf
    return np.asarray(d)


def ranks_of(points: Array, rows: Array, others: Array) -> Array:
    """The rank of each of the others among the neighbours of its row, ties by number."""
    order, _ = nearest(points, points, len(points) - 1, True)
    rank = np.zeros((len(points), len(points)), int)
    np.put_along_axis(rank, order, np.arange(1, len(points))[None, :], 1)
    found: Array = rank[np.asarray(rows)[:, None], others]
    return found


def morton_codes(y: Array, bits: int) -> list[int]:
    """Interleaved cell numbers of the points in the square around them, as Python integers."""
    extent = (y.max(0) - y.min(0)).max() or 1.0
    cells = np.minimum((y - y.min(0)) / extent * 2.0**bits, 2.0**bits - 1).astype(np.uint64)
    codes = []
    for row in cells:
        code = 0
        for bit in range(bits):
            for axis, cell in enumerate(row):
                code |= (int(cell) >> bit & 1) << (bit * len(row) + axis)
        codes.append(code)
    return codes


def splat(
    points: Array,
    codes: Array,
    table: Array,
    scale: float,
    left: float,
    top: float,
    radius: float,
    sums: Array,
) -> None:
    """As ``raster.splat``: each disc on the whole picture."""
    height, width = sums.shape[:2]
    rows, columns = np.mgrid[:height, :width] + 0.5
    for (x, y), code in zip(points.astype(np.float64), codes, strict=True):
        distance = np.hypot(columns - (left + scale * x), rows - (top - scale * y))
        cover = np.clip(radius + 0.5 - distance, 0, 1)
        sums += (cover[:, :, None] * table[code]).astype(sums.dtype)


def shade(sums: Array, background: Array, opacity: float, picture: Array) -> None:
    """As ``raster.shade``."""
    weight = sums[:, :, 3:].astype(np.float64)
    alpha = 1 - (1 - opacity) ** weight
    color = sums[:, :, :3] / np.where(weight > 0, weight, 1)
    picture[:] = np.floor((1 - alpha) * background + alpha * color + 0.5)
    sums[:] = 0


def look_up(picture: Array, table: Array, indices: Array) -> None:
    """As ``raster.look_up``."""
    indices[:] = table[tuple(np.moveaxis(picture >> 3, -1, 0))]


def take_in(
    indices: Array, distances: Array, found: Array, far: Array, is_old: Array, numbers: Array
) -> Pair:
    """Lists of neighbours, nearest first, and new rows in those of old rows that they are near to.

    Of pairs that are as far, those that were there come first, then those of the first new rows.
    """
    indices, distances = indices.copy(), distances.copy()
    for i, number in enumerate(numbers):
        for row, distance in zip(found[i][is_old[i]], far[i][is_old[i]], strict=True):
            order = np.argsort(np.append(distances[row], distance), kind="stable")[:-1]
            indices[row] = np.append(indices[row], number)[order]
            distances[row] = np.append(distances[row], distance)[order]
    return indices, distances
