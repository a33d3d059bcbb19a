"""Mistakes that the command line finds before the work, not after it."""

import numpy as np
import pytest

from fasttsne.cli import main


@pytest.fixture
def data(digits, tmp_path, monkeypatch):
    """A folder to work in, with the rows as rows.npy."""
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", digits[:60])
    return tmp_path


@pytest.fixture
def says(capsys):
    """What a command that must fail says, in one line."""

    def run(*arguments):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        return err

    return run


@pytest.mark.parametrize("option", ["--plot=map.png", "--html=map.html", "--animate=run.gif"])
@pytest.mark.parametrize("n_components", ["1", "3"])
def test_pictures_of_maps_that_are_not_flat(data, says, option, n_components):
    for module in ("matplotlib", "plotly", "PIL"):
        pytest.importorskip(module)
    name = option.split("=")[0]
    said = says("fit", "rows.npy", option, "--n-components", n_components)
    assert said == f"fasttsne: {name} draws maps with --n-components 2; got {n_components}\n"
    assert [path.name for path in data.iterdir()] == ["rows.npy"]


@pytest.mark.parametrize("name", ["learning-rate", "exaggeration", "early-exaggeration"])
def test_infinite_parameters(data, says, name):
    said = says("fit", "rows.npy", "-q", f"--{name}", "1e999")
    assert said == f"fasttsne: {name.replace('-', '_')} must be a finite number; got inf\n"


def test_complex_numbers(data, says):
    np.save("complex.npy", np.load("rows.npy") + 1j)
    assert "X must hold real numbers; got dtype complex64" in says("fit", "complex.npy", "-q")


def test_where_the_demo_writes(data, says, capsys):
    assert "cannot write files that end in '.txt'" in says("demo", "-o", "map.txt")
    assert "no/map.npy: there is no folder no" in says("demo", "-o", "no/map.npy")
    assert main(["demo", "-o", "map.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(("wrote", "for a picture"))
    lines = (data / "map.csv").read_text().splitlines()
    assert lines[0] == "tsne_1,tsne_2,label"
    assert len(lines) == 1798
