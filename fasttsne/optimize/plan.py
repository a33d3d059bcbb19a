"""What a run will do, decided before it starts: the one place where "auto" becomes a number.

``resolve`` turns the parameters of :class:`fasttsne.TSNE`, and ``resolve_phase`` those of one
``optimize`` call, into a frozen plan, which all others read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter

import numpy as np

from fasttsne.anchors import Anchors
from fasttsne.objective.callable import NAMES, ObjectiveFunction
from fasttsne.optimize import CallbackFunction, as_callbacks, schedule
from fasttsne.optimize.parameters import ACCURACY, TSNE, without_numpy
from fasttsne.optimize.schedule import Iterations, Stage
from fasttsne.optimize.stopping import MUCH_LEFT
from fasttsne.optimize.target_term import Ties
from fasttsne.repulsion import FORCE_ERROR, METHODS
from fasttsne.runtime.threads import resolve_n_jobs, usable_cores
from fasttsne.runtime.typing import Params

__all__ = [
    "Choice",
    "Phase",
    "RunPlan",
    "exaggeration_of",
    "number_or_none",
    "resolve",
    "resolve_new_points",
    "resolve_phase",
    "split_iterations",
]

# New points move by single gradients, which do not shrink with the number of points.
NEW_POINTS_LEARNING_RATE = 0.1
# New rows that join a map; after they have looked for better places, they settle soon.
GATHERING_ITER, GATHERING_EXAGGERATION, JOINING_ITER = 40, 12.0, 40
# Where old points give way, those of a new cluster are gathered for longer, which is little beside
# what follows: 10-NN labels of a digit that was not there are right for .01 more of them.
HELD_GATHERING_ITER = 100
# Points that are held as rows join them: after ten updates of 2,500 images of MNIST, held by 0.001,
# the KL divergence is 1.036 times that of a fit, and 1.054 times without annealing.
HELD_EXAGGERATION = 4.0
# Up to so many points, more threads than cores make an iteration many times slower.
OVERSUBSCRIBED_MIN_POINTS = 10_000
# Up to so many points the sum over all pairs is the fastest (benchmarks/crossover.py).
EXACT_MAX_POINTS = 700
# From so many points on an optimizer that is called gets the FFT function for "auto".
FFT_MIN_POINTS = 10_000
# Parameters that a plan lists after those of which "auto" has a rule.
NEVER_AUTO = (
    "exaggeration",
    "dof",
    "max_grad_norm",
    "max_step_norm",
    "density_weight",
    "global_structure",
)
STAGE_LINE = "{:20}{:13}{:>10}{:>14}{:>20}{:>10}  {}"


@dataclass(frozen=True)
class Phase:
    """One ``optimize`` call: stages, and what holds in all of them.

    Attributes
    ----------
    name : "early exaggeration", "main phase", ...
    stages : what is done, one after the other.
    dof : degrees of freedom of the kernel.
    method : of the repulsive forces: "exact", "bh", "fft", "auto" (any of these, by the
        map as it is in each iteration), the name of a registered objective, or a function.
    accuracy : pairs of a name and a value, for "accuracy" and each of ``parameters.ACCURACY``.
    density_weight : weight of the density term.
    max_grad_norm, max_step_norm : bounds on a point's gradient and step, or None.
    n_threads : how many threads share the work.
    callbacks, callbacks_every_iters : who is called, and how often.
    anchors : :class:`fasttsne.Anchors`, or what ties points to each other (aligned maps), or None.
    global_structure : weight of the reference.
    reference : (n, d) float64, the target of the map as a whole, or None.
    """

    name: str
    stages: tuple[Stage, ...]
    dof: float = 1.0
    method: str | ObjectiveFunction = "auto"
    accuracy: tuple[tuple[str, float], ...] = ()
    density_weight: float = 0.0
    max_grad_norm: float | None = None
    max_step_norm: float | None = 5.0
    n_threads: int = 1
    callbacks: tuple[CallbackFunction, ...] = ()
    callbacks_every_iters: int = 50
    anchors: Anchors | Ties | None = None
    global_structure: float = 0.0
    reference: np.ndarray | None = None

    @property
    def n_iter(self) -> int:
        """Number of iterations, at most, without stages in reserve."""
        return sum(stage.n_iter for stage in self.stages if not stage.is_reserve)

    @property
    def n_reserve_iter(self) -> int:
        """Number of iterations of stages in reserve."""
        return sum(stage.n_iter for stage in self.stages if stage.is_reserve)

    @property
    def may_stop_early(self) -> bool:
        """Whether there may be fewer."""
        return any(stage.stopping is not None for stage in self.stages)

    @property
    def exaggeration(self) -> float:
        """The largest of all stages."""
        return max((stage.exaggeration for stage in self.stages), default=1.0)


@dataclass(frozen=True)
class Choice:
    """The value of one parameter, and who decided it.

    Attributes
    ----------
    parameter, value : its name, and its value, given or default.
    decided_by : "given", "default", or for "auto" the rule.
    """

    parameter: str
    value: object
    decided_by: str

    def __str__(self) -> str:
        return f"{self.parameter:26}{_shown(self.value):18}{self.decided_by}"


@dataclass(frozen=True)
class RunPlan:
    """The whole fit: its phases in order, and who decided what.

    Attributes
    ----------
    n_samples : number of points.
    phases : those that have iterations.
    choices : each parameter of the run.
    """

    n_samples: int
    phases: tuple[Phase, ...]
    choices: tuple[Choice, ...]

    @property
    def n_iter(self) -> int:
        """Number of iterations, at most, without stages in reserve."""
        return sum(phase.n_iter for phase in self.phases)

    @property
    def may_stop_early(self) -> bool:
        """Whether there may be fewer."""
        return any(phase.may_stop_early for phase in self.phases)

    def __str__(self) -> str:
        at_most = "at most " if self.may_stop_early else ""
        n_more = sum(phase.n_reserve_iter for phase in self.phases)
        more = f", and {n_more:,} in reserve" if n_more else ""
        columns = "phase", "stage", "iterations", "exaggeration", "learning rate", "momentum"
        lines = [
            f"{self.n_samples:,} samples, {at_most}{self.n_iter:,} iterations{more}",
            "",
            STAGE_LINE.format(*columns, "stops early where"),
        ]
        for phase in self.phases:
            for _, stages in groupby(phase.stages, key=attrgetter("name", "momentum", "stopping")):
                lines += _stage_lines(phase.name, list(stages))
        lines += ["", f"{'parameter':26}{'value':18}decided by", *map(str, self.choices)]
        return "\n".join(lines)

    __repr__ = __str__


def _stage_lines(phase: str, stages: Sequence[Stage]) -> list[str]:
    """A line for stages that differ in nothing but exaggeration and learning rate."""
    n_iter = sum(stage.n_iter for stage in stages)
    if not n_iter:
        return []
    first, last = stages[0], stages[-1]
    exaggeration = _range(f"{first.exaggeration:.4g}", f"{last.exaggeration:.4g}")
    rate = _range(f"{first.learning_rate:.5g}", f"{last.learning_rate:.5g}")
    rule = "" if first.stopping is None else str(first.stopping)
    if first.is_preconditioned:
        rate = "by curvature"
    if first.is_reserve:
        rule = f"(only where more than {100 * MUCH_LEFT:.3g} % of the loss is left)"
    numbers = n_iter, exaggeration, rate, f"{first.momentum:.3g}"
    return [STAGE_LINE.format(phase, first.name, *numbers, rule).rstrip()]


def _range(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def resolve(parameters: Params, n_samples: int) -> RunPlan:
    """Return the plan of a fit of so many rows, from the checked parameters of a ``TSNE``."""
    wanted = without_numpy(parameters)
    early = number_or_none(wanted["early_exaggeration"]) or schedule.EARLY_EXAGGERATION
    final = exaggeration_of(wanted)
    phase = partial(resolve_phase, n_samples=n_samples)

    early_iter = wanted["early_exaggeration_iter"]
    if is_auto(early_iter):
        early_iter = _annealing(n_samples, early, wanted, wanted["initial_momentum"])
    first = {**wanted, "momentum": wanted["initial_momentum"], "exaggeration": early}
    first["density_weight"] = 0
    main = {**wanted, "momentum": wanted["final_momentum"], "exaggeration": final}
    phases = [phase("early exaggeration", early_iter, first)]
    n_iter = wanted["n_iter"]
    if wanted["density_weight"]:
        if isinstance(n_iter, tuple):
            raise ValueError("n_iter must be a number or 'auto' with density_weight; got stages")
        before, after = (n_iter, n_iter) if is_auto(n_iter) else schedule.split_for_density(n_iter)
        phases.append(phase("main phase", before, {**main, "density_weight": 0}))
        phases.append(phase("main phase, density", after, main))
    else:
        phases.append(phase("main phase", n_iter, main))
    found = tuple(phase for phase in phases if phase.n_iter)
    return RunPlan(n_samples, found, tuple(_choices(wanted, n_samples)))


def _annealing(
    n_samples: int, exaggeration: float, params: Params, momentum: float | str
) -> tuple[Stage, ...]:
    """Return the automatic stages from an exaggeration to the one of the parameters."""
    return schedule.automatic_early_exaggeration(
        n_samples,
        exaggeration,
        exaggeration_of(params),
        number_or_none(params["learning_rate"]),
        number_or_none(momentum),
        _is_preconditioned(params),
    )


def split_iterations(max_iter: int, early_exaggeration_iter: Iterations) -> tuple[int, int]:
    """Return the iterations of both phases of the classical schedule, from their sum."""
    if isinstance(early_exaggeration_iter, tuple):
        raise ValueError("early_exaggeration_iter must be a number or 'auto' with max_iter")
    early = number_or_none(early_exaggeration_iter)
    early = schedule.CLASSICAL_EARLY_ITER if early is None else int(early)
    return min(early, max_iter), max(max_iter - early, 0)


def resolve_phase(name: str, n_iter: Iterations, params: Params, n_samples: int) -> Phase:
    """Return the plan of one ``optimize`` call, from all of its parameters, checked."""
    exaggeration = exaggeration_of(params)
    rate, momentum = number_or_none(params["learning_rate"]), number_or_none(params["momentum"])
    if isinstance(n_iter, tuple):
        stages = n_iter
    elif isinstance(n_iter, str):  # "auto"
        tol, is_preconditioned = number_or_none(params["tol"]), _is_preconditioned(params)
        stages = schedule.automatic_main_phase(
            n_samples, exaggeration, rate, momentum, tol, is_preconditioned
        )
    else:
        stages = schedule.classical(n_iter, n_samples, exaggeration, rate, momentum)
    method = resolve_method(params["negative_gradient_method"], n_samples)
    return _phase(name, stages, params, n_samples, method)


def resolve_new_points(n_iter: int, params: Params, n_samples: int, n_fixed: int) -> Phase:
    """Return the plan of ``optimize`` for new points among ``n_fixed`` that do not move."""
    rate, momentum = number_or_none(params["learning_rate"]), number_or_none(params["momentum"])
    rate = NEW_POINTS_LEARNING_RATE if rate is None else rate
    stages = schedule.classical(n_iter, n_samples, exaggeration_of(params), rate, momentum)
    method = resolve_fixed_method(params["negative_gradient_method"], n_fixed)
    return _phase("new points", stages, params, n_samples, method)


def resolve_joining(
    n_iter: int | str, params: Params, n_samples: int, n_free: int, is_held: bool
) -> tuple[Phase, Phase]:
    """Return the plans for ``n_free`` of ``n_samples`` points, new ones among fixed ones.

    They are gathered with exaggeration in the first phase, so that those which belong to nothing
    that is there find each other.

    Parameters
    ----------
    n_iter : iterations of the second; "auto" is ``JOINING_ITER``.
    is_held : whether the others will move, too, afterwards.
    """
    if is_auto(n_iter):
        n_iter = JOINING_ITER
    final = exaggeration_of(params)
    method = resolve_fixed_method(params["negative_gradient_method"], n_samples)
    gathering_iter = HELD_GATHERING_ITER if is_held else GATHERING_ITER

    def phase(name: str, n_iter: int, exaggeration: float) -> Phase:
        stages = schedule.classical(n_iter, n_samples, exaggeration)
        return _phase(name, stages, {**params, "density_weight": 0}, n_free, method)

    return (
        phase("new rows gather", gathering_iter, GATHERING_EXAGGERATION * final),
        phase("new rows join", int(n_iter), final),
    )


def resolve_held(n_iter: int | str, params: Params, n_samples: int) -> tuple[Phase, ...]:
    """Return the plans for all points of an embedding: new ones, and old ones that are held.

    "auto" anneals the exaggeration once more before the main phase: what new points are stuck
    between gives way.  Between the two, points may be relocated.
    """
    phase = resolve_phase("held", n_iter, params, n_samples)
    if not is_auto(n_iter) or params["density_weight"]:
        return (phase,)
    exaggeration = HELD_EXAGGERATION * exaggeration_of(params)
    stages = _annealing(n_samples, exaggeration, params, params["momentum"])
    annealing = tuple(stage for stage in stages if not stage.is_preconditioned)
    return replace(phase, name="held, annealing", stages=annealing), phase


def exaggeration_of(params: Params) -> float:
    """Return the exaggeration as a number: 1 where it is None."""
    return 1.0 if params["exaggeration"] is None else float(params["exaggeration"])


def _phase(
    name: str,
    stages: tuple[Stage, ...],
    params: Params,
    n_samples: int,
    method: str | ObjectiveFunction,
) -> Phase:
    return Phase(
        name,
        stages,
        dof=float(params["dof"]),
        method=method,
        accuracy=_accuracy(params),
        density_weight=params["density_weight"],
        max_grad_norm=params["max_grad_norm"],
        max_step_norm=params["max_step_norm"],
        n_threads=_threads_for(params["n_jobs"], n_samples),
        callbacks=as_callbacks(params["callbacks"]),
        callbacks_every_iters=params["callbacks_every_iters"],
        global_structure=params["global_structure"],
    )


def _accuracy(params: Params) -> tuple[tuple[str, float], ...]:
    """Return the parameters of the accuracy of forces, with numbers."""
    of_forces = number_or_none(params["accuracy"]) or FORCE_ERROR
    return (*tuple((name, params[name]) for name in ACCURACY), ("accuracy", of_forces))


def _threads_for(n_jobs: int | None, n_samples: int) -> int:
    """Return the number of threads: for few points at most the cores, else it is slower."""
    n_threads = resolve_n_jobs(n_jobs)
    return min(n_threads, usable_cores()) if n_samples <= OVERSUBSCRIBED_MIN_POINTS else n_threads


def number_or_none(value: float | str | None) -> float | None:
    """Return a number, or None for "auto"."""
    return None if value is None or is_auto(value) else float(value)


def _choices(wanted: Params, n_samples: int) -> Iterator[Choice]:
    """Yield who decided each parameter of a fit; the numbers are in the stages."""
    is_automatic, has_stages = is_auto(wanted["n_iter"]), isinstance(wanted["n_iter"], tuple)
    optimizer = resolve_optimizer(wanted)
    max_iter = schedule.MAX_ITER if optimizer == "preconditioned" else schedule.UNTANGLING_ITER
    rules = {
        "early_exaggeration": f"{schedule.EARLY_EXAGGERATION:g} (Belkina et al. 2019)",
        "early_exaggeration_iter": "until arranged, then annealing",
        "n_iter": "until little of the loss is left",
        "optimizer": optimizer,
        "tol": f"{schedule.TOL:g}, but at most {max_iter} iterations",
        "learning_rate": "n_samples / exaggeration (Belkina et al. 2019)",
        "initial_momentum": f"{schedule.CLASSICAL_MOMENTUM:g}",
        "final_momentum": f"{schedule.CLASSICAL_MOMENTUM:g}",
        "negative_gradient_method": (
            f"exact, as up to {EXACT_MAX_POINTS} points"
            if n_samples <= EXACT_MAX_POINTS
            else "tree or FFT, by the size of the map"
        ),
    }
    if optimizer == "momentum":
        rules["early_exaggeration_iter"] = "annealing"
    unused = {}
    if is_automatic:
        rules["final_momentum"] = f"{schedule.INERT_MOMENTUM:g} in the inert stage"
        rules["learning_rate"] += f", in the inert stage times {schedule.INERT_LEARNING_RATE:g}"
        if optimizer == "momentum":
            rules["final_momentum"] += f", then {schedule.UNTANGLING_MOMENTUM:g}"
            rules["learning_rate"] = rules["learning_rate"].replace("inert stage", "main phase")
    else:
        unused["tol"] = "not used: n_iter is given"
        if not is_auto(wanted["early_exaggeration_iter"]):
            rules["optimizer"] = "momentum: numbers of iterations are given"
    if has_stages:
        unused["final_momentum"] = "not used: the stages have their own"
    for name in (*rules, *NEVER_AUTO):
        value = wanted[name]
        if name in unused:
            yield Choice(name, value, unused[name])
        elif is_auto(value):
            yield Choice(name, value, rules[name])
        elif isinstance(value, tuple):
            yield Choice(name, f"{len(value)} stages", "given")
        else:
            yield Choice(name, value, "default" if value == TSNE[name].default else "given")


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def resolve_method(method: str | ObjectiveFunction, n_samples: int) -> str | ObjectiveFunction:
    """Return "exact", "bh", "fft", or "auto", which is the faster of these two in each iteration.

    Functions and names of registered objectives are returned unchanged.
    """
    if callable(method) or method not in METHODS:
        return method
    return _fastest(METHODS[method], n_samples)


def resolve_fixed_method(method: str | ObjectiveFunction | None, n_samples: int) -> str:
    """Return the method for the repulsion of fixed points, which no function of a user's has."""
    name = method if isinstance(method, str) and method in METHODS else "auto"
    return _fastest(METHODS[name], n_samples)


def resolve_function_method(method: str, n_samples: int) -> str:
    """Return the method whose function an optimizer of a user's own gets."""
    method = METHODS[method]
    return ("fft" if n_samples >= FFT_MIN_POINTS else "bh") if is_auto(method) else method


def _fastest(method: str, n_samples: int) -> str:
    return "exact" if is_auto(method) and n_samples <= EXACT_MAX_POINTS else method


def resolve_optimizer(params: Params) -> str:
    """Return the optimizer of phases without a number of iterations.

    "auto" is "momentum" where the curvature is not known, which only that of the KL divergence is,
    and with an exaggeration below 1, where there is no minimum to converge to.

    Raises
    ------
    ValueError
        Where "preconditioned" is asked for with another objective.
    """
    optimizer, method = params["optimizer"], params["negative_gradient_method"]
    has_curvature = NAMES.get(method, method) in METHODS
    if optimizer == "preconditioned" and not has_curvature:
        raise ValueError(
            'optimizer="preconditioned" needs the curvature of the KL divergence, which is not '
            f"that of negative_gradient_method={method!r}; use "
            '"auto" or "momentum"'
        )
    if is_auto(optimizer):
        has_minimum = (params["exaggeration"] or 1) >= 1
        return "preconditioned" if has_curvature and has_minimum else "momentum"
    return str(optimizer)


def _is_preconditioned(params: Params) -> bool:
    return resolve_optimizer(params) == "preconditioned"


def is_auto(value: object) -> bool:
    """Return whether a value is the word "auto"."""
    return isinstance(value, str) and value == "auto"
