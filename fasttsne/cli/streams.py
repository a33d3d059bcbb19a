"""Standard streams that never fail a command (closed pipe, full disk), and its messages."""

import contextlib
import os
import sys


class Stream:
    """A standard stream; from its first failure on, what is written to it is dropped.

    A map that took hours is worth more than the lines about it.

    Parameters
    ----------
    stream : None where the process was started without it.

    Attributes
    ----------
    failure : the first OSError of writing; None while there was none.
    """

    def __init__(self, stream):
        self._stream = stream
        self.failure = None

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def isatty(self):
        return self._stream is not None and self._stream.isatty()

    def write(self, text):
        self._attempt("write", text)
        return len(text)

    def flush(self):
        self._attempt("flush")

    def _attempt(self, method, *arguments):
        if self._stream is None or self.failure is not None:
            return
        try:
            getattr(self._stream, method)(*arguments)
        except OSError as error:
            self.failure = error
            self._drop_the_rest()

    def _drop_the_rest(self):
        """What is left in the buffer would fail again when the interpreter ends."""
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as null:
            os.dup2(null.fileno(), self._stream.fileno())


def print_error(message: str) -> None:
    """Print one line on standard error."""
    print("fasttsne:", " ".join(message.split()), file=sys.stderr)
