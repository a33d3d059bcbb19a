"""The released tests of other packages, on the t-SNE that they were written for and on fasttsne.

    python ci/clients/run.py WORK
    python ci/clients/run.py WORK --only scanpy orange

WORK is a folder for the environment, the sources and the results (``WORK/results``).  The newest
releases are taken, this checkout is installed beside them, and each suite runs twice
(``stand_in.py``).  A table is printed, and each test that passes on its own package and not on
fasttsne.  ``failures.py`` has the reasons of those that are known; the exit code is 1 if one has
none.
"""

import argparse
import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from failures import REASONS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGES = [
    "openTSNE",
    "scikit-learn",
    "Orange3",
    "scanpy",
    "PyQt5",
    "PyQtWebEngine",
    "annoy",
    "hnswlib",
    "pynndescent",
    "pytest",
    "pytest-mock",
]
# Packages whose tests are in the source distribution only.
SOURCES = ("openTSNE", "scanpy")
SCANPY = (
    "-p",
    "testing.scanpy._pytest",
    "--import-mode=importlib",
    "-k",
    "tsne",
    *(f"tests/test_{name}.py" for name in ("embedding", "deprecations", "backed")),
)


@dataclass(frozen=True)
class Suite:
    """Tests of one package.

    Attributes
    ----------
    name : as on the command line and in failures.py.
    package : whose tests, as pip calls it.
    place : what fasttsne replaces, a name of ``stand_in.PLACES``.
    arguments : for pytest.
    """

    name: str
    package: str
    place: str
    arguments: tuple[str, ...]


SUITES = (
    Suite("opentsne", "openTSNE", "opentsne", ("tests",)),
    Suite("scikit-learn", "scikit-learn", "scikit-learn",
          ("--pyargs", "sklearn.manifold.tests.test_t_sne")),
    Suite("checks", "scikit-learn", "scikit-learn", (str(HERE / "test_checks.py"),)),
    Suite("orange", "Orange3", "opentsne",
          ("--pyargs", "Orange.tests.test_manifold", "-k", "TestTSNE")),
    Suite("orange-widget", "Orange3", "opentsne",
          ("--pyargs", "Orange.widgets.unsupervised.tests.test_owtsne")),
    Suite("scanpy", "scanpy", "scanpy", SCANPY),
    Suite("scanpy-sklearn", "scanpy", "scikit-learn", SCANPY),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder for everything that is made")
    names = [suite.name for suite in SUITES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="run these only")
    parser.add_argument("--reuse", action="store_true", help="install nothing: WORK has it all")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    python = work / "venv" / "bin" / "python"
    if not args.reuse:
        install(python, work)
        fetch_sources(python, work)
    n_unexplained = 0
    print(f"{'suite':16}{'version':10}{'tests':>6}   on its own package    on fasttsne")
    for suite in SUITES:
        if suite.name in args.only:
            own = run(suite, "", python, work)
            stand_in = run(suite, suite.place, python, work)
            n_unexplained += show(suite, installed(python, suite.package), own, stand_in)
    return int(n_unexplained > 0)


def install(python: Path, work: Path) -> None:
    """Make the environment, whose Python is given."""
    if not python.exists():
        venv.create(work / "venv", with_pip=True)
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--upgrade", *PACKAGES], check=True)
    subprocess.run([*pip, "install", "--force-reinstall", "--no-deps", ROOT], check=True)


def fetch_sources(python: Path, work: Path) -> None:
    """Unpack the tests of the packages in ``SOURCES`` that are installed, as WORK/NAME/tests."""
    for package in SOURCES:
        release = f"{package}=={installed(python, package)}"
        folder = work / "sources" / release
        if not folder.exists():
            subprocess.run(
                [
                    python,
                    "-m",
                    "pip",
                    "--quiet",
                    "download",
                    "--no-deps",
                    "--no-binary",
                    package,
                    "--dest",
                    folder,
                    release,
                ],
                check=True,
            )
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as file:
                file.extractall(folder, filter="data")
        tests = next(folder.glob("*/tests"))
        target = work / package / "tests"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(tests, target)
    # openTSNE's tests import each other as a package.
    (work / "openTSNE" / "tests" / "__init__.py").touch()


def installed(python: Path, package: str) -> str:
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    command = [python, "-c", code, package]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout.strip()


def run(suite: Suite, place: str, python: Path, work: Path) -> dict[str, str]:
    """The outcome of each test of a suite: "passed", "failed" or "skipped"."""
    results = work / "results" / f"{suite.name}-{'fasttsne' if place else 'own'}.xml"
    folder = work / suite.package
    for path in (results.parent, folder):
        path.mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n")  # not that of a folder above
    environment = {
        "PYTHONPATH": str(HERE),
        "STAND_IN": place,
        "QT_QPA_PLATFORM": "offscreen",
        "MPLBACKEND": "Agg",
        "OPENBLAS_NUM_THREADS": "1",
        # Chromium, which shows Orange's reports, would not start as root.
        "QTWEBENGINE_DISABLE_SANDBOX": "1",
    }
    results.unlink(missing_ok=True)
    with results.with_suffix(".txt").open("w") as output:
        subprocess.run(
            [python, "-m", "pytest", "-p", "stand_in", "--junitxml", results, *suite.arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )
    if not results.exists():
        sys.exit(f"{suite.name}: the tests did not come to their end; see {output.name}")
    return dict(outcomes(results))


def outcomes(results: Path) -> Iterator[tuple[str, str]]:
    for case in ElementTree.parse(results).iter("testcase"):
        children = {child.tag for child in case}
        outcome = "failed" if children & {"failure", "error"} else "passed"
        outcome = "skipped" if "skipped" in children else outcome
        yield f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}", outcome


def show(suite: Suite, version: str, own: dict[str, str], stand_in: dict[str, str]) -> int:
    """Print a suite's line and its differences; return how many have no reason."""
    print(f"{suite.name:16}{version:10}{len(own):6}   {counts(own):20}  {counts(stand_in)}")
    n_unexplained = 0
    for test in sorted(own):
        outcome = stand_in.get(test, "not found")
        if own[test] == "passed" and outcome != "passed":
            known = REASONS.get(suite.name, {})
            why = next((known[name] for name in known if fnmatch.fnmatchcase(test, name)), None)
            n_unexplained += why is None
            print(f"    {test} {outcome}: {why or 'NOT EXPLAINED'}")
    return n_unexplained


def counts(tests: dict[str, str]) -> str:
    number = Counter(tests.values())
    return ", ".join(f"{number[outcome]} {outcome}" for outcome in number) or "no tests"


if __name__ == "__main__":
    sys.exit(main())
