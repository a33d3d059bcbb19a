"""The map as it grows, in a notebook or a window."""

import io
import math
import sys
import time

import numpy as np

from fasttsne.callbacks.base import Callback
from fasttsne.runtime.validation import check_number
from fasttsne.utils import require

# Drawing waits so many times as long as the last drawing took: it has a quarter of the time.
WAIT_PER_DRAWING = 3
SIZE = (7, 7)  # inches, of a figure of our own


class LivePlot(Callback):
    """Redraw the map during the fit: in place, below the cell of a notebook, or in a window.

    Report often, and let the plot decide when it draws: it does so at the first report, then
    at most every ``seconds``, in at most about a quarter of the time, and when a run ends.

    >>> from fasttsne import TSNE
    >>> from fasttsne.callbacks import LivePlot
    >>> tsne = TSNE(callbacks=LivePlot(y), callbacks_every_iters=5)  # doctest: +SKIP

    Parameters
    ----------
    labels : (n_samples,) classes or values, for the colours.
    ax : Axes to draw on, whose figure is then yours to show; None makes a figure of 7 by 7
        inches at the first report, and shows it.
    seconds : least time between two drawings.
    scatter_params : for :func:`fasttsne.plotting.scatter`.

    Attributes
    ----------
    ax : the Axes, as soon as there are some; ``ax.figure.savefig`` keeps what they show.
    n_drawn : how often the map has been drawn.
    """

    def __init__(self, labels=None, ax=None, *, seconds: float = 0.5, **scatter_params):
        self.labels = labels
        self.ax = ax
        self.seconds = check_number(seconds, "seconds", low=0)
        self.scatter_params = scatter_params
        self._forget_drawings()

    def __getstate__(self):
        copied = self.__class__(self.labels, seconds=self.seconds, **self.scatter_params)
        return copied.__dict__  # figures, and what shows them, belong to this process

    def _forget_drawings(self):
        self.n_drawn = 0
        self._screen = None  # what shows a figure of our own
        self._points = None  # Matplotlib's, in the order in which they are drawn
        self._order = np.empty(0, int)
        self._latest = None
        self._due = -math.inf

    def __call__(self, iteration: int, error: float, embedding) -> None:
        self._latest = iteration, error, embedding
        if time.perf_counter() >= self._due:
            self._draw()

    def optimization_ended(self) -> None:
        """Draw the last state: the embedding that was reported is the live one."""
        if self._latest is not None:
            self._draw()
            self._latest = None

    def _draw(self):
        start = time.perf_counter()
        iteration, error, embedding = self._latest
        points = np.asarray(embedding)
        if len(self._order) == len(points):
            self._move(points)
        else:
            self._start(points)
        self.ax.set_title(f"iteration {iteration}, KL divergence {error:.3f}")
        if self._screen is not None:
            self._screen.show()
        self.n_drawn += 1
        now = time.perf_counter()
        self._due = now + max(self.seconds, WAIT_PER_DRAWING * (now - start))

    def _start(self, points):
        from fasttsne import plotting

        if self.ax is None or self._screen is not None:
            self._screen = _new_screen()
            self.ax = self._screen.ax
        elif self._points is not None:
            self._points.remove()
        plotting.scatter(points, self.labels, self.ax, **self.scatter_params)
        self._points = self.ax.collections[-1]
        self._order = plotting.drawing_order(len(points))

    def _move(self, points):
        self._points.set_offsets(points[self._order])
        self.ax.dataLim.update_from_data_xy(points, ignore=True)
        self.ax.autoscale_view()


def _new_screen():
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return _Window() if shell is None or not hasattr(shell, "kernel") else _Cell(shell)


class _Cell:
    """A picture below the cell of a notebook, replaced by the next.

    The figure is not one of pyplot's, which notebooks show once more when a cell ends.
    """

    def __init__(self, shell):
        figure = require("matplotlib.figure", "LivePlot", "plot").Figure
        self.ax = figure(SIZE, layout="constrained").subplots()
        self._shell = shell
        self._cell = None

    def show(self):
        from IPython import display

        file = io.BytesIO()
        self.ax.figure.savefig(file, format="png", dpi=72)
        picture = display.Image(file.getvalue(), format="png")
        if self._cell == self._shell.execution_count:
            self._place.update(picture)
        else:
            self._cell = self._shell.execution_count
            self._place = display.display(picture, display_id=True)


class _Window:
    """A window, where Matplotlib's backend has windows."""

    def __init__(self):
        pyplot = require("matplotlib.pyplot", "LivePlot", "plot")
        figure, self.ax = pyplot.subplots(figsize=SIZE, layout="constrained")
        self._is_there = getattr(type(figure.canvas), "required_interactive_framework", None)
        if self._is_there:
            figure.show()

    def show(self):
        if self._is_there:
            self.ax.figure.canvas.draw_idle()
            self.ax.figure.canvas.flush_events()
