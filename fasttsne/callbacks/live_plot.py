"""Plot the embedding during the optimization, in a notebook or a window."""

import io
import math
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.optimize import Callback
from fasttsne.runtime.validation import check_number
from fasttsne.utils import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In units of the duration of the last redraw: drawing takes at most a quarter of the time.
MIN_WAIT = 3


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
        **scatter_params: Any,
    ):
        self.labels = labels
        self.ax: Any = ax
        self.seconds = check_number(seconds, "seconds", low=0)
        self.scatter_params = scatter_params
        self.n_drawn = 0
        self._points: Any = None  # Matplotlib's collection, in drawing order, or an image
        self._order = np.empty(0, int)
        self._latest: tuple[int, float, ArrayLike] | None = None

    def __getstate__(self) -> dict[str, Any]:
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
        if len(self._order) == len(points):
            self._update_points(points)
        else:
            self._draw_anew(points)
        self.ax.set_title(f"iteration {iteration}, KL divergence {error:.3f}")
        if self._display is not None:
            self._display.show()
        self.n_drawn += 1
        now = time.perf_counter()
        self._next_draw_time = now + max(self.seconds, MIN_WAIT * (now - start))

    def _draw_anew(self, points: np.ndarray) -> None:
        from fasttsne import plotting  # late, for a fast start of the package

        if self.ax is None or self._display is not None:
            self._display = _make_display()
            self.ax = self._display.ax
        elif self._points is not None:
            self._points.remove()
        n_before = len(self.ax.collections)
        plotting.scatter(points, self.labels, self.ax, **self.scatter_params)
        is_image = len(self.ax.collections) == n_before
        self._points = (self.ax.artists if is_image else self.ax.collections)[-1]
        n = len(points)
        self._order = np.arange(n) if is_image else plotting.drawing_order(n, self.labels)

    def _update_points(self, points: np.ndarray) -> None:
        self._points.set_offsets(points[self._order])
        self.ax.dataLim.update_from_data_xy(points, ignore=True)
        self.ax.autoscale_view()


def _make_display() -> "_NotebookDisplay | _WindowDisplay":
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return _NotebookDisplay(shell) if hasattr(shell, "kernel") else _WindowDisplay()


class _NotebookDisplay:
    """An image below the cell of a notebook, replaced by the next.

    The figure is not pyplot's: notebooks show those again when a cell ends.
    """

    def __init__(self, shell: Any):
        require("matplotlib.figure", "LivePlot", "plot")
        from fasttsne.drawing.scatter import unmanaged_axes

        self.ax = unmanaged_axes()
        self._shell = shell
        self._cell: int | None = None
        self._handle: Any = None

    def show(self) -> None:
        from IPython import display

        file = io.BytesIO()
        self.ax.figure.savefig(file, format="png", dpi=72)
        image = display.Image(file.getvalue(), format="png")
        if self._cell == self._shell.execution_count:
            self._handle.update(image)
        else:
            self._cell = self._shell.execution_count
            self._handle = display.display(image, display_id=True)


class _WindowDisplay:
    """A window, if Matplotlib's backend has windows."""

    def __init__(self) -> None:
        pyplot = require("matplotlib.pyplot", "LivePlot", "plot")
        from fasttsne.drawing.scatter import FIGURE_SIZE

        figure, self.ax = pyplot.subplots(figsize=FIGURE_SIZE, layout="constrained")
        self._has_window = getattr(type(figure.canvas), "required_interactive_framework", None)
        if self._has_window:
            figure.show()

    def show(self) -> None:
        if self._has_window:
            self.ax.figure.canvas.draw_idle()
            self.ax.figure.canvas.flush_events()
