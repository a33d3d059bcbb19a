"""The programs that are compared: whole fits, each in a process of its own.

``fit_in_process`` starts such a process; run as a program, this file is one.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from common import peak_memory, resident_memory
from stages import watch

# Rows of the fit that does not count: imports, compilation, and UMAP's search of more than 4,096.
WARM_UP = {"umap": 5000}


def fit_fasttsne(X, n_jobs, iterations, **settings):
    from fasttsne import TSNE

    classical = TSNE(
        early_exaggeration_iter=250,
        n_iter=iterations - 250,
        n_jobs=n_jobs,
        random_state=0,
        **settings,
    )
    return np.asarray(classical.fit(X))


def fit_fasttsne_bh(X, n_jobs, iterations):
    return fit_fasttsne(X, n_jobs, iterations, negative_gradient_method="bh")


def fit_fasttsne_3d(X, n_jobs, iterations):
    return fit_fasttsne(X, n_jobs, iterations, n_components=3, negative_gradient_method="fft")


def fit_fasttsne_3d_bh(X, n_jobs, iterations):
    return fit_fasttsne(X, n_jobs, iterations, n_components=3, negative_gradient_method="bh")


def fit_sklearn_3d(X, n_jobs, iterations):
    from sklearn.manifold import TSNE

    return TSNE(3, max_iter=iterations, n_jobs=n_jobs, random_state=0).fit_transform(X)


def fit_fasttsne_auto(X, n_jobs, _):
    from fasttsne import TSNE

    return np.asarray(TSNE(n_jobs=n_jobs, random_state=0).fit(X))


def fit_sklearn(X, n_jobs, iterations):
    from sklearn.manifold import TSNE

    return TSNE(max_iter=iterations, n_jobs=n_jobs, random_state=0).fit_transform(X)


def fit_sklearnex(X, n_jobs, iterations):
    from sklearnex import patch_sklearn

    patch_sklearn(verbose=False)
    return fit_sklearn(X, n_jobs, iterations)


def fit_opentsne(X, n_jobs, iterations):
    import openTSNE

    return np.asarray(openTSNE.TSNE(n_iter=iterations - 250, n_jobs=n_jobs, random_state=0).fit(X))


def fit_fitsne(X, n_jobs, iterations):
    from fitsne import FItSNE

    return FItSNE(np.ascontiguousarray(X, float), max_iter=iterations, nthreads=n_jobs, rand_seed=0)


def fit_umap(X, n_jobs, _):
    import umap

    return umap.UMAP(n_jobs=n_jobs).fit_transform(X)


def fit_pacmap(X, n_jobs, _):
    import pacmap

    return pacmap.PaCMAP().fit_transform(X)


def fit_trimap(X, n_jobs, _):
    from trimap import TRIMAP

    return TRIMAP(verbose=False).fit_transform(X)


def fit_h2pack(X, n_jobs, iterations):
    from tsne_h2pack import TSNE

    return TSNE(max_iter=iterations, n_jobs=n_jobs, random_state=0).fit_transform(X)


def fit_opentsne_short(X, n_jobs, iterations):
    """So many iterations of each phase, where 750 would take hours."""
    import openTSNE

    few = openTSNE.TSNE(
        early_exaggeration_iter=iterations, n_iter=iterations, n_jobs=n_jobs, random_state=0
    )
    return np.asarray(few.fit(X))


def fit_umap_short(X, n_jobs, iterations):
    import umap

    return umap.UMAP(n_jobs=n_jobs, n_epochs=iterations).fit_transform(X)


FITS = {
    "fasttsne": fit_fasttsne,
    "fasttsne-bh": fit_fasttsne_bh,
    "fasttsne-auto": fit_fasttsne_auto,
    "sklearnex": fit_sklearnex,
    "sklearn": fit_sklearn,
    "openTSNE": fit_opentsne,
    "fitsne": fit_fitsne,
    "umap": fit_umap,
    "pacmap": fit_pacmap,
    "trimap": fit_trimap,
    "tsne-h2pack": fit_h2pack,
    "fasttsne-3d": fit_fasttsne_3d,
    "fasttsne-3d-bh": fit_fasttsne_3d_bh,
    "sklearn-3d": fit_sklearn_3d,
    "openTSNE-short": fit_opentsne_short,
    "umap-short": fit_umap_short,
}
IN_PLANE = [name for name in FITS if "-3d" not in name and "-short" not in name]


def fit_in_process(
    folder,
    program: str,
    n_jobs: int,
    iterations: int,
    memmap: bool = False,
    python: str = sys.executable,
):
    """Fit ``X.npy`` of a folder in a process of its own.

    Parameters
    ----------
    program : one of ``FITS``.
    memmap : hand the rows over as a read-only memory map.
    python : of the environment that has the program.

    Returns
    -------
    result : ``seconds``; ``stages``, the seconds of each that is known; and ``peak``, MiB
        beyond the input and what the process held before.
    points : the map.
    """
    order = json.dumps([str(folder), program, n_jobs, iterations, memmap])
    finished = subprocess.run([python, __file__, order], capture_output=True, text=True)
    if finished.returncode:
        raise RuntimeError(f"{program} failed:\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1]), np.load(Path(folder, "map.npy"))


def _work(folder, program, n_jobs, iterations, memmap):
    X = np.load(Path(folder, "X.npy"), mmap_mode="r" if memmap else None)
    fit = FITS[program]
    fit(np.array(X[: WARM_UP.get(program.split("-")[0], 500)]), n_jobs, 300)
    X.max()  # all of the input is in memory from here on
    stages = watch(program.split("-")[0])
    before = resident_memory()
    start = time.perf_counter()
    points = fit(X, n_jobs, iterations)
    seconds = time.perf_counter() - start
    peak = peak_memory() - before
    np.save(Path(folder, "map.npy"), points)
    print(json.dumps({"seconds": seconds, "stages": stages, "peak": peak}))


if __name__ == "__main__":
    _work(*json.loads(sys.argv[1]))
