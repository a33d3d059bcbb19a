"""Maps that show nothing, and objectives of nothing: no fit returns them without a word."""

import numpy as np
import pytest

from fasttsne import TSNE, AlignedTSNE
from fasttsne.objective import Objective, register_objective

STUCK = "all points of the map that can move are in one place"
NOTHING = "the map shows nothing of the data"
CLASSICAL = {"early_exaggeration_iter": 100, "n_iter": 100}


@pytest.mark.parametrize(
    "params",
    [
        {"max_grad_norm": 1e-300},
        {"max_grad_norm": 1e-300, "optimizer": "momentum"},
        {"max_step_norm": 1e-300},
        {"learning_rate": 1e-300, **CLASSICAL},
        {"max_grad_norm": 1e-300, "n_components": 3, "negative_gradient_method": "fft"},
        {"max_step_norm": 1e-300, "global_structure": 0.5},
        {"max_grad_norm": 1e-300, "exaggeration": 4},
    ],
)
@pytest.mark.filterwarnings("ignore:the map has not settled")  # where steps are that short
def test_a_map_that_cannot_move(digits, params):
    with pytest.warns(UserWarning, match=STUCK):
        TSNE(random_state=0, **params).fit(digits)


def test_a_start_that_float32_takes_for_one_place(digits, rng):
    start = rng.normal(size=(500, 2)) * 1e-300
    with pytest.warns(UserWarning, match=STUCK):
        TSNE().fit(digits, initialization=start)
    embedding = TSNE(n_iter=0, early_exaggeration_iter=0).fit(digits, initialization=start)
    with pytest.warns(UserWarning, match=STUCK):
        embedding.optimize(150)


@pytest.mark.parametrize("rate", [1e6, 1e10])
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_a_map_that_is_thrown_apart(digits, rate, method):
    """It stays within all bounds: there is no OverflowError."""
    with pytest.warns(UserWarning, match=f"{NOTHING}.*learning_rate"):
        TSNE(
            learning_rate=rate, max_step_norm=None, negative_gradient_method=method, random_state=0
        ).fit(digits)


def test_points_that_hardly_move(digits):
    tsne = TSNE(max_step_norm=1e-4, random_state=0)
    with pytest.warns(UserWarning, match="not settled"), pytest.warns(UserWarning, match=NOTHING):
        tsne.fit(digits)


def test_aligned_maps_that_cannot_move(digits):
    parameters = {"max_step_norm": 1e-300, "random_state": 0}
    with (
        pytest.warns(UserWarning, match="map 0 that can move"),
        pytest.warns(UserWarning, match="map 1 that can move"),
    ):
        AlignedTSNE(**parameters).fit([digits[:200], digits[100:300]], relations=[{}])


@pytest.mark.parametrize(
    "X",
    [
        np.eye(120),
        np.ones((150, 3)),
        np.random.RandomState(0).randn(300, 500),
        np.arange(2.0)[:, None],
        np.arange(200.0)[:, None],
    ],
    ids=["equidistant", "equal", "noise", "two", "line"],
)
@pytest.mark.filterwarnings("ignore:perplexity")
def test_data_that_have_little_to_show_are_not_warned_of(X):
    TSNE(random_state=0).fit(X)


def test_a_short_run_is_not_judged(digits):
    TSNE(early_exaggeration_iter=5, n_iter=5).fit(digits).optimize(3)


def gradient_of_nan(embedding, P, **_):
    return 0.0, np.full(embedding.shape, np.nan)


def half_infinite(embedding, P, **_):
    gradient = np.zeros(embedding.shape)
    gradient[::2] = np.inf
    return 0.0, gradient


def error_of_nan(embedding, P, **_):
    return float("nan"), 1e-5 * embedding


@pytest.mark.parametrize(("function", "n"), [(gradient_of_nan, 500), (half_infinite, 250)])
def test_a_gradient_that_is_not_finite(digits, function, n):
    message = f"negative_gradient_method, {function.__name__}, is not finite for {n} of 500 points"
    tsne = TSNE(negative_gradient_method=function)
    with pytest.raises(ValueError, match=message):
        tsne.fit(digits)
    assert np.isfinite(tsne.embedding_).all()


def test_an_error_that_is_not_a_number(digits):
    message = "negative_gradient_method, error_of_nan, returns is nan"
    with pytest.warns(UserWarning, match=message):
        embedding = TSNE(negative_gradient_method=error_of_nan).fit(digits)
    assert np.isfinite(embedding).all()


class Broken(Objective):
    """An objective that is registered, whose gradient is not finite."""

    def gradient(self, y, exaggeration=1.0, with_error=False):
        self._gradient[...] = np.nan
        return self._gradient, 0.0

    def reorder(self, order):
        pass


def test_a_registered_objective_is_named(digits):
    register_objective("broken", lambda affinities, n_components, **_: Broken((500, n_components)))
    with pytest.raises(ValueError, match="the gradient of Broken is not finite for 500 of 500"):
        TSNE(negative_gradient_method="broken").fit(digits)


@pytest.mark.parametrize("scale", [1e-160, 1e-200, 1e-300])
def test_a_reference_that_is_too_small(digits, rng, scale):
    reference = rng.normal(size=(500, 2)) * scale
    tsne = TSNE(global_structure=0.1, global_reference=reference)
    with pytest.raises(ValueError, match=r"global_reference must not be so small.*scale it"):
        tsne.fit(digits)


@pytest.mark.parametrize("scale", [1e-145, 1e-120, 1e14])
def test_a_reference_of_another_scale(digits, rng, scale):
    reference = rng.uniform(-1, 1, size=(500, 2)) * scale
    embedding = TSNE(global_structure=0.1, global_reference=reference, random_state=0).fit(digits)
    assert np.std(embedding) > 2
