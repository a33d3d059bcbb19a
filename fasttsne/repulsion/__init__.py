"""The repulsive half of the gradient, by methods that share one signature.

Each is an object that is called with the points and an array for the forces and
returns Z, the sum of all pairs' similarities; it owns what can be reused from
one iteration to the next.
"""

from fasttsne.repulsion.auto import AutoRepulsion
from fasttsne.repulsion.barnes_hut import TreeRepulsion
from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.mesh.mesh import MeshRepulsion
from fasttsne.runtime.validation import check_choice

__all__ = [
    "METHODS",
    "AutoRepulsion",
    "ExactRepulsion",
    "MeshRepulsion",
    "TreeRepulsion",
    "check_method",
    "choose_method",
    "make_repulsion",
]

# What users may write, and what it means.
METHODS = {
    "auto": "auto",
    "bh": "bh", "barnes-hut": "bh", "BH": "bh",
    "fft": "fft", "interpolation": "fft", "FFT": "fft",
    "exact": "exact",
}  # fmt: skip

# Up to so many points the sum over all pairs is the fastest: measured by
# benchmarks/crossover.py.
EXACT_UP_TO = 700


def check_method(method):
    """Return a method that users may give: a name, or an objective function.

    Raises
    ------
    TypeError, ValueError
        Naming the parameter, its value and what is accepted.
    """
    return method if callable(method) else check_choice(method, "negative_gradient_method", METHODS)


def choose_method(method, n_samples: int):
    """Resolve a name to "exact", "bh", "fft", or "auto", which is either of the last two.

    A function is what it is.
    """
    if callable(method):
        return method
    method = METHODS[method]
    return "exact" if method == "auto" and n_samples <= EXACT_UP_TO else method


def make_repulsion(method: str, dof: float, n_threads: int, params: dict):
    """The repulsion of a resolved method name, with the accuracy that ``params`` ask for."""
    if method == "exact":
        return ExactRepulsion(dof, n_threads)
    tree = TreeRepulsion(dof, params["theta"], n_threads)
    if method == "bh":
        return tree
    mesh = MeshRepulsion(
        dof, params["n_interpolation_points"], params["min_num_intervals"],
        params["ints_in_interval"], n_threads,
    )  # fmt: skip
    return mesh if method == "fft" else AutoRepulsion(mesh, tree)
