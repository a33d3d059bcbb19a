"""Each hot kernel at every SIMD level against the portable one: only the last bits may differ."""

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import _kernels
from fasttsne.metrics.loo import leave_one_out, make_point_field
from fasttsne.nearest_neighbors import Exact
from fasttsne.objective.edges import RowBlock, edges_of, pack_edges
from fasttsne.repulsion import AutoRepulsion, ExactRepulsion, TreeRepulsion
from fasttsne.repulsion.barnes_hut import bounding_box, curve_order


def a_map(rng, n=600):
    return rng.normal(0, 5, (n, 2)).astype(np.float32)


def a_graph(rng, n=600, k=16):
    columns = rng.integers(0, n, n * k).astype(np.int32)
    edges = np.arange(0, n * k + 1, k), columns, rng.random(n * k, np.float32)
    order = np.arange(n, dtype=np.int32)
    return pack_edges([RowBlock(edges, order)], order, 1.0, 2)


def attraction(rng):
    y = a_map(rng)
    out = np.empty_like(y)
    graph = a_graph(rng)
    cross = _kernels.attraction.attraction(*graph, y, out, 2.0, True, 2)
    degree, moments, product = np.empty(600, "f4"), np.empty((600, 3), "f4"), np.empty_like(y)
    _kernels.attraction.edge_moments(*graph, y, out, 2.0, degree, moments, product, 2)
    return out, cross, degree, moments, product


def local_radii(rng):
    y, graph = a_map(rng), a_graph(rng)
    weights, squares, out = np.empty(600, "f4"), np.empty(600, "f4"), np.empty_like(y)
    _kernels.local_radii.radii(*graph, y, 2.0, weights, squares, 2)
    _kernels.local_radii.forces(*graph, y, rng.random((600, 2), np.float32), 2.0, out, 2)
    return weights, squares, out


def repulsion(method):
    def forces(rng):
        y = a_map(rng)
        out = np.empty_like(y)
        return method(2.0, n_threads=2)(y, out), out

    return forces


def perplexity(rng):
    distances, out = rng.gamma(5, 1, (100, 90)).astype(np.float32), np.empty((100, 90), "f4")
    _kernels.perplexity.conditional_affinities(distances, out, 30.0, 2)
    return (out,)


def gradient_step(rng):
    y, gradient = rng.normal(0, 5, (2, 600, 2))
    update, gains = np.zeros((600, 2), "f4"), np.ones((600, 2), "f4")
    blocks = _kernels.gradient_step.count_blocks(600)
    scratch = np.empty((blocks + 1, 2)), np.empty(blocks, np.int64)
    _kernels.gradient_step.gradient_step(
        y, update, gains, gradient, *scratch, 1.0, 0.8, None, 0.5, 2
    )
    return y, update, gains


def gram(rng):
    packed, out = rng.normal(0, 1, (6, 70, 8)).astype(np.float32), np.zeros((48, 48))
    _kernels.gram.add_gram(packed, out, 2)
    return (np.triu(out),)


def project(rng):
    rows, directions = rng.normal(0, 1, (2, 64, 64)).astype(np.float32)
    out = np.empty_like(rows)
    _kernels.knn_dense.project(rows, np.ones(64, np.float32), directions, out, 2)
    return (out,)


def dense_neighbors(rng):
    return Exact(rng.normal(0, 1, (500, 30)).astype(np.float32), 10).build()


def sparse_neighbors(rng):
    matrix = sp.random(300, 80, 0.1, format="csr", dtype=np.float32, random_state=0)
    return Exact(matrix + sp.eye(300, 80, format="csr", dtype=np.float32), 5).build()[1:]


def neighbor_ranks(rng):
    points = rng.normal(0, 1, (200, 30)).astype(np.float32)
    others = np.array([rng.permutation(np.delete(np.arange(200), i))[:9] for i in range(40)])
    ranks = np.empty((40, 9), np.int32)
    rows = np.arange(40, dtype=np.int32)
    _kernels.neighbor_ranks.ranks_of(points, rows, others.astype(np.int32), ranks, 2)
    return (ranks,)


def rank_counts(rng):
    points = rng.normal(0, 1, (300, 20)).astype(np.float32)
    rows = np.arange(40, dtype=np.int32)
    squares = np.empty((40, 300), np.float32)
    _kernels.rank_counts.distances_to_all(points, rows, squares, 2)
    counts, excess = np.empty((40, 300), np.int32), np.empty((40, 2), np.int64)
    other = rng.normal(0, 1, squares.shape).astype(np.float32)
    _kernels.rank_counts.max_rank_counts(squares, other, rows, 9, counts, excess, 2)
    return squares, excess


def let_go(rng):
    y = a_map(rng)
    P = sp.random(len(y), len(y), 10 / len(y), format="csr", random_state=0, dtype=np.float32)
    P.data /= P.data.sum()
    field = make_point_field(y, 1.0, 2)
    rows = np.arange(0, len(y), 50)
    return leave_one_out(edges_of(P, "P"), y, rows, field, 1.0, 1.0, 2, n_directions=0)[:1]


def coordinates(rng):
    return bounding_box(a_map(rng))


def morton(rng):
    return (curve_order(a_map(rng)),)


CASES = {
    "attraction": attraction,
    "barnes_hut": repulsion(TreeRepulsion),
    "coordinates": coordinates,
    "exact_repulsion": repulsion(ExactRepulsion),
    "gradient_step": gradient_step,
    "gram": gram,
    "knn_dense, rerank": dense_neighbors,
    "knn_dense.project": project,
    "knn_sparse": sparse_neighbors,
    "leave_one_out": let_go,
    "local_radii": local_radii,
    "morton": morton,
    "neighbor_ranks": neighbor_ranks,
    "particle_mesh, row_fft, fft_convolve": repulsion(AutoRepulsion),
    "perplexity": perplexity,
    "rank_counts": rank_counts,
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_portable_level(name, hot_kernels, monkeypatch):
    found = CASES[name](np.random.default_rng(0))
    for module in hot_kernels:
        monkeypatch.setattr(_kernels, module, _kernels.load_level("portable", module))
    expected = CASES[name](np.random.default_rng(0))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5 * np.abs(b).max())


def test_no_kernel_is_left_out(hot_kernels):
    assert set(hot_kernels) <= set(", ".join(CASES).split(", "))
