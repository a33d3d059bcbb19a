"""The documentation builds without warnings, and every block of code in it runs."""

import doctest
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.links import dead_links
from helpers.pages import blocks
from helpers.quick import run_python
from test_house import LAYERS, MODULES

from fasttsne.optimize import parameters

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROOT = DOCS.parent
PAGES = [page for page in (ROOT / "README.rst", *sorted(DOCS.glob("*.rst"))) if page.exists()]
PAGES_WITH_CODE = [page for page in PAGES if list(blocks(page.read_text(encoding="utf-8")))]
RUN_PAGE = ROOT / "tests" / "helpers" / "pages.py"
SLOW = {
    "choose",
    "cluster",
    "command_line",
    "drawing",
    "in_your_package",
    "large",
    "living_maps",
    "migrating",
    "single_cell",
    "start",
    "trust",
}
EXAMPLES = [name for name, (path, _) in MODULES.items() if ">>> " in path.read_text()]
KINDS = ("class", "function")
# Of fasttsne.objective, for the package itself.
WITHOUT_PAGE = {"check_method", "kl_divergence", "make_objective"}
NEEDS = {"animation": "PIL", "callbacks.live_plot": "matplotlib", "sklearn": "sklearn"}


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow) if page.stem in SLOW else page
        for page in PAGES_WITH_CODE
    ],
    ids=lambda page: page.stem,
)
def test_blocks_of_a_page_run(page, tmp_path):
    result = run_python(
        RUN_PAGE,
        page,
        folder=tmp_path,
        timeout=300,
        MPLBACKEND="Agg",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    left_out = json.loads(result.stdout.splitlines()[-1])
    if left_out:
        pytest.skip("; ".join(left_out))


def test_what_the_readme_names_is_tried_in_a_fresh_clone():
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    scripts = set(re.findall(r"(?:bash|python)\s+([\w/]+\.(?:sh|py))", readme))
    tried = (ROOT / "ci" / "fresh_clone.sh").read_text(encoding="utf-8")
    assert "ci/docs.sh" in scripts
    assert not [script for script in scripts if script not in tried]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_of_a_page_are_marked_as_code(page):
    """Others, after a line with two colons or in directives of Sphinx's, would not be run."""
    found = list(blocks(page.read_text(encoding="utf-8")))
    assert {block.kind for block in found} <= {"python", "doctest", "bash", "text"}
    for script in [name for block in found for name in block.marks.get("run by", ())]:
        assert (ROOT / script).exists()
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [n for n in lines if n.endswith("::") and not n.lstrip().startswith("..")]
    assert not [n for n in lines if n.startswith((".. testcode", ".. doctest", ".. literalinc"))]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_a_module(name, tmp_path, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"fasttsne.{name}".removesuffix(".__init__"))
    results = doctest.testmod(module)
    assert results.attempted > 1
    assert not results.failed


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#here"></a><a href="b.html?v=1#gone"></a>')
    (tmp_path / "b.html").write_text('<p id="here"></p><a href="c.html"></a><a href="#here"></a>')
    assert sorted(dead_links(tmp_path)) == ["a.html: b.html?v=1#gone", "b.html: c.html"]


@pytest.mark.slow
def test_builds(tmp_path):
    if importlib.util.find_spec("sphinx") is None:
        pytest.skip("needs Sphinx: the extra docs")
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not dead_links(tmp_path)
    page = (tmp_path / "parameters.html").read_text()
    assert not [name for name in parameters.TSNE if f">{name}</span>" not in page]
    page = (tmp_path / "api" / "fasttsne.html").read_text()
    for name in ("fit", "plan"):
        assert f'id="fasttsne.TSNE.{name}"' in page
    for name in ("optimize", "transform", "update", "drop", "save", "load", "kl_divergence"):
        assert f'id="fasttsne.TSNEEmbedding.{name}"' in page
    pages = "".join(path.read_text() for path in (tmp_path / "api").glob("*.html"))
    snapshot = json.loads((ROOT / "tests" / "surface.json").read_text())
    for module in [page.stem for page in DOCS.glob("api/fasttsne*.rst")]:
        for name in snapshot[module].keys() - WITHOUT_PAGE:
            facts = snapshot[module][name]
            homes = {module, facts.get("from", module)}
            if facts["kind"] in KINDS:
                assert any(f'id="{home}.{name}"' in pages for home in homes), (module, name)


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
def test_the_table_of_layers_has_every_module():
    names = (ROOT / "CONTRIBUTING.rst").read_text().split("``")[1::2]
    for layer in LAYERS:
        assert set(layer) <= set(names)
