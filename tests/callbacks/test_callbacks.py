"""The protocol, and each callback on real fits."""

import copy
import io
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.quick import QUICK

from fasttsne import TSNE, TSNEEmbedding, initialization
from fasttsne._kernels import reference
from fasttsne.affinity import PerplexityBasedNN
from fasttsne.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EmbeddingRecorder,
    ErrorApproximations,
    ErrorLogger,
    ProgressBar,
    VerifyExaggerationError,
)

SHORT = {**QUICK, "early_exaggeration_iter": 20, "n_iter": 30}


def test_protocol(digits):
    class Recorder(Callback):
        def __init__(self):
            self.starts, self.calls = 0, []

        def optimization_about_to_start(self):
            self.starts += 1

        def __call__(self, iteration, error, embedding):
            self.calls.append((iteration, error, np.array(embedding)))

    recorder = Recorder()
    embedding = TSNE(
        early_exaggeration_iter=20,
        n_iter=30,
        callbacks=[recorder],
        callbacks_every_iters=10,
        random_state=0,
    ).fit(digits)
    assert recorder.starts == 2
    assert [call[0] for call in recorder.calls] == [10, 20, 10, 20, 30]
    assert all(np.isfinite(error) for _, error, _ in recorder.calls)
    assert recorder.calls[-1][2].shape == (500, 2)
    assert recorder.calls[-1][1] == pytest.approx(embedding.kl_divergence, rel=0.02)


def test_watching_does_not_change_the_map(digits):
    settings = {"early_exaggeration_iter": 20, "n_iter": 20, "random_state": 0}
    plain = TSNE(**settings).fit(digits)
    watched = TSNE(**settings, callbacks=lambda *_: None, callbacks_every_iters=1).fit(digits)
    np.testing.assert_array_equal(plain, watched)


def test_embedding_is_in_the_order_of_the_rows_and_live(digits):
    """The callback sees the rows where they end up, and what it writes there counts."""
    frames = []

    def pin(iteration, error, embedding):
        frames.append(np.array(embedding))
        embedding[3] = [100, -100]

    settings = {"early_exaggeration_iter": 0, "n_iter": 5, "random_state": 0}
    result = TSNE(**settings, callbacks=pin, callbacks_every_iters=1).fit(digits)
    assert np.linalg.norm(result[3]) > 50
    assert np.linalg.norm(result[4]) < 5
    start = TSNE(**settings).prepare_initial(digits)
    np.testing.assert_array_equal(frames[0], start)


def test_stopping_in_early_exaggeration_stops_the_fit(digits):
    calls = []

    def stop(iteration, error, embedding):
        calls.append(iteration)
        return True

    embedding = TSNE(callbacks=stop, callbacks_every_iters=5, random_state=0).fit(digits)
    assert calls == [5]
    assert embedding.shape == (500, 2)
    assert embedding.kl_divergence > 0


def test_every_callback_is_called_also_when_one_stops(digits):
    calls = []
    TSNE(
        callbacks=[lambda *_: calls.append(1) or True, lambda *_: calls.append(2)],
        callbacks_every_iters=5,
        random_state=0,
    ).fit(digits)
    assert calls == [1, 2]


def test_error_logger_prints(digits, capsys):
    TSNE(
        early_exaggeration_iter=10, n_iter=10, callbacks=ErrorLogger(), callbacks_every_iters=5
    ).fit(digits)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("Iteration     5, KL divergence")
    assert "5 iterations in" in lines[1]


@pytest.mark.parametrize("callbacks", [3, "stop", [print, 4]])
def test_bad_callbacks(digits, callbacks):
    with pytest.raises(TypeError, match="callbacks must be callable"):
        TSNE(callbacks=callbacks).fit(digits)


def test_runs_are_announced_and_ended(digits):
    class Listener(Callback):
        def __init__(self):
            self.heard = []

        def receive_settings(self, settings):
            self.heard.append((settings.n_iter, settings.exaggeration, settings.may_stop_early))

        def optimization_about_to_start(self):
            self.heard.append("start")

        def __call__(self, iteration, error, embedding):
            self.heard.append(iteration)
            if iteration == 30:
                raise KeyboardInterrupt

        def optimization_ended(self):
            self.heard.append("end")

    listener = Listener()
    with pytest.raises(KeyboardInterrupt):
        TSNE(**SHORT, callbacks=listener, callbacks_every_iters=15).fit(digits)
    assert listener.heard == [
        (20, 12.0, False),
        "start",
        15,
        "end",
        (30, 1.0, False),
        "start",
        15,
        30,
        "end",
    ]


@pytest.mark.slow
def test_early_stopping_stops_the_main_phase(digits):
    settings = {"early_exaggeration_iter": 250, "n_iter": 1000, "random_state": 0}
    plain = TSNE(**settings).fit(digits)
    stopping = EarlyStopping(min_delta=0.002, patience=2)
    embedding = TSNE(**settings, callbacks=stopping, callbacks_every_iters=10).fit(digits)
    assert 50 <= stopping.stopped_at < 900
    # The map as it was then: the report comes before the step.
    done = 250 + stopping.stopped_at - 1
    assert embedding.optimizer.state.iteration == done
    assert embedding.kl_divergence == pytest.approx(plain.kl_divergence, abs=0.05)


def test_early_stopping_counts_reports_since_the_last_improvement():
    stopping = EarlyStopping(min_delta=0.1, patience=2)
    errors = [3.0, 2.95, 2.8, 2.75, 2.71]
    assert [stopping(i, error, None) for i, error in enumerate(errors)] == [False] * 4 + [True]
    assert stopping.stopped_at == 4
    stopping.optimization_about_to_start()
    assert stopping.stopped_at is None
    assert not stopping(1, 5.0, None)
    assert [stopping(2, np.nan, None), stopping(3, np.nan, None)] == [False, True]


def test_early_stopping_leaves_exaggeration_alone_unless_told(digits):
    settings = {"callbacks_every_iters": 1, "random_state": 0}
    stopping = EarlyStopping(min_delta=100, patience=3)
    embedding = TSNE(early_exaggeration_iter=20, n_iter=20, callbacks=stopping, **settings).fit(
        digits
    )
    assert embedding.optimizer.state.iteration == 20 + 3
    stopping = EarlyStopping(min_delta=100, patience=3, exaggerated=True)
    embedding = TSNE(callbacks=stopping, **settings).fit(digits)
    assert embedding.optimizer.state.iteration == 3


@pytest.mark.parametrize("in_file", [False, True])
def test_recorder(digits, tmp_path, in_file):
    path = tmp_path / "frames.npy" if in_file else None
    seen = []
    recorder = EmbeddingRecorder(every=2, path=path)
    TSNE(
        **SHORT,
        callbacks=[recorder, lambda i, e, y: seen.append((e, np.array(y, np.float32)))],
        callbacks_every_iters=1,
    ).fit(digits)
    assert recorder.frames.shape == (25, 500, 2)
    assert recorder.frames.dtype == np.float32
    np.testing.assert_array_equal(recorder.frames, [frame for _, frame in seen[::2]])
    assert recorder.errors == [error for error, _ in seen[::2]]
    assert recorder.iterations == list(range(1, 51, 2))
    with pytest.raises(ValueError, match="read-only"):
        recorder.frames[0] = 0
    with pytest.raises(ValueError, match=r"one shape, here \(500, 2\); got \(499, 2\)"):
        recorder(1, 1.0, np.zeros((499, 2)))
    if in_file:
        assert isinstance(recorder.frames, np.memmap)
        np.testing.assert_array_equal(np.load(path), recorder.frames)
    recorder.clear()
    assert len(recorder.frames) == 0
    recorder(1, 1.0, np.ones((3, 1)))
    np.testing.assert_array_equal(recorder.frames, np.ones((1, 3, 1)))


@pytest.mark.parametrize("kind", [str, Path])
def test_files_stay_where_they_were_named(digits, tmp_path, monkeypatch, kind):
    """The program changes its folder before the fit, in it, and after it."""
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    callbacks = [EmbeddingRecorder(kind("frames.npy")), Checkpoint(kind("run.npz"))]
    assert [each.path for each in callbacks] == [
        kind(tmp_path / "one" / name) for name in ("frames.npy", "run.npz")
    ]
    monkeypatch.chdir(tmp_path / "two")
    leave = lambda *_: monkeypatch.chdir(tmp_path / "three")  # noqa: E731
    TSNE(**SHORT, callbacks=[*callbacks, leave], callbacks_every_iters=10).fit(digits)
    assert callbacks[0].frames.shape == (5, 500, 2)
    assert pickle.loads(pickle.dumps(callbacks[0])).frames.shape == (5, 500, 2)
    assert len(TSNEEmbedding.load(tmp_path / "one" / "run.npz")) == 500
    assert sorted(path.name for path in tmp_path.rglob("*.np*")) == ["frames.npy", "run.npz"]


@pytest.mark.parametrize("make", [EmbeddingRecorder, Checkpoint])
def test_folders_that_are_missing_are_noticed_before_the_fit(tmp_path, make):
    with pytest.raises(FileNotFoundError, match=r"path '.*x\.npz': there is no folder .*missing"):
        make(str(tmp_path / "missing" / "x.npz"))
    with pytest.raises(IsADirectoryError, match="is a folder; give a file"):
        make(tmp_path)


def test_addresses(digits):
    fsspec = pytest.importorskip("fsspec")
    with pytest.raises(ValueError, match="path must be a local file, or None; got the address"):
        EmbeddingRecorder("memory://frames.npy")
    checkpoint = Checkpoint("memory://callbacks/run.npz")
    assert checkpoint.path == "memory://callbacks/run.npz"
    TSNE(**SHORT, callbacks=checkpoint, callbacks_every_iters=10).fit(digits)
    assert fsspec.filesystem("memory").exists("/callbacks/run.npz")


def test_frames_that_were_given_out_stay(rng):
    recorder = EmbeddingRecorder()
    maps = rng.normal(size=(40, 5, 2)).astype(np.float32)
    recorder(1, 1.0, maps[0])
    first = recorder.frames
    for i, points in enumerate(maps[1:]):
        recorder(i, 1.0, points)
    np.testing.assert_array_equal(first, maps[:1])
    np.testing.assert_array_equal(recorder.frames, maps)


def test_checkpoint(digits, tmp_path):
    """A run that is killed goes on from its file as if nothing had happened."""
    path = tmp_path / "run.npz"

    def kill(iteration, error, embedding):
        if iteration == 25:
            raise KeyboardInterrupt

    settings = {"early_exaggeration_iter": 20, "random_state": 0, "callbacks_every_iters": 1}
    with pytest.raises(KeyboardInterrupt):
        TSNE(n_iter=60, callbacks=[Checkpoint(path, every=5), kill], **settings).fit(digits)
    resumed = TSNEEmbedding.load(path)
    assert resumed.optimizer.state.iteration == 20 + 25 - 1
    recorder = EmbeddingRecorder()
    whole = TSNE(n_iter=60, callbacks=recorder, **settings).fit(digits)
    assert resumed.kl_divergence == recorder.errors[44]
    resumed.optimize(80 - resumed.optimizer.state.iteration, inplace=True)
    np.testing.assert_array_equal(resumed, whole)


def test_error_approximations(digits, capsys):
    tsne = TSNE(**SHORT)
    embedding = tsne.prepare_initial(digits).optimize(60, exaggeration=12)
    check = ErrorApproximations(embedding.affinities.P)
    maps = []
    embedding.optimize(
        60, callbacks=[check, lambda i, e, y: maps.append(np.array(y))], callbacks_every_iters=20
    )
    P = check.P.toarray().astype(float)
    expected = [reference.kl_divergence(P / P.sum(), y) for y in maps]
    np.testing.assert_allclose(check.exact_errors, expected, rtol=1e-5)
    np.testing.assert_allclose(check.bh_errors, expected, rtol=1e-2)
    np.testing.assert_allclose(check.fft_errors, expected, rtol=1e-2)
    assert not np.array_equal(check.bh_errors, check.exact_errors)
    check.report()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Barnes-Hut: mean difference")
    assert lines[1].startswith("Interpolation: mean difference")
    assert lines[1].endswith("in 3 calls")


@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_verify_exaggeration_error(digits, method):
    embedding = TSNE(**SHORT, negative_gradient_method=method).prepare_initial(digits)
    verify = VerifyExaggerationError(embedding)
    embedding.optimize(40, exaggeration=12, callbacks=verify, callbacks_every_iters=10)
    with pytest.raises(RuntimeError, match="but without exaggeration it is"):
        verify(1, 12.0, embedding)


def test_verification_says_where_there_is_nothing_to_verify(digits, caplog):
    embedding = TSNE(**SHORT).prepare_initial(digits)
    embedding.optimize(2, callbacks=VerifyExaggerationError(embedding), callbacks_every_iters=2)
    assert "no exaggeration to verify" in caplog.text


def test_progress_as_lines(digits, capsys):
    TSNE(**SHORT, callbacks=ProgressBar(use_tqdm=False), callbacks_every_iters=10).fit(digits)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert [line.split(",")[0] for line in lines] == [
        f"iteration {text}" for text in ("10/20", "20/20", "10/30", "20/30", "30/30")
    ]
    assert "00:00 left, KL divergence" in lines[1]


def test_progress_of_a_run_that_settles(digits, capsys):
    TSNE(random_state=0, callbacks=ProgressBar(use_tqdm=False)).fit(digits)
    lines = capsys.readouterr().err.splitlines()
    # Each phase counts from the beginning; the length of the first one is known.
    assert lines[0].startswith("iteration 50/116, ")
    assert lines[2].startswith("iteration 50, KL divergence")
    assert lines[3].startswith("iteration 100, KL divergence")
    assert re.search(r"\d, about [\d.e-]+ % of it left$", lines[3])


def test_progress_on_a_terminal(digits, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    TSNE(**SHORT, callbacks=ProgressBar(use_tqdm=False), callbacks_every_iters=10).fit(digits)
    shown = sys.stderr.getvalue()
    # Where the machine is busy, the search shows how far it is, too.
    iterations = shown[shown.index("\riteration") :]
    assert iterations.count("\r") == 5
    assert iterations.count("\n") == 2
    assert iterations.endswith("\n")


def test_progress_by_tqdm(digits, capsys):
    pytest.importorskip("tqdm")
    TSNE(**SHORT, callbacks=ProgressBar(), callbacks_every_iters=10).fit(digits)
    shown = capsys.readouterr().err
    for text in ("20/20", "30/30", "KL ", "100%"):
        assert text in shown


def test_progress_without_tqdm(digits, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr("fasttsne.callbacks.progress.is_package_installed", lambda name: False)
    TSNE(**SHORT, callbacks=ProgressBar(), callbacks_every_iters=10).fit(digits)
    assert "iteration 30/30" in capsys.readouterr().err
    with pytest.raises(ImportError, match=r"pip install 'fasttsne\[progress\]'"):
        TSNE(**SHORT, callbacks=ProgressBar(use_tqdm=True)).fit(digits)


@pytest.mark.parametrize("use_tqdm", [None, True, False])
def test_progress_where_there_is_no_standard_error(digits, capsys, monkeypatch, use_tqdm):
    """As in pythonw.exe, or after ``2>&-``."""
    if use_tqdm:
        pytest.importorskip("tqdm")
    monkeypatch.setattr("fasttsne.runtime.progress.SHOWN_AFTER", -1)
    monkeypatch.setattr(sys, "stderr", None)
    watched = TSNE(**SHORT, callbacks=ProgressBar(use_tqdm), callbacks_every_iters=10).fit(digits)
    monkeypatch.undo()
    assert capsys.readouterr() == ("", "")
    np.testing.assert_array_equal(watched, TSNE(**SHORT).fit(digits))


def test_callbacks_can_be_kept_with_an_embedding(digits, tmp_path):
    callbacks = [
        ProgressBar(use_tqdm=False),
        EarlyStopping(),
        EmbeddingRecorder(path=tmp_path / "frames"),
        Checkpoint(tmp_path / "run.npz"),
        ErrorLogger(),
    ]
    kept = []

    def keep(iteration, error, embedding):
        kept.extend([copy.deepcopy(callbacks), pickle.loads(pickle.dumps(callbacks))])

    embedding = TSNE(**SHORT).fit(digits)
    embedding.optimize(5, callbacks=[*callbacks, keep], callbacks_every_iters=5)
    for twins in kept:
        embedding.optimize(5, callbacks=twins, callbacks_every_iters=5)
        assert len(twins[2].frames) == 2
        assert twins[2].iterations == [55, 55]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(min_delta=-1), "min_delta must be at least 0"),
        (lambda: EarlyStopping(patience=0), "patience must be at least 1"),
        (lambda: EmbeddingRecorder(every=0), "every must be at least 1"),
        (lambda: Checkpoint("x", every=0), "every must be at least 1"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_verification_follows_the_plan_of_the_run(digits):
    """Not the embedding's own kernel, where a call has another."""
    start = initialization.pca(digits[:200], random_state=0) * 1e4
    embedding = TSNEEmbedding(start, PerplexityBasedNN(digits[:200], 10))
    verify = VerifyExaggerationError(embedding)
    params = {"exaggeration": 4, "callbacks": verify, "callbacks_every_iters": 5}
    embedding.optimize(10, dof=0.5, **params)
    other = VerifyExaggerationError(TSNEEmbedding(start, PerplexityBasedNN(digits[:200], 40)))
    with pytest.raises(RuntimeError, match="reported a KL divergence"):
        embedding.optimize(10, **{**params, "callbacks": other})


def test_a_bar_of_a_user_keeps_its_attributes():
    class Labelled(ProgressBar):
        def __init__(self, label):
            super().__init__(use_tqdm=False)
            self.label = label

    assert copy.deepcopy(Labelled("x")).label == "x"
