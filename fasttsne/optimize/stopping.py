"""When a stage of gradient descent ends before its last iteration, and when its steps shrink.

A rule is pure: its ``decide`` maps the checks of a stage so far, which are numbers, to a decision.
``fasttsne.optimize.descent`` makes the checks and carries the decision out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

# How often the learning rate may be halved in a stage where the loss rises.
MAX_HALVINGS = 4
# A larger rise of the loss, as a share of it, is no rounding, or no difference of approximations.
RISE, RISE_BETWEEN_METHODS = 1e-3, 0.05
# Losses nearer to 0 are counted as this.
MIN_LOSS = 1e-6
# A share of the loss that is worth a stage in reserve.  Estimates at the end: 2 to 28 % for rows
# that are there three to ten times, perplexity 5, which gain 4 to 45 % by it; 4 % and more for
# points along a line, which gain up to 7 %; digits, perplexity 5, 1.1 %; but branches
# (benchmarks/made.py) 1 to 4 %, which gain 0.1 %, so such a stage has to prove its worth: rows and
# lines gain 0.15 to 3.7 % in the first 40 iterations, branches 0.07 % at most.
MUCH_LEFT = 0.015
TRIAL_ITER, MIN_GAIN = 40, 1e-3
# A run that ends with more than this share left was stopped early: a report and the log say so.
LOSS_LEFT = 0.05


class Check(NamedTuple):
    """What a rule is given about one iteration.

    Attributes
    ----------
    iteration : its number within the stage, counted from 0.
    loss : the objective without exaggeration.
    exaggerated_loss : the objective with the exaggeration of the stage.
    std : standard deviation of all coordinates.
    method : name of the approximation that computed the loss; losses of two approximations differ
        by their errors.
    """

    iteration: int
    loss: float
    exaggerated_loss: float
    std: float
    method: str | None = None


class Decision(Enum):
    """What the loop does after a check.

    Attributes
    ----------
    CONTINUE : nothing.
    SLOW_DOWN : it halves the learning rate and drops the momentum.
    GO_BACK : it does the same, from the map of the check with the lowest loss.
    STOP : it ends the stage.
    """

    CONTINUE = "continue"
    SLOW_DOWN = "halve the learning rate and drop the momentum"
    GO_BACK = "the same, from the map of the check with the lowest loss"
    STOP = "end the stage"


class StoppingRule(Protocol):
    """What a stage has as its ``stopping``.

    A rule may be one of :class:`GoesBack`, :class:`LossEstimator` and :class:`ReserveRule`, too.
    """

    @property
    def check_every(self) -> int:
        """Iterations between two checks; the first is before the first iteration."""

    def decide(self, checks: Sequence[Check]) -> Decision:
        """Decide after the last of the checks of a stage; there is at least one."""


@runtime_checkable
class GoesBack(Protocol):
    """A rule that may decide ``Decision.GO_BACK``: the embedding is kept at its checks."""

    goes_back: ClassVar[bool]


@runtime_checkable
class LossEstimator(Protocol):
    """A rule that estimates what is left of the loss, which progress shows."""

    def share_left(self, checks: Sequence[Check]) -> float | None:
        """Return the share of the loss after the last of the checks, or None."""


@runtime_checkable
class ReserveRule(Protocol):
    """A rule after which a stage in reserve may follow."""

    def leaves_much(self, checks: Sequence[Check]) -> bool:
        """Return whether the stage in reserve is worth its time, at the end of this one."""


@dataclass(frozen=True)
class LossLeft:
    """Stop where little of the loss is left to be gained.

    Descent ends like L + c / t^2 after t iterations; c is estimated from the last check and the
    one before the last (from one to the next would be too short: sheets unfold in jerks), and
    c / t^2 is what is left.  The loss is that with the exaggeration of the stage.  Where it rises,
    the steps were too long: the map of the lowest loss comes back, and they are halved.

    Attributes
    ----------
    tol : share of the loss that may be left.
    min_iter : iterations before the stage may end: the first ones unfold what is folded, and
        the loss falls unevenly.
    check_every : iterations between two checks.
    is_trial : whether the stage ends at iteration 40 unless the loss has fallen by 0.1 %.
    """

    tol: float
    min_iter: int = 40
    check_every: int = 10
    is_trial: bool = False
    goes_back: ClassVar[bool] = True

    def share_left(self, checks: Sequence[Check]) -> float | None:
        """The estimate after the last of the checks; None where there is none yet."""
        if len(checks) < 3 or len({check.method for check in checks[-3:]}) > 1:
            return None
        before, _, now = checks[-3:]
        decrease = before.exaggerated_loss - now.exaggerated_loss
        left = decrease / ((now.iteration / max(before.iteration, 1)) ** 2 - 1)
        return left / max(abs(now.loss), MIN_LOSS)

    def leaves_much(self, checks: Sequence[Check]) -> bool:
        """Return whether the loss would fall by more than ``MUCH_LEFT`` of itself from here.

        The estimate is the sum of a geometric series, from the last check and those 20 and 40
        iterations before it.  Where points that are in each other's way come by only now and then,
        the loss falls nearly evenly, and not like c / t^2: then this is the larger one.
        """
        if len(checks) < 5 or len({check.method for check in checks[-5:]}) > 1:
            return False
        before, between, now = (check.exaggerated_loss for check in checks[-5::2])
        earlier, later = before - between, between - now
        share = MUCH_LEFT * max(abs(checks[-1].loss), MIN_LOSS)
        return later > 0 and later**2 > share * (earlier - later)

    def decide(self, checks: Sequence[Check]) -> Decision:
        if len(checks) > 1 and self._rises(*checks[-2:]):
            return Decision.GO_BACK
        if self.is_trial and checks[-1].iteration == TRIAL_ITER and not self._gains(checks):
            return Decision.STOP
        share = self.share_left(checks)
        if share is None:
            return Decision.CONTINUE
        ends = share < self.tol and checks[-1].iteration >= self.min_iter
        return Decision.STOP if ends else Decision.CONTINUE

    @staticmethod
    def _gains(checks: Sequence[Check]) -> bool:
        first, now = checks[0].exaggerated_loss, checks[-1].exaggerated_loss
        return first - now > MIN_GAIN * max(abs(checks[-1].loss), MIN_LOSS)

    @staticmethod
    def _rises(last: Check, now: Check) -> bool:
        rise = now.exaggerated_loss - last.exaggerated_loss
        limit = RISE if last.method == now.method else RISE_BETWEEN_METHODS
        return rise > limit * max(abs(last.loss), MIN_LOSS)

    def __str__(self) -> str:
        trial = f", or {TRIAL_ITER} iterations gain less than {100 * MIN_GAIN:.3g} %"
        return f"less than {100 * self.tol:.3g} % of the loss is left{trial * self.is_trial}"


@dataclass(frozen=True)
class LossConverged:
    """Stop where the loss falls by less than ``tol`` of itself in an iteration.

    Where it rises, the steps were too long: they are slowed down.

    Attributes
    ----------
    tol : relative decrease of the loss in an iteration below which there is no progress.
    min_iter : iterations before the stage may end.
    check_every : iterations between two checks.
    patience : consecutive checks without progress that end the stage; the loss of small data
        sets decreases unevenly.
    """

    tol: float
    min_iter: int = 0
    check_every: int = 25
    patience: int = 1

    def decide(self, checks: Sequence[Check]) -> Decision:
        decision, n_flat, n_halvings = Decision.CONTINUE, 0, 0
        for last, now in pairwise(checks):
            progress = (last.loss - now.loss) / (self.check_every * max(abs(now.loss), MIN_LOSS))
            if progress < self.tol and last.method != now.method:
                # The difference of two approximations' errors looks like a rise.
                decision = Decision.CONTINUE
                continue
            if progress < -self.tol and n_halvings < MAX_HALVINGS:
                decision = Decision.SLOW_DOWN
                n_halvings += 1
                continue
            n_flat = n_flat + 1 if progress < self.tol else 0
            ends = n_flat >= self.patience and now.iteration >= self.min_iter
            decision = Decision.STOP if ends else Decision.CONTINUE
        return decision

    def __str__(self) -> str:
        return f"loss falls by less than {self.tol:.2g} of itself"
