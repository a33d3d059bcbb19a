"""The mesh's convolution by each FFT engine, in turns in one run.

    python benchmarks/fft.py [--shapes 1x1x4096 1x1024x1080 128x128x128] [--n-jobs 1 2]

"builtin" and "pyfftw" (extra pyfftw; left out where it is not installed) are the engines of
FASTTSNE_FFT; SciPy's transforms are for comparison.
Shapes are those of padded grids, layers x rows x columns.  "plan" is what FFTW takes to plan a
grid of a size that is new to it, "difference" that of the potential to the built-in engine's,
relative to the largest value.
"""

import argparse
import time

import numpy as np
import scipy.fft
from common import median_seconds

from fasttsne.repulsion.mesh.influence import make_influence
from fasttsne.repulsion.mesh.particle_mesh import GRIDS
from fasttsne.utils import is_package_installed


class SciPyGrid:
    """The convolution as SciPy's functions do it, which are called with zeros and all."""

    def __init__(self, shape, n_threads):
        self.shape = shape
        self.used = tuple(slice(max(size // 2, 1)) for size in shape)
        self.cells = np.zeros([part.stop for part in self.used], np.float32)

    def set_influence(self, influence):
        mirrored = [np.minimum(np.arange(m), m - np.arange(m)) for m in self.shape[:2]]
        self.modes = influence.modes[np.ix_(*mirrored)]

    def convolve(self, n_threads):
        spectrum = scipy.fft.rfftn(self.cells, self.shape, workers=n_threads)
        spectrum *= self.modes
        whole = scipy.fft.irfftn(spectrum, self.shape, norm="forward", workers=n_threads)
        energy = np.vdot(self.cells, whole[self.used])
        self.cells[...] = whole[self.used]
        return energy


def make_grid(make, shape, influence, n_threads):
    """The grid of an engine, and the seconds that it took to make."""
    start = time.perf_counter()
    grid = make(shape, n_threads)
    seconds = time.perf_counter() - start
    grid.set_influence(influence)
    return grid, seconds


def compare(shape, n_threads, turns):
    """Print the median time of a convolution by each engine, and how results differ."""
    influence = make_influence(shape, 0.4, 5, 1.0)
    engines = {**GRIDS, "scipy": SciPyGrid}
    if not is_package_installed("pyfftw"):
        del engines["pyfftw"]
    made = {name: make_grid(make, shape, influence, n_threads) for name, make in engines.items()}
    used = tuple(max(size // 2, 1) for size in shape)
    points = np.random.default_rng(0).random(used, np.float32)
    times, potentials = {name: [] for name in made}, {}
    for _ in range(turns):
        for name, (grid, _) in made.items():
            cells = grid.cells[..., : used[2]]

            def convolve(grid=grid, cells=cells):
                cells[...] = points
                grid.convolve(n_threads)

            times[name].append(median_seconds(convolve, 5))
            potentials[name] = cells.copy()
    own = np.median(times["builtin"])
    for name, (_, seconds) in made.items():
        median = np.median(times[name])
        difference = abs(potentials[name] - potentials["builtin"]).max()
        print(
            f"{' x '.join(map(str, shape)):16} {n_threads:7} {name:8} {1e3 * median:9.3f} "
            f"{median / own:6.2f} {seconds if name == 'pyfftw' else 0:7.2f} "
            f"{difference / abs(potentials['builtin']).max():10.1e}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["1x1x4096", "1x1024x1080", "128x128x128"])
    parser.add_argument("--n-jobs", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    print(f"{'grid':16} {'threads':>7} engine   {'ms':>9} {'ratio':>6} {'plan, s':>7} difference")
    for shape in options.shapes:
        for n_threads in options.n_jobs:
            compare(tuple(int(size) for size in shape.split("x")), n_threads, options.turns)


if __name__ == "__main__":
    main()
