"""A progress bar, or a line of text."""

import sys
import time
from typing import Any

from fasttsne.callbacks.base import Callback
from fasttsne.optimize.plan import Phase
from fasttsne.utils import is_package_installed, require


class ProgressBar(Callback):
    """Show the iteration, the KL divergence and the time left of each run on standard error.

    A run that stops at convergence (``n_iter="auto"``) has no time left to be shown, but the share
    of the loss that is.

    Parameters
    ----------
    use_tqdm : True for a bar by tqdm (the extra ``progress``); False for text, one line that
        is overwritten on a terminal, one line per call elsewhere; None for tqdm if installed.
    """

    def __init__(self, use_tqdm: bool | None = None):
        self.use_tqdm = use_tqdm
        self._n_iter: int | None = None
        self._bar: _TqdmBar | _TextBar | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bar": None}  # bars have streams, which cannot be copied

    def receive_settings(self, settings: Phase) -> None:
        self._n_iter = None if settings.may_stop_early else settings.n_iter

    def optimization_about_to_start(self) -> None:
        self.optimization_ended()
        use_tqdm = is_package_installed("tqdm") if self.use_tqdm is None else self.use_tqdm
        self._bar = (_TqdmBar if use_tqdm else _TextBar)(self._n_iter)

    def __call__(self, iteration: int, error: float, embedding: Any) -> None:
        if self._bar is None:
            self.optimization_about_to_start()
        assert self._bar is not None
        self._bar.show(iteration, f"{error:.4f}{_left(embedding)}")

    def optimization_ended(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _TqdmBar:
    def __init__(self, n_iter: int | None):
        tqdm = require("tqdm.auto", "ProgressBar(use_tqdm=True)", "progress").tqdm
        self._bar = tqdm(total=n_iter, unit="it")

    def show(self, iteration: int, error: str) -> None:
        self._bar.set_postfix_str(f"KL {error}", refresh=False)
        self._bar.update(iteration - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _TextBar:
    def __init__(self, n_iter: int | None):
        self._n_iter = n_iter
        self._start = time.perf_counter()
        self._overwrite = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
        self._open = False

    def show(self, iteration: int, error: str) -> None:
        seconds = time.perf_counter() - self._start
        text = f"iteration {iteration}"
        if self._n_iter is not None:
            left = seconds / iteration * (self._n_iter - iteration)
            text += f"/{self._n_iter}, {clock(left)} left"
        text += f", KL divergence {error}"
        if self._overwrite:
            text = f"\r{text:60s}"
        print(text, end="" if self._overwrite else "\n", file=sys.stderr, flush=True)
        self._open = self._overwrite

    def close(self) -> None:
        if self._open:
            print(file=sys.stderr)


def _left(embedding: Any) -> str:
    """The share of the loss that is estimated to be left, where it is known."""
    share = getattr(getattr(embedding, "optimizer", None), "loss_left", None)
    return "" if share is None else f", about {100 * max(share, 0):.2g} % of it left"


def clock(seconds: float) -> str:
    """A duration as minutes and seconds, with hours if there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
