"""The golden cases: names, and functions that compute arrays which must never change.

As a program, ``python -m golden.cases FILE``, it writes the arrays of all cases to a file, at the
SIMD level that FASTTSNE_SIMD says.
"""

import contextlib
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from golden import runs
from golden.data import blobs, digits, distances, fit, neighbors, sparse_rows


@dataclass(frozen=True)
class Case:
    """One golden case.

    Attributes
    ----------
    run : computes its arrays, by name.
    close : whether maps of another machine are near to it; otherwise their KL divergences are.
    """

    run: Callable[[], dict]
    close: bool = True

    def arrays(self) -> dict[str, np.ndarray]:
        """What it computes, as arrays, with one thread of BLAS: some bits depend on how many."""
        with warnings.catch_warnings(), one_thread():
            warnings.simplefilter("ignore")
            return {name: np.asarray(value) for name, value in self.run().items()}


def one_thread():
    """A context in which BLAS has one thread, where threadpoolctl is installed."""
    try:
        import threadpoolctl
    except ImportError:
        return contextlib.nullcontext()
    return threadpoolctl.threadpool_limits(1, user_api="blas")


AUTO = {"early_exaggeration_iter": "auto", "n_iter": "auto"}
KL = {"close": False}
CASES: dict[str, Case] = {}


def add(name, run, **about):
    """Put a case into the table."""
    assert name not in CASES, name
    CASES[name] = Case(run, **about)


def add_fit(name, X=None, about=None, **params):
    """A short fit of 250 digits, or of what X makes."""
    add(name, lambda: fit(digits(250) if X is None else X(), **params), **(about or {}))


for family, given in {
    "PerplexityBasedNN": {"perplexity": 12},
    "FixedSigmaNN": {"sigma": 12.0, "k": 20},
    "Multiscale": {"perplexities": [5, 20]},
    "MultiscaleMixture": {"perplexities": [5, 20]},
    "Uniform": {"k_neighbors": 12},
}.items():
    add(f"affinity {family}", lambda n=family, p=given: runs.affinities_and_map(n, **p))
add("affinity Precomputed", lambda: fit(affinities=np.exp(-distances(150) / 40)))
add("affinity joint_probabilities_nn", runs.joint)

add("index Exact", lambda: runs.search("Exact", digits(400), new=True))
add("index Exact sparse", lambda: runs.search("Exact", sparse_rows(), new=False))
add("index Approx", lambda: runs.search("Approx", blobs(4_000, 20), new=True))
add(
    "index Approx of 230 columns",
    lambda: runs.search("Approx", blobs(3_200, 230), new=True, metric="cosine"),
)

for d in (1, 2, 3):
    add_fit(f"fit fft {d}-D", negative_gradient_method="fft", n_components=d)
add_fit("fit bh 3-D", negative_gradient_method="bh", n_components=3)
add_fit("fit fft dof=0.5", negative_gradient_method="fft", dof=0.5)
add_fit("fit bh dof=2", negative_gradient_method="bh", dof=2)
for method in ("exact", "bh", "fft"):
    add_fit(
        f"threads {method} n_jobs=2",
        lambda: blobs(1_200),
        negative_gradient_method=method,
        n_jobs=2,
        about={"close": method != "fft"},
    )
add_fit("fit of 701 rows", lambda: digits(701), perplexity=10, about=KL)
add_fit("fit precomputed distances", distances, metric="precomputed", about=KL)
add_fit("fit graph without rows", lambda: None, neighbors=neighbors(), about=KL)
add_fit("fit spectral start", initialization="spectral")
add_fit("fit density", density_weight=0.1, n_iter=40)
add_fit("fit rates", learning_rate=30, initial_momentum=0.5, final_momentum=0.9)
add_fit("fit bounds", max_grad_norm=1e-3, max_step_norm=0.5, learning_rate=200)
add_fit("fit sparse", sparse_rows)
add_fit("fit float64", lambda: digits(250).astype(np.float64) / 3)

add_fit("auto of 750 rows", lambda: blobs(750), **AUTO, about=KL)
add_fit("auto of 5500 rows", lambda: blobs(5_500, 20), **AUTO, about=KL)
add_fit("auto of 30000 rows", lambda: blobs(30_000, 4), **AUTO, about=KL, perplexity=4, tol=0.02)
add_fit("momentum auto of 750 rows", lambda: blobs(750), **AUTO, about=KL, optimizer="momentum")
add("schedule stages given", runs.staged, **KL)

for method in ("bh", "fft"):
    add(
        f"transform {method}",
        lambda m=method: runs.transformed({"negative_gradient_method": m}, {}),
    )
add(
    "transform weighted",
    lambda: runs.transformed({}, {"initialization": "weighted", "perplexity": 8, "k": 7}),
)
add("transform Approx", lambda: runs.transformed_large(4_000, metric="cosine", perplexity=5))
add("transform distances", runs.transformed_distances)

add("run continued", runs.continued)
add("run resumed from file", runs.resumed)
add("function objectives", runs.objectives)
add("start functions", runs.starts)
add("quality", runs.measured)


def main(path):
    """Write the arrays of all cases, named case|array."""
    found = {}
    for name, case in CASES.items():
        try:
            arrays = case.arrays()
        except Exception:
            arrays = {"ERROR": np.array(traceback.format_exc())}
        found |= {f"{name}|{key}": array for key, array in arrays.items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
