import numpy as np
import pytest

from fasttsne._kernels import hat_grid, reference

SPACING = 0.5


class Laid:
    """What the kernels make of points: by cell, with nodes numbered."""

    def __init__(self, y, low, shape):
        n, d = y.shape
        self.y, self.low, self.shape, self.d = y, low, shape, d
        places = np.array(shape)
        ends, self.points = np.empty(places.prod(), np.int32), np.empty(n, np.int32)
        self.fractions = np.empty((n, d), np.float32)
        hat_grid.sort_points(
            y, low, SPACING, places, np.empty(n, np.int32), ends, self.points, self.fractions
        )
        n_nodes = (places + 1).prod()
        starts, halves = np.empty(len(ends) + 1, np.int32), np.empty(len(ends), np.uint8)
        corners, coarse = np.empty((2, len(ends), 2**d), np.int32)
        parents = np.empty((n_nodes, 2**d), np.int32)
        n_cells, n_nodes, self.n_coarse, self.distance = hat_grid.number_nodes(
            ends,
            places,
            np.empty(n_nodes, np.int32),
            np.empty((places // 2 + 1).prod(), np.int32),
            starts,
            halves,
            corners,
            coarse,
            parents,
        )
        self.starts, self.halves = starts[: n_cells + 1], halves[:n_cells]
        self.corners, self.coarse_corners = corners[:n_cells], coarse[:n_cells]
        self.parents = parents[:n_nodes]
        self.n_near = np.empty(self.n_coarse, np.int32)

    def stiffness(self, moments, mass, n_threads=2):
        """The band, and the fine diagonal."""
        d = self.d
        rows, columns = np.triu_indices(d)
        upper = np.ascontiguousarray(moments[:, rows, columns], np.float32)
        band, diagonal = np.empty((self.n_coarse, self.distance + 1)), np.empty(len(self.parents))
        hat_grid.stiffness(
            self.points,
            self.starts,
            self.fractions,
            self.halves,
            self.corners,
            self.coarse_corners,
            upper,
            mass,
            SPACING,
            np.empty((len(self.corners), 4**d + 2**d)),
            band,
            diagonal,
            self.n_near,
            n_threads,
        )
        return band, diagonal

    def apply(self, band, inverse_diagonal, local, r, n_threads=2):
        """z and the sum of z * r."""
        scratch = (
            np.full((len(self.corners), 2**self.d, self.d), np.nan),
            np.full((len(self.parents), self.d), np.nan),
            np.full((self.n_coarse, self.d), np.nan),
        )
        out = np.full(r.shape, np.nan)
        product = hat_grid.apply(
            self.points,
            self.starts,
            self.fractions,
            self.corners,
            self.parents,
            inverse_diagonal,
            band,
            local,
            r,
            *scratch,
            out,
            n_threads,
        )
        return out, product

    def hats(self):
        """The fine hats at the points, (n, nodes), from cells, fractions and corners."""
        values = np.zeros((len(self.y), len(self.parents)))
        cell = np.repeat(np.arange(len(self.corners)), np.diff(self.starts))
        for k in range(2**self.d):
            upper = k >> np.arange(self.d) & 1
            hat = np.where(upper, self.fractions, 1 - self.fractions).prod(1)
            values[self.points, self.corners[cell, k]] += hat
        return values

    def interpolation(self):
        """From coarse to fine nodes, (nodes, coarse nodes)."""
        C = np.zeros((len(self.parents), self.n_coarse))
        np.add.at(C, (np.arange(len(C))[:, None], self.parents), 2.0**-self.d)
        return C


@pytest.fixture(params=[1, 2, 3])
def laid(request, rng):
    """800 points, some of them outside the grid; the last cells are empty."""
    d = request.param
    y = rng.normal(0, 0.7, (800, d))
    y[5], y[6, 0], y[7] = 1e6, -1e300, 9.0
    return Laid(y, np.full(d, -1.0), [12, 8, 6][:d])


@pytest.fixture
def moments(rng, laid):
    directions = rng.normal(0, 1, (2, len(laid.y), laid.d))
    return np.einsum("kic,kie->ice", directions, directions)


def dense(band):
    """The symmetric matrix of a band of its lower half."""
    n, width = band.shape
    G = np.zeros((n, n))
    for k in range(min(width, n)):
        j = np.arange(n - k)
        G[j + k, j] = G[j, j + k] = band[: n - k, k]
    return G


def test_points_are_sorted_by_cell(laid):
    position = np.clip((laid.y - laid.low) / SPACING, 0, laid.shape)
    cells = np.minimum(position.astype(int), np.array(laid.shape) - 1)
    np.testing.assert_array_equal(np.sort(laid.points), np.arange(len(laid.y)))
    np.testing.assert_allclose(laid.fractions, (position - cells)[laid.points], atol=1e-6)
    assert len(laid.corners) == len(np.unique(cells, axis=0))
    for start, end, half in zip(laid.starts, laid.starts[1:], laid.halves, strict=False):
        inside = cells[laid.points[start:end]]
        assert len(inside)
        assert (inside == inside[0]).all()
        assert (np.diff(laid.points[start:end]) > 0).all()
        assert half == ((inside[0] & 1) << np.arange(laid.d)).sum()


def test_nodes_are_those_of_the_hats(laid):
    """Numbers of nodes are the kernel's own, products of hats at two points are not."""
    hats, C = laid.hats(), laid.interpolation()
    shape = np.array(laid.shape)
    fine, _ = reference.hats(laid.y, laid.low, SPACING, shape)
    coarse, _ = reference.hats(laid.y, laid.low, 2 * SPACING, shape // 2)
    np.testing.assert_allclose(hats @ hats.T, fine @ fine.T, atol=1e-6)
    np.testing.assert_allclose(hats @ C @ C.T @ hats.T, coarse @ coarse.T, atol=1e-6)
    cell = np.repeat(np.arange(len(laid.corners)), np.diff(laid.starts))
    found = np.zeros((len(laid.y), laid.n_coarse), bool)
    found[laid.points[:, None], laid.coarse_corners[cell]] = True
    assert ((hats @ C > 0) <= found).all()
    assert laid.distance == np.ptp(laid.coarse_corners, axis=1).max()


def test_stiffness_equals_reference(laid, moments):
    band, diagonal = laid.stiffness(moments, 0.3)
    # The columns of both, in an order that they have in common.
    hats = laid.hats()
    order = {}
    for spacing, shape, values in (
        (SPACING, np.array(laid.shape), hats),
        (2 * SPACING, np.array(laid.shape) // 2, hats @ laid.interpolation()),
    ):
        expected, slopes = reference.hats(laid.y, laid.low, spacing, shape)
        overlap = values.T @ expected
        # A node is the one whose hat it is: no other is as near to it at the points.
        distance = (values**2).sum(0)[:, None] - 2 * overlap + (expected**2).sum(0)
        order[spacing] = distance.argmin(1), reference.stiffness(expected, slopes, moments, 0.3)
    nodes, G = order[2 * SPACING]
    np.testing.assert_allclose(dense(band), G[np.ix_(nodes, nodes)], atol=1e-5 * np.abs(G).max())
    nodes, F = order[SPACING]
    np.testing.assert_allclose(diagonal, F.diagonal()[nodes], atol=1e-5 * np.abs(F).max())


def test_points_near_nodes(laid, moments):
    laid.stiffness(moments, 0.3)
    is_near = np.zeros((len(laid.y), laid.n_coarse), bool)
    cell = np.repeat(np.arange(len(laid.corners)), np.diff(laid.starts))
    is_near[laid.points[:, None], laid.coarse_corners[cell]] = True
    np.testing.assert_array_equal(laid.n_near, is_near.sum(0))


def test_factors(rng):
    band = rng.normal(0, 1, (30, 7))
    band[:, 0] = 20
    G = dense(band)
    hat_grid.factor(band)
    L = np.tril(dense(band), -1) + np.eye(30)
    np.testing.assert_allclose(L / band[:, 0] @ L.T, G, rtol=1e-12, atol=1e-12)


def test_a_pivot_that_is_not_positive_is_left_out():
    band = np.array([[1.0, 1.0], [1.0, 0.0], [-2.0, 3.0]])
    hat_grid.factor(band)
    np.testing.assert_array_equal(band[:, 0], [1, 0, 0])
    assert np.isfinite(band).all()


def test_apply_equals_reference(laid, moments, rng):
    n = len(laid.y)
    local, r = rng.random(n).astype(np.float32), rng.normal(0, 1, (n, laid.d))
    band, diagonal = laid.stiffness(moments, 0.3)
    # A corner of a cell with outside points only has a hat that is 0 at all points.
    band[:, 0] += 1e-3
    diagonal += 1e-3
    G = dense(band)
    hat_grid.factor(band)
    out, product = laid.apply(band, 1 / diagonal, local, r)
    R, C = laid.hats(), laid.interpolation()
    f = R.T @ r
    u = f / diagonal[:, None] + C @ np.linalg.solve(G, C.T @ f)
    expected = local[:, None] * r + R @ u
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert product == pytest.approx((out * r).sum(), rel=1e-12)


def test_threads_do_not_change_bits(rng):
    y, r = rng.normal(0, 1, (2, 5000, 2))
    laid = Laid(y, np.array([-2.0, -2.0]), [10, 8])
    moments, local = np.broadcast_to(np.eye(2), (5000, 2, 2)), np.ones(5000, np.float32)
    results = set()
    for n_threads in (1, 2, 3, 8):
        band, diagonal = laid.stiffness(moments, 0.3, n_threads)
        hat_grid.factor(band)
        out, product = laid.apply(band, 1 / diagonal, local, r, n_threads)
        results.add((band.tobytes(), diagonal.tobytes(), out.tobytes(), product))
    assert len(results) == 1
