"""Force error of the mesh and the tree against the sum over all pairs.

    python benchmarks/forces.py [--rows 10000] [--components 2]
    python benchmarks/forces.py --spacings
    python benchmarks/forces.py --maps MAP.npy ...

For maps of several spans and shapes: the root mean square of the error, over
that of the force, and the relative error of Z.  ``--spacings``: the first of them by the spacing
of the mesh in 3-D.  ``--maps``: error and time of the default and of the tree on saved maps, at
``SAMPLED`` of their points.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np

from fasttsne.repulsion import AutoRepulsion, ExactRepulsion, MeshRepulsion, TreeRepulsion
from fasttsne.repulsion import mesh as mesh_module
from fasttsne.repulsion.barnes_hut import curve_order
from fasttsne.repulsion.mesh import SPACING

# Of the table in docs/math.rst: units of the map.
SPACINGS, SIDE = (0.55, 0.6, 0.65, 0.7), 43
# Points at which forces on a saved map are compared.
SAMPLED = 300
SPANS = (2e-4, 1, 10, 100, 1000)


class Method(NamedTuple):
    name: str
    repulsion: object
    bound: float


def methods(n_threads):
    """The methods, with the error that each promises."""
    return [
        Method("auto", AutoRepulsion(n_threads=n_threads), 4e-3),
        Method("fft", MeshRepulsion(n_threads=n_threads), 1.5e-2),
        Method("fft, finer", MeshRepulsion(1, 4, 100, 0.8, n_threads), 5e-3),
        Method("bh 0.5", TreeRepulsion(theta=0.5, n_threads=n_threads), 3e-2),
        Method("bh 0.2", TreeRepulsion(theta=0.2, n_threads=n_threads), 5e-3),
    ]


def maps(rows, n_components=2, seed=0):
    """Test maps by name: every span, even, in clusters, and with a point far outside."""
    rng = np.random.default_rng(seed)
    shape = (rows, n_components)
    for span in SPANS:
        uniform = rng.uniform(-0.5, 0.5, shape)
        centres = rng.uniform(-0.45, 0.45, (20, n_components))
        clustered = centres[rng.integers(20, size=rows)] + rng.normal(0, 0.015, shape)
        outlier = clustered.copy()
        outlier[0] = 10
        for name, y in (("uniform", uniform), ("clustered", clustered), ("outlier", outlier)):
            yield f"{name}, span {span:g}", (span * y).astype(np.float32)


def relative_error(force, exact):
    """Root mean square of the error over that of the exact force."""
    return float(
        np.linalg.norm((force - exact).astype(float)) / np.linalg.norm(exact.astype(float))
    )


def print_spacings(rows, n_threads):
    """Print errors of the mesh in 3-D, of points even in a cube, by dof, order and spacing."""
    mesh_module.max_cells = lambda n, d: np.inf  # the tree would take over
    y = np.random.default_rng(0).uniform(0, SIDE, (rows, 3)).astype(np.float32)
    exact, force = np.empty_like(y), np.empty_like(y)
    print("dof, order  " + "".join(f"{spacing:10}" for spacing in SPACINGS))
    for dof in (1, 2, 10):
        ExactRepulsion(dof, n_threads)(y, exact)
        for order in (5, 6):
            line = f"{dof:3}, {order:5}  "
            for spacing in SPACINGS:
                MeshRepulsion(dof, order - 2, 50, spacing / SPACING[3], n_threads)(y, force)
                line += f"{relative_error(force, exact):10.1e}"
            print(line)


def exact_at(y, rows):
    """Exact forces on some rows."""
    forces = np.empty((len(rows), y.shape[1]))
    for k, i in enumerate(rows):
        difference = (y[i] - y).astype(float)
        q = 1 / (1 + (difference**2).sum(1))
        forces[k] = (q**2) @ difference
    return forces


def compare_on(path, n_threads, turns=9):
    """Print errors and times of the default and of the tree, in turn, on a saved map."""
    y = np.ascontiguousarray(np.load(path), np.float32)
    y = np.ascontiguousarray(y[curve_order(y)])
    rows = np.random.default_rng(0).choice(len(y), min(SAMPLED, len(y)), replace=False)
    exact, force = exact_at(y, rows), np.empty_like(y)
    candidates = {
        "auto": AutoRepulsion(n_threads=n_threads),
        "bh 0.5": TreeRepulsion(1, 0.5, n_threads),
    }
    errors, seconds = {}, {name: [] for name in candidates}
    for name, repulsion in candidates.items():
        repulsion(y, force)
        errors[name] = relative_error(force[rows], exact)
    for _ in range(turns):
        for name, repulsion in candidates.items():
            start = time.perf_counter()
            repulsion(y, force)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    texts = [f"{name} {errors[name]:.1e} {1e3 * medians[name]:.2f} ms" for name in candidates]
    print(f"{path}: {', '.join(texts)}, ratio {medians['auto'] / medians['bh 0.5']:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--components", type=int, default=2)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--spacings", action="store_true")
    parser.add_argument("--maps", nargs="+", default=[])
    options = parser.parse_args()
    for path in options.maps:
        compare_on(path, options.n_jobs)
    if options.maps:
        return
    if options.spacings:
        print_spacings(options.rows, options.n_jobs)
        return
    candidates = methods(options.n_jobs)
    print(f"{'map':26}" + "".join(f"{m.name:>22}" for m in candidates))
    worst = dict.fromkeys((m.name for m in candidates), 0.0)
    for name, y in maps(options.rows, options.components):
        exact, force = np.empty_like(y), np.empty_like(y)
        exact_z = ExactRepulsion(n_threads=options.n_jobs)(y, exact)
        line = f"{name:26}"
        for method in candidates:
            z = method.repulsion(y, force)
            error = relative_error(force, exact)
            worst[method.name] = max(worst[method.name], error)
            line += f"{error:12.1e} {z / exact_z - 1:9.1e}"
        print(line)
    print(f"{'worst':26}" + "".join(f"{worst[m.name]:12.1e}{'':10}" for m in candidates))
    print(f"{'bound':26}" + "".join(f"{m.bound:12.1e}{'':10}" for m in candidates))


if __name__ == "__main__":
    main()
