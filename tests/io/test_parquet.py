"""Rows of Parquet files: read in blocks, by columns of numbers."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.quick import PEAK_MEMORY, QUICK, run_python

from fasttsne import TSNE, files
from fasttsne.runtime import rows as stored_rows

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N = 1000


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(0)
    counts = pyarrow.array(rng.integers(0, 9, N))
    return {
        "small": counts.cast(pyarrow.int8()),
        "half": rng.normal(size=N).astype(np.float16),
        "single": rng.normal(size=N).astype(np.float32),
        "a.b": rng.integers(0, 10**6, N),
        "money": counts.cast(pyarrow.decimal128(25, 2)),
        "coded": counts.dictionary_encode(),
        "text": ["1"] * N,
        "flag": rng.random(N) > 0.5,
        "pairs": [[1, 2]] * N,
        "words": [["a"]] * N,
        "nothing": pyarrow.nulls(N),
        "none": pyarrow.nulls(N, pyarrow.float32()),
        "day": np.arange(N).astype("datetime64[s]"),
        "a": rng.normal(size=N),
    }


NUMBERS = ("small", "half", "single", "a.b", "money", "coded", "a")


def write(path, columns, **settings):
    parquet.write_table(pyarrow.table(columns), path, **settings)
    return path


@pytest.fixture
def path(columns, tmp_path):
    return write(tmp_path / "rows.parquet", columns, row_group_size=137)


def expected(columns, names):
    values = [pyarrow.array(columns[name]) for name in names]
    return np.array([[float(value) for value in column.to_pylist()] for column in values]).T


def test_columns_are_what_their_types_say(path, columns):
    table = files.read_table(path)
    assert table.names == NUMBERS
    assert table.unused == {
        "text": "text",
        "flag": "true or false",
        "pairs": "lists",
        "words": "lists",
        "nothing": "empty",
        "none": "empty",
        "day": "dates",
    }
    assert set(table.columns) == set(table.unused)
    assert table.columns["text"].tolist() == ["1"] * N
    assert "a" not in table.columns
    with pytest.raises(KeyError):
        table.columns["a"]
    assert table.data.dtype == np.float64
    np.testing.assert_array_equal(np.asarray(table.data), expected(columns, NUMBERS))
    with pytest.warns(UserWarning, match=r"columns not used: text \(text\), flag"):
        rows = files.read_rows(path)
    assert isinstance(rows, np.ndarray)
    np.testing.assert_array_equal(rows, np.asarray(table.data))


@pytest.mark.parametrize(
    ("names", "dtype"),
    [
        (["small"], "i1"),
        (["small", "half"], "f2"),
        (["half", "single"], "f4"),
        (["flag"], "?"),
        (["flag", "small"], "i1"),
        (["a.b"], "i8"),
    ],
)
def test_the_smallest_type_that_holds_all(path, columns, names, dtype):
    rows = files.read_table(path, columns=names).data
    assert rows.dtype == dtype
    assert rows[:7].dtype == dtype
    np.testing.assert_array_equal(np.asarray(rows, float), expected(columns, names))


def test_a_vector(tmp_path):
    path = write(tmp_path / "kinds.parquet", {"kind": ["a", "b"]})
    assert files.read_vector(path).tolist() == ["a", "b"]
    assert files.read_vector(write(path, {"kind": [7, 8]})).tolist() == [7, 8]
    with pytest.raises(ValueError, match="it has others in addition to 'kind'"):
        files.read_vector(write(path, {"kind": ["a", "b"], "x": [1, 2]}))


def test_slices_of_any_rows(path):
    rows = files.read_table(path).data
    whole, rng = np.asarray(rows), np.random.default_rng(1)
    for first in rng.integers(0, N, 30):
        end = rng.integers(first, N + 1)
        np.testing.assert_array_equal(rows[first:end], whole[first:end])
    edges = [0, *np.sort(rng.choice(np.arange(1, N), 20, replace=False)), N]
    blocks = [rows[a:b] for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert rows[N:].shape == (0, 7)
    with pytest.raises(IndexError, match="without steps"):
        rows[::2]


@pytest.mark.parametrize("limit", ["auto", 0])
def test_the_map_is_that_of_the_array(path, columns, limit, monkeypatch):
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 2**12)
    rows = files.read_table(path, columns=["small", "half", "single"]).data
    found = TSNE(memory_limit=limit, **QUICK).fit(rows)
    wanted = TSNE(**QUICK).fit(expected(columns, ["small", "half", "single"]))
    assert np.array_equal(found, wanted)
    assert np.array_equal(found.transform(rows), wanted.transform(np.asarray(rows)))


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed"])
def test_lists_of_numbers_are_columns_if_they_are_chosen(kind, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 30)).astype(np.float32)
    item = pyarrow.float32()
    kinds = {
        "list": pyarrow.list_(item),
        "large_list": pyarrow.large_list(item),
        "fixed": pyarrow.list_(item, 30),
    }
    made = {"id": np.arange(N), "vector": pyarrow.array(list(X), kinds[kind])}
    path = write(tmp_path / "rows.parquet", made, row_group_size=300)
    assert files.read_table(path).unused == {"vector": "lists"}
    table = files.read_table(path, columns=["vector"])
    assert table.names == ("vector",)
    assert table.data.shape == X.shape
    assert table.data.dtype == np.float32
    assert np.array_equal(np.asarray(table.data), X)
    assert np.array_equal(table.data[250:350], X[250:350])
    both = np.asarray(files.read_table(path, columns=["id", "vector"]).data)
    assert np.array_equal(both, np.column_stack([np.arange(N), X]))


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1.0, 2.0, 3.0], "column 'vector' has not 2 numbers, as in row 0, in row 800; "),
        ([], "column 'vector' has not 2 numbers, as in row 0, in row 800; "),
        (None, "values are missing in the column 'vector' (1, the first in row 800); "),
        ([1.0, None], "values are missing in the column 'vector' (1, the first in row 800); "),
        ([1.0, np.nan], "values are missing in the column 'vector' (1, the first in row 800); "),
    ],
)
def test_a_list_that_is_wrong(values, what, tmp_path):
    lists = pyarrow.array([[0.5, 1.0]] * 800 + [values] + [[0.5, 2.0]] * 199)
    path = write(tmp_path / "rows.parquet", {"vector": lists}, row_group_size=300)
    rows = files.read_table(path, columns=["vector"]).data
    with pytest.raises(ValueError) as error:
        TSNE(**QUICK).fit(rows)
    assert str(error.value).startswith(f"{path}: {what}")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("text", "string"), ("words", "list<"), ("day", "timestamp["), ("nothing", "null")],
)
def test_a_chosen_column_without_numbers(path, name, kind):
    with pytest.raises(
        ValueError, match=re.escape(f"{path}: column {name!r} has no numbers, it is of type {kind}")
    ):
        files.read_table(path, columns=["a", name])


def test_columns_that_are_not_there_or_twice(path):
    with pytest.raises(ValueError, match=r"it has no column 'singles'.*'single' is near"):
        files.read_table(path, columns=["singles"])
    table = pyarrow.Table.from_arrays([pyarrow.array([1.0])] * 2, names=["x", "x"])
    parquet.write_table(table, path)
    with pytest.raises(ValueError, match="it has more than one column 'x'"):
        files.read_table(path)


def test_missing_values_are_known_from_the_file(columns, tmp_path):
    values = np.arange(N, dtype=object)
    values[[500, 900]] = None
    with_holes = {**columns, "holes": pyarrow.array(values.tolist())}
    path = write(tmp_path / "rows.parquet", with_holes, row_group_size=100)
    message = r"values are missing in the column 'holes' \(2, the first in row 500\); fill them"
    with pytest.raises(ValueError, match=message):
        files.read_table(path)
    assert files.read_table(path, leave_out="holes").names == NUMBERS


@pytest.mark.parametrize("kind", ["null", "nan"])
def test_missing_values_that_are_found_while_rows_are_read(kind, tmp_path, monkeypatch):
    """They are not tried again."""
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 2**10)
    values = [*range(800), None if kind == "null" else np.nan, *range(199)]
    column = pyarrow.array(values, from_pandas=False)
    made = {"x": np.arange(N), "y": column, "whole": column.is_valid(), "z": column}
    path = write(tmp_path / "rows.parquet", made, row_group_size=300, write_statistics=False)
    monkeypatch.setattr(stored_rows, "PAUSES", (60.0, 60.0))
    rows = files.read_table(path).data
    with pytest.raises(ValueError) as error:
        TSNE(**QUICK).fit(rows)
    message = "values are missing in the columns 'y' (1, the first in row 800), 'z' (1, "
    assert str(error.value).startswith(f"{path}: {message}")
    assert str(error.value).endswith("--drop y,z")


def test_infinite_numbers_are_named(tmp_path):
    values = np.ones(N)
    values[700:702] = np.inf, -np.inf
    path = write(tmp_path / "rows.parquet", {"x": np.arange(N), "y": values})
    with pytest.raises(ValueError, match=r"X must be finite; X\[700, 1\] is inf"):
        TSNE(**QUICK).fit(files.read_table(path).data)


def test_a_file_that_is_damaged(path):
    content = bytearray(path.read_bytes())
    content[3000:6000] = bytes(3000)
    path.write_bytes(content)
    rows = files.read_table(path).data
    with pytest.raises(OSError, match="rows 0 to 999 of X cannot be read, in three tries"):
        TSNE(**QUICK).fit(rows)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as Linux")
def test_a_file_is_not_read_whole(tmp_path):
    """Of 400 MB there are pages and dictionaries of each column in memory, and a few blocks."""
    rng = np.random.default_rng(0)
    made = {str(j): rng.normal(size=5_000_000).astype(np.float32) for j in range(20)}
    path = write(tmp_path / "rows.parquet", made)
    code = (
        f"{PEAK_MEMORY}\n"
        "import sys, pyarrow.parquet\n"
        "from fasttsne import files\n"
        "from fasttsne.runtime.rows import iter_blocks\n"
        "before = peak()\n"
        "n = sum(len(block) for _, block in iter_blocks(files.read_table(sys.argv[1]).data, 'X'))\n"
        "print(n, (peak() - before) / 400e6)\n"
    )
    n, share = run_python("-c", code, path).stdout.split()
    assert n == "5000000"
    assert float(share) < 0.5
