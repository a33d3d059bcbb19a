"""The documentation builds without warnings, and its examples give what they say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from test_house import LAYERS

from fasttsne.optimize import parameters

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROOT = DOCS.parent


@pytest.mark.parametrize("builder", ["doctest", "html"])
def test_builds(builder, tmp_path):
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("needs Sphinx: the extra docs")
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder, DOCS, tmp_path],
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    if builder == "doctest":
        report = (tmp_path / "output.txt").read_text()
        assert "0 failures in tests" in report
        assert int(report.split(" tests\n")[0].split()[-1]) > 20
    else:
        assert "Guide" in (tmp_path / "guide.html").read_text()
        page = (tmp_path / "parameters.html").read_text()
        missing = [name for name in parameters.TSNE if f">{name}</span>" not in page]
        assert not missing


@pytest.mark.skipif(not DOCS.exists(), reason="needs the folder docs")
@pytest.mark.parametrize(
    "name", ["CONTRIBUTING.rst", "docs/habits.rst", "docs/math.rst", "docs/testing.rst"]
)
def test_files_that_pages_name_exist(name):
    """Paths from the top of the repository, or below the package."""
    paths = [word for word in (ROOT / name).read_text().split("``")[1::2] if "/" in word]
    paths = [path for path in paths if " " not in path and "NAME" not in path]
    assert len(paths) > 3
    missing = [p for p in paths if not ((ROOT / p).exists() or (ROOT / "fasttsne" / p).exists())]
    assert not missing


@pytest.mark.skipif(not DOCS.exists(), reason="needs the folder docs")
def test_the_map_of_the_house_has_every_room():
    rooms = (ROOT / "CONTRIBUTING.rst").read_text().split("``")[1::2]
    for layer in LAYERS:
        assert set(layer) <= set(rooms)
