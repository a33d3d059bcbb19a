"""How low the KL divergence gets: the descents side by side, against gradients and seconds.

    FASTTSNE_DATA=... python benchmarks/convergence.py [--data roll-5000 mnist-10000 ...]
        [--perplexity 5 30 100] [--methods preconditioned momentum classical] [--seeds 5]
        [--rounds 3] [--peers openTSNE sklearn fitsne] [--picture curves.png] [--maps maps.png]
    python benchmarks/convergence.py --cliffs [--data roll clusters]

All descents start from the same P and principal components.  Data are named KIND-ROWS: made.py
has the kinds.

preconditioned  the default; "tol=1e-4" the same until less of the loss is left
momentum        the automatic schedule without preconditioned steps
classical       250 + 500, 1,500 and 5,000 iterations, one run
arranged        plain steps from where preconditioned ones begin to converge

its, seconds   gradients and time of the descent, without callbacks, the median of ``--rounds``;
               with ``--n-jobs 1`` processor time, which other work on the machine disturbs little
KL             of the map, and its ratio to that of "momentum"
time, fit      ratio to "momentum" of the seconds, and of the whole fit's, P and start included
labels, order  see ``quality.py``; rank correlation of distances along the roll or line, in the map
recall         of 10, 30 and 90 neighbours

With ``--seeds`` there are so many, from 0: of the data and of the fits.  The table shows the
median over them, and below it the lowest and the highest of each column.

``--picture`` draws the divergence of each descent at every tenth iteration, from a run of its
own with callbacks.  ``--peers`` are whole fits of their own, with 90 neighbours, of which the
divergence from the same P is shown.  ``--cliffs`` is about sizes: how far fits of all defaults
are from a smooth curve, a cubic in log n.
"""

import argparse
import statistics
import tempfile
import time
from bisect import bisect_right
from pathlib import Path

import numpy as np
from curves import draw, draw_maps
from made import make
from programs import fit_in_process
from quality import label_accuracy

from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.metrics import distance_correlation, neighbor_recall
from fasttsne.optimize import schedule

ALL = (
    "digits-1797",
    "mnist-2000",
    "mnist-10000",
    "mnist-70000",
    "roll-2000",
    "roll-5000",
    "roll-20000",
    "line-2000",
    "branches-10000",
    "branches-100000",
    "clusters-10000",
    "uneven-1000000",
)
METHODS = ("momentum", "preconditioned", "tol=1e-4", "classical", "arranged")
# Iterations between two points of a curve.
EVERY = 10
# From so many edges on, the longest runs would take hours.
LONG_EDGES, MIDDLE_EDGES = 50_000_000, 10_000_000
SMALLEST, LARGEST, GROWTH = 1000, 50_000, 1.03


def clock(n_jobs):
    """What tells the time of work by so many threads."""
    return time.process_time if n_jobs == 1 else time.perf_counter


class Task:
    """What all descents of one data set share."""

    def __init__(self, name, perplexity, seed, n_jobs):
        self.name, self.perplexity, self.seed, self.n_jobs = name, perplexity, seed, n_jobs
        self.X, self.label = make(name, seed)
        self.clock = clock(n_jobs)
        begun = self.clock()
        self.affinities = PerplexityBasedNN(self.X, perplexity, n_jobs=n_jobs, random_state=seed)
        self.start = initialization.pca(self.X, random_state=seed)
        self.preparation = self.clock() - begun

    def scores(self, points):
        """Labels, order, and recall; NaN where there is no such thing."""
        order = np.issubdtype(self.label.dtype, np.floating)
        return (
            np.nan if order else label_accuracy(points, self.label.astype(np.intp)),
            distance_correlation(self.label[:, None], points) if order else np.nan,
            *(neighbor_recall(self.X, points, k) for k in (10, 30, 90)),
        )

    def divergence(self, points):
        """As all maps here are measured, for the map of another program."""
        embedding = TSNEEmbedding(points, self.affinities, n_jobs=self.n_jobs)
        return embedding.optimize(0).kl_divergence


def settings_of(method, n, longest):
    """Settings of a fit of n rows, and further iterations of the same run."""
    if method.startswith("tol="):
        return {"tol": float(method.removeprefix("tol="))}, ()
    if method == "classical":
        more = (1000, 3500)[: bisect_right((1500, 5000), longest)]
        return {"early_exaggeration_iter": 250, "n_iter": 500}, more
    if method == "arranged":
        inert = schedule.automatic_main_phase(n, 1.0)[:1]
        stages = inert + schedule.classical(longest, n, 1.0)
        return {"optimizer": "preconditioned", "n_iter": stages}, ()
    return {"optimizer": method}, ()


class Course:
    """A callback that keeps iterations and KL divergences."""

    def __init__(self):
        self.points, self.before = [], 0

    def __call__(self, iteration, error, _):
        self.points.append((self.before + iteration, error))


def descend(task, method, longest, course=None):
    """Yield iterations, seconds and embedding after the fit and after each continuation of it."""
    settings, more = settings_of(method, len(task.X), longest)
    tsne = TSNE(
        n_jobs=task.n_jobs,
        random_state=task.seed,
        callbacks=course,
        callbacks_every_iters=EVERY,
        **settings,
    )
    embedding = tsne.prepare_initial(None, task.affinities, task.start)
    seconds = 0
    parts = [tsne.plan(len(task.X)).phases] + [[n_iter] for n_iter in more]
    for part in parts:
        begun = task.clock()
        for step in part:
            if isinstance(step, int):
                embedding.optimize(step, inplace=True)
            else:
                embedding.run(step)
            if course:
                course.before = embedding.optimizer.state.iteration
        seconds += task.clock() - begun
        yield embedding.optimizer.state.iteration, seconds, embedding


def longest_classical(task):
    edges = len(task.X) * 3 * task.perplexity
    return 500 if edges > LONG_EDGES else 1500 if edges > MIDDLE_EDGES else 5000


def compare(task, options):
    """Rows of the table by method: its, seconds, KL, scores; and the maps of some."""
    longest = min(longest_classical(task), options.longest)
    figures, maps = {}, {}
    for turn in range(options.rounds):
        for name in options.methods:
            for iterations, seconds, embedding in descend(task, name, longest):
                title = f"250+{iterations - 250}" if name == "classical" else name
                if turn == 0:
                    scores = task.scores(np.asarray(embedding))
                    figures[title] = [iterations, [], embedding.kl_divergence, *scores]
                    maps[title] = np.array(embedding)
                figures[title][1].append(seconds)
    for values in figures.values():
        values[1] = statistics.median(values[1])
    return figures, maps


def compare_peers(task, options):
    """The same of whole fits by other programs, whose seconds are those of the whole fit."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "X.npy"), task.X)
        for program in options.peers:
            for iterations in options.peer_iterations:
                result, points = fit_in_process(folder, program, task.n_jobs, iterations)
                error = task.divergence(points.astype(float))
                figures[f"{program} {iterations}"] = [
                    iterations,
                    result["seconds"],
                    error,
                    *task.scores(points.astype(float)),
                ]
    return figures


def curves(task, options):
    """Iterations and divergences of each method, from runs with callbacks."""
    longest = min(longest_classical(task), options.longest)
    found = {}
    for name in options.methods:
        course = Course()
        for _ in descend(task, name, longest, course):
            pass
        found[name] = np.array(course.points).T
    return found


# Output.

HEAD = (
    f"{'data':16}{'perp':>5} {'method':16}{'its':>6}{'seconds':>9}{'KL':>9}{'KL/':>7}"
    f"{'time/':>7}{'fit/':>6}{'labels':>8}{'order':>7}{'recall':>8}"
)
FORMATS = ["6.0f", "9.2f", "9.4f", "7.3f", "7.2f", "6.2f", "8.3f", "7.3f", "8.3f", "6.3f", "6.3f"]


def rows_of(figures, preparation, peers=()):
    """Numbers of each row of the table, by method; NaN where there is no "momentum"."""
    _, base_seconds, base_error, *_ = figures.get("momentum", (np.nan, np.nan, np.nan))
    base_fit = base_seconds + preparation
    rows = {}
    for title, (iterations, seconds, error, *scores) in figures.items():
        fit = seconds + (0 if title in peers else preparation)
        descent = np.nan if title in peers else seconds / base_seconds
        ratios = error / base_error, descent, fit / base_fit
        rows[title] = np.array([iterations, seconds, error, *ratios, *scores])
    return rows


def print_row(name, perplexity, title, values):
    row = "".join(f"{value:{form}}" for value, form in zip(values, FORMATS, strict=True))
    print(f"{name:16}{perplexity:>5} {title:16}{row}".replace("nan", "   "), flush=True)


def print_table(task, of_seeds):
    """The rows of a data set: the median over the seeds, and the range where there are several."""
    for title in of_seeds[0]:
        values = np.array([rows[title] for rows in of_seeds])
        print_row(task.name, f"{task.perplexity:g}", title, np.median(values, 0))
        if len(of_seeds) > 1:
            print_row("", "", "  lowest", values.min(0))
            print_row("", "", "  highest", values.max(0))


def cliffs(options):
    """KL divergence and seconds from size to size, and how far they are from a smooth curve."""
    factors = int(np.log(LARGEST / SMALLEST) / np.log(GROWTH)) + 1
    sizes = np.unique((SMALLEST * GROWTH ** np.arange(factors)).astype(int))
    for kind in options.data:
        everything = Task(f"{kind}-{LARGEST}", 5, 0, options.n_jobs)
        for perplexity in options.perplexity:
            measured = np.array([fit_first(everything, n, perplexity, options) for n in sizes])
            smooth = [residuals(sizes, column) for column in measured.T]
            print(f"\n{kind}, perplexity {perplexity:g}")
            print(f"{'rows':>8}{'KL':>9}{'off':>8}{'seconds':>9}{'off':>8}")
            for n, (error, seconds), *off in zip(sizes, measured, *smooth, strict=True):
                print(f"{n:8}{error:9.4f}{off[0]:+8.2%}{seconds:9.3f}{off[1]:+8.1%}")
            for name, off in zip(("KL", "seconds"), smooth, strict=True):
                median, most, largest = np.quantile(np.abs(off), (0.5, 0.95, 1))
                print(
                    f"{name}: median {median:.2%}, 19 of 20 within {most:.2%}, "
                    f"at most {largest:.2%}",
                    flush=True,
                )


def fit_first(everything, n, perplexity, options):
    """KL divergence and seconds of a whole fit of the first n rows, the median of some."""
    seconds = []
    for _ in range(options.rounds):
        begun = everything.clock()
        tsne = TSNE(perplexity=perplexity, n_jobs=options.n_jobs, random_state=0)
        embedding = tsne.fit(everything.X[:n])
        seconds.append(everything.clock() - begun)
    return embedding.kl_divergence, statistics.median(seconds)


def residuals(sizes, values):
    """Each value over that of a cubic in log n through the logs of all, minus 1."""
    x, y = np.log(sizes), np.log(values)
    return np.exp(y - np.polynomial.Polynomial.fit(x, y, 3)(x)) - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", metavar="KIND-ROWS")
    parser.add_argument("--perplexity", type=float, nargs="+", default=[30])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--longest", type=int, default=5000, help="classical iterations")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers", nargs="+", default=[])
    parser.add_argument("--peer-iterations", type=int, nargs="+", default=[750, 1750])
    parser.add_argument("--picture")
    parser.add_argument("--maps")
    parser.add_argument("--cliffs", action="store_true")
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    options.data = options.data or (["roll", "clusters"] if options.cliffs else list(ALL))
    if options.cliffs:
        cliffs(options)
        return
    print(HEAD)
    drawn, mapped = [], []
    for name in options.data:
        for perplexity in options.perplexity:
            of_seeds = []
            for seed in range(options.seeds):
                task = Task(name, perplexity, seed, options.n_jobs)
                figures, maps = compare(task, options)
                peers = compare_peers(task, options) if options.peers else {}
                of_seeds.append(rows_of(figures | peers, task.preparation, peers))
            print_table(task, of_seeds)
            if options.picture:
                drawn.append((task, figures | peers, curves(task, options)))
            mapped.append((task, figures, maps))
    if options.picture:
        draw(drawn, options.picture)
    if options.maps:
        draw_maps(mapped, options.maps)


if __name__ == "__main__":
    main()
