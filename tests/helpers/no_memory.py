"""Entry points where memory ends; as a program, all of them in one process.

    python -m helpers.no_memory

prints each that neither gives the bits that it gives with enough memory nor raises MemoryError.
"""

import functools
import resource
import sys
import warnings
from pathlib import Path

from helpers.entry_points import ENTRY_POINTS, make_map

say = functools.partial(print, flush=True)
# MiB above what the process has.
SPARE = (0.25, 0.5, 1, 2, 4, 8, 16, 48)


def used():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def outcome(function, old, spare):
    """The bits, or the error."""
    resource.setrlimit(resource.RLIMIT_AS, (used() + int(spare * 2**20), resource.RLIM_INFINITY))
    try:
        return function(old)
    except MemoryError:
        return "MemoryError"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)


def run():
    old, counts = make_map(), {"map": 0, "MemoryError": 0}
    for name, function in ENTRY_POINTS.items():
        expected = function(old)
        for spare in SPARE:
            say("", name, spare, file=sys.stderr)
            found = outcome(function, old, spare)
            if found in (expected, "MemoryError"):
                counts["map" if found == expected else found] += 1
            else:
                say(f"{name}, {spare} MiB: {found}")
        if function(old) != expected:
            say(f"{name}: other bits afterwards")
    say(*counts.values())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run()
