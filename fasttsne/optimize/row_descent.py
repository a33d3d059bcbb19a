"""The descent of rows that do not depend on each other: new points in a map that does not move.

A few rows go through all iterations before the next ones begin, with the bits of one iteration of
all rows after the other (``_kernels/optimize/row_descent.pyx``).
"""

from collections.abc import Callable

import numpy as np

from fasttsne import _kernels
from fasttsne.objective.base import Objective, RowTasks
from fasttsne.optimize.state import WorkingPoints

# Iterations of all rows that a thread has in a call, in which Ctrl-C is not noticed: a tenth of a
# second, where each traverses a tree.
ROW_ITERATIONS = 25_000
# Rows that a thread has in a call, at least: a few of the kernel's blocks.
MIN_ROWS = 32


class RowDescent:
    """Iterations of independent rows, in one call for each group of rows.

    Parameters
    ----------
    points : the rows, which are moved in place.
    objective : with :meth:`~fasttsne.objective.base.Objective.row_tasks`.
    step : function that returns the task of a step, from a gradient, (n, d) float64, and the
        objective's tasks.
    n_iter : how many iterations each row has, at least 1.
    """

    def __init__(
        self,
        points: WorkingPoints,
        objective: Objective,
        step: Callable[[np.ndarray, RowTasks], object],
        n_iter: int,
    ):
        self._moved = points.y, points.update, points.gains
        self._before = [array.copy() for array in self._moved]
        self._objective, self._step, self._n_iter = objective, step, n_iter
        self._gradient = np.empty_like(points.y)  # no task owns an array
        self._has_spares = False

    def run(self, advance: Callable[[float], None]) -> bool:
        """Run the iterations of all rows; return whether it could be done, else none has moved.

        advance : is called with the number of iterations since its last call.
        """
        is_done = False
        try:
            is_done = self._run(advance)
        finally:
            if not is_done:
                self._put_back(slice(None))
        return is_done

    def _run(self, advance: Callable[[float], None]) -> bool:
        if not self._make_tasks(with_spares=False):
            return False
        n = len(self._gradient)
        size = max(ROW_ITERATIONS // self._n_iter, MIN_ROWS) * self._objective.n_threads
        for first in range(0, n, size):
            rows = slice(first, min(first + size, n))
            if not self._descend(rows):
                return False
            advance(self._n_iter * (rows.stop - first) / n)
        return True

    def _make_tasks(self, with_spares: bool) -> bool:
        """Make the tasks of an iteration; return whether the objective has any."""
        self._rows = rows = self._objective.row_tasks(with_spares)
        if rows is None:
            return False
        np.copyto(rows.points, self._moved[0], casting="same_kind")
        self._tasks = (*rows.tasks, self._step(self._gradient, rows)), (*rows.spares, None)
        self._has_spares = with_spares
        return True

    def _descend(self, rows: slice) -> bool:
        """Run the iterations of a group of rows; return whether it could be done."""
        if self._call(rows):
            return True
        if self._has_spares:
            return False
        self._put_back(rows)
        return self._make_tasks(with_spares=True) and self._call(rows)

    def _call(self, rows: slice) -> bool:
        counts = rows.start, rows.stop, self._n_iter, self._objective.n_threads
        could: bool = _kernels.row_descent.descend(*self._tasks, *counts)
        return could

    def _put_back(self, rows: slice) -> None:
        for array, before in zip(self._moved, self._before, strict=True):
            array[rows] = before[rows]
