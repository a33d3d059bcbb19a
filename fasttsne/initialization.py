"""Where the points start: the first principal components, or random places.

A map should start small: all pairs then repel each other about equally, and
attraction alone decides who goes where.  Starting from the principal components
keeps the arrangement of the clusters (Kobak & Berens 2019).
"""

import numbers

import numpy as np
import scipy.linalg

from fasttsne._validation import check_choice, check_data, check_number, check_random_state
from fasttsne.utils import Timer

# The power iterations and extra directions of the randomized solver (Halko et al. 2011).
POWER_ITERATIONS = 7
OVERSAMPLES = 10
# Up to this many columns (or rows) the exact decomposition costs less than a second.
EXACT_UP_TO = 500


def rescale(x: np.ndarray, inplace: bool = False, target_std: float = 1e-4) -> np.ndarray:
    """Scale a map so that its first coordinate has the standard deviation ``target_std``.

    Parameters
    ----------
    x : (n, d) array.
    inplace : change ``x`` itself, which must then hold floating-point numbers.
    """
    x = np.asarray(x) if inplace else np.array(x, dtype=float)
    std = np.std(x[:, 0])
    if std > 0:
        x *= target_std / std
    return x


def jitter(x: np.ndarray, inplace: bool = False, scale: float = 0.01, random_state=None):
    """Add normal noise of ``scale`` times the first coordinate's standard deviation.

    Rows that are equal in the data would otherwise start, and stay, in one place.
    """
    x = np.asarray(x) if inplace else np.array(x, dtype=float)
    x += check_random_state(random_state).normal(0, np.std(x[:, 0]) * scale, x.shape)
    return x


def random(n_samples, n_components: int = 2, random_state=None, verbose: bool = False):
    """Normal noise of standard deviation 1e-4.

    Parameters
    ----------
    n_samples : how many points, or anything with that many rows.

    Returns
    -------
    (n_samples, n_components) float64 array.
    """
    if not isinstance(n_samples, numbers.Integral):
        n_samples = n_samples.shape[0] if hasattr(n_samples, "shape") else len(n_samples)
    n_components = check_number(n_components, "n_components", low=1, integer=True)
    shape = (int(n_samples), n_components)
    return check_random_state(random_state).normal(0, 1e-4, shape)


def pca(
    X, n_components: int = 2, svd_solver: str = "auto", random_state=None,
    verbose: bool = False, add_jitter: bool = True,
) -> np.ndarray:  # fmt: skip
    """The first principal components, scaled down to a standard deviation of 1e-4.

    Parameters
    ----------
    X : (n, columns) array.
    svd_solver : "full" decomposes the covariance exactly; "randomized" (Halko et
        al. 2011) is much faster for many columns; "auto" takes the first up to
        500 rows or columns.  A component's sign is such that its largest loading
        is positive.
    random_state : seeds the randomized solver and the jitter.
    add_jitter : move each point by 1 % of the standard deviation at random, so
        that equal rows do not start in one place.

    Returns
    -------
    (n, n_components) float64 array.  Components that the data does not have
    (one column, equal rows) hold noise only.
    """
    X = check_data(X)
    check_choice(svd_solver, "svd_solver", ("auto", "full", "randomized", "arpack"))
    generator = check_random_state(random_state)
    rank = min(*X.shape, n_components)
    result = np.zeros((len(X), n_components))
    with Timer("computing the principal components", verbose):
        result[:, :rank] = principal_components(X, rank, generator, svd_solver)
    rescale(result, inplace=True)
    # A component that is rounding noise next to the first is not one.
    result[:, np.std(result, axis=0) < 1e-10] = 0
    if add_jitter:
        result += generator.normal(0, 1e-6, result.shape)
    return result


def principal_components(X, rank, random_state=None, svd_solver="auto"):
    """Scores of the first ``rank`` principal components, (n, rank), in the dtype of X."""
    centred = _centred(X)
    if svd_solver == "full" or (svd_solver == "auto" and min(X.shape) <= EXACT_UP_TO):
        loadings = _exact_loadings(centred, rank)
    else:
        loadings = _randomized_loadings(centred, rank, check_random_state(random_state))
    signs = np.sign(loadings[np.abs(loadings).argmax(0), np.arange(rank)])
    return centred @ (loadings * signs).astype(centred.dtype)


def _centred(X):
    """X less its mean, within the range where squares neither overflow nor vanish."""
    mean = X.mean(0, dtype=np.float64)
    centred = X - mean.astype(X.dtype)
    largest = np.abs(centred).max()
    if largest > 0 and not 1e-10 < largest < 1e10:
        centred /= largest
    return centred


def _exact_loadings(centred, rank):
    """Eigenvectors of the smaller of the two matrices of products."""
    n, d = centred.shape
    if d <= n:
        products = centred.T.astype(float) @ centred if d < 64 else centred.T @ centred
        _, vectors = scipy.linalg.eigh(products.astype(float), subset_by_index=(d - rank, d - 1))
        return vectors[:, ::-1]
    _values, vectors = scipy.linalg.eigh(
        (centred @ centred.T).astype(float), subset_by_index=(n - rank, n - 1)
    )
    loadings = centred.T @ vectors[:, ::-1]
    norms = np.linalg.norm(loadings, axis=0)
    return loadings / np.where(norms > 0, norms, 1)


def _randomized_loadings(centred, rank, generator):
    """The leading right singular vectors, by power iterations on a random subspace."""
    size = min(rank + OVERSAMPLES, *centred.shape)
    basis = generator.normal(size=(centred.shape[1], size)).astype(centred.dtype)
    for _ in range(POWER_ITERATIONS):
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    _, _, vectors = np.linalg.svd(centred @ basis, full_matrices=False)
    return basis @ vectors[:rank].T
