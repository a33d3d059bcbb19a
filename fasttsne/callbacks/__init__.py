"""Callbacks that observe or stop an optimization.

A callback is a callable with the arguments ``(iteration, error, embedding)``; it stops the
run by returning True.  It is called every ``callbacks_every_iters`` iterations.  Iterations count
from 1 within each ``optimize`` call; the error is the KL divergence of the embedding, without
exaggeration; the embedding is the array that is being optimized, in the order of the samples.
"""

from fasttsne.callbacks.error_checks import (
    EarlyStopping,
    ErrorApproximations,
    VerifyExaggerationError,
)
from fasttsne.callbacks.progress import ErrorLogger, LivePlot, ProgressBar
from fasttsne.callbacks.recorder import Checkpoint, EmbeddingRecorder, ScoreRecorder
from fasttsne.optimize import Callback, as_callbacks

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "EmbeddingRecorder",
    "ErrorApproximations",
    "ErrorLogger",
    "LivePlot",
    "ProgressBar",
    "ScoreRecorder",
    "VerifyExaggerationError",
    "as_callbacks",
]
