import numpy as np
import pytest

from fasttsne import _kernels
from fasttsne.repulsion.mesh.grid import fft_plan, padded_size, transform_sizes

# Each radix alone after the first, and together; 1,080 has all of them.
LENGTHS = (4, 8, 12, 16, 20, 36, 48, 100, 128, 180, 1024, 1080)


def grid_of(rng, layers, rows, length):
    """Cells with values in the first half of the padded length, and room for its spectrum."""
    cells = np.zeros((layers, rows, length // 2 + 8), np.float32)
    cells[..., : length // 2] = rng.normal(size=(layers, rows, length // 2))
    blocks = -(-(length // 2 + 1) // 8)
    spectrum = np.full((layers, rows, 16 * blocks), np.nan, np.float32)
    return cells, spectrum


def as_complex(spectrum, length):
    """The kernel's elements, eight real parts and eight imaginary ones, as complex numbers."""
    parts = spectrum.reshape(*spectrum.shape[:2], -1, 2, 8)
    modes = (parts[..., 0, :] + 1j * parts[..., 1, :]).reshape(*spectrum.shape[:2], -1)
    return modes[..., : length // 2 + 1], modes[..., length // 2 + 1 :]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("rows", [1, 16, 21])
def test_rows_equal_numpy(kernel, rng, length, rows):
    cells, spectrum = grid_of(rng, 2, rows, length)
    work = np.full((2, _kernels.row_fft.work_size(length)), np.nan, np.float32)
    before = cells.copy()
    kernel("row_fft").transform_rows(cells, spectrum, fft_plan(length), work, False, 2)
    np.testing.assert_array_equal(cells, before)
    modes, beyond = as_complex(spectrum, length)
    half = cells[..., : length // 2].astype(float)
    np.testing.assert_allclose(modes, np.fft.rfft(half, length), atol=3e-6 * length**0.5)
    assert not beyond.any()

    kernel("row_fft").transform_rows(cells, spectrum, fft_plan(length), work, True, 2)
    back = cells[..., : length // 2] / length
    np.testing.assert_allclose(back, before[..., : length // 2], atol=1e-6)


@pytest.mark.parametrize("length", [9, 10, 28, 6])
def test_other_lengths_are_refused(length):
    with pytest.raises(
        ValueError, match=f"length must be 4 times factors 2, 3 and 5; got {length}"
    ):
        fft_plan(length)


@pytest.mark.parametrize("is_3d", [False, True])
def test_every_size_of_a_grid_can_be_transformed(is_3d):
    for size in transform_sizes(is_3d)[:60]:
        assert np.prod(fft_plan(size).radices) == size
        assert padded_size(size, is_3d) == size


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_do_not_change_bits(kernel, rng, n_threads):
    results = []
    cells, spectrum = grid_of(rng, 1, 100, 180)
    for threads in (1, n_threads):
        copy, out = cells.copy(), spectrum.copy()
        work = np.zeros((threads, _kernels.row_fft.work_size(180)), np.float32)
        kernel("row_fft").transform_rows(copy, out, fft_plan(180), work, False, threads)
        results.append(out.tobytes())
        kernel("row_fft").transform_rows(copy, out, fft_plan(180), work, True, threads)
        results[-1] += copy.tobytes()
    assert results[0] == results[1]
