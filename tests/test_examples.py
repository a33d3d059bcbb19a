"""The examples' data, and the notebook of 2018."""

import functools
import gzip
import http.server
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.quick import run_python

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FASTTSNE_DATA", "nowhere")) / "mnist"

needs_mnist = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs MNIST: FASTTSNE_DATA names no folder that holds mnist/"
)


@pytest.fixture
def utils(monkeypatch):
    # Last, so that the fasttsne that is tested stays the installed one.
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    from examples import utils

    return utils


@pytest.fixture
def serve():
    """Serves a folder on this machine; gives its address."""
    servers = []

    def start(folder):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

        handler = functools.partial(Quiet, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_idx(utils):
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(6)])
    np.testing.assert_array_equal(utils.read_idx(content), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError, match="not an IDX file"):
        utils.read_idx(b"<html>")


@needs_mnist
def test_mnist_of_a_local_copy(utils):
    x, y = utils.get_mnist()
    assert x.shape == (70_000, 784)
    assert x.dtype == y.dtype == np.uint8
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    assert y[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(y).tolist() == [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]


@pytest.mark.slow
@needs_mnist
def test_mnist_is_downloaded_once(utils, serve, tmp_path, monkeypatch):
    url = serve(DATA)
    monkeypatch.delenv("FASTTSNE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = utils.get_mnist(url=url)
    assert sorted(path.name for path in (tmp_path / "fasttsne" / "mnist").iterdir()) == sorted(
        f"{name}.gz" for name in utils.MNIST_FILES
    )
    second = utils.get_mnist(url="http://127.0.0.1:9/")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_network(utils, tmp_path):
    with pytest.raises(ConnectionError, match="environment variable FASTTSNE_DATA"):
        utils.get_mnist(tmp_path / "empty", url="http://127.0.0.1:9/")
    assert not (tmp_path / "empty").exists()


def test_wrong_files(utils, serve, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for name in utils.MNIST_FILES:
        (wrong / f"{name}.gz").write_bytes(gzip.compress(b"another file"))
    with pytest.raises(ValueError, match="another file or damaged: its SHA-256 is"):
        utils.get_mnist(tmp_path / "cache", url=serve(wrong))
    assert not (tmp_path / "cache").exists()
    (wrong / "train-images-idx3-ubyte.gz").write_bytes(b"<html>sign in</html>")
    with pytest.raises(ValueError, match=r"from .* is damaged"):
        utils.get_mnist(wrong)
    with pytest.raises(ConnectionError, match="404"):
        utils.get_mnist(tmp_path / "cache", url=serve(tmp_path / "empty"))


def test_the_notebook_of_2018(utils, digits, tmp_path, monkeypatch):
    """Its cells as they were typed, on 500 digits and few iterations."""
    animation = pytest.importorskip("matplotlib.animation")
    pytest.importorskip("PIL")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    from fasttsne.datasets import load_digits

    x, y = digits, load_digits()[1][:500]

    from fastTSNE import TSNE

    embeddings = []
    tsne = TSNE(
        perplexity=30,
        neighbors="approx",
        negative_gradient_method="fft",
        initialization="random",
        callbacks=lambda it, err, emb: embeddings.append(np.array(emb)),
        callbacks_every_iters=1,
        n_jobs=-2,
        early_exaggeration_iter=20,
        n_iter=30,
    )
    embedding = tsne.fit(x)
    assert repr(embedding).startswith("TSNEEmbedding([[")
    assert len(embeddings) == 50
    assert not np.array_equal(embeddings[0], embeddings[-1])

    fig = plt.figure(figsize=(2, 2))
    ax = plt.subplot()
    pathcol = ax.scatter(embeddings[0][:, 0], embeddings[0][:, 1], c=y, s=1)

    def update(frame):
        pathcol.set_offsets(frame)
        ax.set(xlim=(frame[:, 0].min(), frame[:, 0].max()))
        ax.set(ylim=(frame[:, 1].min(), frame[:, 1].max()))
        return [pathcol]

    anim = animation.FuncAnimation(fig, update, frames=embeddings[::10], blit=True)
    anim.save("mnist.gif", writer="pillow", dpi=40)
    plt.close(fig)
    assert Path("mnist.gif").read_bytes().startswith(b"GIF89a")

    from fasttsne import animation as ours

    assert ours.save(embeddings, path="ours.gif", labels=y, progress=False).stat().st_size > 10_000


def test_rows_of_a_zarr_store(tmp_path):
    pytest.importorskip("zarr")
    script = ROOT / "examples" / "zarr_store.py"
    result = run_python(
        str(script),
        "--rows",
        "3500",
        "--store",
        str(tmp_path / "cells.zarr"),
        "--map",
        str(tmp_path / "map.npy"),
        "--memory-limit",
        "1MB",
    )
    assert result.returncode == 0, result.stderr
    assert "3,500 rows; without a limit a fit would take 0.0" in result.stdout
    assert np.load(tmp_path / "map.npy").shape == (3500, 2)


@pytest.mark.slow
def test_rows_of_a_zarr_store_on_a_cluster(tmp_path):
    for package in ("zarr", "distributed", "matplotlib"):
        pytest.importorskip(package)
    script = ROOT / "examples" / "dask_store.py"
    result = run_python(
        str(script),
        "--rows",
        "3500",
        "--store",
        str(tmp_path / "rows.zarr"),
        "--map",
        str(tmp_path / "map.npy"),
        "--picture",
        str(tmp_path / "map.png"),
        MPLBACKEND="Agg",
    )
    assert result.returncode == 0, result.stderr
    assert np.load(tmp_path / "map.npy").shape == (3500, 2)
    assert (tmp_path / "map.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_stream_of_batches(tmp_path):
    for package in ("matplotlib", "PIL"):
        pytest.importorskip(package)
    result = run_python(
        str(ROOT / "examples" / "stream.py"),
        "--rows",
        "500",
        "--batches",
        "3",
        "--window",
        "400",
        "--folder",
        str(tmp_path),
        MPLBACKEND="Agg",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("KL divergence") == 3
    assert "batch_3.png: 400 rows" in result.stdout
    assert (tmp_path / "batch_3.png").stat().st_size > 10_000
    assert (tmp_path / "stream.gif").read_bytes().startswith(b"GIF89a")
