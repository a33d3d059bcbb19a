"""When a stage of gradient descent is over, and how long its steps are until then."""

import logging

import numpy as np

log = logging.getLogger("fasttsne.optimizer")

# How far the learning rate may be halved where the KL divergence rises.
LEAST_RATE = 1 / 16
# A map of this standard deviation is a point, which after so many iterations may stay one while
# it is exaggerated.
A_POINT = 1e-3
LEAST_OF_A_POINT = 20


def pace_of(stage):
    """The pace of a :class:`fasttsne.schedule.Stage`.

    Its ``is_over`` is asked before each iteration whose number, counted from 0, is a
    multiple of ``check_every``, with the KL divergence, the objective and the points, which
    have ``y`` and ``update``.
    """
    paces = {None: Steady, "settled": Settling, "parted": Parting, "faded": Fading}
    return paces[stage.until](stage)


class Steady:
    """As many iterations as the stage has, at its learning rate."""

    check_every: int | None = None

    def __init__(self, stage):
        self.stage = stage
        self.learning_rate = stage.learning_rate


class Settling(Steady):
    """Until the loss falls by less than ``tol`` of itself in an iteration.

    Where ``patience`` is 2, it has to do so twice in succession, as the loss of small maps falls
    by fits and starts.  It is the KL divergence, where nothing else is asked for.  Where it
    rises, momentum is dropped and the learning rate halved.
    """

    _last: float | None = None
    _rests = 0

    def __init__(self, stage):
        super().__init__(stage)
        self.check_every = stage.check_every

    def is_over(self, number, error, objective, points) -> bool:
        error = objective.loss(error)
        last, self._last = self._last, error
        if last is None:
            return False
        progress = (last - error) / (self.check_every * max(abs(error), 1e-6))
        if (
            progress < -self.stage.tol
            and self.learning_rate > LEAST_RATE * self.stage.learning_rate
        ):
            self.learning_rate /= 2
            points.update[...] = 0
            log.info("the loss rose from %.4f to %.4f: slowing down", last, error)
            return False
        self._rests = self._rests + 1 if progress < self.stage.tol else 0
        if self._rests >= self.stage.patience and number >= self.stage.least:
            log.info("the loss has settled at %.4f", error)
            return True
        return False


class Parting(Steady):
    """Until the exaggerated objective hardly falls: clusters have parted, sheets are unfolded.

    That objective, exaggeration * sum p (log p - log w) + log Z, falls by less than
    ``tol`` * exaggeration in an iteration then.  A small random start looks so, too, while
    the map grows from nothing: it goes on as long as it grows.  So does a folded sheet, between
    two of its folds: hence the ``least`` number of iterations.
    """

    check_every: int = 10
    _last: tuple[float, float] | None = None

    def is_over(self, number, error, objective, points) -> bool:
        log_z = float(np.log(objective.z))
        now = self.stage.exaggeration * (error - log_z) + log_z, float(np.std(points.y))
        last, self._last = self._last, now
        least = self.stage.least if now[1] > A_POINT else LEAST_OF_A_POINT
        if last is None or number < least:
            return False
        falls = last[0] - now[0] >= self.stage.tol * self.stage.exaggeration * self.check_every
        awakes = now[1] > 1.5 * last[1]
        if not (falls or awakes):
            log.info("the exaggerated map has come to rest after %d iterations", number)
        return not (falls or awakes)


class Fading(Steady):
    """As many iterations as the stage has; the ``least`` where the map is a point all the same."""

    def __init__(self, stage):
        super().__init__(stage)
        # To ask costs a KL divergence.
        self.check_every = stage.least if stage.least < stage.n_iter else None

    def is_over(self, number, error, objective, points) -> bool:
        return number > 0 and float(np.std(points.y)) < A_POINT
