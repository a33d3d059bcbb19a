import numpy as np
import pytest

from fasttsne import TSNE
from fasttsne.callbacks import Callback, ErrorLogger


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
        early_exaggeration_iter=20, n_iter=30, callbacks=[recorder], callbacks_every_iters=10,
        random_state=0,
    ).fit(digits)  # fmt: skip
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
        callbacks_every_iters=5, random_state=0,
    ).fit(digits)  # fmt: skip
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
