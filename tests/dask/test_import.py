"""Dask is not needed, and not imported, before it is used."""

from pathlib import Path

import pytest

CLUSTER_PAGE = Path(__file__).parents[2] / "docs" / "cluster.rst"


def test_the_page_lists_what_is_refused():
    pytest.importorskip("distributed")
    from fasttsne.dask.cluster import REASONS

    page = " ".join(CLUSTER_PAGE.read_text().split())
    for name, reason in REASONS.items():
        assert f"* - {name} - {reason}" in page
