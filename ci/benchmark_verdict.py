"""Is HEAD slower than BASE?  The verdict on results of pytest-benchmark.

    python ci/benchmark_verdict.py FOLDER

FOLDER holds base-*.json and head-*.json, one for each turn.  The fastest call of all turns
counts: other work on the machine only ever adds to a time.  Exit code 1 names what is more
than 15 % slower, ends at a KL divergence more than 1 % higher, or did not run.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

SLOWER = 1.15
WORSE = 1.01


class Result(NamedTuple):
    """The fastest call, seconds, and the KL divergence, where there is one."""

    seconds: float
    kl: float | None = None


def merged(turns) -> dict[str, Result]:
    """The results of one revision by name, from the parsed files of its turns."""
    results = {}
    for turn in turns:
        for each in turn["benchmarks"]:
            name, seconds = each["name"].removeprefix("test_"), each["stats"]["min"]
            fastest = min(seconds, results.get(name, Result(seconds)).seconds)
            results[name] = Result(fastest, each["extra_info"].get("kl"))
    return results


def complaints(base: dict[str, Result], head: dict[str, Result]) -> list[str]:
    """One line for each benchmark of BASE that HEAD does not keep up with."""
    found = []
    for name, before in base.items():
        if name not in head:
            found.append(f"{name}: did not run in HEAD")
            continue
        after = head[name]
        if after.seconds > SLOWER * before.seconds:
            found.append(f"{name}: {100 * (after.seconds / before.seconds - 1):.0f} % slower")
        if before.kl is not None and not (after.kl is not None and after.kl <= WORSE * before.kl):
            found.append(f"{name}: KL divergence {before.kl:.4f} -> {after.kl}")
    return found


def table(base: dict[str, Result], head: dict[str, Result]) -> str:
    """Both revisions side by side; what BASE cannot run yet has no ratio."""
    lines = [f"{'benchmark':24}{'base, ms':>12}{'head, ms':>12}{'ratio':>8}{'KL':>10}{'':>10}"]
    for name, after in head.items():
        before = base.get(name)
        line = f"{name:24}{1e3 * before.seconds if before else float('nan'):12.3f}"
        line += f"{1e3 * after.seconds:12.3f}"
        line += f"{after.seconds / before.seconds:8.3f}" if before else f"{'new':>8}"
        for result in (before, after):
            line += f"{result.kl:10.4f}" if result and result.kl is not None else ""
        lines.append(line)
    return "\n".join(lines)


def read(folder: Path, side: str) -> dict[str, Result]:
    """The results of one side, "base" or "head"."""
    files = sorted(folder.glob(f"{side}-*.json"))
    return merged(json.loads(file.read_text()) for file in files if file.stat().st_size)


def main(folder: str) -> int:
    base, head = read(Path(folder), "base"), read(Path(folder), "head")
    if not (base and head):
        print("no results of", "HEAD" if base else "BASE")
        return 1
    print(table(base, head))
    found = complaints(base, head)
    print("\n".join(f"FAILED {line}" for line in found) or "HEAD keeps up with BASE")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
