"""The same values give the same map to the bit, whatever the type and layout of the input."""

import hashlib

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK

from fasttsne import TSNE, affinity, initialization
from fasttsne.linalg.rows import RowHashIndex
from fasttsne.nearest_neighbors import Approx, Exact, PrecomputedDistanceMatrix
from fasttsne.runtime import validation
from fasttsne.runtime.rows import is_memmapped
from fasttsne.runtime.validation import check_data


def _data_frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def _wide(X):
    wide = np.full((X.shape[0], 3 * X.shape[1]), 7, X.dtype)
    wide[:, ::3] = X
    return wide[:, ::3]


def _unaligned(X):
    raw = np.zeros(X.nbytes + 1, np.uint8)[1:]
    raw[:] = X.view(np.uint8).ravel()
    return raw.view(X.dtype).reshape(X.shape)


def _unsorted(X):
    rows = sp.csr_matrix(X)
    for a, b in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        rows.indices[a:b], rows.data[a:b] = rows.indices[a:b][::-1].copy(), rows.data[a:b][::-1]
    return sp.csr_matrix((rows.data, rows.indices, rows.indptr), rows.shape)


def _duplicates(X):
    """Each entry as two halves, which is exact."""
    rows = sp.coo_matrix(X)
    index = np.r_[rows.row, rows.row], np.r_[rows.col, rows.col]
    return sp.coo_matrix((np.r_[rows.data, rows.data] / 2, index), X.shape)


def _stored_zeros(X):
    rows = sp.csr_matrix(np.ones_like(X))
    rows.data[:] = X.ravel()
    return rows


def _int64_indices(X):
    rows = sp.csr_matrix(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return rows


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "strided": _wide,
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "long double": lambda X: X.astype(np.longdouble),
    "objects": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "data frame": _data_frame,
    "columns apart": lambda X: _data_frame({i: column for i, column in enumerate(X.T)}),
    "np.matrix": lambda X: X.view(np.matrix),
    "unaligned": _unaligned,
}
SPARSE = {
    "CSR": sp.csr_matrix,
    "CSR array": sp.csr_array,
    "CSC": sp.csc_matrix,
    "COO": sp.coo_matrix,
    "BSR": lambda X: sp.bsr_matrix(X, blocksize=(3, 2)),
    "LIL": sp.lil_matrix,
    "unsorted": _unsorted,
    "duplicates": _duplicates,
    "stored zeros": _stored_zeros,
    "int64 indices": _int64_indices,
}
TYPES = {
    "float64": np.float64,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "uint8": np.uint8,
}
FORMS = LAYOUTS | SPARSE
FLOAT32 = (
    FORMS
    | {
        "float64 in Fortran order": lambda X: np.asfortranarray(X.astype(np.float64)),
        "float64 CSC": lambda X: sp.csc_matrix(X.astype(np.float64)),
    }
    | {name: lambda X, dtype=dtype: X.astype(dtype) for name, dtype in TYPES.items()}
)


def _hash(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def _everything(X, few):
    """Hashes of what is made of rows and of new rows: map, places, P, neighbours, start."""
    embedding = TSNE(**QUICK).fit(X)
    found = [_hash(embedding), _hash(embedding.transform(few, n_iter=20))]
    P = affinity.FixedSigmaNN(X, 3.0, k=9).P
    found.append(_hash(P.data, P.indices, P.indptr))
    for metric in ("cosine", "cityblock", "seuclidean"):
        index = Exact(X, 7, metric=metric)
        found.append(_hash(*index.build(), *index.query(few, 4)))
    found.append(_hash(initialization.pca(X, 3, random_state=0)))
    return found


@pytest.fixture(scope="module")
def counts():
    """Small whole numbers, which all types hold; a third are zero."""
    return np.random.default_rng(0).integers(0, 3, (150, 12)).astype(np.float32) * 5


@pytest.fixture(scope="module")
def fractions(counts):
    """Numbers that float32 does not hold."""
    return counts / np.float64(3)


@pytest.fixture(scope="module")
def expected(counts, fractions):
    return {X.dtype: _everything(X, X[:9]) for X in (counts, fractions)}


@pytest.mark.thin(12)
@pytest.mark.parametrize("form", FLOAT32)
def test_one_map_of_float32_values(counts, expected, form):
    make = FLOAT32[form]
    assert _everything(make(counts), make(counts[:9])) == expected[counts.dtype]


@pytest.mark.thin(8)
@pytest.mark.parametrize("form", FORMS)
def test_one_map_of_float64_values(fractions, expected, form):
    make = FORMS[form]
    assert _everything(make(fractions), make(fractions[:9])) == expected[fractions.dtype]


def test_one_map_of_a_file(tmp_path, counts, expected):
    np.save(tmp_path / "rows.npy", counts.astype(np.float64))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert _everything(rows, rows[:9]) == expected[counts.dtype]


@pytest.mark.slow
@pytest.mark.parametrize("form", SPARSE)
def test_one_map_of_large_sparse_rows(monkeypatch, counts, form):
    """What is not made dense is in one form, too."""
    monkeypatch.setattr(validation, "MAX_DENSE_NUMBERS", 0)
    make = SPARSE[form]
    expected = _everything(sp.csr_matrix(counts), sp.csr_matrix(counts[:9]))
    for dtype in (np.float32, np.float64):
        assert _everything(make(counts.astype(dtype)), make(counts[:9].astype(dtype))) == expected


@pytest.mark.parametrize("form", ["Fortran", "CSR"])
def test_one_result_of_the_approximate_search(form):
    X = np.random.default_rng(1).normal(size=(3100, 100)).astype(np.float32)
    X[X < 0.5] = 0
    results = []
    for rows in (X, FORMS[form](X.astype(np.float64))):
        index = Approx(rows, 5, random_state=0, n_jobs=2)
        results.append(_hash(*index.build(), *index.query(rows[:50], 3)))
    assert results[0] == results[1]


def test_sparse_queries_are_made_dense_in_batches(monkeypatch, counts):
    from fasttsne.nearest_neighbors import index as module

    index = Exact(sp.csr_matrix(counts), 5)
    expected = index.query(counts, 4)
    monkeypatch.setattr(module, "MAX_DENSE_NUMBERS", 20 * counts.shape[1])
    for found, array in zip(index.query(sp.csr_matrix(counts), 4), expected, strict=True):
        assert np.array_equal(found, array)


@pytest.mark.parametrize("form", ["Fortran", "float64", "big-endian", "list"])
@pytest.mark.parametrize("divisor", [1, 3])
def test_one_map_of_distances(counts, form, divisor):
    make = FLOAT32[form]
    distances = np.abs(counts[:, None] - counts).sum(-1) / np.float32(divisor)
    settings = {"initialization": "random", **QUICK}
    expected = TSNE(metric="precomputed", **settings).fit(distances)
    assert np.array_equal(TSNE(metric="precomputed", **settings).fit(make(distances)), expected)
    index = PrecomputedDistanceMatrix(distances, 90)
    indices, found = index.build()
    assert np.array_equal(TSNE(neighbors=(indices, make(found)), **settings).fit(), expected)
    assert np.array_equal(index.query(make(distances), 3), index.query(distances, 3))


def test_rows_are_known_in_every_form(counts):
    for known in (counts, sp.csr_matrix(counts)):
        index = RowHashIndex(known)
        assert np.array_equal(index.find(counts), index.find(sp.csr_matrix(counts)))
        assert (index.find(counts) >= 0).all()


def test_canonical_input_is_not_copied(tmp_path, counts, fractions):
    for X in (counts, fractions):
        assert check_data(X) is X
        np.save(tmp_path / "rows.npy", X)
        rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
        assert is_memmapped(check_data(rows))
        sparse = sp.csr_matrix(X)
        assert np.shares_memory(check_data(sparse, accept_sparse=True).data, sparse.data)


@pytest.mark.parametrize("value", [1 / 3, 1e300, 2.0**24 + 1, 1e-300])
def test_what_float32_does_not_hold_stays_float64(counts, value):
    X = counts.astype(np.float64)
    X[-1, -1] = value
    assert check_data(X) is X
    assert check_data(X.T.copy().T).dtype == np.float64


def test_the_caller_s_sparse_matrix_is_not_changed(counts):
    for make in SPARSE.values():
        rows = make(counts)
        before = rows.copy()
        names = [
            name for name in ("data", "indices", "indptr", "row", "col") if hasattr(rows, name)
        ]
        TSNE(**QUICK).fit(rows)
        assert all(np.array_equal(getattr(rows, n), getattr(before, n)) for n in names)
