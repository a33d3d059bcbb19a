"""How a map was made, and the report on it: what was asked, what was chosen, versions, hashes."""

import time
from typing import Any

import numpy as np

from fasttsne.affinity import Affinities
from fasttsne.io.fingerprint import fingerprint
from fasttsne.optimize.parameters import WITHOUT_EFFECT
from fasttsne.reports.subject import Subject
from fasttsne.runtime.build_info import build_info


def facts_of(subject: Subject, seed: int, seconds: float) -> dict[str, dict[str, str]]:
    """Texts by name, by the name of their group."""
    n, d = subject.points.shape
    about_map = {
        "made by": subject.made_by,
        "points": f"{n:,}",
        "dimensions": str(d),
        "hash of the map": _hash(subject.points),
        "hash of the data": _hash(subject.X),
        "shape of the data": " x ".join(map(str, np.shape(subject.X))),
        "distance": str(subject.metric),
    }
    about_report = {
        "made on": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seconds": f"{seconds:.1f}",
        "seed of the samples": str(seed),
    }
    return {
        "Map": about_map,
        "Run": _run(subject),
        "Report": about_report,
        "Versions": build_info(),
    }


def plan_of(subject: Subject) -> str | None:
    """The plan of the run, a table of text: what was asked and what was chosen; None if unknown."""
    plan = getattr(subject.estimator, "plan", None)
    return None if plan is None else str(plan(len(subject.points)))


def _run(subject: Subject) -> dict[str, str]:
    embedding = subject.embedding
    if embedding is None:
        return {}
    if not subject.graph_is_own:
        return {"graph": f"{_graph(embedding.affinities)}, made for this report"}
    optimizer = embedding.optimizer
    found: dict[str, Any] = {
        "graph": _graph(embedding.affinities),
        "iterations": getattr(optimizer, "iteration", None),
        "KL divergence": embedding.kl_divergence,
        "loss left": getattr(optimizer, "loss_left", None),
        "seed": embedding.random_state,
        "dof": embedding.dof,
        "negative_gradient_method": embedding.negative_gradient_method,
        **(embedding.gradient_descent_params or {}),
    }
    for name in WITHOUT_EFFECT:
        found.pop(name, None)
    return {name: _shown(value) for name, value in found.items() if value is not None}


def _graph(affinities: Affinities) -> str:
    perplexity = getattr(affinities, "effective_perplexity_", None)
    if perplexity is None:
        perplexity = getattr(affinities, "perplexity", None)
    kind = type(affinities).__name__
    return kind if perplexity is None else f"{kind}, perplexity {_shown(perplexity)}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        return type(value).__name__
    return str(value)


def _hash(value: Any) -> str:
    return fingerprint(value, "data").rpartition(" ")[2]
