"""A progress bar, or a line of text."""

import sys
import time
from typing import Any

from fasttsne.callbacks.base import Callback
from fasttsne.optimize.plan import Phase
from fasttsne.runtime.progress import ITERATIONS, Progress
from fasttsne.runtime.progress_display import SHOWN_AFTER, Display, clock, make_display
from fasttsne.utils import is_package_installed, require


class ProgressBar(Callback):
    """Show how far a fit is on standard error: percent, rate and time left of each stage.

    Where there is no standard error, as in a program without a console, it shows nothing.

    Of a run it shows the iteration, the KL divergence and the time left.
    A run that stops at convergence (``n_iter="auto"``) has no time left to be shown, but the share
    of the loss that is.

    Parameters
    ----------
    use_tqdm : True for bars by tqdm (the extra ``progress``); False for text, one line that
        is overwritten on a terminal, one line per call elsewhere; None for tqdm if installed.
        Text of the stages before a run goes through ``logging`` where standard error is no
        terminal, at most a line every few seconds.
    """

    shows_progress = True

    def __init__(self, use_tqdm: bool | None = None):
        self.use_tqdm = use_tqdm
        self._display: Display | None = None
        self._n_iter: int | None = None
        self._bar: _TqdmBar | _TextBar | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Bars have streams, which cannot be copied.
        return {**self.__dict__, "_bar": None, "_display": None}

    def receive_progress(self, progress: Progress) -> None:
        if progress.unit == ITERATIONS:  # a run has its own bar
            if self._bar is not None:
                self._bar.first = int(progress.first)
            return
        if self._display is None:
            self._display = _TqdmDisplay() if self._uses_tqdm() else make_display()
        self._display(progress)

    def _uses_tqdm(self) -> bool:
        if sys.stderr is None:  # tqdm writes to it without asking
            return False
        return is_package_installed("tqdm") if self.use_tqdm is None else self.use_tqdm

    def receive_settings(self, settings: Phase) -> None:
        self._n_iter = None if settings.may_stop_early else settings.n_iter

    def optimization_about_to_start(self) -> None:
        self.optimization_ended()
        self._bar = (_TqdmBar if self._uses_tqdm() else _TextBar)(self._n_iter)

    def __call__(self, iteration: int, error: float, embedding: Any) -> None:
        if self._bar is None:
            self.optimization_about_to_start()
        assert self._bar is not None
        self._bar.show(iteration, f"{error:.4f}{_left(embedding)}")

    def optimization_ended(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _import_tqdm() -> Any:
    return require("tqdm.auto", "ProgressBar(use_tqdm=True)", "progress").tqdm


class _TqdmDisplay(Display):
    """A bar for each stage, gone when it ends."""

    _bar: Any = None
    _of: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.seconds <= SHOWN_AFTER:
            return
        if self._bar is None or self._of is not progress:
            total = None if progress.total is None else round(progress.total)
            unit = f" {progress.unit}"
            self._bar = _import_tqdm()(
                total=total, desc=progress.name, unit=unit, unit_scale=True, leave=False
            )
            self._of = progress
        self._bar.update(round(progress.done) - self._bar.n)
        if progress.has_ended:
            self._bar.close()
            self._bar = None


class _TqdmBar:
    first = 0

    def __init__(self, n_iter: int | None):
        self._bar = _import_tqdm()(total=n_iter, unit="it")

    def show(self, iteration: int, error: str) -> None:
        self._bar.set_postfix_str(f"KL {error}", refresh=False)
        self._bar.update(iteration - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _TextBar:
    first = 0  # iterations that were done before

    def __init__(self, n_iter: int | None):
        self._n_iter = n_iter
        self._start = time.perf_counter()
        self._overwrite = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
        self._open = False

    def show(self, iteration: int, error: str) -> None:
        if sys.stderr is None:  # print would write to standard output instead
            return
        seconds = time.perf_counter() - self._start
        text = f"iteration {iteration}"
        if self._n_iter is not None:
            left = seconds / (iteration - self.first) * (self._n_iter - iteration)
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
