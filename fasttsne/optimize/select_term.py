"""Which term draws the points of a phase to targets."""

from fasttsne.objective.base import Objective
from fasttsne.optimize.anchor_term import AnchorTerm
from fasttsne.optimize.plan import Phase
from fasttsne.optimize.reference_term import ReferenceTerm
from fasttsne.optimize.target_term import TargetTerm
from fasttsne.optimize.ties import Ties, TieTerm


def make_term(phase: Phase, objective: Objective) -> TargetTerm | None:
    """Return the term of a descent of this objective, or None where nothing draws points."""
    n_threads = objective.n_threads
    if isinstance(phase.anchors, Ties):
        return TieTerm(phase.anchors, Objective.scale / objective.scale, n_threads)
    anchors = None if phase.anchors is None else AnchorTerm(phase.anchors, n_threads)
    if phase.reference is None:
        return anchors
    return ReferenceTerm(phase.reference, phase.global_structure, anchors, n_threads)
