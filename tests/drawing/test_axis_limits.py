"""Axis limits of animations."""

import numpy as np

from fasttsne.drawing.frames import MARGIN, smoothed_axis_limits


def test_axes_are_steady(rng):
    """Extents that tremble are not followed; sizes of growing maps are; nothing is cut."""
    base = rng.uniform(-1, 1, (500, 2))
    trembling = [(1 + 0.02 * rng.normal()) * base for _ in range(60)]
    halves = np.array([half for _, _, half in smoothed_axis_limits(trembling, 12)])
    assert np.abs(np.diff(halves, axis=0)).max() < 0.02
    growing = [(1e-4 * 1.2**t * base).astype(np.float32) for t in range(60)]
    views = list(smoothed_axis_limits(growing, 12))
    assert len(views) == 60
    share = [np.abs(frame - centre).max() / half.max() for frame, centre, half in views]
    np.testing.assert_allclose(share[15:45], 1 / (1 + 2 * MARGIN), rtol=0.05)
    jumping = [base, base, 1000 * base, 1000 * base]
    for frame, centre, half in smoothed_axis_limits(jumping, 3):
        assert np.all(np.abs(frame - centre) <= half)
        assert np.all(half <= 3 * np.abs(frame).max())


def test_one_outlier_does_not_shrink_the_map(rng):
    points = rng.normal(size=(1000, 2)).astype(np.float32)
    points[7] = 1e4
    ((_, _, half),) = smoothed_axis_limits([points], 5)
    assert half.max() < 12
