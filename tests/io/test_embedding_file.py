"""Saved embeddings go on as if nothing had happened, and files that lie are found out."""

import copy
import io
import json
import os
import pickle

import numpy as np
import pytest

import fasttsne
from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.datasets import load_digits


@pytest.fixture(scope="module")
def affinities():
    return PerplexityBasedNN(load_digits()[0][:300], n_jobs=2)


@pytest.fixture
def embedding(affinities):
    return TSNEEmbedding(
        initialization.random(300, random_state=0),
        affinities,
        dof=0.8,
        random_state=3,
        n_jobs=2,
        theta=0.4,
        max_step_norm=None,
    ).optimize(30, exaggeration=12)


def header_of(path):
    """Without checksums, which are not those of changed arrays."""
    with np.load(path) as archive:
        header = json.loads(str(archive["header"]))
    del header["checksums"]
    return header


def rewritten(path, **changes):
    """The file with some of its arrays replaced, or without those that are None."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays.update({"header": np.array(json.dumps(header_of(path))), **changes})
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def with_header(path, **changes):
    header = {**header_of(path), **changes}
    return rewritten(path, header=np.array(json.dumps(header)))


def test_everything_comes_back(embedding, affinities, tmp_path):
    path = tmp_path / "map.npz"
    embedding.save(path)
    loaded = TSNEEmbedding.load(path)
    assert type(loaded) is TSNEEmbedding
    np.testing.assert_array_equal(loaded, embedding)
    assert (loaded.affinities.P_float32 != affinities.P_float32).nnz == 0
    assert loaded.affinities.P.sum() == pytest.approx(1, abs=1e-12)
    for name in (
        "dof",
        "negative_gradient_method",
        "random_state",
        "kl_divergence",
        "gradient_descent_params",
    ):
        assert getattr(loaded, name) == getattr(embedding, name)
    for name, value in vars(embedding.optimizer.state).items():
        np.testing.assert_array_equal(getattr(loaded.optimizer.state, name), value)
    assert fasttsne.metrics.pBIC(loaded) == fasttsne.metrics.pBIC(embedding)
    assert os.listdir(tmp_path) == ["map.npz"]


def test_there_is_no_pickle_inside(embedding, tmp_path):
    embedding.save(tmp_path / "map.npz")
    with np.load(tmp_path / "map.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "fiU" for name in archive.files)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_250_more_iterations_are_the_same_bits(method, affinities, tmp_path):
    start = TSNEEmbedding(
        initialization.random(300, random_state=0), affinities, negative_gradient_method=method
    )
    start.optimize(90, inplace=True, exaggeration=12)
    start.save(tmp_path / "map.npz")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz").optimize(250)
    start.optimize(250, inplace=True)
    np.testing.assert_array_equal(loaded, start)
    assert loaded.kl_divergence == start.kl_divergence


@pytest.mark.thin(5)
@pytest.mark.parametrize("duplicate", ["save", "pickle", "deepcopy"])
@pytest.mark.parametrize("when", [1, 20, 21, 22, 100, 101, 102, 150])
def test_a_run_resumes_from_the_middle(affinities, tmp_path, when, duplicate):
    """Also around the iterations at which points are renumbered."""
    kept = []

    def keep(iteration, error, embedding):
        if iteration == when:
            if duplicate == "save":
                embedding.save(tmp_path / "map.npz")
                kept.append(TSNEEmbedding.load(tmp_path / "map.npz"))
            elif duplicate == "pickle":
                kept.append(pickle.loads(pickle.dumps(embedding)))
            else:
                kept.append(copy.deepcopy(embedding))

    start = TSNEEmbedding(initialization.random(300, random_state=0), affinities)
    whole = start.optimize(160, callbacks=keep, callbacks_every_iters=1)
    resumed = kept[0]
    assert resumed.optimizer.state.iteration == when - 1
    resumed.optimize(160 - resumed.optimizer.state.iteration, inplace=True)
    np.testing.assert_array_equal(resumed, whole)
    np.testing.assert_array_equal(whole, start.optimize(160))


def test_a_fit_on_real_data_resumes(digits, tmp_path):
    settings = {"early_exaggeration_iter": 50, "random_state": 0}
    TSNE(n_iter=20, **settings).fit(digits).save(tmp_path / "map.npz")
    resumed = TSNEEmbedding.load(tmp_path / "map.npz").optimize(250)
    np.testing.assert_array_equal(resumed, TSNE(n_iter=270, **settings).fit(digits))


def test_before_any_iteration(affinities, tmp_path):
    start = TSNEEmbedding(initialization.random(300, random_state=0), affinities)
    start.save(tmp_path / "map.npz")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz")
    assert loaded.kl_divergence is None
    np.testing.assert_array_equal(loaded.optimize(5), start.optimize(5))


def test_data_is_not_in_the_file(embedding, tmp_path):
    embedding.save(tmp_path / "map.npz")
    with pytest.raises(NotImplementedError, match="which has no training data"):
        TSNEEmbedding.load(tmp_path / "map.npz").affinities.to_new(np.zeros((3, 64)))


def test_what_cannot_be_kept_is_left_out(affinities, tmp_path):
    embedding = TSNEEmbedding(
        np.random.default_rng(0).normal(size=(300, 2)),
        affinities,
        callbacks=print,
        random_state=np.random.RandomState(0),
        learning_rate=np.float64(70),
    )
    embedding.save(tmp_path / "map.npz")
    loaded = TSNEEmbedding.load(tmp_path / "map.npz")
    assert loaded.random_state is None
    assert loaded.gradient_descent_params == {"learning_rate": 70}
    with pytest.raises(ValueError, match="view of an embedding"):
        embedding.view().save(tmp_path / "other.npz")


def test_other_names_and_places(embedding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    embedding.save("map")
    np.testing.assert_array_equal(TSNEEmbedding.load("map"), embedding)
    with pytest.raises(FileNotFoundError):
        TSNEEmbedding.load("nowhere.npz")
    with pytest.raises(FileNotFoundError):
        embedding.save(tmp_path / "nowhere" / "map.npz")


def test_a_link_still_points_to_the_file(embedding, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "map.npz")
    embedding.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    np.testing.assert_array_equal(TSNEEmbedding.load(tmp_path / "map.npz"), embedding)


@pytest.mark.parametrize("step", ["os.fsync", "numpy.lib.format.write_array"])
def test_a_failing_disk_leaves_the_old_file(embedding, tmp_path, monkeypatch, step):
    path = tmp_path / "map.npz"
    embedding.save(path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(step, fail)
    with pytest.raises(OSError, match="no space left"):
        embedding.optimize(5).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["map.npz"]


def test_a_disk_that_returns_other_bytes(embedding, tmp_path, monkeypatch):
    """What was written is read back before it replaces the old file."""
    path = tmp_path / "map.npz"
    embedding.save(path)
    before = path.read_bytes()
    sync = os.fsync

    def damage(descriptor):
        os.pwrite(descriptor, b"?", 1000)
        sync(descriptor)

    monkeypatch.setattr("fasttsne.io.archive.SYNC_BYTES", 4096)
    monkeypatch.setattr("os.fsync", damage)
    with pytest.raises(OSError, match=r"the disk returned other bytes .*map\.npz"):
        embedding.optimize(5).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["map.npz"]


def test_what_load_would_refuse_is_not_written(embedding, tmp_path):
    path = tmp_path / "map.npz"
    embedding.save(path)
    before = path.read_bytes()
    broken = embedding.copy()
    broken.gradient_descent_params["momentum"] = 3
    with pytest.raises(ValueError, match="momentum must be at most 1"):
        broken.save(path)
    assert path.read_bytes() == before


def test_a_later_version(embedding, tmp_path):
    embedding.save(tmp_path / "map.npz")
    path = with_header(tmp_path / "map.npz", format=3, fasttsne="7.0")
    with pytest.raises(ValueError, match=r"fasttsne 7.0 wrote it in format 3, .*upgrade"):
        TSNEEmbedding.load(path)


def test_truncated_files(embedding, tmp_path):
    path = tmp_path / "map.npz"
    embedding.save(path)
    whole = path.read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="is not a saved embedding"):
            TSNEEmbedding.load(path)


def test_damaged_files(embedding, tmp_path):
    """A byte changed anywhere is noticed, or makes no difference."""
    path = tmp_path / "map.npz"
    embedding.save(path)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    messages = []
    for place in (*range(60), *rng.integers(0, len(whole), 60), *range(-60, 0)):
        changed = whole.copy()
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            np.testing.assert_array_equal(TSNEEmbedding.load(path), embedding)
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 60
    assert all("is not a saved embedding" in message for message in messages)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("embedding", lambda a: a[:-1], "index pointer size"),
        ("embedding", lambda a: a.astype(np.float32), "dtype float32"),
        ("embedding", lambda a: np.where(a == a[5, 0], np.nan, a), r"embedding\[5, 0\] is nan"),
        ("embedding", lambda a: np.repeat(a, 2, axis=1), "shape"),
        ("embedding", lambda a: a.astype(object), "Object arrays"),
        ("embedding", lambda a: None, "KeyError.*embedding"),
        ("P_indices", lambda a: a + 1, "P_data must have indices from 0 to 299; got 300"),
        ("P_indices", lambda a: a - 1, "P_data must have indices from 0 to 299; got -1"),
        ("P_indices", lambda a: a.astype(float), "P_indices has dtype float64"),
        ("P_indices", lambda a: a[:-1], "should have the same size"),
        ("P_indptr", lambda a: a[::-1].copy(), "index pointer should start with 0"),
        ("P_indptr", lambda a: np.r_[a[:9], 0, a[10:]], "do not fit together"),
        ("P_indptr", lambda a: a * 2, "Last value of index pointer"),
        ("P_indptr", lambda a: a[:-1], "index pointer size"),
        ("P_indptr", lambda a: a[:0], "index pointer size"),
        ("P_data", lambda a: -a, "negative"),
        ("P_data", lambda a: a * np.nan, "finite"),
        ("P_data", lambda a: a * 0, "zero everywhere"),
        ("P_data", lambda a: a.astype("U9"), "dtype <U9"),
        ("state_update", lambda a: a[:-1], "state_update is not float32 of shape"),
        ("state_update", lambda a: a * np.inf, "state_update must be finite"),
        ("state_gains", lambda a: a.astype(object), "Object arrays"),
        ("state_gains", lambda a: None, "gains"),
        ("state_order", lambda a: a + 1, "permutation of 0 to 299"),
        ("state_order", lambda a: a * 0, "permutation of 0 to 299"),
        ("state_order", lambda a: a.astype(np.int64), "not int32"),
        ("state_secret", lambda a: np.zeros(3), "unknown fields: .*secret"),
        ("header", lambda a: np.zeros(3), "header is not a text"),
        ("header", lambda a: np.array("{"), "JSONDecodeError"),
        ("header", lambda a: np.array("[]"), "does not say"),
        ("header", lambda a: None, "no header"),
    ],
)
def test_forged_arrays(embedding, tmp_path, name, change, message):
    embedding.save(tmp_path / "map.npz")
    with np.load(tmp_path / "map.npz") as archive:
        array = archive[name] if name in archive.files else None
    with np.errstate(invalid="ignore"):
        path = rewritten(tmp_path / "map.npz", **{name: change(array)})
    with pytest.raises(ValueError, match=message):
        TSNEEmbedding.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "something else"}, "does not say"),
        ({"format": "1"}, "format is '1'"),
        ({"format": 0}, "format is 0"),
        ({"dof": -1}, "dof must be greater than 0"),
        ({"dof": "high"}, "dof must be a number"),
        ({"negative_gradient_method": "guess"}, "'guess'"),
        ({"gradient_descent_params": {"momentum": 3}}, "momentum must be at most 1"),
        ({"gradient_descent_params": {"sorcery": 3}}, "unknown parameter 'sorcery'"),
        ({"gradient_descent_params": [1]}, "gradient_descent_params is"),
        ({"kl_divergence": "low"}, "kl_divergence is 'low'"),
        ({"affinities": {"perplexity": [3]}}, "perplexity is"),
        ({"state": {"iteration": -1}}, "iteration is -1"),
        ({"state": {"iteration": 0.5}}, "iteration is 0.5"),
        ({"state": {"order": 3}}, None),
        ({"state": 3}, "state is 3"),
    ],
)
def test_forged_headers(embedding, tmp_path, changes, message):
    embedding.save(tmp_path / "map.npz")
    path = with_header(tmp_path / "map.npz", **changes)
    if message is None:  # the arrays say the same, and win
        np.testing.assert_array_equal(TSNEEmbedding.load(path), embedding)
        return
    with pytest.raises(ValueError, match=message):
        TSNEEmbedding.load(path)


def test_other_files(embedding, tmp_path):
    np.save(tmp_path / "array.npy", np.asarray(embedding))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    with open(tmp_path / "pickled.npz", "wb") as file:
        pickle.dump(embedding, file)
    for name, message in (
        ("array.npy", "no .npz archive"),
        ("other.npz", "no header"),
        ("text.npz", ""),
        ("pickled.npz", ""),
    ):
        with pytest.raises(ValueError, match=f"is not a saved embedding.*{message}"):
            TSNEEmbedding.load(tmp_path / name)


def test_numpy_save_keeps_the_points(embedding, tmp_path):
    np.save(tmp_path / "map.npy", embedding)
    loaded = np.load(tmp_path / "map.npy", allow_pickle=False)
    assert type(loaded) is np.ndarray
    np.testing.assert_array_equal(loaded, embedding)


def test_joblib(embedding, tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(embedding, tmp_path / "map.joblib")
    loaded = joblib.load(tmp_path / "map.joblib")
    np.testing.assert_array_equal(loaded.optimize(20), embedding.optimize(20))
    # A method of the package: processes that joblib starts cannot import the tests.
    optimize = joblib.delayed(TSNEEmbedding.optimize)
    (copied,) = joblib.Parallel(n_jobs=2)([optimize(embedding, 20)])
    np.testing.assert_array_equal(copied, embedding.optimize(20))


def test_a_connection_that_breaks_is_no_damaged_file(embedding, tmp_path):
    """The message must not make a user remove a good file."""
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.local import LocalFileSystem

    class Breaks(io.FileIO):
        def readinto(self, buffer):
            if 2_000 < self.tell() < self.size - 50_000:
                raise OSError("the connection was lost")
            return super().readinto(buffer)

    class Remote(LocalFileSystem):
        protocol = "breaks"

        def open(self, path, mode="rb", **settings):
            file = Breaks(self._strip_protocol(path), mode)
            file.size = os.path.getsize(path.removeprefix("breaks://"))
            return io.BufferedReader(file)

    fsspec.register_implementation("breaks", Remote, clobber=True)
    path = tmp_path / "map.npz"
    embedding.save(path)
    message = rf"^breaks://{path} cannot be read: the connection was lost$"
    with pytest.raises(OSError, match=message):
        TSNEEmbedding.load(f"breaks://{path}")
    assert (TSNEEmbedding.load(path) == embedding).all()
