"""Stages of gradient descent, for ``TSNEEmbedding.optimize`` in place of a number of iterations.

``automatic_early_exaggeration`` and ``automatic_main_phase`` make them as a fit does, ``classical``
makes a stage with a given number of iterations; None as learning rate, momentum or tolerance is the
schedule's own choice.
"""

from fasttsne.optimize.schedule import (
    Stage,
    automatic_early_exaggeration,
    automatic_main_phase,
    classical,
)

__all__ = ["Stage", "automatic_early_exaggeration", "automatic_main_phase", "classical"]
