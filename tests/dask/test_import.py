"""Dask is not needed, and not imported, before it is used."""

from helpers.quick import run_python


def test_import_of_fasttsne_leaves_dask_alone():
    code = """
import sys
import fasttsne, fasttsne.scanpy
assert not {"dask", "distributed", "fasttsne.dask"} & set(sys.modules)
"""
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr


def test_without_dask_the_error_names_the_extra():
    code = """
import sys
sys.modules["distributed"] = None  # as where it is not installed
try:
    import fasttsne.dask
except ImportError as error:
    print(error)
"""
    result = run_python("-c", code)
    assert "pip install 'fasttsne[dask]'" in result.stdout, result.stderr
