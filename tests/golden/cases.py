"""The golden cases: names, and functions that compute arrays which must never change.

As a program, ``python -m golden.cases FILE``, it writes the arrays of all cases to a file, at the
SIMD level that FASTTSNE_SIMD says.
"""

import contextlib
import copy
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from fasttsne import affinity
from fasttsne.callbacks import EarlyStopping
from golden import runs
from golden.data import blobs, digits, distances, fit, neighbors, of_affinities, places, sparse_rows


@dataclass(frozen=True)
class Case:
    """One golden case.

    Attributes
    ----------
    run : computes its arrays, by name.
    needs : packages without which it is skipped.
    close : whether maps of another machine are near to it; otherwise their KL divergences are.
    """

    run: Callable[[], dict]
    needs: tuple[str, ...] = ()
    close: bool = True

    def arrays(self) -> dict[str, np.ndarray]:
        """What it computes, as arrays, with one thread of BLAS: some bits depend on how many."""
        with warnings.catch_warnings(), one_thread():
            warnings.simplefilter("ignore")
            return {name: np.asarray(value) for name, value in self.run().items()}

    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]


def one_thread():
    """A context in which BLAS has one thread, where threadpoolctl is installed."""
    try:
        import threadpoolctl
    except ImportError:
        return contextlib.nullcontext()
    return threadpoolctl.threadpool_limits(1, user_api="blas")


AUTO = {"early_exaggeration_iter": "auto", "n_iter": "auto"}
KL = {"close": False}
SKLEARN = {"needs": ("sklearn",)}
CASES: dict[str, Case] = {}


def add(name, run, **about):
    """Put a case into the table."""
    assert name not in CASES, name
    CASES[name] = Case(run, **about)


def add_fit(name, X=None, about=None, **params):
    """A short fit of 250 digits, or of what X makes."""
    add(name, lambda: fit(digits(250) if X is None else X(), **params), **(about or {}))


FAMILIES = {
    "PerplexityBasedNN": {"perplexity": 12},
    "FixedSigmaNN": {"sigma": 12.0, "k": 20},
    "Multiscale": {"perplexities": [5, 20]},
    "MultiscaleMixture": {"perplexities": [5, 20]},
    "Uniform": {"k_neighbors": 12},
}
for family, given in FAMILIES.items():
    add(f"affinity {family}", lambda n=family, p=given: runs.affinities_and_map(n, **p))
    for mode in ("mean", "max", "none"):
        add(
            f"affinity {family} symmetrize={mode}",
            lambda n=family, p=given, m=mode: runs.affinities(n, symmetrize=m, **p),
        )
add("affinity set again", runs.set_again)
add("affinity Precomputed", lambda: fit(affinities=np.exp(-distances(150) / 40)))
add(
    "affinity Precomputed not normalized",
    lambda: of_affinities(
        affinity.PrecomputedAffinities(np.exp(-distances(150) / 40), normalize=False)
    ),
)
add("affinity joint_probabilities_nn", runs.joint)

add("index Exact", lambda: runs.search("Exact", digits(400), new=True))
add("index Exact sparse", lambda: runs.search("Exact", sparse_rows(), new=False))
for metric in (
    "sqeuclidean",
    "cosine",
    "correlation",
    "cityblock",
    "canberra",
    "mahalanobis",
    "jaccard",
):
    columns = slice(20, 30) if metric == "mahalanobis" else slice(None)
    add(
        f"index Exact {metric}",
        lambda m=metric, c=columns: runs.search("Exact", digits()[:, c], metric=m),
    )
add("index Exact callable", lambda: runs.search("Exact", digits(120), metric=runs.manhattan))
add("index Approx", lambda: runs.search("Approx", blobs(4_000, 20), new=True))
add("index Approx of 120 columns", lambda: runs.search("Approx", blobs(3_200, 120)))
add(
    "index Approx of 230 columns",
    lambda: runs.search("Approx", blobs(3_200, 230), new=True, metric="cosine"),
)
add(
    "index Approx recall",
    lambda: runs.search("Approx", blobs(3_500, 8), k=30, n_jobs=2, knn_kwargs={"recall": 0.99}),
)
add("index PrecomputedNeighbors", lambda: runs.given("PrecomputedNeighbors", *neighbors()))
add(
    "index PrecomputedDistanceMatrix",
    lambda: runs.given("PrecomputedDistanceMatrix", distances(), 12, new=distances()[:5]),
)
# With two threads its neighbours at equal distances come in any order.
add("index Sklearn", lambda: runs.search("Sklearn", digits(), new=True, n_jobs=1), **SKLEARN)
add("index Annoy", lambda: runs.search("Annoy", digits(), new=True), needs=("annoy",))
add("index Faiss", lambda: runs.search("Faiss", digits(), new=True), needs=("faiss",))

for method in ("exact", "bh", "fft"):
    for d in (1, 2, 3):
        add_fit(f"fit {method} {d}-D", negative_gradient_method=method, n_components=d)
    for dof in (0.5, 2):
        add_fit(f"fit {method} dof={dof}", negative_gradient_method=method, dof=dof)
    for n_jobs in (1, 2):
        add_fit(
            f"threads {method} n_jobs={n_jobs}",
            lambda: blobs(1_200),
            negative_gradient_method=method,
            n_jobs=n_jobs,
            about={"close": method != "fft"},
        )
for n in (5, 30, 699, 700, 701):
    add_fit(
        f"fit of {n} rows",
        lambda n=n: digits(n),
        perplexity=min(10, n / 4),
        about={"close": n <= 700},
    )
add_fit("fit auto method", lambda: blobs(1_500), n_iter=60, about=KL)
add_fit("fit accuracy of tree", negative_gradient_method="bh", theta=0.2)
add_fit(
    "fit accuracy of mesh",
    negative_gradient_method="fft",
    n_interpolation_points=2,
    min_num_intervals=20,
    ints_in_interval=1.5,
)
add_fit("fit function", negative_gradient_method=runs.student)
for metric in ("cosine", "correlation", "cityblock", "sqeuclidean"):
    add_fit(f"fit {metric}", metric=metric)
add_fit("fit callable metric", lambda: digits(100), metric=runs.manhattan)
add_fit("fit precomputed distances", distances, metric="precomputed", about=KL)
add_fit("fit graph", lambda: digits(200), neighbors=neighbors())
add_fit("fit graph without rows", lambda: None, neighbors=neighbors(), about=KL)
add_fit("fit sklearn's neighbours", neighbors="sklearn", about=SKLEARN)
for start in ("spectral", "random"):
    add_fit(f"fit {start} start", initialization=start)
add_fit("fit given start", initialization=places(250))
add_fit("fit exaggeration", exaggeration=3, early_exaggeration=20)
add_fit("fit density", density_weight=0.1, n_iter=40)
add_fit("fit rates", learning_rate=30, initial_momentum=0.5, final_momentum=0.9)
add_fit("fit bounds", max_grad_norm=1e-3, max_step_norm=0.5, learning_rate=200)
add_fit("fit no bounds", max_step_norm=None)
add_fit("fit several perplexities", perplexity=[5, 20])
add_fit("fit sparse", sparse_rows)
add_fit("fit float64", lambda: digits(250).astype(np.float64) / 3)
add_fit("fit integers", lambda: digits(250).astype(np.int64))
add_fit("fit duplicates", lambda: digits(60)[np.arange(240) % 60])
add(
    "fit RandomState",
    lambda: fit(digits(250), random_state=np.random.RandomState(7), initialization="random"),
)
add("fit Generator", lambda: fit(blobs(300, 230), random_state=np.random.default_rng(7)))

add_fit("auto of 150 rows", lambda: digits(150), **AUTO, about=KL)
add_fit("auto of 750 rows", lambda: blobs(750), **AUTO, about=KL)
add_fit("auto of 5500 rows", lambda: blobs(5_500, 20), **AUTO, about=KL)
add_fit("auto of 20000 rows", lambda: blobs(20_000, 20), **AUTO, about=KL)
add_fit("auto of 30000 rows", lambda: blobs(30_000, 4), **AUTO, about=KL, perplexity=4, tol=0.02)
add_fit("momentum auto of 750 rows", lambda: blobs(750), **AUTO, about=KL, optimizer="momentum")
add_fit(
    "momentum auto of 5500 rows", lambda: blobs(5_500, 20), **AUTO, about=KL, optimizer="momentum"
)
add_fit("auto with density", density_weight=0.2, **AUTO, about=KL)
add_fit("auto with tol and exaggeration", tol=1e-3, exaggeration=2, **AUTO, about=KL)
add_fit("classical 750", n_iter=500, early_exaggeration_iter=250, about=KL)
add("schedule stages given", runs.staged, **KL)
add_fit(
    "schedule stages of fit",
    early_exaggeration_iter=runs.STAGES[:2],
    n_iter=runs.STAGES[2:],
    about=KL,
)

for method in ("exact", "bh", "fft"):
    add(
        f"transform {method}",
        lambda m=method: runs.transformed({"negative_gradient_method": m}, {}),
    )
for start in ("median", "weighted", "random"):
    add(
        f"transform {start}",
        lambda s=start: runs.transformed({}, {"initialization": s, "perplexity": 8, "k": 7}),
    )
add(
    "transform 3-D",
    lambda: runs.transformed({"n_components": 3, "negative_gradient_method": "fft"}, {}),
)
add(
    "transform phases",
    lambda: runs.transformed(
        {"dof": 0.7}, {"early_exaggeration_iter": 10, "learning_rate": "auto", "max_step_norm": 0.2}
    ),
)
add("transform several perplexities", lambda: runs.transformed({"perplexity": [5, 20]}, {}))
add("transform prepared", runs.prepared)
add("transform auto of 1500 rows", lambda: runs.transformed_large(1_500))
add("transform Approx", lambda: runs.transformed_large(4_000, metric="cosine", perplexity=5))
add("transform Uniform", lambda: runs.transformed_by(affinity.Uniform))
add("transform FixedSigmaNN", lambda: runs.transformed_by(lambda X: affinity.FixedSigmaNN(X, 12.0)))
add("transform distances", runs.transformed_distances)

add("run continued", runs.continued)
add("run resumed from file", lambda: runs.resumed(runs.by_file))
add("run resumed from pickle", lambda: runs.resumed(lambda e: pickle.loads(pickle.dumps(e))))
add("run resumed from copy", lambda: runs.resumed(copy.deepcopy))
add("run stopped", runs.stopped)
add("run reported each iteration", runs.reported)
add_fit("run changed by a callback", callbacks=runs.Shrink(), callbacks_every_iters=7)
add_fit(
    "run stopped early",
    callbacks=EarlyStopping(0.01, 2),
    callbacks_every_iters=5,
    n_iter=300,
    about=KL,
)
add("function optimizer", runs.called)
add("function optimizer with bounds", lambda: runs.called(max_grad_norm=0.01, dof=2, theta=0.3))
add("function optimizer of an embedding", runs.called_by_embedding)
add("function objectives", runs.objectives)
add("start functions", runs.starts)
add("quality", runs.measured)
add("scanpy", runs.annotated)
add("sklearn estimator", runs.estimated, **SKLEARN)
add("name of 2018", runs.of_2018)


def main(path):
    """Write the arrays of all cases that can be computed, named case|array."""
    found = {}
    for name, case in CASES.items():
        if not case.missing():
            try:
                arrays = case.arrays()
            except Exception:
                arrays = {"ERROR": np.array(traceback.format_exc())}
            found |= {f"{name}|{key}": array for key, array in arrays.items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
