"""Embeddings in files: what is written is what is read."""

import importlib
import os
import time

import numpy as np
import pytest

from fasttsne import files

ENDINGS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}


@pytest.fixture
def points(rng):
    return rng.normal(size=(20, 2))


@pytest.mark.parametrize("ending", [*ENDINGS, ".GZ"])
@pytest.mark.parametrize("kind", [".csv", ".tsv"])
def test_compressed_tables(points, tmp_path, kind, ending):
    module = pytest.importorskip(ENDINGS[ending.lower()])
    path, plain = tmp_path / f"map{kind}{ending}", tmp_path / f"map{kind}"
    more = {"labels": [f'a "name", {i}\n' for i in range(20)], "ids": np.arange(20)}
    for each in (path, plain):
        files.check_output(each)
        files.write_map(each, points, **more)
    with module.open(path, "rb") as file:
        assert file.read() == plain.read_bytes()
    table = files.read_table(path, leave_out="id")
    np.testing.assert_array_equal(table.data, points)
    assert table.columns["label"].tolist() == more["labels"]
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, plain.name])


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_map_is_compressed_to_the_same_bytes(points, tmp_path, monkeypatch, ending):
    pytest.importorskip(ENDINGS[ending])
    files.write_map(tmp_path / f"one.csv{ending}", points)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    files.write_map(tmp_path / f"two.csv{ending}", points)
    assert (tmp_path / f"one.csv{ending}").read_bytes() == (
        tmp_path / f"two.csv{ending}"
    ).read_bytes()  # fmt: skip


def test_a_compressed_table_is_replaced_when_all_is_written(points, tmp_path):
    path = tmp_path / "map.csv.gz"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError):
        files.write_map(path, points, labels=["a"] * 19 + ["\ud800"])
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["map.csv.gz"]


@pytest.mark.parametrize("name", ["map.npy.gz", "map.gz", "map.parquet.xz", "map.csv.zip"])
def test_what_is_not_written_compressed(points, tmp_path, name):
    for check in (files.check_output, lambda path: files.write_map(path, points)):
        with pytest.raises(ValueError, match="cannot write the extension"):
            check(tmp_path / name)


def test_a_compression_that_python_lacks_is_noticed_before_the_work(tmp_path, monkeypatch):
    def import_module(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(ImportError, match=r"map\.csv\.xz: this Python has no 'lzma', use a file"):
        files.check_output(tmp_path / "map.csv.xz")
