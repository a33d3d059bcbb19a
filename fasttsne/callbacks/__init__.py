"""Watching and steering an optimization from outside.

A callback is anything that can be called as ``callback(iteration, error,
embedding)``; a true answer stops the run.  Iterations count from 1 within each
``optimize`` call; the error is the KL divergence of the map that is passed,
against affinities without exaggeration; the embedding is the live array, in
the order of the caller's rows.
"""

from fasttsne.callbacks.base import Callback, as_callbacks
from fasttsne.callbacks.checkpoint import Checkpoint
from fasttsne.callbacks.early_stopping import EarlyStopping
from fasttsne.callbacks.error_logger import ErrorLogger
from fasttsne.callbacks.live_plot import LivePlot
from fasttsne.callbacks.progress import ProgressBar
from fasttsne.callbacks.recorder import EmbeddingRecorder
from fasttsne.callbacks.verification import ErrorApproximations, VerifyExaggerationError

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "EmbeddingRecorder",
    "ErrorApproximations",
    "ErrorLogger",
    "LivePlot",
    "ProgressBar",
    "VerifyExaggerationError",
    "as_callbacks",
]
