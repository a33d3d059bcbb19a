"""Does memory grow with the number of fits, and do the kernels leave any behind?

    python ci/leaks.py [FEW MANY]

Runs FEW (10) and MANY (100) small fits, with each method in turn, each with a map of new rows
and a copy that goes on.  First by themselves: the resident memory must not grow from the
first tenth to the end.  Then under valgrind's memcheck, with each of Python's objects an
allocation of its own: what is still allocated in the end, lost or not, and what was read
before it was written or out of bounds, is counted where a function of fasttsne's compiled
modules is among the callers.  The counts of both runs must be the same, and such reads none.
Needs valgrind, Linux and an environment with fasttsne; the exit code is 1 for what is wrong.
"""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

METHODS = ("fft", "bh", "exact")
MOST_GROWTH = 4  # MB: pools of the allocator settle late
OURS = f"{os.sep}fasttsne{os.sep}_kernels{os.sep}"
VALGRIND = [
    "valgrind", "--tool=memcheck", "--leak-check=full", "--show-leak-kinds=all",
    "--num-callers=40", "--xml=yes", "--error-limit=no", "--fair-sched=yes",
]  # fmt: skip


def resident():
    """Resident memory in MB, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def fits(count):
    """Fit ``count`` times; return the resident memory after each, in MB."""
    import numpy as np

    from fasttsne import TSNE

    X = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    memory = []
    for i in range(count):
        embedding = TSNE(
            perplexity=8, n_iter=3, early_exaggeration_iter=3, n_jobs=2, random_state=0,
            negative_gradient_method=METHODS[i % len(METHODS)],
        ).fit(X[:90])  # fmt: skip
        embedding.optimize(2, inplace=False)
        embedding.transform(X[90:])
        memory.append(resident())
    return memory


def under_valgrind(count):
    """(allocated bytes, errors) of ``count`` fits, as Counters by kind, of our modules only."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        subprocess.run(
            [*VALGRIND, f"--xml-file={report}", sys.executable, __file__, "--fits", str(count)],
            check=True, env={**os.environ, "PYTHONMALLOC": "malloc"},
        )  # fmt: skip
        root = ElementTree.parse(report).getroot()
    allocated, errors = Counter(), Counter()
    for error in root.iter("error"):
        if not any(OURS in (frame.findtext("obj") or "") for frame in error.iter("frame")):
            continue
        kind = error.findtext("kind")
        if kind.startswith("Leak_"):
            allocated[kind] += int(error.findtext("xwhat/leakedbytes"))
        else:
            where = next(f for f in error.iter("frame") if OURS in (f.findtext("obj") or ""))
            errors[f"{kind} in {where.findtext('fn')} of {Path(where.findtext('obj')).name}"] += 1
    return allocated, errors


def main(few=10, many=100):
    """Print what was found; return the exit code."""
    memory = fits(many)
    early = memory[many // 10 - 1]
    print(f"resident: {early:.1f} MB after {many // 10} fits, {memory[-1]:.1f} after {many}")
    wrong = ["memory grows"] if memory[-1] - early > MOST_GROWTH else []
    counts = {}
    for count in (few, many):
        counts[count], errors = under_valgrind(count)
        print(f"{count} fits: {dict(counts[count])} bytes allocated, errors {dict(errors)}")
        wrong += [f"{error}, {times} times" for error, times in errors.items()]
    if counts[many]["Leak_DefinitelyLost"]:
        wrong.append("memory is lost")
    if counts[few] != counts[many]:
        wrong.append("what stays allocated depends on the number of fits")
    for problem in wrong:
        print(f"WRONG: {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fits"]:
        fits(int(sys.argv[2]))
    else:
        sys.exit(main(*map(int, sys.argv[1:])))
