"""Interrupts at random moments of one piece of work, in a process of its own.

The process is ``interrupted.py``; what the interrupts came to is an :class:`Outcome`.
"""

import contextlib
import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
import time

# Seconds after which a process hangs, to start and to answer.
START, ANSWER = 600, 120
# A signal that nothing was heard of for so long is lost.
LOST = 60


@dataclasses.dataclass
class Outcome:
    """What interrupts of one work came to.

    Attributes
    ----------
    seconds : that the work takes, of the fastest time.
    n_sent, n_inside : interrupts, and those while it worked: the others came when it had ended.
    slowest : seconds from a signal to the KeyboardInterrupt that the caller got.
    problems : one text each.
    """

    seconds: float = 0.0
    n_sent: int = 0
    n_inside: int = 0
    slowest: float = 0.0
    problems: list = dataclasses.field(default_factory=list)


class Process:
    """The process of ``interrupted.py``, by its lines."""

    def __init__(self, name, n, folder):
        (folder / "work").mkdir(parents=True)
        (folder / "temporary").mkdir()
        self._errors = folder / "errors.txt"
        with open(self._errors, "w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "helpers.interrupted", name, str(n)],
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder / "work",
                env={
                    **os.environ,
                    "TMPDIR": str(folder / "temporary"),
                    "MPLBACKEND": "agg",
                    "OPENBLAS_NUM_THREADS": "1",
                    "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
                },
            )
        self._lines = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._process.stdout:
            self._lines.put(line.split(None, 2))
        self._lines.put(None)

    def hear(self, timeout):
        """The words of the next line; None if there is none in time.  RuntimeError if it died."""
        with contextlib.suppress(queue.Empty):
            line = self._lines.get(timeout=timeout)
            if line is None:
                raise RuntimeError(f"it ended with {self._process.wait()}: {self.errors()[-2000:]}")
            return line

    def say(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def interrupt(self):
        """Send SIGINT; return when that was."""
        now = time.perf_counter()
        self._process.send_signal(signal.SIGINT)
        return now

    def errors(self):
        return self._errors.read_text()

    def close(self):
        self._process.kill()
        self._process.wait()


def interrupt(name, n, times, moments, folder, compare_every=10):
    """Interrupt a work so many times, and compare its bits after every few interrupts and the last.

    moments : a ``random.Random``.
    """
    outcome = Outcome()
    process = Process(name, n, folder)
    try:
        ready = process.hear(START)
        if ready is None:
            raise RuntimeError("it does not begin")
        outcome.seconds = float(ready[1])
        for number in range(1, times + 1):
            _interrupt_once(process, moments.uniform(0, outcome.seconds), outcome)
            if number % compare_every == 0 or number == times:
                _compare(process, outcome)
    except RuntimeError as error:
        outcome.problems.append(str(error))
    finally:
        process.close()
    if process.errors():
        outcome.problems.append(process.errors()[-1000:])
    return outcome


def _interrupt_once(process, delay, outcome):
    process.say("go")
    begun = process.hear(ANSWER)
    if begun is None:
        raise RuntimeError("it does not begin again")
    answer = process.hear(delay)
    if answer and answer[0] == "failed":
        outcome.problems.append(f"without a signal: {answer}")
        return
    sent = process.interrupt()
    outcome.n_sent += 1
    answer = answer or process.hear(ANSWER)
    if answer is None:
        raise RuntimeError(f"it did not notice a signal {delay:.3f} s after its start")
    if answer[0] == "done":
        took = float(answer[1]) - sent
        outcome.seconds = min(outcome.seconds, float(answer[1]) - float(begun[1]))
        answer = process.hear(LOST)
        if answer is None:
            outcome.problems.append(f"the signal {delay:.3f} s after its start was lost")
            process.say("")
            process.hear(ANSWER)
            return
        is_inside = took > 0  # it ended, and the interrupt came only then
    else:
        is_inside = True
    at = f"{delay:.3f} s after its start"
    if answer[0] != "interrupted":
        outcome.problems.append(f"{at}: {' '.join(answer)}")
        return
    if is_inside:
        outcome.n_inside += 1
        outcome.slowest = max(outcome.slowest, float(answer[1]) - sent)
    if len(answer) > 2:
        outcome.problems.append(f"{at}: {answer[2].strip()}")


def _compare(process, outcome):
    process.say("again")
    answer = process.hear(ANSWER)
    if answer != ["same"]:
        outcome.problems.append(f"after interrupts it does not do the same: {answer}")
