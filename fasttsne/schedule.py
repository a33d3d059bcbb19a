"""The stages of gradient descent, as ``TSNEEmbedding.optimize`` takes them."""

from fasttsne.optimize.schedule import *  # noqa: F403
