"""The repulsive half of the gradient, by one of three methods with one signature.

Each is an object that is called with the points and an array for the forces and
returns Z, the sum of all pairs' similarities; it owns what can be reused from
one iteration to the next.
"""

from fasttsne.repulsion.exact import ExactRepulsion
from fasttsne.repulsion.mesh import MeshRepulsion
from fasttsne.repulsion.tree import TreeRepulsion

__all__ = ["ExactRepulsion", "METHODS", "MeshRepulsion", "TreeRepulsion", "choose_method"]

# What users may write, and what it means.
METHODS = {
    "auto": "auto",
    "bh": "bh", "barnes-hut": "bh",
    "fft": "fft", "interpolation": "fft",
    "exact": "exact",
}  # fmt: skip

# Up to so many points the sum over all pairs, then the tree is the fastest:
# measured by benchmarks/crossover.py.
EXACT_UP_TO = 1000
TREE_UP_TO = 12_000


def choose_method(method: str, n_samples: int, n_components: int) -> str:
    """Resolve a name to "bh", "fft" or "exact".

    Raises
    ------
    ValueError
        Where the method does not exist in so many dimensions.
    """
    method = METHODS[method]
    if method == "auto":
        if n_samples <= EXACT_UP_TO:
            return "exact"
        return "fft" if n_components <= 2 and n_samples > TREE_UP_TO else "bh"
    if method == "fft" and n_components > 2:
        raise ValueError(
            "negative_gradient_method='fft' works in one and two dimensions; "
            f"got n_components={n_components}"
        )
    return method
