import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne.objective.edges import (
    BETWEEN,
    NEAR,
    RowBlock,
    edges_of,
    largest_value,
    pack_edges,
    smallest_for,
)


def pack(matrix, order=None, n_threads=2, **kwargs):
    """Pack a CSR matrix, its rows and columns in another order."""
    n_rows, n_columns = matrix.shape
    if order is None:
        order = np.arange(n_rows)
    position = np.arange(n_columns, dtype=np.int32)
    if n_rows == n_columns:
        position[order] = np.arange(n_rows)
    edges = edges_of(matrix, "matrix")
    largest = kwargs.pop("largest", largest_value(edges[2]))
    blocks = [RowBlock(edges, order.astype(np.int32))]
    return pack_edges(blocks, position, largest, n_threads, **kwargs)


def decode(codes, smallest):
    """The slow twin of the kernels' own decoding."""
    bits = (codes.astype(np.int32) << 12) + np.float32(smallest).view(np.int32)
    return bits.view(np.float32) - np.float32(smallest)


def unpack(edges, shape):
    """Packed edges as a CSR matrix, with its explicit zeros."""
    rows = np.repeat(np.arange(shape[0]), np.diff(edges.near_indptr))
    near = sp.csr_matrix(
        (decode(edges.near_values, edges.smallest), edges.offsets + rows, edges.near_indptr), shape
    )
    far = sp.csr_matrix(
        (decode(edges.far_values, edges.smallest), edges.columns, edges.far_indptr), shape
    )
    return near + far


def random_matrix(rng, n_rows, n_columns, k):
    columns = rng.integers(n_columns, size=(n_rows, k))
    rows = np.repeat(np.arange(n_rows), k)
    values = rng.random(n_rows * k) ** 4 + 1e-6
    matrix = sp.csr_matrix((values, (rows, columns.ravel())), (n_rows, n_columns), np.float32)
    matrix.sum_duplicates()
    return matrix


@pytest.mark.parametrize("n", [40, 3 * NEAR])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_edges_are_renumbered_and_padded(rng, n, n_threads):
    matrix = random_matrix(rng, n, n, 5)
    order = rng.permutation(n)
    packed = pack(matrix, order, n_threads)
    expected = matrix[order][:, order]
    found = unpack(packed, matrix.shape)
    assert abs(found - expected).max() <= 2.0**-12
    assert abs(found - expected).multiply(expected.power(-1)).max() <= 2.0**-12
    for indptr in packed.near_indptr, packed.far_indptr:
        assert not (indptr % 8).any()
    assert len(packed.columns) == (0 if n <= NEAR else packed.far_indptr[-1])
    assert packed.near_indptr[-1] > 0


def test_far_columns_are_beyond_what_16_bits_hold(rng):
    n = 3 * NEAR
    packed = pack(random_matrix(rng, n, n, 5))
    rows = np.repeat(np.arange(n), np.diff(packed.far_indptr))
    is_edge = packed.far_values > 0
    assert is_edge.sum() > n
    assert (abs(packed.columns[is_edge] - rows[is_edge]) > NEAR).all()
    np.testing.assert_array_equal(packed.columns[~is_edge], rows[~is_edge])


def test_padding_of_near_edges_is_the_row_itself(rng):
    packed = pack(random_matrix(rng, 40, 40, 5))
    assert not packed.offsets[packed.near_values == 0].any()


def test_between_two_sets_all_columns_are_numbers_that_are_there(rng):
    matrix = random_matrix(rng, 20, 3, 2)
    packed = pack(matrix, reach=BETWEEN)
    assert len(packed.offsets) == 0
    assert packed.columns.max() == 2
    assert abs(unpack(packed, matrix.shape) - matrix).max() <= 2.0**-12


@pytest.mark.parametrize("largest", [1.0, 0.7, 2.0**-20, 3e-8, 1e-25, 1e30])
def test_values_keep_twelve_bits_over_many_powers_of_two(rng, largest):
    values = (largest * np.exp2(-rng.uniform(0, 14, 1000))).astype(np.float32)
    matrix = sp.csr_matrix(np.append(values, np.float32(largest))[None, :])
    packed = pack(matrix, reach=BETWEEN)
    found = unpack(packed, matrix.shape).toarray()[0]
    np.testing.assert_allclose(found, matrix.toarray()[0], rtol=2.0**-12 + 1e-6)


def test_an_edge_stays_one_however_small_its_value_is():
    matrix = sp.csr_matrix(np.array([[0, 1.0, 1e-35], [0, 0, 0], [0, 0, 0]], np.float32))
    packed = pack(matrix)
    assert (packed.near_values > 0).sum() == 2
    smallest = decode(packed.near_values[packed.near_values > 0].min()[None], packed.smallest)
    assert 0 < smallest < 1e-12


def test_explicit_zeros_stay_zeros():
    matrix = sp.csr_matrix((np.float32([0, 0.5]), ([0, 1], [1, 0])), (2, 2))
    assert (pack(matrix).near_values > 0).sum() == 1


def test_memory_is_used_again_where_it_suffices(rng):
    matrix = random_matrix(rng, 200, 200, 6)
    first = pack(matrix)
    order, spare = rng.permutation(200), list(first)
    again = pack(matrix, order, spare=spare)
    assert np.shares_memory(again.offsets, first.offsets)
    assert not spare
    assert abs(unpack(again, matrix.shape) - matrix[order][:, order]).max() <= 2.0**-12


def test_no_edges():
    packed = pack(sp.csr_matrix((5, 5), dtype=np.float32))
    assert packed.near_indptr[-1] == packed.far_indptr[-1] == 0
    assert smallest_for(0.0) > 0
