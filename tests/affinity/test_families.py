import numpy as np
import pytest

from fasttsne.affinity import (
    FixedSigmaNN,
    Multiscale,
    MultiscaleMixture,
    PerplexityBasedNN,
    Uniform,
    joint_probabilities_nn,
)
from fasttsne.nearest_neighbors import Exact


def precisions(distances, perplexity):
    """The factor beta of each row whose exp(-beta d^2) have a perplexity, by bisection."""
    betas = []
    for d in distances.astype(float) ** 2:
        low, high = 0.0, np.inf
        beta = 1.0 / max(d.mean(), 1e-12)
        for _ in range(200):
            p = np.exp(-(d - d.min()) * beta)
            p /= p.sum()
            entropy = -(p * np.log(np.maximum(p, 1e-300))).sum()
            if entropy > np.log(perplexity):
                low = beta
            else:
                high = beta
            beta = 2 * low if np.isinf(high) else (low + high) / 2
        betas.append(beta)
    return np.array(betas)[:, None]


def dense(indices, values, n):
    out = np.zeros((n, n))
    np.put_along_axis(out, indices, values, 1)
    return out


@pytest.fixture(scope="module")
def X(digits):
    return digits[:200]


@pytest.mark.slow
def test_multiscale_mixture_is_a_mixture_of_densities(X):
    P = MultiscaleMixture(X, perplexities=[5, 20]).P.toarray()
    indices, distances = Exact(X, 60).build()
    d2 = distances.astype(float) ** 2
    C = sum(
        np.sqrt(beta) * np.exp(-beta * d2)
        for beta in (precisions(distances, 5), precisions(distances, 20))
    )
    full = dense(indices, C / C.sum(1, keepdims=True), 200)
    np.testing.assert_allclose(P, (full + full.T) / 400, atol=2e-6)


def test_multiscale_averages_the_joint(X):
    P = Multiscale(X, perplexities=[5, 20]).P
    assert P.sum() == pytest.approx(1, abs=1e-5)
    assert abs(P - P.T).max() < 1e-8
    mixture = MultiscaleMixture(X, perplexities=[5, 20]).P
    assert abs(P - mixture).max() > 1e-6


def test_fixed_sigma(X):
    indices, distances = Exact(X, 30).build()
    C = np.exp(-(distances.astype(float) ** 2) / (2 * 15.0**2))
    C /= C.sum(1, keepdims=True)
    full = dense(indices, C, 200)
    P = FixedSigmaNN(X, sigma=15.0, k=30).P.toarray()
    np.testing.assert_allclose(P, (full + full.T) / 400, atol=2e-6)


@pytest.mark.parametrize("symmetrize", [True, "max", "mean", False, "none"])
def test_uniform(X, symmetrize):
    indices, _ = Exact(X, 10).build()
    graph = dense(indices, np.ones(indices.shape), 200)
    P = Uniform(X, k_neighbors=10, symmetrize=symmetrize).P.toarray()
    expected = {
        True: np.maximum(graph, graph.T),
        "max": np.maximum(graph, graph.T),
        "mean": (graph + graph.T) / 2,
        False: graph,
        "none": graph,
    }[symmetrize]
    np.testing.assert_allclose(P, expected / expected.sum(), atol=1e-7)


def test_set_perplexity_without_a_new_search(X):
    affinities = PerplexityBasedNN(X, 20)
    affinities.set_perplexity(10)
    expected = PerplexityBasedNN(X, 10).P
    assert abs(affinities.P - expected).max() < 1e-7
    mixture = MultiscaleMixture(X, perplexities=[10, 20])
    mixture.set_perplexities([5, 15])
    assert mixture.P.sum() == pytest.approx(1, abs=1e-5)


def test_joint_probabilities(X):
    neighbors, distances = Exact(X, 30).build()
    P = joint_probabilities_nn(neighbors, distances, [10])
    assert abs(P - PerplexityBasedNN(X, 10).P).max() < 1e-6


def test_bad_arguments(X):
    with pytest.raises((TypeError, ValueError), match="sigma"):
        FixedSigmaNN(X)
    with pytest.raises((TypeError, ValueError), match="perplexit"):
        MultiscaleMixture(X, perplexities=[-1])
