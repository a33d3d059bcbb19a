"""Files that would execute code if they were unpickled, in each format that can hold a pickle."""

import json
import os
import pickle

import numpy as np
import pytest

from fasttsne import TSNEEmbedding, files
from fasttsne.io.archive import read_kind
from fasttsne.io.embedding_file import read_columns


class Hostile:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "executed").exists()


def test_that_it_would_be_executed(folder):
    pickle.loads(pickle.dumps(Hostile()))
    (folder / "executed").rmdir()


def test_numpy(folder):
    array = np.array([Hostile()] * 3, object)
    np.save("rows.npy", array, allow_pickle=True)
    np.savez("rows.npz", X=array, header=array, embedding=array, parameters=array)
    for name in "rows.npy", "rows.npz":
        with pytest.raises(ValueError, match=name):
            files.read_table(name)
        with pytest.raises(ValueError, match=name):
            files.read_vector(name)
    for read in TSNEEmbedding.load, read_columns:
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
def test_zarr(folder, monkeypatch, where, name):
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
