import numpy as np
import pytest
import scipy.sparse as sp
from helpers.rounded import rounded

from fasttsne._kernels import reference
from fasttsne.objective.edges import RowBlock, edges_of, pack_edges


def packed(P, order):
    """A dense matrix as the edges that the kernel takes, in the given order of points."""
    position = np.empty(len(P), np.int32)
    position[order] = np.arange(len(P))
    edges = edges_of(sp.csr_matrix(P.astype(np.float32)), "P")
    return pack_edges([RowBlock(edges, order.astype(np.int32))], position, float(P.max()), 2)


@pytest.fixture
def P(rng):
    P = rng.random((60, 60)) * (rng.random((60, 60)) < 0.4)
    P[7] = 0  # a row without edges
    return rounded(P / P.sum())


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_equals_reference(kernel, P, rng, d, dof):
    y = rng.normal(0, 5, (60, d))
    single = y.astype(np.float32)
    out = np.empty_like(single)
    expected, expected_cross = reference.attraction(P, y, dof)
    for with_cross in (False, True):
        cross = kernel("attraction").attraction(
            *packed(P, np.arange(60)), single, out, dof, with_cross, 2
        )
        np.testing.assert_allclose(out, expected, rtol=2e-5, atol=1e-6 * abs(expected).max())
        if with_cross:
            assert cross == pytest.approx(expected_cross, rel=1e-5)
        else:
            assert cross == 0


def test_a_row_sums_to_the_same_bits_under_any_numbering(kernel, P, rng):
    y = rng.normal(0, 5, (60, 2)).astype(np.float32)
    straight, shuffled = np.empty_like(y), np.empty_like(y)
    kernel("attraction").attraction(*packed(P, np.arange(60)), y, straight, 1.0, False, 1)
    order = rng.permutation(60)
    kernel("attraction").attraction(
        *packed(P, order), np.ascontiguousarray(y[order]), shuffled, 1.0, False, 3
    )
    np.testing.assert_array_equal(shuffled, straight[order])


def test_more_than_one_block_of_rows(kernel, rng):
    """Blocks meet at 256 rows; the cross term is a sum over them in a fixed order."""
    n = 700
    P = rng.random((n, n)) * (rng.random((n, n)) < 0.05)
    P = rounded(P / P.sum())
    y = rng.normal(0, 5, (n, 2))
    expected, expected_cross = reference.attraction(P, y)
    module, results = kernel("attraction"), set()
    assert module.count_blocks(n) > 2
    edges = packed(P, np.arange(n))
    for n_threads in (1, 2, 3):
        for scratch in (None, np.full(module.count_blocks(n) + 5, np.nan)):
            out = np.empty((n, 2), np.float32)
            cross = module.attraction(
                *edges, y.astype(np.float32), out, 1.0, True, n_threads, scratch
            )
            results.add((cross, out.tobytes()))
    assert len(results) == 1
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=1e-6 * abs(expected).max())
    assert cross == pytest.approx(expected_cross, rel=1e-5)


def test_logarithm_is_accurate_over_its_range(kernel):
    """One edge of weight one: cross is log(1 + r^2), from denormal-free tiny to huge r."""
    P = np.array([[0, 1.0], [0, 0]])
    edges = packed(P, np.arange(2))
    for r in np.logspace(-3, 15, 60):
        y = np.array([[0, 0], [r, 0]], np.float32)
        cross = kernel("attraction").attraction(*edges, y, np.empty_like(y), 1.0, True, 1)
        assert cross == pytest.approx(np.log1p(float(y[1, 0]) ** 2), rel=2e-6, abs=1e-7)


def test_no_edges(kernel):
    y = np.ones((5, 2), np.float32)
    out = np.ones_like(y)
    edges = packed(np.zeros((5, 5)), np.arange(5))
    assert kernel("attraction").attraction(*edges, y, out, 1.0, True, 2) == 0
    assert not out.any()


def edge_moments(module, edges, y, v, dof=1.0, n_threads=2):
    """Degree, moments and product, in arrays that had other numbers before."""
    n, d = y.shape
    arrays = [np.full(shape, 7, np.float32) for shape in (n, (n, d * (d + 1) // 2), (n, d))]
    module.edge_moments(*edges, y.astype(np.float32), v.astype(np.float32), dof, *arrays, n_threads)
    return arrays


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1.0, 10.0])
def test_moments_equal_reference(kernel, P, rng, d, dof):
    y, v = rng.normal(0, 5, (2, 60, d))
    found = edge_moments(kernel("attraction"), packed(P, np.arange(60)), y, v, dof)
    degree, moments, product = reference.edge_moments(P, y, v, dof)
    rows, columns = np.triu_indices(d)
    upper = moments[:, rows, columns]
    for a, b in zip(found, (degree, upper, product), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6 * abs(b).max())


def test_moments_have_the_same_bits_for_any_number_of_threads(kernel, rng):
    n = 700
    P = rng.random((n, n)) * (rng.random((n, n)) < 0.05)
    y, v = rng.normal(0, 5, (2, n, 2))
    edges, module = packed(P, np.arange(n)), kernel("attraction")
    results = {
        b"".join(array.tobytes() for array in edge_moments(module, edges, y, v, 1.0, n_threads))
        for n_threads in (1, 2, 3)
    }
    assert len(results) == 1


def test_moments_of_no_edges(kernel):
    edges = packed(np.zeros((5, 5)), np.arange(5))
    y = np.ones((5, 2))
    assert not any(array.any() for array in edge_moments(kernel("attraction"), edges, y, y))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_some_of_the_points_get_the_same_bits(kernel, P, rng, d):
    """And what the slow twin says; near edges are counted from each point's own number."""
    y = rng.normal(0, 5, (60, d)).astype(np.float32)
    v = rng.normal(size=(60, d)).astype(np.float32)
    order = rng.permutation(60)
    position = np.empty(60, np.int32)
    position[order] = np.arange(60)
    attraction = kernel("attraction")
    whole, dof = packed(P, order), 0.8
    forces, cross = np.empty_like(y), np.empty(60, np.float32)
    total = attraction.attraction(*whole, y, forces, dof, True, 1)
    moments = [np.empty(s, np.float32) for s in (60, (60, d * (d + 1) // 2), (60, d))]
    attraction.edge_moments(*whole, y, v, dof, *moments, 1)

    def block(rows, numbers):
        """Some rows of P, to be packed at the places that their points have among numbers."""
        own = position[rows]
        order = np.argsort(own).astype(np.int32)
        places = np.searchsorted(numbers, own[order]).astype(np.int32)
        return RowBlock(edges_of(sp.csr_matrix(P[rows].astype(np.float32)), "P"), order, places)

    for parts in [np.arange(25)], [np.arange(25, 31), np.arange(31, 31), np.arange(31, 60)]:
        rows = np.concatenate(parts)
        numbers = np.sort(position[rows])
        some = pack_edges(
            [block(part, numbers) for part in parts], position, float(P.max()), 2, numbers
        )
        out, own_cross = np.empty((len(rows), d), np.float32), np.empty(len(rows), np.float32)
        attraction.attraction_of(*some, numbers, y, out, own_cross, dof, 3)
        np.testing.assert_array_equal(out, forces[numbers])
        cross[numbers] = own_cross
        attraction.attraction_of(*some, numbers, y, out, None, dof, 1)
        np.testing.assert_array_equal(out, forces[numbers])
        parts = [np.empty((len(rows), *each.shape[1:]), np.float32) for each in moments]
        attraction.edge_moments(*some, y, v, dof, *parts, 2, numbers)
        for each, part in zip(moments, parts, strict=True):
            np.testing.assert_array_equal(part, each[numbers])
    assert total == np.sum(cross.astype(np.float64).cumsum()[-1]) * np.float32(dof)
    expected, expected_cross = reference.attraction(P[np.ix_(order, order)], y, dof)
    np.testing.assert_allclose(forces, expected, rtol=2e-5, atol=1e-6 * abs(expected).max())
    assert total == pytest.approx(expected_cross, rel=1e-5)
