"""A fit that is killed goes on from its checkpoint, to the bits of one that was not."""

import functools
import hashlib
import json
import os
import signal
import sys
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
from helpers.quick import QUICK, run_python

from fasttsne import TSNE, TSNEEmbedding, schedule
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.callbacks import Callback
from fasttsne.datasets import load_digits
from fasttsne.io import fit_checkpoint
from fasttsne.nearest_neighbors import Approx

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
FAST = {"random_state": 0, "n_jobs": 2}


class Stop(Exception):
    """What ends a fit of these tests."""


class StopAt(Callback):
    """Ends a fit in an iteration of a phase, or where a stage begins, as a kill would."""

    def __init__(self, name, iteration=None):
        self.name, self.iteration = name, iteration

    def receive_settings(self, settings):
        self._phase = settings.name

    def receive_progress(self, progress):
        if (progress.name, None) == (self.name, self.iteration):
            raise Stop

    def __call__(self, iteration, error, embedding):
        if (self._phase, iteration) == (self.name, self.iteration):
            raise Stop


class Heard(Callback):
    """Remembers the stages and iterations that there were."""

    def __init__(self):
        self.stages, self.n_iter = [], 0

    def receive_progress(self, progress):
        if progress.name not in self.stages:
            self.stages.append(progress.name)

    def __call__(self, iteration, error, embedding):
        self.n_iter += 1


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Of a checkpoint that is written whenever it can be."""
    monkeypatch.setattr(fit_checkpoint, "MIN_INTERVAL", 0)
    monkeypatch.setattr(fit_checkpoint, "MIN_SHARE", 0)
    return tmp_path / "run.npz"


def stop(X, path, name, iteration=None, **params):
    with pytest.raises(Stop):
        TSNE(
            checkpoint=path, callbacks=StopAt(name, iteration), callbacks_every_iters=1, **params
        ).fit(X)


PROGRAM = """
import hashlib, os, signal, sys
import numpy as np
from fasttsne import TSNE
from fasttsne.callbacks import Callback
from fasttsne.datasets import load_digits
from fasttsne.io import fit_checkpoint

fit_checkpoint.MIN_INTERVAL = fit_checkpoint.MIN_SHARE = 0
name, share = sys.argv[1], float(sys.argv[2])
stages = []

class Kill(Callback):
    def receive_progress(self, progress):
        if progress.name not in stages:
            stages.append(progress.name)
        if progress.name == name and (progress.share or 0) >= share:
            os.kill(os.getpid(), signal.SIGKILL)
    def __call__(self, iteration, error, embedding):
        pass

X = np.tile(load_digits()[0], (3, 2)) + np.random.default_rng(0).normal(size=(5391, 128))
embedding = TSNE(random_state=0, n_jobs=2, checkpoint="run.npz", callbacks=Kill()).fit(X)
print(hashlib.sha256(np.asarray(embedding)).hexdigest(), embedding.kl_divergence)
print("; ".join(stages))
"""
SEARCH, AFFINITIES = "search", "conditional affinities"
START, EARLY, MAIN = "principal components", "early exaggeration", "main phase"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What that program prints if it is not killed."""
    result = run_python("-c", PROGRAM, "none", 1, folder=tmp_path_factory.mktemp("whole"))
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[0]


KILLED_WRITER = """
import os, signal, sys
from fasttsne.io.atomic import atomic_write
with atomic_write(sys.argv[1]) as temp_path:
    temp_path.write_text("part")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@posix
def test_a_fit_that_succeeds_removes_what_was_left_of_its_files(digits, tmp_path):
    """Another process began to write them, and was killed."""
    path = tmp_path / "run.npz"
    others = {".run.npz", ".runs.part.npz", "run.graph.csv"}
    for name in others:
        (tmp_path / name).write_text("another's")

    left = []

    def leave(iteration, error, embedding):
        for each in path, tmp_path / "run.graph.npz":
            run_python("-c", KILLED_WRITER, each)
        left[:] = (name for name in os.listdir(tmp_path) if name.startswith(".run."))

    TSNE(**QUICK, checkpoint=path, callbacks=leave, callbacks_every_iters=10).fit(digits[:150])
    assert len(left) == 3
    assert set(os.listdir(tmp_path)) == others


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "share", "again"),
    [
        ("fingerprint of X", 0, [SEARCH, AFFINITIES, START, EARLY, MAIN]),
        (SEARCH, 0, [SEARCH, AFFINITIES, START, EARLY, MAIN]),
        (SEARCH, 1, [SEARCH, AFFINITIES, START, EARLY, MAIN]),
        (AFFINITIES, 0, [AFFINITIES, START, EARLY, MAIN]),
        (START, 0, [AFFINITIES, START, EARLY, MAIN]),
        (EARLY, 0, [AFFINITIES, START, EARLY, MAIN]),
        (EARLY, 0.5, [AFFINITIES, EARLY, MAIN]),
        (MAIN, 0, [AFFINITIES, EARLY, MAIN]),
        (MAIN, 0.5, [AFFINITIES, MAIN]),
    ],
)
def test_a_killed_fit_goes_on(stage, share, again, tmp_path, uninterrupted):
    killed = run_python("-c", PROGRAM, stage, share, folder=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    result = run_python("-c", PROGRAM, "none", 1, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    line, stages = result.stdout.splitlines()
    assert line == uninterrupted
    expected = [SEARCH, AFFINITIES, START, EARLY, MAIN]
    assert [each for each in stages.split("; ") if each in expected] == again
    assert os.listdir(tmp_path) == []


@posix
@pytest.mark.slow
def test_a_fit_that_is_killed_again_and_again(tmp_path, uninterrupted):
    """Each process gets a little further than the last."""
    for stage, share in ((SEARCH, 0.5), (AFFINITIES, 0), (EARLY, 0.3), (EARLY, 0.8), (MAIN, 0.2)):
        killed = run_python("-c", PROGRAM, stage, share, folder=tmp_path)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run_python("-c", PROGRAM, "none", 1, folder=tmp_path).stdout.splitlines()[0] == (
        uninterrupted
    )


CASES = {
    "automatic": {},
    "numbers": {"early_exaggeration_iter": 40, "n_iter": 60},
    "momentum": {"optimizer": "momentum"},
    "tree": {"negative_gradient_method": "bh"},
    "three dimensions": {"n_components": 3},
    "density": {"density_weight": 0.1, "early_exaggeration_iter": 20, "n_iter": 60},
    "several perplexities": {"perplexity": [5, 20]},
    "stages": {"n_iter": (schedule.Stage(60, 1.0, 100.0, 0.5),)},
    "generator": {"random_state": "generator"},
}


def params_of(case):
    """Generators are made anew: a fit draws from them."""
    params = {**FAST, **CASES[case]}
    if params["random_state"] == "generator":
        params["random_state"] = np.random.default_rng(7)
    return params


@pytest.fixture(scope="module")
def whole_fit(digits):
    """A function that returns the map of a case, fitted once, and what its generator draws next."""

    @functools.cache
    def fit(case):
        params = params_of(case)
        embedding = TSNE(**params).fit(digits)
        if isinstance(params["random_state"], np.random.Generator):
            return embedding, params["random_state"].random()
        return embedding, None

    return fit


@pytest.mark.thin(4)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("moment", [(START, None), (EARLY, 15), (MAIN, 1), (MAIN, 24)])
def test_any_fit_goes_on_to_the_same_bits(case, moment, path, digits, whole_fit):
    expected, next_number = whole_fit(case)
    stop(digits, path, *moment, **params_of(case))
    heard, params = Heard(), params_of(case)
    found = TSNE(**params, checkpoint=path, callbacks=heard, callbacks_every_iters=1).fit(digits)
    np.testing.assert_array_equal(found, expected)
    assert found.kl_divergence == expected.kl_divergence
    assert "comparing all rows" not in heard.stages
    assert not path.exists()
    assert not path.with_name("run.graph.npz").exists()
    state = found.optimizer.state
    np.testing.assert_array_equal(state.update, expected.optimizer.state.update)
    assert state.iteration == expected.optimizer.state.iteration
    if next_number is not None:
        assert params["random_state"].random() == next_number


def test_only_the_iterations_that_are_left_are_done(path, digits):
    settings = {**FAST, "early_exaggeration_iter": 30, "n_iter": 50}
    stop(digits, path, MAIN, 21, **settings)
    heard = Heard()
    TSNE(**settings, checkpoint=path, callbacks=heard, callbacks_every_iters=1).fit(digits)
    assert heard.n_iter == 30
    assert EARLY not in heard.stages


def test_the_search_for_new_rows_goes_on_too(path, rng):
    """Rows that are reduced, and others: probes, recall and places of new rows are the same."""
    for columns in (5, 200):
        X = (rng.normal(size=(5000, 3)) @ rng.normal(size=(3, columns))).astype(np.float32)
        X += 0.1 * rng.normal(size=X.shape).astype(np.float32)
        new = X[:40] + np.float32(0.01)
        whole = TSNE(**QUICK).fit(X)
        stop(X, path, EARLY, 5, **QUICK)
        found = TSNE(**QUICK, checkpoint=path).fit(X)
        index, expected = found.affinities.knn_index, whole.affinities.knn_index
        assert isinstance(index, Approx)
        assert index.recall_ == expected.recall_ < 1
        assert index.recall_quantiles_ == expected.recall_quantiles_
        np.testing.assert_array_equal(found.transform(new), whole.transform(new))


def test_threads_callbacks_and_storage_may_change(path, digits, tmp_path):
    expected = TSNE(**QUICK).fit(digits)
    stop(digits, path, MAIN, 5, **QUICK, n_jobs=1)
    np.save(tmp_path / "rows.npy", digits.astype(np.float64))
    X = np.load(tmp_path / "rows.npy", mmap_mode="r")
    found = TSNE(**QUICK, n_jobs=2, verbose=True, memory_limit=0, checkpoint=path).fit(X)
    np.testing.assert_array_equal(found, expected)


def test_sparse_rows_and_given_affinities(path, digits):
    for given in (
        {"X": sp.csr_matrix(digits)},
        {"X": digits, "affinities": PerplexityBasedNN(digits, 20)},
    ):
        expected = TSNE(**QUICK).fit(**given)
        with pytest.raises(Stop):
            TSNE(**QUICK, checkpoint=path, callbacks=StopAt(MAIN, 5), callbacks_every_iters=1).fit(
                **given
            )
        assert path.with_name("run.graph.npz").exists() == ("affinities" not in given)
        np.testing.assert_array_equal(TSNE(**QUICK, checkpoint=path).fit(**given), expected)


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_an_address(protocol, path, digits):
    fsspec = pytest.importorskip("fsspec")
    address = f"{protocol}://{path.as_posix()}"
    graph = address.replace("run.npz", "run.graph.npz")
    stop(digits, address, MAIN, 5, **QUICK)
    system, name = fsspec.core.url_to_fs(address)
    assert sorted(os.path.basename(each) for each in system.ls(os.path.dirname(name), False)) == [
        "run.graph.npz",
        "run.npz",
    ]
    heard = Heard()
    found = TSNE(**QUICK, checkpoint=address, callbacks=heard).fit(digits)
    np.testing.assert_array_equal(found, TSNE(**QUICK).fit(digits))
    assert EARLY not in heard.stages
    assert not system.exists(name)
    stop(digits, address, MAIN, 5, **QUICK)
    with fsspec.open(graph, "rb") as file:
        damaged = file.read()[:-100]
    with fsspec.open(graph, "wb") as file:
        file.write(damaged)
    with pytest.raises(ValueError, match=r"run\.graph\.npz is not a whole checkpoint of a fit"):
        TSNE(**QUICK, checkpoint=address).fit(digits)
    with pytest.raises(ValueError, match="Protocol not known: nowhere"):
        TSNE(**QUICK, checkpoint="nowhere://run.npz").fit(digits)


@pytest.mark.thin(4)
@pytest.mark.parametrize("moment", [(START, None), (MAIN, 5)])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"perplexity": 20}, "perplexity was 30 and is 20"),
        ({"random_state": 1}, "random_state was 0 and is 1"),
        ({"metric": "cosine"}, "metric was 'euclidean' and is 'cosine'"),
        ({"n_iter": 11}, "n_iter was 10 and is 11"),
        ({"n_components": 1}, "n_components was 2 and is 1"),
        ({"initialization": np.zeros((500, 2))}, "initialization was 'pca' and is float64"),
    ],
)
def test_another_fit_is_an_error(changed, message, moment, path, digits):
    stop(digits, path, *moment, **QUICK)
    before = sorted(os.listdir(path.parent))
    with pytest.raises(ValueError, match=message) as raised:
        TSNE(**{**QUICK, **changed}, checkpoint=path).fit(digits)
    assert "run" in str(raised.value)
    assert "is of another fit" in str(raised.value)
    assert sorted(os.listdir(path.parent)) == before


def test_other_data_are_an_error(path, digits):
    stop(digits, path, MAIN, 5, **QUICK)
    other = digits.copy()
    other[499, 63] += 1
    for X in (other, digits[:499], digits[:, :63]):
        with pytest.raises(ValueError, match="another fit: X was float32"):
            TSNE(**QUICK, checkpoint=path).fit(X)


def test_another_version_is_an_error(path, digits, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fit_checkpoint, "__version__", "0.0.1")
        stop(digits, path, MAIN, 5, **QUICK)
    with pytest.raises(ValueError, match=r"another fit: fasttsne was 0\.0\.1"):
        TSNE(**QUICK, checkpoint=path).fit(digits)


@pytest.mark.thin(1)
@pytest.mark.parametrize("name", ["run.npz", "run.graph.npz"])
def test_damage_is_an_error(name, path, digits, rng):
    """Ends that are missing, and bits that changed, anywhere."""
    stop(digits, path, MAIN, 5, **QUICK)
    file = path.with_name(name)
    whole = file.read_bytes()
    expected = TSNE(**QUICK).fit(digits)
    for position in rng.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(position) % 8
        for content in (whole[:position], bytes(damaged)):
            file.write_bytes(content)
            try:
                found = TSNE(**QUICK, checkpoint=path).fit(digits)
            except ValueError as error:
                message = str(error)
            else:  # bits that nothing is read from, as a time
                np.testing.assert_array_equal(found, expected)
                stop(digits, path, MAIN, 5, **QUICK)
                continue
            assert name in message


def rewrite(file, change):
    """Write an archive again, with what a function makes of its header and arrays; no checksums."""
    with np.load(file) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays.pop("header")))
    del header["checksums"]
    change(header, arrays)
    with open(file, "wb") as out:
        np.savez(out, header=np.array(json.dumps(header)), **arrays)


@pytest.mark.thin(6)
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("run.graph.npz", lambda h, a: a["indices"].__setitem__((3, 2), 500)),
        ("run.graph.npz", lambda h, a: a["indices"].__setitem__((3, 2), -1)),
        ("run.graph.npz", lambda h, a: a["distances"].__setitem__((3, 2), np.nan)),
        ("run.graph.npz", lambda h, a: a.update(indices=a["indices"][:9])),
        ("run.graph.npz", lambda h, a: a.pop("distances")),
        ("run.graph.npz", lambda h, a: h.update(random_state={"bit_generator": "MT19937"})),
        ("run.npz", lambda h, a: a["state_order"].__setitem__(3, 10**6)),
        ("run.npz", lambda h, a: a["embedding"].__setitem__((3, 1), np.inf)),
        ("run.npz", lambda h, a: a.update(embedding=a["embedding"][:, :1])),
        ("run.npz", lambda h, a: a.update(kept=np.zeros((3, 2)))),
        ("run.npz", lambda h, a: h.update(phase=2)),
        ("run.npz", lambda h, a: h.update(stage=9)),
        ("run.npz", lambda h, a: h.update(number=10)),
        ("run.npz", lambda h, a: h.update(number=True)),
        ("run.npz", lambda h, a: h.update(rate="fast")),
        ("run.npz", lambda h, a: h.update(checks=[[0, 1, 2, 3, 4]])),
        ("run.npz", lambda h, a: h.update(format=2)),
        ("run.npz", lambda h, a: h.update(kind="something else")),
    ],
)
def test_contents_that_no_fit_writes_are_an_error(name, change, path, digits):
    """Kernels trust what is read: a file may come from anywhere."""
    stop(digits, path, MAIN, 5, **QUICK)
    rewrite(path.with_name(name), change)
    with pytest.raises(ValueError, match=name):
        TSNE(**QUICK, checkpoint=path).fit(digits)


def test_hostile_cells_are_an_error(path, rng):
    X = (rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 160))).astype(np.float32)
    stop(X, path, EARLY, 1, **QUICK)
    graph = path.with_name("run.graph.npz")
    whole = graph.read_bytes()
    for change in (
        lambda h, a: a["index_map"].__setitem__(0, 4000),
        lambda h, a: a["starts"].__setitem__(1, 10**6),
        lambda h, a: a.update(centres=a["centres"][:, 1:]),
        lambda h, a: a.update(projection_directions=a["projection_directions"][1:]),
        lambda h, a: a["sizes"].__setitem__(0, 10**6),
        lambda h, a: a["components"].__setitem__((0, 0), np.nan),
        lambda h, a: a.update(components=a["components"][1:]),
    ):
        graph.write_bytes(whole)
        rewrite(graph, change)
        with pytest.raises(ValueError, match=r"run\.graph\.npz"):
            TSNE(**QUICK, checkpoint=path).fit(X)


def test_pickles_are_never_loaded(path, digits):
    stop(digits, path, MAIN, 5, **QUICK)
    rewrite(path, lambda h, a: a.update(embedding=np.array([print], object)))
    with pytest.raises(ValueError, match="allow_pickle"):
        TSNE(**QUICK, checkpoint=path).fit(digits)


def test_a_state_without_its_neighbours_is_an_error(path, digits):
    stop(digits, path, MAIN, 5, **QUICK)
    path.with_name("run.graph.npz").unlink()
    with pytest.raises(ValueError, match="has lost its neighbours"):
        TSNE(**QUICK, checkpoint=path).fit(digits)


def test_other_files_are_not_replaced(path, digits):
    np.savez(path, X=digits)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.npz is not a whole checkpoint"):
        TSNE(**QUICK, checkpoint=path).fit(digits)
    assert path.read_bytes() == before


def test_saved_maps_are_not_replaced(path, digits):
    """Not by a fit that is written like the one whose map was saved there, either."""
    embedding = TSNE(**QUICK, checkpoint=path).fit(digits)
    embedding.save(path)
    with pytest.raises(ValueError, match=r"run\.npz is a saved embedding: give another file"):
        TSNE(**QUICK, checkpoint=path).fit(digits)
    np.testing.assert_array_equal(TSNEEmbedding.load(path), embedding)


def test_ctrl_c_leaves_the_checkpoint(path, digits):
    def interrupt(iteration, error, embedding):
        if iteration == 5:
            raise KeyboardInterrupt

    tsne = TSNE(**QUICK, checkpoint=path, callbacks=interrupt, callbacks_every_iters=1)
    with pytest.raises(KeyboardInterrupt):
        tsne.fit(digits)
    assert tsne.embedding_.shape == (500, 2)
    found = TSNE(**QUICK, checkpoint=path).fit(digits)
    np.testing.assert_array_equal(found, TSNE(**QUICK).fit(digits))


def test_a_stop_by_a_callback_is_a_success(path, digits):
    TSNE(**QUICK, checkpoint=path, callbacks=lambda *_: True, callbacks_every_iters=1).fit(digits)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3, TypeError, "checkpoint must be the path of a file, or None; got 3"),
        ("no/such/run.npz", FileNotFoundError, "there is no folder"),
        (".", IsADirectoryError, "is a folder"),
    ],
)
def test_paths_that_cannot_be_written(given, error, message, digits):
    """Before anything is computed."""
    heard = Heard()
    with pytest.raises(error, match=message):
        TSNE(checkpoint=given, callbacks=heard).fit(digits)
    assert heard.stages == []


LIMITED = """
import resource, signal, hashlib
import numpy as np
from fasttsne import TSNE
from fasttsne.datasets import load_digits
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
X = load_digits()[0]
fit = dict(random_state=0, early_exaggeration_iter=5, n_iter=5)
expected = TSNE(**fit).fit(X)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
assert (TSNE(**fit, checkpoint="run.npz").fit(X) == expected).all()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
def test_a_full_disk_does_not_end_the_fit(tmp_path):
    result = run_python("-c", LIMITED, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "the checkpoint run.graph.npz cannot be written" in result.stderr
    assert os.listdir(tmp_path) == []


def test_estimator_of_scikit_learn(path, digits):
    estimator = pytest.importorskip("fasttsne.sklearn").TSNE
    expected = estimator(**QUICK).fit_transform(digits)
    with pytest.raises(Stop):
        estimator(**QUICK, checkpoint=path, callbacks=StopAt(MAIN, 5), callbacks_every_iters=1).fit(
            digits
        )
    assert path.exists()
    np.testing.assert_array_equal(
        estimator(**QUICK, checkpoint=path).fit_transform(digits), expected
    )
    assert not path.exists()


@pytest.mark.slow
@posix
def test_command_line(tmp_path):
    """The same command goes on, and leaves the map in the file, as without an interruption."""
    np.save(tmp_path / "rows.npy", load_digits()[0])
    command = ["-m", "fasttsne", "fit", "rows.npy", "--seed", "0", "--n-iter", "50"]
    run_python(*command, "-o", "expected.npy", folder=tmp_path)
    killing = (
        "import os, signal; from fasttsne.cli import main; from fasttsne.io import fit_checkpoint\n"
        "write = fit_checkpoint.FitCheckpoint.write_run\n"
        "def write_and_die(*arguments):\n"
        "    write(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "fit_checkpoint.FitCheckpoint.write_run = write_and_die\n"
        f"main({[*command[2:], '--checkpoint', 'run.npz']})"
    )
    assert run_python("-c", killing, folder=tmp_path).returncode == -signal.SIGKILL
    assert zipfile.is_zipfile(tmp_path / "run.graph.npz")
    result = run_python(*command, "--checkpoint", "run.npz", "-v", "-o", "map.npy", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "resuming from run.npz: early exaggeration, iteration 1" in result.stderr
    expected = np.load(tmp_path / "expected.npy")
    assert hashlib.sha256(np.load(tmp_path / "map.npy")).digest() == (
        hashlib.sha256(expected).digest()
    )
    np.testing.assert_array_equal(TSNEEmbedding.load(tmp_path / "run.npz"), expected)
    assert not (tmp_path / "run.graph.npz").exists()


def test_rows_of_many_columns_resume_from_the_components_of_their_search(path, rng):
    X = (rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 160))).astype(np.float32)
    expected = TSNE(**QUICK).fit(X)
    stop(X, path, EARLY, 1, **QUICK)
    path.unlink()  # what is left are the neighbours
    assert TSNE(**QUICK, checkpoint=path).fit(X).tobytes() == expected.tobytes()
