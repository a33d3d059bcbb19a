"""Every entry point, run in threads and in processes at once; as a program, one scenario.

    python -m helpers.entry_points SCENARIO

prints what differs from the bits that an entry point gives alone, and "done" at the end.
"""

import contextlib
import functools
import hashlib
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import fasttsne
from fasttsne import TSNE, AlignedTSNE, Anchors, TSNEEmbedding, affinity, initialization, metrics
from fasttsne.callbacks import ScoreRecorder
from fasttsne.datasets import load_digits

say = functools.partial(print, flush=True)
# Rows of the data; more where memory is to end.
N = int(os.environ.get("FASTTSNE_ROWS", 240))


def make_rows(n):
    """Images of digits and their classes, and again with noise for more than there are."""
    images, labels = load_digits()
    again = -(-n // len(images))
    noise = np.random.default_rng(0).normal(size=(n, 64)) * (again > 1)
    return np.tile(images, (again, 1))[:n] + noise, np.tile(labels, again)[:n]


X, LABELS = make_rows(N)
NEW = load_digits()[0][240:260]
FIT = {"perplexity": 8, "early_exaggeration_iter": 15, "n_iter": 25, "random_state": 0, "n_jobs": 2}
# Seconds after which a child hangs.
MAX_SECONDS = 400


def bits(*results):
    """A hash of arrays and numbers."""
    digest = hashlib.sha256()
    for result in results:
        digest.update(np.ascontiguousarray(result).tobytes())
    return digest.hexdigest()


def make_map():
    return TSNE(**FIT).fit(X)


def saved(old):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.npz"
        old.save(path, keep="rows")
        return TSNEEmbedding.load(path).update(NEW, n_iter=5)


def resumed():
    with tempfile.TemporaryDirectory() as folder:
        return TSNE(**FIT, checkpoint=Path(folder) / "run.npz").fit(X)


def recorded():
    recorder = ScoreRecorder(X, ["neighbor_recall"])
    TSNE(**FIT, callbacks=recorder, callbacks_every_iters=10).fit(X)
    return recorder.scores["neighbor_recall"]


def affinities():
    return affinity.MultiscaleMixture(X, [5, 20], n_jobs=2, random_state=0)


def reported(old):
    scores = fasttsne.report(X, old, labels=LABELS, n_jobs=2).scores
    return [float(scores[name]) for name in sorted(scores)]


def compared(old):
    found = fasttsne.compare({"a": old, "b": np.array(old)[:, ::-1]}, X, n_jobs=2).scores
    return [float(found[score][name]) for score in sorted(found) for name in sorted(found[score])]


ENTRY_POINTS = {
    "fit, mesh": lambda old: bits(TSNE(**FIT, negative_gradient_method="fft").fit(X)),
    "fit, tree": lambda old: bits(TSNE(**FIT, negative_gradient_method="bh").fit(X)),
    "fit, all pairs": lambda old: bits(TSNE(**FIT, negative_gradient_method="exact").fit(X)),
    "fit, automatic": lambda old: bits(TSNE(random_state=0, n_jobs=2).fit(X)),
    "fit, approximate": lambda old: bits(TSNE(**FIT, neighbors="approx").fit(X)),
    "fit, density": lambda old: bits(TSNE(**FIT, density_weight=0.1).fit(X)),
    "fit, global structure": lambda old: bits(TSNE(**FIT, global_structure=0.2).fit(X)),
    "fit, anchors": lambda old: bits(TSNE(**FIT).fit(X, anchors=Anchors(np.array(old), 0.1))),
    "fit, checkpoint": lambda old: bits(resumed()),
    "fit, scores": lambda old: bits(recorded()),
    "optimize": lambda old: bits(old.optimize(10)),
    "transform": lambda old: bits(old.transform(NEW, n_iter=10)),
    "update": lambda old: bits(old.update(NEW, n_iter=10)),
    "update, held": lambda old: bits(old.update(NEW, n_iter=10, hold=0.1)),
    "drop": lambda old: bits(old.drop([3, 5]).optimize(5)),
    "aligned": lambda old: bits(*AlignedTSNE(**FIT).fit([X, X[:200]])),
    "report": lambda old: bits(reported(old)),
    "compare": lambda old: bits(compared(old)),
    "leave-one-out": lambda old: bits(metrics.loo_scores(old).perturbation),
    "rank curves": lambda old: bits(metrics.rank_curves(X, old, n_jobs=2).r_nx),
    "stability": lambda old: bits(metrics.stability([old, np.array(old)[:, ::-1]]).overlap),
    "save and load": lambda old: bits(saved(old)),
    "affinities": lambda old: bits(affinities().P.data),
    "spectral": lambda old: bits(initialization.spectral(old.affinities.P, random_state=0)),
    "pickle": lambda old: bits(pickle.loads(pickle.dumps(old)).optimize(5)),
}


def run(name):
    """The bits of one entry point, with a map of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return name, ENTRY_POINTS[name](make_map())


def run_all(names=tuple(ENTRY_POINTS)):
    return dict(map(run, names))


def differ(expected, found, where):
    """Print which bits are others."""
    for name, value in found.items():
        if value != expected[name]:
            say(f"{name}: other bits {where}")


def in_threads(expected):
    """Each entry point beside itself and beside each of some others."""
    names = list(ENTRY_POINTS)
    with ThreadPoolExecutor(2) as pool:
        for shift in (0, 1, 7):
            pairs = [n for i, name in enumerate(names) for n in (name, names[i - shift])]
            for name, value in pool.map(run, pairs):
                differ(expected, {name: value}, "in threads")


def on_one_map(expected):
    """Two threads use the same map, which neither changes."""
    old = make_map()
    names = [name for name in ENTRY_POINTS if not name.startswith("fit")]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda name: ENTRY_POINTS[name](old), [n for n in names for _ in "ab"])
        for name, value in zip([n for n in names for _ in "ab"], found, strict=True):
            differ(expected, {name: value}, "in threads on one map")


def in_pool(expected, how):
    with multiprocessing.get_context(how).Pool(2) as pool:
        for name, value in pool.imap(run, ENTRY_POINTS):
            differ(expected, {name: value}, f"in a process, {how}")


def in_child(expected, where):
    """Fork by hand; the child runs everything."""
    process = os.fork()
    if process == 0:
        signal.alarm(MAX_SECONDS)  # ends it
        differ(expected, run_all(), where)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if status:
        say(f"a child ended with status {status} {where}")


def forked_in_thread(expected):
    """A thread forks while the main thread computes, and computes itself afterwards."""
    with ThreadPoolExecutor(1) as pool:
        forked = pool.submit(in_child, expected, "forked in a thread")
        while not forked.done():
            differ(expected, run_all(("fit, mesh", "transform", "report")), "beside a fork")
        forked.result()
        differ(expected, dict([pool.submit(run, "fit, tree").result()]), "after a fork")


def forked_within_callbacks(expected):
    """A fork in the middle of a fit; the child ends the fit, and does others."""
    found = []

    def fork(iteration, error, embedding):
        if not found:
            found.append(os.fork())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = bits(
            TSNE(
                **FIT, callbacks=fork, callbacks_every_iters=10, negative_gradient_method="fft"
            ).fit(X)
        )
    differ(expected, {"fit, mesh": value}, "with a fork in a callback")
    if found == [0]:
        signal.alarm(MAX_SECONDS)
        differ(expected, run_all(("fit, tree", "update", "aligned")), "in a child of a callback")
        os._exit(0)
    _, status = os.waitpid(found[0], 0)
    if status:
        say(f"a child of a callback ended with status {status}")


def interrupted(expected):
    """Ctrl-C in the main thread's fits; those of another thread go on, to the same bits."""
    with ThreadPoolExecutor(1) as pool:
        for name in ENTRY_POINTS:
            beside = pool.submit(run, name)
            timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
            with contextlib.suppress(KeyboardInterrupt):
                timer.start()  # a busy machine may be long in coming to the next line
                while True:
                    TSNE(**{**FIT, "n_iter": 3000}).fit(X)
            timer.join()
            differ(expected, dict([beside.result()]), "beside an interrupted fit")
    differ(expected, run_all(("fit, mesh", "update")), "after interrupted fits")


SCENARIOS = {
    "threads": in_threads,
    "one map": on_one_map,
    "fork": lambda expected: in_pool(expected, "fork"),
    "spawn": lambda expected: in_pool(expected, "spawn"),
    "forkserver": lambda expected: in_pool(expected, "forkserver"),
    "child": lambda expected: in_child(expected, "forked"),
    "fork in a thread": forked_in_thread,
    "fork in a callback": forked_within_callbacks,
    "interrupts": interrupted,
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    alone = run_all()
    differ(alone, run_all(), "in the same process again")
    SCENARIOS[sys.argv[1]](alone)
    say("done")
