"""pyFFTW's engine against the built-in one, and FASTTSNE_FFT; the first need pyFFTW."""

import numpy as np
import pytest
from helpers.quick import run_python

from fasttsne._kernels import reference
from fasttsne.repulsion import MeshRepulsion
from fasttsne.repulsion.mesh.grid import FFTWGrid
from fasttsne.repulsion.mesh.influence import make_influence

FIT = """
import fasttsne
from fasttsne.datasets import load_digits
fasttsne.show_config()
X = load_digits()[0][:500]
settings = {"early_exaggeration_iter": 10, "n_iter": 10, "random_state": 0, "n_jobs": 1}
print(fasttsne.TSNE(negative_gradient_method="fft", **settings).fit(X).kl_divergence)
"""


@pytest.fixture
def pyfftw():
    return pytest.importorskip("pyfftw")


def clusters(rng, n, d, span):
    centers = rng.uniform(-0.5, 0.5, (20, d))[rng.integers(20, size=n)]
    return (span * (centers + rng.normal(0, 0.015, (n, d)))).astype(np.float32)


def difference(y):
    """The relative difference of the engines' forces, root mean square, and that of Z."""
    forces, zs = np.empty((2, *y.shape), np.float32), []
    for engine, out in zip(("builtin", "pyfftw"), forces, strict=True):
        repulsion = MeshRepulsion(engine=engine)
        zs.append(repulsion(y, out))
        assert repulsion.last_method == "fft"
    return np.linalg.norm(forces[1] - forces[0]) / np.linalg.norm(forces[0]), zs[1] / zs[0] - 1


@pytest.mark.parametrize(("d", "n", "span"), [(1, 2000, 50), (2, 2000, 50), (3, 20_000, 20)])
def test_forces_are_those_of_the_built_in_engine(pyfftw, rng, d, n, span):
    force, z = difference(clusters(rng, n, d, span))
    assert 0 < force < 1e-6
    assert abs(z) < 1e-6


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("span", [0.085, 1])
def test_on_small_maps(pyfftw, rng, d, span):
    """As near as single precision: the built-in engine itself is so far from double precision."""
    force, z = difference((span * rng.uniform(size=(8000, d))).astype(np.float32))
    assert force < 1e-5
    assert abs(z) < 1e-6


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1, 96), (1, 48, 96), (48, 60, 64)])
def test_convolve_equals_reference(pyfftw, rng, shape, n_threads):
    influence = make_influence(shape, 0.4, 5, 1.0)
    grid = FFTWGrid(shape, n_threads)
    grid.set_influence(influence)
    used = tuple(slice(max(m // 2, 1)) for m in shape)
    for _ in range(2):  # what the first leaves in the padding must not come back
        density = np.zeros(shape)
        density[used] = rng.random(density[used].shape)
        grid.cells[..., : shape[2] // 2] = density[used]
        energy = grid.convolve(n_threads)
        potential, expected = reference.convolve(density, influence.modes.astype(float))
        tolerance = 1e-6 * abs(potential).max()
        np.testing.assert_allclose(
            grid.cells[..., : shape[2] // 2], potential[used], atol=tolerance
        )
        assert energy == pytest.approx(expected, rel=1e-5)


def test_a_size_is_planned_once(pyfftw):
    """FFTW remembers what it measured: the second grid adds nothing, and has the same plans."""
    pyfftw.forget_wisdom()
    first = FFTWGrid((1, 120, 144), 1)
    wisdom = pyfftw.export_wisdom()
    second = FFTWGrid((1, 120, 144), 1)
    assert pyfftw.export_wisdom() == wisdom
    cells = np.random.default_rng(0).random(first.cells.shape, np.float32)
    for grid in (first, second):
        grid.set_influence(make_influence((1, 120, 144), 0.4, 5, 1.0))
        grid.cells[...] = cells
    assert first.convolve(1) == second.convolve(1)
    np.testing.assert_array_equal(first.cells, second.cells)


def test_environment_chooses_the_engine(pyfftw):
    fits = [run_python("-c", FIT, FASTTSNE_FFT=name) for name in ("builtin", "pyfftw")]
    for fit, shown in zip(fits, ("built in", f"pyFFTW {pyfftw.__version__}"), strict=True):
        assert f"FFT backend  {shown}\n" in fit.stdout, fit.stderr
    kl = [float(fit.stdout.split()[-1]) for fit in fits]
    assert kl[1] == pytest.approx(kl[0], rel=1e-3)


@pytest.mark.thin(1)
@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        ("mkl", "", "FASTTSNE_FFT='mkl': expected one of builtin, pyfftw"),
        (
            "pyfftw",
            "import sys; sys.modules['pyfftw'] = None; ",
            "FASTTSNE_FFT=pyfftw needs the package 'pyfftw': pip install 'fasttsne[pyfftw]'",
        ),
    ],
    ids=["unknown", "missing"],
)
def test_an_engine_that_is_not_there_is_refused(value, code, message):
    result = run_python("-c", f"{code}import fasttsne", FASTTSNE_FFT=value)
    assert f"ImportError: {message}" in result.stderr
