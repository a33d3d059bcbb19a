"""What an embedding is given: where its points are, and what draws them elsewhere."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fasttsne.optimize.plan import Phase
from fasttsne.runtime.validation import check_choice, check_coordinates, refuse_masked
from fasttsne.utils import warn_user

# A map of a larger share of the KL divergence of all points in one place shows nothing; if that is
# not above the second, all affinities are equal, and there is nothing to show.
SHOWS_NOTHING, MIN_WORST = 0.99, 1e-3
# A map of a smaller standard deviation has collapsed to a point.
COLLAPSED_STD = 1e-3
# Of a reference: squares of smaller numbers are no doubles.
MIN_SIZE = 1e-150


def check_points(embedding: ArrayLike, n_samples: int) -> np.ndarray:
    """Return the points of a map, a copy."""
    refuse_masked(embedding, "embedding")
    points = np.array(embedding, dtype=np.float64, order="C")
    if points.ndim != 2 or len(points) != n_samples or not 1 <= points.shape[1] <= 3:
        raise ValueError(f"embedding must have the shape ({n_samples}, 1 to 3); got {points.shape}")
    check_coordinates(points, "embedding")
    return points


def check_reference(reference: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return what ``global_structure`` draws a map of this shape to, a float64 array, or None."""
    if reference is None:
        return None
    refuse_masked(reference, "global_reference")
    places = np.asarray(reference)
    if places.dtype.kind not in "fiub":
        raise TypeError(
            f"global_reference must be 'pca' or an array of numbers; got dtype {places.dtype}"
        )
    if places.shape != shape:
        raise ValueError(f"global_reference must have the shape {shape}; got {places.shape}")
    places = np.ascontiguousarray(places, dtype=np.float64)
    check_coordinates(places, "global_reference")
    return places


def check_size(reference: np.ndarray) -> None:
    """Raise ValueError if all points of a reference are in one place, or too near to each other."""
    if len(reference) > 1 and (reference == reference[0]).all():
        raise ValueError("global_reference has all points in one place: it says nothing")
    size = _size(reference)
    if len(reference) > 1 and size < MIN_SIZE:
        raise ValueError(
            f"global_reference must not be so small: its points are up to {size:.3g} from their "
            f"mean, and at least {MIN_SIZE:g} is needed.  Only its shape matters: scale it"
        )


def _size(reference: np.ndarray) -> float:
    return float(np.abs(reference - reference.mean(axis=0)).max(initial=0))


def warn_of_no_map(embedding: Any, phase: Phase, worst: float, name: str) -> None:
    """Warn of points that are still in one place, or no better placed than that.

    Parameters
    ----------
    embedding : after its last phase.
    worst : the KL divergence of a map all of whose points are in one place.
    name : of the map.
    """
    if worst < MIN_WORST:
        return
    anchors = embedding.anchors
    moves = np.asarray(embedding)[slice(None) if anchors is None else ~anchors.is_pinned]
    std = np.std(moves, axis=0).max()
    # What draws points elsewhere may cost any KL divergence.
    is_free = anchors is None and not (phase.global_structure or phase.density_weight)
    if len(moves) > 1 and std < COLLAPSED_STD:
        warn_user(
            f"all points of {name} that can move are in one place, with a standard deviation of "
            f"{std:.2g}: they could not leave it (see learning_rate, max_grad_norm, max_step_norm "
            "and initialization), or exaggeration or anchors hold them there"
        )
    elif is_free and phase.exaggeration == 1 and embedding.kl_divergence > SHOWS_NOTHING * worst:
        warn_user(
            f"{name} shows nothing of the data: its KL divergence is "
            f"{embedding.kl_divergence:.4g}, and {worst:.4g} where all points are in one place.  "
            "They were thrown far from each other, or could hardly move: see learning_rate, "
            "max_grad_norm and max_step_norm"
        )


def check_kind_of_reference(
    reference: str | ArrayLike, is_used: bool, n_rows: int | None, n_components: int
) -> None:
    """Raise, before a long search, for what cannot be the reference of a fit.

    n_rows : rows of the data; None where there are none, but distances or affinities.
    """
    if reference is None:
        raise TypeError("global_reference must be 'pca' or an array of numbers; got None")
    if not isinstance(reference, str):
        refuse_masked(reference, "global_reference")
        places = np.asarray(reference)
        check_reference(places, (len(places) if n_rows is None else n_rows, n_components))
        return
    check_choice(reference, "global_reference", ("pca",))
    if is_used and n_rows is None:
        raise ValueError(
            "there are no rows to take principal components of: with global_structure, "
            "global_reference must be an (n_samples, n_components) array"
        )


def with_targets(embedding: Any, phase: Phase) -> Phase:
    """The phase with what draws points of the embedding to targets.

    Raises
    ------
    ValueError
        Where ``global_structure`` is wanted and there is nothing to be drawn to.
    """
    reference = None
    if phase.global_structure and len(embedding) > 1:
        reference = check_reference(embedding.global_reference, embedding.shape)
        if reference is None:
            raise ValueError(
                "global_structure needs a global_reference, which this embedding has not: make it "
                "by TSNE(global_structure=...), or give it one, "
                f"embedding.global_reference = an array of shape {embedding.shape}"
            )
        if _size(reference) < MIN_SIZE:  # for example after one of two rows was replaced
            warn_user("the points of global_reference are in one place: nothing is drawn to them")
            reference = None
    return replace(phase, anchors=embedding.anchors, reference=reference)
