"""Damaged files are read with the values that they had, or refused by an error that names them.

Formats without a checksum may give other values, but nothing else; no file executes code.
``FASTTSNE_HYPOTHESIS=nightly`` damages many more, other ones each day, or as many of each format as
``FASTTSNE_DAMAGED`` says.
"""

import io
import itertools
import json
import os
import pickle
import sys
import time
import zipfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from helpers.damage import damage_one
from helpers.quick import QUICK, run_helper, run_python

from fasttsne import TSNE, TSNEEmbedding, files
from fasttsne.io.archive import read_kind
from fasttsne.io.codec import read_embedding_columns
from fasttsne.io.formats import read_table

NIGHTLY = os.environ.get("FASTTSNE_HYPOTHESIS") == "nightly"
SEED = str(int(time.time()) // 86_400) if NIGHTLY else "0"
N = int(os.environ.get("FASTTSNE_DAMAGED", 1000 if NIGHTLY else 16))
OURS = (
    "map.npz",
    "map_rows.npz",
    "map_index.npz",
    "map_parts.npz",
    "map_sparse.npz",
    "density.npz",
    "table.npz",
)
OTHERS = {
    "numpy": ("table.csv", "table.csv.gz", "table.npy", "sparse.npz", "matrix.mtx"),
    "pyarrow": ("table.parquet",),
    "h5py": ("rows.h5", "rows_checked.h5"),
    "anndata": ("cells.h5ad", "sparse.h5ad"),
    "zarr": ("rows.zarr",),
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def outcomes(*formats, may_hang=False):
    """The lines that the program prints for so many copies of a file of each format.

    may_hang : HDF5's own library does not return from some damaged files: then others follow.
    """
    lines, first = [], 0
    for name in formats if may_hang else [formats]:
        first = 0
        while first < N:
            names = [name] if may_hang else name
            result = run_helper("damaged_files", SEED, first, N, *names, timeout=4 * 3600)
            found = result.stdout.splitlines()
            lines += [line for line in found if not line.endswith(": ")]
            if result.returncode == 0:
                break
            assert may_hang, (found[-1:], result.stderr[-3000:])
            assert "h5py" in result.stderr, (found[-1:], result.stderr[-3000:])
            first = int(found[-1].split()[1]) + 1
    return lines


@linux
def test_files_of_ours():
    lines = outcomes(*OURS)
    assert len(lines) == N * len(OURS)
    assert [line for line in lines if not line.endswith((": same", ": refused"))] == []


@pytest.mark.thin(1)
@linux
@pytest.mark.parametrize(
    "package",
    [pytest.param(name, marks=pytest.mark.slow) if name == "anndata" else name for name in OTHERS],
)
def test_files_of_others(package):
    pytest.importorskip(package)
    lines = outcomes(*OTHERS[package], may_hang=package in ("h5py", "anndata"))
    assert len(lines) > 0.9 * N * len(OTHERS[package])
    assert [line for line in lines if "FAULT" in line] == []


class Interruption(Exception):
    pass


def interrupted(X, path):
    def stop(iteration, error, embedding):
        raise Interruption

    with pytest.raises(Interruption):
        TSNE(**QUICK, checkpoint=path, callbacks=stop, callbacks_every_iters=5).fit(X)


def fitted_or_refused(X, path):
    """The map, or the message of the error."""
    try:
        return TSNE(**QUICK, checkpoint=path).fit(X)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("name", ["run.npz", "run.graph.npz"])
def test_checkpoints(digits, tmp_path, name):
    """A fit goes on to the same bits, or says which of its files to remove."""
    X = digits[:150]
    expected = TSNE(**QUICK).fit(X)
    path = tmp_path / "run.npz"
    interrupted(X, path)
    whole = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(whole) == {"run.npz", "run.graph.npz"}
    n_refused = 0
    for number in range(N):
        how = damage_one(tmp_path, whole, name, (SEED, number))
        found = fitted_or_refused(X, path)
        if isinstance(found, str):
            assert name in found, (number, how)
            n_refused += 1
        else:
            np.testing.assert_array_equal(found, expected)
    assert n_refused > N / 2


def test_checkpoints_that_were_swapped(digits, tmp_path):
    """Files of another fit, or one in the place of the other."""
    for folder, rows in ("a", digits[:150]), ("b", digits[100:250]):
        (tmp_path / folder).mkdir()
        interrupted(rows, tmp_path / folder / "run.npz")
    a, b = ({file.name: file.read_bytes() for file in (tmp_path / f).iterdir()} for f in "ab")
    path = tmp_path / "a" / "run.npz"
    swaps = [
        ("run.npz", b["run.npz"]),
        ("run.npz", a["run.graph.npz"]),
        ("run.graph.npz", a["run.npz"]),
        ("run.graph.npz", b["run.graph.npz"]),
    ]
    for name, data in swaps:
        for each, own in a.items():
            path.with_name(each).write_bytes(own)
        path.with_name(name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            TSNE(**QUICK, checkpoint=path).fit(digits[:150])


def entries_changed(entries):
    """Yield names and the entries of an archive: without one, two exchanged, and one more."""
    for name in entries:
        yield f"no {name}", {each: data for each, data in entries.items() if each != name}
    for one, other in itertools.combinations(entries, 2):
        yield f"{one} is {other}", {**entries, one: entries[other], other: entries[one]}
    yield "more", {**entries, "kept.npy": entries.get("embedding.npy", entries["header.npy"])}


def archive_of(entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("name", ["run.npz", "run.graph.npz"])
def test_entries_of_checkpoints(digits, tmp_path, name):
    """Each entry has the right checksum, but is not where it was written."""
    X, path = digits[:150], tmp_path / "run.npz"
    interrupted(X, path)
    with zipfile.ZipFile(tmp_path / name) as archive:
        entries = {each: archive.read(each) for each in archive.namelist()}
    changed = dict(entries_changed(entries))
    assert len(changed) >= 7
    for how, new in changed.items():
        (tmp_path / name).write_bytes(archive_of(new))
        assert name in str(fitted_or_refused(X, path)), how
    (tmp_path / name).write_bytes(archive_of(entries))
    np.testing.assert_array_equal(fitted_or_refused(X, path), TSNE(**QUICK).fit(X))


def test_a_shape_that_is_too_small(digits, tmp_path):
    """One bit of a header: fewer rows would be read, and the checksum of all not be compared."""
    embedding = TSNE(**QUICK).fit(digits[:400])
    embedding.save(tmp_path / "map.npz")
    files.write_map(tmp_path / "table.npz", embedding)
    for name, read in ("map.npz", TSNEEmbedding.load), ("table.npz", read_table):
        path = tmp_path / name
        whole = path.read_bytes()
        assert whole.count(b"(400, 2)") >= 1
        path.write_bytes(whole.replace(b"(400, 2)", b"(400, 0)"))
        with pytest.raises(ValueError, match=rf"{name}.*\(400, 0\)"):
            read(path)


def test_a_page_of_a_parquet_file(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "map.parquet"
    points = np.random.default_rng(0).normal(size=(500, 2))
    files.write_map(path, points, parameters={"perplexity": 30})
    whole = path.read_bytes()
    np.testing.assert_array_equal(files.read_rows(path), points)
    changed = bytearray(whole)
    place = whole.index(points[250, 0].tobytes())
    changed[place] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=r"map\.parquet.*CRC"):
        files.read_rows(path)
    path.write_bytes(whole)
    table = parquet.read_table(path)
    changed = {**table.schema.metadata, b"fasttsne": b'{"perplexity": 20}'}
    parquet.write_table(table.replace_schema_metadata(changed), path)
    with pytest.raises(ValueError, match="its parameters are not those that were written"):
        files.read_table(path)


@pytest.mark.thin(1)
@linux
@pytest.mark.parametrize("end", [b"2 2 1E", b"2 2 1E\0\n", b"2 2 1E-", b"2 2 1E5x"])
def test_matrices_that_end_within_a_number(tmp_path, end):
    """SciPy's reader ends the process there."""
    (tmp_path / "a.mtx").write_bytes(
        b"%%MatrixMarket matrix coordinate real general\n3 3 2\n1 1 5\n" + end
    )
    code = "from fasttsne import files\ntry:\n files.read_table('a.mtx')\n"
    code += "except ValueError as error:\n print(error)"
    result = run_python("-c", code, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("a.mtx: it ")


def test_a_matrix_whose_last_line_has_no_end(tmp_path):
    matrix = sp.random(30, 10, 0.4, format="csr", random_state=0)
    scipy.io.mmwrite(tmp_path / "a.mtx", matrix)
    whole = (tmp_path / "a.mtx").read_bytes()
    (tmp_path / "a.mtx").write_bytes(whole.rstrip())
    found = files.read_table(tmp_path / "a.mtx").data
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


def test_arrays_that_the_directory_hides(digits, tmp_path):
    """A bit of the length of an entry's comment: the entries that follow are a part of it."""
    path = tmp_path / "table.npz"
    files.write_map(path, digits[:50, :2], labels=np.arange(50), parameters={"perplexity": 30})
    whole = path.read_bytes()
    entry = whole.index(b"embedding.npy", whole.index(b"PK\1\2"))
    changed = bytearray(whole)
    changed[entry - 46 + 33] ^= 1  # 256 bytes
    path.write_bytes(changed)
    with np.load(path) as archive:
        assert "parameters" not in archive.files
    with pytest.raises(ValueError, match=r"table\.npz: its directory should have 3 entries, and"):
        read_table(path)


# ---- files that would execute code if they were unpickled, in each format that can hold a pickle


class Hostile:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "executed").exists()


def test_that_a_pickle_would_be_executed(folder):
    pickle.loads(pickle.dumps(Hostile()))
    (folder / "executed").rmdir()


def test_nothing_is_executed_by_numpy(folder):
    array = np.array([Hostile()] * 3, object)
    np.save("rows.npy", array, allow_pickle=True)
    np.savez("rows.npz", X=array, header=array, embedding=array, parameters=array)
    for name in "rows.npy", "rows.npz":
        with pytest.raises(ValueError, match=name):
            files.read_table(name)
        with pytest.raises(ValueError, match=name):
            files.read_vector(name)
    for read in TSNEEmbedding.load, read_embedding_columns:
        with pytest.raises(ValueError, match=r"rows\.npz"):
            read("rows.npz")
    assert read_kind("rows.npz") is None


def test_pickles_in_place_of_other_files(folder):
    data = pickle.dumps(Hostile())
    for kind in ("npy", "npz", "csv", "parquet", "h5", "h5ad", "mtx"):
        (folder / f"rows.{kind}").write_bytes(data)
        with pytest.raises((ValueError, OSError), match=rf"rows\.{kind}"):
            files.read_table(f"rows.{kind}")


@pytest.mark.parametrize("where", ["filters", "compressor"])
@pytest.mark.parametrize("name", ["", "y"])
def test_nothing_is_executed_by_zarr(folder, monkeypatch, where, name):
    """Older versions of numcodecs unpickle, as the newest ones do where they are told to."""
    pytest.importorskip("zarr")
    pickles = pytest.importorskip("numcodecs").pickles
    for switch in vars(pickles):
        if switch.startswith("ALLOW"):
            monkeypatch.setattr(pickles, switch, True)
    codec, text = {"id": "pickle", "protocol": 5}, {"id": "vlen-utf8"}
    array = {
        "zarr_format": 2,
        "shape": [10],
        "chunks": [10],
        "dtype": "|O",
        "fill_value": 0,
        "order": "C",
        "filters": [text, codec] if where == "filters" else [text],
        "compressor": codec if where == "compressor" else None,
    }
    store = folder / "rows.zarr" / name
    store.mkdir(parents=True)
    if name:
        (store.parent / ".zgroup").write_text('{"zarr_format": 2}')
    (store / ".zarray").write_text(json.dumps(array))
    (store / "0").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match=f"rows.zarr: its array '{name}' is pickled"):
        files.read_table("rows.zarr")
