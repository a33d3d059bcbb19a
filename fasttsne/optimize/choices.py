"""Who decided each parameter of a fit, for the reader of a plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fasttsne.optimize import momentum_schedule, schedule
from fasttsne.optimize.methods import EXACT_MAX_POINTS, is_auto, resolve_optimizer
from fasttsne.optimize.parameters import TSNE

# What may be "auto", as a plan lists it.
WITH_RULES = (
    "early_exaggeration",
    "early_exaggeration_iter",
    "n_iter",
    "optimizer",
    "tol",
    "learning_rate",
    "initial_momentum",
    "final_momentum",
    "negative_gradient_method",
)


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


def choices(wanted: Mapping[str, Any], n_samples: int) -> Iterator[Choice]:
    """Who decided each parameter of a fit; the numbers are in the stages."""
    is_automatic, has_stages = is_auto(wanted["n_iter"]), isinstance(wanted["n_iter"], tuple)
    rules = {
        "early_exaggeration": f"{schedule.EARLY_EXAGGERATION:g} (Belkina et al. 2019)",
        "learning_rate": "n_samples / exaggeration (Belkina et al. 2019)",
        "initial_momentum": f"{schedule.CLASSICAL_MOMENTUM:g}",
        "final_momentum": f"{schedule.CLASSICAL_MOMENTUM:g}",
        "optimizer": resolve_optimizer(wanted),
        "negative_gradient_method": (
            f"exact, as up to {EXACT_MAX_POINTS} points"
            if n_samples <= EXACT_MAX_POINTS
            else "tree or FFT, by the size of the map"
        ),
        **_rules_of_schedule(wanted, n_samples, is_automatic),
    }
    unused = {}
    if not is_automatic:
        unused["tol"] = "not used: n_iter is given"
        if not is_auto(wanted["early_exaggeration_iter"]):
            rules["optimizer"] = "momentum: numbers of iterations are given"
    if has_stages:
        unused["final_momentum"] = "not used: the stages have their own"
    for name in (
        *WITH_RULES,
        "exaggeration",
        "dof",
        "max_grad_norm",
        "max_step_norm",
        "density_weight",
        "global_structure",
    ):
        value = wanted[name]
        if name in unused:
            yield Choice(name, value, unused[name])
        elif is_auto(value):
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
            "tol": f"{schedule.TOL:g}, but at most {schedule.MAX_ITER} iterations",
        }
        if is_automatic:
            rules["final_momentum"] = f"{schedule.INERT_MOMENTUM:g} in the inert stage"
            rules["learning_rate"] = (
                "n_samples / exaggeration (Belkina et al. 2019), in the inert stage times "
                f"{schedule.INERT_LEARNING_RATE:g}"
            )
        return rules
    medium, large = f"{momentum_schedule.MEDIUM_FROM:,}", f"{momentum_schedule.LARGE_FROM:,}"
    size = (
        f"fewer than {medium}"
        if n_samples < momentum_schedule.MEDIUM_FROM
        else f"{medium} to {large}"
        if n_samples < momentum_schedule.LARGE_FROM
        else f"{large} or more"
    )
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


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
