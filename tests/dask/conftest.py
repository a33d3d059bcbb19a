"""A limit of time for each test: what hangs has failed."""

import signal

import pytest

SECONDS = 120


@pytest.fixture(autouse=True)
def limited_time():
    if not hasattr(signal, "SIGALRM"):  # Windows
        yield
        return

    def stop(signum, frame):
        raise TimeoutError(f"the test took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
