"""Where every extra is installed, a test that is skipped without a named reason fails."""

import shutil
from pathlib import Path

import pytest
from quick import run_python

HERE = Path(__file__).parent
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="needs MNIST: in no folder")
def test_named(): pass

def test_missing(): pytest.importorskip("a_package_that_is_missing")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "closing"),
    [
        ({}, "3 skipped"),
        ({"FASTTSNE_ALL_EXTRAS": "1"}, "1 error"),
        ({"FASTTSNE_ALL_EXTRAS": "1", "FASTTSNE_NOT_INSTALLED": "a_module"}, "1 failed, 2 skipped"),
        ({"FASTTSNE_ALL_EXTRAS": "1", "FASTTSNE_NOT_INSTALLED": "a_module a_package"}, "3 skipped"),
    ],
)
def test_skips(tmp_path, environment, closing):
    for name in ("conftest.py", "skips.py"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole_file.py").write_text("import pytest\npytest.importorskip('a_module')")
    environment = {"FASTTSNE_ALL_EXTRAS": "", "FASTTSNE_NOT_INSTALLED": "", **environment}
    result = run_python("-m", "pytest", "-p", "no:cacheprovider", folder=tmp_path, **environment)
    assert closing in result.stdout.splitlines()[-1], result.stdout
    assert (result.returncode == 0) == (closing == "3 skipped")
    for name in environment["FASTTSNE_NOT_INSTALLED"].split():
        assert f"COULD NOT BE INSTALLED: {name}\n" in result.stdout
