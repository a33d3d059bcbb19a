"""What a run will do, decided before it starts: the one place where "auto" becomes a number.

``resolve`` turns the parameters of :class:`fasttsne.TSNE`, and ``resolve_phase`` those of one
``optimize`` call, into a frozen plan.  The loop, the callbacks, the progress display, files
and the command line read it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from types import ModuleType
from typing import Any

from fasttsne.objective.callable import ObjectiveFunction
from fasttsne.objective.functions import NAMES
from fasttsne.optimize import momentum_schedule, schedule
from fasttsne.optimize.callback import CallbackFunction, as_callbacks
from fasttsne.optimize.parameters import ACCURACY, TSNE, without_numpy
from fasttsne.optimize.schedule import Iterations, Stage
from fasttsne.repulsion import METHODS
from fasttsne.runtime.threads import resolve_n_jobs, usable_cores

# New points move by single gradients, which do not shrink with the number of points.
NEW_POINTS_LEARNING_RATE = 0.1
# Up to so many points the sum over all pairs is the fastest: measured by
# benchmarks/crossover.py.
EXACT_MAX_POINTS = 700
# From so many points on an optimizer that is called gets the FFT function for "auto".
FFT_MIN_POINTS = 10_000
# Up to so many points, more threads than cores make an iteration many times slower.
OVERSUBSCRIBED_MIN_POINTS = 10_000


@dataclass(frozen=True)
class Phase:
    """One ``optimize`` call: stages, and what holds in all of them.

    Attributes
    ----------
    name : "early exaggeration", "main phase", ...
    stages : what is done, one after the other.
    dof : degrees of freedom of the kernel.
    method : of the repulsive forces: "exact", "bh", "fft", "auto" (either of the last two, by the
        size of the map in each iteration), the name of a registered objective, or a function.
    accuracy : theta, n_interpolation_points, min_num_intervals, ints_in_interval.
    density_weight : weight of the density term.
    max_grad_norm, max_step_norm : bounds on a point's gradient and step, or None.
    n_threads : how many threads share the work.
    callbacks, callbacks_every_iters : who is called, and how often.
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

    @property
    def n_iter(self) -> int:
        """Number of iterations, at most."""
        return sum(stage.n_iter for stage in self.stages)

    @property
    def may_stop_early(self) -> bool:
        """Whether there may be fewer."""
        return any(stage.stopping is not None for stage in self.stages)

    # The name of version 0.1.0.
    may_settle = may_stop_early

    @property
    def exaggeration(self) -> float:
        """The largest of all stages."""
        return max((stage.exaggeration for stage in self.stages), default=1.0)


@dataclass(frozen=True)
class Choice:
    """The value of one parameter, and who decided it.

    Attributes
    ----------
    parameter, value : its name, and its value as the user left it.
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
        """Number of iterations, at most."""
        return sum(phase.n_iter for phase in self.phases)

    @property
    def may_stop_early(self) -> bool:
        """Whether there may be fewer."""
        return any(phase.may_stop_early for phase in self.phases)

    def __str__(self) -> str:
        at_most = "at most " if self.may_stop_early else ""
        lines = [
            f"{self.n_samples:,} samples, {at_most}{self.n_iter:,} iterations", "",
            STAGE_LINE.format(
                "phase", "stage", "iterations", "exaggeration", "learning rate", "momentum",
                "stops early where",
            ),
        ]  # fmt: skip
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
    return [STAGE_LINE.format(
        phase, first.name, n_iter,
        _range(f"{first.exaggeration:.4g}", f"{last.exaggeration:.4g}"),
        "by curvature" if _is_preconditioned(first)
        else _range(f"{first.learning_rate:.6g}", f"{last.learning_rate:.6g}"),
        f"{first.momentum:.3g}", "" if first.stopping is None else str(first.stopping),
    ).rstrip()]  # fmt: skip


def _range(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _is_preconditioned(stage: Stage) -> bool:
    """Stages of version 0.1.0 do not say."""
    return getattr(stage, "is_preconditioned", False)


STAGE_LINE = "{:20}{:13}{:>10}{:>14}{:>17}{:>10}  {}"


def resolve(parameters: Mapping[str, Any], n_samples: int) -> RunPlan:
    """The plan of a fit.

    Parameters
    ----------
    parameters : those of :class:`fasttsne.TSNE`, checked.
    n_samples : number of rows of the data.
    """
    wanted = without_numpy(parameters)
    early = number_or_none(wanted["early_exaggeration"]) or schedule.EARLY_EXAGGERATION
    final = exaggeration_of(wanted)
    phase = partial(resolve_phase, n_samples=n_samples)

    early_iter = wanted["early_exaggeration_iter"]
    if _is_auto(early_iter):
        early_iter = _automatic_schedule(wanted).automatic_early_exaggeration(
            n_samples, early, final, number_or_none(wanted["learning_rate"]),
            number_or_none(wanted["initial_momentum"]),
        )  # fmt: skip
    first = {
        **wanted, "momentum": wanted["initial_momentum"], "exaggeration": early,
        "density_weight": 0,
    }  # fmt: skip
    main = {**wanted, "momentum": wanted["final_momentum"], "exaggeration": final}
    phases = [phase("early exaggeration", early_iter, first)]
    n_iter = wanted["n_iter"]
    if wanted["density_weight"]:
        if isinstance(n_iter, tuple):
            raise ValueError("n_iter must be a number or 'auto' with density_weight; got stages")
        before, after = (n_iter, n_iter) if _is_auto(n_iter) else schedule.split_for_density(n_iter)
        phases.append(phase("main phase", before, {**main, "density_weight": 0}))
        phases.append(phase("main phase, density", after, main))
    else:
        phases.append(phase("main phase", n_iter, main))
    return RunPlan(
        n_samples,
        tuple(phase for phase in phases if phase.n_iter),
        tuple(_choices(wanted, n_samples)),
    )


def split_iterations(max_iter: int, early_exaggeration_iter: Iterations) -> tuple[int, int]:
    """Iterations of both phases of the classical schedule, from their sum."""
    if isinstance(early_exaggeration_iter, tuple):
        raise ValueError("early_exaggeration_iter must be a number or 'auto' with max_iter")
    early = number_or_none(early_exaggeration_iter)
    early = schedule.CLASSICAL_EARLY_ITER if early is None else int(early)
    return min(early, max_iter), max(max_iter - early, 0)


def resolve_phase(
    name: str, n_iter: Iterations, params: Mapping[str, Any], n_samples: int
) -> Phase:
    """The plan of one ``optimize`` call.

    Parameters
    ----------
    n_iter : a number, "auto", or stages.
    params : those of ``optimize``, checked, all of them.
    n_samples : number of points.
    """
    exaggeration = exaggeration_of(params)
    rate, momentum = number_or_none(params["learning_rate"]), number_or_none(params["momentum"])
    if isinstance(n_iter, tuple):
        stages = n_iter
    elif isinstance(n_iter, str):  # "auto"
        stages = _automatic_schedule(params).automatic_main_phase(
            n_samples, exaggeration, rate, momentum, number_or_none(params["tol"])
        )
    else:
        stages = schedule.classical(n_iter, n_samples, exaggeration, rate, momentum)
    return _phase(name, stages, params, n_samples)


def resolve_new_points(
    n_iter: int, params: Mapping[str, Any], n_samples: int, n_fixed: int
) -> Phase:
    """The plan of ``optimize`` for so many new points in a fixed map of ``n_fixed`` points."""
    rate = number_or_none(params["learning_rate"])
    stages = schedule.classical(
        n_iter, n_samples, exaggeration_of(params),
        NEW_POINTS_LEARNING_RATE if rate is None else rate, number_or_none(params["momentum"]),
    )  # fmt: skip
    phase = _phase("new points", stages, params, n_samples)
    method = resolve_fixed_method(params["negative_gradient_method"], n_fixed)
    return replace(phase, method=method)


def resolve_method(method: str | ObjectiveFunction, n_samples: int) -> str | ObjectiveFunction:
    """The method of repulsion for a name: "exact", "bh", "fft", or "auto".

    The last is either of the two before, whichever is faster for the map in each iteration.
    A function, and the name of a registered objective, is what it is.
    """
    if callable(method) or method not in METHODS:
        return method
    return _fastest(METHODS[method], n_samples)


def resolve_fixed_method(method: str | ObjectiveFunction | None, n_samples: int) -> str:
    """The method for the repulsion of a fixed map: a function has only forces on its own points."""
    name = method if isinstance(method, str) and method in METHODS else "auto"
    return _fastest(METHODS[name], n_samples)


def resolve_function_method(method: str, n_samples: int) -> str:
    """The method whose function an optimizer that is called gets."""
    method = METHODS[method]
    return ("fft" if n_samples >= FFT_MIN_POINTS else "bh") if _is_auto(method) else method


def _fastest(method: str, n_samples: int) -> str:
    return "exact" if _is_auto(method) and n_samples <= EXACT_MAX_POINTS else method


def resolve_optimizer(params: Mapping[str, Any]) -> str:
    """The optimizer of phases without a number of iterations: "preconditioned" or "momentum".

    The curvature that the first needs is known of the KL divergence alone.

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
    if _is_auto(optimizer):
        return "preconditioned" if has_curvature else "momentum"
    return str(optimizer)


def _automatic_schedule(params: Mapping[str, Any]) -> ModuleType:
    return schedule if resolve_optimizer(params) == "preconditioned" else momentum_schedule


def exaggeration_of(params: Mapping[str, Any]) -> float:
    """The exaggeration as a number: None is none."""
    return 1.0 if params["exaggeration"] is None else float(params["exaggeration"])


def _phase(
    name: str, stages: tuple[Stage, ...], params: Mapping[str, Any], n_samples: int
) -> Phase:
    return Phase(
        name, stages,
        dof=float(params["dof"]),
        method=resolve_method(params["negative_gradient_method"], n_samples),
        accuracy=tuple((name, params[name]) for name in ACCURACY),
        density_weight=params["density_weight"],
        max_grad_norm=params["max_grad_norm"],
        max_step_norm=params["max_step_norm"],
        n_threads=_threads_for(params["n_jobs"], n_samples),
        callbacks=as_callbacks(params["callbacks"]),
        callbacks_every_iters=params["callbacks_every_iters"],
    )  # fmt: skip


def _threads_for(n_jobs: int | None, n_samples: int) -> int:
    """The number of threads: for few points not more than cores, which would be slower."""
    n_threads = resolve_n_jobs(n_jobs)
    return min(n_threads, usable_cores()) if n_samples <= OVERSUBSCRIBED_MIN_POINTS else n_threads


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"


def number_or_none(value: Any) -> float | None:
    """A number, or None for "auto"."""
    return None if _is_auto(value) else value


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _choices(wanted: Mapping[str, Any], n_samples: int) -> Iterator[Choice]:
    """Who decided each parameter of a fit; the numbers are in the stages."""
    is_automatic, has_stages = _is_auto(wanted["n_iter"]), isinstance(wanted["n_iter"], tuple)
    rules = {
        "early_exaggeration": f"{schedule.EARLY_EXAGGERATION:g} (Belkina et al. 2019)",
        "learning_rate": "n_samples / exaggeration (Belkina et al. 2019)",
        "initial_momentum": f"{schedule.CLASSICAL_MOMENTUM:g}",
        "final_momentum": f"{schedule.CLASSICAL_MOMENTUM:g}",
        "optimizer": resolve_optimizer(wanted),
        "negative_gradient_method": (
            f"exact, as up to {EXACT_MAX_POINTS} points" if n_samples <= EXACT_MAX_POINTS
            else "tree or FFT, by the size of the map"
        ),
        **_rules_of_schedule(wanted, n_samples, is_automatic),
    }  # fmt: skip
    unused = {}
    if not is_automatic:
        unused["tol"] = "not used: n_iter is given"
        if not _is_auto(wanted["early_exaggeration_iter"]):
            rules["optimizer"] = "momentum: numbers of iterations are given"
    if has_stages:
        unused["final_momentum"] = "not used: the stages have their own"
    for name in (*rules, "exaggeration", "dof", "max_grad_norm", "max_step_norm", "density_weight"):
        value = wanted[name]
        if name in unused:
            yield Choice(name, value, unused[name])
        elif _is_auto(value):
            yield Choice(name, value, rules[name])
        elif isinstance(value, tuple):
            yield Choice(name, f"{len(value)} stages", "given")
        else:
            yield Choice(name, value, "default" if value == TSNE[name].default else "given")


def _rules_of_schedule(
    wanted: Mapping[str, Any], n_samples: int, is_automatic: bool
) -> dict[str, str]:
    """What the automatic schedule of the optimizer decides."""
    if resolve_optimizer(wanted) == "preconditioned":
        rules = {
            "early_exaggeration_iter": "until arranged, then annealing",
            "n_iter": "until little of the loss is left",
            "tol": f"{schedule.TOL:g}",
        }
        if is_automatic:
            rules["final_momentum"] = f"{schedule.INERT_MOMENTUM:g} in the inert stage"
            rules["learning_rate"] = (
                "n_samples / exaggeration (Belkina et al. 2019), times "
                f"{schedule.INERT_LEARNING_RATE:g} in the inert stage; none where preconditioned"
            )
        return rules
    medium, large = f"{momentum_schedule.MEDIUM_FROM:,}", f"{momentum_schedule.LARGE_FROM:,}"
    size = (
        f"fewer than {medium}" if n_samples < momentum_schedule.MEDIUM_FROM
        else f"{medium} to {large}" if n_samples < momentum_schedule.LARGE_FROM
        else f"{large} or more"
    )  # fmt: skip
    rules = {
        "early_exaggeration_iter": f"until converged, then annealing; settings for {size} rows",
        "n_iter": f"until the loss has converged; settings for {size} rows",
        "tol": f"settings for {size} rows",
    }
    if is_automatic:
        fast = momentum_schedule.fast_momentum(n_samples)
        rules["final_momentum"] = f"by size, {fast:.3g} in the fast stage"
        rules["learning_rate"] = (
            "n_samples / exaggeration (Belkina et al. 2019), times "
            f"{momentum_schedule.FAST_LEARNING_RATE:g} in the fast stage"
        )
    return rules
