"""The package around the library: names, builds, the old name, the command line."""

import contextlib
import importlib.util
import io
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.quick import run_python

import fasttsne
from fasttsne import TSNE, _kernels
from fasttsne.cli import main


def test_public_names():
    for name in fasttsne.__all__:
        assert hasattr(fasttsne, name)
    for module in (
        "affinity",
        "callbacks",
        "initialization",
        "metrics",
        "nearest_neighbors",
        "tsne",
        "utils",
    ):
        assert getattr(fasttsne, module).__name__ == f"fasttsne.{module}"


def test_names_of_module_tsne():
    for name in fasttsne.tsne.__all__:
        assert hasattr(fasttsne.tsne, name)
    assert fasttsne.tsne.PartialTSNEEmbedding is fasttsne.PartialTSNEEmbedding


def test_import_and_a_fit_are_light():
    code = (
        "import sys, numpy, fasttsne, fasttsne.scanpy\n"
        "tsne = fasttsne.TSNE(n_iter=5, early_exaggeration_iter=5).set_params(perplexity=3)\n"
        "tsne.fit_transform(numpy.random.rand(30, 3)); tsne.get_params(); repr(tsne)\n"
        "heavy = {'matplotlib', 'sklearn', 'numba', 'pandas', 'tqdm', 'annoy', 'hnswlib'}\n"
        "heavy |= {'faiss', 'polars', 'joblib', 'scanpy', 'anndata'}\n"
        "heavy |= {'dask', 'distributed', 'fasttsne.dask'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr


def test_show_config(capsys):
    fasttsne.show_config()
    shown = capsys.readouterr().out
    for word in ("OpenMP", "SIMD level", "FFT backend", fasttsne.__version__, _kernels.simd):
        assert word in shown


@pytest.mark.slow
def test_a_source_folder_says_why_it_cannot_be_imported(tmp_path):
    """As in a checkout whose package was installed elsewhere."""
    sources = Path(fasttsne.__file__).parent
    compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(sources, tmp_path / "fasttsne", ignore=compiled)
    result = run_python("-c", "import fasttsne", folder=tmp_path)
    assert "ImportError: no compiled kernels in" in result.stderr
    assert "pip install --editable ." in result.stderr


@pytest.mark.thin(1)
@pytest.mark.parametrize("level", _kernels._available_levels())
def test_simd_level_can_be_forced(level):
    result = run_python("-c", "import fasttsne; fasttsne.show_config()", FASTTSNE_SIMD=level)
    assert f"SIMD level   {level}" in result.stdout, result.stderr


def test_unknown_simd_level_is_refused():
    result = run_python("-c", "import fasttsne", FASTTSNE_SIMD="mmx")
    assert result.returncode != 0
    assert "FASTTSNE_SIMD='mmx': expected one of portable, avx2" in result.stderr


def test_needs_nothing_but_numpy_and_scipy():
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'numba', 'pandas', 'PIL', 'pyfftw', 'sklearn', 'tqdm'):\n"
        "    sys.modules[name] = None\n"
        "import fasttsne\n"
        "from fasttsne.datasets import load_digits\n"
        "X, _ = load_digits()\n"
        "tsne = fasttsne.TSNE(n_iter=50, negative_gradient_method='fft', random_state=0)\n"
        "print('KL', tsne.fit(X).kl_divergence)\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout.split()[-1]) < 1.2


def test_the_name_of_2018():
    code = (
        "from fastTSNE import TSNE\n"
        "from fastTSNE.callbacks import ErrorLogger\n"
        "import fastTSNE, fastTSNE.affinity, fasttsne\n"
        "assert fastTSNE is fasttsne\n"
        "import sys\n"
        "for name in ('affinity', 'callbacks'):\n"
        "    assert sys.modules[f'fastTSNE.{name}'] is sys.modules[f'fasttsne.{name}']\n"
        "assert TSNE is fasttsne.TSNE and ErrorLogger is fasttsne.callbacks.ErrorLogger\n"
        "assert fasttsne.affinity.__spec__.name == 'fasttsne.affinity'\n"
        "try:\n"
        "    import fastTSNE.nonsense\n"
        "except ModuleNotFoundError as error:\n"
        "    assert 'nonsense' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr


def test_what_is_missing_is_named(tmp_path):
    """Also in a Python that was built without bz2 and lzma, as Pyodide's is."""
    path = tmp_path / "rows.csv.xz"
    path.touch()
    code = (
        "import sys\n"
        "for name in ('bz2', 'lzma', 'distributed', 'sklearn', 'sklearn.base'):\n"
        "    sys.modules[name] = None\n"
        "from fasttsne import files\n"
        "for what in ('files.read_rows(sys.argv[1])', 'import fasttsne.dask',\n"
        "             'import fasttsne.sklearn'):\n"
        "    try:\n"
        "        exec(what)\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    result = run_python("-c", code, path)
    assert f"{path}: this Python has no 'lzma'" in result.stdout, result.stderr
    for extra in ("dask", "sklearn"):
        assert f"pip install 'fasttsne[{extra}]'" in result.stdout, result.stderr


PROBE = """
import importlib.util, sys
from setuptools import Distribution
spec = importlib.util.spec_from_file_location("fasttsne_setup", sys.argv[1])
setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup)
from distutils.ccompiler import new_compiler
from distutils.sysconfig import customize_compiler
build = setup.BuildKernels(Distribution())
build.compiler = new_compiler()
customize_compiler(build.compiler)
program = "int two(void), puts(const char *);"
program += 'int main(void) { return puts("threads") < 0 || two() != 2; }'
print("it", "runs" if build.runs(program, [], ["-ltwo"]) else "does not run")
"""


@pytest.mark.slow
def test_the_build_tries_openmp_with_ldflags(tmp_path):
    """They name the folder of LLVM's library on macOS, without which it does not link."""
    setup = Path(fasttsne.__file__).parents[1] / "setup.py"
    compiler = shutil.which("cc")
    builds = importlib.util.find_spec("Cython") and importlib.util.find_spec("setuptools")
    if not (setup.exists() and compiler and builds) or sys.platform == "win32":
        pytest.skip("needs the checkout, Cython, setuptools and cc")
    (tmp_path / "two.c").write_text("int two(void) { return 2; }")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "two.c", "-o", "libtwo.so"], check=True, cwd=tmp_path
    )
    flags = f"-L{tmp_path} -Wl,-rpath,{tmp_path}"
    assert "it runs" in run_python("-c", PROBE, setup, LDFLAGS=flags).stdout
    assert "it does not run" in run_python("-c", PROBE, setup, LDFLAGS="").stdout


COLLECT = """
import sys
from importlib.metadata import packages_distributions
import pytest
# With what these need; all else that is installed cannot be imported.
installed = {"fasttsne", "numpy", "scipy", "pytest", "hypothesis", "threadpoolctl", "iniconfig",
             "packaging", "pluggy", "pygments", "attrs", "sortedcontainers", "exceptiongroup",
             "tomli", "typing-extensions"}
missing = {
    name for name, distributions in packages_distributions().items()
    if not installed & {each.lower().replace("_", "-") for each in distributions}
}
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
sys.exit(pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", sys.argv[1]]))
"""


@pytest.mark.slow
def test_tests_are_collected_without_extras():
    """As where wheels are tested, on every platform: what needs more is skipped."""
    environment = {
        # pytest and hypothesis would import the plugins of all packages that are installed.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HYPOTHESIS_NO_PLUGINS": "1",
        "FASTTSNE_ALL_EXTRAS": "",  # which allows no skips, where all is installed
    }
    result = run_python("-c", COLLECT, Path(__file__).parent, **environment)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


def test_demo(tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert np.load(tmp_path / "embedding.npy").shape == (1797, 2)
    assert (tmp_path / "embedding.png").read_bytes().startswith(b"\x89PNG")
    assert "KL divergence" in capsys.readouterr().out


def test_demo_without_matplotlib(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fasttsne.cli.commands.is_package_installed", lambda name: False)
    assert main(["demo"]) == 0
    assert (tmp_path / "embedding.npy").exists()
    assert "pip install matplotlib" in capsys.readouterr().out


def test_errors_are_one_line_and_exit_code_2(capsys):
    assert main(["demo", "-o", "/nowhere/at/all.npy"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["demo", "--n-jobs", "0"]) == 2
    assert "n_jobs must not be 0" in capsys.readouterr().err


def test_verbose_logs(digits):
    code = (
        "from fasttsne import TSNE\n"
        "from fasttsne.datasets import load_digits\n"
        "TSNE(n_iter=5, early_exaggeration_iter=5, verbose=True).fit(load_digits()[0][:100])\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0
    assert result.stdout == ""
    for stage in ("nearest neighbours", "affinities", "early exaggeration", "main phase"):
        assert stage in result.stderr


def test_verbose_is_a_matter_of_one_fit(digits):
    """Others are silent; messages go to what standard error is by then, and once."""

    def said(verbose):
        with contextlib.redirect_stderr(io.StringIO()) as error:
            TSNE(n_iter=5, early_exaggeration_iter=5, verbose=verbose).fit(digits[:100])
            text = error.getvalue()
        error.close()
        return text

    log, level = logging.getLogger("fasttsne"), logging.getLogger("fasttsne").level
    log.propagate, handlers = False, log.handlers[:]  # pytest's own handlers would get them
    try:
        assert said(True).count("main phase ...") == 1
        assert said(False) == ""
        assert said(True).count("main phase ...") == 1
        assert (log.handlers, log.level) == (handlers, level)
    finally:
        log.propagate = True


@pytest.mark.thin(1)
@pytest.mark.parametrize(
    "before", ["", "logging.basicConfig()", "log.addHandler(logging.NullHandler())"]
)
def test_verbose_is_heard_whatever_the_program_logs(before):
    code = (
        "import logging\n"
        "from fasttsne import TSNE\n"
        "from fasttsne.datasets import load_digits\n"
        "log = logging.getLogger('fasttsne')\n"
        f"{before}\n"
        "own = logging.FileHandler('own.log', delay=True)\n"
        "def configure(iteration, error, embedding):\n"
        "    log.addHandler(own)\n"
        "    log.setLevel(logging.DEBUG)\n"
        "fit = {'n_iter': 5, 'early_exaggeration_iter': 5, 'verbose': True}\n"
        "TSNE(**fit).fit(load_digits()[0][:100])\n"
        "TSNE(callbacks=configure, callbacks_every_iters=5, **fit).fit(load_digits()[0][:100])\n"
        "assert own in log.handlers and log.level == logging.DEBUG\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("main phase ...") == 2


def test_the_version_is_the_same_in_all_files():
    """In a checkout: who cites, upgrades or reports reads it from one of these files."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "CITATION.cff").exists():
        pytest.skip("needs the checkout")
    changes = (root / "CHANGELOG.rst").read_text(encoding="utf-8")
    version, date = re.search(r"^(\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", changes, re.M).groups()
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    supported = re.search(r"^\| (\d+\.\d+)\.x \| yes \|$", (root / "SECURITY.md").read_text(), re.M)
    assert version == fasttsne.__version__
    assert f"\nversion: {version}\n" in citation
    assert f"\ndate-released: {date}\n" in citation
    assert version.rpartition(".")[0] == supported[1]
