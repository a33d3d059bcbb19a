"""What each choice of the automatic descent is worth: python benchmarks/variants.py [--only TEXT]

Each variant changes a constant of the schedule or of the preconditioner and descends on the same
12 data sets (made.py), from the same P and principal components.  Shown are means over them: KL
divergence relative to the unchanged descent, the change of the 10-neighbour recall in points of a
hundred, iterations; then the ratios of KL, one by one.
"""

import argparse
from contextlib import contextmanager

import numpy as np
from convergence import Task

from fasttsne import TSNE
from fasttsne.metrics import neighbor_recall
from fasttsne.optimize import schedule, steps

DATA = (
    ("roll-2000", 30), ("roll-2000", 5), ("line-2000", 30), ("branches-2000", 30),
    ("clusters-2000", 30), ("roll-5000", 30), ("branches-5000", 5), ("clusters-5000", 30),
    ("clusters-5000", 5), ("mnist-10000", 30), ("mnist-10000", 5), ("mnist-20000", 30),
)  # fmt: skip
VARIANTS = {
    "as it is": None,
    "no arranging": (schedule, "ARRANGING_ITER", 0),
    "no inert stage": (schedule, "INERT_ITER", 0),
    "80 inert iterations": (schedule, "INERT_ITER", 80),
    "inert, learning rate 4 n": (schedule, "INERT_LEARNING_RATE", 4.0),
    "half the annealing": (schedule, "ANNEALING_ITER", 2),
    "twice the annealing": (schedule, "ANNEALING_ITER", 8),
    "tol 0.05": (schedule, "TOL", 0.05),
    "at most 1,000 converging": (schedule, "MAX_ITER", 1000),
    "20 settling iterations": (schedule, "SETTLING_ITER", 20),
    "degrees without a floor": (steps, "MIN_DEGREE", 0.0),
    "hats of few points kept": (steps, "MIN_POINTS_NEAR_NODE", 0),
    "one first product": (steps, "N_FIRST_PRODUCTS", 1),
}


@contextmanager
def changed(variant):
    """Give a constant of a module another value for a while."""
    if variant is None:
        yield
        return
    module, name, value = variant
    before = getattr(module, name)
    setattr(module, name, value)
    yield
    setattr(module, name, before)


def descend(task, variant):
    """KL divergence, recall and iterations of the automatic descent."""
    with changed(variant):
        tsne = TSNE(random_state=task.seed, n_jobs=task.n_jobs)
        embedding = tsne.fit(affinities=task.affinities, initialization=task.start)
    recall = neighbor_recall(task.X, np.asarray(embedding), 10)
    return embedding.kl_divergence, recall, embedding.optimizer.state.iteration


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="variants with this in their name")
    parser.add_argument("--n-jobs", type=int, default=-1)
    options = parser.parse_args()
    tasks = [Task(name, perplexity, 0, options.n_jobs) for name, perplexity in DATA]
    base = np.array([descend(task, None) for task in tasks])
    print(f"{'variant':26}{'KL/':>7}{'recall':>8}{'its':>6}  KL/ of", *(name for name, _ in DATA))
    for title, variant in VARIANTS.items():
        if options.only in title:
            found = np.array([descend(task, variant) for task in tasks])
            ratios = found[:, 0] / base[:, 0]
            recall = 100 * (found[:, 1] - base[:, 1]).mean()
            print(
                f"{title:26}{np.exp(np.log(ratios).mean()):7.3f}{recall:8.2f}"
                f"{found[:, 2].mean():6.0f} ",
                *(f"{ratio:.3f}" for ratio in ratios),
                flush=True,
            )


if __name__ == "__main__":
    main()
