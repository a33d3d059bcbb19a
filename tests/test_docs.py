"""The documentation builds without warnings, and its examples give what they say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"


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
