"""The notebooks of examples/: each executed on few rows, and as they are kept."""

import importlib
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
HAS_MNIST = (Path(os.environ.get("FASTTSNE_DATA", "nowhere")) / "mnist").is_dir()
NEEDED = ("nbclient", "nbformat", "ipykernel", "matplotlib", "PIL")
ROWS = 1000
MOST_BYTES = 300_000

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


@pytest.fixture
def execute(monkeypatch):
    """The function of examples/execute.py."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    return importlib.import_module("examples.execute").execute


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(path):
    return "\n".join("".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "code")


def test_they_are_there():
    assert {path.stem for path in NOTEBOOKS} >= {
        "animation",
        "global_structure",
        "large_data",
        "simple_usage",
        "single_cell",
        "transform_new_points",
    }


@pytest.mark.slow
@notebooks
def test_runs(path, execute, tmp_path, monkeypatch):
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    code = code_of(path)
    if "scanpy" in code and importlib.util.find_spec("scanpy") is None:
        missing.append("scanpy")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which are not installed")
    if "get_mnist" in code and not HAS_MNIST:
        pytest.skip("needs MNIST: FASTTSNE_DATA names no folder that holds mnist/")
    monkeypatch.setenv("FASTTSNE_EXAMPLES_ROWS", str(ROWS))
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("__init__.py", "utils.py", path.name):
        shutil.copy(ROOT / "examples" / name, folder)
    notebook = execute(folder / path.name, timeout=120)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert [file.name for file in folder.iterdir() if file.suffix in (".gif", ".npy")] == []


@notebooks
def test_is_kept_executed_small_and_without_traces_of_a_machine(path):
    assert path.stat().st_size < MOST_BYTES
    code = [cell for cell in cells_of(path) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    kinds = {output["output_type"] for output in outputs}
    assert "error" not in kinds
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output.get("name") != "stderr", output
        text = "".join(output.get("text", ())) + json.dumps(
            {kind: data for kind, data in output.get("data", {}).items() if "image" not in kind}
        )
        assert not re.search(r"/(home|tmp|root|Users|work)\b|site-packages|0x[0-9a-f]{8}", text)


def test_few_rows(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    utils = importlib.import_module("examples.utils")
    monkeypatch.delenv(utils.FEW_ROWS, raising=False)
    assert utils.n_rows(9000) == 9000
    monkeypatch.setenv(utils.FEW_ROWS, "500")
    assert utils.n_rows(9000) == 500
    assert utils.n_rows(300) == 300
    if not HAS_MNIST:
        pytest.skip("needs MNIST: FASTTSNE_DATA names no folder that holds mnist/")
    x, y = utils.get_mnist()
    assert x.shape == (500, 784)
    assert len(set(y.tolist())) == 10
