"""What it means that the system starts no thread."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def starting_threads() -> Iterator[None]:
    """Raise MemoryError where no thread can be started, of which Python makes a RuntimeError.

    Each needs memory for its stack; or the number of processes is limited.
    """
    try:
        yield
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise MemoryError("the system starts no thread: a limit of memory or processes") from error
