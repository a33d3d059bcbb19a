"""All benchmarks in one run, one after the other, and one page of what they print.

    FASTTSNE_DATA=... python benchmarks/everything.py --former ENVIRONMENT/bin/python
        [--only mnist neighbors ...] [--skip large ...] [--out benchmark-results]
    python benchmarks/everything.py --list

Run it in an environment made from ``benchmarks/requirements.txt`` with hnswlib and pynndescent;
``--former`` is the Python of an earlier version.  What is printed goes to a file for each run, and
``page.rst`` in the same folder has all of them, with the commands, the machine and its load.
A run whose file is there is not repeated.  Everything takes several hours, and 16 GB of memory.
docs/targets.rst says what the figures were to be.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
# Each run by its name: the program and its arguments.
RUNS = {
    "mnist": "mnist.py --neighbors approx",
    "whole-fits": "figures.py --data mnist fashion cells segments digits --former FORMER",
    "iteration": "compare.py iteration",
    "kl": "compare.py kl",
    "small-fits": "compare.py fit --programs fasttsne fasttsne-auto fasttsne-bh sklearnex",
    "classical-fit": "compare.py fit --rows 70000 --iterations 750 --rounds 1 --programs fasttsne "
    "fasttsne-auto fasttsne-3d fasttsne-3d-bh pacmap umap sklearnex openTSNE",
    "three-dimensions": "compare.py fit --rows 10000 --rounds 1 --programs fasttsne-3d-bh "
    "sklearn-3d",
    "transform": "compare.py transform",
    "forces": "forces.py",
    "scaling": "scaling.py",
    "threads": "threads.py",
    "fft": "fft.py",
    "terms": "terms.py --repeats 7 --fits 5",
    "neighbors": "neighbors.py --data mnist fashion pca --programs approx approx-99 exact "
    "hnsw-lean hnsw",
    "neighbors-90": "neighbors.py --data clusters --k 90 --programs approx hnsw-lean hnsw-fast "
    "pynndescent",
    "neighbors-15": "neighbors.py --data clusters --k 15 --programs approx hnsw-lean hnsw-fast "
    "pynndescent",
    "hostile": "hostile.py",
    "hostile-20000": "hostile.py --rows 20000",
    "hostile-100000": "hostile.py --rows 100000",
    "growth": "figures.py --growth 2000 5000 10000 20000 50000 100000 --former FORMER --programs "
    "fasttsne-auto fasttsne pacmap umap trimap sklearnex openTSNE --picture growth.png",
    "large": "large.py --data folded-1000000-50 shifts-1050000 --other FORMER",
    "ten-million": "large.py --data folded-100000-50 folded-10000000-50 --limit 10GB",
    "memory": "memory.py",
    "convergence": "convergence.py --seeds 5 --perplexity 5 30 --methods momentum preconditioned "
    "--n-jobs 1 --data digits-1797 mnist-2000 mnist-5000 mnist-10000 clusters-5000 clusters-10000",
    "sheets": "convergence.py --seeds 5 --perplexity 5 30 --methods momentum preconditioned "
    "classical --longest 1500 --n-jobs 1 --data roll-5000 line-5000 branches-5000",
    "few-rows": "convergence.py --seeds 5 --perplexity 5 30 --methods momentum preconditioned "
    "--n-jobs 1 --data roll-1000 roll-2000 roll-4900 line-1000 line-2000 line-4900 branches-1000 "
    "branches-2000 branches-4900 clusters-1000 clusters-2000 clusters-4900",
    "cliffs": "convergence.py --cliffs --n-jobs 1 --data roll --perplexity 30",
    "larger-sheets": "convergence.py --seeds 5 --perplexity 5 30 --methods momentum preconditioned "
    "classical --longest 1500 --n-jobs 1 --data roll-20000 line-20000 branches-20000",
    "largest-sheets": "convergence.py --perplexity 5 30 --methods momentum preconditioned "
    "classical --longest 1500 --n-jobs 1 --data roll-100000 line-100000 branches-100000",
    "tolerance": "convergence.py --n-jobs 1 --methods momentum preconditioned tol=1e-4 arranged "
    "classical --data digits-1797 mnist-2000 roll-2000 line-2000 roll-5000 mnist-10000 "
    "branches-10000 clusters-10000 roll-20000 mnist-70000 branches-100000",
    "cluster": "cluster.py --rows 1000000 --workers 2",
    "cluster-transform": "cluster.py --rows 1000000 --workers 2 --transform 20000",
    "cluster-large": "cluster.py --rows 3000000 --workers 2 --memory-limit 6GB --not-local",
    "faults": "faults.py",
    "growing-700": "growing.py --cases last --rows 69300 --new 700 --hold inf",
    "growing-7000": "growing.py --cases last --rows 63000 --new 7000 --hold inf",
    "growing-ten": "growing.py --cases ten --rows 9000 --new 1000 --hold 0.0001 0.00001",
    "growing-digit": "growing.py --cases digit --rows 4500 --new 500 --hold inf 0.00001",
    "aligned": "aligned.py --rows 37000 --shared 4000 --alignment 0.002",
    "global-structure": "global_structure.py --weights 0 0.15 --other PYTHON",
    "trust": "trust.py",
    "trust-intervals": "trust.py --intervals 1000",
    "trust-sklearn": "trust.py --sklearn 5000 10000",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--skip", nargs="+", default=[], choices=list(RUNS))
    parser.add_argument("--former", help="Python with an earlier version")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--list", action="store_true", help="the commands only")
    options = parser.parse_args()
    chosen = [name for name in options.only if name not in options.skip]
    if options.list:
        print("\n".join(f"{name:18} python benchmarks/{RUNS[name]}" for name in chosen))
        return
    if not options.former and any("FORMER" in RUNS[name] for name in chosen):
        parser.error("--former is needed: the Python of an environment with an earlier version")
    options.out.mkdir(exist_ok=True)
    for name in chosen:
        if not result_path(options.out, name).exists():
            measure(name, options)
    page = options.out / "page.rst"
    page.write_text(as_page(options.out))
    print(page)


def measure(name: str, options):
    """Run one benchmark; its file is there only when it has ended."""
    program, *arguments = RUNS[name].split()
    places = {"FORMER": options.former, "PYTHON": sys.executable}
    arguments = [places.get(argument, argument) for argument in arguments]
    print(name, file=sys.stderr, flush=True)
    begin, before = time.perf_counter(), load()
    # The errors are shown here, as they come: progress, and why a run failed.
    done = subprocess.run(
        [sys.executable, str(HERE / program), *arguments], stdout=subprocess.PIPE, text=True
    )
    seconds = time.perf_counter() - begin
    about = f"{seconds:.0f} s; load {before} before, {load()} after; status {done.returncode}\n\n"
    result_path(options.out, name).write_text(about + done.stdout)


def result_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.txt"


def load() -> str:
    """How many processes wait for a core, on average of a minute; other work shows here."""
    return f"{os.getloadavg()[0]:.1f}"


def as_page(folder: Path) -> str:
    """All results that are in a folder, as reStructuredText."""
    title = "Benchmarks"
    parts = [f"{title}\n{'=' * len(title)}\n\n{machine()}"]
    for name, command in RUNS.items():
        if result_path(folder, name).exists():
            shown = "\n".join(
                f"    {line}".rstrip() for line in result_path(folder, name).read_text().split("\n")
            )
            parts.append(
                f"{name}\n{'-' * len(name)}\n\n``python benchmarks/{command}``::\n\n{shown}"
            )
    return "\n\n".join(parts) + "\n"


def machine() -> str:
    """The processor, the system and the versions, in a sentence."""
    from importlib.metadata import version

    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else []:
        if line.startswith("model name"):
            processor = line.split(":")[1].strip()
            break
    packages = ", ".join(f"{name} {version(name)}" for name in ("fasttsne", "numpy", "scipy"))
    return (
        f"{processor}, {os.cpu_count()} cores; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, {packages}.\n"
    )


if __name__ == "__main__":
    main()
