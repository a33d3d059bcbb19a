"""Whole fits, as users run them."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.quick import QUICK

import fasttsne
from fasttsne import TSNE, TSNEEmbedding
from fasttsne.affinity import MultiscaleMixture, PerplexityBasedNN
from fasttsne.datasets import load_digits

SHORT = {**QUICK, "early_exaggeration_iter": 30, "n_iter": 30}


def label_accuracy(points, labels, k=10):
    """Share of rows whose k nearest in the map mostly have their label."""
    indices, _ = fasttsne.nearest_neighbors.Exact(np.asarray(points), k).build()
    votes = np.apply_along_axis(lambda row: np.bincount(row, minlength=10), 1, labels[indices])
    return (votes.argmax(1) == labels).mean()


@pytest.mark.thin(1)
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_the_digits_come_apart(method):
    X, labels = load_digits()
    embedding = TSNE(negative_gradient_method=method, random_state=0).fit(X)
    assert isinstance(embedding, TSNEEmbedding)
    assert embedding.shape == (1797, 2)
    assert embedding.dtype == np.float64
    assert embedding.kl_divergence < 0.80
    assert label_accuracy(embedding, labels) > 0.97
    np.testing.assert_allclose(np.asarray(embedding).mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("n_components", [1, 3])
def test_other_dimensions(n_components):
    X, labels = load_digits()
    embedding = TSNE(n_components=n_components, random_state=0).fit(X)
    assert embedding.shape == (1797, n_components)
    assert label_accuracy(embedding, labels) > 0.9


@pytest.mark.thin(2)
@pytest.mark.parametrize("n_components", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
def test_same_seed_same_map_for_any_number_of_threads(digits, method, n_components):
    params = {"n_components": n_components, "negative_gradient_method": method, **SHORT}
    maps = {TSNE(n_jobs=n_jobs, **params).fit(digits).tobytes() for n_jobs in (1, 2, 3, -1)}
    assert len(maps) == 1


@pytest.mark.parametrize("n_components", [1, 3])
@pytest.mark.slow
def test_methods_agree_in_other_dimensions(digits, n_components):
    errors = {
        TSNE(n_components, negative_gradient_method=method, **SHORT).fit(digits).kl_divergence
        for method in ("exact", "bh", "fft", "auto")
    }
    assert max(errors) < 1.02 * min(errors)


def test_random_state_matters(digits):
    settings = {**SHORT, "initialization": "random"}
    first = TSNE(**settings).fit(digits)
    second = TSNE(**{**settings, "random_state": 1}).fit(digits)
    assert not np.array_equal(first, second)
    generator = TSNE(**{**settings, "random_state": np.random.RandomState(0)}).fit(digits)
    np.testing.assert_array_equal(first, generator)


@pytest.mark.thin(3)
@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int32, np.int64, np.float64, bool])
def test_dtypes(digits, dtype):
    X = (digits > 8) if dtype is bool else digits
    expected = TSNE(**SHORT).fit(X.astype(np.float32))
    X = X.astype(dtype)
    before = X.copy()
    result = TSNE(**SHORT).fit(X)
    np.testing.assert_array_equal(X, before)
    assert abs(result.kl_divergence - expected.kl_divergence) < 0.2


def test_read_only_fortran_and_strided_input(digits):
    expected = TSNE(**SHORT).fit(digits)
    for X in (np.asfortranarray(digits), np.repeat(digits, 2, axis=0)[::2], digits.tolist()):
        result = TSNE(**SHORT).fit(X)
        assert abs(result.kl_divergence - expected.kl_divergence) < 0.2
    read_only = digits.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(TSNE(**SHORT).fit(read_only), expected)


@pytest.mark.thin(9)
@pytest.mark.parametrize("method", ["exact", "bh", "fft"])
@pytest.mark.parametrize(
    "X",
    [
        np.ones((50, 4)),
        np.repeat(np.arange(20.0).reshape(10, 2), 20, axis=0),
        np.eye(5),
        np.arange(30.0)[:, None],
        np.array([[0.0, 1], [1, 0]]),
        np.r_[np.zeros((100, 3)), np.full((1, 3), 1e9)],
    ],
    ids=["all equal", "duplicates", "five rows", "one column", "two rows", "outlier"],
)
@pytest.mark.filterwarnings("ignore:perplexity")
def test_awkward_data(X, method):
    before = X.copy()
    embedding = TSNE(negative_gradient_method=method, **SHORT).fit(X)
    assert np.isfinite(embedding).all()
    assert np.isfinite(embedding.kl_divergence)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([[1.0, np.nan], [0, 0]], ValueError, r"X must be finite; X\[0, 1\] is nan"),
        ([[1.0, np.inf], [0, 0]], ValueError, r"X\[0, 1\] is inf"),
        ([[1.0, 2.0]], ValueError, "X needs at least 2 rows; got 1"),
        ([1.0, 2.0], ValueError, r"two-dimensional.*\(2,\)"),
        (np.zeros((5, 0)), ValueError, "at least one column"),
        ([["a", "b"], ["c", "d"]], TypeError, "real numbers"),
        (None, ValueError, "X is needed"),
    ],
)
def test_bad_data(X, error, message):
    with pytest.raises(error, match=message):
        TSNE().fit(X)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components must be at least 1; got 0"),
        ({"n_components": 4}, ValueError, "n_components must be at most 3; got 4"),
        ({"perplexity": 0}, ValueError, "perplexity must be greater than 0"),
        ({"perplexity": []}, ValueError, r"a number or a non-empty list of numbers; got \[\]"),
        ({"perplexity": [5, -1]}, ValueError, "perplexity must be greater than 0; got -1"),
        ({"perplexity": "high"}, TypeError, "perplexity must be a number; got 'high'"),
        ({"learning_rate": "fast"}, ValueError, "'auto'; got 'fast'"),
        ({"n_iter": -5}, ValueError, "n_iter must be at least 0; got -5"),
        ({"n_iter": 2.5}, TypeError, "n_iter must be an integer; got 2.5"),
        ({"early_exaggeration_iter": "x"}, ValueError, "early_exaggeration_iter .*got 'x'"),
        ({"initialization": "tsne"}, ValueError, "'pca', 'spectral', 'random'; got 'tsne'"),
        ({"initialization": np.zeros((3, 2))}, ValueError, r"\(500, 2\); got \(3, 2\)"),
        ({"metric": "nonsense"}, ValueError, "metric must be one of .* got 'nonsense'"),
        ({"neighbors": "nonsense"}, ValueError, "neighbors must be one of .* got 'nonsense'"),
        ({"negative_gradient_method": "x"}, ValueError, "negative_gradient_method .* got 'x'"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer; got 1.5"),
        ({"dof": -1}, ValueError, "dof must be greater than 0"),
        ({"theta": -1}, ValueError, "theta must be at least 0"),
        ({"final_momentum": 1.5}, ValueError, "final_momentum must be at most 1"),
        ({"random_state": "seed"}, TypeError, "random_state must be"),
        ({"callbacks_every_iters": 0}, ValueError, "callbacks_every_iters must be at least 1"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_parameters(digits, params, error, message):
    with pytest.raises(error, match=message):
        TSNE(**params).fit(digits)


def test_several_perplexities(digits):
    X = digits[:150]
    embedding = TSNE(perplexity=[5, 20], **SHORT).fit(X)
    expected = TSNE(**SHORT).fit(X, affinities=MultiscaleMixture(X, [5, 20]))
    np.testing.assert_array_equal(embedding, expected)
    assert embedding.transform(X[:3], perplexity=[2, 5]).shape == (3, 2)


def test_too_large_a_perplexity_warns(digits):
    with pytest.warns(UserWarning, match="using"):
        TSNE(perplexity=40, **SHORT).fit(digits[:30])


def test_affinities_in_place_of_x(digits):
    affinities = PerplexityBasedNN(digits)
    start = fasttsne.initialization.pca(digits, random_state=0)
    expected = TSNE(**SHORT).fit(digits)
    np.testing.assert_array_equal(
        TSNE(**SHORT).fit(affinities=affinities, initialization=start), expected
    )
    np.testing.assert_array_equal(TSNE(**SHORT).fit(digits, affinities=affinities), expected)
    spectral = fasttsne.initialization.spectral(affinities.P_float32, random_state=0)
    np.testing.assert_array_equal(
        TSNE(**SHORT).fit(affinities=affinities),
        TSNE(**SHORT).fit(affinities=affinities, initialization=spectral),
    )
    with pytest.raises(ValueError, match="500 rows, but X has 400"):
        TSNE().fit(digits[:400], affinities=affinities)


def test_phases_are_the_classical_schedule(digits):
    """Explicit numbers give exactly two calls of ``optimize``."""
    embedding = TSNE(**SHORT).prepare_initial(digits)
    embedding.optimize(30, inplace=True, exaggeration=12, momentum=0.8)
    embedding.optimize(30, inplace=True, momentum=0.8)
    np.testing.assert_array_equal(embedding, TSNE(**SHORT).fit(digits))


def test_constructor_only_stores(digits):
    tsne = TSNE(perplexity=-1, n_jobs=0)
    assert tsne.perplexity == -1
    assert repr(TSNE(perplexity=50, n_jobs=2)) == "TSNE(perplexity=50, n_jobs=2)"


def test_ctrl_c_during_a_fit(tmp_path):
    """A real SIGINT: the program sees KeyboardInterrupt and finds a finite map."""
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import time\n"
        "import numpy as np\n"
        "from fasttsne import TSNE\n"
        "tsne = TSNE(n_iter=10**7, callbacks=lambda i, e, y: print(i, flush=True))\n"
        "try:\n"
        "    tsne.fit(np.random.default_rng(0).normal(size=(3000, 10)))\n"
        "except KeyboardInterrupt as interrupt:\n"
        "    assert interrupt.final_embedding is tsne.embedding_\n"
        "    assert np.isfinite(tsne.embedding_).all()\n"
        "    print('usable', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert output.splitlines()[-1] == "usable"
    assert process.returncode == 0
    assert time.monotonic() - start < 30


def test_mnist(tmp_path):
    """2,000 real images; skipped where they are not at hand."""
    folder = Path(os.environ.get("FASTTSNE_DATA", ""), "mnist")
    if not os.environ.get("FASTTSNE_DATA") or not folder.is_dir():
        pytest.skip("set FASTTSNE_DATA to a folder that holds mnist/")
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as images:
        X = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 784)[:2000]
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as labels:
        y = np.frombuffer(labels.read(), np.uint8, offset=8)[:2000]
    embedding = TSNE(random_state=0).fit(X)
    assert embedding.kl_divergence < 1.5
    assert label_accuracy(embedding, y) > 0.85
