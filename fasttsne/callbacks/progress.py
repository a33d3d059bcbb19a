"""What is shown of an optimization: a bar, a line of text, a line at each call, the map itself."""

import io
import math
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.callbacks.recorder import optimizer_of
from fasttsne.optimize import Callback
from fasttsne.optimize.plan import Phase
from fasttsne.runtime.progress import (
    ITERATIONS,
    Listener,
    Progress,
    TqdmSink,
    clock,
    describe_loss_left,
    is_notebook,
    is_terminal,
    make_sink,
    make_tqdm,
)
from fasttsne.runtime.typing import Params
from fasttsne.runtime.validation import check_number
from fasttsne.utils import is_package_installed, require

if TYPE_CHECKING:
    from IPython.display import DisplayHandle
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from tqdm import tqdm

    from fasttsne.drawing.scatter import PointImage

# In units of the duration of the last redraw: drawing takes at most a quarter of the time.
MIN_WAIT = 3
# What a bar has while it is shown.
TRANSIENT = ("_sink", "_bar", "_is_running", "_line_is_open", "_start", "_first")


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
        self._n_iter: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._sink: Listener | None = None  # of the stages before a run
        self._bar: tqdm | None = None  # of a run
        self._is_running = self._line_is_open = False
        self._start, self._first = 0.0, 0  # when the run began, and the iterations before it

    def __getstate__(self) -> dict[str, object]:
        """Leave out bars, whose streams cannot be copied."""
        return {name: value for name, value in vars(self).items() if name not in TRANSIENT}

    def __setstate__(self, state: dict[str, object]) -> None:
        self._clear()
        vars(self).update(state)

    def receive_progress(self, progress: Progress) -> None:
        if progress.unit == ITERATIONS:  # shown by calls
            self._first = int(progress.first)
            return
        if self._sink is None:
            self._sink = TqdmSink() if self._uses_tqdm() else make_sink()
        self._sink(progress)

    def _uses_tqdm(self) -> bool:
        if sys.stderr is None:  # tqdm writes to it without asking
            return False
        return is_package_installed("tqdm") if self.use_tqdm is None else self.use_tqdm

    def receive_settings(self, settings: Phase) -> None:
        self._n_iter = None if settings.may_stop_early else settings.n_iter

    def optimization_about_to_start(self) -> None:
        self.optimization_ended()
        self._is_running, self._start, self._first = True, time.perf_counter(), 0
        self._bar = make_tqdm(total=self._n_iter, unit="it") if self._uses_tqdm() else None

    def __call__(self, iteration: int, error: float, embedding: object) -> None:
        if not self._is_running:
            self.optimization_about_to_start()
        optimizer = optimizer_of(embedding)
        left = None if optimizer is None else optimizer.loss_left
        text = f"{error:.4f}{describe_loss_left(left)}"
        if self._bar is not None:
            self._bar.set_postfix_str(f"KL {text}", refresh=False)
            self._bar.update(iteration - self._bar.n)
        elif sys.stderr is not None:  # else print would write to standard output
            self._print(f"{self._describe(iteration)}, KL divergence {text}")

    def _describe(self, iteration: int) -> str:
        if self._n_iter is None:
            return f"iteration {iteration}"
        seconds = time.perf_counter() - self._start
        left = seconds / (iteration - self._first) * (self._n_iter - iteration)
        return f"iteration {iteration}/{self._n_iter}, {clock(left)} left"

    def _print(self, text: str) -> None:
        self._line_is_open = is_terminal()
        if self._line_is_open:
            print(f"\r{text:60s}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def optimization_ended(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._line_is_open:
            print(file=sys.stderr)
        self._bar, self._is_running, self._line_is_open = None, False, False


class ErrorLogger(Callback):
    """Print the iteration, the KL divergence, and the time since the last call."""

    def __init__(self) -> None:
        self.optimization_about_to_start()

    def optimization_about_to_start(self) -> None:
        self._iteration = 0
        self._time = time.perf_counter()

    def __call__(self, iteration: int, error: float, embedding: object) -> None:
        now = time.perf_counter()
        print(
            f"Iteration {iteration:5d}, KL divergence {error:7.4f}, "
            f"{iteration - self._iteration} iterations in {now - self._time:.2f} s"
        )
        self._iteration, self._time = iteration, now


class LivePlot(Callback):
    """Redraw the embedding during the fit, below the cell of a notebook or in a window.

    It redraws at the first call, at the end of each run, and in between every ``seconds`` or
    less often, so that drawing takes at most about a quarter of the time: use a small
    ``callbacks_every_iters``.

    >>> from fasttsne import TSNE
    >>> from fasttsne.callbacks import LivePlot
    >>> from fasttsne.datasets import load_digits
    >>> X, y = load_digits()
    >>> tsne = TSNE(callbacks=LivePlot(y), callbacks_every_iters=5)

    Parameters
    ----------
    labels : (n_samples,) classes or values, for the colors.
    ax : Axes to draw on, whose figure is not shown by LivePlot; None makes a figure of 7 by
        7 inches at the first call, and shows it.
    seconds : minimum time between two redraws.
    scatter_params : for :func:`fasttsne.plotting.scatter`.

    Attributes
    ----------
    ax : the Axes, None before the first call without ``ax``; ``ax.figure.savefig`` saves them.
    n_drawn : number of redraws.
    """

    _display: "_NotebookDisplay | _WindowDisplay | None" = None  # of a figure that was made here
    _next_draw_time = -math.inf

    def __init__(
        self,
        labels: ArrayLike | None = None,
        ax: "Axes | None" = None,
        *,
        seconds: float = 0.5,
        **scatter_params: object,
    ):
        self.labels = labels
        self.ax = ax
        self.seconds = check_number(seconds, "seconds", low=0)
        self.scatter_params: Params = scatter_params
        self.n_drawn = 0
        self._points: PathCollection | PointImage | None = None  # in drawing order
        self._order = np.empty(0, int)
        self._latest: tuple[int, float, ArrayLike] | None = None

    def __getstate__(self) -> dict[str, object]:
        copied = self.__class__(self.labels, seconds=self.seconds, **self.scatter_params)
        return copied.__dict__  # figures and displays belong to this process

    def __call__(self, iteration: int, error: float, embedding: ArrayLike) -> None:
        self._latest = iteration, error, embedding
        if time.perf_counter() >= self._next_draw_time:
            self._draw(*self._latest)

    def optimization_ended(self) -> None:
        """Draw the final state."""
        if self._latest is not None:
            self._draw(*self._latest)
            self._latest = None

    def _draw(self, iteration: int, error: float, embedding: ArrayLike) -> None:
        start = time.perf_counter()
        points = np.asarray(embedding)
        if self.ax is None or self._points is None or len(self._order) != len(points):
            self.ax = self._draw_anew(points)
        else:
            self._points.set_offsets(points[self._order])
            self.ax.dataLim.update_from_data_xy(points, ignore=True)
            self.ax.autoscale_view()
        self.ax.set_title(f"iteration {iteration}, KL divergence {error:.3f}")
        if self._display is not None:
            self._display.show()
        self.n_drawn += 1
        now = time.perf_counter()
        self._next_draw_time = now + max(self.seconds, MIN_WAIT * (now - start))

    def _draw_anew(self, points: np.ndarray) -> "Axes":
        """Return the Axes with other points, or with the first ones."""
        from fasttsne import plotting  # late, for a fast start of the package

        ax = self.ax
        if ax is None or self._display is not None:
            self._display = _NotebookDisplay() if is_notebook() else _WindowDisplay()
            ax = self._display.ax
        elif self._points is not None:
            self._points.remove()
        n_before = len(ax.collections)
        plotting.scatter(points, self.labels, ax, **self.scatter_params)
        is_image = len(ax.collections) == n_before
        self._points = (ax.artists if is_image else ax.collections)[-1]
        n = len(points)
        self._order = np.arange(n) if is_image else plotting.drawing_order(n, self.labels)
        return ax


class _NotebookDisplay:
    """An image below the cell of a notebook, replaced by the next.

    The figure is not pyplot's: notebooks show those again when a cell ends.
    """

    def __init__(self) -> None:
        require("matplotlib.figure", "LivePlot", "plot")
        from fasttsne.drawing.scatter import unmanaged_axes

        self.ax = unmanaged_axes()
        self._cell: int | None = None
        self._handle: DisplayHandle | None = None

    def show(self) -> None:
        from IPython import display, get_ipython

        file = io.BytesIO()
        self.ax.figure.savefig(file, format="png", dpi=72)
        image = display.Image(file.getvalue(), format="png")
        cell = get_ipython().execution_count
        if self._handle is not None and self._cell == cell:
            self._handle.update(image)
        else:
            self._cell, self._handle = cell, display.display(image, display_id=True)


class _WindowDisplay:
    """A window, if Matplotlib's backend has windows."""

    def __init__(self) -> None:
        pyplot = require("matplotlib.pyplot", "LivePlot", "plot")
        from fasttsne.drawing.scatter import FIGURE_SIZE

        figure, self.ax = pyplot.subplots(figsize=FIGURE_SIZE, layout="constrained")
        self._has_window = figure.canvas.required_interactive_framework is not None
        if self._has_window:
            figure.show()

    def show(self) -> None:
        if self._has_window:
            self.ax.figure.canvas.draw_idle()
            self.ax.figure.canvas.flush_events()
