"""``fasttsne report``: tables, JSON, pages, exit codes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import fasttsne
from fasttsne.cli import main
from fasttsne.datasets import load_digits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with rows, labels and a map."""
    folder = tmp_path_factory.mktemp("files")
    X, y = load_digits()
    np.save(folder / "X.npy", X[:300])
    np.savetxt(folder / "y.csv", y[:300], "%d")
    options = ["-q", "--metric", "cosine", "--seed", "0"]
    assert main(["fit", str(folder / "X.npy"), "-o", str(folder / "map.npz"), *options]) == 0
    return folder


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    """Rows, labels and a map in the current folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    X, y = load_digits()
    return X[:300], y[:300]


def test_a_table_and_a_page(files, capsys):
    pytest.importorskip("jinja2", reason="needs Jinja2: the extra report")
    X, y = files
    capsys.readouterr()
    command = ["report", "map.npz", "X.npy", "--labels", "y.csv", "--html", "map.html"]
    assert main(command) == 0
    printed = capsys.readouterr()
    with np.load("map.npz") as archive:
        expected = fasttsne.report(X, archive["embedding"], y, metric="cosine")
    assert printed.out == f"{expected}\n"
    assert printed.err == "fasttsne: wrote map.html\n"
    assert "cosine" in Path("map.html").read_text(encoding="utf-8")


def test_json(files, capsys):
    capsys.readouterr()
    assert main(["report", "map.npz", "X.npy", "--json", "--sample", "50", "--seed", "7"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0.8 < found["scores"]["trustworthiness"]["value"] <= 1
    assert found["facts"]["Map"]["distance"] == "cosine"
    assert found["facts"]["Report"]["seed of the samples"] == "7"


def test_exit_codes_for_pipelines(files, capsys):
    command = ["report", "map.npz", "X.npy", "--sample", "50", "--fail-under"]
    assert main([*command, "trustworthiness=.5"]) == 0
    capsys.readouterr()
    assert main([*command, "trustworthiness=.5", "--fail-under", "continuity=1.01"]) == 3
    assert "continuity is " in capsys.readouterr().err
    # A score that there is not is not as high as it should be.
    assert main([*command, "label_accuracy=0"]) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fail-under", "nonsense=1"], "'nonsense' is none of neighbor_recall"),
        (["--fail-under", "stress"], "write SCORE=LIMIT, as stress=.9"),
        (["--labels", "short.csv"], "labels 'short.csv' must have a value for each of 300 rows"),
        (["--html", "map.pdf"], "map.pdf must have one of the extensions"),
        (["--sample", "many"], "sample must be 'auto'"),
    ],
)
def test_what_is_refused(files, capsys, more, message):
    np.savetxt("short.csv", np.zeros(5), "%d")
    capsys.readouterr()
    try:
        code = main(["report", "map.npz", "X.npy", *more])
    except SystemExit as error:  # of the parser
        code = error.code
    printed = capsys.readouterr()
    assert code == 2
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err


def test_rows_that_do_not_match(files, capsys):
    np.save("fewer.npy", files[0][:299])
    capsys.readouterr()
    assert main(["report", "map.npz", "fewer.npy"]) == 2
    assert "as many rows as X, 299; got 300" in capsys.readouterr().err


def test_an_empty_metric(files, capsys):
    """It is not that of the map."""
    assert main(["report", "map.npz", "X.npy", "--metric", ""]) == 2
    assert "metric" in capsys.readouterr().err


@pytest.mark.filterwarnings("default::UserWarning")
def test_a_column_of_a_larger_unit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(240, 4)) * [2.7, 1.1, 450, 6.6]
    np.savetxt("X.csv", rows, delimiter=",", header="bill,depth,body_mass_g,flipper", comments="")
    assert main(["fit", "X.csv", "-o", "map.npz", "-q", "--seed", "0"]) == 0
    assert "body_mass_g makes 99.9% of all squared distances" in capsys.readouterr().err
    assert main(["fit", "X.csv", "-o", "cosine.npz", "-q", "--metric", "cosine"]) == 0
    assert "makes" not in capsys.readouterr().err
    assert main(["report", "map.npz", "X.csv", "--json"]) == 0
    text = capsys.readouterr().out
    text = text[text.index("{") :]  # after the line about columns
    (finding,) = [each for each in json.loads(text)["findings"] if each["kind"] == "column"]
    assert finding["text"].startswith("body_mass_g makes 99.9%")


@pytest.mark.slow
def test_metrics_of_a_sample_have_their_errors(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).normal(size=(2100, 3)).astype(np.float32)
    np.save("X.npy", X)
    np.save("map.npy", X[:, :2])
    assert main(["metrics", "X.npy", "map.npy", "-k", "5"]) == 0
    expected = fasttsne.metrics.neighbor_recall(X, X[:, :2], 5)
    half = 1.959964 * expected.standard_error
    assert f"neighbor_recall       {expected:.4f}  ± {half:.4f}\n" in capsys.readouterr().out
