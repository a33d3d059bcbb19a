"""Objective functions and optimizers that are called as openTSNE calls them."""

import pickle

import numpy as np
import pytest
from helpers.quick import QUICK
from helpers.rounded import rounded

from fasttsne import TSNE, TSNEEmbedding, initialization, tsne
from fasttsne._kernels import reference
from fasttsne.affinity import PerplexityBasedNN, PrecomputedAffinities
from fasttsne.functions import kl_divergence_exact

BH_PARAMS = {"theta": 0.2}
FFT_PARAMS = {"n_interpolation_points": 3, "min_num_intervals": 50, "ints_in_interval": 1}
FUNCTIONS = {
    "bh": tsne.kl_divergence_bh,
    "fft": tsne.kl_divergence_fft,
    "exact": kl_divergence_exact,
}
SHORT = {**QUICK, "early_exaggeration_iter": 20, "n_iter": 20, "perplexity": 10}


@pytest.fixture(scope="module")
def affinities(digits):
    return PerplexityBasedNN(digits[:200], 10)


@pytest.fixture(scope="module")
def start(digits):
    return initialization.pca(digits[:200], random_state=0) * 1e5


def plain(embedding, P, dof, bh_params, fft_params, reference_embedding, n_jobs, should_eval_error):
    """The KL divergence of this package's twins, in the shape of openTSNE's functions."""
    assert reference_embedding is None
    assert bh_params == {"theta": 0.5}
    assert fft_params == FFT_PARAMS
    assert n_jobs == 2
    P = P.toarray().astype(float)
    error = 0
    if should_eval_error:
        w = (1 + reference.differences(embedding)[1] / dof) ** -dof
        np.fill_diagonal(w, 0)
        pairs = P > 0
        error = (P[pairs] * np.log(P[pairs] * w.sum() / w[pairs])).sum()
    return error, reference.gradient(P, embedding, dof) / 4


@pytest.mark.thin(12)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dof", [0.5, 1])
@pytest.mark.parametrize("function", ["bh", "fft", "exact"])
@pytest.mark.parametrize("exaggeration", [1, 4])
def test_functions_equal_their_twin(digits, affinities, function, dof, d, exaggeration):
    function = FUNCTIONS[function]
    embedding = initialization.pca(digits[:200], d, random_state=0) * 1e5
    before = embedding.copy()
    P = affinities.P * exaggeration
    params = {"dof": dof, "bh_params": BH_PARAMS, "fft_params": FFT_PARAMS, "n_jobs": 2}
    error, gradient = function(embedding, P, should_eval_error=True, **params)
    expected_error, expected = plain(
        embedding,
        P,
        **{**params, "bh_params": {"theta": 0.5}},
        reference_embedding=None,
        should_eval_error=True,
    )
    assert error == pytest.approx(expected_error, rel=1e-3)
    assert gradient.shape == embedding.shape
    assert gradient.dtype == np.float64
    assert np.linalg.norm(gradient - expected) < 2e-2 * np.linalg.norm(expected)
    assert function(embedding, P, **params)[0] == 0
    np.testing.assert_array_equal(embedding, before)
    with pytest.raises(NotImplementedError, match="reference_embedding"):
        function(embedding, P, reference_embedding=embedding, **params)


@pytest.mark.parametrize("function", ["bh", "fft", "exact"])
@pytest.mark.parametrize("bad", [np.inf, np.nan, 1e300])
def test_points_that_are_not_finite(start, affinities, function, bad):
    function = FUNCTIONS[function]
    points = np.array(start, float)
    points[3, 1] = bad
    with pytest.raises(ValueError, match="embedding must"):
        function(points, affinities.P, 1.0, bh_params=BH_PARAMS, fft_params=FFT_PARAMS)


def test_a_function_as_method(start, affinities):
    """It gets the caller's order and the exaggeration, and its error is reported without."""
    reports = []
    maps = []
    affinities = PrecomputedAffinities(rounded(affinities.P.toarray()), normalize=False)
    for method in ("exact", plain):
        embedding = TSNEEmbedding(
            start,
            affinities,
            negative_gradient_method=method,
            n_jobs=2,
            callbacks=lambda *report: reports.append(report[1]),
            callbacks_every_iters=10,
        )
        embedding.optimize(20, exaggeration=6, inplace=True).optimize(10, inplace=True)
        maps.append(embedding)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-3 * np.ptp(maps[0]))
    np.testing.assert_allclose(reports[:3], reports[3:], rtol=1e-4)
    assert maps[0].kl_divergence == pytest.approx(maps[1].kl_divergence, rel=1e-4)
    assert maps[0].gradient_norm() == pytest.approx(maps[1].gradient_norm(), rel=1e-2)


def test_any_function_that_has_a_gradient(digits):
    """A spring for each point, of which t-SNE knows nothing."""

    def springs(embedding, P, should_eval_error, **params):
        return (embedding**2).sum(), embedding / 100

    embedding = TSNE(negative_gradient_method=springs, **SHORT).fit(digits[:200])
    assert np.abs(embedding).max() < 1e-5
    assert embedding.kl_divergence == pytest.approx((np.asarray(embedding) ** 2).sum())


def test_a_function_that_returns_nonsense(start, affinities):
    embedding = TSNEEmbedding(
        start, affinities, negative_gradient_method=lambda *args, **params: (0, np.zeros(3))
    )
    with pytest.raises(ValueError, match=r"shape \(200, 2\); got \(3,\)"):
        embedding.optimize(1)


@pytest.mark.parametrize("name", ["bh", "fft"])
def test_functions_of_the_package_are_methods(start, affinities, name):
    function = {"bh": tsne.kl_divergence_bh, "fft": tsne.kl_divergence_fft}[name]
    embedding = TSNEEmbedding(start, affinities)
    expected = TSNEEmbedding(start, affinities, negative_gradient_method=name).optimize(5)
    np.testing.assert_array_equal(
        embedding.optimize(5, negative_gradient_method=function), expected
    )
    np.testing.assert_array_equal(embedding.optimize(5, negative_gradient_method=name), expected)
    assert embedding.negative_gradient_method == "auto"


def test_dof_of_one_call(start, affinities):
    embedding = TSNEEmbedding(start, affinities)
    expected = TSNEEmbedding(start, affinities, dof=0.5).optimize(5)
    np.testing.assert_array_equal(embedding.optimize(5, dof=0.5), expected)
    assert embedding.dof == 1
    with pytest.raises(ValueError, match="dof must be greater than 0"):
        embedding.optimize(5, dof=0)
    with pytest.raises(ValueError, match="negative_gradient_method"):
        embedding.optimize(5, negative_gradient_method="nonsense")


def test_calling_the_optimizer(start, affinities):
    optimizer = tsne.gradient_descent()
    assert optimizer.gains is None
    assert optimizer.update is None
    points = start.copy()
    error, result = optimizer(
        embedding=points,
        P=affinities.P,
        n_iter=10,
        objective_function=tsne.kl_divergence_bh,
        exaggeration=4,
    )
    assert result is points
    embedding = TSNEEmbedding(start, affinities, negative_gradient_method="bh")
    embedding.optimize(10, exaggeration=4, inplace=True)
    np.testing.assert_allclose(points, embedding, atol=1e-4 * np.ptp(points))
    assert error == pytest.approx(embedding.kl_divergence, rel=1e-4)
    np.testing.assert_allclose(optimizer.gains, embedding.optimizer.gains)
    duplicate = optimizer.copy()
    duplicate.gains[:] = 7
    assert not (optimizer.gains == 7).any()
    assert isinstance(embedding.optimizer, tsne.gradient_descent)
    assert pickle.loads(pickle.dumps(optimizer)).gains.tobytes() == optimizer.gains.tobytes()


class Plain(tsne.gradient_descent):
    """Gradient descent without gains, as users derive it from openTSNE's."""

    def __init__(self):
        self.update = None
        self.gains = None

    def __call__(
        self,
        embedding,
        P,
        n_iter,
        objective_function,
        learning_rate,
        momentum,
        exaggeration,
        callbacks,
        callbacks_every_iters,
        bound=1,
        **params,
    ):
        if self.update is None:
            self.update = np.zeros_like(embedding).view(np.ndarray)
        P *= exaggeration or 1
        for step in range(n_iter):
            error, gradient = objective_function(
                embedding,
                P,
                dof=params["dof"],
                bh_params={"theta": params["theta"]},
                should_eval_error=step == n_iter - 1,
            )
            self.update = momentum * self.update - learning_rate * gradient
            embedding += self.update
        return error, embedding


def test_an_optimizer_of_ones_own(start, affinities):
    before = affinities.P.copy()
    embedding = TSNEEmbedding(start, affinities, optimizer=Plain())
    embedding.optimize(5, inplace=True, exaggeration=4)
    first = np.array(embedding)
    assert np.abs(first - start).max() > 0
    embedding.optimize(5, inplace=True)
    points, update = start.copy(), np.zeros_like(start)
    for step in range(10):
        P = affinities.P * (4 if step < 5 else 1)
        _, gradient = tsne.kl_divergence_bh(points, P, 1, {"theta": 0.5})
        rate = 200 / (4 if step < 5 else 1)
        update = 0.8 * update.astype(np.float32) - rate * gradient
        points += update
    np.testing.assert_allclose(embedding, points, atol=1e-3 * np.ptp(points))
    np.testing.assert_array_equal(affinities.P.data, before.data)


def test_a_replaced_call_is_called(digits, monkeypatch):
    """As openTSNE's own tests do it, to see what the optimizer is told."""
    calls = []

    def call(self, **params):
        calls.append(params)
        return 1.0, None

    monkeypatch.setattr(tsne.gradient_descent, "__call__", call)
    model = TSNE(
        early_exaggeration_iter=10,
        early_exaggeration=3,
        n_iter=20,
        initial_momentum=0.2,
        learning_rate=7,
        theta=0.3,
        n_jobs=2,
        perplexity=10,
        negative_gradient_method=tsne.kl_divergence_fft,
    )
    embedding = model.fit(digits[:100])
    assert embedding.kl_divergence == 1
    assert [call["n_iter"] for call in calls] == [10, 20]
    assert [call["exaggeration"] for call in calls] == [3, 1]
    assert [call["momentum"] for call in calls] == [0.2, 0.8]
    for call in calls:
        assert call["objective_function"] is tsne.kl_divergence_fft
        assert (call["learning_rate"], call["theta"], call["n_jobs"]) == (7, 0.3, 2)
        assert call["callbacks"] is None


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
@pytest.mark.parametrize("exaggeration", [1, 4])
def test_a_function_that_changes_P(affinities, start, part, exaggeration):
    """Neither the affinities of the embedding nor the P of the next call change."""
    embedding = TSNEEmbedding(start, affinities, random_state=0)
    before = affinities.P.copy(), affinities.P_float32.copy()

    def function(embedding, P, **params):
        found = tsne.kl_divergence_bh(embedding, P, **params)
        array = getattr(P, part)
        array *= 0
        return found

    found = embedding.optimize(3, exaggeration=exaggeration, negative_gradient_method=function)
    expected = embedding.optimize(
        3,
        exaggeration=exaggeration,
        negative_gradient_method=lambda *a, **k: tsne.kl_divergence_bh(*a, **k),
    )
    np.testing.assert_array_equal(found, expected)
    for old, new in zip(before, (affinities.P, affinities.P_float32), strict=True):
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(old, name), getattr(new, name))
