"""Tables of text: the same by pyarrow and, without it, by NumPy."""

import importlib
import warnings

import numpy as np
import pytest

from fasttsne import files

TABLE = 'x,y,kind,at,count\n1,2.5,"a, b",2020-01-01,3\n3,4,"c ""d""",2021-02-03,5\n'


@pytest.fixture(params=["pyarrow", "numpy"])
def parser(request, monkeypatch):
    """Read by this package only."""
    pytest.importorskip(request.param)
    if request.param == "numpy":
        monkeypatch.setattr("fasttsne.io.table.is_package_installed", lambda name: False)


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write_text


def test_types_and_quotes(parser, write):
    table = files.read_table(write(TABLE))
    assert table.names == ("x", "y", "count")
    np.testing.assert_array_equal(table.data, [[1, 2.5, 3], [3, 4, 5]])
    assert table.columns["kind"].tolist() == ["a, b", 'c "d"']
    assert set(table.unused) == {"kind", "at"}
    assert "kind (text)" in table.describe()


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"columns": ["count", "x"]}, ("count", "x")),
        ({"columns": ["[xy]"]}, ("x", "y")),
        ({"columns": ["c*", "x"]}, ("count", "x")),
        ({"leave_out": "x"}, ("y", "count")),
        ({"leave_out": ["x", "kind"], "columns": ["*t"]}, None),
    ],
)
def test_choice_of_columns(write, choice, names):
    if names is None:
        with pytest.raises(ValueError, match="column 'at' has"):
            files.read_table(write(TABLE), **choice)
        return
    table = files.read_table(write(TABLE), **choice)
    assert table.names == names
    assert set(table.columns) == {"x", "y", "kind", "at", "count"} - set(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n,4\nNA,3\n", r"missing in the column 'x' \(2, the first on line 3\); "),
        ("x,y,z\n1,2,3\n,4,NA\n5,6,7\n", r"the columns 'x' \(1, the first on line 3\), 'z' \(1"),
        ('"x\ny",z\n1,2\n3,inf\n', "column 'z' has inf on line 4"),
        ("x,y\n1,2\n3,many\n", "column 'y' has 'many' on line 3, which is no number"),
        ("x,y\n1,2\n3,4,5\n6,7\n", "rows.csv: line 3 has 3 fields, the first 2"),
        ("x,y\n1,2\n\n3,4,5\n", "rows.csv: line 4 has 3 fields, the first 2"),
        ("1,2\n3,4,5\n", "rows.csv: line 2 has 3 fields, the first 2"),
        ("x,x\n1,2\n3,4\n", "more than one column 'x'"),
        ("", "rows.csv: it is empty"),
    ],
)
def test_what_is_wrong_is_said(parser, write, text, message):
    with pytest.raises(ValueError, match=message):
        files.read_table(write(text))


@pytest.mark.slow
def test_more_than_one_block_of_a_file(parser, write):
    """pyarrow takes types from the first block, whole numbers here."""
    table = files.read_table(write("x,name\n" + "1,a\n" * 400_000 + "1.5,b\n"))
    assert table.data[-1] == 1.5
    assert table.data.sum() == 400_001.5


@pytest.mark.parametrize(
    ("ending", "module"), [(".gz", "gzip"), (".bz2", "bz2"), (".xz", "lzma"), (".GZ", "gzip")]
)
def test_compressed(parser, tmp_path, ending, module):
    path = tmp_path / f"rows.tsv{ending}"
    try:
        compression = importlib.import_module(module)
    except ImportError:
        pytest.skip(f"this Python was built without {module}")
    with compression.open(path, "wt") as file:
        file.write("1\t2\n3\t4\n")
    np.testing.assert_array_equal(files.read_rows(path), [[1, 2], [3, 4]])


def test_identifiers_empty_columns_and_row_names_are_named(parser, write):
    path = write(",id,x,none,yes\nr1,A12,1,,True\nr2,77,2,,False\nr3,B3,3,,True\n")
    with pytest.warns(
        UserWarning, match=r"not used: \(no name\) \(text\), id \(text\), none \(emp"
    ):
        rows = files.read_rows(path)
    assert rows.ravel().tolist() == [1, 2, 3]
    table = files.read_table(path, columns=["x", "yes"])
    np.testing.assert_array_equal(table.data, [[1, 1], [2, 0], [3, 1]])


@pytest.mark.parametrize(
    ("line", "more", "is_said"),
    [("0,1,2", "", True), (",0,1,2", "a,", False), ("cell,0,1,2", "a,", True)],
)
def test_names_that_are_numbers(parser, write, line, more, is_said):
    """pandas names columns that have no names so, with or without names of rows before them."""
    path = write(f"{line}\n{more}1,2.5,3\n{more}4,5,6\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = files.read_table(path)
    np.testing.assert_array_equal(table.data, [[1, 2.5, 3], [4, 5, 6]])
    assert table.names == ("0", "1", "2")
    assert [str(each.message) for each in caught] == is_said * [
        f"{path}: its first line, {line}, is read as names of columns, which "
        "pandas writes so; if it is a row, put a line of names before it"
    ]


@pytest.mark.parametrize("line", ["0.0,1.0,2.0", "1,2,3", "0,1,3", "0,2,1", "nan,0,1"])
def test_rows_that_are_no_names(parser, write, line):
    table = files.read_table(write(f"{line}\n4,5,6\n"), columns=["1", "2"])
    np.testing.assert_array_equal(table.data[0], [float(text) for text in line.split(",")[1:]])


def test_a_single_column_and_a_single_row_have_no_numbered_names(parser, write):
    assert files.read_rows(write("0\n1\n2\n")).ravel().tolist() == [0, 1, 2]
    assert files.read_rows(write("0,1,2\n")).tolist() == [[0, 1, 2]]


def test_a_column_that_is_not_there(write):
    with pytest.raises(ValueError, match=r"it has no column 'cuont', only x, y.*'count' is near"):
        files.read_table(write(TABLE), columns=["cuont"])
    with pytest.raises(ValueError, match="it has no column 'z'"):
        files.read_table(write(TABLE), leave_out="z")


def test_parquet(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {
            "x": [1, 2, 3],
            "kind": pandas.Categorical(["a", "b", "a"]),
            "y": [0.5, 1, 2],
            "at": pandas.to_datetime(["2020-01-01"] * 3),
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    table = files.read_table(tmp_path / "rows.parquet")
    assert table.names == ("x", "y")
    assert table.unused == {"kind": "text", "at": "dates"}
    frame["y"] = [1, None, 2]
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="missing in the column 'y' \\(1, the first in row 1\\)"):
        files.read_table(tmp_path / "rows.parquet")


def test_names_with_digits_stay_texts(parser, write):
    """Python reads 1_23 and digits of other scripts as numbers."""
    path = write("id,a,b\n1_23,1,2\n12_3,3,4\n\u0663,5,6\n")
    table = files.read_table(path, leave_out="id")
    assert table.columns["id"].tolist() == ["1_23", "12_3", "\u0663"]
    np.testing.assert_array_equal(table.data, [[1, 2], [3, 4], [5, 6]])


def test_a_chosen_column_without_values(parser, write):
    with pytest.raises(ValueError, match=r"column 'b'.* on line 2"):
        files.read_table(write("a,b\n1,\n2,\n"), columns=["b"])


def test_a_long_text_among_numbers(write):
    pytest.importorskip("pyarrow")
    long = "x" * 200_000
    table = files.read_table(write(f"a,b,c\n1,2,3\n4,5,{long}\n"), leave_out="c")
    assert table.columns["c"].tolist() == ["3", long]


def test_a_long_text_in_a_column_that_begins_with_a_number(parser, write):
    long = "x" * 200_000
    table = files.read_table(write(f"a,c\nNA,3\n2,{long}\n"), leave_out=["a", "c"])
    assert table.columns["c"].tolist()[1] == long
    path = write(f"a,c,d\n1,3,7\n2,{long},many\n")
    with pytest.raises(ValueError, match="column 'd' has 'many' on line 3"):
        files.read_table(path, leave_out="c")
