"""The preconditioner against its dense twin, and for maps that are none to speak of."""

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.rounded import rounded
from hypothesis import given
from hypothesis import strategies as st

from fasttsne._kernels import reference
from fasttsne.objective import KLDivergence, Objective
from fasttsne.objective.callable import FunctionObjective, kl_divergence_exact
from fasttsne.objective.kl import DensityObjective
from fasttsne.optimize import steps
from fasttsne.optimize.steps import MIN_LARGEST, Preconditioner
from fasttsne.repulsion import ExactRepulsion


def neighbor_affinities(y, k=15):
    """A symmetric graph of the k nearest of each point; dense, and it sums to one."""
    n = len(y)
    order, _ = reference.nearest(y, y, min(k, n - 1), True)
    P = np.zeros((n, n))
    P[np.arange(n)[:, None], order] = 1
    P += P.T
    return rounded(P / P.sum())


def make(P, d, n_threads=1, dof=1.0):
    P = sp.csr_matrix(P.astype(np.float32))
    objective = KLDivergence(P, ExactRepulsion(dof, n_threads), d, dof, n_threads)
    objective.reorder(np.arange(P.shape[0], dtype=np.int32))
    return objective


def rebuilt(P, y, **options):
    M = Preconditioner(make(P, y.shape[1], **options))
    M.rebuild(y)
    return M


def matrix(M, n, d):
    """M as an (n, n) array."""
    columns = [M.apply(np.repeat(row[:, None], d, 1))[0][:, 0].copy() for row in np.eye(n)]
    return np.array(columns).T


def curvature(M, P, y, dof=1.0):
    """B as an (n, n) array."""
    degree, _, _ = reference.edge_moments(P, y, y, dof)
    _, r2 = reference.differences(y)
    return np.diag(degree + M.shift) - P / (1 + r2 / dof)


@pytest.fixture(params=[1, 2, 3])
def points(request, rng):
    return rng.normal(0, 3, (700, request.param))


@pytest.mark.thin(4)
@pytest.mark.parametrize("dof", [0.5, 1.0, 4.0])
def test_equals_the_dense_twin(points, rng, dof):
    P = neighbor_affinities(points)
    y = points + rng.normal(0, 0.3, points.shape)
    M = rebuilt(P, y, dof=dof)
    degree, moments, _ = reference.edge_moments(P, y, y, dof)
    assert M.shift == pytest.approx(steps.SHIFT * degree.mean(), rel=1e-5)
    diagonal = np.maximum(degree, steps.MIN_DEGREE * degree.mean()) + M.shift
    grid = M._grid
    expected = reference.preconditioner(
        steps.JACOBI / diagonal,
        moments,
        M.shift,
        y,
        grid.low,
        grid.spacing,
        grid.shape,
        steps.MIN_POINTS_NEAR_NODE,
        steps.LEFT_OUT,
    )
    r = rng.normal(0, 1, y.shape)
    direction, product = M.apply(r)
    scale = np.abs(expected @ r).max()
    np.testing.assert_allclose(direction, expected @ r, rtol=1e-4, atol=1e-4 * scale)
    assert product == pytest.approx((direction * r).sum(), rel=1e-12)


@pytest.mark.slow
def test_is_near_the_inverse_of_the_curvature(points):
    """All eigenvalues of M B are of one magnitude, those of D^-1 B are not."""
    P = neighbor_affinities(points)
    M = rebuilt(P, points)
    B = curvature(M, P, points)
    before = np.linalg.eigvals(B / B.diagonal()[:, None]).real
    after = np.linalg.eigvals(matrix(M, *points.shape) @ B).real
    assert after.max() / after.min() < 0.25 * before.max() / before.min()
    assert 0.6 * after.max() < M.largest < 1.0001 * max(after.max(), MIN_LARGEST)


@pytest.mark.slow
def test_later_estimates_start_from_the_last_vector(rng):
    points = rng.normal(0, 3, (700, 2))
    P = neighbor_affinities(points)
    M = rebuilt(P, points)
    for _ in range(60):
        M.rebuild(points)
    B = curvature(M, P, points)
    largest = np.linalg.eigvals(matrix(M, *points.shape) @ B).real.max()
    assert M.largest == pytest.approx(max(largest, MIN_LARGEST), rel=0.02)
    # In another order, too: one more step from a random vector would be far below.
    order = rng.permutation(len(points)).astype(np.int32)
    M._objective.reorder(order)
    M.reorder(order)
    M.rebuild(points[order])
    assert M.largest == pytest.approx(max(largest, MIN_LARGEST), rel=0.02)


@pytest.mark.parametrize("n", [1500, 9000])
def test_threads_do_not_change_bits(rng, n):
    y = rng.normal(0, 30, (n, 2))
    rows, columns = rng.integers(0, n, (2, 10 * n))
    P = sp.coo_matrix((np.ones(10 * n), (rows, columns)), (n, n)).tocsr()
    results = set()
    for n_threads in (1, 2, 3):
        M = rebuilt(P, y, n_threads=n_threads)
        direction, product = M.apply(y)
        results.add((direction.tobytes(), product, M.largest))
    assert len(results) == 1


def test_number_of_hats(rng):
    for n, wanted in ((60, 4), (2000, 80), (15_000, 400)):
        for y in (rng.normal(0, 1, (n, 2)), rng.random((n, 2)) * [300, 2], rng.random((n, 1))):
            M = rebuilt(sp.eye(n, format="csr"), y)
            assert 0.5 * wanted <= M._grid.n_coarse_nodes <= 1.5 * wanted


def test_an_outlier_does_not_make_the_grid_coarse(rng):
    y = rng.normal(0, 1, (3000, 2))
    spacing = rebuilt(sp.eye(3000, format="csr"), y)._grid.spacing
    y[17] = 1e6, -1e6
    M = rebuilt(sp.eye(3000, format="csr"), y)
    assert M._grid.spacing == pytest.approx(spacing, rel=0.3)


MAPS = {
    "normal": lambda rng, shape: rng.normal(0, 5, shape),
    "one place": lambda rng, shape: np.full(shape, 3.0),
    "origin": lambda rng, shape: np.zeros(shape),
    "two places": lambda rng, shape: rng.integers(0, 2, (shape[0], 1)) * np.full(shape[1], 1e5),
    "duplicates": lambda rng, shape: rng.integers(0, 4, shape).astype(float),
    "islands": lambda rng, shape: rng.normal(0, 1, shape) + 1e4 * rng.integers(0, 3, shape),
    "outlier": lambda rng, shape: rng.normal(0, 1, shape) + 1e6 * np.eye(*shape),
    "far away": lambda rng, shape: 1e15 + rng.normal(0, 1, shape),
    "line": lambda rng, shape: np.arange(shape[0])[:, None] * np.eye(1, shape[1]),
    "heavy tails": lambda rng, shape: rng.standard_cauchy(shape).clip(-1e15, 1e15),
}
SCALES = 1e-200, 1e-30, 1e-4, 1.0, 1e4, 1e13


@given(
    kind=st.sampled_from(sorted(MAPS)),
    scale=st.sampled_from(SCALES),
    n=st.one_of(st.integers(1, 60), st.sampled_from([300, 1200])),
    d=st.integers(1, 3),
    seed=st.integers(0, 99),
    density=st.sampled_from([0.0, 0.01, 0.2, 1.0]),
    dof=st.sampled_from([0.5, 1.0, 10.0]),
)
@pytest.mark.slow
def test_is_symmetric_and_positive_whatever_the_map(kind, scale, n, d, seed, density, dof):
    rng = np.random.default_rng(seed)
    y = (MAPS[kind](rng, (n, d)) * scale).clip(-1e15, 1e15)
    P = sp.random(n, n, min(density, 40 / n), "csr", random_state=rng)
    P = P + P.T
    M = rebuilt(P / max(P.sum(), 1e-9), y, dof=dof)
    a, b = rng.normal(0, 1, (2, n, d))
    for _ in range(2):
        (Ma, aMa), (Mb, bMb) = ((z.copy(), product) for z, product in map(M.apply, (a, b)))
        assert np.isfinite(Ma).all()
        assert np.isfinite(Mb).all()
        assert np.isfinite(M.largest)
        assert M.largest >= MIN_LARGEST
        assert aMa > 0
        assert bMb > 0
        assert abs((a * Mb).sum() - (Ma * b).sum()) <= 1e-6 * np.sqrt(aMa * bMb)
        y = y[::-1].copy()
        M.rebuild(y)


def test_which_objectives_have_a_curvature(rng):
    y = rng.normal(0, 1, (40, 2))
    P = sp.csr_matrix(neighbor_affinities(y).astype(np.float32))
    density = DensityObjective(P, ExactRepulsion(1.0, 1), 2, 1.0, 1, np.arange(40.0), 0.1)
    density.reorder(np.arange(40, dtype=np.int32))
    M = Preconditioner(density)
    M.rebuild(y)
    expected = rebuilt(P.toarray(), y).apply(y)[0]
    np.testing.assert_array_equal(M.apply(y)[0], expected)
    accuracy = {
        "theta": 0.2,
        "n_interpolation_points": 3,
        "min_num_intervals": 50,
        "ints_in_interval": 1,
        "accuracy": 4e-3,
    }
    other: Objective = FunctionObjective(kl_divergence_exact, P, 2, 1.0, accuracy, 1)
    assert KLDivergence.has_curvature
    assert density.has_curvature
    assert not other.has_curvature
    with pytest.raises(NotImplementedError, match="FunctionObjective has no curvature"):
        Preconditioner(other).rebuild(y)
