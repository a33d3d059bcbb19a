"""The spectral embedding on both sides of the limit of the dense decomposition."""

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import initialization
from fasttsne.linalg.spectral import DENSE_MAX_NODES


@pytest.mark.parametrize("n", [DENSE_MAX_NODES, DENSE_MAX_NODES + 1])
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array, sp.coo_matrix])
def test_path_on_both_sides_of_the_dense_decomposition(n, form):
    """The eigenvectors of a walk on a path with loops at its ends are cosines."""
    edges = np.ones(n - 1)
    A = sp.diags_array([edges, edges, np.eye(n)[0] + np.eye(n)[-1]], offsets=[-1, 1, 0])
    found = initialization.spectral(form(A), 3, tol=1e-10, random_state=0, add_jitter=False)
    angle = np.pi * np.arange(1, 4) / n
    expected = np.cos((np.arange(n)[:, None] + 0.5) * angle) * np.cos(angle)
    expected = initialization.rescale(expected)
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-8)
