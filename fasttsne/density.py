"""Maps that keep density: see :mod:`fasttsne.objective.density`."""

from fasttsne.objective.density import *  # noqa: F403
