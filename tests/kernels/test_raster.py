"""Discs, shades and palettes against the reference implementations."""

import numpy as np
import pytest

from fasttsne._kernels import raster, reference

TABLE = np.array([[255, 0, 0, 1], [0, 128, 255, 1]], np.float32)


@pytest.fixture
def background(rng):
    return rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)


@pytest.mark.parametrize("radius", [0.5, 0.6, 1.7, 6.0])
def test_splat_and_shade_equal_reference(rng, background, radius):
    points = rng.normal(size=(200, 2)).astype(np.float32)
    codes = rng.integers(0, 2, 200, dtype=np.int32)
    place = 6.5, 15.25, 12.5, radius
    fast, slow = np.zeros((2, 24, 31, 4), np.float32)
    raster.splat(points, codes, TABLE, *place, fast)
    reference.splat(points, codes, TABLE, *place, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=2e-2)
    pictures = np.zeros((2, 24, 31, 3), np.uint8)
    raster.shade(fast.copy(), background, 0.6, pictures[0])
    reference.shade(fast, background, 0.6, pictures[1])
    assert np.abs(np.diff(pictures.astype(int), axis=0)).max() <= 1


def test_a_disc_has_its_area_wherever_it_is(rng):
    for x, y in rng.uniform(8, 16, (20, 2)):
        sums = np.zeros((24, 24, 4), np.float32)
        point = np.array([[x, -y]], np.float32)
        raster.splat(point, np.zeros(1, np.int32), TABLE, 1, 0, 0, 3.0, sums)
        np.testing.assert_allclose(sums[:, :, 3].sum(), np.pi * 9, rtol=0.03)
        np.testing.assert_array_equal(sums[:, :, 0], 255 * sums[:, :, 3])


def test_points_outside_and_not_finite_leave_no_trace():
    far = [[-9, 0], [99, -5], [5, 9], [5, -99], [np.nan, 0], [0, np.inf], [1e30, -1e30]]
    sums = np.zeros((10, 10, 4), np.float32)
    raster.splat(np.array(far, np.float32), np.zeros(len(far), np.int32), TABLE, 1, 0, 0, 2.0, sums)
    assert not sums.any()


def test_half_a_disc_at_the_border():
    sums = np.zeros((10, 10, 4), np.float32)
    raster.splat(np.zeros((1, 2), np.float32), np.zeros(1, np.int32), TABLE, 1, 0, 5, 2.0, sums)
    assert sums[:, 0, 3].any()
    assert not sums[:, 3:].any()


def test_shade_clears_the_sums_and_keeps_the_background(background):
    sums = np.zeros((24, 31, 4), np.float32)
    sums[3, 4] = 2 * TABLE[0]
    picture = np.empty_like(background)
    raster.shade(sums, background, 0.999, picture)
    assert not sums.any()
    np.testing.assert_array_equal(picture[3, 4], [255, 0, 0])
    picture[3, 4] = background[3, 4]
    np.testing.assert_array_equal(picture, background)


def test_shade_takes_a_part_of_a_picture(background):
    sums = np.ones((10, 12, 4), np.float32)
    picture = background.copy()
    inside = np.s_[5:15, 7:19]
    raster.shade(sums, background[inside], 0.5, picture[inside])
    assert np.all(picture[inside] == np.floor(0.5 * background[inside] + 1.0))
    picture[inside] = background[inside]
    np.testing.assert_array_equal(picture, background)


def test_look_up_equals_reference(rng, background):
    table = rng.integers(0, 256, (32, 32, 32), dtype=np.uint8)
    fast, slow = np.empty((2, 24, 31), np.uint8)
    raster.look_up(background, table, fast)
    reference.look_up(background, table, slow)
    np.testing.assert_array_equal(fast, slow)
