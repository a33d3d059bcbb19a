"""Does memory grow with the number of fits, and do the kernels leave any behind?

    python ci/leaks.py [FEW MANY]              both parts
    python ci/leaks.py --resident COUNT        the first only

Runs FEW (10) and MANY (100) small fits, with each method in turn, each with a map of new rows
and a copy that goes on; and as many rounds of what maps are used for: updates, rows that leave,
single new rows, aligned maps, a report, measures, a saved file.  First by themselves: the
resident memory must not grow from the first tenth (uses: third) to the end.  Then under
valgrind's memcheck, with each of Python's objects an allocation of its own: what is still
allocated in the end, lost or not, and what was read before it was written or out of bounds, is
counted where a function of fasttsne's compiled modules is among the callers.  The counts of both
runs must be the same, and such reads none.
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
MAX_GROWTH = 4  # MB: pools of the allocator settle late
OURS = f"{os.sep}fasttsne{os.sep}_kernels{os.sep}"
VALGRIND = [
    "valgrind",
    "--tool=memcheck",
    "--leak-check=full",
    "--show-leak-kinds=all",
    "--num-callers=40",
    "--xml=yes",
    "--error-limit=no",
    "--fair-sched=yes",
]


def resident():
    """Resident memory in MB, as Linux counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def rows():
    import numpy as np

    return np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)


def one_fit(X, method):
    from fasttsne import TSNE

    embedding = TSNE(
        perplexity=8,
        n_iter=3,
        early_exaggeration_iter=3,
        n_jobs=2,
        random_state=0,
        negative_gradient_method=method,
    ).fit(X[:90])
    embedding.optimize(2, inplace=False)
    embedding.transform(X[90:])
    return embedding


def fits(count):
    """Fit ``count`` times; return the resident memory after each, in MB."""
    X, memory = rows(), []
    for i in range(count):
        one_fit(X, METHODS[i % len(METHODS)])
        memory.append(resident())
    return memory


def uses(count):
    """Use a map ``count`` times in each way; return the resident memory after each, in MB."""
    import numpy as np

    from fasttsne import AlignedTSNE, TSNEEmbedding, metrics, reports

    X, memory = rows(), []
    old, pairs = one_fit(X, "bh"), np.column_stack([np.arange(50)] * 2)
    for i in range(count):
        grown = old.update(X[90:100], hold=np.inf if i % 2 else 1.0, n_iter=3)
        old.update(X[90:92], replace=[0, 5], n_iter=3)
        grown.drop([0, 95]).optimize(2, inplace=True)
        old.transform(X[110:111])
        AlignedTSNE(0.02, perplexity=8, n_iter=3, early_exaggeration_iter=3, n_jobs=2).fit(
            [X[:60], X[60:]], [pairs]
        )
        reports.report(X[:90], old, np.arange(90) % 3, n_jobs=2)
        metrics.loo_scores(old, n_jobs=2)
        metrics.rank_curves(X[:90], old, n_jobs=2)
        with tempfile.TemporaryDirectory() as folder:
            old.save(Path(folder, "map.npz"), keep="rows")
            TSNEEmbedding.load(Path(folder, "map.npz"))
        memory.append(resident())
    return memory


RUNS = {"fits": fits, "uses": uses}
# The part of a run in which caches fill: there are more of them in uses.
SETTLED = {"fits": 0.1, "uses": 0.34}


def under_valgrind(name, count):
    """(allocated bytes, errors) of a run, as Counters by kind, of our modules only."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        subprocess.run(
            [*VALGRIND, f"--xml-file={report}", sys.executable, __file__, f"--{name}", str(count)],
            check=True,
            env={**os.environ, "PYTHONMALLOC": "malloc"},
        )
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


def check_resident(name, count):
    """Print how much memory a run takes; return what is wrong."""
    memory = RUNS[name](count)
    first = max(round(SETTLED[name] * count), 1)
    early = memory[first - 1]
    print(f"resident: {early:.1f} MB after {first} {name}, {memory[-1]:.1f} after {count}")
    return [f"memory grows with {name}"] if memory[-1] - early > MAX_GROWTH else []


def check_under_valgrind(name, few, many):
    """Print what a short and a long run leave behind; return what is wrong."""
    counts, wrong = {}, []
    for count in (few, many):
        counts[count], errors = under_valgrind(name, count)
        print(f"{count} {name}: {dict(counts[count])} bytes allocated, errors {dict(errors)}")
        wrong += [f"{error}, {times} times" for error, times in errors.items()]
    if counts[many]["Leak_DefinitelyLost"]:
        wrong.append(f"memory is lost by {name}")
    if counts[few] != counts[many]:
        wrong.append(f"what stays allocated depends on the number of {name}")
    return wrong


def main(arguments):
    """Print what was found; return the exit code."""
    if arguments[:1] == ["--resident"]:
        wrong = [text for name in RUNS for text in check_resident(name, int(arguments[1]))]
    else:
        few, many = map(int, arguments or (10, 100))
        wrong = []
        for name in RUNS:
            wrong += check_resident(name, many) + check_under_valgrind(name, few, many)
    for problem in wrong:
        print(f"WRONG: {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    asked = sys.argv[1:2]
    if asked in (["--fits"], ["--uses"]):
        RUNS[asked[0][2:]](int(sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1:]))
