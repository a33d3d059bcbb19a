"""Dask is not needed, and not imported, before it is used."""

from pathlib import Path

import pytest
from helpers.quick import run_python

CLUSTER_PAGE = Path(__file__).parents[2] / "docs" / "cluster.rst"


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


def test_the_page_lists_what_is_refused():
    pytest.importorskip("distributed")
    from fasttsne.dask.limits import REASONS

    page = " ".join(CLUSTER_PAGE.read_text().split())
    for name, reason in REASONS.items():
        assert f"* - {name} - {reason}" in page
