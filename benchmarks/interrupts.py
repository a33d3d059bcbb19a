"""Ctrl-C at random moments of every part: how soon it is noticed, and whether all is well then.

    python benchmarks/interrupts.py                            10 times in each work
    python benchmarks/interrupts.py --times 3 --works "map: update" files
    python benchmarks/interrupts.py --commands all --signals INT TERM STOP

Each work of ``tests/helpers/interrupted_works.py`` runs in its own process; another sends
SIGINT to it.  With ``--commands`` it is the command line's commands, each signal to a new process;
STOP is followed by CONT, after which a command must succeed.

Shown are the seconds that it takes, how many signals were sent and came while it worked, and the
longest time from a signal to the KeyboardInterrupt.  Then come the problems, if there are any:
signals that were lost, other bits in the same process afterwards, threads, processes, open and
temporary files that are left, and files that cannot be read.  The exit code is 1 if there are.
"""

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.interrupted_commands import COMMANDS, Commands
from helpers.interrupted_works import WORKS
from helpers.interrupts import Outcome, interrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--works", nargs="+", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--commands", nargs="+", choices=[*COMMANDS, "all"])
    parser.add_argument("--signals", nargs="+", default=["INT"], choices=["INT", "TERM", "STOP"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # A shell starts jobs in the background with SIGINT ignored, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"{'work':28}{'seconds':>9}{'sent':>6}{'inside':>8}{'slowest, s':>12}{'problems':>10}")
    outcomes = []
    for name, outcome in (of_commands if options.commands else of_works)(options):
        outcomes.append(outcome)
        show(name, outcome)
    show(
        "all",
        Outcome(
            sum(each.seconds for each in outcomes),
            sum(each.n_sent for each in outcomes),
            sum(each.n_inside for each in outcomes),
            max(each.slowest for each in outcomes),
            [problem for each in outcomes for problem in each.problems],
        ),
    )
    return 1 if any(each.problems for each in outcomes) else 0


def of_works(options):
    moments = random.Random(options.seed)
    for name in options.works:
        with tempfile.TemporaryDirectory() as folder:
            process = Path(folder) / "process"
            yield name, interrupt(name, options.rows, options.times, moments, process)


def of_commands(options):
    moments = random.Random(options.seed)
    names = list(COMMANDS) if "all" in options.commands else options.commands
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(Path(folder), options.rows)
        for name in names:
            for number in (signal.Signals[f"SIG{each}"] for each in options.signals):
                outcome = Outcome(commands.seconds(name))
                for _ in range(options.times):
                    code, seconds, problems = commands.signal(name, number, moments.random())
                    outcome.n_sent += 1
                    outcome.problems += problems
                    if code in (130, -number):
                        outcome.n_inside += 1
                        outcome.slowest = max(outcome.slowest, seconds)
                yield f"{name}, {number.name}", outcome


def show(name, outcome):
    print(
        f"{name:28}{outcome.seconds:9.2f}{outcome.n_sent:6}{outcome.n_inside:8}"
        f"{outcome.slowest:12.3f}{len(outcome.problems):10}",
        flush=True,
    )
    for problem in outcome.problems if name != "all" else ():
        print(f"  {problem}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
