"""Clusters of real processes, started by Dask's own commands, on the loopback interface."""

import contextlib
import os
import signal
import subprocess
import sys
import time

from distributed import Client

DASK = [sys.executable, "-m", "dask"]
# A worker that waits for another's data notices its death after so long; Dask's default is 30 s.
PATIENCE = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3s"}


class Processes:
    """A scheduler and workers, each a process of its own.

    folder : for the scheduler's file and what workers spill.
    tls : arguments of all commands, for encrypted connections; ``protocol`` is theirs.
    """

    def __init__(self, folder, tls=(), protocol="tcp"):
        self.folder, self._tls, self._protocol = folder, list(tls), protocol
        self._file = str(folder / "scheduler.json")
        self.workers = []
        self._scheduler = self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--no-show",
            "--protocol",
            protocol,
            "--scheduler-file",
            self._file,
        )
        while not os.path.exists(self._file):
            assert self._scheduler.poll() is None, self.log()
            time.sleep(0.05)

    def _start(self, *arguments, environment=None):
        with open(self.folder / "log.txt", "a") as log:
            return subprocess.Popen(
                [*DASK, *arguments, *self._tls],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **PATIENCE, **(environment or {})},
            )

    def log(self):
        return (self.folder / "log.txt").read_text()

    def start_worker(self, n_threads=1, environment=None):
        worker = self._start(
            "worker",
            "--scheduler-file",
            self._file,
            "--host",
            "127.0.0.1",
            "--no-nanny",
            "--nthreads",
            str(n_threads),
            "--no-dashboard",
            "--memory-limit",
            "2GiB",
            "--local-directory",
            str(self.folder),
            "--protocol",
            self._protocol,
            environment=environment,
        )
        self.workers.append(worker)
        return worker

    def client(self, n_workers, **settings):
        """Return a client that sees so many workers."""
        client = Client(scheduler_file=self._file, timeout=30, set_as_default=False, **settings)
        try:
            client.wait_for_workers(n_workers, timeout=60)
        except BaseException:
            client.close()
            raise
        return client

    def kill(self, worker):
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.workers.remove(worker)

    def kill_scheduler(self):
        self._scheduler.kill()
        self._scheduler.wait()

    def close(self):
        for process in (*self.workers, self._scheduler):
            process.kill()
        for process in (*self.workers, self._scheduler):
            process.wait()


@contextlib.contextmanager
def processes(folder, **settings):
    cluster = Processes(folder, **settings)
    try:
        yield cluster
    finally:
        cluster.close()
