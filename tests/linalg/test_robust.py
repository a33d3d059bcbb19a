"""Origin, size and far rows: what outliers cannot move, and what is no outlier."""

import numpy as np
import pytest
import scipy.sparse as sp

from fasttsne.datasets import load_digits
from fasttsne.linalg.robust import robust_frame, row_distances

FORMS = [np.asarray, np.asfortranarray, sp.csr_matrix]


def ordinary(name, rng):
    """Data that has no rows beyond reason."""
    shape = 20_000, 8
    one_hot = np.eye(40)[np.minimum(rng.geometric(0.2, shape[0]) - 1, 39)]
    return {
        "normal": lambda: rng.normal(size=shape),
        "cauchy": lambda: rng.standard_cauchy(shape),
        "student": lambda: rng.standard_t(0.7, shape),
        "counts": lambda: np.floor(rng.lognormal(0, 3, shape)),
        "few counts": lambda: rng.poisson(0.01, shape) * np.floor(rng.lognormal(3, 3, shape)),
        "one-hot": lambda: one_hot,
        "units": lambda: rng.normal(size=shape) * 10.0 ** np.arange(-24, 16, 5),
        "sales": lambda: np.c_[one_hot, (rng.random(20_000) < 0.1) * rng.lognormal(9, 3, 20_000)],
        "equal": lambda: np.ones(shape),
        "one differs": lambda: np.r_[np.zeros((5000, 3)), np.ones((1, 3))],
        "nearly equal": lambda: 1 + rng.integers(0, 3, shape) * 2e-16 + (rng.random(shape) > 0.999),
        "two scales": lambda: rng.normal(size=shape) * np.repeat([[1], [1e-7]], 10_000, 0) + 12,
        "time": lambda: 1.7e9 + rng.integers(0, 60, shape),
        "digits": lambda: load_digits()[0].astype(float),
        "integers": lambda: rng.integers(0, 2**53, shape).astype(float),
        "largest": lambda: rng.uniform(-1, 1, shape) * np.finfo(float).max,
        "smallest": lambda: rng.integers(0, 9, shape) * 5e-324,
        "two rows": lambda: np.array([[0.0, 0], [1e20, 1]]),
    }[name]()


NAMES = [
    "normal",
    "cauchy",
    "student",
    "counts",
    "few counts",
    "one-hot",
    "units",
    "sales",
    "equal",
    "one differs",
    "nearly equal",
    "two scales",
    "time",
    "digits",
    "integers",
    "largest",
    "smallest",
    "two rows",
]


@pytest.mark.thin(18)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_ordinary_data_has_no_far_rows(rng, name, form):
    X = ordinary(name, rng)
    with np.errstate(all="raise"):
        frame = robust_frame(form(X))
        assert len(frame.far) == 0
        np.testing.assert_array_equal(frame.clip(X), X)
    assert row_distances(X, frame.origin).max() <= frame.radius


@pytest.mark.thin(20)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [1e8, 1e12, -1e20, 1e300, np.finfo(float).max])
@pytest.mark.parametrize("entries", [np.s_[7], np.s_[7, 2], np.s_[::30], np.s_[5::40, [1, 3]]])
def test_outliers_are_found_and_move_nothing(rng, form, value, entries):
    X = rng.normal(size=(2000, 5)) + 3
    without = robust_frame(form(X))
    X[entries] = value
    rows = np.unique(np.arange(2000)[entries[0] if isinstance(entries, tuple) else entries])
    with np.errstate(all="raise"):
        frame = robust_frame(form(X))
    np.testing.assert_array_equal(frame.far, rows)
    assert frame.size == pytest.approx(without.size, rel=0.1)
    assert frame.radius <= without.radius * 1.1
    np.testing.assert_allclose(frame.origin, without.origin, atol=0.1)
    assert np.abs(frame.clip(X) - frame.origin).max() <= frame.radius * 1.001


@pytest.mark.parametrize("form", FORMS)
def test_origin_and_unit(rng, form):
    X = rng.integers(-9, 9, (4000, 6)).astype(np.float32)
    X[:, 3] = 0
    frame = robust_frame(form(X))
    assert frame.origin.dtype == np.float32
    assert (frame.origin == np.round(frame.origin)).all()
    assert frame.unit <= frame.size < 2 * frame.unit
    assert np.frexp(frame.unit)[0] == 0.5
    assert robust_frame(form(X * 2.0**100)).unit == frame.unit * 2.0**100


def test_a_bound_saves_the_pass(rng):
    X = rng.normal(size=(3000, 4))
    assert robust_frame(X, reach=100.0).radius == 100
    X[5] = 1e9
    assert list(robust_frame(X, reach=1e10).far) == [5]


def test_one_result_for_all_layouts(rng):
    X = np.round(rng.lognormal(0, 2, (3000, 30)) * (rng.random((3000, 30)) < 0.6))
    X[9, 3] = 1e15
    frames = [robust_frame(form(X)) for form in FORMS]
    for frame in frames[1:]:
        for one, other in zip(frames[0], frame, strict=True):
            np.testing.assert_array_equal(one, other)
