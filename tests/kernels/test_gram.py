import numpy as np
import pytest


def gram(kernel, rows, n_threads):
    panel, tile = kernel("gram").PANEL_COLUMNS, kernel("gram").TILE_COLUMNS
    padded = -(-rows.shape[1] // tile) * tile
    packed = np.empty((padded // panel, len(rows), panel), np.float32)
    out = np.ones((padded, padded))
    kernel("gram").pack_columns(rows, packed, n_threads)
    kernel("gram").add_gram(packed, out, n_threads)
    return np.triu(out)[: rows.shape[1], : rows.shape[1]]


@pytest.mark.parametrize("shape", [(1, 1), (5, 8), (300, 23), (130, 24), (600, 100)])
def test_adds_the_products_of_columns(kernel, rng, shape):
    rows = rng.normal(0, 1, shape).astype(np.float32)
    expected = 1 + rows.T.astype(float) @ rows
    found = gram(kernel, rows, 2)
    np.testing.assert_allclose(found, np.triu(expected), rtol=1e-5, atol=1e-5 * shape[0])


def test_threads_do_not_matter(kernel, rng):
    rows = rng.normal(0, 1, (300, 100)).astype(np.float32)
    np.testing.assert_array_equal(gram(kernel, rows, 1), gram(kernel, rows, 3))


def test_nothing_is_no_products(kernel):
    found = gram(kernel, np.zeros((0, 30), np.float32), 2)
    np.testing.assert_array_equal(found, np.triu(np.ones((30, 30))))


def test_tiles_are_those_of_the_search(kernel):
    """Both kernels share one product of panels: whoever packs for one packs for the other."""
    assert kernel("gram").PANEL_COLUMNS == kernel("knn_dense").PANEL_ROWS
    assert kernel("gram").TILE_COLUMNS == kernel("knn_dense").TILE_ROWS
    assert kernel("gram").TILE_COLUMNS % kernel("gram").PANEL_COLUMNS == 0
