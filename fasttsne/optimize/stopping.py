"""When a stage of gradient descent ends before its last iteration, and when its steps shrink.

A rule is pure: its ``decide`` looks at the checks of a stage so far, which are numbers, and
answers.  The loop of ``fasttsne.optimize.descent`` makes the checks and carries the
answer out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import ClassVar, NamedTuple, Protocol

# How often the learning rate may be halved in a stage where the loss rises.
MAX_HALVINGS = 4
# A larger rise of the loss, as a share of it, is no rounding, or no difference of approximations.
RISE, RISE_BETWEEN_METHODS = 1e-3, 0.05
# Losses nearer to 0 are counted as this.
MIN_LOSS = 1e-6
# A share of the loss that is worth a stage in reserve.  Estimates at the end: 2 to 13 % for rows
# that are there five times, perplexity 5, which gain 25 to 40 % by it; digits, perplexity 5,
# 1.1 %; MNIST 0.7 %; 100,000 folded rows (benchmarks/large.py) 1.2 %.
MUCH_LEFT = 0.015
# A run that ends with more than this share left was stopped early: a report and the log say so.
LOSS_LEFT = 0.05
# An embedding of a smaller standard deviation has collapsed to a point.
COLLAPSED_STD = 1e-3
# Iterations after which a collapsed embedding need not be exaggerated any longer.
COLLAPSED_MIN_ITER = 20
# An embedding whose standard deviation grows by this factor from check to check is expanding.
EXPANSION = 1.5


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

    A rule that may answer ``Decision.GO_BACK`` has an attribute ``goes_back = True``: then maps
    are kept at its checks.  One that estimates what is left of the loss has a method
    ``share_left(checks)``, which returns a share or None; progress shows it.  One after which a
    stage in reserve may follow has a method ``leaves_much(checks)``, which returns a bool.
    """

    @property
    def check_every(self) -> int:
        """Iterations between two checks; the first is before the first iteration."""

    def decide(self, checks: Sequence[Check]) -> Decision:
        """Answer after the last of the checks of a stage; there is at least one."""


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
    """

    tol: float
    min_iter: int = 40
    check_every: int = 10
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
        share = self.share_left(checks)
        if share is None:
            return Decision.CONTINUE
        ends = share < self.tol and checks[-1].iteration >= self.min_iter
        return Decision.STOP if ends else Decision.CONTINUE

    @staticmethod
    def _rises(last: Check, now: Check) -> bool:
        rise = now.exaggerated_loss - last.exaggerated_loss
        limit = RISE if last.method == now.method else RISE_BETWEEN_METHODS
        return rise > limit * max(abs(last.loss), MIN_LOSS)

    def __str__(self) -> str:
        return f"less than {100 * self.tol:.3g} % of the loss is left"


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


@dataclass(frozen=True)
class ExaggeratedLossConverged:
    """Stop early exaggeration where the exaggerated loss hardly falls and the map does not expand.

    That loss is exaggeration * sum p (log p - log w) + log Z.  A small random initialization
    shows little decrease while it is still expanding, and a folded sheet between two of
    its folds: hence the minimum number of iterations.

    Attributes
    ----------
    tol : decrease in an iteration, in units of the exaggeration, below which there is none.
    min_iter : iterations before the stage may end, unless the embedding has collapsed.
    exaggeration : of the stage.
    check_every : iterations between two checks.
    """

    tol: float
    min_iter: int
    exaggeration: float
    check_every: int = 10

    def decide(self, checks: Sequence[Check]) -> Decision:
        now = checks[-1]
        min_iter = self.min_iter if now.std > COLLAPSED_STD else COLLAPSED_MIN_ITER
        if len(checks) < 2 or now.iteration < min_iter:
            return Decision.CONTINUE
        decrease = checks[-2].exaggerated_loss - now.exaggerated_loss
        falls = decrease >= self.tol * self.exaggeration * self.check_every
        expands = now.std > EXPANSION * checks[-2].std
        return Decision.CONTINUE if falls or expands else Decision.STOP

    def __str__(self) -> str:
        return f"exaggerated loss falls by less than {self.tol * self.exaggeration:.2g}"


@dataclass(frozen=True)
class Collapsed:
    """Stop where the embedding is collapsed to a point, in which nothing can separate.

    Attributes
    ----------
    check_every : iterations between two checks.
    """

    check_every: int

    def decide(self, checks: Sequence[Check]) -> Decision:
        now = checks[-1]
        stops = now.iteration > 0 and now.std < COLLAPSED_STD
        return Decision.STOP if stops else Decision.CONTINUE

    def __str__(self) -> str:
        return f"map is collapsed after {self.check_every}"
