"""Rows as a source: chunks in a fixed order, and what functions of chunks return."""

import numpy as np
import pytest

from fasttsne.linalg.rows import ArrayRows, as_rows


def append_chunk(state, first, chunk, factor):
    return [*state, (first, chunk * factor)]


def test_fold_reads_chunks_in_their_order():
    X = np.arange(20.0).reshape(10, 2)
    chunks = as_rows(X).fold(6, append_chunk, [], 2)
    assert [first for first, _ in chunks] == [0, 3, 6, 9]
    np.testing.assert_array_equal(np.concatenate([chunk for _, chunk in chunks]), 2 * X)


@pytest.mark.parametrize("n", [0, 1, 10])
@pytest.mark.parametrize("name", [None, "reading"])
def test_map_joins_what_chunks_return(n, name):
    X = np.random.default_rng(0).random((n, 2), np.float32)
    sums = ArrayRows(X, name).map(6, lambda first, chunk: chunk.sum(1) + np.float32(first))
    assert sums.dtype == np.float32
    np.testing.assert_array_equal(sums, X.sum(1) + np.arange(n, dtype=np.float32) // 3 * 3)


def test_a_source_stays_what_it_is():
    rows = as_rows(np.eye(4, dtype=np.float32))
    assert as_rows(rows) is rows
    assert (rows.shape, rows.dtype) == ((4, 4), np.float32)
    np.testing.assert_array_equal(rows.take(np.array([2, 0])), np.eye(4)[[2, 0]])
