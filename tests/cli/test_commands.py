"""The command line as it is typed: real processes, real files, good and bad ones."""

import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from helpers.quick import run_python

from fasttsne import TSNE, TSNEEmbedding, __version__, files, metrics
from fasttsne.cli import main
from fasttsne.cli.files import write_each
from fasttsne.drawing.frames import WRITERS
from fasttsne.optimize import parameters

QUICK = (
    "--perplexity",
    "5",
    "--n-iter",
    "20",
    "--early-exaggeration-iter",
    "10",
    "--seed",
    "0",
    "--n-jobs",
    "2",
)


def run(*arguments):
    """Run ``python -m fasttsne``."""
    return run_python("-m", "fasttsne", *arguments)


def fails(*arguments):
    """What a command that must fail says; one line, code 2."""
    result = run(*arguments)
    assert result.returncode == 2, result
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("fasttsne: ")
    return result.stderr


@pytest.fixture(scope="module")
def rows(digits):
    return digits[:60]


@pytest.fixture(scope="module")
def expected(rows):
    """The map of these rows with the options QUICK."""
    return np.asarray(
        TSNE(perplexity=5, n_iter=20, early_exaggeration_iter=10, random_state=0).fit(rows)
    )


@pytest.fixture
def data(rows, tmp_path):
    """The rows as an .npy file."""
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


@pytest.mark.slow
def test_version_and_help():
    assert run("--version").stdout == f"fasttsne {__version__}\n"
    assert "fit" in run("--help").stdout
    help = run("fit", "--help").stdout
    for option in ("--perplexity", "--knn-kwargs", "--seed", "--checkpoint"):
        assert option in help
    assert "effective number of neighbours" in help  # from the docstring of TSNE


def test_every_parameter_is_an_option_with_its_documentation(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    help = capsys.readouterr().out
    for name, parameter in parameters.TSNE.items():
        if name not in ("callbacks", "verbose"):
            assert f"--{name.replace('_', '-')} VALUE" in help
            if name != "random_state":  # which is 0 here
                assert parameter.help[:20] in " ".join(help.split())


def test_fit(data, expected, tmp_path):
    output = tmp_path / "map.npy"
    result = run("fit", data, "-o", output, "--callbacks-every-iters", "10", *QUICK)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(np.load(output), expected)
    assert "KL divergence" in result.stdout
    shown = result.stderr.splitlines()[0]
    assert re.fullmatch(
        r"early exaggeration: iteration 10, KL divergence \d\.\d+, \d+:\d\d left", shown
    )


def test_verbose_prints_the_fingerprint(data, tmp_path, capsys):
    output = tmp_path / "map.npz"
    assert main(["fit", str(data), "-o", str(output), "-v", *QUICK]) == 0
    shown = re.search("^fingerprint ([0-9a-f]{8})$", capsys.readouterr().out, re.MULTILINE)
    embedding = TSNE(perplexity=5, n_iter=20, early_exaggeration_iter=10, random_state=0)
    assert shown[1] == embedding.fit(np.load(data)).fingerprint()


def test_fit_quietly(data, tmp_path, capsys):
    assert main(["fit", str(data), "-o", str(tmp_path / "map.npy"), "-q", *QUICK]) == 0
    assert capsys.readouterr().err == ""


def write_rows(path, rows):
    """The rows in a file of any kind."""
    ending = path.suffix
    if ending == ".npz":
        np.savez(path, X=rows, more=np.arange(3))
    elif ending in files.DELIMITERS:
        names = [f"pixel{i}" for i in range(rows.shape[1])]
        comma = files.DELIMITERS[ending]
        np.savetxt(path, rows, delimiter=comma, header=comma.join(names), comments="")
    elif ending == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({f"pixel{i}": column for i, column in enumerate(rows.T)})
        parquet.write_table(table, path)
    elif ending == ".h5ad":
        anndata = pytest.importorskip("anndata")
        anndata.AnnData(np.zeros_like(rows), obsm={"X_pca": np.array(rows)}).write_h5ad(path)
    elif ending == ".h5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["group/rows"], file["labels"] = rows, [f"kind {i % 3}" for i in range(len(rows))]
    elif ending == ".zarr":
        group = pytest.importorskip("zarr").open_group(path, mode="w")
        group.create_array("X", data=np.array(rows), chunks=(7, 30))
        group.create_array("other", data=np.zeros((3, 4)))
    else:
        scipy.io.mmwrite(path, sp.coo_matrix(rows))


@pytest.mark.parametrize(
    "ending", [".npz", ".csv", ".tsv", ".parquet", ".h5ad", ".h5", ".zarr", ".mtx"]
)
def test_reads(ending, rows, expected, tmp_path):
    path = tmp_path / f"rows{ending}"
    write_rows(path, rows)
    output = tmp_path / "map.npy"
    assert main(["fit", str(path), "-o", str(output), "-q", *QUICK]) == 0
    # Sparse rows and doubles take other ways through the first step.
    close = np.abs(np.load(output) - expected).max() / np.abs(expected).max()
    assert close < (0.2 if ending == ".mtx" else 1e-3)


def test_a_data_set_of_many(rows, expected, tmp_path):
    path, output = tmp_path / "rows.h5", tmp_path / "map.npz"
    write_rows(path, rows)
    options = [
        "--dataset",
        "group/rows",
        "--labels",
        "labels",
        "--memory-limit",
        "1 kB",
        "--temp-folder",
        str(tmp_path),
    ]
    assert main(["fit", str(path), "-o", str(output), "-q", *options, *QUICK]) == 0
    with np.load(output) as found:
        assert np.array_equal(found["embedding"], expected)
        assert found["labels"].tolist()[:4] == ["kind 0", "kind 1", "kind 2", "kind 0"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["map.npz", "rows.h5"]


def test_data_sets_that_are_not_there(rows, tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["a"], file["b"] = rows, rows
    for options, message in (
        ([], "it has the two-dimensional data sets a, b: choose one by --dataset"),
        (["--dataset", "c"], "it has no data set 'c', only a, b"),
    ):
        assert main(["fit", str(tmp_path / "rows.h5"), "-q", *options]) != 0
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".tsv", ".csv.gz", ".parquet"])
def test_writes_what_it_reads(ending, data, expected, tmp_path):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    np.save(tmp_path / "names.npy", np.array([f'a "name", {i}' for i in range(60)]))
    output = tmp_path / f"map{ending}"
    labels = [] if ending == ".npy" else ["--labels", str(tmp_path / "names.npy")]
    assert main(["fit", str(data), "-o", str(output), "-q", *labels, *QUICK]) == 0
    table = files.read_table(output)
    assert np.array_equal(np.asarray(table.data), expected)
    if labels:
        name = "labels" if ending == ".npz" else "label"
        assert table.columns[name][7] == 'a "name", 7'


def test_labels_in_the_data(rows, expected, tmp_path):
    y = np.arange(60) % 3
    names = ",".join(["", *(f"p{i}" for i in range(64)), "kind"])
    lines = [
        f"row{i}," + ",".join(map(str, row)) + f",{label}"
        for i, (row, label) in enumerate(zip(rows.tolist(), y, strict=True))
    ]
    (tmp_path / "rows.csv").write_text("\n".join([names, *lines]) + "\n")
    output = tmp_path / "map.npz"
    options = ["-o", str(output), "-q", "--labels", "kind", *QUICK]
    assert main(["fit", str(tmp_path / "rows.csv"), *options]) == 0
    with np.load(output) as archive:
        assert np.allclose(archive["embedding"], expected, atol=1e-3)
        assert np.array_equal(archive["labels"].astype(int), y)
        assert archive["kl_divergence"] > 0


def test_values_of_options(data, tmp_path, rows):
    start = np.random.default_rng(0).normal(size=(60, 1))
    np.save(tmp_path / "start.npy", start)
    options = ["--initialization", str(tmp_path / "start.npy"), "--n-components", "1"]
    options += ["--max-step-norm", "none", "--knn-kwargs", '{"recall": 0.99}']
    options += ["--learning-rate", ".5e1", "--metric", "cosine"]
    assert main(["fit", str(data), "-o", str(tmp_path / "map.npy"), *QUICK, *options]) == 0
    expected = TSNE(
        perplexity=5,
        n_iter=20,
        early_exaggeration_iter=10,
        random_state=0,
        initialization=start,
        n_components=1,
        max_step_norm=None,
        knn_kwargs={"recall": 0.99},
        learning_rate=5.0,
        metric="cosine",
    ).fit(rows)
    assert np.array_equal(np.load(tmp_path / "map.npy"), np.asarray(expected))


def test_a_known_graph(data, tmp_path, rows):
    graph = sp.random(60, 60, 0.5, "csr", random_state=0)
    sp.save_npz(tmp_path / "graph.npz", graph)
    options = [*QUICK, "-q", "--neighbors", str(tmp_path / "graph.npz")]
    assert main(["fit", str(data), "-o", str(tmp_path / "map.npy"), *options]) == 0
    expected = TSNE(
        perplexity=5, n_iter=20, early_exaggeration_iter=10, random_state=0, neighbors=graph
    ).fit(rows)
    assert np.array_equal(np.load(tmp_path / "map.npy"), np.asarray(expected))


def test_transpose_and_key(rows, expected, tmp_path):
    np.savez(tmp_path / "rows.npz", genes=rows.T, other=np.zeros((3, 3)))
    options = ["--key", "genes", "--transpose", "-q", *QUICK]
    source, output = tmp_path / "rows.npz", tmp_path / "map.npy"
    assert main(["fit", str(source), "-o", str(output), *options]) == 0
    assert np.allclose(np.load(output), expected, atol=1e-3)


BAD_OPTIONS = [
    (["--perplexity", "many"], "perplexity must be a number; got 'many'"),
    (["--perplexity", "-3"], "perplexity must be greater than 0; got -3"),
    (["--n-iter", "1.5"], "n_iter must be an integer"),
    (["--n-jobs", "0"], "n_jobs must not be 0"),
    (["--metric", "nonsense"], "nonsense"),
    (["--neighbors", "nonsense"], "neighbors must be one of 'auto'"),
    (["--initialization", "nonsense"], "initialization must be one of"),
    (["--initialization", "nowhere.npy"], "nowhere.npy: no such file"),
    (["--knn-kwargs", "recall"], "knn_kwargs"),
    (["--nonsense", "1"], "unrecognized arguments: --nonsense 1 (see fasttsne fit --help)"),
    (["--perplexit", "5"], "unrecognized arguments: --perplexit 5; do you mean --perplexity?"),
    (["--max-iter", "50", "--n-iter", "50"], "give either --max-iter or --n-iter, not both"),
    (["--labels", "nowhere.npy"], "labels 'nowhere.npy': no such file, column or array"),
    (["-o", "/nowhere/at/all.npy"], "no such folder: /nowhere/at"),
    (["-o", "map.txt"], "cannot write the extension '.txt'"),
    (["-o", "map"], "cannot write the extension ''"),
    (["--plot", "map.doc"], "map.doc must have one of the extensions .png"),
    (["--checkpoint", "map.pkl"], "map.pkl must have one of the extensions .npz"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=lambda v: "".join(v)[:30])
def test_bad_options(options, message, data, capsys):
    try:
        code = main(["fit", str(data), "-q", *options])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr().err
    assert code == 2
    assert message in said
    assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_bad_files_in_processes(tmp_path, data):
    assert "no such file" in fails("fit", tmp_path / "nothing.npy")
    (tmp_path / "broken.npy").write_bytes(b"not at all")
    assert "broken.npy" in fails("fit", tmp_path / "broken.npy")
    assert "required" in fails("fit")
    assert "invalid choice" in fails("nonsense")
    assert "must be (frames, rows, 2)" in fails("animate", data, "-o", tmp_path / "a.gif")


LONG_NAMES = [f"length_of_the_bill_in_millimetres_{i}" for i in range(6)]
BAD_FILES = {
    "empty.npy": (b"", "empty.npy"),
    "empty.csv": (b"", "it is empty"),
    "empty.npz": (b"", "empty.npz"),
    "short.npz": (b"PK\x03\x04nothing", "short.npz"),
    "ragged.csv": (b"a,b\n1,2\n3\n", "ragged.csv"),
    "text.csv": (b"a,b\nx,y\nz,w\n", "text.csv: no column has numbers; the columns are a, b"),
    "wide.csv": (b"a,b\n1,2\n3,4,5\n6,7\n", "wide.csv: "),
    "hole.csv": (
        b"a,b\n1,2\n,4\n",
        "hole.csv: values are missing in the column 'a' (1, the first on line 3); fill them, leave "
        "out the rows, or leave out the column: --drop a",
    ),
    "late.csv": (
        b"a,b\n1,2\n3,many\n",
        "late.csv: column 'b' has 'many' on line 3, which is no number",
    ),
    "bytes.csv": (b"\xff\xfe\x00\x01\n\x00", "bytes.csv"),
    "bad.mtx": (b"%%MatrixMarket nonsense\n", "bad.mtx"),
    "bad.parquet": (b"PAR1", "bad.parquet"),
    "bad.h5ad": (b"\x89HDF", "bad.h5ad"),
    "rows.xlsx": (b"PK", "cannot read the extension '.xlsx', only .npy"),
    "one.csv": (b"a,b\n1,2\n", "one.csv needs at least 2 rows"),
    "nan.csv": (
        b"a,b\n1,2\n3,nan\n5,6\n",
        "nan.csv: values are missing in the column 'b' (1, the first on line 3)",
    ),
    "inf.csv": (b"a,b\n1,2\n3,inf\n5,6\n", "inf.csv: column 'b' has inf on line 3; correct it"),
    "holes.csv": (
        b'id,a,"b,c",d,e\nx,1,2,3,4\n\n"y\nz",,5,6,NA\nw,3,,8,\n',
        "holes.csv: values are missing in the columns 'a' (1, the first on line 4), 'b,c' (1, the "
        "first on line 6), 'e' (2, the first on line 4); fill them, leave out the rows, or leave "
        "out the columns: --drop 'a,\"b,c\",e' (see",
    ),
    "long.csv": (
        ",".join(LONG_NAMES).encode() + b"\n,,,,,\n1,2,3,4,5,6\n",
        f"leave out the columns: --drop {','.join(LONG_NAMES)} (see",
    ),
    "unnamed.csv": (
        b",class\nx,y\nz,w\n",
        "unnamed.csv: no column has numbers; the columns are (no name), class",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(name, tmp_path, capsys):
    pytest.importorskip({"bad.parquet": "pyarrow", "bad.h5ad": "anndata"}.get(name, "numpy"))
    content, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    code = main(["fit", str(tmp_path / name), "-o", str(tmp_path / "map.npy"), "-q"])
    said = capsys.readouterr().err
    assert code == 2
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "map.npy").exists()


def test_pickles_are_not_loaded(tmp_path, capsys):
    np.save(tmp_path / "objects.npy", np.array([{}, None], object))
    assert main(["fit", str(tmp_path / "objects.npy")]) == 2
    assert "Python objects" in capsys.readouterr().err
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(np.zeros((9, 2))))
    assert main(["fit", str(tmp_path / "pickle.npy")]) == 2
    assert "the magic string is not correct" in capsys.readouterr().err
    np.savez(tmp_path / "objects.npz", X=np.array([{}, None], object))
    assert main(["fit", str(tmp_path / "objects.npz")]) == 2
    assert "allow_pickle=False" in capsys.readouterr().err


def test_ambiguous_and_wrong_keys(tmp_path, capsys):
    np.savez(tmp_path / "two.npz", first=np.zeros((9, 2)), second=np.zeros((9, 2)))
    assert main(["fit", str(tmp_path / "two.npz")]) == 2
    assert "has the arrays first, second: choose one by key" in capsys.readouterr().err
    assert main(["fit", str(tmp_path / "two.npz"), "--key", "third"]) == 2
    assert "has no 'third', only first, second" in capsys.readouterr().err


def test_labels_of_another_length(data, tmp_path, capsys):
    np.save(tmp_path / "few.npy", np.zeros(7))
    assert main(["fit", str(data), "-q", "--labels", str(tmp_path / "few.npy")]) == 2
    assert "few.npy' must have a value for each of 60 rows of " in capsys.readouterr().err


def test_extras_are_named(tmp_path, monkeypatch, capsys, data):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    for name in ("pyarrow", "pyarrow.csv", "pyarrow.parquet", "polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["fit", str(tmp_path / "rows.parquet")]) == 2
    assert "pip install 'fasttsne[files]'" in capsys.readouterr().err
    assert main(["fit", str(data), "-o", str(tmp_path / "map.parquet")]) == 2
    assert "pip install 'fasttsne[files]'" in capsys.readouterr().err


def test_warnings_are_one_line(tmp_path, rows):
    np.save(tmp_path / "few.npy", rows[:12])
    result = run("fit", tmp_path / "few.npy", "-o", tmp_path / "map.npy", "-q", "--n-iter", "5")
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("fasttsne: warning: perplexity 30 is too large")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be sent SIGINT")
def test_ctrl_c_saves_the_map(data, tmp_path):
    output = tmp_path / "map.npy"
    command = [sys.executable, "-m", "fasttsne", "fit", data, "-o", output, *QUICK]
    command[command.index("--n-iter") + 1] = "1000000"
    with subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert "main phase: iteration 25" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted: writing the current embedding" in err
    assert "Traceback" not in err
    assert f"wrote {output}" in out
    assert np.isfinite(np.load(output)).all()
    assert np.load(output).shape == (60, 2)


def test_a_failed_write_leaves_what_was_there(tmp_path, expected):
    output = tmp_path / "map.csv"
    output.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        files.write_map(output, expected, labels=["a"] * 59 + ["\ud800"])
    assert output.read_text() == "before"
    assert os.listdir(tmp_path) == ["map.csv"]


@pytest.mark.slow
def test_a_checkpoint_can_be_continued(data, expected, tmp_path):
    output, run_file = tmp_path / "map.npy", tmp_path / "run.npz"
    result = run("fit", data, "-o", output, "-q", "--checkpoint", run_file, *QUICK)
    assert result.returncode == 0, result.stderr
    embedding = TSNEEmbedding.load(run_file)
    assert np.array_equal(np.asarray(embedding), expected)
    assert embedding.optimizer.state.iteration == 30
    assert embedding.optimize(5).kl_divergence < embedding.kl_divergence


def test_transform(data, expected, digits, tmp_path, capsys):
    new = np.vstack([digits[:1], digits[60:70]])
    np.save(tmp_path / "new.npy", new)
    np.save(tmp_path / "map.npy", expected)
    common = ["--data", str(data), "--map", str(tmp_path / "map.npy"), "--seed", "0"]
    output = tmp_path / "placed.csv.gz"
    assert main(["transform", str(tmp_path / "new.npy"), *common, "-o", str(output)]) == 0
    placed = np.asarray(files.read_rows(output))
    assert placed.shape == (11, 2)
    np.save(tmp_path / "map.npy", expected[:9])
    assert main(["transform", str(tmp_path / "new.npy"), *common, "-o", str(output)]) == 2
    assert "has 9 points" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["rows", "index"])
def test_new_rows_join_a_saved_map(rows, digits, tmp_path, capsys, keep):
    """Files of text, with columns by name; the second update goes on from the first one's file."""
    names = ["name", *(f"pixel{i}" for i in range(64))]
    for name, some in ("old", rows), ("new", digits[60:80]), ("newer", digits[80:90]):
        table = np.c_[np.arange(len(some)), some]
        np.savetxt(tmp_path / f"{name}.csv", table, "%g", ",", header=",".join(names), comments="")
    saved, again = tmp_path / "old.npz", tmp_path / "again.npz"
    keeping = "--save", saved, "--keep", keep, "-q"
    old = tmp_path / "old.csv"
    assert (
        main(
            [
                str(a)
                for a in (
                    "fit",
                    old,
                    "--drop",
                    "name",
                    "-o",
                    tmp_path / "map.npy",
                    *QUICK,
                    *keeping,
                )
            ]
        )
        == 0
    )
    data = () if keep == "rows" else ("--data", old)
    update = "update", saved, tmp_path / "new.csv", *data, "--n-iter", "10", "--hold", "0.1"
    assert main([str(a) for a in (*update, "-o", tmp_path / "new.npy", "--save", again)]) == 0
    embedding = TSNEEmbedding.load(saved, X=None if keep == "rows" else rows)
    expected = embedding.update(digits[60:80], hold=0.1, n_iter=10)
    np.testing.assert_array_equal(np.load(tmp_path / "new.npy"), expected)
    output = capsys.readouterr().out
    assert "60 points and 20 new ones" in output
    assert f"KL divergence {expected.kl_divergence:.4f}" in output
    update = "update", again, tmp_path / "newer.csv", "-o", tmp_path / "newer.npy"
    assert main([str(a) for a in update]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "newer.npy"), expected.update(digits[80:90]))


def test_updates_that_are_refused(data, rows, tmp_path, capsys):
    np.save(tmp_path / "narrow.npy", rows[:, :3])
    index, bare = tmp_path / "index.npz", tmp_path / "map.npz"
    assert (
        main(
            [
                str(a)
                for a in (
                    "fit",
                    data,
                    "-o",
                    tmp_path / "map.npy",
                    *QUICK,
                    "-q",
                    "--save",
                    index,
                    "--keep",
                    "index",
                )
            ]
        )
        == 0
    )
    TSNEEmbedding.load(index).save(bare)
    for arguments, message in (
        ((index, data), "give them again"),
        ((bare, data), 'keep="rows"'),
        ((index, data, "--data", tmp_path / "narrow.npy"), "X has not the rows of the map"),
        ((index, tmp_path / "narrow.npy", "--data", data), "must have 64 columns"),
        ((index, data, "--data", data, "--save", tmp_path / "x.npy"), ".npz"),
        ((data, data), "not a saved embedding"),
    ):
        assert main(["update", *map(str, arguments), "-o", str(tmp_path / "out.npy")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out.npy").exists()


@pytest.mark.slow
def test_metrics(data, rows, expected, tmp_path):
    np.save(tmp_path / "map.npy", expected)
    result = run("metrics", data, tmp_path / "map.npy", "-k", "5")
    assert result.returncode == 0, result.stderr
    said = dict(line.split() for line in result.stdout.splitlines())
    assert said["neighbor_recall"] == f"{metrics.neighbor_recall(rows, expected, 5):.4f}"
    assert set(said) == {"neighbor_recall", "trustworthiness", "distance_correlation"}
    assert "k must be" in fails("metrics", data, tmp_path / "map.npy", "-k", "500")


def test_a_fit_with_a_checkpoint_can_be_repeated(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["fit", str(data), "-o", "map.npy", "-q", "--checkpoint", "run.npz", *QUICK]
    for seed in ("0", "1"):
        assert main([*command, "--random-state", seed]) == 0
        np.testing.assert_array_equal(TSNEEmbedding.load("run.npz"), np.load("map.npy"))


def test_metrics_by_the_metric_of_the_map(data, rows, tmp_path, capsys):
    path = str(tmp_path / "map.npz")
    power = {"metric": "minkowski", "metric_params": {"p": 1}}
    options = ["--metric", "minkowski", "--metric-params", '{"p": 1}', "--perplexity", "10", "-q"]
    assert main(["fit", str(data), "-o", path, "--n-iter", "20", *options]) == 0
    with np.load(path) as archive:
        points = archive["embedding"]
    for given, common in (([], power), (["--metric", "cosine"], {"metric": "cosine"})):
        capsys.readouterr()
        assert main(["metrics", str(data), path, "-k", "5", *given]) == 0
        expected = metrics.neighbor_recall(rows, points, 5, **common)
        assert f"neighbor_recall       {expected:.4f}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_plot(ending, start, expected, tmp_path):
    pytest.importorskip("matplotlib")
    files.write_map(tmp_path / "map.csv", expected, ["odd", "even"] * 30)
    output = tmp_path / f"map{ending}"
    options = ["--labels", "label", "-o", str(output)]
    assert main(["plot", str(tmp_path / "map.csv"), *options]) == 0
    assert output.read_bytes().startswith(start)


@pytest.fixture
def birds(rng, tmp_path, monkeypatch):
    """A folder to work in, with a table whose columns are names, classes and numbers."""
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    frame = pandas.DataFrame(
        {
            "name": [f"bird {i}" for i in range(60)],
            "species": rng.choice(["Adelie", "Gentoo"], 60),
            "sex": rng.choice(["f", "m", None], 60),
            "mass": np.where(np.arange(60) % 7, rng.normal(size=60), np.nan),
            "bill": rng.normal(size=60),
            "wing": rng.normal(size=60),
        }
    )
    frame.to_csv("birds.csv", index=False)
    return frame


MAP_OF_BIRDS = ["fit", "birds.csv", "-q", "--columns", "bill,wing", *QUICK]


@pytest.mark.parametrize("ending", [".csv", ".tsv.gz", ".parquet", ".npz"])
def test_maps_keep_the_names_of_columns(birds, capsys, ending):
    for module in ("pyarrow", "matplotlib"):
        pytest.importorskip(module)
    named = ["--labels", "species", "--id", "name"]
    assert main([*MAP_OF_BIRDS, *named, "-o", f"map{ending}"]) == 0
    table = files.read_table(f"map{ending}", columns=None if ending == ".npz" else ["tsne_[12]"])
    assert table.data.shape == (60, 2)
    assert table.columns["species"].tolist() == birds["species"].tolist()
    assert table.columns["name"].tolist() == birds["name"].tolist()
    assert {*table.columns} == {"species", "name"}
    assert main(["plot", f"map{ending}", "--labels", "species"]) == 0
    assert main(["plot", f"map{ending}", "--labels", "label"]) == 2
    assert f"map{ending} has " in (said := capsys.readouterr().err)
    assert "species" in said


@pytest.mark.parametrize("ending", [".csv", ".npz"])
def test_maps_of_earlier_versions_are_read(birds, ending):
    pytest.importorskip("matplotlib")
    points = np.column_stack([birds["bill"], birds["wing"]])
    files.write_map(f"old{ending}", points, birds["species"].to_numpy(), None, birds["name"])
    label = "labels" if ending == ".npz" else "label"
    assert main(["plot", f"old{ending}", "--labels", label]) == 0
    colored = ["plot", f"old{ending}", "--data", "birds.csv", "--labels"]
    assert main([*colored, "sex"]) == 0
    assert main([*colored, "mass", "--id", "name"]) == 0


@pytest.mark.filterwarnings("default:labels have 60 classes")
def test_names_of_columns_that_a_map_has_itself(birds, capsys):
    frame = birds.rename(columns={"species": "tsne_1", "sex": "tsne_group"})
    frame.to_csv("birds.csv", index=False)
    pytest.importorskip("matplotlib")
    for label, id_, head in (
        ("tsne_1", "name", "name,tsne_1,tsne_2,tsne_1_"),
        ("tsne_group", "tsne_1", "tsne_1_,tsne_1,tsne_2,tsne_group"),
        ("name", "name", "name,tsne_1,tsne_2,name_"),
    ):
        assert main([*MAP_OF_BIRDS, "--labels", label, "--id", id_, "-o", "map.csv"]) == 0
        with open("map.csv") as file:
            assert next(file) == f"{head}\n"
        assert main(["plot", "map.csv", "--labels", head.split(",")[-1]]) == 0


def test_a_map_is_colored_by_another_table(birds, capsys):
    pytest.importorskip("matplotlib")
    plotly = pytest.importorskip("plotly")
    assert plotly
    assert main([*MAP_OF_BIRDS, "--id", "name", "--labels", "species", "-o", "map.csv"]) == 0
    colored = ["plot", "map.csv", "--data", "birds.csv", "--labels"]
    for label in "sex", "mass":
        assert main([*colored, label, "-o", f"{label}.html"]) == 0
        assert main([*colored, label, "-o", f"{label}.png"]) == 0
    with open("mass.html") as file:
        assert '"text":"mass"' in file.read()
    birds[::-1].to_csv("turned.csv", index=False)
    birds[:50].to_csv("few.csv", index=False)
    birds.rename(columns={"name": "who"})[::-1].to_csv("who.csv", index=False)
    capsys.readouterr()
    for options, message in (
        (["--data", "few.csv", "--labels", "sex"], "map.csv has 60 points, few.csv has 50 rows"),
        (
            ["--data", "turned.csv", "--labels", "sex"],
            "row 0 is 'bird 59', and 'bird 0' in the map",
        ),
        (["--data", "who.csv", "--labels", "sex", "--id", "who"], "row 0 is 'bird 59'"),
        (["--data", "birds.csv", "--labels", "sex", "--id", "who"], "it has no column 'who'"),
        (
            ["--data", "birds.csv"],
            "--data needs --labels, one of its columns; birds.csv has name, ",
        ),
        (
            ["--data", "birds.csv", "--labels", "sx"],
            "birds.csv: it has no column 'sx', only name, ",
        ),
        (["--data", "none.csv", "--labels", "sex"], "none.csv: no such file"),
    ):
        assert main(["plot", "map.csv", *options, "-o", "none.png"]) == 2
        assert message in capsys.readouterr().err
    assert not os.path.exists("none.png")
    # Nothing says that these are other rows.
    assert main(["plot", "map.csv", "--data", "who.csv", "--labels", "sex"]) == 0


def test_columns_of_a_map_that_have_missing_values(birds, capsys):
    """No advice to drop what the map was made of; columns that it does not have stay out."""
    pytest.importorskip("pyarrow")
    assert main([*MAP_OF_BIRDS, "-o", "map.npz"]) == 0
    birds.loc[2, "bill"] = np.nan
    for ending, write in (".csv", birds.to_csv), (".parquet", birds.to_parquet):
        write(f"new{ending}", index=False)
        command = ["transform", f"new{ending}", "--data", "birds.csv", "--map", "map.npz"]
        capsys.readouterr()
        assert main(command) == 2
        assert "; fill them, or leave out the rows (see" in capsys.readouterr().err
        assert main([*command, "--drop", "bill", "-o", "new_map.csv"]) == 0
        assert f"new{ending}: 1 column used: wing; not used: name" in capsys.readouterr().out


@pytest.mark.thin(1)
@pytest.mark.parametrize("kind", ["numbers", "days", "seconds"])
def test_names_of_rows_that_are_no_texts(birds, kind):
    """In text files an integer may be read as one or as a float, and dates of any precision."""
    pytest.importorskip("matplotlib")
    names = {
        "numbers": np.arange(60) * 3,
        "days": np.datetime64("2020-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D"),
        "seconds": np.datetime64("2020-01-01", "ns") + np.arange(60) * np.timedelta64(7, "s"),
    }
    birds["name"] = names[kind]
    birds.to_csv("birds.csv", index=False)
    birds.to_parquet("birds.parquet")
    for ending in ".csv", ".npz", ".parquet":
        options = ["--id", "name", "--labels", "species", "-o", f"map{ending}"]
        assert main([*MAP_OF_BIRDS, *options]) == 0
        for table in "birds.csv", "birds.parquet":
            assert main(["plot", f"map{ending}", "--data", table, "--labels", "sex"]) == 0


def test_the_same_command_makes_the_same_map(birds, monkeypatch):
    """Without a seed it is 0, and another one where it is asked for."""
    quick = [*MAP_OF_BIRDS[:-4], "--n-jobs", "2", "--init", "random"]
    found = {}
    for name, more in {
        "first": [],
        "second": [],
        "zero": ["--seed", "0"],
        "one": ["--random-state", "1"],
        "none": ["--random-state", "none"],
        "none again": ["--random-state", "none"],
    }.items():
        assert main([*quick, "-o", "map.npz", "--save", "saved.npz", *more]) == 0
        new = ["birds.csv", "-o", "new.npy"]
        assert main(["transform", *new, "--map", "map.npz", "--data", "birds.csv"]) == 0
        transformed = np.load("new.npy").tobytes()
        assert main(["update", "saved.npz", *new, "--n-iter", "2"]) == 0
        found[name] = np.load("map.npz")["embedding"].tobytes(), transformed, np.load("new.npy")
    for part in range(3):
        of = {name: np.asarray(each[part]).tobytes() for name, each in found.items()}
        assert of["first"] == of["second"] == of["zero"]
        assert len(set(of.values())) == 4


def test_fit_animate(data, tmp_path):
    pytest.importorskip("PIL")
    output = tmp_path / "run.gif"
    options = ["-o", str(tmp_path / "map.npy"), "-q", "--animate", str(output), *QUICK]
    assert main(["fit", str(data), *options]) == 0
    assert output.read_bytes().startswith(b"GIF8")


@pytest.mark.parametrize("extension", [".webm", ".avi", ""])
def test_extensions_without_a_writer_fail_before_the_fit(data, tmp_path, capsys, extension):
    output, run = tmp_path / "map.npy", tmp_path / f"run{extension}"
    options = ["-o", str(output), "-q", "--animate", str(run), *QUICK]
    assert main(["fit", str(data), *options]) == 2
    extensions = " ".join(WRITERS)
    assert (
        f"must have one of the extensions {extensions} (see fasttsne fit --help)\n"
        in capsys.readouterr().err
    )
    assert not output.exists()


@pytest.fixture
def flowers(rows, tmp_path):
    """A table with a name, a number and a label for each row, and pixels."""
    names = ["name", "weight", *(f"pixel{i}" for i in range(64)), "kind"]
    lines = [
        ",".join([f"r{i}", str(i), *map(str, row), f"k{i % 3}"])
        for i, row in enumerate(rows.tolist())
    ]
    path = tmp_path / "flowers.csv"
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    return path


@pytest.mark.parametrize("choice", [["--columns", "pixel*"], ["--drop", "weight"]])
def test_columns_of_a_table(flowers, expected, tmp_path, capsys, choice):
    output = tmp_path / "map.csv"
    options = ["-o", str(output), "-q", "--id", "name", "--label", "kind", *choice, *QUICK]
    assert main(["fit", str(flowers), *options]) == 0
    said = capsys.readouterr().out
    first = ", ".join(f"pixel{i}" for i in range(18))
    assert f"{flowers}: 64 columns used: {first}, ..., pixel63" in said
    assert ("not used: weight (not chosen)" in said) == ("--columns" in choice)
    table = files.read_table(output)
    assert table.names == ("tsne_1", "tsne_2")
    assert np.allclose(table.data, expected, atol=1e-3)
    assert table.columns["name"].tolist() == [f"r{i}" for i in range(60)]
    assert table.columns["kind"][4] == "k1"


@pytest.mark.slow
def test_a_table_that_pandas_wrote_without_names(rows, expected, tmp_path):
    path, output = tmp_path / "frame.csv", tmp_path / "map.npy"
    pytest.importorskip("pandas").DataFrame(rows).to_csv(path, index=False)
    result = run("fit", path, "-o", output, "-q", *QUICK)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.load(output), expected)
    assert result.stderr == (
        f"fasttsne: warning: {path}: its first line, 0,1,2,...,63, is read as names of columns, "
        "which pandas writes so; if it is a row, put a line of names before it\n"
    )


def test_columns_that_are_not_used_are_printed(flowers, tmp_path, capsys):
    assert main(["fit", str(flowers), "-o", str(tmp_path / "map.npy"), "-q", *QUICK]) == 0
    out = capsys.readouterr().out
    first = ", ".join(f"pixel{i}" for i in range(17))
    assert (
        f"65 columns used: weight, {first}, ..., pixel63; not used: name (text), kind (text)" in out
    )


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_transform_remembers_the_fit(flowers, rows, digits, tmp_path, capsys, ending):
    pytest.importorskip("pyarrow")
    placed = tmp_path / f"map{ending}"
    options = ["-q", "--drop", "weight", "--metric", "manhattan", "--dof", "0.8", *QUICK]
    assert main(["fit", str(flowers), "-o", str(placed), *options]) == 0
    new = tmp_path / "new.csv"
    head = ",".join(f"pixel{i}" for i in range(63, -1, -1))
    np.savetxt(new, digits[60:70, ::-1], delimiter=",", header=head, comments="")
    output = tmp_path / "new.npy"
    options = ["--data", str(flowers), "--map", str(placed), "-o", str(output)]
    assert main(["transform", str(new), *options]) == 0
    assert "warning" not in capsys.readouterr().err
    tsne = TSNE(perplexity=5, metric="manhattan", dof=0.8, random_state=0)
    embedding = tsne.prepare_initial(
        rows.astype(float), initialization=files.read_table(placed, columns=None).data
    )
    assert np.array_equal(np.load(output), embedding.transform(digits[60:70].astype(float)))


@pytest.mark.parametrize("ending", [".npy", ".h5", ".zarr", ".h5ad", ".parquet"])
def test_transform_of_rows_in_a_file(ending, data, rows, expected, digits, tmp_path, capsys):
    new, output = tmp_path / f"new{ending}", tmp_path / "placed.npy"
    key = {".h5": ["--dataset", "group/rows"], ".zarr": ["--key", "X"]}.get(ending, [])
    write_rows(new, digits[60:90]) if ending != ".npy" else np.save(new, digits[60:90])
    np.savez(tmp_path / "map.npz", embedding=expected, parameters='{"metric": "euclidean"}')
    common = ["--data", str(data), "--map", str(tmp_path / "map.npz"), "--seed", "0"]
    assert main(["transform", str(new), *common, *key, "-o", str(output), "--n-iter", "20"]) == 0
    assert f"wrote {output}: 30 points" in capsys.readouterr().out
    embedding = TSNE(random_state=0, perplexity=19).prepare_initial(rows, initialization=expected)
    assert np.array_equal(np.load(output), embedding.transform(digits[60:90], n_iter=20))
    assert (
        main(
            [
                "transform",
                str(new),
                *common,
                *key,
                "-o",
                str(tmp_path / "placed.csv"),
                "--n-iter",
                "20",
            ]
        )
        == 0
    )
    assert np.array_equal(files.read_rows(tmp_path / "placed.csv"), np.load(output))


@pytest.mark.parametrize(("dtype", "n_new"), [(np.float64, 3), (np.uint8, 1)])
def test_how_often_each_row_is_read(dtype, n_new, rows, expected, digits, tmp_path, monkeypatch):
    """The table of docs/large.rst."""
    h5py = pytest.importorskip("h5py")
    read = h5py.Dataset.__getitem__
    counts = {}

    def count(dataset, rows):
        counts[dataset.name][rows] += 1
        return read(dataset, rows)

    def counts_of(*command):
        counts.update({"/rows": np.zeros(60, int), "/new": np.zeros(30, int)})
        assert main([command[0], *map(str, command[1:])]) == 0
        return set(counts["/rows"]), set(counts["/new"])

    path, placed, output = (tmp_path / name for name in ("all.h5", "map.npy", "placed.npy"))
    with h5py.File(path, "w") as file:
        file["rows"], file["new"] = rows.astype(dtype), digits[60:90].astype(dtype)
    np.save(placed, expected)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", count)
    key = ["--key", "rows"]
    assert counts_of("fit", path, *key, "-q", "-o", output, *QUICK) == ({1}, {0})
    assert counts_of("metrics", path, placed, *key) == ({1}, {0})
    keys = ["--key", "new", "--data-key", "rows"]
    options = ["--map", placed, "-o", output, "--metric", "euclidean", "--n-iter", "5"]
    assert counts_of("transform", path, "--data", path, *keys, *options) == ({1}, {n_new})


def test_transform_of_rows_that_are_not_finite(data, expected, tmp_path, capsys):
    new, output = np.ones((50, 64)), tmp_path / "placed.npy"
    new[49, 7] = np.nan
    np.save(tmp_path / "new.npy", new)
    np.save(tmp_path / "map.npy", expected)
    common = ["--data", str(data), "--map", str(tmp_path / "map.npy"), "--metric", "euclidean"]
    assert main(["transform", str(tmp_path / "new.npy"), *common, "-o", str(output)]) == 2
    assert "new.npy must be finite; " in (said := capsys.readouterr().err)
    assert "new.npy[49, 7] is nan" in said
    assert not output.exists()


def test_keys_of_both_files_of_transform(rows, expected, digits, tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["fitted"], file["new"] = rows, digits[60:61]
    np.save(tmp_path / "map.npy", expected)
    path, output = str(tmp_path / "all.h5"), tmp_path / "placed.npy"
    common = ["--data", path, "--map", str(tmp_path / "map.npy"), "-o", str(output)]
    options = ["--key", "new", "--data-key", "fitted", "--metric", "euclidean"]
    assert main(["transform", path, *common, *options]) == 0
    assert np.load(output).shape == (1, 2)
    np.save(tmp_path / "rows.npy", rows)
    common[1] = str(tmp_path / "rows.npy")
    assert main(["transform", common[1], *common, "--key", "new"]) == 2
    assert "rows.npy: only .npz .h5ad" in capsys.readouterr().err


def test_a_sparse_layer_and_columns_of_anndata(rows, expected, tmp_path):
    anndata = pytest.importorskip("anndata")
    adata = anndata.AnnData(sp.csr_matrix(rows), obsm={"few": np.array(rows)})
    adata.obs["kind"] = [f"k{i % 3}" for i in range(60)]
    adata.write_h5ad(tmp_path / "cells.h5ad")
    table = files.read_table(tmp_path / "cells.h5ad")
    assert sp.issparse(table.data.to_memory())
    assert sp.issparse(files.read_rows(tmp_path / "cells.h5ad"))
    assert np.array_equal(table.data.to_memory().toarray(), rows)
    assert type(files.read_rows(tmp_path / "cells.h5ad", "few")) is np.ndarray
    output = tmp_path / "map.npz"
    options = ["--key", "few", "--labels", "kind", "-q", "-o", str(output), *QUICK]
    assert main(["fit", str(tmp_path / "cells.h5ad"), *options]) == 0
    with np.load(output) as found:
        assert np.array_equal(found["embedding"], expected)
        assert found["labels"].tolist()[:4] == ["k0", "k1", "k2", "k0"]


def test_transform_says_that_it_assumes_a_metric(data, expected, tmp_path, capsys):
    np.save(tmp_path / "map.npy", expected)
    common = ["--data", str(data), "--map", str(tmp_path / "map.npy")]
    output = ["-o", str(tmp_path / "new.npy")]
    assert main(["transform", str(data), *common, *output]) == 0
    assert "map.npy does not say its metric" in capsys.readouterr().err
    assert main(["transform", str(data), *common, *output, "--metric", "cosine"]) == 0
    assert "does not say" not in capsys.readouterr().err


def test_names_of_scikit_learn(data, expected, tmp_path):
    options = [
        "--max-iter",
        "30",
        *QUICK[:2],
        *QUICK[4:],
        "--init",
        "pca",
        "--angle",
        "0.5",
        "--method",
        "auto",
    ]
    output = tmp_path / "map.npy"
    assert main(["fit", str(data), "-o", str(output), "-q", *options]) == 0
    assert np.array_equal(np.load(output), expected)


def test_a_file_that_cannot_be_written_does_not_cost_the_others(
    data, expected, tmp_path, monkeypatch, capsys
):
    """A label that UTF-8 cannot express is noticed only when it is written."""
    for module in ("plotly", "PIL"):
        pytest.importorskip(module)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    np.save(tmp_path / "labels.npy", np.array(["a", "\ud800"] * 30))
    names = {"-o": "map.csv", "--html": "map.html", "--save": "saved.npz", "--animate": "run.gif"}
    options = [text for option, name in names.items() for text in (option, str(tmp_path / name))]
    labels = "--labels", str(tmp_path / "labels.npy")
    assert main(["fit", str(data), "-q", *labels, *options, *QUICK]) == 2
    out, err = capsys.readouterr()
    assert [line.count("surrogates not allowed") for line in err.splitlines()] == [1]
    np.testing.assert_array_equal(TSNEEmbedding.load(tmp_path / "saved.npz"), expected)
    assert (tmp_path / "run.gif").exists()
    assert not (tmp_path / "map.csv").exists()
    [kept] = (tmp_path / "tmp").iterdir()
    np.testing.assert_array_equal(np.load(kept), expected)
    assert out.splitlines()[0] == (
        f"wrote {kept}: the points alone, in place of {tmp_path / 'map.csv'}"
    )


def test_each_error_of_writing_is_shown(capsys):
    written = []

    def fail(text):
        raise OSError(text)

    with pytest.raises(OSError, match="first"):
        write_each(
            [
                lambda: fail("first"),
                lambda: written.append(1),
                lambda: fail("second"),
                lambda: written.append(2),
            ]
        )
    assert written == [1, 2]
    assert capsys.readouterr().err == "fasttsne: second\n"


def test_labels_of_anndata_that_are_missing(rows, expected, tmp_path):
    anndata, pandas = pytest.importorskip("anndata"), pytest.importorskip("pandas")
    adata = anndata.AnnData(np.array(rows))
    adata.obs["kind"] = pandas.Categorical(["a", "b", None] * 20)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    output = tmp_path / "map.parquet"
    options = ["--labels", "kind", "-q", "-o", str(output), *QUICK]
    assert main(["fit", str(tmp_path / "cells.h5ad"), *options]) == 0
    table = files.read_table(output)
    np.testing.assert_array_equal(table.data, expected)
    assert table.columns["kind"].tolist() == ["a", "b", None] * 20
