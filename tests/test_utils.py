import numpy as np
import pytest

from fasttsne import utils


@pytest.mark.parametrize("d", [2, 3])
def test_points_outside_the_disc_move_to_its_edge(rng, d):
    points = rng.normal(0, 2, (100, d))
    before = points.copy()
    clipped, outside = utils.clip_point_to_disc(points, 3.0)
    np.testing.assert_array_equal(points, before)
    distances = np.linalg.norm(points, axis=1)
    np.testing.assert_array_equal(outside, distances > 3)
    assert 0 < outside.sum() < 100
    np.testing.assert_array_equal(clipped[~outside], points[~outside])
    np.testing.assert_allclose(clipped[outside], points[outside] * 3 / distances[outside, None])
    result, _ = utils.clip_point_to_disc(points, 3.0, inplace=True)
    assert result is points
    np.testing.assert_array_equal(points, clipped)


def test_is_package_installed():
    assert utils.is_package_installed("numpy")
    assert utils.is_package_installed("numpy.linalg")
    assert not utils.is_package_installed("no_such_package")
    assert not utils.is_package_installed("no_such_package.at_all")


def test_timer(caplog):
    with caplog.at_level("INFO", "fasttsne"), utils.Timer("counting sheep") as timer:
        assert timer.seconds is None
    assert timer.seconds >= 0
    assert "counting sheep took" in caplog.text
