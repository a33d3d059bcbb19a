"""Embeddings in files: what is written is what is read."""

import contextlib
import importlib
import os
import re
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
    ).read_bytes()


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


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".tsv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("name", ["labels", "ids"])
@pytest.mark.parametrize("values", [["a"] * 3, ["a"] * 21, "a"])
def test_each_point_has_a_label(points, tmp_path, ending, name, values):
    shape = re.escape(str(np.shape(values)))
    with pytest.raises(ValueError, match=rf"{name} must have the shape \(20,\).*; got {shape}"):
        files.write_map(tmp_path / f"map{ending}", points, **{name: values})
    assert os.listdir(tmp_path) == []


def missing_values():
    yield None
    yield float("nan")
    yield np.float32("nan")
    yield np.datetime64("NaT")
    with contextlib.suppress(ImportError):
        import pandas

        yield pandas.NA
        yield pandas.NaT


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("present", [["a", "b"], [1, 2], [1, "b"]])
def test_labels_that_are_missing(points, tmp_path, ending, present):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"map{ending}"
    for missing in missing_values():
        labels = np.array([*present, missing, *[present[0]] * 17], object)
        given = labels.copy()
        files.write_map(path, points, labels=labels, ids=labels)
        assert all(one is other for one, other in zip(labels, given, strict=True))
        if ending == ".csv":
            lines = path.read_text().splitlines()
            assert lines[3].startswith(",")
            assert lines[3].endswith(",")
        for name in "label", "id":
            found = files.read_table(path, columns=["tsne_*"]).columns[name].tolist()
            assert found[2] is None or found[2] != found[2]
            is_text = "b" in present
            assert found[:2] == [str(v) if is_text else v for v in present]


@pytest.mark.parametrize("dtype", ["category", "string", "Int64", "boolean", "datetime64[ns]"])
def test_columns_of_pandas_with_missing_values(points, tmp_path, dtype):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    values = {"Int64": 3, "boolean": True, "datetime64[ns]": "2020-01-01"}
    column = pandas.Series([values.get(dtype, "a"), None] * 10, dtype=dtype)
    for ending in (".parquet", ".csv"):
        path = tmp_path / f"map{ending}"
        files.write_map(path, points, labels=column)
        read = pandas.read_parquet(path) if ending == ".parquet" else pandas.read_csv(path)
        assert read["label"].isna().tolist() == [False, True] * 10
