"""What every objective has to do: those of the package, and a toy one of a user."""

import logging
import tracemalloc
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne import TSNE, TSNEEmbedding
from fasttsne.affinity import PrecomputedAffinities
from fasttsne.callbacks import EarlyStopping, EmbeddingRecorder, ProgressBar
from fasttsne.objective import _REGISTERED, KLDivergence, Objective, register_objective
from fasttsne.objective.callable import FunctionObjective, kl_divergence_exact
from fasttsne.objective.kl import DensityObjective
from fasttsne.objective.points import NewPointsDivergence
from fasttsne.repulsion import ExactRepulsion, MeshRepulsion, TreeRepulsion
from fasttsne.repulsion.fixed_reference import make_field

ACCURACY = {
    "theta": 0.2,
    "n_interpolation_points": 3,
    "min_num_intervals": 50,
    "ints_in_interval": 1,
    "accuracy": 4e-3,
}


class ObjectiveContract:
    """Derived classes define ``make(n_threads, n)``: an objective of n points in two dimensions,
    the same at each call; ``points`` may be overridden.

    ``tolerance`` is that of finite differences, relative to the largest entry of the gradient.
    """

    tolerance = 1e-3
    rounding = 1e-6
    # Of the differences: coordinates reach the kernels in float32.
    step = 2e-2

    def make(self, n_threads=1, n=40):
        raise NotImplementedError

    @pytest.fixture
    def points(self):
        return np.random.default_rng(1).normal(0, 2, (40, 2))

    def ordered(self, n_threads=1, n=40):
        objective = self.make(n_threads, n)
        objective.reorder(np.arange(n, dtype=np.int32))
        return objective

    def test_gradient_is_that_of_the_loss(self, points):
        objective = self.ordered()
        gradient = objective.scale * objective.gradient(points)[0]
        scale = np.abs(gradient).max()

        def loss(y):
            return objective.loss(objective.gradient(y, with_error=True)[1])

        for i, c in ((0, 0), (7, 1), (21, 0), (39, 1)):
            ahead, behind = points.copy(), points.copy()
            ahead[i, c] += self.step
            behind[i, c] -= self.step
            difference = (loss(ahead) - loss(behind)) / (2 * self.step) * self.n_losses
            assert difference == pytest.approx(gradient[i, c], abs=self.tolerance * scale)

    # A loss that is a mean over the points has a gradient as of their sum.
    n_losses = 1

    def test_threads_do_not_change_bits(self):
        """Of more points than the kernels have in a block: threads have something to share."""
        points = np.random.default_rng(1).normal(0, 20, (3000, 2))
        results = set()
        for n_threads in (1, 2, 3):
            gradient, error = self.ordered(n_threads, 3000).gradient(points, 4.0, with_error=True)
            results.add((gradient.tobytes(), error))
        assert len(results) == 1

    def test_the_order_of_points_changes_rounding_only(self, points):
        objective = self.ordered()
        expected, error = objective.gradient(points, 2.0, with_error=True)
        expected = expected.copy()
        order = np.random.default_rng(2).permutation(40).astype(np.int32)
        if isinstance(objective, NewPointsDivergence):
            with pytest.raises(ValueError, match="keep the caller's order"):
                objective.reorder(order)
            return
        objective.reorder(order)
        gradient, again = objective.gradient(points[order], 2.0, with_error=True)
        atol = self.rounding * np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected[order], atol=atol)
        assert again == pytest.approx(error, rel=1e-6)

    def test_no_argument_is_changed(self, points):
        before, order = points.copy(), np.arange(40, dtype=np.int32)
        points.setflags(write=False)
        order.setflags(write=False)
        P = affinities().copy()
        objective = self.make()
        objective.reorder(order)
        objective.gradient(points, 12.0, with_error=True)
        np.testing.assert_array_equal(points, before)
        assert (affinities() != P).nnz == 0

    def test_the_gradient_is_one_array_for_all_calls(self, points):
        objective = self.ordered()
        first, error = objective.gradient(points)
        second, _ = objective.gradient(points, with_error=True)
        assert error is None
        assert first is second
        assert first.dtype == np.float64
        assert first.shape == points.shape

    # Whether an iteration makes arrays as long as the points: what is not this package's code, or
    # a term that is seldom active, may.
    allocates = False
    many = 3000  # so many points that NumPy's own buffers are small beside them

    def test_an_iteration_makes_no_arrays(self):
        objective = self.ordered(1, self.many)
        points = np.random.default_rng(1).normal(0, 20, (self.many, 2))
        objective.gradient(points)
        tracemalloc.start()
        objective.gradient(points)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert self.allocates == (peak > points.nbytes / 4)

    def test_the_error_does_not_depend_on_exaggeration(self, points):
        objective = self.ordered()
        plain = objective.gradient(points, with_error=True)[1]
        # Of a function, 12 P is rounded in other places than P.
        exaggerated = objective.gradient(points, 12.0, with_error=True)[1]
        assert exaggerated == pytest.approx(plain, rel=1e-5)

    def test_asking_for_the_error_changes_nothing(self, points):
        objective = self.ordered()
        without = objective.gradient(points, 3.0)[0].tobytes()
        assert objective.gradient(points, 3.0, with_error=True)[0].tobytes() == without

    def test_moving_all_points_together(self, points):
        objective = self.ordered()
        error = objective.loss(objective.gradient(points, with_error=True)[1])
        moved = objective.loss(objective.gradient(points + 3.0, with_error=True)[1])
        assert (moved == pytest.approx(error, rel=1e-5)) == objective.is_translation_invariant

    def test_gradient_norm_is_finite(self, points):
        objective = self.ordered()
        expected = objective.scale * np.linalg.norm(objective.gradient(points)[0])
        assert objective.gradient_norm() == pytest.approx(expected, rel=1e-5)


@cache
def affinities(n=40):
    P = sp.random(n, n, 12 / n, "csr", random_state=0)
    P.setdiag(0)
    P = sp.csr_matrix(P + P.T, dtype=np.float32)
    P.eliminate_zeros()
    return sp.csr_matrix(P / P.sum())


class TestExact(ObjectiveContract):
    def make(self, n_threads=1, n=40):
        return KLDivergence(affinities(n), ExactRepulsion(0.7, n_threads), 2, 0.7, n_threads)


class TestTree(ObjectiveContract):
    tolerance = 2e-2

    def make(self, n_threads=1, n=40):
        return KLDivergence(affinities(n), TreeRepulsion(1, 0.2, n_threads), 2, 1.0, n_threads)


class TestMesh(ObjectiveContract):
    tolerance = 3e-2
    rounding = 1e-4

    def make(self, n_threads=1, n=40):
        repulsion = MeshRepulsion(1.0, n_threads=n_threads)
        return KLDivergence(affinities(n), repulsion, 2, 1.0, n_threads)


class TestDensity(ObjectiveContract):
    allocates = True

    def make(self, n_threads=1, n=40):
        radii = np.linspace(-1, 1, n)
        repulsion = ExactRepulsion(1.0, n_threads)
        return DensityObjective(affinities(n), repulsion, 2, 1.0, n_threads, radii, 0.3)


class TestFunction(ObjectiveContract):
    allocates = True

    def make(self, n_threads=1, n=40):
        return FunctionObjective(kl_divergence_exact, affinities(n), 2, 1.0, ACCURACY, n_threads)


class TestNewPoints(ObjectiveContract):
    n_losses = 40
    many = 100_000

    def make(self, n_threads=1, n=40):
        rng = np.random.default_rng(0)
        P = rng.random((n, 60)) * (rng.random((n, 60)) < 0.2) + np.eye(1, 60)
        P = sp.csr_matrix(P / P.sum(axis=1, keepdims=True))
        reference = np.random.default_rng(3).normal(0, 3, (60, 2)).astype(np.float32)
        field = make_field(reference, "exact", 1.0, n_threads, ACCURACY)
        return NewPointsDivergence(P, reference, field, 1.0, n_threads)


class Springs(Objective):
    """sum_ij p_ij |y_i - y_j|^2 + sum_i |y_i|^2 / n: a toy of a few lines."""

    is_translation_invariant = False

    def __init__(self, affinities, n_components, dof=1.0, n_threads=1):
        super().__init__((affinities.n_samples, n_components), n_threads)
        P = affinities.P_float32.astype(float)
        self._all = self._P = P + P.T

    def reorder(self, order):
        self._P = self._all[order][:, order]

    def gradient(self, y, exaggeration=1.0, with_error=False):
        degrees = np.asarray(self._P.sum(1)).ravel()[:, None]
        pull = degrees * y - self._P @ y
        self._gradient[...] = (exaggeration * pull + y / len(y)) / 2
        error = float((y * pull).sum() + (y**2).mean(0).sum()) if with_error else None
        return self._gradient, error


register_objective("springs", Springs)


class TestSprings(ObjectiveContract):
    allocates = True

    def make(self, n_threads=1, n=40):
        return Springs(PrecomputedAffinities(affinities(n)), 2, n_threads=n_threads)


def test_an_objective_of_a_user_runs_as_those_of_the_package(tmp_path, capsys, caplog):
    """Progress, callbacks, stopping, save and resume, in files that know nothing of it."""
    rng = np.random.default_rng(4)
    recorder, start = EmbeddingRecorder(), rng.normal(0, 1, (40, 2))
    tsne = TSNE(
        negative_gradient_method="springs",
        initialization=start,
        learning_rate=5,
        callbacks=[recorder, ProgressBar(use_tqdm=False), EarlyStopping()],
        callbacks_every_iters=5,
        n_iter=40,
        early_exaggeration_iter=20,
    )
    embedding = tsne.fit(affinities=affinities())
    assert "iteration 20/20" in capsys.readouterr().err
    assert len(recorder.frames) == 12
    assert embedding.kl_divergence < 0.1 * ((start**2).mean(0).sum())
    embedding.save(tmp_path / "springs.npz")
    loaded = TSNEEmbedding.load(tmp_path / "springs.npz")
    assert loaded.negative_gradient_method == "springs"
    np.testing.assert_array_equal(loaded.optimize(15), embedding.optimize(15))
    with caplog.at_level(logging.INFO, logger="fasttsne.optimizer"):
        automatic = embedding.optimize("auto", callbacks=None)
    assert "ended after" in caplog.text
    assert automatic.kl_divergence <= embedding.kl_divergence
    assert embedding.gradient_norm() > 0


def test_names_of_the_package_cannot_be_taken():
    with pytest.raises(ValueError, match="name must not be one of 'auto', 'bh'"):
        register_objective("fft", Springs)
    with pytest.raises(ValueError, match=r"negative_gradient_method must be one of .*'springs'"):
        TSNE(negative_gradient_method="strings").fit(np.eye(5))


def test_an_objective_that_is_not_registered_here(monkeypatch):
    """As after unpickling in another process: another objective must not take its place."""
    register_objective("forgotten", Springs)
    embedding = TSNEEmbedding(np.ones((40, 2)), affinities(), negative_gradient_method="forgotten")
    monkeypatch.delitem(_REGISTERED, "forgotten")
    with pytest.raises(ValueError, match=r"negative_gradient_method must be one of .*'forgotten'"):
        embedding.optimize(3)
